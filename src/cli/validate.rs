//! `tidegate validate`: all mistakes of pipeline files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Output;
use super::load::{self, Loaded};
use super::{CliError, Exit, lock, print};
use crate::model::{PipelineName, counted};
use crate::pipeline::check::Checked;
use crate::pipeline::load::{Diagnostic, Severity, Span, diagnostic};
use crate::pipeline::spec::Pipeline;
use crate::run::{SchemaError, check_locked, unknown_names};

/// Checks files and prints what was found.
pub(super) fn run(files: &[PathBuf], locked: bool, output: Output) -> Result<Exit, CliError> {
    let mut exit = Exit::Done;
    let mut reports = Vec::new();
    let mut names: Vec<(PipelineName, &Path)> = Vec::new();
    for (at, path) in files.iter().enumerate() {
        let Loaded { source, checked } = load::file(path);
        let (found, jobs) = match checked {
            Ok(Checked { pipeline, mut warnings, advice }) => {
                warnings.extend(advice);
                warnings.extend(unknown(&pipeline, path));
                warnings.extend(absent(&pipeline));
                warnings.extend(namesake(&pipeline.name, path, &names));
                names.push((pipeline.name.clone(), path));
                match left(&pipeline, path, locked) {
                    Some(Err(left)) => {
                        exit = Exit::Refused;
                        warnings.push(left);
                        (warnings, None)
                    }
                    Some(Ok(())) if warnings.iter().any(|one| one.severity == Severity::Error) => {
                        exit = Exit::Refused;
                        (warnings, None)
                    }
                    Some(Ok(())) => (warnings, Some(pipeline.jobs.len())),
                    None => return Ok(Exit::Refused),
                }
            }
            Err(mistakes) => {
                exit = Exit::Refused;
                (mistakes, None)
            }
        };
        match output {
            Output::Json => reports.push(json!({
                "file": source.name, "valid": jobs.is_some(), "diagnostics": diagnostic::to_json(&found, &source),
            })),
            Output::Text => {
                if !found.is_empty() && at > 0 {
                    print::note("");
                }
                if !found.is_empty() {
                    print::note(&format!("{}\n", diagnostic::render(&found, &source, print::colour()).trim_end()));
                }
                match jobs {
                    Some(jobs) => print::text(&format!("{}: fine, {}", source.name, counted(jobs as u64, "job")))?,
                    None => print::note(&format!("{}: refused, {}", source.name, tally(&found))),
                }
            }
        }
    }
    if output == Output::Json {
        print::json(&reports)?;
    }
    Ok(exit)
}

/// Says that a file before this one, in the same folder, has the pipeline's name already: a daemon over the folder takes one of them only.
fn namesake(name: &PipelineName, file: &Path, before: &[(PipelineName, &Path)]) -> Option<Diagnostic> {
    let (_, other) = before.iter().find(|(taken, other)| taken == name && other.parent() == file.parent())?;
    let message =
        format!("the pipeline `{name}` is in {} already: `tidegate serve` takes only one of them", other.display());
    Some(Diagnostic::warning(Span::default(), message).help("give one of them another name, or remove it"))
}

/// Says which names the columns in the lock file beside a pipeline file don't have. What is wrong with the lock file is for those to
/// hear who ask for it.
fn unknown(pipeline: &Pipeline, file: &Path) -> Vec<Diagnostic> {
    let lock = lock::read(file).ok().filter(|lock| lock.pipeline == pipeline.name);
    lock.map(|lock| unknown_names(pipeline, &lock)).unwrap_or_default()
}

/// Names the files of `tls` that aren't there. Not for all who read a pipeline file: `k8s` prints it for another machine.
fn absent(pipeline: &Pipeline) -> Vec<Diagnostic> {
    let sources = pipeline.jobs.iter().map(|job| &job.source);
    let files = sources.flat_map(|source| {
        [("ca_file", &source.ca_file), ("client_cert", &source.client_cert), ("client_key", &source.client_key)]
    });
    let absent: BTreeSet<_> =
        files.filter_map(|(key, file)| Some((key, file.as_ref().filter(|file| !file.exists())?))).collect();
    let told = |(key, file): (&str, &PathBuf)| {
        let message = format!(
            "`tls.{key}` names {}, which isn't there: on this machine each run is going to fail",
            file.display()
        );
        Diagnostic::warning(Span::default(), message)
            .help("a path that doesn't begin with `/` begins at the folder of the pipeline file")
    };
    absent.into_iter().map(told).collect()
}

/// Compares a pipeline with its lock file, where that is asked for. None where that can't be read, which is shown.
fn left(pipeline: &Pipeline, file: &Path, locked: bool) -> Option<Result<(), Diagnostic>> {
    if !locked {
        return Some(Ok(()));
    }
    let compared = check_locked(pipeline, &lock::read(file).inspect_err(|why| print::problem(why)).ok()?);
    let told = |error: SchemaError| Diagnostic::error(Span::default(), error.to_string());
    Some(compared.map_err(|error| told(error).help("`tidegate schema diff` shows what the API answers")))
}

/// Says how many mistakes and warnings there are.
fn tally(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    match found.len() - errors {
        0 => counted(errors as u64, "mistake"),
        warnings => format!("{} and {}", counted(errors as u64, "mistake"), counted(warnings as u64, "warning")),
    }
}
