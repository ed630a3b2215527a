//! Who gets how much of the memory limit: what a slice keeps until its last page is in, and what it takes to write it.

use super::collect::SliceMemory;
use super::extract::Extraction;
use crate::extract::http::{Room, Turn};
use crate::sink::SinkSpec;
use crate::transform::{SORTING, Sorter, dedupe, engine, spool};

/// The slices of a job together keep this part of the memory limit in memory as rows; what is more goes to a temporary file.
const SPOOLED: u64 = 8;

/// The least that a slice keeps, in bytes: below it a temporary file isn't worth it.
const LEAST_SPOOL: usize = 1 << 20;

/// The slices of a job together keep this part of the memory limit in memory as keys; what is more goes to temporary files.
const KEYED: u64 = 4;

/// The least that a slice keeps of keys, in bytes: below it the buffers of the files are the larger part.
const LEAST_KEYS: usize = 2 << 20;

/// The least that the SQL of a slice may take, in bytes: with less it can't even begin to sort from a file.
const LEAST_SQL: usize = 32 << 20;

impl Extraction {
    /// Returns how many bytes the SQL of a slice may take, and after it the sorting for each of its sinks, before they go on from
    /// temporary files: its share of the limit.
    pub(super) fn memory_of_sql(&self) -> usize {
        self.share(1).clamp(LEAST_SQL, engine::MEMORY_LIMIT)
    }

    /// Returns what a slice keeps in memory until its last page is in.
    pub(super) fn slice_memory(&self) -> SliceMemory {
        SliceMemory {
            rows: self.share(SPOOLED).clamp(LEAST_SPOOL, spool::DEFAULT_MEMORY_LIMIT),
            keys: self.share(KEYED).clamp(LEAST_KEYS, dedupe::DEFAULT_MEMORY_LIMIT),
        }
    }

    /// Returns the share of one slice of this part of the limit.
    fn share(&self, part: u64) -> usize {
        let limit = self.exchange.client.memory().limit() / u64::from(self.job.source.concurrency).max(1);
        usize::try_from(limit / part).unwrap_or(usize::MAX)
    }

    /// Waits for `bytes` of memory for work on a whole slice. Keep it until that is done.
    pub(super) async fn room(&self, bytes: u64) -> Room {
        let mut room = self.exchange.client.memory().room(Turn::now(), 0);
        // Whose turn it is gets what it asks for.
        let _ = room.grow(bytes).await;
        room
    }
}

/// How much memory it takes to write the rows of a slice, in bytes, about, beside its pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    /// While its rows come, where SQL lets them through one by one.
    pub(super) while_they_come: u64,
    /// Beside that, where its SQL may keep them.
    pub(super) in_sql: u64,
    /// Beside that, once they are all in, for the sinks that want them sorted, one after another.
    pub(super) sorted: u64,
}

impl Writing {
    /// Returns what it takes to write so many bytes of rows to `sinks`, where SQL and sorting have `engine` bytes each at most.
    pub(super) fn of<'a>(
        rows: u64,
        sinks: impl IntoIterator<Item = &'a SinkSpec>,
        has_sql: bool,
        engine: usize,
    ) -> Self {
        let waiting = rows.min(Sorter::waiting(engine) as u64);
        let engine = (engine as u64).min(rows) * SORTING;
        let mut takes = Self { while_they_come: 0, in_sql: if has_sql { engine } else { 0 }, sorted: 0 };
        for sink in sinks {
            if sink.sort_by.is_empty() {
                takes.while_they_come += sink.memory(rows);
            } else {
                takes.while_they_come += waiting;
                takes.sorted = takes.sorted.max(sink.memory(rows) + engine);
            }
        }
        takes
    }

    /// Returns what it takes in all: SQL has ended once the rows are all in.
    pub(super) fn most(self) -> u64 {
        self.while_they_come + self.in_sql.max(self.sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PipelineName;
    use crate::run::quarantine;
    use crate::sink::{PartitionField, SortKey};

    const MIB: u64 = 1 << 20;

    fn sinks() -> [SinkSpec; 3] {
        let plain = quarantine::sink("./state", &PipelineName::new("p"));
        let partition_by = vec![PartitionField::Column("part".to_owned())];
        let sort_by = vec![SortKey { column: "at".to_owned(), descending: false }];
        [plain.clone(), SinkSpec { partition_by, ..plain.clone() }, SinkSpec { sort_by, ..plain }]
    }

    #[test]
    fn a_small_slice_takes_little_of_the_limit() {
        let takes = Writing::of(1000, &sinks(), true, 64 << 20);
        assert_eq!((takes.while_they_come, takes.in_sql, takes.sorted), (5000, 2000, 4000));
        assert_eq!(takes.most(), 9000);
    }

    #[test]
    fn however_large_a_slice_is_it_takes_what_its_writers_gather_and_its_share_once() {
        let [plain, partitioned, sorted] = sinks();
        let of = |sinks: &[&SinkSpec], has_sql| Writing::of(u64::MAX, sinks.iter().copied(), has_sql, 64 << 20);
        let (one, engine) = (of(&[&plain], false).most(), SORTING * 64 * MIB);
        assert_eq!(one, of(&[&plain], false).while_they_come);
        assert_eq!(of(&[&plain], true).most(), one + engine);
        assert_eq!(of(&[&plain, &plain], false).most(), 2 * one);
        assert!(of(&[&partitioned], false).most() > one);
        // SQL and sorting come one after the other, and so do the sorted sinks.
        let waiting = 8 * MIB;
        for has_sql in [false, true] {
            assert_eq!(of(&[&sorted], has_sql).most(), one + engine + waiting);
            assert_eq!(of(&[&sorted, &sorted], has_sql).most(), one + engine + 2 * waiting);
        }
    }
}
