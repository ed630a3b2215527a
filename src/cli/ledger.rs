//! `tidegate ledger show`: the entries of the log, in words.

use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{LedgerShowArguments, Output};
use super::{CliError, Exit, load, print};
use crate::ledger::{Accept, Closed, Entry, Landing, LeaseEvent, Ledger, LedgerError, Record, SliceRef};
use crate::model::JobName;
use crate::pipeline::spec::Pipeline;
use crate::run::Env;

/// The most slices of an entry that are named.
const NAMED: usize = 3;

/// Prints the entries of a pipeline's log.
pub(super) async fn show(arguments: &LedgerShowArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let files = [&arguments.file];
    let Some(pipelines) = load::pipelines_to_look_at(&files, output) else { return Ok(Exit::Refused) };
    let Some(pipeline) = pipelines.first() else { return Ok(Exit::Refused) };
    match read(pipeline, arguments, &env).await {
        Ok(entries) if output == Output::Json => print::json(&entries)?,
        Ok(entries) if entries.is_empty() => print::text("no entry of the log is like that")?,
        Ok(entries) => print::text(&entries.iter().map(line).collect::<String>())?,
        Err(error) => {
            print::problem(&format!("{}: {}", pipeline.name, print::chain(&error)));
            return Ok(Exit::NothingLanded);
        }
    }
    Ok(Exit::Done)
}

async fn read(pipeline: &Pipeline, arguments: &LedgerShowArguments, env: &Env) -> Result<Vec<Entry>, LedgerError> {
    let state = &arguments.state.state;
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let mut entries = match arguments.from {
        Some(from) => ledger.entries(from, u64::MAX).await?,
        None => ledger.history(arguments.last).await?,
    };
    if let Some(job) = &arguments.job {
        let job = JobName::new(job);
        for entry in &mut entries {
            entry.records.retain(|record| of_job(record) == Some(&job));
        }
        entries.retain(|entry| !entry.records.is_empty());
    }
    Ok(entries)
}

/// Returns the job that a record is of.
fn of_job(record: &Record) -> Option<&JobName> {
    match record {
        Record::Lease(_) | Record::Ran(_) => None,
        Record::Begin(begin) => Some(&begin.slice.job),
        Record::Stage(stage) => Some(&stage.at.job),
        Record::Publish(landing) | Record::Commit(landing) => Some(&landing.at.job),
        Record::Cleaned(at) | Record::Void(at) => Some(&at.at.job),
        Record::Superseded(generations) => generations.first().map(|generation| &generation.at.job),
        Record::Close(close) => Some(&close.at.job),
        Record::PinStart { job, .. }
        | Record::PinSchema { job, .. }
        | Record::Series { job, .. }
        | Record::Parents { job, .. }
        | Record::Fingerprint { job, .. } => Some(job),
    }
}

/// Writes an entry: a line of its own, and one for each kind of record in it.
pub(super) fn line(entry: &Entry) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (what, of) in entry.records.iter().map(words) {
        match groups.last_mut() {
            Some((last, names)) if *last == what => names.extend(of),
            _ => groups.push((what, of.into_iter().collect())),
        }
    }
    let at = entry.at.format("%Y-%m-%d %H:%M:%S");
    let mut out = String::new();
    for (place, (what, names)) in groups.iter().enumerate() {
        let head = if place == 0 { format!("{:>7}  {at}", entry.sequence) } else { " ".repeat(28) };
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        out += &format!("{}\n", format!("{head}  {what:<9} {shown}{more}").trim_end());
    }
    out
}

/// Returns the kind of a record, and what it is about.
fn words(record: &Record) -> (String, Option<String>) {
    let (kind, about) = match record {
        Record::Lease(event) => ("lease", lease(event)),
        Record::Begin(begin) => ("begin", slice(&SliceRef::of(&begin.slice), begin.generation)),
        Record::Stage(stage) => {
            ("stage", format!("{}/{}: {} uploads", stage.at.job, stage.at.slice, stage.places.len()))
        }
        Record::Publish(landing) => ("publish", landed(landing)),
        Record::Commit(landing) => ("commit", landed(landing)),
        Record::Cleaned(at) => ("cleaned", slice(&at.at, at.generation)),
        Record::Void(at) => ("void", slice(&at.at, at.generation)),
        Record::Close(close) => ("close", format!("{}/{} {}", close.at.job, close.at.slice, closed(&close.why))),
        Record::PinStart { job, instant } => ("start", format!("{job} begins at {instant}")),
        Record::PinSchema { job, version } => ("schema", format!("{job} version {version}")),
        Record::Series { job, key, series } => (
            "series",
            format!("{job}{} series {series}", key.as_ref().map(|key| format!(" {key}")).unwrap_or_default()),
        ),
        Record::Parents { job, rows } => ("keys", format!("{job}: {}", rows.len())),
        Record::Fingerprint { job, accept, .. } => ("names", format!("{job}{}", accept.map_or("", accepted))),
        Record::Superseded(generations) => {
            ("gives way", generations.iter().map(|at| slice(&at.at, at.generation)).collect::<Vec<_>>().join(", "))
        }
        Record::Ran(summary) => ("ran", format!("{}: {}", summary.verb, text(&json!(summary.outcome)))),
    };
    (kind.to_owned(), Some(about))
}

fn slice(at: &SliceRef, generation: u32) -> String {
    format!("{}/{} g{generation}", at.job, at.slice)
}

fn landed(landing: &Landing) -> String {
    let totals = &landing.totals;
    let (rows, files) = (print::count(landing.rows), totals.files);
    format!(
        "{} ({rows} rows, {files} files, {})",
        slice(&landing.at, landing.generation),
        text(&json!(landing.reconciliation.verdict))
    )
}

fn lease(event: &LeaseEvent) -> String {
    match event {
        LeaseEvent::Taken { holder, .. } => format!("taken by {holder}"),
        LeaseEvent::Renewed => "renewed".to_owned(),
        LeaseEvent::Settled => "settled".to_owned(),
        LeaseEvent::Released => "released".to_owned(),
    }
}

fn closed(why: &Closed) -> String {
    match why {
        Closed::Unchanged => "unchanged".to_owned(),
        Closed::Empty => "nothing new".to_owned(),
        Closed::Dropped => "no longer due".to_owned(),
        Closed::Failed { error } => format!("failed: {error}"),
    }
}

const fn accepted(accept: Accept) -> &'static str {
    match accept {
        Accept::Future => " edited, for the future",
        Accept::Reland => " edited, what has landed is read again",
        Accept::Restart => " edited, all is read anew",
        Accept::GiveUp => " edited, for the future: what isn't read anew yet stays",
        Accept::Sinks => " edited, its sinks only",
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('_', " ")
}
