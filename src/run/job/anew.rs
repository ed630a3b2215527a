//! What was read anew, since the job is cut otherwise, takes the place of what had landed: once it covers that, and has no fewer rows.

use std::collections::{BTreeMap, BTreeSet};

use super::Runner;
use crate::ledger::{Generation, Landed, LedgerState, SliceRef};
use crate::model::{FanoutKey, JobReport, SliceKind, SliceOutcome, Window, counted};
use crate::pipeline::spec::{Job, Slicing};
use crate::plan::Shard;
use crate::run::{LossError, RunError};

/// A value of the fan-out; none where the job doesn't fan out.
type KeyOf = Option<FanoutKey>;

/// What had landed, as far as the same slices were read anew for all of it: it goes as a whole, or stays.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    old: Vec<Old>,
    /// Records of what had landed.
    before: u64,
    /// Records of what was read anew in its place.
    now: u64,
    /// The time that both cover; none where they have no windows in common.
    window: Option<Window>,
}

/// A generation of before, and its window where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Old {
    generation: Generation,
    window: Option<Window>,
    rows: u64,
    /// Whether it is a list of one instant, of which another one may be shorter.
    is_list: bool,
}

impl Old {
    fn of(at: SliceRef, landed: &Landed) -> Self {
        let generation = Generation { at, generation: landed.generation };
        let is_list = matches!(landed.kind, SliceKind::Snapshot { .. });
        Self { generation, window: landed.window(), rows: landed.records, is_list }
    }
}

impl Runner<'_> {
    /// Lets go what had landed before the job was cut otherwise, as far as what was read anew covers it.
    ///
    /// # Errors
    /// What was read anew has fewer rows, which wasn't allowed; the ledger can't be written.
    pub(super) async fn supersede(&self, report: &JobReport) -> Result<(), RunError> {
        let parts = self.writer.state(|state| parts(self.job, state, report, self.options.shard));
        // A list of the present may be shorter than the last one.
        let is_guarded = |part: &Part| !self.options.allow_shrink && part.old.iter().any(|old| !old.is_list);
        let (short, fine): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| is_guarded(part) && part.now < part.before);
        let gone: Vec<Generation> = fine.into_iter().flat_map(|part| part.old).map(|old| old.generation).collect();
        if !gone.is_empty() {
            self.writer.supersede(gone).await?;
        }
        let Some(first) = short.first() else { return Ok(()) };
        let before = format!("{} landed before", counted(first.before, "row"));
        Err(LossError::Rows { what: name(first, short.len() - 1), now: first.now, before }.into())
    }
}

/// Names a part, and says how many `others` there are like it.
fn name(part: &Part, others: usize) -> String {
    let key = part.old.first().and_then(|old| old.generation.at.key.as_ref());
    let what = match (part.window, key) {
        (Some(window), _) => format!("{} to {}", window.from, window.to),
        (None, Some(key)) => format!("all of {key}"),
        (None, None) => "all of it".to_owned(),
    };
    let others = if others == 0 { String::new() } else { format!(" (like {others} more)") };
    format!("{what}, read anew{others},")
}

/// Returns what can go now, sorted by fan-out value and time.
fn parts(job: &Job, state: &LedgerState, report: &JobReport, shard: Shard) -> Vec<Part> {
    let keys: BTreeSet<KeyOf> = if job.for_each.is_some() {
        state.parents(&job.name).unwrap_or_default().iter().map(|row| Some(row.key.clone())).collect()
    } else {
        BTreeSet::from([None])
    };
    let names = keys.first().map(names);
    let mut old: BTreeMap<Heirs<'_>, Vec<Old>> = BTreeMap::new();
    for (at, landed) in state.outdated(&job.name) {
        if let Some(heirs) = heirs(&keys, names.as_deref(), &at.key) {
            old.entry(heirs).or_default().push(Old::of(at, landed));
        }
    }
    let mut found = Vec::new();
    for (of, old) in old {
        let heirs: Vec<&KeyOf> = match of {
            Heirs::All => keys.iter().collect(),
            Heirs::Itself(key) => vec![key],
        };
        let landed = heirs.iter().flat_map(|heir| state.slices(&job.name, heir.as_ref()));
        let new: Vec<&Landed> = landed.filter_map(|(_, slice)| slice.landed.as_ref()).collect();
        let by_window = |old: &Old| old.window.is_some() && matches!(job.slicing, Slicing::Window(_));
        let (windows, whole): (Vec<Old>, Vec<Old>) = old.into_iter().partition(by_window);
        let windows = spans(windows, new.iter().filter_map(|new| Some((new.window()?, new.records))));
        let covered = |window: Window| heirs.iter().all(|heir| state.covers(&job.name, heir.as_ref(), window));
        found.extend(windows.into_iter().filter(|part| part.old.iter().filter_map(|old| old.window).all(covered)));
        // What this run has read says something of its own chains only.
        let takes = |of| matches!(of, Heirs::Itself(key) if shard.takes_chain(&job.name, key.as_ref()));
        let is_own = shard.is_whole() || takes(of);
        if !whole.is_empty() && is_own && is_read(report, &heirs) {
            let before = whole.iter().map(|old| old.rows).sum();
            let now = new.iter().map(|new| new.records).sum();
            found.push(Part { old: whole, before, now, window: None });
        }
    }
    found
}

/// Who takes the place of what has landed under a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Heirs<'k> {
    /// All values that the job has: they are of other columns.
    All,
    /// The same value.
    Itself(&'k KeyOf),
}

/// Returns who among `keys`, values of these columns, takes the place of `old`. One that is gone from a list of the same columns has no
/// heirs: its data stay as they have landed.
fn heirs<'k>(keys: &'k BTreeSet<KeyOf>, columns: Option<&[String]>, old: &KeyOf) -> Option<Heirs<'k>> {
    match keys.get(old) {
        Some(same) => Some(Heirs::Itself(same)),
        None => columns.is_some_and(|columns| columns != names(old)).then_some(Heirs::All),
    }
}

/// Returns the names of a value's columns.
fn names(key: &KeyOf) -> Vec<String> {
    key.as_ref().map(FanoutKey::names).unwrap_or_default()
}

/// Tells whether a run has read all that there is under these values.
fn is_read(report: &JobReport, keys: &[&KeyOf]) -> bool {
    let mut slices = report.slices.iter().filter(|slice| keys.contains(&&slice.key));
    report.left.is_none() && slices.all(|slice| !matches!(slice.outcome, SliceOutcome::Failed { .. }))
}

/// Puts together what overlaps: old windows, and the new ones with their rows. A new window counts as a whole, also where it reaches
/// beyond the old ones: which of its rows lie there isn't known.
fn spans(old: Vec<Old>, new: impl Iterator<Item = (Window, u64)>) -> Vec<Part> {
    let old = old.into_iter().filter_map(|old| Some((old.window?, Ok(old))));
    let mut all: Vec<(Window, Result<Old, u64>)> = old.chain(new.map(|(window, rows)| (window, Err(rows)))).collect();
    all.sort_by_key(|(window, _)| *window);
    let mut parts: Vec<Part> = Vec::new();
    for (window, side) in all {
        let reach = parts.last().and_then(|part| part.window).filter(|reach| window.from < reach.to);
        if reach.is_none() {
            parts.push(Part { old: Vec::new(), before: 0, now: 0, window: None });
        }
        let Some(part) = parts.last_mut() else { continue };
        part.window = Some(reach.map_or(window, |reach| Window { to: reach.to.max(window.to), ..reach }));
        match side {
            Ok(old) => {
                part.before += old.rows;
                part.old.push(old);
            }
            Err(rows) => part.now += rows,
        }
    }
    parts.retain(|part| !part.old.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    use super::*;
    use crate::model::{JobName, SliceId};

    fn hours(from: i64, to: i64) -> Window {
        let at = |hour| DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        Window { from: at(from), to: at(to) }
    }

    fn old(from: i64, to: i64, rows: u64) -> Old {
        let at = SliceRef { job: JobName::new("j"), key: None, slice: SliceId::new(format!("{from}")) };
        Old { generation: Generation { at, generation: 1 }, window: Some(hours(from, to)), rows, is_list: false }
    }

    fn found(old: Vec<Old>, new: &[(i64, i64, u64)]) -> Vec<(Window, usize, u64, u64)> {
        let parts = spans(old, new.iter().map(|(from, to, rows)| (hours(*from, *to), *rows)));
        parts.into_iter().map(|part| (part.window.unwrap(), part.old.len(), part.before, part.now)).collect()
    }

    #[test]
    fn what_overlaps_is_compared_as_a_whole() {
        let days = || vec![old(0, 24, 10), old(24, 48, 20)];
        assert_eq!(
            found(days(), &[(0, 12, 4), (12, 24, 5), (24, 36, 20), (36, 48, 0), (48, 60, 9)]),
            [(hours(0, 24), 1, 10, 9), (hours(24, 48), 1, 20, 20)]
        );
        assert_eq!(found(days(), &[(0, 72, 31)]), [(hours(0, 72), 2, 30, 31)]);
        assert_eq!(found(days(), &[(0, 30, 1), (30, 60, 2)]), [(hours(0, 60), 2, 30, 3)]);
        assert_eq!(found(days(), &[]), [(hours(0, 24), 1, 10, 0), (hours(24, 48), 1, 20, 0)]);
        assert_eq!(found(Vec::new(), &[(0, 1, 1)]), []);
    }

    #[test]
    fn a_value_that_is_gone_has_heirs_of_other_columns_only() {
        let key = |name, value: &str| Some(FanoutKey::new([(name, serde_json::json!(value))]));
        let keys = BTreeSet::from([key("site", "aa"), key("site", "cc")]);
        let columns = keys.first().map(names);
        let of = |old: &KeyOf| heirs(&keys, columns.as_deref(), old);
        assert_eq!(of(&key("site", "aa")), Some(Heirs::Itself(&key("site", "aa"))));
        assert_eq!(of(&key("site", "bb")), None, "it stays");
        assert_eq!(of(&key("place", "bb")), Some(Heirs::All), "`for_each.key` was changed");
        assert_eq!(of(&None), Some(Heirs::All), "the job didn't fan out");
        let single = BTreeSet::from([None]);
        assert_eq!(heirs(&single, Some(&[]), &key("site", "aa")), Some(Heirs::All), "it doesn't fan out any more");
        assert_eq!(heirs(&BTreeSet::new(), None, &key("site", "aa")), None, "a list with no values takes no place");
    }

    proptest! {
        /// Whatever the cuts: every old window is in one part, no two parts overlap, and no row is counted twice.
        #[test]
        fn every_old_window_is_in_one_part(one in 1_i64..9, other in 1_i64..9, cells in 1_i64..12) {
            let olds: Vec<Old> = (0..cells).map(|cell| old(cell * one, (cell + 1) * one, 1)).collect();
            let news: Vec<_> = (0..cells).map(|cell| (hours(cell * other, (cell + 1) * other), 1)).collect();
            let parts = spans(olds.clone(), news.clone().into_iter());
            prop_assert_eq!(parts.iter().map(|part| part.old.len()).sum::<usize>(), olds.len());
            for part in &parts {
                let window = part.window.unwrap();
                let inside = |other: &Window| other.overlaps(&window);
                prop_assert_eq!(part.before, olds.iter().filter(|old| inside(&old.window.unwrap())).count() as u64);
                prop_assert_eq!(part.now, news.iter().filter(|(other, _)| inside(other)).count() as u64);
            }
            let disjoint = parts.windows(2).all(|two| two[0].window.unwrap().to <= two[1].window.unwrap().from);
            prop_assert!(disjoint);
        }
    }
}
