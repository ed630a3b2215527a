//! `tidegate record`: takes an API's answers down.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use clap::Args;
use serde_json::json;

use super::super::args::{Output, StateArgument, instant};
use super::super::{CliError, Exit, load, print};
use super::folder::{self, About, Recorded};
use super::lookup::Noting;
use crate::extract::auth::Redactor;
use crate::extract::http::{MOST_RECORDED, Recorder, Tape};
use crate::model::JobName;
use crate::pipeline::load::Source;
use crate::pipeline::spec::{Job, Pipeline, Slicing};
use crate::run::{Env, PreviewOptions, chosen, preview};

/// What `record` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tidegate record orders.yaml
  tidegate record orders.yaml --job orders --all

The newest slice of each job is read, as `preview` reads it: the first pages of it, or all of them. Nothing lands, and no row is sent.

The answers are kept as the API gave them, but for credentials, which are taken out of them: look through the folder before you commit it. From then on \
`tidegate test orders.yaml` tries the file against them, and sends nothing.")]
pub(in super::super) struct RecordArguments {
    /// The pipeline file.
    file: PathBuf,
    /// Only these jobs. The recording then has no others.
    #[arg(long = "job", value_name = "NAME")]
    jobs: Vec<String>,
    /// How many rows of a job are enough. Pages are kept whole.
    #[arg(long, default_value = "100", value_name = "N", conflicts_with = "all")]
    rows: NonZeroU64,
    /// Read each slice to its end, which shows whether all rows came.
    #[arg(long)]
    all: bool,
    /// The folder of the recording. One that is there is replaced. Default: the file's name, with `.recording` for `.yaml`.
    #[arg(long, value_name = "DIR")]
    recording: Option<PathBuf>,
    /// The instant to plan with, RFC 3339. Default: now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<DateTime<Utc>>,
    /// Send a credential though the server refused it in the last five minutes, such as for an account that was unlocked.
    #[arg(long)]
    retry_refused: bool,
    #[command(flatten)]
    state: StateArgument,
}

/// Records the jobs of a file, and tells of it.
pub(in super::super) async fn record(arguments: &RecordArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let file = &arguments.file;
    let folder = super::recording(file, arguments.recording.as_ref());
    let lookup = Noting::new(load::environment(file));
    let Some(pipeline) = load::pipeline_with(file, &lookup, output) else { return Ok(Exit::Refused) };
    let named: Vec<JobName> = arguments.jobs.iter().map(JobName::new).collect();
    if let Err(error) = chosen(&pipeline, &named) {
        return Ok(refused(&error.chain()));
    }
    if let Err(message) = folder::may_write(&folder) {
        return Ok(refused(&message));
    }
    let now = arguments.now.unwrap_or_else(|| env.clock.now().trunc_subsecs(0));
    let rows = (!arguments.all).then_some(arguments.rows.get());
    // Without its text nothing tells which variables are secrets.
    let Ok(Source { text, .. }) = load::source(file) else {
        return Ok(refused(&format!("{} was changed while it was read: try again", file.display())));
    };
    let known = match env.sources.secrets(&pipeline) {
        Ok(known) => known.secrets(),
        Err(error) => return Ok(refused(&error.chain())),
    };
    let secrets = Redactor::for_good([&known[..], &lookup.secrets(&text)].concat());
    let variables = lookup.variables(&text, &known, &secrets);
    let mut about = About::new(pipeline.name.clone(), now, rows, variables);
    let Some(played) = super::load(file, &about.variables, output) else {
        return Ok(refused(
            "without the values of its secrets the file can't be loaded, so `tidegate test` couldn't try it",
        ));
    };
    let options = super::options(now, rows, &arguments.state.state, arguments.retry_refused);
    let jobs: Vec<&Job> = super::jobs(&pipeline, &named).collect();
    let recorded = match all((&pipeline, &played), &jobs, &secrets, (&options, &about), &env).await {
        Ok(recorded) => recorded,
        Err(Failed { job, told, exit }) => {
            print::problem(&format!("{job}: {told}"));
            return Ok(exit);
        }
    };
    if recorded.is_empty() {
        return Ok(refused("no job of these lands rows, so there is nothing to record"));
    }
    about.jobs = recorded.iter().map(|(name, _)| name.clone()).collect();
    match folder::write(&folder, &about, &recorded) {
        Ok(size) if output == Output::Json => print::json(&as_json(&folder, size, &recorded))?,
        Ok(size) => print::text(&as_text(arguments, &folder, size, &pipeline, &recorded))?,
        Err(message) => return Ok(refused(&message)),
    }
    Ok(Exit::Done)
}

/// Why a job can't be recorded.
struct Failed {
    job: JobName,
    told: String,
    exit: Exit,
}

/// Records jobs, one after the other, with one session for all; and then plays what was recorded, which is what `test` is to find: without
/// credentials the answers may be others.
async fn all(
    (pipeline, played): (&Pipeline, &Pipeline),
    jobs: &[&Job],
    secrets: &Redactor,
    (options, about): (&PreviewOptions, &About),
    env: &Env,
) -> Result<Vec<(JobName, Recorded)>, Failed> {
    let recorder = Arc::new(Recorder::default());
    let taped = super::on(Tape::Recording(Arc::clone(&recorder)), env);
    let mut ranges = Vec::new();
    for job in jobs {
        let from = recorder.count();
        if let Err(error) = preview(pipeline, &job.name, options, &taped).await {
            return Err(Failed { job: job.name.clone(), told: error.told_of(job), exit: env.exit(&error) });
        }
        if !recorder.is_whole() {
            let told = format!(
                "the answers of the jobs so far have more than {}, the most that a recording holds: read fewer rows (--rows), or fewer jobs (--job)",
                print::size(MOST_RECORDED)
            );
            return Err(Failed { job: job.name.clone(), told, exit: Exit::Refused });
        }
        ranges.push(from..recorder.count());
    }
    secrets.know(&recorder.secrets());
    let mut done = Vec::new();
    for (job, range) in jobs.iter().zip(ranges) {
        let failed = |told: String| Failed { job: job.name.clone(), told, exit: Exit::Refused };
        let takes = recorder.takes(range, secrets).map_err(|request| {
            failed(format!("{request}: the answer is no text, and holds a credential, so it can't be kept"))
        })?;
        let landed = super::rehearse(played, &job.name, takes.clone(), about, env).await;
        let landed = landed.map_err(|error| {
            failed(format!(
                "what was recorded can't be played with `[redacted]` in place of its credentials, and of the values of variables that requests carry: if \
                 one of them stands in the rows, or in a path, by chance, use another value to record: {}",
                error.told_of(job)
            ))
        })?;
        done.push((job.name.clone(), Recorded { takes, landed }));
    }
    Ok(done)
}

fn refused(message: &str) -> Exit {
    print::problem(message);
    Exit::Refused
}

fn as_json(folder: &Path, size: u64, recorded: &[(JobName, Recorded)]) -> serde_json::Value {
    let job = |(name, recorded): &(JobName, Recorded)| {
        json!({
            "job": name, "answers": recorded.takes.len(), "rows": recorded.landed.rows.len(),
            "reconciliation": recorded.landed.about["reconciliation"],
        })
    };
    json!({"recording": folder, "bytes": size, "jobs": recorded.iter().map(job).collect::<Vec<_>>()})
}

fn as_text(
    arguments: &RecordArguments,
    folder: &Path,
    size: u64,
    pipeline: &Pipeline,
    recorded: &[(JobName, Recorded)],
) -> String {
    let mut table = print::table(&["job", "#answers", "would land"]);
    for (name, recorded) in recorded {
        let answers = print::count(recorded.takes.len() as u64);
        let windows = pipeline.job(name).is_some_and(|job| matches!(job.slicing, Slicing::Window(_)));
        let is_empty = recorded.landed.about["counts"]["received"].is_null();
        let hint = if windows && is_empty { "; --now chooses an earlier slice" } else { "" };
        table.add_row([name.to_string(), answers, format!("{}{hint}", recorded.landed.told())]);
    }
    format!(
        "{table}\n\n{} is written ({}). The answers are in it as the API gave them, but for credentials: look through it before you commit \
         it. Then:\n\n  tidegate test {}{}",
        folder.display(),
        print::size(size),
        print::word(&arguments.file),
        super::typed(arguments.recording.as_ref())
    )
}
