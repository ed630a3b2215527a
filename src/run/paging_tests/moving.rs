//! Lists that move while they are read: what is green with `on_mismatch: refetch` is the list as it was at one moment.

use super::server::{number, param, part};
use super::*;

/// What happens to a list between two requests.
#[derive(Debug, Clone, Copy)]
enum Move {
    Insert(usize),
    Delete(usize),
    Reorder(usize, usize),
    /// A row goes, and another comes in: the total stays.
    Replace(usize, usize),
}

fn moves() -> impl Strategy<Value = Vec<Vec<Move>>> {
    let place = 0_usize..12;
    let one = prop_oneof![
        2 => place.clone().prop_map(Move::Insert),
        2 => place.clone().prop_map(Move::Delete),
        3 => (place.clone(), place.clone()).prop_map(|(from, to)| Move::Reorder(from, to)),
        3 => (place.clone(), place).prop_map(|(from, to)| Move::Replace(from, to)),
    ];
    let between = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(one, 1..3)];
    prop::collection::vec(between, 0..24)
}

/// A server's list. A row's place is also the value that `seek` goes by: a row that goes elsewhere has another one from then on.
struct List {
    rows: Vec<u64>,
    next: u64,
    moves: std::vec::IntoIter<Vec<Move>>,
    /// The list as it was before each request, and is after the last.
    truths: BTreeSet<Vec<u64>>,
}

impl List {
    fn new(rows: u64, moves: Vec<Vec<Move>>) -> Self {
        let list: Vec<u64> = (1..=rows).collect();
        Self { next: rows + 1, truths: [list.clone()].into(), rows: list, moves: moves.into_iter() }
    }

    /// Moves as is due before a request; each step of it makes another list.
    fn tick(&mut self) {
        for step in self.moves.next().unwrap_or_default() {
            let len = self.rows.len();
            match step {
                Move::Insert(at) => self.insert(at),
                Move::Delete(at) if len > 0 => drop(self.rows.remove(at % len)),
                Move::Reorder(from, to) if len > 0 => {
                    let row = self.rows.remove(from % len);
                    self.rows.insert(to % len, row);
                }
                Move::Replace(from, to) if len > 0 => {
                    self.rows.remove(from % len);
                    self.insert(to);
                }
                _ => {}
            }
            let mut truth = self.rows.clone();
            truth.sort_unstable();
            self.truths.insert(truth);
        }
    }

    fn insert(&mut self, at: usize) {
        self.rows.insert(at % (self.rows.len() + 1), self.next);
        self.next += 1;
    }

    fn page(&self, from: usize, size: usize) -> Answer {
        let rows: Vec<Row> = self.rows.iter().map(|id| Row { id: *id, value: 0 }).collect();
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
        if end < list.rows.len() && !answer.rows.is_empty() {
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
    fn a_seek_through_a_moving_list_is_exact_where_it_is_green(
        rows in 0_u64..9, size in 2_usize..5, inclusive: bool, moves in moves()
    ) {
        let bound = if inclusive { "inclusive" } else { "exclusive" };
        let job = refetching(&job("get: /rows", &format!(
            "{{seek: {{into: query.from, value: '$last.v', order: asc, bound: {bound}, size: SIZE}}, total: .total}}"
        ), size));
        let mut list = List::new(rows, moves);
        // A row that moves gets another value, such as that of its last change.
        let mut values: Vec<(u64, u64)> = list.rows.iter().map(|id| (*id, id * 100)).collect();
        let outcome = read(&job, |request| {
            list.tick();
            values = valued(&values, &list.rows);
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
