//! `tidegate pause` and `tidegate resume`: the switch that `tidegate serve` looks at before each run.

use std::sync::Arc;

use super::args::{Output, SwitchArguments};
use super::{CliError, Exit, load, print};
use crate::ledger::{Ledger, LedgerError, Pause};
use crate::model::PipelineName;
use crate::run::Env;

/// Pauses pipelines, or resumes them.
pub(super) async fn run(arguments: &SwitchArguments, paused: bool, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut done = Vec::new();
    for pipeline in &pipelines {
        if let Err(error) = switch(&pipeline.name, &arguments.state.state, paused, &env).await {
            print::problem(&format!("{}: {}", pipeline.name, print::chain(&error)));
            return Ok(Exit::NothingLanded);
        }
        done.push(serde_json::json!({ "pipeline": pipeline.name, "paused": paused }));
        if output == Output::Text {
            let how = if paused { "paused: no run on schedule until it is resumed" } else { "not paused" };
            print::text(&format!("{}: {how}", pipeline.name))?;
        }
    }
    if output == Output::Json {
        print::json(&done)?;
    }
    Ok(Exit::Done)
}

async fn switch(pipeline: &PipelineName, state: &str, paused: bool, env: &Env) -> Result<(), LedgerError> {
    let ledger = Ledger::open(state, pipeline.clone(), Arc::clone(&env.clock), &env.stores)?;
    if paused { ledger.pause(&Pause::new(env.clock.now())).await } else { ledger.resume().await }
}
