//! Edits of a pipeline file, and what its verbs say before anything is read.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, Ran};
use crate::support::workspace::Outcome;

fn api() -> Api {
    Api::start(|_| Answer::json(&json!({"rows": [{"id": 1, "amount": 5}, {"id": 2, "amount": 7}]})))
}

/// A job of three days, with more keys.
fn days(more: &str) -> String {
    format!(
        "records: '.rows[]'\npaginate: none\nkey: id\nquery: {{a: '', b: ''}}
window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.a, to: query.b}}\n{more}"
    )
}

fn plan(bench: &Bench, arguments: &[&str]) -> Outcome {
    let all = [&["plan", "pipeline.yaml", "--state", "state", "--now", NOW], arguments].concat();
    bench.workspace.tidegate(&all).run()
}

const SELECT: &str = "transform: |
  SELECT id, amount,
    amount + 1 AS more
  FROM records";

#[test]
fn what_is_refused_shows_the_lines_that_differ() {
    let bench = Bench::new(api());
    bench.job(&days(SELECT)).run().fine();
    // Comments and blanks are no edit.
    bench.job(&days(&SELECT.replace("amount,\n", "amount,  -- in cents\n").replace("    amount", "      amount")));
    assert_eq!(bench.run().fine(), "");
    bench.job(&days(&SELECT.replace("amount + 1", "amount + 2")));
    let text = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--now", NOW]).run();
    assert_eq!(text.code, Some(2), "{text:?}");
    let said: Vec<&str> = text.stdout.lines().skip_while(|line| !line.contains("was changed")).take(4).collect();
    assert!(
        said[0].starts_with("rows: the job `rows` was changed after data landed: `transform` is another; what is"),
        "{said:?}"
    );
    assert_eq!(
        said[1..],
        ["`transform`, the lines that differ:", "  -     amount + 1 AS more", "  +   amount + 2 AS more"],
        "{}",
        text.stdout
    );
    let planned = plan(&bench, &[]);
    assert_eq!(planned.code, Some(2), "{planned:?}");
    assert!(
        planned.stdout.contains("a run refuses this: ") && planned.stdout.contains("\n    +   amount + 2"),
        "{planned:?}"
    );
    let history = bench.workspace.tidegate(&["history", "pipeline.yaml", "--state", "state"]).run();
    assert!(history.stdout.lines().all(|line| line.chars().count() < 200), "{}", history.stdout);
    assert!(history.stdout.contains("was changed after data landed"), "{}", history.stdout);
}

#[test]
fn a_plan_shows_what_an_edit_makes_due() {
    let bench = Bench::new(api());
    bench.job(&days("")).run().fine();
    assert!(plan(&bench, &[]).stdout.starts_with("rows: 0 slices due\n"));
    let two = "sinks: {lake: {jsonl: {url: ./lake}}, feed: {csv: {url: ./feed}}}";
    bench.job(&days(two));
    let planned = plan(&bench, &[]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert!(
        planned.stdout.starts_with("rows: 2 slices due\n  new sink `feed`: it is filled with what has landed"),
        "{planned:?}"
    );
    assert!(plan(&bench, &["--accept", "future"]).stdout.starts_with("rows: 0 slices due\n"));
    assert_eq!(bench.run().fine().lines().count(), 2);
}

#[test]
fn an_edit_of_a_list_that_is_replaced_anyway_needs_no_word() {
    let bench = Bench::new(api());
    let job = |more: &str, snapshot: &str| format!("records: '.rows[]'\npaginate: none\nsnapshot: {snapshot}\n{more}");
    bench.job(&job("", "latest")).run().fine();
    bench.job(&job("transform: SELECT id FROM records", "latest"));
    assert_eq!(bench.run().fine(), "latest landed: 2 of 2; unknown");
    assert_eq!(bench.lines(), [json!({"id": 1}), json!({"id": 2})]);
    // Another folder, another system, and lists of the past do.
    for edit in [
        job("transform: SELECT id FROM records\nsinks: {lake: {jsonl: {url: ./other}}}", "latest"),
        job("transform: SELECT id FROM records\nbase_url: 'https://elsewhere.example.com'", "latest"),
        job("transform: SELECT id FROM records", "daily"),
    ] {
        assert_eq!(bench.job(&edit).run().code(), 2, "{edit}");
    }
}

#[test]
fn a_preview_shows_what_paginate_reads() {
    let bench = Bench::new(Api::start(|_| {
        Answer::json(&json!({"rows": [{"id": 1}], "total": 3, "meta": {"has_more": true, "next": "secret-abc"}}))
    }));
    bench.file(&format!(
        "source: {{base_url: '{}', auth: {{bearer: '${{TOKEN}}'}}}}\njobs:\n  rows: {{get: /rows, records: '.rows[]', snapshot: latest,
    paginate: {{cursor: {{into: query.at, value: .meta.next}}, total: .total}}, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n",
        bench.api.url()
    ));
    let preview = |arguments: &[&str]| {
        let all = [&["preview", "pipeline.yaml", "rows", "--rows", "1"], arguments].concat();
        bench.workspace.tidegate(&all).env("TOKEN", "secret-abc").run().stdout
    };
    let text = preview(&[]);
    let shown: Vec<&str> = text.split("\n\n").nth(1).unwrap().lines().collect();
    assert_eq!(
        shown,
        [
            "the answer without its records:",
            r#"{"total":3,"meta":{"has_more":true,"next":"[redacted]"}}"#,
            r#"next page by: the cursor "[redacted]"; more: not stated; total: 3"#
        ],
        "{text}"
    );
    let json: Value = serde_json::from_str(&preview(&["--output", "json"])).unwrap();
    assert_eq!((&json["answer"]["total"], &json["answer"]["envelope"]["total"]), (&json!(3), &json!(3)), "{json:#}");
}

fn warnings(bench: &Bench) -> String {
    bench.run().report["jobs"][0]["warnings"].to_string()
}

#[test]
fn one_page_of_a_list_that_says_that_it_goes_on_is_noted() {
    let job = |more: &str| format!("records: '.rows[]'\nsnapshot: every_run\n{more}");
    let bench = Bench::new(Api::always(Answer::json(&json!({"rows": [{"id": 1}], "has_more": true}))));
    bench.job(&job("paginate: none"));
    let ran = bench.run();
    assert_eq!(ran.fine(), "20260103T120000Z landed: 1 of 1; unknown");
    let said = ran.report["jobs"][0]["warnings"].to_string();
    assert!(said.contains("the answer says `has_more: true`, and `paginate: none` reads one page"), "{said}");
    let ends = Bench::new(Api::always(Answer::json(&json!({"rows": [{"id": 1}], "has_more": false}))));
    assert_eq!(warnings(ends.job(&job("paginate: none"))), "null");
}

#[test]
fn a_quiet_day_of_a_list_is_no_news() {
    let bench = Bench::new(Api::start(|request| {
        let rows: Vec<Value> = (1..=2).filter(|id| *id > request.number("since")).map(|id| json!({"id": id})).collect();
        Answer::json(&json!({"rows": rows}))
    }));
    bench.job(
        "records: '.rows[]'\npaginate: {cursor: {into: query.at, value: .next}}\nquery: {since: 0}
incremental: {cursor: id, start: 0, into: query.since}",
    );
    let first = warnings(&bench);
    assert!(first.contains("no page gave a cursor") && first.contains("`tidegate preview` shows an answer"), "{first}");
    assert_eq!(warnings(&bench), "null");
}

/// A sink that is removed, while slices are replaced, and added again: its folder has each row once, and its list names them.
#[test]
fn a_sink_that_is_removed_and_added_again_has_each_row_once_at_any_time() {
    for accept in ["reland", "future"] {
        let version = Arc::new(AtomicU64::new(1));
        let told = Arc::clone(&version);
        let bench = Bench::new(Api::start(move |request| {
            let (day, version) = (request.query["a"][..10].to_owned(), told.load(Ordering::SeqCst));
            Answer::json(
                &json!({"rows": (0..3).map(|id| json!({"id": format!("{day} {id}"), "v": version})).collect::<Vec<_>>()}),
            )
        }));
        let both = "sinks: {lake: {jsonl: {url: ./lake}}, feed: {jsonl: {url: ./feed}}}";
        // How many rows lie in the folder, how many of them were read later, and how many files its list names.
        let feed = || {
            let rows = bench.json_lines("feed");
            let list: Value =
                serde_json::from_slice(&fs::read(bench.workspace.path("feed/_tidegate/files.json")).unwrap()).unwrap();
            (rows.len(), rows.iter().filter(|row| row["v"] == 2).count(), list["files"].as_array().unwrap().len())
        };
        let vacuum = || {
            let outcome = bench.workspace.tidegate(&["vacuum", "pipeline.yaml", "--state", "state"]).run();
            assert!(outcome.code == Some(0) && !outcome.stdout.contains("feed"), "{outcome:?}");
        };
        bench.job(&days(both)).run().fine();
        let backfill = || {
            let arguments = ["backfill", "pipeline.yaml", "--state", "state", "--output", "json"];
            let time = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"];
            Ran::of(bench.workspace.tidegate(&[&arguments[..], &time].concat()).run()).fine()
        };
        bench.job(&days("")).run().fine();
        version.store(2, Ordering::SeqCst);
        backfill();
        assert_eq!(feed(), (6, 0, 2), "{accept}: what was removed stays");
        vacuum();
        bench.job(&days(both));
        bench.run_at(NOW, &["--accept", accept]).fine();
        let now = if accept == "reland" { (6, 6, 2) } else { (6, 0, 2) };
        assert_eq!(feed(), now, "{accept}");
        vacuum();
        assert_eq!(feed(), now, "{accept}");
        backfill();
        assert_eq!(feed(), (6, if accept == "reland" { 6 } else { 3 }, 2), "{accept}");
        // What a run found gone it would land again; nothing is.
        assert_eq!(bench.run().fine(), "");
    }
}

/// An accepted edit of the transform changes what lands, and pins no version of the records: `schema show` and the lock go by what lands.
#[test]
fn a_lock_has_what_an_accepted_transform_lands() {
    let bench = Bench::new(Api::always(Answer::json(&json!([{"id": 1, "n": 2}]))));
    let job = |transform: &str| {
        format!(
            "records: '.[]'\nkey: id\nsnapshot: latest\npaginate: none\ntransform: {transform}\nsinks: {{lake: {{jsonl: {{url: ./lake}}}}}}"
        )
    };
    let schema = |verb: &str| {
        let outcome = bench.workspace.tidegate(&["schema", verb, "pipeline.yaml", "--state", "state"]).run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    };
    bench.job(&job("SELECT id, n FROM records"));
    assert_eq!(bench.run().code(), 0);
    schema("lock");
    bench.job(&job("SELECT id, CAST(n AS VARCHAR) AS n, 5 AS extra FROM records"));
    assert_eq!(bench.run_at(NOW, &["--accept", "reland"]).code(), 0);
    let left = bench.run_at(NOW, &["--locked"]);
    assert_ne!(left.code(), 0, "what lands isn't what is locked: {left:?}");
    assert!(schema("show").contains("extra"), "{}", schema("show"));
    schema("lock");
    let kept = bench.run_at(NOW, &["--locked"]);
    assert_eq!(kept.code(), 0, "{kept:?}");
}

/// Rows that landed by windows would land once more in a list, and a list that was replaced stays no longer than that.
#[test]
fn a_list_takes_the_place_of_what_landed_otherwise() {
    let cut = |how: &str| {
        format!(
            "records: '.rows[]'\npaginate: none\nkey: id\nquery: {{a: '', b: ''}}\n{how}\nsinks: {{lake: {{jsonl: {{url: ./lake}}}}}}"
        )
    };
    let window = "window: {every: 1d, start: 2026-01-02T00:00:00Z, as: rfc3339, from: query.a, to: query.b}";
    for before in [window, "snapshot: latest"] {
        let bench = Bench::new(api());
        bench.job(&cut(before));
        assert_eq!(bench.run().code(), 0);
        for after in ["snapshot: daily", "snapshot: every_run"] {
            bench.job(&cut(after));
            let future = bench.run_at(NOW, &["--accept", "future"]);
            if before == window {
                assert_eq!((future.code(), bench.lines().len()), (2, 2), "{future:?}");
                assert!(future.report.to_string().contains("use `--accept reland`"), "{future:?}");
            }
        }
    }
    for (before, after) in [
        (window, "snapshot: latest"),
        (window, "snapshot: daily"),
        ("snapshot: latest", "snapshot: daily"),
        ("snapshot: latest", "snapshot: every_run"),
    ] {
        let bench = Bench::new(api());
        bench.job(&cut(before));
        assert_eq!(bench.run().code(), 0);
        bench.job(&cut(after));
        let anew = bench.run_at(NOW, &["--accept", "reland"]);
        assert_eq!((anew.code(), bench.lines().len()), (0, 2), "{before} {after}: {anew:?}");
    }
}

/// A relative beginning is counted from the first run: an edit of it can't reach further back, and says so.
#[test]
fn a_start_that_reaches_further_back_is_told() {
    let bench = Bench::new(api());
    let job = |start: &str| {
        format!(
            "records: '.rows[]'\npaginate: none\nkey: id\nwindow: {{every: 1d, start: {start}, as: rfc3339, from: query.a, to: query.b}}\nsinks: {{lake: {{jsonl: {{url: ./lake}}}}}}"
        )
    };
    bench.job(&job("-2d"));
    assert_eq!(bench.run().code(), 0);
    let told = |ran: &Ran| {
        ran.report
            .to_string()
            .contains("reaches back to 2025-12-29T12:00:00Z, and the first run has pinned it at 2026-01-01T12:00:00Z")
    };
    bench.job(&job("-5d"));
    let further = bench.run();
    assert!(further.code() == 0 && told(&further), "{further:?}");
    bench.job(&job("-1d"));
    assert!(!told(&bench.run()));
}

#[test]
fn more_windows_than_can_be_planned_are_refused() {
    let bench = Bench::new(api());
    let window = "window: {every: 1s, start: 2025-12-01T00:00:00Z, as: epoch_s, from: query.a, to: query.b}";
    bench.job(&format!(
        "records: '.rows[]'\npaginate: none\nkey: id\n{window}\nsinks: {{lake: {{jsonl: {{url: ./lake}}}}}}"
    ));
    let ran = bench.run();
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.report.to_string().contains("more than 1000000 windows of the job `rows` are due"), "{ran:?}");
}
