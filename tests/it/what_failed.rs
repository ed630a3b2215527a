//! What failed stays in sight until that itself was made good, and what the page says to type makes it good.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::page::Site;
use crate::support::api::{Answer, Api};
use crate::support::workspace::{Outcome, Workspace};

/// An API some paths of which fail, by how they begin; what begins with `!` is never answered.
struct Broken {
    api: Api,
    broken: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Broken {
    fn start(broken: &[&'static str]) -> Self {
        let broken = Arc::new(Mutex::new(broken.iter().copied().collect::<BTreeSet<_>>()));
        let known = Arc::clone(&broken);
        let api = Api::start(move |request| {
            let path = request.path.trim_start_matches('/');
            let known = known.lock().unwrap();
            if known.iter().any(|hung| hung.strip_prefix('!').is_some_and(|hung| path.starts_with(hung))) {
                return Answer::never();
            }
            if known.iter().any(|broken| path.starts_with(broken)) {
                return Answer::json(&serde_json::json!({"error": "no"})).status(400);
            }
            let from = request.query.get("from").map_or("", String::as_str);
            if known.contains("late") && ("2025-06-12".."2025-07").contains(&from) {
                return Answer::json(&serde_json::json!({"error": "too late"})).status(400);
            }
            if known.contains("more") && path == "alerts" {
                return Answer::json(&serde_json::json!([{"id": 1}, {"id": 2}]));
            }
            Answer::json(&serde_json::json!([{"id": 1, "n": 5}]))
        });
        Self { api, broken }
    }

    fn breaks(&self, now: &[&'static str]) {
        *self.broken.lock().unwrap() = now.iter().copied().collect();
    }
}

/// A pipeline `p` with these jobs, in the folder that is served.
fn write(workspace: &Workspace, api: &Api, jobs: &[&str]) {
    let text = format!(
        "version: 1\nname: p\nschedule: {{cron: '0 0 1 1 *'}}\nsource: {{base_url: '{}', retry: {{attempts: 1}}}}\njobs:\n{}",
        api.url(),
        jobs.concat()
    );
    workspace.write("pipelines/p.yaml", &text);
}

fn snapshot(job: &str, more: &str) -> String {
    format!(
        "  {job}: {{get: /{job}, paginate: none, records: '.[]', snapshot: latest, {more}sinks: {{lake: {{jsonl: {{url: ./lake/{job}}}}}}}}}\n"
    )
}

fn child(job: &str) -> String {
    format!(
        "  {job}: {{for_each: {{rows_of: customers, as: one, key: id}}, get: '/{job}/{{{{ one.id }}}}', paginate: none, records: '.[]', snapshot: latest, sinks: {{lake: {{jsonl: {{url: ./lake/{job}}}}}}}}}\n"
    )
}

const DAYS: &str = "  days: {get: /days, paginate: none, records: '.[]', query: {from: '', to: ''}, window: {every: 1d, start: '2025-07-01T00:00:00Z', as: rfc3339, from: query.from, to: query.to}, sinks: {lake: {jsonl: {url: ./lake/days}}}}\n";

/// Runs `tidegate VERB pipelines/p.yaml MORE --state state`.
fn ran(workspace: &Workspace, verb: &str, more: &[&str]) -> Outcome {
    workspace.tidegate(&[&[verb, "pipelines/p.yaml"], more, &["--state", "state"]].concat()).run()
}

/// The command lines of a page, in its order.
fn commands(page: &str) -> Vec<String> {
    let lines = page.split("<code class=\"command\">").skip(1);
    lines.map(|rest| rest.split("</code>").next().unwrap().to_owned()).collect()
}

/// Types a command line.
fn typed(workspace: &Workspace, line: &str) -> Outcome {
    let words: Vec<&str> = line.strip_prefix("tidegate ").unwrap().split(' ').collect();
    workspace.tidegate(&words).run()
}

fn is_failed(metrics: &str) -> bool {
    match metrics.lines().find_map(|line| line.strip_prefix("tidegate_last_run_failed{pipeline=\"p\"} ")) {
        Some("1") => true,
        Some("0") => false,
        other => panic!("{other:?}:\n{metrics}"),
    }
}

fn has_succeeded(metrics: &str) -> bool {
    metrics.contains("tidegate_last_success_timestamp_seconds{pipeline=\"p\"}")
}

#[test]
fn each_job_that_failed_is_told_after_a_restart_and_a_run_of_others_hides_none() {
    let broken = Broken::start(&["customers", "cc"]);
    let workspace = Workspace::new();
    let customers = "  customers: {get: /customers, paginate: none, records: '.[]'}\n";
    let jobs = [customers, &child("addresses"), &child("orders"), &snapshot("cc", ""), &snapshot("aa", "")];
    write(&workspace, &broken.api, &jobs);
    let run = ran(&workspace, "run", &[]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    broken.breaks(&[]);
    for job in ["customers", "aa"] {
        assert_eq!(ran(&workspace, "run", &["--job", job]).code, Some(0));
    }
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("What needs a person") && body.contains("job cc failed"));
    for said in
        ["jobs addresses, orders failed", "customers: GET /customers", "400 Bad Request", "1 pipeline, 1 failed"]
    {
        assert!(page.contains(said), "{said}:\n{page}");
    }
    assert!(!page.contains("job aa") && !page.contains("job customers failed"), "{page}");
    let metrics = site.metrics();
    assert!(is_failed(&metrics) && !has_succeeded(&metrics), "{metrics}");
    let lines = commands(&page);
    let expected = ["--job cc", "--job addresses --job orders"];
    let of_runs: BTreeSet<String> =
        expected.iter().map(|jobs| format!("tidegate run pipelines/p.yaml {jobs} --state state")).collect();
    assert_eq!(lines.iter().cloned().collect::<BTreeSet<_>>(), of_runs, "{page}");
    for line in &lines {
        assert!(is_failed(&site.metrics()));
        assert_eq!(typed(&workspace, line).code, Some(0));
    }
    let page = site.until("/", |body| body.contains("when each job ran last, what was due landed"));
    assert!(page.contains("none failed"), "{page}");
    site.until("/metrics", |metrics| !is_failed(metrics) && has_succeeded(metrics));
}

#[test]
fn a_backfill_that_failed_is_told_with_the_same_again_until_its_windows_landed() {
    let broken = Broken::start(&["late"]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[DAYS]);
    let now = ["--now", "2025-07-03T00:00:00Z"];
    assert_eq!(ran(&workspace, "run", &now).code, Some(0));
    let span = ["--from", "2025-06-10T00:00:00Z", "--to", "2025-06-15T00:00:00Z"];
    let failed = ran(&workspace, "backfill", &span);
    assert_eq!(failed.code, Some(3), "{failed:#?}");
    let again = ran(&workspace, "run", &now);
    assert_eq!(again.code, Some(0), "{again:#?}");
    let status = ran(&workspace, "status", &[]).stdout;
    assert!(
        status.contains("1 hole") && status.contains("19 windows between what was backfilled and the start"),
        "{status}"
    );
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("3 slices of job days failed in a backfill"));
    assert!(page.contains("days: 2025-06-12 00:00 to 2025-06-15 00:00 UTC"), "{page}");
    assert!(is_failed(&site.metrics()));
    let line = "tidegate backfill pipelines/p.yaml --job days --from 2025-06-10T00:00:00Z --to 2025-06-15T00:00:00Z --state state";
    assert!(commands(&page).iter().any(|command| command == line), "{page}");
    broken.breaks(&[]);
    let part = ["--from", "2025-06-12T00:00:00Z", "--to", "2025-06-14T00:00:00Z"];
    assert_eq!(ran(&workspace, "backfill", &part).code, Some(0));
    let page = site.until("/", |body| body.contains("days: 2025-06-14 00:00 to 2025-06-15 00:00 UTC"));
    assert!(page.contains("failed in a backfill"), "{page}");
    assert_eq!(typed(&workspace, line).code, Some(0));
    site.until("/", |body| !body.contains("failed in a backfill"));
    site.until("/metrics", |metrics| !is_failed(metrics));
}

/// Nobody wants what a backfill was to read: it is dismissed as the page and `status` say, and what failed of runs stays.
#[test]
fn a_backfill_that_nobody_wants_any_more_is_dismissed() {
    let broken = Broken::start(&["late", "cc"]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[DAYS, &snapshot("cc", "")]);
    assert_eq!(ran(&workspace, "run", &["--now", "2025-07-03T00:00:00Z"]).code, Some(3));
    let elsewhere = workspace.tidegate(&["backfill", "pipelines/p.yaml", "--dismiss", "--state", "elsewhere"]).run();
    assert_eq!((elsewhere.code, elsewhere.stdout.as_str()), (Some(2), ""), "{elsewhere:#?}");
    assert!(elsewhere.stderr.contains("there is no ledger of it in elsewhere"), "{elsewhere:#?}");
    let nothing = ran(&workspace, "backfill", &["--dismiss"]);
    assert_eq!(nothing.code, Some(2), "{nothing:#?}");
    assert!(nothing.stderr.ends_with("so there is nothing to dismiss\n"), "{nothing:#?}");
    let span = ["--from", "2025-06-10T00:00:00Z", "--to", "2025-06-15T00:00:00Z"];
    assert_eq!(ran(&workspace, "backfill", &span).code, Some(3));
    let part = ["--dismiss", "--from", "2025-06-12T00:00:00Z", "--to", "2025-06-15T00:00:00Z"];
    let part = ran(&workspace, "backfill", &part);
    assert_eq!(part.code, Some(2), "{part:#?}");
    let left = "what failed: days: the backfill from 2025-06-10T00:00:00Z to 2025-06-15T00:00:00Z";
    assert!(part.stderr.contains(left), "{part:#?}");
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("3 slices of job days failed in a backfill"));
    assert!(page.contains("where nobody wants it any more, dismiss it"), "{page}");
    let line = "tidegate backfill pipelines/p.yaml --dismiss --job days --from 2025-06-10T00:00:00Z --to 2025-06-15T00:00:00Z --state state";
    assert!(commands(&page).iter().any(|command| command == line), "{page}");
    let status = ran(&workspace, "status", &[]).stdout;
    let note = "note: days: the backfill from 2025-06-10T00:00:00Z to 2025-06-15T00:00:00Z failed: read it again, or dismiss it";
    assert!(status.contains(note) && status.contains(&format!("\n  {line}\n")), "{status}");
    let told = |line: &str| {
        let outcome = typed(&workspace, line);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        outcome.stdout
    };
    assert_eq!(told(line), "p: dismissed: days: the backfill from 2025-06-10T00:00:00Z to 2025-06-15T00:00:00Z\n");
    let page = site.until("/", |body| !body.contains("failed in a backfill"));
    assert!(page.contains("job cc failed"), "{page}");
    assert!(is_failed(&site.metrics()), "what failed of a run stays");
    assert!(!ran(&workspace, "status", &[]).stdout.contains("--dismiss"));
    let history = ran(&workspace, "history", &["--last", "1"]).stdout;
    assert!(history.contains("dismiss") && history.contains("done"), "{history}");
    broken.breaks(&[]);
    assert_eq!(ran(&workspace, "run", &["--job", "cc"]).code, Some(0));
    site.until("/metrics", |metrics| !is_failed(metrics) && has_succeeded(metrics));
    // It is no promise that the time is never read: it still can be.
    assert_eq!(ran(&workspace, "backfill", &span).code, Some(0));
    assert_eq!(ran(&workspace, "backfill", &["--dismiss", "--missing"]).code, Some(2));
}

/// A backfill that was killed is dismissed though nobody has noted that it died.
#[test]
fn a_backfill_that_died_is_dismissed() {
    let broken = Broken::start(&[]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[DAYS]);
    assert_eq!(ran(&workspace, "run", &["--now", "2025-07-03T00:00:00Z"]).code, Some(0));
    broken.breaks(&["!days"]);
    let span = ["--from", "2025-06-10T00:00:00Z", "--to", "2025-06-15T00:00:00Z", "--state", "state"];
    let before = broken.api.asked().len();
    let run = workspace.tidegate(&[&["backfill", "pipelines/p.yaml"][..], &span].concat()).spawn();
    let deadline = Instant::now() + Duration::from_mins(3);
    while broken.api.asked().len() == before {
        assert!(Instant::now() < deadline, "nothing is asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    let held = ran(&workspace, "backfill", &["--dismiss", "--no-wait"]);
    assert_eq!(held.code, Some(4), "it goes on: {held:#?}");
    run.kill();
    let dismissed = ran(&workspace, "backfill", &["--dismiss"]);
    assert_eq!(dismissed.code, Some(0), "{dismissed:#?}");
    assert!(dismissed.stdout.contains("dismissed: days: the backfill from 2025-06-10"), "{dismissed:#?}");
    broken.breaks(&[]);
    assert_eq!(
        ran(&workspace, "run", &["--now", "2025-07-04T00:00:00Z"]).code,
        Some(0),
        "what it left open is settled"
    );
    assert!(!ran(&workspace, "status", &[]).stdout.contains("--dismiss"));
}

#[test]
fn what_lies_between_a_backfill_and_the_start_is_drawn_as_a_gap() {
    let broken = Broken::start(&[]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[&DAYS.replace("every: 1d", "every: 365d")]);
    assert_eq!(ran(&workspace, "run", &[]).code, Some(0));
    let span = ["--from", "2000-01-01T00:00:00Z", "--to", "2003-01-01T00:00:00Z"];
    assert_eq!(ran(&workspace, "backfill", &span).code, Some(0));
    let status = ran(&workspace, "status", &[]).stdout;
    let bar = status.lines().find_map(|line| line.strip_prefix("  1999-12-25 ")).unwrap_or_else(|| panic!("{status}"));
    assert!(bar.starts_with("████--") && bar.contains("--█") && !bar.contains('·'), "{status}");
    assert!(status.contains("1 hole") && status.contains("0 missing; 21 windows between"), "{status}");
}

#[test]
fn a_run_that_was_killed_is_told_before_another_one_begins() {
    let broken = Broken::start(&["!cc"]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[&snapshot("aa", ""), &snapshot("cc", "")]);
    let run = workspace.tidegate(&["run", "pipelines/p.yaml", "--state", "state"]).spawn();
    let deadline = Instant::now() + Duration::from_mins(3);
    while !broken.api.asked().iter().any(|request| request.path == "/cc") {
        assert!(Instant::now() < deadline, "nothing is asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains(">p</a>"));
    assert!(page.contains("none failed") && !page.contains("the run died"), "it goes on: {page}");
    run.kill();
    let page = site.until("/", |body| body.contains("the run died"));
    for said in [
        "its process was killed",
        "1 pipeline, 1 failed",
        "the run that began at",
        "tidegate run pipelines/p.yaml --state state",
    ] {
        assert!(page.contains(said), "{said}:\n{page}");
    }
    let metrics = site.until("/metrics", |metrics| metrics.contains("tidegate_last_run_failed{pipeline=\"p\"}"));
    assert!(is_failed(&metrics) && !has_succeeded(&metrics), "{metrics}");
    // A run of one of its jobs says nothing of the other, though the lane has another holder since.
    assert_eq!(ran(&workspace, "run", &["--job", "aa"]).code, Some(0));
    site.until("/", |body| body.contains("the run of job cc died"));
    broken.breaks(&[]);
    assert_eq!(ran(&workspace, "run", &["--job", "cc"]).code, Some(0));
    site.until("/", |body| body.contains("when each job ran last, what was due landed"));
    site.until("/metrics", |metrics| !is_failed(metrics) && has_succeeded(metrics));
}

#[test]
fn a_shard_that_ends_well_says_nothing_of_the_others() {
    let broken = Broken::start(&["days"]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[DAYS]);
    let shard = |index: &str| {
        ran(&workspace, "run", &["--now", "2025-07-05T00:00:00Z", "--shard", index, "--metrics-file", "m.prom"])
    };
    let metrics = || std::fs::read_to_string(workspace.path("m.prom")).unwrap();
    assert_eq!(shard("0/2").code, Some(1));
    broken.breaks(&[]);
    assert_eq!(shard("1/2").code, Some(0));
    assert!(is_failed(&metrics()) && !has_succeeded(&metrics()), "{}", metrics());
    assert_eq!(shard("0/2").code, Some(0));
    assert!(!is_failed(&metrics()) && has_succeeded(&metrics()), "{}", metrics());
}

#[test]
fn what_helps_is_told_by_the_kind_of_the_error_and_helps() {
    let broken = Broken::start(&[]);
    let workspace = Workspace::new();
    write(&workspace, &broken.api, &[&snapshot("cc", "key: id, ")]);
    assert_eq!(ran(&workspace, "run", &[]).code, Some(0));
    write(&workspace, &broken.api, &[&snapshot("cc", "key: id, ").replace("get: /cc", "get: /dd")]);
    let refused = ran(&workspace, "run", &["--report", "report.json"]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(workspace.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["runs"][0]["report"]["jobs"][0]["remedy"], "accept");
    assert_eq!(report["runs"][0]["asked"], serde_json::json!({"verb": "run", "jobs": ["cc"]}));
    let lines =
        ["future", "reland"].map(|how| format!("tidegate run pipelines/p.yaml --job cc --accept {how} --state state"));
    for line in &lines {
        assert!(refused.stderr.lines().any(|said| said == format!("  {line}")), "{line}: {refused:#?}");
    }
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("job cc failed"));
    assert!(
        lines.iter().all(|line| commands(&page).contains(line)) && !page.contains("The next run tries again"),
        "{page}"
    );
    let run = page.split("/p/p/runs/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    site.until(&format!("/p/p/runs/{run}"), |detail| lines.iter().all(|line| commands(detail).contains(line)));
    assert_eq!(typed(&workspace, &lines[1]).code, Some(0));
    site.until("/", |body| body.contains("when each job ran last, what was due landed"));
    // Two files with one name: the command is about both.
    let text = std::fs::read_to_string(workspace.path("pipelines/p.yaml")).unwrap();
    workspace.write("pipelines/zz.yaml", &text);
    let page = site.until("/", |body| body.contains("is in pipelines/p.yaml already"));
    let line = "tidegate validate pipelines/p.yaml pipelines/zz.yaml";
    assert!(commands(&page).iter().any(|command| command == line), "{page}");
    let said = typed(&workspace, line);
    assert!(said.stderr.contains("the pipeline `p` is in pipelines/p.yaml already"), "{said:#?}");
}

/// What is missing of a list that failed, and of a window that landed before, and rows that nobody will send again.
#[test]
fn what_is_missing_is_said_of_lists_of_windows_that_landed_and_of_rows_that_were_refused() {
    let broken = Broken::start(&[]);
    let workspace = Workspace::new();
    let customers = "  customers: {get: /customers, paginate: none, records: '.[]'}\n";
    let desk = format!(
        "  alerts: {{get: /alerts, paginate: none, records: '.[]', snapshot: latest, sinks: {{desk: {{http: {{base_url: '{0}', post: /desk, key: id, body: {{id: '{{{{ row.id }}}}'}}}}}}, lake: {{jsonl: {{url: ./lake/alerts}}}}}}}}\n",
        broken.api.url()
    );
    let jobs = [customers, &child("orders"), &snapshot("cc", ""), DAYS, &desk];
    write(&workspace, &broken.api, &jobs);
    let window = ["--from", "2025-07-01T00:00:00Z", "--to", "2025-07-02T00:00:00Z", "--job", "days"];
    let mut commands_of_refused = Vec::new();
    // A sink that has never sent a row gives none up.
    for broken_now in [&[][..], &["desk", "more"], &["more", "orders", "cc", "days"]] {
        broken.breaks(broken_now);
        let limited = ran(&workspace, "run", &["--now", "2025-07-03T12:00:00Z"]);
        assert!(limited.code.is_some(), "{limited:#?}");
    }
    assert_eq!(ran(&workspace, "backfill", &window).code, Some(1));
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("job cc failed"));
    for said in [
        "<li>cc: slice latest; has landed: snapshot latest</li>",
        "<li>orders {&quot;id&quot;:1}: slice latest",
        "<li>days: 2025-07-01 00:00 to 2025-07-02 00:00 UTC, not read again: what landed before stays</li>",
        "the server of sink desk of job alerts refused 1 row",
        "1 row refused by a sink",
    ] {
        assert!(page.contains(said), "{said}:\n{page}");
    }
    let metrics = site.metrics();
    let refused = |rows: u64| format!("tidegate_refused_rows{{pipeline=\"p\",job=\"alerts\",sink=\"desk\"}} {rows}");
    assert!(metrics.contains(&refused(1)), "{metrics}");
    broken.breaks(&["more"]);
    commands_of_refused.extend(commands(&page).into_iter().filter(|line| line.contains("--refused")));
    assert_eq!(commands_of_refused.len(), 1, "{page}");
    let sent = typed(&workspace, &commands_of_refused[0]);
    assert_eq!(sent.code, Some(0), "{sent:#?}");
    site.until("/", |body| !body.contains("refused 1 row"));
    site.until("/metrics", |body| body.contains(&refused(0)));
}
