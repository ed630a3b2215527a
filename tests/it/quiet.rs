//! Rows that could be lost or doubled without a word: bad rows, replaced slices, boundaries, runs that were killed.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, files};

/// What a server holds; tests change it between runs.
type Held = Arc<Mutex<Vec<Value>>>;

/// Starts a server whose list is cut by `offset`, `after` (of `id`), `from` and `to` (of `t`), two rows a page where it is cut by the
/// first two.
fn server(rows: &[Value]) -> (Bench, Held) {
    let held: Held = Arc::new(Mutex::new(rows.to_vec()));
    let list = Arc::clone(&held);
    let api = Api::start(move |request| {
        let (after, from, to) =
            (request.number("after") as i64, request.number("from") as i64, request.number("to") as i64);
        let fits = |row: &&Value| {
            let id = row["id"].as_i64().unwrap_or(i64::MAX);
            let t = row["t"].as_i64().or_else(|| row["t"].as_str()?.parse().ok()).unwrap_or_default();
            let after = row["seq"]
                .as_i64()
                .filter(|_| request.query.contains_key("by_seq"))
                .map_or(id > after, |seq| seq >= after);
            after && (to == 0 || (t >= from && t <= to))
        };
        let rows: Vec<Value> = list.lock().unwrap().iter().filter(fits).cloned().collect();
        let pages = request.query.contains_key("offset") || request.query.contains_key("sort");
        let size = if pages { request.number("size").max(2) } else { usize::MAX };
        let some: Vec<&Value> = rows.iter().skip(request.number("offset")).take(size).collect();
        Answer::json(&json!({"total": rows.len(), "items": some}))
    });
    (Bench::new(api), held)
}

fn ids(rows: &[Value]) -> Vec<i64> {
    let mut ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

const LIST: &str = "records: '.items[]'\nsnapshot: latest\npaginate: none";
const PAGES: &str = "records: '.items[]'\nsnapshot: every_run\nquery: {offset: 0}
paginate: {offset: {into: query.offset, size: 2}, total: .total}";
const SEEK: &str = "records: '.items[]'\nquery: {sort: id}\nincremental: {cursor: id, start: 0, rows_per_slice: 2}
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}";
/// Two days, of which the second is read again in every run.
const DAYS: &str = "records: '.items[]'\nquery: {from: 0, to: 0}\npaginate: none
window: {every: 1d, lookback: 1d, start: 2026-01-01T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: to_timestamp_seconds(t)}";
const FIRST_DAY: i64 = 1_767_225_600;
const SECOND_DAY: i64 = FIRST_DAY + 86_400;

#[test]
fn a_row_that_does_not_fit_lies_in_quarantine() {
    let (bench, held) = server(&[json!({"id": 1, "n": 5}), json!({"id": 2, "n": 6})]);
    bench.job(&format!("{PAGES}\nkey: id"));
    assert_eq!(bench.run().fine(), "20260103T120000Z landed: 2 of 2; complete");
    *held.lock().unwrap() =
        vec![json!({"id": 3, "n": "seven"}), json!({"id": 4, "n": 8}), json!({"id": null, "n": 9}), json!(7)];
    let ran = bench.run_at("2026-01-03T13:00:00Z", &[]);
    assert_eq!(ran.fine(), "20260103T130000Z landed: 1 of 4, 3 quarantined; unknown", "a 7 may stand for anything");
    assert_eq!(ids(&bench.lines()), [1, 2, 4]);
    let bad: Vec<String> = bench.quarantine().iter().map(ToString::to_string).collect();
    assert_snapshot!(bad.join("\n"), @r#"
{"reason":"expected int64, got string \"seven\"","column":"n","request":"GET /rows?offset=0","page":1,"row":"{\"id\":3,\"n\":\"seven\"}"}
{"reason":"expected an object, got integer 7","column":"","request":"GET /rows?offset=2","page":2,"row":"7"}
{"reason":"is null, and `key` names it","column":"id","request":"GET /rows?offset=2","page":2,"row":"{\"id\":null,\"n\":9}"}
"#);
    let text =
        bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--now", "2026-01-03T14:00:00Z"]).run();
    assert!(text.stdout.contains("rows: 3 rows in quarantine"), "{}", text.stdout);
    assert_snapshot!(text.stdout.lines().find(|line| line.contains("rows in quarantine")).unwrap(), @r#"rows: 3 rows in quarantine; the first: `n` expected int64, got string "seven"; `tidegate quarantine show pipeline.yaml rows --state state` has the reasons"#);
}

#[test]
fn bad_rows_alone_are_progress() {
    let good = json!({"id": 9});
    let rows: Vec<Value> = (1..=7).map(|id| json!({"id": format!("bad {id}")})).collect();
    let (bench, held) = server(std::slice::from_ref(&good));
    bench.job(&format!("{PAGES}\nkey: id")).run().fine();
    *held.lock().unwrap() = [rows, vec![good]].concat();
    assert_eq!(
        bench.run_at("2026-01-03T13:00:00Z", &[]).fine(),
        "20260103T130000Z landed: 1 of 8, 7 quarantined; complete"
    );
}

#[test]
fn records_that_are_odd() {
    let odd = r#"{"items": [{"id": 1, "id": 2}, {"id": 3}, null, [1], "x", {}]}"#;
    let bench = Bench::new(Api::always(Answer::bytes(odd)));
    let ran = bench.job(LIST).run();
    assert_eq!(ran.fine(), "latest landed: 2 of 6, 4 quarantined; unknown");
    let reasons: Vec<String> =
        bench.quarantine().iter().map(|bad| format!("{}: {}", bad["reason"].as_str().unwrap(), bad["row"])).collect();
    assert_snapshot!(reasons.join("\n"), @r#"
expected each key once, got the key twice: "{\"id\": 1, \"id\": 2}"
expected an object, got null: "null"
expected an object, got a list: "[1]"
expected an object, got string "x": "\"x\""
"#);
}

#[test]
fn good_rows_are_not_replaced_by_bad_ones() {
    let rows = [json!({"id": 1, "t": FIRST_DAY}), json!({"id": 2, "t": SECOND_DAY})];
    let (bench, held) = server(&rows);
    bench.job(DAYS).run().fine();
    held.lock().unwrap()[1]["t"] = json!(SECOND_DAY.to_string());
    let ran = bench.run();
    assert_eq!(ran.code(), 1);
    assert_snapshot!(ran.errors().join("\n"), @r#"20260102T000000Z: rows of the slice that have landed would go to quarantine: 0 fit now, and 1 did, so 1 at least; what landed stays; the first: `t` expected int64, got string "1767312000": {"id":2,"t":"1767312000"}; see `tidegate schema diff`, and let `schema.columns` hold both; if the source has changed for good, `--allow-shrink` replaces what landed"#);
    assert_eq!((ids(&bench.lines()), bench.quarantine().len()), (vec![1, 2], 0));
    assert_eq!(
        bench.run_at(NOW, &["--allow-shrink"]).fine(),
        "20260102T000000Z landed: 0 of 1, 1 quarantined; unknown"
    );
    assert_eq!((ids(&bench.lines()), bench.quarantine().len()), (vec![1], 1));
    // The whole list of a snapshot is kept as well.
    let (bench, held) = server(&rows);
    bench.job(LIST).run().fine();
    *held.lock().unwrap() = vec![json!({"id": "1"})];
    assert_eq!(bench.run().code(), 1);
    assert_eq!(ids(&bench.lines()), [1, 2]);
}

#[test]
fn a_window_that_shrank_stays() {
    let (bench, held) = server(&[json!({"id": 1, "t": SECOND_DAY}), json!({"id": 2, "t": SECOND_DAY + 1})]);
    bench.job(DAYS).run().fine();
    held.lock().unwrap().pop();
    let ran = bench.run();
    assert_eq!(ran.code(), 1);
    assert_snapshot!(ran.errors().join("\n"), @"20260102T000000Z: the slice has 1 row now, and 2 rows landed before, so what landed stays: the source may have purged its history, rows that changed may lie in another slice now, or the job was edited (`records`, `query`) and leaves rows out; where fewer are right, `--allow-shrink` replaces what landed, and an edit that is for later slices only is taken in by `--accept future`");
    assert_eq!(ids(&bench.lines()), [1, 2]);
}

#[test]
fn a_row_outside_of_a_window_may_come_or_not() {
    let row = |id: u8, t: i64| json!({"id": id, "t": t});
    let (bench, held) = server(&[row(1, SECOND_DAY), row(2, SECOND_DAY + 1), row(3, SECOND_DAY + 86_400)]);
    bench.job(&format!("{DAYS}\nkey: id")).run().fine();
    held.lock().unwrap().pop();
    assert_eq!(bench.run().fine(), "20260102T000000Z unchanged: 2 of 2; unknown");
    assert_eq!(ids(&bench.lines()), [1, 2]);
}

#[test]
fn json_says_nothing_of_which_version_is_the_latest() {
    let (bench, _) = server(&[json!({"id": 1, "t": 9}), json!({"id": 1, "t": 10}), json!({"id": 2, "t": "n/a"})]);
    bench.job(&format!("{LIST}\nkey: id\nlatest_by: t"));
    assert_snapshot!(bench.failure(), @"1: latest: the rows' `key` can't be used: `latest_by` is the column `t`, which is json, so its values have no order: give it a type in `schema.columns`, or write an expression in `latest_by` that makes a number or a time of it, such as `TRY_CAST(t AS DOUBLE)`");
    bench.job(&format!("{LIST}\nkey: id\nlatest_by: TRY_CAST(t AS DOUBLE)")).run().fine();
    let landed: Vec<String> = bench.lines().iter().map(ToString::to_string).collect();
    assert_snapshot!(landed.join("\n"), @r#"
    {"id":1,"t":"10"}
    {"id":2,"t":"\"n/a\""}
    "#);
}

#[test]
fn a_row_that_does_not_land_replaces_none() {
    let (bench, _) = server(&[
        json!({"id": 1, "t": SECOND_DAY, "v": "good"}),
        json!({"id": 1, "t": null, "v": "bad"}),
        json!({"id": 2, "t": SECOND_DAY, "v": "old"}),
        json!({"id": 2, "t": SECOND_DAY, "v": "new"}),
        json!({"id": 2, "t": SECOND_DAY + 86_400, "v": "tomorrow's"}),
    ]);
    // The server pads its answer with rows that have no time.
    bench.job(
        &DAYS
            .replace("query: {from: 0, to: 0}", "key: id\nquery: {x: 0, y: 0}")
            .replace("query.from", "query.x")
            .replace("query.to,", "query.y,")
            .replace("start: 2026-01-01", "start: 2026-01-02"),
    );
    let rows = bench.run().fine();
    let mut left: Vec<String> = bench.lines().iter().map(|row| row["v"].as_str().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["good", "new"], "{rows}");
}

#[test]
fn what_is_read_again_unchanged_is_not_doubled() {
    let (bench, held) = server(&[json!({"id": 1, "t": FIRST_DAY}), json!({"id": 2, "t": SECOND_DAY})]);
    bench.job(DAYS).run().fine();
    held.lock().unwrap().push(json!({"id": "three", "t": SECOND_DAY}));
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 1 of 2, 1 quarantined; unknown");
    let files = bench.landed();
    assert_eq!(bench.run().fine(), "20260102T000000Z unchanged: 1 of 2, 1 quarantined; unknown");
    assert_eq!(bench.landed(), files, "nothing staged is left behind");
    assert_eq!((ids(&bench.lines()), bench.quarantine().len()), (vec![1, 2], 1));
}

#[test]
fn an_increment_of_bad_rows_alone_is_told_and_lands_once() {
    let (bench, held) = server(&[json!({"id": 1}), json!({"id": 2})]);
    bench.job(
        &SEEK
            .replace("cursor: id", "cursor: seq")
            .replace("paginate:", "key: id\nschema: {columns: {seq: int64}}\npaginate:"),
    );
    let failure = bench.failure();
    assert_snapshot!(failure, @r#"1: s0-0: all 2 rows after the cursor 0 are bad, so there is nothing to go on from: they are read again, and go to quarantine with the next good row; the first: `seq` gives null for `incremental.cursor`: {"id":1}; check `incremental.cursor` and `schema.columns` against it"#);
    assert_eq!(bench.failure(), failure, "told in every run, as long as it is so");
    held.lock().unwrap().push(json!({"id": 3, "seq": 3}));
    assert_eq!(bench.run().rows(), "s0-0 landed: 1 of 3, 2 quarantined; complete");
    assert_eq!((ids(&bench.lines()), bench.quarantine().len()), (vec![3], 2));
    assert_eq!(bench.run().fine(), "");
    // Once the chain has begun, a bad row at its end is told, and waits for a good one.
    held.lock().unwrap().push(json!({"id": 4, "seq": "four"}));
    let ran = bench.run();
    assert_eq!((ran.fine().as_str(), ids(&bench.lines())), ("", vec![3]));
    assert_snapshot!(ran.report["jobs"][0]["warnings"][0].as_str().unwrap(), @r#"all 1 rows after the cursor 3 are bad, so there is nothing to go on from: they are read again, and go to quarantine with the next good row; the first: `seq` expected int64, got string "four": {"id":4,"seq":"four"}; check `incremental.cursor` and `schema.columns` against it"#);
    held.lock().unwrap().push(json!({"id": 5, "seq": 5}));
    assert_eq!(bench.run().fine(), "s0-3 landed: 1 of 2, 1 quarantined; complete");
    assert_eq!((ids(&bench.lines()), bench.quarantine().len()), (vec![3, 5], 3));
}

#[test]
fn equal_cursors_stay_together() {
    let rows: Vec<Value> =
        [1, 2, 2, 2, 2, 3, 4, 4].iter().enumerate().map(|(at, seq)| json!({"id": at + 1, "seq": seq})).collect();
    let (bench, held) = server(&rows);
    let job = |size: usize| {
        let by_seq = SEEK.replace("cursor: id", "cursor: seq").replace("$last.id", "$last.seq");
        let by_seq = by_seq
            .replace("exclusive", "inclusive")
            .replace("{sort: id}", &format!("{{by_seq: 1, sort: seq, size: {size}}}"));
        format!("{by_seq}\nkey: id")
    };
    // Four rows are equal, and the server gives two at a time: those that can't be reached aren't skipped.
    let ran = bench.job(&job(2)).run();
    assert_eq!(ran.code(), 3);
    assert_snapshot!(ran.errors().join("\n"), @"s0-1: GET /rows?by_seq=1&sort=seq&size=2&after=3: paging can't go on: more rows share the seek value 2 than a page of 2 holds, so the rows after them can't be reached; raise 'size', or seek by a value with fewer equals");
    assert_eq!(ids(&bench.lines()), [1]);
    let rows = bench.job(&job(6)).run().fine();
    assert_eq!(ids(&bench.lines()), [1, 2, 3, 4, 5, 6, 7, 8], "{rows}");
    assert!(rows.lines().count() > 1, "{rows}");
    held.lock().unwrap().push(json!({"id": 9, "seq": 5}));
    bench.run().fine();
    assert_eq!(ids(&bench.lines()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn increments_that_would_miss_rows_are_refused() {
    let (bench, _) = server(&[json!({"id": 1, "seq": 10}), json!({"id": 2, "seq": 20}), json!({"id": 3, "seq": 30})]);
    bench.job(&SEEK.replace("cursor: id", "cursor: seq"));
    assert_snapshot!(bench.failure(), @"1: s0-0: GET /rows?sort=id&after=0: the last row has the seek value 2 and the cursor 20: the next slice begins at the cursor, so rows would be missed; make `paginate.seek.value` and `incremental.cursor` the same");
    let (bench, _) = server(&[json!({"id": 10}), json!({"id": 2})]);
    bench.job(&SEEK.replace("rows_per_slice: 2", "rows_per_slice: 9"));
    assert_snapshot!(bench.failure(), @"1: s0-0: GET /rows?sort=id&after=0: a row with the cursor 2 comes after one with 10: the server doesn't sort by what `incremental.cursor` reads, so rows would be missed; ask it to sort by that, upwards, as a number where it is one, or, where it can't, write `order: any`");
}

#[test]
fn a_new_column_reads_as_one_table_with_the_old_ones() {
    let (bench, held) = server(&[json!({"id": 1, "t": FIRST_DAY, "maybe": null})]);
    let job = format!("{DAYS}\nsinks: {{lake: {{parquet: {{url: ./lake}}}}}}");
    bench.job(&job).run().fine();
    held.lock().unwrap().push(json!({"id": 2, "t": SECOND_DAY, "maybe": "now", "more": {"deep": [1]}}));
    bench.run().fine();
    let found = bench.query("SELECT id, maybe, more.deep AS deep FROM read_parquet('{dir}/lake/**/*.parquet', union_by_name = true) ORDER BY id");
    assert_eq!(found, [json!({"id": 1, "maybe": null, "deep": null}), json!({"id": 2, "maybe": "now", "deep": [1]})]);
}

#[test]
fn slices_that_are_empty_or_fail_before_there_is_a_schema() {
    let (bench, held) = server(&[]);
    bench.job(DAYS);
    assert_eq!(
        bench.run().fine(),
        "20260101T000000Z landed: 0 of 0; unknown\n20260102T000000Z landed: 0 of 0; unknown"
    );
    held.lock().unwrap().push(json!({"id": 1, "t": SECOND_DAY}));
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 1 of 1; unknown");
    let broken = Arc::new(Mutex::new(true));
    let still = Arc::clone(&broken);
    let bench = Bench::new(Api::start(move |request| match request.number("from") as i64 {
        FIRST_DAY if *still.lock().unwrap() => Answer::bytes("").status(404),
        day => Answer::json(&json!({"items": [{"id": day / 86_400, "t": day}]})),
    }));
    let ran = bench.job(DAYS).run();
    assert_eq!((ran.code(), ids(&bench.lines())), (3, vec![SECOND_DAY / 86_400]), "{ran:?}");
    *broken.lock().unwrap() = false;
    assert_eq!(bench.run().rows().lines().next(), Some("20260101T000000Z landed: 1 of 1; unknown"));
    assert_eq!(bench.lines().len(), 2);
}

fn listed(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.workspace.path("lake/_tidegate/files.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let mut paths = Vec::new();
    collect_paths(&manifest, &mut paths);
    paths.sort();
    paths
}

fn collect_paths(value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            paths.extend(map.get("path").and_then(Value::as_str).map(|path| format!("lake/{path}")));
            map.values().for_each(|value| collect_paths(value, paths));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_paths(value, paths)),
        _ => {}
    }
}

#[test]
fn a_replaced_snapshot_goes_and_others_in_its_root_stay() {
    let (bench, held) = server(&[json!({"id": 1})]);
    let landing =
        "get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {lake: {jsonl: {url: ./lake}}}";
    bench.jobs(&format!("  one: {{{landing}}}\n"));
    let other = format!(
        "version: 1\nname: other\nsource: {{base_url: '{}'}}\njobs:
  two: {{{landing}, for_each: {{values: [a, b], as: letter}}, query: {{x: '{{{{ letter }}}}'}}}}\n",
        bench.api.url()
    );
    bench.workspace.write("other.yaml", &other);
    let run = || {
        bench.run().fine();
        let ran = bench.workspace.tidegate(&["run", "other.yaml", "--state", "state", "--now", NOW]).run();
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    run();
    assert_eq!((ids(&bench.lines()), listed(&bench)), (vec![1, 1, 1], bench.landed()));
    let first = bench.landed();
    held.lock().unwrap().push(json!({"id": 2}));
    run();
    assert_eq!((ids(&bench.lines()), listed(&bench)), (vec![1, 1, 1, 2, 2, 2], bench.landed()));
    assert!(bench.landed().iter().all(|path| !first.contains(path)), "{first:?} {:?}", bench.landed());
}

#[test]
fn a_run_that_is_killed_leaves_nothing_and_is_made_good() {
    let (reached, at_the_third_page) = channel();
    let (first_run, reached) = (Mutex::new(true), Mutex::new(reached));
    let bench = Bench::new(Api::start(move |request| {
        let offset = request.number("offset");
        if offset == 4 && std::mem::take(&mut *first_run.lock().unwrap()) {
            reached.lock().unwrap().send(()).unwrap();
            return Answer::never();
        }
        Answer::json(&json!({"total": 6, "items": (offset..6).take(2).map(|id| json!({"id": id})).collect::<Vec<_>>()}))
    }));
    bench.job(PAGES);
    let running = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--now", NOW]).spawn();
    at_the_third_page.recv().unwrap();
    running.kill();
    assert_eq!(bench.landed(), Vec::<String>::new());
    let rows = bench.run_at("2026-01-03T18:00:00Z", &[]).fine();
    assert!(rows.starts_with("20260103T120000Z landed: 6 of 6; complete"), "{rows}");
    let by_snapshot = bench.query("SELECT snapshot, count(DISTINCT id) AS n, count(*) AS rows FROM read_json('{dir}/lake/**/*.jsonl', hive_partitioning = true) GROUP BY 1 ORDER BY 1");
    assert!(by_snapshot.iter().all(|row| row["n"] == 6 && row["rows"] == 6), "{by_snapshot:?}");
}

#[test]
fn no_secret_is_ever_said() {
    // Longer than a quotation, so that one may begin and end within it.
    let secret: String = (0..30).map(|n| format!("s3cr3t{n}+T0k/en=")).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(format!("me:{secret}"));
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let kinds = [
        "basic: {username: me, password: '${SECRET}'}",
        "bearer: '${SECRET}'",
        "header: {name: x-api-key, value: 'Token ${SECRET}'}",
        "query: {name: api_key, value: '${SECRET}'}",
        "form: {name: token, value: '${SECRET}'}",
    ];
    for kind in kinds {
        for status in [200, 401] {
            // The server echoes all that it was sent.
            let bench = Bench::new(Api::start(move |request| {
                let mut sent: BTreeMap<String, String> = request.headers.clone();
                sent.extend(request.query.clone());
                sent.extend(request.form());
                sent.remove("user-agent");
                Answer::bytes(format!("{} {}", json!(sent), request.body)).status(status)
            }));
            let verb = if kind.starts_with("form") { "post: /rows, form: {a: b}" } else { "get: /rows" };
            let landing = |name: &str| format!("snapshot: latest, sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}}}");
            let (rows, child) = (landing("rows"), landing("child"));
            bench.file(&format!(
                "source: {{base_url: '{}', auth: {{{kind}}}, retry: {{attempts: 2, max_delay: 1ms}}}}\njobs:
  rows: {{{verb}, records: '.items[]', paginate: none, {rows}}}
  parent: {{{verb}, records: '.items[]', paginate: none}}
  child: {{{verb}, for_each: {{rows_of: parent, as: p, key: id}}, query: {{p: '{{{{ p.id }}}}'}}, records: '.items[]', paginate: none, {child}}}\n",
                bench.api.url()
            ));
            let state = ["--state", "state"];
            let verbs =
                [("run", &state[..], Some(1)), ("plan", &state[..], Some(0)), ("preview", &["child"][..], Some(1))];
            let mut said = Vec::new();
            for (verb, arguments, code) in verbs {
                let run = bench.workspace.tidegate(&[&[verb, "pipeline.yaml"], arguments].concat());
                let ran = run.env("SECRET", &secret).env("TIDEGATE_LOG", "trace").run();
                assert_eq!(ran.code, code, "{kind}: {ran:?}");
                said.extend([ran.stdout, ran.stderr]);
            }
            let asked = bench.api.asked();
            assert!(asked.len() >= 2, "{kind}: {asked:?}");
            said.extend(
                files(&bench.workspace.path("state")).into_iter().filter_map(|path| fs::read_to_string(path).ok()),
            );
            assert!(said.iter().any(|text| text.contains("[redacted]")), "{kind} {status}: {said:?}");
            for form in [&secret, &base64, &encoded] {
                for at in (0..form.len() - 12).step_by(6) {
                    let part = &form[at..at + 12];
                    let found = said.iter().find(|text| text.contains(part));
                    assert!(found.is_none(), "{kind} {status}: {part} in {}", found.unwrap());
                }
            }
        }
    }
}
