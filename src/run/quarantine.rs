//! Bad rows: they land as JSON Lines beside the state, in the same commit as the slice's good ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::RunError;
use crate::decode::RejectedRow;
use crate::extract::auth::{REDACTED, Redactor};
use crate::lang::foreign::held_in_place;
use crate::model::{PipelineName, SinkName};
use crate::objects;
use crate::sink::{Format, SinkSpec, TextCompression};

/// The name of the sink; no sink of a pipeline file may have it.
pub const SINK: &str = "quarantine";

/// Characters of a bad row that an error shows.
const EXCERPT: usize = 300;

/// A row that doesn't fit, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// The row as it came, JSON.
    row: String,
    /// Why it doesn't fit.
    reason: String,
    /// The column, with the path into it; empty where it is the row as a whole.
    column: String,
    /// The request that brought it, redacted.
    request: String,
    /// The page of the slice, from 1.
    page: u64,
}

/// What is wrong with a row that was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// As in [`BadRow`].
    column: String,
    /// Why it doesn't fit, after the column.
    reason: String,
}

impl BadRow {
    /// Makes one of a row that the decoder rejected.
    pub(super) fn rejected(row: RejectedRow, request: &str, page: u64) -> Self {
        let reason = format!("expected {}, got {}", row.expected, row.got);
        Self { row: row.raw.into(), reason, column: row.column, request: request.to_owned(), page }
    }

    /// Makes one again of what was kept of it.
    pub(super) const fn kept(row: String, reason: String, column: String, request: String, page: u64) -> Self {
        Self { row, reason, column, request, page }
    }

    /// Returns the row as it came.
    pub(super) fn row(&self) -> &str {
        &self.row
    }

    /// Replaces secrets that the server repeated in it.
    pub(super) fn scrub(&mut self, redactor: &Redactor) {
        let row = redactor.scrub_data(&self.row);
        if row == self.row {
            self.reason = redactor.scrub_data(&self.reason);
            return;
        }
        self.row = row;
        // What it quotes is cut, and a secret that is cut isn't known as one.
        let quoting = self.reason.split_once(", got ").map(|(expected, _)| format!("{expected}, got {REDACTED}"));
        self.reason = quoting.unwrap_or_else(|| redactor.scrub_data(&self.reason));
    }

    /// Returns why it is bad, and the beginning of it, for errors.
    pub(super) fn excerpt(&self) -> String {
        let text = held_in_place(&self.to_string());
        match text.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    /// Says which column has values that don't fit, and how, without the row.
    pub(super) fn misfit(&self) -> String {
        let what = if self.column.is_empty() { "the row".to_owned() } else { format!("`{}`", self.column) };
        format!("{what} {}", self.reason)
    }

    /// Makes one of a row that was decoded, and came as `text`.
    pub(super) fn of(text: &str, fault: &Fault, request: &str, page: u64) -> Self {
        let Fault { column, reason } = fault.clone();
        Self { row: text.to_owned(), reason, column, request: request.to_owned(), page }
    }
}

impl Fault {
    /// Says that a column of `key` is null.
    pub(super) fn of_key(column: &str) -> Self {
        Self { column: column.to_owned(), reason: "is null, and `key` names it".to_owned() }
    }

    /// Says that the SQL of a field of the pipeline file gave null; `column` is the one that it reads, where that is one.
    pub(super) fn of_sql(field: &str, column: Option<String>) -> Self {
        match column {
            Some(column) => Self { column, reason: format!("gives null for `{field}`") },
            None => Self { column: String::new(), reason: format!("`{field}` is null") },
        }
    }

    /// Says that the SQL of a field of the pipeline file failed; `column` is as above.
    pub(super) fn of_failed_sql(field: &str, column: Option<String>, why: &str) -> Self {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        match column {
            Some(column) => Self { column, reason: format!("fails for `{field}`: {why}") },
            None => Self { column: String::new(), reason: format!("`{field}` fails: {why}") },
        }
    }
}

/// Returns the sink of bad rows: `<state>/<pipeline>/quarantine`.
pub(super) fn sink(state: &str, pipeline: &PipelineName) -> SinkSpec {
    SinkSpec {
        name: SinkName::new(SINK),
        format: Format::JsonLines { compression: TextCompression::None },
        url: objects::below(state, &format!("{pipeline}/quarantine")),
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        rows_per_file: u64::MAX,
        bytes_per_file: u64::MAX,
    }
}

/// Returns the columns of bad rows.
pub(super) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let page = Field::new("page", DataType::UInt64, false);
    Arc::new(Schema::new(vec![text("reason"), text("column"), text("request"), page, text("row")]))
}

/// Makes a batch of bad rows.
pub(super) fn batch(rows: &[BadRow]) -> Result<RecordBatch, RunError> {
    let text =
        |of: fn(&BadRow) -> &String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let page: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.page)));
    let columns =
        vec![text(|row| &row.reason), text(|row| &row.column), text(|row| &row.request), page, text(|row| &row.row)];
    RecordBatch::try_new(schema(), columns).map_err(|error| RunError::Spool(error.into()))
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column.as_str() {
            "" => write!(f, "{}: {}", self.reason, self.row),
            column => write!(f, "`{column}` {}: {}", self.reason, self.row),
        }
    }
}
