//! `tidegate deliver`: send what has landed for sinks that send.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::args::{MemoryArgument, Output, StateArgument, lease_ttl};
use super::{CliError, Exit, load, print, report};
use crate::model::{JobName, RunReport};
use crate::plan::Shard;
use crate::run::{self as runs, BrokenOff, Env, Options, Reads};

/// What `deliver` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct DeliverArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Only the sinks of these jobs.
    #[arg(long = "job", value_name = "NAME")]
    pub(super) jobs: Vec<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// Send also the rows that the server refused for good before, such as after the pipeline file was corrected; and those of requests
    /// of which nobody knows whether they were heard as they have landed by now, not as they were sent.
    #[arg(long)]
    pub(super) refused: bool,
    /// Leave with exit code 4 if a run of the pipeline is on, instead of waiting for it.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How long a run that was killed keeps the next one waiting where the state is in a bucket: 1s to 1h.
    #[arg(long, env = "TIDEGATE_LEASE_TTL", default_value = "60s", value_name = "TIME", value_parser = lease_ttl)]
    pub(super) lease_ttl: Duration,
    /// Send a credential though the server refused it in the last five minutes.
    #[arg(long)]
    pub(super) retry_refused: bool,
    #[command(flatten)]
    pub(super) memory: MemoryArgument,
}

/// Delivers what waits of pipeline files, one after the other.
pub(super) async fn run(arguments: &DeliverArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut exit: Option<Exit> = None;
    let mut reports = Vec::new();
    for (pipeline, file) in pipelines.iter().zip(&arguments.files) {
        let ended = match runs::deliver(pipeline, &options(arguments, &env), arguments.refused, &env).await {
            Ok(report) => {
                let ended = Exit::of(&report);
                tell(report, (file, &arguments.state.state), output, &mut reports);
                ended
            }
            Err(BrokenOff { error, report }) => {
                if let Some(report) = report.filter(|report| !report.deliveries.is_empty()) {
                    tell(*report, (file, &arguments.state.state), output, &mut reports);
                }
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                env.exit(&error)
            }
        };
        exit = Some(exit.map_or(ended, |exit| exit.and(ended)));
        if ended.is_interruption() {
            break;
        }
    }
    if output == Output::Json {
        print::done(print::json(&reports));
    }
    Ok(exit.unwrap_or(Exit::Done))
}

/// Prints a report for people, and keeps it for programs.
fn tell(report: RunReport, typed: (&Path, &str), output: Output, reports: &mut Vec<RunReport>) {
    if output == Output::Text {
        print::done(print::text(&report::delivered(&report, typed)));
    }
    reports.push(report);
}

fn options(arguments: &DeliverArguments, env: &Env) -> Options {
    let now = env.clock.now();
    Options {
        run: runs::new_id(now),
        scheduled_for: None,
        state: arguments.state.state.clone(),
        lease_ttl: arguments.lease_ttl,
        now,
        jobs: arguments.jobs.iter().map(JobName::new).collect(),
        shard: Shard::WHOLE,
        wait: !arguments.no_wait,
        allow_shrink: false,
        retry_refused: arguments.retry_refused,
        accept: None,
        lock: None,
        reads: Reads::Due,
        allow_future: false,
    }
}
