//! Arrow schemas of records, and batches of an older working schema made to fit a newer one.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, ListArray, RecordBatch, RecordBatchOptions, StringBuilder, StructArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Fields, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType, UInt64Type,
};
use arrow::error::ArrowError;
use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use super::error::DecodeError;
use crate::model::{Column, ColumnType, RecordSchema};

/// Returns the Arrow schema of records: `string` and `json` are `Utf8`, and everything may be null.
#[must_use]
pub fn arrow_schema(schema: &RecordSchema) -> SchemaRef {
    Arc::new(Schema::new(fields(schema.columns())))
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(|column| Field::new(&column.name, data_type(&column.kind), true)).collect()
}

/// Returns the Arrow type of a column type.
pub(super) fn data_type(kind: &ColumnType) -> DataType {
    match kind {
        ColumnType::Null => DataType::Null,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Uint64 => DataType::UInt64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        ColumnType::String | ColumnType::Json => DataType::Utf8,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Date => DataType::Date32,
        ColumnType::List(item) => DataType::List(Arc::new(Field::new("item", data_type(item), true))),
        ColumnType::Struct(columns) => DataType::Struct(fields(columns)),
    }
}

/// Makes a batch of an older working schema, `from`, fit `to`: new columns and fields are null, types are widened.
///
/// A column that has become `json` is printed as JSON, with no white space and without the fields that are null. What the columns
/// don't tell isn't there: see [`super::held`].
pub(super) fn conform(batch: &RecordBatch, from: &RecordSchema, to: &RecordSchema) -> Result<RecordBatch, DecodeError> {
    let rows = batch.num_rows();
    let column = |column: &Column| match (from.column(&column.name), batch.column_by_name(&column.name)) {
        (Some(old), Some(array)) => widen(array, &old.kind, &column.kind).ok_or_else(|| DecodeError::Widen {
            column: column.name.clone(),
            from: old.kind.to_string(),
            to: column.kind.to_string(),
        }),
        _ => Ok(new_null_array(&data_type(&column.kind), rows)),
    };
    let columns = to.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    batch_of(arrow_schema(to), columns, rows)
}

/// Makes a batch, which may have rows and no columns.
pub(super) fn batch_of(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, DecodeError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// Widens `array` to the type `to`; `None` where that isn't a step up in the lattice.
fn widen(array: &ArrayRef, from: &ColumnType, to: &ColumnType) -> Option<ArrayRef> {
    match (from, to) {
        (from, to) if from == to => Some(Arc::clone(array)),
        (ColumnType::Null, to) => Some(new_null_array(&data_type(to), array.len())),
        (ColumnType::Int64, ColumnType::Uint64 | ColumnType::Float64) | (ColumnType::Uint64, ColumnType::Float64) => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(array, &data_type(to), &strict).ok()
        }
        (ColumnType::Struct(old), ColumnType::Struct(new)) => widen_struct(array, old, new),
        (ColumnType::List(old), ColumnType::List(new)) => {
            let list = array.as_list_opt::<i32>()?;
            let values = widen(list.values(), old, new)?;
            let field = Arc::new(Field::new("item", data_type(new), true));
            let list = ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned());
            list.ok().map(|list| Arc::new(list) as ArrayRef)
        }
        (from, ColumnType::Json) => print(array, from).ok(),
        _ => None,
    }
}

fn widen_struct(array: &ArrayRef, old: &[Column], new: &[Column]) -> Option<ArrayRef> {
    let parent = array.as_struct_opt()?;
    let child = |column: &Column| {
        let before = old.iter().zip(parent.columns()).find(|(before, _)| before.name == column.name);
        match before {
            Some((before, child)) => widen(child, &before.kind, &column.kind),
            None => Some(new_null_array(&data_type(&column.kind), parent.len())),
        }
    };
    let children = new.iter().map(child).collect::<Option<Vec<_>>>()?;
    let built = StructArray::try_new(fields(new), children, parent.nulls().cloned());
    built.ok().map(|array| Arc::new(array) as ArrayRef)
}

/// Prints each value as JSON.
fn print(array: &ArrayRef, kind: &ColumnType) -> Result<ArrayRef, ArrowError> {
    let mut texts = StringBuilder::new();
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
        } else {
            text.clear();
            print_value(array, kind, row, &mut text).map_err(|error| ArrowError::JsonError(error.to_string()))?;
            texts.append_value(&text);
        }
    }
    Ok(Arc::new(texts.finish()))
}

pub(super) fn print_value(array: &ArrayRef, kind: &ColumnType, row: usize, out: &mut String) -> std::fmt::Result {
    if array.is_null(row) || *kind == ColumnType::Null {
        out.push_str("null");
        return Ok(());
    }
    match kind {
        ColumnType::Null => Ok(()),
        ColumnType::Bool => write!(out, "{}", array.as_boolean().value(row)),
        ColumnType::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Uint64 => write!(out, "{}", array.as_primitive::<UInt64Type>().value(row)),
        ColumnType::Float64 => write!(out, "{}", Value::from(array.as_primitive::<Float64Type>().value(row))),
        ColumnType::Decimal { .. } => out.write_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        ColumnType::String => write!(out, "{}", Value::from(array.as_string::<i32>().value(row))),
        ColumnType::Timestamp => {
            let instant = DateTime::from_timestamp_micros(array.as_primitive::<TimestampMicrosecondType>().value(row));
            write!(out, "\"{}\"", instant.unwrap_or_default().to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        ColumnType::Date => {
            let day = array.as_primitive::<Date32Type>().value_as_date(row);
            write!(out, "\"{}\"", day.unwrap_or_default())
        }
        ColumnType::Json => out.write_str(array.as_string::<i32>().value(row)),
        ColumnType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            for at in 0..items.len() {
                out.push(if at == 0 { '[' } else { ',' });
                print_value(&items, item, at, out)?;
            }
            out.write_str(if items.is_empty() { "[]" } else { "]" })
        }
        ColumnType::Struct(columns) => {
            let children = array.as_struct();
            let mut before = '{';
            for (column, child) in columns.iter().zip(children.columns()) {
                if child.is_valid(row) && column.kind != ColumnType::Null {
                    write!(out, "{before}{}:", Value::from(column.name.as_str()))?;
                    print_value(child, &column.kind, row, out)?;
                    before = ',';
                }
            }
            out.write_str(if before == '{' { "{}" } else { "}" })
        }
    }
}
