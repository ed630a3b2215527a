//! What had landed before a job was cut otherwise, where the source has fewer rows by now, or the cut changes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use insta::assert_snapshot;

use super::*;

/// Four events an hour, of which those before an instant of 2026-01-01 are gone: how many hours of it is up to the test.
fn forgetful() -> (Bench, Arc<AtomicU64>) {
    let purged = Arc::new(AtomicU64::new(0));
    let hours = Arc::clone(&purged);
    let api = Api::start(move |request| {
        let first = quarters(hours.load(Ordering::SeqCst), 24)[0];
        let within = |name: &str| request.query[name].parse::<u64>().unwrap() / 900;
        let rows: Vec<Value> = (within("from").max(first)..within("to")).map(|id| json!({"id": id})).collect();
        Answer::json(&json!({"rows": rows}))
    });
    (Bench::new(api), purged)
}

/// The ids in the files that the list of files names.
fn listed(bench: &Bench) -> Vec<u64> {
    let list = fs::read(bench.workspace.path("lake/_tidegate/files.json")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let files = list["files"].as_array().unwrap().iter();
    let texts = files
        .map(|file| fs::read_to_string(bench.workspace.path("lake").join(file["path"].as_str().unwrap())).unwrap());
    let mut ids: Vec<u64> = texts
        .flat_map(|text| text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>())
        .map(|row| row["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn what_the_source_has_purged_stays_though_the_job_is_cut_otherwise() {
    for (before, after) in [("1h", "6h"), ("6h", "1h"), ("2h", "3h")] {
        let (bench, purged) = forgetful();
        let noon = "2026-01-01T12:00:00Z";
        bench.job(&windows(before, "")).run_at(noon, &[]).fine();
        purged.store(2, Ordering::SeqCst);
        bench.job(&windows(after, ""));
        let short = bench.run_at(noon, &["--accept", "reland"]);
        assert_eq!(short.code(), 3, "{short:?}");
        assert_eq!(listed(&bench), quarters(0, 12), "{before} to {after}: readers of the list miss nothing");
        // What it was read anew for isn't read again; it stays short until someone says so.
        let again = bench.run_at(noon, &[]);
        assert_eq!((again.code(), again.errors()), (1, short.errors()), "{again:?}");
        assert_eq!(listed(&bench), quarters(0, 12));
        bench.run_at(noon, &["--allow-shrink"]).fine();
        assert_eq!((ids(&bench, "lake"), listed(&bench)), (quarters(2, 12), quarters(2, 12)), "{before} to {after}");
        assert_listed(&bench, "lake");
        bench.run_at(noon, &[]).fine();
        if before == "1h" {
            assert_snapshot!(short.errors().join("\n"), @"2026-01-01 00:00:00 UTC to 2026-01-01 06:00:00 UTC, read anew, has 16 rows now, and 24 rows landed before, so what landed stays: the source may have purged its history, rows that changed may lie in another slice now, or the job was edited (`records`, `query`) and leaves rows out; where fewer are right, `--allow-shrink` replaces what landed, and an edit that is for later slices only is taken in by `--accept future`");
        }
    }
}

#[test]
fn a_series_that_is_read_anew_and_has_lost_rows_replaces_nothing() {
    let purged = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&purged);
    let bench = Bench::new(Api::start(move |request| {
        let after = (request.number("after") as u64).max(told.load(Ordering::SeqCst));
        Answer::json(&(after + 1..=7).take(2).map(|id| json!({"id": id})).collect())
    }));
    let job = |more: &str| {
        bench.job(&format!(
            "records: '.[]'\npaginate: {{seek: {{into: query.after, value: $last.id, bound: exclusive, order: asc, size_into: query.n, size: 2}}}}\nkey: id\nincremental: {{cursor: CAST(id AS BIGINT), start: 0, rows_per_slice: 3}}\n{more}"
        ));
    };
    job("");
    bench.run().fine();
    job("transform: SELECT id, id * 2 AS twice FROM records");
    // A run that may read one slice has not read all: nothing goes yet, and nothing is short.
    let part = bench.run_at("2026-01-03T12:00:00Z", &["--accept", "reland", "--max-slices", "1"]);
    assert_eq!((part.code(), part.errors()), (5, Vec::new()), "{part:?}");
    assert_eq!(listed(&bench), [1, 2, 3, 4, 5, 6, 7]);
    bench.run_at("2026-01-03T12:00:00Z", &[]).fine();
    assert_eq!((ids(&bench, "lake"), listed(&bench)), ((1..=7).collect(), (1..=7).collect()));
    job("");
    purged.store(3, Ordering::SeqCst);
    let short = bench.run_at("2026-01-03T12:00:00Z", &["--accept", "reland"]);
    assert_snapshot!(short.errors().join("\n"), @"all of it, read anew, has 4 rows now, and 7 rows landed before, so what landed stays: the source may have purged its history, rows that changed may lie in another slice now, or the job was edited (`records`, `query`) and leaves rows out; where fewer are right, `--allow-shrink` replaces what landed, and an edit that is for later slices only is taken in by `--accept future`");
    assert_eq!(listed(&bench), [1, 2, 3, 4, 5, 6, 7]);
    bench.run_at("2026-01-03T12:00:00Z", &["--allow-shrink"]).fine();
    assert_eq!((ids(&bench, "lake"), listed(&bench)), ((4..=7).collect(), (4..=7).collect()));
}

#[test]
fn cut_otherwise_twice_before_all_was_read_anew_the_list_has_each_row_once() {
    let (bench, _) = forgetful();
    bench.job(&windows("1h", "")).run_at("2026-01-01T07:00:00Z", &[]).fine();
    bench.job(&windows("3h", ""));
    // One new window covers three hours, the other two of them wait.
    let part = bench.run_at("2026-01-01T07:00:00Z", &["--accept", "reland", "--max-slices", "1"]);
    assert_eq!((part.code(), listed(&bench)), (5, quarters(0, 7)), "{part:?}");
    bench.job(&windows("2h", ""));
    let part = bench.run_at("2026-01-01T07:00:00Z", &["--accept", "reland", "--max-slices", "1"]);
    assert_eq!((part.code(), listed(&bench)), (5, quarters(0, 7)), "{part:?}");
    bench.run_at("2026-01-01T08:00:00Z", &[]).fine();
    assert_eq!((ids(&bench, "lake"), listed(&bench)), (quarters(0, 8), quarters(0, 8)));
    assert_listed(&bench, "lake");
}

/// The windows of `for_each` values, an event every half minute of each.
fn sites(bench: &Bench, values: &str, every: &str) {
    let api = "records: '.rows[]'\npaginate: none\nkey: [site, id]\nquery: {site: '{{ site }}'}";
    let window =
        format!("window: {{every: {every}, start: 2026-01-01T00:00:00Z, as: epoch_s, from: query.from, to: query.to}}");
    bench.job(&format!("for_each: {{values: [{values}], as: site}}\n{api}\n{window}"));
}

/// An event a quarter of each site, `t` in quarters.
fn visited() -> Bench {
    Bench::new(Api::start(|request| {
        let within = |name: &str| request.query[name].parse::<u64>().unwrap() / 900;
        Answer::json(&json!({"rows": (within("from")..within("to")).map(|id| json!({"id": id})).collect::<Vec<_>>()}))
    }))
}

fn twice(ids: Vec<u64>) -> Vec<u64> {
    ids.into_iter().flat_map(|id| [id, id]).collect()
}

#[test]
fn values_that_are_gone_when_a_job_is_cut_otherwise_stay_as_they_have_landed() {
    let bench = visited();
    let noon = "2026-01-01T12:00:00Z";
    sites(&bench, "aa, bb", "1h");
    bench.run_at(noon, &[]).fine();
    assert_eq!(listed(&bench), twice(quarters(0, 12)));
    sites(&bench, "aa", "2h");
    bench.run_at(noon, &["--accept", "reland"]).fine();
    assert_eq!(listed(&bench), twice(quarters(0, 12)), "bb stays");
    assert_listed(&bench, "lake");
    bench.run_at(noon, &[]).fine();
    assert_eq!(listed(&bench), twice(quarters(0, 12)));
    // It comes again, and is read anew as well.
    sites(&bench, "aa, bb", "2h");
    bench.run_at(noon, &[]).fine();
    assert_eq!((listed(&bench), ids(&bench, "lake")), (twice(quarters(0, 12)), twice(quarters(0, 12))));
}

#[test]
fn values_that_are_gone_hide_nothing_from_the_list() {
    let bench = visited();
    let noon = "2026-01-01T12:00:00Z";
    sites(&bench, "aa, bb", "1h");
    bench.run_at(noon, &[]).fine();
    sites(&bench, "aa, cc", "2h");
    let part = bench.run_at(noon, &["--accept", "reland", "--max-slices", "3"]);
    assert_eq!((part.code(), listed(&bench)), (5, twice(quarters(0, 12))), "{part:?}");
    assert_listed(&bench, "lake");
}

#[test]
fn for_the_future_what_has_not_been_read_anew_yet_stays() {
    let (bench, purged) = forgetful();
    let noon = "2026-01-01T12:00:00Z";
    bench.job(&windows("1h", "")).run_at(noon, &[]).fine();
    purged.store(2, Ordering::SeqCst);
    bench.job(&windows("6h", ""));
    let short = bench.run_at(noon, &["--accept", "reland"]);
    assert_eq!(short.code(), 3, "{short:?}");
    let given_up = bench.run_at(noon, &["--accept", "future"]);
    given_up.fine();
    assert_snapshot!(warnings(&given_up), @"what was to be read again and hasn't been stays as it has landed");
    assert_eq!((ids(&bench, "lake"), listed(&bench)), (quarters(0, 12), quarters(0, 12)));
    assert_listed(&bench, "lake");
    assert_eq!(bench.run_at(noon, &["--accept", "future"]).fine(), "", "said once or always");
    bench.run_at("2026-01-01T18:00:00Z", &[]).fine();
    assert_eq!(listed(&bench), quarters(0, 18));
    assert_listed(&bench, "lake");
}

#[test]
fn a_sink_that_is_removed_meanwhile_stops_no_reading_again() {
    let noon = "2026-01-01T12:00:00Z";
    let job = |bench: &Bench, sinks: &str, more: &str| {
        bench.job(&windows("1h", &format!("{more}\nsinks: {{lake: {{jsonl: {{url: ./lake}}}}{sinks}}}")));
    };
    let transform = "transform: SELECT id, id * 2 AS twice FROM records";
    let twice = |bench: &Bench| bench.lines().iter().filter(|row| row["twice"].is_u64()).count();
    for accept in [&[][..], &["--accept", "future"]] {
        let (bench, _) = forgetful();
        job(&bench, ", pond: {jsonl: {url: ./pond}}", "");
        bench.run_at(noon, &[]).fine();
        job(&bench, ", pond: {jsonl: {url: ./pond}}", transform);
        let part = bench.run_at(noon, &["--accept", "reland", "--max-slices", "2"]);
        assert_eq!((part.code(), twice(&bench)), (5, 8), "{part:?}");
        job(&bench, "", transform);
        let on = bench.run_at(noon, &[accept, &["--max-slices", "3"]].concat());
        assert_eq!((on.code(), twice(&bench)), (5, 20), "{accept:?}: it goes on: {on:?}");
        if accept.is_empty() {
            assert_snapshot!(warnings(&on), @"sink `pond` was removed: its data stays as it is");
            // One that changes more ends it, and says so.
            job(&bench, "", "transform: SELECT id, id * 2 AS twice, 1 AS one FROM records");
            let ended = bench.run_at(noon, &["--accept", "future"]);
            ended.fine();
            assert_snapshot!(warnings(&ended), @"what has landed stays, and the edit applies to what lands from now on; what was to be read again isn't any more");
            assert_eq!(twice(&bench), 20);
        } else {
            assert_snapshot!(warnings(&on), @"sink `pond` was removed: its data stays as it is; what was to be read again still is: say `--accept future` once more, and it stays as it has landed");
            bench.run_at(noon, &[]).fine();
            assert_eq!(twice(&bench), 48);
        }
        assert_eq!((listed(&bench), ids(&bench, "lake")), (quarters(0, 12), quarters(0, 12)));
        assert_eq!(ids(&bench, "pond"), quarters(0, 12), "its data stay as they are");
        assert_listed(&bench, "lake");
    }
}
