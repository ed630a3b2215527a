//! Planning, which is pure: what a job should do, what has landed, the fan-out's rows and `now` -> the slices that are due.

mod cells;
mod fanout;
mod grid;
mod shard;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

pub use cells::{Stretch, stretch, takes_over};
pub use fanout::{FanOutError, Key, keys_of};
pub use grid::Grid;
pub use shard::Shard;

use crate::model::{CursorValue, JobName, Slice, SliceKind, Window};
use crate::pipeline::file::SnapshotMode;
use crate::pipeline::spec::{Slicing, Start, WindowSpec};

/// What has landed of one chain: a job, or a job and one fan-out key.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Landed cells, merged where they touch and are of one length, oldest first.
    pub landed: Vec<Stretch>,
    /// Landed windows that are to be read again since an edit was accepted, merged and sorted.
    pub again: Vec<Window>,
    /// Windows that had landed before an edit cut the job otherwise, and are to be read anew; merged and sorted.
    pub anew: Vec<Window>,
    /// Where a chain begins that has landed nothing before: that has landed under other fan-out values.
    pub since: Option<DateTime<Utc>>,
    /// The series of cursors: which life of the source.
    pub series: u32,
    /// The last cursor that the series has landed.
    pub cursor: Option<CursorValue>,
    /// Landed snapshots' labels.
    pub snapshots: Vec<String>,
    /// Slices that an earlier run began and never landed, with the instant they were begun for: those of a grid are due, also where
    /// they have landed before and `lookback` doesn't reach them any more.
    pub open: Vec<Slice>,
    /// Whose slices are planned: those of other shards may land at any moment, and change nothing.
    pub shard: Shard,
}

/// Returns the slices of one chain that are due at `now`, oldest first: those of the history's shard.
///
/// `start` is the instant at which a window job begins: see [`resolve_start`].
#[must_use]
pub fn due(
    job: &JobName,
    slicing: &Slicing,
    key: Option<&Key>,
    history: &History,
    now: DateTime<Utc>,
    start: Option<DateTime<Utc>>,
    zone: Tz,
) -> Vec<Slice> {
    let make = |kind| {
        let (key, parent) = key.map_or((None, serde_json::Value::Null), |key| (Some(key.key.clone()), key.row.clone()));
        Slice::new(job.clone(), key, parent, kind)
    };
    let is_own = |slice: &Slice| history.shard.takes(slice);
    let due: Vec<Slice> = match slicing {
        Slicing::Parent => Vec::new(),
        Slicing::Window(spec) => {
            let make = |cell| make(SliceKind::Window(cell));
            // What the others have landed meanwhile moves no one's lookback on: see `shard`.
            let last = cells::newest(&history.landed).find(|cell| is_own(&make(*cell))).map(|cell| cell.to);
            windows(spec, history, last, now, start.unwrap_or(now))
                .map(make)
                .filter(is_own)
                .take(MOST_DUE + 1)
                .collect()
        }
        Slicing::Incremental(spec) => {
            let start = history.cursor.clone().unwrap_or_else(|| CursorValue(spec.start.clone()));
            vec![make(SliceKind::Incremental { series: history.series, start, end: None })]
        }
        Slicing::Snapshot(mode) => snapshot(*mode, history, now, zone).map(make).into_iter().collect(),
    };
    due.into_iter().filter(is_own).collect()
}

/// The most windows that one run of a chain is planned with, at about a kilobyte of memory each. One more than that is returned where there
/// are more, so that who asks can tell.
pub const MOST_DUE: usize = 1_000_000;

/// Returns the instant at which a window job begins: an absolute `start` as it is, a relative one as it was pinned by the
/// first run, or counted from `now` where this is the first.
#[must_use]
pub fn resolve_start(start: Start, pinned: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    match start {
        Start::At(instant) => instant,
        Start::Ago(ago) => pinned.unwrap_or_else(|| before(now, ago)),
    }
}

/// Returns the instant at which one chain of a window job begins: `start`, or later where the history says that what was before
/// has landed under other fan-out values. A chain that has landed something of that time is one of those values.
#[must_use]
pub fn begins(start: DateTime<Utc>, since: Option<DateTime<Utc>>, landed: &[Stretch]) -> DateTime<Utc> {
    // The first cell after it may have begun before it.
    let is_after = |since| landed.first().is_none_or(|first| first.grid.cell(first.window.from).to > since);
    let since = since.filter(|since| is_after(*since));
    since.map_or(start, |since| start.max(since))
}

/// Returns the cells that ended `lag` ago and haven't landed, and those that `lookback` (counted from `last`), an accepted edit or
/// a run that died reads again, oldest first.
fn windows(
    spec: &WindowSpec,
    history: &History,
    last: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    start: DateTime<Utc>,
) -> impl Iterator<Item = Window> {
    let lookback = last.map(|last| Window { from: before(last, spec.lookback), to: last });
    let start = begins(start, history.since, &history.landed);
    let (again, anew) = (history.again.clone(), history.anew.clone());
    let begun: Vec<Window> = history.open.iter().filter_map(Slice::window).collect();
    let first = again.iter().chain(&anew).chain(&begun).map(|window| window.from).chain([start]).min().unwrap_or(start);
    let (until, landed) = (before(now, spec.lag), history.landed.clone());
    let cells = Grid::new(spec.every).into_iter().flat_map(move |grid| cells::cells(grid, &landed, first, until));
    let due = cells.filter(move |cells::Cell { window, landed }| {
        let within = |windows: &[Window]| windows.iter().any(|other| other.overlaps(window));
        let (in_lookback, started) = (lookback.is_some_and(|lookback| lookback.overlaps(window)), window.to > start);
        if *landed {
            (in_lookback && started) || within(&again) || begun.contains(window)
        } else {
            started || within(&anew)
        }
    });
    due.map(|cell| cell.window)
}

/// Returns the cells that `asked` touches and that ended `lag` ago, oldest first, and the window that they make: `asked`, rounded
/// out to whole cells. With `missing`, those that have landed are left out.
#[must_use]
pub fn backfill(
    spec: &WindowSpec,
    history: &History,
    asked: Window,
    now: DateTime<Utc>,
    missing: bool,
) -> (Vec<Window>, Option<Window>) {
    let until = before(now, spec.lag);
    let grid = Grid::new(spec.every);
    let all = grid.into_iter().flat_map(|grid| cells::cells(grid, &history.landed, asked.from, until));
    let all: Vec<cells::Cell> = all.take_while(|cell| cell.window.from < asked.to).collect();
    let whole = all.first().zip(all.last()).map(|(first, last)| Window { from: first.window.from, to: last.window.to });
    (all.into_iter().filter(|cell| !(missing && cell.landed)).map(|cell| cell.window).collect(), whole)
}

fn snapshot(mode: SnapshotMode, history: &History, now: DateTime<Utc>, zone: Tz) -> Option<SliceKind> {
    let begun = history.open.iter().find_map(|slice| match &slice.kind {
        SliceKind::Snapshot { at, label } => Some((*at, label.clone())),
        _ => None,
    });
    let label = match mode {
        SnapshotMode::Daily => now.with_timezone(&zone).format("%Y-%m-%d").to_string(),
        SnapshotMode::EveryRun => {
            begun.clone().map_or_else(|| now.format("%Y-%m-%dT%H%M%S%.fZ").to_string(), |(_, label)| label)
        }
        SnapshotMode::Latest => "latest".to_owned(),
    };
    if mode == SnapshotMode::Daily && history.snapshots.contains(&label) {
        return None;
    }
    let at = begun.filter(|(_, open)| *open == label).map_or(now, |(at, _)| at);
    Some(SliceKind::Snapshot { at, label })
}

/// Returns the instant that lies `ago` before `instant`; the earliest there is where that would be before all time.
fn before(instant: DateTime<Utc>, ago: Duration) -> DateTime<Utc> {
    instant.checked_sub_signed(delta(ago)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Turns a duration of the pipeline file into one to calculate with; one beyond 290 million years is cut.
#[must_use]
pub fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;
