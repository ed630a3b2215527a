//! Rows of a job with no key that two pages in a row share: the list moved by some rows between them.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, Scalar, UInt32Array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::take_record_batch;

/// How many rows of a page are looked at one by one, at most: a list seldom moves by more between two requests.
const MOST_ROWS: usize = 1000;

/// How many bytes they take, about, at most. They are copied to be looked at, beside the page itself.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Returns how many rows of a page are looked at one by one.
pub(super) fn some_of(page: &RecordBatch) -> usize {
    let each = page.get_array_memory_size() / page.num_rows().max(1);
    (MOST_BYTES / each.max(1)).clamp(1, MOST_ROWS).min(page.num_rows())
}

/// The last rows of a page that are compared.
const KEPT: usize = 4;

/// Bytes of a page that may stay for them. To copy them out of many columns takes longer than to compare them.
const MOST_KEPT: usize = 2 * 1024 * 1024;

/// The rows at the borders of pages.
#[derive(Debug, Default)]
pub(super) struct Borders {
    /// The last rows of the page before, maybe with others before them.
    before: Option<RecordBatch>,
    /// Whether a page began with the rows that the one before it ended with.
    pub(super) are_shared: bool,
}

impl Borders {
    /// Takes a page with rows: how it begins, and how it ends.
    pub(super) fn take(&mut self, begins: &RecordBatch, ends: &RecordBatch) {
        if self.are_shared {
            return;
        }
        self.are_shared = self.before.as_ref().is_some_and(|before| is_shared(before, begins));
        self.before = last_of(ends);
    }
}

/// Returns the last rows of a page: a copy where all of it would be too much to keep.
fn last_of(page: &RecordBatch) -> Option<RecordBatch> {
    let from = page.num_rows().saturating_sub(KEPT);
    if from == 0 || page.get_array_memory_size() <= MOST_KEPT {
        return Some(page.clone());
    }
    let kept: UInt32Array = (from..page.num_rows()).map(|at| u32::try_from(at).ok()).collect();
    take_record_batch(page, &kept).ok()
}

/// Tells whether a page begins with the rows that the one before ended with, of which `before` has the last.
fn is_shared(before: &RecordBatch, page: &RecordBatch) -> bool {
    if before.schema_ref().fields() != page.schema_ref().fields() || before.num_rows() == 0 {
        return false;
    }
    let last = before.slice(before.num_rows() - 1, 1);
    let like = rows_like(last.columns(), page.columns(), (0..some_of(page)).collect());
    like.into_iter().any(|at| {
        let rows = (at + 1).min(before.num_rows()).min(KEPT);
        before.slice(before.num_rows() - rows, rows) == page.slice(at + 1 - rows, rows)
    })
}

/// Returns those of `rows` that have, in all `columns`, the values of `last`, whose columns have one row.
fn rows_like(last: &[ArrayRef], columns: &[ArrayRef], mut rows: Vec<usize>) -> Vec<usize> {
    let mut columns: Vec<_> = last.iter().zip(columns).collect();
    // Few rows are left for those that have to be compared one by one.
    columns.sort_by_key(|(_, column)| column.data_type().is_nested());
    for (last, column) in columns {
        if rows.is_empty() {
            break;
        }
        rows = values_like(last, column, rows);
    }
    rows
}

/// As [`rows_like`], for one column.
fn values_like(last: &ArrayRef, column: &ArrayRef, rows: Vec<usize>) -> Vec<usize> {
    if let (Some(last), Some(column)) = (last.as_struct_opt(), column.as_struct_opt()) {
        let is_there = last.is_valid(0);
        let rows = rows.into_iter().filter(|at| column.is_valid(*at) == is_there).collect();
        return if is_there { rows_like(last.columns(), column.columns(), rows) } else { rows };
    }
    let most = rows.last().map_or(0, |last| last + 1);
    // The fast way is for plain values.
    match not_distinct(&column.slice(0, most), &Scalar::new(last)) {
        Ok(like) => rows.into_iter().filter(|at| like.value(*at)).collect(),
        Err(_) => rows.into_iter().filter(|at| column.slice(*at, 1).as_ref() == last.as_ref()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, StructArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{Field, Fields, Int64Type};

    use super::*;

    fn shared(pages: &[&[i64]]) -> bool {
        let mut borders = Borders::default();
        for values in pages {
            let numbers: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
            let texts: ArrayRef =
                Arc::new(values.iter().map(|value| Some(format!("row {value}"))).collect::<StringArray>());
            let page = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
            borders.take(&page, &page);
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

    /// A page of one nested column: a number and a list within an object within an object, each null where there is no number.
    fn nested(values: &[Option<i64>]) -> RecordBatch {
        let is_there = || values.iter().map(Option::is_some).collect::<NullBuffer>();
        let object = |columns: Vec<(&str, ArrayRef)>| -> ArrayRef {
            let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
            let fields: Fields = columns.iter().map(field).collect();
            let columns = columns.into_iter().map(|(_, column)| column).collect();
            Arc::new(StructArray::new(fields, columns, Some(is_there())))
        };
        // What lies under a null decides nothing.
        let numbers = values.iter().enumerate().map(|(at, value)| value.or(i64::try_from(at).ok()));
        let lists = values.iter().map(|value| value.map(|value| vec![Some(value / 10)]));
        let inner = object(vec![
            ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
            ("n", Arc::new(numbers.collect::<Int64Array>())),
        ]);
        RecordBatch::try_from_iter([("o", object(vec![("in", inner)]))]).unwrap()
    }

    #[test]
    fn objects_are_compared_by_what_is_in_them() {
        let shared = |before: &[Option<i64>], page: &[Option<i64>]| {
            let mut borders = Borders::default();
            for page in [nested(before), nested(page)] {
                borders.take(&page, &page);
            }
            borders.are_shared
        };
        let row = Some;
        assert!(shared(&[row(1), row(2), row(3)], &[row(2), row(3), row(4)]));
        assert!(!shared(&[row(1), row(2), row(3)], &[row(4), row(5), row(6)]));
        assert!(!shared(&[row(1), row(2), row(3)], &[row(4), row(13), row(6)]), "the list differs, and the number");
        assert!(shared(&[row(1), None], &[row(1), None, row(2)]));
        assert!(shared(&[row(1), None], &[None, row(2)]));
        assert!(!shared(&[row(1), None], &[row(1), row(2)]), "null isn't what lies under it");
        assert!(!shared(&[None, row(1)], &[None, row(2)]));
    }

    #[test]
    fn the_last_rows_decide() {
        assert!(shared(&[&[1, 2, 3, 4, 5, 6], &[9, 9, 3, 4, 5, 6]]));
        assert!(!shared(&[&[1, 2, 3, 4, 5, 6], &[9, 9, 9, 4, 5, 6]]));
    }

    #[test]
    fn of_a_large_page_its_last_rows_stay_and_no_more() {
        let page = |rows: usize| {
            let texts: ArrayRef = Arc::new((0..rows).map(|_| Some("x".repeat(1 << 18))).collect::<StringArray>());
            RecordBatch::try_from_iter([("t", texts)]).unwrap()
        };
        let kept = last_of(&page(40)).unwrap();
        assert_eq!(kept.num_rows(), KEPT);
        assert!(kept.get_array_memory_size() < MOST_KEPT, "{}", kept.get_array_memory_size());
        assert!(last_of(&page(1)).is_some_and(|kept| kept.num_rows() == 1));
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
