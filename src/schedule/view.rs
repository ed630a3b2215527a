//! What others see of the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};

use crate::model::{Asked, JobName, PipelineName, RunEnd, RunId, SliceOutcome};
use crate::pipeline::spec::Pipeline;
use crate::run::Progress;

/// How many ended runs of a pipeline are kept.
const KEPT: usize = 10;

/// The daemon at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// When it was taken, UTC, which is every second at least; none before the folder was looked at for the first time.
    pub at: Option<DateTime<Utc>>,
    /// Its pipelines, by name.
    pub pipelines: Vec<PipelineView>,
    /// Files that can't be used, by path. Where the file had a pipeline before, that goes on as it was.
    pub refused: Vec<FileError>,
    /// Why the folder can't be read, in a sentence that names it: then all goes on as it was.
    pub unread: Option<String>,
    /// Whether the process is about to end.
    pub draining: bool,
}

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, in full.
    pub error: String,
    /// The file that has its pipeline's name already, if that is it.
    pub other: Option<PathBuf>,
    /// Whether the pipeline that was read from it before goes on as it was.
    pub goes_on: bool,
}

/// One pipeline.
#[derive(Debug, Clone)]
pub struct PipelineView {
    /// Its file.
    pub file: PathBuf,
    /// The pipeline, as it was last read without a mistake.
    pub pipeline: Arc<Pipeline>,
    /// When its next run begins by schedule, jitter included, UTC; none where it has no schedule.
    pub next: Option<DateTime<Utc>>,
    /// Since when it is paused, UTC.
    pub paused: Option<DateTime<Utc>>,
    /// The run that goes on.
    pub running: Option<RunningView>,
    /// Whether a run waits for one of another pipeline to end (`--max-concurrent-runs`).
    pub waiting: bool,
    /// The instant that waits for the run to end (`overlap: queue`), UTC.
    pub queued: Option<DateTime<Utc>>,
    /// Firings that were skipped since the daemon began.
    pub skipped: u64,
    /// Runs that ended since the daemon began, the newest first, ten at most.
    pub ended: Vec<Arc<RunEnd>>,
    /// Why its schedule can't be kept: the ledger can't be read.
    pub trouble: Option<String>,
}

/// A run that goes on.
#[derive(Debug, Clone)]
pub struct RunningView {
    /// The run.
    pub run: RunId,
    /// The instant that it is for, UTC; none where a person started it.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// What it was asked for.
    pub asked: Asked,
    /// When it began, UTC.
    pub started: DateTime<Utc>,
    /// How far it is: live, not of the moment of the view.
    pub progress: Arc<LiveProgress>,
    /// How it ended, as soon as it has: live too.
    pub end: Arc<OnceLock<Arc<RunEnd>>>,
}

impl View {
    /// Returns the view with the runs that have ended since it was taken.
    pub(super) fn with_ends(self: &Arc<Self>) -> Arc<Self> {
        if self.pipelines.iter().all(|pipeline| pipeline.end().is_none()) {
            return Arc::clone(self);
        }
        let mut view = Self::clone(self);
        for pipeline in &mut view.pipelines {
            if let Some(end) = pipeline.end() {
                pipeline.running = None;
                keep(&mut pipeline.ended, end);
            }
        }
        Arc::new(view)
    }

    /// Returns a pipeline by its name.
    #[must_use]
    pub fn pipeline(&self, name: &PipelineName) -> Option<&PipelineView> {
        self.pipelines.iter().find(|view| view.pipeline.name == *name)
    }
}

impl PipelineView {
    /// Returns the end of the run that went on when the view was taken.
    fn end(&self) -> Option<Arc<RunEnd>> {
        self.running.as_ref().and_then(|running| running.end.get().cloned())
    }
}

/// Puts an end before those that are kept.
pub(super) fn keep(ended: &mut Vec<Arc<RunEnd>>, end: Arc<RunEnd>) {
    ended.truncate(KEPT - 1);
    ended.insert(0, end);
}

/// How far a job of a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// Slices planned.
    pub planned: u64,
    /// Slices that landed, or were found unchanged.
    pub landed: u64,
    /// Slices that failed.
    pub failed: u64,
    /// Pages received.
    pub pages: u64,
    /// Rows received.
    pub rows: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Whether it has ended.
    pub ended: bool,
}

/// Counts how far a run is.
#[derive(Debug, Default)]
pub struct LiveProgress {
    jobs: Mutex<BTreeMap<JobName, JobProgress>>,
    waits: Mutex<Option<String>>,
}

impl LiveProgress {
    /// Returns its jobs, by name.
    #[must_use]
    pub fn jobs(&self) -> BTreeMap<JobName, JobProgress> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what the run waits for before it begins, such as a run of its pipeline by another process; none where it goes on.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, job: &JobName, change: impl FnOnce(&mut JobProgress)) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        change(jobs.entry(job.clone()).or_default());
    }
}

impl Progress for LiveProgress {
    fn waits(&self, what: Option<&str>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = what.map(str::to_owned);
    }

    fn planned(&self, job: &JobName, slices: u64) {
        self.with(job, |job| job.planned += slices);
    }

    fn page(&self, job: &JobName, rows: u64, bytes: u64) {
        self.with(job, |job| {
            job.pages += 1;
            job.rows += rows;
            job.bytes += bytes;
        });
    }

    fn slice(&self, job: &JobName, outcome: &SliceOutcome) {
        self.with(job, |job| match outcome {
            SliceOutcome::Failed { .. } => job.failed += 1,
            SliceOutcome::Landed | SliceOutcome::Unchanged => job.landed += 1,
        });
    }

    fn ended(&self, job: &JobName) {
        self.with(job, |job| job.ended = true);
    }
}
