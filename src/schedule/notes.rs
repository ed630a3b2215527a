//! What the ledgers are to remember of schedules, written one by one beside the daemon: a store that is slow holds up no firing.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ledger::{Ledger, Settled};
use crate::objects;

/// The longest that one note may take.
const LONGEST: Duration = Duration::from_secs(20);

/// Writes notes. One that can't be written is told: then an instant may be made up for that was settled, which finds nothing due.
pub(super) struct Notes {
    queue: Option<mpsc::UnboundedSender<(Ledger, Settled)>>,
    task: Option<JoinHandle<()>>,
}

impl Notes {
    pub(super) fn start() -> Self {
        let (queue, mut asked) = mpsc::unbounded_channel::<(Ledger, Settled)>();
        let task = tokio::spawn(async move {
            while let Some((ledger, settled)) = asked.recv().await {
                let pipeline = ledger.pipeline();
                match tokio::time::timeout(LONGEST, ledger.settle(&settled)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let error = objects::chain(&error);
                        tracing::warn!(%pipeline, error, "where the schedule stands can't be noted");
                    }
                    Err(_) => {
                        tracing::warn!(%pipeline, "where the schedule stands can't be noted: the store doesn't answer");
                    }
                }
            }
        });
        Self { queue: Some(queue), task: Some(task) }
    }

    pub(super) fn settle(&self, ledger: Ledger, settled: Settled) {
        if let Some(queue) = &self.queue {
            // The task ends only with the queue.
            let _ = queue.send((ledger, settled));
        }
    }

    /// Waits until all is written, or until `deadline`: an instant that wasn't noted may be made up for, which finds nothing due.
    pub(super) async fn close(&mut self, deadline: Instant) {
        self.queue = None;
        if let Some(task) = self.task.take()
            && tokio::time::timeout_at(deadline, task).await.is_err()
        {
            tracing::warn!("where schedules stand can't all be noted: the store doesn't answer, and the process ends");
        }
    }
}
