//! Numbers in sentences.

/// Writes a number with what it counts: `1 row`, `2 rows`.
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
