//! Windows of one run, compared at their edges: a row that two of them were asked for, and that belongs to the second, must have come
//! with the second. Where it hasn't, the server treats its edges otherwise than the pipeline file says, and rows are missing.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::slice::SliceRun;
use crate::ledger::Begin;
use crate::model::{FanoutKey, Slice, Verdict, Window};
use crate::pipeline::file::OnMismatch;
use crate::run::RunError;
use crate::run::collect::Edges;
use crate::run::extract::Extracted;

/// A row that came with a window that it doesn't belong to, and didn't come with its own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the row of {time} with the key {key} belongs to the window from {} to {}, which was asked for it and hasn't got it; it came with the one \
     from {} to {}: so rows at the edges are missing; check the `bound` of `window.from` and `window.to` (a server that leaves out rows at \
     the very beginning needs `from: {{into: ..., bound: exclusive}}`), and `window.time`; `on_mismatch: warn` lands it all the same",
    owner.from, owner.to, found.from, found.to
)]
pub struct EdgeError {
    /// The row's own time, UTC.
    time: DateTime<Utc>,
    /// Its key.
    key: String,
    /// The window that it belongs to.
    owner: Window,
    /// The window that it came with.
    found: Window,
}

impl SliceRun {
    /// Compares a window with its neighbours. Where the job lands what isn't proven, says so instead of failing.
    pub(super) fn compare(&self, extracted: &mut Extracted, begin: &Begin) -> Result<(), RunError> {
        let Some(edges) = extracted.collected.edges.take() else { return Ok(()) };
        match self.neighbours.join(&begin.slice, edges) {
            Err(lost) if self.extraction.job.on_mismatch == OnMismatch::Warn => {
                extracted.collected.reconciliation.verdict = Verdict::Unknown;
                extracted.notes.push(lost.to_string());
                Ok(())
            }
            compared => Ok(compared?),
        }
    }
}

/// The windows that a run of a job has read.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Mutex<Vec<(Option<FanoutKey>, Edges)>>);

impl Neighbours {
    /// Compares a window with those before it that have the same fan-out value, and adds it to them.
    ///
    /// # Errors
    /// A row of one of the two is missing in the other.
    pub(super) fn join(&self, slice: &Slice, edges: Edges) -> Result<(), EdgeError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is read a second time takes its own place.
        known.retain(|(key, other)| *key != slice.key || other.window != edges.window);
        let same = known.iter().filter(|(key, _)| *key == slice.key).map(|(_, other)| other);
        let lost = same.flat_map(|other| [(other, &edges), (&edges, other)]).find_map(|(found, owner)| {
            let row = found.missing_in(owner)?;
            Some(EdgeError { time: row.time, key: row.key.clone(), owner: owner.window, found: found.window })
        });
        known.push((slice.key.clone(), edges));
        lost.map_or(Ok(()), Err)
    }
}
