//! The windows of a job and what became of each: what `status` draws and the status page shows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::quarantine;
use crate::ledger::{LedgerState, SliceRef};
use crate::model::{FanoutKey, Verdict, Window};
use crate::pipeline::spec::{Job, Slicing};
use crate::plan::{self, History};

/// What a person should know of a window that has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It hasn't as many rows as the server stated.
    NotAsStated,
    /// Some of its rows are in quarantine.
    Quarantine,
    /// It is to be read again since an edit was accepted.
    Again,
}

/// What became of a stretch of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// All have landed.
    Landed,
    /// Some have landed.
    Partly,
    /// None has landed.
    Missing,
    /// None has landed, and none is due: they lie before the start, behind what was backfilled.
    NotDue,
    /// All have landed, and one of them is marked.
    Marked(Mark),
}

/// The windows of one chain, from the first to the last that has ended.
#[derive(Debug, Clone)]
pub struct Timeline {
    windows: Vec<Window>,
    missing: BTreeSet<DateTime<Utc>>,
    not_due: BTreeSet<DateTime<Utc>>,
    marks: BTreeMap<DateTime<Utc>, Mark>,
}

impl Timeline {
    /// Looks at a chain; none where the job has no windows, or none has ended by `now`.
    #[must_use]
    pub fn of(job: &Job, key: Option<&FanoutKey>, state: &LedgerState, now: DateTime<Utc>) -> Option<Self> {
        let Slicing::Window(spec) = &job.slicing else { return None };
        let ranges = state.landed_ranges(&job.name, key);
        let stretch = |range: &crate::ledger::LandedRange| plan::stretch(range.window(), range.every().to_std().ok()?);
        let history = History { landed: ranges.iter().filter_map(stretch).collect(), ..History::default() };
        let start = plan::resolve_start(spec.start, state.pinned_start(&job.name), now);
        let start = plan::begins(start, state.since(&job.name), &history.landed);
        let from = ranges.first().map_or(start, |range| range.from.min(start));
        let all = Window { from, to: DateTime::<Utc>::MAX_UTC };
        // What a clock that was ahead has landed is there all the same.
        let now = ranges.last().map_or(now, |range| now.max(range.to + plan::delta(spec.lag)));
        let (windows, _) = plan::backfill(spec, &history, all, now, false);
        // Between what was backfilled and the start nothing is due.
        let due = |window: &Window| window.to > start;
        let missing = plan::backfill(spec, &history, all, now, true).0.into_iter().filter(due);
        let missing: BTreeSet<_> = missing.map(|window| window.from).collect();
        let landed = |window: &Window| ranges.iter().any(|range| range.window().overlaps(window));
        let not_due =
            windows.iter().filter(|window| !due(window) && !landed(window)).map(|window| window.from).collect();
        (!windows.is_empty()).then(|| Self { windows, missing, not_due, marks: marks(job, key, state) })
    }

    /// Returns how many windows are due or have landed, and how many of them haven't landed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.windows.len() as u64 - self.not_due(), self.missing.len() as u64)
    }

    /// Returns how many windows lie between what was backfilled and the start: they aren't due, and not there.
    #[must_use]
    pub fn not_due(&self) -> u64 {
        self.not_due.len() as u64
    }

    /// Returns the first and the last window.
    #[must_use]
    pub fn ends(&self) -> Option<(Window, Window)> {
        Some((*self.windows.first()?, *self.windows.last()?))
    }

    /// Returns the missing windows, merged where they touch.
    #[must_use]
    pub fn holes(&self) -> Vec<Window> {
        let mut holes: Vec<Window> = Vec::new();
        for window in self.windows.iter().filter(|window| self.missing.contains(&window.from)) {
            match holes.last_mut() {
                Some(last) if last.to == window.from => last.to = window.to,
                _ => holes.push(*window),
            }
        }
        holes
    }

    /// Cuts it into at most `most` stretches of as many windows each, and says what became of them; the last may be shorter.
    pub fn stretches(&self, most: usize) -> impl Iterator<Item = (Window, Stretch)> {
        self.windows.chunks(self.windows.len().div_ceil(most.max(1)).max(1)).filter_map(|some| {
            let (first, last) = some.first().zip(some.last())?;
            Some((Window { from: first.from, to: last.to }, self.stretch(some)))
        })
    }

    fn stretch(&self, windows: &[Window]) -> Stretch {
        let among =
            |some: &BTreeSet<DateTime<Utc>>| windows.iter().filter(|window| some.contains(&window.from)).count();
        let (missing, not_due) = (among(&self.missing), among(&self.not_due));
        let mark = windows.iter().find_map(|window| self.marks.get(&window.from));
        match (missing + not_due, mark) {
            _ if not_due == windows.len() => Stretch::NotDue,
            (gone, _) if gone == windows.len() => Stretch::Missing,
            (1.., _) => Stretch::Partly,
            (_, Some(mark)) => Stretch::Marked(*mark),
            _ => Stretch::Landed,
        }
    }
}

/// Returns the landed windows that a person should know something of.
fn marks(job: &Job, key: Option<&FanoutKey>, state: &LedgerState) -> BTreeMap<DateTime<Utc>, Mark> {
    let mark = |(id, slice): (&crate::model::SliceId, &crate::ledger::SliceState)| {
        let landed = slice.landed.as_ref()?;
        let at = SliceRef { job: job.name.clone(), key: key.cloned(), slice: id.clone() };
        let mark = if is_doubtful(landed.verdict) {
            Mark::NotAsStated
        } else if has_quarantine(state, &at) {
            Mark::Quarantine
        } else if landed.again {
            Mark::Again
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
