//! `tidegate run`: extract what is due and land it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use url::Url;

use super::args::{BoundArguments, HowToRun, Output, RunArguments};
use super::{CliError, Exit, load, lock, plan, print, report};
use crate::model::{JobName, Report, RunEnd};
use crate::pipeline::spec::Pipeline;
use crate::plan::Shard;
use crate::run::{self, Bounds, Env, Options, Reads};
use crate::server::{Known, Metrics, Stands};

/// Runs pipeline files, one after the other.
pub(super) async fn run(
    arguments: &RunArguments,
    bounds: &BoundArguments,
    output: Output,
    env: Env,
) -> Result<Exit, CliError> {
    if bounds.dry_run {
        return plan::run(arguments, output, env).await;
    }
    let env = Env { bounds: bounds_of(bounds), ..env };
    let to = Deliver { report: bounds.report.as_deref(), metrics: bounds.metrics_file.as_deref() };
    all(arguments, Reads::Due, to, output, &env).await
}

/// Where what runs did is told besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deliver<'a> {
    /// The file or the URL of the report.
    report: Option<&'a str>,
    /// The file of the metrics.
    metrics: Option<&'a Path>,
}

/// Runs pipeline files, one after the other: those of their slices that `reads` says; `to` is where that is told.
pub(super) async fn all(
    arguments: &RunArguments,
    reads: Reads,
    to: Deliver<'_>,
    output: Output,
    env: &Env,
) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut exit: Option<Exit> = None;
    let mut ends = Vec::new();
    for (pipeline, file) in pipelines.iter().zip(&arguments.files) {
        let Some(options) = options(arguments, file, env) else { return Ok(Exit::Refused) };
        let end = one(pipeline, &Options { reads, ..options }, env, output).await?;
        exit = Some(exit.map_or(end.exit_code, |exit| exit.and(end.exit_code)));
        let last = end.exit_code == Exit::Interrupted;
        ends.push(end);
        if last {
            break;
        }
    }
    let exit = exit.unwrap_or(Exit::Done);
    if output == Output::Json {
        print::json(&ends.iter().filter_map(|end| end.report.as_ref()).collect::<Vec<_>>())?;
    }
    if let Some(path) = to.metrics {
        count(path, &pipelines, &ends, &arguments.how.state.state, env).await;
    }
    if let Some(to) = to.report {
        deliver(to, ends, exit, env).await;
    }
    Ok(exit)
}

/// Runs one pipeline and prints its report.
pub(super) async fn one(pipeline: &Pipeline, options: &Options, env: &Env, output: Output) -> Result<RunEnd, CliError> {
    let end = run::attempt(pipeline, options, env).await;
    if let (Some(report), Output::Text) = (&end.report, output) {
        print::text(&report::text(report))?;
    }
    if let Some(error) = &end.error {
        print::problem(&format!("{}: {error}", pipeline.name));
    }
    Ok(end)
}

/// Returns what `run` and `plan` are asked to do with a pipeline file. None where its lock file, which is asked for, can't be used:
/// that is shown.
pub(super) fn options(arguments: &RunArguments, file: &Path, env: &Env) -> Option<Options> {
    let lock = if arguments.locked { Some(Arc::new(lock::read(file)?)) } else { None };
    let jobs = arguments.jobs.iter().map(JobName::new).collect();
    let shard = shard_of(arguments)?;
    Some(Options { jobs, shard, lock, ..how(&arguments.how, env) })
}

/// Returns the shard that is asked for. None where that can't be told: why is shown.
fn shard_of(arguments: &RunArguments) -> Option<Shard> {
    let Some(of) = arguments.shards else { return Some(arguments.shard.unwrap_or(Shard::WHOLE)) };
    let Some(index) = arguments.completion_index else {
        print::problem(&format!(
            "--shards {of} needs JOB_COMPLETION_INDEX, which Kubernetes sets in an Indexed Job; elsewhere say --shard I/{of}"
        ));
        return None;
    };
    let shard = Shard::new(index, of.get());
    if shard.is_none() {
        print::problem(&format!(
            "JOB_COMPLETION_INDEX is {index}, and of --shards {of} the last is {}: give the Job as many completions",
            of.get() - 1
        ));
    }
    shard
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

/// Writes or posts the report. Where that fails it is told, and the exit code stays that of the runs: what has landed has landed.
async fn deliver(to: &str, runs: Vec<RunEnd>, exit_code: Exit, env: &Env) {
    let report = Report { version: 1, tidegate: env!("CARGO_PKG_VERSION").to_owned(), exit_code, runs };
    let delivered = match Url::parse(to) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            run::post(&url, "--report", &report, Arc::clone(&env.clock)).await.map_err(|error| error.to_string())
        }
        _ => serde_json::to_vec_pretty(&report)
            .map_err(std::io::Error::from)
            .and_then(|text| write(Path::new(to), &text))
            .map_err(|error| format!("{to}: {error}")),
    };
    if let Err(error) = delivered {
        print::problem(&format!("the report can't be delivered to {error}"));
    }
}

/// Writes the metrics of the runs, and of what the ledgers say after them.
async fn count(path: &Path, pipelines: &[Pipeline], ends: &[RunEnd], state: &str, env: &Env) {
    let metrics = Metrics::default();
    for end in ends {
        metrics.ended(end);
    }
    let mut known = Vec::new();
    for pipeline in pipelines {
        known.push(Known::read(&Arc::new(pipeline.clone()), state, env).await);
    }
    let stands = pipelines.iter().zip(&known).map(|(pipeline, known)| {
        let end = ends.iter().find(|end| end.pipeline == pipeline.name);
        Stands { pipeline, known, end }
    });
    let text = metrics.render(&stands.collect::<Vec<_>>(), None);
    let written = text.map_err(std::io::Error::other).and_then(|text| write(path, text.as_bytes()));
    if let Err(error) = written {
        print::problem(&format!("the metrics can't be written to {}: {error}", path.display()));
    }
}

/// Writes a file so that nobody reads half of it.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tidegate-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
