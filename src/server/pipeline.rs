//! The page of a pipeline: what has landed of it, its runs, its plan and its file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Path, Query, State};
use axum::response::{Html, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chart::{self, Chart, Point};
use super::health::Health;
use super::home::{self, Running};
use super::known::{Chain, FRESH, Known, PATIENCE};
use super::routes::{App, PageError, shown};
use super::runs::{self, RunLine};
use super::text;
use super::troubles::{self, Typed};
use crate::model::{PipelineName, Window};
use crate::pipeline::load;
use crate::pipeline::spec::{Pipeline, Slicing};
use crate::plan::Shard;
use crate::run::{self, Mark, Options, PlannedJob, Reads, Stretch};
use crate::schedule::PipelineView;

/// How many chains are drawn, the ones with holes first; how many stretches of each, and how many holes are named.
const CHAINS: usize = 40;
const STRETCHES: usize = 90;
const HOLES: usize = 10;

/// How many runs a page lists, and a chart shows.
const RUNS: usize = 25;
const BARS: usize = 60;

/// How many slices of a job the plan shows.
const PLANNED: usize = 8;

/// The largest file that is shown, in bytes.
const LARGEST: u64 = load::yaml::MAX_BYTES as u64;

/// What may stand behind the `?`.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// Which page of the runs, from 0.
    #[serde(default)]
    page: usize,
    /// What was asked for a moment ago.
    asked: Option<String>,
}

/// A chain as it is drawn.
#[derive(Debug, Serialize)]
struct Drawn {
    job: String,
    key: Option<String>,
    retired: bool,
    reach: String,
    slices: u64,
    rows: u64,
    doubtful: u64,
    short: u64,
    quarantined: u64,
    again: u64,
    open: u64,
    last: Option<DateTime<Utc>>,
    windows: u64,
    missing: u64,
    not_due: u64,
    cells: Vec<Cell>,
    ends: Option<(String, String)>,
    holes: Vec<Hole>,
    more_holes: usize,
}

/// A stretch of a time line.
#[derive(Debug, Serialize)]
struct Cell {
    kind: &'static str,
    /// What is written into it, so that colour isn't all.
    sign: &'static str,
    label: String,
}

/// Windows that haven't landed.
#[derive(Debug, Serialize)]
struct Hole {
    span: String,
    command: String,
}

/// Serves the page.
pub(super) async fn get(State(app): State<Arc<App>>, Path(name): Path<String>, Query(asked): Query<Asked>) -> Response {
    shown(&app, page(&app, &name, &asked).await)
}

async fn page(app: &App, name: &str, asked: &Asked) -> Result<Html<String>, PageError> {
    let view = app.pipeline(name)?;
    let known = app.ledgers.known(&view, FRESH, PATIENCE).await;
    let all = runs::all(&view, &known);
    let last = runs::last(&all);
    let health = Health::of(Some(&view.pipeline), &known, view.ended.iter().map(AsRef::as_ref));
    let troubles = troubles::of_pipeline(&view, &known, &health, &app.site.state);
    let refused = app.site.handle.view().refused.iter().find(|refused| refused.file == view.file).cloned();
    let troubles: Vec<_> = refused.iter().map(troubles::of_file).chain(troubles).collect();
    let typed = Typed::new(&view, &app.site.state);
    let first = asked.page.saturating_mul(RUNS);
    let jobs_with_windows = view.pipeline.jobs.iter().filter(|job| matches!(job.slicing, Slicing::Window(_)));
    let page = json!({
        "name": name,
        "description": view.pipeline.description,
        "file": view.file.display().to_string(),
        "badge": home::badge(&view, &known, &health, last),
        "paused": view.paused,
        "next": view.next,
        "schedule": view.pipeline.schedule.as_ref().map(|schedule| schedule.cron.clone()),
        "timezone": view.pipeline.timezone.name(),
        "skipped": view.skipped,
        "queued": view.queued,
        "running": view.running.as_ref().map(Running::of),
        "waiting": view.waiting,
        "troubles": troubles,
        "chains": drawn(&known, &typed),
        "more_chains": known.chains.len().saturating_sub(CHAINS),
        "charts": charts(&all),
        "runs": all.iter().skip(first).take(RUNS).collect::<Vec<_>>(),
        "run_count": all.len(),
        "page": asked.page,
        "is_last_page": first + RUNS >= all.len(),
        "plan": app.plans.of(app, &view).await,
        "text": file(&view).await,
        "window_jobs": jobs_with_windows.map(|job| job.name.to_string()).collect::<Vec<_>>(),
        "asked": asked.asked.as_deref().and_then(said),
        "quarantine_command": typed.line("quarantine list"),
    });
    app.render("pipeline.html", &page)
}

/// Says what was asked for: fixed texts, whatever stands behind the `?`.
fn said(action: &str) -> Option<&'static str> {
    match action {
        "run" => Some("A run was asked for."),
        "pause" => Some("The pipeline is paused."),
        "resume" => Some("The pipeline is resumed."),
        "backfill" => Some("A backfill was asked for."),
        _ => None,
    }
}

fn drawn(known: &Known, typed: &Typed) -> Vec<Drawn> {
    let mut chains: Vec<&Chain> = known.chains.iter().collect();
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.missing + chain.standing.short + chain.standing.quarantined));
    chains.truncate(CHAINS);
    chains.into_iter().map(|chain| draw(chain, typed)).collect()
}

fn draw(chain: &Chain, typed: &Typed) -> Drawn {
    let standing = &chain.standing;
    let timeline = standing.timeline.as_ref();
    let day = |at: DateTime<Utc>| at.format("%Y-%m-%d").to_string();
    let holes = timeline.map(crate::run::Timeline::holes).unwrap_or_default();
    let hole = |window: &Window| Hole { span: troubles::span(window), command: typed.backfill(&standing.job, window) };
    Drawn {
        job: standing.job.to_string(),
        key: standing.key.as_ref().map(ToString::to_string),
        retired: standing.retired,
        reach: standing.reach.clone(),
        slices: standing.slices,
        rows: standing.rows,
        doubtful: standing.doubtful,
        short: standing.short,
        quarantined: standing.quarantined,
        again: standing.again,
        open: standing.open,
        last: standing.last,
        windows: timeline.map_or(0, |timeline| timeline.counts().0),
        missing: chain.missing,
        not_due: timeline.map_or(0, crate::run::Timeline::not_due),
        cells: timeline.into_iter().flat_map(|timeline| timeline.stretches(STRETCHES)).map(cell).collect(),
        ends: timeline.and_then(crate::run::Timeline::ends).map(|(first, last)| (day(first.from), day(last.from))),
        more_holes: holes.len().saturating_sub(HOLES),
        holes: holes.iter().take(HOLES).map(hole).collect(),
    }
}

fn cell((window, stretch): (Window, Stretch)) -> Cell {
    let (kind, sign, word) = match stretch {
        Stretch::Landed => ("landed", "", "landed"),
        Stretch::Partly => ("partly", "", "some landed"),
        Stretch::Missing => ("missing", "", "missing"),
        Stretch::NotDue => ("gap", "", "not due: before the start, and never backfilled"),
        Stretch::Marked(Mark::NotAsStated) => ("short", "!", "not as many rows as stated"),
        Stretch::Marked(Mark::Quarantine) => ("held", "q", "rows in quarantine"),
        Stretch::Marked(Mark::Again) => ("again", "~", "read again since an edit"),
    };
    Cell { kind, sign, label: format!("{}: {word}", troubles::span(&window)) }
}

fn charts(all: &[RunLine]) -> Vec<Chart> {
    let mut shown: Vec<&RunLine> =
        all.iter().filter(|run| run.seconds.is_some() && crate::ledger::moves_data(&run.verb)).take(BARS).collect();
    shown.reverse();
    let label =
        |run: &RunLine, what: &str| format!("{} UTC, {}: {what}", run.started.format("%Y-%m-%d %H:%M"), run.badge.word);
    #[expect(clippy::cast_precision_loss, reason = "a bar is a few pixels high")]
    let rows = |run: &&RunLine| {
        let rows = run.counts.map_or(0, |counts| counts.rows);
        Point { value: rows as f64, tone: run.badge.tone, label: label(run, &format!("{} rows", text::count(rows))) }
    };
    let took = |seconds: f64| text::took(chrono::TimeDelta::milliseconds(millis(seconds)));
    let durations = |run: &&RunLine| {
        let seconds = run.seconds.unwrap_or_default().max(0.0);
        Point { value: seconds, tone: run.badge.tone, label: label(run, &took(seconds)) }
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count")]
    let count = |value: f64| text::count(value as u64);
    let rows = chart::bars("Rows", shown.iter().map(rows).collect(), count);
    rows.into_iter().chain(chart::bars("Durations", shown.iter().map(durations).collect(), took)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "no run takes ages")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

/// Reads the pipeline's file, with what may be a secret hidden.
async fn file(view: &PipelineView) -> Result<String, String> {
    let path = view.file.clone();
    let read = tokio::task::spawn_blocking(move || {
        let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if size > LARGEST {
            return Err(format!("it has {}", text::size(size)));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        load::shown(&text).ok_or_else(|| "it can't be parsed as it is now, and might show a secret".to_owned())
    });
    read.await.map_err(|error| error.to_string())?
}

/// A job of the plan, as it is shown.
#[derive(Debug, Clone, Serialize)]
struct Planned {
    job: PlannedJob,
    more: usize,
}

/// The plans of the next runs, kept for as long as what the ledgers say.
#[derive(Debug, Default)]
pub(super) struct Plans(Mutex<HashMap<PipelineName, KeptPlan>>);

/// A plan: when it was made, and of what.
type KeptPlan = (Instant, Arc<Pipeline>, Plan);

type Plan = Result<Vec<Planned>, String>;

impl Plans {
    /// Returns what the next run of a pipeline would do, were it to begin now.
    async fn of(&self, app: &App, view: &PipelineView) -> Plan {
        let name = &view.pipeline.name;
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, of, plan)) = kept().get(name)
            && at.elapsed() < FRESH
            && Arc::ptr_eq(of, &view.pipeline)
        {
            return plan.clone();
        }
        let plan = plan(app, view).await;
        kept().insert(name.clone(), (Instant::now(), Arc::clone(&view.pipeline), plan.clone()));
        plan
    }
}

/// Plans off the async threads: a large backlog takes a while to be written out.
async fn plan(app: &App, view: &PipelineView) -> Plan {
    let now = app.site.env.clock.now();
    let options = Options {
        run: run::new_id(now),
        scheduled_for: view.next,
        state: app.site.state.clone(),
        lease_ttl: app.site.lease_ttl,
        now,
        jobs: Vec::new(),
        shard: Shard::WHOLE,
        wait: false,
        allow_shrink: false,
        retry_refused: false,
        accept: None,
        allow_future: false,
        lock: None,
        reads: Reads::Due,
    };
    let (pipeline, env) = (Arc::clone(&view.pipeline), app.site.env.clone());
    let runtime = tokio::runtime::Handle::current();
    let planned = tokio::task::spawn_blocking(move || runtime.block_on(run::plan(&pipeline, &options, &env)));
    let jobs = planned.await.map_err(|error| error.to_string())?.map_err(|error| error.chain())?;
    let shorten = |mut job: PlannedJob| {
        let more = job.slices.len().saturating_sub(PLANNED);
        job.slices.truncate(PLANNED);
        Planned { job, more }
    };
    Ok(jobs.into_iter().map(shorten).collect())
}
