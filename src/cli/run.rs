//! `tidegate run`: extract what is due and land it.

use std::path::PathBuf;

use super::args::{Output, RunArguments};
use super::{CliError, Exit, load, print, report};
use crate::ledger::LedgerError;
use crate::model::{JobName, RunReport};
use crate::pipeline::spec::Pipeline;
use crate::run::{self, Env, Options, RunError};

/// Runs pipeline files, one after the other.
pub(super) async fn run(arguments: &RunArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    all(&arguments.files, &options(arguments, &env), output, &env).await
}

/// Runs pipeline files with the same options.
pub(super) async fn all(files: &[PathBuf], options: &Options, output: Output, env: &Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(files, output) else { return Ok(Exit::Refused) };
    let mut exit: Option<Exit> = None;
    let mut reports = Vec::new();
    for pipeline in &pipelines {
        let ended = match one(pipeline, options, env, output).await? {
            Ok(report) => {
                let ended = Exit::of(&report);
                reports.push(report);
                ended
            }
            Err(ended) => ended,
        };
        exit = Some(exit.map_or(ended, |exit| exit.and(ended)));
        if ended == Exit::Interrupted {
            break;
        }
    }
    if output == Output::Json {
        print::json(&reports)?;
    }
    Ok(exit.unwrap_or(Exit::Done))
}

/// Runs one pipeline and prints its report.
pub(super) async fn one(
    pipeline: &Pipeline,
    options: &Options,
    env: &Env,
    output: Output,
) -> Result<Result<RunReport, Exit>, CliError> {
    match run::run(pipeline, options, env).await {
        Ok(report) => {
            if output == Output::Text {
                print::text(&report::text(&report))?;
            }
            Ok(Ok(report))
        }
        Err(error) => {
            print::problem(&format!("{}: {}", pipeline.name, error.chain()));
            Ok(Err(exit_of(&error)))
        }
    }
}

/// Returns the exit code of a run that didn't come to its end.
pub(super) fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Ledger(LedgerError::Held { .. }) => Exit::Held,
        RunError::NoJob { .. } | RunError::NoWindows { .. } | RunError::Future { .. } => Exit::Refused,
        RunError::Interrupted => Exit::Interrupted,
        RunError::Lost(_) | RunError::Account { .. } => Exit::Bug,
        _ => Exit::NothingLanded,
    }
}

/// Returns what `run` and `plan` are asked to do.
pub(super) fn options(arguments: &RunArguments, env: &Env) -> Options {
    Options {
        state: arguments.state.state.clone(),
        lease_ttl: arguments.lease_ttl,
        now: arguments.now.unwrap_or_else(|| env.clock.now()),
        jobs: arguments.jobs.iter().map(JobName::new).collect(),
        wait: !arguments.no_wait,
        allow_shrink: arguments.allow_shrink,
        retry_refused: arguments.retry_refused,
        accept: arguments.accept.map(Into::into),
        backfill: None,
        allow_future: arguments.allow_future,
    }
}
