//! `tidegate serve`: every pipeline of a folder on its own schedule.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::args::{Output, ServeArguments};
use super::events::Teller;
use super::signal::Signal;
use super::{CliError, Exit, load, page, print, signal};
use crate::pipeline::load::diagnostic;
use crate::run::{self, Env};
use crate::schedule::{Config, Daemon, Event, Loader, Refusal, Runner};
use crate::server::{Metrics, Site};

/// Keeps the schedules until a signal, and ends as the signal says where something had to be thrown away.
pub(super) async fn run(arguments: &ServeArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    if !can_be_read(&arguments.folder) {
        return Ok(Exit::Refused);
    }
    let config = config(arguments);
    let Some(page) = page::open(&arguments.page, output).await else { return Ok(Exit::Refused) };
    let mut signals = signal::Next::new(true).map_err(CliError::Runtime)?;
    let (clock, metrics, terminated) = (Arc::clone(&env.clock), Metrics::default(), env.terminated.clone());
    let (daemon, handle, mut events) = Daemon::new(config.clone(), env.clone(), loader(), runner());
    let site = Site {
        handle: handle.clone(),
        env,
        state: config.state,
        lease_ttl: config.lease_ttl,
        metrics: metrics.clone(),
        token: page.token,
        hosts: page.hosts,
    };
    let teller = Teller::start(output, clock);
    if let Some(line) = page.line {
        teller.line(line);
    }
    let tell = |event: &Event| {
        metrics.hear(event);
        teller.tell(event);
    };
    let stop = CancellationToken::new();
    // Until the process ends: while it drains, the page shows how far it is.
    page::show(page.listener, site);
    let mut served = tokio::spawn(daemon.run(stop.clone()));
    let mut told: Option<Exit> = None;
    loop {
        tokio::select! {
            Some(event) = events.recv() => tell(&event),
            signal = signals.signal() => {
                let Signal::End(exit) = signal else {
                    handle.look_again();
                    continue;
                };
                if told.is_some() {
                    return Ok(exit);
                }
                signal::note(exit, &terminated);
                told = Some(exit);
                stop.cancel();
            }
            ended = &mut served => {
                while let Ok(event) = events.try_recv() {
                    tell(&event);
                }
                teller.end().await;
                return Ok(match ended.map_err(|error| error.to_string()).and_then(|ended| ended.map_err(|error| error.to_string())) {
                    Ok(true) => Exit::Done,
                    Ok(false) => told.unwrap_or(Exit::Interrupted),
                    Err(error) => bug(&error),
                });
            }
        }
    }
}

fn can_be_read(folder: &Path) -> bool {
    let read = std::fs::read_dir(folder);
    if let Err(error) = &read {
        let folder = folder.display();
        print::problem(&format!("the folder {folder} can't be read: {error}; give the folder of the pipeline files"));
    }
    read.is_ok()
}

fn config(arguments: &ServeArguments) -> Config {
    Config {
        folder: arguments.folder.clone(),
        state: arguments.state.state.clone(),
        lease_ttl: arguments.lease_ttl,
        grace: arguments.grace,
        max_concurrent_runs: arguments.max_concurrent_runs.get(),
    }
}

fn bug(error: &str) -> Exit {
    print::problem(&format!("the daemon ended: {error}; this is a bug of Tidegate, and what had landed is safe"));
    Exit::Bug
}

fn loader() -> Loader {
    Arc::new(|path: &Path| {
        let (loaded, files) = load::file_and_names(path);
        loaded.checked.map(|checked| checked.pipeline).map_err(|mistakes| {
            let why = diagnostic::render(&mistakes, &loaded.source, false).trim_end().to_owned();
            Refusal { why, files }
        })
    })
}

fn runner() -> Runner {
    let runtime = tokio::runtime::Handle::current();
    Arc::new(move |pipeline, options, env| runtime.block_on(run::attempt(pipeline, options, env)))
}
