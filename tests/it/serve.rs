//! The daemon, from outside: the binary over a folder, against a server that says when it may go on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::patience::until;
use crate::support::workspace::{Running, Workspace};

fn pipeline(name: &str, schedule: &str, url: &str) -> String {
    format!(
        "version: 1\nname: {name}\nschedule: {{{schedule}}}\nsource: {{base_url: '{url}'}}\njobs:\n  rows:\n    get: /{name}\n    \
         paginate: none\n    records: '.[]'\n    snapshot: latest\n    sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}}}\n"
    )
}

fn rows() -> Answer {
    Answer::json(&json!([{"id": 1}, {"id": 2}]))
}

fn serve(workspace: &Workspace, more: &[&str]) -> Running {
    let all = [&["serve", "pipelines", "--state", "state", "--output", "json", "--listen", "none"], more].concat();
    workspace.tidegate(&all).spawn()
}

/// The events of a daemon that has ended, of one kind.
fn events(stdout: &str, kind: &str) -> Vec<Value> {
    let all = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["event"] == kind).collect()
}

fn asked(api: &Api, path: &str) -> usize {
    api.asked().iter().filter(|request| request.path == path).count()
}

fn settled(workspace: &Workspace, pipeline: &str) -> Option<u64> {
    let names = std::fs::read_dir(workspace.path(&format!("state/{pipeline}/settled"))).ok()?;
    let numbers = names.filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.parse().ok());
    numbers.max()
}

#[test]
fn pipelines_run_on_their_own_schedules_and_changes_of_the_folder_count() {
    let api = Api::always(rows());
    let workspace = Workspace::new();
    workspace.write("pipelines/fast.yaml", &pipeline("fast", "cron: '* * * * * *'", &api.url()));
    workspace.write("pipelines/never.yaml", &pipeline("never", "cron: '0 0 1 1 *'", &api.url()));
    workspace.write("pipelines/notes.txt", "not a pipeline");
    let daemon = serve(&workspace, &[]);
    until("two runs", || asked(&api, "/fast") >= 2);
    assert_eq!(asked(&api, "/never"), 0);
    // One more, one that is broken, and one that has a name that is taken.
    workspace.write("pipelines/late.yaml", &pipeline("late", "cron: '* * * * * *'", &api.url()));
    workspace.write("pipelines/twin.yaml", &pipeline("late", "cron: '* * * * * *'", &api.url()));
    until("a run of the new file", || asked(&api, "/late") >= 1);
    workspace.write("pipelines/late.yaml", "version: 1\nname: late\nnonsense: true\n");
    let before = asked(&api, "/late");
    until("the old one goes on", || asked(&api, "/late") >= before + 3);
    std::fs::remove_file(workspace.path("pipelines/fast.yaml")).unwrap();
    workspace.write("pipelines/last.yaml", &pipeline("last", "cron: '* * * * * *'", &api.url()));
    until("the folder was looked at", || asked(&api, "/last") >= 1);
    let gone = asked(&api, "/fast");
    let seen = asked(&api, "/last");
    until("some seconds have passed", || asked(&api, "/last") >= seen + 3);
    assert!(asked(&api, "/fast") <= gone + 1, "its file is gone");
    daemon.signal("TERM");
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let refused: Vec<String> = events(&outcome.stdout, "refused").iter().map(ToString::to_string).collect();
    assert!(refused.iter().any(|event| event.contains("nonsense")), "{refused:#?}");
    assert!(refused.iter().any(|event| event.contains("give one of them another name")), "{refused:#?}");
    let ended = events(&outcome.stdout, "ended");
    // The last one may have begun just before the daemon was told to end.
    let well = |end: &Value| end["exit_code"] == 0 || end["report"]["stopped"] == "asked";
    assert!(ended.iter().all(|event| well(&event["end"])), "{ended:#?}");
    let mut instants: Vec<String> = ended
        .iter()
        .filter(|event| event["end"]["pipeline"] == "fast")
        .map(|event| event["end"]["scheduled_for"].as_str().unwrap().to_owned())
        .collect();
    let all = instants.len();
    instants.dedup();
    assert_eq!(instants.len(), all, "each instant once");
}

/// A server that holds its answers back until it is told, and the count of those that wait.
fn held_back() -> (Api, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (open, waiting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (gate, count) = (Arc::clone(&open), Arc::clone(&waiting));
    let api = Api::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        if gate.load(Ordering::SeqCst) { rows() } else { Answer::never() }
    });
    (api, open, waiting)
}

#[test]
fn told_to_end_in_the_middle_of_a_slice_it_throws_away_and_the_next_one_makes_up_for_it() {
    let (api, open, waiting) = held_back();
    let workspace = Workspace::new();
    workspace.write("pipelines/p.yaml", &pipeline("p", "cron: '* * * * * *', overlap: skip", &api.url()));
    let daemon = serve(&workspace, &["--grace", "1s"]);
    until("a request", || waiting.load(Ordering::SeqCst) > 0);
    let before = settled(&workspace, "p").unwrap();
    daemon.signal("TERM");
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(143), "{outcome:#?}");
    let ended = events(&outcome.stdout, "ended");
    assert_eq!(ended.len(), 1, "{outcome:#?}");
    assert_eq!(ended[0]["end"]["exit_code"], 143);
    assert_eq!(settled(&workspace, "p"), Some(before), "the instant isn't done with");
    assert!(!workspace.path("lake/p").join("_tidegate/files.json").exists());
    // It is made up for at once, though the next instant is far away.
    open.store(true, Ordering::SeqCst);
    let daemon = serve(&workspace, &[]);
    until("it has landed", || workspace.path("lake/p/_tidegate/files.json").exists());
    daemon.signal("INT");
    assert_eq!(daemon.wait().code, Some(0));
}

#[test]
fn after_it_was_killed_the_last_instant_is_made_up_for_once_or_not_at_all() {
    for (catch_up, runs) in [("latest", 1), ("none", 0)] {
        let api = Api::always(rows());
        let workspace = Workspace::new();
        // Once an hour: the last instant lies within the day that the note is set back by.
        let text = pipeline("p", &format!("cron: '0 0 */1 * * *', catch_up: {catch_up}"), &api.url());
        workspace.write("pipelines/p.yaml", &text);
        let daemon = serve(&workspace, &[]);
        until("the pipeline is known", || settled(&workspace, "p").is_some());
        daemon.kill();
        // As if it had been dead for a day.
        let note = settled(&workspace, "p").unwrap();
        let folder = workspace.path("state/p/settled");
        let name = |seconds: u64| folder.join(format!("{seconds:020}.json"));
        std::fs::rename(name(note), name(note - 86_400)).unwrap();
        let daemon = serve(&workspace, &[]);
        until("the instants are settled", || settled(&workspace, "p").is_some_and(|now| now > note - 7200));
        daemon.signal("TERM");
        let outcome = daemon.wait();
        let ended = events(&outcome.stdout, "ended");
        assert!(ended.len() >= runs && ended.len() <= runs + 1, "{catch_up}: {outcome:#?}");
        if runs == 0 {
            let skipped = events(&outcome.stdout, "skipped");
            assert_eq!(skipped[0]["why"], "missed", "{outcome:#?}");
        }
    }
}

#[test]
fn a_paused_pipeline_is_not_run_until_it_is_resumed() {
    let api = Api::always(rows());
    let workspace = Workspace::new();
    workspace.write("pipelines/p.yaml", &pipeline("p", "cron: '* * * * * *'", &api.url()));
    workspace.write("pipelines/clock.yaml", &pipeline("clock", "cron: '* * * * * *'", &api.url()));
    let nowhere = workspace.tidegate(&["pause", "pipelines/p.yaml", "--state", "state"]).run();
    assert!(nowhere.code == Some(2) && nowhere.stderr.contains("there is no ledger of it in state"), "{nowhere:#?}");
    assert!(!workspace.path("state").exists(), "nothing was made");
    // What came in a pause that no daemon saw isn't made up for; the next daemon finds it settled.
    let ran = workspace.tidegate(&["run", "pipelines/p.yaml", "--state", "state"]).run();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let switch = |verb: &str| {
        let switched = workspace.tidegate(&[verb, "pipelines/p.yaml", "--state", "state"]).run();
        assert_eq!(switched.code, Some(0), "{switched:#?}");
    };
    let before = 1_700_000_000;
    std::fs::create_dir_all(workspace.path("state/p/settled")).unwrap();
    workspace.write(&format!("state/p/settled/{before:020}.json"), r#"{"format":1,"schedule":"* * * * * * UTC"}"#);
    workspace.write("state/p/paused.json", r#"{"format":1,"at":"2023-11-14T22:13:20Z"}"#);
    switch("resume");
    assert!(settled(&workspace, "p").is_some_and(|now| now > before + 3600), "the pause is over, and so is its time");
    let paused = workspace.tidegate(&["pause", "pipelines/p.yaml", "--state", "state"]).run();
    assert_eq!(paused.stdout, "p: paused: no run on schedule until it is resumed\n", "{paused:#?}");
    let daemon = serve(&workspace, &[]);
    until("some seconds have passed", || asked(&api, "/clock") >= 3);
    assert_eq!(asked(&api, "/p"), 1, "the run by hand");
    let resumed = workspace.tidegate(&["resume", "pipelines/p.yaml", "--state", "state"]).run();
    assert_eq!(resumed.code, Some(0), "{resumed:#?}");
    until("it runs again", || asked(&api, "/p") >= 2);
    daemon.signal("TERM");
    let outcome = daemon.wait();
    assert!(events(&outcome.stdout, "skipped").iter().any(|event| event["why"] == "paused"), "{outcome:#?}");
}

#[test]
fn an_instant_that_meets_a_run_is_skipped_and_no_more_runs_go_on_than_allowed() {
    let (api, _, waiting) = held_back();
    let workspace = Workspace::new();
    for name in ["a", "b"] {
        workspace.write(&format!("pipelines/{name}.yaml"), &pipeline(name, "cron: '* * * * * *'", &api.url()));
    }
    workspace.write("pipelines/p.yaml", &pipeline("p", "cron: '* * * * * *'", &api.url()));
    let daemon = serve(&workspace, &["--max-concurrent-runs", "1", "--grace", "0s"]);
    until("a request", || waiting.load(Ordering::SeqCst) > 0);
    std::thread::sleep(Duration::from_secs(3));
    daemon.signal("INT");
    let outcome = daemon.wait();
    assert_eq!(outcome.code, Some(130), "{outcome:#?}");
    assert_eq!(events(&outcome.stdout, "began").len(), 1, "{outcome:#?}");
    assert_eq!(api.most_at_once(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let outcome = Workspace::new().tidegate(&["serve", "nowhere"]).run();
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("the folder nowhere can't be read"), "{outcome:#?}");
}

#[test]
fn hooks_and_reports_tell_of_a_run_and_never_fail_it() {
    let api = Api::start(|request| match request.path.as_str() {
        "/good" => rows(),
        "/hook" | "/report" => Answer::json(&json!({})),
        _ => Answer::json(&json!({"error": "broken"})).status(400),
    });
    let workspace = Workspace::new();
    let hooks = |text: &str| {
        format!(
            "{text}on_success: {{post: '{url}/hook?secret=1', headers: {{x-run: '{{{{ run.id }}}}'}}, body: {{text: '{{{{ run.pipeline }}}}: {{{{ run.rows.landed }}}} rows', code: '{{{{ run.exit_code }}}}'}}}}\non_failure: {{post: '{url}/hook'}}\n",
            url = api.url()
        )
    };
    let good = workspace.write("good.yaml", &hooks(&pipeline("good", "cron: '@daily'", &api.url())));
    let bad = workspace.write("bad.yaml", &hooks(&pipeline("bad", "cron: '@daily'", &api.url())));
    let report = format!("{}/report", api.url());
    let run = |file: &Path, to: &str| workspace.tidegate(&["run", file.to_str().unwrap(), "--report", to]).run();
    assert_eq!(run(&good, "report.json").code, Some(0));
    assert_eq!(run(&bad, &report).code, Some(1));
    let told = |path: &str| api.asked().into_iter().filter(|request| request.path == path).collect::<Vec<_>>();
    let hooks = told("/hook");
    assert_eq!(hooks.len(), 2, "once a run: {hooks:#?}");
    assert_eq!(serde_json::from_str::<Value>(&hooks[0].body).unwrap(), json!({"text": "good: 2 rows", "code": 0}));
    assert_eq!(hooks[0].query["secret"], "1");
    assert!(hooks[0].headers["idempotency-key"].ends_with("-on_success"), "{:#?}", hooks[0]);
    let own: Value = serde_json::from_str(&hooks[1].body).unwrap();
    assert_eq!((&own["pipeline"], &own["exit_code"]), (&json!("bad"), &json!(1)), "{own:#}");
    let posted = told("/report");
    assert_eq!(posted.len(), 1);
    let schema = serde_json::from_str(&workspace.tidegate(&["schema", "--report"]).run().stdout).unwrap();
    let written = std::fs::read_to_string(workspace.path("report.json")).unwrap();
    for complaints in crate::support::python::check_json_schema(&schema, &[&written, &posted[0].body]) {
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
    let document: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(document["runs"][0]["report"]["requests"], 1, "{document:#}");
    // Nobody there: the run ends as it would.
    let lost = workspace.tidegate(&["run", good.to_str().unwrap(), "--report", "no/such/folder/r.json"]).run();
    assert_eq!(lost.code, Some(0), "{lost:#?}");
    assert!(lost.stderr.contains("the report can't be delivered to no/such/folder/r.json"), "{lost:#?}");
}

#[test]
fn a_run_stops_at_its_bounds_and_the_next_goes_on() {
    let api = Api::always(rows());
    let workspace = Workspace::new();
    let text = pipeline("p", "cron: '@daily'", &api.url()).replace("snapshot: latest", "query: {from: '', to: ''}\n    window: {every: 1d, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.from, to: query.to}");
    workspace.write("p.yaml", &text);
    let run = |more: &[&str]| {
        let all = [&["run", "p.yaml", "--state", "state", "--now", "2026-01-06T12:00:00Z"], more].concat();
        workspace.tidegate(&all).run()
    };
    let dry = run(&["--dry-run"]);
    assert_eq!((dry.code, api.asked().len()), (Some(0), 0), "{dry:#?}");
    let bounded = run(&["--dry-run", "--max-slices", "2"]);
    let shown = bounded.stdout.lines().filter(|line| line.contains(" 00:00 to 2026-")).count();
    assert!(shown == 2 && bounded.stdout.contains("rows: 2 slices due"), "{bounded:#?}");
    assert!(bounded.stdout.contains("3 more slices due, not begun within the limit"), "{bounded:#?}");
    for more in [["--report", "r.json"], ["--metrics-file", "m.prom"]] {
        let refused = run(&[&["--dry-run"], more.as_slice()].concat());
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        assert!(refused.stderr.contains("leave out --report and --metrics-file"), "{}", refused.stderr);
    }
    let two = run(&["--max-slices", "2", "--metrics-file", "m.prom"]);
    assert_eq!((two.code, api.asked().len()), (Some(5), 2), "{two:#?}");
    let metrics = std::fs::read_to_string(workspace.path("m.prom")).unwrap();
    assert!(metrics.contains("tidegate_last_run_failed{pipeline=\"p\"} 1\n"), "{metrics}");
    assert!(!metrics.contains("tidegate_last_success_timestamp_seconds{"), "{metrics}");
    let history = workspace.tidegate(&["history", "p.yaml", "--state", "state"]).run();
    assert!(history.stdout.contains("stopped early"), "{}", history.stdout);
    assert!(two.stdout.contains("rows: 3 slices due, left for the next run"), "{}", two.stdout);
    assert!(two.stdout.contains("stopped at --max-slices, run again for the rest"), "{}", two.stdout);
    let none = run(&["--max-duration", "0s", "--output", "json"]);
    assert_eq!((none.code, api.asked().len()), (Some(5), 2), "{none:#?}");
    let report: Value = serde_json::from_str(&none.stdout).unwrap();
    assert_eq!((&report[0]["stopped"], &report[0]["jobs"][0]["left"]), (&json!("duration"), &json!("unplanned")));
    let requests = run(&["--max-requests", "1"]);
    assert_eq!(requests.code, Some(5), "{requests:#?}");
    let rest = run(&[]);
    assert_eq!((rest.code, api.asked().len()), (Some(0), 5), "{rest:#?}");
}

#[test]
fn logs_bear_the_ids_of_run_job_and_slice() {
    let api = Api::always(rows());
    let workspace = Workspace::new();
    let file = workspace.write("p.yaml", &pipeline("p", "cron: '@daily'", &api.url()));
    let run =
        workspace.tidegate(&["run", file.to_str().unwrap(), "--log", "tidegate=debug", "--log-format", "json"]).run();
    assert_eq!(run.code, Some(0), "{run:#?}");
    let lines: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (message, spans) in
        [("page received", vec!["run", "slice", "page"]), ("slice committed", vec!["run", "slice", "commit"])]
    {
        let line =
            lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}: {lines:#?}"));
        let names: Vec<&str> =
            line["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, spans, "{line:#}");
        assert!(line["spans"][0]["run"].as_str().unwrap().len() > 20, "{line:#}");
        assert_eq!(
            (&line["spans"][1]["job"], &line["spans"][1]["slice"]),
            (&json!("rows"), &json!("latest")),
            "{line:#}"
        );
    }
}

/// The spans of a line, outermost first, each by its name and what it says.
fn spans(line: &Value) -> Vec<(&str, &Value)> {
    let spans = line["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    spans.iter().map(|span| (span["name"].as_str().unwrap(), span)).collect()
}

#[test]
fn each_line_of_a_run_says_of_which_run_it_is_and_each_request_of_which_slice() {
    // The pages after the first are asked for early; one of them, and the first, are refused once.
    let refused = Mutex::new(BTreeSet::new());
    let api = Api::start(move |request| {
        let offset = request.number("offset");
        if [0, 10].contains(&offset) && refused.lock().unwrap().insert((request.number("part"), offset)) {
            return Answer::json(&json!({})).status(503);
        }
        let items: Vec<Value> = (offset..(offset + 5).min(22)).map(|id| json!({"id": id})).collect();
        Answer::json(&json!({"total": 22, "items": items}))
    });
    let workspace = Workspace::new();
    let text = format!(
        "version: 1\nname: p\nsource: {{base_url: '{}', concurrency: 8, retry: {{attempts: 3, max_delay: 1ms}}}}\njobs:\n  rows:\n    get: /rows\n    \
         for_each: {{values: [1, 2], as: part}}\n    query: {{offset: 0, limit: 5, part: '{{{{ part }}}}'}}\n    records: '.items[]'\n    \
         paginate: {{offset: {{into: query.offset, size_into: query.limit, size: 5}}, total: .total}}\n    snapshot: latest\n    \
         sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n",
        api.url()
    );
    let file = workspace.write("p.yaml", &text);
    let run =
        workspace.tidegate(&["run", file.to_str().unwrap(), "--log", "tidegate=debug", "--log-format", "json"]).run();
    assert_eq!(run.code, Some(0), "{run:#?}");
    let lines: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    for line in &lines {
        assert!(matches!(spans(line).as_slice(), [("run", run), ..] if run["pipeline"] == "p"), "{line:#}");
    }
    let again = of("request is tried again");
    assert_eq!(again.len(), 4, "{lines:#?}");
    for line in again.iter().chain(&of("page received")).chain(&of("slice committed")) {
        assert!(
            matches!(spans(line).as_slice(), [_, ("slice", slice), ..] if slice["job"] == "rows" && !slice["slice"].is_null() && !slice["key"].is_null()),
            "{line:#}"
        );
    }
    // Each page, and each commit, once.
    let mut pages: Vec<String> = of("page received")
        .iter()
        .map(|line| format!("{} {}", spans(line)[1].1["key"], spans(line)[2].1["page"]))
        .collect();
    assert_eq!(of("slice committed").len(), 2);
    let all = pages.len();
    pages.sort();
    pages.dedup();
    assert!(pages.len() == all && all >= 10, "{pages:?}");
}

#[test]
fn what_was_refused_is_in_the_report_and_in_the_metrics() {
    let api = Api::always(rows());
    let workspace = Workspace::new();
    workspace.write("p.yaml", &pipeline("p", "cron: '@daily'", &api.url()));
    workspace.write("good.yaml", &pipeline("good", "cron: '@daily'", &api.url()));
    let to = ["--state", "state", "--report", "r.json", "--metrics-file", "m.prom"];
    let run = |files: &[&str]| workspace.tidegate(&[&["run"], files, to.as_slice()].concat()).run();
    let metrics = || std::fs::read_to_string(workspace.path("m.prom")).unwrap();
    let success = || {
        let text = metrics();
        let line =
            text.lines().find(|line| line.starts_with("tidegate_last_success_timestamp_seconds{pipeline=\"p\"}"));
        line.expect("a success").to_owned()
    };
    assert_eq!(run(&["p.yaml"]).code, Some(0));
    assert!(metrics().contains("tidegate_last_run_failed{pipeline=\"p\"} 0\n"), "{}", metrics());
    let before = success();
    // A variable that isn't set, on a line with a secret.
    let broken =
        pipeline("p", "cron: '@daily'", "${NOT_SET}").replace("source: {", "source: {auth: {bearer: hunter2}, ");
    workspace.write("p.yaml", &broken);
    let refused = run(&["p.yaml", "good.yaml"]);
    assert_eq!((refused.code, api.asked().len()), (Some(2), 1), "{refused:#?}");
    for name in ["p", "good"] {
        assert!(metrics().contains(&format!("tidegate_last_run_failed{{pipeline=\"{name}\"}} 1\n")), "{}", metrics());
    }
    assert_eq!(success(), before, "the last success is still known");
    let written = std::fs::read_to_string(workspace.path("r.json")).unwrap();
    let document: Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&document["exit_code"], &document["runs"][0]["pipeline"]), (&json!(2), &json!("p")), "{document:#}");
    assert!(document["runs"][0]["error"].as_str().unwrap().contains("NOT_SET"), "{document:#}");
    assert!(document["runs"][1]["error"].as_str().unwrap().contains("`p` was refused"), "{document:#}");
    assert!(!written.contains("hunter2"), "{written}");
    let schema = serde_json::from_str(&workspace.tidegate(&["schema", "--report"]).run().stdout).unwrap();
    let complaints = crate::support::python::check_json_schema(&schema, &[&written]);
    assert!(complaints.iter().all(Vec::is_empty), "{complaints:#?}");
}
