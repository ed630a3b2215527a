//! Columns that a job names, against those that its transform gives, where its SELECT lists them.

use super::super::file::{JobFile, SinkFile};
use super::super::load::{Span, Sql, nearest};
use super::Findings;
use super::sinks::{partitioned_by, sorted_by};
use crate::lang::sql;

impl Findings<'_> {
    /// Refuses names that are no column of the transform: the first slice with rows would fail over them.
    pub(super) fn selected(&mut self, job: &JobFile) {
        let Some(transform) = &job.transform else { return };
        let tables: Vec<&str> =
            job.tables.iter().flat_map(|tables| tables.value.keys()).map(|name| name.value.as_str()).collect();
        let Some(columns) = sql::select_columns(transform.as_str(), &tables) else { return };
        for sink in job.sinks.values() {
            for (span, column) in named_by(sink) {
                self.one_of(span, column, &columns);
            }
            self.in_sql(sink.filter.as_ref(), &columns);
        }
        for expectation in job.expect.iter().flat_map(|expect| &expect.value) {
            let lists = [&expectation.not_null, &expectation.unique].into_iter().flatten();
            for column in lists.flat_map(|list| &list.0) {
                self.one_of(column.span, &column.value, &columns);
            }
            self.in_sql(expectation.sql.as_ref(), &columns);
        }
    }

    fn in_sql(&mut self, text: Option<&Sql>, columns: &[String]) {
        let Some(text) = text else { return };
        for column in sql::columns_named_in(text.as_str()) {
            if !sql::WINDOW_NAMES.contains(&column.as_str()) {
                self.one_of(text.span(), &column, columns);
            }
        }
    }

    fn one_of(&mut self, span: Span, column: &str, columns: &[String]) {
        if column.is_empty() || columns.iter().any(|known| known == column) {
            return;
        }
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let help = match nearest(column, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its SELECT gives {}", names.join(", ")),
        };
        self.error(span, format!("the transform gives no column `{column}`"), help);
    }
}

/// Returns the columns that a sink names, with their places. Those of what isn't a partition or a key to sort by have been refused.
fn named_by(sink: &SinkFile) -> Vec<(Span, &str)> {
    let files = [
        sink.parquet.as_ref().map(|file| (&file.partition_by, &file.sort_by)),
        sink.csv.as_ref().map(|file| (&file.partition_by, &file.sort_by)),
        sink.jsonl.as_ref().map(|file| (&file.partition_by, &file.sort_by)),
    ];
    let (mut partitions, mut keys) = (Vec::new(), Vec::new());
    for (partition_by, sort_by) in files.into_iter().flatten() {
        partitions.extend(partition_by.iter().map(|field| (field.span, partitioned_by(&field.value))));
        keys.extend(sort_by.iter().map(|key| (key.span, sorted_by(&key.value).0)));
    }
    let plain = sink.parquet.iter().flat_map(|file| &file.bloom_filters);
    let plain = plain.chain(sink.http.iter().flat_map(|http| &http.value.key.value.0));
    let named = partitions.into_iter().chain(keys).filter(|(_, column)| !column.contains(['(', ')', ',', '/']));
    named.chain(plain.map(|column| (column.span, column.value.as_str()))).collect()
}
