//! `tidegate status`: what has landed.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::args::{Output, StateArgument};
use super::{CliError, Exit, load, print};
use crate::ledger::{Ledger, LedgerError, LedgerState};
use crate::model::{DeliveryStatus, FanoutKey, Verdict};
use crate::pipeline::spec::{Job, Pipeline};
use crate::run::{self, Env};

/// Prints what has landed of pipeline files.
pub(super) async fn run(files: &[PathBuf], state: &StateArgument, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(files, output) else { return Ok(Exit::Refused) };
    let mut all = Vec::new();
    for pipeline in &pipelines {
        let known = match read(pipeline, state, &env).await {
            Ok(known) => known,
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, print::chain(&error)));
                return Ok(Exit::NothingLanded);
            }
        };
        let lines: Vec<Line> = pipeline.jobs.iter().flat_map(|job| lines(job, &known)).collect();
        let deliveries = match run::deliveries(pipeline, &state.state, &env).await {
            Ok(deliveries) => deliveries,
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                return Ok(Exit::NothingLanded);
            }
        };
        match output {
            Output::Json => all.push(json!({
                "pipeline": pipeline.name, "sequence": known.sequence(),
                "jobs": lines.iter().map(Line::json).collect::<Vec<_>>(),
                "deliveries": deliveries,
            })),
            Output::Text => print::text(&(text(pipeline, &known, &lines) + &sent(&deliveries)))?,
        }
    }
    if output == Output::Json {
        print::json(&all)?;
    }
    Ok(Exit::Done)
}

async fn read(pipeline: &Pipeline, state: &StateArgument, env: &Env) -> Result<LedgerState, LedgerError> {
    Ledger::open(&state.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?.read_state().await
}

/// One chain of slices: a job, or a job and one fan-out key.
struct Line {
    job: String,
    key: Option<FanoutKey>,
    retired: bool,
    slices: u64,
    rows: u64,
    doubtful: u64,
    open: u64,
    reach: String,
    last: Option<DateTime<Utc>>,
}

impl Line {
    fn json(&self) -> Value {
        json!({
            "job": self.job, "key": self.key, "retired": self.retired, "slices": self.slices, "rows": self.rows,
            "not_proven": self.doubtful, "open": self.open, "landed": self.reach, "last_commit": self.last,
        })
    }
}

fn lines(job: &Job, state: &LedgerState) -> Vec<Line> {
    if !job.lands() {
        return Vec::new();
    }
    let present = state.parents(&job.name).unwrap_or_default().iter().map(|row| Some(row.key.clone()));
    let keys: Vec<Option<FanoutKey>> = if job.for_each.is_some() { present.collect() } else { vec![None] };
    let retired = state.retired(&job.name).map(|key| line(job, Some(key), true, state));
    let live: Vec<Line> = keys.iter().map(|key| line(job, key.as_ref(), false, state)).collect();
    live.into_iter().chain(retired).collect()
}

fn line(job: &Job, key: Option<&FanoutKey>, retired: bool, state: &LedgerState) -> Line {
    let mut line = Line {
        job: job.name.to_string(),
        key: key.cloned(),
        retired,
        slices: 0,
        rows: 0,
        doubtful: 0,
        open: 0,
        reach: reach(job, key, state),
        last: None,
    };
    for (_, slice) in state.slices(&job.name, key) {
        line.open += u64::from(slice.begun.is_some() || slice.published.is_some());
        let Some(landed) = &slice.landed else { continue };
        line.slices += 1;
        line.rows += landed.rows;
        line.doubtful += u64::from(landed.verdict != Verdict::Complete);
        line.last = line.last.max(Some(landed.committed));
    }
    line
}

/// Says how far a chain has come, holes included.
fn reach(job: &Job, key: Option<&FanoutKey>, state: &LedgerState) -> String {
    let ranges = state.landed_ranges(&job.name, key);
    let show = |instant: DateTime<Utc>| instant.format("%Y-%m-%d %H:%M").to_string();
    if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
        let holes = ranges.windows(2).filter(|pair| pair[0].to != pair[1].from).count();
        let holes = if holes == 0 { String::new() } else { format!(", {holes} holes") };
        return format!("{} to {}{holes}", show(first.from), show(last.to));
    }
    if let Some(end) = state.chain(&job.name, key).and_then(|chain| chain.end.as_ref()) {
        return format!("up to {}", end.text());
    }
    state.snapshots(&job.name, key).max().map_or_else(|| "nothing yet".to_owned(), |label| format!("snapshot {label}"))
}

/// Writes how far the sinks that send have come; nothing where there are none.
fn sent(deliveries: &[DeliveryStatus]) -> String {
    if deliveries.is_empty() {
        return String::new();
    }
    let mut table = print::table(&["job", "sink", "#pending", "#in doubt", "#sent", "#refused", "#maybe sent twice"]);
    for delivery in deliveries {
        let counts = [delivery.pending, delivery.in_doubt, delivery.sent, delivery.refused, delivery.maybe_sent]
            .map(print::count);
        table.add_row([delivery.job.to_string(), delivery.sink.to_string()].into_iter().chain(counts));
    }
    format!("\n{table}")
}

fn text(pipeline: &Pipeline, state: &LedgerState, lines: &[Line]) -> String {
    if state.sequence() == 0 {
        return format!("{}: nothing has run yet with this state", pipeline.name);
    }
    let mut table =
        print::table(&["job", "key", "landed", "#slices", "#rows", "#not proven", "#open", "last commit (UTC)"]);
    for line in lines {
        let key = line.key.as_ref().map(ToString::to_string).unwrap_or_default();
        table.add_row([
            line.job.clone(),
            if line.retired { format!("{key} (retired)") } else { key },
            line.reach.clone(),
            print::count(line.slices),
            print::count(line.rows),
            print::count(line.doubtful),
            print::count(line.open),
            line.last.map_or_else(|| "–".to_owned(), |last| last.format("%Y-%m-%d %H:%M:%S").to_string()),
        ]);
    }
    format!("{}\n{table}", pipeline.name)
}
