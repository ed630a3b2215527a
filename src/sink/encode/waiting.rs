//! Rows that wait to be encoded. Small batches are put together: a column's encoder takes as long to begin with a batch as for some
//! hundred values of it, and small pages, or the rows of many partitions, bring it a few at a time.
//!
//! What is put together depends on the rows of the row group alone, and not on when they are taken.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

use super::weight::{compact, weight};

/// Bytes for each leaf of the schema below which a batch is small.
const SMALL: usize = 4 * 1024;

/// Bytes for each leaf from which on small batches are enough for one.
const ENOUGH: usize = 8 * 1024;

/// The rows of a row group that aren't encoded yet.
#[derive(Default)]
pub(super) struct Waiting {
    leaves: usize,
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// Small batches that came after those.
    small: Vec<RecordBatch>,
    small_bytes: usize,
}

impl Waiting {
    /// Begins, for rows with so many leaves.
    pub(super) fn new(leaves: usize) -> Self {
        Self { leaves, ..Self::default() }
    }

    /// Adds rows.
    pub(super) fn push(&mut self, rows: RecordBatch) -> Result<(), ArrowError> {
        let bytes = weight(&rows);
        let rows = compact(rows, bytes)?;
        if bytes >= SMALL * self.leaves {
            self.join()?;
            self.bytes += bytes;
            self.rows.push(rows);
            return Ok(());
        }
        self.small_bytes += bytes;
        self.small.push(rows);
        if self.small_bytes >= ENOUGH * self.leaves { self.join() } else { Ok(()) }
    }

    /// Returns how many bytes all rows take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes + self.small_bytes
    }

    /// Returns how many bytes those take that [`Waiting::take`] gives.
    pub(super) const fn ready(&self) -> usize {
        self.bytes
    }

    /// Takes the rows of which it is decided in what batches they are encoded, and their bytes.
    pub(super) fn take(&mut self) -> (Vec<RecordBatch>, usize) {
        (std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes))
    }

    /// Takes all rows, after which others are of another row group.
    pub(super) fn take_all(&mut self) -> Result<(Vec<RecordBatch>, usize), ArrowError> {
        self.join()?;
        Ok(self.take())
    }

    /// Puts the small batches together.
    fn join(&mut self) -> Result<(), ArrowError> {
        let small = std::mem::take(&mut self.small);
        self.small_bytes = 0;
        let joined = match small.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            [first, ..] => concat_batches(first.schema_ref(), &small)?,
        };
        self.bytes += weight(&joined);
        self.rows.push(joined);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn numbers(from: i64, rows: usize) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(from..from + i64::try_from(rows).unwrap());
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap()
    }

    fn sizes(batches: &[RecordBatch]) -> Vec<usize> {
        batches.iter().map(RecordBatch::num_rows).collect()
    }

    #[test]
    fn small_batches_become_one_and_large_ones_stay_as_they_are() {
        let mut waiting = Waiting::new(1);
        for (from, rows) in [(0, 100), (100, 100), (200, 2_000), (2_200, 400), (2_600, 400), (3_000, 400), (3_400, 1)] {
            waiting.push(numbers(from, rows)).unwrap();
        }
        assert_eq!(sizes(&waiting.take().0), [200, 2_000, 1_200]);
        assert_eq!(sizes(&waiting.take_all().unwrap().0), [1]);
        assert_eq!((waiting.bytes(), waiting.ready()), (0, 0));
    }

    proptest! {
        #[test]
        fn whenever_they_are_taken_it_is_the_same_rows_in_the_same_batches(
            cuts in prop::collection::vec((1..1_500_usize, any::<bool>()), 0..40),
        ) {
            let (mut once, mut often) = (Waiting::new(1), Waiting::new(1));
            let (mut taken, mut from) = (Vec::new(), 0);
            for (rows, take) in cuts {
                let batch = numbers(from, rows);
                from += i64::try_from(rows).unwrap();
                once.push(batch.clone()).unwrap();
                often.push(batch).unwrap();
                if take {
                    prop_assert_eq!(often.ready() == 0, often.take().0.into_iter().map(|batch| taken.push(batch)).count() == 0);
                }
            }
            taken.extend(often.take_all().unwrap().0);
            let (whole, bytes) = once.take_all().unwrap();
            prop_assert_eq!(bytes, whole.iter().map(weight).sum::<usize>());
            prop_assert_eq!(&taken, &whole);
            let schema = numbers(0, 1).schema();
            let all = usize::try_from(from).unwrap();
            prop_assert_eq!(concat_batches(&schema, &whole).unwrap(), numbers(0, all).slice(0, all));
        }
    }
}
