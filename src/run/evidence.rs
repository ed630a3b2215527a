//! What a slice's pages prove beside their rows: how many rows the server put on them, and whether any of them are new.

mod alike;
mod borders;
mod seeks;
mod values;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _};

use arrow::array::RecordBatch;
use hashbrown::DefaultHashBuilder;

use self::alike::Alike;
use self::borders::Borders;
use self::seeks::Sought;
use self::values::hash;
use super::RunError;
use super::passes::{MOST_PASSES, Pass, Passes};
use crate::extract::paginate::GuardError;
use crate::model::{EndReason, Reconciliation, Verdict};
use crate::pipeline::spec::Job;

/// What a person should know where a page came twice.
const PAGE_AGAIN: &str = "a page came twice, row for row: if rows can't be equal, those of another page are missing and these are doubled; name the \
                          `key` of a row, so that it is known which of them are new";

/// What a person should know where a page was the one before it but for some columns.
const PAGE_ALIKE: &str = "a page had the rows of the one before it, but for what may change with each answer: if they are the same, the server \
                          gave a page twice, and others are missing; name the `key` of a row, so that it is known which of them are new";

/// What a person should know where two pages share rows.
const BORDER_SHARED: &str = "a page began with the rows that the one before it ended with, value for value: if rows can't be equal, the list moved \
                             while it was read, so that these are doubled; name the `key` of a row, so that each lands once";

/// What a person should know where rows came twice.
const ROWS_AGAIN: &str = "rows came twice, so that others may not have come at all; sort by a column that doesn't change (with `order: any` where the \
                          job is `incremental`), or read a window or a snapshot until it is known to be whole: `on_mismatch: refetch`";

/// What a person should know where a record was no row.
const UNLIKE: &str = "a record has nothing of a row, as a message of the server hasn't, and went to quarantine: rows may be missing where it \
                      stands; look at it with `tidegate quarantine show`";

/// What a person should know where a page had nothing of those before it.
const STRANGE: &str = "a page's records had none of the fields of those before it, as a message of the server hasn't: if it was one, rows are \
                       missing where it stands; name the `key` of a row, by which rows are known";

/// What a person should look at where pages in the middle of a list by pages were short.
const MIDDLE_IS_SHORT: &str = "pages in the middle were shorter than asked for, and pages are counted by the size asked for: if the server gives \
                               fewer rows at a time than `size`, the rest of each page is missing; ask for a smaller `size`, or name \
                               its `total`";

/// What a person should look at where no page of a list was full.
const NEVER_FULL: &str = "no page had as many rows as were asked for, and then one was empty: if the server gives fewer rows at a time than \
                          `size`, or hides rows after it has counted them, the rest is missing; ask for a smaller `size`, or name its \
                          `total`";

/// What a person should know of bodies whose end nothing marks.
const UNMARKED: &str = "nothing marks where the server's answers end: neither a length, nor chunks, nor their format, so one that is cut off \
                        behind a line looks whole; name its `total`, or ask for another format";

/// Says what a person should look at where the end proves nothing.
pub(super) fn unproven(end: EndReason) -> Option<String> {
    let (what, field) = match end {
        EndReason::EmptyAfterShort | EndReason::MoreFalseAfterShort => return Some(MIDDLE_IS_SHORT.to_owned()),
        EndReason::NeverFull => return Some(NEVER_FULL.to_owned()),
        EndReason::CursorGoneFull => return Some(full("cursor")),
        EndReason::LinkGoneFull => return Some(full("link")),
        EndReason::NoCursor => ("cursor", "paginate.cursor"),
        EndReason::NoLink => ("link", "paginate.next_link"),
        _ => return None,
    };
    Some(format!(
        "no page gave a {what} to move on by: either all rows fit on one page, or '{field}' looks at the wrong place: \
         `tidegate preview` shows an answer without its records"
    ))
}

/// What a person should know where a job waits for a total that never comes.
pub(super) const NO_TOTAL: &str = "`paginate.total` gave nothing in any answer, so nothing was checked against it: it may look at the wrong place \
                                   (`tidegate preview` shows an answer without its records), or the server states it only where it is asked to";

/// Says what a person should know of a full page that gave no way on.
fn full(what: &str) -> String {
    format!(
        "the last page gave no {what} to move on by, and has as many rows as pages that did: the list may end there, or the server forgot the \
         {what} and the rest is missing; name its `total`, or what says whether there are `more`"
    )
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
    /// How many of them had come before.
    pages_again: u64,
    borders: Borders,
    alike: Alike,
    sought: Sought,
    /// Whether a page of rows without a key had no field of those before it.
    strange: bool,
}

impl Evidence {
    /// Begins a slice of a job.
    pub(super) fn of(job: &Job) -> Self {
        Self { sought: Sought::of(job), ..Self::default() }
    }

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
        pass.largest = pass.largest.max(server_rows);
        pass.received += received;
        pass.last = (server_rows, received);
        pass.exploded |= server_rows != received;
    }

    /// Notes records of a page that have nothing of a row.
    pub(super) fn note_unlike(&mut self, records: u64) {
        self.passes.current().unlike |= records > 0;
    }

    /// Notes whether a page's rows have no field of those before it.
    pub(super) const fn note_strange(&mut self, is_strange: bool) {
        self.strange |= is_strange;
    }

    /// Notes that nothing tells whether an answer is whole: more rows may have followed.
    pub(super) fn note_unmarked(&mut self) {
        self.passes.current().unmarked = true;
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

    /// Notes how many of a page's rows were new: the first of a `seek` that includes the value asked from come again.
    pub(super) fn note_again(&mut self, server_rows: u64, received: u64, new_rows: u64) {
        let pass = self.passes.current();
        pass.not_again |= pass.pages_with_rows > 1 && server_rows > 0 && new_rows == received;
    }

    /// Tells whether the rows of a page of a job with no key are new. They aren't where an earlier page was the same, unless the
    /// server has stated a total that leaves room for them: rows without a key may be equal. The page comes in `pieces` with rows, which
    /// are cut by what is in them; `request` names it in an error.
    pub(super) fn is_new(&mut self, pieces: &[&RecordBatch], request: &str) -> Result<bool, RunError> {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(false) };
        let column = |at: usize| {
            let mut hasher = self.hasher.build_hasher();
            for piece in pieces {
                hash(piece.column(at), &mut hasher);
            }
            hasher.finish()
        };
        let columns: Vec<u64> = (0..first.num_columns()).map(column).collect();
        let rows: Vec<usize> = pieces.iter().map(|piece| piece.num_rows()).collect();
        let known = !self.pages.insert(self.hasher.hash_one((rows, &columns)));
        self.pages_again += u64::from(known);
        if !known {
            self.borders.take(first, last);
            self.alike.take(first, columns, &self.hasher);
        }
        let pass = self.passes.current();
        let has_room = pass.totals.1.is_some_and(|total| pass.server_rows <= total);
        match self.alike.too_many() {
            Some((pages, columns)) if !has_room => {
                Err(GuardError::PagesAlike { pages, columns, request: request.to_owned() }.into())
            }
            _ => Ok(!known || has_room),
        }
    }

    /// Returns the passes.
    pub(super) const fn passes(&self) -> &Passes {
        &self.passes
    }

    /// Ends a pass over a job with a key, and begins another one, whose first row has the ordinal `first`, unless the slice is
    /// settled: then returns the pass since which its rows count. One without an `end`, which was broken off, settles nothing by itself;
    /// what it showed counts.
    pub(super) fn end_pass(&mut self, end: Option<EndReason>, overlap: bool, first: u64) -> Option<usize> {
        self.passes.current().ended = end.map(|end| (end, self.weigh(end, true, overlap).verdict));
        let settled = end.and_then(|_| self.passes.settled(overlap));
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
        let stated = proved.total_last.is_some();
        if proved.verdict == Verdict::Complete && self.doubted(end, twice && !overlap, stated).is_some() {
            proved.verdict = Verdict::Unknown;
        }
        // Rows that join while a slice is filled lie beyond it.
        let moved = self.passes.get(self.passes.number()).is_some_and(|pass| pass.moved);
        if moved && end != EndReason::SliceFull {
            proved.verdict = Verdict::Moving;
        }
        proved
    }

    /// Says why what would be complete otherwise isn't known to be, where that is because of what the pages have shown.
    pub(super) fn doubt(&self, end: EndReason, keyed: bool, overlap: bool) -> Option<&'static str> {
        let (proved, twice) = self.count(end, keyed);
        let doubted = self.doubted(end, twice && !overlap && self.passes.count() == 1, proved.total_last.is_some());
        doubted.filter(|_| proved.verdict == Verdict::Complete)
    }

    /// Says what speaks against the last pass. `twice` tells that rows came twice that shouldn't, `stated` that the server has said how
    /// many there are.
    fn doubted(&self, end: EndReason, twice: bool, stated: bool) -> Option<&'static str> {
        let last = self.passes.get(self.passes.number());
        match () {
            () if last.is_some_and(|pass| pass.unlike) => Some(UNLIKE),
            () if self.strange => Some(STRANGE),
            () if self.pages_again > u64::from(end == EndReason::PageAgain) => Some(PAGE_AGAIN),
            () if twice => Some(ROWS_AGAIN),
            () if self.borders.are_shared => Some(BORDER_SHARED),
            () if self.alike.ever => Some(PAGE_ALIKE),
            () if !stated && last.is_some_and(|pass| pass.unmarked) => Some(UNMARKED),
            () => last.and_then(|pass| self.sought.doubt(pass, end)),
        }
    }

    /// Weighs the numbers of the last pass alone. Tells whether rows came twice.
    fn count(&self, end: EndReason, keyed: bool) -> (Reconciliation, bool) {
        let none = Pass::default();
        let pass = self.passes.get(self.passes.number()).unwrap_or(&none);
        // What was asked for beyond the end shows nothing but the end.
        let (server_again, again) = if end == EndReason::PageAgain { pass.last } else { (0, 0) };
        let once = pass.received - again;
        let distinct = match keyed {
            _ if pass.exploded => pass.server_rows - server_again,
            true => pass.distinct(),
            false => once,
        };
        let twice = keyed && pass.distinct() < once;
        let mut proved = Reconciliation::of(pass.received, distinct, pass.totals, end);
        proved.largest_page = (pass.pages_with_rows > 1).then_some(pass.largest);
        (proved, twice)
    }

    /// Weighs the evidence of a slice that is settled since the pass `since`, one after the first: what moved was found out, and read
    /// again.
    pub(super) fn weigh_settled(&self, end: EndReason, since: usize) -> Reconciliation {
        let (mut proved, _) = self.count(end, true);
        let passes = since..self.passes.count();
        let unlike = passes.clone().any(|number| self.passes.get(number).is_some_and(|pass| pass.unlike));
        if passes.len() > 1 {
            // No pass by itself showed all rows; together they did.
            let first = self.passes.get(since).and_then(|pass| pass.opening);
            let received = passes.filter_map(|number| self.passes.get(number)).map(|pass| pass.received).sum();
            let totals = (first, proved.total_last);
            let largest_page = proved.largest_page;
            proved = Reconciliation::of(received, self.passes.distinct_since(since), totals, end);
            proved.largest_page = largest_page;
        }
        // What each pass left out none of them showed.
        if proved.verdict == Verdict::Complete && (unlike || self.doubted(end, false, true).is_some()) {
            proved.verdict = Verdict::Unknown;
        }
        proved.passes = u32::try_from(self.passes.count()).unwrap_or(u32::MAX);
        proved
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
        assert!(evidence.is_new(&[&page(&[1, 2])], "").unwrap());
        assert!(evidence.is_new(&[&page(&[2, 1])], "").unwrap());
        assert!(!evidence.is_new(&[&page(&[1, 2])], "").unwrap());
    }

    #[test]
    fn a_page_that_came_twice_proves_nothing() {
        for total in [None, Some(6)] {
            let mut evidence = Evidence::default();
            for values in [[1, 2], [1, 2], [3, 4]] {
                evidence.note_total(total);
                evidence.note_page(2, 2);
                evidence.is_new(&[&page(&values)], "").unwrap();
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
            evidence.is_new(&[&page(&[0, 0])], "").unwrap()
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

    /// Reads pages of a job, rows and how many of them were new, and returns the verdict.
    fn sought(sought: Sought, total: Option<u64>, pages: &[(u64, u64)], end: EndReason) -> Verdict {
        let mut evidence = Evidence { sought, ..Evidence::default() };
        for (rows, new_rows) in pages {
            evidence.note_total(total);
            evidence.note_page(*rows, *rows);
            evidence.note_keyed(*new_rows, (*new_rows..*rows).map(|_| 0));
            evidence.note_again(*rows, *rows, *new_rows);
        }
        let verdict = evidence.weigh(end, true, true).verdict;
        assert_eq!(evidence.doubt(end, true, true).is_some(), verdict == Verdict::Unknown);
        verdict
    }

    #[test]
    fn pages_behind_a_value_that_rows_may_share_prove_nothing() {
        let pages = [(2, 2), (1, 1), (0, 0)];
        assert_eq!(sought(Sought::Exclusive, None, &pages, EndReason::EmptyPage), Verdict::Unknown);
        assert_eq!(sought(Sought::Exclusive, None, &pages[..2], EndReason::MoreFalse), Verdict::Unknown);
        assert_eq!(sought(Sought::Exclusive, Some(9), &pages, EndReason::SliceFull), Verdict::Unknown);
        assert_eq!(sought(Sought::Exclusive, Some(3), &pages, EndReason::EmptyPage), Verdict::Complete);
        assert_eq!(sought(Sought::Exclusive, None, &pages[..1], EndReason::MoreFalse), Verdict::Complete);
        assert_eq!(sought(Sought::Apart, None, &pages, EndReason::EmptyPage), Verdict::Complete);
        assert_eq!(sought(Sought::Cursor, None, &pages, EndReason::EmptyPage), Verdict::Unknown);
        assert_eq!(sought(Sought::Cursor, Some(3), &pages, EndReason::EmptyPage), Verdict::Complete);
        assert_eq!(sought(Sought::Cursor, None, &pages[..1], EndReason::MoreFalse), Verdict::Complete);
        assert_eq!(sought(Sought::Position, Some(9), &pages, EndReason::SliceFull), Verdict::Unknown);
        assert_eq!(sought(Sought::Position, Some(9), &pages[..1], EndReason::SliceFull), Verdict::Complete);
        assert_eq!(sought(Sought::Position, None, &pages, EndReason::EmptyPage), Verdict::Complete);
    }

    #[test]
    fn a_page_that_should_begin_with_rows_of_the_one_before_and_does_not_proves_nothing() {
        let again = [(2, 2), (2, 1), (1, 0)];
        assert_eq!(sought(Sought::Inclusive, None, &again, EndReason::MoreFalse), Verdict::Complete);
        assert_eq!(sought(Sought::Inclusive, None, &[(2, 2), (1, 1)], EndReason::MoreFalse), Verdict::Unknown);
        assert_eq!(sought(Sought::Inclusive, None, &[(2, 2), (0, 0)], EndReason::EmptyPage), Verdict::Unknown);
        assert_eq!(sought(Sought::Inclusive, None, &[(0, 0)], EndReason::EmptyPage), Verdict::Complete);
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
