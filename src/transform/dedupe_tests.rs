//! Which rows of a key stay, against a map that holds them all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Int64Array, NullArray, StringArray};
use proptest::prelude::*;

use super::*;

type Row = (Option<i64>, Option<String>);

fn batch(rows: &[Row]) -> RecordBatch {
    let ids: Int64Array = rows.iter().map(|row| row.0).collect();
    let names: StringArray = rows.iter().map(|row| row.1.clone()).collect();
    RecordBatch::try_from_iter(vec![("id", Arc::new(ids) as ArrayRef), ("name", Arc::new(names))]).expect("batch")
}

/// So little memory that a few keys go to files, which are merged.
const LITTLE: usize = 200;

fn index() -> KeyIndex {
    KeyIndex::new(&["id".to_owned(), "name".to_owned()], LITTLE)
}

fn index_of_ids() -> KeyIndex {
    KeyIndex::new(&["id".to_owned()], LITTLE)
}

proptest! {
    /// Over any cut into batches: what isn't superseded is, for every key, its last row.
    #[test]
    fn the_last_of_equal_keys_stays(
        batches in prop::collection::vec(
            prop::collection::vec((prop::option::weighted(0.9, 0_i64..4), prop::option::weighted(0.9, "[ab]{0,2}")), 0..12),
            0..8,
        )
    ) {
        let (mut index, mut model, mut gone) = (index(), BTreeMap::new(), BTreeSet::new());
        let (mut ordinal, mut new_rows, mut nulls) = (0_u64, 0, 0_u64);
        for rows in &batches {
            let observed = index.observe(&batch(rows), ordinal).expect("observed");
            new_rows += observed.new_rows;
            nulls += observed.null_keys.len() as u64;
            for (ordinal, later) in observed.superseded {
                prop_assert!(ordinal < later);
                prop_assert!(gone.insert(ordinal), "{ordinal} was superseded twice");
            }
            for (row, key) in rows.iter().enumerate() {
                prop_assert_eq!(observed.null_keys.contains(&row), key.0.is_none() || key.1.is_none());
                if let (Some(id), Some(name)) = key {
                    model.insert((*id, name.clone()), ordinal + row as u64);
                }
            }
            ordinal += rows.len() as u64;
        }
        let model: BTreeSet<u64> = model.into_values().collect();
        prop_assert_eq!(index.distinct(), model.len() as u64);
        prop_assert_eq!(new_rows, index.distinct());
        prop_assert_eq!(ordinal, new_rows + nulls + gone.len() as u64);
        prop_assert!(gone.is_disjoint(&model));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Over any cut into batches: of the rows of a key that land the one with the greatest value stays, of equal ones the last.
    #[test]
    fn the_greatest_of_equal_keys_stays(
        batches in prop::collection::vec(
            prop::collection::vec((0_i64..4, prop::option::weighted(0.8, -2_i64..3), prop::bool::weighted(0.8)), 0..12),
            0..8,
        )
    ) {
        let mut index = index_of_ids();
        let (mut rows, mut distinct) = (Vec::new(), BTreeSet::new());
        for part in &batches {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(part.iter().map(|row| row.0)));
            let values: Int64Array = part.iter().map(|row| row.1).collect();
            // A batch in which a column has no value may have no type for it.
            let untyped = part.iter().all(|row| row.1.is_none());
            let values: ArrayRef = if untyped { Arc::new(NullArray::new(part.len())) } else { Arc::new(values) };
            let batch = RecordBatch::try_from_iter(vec![("id", ids)]).expect("batch");
            index.observe_versions(&batch, rows.len() as u64, &values, &FailedRows::new()).expect("observed");
            rows.extend_from_slice(part);
            distinct.extend(part.iter().map(|row| (row.0, row.1)));
        }
        let found = index.distinct();
        let outdated = index.outdated(|ordinal| rows[usize::try_from(ordinal).expect("ordinal")].2).expect("sorted");
        let mut stays: BTreeMap<i64, (Option<i64>, usize)> = BTreeMap::new();
        for (at, (id, value, lands)) in rows.iter().enumerate() {
            if *lands {
                let best = stays.entry(*id).or_insert((*value, at));
                *best = (*best).max((*value, at));
            }
        }
        let stays: BTreeSet<usize> = stays.into_values().map(|(_, at)| at).collect();
        let gone = |at: &usize| rows[*at].2 && !stays.contains(at);
        let expected: BTreeSet<u64> = (0..rows.len()).filter(gone).map(|at| at as u64).collect();
        prop_assert_eq!(outdated.iter().collect::<BTreeSet<_>>(), expected);
        prop_assert_eq!(found, distinct.len() as u64);
    }
}

#[test]
fn values_without_an_order_that_holds_are_refused() {
    let ids = RecordBatch::try_from_iter(vec![("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).expect("ok");
    let mut index = index_of_ids();
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    index.observe_versions(&ids, 0, &numbers, &FailedRows::new()).expect("numbers");
    let error = index.observe_versions(&ids, 1, &texts, &FailedRows::new()).expect_err("another type").to_string();
    assert!(error.starts_with("`latest_by` was Int64 and is now Utf8"), "{error}");
    let list: ArrayRef = Arc::new(arrow::array::ListArray::new_null(
        Arc::new(arrow::datatypes::Field::new("item", DataType::Int64, true)),
        1,
    ));
    let error = index.observe_versions(&ids, 1, &list, &FailedRows::new()).expect_err("no order").to_string();
    assert!(error.contains("has no order"), "{error}");
}

#[test]
fn a_row_that_fails_to_give_a_value_neither_competes_nor_counts() {
    let ids = Arc::new(Int64Array::from(vec![1, 1, 2, 2])) as ArrayRef;
    let ids = RecordBatch::try_from_iter(vec![("id", ids)]).expect("ids");
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, None, None]));
    let failed = FailedRows::from([(1, "no number".to_owned()), (2, "no number".to_owned())]);
    let mut index = index_of_ids();
    let observed = index.observe_versions(&ids, 0, &values, &failed).expect("observed");
    assert_eq!(
        (observed.new_rows, index.distinct()),
        (2, 2),
        "one of each key: the null of the last row is no failure"
    );
    assert_eq!(index.outdated(|_| true).expect("sorted").iter().count(), 0);
}

#[test]
fn keys_that_only_look_alike_are_two() {
    let rows = [(Some(1), Some("1a".to_owned())), (Some(11), Some("a".to_owned())), (Some(1), Some(String::new()))];
    let mut index = index();
    assert_eq!(index.observe(&batch(&rows), 0).expect("observed").new_rows, 3);
}

#[test]
fn a_column_of_only_nulls_is_no_key_and_may_get_a_type_later() {
    let untyped = RecordBatch::try_from_iter(vec![
        ("id", Arc::new(NullArray::new(2)) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec!["a", "b"]))),
    ])
    .expect("batch");
    let mut index = index();
    assert_eq!(index.observe(&untyped, 0).expect("observed").null_keys, [0, 1]);
    assert_eq!(index.null_column(&untyped, 1), Some("id"));
    let rows = batch(&[(Some(1), None), (Some(1), Some("a".into()))]);
    assert_eq!((index.null_column(&rows, 0), index.null_column(&rows, 1)), (Some("name"), None));
    assert_eq!(index.observe(&batch(&[(Some(1), Some("a".into()))]), 2).expect("observed").new_rows, 1);
}

#[test]
fn wrong_columns_are_named() {
    let numbers =
        RecordBatch::try_from_iter(vec![("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).expect("ok");
    let error = index().observe(&numbers, 0).expect_err("no name");
    assert_eq!(error.to_string(), "key column `name` isn't a column of records; there are `id`");
    let nested = KeyIndex::new(&["id.deep.name".to_owned()], LITTLE).observe(&numbers, 0).expect_err("nested");
    assert_eq!(
        nested.to_string(),
        "key column `id.deep.name` isn't a column of records: a key is a column by itself, and `deep.name` lies within `id`; let `records` \
         take it out, as in `.items[] | . + {id_deep_name: .id.deep.name}`, and name that; there are `id`"
    );
    let mut index = index_of_ids();
    index.observe(&numbers, 0).expect("numbers");
    let texts =
        RecordBatch::try_from_iter(vec![("id", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]).expect("ok");
    let error = index.observe(&texts, 1).expect_err("another type");
    insta::assert_snapshot!(error, @"key column `id` was Int64 and is now Utf8, so equal keys can't be told; give it a type in `schema.columns` that holds both, such as `id: string`");
}
