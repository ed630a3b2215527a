//! What a slice's pages prove beside their rows: how many rows the server put on them, and whether any of them are new.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use arrow::array::{Array as _, ArrayData, RecordBatch};

use crate::model::{EndReason, Reconciliation};

/// The evidence of one slice.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Rows that the server put on the pages.
    server_rows: u64,
    /// Whether a page had another number of records than of rows: a jq program made several of one, or none.
    exploded: bool,
    /// The rows that have no key, each once, by the hash of its text.
    unkeyed: HashSet<u64>,
    /// The pages of a job with no key, by the hash of their rows.
    pages: HashSet<u64>,
    totals: (Option<u64>, Option<u64>),
}

impl Evidence {
    /// Notes the total that a page stated.
    pub(super) fn note_total(&mut self, total: Option<u64>) {
        if total.is_some() {
            self.totals = (self.totals.0.or(total), total);
        }
    }

    /// Notes a page: its rows by the server's count and by ours.
    pub(super) const fn note_page(&mut self, server_rows: u64, received: u64) {
        self.server_rows += server_rows;
        self.exploded |= server_rows != received;
    }

    /// Notes a row that has no key, by its text: a bad row that came twice is still one row. Returns whether it is new.
    pub(super) fn note_unkeyed(&mut self, row: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.unkeyed.insert(hasher.finish())
    }

    /// Tells whether the rows of a page of a job with no key are new. They aren't where an earlier page was the same, unless the
    /// server has stated a total that leaves room for them: rows without a key may be equal.
    pub(super) fn is_new(&mut self, batch: &RecordBatch) -> bool {
        let mut hasher = DefaultHasher::new();
        batch.num_rows().hash(&mut hasher);
        for column in batch.columns() {
            hash(&column.to_data(), &mut hasher);
        }
        let known = !self.pages.insert(hasher.finish());
        !known || self.totals.1.is_some_and(|total| self.server_rows <= total)
    }

    /// Weighs the evidence at the slice's end. `keys` is the number of different keys, for a job with `key`.
    ///
    /// A total counts the server's rows: good and bad ones, each once as far as keys can tell; where a program made records of
    /// them, the rows that it was given.
    pub(super) fn weigh(&self, received: u64, keys: Option<u64>, end: EndReason) -> Reconciliation {
        let distinct = match keys {
            _ if self.exploded => self.server_rows,
            Some(keys) => keys + self.unkeyed.len() as u64,
            None => received,
        };
        Reconciliation::of(received, distinct, self.totals, end)
    }
}

/// Hashes the values of an array. Arrays of equal values may differ in ways that this sees, so that equal hashes are proof and
/// different ones aren't.
fn hash(data: &ArrayData, hasher: &mut DefaultHasher) {
    for buffer in data.buffers() {
        hasher.write(buffer.as_slice());
    }
    if let Some(nulls) = data.nulls() {
        hasher.write(nulls.validity());
    }
    for child in data.child_data() {
        hash(child, hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;
    use crate::model::Verdict;

    fn page(values: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter([("id", column)]).unwrap()
    }

    #[test]
    fn a_page_that_came_before_is_not_new() {
        let mut evidence = Evidence::default();
        assert!(evidence.is_new(&page(&[1, 2])));
        assert!(evidence.is_new(&page(&[2, 1])));
        assert!(!evidence.is_new(&page(&[1, 2])));
    }

    #[test]
    fn a_total_leaves_room_for_equal_pages() {
        let mut evidence = Evidence::default();
        evidence.note_total(Some(4));
        let mut take = || {
            evidence.note_page(2, 2);
            evidence.is_new(&page(&[0, 0]))
        };
        assert_eq!([take(), take(), take()], [true, true, false]);
    }

    #[test]
    fn bad_rows_are_rows_of_the_total() {
        let mut evidence = Evidence::default();
        evidence.note_total(Some(3));
        assert!(evidence.note_unkeyed("{}"));
        assert!(!evidence.note_unkeyed("{}"));
        assert_eq!(evidence.weigh(4, Some(2), EndReason::EmptyPage).verdict, Verdict::Complete);
    }
}
