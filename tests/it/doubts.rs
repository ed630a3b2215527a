//! Runs that went well by what the server states, and yet rows may be missing or would be lost: what is said of them, and what stays.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW, Ran};

/// What a server gives; tests change it between runs.
type Given = Arc<Mutex<Value>>;

/// Starts a server that gives `first` to whoever asks.
fn giving(first: Value) -> (Bench, Given) {
    let given: Given = Arc::new(Mutex::new(first));
    let list = Arc::clone(&given);
    (Bench::new(Api::start(move |_| Answer::json(&list.lock().unwrap()))), given)
}

fn warnings(ran: &Ran) -> Vec<String> {
    let texts = ran.report["jobs"][0]["warnings"].as_array().cloned().unwrap_or_default();
    texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Returns what a run says to a person.
fn said(bench: &Bench, now: &str) -> String {
    let ran =
        bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--now", now, "--allow-shrink"]).run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

/// The values of `v` that stand in the lake, sorted by their text.
fn values(bench: &Bench) -> Vec<String> {
    let mut values: Vec<String> = bench.lines().iter().map(|row| row["v"].to_string()).collect();
    values.sort();
    values
}

const LATEST: &str = "records: '.rows[]'\nsnapshot: latest\npaginate: none";
const LOOKBACK: &str = "records: '.rows[]'\npaginate: none\nkey: id
window: {every: 1d, lookback: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to}";

fn instant(request: &Request, name: &str) -> DateTime<Utc> {
    let text = request.query.get(name).unwrap_or_else(|| panic!("no {name}: {request:?}"));
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc()
}

/// A server of rows, one every ten minutes from the last hour of 2025 on, that are asked for by minutes of its own time zone, `ahead` hours
/// ahead of UTC. It states its total.
fn by_minutes(ahead: i64) -> Bench {
    let first: DateTime<Utc> = "2025-12-31T23:05:00Z".parse().unwrap();
    let bench = Bench::new(Api::start(move |request| {
        let ahead = TimeDelta::hours(ahead);
        let asked = instant(request, "from") - ahead..=instant(request, "to") - ahead;
        let rows = (0..500).map(|n| (n, first + TimeDelta::minutes(10 * n)));
        let rows: Vec<Value> = rows
            .filter(|(_, time)| asked.contains(time))
            .map(|(id, time)| json!({"id": id, "at": time.to_rfc3339()}))
            .collect();
        Answer::json(&json!({"total": rows.len(), "rows": rows}))
    }));
    bench.job(
        "records: '.rows[]'
query: {offset: 0}
paginate: {offset: {into: query.offset, size: 1000}, total: .total}
window: {every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d %H:%M', from: query.from, to: query.to, time: to_timestamp(at)}",
    );
    bench
}

#[test]
fn rows_from_outside_of_what_was_asked_for_show_that_others_are_missing() {
    let right = by_minutes(0);
    let ran = right.run();
    assert_eq!(
        ran.fine(),
        "20260101T000000Z landed: 144 of 144; complete\n20260102T000000Z landed: 144 of 144; complete"
    );
    assert_eq!(warnings(&ran), Vec::<String>::new());

    let ahead = by_minutes(1);
    let ran = ahead.run();
    assert_eq!(
        ran.fine(),
        "20260101T000000Z landed: 138 of 144, 6 outside_window; unknown\n20260102T000000Z landed: 138 of 144, 6 outside_window; unknown"
    );
    let stray = json!({"before": {"rows": 6, "by_ms": 3_300_000, "time": "2025-12-31T23:05:00Z"}});
    assert_eq!(ran.slices()[0]["strays"], stray);
    assert_snapshot!(warnings(&ran).join("\n"), @"2 slices got more than the time that was asked for: 12 rows from before it, by up to 55m (such as one of 2025-12-31 23:05:00 UTC). They are dropped, but the server reads the edges otherwise than they are meant, so rows may be missing at the other edge, and these slices don't count as complete: check whether `window.as` is in the server's time zone, the `bound` of `window.from` and `window.to`, and `window.time`; where the server only rounds the edges, write `as` no finer than it reads them");

    let behind = by_minutes(-1);
    let told = warnings(&behind.run()).join("\n");
    assert!(told.contains("12 rows from after it, by up to 55m (such as one of 2026-01-02 00:55:00 UTC)"), "{told}");
}

#[test]
fn a_row_at_an_edge_that_is_nobodys_is_missed() {
    // A row an hour, on the hour; `from` is exclusive and `to` inclusive.
    let first: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let server = || {
        Bench::new(Api::start(move |request| {
            let (from, to) = (instant(request, "from"), instant(request, "to"));
            let rows =
                (0..100).map(|n| (n, first + TimeDelta::hours(n))).filter(|(_, time)| from < *time && *time <= to);
            let rows: Vec<Value> = rows.map(|(id, time)| json!({"id": id, "at": time.to_rfc3339()})).collect();
            Answer::json(&json!({"total": rows.len(), "rows": rows}))
        }))
    };
    let job = |from: &str| {
        format!(
            "records: '.rows[]'
key: id
query: {{offset: 0}}
paginate: {{offset: {{into: query.offset, size: 1000}}, total: .total}}
window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d %H:%M', from: {from}, to: query.to, time: to_timestamp(at)}}"
        )
    };
    let bench = server();
    let ran = bench.job(&job("query.from")).run();
    assert_eq!(ran.code(), 3, "{ran:?}");
    assert_eq!(ran.rows().lines().next(), Some("20260101T000000Z landed: 23 of 24, 1 outside_window; complete"));
    assert_snapshot!(ran.errors().join("\n"), @"20260102T000000Z: the row of 2026-01-02 00:00:00 UTC with the key 24 belongs to the window from 2026-01-02 00:00:00 UTC to 2026-01-03 00:00:00 UTC, which was asked for it and hasn't got it; it came with the one from 2026-01-01 00:00:00 UTC to 2026-01-02 00:00:00 UTC: so rows at the edges are missing; check the `bound` of `window.from` and `window.to` (a server that leaves out rows at the very beginning needs `from: {into: ..., bound: exclusive}`), and `window.time`; `on_mismatch: warn` lands it all the same");
    let bench = server();
    let ran = bench.job(&format!("{}\non_mismatch: warn", job("query.from"))).run();
    assert!(ran.fine().ends_with("20260102T000000Z landed: 23 of 24, 1 outside_window; unknown"), "{ran:?}");
    assert!(warnings(&ran)[0].starts_with("the row of 2026-01-02 00:00:00 UTC with the key 24 belongs to"), "{ran:?}");
    let bench = server();
    let ran = bench.job(&job("{into: query.from, bound: exclusive}")).run();
    assert_eq!(
        ran.fine(),
        "20260101T000000Z landed: 24 of 25, 1 outside_window; complete\n20260102T000000Z landed: 24 of 25, 1 outside_window; complete"
    );
    assert_eq!(warnings(&ran), Vec::<String>::new());
}

#[test]
fn rows_within_the_padding_or_one_unit_are_no_sign() {
    // Days of a server that takes both of them in, and rows that are found an hour late.
    let bench = Bench::new(Api::start(|request| {
        let day = |name: &str| request.query[name].parse::<chrono::NaiveDate>().unwrap();
        let (from, to) = (day("from"), day("to"));
        let times = (0..96).map(|hour| from.and_hms_opt(0, 30, 0).unwrap().and_utc() + TimeDelta::hours(hour - 24));
        let rows = times.filter(|time| (from..=to).contains(&time.date_naive()));
        Answer::json(&json!({"rows": rows.map(|time| json!({"at": time.to_rfc3339()})).collect::<Vec<_>>()}))
    }));
    let window = "window: {every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d', from: query.from, to: query.to, time: to_timestamp(at)}";
    bench.job(&format!("records: '.rows[]'\npaginate: none\n{window}"));
    let ran = bench.run();
    assert!(ran.fine().starts_with("20260101T000000Z landed: 24 of 48, 24 outside_window; unknown"), "{ran:?}");
    assert_eq!((warnings(&ran), ran.slices()[0].get("strays")), (Vec::new(), None));
}

#[test]
fn a_time_that_is_misread_is_told_with_a_row_of_it() {
    let (bench, _) = giving(json!({"rows": [{"id": 1, "t": 1_767_312_000}, {"id": 2, "t": 1_767_315_600}]}));
    let time = "time: to_timestamp_millis(t)}";
    bench.job(&LOOKBACK.replace("to: query.to}", &format!("to: query.to, {time}")));
    assert_snapshot!(bench.failure(), @"1: 20260102T000000Z: GET /rows?from=1767312000&to=1767398400: by `window.time`, 2 of 2 rows lie outside of the time asked for (2026-01-02 00:00:00 UTC to 2026-01-03 00:00:00 UTC), such as one of 1970-01-21 10:55:12 UTC: either the server ignored the window (check the places of `window.from` and `window.to`, and the format of `window.as`), or `window.time` misreads the rows, as one that takes seconds for milliseconds does");
}

#[test]
fn rows_that_landed_and_do_not_fit_any_more_stay() {
    for slicing in [LATEST, LOOKBACK] {
        let rows = |second: Value, third: Value| json!({"rows": [{"id": 1, "v": 10}, {"id": 2, "v": second}, {"id": 3, "v": third}]});
        let (bench, given) = giving(rows(json!(20), json!(30)));
        bench.job(slicing).run().fine();
        *given.lock().unwrap() = rows(json!(20.5), json!(30.5));
        let ran = bench.run();
        assert_eq!((ran.code(), values(&bench)), (1, vec!["10".into(), "20".into(), "30".into()]), "{ran:?}");
        let error = ran.errors().pop().unwrap();
        let told = "rows of the slice that have landed would go to quarantine: 1 fit now, and 3 did, so 2 at least; what landed stays; the \
                    first: `v` expected int64, got number 20.5";
        assert!(error.contains(told) && error.contains("`--allow-shrink`"), "{error}");
        assert_eq!(bench.quarantine(), Vec::<Value>::new());
        // One that is bad from the start, and stays so, is no reason to keep what landed.
        *given.lock().unwrap() = rows(json!(21), json!(30));
        bench.run().fine();
        assert_eq!(values(&bench), ["10", "21", "30"]);
        *given.lock().unwrap() = rows(json!(20.5), json!(30.5));
        bench.run_at(NOW, &["--allow-shrink"]).fine();
        *given.lock().unwrap() = rows(json!(20.25), json!(30.5));
        bench.run().fine();
        assert_eq!((values(&bench), bench.quarantine().len()), (vec!["10".into()], 2));
    }
}

#[test]
fn an_empty_list_that_nothing_proves_replaces_none() {
    let total = "paginate: {offset: {into: query.offset, size: 5}, total: .total}\nquery: {offset: 0}";
    let totalled = LATEST.replace("paginate: none", total);
    let rows = json!({"total": 2, "rows": [{"v": 1}, {"v": 2}]});
    let (bench, given) = giving(rows.clone());
    bench.job(LATEST).run().fine();
    *given.lock().unwrap() = json!({"rows": []});
    let ran = bench.run();
    assert_eq!((ran.code(), values(&bench)), (1, vec!["1".into(), "2".into()]));
    assert_snapshot!(ran.errors().join("\n"), @"latest: the slice has no rows now, and 2 rows landed before; nothing shows that there are none any more, so what landed stays: let the server state it (`paginate.total`, `paginate.more`; `paginate: {none: true, more: 'false'}` of an API that answers with all there is); `--allow-shrink` replaces what landed this once");
    bench.run_at(NOW, &["--allow-shrink"]).fine();
    assert_eq!(values(&bench), Vec::<String>::new());
    // Fewer rows are what a list of the present may have, and none where that is stated.
    let (bench, given) = giving(rows);
    bench.job(&totalled).run().fine();
    *given.lock().unwrap() = json!({"total": 1, "rows": [{"v": 2}]});
    assert_eq!(bench.run().fine(), "latest landed: 1 of 1; complete");
    *given.lock().unwrap() = json!({"total": 0, "rows": []});
    assert_eq!(bench.run().fine(), "latest landed: 0 of 0; complete");
    assert_eq!(values(&bench), Vec::<String>::new());
}

#[test]
fn a_slice_none_of_whose_rows_fits_does_not_land() {
    let by_key = format!("{LATEST}\nkey: failure_code");
    let cases = [
        (
            by_key.as_str(),
            json!({"rows": [{"id": 1, "failure_code": null}, {"id": 2, "failure_code": null}]}),
            "none of the slice's rows fits (2 came)",
        ),
        (LATEST, json!({"rows": [1, 2, 3]}), "GET /rows: the page has 3 records, and none of them is an object"),
    ];
    for (job, rows, said) in cases {
        let (bench, _) = giving(rows.clone());
        let failure = bench.job(job).failure();
        let bad = rows["rows"].as_array().unwrap().len();
        assert!(failure.starts_with(&format!("1: latest: {said}")), "{failure}");
        assert!(failure.contains("say `max_bad_rows: 100%` in `schema`"), "{failure}");
        let ran = bench.job(&format!("{job}\nschema: {{max_bad_rows: 100%}}")).run();
        assert_eq!(ran.fine(), format!("latest landed: 0 of {bad}, {bad} quarantined; unknown"));
        assert_eq!(bench.quarantine().len(), bad);
    }
}

#[test]
fn columns_that_come_and_go_are_told() {
    let (bench, given) = giving(json!({"rows": [{"a": 1, "b": "x", "n": null}]}));
    bench.job(LATEST);
    let ran = bench.run();
    assert_eq!(["new_columns", "unseen_columns"].map(|name| ran.report["jobs"][0].get(name)), [None, None]);
    *given.lock().unwrap() = json!({"rows": [{"a": 2, "c": true, "d": {"e": 1.5}}, {"a": 3}]});
    let ran = bench.run();
    let job = &ran.report["jobs"][0];
    assert_eq!(job["new_columns"], json!(["c (bool)", "d (struct<e: float64>)"]), "{job}");
    assert_eq!((&job["schema_version"], &job["unseen_columns"]), (&json!(2), &json!(["b"])));
    *given.lock().unwrap() = json!({"rows": [{"a": 2, "f": "y"}]});
    let said = said(&bench, "2026-01-03T13:00:00Z");
    assert!(said.contains("\nrows: new columns: f (string); schema version 3\n"), "{said}");
    assert!(said.contains("\nrows: no row had a value in: b, c, d\n"), "{said}");
    *given.lock().unwrap() = json!({"rows": []});
    let ran = bench.run_at(NOW, &["--allow-shrink"]);
    assert_eq!(ran.report["jobs"][0].get("unseen_columns"), None, "no row came");
}

#[test]
fn a_job_that_never_lands_a_row_says_what_it_asked_for() {
    let rows = json!({"rows": [{"id": 1, "t": 1_767_312_000}]});
    let bench = Bench::new(Api::start(move |request| {
        let within = (request.number("from")..request.number("to")).contains(&1_767_312_000);
        Answer::json(&if within { rows.clone() } else { json!({"rows": []}) })
    }));
    let job = LOOKBACK.replace("start: 2026-01-02", "start: 2026-01-01");
    bench.job(&job.replace("epoch_s", "epoch_ms"));
    let ran = bench.run();
    ran.fine();
    assert_snapshot!(bench.workspace.redact(&warnings(&ran).join("\n")), @"no row has ever landed: 2 slices came with none; the first request was GET /rows?from=1767225600000&to=1767312000000; if there must be rows, check the places of `window.from` and `window.to`, the format of `window.as`, and `records`; `tidegate preview` shows an answer");
    let status = || bench.workspace.tidegate(&["status", "pipeline.yaml", "--state", "state"]).run().stdout;
    assert!(
        status().contains("note: rows: no row has ever landed: 2 slices came with none; the first"),
        "{}",
        status()
    );
    bench.job(&job);
    let ran = bench.run_at(NOW, &["--accept", "reland"]);
    ran.fine();
    assert!(!warnings(&ran).iter().any(|text| text.contains("ever landed")), "{ran:?}");
    assert!(!status().contains("note:"), "{}", status());
}

#[test]
fn a_start_in_the_future_is_told() {
    let (bench, _) = giving(json!({"rows": []}));
    bench.job(&LOOKBACK.replace("start: 2026", "start: 2062"));
    let told = "nothing is due before `window.start`, 2062-01-02 00:00:00 UTC: it is 2026-01-03 12:00:00 UTC now";
    assert_eq!(warnings(&bench.run()), [told]);
    let plan = bench.workspace.tidegate(&["plan", "pipeline.yaml", "--state", "state", "--now", NOW]).run();
    assert!(plan.stdout.contains(told), "{plan:?}");
}

#[test]
fn what_was_accepted_of_a_schema_is_a_run_that_ended() {
    let (bench, _) = giving(json!({"rows": [{"id": 1}]}));
    bench.job(LATEST).run().fine();
    let tidegate = |arguments: &[&str]| bench.workspace.tidegate(&[arguments, &["--state", "state"]].concat()).run();
    bench.job(&format!("{LATEST}\nschema: {{columns: {{id: 'decimal(38, 2)'}}}}"));
    assert_eq!(tidegate(&["schema", "accept", "pipeline.yaml", "rows", "--file-only"]).code, Some(0));
    bench.job(&format!("{LATEST}\nschema: {{columns: {{id: string}}}}"));
    assert_eq!(tidegate(&["schema", "accept", "pipeline.yaml", "rows", "--file-only"]).code, Some(1));
    let history: Value =
        serde_json::from_str(&tidegate(&["history", "pipeline.yaml", "--output", "json"]).stdout).unwrap();
    let text = tidegate(&["history", "pipeline.yaml"]).stdout;
    assert!(!text.contains("died"), "{text}\n{history:#}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("accept")).collect();
    assert!(lines.len() == 2 && lines[0].contains("failed") && lines[1].contains("done"), "{text}");
}

/// The end of a day is asked for by the name of the next one: all of that may come, and it proves nothing.
#[test]
fn rows_of_a_day_that_was_asked_for_by_its_name_are_no_sign_that_the_window_is_ignored() {
    let days = |bound: &str| {
        format!(
            "records: '.rows[]'\npaginate: none\nwindow: {{every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d', from: query.from, \
             to: {{into: query.to, bound: {bound}}}, time: to_timestamp(at)}}"
        )
    };
    let giving = |times: &'static [&'static str]| {
        Bench::new(Api::start(move |request| {
            let (from, to) = (&request.query["from"], &request.query["to"]);
            let rows = times.iter().filter(|time| from.as_str() <= &time[..10] && &time[..10] <= to.as_str());
            Answer::json(&json!({"rows": rows.map(|time| json!({"at": time})).collect::<Vec<_>>()}))
        }))
    };
    for bound in ["inclusive", "exclusive"] {
        let bench = giving(&["2026-01-02T09:00:00Z", "2026-01-02T21:00:00Z"]);
        let ran = bench.job(&days(bound)).run();
        assert_eq!(
            ran.fine(),
            "20260101T000000Z landed: 0 of 2, 2 outside_window; unknown\n20260102T000000Z landed: 2 of 2; unknown"
        );
        assert_eq!((warnings(&ran), bench.lines().len()), (Vec::new(), 2));
    }
    let far = Bench::new(Api::always(Answer::json(&json!({"rows": [{"at": "2026-01-03T00:00:01Z"}]}))));
    let error = far.job(&days("inclusive")).run().errors().join("\n");
    assert!(
        error.contains(
            "20260101T000000Z: GET /rows?from=2026-01-01&to=2026-01-02: by `window.time`, 1 of 1 rows lie outside"
        ),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}
