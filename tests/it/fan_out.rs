//! Jobs that are repeated for the rows of a job that is itself repeated for those of another.

use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, NOW};
use crate::support::duck;

const JOBS: &str = "  orgs: {get: /orgs, records: '.[]', paginate: none}
  repos:
    for_each: {rows_of: orgs, as: org, key: id, columns: {org_name: .name}}
    get: /orgs/{{ org.id }}/repos
    records: '.repos[] | select($org.id == .owner)'
    rows: '.repos | length'
    paginate: {page: {into: query.page, size: 2}}
  issues:
    for_each: {rows_of: repos, as: repo, key: [id, number], columns: {org_name: .org_name}}
    get: /orgs/{{ repo.id }}/repos/{{ repo.number }}/issues
    records: '.[]'
    key: issue
    snapshot: daily
    paginate: none
    sinks: {lake: {jsonl: {url: ./lake}}}
";

fn answer(request: &Request) -> Answer {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let number = |text: &str| text.parse::<i64>().unwrap();
    match parts.as_slice() {
        ["orgs"] => Answer::json(&json!([{"id": 1, "name": "ä"}, {"id": 2, "name": "b"}, {"id": 3, "name": "empty"}])),
        ["orgs", org, "repos"] => {
            let org = number(org);
            let repos = (0..if org == 3 { 0 } else { 3 }).map(|n| json!({"number": n, "owner": org}));
            let page = request.number("page");
            Answer::json(&json!({"repos": repos.skip((page - 1) * 2).take(2).collect::<Vec<_>>()}))
        }
        ["orgs", org, "repos", repo, "issues"] => {
            Answer::json(&(0..2).map(|n| json!({"issue": n, "at": format!("{org}/{repo}")})).collect::<Value>())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_of_a_fan_out_can_be_fanned_out_over() {
    let bench = Bench::new(Api::start(answer));
    bench.jobs(JOBS);
    assert_eq!(bench.run().fine().lines().count(), 6);
    let mut lines: Vec<String> = bench.lines().iter().map(ToString::to_string).collect();
    lines.sort();
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[0], r#"{"at":"1/0","id":1,"issue":0,"number":0,"org_name":"ä"}"#);
    assert_eq!(lines[11], r#"{"at":"2/2","id":2,"issue":1,"number":2,"org_name":"b"}"#);
    assert_eq!(bench.run().rows(), "", "a day that has landed isn't read again");
    let plan =
        bench.workspace.tidegate(&["plan", "pipeline.yaml", "--state", "state", "--now", "2026-01-04T00:00:00Z"]).run();
    insta::assert_snapshot!(plan.stdout, @r#"
    orgs: 1 slice due
      the whole list
        GET /orgs
    repos: slices not known yet
      it isn't known yet what to repeat it for: every run asks `orgs`
    issues: 6 slices due
      for the rows of `repos` as the last run saw them
      the whole list  {"id":1,"number":0}
        GET /orgs/1/repos/0/issues
      the whole list  {"id":1,"number":1}
        GET /orgs/1/repos/1/issues
      the whole list  {"id":1,"number":2}
        GET /orgs/1/repos/2/issues
      the whole list  {"id":2,"number":0}
        GET /orgs/2/repos/0/issues
      the whole list  {"id":2,"number":1}
        GET /orgs/2/repos/1/issues
      the whole list  {"id":2,"number":2}
        GET /orgs/2/repos/2/issues
    "#);
    let preview = bench.workspace.tidegate(&["preview", "pipeline.yaml", "issues", "--rows", "1", "--now", NOW]).run();
    assert_eq!(preview.code, Some(0), "{preview:?}");
    assert!(preview.stdout.contains("request: GET /orgs/2/repos/2/issues"), "{preview:?}");
}

#[test]
fn where_one_of_the_first_rows_cannot_be_read_nothing_is_repeated_for_some_of_them() {
    let bench = Bench::new(Api::start(|request| {
        if request.path == "/orgs/2/repos" { Answer::json(&json!({})).status(404) } else { answer(request) }
    }));
    bench.jobs(JOBS);
    insta::assert_snapshot!(bench.workspace.redact(&bench.run().errors().join("\n")), @"
    GET /orgs/2/repos?page=1: status 404 after 1 try: the server answered 404 Not Found; body: {}; check the path and base_url; if it means that there are no rows, say so with empty
    the rows of `repos` couldn't be read, so it isn't known what to ask for
    ");
    assert_eq!(bench.landed(), [] as [String; 0]);
}

/// What landed of a value that is gone stays, until a person says that it isn't needed; a value that comes back lands again.
#[test]
fn what_landed_of_values_that_are_gone_can_be_removed() {
    let shops = Arc::new(Mutex::new(vec![1, 2, 3]));
    let open = Arc::clone(&shops);
    let bench = Bench::new(Api::start(move |request| match request.path.as_str() {
        "/shops" => Answer::json(&open.lock().unwrap().iter().map(|id| json!({"id": id})).collect::<Value>()),
        path => Answer::json(&json!([{"stock": 1, "of": path}, {"stock": 2, "of": path}])),
    }));
    bench.jobs(
        "  shops: {get: /shops, records: '.[]', paginate: none, key: id}
  stocks: {for_each: {rows_of: shops, as: s, key: id}, get: '/shops/{{ s.id }}', records: '.[]', key: stock, snapshot: latest, paginate: none, sinks: {lake: {parquet: {url: ./lake}}}}
  days: {for_each: {rows_of: shops, as: s, key: id}, get: '/shops/{{ s.id }}', records: '.[]', key: stock, snapshot: daily, paginate: none, sinks: {lake: {parquet: {url: ./days}}}}
",
    );
    let ids = |folder: &str| {
        let files = bench.workspace.path(folder).join("**/*.parquet");
        let sql = format!("SELECT DISTINCT id FROM read_parquet('{}') ORDER BY id", files.display());
        duck::rows(&sql).iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let vacuum = |arguments: &[&str]| {
        let verb = ["vacuum", "pipeline.yaml", "--state", "state"];
        let outcome = bench.workspace.tidegate(&[&verb, arguments].concat()).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        outcome.stdout
    };
    assert_eq!(bench.run().code(), 0);
    shops.lock().unwrap().retain(|id| *id != 2);
    let fewer = bench.run();
    assert!(fewer.report.to_string().contains("stays until `tidegate vacuum --retired` removes it"), "{fewer:?}");
    assert_eq!((ids("lake"), ids("days")), (vec![1, 2, 3], vec![1, 2, 3]), "it may be a list that came back short");
    assert!(vacuum(&[]).contains("0 objects removed"));
    let would = vacuum(&["--retired", "--dry-run"]);
    assert!(
        would.contains("1 object would be removed") && would.contains(r#"of {"id":2}, which isn't among"#),
        "{would}"
    );
    assert_eq!(ids("lake"), [1, 2, 3]);
    let done = vacuum(&["--retired"]);
    assert!(
        done.contains("2 objects removed, ") && done.contains("a list of files of a generation that is gone"),
        "{done}"
    );
    assert_eq!((ids("lake"), ids("days")), (vec![1, 3], vec![1, 2, 3]), "days are history");
    let listed = fs::read_to_string(bench.workspace.path("lake/_tidegate/files.json")).unwrap();
    assert_eq!(listed.matches(".parquet").count(), 2, "{listed}");
    assert!(vacuum(&["--retired"]).contains("0 objects removed"), "once");
    shops.lock().unwrap().push(2);
    assert_eq!(bench.run().code(), 0);
    assert_eq!(ids("lake"), [1, 2, 3]);
}
