//! The transform stage through the binary: reference tables, expectations, and functions of our field.

use std::fs;

use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::bench::Bench;

fn bench(rows: &serde_json::Value) -> Bench {
    Bench::new(Api::always(Answer::json(rows)))
}

fn job(bench: &Bench, more: &str) {
    bench.job(&format!("records: '.[]'\nsnapshot: every_run\npaginate: none\n{more}"));
}

#[test]
fn tables_of_every_kind_join() {
    let rows = json!([{"id": 1, "site": "007"}, {"id": 2, "site": "8"}, {"id": 3, "site": "9"}]);
    let first = bench(&rows);
    job(&first, "sinks: {lake: {parquet: {url: ./lake}}}\ntransform: SELECT id, id * 10 AS tenfold FROM records");
    first.run().fine();
    let parquet = fs::read_dir(first.workspace.path("lake")).unwrap().map(|entry| entry.unwrap().path());
    let parquet = parquet.into_iter().find(|path| path.to_str().unwrap().contains("snapshot=")).unwrap();
    let bench = bench(&rows);
    fs::create_dir_all(bench.workspace.path("ref/json")).unwrap();
    bench.workspace.write("ref/sites.csv", "code,city\n007,\"Köln, Dom\"\n8,\n");
    bench.workspace.write("ref/json/b.jsonl", "{\"id\": 3, \"big\": 18446744073709551615}\n");
    bench.workspace.write("ref/json/a.jsonl", "{\"id\": 1, \"big\": 18446744073709551614}\n\n");
    bench.workspace.write("ref/json/notes.txt", "not a table");
    job(
        &bench,
        &format!(
            "tables: {{sites: {{csv: ref/sites.csv}}, bigs: {{json: ref/json}}, tens: {{parquet: '{}'}}}}
transform: |
  SELECT r.id, s.city, b.big, t.tenfold FROM records r
  LEFT JOIN sites s ON s.code = r.site LEFT JOIN bigs b ON b.id = r.id LEFT JOIN tens t ON t.id = r.id ORDER BY r.id",
            parquet.display()
        ),
    );
    assert_eq!(bench.run().fine(), "20260103T120000Z landed: 3 of 3; unknown");
    let rows = bench.query(
        "SELECT * FROM read_json('{dir}/lake/**/*.jsonl', hive_partitioning = false,
           columns = {id: 'INT', city: 'VARCHAR', big: 'UBIGINT', tenfold: 'INT'}) ORDER BY id",
    );
    assert_eq!(
        rows,
        [
            json!({"id": 1, "city": "Köln, Dom", "big": u64::MAX - 1, "tenfold": 10}),
            json!({"id": 2, "city": null, "big": null, "tenfold": 20}),
            json!({"id": 3, "city": null, "big": u64::MAX, "tenfold": 30}),
        ]
    );
}

#[test]
fn a_table_that_cannot_be_read_fails_the_job_with_the_reason() {
    let bench = bench(&json!([{"id": 1}]));
    let fails = |tables: &str| {
        job(&bench, &format!("tables: {{t: {tables}}}\ntransform: SELECT r.id FROM records r JOIN t ON t.id = r.id"));
        bench.failure().replace(&bench.workspace.path("").display().to_string(), "")
    };
    bench.workspace.write("bad.json", "{\"id\": 1}\n{\"id\": 1, \"id\": 2}\n");
    bench.workspace.write("no.parquet", "PAR1");
    fs::create_dir_all(bench.workspace.path("empty")).unwrap();
    fs::create_dir_all(bench.workspace.path("two")).unwrap();
    bench.workspace.write("two/a.csv", "id,x\n1,2\n");
    bench.workspace.write("two/b.csv", "id,y\n1,2\n");
    let told: Vec<String> =
        ["{csv: gone.csv}", "{json: bad.json}", "{parquet: no.parquet}", "{csv: empty}", "{csv: two}"]
            .into_iter()
            .map(fails)
            .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    1: the table `t` can't be read from gone.csv (a relative path counts from the pipeline file): No such file or directory (os error 2)
    1: the table `t` can't be read from bad.json (a relative path counts from the pipeline file): record 2 doesn't fit: `id` expected each key once, got the key twice
    1: the table `t` can't be read from no.parquet (a relative path counts from the pipeline file): EOF: Parquet file too small. Size is 4 but need 8
    1: the table `t` can't be read from empty (a relative path counts from the pipeline file): the folder has no file that ends in .csv
    1: the table `t` can't be read from two (a relative path counts from the pipeline file): the files have different columns: id Utf8, x Utf8, and id Utf8, y Utf8
    ");
}

#[test]
fn expectations_fail_a_slice_or_warn() {
    let rows = || json!([{"id": 1, "score": 5}, {"id": 2, "score": null}, {"id": 2, "score": 7}]);
    let met = bench(&rows());
    job(&met, "expect: [{sql: 'count(*) = 3'}, {not_null: id}, {unique: [id, score]}]");
    assert_eq!(met.run().fine(), "20260103T120000Z landed: 3 of 3; unknown");
    let unmet = bench(&rows());
    job(
        &unmet,
        "expect: [{sql: 'max(score) > 7'}, {not_null: [score]}, {unique: id}, {sql: count(*) > 9, severity: warn}]",
    );
    insta::assert_snapshot!(unmet.failure(), @"1: 20260103T120000Z: expectation not met: `max(score) > 7` is false; `score` is null in 1 row; `id` isn't unique: 1 value comes more than once; 2 comes in 2 rows; nothing of the slice has landed: if its rows are right, change `expect`");
    let warned = bench(&rows());
    job(&warned, "expect: [{unique: id, severity: warn}, {sql: count(*) > 9, severity: warn}]");
    let ran = warned.run();
    assert_eq!(ran.fine(), "20260103T120000Z landed: 3 of 3; unknown");
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"].to_string(), @r#"["expectation not met: `id` isn't unique: 1 value comes more than once; 2 comes in 2 rows","expectation not met: `count(*) > 9` is false"]"#);
    let wrong = bench(&rows());
    job(&wrong, "expect: [{sql: 'count(*)'}]");
    insta::assert_snapshot!(wrong.failure(), @"1: 20260103T120000Z: expect: `count(*)` is Int64, not a condition: compare it with something");
    let unknown = bench(&rows());
    job(&unknown, "expect: [{not_null: [scor]}]");
    insta::assert_snapshot!(unknown.failure(), @"1: 20260103T120000Z: expect: there is no column `scor` (did you mean `score`?) (a text stands in single quotes); there are `id`, `score`");
}

#[test]
fn a_slice_with_no_rows_is_checked_as_well() {
    let bench = bench(&json!([]));
    job(&bench, "expect: [{sql: count(*) > 0}]");
    insta::assert_snapshot!(bench.failure(), @"1: 20260103T120000Z: expectation not met: `count(*) > 0` is false; nothing of the slice has landed: if its rows are right, change `expect`");
    job(&bench, "expect: [{sql: 'coalesce(max(score), 0) < 5'}]\ntransform: SELECT score FROM records");
    let ran = bench.run();
    assert_eq!(ran.fine(), "20260103T120000Z landed: 0 of 0; unknown");
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"].to_string(), @r#"["an expectation can't be checked before the first row has come: expect: there is no column `score`; there are none; if only some rows have it, give it a type: `schema: {columns: {score: string}}`"]"#);
}

#[test]
fn addresses_and_networks() {
    let bench = bench(&json!([{"ip": "10.1.2.3"}, {"ip": "2001:db8::1"}, {"ip": "printer.lan"}, {"ip": null}]));
    job(&bench, "transform: SELECT ip, ip_in(ip, '10.0.0.0/8') AS inside, ip_version(ip) AS version FROM records");
    bench.run().fine();
    let rows = bench.query("SELECT ip, inside, version FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY ip NULLS LAST");
    assert_eq!(
        rows,
        [
            json!({"ip": "10.1.2.3", "inside": true, "version": 4}),
            json!({"ip": "2001:db8::1", "inside": false, "version": 6}),
            json!({"ip": "printer.lan", "inside": false, "version": null}),
            json!({"ip": null, "inside": null, "version": null}),
        ]
    );
}
