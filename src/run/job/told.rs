//! What a run says of a job besides its slices.

use std::collections::BTreeSet;

use super::Runner;
use crate::model::{ColumnType, Drift, JobReport, RecordSchema};
use crate::run::{RunError, future, hints};

impl Runner<'_> {
    /// Warns where what has landed reaches beyond the present.
    pub(super) fn warn_of_the_future(&self, report: &mut JobReport) {
        let last = self.writer.state(|state| {
            let keys = state.keys(&self.job.name);
            keys.filter_map(|key| state.landed_ranges(&self.job.name, key).last().map(|range| range.to)).max()
        });
        report.warnings.extend(last.and_then(|last| future::beyond(last, self.options.now)));
    }

    /// Says what a person should know of a job. `before` is the version of its schema before the run, `valued` are the columns in which
    /// a row that was read had a value.
    pub(super) async fn tell(
        &self,
        before: Option<u32>,
        valued: &BTreeSet<String>,
        report: &mut JobReport,
    ) -> Result<(), RunError> {
        report.warnings.extend(hints::strayed(report));
        let version = self.writer.state(|state| state.schema_version(&self.job.name));
        if let Some((version, now)) = self.pinned(version).await? {
            report.unseen_columns = unseen(&now, valued);
            if let Some((_, before)) = self.pinned(before.filter(|before| *before < version)).await? {
                report.schema_version = Some(version);
                report.new_columns = new(&before, &now);
            }
        }
        let empty = self.writer.state(|state| hints::empty(self.job, state));
        let told = empty.map(|empty| empty.told(self.job, self.options.now, self.env));
        report.warnings.extend(told.transpose()?);
        report.warnings.extend(hints::begins_later(self.job, self.options.now));
        Ok(())
    }
}

/// Returns the columns and fields that are new, or have a type now, each with that.
fn new(before: &RecordSchema, now: &RecordSchema) -> Vec<String> {
    let drift = Drift::between(before, now, &[]);
    drift.changes.iter().map(|change| format!("{} ({})", change.column, change.to.written())).collect()
}

/// Returns the columns in which no row had a value, of those that ever had one; none where no row came.
fn unseen(pinned: &RecordSchema, valued: &BTreeSet<String>) -> Vec<String> {
    let ever = pinned.columns().iter().filter(|column| column.kind != ColumnType::Null);
    let names = ever.map(|column| &column.name).filter(|name| !valued.is_empty() && !valued.contains(*name));
    names.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> RecordSchema {
        let Ok(ColumnType::Struct(columns)) = ColumnType::parse(&format!("struct<{text}>")) else { panic!("{text}") };
        RecordSchema::new(columns)
    }

    #[test]
    fn what_is_new_is_named_with_its_type() {
        let (before, now) = (schema("a: int64, n: null"), schema("a: int64, c: bool, n: string, o: struct<x: int64>"));
        assert_eq!(new(&before, &now), ["c (bool)", "n (string)", "o (struct<x: int64>)"]);
        assert_eq!(new(&now, &now), Vec::<String>::new());
    }

    #[test]
    fn what_had_no_value_is_named_where_rows_came() {
        let pinned = schema("a: int64, b: string, n: null");
        let valued = BTreeSet::from(["a".to_owned()]);
        assert_eq!(unseen(&pinned, &valued), ["b"], "nothing was ever seen in `n`");
        assert_eq!(unseen(&pinned, &BTreeSet::new()), Vec::<String>::new());
    }
}
