//! The page of a run: its stages and what each let through, its slices, and the rows that didn't fit.

mod lines;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Html;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};

use self::lines::{Line, closed, landed, line};
use super::health::Health;
use super::home::Running;
use super::known::{FRESH, Known, PATIENCE};
use super::routes::{App, PageError};
use super::runs::{self, RunLine};
use super::text;
use super::troubles::{self, Typed};
use crate::ledger::{Entry, Ledger, Record, RunState, RunSummary, SliceRef};
use crate::model::{
    DeliveryCounts, DeliveryReport, Fetched, JobReport, Left, RowCounts, RunEnd, RunReport, SinkCounts, SliceOutcome,
    Stop, Took,
};
use crate::run::{Data, HeldRow, quarantine_sample};
use crate::schedule::{JobProgress, PipelineView};

/// How many slices are listed, those that failed first.
const SLICES: usize = 200;

/// How many slices are looked into for rows in quarantine, how many rows of each are shown, and how large their files may be.
const SAMPLED: usize = 5;
const SAMPLES: (usize, u64) = (5, 4 * 1024 * 1024);

/// A job of a run.
#[derive(Debug, Default, Serialize)]
struct Job {
    name: String,
    /// Slices that landed, were unchanged, failed.
    slices: (u64, u64, u64),
    left: Option<String>,
    /// What is known of its rows; of older runs the ledger keeps less.
    rows: Option<Rows>,
    landed: u64,
    fetched: Option<Fetched>,
    took: Option<Stages>,
    error: Option<String>,
    warnings: Vec<String>,
}

/// How long stages took, as people read it.
#[derive(Debug, Serialize)]
struct Stages {
    read: String,
    write: String,
    commit: String,
    whole: String,
}

impl Stages {
    fn of(took: Took) -> Self {
        let whole = took.read_ms + took.write_ms + took.commit_ms;
        let [read, write, commit, whole] = [took.read_ms, took.write_ms, took.commit_ms, whole]
            .map(|ms| text::took(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 1000))));
        Self { read, write, commit, whole }
    }
}

/// What a sink sent.
#[derive(Debug, Serialize)]
struct Sent {
    job: String,
    sink: String,
    counts: DeliveryCounts,
    adds_up: bool,
    error: Option<String>,
}

/// Where rows went, from stage to stage.
#[derive(Debug, Serialize)]
struct Rows {
    counts: RowCounts,
    sinks: SinkCounts,
    adds_up: bool,
}

/// Rows in quarantine.
#[derive(Debug, Serialize)]
struct Sample {
    at: String,
    total: u64,
    rows: Vec<HeldRow>,
    error: Option<String>,
}

/// What is known of a run.
#[derive(Debug, Default)]
struct Detail {
    jobs: Vec<Job>,
    lines: Vec<Line>,
    landed: Vec<SliceRef>,
    error: Option<String>,
    notes: Vec<String>,
    requests: Option<u64>,
    sent: Vec<Sent>,
    holder: Option<String>,
}

/// Makes the page.
pub(super) async fn page(app: &App, name: &str, id: &str) -> Result<Html<String>, PageError> {
    let view = app.pipeline(name)?;
    if let Some(running) = view.running.as_ref().filter(|running| running.run.as_str() == id) {
        let jobs: Vec<_> = running.progress.jobs().iter().map(|(job, at)| live(job.as_str(), at)).collect();
        let (run, running) = (RunLine::running(running), Running::of(running));
        return app.render("run.html", &json!({"name": name, "run": run, "running": running, "jobs": jobs}));
    }
    let known = app.ledgers.known(&view, FRESH, PATIENCE).await;
    let gone = || PageError::Gone(format!("there is no run `{id}` of `{name}` among the last ones"));
    let run = runs::all(&view, &known).into_iter().find(|run| run.id == id).ok_or_else(gone)?;
    let own = view.ended.iter().find(|end| end.run.as_str() == id);
    let ledger = Ledger::open(
        &app.site.state,
        view.pipeline.name.clone(),
        Arc::clone(&app.site.env.clock),
        &app.site.env.stores,
    );
    let ledger = ledger.map_err(|error| PageError::Gone(crate::objects::chain(&error)))?;
    let mut detail = match own {
        Some(end) => of_end(end),
        None => of_ledger(&ledger, &known, id).await,
    };
    let samples = samples(app, &ledger, &known, &detail.landed).await;
    detail.lines.sort_by_key(|line| (!line.badge.is_bad(), !line.doubt, line.quarantined.unwrap_or_default() == 0));
    let more = detail.lines.len().saturating_sub(SLICES);
    detail.lines.truncate(SLICES);
    for (place, line) in detail.lines.iter_mut().enumerate() {
        let is_doubtful = line.doubt || line.quarantined.unwrap_or_default() > 0;
        (line.place, line.is_quiet) = (place, !line.badge.is_bad() && !is_doubtful);
    }
    let typed = Typed::new(&view, &app.site.state);
    let commands = commands(&view, &known, &run, &app.site.state);
    app.render(
        "run.html",
        &json!({
            "name": name,
            "run": run,
            "more": more,
            "samples": samples,
            "commands": commands,
            "running": None::<Running>,
            "jobs": detail.jobs,
            "slices": detail.lines,
            "error": detail.error,
            "notes": detail.notes,
            "requests": detail.requests,
            "holder": detail.holder,
            "sent": detail.sent,
            "deliver": typed.line("deliver"),
            "replay": typed.line("quarantine replay"),
        }),
    )
}

/// Returns what to type against what failed in a run, as far as that hasn't been made good since.
fn commands(view: &PipelineView, known: &Known, run: &RunLine, state: &str) -> Vec<String> {
    let health = Health::of(Some(&view.pipeline), known, view.ended.iter().map(AsRef::as_ref));
    let troubles = troubles::of_pipeline(view, known, &health, state).into_iter();
    let mut commands = Vec::new();
    for command in troubles.filter(|trouble| trouble.run.as_ref() == Some(&run.id)).flat_map(|trouble| trouble.commands)
    {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands
}

/// A job of a run that goes on.
fn live(name: &str, at: &JobProgress) -> Value {
    json!({
        "name": name,
        "planned": at.planned,
        "landed": at.landed,
        "failed": at.failed,
        "pages": at.pages,
        "rows": at.rows,
        "bytes": at.bytes,
        "ended": at.ended,
    })
}

fn of_end(end: &RunEnd) -> Detail {
    let Some(report) = &end.report else { return Detail { error: end.error.clone(), ..Detail::default() } };
    let lines = report.jobs.iter().flat_map(|job| job.slices.iter().map(move |slice| line(job, slice)));
    let landed = report.jobs.iter().flat_map(|job| {
        let held = job.slices.iter().filter(|slice| slice.rows.quarantined > 0);
        held.map(move |slice| SliceRef { job: job.job.clone(), key: slice.key.clone(), slice: slice.slice.clone() })
    });
    Detail {
        jobs: report.jobs.iter().map(job).collect(),
        lines: lines.collect(),
        landed: landed.collect(),
        error: end.error.clone(),
        notes: report.recovered.iter().cloned().chain(stopped(report)).collect(),
        requests: Some(report.requests),
        sent: report.deliveries.iter().map(sent).collect(),
        holder: None,
    }
}

fn sent(delivery: &DeliveryReport) -> Sent {
    Sent {
        job: delivery.job.to_string(),
        sink: delivery.sink.to_string(),
        counts: delivery.counts,
        adds_up: delivery.counts.adds_up(),
        error: delivery
            .error
            .clone()
            .or_else(|| delivery.is_interrupted().then(|| "the run was interrupted".to_owned())),
    }
}

fn stopped(report: &RunReport) -> Option<String> {
    let why = match report.stopped? {
        Stop::Asked => "the process was told to end",
        Stop::Duration => "it had gone on for --max-duration",
        Stop::Requests => "it had sent --max-requests",
        Stop::Slices => "it had begun --max-slices",
    };
    Some(format!("It stopped early, since {why}: the next run goes on from there."))
}

fn job(report: &JobReport) -> Job {
    let count = |is: fn(&SliceOutcome) -> bool| report.count(is) as u64;
    let (counts, sinks) = (report.rows(), report.sinks());
    let landed = report.slices.iter().filter(|slice| slice.outcome == SliceOutcome::Landed);
    Job {
        name: report.job.to_string(),
        slices: (
            count(|outcome| *outcome == SliceOutcome::Landed),
            count(|outcome| *outcome == SliceOutcome::Unchanged),
            count(|outcome| matches!(outcome, SliceOutcome::Failed { .. })),
        ),
        left: report.left.map(|left| match left {
            Left::Slices(slices) => format!("{} that the run left to the next one", text::plural(slices, "due slice")),
            Left::Unplanned => "not begun, so it isn't known what is due".to_owned(),
        }),
        landed: landed.map(|slice| slice.rows.transformed).sum(),
        rows: Some(Rows { adds_up: counts.adds_up(), counts, sinks }),
        fetched: Some(report.fetched()),
        took: Some(Stages::of(report.took())),
        error: report.error.clone().or_else(|| first_failed(report)),
        warnings: report.warnings.clone(),
    }
}

/// Says of the first slice that failed why it did.
fn first_failed(report: &JobReport) -> Option<String> {
    report.slices.iter().find_map(|slice| match &slice.outcome {
        SliceOutcome::Failed { error, .. } => Some(format!("{}: {error}", slice.slice)),
        _ => None,
    })
}

/// Reads what the ledger kept of a run.
async fn of_ledger(ledger: &Ledger, known: &Known, id: &str) -> Detail {
    let found = known.runs().find(|(run, life)| RunLine::kept(run, *life).id == id);
    let Some((run, _)) = found else { return Detail::default() };
    let mut detail = Detail { holder: Some(run.holder.clone()), ..Detail::default() };
    match ledger.entries_of(&known.state, run).await {
        Ok(entries) => kept(&entries, run, &mut detail),
        Err(error) => detail.notes.push(format!("Its entries can't be read: {}", crate::objects::chain(&error))),
    }
    detail
}

fn kept(entries: &[Entry], run: &RunState, detail: &mut Detail) {
    if entries.first().is_none_or(|entry| entry.sequence != run.id) {
        detail.notes.push("Its entries aren't kept any more: the log keeps them for seven days.".to_owned());
    }
    for record in entries.iter().flat_map(|entry| &entry.records) {
        match record {
            Record::Commit(landing) => {
                detail.lines.push(landed(landing));
                detail.landed.push(landing.at.clone());
            }
            Record::Close(close) => detail.lines.extend(closed(close)),
            Record::Ran(summary) => ran(summary, detail),
            _ => {}
        }
    }
}

fn ran(summary: &RunSummary, detail: &mut Detail) {
    if summary.jobs.is_empty() {
        detail.error.clone_from(&summary.error);
    }
    detail.jobs = summary
        .jobs
        .iter()
        .map(|job| Job {
            name: job.job.to_string(),
            slices: (job.landed, job.unchanged, job.failed),
            landed: job.rows,
            error: job.error.clone(),
            ..Job::default()
        })
        .collect();
}

/// Reads some of the rows that a run's slices have in quarantine, as they are now.
async fn samples(app: &App, ledger: &Ledger, known: &Known, landed: &[SliceRef]) -> Vec<Sample> {
    let data = Data::new(Arc::clone(&app.site.env.stores));
    let roots: BTreeMap<&SliceRef, Option<&str>> = landed
        .iter()
        .filter(|at| known.state.roots_of(at).iter().any(|root| root.ends_with("/quarantine/")))
        .map(|at| (at, known.state.landed(at).and_then(|landed| landed.list.as_deref())))
        .collect();
    let mut samples = Vec::new();
    for (at, list) in roots.into_iter().filter_map(|(at, list)| Some((at, list?))).take(SAMPLED) {
        let key = at.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        let at = format!("{} {}{key}", at.job, at.slice);
        samples.push(match quarantine_sample(ledger, &data, list, SAMPLES).await {
            Ok(found) => Sample { at, total: found.total, rows: found.rows, error: None },
            Err(error) => Sample { at, total: 0, rows: Vec::new(), error: Some(error.chain()) },
        });
    }
    samples
}
