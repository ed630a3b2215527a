//! Where a list ends: by a total that was reached exactly or is far exceeded, and where the end proves nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, Ran};

const SIZE: usize = 3;

fn rows(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|id| json!({"id": id})).collect()
}

fn warnings(ran: &Ran) -> String {
    ran.report["jobs"][0]["warnings"].to_string()
}

const JOB: &str = "records: '.items[]'\nsnapshot: latest\nquery: {at: 0}";
const OFFSET: &str = "paginate: {offset: {into: query.at, size: 3}, total: .total}";
const PAGE: &str = "paginate: {page: {into: query.at, size: 3, first: 0}, total: .total}";

/// A list of `held` rows that states its total. `beyond` answers where there is no such page.
fn list(held: usize, by_page: bool, beyond: impl Fn(Value) -> Answer + Send + Sync + 'static) -> Bench {
    Bench::new(Api::start(move |request: &Request| {
        let at = request.number("at") * if by_page { SIZE } else { 1 };
        let last = (held - 1) / SIZE * SIZE;
        let page = |at: usize| json!({"total": held, "items": rows(at, held.min(at + SIZE))});
        if at < held { Answer::json(&page(at)) } else { beyond(page(last)) }
    }))
}

#[test]
fn nothing_beyond_a_total_that_was_reached_is_the_end() {
    for (paginate, by_page) in [(OFFSET, false), (PAGE, true)] {
        for key in ["key: id", "key: []"] {
            let job = format!("{JOB}\n{key}\n{paginate}").replace("key: []\n", "");
            for held in [8, 9, 3] {
                for status in [400, 404, 416] {
                    let bench = list(held, by_page, move |_| Answer::bytes("no such page").status(status));
                    let ran = bench.job(&job).run();
                    assert_eq!(ran.fine(), format!("latest landed: {held} of {held}; complete"), "{job} {status}");
                }
                let clamped = list(held, by_page, |last| Answer::json(&last));
                let ran = clamped.job(&job).run();
                let again = if held % SIZE == 0 { SIZE } else { 0 };
                let twice = if again > 0 { format!(", {again} deduplicated") } else { String::new() };
                assert_eq!(ran.fine(), format!("latest landed: {held} of {}{twice}; complete", held + again), "{job}");
                assert_eq!(clamped.lines().len(), held);
            }
        }
    }
}

/// Only what is beyond the end may be missing, and only where the server says that.
#[test]
fn other_errors_are_errors_still() {
    for (held, status) in [(9, 500), (9, 403), (9, 429)] {
        let bench = list(held, false, move |_| Answer::bytes("x").status(status));
        let error = bench.job(&format!("{JOB}\n{OFFSET}")).failure();
        assert!(error.contains(&format!("status {status}")), "{error}");
    }
    let gone = Bench::new(Api::start(|request| match request.number("at") {
        0 => Answer::json(&json!({"total": 9, "items": rows(0, 3)})),
        _ => Answer::bytes("x").status(404),
    }));
    let error = gone.job(&format!("{JOB}\n{OFFSET}")).failure();
    assert!(error.contains("status 404"), "{error}");
}

#[test]
fn far_more_rows_than_the_total_are_an_error() {
    let ticks = std::sync::atomic::AtomicUsize::new(0);
    let bench = Bench::new(Api::start(move |_| {
        let tick = ticks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let rows: Vec<Value> = (0..3).map(|id| json!({"id": id, "seen": tick})).collect();
        Answer::json(&json!({"total": 9, "items": rows}))
    }));
    let error = bench.job(&format!("{JOB}\n{PAGE}")).failure();
    assert!(
        error.contains("GET /rows?at=7: paging can't go on: 24 rows have come by page 8, more than twice the 9"),
        "{error}"
    );
    assert_eq!(bench.api.asked().len(), 8);
}

#[test]
fn a_list_of_one_row_is_sought_by_its_text() {
    let bench = Bench::new(Api::start(|_| Answer::json(&json!({"items": [{"id": "k0"}]}))));
    bench.job(&format!(
        "{JOB}\nkey: id\npaginate: {{seek: {{into: query.at, value: $last.id, order: asc, bound: inclusive, size: 5}}}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 1 of 2, 1 deduplicated; unknown");
}

/// The server counts 31 rows, and hides two of them once it has cut the page.
#[test]
fn a_list_with_no_full_page_may_have_hidden_rows() {
    let bench = Bench::new(Api::start(|request| {
        let at = request.number("at");
        let mut rows = rows(at.min(31), 31.min(at + 2));
        rows.retain(|row| row["id"] != 1 && row["id"] != 2);
        Answer::json(&json!({"items": rows}))
    }));
    let offset = "paginate: {offset: {into: query.at, size: 2}}";
    let ran = bench.job(&format!("{JOB}\nkey: id\n{offset}")).run();
    assert_eq!(ran.fine(), "latest landed: 1 of 1; unknown");
    assert!(warnings(&ran).contains("no page had as many rows as were asked for"), "{ran:?}");
}

/// Sends each body by itself, with nothing that marks its end but that of the connection.
fn unmarked(bodies: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, mut asked) = (socket.unwrap(), [0; 4096]);
            let length = socket.read(&mut asked).unwrap_or_default();
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            let at: usize =
                asked.split("at=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_default();
            let body = bodies.get(at).copied().unwrap_or_default();
            let _ = socket.write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}").as_bytes());
        }
    });
    url
}

#[test]
fn lines_that_end_with_the_connection_prove_nothing() {
    for (format, bodies) in [
        ("jsonl", &["{\"id\":0,\"next\":1}\n{\"id\":1,\"next\":1}\n", "{\"id\":2,\"next\":2}\n", ""][..]),
        ("{csv: {}}", &["id,next\n0,1\n1,1\n", "id,next\n2,2\n", ""][..]),
    ] {
        let bench = Bench::new(Api::always(Answer::bytes("")));
        bench.file(&format!(
            "source: {{base_url: '{}', format: {format}}}\njobs:\n  rows:\n    get: /rows\n    records: '.[]?'\n    snapshot: latest\n    \
             key: id\n    paginate: {{cursor: {{into: query.at, value: '$last.next'}}}}\n    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n",
            unmarked(bodies)
        ));
        let ran = bench.run();
        assert_eq!(ran.fine(), "latest landed: 3 of 3; unknown", "{format}");
        assert!(warnings(&ran).contains("nothing marks where the server's answers end"), "{ran:?}");
    }
}

/// A list of ten rows, by pages of three, that hides those below `shown` after it has counted them, and the whole of page `hole`.
fn hiding(shown: usize, hole: usize, by_page: bool, states_more: bool) -> Bench {
    Bench::new(Api::start(move |request: &Request| {
        let from = request.number("at") * if by_page { SIZE } else { 1 };
        let items = if from == hole * SIZE { Vec::new() } else { rows(from.max(shown), 10.min(from + SIZE)) };
        let more = states_more.then_some(from + SIZE < 10);
        Answer::json(&json!({"items": items, "more": more}))
    }))
}

const ADVANCE: &str = "paginate: {offset: {into: query.at, size: 3, advance: size}, more: .more}";
const NOWHERE: usize = 99;

#[test]
fn an_empty_page_that_says_that_there_is_more_is_no_end_where_pages_are_counted() {
    let page = PAGE.replace("total: .total", "more: .more");
    for (paginate, by_page) in [(page.as_str(), true), (ADVANCE, false)] {
        for hole in [0, 1, 2] {
            let bench = hiding(0, hole, by_page, true);
            let ran = bench.job(&format!("{JOB}\n{paginate}")).run();
            assert_eq!(ran.fine(), "latest landed: 7 of 7; unknown", "{paginate} {hole}");
            assert!(warnings(&ran).contains("pages in the middle were shorter than asked for"), "{ran:?}");
            assert_eq!(bench.api.asked_for("at").len(), 4);
        }
    }
    let received = ADVANCE.replace(", advance: size", "");
    let error = hiding(0, 1, false, true).job(&format!("{JOB}\n{received}")).failure();
    assert_snapshot!(error, @"1: latest: GET /rows?at=3: paging can't go on: page 2 is empty, though the server says that there are more rows, and the next one is asked for by the rows that came; check 'more', or, for a server that hides rows after it has counted them, write `advance: size` in `paginate.offset`");
}

#[test]
fn an_empty_first_page_ends_a_list_only_with_another() {
    let plain = |paginate: &str| paginate.replace(", total: .total", "").replace(", more: .more", "");
    for (paginate, by_page) in [(PAGE, true), (ADVANCE, false)] {
        let job = format!("{JOB}\n{}", plain(paginate));
        let ran = hiding(3, NOWHERE, by_page, false).job(&job).run();
        assert_eq!(ran.fine(), "latest landed: 7 of 7; unknown", "{job}");
        let quiet = hiding(10, NOWHERE, by_page, false);
        assert_eq!(quiet.job(&job).run().fine(), "latest landed: 0 of 0; complete", "{job}");
        assert_eq!(quiet.api.asked_for("at"), if by_page { ["0", "1"] } else { ["0", "3"] });
    }
    let job = format!("{JOB}\n{}", plain(OFFSET));
    let error = hiding(3, NOWHERE, false, false).job(&job).failure();
    assert!(error.contains("page 1 was empty, and page 2 after it has rows: the server hides rows"), "{error}");
}

#[test]
fn a_list_of_no_rows_is_asked_for_once_where_something_states_its_end() {
    let body = json!({"items": [], "total": 0, "more": false});
    let plain = PAGE.replace(", total: .total", "");
    let more = PAGE.replace("total: .total", "more: .more");
    let ends = PAGE.replace("total: .total", "short_page: end");
    for (paginate, asked) in [(PAGE, 1), (more.as_str(), 1), (ends.as_str(), 1), (plain.as_str(), 2)] {
        let bench = Bench::new(Api::always(Answer::json(&body)));
        let ran = bench.job(&format!("{JOB}\n{paginate}")).run();
        assert_eq!((ran.fine().as_str(), bench.api.asked_for("at").len()), ("latest landed: 0 of 0; complete", asked));
    }
    // That there is no second page says it too.
    for (status, lands) in [(404, true), (400, true), (500, false), (403, false)] {
        let bench = Bench::new(Api::start(move |request: &Request| {
            Answer::json(&json!({"items": []})).status(if request.number("at") == 0 { 200 } else { status })
        }));
        let ran = bench.job(&format!("{JOB}\n{plain}")).run();
        assert_eq!((ran.code() == 0, ran.rows().contains("0 of 0; complete")), (lands, lands), "{status}: {ran:?}");
    }
}
