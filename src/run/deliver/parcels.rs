//! Which rows go with one request: pure. A request whose end nobody knows is sent again with the rows that it had, as they are now; one
//! that the server knows again is kept as it was, and never comes here.

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
    /// The mark that it was sent with then, where the server knows a request again.
    pub(super) mark: Option<String>,
}

/// A request in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) keys: RowKeys,
    /// The mark that it was sent with, where the server knows a request again.
    pub(super) mark: Option<String>,
}

/// Puts rows together.
#[derive(Debug)]
pub(super) struct Packer {
    /// Rows of a request, where it has several.
    size: usize,
    /// Requests in doubt, by the rows of each.
    open: HashMap<RowKey, usize>,
    /// What has come of each of them.
    found: Vec<(Doubt, Vec<Row>)>,
    batch: Vec<Row>,
    ready: VecDeque<Parcel>,
}

impl Parcel {
    /// Puts rows together that no request has had.
    const fn new(rows: Vec<Row>) -> Self {
        Self { rows, tries: 0, doubtful: false, mark: None }
    }

    /// Puts the rows of a request in doubt together.
    pub(super) const fn doubtful(rows: Vec<Row>, mark: Option<String>) -> Self {
        Self { rows, tries: 0, doubtful: true, mark }
    }

    /// Returns the keys of its rows.
    pub(super) fn keys(&self) -> RowKeys {
        RowKeys(self.rows.iter().map(|row| row.key).collect())
    }

    /// Cuts it into halves, for a server that refuses it as a whole.
    pub(super) fn halves(mut self) -> [Self; 2] {
        let second = self.rows.split_off(self.rows.len() / 2);
        [self.rows, second].map(Self::new)
    }
}

impl Packer {
    /// Packs `batch` rows together, or one; `in_doubt` are the requests whose end nobody knows.
    pub(super) fn new(batch: Option<u32>, in_doubt: Vec<Doubt>) -> Self {
        let size = batch.map_or(1, |rows| rows as usize).max(1);
        // What was a batch once goes row by row now.
        let single = |request: Doubt| {
            let mark = request.mark.filter(|_| request.keys.0.len() == 1);
            request.keys.0.into_iter().map(move |key| Doubt { keys: RowKeys(vec![key]), mark: mark.clone() })
        };
        let requests: Vec<Doubt> =
            if batch.is_none() { in_doubt.into_iter().flat_map(single).collect() } else { in_doubt };
        let of = |(at, request): (usize, &Doubt)| request.keys.0.iter().map(|key| (*key, at)).collect::<Vec<_>>();
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
                self.ready.push_back(Parcel::new(std::mem::take(&mut self.batch)));
            }
            return;
        };
        rows.push(row);
        if rows.len() == request.keys.0.len() {
            let place: HashMap<RowKey, usize> = request.keys.0.iter().enumerate().map(|(at, key)| (*key, at)).collect();
            let mut rows = std::mem::take(rows);
            rows.sort_by_key(|row| place.get(&row.key).copied());
            self.ready.push_back(Parcel::doubtful(rows, request.mark.take()));
        }
    }

    /// Returns the next parcel that is full.
    pub(super) fn take(&mut self) -> Option<Parcel> {
        self.ready.pop_front()
    }

    /// Closes all parcels: no more rows come. Of a request in doubt some rows may be gone.
    pub(super) fn close(&mut self) {
        let of_doubt = self.found.iter_mut().map(|(_, rows)| Parcel::doubtful(std::mem::take(rows), None));
        let last = [Parcel::new(std::mem::take(&mut self.batch))];
        self.ready.extend(of_doubt.chain(last).filter(|parcel| !parcel.rows.is_empty()));
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

    fn doubt(numbers: &[u64]) -> Doubt {
        let keys = RowKeys(numbers.iter().map(|number| row(*number).key).collect());
        Doubt { keys, mark: Some(format!("{numbers:?}")) }
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
        let packer = Packer::new(Some(3), vec![doubt(&[2, 5, 4]), doubt(&[9, 8])]);
        let expected = [(vec![2, 5, 4], true), (vec![1, 3, 6], false), (vec![9], true), (vec![7], false)];
        let mut parcels = packed(packer, &[1, 2, 3, 4, 5, 6, 7, 9]);
        parcels.sort_by_key(|(rows, _)| expected.iter().position(|(other, _)| other == rows));
        assert_eq!(parcels, expected, "of the second some rows are gone");
    }

    #[test]
    fn without_batches_each_row_in_doubt_goes_alone() {
        let packer = Packer::new(None, vec![doubt(&[2, 3])]);
        assert_eq!(packed(packer, &[1, 2, 3]), [(vec![1], false), (vec![2], true), (vec![3], true)]);
    }

    #[test]
    fn only_a_request_with_all_its_rows_has_the_mark_that_it_had() {
        let marks = |batch, doubts: &[&[u64]], rows: &[u64]| {
            let mut packer = Packer::new(batch, doubts.iter().map(|numbers| doubt(numbers)).collect());
            rows.iter().for_each(|number| packer.put(row(*number)));
            packer.close();
            std::iter::from_fn(|| packer.take()).map(|parcel| parcel.mark).collect::<Vec<_>>()
        };
        assert_eq!(marks(Some(2), &[&[1, 2], &[3, 4]], &[1, 2, 3]), [Some("[1, 2]".to_owned()), None]);
        assert_eq!(marks(None, &[&[1, 2], &[3]], &[1, 2, 3]), [None, None, Some("[3]".to_owned())]);
    }

    #[test]
    fn halves_have_all_rows() {
        let parcel = Parcel { rows: (0..5).map(row).collect(), tries: 3, doubtful: true, mark: Some(String::new()) };
        let [one, two] = parcel.halves();
        assert_eq!((one.rows.len(), two.rows.len(), two.rows[0].value.clone()), (2, 3, json!(2)));
        assert!(!one.doubtful && one.tries == 0 && one.mark.is_none());
    }

    proptest! {
        #[test]
        fn each_row_is_in_one_parcel(
            batch in prop::option::of(1_u32..5), count in 0_u64..30, doubt in prop::collection::vec(prop::collection::btree_set(0_u64..40, 1..4), 0..1)
        ) {
            let in_doubt: Vec<Doubt> = doubt.iter().map(|set| super::tests::doubt(&set.iter().copied().collect::<Vec<_>>())).collect();
            let rows: Vec<u64> = (0..count).collect();
            let parcels = packed(Packer::new(batch, in_doubt), &rows);
            let most = batch.map_or(1, |batch| batch as usize);
            prop_assert!(parcels.iter().all(|(rows, doubtful)| *doubtful || rows.len() <= most));
            let mut sent: Vec<u64> = parcels.into_iter().flat_map(|(rows, _)| rows).collect();
            sent.sort_unstable();
            prop_assert_eq!(sent, rows);
        }
    }
}
