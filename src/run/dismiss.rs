//! Failed backfills that nobody wants any more: the ledger forgets them, under the lease.

use std::sync::Arc;

use super::choice::named;
use super::{Env, Options, RunError};
use crate::ledger::{Failure, Lane, Ledger, LedgerError, LedgerState, Record, RunLife, RunOutcome, RunSummary, Timing};
use crate::model::{Asked, JobName, Window};
use crate::pipeline::spec::Pipeline;

/// A failed backfill that is forgotten.
#[derive(Debug, Clone)]
pub struct Dismissed {
    /// The job.
    pub job: JobName,
    /// What failed.
    pub failure: Failure,
}

/// Why nothing was dismissed.
#[derive(Debug, thiserror::Error)]
pub enum DismissError {
    /// Another state is meant.
    #[error("there is no ledger of it in {state}, so there is nothing to dismiss: give the --state of the backfill")]
    NoLedger {
        /// The state.
        state: String,
    },
    /// No backfill that failed lies within the time that was asked for.
    #[error("no failed backfill lies within what was asked for, so there is nothing to dismiss{}", told(others))]
    Nothing {
        /// Those that failed all the same.
        others: Vec<Dismissed>,
    },
    /// It can't be done.
    #[error(transparent)]
    Run(#[from] RunError),
}

fn told(others: &[Dismissed]) -> String {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    if others.is_empty() { String::new() } else { format!("; what failed: {}", others.join("; ")) }
}

impl From<LedgerError> for DismissError {
    fn from(error: LedgerError) -> Self {
        Self::Run(error.into())
    }
}

/// Has the ledger forget failed backfills of the jobs in `options`, of all where none is named, that lie within `window`, or whenever they
/// were for: the page, `status` and the metrics tell of them no more. What they should have read isn't read, and a run that is due to read
/// it still does. Returns them.
///
/// # Errors
/// There is nothing to dismiss; an unknown job; the ledger, or its lease.
pub async fn dismiss(
    pipeline: &Pipeline,
    options: &Options,
    window: Option<Window>,
    env: &Env,
) -> Result<Vec<Dismissed>, DismissError> {
    named(pipeline, &options.jobs)?;
    let asked = Asked { jobs: options.jobs.clone(), window, ..Asked::new(Asked::DISMISS) };
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?
        .with_timing(Timing::of(options.lease_ttl))
        .asking(asked.clone());
    if !ledger.is_there().await? {
        return Err(DismissError::NoLedger { state: options.state.clone() });
    }
    // Nothing is written for nothing.
    let known = ledger.read_state().await?;
    if of(&known, &asked).is_empty() && !goes_on(&known, &asked) {
        return Err(DismissError::Nothing { others: of(&known, &Asked::new(Asked::DISMISS)) });
    }
    ledger.prove(&env.stores).await?;
    let writer = tokio::select! {
        writer = ledger.acquire(Lane::WHOLE, options.wait) => writer?,
        () = env.cancel.cancelled() => return Err(RunError::Interrupted.into()),
    };
    // One that died is noted as failed by the lease that was just taken.
    let dismissed = writer.state(|state| of(state, &asked));
    let done = RunSummary::bare(Asked::DISMISS, options.now, RunOutcome::Done, None);
    writer.append(vec![Record::Ran(done)]).await?;
    if let Err(error) = writer.release().await {
        // It is done, and the next run finds the lease free all the same, if a little later.
        tracing::warn!(pipeline = %pipeline.name, error = %error, "the lease can't be given back");
    }
    Ok(dismissed)
}

/// Returns the failed backfills that a dismissal is about.
fn of(state: &LedgerState, asked: &Asked) -> Vec<Dismissed> {
    let found = state.ends().dismissed_by(asked);
    found.map(|(job, failure)| Dismissed { job: job.clone(), failure: failure.clone() }).collect()
}

/// Tells whether a backfill that a dismissal is about has never said how it ended: it may have died, and the lease tells.
fn goes_on(state: &LedgerState, asked: &Asked) -> bool {
    let is_about = |of: &Asked| asked.dismisses(of) && of.jobs.iter().any(|job| asked.is_about(job));
    state.runs().any(|(run, life)| life == RunLife::Holds && run.asked.as_ref().is_some_and(is_about))
}

impl std::fmt::Display for Dismissed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(window) = &self.failure.of.asked.window else { return write!(f, "{}", self.job) };
        let at = |instant: chrono::DateTime<chrono::Utc>| instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        write!(f, "{}: the backfill from {} to {}", self.job, at(window.from), at(window.to))
    }
}
