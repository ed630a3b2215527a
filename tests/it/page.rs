//! The status page of the daemon, from outside: over HTTP, as a browser and as a stranger's page would ask.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::{Answer, Api};
use crate::support::workspace::{Running, Workspace};

/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) const TOKEN: &str = "a token that can't be guessed";

/// What breaks out of a page that doesn't escape.
const EVIL: &str = "<script>alert('x')</script> \"quoted\" & broken";

/// An answer over HTTP: the status, the headers in lower case, and the body.
pub(crate) struct Page {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

impl Page {
    /// The body, with what is escaped though it breaks out of nothing as it was.
    fn text(&self) -> String {
        self.body.replace("&#x2f;", "/").replace("&#x27;", "'")
    }
}

/// A daemon with its page.
pub(crate) struct Site {
    port: u16,
    pub(crate) daemon: Running,
}

impl Site {
    /// Starts a daemon over the folder `pipelines`, on a port that nobody has.
    pub(crate) fn start(workspace: &Workspace, more: &[&str]) -> Self {
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let at = format!("127.0.0.1:{port}");
            let all = [&["serve", "pipelines", "--state", "state", "--listen", &at], more].concat();
            let site = Self { port, daemon: workspace.tidegate(&all).spawn() };
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                match site.try_get("/readyz") {
                    Ok(page) if page.status == 200 => return site,
                    _ if site.daemon.has_ended() => break,
                    _ => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
        panic!("no daemon became ready");
    }

    fn send(&self, head: &str, body: &str) -> std::io::Result<Page> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (headers, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Ok(Page { status, headers: headers.to_lowercase(), body: body.to_owned() })
    }

    fn try_get(&self, path: &str) -> std::io::Result<Page> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n", self.port), "")
    }

    fn get(&self, path: &str) -> Page {
        self.try_get(path).unwrap()
    }

    /// The metrics.
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics").text()
    }

    /// Posts a form with more headers, a line each.
    pub(crate) fn post(&self, path: &str, headers: &[&str], form: &str) -> Page {
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let kind = "content-type: application/x-www-form-urlencoded\r\n";
        self.send(&format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n{kind}{more}", self.port), form).unwrap()
    }

    /// Posts as the page itself does.
    fn act(&self, path: &str, form: &str) -> Page {
        let origin = format!("origin: http://127.0.0.1:{}", self.port);
        let token = TOKEN.replace(' ', "+").replace('\'', "%27");
        self.post(path, &["sec-fetch-site: same-origin", &origin], &format!("token={token}&{form}"))
    }

    /// Waits until a page says something.
    pub(crate) fn until(&self, path: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.get(path);
            if holds(&page.text()) {
                return page.text();
            }
            assert!(Instant::now() < deadline, "{path} doesn't come to say it:\n{}", page.body);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn pipeline(name: &str, more: &str, jobs: &str, url: &str) -> String {
    format!(
        "version: 1\nname: {name}\n{more}\nschedule: {{cron: '0 0 1 1 *'}}\nsource: {{base_url: '{url}', headers: {{x-secret-key: '${{KEY:-hunter2}}'}}}}\njobs:\n{jobs}"
    )
}

fn snapshot(job: &str, more: &str) -> String {
    format!(
        "  {job}: {{get: /{job}, paginate: none, records: '.[]', snapshot: latest, {more}sinks: {{lake: {{jsonl: {{url: ./lake/{job}}}}}}}}}\n"
    )
}

/// An API with rows that fit, rows that don't, an endpoint that fails, one that is busy at first, and a desk that takes nothing.
fn api() -> Api {
    let busy = AtomicBool::new(true);
    Api::start(move |request| match request.path.as_str() {
        "/desk" => Answer::json(&json!({"error": EVIL})).status(403),
        "/sent" if busy.swap(false, Ordering::SeqCst) => Answer::json(&json!({})).status(503),
        "/bad" => Answer::json(&json!({"error": EVIL})).status(400),
        "/held" => Answer::json(&json!([{"n": 1}, {"n": EVIL}])),
        _ => Answer::json(&json!([{"n": 1}])),
    })
}

fn workspace(api: &Api) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("token", TOKEN);
    let held = snapshot("held", "schema: {columns: {n: int64}}, ");
    let text = pipeline(
        "evil",
        &format!("description: '{}'", EVIL.replace('\'', "''")),
        &(snapshot("bad", "") + &held),
        &api.url(),
    );
    workspace.write("pipelines/evil.yaml", &text);
    let window = "  days: {get: /days, paginate: none, records: '.[]', query: {from: '', to: ''}, window: {every: 1d, start: '2026-01-01T00:00:00Z', as: rfc3339, from: query.from, to: query.to}, sinks: {lake: {jsonl: {url: ./lake/days}}}}\n";
    workspace.write("pipelines/good.yaml", &pipeline("good", "", window, &api.url()));
    workspace.write("pipelines/broken.yaml", "version: 1\nname: broken\npassword: hunter2\n");
    workspace
}

#[test]
fn a_failed_run_is_told_with_its_job_its_reason_and_what_to_type_and_nothing_breaks_out() {
    let api = api();
    let workspace = workspace(&api);
    let site = Site::start(&workspace, &["--token-file", "token"]);
    let page = site.until("/", |body| body.contains(">evil</a>") && body.contains("broken.yaml"));
    assert!(page.contains("has not run") && page.contains("tidegate validate pipelines/broken.yaml"), "{page}");
    assert_eq!(site.act("/p/evil/do/run", "").status, 303);
    let page = site.until("/", |body| body.contains("job bad failed") || body.contains("slice of job bad failed"));
    for said in [
        "400 Bad Request",
        "&lt;script&gt;",
        "tidegate run pipelines/evil.yaml --job bad --state state",
        "The next run tries again",
    ] {
        assert!(page.contains(said), "{said}:\n{page}");
    }
    let run = page.split("/p/evil/runs/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let detail = site.get(&format!("/p/evil/runs/{run}")).text();
    for said in
        ["some failed", "Rows, stage by stage", "in quarantine", "expected", "&lt;script&gt;", "quarantine replay"]
    {
        assert!(detail.contains(said), "{said}:\n{detail}");
    }
    let pipeline = site.get("/p/evil").text();
    for said in [
        "What has landed",
        "What the next run would do",
        "1 slice with rows in quarantine",
        "x-secret-key: '${KEY:-***}'",
        "<svg",
    ] {
        assert!(pipeline.contains(said), "{said}:\n{pipeline}");
    }
    for body in [&page, &detail, &pipeline] {
        assert!(!body.contains("<script>alert") && !body.contains("hunter2"), "{body}");
        assert!(!body.contains(" style=") && !body.contains("http-equiv=\"refresh\" content=\"0"), "{body}");
    }
    // After a restart, what the ledger kept.
    site.daemon.signal("TERM");
    assert_eq!(site.daemon.wait().code, Some(0));
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("job bad failed"));
    assert!(page.contains("400 Bad Request") && page.contains(run), "{page}");
    let detail = site.get(&format!("/p/evil/runs/{run}")).text();
    assert!(
        detail.contains("some failed") && detail.contains("400 Bad Request") && !detail.contains("<script>alert"),
        "{detail}"
    );
}

#[test]
fn what_a_sink_couldnt_send_is_told_with_what_is_left_and_what_to_type() {
    let api = api();
    let workspace = workspace(&api);
    let sends = "  sent: {get: /sent, paginate: none, records: '.[]', snapshot: latest, sinks: {desk: {http: {base_url: 'URL', post: /desk, key: [n], body: {n: 1}}}}}\n";
    workspace.write("pipelines/sends.yaml", &pipeline("sends", "", &sends.replace("URL", &api.url()), &api.url()));
    let site = Site::start(&workspace, &["--token-file", "token"]);
    site.until("/", |body| body.contains(">sends</a>"));
    assert_eq!(site.act("/p/sends/do/run", "").status, 303);
    let page = site.until("/", |body| body.contains("sink desk of job sent couldn't send all"));
    for said in [
        "403 Forbidden",
        "1 row that landed and weren't sent",
        "tidegate deliver pipelines/sends.yaml --job sent --state state",
    ] {
        assert!(page.contains(said), "{said}:\n{page}");
    }
    let run = page.split("/p/sends/runs/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let detail = site.get(&format!("/p/sends/runs/{run}")).text();
    for said in ["What was sent", "sent: desk", "1 retry", "Publish and commit", "&lt;script&gt;"] {
        assert!(detail.contains(said), "{said}:\n{detail}");
    }
    assert!(!detail.contains("<script>alert"), "{detail}");
    // After a restart, what the ledger kept.
    drop(site);
    let site = Site::start(&workspace, &[]);
    let page = site.until("/", |body| body.contains("sink desk of job sent couldn't send all"));
    assert!(page.contains("1 row that landed and weren't sent") && page.contains("403 Forbidden"), "{page}");
}

#[test]
fn holes_are_drawn_and_told_and_a_backfill_fills_them() {
    let api = api();
    let workspace = workspace(&api);
    let site = Site::start(&workspace, &["--token-file", "token"]);
    site.until("/", |body| body.contains(">good</a>"));
    assert_eq!(
        site.act("/p/good/do/backfill", "from=2026-01-02T00:00&to=2026-01-03T00:00&job=days&missing=yes").status,
        303
    );
    let page = site.until("/p/good", |body| body.contains("of 1 slice;") && body.contains("backfill"));
    assert!(page.contains("cell missing") && page.contains("cell landed"), "{page}");
    assert!(page.contains("2026-01-01 00:00 to 2026-01-02 00:00 UTC"), "{page}");
    let command = "tidegate backfill pipelines/good.yaml --job days --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --missing --state state";
    assert!(page.contains(command), "{page}");
    let none = site.act("/p/evil/do/backfill", "from=2026-01-01&to=2026-01-02");
    assert!(none.status == 422 && none.body.contains("no job of the pipeline has windows"), "{}", none.body);
    for (form, what) in [
        ("from=2026-01-03&to=2026-01-02", "`from` must lie before `to`"),
        ("from=&to=2026-01-02", "`from` must be an instant"),
        ("from=2026-01-01&to=2026-01-02&job=nope", "no job `nope` with windows"),
    ] {
        let refused = site.act("/p/good/do/backfill", form);
        assert!(refused.status == 422 && refused.body.contains(what), "{form}: {}", refused.body);
    }
    assert_eq!(site.act("/p/good/do/pause", "").status, 303);
    site.until("/p/good", |body| body.contains("none: paused") && body.contains("do/resume"));
    assert_eq!(site.act("/p/good/do/resume", "").status, 303);
    site.until("/p/good", |body| !body.contains("none: paused"));
}

#[test]
fn only_who_has_the_token_acts_and_only_from_a_page_of_ours() {
    let api = api();
    let workspace = workspace(&api);
    let site = Site::start(&workspace, &["--token-file", "token"]);
    site.until("/", |body| body.contains(">good</a>"));
    let token = "token=a+token+that+can%27t+be+guessed";
    let bearer = format!("authorization: Bearer {TOKEN}");
    for (headers, form, status) in [
        (vec![], token, 403),
        (vec!["sec-fetch-site: cross-site", "origin: http://evil.example"], token, 403),
        (vec!["origin: null"], token, 403),
        (vec!["origin: http://evil.example", &bearer], token, 403),
        (vec!["sec-fetch-site: same-origin"], "token=wrong", 401),
        (vec!["sec-fetch-site: same-origin"], "", 401),
        (vec!["authorization: Bearer wrong"], token, 401),
    ] {
        let page = site.post("/p/good/do/run", &headers, form);
        assert_eq!(page.status, status, "{headers:?} {form}: {}", page.body);
    }
    assert_eq!(api.asked().len(), 0, "nothing was run");
    assert_eq!(site.post("/p/good/do/run", &[&bearer], "").status, 202);
    assert_eq!(site.post("/p/nope/do/run", &[&bearer], "").status, 404);
    assert_eq!(site.post("/p/good/do/drop", &[&bearer], "").status, 404);
    // A name of someone else's that points here.
    let rebound = site.send("GET / HTTP/1.1\r\nhost: evil.example\r\n", "").unwrap();
    assert!(rebound.status == 421 && rebound.body.contains("--allowed-host"), "{}", rebound.body);
    drop(site);
    let site = Site::start(&workspace, &[]);
    assert_eq!(site.act("/p/good/do/run", "").status, 403);
    site.until("/", |body| body.contains(">good</a>"));
    let page = site.get("/p/good").body;
    assert!(page.contains("Actions are off") && page.contains("--token-file"), "{page}");
}

#[test]
fn every_answer_has_the_headers_that_keep_others_out() {
    let api = api();
    let workspace = workspace(&api);
    let site = Site::start(&workspace, &[]);
    for path in [
        "/",
        "/p/nope",
        "/p/nope/runs/1",
        "/nowhere",
        "/style.css",
        "/live.js",
        "/icon.svg",
        "/metrics",
        "/livez",
        "/readyz",
    ] {
        let page = site.get(path);
        let expect = if path.contains("no") { 404 } else { 200 };
        assert_eq!(page.status, expect, "{path}: {}", page.body);
        for header in [
            "content-security-policy: default-src 'none'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(page.headers.contains(header), "{path} lacks {header}: {}", page.headers);
        }
        assert!(!page.headers.contains("unsafe-inline"), "{path}");
    }
}

/// The names of a text in Prometheus' format.
fn exposed(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, _)| name.to_owned()).collect()
}

/// The names that the documentation lists: all, and those of a run.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = include_str!("../../docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `tidegate_"));
    let rows: Vec<(String, bool)> = rows
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[4] == "yes")
        })
        .collect();
    let of_runs = rows.iter().filter(|(_, of_run)| *of_run).map(|(name, _)| name.clone()).collect();
    (rows.into_iter().map(|(name, _)| name).collect(), of_runs)
}

#[test]
fn metrics_are_those_that_are_documented_and_alerts_use_no_others() {
    let api = api();
    let workspace = workspace(&api);
    let file = |name: &str| format!("pipelines/{name}.yaml");
    let sends = "  sent: {get: /sent, paginate: none, records: '.[]', snapshot: latest, sinks: {desk: {http: {base_url: 'URL', post: /desk, key: [n], body: {n: 1}}}}}\n";
    workspace.write("pipelines/sends.yaml", &pipeline("sends", "", &sends.replace("URL", &api.url()), &api.url()));
    let run = workspace
        .tidegate(&[
            "run",
            &file("good"),
            &file("evil"),
            &file("sends"),
            "--state",
            "state",
            "--metrics-file",
            "m.prom",
        ])
        .run();
    assert_eq!(run.code, Some(3), "{run:#?}");
    let text = std::fs::read_to_string(workspace.path("m.prom")).unwrap();
    let (all, of_runs) = documented();
    assert_eq!(exposed(&text), of_runs, "{text}");
    for line in [
        "tidegate_last_run_failed{pipeline=\"evil\"} 1",
        "tidegate_last_run_failed{pipeline=\"good\"} 0",
        "tidegate_rows_total{pipeline=\"evil\",job=\"held\",fate=\"quarantined\"} 1",
        "tidegate_slices_total{pipeline=\"evil\",job=\"bad\",outcome=\"failed\"} 1",
        "tidegate_missing_windows{pipeline=\"good\",job=\"days\"} 0",
        "tidegate_quarantined_slices{pipeline=\"evil\",job=\"held\"} 1",
        "tidegate_retries_total{pipeline=\"sends\",job=\"sent\"} 1",
        "tidegate_received_bytes_total{pipeline=\"sends\",job=\"sent\"} 9",
        "tidegate_delivered_rows_total{pipeline=\"sends\",job=\"sent\",sink=\"desk\",fate=\"sent\"} 0",
        "tidegate_undelivered_rows{pipeline=\"sends\",job=\"sent\",sink=\"desk\"} 1",
        "tidegate_failed_deliveries_total{pipeline=\"sends\",job=\"sent\",sink=\"desk\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}:\n{text}");
    }
    assert!(!text.contains("tidegate_last_success_timestamp_seconds{pipeline=\"evil\"}"), "{text}");
    let site = Site::start(&workspace, &["--token-file", "token"]);
    site.until("/", |body| body.contains(">evil</a>"));
    site.act("/p/evil/do/run", "");
    site.act("/p/sends/do/run", "");
    let ended = [
        "tidegate_runs_total{pipeline=\"evil\",exit_code=\"3\"} 1",
        "tidegate_failed_deliveries_total{pipeline=\"sends\",job=\"sent\",sink=\"desk\"} 1",
    ];
    let text = site.until("/metrics", |body| ended.iter().all(|ended| body.lines().any(|line| line == *ended)));
    assert_eq!(exposed(&text), all, "{text}");
    assert!(!text.contains("# EOF") && text.contains("tidegate_refused_files 1"), "{text}");
    assert!(site.get("/metrics").headers.contains("content-type: text/plain; version=0.0.4"));
    let alerts = include_str!("../../deploy/alerts.yaml");
    let used =
        alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("tidegate_"));
    for name in used {
        assert!(all.contains(name), "deploy/alerts.yaml uses {name}, which isn't in docs/metrics.md");
    }
}

#[test]
fn its_health_is_asked_for_without_a_shell() {
    let workspace = Workspace::new();
    workspace.write("pipelines/.keep", "");
    let site = Site::start(&workspace, &[]);
    let at = format!("127.0.0.1:{}", site.port);
    let ask = |more: &[&str]| workspace.tidegate(&[&["health", "--listen", &at], more].concat()).run();
    for (more, path) in [(&[][..], "livez"), (&["--ready"], "readyz")] {
        let healthy = ask(more);
        assert_eq!((healthy.code, healthy.stdout), (Some(0), format!("http://{at}/{path}: ok\n")));
    }
    site.daemon.signal("TERM");
    assert_eq!(site.daemon.wait().code, Some(0));
    let gone = ask(&[]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""), "{gone:#?}");
    assert!(gone.stderr.contains("onnection refused"), "{gone:#?}");
    assert_eq!(ask(&["--listen", "none"]).code, Some(2), "given twice");
}

#[test]
fn what_cannot_be_served_is_refused_with_what_to_do() {
    let workspace = Workspace::new();
    workspace.write("pipelines/.keep", "");
    workspace.write("token", "short");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for (arguments, said) in [
        (vec!["--listen", at.as_str()], "give another address with --listen"),
        (vec!["--listen", "localhost"], "write an address and a port"),
        (vec!["--listen", "127.0.0.1:0", "--token-file", "token"], "fewer than 16 characters"),
        (vec!["--listen", "127.0.0.1:0", "--token-file", "nowhere"], "the token file nowhere can't be read"),
    ] {
        let refused = workspace.tidegate(&[&["serve", "pipelines"], &arguments[..]].concat()).run();
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:#?}");
        assert!(refused.stderr.contains(said), "{arguments:?}: {refused:#?}");
    }
}
