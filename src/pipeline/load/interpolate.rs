//! Replaces `${NAME}`, `${NAME:-default}` and `${file:path}` in the scalars of a tree, once; `$${` is a plain `${`.

use std::cell::Cell;

use super::de::MAX_DIAGNOSTICS;
use super::diagnostic::{Diagnostic, Span};
use super::offsets::{self, Segment};
use super::tree::{Kind, Node, Scalar};

/// Where values come from.
pub trait Lookup {
    /// Returns an environment variable, if it is set.
    fn var(&self, name: &str) -> Option<String>;

    /// Returns the text of a file; a relative path counts from the folder of the pipeline file.
    ///
    /// # Errors
    /// Why the file can't be read.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// What became of a scalar with `${...}` in it.
#[derive(Debug, Clone)]
pub struct Filled {
    /// The text with the values in place.
    pub text: String,
    /// Which parts of `text` come from where in the raw text.
    pub(super) segments: Vec<Segment>,
    /// Whether text of the file stands before the first `${...}`.
    pub literal_before: bool,
    /// Whether text of the file stands between or after `${...}`.
    pub literal_after: bool,
    /// Whether a `${...}` has a default.
    pub has_default: bool,
    /// What was looked up.
    pub(super) references: Vec<Reference>,
    /// Whether a field that holds a secret took the text.
    pub(super) secret: Cell<bool>,
}

/// Replaces `${...}` in all scalars under `root`, and turns the scalars where that fails to holes.
pub fn interpolate(root: &mut Node, text: &str, lookup: &dyn Lookup) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    walk(root, text, lookup, &mut found);
    found
}

fn walk(node: &mut Node, text: &str, lookup: &dyn Lookup, found: &mut Vec<Diagnostic>) {
    match &mut node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                if entry.key.text.contains("${") {
                    let message = "`${...}` isn't replaced in keys";
                    found.push(Diagnostic::error(entry.key.span, message).help("write the key itself"));
                }
                walk(&mut entry.value, text, lookup, found);
            }
        }
        Kind::Seq(items) => items.iter_mut().for_each(|item| walk(item, text, lookup, found)),
        _ if found.len() >= MAX_DIAGNOSTICS => {}
        Kind::Scalar(scalar) if scalar.raw.contains("${") => match fill(&scalar.raw, lookup) {
            Ok(filled) => scalar.filled = Some(filled),
            Err(mistakes) => {
                let place = |mistake: Mistake| mistake.diagnostic(scalar, node.span, text);
                found.extend(mistakes.into_iter().map(place));
                node.kind = Kind::Hole;
            }
        },
        Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => {}
    }
}

/// A mistake in a scalar, at bytes of its raw text.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    start: usize,
    end: usize,
    message: String,
    help: &'static str,
}

impl Mistake {
    fn diagnostic(self, scalar: &Scalar, span: Span, text: &str) -> Diagnostic {
        let segments = offsets::align(&scalar.raw, scalar.style, span, text);
        let start = offsets::locate(&segments, self.start, span);
        let last = offsets::locate(&segments, self.end.saturating_sub(1), span);
        Diagnostic::error(Span::new(start, (last + 1).max(start)), self.message).help(self.help)
    }
}

/// What stands between `${` and `}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// An environment variable.
    Var {
        /// Its name.
        name: String,
        /// What is taken where it isn't set, or empty.
        default: Option<String>,
    },
    /// A file.
    File {
        /// Its path, as written.
        path: String,
    },
}

/// Replaces all references and escapes in one text.
fn fill(raw: &str, lookup: &dyn Lookup) -> Result<Filled, Vec<Mistake>> {
    let mut filled = Filled {
        text: String::new(),
        segments: Vec::new(),
        literal_before: false,
        literal_after: false,
        has_default: false,
        references: Vec::new(),
        secret: Cell::new(false),
    };
    let (mut mistakes, mut at, mut references) = (Vec::new(), 0, 0);
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let dollar = rest.find("${").unwrap_or(rest.len());
        let escaped = rest.get(..dollar).is_some_and(|before| before.ends_with('$'));
        let literal = if escaped { dollar - 1 } else { dollar };
        filled.literal(rest.get(..literal).unwrap_or_default(), at, references);
        at += literal;
        if escaped {
            filled.literal("${", at + 1, references);
            at += 3;
        } else if let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let length = rest.find('}').map_or(rest.len(), |close| close + 1);
            let inside = rest.get(2..length.max(3) - 1).filter(|_| rest.contains('}'));
            match value_of(inside, lookup, &mut filled) {
                Ok(value) => filled.value(&value, at),
                Err((message, help)) => mistakes.push(Mistake { start: at, end: at + length, message, help }),
            }
            references += 1;
            at += length;
        }
    }
    if mistakes.is_empty() { Ok(filled) } else { Err(mistakes) }
}

impl Filled {
    fn literal(&mut self, text: &str, raw: usize, references: usize) {
        if text.is_empty() {
            return;
        }
        self.literal_before |= references == 0;
        self.literal_after |= references > 0;
        self.segments.push(Segment { text: self.text.len(), origin: raw, linear: true });
        self.text.push_str(text);
    }

    fn value(&mut self, value: &str, raw: usize) {
        self.segments.push(Segment { text: self.text.len(), origin: raw, linear: false });
        self.text.push_str(value);
    }

    /// Whether there was nothing to look up, only `$${`.
    pub(super) fn is_escape_only(&self) -> bool {
        self.segments.iter().all(|segment| segment.linear)
    }

    /// Whether all that was looked up is empty.
    pub(super) fn is_empty_value(&self) -> bool {
        let ends = self.segments.iter().skip(1).map(|next| next.text).chain([self.text.len()]);
        self.segments.iter().zip(ends).all(|(segment, end)| segment.linear || segment.text == end)
    }
}

type Fault = (String, &'static str);

fn value_of(inside: Option<&str>, lookup: &dyn Lookup, filled: &mut Filled) -> Result<String, Fault> {
    const LITERAL: &str = "write `$${` for a plain `${`";
    let inside = inside.ok_or_else(|| ("this `${` is never closed".to_owned(), LITERAL))?;
    let reference =
        reference(inside).ok_or_else(|| (format!("`${{{inside}}}` names nothing that can be looked up"), FORMS))?;
    filled.references.push(reference.clone());
    match reference {
        Reference::File { path } => {
            let text = lookup.file(&path).map_err(|why| (format!("can't read the file `{path}`: {why}"), FILE))?;
            let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            Ok(text.to_owned())
        }
        Reference::Var { name, default } => {
            filled.has_default |= default.is_some();
            match (lookup.var(&name), default) {
                (Some(value), None) => Ok(value),
                (Some(value), Some(_)) if !value.is_empty() => Ok(value),
                (_, Some(default)) => Ok(default),
                (None, None) => Err((format!("the environment variable `{name}` isn't set"), UNSET)),
            }
        }
    }
}

/// Returns for each reference of a text that was filled whether it has a default.
pub(super) fn defaults(raw: &str) -> impl Iterator<Item = bool> {
    let starts = raw.match_indices("${").filter(|(at, _)| !raw.get(..*at).is_some_and(|before| before.ends_with('$')));
    starts.map(|(at, _)| {
        let inside = raw.get(at + 2..).and_then(|rest| rest.split('}').next()).unwrap_or_default();
        matches!(reference(inside), Some(Reference::Var { default: Some(_), .. }))
    })
}

const FORMS: &str = "use `${NAME}`, `${NAME:-default}` or `${file:path}`; write `$${` for a plain `${`";
const FILE: &str = "a relative path counts from the folder of the pipeline file";
const UNSET: &str = "set it, or give it a default: `${NAME:-default}` (not for secrets)";

fn reference(inside: &str) -> Option<Reference> {
    if let Some(path) = inside.strip_prefix("file:") {
        return (!path.is_empty() && !path.contains("${")).then(|| Reference::File { path: path.to_owned() });
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let head = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let tail = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let nested = default.is_some_and(|default| default.contains("${"));
    (head && tail && !nested).then(|| Reference::Var { name: name.to_owned(), default: default.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Lookup for Fixed {
        fn var(&self, name: &str) -> Option<String> {
            match name {
                "A" => Some("${B}".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }

        fn file(&self, path: &str) -> Result<String, String> {
            if path == "key" { Ok("s3cret\n\n".to_owned()) } else { Err("no such file".to_owned()) }
        }
    }

    fn check(raw: &str, expect: &str) {
        assert_eq!(fill(raw, &Fixed).unwrap().text, expect, "{raw}");
    }

    fn check_fails(raw: &str, start: usize, end: usize) {
        let mistakes = fill(raw, &Fixed).unwrap_err();
        assert_eq!((mistakes[0].start, mistakes[0].end), (start, end), "{raw}: {mistakes:?}");
    }

    #[test]
    fn values_are_put_in_once() {
        check("x${A}y", "x${B}y");
        check("${NO:-d}${NO:-}", "d");
        check("${EMPTY:-d}|${EMPTY}", "d|");
        check("$${A} and $A", "${A} and $A");
    }

    #[test]
    fn a_file_loses_one_newline() {
        check("${file:key}", "s3cret\n");
    }

    #[test]
    fn mistakes_have_their_place() {
        check_fails("ab${NO}", 2, 7);
        check_fails("ab${", 2, 4);
        check_fails("${1x}", 0, 5);
        check_fails("${}", 0, 3);
        check_fails("é${file:gone}", 2, 14);
        check_fails("${NO:-${A}}", 0, 10);
    }

    #[test]
    fn all_mistakes_of_a_text_are_found() {
        assert_eq!(fill("${X}${Y}", &Fixed).unwrap_err().len(), 2);
    }

    #[test]
    fn what_is_literal_is_known() {
        let of = |raw| {
            let filled = fill(raw, &Fixed).unwrap();
            (filled.literal_before, filled.literal_after, filled.has_default)
        };
        assert_eq!(of("Bearer ${A}"), (true, false, false));
        assert_eq!(of("${A}/x"), (false, true, false));
        assert_eq!(of("${NO:-x}"), (false, false, true));
    }
}
