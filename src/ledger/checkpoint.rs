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

/// A checkpoint is due when so many entries have been written since the last.
pub(super) const EVERY: u64 = 100;

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

/// Reads the newest checkpoint; without one, the state of an empty log.
pub(super) async fn newest(store: &Store) -> Result<LedgerState, LedgerError> {
    let Some(sequence) = store.numbers(DIRECTORY, None).await?.pop() else { return Ok(LedgerState::default()) };
    let path = numbered(DIRECTORY, sequence);
    let missing = || LedgerError::Corrupt { object: path.clone(), why: "it is listed, but can't be read".to_owned() };
    let bytes = store.get(&path).await?.ok_or_else(missing)?;
    let checkpoint: Read = decode(&path, &bytes)?;
    if checkpoint.state.sequence() == sequence {
        Ok(checkpoint.state)
    } else {
        Err(LedgerError::Corrupt {
            object: path,
            why: format!("its state is of entry {}", checkpoint.state.sequence()),
        })
    }
}

/// Writes the state as a checkpoint, deletes old ones, and tells its sequence. Printing it may take a while, so it is done off the async threads.
pub(super) async fn write(store: &Store, state: &Arc<RwLock<LedgerState>>) -> Result<u64, LedgerError> {
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
    store.create(&path, bytes).await?;
    let all = store.numbers(DIRECTORY, None).await?;
    for old in &all[..all.len().saturating_sub(KEPT)] {
        store.delete(&numbered(DIRECTORY, *old)).await?;
    }
    Ok(sequence)
}
