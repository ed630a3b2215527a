//! `tidegate schema show | diff | accept | lock`: what is pinned of the jobs' columns.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{HowToRun, MemoryArgument, Output, SampleArguments, SchemaCommand, StateArgument};
use super::{CliError, Exit, load, lock, print, run};
use crate::extract::http::DEFAULT_MEMORY_LIMIT;
use crate::ledger::OutputColumn;
use crate::model::{Change, ColumnType, JobName};
use crate::pipeline::file::{ByteSize, Contract};
use crate::pipeline::spec::Pipeline;
use crate::run::{self as runs, CompareWith, Env, JobSchema, Options, PinnedColumn, RunError, SchemaDiff};

/// Does what was typed.
pub(super) async fn run(command: &SchemaCommand, output: Output, env: Env) -> Result<Exit, CliError> {
    let done = match command {
        SchemaCommand::Show(of) => {
            let Some((pipeline, options)) = looked_at(&of.file, &of.state, of.job.as_ref(), output, &env) else {
                return Ok(Exit::Refused);
            };
            show(&pipeline, &options, output, &env).await
        }
        SchemaCommand::Diff { of, sample } => {
            let job = of.job.as_ref();
            let Some((pipeline, options)) = asked(&of.file, &of.state, job, (sample, false), output, &env) else {
                return Ok(Exit::Refused);
            };
            diff(&pipeline, &options, compared(sample), output, &env).await
        }
        SchemaCommand::Accept { file, job, state, sample, breaking, no_wait } => {
            let Some((pipeline, options)) = asked(file, state, Some(job), (sample, *no_wait), output, &env) else {
                return Ok(Exit::Refused);
            };
            accept(&pipeline, &JobName::new(job), &options, (compared(sample), *breaking), output, &env).await
        }
        SchemaCommand::Lock { file, state } => {
            let Some((pipeline, options)) = looked_at(file, state, None, output, &env) else {
                return Ok(Exit::Refused);
            };
            write_lock(&pipeline, file, &options, output, &env).await
        }
    };
    match done {
        Ok(()) => Ok(Exit::Done),
        Err(Failed::Run(error)) => {
            print::problem(&error.chain());
            Ok(env.exit(&error))
        }
        Err(Failed::Cli(error)) => Err(error),
    }
}

/// Why a verb ended early.
enum Failed {
    Run(RunError),
    Cli(CliError),
}

impl From<RunError> for Failed {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Cli(error.into())
    }
}

/// Loads a pipeline that nothing is sent for.
pub(super) fn looked_at(
    file: &Path,
    state: &StateArgument,
    job: Option<&String>,
    output: Output,
    env: &Env,
) -> Option<(Pipeline, Options)> {
    let pipeline = load::pipelines_to_look_at(&[file], output)?.pop()?;
    Some((pipeline, options(state, None, job, false, env)))
}

/// Loads a pipeline whose API may be asked.
fn asked(
    file: &Path,
    state: &StateArgument,
    job: Option<&String>,
    (sample, no_wait): (&SampleArguments, bool),
    output: Output,
    env: &Env,
) -> Option<(Pipeline, Options)> {
    let load = if sample.file_only { load::pipelines_to_look_at } else { load::pipelines };
    let pipeline = load(&[file], output)?.pop()?;
    Some((pipeline, options(state, sample.now, job, no_wait, env)))
}

fn options(
    state: &StateArgument,
    now: Option<chrono::DateTime<chrono::Utc>>,
    job: Option<&String>,
    no_wait: bool,
    env: &Env,
) -> Options {
    let how = HowToRun {
        state: state.clone(),
        now,
        no_wait,
        lease_ttl: std::time::Duration::from_mins(1),
        allow_shrink: false,
        accept: None,
        allow_future: false,
        retry_refused: false,
        memory: MemoryArgument { memory_limit: ByteSize(DEFAULT_MEMORY_LIMIT) },
    };
    Options { jobs: job.map(JobName::new).into_iter().collect(), ..run::how(&how, env) }
}

fn compared(sample: &SampleArguments) -> CompareWith {
    if sample.file_only { CompareWith::File } else { CompareWith::Api(sample.rows.get()) }
}

async fn show(pipeline: &Pipeline, options: &Options, output: Output, env: &Env) -> Result<(), Failed> {
    let schemas = runs::pinned_schemas(pipeline, options, env).await?;
    match output {
        Output::Json => print::json(&schemas.iter().map(shown).collect::<Vec<_>>())?,
        Output::Text => print::text(&schemas.iter().map(text_of).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(())
}

fn shown(schema: &JobSchema) -> Value {
    let column = |column: &PinnedColumn| {
        json!({
            "column": column.path, "type": column.kind.written(), "since": column.since, "by_hand": column.by_hand,
            "only_nulls": column.kind == ColumnType::Null, "became_json": became_json(column),
        })
    };
    let version = |version: &runs::SchemaVersion| {
        let (slice, committed) = version.first.clone().unzip();
        json!({"version": version.version, "first_slice": slice, "committed": committed})
    };
    let output =
        |column: &OutputColumn| json!({"column": column.name, "type": column.kind, "nullable": column.nullable});
    json!({
        "job": schema.job,
        "version": schema.versions.last().map(|version| version.version),
        "versions": schema.versions.iter().map(version).collect::<Vec<_>>(),
        "records": schema.columns.iter().map(column).collect::<Vec<_>>(),
        "output": schema.output.iter().map(output).collect::<Vec<_>>(),
    })
}

fn became_json(column: &PinnedColumn) -> bool {
    column.kind == ColumnType::Json && !column.by_hand
}

fn text_of(schema: &JobSchema) -> String {
    let Some(last) = schema.versions.last() else {
        return format!("{}: nothing is pinned yet: its first run that lands a row pins what it finds\n", schema.job);
    };
    let mut out = format!("{}: version {}\n", schema.job, last.version);
    for version in &schema.versions {
        let first = version.first.as_ref().map_or_else(
            || "none of its slices stands any more".to_owned(),
            |(slice, at)| format!("first slice {slice}, {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
        );
        let _ = writeln!(out, "  version {}: {first}", version.version);
    }
    let mut table = print::table(&["records", "type", "#since", "note"]);
    for column in &schema.columns {
        let note = match () {
            () if column.by_hand => "by hand",
            () if column.kind == ColumnType::Null => {
                "only nulls so far: takes the first type that comes, and isn't in Parquet files until then"
            }
            () if became_json(column) => "its values have no type in common: kept as JSON text",
            () => "",
        };
        table.add_row([column.path.clone(), column.kind.written(), column.since.to_string(), note.to_owned()]);
    }
    let _ = writeln!(out, "{table}\n");
    let mut table = print::table(&["output", "Arrow type"]);
    for column in &schema.output {
        table.add_row([&column.name, &column.kind]);
    }
    let _ = writeln!(out, "{table}");
    out
}

async fn diff(
    pipeline: &Pipeline,
    options: &Options,
    with: CompareWith,
    output: Output,
    env: &Env,
) -> Result<(), Failed> {
    let all = || pipeline.jobs.iter().filter(|job| job.lands()).map(|job| job.name.clone()).collect();
    let names: Vec<JobName> = if options.jobs.is_empty() { all() } else { options.jobs.clone() };
    let mut found = Vec::new();
    for name in &names {
        let diff = runs::schema_diff(pipeline, name, options, with, env).await?;
        match output {
            Output::Json => found.push(as_json(&diff)),
            Output::Text => print::text(&as_text(&diff))?,
        }
    }
    if output == Output::Json {
        print::json(&found)?;
    }
    Ok(())
}

fn as_json(diff: &SchemaDiff) -> Value {
    let change = |change: &Change| {
        json!({
            "column": change.column, "from": change.from.as_ref().map(ColumnType::written), "to": change.to.written(),
            "effect": change.effect.as_str(), "safe": change.effect.is_safe(),
        })
    };
    let sample = diff.sample.as_ref().map(|sample| {
        json!({
            "request": sample.request, "rows": sample.rows, "bad": sample.bad, "misfits": sample.misfits, "notes": sample.notes,
        })
    });
    json!({
        "job": diff.job, "version": diff.version, "sample": sample,
        "changes": diff.drift.changes.iter().map(change).collect::<Vec<_>>(), "unseen": diff.drift.unseen,
    })
}

fn as_text(diff: &SchemaDiff) -> String {
    let against =
        diff.version.map_or_else(|| "nothing is pinned yet".to_owned(), |version| format!("against version {version}"));
    let mut out = match &diff.sample {
        Some(sample) => {
            format!("{}: {} of {}, {against}\n", diff.job, print::counted(sample.rows, "row"), sample.request)
        }
        None => format!("{}: `schema.columns`, {against}\n", diff.job),
    };
    if let Some(sample) = &diff.sample {
        if sample.bad > 0 {
            let _ = writeln!(out, "{} of them don't fit, and would go to quarantine:", print::count(sample.bad));
        }
        sample.misfits.iter().chain(&sample.notes).for_each(|line| out.push_str(&format!("  {line}\n")));
    }
    if diff.drift.changes.is_empty() {
        out.push_str("no column differs\n");
    } else {
        let mut table = print::table(&["column", "pinned", "now", "effect", ""]);
        for change in &diff.drift.changes {
            let pinned = change.from.as_ref().map_or_else(|| "–".to_owned(), ColumnType::written);
            let then = what_then(diff.contract, change);
            table.add_row([&change.column, &pinned, &change.to.written(), change.effect.as_str(), then]);
        }
        let _ = writeln!(out, "{table}");
    }
    if !diff.drift.unseen.is_empty() {
        let _ = writeln!(out, "not seen, so null in such rows: {}", diff.drift.unseen.join(", "));
    }
    out
}

/// Says what becomes of a change unless it is accepted.
fn what_then(contract: Contract, change: &Change) -> &'static str {
    use crate::model::Effect::{Breaks, Joins, Widens};
    match (change.effect, contract) {
        (Joins, Contract::Evolve) => "the next run takes it in",
        (Joins, Contract::Freeze) => "rows that have it don't fit; safe to accept",
        (Joins, Contract::Discard) => "left out and counted; safe to accept",
        (Widens, _) => "safe to accept",
        (Breaks, _) => "readers of old and new files must cast; accepted with --breaking",
    }
}

async fn accept(
    pipeline: &Pipeline,
    name: &JobName,
    options: &Options,
    how: (CompareWith, bool),
    output: Output,
    env: &Env,
) -> Result<(), Failed> {
    let (diff, version) = runs::accept_schema(pipeline, name, options, how, env).await?;
    if output == Output::Json {
        let mut told = as_json(&diff);
        told["accepted"] = json!(version);
        print::json(&told)?;
        return Ok(());
    }
    let accepted = version.map_or_else(
        || "nothing to accept".to_owned(),
        |version| {
            format!(
                "pinned as version {version}: runs use it from now on. Files that have landed keep their types; rows in quarantine \
                 come with `tidegate quarantine replay`"
            )
        },
    );
    Ok(print::text(&format!("{}{accepted}", as_text(&diff)))?)
}

async fn write_lock(
    pipeline: &Pipeline,
    file: &Path,
    options: &Options,
    output: Output,
    env: &Env,
) -> Result<(), Failed> {
    let schemas = runs::schema_lock(pipeline, options, env).await?;
    let path = lock::path(file);
    let text = schemas.written().map_err(|error| RunError::from(runs::SchemaError::from(error)))?;
    let before = std::fs::read_to_string(&path).ok();
    if before.as_ref() != Some(&text) {
        std::fs::write(&path, &text)?;
    }
    let (what, jobs) = (if before.as_ref() == Some(&text) { "as it was" } else { "written" }, schemas.jobs.len());
    match output {
        Output::Json => print::json(&json!({"file": path, "jobs": jobs, "changed": before.as_ref() != Some(&text)}))?,
        Output::Text => {
            let jobs = if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") };
            print::text(&format!("{}: {what}, {jobs}", path.display()))?;
        }
    }
    Ok(())
}
