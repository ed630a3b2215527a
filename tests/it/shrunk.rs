//! Lists that come back shorter than they landed, and what their pages left out: what isn't stated replaces nothing, and proves nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

/// Serves rows 0 to `rows`, ten a page, with a `Link` to the next page; at `/one` one row. Which fault it has, `fault` says: 0 none, 1 no link, 2 no rows.
fn linked(rows: &Arc<AtomicUsize>, fault: &Arc<AtomicUsize>) -> Api {
    let (rows, fault) = (Arc::clone(rows), Arc::clone(fault));
    Api::start(move |request: &Request| {
        if request.path == "/one" {
            return Answer::json(&json!([{"text": "x"}]));
        }
        let (rows, fault, page) = (rows.load(Ordering::SeqCst), fault.load(Ordering::SeqCst), request.number("page"));
        let found: Value = (page * 10..rows.min(page * 10 + 10)).map(|id| json!({"id": id})).collect();
        let answer = if fault == 2 { Answer::json(&json!([])) } else { Answer::json(&found) };
        let is_last = page * 10 + 10 >= rows;
        if is_last || fault > 0 {
            answer
        } else {
            answer.header("link", format!("</rows?page={}>; rel=next", page + 1))
        }
    })
}

#[test]
fn a_list_that_is_shorter_without_a_statement_stays_as_it_landed() {
    let (rows, fault) = (Arc::new(AtomicUsize::new(27)), Arc::new(AtomicUsize::new(0)));
    let bench = Bench::new(linked(&rows, &fault));
    bench.job("records: '.[]'\nkey: id\nsnapshot: latest\npaginate: {next_link: {header: link}}");
    assert_eq!(bench.run().fine(), "latest landed: 27 of 27; complete");
    fault.store(1, Ordering::SeqCst);
    let cut = bench.run();
    assert_eq!(cut.code(), 1, "{cut:?}");
    let said = "latest: the list has 10 rows now, and 27 rows landed before; the last page is as full as the fullest then \
                (10 rows) and gives no way to another, so what landed stays: run again, ";
    assert!(cut.errors()[0].starts_with(said), "{cut:?}");
    fault.store(2, Ordering::SeqCst);
    let empty = bench.run();
    assert_eq!(empty.code(), 1, "{empty:?}");
    let said =
        "latest: the slice has no rows now, and 27 rows landed before; nothing shows that there are none any more";
    assert!(empty.errors()[0].starts_with(said), "{empty:?}");
    assert_eq!(bench.lines().len(), 27);
    fault.store(0, Ordering::SeqCst);
    // Fewer rows are fine where the pages show that they are all, or one page has room for more.
    for now in [15, 9] {
        rows.store(now, Ordering::SeqCst);
        assert_eq!(bench.run().code(), 0);
        assert_eq!(bench.lines().len(), now);
    }
    fault.store(2, Ordering::SeqCst);
    let meant = bench.run_at(crate::support::bench::NOW, &["--allow-shrink"]);
    assert_eq!(meant.fine(), "latest landed: 0 of 0; complete");
    assert_eq!(bench.lines(), Vec::<Value>::new());
    assert!(!meant.report.to_string().contains("no row has ever landed"), "{meant:?}");
}

/// How a list of one answer says that it has no rows any more.
#[test]
fn no_rows_in_one_answer_are_none_where_that_is_stated() {
    let none = [
        ("paginate: {none: true, more: 'false'}", Answer::json(&json!([]))),
        ("paginate: {none: true, total: '$headers[\"x-total\"]'}", Answer::json(&json!([])).header("x-total", "0")),
        ("paginate: none\nempty: $status == 204", Answer::bytes("").status(204)),
        (
            "paginate: {seek: {into: query.after, value: $last.id, order: asc, bound: exclusive, size: 5}}\nempty: $status == 204",
            Answer::bytes("").status(204),
        ),
    ];
    for (paginate, answer) in none {
        let gone = Arc::new(AtomicUsize::new(0));
        let is_gone = Arc::clone(&gone);
        let bench = Bench::new(Api::start(move |request: &Request| match is_gone.load(Ordering::SeqCst) {
            0 if request.query.contains_key("after") => Answer::json(&json!([])),
            0 => Answer::json(&json!([{"id": 1}, {"id": 2}])),
            _ => answer.clone(),
        }));
        bench.job(&format!("records: '.[]'\nkey: id\nsnapshot: latest\n{paginate}"));
        assert_eq!(bench.run().code(), 0);
        gone.store(1, Ordering::SeqCst);
        assert_eq!(bench.run().fine(), "latest landed: 0 of 0; complete", "{paginate}");
        assert_eq!(bench.lines(), Vec::<Value>::new());
    }
}

#[test]
fn one_answer_that_has_fewer_rows_than_its_total_is_no_list() {
    let bench =
        Bench::new(Api::start(|_: &Request| Answer::json(&json!({"count": 3, "rows": [{"id": 1}, {"id": 2}]}))));
    bench.job("records: '.rows[]'\nkey: id\nsnapshot: latest\npaginate: {none: true, total: .count}");
    let ran = bench.run();
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.errors()[0].contains("the server states a total of 3 rows and sent 2"), "{ran:?}");
    bench
        .job("records: '.rows[]'\nkey: id\nsnapshot: latest\non_mismatch: warn\npaginate: {none: true, total: .count}");
    assert_eq!(bench.run().fine(), "latest landed: 2 of 2; short");
}

#[test]
fn an_increment_of_one_page_needs_no_note_once_others_had_several() {
    let rows = Arc::new(AtomicUsize::new(5));
    let count = Arc::clone(&rows);
    let bench = Bench::new(Api::start(move |request: &Request| {
        let (since, page) = (request.number("since"), request.number("page"));
        let all: Vec<usize> = (since + 1..=count.load(Ordering::SeqCst)).collect();
        let answer = Answer::json(&all.iter().skip(page * 10).take(10).map(|id| json!({"id": id})).collect::<Value>());
        if all.len() <= page * 10 + 10 {
            answer
        } else {
            answer.header("link", format!("</rows?since={since}&page={}>; rel=next", page + 1))
        }
    }));
    bench.job(
        "records: '.[]'\nkey: id\nincremental: {cursor: id, start: 0, into: {into: query.since, order: asc}}\n\
         paginate: {next_link: {header: link}}",
    );
    let noted = |now: usize| {
        rows.store(now, Ordering::SeqCst);
        let ran = bench.run();
        assert_eq!((ran.code(), bench.lines().len()), (0, now), "{ran:?}");
        ran.report.to_string().contains("no page gave a link to move on by")
    };
    assert!(noted(5), "it may be looked for at the wrong place");
    assert!(!noted(30), "there were links");
    assert!(!noted(35), "they are looked for at the right place");
}

#[test]
fn values_of_a_fan_out_that_are_gone_are_told() {
    let (rows, fault) = (Arc::new(AtomicUsize::new(12)), Arc::new(AtomicUsize::new(0)));
    let bench = Bench::new(linked(&rows, &fault));
    bench.jobs(
        "  all: {get: /rows, records: '.[]', paginate: {next_link: {header: link}}}
  each:
    for_each: {rows_of: all, as: one, key: id}
    get: /one
    query: {id: '{{ one.id }}'}
    records: '.[]'
    snapshot: latest
    paginate: none
    sinks: {lake: {jsonl: {url: ./lake}}}
",
    );
    assert_eq!(bench.run().code(), 0);
    fault.store(1, Ordering::SeqCst);
    let fewer = bench.run();
    let told = r#"for_each: 2 of 12 values that the run before had are gone ({\"id\":10}, {\"id\":11}): nothing of them is read any more"#;
    assert!(fewer.report.to_string().contains(told), "{fewer:?}");
    assert!(!bench.run().report.to_string().contains("are gone"), "it is told once");
}

/// Serves nine rows of three instants, four a page, behind the instant `after`.
fn by_instant(request: &Request) -> Answer {
    let after = request.query.get("after").and_then(|after| after.parse::<usize>().ok());
    let rows = (0..9).map(|id| (id, id / 3)).filter(|(_, at)| after.is_none_or(|after| *at > after));
    let rows: Value = rows.take(4).map(|(id, at)| json!({"id": id, "at": at})).collect();
    Answer::json(&json!({"rows": rows, "total": 9}))
}

#[test]
fn a_cursor_that_rows_share_proves_nothing() {
    let bench = Bench::new(Api::start(by_instant));
    let job = |more: &str| {
        bench.job(&format!(
            "records: '.rows[]'\nkey: id\nsnapshot: every_run\npaginate: {{cursor: {{into: query.after, value: $last.at}}{more}}}"
        ));
    };
    job("");
    let ran = bench.run_at("2026-01-03T12:00:00Z", &[]);
    assert_eq!(ran.fine(), "20260103T120000Z landed: 7 of 7; unknown");
    let told =
        "each page is asked for by a value of the last row (`$last`), and nothing says that no two rows share it";
    assert!(ran.report.to_string().contains(told), "{ran:?}");
    job(", total: .total");
    let ran = bench.run_at("2026-01-03T13:00:00Z", &[]);
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.errors()[0].contains("received 7 different rows, while the server said that there are 9"), "{ran:?}");
}

#[test]
fn rows_behind_pages_that_the_server_hides_are_read_as_far_as_the_total_reaches() {
    let answer = |request: &Request| {
        let start = request.number("start");
        let rows: Value =
            (start..start + 5).filter(|id| *id < 32 && !(5..20).contains(id)).map(|id| json!({"id": id})).collect();
        Answer::json(&json!({"rows": rows, "total": 32}))
    };
    let bench = Bench::new(Api::start(answer));
    bench.job(
        "records: '.rows[]'\nkey: id\nsnapshot: latest\non_mismatch: warn\npaginate: {offset: {into: query.start, size: 5, advance: size}, \
         total: .total}",
    );
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 17 of 17; short");
    let told = "latest: received 17 different rows, while the server said that there are 32: rows are missing; ";
    assert!(ran.report.to_string().contains(told), "{ran:?}");
    let mut asked: Vec<usize> = bench.api.asked_for("start").iter().map(|start| start.parse().unwrap()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [0, 5, 10, 15, 20, 25, 30, 35], "one beyond the total shows that nothing follows");
}

#[test]
fn rows_that_come_late_with_the_last_cursor_are_told() {
    let rows = Arc::new(std::sync::Mutex::new(vec![(1, 10), (2, 20), (3, 20)]));
    let all = Arc::clone(&rows);
    let bench = Bench::new(Api::start(move |request: &Request| {
        let since = request.number("since");
        let mut found: Vec<(usize, usize)> =
            all.lock().unwrap().iter().copied().filter(|(_, at)| *at >= since).collect();
        found.sort_by_key(|(_, at)| *at);
        Answer::json(&found.iter().map(|(id, at)| json!({"id": id, "at": at})).collect::<Value>())
    }));
    bench.job(
        "records: '.[]'\nkey: id\nincremental: {cursor: at, start: 0, into: {into: query.since, order: asc}}\npaginate: none",
    );
    let told = |ran: &crate::support::bench::Ran| {
        let warnings = ran.report["jobs"][0]["warnings"].to_string();
        warnings.contains("3 rows came with the cursor that the last slice ends with, 20, and 2 of them have landed")
    };
    assert_eq!(bench.run().fine(), "s0-0 landed: 3 of 3; unknown");
    let again = bench.run();
    assert!(again.code() == 0 && !told(&again), "{again:?}");
    rows.lock().unwrap().push((4, 20));
    let late = bench.run();
    assert!(late.code() == 0 && told(&late), "{late:?}");
    rows.lock().unwrap().push((5, 30));
    let next = bench.run();
    assert_eq!(next.fine(), "s0-20 landed: 1 of 4, 3 outside_window; unknown");
    assert!(told(&next), "{next:?}");
    assert!(!told(&bench.run()), "the chain has gone on");
}

/// A page in the middle comes without its link: of three pages one is missing.
#[test]
fn a_list_that_ends_sooner_on_a_full_page_stays_as_it_landed() {
    let forgets = Arc::new(AtomicUsize::new(usize::MAX));
    let forgotten = Arc::clone(&forgets);
    let bench = Bench::new(Api::start(move |request: &Request| {
        let page = request.number("page");
        let answer = Answer::json(&(page * 10..27.min(page * 10 + 10)).map(|id| json!({"id": id})).collect::<Value>());
        if page == 2 || page == forgotten.load(Ordering::SeqCst) {
            return answer;
        }
        answer.header("link", format!("</rows?page={}>; rel=next", page + 1))
    }));
    bench.job("records: '.[]'\nkey: id\nsnapshot: latest\npaginate: {next_link: {header: link}}");
    forgets.store(1, Ordering::SeqCst);
    let first = bench.run();
    assert_eq!(first.fine(), "latest landed: 20 of 20; unknown");
    assert!(first.report.to_string().contains("the server forgot the link"), "{first:?}");
    forgets.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(bench.run().fine(), "latest landed: 27 of 27; complete");
    forgets.store(1, Ordering::SeqCst);
    let cut = bench.run();
    assert_eq!((cut.code(), bench.lines().len()), (1, 27), "{cut:?}");
    assert!(cut.errors()[0].contains("the last page is as full as the fullest then (10 rows)"), "{cut:?}");
}
