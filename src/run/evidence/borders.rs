//! Rows of a job with no key that two pages in a row share: the list moved by some rows between them.

use std::hash::BuildHasher;

use arrow::array::RecordBatch;
use arrow::row::{RowConverter, SortField};

/// How many rows of a page are looked at one by one, at most: a list seldom moves by more between two requests.
const MOST_ROWS: usize = 1000;

/// How many bytes they take, about, at most. They are copied to be looked at, beside the page itself.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Returns how many rows of a page are looked at one by one.
pub(super) fn some_of(page: &RecordBatch) -> usize {
    let each = page.get_array_memory_size() / page.num_rows().max(1);
    (MOST_BYTES / each.max(1)).clamp(1, MOST_ROWS).min(page.num_rows())
}

/// The rows at the borders of pages, by the hashes of their values.
#[derive(Debug, Default)]
pub(super) struct Borders {
    /// The last rows of the page before.
    before: Vec<u64>,
    /// Whether a page began with the rows that the one before it ended with.
    pub(super) are_shared: bool,
}

impl Borders {
    /// Takes a page with rows.
    pub(super) fn take(&mut self, page: &RecordBatch, hasher: &impl BuildHasher) {
        let rows = some_of(page);
        let first = hashes(&page.slice(0, rows), hasher);
        self.are_shared |=
            (1..=rows.min(self.before.len())).any(|count| self.before.ends_with(&first[..count.min(first.len())]));
        self.before =
            if rows == page.num_rows() { first } else { hashes(&page.slice(page.num_rows() - rows, rows), hasher) };
    }
}

/// Hashes rows, each by its values. Equal rows of pages with other columns have other hashes; so have all where values have no order.
fn hashes(rows: &RecordBatch, hasher: &impl BuildHasher) -> Vec<u64> {
    let fields = rows.schema_ref().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let bytes = RowConverter::new(fields).and_then(|converter| converter.convert_columns(rows.columns()));
    bytes.map(|bytes| bytes.iter().map(|row| hasher.hash_one(row.as_ref())).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn shared(pages: &[&[i64]]) -> bool {
        let (mut borders, hasher) = (Borders::default(), std::hash::RandomState::new());
        for values in pages {
            let numbers: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
            let texts: ArrayRef =
                Arc::new(values.iter().map(|value| Some(format!("row {value}"))).collect::<StringArray>());
            borders.take(&RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap(), &hasher);
        }
        borders.are_shared
    }

    #[test]
    fn rows_that_come_again_at_the_next_page_are_noticed_however_many() {
        assert!(!shared(&[&[1, 2, 3], &[4, 5, 6], &[7]]));
        for again in [&[3, 4, 5], &[2, 3, 4], &[1, 2, 3]] {
            assert!(shared(&[&[1, 2, 3], again]), "{again:?}");
        }
        assert!(shared(&[&[1, 2], &[3], &[3]]), "of single rows too");
        assert!(!shared(&[&[1, 2, 3], &[4, 3, 5]]), "in the middle it may be another row that is equal");
    }

    #[test]
    fn of_large_pages_the_ends_are_compared() {
        let page = |from: i64| (from..from + 3000).collect::<Vec<_>>();
        assert!(!shared(&[&page(0), &page(3000)]));
        assert!(shared(&[&page(0), &page(2995)]));
        assert!(shared(&[&page(0), &page(2000)]));
    }

    #[test]
    fn of_large_rows_few_are_copied() {
        let text = "x".repeat(1 << 20);
        let texts: ArrayRef = Arc::new((0..50).map(|_| Some(&text)).collect::<StringArray>());
        let rows = some_of(&RecordBatch::try_from_iter([("t", texts)]).unwrap());
        assert!((1..=4).contains(&rows), "{rows}");
    }
}
