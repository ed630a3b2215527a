//! `tidegate backfill`: read windows of the past, or forget that it failed.

use serde_json::{Value, json};

use super::args::{BackfillArguments, Output};
use super::{CliError, Exit, load, print, run};
use crate::model::{JobName, Window};
use crate::run::{Backfill, DismissError, Dismissed, Env, Options, Reads, dismiss};

/// Reads the windows of pipeline files that cover a time, or dismisses what failed of that.
pub(super) async fn run(arguments: &BackfillArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let window = arguments.from.zip(arguments.to).map(|(from, to)| Window { from, to });
    if window.is_some_and(|window| window.from >= window.to) {
        print::problem("--from must be earlier than --to");
        return Ok(Exit::Refused);
    }
    match window {
        Some(window) if !arguments.dismiss => {
            let backfill = Backfill { window, missing: arguments.missing };
            run::bounded(&arguments.run, &arguments.bounds, Reads::Backfill(backfill), output, env).await
        }
        window => dismissed(arguments, window, output, &env).await,
    }
}

/// Dismisses failed backfills of pipeline files, within a window or whenever they were for.
async fn dismissed(
    arguments: &BackfillArguments,
    window: Option<Window>,
    output: Output,
    env: &Env,
) -> Result<Exit, CliError> {
    if arguments.bounds.report.is_some() || arguments.bounds.metrics_file.is_some() {
        print::problem(
            "--dismiss runs nothing, so there is nothing to tell in a report or in metrics: leave out --report and --metrics-file, \
             or TIDEGATE_REPORT and TIDEGATE_METRICS_FILE where the environment sets them",
        );
        return Ok(Exit::Refused);
    }
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.run.files, output) else { return Ok(Exit::Refused) };
    let jobs: Vec<JobName> = arguments.run.jobs.iter().map(JobName::new).collect();
    let options = Options { jobs, ..run::how(&arguments.run.how, env) };
    let (mut all, mut exit) = (Vec::<Value>::new(), Exit::Done);
    for pipeline in &pipelines {
        let ended = match dismiss(pipeline, &options, window, env).await {
            Ok(dismissed) if output == Output::Text => {
                print::done(print::text(&text(pipeline.name.as_str(), &dismissed)));
                Exit::Done
            }
            Ok(dismissed) => {
                let of = |one: &Dismissed| json!({"job": one.job, "failure": one.failure});
                all.push(json!({"pipeline": pipeline.name, "dismissed": dismissed.iter().map(of).collect::<Vec<_>>()}));
                Exit::Done
            }
            Err(DismissError::Run(error)) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                env.exit(&error)
            }
            Err(nothing) => {
                print::problem(&format!("{}: {nothing}", pipeline.name));
                Exit::Refused
            }
        };
        exit = exit.and(ended);
        if ended.is_interruption() {
            break;
        }
    }
    if output == Output::Json {
        print::done(print::json(&all));
    }
    Ok(exit)
}

fn text(pipeline: &str, dismissed: &[Dismissed]) -> String {
    if dismissed.is_empty() {
        return format!("{pipeline}: the backfill that was on meanwhile did well, so there is nothing to dismiss");
    }
    let lines: Vec<String> = dismissed.iter().map(|one| format!("{pipeline}: dismissed: {one}")).collect();
    lines.join("\n")
}
