//! What becomes of the chains of an incremental job whose source was reset.

use futures::StreamExt as _;

use super::finished::{Finished, failed};
use super::{Runner, Slice, SliceKind, Slicing};
use crate::model::{CursorValue, JobReport};
use crate::pipeline::spec::IncrementalSpec;
use crate::run::RunError;

impl Runner<'_> {
    /// Asks, for each chain that has landed something, whether its source was reset. Returns the slices to read, of which those
    /// of a new series begin it; and those that can't be read, with why.
    pub(super) async fn without_resets(
        &self,
        due: Vec<Slice>,
        report: &mut JobReport,
    ) -> Result<(Vec<Slice>, Vec<Finished>), RunError> {
        let Slicing::Incremental(spec) = &self.job.slicing else { return Ok((due, Vec::new())) };
        let Some(newest) = &spec.newest else { return Ok((due, Vec::new())) };
        let extraction = self.extraction()?;
        let asked = futures::stream::iter(due).map(|slice| async {
            let found = match self.landed_cursor(&slice) {
                Some(landed) => {
                    let found = extraction.is_reset(newest, &slice, self.options.now, &landed).await;
                    found.map(|found| found.map(|newest| (newest, landed)))
                }
                None => Ok(None),
            };
            (slice, found)
        });
        let asked = asked.buffered(self.job.source.concurrency as usize).collect::<Vec<_>>();
        let asked = tokio::select! {
            asked = asked => asked,
            () = self.env.cancel.cancelled() => return Err(RunError::Interrupted),
        };
        let (mut slices, mut ended) = (Vec::new(), Vec::new());
        for (slice, found) in asked {
            match found {
                Ok(None) => slices.push(slice),
                Ok(Some((newest, landed))) if spec.restarts => {
                    slices.push(self.restart(&slice, spec, &newest, &landed, report).await?);
                }
                Ok(Some((newest, landed))) => {
                    let error = RunError::Reset { newest: newest.text(), landed: landed.text() };
                    ended.push(failed(&slice, error.chain(), error.remedy()));
                }
                Err(error) => ended.push(failed(&slice, error.chain(), error.remedy())),
            }
        }
        Ok((slices, ended))
    }

    fn landed_cursor(&self, slice: &Slice) -> Option<CursorValue> {
        let end = |state: &crate::ledger::LedgerState| state.chain(&slice.job, slice.key.as_ref())?.end.clone();
        self.writer.state(end)
    }

    /// Begins a new series, and returns its first slice.
    async fn restart(
        &self,
        slice: &Slice,
        spec: &IncrementalSpec,
        newest: &CursorValue,
        landed: &CursorValue,
        report: &mut JobReport,
    ) -> Result<Slice, RunError> {
        let SliceKind::Incremental { series, .. } = slice.kind else { return Ok(slice.clone()) };
        let series = series + 1;
        self.writer.start_series(&slice.job, slice.key.as_ref(), series).await?;
        let of = slice.key.as_ref().map(|key| format!(" of {key}")).unwrap_or_default();
        report.warnings.push(format!(
            "the source{of} was reset: its newest id is {}, and {} has landed; series {series} begins, and nothing that has \
             landed is replaced",
            newest.text(),
            landed.text()
        ));
        let kind = SliceKind::Incremental { series, start: CursorValue(spec.start.clone()), end: None };
        Ok(Slice::new(slice.job.clone(), slice.key.clone(), slice.parent.clone(), kind))
    }
}
