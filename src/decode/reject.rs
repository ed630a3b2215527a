//! Why a row doesn't fit, kept while the pass goes on.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::RejectedRow;
use super::infer::Number;

/// Why a row doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The column, with a dot before each field and `[]` for the items of a list.
    pub(super) path: String,
    /// What was due.
    pub(super) expected: String,
    /// What came.
    pub(super) got: String,
    /// It is one value that doesn't fit, where a null could stand; else the record itself isn't what it should be.
    pub(super) is_value: bool,
}

/// What one row's visit leaves behind, beside the values.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two are settings, and two are facts that are independent of each other"
)]
pub(super) struct Row {
    /// The first misfit.
    pub(super) misfit: Option<Misfit>,
    /// Some misfit may vanish if the working schema grows.
    pub(super) grows: bool,
    /// Values that don't fit are null: then what is wrong with the record as such comes before them.
    pub(super) nulls: bool,
    /// Values that don't fit, in this record.
    pub(super) values: u64,
    /// Unknown fields are left out, and counted here.
    pub(super) discard: bool,
    pub(super) discarded: u64,
    /// Something came that the columns don't tell, and which counts should the type of its column change.
    pub(super) loses: bool,
}

impl Row {
    /// Keeps what is wrong with the record as such, if it is the first misfit. The answer tells the caller's caller whether the path
    /// is its to complete: false means it is.
    pub(super) fn misfit(&mut self, expected: &str, got: String) -> bool {
        if self.misfit.as_ref().is_some_and(|misfit| !(misfit.is_value && self.nulls)) {
            return true;
        }
        self.keep(expected, got, false)
    }

    /// Keeps that a value doesn't fit, the first of them; answers as `misfit` does.
    pub(super) fn value_misfit(&mut self, expected: &str, got: String) -> bool {
        self.values += 1;
        if self.misfit.is_some() {
            return true;
        }
        self.keep(expected, got, true)
    }

    fn keep(&mut self, expected: &str, got: String, is_value: bool) -> bool {
        self.misfit = Some(Misfit { path: String::new(), expected: expected.to_owned(), got, is_value });
        false
    }

    pub(super) fn within(&mut self, part: &str) {
        if let Some(misfit) = &mut self.misfit {
            let dot = if misfit.path.is_empty() || misfit.path.starts_with('[') { "" } else { "." };
            misfit.path = format!("{part}{dot}{}", misfit.path);
        }
    }
}

/// Values that don't fit and are null, on one page.
#[derive(Debug, Default)]
pub(super) struct Nulls {
    /// How many.
    pub(super) values: u64,
    /// The first of them: the record's ordinal, and what it is.
    pub(super) first: Option<(u64, Misfit)>,
}

impl Nulls {
    /// Notes the values of one record, of which `misfit` is the first.
    pub(super) fn note(&mut self, values: u64, ordinal: u64, misfit: Misfit) {
        self.values += values;
        self.first.get_or_insert((ordinal, misfit));
    }
}

/// Makes the report of a row that didn't fit; `raw` are the texts of the page's records.
pub(super) fn report(ordinal: u64, misfit: &Misfit, raw: &[&str]) -> RejectedRow {
    let text = usize::try_from(ordinal).ok().and_then(|at| raw.get(at)).copied().unwrap_or_default();
    RejectedRow {
        ordinal,
        column: misfit.path.clone(),
        expected: misfit.expected.clone(),
        got: digits(misfit, text).unwrap_or_else(|| misfit.got.clone()),
        raw: text.into(),
    }
}

/// Returns what came with all its digits, where it is a number that was read as a double.
fn digits(misfit: &Misfit, record: &str) -> Option<String> {
    let double: f64 = misfit.got.strip_prefix("number ")?.parse().ok()?;
    let mut came = None;
    numbers_at(&misfit.path, record, &mut |text| {
        if text.parse().is_ok_and(|number: f64| number.to_bits() == double.to_bits()) {
            came.get_or_insert_with(|| describe(text));
        }
    });
    came
}

/// Gives the texts of the numbers at a path within a JSON text to `take`. A name may have a dot, so each one is tried.
fn numbers_at(path: &str, text: &str, take: &mut impl FnMut(&str)) {
    match (text.as_bytes().first(), path.strip_prefix("[]")) {
        (Some(b'-' | b'0'..=b'9'), _) if path.is_empty() => take(text),
        (Some(b'['), Some(rest)) => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            for item in items {
                numbers_at(rest.strip_prefix('.').unwrap_or(rest), item.get(), take);
            }
        }
        (Some(b'{'), _) => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
            for (name, value) in fields {
                let Some(rest) = path.strip_prefix(name.as_str()) else { continue };
                if rest.is_empty() || rest.starts_with(['.', '[']) {
                    numbers_at(rest.strip_prefix('.').unwrap_or(rest), value.get(), take);
                }
            }
        }
        _ => {}
    }
}

/// Tells whether the text of a list or an object holds nothing.
fn is_empty(text: &str) -> bool {
    text.get(1..text.len() - 1).is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Says in a few words what a raw JSON text is.
pub(super) fn describe(text: &str) -> String {
    match text.as_bytes().first() {
        Some(b'{') => if is_empty(text) { "an empty object" } else { "an object" }.to_owned(),
        Some(b'[') => if is_empty(text) { "an empty list" } else { "a list" }.to_owned(),
        Some(b'"') => format!("string {}", cut(text)),
        Some(b'-' | b'0'..=b'9') if matches!(Number::parse(text), Number::Decimal(_)) => {
            format!("number {}", cut(text))
        }
        Some(b'-' | b'0'..=b'9') => format!("integer {}", cut(text)),
        _ => cut(text),
    }
}

pub(super) fn quote(value: &str) -> String {
    format!("string \"{}\"", cut(value))
}

/// Cuts a text after 40 characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_digits_in_the_reason() {
        let got = |path: &str, got: &str, raw: &str| {
            let misfit =
                Misfit { path: path.to_owned(), expected: "int64".to_owned(), got: got.to_owned(), is_value: true };
            report(0, &misfit, &[raw]).got
        };
        let huge = "number 18446744073709552000";
        assert_eq!(got("id", huge, r#"{"id": 18446744073709551616}"#), "integer 18446744073709551616");
        let raw = r#"{"a.b": [{"c": 1}, {"c": 18446744073709551616}], "c": 18446744073709551617}"#;
        assert_eq!(got("a.b[].c", huge, raw), "integer 18446744073709551616");
        assert_eq!(got("n[]", "number 0.5", r#"{"n": [5.0e-1]}"#), "number 5.0e-1");
        assert_eq!(got("n", "number 0.5", "n;0.5"), "number 0.5", "a row of a table isn't JSON");
    }
}
