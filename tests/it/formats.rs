//! Answers that aren't one JSON document, compressed answers, and bodies that would hurt, through the binary to the files.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW};

const ONE_PAGE: &str = "records: '.[]'\nsnapshot: daily\npaginate: none";

fn bench(job: &str, answer: Answer) -> Bench {
    let bench = Bench::new(Api::always(answer));
    bench.job(job);
    bench
}

fn refused(job: &str, body: impl Into<Vec<u8>>) -> String {
    bench(job, Answer::bytes(body)).failure()
}

/// Answers with lines of the records from `offset` on, two a page.
fn lines(request: &Request, held: usize) -> Answer {
    let rows =
        (request.number("offset")..held).take(2).map(|id| format!("{}\n", json!({"id": id, "tags": [id, null]})));
    Answer::bytes(rows.collect::<String>()).header("x-total", held.to_string())
}

#[test]
fn lines_land_page_by_page() {
    let bench = Bench::new(Api::start(|request| lines(request, 5)));
    bench.job(
        "format: jsonl
records: '.[]?'
query: {offset: 0}
snapshot: latest
paginate: {offset: {into: query.offset, size: 2}, total: '$headers[\"x-total\"]'}
sinks: {lake: {parquet: {url: ./lake}}}",
    );
    assert_eq!(bench.run().fine(), "latest landed: 5 of 5; complete");
    assert_eq!(bench.api.asked_for("offset"), ["0", "2", "4", "6"][..bench.api.asked().len()]);
    let found = bench.query("SELECT id, tags FROM read_parquet('{dir}/lake/**/*.parquet') ORDER BY id");
    assert_eq!(found.len(), 5);
    assert_eq!(found[4], json!({"id": 4, "tags": [4, null]}));
}

#[test]
fn lines_are_sought_by_their_last_record() {
    let bench = Bench::new(Api::start(|request| {
        let after = request.number("after");
        Answer::bytes((after + 1..=5).take(2).map(|id| format!("{{\"id\":{id}}}\r\n")).collect::<String>())
    }));
    bench.job(
        "format: jsonl\nrecords: '.[]?'\nkey: id\nquery: {sort: id}\nsnapshot: latest
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 2}}",
    );
    assert_eq!(bench.run().fine(), "latest landed: 5 of 5; complete");
    assert_eq!(bench.lines().len(), 5);
}

#[test]
fn a_program_makes_records_of_lines() {
    let body = "{\"day\": 1, \"hits\": [{\"n\": 1}, {\"n\": 2}]}\n{\"day\": 2, \"hits\": []}\n{\"next\": null}\n";
    let job = "format: jsonl\nrecords: '.[:-1][] | .day as $d | .hits[] | {day: $d, n}'\nrows: 'length - 1'
success: '.[-1] | has(\"next\")'\nsnapshot: latest
paginate: {cursor: {into: query.next, value: '.[-1].next'}}";
    let bench = bench(job, Answer::bytes(body));
    assert_eq!(bench.run().fine(), "latest landed: 2 of 2; unknown");
    assert_eq!(bench.lines(), [json!({"day": 1, "n": 1}), json!({"day": 1, "n": 2})]);
    let job = job.replace("snapshot: latest", "snapshot: daily");
    assert_snapshot!(refused(&job, &body[..body.len() - 15]), @r#"1: 20260103: GET /rows: status 200 after 1 try: 'success' is not true; body: {"day": 1, "hits": [{"n": 1}, {"n": 2}]}\n{"day": 2, "hits": []}\n; check the request, and the source's success and error_message"#);
}

#[test]
fn tables_land_as_they_were_written() {
    let body = "\u{feff}id|amount|at|note\r\n1|1.50|1767225600|\"a|b \"\"c\"\"\r\nd\"\r\n2||1767225601|\r\n3|x|1767225602|bad\r\n4|1\r\n5|0.10|1767225603|\"\"\r\n";
    let job = "format: {csv: {delimiter: '|'}}
records: '.[]'
snapshot: daily
key: id
paginate: none
schema: {columns: {id: int64, amount: 'decimal(8, 2)', at: timestamp(s)}}
sinks: {lake: {parquet: {url: ./lake}}}";
    let bench = bench(job, Answer::bytes(body));
    let ran = bench.run();
    assert_eq!(ran.rows(), "20260103 landed: 3 of 5, 2 quarantined; unknown");
    let found = bench.query(
        "SELECT id, amount::VARCHAR AS amount, epoch(\"at\")::BIGINT AS seconds, note FROM read_parquet('{dir}/lake/**/*.parquet') ORDER BY id",
    );
    assert_eq!(
        found,
        [
            json!({"id": 1, "amount": "1.50", "seconds": 1_767_225_600, "note": "a|b \"c\"\r\nd"}),
            json!({"id": 2, "amount": null, "seconds": 1_767_225_601, "note": null}),
            json!({"id": 5, "amount": "0.10", "seconds": 1_767_225_603, "note": ""}),
        ]
    );
    let bad: Vec<Value> =
        bench.quarantine().iter().map(|row| json!([row["column"], row["reason"], row["row"]])).collect();
    assert_eq!(
        bad,
        [
            json!(["amount", "expected decimal(8, 2), got string \"x\"", "3|x|1767225602|bad"]),
            json!(["", "expected 4 cells, got 2 cells", "4|1"]),
        ]
    );
}

#[test]
fn tables_page_by_their_last_row_and_feed_other_jobs() {
    let bench = Bench::new(Api::start(|request| match request.path.as_str() {
        "/sites" => {
            let rows = (request.number("page")..=3).take(2).map(|id| format!("{id},\"Site, {id}\"\n"));
            Answer::bytes(format!("id,name\n{}", rows.collect::<String>()))
        }
        path => Answer::bytes(format!("{path}\t7\n{path}\t8\n")),
    }));
    bench.jobs(
        "  sites:
    get: /sites
    format: {csv: {}}
    records: '.[]'
    query: {page: 1}
    paginate: {seek: {into: query.page, value: '$last.id | tonumber + 1', order: asc, bound: inclusive, size: 2}}
    key: id
  rows:
    for_each: {rows_of: sites, as: site, key: id, columns: {site_name: .name}}
    get: '/site/{{ site.id }}'
    format: {csv: {delimiter: \"\\t\", header: false}}
    records: '.[]'
    paginate: none
    snapshot: daily
    sinks: {lake: {jsonl: {url: ./lake}}}\n",
    );
    let rows = bench.run().fine();
    assert_eq!(rows.lines().count(), 3, "{rows}");
    let found = bench.query("SELECT c1, c2, id, site_name FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY ALL");
    assert_eq!(found.len(), 6);
    assert_eq!(found[5], json!({"c1": "/site/3", "c2": "8", "id": "3", "site_name": "Site, 3"}));
}

#[test]
fn what_comes_instead_of_a_table_is_an_error() {
    let csv = format!("format: {{csv: {{}}}}\n{ONE_PAGE}");
    assert_snapshot!(refused(&csv, "<html><body>Sign in, please</body></html>"), @"1: 20260103: GET /rows: the answer can't be read: the body is html or xml, not csv: <html><body>Sign in, please</body></html>; if it is the page of a login or a proxy, check auth and base_url");
    assert_snapshot!(refused(&csv, r#"{"error": "no such list"}"#), @r#"1: 20260103: GET /rows: the answer can't be read: the body is one json document, not csv: {"error": "no such list"}; if it is an error, `success` and `error_message` see it"#);
    let ruled = format!("{csv}\nsuccess: '.error == null'\nerror_message: .error");
    assert_snapshot!(refused(&ruled, r#"{"error": "no such list"}"#), @r#"1: 20260103: GET /rows: status 200 after 1 try: 'success' is not true; it says: no such list; body: {"error": "no such list"}; check the request, and the source's success and error_message"#);
    assert_snapshot!(refused(&csv, ""), @"1: 20260103: GET /rows: the answer can't be read: the body is empty: csv was due; if the server means no rows by that, let `records` begin with `.[]?`");
    assert_snapshot!(refused(&csv, "a,b\n1,\"2\n"), @r#"1: 20260103: GET /rows: the answer can't be read: the body isn't a csv table, at line 2: a quote is opened and never closed: the body may be cut off: a,b 1,"2"#);
    assert_snapshot!(refused(&csv, b"a,b\n1,K\xf6ln\n".to_vec()), @"1: 20260103: GET /rows: the answer can't be read: the body isn't utf-8 at byte 7: a,b 1,K�ln ; ask for utf-8, as some servers let you with the header `accept-charset: utf-8`, or tell the server's owner");
    let lines = format!("format: jsonl\n{ONE_PAGE}");
    assert_snapshot!(refused(&lines, "{\"a\": 1}\n{\"a\": 2\n"), @r#"1: 20260103: GET /rows: the answer can't be read: line 2 isn't json at byte 6: eof while parsing an object: {"a": 2; each document stands on a line of its own: for a body that is one document write `format: json`, else tell the server's owner"#);
}

#[test]
fn an_empty_body_is_a_page_where_records_say_so() {
    for format in ["jsonl", "{csv: {}}", "{csv: {header: false}}"] {
        let job = format!("format: {format}\n{}", ONE_PAGE.replace("'.[]'", "'.[]?'"));
        assert_eq!(bench(&job, Answer::bytes("")).run().fine(), "20260103 landed: 0 of 0; unknown", "{format}");
    }
}

/// Each of these was the quiet end of a list.
#[test]
fn what_is_no_page_ends_no_list() {
    let second = |job: &str, first: Answer, second: Answer| {
        let bench = Bench::new(Api::start(move |request| match request.number("at") {
            0 => first.clone(),
            2 => second.clone(),
            _ => Answer::bytes("id,v\n"),
        }));
        bench.job(&format!("records: '.[]'\nsnapshot: daily\nquery: {{at: 0}}\n{job}"));
        bench.failure()
    };
    let table = "format: {csv: {}}\npaginate: {offset: {into: query.at, size: 2}}";
    let page = || Answer::bytes("id,v\n0,a\n1,b\n");
    for body in ["Internal error, try again later\n", "2,c\n3,d\n", "ID,v\n2,c\n3,d\n", "Error,code\ntry later,5\n"] {
        let error = second(table, page(), Answer::bytes(body));
        assert!(error.contains("doesn't name the column `id`, which the slice's first page has"), "{error}");
        let keyed = second(&format!("{table}\nkey: id"), page(), Answer::bytes(body));
        assert!(keyed.contains("doesn't name the column `id`, which `key` has"), "{keyed}");
    }
    let declared = page().header("content-type", "text/csv; charset=utf-16le");
    assert!(second(table, declared, page()).contains("says that the body is in utf-16le"));
    let linked = |link: &str| Answer::bytes("[{\"id\": 0}]").header("link", link);
    let link = "paginate: {next_link: {header: link}}";
    for broken in ["<?at=4> rel=\"next\"", "<?at=4>; rel='next'", "<?at=4; rel=\"next\"", "<>; rel=\"next\""] {
        let error = second(link, linked("<?at=2>; rel=\"next\""), linked(broken));
        assert!(error.contains("the header 'link' of page 2 can't be read"), "{error}");
    }
    let cursor = "paginate: {cursor: {into: query.at, value: '$last.at'}}";
    let error = second(cursor, Answer::bytes("[{\"id\": 0, \"at\": 1700000000.1234567890}]"), page());
    assert!(
        error.contains("gives the cursor 1700000000.1234567890, a number that can't be kept and sent back"),
        "{error}"
    );
}

#[test]
fn a_columns_type_is_kept_from_day_to_day() {
    let bench = Bench::new(Api::start(|request| {
        let late = request.query["day"].starts_with("2026-01-04");
        Answer::bytes(if late { "id,new\n2,x\n" } else { "id,gone\n1,\n" })
    }));
    bench.job("format: {csv: {}}\nrecords: '.[]'\nsnapshot: daily\npaginate: none\nquery: {day: '{{ now }}'}\nsinks: {lake: {parquet: {url: ./lake}}}");
    assert_eq!(bench.run().fine(), "20260103 landed: 1 of 1; unknown");
    assert_eq!(bench.run_at("2026-01-04T12:00:00Z", &[]).fine(), "20260104 landed: 1 of 1; unknown");
    let found = bench
        .query("SELECT id, \"new\" FROM read_parquet('{dir}/lake/**/*.parquet', union_by_name = true) ORDER BY id");
    assert_eq!(found, [json!({"id": "1", "new": null}), json!({"id": "2", "new": "x"})]);
}

#[test]
fn compressed_pages_of_every_format_land() {
    let table = "id,name\n1,a\n2,b\n";
    let zstd = zstd::encode_all(table.as_bytes(), 1).unwrap();
    let job = format!("format: {{csv: {{}}}}\n{ONE_PAGE}");
    let packed = bench(&job, Answer::bytes(zstd).header("content-encoding", "zstd"));
    assert_eq!(packed.run().fine(), "20260103 landed: 2 of 2; unknown");
    let twice = zstd::encode_all(&zstd::encode_all(table.as_bytes(), 1).unwrap()[..], 1).unwrap();
    assert_snapshot!(bench(&job, Answer::bytes(twice).header("content-encoding", "zstd")).failure(), @"1: 20260103: GET /rows: the answer can't be read: the body is still zstd data: it was compressed more than once, or its header content-encoding doesn't say that it is; ask the server, or a proxy between, not to compress");
    assert_snapshot!(bench(&job, Answer::bytes(table).header("content-encoding", "compress")).failure(), @"1: 20260103: GET /rows: the answer's body has the content-encoding `compress`, which can't be undone; gzip, deflate, br and zstd can, one of them; ask the server, or a proxy between, for another: set the header accept-encoding, such as `identity`");
}

/// A megabyte that unpacks to 16 GiB, of which a process with 3 GiB of addresses holds no more than `max_response`.
#[test]
fn a_bomb_stops_at_the_limit_and_costs_no_memory() {
    let one = zstd::encode_all(&vec![b' '; 16 << 20][..], 3).unwrap();
    let bomb = one.repeat(1024);
    assert!(bomb.len() < 2 << 20, "{}", bomb.len());
    let bench = bench(&format!("format: jsonl\n{ONE_PAGE}"), Answer::bytes(bomb).header("content-encoding", "zstd"));
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", NOW];
    let outcome = bench.workspace.tidegate(&arguments).limited(3 << 20).run();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let error = report[0]["jobs"][0]["slices"][0]["error"].as_str().unwrap();
    assert_eq!(
        error,
        "GET /rows: the answer's body is larger than 67108864 bytes, the limit; ask for smaller pages, or raise `max_response` (of the job, or of `source`)"
    );
}

/// JSON that nests 100,000 levels deep.
fn deep() -> String {
    format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))
}

#[test]
fn depth_overflows_nothing() {
    let rules = "success: .ok\nerror_message: .why\nauth_failed: '$status == 401 or .x == 1'";
    let plain = format!("{}\n{rules}", ONE_PAGE.replace("'.[]'", "'.items[]'"));
    let program = format!("{}\n{rules}", ONE_PAGE.replace("'.[]'", "'.items[] | .'"));
    let beside = format!(r#"{{"ok": true, "items": [], "x": {}}}"#, deep());
    for job in [&plain, &program] {
        assert!(
            refused(job, beside.clone()).contains("'success' is not true"),
            "an envelope that can't be read is null"
        );
        let error = bench(job, Answer::bytes(beside.clone()).status(400)).failure();
        assert!(error.contains("the server answered 400 Bad Request"), "{error}");
    }
    let bad = format!(r#"{{"ok": true, "items": [{}, {{"id": 1}}]}}"#, deep());
    let quarantined = bench(&plain, Answer::bytes(bad));
    assert_eq!(quarantined.run().rows(), "20260103 landed: 1 of 2, 1 quarantined; unknown");
    let parents = Bench::new(Api::always(Answer::bytes(format!(r#"[{{"id": 1, "x": {}}}]"#, deep()))));
    parents.jobs(
        "  sites: {get: /sites, records: '.[]', paginate: none}
  rows:
    for_each: {rows_of: sites, as: site, key: id}
    get: /rows
    records: '.[]'
    paginate: none
    snapshot: daily
    sinks: {lake: {jsonl: {url: ./lake}}}\n",
    );
    let errors = parents.run().errors();
    assert!(errors.iter().any(|error| error.contains("nested more than 128 deep")), "{errors:?}");
}

#[test]
fn keys_that_come_twice() {
    let plain = ONE_PAGE.replace("'.[]'", "'.items[]'");
    let program = ONE_PAGE.replace("'.[]'", "'.items[] | .'");
    let record = r#"{"items": [{"id": 1, "id": 2}, {"id": 3}]}"#;
    assert_eq!(bench(&plain, Answer::bytes(record)).run().rows(), "20260103 landed: 1 of 2, 1 quarantined; unknown");
    assert_snapshot!(refused(&program, record), @r#"1: 20260103: GET /rows: the answer can't be read: the body isn't json at byte 28: the key `id` comes twice: {"items": [{"id": 1, "id": 2}, {"id": 3}]}; one of its two values would be lost: tell the server's owner"#);
    assert_snapshot!(refused(&plain, r#"{"total": 1, "items": [{"id": 1}], "total": 2}"#), @r#"1: 20260103: GET /rows: the answer can't be read: the body isn't json at byte 45: the key `total` comes twice: {"total": 1, "items": [{"id": 1}], "total": 2}; one of its two values would be lost: tell the server's owner"#);
}
