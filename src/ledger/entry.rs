//! The log's entries, as they are stored: this is the format that later versions must be able to read.
//!
//! A reader ignores fields that it doesn't know, so a field whose absence and whose presence are both safe to ignore may be
//! added under the same [`FORMAT`]. Anything else (a new kind of record too: skipping one would falsify the state) raises it,
//! and an entry of a higher format is refused with [`super::LedgerError::NewerFormat`].

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::lane::Lane;
use super::summary::RunSummary;
use crate::model::{Asked, FanoutKey, FileReceipt, JobName, Reconciliation, Slice, SliceId, SliceKind, StagedPlace};

/// The format that this version writes, of entries, checkpoints, file lists and schemas.
pub const FORMAT: u32 = 1;

/// One object of the log: what one writer had to say at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The format, [`FORMAT`].
    pub format: u32,
    /// The entry's number, from 1, without gaps; it is the object's name as well.
    pub sequence: u64,
    /// 128 random bits, hexadecimal: a writer that doesn't know whether it wrote reads the entry back and compares.
    pub nonce: String,
    /// The lane of the writer.
    pub lane: Lane,
    /// Which lease of the lane the writer holds. Entries under an older one than the lane's last are ignored.
    pub lease: u64,
    /// When it was written, by the writer's clock, UTC. For people: nothing is decided by it.
    pub at: DateTime<Utc>,
    /// What happened, in order.
    pub records: Vec<Record>,
}

/// Names a slice within a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SliceRef {
    /// The job.
    pub job: JobName,
    /// The fan-out value, where the job has `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The slice's identity within the job.
    pub slice: SliceId,
}

impl SliceRef {
    /// Names `slice`.
    #[must_use]
    pub fn of(slice: &Slice) -> Self {
        Self { job: slice.job.clone(), key: slice.key.clone(), slice: slice.id.clone() }
    }
}

impl fmt::Display for SliceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice {} of job {}", self.slice, self.job)
    }
}

/// What an entry tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The entry's lane changes hands. A `taken` is the first record of its entry.
    Lease(LeaseEvent),
    /// A slice is about to be extracted.
    Begin(Begin),
    /// Where a begun slice stages files, noted before the first byte where nothing else would remember it (S3 uploads).
    Stage(Stage),
    /// The slice's files are complete, listed, and about to appear.
    Publish(Landing),
    /// The slice has landed. It repeats its `publish`, which is missing only for a slice with no files.
    Commit(Landing),
    /// The files of the generation before are deleted.
    Cleaned(Generation),
    /// A publish that can't be finished: none of its files remain (what others have put under their names does), and the slice is read again under the next generation.
    Void(Generation),
    /// A begun slice ends without landing.
    Close(Close),
    /// A relative `window.start` is pinned. The first of a job counts, later ones are ignored.
    PinStart {
        /// The job.
        job: JobName,
        /// The pinned start, UTC.
        instant: DateTime<Utc>,
    },
    /// A version of a job's schema is pinned; it lies in `schema/<job>/v<version>.json`.
    PinSchema {
        /// The job.
        job: JobName,
        /// The version, from 1.
        version: u32,
    },
    /// The source of an incremental job was reset: a new series begins.
    Series {
        /// The job.
        job: JobName,
        /// The fan-out value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<FanoutKey>,
        /// The new series, higher than the one before.
        series: u32,
    },
    /// The fan-out values of a job, read in full. Those known before and not named here are retired by it.
    Parents {
        /// The job that fans out.
        job: JobName,
        /// The values and their rows.
        rows: Vec<ParentRow>,
    },
    /// What names the job's data, after its first run or an accepted edit.
    Fingerprint {
        /// The job.
        job: JobName,
        /// Each part by its name, as the pipeline layer defines it.
        fingerprint: Value,
        /// How an edit was accepted; absent the first time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accept: Option<Accept>,
        /// The roots in which no sink of the job writes any more: what lies there stays as it is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
        /// Where fan-out values that have landed nothing begin, UTC: what was before has landed under other values.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<DateTime<Utc>>,
    },
    /// Generations whose files are to be deleted: of before a [`Accept::Restart`], whose part of the data has been read anew, or of fan-out
    /// values that are retired, where a person has said so.
    Superseded(Vec<Generation>),
    /// The entry's writer has ended, and this is what it did. A lease without it belongs to a run that died, or still runs.
    Ran(RunSummary),
}

/// What happens to the lease of an entry's lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseEvent {
    /// The lane is taken, under the entry's `lease`, one higher than the last.
    Taken {
        /// Who took it, for people: host and process.
        holder: String,
        /// Lanes that divide the slices differently and are proved dead: what they left open is now this lane's, and their
        /// leases are raised.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        adopts: Vec<Lane>,
        /// After how many milliseconds without an entry of the holder the lease is dead, where no lock tells; absent for a minute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
        /// What the run was asked for: what died with it, where it never says how it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Asked>,
    },
    /// The holder lives.
    Renewed,
    /// What earlier runs left open is settled: lanes that waited for that may go on.
    Settled,
    /// The holder is done.
    Released,
}

/// A slice that is about to be extracted. Repeated after a crash, it replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The slice, with the parent's fields that its requests use.
    pub slice: Slice,
    /// The run's instant, UTC, which a rerun after a crash keeps.
    pub now: DateTime<Utc>,
    /// The generation that its files will carry.
    pub generation: u32,
    /// The schema version it is decoded against; absent where the slice will be the first to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
}

/// Where a begun slice stages its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The slice.
    #[serde(flatten)]
    pub at: SliceRef,
    /// The places.
    pub places: Vec<StagedPlace>,
}

/// All that a commit says about a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// The slice.
    #[serde(flatten)]
    pub at: SliceRef,
    /// Which part of the job's data it is; an incremental slice has its `end`.
    pub kind: SliceKind,
    /// The generation, higher than any that was published before.
    pub generation: u32,
    /// The generation that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u32>,
    /// Rows that came out of the transform.
    pub rows: u64,
    /// Records that went into it, and into quarantine: as many, however the job's data are cut into slices. Of what an earlier version
    /// landed it isn't known, and 0.
    #[serde(default)]
    pub records: u64,
    /// Those of them that fitted, and went into the transform. Absent where an earlier version landed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<u64>,
    /// What the reading proved; it counts the distinct keys too.
    pub reconciliation: Reconciliation,
    /// The version of the job's schema; absent where the job has never had a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// [`digest()`] of its files.
    pub digest: String,
    /// The object that lists its files, relative to the pipeline's state; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// How much is in the files of all sinks.
    pub totals: FileTotals,
    /// The roots of the data sets in which it has files, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
}

/// Sums over files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTotals {
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl FileTotals {
    /// Adds up `files`.
    #[must_use]
    pub fn of(files: &[FileReceipt]) -> Self {
        files.iter().fold(Self::default(), |sum, file| Self {
            files: sum.files + 1,
            rows: sum.rows + file.rows,
            bytes: sum.bytes + file.bytes,
        })
    }
}

/// One generation of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The slice.
    #[serde(flatten)]
    pub at: SliceRef,
    /// The generation.
    pub generation: u32,
}

/// The end of a slice that doesn't land.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The slice.
    #[serde(flatten)]
    pub at: SliceRef,
    /// Why.
    pub why: Closed,
}

/// Why a begun slice doesn't land.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// It was read again, and its files are those that have landed.
    Unchanged,
    /// There is nothing after the cursor yet.
    Empty,
    /// It is no longer due: a snapshot of a day that has passed, a value that is gone.
    Dropped,
    /// It failed.
    Failed {
        /// What failed.
        error: String,
    },
}

/// One fan-out value and the row it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentRow {
    /// The value's identity.
    pub key: FanoutKey,
    /// The parent's row, or the listed value; null where it isn't kept.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub row: Value,
}

/// What becomes of landed data when an edit changes what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// It stays; the edit applies to what lands from now on.
    Future,
    /// It is due again, slice by slice; each stays until its next generation replaces it.
    Reland,
    /// It is read anew as other slices, since the edit cuts the data otherwise; it stays until [`Record::Superseded`].
    Restart,
    /// As [`Self::Future`], and a [`Self::Restart`] before it that isn't done ends: what it set aside stays instead of what was read anew.
    GiveUp,
    /// It stays, in other sinks than the job has now; what is to be read again, or anew, still is.
    Sinks,
}

/// The immutable list of a generation's files, `files/<job>/<slice>-g<generation>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// The format, [`FORMAT`].
    pub format: u32,
    /// The slice.
    #[serde(flatten)]
    pub at: SliceRef,
    /// The generation.
    pub generation: u32,
    /// Its files over all sinks.
    pub files: Vec<FileReceipt>,
}

/// Digests `files` so that two readings of a slice that give the same data sets give the same digest: it covers sink, root,
/// directory (partition values may be nowhere else), rows and content of each file, but no name, which carries the generation.
#[must_use]
pub fn digest(files: &[FileReceipt]) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|file| {
            let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{}\t{}\t{directory}\t{}\t{}\n", file.sink, file.root, file.rows, file.sha256)
        })
        .collect();
    lines.sort();
    hex::encode(Sha256::digest(lines.concat().as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::SinkName;

    #[test]
    fn the_stored_format_is_fixed() {
        let entry = json!({
            "format": 1, "sequence": 7, "nonce": "00", "lane": "1-of-4", "lease": 3, "at": "2026-01-02T00:00:00Z",
            "records": [
                {"lease": {"taken": {"holder": "host/1", "adopts": ["all"]}}},
                {"lease": "renewed"},
                {"begin": {
                    "slice": {"job": "j", "id": "s0-41", "kind": {"incremental": {"series": 0, "start": 41}}},
                    "now": "2026-01-02T00:00:00Z", "generation": 1
                }},
                {"commit": {
                    "job": "j", "slice": "s0-41", "kind": {"incremental": {"series": 0, "start": 41, "end": 50}},
                    "generation": 1, "rows": 9, "records": 9, "good": 9,
                    "reconciliation": {"received": 9, "distinct": 9, "end": "slice_full", "verdict": "complete"},
                    "schema_version": 1, "digest": "ab", "list": "files/j/s0-41-g1.json",
                    "totals": {"files": 1, "rows": 9, "bytes": 100}, "roots": ["file:///lake"]
                }},
                {"cleaned": {"job": "j", "key": "{\"a\":1}", "slice": "latest", "generation": 1}},
                {"close": {"job": "j", "slice": "s0-50", "why": {"failed": {"error": "e"}}}},
                {"pin_schema": {"job": "j", "version": 2}},
                {"fingerprint": {
                    "job": "j", "fingerprint": {"key": "id"}, "accept": "reland", "left": ["file:///feed"],
                    "since": "2026-01-01T00:00:00Z"
                }},
                {"superseded": [{"job": "j", "slice": "s0-41", "generation": 1}]},
                {"ran": {
                    "verb": "run", "now": "2026-01-02T00:00:00Z", "outcome": "some_failed", "landed": 2, "unchanged": 0,
                    "failed": 1, "rows": 9, "files": 2, "bytes": 100, "pages": 4, "error": "j: e",
                    "jobs": [{"job": "j", "landed": 2, "unchanged": 0, "failed": 1, "rows": 9, "error": "e"}]
                }}
            ]
        });
        let read: Entry = serde_json::from_value(entry.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), entry);
    }

    #[test]
    fn the_digest_covers_content_and_partition_but_no_name() {
        let file = |path: &str, sha256: &str| FileReceipt {
            sink: SinkName::new("lake"),
            root: "file:///lake".to_owned(),
            path: path.to_owned(),
            staged: String::new(),
            rows: 1,
            bytes: 1,
            sha256: sha256.to_owned(),
        };
        let landed = digest(&[file("d=1/a-g1-0", "x"), file("d=2/a-g1-1", "y")]);
        assert_eq!(digest(&[file("d=2/a-g2-0", "y"), file("d=1/a-g2-1", "x")]), landed);
        assert_ne!(digest(&[file("d=1/a-g2-0", "y"), file("d=2/a-g2-1", "x")]), landed);
    }
}
