//! Shards: how runs at once divide a pipeline's slices, with nothing to agree on but their number.
//!
//! Which shard a slice belongs to follows from its name alone. Windows are dealt out in turn, by their number on the grid of time: of any
//! `k` windows on end that a chain has, a shard gets `k / N`, rounded down or up. Where the turn begins differs from chain to chain, so
//! that many chains of one window each are spread too. What must stay together, a chain of increments or of snapshots, goes by a hash:
//! the rank of a fan-out value would change as others come and go. With few chains that is less even.
//!
//! What a shard plans follows from its own slices alone: the others'
//! may land before it looks, or after. So `lookback`, which counts from the last window that has landed, counts from the shard's
//! own last one. Counted from the last of all, a shard that begins a little later than the others would read fewer windows again,
//! since those that the others have landed meanwhile had moved the lookback on. All shards together read at least what a whole
//! run would read; and a few windows more, since a shard's own last one is older than the last of all.
//!
//! What all must agree on is agreed on in the ledger, by whoever comes first: the pinned start, the versions of the schema. Each
//! reads a fan-out's parents for itself, and takes of the keys it finds those that are its own. A snapshot carries the instant of the
//! run that read it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::model::{FanoutKey, JobName, SinkName, Slice, SliceKind, Window};

/// One of `of` parts of a pipeline's slices. Of the parts with the same `of` each slice belongs to exactly one, today and always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl Shard {
    /// All slices.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Makes shard `index` (from 0) of `of`; `None` unless `index < of`.
    #[must_use]
    pub const fn new(index: u32, of: u32) -> Option<Self> {
        if index < of { Some(Self { index, of }) } else { None }
    }

    /// Returns which one it is, from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Tells whether it has all slices.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Tells whether the slice is its. Windows are dealt out one by one; the slices of a chain, which must follow each other, stay
    /// together.
    #[must_use]
    pub fn takes(self, slice: &Slice) -> bool {
        match slice.kind {
            SliceKind::Window(window) => {
                let key = slice.key.as_ref().map(FanoutKey::digest).unwrap_or_default();
                let first = self.place(&["windows", slice.job.as_str(), &key]);
                self.is_whole() || self.remainder(u64::from(first) + ordinal(window, self.of)) == self.index
            }
            SliceKind::Incremental { .. } | SliceKind::Snapshot { .. } => {
                self.takes_chain(&slice.job, slice.key.as_ref())
            }
        }
    }

    /// Tells whether a chain is its: an incremental or a snapshot job, or one fan-out key of it.
    #[must_use]
    pub fn takes_chain(self, job: &JobName, key: Option<&FanoutKey>) -> bool {
        let key = key.map(FanoutKey::digest).unwrap_or_default();
        self.has(&["chain", job.as_str(), &key])
    }

    /// Tells whether it sends the rows of a sink that sends: each sink has one sender, so that no row is sent twice.
    #[must_use]
    pub fn sends(self, job: &JobName, sink: &SinkName) -> bool {
        self == self.sender(job, sink)
    }

    /// Returns the shard that sends the rows of a sink.
    #[must_use]
    pub fn sender(self, job: &JobName, sink: &SinkName) -> Self {
        Self { index: self.place(&["sink", job.as_str(), sink.as_str()]), of: self.of }
    }

    fn has(self, name: &[&str]) -> bool {
        self.is_whole() || self.place(name) == self.index
    }

    /// Returns the shard that something belongs to, by its name alone.
    fn place(self, name: &[&str]) -> u32 {
        self.remainder(hash(name))
    }

    fn remainder(self, number: u64) -> u32 {
        // It is less than `of`, a `u32`.
        u32::try_from(number % u64::from(self.of)).unwrap_or_default()
    }
}

/// Returns a number for a name. A hash that isn't ours to change: another one would give slices that a killed shard has begun
/// to other shards.
fn hash(name: &[&str]) -> u64 {
    Sha256::digest(name.join("\0")).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Returns the number of a window among those of its length, counted from 1970, modulo `of`. What is cut by another length once `every`
/// is edited is dealt out by that.
fn ordinal(window: Window, of: u32) -> u64 {
    let length = (window.to - window.from).num_microseconds().unwrap_or(i64::MAX).max(1);
    let number = window.from.timestamp_micros().div_euclid(length).rem_euclid(i64::from(of));
    number.unsigned_abs()
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, of)| Self::new(index.parse().ok()?, of.parse().ok()?));
        parsed.ok_or_else(|| {
            format!("'{text}' is no shard: expected I/N, I from 0 to N-1, such as 0/5 for the first of five")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::Value;

    use super::*;
    use crate::model::CursorValue;
    use crate::plan::Grid;

    fn window(job: &str, hour: i64, key: Option<&str>) -> Slice {
        let from = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hour);
        let window = Window { from, to: from + TimeDelta::hours(1) };
        Slice::new(JobName::new(job), key.map(fanout), Value::Null, SliceKind::Window(window))
    }

    fn fanout(host: &str) -> FanoutKey {
        FanoutKey::new([("host", host.into())])
    }

    fn increment(start: i64, key: &str) -> Slice {
        let kind = SliceKind::Incremental { series: 0, start: CursorValue(start.into()), end: None };
        Slice::new(JobName::new("j"), Some(fanout(key)), Value::Null, kind)
    }

    fn owners(of: u32, slice: &Slice) -> Vec<u32> {
        (0..of).filter(|index| Shard::new(*index, of).unwrap().takes(slice)).collect()
    }

    /// Windows on end, as the grid of `every` has them.
    fn cells(every: Duration, from: DateTime<Utc>, count: usize, key: Option<&str>) -> Vec<Slice> {
        let cells = Grid::new(every).unwrap().cells(from, DateTime::<Utc>::MAX_UTC).take(count);
        cells.map(|cell| Slice::new(JobName::new("j"), key.map(fanout), Value::Null, SliceKind::Window(cell))).collect()
    }

    /// How many slices each shard has.
    fn counts(of: u32, slices: &[Slice]) -> Vec<usize> {
        let shards = (0..of).map(|index| Shard::new(index, of).unwrap());
        shards.map(|shard| slices.iter().filter(|slice| shard.takes(slice)).count()).collect()
    }

    fn is_even(counts: &[usize]) -> bool {
        counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
    }

    proptest::proptest! {
        #[test]
        fn each_slice_belongs_to_exactly_one_shard(
            of in 1_u32..200, at in -4_000_000_000_i64..40_000_000_000, every in 1_u64..10_000_000, key: Option<String>,
        ) {
            let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(at);
            let window = &cells(Duration::from_secs(every), at, 1, key.as_deref())[0];
            proptest::prop_assert_eq!(owners(of, window).len(), 1);
        }

        /// Whichever windows on end are planned, and however long they are: those of a backfill, of a lookback, of a morning.
        #[test]
        fn windows_on_end_are_divided_evenly(
            of in 1_u32..40, at in -4_000_000_000_i64..4_000_000_000, every in 1_u64..10_000_000_000, count in 1_usize..100,
            key: Option<String>,
        ) {
            let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(at);
            let counts = counts(of, &cells(Duration::from_millis(every), at, count, key.as_deref()));
            proptest::prop_assert!(is_even(&counts), "{:?}", counts);
        }

        #[test]
        fn a_chain_stays_with_its_shard(of in 1_u32..50, one: i64, other: i64, key: String) {
            proptest::prop_assert_eq!(owners(of, &increment(one, &key)), owners(of, &increment(other, &key)));
        }
    }

    #[test]
    fn few_windows_are_divided_evenly_too() {
        // The last Sunday of March and of October among them: the grid is of UTC.
        for from in ["2026-01-01T00:00:00Z", "2026-03-24T13:30:00Z", "2026-10-20T00:00:00Z"] {
            for every in [Duration::from_secs(900), Duration::from_hours(1), Duration::from_hours(24)] {
                let counts = counts(5, &cells(every, from.parse().unwrap(), 10, None));
                assert_eq!(counts, [2; 5], "{every:?} from {from}");
            }
        }
    }

    #[test]
    fn many_chains_are_divided_evenly() {
        for of in [2, 3, 5, 8] {
            let chains: Vec<Slice> = (0..4000).map(|key| increment(7, &format!("host-{key}"))).collect();
            // One window each: where each chain's turn begins is what divides them.
            let windows: Vec<Slice> = (0..4000).map(|key| window("j", 7, Some(&format!("host-{key}")))).collect();
            for slices in [chains, windows] {
                let fair = 4000 / of as usize;
                let counts = counts(of, &slices);
                assert!(
                    counts.iter().all(|count| count.abs_diff(fair) < fair / 5),
                    "{counts:?}, a fair share is {fair}"
                );
            }
        }
    }

    #[test]
    fn the_division_is_fixed_for_ever() {
        let windows: Vec<u32> = (0..12).flat_map(|hour| owners(5, &window("j", hour, None))).collect();
        assert_eq!(windows, [3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
        let chains: Vec<u32> = (0..8).flat_map(|key| owners(5, &increment(7, &format!("host-{key}")))).collect();
        assert_eq!(chains, [2, 2, 4, 0, 3, 4, 2, 1]);
    }

    #[test]
    fn a_sink_has_one_sender() {
        let (job, sink) = (JobName::new("j"), SinkName::new("tickets"));
        let senders = (0..5).filter(|index| Shard::new(*index, 5).unwrap().sends(&job, &sink)).count();
        assert_eq!(senders, 1);
        assert!(Shard::WHOLE.sends(&job, &sink));
    }

    #[test]
    fn shards_parse_and_print() {
        assert_eq!("4/5".parse::<Shard>().unwrap().to_string(), "4/5");
        assert_eq!("0/1".parse(), Ok(Shard::WHOLE));
        for wrong in ["5/5", "0/0", "-1/5", "1", "", "a/b"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("expected I/N"), "{wrong}");
        }
    }
}
