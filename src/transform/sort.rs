//! Sorts rows, in memory as long as they fit, then on disk.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::DateTime;

use super::error::{BoxError, TransformError};
use super::plan::{Counts, TransformPlan};
use super::spool::{Spool, SpoolError};
use crate::lang::sql::RECORDS_TABLE;

/// How many bytes the engine takes for each byte of memory that it was given to sort or group rows in, about: it counts what waits to be
/// sorted, and not what it merges and gives away.
pub const SORTING: u64 = 2;

/// This part of the memory for sorting holds rows until all are there; what comes after waits in a temporary file.
const WAITING: usize = 8;

/// Takes rows of one schema and gives them back sorted. Nulls come last, and equal rows stay in the order in which they came: so
/// where the rows went on their way, memory or disk, makes no difference.
#[derive(Debug)]
pub struct Sorter {
    plan: TransformPlan,
    /// The schema of the rows, and behind it the column of their ordinals.
    numbered: SchemaRef,
    spool: Spool,
}

impl Sorter {
    /// Makes one for rows of `schema`. `keys`: the columns, and for each whether its greatest value comes first. `memory`: the bytes in
    /// which rows are sorted; beyond it sorted runs go to temporary files, and are merged.
    ///
    /// # Errors
    ///
    /// A column isn't there, or has no order.
    pub fn new(schema: &SchemaRef, keys: &[(&str, bool)], memory: usize) -> Result<Self, TransformError> {
        let mut ordinal = "ordinal".to_owned();
        while schema.column_with_name(&ordinal).is_some() {
            ordinal.push('_');
        }
        let fields = schema.fields().iter().cloned();
        let fields = fields.chain([Arc::new(Field::new(&ordinal, DataType::UInt64, false))]);
        let numbered = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let key = |(column, descending): &(&str, bool)| {
            let order = if *descending { "DESC" } else { "ASC" };
            format!("\"{}\" {order} NULLS LAST", column.replace('"', "\"\""))
        };
        let keys: Vec<String> = keys.iter().map(key).chain([format!("\"{ordinal}\"")]).collect();
        let sql = format!("SELECT * FROM {RECORDS_TABLE} ORDER BY {}", keys.join(", "));
        // The instant that `now()` gives is never asked for.
        let now = DateTime::UNIX_EPOCH;
        let plan = TransformPlan::with_memory_limit(Some(&sql), Arc::clone(&numbered), now, memory)?;
        Ok(Self { plan, numbered, spool: Spool::new(Self::waiting(memory)) })
    }

    /// Returns how many bytes of rows wait in memory, of a sorter that has `memory` for sorting. They are held beside it.
    #[must_use]
    pub const fn waiting(memory: usize) -> usize {
        memory / WAITING
    }

    /// Takes rows.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), SpoolError> {
        let first = self.spool.rows();
        let ordinals: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + batch.num_rows() as u64));
        let columns = batch.columns().iter().cloned().chain([ordinals]).collect();
        self.spool.push(RecordBatch::try_new(Arc::clone(&self.numbered), columns)?)
    }

    /// Gives all rows to `out`, sorted. Blocks: not for an async thread. An error of `out` stops it and is the source of the error
    /// returned.
    pub fn finish<E: Into<BoxError>>(
        self,
        mut out: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<Counts, TransformError> {
        let columns: Vec<usize> = (0..self.numbered.fields().len() - 1).collect();
        let rows = self.spool.into_batches()?;
        self.plan.run(Box::new(rows), |batch| {
            let batch = batch.project(&columns).map_err(|error| Box::new(error) as BoxError)?;
            out(batch).map_err(Into::into)
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray as _, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: &[(Option<i64>, String)]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<arrow::array::Int64Array>());
        let texts: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1.as_str())).collect::<StringArray>());
        RecordBatch::try_from_iter_with_nullable([("ordinal", numbers, true), ("t \"x\"", texts, true)]).expect("batch")
    }

    fn sorted(batches: &[RecordBatch], keys: &[(&str, bool)], limit: usize) -> RecordBatch {
        let schema = batches[0].schema();
        let mut sorter = Sorter::new(&schema, keys, limit).expect("planned");
        batches.iter().for_each(|batch| sorter.push(batch).expect("pushed"));
        let mut found = Vec::new();
        let counts = sorter.finish(|batch| {
            found.push(batch);
            Ok::<_, BoxError>(())
        });
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        assert_eq!(counts.expect("sorted"), Counts { rows_in: rows, rows_out: rows });
        concat_batches(&found[0].schema(), &found).expect("one")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn rows_are_sorted_as_a_stable_sort_would(
            parts in prop::collection::vec(
                prop::collection::vec((prop::option::of(-3_i64..3), "[ab]{0,2}"), 1..20), 1..5
            ),
            descending: bool,
        ) {
            let batches: Vec<_> = parts.iter().map(|rows| batch(rows)).collect();
            let found = sorted(&batches, &[("ordinal", descending)], 1 << 27);
            let mut expected: Vec<_> = parts.concat();
            expected.sort_by_key(|row| (row.0.is_none(), row.0.map(|n| if descending { -n } else { n })));
            prop_assert_eq!(found, batch(&expected));
        }
    }

    #[test]
    fn what_does_not_fit_in_memory_is_sorted_alike() {
        let row = |n: i64| (Some(n * 7919 % 1000), format!("{n}-{}", "x".repeat(400)));
        let batches: Vec<_> =
            (0..60).map(|at| batch(&(at * 1000..at * 1000 + 1000).map(row).collect::<Vec<_>>())).collect();
        let keys = [("t \"x\"", true), ("ordinal", false)];
        // 26 MB of rows: the second is sorted in pieces.
        let spilled = sorted(&batches, &keys, 20 * 1024 * 1024);
        assert_eq!(spilled, sorted(&batches, &keys, 1 << 30));
        let texts: Vec<_> = spilled.column(1).as_string::<i32>().iter().flatten().collect();
        assert!(texts.is_sorted_by(|a, b| a >= b));
        assert_eq!(spilled.column(0).as_primitive::<Int64Type>().len(), 60_000);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error =
            Sorter::new(&batch(&[]).schema(), &[("nope", false)], 1 << 27).expect_err("no such column").to_string();
        assert!(error.contains("nope"), "{error}");
    }
}
