//! One run, and the one place that knows the order: lease, recover, plan, begin, extract, transform, write, publish, commit,
//! tidy. It reads like the path of the data in the design.

mod ahead;
mod answered;
mod attempt;
mod auth;
mod bad;
mod bounds;
mod build;
mod choice;
mod collect;
mod cursor;
mod data;
mod deliver;
mod dismiss;
mod done;
mod early;
mod edit;
mod edit_error;
mod end;
mod enrich;
mod enriched;
mod error;
mod evidence;
mod exact;
mod expect;
mod extract;
mod fingerprint;
mod future;
mod gone;
mod held;
mod hidden;
mod hints;
mod hooks;
mod increment;
mod intake;
mod job;
mod land;
mod locked;
mod loss_error;
mod meter;
#[cfg(test)]
mod moving_list;
mod names;
mod newest;
mod owner;
mod owner_error;
mod pages;
#[cfg(test)]
mod paging_tests;
mod panicked;
mod parents;
mod parts;
mod passes;
mod peek;
mod place;
mod plan;
mod preview;
mod probe;
mod progress;
pub mod quarantine;
mod readers;
mod refused;
mod remedy;
mod room;
mod row;
mod sample;
mod schema;
mod schema_error;
mod sent;
mod share;
mod source;
mod standing;
#[cfg(test)]
mod store_tests;
mod tables;
mod timeline;
mod told;
mod vacuum;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use answered::Answered;
pub use attempt::{attempt, new_id};
pub use bounds::Bounds;
pub(crate) use choice::chosen;
pub use data::Data;
pub use deliver::{OutboxError, deliver, deliveries};
pub use dismiss::{DismissError, Dismissed, dismiss};
pub use done::BrokenOff;
pub use edit_error::EditError;
pub use error::RunError;
pub use gone::Gone;
pub use held::{HeldRow, HeldSample, HeldSlice, RefusedRows, quarantine_sample, quarantined, refused_rows};
pub use hints::nothing_yet;
pub use hooks::{PostError, hook, notify, post};
pub use job::EdgeError;
pub use locked::check_locked;
pub use loss_error::LossError;
pub use names::unknown_names;
pub use owner_error::OwnerError;
pub use parts::PartError;
pub use place::Place;
pub use plan::{PlannedJob, PlannedSlice, plan};
pub use preview::{Preview, PreviewDelivery, PreviewFile, PreviewOptions, PreviewSink, preview};
pub use probe::{Probed, probe};
pub use progress::{Progress, Silent};
pub use schema::{
    CompareWith, JobSchema, PinnedColumn, SampleRead, SchemaDiff, SchemaVersion, accept_schema, pinned_schemas,
    schema_diff, schema_lock,
};
pub use schema_error::SchemaError;
pub use source::Sources;
pub use standing::{Standing, standings};
pub use timeline::{Mark, Stretch, Timeline};
pub use told::Terminated;
pub use vacuum::{Removal, Vacuumed, Vacuuming, vacuum};

use choice::{named, needed, no_job};
use done::{Done, summary, unplanned};
use end::release;

use crate::clock::Clock;
use crate::ledger::{Accept, Ledger, SliceRef, Timing, Writer};
use crate::model::{Asked, JobName, JobReport, RunId, RunReport, SchemaLock, Window};
use crate::objects::Stores;
use crate::pipeline::spec::{Job, Pipeline, Slicing};
use crate::plan::Shard;
use crate::sink::{DataSets, StagedSlice};

/// The world a run lives in.
#[derive(Clone)]
pub struct Env {
    /// Tells when a run began and ended. What is planned goes by [`Options::now`].
    pub clock: Arc<dyn Clock>,
    /// Hears how the run goes.
    pub progress: Arc<dyn Progress>,
    /// The clients of the process.
    pub sources: Arc<Sources>,
    /// The object stores of the process.
    pub stores: Arc<Stores>,
    /// Ends the run early, where it is cancelled: what isn't published by then is thrown away.
    pub cancel: CancellationToken,
    /// Whether SIGTERM did that.
    pub terminated: Terminated,
    /// When the run begins no further slices.
    pub bounds: Bounds,
}

/// What a run is to do.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, as on the command line")]
pub struct Options {
    /// Names the run. [`new_id`] makes one.
    pub run: RunId,
    /// The instant of the schedule that the run is for, UTC.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Where the ledger is kept: a folder, or the URL of one, `s3://bucket/prefix` too.
    pub state: String,
    /// How long a lease lives without a sign of life, where no lock tells.
    pub lease_ttl: Duration,
    /// The instant to plan with, UTC.
    pub now: DateTime<Utc>,
    /// Only these jobs, and the parents that they need; all where it is empty.
    pub jobs: Vec<JobName>,
    /// Only the slices of this shard. Each shard reads the parents for itself.
    pub shard: Shard,
    /// Whether to wait for another run of the pipeline.
    pub wait: bool,
    /// Whether a slice may be replaced by one with fewer rows.
    pub allow_shrink: bool,
    /// Whether a credential is sent though a server refused it in the last five minutes.
    pub retry_refused: bool,
    /// What becomes of what has landed where an edit changes what names it; none refuses such an edit.
    pub accept: Option<Accept>,
    /// Whether windows are read that haven't ended by this machine's clock or the server's.
    pub allow_future: bool,
    /// The schemas that the run may not leave; none where it may.
    pub lock: Option<Arc<SchemaLock>>,
    /// Which slices are read.
    pub reads: Reads,
}

impl Options {
    /// Says what a run of a pipeline with these is asked for.
    #[must_use]
    pub fn asked(&self, pipeline: &Pipeline) -> Asked {
        let jobs = pipeline.jobs.iter().filter(|job| self.asks_for(job)).map(|job| job.name.clone()).collect();
        let backfill = self.reads.backfill();
        let (window, missing) = (backfill.map(|asked| asked.window), backfill.is_some_and(|asked| asked.missing));
        Asked { jobs, window, missing, ..Asked::new(self.reads.verb()) }
    }

    /// Tells whether rows of a job are to land: those of others are read only where these need them.
    fn asks_for(&self, job: &Job) -> bool {
        let is_sliced_so = self.reads.backfill().is_none() || matches!(job.slicing, Slicing::Window(_));
        is_sliced_so && job.lands() && (self.jobs.is_empty() || self.jobs.contains(&job.name))
    }
}

/// Which slices a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Those that are due.
    Due,
    /// Windows of the past.
    Backfill(Backfill),
    /// Those that have rows in quarantine, again, and no other.
    Quarantined,
}

impl Reads {
    /// Returns the windows of the past that are to be read, if that is what is asked for.
    #[must_use]
    pub const fn backfill(self) -> Option<Backfill> {
        if let Self::Backfill(backfill) = self { Some(backfill) } else { None }
    }

    /// Returns the verb, as `history` says it.
    const fn verb(self) -> &'static str {
        match self {
            Self::Due => "run",
            Self::Backfill(_) => "backfill",
            Self::Quarantined => "replay",
        }
    }
}

/// Windows of the past that are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// The time that they cover, rounded out to whole windows, UTC.
    pub window: Window,
    /// Whether those that have landed are left out.
    pub missing: bool,
}

/// Runs a pipeline once.
///
/// # Errors
/// What keeps the run as a whole from going on: the lease, the ledger, an unknown job, an interruption; with what was done by then. What
/// fails in a job or a slice is in the report.
pub async fn run(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<RunReport, BrokenOff> {
    let before = (env.clock.now(), env.bounds.sent());
    let pipeline = &share::of(pipeline, options.shard);
    let jobs = chosen(pipeline, &options.jobs)?;
    future::check_now(options, env.clock.as_ref())?;
    if options.reads.backfill().is_some() {
        job::check_backfill(&jobs, !options.jobs.is_empty())?;
    }
    if let Some(lock) = &options.lock {
        check_locked(pipeline, lock)?;
    }
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?
        .with_timing(Timing::of(options.lease_ttl))
        .asking(options.asked(pipeline));
    let data = Data::new(Arc::clone(&env.stores));
    owner::check_run(pipeline, options, &ledger, &data, env).await?;
    ledger.prove(&env.stores).await?;
    data.prove(&jobs).await?;
    let Some(writer) = place::lease(&ledger, options, env).await? else {
        return Ok(Done::of_nothing(&jobs, options).report(pipeline, options, env, before));
    };
    let world = World { ledger, data, writer: writer.clone() };
    let mut done = Done::default();
    let ended = panicked::caught(Box::pin(run_jobs(pipeline, &jobs, options, env, &world, &mut done))).await;
    world.throw_away().await;
    let done = done.end(ended, &jobs, pipeline, options, env, before);
    release(pipeline, writer, summary(&options.asked(pipeline), options, env, &done)).await;
    done
}

/// Where a run keeps what it does.
struct World {
    ledger: Ledger,
    data: Data,
    writer: Writer,
}

async fn run_jobs(
    pipeline: &Pipeline,
    jobs: &[&Job],
    options: &Options,
    env: &Env,
    world: &World,
    done: &mut Done,
) -> Result<(), RunError> {
    let World { ledger, data, writer } = world;
    done.recovered = writer.recover(data).await?;
    sweep(pipeline, options, writer, data.sets()).await;
    let mut credentials = refused::Credentials::recall(jobs, options.retry_refused, env, ledger).await?;
    let mut rows: BTreeMap<JobName, Vec<Value>> = BTreeMap::new();
    for job in jobs {
        let runner = job::Runner { pipeline, job, options, env, ledger, data, writer };
        let lands = options.asks_for(job);
        if env.bounds.stop().is_some() {
            done.jobs.extend(lands.then(|| unplanned(job)));
            continue;
        }
        if needed(job, jobs) {
            let rows_of_parent = tokio::select! {
                rows = runner.parent_rows(&rows) => rows,
                () = env.cancel.cancelled() => break,
            };
            match rows_of_parent {
                Ok(found) => {
                    rows.insert(job.name.clone(), found);
                }
                Err(error) => done.jobs.push(job::failed(job, &error)),
            }
        }
        if lands {
            // Where the run breaks off in the middle of the job, what it had done stays known.
            let at = done.jobs.len();
            done.jobs.push(JobReport::new(job.name.clone()));
            runner.run(&rows, &mut done.jobs[at]).await;
            if let Err(error) = writer.tidy(data).await {
                // The slices have landed; their lists are behind, and what they replaced is still there.
                done.jobs[at].error.get_or_insert_with(|| RunError::from(error).chain());
            }
        }
        credentials.note(env, ledger).await;
        if env.cancel.is_cancelled() {
            break;
        }
    }
    let named = named(pipeline, &options.jobs)?;
    // Of the others the report says that their edit is refused.
    let sending = writer.state(|state| deliver::as_landed(&named, state));
    deliver::all(pipeline, &sending, options, false, env, world, &mut done.deliveries).await;
    credentials.note(env, ledger).await;
    deliver::tell_who_sends(&named, options.shard, &mut done.jobs);
    if env.cancel.is_cancelled() { Err(RunError::Interrupted) } else { Ok(()) }
}

/// Removes what dead runs of the pipeline staged and never published. A whole run holds the only lease, so nobody else stages; a
/// shard removes what was begun of its own slices, which nobody else stages either, and leaves the rest to a whole run.
async fn sweep(pipeline: &Pipeline, options: &Options, writer: &Writer, data: &DataSets) {
    let mut roots: BTreeSet<String> = writer.state(|state| state.roots().into_iter().map(str::to_owned).collect());
    roots.extend(pipeline.jobs.iter().flat_map(|job| &job.sinks).map(|sink| sink.url.clone()));
    for (job, outbox) in pipeline.jobs.iter().flat_map(|job| job.outboxes.iter().map(move |outbox| (job, outbox))) {
        roots.insert(deliver::data_set(&options.state, &pipeline.name, &job.name, &outbox.name).url);
    }
    roots.insert(quarantine::sink(&options.state, &pipeline.name).url);
    let begun: Vec<(SliceRef, u32)> = writer.state(|state| {
        let begun = state.jobs().flat_map(|job| state.open_begins(job));
        let own = begun.filter(|begin| options.shard.takes(&begin.slice));
        own.map(|begin| (SliceRef::of(&begin.slice), begin.generation)).collect()
    });
    let (begun, is_whole) = (Arc::new(begun), options.shard.is_whole());
    for root in &roots {
        let begun = Arc::clone(&begun);
        let keep = move |staged: &StagedSlice| {
            !is_whole && !begun.iter().any(|(at, generation)| staged.is(&at.job, &at.slice, *generation))
        };
        if let Err(error) = data.sweep_staged(root, &pipeline.name, keep).await {
            // It costs space only. Where the place itself can't be used, the slices that land there say so.
            tracing::warn!(%root, error = %RunError::from(error).chain(), "what dead runs staged can't be removed");
        }
    }
}
