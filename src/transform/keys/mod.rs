//! The keys of a slice, each once and with a number: exactly, and in bounded memory.
//!
//! They are in memory until they take a quarter of the limit. Then they are written to a temporary file, sorted by hash: a run. Eight
//! runs of a tier are merged into one of the next tier, so that there are few of them whatever the number of keys. Which run may have
//! a key is told by a Bloom filter in memory; a run that may have it is asked by reading the one block where the key would be.
//!
//! What it takes, of the limit: a quarter for the keys in memory, and as much again for the room that they grow into; a quarter for
//! the filters, which let more keys pass where there are more than fit; the rest for the marks of the runs' blocks and for merging.

mod run;
mod table;

use std::io;

use self::run::Run;
use self::table::Table;

/// How many runs of one tier become one of the next.
const FAN: usize = 8;

/// Keys, each with a number. No two different keys are ever taken for one.
#[derive(Debug)]
pub(super) struct Keys {
    memory_limit: usize,
    memory: Table,
    /// The runs of each tier, the oldest first. Those of a higher tier are older.
    tiers: Vec<Vec<Run>>,
    /// To read into.
    block: Vec<u8>,
}

impl Keys {
    /// Makes it empty. It takes at most `memory_limit` bytes of memory.
    pub(super) fn new(memory_limit: usize) -> Self {
        Self { memory_limit, memory: Table::default(), tiers: Vec::new(), block: Vec::new() }
    }

    /// Gives `key` a number. Returns the one that it had, none where the key is new.
    ///
    /// # Errors
    /// A temporary file that fails. The keys are of no use then.
    pub(super) fn replace(&mut self, key: &[u8], number: u64) -> io::Result<Option<u64>> {
        let hash = self.memory.hash(key);
        if let Some(held) = self.memory.get_mut(hash, key) {
            return Ok(Some(std::mem::replace(held, number)));
        }
        let before = self.find(hash, key)?;
        self.memory.add(hash, key, number);
        if self.memory.used_bytes() > self.memory_limit / 4 {
            self.spill()?;
        }
        Ok(before)
    }

    /// Looks for a key on disk, in the latest run first: what it says holds.
    fn find(&mut self, hash: u64, key: &[u8]) -> io::Result<Option<u64>> {
        for run in self.tiers.iter().flat_map(|tier| tier.iter().rev()) {
            if let Some(number) = run.find(hash, key, &mut self.block)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Writes what is in memory to a run.
    fn spill(&mut self) -> io::Result<()> {
        let mut run = Run::write(self.memory.sorted(), self.memory.used_bytes() as u64, self.room())?;
        self.memory.clear();
        for tier in 0.. {
            if tier == self.tiers.len() {
                self.tiers.push(Vec::new());
            }
            self.tiers[tier].push(run);
            if self.tiers[tier].len() < FAN {
                break;
            }
            let full = std::mem::take(&mut self.tiers[tier]);
            run = Run::merge(full, self.room())?;
        }
        Ok(())
    }

    /// Returns how many bytes are left for filters.
    fn room(&self) -> usize {
        let taken: usize = self.tiers.iter().flatten().map(Run::filter_bytes).sum();
        (self.memory_limit / 4).saturating_sub(taken)
    }

    /// Returns how many bytes of memory are allocated.
    pub(super) fn allocated_bytes(&self) -> usize {
        let runs = self.tiers.iter().flatten().map(|run| run.filter_bytes() + run.mark_bytes()).sum::<usize>();
        self.memory.allocated_bytes() + runs + self.block.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A key of some length, and none that another number has.
    fn key(number: u16) -> Vec<u8> {
        let mut key = format!("{number}").into_bytes();
        key.resize(key.len() + usize::from(number) % 50, b'.');
        key
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// However little is in memory, and so however often it is written and merged.
        #[test]
        fn keys_have_the_number_that_they_were_given_last(
            limit in prop_oneof![Just(0_usize), 1000_usize..20_000, Just(1 << 20)],
            given in prop::collection::vec(0_u16..900, 0..2500),
        ) {
            let (mut keys, mut model) = (Keys::new(limit), HashMap::new());
            for (number, at) in (0_u64..).zip(given) {
                let key = key(at);
                prop_assert_eq!(keys.replace(&key, number).unwrap(), model.insert(key, number));
                prop_assert!(keys.tiers.iter().all(|tier| tier.len() < FAN));
            }
            for (key, number) in model {
                prop_assert_eq!(keys.replace(&key, number).unwrap(), Some(number));
            }
        }
    }

    #[test]
    fn memory_stays_below_the_limit() {
        let limit = 1 << 20;
        let (mut keys, mut most) = (Keys::new(limit), 0);
        let key = |number: u64| format!("key-{number}").into_bytes();
        for number in 0..150_000 {
            assert_eq!(keys.replace(&key(number), number).unwrap(), None);
            most = most.max(keys.allocated_bytes());
        }
        assert!(keys.tiers.len() == 2 && most <= limit, "{} tiers, {most} bytes", keys.tiers.len());
        for number in (0..150_000).step_by(1000) {
            assert_eq!(keys.replace(&key(number), 0).unwrap(), Some(number));
        }
        assert_eq!(keys.replace(b"key-150000", 0).unwrap(), None);
    }

    #[test]
    fn few_keys_need_no_file() {
        let mut keys = Keys::new(1 << 20);
        for number in 0_u64..5000 {
            keys.replace(&number.to_be_bytes(), number).unwrap();
        }
        assert!(keys.tiers.is_empty());
    }
}
