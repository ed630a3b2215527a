//! The rows of an incremental slice, by their cursors: which belong to it, which are left to the next one, and where it ends.

use std::ops::Range;

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
    /// How many rows lie within the slice.
    rows: u64,
    /// Those of them with the greatest cursor, by ordinal: a slice that is cut short leaves them to the next one.
    greatest: Vec<Range<u64>>,
    /// Rows that couldn't be decoded, by the cursors of those right before and after them.
    bad: Vec<(Option<Cursor>, Option<Cursor>)>,
    /// How many of them have one after them.
    followed: usize,
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
            rows: 0,
            greatest: Vec::new(),
            bad: Vec::new(),
            followed: 0,
        }
    }

    /// Tells whether `rows` more could be enough for the slice.
    pub(super) fn fills_with(&self, rows: u64) -> bool {
        self.last.is_none() && self.rows + rows >= self.rows_per_slice
    }

    /// Takes the cursors of a page's rows, numbered from `first` on; `request` names the page in errors. Rows that couldn't be
    /// decoded aren't among them: `bad` says before which of them each stood.
    ///
    /// # Errors
    /// Rows out of order, where the server is to sort them; a start that can't be compared; rows that weren't asked for.
    pub(super) fn take(
        &mut self,
        kind: CursorKind,
        cursors: &[Option<Cursor>],
        first: u64,
        bad: &[usize],
        request: &str,
    ) -> Result<Vec<Fate>, RunError> {
        self.kind = Some(kind);
        let edges = self.edges(kind)?;
        let early = cursors.iter().flatten().filter(|cursor| **cursor < edges.asked).count();
        if self.sent.is_some() && early * 2 > cursors.len() {
            let (start, rows) = (self.start.text(), cursors.len() as u64);
            return Err(RunError::CursorIgnored { request: request.to_owned(), early: early as u64, rows, start });
        }
        let (mut fates, mut bad) = (Vec::with_capacity(cursors.len()), bad.iter().peekable());
        for (at, cursor) in cursors.iter().enumerate() {
            while bad.next_if(|stood| **stood <= at).is_some() {
                self.bad.push((self.previous, None));
            }
            fates.push(match cursor {
                None => Fate::Null,
                Some(cursor) => {
                    self.in_order(kind, *cursor, request)?;
                    self.bad.iter_mut().skip(self.followed).for_each(|(_, after)| *after = Some(*cursor));
                    self.followed = self.bad.len();
                    self.fate(kind, &edges, *cursor, first + at as u64)
                }
            });
        }
        self.bad.extend(bad.map(|_| (self.previous, None)));
        Ok(fates)
    }

    /// Notes rows of a page that couldn't be decoded, where none of it could.
    pub(super) fn take_bad(&mut self, count: usize) {
        self.bad.extend(std::iter::repeat_n((self.previous, None), count));
    }

    /// Tells whether a row that couldn't be decoded, by its number, belongs to another slice: rows around it do, and the server
    /// sorts. `end` is the last cursor of this one.
    pub(super) fn is_elsewhere(&self, bad: usize, end: Option<&CursorValue>) -> bool {
        let Some((kind, (before, after))) = self.kind.zip(self.bad.get(bad)).filter(|_| self.is_sorted()) else {
            return false;
        };
        let is_landed = after.is_some() && *after <= kind.read(&self.start);
        let end = end.and_then(|end| kind.read(end));
        is_landed || (end.is_some() && *before > end)
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

    /// Returns the cursor of the last row that has one, and how it is written, where pages are asked for by the cursor too.
    pub(super) fn sought(&self) -> Option<(CursorKind, Cursor)> {
        self.kind.zip(self.previous).filter(|_| self.sent.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use chrono::TimeDelta;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::lang::place::Place;
    use crate::pipeline::load::Sql;
    use crate::pipeline::spec::InstantFormat;

    const LAG: i64 = 10;

    /// A server: rows by their time and by when they appear, in seconds.
    #[derive(Debug, Clone)]
    struct Server {
        rows: Vec<(i64, i64)>,
        page: usize,
        /// Whether rows at the very cursor come too.
        inclusive: bool,
        /// What the rows are sorted by, if not by their time.
        shuffle: Option<i64>,
    }

    fn instant(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn spec(rows_per_slice: u64, sorted: bool) -> IncrementalSpec {
        let place = Place::compile("query.since", &[]).expect("a place");
        IncrementalSpec {
            cursor: Sql::new("t"),
            start: json!("1970-01-01T00:00:00Z"),
            rows_per_slice,
            lag: Duration::from_secs(LAG.unsigned_abs()),
            sent: Some(SentCursor { place, format: InstantFormat::EpochSeconds, sorted }),
            newest: None,
            restarts: false,
        }
    }

    impl Server {
        /// The pages that come after a cursor, each row by its number.
        fn pages(&self, after: i64, now: i64) -> Vec<Vec<usize>> {
            let visible =
                |(time, appears): &(i64, i64)| *appears <= now && (*time > after || (self.inclusive && *time == after));
            let mut found: Vec<usize> = (0..self.rows.len()).filter(|row| visible(&self.rows[*row])).collect();
            match self.shuffle {
                None => found.sort_by_key(|row| self.rows[*row].0),
                Some(by) => found.sort_by_key(|row| (self.rows[*row].0 * by) % 7),
            }
            found.chunks(self.page).map(<[usize]>::to_vec).collect()
        }

        /// Reads one slice as a run does: the rows that land, its end, and whether it ended because it was full.
        fn slice(
            &self,
            spec: &IncrementalSpec,
            start: &CursorValue,
            now: i64,
        ) -> (Vec<usize>, Option<CursorValue>, bool) {
            let mut increment = Increment::new(spec, start, None, instant(now));
            let after = edit(spec, start).and_then(|edit| edit.value.as_i64()).expect("epoch seconds");
            let (mut numbers, mut inside, mut full) = (Vec::new(), Vec::new(), false);
            for page in self.pages(after, now) {
                let cursors: Vec<_> = page.iter().map(|row| Some(Cursor::at(instant(self.rows[*row].0)))).collect();
                let first = numbers.len() as u64;
                let fates = increment.take(CursorKind::Instant, &cursors, first, &[], "GET /").expect("taken");
                inside.extend((first..).zip(fates).filter(|(_, fate)| *fate == Fate::Inside).map(|(row, _)| row));
                numbers.extend(page);
                if increment.is_full() {
                    full = true;
                    break;
                }
            }
            let Some((end, left)) = increment.end(full) else { return (Vec::new(), None, false) };
            let landed = inside.into_iter().filter(|row| !left.iter().any(|left| left.contains(row)));
            (landed.map(|row| numbers[usize::try_from(row).expect("a row")]).collect(), Some(end), full)
        }
    }

    proptest! {
        /// Whatever the server does, with many rows at one time and rows that appear late, within the lag: no two slices share a
        /// row, and in the end none is missing.
        #[test]
        fn no_row_of_a_chain_is_lost_and_none_lands_twice(
            rows in prop::collection::vec((1_i64..60, 0..=LAG), 0..60),
            steps in prop::collection::vec(1_i64..25, 1..8),
            page in 1_usize..7,
            rows_per_slice in 1_u64..6,
            inclusive: bool,
            shuffle in prop::option::of(1_i64..7),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(time, late)| (time, time + late)).collect();
            let server = Server { rows, page, inclusive, shuffle };
            let spec = spec(rows_per_slice, shuffle.is_none());
            let mut start = CursorValue(spec.start.clone());
            let mut landed: BTreeMap<usize, u32> = BTreeMap::new();
            let mut now = 0;
            for step in steps.into_iter().chain([200]) {
                now += step;
                loop {
                    let (rows, end, full) = server.slice(&spec, &start, now);
                    rows.into_iter().for_each(|row| *landed.entry(row).or_default() += 1);
                    if let Some(end) = end {
                        prop_assert!(CursorKind::Instant.read(&end) > CursorKind::Instant.read(&start), "{end:?} {start:?}");
                        start = end;
                    }
                    if !full {
                        break;
                    }
                }
            }
            let expected: BTreeMap<usize, u32> = (0..server.rows.len()).map(|row| (row, 1)).collect();
            prop_assert_eq!(landed, expected);
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_belongs_where_those_around_it_do() {
        let mut spec = spec(100, true);
        spec.lag = Duration::ZERO;
        let mut increment = Increment::new(&spec, &CursorValue(json!("1970-01-01T00:00:02Z")), None, instant(6));
        let at = |seconds: &[i64]| seconds.iter().map(|second| Some(Cursor::at(instant(*second)))).collect::<Vec<_>>();
        // bad, 2, bad, 3, bad | bad | 6, 9, bad
        increment.take(CursorKind::Instant, &at(&[2, 3]), 0, &[0, 1, 2], "GET /").expect("taken");
        increment.take_bad(1);
        increment.take(CursorKind::Instant, &at(&[6, 9]), 2, &[2], "GET /").expect("taken");
        let (end, _) = increment.end(false).expect("an end");
        assert_eq!(end.text(), "1970-01-01T00:00:06Z", "9 is in the future");
        let elsewhere: Vec<bool> = (0..5).map(|bad| increment.is_elsewhere(bad, Some(&end))).collect();
        assert_eq!(elsewhere, [true, false, false, false, true], "where it can't be told it is this slice's");
        assert!(!increment.is_elsewhere(4, None));
    }

    #[test]
    fn a_cursor_is_sent_as_the_server_wants_it() {
        let sent = |format, start: serde_json::Value| {
            let mut spec = spec(1, true);
            spec.sent.as_mut().expect("sent").format = format;
            edit(&spec, &CursorValue(start)).expect("an edit").value
        };
        let instant = || json!("2026-01-01T00:00:00.75Z");
        assert_eq!(sent(InstantFormat::EpochSeconds, instant()), json!(1_767_225_600));
        assert_eq!(sent(InstantFormat::EpochMillis, instant()), json!(1_767_225_600_750_i64));
        assert_eq!(sent(InstantFormat::Rfc3339, instant()), json!("2026-01-01T00:00:00.750Z"));
        assert_eq!(sent(InstantFormat::Rfc3339, json!(41)), json!(41));
    }
}
