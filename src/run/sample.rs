//! A slice of a job to look at: the newest one that is due, or where a job goes on from a cursor, the one that landed last.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::extract::Extraction;
use super::sent::Sent;
use super::{Env, RunError, job, parents};
use crate::ledger::{LedgerState, SliceRef};
use crate::model::{JobName, Slice, SliceKind};
use crate::pipeline::spec::{Job, Pipeline, Slicing};
use crate::plan::{self, Shard};

/// A job, and the slice of it to look at.
pub(super) struct Sample<'p> {
    pub(super) job: &'p Job,
    pub(super) extraction: Extraction,
    pub(super) slice: Slice,
}

/// Chooses a slice. Parents are read whole; nothing is asked of the job itself. `state` is what has landed: with an empty one, what a
/// first run would read.
pub(super) async fn of<'p>(
    pipeline: &'p Pipeline,
    name: &JobName,
    state: &LedgerState,
    now: DateTime<Utc>,
    env: &Env,
) -> Result<Sample<'p>, RunError> {
    let jobs = super::chosen(pipeline, std::slice::from_ref(name))?;
    let Some(job) = jobs.iter().copied().find(|job| job.name == *name) else {
        return Err(super::no_job(pipeline, name));
    };
    let mut parent_rows = BTreeMap::new();
    for parent in jobs.iter().filter(|job| super::needed(job, &jobs)) {
        let keys = job::fan_out(parent, &parent_rows)?;
        let sent = Sent::of_parent(pipeline, &parent.name)?;
        let rows = Extraction::new(parent, env)?.parent_rows(keys.as_deref(), sent, now).await?;
        parent_rows.insert(parent.name.clone(), rows);
    }
    let nothing_due = || RunError::NothingDue { job: name.clone(), now };
    let keys = job::fan_out(job, &parent_rows)?;
    let slice = match &job.slicing {
        Slicing::Parent => parents::whole(name, keys.as_deref(), now).into_iter().next(),
        slicing => {
            let start = match slicing {
                Slicing::Window(spec) => Some(plan::resolve_start(spec.start, None, now)),
                _ => None,
            };
            // As if nothing had landed: a window that has landed is as good to look at.
            let due = job::due(pipeline, job, keys.as_deref(), &LedgerState::default(), now, start, Shard::WHOLE);
            // The newest slice is the one that is most like those to come.
            due.into_iter().next_back()
        }
    };
    let slice = last_landed(slice.ok_or_else(nothing_due)?, state);
    Ok(Sample { job, extraction: Extraction::new(job, env)?, slice })
}

/// Returns the last slice of an incremental chain that landed, to be read to the list's end; any other as it is.
fn last_landed(slice: Slice, state: &LedgerState) -> Slice {
    let last = || {
        let SliceKind::Incremental { .. } = slice.kind else { return None };
        let last = state.chain(&slice.job, slice.key.as_ref())?.last.clone()?;
        let at = SliceRef { slice: last, ..SliceRef::of(&slice) };
        let SliceKind::Incremental { series, start, .. } = state.landed(&at)?.kind.clone() else { return None };
        Some(SliceKind::Incremental { series, start, end: None })
    };
    match last() {
        Some(kind) => Slice::new(slice.job, slice.key, slice.parent, kind),
        None => slice,
    }
}
