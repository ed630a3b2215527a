//! What a slice's pages prove beside their rows: how many rows the server put on them, and whether any of them are new.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher};

use arrow::array::{Array as _, ArrayData, RecordBatch};
use hashbrown::DefaultHashBuilder;

use super::passes::{MOST_PASSES, Pass, Passes};
use crate::model::{EndReason, Reconciliation, Verdict};

/// What a person should know where a page came twice.
const PAGE_AGAIN: &str = "a page came twice, row for row: if rows can't be equal, those of another page are missing and these are doubled; name the \
                          `key` of a row, so that it is known which of them are new";

/// What a person should know where rows came twice.
const ROWS_AGAIN: &str = "rows came twice, so that others may not have come at all; sort by a column that doesn't change, or read the list until \
                          it is known to be whole: `on_mismatch: refetch`";

/// What a person should look at where pages in the middle of a list by pages were short.
const MIDDLE_IS_SHORT: &str = "pages in the middle were shorter than asked for, and pages are counted by the size asked for: if the server gives \
                               fewer rows at a time than `size`, the rest of each page is missing; ask for a smaller `size`, or name \
                               its `total`";

/// What a person should look at where the only page of a list by pages was short.
const NEVER_FULL: &str = "the only page with rows was shorter than asked for, and pages are counted by the size asked for: if the server gives \
                          fewer rows at a time than `size`, the rest is missing; ask for a smaller `size`, or name its `total`";

/// Says what a person should look at where the end proves nothing.
pub(super) fn unproven(end: EndReason) -> Option<String> {
    let (what, field) = match end {
        EndReason::EmptyAfterShort | EndReason::MoreFalseAfterShort => return Some(MIDDLE_IS_SHORT.to_owned()),
        EndReason::NeverFull => return Some(NEVER_FULL.to_owned()),
        EndReason::NoCursor => ("cursor", "paginate.cursor"),
        EndReason::NoLink => ("link", "paginate.next_link"),
        _ => return None,
    };
    Some(format!(
        "no page gave a {what} to move on by: either all rows fit on one page, or '{field}' looks at the wrong place: \
         `tidegate preview` shows an answer without its records"
    ))
}

/// The evidence of one slice.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    passes: Passes,
    hasher: DefaultHashBuilder,
    /// The rows that have no key, each once, by the hash of its text, with the last pass that showed it.
    unkeyed: HashMap<u64, usize>,
    /// The pages of a job with no key, by the hash of their rows.
    pages: HashSet<u64>,
    /// Whether one of them came twice.
    page_again: bool,
}

impl Evidence {
    /// Notes the total that a page stated, before the page itself.
    pub(super) fn note_total(&mut self, total: Option<u64>) {
        let pass = self.passes.current();
        if pass.pages == 0 {
            pass.opening = total;
        }
        if total.is_some() {
            pass.moved |= pass.totals.1.is_some() && pass.totals.1 != total;
            pass.totals = (pass.totals.0.or(total), total);
        }
    }

    /// Notes a page: its rows by the server's count and by ours.
    pub(super) fn note_page(&mut self, server_rows: u64, received: u64) {
        let pass = self.passes.current();
        pass.pages += 1;
        pass.pages_with_rows += u64::from(server_rows > 0);
        pass.server_rows += server_rows;
        pass.received += received;
        pass.exploded |= server_rows != received;
    }

    /// Notes rows that have a key: how many have one that was never seen, and for the others the ordinal of the earlier row. Returns
    /// how many are new to the pass.
    pub(super) fn note_keyed(&mut self, new_rows: u64, earlier: impl IntoIterator<Item = u64>) -> u64 {
        self.passes.note_new(new_rows);
        let mut again = 0;
        for ordinal in earlier {
            let before = self.passes.of(ordinal);
            again += u64::from(self.passes.note_known(before));
        }
        new_rows + again
    }

    /// Notes a row that has no key, by its text: a bad row that came twice is still one row. Returns whether it is new to the pass.
    pub(super) fn note_unkeyed(&mut self, row: &str) -> bool {
        if let Some(before) = self.unkeyed.insert(self.hasher.hash_one(row), self.passes.number()) {
            return self.passes.note_known(before);
        }
        self.passes.note_new(1);
        true
    }

    /// Tells whether the rows of a page of a job with no key are new. They aren't where an earlier page was the same, unless the
    /// server has stated a total that leaves room for them: rows without a key may be equal.
    pub(super) fn is_new<'p>(&mut self, pieces: impl IntoIterator<Item = &'p RecordBatch>) -> bool {
        let mut hasher = self.hasher.build_hasher();
        for batch in pieces {
            hasher.write_usize(batch.num_rows());
            for column in batch.columns() {
                hash(&column.to_data(), &mut hasher);
            }
        }
        let known = !self.pages.insert(hasher.finish());
        self.page_again |= known;
        let pass = self.passes.current();
        !known || pass.totals.1.is_some_and(|total| pass.server_rows <= total)
    }

    /// Returns the passes.
    pub(super) const fn passes(&self) -> &Passes {
        &self.passes
    }

    /// Ends a pass over a job with a key, and begins another one, whose first row has the ordinal `first`, unless the slice is
    /// settled: then returns the pass since which its rows count.
    pub(super) fn end_pass(&mut self, end: EndReason, overlap: bool, first: u64) -> Option<usize> {
        let verdict = self.weigh(end, true, overlap).verdict;
        self.passes.current().ended = Some((end, verdict));
        let settled = self.passes.settled(overlap);
        if settled.is_none() && self.passes.count() < MOST_PASSES {
            self.passes.begin(first);
        }
        settled
    }

    /// Weighs the evidence of the last pass at its end. `keyed` says whether the job has a key.
    ///
    /// A total counts the server's rows: good and bad ones, each once as far as keys can tell; where a program made records of
    /// them, the rows that it was given. One that changed on the way, and rows that came twice, are evidence too: the list moved while
    /// it was read, and where some rows come twice others may not come at all, though their number is right. `overlap` says that pages
    /// share rows on purpose.
    pub(super) fn weigh(&self, end: EndReason, keyed: bool, overlap: bool) -> Reconciliation {
        let (mut proved, twice) = self.count(end, keyed);
        if proved.verdict == Verdict::Complete && (self.page_again || twice && !overlap) {
            proved.verdict = Verdict::Unknown;
        }
        // Rows that join while a slice is filled lie beyond it.
        let moved = self.passes.get(self.passes.number()).is_some_and(|pass| pass.moved);
        if moved && end != EndReason::SliceFull {
            proved.verdict = Verdict::Moving;
        }
        proved
    }

    /// Says why what would be complete otherwise isn't known to be, where that is because something came twice.
    pub(super) fn doubt(&self, end: EndReason, keyed: bool, overlap: bool) -> Option<&'static str> {
        let (proved, twice) = self.count(end, keyed);
        match proved.verdict {
            Verdict::Complete if self.page_again => Some(PAGE_AGAIN),
            Verdict::Complete if twice && !overlap => Some(ROWS_AGAIN),
            _ => None,
        }
    }

    /// Weighs the numbers of the last pass alone. Tells whether rows came twice.
    fn count(&self, end: EndReason, keyed: bool) -> (Reconciliation, bool) {
        let none = Pass::default();
        let pass = self.passes.get(self.passes.number()).unwrap_or(&none);
        let distinct = match keyed {
            _ if pass.exploded => pass.server_rows,
            true => pass.distinct(),
            false => pass.received,
        };
        let twice = keyed && pass.distinct() < pass.received;
        (Reconciliation::of(pass.received, distinct, pass.totals, end), twice)
    }

    /// Weighs the evidence of a slice that is settled since the pass `since`, one after the first: what moved was found out, and read
    /// again.
    pub(super) fn weigh_settled(&self, end: EndReason, since: usize) -> Reconciliation {
        let (mut proved, _) = self.count(end, true);
        let passes = since..self.passes.count();
        if passes.len() > 1 {
            // No pass by itself showed all rows; together they did.
            let first = self.passes.get(since).and_then(|pass| pass.opening);
            let received = passes.filter_map(|number| self.passes.get(number)).map(|pass| pass.received).sum();
            let totals = (first, proved.total_last);
            proved = Reconciliation::of(received, self.passes.distinct_since(since), totals, end);
        }
        proved.passes = u32::try_from(self.passes.count()).unwrap_or(u32::MAX);
        proved
    }
}

/// Hashes the values of an array. Arrays of equal values may differ in ways that this sees, so that equal hashes are proof and
/// different ones aren't.
fn hash(data: &ArrayData, hasher: &mut impl Hasher) {
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

    fn page(values: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter([("id", column)]).unwrap()
    }

    #[test]
    fn a_page_that_came_before_is_not_new() {
        let mut evidence = Evidence::default();
        assert!(evidence.is_new([&page(&[1, 2])]));
        assert!(evidence.is_new([&page(&[2, 1])]));
        assert!(!evidence.is_new([&page(&[1, 2])]));
    }

    #[test]
    fn a_page_that_came_twice_proves_nothing() {
        for total in [None, Some(6)] {
            let mut evidence = Evidence::default();
            for values in [[1, 2], [1, 2], [3, 4]] {
                evidence.note_total(total);
                evidence.note_page(2, 2);
                evidence.is_new([&page(&values)]);
            }
            assert_eq!(evidence.weigh(EndReason::EmptyPage, false, false).verdict, Verdict::Unknown);
            assert_eq!(evidence.doubt(EndReason::EmptyPage, false, false), Some(PAGE_AGAIN));
        }
    }

    #[test]
    fn a_total_leaves_room_for_equal_pages() {
        let mut evidence = Evidence::default();
        evidence.note_total(Some(4));
        let mut take = || {
            evidence.note_page(2, 2);
            evidence.is_new([&page(&[0, 0])])
        };
        assert_eq!([take(), take(), take()], [true, true, false]);
    }

    #[test]
    fn records_of_a_program_that_came_twice_leave_it_open_too() {
        let mut evidence = Evidence::default();
        evidence.note_total(Some(2));
        evidence.note_page(1, 2);
        evidence.note_keyed(2, []);
        evidence.note_page(1, 2);
        evidence.note_keyed(0, [0, 1]);
        assert_eq!(evidence.weigh(EndReason::EmptyPage, true, false).verdict, Verdict::Unknown);
        assert_eq!(evidence.doubt(EndReason::EmptyPage, true, false), Some(ROWS_AGAIN));
    }

    #[test]
    fn rows_that_join_beyond_a_full_slice_are_no_movement() {
        let mut evidence = Evidence::default();
        for total in [30, 31] {
            evidence.note_total(Some(total));
            evidence.note_page(5, 5);
            evidence.note_keyed(5, []);
        }
        assert_eq!(evidence.weigh(EndReason::SliceFull, true, false).verdict, Verdict::Complete);
        assert_eq!(evidence.weigh(EndReason::EmptyPage, true, false).verdict, Verdict::Moving);
    }

    #[test]
    fn rows_that_came_twice_leave_it_open_whether_others_came_at_all() {
        let verdict = |overlap| {
            let mut evidence = Evidence::default();
            evidence.note_page(5, 5);
            evidence.note_keyed(4, [0]);
            evidence.weigh(EndReason::EmptyPage, true, overlap).verdict
        };
        assert_eq!((verdict(false), verdict(true)), (Verdict::Unknown, Verdict::Complete));
    }

    #[test]
    fn bad_rows_are_rows_of_the_total() {
        let mut evidence = Evidence::default();
        evidence.note_total(Some(3));
        evidence.note_page(3, 3);
        assert_eq!(evidence.note_keyed(2, []), 2);
        assert!(evidence.note_unkeyed("{}"));
        assert_eq!(evidence.weigh(EndReason::EmptyPage, true, false).verdict, Verdict::Complete);
        evidence.note_page(1, 1);
        assert!(!evidence.note_unkeyed("{}"), "it came twice");
        assert_eq!(evidence.weigh(EndReason::EmptyPage, true, false).verdict, Verdict::Unknown);
    }
}
