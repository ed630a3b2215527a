//! The cursors of an incremental slice: which rows lie in `(start, end]`, and where the slice ends.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use chrono::{DateTime, SecondsFormat, Utc};

use super::RunError;
use crate::model::CursorValue;

/// A cursor that can be compared: an integer, or an instant in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor(i128);

/// How the cursors of a job are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CursorKind {
    /// As a number.
    Integer,
    /// As RFC 3339 text.
    Instant,
}

impl Cursor {
    /// Returns the cursor of an instant.
    pub(super) fn at(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_micros().into())
    }
}

impl CursorKind {
    /// Returns the instant of a cursor that is one.
    pub(super) fn instant(self, cursor: Cursor) -> Option<DateTime<Utc>> {
        let micros = i64::try_from(cursor.0).ok().filter(|_| self == Self::Instant)?;
        DateTime::from_timestamp_micros(micros)
    }

    /// Returns the cursor as the ledger keeps it.
    pub(super) fn value(self, cursor: Cursor) -> CursorValue {
        CursorValue(match self {
            Self::Integer => i64::try_from(cursor.0).map_or_else(
                |_| u64::try_from(cursor.0).map_or(serde_json::Value::Null, serde_json::Value::from),
                serde_json::Value::from,
            ),
            Self::Instant => self
                .instant(cursor)
                .map_or(serde_json::Value::Null, |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()),
        })
    }

    /// Reads a cursor of the ledger or the pipeline file.
    pub(super) fn read(self, value: &CursorValue) -> Option<Cursor> {
        let text = value.text();
        match self {
            Self::Integer => text.parse().ok().map(Cursor),
            Self::Instant => DateTime::parse_from_rfc3339(&text).ok().map(|at| Cursor(at.timestamp_micros().into())),
        }
    }
}

/// Returns the cursors of a batch's rows, none where it is null, and how they are written.
///
/// # Errors
/// A type that is neither an integer nor a timestamp.
pub(super) fn cursors(array: &ArrayRef) -> Result<(CursorKind, Vec<Option<Cursor>>), RunError> {
    let refuse = |found: &DataType| RunError::CursorType { found: found.to_string() };
    let cast = |to: &DataType| arrow::compute::cast(array, to).map_err(|_| refuse(array.data_type()));
    match array.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            let array = cast(&DataType::Int64)?;
            let values = array.as_primitive::<Int64Type>().iter();
            Ok((CursorKind::Integer, values.map(|value| value.map(|value| Cursor(value.into()))).collect()))
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter();
            Ok((CursorKind::Integer, values.map(|value| value.map(|value| Cursor(value.into()))).collect()))
        }
        DataType::Timestamp(_, _) => {
            let array = cast(&DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let values = array.as_primitive::<TimestampMicrosecondType>().iter();
            Ok((CursorKind::Instant, values.map(|value| value.map(|value| Cursor(value.into()))).collect()))
        }
        other => Err(refuse(other)),
    }
}

/// What a slice has seen of its cursors.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The two greatest cursors, the greatest first.
    greatest: (Option<Cursor>, Option<Cursor>),
}

impl Seen {
    /// Takes note of a row's cursor.
    pub(super) fn note(&mut self, cursor: Cursor) {
        let (first, second) = self.greatest;
        if first.is_none_or(|first| cursor > first) {
            self.greatest = (Some(cursor), first);
        } else if first != Some(cursor) && second.is_none_or(|second| cursor > second) {
            self.greatest.1 = Some(cursor);
        }
    }

    /// Tells whether the slice could end here: the group of the greatest cursor may still grow, so there must be one before it.
    pub(super) const fn can_end(&self) -> bool {
        self.greatest.1.is_some()
    }

    /// Returns the last cursor of a slice. One that was cut short ends before the last group of equal cursors, which may be
    /// incomplete.
    pub(super) const fn end(&self, cut_short: bool) -> Option<Cursor> {
        if cut_short { self.greatest.1 } else { self.greatest.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_that_is_cut_short_ends_before_its_last_group() {
        let mut seen = Seen::default();
        assert_eq!(seen.end(false), None);
        for value in [1, 2, 2] {
            seen.note(Cursor(value));
        }
        assert_eq!((seen.end(true), seen.end(false)), (Some(Cursor(1)), Some(Cursor(2))));
        let mut one_group = Seen::default();
        one_group.note(Cursor(7));
        one_group.note(Cursor(7));
        assert!(!one_group.can_end());
        one_group.note(Cursor(3));
        assert!(one_group.can_end());
    }

    #[test]
    fn cursors_survive_the_ledger() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), None]));
        let (kind, cursors) = cursors(&array).unwrap();
        let kept = kind.value(cursors[0].unwrap());
        assert_eq!(kept.0, json!(i64::MAX));
        assert_eq!(kind.read(&kept), cursors[0]);
        assert_eq!(cursors[1], None);
        let instant = CursorKind::Instant.value(Cursor(1_767_225_600_123_456));
        assert_eq!(instant.text(), "2026-01-01T00:00:00.123456Z");
        assert_eq!(CursorKind::Instant.read(&instant), Some(Cursor(1_767_225_600_123_456)));
    }

    #[test]
    fn a_text_is_no_cursor() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(matches!(cursors(&array), Err(RunError::CursorType { .. })));
    }
}
