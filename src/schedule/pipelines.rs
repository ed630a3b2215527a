//! One pipeline of the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::files::FileDigest;
use super::view::{self, PipelineView, RunningView};
use super::{Settled, Timetable, Turn};
use crate::ledger::{self, Ledger};
use crate::model::{PipelineName, RunEnd};
use crate::pipeline::spec::Pipeline;

/// A pipeline file.
pub(super) struct FileState {
    /// What it held when it was last read.
    pub(super) digest: FileDigest,
    /// The pipeline that it names; where it can't be read, the one that goes on.
    pub(super) names: Option<PipelineName>,
    /// The pipeline that came of it, then or before, and goes on.
    pub(super) pipeline: Option<PipelineName>,
    /// What is wrong with it.
    pub(super) error: Option<String>,
}

/// A pipeline, and where it stands.
pub(super) struct Entry {
    pub(super) file: PathBuf,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) ledger: Ledger,
    pub(super) table: Option<Timetable>,
    /// Which schedule that is.
    pub(super) schedule: String,
    /// Where it stands in its schedule; none until the ledger has told.
    pub(super) turn: Option<Turn>,
    pub(super) paused: Option<DateTime<Utc>>,
    pub(super) running: Option<RunningView>,
    pub(super) skipped: u64,
    pub(super) ended: Vec<Arc<RunEnd>>,
    pub(super) trouble: Option<String>,
    /// When the scheduler was told to wake us for it.
    pub(super) armed: Option<DateTime<Utc>>,
    /// Whether its file is gone: it goes once its run has ended.
    pub(super) gone: bool,
}

impl Entry {
    pub(super) fn new(file: PathBuf, pipeline: Pipeline, ledger: Ledger) -> Self {
        let table = Timetable::of(&pipeline);
        Self {
            file,
            schedule: Timetable::known_as(&pipeline),
            pipeline: Arc::new(pipeline),
            ledger,
            table,
            turn: None,
            paused: None,
            running: None,
            skipped: 0,
            ended: Vec::new(),
            trouble: None,
            armed: None,
            gone: false,
        }
    }

    /// Takes what the file says `now`. Returns what the ledger is to remember, where that is another schedule.
    pub(super) fn update(&mut self, file: PathBuf, pipeline: Pipeline, now: DateTime<Utc>) -> Settled {
        self.file = file;
        self.table = Timetable::of(&pipeline);
        let schedule = Timetable::known_as(&pipeline);
        self.pipeline = Arc::new(pipeline);
        self.gone = false;
        if schedule == self.schedule {
            return None;
        }
        self.schedule = schedule;
        self.turn.as_mut().and_then(|turn| turn.rescheduled(now))
    }

    /// Returns up to where the schedule of now was kept, by what the ledger remembers; none where it is another one.
    pub(super) fn believed(&self, noted: Option<ledger::Settled>) -> Settled {
        let same = |noted: &ledger::Settled| noted.schedule.as_ref().is_none_or(|schedule| *schedule == self.schedule);
        noted.filter(same).map(|noted| noted.until)
    }

    /// Reads whether it is paused: another process may have switched it (`tidegate pause`).
    pub(super) async fn look_for_pause(&mut self) -> bool {
        match self.ledger.paused().await {
            Ok(pause) => self.paused = pause.map(|pause| pause.at),
            Err(error) => {
                tracing::warn!(pipeline = %self.pipeline.name, %error, "whether the pipeline is paused can't be read");
            }
        }
        self.paused.is_some()
    }

    /// Returns the instant of the schedule that comes next, and when its run begins.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let (turn, table) = (self.turn.as_ref()?, self.table.as_ref()?);
        let instant = turn.next(now, table).filter(|_| !self.gone)?;
        Some((instant, instant + table.delay()))
    }

    /// Returns the instant whose time has come: where several have, the last, which stands for all of them.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (first, begins) = self.next(now)?;
        let table = self.table.as_ref()?;
        (begins <= now).then(|| table.last_within(first, now - table.delay()).unwrap_or(first))
    }

    pub(super) fn keep(&mut self, end: Arc<RunEnd>) {
        self.running = None;
        view::keep(&mut self.ended, end);
    }

    pub(super) fn view(&self, waiting: bool, now: DateTime<Utc>) -> PipelineView {
        PipelineView {
            file: self.file.clone(),
            pipeline: Arc::clone(&self.pipeline),
            next: self.next(now).map(|(_, begins)| begins),
            paused: self.paused,
            running: self.running.clone(),
            waiting,
            queued: self.turn.as_ref().and_then(Turn::queued),
            skipped: self.skipped,
            ended: self.ended.clone(),
            trouble: self.trouble.clone(),
        }
    }
}
