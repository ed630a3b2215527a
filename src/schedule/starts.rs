//! Starts runs, as many at a time as may go on, and takes their ends, panics among them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::daemon::Event;
use super::hooks::Hooks;
use super::view::{LiveProgress, RunningView};
use crate::model::{Exit, JobName, PipelineName, RunEnd};
use crate::pipeline::spec::Pipeline;
use crate::run::{Backfill, Bounds, Env, Options, Place, RunError};

/// What makes a run, on a thread of its own, to its end: [`crate::run::attempt`], but in tests.
pub type Runner = Arc<dyn Fn(&Pipeline, &Options, &Env) -> RunEnd + Send + Sync>;

/// The runs of the process.
pub(super) struct Starts {
    env: Env,
    /// A place for each of the runs that may go on at once.
    places: Arc<Semaphore>,
    runner: Runner,
    /// What waits for a place.
    waiting: VecDeque<Ask>,
    /// What has a place, and is about to begin.
    pub(super) preparing: Vec<Preparing>,
    tasks: JoinSet<(Arc<Pipeline>, Arc<RunEnd>)>,
    /// Hears of beginnings and ends as they happen.
    events: mpsc::UnboundedSender<Event>,
    /// What is sent of those that have ended.
    pub(super) hooks: Hooks,
    /// Lets no run begin a slice any more.
    pub(super) wind_down: CancellationToken,
    /// Throws away what isn't published.
    pub(super) cancel: CancellationToken,
}

/// A run that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// The pipeline.
    pub(super) pipeline: PipelineName,
    /// The instant that it is for.
    pub(super) scheduled_for: Option<DateTime<Utc>>,
    /// Windows of the past to read instead of what is due, and the jobs: all where there is none.
    pub(super) backfill: Option<(Backfill, Vec<JobName>)>,
    /// How often it gave its place back, since its ledger or its file was slow.
    pub(super) tries: u32,
}

/// A run that is about to begin.
pub(super) struct Preparing {
    pub(super) ask: Ask,
    /// What it waits for.
    pub(super) stage: Stage,
    /// None once it has given it back: then it waits for another one, when it has been answered.
    place: Option<Place>,
    since: Instant,
}

/// What a run waits for that is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// To hear whether the pipeline is paused.
    Pause,
    /// Its file.
    File,
}

/// How long a run has a place that can't begin, at first; twice as long each time.
const KEEPS_PLACE: Duration = Duration::from_secs(5);

impl Ask {
    /// Asks for what is due.
    pub(super) const fn due(pipeline: PipelineName, scheduled_for: Option<DateTime<Utc>>) -> Self {
        Self { pipeline, scheduled_for, backfill: None, tries: 0 }
    }
}

impl Starts {
    pub(super) fn new(env: Env, most: usize, runner: Runner, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            env,
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            runner,
            waiting: VecDeque::new(),
            preparing: Vec::new(),
            tasks: JoinSet::new(),
            events,
            hooks: Hooks::default(),
            wind_down: CancellationToken::new(),
            cancel: CancellationToken::new(),
        }
    }

    /// Has a run wait for its place.
    pub(super) fn ask(&mut self, ask: Ask) {
        self.waiting.push_back(ask);
    }

    /// Forgets the run that waits.
    pub(super) fn forget(&mut self, pipeline: &PipelineName) {
        self.waiting.retain(|ask| ask.pipeline != *pipeline);
        self.preparing.retain(|one| one.ask.pipeline != *pipeline);
    }

    /// Gives places to runs that wait. What a person asked for is begun whether the pipeline is paused or not.
    pub(super) fn seat(&mut self) {
        while let (Ok(place), false) = (Arc::clone(&self.places).try_acquire_owned(), self.waiting.is_empty()) {
            if let Some(ask) = self.waiting.pop_front() {
                let stage = if ask.scheduled_for.is_some() { Stage::Pause } else { Stage::File };
                let place = Some(Place::new(place));
                self.preparing.push(Preparing { ask, stage, place, since: Instant::now() });
            }
        }
    }

    /// Takes the places of runs that can't begin for too long: others may.
    pub(super) fn unseat(&mut self) {
        for one in &mut self.preparing {
            if one.since.elapsed() >= KEEPS_PLACE * 2_u32.pow(one.ask.tries.min(4)) {
                one.place = None;
            }
        }
    }

    /// Takes a run that has been answered at a stage: with its place, or none where it has to wait for another one, first of all.
    pub(super) fn prepared(&mut self, pipeline: &PipelineName, stage: Stage) -> Option<(Ask, Place)> {
        let at = self.preparing.iter().position(|one| one.ask.pipeline == *pipeline && one.stage == stage)?;
        let Preparing { mut ask, place, .. } = self.preparing.remove(at);
        if let Some(place) = place {
            return Some((ask, place));
        }
        ask.tries += 1;
        self.waiting.push_front(ask);
        None
    }

    /// Has a run that may begin wait for its file.
    pub(super) fn wait_for_file(&mut self, ask: Ask, place: Place) {
        self.preparing.push(Preparing { ask, stage: Stage::File, place: Some(place), since: Instant::now() });
    }

    /// Tells whether a run waits for a place.
    pub(super) fn has_no_place(&self, pipeline: &PipelineName) -> bool {
        self.waiting.iter().any(|ask| ask.pipeline == *pipeline)
    }

    /// Tells whether a run is to begin.
    pub(super) fn waits(&self, pipeline: &PipelineName) -> bool {
        let preparing = self.preparing.iter().map(|one| &one.ask);
        self.waiting.iter().chain(preparing).any(|ask| ask.pipeline == *pipeline)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Begins a run. Its end is told, and seen by who looks, when it ends: the daemon may be reading files and ledgers just then.
    pub(super) fn begin(&mut self, pipeline: Arc<Pipeline>, options: Options, place: Place) -> RunningView {
        let view = RunningView {
            run: options.run.clone(),
            scheduled_for: options.scheduled_for,
            asked: options.asked(&pipeline),
            started: self.env.clock.now(),
            progress: Arc::new(LiveProgress::default()),
            end: Arc::default(),
        };
        let env = Env {
            progress: Arc::clone(&view.progress) as Arc<_>,
            cancel: self.cancel.child_token(),
            bounds: Bounds { wind_down: self.wind_down.child_token(), place: place.clone(), ..Bounds::default() },
            ..self.env.clone()
        };
        // Nobody need listen, here and below.
        let _ = self.events.send(Event::Began(pipeline.name.clone(), view.clone()));
        let (runner, of, clock) = (Arc::clone(&self.runner), Arc::clone(&pipeline), Arc::clone(&env.clock));
        let (running, events) = (view.clone(), self.events.clone());
        let run = tokio::task::spawn_blocking(move || runner(&of, &options, &env));
        self.tasks.spawn(async move {
            let end = match run.await {
                Ok(end) => end,
                Err(error) => lost(&pipeline, &running, error, clock.now()),
            };
            place.leave();
            let end = Arc::clone(running.end.get_or_init(|| Arc::new(end)));
            let _ = events.send(Event::Ended(Arc::clone(&end)));
            (pipeline, end)
        });
        view
    }

    /// Waits for the end of a run, whose hook is then sent; for ever where none goes on.
    pub(super) async fn ended(&mut self) -> Arc<RunEnd> {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((pipeline, end))) => {
                    self.hooks.send(&pipeline, &end, &self.env);
                    return end;
                }
                Some(Err(error)) => tracing::error!(%error, "the end of a run is lost; this is a bug of Tidegate"),
                None => std::future::pending().await,
            }
        }
    }
}

/// Makes the end of a run that panicked outside of what [`crate::run::attempt`] catches: the others go on, and somebody hears of it.
fn lost(pipeline: &Pipeline, running: &RunningView, error: JoinError, now: DateTime<Utc>) -> RunEnd {
    let why = match error.try_into_panic() {
        Ok(panic) => RunError::panicked(panic.as_ref()).to_string(),
        Err(error) => format!("the run was given up: {error}"),
    };
    let end = RunEnd {
        pipeline: pipeline.name.clone(),
        run: running.run.clone(),
        asked: running.asked.clone(),
        scheduled_for: running.scheduled_for,
        started: running.started,
        ended: now,
        exit_code: Exit::Bug,
        error: Some(why),
        remedy: None,
        report: None,
    };
    tracing::error!(pipeline = %end.pipeline, run = %end.run, error = end.error, "run lost");
    end
}
