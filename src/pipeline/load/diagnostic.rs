//! A mistake in a file, and how it is shown to people and to programs.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{conceal, shown};

/// A half-open range of bytes in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Makes a range of bytes.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Returns the bytes of `text` that the range names, or nothing where it isn't a range of that text.
    #[must_use]
    pub fn slice(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// Whether a file with this mistake can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file runs; its author probably meant something else.
    Warning,
}

/// The file that diagnostics point into.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path, as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// One mistake, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the file can be run.
    pub severity: Severity,
    /// The place.
    pub span: Span,
    /// What is wrong, in one line.
    pub message: String,
    /// A few words under the caret.
    pub label: String,
    /// What would have been right here.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// A second place that explains the first, and a few words about it.
    pub related: Option<(Span, String)>,
    /// A secret that was written in the file: no excerpt of any diagnostic shows it.
    pub redact: Option<Span>,
}

impl Diagnostic {
    /// Makes an error with a message only.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            message: message.into(),
            label: String::new(),
            expected: None,
            help: None,
            related: None,
            redact: None,
        }
    }

    /// Makes a warning with a message only.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Adds the words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }

    /// Keeps the text at the span out of every excerpt.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        self.redact = Some(self.span);
        self
    }
}

/// Puts diagnostics in the order of the file, and drops repeated ones (a mistake behind an alias is found at each use).
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| (a.span, a.severity, &a.message).cmp(&(b.span, b.severity, &b.message)));
    diagnostics.dedup();
}

/// Prints diagnostics for people, in the order of the file, with `colour` codes for a terminal or without.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: &Source, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let secrets = secrets(&source.text, diagnostics);
    let text = covered(&source.text, &secrets);
    let sorted = told(diagnostics, &source.text, &secrets);
    let shown: Vec<String> = sorted.iter().map(|one| render_one(one, &source.name, &text, &renderer)).collect();
    shown.join("\n\n")
}

/// Returns diagnostics for programs: a list of `{severity, file, line, column, message, expected, help}`.
/// Lines and columns count from 1, columns in characters.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], source: &Source) -> Value {
    let sorted = told(diagnostics, &source.text, &secrets(&source.text, diagnostics));
    let one = |found: &Diagnostic| {
        let (line, column) = position(&source.text, found.span.start);
        let severity = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        json!({
            "severity": severity, "file": source.name, "line": line, "column": column,
            "message": found.message, "expected": found.expected, "help": found.help,
        })
    };
    Value::Array(sorted.iter().map(one).collect())
}

/// Returns the line and the column of a byte, both from 1, the column in characters.
#[must_use]
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let start = line_start(text, offset);
    let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
    let column = text.get(start..floor(text, offset)).unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn render_one(found: &Diagnostic, name: &str, text: &str, renderer: &Renderer) -> String {
    let spans = found.related.iter().map(|(span, _)| *span).chain([found.span]);
    let first = line_start(text, spans.clone().map(|span| span.start).min().unwrap_or_default());
    let last = line_end(text, spans.map(|span| span.start).max().unwrap_or_default());
    // Only the lines in question are handed over, so that the cost doesn't grow with the file.
    let excerpt = text.get(first..last).unwrap_or_default();
    let within = |span: Span| {
        let span = one_line(text, span);
        span.start - first..span.end - first
    };
    let label = (!found.label.is_empty()).then_some(found.label.as_str());
    let mut snippet = Snippet::source(excerpt)
        .line_start(position(text, first).0)
        .path(name)
        .annotation(AnnotationKind::Primary.span(within(found.span)).label(label));
    if let Some((span, label)) = &found.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(within(*span)).label(label.as_str()));
    }
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(found.message.as_str()));
    // A file that can't be read has no place to show.
    if !text.is_empty() {
        group = group.element(snippet);
    }
    if let Some(expected) = found.expected.as_ref().filter(|expected| !found.message.contains(*expected)) {
        group = group.element(Level::NOTE.message(format!("expected {expected}")));
    }
    if let Some(help) = &found.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// Cuts a span to its first line, and to whole characters that exist: what the renderer may be given.
fn one_line(text: &str, span: Span) -> Span {
    let start = floor(text, span.start);
    let end = floor(text, span.end).clamp(start, line_end(text, start));
    let cut = text.get(start..end).unwrap_or_default().trim_end();
    Span::new(start, start + cut.len())
}

fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset.min(text.len()))
}

fn line_start(text: &str, offset: usize) -> usize {
    text.get(..floor(text, offset)).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

fn line_end(text: &str, offset: usize) -> usize {
    let start = floor(text, offset);
    text.get(start..).and_then(|after| after.find('\n')).map_or(text.len(), |at| start + at)
}

/// Returns what no diagnostic may show: what one of them calls a secret, and what may be one by the name of its field. A mistake
/// beside it would show it too, and a field that is misspelt isn't known to hold a secret.
fn secrets(text: &str, diagnostics: &[Diagnostic]) -> Vec<Span> {
    let by_name = shown::secrets(text).unwrap_or_else(|| conceal::literal_secrets(text));
    diagnostics.iter().filter_map(|one| one.redact).chain(by_name).collect()
}

/// Sorts diagnostics, and takes out of their texts the secrets of the lines that they are about.
fn told<'t>(diagnostics: &[Diagnostic], text: &'t str, secrets: &[Span]) -> Vec<Diagnostic> {
    let mut sorted = diagnostics.to_vec();
    sort(&mut sorted);
    for found in &mut sorted {
        let line = line_start(text, found.span.start)..line_end(text, found.span.end);
        for secret in secrets.iter().filter(|secret| line.contains(&secret.start)) {
            let plain = |text: &'t str| text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\'' | '"'));
            let value = plain(secret.slice(text));
            // What can't be parsed is taken for a secret up to the end of its line.
            let word = plain(value.split([',', '}', ']']).next().unwrap_or_default());
            let texts =
                [Some(&mut found.message), Some(&mut found.label), found.expected.as_mut(), found.help.as_mut()];
            for told in texts.into_iter().flatten() {
                for hidden in [value, word].into_iter().filter(|hidden| hidden.len() >= LEAST_SECRET) {
                    *told = told.replace(hidden, "***");
                }
            }
        }
    }
    sorted
}

/// The shortest text that is taken out of a sentence, in bytes: shorter ones are a part of many words.
const LEAST_SECRET: usize = 4;

/// Covers secrets with `*`.
fn covered(text: &str, secrets: &[Span]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for secret in secrets {
        let span = secret.start.min(bytes.len())..secret.end.min(bytes.len());
        for byte in bytes.get_mut(span).unwrap_or_default().iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b'*';
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("aé\nüx: 1", 0), (1, 1));
        assert_eq!(position("aé\nüx: 1", 6), (2, 2));
        assert_eq!(position("ab", 99), (1, 3));
    }

    #[test]
    fn a_secret_is_covered_in_the_excerpt_of_another_mistake() {
        let text = "auth: {pasword: hunter2, user: 1}".to_owned();
        let source = Source { name: "x.yaml".to_owned(), text };
        let secret = Diagnostic::error(Span::new(16, 23), "a secret can't be written in the file").redacted();
        let other = Diagnostic::error(Span::new(31, 32), "expected a string");
        let shown = render(&[secret, other], &source, false);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("user: 1"), "{shown}");
    }

    #[test]
    fn what_may_be_a_secret_by_its_field_is_covered_whatever_the_mistake() {
        for text in [
            "auth: {passwrod: hunter2, user: 1}",
            "auth: {password: hunter2, user: 1}",
            "auth: {pasword: hunter2, user: 1",
        ] {
            let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
            let found = Diagnostic::error(Span::new(7, 15), "unknown field").help("`hunter2` isn't known");
            let shown = render(std::slice::from_ref(&found), &source, false);
            assert!(!shown.contains("hunter2") && shown.contains("*******"), "{shown}");
            let told = to_json(&[found], &source).to_string();
            assert!(told.contains("`***` isn't known"), "{told}");
        }
    }

    #[test]
    fn programs_get_the_same_facts() {
        let source = Source { name: "x.yaml".to_owned(), text: "a: 1\nbb: 2\n".to_owned() };
        let found = Diagnostic::error(Span::new(5, 7), "unknown field `bb`").expected("`a`").help("did you mean `a`?");
        let expect = json!([{
            "severity": "error", "file": "x.yaml", "line": 2, "column": 1,
            "message": "unknown field `bb`", "expected": "`a`", "help": "did you mean `a`?",
        }]);
        assert_eq!(to_json(&[found], &source), expect);
    }
}
