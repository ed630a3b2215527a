//! Child requests: the detail of each entry, typed like any other column, asked for once, and never lost without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW, files};

/// A list of entries, five of them, in pages; `t` is an hour of the second of January.
fn list(request: &Request) -> Answer {
    let rows: Vec<Value> = (1..=5)
        .map(|id| json!({"id": id, "owner": id % 2, "t": format!("2026-01-02T0{id}:00:00Z")}))
        .skip(request.number("offset"))
        .take(2)
        .collect();
    Answer::json(&json!({"success": 1, "total": 5, "items": rows}))
}

/// The list, and `detail` for everything else.
fn api(detail: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Api {
    Api::start(move |request| {
        let id = request.path.rsplit('/').next().unwrap().parse().unwrap_or_default();
        if request.path == "/rows" { list(request) } else { detail(request, id) }
    })
}

const PAGED: &str = "records: '.items[]'\nsnapshot: latest\nquery: {offset: 0}
paginate: {offset: {into: query.offset, size: 2}, total: .total}\n";

fn children(bench: &Bench) -> Vec<String> {
    bench.api.asked().into_iter().map(|request| request.path).filter(|path| path != "/rows").collect()
}

fn detail(id: usize) -> Answer {
    Answer::bytes(format!(r#"{{"success":1,"data":{{"n":900719925474099{id},"price":0.1{id},"text":"é{id}"}}}}"#))
}

#[test]
fn the_detail_of_each_row_is_a_column_with_every_digit() {
    let bench = Bench::new(api(|_, id| detail(id)));
    bench.job(&format!(
        "{PAGED}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', query: {{o: '{{{{ row.owner }}}}'}}, value: .data}}}}
key: id
transform: SELECT id, detail.n AS n, detail.price AS price, detail.text AS text FROM records
sinks: {{lake: {{parquet: {{url: ./lake}}}}}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 5 of 5; complete");
    let found = bench.query("SELECT id, n, price, text FROM read_parquet('{dir}/lake/**/*.parquet') ORDER BY id");
    let row = |id: i64| json!({"id": id, "n": 9_007_199_254_740_990 + id, "price": format!("0.1{id}").parse::<f64>().unwrap(), "text": format!("é{id}")});
    assert_eq!(found, (1..=5).map(row).collect::<Vec<_>>());
    assert_eq!(children(&bench).sorted(), ["/d/1", "/d/2", "/d/3", "/d/4", "/d/5"]);
    let asked = bench.api.asked();
    let child = asked.iter().find(|request| request.path == "/d/3").unwrap();
    assert_eq!(child.query.iter().collect::<Vec<_>>(), [(&"o".to_owned(), &"1".to_owned())], "{child:?}");
    assert_eq!(bench.run().fine(), "latest unchanged: 5 of 5; complete");
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<String> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn equal_requests_are_sent_once_and_a_later_column_sees_an_earlier_one() {
    let bench = Bench::new(api(|request, id| {
        let name = if request.path.starts_with("/o/") { format!("owner {id}") } else { request.query["of"].clone() };
        Answer::json(&json!({"name": name, "next": id + 10}))
    }));
    bench.job(&format!(
        "{PAGED}enrich:
  owner_name: {{get: '/o/{{{{ row.owner }}}}', value: .}}
  boss: {{get: '/b/{{{{ row.owner_name.next }}}}', query: {{of: '{{{{ row.owner_name.name }}}}'}}, value: '.name + \"!\"'}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 5 of 5; complete");
    let found =
        bench.query("SELECT id, owner_name.name AS name, boss FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    let row = |id: i64| json!({"id": id, "name": format!("owner {}", id % 2), "boss": format!("owner {}!", id % 2)});
    assert_eq!(found, (1..=5).map(row).collect::<Vec<_>>());
    assert_eq!(children(&bench).sorted(), ["/b/10", "/b/11", "/o/0", "/o/1"]);
}

/// Answers for entry 2 and 4 by errors of two kinds.
fn two_are_gone(_: &Request, id: usize) -> Answer {
    match id {
        2 => Answer::json(&json!({"success": 0, "error": "no such entry 2"})),
        4 => Answer::json(&json!({"error": "gone"})).status(404),
        _ => detail(id),
    }
}

fn lastline(bench: &Bench, on_error: &str) {
    bench.file(&format!(
        "source: {{base_url: {}, concurrency: 1, retry: {{attempts: 2, max_delay: 1ms}}, success: '.success == 1', error_message: .error,
  auth_failed: '.error_code == 3001', empty: '.total == 0 or .success == 0', auth: {{bearer: '${{TOKEN}}'}}}}
jobs:\n  rows:\n    get: /rows\n    {}
    enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .data{on_error}}}}}
    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n",
        bench.api.url(),
        PAGED.trim().replace('\n', "\n    ")
    ));
}

#[test]
fn a_detail_that_is_gone_keeps_its_row_where_that_is_wanted_and_is_reported() {
    let bench = Bench::new(api(two_are_gone));
    lastline(&bench, ", on_error: 'null'");
    let ran = run_with_token(&bench);
    assert_eq!(ran.fine(), "latest landed: 5 of 5; complete");
    let found = bench.query("SELECT id, detail.text AS text FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    let text = |id: i64| (id % 2 == 1).then(|| format!("é{id}"));
    assert_eq!(found, (1..=5).map(|id| json!({"id": id, "text": text(id)})).collect::<Vec<_>>());
    insta::assert_snapshot!(bench.workspace.redact(&ran.report["jobs"][0]["warnings"].to_string()), @r#"["slice latest: `detail` is null in 2 of 5 rows, whose child requests were answered by an error; the first: GET /d/2: status 200 after 1 try: 'success' is not true; it says: no such entry 2; body: {\"success\":0,\"error\":\"no such entry 2\"}; check the request, and the source's success and error_message"]"#);
}

fn run_with_token(bench: &Bench) -> crate::support::bench::Ran {
    bench.run_with(NOW, &[], &[("TOKEN", "hunter2-and-more")])
}

#[test]
fn a_detail_that_is_gone_fails_the_slice_and_is_named() {
    let bench = Bench::new(api(two_are_gone));
    lastline(&bench, "");
    let ran = run_with_token(&bench);
    assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{ran:?}");
    insta::assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @r#"latest: `enrich.detail` of row 2 of GET /rows?offset=0: GET /d/2: status 200 after 1 try: 'success' is not true; it says: no such entry 2; body: {"success":0,"error":"no such entry 2"}; check the request, and the source's success and error_message"#);
}

/// What says nothing of one row is never taken for a detail that isn't there.
#[test]
fn what_is_wrong_with_more_than_one_row_fails_the_slice_whatever_on_error_says() {
    type Case = (&'static str, fn(usize) -> Answer, &'static str);
    let cases: [Case; 5] = [
        ("no connection", |_| Answer::bytes("{").header("content-length", "99").torn(), ""),
        ("overload", |_| Answer::json(&json!({"success": 0})).status(503), ""),
        ("a refused credential", |_| Answer::json(&json!({"success": 0, "error_code": 3001})), ""),
        ("a rule that fails", |_| Answer::json(&json!([1])), ""),
        ("an expression that fails", |_| Answer::json(&json!({"success": 1, "data": 1})), "data.n"),
    ];
    let mut said = String::new();
    for (what, answer, value) in cases {
        let bench = Bench::new(api(move |_, id| if id == 4 { answer(id) } else { detail(id) }));
        lastline(&bench, ", on_error: 'null'");
        if !value.is_empty() {
            let file = std::fs::read_to_string(bench.workspace.path("pipeline.yaml")).unwrap();
            bench.workspace.write("pipeline.yaml", &file.replace("value: .data,", &format!("value: .{value},")));
        }
        let ran = run_with_token(&bench);
        assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{what}: {ran:?}");
        said.push_str(&format!("{what}: {}\n", bench.workspace.redact(&ran.errors().join("\n"))));
    }
    insta::assert_snapshot!(said, @r#"
    no connection: latest: `enrich.detail` of row 2 of GET /rows?offset=2: GET /d/4: the body is incomplete after 2 tries to http://127.0.0.1:[PORT] (error reading a body from connection: end of file before message length reached); the answer is cut off or garbled on its way; ask for smaller pages, and look at the proxies between
    overload: latest: `enrich.detail` of row 2 of GET /rows?offset=2: GET /d/4: status 503 after 2 tries: the server answered 503 Service Unavailable; body: {"success":0}; look at the server's own log, or run later
    a refused credential: latest: `enrich.detail` of row 2 of GET /rows?offset=2: the server refused the credential, so no job sends it again in this run; the first refusal: GET /d/4: status 200 after 1 try: the server refused the credential; body: {"success":0,"error_code":3001}; check auth, and that the account isn't locked out
    a rule that fails: latest: `enrich.detail` of row 2 of GET /rows?offset=2: GET /d/4: status 200 after 1 try: the answer can't be judged; 'auth_failed' can't be evaluated on the answer: the jq program failed: cannot index [1] with "error_code"; 'success' can't be evaluated on the answer: the jq program failed…; body: [1]; check the request, and the source's success and error_message
    an expression that fails: latest: `enrich.detail` of row 2 of GET /rows?offset=2: GET /d/4: the jq of `enrich.value` failed: the jq program failed: cannot index 1 with "n"
    "#);
}

/// A session is renewed for a child request too; where that doesn't help, the account has no right, which is no detail that is gone.
#[test]
fn a_session_that_has_no_right_to_one_detail_is_no_detail_that_is_gone() {
    let expired = AtomicBool::new(true);
    let bench = Bench::new(api(move |request, id| match id {
        _ if request.path == "/login" => Answer::json(&json!({"success": 1})).header("set-cookie", "s=hunter2-session"),
        2 if expired.swap(false, Ordering::SeqCst) => Answer::json(&json!({"success": 0, "error_code": 3001})),
        4 => Answer::json(&json!({"success": 0, "error_code": 3001})),
        _ => detail(id),
    }));
    lastline(&bench, ", on_error: 'null'");
    let file = std::fs::read_to_string(bench.workspace.path("pipeline.yaml")).unwrap();
    let login = "auth: {login: {post: /login, form: {password: '${TOKEN}'}, success: '.success == 1'}}";
    bench.workspace.write("pipeline.yaml", &file.replace("auth: {bearer: '${TOKEN}'}", login));
    let ran = run_with_token(&bench);
    assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{ran:?}");
    let error = ran.errors().join("\n");
    assert!(error.starts_with("latest: `enrich.detail` of row 2 of GET /rows?offset=2: GET /d/4: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let children = children(&bench);
    assert_eq!(children.iter().filter(|path| *path == "/d/2").count(), 2, "{children:?}");
}

#[test]
fn what_the_pipeline_file_gets_wrong_is_named_with_the_row() {
    let cases = [
        ("detail: {get: '/d/{{ row.nope }}', value: .data, on_error: 'null'}", "a field that isn't there"),
        ("detail: {get: '/d/{{ row.id }}', value: '.data[]', on_error: 'null'}", "several values"),
        ("owner: {get: '/d/{{ row.id }}', value: .data}", "a field of that name"),
    ];
    let mut said = String::new();
    for (enrich, what) in cases {
        let bench = Bench::new(api(|_, id| detail(id)));
        bench.job(&format!("{PAGED}enrich: {{{enrich}}}"));
        said.push_str(&format!("{what}: {}\n", bench.failure()));
    }
    insta::assert_snapshot!(said, @"
    a field that isn't there: 1: latest: `enrich.detail` of row 1 of GET /rows?offset=0: path: 'row.nope' is undefined; known: now, cursor, row (at byte 6 of the template '/d/{{ row.nope }}')
    several values: 1: latest: `enrich.detail` of row 1 of GET /rows?offset=0: GET /d/1: `enrich.detail.value` gives 3 values, and a column has one in a row; put them into a list: `[...]`
    a field of that name: 1: latest: `enrich.owner` of row 1 of GET /rows?offset=0: the record has a field `owner` of its own; give the column of `enrich` another name
    ");
}

#[test]
fn answers_that_are_no_json_are_errors_and_nothing_but_nulls_is_noticed() {
    let page = |_: &Request, _| Answer::bytes("<html>");
    let bench = Bench::new(api(page));
    bench.job(&format!("{PAGED}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .data, on_error: 'null'}}}}"));
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 5 of 5; complete");
    let first = bench.workspace.redact(&ran.report["jobs"][0]["warnings"].to_string());
    let bench = Bench::new(api(|_, id| detail(id)));
    bench.job(&format!("{PAGED}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .Data}}}}"));
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 5 of 5; complete");
    insta::assert_snapshot!(format!("{first}\n{}", ran.report["jobs"][0]["warnings"]), @r#"
    ["slice latest: `detail` is null in 5 of 5 rows, whose child requests were answered by an error; the first: GET /d/1: the answer can't be read: the body isn't json at byte 0: expected value: <html>; if the answer is of another format, write it as `format`; else tell the server's owner"]
    ["slice latest: `detail` is null in all 5 rows, though their child requests succeeded; check `enrich.detail.value`"]
    "#);
}

#[test]
fn rows_outside_of_the_window_have_no_child_request() {
    let bench = Bench::new(api(|_, id| detail(id)));
    let window = "window: {every: 3h, start: 2026-01-02T00:00:00Z, as: rfc3339, from: query.a, to: query.b, pad: {before: 9h, after: 9h}, time: CAST(t AS TIMESTAMP)}";
    let job = PAGED.replace("snapshot: latest", window);
    bench.job(&format!("{job}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .data}}}}"));
    let rows = bench.run_at("2026-01-02T06:00:00Z", &[]).fine();
    assert_eq!(
        rows,
        "20260102T000000Z landed: 2 of 5, 3 outside_window; complete\n20260102T030000Z landed: 3 of 5, 2 outside_window; complete"
    );
    let found = bench.query("SELECT id, detail.n AS n FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    assert_eq!(found, (1..=5).map(|id| json!({"id": id, "n": 9_007_199_254_740_990_i64 + id})).collect::<Vec<_>>());
    assert_eq!(children(&bench).sorted(), ["/d/1", "/d/2", "/d/3", "/d/4", "/d/5"], "each for one slice");
}

#[test]
fn the_time_of_a_row_may_stand_in_its_detail() {
    let bench = Bench::new(api(|_, id| {
        Answer::json(&json!({"at": format!("2026-01-0{}T10:00:00Z", if id < 4 { 1 } else { 2 })}))
    }));
    let window = "window: {every: 1d, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.a, to: query.b, pad: {before: 9d, after: 9d}, time: CAST(detail.at AS TIMESTAMP)}";
    let job = PAGED.replace("snapshot: latest", window);
    bench.job(&format!("{job}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .}}}}"));
    assert_eq!(
        bench.run().fine(),
        "20260101T000000Z landed: 3 of 5, 2 outside_window; complete\n20260102T000000Z landed: 2 of 5, 3 outside_window; complete"
    );
}

#[test]
fn what_does_not_fit_goes_to_quarantine_with_its_detail() {
    let odd = Arc::new(AtomicBool::new(false));
    let turns = Arc::clone(&odd);
    let bench = Bench::new(api(move |_, id| {
        let odd = id == 3 && turns.load(Ordering::SeqCst);
        Answer::json(&json!({"n": if odd { json!("three") } else { json!(id) }}))
    }));
    bench.job(&format!("{PAGED}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .}}}}\nkey: id"));
    assert_eq!(bench.run().fine(), "latest landed: 5 of 5; complete");
    odd.store(true, Ordering::SeqCst);
    let ran = bench.run_at(NOW, &["--allow-shrink"]);
    assert_eq!(ran.fine(), "latest landed: 4 of 5, 1 quarantined; complete");
    let bad = bench.quarantine();
    assert_eq!(bad.len(), 1);
    let row: Value = serde_json::from_str(bad[0]["row"].as_str().unwrap()).unwrap();
    assert_eq!(row["detail"], json!({"n": "three"}), "{bad:?}");
    assert_eq!(bad[0]["column"], "detail.n", "{bad:?}");
}

#[test]
fn a_contract_that_lets_no_column_join_is_no_way_to_drop_what_was_asked_for() {
    for contract in ["freeze", "discard"] {
        let bench = Bench::new(api(|_, id| detail(id)));
        let job = format!("{PAGED}schema: {{contract: {contract}}}");
        bench.job(&job);
        bench.run().fine();
        let enrich = "\nenrich: {detail: {get: '/d/{{ row.id }}', value: .data}}";
        bench.job(&format!("{job}{enrich}"));
        let ran = bench.run();
        let error = ran.errors().pop().unwrap();
        assert!(error.contains("pin its type under `schema.columns`, such as `detail: json`"), "{error}");
        assert_eq!(children(&bench), Vec::<String>::new());
        bench.job(&format!("{}{enrich}", job.replace("schema: {", "schema: {columns: {detail: json}, ")));
        assert_eq!(bench.run().fine(), "latest landed: 5 of 5; complete");
        let found = bench.query("SELECT detail FROM read_json('{dir}/lake/**/*.jsonl', columns = {id: 'INT', detail: 'VARCHAR'}) WHERE id = 1");
        assert!(found[0]["detail"].as_str().unwrap().contains("9007199254740991"), "{found:?}");
    }
}

#[test]
fn what_is_not_answered_is_asked_for_again_and_a_killed_run_leaves_the_same_files() {
    let undisturbed = Bench::new(api(|_, id| detail(id)));
    let job = format!("{PAGED}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .data}}}}");
    undisturbed.job(&job);
    undisturbed.run().fine();
    let hangs = Arc::new(AtomicBool::new(true));
    let (until, torn) = (Arc::clone(&hangs), AtomicBool::new(true));
    let bench = Bench::new(api(move |_, id| match id {
        4 if until.load(Ordering::SeqCst) => Answer::never(),
        2 if torn.swap(false, Ordering::SeqCst) => detail(id).torn(),
        _ => detail(id),
    }));
    bench.job(&job);
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--now", NOW];
    let running = bench.workspace.tidegate(&arguments).spawn();
    while !children(&bench).contains(&"/d/4".to_owned()) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(running.kill().code, None);
    hangs.store(false, Ordering::SeqCst);
    assert_eq!(bench.run_at(NOW, &["--no-wait"]).fine(), "latest landed: 5 of 5; complete");
    let content = |bench: &Bench| {
        let files = files(&bench.workspace.path("lake")).into_iter().filter(|path| path.ends_with(".jsonl"));
        files.map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(content(&bench), content(&undisturbed));
    assert_eq!(bench.landed(), undisturbed.landed());
}

#[test]
fn a_preview_shows_the_column_and_asks_for_no_more_than_it_shows() {
    let bench = Bench::new(api(|_, id| detail(id)));
    bench.job(&format!("{PAGED}enrich: {{detail: {{get: '/d/{{{{ row.id }}}}', value: .data}}}}"));
    let arguments = ["preview", "pipeline.yaml", "rows", "--rows", "1", "--output", "json", "--now", NOW];
    let outcome = bench.workspace.tidegate(&arguments).run();
    let shown: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
    assert!(shown.to_string().contains("é1") && !shown.to_string().contains("é2"), "{shown:#}");
    assert_eq!(children(&bench), ["/d/1"]);
    let plan = bench.workspace.tidegate(&["plan", "pipeline.yaml", "--state", "state", "--now", NOW]).run();
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert_eq!(children(&bench), ["/d/1"], "a plan sends nothing");
}

/// A page that comes back full is thrown away, and its halves are asked for: its rows have no child request before that.
#[test]
fn a_window_that_is_read_in_halves_asks_for_each_detail_once() {
    let bench = Bench::new(Api::start(|request| {
        if request.path != "/rows" {
            return Answer::json(&json!({"path": request.path}));
        }
        let (from, to) = (request.number("from"), request.number("to"));
        let inside = (1..=7).map(|id| (id, 1_767_312_000 + 3600 * id)).filter(|(_, t)| from <= *t && *t <= to);
        Answer::json(&inside.take(3).map(|(id, t)| json!({"id": id, "t": t})).collect())
    }));
    bench.job(
        "records: '.[]'\npaginate: none\nquery: {limit: 3}
window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: to_timestamp_seconds(t), split: {size: 3}}
enrich: {detail: {get: '/d/{{ row.id }}', query: {to: '{{ window.to }}'}, value: .path}}",
    );
    bench.run().fine();
    let found = bench.query("SELECT id, detail FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    assert_eq!(found, (1..=7).map(|id| json!({"id": id, "detail": format!("/d/{id}")})).collect::<Vec<_>>());
    let once: Vec<String> = (1..=7).map(|id| format!("/d/{id}")).collect();
    assert_eq!(children(&bench).sorted(), once, "{:?}", bench.api.asked_for("to"));
}

/// The logs of Lastline (vendors.md D4): a login, newest first and no offset, entries that last longer than a window, and one that is
/// gone when its detail is asked for.
#[test]
fn logs_with_the_detail_of_each_entry() {
    let entries = |request: &Request| {
        let (from, to) = (&request.query["start_time"], &request.query["end_time"]);
        let entry = |hour: usize| json!({"log_entry_uuid": format!("u{hour}"), "start_time": "2026-01-01 00:00:00", "end_time": format!("2026-01-0{} {:02}:00:00", 1 + hour / 24, hour % 24)});
        // What was seen at least once in the window: its end is left open.
        let seen = |entry: &Value| entry["end_time"].as_str() >= Some(from) && entry["start_time"].as_str() <= Some(to);
        let all = (0..40).rev().map(entry).filter(seen).filter(|entry| entry["end_time"].as_str() <= Some(to));
        Answer::json(
            &json!({"success": 1, "data": {"log_entries": all.take(request.number("limit")).collect::<Vec<_>>()}}),
        )
    };
    let bench = Bench::new(Api::start(move |request| match request.path.as_str() {
        "/papi/login.json" => {
            Answer::json(&json!({"success": 1, "data": "true"})).header("set-cookie", "PAPI=hunter2-session")
        }
        _ if !request.headers.contains_key("cookie") => {
            Answer::json(&json!({"success": 0, "error_code": 3001, "error": "Permission denied"}))
        }
        "/papi/monitoring/log/get.json" => entries(request),
        _ if request.query["log_entry_uuid"] == "u7" => Answer::json(&json!({"success": 0, "error": "no such entry"})),
        _ => Answer::json(
            &json!({"success": 1, "data": {"log_entry": {"count": 999, "uuid": request.query["log_entry_uuid"]}}}),
        ),
    }));
    bench.file(&format!(
        "source:
  base_url: {}
  auth: {{login: {{post: /papi/login.json, form: {{username: a, password: '${{TOKEN}}'}}, success: '.success == 1'}}}}
  auth_failed: '.error_code == 3001'
  success: '.success == 1'
  error_message: .error
jobs:
  logs:
    get: /papi/monitoring/log/get.json
    query: {{timezone: UTC}}
    records: '.data.log_entries[]'
    window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d %H:%M:%S', from: query.start_time, to: query.end_time, time: \"parse_timestamp(end_time, '%Y-%m-%d %H:%M:%S', 'UTC')\"}}
    key: [log_entry_uuid]
    paginate: {{seek: {{into: query.end_time, value: '$last.end_time', order: desc, size_into: query.limit, size: 10}}}}
    enrich: {{detail: {{get: /papi/monitoring/log/get_entry.json, query: {{log_entry_uuid: '{{{{ row.log_entry_uuid }}}}'}}, value: .data.log_entry, on_error: 'null'}}}}
    sinks: {{lake: {{parquet: {{url: ./lake}}}}}}\n",
        bench.api.url()
    ));
    let ran = run_with_token(&bench);
    ran.fine();
    let found = bench.query("SELECT log_entry_uuid AS uuid, detail.count AS count FROM read_parquet('{dir}/lake/**/*.parquet') ORDER BY end_time");
    let row = |hour: i64| json!({"uuid": format!("u{hour}"), "count": (hour != 7).then_some(999)});
    assert_eq!(found, (0..40).map(row).collect::<Vec<_>>());
    let warnings = ran.report["jobs"][0]["warnings"].to_string();
    assert!(warnings.contains("`detail` is null in 1 of 27 rows"), "{warnings}");
    let children = children(&bench).iter().filter(|path| path.ends_with("get_entry.json")).count();
    assert_eq!(children, 40, "each entry is asked for by the day that it belongs to, once");
}

/// Rows of a table have details too; what isn't a row goes to quarantine, and is asked nothing.
#[test]
fn the_rows_of_a_table_have_details() {
    let bench = Bench::new(Api::start(|request| match request.path.as_str() {
        "/rows" => Answer::bytes("id,name\n1,one\n2,two,three\n3,\n"),
        path => Answer::json(&json!({"path": path})),
    }));
    bench.job(
        "format: {csv: {}}\nrecords: '.[]'\npaginate: none\nsnapshot: latest
schema: {columns: {id: int64}}
enrich: {detail: {get: '/d/{{ row.id }}', value: .path}}",
    );
    assert_eq!(bench.run().fine(), "latest landed: 2 of 3, 1 quarantined; unknown");
    let found = bench.query("SELECT id, name, detail FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    let row = |id: i64, name: Value| json!({"id": id, "name": name, "detail": format!("/d/{id}")});
    assert_eq!(found, [row(1, json!("one")), row(3, json!(null))]);
    assert_eq!(bench.quarantine()[0]["row"], "\"2,two,three\"");
    assert_eq!(children(&bench).sorted(), ["/d/1", "/d/3"]);
}
