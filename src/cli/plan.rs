//! `tidegate plan`: what a run would do.

use super::args::{Output, RunArguments};
use super::{CliError, Exit, load, print, run};
use crate::run::{self as runs, Env, Options, PlannedJob, Reads};

/// The most slices of a job that are shown one by one.
const SLICES_SHOWN: usize = 12;

/// Prints the plans of pipeline files, of the slices that `reads` says: of all together no more than `most` slices that land, if that is given.
pub(super) async fn run(
    arguments: &RunArguments,
    reads: Reads,
    most: Option<u64>,
    output: Output,
    env: Env,
) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.files, output) else { return Ok(Exit::Refused) };
    let (mut plans, mut refused, mut left) = (Vec::new(), false, most);
    for (pipeline, file) in pipelines.iter().zip(&arguments.files) {
        let options = match run::asked(arguments, file) {
            Ok(asked) => Options { reads, ..run::options(arguments, asked, &env) },
            Err(why) => {
                print::problem(&why);
                return Ok(Exit::Refused);
            }
        };
        let mut planned = runs::plan(pipeline, &options, &env).await;
        if let (Ok(jobs), Some(left)) = (&mut planned, &mut left) {
            for job in jobs {
                cut(job, left);
            }
        }
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

/// Leaves the slices that a run doesn't begin any more once it has begun `left`, which becomes what is left for others. A parent that is
/// read whole is none of them.
fn cut(job: &mut PlannedJob, left: &mut u64) {
    let due = job.slices.iter().filter(|slice| slice.slice.is_some()).count() as u64;
    if due > *left {
        let mut landing = 0;
        job.slices.retain(|slice| {
            landing += u64::from(slice.slice.is_some());
            slice.slice.is_none() || landing <= *left
        });
        job.notes.push(format!(
            "{} due, not begun within the limit: for the next run",
            print::counted(due - *left, "more slice")
        ));
    }
    *left = left.saturating_sub(due);
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
