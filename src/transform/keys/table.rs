//! Keys in memory.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::run::Item;

/// Keys, each once and with a number: found by a hash, and compared byte by byte only where hashes agree. No key has an
/// allocation of its own, and no hash is kept.
#[derive(Debug, Default)]
pub(super) struct Table {
    hasher: DefaultHashBuilder,
    /// The keys, one after another.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Where the entries of a hash are.
    places: HashTable<usize>,
}

#[derive(Debug)]
struct Entry {
    /// Where the key ends in the bytes. It begins where the one before ends.
    end: usize,
    number: u64,
}

/// What a key takes beside its bytes: its entry, and its place, of which at least seven in sixteen are in use.
const BESIDE: usize = size_of::<Entry>() + (size_of::<usize>() + 1) * 16 / 14;

impl Table {
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Returns the number of `key`, whose hash is `hash`.
    pub(super) fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut u64> {
        let is_key = |at: &usize| key_of(&self.bytes, &self.entries, *at) == key;
        let at = *self.places.find(hash, is_key)?;
        Some(&mut self.entries[at].number)
    }

    /// Adds `key`, which isn't there yet.
    pub(super) fn add(&mut self, hash: u64, key: &[u8], number: u64) {
        self.bytes.extend_from_slice(key);
        self.entries.push(Entry { end: self.bytes.len(), number });
        let rehash = |at: &usize| self.hasher.hash_one(key_of(&self.bytes, &self.entries, *at));
        self.places.insert_unique(hash, self.entries.len() - 1, rehash);
    }

    /// Returns about how many bytes the keys take. Since what they lie in grows by doubling, it may be twice as large.
    pub(super) fn used_bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * BESIDE
    }

    /// Returns how many bytes are allocated.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>() + self.places.allocation_size()
    }

    /// Returns the keys, sorted by hash, those of one hash by their bytes.
    pub(super) fn sorted(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        let key = |at| key_of(&self.bytes, &self.entries, at);
        let mut order: Vec<(u64, usize)> = (0..self.entries.len()).map(|at| (self.hash(key(at)), at)).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
        order.into_iter().map(move |(hash, at)| Item { hash, number: self.entries[at].number, key: key(at) })
    }

    /// Empties it. What is allocated stays.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.places.clear();
    }
}

/// Returns the bytes of the key that was added after `at` others.
fn key_of<'a>(bytes: &'a [u8], entries: &[Entry], at: usize) -> &'a [u8] {
    let start = at.checked_sub(1).map_or(0, |before| entries[before].end);
    &bytes[start..entries[at].end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_hash_are_told_apart_by_their_bytes() {
        let mut table = Table::default();
        for (number, key) in [b"a", b"b", b"c"].into_iter().enumerate() {
            assert_eq!(table.get_mut(7, key), None);
            table.add(7, key, number as u64);
        }
        assert_eq!([b"a", b"b", b"c"].map(|key| table.get_mut(7, key).copied()), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn what_is_allocated_is_at_most_twice_what_is_used() {
        let mut table = Table::default();
        for number in 0_u64..200_000 {
            let key = number.to_be_bytes();
            table.add(table.hash(&key), &key, number);
            let (used, allocated) = (table.used_bytes(), table.allocated_bytes());
            assert!(number < 1000 || allocated <= used * 2 + used / 8, "{number}: {allocated} of {used}");
        }
        // Found again after the table has grown many times.
        for number in 0_u64..200_000 {
            let key = number.to_be_bytes();
            assert_eq!(table.get_mut(table.hash(&key), &key).copied(), Some(number));
        }
    }
}
