//! Numbers that a double doesn't hold as they are written: what is sent back is what came, or nothing.

use serde_json::json;

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

const CURSOR: &str =
    "records: '.items[]'\nsnapshot: latest\nkey: id\npaginate: {cursor: {into: query.at, value: VALUE}}";

/// A list of two pages; the first gives `next`, a number as it is written, beside rows of the weight `weight`.
fn list(next: &str, weight: &str) -> Bench {
    let first = format!(r#"{{"items": [{{"id": 0, "w": {weight}}}, {{"id": 1, "w": {next}}}], "next": {next}}}"#);
    let wanted = next.to_owned();
    Bench::new(Api::start(move |request: &Request| match request.query.get("at") {
        None => Answer::bytes(first.clone()),
        Some(at) if *at == wanted => Answer::json(&json!({"items": [{"id": 2, "w": 0.5}], "next": null})),
        Some(_) => Answer::json(&json!({"items": [], "next": null})),
    }))
}

const ODD: [(&str, &str); 4] = [
    ("1.10", "1.1"),
    ("1700000000.1234567890", "1700000000.1234567"),
    ("1e3", "1000.0"),
    ("123456789012345678901234567890", "1.2345678901234568e29"),
];

#[test]
fn a_cursor_that_is_another_number_once_it_is_sent_is_refused() {
    for (next, weight) in ODD {
        for value in [".next", "$last.w"] {
            let error = list(next, weight).job(&CURSOR.replace("VALUE", value)).failure();
            assert!(error.contains(&format!("page 1 gives the cursor {next}, a number that can't be kept")), "{error}");
        }
    }
}

#[test]
fn a_cursor_that_is_made_a_text_has_all_its_digits() {
    for (next, weight) in ODD {
        let plain = CURSOR.replace("VALUE", "'.next | select(. != null) | tostring'");
        let program = plain.replace("'.items[]'", "'.items[] | {id}'\nrows: '.items | length'");
        let last = CURSOR.replace("VALUE", "'$last.w | select(. != 0.5) | tostring'");
        for job in [&plain, &program, &last] {
            let bench = list(next, weight);
            let ran = bench.job(job).run();
            assert_eq!(
                bench.api.asked().last().unwrap().query.get("at").map(String::as_str),
                Some(next),
                "{job} {ran:?}"
            );
            if *job != last {
                assert_eq!(ran.fine(), "latest landed: 3 of 3; complete");
            }
        }
    }
}

/// A list of parents with one number, which a child is asked for by.
fn parents(pid: &str, records: &str, child: &str) -> Bench {
    let list = format!(r#"[{{"pid": {pid}, "price": 2.50, "id": 1}}]"#);
    let bench = Bench::new(Api::start(move |request: &Request| match request.path.as_str() {
        "/parents" => Answer::bytes(list.clone()),
        path => Answer::json(&json!([{"id": path.trim_start_matches("/c/")}])),
    }));
    bench.jobs(&format!(
        "  p: {{get: /parents, records: '{records}', paginate: none}}
  rows:
    for_each: {{rows_of: p, as: p, key: id}}
    get: '{child}'
    records: '.[] | {{detail: .id}}'
    rows: length
    paginate: none
    snapshot: latest
    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n"
    ));
    bench
}

#[test]
fn a_fan_out_asks_for_what_its_parent_has() {
    for (pid, sent) in &ODD[..3] {
        let ran = parents(pid, ".[]", "/c/{{ p.pid }}").run();
        let error = ran.errors().join("; ");
        assert!(error.contains(&format!("`pid` is {pid} in a row, and would be sent as {sent}")), "{error}");
        let bench = parents(pid, ".[] | .pid |= tostring", "/c/{{ p.pid }}");
        bench.run().fine();
        assert_eq!(bench.api.asked().last().unwrap().path, format!("/c/{pid}"));
    }
    parents("7", ".[]", "/c/{{ p.pid }}").run().fine();
    parents("1.10", ".[]", "/c/{{ p.id }}").run().fine();
}

#[test]
fn a_child_request_asks_for_what_its_row_has() {
    for (pid, sent) in ODD {
        let list = format!(r#"[{{"id": 1, "pid": {pid}, "price": 2.50}}]"#);
        let api = move || {
            let list = list.clone();
            Api::start(move |request: &Request| match request.path.as_str() {
                "/rows" => Answer::bytes(list.clone()),
                path => Answer::json(&json!({"of": path})),
            })
        };
        let job =
            "records: '.[]'\nsnapshot: latest\npaginate: none\nenrich: {detail: {get: '/c/{{ row.pid }}', value: .of}}";
        let error = Bench::new(api()).job(job).failure();
        assert!(error.contains(&format!("`pid` is {pid} in a row, and would be sent as {sent}")), "{error}");
        let bench = Bench::new(api());
        bench.job(&job.replace("'.[]'", "'.[] | .pid |= tostring'").replace("paginate", "rows: length\npaginate"));
        bench.run().fine();
        assert_eq!(bench.lines()[0]["detail"], format!("/c/{pid}"));
        let other = Bench::new(api());
        other.job(&job.replace("row.pid", "row.id"));
        other.run().fine();
    }
}
