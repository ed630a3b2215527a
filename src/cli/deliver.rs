//! `tidegate deliver`: send what has landed for sinks that send.

use super::args::{DeliverArguments, Output};
use super::{CliError, Exit, load, print, report, run};
use crate::model::JobName;
use crate::run::{self as runs, Env, Options, Reads};

/// Delivers what waits of pipeline files, one after the other.
pub(super) async fn run(arguments: &DeliverArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut exit: Option<Exit> = None;
    let mut reports = Vec::new();
    for pipeline in &pipelines {
        let ended = match runs::deliver(pipeline, &options(arguments, &env), arguments.refused, &env).await {
            Ok(report) => {
                if output == Output::Text {
                    print::text(&report::delivered(&report))?;
                }
                let ended = Exit::of(&report);
                reports.push(report);
                ended
            }
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                run::exit_of(&error)
            }
        };
        exit = Some(exit.map_or(ended, |exit| exit.and(ended)));
        if ended == Exit::Interrupted {
            break;
        }
    }
    if output == Output::Json {
        print::json(&reports)?;
    }
    Ok(exit.unwrap_or(Exit::Done))
}

fn options(arguments: &DeliverArguments, env: &Env) -> Options {
    Options {
        state: arguments.state.state.clone(),
        lease_ttl: arguments.lease_ttl,
        now: env.clock.now(),
        jobs: arguments.jobs.iter().map(JobName::new).collect(),
        wait: !arguments.no_wait,
        allow_shrink: false,
        retry_refused: arguments.retry_refused,
        accept: None,
        lock: None,
        reads: Reads::Due,
        allow_future: false,
    }
}
