//! How much memory a large slice takes: measured, of the binary that `TIDEGATE_BIN` names, or else of the one that was built for the
//! tests. It takes minutes, so it is left to `.ci/nightly`.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW};
use crate::support::python;

/// Rows of a page.
const PAGE: usize = 10_000;

/// What a slice of any size may take, in MiB.
const MOST: u64 = 400;

fn rows() -> usize {
    std::env::var("TIDEGATE_MEMORY_ROWS").map_or(5_000_000, |rows| rows.parse().unwrap())
}

/// A page of rows of about 250 bytes, each of another of 40 partitions than the one before.
fn page(request: &Request, rows: usize) -> Answer {
    let first = request.number("offset");
    let mut body = String::from("[");
    for n in first..(first + PAGE).min(rows) {
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
    Answer::bytes(body)
}

#[test]
#[ignore = "it takes minutes: .ci/nightly runs it"]
fn a_slice_of_millions_of_rows_into_forty_partitions_takes_little_memory() {
    let rows = rows();
    let bench = Bench::new(Api::start(move |request| page(request, rows)));
    for (options, extra) in
        [("", ""), ("", "\nkey: [n]"), ("", "\nkey: [n]\nlatest_by: at"), (", sort_by: [client]", "")]
    {
        bench.job(&format!(
            "records: '.[]'\nsnapshot: latest\npaginate: {{offset: {{into: query.offset, size: {PAGE}}}, max_pages: 100000}}{extra}
sinks: {{lake: {{parquet: {{url: ./lake, partition_by: [part]{options}}}}}}}"
        ));
        let state = format!("state{}{}", options.len(), extra.len());
        let binary = std::env::var("TIDEGATE_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tidegate").to_owned());
        let folder = bench.workspace.path("");
        let arguments = ["run", "pipeline.yaml", "--state", &state, "--output", "json", "--now", NOW];
        let command = [&[binary.as_str()], &arguments[..]].concat();
        let ran = python::run("peak.py", &[folder.to_str().unwrap()], &json!(command).to_string());
        assert_eq!(ran["code"], 0, "{ran}");
        let report: serde_json::Value = serde_json::from_str(ran["stdout"].as_str().unwrap()).unwrap();
        let landed = &report[0]["jobs"][0]["slices"][0]["sinks"]["lake"];
        assert_eq!(landed["landed"], rows, "{ran}");
        let peak = ran["peak_kib"].as_u64().unwrap() / 1024;
        eprintln!("{rows} rows{extra}{options}: {peak} MiB, {} s, {landed}", ran["seconds"]);
        assert!(peak < MOST, "{peak} MiB");
        std::fs::remove_dir_all(bench.workspace.path("lake")).unwrap();
    }
}
