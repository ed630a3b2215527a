//! Types by hand, from the API's JSON to what another reader finds in the files.

use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::bench::Bench;
use crate::support::duck;

const JOB: &str = r#"records: '.[]'
snapshot: latest
paginate: none
schema:
  columns:
    amount: decimal(38, 2)
    at: timestamp(ms)
    wall: timestamp("%d/%m/%Y %H:%M", "Europe/Rome")
    day: date
    n: int64
    tags: list<string>
sinks:
  lake: {parquet: {url: ./lake}}
  csv: {csv: {url: ./csv}, where: n > 1}
  lines: {jsonl: {url: ./lines}}
transform: SELECT n, amount, at, wall, day, tags[1] AS tag FROM records"#;

#[test]
fn types_by_hand_reach_the_files_with_every_digit() {
    let bench = Bench::new(Api::always(Answer::bytes(
        r#"[{"n": "1", "amount": 123456789012345678901234567890123456.78, "at": 1767225600123, "wall": "25/10/2026 02:30",
             "day": "2026-02-28", "tags": [true, 5, "x"]},
            {"n": 2, "amount": "-0.10", "at": "1767225600123", "wall": "29/03/2026 02:30", "day": null}]"#,
    )));
    bench.job(JOB);
    assert_eq!(bench.run().fine(), "latest landed: 2 of 2; unknown");
    let parquet = format!(
        "SELECT * FROM read_parquet('{}/**/*.parquet', hive_partitioning = false)",
        bench.workspace.path("lake").display()
    );
    let types: Vec<String> = duck::columns(&parquet).into_iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    assert_eq!(
        types,
        [
            "n BIGINT",
            "amount DECIMAL(38,2)",
            "at TIMESTAMP WITH TIME ZONE",
            "wall TIMESTAMP WITH TIME ZONE",
            "day DATE",
            "tag VARCHAR"
        ]
    );
    let expected = [
        json!({"n": 1, "amount": "123456789012345678901234567890123456.78", "at": "2026-01-01T00:00:00.123000Z",
               "wall": "2026-10-25T00:30:00.000000Z", "day": "2026-02-28", "tag": "true"}),
        json!({"n": 2, "amount": "-0.10", "at": "2026-01-01T00:00:00.123000Z", "wall": "2026-03-29T01:30:00.000000Z",
               "day": null, "tag": null}),
    ];
    assert_eq!(duck::rows(&format!("{parquet} ORDER BY n")), expected);
    let csv = bench.query("SELECT * FROM read_csv('{dir}/csv/**/*.csv', all_varchar = true)");
    assert_eq!(csv[0]["amount"], "-0.10");
    // DuckDB reads the numbers of JSON as doubles; the text itself has every digit.
    let lines = bench.query("SELECT content FROM read_text('{dir}/lines/**/*.jsonl')");
    assert!(
        lines[0]["content"].as_str().unwrap().contains(r#""amount":123456789012345678901234567890123456.78,"#),
        "{lines:?}"
    );
}

#[test]
fn what_does_not_fit_a_type_by_hand_goes_to_quarantine_with_the_reason() {
    let bench = Bench::new(Api::always(Answer::json(&json!([
        {"n": 1, "amount": 1.005}, {"n": 2, "at": "yesterday"}, {"n": 3, "wall": "2026-10-25"}, {"n": 4, "day": "31.12.2026"},
        {"n": 5, "tags": ["a", {}]}, {"n": 6}
    ]))));
    bench.job(JOB);
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 1 of 6, 5 quarantined; unknown");
    let bad = bench.query(
        "SELECT \"column\", reason FROM read_json('{dir}/state/test/quarantine/**/*.jsonl') ORDER BY \"column\"",
    );
    let told: Vec<String> = bad
        .iter()
        .map(|row| format!("{}: {}", row["column"].as_str().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    amount: expected decimal(38, 2), got number 1.005
    at: expected timestamp(ms), got string "yesterday"
    day: expected date written as '%Y-%m-%d', got string "31.12.2026"
    tags[]: expected string, got an empty object
    wall: expected timestamp written as '%d/%m/%Y %H:%M' in Europe/Rome, got string "2026-10-25"
    "#);
}

/// Ten rows, the third and the seventh of them bad, with one field that nobody knows.
fn two_bad_rows() -> Bench {
    let rows = (0..10).map(|n| match n {
        3 | 7 => json!({"n": n, "score": "n/a"}),
        n => json!({"n": n, "score": n, "extra": n}),
    });
    Bench::new(Api::always(Answer::json(&rows.collect())))
}

fn with_schema(bench: &Bench, schema: &str) {
    bench.job(&format!(
        "records: '.[]'\nsnapshot: latest\npaginate: none\nschema: {{columns: {{score: int64}}, {schema}}}"
    ));
}

#[test]
fn a_slice_may_have_so_many_bad_rows_and_no_more() {
    for (schema, failure) in [
        ("max_bad_rows: 2", None),
        ("max_bad_rows: 20%", None),
        ("max_bad_rows: 1", Some("2 of 10 rows are bad, and `max_bad_rows` allows 1")),
        ("max_bad_rows: 19.5%", Some("2 of 10 rows are bad, and `max_bad_rows` allows 19.5%")),
        ("bad_rows: fail", Some("2 of 10 rows are bad, and `bad_rows: fail` allows none")),
    ] {
        let bench = two_bad_rows();
        with_schema(&bench, schema);
        match failure {
            None => assert_eq!(bench.run().fine(), "latest landed: 8 of 10, 2 quarantined; unknown"),
            Some(failure) => {
                let found = bench.failure();
                let first = r#"the first: `score` expected int64, got string "n/a": {"n":3,"score":"n/a"}"#;
                assert!(found.contains(failure) && found.contains(first), "{found}");
            }
        }
    }
}

#[test]
fn values_that_do_not_fit_may_be_null() {
    let bench = two_bad_rows();
    with_schema(&bench, "bad_rows: 'null'");
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 10 of 10; unknown");
    assert_eq!(ran.report["jobs"][0]["slices"][0]["rows"]["nulled_values"], 2);
    assert_eq!(
        ran.report["jobs"][0]["warnings"][0],
        r#"`score` expected int64, got string "n/a": such values are null"#
    );
    let nulls = bench.query("SELECT n FROM read_json('{dir}/lake/**/*.jsonl') WHERE score IS NULL ORDER BY n");
    assert_eq!(nulls, [json!({"n": 3}), json!({"n": 7})]);
}

#[test]
fn fields_that_are_left_out_are_counted() {
    let bench = Bench::new(Api::start(|request| {
        let rows = if request.number("old") == 1 {
            json!([{"n": 1}])
        } else {
            json!([{"n": 1, "new": 2}, {"n": 2, "new": 3}])
        };
        Answer::json(&rows)
    }));
    let job = |old: u8| {
        let job = format!(
            "records: '.[]'\nsnapshot: latest\npaginate: none\nschema: {{contract: discard}}\nquery: {{old: {old}}}"
        );
        bench.job(&job);
    };
    job(1);
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; unknown");
    job(0);
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 2 of 2; unknown");
    assert_eq!(ran.report["jobs"][0]["slices"][0]["rows"]["discarded_fields"], 2);
}
