//! Windows that are read in parts, and lists that are read from the newest down: against servers that cap their pages and merge their
//! points, what lands is exactly what the server has, or the run says why it can't be.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600;

/// The ids that landed, sorted: each as often as it landed.
fn ids(bench: &Bench) -> Vec<i64> {
    let mut ids: Vec<i64> = bench.lines().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// The number of a query parameter.
fn number(request: &Request, name: &str) -> i64 {
    request.query.get(name).unwrap_or_else(|| panic!("no {name}: {request:?}")).parse().unwrap()
}

/// Rows of two days: most of them spread, some in bursts of one second. Each is its id, its time, and when it ends.
fn events() -> Vec<(i64, i64, i64)> {
    let spread = (0..400).map(|n| NEW_YEAR + n * 431);
    // The first burst is in the middle of the day, where its halves meet.
    let burst = std::iter::repeat_n(NEW_YEAR + 43_200, 9).chain(std::iter::repeat_n(NEW_YEAR + 86_400, 7));
    let times: Vec<i64> = spread.chain(burst).collect();
    times.iter().zip(1_i64..).map(|(time, id)| (id, *time, time + id % 300)).collect()
}

/// Answers with at most `cap` of some events, in an order of its own.
fn capped(mut events: Vec<(i64, i64, i64)>, cap: usize) -> Answer {
    events.sort_by_key(|(id, ..)| id * 7919 % 1009);
    let rows: Vec<Value> =
        events.into_iter().take(cap).map(|(id, time, end)| json!({"id": id, "t": time, "end": end})).collect();
    Answer::json(&json!({"rows": rows}))
}

/// The keys of a job that halves its windows; `more` are further keys of the window.
fn halving(more: &str) -> String {
    format!(
        "records: '.rows[]'
paginate: none
query: {{limit: 20}}
window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: epoch_s, split: {{size: 20}}, {more}}}"
    )
}

#[test]
fn a_full_page_is_read_again_in_halves() {
    // How the server treats the end; what the file says of it; rows on an edge that come twice are dropped by their time.
    let cases = [
        ("<", "from: query.from, to: query.to", "20260101T000000Z landed: 210 of 210; unknown"),
        (
            "<=",
            "from: query.from, to: {into: query.to, bound: inclusive}",
            "20260101T000000Z landed: 210 of 210; unknown",
        ),
    ];
    for (rule, edges, first) in cases {
        let bench = Bench::new(Api::start(move |request| {
            let (from, to) = (number(request, "from"), number(request, "to"));
            let within = |time: i64| from <= time && (time < to || (rule == "<=" && time == to));
            capped(events().into_iter().filter(|(_, time, _)| within(*time)).collect(), 20)
        }));
        bench.job(&halving(edges));
        let ran = bench.run();
        assert_eq!(ran.fine().lines().next(), Some(first), "{rule}");
        assert_eq!(ids(&bench), (1..=416).collect::<Vec<_>>(), "{rule}");
        assert!(bench.api.asked().len() > 40, "pages were full: {:?}", bench.api.asked().len());
        assert_eq!(ran.slices()[0]["reconciliation"]["end"], "parts_read");
        assert_eq!(bench.run().rows(), "", "all that was due has landed");
    }
}

#[test]
fn with_a_time_each_part_keeps_its_own_rows() {
    let bench = Bench::new(Api::start(|request| {
        let (from, to) = (number(request, "from"), number(request, "to"));
        capped(events().into_iter().filter(|(_, time, _)| (from..=to).contains(time)).collect(), 20)
    }));
    bench.job(&halving("from: query.from, to: query.to, time: to_timestamp_seconds(t)"));
    let ran = bench.run();
    insta::assert_snapshot!(ran.fine(), @"
    20260101T000000Z landed: 210 of 226, 16 outside_window; unknown
    20260102T000000Z landed: 206 of 206; unknown
    ");
    assert_eq!(ids(&bench), (1..=416).collect::<Vec<_>>(), "no row twice, though edges are asked for twice");
}

/// ntopng's rule (vendors.md A7): a row that ends after the window is in no window, unless it asks for more than it keeps.
#[test]
fn rows_that_straddle_an_edge_are_found_with_a_pad() {
    let straddling = |pad: &str| {
        let bench = Bench::new(Api::start(|request| {
            let (from, to) = (number(request, "from"), number(request, "to"));
            capped(events().into_iter().filter(|(_, time, end)| from <= *time && *end <= to).collect(), 20)
        }));
        bench.job(&halving(&format!(
            "from: query.from, to: {{into: query.to, bound: inclusive}}, time: to_timestamp_seconds(t){pad}"
        )));
        bench.run().fine();
        ids(&bench).len()
    };
    assert_eq!(straddling(", pad: {after: 5m}"), 416);
    assert!(straddling("") < 416, "the server of this test does lose rows");
}

#[test]
fn more_rows_in_one_second_than_a_page_is_an_error() {
    let bench = Bench::new(Api::start(|request| {
        let (from, to) = (number(request, "from"), number(request, "to"));
        let mut events = events();
        events.extend((1000..1020).map(|id| (id, NEW_YEAR + 77, NEW_YEAR + 77)));
        capped(events.into_iter().filter(|(_, time, _)| (from..to).contains(time)).collect(), 20)
    }));
    bench.job(&halving("from: query.from, to: query.to"));
    let ran = bench.run_at("2026-01-02T12:00:00Z", &[]);
    assert_eq!((ran.code(), bench.landed()), (1, Vec::new()));
    insta::assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @"20260101T000000Z: GET /rows?limit=20&from=1767225677&to=1767225678: the page is full with 20 rows (`window.split.size` is 20), so others may be missing, and the time from 2026-01-01 00:01:17 UTC to 2026-01-01 00:01:18 UTC can't be halved any more; let the request ask for more rows and raise `split.size`, write instants more finely in `window.as`, make `window.pad` smaller, or ask for less at once by `for_each`");
}

/// A program makes several records of a row: what counts is what the server put on the page.
#[test]
fn a_page_is_full_by_the_rows_that_the_server_put_on_it() {
    let bench = Bench::new(Api::start(|request| {
        let (from, to) = (number(request, "from"), number(request, "to"));
        capped(events().into_iter().filter(|(_, time, _)| (from..to).contains(time)).collect(), 20)
    }));
    bench.job(
        "records: '.rows[] | select(.id % 2 == 0)'
rows: '.rows | length'
paginate: none
window: {every: 1d, start: 2026-01-01T00:00:00Z, as: epoch_s, split: {size: 20}, from: query.from, to: query.to}",
    );
    bench.run().fine();
    assert_eq!(ids(&bench), (1..=208).map(|n| n * 2).collect::<Vec<_>>());
}

#[test]
fn a_preview_takes_the_first_page_though_it_is_full() {
    let bench = Bench::new(Api::start(|request| {
        let (from, to) = (number(request, "from"), number(request, "to"));
        capped(events().into_iter().filter(|(_, time, _)| (from..to).contains(time)).collect(), 20)
    }));
    bench.job(&halving("from: query.from, to: query.to"));
    let arguments =
        ["preview", "pipeline.yaml", "rows", "--now", "2026-01-02T12:00:00Z", "--rows", "5", "--output", "json"];
    let outcome = bench.workspace.tidegate(&arguments).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(bench.api.asked().len(), 1, "{:?}", bench.api.asked());
}

const HALF_HOUR: i64 = 1800;

/// Answers as Lastline does (vendors.md D3): a point every half hour, merged by the smallest step of the ladder that keeps to
/// `max_data_points`, or to fewer where the server `holds` fewer.
fn series(request: &Request, holds: i64) -> Answer {
    const LADDER: [i64; 9] = [1, 2, 4, 6, 8, 12, 16, 24, 48];
    let instant = |name: &str| {
        chrono::NaiveDateTime::parse_from_str(&request.query[name], "%Y-%m-%d %H:%M:%S").unwrap().and_utc().timestamp()
    };
    let (from, to) = (instant("start_time"), instant("end_time"));
    let most = number(request, "max_data_points").min(holds);
    assert!(number(request, "max_data_points") <= 300, "never send more: {request:?}");
    let step = HALF_HOUR * LADDER.iter().find(|steps| (to - from) <= **steps * HALF_HOUR * most).unwrap();
    let first = (from + step - 1) / step * step;
    let points = (0..)
        .map(|n| first + n * step)
        .take_while(|at| *at <= to)
        .filter(|at| at / HALF_HOUR % 5 != 0 || step > HALF_HOUR);
    let points: Vec<Value> = points
        .map(|at| {
            json!([
                chrono::DateTime::from_timestamp(at, 0).unwrap().format("%Y-%m-%d %H:%M:%S").to_string(),
                at / HALF_HOUR
            ])
        })
        .collect();
    Answer::json(&json!({"success": 1, "data": {"a": {"time_series": points}, "b": {"time_series": []}}}))
}

/// The job of the design, for one metric. `every` and `more` are of the window.
fn native(every: &str, max_points: u64, more: &str) -> String {
    format!(
        r#"records: '.data | to_entries[] | .key as $uuid | .value.time_series[] | {{uuid: $uuid, ts: .[0], value: .[1]}}'
paginate: none
window:
  every: {every}
  lag: 1h
  start: 2025-12-18T00:00:00Z
  as: '%Y-%m-%d %H:%M:%S'
  from: query.start_time
  to: query.end_time
  time: CAST(ts AS TIMESTAMP)
  resolution:
    step: 30m
    max_points: {max_points}
    into: query.max_data_points
    observed: '[.data[].time_series | map(.[0] | strptime("%Y-%m-%d %H:%M:%S") | mktime) | [.[1:], .[:-1]] | transpose[] | .[0] - .[1]] | min'
{more}"#
    )
}

/// The points of the native step that landed, by half hours since 1970.
fn half_hours(bench: &Bench) -> Vec<i64> {
    let mut found: Vec<i64> = bench.lines().iter().map(|row| row["value"].as_i64().unwrap()).collect();
    found.sort_unstable();
    found
}

/// What the server has between two days of January 2026, counted from the first.
fn has(from_day: i64, to_day: i64) -> Vec<i64> {
    let half_hour = |day: i64| (NEW_YEAR + day * 86_400) / HALF_HOUR;
    (half_hour(from_day)..half_hour(to_day)).filter(|at| at % 5 != 0).collect()
}

#[test]
fn a_time_series_keeps_its_step() {
    // Cells of a week have 336 points: more than an answer holds.
    let bench = Bench::new(Api::start(|request| series(request, 300)));
    bench.job(&native("7d", 300, ""));
    let ran = bench.run_at("2026-01-01T12:00:00Z", &[]);
    insta::assert_snapshot!(ran.fine(), @"
    20251218T000000Z landed: 268 of 270, 2 outside_window; unknown
    20251225T000000Z landed: 269 of 271, 2 outside_window; unknown
    ");
    assert_eq!(half_hours(&bench), has(-14, 0));
    assert_eq!(bench.api.asked_for("max_data_points"), ["300"; 4]);
    insta::assert_snapshot!(bench.api.asked_for("start_time").join("\n"), @"
    2025-12-18 00:00:00
    2025-12-21 12:00:00
    2025-12-25 00:00:00
    2025-12-28 12:00:00
    ");
}

#[test]
fn points_that_were_merged_are_caught_and_asked_for_in_halves() {
    // The server has fewer points than it is told, and says nothing.
    let bench = Bench::new(Api::start(|request| series(request, 40)));
    bench.job(&native("7d", 300, ""));
    let ran = bench.run_at("2026-01-01T12:00:00Z", &[]);
    insta::assert_snapshot!(ran.fine(), @"
    20251218T000000Z landed: 268 of 281, 13 outside_window; unknown
    20251225T000000Z landed: 269 of 282, 13 outside_window; unknown
    ");
    assert_eq!(half_hours(&bench), has(-14, 0));
    assert!(bench.api.asked().len() > 20, "{}", bench.api.asked().len());
}

#[test]
fn a_series_of_one_point_or_none_is_taken() {
    let bench = Bench::new(Api::start(|request| {
        let points = match &request.query["start_time"][..] {
            "2026-01-01 03:00:00" => json!([["2026-01-01 03:00:00", 1]]),
            "2026-01-01 04:00:00" => json!([["2026-01-01 04:00:00", 2], ["2026-01-01 04:30:00", null]]),
            _ => json!([]),
        };
        Answer::json(&json!({"data": {"a": {"time_series": points}}}))
    }));
    bench.job(&native("1h", 300, "").replace("2025-12-18", "2026-01-01"));
    let ran = bench.run_at("2026-01-01T06:00:00Z", &[]);
    insta::assert_snapshot!(ran.fine(), @"
    20260101T000000Z landed: 0 of 0; unknown
    20260101T010000Z landed: 0 of 0; unknown
    20260101T020000Z landed: 0 of 0; unknown
    20260101T030000Z landed: 1 of 1; unknown
    20260101T040000Z landed: 2 of 2; unknown
    ");
    assert_eq!(bench.lines().len(), 3);
    assert!(ran.report["jobs"][0]["warnings"].is_null(), "{}", ran.report["jobs"][0]["warnings"]);
}

#[test]
fn a_step_that_cannot_be_had_is_an_error() {
    // Merged for good, to hours; finer than was said; an expression that looks at the wrong place.
    let at_step = |step: i64| {
        Api::start(move |request| {
            let from =
                chrono::NaiveDateTime::parse_from_str(&request.query["start_time"], "%Y-%m-%d %H:%M:%S").unwrap();
            let points = (0..4).map(|n| {
                let at = from + chrono::TimeDelta::seconds(n * step);
                json!([at.format("%Y-%m-%d %H:%M:%S").to_string(), n])
            });
            Answer::json(&json!({"data": {"a": {"time_series": points.collect::<Vec<_>>()}}}))
        })
    };
    let day = native("1d", 300, "").replace("2025-12-18", "2026-01-01");
    let error = |bench: &Bench| {
        let ran = bench.run_at("2026-01-02T06:00:00Z", &[]);
        assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{ran:?}");
        bench.workspace.redact(&ran.errors().join("\n"))
    };
    let coarse = Bench::new(at_step(3600));
    coarse.job(&day);
    insta::assert_snapshot!(error(&coarse), @"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-01%2001%3A30%3A00&max_data_points=300: the points from 2026-01-01 00:00:00 UTC to 2026-01-01 01:30:00 UTC are 1h apart, and not 30m (`window.resolution.step`), though so short a time was asked for: the server has merged them for good, or makes them at another step; check `step`, or read them before they are merged");
    let finer = Bench::new(at_step(60));
    finer.job(&day);
    insta::assert_snapshot!(error(&finer), @"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-02%2000%3A00%3A00&max_data_points=300: the points are 1m apart, and not 30m (`window.resolution.step`): the server has finer ones than the file says; correct `step`, or what the request asks for");
    let wrong = Bench::new(at_step(1800));
    wrong.job(&day.replace("| min'", "| map(tostring) | min'"));
    insta::assert_snapshot!(error(&wrong), @r#"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-02%2000%3A00%3A00&max_data_points=300: `window.resolution.observed` gives "1800"; it must be the seconds between two points, more than 0, or null where an answer doesn't show them"#);
}

#[test]
fn a_step_that_is_never_shown_is_reported() {
    let bench = Bench::new(Api::start(|request| series(request, 300)));
    bench.job(
        &native("1d", 300, "").replace("2025-12-18", "2026-01-01").replace("] | min'", "] | min | empty // null'"),
    );
    let ran = bench.run_at("2026-01-02T06:00:00Z", &[]);
    insta::assert_snapshot!(ran.fine(), @"20260101T000000Z landed: 39 of 39; unknown");
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"].to_string(), @r#"["`window.resolution.observed` gave null for answers with several rows, so it isn't proven that their points have the native step; if it does so for all of them, check it with `tidegate preview`"]"#);
}

/// A log: newest first, with a limit and no offset (vendors.md D4). Entries arrive while it is read.
fn log(request: &Request, entries: &[(i64, i64)], arriving: i64) -> Answer {
    let text = |time: i64| chrono::DateTime::from_timestamp(time, 0).unwrap().format("%Y-%m-%d %H:%M:%S").to_string();
    let (from, to) = (&request.query["start_time"], &request.query["end_time"]);
    let mut entries: Vec<(String, i64)> = entries.iter().map(|(id, time)| (text(*time), *id)).collect();
    entries.extend((0..arriving).map(|n| (text(NEW_YEAR + 86_400 + n), 100_000 + n)));
    entries.sort_by(|a, b| b.cmp(a));
    let within = entries.iter().filter(|(time, _)| from <= time && time <= to);
    let page: Vec<Value> =
        within.take(request.number("limit")).map(|(time, id)| json!({"id": id, "end_time": time})).collect();
    Answer::json(&json!({"data": {"log_entries": page}}))
}

fn log_job(size: u64) -> String {
    format!(
        "records: '.data.log_entries[]'
key: id
window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d %H:%M:%S', from: query.start_time, to: query.end_time, time: 'CAST(end_time AS TIMESTAMP)'}}
paginate: {{seek: {{into: query.end_time, value: '$last.end_time', order: desc, size_into: query.limit, size: {size}}}}}"
    )
}

fn entries() -> Vec<(i64, i64)> {
    let spread = (0..90).map(|n| NEW_YEAR + n * 953);
    let burst = std::iter::repeat_n(NEW_YEAR + 30_000, 6).chain(std::iter::repeat_n(NEW_YEAR, 5));
    (1..).zip(spread.chain(burst)).collect()
}

#[test]
fn a_log_is_read_from_the_newest_down() {
    for size in [8, 10, 500] {
        let asked = std::sync::atomic::AtomicI64::new(0);
        let bench = Bench::new(Api::start(move |request| {
            // With each page that is asked for, one more entry has come.
            let arriving = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            log(request, &entries(), arriving)
        }));
        bench.job(&log_job(size));
        let ran = bench.run_at("2026-01-02T06:00:00Z", &[]);
        let rows = ran.fine();
        assert!(rows.ends_with("; unknown") && rows.lines().count() == 1, "{rows}");
        assert_eq!(ids(&bench), (1..=101).collect::<Vec<_>>(), "{size}: {rows}");
        let ends = bench.api.asked_for("end_time");
        assert_eq!(ends[0], "2026-01-02 00:00:00", "the first request covers the window");
        assert!(ends.windows(2).all(|pair| pair[1] < pair[0]), "{ends:?}");
        assert!(ends.iter().all(|end| end.as_str() >= "2026-01-01 00:00:00"), "{ends:?}");
        assert_eq!(bench.api.asked_for("start_time"), vec!["2026-01-01 00:00:00"; ends.len()]);
    }
}

#[test]
fn more_entries_in_one_second_than_a_page_are_an_error() {
    let error = |entries: Vec<(i64, i64)>| {
        let bench = Bench::new(Api::start(move |request| log(request, &entries, 0)));
        bench.job(&log_job(6));
        let ran = bench.run_at("2026-01-02T06:00:00Z", &[]);
        assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{ran:?}");
        bench.workspace.redact(&ran.errors().join("\n"))
    };
    let burst = |count: i64, time: i64| (1..=count).map(move |id| (id, time));
    let older = || std::iter::once((100, NEW_YEAR + 5));
    insta::assert_snapshot!(error(burst(7, NEW_YEAR + 9).chain(older()).collect()), @r#"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-01%2000%3A00%3A08&limit=6: paging can't go on: more rows share the seek value "2026-01-01 00:00:09" than a page of 6 holds, so the rows after them can't be reached; raise 'size', or seek by a value with fewer equals"#);
    // No page of six can show that the window's first second has no seventh, and nothing is asked for before it.
    insta::assert_snapshot!(error(burst(9, NEW_YEAR).collect()), @r#"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-01%2000%3A00%3A00&limit=6: paging can't go on: the last page is full: all its 6 rows share the seek value "2026-01-01 00:00:00", and there may be more of them, which can't be reached; raise 'size', or seek by a value with fewer equals"#);
    // Nor can it where nothing comes before.
    insta::assert_snapshot!(error(burst(9, NEW_YEAR + 9).collect()), @r#"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-01%2000%3A00%3A08&limit=6: paging can't go on: the last page is full: all its 6 rows share the seek value "2026-01-01 00:00:09", and there may be more of them, which can't be reached; raise 'size', or seek by a value with fewer equals"#);
}

#[test]
fn a_server_that_ignores_the_moved_end_is_an_error() {
    let bench = Bench::new(Api::start(|request| {
        let mut request = request.clone();
        request.query.insert("end_time".to_owned(), "2026-01-02 00:00:00".to_owned());
        log(&request, &entries(), 0)
    }));
    bench.job(&log_job(10));
    let ran = bench.run_at("2026-01-02T06:00:00Z", &[]);
    assert_eq!((ran.code(), bench.landed()), (1, Vec::new()), "{ran:?}");
    insta::assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @r#"20260101T000000Z: GET /rows?start_time=2026-01-01%2000%3A00%3A00&end_time=2026-01-01%2021%3A10%3A39&limit=10: paging can't go on: the seek value of page 3 is "2026-01-01 21:10:40", which isn't at or before "2026-01-01 21:10:39", from where the page was asked: the server ignores 'query.end_time', or doesn't sort by it in the order 'desc'"#);
}

#[test]
fn a_list_of_ids_is_read_from_the_newest_down() {
    for (bound, strict) in [("exclusive", true), ("inclusive", false)] {
        let newest = std::sync::atomic::AtomicI64::new(23);
        let bench = Bench::new(Api::start(move |request| {
            // A row is added with each request: those are newer than all that is asked for.
            let newest = newest.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let before = request.query.get("before").map_or(i64::MAX, |text| text.parse().unwrap());
            let ids = (1..=newest).rev().filter(|id| *id < before || (!strict && *id == before));
            Answer::json(&ids.take(5).map(|id| json!({"id": id})).collect())
        }));
        bench.job(&format!(
            "records: '.[]'\nkey: id\nsnapshot: latest
paginate: {{seek: {{into: query.before, value: '$last.id', order: desc, bound: {bound}, size: 5}}}}"
        ));
        let rows = bench.run().fine();
        assert_eq!(ids(&bench), (1..=23).collect::<Vec<_>>(), "{bound}: {rows}");
    }
}
