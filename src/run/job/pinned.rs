//! What is pinned of a job before it is read: it must fit what the pipeline file types by hand, and the lock file.

use super::Runner;
use crate::ledger::PinnedSchema;
use crate::model::RecordSchema;
use crate::run::schema::{of_file, output_of};
use crate::run::{RunError, SchemaError, locked};

impl Runner<'_> {
    /// Checks what is pinned. Where nothing is, and there is a lock file, that is pinned.
    pub(super) async fn check_schema(&self) -> Result<(), RunError> {
        let version = self.writer.state(|state| state.schema_version(&self.job.name));
        let pinned = self.pinned(version).await?.map(|(_, schema)| schema);
        if let Some(pinned) = &pinned {
            fits(pinned, &of_file(self.job))?;
        }
        let Some(lock) = &self.options.lock else { return Ok(()) };
        if version.is_none() && !lock.jobs.contains_key(&self.job.name) {
            return Ok(());
        }
        let fresh = || locked::of_job(lock, &self.job.name)?.records(&self.job.name).map_err(SchemaError::from);
        let records = pinned.map_or_else(fresh, Ok)?;
        let output = output_of(self.job, &records, self.options.now, &self.env.stores).await?;
        locked::check(lock, self.job, &records, &output)?;
        if version.is_none() {
            let got = self.writer.pin_schema(&self.job.name, 1, PinnedSchema { records, output }).await?;
            // A run that died may have left what it was going to pin.
            locked::check_pin(lock, &self.job.name, &got)?;
        }
        Ok(())
    }
}

/// Checks that types by hand are those that are pinned.
fn fits(pinned: &RecordSchema, by_hand: &RecordSchema) -> Result<(), SchemaError> {
    pinned.union(by_hand).map(|_| ()).map_err(|error| SchemaError::ByHand {
        column: error.column,
        pinned: error.one.to_string(),
        by_hand: error.other.to_string(),
    })
}
