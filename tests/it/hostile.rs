//! Answers that lie, break off or never come. Each is refused with a message that says what failed, where, why and what to do, and
//! nothing of it lands.

use std::time::Instant;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW};

const ONE_PAGE: &str = "records: '.items[]'\nsnapshot: daily\npaginate: none";
const OFFSET: &str = "records: '.items[]'
query: {offset: 0}
snapshot: daily
paginate: {offset: {into: query.offset, size: 2}, total: .total}";

/// Runs a job of one page against one answer.
fn refused(answer: Answer) -> String {
    refused_by(ONE_PAGE, answer)
}

fn refused_by(job: &str, answer: Answer) -> String {
    Bench::new(Api::always(answer)).job(job).failure()
}

fn paged(job: &str, script: impl Fn(&Request) -> Value + Send + Sync + 'static) -> String {
    Bench::new(Api::start(move |request| Answer::json(&script(request)))).job(job).failure()
}

#[test]
fn statuses() {
    let error = |status| Answer::bytes(r#"{"error": "no such list"}"#).status(status);
    assert_snapshot!(refused(error(401)), @r#"1: 20260103: the server refused the credential, so no job sends it again in this run; the first refusal: GET /rows: status 401 after 1 try: the server refused the credential; body: {"error": "no such list"}; check auth, and that the account isn't locked out"#);
    assert_snapshot!(refused(error(403)), @r#"1: 20260103: GET /rows: status 403 after 1 try: the server answered 403 Forbidden; body: {"error": "no such list"}; check what the credential's account may read"#);
    assert_snapshot!(refused(error(404)), @r#"1: 20260103: GET /rows: status 404 after 1 try: the server answered 404 Not Found; body: {"error": "no such list"}; check the path and base_url; if it means that there are no rows, say so with empty"#);
    assert_snapshot!(refused(error(500)), @r#"1: 20260103: GET /rows: status 500 after 2 tries: the server answered 500 Internal Server Error; body: {"error": "no such list"}; look at the server's own log, or run later"#);
    assert_snapshot!(refused(error(429).header("retry-after", "3600")), @r#"1: 20260103: GET /rows: status 429 after 2 tries: the server answered 429 Too Many Requests; body: {"error": "no such list"}; the server asked to wait 1h, longer than retry.max_delay allows ([TIME]); raise it, or run later"#);
    assert_snapshot!(refused(Answer::bytes("").status(302).header("location", "/login?next=%2Frows")), @"1: 20260103: GET /rows: status 302 after 1 try: the server redirects to /login?next=%2Frows, and redirects aren't followed; the body is empty; check base_url; where it leads to a login page, check auth, and say so with auth_failed");
    assert_snapshot!(refused(Answer::bytes("").status(304)), @"1: 20260103: GET /rows: status 304 after 1 try: the server answered 304 Not Modified; the body is empty; it answers a request that asks whether something changed, and none such was sent: a cache on the way answers in the server's place, so look at the proxies between, or send the header `cache-control: no-cache`; if the file's own `headers` have `if-none-match` or `if-modified-since`, remove them");
    assert_snapshot!(refused(Answer::bytes("").status(204)), @"1: 20260103: GET /rows: the answer can't be read: the body is empty: json was due; if the server means no rows by that, say so with `empty`");
}

#[test]
fn errors_in_disguise() {
    let html =
        Answer::bytes("<!DOCTYPE html>\n<html><title>Please log in</title></html>").header("x-served-by", "proxy");
    assert_snapshot!(refused(html), @"1: 20260103: GET /rows: the answer can't be read: the body is html or xml, not json: <!DOCTYPE html> <html><title>Please log in</title></html>; if it is the page of a login or a proxy, check auth and base_url");
    let job = format!("{ONE_PAGE}\nsuccess: '.rc == 0'\nerror_message: .rc_str");
    let envelope = json!({"rc": -3, "rc_str": "INVALID_INTERFACE", "items": [{"id": 1}]});
    assert_snapshot!(refused_by(&job, Answer::json(&envelope)), @r#"1: 20260103: GET /rows: status 200 after 1 try: 'success' is not true; it says: INVALID_INTERFACE; body: {"rc":-3,"rc_str":"INVALID_INTERFACE","items":[{"id":1}]}; check the request, and the source's success and error_message"#);
    assert_snapshot!(refused_by(&job, Answer::json(&json!({"items": [{"id": 1}]}))), @r#"1: 20260103: GET /rows: status 200 after 1 try: 'success' is not true; body: {"items":[{"id":1}]}; check the request, and the source's success and error_message"#);
}

#[test]
fn broken_bodies() {
    let whole = r#"{"items": [{"id": 1}, {"id": 2}]}"#;
    assert_snapshot!(refused(Answer::bytes(whole).header("content-length", "1000").torn()), @"1: 20260103: GET /rows: the body is incomplete after 2 tries to http://127.0.0.1:[PORT] (error reading a body from connection: end of file before message length reached); the answer is cut off or garbled on its way; ask for smaller pages, and look at the proxies between");
    assert_snapshot!(refused(Answer::bytes(whole).torn()), @"1: 20260103: GET /rows: the body is incomplete after 2 tries to http://127.0.0.1:[PORT] (error reading a body from connection: unexpected EOF during chunk size line); the answer is cut off or garbled on its way; ask for smaller pages, and look at the proxies between");
    assert_snapshot!(refused(Answer::bytes(&whole[..20])), @r#"1: 20260103: GET /rows: the answer can't be read: the body isn't json at byte 19: eof while parsing a list: {"items": [{"id": 1}; it ends too soon: ask for smaller pages, or tell the server's owner"#);
    assert_snapshot!(refused(Answer::bytes(format!("{whole}\n{{\"more\": true}}"))), @r#"1: 20260103: GET /rows: the answer can't be read: the body isn't json at byte 34: trailing characters: {"items": [{"id": 1}, {"id": 2}]} {"more": true}; more comes after its end: for one document on each line write `format: jsonl`, else tell the server's owner"#);
    assert_snapshot!(refused(Answer::bytes(b"{\"items\": [{\"name\": \"K\xf6ln\"}]}".to_vec())), @r#"1: 20260103: GET /rows: the answer can't be read: the body isn't utf-8 at byte 22: {"items": [{"name": "K�ln"}]}; ask for utf-8, as some servers let you with the header `accept-charset: utf-8`, or tell the server's owner"#);
    assert_snapshot!(refused(Answer::bytes("")), @"1: 20260103: GET /rows: the answer can't be read: the body is empty: json was due; if the server means no rows by that, say so with `empty`");
    assert_snapshot!(refused(Answer::bytes(whole).header("content-encoding", "gzip")), @"1: 20260103: GET /rows: the body is incomplete after 2 tries to http://127.0.0.1:[PORT] (the gzip data is cut off or garbled: invalid gzip header); the answer is cut off or garbled on its way; ask for smaller pages, and look at the proxies between");
    let job = format!("{ONE_PAGE}\nmax_response: 1KiB");
    let huge: Vec<Value> = (0..1000).map(|id| json!({"id": id})).collect();
    assert_snapshot!(refused_by(&job, Answer::json(&json!({"items": huge}))), @"1: 20260103: GET /rows: the answer's body is larger than 1024 bytes, the limit; ask for smaller pages, or raise `max_response` (of the job, or of `source`)");
}

#[test]
fn a_record_that_nests_deep_is_kept_aside() {
    let deep = format!(r#"{{"items": [{{"b": 1}}, {{"a": {}1{}}}]}}"#, "[".repeat(20_000), "]".repeat(20_000));
    let bench = Bench::new(Api::always(Answer::bytes(deep)));
    let ran = bench
        .job(&format!("{ONE_PAGE}\nsinks: {{lake: {{parquet: {{url: ./lake}}}}, j: {{jsonl: {{url: ./j}}}}}}"))
        .run();
    assert_eq!(ran.fine(), "20260103 landed: 1 of 2, 1 quarantined; unknown");
    let kept = bench.quarantine();
    assert!(kept[0]["reason"].as_str().unwrap().contains("nested more than 128 deep"), "{}", kept[0]["reason"]);
}

#[test]
fn records_that_are_not_where_they_should_be() {
    assert_snapshot!(refused(Answer::json(&json!({"data": []}))), @"1: 20260103: GET /rows: the answer can't be read: the path `.items[]` finds no records: there is no `items` in the body, which has `data`; where that means no rows, write `records: '.items[]?'`; otherwise correct the path (line 7)");
    assert_snapshot!(refused(Answer::json(&json!({"items": null}))), @"1: 20260103: GET /rows: the answer can't be read: the path `.items[]` finds no records: `items` is null; where that means no rows, write `records: '.items[]?'`; otherwise correct the path (line 7)");
    assert_snapshot!(refused(Answer::json(&json!({"items": {"id": 1}}))), @"1: 20260103: GET /rows: the answer can't be read: the path `.items[]` finds no records: `items` is an object; if it is one record, write `records: '.items'`; if it has a record under each key, `records: '.items | to_entries[] | .value + {key}'` (line 7)");
    assert_snapshot!(refused(Answer::json(&json!([{"id": 1}]))), @r#"1: 20260103: GET /rows: the answer can't be read: the path `.items[]` finds no records: the body is an array, [{"id":1}]; if that is the list, write `records: '.[]'` (line 7)"#);
    let job = ONE_PAGE.replace("'.items[]'", "'.items[] | .name + 1'\nrows: '.items | length'");
    assert_snapshot!(refused_by(&job, Answer::json(&json!({"items": [{"name": "x"}]}))), @r#"1: 20260103: GET /rows: the answer can't be read: `records` can't be run on the page: the jq program failed: cannot calculate "x" + 1"#);
}

#[test]
fn a_compressed_page_is_a_page() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(br#"{"items": [{"id": 1}]}"#).unwrap();
    let bench = Bench::new(Api::always(Answer::bytes(gzip.finish().unwrap()).header("content-encoding", "gzip")));
    assert_eq!(bench.job(ONE_PAGE).run().fine(), "20260103 landed: 1 of 1; unknown");
}

/// Answers with the rows of a list of `held` rows that states that it has `total(offset)`.
fn lying(
    held: usize,
    total: impl Fn(usize) -> Value + Send + Sync + 'static,
) -> impl Fn(&Request) -> Value + Send + Sync {
    move |request| {
        let offset = request.number("offset");
        let items: Vec<Value> = (offset..held).take(2).map(|id| json!({"id": id})).collect();
        json!({"total": total(offset), "items": items})
    }
}

#[test]
fn totals_that_lie() {
    assert_snapshot!(paged(OFFSET, lying(4, |_| json!(5))), @"1: 20260103: received 4 different rows, while the server said that there are 5: a page came with no rows before all had; the server may hide rows after it has counted them (`advance: size` in `paginate.offset`), or the list moved while it was read: sort by a column that doesn't change; the slice doesn't land (`on_mismatch: warn` lands it all the same)");
    assert_snapshot!(paged(OFFSET, lying(4, |_| json!(3))), @"1: 20260103: received 4 different rows, while the server said that there are 3: there are more than stated; check `paginate.total`; the slice doesn't land (`on_mismatch: warn` lands it all the same)");
    assert_snapshot!(paged(OFFSET, lying(4, |offset| json!(3 + offset / 2))), @"1: 20260103: received 4 different rows, while the server said that there are 5: the total changed from 3 to 5 while the list was read, so rows may be missing; sort by a column that doesn't change, or read it until it is known to be whole (`on_mismatch: refetch`); the slice doesn't land (`on_mismatch: warn` lands it all the same)");
    let left = "records: '.items[]'\nquery: {offset: 0}\nkey: id\nsnapshot: daily
paginate: {seek: {into: query.offset, value: $last.id + 1, order: asc, size: 2}, total: .total}";
    let falls = paged(left, lying(5, |offset| json!(5_usize.saturating_sub(offset))));
    assert!(
        falls.contains("the total fell from 5 to 0 from page to page, as one does that counts what is left"),
        "{falls}"
    );
    assert_snapshot!(paged(OFFSET, lying(4, |_| json!("many"))), @r#"1: 20260103: GET /rows?offset=0: paging can't go on: the total is "many"; it must be a whole number, or its digits in a string, or null where none is stated"#);
}

#[test]
fn servers_that_go_in_circles() {
    let no_total = OFFSET.replace(", total: .total", "");
    let same = |_: &Request| json!({"items": [{"id": 1}, {"id": 2}]});
    assert_snapshot!(paged(&no_total, same), @"1: 20260103: GET /rows?offset=4: paging can't go on: pages 2 and 3 brought rows, but none that an earlier page hadn't: the server seems to ignore 'query.offset', or the data moves while it is read; check the place, or sort by a column that doesn't change");
    assert_snapshot!(paged(&format!("{no_total}\nkey: id"), same), @"1: 20260103: GET /rows?offset=4: paging can't go on: pages 2 and 3 brought rows, but none that an earlier page hadn't: the server seems to ignore 'query.offset', or the data moves while it is read; check the place, or sort by a column that doesn't change");
    let cycle = |request: &Request| json!({"items": [{"id": request.number("offset") % 6}, {"id": request.number("offset") % 6 + 1}]});
    assert_snapshot!(paged(&no_total, cycle), @"1: 20260103: GET /rows?offset=8: paging can't go on: pages 4 and 5 brought rows, but none that an earlier page hadn't: the server seems to ignore 'query.offset', or the data moves while it is read; check the place, or sort by a column that doesn't change");
    let seek = "records: '.items[]'\nkey: id\nquery: {sort: id}\nsnapshot: daily
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}";
    assert_snapshot!(paged(seek, same), @"1: 20260103: GET /rows?sort=id&after=2: paging can't go on: the seek value of page 2 is 2, which isn't after 2, from where the page was asked: the server ignores 'query.after', or doesn't sort by it in the order 'asc'");
}

const WINDOW: &str = "records: '.items[]'\nquery: {from: 0, to: 0}\npaginate: none
window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: to_timestamp_seconds(t)}";

#[test]
fn a_window_that_is_ignored() {
    let rows: Vec<Value> = (0..3).map(|day| json!({"t": 1_700_000_000 + day * 86_400})).collect();
    assert_snapshot!(refused_by(WINDOW, Answer::json(&json!({"items": rows}))), @"1: 20260102T000000Z: GET /rows?from=1767312000&to=1767398400: by `window.time`, 3 of 3 rows lie outside of the time asked for (2026-01-02 00:00:00 UTC to 2026-01-03 00:00:00 UTC), such as one of 2023-11-14 22:13:20 UTC: either the server ignored the window (check the places of `window.from` and `window.to`, and the format of `window.as`), or `window.time` misreads the rows, as one that takes seconds for milliseconds does");
}

#[test]
fn nobody_answers() {
    let bench = Bench::new(Api::always(Answer::never()));
    let started = Instant::now();
    bench.job(&format!("{ONE_PAGE}\ntimeout: {{request: 200ms}}"));
    assert_snapshot!(bench.failure(), @"1: 20260103: GET /rows: timeout after 2 tries to http://127.0.0.1:[PORT] (error sending request: operation timed out); raise timeout, or ask for smaller pages");
    assert!(started.elapsed().as_secs() < 10);
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.file(&format!(
        "source: {{base_url: 'http://{closed}', retry: {{attempts: 1}}}}
jobs: {{rows: {{get: /rows, records: '.items[]', snapshot: daily, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}}}"
    ));
    assert_snapshot!(bench.failure(), @"1: 20260103: GET /rows: no connection after 1 try to http://127.0.0.1:[PORT] (error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)); check base_url, the network, and tls");
}

#[test]
fn a_proxy_that_does_not_answer_is_named_without_its_password() {
    let job = "jobs: {rows: {get: /rows, records: '.items[]', snapshot: daily, paginate: none, sinks: {lake: {jsonl: {url: ./lake}}}}}";
    let of = |proxy: &str, environment: &[(&str, &str)]| {
        let bench = Bench::new(Api::always(Answer::json(&json!({"items": []}))));
        bench.file(&format!("source: {{base_url: 'http://export.invalid', retry: {{attempts: 1}}{proxy}}}\n{job}"));
        let errors = bench.run_with(NOW, &[], environment).errors();
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
        bench.workspace.redact(&errors[0])
    };
    // Nothing listens at port 1.
    let named = [("HTTP_PROXY", "http://me:hunter2@127.0.0.1:1")];
    assert_snapshot!(of("", &named), @"20260103: GET /rows: no connection after 1 try to http://export.invalid (error sending request: client error (Connect): tcp connect error: Connection refused (os error 111), through the proxy http://127.0.0.1:[PORT]/ (of HTTP_PROXY)); check that the proxy is there and lets the request through; then base_url, the network, and tls");
    assert_snapshot!(of(", proxy: 'http://${P_USER}:${P_WORD}@127.0.0.1:1'", &[("P_USER", "me"), ("P_WORD", "hunter2")]), @"20260103: GET /rows: no connection after 1 try to http://export.invalid (error sending request: client error (Connect): tcp connect error: Connection refused (os error 111), through the proxy http://127.0.0.1:[PORT]/ (of `proxy`)); check that the proxy is there and lets the request through; then base_url, the network, and tls");
    for no in ["export.invalid", "*.invalid", "10.0.0.1,*"] {
        let excepted = of("", &[named[0], ("NO_PROXY", no)]);
        assert!(!excepted.contains("proxy"), "it was asked directly: {excepted}");
    }
    for odd in ["http://me:hunter2@[bad", "ftp://me:hunter2@127.0.0.1:1", "socks5://me:hunter2@127.0.0.1:1"] {
        let said = of("", &[("HTTP_PROXY", odd)]);
        assert!(said.contains("HTTP_PROXY, of the environment, isn't the URL of a proxy that can be used"), "{said}");
        assert!(!of("", &[("HTTP_PROXY", odd), ("NO_PROXY", "export.invalid")]).contains("proxy"), "it isn't needed");
    }
}

#[test]
fn a_parent_that_fails_takes_its_children_along_and_no_others() {
    let bench = Bench::new(Api::start(|request| match request.path.as_str() {
        "/sites" => Answer::bytes("{}").status(404),
        _ => Answer::json(&json!({"items": [{"id": 1}]})),
    }));
    let landing = |name: &str| {
        format!(
            "records: '.items[]', snapshot: daily, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}}}"
        )
    };
    let (rows, others) = (landing("rows"), landing("others"));
    bench.jobs(&format!(
        "  sites: {{get: /sites, records: '.[]', paginate: none}}
  rows: {{get: /rows, for_each: {{rows_of: sites, as: site, key: id}}, query: {{site: '{{{{ site.id }}}}'}}, {rows}}}
  others: {{get: /others, {others}}}\n"
    ));
    let ran = bench.run();
    assert_eq!(ran.code(), 3);
    assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @"
GET /sites: status 404 after 1 try: the server answered 404 Not Found; body: {}; check the path and base_url; if it means that there are no rows, say so with empty
the rows of `sites` couldn't be read, so it isn't known what to ask for
");
    assert_eq!(ran.rows(), "20260103 landed: 1 of 1; unknown");
}

#[test]
fn a_parent_that_is_not_whole_is_no_parent() {
    let parent = |answers: fn(usize) -> Answer| {
        let bench = Bench::new(Api::start(move |request| match request.path.as_str() {
            "/sites" => answers(request.number("offset")),
            _ => Answer::json(&json!({"items": [{"id": 1}]})),
        }));
        bench.jobs(
            "  sites: {get: /sites, records: '.items[]', query: {offset: 0}, paginate: {offset: {into: query.offset, size: 2}, total: .total}}
  rows: {get: /rows, for_each: {rows_of: sites, as: site, key: id}, query: {site: '{{ site.id }}'}, records: '.items[]',
         snapshot: daily, paginate: none, sinks: {lake: {jsonl: {url: ./lake}}}}\n",
        );
        let ran = bench.run();
        assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{ran:?}");
        bench.workspace.redact(&ran.errors()[0])
    };
    let short = |offset| {
        Answer::json(
            &json!({"total": 3, "items": if offset == 0 { vec![json!({"id": 1}), json!({"id": 2})] } else { Vec::new() }}),
        )
    };
    assert_snapshot!(parent(short), @"received 2 different rows, while the server said that there are 3: a page came with no rows before all had; the server may hide rows after it has counted them (`advance: size` in `paginate.offset`), or the list moved while it was read: sort by a column that doesn't change; the slice doesn't land (`on_mismatch: warn` lands it all the same)");
    let same = |_| Answer::json(&json!({"items": [{"id": 1}, {"id": 2}]}));
    assert_snapshot!(parent(same), @"GET /sites?offset=4: paging can't go on: pages 2 and 3 brought rows, but none that an earlier page hadn't: the server seems to ignore 'query.offset', or the data moves while it is read; check the place, or sort by a column that doesn't change");
    assert_snapshot!(parent(|_| Answer::bytes("<html>log in</html>")), @"GET /sites?offset=0: the answer can't be read: the body is html or xml, not json: <html>log in</html>; if it is the page of a login or a proxy, check auth and base_url");
}

#[test]
fn sql_that_does_not_fit_the_rows() {
    let page = || Answer::json(&json!({"items": [{"id": "7", "at": "yesterday"}]}));
    let with = |more: &str| format!("{ONE_PAGE}\n{more}");
    assert_snapshot!(refused_by(&with("transform: SELECT id, severity FROM records"), page()), @"1: 20260103: pipeline.yaml:10:27: transform: there is no column `severity`; there are `at`, `id`; if only some rows have it, give it a type: `schema: {columns: {severity: string}}`");
    assert_snapshot!(refused_by(&with("transform: SELECT CAST(at AS BIGINT) AS n FROM records"), page()), @"1: 20260103: transform: the SQL failed on a row: cannot cast string 'yesterday' to value of Int64 type");
    let sink = "sinks: {lake: {jsonl: {url: ./lake}, where: level > 3}}";
    assert_snapshot!(refused_by(&with(sink), page()), @"1: 20260103: pipeline.yaml:10:49: the sink `lake`: where: there is no column `level`; there are `at`, `id`; if only some rows have it, give it a type: `schema: {columns: {level: string}}`");
    let sink = "sinks: {lake: {parquet: {url: ./lake, partition_by: [day(at)]}}}";
    assert_snapshot!(refused_by(&with(sink), page()), @"1: 20260103: the sink `lake`: column `at` is of type Utf8: year(), month() and day() need a timestamp or a date");
    assert_snapshot!(refused_by(&with("key: uuid"), page()), @"1: 20260103: pipeline.yaml:10:10: the rows' `key` can't be used: key column `uuid` isn't a column of records; there are `at`, `id`");
    let seek = "records: '.items[]'\nquery: {sort: id}\nincremental: {cursor: id, start: 0}
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}";
    assert_snapshot!(refused_by(seek, page()), @"1: s0-0: `incremental.cursor` is a Utf8; it must be an integer or a timestamp: cast it, such as `CAST(id AS BIGINT)`, or `to_timestamp(updated)` where it is a time");
    assert_snapshot!(refused_by(&WINDOW.replace("to_timestamp_seconds(t)", "at"), page()), @"1: 20260102T000000Z: window.time: `at` is Utf8, not a timestamp: write to_timestamp(at), or parse_timestamp(at, '%Y-%m-%d %H:%M:%S', 'UTC')");
}

#[test]
fn a_row_whose_time_is_none_goes_to_quarantine_alone() {
    let time = |at: usize| match at {
        3 => json!("garbage"),
        5 => Value::Null,
        at => json!(format!("2026-01-02T{at:02}:00:00Z")),
    };
    let rows: Vec<Value> = (0..9).map(|at| json!({"id": at, "t": time(at)})).collect();
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": rows}))));
    bench.job(&WINDOW.replace("to_timestamp_seconds(t)", "to_timestamp(t)"));
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 7 of 9, 2 quarantined; unknown");
    let mut reasons: Vec<String> =
        bench.quarantine().iter().map(|bad| format!("{} {}", bad["column"], bad["reason"])).collect();
    reasons.sort();
    assert!(
        reasons[0].starts_with(r#""t" "fails for `window.time`: "#) && reasons[0].contains("garbage"),
        "{reasons:?}"
    );
    assert_eq!(reasons[1], r#""t" "gives null for `window.time`""#);
}

#[test]
fn a_header_that_does_not_go_back_as_it_came() {
    let page = |_: &_| Answer::json(&json!({"items": [{"id": 1}]}));
    let cursor = "records: '.items[]'\nquery: {c: null}\nsnapshot: latest\npaginate: {cursor: {into: query.c, value: '$headers[\"x-next\"]'}}";
    let told = |job: &str, name: &'static str, value: &'static [u8]| {
        let bench = Bench::new(Api::start(move |request| page(request).header(name, value)));
        bench.job(job).failure()
    };
    let error = told(cursor, "x-next", b"k\xe9");
    assert!(
        error.contains("page 1 gives \"k\u{fffd}\" to go on by, from a header whose bytes are no UTF-8"),
        "{error}"
    );
    let link = "records: '.items[]'\nsnapshot: latest\npaginate: {next_link: {header: link}}";
    let error = told(link, "link", b"</rows?q=\xe9&o=3>; rel=\"next\"");
    assert!(error.contains("page 1 gives \"/rows?q=\u{fffd}&o=3\" to go on by"), "{error}");
    let blanks = "records: '.items[]'\nheaders: {x-c: null}\nsnapshot: latest\npaginate: {cursor: {into: headers.x-c, value: '\" k \"'}}";
    let error = told(blanks, "x-y", b"z");
    assert!(error.contains("begins or ends with a blank, which HTTP drops on the way"), "{error}");
}

#[test]
fn files_in_the_place_of_folders() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"id": 1}]}))));
    bench.job(ONE_PAGE);
    bench.workspace.write("lake", "not a folder");
    let ran = bench.run();
    assert_eq!(ran.code(), 1);
    assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @"20260103: the sink `lake`: can't make the directory [DIR]/lake/.tidegate-staged/test/rows/20260103-g1: File exists (os error 17)");
    bench.workspace.write("file", "not a folder");
    let ran = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "file"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_snapshot!(bench.workspace.redact(&ran.stderr), @"error: test: can't list checkpoint of the ledger: Generic LocalFileSystem error: Unable to walk dir: IO error for operation on [DIR]/file/test/checkpoint: Not a directory (os error 20)");
}

#[test]
fn a_ledger_that_was_tampered_with() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"id": 1}]}))));
    bench.job(ONE_PAGE).run().fine();
    bench.workspace.write("state/test/log/00000000000000000002.json", "{\"nonce\": ");
    let ran = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert_snapshot!(bench.workspace.redact(&ran.stderr), @"error: test: log/00000000000000000002.json of the ledger is corrupt: EOF while parsing a value at line 1 column 10; put a copy of it back that is whole, from a backup or an older version of the object: without it, it isn't known what has landed");
}

#[test]
fn an_edit_that_renames_what_has_landed() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"id": 1}]}))));
    bench.job(ONE_PAGE).run().fine();
    bench.job(&format!("{ONE_PAGE}\nkey: id\ntransform: SELECT id AS renamed FROM records"));
    let ran = bench.run();
    assert_eq!(ran.code(), 2);
    assert_snapshot!(ran.errors().join("\n"), @r#"the job `rows` was changed after data landed: `key` was [] and is ["id"], `transform` was nothing and is "SELECT id AS renamed FROM records"; what is in the lake would no longer match: take the edit back; or run once with `--accept future` (what has landed stays, the edit applies to what lands from now on) or `--accept reland` (what has landed is read again and replaced); or give the job another name, and its sinks another `url`"#);
    assert_eq!(bench.lines(), [json!({"id": 1})], "what landed stays");
}

#[test]
fn a_slice_that_fails_says_how_far_it_came() {
    let bench = Bench::new(Api::start(|request| match request.number("offset") {
        4 => Answer::bytes("down").status(503),
        at => Answer::json(&json!({"total": 6, "items": [{"id": at}, {"id": at + 1}]})),
    }));
    let ran = bench.job(OFFSET).run();
    assert_eq!(ran.code(), 1, "{ran:?}");
    let slice = ran.slices()[0];
    let counts = ["pages", "server_rows", "retries"].map(|name| slice[name].as_u64().unwrap());
    assert_eq!(counts, [2, 4, 1], "{slice}");
    assert!(slice["bytes"].as_u64().unwrap() > 50, "{slice}");
    assert_eq!((&slice["rows"]["received"], &slice["rows"]["refused"]), (&json!(4), &json!(4)), "{slice}");
    assert_eq!(slice.get("reconciliation"), None, "it wasn't read to its end: {slice}");
}

#[test]
fn a_slice_that_fails_for_its_verdict_has_it_and_its_rows_in_all_numbers() {
    let bench = Bench::new(Api::start(|request| match request.number("offset") {
        6 => Answer::json(&json!({"total": 9, "items": []})),
        at => Answer::json(&json!({"total": 9, "items": [{"id": at}, {"id": at + 1}]})),
    }));
    let ran = bench.job(&format!("{OFFSET}\nkey: id")).run();
    assert_eq!((ran.code(), ran.rows().as_str()), (1, "20260103 failed: 0 of 6, 6 refused; short"), "{ran:?}");
    let again = ["run", "pipeline.yaml", "--state", "state", "--metrics-file", "m.prom"];
    let again = bench.workspace.tidegate(&again).run();
    assert_eq!(again.code, Some(1), "{again:#?}");
    assert!(again.stdout.contains("rows: 6 rows of slices that failed: not landed"), "{again:#?}");
    let metrics = std::fs::read_to_string(bench.workspace.path("m.prom")).unwrap();
    let fates: Vec<&str> = metrics.lines().filter(|line| line.starts_with("tidegate_rows_total{")).collect();
    assert!(
        fates.iter().all(|line| line.ends_with(if line.contains("refused") { "} 6" } else { "} 0" })),
        "{fates:#?}"
    );
    assert!(
        metrics.contains("tidegate_verdicts_total{pipeline=\"test\",job=\"rows\",verdict=\"short\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn what_cannot_be_read_fails_only_what_goes_by_it() {
    let api = |next: &'static str| {
        Api::start(move |request| {
            Answer::bytes(match request.query.get("c").map(String::as_str) {
                Some("b") => r#"{"rows": [{"id": 3}], "took": 1e999, "next": null}"#.to_owned(),
                _ => r#"{"rows": [{"id": 1}, {"id": 2, "t": "\ud800"}], "took": 1e999, "by": "\udfff", "next": NEXT}"#
                    .replace("NEXT", next),
            })
        })
    };
    let job = "records: '.rows[]'\nsnapshot: latest\npaginate: {cursor: {into: query.c, value: .next}}";
    let bench = Bench::new(api(r#""b""#));
    assert_eq!(bench.job(job).run().fine(), "latest landed: 2 of 3, 1 quarantined; complete");
    for next in [r#""\ud800b""#, "1e999"] {
        let failure = Bench::new(api(next)).job(job).failure();
        let told = "GET /rows: `paginate.cursor.value` gives a number beyond the range of a double, or a text with half of a pair";
        assert!(failure.contains(told), "{next}: {failure}");
    }
}

#[test]
fn a_last_row_that_cannot_be_read_is_gone_by_all_the_same() {
    let api = |field: &'static str| {
        Api::start(move |request| {
            let bad = format!(r#"{{"id": 2, "{field}": "\ud800"}}"#);
            Answer::bytes(match request.number("after") {
                0 => format!(r#"[{{"id": 1, "t": "x"}}, {bad}]"#),
                2 => r#"[{"id": 3, "t": "y"}]"#.to_owned(),
                _ => "[]".to_owned(),
            })
        })
    };
    let job = "records: '.[]'\nquery: {after: 0}\nsnapshot: latest\nkey: id
paginate: {seek: {into: query.after, value: '$last.VALUE', order: asc, bound: exclusive, size: 2}}";
    let bench = Bench::new(api("t"));
    assert_eq!(bench.job(&job.replace("VALUE", "id")).run().fine(), "latest landed: 2 of 3, 1 quarantined; complete");
    let failure = Bench::new(api("t")).job(&job.replace("VALUE", "t")).failure();
    assert!(failure.contains("`paginate.seek.value` gives a number beyond"), "{failure}");
}
