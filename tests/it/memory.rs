//! How much memory large slices take: measured, of the binary that `TIDEGATE_BIN` names, or else of the one that was built for the
//! tests. It takes minutes, so it is left to `.ci/nightly`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW};
use crate::support::python;
use crate::support::workspace::Workspace;

/// Rows of a page.
const PAGE: usize = 10_000;

/// What a slice of any size may take, in MiB.
const MOST: u64 = 400;

/// What eight slices at once may take, in MiB: the limit, and what the program takes beside it.
const MOST_AT_ONCE: u64 = 256 + 200;

/// Rows of a page of 50 MB, and how many of those a slice has.
const LARGE: (usize, usize) = (280_000, 3);

/// What pages of 50 MB may take beside the limit, in MiB, the program itself and the page that goes beyond the limit included.
const BESIDE: u64 = 192;

fn rows() -> usize {
    std::env::var("TIDEGATE_MEMORY_ROWS").map_or(5_000_000, |rows| rows.parse().unwrap())
}

#[test]
fn the_allocator_of_the_binary_has_its_settings() {
    let outcome = Workspace::new().tidegate(&["--version"]).env("_RJEM_MALLOC_CONF", "stats_print:true").run();
    for set in
        ["opt.narenas: 2\n", "opt.tcache_max: 4096\n", "opt.dirty_decay_ms: 1000 ", "opt.background_thread: true "]
    {
        assert!(outcome.stderr.contains(set), "{set}: see .cargo/config.toml\n{}", outcome.stderr);
    }
}

/// A page of rows of about 250 bytes, each of another of 40 partitions than the one before.
fn page(request: &Request, rows: usize) -> Answer {
    let first = request.number("offset");
    Answer::bytes(body(first..(first + PAGE).min(rows)))
}

fn body(rows: Range<usize>) -> String {
    let (first, mut body) = (rows.start, String::from("["));
    for n in rows {
        let comma = if n > first { "," } else { "" };
        let (part, service, noise) = (n % 40, n * 7919 % 65_536, (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        write!(
            body,
            r#"{comma}{{"n":{n},"part":"part-{part}","at":{},"client":"10.{}.{}.{}","port":{service},"bytes":{},"score":{},"noise":"{noise:016x}","note":"a text that comes again and again","ok":{}}}"#,
            1_767_225_600 + n / 60,
            n % 200,
            n % 251,
            n % 17,
            noise % 1_000_000,
            noise % 100,
            n % 2 == 0
        )
        .unwrap();
    }
    body.push(']');
    body
}

/// Runs the pipeline of `bench` with a folder of state and so many MiB, and returns its report, and the most memory that it held at once,
/// in MiB.
fn peak(bench: &Bench, state: &str, limit: u64) -> (Value, u64) {
    let binary = std::env::var("TIDEGATE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tidegate").to_owned());
    let folder = bench.workspace.path("");
    let limit = format!("{limit}MiB");
    let arguments = ["--state", state, "--output", "json", "--now", NOW, "--memory-limit", &limit];
    let command = [&[binary.as_str(), "run", "pipeline.yaml"], &arguments[..]].concat();
    let ran = python::run("peak.py", &[folder.to_str().unwrap()], &json!(command).to_string());
    assert_eq!(ran["code"], 0, "{ran}");
    let report = serde_json::from_str(ran["stdout"].as_str().unwrap()).unwrap();
    std::fs::remove_dir_all(bench.workspace.path("lake")).unwrap();
    let peak = ran["peak_kib"].as_u64().unwrap() / 1024;
    (report, peak)
}

#[test]
#[ignore = "it takes minutes: .ci/nightly runs it"]
fn a_slice_of_millions_of_rows_into_forty_partitions_or_two_thousand_takes_little_memory() {
    let rows = rows();
    let bench = Bench::new(Api::start(move |request| page(request, rows)));
    for (name, options, extra) in [
        ("plain", "[part]", ""),
        ("key", "[part]", "\nkey: [n]"),
        ("latest_by", "[part]", "\nkey: [n]\nlatest_by: at"),
        ("sort_by", "[part], sort_by: [client]", ""),
        ("thousands", "[many]", "\ntransform: SELECT *, n % 2000 AS many FROM records"),
    ] {
        bench.job(&format!(
            "records: '.[]'\nsnapshot: latest\npaginate: {{offset: {{into: query.offset, size: {PAGE}}}, max_pages: 100000}}{extra}
sinks: {{lake: {{parquet: {{url: ./lake, partition_by: {options}}}}}}}"
        ));
        let (report, peak) = peak(&bench, name, 256);
        assert_eq!(report[0]["jobs"][0]["slices"][0]["sinks"]["lake"]["landed"], rows, "{report}");
        assert!(peak < MOST, "{name}: {peak} MiB");
    }
}

#[test]
#[ignore = "it takes minutes: .ci/nightly runs it"]
fn slices_that_are_sorted_side_by_side_share_the_limit() {
    let rows = rows() / 20;
    let bench = Bench::new(Api::start(move |request| page(request, rows)));
    let order = "\ntransform: SELECT * FROM records ORDER BY noise";
    let group = "\ntransform: SELECT noise, client, max(n) AS n, count(*) AS of FROM records GROUP BY noise, client";
    for (name, options, extra) in [
        ("side-by-side", "", ""),
        ("side-by-side-sort_by", "sort_by: [client]", ""),
        ("side-by-side-order", "", order),
        ("side-by-side-group", "", group),
        ("side-by-side-order-sort_by", "sort_by: [client]", order),
        ("side-by-side-parts", "partition_by: [part], sort_by: [client]", ""),
    ] {
        let job = format!(
            "for_each: {{values: [1, 2, 3, 4, 5, 6, 7, 8], as: k}}\nget: /rows\nquery: {{k: '{{{{ k }}}}'}}\nrecords: '.[]'
snapshot: latest\npaginate: {{offset: {{into: query.offset, size: {PAGE}}}, max_pages: 100000}}{extra}
sinks: {{lake: {{parquet: {{url: ./lake, {options}}}}}}}"
        );
        bench.file(&format!(
            "source: {{base_url: {}, concurrency: 8}}\njobs:\n  rows:\n    {}\n",
            bench.api.url(),
            job.replace('\n', "\n    ")
        ));
        let (report, peak) = peak(&bench, name, 256);
        let slices = report[0]["jobs"][0]["slices"].as_array().unwrap();
        let landed = slices.iter().map(|slice| slice["sinks"]["lake"]["landed"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(landed, 8 * rows as u64, "{report}");
        assert!(peak < MOST_AT_ONCE, "{name}: {peak} MiB");
    }
}

#[test]
#[ignore = "it takes minutes: .ci/nightly runs it"]
fn pages_of_fifty_megabytes_stay_below_the_limit_and_a_constant() {
    let (rows, pages) = LARGE;
    let bodies: Vec<Vec<u8>> = (0..pages)
        .map(|page| {
            format!(r#"{{"total": {}, "items": {}}}"#, rows * pages, body(page * rows..(page + 1) * rows)).into()
        })
        .collect();
    assert!(bodies.iter().all(|body| body.len() > 50_000_000));
    let packed: Vec<Vec<u8>> = bodies.iter().map(|body| gzip(body)).collect();
    let bench = Bench::new(Api::start(move |request| {
        let page = request.number("offset") / rows;
        match (bodies.get(page), packed.get(page)) {
            (Some(_), Some(packed)) if request.path == "/packed" => {
                Answer::bytes(packed.clone()).header("content-encoding", "gzip")
            }
            (Some(body), _) => Answer::bytes(body.clone()),
            _ => Answer::json(&json!({"total": rows * pages, "items": []})),
        }
    }));
    let mut too_much = Vec::new();
    let side_by_side = "for_each: {values: [1, 2, 3, 4, 5, 6, 7, 8], as: k}\nquery: {k: '{{ k }}'}";
    for (name, limit, slices, job) in [
        ("eight", 256, 8, format!("{side_by_side}\nget: /rows")),
        ("eight-packed", 256, 8, format!("{side_by_side}\nget: /packed")),
        ("eight-key", 256, 8, format!("{side_by_side}\nget: /rows\nkey: [n]")),
        ("eight-little", 64, 8, format!("{side_by_side}\nget: /rows")),
        ("ahead", 256, 1, "get: /rows".to_owned()),
    ] {
        let job = format!(
            "{job}\nrecords: '.items[]'\nsnapshot: latest\npaginate: {{offset: {{into: query.offset, size: {rows}}}, total: .total}}
sinks: {{lake: {{parquet: {{url: ./lake}}}}}}"
        );
        bench.file(&format!(
            "source: {{base_url: {}, concurrency: 8}}\njobs:\n  rows:\n    {}\n",
            bench.api.url(),
            job.replace('\n', "\n    ")
        ));
        let (report, peak) = peak(&bench, name, limit);
        let landed = report[0]["jobs"][0]["slices"].as_array().unwrap().iter();
        let landed = landed.map(|slice| slice["sinks"]["lake"]["landed"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(landed, (slices * rows * pages) as u64, "{report}");
        eprintln!("{name}: {peak} MiB, with a limit of {limit}");
        too_much.extend((peak >= limit + BESIDE).then(|| format!("{name}: {peak} MiB")));
    }
    assert!(too_much.is_empty(), "{too_much:?}");
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}
