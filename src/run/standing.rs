//! How far the data of a job has come, for people: read from the ledger alone.

use chrono::{DateTime, Utc};

use super::timeline::{self, Timeline};
use crate::ledger::{LedgerState, SliceRef};
use crate::model::{FanoutKey, JobName, Verdict};
use crate::pipeline::spec::Job;

/// One chain of slices: a job, or a job and one fan-out key.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The job.
    pub job: JobName,
    /// The fan-out value.
    pub key: Option<FanoutKey>,
    /// Whether the value is gone from its parent.
    pub retired: bool,
    /// Slices that have landed.
    pub slices: u64,
    /// Their rows.
    pub rows: u64,
    /// Landed slices whose completeness isn't proven.
    pub doubtful: u64,
    /// Slices that have begun, and neither landed nor ended.
    pub open: u64,
    /// Landed slices with rows in quarantine.
    pub quarantined: u64,
    /// Landed slices that weren't as the server stated.
    pub short: u64,
    /// Slices that an accepted edit wants to be read again.
    pub again: u64,
    /// How far the chain has come, holes included, for people.
    pub reach: String,
    /// When a slice of it landed last, UTC.
    pub last: Option<DateTime<Utc>>,
    /// Its windows, where the job has some, and isn't retired.
    pub timeline: Option<Timeline>,
}

/// Returns how the chains of a job stand at `now`: one, or one a fan-out value; none for a job that lands nothing.
#[must_use]
pub fn standings(job: &Job, state: &LedgerState, now: DateTime<Utc>) -> Vec<Standing> {
    if !job.lands() {
        return Vec::new();
    }
    let present = state.parents(&job.name).unwrap_or_default().iter().map(|row| Some(row.key.clone()));
    let keys: Vec<Option<FanoutKey>> = if job.for_each.is_some() { present.collect() } else { vec![None] };
    let retired = state.retired(&job.name).map(|key| standing(job, Some(key), true, state, now));
    let live: Vec<Standing> = keys.iter().map(|key| standing(job, key.as_ref(), false, state, now)).collect();
    live.into_iter().chain(retired).collect()
}

fn standing(job: &Job, key: Option<&FanoutKey>, retired: bool, state: &LedgerState, now: DateTime<Utc>) -> Standing {
    let mut standing = Standing {
        job: job.name.clone(),
        key: key.cloned(),
        retired,
        slices: 0,
        rows: 0,
        doubtful: 0,
        open: 0,
        quarantined: 0,
        short: 0,
        again: 0,
        reach: reach(job, key, state),
        last: None,
        timeline: if retired { None } else { Timeline::of(job, key, state, now) },
    };
    for (id, slice) in state.slices(&job.name, key) {
        standing.open += u64::from(slice.begun.is_some() || slice.published.is_some());
        let Some(landed) = &slice.landed else { continue };
        standing.slices += 1;
        standing.rows += landed.rows;
        let at = SliceRef { job: job.name.clone(), key: key.cloned(), slice: id.clone() };
        standing.quarantined += u64::from(timeline::has_quarantine(state, &at));
        standing.short += u64::from(timeline::is_doubtful(landed.verdict));
        standing.again += u64::from(landed.again);
        standing.doubtful += u64::from(landed.verdict != Verdict::Complete);
        standing.last = standing.last.max(Some(landed.committed));
    }
    standing
}

/// Says how far a chain has come, holes included.
fn reach(job: &Job, key: Option<&FanoutKey>, state: &LedgerState) -> String {
    let ranges = state.landed_ranges(&job.name, key);
    let show = |instant: DateTime<Utc>| instant.format("%Y-%m-%d %H:%M").to_string();
    if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
        let holes = ranges.windows(2).filter(|pair| pair[0].to != pair[1].from).count();
        let holes = match holes {
            0 => String::new(),
            1 => ", 1 hole".to_owned(),
            more => format!(", {more} holes"),
        };
        return format!("{} to {}{holes}", show(first.from), show(last.to));
    }
    if let Some(end) = state.chain(&job.name, key).and_then(|chain| chain.end.as_ref()) {
        return format!("up to {}", end.text());
    }
    state.snapshots(&job.name, key).max().map_or_else(|| "nothing yet".to_owned(), |label| format!("snapshot {label}"))
}
