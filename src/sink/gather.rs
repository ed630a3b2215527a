//! Rows that wait for the file of their partition, where more partitions come in turn than files may be open.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::error::ArrowError;

use super::partition::Groups;

/// Rows of many partitions, gathered until they are worth a file each. The batches are kept as they came, and each partition knows where its
/// rows are: a batch of a few rows for every partition of every page would be mostly overhead.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    batches: Vec<RecordBatch>,
    bytes: usize,
    /// The index of each partition in `parts`.
    by_dir: HashMap<String, usize>,
    /// By their first rows.
    parts: Vec<Waiting>,
}

/// The rows of one partition.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The directory below the root.
    pub(super) dir: String,
    /// Batch and row of each, in their order.
    rows: Vec<(usize, usize)>,
}

impl Gathered {
    /// Keeps the rows of `batch`.
    pub(super) fn push(&mut self, batch: &RecordBatch, groups: Groups) -> Result<(), ArrowError> {
        let at = self.batches.len();
        let of_group: Vec<usize> = groups.dirs.into_iter().map(|dir| self.part(dir)).collect();
        for (row, group) in groups.of_row.into_iter().enumerate() {
            self.parts[of_group[group as usize]].rows.push((at, row));
        }
        self.bytes += batch.num_rows() * size_of::<(usize, usize)>();
        for column in batch.columns() {
            // What the rows come to, not what is allocated for them: that depends on where the batch comes from.
            self.bytes += column.to_data().get_slice_memory_size()?;
        }
        self.batches.push(batch.clone());
        Ok(())
    }

    fn part(&mut self, dir: String) -> usize {
        let (next, parts) = (self.parts.len(), &mut self.parts);
        *self.by_dir.entry(dir).or_insert_with_key(|dir| {
            parts.push(Waiting { dir: dir.clone(), rows: Vec::new() });
            next
        })
    }

    /// Returns how many bytes its rows come to.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the partitions out, those first for which `is_open`, and among these by their first rows.
    pub(super) fn take_parts(&mut self, is_open: impl Fn(&str) -> bool) -> Vec<Waiting> {
        self.by_dir.clear();
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_by_key(|part| !is_open(&part.dir));
        parts
    }

    /// Returns the rows of a partition, so many at a time.
    pub(super) fn rows(&self, part: &Waiting, at_once: usize) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let batches: Vec<_> = self.batches.iter().collect();
        part.rows.chunks(at_once).map(move |rows| interleave_record_batch(&batches, rows))
    }
}
