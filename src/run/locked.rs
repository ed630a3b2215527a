//! `--locked`: a run may not leave the schemas of the lock file.

use super::SchemaError;
use super::schema::of_file;
use crate::ledger::{OutputColumn, PinnedSchema};
use crate::model::{Drift, JobName, LockedJob, RecordSchema, SchemaLock};
use crate::pipeline::spec::{Job, Pipeline};

/// The most differences that an error names.
const TOLD: usize = 8;

/// Checks the jobs of a pipeline that land data, and what `schema.columns` says of them, with a lock: nothing is read but the two.
///
/// # Errors
/// A job or a column that isn't as it is locked, or a lock of another pipeline.
pub fn check_locked(pipeline: &Pipeline, lock: &SchemaLock) -> Result<(), SchemaError> {
    if lock.pipeline != pipeline.name {
        let why = format!("it is of the pipeline `{}`", lock.pipeline);
        return Err(SchemaError::Locked { job: None, why });
    }
    let lands = |name: &JobName| pipeline.job(name).is_some_and(crate::pipeline::spec::Job::lands);
    if let Some(gone) = lock.jobs.keys().find(|name| !lands(name)) {
        return Err(refused(gone, "the pipeline file has no such job that lands data".to_owned()));
    }
    // A job that isn't in it may not have landed a row yet: it is refused when it pins a schema.
    pipeline.jobs.iter().filter(|job| lock.jobs.contains_key(&job.name)).try_for_each(|job| {
        let pinned = of_job(lock, &job.name)?.records(&job.name)?;
        // What was typed by hand and isn't any more keeps its type.
        let differ = Drift::between(&pinned, &of_file(job), &job.columns);
        same(&job.name, &differ, "`schema.columns`")
    })
}

/// Returns the locked schema of a job.
pub(super) fn of_job<'l>(lock: &'l SchemaLock, job: &JobName) -> Result<&'l LockedJob, SchemaError> {
    lock.jobs.get(job).ok_or_else(|| refused(job, "the job isn't in it".to_owned()))
}

/// Checks what is pinned of a job, and what its transform makes of that now.
pub(super) fn check(
    lock: &SchemaLock,
    job: &Job,
    pinned: &RecordSchema,
    now: &[OutputColumn],
) -> Result<(), SchemaError> {
    let locked = of_job(lock, &job.name)?;
    compare(&job.name, &locked.records(&job.name)?, pinned)?;
    let now: Vec<(&str, &str)> = now.iter().map(|column| (column.name.as_str(), column.kind.as_str())).collect();
    let then: Vec<(&str, &str)> = locked.output.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    let gone =
        then.iter().filter(|column| !now.contains(column)).map(|(name, kind)| format!("`{name}` {kind} is locked"));
    let new = now.iter().filter(|column| !then.contains(column)).map(|(name, kind)| format!("`{name}` {kind} comes"));
    let mut told: Vec<String> = gone.chain(new).collect();
    if told.is_empty() && now != then {
        told.push("its columns come in another order".to_owned());
    }
    if told.is_empty() {
        Ok(())
    } else {
        Err(refused(&job.name, format!("the transform's rows differ: {}", cut(told))))
    }
}

/// Checks what a slice would pin.
pub(super) fn check_pin(lock: &SchemaLock, job: &JobName, wanted: &PinnedSchema) -> Result<(), SchemaError> {
    compare(job, &of_job(lock, job)?.records(job)?, &wanted.records)
}

fn compare(job: &JobName, locked: &RecordSchema, now: &RecordSchema) -> Result<(), SchemaError> {
    if locked == now {
        return Ok(());
    }
    let differ = Drift::between(locked, now, &[]);
    let mut told: Vec<String> = differ.changes.iter().map(ToString::to_string).collect();
    told.extend(differ.unseen.iter().map(|column| format!("`{column}` is locked, and isn't pinned")));
    if told.is_empty() {
        told.push("types that hold what the locked ones do, but aren't the same".to_owned());
    }
    Err(refused(job, format!("the records differ: {}", cut(told))))
}

fn same(job: &JobName, differ: &Drift, what: &str) -> Result<(), SchemaError> {
    let told: Vec<String> = differ.changes.iter().map(ToString::to_string).collect();
    if told.is_empty() { Ok(()) } else { Err(refused(job, format!("{what} differs: {}", cut(told)))) }
}

fn refused(job: &JobName, why: String) -> SchemaError {
    SchemaError::Locked { job: Some(job.clone()), why }
}

fn cut(mut told: Vec<String>) -> String {
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", told.join("; "))
}
