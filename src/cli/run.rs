//! `tidegate run`: extract what is due and land it.

use std::path::Path;
use std::sync::Arc;

use super::args::{HowToRun, Output, RunArguments};
use super::{CliError, Exit, load, lock, print, report};
use crate::ledger::LedgerError;
use crate::model::{JobName, RunReport};
use crate::pipeline::spec::Pipeline;
use crate::run::{self, Env, Options, Reads, RunError, SchemaError};

/// Runs pipeline files, one after the other.
pub(super) async fn run(arguments: &RunArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    all(arguments, Reads::Due, output, &env).await
}

/// Runs pipeline files, one after the other: those of their slices that `reads` says.
pub(super) async fn all(arguments: &RunArguments, reads: Reads, output: Output, env: &Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut exit: Option<Exit> = None;
    let mut reports = Vec::new();
    for (pipeline, file) in pipelines.iter().zip(&arguments.files) {
        let Some(options) = options(arguments, file, env) else { return Ok(Exit::Refused) };
        let ended = match one(pipeline, &Options { reads, ..options }, env, output).await? {
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
        RunError::NoJob { .. }
        | RunError::NoWindows { .. }
        | RunError::Future { .. }
        | RunError::Schema(SchemaError::LandsNothing { .. }) => Exit::Refused,
        RunError::Interrupted => Exit::Interrupted,
        RunError::Lost(_) | RunError::Account { .. } => Exit::Bug,
        _ => Exit::NothingLanded,
    }
}

/// Returns what `run` and `plan` are asked to do with a pipeline file. None where its lock file, which is asked for, can't be used:
/// that is shown.
pub(super) fn options(arguments: &RunArguments, file: &Path, env: &Env) -> Option<Options> {
    let lock = if arguments.locked { Some(Arc::new(lock::read(file)?)) } else { None };
    let jobs = arguments.jobs.iter().map(JobName::new).collect();
    Some(Options { jobs, lock, ..how(&arguments.how, env) })
}

/// Returns how slices are to be run: all jobs, with no lock file.
pub(super) fn how(how: &HowToRun, env: &Env) -> Options {
    Options {
        state: how.state.state.clone(),
        lease_ttl: how.lease_ttl,
        now: how.now.unwrap_or_else(|| env.clock.now()),
        jobs: Vec::new(),
        wait: !how.no_wait,
        allow_shrink: how.allow_shrink,
        retry_refused: how.retry_refused,
        accept: how.accept.map(Into::into),
        allow_future: how.allow_future,
        lock: None,
        reads: Reads::Due,
    }
}
