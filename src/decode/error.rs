//! Why a page can't be decoded.

use arrow::error::ArrowError;

use super::beyond::Beyond;
use super::strict;
use crate::lang::foreign::stays_in_place;
use crate::lang::jq::JqRunError;

/// A page that can't be decoded. Rows that don't fit are no error: they are rejected one by one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body has no bytes.
    #[error("the body is empty: {due} was due; if the server means no rows by that, {remedy}")]
    Empty {
        /// The format.
        due: &'static str,
        /// How the pipeline file says so.
        remedy: &'static str,
    },
    /// The body begins with `<`.
    #[error(
        "the body is html or xml, not {due}: {excerpt}; if it is the page of a login or a proxy, check auth and base_url"
    )]
    Html {
        /// The format.
        due: &'static str,
        /// The first 120 bytes of the body.
        excerpt: String,
    },
    /// The body is JSON, where something else was due.
    #[error(
        "the body is one json document, not {due}: {excerpt}; if it is an error, `success` and `error_message` see it"
    )]
    OneJson {
        /// The format.
        due: &'static str,
        /// The first 120 bytes of the body.
        excerpt: String,
    },
    /// The body is compressed.
    #[error(
        "the body is still {how} data: it was compressed more than once, or its header content-encoding doesn't say that it is; \
         ask the server, or a proxy between, not to compress"
    )]
    Compressed {
        /// The compression.
        how: &'static str,
    },
    /// The body isn't UTF-8.
    #[error(
        "the body isn't utf-8 at byte {offset}: {excerpt}; ask for utf-8, as some servers let you with the header `accept-charset: \
         utf-8`, or tell the server's owner"
    )]
    Utf8 {
        /// The first byte that isn't.
        offset: usize,
        /// Some 120 bytes around it.
        excerpt: String,
    },
    /// The answer says that it is written in another character set.
    #[error(
        "the answer's header content-type says that the body is in {charset}, and only utf-8 is read; ask for utf-8, as some servers let \
         you with the header `accept-charset: utf-8`, or tell the server's owner"
    )]
    Charset {
        /// The character set, as the header names it.
        charset: String,
    },
    /// The body isn't JSON, was cut off, goes on after its end, or is nested more than 128 deep.
    #[error("the body isn't json at byte {offset}: {reason}: {excerpt}; {remedy}")]
    Json {
        /// Where.
        offset: usize,
        /// What the parser says.
        reason: String,
        /// Some 120 bytes around it.
        excerpt: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A line isn't a JSON document.
    #[error("line {line} isn't json at byte {offset}: {reason}: {excerpt}; {remedy}")]
    Line {
        /// Which line of the body, from 1.
        line: usize,
        /// Where in the line.
        offset: usize,
        /// What the parser says.
        reason: String,
        /// Some 120 bytes around it.
        excerpt: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The body isn't a table.
    #[error("the body isn't a csv table, at line {line}: {reason}: {excerpt}")]
    Csv {
        /// Which line of the body, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
        /// Some 120 bytes around it.
        excerpt: String,
    },
    /// The body is larger than the offsets of Arrow's text columns reach.
    #[error("the body has {bytes} bytes: a page may have 2 GiB at most, so ask for smaller pages")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// There are no records where they were due.
    #[error("the path `{path}` finds no records: {found}; {remedy}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    NoRecords {
        /// The plain path.
        path: String,
        /// What lies there instead.
        found: String,
        /// What to do.
        remedy: String,
        /// The line of the pipeline file that has the path, from 1, where it is known.
        line: Option<usize>,
    },
    /// A fan-out key doesn't have the type of its column.
    #[error("the fan-out key `{column}` is {got} and its column is {expected}: give the new values another name")]
    Constant {
        /// The column.
        column: String,
        /// Its type.
        expected: String,
        /// The value.
        got: String,
    },
    /// A batch can't take the schema that it was asked to.
    #[error("the column `{column}` can't become {to}: it is {from}")]
    Widen {
        /// The column.
        column: String,
        /// Its Arrow type.
        from: String,
        /// The type asked for.
        to: String,
    },
    /// The `records` program gave lists, which are no records.
    #[error(
        "`{program}` gives lists, and a record is an object: write `[]` behind the path of a list for its items, or make objects of \
         them, such as `.rows[] | {{id: .[0]}}`"
    )]
    Lists {
        /// The program.
        program: String,
    },
    /// The `records` program failed.
    #[error("`records` can't be run on the page")]
    Records(#[source] JqRunError),
    /// The `rows` program failed.
    #[error("`rows` can't be run on the page")]
    Rows(#[source] JqRunError),
    /// The `rows` program gave no count.
    #[error("`rows` gave {got}: a number of rows was due")]
    Count {
        /// What it gave.
        got: String,
    },
    /// Arrow refused the columns.
    #[error("the page can't be put into columns")]
    Arrow(#[from] ArrowError),
}

impl DecodeError {
    /// Adds which line of the pipeline file says where the records are.
    #[must_use]
    pub fn at_line(self, line: usize) -> Self {
        match self {
            Self::NoRecords { path, found, remedy, .. } => Self::NoRecords { path, found, remedy, line: Some(line) },
            other => other,
        }
    }
}

/// Returns some 120 bytes of `body` around `offset`, what isn't printable replaced.
pub(super) fn excerpt(body: &[u8], offset: usize) -> String {
    let from = offset.saturating_sub(60).min(body.len());
    let to = (from + 120).min(body.len());
    let text = String::from_utf8_lossy(&body[from..to]);
    text.chars().map(|c| if stays_in_place(c) { c } else { ' ' }).collect()
}

/// Makes the error of a text that isn't JSON.
pub(super) fn json(text: &str, error: &serde_json::Error) -> DecodeError {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(0, |(at, _)| at + 1),
    };
    let offset = (line_start + error.column().saturating_sub(1)).min(text.len());
    let (reason, excerpt) = (strict::reason(error), excerpt(text.as_bytes(), offset));
    let own = if error.is_eof() {
        "it ends too soon: ask for smaller pages, or tell the server's owner"
    } else if reason == "trailing characters" {
        "more comes after its end: for one document on each line write `format: jsonl`, else tell the server's owner"
    } else {
        "if the answer is of another format, write it as `format`; else tell the server's owner"
    };
    let remedy = remedy(&reason, text, offset).unwrap_or(own);
    DecodeError::Json { offset, reason, excerpt, remedy }
}

/// Returns what to do about a text that isn't JSON at a byte, whatever it is a part of; none where that depends on it.
pub(super) fn remedy(reason: &str, text: &str, offset: usize) -> Option<&'static str> {
    if strict::is_twice(reason) {
        return Some("one of its two values would be lost: tell the server's owner");
    }
    if reason == strict::TOO_DEEP {
        return Some("ask for less of it, where the API has a parameter for that, or tell the server's owner");
    }
    if reason.ends_with(strict::LOSES_DIGITS) {
        return Some("leave it out by a jq program, such as `.[] | {id}`");
    }
    if let Some(beyond) = Beyond::of(reason) {
        return Some(beyond.remedy());
    }
    is_no_number(text, offset).then_some(
        "json has no such number: ask for the answer without that field, or tell the server's owner to write null",
    )
}

/// Tells whether the word at a byte is a number that programs have and JSON hasn't.
fn is_no_number(text: &str, offset: usize) -> bool {
    let (before, after) = text.split_at(text.floor_char_boundary(offset));
    let start = before.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let is_word = |at: usize| after.get(at..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    let sign = usize::from(after.starts_with(['-', '+']) && is_word(1));
    let tail: String = after.chars().skip(sign).take_while(char::is_ascii_alphabetic).collect();
    let word = format!("{}{tail}", before.get(start..).unwrap_or_default());
    ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name))
}
