//! `seek` down a list whose rows go on for a while and are found wherever they do.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{Bound, Decision, EndRules, Order, PaginateError, Paginator as _, Seek, SeekSpec, Seen};
use crate::lang::place::Place;
use crate::model::EndReason;

/// The far edge of the window; rows begin in it or before, and may end after it.
const TO: u64 = 100;

/// A row: when it began and when it ended.
type Row = (u64, u64);

/// What reading gave: the rows by number, and the end; or why it failed.
fn read(rows: &[Row], size: u64, cap: usize) -> Result<(BTreeSet<usize>, EndReason), PaginateError> {
    let mut seek = Seek::new(SeekSpec {
        into: Place::compile("query.to", &[]).unwrap(),
        size_into: None,
        size,
        order: Order::Desc,
        bound: Bound::Inclusive,
        unique: false,
        overlap: true,
        format: "{}".to_owned(),
        rules: EndRules { max_pages: Some(1000), ..EndRules::default() },
        start: Some(json!(TO)),
        limit: Some(json!(0)),
    });
    let mut known = BTreeSet::new();
    let mut edits = seek.first();
    for page in 1.. {
        let to = edits[0].value.as_i64().unwrap();
        assert!(to >= 0, "asked for what lies beyond the window");
        let reaches = |row: &Row| i64::try_from(row.0).unwrap() <= to;
        let mut found: Vec<(usize, Row)> = rows.iter().copied().enumerate().filter(|(_, row)| reaches(row)).collect();
        found.sort_by_key(|(number, row)| (std::cmp::Reverse(row.1), *number));
        found.truncate(usize::try_from(size).unwrap().min(cap));
        let new = found.iter().filter(|(number, _)| known.insert(*number)).count();
        let shown = Seen {
            rows: found.len() as u64,
            new_rows: new as u64,
            last_value: found.last().map(|(_, row)| json!(row.1)),
            page,
            ..Seen::default()
        };
        match seek.next(&shown)? {
            Decision::Done(end) => return Ok((known, end)),
            Decision::Fetch(next) => edits = next,
            Decision::Follow(_) => unreachable!(),
        }
    }
    unreachable!()
}

/// How many rows, at most, go on at one instant up to the far edge.
fn densest(rows: &[Row]) -> usize {
    (0..=TO).map(|at| rows.iter().filter(|row| row.0 <= at && row.1 >= at).count()).max().unwrap_or(0)
}

/// Rows at any instant, or at few, so that many begin and end at one.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let length = prop_oneof![4 => Just(0_u64), 2 => 0_u64..5, 1 => 0_u64..150];
    let row = (0..=TO, length).prop_map(|(start, length)| (start, start + length));
    let coarse = row.clone().prop_map(|(start, end)| (start / 25 * 25, end / 25 * 25));
    prop_oneof![prop::collection::vec(row, 0..60), prop::collection::vec(coarse, 0..20)]
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..6, 1_u64..40]
}

proptest! {
    // What a page cuts off shows in few of the cases.
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_row_is_read_or_it_is_said_that_some_can_not(rows in rows(), size in sizes()) {
        match read(&rows, size, usize::MAX) {
            Ok((found, _)) => prop_assert_eq!(found.len(), rows.len()),
            Err(PaginateError::SharedByMoreThanAPage { .. } | PaginateError::MoreOverlapThanAPage { .. }) => {
                prop_assert!(densest(&rows) as u64 >= size, "refused, though a page has room for all that go on");
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn a_server_that_gives_fewer_rows_than_asked_for_loses_none(rows in rows(), room in 1_usize..40) {
        let cap = densest(&rows) + room;
        prop_assert_eq!(read(&rows, 500, cap).unwrap().0.len(), rows.len());
    }
}

#[test]
fn rows_that_all_go_on_beyond_the_window_are_no_error() {
    let rows = [(10, 150), (20, 170), (90, 160)];
    assert_eq!(read(&rows, 10, 10), Ok((BTreeSet::from([0, 1, 2]), EndReason::NothingNew)));
    let error = read(&rows, 2, 10).unwrap_err().to_string();
    assert!(error.starts_with("2 rows go on at the seek value 100"), "{error}");
}

/// The page at 60 is full of rows that go on there, and has no room for two that begin and end there. What goes on a unit further on
/// is one row only, which is known: that says nothing of the two.
#[test]
fn rows_that_a_full_page_cuts_off_are_not_lost() {
    let rows = [(90, 95), (85, 95), (10, 70), (60, 60), (60, 60), (60, 60), (60, 60)];
    let error = read(&rows, 3, usize::MAX).unwrap_err();
    assert_eq!(error, PaginateError::MoreOverlapThanAPage { value: "60".to_owned(), rows: 3 });
    assert_eq!(read(&rows, 6, usize::MAX).map(|(found, _)| found.len()), Ok(7));
}

#[test]
fn no_rows_are_the_end() {
    assert_eq!(read(&[], 10, 10), Ok((BTreeSet::new(), EndReason::EmptyPage)));
}
