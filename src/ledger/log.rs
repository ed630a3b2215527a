//! Reading the log, and writing its next entry.

use std::time::Duration;

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

/// How often an entry is put before a store that answers with errors is given up.
const PUT_TRIES: u32 = 5;

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
/// An error of the store proves nothing: the entry may have been written, may be on its way, or not. So the entry is read
/// back (the nonce tells whose it is) and put again, always the same bytes under the same name. After [`PUT_TRIES`] its fate
/// is unknown, and the writer must stop.
pub(super) async fn write_entry(store: &Store, entry: &Entry, pause: Duration) -> Result<Outcome, LedgerError> {
    let path = entry_path(entry.sequence);
    let bytes = encode(&path, entry)?;
    let mut tries = 1;
    loop {
        let failed = match store.create(&path, bytes.clone()).await {
            Ok(Put::Written) => return Ok(Outcome::Written),
            Ok(Put::Taken) => None,
            Err(error) => Some(error),
        };
        match (read_entry(store, entry.sequence).await, failed) {
            (Ok(Some(found)), _) if found.nonce == entry.nonce => return Ok(Outcome::Written),
            (Ok(Some(found)), _) => return Ok(Outcome::Lost(Box::new(found))),
            (Err(error @ (LedgerError::Corrupt { .. } | LedgerError::NewerFormat { .. })), _) => return Err(error),
            (Ok(None), None) => {
                return Err(LedgerError::Corrupt {
                    object: path,
                    why: "its name is taken, but it isn't there".to_owned(),
                });
            }
            (_, Some(error)) | (Err(error), None) => {
                if tries == PUT_TRIES {
                    return Err(error);
                }
                tracing::warn!(entry = %path, tries, error = %crate::objects::chain(&error), "an entry of the ledger couldn't be written, trying again");
                tokio::time::sleep(pause * tries).await;
                tries += 1;
            }
        }
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
