//! The report of a run: what was due, what landed, and numbers that add up.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Asked, DeliveryReport, Exit, FanoutKey, JobName, PipelineName, Reconciliation, Remedy, RunId, SinkName, SliceId,
    Strays, Window,
};

/// Where a slice's rows went. `received = decoded + quarantined + outside_window + deduplicated + read_again + refused`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// Rows of earlier passes over a slice that was read again (`on_mismatch: refetch`, or a column that got a type meanwhile): a later
    /// pass has them, or they were gone.
    pub read_again: u64,
    /// All rows of a slice that failed, whatever was wrong: none landed, and none lies in quarantine.
    pub refused: u64,
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
        self.received == landed + self.deduplicated + self.read_again + self.refused
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
        self.refused += other.refused;
        self.transformed += other.transformed;
        self.nulled_values += other.nulled_values;
        self.discarded_fields += other.discarded_fields;
    }
}

/// What one sink did with the rows of the transform. `transformed = landed + filtered`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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
        /// What helps, where running again alone doesn't.
        #[serde(skip_serializing_if = "Option::is_none")]
        remedy: Option<Remedy>,
    },
}

/// What came over the wire for a slice; for one that failed, until then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
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

impl std::ops::AddAssign for Fetched {
    fn add_assign(&mut self, other: Self) {
        self.pages += other.pages;
        self.server_rows += other.server_rows;
        self.bytes += other.bytes;
        self.retries += other.retries;
    }
}

/// How long a slice's stages took. Slices are read side by side, so those of a run may add up to more than it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Took {
    /// Milliseconds from the first request to the last page's rows, waits and retries included; rows that were written meanwhile, too.
    pub read_ms: u64,
    /// Milliseconds of the transform, and of writing the files where no reader looks, as far as that came after the last page.
    pub write_ms: u64,
    /// Milliseconds of publishing the files, and of the commit.
    pub commit_ms: u64,
}

impl std::ops::AddAssign for Took {
    fn add_assign(&mut self, other: Self) {
        self.read_ms += other.read_ms;
        self.write_ms += other.write_ms;
        self.commit_ms += other.commit_ms;
    }
}

/// One slice of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SliceReport {
    /// The slice's identity.
    pub slice: SliceId,
    /// The fan-out value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The time that it covers; absent where it isn't a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The generation that landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: SliceOutcome,
    /// What came over the wire.
    #[serde(flatten)]
    pub fetched: Fetched,
    /// How long its stages took.
    pub took: Took,
    /// Where its rows went.
    pub rows: RowCounts,
    /// What is wrong with the first of its rows in quarantine: `` `score` expected int64, got number 5.25 ``; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit: Option<String>,
    /// Rows from outside of what was asked for; absent where there are none.
    #[serde(skip_serializing_if = "Strays::is_none")]
    pub strays: Strays,
    /// What each sink did.
    pub sinks: BTreeMap<SinkName, SinkCounts>,
    /// What the reading proved, also where the slice failed for it; absent where it failed before its last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
}

/// One job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JobReport {
    /// The job.
    pub job: JobName,
    /// Its slices, in the order of the plan.
    pub slices: Vec<SliceReport>,
    /// Why the job's slices couldn't be planned at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against that, where running again alone doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// Whether running again can't help against that: a person must change something. The exit code says it.
    #[serde(skip)]
    pub refused: bool,
    /// What was due and was left, since the run stopped before it began, or was interrupted before it had landed; absent where that is
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// The version of the job's schema that its slices made; absent where it is as it was before, or the job's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// The columns that are new in it, or have a type now, each with that: `discount (float64)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub new_columns: Vec<String>,
    /// The columns of its schema in which no row that was read had a value: maybe the server doesn't send them any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen_columns: Vec<String>,
    /// What a person should know though nothing failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a run that stopped early left of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// So many slices at least: one that goes on by a cursor counts once.
    Slices(u64),
    /// The job wasn't begun, or had just begun, so it isn't known what is due.
    Unplanned,
}

/// Why a run began no further slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The process is about to end.
    Asked,
    /// It had gone on for `--max-duration`.
    Duration,
    /// It had sent `--max-requests`.
    Requests,
    /// It had begun `--max-slices`.
    Slices,
}

impl JobReport {
    /// Starts the report of a job of which nothing is known yet.
    #[must_use]
    pub const fn new(job: JobName) -> Self {
        Self {
            job,
            slices: Vec::new(),
            error: None,
            remedy: None,
            refused: false,
            left: None,
            schema_version: None,
            new_columns: Vec::new(),
            unseen_columns: Vec::new(),
            warnings: Vec::new(),
        }
    }

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

    /// Adds up what came over the wire for all slices.
    #[must_use]
    pub fn fetched(&self) -> Fetched {
        let mut sum = Fetched::default();
        for slice in &self.slices {
            sum += slice.fetched;
        }
        sum
    }

    /// Adds up how long the stages of all slices took.
    #[must_use]
    pub fn took(&self) -> Took {
        let mut sum = Took::default();
        for slice in &self.slices {
            sum += slice.took;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunReport {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The run.
    pub run: RunId,
    /// The instant of the schedule that it was for, UTC; absent where a person or another scheduler started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub scheduled_for: Option<DateTime<Utc>>,
    /// The shard whose slices it ran, such as `0/5`, the first of five; absent where it ran all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The instant that the run planned with, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub now: DateTime<Utc>,
    /// When it began, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started: DateTime<Utc>,
    /// When it ended, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub ended: DateTime<Utc>,
    /// What an earlier run had left behind and this one settled, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<String>,
    /// Requests sent, retries included, logins not.
    pub requests: u64,
    /// Why it left slices for the next run; absent where it left none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stop>,
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

/// What became of a run, whether or not it came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunEnd {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The run.
    pub run: RunId,
    /// What it was asked for.
    pub asked: Asked,
    /// The instant of the schedule that it was for, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub scheduled_for: Option<DateTime<Utc>>,
    /// When it began, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started: DateTime<Utc>,
    /// When it ended, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub ended: DateTime<Utc>,
    /// How it ended.
    pub exit_code: Exit,
    /// Why it didn't come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against that, where running again alone doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// What it did, until it broke off where there is an `error`; absent where it hadn't begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<RunReport>,
}

impl RunEnd {
    /// Returns the first thing that went wrong: of the run, of a job, of a slice, of a delivery.
    #[must_use]
    pub fn first_error(&self) -> Option<String> {
        let jobs = || self.report.iter().flat_map(|report| &report.jobs);
        let of_job = |job: &JobReport| job.error.as_ref().map(|error| format!("{}: {error}", job.job));
        let of_slice = |job: &JobReport| {
            job.slices.iter().find_map(|slice| match &slice.outcome {
                SliceOutcome::Failed { error, .. } => Some(format!("{} {}: {error}", job.job, slice.slice)),
                _ => None,
            })
        };
        let of_delivery = || self.report.iter().flat_map(|report| &report.deliveries).find_map(DeliveryReport::told);
        let whole = self.error.clone();
        whole.or_else(|| jobs().find_map(of_job)).or_else(|| jobs().find_map(of_slice)).or_else(of_delivery)
    }
}

/// What `tidegate run --report` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this format. It is 1; fields may be added under it.
    pub version: u32,
    /// The version of the program.
    pub tidegate: String,
    /// How the process ends.
    pub exit_code: Exit,
    /// Its runs, one a pipeline, in the order in which they were made. Where a file was refused, none began, and each has the exit code 2.
    pub runs: Vec<RunEnd>,
}
