//! Rows that didn't fit: listed, shown, and landed once they do; and what is done about a schema so that they do.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, files};
use crate::support::workspace::Outcome;

const STATE: [&str; 2] = ["--state", "state"];

/// An API of which `first` rows are gone by now.
fn api(rows: Vec<Value>, gone: &Arc<AtomicU64>) -> Api {
    let gone = Arc::clone(gone);
    Api::start(move |request: &Request| {
        let after = request.number("after");
        let gone = usize::try_from(gone.load(Ordering::SeqCst)).unwrap();
        let left = rows.iter().skip(gone).filter(|row| row["id"].as_u64().unwrap() > after as u64);
        Answer::json(&left.cloned().collect())
    })
}

fn tidegate(bench: &Bench, arguments: &[&str]) -> Outcome {
    bench.workspace.tidegate(&[arguments, &STATE].concat()).run()
}

fn fine(bench: &Bench, arguments: &[&str]) -> String {
    let outcome = tidegate(bench, arguments);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments:?}: {outcome:?}");
    let lines = outcome.stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    bench.workspace.redact(&lines)
}

/// Rows of one day, of which the second and the third have a score that is no integer.
fn rows() -> Vec<Value> {
    vec![
        json!({"id": 1, "score": 5}),
        json!({"id": 2, "score": 5.25}),
        json!({"id": 3, "score": "high"}),
        json!({"id": 4, "score": 7}),
    ]
}

const WINDOW: &str = "records: '.[]'
window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to}
paginate: none
key: [id]";

fn job(bench: &Bench, slicing: &str, score: &str) {
    bench.job(&format!("{slicing}\nschema: {{columns: {{score: '{score}'}}}}"));
}

fn landed(bench: &Bench) -> Vec<u64> {
    let mut ids: Vec<u64> = bench.lines().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Takes the type of `score` in the file into the schema.
fn accept(bench: &Bench) -> Outcome {
    tidegate(bench, &["schema", "accept", "pipeline.yaml", "rows", "--file-only"])
}

#[test]
fn rows_that_fit_by_now_land_once_and_the_others_stay() {
    let bench = Bench::new(api(rows(), &Arc::default()));
    job(&bench, WINDOW, "int64");
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 2 of 4, 2 quarantined; unknown");
    insta::assert_snapshot!(fine(&bench, &["quarantine", "list", "pipeline.yaml"]), @"
    ─────────────────────────────────────────────────────────────────────
     job    slice              rows   column   reason           replay
    ═════════════════════════════════════════════════════════════════════
     rows   20260102T000000Z      2   score    expected int64   possible
    ─────────────────────────────────────────────────────────────────────
    2 rows; `tidegate quarantine show pipeline.yaml --state state` has them all
    ");
    insta::assert_snapshot!(fine(&bench, &["quarantine", "show", "pipeline.yaml", "rows", "--limit", "1"]), @r#"
    rows 20260102T000000Z, page 1: `score` expected int64, got number 5.25
      {"id":2,"score":5.25}
      GET /rows?from=1767312000&to=1767398400
    and 1 more; `--limit` shows more
    "#);
    let shown: Value =
        serde_json::from_str(&fine(&bench, &["quarantine", "show", "pipeline.yaml", "--output", "json"])).unwrap();
    assert_eq!((&shown["total"], &shown["rows"][0]["row"]["score"]), (&json!(2), &json!(5.25)));

    // The file says another type: nothing is read before a person has decided.
    job(&bench, WINDOW, "decimal(38, 2)");
    let refused = bench.run();
    assert!(
        refused.errors()[0].contains("`score` is pinned as int64, and `schema.columns` says decimal(38, 2)"),
        "{refused:?}"
    );
    assert_eq!(accept(&bench).code, Some(0));
    let replay = ["quarantine", "replay", "pipeline.yaml", "--now", crate::support::bench::NOW];
    fine(&bench, &replay);
    assert_eq!(landed(&bench), [1, 2, 4]);
    assert_eq!(bench.quarantine().len(), 1);
    // Once more changes nothing, and a run finds nothing due.
    let files = bench.landed();
    fine(&bench, &replay);
    assert_eq!(bench.landed(), files);
    assert_eq!(bench.run().fine(), "");
    assert_eq!(landed(&bench), [1, 2, 4]);
}

#[test]
fn what_the_server_has_no_more_stays_as_it_landed() {
    let gone = Arc::new(AtomicU64::new(0));
    let chain = "records: '.[]'\nincremental: {cursor: id, start: 0, into: query.after}\npaginate: none";
    for slicing in [WINDOW, chain] {
        gone.store(0, Ordering::SeqCst);
        let bench = Bench::new(api(rows(), &gone));
        job(&bench, slicing, "int64");
        bench.run().fine();
        let files = bench.landed();
        job(&bench, slicing, "string");
        assert_eq!(
            tidegate(&bench, &["schema", "accept", "pipeline.yaml", "rows", "--file-only", "--breaking"]).code,
            Some(0)
        );
        gone.store(2, Ordering::SeqCst);
        let replay = ["quarantine", "replay", "pipeline.yaml", "--now", crate::support::bench::NOW];
        let outcome = tidegate(&bench, &replay);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(
            outcome.stdout.contains("the slice has 2 rows now, and 4 rows came before: 2 landed, 2 went to quarantine"),
            "{outcome:?}"
        );
        assert_eq!((bench.landed(), bench.quarantine().len()), (files, 2));
        gone.store(0, Ordering::SeqCst);
        fine(&bench, &replay);
        assert_eq!((landed(&bench), bench.quarantine().len()), (vec![1, 2, 3, 4], 0));
        // What comes after the slice is unharmed.
        assert!(bench.run().errors().is_empty());
        assert_eq!(landed(&bench), [1, 2, 3, 4]);
    }
}

#[test]
fn a_list_of_the_past_is_not_asked_for_again() {
    let bench = Bench::new(api(rows(), &Arc::default()));
    let daily = "records: '.[]'\nsnapshot: daily\npaginate: none";
    job(&bench, daily, "int64");
    bench.run().fine();
    let asked = bench.api.asked().len();
    let outcome = tidegate(&bench, &["quarantine", "replay", "pipeline.yaml", "--now", "2026-01-04T12:00:00Z"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("the list of that moment can't be asked for again; its rows stay in quarantine"),
        "{outcome:?}"
    );
    assert_eq!((bench.api.asked().len(), bench.quarantine().len()), (asked, 2));
}

#[test]
fn a_change_that_breaks_files_is_refused_unless_it_is_meant() {
    let bench = Bench::new(api(rows(), &Arc::default()));
    job(&bench, WINDOW, "int64");
    bench.run().fine();
    job(&bench, WINDOW, "string");
    let outcome = accept(&bench);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("`score` is string, and was int64; with `--breaking`"), "{outcome:?}");
    insta::assert_snapshot!(fine(&bench, &["schema", "diff", "pipeline.yaml", "--file-only"]), @"
    rows: `schema.columns`, against version 1
    ──────────────────────────────────────────────────────────────────────────────────────────────────────
     column   pinned   now      effect
    ══════════════════════════════════════════════════════════════════════════════════════════════════════
     score    int64    string   breaks   readers of old and new files must cast; accepted with --breaking
    ──────────────────────────────────────────────────────────────────────────────────────────────────────
    ");
    assert!(fine(&bench, &["schema", "show", "pipeline.yaml"]).contains("version 1"));
}

#[test]
fn what_the_api_brings_is_accepted_under_freeze() {
    let api = Api::start(|request| {
        let first = request.query.get("from").is_some_and(|from| from == "1767312000");
        let row = if first { json!({"id": 1, "n": null}) } else { json!({"id": 2, "n": [1], "new": "x"}) };
        Answer::json(&json!([row]))
    });
    let bench = Bench::new(api);
    bench.job(&format!("{WINDOW}\nschema: {{contract: freeze}}"));
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 1 of 1; unknown");
    let today = "2026-01-04T12:00:00Z";
    insta::assert_snapshot!(fine(&bench, &["schema", "diff", "pipeline.yaml", "--now", today]), @r#"
    rows: 1 row of GET /rows?from=1767398400&to=1767484800, against version 1
    1 of them don't fit, and would go to quarantine:
      `n` expected null, got a list: {"id":2,"n":[1],"new":"x"}
    ──────────────────────────────────────────────────────────────────────────────────────
     column   pinned   now           effect
    ══════════════════════════════════════════════════════════════════════════════════════
     n        null     list<int64>   joins    rows that have it don't fit; safe to accept
     new      –        string        joins    rows that have it don't fit; safe to accept
    ──────────────────────────────────────────────────────────────────────────────────────
    "#);
    fine(&bench, &["schema", "accept", "pipeline.yaml", "rows", "--now", today]);
    assert_eq!(bench.run_at(today, &[]).fine(), "20260103T000000Z landed: 1 of 1; unknown");
    let shown = fine(&bench, &["schema", "show", "pipeline.yaml", "rows"]);
    insta::assert_snapshot!(shown.lines().filter(|line| !line.contains("first slice")).collect::<Vec<_>>().join("\n"), @"
    rows: version 2
    ──────────────────────────────────────
     records   type          since   note
    ══════════════════════════════════════
     id        int64             1
     n         list<int64>       2
     new       string            2
    ──────────────────────────────────────

    ──────────────────────
     output   Arrow type
    ══════════════════════
     id       Int64
     n        List(Int64)
     new      Utf8
    ──────────────────────
    ");
    assert!(
        fine(&bench, &["schema", "accept", "pipeline.yaml", "rows", "--now", today]).ends_with("nothing to accept")
    );
}

#[test]
fn a_locked_run_keeps_to_the_lock_file() {
    let bench = Bench::new(Api::start(|request| {
        let first = request.query.get("from").is_some_and(|from| from == "1767312000");
        Answer::json(&if first { json!([{"id": 1}]) } else { json!([{"id": 2, "new": "x"}]) })
    }));
    bench.job(WINDOW);
    let today = "2026-01-04T12:00:00Z";
    let missing = tidegate(&bench, &["run", "pipeline.yaml", "--locked"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("`tidegate schema lock pipeline.yaml` writes it"), "{missing:?}");
    bench.run().fine();
    assert_eq!(fine(&bench, &["schema", "lock", "pipeline.yaml"]), "pipeline.yaml.lock: written, 1 job");
    assert_eq!(fine(&bench, &["schema", "lock", "pipeline.yaml"]), "pipeline.yaml.lock: as it was, 1 job");
    let ran = bench.run_at(today, &["--locked"]);
    let expected = "20260103T000000Z: job `rows`: the lock file is left: the records differ: `new` is new, string; if that is \
                    meant, write it anew with `tidegate schema lock`, and have the change reviewed";
    assert_eq!(ran.errors(), [expected]);
    assert_eq!(landed(&bench), [1]);
    // Another state begins with the locked types, and ends at the same place.
    std::fs::rename(bench.workspace.path("state"), bench.workspace.path("old")).unwrap();
    std::fs::remove_dir_all(bench.workspace.path("lake")).unwrap();
    assert_eq!(
        bench.run_with(crate::support::bench::NOW, &["--locked"], &[]).fine(),
        "20260102T000000Z landed: 1 of 1; unknown"
    );
    assert!(bench.run_at(today, &["--locked"]).errors()[0].contains("`new` is new, string"));
    // Without the lock the schema grows; then plan, validate and run refuse it with the lock.
    assert_eq!(bench.run_at(today, &[]).errors(), Vec::<String>::new());
    let plan = tidegate(&bench, &["plan", "pipeline.yaml", "--locked"]);
    assert!(plan.code == Some(1) && plan.stderr.contains("`new` is new, string"), "{plan:?}");
    bench.job(&format!("{WINDOW}\nschema: {{columns: {{id: string}}}}"));
    let check = bench.workspace.tidegate(&["validate", "pipeline.yaml", "--locked"]).run();
    assert!(check.code == Some(2) && check.stderr.contains("`id` is string, and was int64"), "{check:?}");
}

#[test]
fn the_order_of_the_plan_decides_which_type_a_column_of_nulls_takes() {
    // Three days are read at once; the first is answered last, and the last first.
    let api = Api::start(|request| {
        let day = (request.number("from") - 1_767_312_000) / 86_400;
        let value = [json!(null), json!(1), json!("one"), json!(2)][day.min(3)].clone();
        let slow = std::time::Duration::from_millis([0, 400, 0, 0][day.min(3)]);
        Answer::json(&json!([{"id": day, "v": value}])).after(slow)
    });
    let bench = Bench::new(api);
    bench.job(&format!("{WINDOW}\nconcurrency: 4\nschema: {{max_bad_rows: 100%}}"));
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 1 of 1; unknown");
    let ran = bench.run_at("2026-01-06T12:00:00Z", &[]);
    insta::assert_snapshot!(ran.rows(), @"
    20260103T000000Z landed: 1 of 1; unknown
    20260104T000000Z landed: 0 of 2, 1 quarantined, 1 read_again; unknown
    20260105T000000Z landed: 1 of 1; unknown
    ");
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"], @r#"["slice 20260104T000000Z was read twice: an earlier one made `v` int64, and here it began as string"]"#);
}

#[test]
fn a_row_without_its_key_or_time_is_kept_as_it_came() {
    let page = r#"[{"z": 1.50, "unknown": [1,  2],
        "id": null, "t": 1767312000}, 7, {"id": 2, "t": null, "z": 2e0}, {"id": 3, "t": 1767312000, "z": 1.25}]"#;
    let lines: String =
        ["{\"id\":  null, \"z\": 1.50}", "oops", "{\"z\": 2, \"id\": 4}"].join("\n").replace("oops", "7");
    let bodies = [page.to_owned(), page.to_owned(), lines, "id,z\n,1.50\n5,\"a \"\"b\"\"\"\n".to_owned()];
    let window = "window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: to_timestamp_seconds(t)}";
    let snapshot = "snapshot: latest";
    let first = r#"{"z": 1.50, "unknown": [1,  2],
        "id": null, "t": 1767312000}"#;
    // A program writes its records anew, and keeps their keys and numbers.
    let emitted = r#"{"z":1.50,"unknown":[1,2],"id":null,"t":1767312000}"#;
    let expected: [&[&str]; 4] = [
        &["7", first, r#"{"id": 2, "t": null, "z": 2e0}"#],
        &["7", emitted],
        &["7", "{\"id\":  null, \"z\": 1.50}"],
        &[",1.50"],
    ];
    let jobs = [
        format!("records: '.[]'\n{window}"),
        format!("records: '.[] | ., empty'\nrows: length\n{snapshot}"),
        format!("format: jsonl\nrecords: '.[]'\n{snapshot}"),
        format!("format: {{csv: {{}}}}\nrecords: '.[]'\n{snapshot}"),
    ];
    for ((body, job), expected) in bodies.into_iter().zip(jobs).zip(expected) {
        let bench = Bench::new(Api::always(Answer::bytes(body)));
        bench.job(&format!("{job}\npaginate: none\nkey: [id]\nschema: {{contract: discard}}"));
        bench.run().fine();
        let kept: Vec<Value> = bench.quarantine().iter().map(|bad| bad["row"].clone()).collect();
        assert_eq!(kept, expected, "{job}");
    }
}

/// A file that was cut off at the end of a line, or is gone, isn't a quarantine with fewer rows.
#[test]
fn a_damaged_file_is_told_and_a_replay_mends_it() {
    let bench = Bench::new(api(rows(), &Arc::default()));
    job(&bench, WINDOW, "int64");
    assert_eq!(bench.run().code(), 0);
    let folder = bench.workspace.path("state/test/quarantine");
    let path = files(&folder).into_iter().find(|path| path.ends_with(".jsonl")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    let list = || tidegate(&bench, &["quarantine", "list", "pipeline.yaml"]);
    let cut = list();
    assert_eq!(cut.code, Some(1), "{cut:?}");
    assert!(
        cut.stderr.contains("has 1 of the 2 rows that went to quarantine; `tidegate quarantine replay`"),
        "{cut:?}"
    );
    fs::remove_file(&path).unwrap();
    assert!(list().stderr.contains("No such file"), "{:?}", list());
    let replayed = tidegate(&bench, &["quarantine", "replay", "pipeline.yaml", "--now", crate::support::bench::NOW]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert!(fine(&bench, &["quarantine", "list", "pipeline.yaml"]).contains("2 rows"));
}
