//! What doesn't go back as it came. A decimal is kept as a double, which has 17 digits at most and one way to be written; a header is
//! kept as UTF-8.

use std::cmp::Ordering;

use serde_json::Value;

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

/// Returns the text of a number in `value` that isn't what will be sent, as it stands in the JSON `body` that the value is from; none
/// where all come through. A number that was worked out, so that it doesn't stand there at all, is as it should be.
#[must_use]
pub fn rewritten<'b>(value: &Value, body: &'b [u8], digits: Digits) -> Option<&'b str> {
    match value {
        Value::Number(number) if number.is_f64() => {
            let (double, printed) = (number.as_f64()?, number.to_string());
            let is_kept = |text: &str| match digits {
                Digits::AsWritten => text == printed,
                Digits::ByValue => compare(&text.into(), &printed.as_str().into()) == Ordering::Equal || is_short(text),
            };
            let mut changed = None;
            for text in Numbers(body).filter(|text| text.parse() == Ok(double)) {
                if is_kept(text) {
                    return None;
                }
                changed = changed.or(Some(text));
            }
            changed
        }
        Value::Array(items) => items.iter().find_map(|item| rewritten(item, body, digits)),
        Value::Object(fields) => fields.values().find_map(|field| rewritten(field, body, digits)),
        _ => None,
    }
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

/// The numbers of a JSON text that a double may change: those with a point or an exponent, and long ones.
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
            if !is_text && (token.len() > EXACT_DIGITS || token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))) {
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
    use super::*;

    fn found(body: &str, digits: Digits) -> Option<&str> {
        let value: Value = serde_json::from_str(body).unwrap();
        rewritten(&value["next"], body.as_bytes(), digits)
    }

    #[test]
    fn a_number_goes_back_as_it_is_written_or_is_told() {
        for text in ["1700000000.1234567890", "1.10", "1e3", "0.10000000000000000001", "[1, {\"a\": 2.50}]"] {
            let body = format!(r#"{{"note": "\\" , "next": {text}, "rows": ["\"1.1", 7]}}"#);
            let number = text.trim_start_matches("[1, {\"a\": ").trim_end_matches("}]");
            assert_eq!(found(&body, Digits::AsWritten), Some(number), "{body}");
        }
        for text in
            ["1700000000.1234567", "-0.5", "1.0", "12", "\"1.10\"", "null", "18446744073709551615", "[1.5, \"1.50\"]"]
        {
            let body = format!(r#"{{"next": {text}, "rows": [1.10, 2e5]}}"#);
            assert_eq!(found(&body, Digits::AsWritten), None, "{body}");
        }
        assert_eq!(
            rewritten(&Value::from(0.25), br#"{"ms": 250, "price": 1.50}"#, Digits::AsWritten),
            None,
            "worked out"
        );
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
        for text in ["1.10", "1e3", "1700000000.1234567", "1700000000.123000000000", "2.5e-3"] {
            assert_eq!(found(&format!(r#"{{"next": {text}}}"#), Digits::ByValue), None, "{text}");
        }
        for text in ["1700000000.1234567890", "100000000000000000001", "0.10000000000000000001"] {
            assert_eq!(found(&format!(r#"{{"next": {text}}}"#), Digits::ByValue), Some(text));
        }
    }
}
