//! The values of a page's columns, hashed: whether a page came before is asked of every one.

use std::hash::Hasher;

use arrow::array::{Array, ArrayData, AsArray as _};
use arrow::datatypes::{DataType, Int64Type};

/// Hashes the values of an array. Arrays of equal values may differ in ways that this sees, so that equal hashes are proof and
/// different ones aren't.
pub(super) fn hash(array: &dyn Array, hasher: &mut impl Hasher) {
    // What most columns hold, without a description of it.
    match array.data_type() {
        DataType::Int64 => hasher.write(array.as_primitive::<Int64Type>().values().inner().as_slice()),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            hasher.write(texts.offsets().inner().inner().as_slice());
            hasher.write(texts.value_data());
        }
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|column| hash(column, hasher)),
        _ => return hash_data(&array.to_data(), hasher),
    }
    if let Some(nulls) = array.nulls() {
        hasher.write(nulls.validity());
    }
}

fn hash_data(data: &ArrayData, hasher: &mut impl Hasher) {
    for buffer in data.buffers() {
        hasher.write(buffer.as_slice());
    }
    if let Some(nulls) = data.nulls() {
        hasher.write(nulls.validity());
    }
    for child in data.child_data() {
        hash_data(child, hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher as _, RandomState};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray, StructArray};
    use arrow::datatypes::{Field, Float64Type};

    use super::*;

    fn fields(columns: &[(&str, ArrayRef)]) -> ArrayRef {
        let field = |(name, column): &(&str, ArrayRef)| {
            (Arc::new(Field::new(*name, column.data_type().clone(), true)), Arc::clone(column))
        };
        Arc::new(StructArray::from(columns.iter().map(field).collect::<Vec<_>>()))
    }

    #[test]
    fn columns_of_different_values_are_told_apart() {
        let numbers = |values: [Option<i64>; 2]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let texts = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let doubles = |values: [f64; 2]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let lists = |values: [Vec<Option<f64>>; 2]| {
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(values.map(Some))) as ArrayRef
        };
        let columns = [
            numbers([Some(1), Some(2)]),
            numbers([Some(2), Some(1)]),
            numbers([Some(0), Some(0)]),
            numbers([Some(0), None]),
            texts([Some("ab"), Some("c")]),
            texts([Some("a"), Some("bc")]),
            texts([Some("abc"), Some("")]),
            texts([Some("abc"), None]),
            doubles([0.5, 1.0]),
            doubles([0.5, 2.0]),
            lists([vec![Some(0.5)], vec![Some(1.0)]]),
            lists([vec![Some(0.5), Some(1.0)], vec![]]),
            fields(&[("a", texts([Some("x"), None])), ("b", doubles([0.5, 1.0]))]),
            fields(&[("a", texts([Some("x"), Some("")])), ("b", doubles([0.5, 1.0]))]),
            fields(&[("a", texts([Some("x"), None])), ("b", doubles([0.5, 2.0]))]),
        ];
        let state = RandomState::new();
        let hash_of = |column: &ArrayRef| {
            let mut hasher = state.build_hasher();
            hash(column, &mut hasher);
            hasher.finish()
        };
        let different: HashSet<u64> = columns.iter().map(hash_of).collect();
        assert_eq!(different.len(), columns.len());
        assert_eq!(
            hash_of(&columns[12]),
            hash_of(&fields(&[("a", texts([Some("x"), None])), ("b", doubles([0.5, 1.0]))]))
        );
    }
}
