//! What the pages for people show works as it stands there.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::bench::Bench;
use crate::support::python;
use crate::support::workspace::Workspace;

fn page(below: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(below)).unwrap()
}

/// Returns the blocks of code in a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Makes a pipeline of a block: it is one, or keys of a job.
fn pipeline(block: &str) -> String {
    if block.starts_with("version:") {
        return block.to_owned();
    }
    let has = |key: &str| block.lines().any(|line| line.starts_with(&format!("{key}:")));
    let mut job = block.to_owned();
    let usual = [
        ("get", "get: /rows"),
        ("paginate", "paginate: none"),
        ("records", "records: '.rows[]'"),
        ("key", "key: id"),
        ("sinks", "sinks: {lake: {jsonl: {url: ./lake}}}"),
    ];
    let asks = |key: &str| key == "get" && has("post");
    for (_, line) in usual.iter().filter(|(key, _)| !has(key) && !asks(key)) {
        job.push_str(&format!("{line}\n"));
    }
    if !["window", "incremental", "snapshot"].into_iter().any(has) {
        job.push_str("snapshot: latest\n");
    }
    let job: String = job.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: 1\nname: x\nsource: {{base_url: 'https://api.example.com'}}\njobs:\n  rows:\n{job}")
}

/// The secrets that the pages name.
const SECRETS: [(&str, &str); 6] = [
    ("SHOP_TOKEN", "not-a-real-one"),
    ("SHOP_PASSWORD", "not-a-real-one"),
    ("SHOP_KEY", "not-a-real-one"),
    ("SHOP_KEY_SECRET", "not-a-real-one"),
    ("SHOP_CLIENT_SECRET", "not-a-real-one"),
    ("SHOP_HOOK", "https://hooks.example.com/not-a-real-one"),
];

fn assert_fine(text: &str) {
    let workspace = Workspace::new();
    workspace.write("pipeline.yaml", text);
    let validate = workspace.tidegate(&["validate", "pipeline.yaml"]);
    let outcome = SECRETS.into_iter().fold(validate, |run, (name, value)| run.env(name, value)).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{text}\n{}", outcome.stdout);
}

#[test]
fn every_pipeline_of_the_pages_is_fine() {
    let pages = [
        ("README.md", 1),
        ("docs/pipeline.md", 7),
        ("docs/sending.md", 2),
        ("docs/credentials.md", 5),
        ("docs/recipes.md", 4),
    ];
    for (name, least) in pages {
        let page = page(name);
        let blocks = blocks(&page, "yaml");
        assert!(blocks.len() >= least, "{name}");
        blocks.into_iter().for_each(|block| assert_fine(&pipeline(block)));
    }
}

#[test]
fn every_paginator_of_the_table_is_fine() {
    let page = page("docs/pipeline.md");
    let table = page.split("| the API has | write |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut tried = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.contains("`none`, with")) {
        let written = row.rsplit(" | ").next().unwrap().split('`').nth(1).unwrap();
        let paginate = match written.strip_prefix("paginate: ") {
            Some(none) => none.to_owned(),
            None => format!("{{{written}}}"),
        };
        let body = if paginate.contains("body.") { "post: /rows\nbody: {size: 10}\n" } else { "get: /rows\n" };
        assert_fine(&pipeline(&format!("{body}paginate: {paginate}\n")));
        tried += 1;
    }
    assert!(tried >= 8, "{table}");
}

#[test]
fn what_the_pages_read_is_what_landed() {
    let bench = Bench::new(Api::start(|request| {
        let row = match request.query["from"].as_str() {
            "2026-01-01" => json!({"id": 1, "created_at": "2026-01-01T05:00:00Z"}),
            _ => json!({"id": 2, "created_at": "2026-01-02T05:00:00Z", "note": "new"}),
        };
        Answer::json(&json!([row]))
    }));
    bench.job(
        "records: '.[]'\npaginate: none\nkey: id\nschema: {columns: {created_at: timestamp}}
window: {every: 1d, start: 2026-01-01T00:00:00Z, as: '%Y-%m-%d', from: query.from, to: query.to, time: created_at}
sinks: {lake: {parquet: {url: ./lake/orders, partition_by: [day(created_at)]}}}",
    );
    let ran = bench.run();
    assert_eq!(ran.code(), 0, "{ran:?}");
    let page = page("docs/pipeline.md");
    let of =
        |language: &str| blocks(&page, language).into_iter().map(|code| json!([language, code])).collect::<Vec<_>>();
    let all = [of("sql"), of("python")].concat();
    assert!(all.len() >= 4, "{all:?}");
    let asked = json!({"folder": bench.workspace.path(""), "blocks": all});
    assert_eq!(python::run("read_docs.py", &[], &asked.to_string()), json!(vec![2; all.len()]));
}

#[test]
fn the_commands_that_print_objects_for_a_cluster_do() {
    let readme = page("README.md");
    let shop = blocks(&readme, "yaml")[0];
    assert_eq!(
        page("deploy/base/shop.yaml").split_once('\n').unwrap().1,
        shop,
        "deploy/base/shop.yaml is the README's pipeline"
    );
    let workspace = Workspace::new();
    workspace.write("shop.yaml", shop);
    let texts = [readme.as_str(), &page("deploy/README.md")].join("\n").replace("\\\n", " ");
    let commands = texts.match_indices("tidegate k8s shop.yaml").map(|(at, _)| &texts[at..]);
    let commands: Vec<&str> = commands.map(|rest| rest.split(['`', '\n', '|']).next().unwrap()).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let outcome = workspace.tidegate(&arguments).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{command}");
    }
}
