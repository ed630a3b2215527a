//! Windows of the past, read because someone asks for them.

use super::history;
use crate::lang::spell;
use crate::ledger::LedgerState;
use crate::model::{Slice, SliceKind, Window};
use crate::pipeline::spec::{Job, Slicing};
use crate::plan::{self, Key};
use crate::run::{Backfill, Options, RunError};

/// Returns the shard's slices of all keys that a backfill asks for, key by key, the oldest first; and says what they cover.
pub(in crate::run) fn backfilled(
    job: &Job,
    backfill: Backfill,
    keys: Option<&[Key]>,
    state: &LedgerState,
    options: &Options,
) -> (Vec<Slice>, Option<String>) {
    let Slicing::Window(spec) = &job.slicing else { return (Vec::new(), None) };
    let chains: Vec<Option<&Key>> = keys.map_or_else(|| vec![None], |keys| keys.iter().map(Some).collect());
    let (mut slices, mut covered) = (Vec::new(), None::<Window>);
    for key in chains {
        let history = history(job, key.map(|key| &key.key), state);
        let (cells, whole) = plan::backfill(spec, &history, backfill.window, options.now, backfill.missing);
        covered = match (covered, whole) {
            (Some(all), Some(one)) => Some(Window { from: all.from.min(one.from), to: all.to.max(one.to) }),
            (all, one) => all.or(one),
        };
        let (id, row) = key.map_or((None, serde_json::Value::Null), |key| (Some(&key.key), key.row.clone()));
        let slice = |cell| Slice::new(job.name.clone(), id.cloned(), row.clone(), SliceKind::Window(cell));
        slices.extend(cells.into_iter().map(slice));
    }
    slices.retain(|slice| options.shard.takes(slice));
    (slices, Some(said(backfill, covered, spec.every)))
}

/// Says what a backfill covers: whole cells only, and only those that have ended.
fn said(backfill: Backfill, covered: Option<Window>, every: std::time::Duration) -> String {
    let show = |window: Window| {
        let one = |instant: chrono::DateTime<chrono::Utc>| instant.format("%Y-%m-%d %H:%M");
        format!("{} to {}", one(window.from), one(window.to))
    };
    let asked = show(backfill.window);
    let Some(covered) = covered else { return format!("backfill of {asked}: no window of it has ended yet") };
    let every = spell(every);
    let early = covered.to < backfill.window.to;
    let rounded = match (covered == backfill.window, early) {
        (true, _) => String::new(),
        (false, false) => format!(", rounded out to windows of {every}: {}", show(covered)),
        (false, true) => format!(", of which windows of {every} have ended: {}", show(covered)),
    };
    let missing = if backfill.missing { "; windows that have landed are left out" } else { "" };
    format!("backfill of {asked}{rounded}{missing}")
}

/// Refuses a backfill of jobs that have no windows: of those that were named each must have some, of a whole pipeline one.
pub(in crate::run) fn check(jobs: &[&Job], named: bool) -> Result<(), RunError> {
    let what = |job: &Job| match &job.slicing {
        Slicing::Window(_) | Slicing::Parent => None,
        Slicing::Incremental(_) => Some("is read by a cursor (`incremental`)"),
        Slicing::Snapshot(_) => Some("is a list at one instant (`snapshot`)"),
    };
    let mut refused = jobs.iter().filter_map(|job| Some((job, what(job)?)));
    let has_windows = jobs.iter().any(|job| matches!(job.slicing, Slicing::Window(_)));
    match refused.next() {
        Some((job, what)) if named || !has_windows => Err(RunError::NoWindows { job: job.name.clone(), what }),
        _ => Ok(()),
    }
}
