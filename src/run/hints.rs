//! What a person should look at though nothing failed: rows from outside of what was asked for, jobs that have never landed a row, jobs
//! that begin in the future, servers that anybody may stand in for.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::extract::Extraction;
use super::{Env, RunError};
use crate::ledger::{Landed, LedgerState, ParentRow};
use crate::model::{FanoutKey, JobReport, Slice, Stray, Strays, counted};
use crate::pipeline::file::SnapshotMode;
use crate::pipeline::spec::{FanOutFrom, Job, Slicing, Start, WindowSpec};
use crate::plan::Key;

/// How many values of a fan-out a note shows.
const SHOWN: usize = 3;

/// Says that slices of a job had rows from outside of what was asked for; nothing where none had.
pub(super) fn strayed(report: &JobReport) -> Option<String> {
    let (mut all, mut slices) = (Strays::default(), 0_u64);
    for slice in report.slices.iter().filter(|slice| !slice.strays.is_none()) {
        all += slice.strays;
        slices += 1;
    }
    let side = |stray: &Stray, which: &str| {
        let by = i64::try_from(stray.by_ms).ok().and_then(TimeDelta::try_milliseconds);
        let by = by.and_then(|by| by.to_std().ok()).unwrap_or_default();
        let (rows, by) = (counted(stray.rows, "row"), humantime::format_duration(by));
        format!("{rows} from {which} it, by up to {by} (such as one of {})", stray.time)
    };
    let sides = [all.before.map(|stray| side(&stray, "before")), all.after.map(|stray| side(&stray, "after"))];
    let sides: Vec<String> = sides.into_iter().flatten().collect();
    (!sides.is_empty()).then(|| {
        format!(
            "{} got more than the time that was asked for: {}. They are dropped, but the server reads the edges otherwise than they are meant, \
             so rows may be missing at the other edge, and these slices don't count as complete: check whether `window.as` is in the \
             server's time zone, the `bound` of `window.from` and `window.to`, and `window.time`; where the server only rounds the edges, \
             write `as` no finer than it reads them",
            counted(slices, "slice"),
            sides.join(", and ")
        )
    })
}

/// Says that a job trusts whoever answers in its server's place, or that of a sink that it sends to; nothing where it doesn't.
pub(super) fn trusting(job: &Job) -> Option<String> {
    let sources = job.outboxes.iter().map(|outbox| &outbox.source).chain([&job.source]);
    let origins: BTreeSet<String> = sources
        .filter(|source| source.insecure_skip_verify)
        .map(|source| source.base_url.origin().ascii_serialization())
        .collect();
    let origins: Vec<String> = origins.into_iter().collect();
    (!origins.is_empty()).then(|| {
        format!(
            "tls.insecure_skip_verify: any certificate is trusted for {}, so whoever stands between can read the credential and change the \
             rows; name the server's certificate, or its authority's, as tls.ca_file instead",
            origins.join(" and ")
        )
    })
}

/// Says that a relative `start` reaches further back than the first run has pinned it, so that it was edited; nothing where it doesn't.
pub(super) fn reaches_back(spec: &WindowSpec, start: DateTime<Utc>, pinned: DateTime<Utc>) -> Option<String> {
    let by = (pinned - start).to_std().ok().filter(|by| *by >= spec.every)?;
    let shown = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ");
    Some(format!(
        "`window.start` reaches back to {}, and the first run has pinned it at {}: the {} between them aren't read by runs; \
         `tidegate backfill` reads them, with `--from {}`",
        shown(start),
        shown(pinned),
        humantime::format_duration(Duration::from_secs(by.as_secs())),
        shown(start),
    ))
}

/// Says that values of a fan-out aren't there any more; nothing where all are.
pub(super) fn fewer(job: &Job, before: &[ParentRow], now: &[Key]) -> Option<String> {
    // Values that the file lists a person has taken out.
    let FanOutFrom::Rows(parent) = &job.for_each.as_ref()?.from else { return None };
    let there: BTreeSet<&FanoutKey> = now.iter().map(|key| &key.key).collect();
    let gone: Vec<&FanoutKey> = before.iter().map(|row| &row.key).filter(|key| !there.contains(key)).collect();
    let shown = gone.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = if gone.len() > SHOWN { ", ..." } else { "" };
    let way = match &job.slicing {
        Slicing::Snapshot(SnapshotMode::Latest) => " until `tidegate vacuum --retired` removes it",
        _ => "",
    };
    (!gone.is_empty()).then(|| {
        format!(
            "for_each: {} of {} that the run before had are gone ({shown}{more}): nothing of them is read any more, and what has landed \
             stays{way}; if they should be there, see by `tidegate preview` whether `{parent}` reads all its rows",
            gone.len(),
            counted(before.len() as u64, "value")
        )
    })
}

/// What is known of a job that has landed slices, none of them with a row.
pub(super) struct Empty {
    /// The first of the slices.
    first: Slice,
    /// How many they are.
    slices: u64,
}

/// Returns what is known of a job that has landed slices, and not one with a row; nothing where one has, or none has landed.
pub(super) fn empty(job: &Job, state: &LedgerState) -> Option<Empty> {
    let slices = || {
        let keys = state.keys(&job.name);
        keys.flat_map(|key| state.slices(&job.name, key).map(move |(id, slice)| (key, id, slice)))
    };
    // A list that was replaced by one of no rows may have had some.
    let replaced = |landed: &Landed| landed.generation > 1 && landed.schema_version.is_some();
    if state.has_rows(&job.name) || slices().any(|(.., slice)| slice.landed.as_ref().is_some_and(replaced)) {
        return None;
    }
    let landed = || slices().filter_map(|(key, id, slice)| Some((id, key, &slice.landed.as_ref()?.kind)));
    let (id, key, kind) = landed().min_by_key(|(id, key, _)| (*id, *key))?;
    let parents = state.parents(&job.name).unwrap_or_default().iter();
    let parent = key.and_then(|key| parents.filter(|row| row.key == *key).map(|row| row.row.clone()).next());
    let slice = Slice::new(job.name.clone(), key.cloned(), parent.unwrap_or_default(), kind.clone());
    Some(Empty { first: Slice { id: id.clone(), ..slice }, slices: landed().count() as u64 })
}

/// Says that no row of a job has ever landed, and what it asked for; nothing where one has, or none of its slices has landed.
///
/// # Errors
/// The request can't be made.
pub fn nothing_yet(job: &Job, state: &LedgerState, now: DateTime<Utc>, env: &Env) -> Result<Option<String>, RunError> {
    empty(job, state).map(|empty| empty.told(job, now, env)).transpose()
}

impl Empty {
    /// Says so to a person. `now` is the instant that requests may name.
    pub(super) fn told(&self, job: &Job, now: DateTime<Utc>, env: &Env) -> Result<String, RunError> {
        let request = Extraction::new(job, env)?.show(&self.first, now)?;
        let check = match &job.slicing {
            Slicing::Window(_) => {
                "the places of `window.from` and `window.to`, the format of `window.as`, and `records`"
            }
            _ => "what is asked for, and `records`",
        };
        Ok(format!(
            "no row has ever landed: {} came with none; the first request was {request}; if there must be rows, check {check}; \
             `tidegate preview` shows an answer",
            counted(self.slices, "slice")
        ))
    }
}

/// Says that a job begins in the future, so that nothing of it is due.
pub(super) fn begins_later(job: &Job, now: DateTime<Utc>) -> Option<String> {
    match &job.slicing {
        Slicing::Window(spec) => match spec.start {
            Start::At(start) if start > now => {
                Some(format!("nothing is due before `window.start`, {start}: it is {now} now"))
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fetched, JobName, RowCounts, SliceId, SliceOutcome, SliceReport, Took};

    fn slice(strays: Strays) -> SliceReport {
        SliceReport {
            slice: SliceId::new("s"),
            key: None,
            window: None,
            generation: None,
            outcome: SliceOutcome::Landed,
            fetched: Fetched::default(),
            took: Took::default(),
            rows: RowCounts::default(),
            misfit: None,
            strays,
            sinks: std::collections::BTreeMap::new(),
            reconciliation: None,
        }
    }

    #[test]
    fn the_rows_from_outside_of_all_slices_are_told_at_once() {
        let stray = |rows, by_ms, time: &str| Some(Stray { rows, by_ms, time: time.parse().unwrap() });
        let mut report = JobReport::new(JobName::new("j"));
        report.slices = vec![slice(Strays::default())];
        assert_eq!(strayed(&report), None);
        let before = stray(3, 3_540_000, "2026-01-01T23:01:00Z");
        report.slices.push(slice(Strays { before, after: None }));
        report.slices.push(slice(Strays {
            before: stray(4, 3_600_000, "2026-01-02T23:00:00Z"),
            after: stray(1, 1500, "2026-01-04T00:00:01.5Z"),
        }));
        let told = strayed(&report).unwrap();
        let expected = "2 slices got more than the time that was asked for: 7 rows from before it, by up to 1h (such as one of \
                        2026-01-02 23:00:00 UTC), and 1 row from after it, by up to 1s 500ms (such as one of 2026-01-04 00:00:01.500 \
                        UTC). They are dropped";
        assert!(told.starts_with(expected), "{told}");
    }
}
