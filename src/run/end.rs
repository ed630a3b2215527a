//! The end of a run: what didn't come to its end is thrown away, the ledger is told, and the lease given back.

use std::time::Duration;

use super::{RunError, World};
use crate::ledger::{LeaseEvent, LedgerError, Record, RunSummary, Writer};
use crate::pipeline::spec::Pipeline;

/// How long a run may take to throw away what it can't finish: less than it is given for that (`schedule/drain.rs`).
const THROW_AWAY: Duration = Duration::from_secs(4);

/// Says in the ledger what a run did, and gives the lease back.
pub(super) async fn release(pipeline: &Pipeline, writer: Writer, summary: RunSummary) {
    let ended = match writer.append(vec![Record::Ran(summary)]).await {
        Ok(()) => writer.release().await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        // What has landed has landed, and the next run finds the lease free all the same, if a little later.
        tracing::warn!(pipeline = %pipeline.name, error = %RunError::from(error).chain(), "the lease can't be given back");
    }
}

impl World {
    /// Throws away what was staged in buckets of slices that didn't come to their end, in the time that a process still has which is told
    /// to end. They stay begun, so that the next run reads them as of the same instant; what isn't done by then it does.
    pub(super) async fn throw_away(&self) {
        let thrown = async {
            self.data.sets().end_uploads().await;
            if self.writer.state(|state| state.all_slices().any(|(_, slice)| !slice.staged.is_empty())) {
                // What was asked of the ledger before is written by then: a slice whose publish is among it keeps what it staged.
                self.writer.append(vec![Record::Lease(LeaseEvent::Renewed)]).await?;
                self.writer.unstage(&self.data).await?;
            }
            Ok::<_, LedgerError>(())
        };
        let why = match tokio::time::timeout(THROW_AWAY, thrown).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => RunError::from(error).chain(),
            Err(_elapsed) => format!("it takes longer than {} s", THROW_AWAY.as_secs()),
        };
        tracing::warn!(error = %why, "uploads of slices that didn't end can't all be aborted now: the next run does it");
    }
}
