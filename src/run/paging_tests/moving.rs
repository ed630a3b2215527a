//! Lists that move while they are read: what is green with `on_mismatch: refetch` is the list as it was at one moment.

use super::server::{number, param, part};
use super::*;
use crate::run::moving_list::{Move, MovingList, any_move};

fn moves() -> impl Strategy<Value = Vec<Vec<Move>>> {
    let between = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(any_move(), 1..3)];
    prop::collection::vec(between, 0..24)
}

/// A server's list. A row's place is also the value that `seek` goes by: a row that goes elsewhere has another one from then on.
struct List {
    list: MovingList,
    moves: std::vec::IntoIter<Vec<Move>>,
    /// The list as it was before each request, and is after the last.
    truths: BTreeSet<Vec<u64>>,
}

impl List {
    fn new(rows: u64, moves: Vec<Vec<Move>>) -> Self {
        let list = MovingList::new(1..rows + 1);
        Self { truths: [list.rows.clone()].into(), list, moves: moves.into_iter() }
    }

    /// Moves as is due before a request; each step of it makes another list.
    fn tick(&mut self) {
        for step in self.moves.next().unwrap_or_default() {
            self.list.make(step);
            let mut truth = self.list.rows.clone();
            truth.sort_unstable();
            self.truths.insert(truth);
        }
    }

    fn page(&self, from: usize, size: usize) -> Answer {
        let rows: Vec<Row> = self.list.rows.iter().map(|id| Row { id: *id, value: 0 }).collect();
        Answer { total: Total::Number(rows.len() as u64), ..Answer::of(part(&rows, from, size)) }
    }
}

/// Reads a list by one of the ways to page, pass after pass.
fn read_list(kind: usize, list: &mut List, size: usize, refetch: bool) -> Result<Outcome, RunError> {
    let paginate = [
        "{offset: {into: query.at, size: SIZE}, total: .total}",
        "{page: {into: query.at, size: SIZE, first: 0}, total: .total}",
        "{cursor: {into: query.at, value: .next}, total: .total}",
        "{next_link: {url: .next}, total: .total}",
    ][kind];
    let job = job("get: /rows", paginate, size);
    let job = if refetch { refetching(&job) } else { job };
    read(&job, |request| {
        list.tick();
        let at = number(request, "at", 0);
        let from = if kind == 1 { at * size } else { at };
        let mut answer = list.page(from, size);
        let end = from + answer.rows.len();
        if end < list.list.rows.len() && !answer.rows.is_empty() {
            answer.next = Some(if kind == 3 { json!(format!("?at={end}")) } else { json!(end) });
        }
        answer
    })
}

const KINDS: std::ops::Range<usize> = 0..4;

proptest! {
    #[test]
    fn what_is_read_again_until_it_is_green_is_exact(
        rows in 0_u64..9, size in 1_usize..5, kind in KINDS, moves in moves()
    ) {
        let mut list = List::new(rows, moves);
        if let Ok(outcome) = read_list(kind, &mut list, size, true) {
            prop_assert!(!outcome.green || list.truths.contains(&outcome.rows), "{:?} {:?}", outcome, list.truths);
        }
    }

    #[test]
    fn one_reading_of_a_moving_list_is_never_complete_against_its_own_evidence(
        rows in 0_u64..9, size in 1_usize..5, kind in KINDS, moves in moves()
    ) {
        if let Ok(outcome) = read_list(kind, &mut List::new(rows, moves), size, false) {
            outcome.check_evidence((kind == 1).then_some(size as u64), false)?;
        }
    }

    #[test]
    fn a_list_that_rests_is_green(rows in 0_u64..9, size in 1_usize..5, kind in KINDS) {
        let outcome = read_list(kind, &mut List::new(rows, Vec::new()), size, true).unwrap();
        prop_assert!(outcome.green && outcome.rows == (1..=rows).collect::<Vec<_>>(), "{:?}", outcome);
    }

    #[test]
    fn a_list_that_comes_to_rest_is_green(rows in 0_u64..9, size in 1_usize..5, kind in KINDS, moves in moves()) {
        // It moves during the first readings of it.
        let moves = moves.into_iter().take(4).collect();
        let mut list = List::new(rows, moves);
        let outcome = read_list(kind, &mut list, size, true).unwrap();
        prop_assert!(outcome.green && list.truths.contains(&outcome.rows), "{:?} {:?}", outcome, list.truths);
    }

    #[test]
    fn a_seek_through_a_moving_list_is_exact_where_it_is_green(
        rows in 0_u64..9, size in 2_usize..5, inclusive: bool, moves in moves()
    ) {
        let bound = if inclusive { "inclusive" } else { "exclusive" };
        let job = refetching(&job("get: /rows", &format!(
            "{{seek: {{into: query.from, value: '$last.v', order: asc, bound: {bound}, size: SIZE}}, total: .total}}"
        ), size));
        let mut list = List::new(rows, moves);
        // A row that moves gets another value, such as that of its last change.
        let mut values: Vec<(u64, u64)> = list.list.rows.iter().map(|id| (*id, id * 100)).collect();
        let outcome = read(&job, |request| {
            list.tick();
            values = valued(&values, &list.list.rows);
            let from = param(request, "from").map(|text| text.parse::<u64>().unwrap());
            let due = values.iter().filter(|(_, value)| from.is_none_or(|from| *value > from || (inclusive && *value == from)));
            let page: Vec<Row> = due.take(size).map(|(id, value)| Row { id: *id, value: *value }).collect();
            Answer { total: Total::Number(values.len() as u64), ..Answer::of(&page) }
        });
        if let Ok(outcome) = outcome {
            prop_assert!(!outcome.green || list.truths.contains(&outcome.rows), "{:?} {:?}", outcome, list.truths);
        }
    }
}

/// Gives each row of a list a value, so that they grow: the one that it had, where that is greater than those before it.
fn valued(before: &[(u64, u64)], rows: &[u64]) -> Vec<(u64, u64)> {
    let mut last = 0;
    let mut valued = Vec::new();
    for id in rows {
        let had = before.iter().find(|(known, _)| known == id).map_or(0, |(_, value)| *value);
        last = if had > last { had } else { last + 1 };
        valued.push((*id, last));
    }
    valued
}
