//! One folder, written in several ways; and folders that are moved.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, Ran, files};

/// A job of six days, four rows each, from the instant that runs plan with.
fn job(name: &str, more: &str) -> String {
    format!(
        "  {name}:\n    get: /rows\n    records: '.[]'\n    paginate: none\n    key: id
    window: {{every: 1d, start: 2025-12-28T00:00:00Z, as: rfc3339, from: query.from, to: query.to, lookback: 3d}}
    {more}\n"
    )
}

fn api() -> Api {
    Api::start(|request| {
        let day = request.query["from"][..10].to_owned();
        Answer::json(&(0..4).map(|id| json!({"id": format!("{day} {id}"), "n": 1})).collect())
    })
}

fn lake(url: &str) -> String {
    format!("sinks: {{lake: {{jsonl: {{url: '{url}'}}}}}}")
}

/// Asserts that the list of a folder names each file that lies there, and no other; and that they are so many.
fn assert_listed(bench: &Bench, folder: &str, count: usize) {
    let folder = bench.workspace.path(folder);
    let list: Value = serde_json::from_slice(&fs::read(folder.join("_tidegate/files.json")).unwrap()).unwrap();
    let path = |file: &Value| folder.join(file["path"].as_str().unwrap()).display().to_string();
    let mut listed: Vec<String> = list["files"].as_array().unwrap().iter().map(path).collect();
    listed.sort();
    let there: Vec<String> = files(&folder).into_iter().filter(|path| path.ends_with(".jsonl")).collect();
    assert_eq!((&listed, listed.len()), (&there, count));
}

fn vacuum(bench: &Bench) {
    let outcome = bench.workspace.tidegate(&["vacuum", "pipeline.yaml", "--state", "state"]).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn a_folder_that_is_written_in_several_ways_has_one_list() {
    let bench = Bench::new(api());
    fs::create_dir_all(bench.workspace.path("lake/a")).unwrap();
    symlink(bench.workspace.path("lake"), bench.workspace.path("link")).unwrap();
    let url = format!("file://{}/lake/a", bench.workspace.path("").display());
    let other = |url: &str| bench.jobs(&(job("rows", &lake("./lake/a")) + &job("others", &lake(url)))).run();
    other("./lake/../lake//a").fine();
    assert_listed(&bench, "lake/a", 12);
    // None of these is an edit, and what lands under another spelling joins the list.
    for (at, url) in ["link/a", url.as_str(), "./lake/x/../a/"].into_iter().enumerate() {
        other(url).fine();
        let of_others = |path: &String| path.contains("test-others-") && path.ends_with(".jsonl");
        fs::remove_file(files(&bench.workspace.path("lake/a")).into_iter().rfind(of_others).unwrap()).unwrap();
        other(url).fine();
        assert_listed(&bench, "lake/a", 12);
        vacuum(&bench);
        assert_listed(&bench, "lake/a", 12);
        assert_eq!(bench.json_lines("lake/a").len(), 48, "{at}");
    }
}

#[test]
fn a_sink_below_another_is_refused_however_it_is_written() {
    let bench = Bench::new(api());
    fs::create_dir_all(bench.workspace.path("lake/a")).unwrap();
    symlink(bench.workspace.path("lake"), bench.workspace.path("link")).unwrap();
    let said = |sinks: &str| {
        bench.jobs(&job("rows", &format!("sinks: {{{sinks}}}")));
        let outcome = bench.workspace.tidegate(&["validate", "pipeline.yaml"]).run();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        outcome.stdout + &outcome.stderr
    };
    for below in ["./lake/x/../a/sub", "link/a/sub", "lake//a/./sub"] {
        let text = said(&format!("l: {{jsonl: {{url: ./lake/a}}}}, m: {{jsonl: {{url: {below}}}}}"));
        assert!(
            text.contains("the data set of `jobs.rows.sinks.m` would lie within that of `jobs.rows.sinks.l`"),
            "{text}"
        );
    }
    let text = said("l: {jsonl: {url: ./lake/a}}, m: {jsonl: {url: link/a}}");
    assert!(text.contains("would write the same files"), "{text}");
}

#[test]
fn a_lake_that_was_moved_is_told_from_an_edit_and_goes_on_where_a_link_leads_to_it() {
    let bench = Bench::new(api());
    bench.workspace.write("a/here", "");
    let at = |folder: &str| {
        let path =
            |below: &str| format!("{}/{folder}/{below}", bench.workspace.path("").canonicalize().unwrap().display());
        bench.jobs(&job("rows", &lake(&path("lake/rows"))));
        let run = |more: &[&str], now: &str| {
            let all = ["run", "pipeline.yaml", "--state", &path("state"), "--output", "json", "--now", now];
            Ran::of(bench.workspace.tidegate(&[&all[..], more].concat()).run())
        };
        run(&[], "2026-01-03T12:00:00Z")
    };
    at("a").fine();
    fs::rename(bench.workspace.path("a"), bench.workspace.path("c")).unwrap();
    let refused = at("c");
    let said = bench.workspace.redact(&refused.outcome.stderr);
    assert_eq!(refused.code(), 2, "{said}");
    assert!(
        said.contains("what lies in [DIR]/c/lake/rows was landed in [DIR]/a/lake/rows: it was moved, or copied,")
            && said.contains("or set a link in the old place (`ln -s [DIR]/c [DIR]/a`), and it goes on as before"),
        "{said}"
    );
    symlink(bench.workspace.path("c"), bench.workspace.path("a")).unwrap();
    let again = at("c");
    // By another name of its folder a slice lands once more.
    again.fine();
    let third = at("c");
    third.fine();
    assert!(third.slices().iter().all(|slice| slice["outcome"] == "unchanged"), "{third:?}");
    assert_listed(&bench, "c/lake/rows", 6);
    fs::remove_file(bench.workspace.path("a")).unwrap();
    assert_eq!(at("c").code(), 2, "it isn't forgotten where it was landed");
}

/// What lies in the state would be swept away by `vacuum`, or read along with the lake.
#[test]
fn a_lake_and_a_state_that_lie_in_one_another_are_refused() {
    for url in ["state/test/files", "./state/test", "state/../state", "."] {
        let bench = Bench::new(api());
        bench.jobs(&job("a", &lake(url)));
        let ran = bench.run();
        assert_eq!(ran.code(), 2, "{url}: {ran:?}");
        assert!(ran.outcome.stderr.contains("lie in one another"), "{url}: {ran:?}");
        assert!(files(&bench.workspace.path("state")).is_empty(), "nothing was written");
    }
    for (name, to) in [("link", "state/test"), ("file", "")] {
        let bench = Bench::new(api());
        fs::create_dir_all(bench.workspace.path("state/test")).unwrap();
        let url = if name == "file" {
            format!("file://{}", bench.workspace.path("state/test/lake").display())
        } else {
            symlink(bench.workspace.path(to), bench.workspace.path("link")).unwrap();
            "link/files".to_owned()
        };
        bench.jobs(&job("a", &lake(&url)));
        let ran = bench.run();
        assert!(ran.code() == 2 && ran.outcome.stderr.contains("lie in one another"), "{url}: {ran:?}");
    }
    for url in ["state/other/a", "stat", "state_of", "state/test2"] {
        let bench = Bench::new(api());
        bench.jobs(&job("a", &lake(url)));
        assert_eq!(bench.run().code(), 0, "{url}");
    }
}

#[test]
fn a_job_with_another_name_does_not_land_its_rows_once_more() {
    let bench = Bench::new(api());
    bench.jobs(&job("a", &lake("lake")));
    assert_eq!(bench.run().code(), 0);
    bench.jobs(&job("b", &lake("lake")));
    let renamed = bench.run();
    assert_eq!((renamed.code(), bench.lines().len()), (2, 24), "{renamed:?}");
    assert!(
        renamed.outcome.stderr.contains("has the rows of `a`, which isn't in the pipeline file any more"),
        "{renamed:?}"
    );
    bench.jobs(&[job("a", &lake("lake")), job("b", &lake("lake"))].concat());
    assert_eq!(bench.run_at("2026-01-04T00:00:00Z", &["--job", "a"]).code(), 0, "both are there: they are meant to be");
    bench.jobs(&job("b", &lake("lake")));
    assert_eq!(bench.run_at("2026-01-04T00:00:00Z", &["--accept", "future"]).code(), 0);
    assert_eq!(bench.lines().len(), 28 + 28);
    assert_eq!(bench.run_at("2026-01-05T00:00:00Z", &[]).code(), 0, "it has landed, and is known");
}

#[test]
fn a_pipeline_with_another_name_does_not_land_its_rows_once_more() {
    let bench = Bench::new(api());
    bench.jobs(&job("a", &lake("lake")));
    assert_eq!(bench.run().code(), 0);
    let file = fs::read_to_string(bench.workspace.path("pipeline.yaml")).unwrap();
    let renamed = file.replace("name: test", "name: new");
    bench.workspace.write("pipeline.yaml", &renamed);
    let refused = bench.run();
    assert_eq!((refused.code(), bench.lines().len()), (2, 24), "{refused:?}");
    assert!(
        refused.outcome.stderr.contains("has the rows of the pipeline `test`, whose job of that name"),
        "{refused:?}"
    );
    // Another job of another pipeline may lie there, and so may one that reads something else.
    for (other, rows) in [("get: /rows/of/another", 48), ("key: [id, n]", 72)] {
        let (name, key) = (format!("name: new{rows}"), other.starts_with("key"));
        let text = if key { file.replace("key: id", other) } else { file.replace("get: /rows", other) };
        assert_ne!(text, file);
        bench.workspace.write("pipeline.yaml", &text.replace("name: test", &name));
        let ran = bench.run();
        assert_eq!((ran.code(), bench.lines().len()), (0, rows), "{ran:?}");
    }
    bench.workspace.write("pipeline.yaml", &renamed);
    assert_eq!(bench.run_at("2026-01-03T12:00:00Z", &["--accept", "future"]).code(), 0);
    assert_eq!(bench.lines().len(), 96);
    assert_eq!(bench.run().code(), 0, "it has landed, and is known");
}

#[test]
fn a_lake_that_is_not_there_gets_no_rows() {
    let bench = Bench::new(api());
    bench.jobs(&job("a", &lake("lake")));
    assert_eq!(bench.run().code(), 0);
    fs::rename(bench.workspace.path("lake"), bench.workspace.path("elsewhere")).unwrap();
    let gone = bench.run_at("2026-01-04T00:00:00Z", &[]);
    assert_eq!(gone.code(), 1, "{gone:?}");
    assert!(gone.outcome.stderr.contains("nothing is left in lake of what has landed there"), "{gone:?}");
    assert!(!bench.workspace.path("lake").exists());
    fs::rename(bench.workspace.path("elsewhere"), bench.workspace.path("lake")).unwrap();
    assert_eq!(bench.run_at("2026-01-04T00:00:00Z", &[]).code(), 0);
    assert_eq!(bench.lines().len(), 28);
    // Its list alone is made anew, and what is gone for good is read again where a person says so.
    fs::remove_dir_all(bench.workspace.path("lake/_tidegate")).unwrap();
    assert_eq!(bench.run_at("2026-01-05T00:00:00Z", &[]).code(), 0);
    assert_listed(&bench, "lake", 8);
    fs::remove_dir_all(bench.workspace.path("lake")).unwrap();
    let verb = [
        "backfill",
        "pipeline.yaml",
        "--state",
        "state",
        "--from",
        "2025-12-28T00:00:00Z",
        "--to",
        "2026-01-05T00:00:00Z",
    ];
    let backfill = bench.workspace.tidegate(&verb).run();
    assert_eq!((backfill.code, bench.lines().len()), (Some(0), 32), "{backfill:?}");
}
