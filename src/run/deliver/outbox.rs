//! The outbox of a sink that sends: a data set beside the state, whose rows can each be told from any other.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::error::OutboxError;
use crate::model::{JobName, PipelineName, SinkName};
use crate::objects::below;
use crate::pipeline::spec::Outbox;
use crate::run::RunError;
use crate::run::collect::keep;
use crate::sink::{Format, SinkSpec, TextCompression};
use crate::transform::RowExpr;

/// A file of an outbox is read as a whole, so it isn't large.
const BYTES_PER_FILE: u64 = 8 << 20;

/// Returns the data set in which the rows of a sink wait: `<state>/<pipeline>/outbox/<job>/<sink>`.
pub(in crate::run) fn data_set(state: &str, pipeline: &PipelineName, job: &JobName, sink: &SinkName) -> SinkSpec {
    SinkSpec {
        name: sink.clone(),
        format: Format::JsonLines { compression: TextCompression::None },
        url: below(state, &format!("{pipeline}/outbox/{job}/{sink}")),
        partition_by: Vec::new(),
        sort_by: Vec::new(),
        rows_per_file: u64::MAX,
        bytes_per_file: BYTES_PER_FILE,
    }
}

/// What rows must have, and become, to wait in an outbox.
#[derive(Debug)]
pub(in crate::run) struct OutboxRows {
    schema: SchemaRef,
    key: Vec<(usize, String)>,
}

impl OutboxRows {
    /// Sees that rows of `schema` have the columns of the key, and that JSON can hold them with all their digits.
    pub(in crate::run) fn new(schema: &SchemaRef, key: &[String]) -> Result<Self, RunError> {
        let column = |name: &String| {
            let known = || schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
            let missing = |_| RunError::from(OutboxError::NoColumn { column: name.clone(), known: known() });
            schema.index_of(name).map(|index| (index, name.clone())).map_err(missing)
        };
        let key = key.iter().map(column).collect::<Result<_, _>>()?;
        let fields: Result<Vec<Field>, RunError> = schema.fields().iter().map(|field| waiting(field)).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields?)), key })
    }

    /// Returns the schema of the rows that wait.
    pub(in crate::run) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Makes rows that wait of rows: decimals become texts, since readers of JSON take its numbers for doubles.
    pub(in crate::run) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, RunError> {
        if let Some((_, column)) = self.key.iter().find(|(index, _)| batch.column(*index).null_count() > 0) {
            return Err(OutboxError::Null { column: column.clone() }.into());
        }
        let cast = batch.columns().iter().zip(self.schema.fields());
        let columns = cast.map(|(column, field)| arrow::compute::cast(column, field.data_type()));
        let columns = columns.collect::<Result<_, _>>().map_err(|error| RunError::Spool(error.into()))?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| RunError::Spool(error.into()))
    }
}

/// Returns the first rows that a sink would take of some, as they would wait, and how many it would take.
pub(super) fn first_rows(
    outbox: &Outbox,
    batch: &RecordBatch,
    now: DateTime<Utc>,
    most: usize,
) -> Result<(Vec<Value>, u64), RunError> {
    let schema = batch.schema();
    let waiting = OutboxRows::new(&schema, &outbox.key)?;
    let failed = |source| RunError::Transform { field: "where", source };
    let taken = match &outbox.filter {
        Some(filter) => {
            let filter = RowExpr::new(filter.as_str(), &schema, now).map_err(failed)?;
            keep(batch, &filter.filter_mask(batch).map_err(failed)?)?
        }
        None => batch.clone(),
    };
    let rows = waiting.apply(&taken.slice(0, taken.num_rows().min(most)))?;
    let mut text = Vec::new();
    let mut lines = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    let written = lines.write(&rows).and_then(|()| lines.finish());
    drop(lines);
    written.map_err(|error| RunError::Spool(error.into()))?;
    let broken = |source| RunError::from(OutboxError::File { path: "the preview".to_owned(), source });
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows = lines.map(|line| serde_json::from_slice(line).map_err(broken)).collect::<Result<_, _>>()?;
    Ok((rows, taken.num_rows() as u64))
}

/// Returns the column under which a column waits.
fn waiting(field: &Field) -> Result<Field, RunError> {
    let kind = field.data_type();
    if is_decimal(kind) {
        return Ok(field.clone().with_data_type(DataType::Utf8));
    }
    if holds_decimals(kind) {
        Err(OutboxError::Decimal { column: field.name().clone() }.into())
    } else {
        Ok(field.clone())
    }
}

const fn is_decimal(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
    )
}

fn holds_decimals(kind: &DataType) -> bool {
    match kind {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => holds_decimals(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_decimals(field.data_type())),
        kind => is_decimal(kind),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray as _, Decimal128Array, Int64Array, ListArray};
    use arrow::datatypes::Decimal128Type;

    use super::*;

    fn batch(ids: Vec<Option<i64>>) -> RecordBatch {
        let amounts = Decimal128Array::from(vec![1_234_567_890_123_456_780_i128; ids.len()]);
        let amounts = amounts.with_precision_and_scale(38, 2).unwrap();
        let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(Int64Array::from(ids))), ("amount", Arc::new(amounts))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn decimals_keep_their_digits_as_texts() {
        let batch = batch(vec![Some(1)]);
        let waiting = OutboxRows::new(&batch.schema(), &["id".to_owned()]).unwrap().apply(&batch).unwrap();
        assert_eq!(waiting.column(1).as_string::<i32>().value(0), "12345678901234567.80");
    }

    #[test]
    fn rows_without_a_key_are_refused() {
        let batch = batch(vec![Some(1), None]);
        let error = OutboxRows::new(&batch.schema(), &["nr".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("`nr`") && error.to_string().contains("id, amount"), "{error}");
        let rows = OutboxRows::new(&batch.schema(), &["id".to_owned()]).unwrap();
        assert!(rows.apply(&batch).unwrap_err().to_string().contains("`id`"));
    }

    #[test]
    fn decimals_deep_within_a_column_are_refused() {
        let list = ListArray::from_iter_primitive::<Decimal128Type, _, _>([Some([Some(1)])]);
        let batch = RecordBatch::try_from_iter([("amounts", Arc::new(list) as ArrayRef)]).unwrap();
        let error = OutboxRows::new(&batch.schema(), &["amounts".to_owned()]).unwrap_err();
        assert!(matches!(error, RunError::Outbox(OutboxError::Decimal { .. })), "{error}");
    }
}
