//! The SQL of a job, the tables that it joins, and what is expected of its rows.

use super::super::file::{Expectation, JobFile, TableFile};
use super::super::load::{OneOrMany, Spanned};
use super::super::spec::{Expect, Expected, Table, TableFormat};
use super::{Findings, word};
use crate::lang::sql::{self, RECORDS_TABLE};
use crate::objects::Location;

impl Findings<'_> {
    /// Checks the transform against the tables that there are, and returns those.
    pub(super) fn tables(&mut self, job: &JobFile) -> Vec<(String, Table)> {
        let mut tables = Vec::new();
        for (name, file) in job.tables.iter().flat_map(|tables| &tables.value) {
            self.name(name, "a table's name", '_');
            if name.value == RECORDS_TABLE {
                self.error(
                    name.span,
                    "`records` is the table of the slice's records",
                    "call this table something else",
                );
            }
            let (format, path) = match file {
                TableFile::Csv(path) => (TableFormat::Csv, path),
                TableFile::Parquet(path) => (TableFormat::Parquet, path),
                TableFile::Json(path) => (TableFormat::JsonLines, path),
            };
            if let Err(error) = Location::parse(&path.value) {
                self.error(path.span, format!("a table can't be read from here: {error}"), "name a file, or an object");
            }
            tables.push((name.value.clone(), Table { format, place: path.value.clone() }));
        }
        self.windows(job);
        let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
        match &job.transform {
            Some(transform) => {
                if let Err(error) = sql::check_select(transform.as_str(), &names) {
                    self.sql_error(transform, &error);
                }
                for (field, offset) in sql::unnamed_fields(transform.as_str(), &names) {
                    let message =
                        format!("the column `{field}` has no name of its own, and gets one that is hard to write");
                    let name = field.rsplit('.').next().unwrap_or_default();
                    self.warn(word(transform, offset), message, format!("write `{field} AS {name}`"));
                }
            }
            None => {
                if let Some(tables) = &job.tables {
                    let help = "add `transform:`, a SELECT that joins them, or remove them";
                    self.missing(tables.span, "`tables` are only read by a `transform`", help);
                }
            }
        }
        tables
    }

    /// Refuses SQL that asks a job without `window` for the window of its slices.
    fn windows(&mut self, job: &JobFile) {
        if job.window.is_some() {
            return;
        }
        let filters = job.sinks.values().filter_map(|sink| sink.filter.as_ref());
        let expected = job.expect.iter().flat_map(|expect| &expect.value).filter_map(|expect| expect.sql.as_ref());
        for text in job.transform.iter().chain(filters).chain(expected) {
            if let Some(named) = sql::find_window(text.as_str()) {
                self.sql_error(text, &named);
            }
        }
    }

    /// Checks what is expected of the rows.
    pub(super) fn expectations(&mut self, job: &JobFile) -> Vec<Expect> {
        let Some(expectations) = &job.expect else { return Vec::new() };
        let mut found = Vec::new();
        for expectation in &expectations.value {
            if let Some(what) = self.expected(expectation) {
                found.push(Expect { what, severity: expectation.severity });
            } else {
                let help = "write `{sql: count(*) > 0}`, `{not_null: [id]}` or `{unique: [id]}`";
                self.error(expectations.span, "an expectation is one of `sql`, `not_null` and `unique`", help);
            }
        }
        found
    }

    fn expected(&mut self, expectation: &Expectation) -> Option<Expected> {
        let names = |columns: &OneOrMany<Spanned<String>>| {
            let names: Vec<String> = columns.0.iter().map(|column| column.value.clone()).collect();
            (!names.is_empty()).then_some(names)
        };
        match (&expectation.sql, &expectation.not_null, &expectation.unique) {
            (Some(text), None, None) => {
                if let Err(error) = sql::check_aggregate(text.as_str()) {
                    self.sql_error(text, &error);
                }
                Some(Expected::Sql(text.clone()))
            }
            (None, Some(columns), None) => names(columns).map(Expected::NotNull),
            (None, None, Some(columns)) => names(columns).map(Expected::Unique),
            _ => None,
        }
    }
}
