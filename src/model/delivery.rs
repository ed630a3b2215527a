//! What became of rows that a sink sends.

use schemars::JsonSchema;
use serde::Serialize;

use super::{JobName, Remedy, SinkName};

/// Where the rows of an outbox went. `rows = sent + found + refused + known + left`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeliveryCounts {
    /// Rows of the slices that weren't known to be done.
    pub rows: u64,
    /// Rows that were sent.
    pub sent: u64,
    /// Rows that were there already, as `find` or `exists` says.
    pub found: u64,
    /// Rows that the server refused for good; they are in quarantine.
    pub refused: u64,
    /// Rows whose key had ended before: in another slice, another generation, or another row.
    pub known: u64,
    /// Rows that are still to be sent.
    pub left: u64,
    /// Rows that were sent once more though an earlier request may have been heard: so many may be there twice.
    pub maybe_sent: u64,
}

impl DeliveryCounts {
    /// Tells whether every row is accounted for.
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        self.rows == self.sent + self.found + self.refused + self.known + self.left
    }
}

/// One delivery of one sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeliveryReport {
    /// The job.
    pub job: JobName,
    /// The sink.
    pub sink: SinkName,
    /// Where the rows went.
    #[serde(flatten)]
    pub counts: DeliveryCounts,
    /// Rows that the server has refused for good, now or before, and that nobody has sent again since (`tidegate deliver --refused`); absent
    /// where the delivery ended before it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_so_far: Option<u64>,
    /// Rows that were refused before, were to be sent again (`tidegate deliver --refused`), and that no slice has any more: they aren't
    /// sent, and stay in quarantine.
    #[serde(skip_serializing_if = "is_zero")]
    pub gone: u64,
    /// Why the delivery stopped before its end. Where rows are left without a reason, the run was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against that, where delivering again alone doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl DeliveryReport {
    /// Tells whether rows are left since the run was interrupted.
    #[must_use]
    pub const fn is_interrupted(&self) -> bool {
        self.error.is_none() && self.counts.left > 0
    }

    /// Says why the delivery stopped before its end, if it did: `job: sink NAME: why`.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.error.as_ref().map(|error| format!("{}: sink {}: {error}", self.job, self.sink))
    }
}

/// How far a sink that sends has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeliveryStatus {
    /// The job.
    pub job: JobName,
    /// The sink.
    pub sink: SinkName,
    /// Rows that have landed and are still to be sent.
    pub pending: u64,
    /// Rows that are there: sent, or found.
    pub sent: u64,
    /// Rows that the server refused for good.
    pub refused: u64,
    /// Rows that were sent once more though an earlier request may have been heard.
    pub maybe_sent: u64,
    /// Rows of requests of which it isn't known whether they were heard; they are among the pending ones.
    pub in_doubt: u64,
}
