//! Which rows of a slice have the same key: of those, the last received stays.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::versions::Versions;

/// A batch whose keys can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DedupeError {
    /// A column of the key isn't there.
    #[error("key column `{column}` isn't a column of records; there are {}", present.join(", "))]
    MissingColumn {
        /// The column of `key`.
        column: String,
        /// The columns that there are.
        present: Vec<String>,
    },
    /// A column of the key has another type than in the batches before, so equal keys can't be told.
    #[error("key column `{column}` was {before} and is now {now}")]
    TypeChanged {
        /// The column of `key`.
        column: String,
        /// Its type in the batches before.
        before: DataType,
        /// Its type in this batch.
        now: DataType,
    },
    /// The values of `latest_by` have no order.
    #[error("`latest_by` is a {found}, which has no order; name a number, a text or a time, such as one of its fields")]
    NoOrder {
        /// The type.
        found: DataType,
    },
    /// The values of `latest_by` have another type than in the batches before.
    #[error(
        "`latest_by` was {before} and is now {now}, so the rows of one key can't be compared; cast it, such as \
         `CAST(updated_at AS DOUBLE)`"
    )]
    OrderChanged {
        /// The type in the batches before.
        before: DataType,
        /// The type in this batch.
        now: DataType,
    },
    /// The values of a key can't be compared.
    #[error("can't compare the keys")]
    Arrow(#[from] ArrowError),
}

/// What a batch brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// How many of its rows had a key, or a pair of key and value, that was not seen before.
    pub new_rows: u64,
    /// The ordinals of the earlier rows, also of this batch, that rows of this batch replace, each with that of the row that
    /// replaces it.
    pub superseded: Vec<(u64, u64)>,
    /// The rows of this batch, from 0, that have a null in their key. They have no identity and are in no count.
    pub null_keys: Vec<usize>,
}

/// The keys of a slice, exactly: no two different keys are ever taken for one. Its memory grows with the distinct keys.
#[derive(Debug)]
pub struct KeyIndex {
    columns: Vec<String>,
    converter: Option<(RowConverter, Vec<DataType>)>,
    /// The last row of each key; where values decide, the number of the key among the versions.
    last: Keys,
    distinct: u64,
    versions: Versions,
}

impl KeyIndex {
    /// Makes an index over the columns of `key`.
    #[must_use]
    pub fn new(columns: &[String]) -> Self {
        Self {
            columns: columns.to_vec(),
            converter: None,
            last: Keys::default(),
            distinct: 0,
            versions: Versions::default(),
        }
    }

    /// Returns how many different keys have been seen; where values decide, how many different pairs of key and value: a server
    /// that keeps versions counts each of them as a row.
    pub const fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Returns about how many bytes of memory the keys take.
    pub fn memory_bytes(&self) -> usize {
        self.last.memory_bytes()
    }

    /// Takes in the rows of `batch`, numbered from `first_ordinal` on, in the order in which they were received.
    pub fn observe(&mut self, batch: &RecordBatch, first_ordinal: u64) -> Result<Observed, DedupeError> {
        self.each(batch, |index, row, key, observed| {
            let ordinal = first_ordinal + row as u64;
            let hash = index.last.hash(key);
            if let Some(last) = index.last.get_mut(hash, key) {
                observed.superseded.push((std::mem::replace(last, ordinal), ordinal));
            } else {
                index.last.add(hash, key, ordinal);
                index.distinct += 1;
                observed.new_rows += 1;
            }
        })
    }

    /// As [`KeyIndex::observe`], where not the last row of a key stays but the one with the greatest of `values`: which rows
    /// that leaves out is known in the end, see [`KeyIndex::outdated`]. Use one of the two for all batches.
    pub fn observe_versions(
        &mut self,
        batch: &RecordBatch,
        first_ordinal: u64,
        values: &ArrayRef,
    ) -> Result<Observed, DedupeError> {
        let values = self.versions.read(values)?;
        self.each(batch, |index, row, key, observed| {
            let hash = index.last.hash(key);
            let known = index.last.get_mut(hash, key).copied();
            let group = known.unwrap_or_else(|| {
                let group = index.versions.begin();
                index.last.add(hash, key, group);
                group
            });
            let is_new = index.versions.add(group, &values, row, first_ordinal + row as u64);
            index.distinct += u64::from(is_new);
            observed.new_rows += u64::from(is_new);
        })
    }

    /// Returns the rows that [`KeyIndex::observe_versions`] saw and of whose key another stays: one with a greater value, or a
    /// later one with the same; null is the smallest. Only rows that `lands` lets compete.
    pub fn outdated(&self, lands: impl Fn(u64) -> bool) -> BTreeSet<u64> {
        self.versions.outdated(lands)
    }

    fn each(
        &mut self,
        batch: &RecordBatch,
        mut take: impl FnMut(&mut Self, usize, &[u8], &mut Observed),
    ) -> Result<Observed, DedupeError> {
        let columns = self.key_columns(batch)?;
        let mut observed = Observed::default();
        if columns.iter().any(|column| column.data_type() == &DataType::Null) {
            observed.null_keys = (0..batch.num_rows()).collect();
            return Ok(observed);
        }
        let rows = self.converter(&columns)?.convert_columns(&columns)?;
        for (row, key) in rows.iter().enumerate() {
            if columns.iter().any(|column| column.is_null(row)) {
                observed.null_keys.push(row);
            } else {
                take(self, row, key.data(), &mut observed);
            }
        }
        Ok(observed)
    }

    fn key_columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, DedupeError> {
        let column = |name: &String| {
            let missing = || DedupeError::MissingColumn { column: name.clone(), present: names(batch) };
            batch.column_by_name(name).cloned().ok_or_else(missing)
        };
        self.columns.iter().map(column).collect()
    }

    /// Returns the encoder of keys, made for the types of the first batch that has any.
    fn converter(&mut self, columns: &[ArrayRef]) -> Result<&RowConverter, DedupeError> {
        let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
        let (converter, before) = match self.converter.take() {
            Some(made) => made,
            None => (RowConverter::new(types.iter().cloned().map(SortField::new).collect())?, types.clone()),
        };
        let changed = before.iter().zip(&types).position(|(before, now)| before != now);
        let (converter, before) = self.converter.insert((converter, before));
        match changed {
            None => Ok(converter),
            Some(at) => Err(DedupeError::TypeChanged {
                column: self.columns.get(at).cloned().unwrap_or_default(),
                before: before.get(at).cloned().unwrap_or(DataType::Null),
                now: types.get(at).cloned().unwrap_or(DataType::Null),
            }),
        }
    }
}

/// Keys, each once and with a number: found by a hash, and compared byte by byte only where hashes agree. No key has an
/// allocation of its own, and no hash is kept: beside its bytes a key takes 16 for its entry and 10 to 21 for its place,
/// and 16 more at most of room to grow.
#[derive(Debug, Default)]
struct Keys {
    hasher: DefaultHashBuilder,
    /// The keys, one after another.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Where the entries of a hash are.
    places: HashTable<usize>,
}

#[derive(Debug)]
struct Entry {
    /// Where the key ends in the bytes. It begins where the one before ends.
    end: usize,
    number: u64,
}

impl Keys {
    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Returns the number of `key`, whose hash is `hash`.
    fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut u64> {
        let is_key = |at: &usize| key_of(&self.bytes, &self.entries, *at) == key;
        let at = *self.places.find(hash, is_key)?;
        Some(&mut self.entries[at].number)
    }

    /// Adds `key`, which isn't there yet.
    fn add(&mut self, hash: u64, key: &[u8], number: u64) {
        self.bytes.extend_from_slice(key);
        self.entries.push(Entry { end: self.bytes.len(), number });
        let rehash = |at: &usize| self.hasher.hash_one(key_of(&self.bytes, &self.entries, *at));
        self.places.insert_unique(hash, self.entries.len() - 1, rehash);
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>() + self.places.allocation_size()
    }
}

/// Returns the bytes of the key that was added after `at` others.
fn key_of<'a>(bytes: &'a [u8], entries: &[Entry], at: usize) -> &'a [u8] {
    let start = at.checked_sub(1).map_or(0, |before| entries[before].end);
    &bytes[start..entries[at].end]
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema_ref().fields().iter().map(|field| format!("`{}`", field.name())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use arrow::array::{Int64Array, NullArray, StringArray};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<String>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let ids: Int64Array = rows.iter().map(|row| row.0).collect();
        let names: StringArray = rows.iter().map(|row| row.1.clone()).collect();
        RecordBatch::try_from_iter(vec![("id", Arc::new(ids) as ArrayRef), ("name", Arc::new(names))]).expect("batch")
    }

    fn index() -> KeyIndex {
        KeyIndex::new(&["id".to_owned(), "name".to_owned()])
    }

    proptest! {
        /// Over any cut into batches: what isn't superseded is, for every key, its last row.
        #[test]
        fn the_last_of_equal_keys_stays(
            batches in prop::collection::vec(
                prop::collection::vec((prop::option::weighted(0.9, 0_i64..4), prop::option::weighted(0.9, "[ab]{0,2}")), 0..12),
                0..8,
            )
        ) {
            let (mut index, mut model, mut gone) = (index(), BTreeMap::new(), BTreeSet::new());
            let (mut ordinal, mut new_rows, mut nulls) = (0_u64, 0, 0_u64);
            for rows in &batches {
                let observed = index.observe(&batch(rows), ordinal).expect("observed");
                new_rows += observed.new_rows;
                nulls += observed.null_keys.len() as u64;
                for (ordinal, later) in observed.superseded {
                    prop_assert!(ordinal < later);
                    prop_assert!(gone.insert(ordinal), "{ordinal} was superseded twice");
                }
                for (row, key) in rows.iter().enumerate() {
                    prop_assert_eq!(observed.null_keys.contains(&row), key.0.is_none() || key.1.is_none());
                    if let (Some(id), Some(name)) = key {
                        model.insert((*id, name.clone()), ordinal + row as u64);
                    }
                }
                ordinal += rows.len() as u64;
            }
            let model: BTreeSet<u64> = model.into_values().collect();
            prop_assert_eq!(index.distinct(), model.len() as u64);
            prop_assert_eq!(new_rows, index.distinct());
            prop_assert_eq!(ordinal, new_rows + nulls + gone.len() as u64);
            prop_assert!(gone.is_disjoint(&model));
        }
    }

    proptest! {
        /// Over any cut into batches: of the rows of a key that land the one with the greatest value stays, of equal ones the last.
        #[test]
        fn the_greatest_of_equal_keys_stays(
            batches in prop::collection::vec(
                prop::collection::vec((0_i64..4, prop::option::weighted(0.8, -2_i64..3), prop::bool::weighted(0.8)), 0..12),
                0..8,
            )
        ) {
            let mut index = KeyIndex::new(&["id".to_owned()]);
            let (mut rows, mut distinct) = (Vec::new(), BTreeSet::new());
            for part in &batches {
                let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(part.iter().map(|row| row.0)));
                let values: Int64Array = part.iter().map(|row| row.1).collect();
                // A batch in which a column has no value may have no type for it.
                let untyped = part.iter().all(|row| row.1.is_none());
                let values: ArrayRef = if untyped { Arc::new(NullArray::new(part.len())) } else { Arc::new(values) };
                let batch = RecordBatch::try_from_iter(vec![("id", ids)]).expect("batch");
                index.observe_versions(&batch, rows.len() as u64, &values).expect("observed");
                rows.extend_from_slice(part);
                distinct.extend(part.iter().map(|row| (row.0, row.1)));
            }
            let outdated = index.outdated(|ordinal| rows[usize::try_from(ordinal).expect("ordinal")].2);
            let mut stays: BTreeMap<i64, (Option<i64>, usize)> = BTreeMap::new();
            for (at, (id, value, lands)) in rows.iter().enumerate() {
                if *lands {
                    let best = stays.entry(*id).or_insert((*value, at));
                    *best = (*best).max((*value, at));
                }
            }
            let stays: BTreeSet<usize> = stays.into_values().map(|(_, at)| at).collect();
            let gone = |at: &usize| rows[*at].2 && !stays.contains(at);
            let expected: BTreeSet<u64> = (0..rows.len()).filter(gone).map(|at| at as u64).collect();
            prop_assert_eq!(outdated, expected);
            prop_assert_eq!(index.distinct(), distinct.len() as u64);
        }
    }

    #[test]
    fn keys_of_one_hash_are_told_apart_by_their_bytes() {
        let mut keys = Keys::default();
        for (number, key) in [b"a", b"b", b"c"].into_iter().enumerate() {
            assert_eq!(keys.get_mut(7, key), None);
            keys.add(7, key, number as u64);
        }
        assert_eq!([b"a", b"b", b"c"].map(|key| keys.get_mut(7, key).copied()), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_key_costs_what_the_readme_says() {
        let mut keys = Keys::default();
        for number in 0_u64..200_000 {
            let key = number.to_be_bytes();
            let hash = keys.hash(&key);
            assert_eq!(keys.get_mut(hash, &key), None);
            keys.add(hash, &key, number);
        }
        // Found again after the table has grown many times.
        for number in 0_u64..200_000 {
            let key = number.to_be_bytes();
            assert_eq!(keys.get_mut(keys.hash(&key), &key).copied(), Some(number));
        }
        let beside_bytes = keys.memory_bytes() - keys.bytes.capacity();
        assert!(beside_bytes <= 200_000 * 54, "{beside_bytes}");
    }

    #[test]
    fn values_without_an_order_that_holds_are_refused() {
        let ids =
            RecordBatch::try_from_iter(vec![("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).expect("ok");
        let mut index = KeyIndex::new(&["id".to_owned()]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
        index.observe_versions(&ids, 0, &numbers).expect("numbers");
        let error = index.observe_versions(&ids, 1, &texts).expect_err("another type").to_string();
        assert!(error.starts_with("`latest_by` was Int64 and is now Utf8"), "{error}");
        let list: ArrayRef = Arc::new(arrow::array::ListArray::new_null(
            Arc::new(arrow::datatypes::Field::new("item", DataType::Int64, true)),
            1,
        ));
        let error = index.observe_versions(&ids, 1, &list).expect_err("no order").to_string();
        assert!(error.contains("has no order"), "{error}");
    }

    #[test]
    fn keys_that_only_look_alike_are_two() {
        let rows = [(Some(1), Some("1a".to_owned())), (Some(11), Some("a".to_owned())), (Some(1), Some(String::new()))];
        let mut index = index();
        assert_eq!(index.observe(&batch(&rows), 0).expect("observed").new_rows, 3);
        assert!(index.memory_bytes() > 0);
    }

    #[test]
    fn a_column_of_only_nulls_is_no_key_and_may_get_a_type_later() {
        let untyped = RecordBatch::try_from_iter(vec![
            ("id", Arc::new(NullArray::new(2)) as ArrayRef),
            ("name", Arc::new(StringArray::from(vec!["a", "b"]))),
        ])
        .expect("batch");
        let mut index = index();
        assert_eq!(index.observe(&untyped, 0).expect("observed").null_keys, [0, 1]);
        assert_eq!(index.observe(&batch(&[(Some(1), Some("a".into()))]), 2).expect("observed").new_rows, 1);
    }

    #[test]
    fn wrong_columns_are_named() {
        let numbers =
            RecordBatch::try_from_iter(vec![("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).expect("ok");
        let error = index().observe(&numbers, 0).expect_err("no name");
        assert_eq!(error.to_string(), "key column `name` isn't a column of records; there are `id`");
        let mut index = KeyIndex::new(&["id".to_owned()]);
        index.observe(&numbers, 0).expect("numbers");
        let texts =
            RecordBatch::try_from_iter(vec![("id", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]).expect("ok");
        let error = index.observe(&texts, 1).expect_err("another type");
        assert_eq!(error.to_string(), "key column `id` was Int64 and is now Utf8");
    }
}
