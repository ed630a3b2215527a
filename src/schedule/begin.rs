//! The beginning of runs: each has waited for a place, and much may have changed meanwhile.

use std::sync::Arc;

use tokio::time::Instant;

use super::daemon::Daemon;
use super::files::{self, Refusal, Sight};
use super::looks::{Of, Seen};
use super::starts::{Ask, Stage};
use super::{Skip, Step, Turn};
use crate::model::PipelineName;
use crate::pipeline::spec::Pipeline;
use crate::plan::Shard;
use crate::run::{Options, Place, Reads, new_id};

impl Daemon {
    /// Has the runs begin that have a place. Each file is read anew: a secret that it names may have changed where the file hasn't.
    pub(super) fn prepare(&mut self) {
        self.starts.seat();
        let files = self.starts.preparing.iter().filter(|one| one.stage == Stage::File);
        let files: Vec<PipelineName> = files.map(|one| one.ask.pipeline.clone()).collect();
        for name in files {
            let Some(file) = self.entries.get(&name).map(|entry| entry.file.clone()) else {
                self.starts.forget(&name);
                continue;
            };
            let of = Of::File(file.clone());
            if self.looks.silent(&of).is_some() {
                tracing::warn!(pipeline = %name, "the file, or one that it names, doesn't answer; it runs as it was before");
                self.begin(&name, None);
            } else if !self.looks.is_on(&of) {
                let sight = Sight::default();
                let fresh = files::load(Arc::clone(&self.load), file, Arc::clone(&sight));
                self.looks.go_on(of, Instant::now(), sight, async move { Seen::Fresh(name, fresh.await) });
            }
        }
    }

    /// Skips a run by schedule whose pipeline was paused while it waited, for a place or for the run before it. What a person asked
    /// for runs all the same.
    pub(super) fn pause_is_known(&mut self, name: &PipelineName, paused: bool) {
        let Some((ask, place)) = self.starts.prepared(name, Stage::Pause) else { return };
        let (Some(instant), true) = (ask.scheduled_for, paused) else {
            self.starts.wait_for_file(ask, place);
            return;
        };
        drop(place);
        let turn = self.entries.get_mut(name).and_then(|entry| entry.turn.as_mut());
        let (next, settled) = turn.map(Turn::ended).unwrap_or_default();
        self.step(name, Step::Skipped(instant, Skip::Paused), None);
        self.go_on(name, next, settled);
    }

    /// Begins a run whose file has been read, where it still has its place.
    pub(super) fn begin(&mut self, name: &PipelineName, loaded: Option<Result<Pipeline, Refusal>>) {
        let Some((ask, place)) = self.starts.prepared(name, Stage::File) else { return };
        let now = self.env.clock.now();
        let Some(entry) = self.entries.get_mut(name) else { return };
        let file = entry.file.clone();
        let mut settled = None;
        match loaded {
            Some(Ok(pipeline)) if pipeline.name == *name => settled = entry.update(file, pipeline, now),
            Some(Err(Refusal { why, .. })) => {
                tracing::warn!(pipeline = %name, error = why, "the file can't be used now; it runs as it was before");
            }
            _ => {}
        }
        let pipeline = Arc::clone(&entry.pipeline);
        let running = self.start(pipeline, ask, place);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.running = Some(running);
        }
        self.settle(name, settled);
    }

    fn start(&mut self, pipeline: Arc<Pipeline>, ask: Ask, place: Place) -> super::RunningView {
        let now = self.env.clock.now();
        let (backfill, jobs) = ask.backfill.unzip();
        let options = Options {
            shard: Shard::WHOLE,
            run: new_id(now),
            scheduled_for: ask.scheduled_for,
            state: self.config.state.clone(),
            lease_ttl: self.config.lease_ttl,
            now,
            jobs: jobs.unwrap_or_default(),
            wait: true,
            allow_shrink: false,
            retry_refused: false,
            accept: None,
            allow_future: false,
            lock: None,
            reads: backfill.map_or(Reads::Due, Reads::Backfill),
        };
        self.starts.begin(pipeline, options, place)
    }
}
