//! Texts that YAML reads as something else than their author meant.

use super::diagnostic::{Diagnostic, Span};
use super::explain::describe;
use super::node_de::NodeDe;
use super::problem::{Problem, What};
use super::syntax::{USE_QUOTES, quoted};
use super::tree::{Kind, Resolved, Scalar, Style};

/// Refuses a map, a list or nothing where a text of a language is due.
pub(super) fn not_a_text(de: NodeDe<'_>, language: &str) -> Problem {
    let shown = de.node.span.slice(de.text);
    let bracket = match de.node.kind {
        Kind::Map(_) if shown.starts_with('{') => "map",
        Kind::Seq(_) if shown.starts_with('[') => "list",
        Kind::Hole => return Problem::new(What::Silent),
        _ => return Problem::new(What::Type { found: describe(de.node), expected: language.to_owned() }),
    };
    let indicator = shown.chars().next().unwrap_or_default();
    let message = format!("YAML reads this `{indicator}` as the start of a {bracket}");
    let advice = if shown.contains('\n') { USE_QUOTES.to_owned() } else { advise(shown) };
    Problem::ready(Diagnostic::error(de.node.span, message).expected(language).help(advice))
}

/// Refuses a key with nothing after it, or with what YAML takes for nothing.
pub(super) fn nothing(de: NodeDe<'_>) -> Problem {
    let written = de.node.span.slice(de.text);
    let found = if written.is_empty() {
        Diagnostic::error(de.node.span, "nothing stands after this key").help("write its value, or remove the key")
    } else {
        Diagnostic::error(de.node.span, format!("YAML reads `{written}` as nothing"))
            .help(format!("remove the key; if you mean the text, {USE_QUOTES}: `'{written}'`"))
    };
    Problem::ready(found)
}

/// Returns what is wrong with a scalar that is to be a text of a language.
pub(super) fn mangled(de: NodeDe<'_>, scalar: &Scalar, language: &str) -> Option<Diagnostic> {
    let span = de.node.span;
    if let Some(alias) = de.node.alias {
        let message = "this is an alias of a text that stands elsewhere";
        let help = format!("write {language} where it is used; if it starts with `*`, {USE_QUOTES}");
        return Some(Diagnostic::error(alias, message).help(help));
    }
    if scalar.style != Style::Plain {
        return None;
    }
    if scalar.filled.is_none() {
        if scalar.raw.is_empty() {
            return Some(Diagnostic::error(span, format!("expected {language}, found nothing")).expected(language));
        }
        if let Some(found) = odd_plain(scalar) {
            let message = format!("YAML may read `{}` as {found}", scalar.raw);
            return Some(Diagnostic::error(span, message).expected(language).help(advise(&scalar.raw)));
        }
    }
    comment_after(span, de.text)
}

/// Refuses a plain scalar of a request tree that other readers of YAML take for something else, or that lost its end.
pub(super) fn ambiguous(de: NodeDe<'_>, scalar: &Scalar) -> Option<Diagnostic> {
    if scalar.style != Style::Plain {
        return None;
    }
    if scalar.filled.is_none()
        && matches!(scalar.resolve(), Resolved::Str(_))
        && let Some(found) = odd_plain(scalar)
    {
        let help = match found {
            "a boolean" => format!("{}, or write true or false", advise(&scalar.raw)),
            _ => advise(&scalar.raw),
        };
        let message = format!("some read `{}` as {found}, others as a text", scalar.raw);
        return Some(Diagnostic::error(de.node.span, message).help(help));
    }
    scalar.raw.contains("{{").then(|| comment_after(de.node.span, de.text)).flatten()
}

/// Says what a plain scalar is to YAML 1.1 or 1.2, where it isn't simply a text.
fn odd_plain(scalar: &Scalar) -> Option<&'static str> {
    let lower = scalar.raw.to_ascii_lowercase();
    match lower.as_str() {
        "null" | "~" => return Some("null"),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" => return Some("a boolean"),
        ".inf" | "+.inf" | "-.inf" | ".nan" => return Some("a number"),
        _ => {}
    }
    let unsigned = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
    let radix = unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0o")).or(unsigned.strip_prefix("0b"));
    let digits = radix.unwrap_or(unsigned);
    let number = digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_') && radix.is_some()
        || digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') && digits.starts_with(char::is_numeric)
        || lower.parse::<f64>().is_ok_and(f64::is_finite)
        || is_sexagesimal(unsigned);
    number.then_some("a number")
}

/// Whether YAML 1.1 counts the text in sixties, as it does `12:30`.
fn is_sexagesimal(text: &str) -> bool {
    let is_part = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    text.contains(':') && text.split(':').all(is_part)
}

fn advise(text: &str) -> String {
    format!("{USE_QUOTES}: `{}`", quoted(text))
}

/// Refuses a plain text that ends at a ` #`: what follows may have been meant as a part of it. After two blanks or more it is meant as a
/// comment.
fn comment_after(span: Span, text: &str) -> Option<Diagnostic> {
    let rest = text.get(span.end..)?.lines().next()?;
    let comment = rest.trim_start_matches([' ', '\t']);
    if rest.len() - comment.len() != 1 || !comment.starts_with('#') {
        return None;
    }
    let start = span.end + rest.len() - comment.len();
    let end = span.end + rest.trim_end().len();
    Some(
        Diagnostic::error(Span::new(start, end), "YAML takes this for a comment, and ends the text before it")
            .label("a comment, or a part of the text?")
            .help(format!("if it is a part of the text, {USE_QUOTES}; if not, put two blanks before the comment")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_plain(raw: &str) -> Option<&'static str> {
        odd_plain(&Scalar { raw: raw.to_owned(), style: Style::Plain, filled: None })
    }

    #[test]
    fn what_stands_behind_two_blanks_is_a_comment() {
        let found = |text: &str| comment_after(Span::new(0, 2), text).is_some();
        assert!(found(".a # b") && found(".a\t#b"));
        assert!(!found(".a  # b") && !found(".a") && !found(".a#b") && !found(".a\n # b"));
    }

    #[test]
    fn odd_scalars_are_known() {
        for raw in ["no", "Yes", "ON", "~", "null", "010", "0x1F", "1_000", ".5", "1e3", "+1", "12:30", ".inf", "-0o7"]
        {
            assert!(check_plain(raw).is_some(), "{raw}");
        }
        for raw in ["none", "deadbeef", "_", "1.2.3.4", "2026-01-01", "10/s", ".rsp", "a:b", "1d", "0xyz", "infinity"] {
            assert_eq!(check_plain(raw), None, "{raw}");
        }
    }
}
