//! What the ledgers say, read at most every few seconds however many look at the page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex as AsyncMutex;

use crate::ledger::{Ledger, LedgerState, RunOutcome, moves_data};
use crate::model::{PipelineName, RunId, Window};
use crate::pipeline::spec::Pipeline;
use crate::run::{Env, Standing, Timeline, standings};
use crate::schedule::PipelineView;

/// How old what is shown may be, unless a run has ended since.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// How long a page waits for a ledger.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a ledger says.
#[derive(Debug)]
pub struct Known {
    /// The ledger's state; that of an empty ledger where it can't be read.
    pub(super) state: LedgerState,
    /// The chains of all jobs.
    pub(super) chains: Vec<Chain>,
    /// The ends of runs, newest first; a vacuum is none.
    pub(super) ends: Vec<KnownEnd>,
    /// Why the ledger can't be read.
    pub(super) error: Option<String>,
}

/// A chain of slices.
#[derive(Debug)]
pub(super) struct Chain {
    /// How far it has come.
    pub(super) standing: Standing,
    /// Windows that have ended and haven't landed.
    pub(super) missing: u64,
    /// Those of them that the last run should have landed.
    pub(super) overdue: u64,
    /// They, merged where they touch.
    pub(super) overdue_holes: Vec<Window>,
}

/// The end of a run.
#[derive(Debug)]
pub(super) struct KnownEnd {
    /// When it ended, UTC.
    pub(super) at: DateTime<Utc>,
    /// Whether all that was due had landed.
    pub(super) done: bool,
}

impl Known {
    /// Reads a ledger. One that can't be read, or doesn't answer, is said to be so.
    pub async fn read(pipeline: &Arc<Pipeline>, state: &str, env: &Env) -> Self {
        Self::of_ledger(&pipeline.name, Some(Arc::clone(pipeline)), state, env).await
    }

    /// As [`Known::read`], of a pipeline whose file can't be used: what its ledger says of runs, and of no job.
    pub async fn read_runs(pipeline: &PipelineName, state: &str, env: &Env) -> Self {
        Self::of_ledger(pipeline, None, state, env).await
    }

    async fn of_ledger(name: &PipelineName, pipeline: Option<Arc<Pipeline>>, state: &str, env: &Env) -> Self {
        let ledger = Ledger::open(state, name.clone(), Arc::clone(&env.clock), &env.stores);
        let read = async { ledger?.read_state().await };
        let state = match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => return Self::unknown(crate::objects::chain(&error)),
            Err(_) => return Self::unknown(format!("the ledger hasn't answered within {PATIENCE:?}")),
        };
        let now = env.clock.now();
        let known = tokio::task::spawn_blocking(move || Self::of(pipeline.as_deref(), state, now)).await;
        known.unwrap_or_else(|error| Self::unknown(format!("the ledger can't be summed up: {error}")))
    }

    fn unknown(error: String) -> Self {
        Self { state: LedgerState::default(), chains: Vec::new(), ends: Vec::new(), error: Some(error) }
    }

    fn of(pipeline: Option<&Pipeline>, state: LedgerState, now: DateTime<Utc>) -> Self {
        let ends: Vec<KnownEnd> = state.runs().filter_map(|(run, _)| run.end.as_ref()).filter_map(end).collect();
        let last = state.runs().filter_map(|(run, _)| run.end.as_ref()).find(|end| end.summary.verb == "run");
        let due = last.map(|end| end.summary.now);
        let jobs = pipeline.into_iter().flat_map(|pipeline| pipeline.jobs.iter().map(move |job| (pipeline, job)));
        let chains =
            jobs.flat_map(|(pipeline, job)| standings(job, &state, now).into_iter().map(move |one| (pipeline, one)));
        let chains = chains.map(|(pipeline, standing)| chain(pipeline, standing, &state, due)).collect();
        Self { state, chains, ends, error: None }
    }
}

fn end(end: &crate::ledger::RunEnd) -> Option<KnownEnd> {
    moves_data(&end.summary.verb).then(|| KnownEnd { at: end.at, done: end.summary.ended() == RunOutcome::Done })
}

fn chain(pipeline: &Pipeline, standing: Standing, state: &LedgerState, due: Option<DateTime<Utc>>) -> Chain {
    let missing = standing.timeline.as_ref().map_or(0, |timeline| timeline.counts().1);
    let job = pipeline.job(&standing.job);
    let then = due.filter(|_| missing > 0).zip(job);
    let then = then.and_then(|(due, job)| Timeline::of(job, standing.key.as_ref(), state, due));
    let overdue = then.as_ref().map_or(0, |timeline| timeline.counts().1);
    Chain { standing, missing, overdue, overdue_holes: then.map(|timeline| timeline.holes()).unwrap_or_default() }
}

/// The ledgers of the daemon's pipelines.
pub(super) struct Ledgers {
    env: Env,
    state: String,
    slots: Mutex<HashMap<PipelineName, Arc<AsyncMutex<Option<Slot>>>>>,
}

struct Slot {
    known: Arc<Known>,
    read: Instant,
    /// The run that had ended last.
    after: Option<RunId>,
    /// The pipeline that it was read for.
    pipeline: Arc<Pipeline>,
}

impl Ledgers {
    pub(super) fn new(env: Env, state: String) -> Self {
        Self { env, state, slots: Mutex::default() }
    }

    /// Returns what a pipeline's ledger says, no older than `most`, and after the last run that ended. Many who ask at once read once.
    pub(super) async fn known(&self, view: &PipelineView, most: Duration) -> Arc<Known> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(view.pipeline.name.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        let after = view.ended.first().map(|end| end.run.clone());
        let holds = |slot: &&Slot| {
            slot.read.elapsed() < most && slot.after == after && Arc::ptr_eq(&slot.pipeline, &view.pipeline)
        };
        if let Some(slot) = slot.as_ref().filter(holds) {
            return Arc::clone(&slot.known);
        }
        let known = Arc::new(Known::read(&view.pipeline, &self.state, &self.env).await);
        let pipeline = Arc::clone(&view.pipeline);
        *slot = Some(Slot { known: Arc::clone(&known), read: Instant::now(), after, pipeline });
        known
    }

    /// Forgets pipelines that are gone.
    pub(super) fn keep(&self, is_there: impl Fn(&PipelineName) -> bool) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_there(name));
    }
}
