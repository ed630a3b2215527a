//! `quarantine replay`: the slices that have rows in quarantine, read again.
//!
//! A replay is no second way into the lake. Each slice is read again from the server, typed by the schema of today, and lands as a new
//! generation that replaces the one before as a whole: rows, quarantine and all, in one commit. So a row is there once, whatever was
//! replayed before or is read again later; a row that fits by now lands, and one that still doesn't is in the new quarantine. `key`,
//! `latest_by`, SQL that groups and `expect` see all rows of the slice, as they must.
//!
//! The price is that the server must still have the rows. What it hasn't got any more isn't given up: a slice that has become smaller
//! isn't published, and a list that can't be asked for again, such as yesterday's snapshot, isn't read.

use chrono::{DateTime, Utc};

use super::Runner;
use super::finished::{Finished, failed};
use crate::ledger::{LedgerState, SliceRef};
use crate::model::{PipelineName, Slice, SliceKind};
use crate::pipeline::file::SnapshotMode;
use crate::pipeline::spec::{Job, Pipeline, Slicing};
use crate::plan::Key;
use crate::run::quarantine;

impl Runner<'_> {
    /// Returns the slices to read again, and the ends of those that can't be.
    pub(super) fn replayed(&self, keys: Option<&[Key]>) -> (Vec<Slice>, Vec<Finished>) {
        let held = self.writer.state(|state| {
            let of_job = held(state, &self.pipeline.name).filter(|at| at.job == self.job.name);
            of_job.filter_map(|at| Some((state.landed(&at)?.kind.clone(), at))).collect::<Vec<_>>()
        });
        let (mut slices, mut ends) = (Vec::new(), Vec::new());
        for (kind, at) in held {
            let row = at.key.as_ref().map(|key| keys.into_iter().flatten().find(|known| known.key == *key));
            let gone = matches!(row, Some(None)).then_some("what it was read for is gone from the parent's rows");
            let parent = row.flatten().map(|key| key.row.clone()).unwrap_or_default();
            let why = gone.or_else(|| stays(self.pipeline, self.job, &kind, self.options.now));
            let slice = Slice { id: at.slice, ..Slice::new(at.job, at.key, parent, kind) };
            match why {
                Some(why) => {
                    let error = format!("it can't be replayed: {why}; its rows stay in quarantine");
                    ends.push(failed(&slice, error, None));
                }
                None => slices.push(slice),
            }
        }
        (slices, ends)
    }
}

/// Returns the slices that have rows in quarantine.
pub(in crate::run) fn held<'s>(
    state: &'s LedgerState,
    pipeline: &PipelineName,
) -> impl Iterator<Item = SliceRef> + use<'s> {
    let below = format!("/{pipeline}/{}", quarantine::SINK);
    let landed = state.all_slices().filter(|(_, slice)| slice.landed.is_some()).map(|(at, _)| at);
    landed.filter(move |at| state.roots_of(at).iter().any(|root| root.trim_end_matches('/').ends_with(&below)))
}

/// Says why a slice can't be read again; none where it can.
pub(in crate::run) fn stays(
    pipeline: &Pipeline,
    job: &Job,
    kind: &SliceKind,
    now: DateTime<Utc>,
) -> Option<&'static str> {
    match (kind, &job.slicing) {
        (SliceKind::Window(_), Slicing::Window(_)) | (SliceKind::Incremental { .. }, Slicing::Incremental(_)) => None,
        (SliceKind::Snapshot { label, .. }, Slicing::Snapshot(mode)) => {
            let today = now.with_timezone(&pipeline.timezone).format("%Y-%m-%d").to_string();
            let again = match mode {
                SnapshotMode::Latest => true,
                SnapshotMode::Daily => *label == today,
                SnapshotMode::EveryRun => false,
            };
            (!again).then_some("the list of that moment can't be asked for again")
        }
        _ => Some("the job is sliced otherwise by now"),
    }
}
