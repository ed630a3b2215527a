//! Turns a problem into a diagnostic: the words of the file, the nearest known name, and no value of the environment.

use super::advice;
use super::diagnostic::{Diagnostic, Span};
use super::problem::{Problem, What};
use super::tree::{Kind, Node, Resolved};

/// How alike two names must be, from 0 to 1, for one to be taken for a misspelling of the other.
const ALIKE: f64 = 0.6;

/// More names than that are listed only where nothing else helps.
const LONG_LIST: usize = 12;

/// Describes a node to its author. What stood behind `${...}` isn't shown.
pub(super) fn describe(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.filled.is_some() => format!("the value of `{}`", scalar.raw),
        Kind::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => "nothing".to_owned(),
            Resolved::Bool(value) => format!("`{value}`"),
            Resolved::Number(number) => format!("the number `{number}`"),
            Resolved::Str(text) => format!("the text `{}`", shorten(text)),
        },
        Kind::Map(_) => "a map".to_owned(),
        Kind::Seq(_) => "a list".to_owned(),
        Kind::Hole | Kind::Wild(_) => "a value that was refused".to_owned(),
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}...", line.get(..cut).unwrap_or_default()),
        None if line.len() < text.trim_end().len() => format!("{line}..."),
        None => line.to_owned(),
    }
}

/// Lists known names.
pub(super) fn names(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Returns the known name that `name` is most likely a misspelling of.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let squeeze = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let written = squeeze(name);
    let alike = |known: &&str| strsim::normalized_damerau_levenshtein(&written, &squeeze(known));
    let best = known.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= ALIKE).then_some(best)
}

/// Makes the diagnostic of a problem at `span`, found in `node`. Nothing comes back for a mere effect of another one.
pub(super) fn explain(problem: Problem, node: &Node, span: Span) -> Option<Diagnostic> {
    let diagnostic = match problem.what {
        What::Silent => return None,
        What::Ready(diagnostic) => return Some(*diagnostic),
        What::UnknownField { name, known } => unknown(span, "field", &name, known),
        What::UnknownVariant { name, known } => unknown(span, "name", &name, known),
        What::Missing(name) => Diagnostic::error(span, format!("missing field `{name}`"))
            .label("in this map")
            .help(advice::of_missing(name)),
        What::Type { found, expected } => mismatch(node, span, &found, expected),
        What::Value { found, expected } => {
            let found = if is_filled(node) { describe(node) } else { found };
            Diagnostic::error(span, format!("expected {expected}, found {found}")).expected(expected)
        }
        What::Length { found, expected } => {
            Diagnostic::error(span, format!("expected {expected}, found {found} items")).expected(expected)
        }
        What::Custom(message) => Diagnostic::error(span, message),
    };
    Some(without_values(diagnostic, node))
}

fn unknown(span: Span, what: &str, name: &str, known: &[&str]) -> Diagnostic {
    let found = Diagnostic::error(span, format!("unknown {what} `{name}`"));
    let near = || nearest(name, known).map(|near| format!("did you mean `{near}`?"));
    let help = super::advice::of_field(name, known).or_else(near);
    let found = match known {
        [] => found.expected(format!("no {what} here")),
        // Who is told the name needn't read forty others.
        _ if help.is_some() && known.len() > LONG_LIST => found,
        _ => found.expected(names(known)),
    };
    match help {
        Some(help) => found.help(help),
        None => found,
    }
}

fn mismatch(node: &Node, span: Span, found: &str, expected: String) -> Diagnostic {
    let found = if is_filled(node) { describe(node) } else { found.to_owned() };
    let diagnostic = Diagnostic::error(span, format!("expected {expected}, found {found}"));
    let Kind::Scalar(scalar) = &node.kind else { return diagnostic.expected(expected) };
    let help = match scalar.resolve() {
        _ if scalar.filled.is_some() => None,
        Resolved::Number(_) | Resolved::Bool(_) if expected.contains("text") => {
            Some(format!("{}: `'{}'`", super::syntax::USE_QUOTES, scalar.raw))
        }
        Resolved::Str(text) if expected.contains("number") && super::tree::is_json_number(text) => {
            Some(format!("remove the quotes: `{text}`"))
        }
        Resolved::Str(text) if expected.contains("`true`") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
            "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
            _ => None,
        },
        Resolved::Str(text) if expected == "a list" => Some(format!("write `[{text}]`")),
        _ => None,
    };
    let diagnostic = diagnostic.expected(expected);
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

fn is_filled(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.filled.is_some())
}

/// Puts `${...}` back where a message holds what it stood for: that may be a secret in the wrong field.
fn without_values(mut diagnostic: Diagnostic, node: &Node) -> Diagnostic {
    node.each_scalar(&mut |scalar| {
        if scalar.filled.is_some() && !scalar.text().is_empty() {
            // Messages print texts as they are, or escaped for Rust.
            for value in [scalar.text(), scalar.text().escape_debug().to_string().as_str()] {
                for text in [Some(&mut diagnostic.message), diagnostic.expected.as_mut(), diagnostic.help.as_mut()] {
                    if let Some(text) = text.filter(|text| text.contains(value)) {
                        *text = text.replace(value, &scalar.raw);
                    }
                }
            }
        }
    });
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["length", "size_into", "first", "max_pages"];
        assert_eq!(nearest("lenght", &known), Some("length"));
        assert_eq!(nearest("sizeInto", &known), Some("size_into"));
        assert_eq!(nearest("max-pages", &known), Some("max_pages"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
