//! Pages of one JSON document a line.

use serde::de::IgnoredAny;

use super::beyond;
use super::error::{DecodeError, excerpt, remedy};
use super::strict;
use crate::model::AnswerFormat;

/// Returns the lines that aren't blank, and whether each is JSON is for their reader to find out.
///
/// # Errors
/// Where the only line is a list: that is a page of JSON.
pub(super) fn split(text: &str) -> Result<Vec<&str>, DecodeError> {
    let lines: Vec<&str> = numbered(text).map(|(_, line)| line).collect();
    match lines.as_slice() {
        [line] if line.starts_with('[') && serde_json::from_str::<IgnoredAny>(line).is_ok() => {
            Err(DecodeError::OneJson { due: AnswerFormat::JsonLines.name(), excerpt: excerpt(line.as_bytes(), 0) })
        }
        _ => Ok(lines),
    }
}

/// Returns the lines that aren't blank, with their numbers, from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(|(at, line)| (at + 1, line.trim_ascii())).filter(|(_, line)| !line.is_empty())
}

/// Returns all lines as one JSON list.
///
/// # Errors
/// Where a line isn't JSON: it could end the list.
pub(super) fn list(text: &str) -> Result<String, DecodeError> {
    let lines = split(text)?;
    let mut list = String::with_capacity(text.len() + 2);
    for (ordinal, line) in lines.iter().enumerate() {
        beyond::check(line).map_err(|broken| error(text, ordinal, line, &broken))?;
        list.push(if ordinal == 0 { '[' } else { ',' });
        list.push_str(line);
    }
    list.push_str(if lines.is_empty() { "[]" } else { "]" });
    Ok(list)
}

/// Makes the error of the line that is the `ordinal`-th record, from 0.
pub(super) fn error(text: &str, ordinal: usize, line: &str, error: &serde_json::Error) -> DecodeError {
    let number = numbered(text).nth(ordinal).map_or(0, |(number, _)| number);
    let offset = error.column().saturating_sub(1).min(line.len());
    let (reason, excerpt) = (strict::reason(error), excerpt(line.as_bytes(), offset));
    let own = "each document stands on a line of its own: for a body that is one document write `format: json`, else tell the \
               server's owner";
    let remedy = remedy(&reason, line, offset).unwrap_or(own);
    DecodeError::Line { line: number, offset, reason, excerpt, remedy }
}

/// Tells whether the last line is only the beginning of a document.
pub(super) fn is_cut(text: &str) -> bool {
    let last = text.trim_ascii_end().rsplit('\n').next().unwrap_or_default();
    serde_json::from_str::<IgnoredAny>(last).is_err_and(|error| error.is_eof()) && !last.trim_ascii().is_empty()
}
