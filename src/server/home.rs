//! The first page: what needs a person, and how each pipeline stands.

use axum::response::Html;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::health::Health;
use super::known::{FRESH, Known};
use super::routes::{App, PageError};
use super::runs::{self, Badge, RunLine};
use super::text::count;
use super::troubles::{self, Trouble};
use crate::schedule::{JobProgress, PipelineView, RunningView, View};

/// How many troubles are shown in full.
const TROUBLES: usize = 20;

/// A pipeline in the list.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    description: Option<String>,
    badge: Badge,
    /// Whether something of it failed and hasn't been made good, whatever it does now.
    failed: bool,
    /// Whether all of its jobs ended well when they last ran.
    well: bool,
    running: Option<Running>,
    last: Option<RunLine>,
    next: Option<DateTime<Utc>>,
    schedule: Option<String>,
    paused: Option<DateTime<Utc>>,
    /// When data of it landed last.
    fresh: Option<DateTime<Utc>>,
    missing: u64,
    overdue: u64,
    quarantined: u64,
    doubtful: u64,
    /// Rows that servers of its sinks have refused for good.
    refused: u64,
    /// Whether its ledger can be read: if not, nothing is known of it but what this process did.
    known: bool,
    /// Runs of the last 24 hours, and how many of them failed.
    day: (usize, usize),
}

/// A run that goes on, in numbers.
#[derive(Debug, Serialize)]
pub(super) struct Running {
    pub(super) id: String,
    pub(super) started: DateTime<Utc>,
    /// What it waits for before it begins.
    pub(super) waits_for: Option<String>,
    pub(super) slices: u64,
    pub(super) planned: u64,
    pub(super) failed: u64,
    pub(super) rows: u64,
    pub(super) pages: u64,
    pub(super) bytes: u64,
}

impl Running {
    pub(super) fn of(run: &RunningView) -> Self {
        let jobs = run.progress.jobs();
        let sum = |of: fn(&JobProgress) -> u64| jobs.values().map(of).sum();
        Self {
            id: run.run.to_string(),
            started: run.started,
            waits_for: run.progress.waits_for(),
            slices: sum(|job| job.landed + job.failed),
            planned: sum(|job| job.planned),
            failed: sum(|job| job.failed),
            rows: sum(|job| job.rows),
            pages: sum(|job| job.pages),
            bytes: sum(|job| job.bytes),
        }
    }
}

/// Makes the page.
pub(super) async fn page(app: &App) -> Result<Html<String>, PageError> {
    let view = app.site.handle.view();
    let now = app.site.env.clock.now();
    let known = app.all_known(&view, FRESH).await;
    let mut found: Vec<Trouble> = view.refused.iter().map(troubles::of_file).collect();
    found.extend(view.unread.as_deref().map(troubles::of_folder));
    let mut lines = Vec::new();
    for (one, known) in view.pipelines.iter().zip(&known) {
        let all = runs::all(one, known);
        let health = Health::of(Some(&one.pipeline), known, one.ended.iter().map(AsRef::as_ref));
        found.extend(troubles::of_pipeline(one, known, &health, &app.site.state));
        lines.push(line(one, known, &health, &all, now));
    }
    // A file's mistakes are long, and the pipeline that it held may go on.
    found.sort_by_key(|trouble| (trouble.tone != "bad", trouble.many_lines));
    let more = found.len().saturating_sub(TROUBLES);
    found.truncate(TROUBLES);
    let headline = headline(&view, &lines);
    let calm = calm(&lines);
    app.render(
        "home.html",
        &json!({"lines": lines, "troubles": found, "more": more, "headline": headline, "calm": calm, "looked": view.at.is_some()}),
    )
}

fn line(view: &PipelineView, known: &Known, health: &Health, all: &[RunLine], now: DateTime<Utc>) -> Line {
    let last = runs::last(all);
    let sum = |of: fn(&super::known::Chain) -> u64| known.chains.iter().map(of).sum();
    let day = now - chrono::TimeDelta::days(1);
    let at = |run: &RunLine| run.ended.or_else(|| run.badge.is_bad().then_some(run.started));
    let recent = || all.iter().filter(|run| at(run).is_some_and(|at| at >= day));
    Line {
        name: view.pipeline.name.to_string(),
        description: view.pipeline.description.clone(),
        badge: badge(view, known, health, last),
        failed: health.has_failed() || view.trouble.is_some() || known.error.is_some(),
        well: health.is_well(),
        running: view.running.as_ref().map(Running::of),
        last: last.cloned(),
        next: view.next,
        schedule: view.pipeline.schedule.as_ref().map(|schedule| schedule.cron.clone()),
        paused: view.paused,
        fresh: known.chains.iter().filter_map(|chain| chain.standing.last).max(),
        missing: sum(|chain| chain.missing),
        overdue: sum(|chain| chain.overdue),
        quarantined: sum(|chain| chain.standing.quarantined),
        doubtful: sum(|chain| chain.standing.short),
        refused: health.refused.iter().map(|(.., rows)| rows).sum(),
        known: known.error.is_none(),
        day: (recent().count(), recent().filter(|run| run.badge.is_bad()).count()),
    }
}

/// Says how a pipeline is, the worst of it: a pause hides no failure, and neither does a run of other jobs.
pub(super) fn badge(view: &PipelineView, known: &Known, health: &Health, last: Option<&RunLine>) -> Badge {
    let overdue = known.chains.iter().any(|chain| chain.overdue > 0);
    match last.map(|last| last.badge) {
        _ if view.trouble.is_some() || known.error.is_some() => Badge::bad("ledger unreadable"),
        _ if view.running.is_some() || view.waiting => {
            view.running.as_ref().map_or(Badge::busy("waiting"), Badge::of_running)
        }
        Some(badge) if badge.is_bad() && health.has_failed() => badge,
        _ if health.has_failed() => Badge::bad("failed before"),
        _ if overdue => Badge::doubtful("windows missing"),
        _ if view.paused.is_some() => Badge::idle("paused"),
        Some(badge) if badge.tone != "good" => badge,
        _ if !health.failures.is_empty() => Badge::doubtful("unfinished"),
        _ if !health.never.is_empty() => Badge::doubtful("not all has run"),
        Some(badge) => badge,
        None => Badge::idle("has not run"),
    }
}

fn headline(view: &View, lines: &[Line]) -> String {
    let failed = lines.iter().filter(|line| line.failed).count();
    let running = lines.iter().filter(|line| line.running.is_some() && line.badge.word != "waiting").count();
    let paused = lines.iter().filter(|line| line.paused.is_some()).count();
    let mut parts = vec![match lines.len() {
        1 => "1 pipeline".to_owned(),
        many => format!("{} pipelines", count(many as u64)),
    }];
    let named = [
        (failed, "failed"),
        (view.refused.len(), if view.refused.len() == 1 { "file refused" } else { "files refused" }),
        (running, "running"),
        (paused, "paused"),
    ];
    parts.extend(named.iter().filter(|(many, _)| *many > 0).map(|(many, what)| format!("{many} {what}")));
    if view.unread.is_some() {
        parts.push("the folder can’t be read".to_owned());
    } else if failed + view.refused.len() == 0 && !lines.is_empty() {
        parts.push("none failed".to_owned());
    }
    parts.join(", ")
}

/// Says what may be said where nothing needs a person.
fn calm(lines: &[Line]) -> String {
    match lines.iter().filter(|line| !line.well).count() {
        _ if lines.is_empty() => "Nothing: there is no pipeline.".to_owned(),
        0 => "Nothing: when each job ran last, what was due landed.".to_owned(),
        1 => "Nothing has failed; 1 pipeline hasn’t come to the end of its first run yet.".to_owned(),
        some => format!(
            "Nothing has failed; {} pipelines haven’t come to the end of their first runs yet.",
            count(some as u64)
        ),
    }
}
