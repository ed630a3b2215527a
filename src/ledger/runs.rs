//! The record of runs: who took a lease when, and what came of it. A run that took one and never said how it ended has died.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ends::{Ended, Ends, Unread, shortened, without};
use super::entry::Entry;
use super::lane::Lane;
use super::state::LedgerState;
use super::{Ledger, LedgerError};
use crate::model::{
    Asked, DeliveryReport, Exit, Fetched, JobName, JobReport, Remedy, RunEnd as EndOfRun, RunId, RunReport, SinkName,
    SliceOutcome, Window,
};

/// How many runs the state keeps: half a year of nightly ones.
const KEPT: usize = 200;

/// Characters of an error that are kept.
const ERROR: usize = 400;

/// A run, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The number of the entry that took its lease: it names the run.
    pub id: u64,
    /// The lane.
    pub lane: Lane,
    /// Which lease of the lane it held.
    pub lease: u64,
    /// Who it was, for people: host and process.
    pub holder: String,
    /// When it took the lease, UTC, by its own clock.
    pub started: DateTime<Utc>,
    /// What it was asked for; absent in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// How it ended; none for one that died, or still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The number of the entry that says so; it has the jobs one by one.
    pub entry: u64,
    /// When it ended, UTC, by its own clock.
    pub at: DateTime<Utc>,
    /// What it did, without its jobs.
    #[serde(flatten)]
    pub summary: RunSummary,
}

/// What became of a run of which the log doesn't say how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunLife {
    /// It said how it ended.
    Ended,
    /// It holds its lease: it runs, or it died and nobody has taken the lease since.
    Holds,
    /// Another run took the lease, and this one had never given it back.
    Died,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// What was asked for: `run`, `backfill`, `replay`, `deliver`, `accept`, `vacuum`.
    pub verb: String,
    /// The instant that it planned with, UTC.
    pub now: DateTime<Utc>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Slices that landed.
    pub landed: u64,
    /// Slices that were read again and are as they were.
    pub unchanged: u64,
    /// Slices that failed.
    pub failed: u64,
    /// Rows that landed, each once.
    pub rows: u64,
    /// Files over all sinks.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pages read.
    pub pages: u64,
    /// Tries beyond the first of each page; 0 in records of older versions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Bytes of bodies received, decompressed; 0 in records of older versions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub received_bytes: u64,
    /// The run, as logs and reports name it; absent in records of older versions, and for a vacuum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The instant of the schedule that it was for, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<DateTime<Utc>>,
    /// The exit code, as [`crate::model::Exit`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// The first thing that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against that, where running again alone doesn't; of a run that broke off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// Its jobs; only in the log. The state has what of them hasn't been made good, see [`super::Ends`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobSummary>,
    /// What it sent; only in the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliverySummary>,
}

/// What a run sent by one sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverySummary {
    /// The job.
    pub job: JobName,
    /// The sink.
    pub sink: SinkName,
    /// Rows that are still to be sent.
    pub left: u64,
    /// Why it stopped before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against that, where delivering again alone doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What a run did of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The job.
    pub job: JobName,
    /// Slices that landed.
    pub landed: u64,
    /// Slices that were read again and are as they were.
    pub unchanged: u64,
    /// Slices that failed.
    pub failed: u64,
    /// Rows that landed.
    pub rows: u64,
    /// The first thing that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against that, where running again alone doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// Whether the run was stopped before it had begun all of the job's slices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// The windows that a backfill should have read and didn't.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// All that was due has landed.
    Done,
    /// Some slices landed, and some failed.
    SomeFailed,
    /// Slices were due, and none landed; or the run broke off.
    Failed,
    /// What had begun has landed, and the rest was left for another run: at a limit, or since the process was told to end.
    Stopped,
    /// It was interrupted.
    Interrupted,
}

/// Tells whether what was asked for reads or sends data: how that went says how the pipeline is.
#[must_use]
pub fn moves_data(verb: &str) -> bool {
    !["accept", "vacuum"].contains(&verb)
}

impl RunSummary {
    /// Sums a report up.
    #[must_use]
    pub fn of(asked: &Asked, report: &RunReport) -> Self {
        let jobs: Vec<JobSummary> = report.jobs.iter().map(|job| JobSummary::of(asked, job)).collect();
        let sum = |count: fn(&JobSummary) -> u64| jobs.iter().map(count).sum();
        let (landed, unchanged, failed) = (sum(|job| job.landed), sum(|job| job.unchanged), sum(|job| job.failed));
        let fetched: Vec<Fetched> = report.jobs.iter().map(JobReport::fetched).collect();
        let exit = Exit::of(report);
        let sinks = report.jobs.iter().map(JobReport::sinks);
        let (files, bytes) = sinks.fold((0, 0), |(files, bytes), sink| (files + sink.files, bytes + sink.bytes));
        let first = jobs.iter().find_map(|job| job.error.as_ref().map(|error| format!("{}: {error}", job.job)));
        let first = first.or_else(|| report.deliveries.iter().find_map(DeliveryReport::told));
        Self {
            verb: asked.verb.clone(),
            now: report.now,
            outcome: match exit {
                Exit::SomeFailed => RunOutcome::SomeFailed,
                Exit::Stopped => RunOutcome::Stopped,
                exit if exit.is_failure() => RunOutcome::Failed,
                _ => RunOutcome::Done,
            },
            landed,
            unchanged,
            failed,
            rows: sum(|job| job.rows),
            files,
            bytes,
            pages: fetched.iter().map(|of| of.pages).sum(),
            retries: fetched.iter().map(|of| of.retries).sum(),
            received_bytes: fetched.iter().map(|of| of.bytes).sum(),
            run: None,
            scheduled_for: None,
            exit_code: None,
            error: first.as_deref().map(cut),
            remedy: None,
            jobs,
            deliveries: report.deliveries.iter().map(DeliverySummary::of).collect(),
        }
    }

    /// Sums up how a run ended.
    #[must_use]
    pub fn of_end(end: &EndOfRun, now: DateTime<Utc>) -> Self {
        let summary = match &end.report {
            Some(report) => Self::of(&end.asked, report),
            None => {
                let interrupted = end.exit_code.is_interruption();
                let outcome = if interrupted { RunOutcome::Interrupted } else { RunOutcome::Failed };
                let error = end.error.as_deref().filter(|_| !interrupted);
                Self { remedy: end.remedy, ..Self::bare(&end.asked.verb, now, outcome, error) }
            }
        };
        let (run, exit_code) = (Some(end.run.clone()), Some(end.exit_code.code()));
        Self { run, scheduled_for: end.scheduled_for, exit_code, ..summary }
    }

    /// Returns the exit code; none in records of older versions, and for a vacuum.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.exit_code.and_then(|code| Exit::ALL.into_iter().find(|exit| exit.code() == code))
    }

    /// Returns how the run ended. Older versions noted one that stopped early as done, so the exit code is asked too.
    #[must_use]
    pub fn ended(&self) -> RunOutcome {
        if self.exit() == Some(Exit::Stopped) { RunOutcome::Stopped } else { self.outcome }
    }

    /// Makes the summary of a run that broke off, or that lands nothing.
    #[must_use]
    pub fn bare(verb: &str, now: DateTime<Utc>, outcome: RunOutcome, error: Option<&str>) -> Self {
        Self {
            verb: verb.to_owned(),
            now,
            outcome,
            landed: 0,
            unchanged: 0,
            failed: 0,
            rows: 0,
            files: 0,
            bytes: 0,
            pages: 0,
            retries: 0,
            received_bytes: 0,
            run: None,
            scheduled_for: None,
            exit_code: None,
            error: error.map(cut),
            remedy: None,
            jobs: Vec::new(),
            deliveries: Vec::new(),
        }
    }
}

impl JobSummary {
    fn of(asked: &Asked, report: &JobReport) -> Self {
        let failed = || {
            report.slices.iter().filter_map(|slice| match &slice.outcome {
                SliceOutcome::Failed { error, remedy } => Some((slice, error, *remedy)),
                _ => None,
            })
        };
        let rows = report.slices.iter().filter(|slice| slice.outcome == SliceOutcome::Landed);
        let first = || failed().next().map(|(slice, error, remedy)| (format!("{}: {error}", slice.slice), remedy));
        let (error, remedy) = report.error.clone().map(|error| (error, report.remedy)).or_else(first).unzip();
        Self {
            job: report.job.clone(),
            landed: report.count(|outcome| *outcome == SliceOutcome::Landed) as u64,
            unchanged: report.count(|outcome| *outcome == SliceOutcome::Unchanged) as u64,
            failed: failed().count() as u64,
            rows: rows.map(|slice| slice.rows.transformed).sum(),
            error: error.as_deref().map(cut),
            remedy: remedy.flatten(),
            left: report.left.is_some(),
            unread: asked.window.map(|window| unread(window, report)).unwrap_or_default(),
        }
    }
}

/// Returns what a backfill of `window` should have read of a job and didn't: the slices that failed; and all that it didn't come to, where
/// it didn't come to its end.
fn unread(window: Window, report: &JobReport) -> Vec<Unread> {
    let slices = || report.slices.iter().filter_map(|slice| Some((slice, slice.window?)));
    let (failed, read): (Vec<_>, Vec<_>) =
        slices().partition(|(slice, _)| matches!(slice.outcome, SliceOutcome::Failed { .. }));
    if report.error.is_none() && report.left.is_none() {
        return shortened(
            failed.into_iter().map(|(slice, window)| Unread { key: slice.key.clone(), window }).collect(),
        );
    }
    let all = vec![Unread { key: None, window }];
    read.into_iter().fold(all, |all, (slice, window)| without(all, slice.key.as_ref(), window))
}

impl DeliverySummary {
    fn of(report: &DeliveryReport) -> Self {
        Self {
            job: report.job.clone(),
            sink: report.sink.clone(),
            left: report.counts.left,
            error: report.error.as_deref().map(cut),
            remedy: report.remedy,
        }
    }
}

impl RunState {
    /// Says which run it is and what it was asked for, with the entry that tells how it ended: of one that died, its first.
    #[must_use]
    pub fn ended(&self) -> Ended {
        let summary = self.end.as_ref().map(|end| &end.summary);
        let named = summary.and_then(|summary| summary.run.as_ref());
        Ended {
            entry: self.end.as_ref().map_or(self.id, |end| end.entry),
            run: named.map_or_else(|| self.id.to_string(), ToString::to_string),
            at: self.end.as_ref().map_or(self.started, |end| end.at),
            lane: self.lane,
            asked: self.asked.clone().unwrap_or_else(|| Asked::new(summary.map_or("run", |summary| &summary.verb))),
        }
    }
}

impl LedgerState {
    /// Returns the last runs, newest first.
    pub fn runs(&self) -> impl Iterator<Item = (&RunState, RunLife)> {
        self.runs.iter().rev().map(|run| {
            let holds = self.lanes.get(&run.lane).is_some_and(|lane| lane.lease == run.lease && lane.holder.is_some());
            let life = match &run.end {
                Some(_) => RunLife::Ended,
                None if holds => RunLife::Holds,
                None => RunLife::Died,
            };
            (run, life)
        })
    }

    /// Returns how the jobs ended.
    #[must_use]
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Notes a run that has taken a lease.
    pub(super) fn started(&mut self, entry: &Entry, holder: &str, asked: Option<&Asked>) {
        self.runs.push(RunState {
            id: entry.sequence,
            lane: entry.lane,
            lease: entry.lease,
            holder: holder.to_owned(),
            started: entry.at,
            asked: asked.cloned(),
            end: None,
        });
        let excess = self.runs.len().saturating_sub(KEPT);
        self.runs.drain(..excess);
    }

    /// Notes that the run that holds the last lease of `lane` has died, unless it said how it ended.
    pub(super) fn died(&mut self, lane: Lane) {
        let last = self.runs.iter().rev().find(|run| run.lane == lane);
        if let Some(died) = last.filter(|run| run.end.is_none()).map(RunState::ended) {
            self.ends.died(&died);
        }
    }

    /// Notes how the holder of the entry's lease ended.
    pub(super) fn ran(&mut self, entry: &Entry, summary: &RunSummary) {
        let run = self.runs.iter_mut().rev().find(|run| run.lane == entry.lane && run.lease == entry.lease);
        if let Some(run) = run {
            let short = RunSummary { jobs: Vec::new(), deliveries: Vec::new(), ..summary.clone() };
            run.end = Some(RunEnd { entry: entry.sequence, at: entry.at, summary: short });
            self.ends.ended(&run.ended(), summary);
        }
    }
}

impl Ledger {
    /// Reads the entries that a run wrote, oldest first, as far as they are still kept.
    ///
    /// # Errors
    ///
    /// As [`Ledger::entries`].
    pub async fn entries_of(&self, state: &LedgerState, run: &RunState) -> Result<Vec<Entry>, LedgerError> {
        let last = run.end.as_ref().map_or(state.sequence(), |end| end.entry);
        let entries = self.entries(run.id, last).await?;
        Ok(entries.into_iter().filter(|entry| entry.lane == run.lane && entry.lease == run.lease).collect())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn cut(error: &str) -> String {
    match error.char_indices().nth(ERROR) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}
