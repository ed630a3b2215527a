//! Pages that aren't quite pages: a message among the rows, or in their place. None of them may stand for rows, or for the end.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, Ran};

const ROWS: usize = 9;
const SIZE: usize = 3;

/// The numbers of the rows on the page that begins at `from`.
fn part(from: usize) -> std::ops::Range<usize> {
    from.min(ROWS)..(from + SIZE).min(ROWS)
}

fn lines(from: usize) -> String {
    part(from).map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

fn items(from: usize) -> String {
    json!({"items": part(from).map(|id| json!({"id": id})).collect::<Vec<_>>()}).to_string()
}

/// Where a page begins, by either way to ask.
fn from(request: &Request) -> usize {
    if request.query.contains_key("page") { request.number("page") * SIZE } else { request.number("at") }
}

const OFFSET: &str = "snapshot: latest\nkey: id\nquery: {at: 0}\npaginate: {offset: {into: query.at, size: 3}}";
const PAGE: &str =
    "snapshot: latest\nkey: id\nquery: {page: 0}\npaginate: {page: {into: query.page, size: 3, first: 0}}";

/// A server that sends `body` in place of the page that begins at `at`, or once there.
fn instead(at: usize, body: &str, page: fn(usize) -> String) -> Api {
    let body = body.to_owned();
    Api::start(move |request| Answer::bytes(if from(request) == at { body.clone() } else { page(from(request)) }))
}

fn warnings(ran: &Ran) -> String {
    ran.report["jobs"][0]["warnings"].to_string()
}

#[test]
fn a_message_in_place_of_a_page_is_no_row() {
    let jsonl = |paging: &str| format!("format: jsonl\nrecords: '.[]?'\n{paging}");
    let json = |paging: &str| format!("records: '.items[]'\n{paging}");
    let program = |paging: &str| format!("records: '.items[] | {{id, name}}'\nrows: '.items | length'\n{paging}");
    let busy = r#"{"items":[{"error":"busy"}]}"#;
    for (job, api) in [
        (jsonl(OFFSET), instead(3, "{\"error\":\"busy\"}\n", lines)),
        (jsonl(PAGE), instead(6, "{\"error\":\"busy\"}\n", lines)),
        (json(OFFSET), instead(3, busy, items)),
        (json(PAGE), instead(6, busy, items)),
        (program(PAGE), instead(6, busy, items)),
    ] {
        let error = Bench::new(api).job(&job).failure();
        assert!(
            error.contains(
                "the page has 1 record, and none of them has `id`, by which rows are told apart (`key`): a message"
            ),
            "{job}: {error}"
        );
    }
    for job in [jsonl(OFFSET), jsonl(PAGE)] {
        let error = Bench::new(instead(6, "null\n", lines)).job(&job).failure();
        assert!(error.contains("the page has 1 record, and none of them has `id`"), "{error}");
    }
    let keyless = jsonl(PAGE).replace("key: id\n", "");
    let error = Bench::new(instead(6, "null\n", lines)).job(&keyless).failure();
    assert!(error.contains("the page has 1 record, and none of them is an object"), "{error}");
}

#[test]
fn a_row_with_no_value_in_its_key_is_a_row() {
    let bench = Bench::new(instead(6, r#"{"items":[{"id":null}]}"#, items));
    bench.job(&format!("records: '.items[]'\n{PAGE}"));
    assert_eq!(bench.run().fine(), "latest landed: 6 of 7, 1 quarantined; complete");
}

/// What stands there may be a message behind which rows are missing: a job that says how many rows may be bad is told so.
#[test]
fn a_message_among_rows_leaves_it_open_whether_all_came() {
    let job = format!("format: jsonl\nrecords: '.[]?'\n{OFFSET}");
    let bench = Bench::new(instead(3, "{\"id\":3}\n{\"error\":\"stream aborted\"}\n", lines));
    let ran = bench.job(&job).run();
    assert_eq!(ran.fine(), "latest landed: 8 of 9, 1 quarantined; unknown");
    assert!(warnings(&ran).contains("a record has nothing of a row"), "{ran:?}");
    let allowed = Bench::new(instead(3, "{\"error\":\"busy\"}\n", lines));
    let ran = allowed.job(&format!("{job}\nschema: {{max_bad_rows: 5}}")).run();
    assert_eq!(ran.fine(), "latest landed: 8 of 9, 1 quarantined; unknown");
    let behind = Bench::new(instead(0, &format!("{}{{\"error\":\"x\"}}\n", lines(0)), lines));
    let error = behind.job(&job).failure();
    assert!(error.contains("page 1 has 4 records where 3 rows were asked for, and 1 of them is no row"), "{error}");
}

#[test]
fn garbage_behind_a_table_moves_no_offset() {
    fn table(from: usize) -> String {
        format!("id,v\n{}", part(from).map(|id| format!("{id},x\n")).collect::<String>())
    }
    let job = format!("format: {{csv: {{}}}}\nrecords: '.[]?'\n{OFFSET}");
    let bench = Bench::new(instead(0, &format!("{}}}garbage,,", table(0)), table));
    let error = bench.job(&job).failure();
    assert!(error.contains("page 1 has 4 records where 3 rows were asked for, and 1 of them is no row"), "{error}");
    let cut = Bench::new(instead(3, &format!("{}}}garbage\n", table(3).replace("5,x\n", "")), table));
    let ran = cut.job(&job).run();
    assert_eq!(ran.fine(), "latest landed: 8 of 9, 1 quarantined; unknown");
}

/// `[]` in place of an object was the quiet end of a list.
#[test]
fn an_empty_list_in_place_of_an_object_is_no_page() {
    for paginate in [
        "{cursor: {into: query.at, value: .next}}",
        "{next_link: {url: .link}}",
        "{seek: {into: query.at, value: '$last.id + 1', order: asc, bound: inclusive, size: 3}}",
        "{offset: {into: query.at, size: 3}}",
    ] {
        for (path, body) in [(".items[]", "[]"), (".data.list.items[]", r#"{"data":[]}"#)] {
            let bench = Bench::new(Api::start(move |request| {
                let (at, nested) = (from(request), body.starts_with('{'));
                if at == SIZE {
                    return Answer::bytes(body);
                }
                let rows: Vec<_> = part(at).map(|id| json!({"id": id})).collect();
                let next = (at + SIZE < ROWS).then_some(at + SIZE);
                let link = next.map(|next| format!("?at={next}"));
                let page = json!({"items": rows});
                Answer::json(&if nested {
                    json!({"data": {"list": page}, "next": next, "link": link})
                } else {
                    json!({"items": page["items"], "next": next, "link": link})
                })
            }));
            let error = bench
                .job(&format!("records: '{path}'\nsnapshot: latest\nkey: id\nquery: {{at: 0}}\npaginate: {paginate}"))
                .failure();
            assert!(error.contains("is an empty list, and an object was due there"), "{paginate} {path}: {error}");
        }
    }
}

/// A key isn't there to tell: that it shares no field with the rows before it is.
#[test]
fn without_a_key_a_message_in_place_of_a_page_is_no_row_either() {
    let keyless = |records: &str, paging: &str| format!("{records}\n{}", paging.replace("key: id\n", ""));
    let busy = r#"{"error":"busy","code":17}"#;
    let (line, list) = (format!("{busy}\n"), format!("{{\"items\":[{busy}]}}"));
    let lines_of = "format: jsonl\nrecords: '.[]'";
    let program = "records: '.items[] | {id, name}'\nrows: '.items | length'";
    for (job, api) in [
        (keyless(lines_of, OFFSET), instead(3, &line, lines)),
        (keyless(lines_of, PAGE), instead(6, &line, lines)),
        (keyless("records: '.items[]'", OFFSET), instead(3, &list, items)),
        (keyless("records: '.items[]'", PAGE), instead(6, &list, items)),
        (
            keyless("records: '.items[]'\nschema: {contract: freeze, columns: {id: int64}}", PAGE),
            instead(6, &list, items),
        ),
        (
            keyless("records: '.items[]'\nschema: {contract: discard, columns: {id: int64}}", PAGE),
            instead(6, &list, items),
        ),
    ] {
        let error = Bench::new(api).job(&job).failure();
        assert!(error.contains("GET /rows?") && error.contains("the page has 1 record, with none of the fields of the rows before (all of which have `id`): {\"error\":\"busy\",\"code\":17}"), "{job}: {error}");
    }
    let error = Bench::new(instead(6, &list, items)).job(&keyless(program, PAGE)).failure();
    assert!(error.contains("with none of the fields of the rows before"), "{error}");
    let first = Bench::new(instead(0, &line, lines)).job(&keyless(lines_of, PAGE)).failure();
    assert_snapshot!(first, @r#"1: latest: GET /rows?page=1: the page has 3 records, with none of the fields of the rows before (all of which have `code`, `error`): {"id":3}; a message of the server where rows were due, here or before? If so, say in `success` what an answer with rows has beside them, or let `records` be a program that calls `error` for it; if the list has such rows too, say `max_bad_rows: 100%` in `schema`"#);
}

#[test]
fn a_message_moves_no_cursor_on() {
    let bench = Bench::new(Api::start(|request| {
        let page = request.number("page");
        let next = if page < 2 { (page + 1).to_string() } else { String::new() };
        let body = if page == 1 { json!([{"error": "busy"}]) } else { json!([{"id": page * 2}, {"id": page * 2 + 1}]) };
        Answer::json(&body).header("x-next", next)
    }));
    let error = bench
        .job("records: '.[]'\nsnapshot: latest\npaginate: {cursor: {into: query.page, value: '$headers[\"x-next\"]'}}")
        .failure();
    assert!(error.contains("GET /rows?page=1: ") && error.contains("with none of the fields"), "{error}");
}

#[test]
fn a_list_of_records_of_several_kinds_is_one() {
    let landed = |job: &str, pages: &'static [&'static str]| {
        let bench = Bench::new(Api::start(move |request| {
            Answer::bytes(*pages.get(request.number("page")).unwrap_or(&r#"{"items":[]}"#))
        }));
        let paging = PAGE.replace("key: id\n", "").replace("size: 3", "size: 2");
        let ran = bench.job(&format!("{job}\n{paging}")).run();
        (ran.fine(), warnings(&ran))
    };
    let items = "records: '.items[]'";
    let overlapping =
        landed(items, &[r#"{"items":[{"id":1,"a":1},{"id":2,"b":1}]}"#, r#"{"items":[{"b":3},{"b":4,"c":1}]}"#]);
    assert_eq!(overlapping.0, "latest landed: 4 of 4; complete");
    let of_nulls =
        landed(items, &[r#"{"items":[{"id":1},{"id":2}]}"#, r#"{"items":[{"id":null,"b":1},{"id":null,"b":2}]}"#]);
    assert_eq!(of_nulls.0, "latest landed: 4 of 4; complete");
    let kinds: &[&str] = &[r#"{"items":[{"a":1},{"b":1}]}"#, r#"{"items":[{"c":1},{"d":1}]}"#];
    assert_eq!(landed(items, kinds).0, "latest landed: 4 of 4; complete", "nothing is common to all");
    let exploded = "records: '.items[] | to_entries[] | {(.key): .value}'\nrows: '.items | length'";
    let one_a_page: &[&str] = &[r#"{"items":[{"a":1},{}]}"#, r#"{"items":[{"c":1},{"d":1}]}"#];
    assert_eq!(landed(exploded, one_a_page).0, "latest landed: 3 of 3; complete");
    // Where pages do differ, it is said that they may.
    let apart: &[&str] = &[r#"{"items":[{"a":1},{"a":2}]}"#, r#"{"items":[{"b":1},{"b":2}]}"#];
    let (rows, warnings) = landed(&format!("{items}\nschema: {{max_bad_rows: 100%}}"), apart);
    assert_eq!(rows, "latest landed: 4 of 4; unknown");
    assert_snapshot!(warnings, @r#"["a page's records had none of the fields of those before it, as a message of the server hasn't: if it was one, rows are missing where it stands; name the `key` of a row, by which rows are known"]"#);
}
