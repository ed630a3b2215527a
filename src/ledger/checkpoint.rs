//! Checkpoints: the whole state as one object, so that a reader needn't read the log from its start.
//!
//! A checkpoint holds nothing that the log doesn't: the fold is deterministic, so whoever writes the one of a sequence writes
//! the same, and a lost race is none.

use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::entry::FORMAT;
use super::log::{decode, encode};
use super::state::LedgerState;
use super::store::{Store, numbered};
use super::writer::reading;

/// A checkpoint is due when so many entries have been written since the last, at the earliest.
const EVERY: u64 = 100;

/// And at the latest: a reader reads them one by one.
const AT_LATEST: u64 = 1000;

/// Between the two a checkpoint is due when it costs no more than so many bytes an entry. The state of 20,000 slices has 10 MB:
/// printed after each hundred entries, it would cost more than they do.
const BYTES_AN_ENTRY: u64 = 10_000;

/// How many checkpoints stay. One would do; a reader that is slow finds the one that it has seen listed.
pub(super) const KEPT: usize = 3;

/// Where they lie.
pub(super) const DIRECTORY: &str = "checkpoint";

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    sequence: u64,
    state: &'a LedgerState,
}

#[derive(Deserialize)]
struct Read {
    state: LedgerState,
}

/// Reads the newest checkpoint that is whole; without one, the state of an empty log. One that is damaged costs no more than the reading of
/// further entries, as long as the log reaches back to the one before it.
pub(super) async fn newest(store: &Store) -> Result<LedgerState, LedgerError> {
    let mut damages = Vec::new();
    let mut state = None;
    for sequence in store.numbers(DIRECTORY, None).await?.into_iter().rev() {
        match read(store, sequence).await {
            Err(damage @ LedgerError::Corrupt { .. }) => damages.push(damage),
            read => {
                state = Some(read?);
                break;
            }
        }
    }
    if state.is_none() && !damages.is_empty() && store.numbers("log", None).await?.first() != Some(&1) {
        return Err(damages.swap_remove(0));
    }
    for damage in damages {
        tracing::warn!(%damage, "a checkpoint is damaged, and isn't needed: the log is read from before it");
    }
    Ok(state.unwrap_or_default())
}

async fn read(store: &Store, sequence: u64) -> Result<LedgerState, LedgerError> {
    let path = numbered(DIRECTORY, sequence);
    let missing = || LedgerError::Corrupt { object: path.clone(), why: "it is listed, but can't be read".to_owned() };
    let bytes = store.get(&path).await?.ok_or_else(missing)?;
    let checkpoint: Read = decode(&path, &bytes)?;
    if checkpoint.state.sequence() == sequence {
        return Ok(checkpoint.state);
    }
    let why = format!("its state is of entry {}", checkpoint.state.sequence());
    Err(LedgerError::Corrupt { object: path, why })
}

/// A checkpoint that was written, or found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    /// The sequence of the last entry that it holds; 0 where there is none.
    pub(super) sequence: u64,
    /// Its size; 0 where that isn't known.
    pub(super) bytes: u64,
}

impl Last {
    /// Tells whether the next one is due after entry `sequence`.
    pub(super) const fn is_behind(self, sequence: u64) -> bool {
        let entries = sequence - self.sequence;
        entries >= EVERY && (entries >= AT_LATEST || entries >= self.bytes / BYTES_AN_ENTRY)
    }
}

/// Writes the state as a checkpoint, and deletes old ones. Printing it may take a while, so it is done off the async threads.
pub(super) async fn write(store: &Store, state: &Arc<RwLock<LedgerState>>) -> Result<Last, LedgerError> {
    let state = Arc::clone(state);
    let print = move || {
        let state = reading(&state);
        let sequence = state.sequence();
        let path = numbered(DIRECTORY, sequence);
        encode(&path, &Written { format: FORMAT, sequence, state: &state }).map(|bytes| (sequence, path, bytes))
    };
    let printed = tokio::task::spawn_blocking(print).await;
    let (sequence, path, bytes) = printed.unwrap_or_else(|panicked| {
        Err(LedgerError::Corrupt { object: DIRECTORY.to_owned(), why: format!("printing it panicked: {panicked}") })
    })?;
    let last = Last { sequence, bytes: bytes.len() as u64 };
    store.create(&path, bytes).await?;
    let all = store.numbers(DIRECTORY, None).await?;
    for old in &all[..all.len().saturating_sub(KEPT)] {
        store.delete(&numbered(DIRECTORY, *old)).await?;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_a_checkpoint_the_rarer_it_is_and_never_rarer_than_a_thousand_entries() {
        let due = |bytes| (20..2000).find(|sequence| Last { sequence: 20, bytes }.is_behind(*sequence)).unwrap() - 20;
        assert_eq!([0, 900_000, 2_000_000, 9_000_000, u64::MAX].map(due), [100, 100, 200, 900, 1000]);
    }
}
