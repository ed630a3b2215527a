//! Says in plain words what a YAML syntax error is, and what to do: most often, to use single quotes.

use granit_parser::{ErrorKind, ScanError};

use super::diagnostic::{Diagnostic, Span};

/// The advice for each text that YAML would read as something else.
pub(super) const USE_QUOTES: &str = "put it in single quotes";

/// A syntax error, and the bytes that hide it when they are covered up.
pub(super) struct Fault {
    pub(super) diagnostic: Diagnostic,
    pub(super) cover: Option<Span>,
}

/// Explains an error of the YAML parser in a text where `covers` hide what was explained before.
pub(super) fn explain(text: &str, error: &ScanError, covers: &[Span]) -> Fault {
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or_default().min(text.len()));
    if !is_about_structure(error.kind())
        && let Some(start) = indicator_before(text, at, covers)
    {
        return indicator_fault(text, start);
    }
    if let Some(fault) = bracket_fault(text, at, error.kind()) {
        return fault;
    }
    let diagnostic =
        comment_fault(text, at, error.kind()).unwrap_or_else(|| describe(one_char(text, at), error.kind()));
    Fault { diagnostic, cover: None }
}

/// A comment inside brackets hides the rest of its line: `{a: .b # c}` is never closed.
fn comment_fault(text: &str, at: usize, kind: &ErrorKind) -> Option<Diagnostic> {
    let separator = matches!(kind, ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator);
    let before = text.get(..at).filter(|_| separator)?.trim_end();
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let hash = line + before.get(line..)?.find(" #")? + 1;
    let comment = before.get(hash..).filter(|comment| comment.contains(['}', ']']))?;
    let found = Diagnostic::error(
        Span::new(hash, hash + comment.len()),
        "YAML takes this for a comment, its brackets included",
    )
    .label("a comment, or a part of the text?")
    .help(format!("if it is a part of the text, {USE_QUOTES}; if not, put the comment after the closing bracket"));
    Some(found)
}

fn describe(here: Span, kind: &ErrorKind) -> Diagnostic {
    match kind {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            Diagnostic::error(here, "a tab can't indent YAML").help("indent with spaces")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement | ErrorKind::SimpleKeyExpected => {
            Diagnostic::error(here, "a `:` where no key can stand")
                .help(format!("if the `:` belongs to a text, {USE_QUOTES}; otherwise check the indentation"))
        }
        ErrorKind::CommentInterceptedScalar => Diagnostic::error(here, "a comment cuts this text in two")
            .help(format!("if `#` belongs to it, {USE_QUOTES}")),
        ErrorKind::UnclosedQuotedScalar => Diagnostic::error(here, "this quote is never closed")
            .help("inside single quotes, write a quote twice: `''`"),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            Diagnostic::error(here, "text goes on after the closing quote")
                .help("quote the whole value; inside single quotes, write a quote twice: `''`")
        }
        ErrorKind::UnknownQuotedScalarEscape => Diagnostic::error(here, "an escape that double quotes don't know")
            .help("in single quotes a backslash is a backslash"),
        ErrorKind::UnclosedFlowCollection { open } => {
            let close = if *open == '{' { '}' } else { ']' };
            Diagnostic::error(here, format!("this `{open}` is never closed")).expected(format!("`{close}`"))
        }
        ErrorKind::InvalidQuotedScalarIndent => {
            Diagnostic::error(here, "a text in quotes that started before this line goes on here")
                .help("close the quote; inside single quotes, write a quote twice: `''`")
        }
        ErrorKind::ExpectedFlowMappingSeparator => Diagnostic::error(here, "expected `,` or `}` before this")
            .help(format!("close the `{{` before it; if it belongs to a text, {USE_QUOTES}")),
        ErrorKind::ExpectedFlowSequenceSeparator => Diagnostic::error(here, "expected `,` or `]` before this")
            .help(format!("close the `[` before it; if it belongs to a text, {USE_QUOTES}")),
        ErrorKind::RecursionLimitExceeded => Diagnostic::error(here, "nested too deep"),
        kind => Diagnostic::error(here, format!("this isn't YAML: {kind}"))
            .help(format!("check the indentation; if it belongs to a text, {USE_QUOTES}")),
    }
}

/// Inside brackets, a text with no quotes ends at the next bracket: `{port: ${PORT}}` and `[.rows[]]` aren't YAML.
fn bracket_fault(text: &str, at: usize, kind: &ErrorKind) -> Option<Fault> {
    let separator = matches!(kind, ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator);
    let before = text.get(..at).filter(|_| separator && text.get(at..).is_some_and(|at| at.starts_with(['{', '['])))?;
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let start = before.rfind([',', '{', '[']).map_or(line, |comma| comma + 1).max(line);
    let start = before.get(start..)?.rfind(": ").map_or(start, |colon| start + colon + 2);
    let start = at - before.get(start..)?.trim_start().len();
    let mut depth = 0_usize;
    let mut end = at;
    for (offset, char) in text.get(at..)?.char_indices() {
        match char {
            '{' | '[' => depth += 1,
            '}' | ']' if depth > 0 => depth -= 1,
            ',' if depth > 0 => {}
            ',' | '}' | ']' | '\n' => break,
            _ => {}
        }
        end = at + offset + char.len_utf8();
    }
    let value = Span::new(start, start + text.get(start..end)?.trim_end().len());
    let bracket = text.get(at..)?.chars().next()?;
    let message = format!("inside brackets, a text with no quotes ends at a `{bracket}`");
    let diagnostic = Diagnostic::error(value, message).help(format!("{USE_QUOTES}: `{}`", quoted(value.slice(text))));
    Some(Fault { diagnostic, cover: (value.start < value.end).then_some(value) })
}

/// Refuses a tag; most often it is a text that starts with `!`.
pub(super) fn tag_refused(text: &str, tag: &str, value: Span) -> Diagnostic {
    let start = text.get(..value.start).and_then(|before| before.rfind('!')).unwrap_or(value.start);
    Diagnostic::error(Span::new(start, value.end), format!("YAML reads `{tag}` as a tag, and tags aren't supported"))
        .help(format!("if the text starts with `!`, {USE_QUOTES}"))
}

/// Refuses a map or a list as a key; most often it is a template with no quotes.
pub(super) fn key_refused(text: &str, whole: Span, key: Span) -> Diagnostic {
    if whole.slice(text).starts_with("{{") {
        return Diagnostic::error(whole, "YAML reads `{{ }}` with no quotes as a map").help(
            match one_line(text, whole) {
                Some(line) => format!("{USE_QUOTES}: `{}`", quoted(line)),
                None => USE_QUOTES.to_owned(),
            },
        );
    }
    Diagnostic::error(key, "a map or a list can't be a key").help(format!("if it is a text, {USE_QUOTES}"))
}

/// Refuses an alias of nothing; most often it is a text that starts with `*`.
pub(super) fn unknown_alias(text: &str, name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(span, format!("YAML reads `*{name}` as an alias, and there is no anchor `&{name}` before it"))
        .help(format!("if it is a text, {USE_QUOTES}: `{}`", quoted(span.slice(text))))
}

/// Overwrites a value with an alias of no anchor, which the parser can step over, byte for byte.
pub(super) fn cover(text: &str, span: Span) -> String {
    let filler = format!("*{}", "_".repeat((span.end - span.start).saturating_sub(1)));
    let (before, after) = (text.get(..span.start), text.get(span.end..));
    format!("{}{filler}{}", before.unwrap_or_default(), after.unwrap_or_default())
}

/// Quotes a text as YAML does it in single quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the text of a span that ends on its first line.
fn one_line(text: &str, span: Span) -> Option<&str> {
    Some(span.slice(text)).filter(|slice| !slice.contains('\n'))
}

/// Errors that a character at the start of a value doesn't cause.
fn is_about_structure(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::RecursionLimitExceeded
            | ErrorKind::UnclosedQuotedScalar
    )
}

fn indicator_fault(text: &str, start: usize) -> Fault {
    let value = Span::new(start, value_end(text, start));
    let indicator = value.slice(text).chars().next().unwrap_or_default();
    let (what, shown) = if value.slice(text).starts_with("{{") {
        ("a template with no quotes is a map to YAML".to_owned(), value.slice(text))
    } else {
        (format!("a text can't start with `{indicator}` in YAML"), value.slice(text))
    };
    let diagnostic = Diagnostic::error(value, what).help(format!("{USE_QUOTES}: `{}`", quoted(shown)));
    Fault { diagnostic, cover: (value.end > value.start).then_some(value) }
}

/// Finds a value that starts with an indicator of YAML, on the line of the error or the last line before it that has
/// text: some errors are noticed only at the next token.
fn indicator_before(text: &str, at: usize, covers: &[Span]) -> Option<usize> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let end = text.get(at..)?.find('\n').map_or(text.len(), |newline| at + newline);
    let here = indicator_on(text, Span::new(start, end), covers);
    if here.is_some() {
        return here;
    }
    let before = text.get(..start)?.trim_end();
    let previous = before.rfind('\n').map_or(0, |newline| newline + 1);
    indicator_on(text, Span::new(previous, before.len()), covers)
}

/// Finds the first value on a line, outside quotes, that starts with an indicator.
fn indicator_on(text: &str, line: Span, covers: &[Span]) -> Option<usize> {
    let (start, line) = (line.start, line.slice(text));
    let is_new = |index: usize| {
        let is_anchored = alias_name(line.get(index..)).is_some_and(|name| text.contains(&format!("&{name}")));
        !is_anchored && !covers.iter().any(|cover| cover.start == start + index)
    };
    let (mut quote, mut value_starts, mut previous) = (None, true, ' ');
    for (index, char) in line.char_indices() {
        match quote {
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if char == '#' && previous == ' ' => return None,
            None if value_starts && is_indicator(line.get(index..)?) && is_new(index) => return Some(start + index),
            None if value_starts && (char == '\'' || char == '"') => (quote, value_starts) = (Some(char), false),
            None if char == ' ' => value_starts |= matches!(previous, ':' | '-' | ','),
            None => value_starts = matches!(char, '{' | '[' | ','),
        }
        previous = char;
    }
    None
}

fn alias_name(rest: Option<&str>) -> Option<&str> {
    rest?.strip_prefix('*')?.split([' ', ',', '}', ']']).next().filter(|name| !name.is_empty())
}

fn is_indicator(rest: &str) -> bool {
    let second = rest.chars().nth(1).unwrap_or(' ');
    match rest.chars().next() {
        Some('@' | '`' | '%' | '*' | '!') => true,
        Some('&') => !second.is_alphanumeric(),
        Some('{') => second == '{',
        _ => false,
    }
}

/// Guesses where a value with no quotes ends: with its line, or inside brackets at the next `,`, `}` or `]`.
fn value_end(text: &str, start: usize) -> usize {
    let line_start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let rest = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let rest = rest.split(" #").next().unwrap_or_default();
    let inside = text.get(line_start..start).is_some_and(|before| before.contains(['{', '[']));
    let length = match rest.find("}}") {
        Some(close) if inside && rest.starts_with("{{") => {
            let tail = rest.get(close + 2..).unwrap_or_default();
            close + 2 + tail.find([',', '}', ']']).unwrap_or(tail.len())
        }
        _ if inside => rest.find([',', '}', ']']).unwrap_or(rest.len()),
        _ => rest.len(),
    };
    start + rest.get(..length).unwrap_or_default().trim_end().len()
}

fn one_char(text: &str, at: usize) -> Span {
    let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    Span::new(at, at + width)
}
