//! Runs that stop with slices left: what they hadn't started, the next run plans as if they had never looked at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

const EVENING: &str = "2026-11-20T03:00:00Z";
const LATER: &str = "2026-11-25T03:00:00Z";

fn of_keys() -> Bench {
    let bench = Bench::new(Api::start(|request: &Request| {
        Answer::json(&json!({"items": [{"asked": request.query["asof"], "of": request.query["k"]}]}))
    }));
    bench.job(
        "records: '.items[]'
for_each: {values: [k1, k2, k3, k4], as: k}
query: {asof: '{{ now }}', k: '{{ k }}'}
snapshot: latest
paginate: none",
    );
    bench
}

#[test]
fn what_a_bound_left_is_asked_for_as_of_the_next_run() {
    let bench = of_keys();
    let first = bench.run_at(EVENING, &["--max-slices", "2"]);
    assert_eq!(first.code(), 5, "{first:?}");
    let second = bench.run_at(LATER, &[]);
    assert_eq!(second.code(), 0, "{second:?}");
    assert!(!second.outcome.stderr.contains("settled"), "nothing was left half done: {}", second.outcome.stderr);
    let asked = bench.api.asked_for("asof");
    assert_eq!(asked.iter().filter(|at| *at == EVENING).count(), 2, "{asked:?}");
    assert!(asked.iter().skip(2).all(|at| at == LATER), "{asked:?}");
}

/// Ten rows an hour; the first answer comes once `open` says so.
fn hours(open: Arc<AtomicBool>) -> Bench {
    let bench = Bench::new(Api::start(move |request: &Request| {
        let (from, to) = (request.number("from"), request.number("to"));
        let items: Vec<_> = (from / 360..to / 360).map(|id| json!({"id": id})).collect();
        Answer::json(&json!(items)).once(Some(Arc::clone(&open)))
    }));
    every(&bench, "2h");
    bench
}

fn every(bench: &Bench, every: &str) {
    bench.job(&format!(
        "records: '.[]'
window: {{every: {every}, start: 2026-01-01T00:00:00Z, as: epoch_s, from: query.from, to: query.to}}
paginate: none
sinks: {{lake: {{parquet: {{url: ./lake}}}}}}"
    ));
}

#[test]
fn a_window_that_was_begun_and_is_cut_otherwise_now_is_read_as_it_is_cut_now() {
    let open = Arc::new(AtomicBool::new(false));
    let bench = hours(Arc::clone(&open));
    let noon = "2026-01-01T12:00:00Z";
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--now", noon];
    let running = bench.workspace.tidegate(&arguments).spawn();
    let begun = Instant::now();
    while bench.api.asked().is_empty() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    open.store(true, Ordering::SeqCst);
    every(&bench, "3h");
    let ran = bench.run_at(noon, &[]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let found =
        bench.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM read_parquet('{dir}/lake/**/*.parquet')");
    assert_eq!(found[0], json!({"n": 120, "ids": 120}));
    assert_eq!(ran.slices().len(), 4, "{ran:?}");
}
