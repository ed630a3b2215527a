//! Columns of nothing but nulls, and what comes into them later: the files of all days are one table, whoever reads them.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, files};
use crate::support::python;

/// The start of the first day, 2026-01-02.
const FIRST: &str = "1767312000";

const TODAY: &str = "2026-01-04T12:00:00Z";

/// What comes into the column, its type by hand, and how DuckDB and Polars call the type.
fn values() -> Vec<(Value, &'static str, &'static str, &'static str)> {
    vec![
        (json!(7), "int64", "BIGINT", "Int64"),
        (json!(0.5), "float64", "DOUBLE", "Float64"),
        (json!("x"), "string", "VARCHAR", "String"),
        (json!(true), "bool", "BOOLEAN", "Boolean"),
        (json!([1, 2]), "list<int64>", "BIGINT[]", "List(Int64)"),
        (json!([[]]), "list<list<int64>>", "BIGINT[][]", "List(List(Int64))"),
        (json!({"a": 1}), "struct<a: int64>", "STRUCT(a BIGINT)", "Struct({'a': Int64})"),
    ]
}

/// An API of two days: `before` lies in the first, `after` in the second.
fn days(before: Value, after: Value) -> Api {
    Api::start(move |request| {
        let is_first = request.query.get("from").is_some_and(|from| from == FIRST);
        let (n, v) = if is_first { (1, &before) } else { (2, &after) };
        Answer::json(&json!([{"n": n, "v": v}]))
    })
}

const JOB: &str = "records: '.[]'
window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to}
paginate: none";

fn read(bench: &Bench) -> Value {
    let found: Vec<String> =
        files(&bench.workspace.path("lake")).into_iter().filter(|path| path.ends_with(".parquet")).collect();
    python::run("read_together.py", &[], &json!({"files": found}).to_string())
}

#[test]
fn a_column_of_nulls_joins_its_files_with_its_first_value() {
    for (value, _, duck, polars) in values() {
        let bench = Bench::new(days(Value::Null, value.clone()));
        bench.job(&format!("{JOB}\nsinks: {{lake: {{parquet: {{url: ./lake}}}}, text: {{csv: {{url: ./text}}}}}}"));
        let first = bench.run();
        assert_eq!(first.fine(), "20260102T000000Z landed: 1 of 1; unknown");
        assert_eq!(
            first.report["jobs"][0]["warnings"],
            json!([
                "`v` holds nothing but nulls: it joins the Parquet files with its first value, or its type in `schema.columns`"
            ])
        );
        let text = bench.query("SELECT n, v FROM read_csv('{dir}/text/**/*.csv', all_varchar = true)");
        assert_eq!(text, [json!({"n": "1", "v": null})], "text keeps the column");
        let shown = bench.workspace.tidegate(&["schema", "show", "pipeline.yaml", "--state", "state"]).run();
        assert!(shown.stdout.contains(" v ") && shown.stdout.contains("only nulls"), "{shown:?}");
        if value != json!([[]]) {
            let ran = bench.run_at(TODAY, &[]);
            assert_eq!(ran.fine(), "20260103T000000Z landed: 1 of 1; unknown");
            assert_eq!(ran.report["jobs"][0]["warnings"], Value::Null);
            let found = read(&bench);
            for reader in ["duckdb", "pyarrow", "unified", "polars"] {
                assert_eq!(found[reader]["values"], json!([null, value]), "{value} by {reader}: {found}");
            }
            assert_eq!((&found["duckdb"]["type"], &found["polars"]["type"]), (&json!(duck), &json!(polars)), "{found}");
        }
    }
}

#[test]
fn a_type_by_hand_is_in_the_files_from_the_first_day() {
    for (value, kind, duck, polars) in values() {
        let bench = Bench::new(days(Value::Null, value.clone()));
        bench.job(&format!(
            "{JOB}\nschema: {{columns: {{v: '{kind}'}}}}\nsinks: {{lake: {{parquet: {{url: ./lake}}}}}}"
        ));
        let ran = bench.run();
        assert_eq!(ran.fine(), "20260102T000000Z landed: 1 of 1; unknown");
        assert_eq!(ran.report["jobs"][0]["warnings"], Value::Null);
        bench.run_at(TODAY, &[]).fine();
        let found = read(&bench);
        for reader in ["duckdb", "pyarrow", "unified", "polars"] {
            assert_eq!(found[reader]["values"], json!([null, value]), "{value} by {reader}: {found}");
        }
        assert_eq!((&found["duckdb"]["type"], &found["polars"]["type"]), (&json!(duck), &json!(polars)), "{found}");
    }
}

#[test]
fn a_field_of_nulls_joins_its_struct() {
    let bench = Bench::new(days(json!({"a": 1, "b": null}), json!({"a": 2, "b": [3]})));
    bench.job(&format!("{JOB}\nsinks: {{lake: {{parquet: {{url: ./lake}}}}}}"));
    let ran = bench.run();
    assert_eq!(ran.fine(), "20260102T000000Z landed: 1 of 1; unknown");
    let warnings = ran.report["jobs"][0]["warnings"].to_string();
    assert!(warnings.contains("`v.b` holds nothing but nulls"), "{warnings}");
    bench.run_at(TODAY, &[]).fine();
    let found = read(&bench);
    for reader in ["duckdb", "pyarrow", "unified", "polars"] {
        assert_eq!(found[reader]["values"], json!([{"a": 1, "b": null}, {"a": 2, "b": [3]}]), "{reader}: {found}");
    }
}

#[test]
fn rows_of_nothing_but_nulls_are_rows() {
    let bench = Bench::new(Api::always(Answer::json(&json!([{"b": null, "a": null}, {"a": null}]))));
    bench.job(
        "records: '.[]'\nsnapshot: every_run\npaginate: none\nsinks: {lake: {parquet: {url: ./lake, partition_by: [b]}}}",
    );
    bench.run().fine();
    let rows = bench.query("SELECT count(*) AS rows FROM read_parquet('{dir}/lake/**/*.parquet')");
    assert_eq!(rows, [json!({"rows": 2})]);
}
