//! What a run would do, without doing it: nothing is sent, and the ledger is only read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::extract::Extraction;
use super::{Env, Options, RunError, chosen, fingerprint, hints, job, locked};
use crate::ledger::{Ledger, LedgerState};
use crate::model::{FanoutKey, JobName, Slice, SliceId, SliceKind};
use crate::pipeline::spec::{FanOutFrom, Job, Pipeline, Slicing};
use crate::plan;

/// A job of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedJob {
    /// The job.
    pub job: JobName,
    /// Whether it is known which slices are due: not before the first run has read the parent.
    pub known: bool,
    /// The slices that are due, in the order in which they would be read.
    pub slices: Vec<PlannedSlice>,
    /// What isn't known before a run has asked the server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether a run refuses the job; the notes say why.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// A slice that is due.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedSlice {
    /// Its identity; none for a parent, which is read whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<SliceId>,
    /// The fan-out value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// What it covers, for people: `2026-01-01 00:00 to 2026-01-02 00:00`, `after 41`, `the whole list`.
    pub covers: String,
    /// Its first request, redacted.
    pub request: String,
}

/// Plans a pipeline.
///
/// # Errors
/// A ledger that can't be read, a request that can't be made, an unknown job.
pub async fn plan(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<Vec<PlannedJob>, RunError> {
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let state = ledger.read_state().await?;
    if let Some(lock) = &options.lock {
        locked::check_locked(pipeline, lock)?;
        for job in &pipeline.jobs {
            if let Some(version) = state.schema_version(&job.name) {
                locked::check_pin(lock, &job.name, &ledger.schema(&job.name, version).await?)?;
            }
        }
    }
    let mut jobs = chosen(pipeline, &options.jobs)?;
    if options.reads.backfill().is_some() {
        job::check_backfill(&jobs, !options.jobs.is_empty())?;
        jobs.retain(|job| matches!(job.slicing, Slicing::Window(_) | Slicing::Parent));
    }
    jobs.into_iter().map(|job| planned(pipeline, job, &state, options, env)).collect()
}

fn planned(
    pipeline: &Pipeline,
    job: &Job,
    state: &LedgerState,
    options: &Options,
    env: &Env,
) -> Result<PlannedJob, RunError> {
    let (now, mut notes, mut refused) = (options.now, Vec::new(), false);
    let mut state = Cow::Borrowed(state);
    match fingerprint::look(job, &fingerprint::of(job), options.accept, &state) {
        Ok(None) => {}
        Ok(Some(decision)) => {
            // What can't be accepted is refused by the run, which says why.
            match state.accepted(&job.name, decision.how, decision.since) {
                Ok(after) => state = Cow::Owned(after),
                Err(why) => notes.push(why),
            }
            notes.push(decision.note);
        }
        Err(why) => {
            refused = true;
            notes.push(format!("a run refuses this: {why}"));
        }
    }
    let state = state.as_ref();
    let rows = known_rows(job, state, &mut notes);
    let known = rows.is_some();
    let due = match &job.slicing {
        Slicing::Parent => {
            let keys = rows.as_ref().map(|rows| job::fan_out(job, rows)).transpose()?;
            keys.map(|keys| super::parents::whole(&job.name, keys.as_deref(), now)).unwrap_or_default()
        }
        slicing => {
            let start = match slicing {
                Slicing::Window(spec) => Some(plan::resolve_start(spec.start, state.pinned_start(&job.name), now)),
                _ => None,
            };
            let keys = rows.map(|rows| job::fan_out(job, &rows)).transpose()?;
            match (keys, options.reads.backfill()) {
                (None, _) => Vec::new(),
                (Some(keys), None) => job::due(pipeline, job, keys.as_deref(), state, now, start, options.shard),
                (Some(keys), Some(wanted)) => {
                    let (slices, said) = job::backfilled(job, wanted, keys.as_deref(), state, options);
                    notes.extend(said);
                    slices
                }
            }
        }
    };
    notes.extend(hints::begins_later(job, now));
    notes.extend(hints::trusting(job));
    if !options.shard.is_whole() && job.lands() {
        notes.push(format!("the slices of shard {}", options.shard));
    }
    let extraction = Extraction { progress: Arc::new(super::Silent), ..Extraction::new(job, env)? };
    let shown = |slice: &Slice| {
        let request = extraction.show(slice, now)?;
        let parent = matches!(job.slicing, Slicing::Parent);
        let id = (!parent).then(|| slice.id.clone());
        Ok(PlannedSlice { slice: id, key: slice.key.clone(), covers: covers(&slice.kind), request })
    };
    let slices: Result<Vec<_>, RunError> = due.iter().map(shown).collect();
    Ok(PlannedJob { job: job.name.clone(), known, slices: slices?, notes, refused })
}

/// Returns the parent's rows as the last run saw them; none where no run has.
fn known_rows(job: &Job, state: &LedgerState, notes: &mut Vec<String>) -> Option<BTreeMap<JobName, Vec<Value>>> {
    let Some(FanOutFrom::Rows(parent)) = job.for_each.as_ref().map(|for_each| &for_each.from) else {
        return Some(BTreeMap::new());
    };
    let Some(rows) = state.parents(&job.name) else {
        let when = if job.lands() { "the first" } else { "every" };
        notes.push(format!("it isn't known yet what to repeat it for: {when} run asks `{parent}`"));
        return None;
    };
    notes.push(format!("for the rows of `{parent}` as the last run saw them"));
    Some(BTreeMap::from([(parent.clone(), rows.iter().map(|row| row.row.clone()).collect())]))
}

fn covers(kind: &SliceKind) -> String {
    match kind {
        SliceKind::Window(window) => {
            let show = |instant: DateTime<Utc>| instant.format("%Y-%m-%d %H:%M").to_string();
            format!("{} to {}", show(window.from), show(window.to))
        }
        SliceKind::Incremental { start, .. } => format!("after {}", start.text()),
        SliceKind::Snapshot { .. } => "the whole list".to_owned(),
    }
}
