//! `tidegate run`: extract what is due and land it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::args::{BoundArguments, HowToRun, Output, RunArguments};
use super::load::Refused;
use super::told::{self, Deliver};
use super::{CliError, Exit, load, lock, plan, print, remedies, report};
use crate::model::{JobName, RunEnd, SchemaLock, SliceOutcome};
use crate::pipeline::spec::Pipeline;
use crate::plan::Shard;
use crate::run::{self, Bounds, Env, Options, Reads};

/// Runs pipeline files, one after the other: those of their slices that `reads` says, within bounds.
pub(super) async fn bounded(
    arguments: &RunArguments,
    bounds: &BoundArguments,
    reads: Reads,
    output: Output,
    env: Env,
) -> Result<Exit, CliError> {
    if bounds.dry_run {
        if bounds.report.is_some() || bounds.metrics_file.is_some() {
            print::problem(
                "--dry-run runs nothing, so there is nothing to tell in a report or in metrics: leave out --report and --metrics-file, \
                 or TIDEGATE_REPORT and TIDEGATE_METRICS_FILE where the environment sets them",
            );
            return Ok(Exit::Refused);
        }
        // Each slice sends one request at least.
        let most = bounds.max_slices.into_iter().chain(bounds.max_requests).min();
        return plan::run(arguments, reads, most, output, env).await;
    }
    let env = Env { bounds: bounds_of(bounds), ..env };
    let to = Deliver { report: bounds.report.as_deref(), metrics: bounds.metrics_file.as_deref() };
    Ok(all(arguments, reads, to, output, &env).await)
}

/// Runs pipeline files, one after the other: those of their slices that `reads` says; `to` is where that is told.
async fn all(arguments: &RunArguments, reads: Reads, to: Deliver<'_>, output: Output, env: &Env) -> Exit {
    let state = &arguments.how.state.state;
    let loaded = load::each(&arguments.files, output).into_iter().zip(&arguments.files);
    let all: Vec<Result<(Pipeline, Asked), Refused>> = loaded
        .map(|(pipeline, file)| {
            let pipeline = pipeline?;
            match asked(arguments, file) {
                Ok(asked) => Ok((pipeline, asked)),
                Err(why) => {
                    print::problem(&why);
                    Err(Refused { name: pipeline.name, why })
                }
            }
        })
        .collect();
    if all.iter().any(Result::is_err) {
        let ends = told::refused(&all, |(pipeline, _)| &pipeline.name, env.clock.now());
        let pipelines = all.into_iter().flatten().map(|(pipeline, _)| pipeline).collect();
        to.tell(pipelines, ends, Exit::Refused, state, env).await;
        return Exit::Refused;
    }
    let (mut exit, mut ends, mut pipelines) = (None, Vec::new(), Vec::new());
    for ((pipeline, asked), file) in all.into_iter().flatten().zip(&arguments.files) {
        if ends.last().is_none_or(|end: &RunEnd| !end.exit_code.is_interruption()) {
            let options = Options { reads, ..options(arguments, asked, env) };
            let end = one(file, &pipeline, &options, env, output).await;
            exit = Some(exit.map_or(end.exit_code, |exit: Exit| exit.and(end.exit_code)));
            ends.push(end);
        }
        pipelines.push(pipeline);
    }
    let exit = exit.unwrap_or(Exit::Done);
    if output == Output::Json {
        print::done(print::json(&ends.iter().filter_map(|end| end.report.as_ref()).collect::<Vec<_>>()));
    }
    to.tell(pipelines, ends, exit, state, env).await;
    exit
}

/// Runs one pipeline, prints its report, and sends its hook, also where nobody reads what is printed.
pub(super) async fn one(file: &Path, pipeline: &Pipeline, options: &Options, env: &Env, output: Output) -> RunEnd {
    let end = run::attempt(pipeline, options, env).await;
    if let (Some(report), Output::Text) = (&end.report, output) {
        print::done(print::text(&report::text(report, file, &options.state)));
    }
    if let Some(error) = &end.error {
        let rest = if end.exit_code.is_interruption() {
            let landed =
                end.report.as_ref().map_or(0, |report| report.count(|outcome| *outcome == SliceOutcome::Landed));
            let slices = print::counted(landed as u64, "slice");
            format!("; {slices} landed, and what landed stays: run again for the rest")
        } else {
            String::new()
        };
        print::problem(&format!("{}: {error}{rest}", pipeline.name));
    }
    if output == Output::Text {
        let helps = remedies::text(&end, file, &options.state);
        if !helps.is_empty() {
            print::note(helps.trim_end());
        }
    }
    run::notify(pipeline, &end, env).await;
    end
}

/// What `run` and `plan` are asked for of a pipeline file.
#[derive(Debug)]
pub(super) struct Asked {
    /// The schemas that may not be left.
    lock: Option<Arc<SchemaLock>>,
    /// The slices.
    shard: Shard,
}

/// Returns what is asked for of a pipeline file, or why that can't be told: its lock file can't be used, or there is no such shard.
pub(super) fn asked(arguments: &RunArguments, file: &Path) -> Result<Asked, String> {
    let lock = if arguments.locked { Some(Arc::new(lock::read(file)?)) } else { None };
    Ok(Asked { lock, shard: shard_of(arguments)? })
}

/// Returns what `run` and `plan` do about a pipeline file.
pub(super) fn options(arguments: &RunArguments, asked: Asked, env: &Env) -> Options {
    let jobs = arguments.jobs.iter().map(JobName::new).collect();
    let Asked { lock, shard } = asked;
    Options { jobs, shard, lock, ..how(&arguments.how, env) }
}

/// Returns the shard that is asked for, or why that can't be told.
fn shard_of(arguments: &RunArguments) -> Result<Shard, String> {
    let Some(of) = arguments.shards else { return Ok(arguments.shard.unwrap_or(Shard::WHOLE)) };
    let Some(index) = arguments.completion_index else {
        return Err(format!(
            "--shards {of} needs JOB_COMPLETION_INDEX, which Kubernetes sets in an Indexed Job; elsewhere say --shard I/{of}"
        ));
    };
    Shard::new(index, of.get()).ok_or_else(|| {
        format!(
            "JOB_COMPLETION_INDEX is {index}, and of --shards {of} the last is {}: give the Job as many completions",
            of.get() - 1
        )
    })
}

/// Returns how slices are to be run: all jobs, with no lock file.
pub(super) fn how(how: &HowToRun, env: &Env) -> Options {
    let now = env.clock.now();
    Options {
        run: run::new_id(now),
        scheduled_for: None,
        state: how.state.state.clone(),
        lease_ttl: how.lease_ttl,
        now: how.now.unwrap_or(now),
        jobs: Vec::new(),
        shard: Shard::WHOLE,
        wait: !how.no_wait,
        allow_shrink: how.allow_shrink,
        retry_refused: how.retry_refused,
        accept: how.accept.map(Into::into),
        allow_future: how.allow_future,
        lock: None,
        reads: Reads::Due,
    }
}

fn bounds_of(arguments: &BoundArguments) -> Bounds {
    Bounds {
        until: arguments.max_duration.and_then(|most| Instant::now().checked_add(most)),
        most_requests: arguments.max_requests,
        most_slices: arguments.max_slices,
        ..Bounds::default()
    }
}
