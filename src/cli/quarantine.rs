//! `tidegate quarantine list | show | replay`: the rows that didn't fit.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::args::{Output, QuarantineCommand};
use super::{CliError, Exit, load, pinned, print, run};
use crate::extract::http::DEFAULT_MEMORY_LIMIT;
use crate::ledger::Ledger;
use crate::model::JobName;
use crate::run::{self as runs, Env, HeldRow, HeldSlice, Options, Reads, RefusedRows, RunError};

/// Returns the memory limit that was typed, in bytes.
pub(super) const fn memory(command: &QuarantineCommand) -> u64 {
    match command {
        QuarantineCommand::Replay { how, .. } => how.memory.bytes(),
        QuarantineCommand::List(_) | QuarantineCommand::Show { .. } => DEFAULT_MEMORY_LIMIT,
    }
}

/// Does what was typed.
pub(super) async fn run(command: &QuarantineCommand, output: Output, env: Env) -> Result<Exit, CliError> {
    let (of, only, limit) = match command {
        QuarantineCommand::List(of) => (of, None, None),
        QuarantineCommand::Show { of, slice, limit } => (of, slice.as_deref(), Some(limit.get())),
        QuarantineCommand::Replay { file, job, how } => {
            let jobs = job.iter().map(JobName::new).collect();
            let options = Options { jobs, reads: Reads::Quarantined, ..run::how(how, &env) };
            return replay(file, &options, output, &env).await;
        }
    };
    let Some((pipeline, options)) = pinned::looked_at(&of.file, &of.state, of.job.as_ref(), output, &env) else {
        return Ok(Exit::Refused);
    };
    let typed = (of.file.as_path(), options.state.as_str());
    let read = async {
        let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
        let has_run = ledger.read_state().await?.sequence();
        Ok((
            has_run,
            runs::quarantined(&pipeline, &options, &env).await?,
            runs::refused_rows(&pipeline, &options, &env).await?,
        ))
    };
    let (has_run, mut held, refused) = match read.await {
        Ok(read) => read,
        Err(error) => {
            let error: RunError = error;
            print::problem(&error.chain());
            return Ok(env.exit(&error));
        }
    };
    held.retain(|slice| only.is_none_or(|only| slice.at.slice.as_str() == only));
    if let (true, Some(only)) = (held.is_empty(), only) {
        print::problem(&format!(
            "no slice `{only}` has rows in quarantine; `tidegate quarantine list` names those that have"
        ));
        return Ok(Exit::Refused);
    }
    match limit {
        _ if output == Output::Text && has_run == 0 => print::text(&format!(
            "nothing has run yet with the state in {}: give the --state that the run was given",
            options.state
        ))?,
        None => list(&held, &refused, typed, output)?,
        Some(limit) => show(&held, &refused, typed, limit, output)?,
    }
    Ok(damaged(&held))
}

/// Says which files of quarantine aren't as they landed, and returns the exit code for that.
fn damaged(held: &[HeldSlice]) -> Exit {
    let damaged = held.iter().flat_map(|slice| slice.damage.iter().map(move |damage| (slice, damage)));
    let mut exit = Exit::Done;
    for (slice, damage) in damaged {
        exit = Exit::NothingLanded;
        let way = match slice.stays {
            None => "`tidegate quarantine replay` reads the slice again",
            Some(_) => "put it back from a copy",
        };
        print::problem(&format!("{} {}: {damage}; {way}", slice.at.job, slice.at.slice));
    }
    exit
}

async fn replay(file: &Path, options: &Options, output: Output, env: &Env) -> Result<Exit, CliError> {
    let Some(pipeline) = load::pipelines(&[file], output).and_then(|mut pipelines| pipelines.pop()) else {
        return Ok(Exit::Refused);
    };
    let end = run::one(file, &pipeline, options, env, output).await;
    if let (Some(report), Output::Json) = (&end.report, output) {
        print::done(print::json(&[report]));
    }
    Ok(end.exit_code)
}

/// Says how many rows the servers of sinks refused, and where they lie: a line each.
fn told(refused: &[RefusedRows], (file, state): (&Path, &str)) -> String {
    let one = |RefusedRows { job, sink, rows, files }: &RefusedRows| {
        let (count, they) =
            if *rows == 1 { ("1 row".to_owned(), "it") } else { (format!("{} rows", print::count(*rows)), "them") };
        format!(
            "the server of sink `{sink}` of job `{job}` refused {count}: see {files}; `tidegate deliver {} --refused --state {}` sends \
             {they} again\n",
            print::word(file),
            print::word(Path::new(state))
        )
    };
    refused.iter().map(one).collect()
}

fn list(held: &[HeldSlice], refused: &[RefusedRows], typed: (&Path, &str), output: Output) -> Result<(), CliError> {
    let refusals = told(refused, typed);
    let said = refusals.trim_end();
    if output == Output::Json {
        let fault =
            |((column, reason), rows): ((&str, &str), u64)| json!({"column": column, "reason": reason, "rows": rows});
        let slice = |slice: &HeldSlice| {
            json!({
                "job": slice.at.job, "key": slice.at.key, "slice": slice.at.slice, "generation": slice.generation,
                "rows": slice.rows.len(), "damage": slice.damage, "reasons": slice.faults().into_iter().map(fault).collect::<Vec<_>>(),
                "replay": slice.stays.is_none(), "why_not": slice.stays,
            })
        };
        let sink = |refused: &RefusedRows| json!(refused);
        print::json(&held.iter().map(slice).chain(refused.iter().map(sink)).collect::<Vec<_>>())?;
        return Ok(());
    }
    if held.is_empty() {
        print::text(if refused.is_empty() { "quarantine is empty" } else { said })?;
        return Ok(());
    }
    let mut table = print::table(&["job", "slice", "#rows", "column", "reason", "replay"]);
    for slice in held {
        for ((column, reason), rows) in slice.faults() {
            table.add_row([
                slice.at.job.as_str(),
                slice.at.slice.as_str(),
                &print::count(rows),
                if column.is_empty() { "the row" } else { column },
                reason,
                slice.stays.unwrap_or("possible"),
            ]);
        }
    }
    let rows: usize = held.iter().map(|slice| slice.rows.len()).sum();
    let (rows, them) = (print::counted(rows as u64, "row"), if rows == 1 { "it" } else { "them all" });
    let (file, state) = (print::word(typed.0), print::word(Path::new(typed.1)));
    let show = format!("`tidegate quarantine show {file} --state {state}` has {them}");
    print::text(format!("{table}\n{rows}; {show}\n{said}").trim_end())?;
    Ok(())
}

fn show(
    held: &[HeldSlice],
    refused: &[RefusedRows],
    typed: (&Path, &str),
    limit: usize,
    output: Output,
) -> Result<(), CliError> {
    let all: Vec<(&HeldSlice, &HeldRow)> =
        held.iter().flat_map(|slice| slice.rows.iter().map(move |row| (slice, row))).collect();
    let shown = &all[..all.len().min(limit)];
    if output == Output::Json {
        let rows = shown.iter().map(|(slice, row)| Shown::of(slice, row)).collect();
        print::json(&ShownRows { total: all.len(), rows })?;
        return Ok(());
    }
    let mut out = told(refused, typed);
    for (slice, row) in shown {
        let column = if row.column.is_empty() { String::new() } else { format!("`{}` ", row.column) };
        out.push_str(&format!(
            "{} {}, page {}: {column}{}\n  {}\n  {}\n",
            slice.at.job, slice.at.slice, row.page, row.reason, row.row, row.request
        ));
    }
    match all.len() - shown.len() {
        0 if all.is_empty() && refused.is_empty() => out.push_str("quarantine is empty"),
        0 => {}
        more => out.push_str(&format!("and {} more; `--limit` shows more", print::count(more as u64))),
    }
    print::text(&out)?;
    Ok(())
}

/// A row, with the record as JSON in it.
#[derive(Serialize)]
struct Shown<'h> {
    job: &'h str,
    slice: &'h str,
    reason: &'h str,
    column: &'h str,
    request: &'h str,
    page: u64,
    row: Box<RawValue>,
}

/// What `show` prints.
#[derive(Serialize)]
struct ShownRows<'h> {
    /// Rows in quarantine, those that aren't shown too.
    total: usize,
    rows: Vec<Shown<'h>>,
}

impl<'h> Shown<'h> {
    fn of(slice: &'h HeldSlice, row: &'h HeldRow) -> Self {
        Self {
            job: slice.at.job.as_str(),
            slice: slice.at.slice.as_str(),
            reason: &row.reason,
            column: &row.column,
            request: &row.request,
            page: row.page,
            row: row.json(),
        }
    }
}
