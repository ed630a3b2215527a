//! The cursor of an incremental job in templates of its requests: `{{ increment.from }}`.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::increments::{Rows, at, ids, row};
use crate::support::api::{Answer, Api};
use crate::support::bench::Bench;

/// APIs that are asked in a language of their own, such as `OData`, SOQL and JQL.
#[test]
fn the_cursor_stands_within_a_filter() {
    for (into, filter, expect) in [
        (
            "",
            "updated gt {{ increment.from }} and open",
            ["updated gt 2026-01-03T12:00:00Z and open", "updated gt 2026-01-03T12:00:30Z and open"],
        ),
        (
            ", into: {as: '%Y-%m-%d %H:%M', order: any}",
            "updated >= \"{{ increment.from }}\"",
            ["updated >= \"2026-01-03 12:00\"", "updated >= \"2026-01-03 12:00\""],
        ),
    ] {
        let rows: Rows = Arc::new(Mutex::new(vec![row(1, 10), row(2, 30)]));
        let served = Arc::clone(&rows);
        let bench = Bench::new(Api::start(move |_| Answer::json(&served.lock().unwrap().iter().cloned().collect())));
        bench.job(&format!(
            "records: '.[]'\nquery: {{filter: '{filter}'}}\npaginate: none
incremental: {{cursor: CAST(t AS TIMESTAMP), start: '2026-01-03T12:00:00Z', lag: 0s{into}}}"
        ));
        assert!(bench.run_at(&at(60), &[]).fine().ends_with("landed: 2 of 2; unknown"));
        *rows.lock().unwrap() = vec![row(2, 30), row(3, 70)];
        bench.run_at(&at(120), &[]).fine();
        assert_eq!(ids(&bench), [1, 2, 3]);
        let asked: Vec<String> = bench.api.asked().into_iter().map(|asked| asked.query["filter"].clone()).collect();
        assert_eq!(asked, expect);
    }
}

/// Also where `seek` sends it: a child request may want it.
#[test]
fn a_detail_sees_the_cursor_that_seek_sends() {
    let bench = Bench::new(Api::start(|request| match request.path.as_str() {
        "/rows" if request.number("after") == 0 => Answer::json(&json!([{"id": 1}, {"id": 2}])),
        "/rows" => Answer::json(&json!([])),
        _ => Answer::json(&json!({"since": request.query["since"]})),
    }));
    bench.job(
        "records: '.[]'\npaginate: {seek: {into: query.after, value: $last.id, order: asc, bound: exclusive, size: 2}}
incremental: {cursor: id, start: 0}
enrich: {more: {get: /more, query: {since: '{{ increment.from }}', of: '{{ row.id }}'}, value: .since}}",
    );
    bench.run().fine();
    assert_eq!(bench.lines(), [json!({"id": 1, "more": "0"}), json!({"id": 2, "more": "0"})]);
}
