//! Why a row doesn't fit, kept while the pass goes on.

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
}

/// What one row's visit leaves behind, beside the values.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The first misfit.
    pub(super) misfit: Option<Misfit>,
    /// Some misfit may vanish if the working schema grows.
    pub(super) grows: bool,
    /// Unknown fields are left out, and counted here.
    pub(super) discard: bool,
    pub(super) discarded: u64,
}

impl Row {
    /// Keeps a misfit. The answer tells the caller's caller whether the path is its to complete: false means it is.
    pub(super) fn misfit(&mut self, expected: &str, got: String) -> bool {
        if self.misfit.is_some() {
            return true;
        }
        let expected = expected.to_owned();
        self.misfit = Some(Misfit { path: String::new(), expected, got });
        false
    }

    pub(super) fn within(&mut self, part: &str) {
        if let Some(misfit) = &mut self.misfit {
            let dot = if misfit.path.is_empty() || misfit.path.starts_with('[') { "" } else { "." };
            misfit.path = format!("{part}{dot}{}", misfit.path);
        }
    }
}

/// Makes the report of a row that didn't fit; `raw` are the texts of the page's records.
pub(super) fn report(ordinal: u64, misfit: &Misfit, raw: &[&str]) -> RejectedRow {
    let text = usize::try_from(ordinal).ok().and_then(|at| raw.get(at)).copied().unwrap_or_default();
    RejectedRow {
        ordinal,
        column: misfit.path.clone(),
        expected: misfit.expected.clone(),
        got: misfit.got.clone(),
        raw: text.into(),
    }
}

/// Says in a few words what a raw JSON text is.
pub(super) fn describe(text: &str) -> String {
    match text.as_bytes().first() {
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
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
