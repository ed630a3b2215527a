//! What goes wrong around the daemon and a run: nobody reads what is printed, the folder goes away, another process holds the pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::page::Site;
use crate::support::api::{Answer, Api};
use crate::support::patience::until;
use crate::support::workspace::Workspace;

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

/// The events of a daemon that has ended, of one kind.
fn events(stdout: &str, kind: &str) -> Vec<Value> {
    let all = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["event"] == kind).collect()
}

/// A server that doesn't answer `/p` until it is told to.
fn held_back() -> (Api, Arc<AtomicBool>) {
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let api = Api::start(move |request| match request.path.as_str() {
        "/p" if !gate.load(Ordering::SeqCst) => Answer::never(),
        _ => Answer::json(&json!([{"id": 1}])),
    });
    (api, open)
}

#[test]
fn a_run_that_waits_for_another_process_says_so_holds_up_no_other_and_ends_at_once() {
    let (api, _) = held_back();
    let workspace = Workspace::new();
    for name in ["p", "other"] {
        workspace.write(&format!("pipelines/{name}.yaml"), &pipeline(name, &api.url()));
    }
    // A person's run that doesn't end.
    let by_hand = workspace.tidegate(&["run", "pipelines/p.yaml", "--state", "state"]).spawn();
    until("the run by hand has begun", || asked(&api, "/p") == 1);
    let more = ["--max-concurrent-runs", "1", "--grace", "1h", "--output", "json"];
    let site = Site::start(&workspace, &more);
    let why = format!("for process {} on ", by_hand.id());
    site.until("/p/p", |page| page.contains(&format!("it waits {why}")));
    site.until("/", |page| page.contains(&why));
    for line in ["tidegate_running{pipeline=\"p\"} 0", "tidegate_waiting{pipeline=\"p\"} 1"] {
        site.until("/metrics", |metrics| metrics.lines().any(|have| have == line));
    }
    let seen = asked(&api, "/other");
    until("the only place is another one's", || asked(&api, "/other") >= seen + 3);
    site.daemon.signal("TERM");
    let outcome = site.daemon.wait();
    assert_eq!(outcome.code, Some(0), "nothing was thrown away: {outcome:#?}");
    let ended = events(&outcome.stdout, "ended");
    let of_p: Vec<&Value> = ended.iter().map(|event| &event["end"]).filter(|end| end["pipeline"] == "p").collect();
    assert_eq!(of_p.len(), 1, "{outcome:#?}");
    assert_eq!((&of_p[0]["exit_code"], &of_p[0]["report"]["stopped"]), (&json!(5), &json!("asked")), "{of_p:#?}");
    assert_eq!(of_p[0]["report"]["jobs"][0]["left"], "unplanned", "{of_p:#?}");
    assert_eq!(asked(&api, "/p"), 1, "it hadn't begun");
    assert!(!by_hand.has_ended(), "the other process goes on");
}

#[test]
fn a_run_that_waited_goes_on_once_the_other_process_has_ended() {
    let (api, open) = held_back();
    let workspace = Workspace::new();
    workspace.write("pipelines/p.yaml", &pipeline("p", &api.url()));
    let by_hand = workspace.tidegate(&["run", "pipelines/p.yaml", "--state", "state"]).spawn();
    until("the run by hand has begun", || asked(&api, "/p") == 1);
    let site = Site::start(&workspace, &["--output", "json"]);
    site.until("/", |page| page.contains("for process "));
    open.store(true, Ordering::SeqCst);
    by_hand.kill();
    site.until("/", |page| !page.contains("for process "));
    until("it has landed", || workspace.path("lake/p/_tidegate/files.json").exists());
    site.daemon.signal("TERM");
    let outcome = site.daemon.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert_eq!(events(&outcome.stdout, "ended")[0]["end"]["exit_code"], 0, "{outcome:#?}");
}

#[test]
fn a_folder_that_goes_away_is_shown_and_what_was_read_before_goes_on() {
    let (api, workspace) = (api(), Workspace::new());
    workspace.write("pipelines/good.yaml", &pipeline("good", &api.url()));
    let site = Site::start(&workspace, &["--output", "json"]);
    let unread = "the folder of the pipeline files can't be read";
    let readable = |is: u8| format!("tidegate_folder_readable {is}");
    site.until("/", |page| !page.contains(unread));
    let (here, away) = (workspace.path("pipelines"), workspace.path("away"));
    std::fs::rename(&here, &away).unwrap();
    let page = site.until("/", |page| page.contains(unread));
    assert!(page.contains("the folder pipelines can't be read: No such file") && !page.contains("Nothing:"), "{page}");
    assert!(!page.contains("none failed"), "{page}");
    site.until("/metrics", |metrics| metrics.lines().any(|line| line == readable(0)));
    let before = asked(&api, "/good");
    until("what was read before goes on", || asked(&api, "/good") >= before + 2);
    std::fs::rename(&away, &here).unwrap();
    site.until("/", |page| !page.contains(unread));
    site.until("/metrics", |metrics| metrics.lines().any(|line| line == readable(1)));
    site.daemon.signal("TERM");
    let outcome = site.daemon.wait();
    let told: Vec<bool> = events(&outcome.stdout, "folder").iter().map(|event| event["error"].is_string()).collect();
    assert_eq!(told, [true, false], "once each: {outcome:#?}");
}

#[test]
fn a_ledger_that_cannot_be_read_is_told_with_its_cause() {
    let (api, workspace) = (api(), Workspace::new());
    workspace.write("pipelines/good.yaml", &pipeline("good", &api.url()));
    workspace.write("state/good", "a file in the place of a folder");
    let site = Site::start(&workspace, &["--output", "json"]);
    site.until("/", |page| page.contains("ledger unreadable") && page.contains("Not a directory (os error 20)"));
    site.daemon.signal("TERM");
    let outcome = site.daemon.wait();
    let told = events(&outcome.stdout, "trouble");
    assert!(told.len() == 1 && told[0]["error"].as_str().unwrap().contains("os error 20"), "{outcome:#?}");
}

#[test]
fn what_turns_text_round_does_not_reach_the_page() {
    let api = Api::start(|_| Answer::bytes("no \u{202e}gnihtyna\u{202c} here").status(400));
    let workspace = Workspace::new();
    workspace.write("pipelines/bad.yaml", &pipeline("bad", &api.url()));
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |page| page.contains("gnihtyna"));
    assert!(page.contains("no \\u{202e}gnihtyna\\u{202c} here") && !page.contains('\u{202e}'), "{page}");
    site.daemon.signal("TERM");
    let said = site.daemon.wait().stdout;
    assert!(said.contains("gnihtyna") && !said.contains('\u{202e}'), "{said}");
}

#[test]
fn a_page_with_forms_never_goes_away_under_the_hands_of_who_types() {
    let (api, workspace) = (api(), Workspace::new());
    workspace.write("pipelines/good.yaml", &pipeline("good", &api.url()));
    let refresh = "http-equiv=\"refresh\"";
    let looks_on = Site::start(&workspace, &[]);
    looks_on.until("/p/good", |page| page.contains(refresh));
    drop(looks_on);
    workspace.write("token", "a token that can't be guessed");
    let site = Site::start(&workspace, &["--token-file", "token"]);
    site.until("/", |page| page.contains(refresh) && page.contains("/p/good"));
    let page = site.until("/p/good", |page| page.contains("name=\"token\""));
    assert!(!page.contains(refresh) && page.contains("look again"), "{page}");
}

#[test]
fn a_backfill_can_be_looked_at_before_is_kept_within_bounds_and_told() {
    let (api, workspace) = (api(), Workspace::new());
    let window = "query: {from: '', to: '', sig: lit}\n    window: {every: 1d, start: 2026-01-05T00:00:00Z, as: rfc3339, from: query.from, to: query.to}";
    let text = pipeline("good", &api.url()).replace("snapshot: latest", window);
    let list = "  list: {get: /list, paginate: none, records: '.[]', snapshot: latest, sinks: {lake: {jsonl: {url: ./lake/list}}}}\n";
    workspace.write("p.yaml", &(text + list));
    let backfill = |more: &[&str]| {
        let range = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-04T06:00:00Z", "--now", "2026-01-06T12:00:00Z"];
        workspace.tidegate(&[&["backfill", "p.yaml", "--state", "state"], range.as_slice(), more].concat()).run()
    };
    let dry = backfill(&["--dry-run", "--max-slices", "3"]);
    assert_eq!((dry.code, api.asked().len()), (Some(0), 0), "{dry:#?}");
    for said in [
        "rows: 3 slices due",
        "rounded out to windows of 1d: 2026-01-01 00:00 to 2026-01-05 00:00",
        "1 more slice due, not begun within the limit",
        "2026-01-03 00:00 to 2026-01-04 00:00",
        "&sig=[redacted]",
    ] {
        assert!(dry.stdout.contains(said), "{said}: {}", dry.stdout);
    }
    assert!(!dry.stdout.contains("list") && !dry.stdout.contains("2026-01-04 00:00 to"), "{}", dry.stdout);
    let three = backfill(&["--max-slices", "3", "--report", "r.json", "--metrics-file", "m.prom"]);
    assert_eq!((three.code, api.asked().len()), (Some(5), 3), "{three:#?}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(workspace.path("r.json")).unwrap()).unwrap();
    assert_eq!((&report["exit_code"], &report["runs"][0]["report"]["stopped"]), (&json!(5), &json!("slices")));
    let metrics = std::fs::read_to_string(workspace.path("m.prom")).unwrap();
    let landed = "tidegate_slices_total{pipeline=\"good\",job=\"rows\",outcome=\"landed\"} 3";
    assert!(metrics.lines().any(|line| line == landed), "{metrics}");
    let rest = backfill(&["--missing"]);
    assert_eq!((rest.code, api.asked().len()), (Some(0), 4), "{rest:#?}");
}
