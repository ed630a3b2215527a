//! One pipeline of the daemon.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::files::{FileDigest, Known, Stamps};
use super::ledgers::Switch;
use super::looks::silence;
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
    /// Where it can't be read: how all looked that this may lie in.
    pub(super) stamps: Stamps,
    /// The pipeline that can't be taken from it, though it can be read: it is tried again.
    pub(super) kept_back: Option<Pipeline>,
}

impl FileState {
    /// Returns what tells whether it has changed.
    pub(super) fn known(&self) -> Known {
        let refused = self.error.is_some() && self.kept_back.is_none();
        Known { digest: self.digest, refused, stamps: self.stamps.clone() }
    }
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
    /// Whether it was told that its ledger doesn't answer, which hasn't since.
    pub(super) told_silent: bool,
    /// Whether its ledger is to be asked where it stands.
    pub(super) unasked: bool,
    /// Pauses that are to be switched, one after the other.
    pub(super) switches: VecDeque<Switch>,
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
            told_silent: false,
            unasked: true,
            switches: VecDeque::new(),
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

    /// Returns the instant of the schedule that comes next, and when its run begins.
    pub(super) fn next(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let (turn, table) = (self.turn.as_ref()?, self.table.as_ref()?);
        let instant = turn.next(table).filter(|_| !self.gone)?;
        Some((instant, instant + table.delay()))
    }

    /// Returns the instant whose time has come: where several have, the last, which stands for all of them.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (first, begins) = self.next()?;
        let table = self.table.as_ref()?;
        (begins <= now).then(|| table.last_within(first, now - table.delay()).unwrap_or(first))
    }

    pub(super) fn keep(&mut self, end: Arc<RunEnd>) {
        self.running = None;
        view::keep(&mut self.ended, end);
    }

    /// Returns what others see of it; its ledger hasn't answered for `silent`.
    pub(super) fn view(&self, waiting: bool, silent: Option<Duration>) -> PipelineView {
        PipelineView {
            file: self.file.clone(),
            pipeline: Arc::clone(&self.pipeline),
            next: self.next().map(|(_, begins)| begins),
            paused: self.paused,
            running: self.running.clone(),
            waiting,
            queued: self.turn.as_ref().and_then(Turn::queued),
            skipped: self.skipped,
            ended: self.ended.clone(),
            trouble: silent.map(|since| silence("the ledger", since)).or_else(|| self.trouble.clone()),
        }
    }
}
