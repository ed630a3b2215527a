//! How the reading of a slice ended, and what that proves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a paginator asked for no further page. It is reported: paging never ends without a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The job reads one page only (`paginate: none`).
    OnePage,
    /// The window was read in parts, one page each, of which none was full or too coarse (`window.split`, `window.resolution`).
    PartsRead,
    /// A page came with no rows.
    EmptyPage,
    /// A page came with no rows. One in the middle was shorter than asked for, and pages are counted by the size asked for: a server
    /// that gives fewer at a time has rows between them.
    EmptyAfterShort,
    /// A page came with no rows, and none before it was full, of the job in this run: a server that gives fewer rows at a time than asked
    /// for, where pages are counted by that, or that hides rows after it has counted them, may have others.
    NeverFull,
    /// The server said that there is no more: `more` was false, or `empty` took its first answer.
    MoreFalse,
    /// The server said that there is no more. A page in the middle was shorter than asked for, and pages are counted by the size asked
    /// for: a server that gives fewer at a time has rows between them.
    MoreFalseAfterShort,
    /// All that `total` states had been received, and then a page was shorter than asked for, or the request behind it was answered by
    /// an error such as 404.
    TotalReached,
    /// All that `total` states had been received, and the request behind it brought rows that had come before, and no others.
    PageAgain,
    /// A page was shorter than asked for, and the pipeline file says `short_page: end`.
    ShortPage,
    /// A page brought nothing new and was smaller than the largest one (`seek`).
    NothingNew,
    /// The server gave an empty cursor: null, `""`, `[]` or `{}`.
    CursorEmpty,
    /// A page gave no cursor, though one before it did, with more rows on it.
    CursorGone,
    /// A page gave no cursor, though it is as full as those that did: that may be the end, or a server that forgot it.
    CursorGoneFull,
    /// No page gave a cursor: that may be the end, or an expression that looks at the wrong place.
    NoCursor,
    /// The server gave an empty link.
    LinkEmpty,
    /// A page gave no link, though one before it did, with more rows on it.
    LinkGone,
    /// A page gave no link, though it is as full as those that did: that may be the end, or a server that forgot it.
    LinkGoneFull,
    /// No page gave a link: that may be the end, or a link that is looked for at the wrong place.
    NoLink,
    /// An incremental slice has the rows it was meant to have.
    SliceFull,
}

impl EndReason {
    /// Says what an end is worth, where a page with `rows` rows was the last: a missing cursor or link is the end where the job has had one
    /// before, on a page with more rows than this one. `fullest` is the most that one had, 0 while none had any. So is an empty page after
    /// a short one where the job has had a full page.
    #[must_use]
    pub const fn known(self, rows: u64, fullest: u64) -> Self {
        match self {
            _ if fullest == 0 => self,
            Self::NoCursor | Self::CursorGone if rows < fullest => Self::CursorGone,
            Self::NoCursor | Self::CursorGone => Self::CursorGoneFull,
            Self::NoLink | Self::LinkGone if rows < fullest => Self::LinkGone,
            Self::NoLink | Self::LinkGone => Self::LinkGoneFull,
            Self::NeverFull => Self::EmptyPage,
            end => end,
        }
    }
}

/// What the evidence says about a slice: whether all rows that the server had were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The server stated the end, or the distinct rows equal its last total.
    Complete,
    /// Nothing was stated, or what came raises doubts, so nothing is proven. The slice lands, and the report says so.
    Unknown,
    /// The first and the last total differ: the data moved while it was read.
    Moving,
    /// Fewer rows than the server said it has.
    Short,
    /// More rows than the server said it has.
    Over,
}

/// The account of one slice at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconciliation {
    /// Rows that the server sent, doubles included.
    pub received: u64,
    /// Rows with different keys; equals `received` for a job with no `key`.
    pub distinct: u64,
    /// The total that the first page stated, in rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_first: Option<u64>,
    /// The total that the last page stated, in rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_last: Option<u64>,
    /// Rows that the server put on its largest page, where several had rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_page: Option<u64>,
    /// Rows with the last cursor of an incremental slice, where all that the server had came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_at_end: Option<u64>,
    /// Why paging ended.
    pub end: EndReason,
    /// What that proves.
    pub verdict: Verdict,
    /// How often the slice was read (`on_mismatch: refetch`).
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub passes: u32,
}

const fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_once(passes: &u32) -> bool {
    *passes == 1
}

impl Reconciliation {
    /// Weighs the evidence of a slice that has been read to its end.
    #[must_use]
    pub const fn of(received: u64, distinct: u64, totals: (Option<u64>, Option<u64>), end: EndReason) -> Self {
        let (total_first, total_last) = totals;
        let verdict = match (total_first, total_last) {
            // A total counts the rows that are left for later slices too, and those that join at the end.
            (Some(first), Some(last)) if matches!(end, EndReason::SliceFull) && last >= first && distinct <= last => {
                Verdict::Complete
            }
            (Some(first), Some(last)) if first != last => Verdict::Moving,
            (_, Some(last)) if distinct < last => Verdict::Short,
            (_, Some(last)) if distinct > last => Verdict::Over,
            (_, Some(_)) => Verdict::Complete,
            _ => match end {
                EndReason::MoreFalse
                | EndReason::EmptyPage
                | EndReason::SliceFull
                | EndReason::CursorEmpty
                | EndReason::CursorGone
                | EndReason::LinkEmpty
                | EndReason::LinkGone => Verdict::Complete,
                EndReason::OnePage
                | EndReason::PartsRead
                | EndReason::TotalReached
                | EndReason::PageAgain
                | EndReason::ShortPage
                | EndReason::EmptyAfterShort
                | EndReason::NeverFull
                | EndReason::MoreFalseAfterShort
                | EndReason::NothingNew
                | EndReason::NoCursor
                | EndReason::CursorGoneFull
                | EndReason::NoLink
                | EndReason::LinkGoneFull => Verdict::Unknown,
            },
        };
        Self {
            received,
            distinct,
            total_first,
            total_last,
            largest_page: None,
            rows_at_end: None,
            end,
            verdict,
            passes: 1,
        }
    }

    /// Tells whether the server has stated where the rows end. A page with no rows states nothing: that is also what a server gives
    /// that fails.
    #[must_use]
    pub fn is_stated(&self) -> bool {
        self.verdict == Verdict::Complete && (self.total_last.is_some() || self.end != EndReason::EmptyPage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(distinct: u64, totals: (Option<u64>, Option<u64>), end: EndReason) -> Verdict {
        Reconciliation::of(distinct, distinct, totals, end).verdict
    }

    #[test]
    fn totals_are_evidence_before_the_end_reason_is() {
        assert_eq!(verdict(10, (Some(10), Some(10)), EndReason::EmptyPage), Verdict::Complete);
        assert_eq!(verdict(9, (Some(10), Some(10)), EndReason::EmptyPage), Verdict::Short);
        assert_eq!(verdict(11, (Some(10), Some(10)), EndReason::MoreFalse), Verdict::Over);
        assert_eq!(verdict(10, (Some(9), Some(10)), EndReason::EmptyPage), Verdict::Moving);
    }

    #[test]
    fn a_total_counts_what_is_left_for_later_slices() {
        assert_eq!(verdict(10, (Some(30), Some(31)), EndReason::SliceFull), Verdict::Complete);
        assert_eq!(verdict(10, (Some(30), Some(29)), EndReason::SliceFull), Verdict::Moving);
        assert_eq!(verdict(10, (Some(9), Some(9)), EndReason::SliceFull), Verdict::Over);
    }

    #[test]
    fn without_a_total_only_a_stated_end_is_complete() {
        assert_eq!(verdict(5, (None, None), EndReason::EmptyPage), Verdict::Complete);
        assert_eq!(verdict(5, (None, None), EndReason::MoreFalse), Verdict::Complete);
        for stated in [EndReason::CursorEmpty, EndReason::CursorGone, EndReason::LinkEmpty, EndReason::LinkGone] {
            assert_eq!(verdict(5, (None, None), stated), Verdict::Complete);
        }
        for unstated in [EndReason::NoCursor, EndReason::CursorGoneFull, EndReason::NoLink, EndReason::LinkGoneFull] {
            assert_eq!(verdict(5, (None, None), unstated), Verdict::Unknown);
            assert_eq!(verdict(5, (Some(5), Some(5)), unstated), Verdict::Complete, "a total is evidence too");
        }
        assert_eq!(verdict(5, (None, None), EndReason::OnePage), Verdict::Unknown);
        assert_eq!(
            verdict(5, (None, None), EndReason::PartsRead),
            Verdict::Unknown,
            "a server may cap its pages lower still"
        );
        assert_eq!(verdict(5, (None, None), EndReason::ShortPage), Verdict::Unknown);
    }
}
