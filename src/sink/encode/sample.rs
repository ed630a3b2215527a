//! What the values of a column are like, told by a sample of a row group's first rows: whether a dictionary is worth it, and whether they
//! are long.
//!
//! A column is written as a dictionary and numbers of its entries until the dictionary is too large, and from then on as it is (see
//! `dictionary_page_size_limit` in the `parquet` crate's writer properties). Where hardly a value comes twice that is work for nothing:
//! each is hashed, compared and kept, and the file is no smaller.

use std::collections::HashSet;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::common::hash_utils::{RandomState, create_hashes};

use super::weight::{items_of, texts, weight};

/// How many rows are looked at, in blocks of rows that follow each other: values that repeat do so at once, or after a while.
const BLOCKS: usize = 16;
const BLOCK: usize = 64;

/// Values of a leaf, at most: there is one block more where the rows don't divide. Lists may have many in each row.
const MOST: usize = (BLOCKS + 1) * BLOCK;

/// What a sample says of one leaf.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// How many values it has that aren't null, and what these take as they are, in bytes.
    values: usize,
    bytes: usize,
    /// Hashes of the different ones.
    different: HashSet<u64, RandomState>,
}

/// Returns a sample of each leaf of the rows, in the order of Parquet's columns. `limit` is how many bytes a dictionary may take. The rows
/// that are looked at are of the first batches that take `within` bytes together, so that it doesn't matter how many come after these.
pub(super) fn samples(rows: &[RecordBatch], within: usize, limit: usize) -> Result<Vec<Sample>, DataFusionError> {
    let mut bytes = 0;
    let first = rows.iter().position(|batch| {
        bytes += weight(batch);
        bytes >= within
    });
    let first = &rows[..first.map_or(rows.len(), |last| last + 1)];
    let count = first.iter().map(RecordBatch::num_rows).sum();
    let mut leaves = Vec::new();
    let mut before = 0;
    for batch in first {
        for block in blocks(before..before + batch.num_rows(), count) {
            let mut at = 0;
            for column in batch.columns() {
                look(&column.slice(block.start, block.len()), &mut leaves, &mut at, limit)?;
            }
        }
        before += batch.num_rows();
    }
    Ok(leaves)
}

/// Returns the parts of the blocks that lie in `batch`, which is some of `count` rows, counted from its first row.
fn blocks(batch: Range<usize>, count: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (count / BLOCKS).max(BLOCK);
    let block = move |from: usize| {
        let (from, to) = (from.max(batch.start), (from + BLOCK).min(batch.end));
        (from < to).then(|| from - batch.start..to - batch.start)
    };
    (0..count).step_by(step).filter_map(block)
}

/// Adds the values of `array` to the samples of its leaves, the first of which is at `at`, where they still matter.
fn look(array: &ArrayRef, leaves: &mut Vec<Sample>, at: &mut usize, limit: usize) -> Result<(), DataFusionError> {
    match array.data_type() {
        DataType::Struct(_) => {
            array.as_struct().columns().iter().try_for_each(|column| look(column, leaves, at, limit))
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            look(&items_of(list.value_offsets(), list.values()), leaves, at, limit)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let mut columns = map.entries().columns().iter();
            columns.try_for_each(|column| look(&items_of(map.value_offsets(), column), leaves, at, limit))
        }
        _ => {
            if leaves.len() == *at {
                leaves.push(Sample::default());
            }
            let sample = &mut leaves[*at];
            *at += 1;
            sample.add(array, limit)
        }
    }
}

impl Sample {
    fn add(&mut self, values: &ArrayRef, limit: usize) -> Result<(), DataFusionError> {
        if self.values >= MOST || self.repeats(limit) {
            return Ok(());
        }
        let values = &values.slice(0, values.len().min(MOST - self.values));
        let mut hashes = vec![0; values.len()];
        create_hashes([values], &RandomState::with_seed(0), &mut hashes)?;
        let there = values.len() - values.null_count();
        self.different
            .extend(hashes.into_iter().enumerate().filter(|(at, _)| values.is_valid(*at)).map(|(_, hash)| hash));
        self.values += there;
        self.bytes += match values.data_type() {
            DataType::Utf8 => texts(values.as_string::<i32>().value_offsets()),
            DataType::Binary => texts(values.as_binary::<i32>().value_offsets()),
            plain => plain.primitive_width().unwrap_or(1) * there,
        };
        Ok(())
    }

    /// Returns how many values were there before.
    fn twice(&self) -> usize {
        self.values - self.different.len()
    }

    /// Returns how many bytes a value takes on average that isn't null.
    pub(super) fn bytes_each(&self) -> usize {
        self.bytes / self.values.max(1)
    }

    /// Tells whether as many different values as the column has, which the sample lets guess, take more than `limit` bytes. Of n values out
    /// of d, n² / 2d come twice; where none does, half a one is said to.
    pub(super) fn exceeds(&self, limit: usize) -> bool {
        self.values.saturating_mul(self.bytes) > limit.saturating_mul((2 * self.twice()).max(1))
    }

    /// Tells whether so many values came twice that those to come, if they are as long, would change nothing.
    fn repeats(&self, limit: usize) -> bool {
        let each = self.bytes.div_ceil(self.values.max(1));
        self.twice() > 0 && limit.saturating_mul(2 * self.twice()) >= MOST.saturating_mul(MOST).saturating_mul(each)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray, StructArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Field, Int64Type};
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;
    const STEP: usize = 2 << 20;

    fn without_dictionary(rows: &[RecordBatch], within: usize, limit: usize) -> Vec<bool> {
        samples(rows, within, limit).unwrap().iter().map(|leaf| leaf.exceeds(limit)).collect()
    }

    fn numbers(values: impl Iterator<Item = i64>) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(values.collect::<Int64Array>()) as ArrayRef)]).unwrap()
    }

    /// A number as good as random.
    fn mixed(row: i64) -> i64 {
        row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()) ^ (row << 7)
    }

    fn is_without(batch: &RecordBatch) -> bool {
        without_dictionary(std::slice::from_ref(batch), STEP, LIMIT)[0]
    }

    #[test]
    fn values_that_never_repeat_go_without_and_those_that_do_at_once_or_after_a_while_do_not() {
        for (what, without, value) in [
            ("all different", true, (|row| row) as fn(i64) -> i64),
            ("each one of a million", true, |row| mixed(row).rem_euclid(1_000_000)),
            ("each one of 20,000", false, |row| mixed(row).rem_euclid(20_000)),
            ("each one of 100", false, |row| mixed(row).rem_euclid(100)),
            ("5,000 in turn", false, |row| row % 5_000),
            ("runs of three", false, |row| row / 3),
            ("one", false, |_| 7),
        ] {
            assert_eq!(is_without(&numbers((0..100_000).map(value))), without, "{what}");
        }
    }

    #[test]
    fn a_few_rows_say_nothing() {
        assert!(!is_without(&numbers(0..300)));
        assert!(is_without(&numbers(0..500)));
    }

    #[test]
    fn no_rows_have_no_leaves_that_go_without() {
        assert_eq!(without_dictionary(&[], STEP, LIMIT), Vec::<bool>::new());
        assert!(!without_dictionary(&[numbers(0..0)], STEP, LIMIT).contains(&true));
    }

    #[test]
    fn nulls_are_no_values() {
        let nulls = (0..100_000).map(|row| (row % 50 == 0).then_some(row)).collect::<Int64Array>();
        let batch = RecordBatch::try_from_iter([("n", Arc::new(nulls) as ArrayRef)]).unwrap();
        assert!(!is_without(&batch), "twenty values of a thousand rows");
    }

    #[test]
    fn of_long_lists_as_many_values_are_looked_at_as_of_other_columns() {
        let list: Vec<_> = (0..300_000).map(Some).collect();
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(list)]);
        let (mut leaves, mut at) = (Vec::new(), 0);
        look(&(Arc::new(lists) as ArrayRef), &mut leaves, &mut at, LIMIT).unwrap();
        assert_eq!((leaves.len(), at, leaves[0].values), (1, 1, MOST));
        assert!(leaves[0].exceeds(LIMIT));
    }

    #[test]
    fn leaves_are_told_in_the_order_of_parquet() {
        let unique: ArrayRef = Arc::new((0..2_000).map(|row| Some(format!("{row:020}"))).collect::<StringArray>());
        let same: ArrayRef = Arc::new(StringArray::from(vec!["same"; 2_000]));
        let items = |value: fn(i64) -> i64| -> ArrayRef {
            let lists = (0..2_000).map(|row| (row % 2 == 0).then(|| vec![Some(value(row)), Some(value(row + 1))]));
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        };
        let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
        let both = StructArray::from(vec![
            (field("same", &same), Arc::clone(&same)),
            (field("unique", &unique), Arc::clone(&unique)),
        ]);
        let columns = [("a", unique), ("b", Arc::new(both)), ("c", items(|_| 1)), ("d", items(|row| row)), ("e", same)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let rows = [batch.slice(0, 700), batch.slice(700, 1_300)];
        let without = without_dictionary(&rows, STEP, LIMIT);
        assert_eq!(without, [true, false, true, false, true, false]);
    }

    proptest! {
        #[test]
        fn what_comes_after_the_first_step_decides_nothing(cuts in prop::collection::vec(1..3_000_i64, 1..20), of in 1..5_000_i64) {
            let batches: Vec<_> = cuts.iter().map(|&rows| numbers((0..rows).map(|row| mixed(row) % of))).collect();
            let step = 64 << 10;
            let whole = without_dictionary(&batches, step, LIMIT / 8);
            let mut bytes = 0;
            let first = batches.iter().position(|batch| { bytes += weight(batch); bytes >= step });
            let enough = first.map_or(batches.len(), |last| last + 1);
            prop_assert_eq!(without_dictionary(&batches[..enough], step, LIMIT / 8), whole);
        }

        #[test]
        fn blocks_cover_no_row_twice_and_fall_apart_at_batches_alone(cuts in prop::collection::vec(0..500_usize, 1..20)) {
            let count = cuts.iter().sum();
            let (mut before, mut looked) = (0, Vec::new());
            for rows in cuts {
                looked.extend(blocks(before..before + rows, count).flatten().map(|row| before + row));
                before += rows;
            }
            let whole: Vec<usize> = blocks(0..count, count).flatten().collect();
            prop_assert_eq!(&looked, &whole);
            prop_assert!(whole.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(whole.len() <= 2 * BLOCKS * BLOCK);
            let few = count.min(BLOCKS * BLOCK / 2);
            prop_assert!(whole.len() >= few, "{} of {count}", whole.len());
        }
    }

    #[test]
    fn batches_say_the_same_as_what_they_are_parts_of() {
        let whole = numbers((0..10_000).map(|row| mixed(row) % 3_000));
        let parts: Vec<_> = (0..10).map(|part| whole.slice(part * 1_000, 1_000)).collect();
        assert_eq!(concat_batches(&whole.schema(), &parts).unwrap(), whole);
        assert_eq!(without_dictionary(&parts, STEP, 20_000), without_dictionary(&[whole], STEP, 20_000));
    }
}
