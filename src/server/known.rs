//! What the ledgers say, read at most every few seconds however many look at the page.
//!
//! Who looks at all of them waits only a moment for those that are read again, and takes what was read before of the rest: how a run of
//! this process ended is known without its ledger.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, watch};

use crate::ledger::{Ends, Lane, Ledger, LedgerError, LedgerState, RunLife, RunState, Watch};
use crate::model::{PipelineName, RunId, Window};
use crate::pipeline::spec::{Job, Pipeline};
use crate::run::{Env, Standing, Timeline, standings};
use crate::schedule::PipelineView;

/// How old what is shown may be, unless a run has ended since.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// How long a ledger may take to answer.
const LONGEST: Duration = Duration::from_secs(10);

/// How long a page waits for a ledger, others before it in the queue included.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// How old what was read before may be to be shown where a ledger doesn't answer at once: longer ago is another night.
const LATELY: Duration = Duration::from_secs(30);

/// How long a page of all pipelines waits for ledgers that have been read lately.
pub(super) const BRIEFLY: Duration = Duration::from_millis(400);

/// How many ledgers are read at a time.
const AT_ONCE: usize = 8;

/// What a ledger says.
#[derive(Debug, Default)]
pub struct Known {
    /// The ledger's state; that of an empty ledger where it can't be read.
    pub(super) state: LedgerState,
    /// The chains of all jobs.
    pub(super) chains: Vec<Chain>,
    /// How the jobs ended.
    pub(super) ends: Ends,
    /// The lanes whose holders have died, though nobody has taken their leases since.
    pub(super) dead: BTreeSet<Lane>,
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

impl Known {
    /// Reads a ledger. One that can't be read, or doesn't answer, is said to be so.
    pub async fn read(pipeline: &Arc<Pipeline>, state: &str, env: &Env) -> Self {
        Self::of_ledger(&pipeline.name, Some(Arc::clone(pipeline)), state, env, Arc::default()).await
    }

    /// As [`Known::read`], of a pipeline whose file can't be used: what its ledger says of runs, and of no job.
    pub async fn read_runs(pipeline: &PipelineName, state: &str, env: &Env) -> Self {
        Self::of_ledger(pipeline, None, state, env, Arc::default()).await
    }

    /// `watch` has seen earlier readings.
    async fn of_ledger(
        name: &PipelineName,
        pipeline: Option<Arc<Pipeline>>,
        state: &str,
        env: &Env,
        watch: Arc<Mutex<Watch>>,
    ) -> Self {
        let ledger = Ledger::open(state, name.clone(), Arc::clone(&env.clock), &env.stores);
        let read = async {
            let ledger = ledger?;
            let state = ledger.read_state().await?;
            Ok::<_, LedgerError>((ledger, state))
        };
        let (ledger, state) = match tokio::time::timeout(LONGEST, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Self::unknown(crate::objects::chain(&error)),
            Err(_) => return Self::silent(),
        };
        let now = env.clock.now();
        let known = tokio::task::spawn_blocking(move || {
            let dead = ledger.dead(&state, &mut watch.lock().unwrap_or_else(PoisonError::into_inner));
            match dead {
                Ok(dead) => Self::of(pipeline.as_deref(), state, dead, now),
                Err(error) => Self::unknown(crate::objects::chain(&error)),
            }
        });
        known.await.unwrap_or_else(|error| Self::unknown(format!("the ledger can't be summed up: {error}")))
    }

    fn silent() -> Self {
        Self::unknown(format!("the ledger hasn't answered within {LONGEST:?}"))
    }

    fn unknown(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    pub(super) fn of(
        pipeline: Option<&Pipeline>,
        state: LedgerState,
        dead: BTreeSet<Lane>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut ends = state.ends().clone();
        for lane in &dead {
            if let Some((died, _)) =
                state.runs().find(|(run, _)| run.lane == *lane).filter(|(run, _)| run.end.is_none())
            {
                let died = died.ended(&ends);
                ends.died(&died);
            }
        }
        let jobs = || pipeline.into_iter().flat_map(|pipeline| pipeline.jobs.iter());
        let old = state.runs().filter_map(|(run, _)| Some((run, &run.end.as_ref()?.summary)));
        let old = old.filter(|(run, summary)| run.asked.is_none() && summary.verb == "run").take(1);
        for (run, summary) in old {
            for job in jobs().filter(|job| job.lands()) {
                let sinks = job.outboxes.iter().map(|outbox| outbox.name.clone());
                let ended = run.ended(&ends);
                ends.assume(&job.name, &ended, summary, sinks);
            }
        }
        let chains =
            jobs().flat_map(|job| standings(job, &state, now).into_iter().map(move |standing| (job, standing)));
        let chains = chains.map(|(job, standing)| {
            let due = ends.job(&job.name).and_then(|ends| ends.due);
            chain(job, standing, &state, due)
        });
        let chains = chains.collect();
        Self { state, chains, ends, dead, error: None }
    }

    /// Returns the last runs, newest first, as far as is known of those that never said how they ended.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&RunState, RunLife)> {
        self.state.runs_but(&self.dead)
    }
}

fn chain(job: &Job, standing: Standing, state: &LedgerState, due: Option<DateTime<Utc>>) -> Chain {
    let missing = standing.timeline.as_ref().map_or(0, |timeline| timeline.counts().1);
    let then = due.filter(|_| missing > 0);
    let then = then.and_then(|due| Timeline::of(job, standing.key.as_ref(), state, due));
    let overdue = then.as_ref().map_or(0, |timeline| timeline.counts().1);
    Chain { standing, missing, overdue, overdue_holes: then.map(|timeline| timeline.holes()).unwrap_or_default() }
}

/// The ledgers of the daemon's pipelines.
pub(super) struct Ledgers {
    env: Env,
    state: String,
    slots: Mutex<HashMap<PipelineName, Arc<Slot>>>,
    /// Places for reading ledgers that a run of this process has just written: what else is read holds them up in no queue.
    written: Arc<Semaphore>,
    /// Places for reading the others.
    others: Arc<Semaphore>,
}

/// What was read of one ledger.
#[derive(Default)]
struct Slot {
    reading: watch::Sender<Option<Reading>>,
    /// Whose turn it is to read.
    turn: AsyncMutex<()>,
    /// Tells who holds a lease and gives no sign of life, where no lock tells.
    watch: Arc<Mutex<Watch>>,
}

struct Reading {
    known: Arc<Known>,
    of: Moment,
    began: Instant,
    ended: Instant,
}

/// What a ledger is read for: a pipeline, and the run of this process that had ended last.
#[derive(Clone)]
struct Moment {
    pipeline: Arc<Pipeline>,
    after: Option<RunId>,
}

impl Moment {
    fn of(view: &PipelineView) -> Self {
        Self { pipeline: Arc::clone(&view.pipeline), after: view.ended.first().map(|end| end.run.clone()) }
    }

    fn is(&self, other: &Self) -> bool {
        self.after == other.after && Arc::ptr_eq(&self.pipeline, &other.pipeline)
    }
}

impl Ledgers {
    pub(super) fn new(env: Env, state: String) -> Self {
        let places = || Arc::new(Semaphore::new(AT_ONCE));
        Self { env, state, slots: Mutex::default(), written: places(), others: places() }
    }

    /// Returns what a pipeline's ledger says, no older than `most`, and after the last run that ended. Where it doesn't say so within
    /// `patience`, returns what it said lately, if anything. Many who ask at once read once.
    pub(super) async fn known(&self, view: &PipelineView, most: Duration, patience: Duration) -> Arc<Known> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(view.pipeline.name.clone()).or_default())
        };
        let wanted = Moment::of(view);
        let holds = |reading: &Option<Reading>| {
            reading.as_ref().is_some_and(|reading| reading.ended.elapsed() < most && reading.of.is(&wanted))
        };
        let mut seen = slot.reading.subscribe();
        let before = seen.borrow().as_ref().map(|reading| (reading.of.clone(), reading.ended.elapsed() < LATELY));
        if !holds(&seen.borrow()) {
            let written = before.as_ref().is_some_and(|(before, _)| before.after != wanted.after);
            let places = if written { &self.written } else { &self.others };
            self.read(Arc::clone(&slot), wanted.clone(), Arc::clone(places));
            let patience = if before.is_some_and(|(_, lately)| lately) { patience } else { PATIENCE };
            // Who has waited long enough takes what there is.
            let _ = tokio::time::timeout(patience, seen.wait_for(holds)).await;
        }
        let reading = slot.reading.borrow();
        reading.as_ref().map_or_else(|| Arc::new(Known::silent()), |reading| Arc::clone(&reading.known))
    }

    /// Reads a ledger beside who asks, unless another has begun to since.
    fn read(&self, slot: Arc<Slot>, of: Moment, places: Arc<Semaphore>) {
        let (asked, env, state) = (Instant::now(), self.env.clone(), self.state.clone());
        tokio::spawn(async move {
            // They are never closed.
            let _place = places.acquire().await;
            let _turn = slot.turn.lock().await;
            if slot.reading.borrow().as_ref().is_some_and(|reading| reading.began >= asked) {
                return;
            }
            let began = Instant::now();
            let (pipeline, watch) = (Arc::clone(&of.pipeline), Arc::clone(&slot.watch));
            let known = Arc::new(Known::of_ledger(&of.pipeline.name, Some(pipeline), &state, &env, watch).await);
            slot.reading.send_replace(Some(Reading { known, of, began, ended: Instant::now() }));
        });
    }

    /// Forgets pipelines that are gone.
    pub(super) fn keep(&self, is_there: impl Fn(&PipelineName) -> bool) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_there(name));
    }

    /// Has no ledger be read until what is returned is dropped.
    #[cfg(test)]
    pub(super) async fn closed(&self) -> [tokio::sync::OwnedSemaphorePermit; 2] {
        let all = u32::try_from(AT_ONCE).unwrap();
        let [written, others] = [&self.written, &self.others].map(|places| Arc::clone(places).acquire_many_owned(all));
        [written.await.unwrap(), others.await.unwrap()]
    }
}
