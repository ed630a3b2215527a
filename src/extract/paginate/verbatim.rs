//! What doesn't go back as it came. A decimal is kept as a double, which has 17 digits at most and one way to be written; a header is
//! kept as UTF-8.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Given, PaginateError, compare};

/// An integer of so many characters may have more digits than a double.
const EXACT_DIGITS: usize = 15;

/// What of a number has to come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// Its text: a server may give meaning to any of it, such as to the last zero of `1.10`.
    AsWritten,
    /// What it counts.
    ByValue,
}

/// Returns the first number of a JSON text that would be sent otherwise than it is written, and as what.
#[must_use]
pub fn rewritten(json: &str, digits: Digits) -> Option<(&str, String)> {
    Numbers(json.as_bytes()).find_map(|number| Some((number, changed(number, digits)?)))
}

/// Reads `value`, a JSON text with numbers as they are written in the JSON `body` that it is from.
///
/// # Errors
/// The number that isn't what would be sent. One that was worked out, so that it doesn't stand in `body` at all, is as it should be.
pub fn as_sent(value: &str, body: &[u8], digits: Digits) -> Result<Value, String> {
    let stands = |number: &str| Numbers(body).any(|other| other == number);
    let lost = Numbers(value.as_bytes()).find(|number| changed(number, digits).is_some() && stands(number));
    match (lost, serde_json::from_str(value)) {
        (None, Ok(value)) => Ok(value),
        (Some(number), _) => Err(number.to_owned()),
        (None, Err(_)) => Err(value.to_owned()),
    }
}

/// Returns what is sent of a number, where that isn't what is written.
fn changed(number: &str, digits: Digits) -> Option<String> {
    // Beyond the range of a double there is none.
    let sent = serde_json::from_str::<Number>(number).map_or_else(|_| "nothing".to_owned(), |sent| sent.to_string());
    let is_kept = match digits {
        Digits::AsWritten => number == sent,
        Digits::ByValue => {
            compare(&number.into(), &sent.as_str().into()) == Ordering::Equal || (is_short(number) && sent != "nothing")
        }
    };
    (!is_kept).then_some(sent)
}

/// Returns what a page gives to move on by, unless it is from a header that couldn't be read: its bytes aren't UTF-8, and what stands
/// in their place would go back instead of them. `headers` is an object of the headers' values.
pub fn as_it_came(given: Given, headers: &Value, page: u64) -> Result<Given, PaginateError> {
    match given {
        Given::Next(value) if holds_replaced(&value) && holds_replaced(headers) => {
            Err(PaginateError::Unreadable { page, given: value.to_string() })
        }
        given => Ok(given),
    }
}

/// Tells whether any text in a value has the character that stands for bytes that are no character.
fn holds_replaced(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(char::REPLACEMENT_CHARACTER),
        Value::Array(items) => items.iter().any(holds_replaced),
        Value::Object(fields) => fields.values().any(holds_replaced),
        _ => false,
    }
}

/// Tells whether a number has so few digits that a double has them all, whichever way it is written.
fn is_short(text: &str) -> bool {
    text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).filter(u8::is_ascii_digit).count() <= EXACT_DIGITS
}

/// The numbers of a JSON text that a double may change: those with a point or an exponent, long ones, and the zero with a sign.
struct Numbers<'b>(&'b [u8]);

impl<'b> Iterator for Numbers<'b> {
    type Item = &'b str;

    fn next(&mut self) -> Option<&'b str> {
        loop {
            let start = self.0.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            let token = &self.0[start..];
            let is_text = token[0] == b'"';
            let end = if is_text { end_of_string(token) } else { end_of_number(token) };
            let (token, rest) = token.split_at(end);
            self.0 = rest;
            let may_change = token.len() > EXACT_DIGITS
                || token == b"-0"
                || token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
            if !is_text && may_change {
                return std::str::from_utf8(token).ok();
            }
        }
    }
}

fn end_of_string(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn end_of_number(text: &[u8]) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_goes_back_as_it_is_written_or_is_told() {
        let sent =
            |value: &str| as_sent(value, format!(r#"{{"note": "\\\"" , "n": {value}}}"#).as_bytes(), Digits::AsWritten);
        for text in [
            "1700000000.1234567890",
            "1.10",
            "1e3",
            "0.10000000000000000001",
            "-0",
            "123456789012345678901234567890",
            "1e999",
        ] {
            assert_eq!(sent(text), Err(text.to_owned()));
            assert_eq!(sent(&format!("[1, {{\"a\": {text}}}]")), Err(text.to_owned()));
        }
        for text in
            ["1700000000.1234567", "-0.5", "1.0", "12", "\"1.10\"", "null", "18446744073709551615", "[1.5,\"1.50\"]"]
        {
            assert_eq!(sent(text), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
        // Beside a number that is the same double, and is kept.
        assert_eq!(as_sent("1.10", br#"{"w": 1.1, "n": 1.10}"#, Digits::AsWritten), Err("1.10".to_owned()));
        assert_eq!(as_sent("2.50", br#"{"price": 1.25}"#, Digits::AsWritten), Ok(json!(2.5)), "worked out");
        assert_eq!(rewritten(r#"{"a": "1.10", "b": [7, 2.50]}"#, Digits::AsWritten), Some(("2.50", "2.5".to_owned())));
    }

    #[test]
    fn what_a_header_gives_that_is_no_utf_8_does_not_go_back() {
        let odd = serde_json::json!({"x-next": "k\u{fffd}", "date": "today"});
        let is_taken = |value: &Value, headers: &Value| {
            let given = Given::Next(value.clone());
            as_it_came(given.clone(), headers, 2).map(|taken| assert_eq!(taken, given)).is_ok()
        };
        for value in [serde_json::json!("k\u{fffd}"), serde_json::json!({"a": ["k\u{fffd}"]})] {
            assert!(!is_taken(&value, &odd), "{value}");
            assert!(is_taken(&value, &serde_json::json!({"x-next": "ké"})), "the server wrote it so in the body");
        }
        assert!(is_taken(&serde_json::json!("ké"), &odd));
        assert_eq!(as_it_came(Given::Absent, &odd, 2), Ok(Given::Absent));
        let error = as_it_came(Given::Next(serde_json::json!("k\u{fffd}")), &odd, 2).unwrap_err().to_string();
        assert!(error.starts_with("page 2 gives \"k\u{fffd}\" to go on by, from a header whose bytes"), "{error}");
    }

    #[test]
    fn a_number_to_seek_by_may_be_written_otherwise_but_not_lose_digits() {
        let sent = |value: &str| as_sent(value, value.as_bytes(), Digits::ByValue);
        for text in ["1.10", "1e3", "1700000000.1234567", "1700000000.123000000000", "2.5e-3", "-0"] {
            assert!(sent(text).is_ok(), "{text}");
        }
        for text in ["1700000000.1234567890", "100000000000000000001", "0.10000000000000000001", "1e999"] {
            assert_eq!(sent(text), Err(text.to_owned()));
        }
    }
}
