//! Which rows go with one request: pure. A request whose end nobody knows is sent again with the very rows that it had, so that a
//! server that knows requests again knows it.

use std::collections::{HashMap, VecDeque};

use super::backlog::Row;
use crate::ledger::{RowKey, RowKeys};

/// Rows that go with one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parcel {
    pub(super) rows: Vec<Row>,
    /// How often it was sent in this delivery.
    pub(super) tries: u32,
    /// Whether it was sent before, and may have been heard.
    pub(super) doubtful: bool,
}

/// Puts rows together.
#[derive(Debug)]
pub(super) struct Packer {
    /// Rows of a request, where it has several.
    size: usize,
    /// Requests in doubt, by the rows of each.
    open: HashMap<RowKey, usize>,
    /// What has come of each of them.
    found: Vec<(RowKeys, Vec<Row>)>,
    batch: Vec<Row>,
    ready: VecDeque<Parcel>,
}

impl Parcel {
    /// Returns the keys of its rows.
    pub(super) fn keys(&self) -> RowKeys {
        RowKeys(self.rows.iter().map(|row| row.key).collect())
    }

    /// Cuts it into halves, for a server that refuses it as a whole.
    pub(super) fn halves(mut self) -> [Self; 2] {
        let second = self.rows.split_off(self.rows.len() / 2);
        [self.rows, second].map(|rows| Self { rows, tries: 0, doubtful: false })
    }
}

impl Packer {
    /// Packs `batch` rows together, or one; `in_doubt` are the requests whose end nobody knows.
    pub(super) fn new(batch: Option<u32>, in_doubt: &[RowKeys]) -> Self {
        let size = batch.map_or(1, |rows| rows as usize).max(1);
        let single = |request: &RowKeys| request.0.iter().map(|key| RowKeys(vec![*key])).collect::<Vec<_>>();
        // What was a batch once goes row by row now.
        let requests: Vec<RowKeys> =
            if batch.is_none() { in_doubt.iter().flat_map(single).collect() } else { in_doubt.to_vec() };
        let of = |(at, request): (usize, &RowKeys)| request.0.iter().map(|key| (*key, at)).collect::<Vec<_>>();
        Self {
            size,
            open: requests.iter().enumerate().flat_map(of).collect(),
            found: requests.into_iter().map(|request| (request, Vec::new())).collect(),
            batch: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// Takes a row.
    pub(super) fn put(&mut self, row: Row) {
        let Some((request, rows)) = self.open.get(&row.key).and_then(|at| self.found.get_mut(*at)) else {
            self.batch.push(row);
            if self.batch.len() >= self.size {
                let rows = std::mem::take(&mut self.batch);
                self.ready.push_back(Parcel { rows, tries: 0, doubtful: false });
            }
            return;
        };
        rows.push(row);
        if rows.len() == request.0.len() {
            let place: HashMap<RowKey, usize> = request.0.iter().enumerate().map(|(at, key)| (*key, at)).collect();
            let mut rows = std::mem::take(rows);
            rows.sort_by_key(|row| place.get(&row.key).copied());
            self.ready.push_back(Parcel { rows, tries: 0, doubtful: true });
        }
    }

    /// Returns the next parcel that is full.
    pub(super) fn take(&mut self) -> Option<Parcel> {
        self.ready.pop_front()
    }

    /// Closes all parcels: no more rows come. Of a request in doubt some rows may be gone.
    pub(super) fn close(&mut self) {
        let of_doubt = self.found.iter_mut().map(|(_, rows)| (std::mem::take(rows), true));
        let last = [(std::mem::take(&mut self.batch), false)];
        let left = of_doubt.chain(last).filter(|(rows, _)| !rows.is_empty());
        self.ready.extend(left.map(|(rows, doubtful)| Parcel { rows, tries: 0, doubtful }));
    }

    /// Returns how many rows wait in it.
    pub(super) fn rows(&self) -> u64 {
        let ready = self.ready.iter().map(|parcel| parcel.rows.len()).sum::<usize>();
        let found = self.found.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        (ready + found + self.batch.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn row(number: u64) -> Row {
        Row { key: RowKey::of([number.to_string().as_str()]), value: json!(number) }
    }

    fn keys(numbers: &[u64]) -> RowKeys {
        RowKeys(numbers.iter().map(|number| row(*number).key).collect())
    }

    fn packed(mut packer: Packer, rows: &[u64]) -> Vec<(Vec<u64>, bool)> {
        rows.iter().for_each(|number| packer.put(row(*number)));
        packer.close();
        let parcels = std::iter::from_fn(|| packer.take());
        let numbers = |parcel: Parcel| parcel.rows.iter().map(|row| row.value.as_u64().unwrap()).collect();
        let parcels: Vec<_> = parcels.map(|parcel| (parcel.doubtful, numbers(parcel))).collect();
        assert_eq!(packer.rows(), 0);
        parcels.into_iter().map(|(doubtful, numbers)| (numbers, doubtful)).collect()
    }

    #[test]
    fn a_request_in_doubt_has_the_rows_that_it_had() {
        let packer = Packer::new(Some(3), &[keys(&[2, 5, 4]), keys(&[9, 8])]);
        let expected = [(vec![2, 5, 4], true), (vec![1, 3, 6], false), (vec![9], true), (vec![7], false)];
        let mut parcels = packed(packer, &[1, 2, 3, 4, 5, 6, 7, 9]);
        parcels.sort_by_key(|(rows, _)| expected.iter().position(|(other, _)| other == rows));
        assert_eq!(parcels, expected, "of the second some rows are gone");
    }

    #[test]
    fn without_batches_each_row_in_doubt_goes_alone() {
        let packer = Packer::new(None, &[keys(&[2, 3])]);
        assert_eq!(packed(packer, &[1, 2, 3]), [(vec![1], false), (vec![2], true), (vec![3], true)]);
    }

    #[test]
    fn halves_have_all_rows() {
        let parcel = Parcel { rows: (0..5).map(row).collect(), tries: 3, doubtful: true };
        let [one, two] = parcel.halves();
        assert_eq!((one.rows.len(), two.rows.len(), two.rows[0].value.clone()), (2, 3, json!(2)));
        assert!(!one.doubtful && one.tries == 0);
    }

    proptest! {
        #[test]
        fn each_row_is_in_one_parcel(
            batch in prop::option::of(1_u32..5), count in 0_u64..30, doubt in prop::collection::vec(prop::collection::btree_set(0_u64..40, 1..4), 0..1)
        ) {
            let in_doubt: Vec<RowKeys> = doubt.iter().map(|set| keys(&set.iter().copied().collect::<Vec<_>>())).collect();
            let rows: Vec<u64> = (0..count).collect();
            let parcels = packed(Packer::new(batch, &in_doubt), &rows);
            let most = batch.map_or(1, |batch| batch as usize);
            prop_assert!(parcels.iter().all(|(rows, doubtful)| *doubtful || rows.len() <= most));
            let mut sent: Vec<u64> = parcels.into_iter().flat_map(|(rows, _)| rows).collect();
            sent.sort_unstable();
            prop_assert_eq!(sent, rows);
        }
    }
}
