//! What the ledger no longer needs: entries that checkpoints cover, after seven days; checkpoints of before; lists that nothing names.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::state::LedgerState;
use super::store::{Store, numbered};
use super::{Ledger, LedgerError, checkpoint};

/// How long an entry is kept that a checkpoint covers: for people, and for readers that are slow.
const ENTRIES_KEPT: TimeDelta = TimeDelta::days(7);

/// An object of the ledger that isn't needed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Spare {
    /// Its path below the pipeline's state.
    pub object: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Why it isn't needed.
    pub why: &'static str,
}

/// Returns the entries that all kept checkpoints cover and that are older than seven days, oldest first: the log stays without gaps.
async fn old_entries(store: &Store, now: DateTime<Utc>) -> Result<Vec<Spare>, LedgerError> {
    let checkpoints = store.numbers(checkpoint::DIRECTORY, None).await?;
    // A reader that has listed the oldest one that is kept goes on from there.
    let covered = checkpoints.iter().rev().take(checkpoint::KEPT).min().copied().unwrap_or_default();
    let last = numbered("log", covered);
    let mut entries = store.objects("log").await?;
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    let old = entries.into_iter().take_while(|entry| entry.path <= last && entry.written < now - ENTRIES_KEPT);
    let why = "an entry that checkpoints cover, older than seven days";
    Ok(old.map(|entry| Spare { object: entry.path, bytes: entry.bytes, why }).collect())
}

/// Deletes the entries that aren't needed any more.
pub(super) async fn entries(store: &Store, now: DateTime<Utc>) -> Result<usize, LedgerError> {
    let old = old_entries(store, now).await?;
    for entry in &old {
        store.delete(&entry.object).await?;
    }
    Ok(old.len())
}

impl Ledger {
    /// Returns what the ledger doesn't need by `state`. While a run goes on, a list that it is about to name may be among it.
    ///
    /// # Errors
    ///
    /// As [`Self::read_state`].
    pub async fn spare(&self, state: &LedgerState) -> Result<Vec<Spare>, LedgerError> {
        let mut spare = old_entries(&self.store, self.clock.now()).await?;
        let mut checkpoints = self.store.objects(checkpoint::DIRECTORY).await?;
        checkpoints.sort_by(|one, other| one.path.cmp(&other.path));
        checkpoints.truncate(checkpoints.len().saturating_sub(checkpoint::KEPT));
        let why = "a checkpoint of before the last three";
        spare.extend(checkpoints.into_iter().map(|object| Spare { object: object.path, bytes: object.bytes, why }));
        let named: BTreeSet<String> = state.lists().map(str::to_owned).collect();
        let why = "a list of files of a generation that is gone";
        let lists = self.store.objects("files").await?.into_iter();
        let lists = lists.filter(|list| !named.contains(&list.path) && is_list(&list.path));
        spare.extend(lists.map(|object| Spare { object: object.path, bytes: object.bytes, why }));
        Ok(spare)
    }

    /// Deletes what [`Self::spare`] found. Only for the holder of the lease of the whole pipeline.
    ///
    /// # Errors
    ///
    /// The store can't delete it.
    pub async fn discard(&self, spare: &Spare) -> Result<(), LedgerError> {
        self.store.delete(&spare.object).await
    }
}

/// Tells whether an object has the name that a writer gives a list of files, `...-g1.json` or `...-g1-2.json`: what else lies there isn't ours to
/// delete.
fn is_list(path: &str) -> bool {
    let generation =
        path.strip_suffix(".json").and_then(|stem| stem.rsplit_once("-g")).map(|(_, generation)| generation);
    generation.is_some_and(|generation| {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        generation.splitn(2, '-').all(is_number)
    })
}

impl LedgerState {
    /// Returns the lists of files that the log still needs: of what has landed, stands, is published, is kept, or is to be deleted.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.jobs.values().flat_map(|job| job.keys.values()).flat_map(|key| key.slices.values()).flat_map(|slice| {
            let landed = slice.landed.iter().chain(&slice.outdated).filter_map(|landed| landed.list.as_deref());
            let published = slice.published.iter().filter_map(|landing| landing.list.as_deref());
            landed
                .chain(published)
                .chain(slice.replaced.iter().chain(&slice.kept).map(|replaced| replaced.list.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[tokio::test]
    async fn entries_go_once_they_are_old_and_covered_and_never_leave_a_gap() {
        let store = Store::new(Arc::new(InMemory::new()), Path::from("state/p"));
        let put = async |path: String| store.create(&path, Bytes::from_static(b"{}")).await.unwrap();
        for sequence in 1..=9 {
            put(numbered("log", sequence)).await;
        }
        let left = async || store.numbers("log", None).await.unwrap();
        let now = SystemClock.now();
        let later = now + TimeDelta::days(8);
        assert_eq!(entries(&store, later).await.unwrap(), 0, "no checkpoint covers them");
        for sequence in [2, 4, 6, 8] {
            put(numbered(checkpoint::DIRECTORY, sequence)).await;
        }
        assert_eq!(entries(&store, now + TimeDelta::days(6)).await.unwrap(), 0, "they are too young");
        assert_eq!(entries(&store, later).await.unwrap(), 4);
        assert_eq!(left().await, [5, 6, 7, 8, 9], "the oldest checkpoint that stays is that of entry 4");
        assert_eq!(entries(&store, later).await.unwrap(), 0);
    }
}
