//! Pages that aren't quite pages: a message among the rows, or in their place. None of them may stand for rows, or for the end.

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
