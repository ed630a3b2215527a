//! Where runs are told of besides: places that aren't files, advice that can be typed as it stands, and what nobody may read there.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::page::{Site, TOKEN};
use crate::support::api::{Answer, Api};
use crate::support::workspace::{Outcome, Workspace};

fn pipeline(url: &str, job: &str, more: &str) -> String {
    format!(
        "version: 1\nname: p\nsource: {{base_url: '{url}'}}\njobs:\n  rows:\n    get: /rows\n    paginate: none\n    records: '.[]'\n    \
         snapshot: latest\n{job}    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n{more}"
    )
}

fn run(workspace: &Workspace, more: &[&str]) -> Outcome {
    workspace.tidegate(&[&["run", "p.yaml", "--state", "state"], more].concat()).run()
}

#[test]
fn reports_and_metrics_go_behind_links_and_into_what_is_no_file() {
    let api = Api::always(Answer::json(&json!([{"id": 1}])));
    let workspace = Workspace::new();
    workspace.write("p.yaml", &pipeline(&api.url(), "", ""));
    workspace.write("there/r.json", "old");
    symlink("there/r.json", workspace.path("r.json")).unwrap();
    symlink("there/m.prom", workspace.path("m.prom")).unwrap();
    let fine = run(&workspace, &["--report", "r.json", "--metrics-file", "m.prom"]);
    assert_eq!((fine.code, fine.stderr.as_str()), (Some(0), ""), "{fine:#?}");
    for link in ["r.json", "m.prom"] {
        assert!(workspace.path(link).is_symlink(), "{link}");
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(workspace.path("there/r.json")).unwrap()).unwrap();
    assert_eq!(report["exit_code"], 0);
    assert!(fs::read_to_string(workspace.path("there/m.prom")).unwrap().contains("tidegate_runs_total{"));
    // Behind links, so that this machine keeps its devices whatever becomes of the test.
    symlink("/dev/full", workspace.path("full")).unwrap();
    assert!(Command::new("mkfifo").arg(workspace.path("pipe")).status().unwrap().success());
    let lost = run(&workspace, &["--report", "full", "--metrics-file", "pipe"]);
    assert_eq!(lost.code, Some(0), "{lost:#?}");
    assert!(lost.stderr.contains("the report can't be delivered to full: No space left on device"), "{lost:#?}");
    assert!(lost.stderr.contains("the metrics can't be written to pipe: it is a pipe that nobody reads"), "{lost:#?}");
    assert!(workspace.path("full").is_symlink());
    assert!(fs::metadata(workspace.path("pipe")).unwrap().file_type().is_fifo());
    symlink("/dev/stdout", workspace.path("out")).unwrap();
    for to in ["out", "/dev/stdout"] {
        let told = run(&workspace, &["--output", "json", "--report", to]);
        assert_eq!(told.code, Some(0), "{told:#?}");
        let documents = serde_json::Deserializer::from_str(&told.stdout).into_iter::<Value>();
        let documents: Vec<Value> = documents.map(Result::unwrap).collect();
        assert_eq!((documents.len(), &documents[1]["runs"][0]["report"]), (2, &documents[0][0]), "{told:#?}");
    }
    let redirected = workspace.tidegate(&["run", "p.yaml", "--state", "state", "--report", "/dev/stdout"]);
    assert_eq!(redirected.redirected(">said").run().code, Some(0));
    let said = fs::read_to_string(workspace.path("said")).unwrap();
    let (table, report) = said.split_once("\n{").unwrap();
    assert!(table.contains("p: ") && report.contains("\"exit_code\": 0"), "{said}");
}

#[test]
fn what_is_advised_finds_the_state_and_one_that_is_not_there_is_said() {
    let api = Api::always(Answer::json(&json!([{"id": 1}, "none"])));
    let workspace = Workspace::new();
    workspace.write("p.yaml", &pipeline(&api.url(), "", ""));
    let ran = run(&workspace, &[]);
    let advice = "tidegate quarantine show p.yaml rows --state state";
    assert!(ran.stdout.contains(&format!("1 row in quarantine; the first: the row expected an object, got string \"none\"; `{advice}` has the reasons")), "{ran:#?}");
    let typed: Vec<&str> = advice.split(' ').skip(1).collect();
    let shown = workspace.tidegate(&typed).run();
    assert!(shown.stdout.contains("expected an object"), "{shown:#?}");
    for verb in ["show", "list"] {
        let elsewhere = workspace.tidegate(&["quarantine", verb, "p.yaml"]).run();
        assert_eq!(elsewhere.code, Some(0), "{elsewhere:#?}");
        let said = "nothing has run yet with the state in ./.tidegate: give the --state that the run was given\n";
        assert_eq!(elsewhere.stdout, said);
    }
}

#[test]
fn rows_that_a_condition_left_out_are_told() {
    let api = Api::always(Answer::json(&json!([{"id": 1}, {"id": 2}, {"id": 3}])));
    let workspace = Workspace::new();
    let file = pipeline(&api.url(), "", "");
    let sinks = file.replace("{jsonl: {url: ./lake}}", "{jsonl: {url: ./lake}, where: id > 2}");
    assert_ne!(sinks, file);
    workspace.write("p.yaml", &sinks);
    let ran = run(&workspace, &[]);
    assert!(ran.stdout.contains("rows: 2 rows left out by the `where` of sink `lake`"), "{ran:#?}");
}

#[test]
fn what_lets_in_is_not_said_again_though_a_server_says_it() {
    let api = Api::start(|request| match request.path.as_str() {
        "/rows" => Answer::json(&json!({"error": "no"})).status(404),
        path => {
            let key = request.headers.get("x-hook").cloned().unwrap_or_default();
            let last = path.rsplit('/').next().unwrap();
            Answer::json(&json!({"error": format!("{key} may not post to {last} as {}", request.query["user"])}))
                .status(400)
        }
    });
    let workspace = Workspace::new();
    workspace.write("key", "hunter22");
    let hook = format!(
        "on_failure: {{post: '{}/services/T0000001/abcdefghij?user=somebody', headers: {{x-hook: '${{file:key}}'}}}}\n",
        api.url()
    );
    workspace.write("p.yaml", &pipeline(&api.url(), "    query: {sig: lit, 'x-token': lit2, page: 1}\n", &hook));
    let failed = run(&workspace, &["--report", "r.json"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    let report = fs::read_to_string(workspace.path("r.json")).unwrap();
    let history = workspace.tidegate(&["history", "p.yaml", "--state", "state", "--output", "json"]).run().stdout;
    assert!(failed.stderr.contains("a hook can't be sent"), "{failed:#?}");
    assert!(failed.stderr.contains("[redacted] may not post to [redacted] as [redacted]"), "{failed:#?}");
    for said in [&failed.stderr, &failed.stdout, &report, &history] {
        for secret in ["hunter22", "abcdefghij", "somebody", "sig=lit", "lit2"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
    assert!(report.contains("page=1"), "{report}");
}

#[test]
fn what_cannot_be_done_on_the_page_is_told_with_its_cause() {
    let workspace = Workspace::new();
    workspace.write("pipelines/p.yaml", &pipeline("http://127.0.0.1:9", "", "schedule: {cron: '0 0 1 1 *'}\n"));
    workspace.write("state/p", "a file in the place of a folder");
    workspace.write("token", TOKEN);
    let site = Site::start(&workspace, &["--token-file", "token"]);
    site.until("/", |body| body.contains(">p</a>"));
    let page = site.post("/p/p/do/pause", &[&format!("authorization: Bearer {TOKEN}")], "");
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(page.body.contains("paused.json") && page.body.contains("os error"), "{}", page.body);
}
