//! What doesn't belong to the slice, though it came: by the time of each row, or by the cursor.

use arrow::array::Array as _;
use chrono::DateTime;
use serde_json::Value;

use super::Collector;
use super::came::Came;
use super::rows::Rows;
use crate::model::CursorValue;
use crate::run::RunError;
use crate::run::cursor;
use crate::run::increment::{Fate, PageCursors};
use crate::transform::FailedRows;

impl Collector {
    /// Leaves out the rows whose time is outside of the window.
    pub(super) fn cut_by_time(&mut self, rows: &Rows, first: u64, came: &Came<'_>) -> Result<(), RunError> {
        let (count, mut outside, mut example) = (rows.count(), 0, None);
        for (before, batch) in rows.numbered().filter(|_| count > 0) {
            let Some(time) = &mut self.time else { return Ok(()) };
            let window = time.window;
            let times = time.row.compiled(&batch.schema(), self.now)?.timestamps_apart(batch);
            let (times, failed) = times.map_err(|source| time.row.failed(source))?;
            let failed = time.row.faults(failed);
            for (at, instant) in times.iter().enumerate().filter_map(|(at, instant)| Some((at, instant?))) {
                let instant = DateTime::from_timestamp_micros(instant).unwrap_or_default();
                if !window.contains(instant) {
                    self.outside.insert(first + (before + at) as u64);
                }
                if time.is_far(instant) {
                    outside += 1;
                    example = example.or(Some(instant));
                }
                time.note(batch, at, instant);
            }
            let null = time.row.null();
            for at in (0..batch.num_rows()).filter(|at| times.is_null(*at)) {
                self.reject(first, before + at, failed.get(&at).unwrap_or(&null), came)?;
            }
        }
        match (example, &self.time) {
            (Some(example), Some(time)) if outside * 2 > count && !time.reaching => {
                let (request, window) = (came.request.to_owned(), time.asked);
                Err(RunError::WindowIgnored { request, outside, rows: count, time: example, window })
            }
            _ => Ok(()),
        }
    }

    /// Leaves out the rows that the increment has had or comes to later; tells whether it is full.
    pub(super) fn cut_by_cursor(&mut self, rows: &Rows, first: u64, came: &Came<'_>) -> Result<bool, RunError> {
        let Some((row, increment)) = &mut self.cursor else { return Ok(false) };
        let (mut cursors, mut failed, mut kind) = (Vec::new(), FailedRows::new(), None);
        for (before, batch) in rows.numbered().filter(|(_, batch)| batch.num_rows() > 0) {
            let compiled = row.compiled(&batch.schema(), self.now)?;
            let of = cursor::kind(compiled.data_type())?;
            let found = cursor::cursors(of, compiled, batch);
            let (found, none) = found.map_err(|source| row.failed(source))?;
            kind = Some(of);
            cursors.extend(found);
            failed.extend(none.into_iter().map(|(at, why)| (before + at, why)));
        }
        let fates = if let Some(kind) = kind {
            let page = PageCursors { kind, cursors: &cursors, failed: &failed, undecoded: &came.stood };
            increment.take(&page, first, came.request)?
        } else {
            increment.take_bad(came.stood.len());
            Vec::new()
        };
        let (full, null, failed) = (increment.is_full(), row.null(), row.faults(failed));
        for (at, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Bad => {
                    self.reject(first, at, failed.get(&at).unwrap_or(&null), came)?;
                }
                Fate::Outside => {
                    self.outside.insert(first + at as u64);
                }
                Fate::Inside => {}
            }
        }
        Ok(full)
    }

    /// Checks the value that the next page, and one day the next slice, is asked for by: it must be the cursor of the last row.
    pub(in crate::run) fn check_seek(&self, value: &Value, request: &str) -> Result<(), RunError> {
        let Some((kind, cursor)) = self.cursor.as_ref().and_then(|(_, increment)| increment.sought()) else {
            return Ok(());
        };
        let value = CursorValue(value.clone());
        match kind.read(&value) {
            Some(sought) if sought != cursor => {
                let (value, cursor) = (value.text(), kind.value(cursor).text());
                Err(RunError::SeekNotCursor { request: request.to_owned(), value, cursor })
            }
            // A time in the server's own format can't be compared.
            _ => Ok(()),
        }
    }
}
