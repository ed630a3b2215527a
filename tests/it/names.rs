//! Names of columns that the records don't have: told with their place in the pipeline file, and with the name that is meant.

use std::fs;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::Bench;

const WINDOW: &str =
    "window: {every: 1d, start: 2026-01-02T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: none}";

/// What a job says, which word of it is wrong, and the name that is meant.
fn mistakes() -> Vec<(String, &'static str, &'static str)> {
    let day = |more: &str| format!("records: '.[]'\npaginate: none\n{WINDOW}\n{more}");
    let lake = |options: &str| day(&format!("sinks:\n  lake:\n    parquet:\n      url: ./lake\n      {options}"));
    vec![
        (day("key:\n  - scor"), "scor", "score"),
        (day("key: [id]\nlatest_by: updatd"), "updatd", "updated"),
        (day("").replace("time: none", "time: to_timestamp_seconds(updatd)"), "updatd", "updated"),
        (day("transform: |\n  SELECT id,\n    scor FROM records"), "scor FROM", "score"),
        (day("expect:\n  - {not_null: [id]}\n  - {unique: [idd]}"), "idd", "id"),
        (day("expect:\n  - {sql: 'count(*) > 0'}\n  - {sql: max(score) > 0 OR max(scor) > 0}"), "scor)", "score"),
        (lake("sort_by: [id, scor desc]"), "scor desc", "score"),
        (lake("partition_by: [scor]"), "scor]", "score"),
        (lake("bloom_filters: [scor]"), "scor]", "score"),
        (day("sinks: {lake: {jsonl: {url: ./lake}, where: scor > 1}}"), "scor >", "score"),
    ]
}

fn bench(job: &str) -> Bench {
    let bench = Bench::new(Api::always(Answer::json(&json!([{"id": 1, "score": 5, "updated": 1_767_312_001}]))));
    bench.job(job);
    bench
}

/// Returns where a word stands in the pipeline file, as errors say it.
fn place(bench: &Bench, word: &str) -> String {
    let text = fs::read_to_string(bench.workspace.path("pipeline.yaml")).unwrap();
    let at = text.find(word).unwrap();
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').map_or(0, |end| end + 1) + 1;
    format!("pipeline.yaml:{line}:{column}")
}

#[test]
fn a_run_says_where_a_name_is_wrong() {
    for (job, word, meant) in mistakes() {
        let bench = bench(&job);
        let failure = bench.failure();
        let told = format!("{}: ", place(&bench, word));
        assert!(failure.contains(&told), "{job}\n{told}\n{failure}");
        assert!(failure.contains(&format!("(did you mean `{meant}`?)")), "{job}\n{failure}");
    }
}

#[test]
fn a_preview_says_it_too() {
    let (job, word, _) = mistakes().swap_remove(3);
    let bench = bench(&job);
    let shown = bench.workspace.tidegate(&["preview", "pipeline.yaml", "rows"]).run();
    assert!(shown.stderr.contains(&format!("rows: {}: ", place(&bench, word))), "{shown:?}");
}

#[test]
fn a_type_for_a_column_that_no_row_has_is_told_once() {
    let job =
        format!("records: '.[]'\npaginate: none\n{WINDOW}\nschema: {{columns: {{scoer: int64, absent: string}}}}");
    let bench = bench(&job);
    let ran = bench.run();
    ran.fine();
    let told =
        format!("{}: `schema.columns` types `scoer`, which no row has; did you mean `score`?", place(&bench, "scoer"));
    assert_eq!(ran.report["jobs"][0]["warnings"], json!([told]));
    assert_eq!(bench.run_at("2026-01-05T12:00:00Z", &[]).report["jobs"][0]["warnings"], Value::Null);
}

#[test]
fn the_lock_file_tells_before_a_run_does() {
    for contract in ["evolve", "freeze"] {
        for (job, word, meant) in mistakes() {
            if job.contains("expect") || job.contains("bloom") {
                continue;
            }
            let bench = bench(&format!("records: '.[]'\npaginate: none\n{WINDOW}\nschema: {{contract: {contract}}}"));
            bench.run().fine();
            let locked = bench.workspace.tidegate(&["schema", "lock", "pipeline.yaml", "--state", "state"]).run();
            assert_eq!(locked.code, Some(0), "{locked:?}");
            let fine = bench.workspace.tidegate(&["validate", "pipeline.yaml"]).run();
            assert_eq!(fine.code, Some(0), "{fine:?}");
            bench.job(&format!("{job}\nschema: {{contract: {contract}}}"));
            let said = bench.workspace.tidegate(&["validate", "pipeline.yaml"]).run();
            let (kind, code) = if contract == "evolve" { ("warning", 0) } else { ("error", 2) };
            assert_eq!(said.code, Some(code), "{job}\n{said:?}");
            let of_place = said.stderr.split(&place(&bench, word)).nth(1).unwrap_or_else(|| panic!("{job}\n{said:?}"));
            assert!(
                said.stderr.contains(kind) && of_place.contains("when the lock file was written"),
                "{job}\n{said:?}"
            );
            assert!(said.stderr.contains(&format!("did you mean `{meant}`?")), "{job}\n{said:?}");
        }
    }
}
