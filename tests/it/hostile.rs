//! Answers that lie, break off or never come. Each is refused with a message that says what failed, where, why and what to do, and
//! nothing of it lands.

use std::time::Instant;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

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
    assert_snapshot!(refused(error(401)), @"");
    assert_snapshot!(refused(error(403)), @"");
    assert_snapshot!(refused(error(404)), @"");
    assert_snapshot!(refused(error(500)), @"");
    assert_snapshot!(refused(error(429).header("retry-after", "3600")), @"");
    assert_snapshot!(refused(Answer::bytes("").status(302).header("location", "/login?next=%2Frows")), @"");
    assert_snapshot!(refused(Answer::bytes("").status(204)), @"");
}

#[test]
fn errors_in_disguise() {
    let html = Answer::bytes("<!DOCTYPE html>\n<html><title>Please log in</title></html>").header("x-served-by", "proxy");
    assert_snapshot!(refused(html), @"");
    let job = format!("{ONE_PAGE}\nsuccess: '.rc == 0'\nerror_message: .rc_str");
    let envelope = json!({"rc": -3, "rc_str": "INVALID_INTERFACE", "items": [{"id": 1}]});
    assert_snapshot!(refused_by(&job, Answer::json(&envelope)), @"");
    assert_snapshot!(refused_by(&job, Answer::json(&json!({"items": [{"id": 1}]}))), @"");
}

#[test]
fn broken_bodies() {
    let whole = r#"{"items": [{"id": 1}, {"id": 2}]}"#;
    assert_snapshot!(refused(Answer::bytes(whole).header("content-length", "1000").torn()), @"");
    assert_snapshot!(refused(Answer::bytes(whole).torn()), @"");
    assert_snapshot!(refused(Answer::bytes(&whole[..20])), @"");
    assert_snapshot!(refused(Answer::bytes(format!("{whole}\n{{\"more\": true}}"))), @"");
    assert_snapshot!(refused(Answer::bytes(b"{\"items\": [{\"name\": \"K\xf6ln\"}]}".to_vec())), @"");
    assert_snapshot!(refused(Answer::bytes("")), @"");
    assert_snapshot!(refused(Answer::bytes(whole).header("content-encoding", "gzip")), @"");
    let job = format!("{ONE_PAGE}\nmax_response: 1KiB");
    let huge: Vec<Value> = (0..1000).map(|id| json!({"id": id})).collect();
    assert_snapshot!(refused_by(&job, Answer::json(&json!({"items": huge}))), @"");
    let deep = format!(r#"{{"items": [{{"a": {}1{}}}]}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_snapshot!(refused(Answer::bytes(deep)), @"");
}

#[test]
fn records_that_are_not_where_they_should_be() {
    assert_snapshot!(refused(Answer::json(&json!({"data": []}))), @"");
    assert_snapshot!(refused(Answer::json(&json!({"items": null}))), @"");
    assert_snapshot!(refused(Answer::json(&json!({"items": {"id": 1}}))), @"");
    assert_snapshot!(refused(Answer::json(&json!([{"id": 1}]))), @"");
    let job = ONE_PAGE.replace("'.items[]'", "'.items[] | .name + 1'\nrows: '.items | length'");
    assert_snapshot!(refused_by(&job, Answer::json(&json!({"items": [{"name": "x"}]}))), @"");
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
fn lying(held: usize, total: impl Fn(usize) -> Value + Send + Sync + 'static) -> impl Fn(&Request) -> Value + Send + Sync {
    move |request| {
        let offset = request.number("offset");
        let items: Vec<Value> = (offset..held).take(2).map(|id| json!({"id": id})).collect();
        json!({"total": total(offset), "items": items})
    }
}

#[test]
fn totals_that_lie() {
    assert_snapshot!(paged(OFFSET, lying(4, |_| json!(5))), @"");
    assert_snapshot!(paged(OFFSET, lying(4, |_| json!(3))), @"");
    assert_snapshot!(paged(OFFSET, lying(4, |offset| json!(3 + offset / 2))), @"");
    assert_snapshot!(paged(OFFSET, lying(4, |_| json!("many"))), @"");
    let one_page = format!("{}\n", OFFSET.replace("{offset: {into: query.offset, size: 2}, total: .total}", "none"));
    assert!(!one_page.contains("total"));
}

#[test]
fn servers_that_go_in_circles() {
    let no_total = OFFSET.replace(", total: .total", "");
    let same = |_: &Request| json!({"items": [{"id": 1}, {"id": 2}]});
    assert_snapshot!(paged(&no_total, same), @"");
    assert_snapshot!(paged(&format!("{no_total}\nkey: id"), same), @"");
    let cycle = |request: &Request| json!({"items": [{"id": request.number("offset") % 6}, {"id": request.number("offset") % 6 + 1}]});
    assert_snapshot!(paged(&no_total, cycle), @"");
    let seek = "records: '.items[]'\nkey: id\nquery: {sort: id}\nsnapshot: daily
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}";
    assert_snapshot!(paged(seek, same), @"");
}

const WINDOW: &str = "records: '.items[]'\nquery: {from: 0, to: 0}\npaginate: none
window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: to_timestamp_seconds(t)}";

#[test]
fn a_window_that_is_ignored() {
    let rows: Vec<Value> = (0..3).map(|day| json!({"t": 1_700_000_000 + day * 86_400})).collect();
    assert_snapshot!(refused_by(WINDOW, Answer::json(&json!({"items": rows}))), @"");
}

#[test]
fn nobody_answers() {
    let bench = Bench::new(Api::always(Answer::never()));
    let started = Instant::now();
    bench.job(&format!("{ONE_PAGE}\ntimeout: {{request: 200ms}}"));
    assert_snapshot!(bench.failure(), @"");
    assert!(started.elapsed().as_secs() < 10);
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.file(&format!(
        "source: {{base_url: 'http://{closed}', retry: {{attempts: 1}}}}
jobs: {{rows: {{get: /rows, records: '.items[]', snapshot: daily, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}}}"
    ));
    assert_snapshot!(bench.failure(), @"");
}

#[test]
fn a_parent_that_fails_takes_its_children_along_and_no_others() {
    let bench = Bench::new(Api::start(|request| match request.path.as_str() {
        "/sites" => Answer::bytes("{}").status(404),
        _ => Answer::json(&json!({"items": [{"id": 1}]})),
    }));
    let landing = "records: '.items[]', snapshot: daily, paginate: none, sinks: {lake: {jsonl: {url: ./lake}}}";
    bench.jobs(&format!(
        "  sites: {{get: /sites, records: '.[]', paginate: none}}
  rows: {{get: /rows, for_each: {{rows_of: sites, as: site, key: id}}, query: {{site: '{{{{ site.id }}}}'}}, {landing}}}
  others: {{get: /others, {landing}}}\n"
    ));
    let ran = bench.run();
    assert_eq!(ran.code(), 3);
    assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @"");
    assert_eq!(ran.rows(), "20260103 landed: 1 of 1; unknown");
}

#[test]
fn sql_that_does_not_fit_the_rows() {
    let page = || Answer::json(&json!({"items": [{"id": "7", "at": "yesterday"}]}));
    let with = |more: &str| format!("{ONE_PAGE}\n{more}");
    assert_snapshot!(refused_by(&with("transform: SELECT id, severity FROM records"), page()), @"");
    assert_snapshot!(refused_by(&with("transform: SELECT CAST(at AS BIGINT) AS n FROM records"), page()), @"");
    let sink = "sinks: {lake: {jsonl: {url: ./lake}, where: level > 3}}";
    assert_snapshot!(refused_by(&with(sink), page()), @"");
    let sink = "sinks: {lake: {parquet: {url: ./lake, partition_by: [day(at)]}}}";
    assert_snapshot!(refused_by(&with(sink), page()), @"");
    assert_snapshot!(refused_by(&with("key: uuid"), page()), @"");
    let seek = "records: '.items[]'\nquery: {sort: id}\nincremental: {cursor: id, start: 0}
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}";
    assert_snapshot!(refused_by(seek, page()), @"");
    assert_snapshot!(refused_by(&WINDOW.replace("to_timestamp_seconds(t)", "at"), page()), @"");
}

#[test]
fn files_in_the_place_of_folders() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"id": 1}]}))));
    bench.job(ONE_PAGE);
    bench.workspace.write("lake", "not a folder");
    let ran = bench.run();
    assert_eq!(ran.code(), 1);
    assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @"");
    bench.workspace.write("file", "not a folder");
    let ran = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "file"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_snapshot!(bench.workspace.redact(&ran.stderr), @"");
}

#[test]
fn a_ledger_that_was_tampered_with() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"id": 1}]}))));
    bench.job(ONE_PAGE).run().fine();
    bench.workspace.write("state/test/log/00000000000000000002.json", "{\"nonce\": ");
    let ran = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert_snapshot!(bench.workspace.redact(&ran.stderr), @"");
}

#[test]
fn an_edit_that_renames_what_has_landed() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"id": 1}]}))));
    bench.job(ONE_PAGE).run().fine();
    bench.job(&format!("{ONE_PAGE}\nkey: id\ntransform: SELECT id AS renamed FROM records"));
    let ran = bench.run();
    assert_eq!(ran.code(), 1);
    assert_snapshot!(ran.errors().join("\n"), @"");
    assert_eq!(bench.lines(), [json!({"id": 1})], "what landed stays");
}
