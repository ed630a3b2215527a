//! What a job expects of a slice's rows, checked over all of them before their files are finished.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::RunError;
use super::land::Shaping;
use crate::model::RecordSchema;
use crate::pipeline::file::Severity;
use crate::pipeline::spec::{Expect, Expected};
use crate::transform::spool::DEFAULT_MEMORY_LIMIT;
use crate::transform::{Expectation, Spool, Spooled, TransformError, unmet};

/// The expectations of a job, and the rows that they are about; rows are kept only where something is expected of them.
pub(super) struct Expectations<'s> {
    shaping: &'s Shaping,
    schema: SchemaRef,
    rows: Option<Spool>,
}

impl<'s> Expectations<'s> {
    /// Begins with no rows, of the schema `schema`.
    pub(super) fn new(shaping: &'s Shaping, schema: &SchemaRef) -> Self {
        let rows = (!shaping.expect.is_empty()).then(|| Spool::new(DEFAULT_MEMORY_LIMIT));
        Self { shaping, schema: SchemaRef::clone(schema), rows }
    }

    /// Keeps rows that came out of the transform.
    pub(super) fn keep(&mut self, batch: RecordBatch) -> Result<(), RunError> {
        self.rows.as_mut().map_or(Ok(()), |rows| Ok(rows.push(batch)?))
    }

    /// Checks all of them. Returns what doesn't hold and only warns.
    ///
    /// # Errors
    /// [`RunError::Unmet`] for what doesn't hold and fails the slice, all of it in one.
    pub(super) fn check(self) -> Result<Vec<String>, RunError> {
        let Some(rows) = self.rows else { return Ok(Vec::new()) };
        let rows = rows.finish()?;
        let mut found = Found::default();
        for expect in self.shaping.expect.iter() {
            found.note(expect, ask(expect, &self.schema, &rows, self.shaping)?);
        }
        found.verdict()
    }

    /// Checks a slice that has no rows, by the expectations that are about all rows. What they name must be known, from slices
    /// before: as long as no row was ever seen, they can't be checked, and a note says so.
    pub(super) fn without_rows(shaping: &'s Shaping, records: &RecordSchema) -> Result<Vec<String>, RunError> {
        let about_all: Vec<&Expect> =
            shaping.expect.iter().filter(|expect| matches!(expect.what, Expected::Sql(_))).collect();
        if about_all.is_empty() {
            return Ok(Vec::new());
        }
        // Without records there are no columns to plan the transform with; `count(*)` needs none.
        let schema =
            if records.is_empty() { SchemaRef::new(Schema::empty()) } else { shaping.plan(records)?.output_schema() };
        let rows = Spool::new(0).finish()?;
        let mut found = Found::default();
        for expect in about_all {
            match ask(expect, &schema, &rows, shaping) {
                Err(error) if records.is_empty() => {
                    let error = error.chain();
                    found.notes.push(format!("an expectation can't be checked before the first row has come: {error}"));
                }
                answer => found.note(expect, answer?),
            }
        }
        found.verdict()
    }
}

/// What doesn't hold.
#[derive(Default)]
struct Found {
    fatal: Vec<String>,
    notes: Vec<String>,
}

impl Found {
    fn note(&mut self, expect: &Expect, unmet: Option<String>) {
        match (expect.severity, unmet) {
            (_, None) => {}
            (Severity::Fail, Some(unmet)) => self.fatal.push(unmet),
            (Severity::Warn, Some(unmet)) => self.notes.push(format!("expectation not met: {unmet}")),
        }
    }

    fn verdict(self) -> Result<Vec<String>, RunError> {
        if self.fatal.is_empty() { Ok(self.notes) } else { Err(RunError::Unmet { unmet: self.fatal.join("; ") }) }
    }
}

/// Asks one expectation; returns what is wrong.
fn ask(expect: &Expect, schema: &SchemaRef, rows: &Spooled, shaping: &Shaping) -> Result<Option<String>, RunError> {
    let expectation = match &expect.what {
        Expected::Sql(sql) => Expectation::Sql(sql.as_str().to_owned()),
        Expected::NotNull(columns) => Expectation::NotNull(columns.clone()),
        Expected::Unique(columns) => Expectation::Unique(columns.clone()),
    };
    let failed = |source: TransformError| RunError::Transform { field: "expect", source };
    unmet(&expectation, schema, || rows.batches(), shaping.at).map_err(failed)
}
