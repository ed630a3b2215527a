//! The ledger: one append-only log per pipeline, in which data and state are committed together.
//!
//! Under `<state>/<pipeline>/`, on a disk or in an object store:
//!
//! | object | what it is | written |
//! |---|---|---|
//! | `log/<sequence>.json` | an [`Entry`] | put-if-absent, each number once; deleted seven days after a checkpoint covers it |
//! | `checkpoint/<sequence>.json` | the [`LedgerState`] after that entry | every hundred entries, of a large state every thousand at the latest; the last three stay |
//! | `files/<job>/<slice>-g<n>.json` | a [`FileList`] | before the entry that names it, never changed |
//! | `schema/<job>/v<n>.json` | a [`PinnedSchema`] | put-if-absent: the first writer's counts |
//! | `_tidegate/probe` | in object stores only: shows that they keep to conditional writes | put-if-absent, once |
//! | `settled/<seconds>.json` | up to which instant nothing of the schedule is left to do, and by which schedule | by a daemon or `tidegate resume`, in place of the last |
//! | `paused.json` | a [`Pause`] | while the pipeline is paused |
//! | `refused/<mark>.json` | a [`Refusal`] of the last minutes | when a server refuses a credential; anyone may delete it |
//! | `delivery/<job>/<sink>/` | the log of a sink that sends, see [`DeliveryLog`] | with each request, or each few |
//! | `lane-<lane>.lock` | on disk only: the OS lock of a lane | held while a [`Writer`] lives |
//!
//! [`Ledger`] reads; [`Ledger::acquire`] takes a lane's lease and gives the [`Writer`], which alone can append. Its steps are
//! those of a slice: [`Writer::begin`], [`Writer::publish`], the files appear, [`Writer::commit`], [`Writer::tidy_in_turn`]; and
//! [`Writer::recover`] finishes what a run that died has left between any two of them.
//!
//! In an object store leases go by the log alone: who sees no new entry of a holder for the holder's ttl, by the own monotonic clock,
//! takes it for dead; a holder stops as soon as it sees a newer lease, or couldn't renew its own in time.
//!
//! The state directory must lie on a file system whose locks work between all machines that use it: on disk a lane whose lock
//! is free is taken for dead at once.

mod checkpoint;
mod data;
mod delivery;
mod ends;
mod entry;
mod excerpt;
mod fold;
mod lane;
mod lease;
mod log;
mod manifest;
mod prune;
mod ranges;
mod recover;
mod refusal;
mod renew;
mod runs;
mod schedule;
mod schema;
mod scribe;
mod state;
mod store;
mod summary;
mod tidy;
mod unread;
mod uptime;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod ends_tests;
#[cfg(test)]
mod fold_tests;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
pub use data::{DataError, DataStore, Fault, MemoryData, Presence, publish_all};
pub use delivery::{DeliveryLog, DeliveryNote, DeliveryState, DoneSlice, KeptRequest, RowKey, RowKeys};
pub use ends::{Ended, Ends, Failure, HowItFailed, JobEnds};
pub use entry::{
    Accept, Begin, Close, Closed, Entry, FORMAT, FileList, FileTotals, Generation, Landing, LeaseEvent, ParentRow,
    Record, SliceRef, Stage, digest,
};
pub use lane::Lane;
pub use lease::{Patience, Watch};
pub use manifest::{
    Manifest, ManifestError, ManifestFile, ManifestUpdate, read_object, read_on_disk, update_object, update_on_disk,
};
pub use prune::Spare;
pub use ranges::LandedRange;
pub use refusal::{REFUSED_FOR, Refusal};
pub use runs::{RunEnd, RunLife, RunState};
pub use schedule::{Pause, Settled};
pub use schema::{OutputColumn, PinnedSchema};
pub use state::{Chain, Landed, LaneState, LedgerState, Replaced, SliceState};
pub use summary::{DeliverySummary, JobSummary, RunOutcome, RunSummary, moves_data};
pub use unread::{Lost, Unread};
pub use uptime::{ManualUptime, SystemUptime, Uptime};
pub use writer::{Accepted, BeginSlice, Publication, Writer};

use self::store::Store;
use crate::clock::Clock;
use crate::model::{Asked, FileReceipt, PipelineName};
use crate::objects::{Kind, Location, Purpose, Scheme, StoreError, Stores};

/// A pipeline's ledger, for reading; [`Ledger::acquire`] is the way to write.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    pipeline: PipelineName,
    clock: Arc<dyn Clock>,
    uptime: Arc<dyn Uptime>,
    timing: Timing,
    /// What a run that takes a lease was asked for.
    asked: Option<Asked>,
}

/// How long a lease lives that doesn't say so.
const TTL: Duration = Duration::from_mins(1);

/// How long a lease lives without a sign of life, and how often it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// After so long without an entry of the holder a lease is dead. A holder renews every third of it.
    pub ttl: Duration,
    /// How often one who waits looks at the log and at locks.
    pub poll: Duration,
    /// The first pause before an object is put again after an error of the store; the n-th is n times as long.
    pub pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { ttl: TTL, poll: Duration::from_secs(2), pause: Duration::from_millis(500) }
    }
}

impl Timing {
    /// Makes the timing of leases that live for `ttl`.
    #[must_use]
    pub fn of(ttl: Duration) -> Self {
        let usual = Self::default();
        Self { ttl, poll: usual.poll.min(ttl / 6), pause: usual.pause.min(ttl / 12) }
    }

    /// Returns the milliseconds that others must be told, since they would assume a minute.
    fn told(&self) -> Option<u64> {
        (self.ttl != TTL).then(|| u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Ledger {
    /// Opens the ledger of `pipeline` below `state`: a directory, a `file://` URL, or a place in an object store. Nothing is
    /// written by that, and nothing is sent.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Address`] where `state` is none of these; [`LedgerError::Environment`] where the environment doesn't say how to
    /// get there.
    pub fn open(
        state: &str,
        pipeline: PipelineName,
        clock: Arc<dyn Clock>,
        stores: &Stores,
    ) -> Result<Self, LedgerError> {
        let address = |why: &str| {
            // What stands before an `@` may be a password.
            let url = if state.contains("://") { state.rsplit('@').next().unwrap_or_default() } else { state };
            LedgerError::Address { url: url.to_owned(), why: why.to_owned() }
        };
        if let Some(at) = Location::parse(state).map_err(|error| address(&error.to_string()))? {
            let at = at.join(pipeline.as_str()).ok_or_else(|| address("it can't be the beginning of a key"))?;
            let bucket = stores.open(&at, Purpose::State).map_err(LedgerError::Environment)?;
            return Ok(Self::over(Store::in_bucket(&bucket, at), pipeline, clock));
        }
        let directory = if state.starts_with("file://") {
            let url = url::Url::parse(state).map_err(|error| address(&error.to_string()))?;
            url.to_file_path().map_err(|()| address("it names no path on this machine"))?
        } else {
            PathBuf::from(state)
        };
        let store = Store::on_disk(&directory.join(pipeline.as_str()))?;
        Ok(Self::over(store, pipeline, clock))
    }

    /// Opens the ledger of `pipeline` below `base` in any object store with put-if-absent.
    #[cfg(test)]
    fn in_store(
        store: Arc<dyn object_store::ObjectStore>,
        base: &str,
        pipeline: PipelineName,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let base = object_store::path::Path::from(format!("{base}/{pipeline}"));
        Self::over(Store::new(store, base), pipeline, clock)
    }

    /// Sees that the store keeps to conditional writes, where that isn't known: only on disk they are our own. Writes
    /// `_tidegate/probe`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Environment`], with the reason.
    pub async fn prove(&self, stores: &Stores) -> Result<(), LedgerError> {
        match self.store.place() {
            Some(at) if at.scheme() == Scheme::Memory => {
                tracing::warn!(pipeline = %self.pipeline, "the state is in memory: the next process won't know what has landed");
                Ok(())
            }
            Some(at) => stores.prove(at, Purpose::State).await.map_err(LedgerError::Environment),
            None => Ok(()),
        }
    }

    fn over(store: Store, pipeline: PipelineName, clock: Arc<dyn Clock>) -> Self {
        let (uptime, timing) = (Arc::new(SystemUptime::default()), Timing::default());
        Self { store: store.pausing(timing.pause), pipeline, clock, uptime, timing, asked: None }
    }

    /// Has leases live otherwise than for a minute. Where no lock tells who lives, that is how long the next run waits for one that
    /// was killed, and how long a run may be cut off from the store before it must stop.
    #[must_use]
    pub fn with_timing(self, timing: Timing) -> Self {
        Self { timing, store: self.store.pausing(timing.pause), ..self }
    }

    /// Has leases say what the run was asked for.
    #[must_use]
    pub fn asking(self, asked: Asked) -> Self {
        Self { asked: Some(asked), ..self }
    }

    /// Has leases timed otherwise: for tests.
    #[must_use]
    pub fn timed(self, timing: Timing, uptime: Arc<dyn Uptime>) -> Self {
        Self { uptime, ..self.with_timing(timing) }
    }

    /// Returns the pipeline's name.
    #[must_use]
    pub const fn pipeline(&self) -> &PipelineName {
        &self.pipeline
    }

    /// Reads the state: the newest checkpoint and the entries after it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::NewerFormat`], [`LedgerError::Corrupt`].
    pub async fn read_state(&self) -> Result<LedgerState, LedgerError> {
        Ok(log::load(&self.store).await?.0)
    }

    /// Reads the last `count` entries, oldest first, as far as they are still kept.
    ///
    /// # Errors
    ///
    /// As [`Self::read_state`].
    pub async fn history(&self, count: usize) -> Result<Vec<Entry>, LedgerError> {
        let numbers = self.store.numbers("log", None).await?;
        let mut entries = Vec::new();
        for sequence in &numbers[numbers.len().saturating_sub(count)..] {
            entries.extend(log::read_entry(&self.store, *sequence).await?);
        }
        Ok(entries)
    }

    /// Reads the entries numbered from `first` to `last`, oldest first, as far as they are still kept.
    ///
    /// # Errors
    ///
    /// As [`Self::read_state`].
    pub async fn entries(&self, first: u64, last: u64) -> Result<Vec<Entry>, LedgerError> {
        let numbers = self.store.numbers("log", Some(first.saturating_sub(1))).await?;
        let mut entries = Vec::new();
        for sequence in numbers.into_iter().filter(|sequence| (first..=last).contains(sequence)) {
            entries.extend(log::read_entry(&self.store, sequence).await?);
        }
        Ok(entries)
    }

    /// Reads a list of files, as [`Landed::list`] names it.
    ///
    /// # Errors
    ///
    /// As [`Self::read_state`]; a missing list is [`LedgerError::Corrupt`].
    pub async fn files(&self, list: &str) -> Result<Vec<FileReceipt>, LedgerError> {
        writer::read_list(&self.store, list).await
    }
}

/// Why the ledger can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another run holds the lane, or one that excludes it.
    #[error(
        "another run of the pipeline is on{part} ({by}, since {since}): wait for it to end",
        part = if *lane == Lane::WHOLE { String::new() } else { format!(" for shard {lane}") },
        since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )]
    Held {
        /// The lane that is held.
        lane: Lane,
        /// Who holds it.
        by: String,
        /// Since when, UTC.
        since: DateTime<Utc>,
    },
    /// This run held the lane and must stop.
    #[error(
        "lease {lease} of lane {lane} is lost: {why}; the run must stop, and the next one settles what it left; if that comes again, the \
         store, or this machine, is too slow for how long a lease lives: raise `--lease-ttl`"
    )]
    LeaseLost {
        /// The lane.
        lane: Lane,
        /// The number of the lost lease.
        lease: u64,
        /// What happened.
        why: String,
    },
    /// This run can't write to the log any more.
    #[error("the ledger no longer writes for lane {lane}: {why}")]
    Stopped {
        /// The lane.
        lane: Lane,
        /// What happened.
        why: String,
    },
    /// Records that contradict the log. Nothing was written.
    #[error("the ledger refuses a record: {why}")]
    Refused {
        /// What they contradict.
        why: String,
    },
    /// An object isn't what it should be.
    #[error(
        "{object} of the ledger is corrupt: {why}; put a copy of it back that is whole, from a backup or an older version of the object: \
         without it, it isn't known what has landed"
    )]
    Corrupt {
        /// Its path below the pipeline's state.
        object: String,
        /// What is wrong.
        why: String,
    },
    /// A later version of the program wrote an object.
    #[error(
        "{object} of the ledger has format {format}, this version reads up to {known}: use the version that wrote it, or a later one"
    )]
    NewerFormat {
        /// Its path below the pipeline's state.
        object: String,
        /// Its format.
        format: u32,
        /// The highest format that this version reads.
        known: u32,
    },
    /// The object store failed.
    #[error("can't {action} {object} of the ledger")]
    Store {
        /// `read`, `write`, `list` or `delete`.
        action: &'static str,
        /// Its path below the pipeline's state.
        object: String,
        /// What the store said.
        source: StoreError,
    },
    /// The object store isn't fit to keep state, or can't be reached.
    #[error("can't keep state in {0}")]
    Environment(StoreError),
    /// The disk failed.
    #[error("can't {action} {}", path.display())]
    Disk {
        /// `write` or `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data store failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A data set's list of files can't be updated.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The state can't be where it was said to be.
    #[error("can't keep state in '{url}': {why}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl LedgerError {
    fn taken_and_gone(object: &str) -> Self {
        Self::Corrupt { object: object.to_owned(), why: "its name is taken, but it isn't there".to_owned() }
    }

    /// Tells whether the same request may succeed a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Disk { .. } => true,
            Self::Store { source, .. } => source.kind() == Kind::Other,
            _ => false,
        }
    }
}

fn lock_path(directory: &Path, lane: Lane) -> PathBuf {
    directory.join(format!("lane-{lane}.lock"))
}

/// Opens or makes the lock file of a lane.
fn lock_file(directory: &Path, lane: Lane) -> Result<(PathBuf, std::fs::File), LedgerError> {
    let path = lock_path(directory, lane);
    let open = || {
        store::create_directory(directory)?;
        std::fs::File::options().create(true).truncate(false).write(true).open(&path)
    };
    match open() {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(LedgerError::Disk { action: "lock", path, source }),
    }
}
