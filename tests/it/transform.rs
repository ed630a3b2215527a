//! The transform stage through the binary: reference tables, expectations, and functions of our field.

use std::fs;

use object_store::ObjectStoreExt as _;
use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, Ran};
use crate::support::s3::S3;

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
    let each = bench(&rows());
    job(&each, "expect: [{sql: score > 5}, {sql: id > 0}]");
    insta::assert_snapshot!(each.failure(), @"1: 20260103T120000Z: expectation not met: `score > 5` isn't true in 2 of 3 rows; it is null in 1; nothing of the slice has landed: if its rows are right, change `expect`");
    let wrong = bench(&rows());
    job(&wrong, "expect: [{sql: 'count(*)'}]");
    insta::assert_snapshot!(wrong.failure(), @"1: 20260103T120000Z: expect: `count(*)` is Int64, not a condition: compare it with something");
    let unknown = bench(&rows());
    job(&unknown, "expect: [{not_null: [scor]}]");
    insta::assert_snapshot!(unknown.failure(), @"1: 20260103T120000Z: pipeline.yaml:10:26: expect: there is no column `scor` (did you mean `score`?) (a text stands in single quotes); there are `id`, `score`");
}

#[test]
fn a_slice_with_no_rows_is_checked_as_well() {
    let bench = bench(&json!([]));
    job(&bench, "expect: [{sql: count(*) > 0}]");
    insta::assert_snapshot!(bench.failure(), @"1: 20260103T120000Z: expectation not met: `count(*) > 0` is false; nothing of the slice has landed: if its rows are right, change `expect`");
    job(&bench, "expect: [{sql: 'coalesce(max(score), 0) < 5'}]\ntransform: SELECT score FROM records");
    let ran = bench.run();
    assert_eq!(ran.fine(), "20260103T120000Z landed: 0 of 0; unknown");
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"].to_string(), @r#"["an expectation can't be checked before the first row has come: expect: there is no column `score`; there are none; if only some rows have it, give it a type: `schema: {columns: {score: string}}`","no row has ever landed: 1 slice came with none; the first request was GET /rows; if there must be rows, check what is asked for, and `records`; `tidegate preview` shows an answer"]"#);
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

#[test]
fn html_becomes_text_and_json_is_reached_into() {
    let rows = json!([
        {"id": 1, "msg": "<b>5</b> hosts<br>on <a href=x>eth0</a> &amp; more", "j": {"a": [1, {"b": "x"}], "big": 18_446_744_073_709_551_615_u64}},
        {"id": 2, "msg": null, "j": {"a": "none", "big": 1.5}},
    ]);
    let bench = bench(&rows);
    job(
        &bench,
        "schema: {columns: {j: json}}\ntransform: |\n  SELECT id, html_text(msg) AS msg, json_get_str(j, 'a', 1, 'b') AS b, json_get_int(j, 'a', 0) AS first,
         json_as_text(j, 'big') AS big, json_length(j) AS n FROM records",
    );
    bench.run().fine();
    assert_eq!(
        bench.lines(),
        [
            json!({"id": 1, "msg": "5 hosts\non eth0 & more", "b": "x", "first": 1, "big": "18446744073709551615", "n": 2}),
            json!({"id": 2, "msg": null, "b": null, "first": null, "big": "1.5", "n": 2}),
        ]
    );
}

#[test]
fn the_window_of_a_slice_is_at_hand_in_sql() {
    let bench = bench(&json!([{"id": 1}]));
    let window = "window: {every: 12h, start: 2026-01-03T00:00:00Z, as: epoch_s, from: query.from, to: query.to}";
    bench.job(&format!(
        "records: '.[]'\npaginate: none\n{window}
expect: [{{sql: 'max(_window_end) > min(_window_start)'}}]
transform: SELECT id, _window_start, _window_end AS until FROM records WHERE _window_start < now()
sinks: {{lake: {{parquet: {{url: ./lake}}}}, none: {{jsonl: {{url: ./none}}, where: until <= _window_start}}}}"
    ));
    let ran = bench.run();
    assert_eq!(ran.fine(), "20260103T000000Z landed: 1 of 1; unknown");
    assert_eq!(ran.report["jobs"][0]["slices"][0]["sinks"]["none"]["filtered"], 1);
    let rows = bench.query("SELECT * FROM read_parquet('{dir}/lake/**/*.parquet', hive_partitioning = false)");
    let expected =
        json!({"id": 1, "_window_start": "2026-01-03T00:00:00.000000Z", "until": "2026-01-03T12:00:00.000000Z"});
    assert_eq!(rows, [expected]);
}

/// What a pipeline file with this SQL is refused for, with the place.
fn refused(more: &str) -> String {
    let bench = bench(&json!([{"id": 1}]));
    job(&bench, more);
    let outcome = bench.workspace.tidegate(&["validate", "pipeline.yaml"]).run();
    assert_eq!(outcome.code, Some(2), "{more}: {outcome:?}");
    outcome.stderr
}

#[test]
fn sql_that_is_no_select_over_the_slice_is_refused_at_its_place() {
    for (sql, place, message) in [
        ("COPY records TO 'x'", 16, "only one SELECT is allowed here"),
        ("DROP TABLE records", 16, "only one SELECT is allowed here"),
        ("INSERT INTO records VALUES (1)", 16, "only one SELECT is allowed here"),
        ("SET x = 1", 16, "only one SELECT is allowed here"),
        ("SELECT 1; SELECT 2", 26, "only one SELECT is allowed here"),
        ("SELECT * FROM '/etc/passwd'", 30, "there is no table"),
        ("SELECT * FROM read_csv('/etc/passwd')", 30, "there is no table function `read_csv`"),
        ("SELECT random() FROM records", 23, "random() is refused"),
        ("SELECT id, uuid() FROM records", 27, "uuid() is refused"),
        ("SELECT json_get(id, 'a') FROM records", 23, "json_get() has no type of its own"),
        ("SELECT id ->> 'a' FROM records", 23, "`->>` isn't an operator here"),
        ("SELECT _window_start FROM records", 23, "`_window_start` is an edge of the slice's window"),
    ] {
        let told = refused(&format!("transform: {sql}"));
        assert!(told.contains(message), "{sql}: {told}");
        assert!(told.contains(&format!("pipeline.yaml:10:{place}")), "{sql}: {told}");
    }
}

#[test]
fn tables_in_a_bucket_join() {
    let s3 = S3::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (key, text) in [
            ("ref/sites.csv", "code,city\n1,Roma\n"),
            ("ref/days/b.jsonl", "{\"id\": 2, \"day\": \"b\"}\n"),
            ("ref/days/a.jsonl", "{\"id\": 1, \"day\": \"a\"}\n"),
            ("ref/days/_hidden.jsonl", "no json"),
            ("ref/days/deeper/c.jsonl", "no json"),
        ] {
            s3.client().put(&key.into(), text.into()).await.unwrap();
        }
    });
    let bench = bench(&json!([{"id": 1}, {"id": 2}]));
    job(
        &bench,
        "tables: {sites: {csv: 's3://lake/ref/sites.csv'}, days: {json: 's3://lake/ref/days/'}}
transform: SELECT r.id, s.city, d.day FROM records r LEFT JOIN sites s ON CAST(s.code AS BIGINT) = r.id JOIN days d ON d.id = r.id ORDER BY r.id",
    );
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", NOW];
    Ran::of(s3.env(bench.workspace.tidegate(&arguments)).run()).fine();
    let expected = [json!({"id": 1, "city": "Roma", "day": "a"}), json!({"id": 2, "city": null, "day": "b"})];
    assert_eq!(bench.lines(), expected);
    let none = self::bench(&json!([{"id": 1}]));
    job(&none, "tables: {t: {csv: 's3://lake/ref/gone'}}\ntransform: SELECT r.id FROM records r JOIN t ON t.id = r.id");
    let ran = Ran::of(s3.env(none.workspace.tidegate(&arguments)).run());
    let told = ran.errors().join("\n");
    assert!(told.contains("s3://lake/ref/gone") && told.contains("there is no such object"), "{told}");
}

#[test]
fn a_preview_shows_every_stage() {
    let bench = bench(&json!([{"id": 1, "day": "2026-01-02", "x": 1.50}, {"id": "no", "day": null, "x": 2}]));
    job(
        &bench,
        "schema: {columns: {day: date, id: int64}}\ntransform: SELECT id, day FROM records
sinks: {lake: {parquet: {url: ./lake, partition_by: [day]}}, none: {csv: {url: ./none}, where: id > 5}}",
    );
    let preview = |output: &str| {
        let arguments = ["preview", "pipeline.yaml", "rows", "--now", NOW, "--output", output];
        let outcome = bench.workspace.tidegate(&arguments).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        bench.workspace.redact(&outcome.stdout)
    };
    let text = preview("text");
    let mut rest = text.as_str();
    for part in [
        "slice: 20260103T120000Z\nrequest: GET /rows\n",
        "first record, as it came:\n{\"id\":1,\"day\":\"2026-01-02\",\"x\":1.5}\n",
        "records: 2 received, 1 in quarantine\n",
        "date",
        "2026-01-02",
        "quarantine: `id` expected int64, got string \"no\"",
        "rows that would land:\n",
        "sink lake: ",
        "/day=2026-01-02/test-rows-20260103T120000Z-g1-00000.parquet (1 row)\n",
        "sink none: ",
        "left out by its `where`: 1 row\n",
    ] {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no {part} in {rest} of {text}"));
        rest = after;
    }
    let json: serde_json::Value = serde_json::from_str(&preview("json")).unwrap();
    assert_eq!(json["raw"], json!({"id": 1, "day": "2026-01-02", "x": 1.5}));
    assert_eq!(json["typed"], json!({"id": 1, "day": "2026-01-02", "x": 1.5}));
    assert_eq!(json["rows"], json!([{"id": 1, "day": "2026-01-02"}]));
    assert_eq!(json["sinks"][0]["files"][0]["rows"], 1);
    assert!(json["sinks"][0]["files"][0]["path"].as_str().unwrap().contains("day=2026-01-02/"), "{json:#}");
    assert_eq!(json["sinks"][1]["filtered"], 1);
    assert!(!bench.workspace.path("lake").exists());
}
