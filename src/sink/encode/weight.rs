//! How much memory rows take, counted by their values: the same rows weigh the same, however they came here, so that what is
//! decided by it, such as where a row group ends, is the same in each run.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{ArrowNativeType as _, DataType};
use arrow::error::ArrowError;

/// Bytes of an array, about, beside its values.
const OVERHEAD: usize = 512;

/// Returns the bytes of the rows of `batch`, about.
pub(super) fn weight(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(of).sum()
}

/// Returns the rows of `batch`, which weigh `weight`, in memory of their own, where they are a small part of something larger that would
/// stay for them.
pub(super) fn compact(batch: RecordBatch, weight: usize) -> Result<RecordBatch, ArrowError> {
    let most = 2 * weight;
    // The quick count may count something several times.
    if batch.get_array_memory_size() <= most || held(&batch) <= most {
        return Ok(batch);
    }
    let rows = UInt32Array::from_iter_values(0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
    take_record_batch(&batch, &rows)
}

/// Returns the bytes that stay in memory for a batch. What its arrays share, such as the message that they were read from, counts once.
fn held(batch: &RecordBatch) -> usize {
    let mut held = BTreeMap::new();
    batch.columns().iter().for_each(|column| allocations(&column.to_data(), &mut held));
    held.values().sum()
}

fn allocations(data: &ArrayData, held: &mut BTreeMap<usize, usize>) {
    let nulls = data.nulls().map(|nulls| nulls.inner().inner());
    for buffer in data.buffers().iter().chain(nulls) {
        held.insert(buffer.data_ptr().addr().get(), buffer.capacity());
    }
    data.child_data().iter().for_each(|child| allocations(child, held));
}

fn of(array: &ArrayRef) -> usize {
    let values = match array.data_type() {
        DataType::Utf8 => texts(array.as_string::<i32>().value_offsets()),
        DataType::Binary => texts(array.as_binary::<i32>().value_offsets()),
        DataType::Struct(_) => array.as_struct().columns().iter().map(of).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            items(list.value_offsets(), list.values())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let columns = map.entries().columns().iter();
            columns.map(|column| items(map.value_offsets(), column)).sum()
        }
        DataType::Boolean | DataType::Null => array.len().div_ceil(8),
        plain => plain.primitive_width().unwrap_or(8) * array.len(),
    };
    OVERHEAD + values + array.len().div_ceil(8)
}

/// Counts texts with their offsets.
pub(super) fn texts(offsets: &[i32]) -> usize {
    size_of_val(offsets) + length(offsets)
}

/// Counts lists: their offsets, and their items as a part of all that there are.
fn items(offsets: &[i32], items: &ArrayRef) -> usize {
    size_of_val(offsets) + of(&items_of(offsets, items))
}

/// Returns those of `items` that lists with these offsets have.
pub(super) fn items_of(offsets: &[i32], items: &ArrayRef) -> ArrayRef {
    items.slice(offsets.first().copied().unwrap_or_default().as_usize(), length(offsets))
}

fn length(offsets: &[i32]) -> usize {
    let ends = offsets.first().zip(offsets.last());
    ends.map_or(0, |(first, last)| last.as_usize() - first.as_usize())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray, StructArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Field, Int32Type};
    use arrow::ipc::reader::StreamReader;
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let text: ArrayRef =
            Arc::new((0..rows).map(|row| (row % 3 > 0).then(|| "x".repeat(100))).collect::<StringArray>());
        let lists = (0..rows).map(|row| Some(vec![Some(1); usize::try_from(row % 4).unwrap()]));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
        let inner =
            StructArray::from(vec![(Arc::new(Field::new("t", text.data_type().clone(), true)), Arc::clone(&text))]);
        let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        RecordBatch::try_from_iter([("t", text), ("l", list), ("s", Arc::new(inner)), ("n", number)]).unwrap()
    }

    #[test]
    fn the_same_rows_weigh_the_same_wherever_they_lie() {
        let whole = batch(1200);
        let part = whole.slice(600, 12);
        let own = compact(part.clone(), weight(&part)).unwrap();
        assert_eq!(own, part);
        assert_eq!(weight(&own), weight(&part));
        assert!(part.get_array_memory_size() > 20 * own.get_array_memory_size(), "a slice keeps all of it alive");
        assert!(own.get_array_memory_size() < 2 * weight(&own), "{} {}", own.get_array_memory_size(), weight(&own));
        let copied = concat_batches(&whole.schema(), &[whole.slice(0, 600), whole.slice(600, 600)]).unwrap();
        assert_eq!(weight(&copied), weight(&whole));
    }

    fn first(batch: &RecordBatch) -> usize {
        batch.column_by_name("n").unwrap().to_data().buffers()[0].as_ptr().addr()
    }

    #[test]
    fn rows_read_from_one_message_are_not_copied() {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch(1000).schema()).unwrap();
        writer.write(&batch(1000)).unwrap();
        let message = writer.into_inner().unwrap();
        let read = StreamReader::try_new(message.as_slice(), None).unwrap().next().unwrap().unwrap();
        assert!(read.get_array_memory_size() > 2 * weight(&read), "each column counts the whole message");
        let (at, bytes) = (first(&read), weight(&read));
        assert_eq!(first(&compact(read, bytes).unwrap()), at);
    }
}
