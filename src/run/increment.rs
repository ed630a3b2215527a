//! The rows of an incremental slice, by their cursors: which belong to it, which are left to the next one, and where it ends.

use chrono::{DateTime, Utc};

use super::cursor::{Cursor, CursorKind, Seen};
use super::{RunError, window};
use crate::extract::paginate::Edit;
use crate::model::CursorValue;
use crate::pipeline::spec::{IncrementalSpec, SentCursor};
use crate::plan::delta;

/// The rows of one incremental slice.
#[derive(Debug)]
pub(super) struct Increment {
    start: CursorValue,
    last: Option<CursorValue>,
    /// Rows of a later time are left to the next slice.
    youngest: DateTime<Utc>,
    rows_per_slice: u64,
    sent: Option<SentCursor>,
    kind: Option<CursorKind>,
    seen: Seen,
    /// The cursor of the last row that has one.
    previous: Option<Cursor>,
    /// The cursors of the rows within the slice, by ordinal: those after its end are left to the next slice.
    rows: Vec<(Cursor, u64)>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has no cursor.
    Null,
    /// An earlier slice has it, or a later one will.
    Outside,
    /// It belongs to the slice, unless that ends before it.
    Inside,
}

/// Returns the edit that puts the cursor which a slice begins at into the request; none where `seek` sends it.
pub(super) fn edit(spec: &IncrementalSpec, start: &CursorValue) -> Option<Edit> {
    let sent = spec.sent.as_ref()?;
    let instant = CursorKind::Instant.read(start).and_then(|cursor| CursorKind::Instant.instant(cursor));
    let value = instant.map_or_else(|| start.0.clone(), |instant| window::print(&sent.format, instant));
    Some(Edit { place: sent.place.clone(), value })
}

/// The edges of a slice, once it is known how its cursors are written.
struct Edges {
    start: Cursor,
    last: Option<Cursor>,
    /// What the request asks for comes after this.
    asked: Cursor,
}

impl Increment {
    /// Begins the slice `(start, last]` of a run at `now`; `last` is known where the slice is read again.
    pub(super) fn new(
        spec: &IncrementalSpec,
        start: &CursorValue,
        last: Option<&CursorValue>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            start: start.clone(),
            last: last.cloned(),
            youngest: now.checked_sub_signed(delta(spec.lag)).unwrap_or(DateTime::<Utc>::MIN_UTC),
            rows_per_slice: spec.rows_per_slice,
            sent: spec.sent.clone(),
            kind: None,
            seen: Seen::default(),
            previous: None,
            rows: Vec::new(),
        }
    }

    /// Takes the cursors of a page's rows, numbered from `first` on; `request` names the page in errors.
    ///
    /// # Errors
    /// Rows out of order, where the server is to sort them; a start that can't be compared; rows that weren't asked for.
    pub(super) fn take(
        &mut self,
        kind: CursorKind,
        cursors: &[Option<Cursor>],
        first: u64,
        request: &str,
    ) -> Result<Vec<Fate>, RunError> {
        self.kind = Some(kind);
        let edges = self.edges(kind)?;
        let early = cursors.iter().flatten().filter(|cursor| **cursor < edges.asked).count();
        if self.sent.is_some() && early * 2 > cursors.len() {
            let (start, rows) = (self.start.text(), cursors.len() as u64);
            return Err(RunError::CursorIgnored { request: request.to_owned(), early: early as u64, rows, start });
        }
        let fates = (first..).zip(cursors).map(|(ordinal, cursor)| match cursor {
            None => Ok(Fate::Null),
            Some(cursor) => {
                self.in_order(kind, *cursor, request)?;
                Ok(self.fate(kind, &edges, *cursor, ordinal))
            }
        });
        fates.collect()
    }

    fn edges(&self, kind: CursorKind) -> Result<Edges, RunError> {
        let edge = |value: &CursorValue| kind.read(value).ok_or_else(|| RunError::CursorStart { start: value.text() });
        let start = edge(&self.start)?;
        let asked = match (kind, &self.sent) {
            // Printed, it may be one unit earlier.
            (CursorKind::Instant, Some(sent)) => {
                kind.instant(start).map_or(start, |at| Cursor::at(at - window::unit(&sent.format)))
            }
            _ => start,
        };
        Ok(Edges { start, last: self.last.as_ref().map(edge).transpose()?, asked })
    }

    fn in_order(&mut self, kind: CursorKind, cursor: Cursor, request: &str) -> Result<(), RunError> {
        let sorted = self.sent.as_ref().is_none_or(|sent| sent.sorted);
        if let Some(previous) = self.previous.filter(|previous| sorted && cursor < *previous) {
            let (found, previous) = (kind.value(cursor).text(), kind.value(previous).text());
            return Err(RunError::Unsorted { request: request.to_owned(), found, previous });
        }
        self.previous = Some(cursor);
        Ok(())
    }

    fn fate(&mut self, kind: CursorKind, edges: &Edges, cursor: Cursor, ordinal: u64) -> Fate {
        let young = kind == CursorKind::Instant && cursor > Cursor::at(self.youngest);
        if cursor <= edges.start || edges.last.is_some_and(|last| cursor > last) || young {
            return Fate::Outside;
        }
        self.seen.note(cursor);
        self.rows.push((cursor, ordinal));
        Fate::Inside
    }

    /// Tells whether the slice has the rows that it was meant to have, and can end.
    pub(super) fn is_full(&self) -> bool {
        let sorted = self.sent.as_ref().is_none_or(|sent| sent.sorted);
        let enough = self.rows.len() as u64 >= self.rows_per_slice;
        sorted && self.last.is_none() && enough && self.seen.can_end()
    }

    /// Returns where the slice ends, none where it has no rows, and the rows after that. One that was cut short ends before the
    /// last group of equal cursors.
    pub(super) fn end(&self, cut_short: bool) -> Option<(CursorValue, Vec<u64>)> {
        let (kind, end) = self.kind.zip(self.seen.end(cut_short))?;
        let after = self.rows.iter().filter(|(cursor, _)| *cursor > end).map(|(_, ordinal)| *ordinal).collect();
        Some((kind.value(end), after))
    }

    /// Returns the cursor of the last row that has one, and how it is written, where pages are asked for by the cursor too.
    pub(super) fn sought(&self) -> Option<(CursorKind, Cursor)> {
        self.kind.zip(self.previous).filter(|_| self.sent.is_none())
    }
}
