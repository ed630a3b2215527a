//! `tidegate pause` and `tidegate resume`: the switch that `tidegate serve` looks at before each run.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::args::{Output, SwitchArguments};
use super::{CliError, Exit, load, print};
use crate::ledger::{Ledger, LedgerError, Pause, Settled};
use crate::pipeline::spec::Pipeline;
use crate::run::Env;
use crate::schedule::{Timetable, after_pause};

/// Pauses pipelines, or resumes them.
pub(super) async fn run(arguments: &SwitchArguments, paused: bool, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut done = Vec::new();
    let state = arguments.state.state.as_str();
    for pipeline in &pipelines {
        match switch(pipeline, state, paused, &env).await {
            Ok(true) => {}
            Ok(false) => {
                print::problem(&format!(
                    "{}: there is no ledger of it in {state}, so nothing was switched: give the --state of `tidegate serve`",
                    pipeline.name
                ));
                return Ok(Exit::Refused);
            }
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, print::chain(&error)));
                return Ok(Exit::NothingLanded);
            }
        }
        done.push(serde_json::json!({ "pipeline": pipeline.name, "paused": paused }));
        if output == Output::Text {
            let how = if paused {
                "paused: no run on schedule until it is resumed"
            } else {
                "resumed: it runs on its schedule"
            };
            print::done(print::text(&format!("{}: {how}", pipeline.name)));
        }
    }
    if output == Output::Json {
        print::done(print::json(&done));
    }
    Ok(Exit::Done)
}

/// Switches a pipeline; false where there is no ledger of it: another state is meant.
async fn switch(pipeline: &Pipeline, state: &str, paused: bool, env: &Env) -> Result<bool, LedgerError> {
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    if !ledger.is_there().await? {
        return Ok(false);
    }
    let now = env.clock.now();
    if paused {
        ledger.pause(&Pause::new(now)).await?;
        return Ok(true);
    }
    if let Some(settled) = settled(&ledger, pipeline, now).await? {
        ledger.settle(&settled).await?;
    }
    ledger.resume().await?;
    Ok(true)
}

/// Returns what the ledger is to remember once the pause ends: no daemon may have seen what came meanwhile.
async fn settled(ledger: &Ledger, pipeline: &Pipeline, now: DateTime<Utc>) -> Result<Option<Settled>, LedgerError> {
    let (Some(pause), Some(noted)) = (ledger.paused().await?, ledger.settled().await?) else { return Ok(None) };
    let schedule = Timetable::known_as(pipeline);
    // By another schedule nothing is made up for anyway.
    let same = noted.schedule.as_ref().is_none_or(|noted| *noted == schedule);
    let table = Timetable::of(pipeline).filter(|_| same);
    let until = table.and_then(|table| after_pause(noted.until, pause.at, now, &table));
    Ok(until.map(|until| Settled { until, schedule: Some(schedule) }))
}
