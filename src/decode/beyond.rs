//! Pages with a number beyond the range of a double, or a text with half of a pair of surrogates. It is JSON, and serde's reader breaks
//! off at it where it looks for a value: so such a page is read again record by record, and only the records that it breaks off in are
//! rejected.

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
        Some(Beyond::Number) => strict::check(&within(document)),
        _ => Err(error),
    })
}

/// Reads a document for rules that look at all of it: where it has numbers beyond a double, they see the greatest, as in jq.
pub(super) fn value(document: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(document).or_else(|error| match Beyond::of(&strict::reason(&error)) {
        Some(Beyond::Number) => serde_json::from_str(&within(document)),
        _ => Err(error),
    })
}

/// Returns a document with the greatest double for each number beyond.
fn within(document: &str) -> String {
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
            _ => text.push_str(token),
        }
        rest = after;
    }
    text + rest
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
            within(r#"{"1e999": [1e999,-2e+400, 1E5], "\"1e999": "\\", "é": -0, "b": 1e999}"#),
            format!(r#"{{"1e999": [{max},-{max}, 1E5], "\"1e999": "\\", "é": -0, "b": {max}}}"#)
        );
        let long = format!("[{}]", "9".repeat(400));
        assert_eq!(within(&long), format!("[{max}]"));
        assert!(check(r#"{"a": 1e999, "a": 2}"#).is_err(), "a key twice is one still");
        assert!(check(r#"{"a": 1e999, }"#).is_err());
        assert!(check(r#"{"a": 1e999, "b": [-1e999]}"#).is_ok());
    }
}
