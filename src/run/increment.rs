//! The rows of an incremental slice, by their cursors: which belong to it, which are left to the next one, and where it ends.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::cursor::{Cursor, CursorKind, Seen};
use super::{RunError, window};
use crate::extract::paginate::Edit;
use crate::model::CursorValue;
use crate::pipeline::spec::{IncrementalSpec, InstantFormat, SentCursor};
use crate::plan::delta;
use crate::transform::FailedRows;

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
    /// How many rows lie within the slice.
    rows: u64,
    /// How many came with the very cursor that it begins after.
    at_start: u64,
    /// Those of them with the greatest cursor, by ordinal: a slice that is cut short leaves them to the next one.
    greatest: Vec<Range<u64>>,
    /// Rows that couldn't be decoded.
    undecoded: Between,
    /// Rows whose cursor can't be read, and their ordinals.
    failed: (Between, Vec<u64>),
}

/// The cursors of a page's rows.
#[derive(Debug)]
pub(super) struct PageCursors<'p> {
    /// How they are written.
    pub(super) kind: CursorKind,
    /// One for each row that could be decoded: none where it is null, or can't be read.
    pub(super) cursors: &'p [Option<Cursor>],
    /// Those of them that can't be read.
    pub(super) failed: &'p FailedRows,
    /// Before which of them each row stood that couldn't be decoded.
    pub(super) undecoded: &'p [usize],
}

/// Where rows stand whose cursors aren't known, by those of the rows right before and after them.
#[derive(Debug, Default)]
struct Between {
    edges: Vec<(Option<Cursor>, Option<Cursor>)>,
    /// How many of them have one after them.
    followed: usize,
}

impl Between {
    /// Takes rows that follow one with the cursor `before`.
    fn push(&mut self, before: Option<Cursor>, count: usize) {
        self.edges.extend(std::iter::repeat_n((before, None), count));
    }

    /// Takes note of the cursor of the row that comes next.
    fn follow(&mut self, cursor: Cursor) {
        self.edges.iter_mut().skip(self.followed).for_each(|(_, after)| *after = Some(cursor));
        self.followed = self.edges.len();
    }
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has no cursor, or none that can be read.
    Bad,
    /// An earlier slice has it, or a later one will.
    Outside,
    /// It belongs to the slice, unless that ends before it.
    Inside,
}

/// Returns the edit that puts the cursor which a slice begins at into the request; none where `seek` or a template sends it.
pub(super) fn edit(spec: &IncrementalSpec, start: &CursorValue) -> Option<Edit> {
    let sent = spec.sent.as_ref()?;
    Some(Edit { place: sent.place.clone()?, value: printed(&sent.format, start) })
}

/// Returns what templates see of a slice as `increment`.
pub(super) fn variable(spec: &IncrementalSpec, start: &CursorValue) -> Value {
    let format = spec.sent.as_ref().map_or(&InstantFormat::Rfc3339, |sent| &sent.format);
    json!({"from": printed(format, start)})
}

fn printed(format: &InstantFormat, start: &CursorValue) -> Value {
    let instant = CursorKind::Instant.read(start).and_then(|cursor| CursorKind::Instant.instant(cursor));
    instant.map_or_else(|| start.0.clone(), |instant| window::print(format, instant))
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
            rows: 0,
            at_start: 0,
            greatest: Vec::new(),
            undecoded: Between::default(),
            failed: <(Between, Vec<u64>)>::default(),
        }
    }

    /// Tells whether `rows` more could be enough for the slice.
    pub(super) fn fills_with(&self, rows: u64) -> bool {
        self.last.is_none() && self.rows + rows >= self.rows_per_slice
    }

    /// Takes the cursors of a page's rows, numbered from `first` on; `request` names the page in errors.
    ///
    /// # Errors
    /// Rows out of order, where the server is to sort them; a start that can't be compared; rows that weren't asked for.
    pub(super) fn take(&mut self, page: &PageCursors<'_>, first: u64, request: &str) -> Result<Vec<Fate>, RunError> {
        let PageCursors { kind, cursors, failed, undecoded } = *page;
        self.kind = Some(kind);
        let edges = self.edges(kind)?;
        let early = cursors.iter().flatten().filter(|cursor| **cursor < edges.asked).count();
        if self.sent.is_some() && early * 2 > cursors.len() {
            let (start, rows) = (self.start.text(), cursors.len() as u64);
            return Err(RunError::CursorIgnored { request: request.to_owned(), early: early as u64, rows, start });
        }
        let (mut fates, mut undecoded) = (Vec::with_capacity(cursors.len()), undecoded.iter().peekable());
        for (at, cursor) in cursors.iter().enumerate() {
            while undecoded.next_if(|stood| **stood <= at).is_some() {
                self.undecoded.push(self.previous, 1);
            }
            fates.push(if let Some(cursor) = cursor {
                self.in_order(kind, *cursor, request)?;
                self.undecoded.follow(*cursor);
                self.failed.0.follow(*cursor);
                self.fate(kind, &edges, *cursor, first + at as u64)
            } else {
                // Not one that is null: servers sort those before all others, or after them, so its neighbours say nothing of it.
                if failed.contains_key(&at) {
                    self.failed.0.push(self.previous, 1);
                    self.failed.1.push(first + at as u64);
                }
                Fate::Bad
            });
        }
        self.undecoded.push(self.previous, undecoded.count());
        Ok(fates)
    }

    /// Notes rows of a page that couldn't be decoded, where none of it could.
    pub(super) fn take_bad(&mut self, count: usize) {
        self.undecoded.push(self.previous, count);
    }

    /// Tells whether a row that couldn't be decoded, by its number, belongs to another slice. `end` is the last cursor of this one.
    pub(super) fn is_elsewhere(&self, undecoded: usize, end: Option<&CursorValue>) -> bool {
        self.undecoded.edges.get(undecoded).is_some_and(|edges| self.lies_elsewhere(*edges, end))
    }

    /// Returns the rows, by ordinal, whose cursor can't be read and that belong to other slices; `end` is as above.
    pub(super) fn failed_elsewhere(&self, end: Option<&CursorValue>) -> impl Iterator<Item = u64> {
        let (between, rows) = &self.failed;
        let rows = between.edges.iter().zip(rows);
        rows.filter(move |(edges, _)| self.lies_elsewhere(**edges, end)).map(|(_, row)| *row)
    }

    /// Tells whether the rows around one belong to another slice, and the server sorts: then so does that.
    fn lies_elsewhere(&self, (before, after): (Option<Cursor>, Option<Cursor>), end: Option<&CursorValue>) -> bool {
        let Some(kind) = self.kind.filter(|_| self.is_sorted()) else { return false };
        let is_landed = after.is_some() && after <= kind.read(&self.start);
        let end = end.and_then(|end| kind.read(end));
        is_landed || (end.is_some() && before > end)
    }

    fn is_sorted(&self) -> bool {
        self.sent.as_ref().is_none_or(|sent| sent.sorted)
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
        let sorted = self.is_sorted();
        if let Some(previous) = self.previous.filter(|previous| sorted && cursor < *previous) {
            let (found, previous) = (kind.value(cursor).text(), kind.value(previous).text());
            return Err(RunError::Unsorted { request: request.to_owned(), found, previous });
        }
        self.previous = Some(cursor);
        Ok(())
    }

    fn fate(&mut self, kind: CursorKind, edges: &Edges, cursor: Cursor, ordinal: u64) -> Fate {
        self.at_start += u64::from(cursor == edges.start);
        let young = kind == CursorKind::Instant && cursor > Cursor::at(self.youngest);
        if cursor <= edges.start || edges.last.is_some_and(|last| cursor > last) || young {
            return Fate::Outside;
        }
        self.rows += 1;
        if self.seen.end(false).is_none_or(|greatest| cursor > greatest) {
            self.greatest.clear();
        }
        self.seen.note(cursor);
        if self.seen.end(false) == Some(cursor) {
            match self.greatest.last_mut().filter(|last| last.end == ordinal) {
                Some(last) => last.end += 1,
                None => self.greatest.push(ordinal..ordinal + 1),
            }
        }
        Fate::Inside
    }

    /// Tells whether the slice has the rows that it was meant to have, and can end.
    pub(super) fn is_full(&self) -> bool {
        let enough = self.rows >= self.rows_per_slice;
        self.is_sorted() && self.last.is_none() && enough && self.seen.can_end()
    }

    /// Returns where the slice ends, none where it has no rows, and the rows after that. One that was cut short ends before the
    /// last group of equal cursors.
    pub(super) fn end(&self, cut_short: bool) -> Option<(CursorValue, Vec<Range<u64>>)> {
        let (kind, end) = self.kind.zip(self.seen.end(cut_short))?;
        let after = if cut_short { self.greatest.clone() } else { Vec::new() };
        Some((kind.value(end), after))
    }

    /// Returns how many rows came with the very cursor that the slice begins after.
    pub(super) const fn at_start(&self) -> u64 {
        self.at_start
    }

    /// Returns how many rows have the greatest cursor.
    pub(super) fn at_end(&self) -> u64 {
        self.greatest.iter().map(|rows| rows.end - rows.start).sum()
    }

    /// Returns the cursor of the last row that has one, and how it is written, where pages are asked for by the cursor too.
    pub(super) fn sought(&self) -> Option<(CursorKind, Cursor)> {
        self.kind.zip(self.previous).filter(|_| self.sent.is_none())
    }
}

#[cfg(test)]
#[path = "increment_tests.rs"]
mod tests;
