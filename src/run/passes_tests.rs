//! A list that moves while it is read, in every way that a list can: what is settled is exact, or nothing is.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::model::Reconciliation;
use crate::run::moving_list::{Move, MovingList, any_move};

fn some_moves() -> impl Strategy<Value = Vec<Move>> {
    // More often than not nothing.
    let steps = prop::collection::vec(prop::option::weighted(0.625, any_move()), 0..3);
    steps.prop_map(|steps| steps.into_iter().flatten().collect())
}

/// A server's list.
struct List {
    list: MovingList,
    moves: Vec<Vec<Move>>,
}

impl List {
    fn new(rows: u64, moves: Vec<Vec<Move>>) -> Self {
        Self { list: MovingList::new(0..rows), moves: moves.into_iter().rev().collect() }
    }

    /// Moves as is due before a request.
    fn tick(&mut self) {
        self.moves.pop().unwrap_or_default().into_iter().for_each(|step| self.list.make(step));
    }
}

/// Reads a list by offset, pass after pass, as a slice is read. Returns the rows that would land, the list as it was at the first page
/// of each pass, and what the first pass proved by itself, with its rows.
fn read(list: &mut List, size: usize, totals: Totals) -> Reading {
    let (mut passes, mut shown): (Passes, HashMap<u64, usize>) = (Passes::default(), HashMap::new());
    let mut reading = Reading::default();
    loop {
        let (mut offset, number) = (0, passes.number());
        let mut rows_of_pass = BTreeSet::new();
        loop {
            list.tick();
            if offset == 0 {
                reading.truths.push(list.list.rows.iter().copied().collect());
            }
            let page: Vec<u64> = list.list.rows.iter().copied().skip(offset).take(size).collect();
            let is_last = offset + page.len() >= list.list.rows.len();
            let is_stated = totals == Totals::Stated || (totals == Totals::AtTheEnd && is_last);
            let total = is_stated.then_some(list.list.rows.len() as u64);
            let pass = passes.current();
            if pass.pages == 0 {
                pass.opening = total;
            }
            pass.totals = (pass.totals.0.or(total), total);
            pass.pages += 1;
            pass.pages_with_rows += u64::from(!page.is_empty());
            pass.received += page.len() as u64;
            offset += page.len();
            for row in &page {
                rows_of_pass.insert(*row);
                match shown.insert(*row, number) {
                    Some(before) => drop(passes.note_known(before)),
                    None => passes.note_new(1),
                }
            }
            let received = passes.current().received;
            // Kept up to date, so that the last page's stays.
            reading.truths_at_end.truncate(number);
            reading.truths_at_end.push(list.list.rows.iter().copied().collect());
            if page.is_empty() || (page.len() < size && total == Some(received)) {
                break;
            }
        }
        let pass = passes.current();
        let mut proved = Reconciliation::of(pass.received, pass.distinct(), pass.totals, EndReason::EmptyPage).verdict;
        if totals != Totals::Stated && pass.twice > 0 && proved == Verdict::Complete {
            proved = Verdict::Unknown;
        }
        pass.ended = Some((EndReason::EmptyPage, proved));
        if number == 0 {
            reading.first = Some((proved, rows_of_pass));
        }
        if let Some(since) = passes.settled(false) {
            let landed = shown.iter().filter(|(_, pass)| **pass >= since).map(|(row, _)| *row).collect();
            assert_eq!(passes.distinct_since(since), shown.values().filter(|pass| **pass >= since).count() as u64);
            assert_eq!(passes.vanished_before(since), shown.values().filter(|pass| **pass < since).count() as u64);
            reading.settled = Some((since, landed));
            return reading;
        }
        if passes.count() == MOST_PASSES {
            return reading;
        }
        passes.begin(0);
    }
}

/// Which pages state the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Totals {
    Absent,
    AtTheEnd,
    Stated,
}

fn any_totals() -> impl Strategy<Value = Totals> {
    prop_oneof![Just(Totals::Absent), Just(Totals::AtTheEnd), Just(Totals::Stated)]
}

#[derive(Debug, Default)]
struct Reading {
    /// The list as it was at the first page of each pass, and at its last.
    truths: Vec<BTreeSet<u64>>,
    truths_at_end: Vec<BTreeSet<u64>>,
    first: Option<(Verdict, BTreeSet<u64>)>,
    settled: Option<(usize, BTreeSet<u64>)>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_is_settled_is_the_list_as_it_was_at_one_moment(
        rows in 0_u64..9, size in 1_usize..5, moves in prop::collection::vec(some_moves(), 0..30), totals in any_totals()
    ) {
        let reading = read(&mut List::new(rows, moves), size, totals);
        if let Some((since, landed)) = reading.settled.clone() {
            let at_first = landed == reading.truths[since];
            let at_last = since > 0 && landed == reading.truths_at_end[since - 1];
            let is_true = match totals {
                Totals::Stated => at_first,
                Totals::Absent => if since == 0 { at_first } else { at_last },
                Totals::AtTheEnd => at_first || at_last,
            };
            prop_assert!(is_true, "since pass {}: {:?}", since + 1, reading);
        }
    }

    #[test]
    fn a_list_that_comes_to_rest_is_settled(
        rows in 0_u64..9, size in 1_usize..5, moves in prop::collection::vec(some_moves(), 0..4), totals in any_totals()
    ) {
        let mut list = List::new(rows, moves);
        let reading = read(&mut list, size, totals);
        let (_, landed) = reading.settled.expect("a list that rests is settled");
        let mut truths = reading.truths.iter().chain(&reading.truths_at_end);
        prop_assert!(truths.any(|truth| *truth == landed));
    }
}

/// Without this the laws above might hold because the list is tame.
#[test]
fn one_reading_may_be_complete_and_wrong() {
    // The first row goes once it was read, and another comes in at the end: the total stays, and the third row is missed.
    let moves = vec![vec![], vec![Move::Delete(0), Move::Insert(3)], vec![]];
    let reading = read(&mut List::new(4, moves), 2, Totals::Stated);
    let (verdict, rows) = reading.first.unwrap();
    assert_eq!(verdict, Verdict::Complete);
    assert!(!reading.truths.contains(&rows), "{rows:?}");
    let (since, landed) = reading.settled.unwrap();
    assert_eq!((since, landed), (2, BTreeSet::from([1, 2, 3, 4])));
}

#[test]
fn a_list_that_never_rests_but_keeps_its_rows_is_put_together() {
    // One row goes back and forth over the edge of the pages, so that each pass misses one and has another twice.
    let there = vec![Move::Reorder(3, 0)];
    let back = vec![Move::Reorder(0, 3)];
    let moves = vec![vec![], there.clone(), vec![], back.clone(), vec![], there, vec![], back, vec![]];
    let reading = read(&mut List::new(4, moves), 2, Totals::Stated);
    assert_eq!(reading.first.unwrap().0, Verdict::Short);
    assert!(reading.settled.is_some_and(|(_, landed)| landed == BTreeSet::from([0, 1, 2, 3])));
}

#[test]
fn one_answer_needs_no_second_and_an_end_that_was_asked_for_does() {
    for (rows, size, totals, since) in [
        (3, 5, Totals::Stated, 0),
        (3, 3, Totals::Stated, 0),
        (0, 3, Totals::Absent, 0),
        (3, 5, Totals::Absent, 1),
        (4, 3, Totals::Stated, 1),
        (3, 5, Totals::AtTheEnd, 0),
        (4, 3, Totals::AtTheEnd, 1),
    ] {
        let reading = read(&mut List::new(rows, Vec::new()), size, totals);
        assert_eq!(reading.settled.map(|(since, _)| since), Some(since), "{rows} rows, pages of {size}, {totals:?}");
    }
}

#[test]
fn the_story_tells_each_pass() {
    let mut passes = Passes::default();
    passes.note_new(3);
    let pass = passes.current();
    (pass.received, pass.totals) = (4, (Some(5), Some(4)));
    pass.ended = Some((EndReason::EmptyPage, Verdict::Moving));
    passes.begin(4);
    passes.note_known(0);
    passes.note_known(1);
    passes.current().received = 2;
    assert_eq!(
        passes.story(),
        "pass 1: 4 rows, 3 different, 3 new, total first 5, then 4; pass 2: 2 rows, 1 different, 0 new, broken off where pages brought nothing new, no \
         total"
    );
    assert_eq!((passes.of(0), passes.of(3), passes.of(4), passes.of(9)), (0, 0, 1, 1));
}
