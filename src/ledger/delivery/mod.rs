//! The ledger of one sink that sends: which rows were, by their keys. It is a log of its own, since each request has its note.
//!
//! Under `<state>/<pipeline>/delivery/<job>/<sink>/`:
//!
//! | object | what it is | written |
//! |---|---|---|
//! | `log/<sequence>.json` | a [`DeliveryNote`] | put-if-absent, each number once |
//! | `checkpoint/<sequence>.json` | the [`DeliveryState`] after that note | when the notes since the last one are many |
//!
//! Who delivers holds the lease of the pipeline. The numbers are a second fence: a writer whose number is taken stops, so one that
//! lost its lease sends nothing more than what it has noted already.

mod keys;
mod state;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

pub use keys::{RowKey, RowKeys};
pub use state::{DeliveryNote, DeliveryState, DoneSlice, KeptRequest};

use self::state::StoredState;
use super::entry::FORMAT;
use super::lease::nonce;
use super::store::{Put, Store, numbered};
use super::{Ledger, LedgerError, Writer, log};
use crate::model::{JobName, SinkName};

/// How many notes are read at a time.
const READ_AHEAD: usize = 16;

/// A checkpoint is due after so many notes at the earliest.
const EVERY: u64 = 100;

/// A checkpoint of many keys is large: there is one note at least for so many of them before the next.
const KEYS_A_NOTE: u64 = 256;

/// How many names are tried for the quarantined rows of one note.
const NAMES: u32 = 1000;

/// A note as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredNote {
    format: u32,
    sequence: u64,
    nonce: String,
    #[serde(flatten)]
    note: DeliveryNote,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredCheckpoint {
    format: u32,
    state: StoredState,
}

/// The log of one sink that sends, for its only writer.
#[derive(Debug)]
pub struct DeliveryLog {
    store: Store,
    writer: Writer,
    place: String,
    state: DeliveryState,
    /// The sequence of the last checkpoint.
    checkpoint: u64,
}

impl Ledger {
    /// Reads what is known of the rows that a sink of a job sends.
    ///
    /// # Errors
    ///
    /// As [`Ledger::read_state`].
    pub async fn delivery(&self, job: &JobName, sink: &SinkName) -> Result<DeliveryState, LedgerError> {
        Ok(load(&self.store, &place(job, sink)).await?.0)
    }
}

impl Writer {
    /// Opens the log of a sink of a job that sends.
    ///
    /// # Errors
    ///
    /// As [`Ledger::read_state`].
    pub async fn delivery(&self, job: &JobName, sink: &SinkName) -> Result<DeliveryLog, LedgerError> {
        let (store, place) = (self.held.ledger.store.clone(), place(job, sink));
        let (state, checkpoint) = load(&store, &place).await?;
        Ok(DeliveryLog { store, writer: self.clone(), place, state, checkpoint })
    }

    /// Keeps rows that a server refused, JSON Lines, in the quarantine of the pipeline, under a name that begins with `name`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::Disk`].
    pub async fn quarantine(&self, name: &str, lines: String) -> Result<(), LedgerError> {
        let (store, bytes) = (&self.held.ledger.store, Bytes::from(lines));
        let path = |attempt| format!("quarantine/{name}-{attempt}.jsonl");
        for attempt in 0..NAMES {
            let path = path(attempt);
            let put = store.create(&path, bytes.clone()).await;
            // A run that died before its note has left the name.
            if matches!(put, Ok(Put::Written)) || store.get(&path).await? == Some(bytes.clone()) {
                return Ok(());
            }
            put?;
        }
        Err(LedgerError::Corrupt { object: path(0), why: format!("{NAMES} runs have left refused rows of this note") })
    }
}

impl DeliveryLog {
    /// Returns what is known.
    #[must_use]
    pub const fn state(&self) -> &DeliveryState {
        &self.state
    }

    /// Returns the number of the next note.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.state.sequence + 1
    }

    /// Writes a note; one with nothing in it is none. On `Ok` it is there for good.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`] and [`LedgerError::Disk`] where it can't be written, [`LedgerError::LeaseLost`] or
    /// [`LedgerError::Stopped`] where another run delivers: then nothing more may be sent.
    pub async fn note(&mut self, note: DeliveryNote) -> Result<(), LedgerError> {
        if note.is_empty() {
            return Ok(());
        }
        self.writer.still_held()?;
        let stored = StoredNote { format: FORMAT, sequence: self.next(), nonce: nonce(), note };
        let path = note_path(&self.place, stored.sequence);
        let bytes = log::encode(&path, &stored)?;
        if !self.put(&path, bytes, &stored.nonce).await? {
            let why = format!("another run delivers: it has written {path}");
            return Err(LedgerError::Stopped { lane: self.writer.lane(), why });
        }
        // Where it took so long that another run may hold the lease, that run may have written the name, and freed it by a checkpoint.
        self.writer.still_held()?;
        self.state.apply(&stored.note);
        self.state.sequence = stored.sequence;
        self.checkpoint_if_due().await;
        Ok(())
    }

    /// Puts a note under its name; tells whether it is ours that stands there.
    async fn put(&self, path: &str, bytes: Bytes, nonce: &str) -> Result<bool, LedgerError> {
        let failed = match self.store.create(path, bytes).await {
            Ok(Put::Written) => return Ok(true),
            Ok(Put::Taken) => LedgerError::taken_and_gone(path),
            Err(error) => error,
        };
        let found = self.store.get(path).await?.ok_or(failed)?;
        Ok(log::decode::<StoredNote>(path, &found)?.nonce == nonce)
    }

    /// A checkpoint only saves time, so a failure is no reason to stop.
    async fn checkpoint_if_due(&mut self) {
        if !is_due(self.state.sequence - self.checkpoint, self.state.size() as u64) {
            return;
        }
        if let Err(error) = self.checkpoint().await {
            tracing::warn!(error = %crate::objects::chain(&error), "a checkpoint of a delivery couldn't be written");
        }
    }

    /// Writes the state, and deletes the notes that the checkpoint before it covers, and that one. The notes since then stay, so that
    /// a writer which lost its lease finds its numbers taken.
    async fn checkpoint(&mut self) -> Result<(), LedgerError> {
        let sequence = self.state.sequence;
        let path = checkpoint_path(&self.place, sequence);
        let bytes = log::encode(&path, &StoredCheckpoint { format: FORMAT, state: self.state.stored() })?;
        self.store.create(&path, bytes).await?;
        let covered = std::mem::replace(&mut self.checkpoint, sequence);
        for old in self.store.numbers(&format!("{}/log", self.place), None).await? {
            if old <= covered {
                self.store.delete(&note_path(&self.place, old)).await?;
            }
        }
        for old in self.store.numbers(&format!("{}/checkpoint", self.place), None).await? {
            if old < covered {
                self.store.delete(&checkpoint_path(&self.place, old)).await?;
            }
        }
        Ok(())
    }
}

/// Tells whether a checkpoint is due after so many notes, where it will hold so many keys. So the checkpoints of a sink have, all
/// together, a bounded multiple of the bytes of its notes.
const fn is_due(notes: u64, keys: u64) -> bool {
    notes >= EVERY && notes >= keys / KEYS_A_NOTE
}

/// Reads the newest checkpoint and the notes after it. Also tells the checkpoint's sequence, 0 for none.
async fn load(store: &Store, place: &str) -> Result<(DeliveryState, u64), LedgerError> {
    let mut state = match store.numbers(&format!("{place}/checkpoint"), None).await?.pop() {
        Some(sequence) => {
            let path = checkpoint_path(place, sequence);
            log::decode::<StoredCheckpoint>(&path, &read(store, &path).await?)?.state.into()
        }
        None => DeliveryState::default(),
    };
    let covered = state.sequence;
    let last = store.numbers(&format!("{place}/log"), Some(covered)).await?.last().copied().unwrap_or(covered);
    let mut notes = stream::iter(covered + 1..=last)
        .map(|sequence| async move {
            let path = note_path(place, sequence);
            log::decode::<StoredNote>(&path, &read(store, &path).await?)
        })
        .buffered(READ_AHEAD);
    while let Some(stored) = notes.try_next().await? {
        state.apply(&stored.note);
        state.sequence = stored.sequence;
    }
    Ok((state, covered))
}

async fn read(store: &Store, path: &str) -> Result<Bytes, LedgerError> {
    let missing = || LedgerError::Corrupt {
        object: path.to_owned(),
        why: "it is missing, though there are later ones".to_owned(),
    };
    store.get(path).await?.ok_or_else(missing)
}

fn place(job: &JobName, sink: &SinkName) -> String {
    format!("delivery/{job}/{sink}")
}

fn note_path(place: &str, sequence: u64) -> String {
    numbered(&format!("{place}/log"), sequence)
}

fn checkpoint_path(place: &str, sequence: u64) -> String {
    numbered(&format!("{place}/checkpoint"), sequence)
}
