//! Batches made while the schema was still growing, brought to the schema that it became.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::datatypes::{DataType, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;

/// A batch that doesn't fit the schema that its slice ended with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConformError {
    /// A column of another type, with no way over that keeps every value.
    #[error("column `{column}` is {found} in a batch and {expected} in the schema of the slice")]
    Type {
        /// The column, with the path into it.
        column: String,
        /// Its type in the schema.
        expected: DataType,
        /// Its type in the batch.
        found: DataType,
    },
    /// A column that the schema doesn't have: leaving it out would lose it.
    #[error("column `{column}` of a batch isn't in the schema of the slice")]
    Extra {
        /// The column, with the path into it.
        column: String,
    },
    /// The columns don't make a batch.
    #[error("a batch doesn't fit the schema of its slice")]
    Arrow(#[from] ArrowError),
}

/// Brings `batch` to `schema`: columns and fields that it hasn't yet become nulls, and those of only nulls take their type.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ConformError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let names = batch.schema_ref().fields();
    let columns = fit_fields(names, batch.columns(), schema.fields(), batch.num_rows(), "")?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn fit_fields(
    from: &Fields,
    arrays: &[ArrayRef],
    to: &Fields,
    rows: usize,
    path: &str,
) -> Result<Vec<ArrayRef>, ConformError> {
    if let Some(extra) = from.iter().find(|field| to.find(field.name()).is_none()) {
        return Err(ConformError::Extra { column: below(path, extra.name()) });
    }
    to.iter()
        .map(|field| match from.find(field.name()).and_then(|(at, _)| arrays.get(at)) {
            Some(array) => fit(array, field.data_type(), &below(path, field.name())),
            None => Ok(new_null_array(field.data_type(), rows)),
        })
        .collect()
}

fn fit(array: &ArrayRef, to: &DataType, path: &str) -> Result<ArrayRef, ConformError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Null, to) => Ok(new_null_array(to, array.len())),
        (DataType::Struct(from), DataType::Struct(fields)) => {
            let parts = array.as_struct();
            let columns = fit_fields(from, parts.columns(), fields, parts.len(), path)?;
            let nulls = parts.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, parts.len())?))
        }
        (DataType::List(_), DataType::List(item)) => fit_list(array.as_list(), item, path),
        (found, expected) => {
            Err(ConformError::Type { column: path.to_owned(), expected: expected.clone(), found: found.clone() })
        }
    }
}

fn fit_list(list: &ListArray, item: &FieldRef, path: &str) -> Result<ArrayRef, ConformError> {
    let values = fit(list.values(), item.data_type(), &format!("{path}[]"))?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?))
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, NullArray, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn strukt(fields: Vec<Field>) -> DataType {
        DataType::Struct(fields.into())
    }

    #[test]
    fn grown_schemas_are_filled_with_nulls() {
        let item = |kind| DataType::List(Arc::new(Field::new("item", kind, true)));
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
        )]);
        let lists = ListArray::new_null(Arc::new(Field::new("item", DataType::Null, true)), 2);
        let batch = RecordBatch::try_from_iter(vec![
            ("s", Arc::new(inner) as ArrayRef),
            ("n", Arc::new(NullArray::new(2))),
            ("l", Arc::new(lists)),
        ])
        .expect("batch");
        let schema = Arc::new(Schema::new(vec![
            Field::new("l", item(DataType::Utf8), true),
            Field::new("n", DataType::Utf8, true),
            Field::new("new", DataType::Boolean, true),
            Field::new(
                "s",
                strukt(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]),
                true,
            ),
        ]));
        let grown = conform(&batch, &schema).expect("fits");
        assert_eq!(grown.schema(), schema);
        assert_eq!(grown.column(1).null_count(), 2);
        assert_eq!(grown.column(2).null_count(), 2);
        let inner = grown.column(3).as_struct();
        assert_eq!(inner.column(0).as_ref(), &Int64Array::from(vec![1, 2]) as &dyn Array);
        assert_eq!(inner.column(1).null_count(), 2);
    }

    #[test]
    fn nothing_is_cast_or_dropped() {
        let text = Arc::new(StringArray::from(vec!["1"])) as ArrayRef;
        let batch = RecordBatch::try_from_iter(vec![("a", text)]).expect("batch");
        let number = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let error = conform(&batch, &number).expect_err("another type");
        assert_eq!(error.to_string(), "column `a` is Utf8 in a batch and Int64 in the schema of the slice");
        let other = Arc::new(Schema::new(vec![Field::new("b", DataType::Utf8, true)]));
        assert!(matches!(conform(&batch, &other), Err(ConformError::Extra { column }) if column == "a"));
    }
}
