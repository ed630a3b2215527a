//! A run as whoever started it sees it: it ends, one way or another.

use chrono::{DateTime, Utc};
use tracing::Instrument as _;

use super::panicked::caught;
use super::{BrokenOff, Env, Options, RunError, run};
use crate::model::{Exit, RunEnd, RunId};
use crate::pipeline::spec::Pipeline;

/// Makes a name for a run that begins `now`.
#[must_use]
pub fn new_id(now: DateTime<Utc>) -> RunId {
    RunId::new(format!("{}-{:08x}", now.format("%Y%m%dT%H%M%SZ"), rand::random::<u32>()))
}

/// Runs a pipeline once, and says how that ended. Whoever started it sends its hook, by [`super::notify`], once nobody waits for the run.
pub async fn attempt(pipeline: &Pipeline, options: &Options, env: &Env) -> RunEnd {
    let span = tracing::error_span!("run", pipeline = %pipeline.name, run = %options.run);
    async {
        let started = env.clock.now();
        tracing::info!(scheduled_for = options.scheduled_for.map(tracing::field::display), "run begins");
        let end = ended(pipeline, options, started, env, caught(Box::pin(run(pipeline, options, env))).await);
        tracing::info!(exit_code = end.exit_code.code(), error = end.first_error(), "run ended");
        end
    }
    .instrument(span)
    .await
}

fn ended(
    pipeline: &Pipeline,
    options: &Options,
    started: DateTime<Utc>,
    env: &Env,
    result: Result<crate::model::RunReport, BrokenOff>,
) -> RunEnd {
    let (exit_code, error, report) = match result {
        Ok(report) => (Exit::of(&report), None, Some(report)),
        Err(BrokenOff { error, report }) => (env.exit(&error), Some(error), report.map(|report| *report)),
    };
    RunEnd {
        pipeline: pipeline.name.clone(),
        run: options.run.clone(),
        asked: options.asked(pipeline),
        scheduled_for: options.scheduled_for,
        started,
        ended: env.clock.now(),
        exit_code,
        remedy: error.as_ref().and_then(RunError::remedy),
        error: error.as_ref().map(RunError::chain),
        report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_its_time_and_comes_once() {
        let now = "2026-01-01T02:03:04.5Z".parse().unwrap();
        let names = [new_id(now), new_id(now)].map(|name| name.to_string());
        assert!(names.iter().all(|name| name.starts_with("20260101T020304Z-") && name.len() == 25), "{names:?}");
        assert_ne!(names[0], names[1]);
    }
}
