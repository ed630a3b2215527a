//! What a run did, summed up for the log.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::unread::{Lost, Unread, shortened, without};
use crate::model::{
    Asked, DeliveryReport, Exit, Fetched, JobName, JobReport, Remedy, RunEnd, RunId, RunReport, SinkName, SliceOutcome,
    SliceReport, Window,
};

/// How many slices of a job that failed are kept one by one.
const LOST: usize = 5;

/// Characters of an error that are kept.
const ERROR: usize = 400;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// What was asked for: `run`, `backfill`, `replay`, `deliver`, `accept`, `dismiss`, `vacuum`.
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
    /// Rows that the server has refused for good, and that nobody has sent again since; none where it wasn't looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// Why it stopped before its end. Where rows are left without a reason, the run was interrupted.
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
    /// The first of the slices that failed; none in records of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// Whether the run was stopped before it had begun all of the job's slices, or interrupted before all had ended.
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
    !["accept", Asked::DISMISS, "vacuum"].contains(&verb)
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

    /// Sums up a run that didn't come to its end, and why: the error, and what helps against it. `report` is what it had done by then.
    #[must_use]
    pub fn broken_off(
        asked: &Asked,
        now: DateTime<Utc>,
        exit: Exit,
        (error, remedy): (&str, Option<Remedy>),
        report: Option<&RunReport>,
    ) -> Self {
        let interrupted = exit.is_interruption();
        let outcome = if interrupted { RunOutcome::Interrupted } else { RunOutcome::Failed };
        let error = (!interrupted).then_some(error);
        let Some(report) = report else {
            return Self { remedy, ..Self::bare(&asked.verb, now, outcome, error) };
        };
        let mut summary = Self { outcome, remedy, ..Self::of(asked, report) };
        if let Some(error) = error.map(cut) {
            // Of none of them it is known that all of it was done.
            for job in summary.jobs.iter_mut().filter(|job| job.error.is_none()) {
                (job.error, job.remedy) = (Some(error.clone()), remedy);
            }
            summary.error = Some(error);
        }
        summary
    }

    /// Sums up how a run ended.
    #[must_use]
    pub fn of_end(end: &RunEnd, now: DateTime<Utc>) -> Self {
        let summary = match (&end.report, &end.error) {
            (Some(report), None) => Self::of(&end.asked, report),
            (report, error) => {
                let why = (error.as_deref().unwrap_or_default(), end.remedy);
                Self::broken_off(&end.asked, now, end.exit_code, why, report.as_ref())
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
        let named = |slice: &SliceReport| match &slice.key {
            Some(key) => format!("{} {key}", slice.slice),
            None => slice.slice.to_string(),
        };
        let first = || failed().next().map(|(slice, error, remedy)| (format!("{}: {error}", named(slice)), remedy));
        let (error, remedy) = report.error.clone().map(|error| (error, report.remedy)).or_else(first).unzip();
        Self {
            job: report.job.clone(),
            landed: report.count(|outcome| *outcome == SliceOutcome::Landed) as u64,
            unchanged: report.count(|outcome| *outcome == SliceOutcome::Unchanged) as u64,
            failed: failed().count() as u64,
            rows: rows.map(|slice| slice.rows.transformed).sum(),
            error: error.as_deref().map(cut),
            remedy: remedy.flatten(),
            lost: failed().take(LOST).map(|(slice, ..)| Lost::of(slice)).collect(),
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
            refused: report.refused_so_far,
            error: report.error.as_deref().map(cut),
            remedy: report.remedy,
        }
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
