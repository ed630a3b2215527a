//! What has landed of a time grid, as merged ranges: their number depends on the gaps, not on the cells.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::model::Window;

/// Adjacent cells of one size that have landed, `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedRange {
    /// The start of the first cell, UTC.
    pub from: DateTime<Utc>,
    /// The end of the last cell, UTC.
    pub to: DateTime<Utc>,
    /// The size of a cell, in microseconds.
    pub every_us: i64,
}

impl LandedRange {
    /// Returns the size of a cell.
    #[must_use]
    pub const fn every(&self) -> TimeDelta {
        TimeDelta::microseconds(self.every_us)
    }

    /// Returns the range as a window.
    #[must_use]
    pub const fn window(&self) -> Window {
        Window { from: self.from, to: self.to }
    }

    /// Tells whether `cell` is one of the cells of this range, edges included.
    #[must_use]
    pub fn has_cell(&self, cell: Window) -> bool {
        let offset = (cell.from - self.from).num_microseconds();
        size(cell) == self.every_us
            && self.from <= cell.from
            && cell.to <= self.to
            && offset.is_some_and(|offset| offset % self.every_us == 0)
    }
}

/// Adds the cell `window` to `ranges`, which are sorted, apart, and merged where neighbours have cells of one size.
///
/// Gives back the range that it would overlap, or the empty `window` itself.
pub(super) fn insert(ranges: &mut Vec<LandedRange>, window: Window) -> Result<(), Window> {
    if window.from >= window.to {
        return Err(window);
    }
    let at = ranges.partition_point(|range| range.to <= window.from);
    if let Some(next) = ranges.get(at).filter(|next| next.window().overlaps(&window)) {
        return Err(next.window());
    }
    let every_us = size(window);
    ranges.insert(at, LandedRange { from: window.from, to: window.to, every_us });
    merge_with_next(ranges, at);
    if at > 0 {
        merge_with_next(ranges, at - 1);
    }
    Ok(())
}

/// Merges the range at `at` with the one after it, where they touch and have cells of one size.
fn merge_with_next(ranges: &mut Vec<LandedRange>, at: usize) {
    if let [first, next, ..] = ranges[at..]
        && first.to == next.from
        && first.every_us == next.every_us
    {
        ranges[at].to = next.to;
        ranges.remove(at + 1);
    }
}

fn size(window: Window) -> i64 {
    (window.to - window.from).num_microseconds().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(from: i64, to: i64) -> Window {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3600, 0).unwrap();
        Window { from: at(from), to: at(to) }
    }

    #[test]
    fn neighbours_of_one_size_merge_and_others_do_not() {
        let mut ranges = Vec::new();
        for (from, to) in [(0, 1), (2, 3), (1, 2), (3, 5)] {
            insert(&mut ranges, window(from, to)).unwrap();
        }
        let found: Vec<_> = ranges.iter().map(LandedRange::window).collect();
        assert_eq!(found, [window(0, 3), window(3, 5)]);
        assert!(ranges[0].has_cell(window(1, 2)));
        assert!(!ranges[0].has_cell(window(1, 3)));
        assert_eq!(insert(&mut ranges, window(4, 6)), Err(window(3, 5)));
        assert_eq!(insert(&mut ranges, window(6, 6)), Err(window(6, 6)));
    }

    proptest! {
        #[test]
        fn ranges_hold_exactly_the_cells_that_went_in(cells in proptest::collection::vec((0_i64..40, 1_i64..4), 0..40)) {
            let mut ranges = Vec::new();
            let mut hours = std::collections::BTreeMap::new();
            for (from, length) in cells {
                let free = (from..from + length).all(|hour| !hours.contains_key(&hour));
                prop_assert_eq!(insert(&mut ranges, window(from, from + length)).is_ok(), free);
                if free {
                    hours.extend((from..from + length).map(|hour| (hour, length)));
                }
            }
            for hour in 0..45 {
                let inside: Vec<_> = ranges.iter().filter(|range| range.window().overlaps(&window(hour, hour + 1))).collect();
                let every: Vec<_> = inside.iter().map(|range| range.every_us / 3_600_000_000).collect();
                prop_assert_eq!(every, hours.get(&hour).copied().into_iter().collect::<Vec<_>>());
            }
            prop_assert!(ranges.windows(2).all(|pair| pair[0].to < pair[1].from
                || (pair[0].to == pair[1].from && pair[0].every_us != pair[1].every_us)));
        }
    }
}
