//! Slices by a growing cursor.

use std::time::Duration;

use super::{InstantFormat, Request};
use crate::lang::jq::Jq;
use crate::lang::place::Place;
use crate::pipeline::load::Sql;

/// Slices by a growing cursor.
#[derive(Debug, Clone)]
pub struct IncrementalSpec {
    /// SQL: a row's cursor.
    pub cursor: Sql,
    /// Where the first slice of a series begins (exclusive).
    pub start: serde_json::Value,
    /// About how many rows a slice holds.
    pub rows_per_slice: u64,
    /// Rows younger than this are left to the next slice. More than zero only where the cursor is a time.
    pub lag: Duration,
    /// How the cursor is sent, where `seek` doesn't.
    pub sent: Option<SentCursor>,
    /// The request for the newest id.
    pub newest: Option<NewestSpec>,
    /// Whether a new series begins where the source was reset; else the slice fails.
    pub restarts: bool,
}

/// How the cursor of a slice is sent.
#[derive(Debug, Clone)]
pub struct SentCursor {
    /// Where to; none where a template has `increment.from`.
    pub place: Option<Place>,
    /// How an instant is written.
    pub format: InstantFormat,
    /// Whether the server sorts by the cursor, upwards.
    pub sorted: bool,
}

/// The request for the newest id of a source.
#[derive(Debug, Clone)]
pub struct NewestSpec {
    /// The job's request, with other parameters.
    pub request: Request,
    /// The newest id in the answer.
    pub value: Jq,
}
