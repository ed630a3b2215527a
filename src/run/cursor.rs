//! The cursors of an incremental slice: which rows lie in `(start, end]`, and where the slice ends.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use chrono::{DateTime, SecondsFormat, Utc};

use super::RunError;
use crate::model::CursorValue;
use crate::transform::{FailedRows, RowExpr, TransformError};

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

/// Returns how cursors of a type are written.
///
/// # Errors
/// A type that is neither an integer nor a timestamp.
pub(super) fn kind(of: &DataType) -> Result<CursorKind, RunError> {
    match of {
        integer if integer.is_integer() => Ok(CursorKind::Integer),
        DataType::Timestamp(_, _) => Ok(CursorKind::Instant),
        other => Err(RunError::CursorType { found: other.to_string() }),
    }
}

/// Works the cursors of a batch's rows out: none where one is null, or the expression fails; and the rows that it fails on.
///
/// # Errors
/// What keeps the expression from being worked out at all.
pub(super) fn cursors(
    kind: CursorKind,
    row: &RowExpr,
    batch: &RecordBatch,
) -> Result<(Vec<Option<Cursor>>, FailedRows), TransformError> {
    if kind == CursorKind::Instant {
        let (times, failed) = row.timestamps_apart(batch)?;
        return Ok((all(times.iter()), failed));
    }
    let (values, failed) = row.evaluate_apart(batch)?;
    if let Some(values) = values.as_primitive_opt::<UInt64Type>() {
        return Ok((all(values.iter()), failed));
    }
    let values = arrow::compute::cast(&values, &DataType::Int64);
    let values = values.map_err(|error| TransformError::Input(error.into()))?;
    Ok((all(values.as_primitive::<Int64Type>().iter()), failed))
}

fn all<T: Into<i128>>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<Cursor>> {
    values.map(|value| value.map(|value| Cursor(value.into()))).collect()
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

    use arrow::array::{Array, ArrayRef, Int64Array, StringArray, TimestampSecondArray, UInt8Array, UInt64Array};
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

    /// Works `sql` out over one column, `c`.
    fn read(sql: &str, column: impl Array + 'static) -> (CursorKind, Vec<Option<i128>>, Vec<(usize, String)>) {
        let batch = RecordBatch::try_from_iter([("c", Arc::new(column) as ArrayRef)]).unwrap();
        let row = RowExpr::new(sql, &batch.schema(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
        let kind = kind(row.data_type()).unwrap();
        let (cursors, failed) = cursors(kind, &row, &batch).unwrap();
        (kind, cursors.into_iter().map(|cursor| cursor.map(|cursor| cursor.0)).collect(), failed.into_iter().collect())
    }

    #[test]
    fn cursors_of_any_width_are_read_and_survive_the_ledger() {
        let (kind, cursors, _) = read("c", Int64Array::from(vec![Some(i64::MAX), None]));
        let kept = kind.value(Cursor(cursors[0].unwrap()));
        assert_eq!((&kept.0, cursors[1]), (&json!(i64::MAX), None));
        assert_eq!(kind.read(&kept), cursors[0].map(Cursor));
        assert_eq!(read("c", UInt64Array::from(vec![u64::MAX])).1, [Some(i128::from(u64::MAX))]);
        assert_eq!(read("c", UInt8Array::from(vec![255])).1, [Some(255)]);
        let instant = CursorKind::Instant.value(Cursor(1_767_225_600_123_456));
        assert_eq!(instant.text(), "2026-01-01T00:00:00.123456Z");
        assert_eq!(CursorKind::Instant.read(&instant), Some(Cursor(1_767_225_600_123_456)));
    }

    #[test]
    fn a_row_whose_cursor_cannot_be_read_takes_none_of_the_others_with_it() {
        let texts = || StringArray::from(vec![Some("1"), None, Some("x"), Some("4")]);
        let (_, cursors, failed) = read("CAST(c AS BIGINT)", texts());
        assert_eq!(cursors, [Some(1), None, None, Some(4)]);
        assert!(failed.len() == 1 && failed[0].0 == 2 && failed[0].1.contains("'x'"), "{failed:?}");
        // Microseconds reach to the year 294246. What lies beyond is no null.
        let (kind, cursors, failed) = read("c", TimestampSecondArray::from(vec![i64::MAX, 7]));
        assert_eq!((kind, cursors), (CursorKind::Instant, vec![None, Some(7_000_000)]));
        assert_eq!(failed.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0], "{failed:?}");
    }

    #[test]
    fn a_text_is_no_cursor() {
        assert!(matches!(kind(&DataType::Utf8), Err(RunError::CursorType { .. })));
    }
}
