//! The passes over a slice that is read again until it is known to be whole (`on_mismatch: refetch`): pure.
//!
//! A list that moves while it is read shows some rows twice and others not at all, and its totals may be right all the same. What
//! proves it whole is an instant at which all rows that land were there, and no others: the instant of a pass's first page. A row
//! that was seen before that instant and after it was there (rows that have gone don't come back under their key). So where the
//! passes since then have shown only rows that were known before it, and as many as the first page said that there are, those
//! rows are the list as it was at that instant, none missing and none too many.
//!
//! Without a total on the first page two passes must have shown the same rows, none of them twice: they are the list as it was at the end of the first
//! one. A row that it missed would have pushed another one on, which would have come twice, or have taken the place of one that was
//! deleted, which the second pass would have missed.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::model::{EndReason, Verdict};

/// The most times that a slice is read. A list that is in motion for six readings moves faster than it can be read; more of them
/// would be a load on the server and prove nothing.
pub(super) const MOST_PASSES: usize = 6;

/// What one pass showed.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts that are independent of each other")]
pub(super) struct Pass {
    /// The ordinal of its first row.
    pub(super) first: u64,
    /// Pages, and those of them with rows.
    pub(super) pages: u64,
    pub(super) pages_with_rows: u64,
    /// Rows that the server put on the largest page.
    pub(super) largest: u64,
    /// Records received.
    pub(super) received: u64,
    /// Rows that the server put on the pages.
    pub(super) server_rows: u64,
    /// Whether a page had another number of records than of rows: a jq program made several of one, or none.
    pub(super) exploded: bool,
    /// Different rows that no earlier pass showed.
    pub(super) new: u64,
    /// Rows that came again within the pass.
    pub(super) twice: u64,
    /// Whether a page after the first with rows had none of those before it.
    pub(super) not_again: bool,
    /// Different rows that earlier passes showed, by the last pass that did.
    known: HashMap<usize, u64>,
    /// The total that the very first page stated.
    pub(super) opening: Option<u64>,
    /// The totals that were stated first and last.
    pub(super) totals: (Option<u64>, Option<u64>),
    /// Whether two pages stated different totals.
    pub(super) moved: bool,
    /// The rows of its last page, by the server's count and by ours.
    pub(super) last: (u64, u64),
    /// Whether nothing told the end of an answer from a cut.
    pub(super) unmarked: bool,
    /// Whether a record had nothing of a row: where it stands, rows may be missing.
    pub(super) unlike: bool,
    /// How it ended, and what that proves by itself; none where page after page brought nothing new, or before its end.
    pub(super) ended: Option<(EndReason, Verdict)>,
}

impl Pass {
    /// Returns how many different rows it showed.
    pub(super) fn distinct(&self) -> u64 {
        self.new + self.known.values().sum::<u64>()
    }

    /// Tells whether nothing that it showed by itself speaks against it.
    fn is_fine(&self) -> bool {
        matches!(self.ended, Some((_, Verdict::Complete | Verdict::Unknown)))
    }

    /// Tells whether one answer had all rows: such a list can't have moved while it was read.
    fn is_one_answer(&self) -> bool {
        self.is_fine() && self.pages_with_rows <= 1 && (self.pages <= 1 || self.opening.is_some())
    }
}

/// What the passes of a slice showed, the last of them still being read. Rows are told apart by their keys.
#[derive(Debug, Clone)]
pub(super) struct Passes {
    passes: Vec<Pass>,
    /// Different rows, by the last pass that showed them.
    last_seen: Vec<u64>,
}

impl Default for Passes {
    fn default() -> Self {
        Self { passes: vec![Pass::default()], last_seen: vec![0] }
    }
}

impl Passes {
    /// Begins another pass. `first` is the ordinal of its first row.
    pub(super) fn begin(&mut self, first: u64) {
        self.passes.push(Pass { first, ..Pass::default() });
        self.last_seen.push(0);
    }

    /// Returns the number of the pass that is being read, from 0.
    pub(super) const fn number(&self) -> usize {
        self.passes.len().saturating_sub(1)
    }

    /// Returns how many passes there were.
    pub(super) const fn count(&self) -> usize {
        self.passes.len()
    }

    /// Returns the pass that is being read.
    pub(super) fn current(&mut self) -> &mut Pass {
        if self.passes.is_empty() {
            self.begin(0);
        }
        let last = self.number();
        &mut self.passes[last]
    }

    /// Returns a pass.
    pub(super) fn get(&self, number: usize) -> Option<&Pass> {
        self.passes.get(number)
    }

    /// Returns the pass in which a row came, by its ordinal.
    pub(super) fn of(&self, ordinal: u64) -> usize {
        self.passes.partition_point(|pass| pass.first <= ordinal).saturating_sub(1)
    }

    /// Takes a row that no pass has shown.
    pub(super) fn note_new(&mut self, rows: u64) {
        self.current().new += rows;
        let last = self.number();
        self.last_seen[last] += rows;
    }

    /// Takes a row that the pass `before` was the last to show. Tells whether it is new to this pass.
    pub(super) fn note_known(&mut self, before: usize) -> bool {
        let last = self.number();
        if before == last {
            self.current().twice += 1;
            return false;
        }
        *self.current().known.entry(before).or_default() += 1;
        self.last_seen[before] = self.last_seen[before].saturating_sub(1);
        self.last_seen[last] += 1;
        true
    }

    /// Returns how many different rows the passes from `since` on showed.
    pub(super) fn distinct_since(&self, since: usize) -> u64 {
        self.last_seen.iter().skip(since).sum()
    }

    /// Returns how many different rows were shown before the pass `since`, and not after.
    pub(super) fn vanished_before(&self, since: usize) -> u64 {
        self.last_seen.iter().take(since).sum()
    }

    /// Looks whether the slice is known to be whole: then the rows of the passes from the one that is returned on are the list,
    /// each as it came last. `overlap` says that pages share rows on purpose.
    pub(super) fn settled(&self, overlap: bool) -> Option<usize> {
        let last = self.number();
        let pass = self.passes.get(last)?;
        if last == 0 {
            return pass.is_one_answer().then_some(0);
        }
        if pass.new > 0 {
            return None;
        }
        let by_total =
            pass.opening.is_some() && pass.totals.1.is_some() && self.passes.iter().all(|pass| !pass.exploded);
        if !by_total {
            return self.twice_the_same(last, overlap).then_some(last);
        }
        (1..=last).rev().take_while(|since| self.passes[*since].new == 0).find(|since| {
            let distinct = Some(self.distinct_since(*since));
            self.passes[*since].opening == distinct && pass.totals.1 == distinct
        })
    }

    /// Tells whether the last two passes showed the same rows.
    fn twice_the_same(&self, last: usize, overlap: bool) -> bool {
        let (before, pass) = (&self.passes[last - 1], &self.passes[last]);
        let distinct = pass.distinct();
        let same = pass.known.get(&(last - 1)).copied().unwrap_or_default() == distinct;
        let clean = |pass: &Pass| pass.is_fine() && (overlap || pass.twice == 0);
        same && before.distinct() == distinct && clean(before) && clean(pass)
    }

    /// Writes what each pass showed, for an error.
    pub(super) fn story(&self) -> String {
        let mut story = String::new();
        for (number, pass) in self.passes.iter().enumerate() {
            let _ = write!(story, "{}pass {}: ", if number == 0 { "" } else { "; " }, number + 1);
            let _ = write!(story, "{} rows, {} different, {} new", pass.received, pass.distinct(), pass.new);
            if pass.ended.is_none() {
                story.push_str(", broken off where pages brought nothing new");
            }
            match pass.totals {
                (Some(first), Some(last)) if first == last => {
                    let _ = write!(story, ", total {last}");
                }
                (Some(first), Some(last)) => {
                    let _ = write!(story, ", total first {first}, then {last}");
                }
                _ => story.push_str(", no total"),
            }
        }
        story
    }
}

#[cfg(test)]
#[path = "passes_tests.rs"]
mod tests;
