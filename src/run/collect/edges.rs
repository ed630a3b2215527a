//! The rows at the edges of a window that its neighbours were asked for too: each of them must be where it belongs.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use arrow::array::{Array as _, RecordBatch};
use arrow::util::display::array_value_to_string;
use chrono::{DateTime, Utc};

use crate::model::Window;
use crate::pipeline::spec::{Job, PartsSpec, WindowSpec};

/// How many rows of a kind are kept. A window with more isn't compared.
const MOST: usize = 1000;

/// What came of a window at its edges.
#[derive(Debug, Clone)]
pub(in crate::run) struct Edges {
    key: Vec<String>,
    /// What lands.
    pub(in crate::run) window: Window,
    /// What was asked for: that with its padding, both ends included.
    asked: Window,
    /// Rows that were asked for and belong to other windows.
    dropped: Vec<EdgeRow>,
    /// The keys of its own rows that other windows ask for too, as hashes.
    own: HashSet<u64>,
    /// Whether there were too many.
    is_full: bool,
}

/// A row at an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) struct EdgeRow {
    /// Its own time, UTC.
    pub(in crate::run) time: DateTime<Utc>,
    /// Its key, as text.
    pub(in crate::run) key: String,
}

impl Edges {
    /// Begins a window of a job whose rows have a time and a key, unless it is read in parts.
    pub(super) fn new(job: &Job, spec: &WindowSpec, window: Window, asked: Window) -> Option<Self> {
        let compared = spec.time.is_some() && !job.key.is_empty() && matches!(spec.parts, PartsSpec::Whole);
        compared.then(|| Self::of(job.key.clone(), window, asked))
    }

    fn of(key: Vec<String>, window: Window, asked: Window) -> Self {
        Self { key, window, asked, dropped: Vec::new(), own: HashSet::new(), is_full: false }
    }

    /// Notes a row of a page, where other windows were asked for it too.
    pub(super) fn note(&mut self, batch: &RecordBatch, row: usize, time: DateTime<Utc>) {
        let Self { window, asked, .. } = *self;
        let (before, after) = (window.from - asked.from, asked.to - window.to);
        let is_own = window.contains(time);
        let is_shared = if is_own {
            time <= window.from + after || time >= window.to - before
        } else {
            asked.from <= time && time <= asked.to
        };
        if !is_shared || self.is_full {
            return;
        }
        let Some(key) = self.key_of(batch, row) else { return };
        if is_own {
            self.own.insert(hash(&key));
        } else {
            self.dropped.push(EdgeRow { time, key });
        }
        self.is_full = self.own.len() > MOST || self.dropped.len() > MOST;
    }

    /// Returns a row's key as text; none where a part of it is null: such a row is bad.
    fn key_of(&self, batch: &RecordBatch, row: usize) -> Option<String> {
        let value = |name: &String| {
            let column = batch.column_by_name(name).filter(|column| column.is_valid(row))?;
            array_value_to_string(column, row).ok()
        };
        self.key.iter().map(value).collect::<Option<Vec<String>>>().map(|parts| parts.join(", "))
    }

    /// Returns a row that came with this window, belongs to `other`, and didn't come with it.
    pub(in crate::run) fn missing_in(&self, other: &Self) -> Option<&EdgeRow> {
        let comparable = !self.is_full && !other.is_full;
        let mut dropped = self.dropped.iter().filter(|row| comparable && other.window.contains(row.time));
        dropped.find(|row| !other.own.contains(&hash(&row.key)))
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use chrono::TimeDelta;

    use super::*;

    /// Takes rows, each its id and its hour, into a day that is asked for with an hour more on each side.
    fn day(day: i64, rows: &[(i64, i64)]) -> Edges {
        let at = |hour: i64| DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        let (window, asked) = (
            Window { from: at(24 * day), to: at(24 * day + 24) },
            Window { from: at(24 * day - 1), to: at(24 * day + 25) },
        );
        let mut edges = Edges::of(vec!["id".to_owned()], window, asked);
        let ids: Int64Array = rows.iter().map(|(id, _)| (*id > 0).then_some(*id)).collect();
        let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef)]).unwrap();
        rows.iter().enumerate().for_each(|(row, (_, hour))| edges.note(&batch, row, at(*hour)));
        edges
    }

    fn missing(one: &Edges, other: &Edges) -> Option<String> {
        one.missing_in(other).map(|row| row.key.clone())
    }

    #[test]
    fn a_row_at_an_edge_must_be_where_it_belongs() {
        let first = day(0, &[(1, 0), (2, 23), (3, 24), (4, 25)]);
        let second = day(1, &[(2, 23), (3, 24), (4, 25), (5, 30), (6, 48)]);
        assert_eq!((missing(&first, &second), missing(&second, &first)), (None, None));
        let without = day(1, &[(2, 23), (4, 25)]);
        assert_eq!(missing(&first, &without), Some("3".to_owned()), "the server's `from` is exclusive");
        assert_eq!(missing(&without, &day(0, &[(1, 0)])), Some("2".to_owned()), "it is an hour off");
        let later = day(2, &[(6, 48)]);
        assert_eq!((missing(&first, &later), missing(&second, &later)), (None, None));
    }

    #[test]
    fn what_has_no_key_or_is_too_much_is_not_compared() {
        assert_eq!(missing(&day(0, &[(0, 24)]), &day(1, &[])), None);
        let many: Vec<(i64, i64)> = (1..=1001).map(|id| (id, 24)).collect();
        assert_eq!(missing(&day(0, &many), &day(1, &[])), None);
        assert_eq!(missing(&day(0, &many[..1000]), &day(1, &[])), Some("1".to_owned()));
    }
}
