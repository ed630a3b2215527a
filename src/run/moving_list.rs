//! A server's list that moves while it is read, for the tests of what that proves.

use std::ops::Range;

use proptest::prelude::*;

/// What happens to a list between two requests.
#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    /// A new row comes in at a place.
    Insert(usize),
    /// The row at a place goes, for good.
    Delete(usize),
    /// A row goes from one place to another.
    Reorder(usize, usize),
    /// A row goes, and another comes in: the total stays.
    Replace(usize, usize),
}

/// Any of them.
pub(super) fn any_move() -> impl Strategy<Value = Move> {
    let place = 0_usize..12;
    prop_oneof![
        2 => place.clone().prop_map(Move::Insert),
        2 => place.clone().prop_map(Move::Delete),
        3 => (place.clone(), place.clone()).prop_map(|(from, to)| Move::Reorder(from, to)),
        3 => (place.clone(), place).prop_map(|(from, to)| Move::Replace(from, to)),
    ]
}

/// The rows, by their numbers.
pub(super) struct MovingList {
    pub(super) rows: Vec<u64>,
    next: u64,
}

impl MovingList {
    pub(super) fn new(rows: Range<u64>) -> Self {
        Self { next: rows.end, rows: rows.collect() }
    }

    pub(super) fn make(&mut self, step: Move) {
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
    }

    fn insert(&mut self, at: usize) {
        self.rows.insert(at % (self.rows.len() + 1), self.next);
        self.next += 1;
    }
}
