//! The fixed grid of time: cells counted from 1970-01-01T00:00Z, half-open, UTC.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::Window;

/// A grid of cells of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    every_us: i64,
}

impl Grid {
    /// Makes the grid of cells `every` long. A length below a microsecond, or of more than 290,000 years, is refused.
    #[must_use]
    pub fn new(every: Duration) -> Option<Self> {
        let every_us = i64::try_from(every.as_micros()).ok()?;
        (every_us > 0).then_some(Self { every_us })
    }

    /// Returns the cell that `instant` lies in.
    #[must_use]
    pub fn cell(self, instant: DateTime<Utc>) -> Window {
        let from = instant.timestamp_micros().div_euclid(self.every_us).saturating_mul(self.every_us);
        Window { from: at(from), to: at(from.saturating_add(self.every_us)) }
    }

    /// Returns the last cell that ends at or before `instant`.
    pub(super) fn before(self, instant: DateTime<Utc>) -> Window {
        let to = self.cell(instant).from;
        Window { from: at(to.timestamp_micros().saturating_sub(self.every_us)), to }
    }

    /// Returns the first edge at or after `instant` that both grids have; `None` where it lies beyond the time that can be told.
    #[must_use]
    pub fn common_edge(self, other: Self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (a, b) = (i128::from(self.every_us), i128::from(other.every_us));
        let (mut divisor, mut rest) = (a, b);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let both = a / divisor * b;
        let edge = -(-i128::from(instant.timestamp_micros())).div_euclid(both) * both;
        DateTime::from_timestamp_micros(i64::try_from(edge).ok()?)
    }

    /// Returns the cells from the one that `from` lies in to the last one that ends at or before `until`, oldest first.
    pub fn cells(self, from: DateTime<Utc>, until: DateTime<Utc>) -> impl Iterator<Item = Window> {
        let mut next = self.cell(from);
        std::iter::from_fn(move || {
            let cell = next;
            let goes_on = cell.from < cell.to && cell.to <= until;
            next = self.cell(cell.to);
            goes_on.then_some(cell)
        })
    }
}

fn at(microseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(microseconds).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn cells_are_counted_from_1970() {
        let week = Grid::new(Duration::from_secs(7 * 86_400)).unwrap();
        // 1970-01-01 was a Thursday.
        assert_eq!(week.cell(instant("2026-01-01T12:00:00Z")).from, instant("2026-01-01T00:00:00Z"));
        assert_eq!(week.cell(instant("2026-01-07T23:59:59Z")).from, instant("2026-01-01T00:00:00Z"));
        let day = Grid::new(Duration::from_secs(86_400)).unwrap();
        assert_eq!(day.cell(instant("1969-12-31T23:59:59Z")).from, instant("1969-12-31T00:00:00Z"));
        assert_eq!(Grid::new(Duration::ZERO), None);
    }

    #[test]
    fn a_cell_is_listed_only_once_it_has_ended() {
        let hour = Grid::new(Duration::from_secs(3600)).unwrap();
        let count = |until: &str| hour.cells(instant("2026-01-01T00:30:00Z"), instant(until)).count();
        assert_eq!(count("2026-01-01T00:59:59Z"), 0);
        assert_eq!(count("2026-01-01T01:00:00Z"), 1);
        assert_eq!(count("2026-01-01T03:10:00Z"), 3);
    }

    proptest! {
        #[test]
        fn cells_tile_time_without_gap_or_overlap(every in 1u64..100_000_000, from in -4_000_000_000i64..4_000_000_000, n in 1usize..50) {
            let grid = Grid::new(Duration::from_millis(every)).unwrap();
            let from = at(from * 1_000_000);
            let cells: Vec<_> = grid.cells(from, DateTime::<Utc>::MAX_UTC).take(n).collect();
            prop_assert!(cells[0].contains(from));
            for pair in cells.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
            }
            for cell in cells {
                prop_assert_eq!(grid.cell(cell.from), cell);
            }
        }
    }
}
