//! The report of a run: what was due, what landed, and numbers that add up.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{DeliveryReport, FanoutKey, JobName, PipelineName, Reconciliation, SinkName, SliceId};

/// Where a slice's rows went. `received = decoded + quarantined + outside_window + deduplicated + read_again`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Rows that the server sent.
    pub received: u64,
    /// Rows that went on to the transform.
    pub decoded: u64,
    /// Rows that didn't fit and lie in quarantine.
    pub quarantined: u64,
    /// Rows whose own time lies outside the window.
    pub outside_window: u64,
    /// Rows of whose key a later one was received.
    pub deduplicated: u64,
    /// Rows of earlier passes over a slice that was read again (`on_mismatch: refetch`): a later pass has them, or they were gone.
    pub read_again: u64,
    /// Rows that came out of the transform.
    pub transformed: u64,
    /// Values of decoded rows that didn't fit and are null (`bad_rows: 'null'`).
    pub nulled_values: u64,
    /// Fields of decoded rows that the schema doesn't have and that were left out (`contract: discard`).
    pub discarded_fields: u64,
}

impl RowCounts {
    /// Tells whether every row received is accounted for.
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        let landed = self.decoded + self.quarantined + self.outside_window;
        self.received == landed + self.deduplicated + self.read_again
    }
}

impl std::ops::AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.decoded += other.decoded;
        self.quarantined += other.quarantined;
        self.outside_window += other.outside_window;
        self.deduplicated += other.deduplicated;
        self.read_again += other.read_again;
        self.transformed += other.transformed;
        self.nulled_values += other.nulled_values;
        self.discarded_fields += other.discarded_fields;
    }
}

/// What one sink did with the rows of the transform. `transformed = landed + filtered`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SinkCounts {
    /// Rows in files.
    pub landed: u64,
    /// Rows that the sink's `where` left out.
    pub filtered: u64,
    /// Files written.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
}

impl std::ops::AddAssign for SinkCounts {
    fn add_assign(&mut self, other: Self) {
        self.landed += other.landed;
        self.filtered += other.filtered;
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// How a slice ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum SliceOutcome {
    /// Its rows are committed.
    Landed,
    /// It was read again, and its files have the digests of those that have landed: nothing was published.
    Unchanged,
    /// It did not land.
    Failed {
        /// What failed, why, and what to do.
        error: String,
    },
}

/// What came over the wire for a slice; for one that failed, until then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// Pages that were answered.
    pub pages: u64,
    /// Rows that the server put on those of them that could be read.
    pub server_rows: u64,
    /// Bytes of bodies, decompressed, those of child requests included.
    pub bytes: u64,
    /// Tries beyond the first of each page.
    pub retries: u64,
}

/// One slice of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SliceReport {
    /// The slice's identity.
    pub slice: SliceId,
    /// The fan-out value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The generation that landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: SliceOutcome,
    /// What came over the wire.
    #[serde(flatten)]
    pub fetched: Fetched,
    /// Where its rows went.
    pub rows: RowCounts,
    /// What each sink did.
    pub sinks: BTreeMap<SinkName, SinkCounts>,
    /// What the reading proved; absent where the slice failed before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
}

/// One job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobReport {
    /// The job.
    pub job: JobName,
    /// Its slices, in the order of the plan.
    pub slices: Vec<SliceReport>,
    /// Why the job's slices couldn't be planned at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a person should know though nothing failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl JobReport {
    /// Counts the slices whose outcome `is` as asked.
    #[must_use]
    pub fn count(&self, is: impl Fn(&SliceOutcome) -> bool) -> usize {
        self.slices.iter().filter(|slice| is(&slice.outcome)).count()
    }

    /// Adds up the rows of all slices.
    #[must_use]
    pub fn rows(&self) -> RowCounts {
        let mut sum = RowCounts::default();
        for slice in &self.slices {
            sum += slice.rows;
        }
        sum
    }

    /// Adds up what one sink, or all of them together, did.
    #[must_use]
    pub fn sinks(&self) -> SinkCounts {
        let mut sum = SinkCounts::default();
        for counts in self.slices.iter().flat_map(|slice| slice.sinks.values()) {
            sum += *counts;
        }
        sum
    }
}

/// A run, from its plan to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The instant that the run planned with, UTC.
    pub now: DateTime<Utc>,
    /// When it began, UTC.
    pub started: DateTime<Utc>,
    /// When it ended, UTC.
    pub ended: DateTime<Utc>,
    /// What an earlier run had left behind and this one settled, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<String>,
    /// Its jobs, in the order in which they were planned.
    pub jobs: Vec<JobReport>,
    /// What was sent of what has landed, by sink.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryReport>,
}

impl RunReport {
    /// Counts the slices of all jobs whose outcome `is` as asked.
    #[must_use]
    pub fn count(&self, is: impl Fn(&SliceOutcome) -> bool + Copy) -> usize {
        self.jobs.iter().map(|job| job.count(is)).sum()
    }
}
