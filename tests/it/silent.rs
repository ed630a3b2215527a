//! A daemon whose ledger, file or store never answers: the others go on, it is told, and the process ends when it is told to. And what
//! a hang-up does.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::page::Site;
use crate::support::api::{Answer, Api};
use crate::support::patience::until;
use crate::support::workspace::Workspace;

/// A pipeline that is run each second, and lands a snapshot of `/NAME`; `more` is of its source.
fn pipeline(name: &str, url: &str, more: &str) -> String {
    format!(
        "version: 1\nname: {name}\nschedule: {{cron: '* * * * * *'}}\nsource: {{base_url: '{url}'{more}}}\njobs:\n  rows:\n    get: /{name}\n    \
         paginate: none\n    records: '.[]'\n    snapshot: latest\n    sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}}}\n"
    )
}

fn asked(api: &Api, path: &str) -> usize {
    api.asked().iter().filter(|request| request.path == path).count()
}

fn events(stdout: &str, kind: &str) -> Vec<Value> {
    let all = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["event"] == kind).collect()
}

/// Makes a named pipe: whoever opens it to read waits until somebody writes.
fn pipe(workspace: &Workspace, at: &str) {
    let path = workspace.write(at, "");
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Answers whoever waits for a pipe.
fn answer(workspace: &Workspace, at: &str, text: &str) {
    let mut pipe = std::fs::OpenOptions::new().write(true).open(workspace.path(at)).unwrap();
    pipe.write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_never_answers_holds_up_no_other_pipeline_and_is_told() {
    let api = Api::always(Answer::json(&json!([{"id": 1}])));
    let workspace = Workspace::new();
    // By name they come before the one that is well.
    workspace.write("pipelines/a-ledger.yaml", &pipeline("a-ledger", &api.url(), ""));
    workspace.write("pipelines/a-secret.yaml", &pipeline("a-secret", &api.url(), ", headers: {x-key: '${file:key}'}"));
    workspace.write("pipelines/good.yaml", &pipeline("good", &api.url(), ""));
    pipe(&workspace, "pipelines/a-pipe.yaml");
    pipe(&workspace, "pipelines/key");
    std::fs::hard_link(workspace.path("pipelines/key"), workspace.path("pipe")).unwrap();
    pipe(&workspace, "state/a-ledger/paused.json");
    let site = Site::start(&workspace, &["--output", "json", "--max-concurrent-runs", "1"]);
    until("two runs of the one that is well", || asked(&api, "/good") >= 2);
    site.until("/", |page| page.contains("a-pipe.yaml isn't a regular file, but a named pipe"));
    let silent = ["a-secret.yaml hasn't answered for ", "the ledger hasn't answered for "];
    site.until("/", |page| silent.iter().all(|said| page.contains(said)));
    let trouble = "tidegate_schedule_trouble{pipeline=\"a-ledger\"} 1";
    site.until("/metrics", |metrics| metrics.lines().any(|line| line == trouble));
    let before = asked(&api, "/good");
    until("the one that is well goes on", || asked(&api, "/good") >= before + 2);
    assert_eq!((asked(&api, "/a-ledger"), asked(&api, "/a-secret")), (0, 0));
    // Once its secret can be read, the pipeline runs.
    let key = workspace.write("key", "k");
    std::fs::rename(key, workspace.path("pipelines/key")).unwrap();
    answer(&workspace, "pipe", "k");
    until("a run with the secret", || asked(&api, "/a-secret") >= 1);
    site.daemon.signal("TERM");
    let outcome = site.daemon.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let told = events(&outcome.stdout, "trouble");
    assert!(told.len() == 1 && told[0]["pipeline"] == "a-ledger", "{told:#?}");
    assert!(told[0]["error"].as_str().unwrap().starts_with("the ledger hasn't answered for "), "{told:#?}");
    let refused: Vec<String> =
        events(&outcome.stdout, "refused").iter().map(|event| event["error"].to_string()).collect();
    assert!(
        refused.iter().filter(|why| why.contains("a-secret.yaml hasn't answered for ")).count() == 1,
        "{refused:#?}"
    );
    assert!(refused.iter().filter(|why| why.contains("a named pipe")).count() == 1, "{refused:#?}");
}

#[test]
fn a_store_that_never_answers_keeps_no_daemon_from_ending_and_nothing_begins() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", silent.local_addr().unwrap());
    let workspace = Workspace::new();
    for name in ["a", "b"] {
        workspace.write(&format!("pipelines/{name}.yaml"), &pipeline(name, "http://127.0.0.1:9", ""));
    }
    let serve = ["serve", "pipelines", "--state", "s3://lake/state", "--output", "json", "--listen", "none"];
    let daemon = workspace.tidegate(&serve);
    // Far longer than the test waits for the end.
    let environment = [
        ("AWS_ENDPOINT_URL", at.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_TIMEOUT", "3600 s"),
    ];
    let daemon = environment.into_iter().fold(daemon, |daemon, (name, value)| daemon.env(name, value)).spawn();
    let heard = silent.accept().unwrap();
    daemon.signal("TERM");
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert_eq!(events(&outcome.stdout, "draining")[0]["runs"], 0, "{outcome:#?}");
    assert!(events(&outcome.stdout, "began").is_empty(), "{outcome:#?}");
    drop(heard);
}

#[test]
fn a_hang_up_ends_a_run_as_sigterm_does_but_not_one_that_is_to_outlive_it() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let api = Api::start(move |_| Answer::json(&json!([{"id": 1}])).once(Some(Arc::clone(&gate))));
    let workspace = Workspace::new();
    workspace.write("p.yaml", &pipeline("p", &api.url(), ""));
    for (outlives, code) in [(false, 143), (true, 0)] {
        let before = asked(&api, "/p");
        let run = workspace.tidegate(&["run", "p.yaml", "--state", "state"]).outliving_its_terminal(outlives).spawn();
        until("a request", || asked(&api, "/p") > before);
        run.signal("HUP");
        open.store(outlives, Ordering::SeqCst);
        let outcome = run.wait();
        assert_eq!(outcome.code, Some(code), "{outcome:#?}");
        let history = workspace.tidegate(&["history", "p.yaml", "--state", "state"]).run();
        assert!(history.code == Some(0) && !history.stdout.contains("died"), "{history:#?}");
    }
}

#[test]
fn a_hang_up_has_a_daemon_look_again_and_go_on() {
    let api = Api::always(Answer::json(&json!([{"id": 1}])));
    let workspace = Workspace::new();
    workspace.write("pipelines/p.yaml", &pipeline("p", &api.url(), ""));
    let serve = ["serve", "pipelines", "--state", "state", "--output", "json", "--listen", "none"];
    let daemon = workspace.tidegate(&serve).spawn();
    until("a run", || asked(&api, "/p") >= 1);
    daemon.signal("HUP");
    let before = asked(&api, "/p");
    until("it goes on", || asked(&api, "/p") >= before + 2);
    daemon.signal("TERM");
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let ended = events(&outcome.stdout, "ended");
    let well = |end: &Value| end["exit_code"] == 0 || end["report"]["stopped"] == "asked";
    assert!(ended.iter().all(|event| well(&event["end"])), "{ended:#?}");
}
