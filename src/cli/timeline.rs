//! The time line of a window job: one character for one window, or for some.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::ledger::{LedgerState, SliceRef};
use crate::model::{FanoutKey, Verdict, Window};
use crate::pipeline::spec::{Job, Slicing};
use crate::plan::{self, History};
use crate::run::quarantine;

/// What the characters mean.
pub(super) const LEGEND: &str = "█ landed  ▒ some landed  · missing  ! not as many rows as stated  q rows in quarantine  ~ read again since an edit";

/// The windows of one chain, from the first to the last that has ended.
pub(super) struct Timeline {
    windows: Vec<Window>,
    missing: BTreeSet<DateTime<Utc>>,
    marks: BTreeMap<DateTime<Utc>, char>,
}

impl Timeline {
    /// Looks at a chain; none where the job has no windows, or none has ended by `now`.
    pub(super) fn of(job: &Job, key: Option<&FanoutKey>, state: &LedgerState, now: DateTime<Utc>) -> Option<Self> {
        let Slicing::Window(spec) = &job.slicing else { return None };
        let ranges = state.landed_ranges(&job.name, key);
        let stretch = |range: &crate::ledger::LandedRange| plan::stretch(range.window(), range.every().to_std().ok()?);
        let history = History { landed: ranges.iter().filter_map(stretch).collect(), ..History::default() };
        let start = plan::resolve_start(spec.start, state.pinned_start(&job.name), now);
        let start = state.since(&job.name).filter(|_| ranges.is_empty()).map_or(start, |since| start.max(since));
        let from = ranges.first().map_or(start, |range| range.from.min(start));
        let all = Window { from, to: DateTime::<Utc>::MAX_UTC };
        // What a clock that was ahead has landed is there all the same.
        let now = ranges.last().map_or(now, |range| now.max(range.to + plan::delta(spec.lag)));
        let (windows, _) = plan::backfill(spec, &history, all, now, false);
        // Between what was backfilled and the start nothing is due.
        let due = |window: &Window| window.to > start;
        let missing = plan::backfill(spec, &history, all, now, true).0.into_iter().filter(due);
        let missing: BTreeSet<_> = missing.map(|window| window.from).collect();
        let landed = |window: &Window| due(window) || ranges.iter().any(|range| range.window().overlaps(window));
        let windows: Vec<Window> = windows.into_iter().filter(landed).collect();
        (!windows.is_empty()).then(|| Self { windows, missing, marks: marks(job, key, state) })
    }

    /// Returns how many windows there are, and how many of them haven't landed.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.windows.len() as u64, self.missing.len() as u64)
    }

    /// Returns the missing windows, merged where they touch.
    pub(super) fn holes(&self) -> Vec<Window> {
        let mut holes: Vec<Window> = Vec::new();
        for window in self.windows.iter().filter(|window| self.missing.contains(&window.from)) {
            match holes.last_mut() {
                Some(last) if last.to == window.from => last.to = window.to,
                _ => holes.push(*window),
            }
        }
        holes
    }

    /// Draws it with at most `width` characters, and the days of its ends.
    pub(super) fn draw(&self, width: usize) -> String {
        let day = |instant: DateTime<Utc>| instant.format("%Y-%m-%d").to_string();
        let ends = self.windows.first().zip(self.windows.last());
        let Some((first, last)) = ends else { return String::new() };
        let room = width.saturating_sub(28).clamp(10, 120);
        let bar: String =
            self.windows.chunks(self.windows.len().div_ceil(room)).map(|some| self.character(some)).collect();
        format!("  {} {bar} {}", day(first.from), day(last.to))
    }

    fn character(&self, windows: &[Window]) -> char {
        let missing = windows.iter().filter(|window| self.missing.contains(&window.from)).count();
        let mark = windows.iter().find_map(|window| self.marks.get(&window.from));
        match (missing, mark) {
            (missing, _) if missing == windows.len() => '·',
            (1.., _) => '▒',
            (_, Some(mark)) => *mark,
            _ => '█',
        }
    }
}

/// Returns the landed windows that a person should know something of.
fn marks(job: &Job, key: Option<&FanoutKey>, state: &LedgerState) -> BTreeMap<DateTime<Utc>, char> {
    let mark = |(id, slice): (&crate::model::SliceId, &crate::ledger::SliceState)| {
        let landed = slice.landed.as_ref()?;
        let at = SliceRef { job: job.name.clone(), key: key.cloned(), slice: id.clone() };
        let mark = if is_doubtful(landed.verdict) {
            '!'
        } else if has_quarantine(state, &at) {
            'q'
        } else if landed.again {
            '~'
        } else {
            return None;
        };
        Some((landed.window()?.from, mark))
    };
    state.slices(&job.name, key).filter_map(mark).collect()
}

/// Tells whether a slice landed though its rows weren't those that the server stated.
pub(super) const fn is_doubtful(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Short | Verdict::Over | Verdict::Moving)
}

/// Tells whether rows of a landed slice lie in quarantine.
pub(super) fn has_quarantine(state: &LedgerState, at: &SliceRef) -> bool {
    let end = format!("/{}/", quarantine::SINK);
    state.roots_of(at).iter().any(|root| root.ends_with(&end))
}
