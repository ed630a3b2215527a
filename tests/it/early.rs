//! A large slice is written while its pages come; what lands is what would have landed without that.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW, Ran, files};

const PAGES: usize = 20;

/// Rows of a page.
const SIZE: usize = 250;

const JOB: &str = "records: '.items[]'
key: [id]
snapshot: latest
schema: {columns: {n: int64}}
paginate: {offset: {into: query.offset, size: 250}}
transform: SELECT *, n * 2 AS twice FROM records
sinks: {lake: {parquet: {url: ./lake}}, odd: {jsonl: {url: ./lake/odd}, where: n % 2 = 1}}";

/// What the list has on its pages, beside the usual rows.
type Twist = fn(page: usize, items: &mut Vec<Value>);

fn row(id: usize) -> Value {
    json!({"id": id, "n": id % 1000, "text": format!("{id} {}", "a text that takes some room ".repeat(80))})
}

struct Served {
    bench: Bench,
    /// Whether something was staged when the last page was asked for.
    staged: Arc<OnceLock<bool>>,
}

/// Serves the list, and looks at the lake when its last page is asked for.
fn serve(twist: Twist) -> Served {
    let (lake, staged) = (Arc::new(OnceLock::<PathBuf>::new()), Arc::new(OnceLock::new()));
    let (seen_lake, seen) = (Arc::clone(&lake), Arc::clone(&staged));
    let api = Api::start(move |request: &Request| {
        let page = request.number("offset") / SIZE;
        if page == PAGES - 1 {
            let _ = seen.set(!files(seen_lake.get().unwrap()).is_empty());
        }
        let ids = page * SIZE..((page + 1) * SIZE).min(PAGES * SIZE);
        let mut items: Vec<Value> = ids.map(row).collect();
        if page < PAGES {
            twist(page, &mut items);
        }
        Answer::json(&json!({"items": items}))
    });
    let bench = Bench::new(api);
    bench.job(JOB);
    lake.set(bench.workspace.path("lake")).unwrap();
    Served { bench, staged }
}

/// Runs it with the memory that it takes to write early, or without.
fn run(served: &Served, memory: &str) -> Ran {
    served.bench.run_at(NOW, &["--memory-limit", memory])
}

fn data(lake: &Path) -> Vec<(String, Vec<u8>)> {
    let data = files(lake).into_iter().filter(|path| !path.contains("_tidegate/"));
    let relative = |path: &str| path.strip_prefix(lake.to_str().unwrap()).unwrap().to_owned();
    data.map(|path| (relative(&path), fs::read(&path).unwrap())).collect()
}

/// Runs it both ways; returns the server that had it written early.
fn both_ways(twist: Twist, is_early: bool) -> Served {
    let (early, late) = (serve(twist), serve(twist));
    let (one, other) = (run(&early, "256MiB"), run(&late, "1MiB"));
    assert_eq!((one.code(), other.code()), (0, 0), "{one:?}");
    assert_eq!(early.staged.get(), Some(&is_early));
    assert_eq!(late.staged.get(), Some(&false), "there is no memory to write early");
    let [one, other] = [&early, &late].map(|served| data(&served.bench.workspace.path("lake")));
    assert!(one == other, "the files differ");
    early
}

fn count(served: &Served, sql: &str) -> Value {
    served.bench.query(&format!("SELECT {sql} AS n FROM read_parquet('{{dir}}/lake/**/*.parquet')"))[0]["n"].clone()
}

#[test]
fn a_large_slice_is_written_as_its_pages_come_and_lands_the_same() {
    let served = both_ways(
        |page, items| {
            // What can't be a record goes to quarantine.
            if page % 3 == 1 {
                items[5] = json!(page);
            }
        },
        true,
    );
    assert_eq!(count(&served, "count(DISTINCT id)"), json!(PAGES * SIZE - 7));
    assert_eq!(served.bench.quarantine().len(), 7);
}

#[test]
fn a_row_that_comes_again_at_the_end_replaces_what_was_written() {
    let served = both_ways(
        |page, items| {
            if page == PAGES - 1 {
                items[0] = json!({"id": 3, "n": 7777, "text": "newer"});
            }
        },
        true,
    );
    assert_eq!(count(&served, "count(*)"), json!(PAGES * SIZE - 1));
    assert_eq!(count(&served, "max(n) FILTER (id = 3)"), json!(7777));
}

#[test]
fn a_column_that_comes_at_the_end_is_in_every_file() {
    let served = both_ways(
        |page, items| {
            if page == PAGES - 1 {
                items[0]["more"] = json!("late");
            }
        },
        true,
    );
    assert_eq!(count(&served, "count(*)"), json!(PAGES * SIZE));
    assert_eq!(count(&served, "count(more)"), json!(1));
}

#[test]
fn of_a_slice_that_fails_at_its_end_nothing_is_left() {
    let served = serve(|_, _| ());
    served.bench.job(&JOB.replace("key: [id]", "key: [id]\nexpect: [{sql: 'count(*) > 1000000'}]"));
    let failure = served.bench.failure();
    assert!(failure.contains("expect"), "{failure}");
    assert_eq!(served.staged.get(), Some(&true));
}
