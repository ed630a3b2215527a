//! Runs that a signal ends in the middle: what they had done by then is told, in each place where runs are told of.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::patience::until;
use crate::support::workspace::Workspace;

/// Two rows for each of the first two days; of the others no answer ever comes.
fn days() -> Api {
    Api::start(|request: &Request| match &request.query["from"][..10] {
        "2026-01-01" | "2026-01-02" => Answer::json(&json!([{"id": 1}, {"id": 2}])),
        _ => Answer::never(),
    })
}

fn pipeline(url: &str) -> String {
    format!(
        "version: 1\nname: p\nsource: {{base_url: '{url}'}}\njobs:\n  rows:\n    get: /rows\n    query: {{from: '', to: ''}}\n    \
         window: {{every: 1d, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.from, to: query.to}}\n    paginate: none\n    \
         records: '.[]'\n    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n"
    )
}

/// Says of a verb that looks at the state what it prints as JSON.
fn look(workspace: &Workspace, verb: &str) -> Value {
    let outcome = workspace.tidegate(&[verb, "p.yaml", "--state", "state", "--output", "json"]).run();
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:#?}"))
}

#[test]
fn what_had_landed_is_in_the_report_the_metrics_the_history_and_on_the_terminal() {
    let workspace = Workspace::new();
    workspace.write("p.yaml", &pipeline(&days().url()));
    let now = ["--now", "2026-01-07T00:00:00Z", "--state", "state"];
    for (output, verb) in [("text", "run"), ("json", "backfill")] {
        let api = days();
        workspace.write("p.yaml", &pipeline(&api.url()));
        let _ = fs::remove_dir_all(workspace.path("state"));
        let _ = fs::remove_dir_all(workspace.path("lake"));
        let wanted: &[&str] =
            if verb == "run" { &[] } else { &["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-07T00:00:00Z"] };
        let told = ["--output", output, "--report", "r.json", "--metrics-file", "m.prom"];
        let running = workspace.tidegate(&[&[verb, "p.yaml"], wanted, &now, &told].concat()).spawn();
        until("two days have landed", || look(&workspace, "status")[0]["jobs"][0]["slices"] == 2);
        running.signal("TERM");
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(143), "{outcome:#?}");
        assert!(outcome.stderr.contains("p: interrupted; 2 slices landed, and what landed stays"), "{outcome:#?}");
        let told: Value = serde_json::from_str(&fs::read_to_string(workspace.path("r.json")).unwrap()).unwrap();
        let end = &told["runs"][0];
        assert_eq!(
            (&told["exit_code"], &end["exit_code"], &end["error"]),
            (&json!(143), &json!(143), &json!("interrupted"))
        );
        let (report, job) = (&end["report"], &end["report"]["jobs"][0]);
        assert_eq!(
            (&report["stopped"], &job["left"], &job["error"]),
            (&json!("asked"), &json!({"slices": 4}), &Value::Null)
        );
        assert!(report["requests"].as_u64() >= Some(2), "{report:#}");
        let slices = job["slices"].as_array().unwrap();
        assert_eq!(slices.len(), 2, "{report:#}");
        for slice in slices {
            assert_eq!((&slice["outcome"], &slice["pages"]), (&json!("landed"), &json!(1)), "{report:#}");
            assert_eq!((&slice["rows"]["received"], &slice["sinks"]["lake"]["landed"]), (&json!(2), &json!(2)));
        }
        if output == "text" {
            let line = outcome.stdout.lines().find(|line| line.trim_start().starts_with("rows")).unwrap();
            assert!(line.contains("2 landed, 4 left"), "{}", outcome.stdout);
            assert!(outcome.stdout.contains("rows: 4 slices due, left for the next run"), "{}", outcome.stdout);
            assert!(outcome.stdout.contains("p: 4 rows of 2 slices landed"), "{}", outcome.stdout);
        } else {
            assert_eq!(&serde_json::from_str::<Value>(&outcome.stdout).unwrap()[0], report);
        }
        let metrics = fs::read_to_string(workspace.path("m.prom")).unwrap();
        for line in [
            "tidegate_runs_total{pipeline=\"p\",exit_code=\"143\"} 1",
            "tidegate_slices_total{pipeline=\"p\",job=\"rows\",outcome=\"landed\"} 2",
            "tidegate_slices_total{pipeline=\"p\",job=\"rows\",outcome=\"failed\"} 0",
            "tidegate_landed_rows_total{pipeline=\"p\",job=\"rows\"} 4",
            "tidegate_pages_total{pipeline=\"p\",job=\"rows\"} 2",
            "tidegate_last_run_failed{pipeline=\"p\"} 1",
        ] {
            assert!(metrics.lines().any(|have| have == line), "{line}: {metrics}");
        }
        assert!(!metrics.contains("tidegate_last_success_timestamp_seconds{"), "{metrics}");
        let history = look(&workspace, "history");
        let summary = &history[0]["runs"][0]["end"];
        assert_eq!(
            ["outcome", "landed", "rows", "pages", "exit_code"].map(|name| summary[name].clone()),
            [json!("interrupted"), json!(2), json!(4), json!(2), json!(143)],
            "{history:#}"
        );
    }
}

#[test]
fn a_daemon_that_is_told_to_end_counts_what_it_leaves_unsent() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let api = Api::start(move |request: &Request| {
        while request.method == "GET" && !gate.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Answer::json(&json!([{"id": 1}, {"id": 2}, {"id": 3}]))
    });
    let workspace = Workspace::new();
    let text = format!(
        "version: 1\nname: p\nschedule: {{cron: '* * * * * *', overlap: skip}}\nsource: {{base_url: '{url}'}}\njobs:\n  rows:\n    get: /rows\n    \
         paginate: none\n    records: '.[]'\n    snapshot: latest\n    sinks:\n      desk: {{http: {{base_url: '{url}', post: /desk, key: [id], \
         body: {{id: '{{{{ row.id }}}}'}}}}}}\n",
        url = api.url()
    );
    workspace.write("pipelines/p.yaml", &text);
    let serve = ["serve", "pipelines", "--state", "state", "--output", "json", "--listen", "none"];
    let daemon = workspace.tidegate(&serve).spawn();
    until("the rows were asked for", || !api.asked().is_empty());
    daemon.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    open.store(true, Ordering::SeqCst);
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(api.asked().iter().all(|request| request.method == "GET"), "nothing is begun any more");
    let mut events = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let end = events.rfind(|event| event["event"] == "ended").unwrap()["end"].clone();
    assert_eq!((&end["exit_code"], &end["report"]["stopped"]), (&json!(5), &json!("asked")), "{end:#}");
    assert_eq!(end["report"]["jobs"][0]["slices"][0]["rows"]["transformed"], 3, "{end:#}");
    let desk = &end["report"]["deliveries"][0];
    assert_eq!(
        [&desk["rows"], &desk["sent"], &desk["left"], &desk["error"]],
        [&json!(3), &json!(0), &json!(3), &Value::Null]
    );
}

#[test]
fn what_a_daemon_was_sending_when_its_grace_was_over_is_counted() {
    let api = Api::start(|request: &Request| match (request.method.as_str(), request.body.as_str()) {
        ("POST", body) if body.contains('2') => Answer::never(),
        ("POST", _) => Answer::json(&json!({})),
        _ => Answer::json(&json!([{"id": 1}, {"id": 2}, {"id": 3}])),
    });
    let workspace = Workspace::new();
    let sink = |name: &str| {
        let url = api.url();
        format!(
            "      {name}: {{http: {{base_url: '{url}', post: /{name}, key: [id], body: {{id: '{{{{ row.id }}}}'}}}}}}\n"
        )
    };
    let text = format!(
        "version: 1\nname: p\nschedule: {{cron: '* * * * * *', overlap: skip}}\nsource: {{base_url: '{}'}}\njobs:\n  rows:\n    get: /rows\n    \
         paginate: none\n    records: '.[]'\n    snapshot: latest\n    sinks:\n{}{}",
        api.url(),
        sink("first"),
        sink("second")
    );
    workspace.write("p.yaml", &text);
    workspace.write("pipelines/p.yaml", &text);
    let serve = ["serve", "pipelines", "--state", "state", "--output", "json", "--listen", "none", "--grace", "1s"];
    let daemon = workspace.tidegate(&serve).spawn();
    until("the second row is out", || api.asked().iter().filter(|request| request.method == "POST").count() == 2);
    daemon.signal("TERM");
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(143), "{outcome:#?}");
    let mut events = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let end = events.rfind(|event| event["event"] == "ended").unwrap()["end"].clone();
    assert_eq!((&end["exit_code"], &end["error"]), (&json!(143), &json!("interrupted")), "{end:#}");
    assert_eq!(end["report"]["jobs"][0]["slices"][0]["rows"]["transformed"], 3, "{end:#}");
    assert_eq!(end["report"]["jobs"][0]["left"], Value::Null, "{end:#}");
    let sent: Vec<_> = end["report"]["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sink| ["rows", "sent", "left", "error"].map(|name| sink[name].clone()))
        .collect();
    assert_eq!(
        sent,
        [[json!(3), json!(1), json!(2), Value::Null], [json!(3), json!(0), json!(3), Value::Null]],
        "{end:#}"
    );
    let history = look(&workspace, "history");
    let summary = &history[0]["runs"][0]["end"];
    assert_eq!(
        (&summary["outcome"], &summary["landed"], &summary["rows"]),
        (&json!("interrupted"), &json!(1), &json!(3)),
        "{history:#}"
    );
    // A delivery by hand is told in the same way.
    let delivery = workspace.tidegate(&["deliver", "p.yaml", "--state", "state"]).spawn();
    until("the second row is out again", || api.asked().iter().filter(|request| request.method == "POST").count() == 3);
    delivery.signal("INT");
    let outcome = delivery.wait();
    assert_eq!(outcome.code, Some(130), "{outcome:#?}");
    assert!(
        outcome.stdout.contains("rows first: interrupted; what has landed stays landed, and 2 rows left to send"),
        "{outcome:#?}"
    );
    assert!(
        outcome.stdout.contains("rows second: interrupted; what has landed stays landed, and 3 rows left to send"),
        "{outcome:#?}"
    );
}
