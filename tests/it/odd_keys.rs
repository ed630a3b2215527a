//! Keys that no table was made for: each lands, or is refused by name.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, files};
use crate::support::{duck, python};

/// Keys that land as they are.
fn keys() -> Vec<String> {
    let plain = [
        "a.b",
        "a b",
        "@timestamp",
        "say \"hi\"",
        "it's",
        "a,b",
        "a;b\tc",
        "two\nlines",
        "é😀",
        "select",
        "1st",
        "$x",
        "#",
    ];
    plain.into_iter().map(str::to_owned).chain(["k".repeat(300)]).collect()
}

fn bench(record: &Value, more: &str) -> Bench {
    let bench = Bench::new(Api::always(Answer::json(&json!([record]))));
    bench.job(&format!("records: '.[]'\nsnapshot: latest\npaginate: none\n{more}"));
    bench
}

const SINKS: &str = "sinks: {lake: {parquet: {url: ./lake}}, csv: {csv: {url: ./csv}}, lines: {jsonl: {url: ./lines}}}";

#[test]
fn odd_keys_are_columns_in_every_format() {
    let keys = keys();
    let record: Value = keys.iter().enumerate().map(|(at, key)| (key.clone(), json!(at))).collect();
    let bench = bench(&record, SINKS);
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; unknown");
    let expected: Vec<(String, usize)> = {
        let mut named: Vec<(String, usize)> = keys.iter().cloned().zip(0..).collect();
        named.sort();
        named
    };
    for read in [
        "read_parquet('{dir}/lake/**/*.parquet', hive_partitioning = false)",
        "read_csv('{dir}/csv/**/*.csv', hive_partitioning = false, header = true)",
        "read_json('{dir}/lines/**/*.jsonl', hive_partitioning = false)",
    ] {
        let rows = bench.query(&format!("SELECT * FROM {read}"));
        let mut found: Vec<(String, usize)> = rows[0]
            .as_object()
            .unwrap()
            .iter()
            // In a CSV file the head of a column that a spreadsheet would take for a formula is disarmed, as its cells are.
            .map(|(name, value)| {
                (
                    name.strip_prefix("'@").map_or(name.clone(), |rest| format!("@{rest}")),
                    usize::try_from(value.as_u64().unwrap()).unwrap(),
                )
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "{read}");
    }
}

#[test]
fn odd_keys_are_names_in_sql_and_partitions() {
    let record = json!({"a.b": 1, "a b": "x/y", "@t": {"x.y": 2, "": 3}, "say \"hi\"": 4, "Id": 5, "id": 6});
    let bench = bench(
        &record,
        r#"sinks: {lake: {jsonl: {url: ./lake, partition_by: ['a b']}, where: '"a.b" = 1'}}
transform: SELECT "a.b", "a b", "@t"['x.y'] AS xy, "say ""hi""" AS hi, "Id" + id AS both FROM records"#,
    );
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; unknown");
    assert_eq!(bench.lines()[0], json!({"a.b": 1, "a b": "x/y", "xy": 2, "hi": 4, "both": 11}));
    let path = bench.landed().into_iter().find(|path| path.ends_with(".jsonl")).unwrap();
    assert!(path.contains("/a%20b=x%2Fy/"), "{path}");
}

#[test]
fn twins_the_empty_key_and_nul_land_as_they_are() {
    let record =
        json!({"id": 1, "Id": 2, "ID": {"x": 3, "X": 4}, "": 5, "a\u{0}b": 6, "nested": {"": 7, "a.b": 8, "\n": 9}});
    let bench = bench(&record, SINKS);
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; unknown");
    let parquet: Vec<String> =
        files(&bench.workspace.path("lake")).into_iter().filter(|path| path.ends_with(".parquet")).collect();
    let order = json!({"files": parquet, "records": [record.to_string()], "decimals": [], "times": [], "json": []});
    assert_eq!(python::run("same_rows.py", &[], &order.to_string()), json!({"rows": 1, "different": []}));
    let lines = bench.query("SELECT content FROM read_text('{dir}/lines/**/*.jsonl')");
    let line: Value = serde_json::from_str(lines[0]["content"].as_str().unwrap()).unwrap();
    assert_eq!(line, record);
}

#[test]
fn a_record_of_three_thousand_columns_lands() {
    let record: Value = (0..3000).map(|at| (format!("column_{at}"), json!(at))).collect();
    let bench = bench(&record, "sinks: {lake: {parquet: {url: ./lake}}}");
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; unknown");
    let path = bench.workspace.path("lake");
    let parquet = format!("SELECT * FROM read_parquet('{}/**/*.parquet', hive_partitioning = false)", path.display());
    assert_eq!(duck::columns(&parquet).len(), 3000);
    assert_eq!(duck::rows(&parquet)[0]["column_2999"], 2999);
}

/// `DuckDB`'s `union_by_name` takes the one column of an early file for the other of a later one.
#[test]
fn columns_that_differ_in_case_alone_are_told() {
    let bench = bench(&json!({"name": 1, "Name": 2, "id": 3}), SINKS);
    let ran = bench.run();
    let told = ran.report["jobs"][0]["warnings"][0].as_str().unwrap();
    assert!(told.starts_with("columns whose names differ in case alone: `Name`, `name`: DuckDB"), "{ran:?}");
}
