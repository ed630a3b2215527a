//! `tidegate validate`: all mistakes of pipeline files.

use std::path::PathBuf;

use serde_json::json;

use super::args::Output;
use super::load::{self, Loaded};
use super::{CliError, Exit, print};
use crate::pipeline::check::Checked;
use crate::pipeline::load::diagnostic;

/// Checks files and prints what was found.
pub(super) fn run(files: &[PathBuf], output: Output) -> Result<Exit, CliError> {
    let mut exit = Exit::Done;
    let mut reports = Vec::new();
    for path in files {
        let Loaded { source, checked } = load::file(path);
        let (found, summary) = match checked {
            Ok(Checked { pipeline, warnings }) => {
                let jobs = pipeline.jobs.len();
                let summary = format!("{}: fine, {jobs} job{}", source.name, if jobs == 1 { "" } else { "s" });
                (warnings, Some(summary))
            }
            Err(mistakes) => {
                exit = Exit::Refused;
                (mistakes, None)
            }
        };
        match output {
            Output::Json => reports.push(json!({
                "file": source.name, "valid": summary.is_some(), "diagnostics": diagnostic::to_json(&found, &source),
            })),
            Output::Text => {
                if !found.is_empty() {
                    print::note(&diagnostic::render(&found, &source, print::colour()));
                }
                if let Some(summary) = summary {
                    print::text(&summary)?;
                }
            }
        }
    }
    if output == Output::Json {
        print::json(&reports)?;
    }
    Ok(exit)
}
