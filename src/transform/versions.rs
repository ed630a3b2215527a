//! The rows of one key by a value of theirs: the greatest stays.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use super::dedupe::DedupeError;

/// A row of some key.
#[derive(Debug)]
struct Version {
    /// By its bytes; null, which is none, is the smallest.
    value: Option<Box<[u8]>>,
    ordinal: u64,
}

/// The rows of each key, by their values, those of one value as they were received. Its memory grows with the rows.
#[derive(Debug, Default)]
pub(super) struct Versions {
    converter: Option<(RowConverter, DataType)>,
    groups: Vec<Vec<Version>>,
}

/// The values of a batch's rows, ready to be compared.
pub(super) struct Values {
    rows: Option<arrow::row::Rows>,
    array: ArrayRef,
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

    /// Begins a key, and returns its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.groups.push(Vec::new());
        self.groups.len() as u64 - 1
    }

    /// Adds a row of a batch to a key, whose rows before it have lower ordinals. Tells whether the value is new to the key.
    pub(super) fn add(&mut self, group: u64, values: &Values, row: usize, ordinal: u64) -> bool {
        let value = values.rows.as_ref().filter(|_| !values.array.is_null(row)).map(|rows| rows.row(row).data().into());
        let Some(group) = usize::try_from(group).ok().and_then(|group| self.groups.get_mut(group)) else {
            return false;
        };
        let at = group.partition_point(|version| version.value <= value);
        let is_new = at.checked_sub(1).and_then(|before| group.get(before)).is_none_or(|before| before.value != value);
        group.insert(at, Version { value, ordinal });
        is_new
    }

    /// Returns the rows that another of the same key outdates: one with a greater value, or a later one with the same. Only
    /// rows that land compete.
    pub(super) fn outdated(&self, lands: impl Fn(u64) -> bool) -> BTreeSet<u64> {
        let mut outdated = BTreeSet::new();
        for group in &self.groups {
            let mut landing = group.iter().rev().map(|version| version.ordinal).filter(|ordinal| lands(*ordinal));
            let _stays = landing.next();
            outdated.extend(landing);
        }
        outdated
    }
}
