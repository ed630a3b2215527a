//! What once waited for what never came: runs at a bound, sessions that end while memory is short, verbs that nobody could end.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW};

#[test]
fn a_run_at_a_bound_waits_for_no_slice_that_will_not_begin() {
    // `a` is a chain of many slices; `b` is slow, and brings a column: it may only be pinned once what comes before it has ended.
    let api = Api::start(|request: &Request| {
        let (is_b, since) = (request.query["k"] == "b", request.number("since"));
        let top = if is_b { 7 } else { 100 };
        let row = |id: usize| if is_b { json!({"id": id, "extra": "x"}) } else { json!({"id": id}) };
        let rows: Value = (since + 1..=(since + 5).min(top)).map(row).collect();
        Answer::json(&rows).after(Duration::from_millis(if is_b { 700 } else { 0 }))
    });
    let bench = Bench::new(api);
    bench.jobs(
        "  rows:
    for_each: {values: [a, b], as: k}
    get: /rows
    query: {k: '{{ k }}'}
    incremental: {cursor: id, start: 0, rows_per_slice: 10}
    paginate: {seek: {into: query.since, value: $last.id, order: asc, bound: exclusive, size: 5}}
    records: '.[]'
    key: id
    sinks: {lake: {jsonl: {url: ./lake}}}
",
    );
    let bounded = bench.run_at(NOW, &["--max-slices", "3"]);
    assert_eq!(bounded.code(), 5, "{bounded:?}");
    assert_eq!(bounded.slices().iter().filter(|slice| slice["outcome"] == "landed").count(), 3, "{bounded:?}");
    while bench.run_at(NOW, &["--max-slices", "3"]).code() == 5 {}
    assert_eq!(bench.lines().len(), 107);
}

#[test]
fn a_session_that_ends_while_memory_is_short_is_renewed() {
    // Each token is good for 25 requests, each fifth request finds the server busy, and one answer takes most of the memory.
    let session = Mutex::new((0, 0, 0));
    let api = Api::start(move |request: &Request| {
        let mut session = session.lock().unwrap();
        let (token, used, asked) = &mut *session;
        if request.path == "/login" {
            (*token, *used) = (*token + 1, 0);
            return Answer::json(&json!({"token": format!("token-{token}")}));
        }
        *asked += 1;
        if *asked % 5 == 0 {
            return Answer::json(&json!({})).status(503).header("retry-after", "0");
        }
        *used += u64::from(request.headers.get("authorization") == Some(&format!("token-{token}")));
        if request.headers.get("authorization") != Some(&format!("token-{token}")) || *used > 25 {
            return Answer::json(&json!({})).status(401);
        }
        let page = request.number("page");
        let rows = (0..100).map(|id| json!({"id": page * 1000 + id, "text": "x".repeat(1800)}));
        let rows: Value = rows.take(if page <= 10 { 100 } else { 0 }).collect();
        Answer::json(&json!({"rows": rows, "total": 1000})).after(Duration::from_millis(10))
    });
    let bench = Bench::new(api);
    bench.file(&format!(
        "source:
  base_url: {}
  auth: {{login: {{post: /login, form: {{password: '${{PASSWORD}}'}}, token: .token, into: headers.authorization}}}}
jobs:
  rows:
    for_each: {{values: [a, b, c, d, e, f, g, h], as: k}}
    get: /rows
    query: {{k: '{{{{ k }}}}'}}
    snapshot: latest
    paginate: {{page: {{into: query.page, size: 100}}, total: .total}}
    records: '.rows[]'
    key: id
    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}
",
        bench.api.url()
    ));
    let ran = bench.run_with(NOW, &["--memory-limit", "1MiB"], &[("PASSWORD", "secret-1")]);
    assert_eq!(ran.fine().lines().count(), 8);
    assert_eq!(bench.lines().len(), 8 * 1000);
}

#[test]
fn a_verb_that_only_looks_ends_with_the_first_signal() {
    let bench = Bench::new(Api::always(Answer::never()));
    bench.job("records: '.[]'\nsnapshot: latest\npaginate: none");
    let preview = bench.workspace.tidegate(&["preview", "pipeline.yaml", "rows"]).spawn();
    while bench.api.asked().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    preview.signal("TERM");
    let ended = preview.wait();
    assert_eq!((ended.code, bench.api.asked().len()), (Some(143), 1), "{ended:?}");
}

#[test]
fn a_second_signal_ends_a_verb_at_once() {
    let silent = Api::always(Answer::never());
    let bench = Bench::new(Api::always(Answer::json(&json!([]))));
    bench.job("records: '.[]'\nsnapshot: latest\npaginate: none");
    // A store that is waited for before there is a lease.
    let arguments = ["run", "pipeline.yaml", "--state", "s3://state/x"];
    let url = silent.url();
    let store = [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "x")];
    let credentials = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let run = bench.workspace.tidegate(&arguments);
    let run = store.iter().chain(&credentials).fold(run, |run, (name, value)| run.env(name, value)).spawn();
    while silent.asked().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    run.signal("INT");
    // One that comes right behind it is the same.
    run.signal("INT");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!run.has_ended());
    run.signal("INT");
    let ended = run.wait();
    assert_eq!((ended.code, silent.asked().len()), (Some(130), 1), "{ended:?}");
}
