//! What is known of the rows of one sink that sends: the fold of its notes. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::{RowKey, RowKeys};
use crate::model::{FanoutKey, SliceId};

/// What is noted at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryNote {
    /// Rows that are there now: sent, or found.
    #[serde(default, skip_serializing_if = "RowKeys::is_empty")]
    pub sent: RowKeys,
    /// Rows that the server refused for good, and that are in quarantine.
    #[serde(default, skip_serializing_if = "RowKeys::is_empty")]
    pub refused: RowKeys,
    /// Rows whose request was surely not acted upon: they aren't in doubt any more.
    #[serde(default, skip_serializing_if = "RowKeys::is_empty")]
    pub unsent: RowKeys,
    /// Requests that are about to be sent, each with its rows. Until one of the above names them they are in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<RowKeys>,
    /// Of those requests, the ones that the server knows again: what they were, so that they can be sent again as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptRequest>,
    /// How many rows of these were in doubt, and may be there twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub maybe_sent: u64,
    /// Slices all of whose rows have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<DoneSlice>,
    /// Takes back all refusals, so that those rows are sent again; and requests in doubt needn't be sent again as they were.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forgive: bool,
    /// The columns by which rows are known from then on. Where they were others, `sent`, `refused` and `begun` are all that is known of
    /// rows by these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
}

/// What a request was that a server knows again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRequest {
    /// Which one: [`RowKey::of_rows`] of its rows, as text.
    pub request: String,
    /// A digest of its rows and of what the server knows it by.
    pub mark: String,
    /// Its rows, objects, in the order of their keys; none where they are too large to be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Value>,
}

/// A generation of a slice all of whose rows have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneSlice {
    /// The slice.
    pub slice: SliceId,
    /// The fan-out value, where the job has `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The generation.
    pub generation: u32,
}

/// What is known of the rows of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryState {
    pub(super) sequence: u64,
    sent: HashSet<RowKey>,
    refused: HashSet<RowKey>,
    /// Requests of which it isn't known whether they were heard.
    begun: Vec<RowKeys>,
    /// What some of them were.
    kept: BTreeMap<String, KeptRequest>,
    maybe_sent: u64,
    /// By slice and fan-out value: the generation.
    done: BTreeMap<(SliceId, Option<FanoutKey>), u32>,
    /// The columns by which rows are known; none where that was never noted.
    key: Vec<String>,
    /// How many of `sent` are known by other columns only, from before an edit.
    former: u64,
}

/// The state as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredState {
    sequence: u64,
    sent: RowKeys,
    refused: RowKeys,
    begun: Vec<RowKeys>,
    maybe_sent: u64,
    done: Vec<DoneSlice>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<KeptRequest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    former: u64,
}

impl DeliveryNote {
    /// Tells whether there is nothing to note.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl DeliveryState {
    /// Tells whether nothing more is to be done for a row.
    #[must_use]
    pub fn has_ended(&self, key: RowKey) -> bool {
        self.was_sent(key) || self.was_refused(key)
    }

    /// Tells whether a row is there: sent, or found.
    #[must_use]
    pub fn was_sent(&self, key: RowKey) -> bool {
        self.sent.contains(&key)
    }

    /// Tells whether the server refused a row for good.
    #[must_use]
    pub fn was_refused(&self, key: RowKey) -> bool {
        self.refused.contains(&key)
    }

    /// Returns the columns by which rows are known; none where that was never noted.
    #[must_use]
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// Tells whether all rows of a slice's generation have ended.
    #[must_use]
    pub fn is_done(&self, slice: &SliceId, key: Option<&FanoutKey>, generation: u32) -> bool {
        self.done.get(&(slice.clone(), key.cloned())) == Some(&generation)
    }

    /// Returns the requests of which it isn't known whether they were heard, each with its rows.
    #[must_use]
    pub fn in_doubt(&self) -> &[RowKeys] {
        &self.begun
    }

    /// Returns what a request in doubt was, where that is known.
    #[must_use]
    pub fn kept(&self, request: &RowKeys) -> Option<&KeptRequest> {
        self.kept.get(&request.id())
    }

    /// Returns how many rows are there: sent, or found.
    #[must_use]
    pub fn sent(&self) -> u64 {
        (self.sent.len() as u64).saturating_sub(self.former)
    }

    /// Returns the rows that the server refused for good.
    #[must_use]
    pub const fn refused_rows(&self) -> &HashSet<RowKey> {
        &self.refused
    }

    /// Returns how many rows the server refused for good.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.len() as u64
    }

    /// Returns how many rows were sent again though their request may have been heard.
    #[must_use]
    pub const fn maybe_sent(&self) -> u64 {
        self.maybe_sent
    }

    /// Folds a note in.
    pub(super) fn apply(&mut self, note: &DeliveryNote) {
        if note.forgive {
            self.refused.clear();
            self.done.clear();
            self.kept.values_mut().for_each(|request| request.rows.clear());
        }
        let is_rekeyed = !note.key.is_empty() && note.key != self.key && !self.key.is_empty();
        if is_rekeyed {
            self.refused.clear();
            self.begun.clear();
        }
        if !note.key.is_empty() {
            self.key.clone_from(&note.key);
        }
        let ended: HashSet<RowKey> = [&note.sent, &note.refused, &note.unsent]
            .into_iter()
            .chain(&note.begun)
            .flat_map(|keys| keys.0.iter().copied())
            .collect();
        for request in &mut self.begun {
            request.0.retain(|key| !ended.contains(key));
        }
        self.begun.retain(|request| !request.is_empty());
        self.sent.extend(&note.sent.0);
        self.refused.extend(&note.refused.0);
        self.begun.extend(note.begun.iter().cloned());
        self.kept.extend(note.kept.iter().map(|request| (request.request.clone(), request.clone())));
        if !self.kept.is_empty() {
            let open: HashSet<String> = self.begun.iter().map(RowKeys::id).collect();
            self.kept.retain(|request, _| open.contains(request));
        }
        if is_rekeyed {
            let known: HashSet<&RowKey> = note.sent.0.iter().collect();
            self.former = (self.sent.len() - known.len()) as u64;
        }
        self.maybe_sent += note.maybe_sent;
        for DoneSlice { slice, key, generation } in &note.done {
            self.done.insert((slice.clone(), key.clone()), *generation);
        }
    }

    /// Returns the number of keys that a checkpoint holds.
    pub(super) fn size(&self) -> usize {
        self.sent.len() + self.refused.len()
    }

    pub(super) fn stored(&self) -> StoredState {
        let sorted = |keys: &HashSet<RowKey>| RowKeys::from(&keys.iter().copied().collect::<BTreeSet<_>>());
        let done = self.done.iter().map(|((slice, key), generation)| DoneSlice {
            slice: slice.clone(),
            key: key.clone(),
            generation: *generation,
        });
        StoredState {
            sequence: self.sequence,
            sent: sorted(&self.sent),
            refused: sorted(&self.refused),
            begun: self.begun.clone(),
            maybe_sent: self.maybe_sent,
            done: done.collect(),
            kept: self.kept.values().cloned().collect(),
            key: self.key.clone(),
            former: self.former,
        }
    }
}

impl From<StoredState> for DeliveryState {
    fn from(stored: StoredState) -> Self {
        let done = stored.done.into_iter().map(|done| ((done.slice, done.key), done.generation));
        Self {
            sequence: stored.sequence,
            sent: stored.sent.0.into_iter().collect(),
            refused: stored.refused.0.into_iter().collect(),
            begun: stored.begun,
            kept: stored.kept.into_iter().map(|request| (request.request.clone(), request)).collect(),
            maybe_sent: stored.maybe_sent,
            done: done.collect(),
            key: stored.key,
            former: stored.former,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
