//! Lakes that others have changed: with files of another state, or copies, under names that a run would give; or with files deleted.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, Ran, files};
use crate::support::s3::S3;

/// What an API of three rows a day answers.
struct Source {
    /// The content of each row.
    version: AtomicU64,
    /// How many days are gone.
    purged: AtomicU64,
}

/// Three days of two jobs, `rows` in `a` and `others` in `b` below a lake.
fn bench(lake: &str) -> (Bench, Arc<Source>) {
    let source = Arc::new(Source { version: AtomicU64::new(1), purged: AtomicU64::new(0) });
    let told = Arc::clone(&source);
    let bench = Bench::new(Api::start(move |request| {
        let day: u64 = request.query["from"][8..10].parse().unwrap();
        let row = |id| json!({"id": day * 10 + id, "version": told.version.load(Ordering::SeqCst)});
        let there = day % 31 >= told.purged.load(Ordering::SeqCst);
        Answer::json(&(0..3).filter(|_| there).map(row).collect())
    }));
    let job = |name: &str, folder: &str| {
        format!(
            "  {name}:\n    get: /rows\n    records: '.[]'\n    paginate: none\n    key: id
    window: {{every: 1d, start: 2025-12-31T00:00:00Z, as: rfc3339, from: query.from, to: query.to}}
    sinks: {{lake: {{jsonl: {{url: '{lake}/{folder}'}}}}}}\n"
        )
    };
    bench.jobs(&(job("rows", "a") + &job("others", "b")));
    (bench, source)
}

/// Returns how the slices of a job ended, in their order.
fn outcomes(ran: &Ran, job: &str) -> Vec<String> {
    let jobs = ran.report["jobs"].as_array().unwrap_or_else(|| panic!("no report: {ran:?}"));
    let of_it = jobs.iter().find(|found| found["job"] == job).unwrap();
    of_it["slices"].as_array().unwrap().iter().map(|slice| slice["outcome"].as_str().unwrap().to_owned()).collect()
}

fn bench_run(bench: &Bench, s3: &S3, arguments: &[&str]) -> Ran {
    let all = [arguments, &["pipeline.yaml", "--state", "state", "--output", "json"]].concat();
    Ran::of(s3.env(bench.workspace.tidegate(&all)).run())
}

/// Returns how many rows are of the first version, and of the second.
fn versions(rows: &[Value]) -> (usize, usize) {
    let count = |version: u64| rows.iter().filter(|row| row["version"] == version).count();
    (count(1), count(2))
}

#[test]
fn files_of_another_state_stay_and_what_is_read_lands_beside_them() {
    let s3 = S3::start();
    for lake in ["./lake", "s3://lake"] {
        let (bench, source) = bench(lake);
        let run = || bench_run(&bench, &s3, &["run", "--now", "2026-01-03T12:00:00Z"]);
        let rows = || {
            s3.download("a", &bench.workspace.path("lake/a"));
            bench.json_lines("lake/a")
        };
        run().fine();
        fs::remove_dir_all(bench.workspace.path("state")).unwrap();
        if lake == "./lake" {
            fs::remove_dir_all(bench.workspace.path("lake/a/_tidegate")).unwrap();
            fs::remove_dir_all(bench.workspace.path("lake/b")).unwrap();
        } else {
            s3.objects("")
                .into_keys()
                .filter(|key| !key.ends_with(".jsonl") || key.starts_with("b/"))
                .for_each(|key| s3.delete(&key));
        }
        source.version.store(2, Ordering::SeqCst);
        source.purged.store(1, Ordering::SeqCst);
        let red = run();
        assert_eq!(red.code(), 3, "{red:?}");
        assert_eq!(outcomes(&red, "rows"), ["landed", "failed", "failed"], "a day that is gone has no files");
        assert_eq!(outcomes(&red, "others"), ["landed"; 3]);
        assert!(red.errors().iter().all(|error| error.contains("move it away if it isn't wanted")), "{red:?}");
        assert_eq!(versions(&rows()), (9, 0));
        let next = run();
        next.fine();
        assert_eq!(outcomes(&next, "rows"), ["landed"; 2]);
        assert_eq!(versions(&rows()), (9, 6), "nothing that isn't ours is gone");
    }
}

#[test]
fn a_file_under_the_name_of_a_generation_fails_its_slice_and_no_other() {
    let (bench, source) = bench("./lake");
    let s3 = S3::start();
    let backfill =
        || bench_run(&bench, &s3, &["backfill", "--from", "2025-12-31T00:00:00Z", "--to", "2026-01-03T00:00:00Z"]);
    bench.run().fine();
    let taken = bench.workspace.path("lake/a/test-rows-20260102T000000Z-g2-00000.jsonl");
    assert!(files(&bench.workspace.path("lake/a")).contains(&taken.display().to_string().replace("-g2-", "-g1-")));
    fs::write(&taken, "foreign").unwrap();
    source.version.store(2, Ordering::SeqCst);
    let part = backfill();
    assert_eq!((part.code(), outcomes(&part, "rows")), (3, vec!["landed".into(), "landed".into(), "failed".into()]));
    assert_eq!(outcomes(&part, "others"), ["landed"; 3]);
    assert_eq!(outcomes(&backfill(), "rows"), ["unchanged", "unchanged", "landed"]);
    assert_eq!(fs::read_to_string(&taken).unwrap(), "foreign");
    fs::remove_file(&taken).unwrap();
    assert_eq!(versions(&bench.json_lines("lake/a")), (0, 9));
}

#[test]
fn what_others_have_deleted_is_said_and_lands_again_once_it_is_read() {
    let (bench, _) = bench("./lake");
    let s3 = S3::start();
    bench.run().fine();
    let vacuum = || {
        let outcome = bench.workspace.tidegate(&["vacuum", "pipeline.yaml", "--state", "state", "--dry-run"]).run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        bench.workspace.redact(&outcome.stdout)
    };
    assert_snapshot!(vacuum(), @r"
    test
    0 objects would be removed, 0 B
    ");
    let file = |day: &str| bench.workspace.path(&format!("lake/a/test-rows-{day}T000000Z-g1-00000.jsonl"));
    fs::remove_file(file("20260101")).unwrap();
    fs::write(file("20260102"), "{\"id\": 20}\n").unwrap();
    fs::remove_dir_all(bench.workspace.path("lake/b")).unwrap();
    assert_snapshot!(vacuum(), @r"
    test
      gone: 3 files of 3 slices of others that landed, such as file://[DIR]/lake/b/test-others-20251231T000000Z-g1-00000.jsonl
        `tidegate backfill` with `--job others --from 2025-12-31T00:00:00Z --to 2026-01-03T00:00:00Z` lands them again
      gone: 2 files of 2 slices of rows that landed, such as file://[DIR]/lake/a/test-rows-20260101T000000Z-g1-00000.jsonl
        `tidegate backfill` with `--job rows --from 2026-01-01T00:00:00Z --to 2026-01-03T00:00:00Z` lands them again
    0 objects would be removed, 0 B
    ");
    let backfill =
        bench_run(&bench, &s3, &["backfill", "--from", "2025-12-31T00:00:00Z", "--to", "2026-01-03T00:00:00Z"]);
    backfill.fine();
    assert_eq!(outcomes(&backfill, "rows"), ["unchanged", "landed", "landed"]);
    assert_eq!(outcomes(&backfill, "others"), ["landed"; 3]);
    let warnings = bench.workspace.redact(&backfill.report["jobs"][0]["warnings"].to_string());
    assert!(
        warnings.contains(
            "1 of 1 files of slice 20260101T000000Z were gone, and it has landed again; the first: file://[DIR]/lake/a/"
        ),
        "{warnings}"
    );
    for folder in ["lake/a", "lake/b"] {
        let rows = bench.json_lines(folder);
        assert_eq!((rows.len(), versions(&rows)), (9, (9, 0)), "{rows:?}");
        let list: Value =
            serde_json::from_slice(&fs::read(bench.workspace.path(folder).join("_tidegate/files.json")).unwrap())
                .unwrap();
        let listed = list["files"].as_array().unwrap().iter();
        assert!(
            listed.into_iter().all(|file| bench.workspace.path(folder).join(file["path"].as_str().unwrap()).exists())
        );
    }
    assert!(!vacuum().contains("gone:"), "{}", vacuum());
}
