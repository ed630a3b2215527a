//! The one shape that files have, whatever types the SQL gave: UTC microseconds, plain strings, plain lists.
//!
//! | from | to |
//! |---|---|
//! | timestamps of any unit and zone | microseconds, UTC; without a zone they are taken as UTC; nanoseconds are floored |
//! | times of day | microseconds, floored |
//! | `Date64` | `Date32`, floored |
//! | string and binary views, large and fixed ones, dictionaries, run ends | plain strings, binaries, values |
//! | lists of any kind | lists with 32-bit offsets |
//! | small decimals, half floats | `Decimal128`, `Float32` |
//! | a column of nothing but nulls | nulls of type string: readers that take the type of the first file of a glob (`DuckDB`, pyarrow) can't cast later files to `Null` |
//! | a struct with no fields, in Parquet | the text `{}`: the format has no such struct |
//!
//! Every column becomes nullable, and metadata of fields is dropped: it is a hash table, whose order isn't fixed.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Field, FieldRef, Fields, Schema, SchemaRef,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;

use super::SinkError;

const DAY_MS: i64 = 86_400_000;

/// Turns batches of one schema into batches of the shape above.
#[derive(Debug)]
pub(super) struct Normalizer {
    source: SchemaRef,
    target: SchemaRef,
}

impl Normalizer {
    /// Makes one for `source`. With `empty_structs_as_text` a struct with no fields becomes the text `{}`.
    pub(super) fn new(source: &SchemaRef, empty_structs_as_text: bool) -> Result<Self, SinkError> {
        if source.fields().is_empty() {
            return Err(SinkError::NoColumns);
        }
        let fields = target_fields(source.fields(), "", empty_structs_as_text)?;
        Ok(Self { source: Arc::clone(source), target: Arc::new(Schema::new(fields)) })
    }

    /// Returns the schema that files have.
    pub(super) const fn target(&self) -> &SchemaRef {
        &self.target
    }

    /// Returns `batch` in the schema that files have.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, SinkError> {
        if !same_shape(self.source.fields(), batch.schema_ref().fields()) {
            let (expected, found) = (shape(self.source.fields()), shape(batch.schema_ref().fields()));
            return Err(SinkError::SchemaChanged { expected, found });
        }
        let columns = self.target.fields().iter().zip(batch.columns()).map(|(field, array)| {
            convert(array, field.data_type()).map_err(|source| SinkError::Convert {
                column: field.name().clone(),
                kind: field.data_type().to_string(),
                source,
            })
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.target), columns).map_err(|source| SinkError::Split { source })
    }
}

fn same_shape(expected: &Fields, found: &Fields) -> bool {
    let same = |(a, b): (&FieldRef, &FieldRef)| a.name() == b.name() && a.data_type().equals_datatype(b.data_type());
    expected.len() == found.len() && expected.iter().zip(found).all(same)
}

fn shape(fields: &Fields) -> String {
    let shown: Vec<_> = fields.iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    format!("({})", shown.join(", "))
}

fn target_fields(fields: &Fields, parent: &str, empty_as_text: bool) -> Result<Fields, SinkError> {
    let mut seen = HashSet::new();
    let mut targets = Vec::with_capacity(fields.len());
    for field in fields {
        let path = if parent.is_empty() { field.name().clone() } else { format!("{parent}.{}", field.name()) };
        if !seen.insert(field.name()) {
            return Err(SinkError::DuplicateName { name: path, among: "columns" });
        }
        targets.push(Field::new(field.name(), target_type(field.data_type(), &path, empty_as_text)?, true));
    }
    Ok(targets.into())
}

fn target_type(kind: &DataType, path: &str, empty_as_text: bool) -> Result<DataType, SinkError> {
    use DataType as T;
    Ok(match kind {
        T::Timestamp(..) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Date32 | T::Date64 => T::Date32,
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => T::Decimal128(*precision, *scale),
        T::Float16 => T::Float32,
        T::Dictionary(_, values) => target_type(values, path, empty_as_text)?,
        T::RunEndEncoded(_, values) => target_type(values.data_type(), path, empty_as_text)?,
        T::Struct(fields) if fields.is_empty() && empty_as_text => T::Utf8,
        T::Struct(fields) => T::Struct(target_fields(fields, path, empty_as_text)?),
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(Field::new("item", target_type(item.data_type(), path, empty_as_text)?, true)))
        }
        T::Map(entries, _) => T::Map(Arc::new(target_entries(entries, path, empty_as_text)?), false),
        T::Duration(_) | T::Interval(_) => {
            return Err(unsupported(path, kind, "cast it in the transform, to BIGINT or VARCHAR"));
        }
        T::Union(..) => return Err(unsupported(path, kind, "cast it in the transform, to VARCHAR")),
        plain => plain.clone(),
    })
}

fn target_entries(entries: &Field, path: &str, empty_as_text: bool) -> Result<Field, SinkError> {
    let refuse =
        || unsupported(path, entries.data_type(), "the keys of a map must be strings: cast them in the transform");
    let DataType::Struct(fields) = entries.data_type() else { return Err(refuse()) };
    let [key, value] = fields.as_ref() else { return Err(refuse()) };
    if target_type(key.data_type(), path, empty_as_text)? != DataType::Utf8 {
        return Err(refuse());
    }
    let value = target_type(value.data_type(), path, empty_as_text)?;
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
    Ok(Field::new("entries", DataType::Struct(fields.into()), false))
}

fn unsupported(path: &str, kind: &DataType, hint: &'static str) -> SinkError {
    SinkError::ColumnType { column: path.to_owned(), kind: kind.to_string(), hint }
}

fn convert(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), target) {
        (DataType::Null, _) => Ok(new_null_array(target, array.len())),
        (DataType::Timestamp(unit, _), _) => timestamps(array, *unit),
        (DataType::Time32(unit) | DataType::Time64(unit), _) => Ok(times(array, *unit)),
        (DataType::Date64, _) => {
            let days = |ms: i64| i32::try_from(ms.div_euclid(DAY_MS)).map_err(|_| overflow(ms));
            Ok(Arc::new(array.as_primitive::<Date64Type>().try_unary::<_, Date32Type, _>(days)?))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => structs(array.as_struct(), fields),
        (DataType::Struct(_), _) => Ok(Arc::new(empty_structs(array.as_struct()))),
        (DataType::List(_), DataType::List(item)) => lists(array.as_list(), item),
        (
            DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _),
            DataType::List(_),
        ) => convert(&strict_cast(array, &DataType::List(Arc::clone(item)))?, target),
        (DataType::Map(..), DataType::Map(entries, _)) => maps(array.as_map(), entries),
        (DataType::Dictionary(_, values), _) => convert(&strict_cast(array, values)?, target),
        (DataType::RunEndEncoded(_, values), _) => convert(&strict_cast(array, values.data_type())?, target),
        _ => strict_cast(array, target),
    }
}

/// Casts, and fails where Arrow's default would write a null.
fn strict_cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() })
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, ArrowError> {
    let micros: PrimitiveArray<TimestampMicrosecondType> = match unit {
        TimeUnit::Second => scaled::<TimestampSecondType>(array, 1_000_000)?,
        TimeUnit::Millisecond => scaled::<TimestampMillisecondType>(array, 1000)?,
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().clone(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().unary(|nanos| nanos.div_euclid(1000)),
    };
    Ok(Arc::new(micros.with_timezone("UTC")))
}

fn scaled<T>(array: &ArrayRef, factor: i64) -> Result<PrimitiveArray<TimestampMicrosecondType>, ArrowError>
where
    T: ArrowPrimitiveType<Native = i64>,
{
    array.as_primitive::<T>().try_unary(|value| value.checked_mul(factor).ok_or_else(|| overflow(value)))
}

fn times(array: &ArrayRef, unit: TimeUnit) -> ArrayRef {
    let micros: PrimitiveArray<Time64MicrosecondType> = match unit {
        TimeUnit::Second => array.as_primitive::<Time32SecondType>().unary(|value| i64::from(value) * 1_000_000),
        TimeUnit::Millisecond => array.as_primitive::<Time32MillisecondType>().unary(|value| i64::from(value) * 1000),
        TimeUnit::Microsecond => return Arc::clone(array),
        TimeUnit::Nanosecond => array.as_primitive::<Time64NanosecondType>().unary(|value| value.div_euclid(1000)),
    };
    Arc::new(micros)
}

fn overflow(value: i64) -> ArrowError {
    ArrowError::ArithmeticOverflow(format!("{value} is too far from 1970"))
}

fn structs(array: &StructArray, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let columns = array.columns().iter().zip(fields).map(|(column, field)| convert(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len())?))
}

fn empty_structs(array: &StructArray) -> StringArray {
    (0..array.len()).map(|row| array.is_valid(row).then_some("{}")).collect()
}

fn lists(array: &ListArray, item: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let values = convert(array.values(), item.data_type())?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), array.offsets().clone(), values, array.nulls().cloned())?))
}

fn maps(array: &MapArray, entries: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::SchemaError("the entries of a map are a struct".to_owned()));
    };
    let columns =
        array.entries().columns().iter().zip(fields).map(|(column, field)| convert(column, field.data_type()));
    let pairs = StructArray::try_new(fields.clone(), columns.collect::<Result<_, _>>()?, None)?;
    let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, false)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        DictionaryArray, DurationSecondArray, Int64Array, LargeStringArray, NullArray, StringViewArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    fn normalized(array: ArrayRef) -> Result<ArrayRef, SinkError> {
        let field = Field::new("c", array.data_type().clone(), true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
        let normalizer = Normalizer::new(&batch.schema(), true)?;
        Ok(Arc::clone(normalizer.apply(&batch)?.column(0)))
    }

    #[test]
    fn timestamps_become_utc_microseconds_rounded_down() {
        let expect = |array: ArrayRef, micros: Vec<Option<i64>>| {
            let expected = TimestampMicrosecondArray::from(micros).with_timezone("UTC");
            assert_eq!(normalized(array).unwrap().as_primitive::<TimestampMicrosecondType>(), &expected);
        };
        expect(Arc::new(TimestampSecondArray::from(vec![Some(2), None])), vec![Some(2_000_000), None]);
        expect(Arc::new(TimestampNanosecondArray::from(vec![1_999, -1])), vec![Some(1), Some(-1)]);
        let rome = TimestampMicrosecondArray::from(vec![5]).with_timezone("Europe/Rome");
        expect(Arc::new(rome), vec![Some(5)]);
        assert!(matches!(
            normalized(Arc::new(TimestampSecondArray::from(vec![i64::MAX]))),
            Err(SinkError::Convert { .. })
        ));
    }

    #[test]
    fn strings_of_every_kind_become_plain() {
        let plain = StringArray::from(vec![Some("a"), None, Some("")]);
        let arrays: [ArrayRef; 3] = [
            Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("")])),
            Arc::new(StringViewArray::from(vec![Some("a"), None, Some("")])),
            Arc::new(DictionaryArray::<Int32Type>::from_iter(vec![Some("a"), None, Some("")])),
        ];
        for array in arrays {
            assert_eq!(normalized(array).unwrap().as_string::<i32>(), &plain);
        }
        assert_eq!(normalized(Arc::new(NullArray::new(2))).unwrap().as_string::<i32>(), &StringArray::new_null(2));
    }

    #[test]
    fn nested_columns_are_converted_inside() {
        let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![1, 2]));
        let inner = StructArray::from(vec![(Arc::new(Field::new("t", times.data_type().clone(), false)), times)]);
        let item = Arc::new(Field::new("x", inner.data_type().clone(), false));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0]);
        let list = ListArray::try_new(item, offsets, Arc::new(inner), None).unwrap();
        let done = normalized(Arc::new(list)).unwrap();
        let times = done.as_list::<i32>().values().as_struct().column(0);
        assert_eq!(times.as_primitive::<TimestampMicrosecondType>().values(), &[1_000_000, 2_000_000]);
        assert_eq!(done.len(), 2);
    }

    #[test]
    fn an_empty_struct_becomes_its_text() {
        let nulls = Some(vec![true, false].into());
        let done = normalized(Arc::new(StructArray::new_empty_fields(2, nulls))).unwrap();
        assert_eq!(done.as_string::<i32>(), &StringArray::from(vec![Some("{}"), None]));
    }

    #[test]
    fn what_files_cannot_hold_is_refused_by_name() {
        let error = normalized(Arc::new(DurationSecondArray::from(vec![1]))).unwrap_err();
        assert!(error.to_string().starts_with("column `c` is of type Duration"), "{error}");
        let twice = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("a", DataType::Utf8, true)]);
        assert!(matches!(Normalizer::new(&Arc::new(twice), true), Err(SinkError::DuplicateName { .. })));
        assert!(matches!(Normalizer::new(&Arc::new(Schema::empty()), true), Err(SinkError::NoColumns)));
    }

    #[test]
    fn a_batch_of_another_schema_is_refused() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        let normalizer = Normalizer::new(&schema, true).unwrap();
        let other: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("a", other)]).unwrap();
        assert!(matches!(normalizer.apply(&batch), Err(SinkError::SchemaChanged { .. })));
    }
}
