//! The writer: the steps of a slice, each an entry of the log.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::entry::{
    Accept, Begin, Close, Closed, FORMAT, FileList, FileTotals, Generation, Landing, LeaseEvent, ParentRow, Record,
    SliceRef, Stage, digest,
};
use super::lane::Lane;
use super::scribe::{Ask, Held, Scribe};
use super::state::LedgerState;
use super::store::{Put, Store};
use super::tidy::Pace;
use super::{Ledger, LedgerError, checkpoint, log};
use crate::asking;
use crate::model::{CursorValue, FanoutKey, FileReceipt, JobName, Reconciliation, Slice, SliceKind, StagedPlace};

/// How many requests may wait for the log before those who make more are held back.
const QUEUE: usize = 256;

/// How many lists of one generation there may be: each is left by a run that died between its list and its `publish`.
const LISTS: u32 = 1000;

/// How many generations one entry lets go, so that its size has a bound.
pub(super) const LET_GO: usize = 1000;

/// How many parent rows are kept, for `plan` to show slices without asking the server; of more, the keys are.
const PARENT_ROWS: usize = 10_000;

/// The holder of a lane's lease. Clones share the lease and the task that writes; it ends with the last of them, or with
/// [`Self::release`].
#[derive(Clone)]
pub struct Writer {
    pub(super) held: Arc<Held>,
    asks: mpsc::Sender<Ask>,
    /// Roots whose list of files is behind the log.
    pub(super) dirty: Arc<Mutex<BTreeSet<String>>>,
    /// Held while lists are updated and replaced files deleted: a file may be deleted only once no list names it.
    pub(super) tidying: Arc<tokio::sync::Mutex<()>>,
    /// How often that is done.
    pub(super) pace: Arc<Mutex<Pace>>,
}

/// A slice to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct BeginSlice {
    /// The slice.
    pub slice: Slice,
    /// The run's instant, or that of the open begin, UTC.
    pub now: DateTime<Utc>,
    /// The schema version it is decoded against.
    pub schema_version: Option<u32>,
}

/// What has been extracted and staged of a slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The slice.
    pub slice: Slice,
    /// The generation that it was begun with.
    pub generation: u32,
    /// The last cursor, for an incremental slice that hasn't landed before.
    pub cursor_end: Option<CursorValue>,
    /// Rows that came out of the transform.
    pub rows: u64,
    /// Records that went into it, and into quarantine.
    pub records: u64,
    /// Those of them that went into it.
    pub good: u64,
    /// What the reading proved.
    pub reconciliation: Reconciliation,
    /// The schema version it was decoded against.
    pub schema_version: Option<u32>,
    /// Its files over all sinks, staged.
    pub files: Vec<FileReceipt>,
}

/// How an edit was accepted that changes what names a job's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What becomes of what has landed.
    pub how: Accept,
    /// The roots in which no sink of the job writes any more.
    pub left: Vec<String>,
    /// Where fan-out values that have landed nothing begin, UTC.
    pub since: Option<DateTime<Utc>>,
}

/// A lease that was just taken.
pub(super) struct Taken {
    pub(super) lane: Lane,
    pub(super) lease: u64,
    pub(super) lock: Option<File>,
    pub(super) started: Duration,
    pub(super) state: LedgerState,
    pub(super) checkpoint: u64,
}

impl Writer {
    /// Starts the task that writes.
    pub(super) fn start(ledger: &Ledger, taken: Taken) -> Self {
        let (asks, queue) = mpsc::channel(QUEUE);
        let held = Arc::new(Held {
            ledger: ledger.clone(),
            lane: taken.lane,
            lease: taken.lease,
            state: Arc::new(RwLock::new(taken.state)),
            stopped: OnceLock::new(),
            written: Mutex::new(taken.started),
            is_locked: taken.lock.is_some(),
        });
        let scribe = Scribe {
            held: Arc::clone(&held),
            asks: queue,
            checkpoint: checkpoint::Last { sequence: taken.checkpoint, bytes: 0 },
            lock: taken.lock,
        };
        tokio::spawn(scribe.run().in_current_span());
        Self { held, asks, dirty: Arc::default(), tidying: Arc::default(), pace: Arc::default() }
    }

    /// Returns the lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.held.lane
    }

    /// Asks the state, as of the last entry that this writer has seen. `ask` must be short: it keeps the log waiting.
    pub fn state<T>(&self, ask: impl FnOnce(&LedgerState) -> T) -> T {
        ask(&reading(&self.held.state))
    }

    /// Writes records, together with all others that wait. On `Ok` they are in the log.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Refused`] where they contradict the log (nothing is written, and the writer goes on);
    /// [`LedgerError::LeaseLost`] and [`LedgerError::Stopped`] where it can't go on. After `Stopped` they may be written.
    pub async fn append(&self, records: Vec<Record>) -> Result<(), LedgerError> {
        let written = asking::ask(&self.asks, |reply| Ask { records, reply }).await;
        written.unwrap_or_else(|| Err(self.held.stopped()))
    }

    /// Begins slices, in one entry, and returns them with the generation that their files are to carry.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn begin(&self, slices: Vec<BeginSlice>) -> Result<Vec<Begin>, LedgerError> {
        let begins: Vec<_> = self.state(|state| {
            let begin = |BeginSlice { slice, now, schema_version }| {
                let generation = state.next_generation(&SliceRef::of(&slice));
                Begin { slice, now, generation, schema_version }
            };
            slices.into_iter().map(begin).collect()
        });
        if !begins.is_empty() {
            self.append(begins.iter().cloned().map(Record::Begin).collect()).await?;
        }
        Ok(begins)
    }

    /// Notes where a begun slice stages its files, before the first byte.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn stage(&self, at: SliceRef, places: Vec<StagedPlace>) -> Result<(), LedgerError> {
        self.append(vec![Record::Stage(Stage { at, places })]).await
    }

    /// Writes the list of the slice's files and its `publish`. Then the files may appear, and [`Self::commit`] ends it.
    ///
    /// A slice with no files has neither list nor `publish`: its landing is committed right away.
    ///
    /// # Errors
    ///
    /// As [`Self::append`], and [`LedgerError::Store`] or [`LedgerError::Disk`] for the list; [`LedgerError::Refused`] where two
    /// files have one name, of which only one could appear.
    pub async fn publish(&self, publication: Publication) -> Result<Landing, LedgerError> {
        let files = publication.files.clone();
        let mut landing = self.landing(publication);
        if files.is_empty() {
            return Ok(landing);
        }
        let mut names = HashSet::new();
        if let Some(twice) = files.iter().find(|file| !names.insert((&file.root, &file.path))) {
            let (at, path, root) = (&landing.at, &twice.path, &twice.root);
            let why = format!("{at} has two files {path} in {root}: give each sink a `url` of its own");
            return Err(LedgerError::Refused { why });
        }
        let list = FileList { format: FORMAT, at: landing.at.clone(), generation: landing.generation, files };
        landing.list = Some(write_list(&self.held.ledger.store, &list).await?);
        self.append(vec![Record::Publish(landing.clone())]).await?;
        Ok(landing)
    }

    fn landing(&self, publication: Publication) -> Landing {
        let Publication { slice, generation, cursor_end, rows, records, good, reconciliation, schema_version, files } =
            publication;
        let at = SliceRef::of(&slice);
        let kind = match slice.kind {
            SliceKind::Incremental { series, start, end } => {
                SliceKind::Incremental { series, start, end: end.or(cursor_end) }
            }
            other => other,
        };
        let roots: BTreeSet<String> = files.iter().map(|file| file.root.clone()).collect();
        Landing {
            replaces: self.state(|state| state.landed(&at).map(|landed| landed.generation)),
            at,
            kind,
            generation,
            rows,
            records,
            good: Some(good),
            reconciliation,
            schema_version,
            digest: digest(&files),
            list: None,
            totals: FileTotals::of(&files),
            roots: roots.into_iter().collect(),
        }
    }

    /// Commits a slice whose files have appeared. Its data sets' lists are behind until [`Self::tidy`].
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn commit(&self, landing: Landing) -> Result<(), LedgerError> {
        let mut roots = self.state(|state| state.roots_of(&landing.at));
        roots.extend(landing.roots.iter().cloned());
        self.append(vec![Record::Commit(landing)]).await?;
        self.mark_dirty(roots);
        Ok(())
    }

    /// Takes a publish back, once none of its files remain.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn void(&self, at: SliceRef, generation: u32) -> Result<(), LedgerError> {
        self.append(vec![Record::Void(Generation { at, generation })]).await
    }

    /// Ends a begun slice that doesn't land.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn close(&self, at: SliceRef, why: Closed) -> Result<(), LedgerError> {
        self.append(vec![Record::Close(Close { at, why })]).await
    }

    /// Pins a relative `window.start`, and returns the pinned one: that of the first who did.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn pin_start(&self, job: &JobName, instant: DateTime<Utc>) -> Result<DateTime<Utc>, LedgerError> {
        if let Some(pinned) = self.state(|state| state.pinned_start(job)) {
            return Ok(pinned);
        }
        self.append(vec![Record::PinStart { job: job.clone(), instant }]).await?;
        Ok(self.state(|state| state.pinned_start(job)).unwrap_or(instant))
    }

    /// Begins a new series of an incremental job whose source was reset.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn start_series(&self, job: &JobName, key: Option<&FanoutKey>, series: u32) -> Result<(), LedgerError> {
        self.append(vec![Record::Series { job: job.clone(), key: key.cloned(), series }]).await
    }

    /// Notes the fan-out values of a job, read in full; writes nothing where they are those of the last time. Of more than ten
    /// thousand only the first have their rows kept, the others their keys.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn see_parents(&self, job: &JobName, mut rows: Vec<ParentRow>) -> Result<(), LedgerError> {
        for row in rows.iter_mut().skip(PARENT_ROWS) {
            row.row = serde_json::Value::Null;
        }
        if self.state(|state| state.parents(job) == Some(rows.as_slice())) {
            return Ok(());
        }
        self.append(vec![Record::Parents { job: job.clone(), rows }]).await
    }

    /// Notes what names a job's data; writes nothing where it is as before and nothing was accepted.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn set_fingerprint(
        &self,
        job: &JobName,
        fingerprint: serde_json::Value,
        accepted: Option<Accepted>,
    ) -> Result<(), LedgerError> {
        if accepted.is_none() && self.state(|state| state.fingerprint(job) == Some(&fingerprint)) {
            return Ok(());
        }
        let (accept, left, since) =
            accepted.map_or((None, Vec::new(), None), |Accepted { how, left, since }| (Some(how), left, since));
        self.append(vec![Record::Fingerprint { job: job.clone(), fingerprint, accept, left, since }]).await?;
        self.mark_dirty(self.state(|state| state.roots_of_job(job).map(str::to_owned).collect::<Vec<_>>()));
        Ok(())
    }

    /// Lets generations go: of before a restart, since what was read anew covers them, or of fan-out values that are retired. Their files are
    /// deleted by [`Self::tidy`].
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn supersede(&self, generations: Vec<Generation>) -> Result<(), LedgerError> {
        let roots = self.state(|state| {
            let jobs: BTreeSet<&JobName> = generations.iter().map(|generation| &generation.at.job).collect();
            jobs.into_iter().flat_map(|job| state.roots_of_job(job)).map(str::to_owned).collect::<Vec<_>>()
        });
        for some in generations.chunks(LET_GO) {
            self.append(vec![Record::Superseded(some.to_vec())]).await?;
        }
        self.mark_dirty(roots);
        Ok(())
    }

    /// Sees that the lease is still held, as far as this process knows: also while a renewal is on its way that may never arrive.
    ///
    /// # Errors
    ///
    /// [`LedgerError::LeaseLost`], [`LedgerError::Stopped`].
    pub(crate) fn still_held(&self) -> Result<(), LedgerError> {
        if self.held.stopped.get().is_some() || self.asks.is_closed() {
            return Err(self.held.stopped());
        }
        self.held.in_time().map_err(|stop| self.held.refused(stop))
    }

    /// Gives the lease back: the next run needn't wait. Clones of this writer can't write any more.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn release(self) -> Result<(), LedgerError> {
        let released = self.append(vec![Record::Lease(LeaseEvent::Released)]).await;
        // The task drops the OS lock; whoever acquires next in this process is to find it free.
        self.asks.closed().await;
        released
    }

    pub(super) fn mark_dirty(&self, roots: impl IntoIterator<Item = String>) {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner).extend(roots);
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("lane", &self.held.lane).field("lease", &self.held.lease).finish_non_exhaustive()
    }
}

/// Writes a list of files under a name of its own, and returns the name.
///
/// A run that died between its list and its `publish` has left a list that no entry names, and one that lost its lease may
/// still be about to write one: so a name that is taken by another content is left alone.
async fn write_list(store: &Store, list: &FileList) -> Result<String, LedgerError> {
    let stem = format!("files/{}/{}-g{}", list.at.job, list.at.slice, list.generation);
    for attempt in 0..LISTS {
        let path = if attempt == 0 { format!("{stem}.json") } else { format!("{stem}-{attempt}.json") };
        let bytes = log::encode(&path, list)?;
        let put = store.create(&path, bytes.clone()).await;
        if matches!(put, Ok(Put::Written)) || store.get(&path).await? == Some(bytes) {
            return Ok(path);
        }
        put?;
    }
    Err(LedgerError::Corrupt { object: stem, why: format!("{LISTS} runs have left a list of this generation") })
}

/// Reads a list of files.
pub(super) async fn read_list(store: &Store, path: &str) -> Result<Vec<FileReceipt>, LedgerError> {
    let missing = || LedgerError::Corrupt { object: path.to_owned(), why: "the list of files is missing".to_owned() };
    let bytes = store.get(path).await?.ok_or_else(missing)?;
    Ok(log::decode::<FileList>(path, &bytes)?.files)
}

/// Locks the state for reading. A panic elsewhere can't leave it half changed in a way that is used: the task ends with it.
pub(super) fn reading(state: &RwLock<LedgerState>) -> RwLockReadGuard<'_, LedgerState> {
    state.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the state for folding an entry in.
pub(super) fn writing(state: &RwLock<LedgerState>) -> RwLockWriteGuard<'_, LedgerState> {
    state.write().unwrap_or_else(PoisonError::into_inner)
}
