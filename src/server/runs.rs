//! Runs as the pages show them: those of this process with all that their reports say, older ones with what the ledger kept.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::known::Known;
use super::text;
use crate::ledger::{RunLife, RunOutcome, RunState, RunSummary, moves_data};
use crate::model::{Asked, Exit, RunEnd, RunReport};
use crate::schedule::{PipelineView, RunningView};

/// How something is: a word, and the class that colours it. The word is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Badge {
    pub(super) tone: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
}

impl Badge {
    pub(super) const fn good(word: &'static str) -> Self {
        Self { tone: "good", sign: "✓", word }
    }

    pub(super) const fn bad(word: &'static str) -> Self {
        Self { tone: "bad", sign: "✕", word }
    }

    pub(super) const fn doubtful(word: &'static str) -> Self {
        Self { tone: "warn", sign: "!", word }
    }

    pub(super) const fn busy(word: &'static str) -> Self {
        Self { tone: "busy", sign: "▶", word }
    }

    /// Of a run that has a process.
    pub(super) fn of_running(run: &RunningView) -> Self {
        Self::busy(if run.progress.waits_for().is_some() { "waiting" } else { "running" })
    }

    pub(super) const fn idle(word: &'static str) -> Self {
        Self { tone: "idle", sign: "○", word }
    }

    pub(super) const fn of_exit(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::good("done"),
            Exit::NothingLanded => Self::bad("failed"),
            Exit::Refused => Self::bad("refused"),
            Exit::SomeFailed => Self::bad("some failed"),
            Exit::Held => Self::idle("another run was on"),
            Exit::Stopped => Self::doubtful("stopped early"),
            Exit::Bug => Self::bad("our bug"),
            Exit::Interrupted | Exit::Terminated => Self::doubtful("interrupted"),
        }
    }

    const fn of_outcome(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Done => Self::good("done"),
            RunOutcome::SomeFailed => Self::bad("some failed"),
            RunOutcome::Failed => Self::bad("failed"),
            RunOutcome::Stopped => Self::doubtful("stopped early"),
            RunOutcome::Interrupted => Self::doubtful("interrupted"),
        }
    }

    pub(super) fn is_bad(self) -> bool {
        self.tone == "bad"
    }
}

/// A run in a list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunLine {
    /// What its page is found by: the run's name, or its number in the ledger.
    pub(super) id: String,
    pub(super) badge: Badge,
    pub(super) verb: String,
    pub(super) started: DateTime<Utc>,
    pub(super) ended: Option<DateTime<Utc>>,
    pub(super) took: Option<String>,
    pub(super) seconds: Option<f64>,
    pub(super) scheduled_for: Option<DateTime<Utc>>,
    pub(super) counts: Option<RunCounts>,
    pub(super) error: Option<String>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct RunCounts {
    pub(super) landed: u64,
    pub(super) unchanged: u64,
    pub(super) failed: u64,
    pub(super) rows: u64,
    pub(super) pages: u64,
    pub(super) retries: u64,
    pub(super) received: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl RunCounts {
    fn of(report: &RunReport) -> Self {
        let summary = RunSummary::of(&Asked::new("run"), report);
        Self::of_summary(&summary)
    }

    const fn of_summary(summary: &RunSummary) -> Self {
        Self {
            landed: summary.landed,
            unchanged: summary.unchanged,
            failed: summary.failed,
            rows: summary.rows,
            pages: summary.pages,
            retries: summary.retries,
            received: summary.received_bytes,
            files: summary.files,
            bytes: summary.bytes,
        }
    }
}

impl RunLine {
    pub(super) fn running(run: &RunningView) -> Self {
        Self {
            id: run.run.to_string(),
            badge: Badge::of_running(run),
            verb: run.asked.verb.clone(),
            started: run.started,
            ended: None,
            took: None,
            seconds: None,
            scheduled_for: run.scheduled_for,
            counts: None,
            error: None,
        }
    }

    pub(super) fn ended(end: &RunEnd) -> Self {
        Self {
            id: end.run.to_string(),
            badge: Badge::of_exit(end.exit_code),
            verb: end.asked.verb.clone(),
            started: end.started,
            ended: Some(end.ended),
            took: Some(text::took(end.ended - end.started)),
            seconds: Some((end.ended - end.started).as_seconds_f64()),
            scheduled_for: end.scheduled_for,
            counts: end.report.as_ref().map(RunCounts::of),
            error: end.first_error(),
        }
    }

    pub(super) fn kept(run: &RunState, life: RunLife) -> Self {
        let end = run.end.as_ref();
        let summary = end.map(|end| &end.summary);
        let named = summary.and_then(|summary| summary.run.as_ref());
        let badge = match (summary.and_then(RunSummary::exit), summary, life) {
            (Some(exit), ..) => Badge::of_exit(exit),
            (None, Some(summary), _) => Badge::of_outcome(summary.ended()),
            (None, None, RunLife::Died) => Badge::bad("died"),
            (None, None, _) => Badge::doubtful("runs elsewhere, or died"),
        };
        Self {
            id: named.map_or_else(|| run.id.to_string(), ToString::to_string),
            badge,
            verb: run.verb().to_owned(),
            started: run.started,
            ended: end.map(|end| end.at),
            took: end.map(|end| text::took(end.at - run.started)),
            seconds: end.map(|end| (end.at - run.started).as_seconds_f64()),
            scheduled_for: summary.and_then(|summary| summary.scheduled_for),
            counts: summary.map(RunCounts::of_summary),
            error: summary.and_then(|summary| summary.error.clone()),
        }
    }
}

/// Returns the runs of a pipeline, newest first: the one that goes on, those of this process, and those that the ledger knows.
pub(super) fn all(view: &PipelineView, known: &Known) -> Vec<RunLine> {
    let mut lines: Vec<RunLine> = view.ended.iter().map(|end| RunLine::ended(end)).collect();
    let own: BTreeSet<String> = lines.iter().map(|line| line.id.clone()).collect();
    for (run, life) in known.runs() {
        let line = RunLine::kept(run, life);
        // The one that goes on has the lease.
        let has_lease = |run: &RunningView| run.progress.waits_for().is_none();
        let goes_on = life == RunLife::Holds && view.running.as_ref().is_some_and(has_lease);
        if !own.contains(&line.id) && !goes_on {
            lines.push(line);
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.started));
    lines.splice(0..0, view.running.iter().map(RunLine::running));
    lines
}

/// Returns the last run that has ended and did the pipeline's work.
pub(super) fn last(lines: &[RunLine]) -> Option<&RunLine> {
    lines.iter().find(|line| line.badge.tone != "busy" && moves_data(&line.verb))
}
