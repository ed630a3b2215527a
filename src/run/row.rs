//! An SQL expression over a slice's rows, whose schema may grow from page to page.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};

use super::RunError;
use super::quarantine::Fault;
use crate::transform::{FailedRows, RowExpr, TransformError};

/// An SQL expression over rows.
#[derive(Debug)]
pub(super) struct RowSql {
    sql: String,
    field: &'static str,
    compiled: Option<(SchemaRef, RowExpr)>,
}

impl RowSql {
    /// Notes the expression of a field of the pipeline file.
    pub(super) fn new(sql: &str, field: &'static str) -> Self {
        Self { sql: sql.to_owned(), field, compiled: None }
    }

    /// Returns the expression for rows of `schema`.
    pub(super) fn compiled(&mut self, schema: &SchemaRef, now: DateTime<Utc>) -> Result<&RowExpr, RunError> {
        let fits = self.compiled.as_ref().is_some_and(|(known, _)| known == schema);
        if !fits {
            let compiled = RowExpr::new(&self.sql, schema, now).map_err(|source| self.failed(source))?;
            self.compiled = Some((Arc::clone(schema), compiled));
        }
        match &self.compiled {
            Some((_, compiled)) => Ok(compiled),
            None => Err(RunError::Account { account: self.sql.clone() }),
        }
    }

    /// Says that the expression gave null for a row, with the column that it reads, where that is one.
    pub(super) fn null(&self) -> Fault {
        let column = self.compiled.as_ref().and_then(|(_, compiled)| compiled.only_column());
        Fault::of_sql(self.field, column)
    }

    /// Says of each row that the expression failed on what is wrong with it, with the column that it reads, where that is one.
    pub(super) fn faults(&self, failed: FailedRows) -> BTreeMap<usize, Fault> {
        let column = self.compiled.as_ref().and_then(|(_, compiled)| compiled.only_column());
        let fault = |why: &str| Fault::of_failed_sql(self.field, column.clone(), why);
        failed.into_iter().map(|(at, why)| (at, fault(&why))).collect()
    }

    /// Names the field in an error of the expression.
    pub(super) fn failed(&self, source: TransformError) -> RunError {
        RunError::Transform { field: self.field, source }
    }
}
