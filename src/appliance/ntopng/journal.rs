//! The alerts of one interface in order of insertion, as the real one's `SQLite` table holds them (vendors.md A10 "Alerts").

use super::rows::{FlowAlert, HostAlert};

/// A row that was inserted some time.
pub(super) trait Inserted {
    fn inserted_at(&self) -> i64;
    fn tstamp(&self) -> i64;
    fn set_row_id(&mut self, row_id: i64);
}

impl Inserted for FlowAlert {
    fn inserted_at(&self) -> i64 {
        self.inserted_at
    }
    fn tstamp(&self) -> i64 {
        self.tstamp
    }
    fn set_row_id(&mut self, row_id: i64) {
        self.row_id = row_id;
    }
}

impl Inserted for HostAlert {
    fn inserted_at(&self) -> i64 {
        self.inserted_at
    }
    fn tstamp(&self) -> i64 {
        self.tstamp
    }
    fn set_row_id(&mut self, row_id: i64) {
        self.row_id = row_id;
    }
}

/// Rows by insertion, numbered from 1; those of the future are there already but not visible.
#[derive(Debug, Clone)]
pub(super) struct Journal<T> {
    rows: Vec<T>,
}

impl<T: Inserted> Journal<T> {
    /// Makes a journal of `rows`, in any order.
    pub(super) fn new(mut rows: Vec<T>) -> Self {
        // Stable, and nearly sorted already.
        rows.sort_by_key(Inserted::inserted_at);
        let mut journal = Self { rows };
        journal.number_from(0);
        journal
    }

    fn number_from(&mut self, start: usize) {
        let first = i64::try_from(start).unwrap_or(i64::MAX).saturating_add(1);
        for (row_id, row) in (first..).zip(self.rows.iter_mut().skip(start)) {
            row.set_row_id(row_id);
        }
    }

    /// The rows inserted until `now`, epoch seconds; `row_id` N is at N - 1.
    pub(super) fn visible(&self, now: i64) -> &[T] {
        self.rows.get(..self.end(now)).unwrap_or_default()
    }

    fn end(&self, now: i64) -> usize {
        self.rows.partition_point(|row| row.inserted_at() <= now)
    }

    /// Inserts `rows` at `now`, behind all visible ones; those of the future take later numbers.
    pub(super) fn insert(&mut self, rows: Vec<T>, now: i64) {
        let end = self.end(now);
        self.rows.splice(end..end, rows);
        self.number_from(end);
    }

    /// Forgets the visible rows: numbers start at 1 again.
    pub(super) fn wipe(&mut self, now: i64) {
        self.rows.drain(..self.end(now));
        self.number_from(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Inserted, Journal};

    #[derive(Debug, Clone, PartialEq)]
    struct Row(i64, i64);

    impl Inserted for Row {
        fn inserted_at(&self) -> i64 {
            self.0
        }
        fn tstamp(&self) -> i64 {
            self.0
        }
        fn set_row_id(&mut self, row_id: i64) {
            self.1 = row_id;
        }
    }

    #[test]
    fn rows_turn_up_in_order_and_keep_their_numbers() {
        let mut journal = Journal::new(vec![Row(30, 0), Row(10, 0), Row(20, 0)]);
        assert_eq!(journal.visible(20), [Row(10, 1), Row(20, 2)]);
        journal.insert(vec![Row(20, 0)], 20);
        assert_eq!(journal.visible(20), [Row(10, 1), Row(20, 2), Row(20, 3)]);
        assert_eq!(journal.visible(99).last(), Some(&Row(30, 4)));
        journal.wipe(20);
        assert_eq!(journal.visible(99), [Row(30, 1)]);
    }
}
