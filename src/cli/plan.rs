//! `tidegate plan`: what a run would do.

use super::args::{Output, RunArguments};
use super::{CliError, Exit, load, print, run};
use crate::run::{self as runs, Env, PlannedJob};

/// The most slices of a job that are shown one by one.
const SLICES_SHOWN: usize = 12;

/// Prints the plans of pipeline files.
pub(super) async fn run(arguments: &RunArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.files, output) else { return Ok(Exit::Refused) };
    let (mut plans, mut refused) = (Vec::new(), false);
    for (pipeline, file) in pipelines.iter().zip(&arguments.files) {
        let options = match run::asked(arguments, file) {
            Ok(asked) => run::options(arguments, asked, &env),
            Err(why) => {
                print::problem(&why);
                return Ok(Exit::Refused);
            }
        };
        let planned = runs::plan(pipeline, &options, &env).await;
        refused |= planned.as_ref().is_ok_and(|plan| plan.iter().any(|job| job.refused));
        match planned {
            Ok(plan) if output == Output::Text => print::text(&text(&plan))?,
            Ok(plan) => plans.push(serde_json::json!({"pipeline": pipeline.name, "jobs": plan})),
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                return Ok(env.exit(&error));
            }
        }
    }
    if output == Output::Json {
        print::json(&plans)?;
    }
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

fn text(jobs: &[PlannedJob]) -> String {
    let mut out = String::new();
    for job in jobs {
        let due = match job.slices.len() {
            _ if !job.known => "slices not known yet".to_owned(),
            due => format!("{} due", print::counted(due as u64, "slice")),
        };
        out.push_str(&format!("{}: {due}\n", job.job));
        for note in &job.notes {
            out.push_str(&format!("  {}\n", note.replace('\n', "\n  ")));
        }
        for slice in job.slices.iter().take(SLICES_SHOWN) {
            let key = slice.key.as_ref().map(|key| format!("  {key}")).unwrap_or_default();
            out.push_str(&format!("  {}{key}\n    {}\n", slice.covers, slice.request));
        }
        if job.slices.len() > SLICES_SHOWN {
            out.push_str(&format!("  and {} more; `--output json` has them all\n", job.slices.len() - SLICES_SHOWN));
        }
    }
    out
}
