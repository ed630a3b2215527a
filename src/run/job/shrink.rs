//! Whether a slice that is read again has lost something of what landed: rows, or their fitting. Then what landed stays.

use crate::ledger::Landed;
use crate::model::{EndReason, Reconciliation, RowCounts, SliceKind, Verdict, counted};
use crate::run::LossError;

/// What a slice has lost since it landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// Rows that fitted don't any more.
    Fit {
        /// At least so many.
        rows: u64,
        /// Rows that fit now.
        now: u64,
        /// Rows that fitted when it landed.
        before: u64,
    },
    /// A window has fewer rows: the server may have purged its history.
    Rows {
        /// Rows now.
        now: u64,
        /// Rows that landed, in words.
        before: String,
    },
    /// A list that had several pages ends with one as full as theirs, which gives no way on.
    Cut {
        /// Rows now.
        now: u64,
        /// Rows that landed, in words.
        before: String,
        /// Rows of the largest page then.
        page: u64,
    },
    /// It came back with nothing, and nothing shows that there is nothing.
    All {
        /// Rows that landed, in words.
        before: String,
    },
}

/// Returns what a slice has lost. Rows outside of the slice count neither then nor now: they never land, and come or not as the server
/// likes. A list of the present (`snapshot`) may be shorter than the last one, also empty, but that must be stated: an answer with no
/// rows is also what a server gives that fails, and one full page with no way on what it gives that forgets its link.
pub(super) fn lost(landed: &Landed, kind: &SliceKind, counts: &RowCounts, proved: &Reconciliation) -> Option<Loss> {
    let (now, before) = match landed {
        Landed { records: 0, rows: 0, .. } => return None,
        // An earlier version landed it: what is known of it counts rows outside too.
        Landed { records: 0, distinct: before, .. } => (proved.distinct, *before),
        Landed { records, .. } => (counts.decoded + counts.quarantined, *records),
    };
    if let Some(loss) = unfit(landed, counts) {
        return Some(loss);
    }
    if now < before && matches!(kind, SliceKind::Window(_)) {
        return Some(Loss::Rows { now, before: in_words(landed, before, counts) });
    }
    let before_in_words = || in_words(landed, before, counts);
    if now == 0 && before > 0 && !proved.is_stated() {
        return Some(Loss::All { before: before_in_words() });
    }
    let is_full = matches!(
        proved.end,
        EndReason::NoLink | EndReason::LinkGoneFull | EndReason::NoCursor | EndReason::CursorGoneFull
    );
    let has_no_way_on = proved.verdict == Verdict::Unknown && is_full;
    // Of several pages the last is as full as any of them; of one it is all that came.
    let last = proved.largest_page.unwrap_or(proved.received);
    let page = landed.largest_page.filter(|page| has_no_way_on && now < before && last >= *page);
    page.map(|page| Loss::Cut { now, before: before_in_words(), page })
}

/// Tells whether rows that fitted don't any more: fewer do, and more don't. Where only fewer do, rows are gone, which is another loss.
fn unfit(landed: &Landed, counts: &RowCounts) -> Option<Loss> {
    // How many fitted isn't known of what an earlier version landed: one at least where it has rows.
    let good = landed.good.unwrap_or_else(|| u64::from(landed.rows > 0));
    let bad = landed.good.map_or(0, |good| landed.records.saturating_sub(good));
    let (fewer, more) = (good.saturating_sub(counts.decoded), counts.quarantined.saturating_sub(bad));
    let rows = fewer.min(more);
    (rows > 0).then_some(Loss::Fit { rows, now: counts.decoded, before: good })
}

/// Says how many rows there were, and where they went.
fn in_words(landed: &Landed, before: u64, counts: &RowCounts) -> String {
    let bad = landed.good.map_or(0, |good| landed.records.saturating_sub(good));
    if bad == 0 {
        return format!("{} landed before", counted(before, "row"));
    }
    let good = before.saturating_sub(bad);
    let copy = if counts.decoded >= good { ", which may be all that is gone and is the only copy" } else { "" };
    format!("{} came before: {good} landed, {bad} went to quarantine{copy}", counted(before, "row"))
}

impl Loss {
    /// Says what to do about it. `first` is the first bad row, and why.
    pub(super) fn error(self, first: impl FnOnce() -> String) -> LossError {
        match self {
            Self::Fit { rows, now, before } => LossError::Fit { rows, now, before, first: first() },
            Self::Rows { now, before } => LossError::Rows { what: "the slice".to_owned(), now, before },
            Self::Cut { now, before, page } => LossError::Cut { now, before, page },
            Self::All { before } => LossError::All { before },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    fn kind(text: &str) -> Value {
        match text {
            "window" => json!({"window": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}}),
            _ => json!({"snapshot": {"at": "2026-01-01T00:00:00Z", "label": "latest"}}),
        }
    }

    fn landed(rows: u64, records: u64, good: Option<u64>, distinct: u64) -> Landed {
        let landed = json!({
            "generation": 1, "kind": kind("window"), "rows": rows, "records": records, "good": good, "distinct": distinct,
            "verdict": "unknown", "digest": "", "committed": "2026-01-03T00:00:00Z",
        });
        serde_json::from_value(landed).unwrap()
    }

    fn counts(decoded: u64, quarantined: u64, outside_window: u64) -> RowCounts {
        RowCounts {
            received: decoded + quarantined + outside_window,
            decoded,
            quarantined,
            outside_window,
            ..RowCounts::default()
        }
    }

    fn of(kind_of: &str, landed: &Landed, counts: &RowCounts, end: EndReason) -> Option<Loss> {
        let kind = serde_json::from_value(kind(kind_of)).unwrap();
        let distinct = counts.received;
        lost(landed, &kind, counts, &Reconciliation::of(distinct, distinct, (None, None), end))
    }

    fn window(landed: &Landed, counts: &RowCounts) -> Option<Loss> {
        of("window", landed, counts, EndReason::OnePage)
    }

    fn fewer(now: u64, before: &str) -> Option<Loss> {
        Some(Loss::Rows { now, before: before.to_owned() })
    }

    #[test]
    fn rows_outside_of_the_slice_count_neither_then_nor_now() {
        assert_eq!(window(&landed(2, 2, Some(2), 3), &counts(2, 0, 0)), None, "one was outside when it landed");
        assert_eq!(window(&landed(2, 2, Some(2), 2), &counts(1, 0, 1)), fewer(1, "2 rows landed before"), "one is now");
        assert_eq!(window(&landed(0, 0, Some(0), 3), &counts(0, 0, 0)), None, "all were outside");
    }

    #[test]
    fn a_bad_row_that_has_become_good_is_still_one() {
        assert_eq!(window(&landed(2, 3, Some(2), 3), &counts(3, 0, 0)), None);
        let before = "3 rows came before: 2 landed, 1 went to quarantine";
        assert_eq!(window(&landed(2, 3, Some(2), 3), &counts(1, 1, 0)), fewer(2, before));
        let only = format!("{before}, which may be all that is gone and is the only copy");
        assert_eq!(window(&landed(2, 3, Some(2), 3), &counts(2, 0, 0)), fewer(2, &only));
    }

    #[test]
    fn a_good_row_that_has_become_bad_is_a_loss() {
        let unfit = |rows, now, before| Some(Loss::Fit { rows, now, before });
        for kind in ["window", "snapshot"] {
            let lost = |landed: &Landed, counts: RowCounts| of(kind, landed, &counts, EndReason::OnePage);
            assert_eq!(lost(&landed(3, 3, Some(3), 3), counts(1, 2, 0)), unfit(2, 1, 3));
            assert_eq!(
                lost(&landed(3, 4, Some(3), 4), counts(2, 3, 0)),
                unfit(1, 2, 3),
                "one more has come, bad as well"
            );
            assert_eq!(lost(&landed(3, 3, Some(3), 3), counts(3, 5, 0)), None, "all that fitted may be there");
            assert_eq!(lost(&landed(3, 3, None, 3), counts(0, 3, 0)), unfit(1, 0, 1), "how many fitted isn't known");
            assert_eq!(lost(&landed(3, 3, None, 3), counts(1, 2, 0)), None, "how many fitted isn't known");
        }
        let shorter = of("snapshot", &landed(3, 4, Some(3), 4), &counts(2, 1, 0), EndReason::OnePage);
        assert_eq!(shorter, None, "a row is gone, and the bad one is still there");
    }

    #[test]
    fn a_list_may_be_shorter_but_nothing_must_be_stated() {
        let before = landed(2, 2, Some(2), 2);
        let snapshot = |counts, end| of("snapshot", &before, &counts, end);
        assert_eq!(snapshot(counts(1, 0, 0), EndReason::OnePage), None);
        assert_eq!(snapshot(counts(0, 0, 0), EndReason::MoreFalse), None, "the server said so");
        let gone = Loss::All { before: "2 rows landed before".to_owned() };
        for unstated in [EndReason::OnePage, EndReason::EmptyPage, EndReason::NoLink, EndReason::NoCursor] {
            assert_eq!(snapshot(counts(0, 0, 0), unstated), Some(gone.clone()), "{unstated:?}");
        }
        let kind = serde_json::from_value(kind("snapshot")).unwrap();
        let total = Reconciliation::of(0, 0, (Some(0), Some(0)), EndReason::EmptyPage);
        assert_eq!(lost(&before, &kind, &counts(0, 0, 0), &total), None, "a total of none");
    }

    #[test]
    fn one_full_page_without_a_link_is_no_list_that_had_several() {
        let mut before = landed(257, 257, Some(257), 257);
        assert_eq!(of("snapshot", &before, &counts(50, 0, 0), EndReason::NoLink), None, "it had one page then, too");
        before.largest_page = Some(50);
        let snapshot = |rows, end| of("snapshot", &before, &counts(rows, 0, 0), end);
        let cut = |now| Some(Loss::Cut { now, before: "257 rows landed before".to_owned(), page: 50 });
        assert_eq!(snapshot(50, EndReason::NoLink), cut(50));
        assert_eq!(snapshot(60, EndReason::NoCursor), cut(60), "the server has larger pages now");
        assert_eq!(snapshot(49, EndReason::NoLink), None, "it fits on one page");
        assert_eq!(snapshot(257, EndReason::NoLink), None, "nothing is missing");
        assert_eq!(snapshot(50, EndReason::LinkGone), None, "another page had a link, and more rows");
        let pages = |largest| {
            let kind = serde_json::from_value(kind("snapshot")).unwrap();
            let mut proved = Reconciliation::of(150, 150, (None, None), EndReason::LinkGoneFull);
            proved.largest_page = Some(largest);
            lost(&before, &kind, &counts(150, 0, 0), &proved)
        };
        assert_eq!(pages(50), cut(150), "so had another page, with no more rows");
        assert_eq!(pages(40), None, "its pages are of no fixed size");
        assert_eq!(snapshot(257, EndReason::CursorGoneFull), None, "nothing is missing");
        assert_eq!(snapshot(50, EndReason::OnePage), None);
    }

    #[test]
    fn what_an_earlier_version_landed_is_known_by_its_keys() {
        assert_eq!(window(&landed(2, 0, None, 2), &counts(2, 0, 0)), None);
        assert_eq!(window(&landed(2, 0, None, 2), &counts(1, 0, 0)), fewer(1, "2 rows landed before"));
    }
}
