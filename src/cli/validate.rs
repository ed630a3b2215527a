//! `tidegate validate`: all mistakes of pipeline files.

use std::path::PathBuf;

use serde_json::json;

use super::args::Output;
use super::load::{self, Loaded};
use super::{CliError, Exit, print};
use crate::pipeline::check::Checked;
use crate::pipeline::load::{Diagnostic, Severity, diagnostic};

/// Checks files and prints what was found.
pub(super) fn run(files: &[PathBuf], output: Output) -> Result<Exit, CliError> {
    let mut exit = Exit::Done;
    let mut reports = Vec::new();
    for (at, path) in files.iter().enumerate() {
        let Loaded { source, checked } = load::file(path);
        let (found, jobs) = match checked {
            Ok(Checked { pipeline, warnings }) => (warnings, Some(pipeline.jobs.len())),
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
                    Some(jobs) => print::text(&format!("{}: fine, {}", source.name, counted(jobs, "job")))?,
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

/// Says how many mistakes and warnings there are.
fn tally(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    match found.len() - errors {
        0 => counted(errors, "mistake"),
        warnings => format!("{} and {}", counted(errors, "mistake"), counted(warnings, "warning")),
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
