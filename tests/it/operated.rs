//! What goes wrong around the daemon and a run: nobody reads what is printed, the folder goes away, another process holds the pipeline.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::workspace::Workspace;

/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} hasn't come to pass within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pipeline that is run each second where a daemon runs it, and lands a snapshot of `/NAME`.
fn pipeline(name: &str, url: &str) -> String {
    format!(
        "version: 1\nname: {name}\nschedule: {{cron: '* * * * * *'}}\nsource: {{base_url: '{url}'}}\njobs:\n  rows:\n    get: /{name}\n    \
         paginate: none\n    records: '.[]'\n    snapshot: latest\n    sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}}}\n"
    )
}

/// A server that answers `/bad` with an error, and all else with two rows.
fn api() -> Api {
    Api::start(|request| {
        if request.path == "/bad" {
            return Answer::json(&json!({"error": "broken"})).status(400);
        }
        Answer::json(&json!([{"id": 1}, {"id": 2}]))
    })
}

fn asked(api: &Api, path: &str) -> usize {
    api.asked().iter().filter(|request| request.path == path).count()
}

#[test]
fn a_daemon_goes_on_where_nobody_can_read_what_it_says() {
    for said in [">/dev/full", ">/dev/full 2>/dev/full", "a pipe that is closed"] {
        let (api, workspace) = (api(), Workspace::new());
        for name in ["good", "bad"] {
            workspace.write(&format!("pipelines/{name}.yaml"), &pipeline(name, &api.url()));
        }
        let daemon = ["serve", "pipelines", "--state", "state", "--listen", "127.0.0.1:0", "--log", "info"];
        let daemon = workspace.tidegate(&daemon);
        let daemon = if said.starts_with('>') { daemon.redirected(said) } else { daemon.read_for_one_line() }.spawn();
        until("some runs of each", || ["/good", "/bad"].iter().all(|path| asked(&api, path) >= 3));
        daemon.signal("TERM");
        let outcome = daemon.wait();
        assert_eq!(outcome.code, Some(0), "{said}: {outcome:#?}");
        let history = workspace.tidegate(&["history", "pipelines/good.yaml", "--state", "state"]).run();
        assert!(history.code == Some(0) && !history.stdout.contains("died"), "{said}: {history:#?}");
        let warned = outcome.stderr.matches("what happens can't be told on standard output").count();
        assert_eq!(warned, usize::from(!said.contains("2>")), "{said}: {outcome:#?}");
    }
}

#[test]
fn a_run_does_all_it_was_told_and_ends_as_it_went_where_nobody_can_read_of_it() {
    for (said, output) in [(">/dev/full", "text"), (">/dev/full", "json"), (">/dev/full 2>/dev/full", "text")] {
        let (api, workspace) = (api(), Workspace::new());
        for name in ["bad", "good"] {
            workspace.write(&format!("{name}.yaml"), &pipeline(name, &api.url()));
        }
        let run = ["run", "bad.yaml", "good.yaml", "--report", "r.json", "--output", output, "--log", "info"];
        let run = workspace.tidegate(&run).redirected(said).run();
        assert_eq!((run.code, asked(&api, "/good")), (Some(3), 1), "{said} {output}: {run:#?}");
        assert!(workspace.path("lake/good/_tidegate/files.json").exists(), "{said} {output}");
        let report: Value = serde_json::from_str(&std::fs::read_to_string(workspace.path("r.json")).unwrap()).unwrap();
        assert_eq!((&report["exit_code"], report["runs"].as_array().map(Vec::len)), (&json!(3), Some(2)), "{report:#}");
        assert_eq!(run.stderr.contains("what was done can't be printed"), !said.contains("2>"), "{run:#?}");
    }
}
