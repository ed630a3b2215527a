//! Pages of a job with no key that have the same rows as the one before them, but for what changes with each answer: such as the time at
//! which it was made. A server that ignores which page it is asked for gives them without end.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};

use super::borders::some_of;

/// How many pages in a row may be alike. Lists whose rows differ in one column alone from page to page do exist.
pub(super) const MOST: u32 = 10;

/// The columns of the page before, and how many pages in a row were like it.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// The columns' names, and the hashes of their values.
    before: Option<(SchemaRef, Vec<u64>)>,
    rows: usize,
    /// The columns that had several values on the first page with several rows: of a page with one row they tell which it is.
    telling: HashSet<String>,
    in_a_row: u32,
    /// The columns that differed last.
    changing: Vec<String>,
    /// Whether any page was.
    pub(super) ever: bool,
}

impl Alike {
    /// Takes a page, with the hashes of its columns' values in their order.
    pub(super) fn take(&mut self, page: &RecordBatch, values: Vec<u64>, hasher: &impl BuildHasher) {
        if self.telling.is_empty() && page.num_rows() > 1 {
            let few = page.slice(0, some_of(page));
            let tells = |at: &usize| different_values(few.column(*at), hasher) > 1;
            self.telling = (0..values.len()).filter(tells).map(|at| name(page, at).to_owned()).collect();
        }
        let changing = self.changing(page, &values, hasher);
        self.in_a_row = if changing.is_some() { self.in_a_row + 1 } else { 0 };
        self.ever |= changing.is_some();
        if let Some(changing) = changing.filter(|changing| !changing.is_empty()) {
            self.changing = changing;
        }
        (self.before, self.rows) = (Some((page.schema(), values)), page.num_rows());
    }

    /// Returns how many pages in a row were alike, and the columns that differed last, once there are too many of them.
    pub(super) fn too_many(&self) -> Option<(u32, String)> {
        (self.in_a_row > MOST).then(|| (self.in_a_row + 1, self.changing.join("`, `")))
    }

    /// Returns the columns that differ from those of the page before, where all others show that the rows are the same: those that differ
    /// have one value on the whole page; or it is one, and two others tell all rows apart.
    fn changing(&self, page: &RecordBatch, values: &[u64], hasher: &impl BuildHasher) -> Option<Vec<String>> {
        let rows = page.num_rows();
        let (schema, before) = self.before.as_ref().filter(|_| rows == self.rows)?;
        if !has_names_of(schema, page.schema_ref()) {
            return None;
        }
        let differs = |at: &usize| values[*at] != before[*at];
        let (changing, same): (Vec<usize>, Vec<usize>) = (0..values.len()).partition(differs);
        let all = some_of(page);
        let few = |at: &usize| page.column(*at).slice(0, all);
        let different = |at: &usize| different_values(&few(at), hasher);
        let told = |at: &usize| rows == 1 && self.telling.contains(name(page, *at));
        let (is_one, varies) = (
            |at: &usize| ends_alike(&few(at)) && different(at) == 1 && !told(at),
            |at: &usize| different(at) > 1 || told(at),
        );
        let by_rows = all > 1 && changing.len() == 1 && same.iter().filter(|at| different(at) == all).count() > 1;
        let alike = by_rows || (changing.iter().all(is_one) && same.iter().any(varies));
        alike.then(|| changing.into_iter().map(|at| name(page, at).to_owned()).collect())
    }
}

/// Returns the name of a page's column.
fn name(page: &RecordBatch, at: usize) -> &str {
    page.schema_ref().field(at).name()
}

/// Tells whether two pages have the same columns by name.
fn has_names_of(one: &SchemaRef, other: &SchemaRef) -> bool {
    let same = || one.fields().iter().zip(other.fields()).all(|(one, other)| one.name() == other.name());
    Arc::ptr_eq(one, other) || (one.fields().len() == other.fields().len() && same())
}

/// Tells whether the first value of a column is the last one too.
fn ends_alike(column: &ArrayRef) -> bool {
    let value = |at: usize| column.slice(at, 1);
    column.is_empty() || value(0).as_ref() == value(column.len() - 1).as_ref()
}

/// Returns how many different values a column has; 0 where they can't be told apart.
fn different_values(column: &ArrayRef, hasher: &impl BuildHasher) -> usize {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]);
    let values = converter.and_then(|converter| converter.convert_columns(&[Arc::clone(column)]));
    values.map_or(0, |values| values.iter().map(|value| hasher.hash_one(value.as_ref())).collect::<HashSet<_>>().len())
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    /// A column: its name, and the value of each row of each page.
    type Column = (&'static str, fn(i64, i64) -> i64);

    /// How many of thirty pages of three rows are taken before there are too many that are alike; none where there never are.
    fn pages_taken(columns: &[Column]) -> Option<i64> {
        pages_of(|_| 3, columns)
    }

    fn pages_of(rows: fn(i64) -> i64, columns: &[Column]) -> Option<i64> {
        let (mut alike, hasher) = (Alike::default(), RandomState::new());
        (1..=30).find(|page| {
            let column = |(name, value): &Column| {
                let values = (0..rows(*page)).map(|row| value(*page, row));
                let array: ArrayRef = if name.starts_with('t') {
                    Arc::new(values.map(|value| Some(value.to_string())).collect::<StringArray>())
                } else {
                    Arc::new(values.collect::<Int64Array>())
                };
                (
                    *name,
                    array,
                    hasher.hash_one(
                        columns
                            .iter()
                            .map(|_| 0)
                            .chain((0..rows(*page)).map(|row| value(*page, row)))
                            .collect::<Vec<i64>>(),
                    ),
                )
            };
            let made: Vec<_> = columns.iter().map(column).collect();
            let batch =
                RecordBatch::try_from_iter(made.iter().map(|(name, array, _)| (*name, Arc::clone(array)))).unwrap();
            alike.take(&batch, made.iter().map(|(.., hash)| *hash).collect(), &hasher);
            alike.too_many().is_some()
        })
    }

    #[test]
    fn the_same_rows_under_another_time_come_a_few_times_and_no_more() {
        let same: Column = ("id", |_, row| row);
        let text: Column = ("text", |_, row| 7 * row);
        assert_eq!(pages_taken(&[same, ("made_at", |page, _| page)]), Some(12), "a value of the whole page");
        assert_eq!(
            pages_taken(&[same, ("made_at", |page, _| page), ("took", |page, _| 2 * page)]),
            Some(12),
            "two of them"
        );
        assert_eq!(pages_taken(&[same, text, ("age", |page, row| 10 * page + row)]), Some(12), "a value of each row");
        assert_eq!(pages_taken(&[same, text, ("made_at", |page, _| page / 2)]), Some(12), "now and then the very same");
        assert_eq!(
            pages_taken(&[same, ("at", |page, row| if page % 10 == 0 { row } else { 9 + page })]),
            None,
            "not in a row"
        );
    }

    #[test]
    fn a_page_of_one_row_is_known_by_what_told_rows_apart_before() {
        let (id, made): (Column, Column) = (("id", |page, row| page.min(2) * 3 + row), ("made_at", |page, _| page));
        assert_eq!(
            pages_of(|page| if page == 1 { 3 } else { 1 }, &[id, made]),
            Some(13),
            "the last page, again and again"
        );
        assert_eq!(pages_of(|_| 1, &[id, made]), None, "a kind and a number, as far as one knows");
        assert_eq!(
            pages_of(|page| if page == 1 { 3 } else { 1 }, &[("id", |page, row| 3 * page + row), ("kind", |_, _| 1)]),
            None
        );
    }

    #[test]
    fn rows_of_which_something_else_differs_are_others() {
        let place: Column = ("place", |_, row| row);
        assert_eq!(pages_taken(&[place, ("text", |page, row| 3 * page + row)]), None, "a number within the page");
        assert_eq!(
            pages_taken(&[("kind", |_, _| 1), ("on", |_, row| row % 2), ("id", |page, row| 3 * page + row)]),
            None
        );
        assert_eq!(pages_taken(&[("kind", |_, _| 1), ("page", |page, _| page)]), None, "rows that nothing tells apart");
        assert_eq!(pages_taken(&[place, ("day", |page, _| page), ("v", |page, row| page * row)]), None);
    }
}
