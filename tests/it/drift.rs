//! Yesterday's files and today's API, which has changed: what each contract does, and that the files of both days are one table.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, Ran};

const TODAY: &str = "2026-01-04T12:00:00Z";

/// The start of the first day, 2026-01-02.
const FIRST: &str = "1767312000";

/// What changed, the columns of yesterday's rows, and those of the first of today's; the second is as yesterday.
fn changes() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("added", json!({"v": 1}), json!({"v": 1, "w": true})),
        ("int_to_float", json!({"v": 1}), json!({"v": 1.5})),
        ("int_to_string", json!({"v": 1}), json!({"v": "one"})),
        ("null_to_type", json!({"v": null}), json!({"v": "one"})),
        ("object_to_list", json!({"v": {"a": 1}}), json!({"v": [{"a": 1}]})),
        ("removed", json!({"v": 1, "u": 1}), json!({"u": 1})),
        // DuckDB takes no notice of case: in a file with `V` and `v` it calls the second `v_1`.
        ("renamed_by_case", json!({"v": 1}), json!({"V": 1})),
        ("scalar_to_object", json!({"v": 1}), json!({"v": {"a": 1}})),
    ]
}

fn with_id(id: u64, columns: &Value) -> Value {
    let mut row = columns.clone();
    row["id"] = json!(id);
    row
}

/// A pipeline of a job for each change, each a window a day.
fn bench(schema: &str) -> Bench {
    let api = Api::start(|request| {
        let change = changes().into_iter().find(|(name, ..)| request.path == format!("/{name}"));
        let (_, before, after) = change.unwrap_or_else(|| panic!("{request:?}"));
        let is_first = request.query.get("from").is_some_and(|from| from == FIRST);
        let rows = if is_first { [(1, &before), (2, &before)] } else { [(3, &after), (4, &before)] };
        Answer::json(&rows.into_iter().map(|(id, columns)| with_id(id, columns)).collect())
    });
    let bench = Bench::new(api);
    jobs(&bench, schema);
    bench
}

fn jobs(bench: &Bench, schema: &str) {
    let job = |name: &str| {
        format!(
            "  {name}:
    get: /{name}
    records: '.[]'
    window: {{every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to}}
    paginate: none
    schema: {{{schema}}}
    sinks: {{lake: {{parquet: {{url: './lake/{name}'}}}}}}
"
        )
    };
    bench.jobs(&changes().iter().map(|(name, ..)| job(name)).collect::<String>());
}

/// Says what became of each job's rows, and what DuckDB reads of both days together.
fn told(bench: &Bench, ran: &Ran) -> String {
    let table = |(name, ..): &(&str, Value, Value)| {
        format!(
            "(SELECT '{name}' AS name, string_agg(to_json(t)::VARCHAR, ' ' ORDER BY id) AS rows, any_value(typeof(v)) AS kind FROM \
             (FROM read_parquet('{{dir}}/lake/{name}/**/*.parquet', union_by_name = true) UNION ALL BY NAME SELECT NULL AS v WHERE false) t)"
        )
    };
    let sql = changes().iter().map(table).collect::<Vec<_>>().join(" UNION ALL ");
    let tables = bench.query(&format!("SELECT * FROM ({sql}) ORDER BY name"));
    let mut lines = Vec::new();
    for (job, table) in ran.report["jobs"].as_array().unwrap().iter().zip(&tables) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(job["job"], table["name"]);
        let slice = &job["slices"].as_array().unwrap()[0];
        let count = |name: &str| slice["rows"][name].as_u64().unwrap();
        let names = ["quarantined", "discarded_fields", "nulled_values"];
        let others: String = names
            .map(|name| (name, count(name)))
            .iter()
            .filter(|(_, rows)| *rows > 0)
            .fold(String::new(), |others, (name, rows)| format!("{others}, {rows} {name}"));
        let failed =
            slice["error"].as_str().map(|error| format!("; {}", error.split("; the first").next().unwrap_or(error)));
        let failed = failed.unwrap_or_default();
        lines.push(format!(
            "{} {}: {}{others}{failed}",
            text(&job["job"]),
            text(&slice["outcome"]),
            count("transformed")
        ));
        lines.push(format!("  v {}: {}", text(&table["kind"]), text(&table["rows"])));
    }
    lines.join("\n")
}

fn both_days(schema: &str) -> String {
    let bench = bench(schema);
    for line in bench.run().fine().lines() {
        assert_eq!(line, "20260102T000000Z landed: 2 of 2; unknown");
    }
    let ran = bench.run_at(TODAY, &[]);
    told(&bench, &ran)
}

#[test]
fn under_evolve_columns_join_and_other_types_cost_their_rows() {
    insta::assert_snapshot!(both_days("contract: evolve"), @r#"
    added landed: 2
      v BIGINT: {"id":1,"v":1,"w":null} {"id":2,"v":1,"w":null} {"id":3,"v":1,"w":true} {"id":4,"v":1,"w":null}
    int_to_float landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    int_to_string landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    null_to_type landed: 2
      v VARCHAR: {"id":1,"v":null} {"id":2,"v":null} {"id":3,"v":"one"} {"id":4,"v":null}
    object_to_list landed: 1, 1 quarantined
      v STRUCT(a BIGINT): {"id":1,"v":{"a":1}} {"id":2,"v":{"a":1}} {"id":4,"v":{"a":1}}
    removed landed: 2
      v BIGINT: {"id":1,"u":1,"v":1} {"id":2,"u":1,"v":1} {"id":3,"u":1,"v":null} {"id":4,"u":1,"v":1}
    renamed_by_case landed: 2
      v BIGINT: {"id":1,"v":1,"v_1":null} {"id":2,"v":1,"v_1":null} {"id":3,"v":1,"v_1":null} {"id":4,"v":null,"v_1":1}
    scalar_to_object landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    "#);
}

#[test]
fn under_evolve_values_that_do_not_fit_may_be_null() {
    insta::assert_snapshot!(both_days("contract: evolve, bad_rows: 'null'"), @r#"
    added landed: 2
      v BIGINT: {"id":1,"v":1,"w":null} {"id":2,"v":1,"w":null} {"id":3,"v":1,"w":true} {"id":4,"v":1,"w":null}
    int_to_float landed: 2, 1 nulled_values
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":3,"v":null} {"id":4,"v":1}
    int_to_string landed: 2, 1 nulled_values
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":3,"v":null} {"id":4,"v":1}
    null_to_type landed: 2
      v VARCHAR: {"id":1,"v":null} {"id":2,"v":null} {"id":3,"v":"one"} {"id":4,"v":null}
    object_to_list landed: 2, 1 nulled_values
      v STRUCT(a BIGINT): {"id":1,"v":{"a":1}} {"id":2,"v":{"a":1}} {"id":3,"v":null} {"id":4,"v":{"a":1}}
    removed landed: 2
      v BIGINT: {"id":1,"u":1,"v":1} {"id":2,"u":1,"v":1} {"id":3,"u":1,"v":null} {"id":4,"u":1,"v":1}
    renamed_by_case landed: 2
      v BIGINT: {"id":1,"v":1,"v_1":null} {"id":2,"v":1,"v_1":null} {"id":3,"v":1,"v_1":null} {"id":4,"v":null,"v_1":1}
    scalar_to_object landed: 2, 1 nulled_values
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":3,"v":null} {"id":4,"v":1}
    "#);
}

#[test]
fn under_evolve_a_row_that_does_not_fit_may_fail_its_slice() {
    insta::assert_snapshot!(both_days("contract: evolve, bad_rows: fail"), @r#"
    added landed: 2
      v BIGINT: {"id":1,"v":1,"w":null} {"id":2,"v":1,"w":null} {"id":3,"v":1,"w":true} {"id":4,"v":1,"w":null}
    int_to_float failed: 0; 1 of 2 rows are bad, and `bad_rows: fail` allows none
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1}
    int_to_string failed: 0; 1 of 2 rows are bad, and `bad_rows: fail` allows none
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1}
    null_to_type landed: 2
      v VARCHAR: {"id":1,"v":null} {"id":2,"v":null} {"id":3,"v":"one"} {"id":4,"v":null}
    object_to_list failed: 0; 1 of 2 rows are bad, and `bad_rows: fail` allows none
      v STRUCT(a BIGINT): {"id":1,"v":{"a":1}} {"id":2,"v":{"a":1}}
    removed landed: 2
      v BIGINT: {"id":1,"u":1,"v":1} {"id":2,"u":1,"v":1} {"id":3,"u":1,"v":null} {"id":4,"u":1,"v":1}
    renamed_by_case landed: 2
      v BIGINT: {"id":1,"v":1,"v_1":null} {"id":2,"v":1,"v_1":null} {"id":3,"v":1,"v_1":null} {"id":4,"v":null,"v_1":1}
    scalar_to_object failed: 0; 1 of 2 rows are bad, and `bad_rows: fail` allows none
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1}
    "#);
}

#[test]
fn under_freeze_a_new_column_costs_its_row() {
    insta::assert_snapshot!(both_days("contract: freeze"), @r#"
    added landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    int_to_float landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    int_to_string landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    null_to_type landed: 1, 1 quarantined
      v "NULL": {"id":1,"v":null} {"id":2,"v":null} {"id":4,"v":null}
    object_to_list landed: 1, 1 quarantined
      v STRUCT(a BIGINT): {"id":1,"v":{"a":1}} {"id":2,"v":{"a":1}} {"id":4,"v":{"a":1}}
    removed landed: 2
      v BIGINT: {"id":1,"u":1,"v":1} {"id":2,"u":1,"v":1} {"id":3,"u":1,"v":null} {"id":4,"u":1,"v":1}
    renamed_by_case landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    scalar_to_object landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    "#);
}

#[test]
fn under_discard_a_new_column_is_left_out() {
    insta::assert_snapshot!(both_days("contract: discard"), @r#"
    added landed: 2, 1 discarded_fields
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":3,"v":1} {"id":4,"v":1}
    int_to_float landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    int_to_string landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    null_to_type landed: 1, 1 quarantined
      v "NULL": {"id":1,"v":null} {"id":2,"v":null} {"id":4,"v":null}
    object_to_list landed: 1, 1 quarantined
      v STRUCT(a BIGINT): {"id":1,"v":{"a":1}} {"id":2,"v":{"a":1}} {"id":4,"v":{"a":1}}
    removed landed: 2
      v BIGINT: {"id":1,"u":1,"v":1} {"id":2,"u":1,"v":1} {"id":3,"u":1,"v":null} {"id":4,"u":1,"v":1}
    renamed_by_case landed: 2, 1 discarded_fields
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":3,"v":null} {"id":4,"v":1}
    scalar_to_object landed: 1, 1 quarantined
      v BIGINT: {"id":1,"v":1} {"id":2,"v":1} {"id":4,"v":1}
    "#);
}
