//! How a slice has ended, and where its rows went.

use std::collections::{BTreeMap, BTreeSet};

use super::following;
use crate::ledger::Begin;
use crate::model::{Fetched, Remedy, RowCounts, Slice, SliceKind, SliceOutcome, SliceReport, Strays, Took};
use crate::run::extract::Extracted;
use crate::run::land::Staged;
use crate::run::meter::Metered;

/// A slice that has ended.
pub(super) struct Finished {
    /// How it ended.
    pub(super) outcome: SliceOutcome,
    /// Its report; none for an incremental slice with nothing new.
    pub(super) report: Option<SliceReport>,
    /// The slice that comes after it in its chain.
    pub(super) next: Option<Slice>,
    /// What a person should know.
    pub(super) notes: Vec<String>,
    /// The columns in which a row had a value.
    pub(super) valued: BTreeSet<String>,
}

impl Finished {
    /// Notes what is known of a slice however it ended: what came, how long it took, and where the rows went that didn't land.
    pub(super) fn note(&mut self, metered: Metered) {
        let Some(report) = &mut self.report else { return };
        let Metered { fetched, took, received, proved } = metered;
        (report.fetched, report.took) = (fetched, took);
        let others = received.saturating_sub(report.rows.received);
        report.rows.received += others;
        if matches!(report.outcome, SliceOutcome::Failed { .. }) {
            report.rows.refused = others;
            report.reconciliation = proved;
        } else {
            report.rows.read_again += others;
        }
    }
}

/// Returns the end of a slice that was read and written to its end.
pub(super) fn finished(begin: &Begin, extracted: Extracted, staged: Staged, outcome: SliceOutcome) -> Finished {
    let collected = extracted.collected;
    let rows = RowCounts { transformed: staged.rows_out, ..collected.counts };
    let next =
        if extracted.full && !is_known(&begin.slice) { following(&begin.slice, collected.cursor_end) } else { None };
    let report = SliceReport {
        slice: begin.slice.id.clone(),
        key: begin.slice.key.clone(),
        window: begin.slice.window(),
        generation: (outcome == SliceOutcome::Landed).then_some(begin.generation),
        outcome: outcome.clone(),
        fetched: Fetched::default(),
        took: Took::default(),
        rows,
        misfit: staged.misfit,
        strays: collected.strays,
        // What is thrown away again has not landed.
        sinks: if outcome == SliceOutcome::Landed { staged.sinks } else { BTreeMap::new() },
        reconciliation: Some(collected.reconciliation),
    };
    Finished { outcome, report: Some(report), next, notes: extracted.notes, valued: collected.valued }
}

/// Returns the end of a slice that failed.
pub(super) fn failed(slice: &Slice, error: String, remedy: Option<Remedy>) -> Finished {
    let outcome = SliceOutcome::Failed { error, remedy };
    let report = SliceReport {
        slice: slice.id.clone(),
        key: slice.key.clone(),
        window: slice.window(),
        generation: None,
        outcome: outcome.clone(),
        fetched: Fetched::default(),
        took: Took::default(),
        rows: RowCounts::default(),
        misfit: None,
        strays: Strays::default(),
        sinks: BTreeMap::new(),
        reconciliation: None,
    };
    Finished { outcome, report: Some(report), next: None, notes: Vec::new(), valued: BTreeSet::new() }
}

/// Tells whether it is an incremental slice that has landed before: what comes after it has, too.
const fn is_known(slice: &Slice) -> bool {
    matches!(slice.kind, SliceKind::Incremental { end: Some(_), .. })
}
