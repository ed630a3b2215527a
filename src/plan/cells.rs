//! The cells of a job's time line, where `every` was another once: what has landed keeps the grid that it landed by, and a new
//! grid takes over at the first edge that both have, after what has landed.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Grid;
use crate::model::Window;

/// Adjacent cells of one length that have landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// From the start of the first cell to the end of the last.
    pub window: Window,
    /// The grid that they are cells of.
    pub grid: Grid,
}

/// A cell of the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) window: Window,
    pub(super) landed: bool,
}

/// A part of the time line that is cut by one grid.
#[derive(Debug, Clone, Copy)]
struct Segment {
    window: Window,
    grid: Grid,
    landed: bool,
}

/// Returns where a grid takes over from the one of `last`, the last that has landed; `None` where they have no common edge in the
/// time that can be told.
#[must_use]
pub fn takes_over(grid: Grid, last: Stretch) -> Option<DateTime<Utc>> {
    if last.grid == grid { Some(last.window.to) } else { last.grid.common_edge(grid, last.window.to) }
}

/// Returns the cells from the one that `from` lies in to the last one that ends at or before `until`, oldest first. `landed` is
/// sorted and has no overlaps.
pub(super) fn cells(
    grid: Grid,
    landed: &[Stretch],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> impl Iterator<Item = Cell> + use<> {
    segments(grid, landed).into_iter().filter(move |segment| segment.window.to > from).flat_map(move |segment| {
        let Segment { window, grid, landed } = segment;
        // A gap may begin within a cell of its grid, which then has landed in part, by another grid.
        let cells = grid.cells(from.max(window.from), until.min(window.to));
        cells.filter(move |cell| cell.from >= window.from).map(move |window| Cell { window, landed })
    })
}

fn segments(grid: Grid, landed: &[Stretch]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut gap = |from: DateTime<Utc>, to: DateTime<Utc>, grid: Grid| {
        if from < to {
            segments.push(Segment { window: Window { from, to }, grid, landed: false });
        }
    };
    let (first, end) = (landed.first().map_or(grid, |first| first.grid), DateTime::<Utc>::MAX_UTC);
    gap(DateTime::<Utc>::MIN_UTC, landed.first().map_or(end, |first| first.window.from), first);
    for (place, stretch) in landed.iter().enumerate() {
        let (next, to) = landed.get(place + 1).map_or((grid, end), |next| (next.grid, next.window.from));
        let over = takes_over(next, *stretch).unwrap_or(end).min(to);
        gap(stretch.window.to, over, stretch.grid);
        gap(over, to, next);
    }
    let landed = landed.iter().map(|stretch| Segment { window: stretch.window, grid: stretch.grid, landed: true });
    segments.extend(landed);
    segments.sort_by_key(|segment| segment.window);
    segments
}

/// Returns the cells that have landed, the newest first.
pub(super) fn newest(landed: &[Stretch]) -> impl Iterator<Item = Window> {
    landed.iter().rev().flat_map(|stretch| {
        let Stretch { window, grid } = *stretch;
        let cells = std::iter::successors(Some(grid.before(window.to)), move |cell| Some(grid.before(cell.from)));
        cells.take_while(move |cell| cell.from >= window.from && cell.from < cell.to)
    })
}

/// Makes the stretch of cells `every` long.
#[must_use]
pub fn stretch(window: Window, every: Duration) -> Option<Stretch> {
    Some(Stretch { window, grid: Grid::new(every)? })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn grid(hours: u64) -> Grid {
        Grid::new(Duration::from_hours(hours)).unwrap()
    }

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn landed(from: i64, to: i64, every: u64) -> Stretch {
        Stretch { window: Window { from: at(from), to: at(to) }, grid: grid(every) }
    }

    fn hours(grid: Grid, landed: &[Stretch], from: i64, until: i64) -> String {
        let hour = |instant: DateTime<Utc>| (instant - DateTime::UNIX_EPOCH).num_hours();
        let show = |cell: Cell| {
            let mark = if cell.landed { "=" } else { "" };
            format!("{}-{}{mark}", hour(cell.window.from), hour(cell.window.to))
        };
        cells(grid, landed, at(from), at(until)).map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_new_grid_takes_over_at_the_first_common_edge() {
        assert_eq!(hours(grid(24), &[landed(0, 5, 1)], 0, 8), "0-1= 1-2= 2-3= 3-4= 4-5= 5-6 6-7 7-8");
        assert!(hours(grid(24), &[landed(0, 22, 1)], 0, 72).ends_with("21-22= 22-23 23-24 24-48 48-72"));
        assert_eq!(hours(grid(12), &[landed(0, 24, 24)], 0, 48), "0-24= 24-36 36-48");
        assert_eq!(hours(grid(6), &[landed(0, 4, 4)], 0, 24), "0-4= 4-8 8-12 12-18 18-24");
        assert_eq!(takes_over(grid(6), landed(0, 4, 4)), Some(at(12)));
        assert_eq!(takes_over(grid(6), landed(0, 12, 4)), Some(at(12)), "an edge of both already");
        let odd = Grid::new(Duration::from_micros(3_600_000_000_000_001)).unwrap();
        assert_eq!(takes_over(odd, Stretch { window: Window { from: at(0), to: at(1) }, grid: grid(1) }), None);
    }

    #[test]
    fn what_has_landed_is_told_from_its_end() {
        let both = [landed(2, 4, 2), landed(6, 10, 2), landed(12, 18, 6)];
        let froms: Vec<i64> = newest(&both).map(|cell| (cell.from - at(0)).num_hours()).collect();
        assert_eq!(froms, [12, 8, 6, 2]);
        let all = Stretch { window: Window { from: DateTime::<Utc>::MIN_UTC, to: at(1) }, grid: grid(1) };
        assert_eq!(newest(&[all]).take(3).count(), 3, "whatever lies before");
    }

    #[test]
    fn holes_keep_the_grid_that_they_are_in() {
        let both = [landed(2, 4, 2), landed(6, 8, 2), landed(12, 24, 6)];
        assert_eq!(hours(grid(6), &both, 0, 30), "0-2 2-4= 4-6 6-8= 8-10 10-12 12-18= 18-24= 24-30");
        assert_eq!(hours(grid(6), &both, 5, 12), "4-6 6-8= 8-10 10-12");
    }

    proptest! {
        /// However often `every` is changed and however the runs fall, the cells that land tile the time without gap or overlap.
        #[test]
        fn whatever_every_is_the_cells_tile_the_time(
            steps in prop::collection::vec((1_u64..=12, 0_i64..40, any::<u64>()), 1..12),
        ) {
            let mut now = 0;
            let mut done: Vec<Stretch> = Vec::new();
            for (every, step, fails) in steps {
                now += step;
                let due: Vec<Cell> = cells(grid(every), &done, at(0), at(now)).collect();
                for pair in due.windows(2) {
                    prop_assert_eq!(pair[0].window.to, pair[1].window.from);
                }
                prop_assert!(due.first().is_none_or(|cell| cell.window.from == at(0)));
                for (place, cell) in due.iter().filter(|cell| !cell.landed).enumerate() {
                    prop_assert!(done.iter().all(|other| !other.window.overlaps(&cell.window)));
                    // Some cells fail, and are a hole until the next run.
                    if fails >> (place % 64) & 3 != 3 {
                        let grid = Grid::new((cell.window.to - cell.window.from).to_std().unwrap()).unwrap();
                        done.push(Stretch { window: cell.window, grid });
                    }
                }
                done.sort_by_key(|stretch| stretch.window);
            }
        }
    }
}
