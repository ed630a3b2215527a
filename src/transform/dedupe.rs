//! Which rows of a slice have the same key: of those, the last received stays.

use std::io;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::error::{TransformError, hint, list, nearest};
use super::expr::FailedRows;
use super::keys::Keys;
use super::ordinals::Ordinals;
use super::versions::Versions;

/// How much memory the keys of a slice take at most, unless told otherwise.
pub const DEFAULT_MEMORY_LIMIT: usize = 64 * 1024 * 1024;

/// Says what a column that isn't there may be: a misspelt one, or a field within another, which a key can't name.
fn missing(column: &str, present: &[String]) -> String {
    match column.split_once('.') {
        Some((outer, inner)) if present.iter().any(|name| name == outer) => format!(
            ": a key is a column by itself, and `{inner}` lies within `{outer}`; let `records` take it out, as in `.items[] | . + \
             {{{outer}_{}: .{column}}}`, and name that",
            inner.replace('.', "_")
        ),
        _ => hint(nearest(column, present).as_deref(), false),
    }
}

/// A batch whose keys can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DedupeError {
    /// A column of the key isn't there.
    #[error("key column `{column}` isn't a column of records{}; there are {}", missing(column, present), list(present))]
    MissingColumn {
        /// The column of `key`.
        column: String,
        /// The columns that there are.
        present: Vec<String>,
    },
    /// A column of the key has another type than in the batches before, so equal keys can't be told.
    #[error(
        "key column `{column}` was {before} and is now {now}, so equal keys can't be told; give it a type in `schema.columns` that \
         holds both, such as `{column}: string`"
    )]
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
    /// The values of `latest_by` are JSON texts, whose order isn't that of what they say: `10` stands before `9`.
    #[error(
        "`latest_by` is the column `{column}`, which is json, so its values have no order: give it a type in `schema.columns`, or \
         write an expression in `latest_by` that makes a number or a time of it, such as `TRY_CAST({column} AS DOUBLE)`"
    )]
    Json {
        /// The column, with a dot before each field.
        column: String,
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
    /// The temporary file with the keys that don't fit into memory fails: a full disk, most often.
    #[error("can't keep keys in a temporary file in {directory}")]
    File {
        /// Where the file is.
        directory: String,
        /// Why it fails.
        #[source]
        source: io::Error,
    },
    /// The rows can't be sorted by `latest_by`.
    #[error("can't sort the rows by `latest_by`")]
    Sort(#[source] Box<TransformError>),
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

/// The keys of a slice, exactly: no two different keys are ever taken for one. What doesn't fit into its memory lies in temporary files.
#[derive(Debug)]
pub struct KeyIndex {
    columns: Vec<String>,
    converter: Option<(RowConverter, Vec<DataType>)>,
    /// The last row of each key; where values decide, of each pair of key and value.
    last: Keys,
    distinct: u64,
    versions: Versions,
}

impl KeyIndex {
    /// Makes an index over the columns of `key`, with at most `memory_limit` bytes of keys in memory; below 2 MiB the buffers for its
    /// files are the larger part.
    #[must_use]
    pub fn new(columns: &[String], memory_limit: usize) -> Self {
        Self {
            columns: columns.to_vec(),
            converter: None,
            last: Keys::new(memory_limit),
            distinct: 0,
            versions: Versions::default(),
        }
    }

    /// Returns how many different keys have been seen; where values decide, how many different pairs of key and value: a server
    /// that keeps versions counts each of them as a row.
    pub const fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Takes in the rows of `batch`, numbered from `first_ordinal` on, in the order in which they were received.
    pub fn observe(&mut self, batch: &RecordBatch, first_ordinal: u64) -> Result<Observed, DedupeError> {
        self.each(batch, |index, row, key, observed| {
            let ordinal = first_ordinal + row as u64;
            match index.last.replace(key, ordinal).map_err(file_error)? {
                Some(earlier) => observed.superseded.push((earlier, ordinal)),
                None => observed.new_rows += 1,
            }
            Ok(())
        })
    }

    /// Returns the first column of the key that is null in a row of `batch`.
    pub fn null_column(&self, batch: &RecordBatch, row: usize) -> Option<&str> {
        let is_null = |name: &&String| {
            let column = batch.column_by_name(name);
            column.is_some_and(|column| column.data_type() == &DataType::Null || column.is_null(row))
        };
        self.columns.iter().find(is_null).map(String::as_str)
    }

    /// As [`KeyIndex::observe`], where not the last row of a key stays but the one with the greatest of `values`: which rows
    /// that leaves out is known in the end, see [`KeyIndex::outdated`]. Use one of the two for all batches. Rows that have `failed`
    /// to give a value don't compete, and are in no count.
    pub fn observe_versions(
        &mut self,
        batch: &RecordBatch,
        first_ordinal: u64,
        values: &ArrayRef,
        failed: &FailedRows,
    ) -> Result<Observed, DedupeError> {
        let values = self.versions.read(values)?;
        let observed = self.each(batch, |index, row, key, observed| {
            if failed.contains_key(&row) {
                return Ok(());
            }
            let ordinal = first_ordinal + row as u64;
            let version = index.versions.add(key, values.of(row), ordinal)?;
            let is_new = index.last.replace(version, ordinal).map_err(file_error)?.is_none();
            observed.new_rows += u64::from(is_new);
            Ok(())
        })?;
        self.versions.end_batch()?;
        Ok(observed)
    }

    /// Returns how many bytes of memory the keys take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.last.allocated_bytes() as u64
    }

    /// Returns how many bytes of memory [`KeyIndex::outdated`] takes, about.
    #[must_use]
    pub fn sorting(&self) -> u64 {
        self.versions.sorting()
    }

    /// Returns the rows that [`KeyIndex::observe_versions`] saw and of whose key another stays: one with a greater value, or a
    /// later one with the same; null is the smallest. Only rows that `lands` lets compete. Blocks: not for an async thread.
    pub fn outdated(self, lands: impl Fn(u64) -> bool) -> Result<Ordinals, DedupeError> {
        self.versions.outdated(lands)
    }

    fn each(
        &mut self,
        batch: &RecordBatch,
        mut take: impl FnMut(&mut Self, usize, &[u8], &mut Observed) -> Result<(), DedupeError>,
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
                take(self, row, key.data(), &mut observed)?;
            }
        }
        self.distinct += observed.new_rows;
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

fn file_error(source: io::Error) -> DedupeError {
    DedupeError::File { directory: std::env::temp_dir().display().to_string(), source }
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
}

#[cfg(test)]
#[path = "dedupe_tests.rs"]
mod tests;
