//! Pipelines of a few lines against a plain JSON API: each way to page, each way to cut slices, and every value to its last digit.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;
use crate::support::duck;

/// Answers with the rows from `start` on, at most `limit`, and their total.
fn page(rows: &[Value], start: usize, limit: usize) -> Answer {
    let some: Vec<&Value> = rows.iter().skip(start).take(limit).collect();
    Answer::json(&json!({"total": rows.len(), "items": some}))
}

fn numbered(count: usize) -> Vec<Value> {
    (1..=count).map(|id| json!({"id": id, "name": format!("row {id}")})).collect()
}

fn ids(rows: &[Value]) -> Vec<i64> {
    let mut ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn offset_and_limit_with_a_total() {
    let bench = Bench::new(Api::start(|request| page(&numbered(5), request.number("offset"), request.number("limit"))));
    bench.job(
        "records: '.items[]'
snapshot: daily
concurrency: 1
paginate: {offset: {into: query.offset, size_into: query.limit, size: 2}, total: .total}
query: {offset: 0, limit: 2}",
    );
    assert_eq!(bench.run().fine(), "20260103 landed: 5 of 5; complete");
    assert_eq!(bench.api.asked_for("offset"), ["0", "2", "4"]);
    assert_eq!(ids(&bench.lines()), [1, 2, 3, 4, 5]);
    assert_eq!(bench.run().rows(), "", "a day that has landed isn't read again");
}

#[test]
fn page_numbers_without_a_total() {
    let bench = Bench::new(Api::start(|request| page(&numbered(4), (request.number("page") - 1) * 2, 2)));
    bench.job(
        "records: '.items[]'\nsnapshot: every_run\npaginate: {page: {into: query.page, size: 2}}\nquery: {page: 1}",
    );
    assert_eq!(bench.run().fine(), "20260103T120000Z landed: 4 of 4; complete");
    assert_eq!(bench.api.asked_for("page"), ["1", "2", "3", "4"], "the end is an empty page, and one more behind it");
    assert_eq!(bench.run_at("2026-01-03T13:00:00Z", &[]).fine(), "20260103T130000Z landed: 4 of 4; complete");
    assert_eq!(ids(&bench.lines()), [1, 1, 2, 2, 3, 3, 4, 4]);
}

fn seek(request: &Request, inclusive: bool) -> Answer {
    let after = request.number("after");
    let rows: Vec<Value> = numbered(7);
    let rows = rows.into_iter().filter(|row| {
        let id = usize::try_from(row["id"].as_u64().unwrap()).unwrap();
        id > after || (inclusive && id == after)
    });
    Answer::json(&Value::Array(rows.take(3).collect()))
}

#[test]
fn seek_by_an_id() {
    for (bound, asked) in [("exclusive", ["-", "3", "6", "7"]), ("inclusive", ["-", "3", "5", "7"])] {
        let bench = Bench::new(Api::start(move |request| seek(request, bound == "inclusive")));
        bench.job(&format!(
            "records: '.[]'\nkey: id\nsnapshot: latest\nquery: {{sort: id}}
paginate: {{seek: {{into: query.after, value: '$last.id', order: asc, bound: {bound}, size: 3}}}}"
        ));
        let rows = bench.run().fine();
        assert_eq!(ids(&bench.lines()), [1, 2, 3, 4, 5, 6, 7], "{rows}");
        assert_eq!(bench.api.asked_for("after")[..4], asked, "{rows}");
    }
}

#[test]
fn one_page_and_no_more() {
    let bench = Bench::new(Api::always(page(&numbered(3), 0, 9)));
    bench.job("records: '.items[]'\nsnapshot: latest\npaginate: none");
    assert_eq!(bench.run().fine(), "latest landed: 3 of 3; unknown");
    assert_eq!(bench.run().fine(), "latest unchanged: 3 of 3; unknown");
    assert_eq!(bench.lines().len(), 3);
}

/// Answers with the rows whose `t` lies in what `from` and `to` ask for, by the server's own rules at the edges.
fn timed(request: &Request, to_inclusive: bool) -> Answer {
    let rows = ["2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z", "2026-01-02T12:00:00Z"];
    let printed =
        |t: &str| if request.query["from"].contains('T') { t.to_owned() } else { t.replace('T', " ").replace('Z', "") };
    let (from, to) = (&request.query["from"], &request.query["to"]);
    let rows = rows.iter().enumerate().filter(|(_, t)| {
        let t = printed(t);
        t >= *from && (t < *to || (to_inclusive && t == *to))
    });
    Answer::json(&rows.map(|(id, t)| json!({"id": id + 1, "t": t})).collect())
}

#[test]
fn windows_meet_the_servers_edges() {
    let cases = [
        ("rfc3339", "exclusive", "", "2026-01-02T00:00:00Z"),
        ("rfc3339", "inclusive", ", time: 'CAST(t AS TIMESTAMP)'", "2026-01-02T00:00:00Z"),
        ("'%Y-%m-%d %H:%M:%S'", "exclusive", "", "2026-01-02 00:00:00"),
        ("'%Y-%m-%d %H:%M:%S'", "inclusive", "", "2026-01-01 23:59:59"),
        ("'%Y-%m-%d %H:%M:%S'", "inclusive", ", time: 'CAST(t AS TIMESTAMP)'", "2026-01-02 00:00:00"),
    ];
    for (format, bound, time, first_to) in cases {
        let bench = Bench::new(Api::start(move |request| timed(request, bound == "inclusive")));
        bench.job(&format!(
            "records: '.[]'\npaginate: none
query: {{from: x, to: x}}
window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: {format}, from: query.from, to: {{into: query.to, bound: {bound}}}{time}}}"
        ));
        let rows = bench.run().fine();
        assert_eq!(ids(&bench.lines()), [1, 2, 3, 4], "{format} {bound} {time}: {rows}");
        assert_eq!(bench.api.asked()[0].query["to"], first_to, "{format} {bound} {time}");
        assert_eq!(bench.run().rows(), "", "all that was due has landed");
    }
}

#[test]
fn windows_may_be_sent_as_whole_cells() {
    for (get, at) in [("/rates", ", at: query.day"), ("/rates/{{ window.at }}", "")] {
        let bench = Bench::new(Api::start(|request| {
            let day =
                request.query.get("day").map_or_else(|| request.path.trim_start_matches("/rates/"), String::as_str);
            let hours = if day == "2026-01-02" { 0..0 } else { 0..3 };
            Answer::json(&hours.map(|hour| json!({"day": day, "hour": hour})).collect())
        }));
        bench.jobs(&format!(
            "  rows:\n    get: {get}\n    records: '.[]'\n    paginate: none\n    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}
    window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d'{at}}}\n"
        ));
        let rows = bench.run_at("2026-01-04T00:00:00Z", &[]).fine();
        assert_eq!(
            rows,
            "20260101T000000Z landed: 3 of 3; unknown\n20260102T000000Z landed: 0 of 0; unknown\n20260103T000000Z landed: 3 of 3; unknown"
        );
        assert_eq!(bench.lines().len(), 6);
    }
}

#[test]
fn fan_out_over_rows_with_a_json_body() {
    let bench = Bench::new(Api::start(|request| {
        if request.path.as_str() == "/sites" {
            Answer::json(&json!([{"id": 7, "name": "Köln"}, {"id": 9, "name": "東京"}]))
        } else {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(request.method, "POST");
            let rows: Vec<Value> = (body["offset"].as_i64().unwrap()..3).take(2).map(|n| json!({"n": n})).collect();
            Answer::json(&json!({"by_site": {body["site"].to_string(): rows}}))
        }
    }));
    bench.jobs(
        "  sites: {get: /sites, records: '.[]', paginate: none}
  rows:
    for_each: {rows_of: sites, as: site, key: id, columns: {site_name: .name}}
    post: /rows
    body: {site: '{{ site.id }}', offset: 0}
    records: '.by_site[$site.id | tostring] | .[]'
    rows: '.by_site[$site.id | tostring] | length'
    paginate: {offset: {into: body.offset, size: 2}}
    snapshot: daily
    sinks: {lake: {jsonl: {url: ./lake}}}\n",
    );
    let rows = bench.run().fine();
    assert_eq!(rows.lines().count(), 2, "{rows}");
    let mut lines: Vec<String> = bench.lines().iter().map(ToString::to_string).collect();
    lines.sort();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0], r#"{"id":7,"n":0,"site_name":"Köln"}"#);
    assert_eq!(lines[5], r#"{"id":9,"n":2,"site_name":"東京"}"#);
}

#[test]
fn fan_out_over_values_with_json_in_a_form() {
    let bench = Bench::new(Api::start(|request| {
        let form = request.form();
        let asked: Value = serde_json::from_str(&form["ask"]).unwrap();
        let (direction, inner) = asked["table"].as_object().unwrap().iter().next().unwrap();
        let rows: Vec<Value> = (inner["offset"].as_i64().unwrap()..3).take(2).map(|n| json!({"n": n})).collect();
        Answer::json(&json!({"table": {direction: {"rows": rows}}}))
    }));
    bench.job(
        "post: /rows
for_each: {values: [inbound, outbound], as: direction}
form: {rm: report, ask: {table: {'{{ direction }}': {offset: 0, limit: 2}}}}
records: '.table[$direction].rows[]'
rows: '.table[$direction].rows | length'
paginate: {offset: {into: 'form.ask.table[$direction].offset', size: 2}}
snapshot: daily",
    );
    let rows = bench.run().fine();
    let found = bench.query(
        "SELECT direction, list(n ORDER BY n) AS n FROM read_json('{dir}/lake/**/*.jsonl') GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        found,
        [json!({"direction": "inbound", "n": [0, 1, 2]}), json!({"direction": "outbound", "n": [0, 1, 2]})],
        "{rows}"
    );
    assert_eq!(bench.api.asked()[0].form()["ask"], r#"{"table":{"inbound":{"offset":0,"limit":2}}}"#);
}

#[test]
fn increments_go_on_where_the_last_run_ended() {
    let known = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(7));
    let grows = std::sync::Arc::clone(&known);
    let bench = Bench::new(Api::start(move |request| {
        let after = request.number("after");
        let known = grows.load(std::sync::atomic::Ordering::SeqCst);
        Answer::json(&(after + 1..=known).take(2).map(|id| json!({"id": id})).collect())
    }));
    bench.job(
        "records: '.[]'\nquery: {sort: id}
incremental: {cursor: id, start: 0, rows_per_slice: 3}
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}",
    );
    let first = bench.run().fine();
    assert_eq!(ids(&bench.lines()), [1, 2, 3, 4, 5, 6, 7], "{first}");
    assert!(first.lines().count() >= 2, "{first}");
    assert_eq!(bench.run().rows(), "", "nothing new is nothing");
    known.store(9, std::sync::atomic::Ordering::SeqCst);
    let second = bench.run().fine();
    assert_eq!(second.lines().count(), 1, "{second}");
    assert_eq!(ids(&bench.lines()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_jq_program_counts_by_rows() {
    let bench = Bench::new(Api::start(|request| {
        let rows = [json!({"tags": ["a", "b", "c"]}), json!({"tags": []}), json!({"tags": ["d"]})];
        page(&rows, request.number("offset"), 1)
    }));
    bench.job(
        "records: '.items[] | .tags[] | {tag: .}'
rows: '.items | length'
snapshot: latest
concurrency: 1
paginate: {offset: {into: query.offset, size: 1}, total: .total}
query: {offset: 0}",
    );
    assert_eq!(bench.run().fine(), "latest landed: 4 of 4; complete");
    assert_eq!(bench.api.asked_for("offset"), ["0", "1", "2", "3"]);
}

#[test]
fn pages_of_which_a_program_keeps_nothing_are_progress() {
    let bench = Bench::new(Api::start(|request| {
        let rows: Vec<Value> = (1..=9).map(|id| json!({"id": id, "kept": id == 9})).collect();
        page(&rows, request.number("offset"), 2)
    }));
    bench.job(
        "records: '.items[] | select(.kept)'
rows: '.items | length'
key: id
snapshot: latest
paginate: {offset: {into: query.offset, size: 2}, total: .total}
query: {offset: 0}",
    );
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; complete");
}

#[test]
fn a_torn_answer_is_asked_for_again_and_its_rows_come_once() {
    let torn = std::sync::atomic::AtomicBool::new(true);
    let bench = Bench::new(Api::start(move |request| {
        let answer = page(&numbered(4), request.number("offset"), 2);
        let first = request.number("offset") == 2 && torn.swap(false, std::sync::atomic::Ordering::SeqCst);
        if first { answer.torn() } else { answer }
    }));
    bench.job("records: '.items[]'\nquery: {offset: 0}\nsnapshot: latest\nconcurrency: 1\npaginate: {offset: {into: query.offset, size: 2}, total: .total}");
    assert_eq!(bench.run().fine(), "latest landed: 4 of 4; complete");
    assert_eq!(bench.api.asked_for("offset"), ["0", "2", "2", "4"]);
}

#[test]
fn types_that_change_from_page_to_page_meet_in_one_column() {
    let pages = [
        json!([{"id": 1, "late": null, "wide": 1, "mixed": 1, "shape": "x"}]),
        json!([{"id": 2, "late": "text", "wide": 2.5, "mixed": "one", "shape": {"a": 1}}]),
        json!([]),
    ];
    let bench = Bench::new(Api::start(move |request| {
        Answer::json(pages.get(request.number("page") - 1).unwrap_or(&json!([])))
    }));
    bench.job("records: '.[]'\nsnapshot: latest\npaginate: {page: {into: query.page, size: 1}}\nquery: {page: 1}\nsinks: {lake: {parquet: {url: ./lake}}}");
    let ran = bench.run();
    let rows = ran.fine();
    let found =
        bench.query("SELECT * FROM read_parquet('{dir}/lake/**/*.parquet', hive_partitioning = false) ORDER BY id");
    insta::assert_snapshot!(format!("{rows}\n{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")), @r#"
latest landed: 2 of 2; complete
{"id":1,"late":null,"mixed":"1","shape":"\"x\"","wide":1.0}
{"id":2,"late":"text","mixed":"\"one\"","shape":"{\"a\":1}","wide":2.5}
"#);
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"].to_string(), @r#"["`mixed` is kept as json text: it holds integers and strings","`shape` is kept as json text: it holds strings and objects"]"#);
}

#[test]
fn the_first_of_several_paths_that_is_there_counts() {
    let bodies = [
        json!({"results": [{"id": 1}]}),
        json!({"Results": [{"id": 2}]}),
        json!({"results": [], "Results": [{"id": 3}]}),
        json!({}),
    ];
    let bench = Bench::new(Api::start(move |request| Answer::json(&bodies[request.number("page") - 1])));
    bench.job("records: ['.results[]', '.Results[]?']\nsnapshot: latest\npaginate: {page: {into: query.page, size: 1}}\nquery: {page: 1}");
    bench.run().fine();
    assert_eq!(ids(&bench.lines()), [1, 2]);
}

#[test]
fn the_last_received_of_equal_keys_wins() {
    let rows = [json!({"id": 1, "v": "old"}), json!({"id": 2, "v": "only"}), json!({"id": 1, "v": "new"})];
    let bench = Bench::new(Api::start(move |request| page(&rows, request.number("offset"), 2)));
    bench.job("records: '.items[]'\nkey: id\nsnapshot: latest\npaginate: {offset: {into: query.offset, size: 2}}\nquery: {offset: 0}");
    assert_eq!(bench.run().fine(), "latest landed: 2 of 3, 1 deduplicated; unknown");
    let found = bench.query("SELECT id, v FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    assert_eq!(found, [json!({"id": 1, "v": "new"}), json!({"id": 2, "v": "only"})]);
}

/// Rows whose values are easily spoilt.
const DELICATE: &str = r#"[
  {"id": 9007199254740993, "big": 18446744073709551615, "price": "0.10000000000000000001", "part": 0.1, "none": null, "ok": true,
   "text": "naïve \"quoted\", 日本\n🌊", "deep": {"a": {"b": [1, null, 3]}, "c": "x"}, "list": [{"k": 1}, {"k": 2}], "city": "a/b=c d", "at": "2026-01-01T10:00:00Z"},
  {"id": 9007199254740992, "big": 0, "price": "-1", "part": -0.0, "none": null, "ok": false,
   "text": "", "deep": null, "list": [], "city": "Zürich", "at": "2026-01-02T00:00:00Z"}
]"#;

fn delicate() -> Vec<Value> {
    let base = json!({"id": 9_007_199_254_740_993_i64, "big": u64::MAX, "price": "0.10000000000000000001", "part": 0.1, "ok": true,
        "text": "naïve \"quoted\", 日本\n🌊", "b": [1, null, 3], "c": "x", "k": [1, 2], "city": "a/b=c d"});
    let other = json!({"id": 9_007_199_254_740_992_i64, "big": 0, "price": "-1", "part": -0.0, "ok": false,
        "text": "", "b": null, "c": null, "k": [], "city": "Zürich"});
    vec![other, base]
}

#[test]
fn no_value_changes_on_its_way() {
    let bench = Bench::new(Api::always(Answer::bytes(DELICATE)));
    bench.job(
        "records: '.[]'\nsnapshot: latest\npaginate: none
transform: SELECT *, to_timestamp(at) AS ts FROM records
sinks:
  p: {parquet: {url: ./p, partition_by: [city, day(ts)]}}
  j: {jsonl: {url: ./j, compression: gzip}}
  c: {csv: {url: ./c}, where: big > 0}",
    );
    bench.run().fine();
    let lists = "deep.a.b AS b, deep.c AS c, [x.k for x in list] AS k";
    let columns = "id, big, price, part, ok, text";
    let parquet = format!(
        "SELECT {columns}, {lists}, city FROM read_parquet('{{dir}}/p/**/*.parquet', hive_partitioning = false) ORDER BY id"
    );
    assert_eq!(bench.query(&parquet), delicate());
    let json_lines = format!("SELECT {columns}, {lists}, city FROM read_json('{{dir}}/j/**/*.jsonl.gz') ORDER BY id");
    assert_eq!(bench.query(&json_lines), delicate());
    let csv = bench.query("SELECT id, big, price, text, ok FROM read_csv('{dir}/c/**/*.csv', all_varchar = true)");
    let expected = json!({"id": "9007199254740993", "big": "18446744073709551615", "price": "0.10000000000000000001",
        "text": "naïve \"quoted\", 日本\n🌊", "ok": "true"});
    assert_eq!(csv, [expected]);
    let days = bench.query("SELECT DISTINCT city, ts_day::VARCHAR AS day FROM read_parquet('{dir}/p/**/*.parquet', hive_partitioning = true) ORDER BY 1");
    assert_eq!(days, [json!({"city": "Zürich", "day": "2026-01-02"}), json!({"city": "a/b=c d", "day": "2026-01-01"})]);
    let types =
        duck::columns(&format!("SELECT * FROM read_parquet('{}/**/*.parquet')", bench.workspace.path("p").display()));
    let kind = |name: &str| types.iter().find(|(column, _)| column == name).map(|(_, kind)| kind.as_str());
    assert_eq!(
        (kind("id"), kind("big"), kind("ts")),
        (Some("BIGINT"), Some("UBIGINT"), Some("TIMESTAMP WITH TIME ZONE"))
    );
}

#[test]
fn empty_pages_are_no_rows_and_no_files() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": []}))));
    bench.job("records: '.items[]'\nsnapshot: latest\npaginate: {page: {into: query.page, size: 2}}\nquery: {page: 1}");
    assert_eq!(bench.run().fine(), "latest landed: 0 of 0; complete");
    assert_eq!(bench.landed(), Vec::<String>::new());
}
