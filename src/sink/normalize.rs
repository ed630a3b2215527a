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
//! | a column of nothing but nulls | none in Parquet, see below; elsewhere nulls of type string |
//! | a struct with no fields, in Parquet | the text `{}`: the format has no such struct |
//!
//! A column, or a field, of which no value has been seen has no type yet, and the files of tomorrow, when it has one, are to be one table
//! with those of today. How the ways to write it are read together with a file that has the type:
//!
//! | reader | as text | left out | as the type `UNKNOWN` |
//! |---|---|---|---|
//! | `DuckDB`, a glob | numbers, times and lists as text | without the column, as each that joins | fails |
//! | `DuckDB`, `union_by_name` | numbers and times as text | right | right |
//! | pyarrow, the newest file's schema | fails for lists and structs | right | right |
//! | pyarrow, `unify_schemas` | fails | right | right |
//! | Polars, the newest file's schema | fails | right with `missing_columns="insert"` | right |
//! | Polars, `concat(how="diagonal_relaxed")` | numbers and times as text | right | right |
//!
//! So it is left out: then the column joins one day as any new column does, which every reader knows how to take, and no file has a type
//! that engines beyond these don't know. A column that names a partition stays, as does the first where none has a type: a row without
//! columns is none.
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
    ArrowPrimitiveType, DECIMAL128_MAX_PRECISION, DataType, Date32Type, Date64Type, Field, FieldRef, Fields, Schema,
    SchemaRef, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
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
    /// The place of each of the target's columns in the source.
    places: Vec<usize>,
    left_out: Vec<String>,
}

/// How columns and fields are taken over that files of some formats can't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape<'s> {
    /// Texts: everything has a place.
    Text,
    /// Parquet: what has no type is left out, but the columns of these names.
    Typed(&'s [&'s str]),
}

impl Normalizer {
    /// Makes one for `source`.
    pub(super) fn new(source: &SchemaRef, shape: Shape<'_>) -> Result<Self, SinkError> {
        if source.fields().is_empty() {
            return Err(SinkError::NoColumns);
        }
        let mut left_out = Vec::new();
        let fields = target_fields(source.fields(), "", shape, &mut left_out)?;
        let places: Vec<usize> = fields.iter().filter_map(|field| source.index_of(field.name()).ok()).collect();
        if fields.is_empty() {
            // The first stays.
            let first = [source.field(0).name().as_str()];
            return Self::new(source, Shape::Typed(&first));
        }
        let target = Arc::new(Schema::new(fields));
        Ok(Self { source: Arc::clone(source), target, places, left_out })
    }

    /// Returns the columns and fields that files don't have since they have no type: their names, with a dot before each field.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
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
        let columns = self.target.fields().iter().zip(&self.places).map(|(field, place)| {
            convert(batch.column(*place), field.data_type()).map_err(|source| SinkError::Convert {
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

fn target_fields(
    fields: &Fields,
    parent: &str,
    shape: Shape<'_>,
    left_out: &mut Vec<String>,
) -> Result<Fields, SinkError> {
    let mut seen = HashSet::new();
    let mut targets = Vec::with_capacity(fields.len());
    for field in fields {
        let path = if parent.is_empty() { field.name().clone() } else { format!("{parent}.{}", field.name()) };
        if !seen.insert(field.name()) {
            return Err(SinkError::DuplicateName { name: path, among: "columns" });
        }
        let stays = match shape {
            Shape::Text => true,
            Shape::Typed(named) => has_type(field.data_type()) || named.contains(&path.as_str()),
        };
        if stays {
            targets.push(Field::new(field.name(), target_type(field.data_type(), &path, shape, left_out)?, true));
        } else {
            left_out.push(path);
        }
    }
    Ok(targets.into())
}

/// Tells whether a value has been seen in a column: what is nothing but nulls, or lists and structs of that, has no type.
fn has_type(kind: &DataType) -> bool {
    match kind {
        DataType::Null => false,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_type(item.data_type())
        }
        DataType::Struct(fields) => fields.is_empty() || fields.iter().any(|field| has_type(field.data_type())),
        _ => true,
    }
}

fn target_type(
    kind: &DataType,
    path: &str,
    shape: Shape<'_>,
    left_out: &mut Vec<String>,
) -> Result<DataType, SinkError> {
    use DataType as T;
    Ok(match kind {
        T::Timestamp(..) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Date32 | T::Date64 => T::Date32,
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => T::Decimal128(*precision, *scale),
        // Of readers one takes it for a double, and another refuses the file.
        T::Decimal256(precision, _) if *precision > DECIMAL128_MAX_PRECISION && shape != Shape::Text => {
            let hint =
                "Parquet's readers know 38 digits at most: cast it in the transform, to DECIMAL(38, n) or VARCHAR";
            return Err(unsupported(path, kind, hint));
        }
        T::Decimal256(precision, scale) if *precision <= DECIMAL128_MAX_PRECISION => T::Decimal128(*precision, *scale),
        T::Float16 => T::Float32,
        T::Dictionary(_, values) => target_type(values, path, shape, left_out)?,
        T::RunEndEncoded(_, values) => target_type(values.data_type(), path, shape, left_out)?,
        T::Struct(fields) if fields.is_empty() && shape != Shape::Text => T::Utf8,
        T::Struct(fields) => T::Struct(target_fields(fields, path, shape, left_out)?),
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(Field::new("item", target_type(item.data_type(), path, shape, left_out)?, true)))
        }
        T::Map(entries, _) => T::Map(Arc::new(target_entries(entries, path, shape, left_out)?), false),
        T::Duration(_) | T::Interval(_) => {
            return Err(unsupported(path, kind, "cast it in the transform, to BIGINT or VARCHAR"));
        }
        T::Union(..) => return Err(unsupported(path, kind, "cast it in the transform, to VARCHAR")),
        plain => plain.clone(),
    })
}

fn target_entries(
    entries: &Field,
    path: &str,
    shape: Shape<'_>,
    left_out: &mut Vec<String>,
) -> Result<Field, SinkError> {
    let refuse =
        || unsupported(path, entries.data_type(), "the keys of a map must be strings: cast them in the transform");
    let DataType::Struct(fields) = entries.data_type() else { return Err(refuse()) };
    let [key, value] = fields.as_ref() else { return Err(refuse()) };
    if target_type(key.data_type(), path, shape, left_out)? != DataType::Utf8 {
        return Err(refuse());
    }
    let value = target_type(value.data_type(), path, shape, left_out)?;
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
    let mut columns = Vec::with_capacity(fields.len());
    for (source, column) in array.fields().iter().zip(array.columns()) {
        // Both are in one order; what has no type is left out.
        if let Some(field) = fields.get(columns.len()).filter(|field| field.name() == source.name()) {
            columns.push(convert(column, field.data_type())?);
        }
    }
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
        Decimal256Array, DictionaryArray, DurationSecondArray, Int64Array, LargeStringArray, NullArray,
        StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    fn normalized(array: ArrayRef) -> Result<ArrayRef, SinkError> {
        let field = Field::new("c", array.data_type().clone(), true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
        let normalizer = Normalizer::new(&batch.schema(), Shape::Typed(&[]))?;
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
    fn what_has_no_type_is_left_out_of_files_of_types() {
        let field = |name: &str, kind: &DataType| Field::new(name, kind.clone(), true);
        let list = DataType::List(Arc::new(field("item", &DataType::Null)));
        let nothing = DataType::Struct(vec![field("x", &DataType::Null), field("l", &list)].into());
        let some = DataType::Struct(vec![field("l", &list), field("x", &DataType::Int64)].into());
        let deep = DataType::List(Arc::new(field("item", &some)));
        let columns = [("a", &DataType::Null), ("b", &deep), ("c", &nothing), ("d", &list), ("e", &DataType::Null)];
        let schema = Arc::new(Schema::new(columns.map(|(name, kind)| field(name, kind)).to_vec()));
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            columns.iter().map(|(_, kind)| new_null_array(kind, 2)).collect(),
        );
        let batch = batch.unwrap();
        let names = |shape: Shape<'_>| {
            let normalizer = Normalizer::new(&schema, shape).unwrap();
            let done = normalizer.apply(&batch).unwrap();
            let names: Vec<String> = done.schema().fields().iter().map(|field| field.name().clone()).collect();
            (names.join(" "), normalizer.left_out().join(" "))
        };
        assert_eq!(names(Shape::Typed(&[])), ("b".to_owned(), "a b.l c d e".to_owned()));
        assert_eq!(names(Shape::Typed(&["e"])), ("b e".to_owned(), "a b.l c d".to_owned()));
        assert_eq!(names(Shape::Text), ("a b c d e".to_owned(), String::new()));
        let nulls = Arc::new(Schema::new(vec![field("z", &DataType::Null), field("a", &DataType::Null)]));
        let kept = Normalizer::new(&nulls, Shape::Typed(&[])).unwrap();
        assert_eq!((kept.target().field(0).name().as_str(), kept.left_out()), ("z", &["a".to_owned()][..]));
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
        let decimals =
            |precision| Arc::new(Decimal256Array::new_null(1).with_precision_and_scale(precision, 2).unwrap());
        let error = normalized(decimals(60)).unwrap_err().to_string();
        assert!(
            error.starts_with("column `c` is of type Decimal256(60, 2)") && error.contains("DECIMAL(38, n)"),
            "{error}"
        );
        assert_eq!(normalized(decimals(38)).unwrap().data_type(), &DataType::Decimal128(38, 2));
        let twice = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("a", DataType::Utf8, true)]);
        assert!(matches!(Normalizer::new(&Arc::new(twice), Shape::Text), Err(SinkError::DuplicateName { .. })));
        assert!(matches!(Normalizer::new(&Arc::new(Schema::empty()), Shape::Typed(&[])), Err(SinkError::NoColumns)));
    }

    #[test]
    fn a_batch_of_another_schema_is_refused() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        let normalizer = Normalizer::new(&schema, Shape::Text).unwrap();
        let other: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("a", other)]).unwrap();
        assert!(matches!(normalizer.apply(&batch), Err(SinkError::SchemaChanged { .. })));
    }
}
