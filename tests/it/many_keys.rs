//! Slices with more keys than may be in memory: what is beyond lies in temporary files, and nothing else changes.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, Ran};
use crate::support::workspace::Run;

/// Different keys. A slice may have about 14,000 of them in memory under [`LITTLE`].
const KEYS: usize = 40_000;

/// Rows of a page.
const PAGE: usize = 5000;

/// The least that a slice's keys are given.
const LITTLE: [&str; 2] = ["--memory-limit", "8MiB"];

/// Makes a bench over a list of `rows`, each the key and the value of a row, as it is after so many requests.
fn bench(job: &str, rows: impl Fn(usize) -> Vec<[usize; 2]> + Send + Sync + 'static) -> Bench {
    let asked = AtomicUsize::new(0);
    let bench = Bench::new(Api::start(move |request| {
        let list = rows(asked.fetch_add(1, Ordering::SeqCst));
        let page = list.iter().skip(request.number("offset")).take(PAGE);
        let items: Vec<Value> = page.map(|[key, value]| json!({"id": format!("id-{key}"), "v": value})).collect();
        Answer::json(&json!({"items": items, "total": list.len()}))
    }));
    bench.job(&format!(
        "concurrency: 1\nrecords: '.items[]'\nkey: id\nsnapshot: latest\nquery: {{offset: 0}}
paginate: {{offset: {{into: query.offset, size: {PAGE}}}, max_pages: 1000{}}}\n{job}",
        if job.contains("refetch") { ", total: .total" } else { "" }
    ));
    bench
}

fn prepared(bench: &Bench) -> Run<'_> {
    let arguments = ["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", NOW];
    bench.workspace.tidegate(&[&arguments[..], &LITTLE].concat())
}

fn run(bench: &Bench) -> Ran {
    Ran::of(prepared(bench).run())
}

/// Reads back how many rows there are, how many keys, and the sum of the values.
fn landed(bench: &Bench) -> Value {
    let found = bench.query(
        "SELECT count(*) AS rows, count(DISTINCT id) AS keys, sum(v)::BIGINT AS sum FROM read_json('{dir}/lake/**/*.jsonl')",
    );
    found[0].clone()
}

/// How many keys come twice.
const TWICE: usize = (KEYS / 2).div_ceil(3);

/// Each key in turn; in the second half, after some of them, one of the first half again, with a greater value.
fn twice() -> Vec<[usize; 2]> {
    let again = |key: usize| key.checked_sub(KEYS / 2).filter(|old| old.is_multiple_of(3)).map(|old| [old, old + 1]);
    (0..KEYS).flat_map(|key| [Some([key, key]), again(key)]).flatten().collect()
}

#[test]
fn the_last_row_of_a_key_stays_wherever_the_first_one_is() {
    let bench = bench("", |_| twice());
    let received = KEYS + TWICE;
    assert_eq!(run(&bench).fine(), format!("latest landed: {KEYS} of {received}, {TWICE} deduplicated; unknown"));
    let sum = KEYS * (KEYS - 1) / 2 + TWICE;
    assert_eq!(landed(&bench), json!({"rows": KEYS, "keys": KEYS, "sum": sum}));
}

#[test]
fn the_greatest_row_of_a_key_stays_wherever_it_came() {
    // Those that come last are the smaller ones.
    let bench = bench("latest_by: v", |_| twice().into_iter().rev().collect());
    let received = KEYS + TWICE;
    assert_eq!(run(&bench).fine(), format!("latest landed: {KEYS} of {received}, {TWICE} deduplicated; complete"));
    let sum = KEYS * (KEYS - 1) / 2 + TWICE;
    assert_eq!(landed(&bench), json!({"rows": KEYS, "keys": KEYS, "sum": sum}));
}

#[test]
fn a_list_is_read_again_until_it_is_known_to_be_whole() {
    // After the third page the first row goes, so that the next page misses one, and a new row comes in at the end.
    let bench = bench("on_mismatch: refetch", |asked| {
        let first = usize::from(asked >= 3);
        (first..KEYS + first).map(|key| [key, key]).collect()
    });
    let ran = run(&bench);
    assert_eq!(ran.fine(), format!("latest landed: {KEYS} of {}, {} read_again; complete", 3 * KEYS, 2 * KEYS));
    let sum = (KEYS + 1) * KEYS / 2;
    assert_eq!(landed(&bench), json!({"rows": KEYS, "keys": KEYS, "sum": sum}));
}

#[test]
fn where_keys_cannot_be_written_is_named() {
    let bench = bench("", |_| twice());
    // The rows are in memory, so it is the keys that find no room.
    let ran = Ran::of(prepared(&bench).with_small_files(100).run());
    let errors = ran.errors().join("\n");
    let place = format!("can't keep keys in a temporary file in {}", std::env::temp_dir().display());
    assert!(ran.code() == 1 && errors.contains(&place) && errors.contains("File too large"), "{ran:?}");
    assert_eq!(bench.landed(), Vec::<String>::new());
}
