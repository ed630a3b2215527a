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
    tags[]: expected string, got an object
    wall: expected timestamp written as '%d/%m/%Y %H:%M' in Europe/Rome, got string "2026-10-25"
    "#);
}
