//! How seek values compare, and what lies one unit further on. All digits count.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta};
use serde_json::Value;

use super::seek::Order;

/// Compares two values: as numbers where both are whole numbers or decimals (also in strings), with all their digits; as instants
/// where both are times, with a time zone or without; else as text.
#[must_use]
pub fn compare(a: &Value, b: &Value) -> Ordering {
    let (a_text, b_text) = (text(a), text(b));
    if let (Some(a), Some(b)) = (Decimal::parse(&a_text), Decimal::parse(&b_text)) {
        return a.cmp(&b);
    }
    if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
        return a.total_cmp(&b);
    }
    if let (Ok(a), Ok(b)) = (DateTime::parse_from_rfc3339(&a_text), DateTime::parse_from_rfc3339(&b_text)) {
        return a.cmp(&b);
    }
    match (naive(&a_text), naive(&b_text)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a_text.cmp(&b_text),
    }
}

/// Tells whether a value is a number or a time. Of other texts only the server knows the order: it may not go by their bytes.
pub(super) fn is_number_or_time(value: &Value) -> bool {
    let text = text(value);
    Decimal::parse(&text).is_some() || DateTime::parse_from_rfc3339(&text).is_ok() || naive(&text).is_some()
}

/// How times without a time zone are written, before their decimals.
const NAIVE: [&str; 2] = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];

/// Reads a time without a time zone.
fn naive(text: &str) -> Option<NaiveDateTime> {
    NAIVE.iter().find_map(|format| NaiveDateTime::parse_from_str(text, &format!("{format}%.f")).ok())
}

/// Returns the value one unit further on in `order`: of a number one unit of its last digit, of a date a day, of a time a second
/// or a unit of its last decimal. `None` where the value has no unit.
#[must_use]
pub fn further(value: &Value, order: Order) -> Option<Value> {
    let text = text(value);
    if let Some(decimal) = Decimal::parse(&text) {
        let stepped = decimal.step(order)?;
        // A number stays a number, digits in a string stay a string.
        return if value.is_string() { Some(Value::from(stepped)) } else { serde_json::from_str(&stepped).ok() };
    }
    further_time(&text, order).map(Value::from)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn further_time(text: &str, order: Order) -> Option<String> {
    let sign = if order == Order::Asc { 1 } else { -1 };
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return date.checked_add_signed(TimeDelta::days(sign)).map(|date| date.to_string());
    }
    let decimals = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (unit, printed) = match decimals {
        0 => (TimeDelta::seconds(sign), SecondsFormat::Secs),
        1..=3 => (TimeDelta::milliseconds(sign), SecondsFormat::Millis),
        4..=6 => (TimeDelta::microseconds(sign), SecondsFormat::Micros),
        _ => (TimeDelta::nanoseconds(sign), SecondsFormat::Nanos),
    };
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return instant.checked_add_signed(unit).map(|instant| instant.to_rfc3339_opts(printed, text.ends_with('Z')));
    }
    let fraction = ["", "%.3f", "%.6f", "%.9f"][decimals.div_ceil(3).min(3)];
    NAIVE.iter().find_map(|format| {
        let time = NaiveDateTime::parse_from_str(text, &format!("{format}%.f")).ok()?;
        time.checked_add_signed(unit).map(|time| time.format(&format!("{format}{fraction}")).to_string())
    })
}

/// A decimal number of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal<'a> {
    negative: bool,
    /// Digits before the point, with no leading zeros.
    whole: &'a str,
    /// Digits after the point, with no trailing zeros.
    fraction: &'a str,
    /// Digits after the point as they were written.
    scale: usize,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(whole, rest)| (whole, Some(rest)));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !fraction.is_none_or(digits) {
            return None;
        }
        let scale = fraction.map_or(0, str::len);
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.unwrap_or_default().trim_end_matches('0'));
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: text.starts_with('-') && !zero, whole, fraction, scale })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let length = self.whole.len().cmp(&other.whole.len());
        length.then_with(|| self.whole.cmp(other.whole)).then_with(|| self.fraction.cmp(other.fraction))
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }

    /// Adds or takes away one unit of the last digit that was written.
    fn step(&self, order: Order) -> Option<String> {
        let digits = format!("{}{:0<scale$}", self.whole, self.fraction, scale = self.scale);
        let magnitude: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let signed = if self.negative { -magnitude } else { magnitude };
        let stepped = signed.checked_add(if order == Order::Asc { 1 } else { -1 })?;
        let sign = if stepped < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", stepped.unsigned_abs(), width = self.scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale);
        let point = if self.scale > 0 { "." } else { "" };
        Some(format!("{sign}{whole}{point}{fraction}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(a: Value, b: Value, expected: Ordering) {
        assert_eq!(compare(&a, &b), expected, "{a} {b}");
        assert_eq!(compare(&b, &a), expected.reverse(), "{b} {a}");
    }

    #[test]
    fn numbers_compare_as_numbers_with_all_their_digits() {
        check(json!("9"), json!("10"), Ordering::Less);
        check(json!("9"), json!(10), Ordering::Less);
        check(json!("-9"), json!("-10"), Ordering::Greater);
        check(json!("-0"), json!("0.0"), Ordering::Equal);
        check(json!("007"), json!("7.00"), Ordering::Equal);
        check(json!("123456789012345678901234567890"), json!("123456789012345678901234567891"), Ordering::Less);
        check(json!("1.05"), json!("1.5"), Ordering::Less);
        check(json!(1e300), json!(1e299), Ordering::Greater);
    }

    #[test]
    fn anything_else_compares_as_text() {
        check(json!("2026-01-09"), json!("2026-01-10"), Ordering::Less);
        check(json!("a"), json!("B"), Ordering::Greater);
        check(json!("1."), json!("1"), Ordering::Greater);
    }

    #[test]
    fn times_compare_as_instants() {
        check(json!("2026-01-01T00:00:00.5Z"), json!("2026-01-01T00:00:00Z"), Ordering::Greater);
        check(json!("2026-01-01T01:00:00+01:00"), json!("2026-01-01T00:00:00Z"), Ordering::Equal);
        check(json!("2026-01-01 23:00:00"), json!("2026-01-01T12:00:00"), Ordering::Greater);
        check(json!("2026-01-01 00:00:00.25"), json!("2026-01-01 00:00:00"), Ordering::Greater);
        check(json!("2026-01-01 00:00:00"), json!("2026-01-01T00:00:00Z"), Ordering::Less);
    }

    #[test]
    fn a_unit_further_on_depends_on_the_value() {
        let asc = |value: Value| further(&value, Order::Asc);
        let desc = |value: Value| further(&value, Order::Desc);
        assert_eq!(asc(json!(41)), Some(json!(42)));
        assert_eq!(desc(json!("0")), Some(json!("-1")));
        assert_eq!(desc(json!("1.00")), Some(json!("0.99")));
        assert_eq!(asc(json!("-0.05")), Some(json!("-0.04")));
        assert_eq!(asc(json!("2026-02-28")), Some(json!("2026-03-01")));
        assert_eq!(desc(json!("2026-01-01 00:00:00")), Some(json!("2025-12-31 23:59:59")));
        assert_eq!(asc(json!("2026-01-01T00:00:00.250")), Some(json!("2026-01-01T00:00:00.251")));
        assert_eq!(asc(json!("2026-01-01T00:00:00Z")), Some(json!("2026-01-01T00:00:01Z")));
        assert_eq!(asc(json!("2026-01-01T00:00:00.5+01:00")), Some(json!("2026-01-01T00:00:00.501+01:00")));
        assert_eq!(asc(json!("uuid-like")), None);
    }
}
