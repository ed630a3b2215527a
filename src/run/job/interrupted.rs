//! The end of a job in the middle of its slices.

use std::time::Duration;

use super::Runner;
use super::slice::SliceRun;

/// How long a run that is interrupted waits for slices that are being committed: most of its time is for throwing away (`end.rs`).
const COMMIT: Duration = Duration::from_millis(500);

impl Runner<'_> {
    /// Waits until the run is interrupted, and a moment for slices that are being committed: so the report has what landed.
    pub(super) async fn interrupted(&self, run: &SliceRun) {
        self.env.cancel.cancelled().await;
        // No further slice gets to its commit meanwhile.
        drop(tokio::time::timeout(COMMIT, run.committing.write()).await);
    }
}
