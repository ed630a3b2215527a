//! Reading the log, and writing its next entry.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::entry::{Entry, FORMAT};
use super::state::LedgerState;
use super::store::{Put, Store, numbered};
use super::{LedgerError, checkpoint};

/// How many entries, or lists of files, are read at a time.
pub(super) const READ_AHEAD: usize = 32;

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is in the log.
    Written,
    /// Another writer's entry has the number.
    Lost(Box<Entry>),
}

/// Names the object of an entry.
pub(super) fn entry_path(sequence: u64) -> String {
    numbered("log", sequence)
}

/// Reads the state: the newest checkpoint and the entries after it. Also tells the checkpoint's sequence, 0 for none.
pub(super) async fn load(store: &Store) -> Result<(LedgerState, u64), LedgerError> {
    let mut state = checkpoint::newest(store).await?;
    let covered = state.sequence();
    let last = store.numbers("log", Some(covered)).await?.last().copied().unwrap_or(covered);
    let mut entries = stream::iter(covered + 1..=last)
        .map(|sequence| async move {
            read_entry(store, sequence).await?.ok_or_else(|| LedgerError::Corrupt {
                object: entry_path(sequence),
                why: format!("the entry is missing, though there is one of number {last}"),
            })
        })
        .buffered(READ_AHEAD);
    while let Some(entry) = entries.try_next().await? {
        state.apply(&entry)?;
    }
    Ok((state, covered))
}

/// Folds in what other writers have added since.
pub(super) async fn catch_up(store: &Store, state: &mut LedgerState) -> Result<(), LedgerError> {
    while let Some(entry) = read_entry(store, state.sequence() + 1).await? {
        state.apply(&entry)?;
    }
    Ok(())
}

/// Reads one entry; `None` where the log doesn't reach that far.
pub(super) async fn read_entry(store: &Store, sequence: u64) -> Result<Option<Entry>, LedgerError> {
    let path = entry_path(sequence);
    let Some(bytes) = store.get(&path).await? else { return Ok(None) };
    let entry: Entry = decode(&path, &bytes)?;
    if entry.sequence != sequence {
        return Err(LedgerError::Corrupt { object: path, why: format!("it says that it is entry {}", entry.sequence) });
    }
    Ok(Some(entry))
}

/// Puts `entry` under its number, unless that is taken.
///
/// Whether it is ours that stands there, the nonce tells. After an error its fate is unknown, and the writer must stop.
pub(super) async fn write_entry(store: &Store, entry: &Entry) -> Result<Outcome, LedgerError> {
    let path = entry_path(entry.sequence);
    let failed = match store.create(&path, encode(&path, entry)?).await {
        Ok(Put::Written) => return Ok(Outcome::Written),
        Ok(Put::Taken) => LedgerError::taken_and_gone(&path),
        Err(error) => error,
    };
    match read_entry(store, entry.sequence).await {
        Ok(Some(found)) if found.nonce == entry.nonce => Ok(Outcome::Written),
        Ok(Some(found)) => Ok(Outcome::Lost(Box::new(found))),
        Ok(None) => Err(failed),
        Err(error) => Err(error),
    }
}

/// Reads a stored object, unless a later version wrote it.
pub(super) fn decode<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, LedgerError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let corrupt = |error: serde_json::Error| LedgerError::Corrupt { object: path.to_owned(), why: error.to_string() };
    let head: Head = serde_json::from_slice(bytes).map_err(corrupt)?;
    if head.format > FORMAT {
        return Err(LedgerError::NewerFormat { object: path.to_owned(), format: head.format, known: FORMAT });
    }
    serde_json::from_slice(bytes).map_err(corrupt)
}

/// Prints an object for the store.
pub(super) fn encode<T: serde::Serialize>(path: &str, object: &T) -> Result<Bytes, LedgerError> {
    serde_json::to_vec(object).map(Bytes::from).map_err(|error| LedgerError::Corrupt {
        object: path.to_owned(),
        why: format!("can't be printed as JSON: {error}"),
    })
}
