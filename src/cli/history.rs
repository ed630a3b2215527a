//! `tidegate history`: what runs did, newest first.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::args::{Output, StateArgument};
use super::{CliError, Exit, ledger, load, print};
use crate::lang::spell;
use crate::ledger::{Entry, Lane, Ledger, LedgerError, Record, RunLife, RunOutcome, RunState, RunSummary, Watch};
use crate::pipeline::spec::Pipeline;
use crate::run::Env;

/// The most characters of an error that the list of runs shows.
const ERROR_SHOWN: usize = 60;

/// What `history` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tidegate history ntopng.yaml --last 5\n  tidegate history ntopng.yaml --run 1234")]
pub(super) struct HistoryArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// How many runs to show; the last 200 are kept.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(super) last: usize,
    /// Show one run, by its number, with its jobs and what it wrote to the log.
    #[arg(long, value_name = "ID")]
    pub(super) run: Option<u64>,
}

/// Prints the runs of pipeline files, or one of them in detail.
pub(super) async fn run(arguments: &HistoryArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut all = Vec::new();
    for pipeline in &pipelines {
        match one(pipeline, arguments, output, &env).await {
            Ok(Some(shown)) if output == Output::Json => all.push(shown.1),
            Ok(Some(shown)) => print::text(&shown.0)?,
            Ok(None) => {
                let id = arguments.run.unwrap_or_default();
                print::problem(&format!(
                    "{}: run {id} isn't among the last ones: see `tidegate history`",
                    pipeline.name
                ));
                return Ok(Exit::Refused);
            }
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, print::chain(&error)));
                return Ok(Exit::NothingLanded);
            }
        }
    }
    if output == Output::Json {
        print::json(&all)?;
    }
    Ok(Exit::Done)
}

/// Returns what is to be shown, for people and for programs; none where there is no such run.
async fn one(
    pipeline: &Pipeline,
    arguments: &HistoryArguments,
    output: Output,
    env: &Env,
) -> Result<Option<(String, Value)>, LedgerError> {
    let state = &arguments.state.state;
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let known = ledger.read_state().await?;
    let dead = ledger.dead(&known, &mut Watch::default())?;
    let Some(id) = arguments.run else {
        let runs: Vec<_> = known.runs_but(&dead).take(arguments.last).collect();
        let json = json!({"pipeline": pipeline.name, "runs": runs.iter().map(|run| of_json(*run)).collect::<Vec<_>>()});
        return Ok(Some((format!("{}\n{}", pipeline.name, table(&runs)), json)));
    };
    let Some(run) = known.runs_but(&dead).find(|(run, _)| run.id == id) else { return Ok(None) };
    let entries = ledger.entries_of(&known, run.0).await?;
    let json = json!({"pipeline": pipeline.name, "run": of_json(run), "entries": entries});
    let text = if output == Output::Text { detail(run, &entries) } else { String::new() };
    Ok(Some((format!("{}\n{text}", pipeline.name), json)))
}

fn of_json((run, life): (&RunState, RunLife)) -> Value {
    let mut value = json!(run);
    value["life"] = json!(life);
    value
}

fn table(runs: &[(&RunState, RunLife)]) -> String {
    if runs.is_empty() {
        return "nothing has run yet with this state".to_owned();
    }
    let mut table = print::table(&[
        "#run",
        "began (UTC)",
        "took",
        "verb",
        "outcome",
        "slices",
        "#rows",
        "#pages",
        "size",
        "first error",
    ]);
    for (run, life) in runs {
        let end = run.end.as_ref();
        let summary = end.map(|end| &end.summary);
        let count =
            |of: fn(&RunSummary) -> u64| summary.map_or_else(|| "–".to_owned(), |found| print::count(of(found)));
        table.add_row([
            run.id.to_string(),
            run.started.format("%Y-%m-%d %H:%M:%S").to_string(),
            end.map_or_else(|| "–".to_owned(), |end| took(run.started, end.at)),
            verb(run),
            outcome(summary, *life).to_owned(),
            summary.map_or_else(|| "–".to_owned(), slices),
            count(|summary| summary.rows),
            count(|summary| summary.pages),
            summary.map_or_else(|| "–".to_owned(), |summary| print::size(summary.bytes)),
            summary.and_then(|summary| summary.error.as_deref()).map(shortened).unwrap_or_default(),
        ]);
    }
    table.to_string()
}

/// Cuts an error to the width of its column: `--run` has all of it.
fn shortened(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match line.char_indices().nth(ERROR_SHOWN) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None if line.len() < error.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

/// Names the verb, and the lane where that is a shard's.
fn verb(run: &RunState) -> String {
    let verb = if run.asked.is_none() && run.end.is_none() { "–" } else { run.verb() };
    if run.lane == Lane::WHOLE { verb.to_owned() } else { format!("{verb} {}", run.lane) }
}

fn outcome(summary: Option<&RunSummary>, life: RunLife) -> &'static str {
    if summary.and_then(RunSummary::exit) == Some(Exit::Bug) {
        return "our bug";
    }
    match (summary.map(RunSummary::ended), life) {
        (Some(RunOutcome::Done), _) => "done",
        (Some(RunOutcome::SomeFailed), _) => "some failed",
        (Some(RunOutcome::Failed), _) => "failed",
        (Some(RunOutcome::Stopped), _) => "stopped early",
        (Some(RunOutcome::Interrupted), _) => "interrupted",
        (None, RunLife::Died) => "died",
        (None, _) => "runs, or died",
    }
}

fn slices(summary: &RunSummary) -> String {
    let parts = [(summary.landed, "landed"), (summary.unchanged, "unchanged"), (summary.failed, "failed")];
    let parts =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", print::count(*count)));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let took = (to - from).max(TimeDelta::zero());
    let whole = std::time::Duration::from_secs(u64::try_from(took.num_seconds()).unwrap_or_default());
    if whole.as_secs() < 60 { format!("{:.1}s", took.as_seconds_f64()) } else { spell(whole) }
}

fn detail((run, life): (&RunState, RunLife), entries: &[Entry]) -> String {
    let mut out = format!("{}\n{}\n", table(&[(run, life)]), run.holder);
    let jobs = entries.iter().flat_map(|entry| &entry.records).find_map(|record| match record {
        Record::Ran(summary) => Some(&summary.jobs),
        _ => None,
    });
    if let Some(jobs) = jobs.filter(|jobs| !jobs.is_empty()) {
        let mut table = print::table(&["job", "#landed", "#unchanged", "#failed", "#rows", "first error"]);
        for job in jobs {
            let counts = [job.landed, job.unchanged, job.failed, job.rows].map(print::count);
            let [landed, unchanged, failed, rows] = counts;
            table.add_row([
                job.job.to_string(),
                landed,
                unchanged,
                failed,
                rows,
                job.error.clone().unwrap_or_default(),
            ]);
        }
        out += &format!("{table}\n");
    }
    if entries.first().is_none_or(|entry| entry.sequence != run.id) {
        out += "its entries aren't kept any more: the log keeps them for seven days\n";
    }
    for entry in entries {
        out += &ledger::line(entry);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_panicked_is_our_bug_and_one_that_was_killed_died() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let bare = RunSummary::bare("run", now, RunOutcome::Failed, Some("the run panicked: no luck"));
        let panicked = RunSummary { exit_code: Some(Exit::Bug.code()), ..bare.clone() };
        assert_eq!(outcome(Some(&panicked), RunLife::Ended), "our bug");
        assert_eq!(outcome(Some(&bare), RunLife::Ended), "failed");
        assert_eq!(outcome(None, RunLife::Died), "died");
        let noted_as_done = RunSummary { exit_code: Some(Exit::Stopped.code()), outcome: RunOutcome::Done, ..bare };
        assert_eq!(outcome(Some(&noted_as_done), RunLife::Ended), "stopped early");
    }
}
