//! Starts runs, as many at a time as may go on, and takes their ends, panics among them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::hooks::Hooks;
use super::view::{LiveProgress, RunningView};
use crate::model::{Exit, JobName, PipelineName, RunEnd};
use crate::pipeline::spec::Pipeline;
use crate::run::{Backfill, Bounds, Env, Options, RunError};

/// What makes a run, on a thread of its own, to its end: [`crate::run::attempt`], but in tests.
pub type Runner = Arc<dyn Fn(&Pipeline, &Options, &Env) -> RunEnd + Send + Sync>;

/// The runs of the process.
pub(super) struct Starts {
    env: Env,
    most: usize,
    runner: Runner,
    /// What waits for a place.
    waiting: VecDeque<Ask>,
    tasks: JoinSet<RunEnd>,
    running: HashMap<Id, Running>,
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
}

impl Ask {
    /// Asks for what is due.
    pub(super) const fn due(pipeline: PipelineName, scheduled_for: Option<DateTime<Utc>>) -> Self {
        Self { pipeline, scheduled_for, backfill: None }
    }
}

struct Running {
    pipeline: Arc<Pipeline>,
    options: Options,
    started: DateTime<Utc>,
}

impl Starts {
    pub(super) fn new(env: Env, most: usize, runner: Runner) -> Self {
        Self {
            env,
            most,
            runner,
            waiting: VecDeque::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
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
    }

    /// Returns the run that may begin now.
    pub(super) fn next(&mut self) -> Option<Ask> {
        if self.running.len() < self.most { self.waiting.pop_front() } else { None }
    }

    pub(super) fn waits(&self, pipeline: &PipelineName) -> bool {
        self.waiting.iter().any(|ask| ask.pipeline == *pipeline)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Begins a run.
    pub(super) fn begin(&mut self, pipeline: Arc<Pipeline>, options: Options) -> RunningView {
        let progress = Arc::new(LiveProgress::default());
        let env = Env {
            progress: Arc::clone(&progress) as Arc<_>,
            cancel: self.cancel.child_token(),
            bounds: Bounds { wind_down: self.wind_down.child_token(), ..Bounds::default() },
            ..self.env.clone()
        };
        let started = self.env.clock.now();
        let (runner, of, by) = (Arc::clone(&self.runner), Arc::clone(&pipeline), options.clone());
        let task = self.tasks.spawn_blocking(move || runner(&of, &by, &env));
        let view = RunningView { run: options.run.clone(), scheduled_for: options.scheduled_for, started, progress };
        self.running.insert(task.id(), Running { pipeline, options, started });
        view
    }

    /// Waits for the end of a run, whose hook is then sent; for ever where none goes on.
    pub(super) async fn ended(&mut self) -> RunEnd {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(Ok((id, end))) => {
                    if let Some(running) = self.running.remove(&id) {
                        self.hooks.send(&running.pipeline, &end, &self.env);
                    }
                    return end;
                }
                Some(Err(error)) => {
                    if let Some(running) = self.running.remove(&error.id()) {
                        let end = self.lost(&running, error);
                        self.hooks.send(&running.pipeline, &end, &self.env);
                        return end;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Makes the end of a run that panicked outside of what [`crate::run::attempt`] catches: the others go on, and somebody hears of it.
    fn lost(&self, running: &Running, error: JoinError) -> RunEnd {
        let why = match error.try_into_panic() {
            Ok(panic) => RunError::panicked(panic.as_ref()).to_string(),
            Err(error) => format!("the run was given up: {error}"),
        };
        let end = RunEnd {
            pipeline: running.pipeline.name.clone(),
            run: running.options.run.clone(),
            scheduled_for: running.options.scheduled_for,
            started: running.started,
            ended: self.env.clock.now(),
            exit_code: Exit::Bug,
            error: Some(why),
            report: None,
        };
        tracing::error!(pipeline = %end.pipeline, run = %end.run, error = end.error, "run lost");
        end
    }
}
