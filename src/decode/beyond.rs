//! Pages with a number beyond the range of a double, or a text with half of a pair of surrogates. It is JSON, and serde's reader breaks
//! off at it where it looks for a value: so such a page is read again record by record, and only the records that it breaks off in are
//! rejected.

use serde_json::Value;

use super::envelope::{Rows as _, TypedRows};
use super::error::{DecodeError, json};
use super::strict;

/// How `serde_json` says that a number is beyond.
const NUMBER: &str = "number out of range";

/// How it says that a text has half of a pair of surrogates.
const SURROGATES: [&str; 2] = ["lone leading surrogate in hex escape", "unexpected end of hex escape"];

/// What is JSON, and nothing can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// A number beyond the range of a double.
    Number,
    /// A text with half of a pair of surrogates, which is no character.
    Surrogate,
}

impl Beyond {
    /// Says what a reader's reason means, if it is one of these.
    pub(super) fn of(reason: &str) -> Option<Self> {
        match reason {
            NUMBER => Some(Self::Number),
            reason if SURROGATES.contains(&reason) => Some(Self::Surrogate),
            _ => None,
        }
    }

    /// Says what to do about a document that can't be read for it.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Number => {
                "no double holds this number, and here it would cost more than a record: ask for the answer without that field, or \
                 tell the server's owner"
            }
            Self::Surrogate => {
                "half of a pair of surrogates is no character, and here it would cost more than a record: ask for the answer \
                 without that field, or tell the server's owner"
            }
        }
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Number => ("numbers within the range of a double", "one that is beyond"),
            Self::Surrogate => ("texts of whole characters", "one with half of a pair of surrogates"),
        }
    }
}

/// Tells whether a page broke off at such a value.
pub(super) fn is_beyond(error: &DecodeError) -> bool {
    match error {
        DecodeError::Json { reason, .. } | DecodeError::Line { reason, .. } => Beyond::of(reason).is_some(),
        _ => false,
    }
}

/// Reads records one by one: into `trial` first where they have such a value, since a column of JSON text takes it.
pub(super) fn read(raw: &[&str], rows: &mut TypedRows<'_>, trial: &mut TypedRows<'_>) -> Result<(), DecodeError> {
    for record in raw {
        let reads = |rows: &mut TypedRows<'_>| rows.row(&mut serde_json::Deserializer::from_str(record));
        let whole = serde_json::from_str::<serde_json::Value>(record);
        let beyond = whole.err().map(|error| (Beyond::of(&strict::reason(&error)), error));
        match beyond {
            Some((None, error)) => return Err(json(record, &error)),
            Some((Some(beyond), _)) if reads(trial).is_err() => {
                let (expected, got) = beyond.words();
                // A column that isn't pinned takes the number once it is `json`.
                rows.row.grows |= beyond == Beyond::Number;
                rows.reject(expected, got.to_owned());
            }
            _ => reads(rows).map_err(|error| json(record, &error))?,
        }
    }
    Ok(())
}

/// Says in a few words what is wrong with a value that [`check`] refuses.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let reason = strict::reason(error);
    Beyond::of(&reason).map_or(reason, |beyond| beyond.words().1.to_owned())
}

/// As [`strict::check`], for a document whose records are still to be picked out: numbers beyond a double cost those only.
pub(super) fn check(document: &str) -> Result<(), serde_json::Error> {
    strict::check(document).or_else(|error| match Beyond::of(&strict::reason(&error)) {
        Some(Beyond::Number) => strict::check(&within(document, false)),
        _ => Err(error),
    })
}

/// Reads a document for rules that look at all of it: where it has numbers beyond a double, they see the greatest, as in jq.
pub(super) fn value(document: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(document).or_else(|error| match Beyond::of(&strict::reason(&error)) {
        Some(Beyond::Number) => serde_json::from_str(&within(document, false)),
        _ => Err(error),
    })
}

/// What stands for half of a pair of surrogates: Unicode has no such character, and promises never to have one.
const HALF: char = '\u{ffff}';

/// Reads a part of an answer that may not be needed: what is beyond is the greatest double, or a character that is none. What goes on
/// from there to a request is [`is_beyond_value`]'s to find.
pub(super) fn part(text: &str) -> Result<Value, serde_json::Error> {
    strict::value(text).or_else(|error| match Beyond::of(&strict::reason(&error)) {
        Some(_) => strict::value(&within(text, true)),
        None => Err(error),
    })
}

/// Tells whether a value came from an answer in which it is a number beyond a double, or a text with half of a pair of surrogates.
#[must_use]
pub fn is_beyond_value(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() >= f64::MAX),
        Value::String(text) => text.contains(HALF),
        Value::Array(items) => items.iter().any(is_beyond_value),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(HALF) || is_beyond_value(value)),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Returns a document with the greatest double for each number beyond, and where `halves` says so without half pairs of surrogates.
fn within(document: &str, halves: bool) -> String {
    let mut text = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, token) = rest.split_at(at);
        text.push_str(before);
        let end = if token.starts_with('"') { end_of_string(token) } else { end_of_number(token) };
        let (token, after) = token.split_at(end);
        match token.parse::<f64>() {
            Ok(number) if number.is_infinite() => {
                text.push_str(&serde_json::Value::from(f64::MAX.copysign(number)).to_string());
            }
            _ if halves && token.contains("\\u") => whole_pairs(token, &mut text),
            _ => text.push_str(token),
        }
        rest = after;
    }
    text + rest
}

/// Copies a text of JSON, its quotes included, with a character that is none for each surrogate without its other half.
fn whole_pairs(mut token: &str, out: &mut String) {
    while let Some(at) = token.find('\\') {
        let (before, escape) = token.split_at(at);
        out.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push(HALF);
                token = escape.get(6..).unwrap_or_default();
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        out.push_str(escape);
        token = after;
    }
    out.push_str(token);
}

/// Reads `\uXXXX` at the start of a text.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = true;
    let ends = |(_, byte): &(usize, u8)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    };
    text.bytes().enumerate().find(ends).map_or(text.len(), |(at, _)| at + 1)
}

fn end_of_number(text: &str) -> usize {
    text.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_become_the_greatest_and_nothing_else_changes() {
        let max = "1.7976931348623157e308";
        let max = serde_json::Value::from(max.parse::<f64>().unwrap()).to_string();
        assert_eq!(
            within(r#"{"1e999": [1e999,-2e+400, 1E5], "\"1e999": "\\", "é": -0, "b": 1e999}"#, false),
            format!(r#"{{"1e999": [{max},-{max}, 1E5], "\"1e999": "\\", "é": -0, "b": {max}}}"#)
        );
        let long = format!("[{}]", "9".repeat(400));
        assert_eq!(within(&long, true), format!("[{max}]"));
        assert!(check(r#"{"a": 1e999, "a": 2}"#).is_err(), "a key twice is one still");
        assert!(check(r#"{"a": 1e999, }"#).is_err());
        assert!(check(r#"{"a": 1e999, "b": [-1e999]}"#).is_ok());
    }

    #[test]
    fn half_pairs_become_what_is_no_character_and_nothing_else_changes() {
        let text =
            r#"{"\ud83d\ude00\\ud83d": "\ud83d x \ude00\n\u00e9", "b": "\ud83d\ud83d\ude00", "c": ["\ud8", 1e999]}"#;
        let text = text.replace(r#""\ud8""#, r#""\ud800""#);
        let read = part(&text).unwrap();
        assert_eq!(read["\u{1f600}\\ud83d"], Value::from("\u{ffff} x \u{ffff}\n\u{e9}"));
        assert_eq!((&read["b"], &read["c"][0]), (&Value::from("\u{ffff}\u{1f600}"), &Value::from("\u{ffff}")));
        assert!(is_beyond_value(&read["c"]) && is_beyond_value(&read) && is_beyond_value(&read["c"][1]));
        assert!(!is_beyond_value(&serde_json::json!(["\u{1f600}", 1e300, -5, null, {"a": "é"}])));
        assert!(part(r#"{"a": 1e999, "a": 1}"#).is_err() && part(r#"{"a": "\ud800}"#).is_err());
    }
}
