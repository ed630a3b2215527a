//! What the text printers would print wrongly instead of failing: found before anything is written.

use arrow::array::{Array, ArrowPrimitiveType, AsArray as _};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Date32Type, Float32Type, Float64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};

use super::EncodeError;

const DAY_SECONDS: i64 = 86_400;

/// Refuses numbers that JSON doesn't have and times that can't be printed, at any depth of `array`.
pub(super) fn check(array: &dyn Array, column: &str) -> Result<(), EncodeError> {
    check_below(array, column, None)
}

/// `above`: the rows whose parents aren't null.
fn check_below(array: &dyn Array, column: &str, above: Option<&NullBuffer>) -> Result<(), EncodeError> {
    let valid = NullBuffer::union(above, array.nulls());
    match array.data_type() {
        DataType::Float64 => refuse_in_json(values::<Float64Type>(array, valid.as_ref()), column),
        DataType::Float32 => refuse_in_json(values::<Float32Type>(array, valid.as_ref()).map(f64::from), column),
        DataType::Timestamp(..) => {
            let range = DateTime::<Utc>::MIN_UTC.timestamp_micros()..=DateTime::<Utc>::MAX_UTC.timestamp_micros();
            let far = values::<TimestampMicrosecondType>(array, valid.as_ref()).any(|value| !range.contains(&value));
            if far { Err(EncodeError::TimeTooFar { column: column.to_owned() }) } else { Ok(()) }
        }
        DataType::Date32 => {
            let (min, max) = (DateTime::<Utc>::MIN_UTC.timestamp(), DateTime::<Utc>::MAX_UTC.timestamp());
            let range = min.div_euclid(DAY_SECONDS) + 1..=max.div_euclid(DAY_SECONDS) - 1;
            let far = values::<Date32Type>(array, valid.as_ref()).any(|value| !range.contains(&i64::from(value)));
            if far { Err(EncodeError::TimeTooFar { column: column.to_owned() }) } else { Ok(()) }
        }
        DataType::Struct(fields) => {
            let mut children = array.as_struct().columns().iter().zip(fields);
            children.try_for_each(|(child, field)| {
                check_below(child, &format!("{column}.{}", field.name()), valid.as_ref())
            })
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            check_items(list.values().as_ref(), list.offsets(), column)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            check_items(map.values().as_ref(), map.offsets(), column)
        }
        _ => Ok(()),
    }
}

fn check_items(items: &dyn Array, offsets: &[i32], column: &str) -> Result<(), EncodeError> {
    let at = |offset: Option<&i32>| offset.and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    let (from, to) = (at(offsets.first()), at(offsets.last()));
    check_below(items.slice(from, to - from).as_ref(), column, None)
}

fn values<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    valid: Option<&'a NullBuffer>,
) -> impl Iterator<Item = T::Native> + 'a {
    let values = array.as_primitive::<T>().values().iter().enumerate();
    values.filter(move |(row, _)| valid.is_none_or(|valid| valid.is_valid(*row))).map(|(_, value)| *value)
}

fn refuse_in_json(mut values: impl Iterator<Item = f64>, column: &str) -> Result<(), EncodeError> {
    match values.find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) if value.is_nan() => Err(EncodeError::NotInJson { column: column.to_owned(), value: "NaN" }),
        Some(_) => Err(EncodeError::NotInJson { column: column.to_owned(), value: "an infinite number" }),
    }
}
