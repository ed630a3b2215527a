//! Pages that are asked for before their turn: what lands is the same, byte for byte, and a server that does what wasn't foreseen
//! costs requests, never rows.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, files};

/// How long the server thinks: long enough for those that are sent at once to meet there.
const THINKS: Duration = Duration::from_millis(40);

const OFFSET: &str = "paginate: {offset: {into: query.offset, size_into: query.limit, size: 5}, total: .total}\nquery: {offset: 0, limit: 5}";

const PAGE: &str = "paginate: {page: {into: query.page, size: 5}, total: .total}\nquery: {page: 1}";

fn rows(count: usize) -> Vec<Value> {
    // A column that comes later on, and one whose type changes: what is inferred must not depend on who answers first.
    let row = |id: usize| match id % 11 {
        0 => json!({"id": id, "late": format!("x{id}"), "n": 0.25}),
        _ => json!({"id": id, "n": id}),
    };
    (1..=count).map(row).collect()
}

fn page(rows: &[Value], start: usize, limit: usize, total: usize) -> Answer {
    let some: Vec<&Value> = rows.iter().skip(start).take(limit).collect();
    Answer::json(&json!({"total": total, "items": some}))
}

/// Answers by `offset` and `limit`, or by `page` of five rows. Later pages come sooner.
fn serve(request: &Request, rows: &[Value]) -> Answer {
    let start = match request.number("page") {
        0 => request.number("offset"),
        page => (page - 1) * 5,
    };
    let later = 40 - u64::try_from(start % 20).unwrap();
    page(rows, start, 5, rows.len()).after(Duration::from_millis(later))
}

/// Makes a bench whose source bears so many requests at once.
fn bench(api: Api, concurrency: usize, job: &str) -> Bench {
    let bench = Bench::new(api);
    bench.file(&format!(
        "source: {{base_url: {}, concurrency: {concurrency}, retry: {{attempts: 2, max_delay: 1ms}}}}
jobs:
  rows:
    get: /rows
    records: '.items[]'
    snapshot: daily
    sinks: {{lake: {{parquet: {{url: ./lake}}}}, text: {{jsonl: {{url: ./lake/text}}}}}}
    {}\n",
        bench.api.url(),
        job.trim().replace('\n', "\n    ")
    ));
    bench
}

/// Returns what landed, file by file.
fn landed(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let folder = bench.workspace.path("lake");
    let data = files(&folder).into_iter().filter(|path| !path.contains("_tidegate/"));
    let relative = |path: &str| path.strip_prefix(folder.to_str().unwrap()).unwrap().to_owned();
    data.map(|path| (relative(&path), fs::read(&path).unwrap())).collect()
}

fn ids(bench: &Bench) -> Vec<u64> {
    let mut ids: Vec<u64> = bench.lines().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Returns the values of a parameter that were asked for, sorted as numbers.
fn asked(bench: &Bench, parameter: &str) -> Vec<usize> {
    let mut asked: Vec<usize> = bench.api.asked().iter().map(|request| request.number(parameter)).collect();
    asked.sort_unstable();
    asked
}

#[test]
fn eight_at_once_land_the_same_files_as_one_by_one() {
    for (paging, parameter, step) in [(OFFSET, "offset", 5), (PAGE, "page", 1)] {
        let run = |concurrency| {
            let bench = bench(Api::start(|request| serve(request, &rows(110))), concurrency, paging);
            assert_eq!(bench.run().fine(), "20260103 landed: 110 of 110; complete");
            bench
        };
        let (one, eight) = (run(1), run(8));
        assert_eq!((one.api.most_at_once(), landed(&one).len()), (1, 2));
        assert!((5..=8).contains(&eight.api.most_at_once()), "{}", eight.api.most_at_once());
        assert!(landed(&one) == landed(&eight), "{paging}: the files differ");
        // 22 full pages, and the empty one that ends them: each once.
        assert_eq!(asked(&one, parameter), asked(&eight, parameter));
        let first = usize::from(parameter == "page");
        assert_eq!(asked(&eight, parameter), (0..23).map(|page| first + page * step).collect::<Vec<_>>());
    }
}

#[test]
fn large_pages_are_decoded_at_once_and_land_as_one_by_one() {
    // Of 90 KB each. Types change on a page in the middle, and again after some that brought nothing new.
    let rows: Vec<Value> = (1..=70)
        .map(|id| match id {
            31..=35 => json!({"id": id, "n": 0.1 + f64::from(id), "text": "x".repeat(18_000)}),
            61 => json!({"id": id, "n": id, "text": "y".repeat(18_000), "late": [{"a": 1}, {}]}),
            _ => json!({"id": id, "n": id, "text": format!("{id} ").repeat(6_000), "empty": []}),
        })
        .collect();
    let run = |concurrency| {
        let rows = rows.clone();
        let bench = bench(Api::start(move |request| serve(request, &rows)), concurrency, OFFSET);
        assert_eq!(bench.run().fine(), "20260103 landed: 70 of 70; complete");
        landed(&bench)
    };
    assert!(run(8) == run(1), "the files differ");
}

#[test]
fn a_large_page_that_is_refused_is_told_though_it_was_decoded_before_its_turn() {
    // Of 90 KB each, so that they are decoded as they come. The sixth one has rows, and says that they don't count.
    let serve = |request: &Request| {
        let start = request.number("offset");
        let rows: Vec<Value> = (start..start + 5).map(|id| json!({"id": id, "text": "x".repeat(18_000)})).collect();
        Answer::json(&json!({"total": 50, "items": rows, "refused": start == 25})).after(THINKS / 4)
    };
    let bench = Bench::new(Api::start(serve));
    bench.file(&format!(
        "source: {{base_url: {}, concurrency: 8, success: '.refused | not'}}
jobs: {{rows: {{get: /rows, records: '.items[]', snapshot: daily, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}, {}}}}}\n",
        bench.api.url(),
        OFFSET.replace('\n', ", ")
    ));
    let failure = bench.failure();
    assert!(failure.contains("GET /rows?offset=25&limit=5: status 200"), "{failure}");
    assert!(landed(&bench).is_empty());
}

#[test]
fn the_last_page_that_is_short_ends_it_and_nothing_beyond_is_asked_for() {
    let bench = bench(Api::start(|request| serve(request, &rows(33))), 8, OFFSET);
    assert_eq!(bench.run().fine(), "20260103 landed: 33 of 33; complete");
    assert_eq!(asked(&bench, "offset"), (0..7).map(|page| page * 5).collect::<Vec<_>>());
}

#[test]
fn a_server_that_caps_pages_or_cuts_them_short_costs_requests_and_no_rows() {
    // Capped from the first page on; the fourth page two rows short; every page after the sixth row short by one.
    let cuts: [fn(usize) -> usize; 3] =
        [|_| 3, |start| if start == 15 { 3 } else { 5 }, |start| if start > 30 { 4 } else { 5 }];
    for cut in cuts {
        let serve = move |request: &Request| {
            let start = request.number("offset");
            page(&rows(60), start, cut(start), 60)
        };
        let run = |concurrency| {
            let bench = bench(Api::start(serve), concurrency, OFFSET);
            assert_eq!(bench.run().fine(), "20260103 landed: 60 of 60; complete");
            assert_eq!(ids(&bench), (1..=60).collect::<Vec<_>>());
            bench
        };
        let (one, eight) = (run(1), run(8));
        assert!(landed(&one) == landed(&eight));
        let wasted = eight.api.asked().len() - one.api.asked().len();
        assert!(wasted <= 9, "{wasted} requests for nothing");
    }
}

#[test]
fn a_total_that_changes_is_told_as_if_pages_were_read_one_by_one() {
    // It grows, it shrinks, and it is gone after the third page.
    let totals: [fn(usize) -> Value; 3] = [
        |start| json!(if start < 20 { 30 } else { 60 }),
        |start| json!(if start < 20 { 90 } else { 60 }),
        |start| if start < 15 { json!(60) } else { json!(null) },
    ];
    for total in totals {
        let serve = move |request: &Request| {
            let start = request.number("offset");
            let some: Vec<Value> = rows(60).into_iter().skip(start).take(5).collect();
            Answer::json(&json!({"total": total(start), "items": some}))
        };
        let run = |concurrency| {
            let bench = bench(Api::start(serve), concurrency, &format!("{OFFSET}\non_mismatch: warn"));
            (bench.run().fine(), ids(&bench))
        };
        let (one, eight) = (run(1), run(8));
        assert_eq!(one, eight);
        assert_eq!(one.1, (1..=60).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_page_that_fails_is_the_one_that_is_told() {
    // The seventh page fails at once, the fourth one late.
    let serve = |request: &Request| match request.number("offset") {
        15 => Answer::json(&json!({"error": "no"})).status(404).after(THINKS * 3),
        30 => Answer::json(&json!({"error": "no"})).status(410),
        start => page(&rows(200), start, 5, 200).after(THINKS),
    };
    let failure = bench(Api::start(serve), 8, OFFSET).failure();
    assert!(failure.contains("GET /rows?offset=15&limit=5: status 404"), "{failure}");
}

#[test]
fn pages_that_follow_each_other_are_asked_for_once_each() {
    let pages = [
        ("paginate: {cursor: {into: query.at, value: .next}}", "next"),
        ("paginate: {next_link: {url: .link}}", "link"),
        ("paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 5}}", ""),
        ("key: id\npaginate: {seek: {into: query.after, value: '$last.id', order: asc, size: 5}}", ""),
    ];
    for (paging, _) in pages {
        let inclusive = paging.contains("key");
        let serve = move |request: &Request| {
            let at = request
                .number("at")
                .max(request.number("after"))
                .saturating_sub(usize::from(inclusive && request.number("after") > 0));
            let some: Vec<Value> = rows(48).into_iter().skip(at).take(5).collect();
            let next = if at + 5 < 48 { json!(at + 5) } else { Value::Null };
            let link = next.as_u64().map(|next| format!("/rows?at={next}"));
            Answer::json(&json!({"items": some, "next": next, "link": link})).after(THINKS / 4)
        };
        let run = |concurrency| {
            let bench = bench(Api::start(serve), concurrency, paging);
            bench.run().fine();
            assert_eq!(ids(&bench), (1..=48).collect::<Vec<_>>(), "{paging}");
            bench
        };
        let (one, four) = (run(1), run(4));
        assert_eq!(four.api.most_at_once(), 1, "{paging}: each page says what the next one is");
        let mut requests: Vec<String> = four.api.asked().iter().map(|request| format!("{:?}", request.query)).collect();
        requests.sort_unstable();
        requests.dedup();
        assert_eq!(requests.len(), four.api.asked().len(), "{paging}: one was asked for twice");
        assert_eq!(four.api.asked().len(), one.api.asked().len(), "{paging}");
    }
}

#[test]
fn what_follows_a_large_page_is_asked_for_while_it_is_decoded() {
    // What the page says, what its rows say, and a page that says that it is the last though it gives a cursor.
    let ways = [
        "paginate: {cursor: {into: query.at, value: .next}}",
        "paginate: {next_link: {url: .link}}",
        "paginate: {cursor: {into: query.at, value: '$last.id'}, more: .more}",
        "paginate: {cursor: {into: query.at, value: .always}, more: .more}",
    ];
    for paging in ways {
        let serve = |request: &Request| {
            let at = request.number("at");
            let pad = "x".repeat(2_000);
            let some: Vec<Value> = (at..(at + 200).min(1000)).map(|id| json!({"id": id + 1, "pad": pad})).collect();
            let more = at + 200 < 1000;
            let next = if more { json!(at + 200) } else { Value::Null };
            let link = more.then(|| format!("/rows?at={}", at + 200));
            Answer::json(&json!({"next": next, "link": link, "always": at + 200, "more": more, "items": some}))
        };
        let bench = bench(Api::start(serve), 4, paging);
        bench.run().fine();
        assert_eq!(ids(&bench), (1..=1000).collect::<Vec<_>>(), "{paging}");
        assert_eq!(asked(&bench, "at"), [0, 200, 400, 600, 800], "{paging}");
    }
}

#[test]
fn answers_that_were_refused_early_are_asked_for_again_after_one_login() {
    let logins = Arc::new(AtomicUsize::new(0));
    let served = Arc::new(AtomicUsize::new(0));
    let (counted, pages) = (Arc::clone(&logins), Arc::clone(&served));
    let api = Api::start(move |request| {
        if request.path == "/login" {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            return Answer::json(&json!({"token": format!("token-{number}-of-many")}));
        }
        // The first session ends after ten pages, while others are on their way.
        let current = if pages.fetch_add(1, Ordering::SeqCst) < 10 { 1 } else { 2 };
        match request.headers.get("authorization") {
            Some(token) if *token == format!("token-{current}-of-many") => serve(request, &rows(110)),
            _ => Answer::json(&json!({"error": "who are you?"})).status(401),
        }
    });
    let bench = Bench::new(api);
    bench.file(&format!(
        "source:
  base_url: {}
  concurrency: 8
  auth:
    login:
      post: /login
      form: {{user: admin, password: '${{PASSWORD}}'}}
      token: .token
      into: headers.Authorization
jobs:
  rows:
    get: /rows
    records: '.items[]'
    snapshot: daily
    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}
    {}\n",
        bench.api.url(),
        OFFSET.replace('\n', "\n    ")
    ));
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--now", crate::support::bench::NOW];
    let outcome = bench.workspace.tidegate(&arguments).env("PASSWORD", "hunter2 and more").run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(ids(&bench), (1..=110).collect::<Vec<_>>());
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[test]
fn little_memory_makes_it_slower_and_nothing_else() {
    // Pages of about 40 KB. Of 64 KiB there is room for one and the work on it, and nothing is asked for early; of 1 MiB for all.
    let serve = |request: &Request| {
        let start = request.number("offset");
        let pad = "x".repeat(8_000);
        let some: Vec<Value> = (start..(start + 5).min(60)).map(|id| json!({"id": id + 1, "pad": pad})).collect();
        Answer::json(&json!({"total": 60, "items": some})).after(THINKS)
    };
    let run = |limit: &str| {
        let bench = bench(Api::start(serve), 8, OFFSET);
        let ran = bench.run_at(crate::support::bench::NOW, &["--memory-limit", limit]);
        assert_eq!(ran.fine(), "20260103 landed: 60 of 60; complete");
        (landed(&bench), bench.api.most_at_once(), bench.api.asked().len())
    };
    let (tiny, small, large) = (run("1KiB"), run("64KiB"), run("1MiB"));
    assert!(tiny.0 == large.0 && small.0 == large.0);
    assert_eq!(((tiny.1, tiny.2), (small.1, small.2)), ((1, 13), (1, 13)));
    assert!(large.1 > 3, "{}", large.1);
}
