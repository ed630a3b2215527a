//! `tidegate status`: what has landed.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::args::{Output, StateArgument};
use super::timeline::{self, Timeline};
use super::{CliError, Exit, load, print};
use crate::ledger::{Ledger, LedgerError, LedgerState, SliceRef};
use crate::model::{FanoutKey, Verdict};
use crate::pipeline::spec::{Job, Pipeline};
use crate::run::Env;

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
        let now = env.clock.now();
        let lines: Vec<Line> = pipeline.jobs.iter().flat_map(|job| lines(job, &known, now)).collect();
        match output {
            Output::Json => all.push(json!({
                "pipeline": pipeline.name, "sequence": known.sequence(),
                "jobs": lines.iter().map(Line::json).collect::<Vec<_>>(),
            })),
            Output::Text => print::text(&text(pipeline, &known, &lines, now))?,
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
    /// Landed slices with rows in quarantine.
    quarantined: u64,
    /// Landed slices that weren't as the server stated.
    short: u64,
    /// Slices that an accepted edit wants to be read again.
    again: u64,
    reach: String,
    last: Option<DateTime<Utc>>,
    timeline: Option<Timeline>,
}

impl Line {
    fn json(&self) -> Value {
        json!({
            "job": self.job, "key": self.key, "retired": self.retired, "slices": self.slices, "rows": self.rows,
            "not_proven": self.doubtful, "open": self.open, "landed": self.reach, "last_commit": self.last,
            "quarantined": self.quarantined, "not_as_stated": self.short, "to_read_again": self.again,
            "windows": self.timeline.as_ref().map(|timeline| timeline.counts().0),
            "missing": self.timeline.as_ref().map(|timeline| timeline.counts().1),
            "holes": self.timeline.as_ref().map(Timeline::holes),
        })
    }

    /// Names it, and says what is missing.
    fn head(&self) -> String {
        let key = self.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        let retired = if self.retired { " (retired)" } else { "" };
        let (windows, missing) = self.timeline.as_ref().map(Timeline::counts).unwrap_or_default();
        let counts = format!("{} windows, {} missing", print::count(windows), print::count(missing));
        format!("{}{key}{retired}: {counts}", self.job)
    }
}

fn lines(job: &Job, state: &LedgerState, now: DateTime<Utc>) -> Vec<Line> {
    if job.sinks.is_empty() {
        return Vec::new();
    }
    let present = state.parents(&job.name).unwrap_or_default().iter().map(|row| Some(row.key.clone()));
    let keys: Vec<Option<FanoutKey>> = if job.for_each.is_some() { present.collect() } else { vec![None] };
    let retired = state.retired(&job.name).map(|key| line(job, Some(key), true, state, now));
    let live: Vec<Line> = keys.iter().map(|key| line(job, key.as_ref(), false, state, now)).collect();
    live.into_iter().chain(retired).collect()
}

fn line(job: &Job, key: Option<&FanoutKey>, retired: bool, state: &LedgerState, now: DateTime<Utc>) -> Line {
    let mut line = Line {
        job: job.name.to_string(),
        key: key.cloned(),
        retired,
        slices: 0,
        rows: 0,
        doubtful: 0,
        open: 0,
        quarantined: 0,
        short: 0,
        again: 0,
        reach: reach(job, key, state),
        last: None,
        timeline: if retired { None } else { Timeline::of(job, key, state, now) },
    };
    for (id, slice) in state.slices(&job.name, key) {
        line.open += u64::from(slice.begun.is_some() || slice.published.is_some());
        let Some(landed) = &slice.landed else { continue };
        line.slices += 1;
        line.rows += landed.rows;
        let at = SliceRef { job: job.name.clone(), key: key.cloned(), slice: id.clone() };
        line.quarantined += u64::from(timeline::has_quarantine(state, &at));
        line.short += u64::from(timeline::is_doubtful(landed.verdict));
        line.again += u64::from(landed.again);
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

fn text(pipeline: &Pipeline, state: &LedgerState, lines: &[Line], now: DateTime<Utc>) -> String {
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
            line.last.map_or_else(|| "–".to_owned(), |last| committed(last, now)),
        ]);
    }
    let width = usize::from(table.width().unwrap_or(100));
    let mut out = format!("{}\n{table}\n", pipeline.name);
    let mut drawn = false;
    for line in lines {
        for (count, what) in [
            (line.short, "landed though their rows weren't those that the server stated"),
            (line.quarantined, "have rows in quarantine"),
            (line.again, "are to be read again since an edit was accepted"),
        ] {
            if count > 0 {
                let key = line.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
                out += &format!("{}{key}: {} slices {what}\n", line.job, print::count(count));
            }
        }
        if let Some(timeline) = &line.timeline {
            out += &format!("{}\n{}\n", line.head(), timeline.draw(width));
            drawn = true;
        }
    }
    out + if drawn { timeline::LEGEND } else { "" }
}

/// Says when something was committed last, and how long ago that is.
fn committed(last: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ago = (now - last).num_seconds();
    let ago = match ago {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{ago} s ago"),
        120..7200 => format!("{} min ago", ago / 60),
        7200..172_800 => format!("{} h ago", ago / 3600),
        _ => format!("{} days ago", ago / 86_400),
    };
    format!("{}, {ago}", last.format("%Y-%m-%d %H:%M:%S"))
}
