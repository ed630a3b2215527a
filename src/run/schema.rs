//! Pinned schemas, for people: what is pinned, how the API and the pipeline file differ from it, and the taking in of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::extract::Wanted;
use super::land::Shaping;
use super::meter::Meter;
use super::sample::Sample;
use super::{Env, Options, RunError, SchemaError, chosen, data::Data, owner, refused, release, sample, tables};
use crate::ledger::{
    Closed, Lane, Ledger, LedgerState, OutputColumn, PinnedSchema, RunOutcome, RunSummary, SliceRef, Timing, Writer,
};
use crate::model::{
    Asked, Column, ColumnType, Drift, HandColumn, JobName, LockedJob, RecordSchema, SchemaLock, SliceId, Window,
};
use crate::objects::Stores;
use crate::pipeline::file::Contract;
use crate::pipeline::spec::{Job, Pipeline, Slicing};
use crate::transform::{Moment, engine};

/// What is pinned of a job.
#[derive(Debug, Clone)]
pub struct JobSchema {
    /// The job.
    pub job: JobName,
    /// Its versions, the oldest first; none where it has never landed a row.
    pub versions: Vec<SchemaVersion>,
    /// The columns of the records, each field of an object by itself.
    pub columns: Vec<PinnedColumn>,
    /// The columns that the transform gives.
    pub output: Vec<OutputColumn>,
}

/// A version of a job's schema.
#[derive(Debug, Clone)]
pub struct SchemaVersion {
    /// The version, from 1.
    pub version: u32,
    /// The slice that landed with it first, and when, UTC; none where that has been replaced, or nothing has.
    pub first: Option<(SliceId, DateTime<Utc>)>,
}

/// A column, or a field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedColumn {
    /// The name, with a dot before each field and `[]` for the items of a list.
    pub path: String,
    /// Its type.
    pub kind: ColumnType,
    /// The version since which it has that type.
    pub since: u32,
    /// Whether the pipeline file says the type.
    pub by_hand: bool,
}

/// How a job's records differ from what is pinned.
#[derive(Debug, Clone)]
pub struct SchemaDiff {
    /// The job.
    pub job: JobName,
    /// The pinned version; none where there is none yet.
    pub version: Option<u32>,
    /// What a run does with new columns.
    pub contract: Contract,
    /// What was asked; none where only the pipeline file was compared.
    pub sample: Option<SampleRead>,
    /// The differences.
    pub drift: Drift,
}

/// A few rows that were read.
#[derive(Debug, Clone)]
pub struct SampleRead {
    /// The first request, redacted.
    pub request: String,
    /// Rows received.
    pub rows: u64,
    /// Rows of them that would go to quarantine under the pinned schema.
    pub bad: u64,
    /// The first of those, with their reasons.
    pub misfits: Vec<String>,
    /// Columns that are kept as JSON text because of what was seen in them.
    pub notes: Vec<String>,
}

/// What is compared with a pinned schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareWith {
    /// What the API answers now, so many rows of it, and `schema.columns`.
    Api(usize),
    /// `schema.columns` only: nothing is sent.
    File,
}

/// The most misfits that are told.
const MISFITS: usize = 5;

/// Returns what is pinned of the jobs that land data.
///
/// # Errors
/// A ledger that can't be read, an unknown job.
pub async fn pinned_schemas(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<Vec<JobSchema>, RunError> {
    let ledger = open(pipeline, options, env)?;
    let state = ledger.read_state().await?;
    let mut schemas = Vec::new();
    for job in landing(pipeline, &options.jobs)? {
        let mut versions: Vec<(SchemaVersion, PinnedSchema)> = Vec::new();
        for version in 1..=state.schema_version(&job.name).unwrap_or(0) {
            let first = first_slice(&state, &job.name, version);
            versions.push((SchemaVersion { version, first }, ledger.schema(&job.name, version).await?));
        }
        let columns = columns(&versions, &job.columns);
        // An edit of the transform that was accepted pins no version of the records: what lands is what it makes of them now.
        let output = match versions.last() {
            Some((_, schema)) => output_of(job, &schema.records, options.now, &env.stores).await?,
            None => Vec::new(),
        };
        let versions = versions.into_iter().map(|(version, _)| version).collect();
        schemas.push(JobSchema { job: job.name.clone(), versions, columns, output });
    }
    Ok(schemas)
}

/// Compares what is pinned of a job with the API and the pipeline file. Nothing is written.
///
/// # Errors
/// What would fail a slice; an unknown job.
pub async fn schema_diff(
    pipeline: &Pipeline,
    name: &JobName,
    options: &Options,
    with: CompareWith,
    env: &Env,
) -> Result<SchemaDiff, RunError> {
    let ledger = open(pipeline, options, env)?;
    let state = ledger.read_state().await?;
    let pinned = match state.schema_version(name) {
        Some(version) => Some((version, ledger.schema(name, version).await?.records)),
        None => None,
    };
    let work = Box::pin(diff(pipeline, name, &state, pinned, (options.now, with), env));
    let jobs = chosen(pipeline, std::slice::from_ref(name))?;
    refused::guarded(&jobs, options.retry_refused, env, &ledger, work).await
}

/// Takes the differences of a job from its pinned schema into a new version of it, under the lease. Returns what was taken in, and the
/// new version; none where there is no difference.
///
/// # Errors
/// As [`schema_diff`]; [`SchemaError::Breaks`] for changes that break files, unless they are `allowed`; [`SchemaError::NotPinned`].
pub async fn accept_schema(
    pipeline: &Pipeline,
    name: &JobName,
    options: &Options,
    (with, allowed): (CompareWith, bool),
    env: &Env,
) -> Result<(SchemaDiff, Option<u32>), RunError> {
    landing(pipeline, std::slice::from_ref(name))?;
    let asked = Asked { jobs: vec![name.clone()], ..Asked::new("accept") };
    let ledger = open(pipeline, options, env)?.asking(asked);
    let data = Data::new(Arc::clone(&env.stores));
    owner::check(pipeline, &options.state, &ledger, &data).await?;
    ledger.prove(&env.stores).await?;
    let writer = tokio::select! {
        writer = ledger.acquire(Lane::WHOLE, options.wait) => writer?,
        () = env.cancel.cancelled() => return Err(RunError::Interrupted),
    };
    let work = Box::pin(accept(pipeline, name, (options, with, allowed), &data, &writer, env));
    let accepted = async {
        let jobs = chosen(pipeline, std::slice::from_ref(name))?;
        refused::guarded(&jobs, options.retry_refused, env, &ledger, work).await
    };
    let accepted = Box::pin(accepted).await;
    let outcome = if accepted.is_ok() { RunOutcome::Done } else { RunOutcome::Failed };
    let error = accepted.as_ref().err().map(RunError::chain);
    release(pipeline, writer, RunSummary::bare("accept", options.now, outcome, error.as_deref())).await;
    accepted
}

async fn accept(
    pipeline: &Pipeline,
    name: &JobName,
    (options, with, allowed): (&Options, CompareWith, bool),
    data: &Data,
    writer: &Writer,
    env: &Env,
) -> Result<(SchemaDiff, Option<u32>), RunError> {
    // What a dead run staged is gone after that, so its begins can be closed.
    writer.recover(data).await?;
    let Some(version) = writer.state(|state| state.schema_version(name)) else {
        return Err(SchemaError::NotPinned { job: name.clone() }.into());
    };
    let pinned = writer.schema(name, version).await?.records;
    let state = writer.state(LedgerState::clone);
    let diff = diff(pipeline, name, &state, Some((version, pinned)), (options.now, with), env).await?;
    if diff.drift.changes.is_empty() {
        return Ok((diff, None));
    }
    if diff.drift.breaks() && !allowed {
        let breaks = diff.drift.changes.iter().filter(|change| !change.effect.is_safe());
        let changes = breaks.map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(SchemaError::Breaks { job: name.clone(), changes }.into());
    }
    let job = pipeline.job(name).ok_or_else(|| super::no_job(pipeline, name))?;
    let records = diff.drift.accepted.clone();
    let output = output_of(job, &records, options.now, &env.stores).await?;
    // A slice that was begun keeps its version when it is begun again. These are to have the new one.
    let begun: Vec<SliceRef> = state.open_begins(name).map(|begin| SliceRef::of(&begin.slice)).collect();
    for at in begun {
        writer.close(at, Closed::Dropped).await?;
    }
    // A number may be taken by the object of a writer who died before its entry.
    let mut next = version + 1;
    let wanted = PinnedSchema { records, output };
    while writer.pin_schema(name, next, wanted.clone()).await? != wanted {
        next += 1;
    }
    Ok((diff, Some(next)))
}

/// Makes the lock of a pipeline of what is pinned.
///
/// # Errors
/// A ledger that can't be read; [`SchemaError::NothingPinned`].
pub async fn schema_lock(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<SchemaLock, RunError> {
    let ledger = open(pipeline, options, env)?;
    let state = ledger.read_state().await?;
    let mut jobs = BTreeMap::new();
    for job in landing(pipeline, &[])? {
        if let Some(version) = state.schema_version(&job.name) {
            let PinnedSchema { records, .. } = ledger.schema(&job.name, version).await?;
            let output = output_of(job, &records, options.now, &env.stores)
                .await?
                .into_iter()
                .map(|column| (column.name, column.kind));
            jobs.insert(job.name.clone(), LockedJob::new(&records, output));
        }
    }
    if jobs.is_empty() {
        return Err(SchemaError::NothingPinned { pipeline: pipeline.name.clone() }.into());
    }
    Ok(SchemaLock::new(pipeline.name.clone(), jobs))
}

/// Returns the columns that a job's transform makes of records.
pub(super) async fn output_of(
    job: &Job,
    records: &RecordSchema,
    now: DateTime<Utc>,
    stores: &Stores,
) -> Result<Vec<OutputColumn>, RunError> {
    let (job, records, tables) = (job.clone(), records.clone(), tables::load(job, stores).await?);
    // Which window it is makes no difference to the types.
    let window = matches!(job.slicing, Slicing::Window(_)).then_some(Window { from: now, to: now });
    let plan = move || {
        let at = Moment { now, window };
        let shaping = Shaping {
            sql: job.transform.clone(),
            tables,
            expect: job.expect.as_slice().into(),
            at,
            memory: engine::MEMORY_LIMIT,
        };
        Ok(super::job::columns(&shaping.plan(&records)?.output_schema()))
    };
    tokio::task::spawn_blocking(plan).await?
}

fn open(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<Ledger, RunError> {
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    Ok(ledger.with_timing(Timing::of(options.lease_ttl)))
}

/// Returns the jobs that have a schema, of those that are named, or of all.
fn landing<'p>(pipeline: &'p Pipeline, names: &[JobName]) -> Result<Vec<&'p Job>, RunError> {
    for name in names {
        if !pipeline.job(name).ok_or_else(|| super::no_job(pipeline, name))?.lands() {
            return Err(SchemaError::LandsNothing { job: name.clone() }.into());
        }
    }
    let jobs = chosen(pipeline, names)?.into_iter().filter(|job| job.lands());
    Ok(jobs.filter(|job| names.is_empty() || names.contains(&job.name)).collect())
}

async fn diff(
    pipeline: &Pipeline,
    name: &JobName,
    state: &LedgerState,
    pinned: Option<(u32, RecordSchema)>,
    (now, with): (DateTime<Utc>, CompareWith),
    env: &Env,
) -> Result<SchemaDiff, RunError> {
    let job = landing(pipeline, std::slice::from_ref(name))?.first().copied();
    let job = job.ok_or_else(|| super::no_job(pipeline, name))?;
    let (version, pinned) = pinned.map_or((None, None), |(version, schema)| (Some(version), Some(schema)));
    let (found, sample) = match with {
        CompareWith::File => (of_file(job), None),
        CompareWith::Api(rows) => {
            let (found, sample) = read(pipeline, name, state, pinned.as_ref(), (now, rows as u64), env).await?;
            (found, Some(sample))
        }
    };
    let mut drift = Drift::between(&pinned.unwrap_or_default(), &found, &job.columns);
    if with == CompareWith::File {
        // Nothing was looked for.
        drift.unseen.clear();
    }
    Ok(SchemaDiff { job: name.clone(), version, contract: job.contract, sample, drift })
}

/// Returns the columns that the pipeline file types.
pub(super) fn of_file(job: &Job) -> RecordSchema {
    let column = |column: &HandColumn| Column { name: column.name.clone(), kind: column.kind.kind() };
    RecordSchema::new(job.columns.iter().map(column).collect())
}

/// Reads a few rows as if nothing were pinned, and again as a run would.
async fn read(
    pipeline: &Pipeline,
    name: &JobName,
    state: &LedgerState,
    pinned: Option<&RecordSchema>,
    (now, rows): (DateTime<Utc>, u64),
    env: &Env,
) -> Result<(RecordSchema, SampleRead), RunError> {
    let Sample { extraction, slice, .. } = sample::of(pipeline, name, state, now, env).await?;
    let request = extraction.show(&slice, now)?;
    let wanted =
        |pinned: Option<&RecordSchema>| Wanted { pinned: pinned.cloned(), limit: Some(rows), ..Wanted::default() };
    let free = extraction.slice(&slice, now, wanted(None), &Meter::default()).await?;
    let typed = match pinned {
        Some(_) => extraction.slice(&slice, now, wanted(pinned), &Meter::default()).await?.collected,
        None => free.collected,
    };
    let read = SampleRead {
        request,
        rows: typed.counts.received,
        bad: typed.counts.quarantined,
        misfits: typed.bad.first(MISFITS)?.iter().map(super::quarantine::BadRow::excerpt).collect(),
        notes: free.notes,
    };
    Ok((free.schema, read))
}

fn first_slice(state: &LedgerState, job: &JobName, version: u32) -> Option<(SliceId, DateTime<Utc>)> {
    let landed = state.all_slices().filter(|(at, _)| at.job == *job);
    let of_version = landed.filter_map(|(at, slice)| {
        let landed = slice.landed.as_ref().filter(|landed| landed.schema_version == Some(version))?;
        Some((at.slice, landed.committed))
    });
    of_version.min_by(|(one, at), (other, then)| at.cmp(then).then_with(|| one.cmp(other)))
}

/// Returns the columns of the last version, each with the version since which it has its type.
fn columns(versions: &[(SchemaVersion, PinnedSchema)], by_hand: &[HandColumn]) -> Vec<PinnedColumn> {
    let Some((last, before)) = versions.split_last() else { return Vec::new() };
    let before: Vec<(u32, BTreeMap<String, ColumnType>)> =
        before.iter().map(|(version, schema)| (version.version, leaves(&schema.records))).collect();
    let mut found = Vec::new();
    for column in last.1.records.columns() {
        let by_hand = by_hand.iter().any(|known| known.name == column.name);
        for (path, kind) in leaves(&RecordSchema::new(vec![column.clone()])) {
            let same = before.iter().rev().take_while(|(_, leaves)| leaves.get(&path) == Some(&kind));
            let since = same.last().map_or(last.0.version, |(version, _)| *version);
            found.push(PinnedColumn { path, kind, since, by_hand });
        }
    }
    found
}

/// Returns the columns, and in their place the fields of those that are objects.
fn leaves(schema: &RecordSchema) -> BTreeMap<String, ColumnType> {
    fn walk(path: String, kind: &ColumnType, found: &mut BTreeMap<String, ColumnType>) {
        match kind {
            ColumnType::Struct(fields) if !fields.is_empty() => {
                for field in fields {
                    walk(format!("{path}.{}", field.name), &field.kind, found);
                }
            }
            ColumnType::List(item) if matches!(**item, ColumnType::Struct(_) | ColumnType::List(_)) => {
                walk(format!("{path}[]"), item, found);
            }
            kind => {
                found.insert(path, kind.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    schema.columns().iter().for_each(|column| walk(column.name.clone(), &column.kind, &mut found));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u32, text: &str) -> (SchemaVersion, PinnedSchema) {
        let Ok(ColumnType::Struct(columns)) = ColumnType::parse(&format!("struct<{text}>")) else { panic!("{text}") };
        let schema = PinnedSchema { records: RecordSchema::new(columns), output: Vec::new() };
        (SchemaVersion { version, first: None }, schema)
    }

    #[test]
    fn a_column_says_since_when_it_has_its_type() {
        let versions = [
            version(1, "a: int64, n: null, o: struct<x: bool>"),
            version(2, "a: int64, n: string, o: struct<x: bool, y: date>"),
            version(3, "a: int64, l: list<struct<z: json>>, n: string, o: struct<x: bool, y: date>"),
        ];
        let told: Vec<String> = columns(&versions, &[])
            .iter()
            .map(|column| format!("{} {} {}", column.path, column.kind, column.since))
            .collect();
        assert_eq!(told, ["a int64 1", "l[].z json 3", "n string 2", "o.x bool 1", "o.y date 2"]);
    }
}
