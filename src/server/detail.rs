//! The page of a run: its stages and what each let through, its slices, and the rows that didn't fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Html;
use serde::Serialize;
use serde_json::{Value, json};

use super::home::Running;
use super::known::{FRESH, Known};
use super::routes::{App, PageError};
use super::runs::{self, Badge, RunLine};
use super::text;
use super::troubles::Typed;
use crate::ledger::{Close, Closed, Entry, Landing, Ledger, Record, RunState, RunSummary, SliceRef};
use crate::model::{
    EndReason, JobReport, Left, Reconciliation, RowCounts, RunEnd, RunReport, SinkCounts, SliceOutcome, SliceReport,
    Stop,
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
    pages: Option<u64>,
    error: Option<String>,
    warnings: Vec<String>,
}

/// Where rows went, from stage to stage.
#[derive(Debug, Serialize)]
struct Rows {
    counts: RowCounts,
    sinks: SinkCounts,
    adds_up: bool,
}

/// A slice of a run.
#[derive(Debug, Serialize)]
struct Line {
    job: String,
    slice: String,
    key: Option<String>,
    badge: Badge,
    generation: Option<u32>,
    pages: Option<u64>,
    received: Option<u64>,
    landed: u64,
    quarantined: Option<u64>,
    bytes: u64,
    proof: Option<String>,
    doubt: bool,
    error: Option<String>,
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
    let known = app.ledgers.known(&view, FRESH).await;
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
    detail.lines.sort_by_key(|line| (!line.badge.is_bad(), !line.doubt));
    let more = detail.lines.len().saturating_sub(SLICES);
    detail.lines.truncate(SLICES);
    let typed = Typed::new(&view, &app.site.state);
    let commands = commands(&view, &run, &typed);
    app.render("run.html", &json!({"name": name, "run": run, "more": more, "samples": samples, "commands": commands, "running": None::<Running>, "jobs": detail.jobs, "slices": detail.lines, "error": detail.error, "notes": detail.notes, "requests": detail.requests, "holder": detail.holder, "replay": typed.line("quarantine replay", "")}))
}

fn commands(view: &PipelineView, run: &RunLine, typed: &Typed) -> Vec<String> {
    let is_last = view.ended.first().is_none_or(|end| end.run.as_str() == run.id);
    let again = (run.badge.is_bad() && is_last).then(|| typed.line("run", ""));
    again.into_iter().collect()
}

/// A job of a run that goes on.
fn live(name: &str, at: &JobProgress) -> Value {
    json!({"name": name, "planned": at.planned, "landed": at.landed, "failed": at.failed, "pages": at.pages, "rows": at.rows, "bytes": at.bytes, "ended": at.ended})
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
        holder: None,
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
    Job {
        name: report.job.to_string(),
        slices: (
            count(|outcome| *outcome == SliceOutcome::Landed),
            count(|outcome| *outcome == SliceOutcome::Unchanged),
            count(|outcome| matches!(outcome, SliceOutcome::Failed { .. })),
        ),
        left: report.left.map(|left| match left {
            Left::Slices(slices) => format!("{} slices that are due haven't begun", text::count(slices)),
            Left::Unplanned => "not begun, so it isn't known what is due".to_owned(),
        }),
        landed: sinks.landed,
        rows: Some(Rows { adds_up: counts.adds_up(), counts, sinks }),
        pages: Some(report.slices.iter().map(|slice| slice.fetched.pages).sum()),
        error: report.error.clone(),
        warnings: report.warnings.clone(),
    }
}

fn line(job: &JobReport, slice: &SliceReport) -> Line {
    let (badge, error) = match &slice.outcome {
        SliceOutcome::Landed => (Badge::good("landed"), None),
        SliceOutcome::Unchanged => (Badge::idle("unchanged"), None),
        SliceOutcome::Failed { error } => (Badge::bad("failed"), Some(error.clone())),
    };
    let mut sinks = SinkCounts::default();
    slice.sinks.values().for_each(|counts| sinks += *counts);
    let found = slice.reconciliation.as_ref();
    Line {
        job: job.job.to_string(),
        slice: slice.slice.to_string(),
        key: slice.key.as_ref().map(ToString::to_string),
        badge,
        generation: slice.generation,
        pages: Some(slice.fetched.pages),
        received: Some(slice.rows.received),
        landed: sinks.landed,
        quarantined: Some(slice.rows.quarantined),
        bytes: sinks.bytes,
        proof: found.map(proof),
        doubt: found.is_some_and(is_doubtful),
        error,
    }
}

/// Reads what the ledger kept of a run.
async fn of_ledger(ledger: &Ledger, known: &Known, id: &str) -> Detail {
    let found = known.state.runs().find(|(run, life)| RunLine::kept(run, *life).id == id);
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

fn of_ref(at: &SliceRef, badge: Badge) -> Line {
    Line {
        job: at.job.to_string(),
        slice: at.slice.to_string(),
        key: at.key.as_ref().map(ToString::to_string),
        badge,
        generation: None,
        pages: None,
        received: None,
        landed: 0,
        quarantined: None,
        bytes: 0,
        proof: None,
        doubt: false,
        error: None,
    }
}

fn landed(landing: &Landing) -> Line {
    Line {
        generation: Some(landing.generation),
        received: Some(landing.reconciliation.received),
        landed: landing.rows,
        bytes: landing.totals.bytes,
        proof: Some(proof(&landing.reconciliation)),
        doubt: is_doubtful(&landing.reconciliation),
        ..of_ref(&landing.at, Badge::good("landed"))
    }
}

fn closed(close: &Close) -> Option<Line> {
    match &close.why {
        Closed::Unchanged => Some(of_ref(&close.at, Badge::idle("unchanged"))),
        Closed::Failed { error } => {
            Some(Line { error: Some(error.clone()), ..of_ref(&close.at, Badge::bad("failed")) })
        }
        Closed::Empty | Closed::Dropped => None,
    }
}

fn is_doubtful(found: &Reconciliation) -> bool {
    use crate::model::Verdict;
    matches!(found.verdict, Verdict::Short | Verdict::Over | Verdict::Moving)
}

/// Says what the reading of a slice proved, and by what.
fn proof(found: &Reconciliation) -> String {
    use crate::model::Verdict;
    let word = match found.verdict {
        Verdict::Complete => "complete",
        Verdict::Unknown => "not proven",
        Verdict::Moving => "moving",
        Verdict::Short => "short",
        Verdict::Over => "over",
    };
    let total =
        found.total_last.map(|total| format!("{} of {} stated", text::count(found.distinct), text::count(total)));
    let passes = if found.passes > 1 { format!(", read {} times", found.passes) } else { String::new() };
    format!("{word}: {}{passes}", total.unwrap_or_else(|| reason(found.end).to_owned()))
}

const fn reason(end: EndReason) -> &'static str {
    match end {
        EndReason::OnePage => "one page",
        EndReason::PartsRead => "all parts were read",
        EndReason::EmptyPage => "an empty page came",
        EndReason::EmptyAfterShort => "an empty page came, but pages in the middle were short",
        EndReason::NeverFull => "an empty page came, but no page was full",
        EndReason::MoreFalse => "the server said that there is no more",
        EndReason::MoreFalseAfterShort => "the server said that there is no more, but pages in the middle were short",
        EndReason::TotalReached => "the stated total was reached",
        EndReason::ShortPage => "a short page came",
        EndReason::NothingNew => "a page brought nothing new",
        EndReason::CursorEmpty => "the cursor was empty",
        EndReason::CursorGone => "a page gave no cursor",
        EndReason::NoCursor => "no page gave a cursor",
        EndReason::LinkEmpty => "the link was empty",
        EndReason::LinkGone => "a page gave no link",
        EndReason::NoLink => "no page gave a link",
        EndReason::SliceFull => "the slice has the rows that it was meant to have",
    }
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
