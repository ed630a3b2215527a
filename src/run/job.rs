//! One job of a run: its keys, its slices, and what became of each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::RwLock;

use super::extract::Extraction;
use super::land::Target;
use super::sent::Sent;
use super::{Data, Env, Options, Reads, RunError, build, deliver, hints, quarantine, tables};
use crate::ledger::{
    Begin, BeginSlice, Close, Closed, LandedRange, Ledger, LedgerState, ParentRow, Record, SliceRef, Writer,
};
use crate::model::{Exit, FanoutKey, JobName, JobReport, Left, RecordSchema, Slice, SliceId, SliceKind, SliceOutcome};
use crate::pipeline::spec::{FanOutFrom, Job, Outbox, Pipeline, Slicing, Start};
use crate::plan::{self, History, Key, MOST_DUE, Shard};
use crate::telemetry::IN_REPORT;

mod anew;
mod backfill;
mod edges;
mod edited;
mod finished;
mod interrupted;
pub(super) mod judge;
mod pinned;
mod replay;
mod reset;
mod shrink;
mod slice;
mod stage;
mod told;
mod turns;

pub(super) use backfill::{backfilled, check as check_backfill};
pub use edges::EdgeError;
use edges::Neighbours;
use finished::Finished;
pub(super) use judge::reconcile;
pub(super) use replay::{held, stays};
use slice::SliceRun;
pub(super) use slice::columns;
use turns::Turns;

/// One job of a run, and the world it lives in.
pub(super) struct Runner<'r> {
    pub(super) pipeline: &'r Pipeline,
    pub(super) job: &'r Job,
    pub(super) options: &'r Options,
    pub(super) env: &'r Env,
    pub(super) ledger: &'r Ledger,
    pub(super) data: &'r Data,
    pub(super) writer: &'r Writer,
}

/// A slice that waits for its turn.
struct Waiting {
    slice: Slice,
    /// Its begin, once it has one.
    begin: Option<Begin>,
    /// Whether an earlier run has begun it: then something of it may have been read.
    is_old: bool,
}

impl Waiting {
    const fn new(slice: Slice) -> Self {
        Self { slice, begin: None, is_old: false }
    }
}

impl Runner<'_> {
    /// Reads the rows that other jobs fan out over.
    /// `known` has those of the jobs before it.
    pub(super) async fn parent_rows(&self, known: &BTreeMap<JobName, Vec<Value>>) -> Result<Vec<Value>, RunError> {
        let keys = fan_out(self.job, known)?;
        let sent = Sent::of_parent(self.pipeline, &self.job.name)?;
        let rows = self.extraction()?.parent_rows(keys.as_deref(), sent, self.options.now).await;
        self.env.progress.ended(&self.job.name);
        rows
    }

    /// Lands what is due. Nothing is returned as an error: the report has it.
    pub(super) async fn run(&self, rows: &BTreeMap<JobName, Vec<Value>>, report: &mut JobReport) {
        report.warnings.extend(hints::trusting(self.job));
        // So it stays where the run breaks off before it is known what is due.
        report.left = Some(Left::Unplanned);
        match self.land(rows, report).await {
            // That is said of the run.
            Ok(()) | Err(RunError::Interrupted) => {}
            Err(error) => {
                report.left.take_if(|left| *left == Left::Unplanned);
                report.refused = error.exit() == Exit::Refused;
                report.remedy = error.remedy();
                report.error = Some(error.chain());
            }
        }
        self.env.progress.ended(&self.job.name);
    }

    async fn land(&self, rows: &BTreeMap<JobName, Vec<Value>>, report: &mut JobReport) -> Result<(), RunError> {
        self.check_fingerprint(report).await?;
        self.check_schema().await?;
        let before = self.writer.state(|state| state.schema_version(&self.job.name));
        let keys = self.keys(rows, report).await?;
        let (due, ended) = match self.options.reads {
            Reads::Due => self.due(keys.as_deref(), report).await?,
            Reads::Backfill(wanted) => {
                let backfilled =
                    |state: &LedgerState| backfilled(self.job, wanted, keys.as_deref(), state, self.options);
                let (slices, said) = self.writer.state(backfilled);
                report.warnings.extend(said);
                (slices, Vec::new())
            }
            Reads::Quarantined => self.replayed(keys.as_deref()),
        };
        self.warn_of_the_future(report);
        self.env.progress.planned(&self.job.name, (due.len() + ended.len()) as u64);
        let mut queue = due.into_iter().map(Waiting::new).collect();
        for finished in ended {
            self.finished(finished, &mut queue, report);
        }
        let valued = self.slices(queue, report).await?;
        self.tell(before, &valued, report).await?;
        self.supersede(report).await
    }

    /// Returns the slices that are due, and the ends of those that aren't read.
    async fn due(&self, keys: Option<&[Key]>, report: &mut JobReport) -> Result<(Vec<Slice>, Vec<Finished>), RunError> {
        let start = self.start(report).await?;
        let (shard, now) = (self.options.shard, self.options.now);
        let due = self.writer.state(|state| due(self.pipeline, self.job, keys, state, now, start, shard));
        if due.len() > MOST_DUE {
            return Err(RunError::TooManyWindows { job: self.job.name.clone(), most: MOST_DUE });
        }
        let (due, ended) = self.without_resets(due, report).await?;
        self.drop_stale(&due).await?;
        Ok((due, ended))
    }

    /// Works the queue off. Until the job's schema is pinned slices go one by one, in the order of the plan, so that the first
    /// with rows decides; after that as many at a time as the source allows. Returns the columns in which a row had a value.
    async fn slices(&self, mut queue: VecDeque<Waiting>, report: &mut JobReport) -> Result<BTreeSet<String>, RunError> {
        let run = Arc::new(self.slice_run(queue.len()).await?);
        // Where a slice stands in the report: at its place in the plan, and those that follow it in its chain right after.
        let mut places: HashMap<SliceId, usize> =
            queue.iter().enumerate().map(|(place, waiting)| (waiting.slice.id.clone(), place)).collect();
        let (mut running, mut valued) = (FuturesUnordered::new(), BTreeSet::new());
        let mut interrupted = pin!(self.interrupted(&run));
        let may_begin = || self.env.bounds.stop().is_none() && !self.env.cancel.is_cancelled();
        loop {
            let version = self.writer.state(|state| state.schema_version(&self.job.name));
            let pinned = self.pinned(version).await?;
            if may_begin() {
                self.begin(&mut queue, version).await?;
            } else {
                // What doesn't begin any more has had its turn: those that run wait for it.
                queue
                    .iter()
                    .filter_map(|waiting| places.get(&waiting.slice.id))
                    .for_each(|place| run.turns.end(*place));
            }
            let at_once = if version.is_some() { self.job.source.concurrency as usize } else { 1 };
            while running.len() < at_once
                && may_begin()
                && let Some(waiting) = queue.pop_front()
            {
                let Some(begin) = waiting.begin else { continue };
                self.env.bounds.begun();
                let place = places.get(&begin.slice.id).copied().unwrap_or_default();
                let ended = Arc::clone(&run).run(begin, pinned.clone(), place);
                running.push(async move { (place, ended.await) });
            }
            tokio::select! {
                biased;
                finished = running.next() => {
                    let Some((place, mut finished)) = finished else { break };
                    valued.append(&mut finished.valued);
                    match &finished.next {
                        Some(next) => {
                            places.insert(next.id.clone(), place);
                        }
                        None => run.turns.end(place),
                    }
                    self.finished(finished, &mut queue, report);
                }
                () = &mut interrupted => break,
            }
        }
        let left = queue.len() + running.len();
        report.slices.sort_by_key(|slice| places.get(&slice.slice).copied());
        report.left = (left > 0).then_some(Left::Slices(left as u64));
        match self.release(&queue).await {
            Err(lost) if self.env.cancel.is_cancelled() => {
                tracing::warn!(job = %self.job.name, error = %lost.chain(), "what hadn't started stays begun: the next run reads it");
            }
            released => released?,
        }
        if left > 0 && self.env.cancel.is_cancelled() { Err(RunError::Interrupted) } else { Ok(valued) }
    }

    /// Makes what `slices` slices share.
    async fn slice_run(&self, slices: usize) -> Result<SliceRun, RunError> {
        Ok(SliceRun {
            extraction: self.extraction()?,
            tables: tables::load(self.job, &self.env.stores).await?,
            targets: self.targets()?,
            quarantine: quarantine::sink(&self.options.state, &self.pipeline.name),
            data: self.data.clone(),
            writer: self.writer.clone(),
            pipeline: self.pipeline.name.clone(),
            allow_shrink: self.options.allow_shrink,
            replay: self.options.reads == Reads::Quarantined,
            lock: self.options.lock.clone(),
            turns: Turns::new(slices),
            neighbours: Neighbours::default(),
            committing: RwLock::default(),
        })
    }

    fn finished(&self, finished: Finished, queue: &mut VecDeque<Waiting>, report: &mut JobReport) {
        self.env.progress.slice(&self.job.name, &finished.outcome);
        if let Some(slice) = &finished.report {
            let (job, pages, rows) = (&self.job.name, slice.fetched.pages, slice.rows.transformed);
            match &finished.outcome {
                SliceOutcome::Failed { error, .. } => {
                    tracing::warn!(target: IN_REPORT, %job, slice = %slice.slice, pages, rows, error, "slice failed");
                }
                outcome => {
                    let landed = *outcome == SliceOutcome::Landed;
                    tracing::info!(%job, slice = %slice.slice, pages, rows, landed, "slice ended");
                }
            }
        }
        if let Some(next) = finished.next {
            self.env.progress.planned(&self.job.name, 1);
            queue.push_front(Waiting::new(next));
        }
        for note in finished.notes {
            if !report.warnings.contains(&note) {
                report.warnings.push(note);
            }
        }
        report.slices.extend(finished.report);
    }

    /// Begins the slices that haven't been: all in one entry, with the schema as it is then, so that what one slice finds
    /// changes no other. Before there is a schema only the first is begun.
    async fn begin(&self, queue: &mut VecDeque<Waiting>, version: Option<u32>) -> Result<(), RunError> {
        let count = if version.is_some() { queue.len() } else { queue.len().min(1) };
        let mut fresh = Vec::new();
        for waiting in queue.iter_mut().take(count).filter(|waiting| waiting.begin.is_none()) {
            if self.writer.state(|state| is_another(state, &waiting.slice)) {
                self.writer.close(SliceRef::of(&waiting.slice), Closed::Dropped).await?;
            }
            self.writer.state(|state| {
                waiting.is_old = begun(state, &waiting.slice).is_some();
                fresh.push(begin_slice(state, &waiting.slice, self.options.now, version));
            });
        }
        let mut begins = self.writer.begin(fresh).await?.into_iter();
        for waiting in queue.iter_mut().take(count).filter(|waiting| waiting.begin.is_none()) {
            waiting.begin = begins.next();
        }
        Ok(())
    }

    /// Lets go what was begun with the others and wasn't started: the next run begins it, as of its own instant.
    async fn release(&self, queue: &VecDeque<Waiting>) -> Result<(), RunError> {
        let begun = queue.iter().filter(|waiting| waiting.begin.is_some() && !waiting.is_old);
        let close = |waiting: &Waiting| Record::Close(Close { at: SliceRef::of(&waiting.slice), why: Closed::Dropped });
        let closed: Vec<Record> = begun.map(close).collect();
        if closed.is_empty() { Ok(()) } else { Ok(self.writer.append(closed).await?) }
    }

    async fn pinned(&self, version: Option<u32>) -> Result<Option<(u32, RecordSchema)>, RunError> {
        let Some(version) = version else { return Ok(None) };
        let schema = self.ledger.schema(&self.job.name, version).await?;
        Ok(Some((version, schema.records)))
    }

    fn extraction(&self) -> Result<Extraction, RunError> {
        let clock = (!self.options.allow_future).then(|| Arc::clone(&self.env.clock));
        Ok(Extraction { clock, ..Extraction::new(self.job, self.env)? })
    }

    fn targets(&self) -> Result<Vec<Target>, RunError> {
        let file = |sink| Ok(Target { spec: build::sink(sink)?, filter: sink.filter.clone(), sent_by: None });
        let outbox = |outbox: &Outbox| {
            let spec = deliver::data_set(&self.options.state, &self.pipeline.name, &self.job.name, &outbox.name);
            Ok(Target { spec, filter: outbox.filter.clone(), sent_by: Some(outbox.key.clone()) })
        };
        self.job.sinks.iter().map(file).chain(self.job.outboxes.iter().map(outbox)).collect()
    }

    async fn keys(
        &self,
        rows: &BTreeMap<JobName, Vec<Value>>,
        report: &mut JobReport,
    ) -> Result<Option<Vec<Key>>, RunError> {
        let Some(keys) = fan_out(self.job, rows)? else { return Ok(None) };
        let before = self.writer.state(|state| state.parents(&self.job.name).map(<[ParentRow]>::to_vec));
        report.warnings.extend(before.and_then(|before| hints::fewer(self.job, &before, &keys)));
        let seen = keys.iter().map(|key| ParentRow { key: key.key.clone(), row: key.row.clone() }).collect();
        self.writer.see_parents(&self.job.name, seen).await?;
        Ok(Some(keys))
    }

    async fn start(&self, report: &mut JobReport) -> Result<Option<DateTime<Utc>>, RunError> {
        let Slicing::Window(spec) = &self.job.slicing else { return Ok(None) };
        let start = plan::resolve_start(spec.start, None, self.options.now);
        match spec.start {
            Start::At(_) => Ok(Some(start)),
            Start::Ago(_) => {
                let pinned = self.writer.pin_start(&self.job.name, start).await?;
                report.warnings.extend(hints::reaches_back(spec, start, pinned));
                Ok(Some(pinned))
            }
        }
    }

    /// Closes what an earlier run began and what is no longer due.
    async fn drop_stale(&self, due: &[Slice]) -> Result<(), RunError> {
        let due: HashSet<&SliceId> = due.iter().map(|slice| &slice.id).collect();
        let stale: Vec<SliceRef> = self.writer.state(|state| {
            let own = state.open_begins(&self.job.name).filter(|begin| self.options.shard.takes(&begin.slice));
            let open = own.filter(|begin| !due.contains(&begin.slice.id));
            open.map(|begin| SliceRef::of(&begin.slice)).collect()
        });
        for at in stale {
            self.writer.close(at, Closed::Dropped).await?;
        }
        Ok(())
    }
}

/// Returns the begin that an earlier run left.
fn begun<'s>(state: &'s LedgerState, slice: &Slice) -> Option<&'s Begin> {
    state.slice(&SliceRef::of(slice))?.begun.as_ref()
}

/// Tells whether an earlier run has begun another window under the name of the slice: `every` was another then.
fn is_another(state: &LedgerState, slice: &Slice) -> bool {
    begun(state, slice).is_some_and(|begin| begin.slice.window() != slice.window())
}

/// Returns a fresh begin, or the one that an earlier run left: its instant, its parent's row and its schema stay.
fn begin_slice(state: &LedgerState, slice: &Slice, now: DateTime<Utc>, version: Option<u32>) -> BeginSlice {
    begun(state, slice).map_or_else(
        || BeginSlice { slice: slice.clone(), now, schema_version: version },
        |open| BeginSlice {
            slice: open.slice.clone(),
            now: open.now,
            // It was begun before the job had a schema: the first one is what it, or the slice before it, has pinned.
            schema_version: open.schema_version.or(version.map(|_| 1)),
        },
    )
}

/// Returns a report of a job whose rows others need and that couldn't be read.
pub(super) fn failed(job: &Job, error: &RunError) -> JobReport {
    let (refused, remedy) = (error.exit() == Exit::Refused, error.remedy());
    JobReport { error: Some(error.chain()), remedy, refused, ..JobReport::new(job.name.clone()) }
}

/// Returns the keys of a job's fan-out; none where it has no `for_each`.
pub(super) fn fan_out(job: &Job, rows: &BTreeMap<JobName, Vec<Value>>) -> Result<Option<Vec<Key>>, RunError> {
    let Some(for_each) = &job.for_each else { return Ok(None) };
    let rows = match &for_each.from {
        FanOutFrom::Values(values) => values,
        FanOutFrom::Rows(parent) => rows.get(parent).ok_or_else(|| RunError::NoParent { parent: parent.clone() })?,
    };
    Ok(Some(plan::keys_of(for_each, rows)?))
}

/// Returns the slices of all keys that are due and the shard's, key by key, the oldest first.
pub(super) fn due(
    pipeline: &Pipeline,
    job: &Job,
    keys: Option<&[Key]>,
    state: &LedgerState,
    now: DateTime<Utc>,
    start: Option<DateTime<Utc>>,
    shard: Shard,
) -> Vec<Slice> {
    let chain = |key: Option<&Key>| {
        let history = History { shard, ..history(job, key.map(|key| &key.key), state) };
        plan::due(&job.name, &job.slicing, key, &history, now, start, pipeline.timezone)
    };
    match keys {
        None => chain(None),
        Some(keys) => keys.iter().flat_map(|key| chain(Some(key))).collect(),
    }
}

fn history(job: &Job, key: Option<&FanoutKey>, state: &LedgerState) -> History {
    let chain = state.chain(&job.name, key);
    let open = state.slices(&job.name, key).filter_map(|(_, slice)| slice.begun.as_ref());
    History {
        landed: state.landed_ranges(&job.name, key).iter().filter_map(stretch).collect(),
        again: state.due_again(&job.name, key),
        anew: state.due_anew(&job.name, key),
        since: state.since(&job.name),
        series: chain.map_or(0, |chain| chain.series),
        cursor: chain.and_then(|chain| chain.end.clone()),
        snapshots: state.snapshots(&job.name, key).map(str::to_owned).collect(),
        open: open.map(|begin| begin.slice.clone()).collect(),
        shard: Shard::WHOLE,
    }
}

/// Returns a landed range as planning sees it.
pub(super) fn stretch(range: &LandedRange) -> Option<plan::Stretch> {
    plan::stretch(range.window(), range.every().to_std().ok()?)
}

/// Returns the slice after one that ended because it had enough rows.
fn following(slice: &Slice, end: Option<crate::model::CursorValue>) -> Option<Slice> {
    let SliceKind::Incremental { series, .. } = slice.kind else { return None };
    let kind = SliceKind::Incremental { series, start: end?, end: None };
    Some(Slice::new(slice.job.clone(), slice.key.clone(), slice.parent.clone(), kind))
}
