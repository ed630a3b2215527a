//! Whose a data set is: two ledgers of one pipeline name that land in one folder would double its rows, since neither knows what
//! the other has landed, and each would sweep away what the other stages.

use std::collections::BTreeSet;

use super::data::Data;
use super::{Options, RunError};
use crate::ledger::{DataStore as _, Ledger, Manifest};
use crate::pipeline::spec::Pipeline;

/// Refuses a state that hasn't got the entries that the files of this pipeline were landed with: another state than theirs, or an
/// older copy of it. Nothing is written.
pub(super) async fn check(
    pipeline: &Pipeline,
    options: &Options,
    ledger: &Ledger,
    data: &Data,
) -> Result<(), RunError> {
    let mut lists = Vec::new();
    for root in pipeline.jobs.iter().flat_map(|job| &job.sinks).map(|sink| &sink.url).collect::<BTreeSet<_>>() {
        let text = data.read_manifest(root).await?;
        lists.push((root, Manifest::read(root, text.as_deref()).map_err(crate::ledger::LedgerError::from)?));
    }
    // The state is read after the lists: a run that goes on meanwhile can only have added to it.
    let state = ledger.read_state().await?;
    match lists.into_iter().find(|(_, list)| !list.is_of(&pipeline.name, &state)) {
        None => Ok(()),
        Some((root, _)) => Err(RunError::OtherLedger { root: root.clone(), state: options.state.clone() }),
    }
}
