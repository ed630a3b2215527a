//! The rows of one key by a value of theirs: the greatest stays.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray as _, BinaryBuilder, RecordBatch, UInt64Builder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};

use super::dedupe::DedupeError;
use super::error::{BoxError, TransformError};
use super::ordinals::Ordinals;
use super::sort::{SORTING, Sorter};

/// Bytes of memory in which rows are sorted; beyond it that goes on from temporary files.
const SORTING_MEMORY: usize = 32 * 1024 * 1024;

/// Bytes that are gathered before they go to the sorter.
const BATCH: usize = 1024 * 1024;

/// The rows as they are sorted: by key, then by value, those of one value in the order in which they were received.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![field("version", DataType::Binary), field("row", DataType::UInt64)]))
});

/// The rows of each key, with their values, until it is known which of them land. They wait in bounded memory, and on disk.
#[derive(Debug, Default)]
pub(super) struct Versions {
    converter: Option<(RowConverter, DataType)>,
    /// A row's version: the length of its key (4 bytes, the most significant first), the key, and the value.
    version: Vec<u8>,
    versions: BinaryBuilder,
    rows: UInt64Builder,
    /// Bytes of all versions, with the numbers of their rows.
    bytes: u64,
    sorter: Option<Sorter>,
}

/// The values of a batch's rows, ready to be compared.
pub(super) struct Values {
    rows: Option<Rows>,
    array: ArrayRef,
}

impl Values {
    /// Returns the value of a row: greater values have greater bytes, and null, the smallest, has none.
    pub(super) fn of(&self, row: usize) -> &[u8] {
        match &self.rows {
            Some(rows) if self.array.is_valid(row) => rows.row(row).data(),
            _ => &[],
        }
    }
}

impl Versions {
    /// Reads the values of a batch.
    ///
    /// # Errors
    /// Values that have no order, or that can't be compared with those before.
    pub(super) fn read(&mut self, array: &ArrayRef) -> Result<Values, DedupeError> {
        let kind = array.data_type();
        if kind == &DataType::Null {
            return Ok(Values { rows: None, array: ArrayRef::clone(array) });
        }
        if kind.is_nested() {
            return Err(DedupeError::NoOrder { found: kind.clone() });
        }
        let (converter, before) = match self.converter.take() {
            Some(made) => made,
            None => (RowConverter::new(vec![SortField::new(kind.clone())])?, kind.clone()),
        };
        let (converter, before) = self.converter.insert((converter, before));
        if before != kind {
            return Err(DedupeError::OrderChanged { before: before.clone(), now: kind.clone() });
        }
        let rows = converter.convert_columns(&[ArrayRef::clone(array)])?;
        Ok(Values { rows: Some(rows), array: ArrayRef::clone(array) })
    }

    /// Adds a row of a key. Returns the bytes of the two, which no other pair of key and value has.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8], ordinal: u64) -> Result<&[u8], DedupeError> {
        if self.versions.values_slice().len() >= BATCH {
            self.end_batch()?;
        }
        self.version.clear();
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.version.extend_from_slice(&length.to_be_bytes());
        self.version.extend_from_slice(key);
        self.version.extend_from_slice(value);
        self.versions.append_value(&self.version);
        self.rows.append_value(ordinal);
        self.bytes += (self.version.len() + size_of::<u64>()) as u64;
        Ok(&self.version)
    }

    /// Hands the gathered rows to the sorter.
    pub(super) fn end_batch(&mut self) -> Result<(), DedupeError> {
        let columns: Vec<ArrayRef> = vec![Arc::new(self.versions.finish()), Arc::new(self.rows.finish())];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?;
        let sorter = match self.sorter.take() {
            Some(sorter) => sorter,
            None => Sorter::new(&SCHEMA, &[("version", false)], SORTING_MEMORY).map_err(sort_error)?,
        };
        self.sorter.insert(sorter).push(&batch).map_err(|error| sort_error(error.into()))
    }

    /// Returns how many bytes of memory it takes to find the outdated ones, about.
    pub(super) fn sorting(&self) -> u64 {
        self.bytes.min(SORTING_MEMORY as u64) * SORTING
    }

    /// Returns the rows that another of the same key outdates: one with a greater value, or a later one with the same. Only
    /// rows that land compete.
    pub(super) fn outdated(self, lands: impl Fn(u64) -> bool) -> Result<Ordinals, DedupeError> {
        let mut outdated = Ordinals::default();
        let Some(sorter) = self.sorter else { return Ok(outdated) };
        // The key of the rows that are looked at, its length before it, and the greatest of those so far that land.
        let (mut key, mut greatest): (Vec<u8>, u64) = (Vec::new(), 0);
        let read = sorter.finish(|batch| {
            let versions = batch.column(0).as_binary::<i32>().iter().flatten();
            let rows = batch.column(1).as_primitive::<UInt64Type>().values().iter().copied();
            for (version, row) in versions.zip(rows).filter(|(_, row)| lands(*row)) {
                let of = key_of(version);
                if of == key {
                    outdated.insert(greatest);
                } else {
                    key.clear();
                    key.extend_from_slice(of);
                }
                greatest = row;
            }
            Ok::<_, BoxError>(())
        });
        read.map_err(sort_error)?;
        Ok(outdated)
    }
}

/// Returns the key of a version, its length before it.
fn key_of(version: &[u8]) -> &[u8] {
    let length = version.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    version.get(..length + 4).unwrap_or(version)
}

fn sort_error(source: TransformError) -> DedupeError {
    DedupeError::Sort(Box::new(source))
}
