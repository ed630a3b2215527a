//! `tidegate serve`: every pipeline of a folder on its own schedule.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::{Output, ServeArguments};
use super::{CliError, Exit, load, page, print, report, signal};
use crate::run::{self, Env};
use crate::schedule::{Config, Daemon, Event, FileError, Loader, Runner, Skip};
use crate::server::{Metrics, Site};

/// Keeps the schedules until a signal, and ends as the signal says where something had to be thrown away.
pub(super) async fn run(arguments: &ServeArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    if let Err(error) = std::fs::read_dir(&arguments.folder) {
        let folder = arguments.folder.display();
        print::problem(&format!("the folder {folder} can't be read: {error}; give the folder of the pipeline files"));
        return Ok(Exit::Refused);
    }
    let config = Config {
        folder: arguments.folder.clone(),
        state: arguments.state.state.clone(),
        lease_ttl: arguments.lease_ttl,
        grace: arguments.grace,
        max_concurrent_runs: arguments.max_concurrent_runs.get(),
    };
    let Some(page) = page::open(&arguments.page, output).await? else { return Ok(Exit::Refused) };
    let mut signals = signal::Next::new().map_err(CliError::Runtime)?;
    let (clock, metrics, terminated) = (Arc::clone(&env.clock), Metrics::default(), env.terminated.clone());
    let (daemon, handle, mut events) = Daemon::new(config.clone(), env.clone(), loader(), runner());
    let site = Site {
        handle,
        env,
        state: config.state,
        lease_ttl: config.lease_ttl,
        metrics: metrics.clone(),
        token: page.token,
        hosts: page.hosts,
    };
    let tell = |event: &Event| {
        metrics.hear(event);
        tell(event, clock.now(), output)
    };
    let stop = CancellationToken::new();
    // Until the process ends: while it drains, the page shows how far it is.
    page::show(page.listener, site);
    let mut served = tokio::spawn(daemon.run(stop.clone()));
    let mut told: Option<Exit> = None;
    loop {
        tokio::select! {
            Some(event) = events.recv() => tell(&event)?,
            exit = signals.signal() => {
                if told.is_some() {
                    return Ok(exit);
                }
                signal::note(exit, &terminated);
                told = Some(exit);
                stop.cancel();
            }
            ended = &mut served => {
                while let Ok(event) = events.try_recv() {
                    tell(&event)?;
                }
                return Ok(match ended {
                    Ok(Ok(true)) => Exit::Done,
                    Ok(Ok(false)) => told.unwrap_or(Exit::Interrupted),
                    Ok(Err(error)) => bug(&error.to_string()),
                    Err(error) => bug(&error.to_string()),
                });
            }
        }
    }
}

fn bug(error: &str) -> Exit {
    print::problem(&format!("the daemon ended: {error}; this is a bug of Tidegate, and what had landed is safe"));
    Exit::Bug
}

fn loader() -> Loader {
    Arc::new(|path: &Path| {
        let loaded = load::file(path);
        match loaded.checked {
            Ok(checked) => Ok(checked.pipeline),
            Err(mistakes) => {
                Err(crate::pipeline::load::diagnostic::render(&mistakes, &loaded.source, false).trim_end().to_owned())
            }
        }
    })
}

fn runner() -> Runner {
    let runtime = tokio::runtime::Handle::current();
    Arc::new(move |pipeline, options, env| runtime.block_on(run::attempt(pipeline, options, env)))
}

/// Prints what happened: a line each, or JSON, one document a line.
fn tell(event: &Event, now: DateTime<Utc>, output: Output) -> Result<(), CliError> {
    let line = match output {
        Output::Json => document(event, now).to_string(),
        Output::Text => format!("{}  {}", instant(now), sentence(event)),
    };
    Ok(print::text(&line)?)
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Loaded { file, pipeline, next } => {
            let next = next.map_or_else(
                || "no schedule, so it isn't run".to_owned(),
                |next| format!("next run {}", instant(next)),
            );
            format!("{pipeline}: read from {}; {next}", file.display())
        }
        Event::Refused(refused) => {
            let rest =
                if refused.goes_on { "; what was read from it before goes on" } else { ", and nothing runs by it" };
            format!("{} can't be used{rest}\n{}", refused.file.display(), refused.error)
        }
        Event::Gone(pipeline) => format!("{pipeline}: its file is gone, and it isn't run any more"),
        Event::Began(pipeline, running) => match running.scheduled_for {
            Some(at) => format!("{pipeline}: run {} begins, for {}", running.run, instant(at)),
            None => format!("{pipeline}: run {} begins, as asked for", running.run),
        },
        Event::Ended(end) => match (&end.report, &end.error) {
            (Some(report), _) => report::in_short(report, end),
            (None, error) => format!("{}: {}", end.pipeline, error.as_deref().unwrap_or("ended")),
        },
        Event::Skipped(pipeline, at, why) => format!("{pipeline}: {} isn't run: {}", instant(*at), reason(*why)),
        Event::Trouble(pipeline, error) => format!("{pipeline}: its schedule waits for its ledger: {error}"),
        Event::Draining { runs: 0 } => "told to end; no run goes on".to_owned(),
        Event::Draining { runs: 1 } => "told to end; waiting for 1 run".to_owned(),
        Event::Draining { runs } => format!("told to end; waiting for {runs} runs"),
    }
}

const fn reason(why: Skip) -> &'static str {
    match why {
        Skip::Overlap => "the run before it still goes on",
        Skip::Paused => "the pipeline is paused",
        Skip::Missed => "it was missed, and `catch_up: none`",
    }
}

fn document(event: &Event, at: DateTime<Utc>) -> Value {
    match event {
        Event::Loaded { file, pipeline, next } => {
            json!({"at": at, "event": "loaded", "pipeline": pipeline, "file": file, "next": next})
        }
        Event::Refused(refused) => {
            let FileError { file, error, goes_on, .. } = refused;
            json!({"at": at, "event": "refused", "file": file, "error": error, "goes_on": goes_on})
        }
        Event::Gone(pipeline) => json!({"at": at, "event": "gone", "pipeline": pipeline}),
        Event::Began(pipeline, running) => {
            let (run, scheduled_for) = (&running.run, running.scheduled_for);
            json!({"at": at, "event": "began", "pipeline": pipeline, "run": run, "scheduled_for": scheduled_for})
        }
        Event::Ended(end) => json!({"at": at, "event": "ended", "end": end}),
        Event::Skipped(pipeline, instant, why) => {
            let why = match why {
                Skip::Overlap => "overlap",
                Skip::Paused => "paused",
                Skip::Missed => "missed",
            };
            json!({"at": at, "event": "skipped", "pipeline": pipeline, "scheduled_for": instant, "why": why})
        }
        Event::Trouble(pipeline, error) => json!({"at": at, "event": "trouble", "pipeline": pipeline, "error": error}),
        Event::Draining { runs } => json!({"at": at, "event": "draining", "runs": runs}),
    }
}
