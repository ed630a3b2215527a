//! Edits of what names the data, windows of the past, and the verbs that look into a ledger: by the binary, over HTTP.

mod anew;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, Ran};
use crate::support::workspace::Outcome;

/// Four events an hour from 2025-12-30 on, each with its time and a name; `delay` before each answer.
fn events(delay: u64) -> Api {
    Api::start(move |request| {
        let second = |name: &str| request.query[name].parse::<i64>().unwrap();
        let (from, to) = (second("from").max(1_767_052_800), second("to"));
        let rows: Vec<Value> = (from / 900..=to / 900)
            .map(|quarter| quarter * 900)
            .filter(|time| from <= *time && *time < to)
            .map(|time| json!({"id": time / 900, "t": time, "name": format!("n{}", time / 900)}))
            .collect();
        Answer::json(&json!({"rows": rows})).after(Duration::from_millis(delay))
    })
}

fn windows(every: &str, more: &str) -> String {
    format!(
        "records: '.rows[]'
paginate: none
key: id
window: {{every: {every}, start: 2026-01-01T00:00:00Z, as: epoch_s, from: query.from, to: query.to}}
{more}"
    )
}

/// The ids that stand in the lake below `folder`, each as often as it does.
fn ids(bench: &Bench, folder: &str) -> Vec<u64> {
    let mut ids: Vec<u64> = crate::support::bench::files(&bench.workspace.path(folder))
        .iter()
        .filter(|path| path.ends_with(".jsonl"))
        .flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| serde_json::from_str::<Value>(&line).unwrap()["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

/// The ids of the quarters from one hour of 2026-01-01 to another.
fn quarters(from: u64, to: u64) -> Vec<u64> {
    let new_year = 1_767_225_600 / 900;
    (new_year + from * 4..new_year + to * 4).collect()
}

fn warnings(ran: &Ran) -> String {
    let jobs = ran.report["jobs"].as_array().unwrap();
    jobs.iter()
        .flat_map(|job| job["warnings"].as_array().cloned().unwrap_or_default())
        .map(|said| said.as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Asserts that the list of files names exactly the files that stand in the lake.
fn assert_listed(bench: &Bench, folder: &str) {
    let list = fs::read(bench.workspace.path(&format!("{folder}/_tidegate/files.json"))).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let mut listed: Vec<String> = list["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| format!("{folder}/{}", file["path"].as_str().unwrap()))
        .collect();
    listed.sort();
    let root = bench.workspace.path("");
    let mut there: Vec<String> = crate::support::bench::files(&bench.workspace.path(folder))
        .iter()
        .map(|path| path.strip_prefix(root.to_str().unwrap()).unwrap().trim_start_matches('/').to_owned())
        .filter(|path| !path.contains("_tidegate"))
        .collect();
    there.sort();
    assert_eq!(listed, there);
}

fn tidegate(bench: &Bench, arguments: &[&str]) -> Outcome {
    bench.workspace.tidegate(arguments).run()
}

fn json_of(bench: &Bench, arguments: &[&str]) -> Value {
    let outcome = tidegate(bench, &[arguments, &["--state", "state", "--output", "json"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

const EVENING: &str = "2026-01-01T05:00:00Z";

#[test]
fn for_the_future_a_new_grid_takes_over_at_a_common_edge() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", "")).run_at(EVENING, &[]).fine();
    bench.job(&windows("6h", ""));
    let refused = bench.run_at("2026-01-01T13:00:00Z", &[]);
    assert_eq!(refused.code(), 2);
    assert!(refused.errors()[0].contains("`window.every` was 1h and is 6h"), "{refused:?}");
    assert!(refused.errors()[0].contains("--accept future"), "{refused:?}");
    let ran = bench.run_at("2026-01-01T13:00:00Z", &["--accept", "future"]);
    assert_eq!(ran.fine(), "20260101T050000Z landed: 4 of 4; unknown\n20260101T060000Z landed: 24 of 24; unknown");
    assert!(warnings(&ran).ends_with("the new `every` takes over at 2026-01-01 06:00"), "{ran:?}");
    assert_eq!(ids(&bench, "lake"), quarters(0, 12));
    assert_listed(&bench, "lake");
    assert_eq!(bench.run_at("2026-01-01T13:00:00Z", &["--accept", "future"]).fine(), "", "said once or always");
}

#[test]
fn read_again_what_landed_is_replaced_slice_by_slice() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", "")).run_at(EVENING, &[]).fine();
    bench.job(&windows("1h", "transform: SELECT id, upper(name) AS name FROM records"));
    let ran = bench.run_at(EVENING, &["--accept", "reland"]);
    assert_eq!(ran.fine().lines().count(), 5, "{ran:?}");
    assert_eq!(ids(&bench, "lake"), quarters(0, 5));
    assert!(bench.lines().iter().all(|row| row["name"].as_str().unwrap().starts_with('N') && row.get("t").is_none()));
    assert_listed(&bench, "lake");
    assert_eq!(bench.run_at(EVENING, &["--accept", "reland"]).fine(), "", "an edit is accepted once");
}

#[test]
fn killed_while_it_reads_again_a_run_is_finished_by_the_next() {
    let slow = Bench::new(events(15));
    let begin = |bench: &Bench, arguments: &[&str]| {
        let plain = ["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", "2026-01-01T20:00:00Z"];
        bench.workspace.tidegate(&[&plain, arguments].concat()).spawn()
    };
    slow.job(&windows("1h", ""));
    assert_eq!(begin(&slow, &[]).wait().code, Some(0));
    // Another transform, then another grid, each killed twice on its way.
    for (every, transform) in [("1h", "SELECT id, upper(name) AS name FROM records"), ("3h", "SELECT id FROM records")]
    {
        slow.job(&windows(every, &format!("transform: {transform}")));
        for wait in [120, 200] {
            let running = begin(&slow, &["--accept", "reland"]);
            std::thread::sleep(Duration::from_millis(wait));
            running.kill();
        }
        let outcome = begin(&slow, &["--accept", "reland"]).wait();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        // Of the last two hours there is no whole new window yet: what landed of them stays.
        assert_eq!(ids(&slow, "lake"), quarters(0, 20), "{every}: {outcome:?}");
        assert_listed(&slow, "lake");
    }
    let last = slow.run_at("2026-01-01T21:00:00Z", &[]);
    assert_eq!(last.fine().lines().count(), 1, "{last:?}");
    assert_eq!(ids(&slow, "lake"), quarters(0, 21));
    assert!(slow.lines().iter().all(|row| row.as_object().unwrap().len() == 1), "nothing of before is left");
    assert_listed(&slow, "lake");
}

#[test]
fn a_sink_that_is_added_is_filled_and_the_data_of_one_that_is_removed_stay() {
    let bench = Bench::new(events(0));
    let sinks = |more: &str| windows("1h", &format!("sinks: {{lake: {{jsonl: {{url: ./lake}}}}{more}}}"));
    bench.job(&sinks("")).run_at(EVENING, &[]).fine();
    bench.job(&sinks(", feed: {jsonl: {url: ./feed}}"));
    let ran = bench.run_at(EVENING, &[]);
    ran.fine();
    assert_eq!(
        warnings(&ran),
        "new sink `feed`: it is filled with what has landed; what has landed is read again, slice by slice, and replaced"
    );
    assert_eq!((ids(&bench, "lake"), ids(&bench, "feed")), (quarters(0, 5), quarters(0, 5)));
    bench.job(&sinks(""));
    let ran = bench.run_at("2026-01-01T06:00:00Z", &[]);
    ran.fine();
    assert_eq!(warnings(&ran), "sink `feed` was removed: its data stays as it is");
    let backfill = ["--from", "2026-01-01T00:00:00Z", "--to", EVENING];
    let plain = ["backfill", "pipeline.yaml", "--state", "state", "--now", "2026-01-01T06:00:00Z"];
    let outcome = tidegate(&bench, &[&plain[..], &backfill].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!((ids(&bench, "lake"), ids(&bench, "feed")), (quarters(0, 6), quarters(0, 5)));
    assert_listed(&bench, "feed");
    let outcome = tidegate(&bench, &["vacuum", "pipeline.yaml", "--state", "state"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(ids(&bench, "feed"), quarters(0, 5));
}

#[test]
fn an_increment_is_read_anew_in_a_new_series() {
    let bench = Bench::new(Api::start(|request| {
        let after = request.number("after");
        Answer::json(&(after + 1..=7).take(2).map(|id| json!({"id": id})).collect())
    }));
    let job = |more: &str| {
        format!(
            "records: '.[]'\npaginate: {{seek: {{into: query.after, value: $last.id, bound: exclusive, order: asc, size_into: query.n, size: 2}}}}\nkey: id\nincremental: {{cursor: CAST(id AS BIGINT), start: 0, rows_per_slice: 3}}\n{more}"
        )
    };
    bench.job(&job("")).run().fine();
    bench.job(&job("transform: SELECT id, id * 2 AS twice FROM records"));
    assert_eq!(bench.run().code(), 2);
    bench.run_at("2026-01-03T12:00:00Z", &["--accept", "reland"]).fine();
    assert_eq!(ids(&bench, "lake"), [1, 2, 3, 4, 5, 6, 7]);
    assert!(bench.lines().iter().all(|row| row["twice"].as_u64() == row["id"].as_u64().map(|id| id * 2)));
    assert_listed(&bench, "lake");
    let other = job("").replace("CAST(id AS BIGINT)", "CAST(id + 0 AS BIGINT)");
    bench.job(&other);
    let refused = bench.run_at("2026-01-03T12:00:00Z", &["--accept", "future"]);
    assert!(refused.errors()[0].contains("rows would land twice or never"), "{refused:?}");
}

#[test]
fn a_backfill_reads_whole_windows_also_before_the_start() {
    let bench = Bench::new(events(0));
    bench.job(&windows("6h", "")).run_at("2026-01-01T12:00:00Z", &[]).fine();
    let backfill = |arguments: &[&str]| {
        let plain =
            ["backfill", "pipeline.yaml", "--state", "state", "--output", "json", "--now", "2026-01-01T12:00:00Z"];
        Ran::of(tidegate(&bench, &[&plain, arguments].concat()))
    };
    let ran = backfill(&["--from", "2025-12-31T13:00:00Z", "--to", "2026-01-01T05:00:00Z"]);
    insta::assert_snapshot!(ran.fine(), @"
    20251231T120000Z landed: 24 of 24; unknown
    20251231T180000Z landed: 24 of 24; unknown
    20260101T000000Z unchanged: 24 of 24; unknown
    ");
    insta::assert_snapshot!(warnings(&ran), @"backfill of 2025-12-31 13:00 to 2026-01-01 05:00, rounded out to windows of 6h: 2025-12-31 12:00 to 2026-01-01 06:00");
    assert_eq!(bench.run_at("2026-01-01T12:00:00Z", &[]).fine(), "", "a run goes on as before");
    let ran = backfill(&["--from", "2025-12-31T00:00:00Z", "--to", "2026-01-02T00:00:00Z", "--missing"]);
    assert_eq!(ran.fine().lines().count(), 2, "{ran:?}");
    assert_eq!(ids(&bench, "lake").len(), 6 * 24);
    assert_listed(&bench, "lake");
    let outcome = tidegate(&bench, &["backfill", "pipeline.yaml", "--from", EVENING, "--to", EVENING]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    bench.job("records: '.rows[]'\npaginate: none\nsnapshot: daily");
    let outcome = tidegate(&bench, &["backfill", "pipeline.yaml", "--from", EVENING, "--to", "2026-01-02T00:00:00Z"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    insta::assert_snapshot!(outcome.stderr, @"error: test: the job `rows` is a list at one instant (`snapshot`), so it has no windows of the past that could be read: a backfill is for jobs with `window`");
}

#[test]
fn history_tells_of_runs_also_of_those_that_died() {
    let bench = Bench::new(events(40));
    bench.job(&windows("1h", "")).run_at("2026-01-01T02:00:00Z", &[]).fine();
    let plain = ["run", "pipeline.yaml", "--state", "state", "--now", "2026-01-01T12:00:00Z"];
    let running = bench.workspace.tidegate(&plain).spawn();
    let asked = bench.api.asked().len();
    while bench.api.asked().len() == asked {
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill();
    bench.run_at("2026-01-01T12:00:00Z", &[]).fine();
    let history = json_of(&bench, &["history", "pipeline.yaml"]);
    let runs = history[0]["runs"].as_array().unwrap();
    let lives: Vec<&Value> = runs.iter().map(|run| &run["life"]).collect();
    assert_eq!(lives, ["ended", "died", "ended"], "{history:#}");
    assert_eq!((&runs[2]["end"]["landed"], &runs[2]["end"]["rows"]), (&json!(2), &json!(8)));
    let text = tidegate(&bench, &["history", "pipeline.yaml", "--state", "state"]).stdout;
    assert!(text.contains("died") && text.contains("2 landed"), "{text}");
    let id = runs[2]["id"].to_string();
    let text = tidegate(&bench, &["history", "pipeline.yaml", "--state", "state", "--run", &id]).stdout;
    assert!(text.contains("commit    rows/20260101T000000Z g1 (4 rows, 1 files, unknown)"), "{text}");
    let none = tidegate(&bench, &["history", "pipeline.yaml", "--state", "state", "--run", "9999"]);
    assert_eq!(none.code, Some(2), "{none:?}");
}

#[test]
fn the_ledger_is_shown_in_words_and_a_corrupt_entry_named() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", "")).run_at("2026-01-01T02:00:00Z", &[]).fine();
    let show = |arguments: &[&str]| {
        tidegate(&bench, &[&["ledger", "show", "pipeline.yaml", "--state", "state"], arguments].concat())
    };
    let text = show(&[]).stdout;
    assert!(text.contains("lease     taken by process ") && text.contains("ran       run: done"), "{text}");
    let text = show(&["--job", "rows", "--from", "3"]).stdout;
    assert!(!text.contains("lease") && text.contains("rows/20260101T010000Z g1"), "{text}");
    let entries = json_of(&bench, &["ledger", "show", "pipeline.yaml", "--last", "2"]);
    assert_eq!(entries.as_array().unwrap().len(), 2);
    bench.workspace.write("state/test/log/00000000000000000002.json", "{\"nonce\": ");
    let corrupt = show(&[]);
    assert_eq!(corrupt.code, Some(1));
    assert!(
        corrupt.stderr.contains("log/00000000000000000002.json of the ledger is corrupt: EOF while parsing"),
        "{corrupt:?}"
    );
    assert!(corrupt.stderr.contains("put a copy of it back"), "{corrupt:?}");
}

#[test]
fn vacuum_removes_what_is_ours_and_unnamed_and_nothing_else() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", "")).run_at("2026-01-01T02:00:00Z", &[]).fine();
    let rows = ids(&bench, "lake");
    let orphan = "lake/test-rows-20260101T000000Z-g7-00000.jsonl";
    let others = [
        "lake/test-rows-20260101T230000Z-g1-00000.jsonl",
        "lake/test-rows-more-20260101T000000Z-g1-00000.jsonl",
        "lake/other-rows-20260101T000000Z-g1-00000.jsonl",
        "lake/notes.jsonl",
    ];
    for file in others.iter().chain(&[orphan]) {
        bench.workspace.write(file, "");
    }
    bench.workspace.write("state/test/files/rows/20260101T000000Z-g7.json", "{}");
    let vacuum = |arguments: &[&str]| json_of(&bench, &[&["vacuum", "pipeline.yaml"], arguments].concat())[0].clone();
    let places = |found: &Value| -> Vec<String> {
        let removed = found["found"]["removed"].as_array().unwrap();
        removed
            .iter()
            .map(|removal| removal["place"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let expected = ["test-rows-20260101T000000Z-g7-00000.jsonl", "20260101T000000Z-g7.json"];
    let dry = vacuum(&["--dry-run"]);
    assert_eq!(places(&dry), expected, "{dry:#}");
    assert_eq!(dry["found"]["unknown"].as_array().unwrap().len(), 2, "{dry:#}");
    assert!(bench.workspace.path(orphan).exists());
    assert_eq!(places(&vacuum(&[])), expected);
    assert!(!bench.workspace.path(orphan).exists());
    for file in others {
        assert!(bench.workspace.path(file).exists(), "{file}");
        fs::remove_file(bench.workspace.path(file)).unwrap();
    }
    assert_eq!(places(&vacuum(&[])), Vec::<String>::new());
    assert_eq!(ids(&bench, "lake"), rows);
    assert_listed(&bench, "lake");
}

#[test]
fn a_root_that_lies_in_another_by_a_link_is_refused() {
    let bench = Bench::new(events(0));
    fs::create_dir(bench.workspace.path("state")).unwrap();
    std::os::unix::fs::symlink(bench.workspace.path("state"), bench.workspace.path("link")).unwrap();
    let sinks = "{lake: {jsonl: {url: ./state}}, inner: {jsonl: {url: ./link/inner}}}";
    bench.job(&format!("{}\nsinks: {sinks}", windows("1h", "")));
    let refused = bench.run_at("2026-01-01T02:00:00Z", &[]);
    assert_eq!(refused.code(), 2, "{refused:?}");
    let says = "the data set of `jobs.rows.sinks.inner` would lie within that of `jobs.rows.sinks.lake`";
    assert!(refused.outcome.stderr.contains(says), "{refused:?}");
}

#[test]
fn a_time_that_has_not_come_is_refused() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", ""));
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--now", "2999-01-01T00:00:00Z"];
    let outcome = bench.workspace.tidegate(&arguments).env("TIDEGATE_ALLOW_FUTURE", "false").run();
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("--now 2999-01-01 00:00:00 UTC is later than this machine's clock"), "{outcome:?}");
    let behind =
        Bench::new(Api::always(Answer::json(&json!({"rows": []})).header("date", "Tue, 31 Dec 2019 23:00:00 GMT")));
    // Of years that every machine has behind it.
    behind.job(&windows("1h", "").replace("2026-01-01T00", "2020-01-01T00"));
    let ran = behind.run_with("2020-01-01T01:00:00Z", &[], &[("TIDEGATE_ALLOW_FUTURE", "false")]);
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.errors()[0].contains("by the server's clock it is 2019-12-31 23:00:00 UTC"), "{ran:?}");
    let ran = behind.run_at("2020-01-01T01:00:00Z", &["--allow-future"]);
    assert_eq!(ran.fine(), "20200101T000000Z landed: 0 of 0; unknown");
}

#[test]
fn a_clock_that_went_back_is_said() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", "")).run_at(EVENING, &[]).fine();
    let ran = bench.run_at("2026-01-01T03:30:00Z", &[]);
    assert_eq!(ran.fine(), "");
    assert!(
        warnings(&ran)
            .starts_with("what has landed reaches to 2026-01-01T05:00:00Z, but now it is 2026-01-01T03:30:00Z"),
        "{ran:?}"
    );
}

#[test]
fn status_draws_what_has_landed_and_what_is_missing() {
    let bench = Bench::new(events(0));
    bench.job(&windows("1h", "")).run_at("2026-01-01T04:00:00Z", &[]).fine();
    let plain = ["backfill", "pipeline.yaml", "--state", "state", "--now", "2026-01-01T09:00:00Z"];
    let outcome =
        tidegate(&bench, &[&plain[..], &["--from", "2026-01-01T06:00:00Z", "--to", "2026-01-01T08:00:00Z"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let status = json_of(&bench, &["status", "pipeline.yaml"]);
    let job = &status[0]["jobs"][0];
    assert_eq!((&job["slices"], &job["rows"]), (&json!(6), &json!(24)), "{status:#}");
    assert_eq!(job["holes"][0], json!({"from": "2026-01-01T04:00:00Z", "to": "2026-01-01T06:00:00Z"}));
    let text = tidegate(&bench, &["status", "pipeline.yaml", "--state", "state"]).stdout;
    assert!(text.contains("windows, ") && text.contains("  2026-01-01 "), "{text}");
    // How many windows a character stands for depends on the machine's clock.
    assert!(text.contains('▒') || text.contains("████··██"), "{text}");
    assert!(text.trim_end().ends_with("~ read again since an edit"), "{text}");
}
