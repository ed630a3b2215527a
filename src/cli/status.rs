//! `tidegate status`: what has landed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::args::{Output, StateArgument};
use super::{CliError, Exit, load, print, timeline};
use crate::ledger::{HowItFailed, Ledger, LedgerError, LedgerState};
use crate::model::{Asked, DeliveryStatus};
use crate::pipeline::spec::Pipeline;
use crate::run::{self, Env, RunError, Standing, Timeline, standings};

/// Prints what has landed of pipeline files.
pub(super) async fn run(files: &[PathBuf], state: &StateArgument, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(files, output) else { return Ok(Exit::Refused) };
    let mut all = Vec::new();
    for (pipeline, file) in pipelines.iter().zip(files) {
        let known = match read(pipeline, state, &env).await {
            Ok(known) => known,
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, print::chain(&error)));
                return Ok(Exit::NothingLanded);
            }
        };
        let now = env.clock.now();
        let lines: Vec<Standing> = pipeline.jobs.iter().flat_map(|job| standings(job, &known, now)).collect();
        let deliveries = match run::deliveries(pipeline, &state.state, &env).await {
            Ok(deliveries) => deliveries,
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                return Ok(Exit::NothingLanded);
            }
        };
        let notes = match notes(pipeline, &known, now, &env) {
            Ok(notes) => [backfills(pipeline, &known, file, &state.state), notes].concat(),
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                return Ok(Exit::NothingLanded);
            }
        };
        match output {
            Output::Json => all.push(json!({
                "pipeline": pipeline.name, "sequence": known.sequence(),
                "jobs": lines.iter().map(document).collect::<Vec<_>>(),
                "deliveries": deliveries, "notes": notes,
            })),
            Output::Text => {
                let notes: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
                print::text(&(text(pipeline, &known, &lines, now) + &notes + &sent(&deliveries)))?;
            }
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

/// Says which jobs have never landed a row, though they have landed slices.
fn notes(pipeline: &Pipeline, known: &LedgerState, now: DateTime<Utc>, env: &Env) -> Result<Vec<String>, RunError> {
    let mut notes = Vec::new();
    for job in &pipeline.jobs {
        let note = run::nothing_yet(job, known, now, env)?;
        notes.extend(note.map(|note| format!("{}: {note}", job.name)));
    }
    Ok(notes)
}

/// Says which backfills failed, and what to type: no run makes up for them.
fn backfills(pipeline: &Pipeline, known: &LedgerState, file: &Path, state: &str) -> Vec<String> {
    let (file, state, all) = (print::word(file), print::word(Path::new(state)), Asked::new(Asked::DISMISS));
    let failed = known.ends().dismissed_by(&all).filter(|(job, _)| pipeline.job(job).is_some());
    let told = failed.map(|(job, failure)| {
        let at = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::Secs, true);
        let window = failure.of.asked.window.map(|window| format!(" from {} to {}", at(window.from), at(window.to)));
        let how = match failure.how {
            HowItFailed::Failed => "failed",
            HowItFailed::Stopped => "was stopped",
            HowItFailed::Interrupted => "was interrupted",
            HowItFailed::Died => "died",
        };
        let why = failure.error.as_ref().map(|error| format!("; the reason: {error}")).unwrap_or_default();
        let lines = failure.against(&file, std::slice::from_ref(job), &state);
        format!(
            "{job}: the backfill{} {how}: read it again, or dismiss it where nobody wants it any more{why}\n  {}",
            window.unwrap_or_default(),
            lines.join("\n  ")
        )
    });
    told.collect()
}

fn document(line: &Standing) -> Value {
    json!({
        "job": line.job, "key": line.key, "retired": line.retired, "slices": line.slices, "rows": line.rows,
        "not_proven": line.doubtful, "open": line.open, "landed": line.reach, "last_commit": line.last,
        "quarantined": line.quarantined, "not_as_stated": line.short, "to_read_again": line.again,
        "windows": line.timeline.as_ref().map(|timeline| timeline.counts().0),
        "missing": line.timeline.as_ref().map(|timeline| timeline.counts().1),
        "not_due": line.timeline.as_ref().map(Timeline::not_due),
        "holes": line.timeline.as_ref().map(Timeline::holes),
    })
}

/// Names a chain, and says what is missing.
fn head(line: &Standing) -> String {
    let key = line.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    let retired = if line.retired { " (retired)" } else { "" };
    let (windows, missing) = line.timeline.as_ref().map(Timeline::counts).unwrap_or_default();
    let not_due = match line.timeline.as_ref().map_or(0, Timeline::not_due) {
        0 => String::new(),
        gap => format!(
            "; {} between what was backfilled and the start, not due and not there",
            print::counted(gap, "window")
        ),
    };
    let counts = format!("{}, {} missing{not_due}", print::counted(windows, "window"), print::count(missing));
    format!("{}{key}{retired}: {counts}", line.job)
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

fn text(pipeline: &Pipeline, state: &LedgerState, lines: &[Standing], now: DateTime<Utc>) -> String {
    if state.sequence() == 0 {
        return format!("{}: nothing has run yet with this state", pipeline.name);
    }
    let mut table =
        print::table(&["job", "key", "landed", "#slices", "#rows", "#not proven", "#open", "last commit (UTC)"]);
    for line in lines {
        let key = line.key.as_ref().map(ToString::to_string).unwrap_or_default();
        table.add_row([
            line.job.to_string(),
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
            (line.short, "landed, though with other rows than the server stated"),
            (line.quarantined, "with rows in quarantine"),
            (line.again, "to be read again, since an edit was accepted"),
        ] {
            if count > 0 {
                let key = line.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
                out += &format!("{}{key}: {} {what}\n", line.job, print::counted(count, "slice"));
            }
        }
        if let Some(timeline) = &line.timeline {
            out += &format!("{}\n{}\n", head(line), timeline::draw(timeline, width));
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
