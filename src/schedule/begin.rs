//! The beginning of runs: each has waited for a place, and much may have changed meanwhile.

use std::sync::Arc;

use super::daemon::Daemon;
use super::starts::Ask;
use super::{Skip, Step, Turn, files};
use crate::plan::Shard;
use crate::run::{Options, Reads, new_id};

impl Daemon {
    /// Begins the runs that have a place. Each file is read anew: a secret that it names may have changed where the file hasn't.
    pub(super) async fn begin_waiting(&mut self) {
        while let Some((ask, place)) = self.starts.next() {
            if self.is_paused(&ask).await {
                continue;
            }
            let Ask { pipeline: name, scheduled_for, backfill } = ask;
            let Some(file) = self.entries.get(&name).map(|entry| entry.file.clone()) else { continue };
            let loaded = files::load(&self.load, &file).await;
            let now = self.env.clock.now();
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let mut settled = None;
            match loaded {
                Ok(pipeline) if pipeline.name == name => settled = entry.update(file, pipeline, now),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(pipeline = %name, error, "the file can't be used now; it runs as it was before");
                }
            }
            let (backfill, jobs) = backfill.unzip();
            let options = Options {
                shard: Shard::WHOLE,
                run: new_id(now),
                scheduled_for,
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
            entry.running = Some(self.starts.begin(Arc::clone(&entry.pipeline), options, place));
            self.settle(&name, settled);
        }
    }

    /// Skips a run by schedule whose pipeline was paused while it waited, for a place or for the run before it. What a person asked
    /// for runs all the same.
    async fn is_paused(&mut self, ask: &Ask) -> bool {
        let (Some(instant), Some(entry)) = (ask.scheduled_for, self.entries.get_mut(&ask.pipeline)) else {
            return false;
        };
        if !entry.look_for_pause().await {
            return false;
        }
        let (next, settled) = entry.turn.as_mut().map(Turn::ended).unwrap_or_default();
        self.step(&ask.pipeline, Step::Skipped(instant, Skip::Paused), None);
        self.go_on(&ask.pipeline, next, settled);
        true
    }
}
