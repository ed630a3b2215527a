//! Lists whose rows nothing tells apart, or whose pages are asked for by what several rows share: what is lost or doubled there is said,
//! or refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, Ran};

const BY_TIME: &str = "records: '.items[]'\nsnapshot: latest
paginate: {seek: {into: query.after, value: '$last.at', order: asc, bound: exclusive, size: 2}}";
const BY_PAGE: &str =
    "records: '.items[]'\nsnapshot: latest\nquery: {page: 1}\npaginate: {page: {into: query.page, size: 3}}";

fn warnings(ran: &Ran) -> String {
    let texts = ran.report["jobs"][0]["warnings"].as_array().cloned().unwrap_or_default();
    texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A server of rows, each with its time, which gives some after a time, or from it on, at once.
fn by_time(times: &'static [u64], inclusive: bool, size: usize) -> Bench {
    Bench::new(Api::start(move |request| {
        let after = request.query.get("after").map(|text| text.parse::<u64>().unwrap());
        let is_due = |at: u64| after.is_none_or(|after| at > after || (inclusive && at == after));
        let rows = times.iter().zip(1..).filter(|(at, _)| is_due(**at));
        let items: Vec<Value> = rows.take(size).map(|(at, id)| json!({"id": id, "at": at})).collect();
        Answer::json(&json!({"items": items}))
    }))
}

#[test]
fn rows_that_share_the_value_of_a_seek_are_not_lost_quietly() {
    // The third row has the time of the second, on which the first page ends.
    let torn = by_time(&[1, 2, 2, 3], false, 2);
    let ran = torn.job(BY_TIME).run();
    assert_eq!(ran.fine(), "latest landed: 3 of 3; unknown");
    assert_snapshot!(warnings(&ran), @"each page is asked for behind the last row's value (`bound: exclusive`), and nothing says that no two rows share it: those that had no room on their page would be missing; if the value tells rows apart, make it their `key`, else write `bound: inclusive`");

    // That the time isn't the row's own shows on the page itself.
    let shown = by_time(&[1, 1, 1, 2], false, 2);
    assert_snapshot!(shown.job(BY_TIME).failure(), @"1: latest: GET /rows?after=1: paging can't go on: page 1 ends with rows that share the seek value 1, and the next one is asked for behind it (`bound: exclusive`): rows with that value that had no room on the page would be missing; write `bound: inclusive`, and the `key` of a row, by which those that come again are known, or seek by a value that no two rows share");
    let at_the_end = by_time(&[1, 2, 3, 3, 3], false, 2);
    assert!(at_the_end.job(BY_TIME).failure().contains("page 2 ends with rows that share the seek value 3"));

    // What the message asks for.
    let inclusive = BY_TIME.replace("exclusive", "inclusive").replace("size: 2", "size: 3") + "\nkey: id";
    let whole = by_time(&[1, 2, 2, 3], true, 3);
    assert!(whole.job(&inclusive).run().fine().starts_with("latest landed: 4 of "));
}

#[test]
fn a_seek_by_the_key_is_complete() {
    let bench = by_time(&[1, 2, 3, 4, 5], false, 2);
    assert_eq!(bench.job(&format!("{BY_TIME}\nkey: at")).run().fine(), "latest landed: 5 of 5; complete");
    let ran = bench.job(&format!("{BY_TIME}\nkey: [at, id]")).run();
    assert_eq!(ran.fine(), "latest unchanged: 5 of 5; unknown", "two keys may share a time");
}

#[test]
fn a_server_that_leaves_out_the_value_that_it_should_include_is_noticed() {
    let bench = by_time(&[1, 2, 2, 3], false, 2);
    let ran = bench.job(&format!("{}\nkey: id", BY_TIME.replace("exclusive", "inclusive"))).run();
    assert_eq!(ran.fine(), "latest landed: 3 of 3; unknown");
    assert_snapshot!(warnings(&ran), @"a page was asked for from the last row's value on (`bound: inclusive`), and that row didn't come again: if the server leaves it out, others that share its value may be missing; write `bound: exclusive` if no two rows share it (and make it their `key`), else seek by a value just before it");
}

/// Answers with the page that is asked for, three rows each.
fn page(rows: &[Value], request: &Request) -> Answer {
    let from = (request.number("page") - 1) * 3;
    Answer::json(&json!({"items": rows.iter().skip(from).take(3).collect::<Vec<_>>()}))
}

#[test]
fn a_row_that_is_inserted_while_a_list_is_read_comes_twice_and_is_told() {
    let bench = Bench::new(Api::start(|request| {
        let first = u64::from(request.number("page") == 1);
        let rows: Vec<Value> = (first..8).map(|n| json!({"name": format!("row {n}"), "n": n})).collect();
        page(&rows, request)
    }));
    let ran = bench.job(BY_PAGE).run();
    assert_eq!(ran.fine(), "latest landed: 8 of 8; unknown");
    assert_snapshot!(warnings(&ran), @"a page began with the rows that the one before it ended with, value for value: if rows can't be equal, the list moved while it was read, so that these are doubled; name the `key` of a row, so that each lands once");
    let ran = bench.job(&format!("{BY_PAGE}\nkey: n")).run();
    assert_eq!(ran.fine(), "latest landed: 7 of 8, 1 deduplicated; unknown", "with a key it lands once");
}

#[test]
fn a_server_that_ignores_the_page_and_stamps_its_rows_does_not_go_on_for_ever() {
    let answers = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&answers);
    let bench = Bench::new(Api::start(move |_| {
        let now = made.fetch_add(1, Ordering::SeqCst);
        let rows: Vec<Value> = (0..3).map(|n| json!({"name": format!("row {n}"), "generated_at": now})).collect();
        Answer::json(&json!({"items": rows}))
    }));
    assert_snapshot!(bench.job(BY_PAGE).failure(), @"1: latest: 12 pages in a row had the same rows, but for `generated_at`: the server seems to give one page, whichever is asked for; check in `paginate` whether the API pages by the parameter that it is written to; if the rows are others indeed, name their `key`, by which that is known, or the server's `total`; request: GET /rows?page=12");
    assert!(answers.load(Ordering::SeqCst) < 30);
    let keyed = bench.job(&format!("{BY_PAGE}\nkey: name")).failure();
    assert!(keyed.contains("brought rows, but none that an earlier page hadn't"), "{keyed}");
}

#[test]
fn a_page_that_comes_again_under_another_stamp_is_told() {
    let bench = Bench::new(Api::start(|request| {
        let page = request.number("page");
        let rows = if page < 3 { 3 } else { 0 };
        let rows: Vec<Value> = (0..rows).map(|n| json!({"name": format!("row {n}"), "generated_at": page})).collect();
        Answer::json(&json!({"items": rows}))
    }));
    let ran = bench.job(BY_PAGE).run();
    assert_eq!(ran.fine(), "latest landed: 6 of 6; unknown");
    assert_snapshot!(warnings(&ran), @"a page had the rows of the one before it, but for what may change with each answer: if they are the same, the server gave a page twice, and others are missing; name the `key` of a row, so that it is known which of them are new");
}

#[test]
fn a_program_that_keeps_no_row_ends_where_the_same_page_comes_again() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"items": [{"n": 1}, {"n": 2}, {"n": 3}]}))));
    let select = BY_PAGE.replace("'.items[]'", "'.items[] | select(.n > 9)'\nrows: '.items | length'");
    assert_snapshot!(bench.job(&select).failure(), @"1: latest: GET /rows?page=3: paging can't go on: pages 2 and 3 brought rows, but none that an earlier page hadn't: the server seems to ignore 'query.page', or the data moves while it is read; check the place, or sort by a column that doesn't change");
    let other = Bench::new(Api::start(|request| {
        let page = request.number("page");
        Answer::json(&json!({"page": page, "items": [{"n": 1}, {"n": 2}, {"n": 3}]}))
    }));
    let bounded = select.replace("size: 3}}", "size: 3}, max_pages: 40}");
    assert_snapshot!(other.job(&bounded).failure(), @"1: latest: GET /rows?page=40: paging can't go on: page 40 is the last that max_pages allows, and the server may have more; raise max_pages, or make the slices smaller");
}
