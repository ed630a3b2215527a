//! What the log says, folded: the state that planning asks and that checkpoints hold.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ends::Ends;
use super::entry::{Begin, Landing, ParentRow, SliceRef};
use super::lane::Lane;
use super::ranges::LandedRange;
use super::runs::RunState;
use crate::model::{CursorValue, FanoutKey, JobName, SliceId, SliceKind, StagedPlace, Verdict, Window};

/// All that a reader of the whole log would know. Pure: [`LedgerState::apply`] is the only way to change it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerState {
    pub(super) sequence: u64,
    /// The nonce of the first entry: it tells this ledger from any other, of the same pipeline too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) lanes: BTreeMap<Lane, LaneState>,
    pub(super) jobs: BTreeMap<JobName, JobState>,
    /// The last runs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<RunState>,
    /// How the jobs ended; of jobs of which nothing is noted, older versions wrote what there is.
    #[serde(default, skip_serializing_if = "Ends::is_empty")]
    pub(super) ends: Ends,
}

/// The lease of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// The number of the last lease; 0 where there was none.
    pub lease: u64,
    /// Who holds it; `None` once it was released or adopted by another lane.
    pub holder: Option<String>,
    /// When it was taken, UTC, by the holder's clock.
    pub since: DateTime<Utc>,
    /// The sequence of the lane's last entry: an observer that sees it rise knows that the holder lives.
    pub last_sequence: u64,
    /// Whether the holder is settling what dead lanes left open; lanes of other divisions wait for that, and its own too.
    pub settling: bool,
    /// After how many milliseconds of silence it is dead, where that isn't a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// What is known of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct JobState {
    /// By the fan-out key's canonical JSON; `""` where the job doesn't fan out.
    pub(super) keys: BTreeMap<String, KeyState>,
    pub(super) start: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) schema_version: Option<u32>,
    pub(super) fingerprint: Option<Value>,
    pub(super) parents: Option<Vec<ParentRow>>,
    pub(super) retired: BTreeSet<FanoutKey>,
    /// Every root in which a slice of the job had a file; [`Landed`] names them by their place here.
    pub(super) roots: Vec<String>,
    /// Those of them in which no sink of the job writes any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) left: BTreeSet<String>,
    /// Where fan-out values that have landed nothing begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<DateTime<Utc>>,
}

/// What is known of a job under one fan-out value: what has landed of its time grid or of its chain, and its slices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KeyState {
    pub(super) key: Option<FanoutKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ranges: Vec<LandedRange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<Chain>,
    pub(super) slices: BTreeMap<SliceId, SliceState>,
    /// The windows that are published, and neither committed nor voided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) publishing: Vec<Window>,
}

/// How far an incremental job has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The series: which life of the source.
    pub series: u32,
    /// The last cursor that has landed; `None` where the series has landed nothing yet.
    pub end: Option<CursorValue>,
    /// The last slice of it.
    pub last: Option<SliceId>,
}

/// What is known of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceState {
    /// The highest generation that was ever published, voided ones too; 0 where none was.
    pub highest: u32,
    /// The lane that touched it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// What has landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Landed>,
    /// Begun, and neither committed nor closed: a rerun keeps its `now`, its schema version and its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begin>,
    /// Where what is begun stages files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staged: Vec<StagedPlace>,
    /// Published, and neither committed nor voided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Landing>,
    /// Generations whose files are still to be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// Generations that were replaced, and still stand in the roots of sinks that were removed: they stay until the slice lands with
    /// such a sink again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Replaced>,
    /// What had landed before the job was cut otherwise, until what is read anew covers it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdated: Vec<Landed>,
}

/// What has landed of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// The generation.
    pub generation: u32,
    /// Which part of the job's data it is; an incremental slice has its `end`.
    pub kind: SliceKind,
    /// Rows that came out of the transform.
    pub rows: u64,
    /// Records that went into it, and into quarantine; 0 where an earlier version landed it.
    #[serde(default)]
    pub records: u64,
    /// Those of them that fitted; `None` where an earlier version landed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<u64>,
    /// Rows with different keys; for a job with no `key`, rows received.
    pub distinct: u64,
    /// What the reading proved.
    pub verdict: Verdict,
    /// Rows of the largest page, where it had several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_page: Option<u64>,
    /// Rows with the last cursor, of an incremental slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_at_end: Option<u64>,
    /// [`super::digest`] of the files.
    pub digest: String,
    /// The version of the job's schema; `None` where it has never had a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// When it was committed, UTC.
    pub committed: DateTime<Utc>,
    /// The object that lists its files; `None` where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The roots in which it has files, as places in the job's roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roots: Vec<usize>,
    /// Whether an accepted edit wants it to be read again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// A generation that was replaced and whose files are still to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The generation.
    pub generation: u32,
    /// The object that lists its files.
    pub list: String,
    /// The lane that let it go, and deletes them; where an earlier version did, that of the slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// The roots in which it has files, as places in the job's roots; none where an earlier version let it go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roots: Vec<usize>,
}

impl LedgerState {
    /// Returns the number of the last entry that is folded in; 0 for an empty log.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns what tells this ledger from any other; `None` for an empty log.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the lanes that ever had a lease.
    pub fn lanes(&self) -> impl Iterator<Item = (Lane, &LaneState)> {
        self.lanes.iter().map(|(lane, state)| (*lane, state))
    }

    /// Returns the jobs that the log names.
    pub fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.jobs.keys()
    }

    /// Returns what has landed of the job's time grid under `key`: sorted, merged, each range with its cell size.
    #[must_use]
    pub fn landed_ranges(&self, job: &JobName, key: Option<&FanoutKey>) -> &[LandedRange] {
        self.key(job, key).map_or(&[], |state| &state.ranges)
    }

    /// Returns how far the incremental job has come under `key`.
    #[must_use]
    pub fn chain(&self, job: &JobName, key: Option<&FanoutKey>) -> Option<&Chain> {
        self.key(job, key)?.chain.as_ref()
    }

    /// Returns how many rows have landed with the last cursor of a chain; none where that isn't known.
    #[must_use]
    pub fn rows_at_end(&self, job: &JobName, key: Option<&FanoutKey>) -> Option<u64> {
        let last = self.chain(job, key)?.last.as_ref()?;
        self.key(job, key)?.slices.get(last)?.landed.as_ref()?.rows_at_end
    }

    /// Returns the labels of the snapshots that have landed under `key`, in the order of their ids.
    pub fn snapshots(&self, job: &JobName, key: Option<&FanoutKey>) -> impl Iterator<Item = &str> {
        self.slices(job, key).filter_map(|(_, slice)| match &slice.landed.as_ref()?.kind {
            SliceKind::Snapshot { label, .. } => Some(label.as_str()),
            _ => None,
        })
    }

    /// Returns the slices of the job under `key`, in the order of their ids.
    pub fn slices(&self, job: &JobName, key: Option<&FanoutKey>) -> impl Iterator<Item = (&SliceId, &SliceState)> {
        self.key(job, key).into_iter().flat_map(|state| &state.slices)
    }

    /// Returns the slices of a job, of all its fan-out values.
    fn slices_of(&self, job: &JobName) -> impl Iterator<Item = &SliceState> {
        self.jobs.get(job).into_iter().flat_map(|state| state.keys.values()).flat_map(|key| key.slices.values())
    }

    /// Returns the slices of all jobs and fan-out values.
    pub fn all_slices(&self) -> impl Iterator<Item = (SliceRef, &SliceState)> {
        self.jobs.iter().flat_map(|(job, state)| {
            state.keys.values().flat_map(move |key| {
                key.slices.iter().map(move |(slice, state)| {
                    (SliceRef { job: job.clone(), key: key.key.clone(), slice: slice.clone() }, state)
                })
            })
        })
    }

    /// Returns what is known of one slice.
    #[must_use]
    pub fn slice(&self, at: &SliceRef) -> Option<&SliceState> {
        self.key(&at.job, at.key.as_ref())?.slices.get(&at.slice)
    }

    /// Returns what has landed of one slice.
    #[must_use]
    pub fn landed(&self, at: &SliceRef) -> Option<&Landed> {
        self.slice(at)?.landed.as_ref()
    }

    /// Returns the generation that the slice's files are to carry when it is read now.
    #[must_use]
    pub fn next_generation(&self, at: &SliceRef) -> u32 {
        self.slice(at).map_or(1, |slice| slice.highest + 1)
    }

    /// Tells whether the slice has landed with files of this [`super::digest`], so that publishing them would change nothing.
    #[must_use]
    pub fn unchanged(&self, at: &SliceRef, digest: &str) -> bool {
        self.landed(at).is_some_and(|landed| landed.digest == digest)
    }

    /// Returns the begun slices of a job that were neither committed nor closed.
    pub fn open_begins(&self, job: &JobName) -> impl Iterator<Item = &Begin> {
        self.slices_of(job).filter_map(|slice| slice.begun.as_ref())
    }

    /// Returns the slices that are published and neither committed nor voided.
    pub fn open_publishes(&self) -> impl Iterator<Item = &Landing> {
        self.jobs
            .values()
            .flat_map(|state| state.keys.values())
            .flat_map(|key| key.slices.values())
            .filter_map(|slice| slice.published.as_ref())
    }

    /// Returns the replaced generations whose files are still to be deleted.
    pub fn uncleaned(&self) -> impl Iterator<Item = (SliceRef, &Replaced)> {
        self.all_slices().flat_map(|(at, slice)| slice.replaced.iter().map(move |replaced| (at.clone(), replaced)))
    }

    /// Tells whether a slice of the job has landed, or is about to.
    #[must_use]
    pub fn has_data(&self, job: &JobName) -> bool {
        self.slices_of(job)
            .any(|slice| slice.landed.is_some() || slice.published.is_some() || !slice.outdated.is_empty())
    }

    /// Tells whether a slice of the job has landed that had rows on several pages.
    #[must_use]
    pub fn has_had_pages(&self, job: &JobName) -> bool {
        self.slices_of(job).any(|slice| slice.landed.as_ref().is_some_and(|landed| landed.largest_page.is_some()))
    }

    /// Tells whether a row of the job has landed, or gone to quarantine, that still counts, or is about to.
    #[must_use]
    pub fn has_rows(&self, job: &JobName) -> bool {
        let has_rows = |landed: &Landed| landed.rows > 0 || landed.records > 0;
        self.slices_of(job)
            .any(|slice| slice.published.is_some() || slice.landed.iter().chain(&slice.outdated).any(has_rows))
    }

    /// Returns the pinned `window.start` of the job.
    #[must_use]
    pub fn pinned_start(&self, job: &JobName) -> Option<DateTime<Utc>> {
        self.jobs.get(job)?.start
    }

    /// Returns the latest version of the job's schema.
    #[must_use]
    pub fn schema_version(&self, job: &JobName) -> Option<u32> {
        self.jobs.get(job)?.schema_version
    }

    /// Returns the job's fingerprint, as last accepted.
    #[must_use]
    pub fn fingerprint(&self, job: &JobName) -> Option<&Value> {
        self.jobs.get(job)?.fingerprint.as_ref()
    }

    /// Returns the fan-out values of the job as last read; `None` before the first time.
    #[must_use]
    pub fn parents(&self, job: &JobName) -> Option<&[ParentRow]> {
        self.jobs.get(job)?.parents.as_deref()
    }

    /// Returns the fan-out values of the job that were known once and aren't any more.
    pub fn retired(&self, job: &JobName) -> impl Iterator<Item = &FanoutKey> {
        self.jobs.get(job).into_iter().flat_map(|state| &state.retired)
    }

    /// Returns every root in which a slice of the pipeline has or had a file.
    #[must_use]
    pub fn roots(&self) -> BTreeSet<&str> {
        self.jobs.values().flat_map(|job| &job.roots).map(String::as_str).collect()
    }

    /// Returns the roots in which the slice has landed files.
    #[must_use]
    pub fn roots_of(&self, at: &SliceRef) -> Vec<String> {
        let places = self.landed(at).map_or(&[][..], |landed| &landed.roots);
        let roots = self.jobs.get(&at.job).map_or(&[][..], |job| &job.roots);
        places.iter().filter_map(|place| roots.get(*place).cloned()).collect()
    }

    pub(super) fn key(&self, job: &JobName, key: Option<&FanoutKey>) -> Option<&KeyState> {
        self.jobs.get(job)?.keys.get(key_text(key))
    }
}

/// Returns the text under which [`JobState::keys`] holds a fan-out value.
pub(super) fn key_text(key: Option<&FanoutKey>) -> &str {
    key.map_or("", FanoutKey::as_str)
}
