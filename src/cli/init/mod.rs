//! `tidegate init`: a pipeline file to begin with.

mod answer;
mod draft;
mod paging;
mod target;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use self::answer::Answer;
use self::draft::Draft;
use self::target::Target;
use super::args::Output;
use super::{CliError, Exit, load, print};
use crate::model::{JobName, counted};
use crate::pipeline::check::{self, Checked};
use crate::pipeline::load::{Environment, Source};
use crate::run::{Env, probe};

/// What `init` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tidegate init
  tidegate init 'https://api.example.com/v1/orders?limit=100' --header 'Authorization: Bearer ${TOKEN}'

Single quotes keep ${TOKEN} for the file: its value comes from the environment, here and in each run.")]
pub(super) struct InitArguments {
    /// A list of the API: all of its URL, with the parameters of a first page. One GET request is sent there.
    ///
    /// The file says what its answer shows: where the records are, what tells them apart, how to ask for the next page, how many
    /// there are. Without a URL nothing is sent, and the file is one to change.
    url: Option<String>,
    /// Where to write the file; `-` is the standard output. A file that is there stays as it is. Default: the pipeline's name, `.yaml`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The pipeline's name. Default: a part of the host's.
    #[arg(long, value_name = "NAME", requires = "url")]
    name: Option<String>,
    /// A header, such as 'Authorization: Bearer ${TOKEN}'. May be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "url")]
    headers: Vec<String>,
    /// A user and a password, for HTTP Basic.
    #[arg(long, value_name = "USER:${PASSWORD}", requires = "url")]
    basic: Option<String>,
    /// A PEM file of the certificate to trust, where the system doesn't.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
}

/// Writes the file, and tells what it says.
pub(super) async fn run(arguments: &InitArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let target = match arguments.url.as_deref().map(|url| Target::new(url, arguments)).transpose() {
        Ok(target) => target,
        Err(message) => return Ok(refused(&message)),
    };
    let name = target.as_ref().map_or("pipeline", |target| target.name.as_str());
    let file = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.yaml")));
    if !is_output(&file) && file.exists() {
        return Ok(refused(&taken(&file)));
    }
    let Some(target) = target else {
        return write(&file, draft::STARTER, &begun(&file), &json!({}), output);
    };
    match learn(&target, &file, output, &env).await {
        Ok(draft) => write(&file, &draft.text, &learnt(&draft, &target, &file), &as_json(&draft), output),
        Err(exit) => Ok(exit),
    }
}

fn refused(message: &str) -> Exit {
    print::problem(message);
    Exit::Refused
}

fn bug(error: &minijinja::Error) -> Exit {
    print::problem(&format!("this is a bug of Tidegate: the file can't be made: {error}"));
    Exit::Bug
}

fn is_output(file: &Path) -> bool {
    file == Path::new("-")
}

fn taken(file: &Path) -> String {
    format!("{} is there already, and stays as it is: name another file by --out", file.display())
}

/// Asks once, and writes a draft by the answer. Where there is none, what is wrong has been said.
async fn learn(target: &Target, file: &Path, output: Output, env: &Env) -> Result<Draft, Exit> {
    let asks = match draft::to_ask(target) {
        Ok(asks) => asks,
        Err(error) => return Err(bug(&error)),
    };
    let source = Source { name: file.display().to_string(), text: asks };
    let folder = if is_output(file) { Path::new("") } else { file.parent().unwrap_or(Path::new("")) };
    let mut pipeline = match check::load(&source, &Environment::new(folder)) {
        Ok(Checked { pipeline, .. }) => pipeline,
        Err(mistakes) => {
            load::show(&mistakes, &source, output);
            return Err(Exit::Refused);
        }
    };
    pipeline
        .jobs
        .iter_mut()
        .for_each(|job| job.source.ca_file = target.ca_file.as_ref().map(|ca_file| folder.join(ca_file)));
    let job = JobName::new(&target.job);
    let probed = match probe(&pipeline, &job, env.clock.now(), env).await {
        Ok(probed) => probed,
        Err(error) => {
            print::problem(&error.chain());
            return Err(env.exit(&error));
        }
    };
    let answer = Answer::new(&target.query, &probed.headers, &probed.body);
    draft::of(target, &answer, &probed.request).map_err(|error| bug(&error))
}

fn write(file: &Path, text: &str, told: &str, found: &Value, output: Output) -> Result<Exit, CliError> {
    if is_output(file) {
        print::text(text)?;
        print::note(told);
        return Ok(Exit::Done);
    }
    let written = OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut open| {
        // Half of a file would look like one that is there already.
        open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).inspect_err(|_| drop(fs::remove_file(file)))
    });
    match written {
        Ok(()) if output == Output::Json => {
            print::json(&json!({"file": file, "text": text, "found": found}))?;
            Ok(Exit::Done)
        }
        Ok(()) => {
            print::text(told)?;
            Ok(Exit::Done)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(refused(&taken(file))),
        Err(error) => Ok(refused(&format!("{} can't be written: {error}", file.display()))),
    }
}

/// Tells of a file that was written without an answer.
fn begun(file: &Path) -> String {
    let file = print::word(file);
    format!("{file} is there to be changed. Then:\n\n  tidegate validate {file}")
}

/// Tells of what was learnt.
fn learnt(draft: &Draft, target: &Target, file: &Path) -> String {
    let Draft { records, rows, columns, key, paging, checks, .. } = draft;
    let (rows, columns) = (counted(*rows, "record"), counted(*columns as u64, "field"));
    let key = key.as_ref().map_or("not found".to_owned(), |key| format!("{key}, which differs in each"));
    let mut told = format!(
        "records    {records}: {rows} of {columns}\nkey        {key}\npaginate   {}\n           {}\n",
        paging.yaml, paging.because
    );
    for check in checks {
        told.push_str(&format!("\nCHECK {check}"));
    }
    if !checks.is_empty() {
        told.push('\n');
    }
    if !is_output(file) {
        let (file, job) = (print::word(file), &target.job);
        told.push_str(&format!(
            "\n{file} is written. Read it, then:\n\n  tidegate preview {file} {job}\n  tidegate run {file}"
        ));
    }
    told
}

fn as_json(draft: &Draft) -> Value {
    let Draft { records, rows, columns, key, paging, checks, .. } = draft;
    json!({
        "records": records, "rows": rows, "fields": columns, "key": key, "paginate": paging.yaml, "because": paging.because, "check": checks,
    })
}
