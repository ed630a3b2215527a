//! `tidegate test`: tries pipeline files against recorded answers.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::args::Output;
use super::super::{CliError, Exit, print};
use super::folder::{self, About};
use crate::model::JobName;
use crate::pipeline::spec::Pipeline;
use crate::run::Env;

/// What `test` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tidegate test pipelines/*.yaml
  tidegate test orders.yaml --update

Nothing is sent, and nothing lands: each job is read from the answers that `tidegate record` took down, with the instant of that time, and what would land \
is compared with what would have landed then. No secret needs to be there.

Exit codes: 0 all is as it was; 1 something differs, or fails; 2 a file or a recording can't be used.")]
pub(in super::super) struct TestArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only these jobs.
    #[arg(long = "job", value_name = "NAME")]
    jobs: Vec<String>,
    /// Take what would land now for what is to land.
    #[arg(long)]
    update: bool,
    /// The folder of the recording, of one file. Default: the file's name, with `.recording` for `.yaml`.
    #[arg(long, value_name = "DIR")]
    recording: Option<PathBuf>,
}

/// How a job fared.
enum Fared {
    /// What would land is what would have landed.
    Same(String),
    /// It differs so.
    Differs(Vec<String>),
    /// It differs, and is what is to land from now on.
    Updated(usize),
    /// Nothing would land.
    Failed(String),
    /// There is no such job in the recording.
    New,
}

/// Tries files, and tells of it.
pub(in super::super) async fn test(arguments: &TestArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    if arguments.recording.is_some() && arguments.files.len() > 1 {
        print::problem("--recording names the recording of one file: test them one by one");
        return Ok(Exit::Refused);
    }
    let (mut exit, mut told) = (Exit::Done, Vec::new());
    for file in &arguments.files {
        match tried(arguments, file, output, &env).await {
            Ok(jobs) => {
                let failed = jobs.iter().any(|(_, fared)| matches!(fared, Fared::Differs(_) | Fared::Failed(_)));
                exit = exit.max(if failed { Exit::NothingLanded } else { Exit::Done });
                if output == Output::Text {
                    print::text(&as_text(arguments, file, &jobs))?;
                }
                told.push(json!({"file": file, "jobs": jobs.iter().map(as_json).collect::<Vec<_>>()}));
            }
            Err(why) => {
                if !why.is_empty() {
                    print::problem(&why);
                }
                told.push(
                    json!({"file": file, "error": if why.is_empty() { "the file has mistakes" } else { why.as_str() }}),
                );
                exit = Exit::Refused;
            }
        }
    }
    if output == Output::Json {
        print::json(&told)?;
    }
    Ok(exit)
}

/// Tries the jobs of a file. An error is why it can't be tried, and empty where that has been said.
async fn tried(
    arguments: &TestArguments,
    file: &Path,
    output: Output,
    env: &Env,
) -> Result<Vec<(JobName, Fared)>, String> {
    if !file.is_file() {
        return Err(format!("{}: there is no such file", file.display()));
    }
    let recording = super::recording(file, arguments.recording.as_ref());
    let about = folder::about(&recording, file)?;
    let pipeline = super::load(file, &about.variables, output).ok_or_else(String::new)?;
    let named: Vec<JobName> = arguments.jobs.iter().map(JobName::new).collect();
    let wanted = |name: &JobName| named.is_empty() || named.contains(name);
    crate::run::chosen(&pipeline, &named).map_err(|error| format!("{}: {}", file.display(), error.chain()))?;
    if about.pipeline != pipeline.name {
        return Err(format!(
            "{} is a recording of the pipeline `{}`, and {} is `{}`: record again, or name another folder by --recording",
            recording.display(),
            about.pipeline,
            file.display(),
            pipeline.name
        ));
    }
    if let Some(missing) = named.iter().find(|name| !about.jobs.contains(*name)) {
        return Err(format!(
            "{} has nothing of the job `{missing}`: record it, or leave out --job",
            recording.display()
        ));
    }
    let mut fared = Vec::new();
    for name in about.jobs.iter().filter(|name| wanted(name)) {
        fared.push((name.clone(), job(&recording, &about, &pipeline, name, arguments.update, env).await?));
    }
    let new = super::jobs(&pipeline, &named).filter(|job| !about.jobs.contains(&job.name));
    fared.extend(new.map(|job| (job.name.clone(), Fared::New)));
    Ok(fared)
}

async fn job(
    recording: &Path,
    about: &About,
    pipeline: &Pipeline,
    name: &JobName,
    update: bool,
    env: &Env,
) -> Result<Fared, String> {
    let Some(job) = pipeline.job(name) else {
        return Ok(Fared::Failed("the file has no such job any more: record again".to_owned()));
    };
    let recorded = folder::job(recording, name)?;
    let now = match super::rehearse(pipeline, name, recorded.takes, about, env).await {
        Ok(now) => now,
        Err(error) => return Ok(Fared::Failed(error.told_of(job))),
    };
    let differences = recorded.landed.differences(&now);
    match differences.as_slice() {
        [] => Ok(Fared::Same(now.told())),
        _ if update => {
            folder::update(recording, name, &now)?;
            Ok(Fared::Updated(differences.len()))
        }
        _ => Ok(Fared::Differs(differences)),
    }
}

fn as_text(arguments: &TestArguments, file: &Path, jobs: &[(JobName, Fared)]) -> String {
    let mut out = String::new();
    for (name, fared) in jobs {
        let (sign, told) = match fared {
            Fared::Same(told) => ("ok", told.clone()),
            Fared::Differs(differences) => ("DIFFERS", print::counted(differences.len() as u64, "difference")),
            Fared::Updated(count) => ("updated", print::counted(*count as u64, "difference")),
            Fared::Failed(error) => ("FAILED", error.clone()),
            Fared::New => ("-", format!("isn't in the recording: `tidegate record {}`", print::word(file))),
        };
        out.push_str(&format!("{sign:<8} {}: {name}: {told}\n", file.display()));
        if let Fared::Differs(differences) = fared {
            out.extend(differences.iter().map(|difference| format!("           {difference}\n")));
        }
    }
    if jobs.iter().any(|(_, fared)| matches!(fared, Fared::Differs(_))) {
        let recording = super::typed(arguments.recording.as_ref());
        out.push_str(&format!("If it is meant: tidegate test {}{recording} --update\n", print::word(file)));
    }
    out
}

fn as_json((name, fared): &(JobName, Fared)) -> Value {
    match fared {
        Fared::Same(_) => json!({"job": name, "outcome": "same"}),
        Fared::Differs(differences) => json!({"job": name, "outcome": "differs", "differences": differences}),
        Fared::Updated(_) => json!({"job": name, "outcome": "updated"}),
        Fared::Failed(error) => json!({"job": name, "outcome": "failed", "error": error}),
        Fared::New => json!({"job": name, "outcome": "not_recorded"}),
    }
}
