//! What `offset` and `page` count, and by which evidence they end.

use super::{EndRules, MOST_EMPTY, MOST_HIDDEN, PaginateError, Seen};
use crate::lang::place::Place;
use crate::model::EndReason;

/// What to do about a server that hides rows, where the place counts those that came.
const COUNT_THE_HIDDEN: &str =
    ", or, for a server that hides rows after it has counted them, write `advance: size` in `paginate.offset`";

/// What `offset` and `page` end by, and the account that they keep for it.
///
/// An empty page after a full one, or before any other, is the end only where the server says so, or the next page is empty too: a server
/// that hides rows after it has counted them gives empty pages in the middle, and at the beginning. So a list ends with two pages in a row
/// that aren't full.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Rows received.
    pub(super) received: u64,
    /// Pages in a row that brought rows, but nothing new.
    stale_pages: u32,
    /// Pages with rows.
    pages: u64,
    /// Pages in a row that were empty, though there are more.
    empty_pages: u64,
    /// Rows of the largest page.
    pub(super) largest: u64,
    /// The total that was stated last.
    total: Option<u64>,
    last: Last,
    /// Whether a page with rows came after one that wasn't full, an empty one too.
    short_in_the_middle: bool,
    /// Whether a page had all the rows that were asked for.
    ever_full: bool,
}

/// What the last page was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// There was none yet.
    #[default]
    Nothing,
    /// It had as many rows as a page can have.
    Full,
    /// It had fewer, or none.
    Short,
    /// It was empty, and the one after it is asked for all the same.
    Doubtful,
}

impl Tally {
    /// Takes a page of a list in which each page begins `size` rows after the one before, however many that one had.
    /// Returns why it is the last, if it is.
    pub(super) fn take_fixed(
        &mut self,
        seen: &Seen,
        size: u64,
        rules: &EndRules,
        place: &Place,
    ) -> Result<Option<EndReason>, PaginateError> {
        self.short_in_the_middle |= !matches!(self.last, Last::Nothing | Last::Full) && seen.rows > 0;
        if seen.rows == 0 && seen.more == Some(true) {
            return self.pass_over(seen, rules, MOST_EMPTY, "value of `more`").map(|()| None);
        }
        if seen.rows == 0 && seen.more.is_none() && self.is_within_total(seen, size) {
            return self.pass_over(seen, rules, MOST_HIDDEN, "total").map(|()| None);
        }
        self.empty_pages = 0;
        let full = seen.rows >= size;
        self.ever_full |= full;
        let end = self.take(seen, size, full, rules, place)?;
        Ok(end.map(|end| match end {
            EndReason::EmptyPage if self.short_in_the_middle => EndReason::EmptyAfterShort,
            EndReason::EmptyPage | EndReason::MoreFalse if seen.rows == 0 && self.received > 0 && !self.ever_full => {
                EndReason::NeverFull
            }
            EndReason::MoreFalse if self.short_in_the_middle => EndReason::MoreFalseAfterShort,
            end => end,
        }))
    }

    /// Tells whether the pages that were asked for don't reach as far as the total that is stated, and rows of it are missing: it counts
    /// those that the server hides. One that grows while nothing comes is no reason to go on.
    fn is_within_total(&self, seen: &Seen, size: u64) -> bool {
        let total = self.total.or(seen.total);
        total.is_some_and(|total| self.received < total && seen.page.saturating_mul(size) < total)
    }

    /// Goes on behind an empty page, where the server says that there are more and the next one lies a page further on all the same.
    fn pass_over(&mut self, seen: &Seen, rules: &EndRules, most: u64, what: &'static str) -> Result<(), PaginateError> {
        self.last = Last::Short;
        self.total = self.total.or(seen.total);
        self.empty_pages += 1;
        if self.empty_pages >= most && rules.max_pages.is_none() {
            return Err(PaginateError::OnlyEmptyPages { pages: self.empty_pages, what });
        }
        Ok(())
    }

    /// Takes a page of a list in which each page begins after the rows of the one before: the server may give fewer at a time than are
    /// asked for. Returns why it is the last, if it is.
    pub(super) fn take_received(
        &mut self,
        seen: &Seen,
        size: u64,
        rules: &EndRules,
        place: &Place,
    ) -> Result<Option<EndReason>, PaginateError> {
        if self.last == Last::Doubtful && seen.rows > 0 {
            return Err(PaginateError::RowsAfterEmpty { page: seen.page });
        }
        let full = seen.rows >= size || (self.pages > 0 && seen.rows >= self.largest);
        self.ever_full |= full;
        let end = self.take(seen, size, full, rules, place)?;
        // Behind rows that the server hides a page is short, and the next one may be empty.
        Ok(end.map(|end| match end {
            EndReason::EmptyPage
                if self.received > 0 && !self.ever_full && self.total.is_none() && seen.more.is_none() =>
            {
                EndReason::NeverFull
            }
            end => end,
        }))
    }

    /// Says why there need be no page that is asked for next: all has come that the last page stated as the total, neither more nor less;
    /// or there was nothing so far, and it is asked for to be sure.
    pub(super) fn past_end(&self) -> Option<EndReason> {
        let is_list_of_none = self.last == Last::Doubtful && self.received == 0;
        if self.is_past_total() {
            Some(EndReason::TotalReached)
        } else {
            is_list_of_none.then_some(EndReason::EmptyPage)
        }
    }

    fn is_past_total(&self) -> bool {
        self.total == Some(self.received)
    }

    /// Takes a page of at most `size` rows, which is `full` or not. Returns why it is the last, if it is.
    fn take(
        &mut self,
        seen: &Seen,
        size: u64,
        full: bool,
        rules: &EndRules,
        place: &Place,
    ) -> Result<Option<EndReason>, PaginateError> {
        if self.is_past_total()
            && seen.total == self.total
            && seen.more != Some(true)
            && seen.rows > 0
            && seen.new_rows == 0
        {
            return Ok(Some(EndReason::PageAgain));
        }
        self.received += seen.rows;
        self.pages += u64::from(seen.rows > 0);
        self.largest = self.largest.max(seen.rows);
        self.total = seen.total.or(self.total);
        let is_open = matches!(self.last, Last::Nothing | Last::Full);
        let may_go_on = is_open && self.total.is_none() && !rules.short_page_ends;
        self.last = match seen.rows {
            0 if may_go_on => Last::Doubtful,
            0 => Last::Short,
            _ if full => Last::Full,
            _ => Last::Short,
        };
        match (seen.rows, seen.more) {
            (0, Some(true)) => return Err(PaginateError::EmptyButMore { page: seen.page, or: COUNT_THE_HIDDEN }),
            (0, None) if self.last == Last::Doubtful => return Ok(None),
            (_, Some(false)) => return Ok(Some(EndReason::MoreFalse)),
            (0, _) => return Ok(Some(EndReason::EmptyPage)),
            _ => {}
        }
        let short = seen.rows < size && seen.more.is_none();
        if short && seen.total == Some(self.received) {
            return Ok(Some(EndReason::TotalReached));
        }
        if short && rules.short_page_ends {
            return Ok(Some(EndReason::ShortPage));
        }
        self.progress(seen, place)?;
        self.within_total(seen, size, rules)?;
        Ok(None)
    }

    /// Refuses to go on where far more has come than the server states, which no list is that grows while it is read: without a `key`
    /// a server that sends the same rows again, each time with another value somewhere, is known by nothing else.
    fn within_total(&self, seen: &Seen, size: u64, rules: &EndRules) -> Result<(), PaginateError> {
        let Some(total) = self.total.filter(|_| !rules.total_may_be_less) else { return Ok(()) };
        let most = total.saturating_mul(2).saturating_add(size.max(self.largest));
        if self.received <= most {
            return Ok(());
        }
        Err(PaginateError::FarBeyondTotal { page: seen.page, received: self.received, total })
    }

    /// Refuses the second page in a row that brings rows but nothing new. One such page may come of a row that was inserted
    /// while the list was read.
    fn progress(&mut self, seen: &Seen, place: &Place) -> Result<(), PaginateError> {
        self.stale_pages = if seen.new_rows == 0 { self.stale_pages + 1 } else { 0 };
        if self.stale_pages < 2 {
            return Ok(());
        }
        Err(PaginateError::NoProgress { page: seen.page, place: place.as_str().to_owned() })
    }
}
