//! Whether a slice that is read again has less than what landed of it: then the server may have purged its history.

use crate::ledger::Landed;
use crate::model::RowCounts;

/// Returns the rows now, and those that landed, where there are fewer now. Rows outside of the slice are in neither: they never land,
/// and come or not as the server likes. `distinct` are the different rows of the reading.
pub(super) fn shrunk(landed: &Landed, counts: &RowCounts, distinct: u64) -> Option<(u64, u64)> {
    let (now, before) = match landed {
        Landed { records: 0, rows: 0, .. } => return None,
        // An earlier version landed it: what is known of it counts rows outside too.
        Landed { records: 0, distinct: before, .. } => (distinct, *before),
        Landed { records, .. } => (counts.decoded + counts.quarantined, *records),
    };
    (now < before).then_some((now, before))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn landed(rows: u64, records: u64, distinct: u64) -> Landed {
        let landed = json!({
            "generation": 1, "kind": {"window": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}},
            "rows": rows, "records": records, "distinct": distinct, "verdict": "unknown", "digest": "",
            "committed": "2026-01-03T00:00:00Z",
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

    #[test]
    fn rows_outside_of_the_slice_count_neither_then_nor_now() {
        assert_eq!(shrunk(&landed(2, 2, 3), &counts(2, 0, 0), 2), None, "one was outside when it landed");
        assert_eq!(shrunk(&landed(2, 2, 2), &counts(1, 0, 1), 2), Some((1, 2)), "one is outside now");
        assert_eq!(shrunk(&landed(0, 0, 3), &counts(0, 0, 0), 0), None, "all were outside");
    }

    #[test]
    fn a_bad_row_that_has_become_good_is_still_one() {
        assert_eq!(shrunk(&landed(2, 3, 3), &counts(3, 0, 0), 3), None);
        assert_eq!(shrunk(&landed(2, 3, 3), &counts(1, 1, 0), 2), Some((2, 3)));
    }

    #[test]
    fn what_an_earlier_version_landed_is_known_by_its_keys() {
        assert_eq!(shrunk(&landed(2, 0, 2), &counts(2, 0, 0), 2), None);
        assert_eq!(shrunk(&landed(2, 0, 2), &counts(1, 0, 0), 1), Some((1, 2)));
    }
}
