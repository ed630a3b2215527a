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
        sent: Some(SentCursor { place: Some(place), format: InstantFormat::EpochSeconds, sorted }),
        newest: None,
        restarts: false,
    }
}

fn page_of<'p>(cursors: &'p [Option<Cursor>], failed: &'p FailedRows, undecoded: &'p [usize]) -> PageCursors<'p> {
    PageCursors { kind: CursorKind::Instant, cursors, failed, undecoded }
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
    fn slice(&self, spec: &IncrementalSpec, start: &CursorValue, now: i64) -> (Vec<usize>, Option<CursorValue>, bool) {
        let mut increment = Increment::new(spec, start, None, instant(now));
        let after = edit(spec, start).and_then(|edit| edit.value.as_i64()).expect("epoch seconds");
        let (mut numbers, mut inside, mut full) = (Vec::new(), Vec::new(), false);
        for page in self.pages(after, now) {
            let cursors: Vec<_> = page.iter().map(|row| Some(Cursor::at(instant(self.rows[*row].0)))).collect();
            let first = numbers.len() as u64;
            let fates = increment.take(&page_of(&cursors, &FailedRows::new(), &[]), first, "GET /").expect("taken");
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
    increment.take(&page_of(&at(&[2, 3]), &FailedRows::new(), &[0, 1, 2]), 0, "GET /").expect("taken");
    increment.take_bad(1);
    increment.take(&page_of(&at(&[6, 9]), &FailedRows::new(), &[2]), 2, "GET /").expect("taken");
    let (end, _) = increment.end(false).expect("an end");
    assert_eq!(end.text(), "1970-01-01T00:00:06Z", "9 is in the future");
    let elsewhere: Vec<bool> = (0..5).map(|bad| increment.is_elsewhere(bad, Some(&end))).collect();
    assert_eq!(elsewhere, [true, false, false, false, true], "where it can't be told it is this slice's");
    assert!(!increment.is_elsewhere(4, None));
}

#[test]
fn a_row_whose_cursor_cannot_be_read_belongs_there_too_and_one_without_is_always_this_slices() {
    let mut spec = spec(100, true);
    spec.lag = Duration::ZERO;
    let second = |second: i64| Some(Cursor::at(instant(second)));
    // Two that fail, 2, a null | fails, 4, fails, 9, fails, a null
    let pages = [vec![None, None, second(2), None], vec![None, second(4), None, second(9), None, None]];
    let failed = [vec![0, 1], vec![0, 2, 4]];
    let elsewhere = |spec: &IncrementalSpec, start: &str| {
        let mut increment = Increment::new(spec, &CursorValue(json!(start)), None, instant(6));
        let mut first = 0;
        for (page, failed) in pages.iter().zip(&failed) {
            let failed = failed.iter().map(|at| (*at, "no time".to_owned())).collect();
            let fates = increment.take(&page_of(page, &failed, &[]), first, "GET /").expect("taken");
            let bad = page.iter().map(Option::is_none);
            assert!(fates.iter().map(|fate| *fate == Fate::Bad).eq(bad), "{fates:?}");
            first += page.len() as u64;
        }
        let end = increment.end(false).map(|(end, _)| end);
        increment.failed_elsewhere(end.as_ref()).collect::<Vec<u64>>()
    };
    assert_eq!(elsewhere(&spec, "1970-01-01T00:00:02Z"), [0, 1, 8], "9 is in the future");
    assert_eq!(elsewhere(&spec, "1970-01-01T00:00:01Z"), [8]);
    assert_eq!(elsewhere(&spec, "1970-01-01T00:00:05Z"), [0, 1, 4], "the slice has no rows, so no end");
    spec.sent.as_mut().expect("sent").sorted = false;
    assert_eq!(elsewhere(&spec, "1970-01-01T00:00:02Z"), Vec::<u64>::new(), "their neighbours say nothing");
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
