//! How a job's data are cut into slices.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::file::{EdgeBound, SnapshotMode};
use super::super::load::Sql;
use super::IncrementalSpec;
use crate::lang::jq::Jq;
use crate::lang::place::Place;

/// How a job's data are cut into slices.
#[derive(Debug, Clone)]
pub enum Slicing {
    /// Not at all: the job only feeds others.
    Parent,
    /// By time.
    Window(Box<WindowSpec>),
    /// By a growing cursor.
    Incremental(Box<IncrementalSpec>),
    /// By the whole list.
    Snapshot(SnapshotMode),
}

/// Slices by time.
#[derive(Debug, Clone)]
pub struct WindowSpec {
    /// The length of a cell.
    pub every: Duration,
    /// Where the grid begins to be read.
    pub start: Start,
    /// How long after its end a cell is read.
    pub lag: Duration,
    /// How much of the end of what has landed is read again.
    pub lookback: Duration,
    /// How instants are written in requests.
    pub format: InstantFormat,
    /// The place of the first instant.
    pub from: Option<(Place, EdgeBound)>,
    /// The place of the end.
    pub to: Option<(Place, EdgeBound)>,
    /// The place of the cell itself.
    pub at: Option<Place>,
    /// A row's own time.
    pub time: Option<Sql>,
    /// How much earlier the request begins.
    pub pad_before: Duration,
    /// How much later the request ends.
    pub pad_after: Duration,
    /// Whether a cell is read in parts.
    pub parts: PartsSpec,
}

/// Whether a cell is read in parts, each with a request of its own.
#[derive(Debug, Clone)]
pub enum PartsSpec {
    /// It isn't.
    Whole,
    /// A part whose page is full is halved.
    Split {
        /// Rows of a full page.
        size: u64,
    },
    /// Parts are as long as the server keeps the step of a time series.
    Resolution {
        /// The native step.
        step: Duration,
        /// The most points of an answer.
        max_points: u64,
        /// Where that is written to.
        into: Option<Place>,
        /// The step that came back, in seconds.
        observed: Jq,
    },
}

/// Steps of the shortest part of a time series: one step is one point, which shows no step.
pub const LEAST_STEPS: u32 = 2;

/// Returns how many steps of a time series a request may cover so that its answer has no more than `max_points`: there may be a
/// point at both of its edges, and what it asks for in excess has some too.
#[must_use]
pub fn most_steps(step: Duration, max_points: u64, pad: Duration) -> u64 {
    let in_excess = pad.as_nanos().div_ceil(step.as_nanos().max(1));
    max_points.saturating_sub(1).saturating_sub(u64::try_from(in_excess).unwrap_or(u64::MAX))
}

/// Where a window job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this instant.
    At(DateTime<Utc>),
    /// That long before the first run.
    Ago(Duration),
}

/// How instants are written in requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstantFormat {
    /// Seconds since 1970-01-01T00:00Z, a number.
    EpochSeconds,
    /// Milliseconds since then, a number.
    EpochMillis,
    /// RFC 3339 with `Z`.
    Rfc3339,
    /// A strftime format, UTC.
    Strftime(String),
}
