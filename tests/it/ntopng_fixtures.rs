//! The answers of a real ntopng 6.2 (`tests/fixtures/ntopng`), through the shipped pipeline: its SQL fits what a real one sends, and
//! not only what the simulator believes that it does.

use serde_json::Value;
use tidegate::appliance::server::{Appliance, Framing, Reply, Request, Response};

use crate::support::appliance::{SHIPPED, Served};
use crate::support::lake::{Records, Truth, assert_same, read};
use crate::support::workspace::{Run, Workspace};

/// An exchange as curl wrote it down: the command, the status line, the headers, the body.
struct Exchange {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

macro_rules! exchange {
    ($name:literal) => {
        parse(include_str!(concat!("../fixtures/ntopng/", $name, ".http")))
    };
}

fn parse(text: &'static str) -> Exchange {
    let (_command, answer) = text.split_once('\n').unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &'static str| line.split_once(": ").map(|(name, value)| (name, value.to_owned())).unwrap();
    Exchange { status, headers: lines.map(header).collect(), body }
}

/// The list of a real answer.
fn records(exchange: &Exchange) -> Vec<Value> {
    let body: Value = serde_json::from_str(exchange.body).unwrap();
    let lists = ["/rsp/records", "/rsp/data"].into_iter().filter_map(|place| body.pointer(place)?.as_array());
    lists.flatten().cloned().collect()
}

/// The first ten rows of each list of a real appliance, told apart by what is asked for; all else is beyond their ends.
struct Recorded;

impl Recorded {
    fn answer(request: &Request) -> Exchange {
        let asked: Vec<(String, String)> =
            url::form_urlencoded::parse(request.query().as_bytes()).into_owned().collect();
        let is = |name: &str, value: &str| asked.iter().any(|(asked, is)| asked == name && is == value);
        let first = is("ifid", "0") && (is("start", "0") || is("currentPage", "1"));
        match (request.path().rsplit_once("/get/").unwrap().1, first) {
            ("ntopng/interfaces.lua", _) => exchange!("ntopng-interfaces"),
            ("host/active.lua", true) => exchange!("host-active"),
            ("host/active.lua", false) if is("ifid", "0") && is("currentPage", "2") => exchange!("host-active-page2"),
            ("host/active.lua", false) => exchange!("host-active-beyond-end"),
            ("flow/active.lua", true) => exchange!("flow-active"),
            ("flow/active.lua", false) => exchange!("flow-active-beyond-end"),
            ("host/alert/list.lua", true) => exchange!("host-alert-list"),
            ("flow/alert/list.lua", true) if is("row_id", "0;gt") => exchange!("flow-alert-list"),
            ("flow/alert/list.lua", true) if is("sort", "tstamp") => exchange!("flow-alert-list-sorted"),
            ("flow/alert/list.lua" | "host/alert/list.lua", _) => exchange!("flow-alert-list-beyond-end"),
            ("timeseries/ts.lua", _) if is("ts_query", "ifid:0") && is("ts_schema", "iface:traffic") => {
                exchange!("ts-iface-traffic")
            }
            ("timeseries/ts.lua", _) => exchange!("ts-wrong-schema"),
            (other, _) => panic!("{other} was not recorded"),
        }
    }
}

impl Appliance for Recorded {
    fn reply(&self, request: &Request) -> Reply {
        let Exchange { status, headers, body } = Self::answer(request);
        Reply::Answer(Response {
            status,
            reason: "OK",
            headers,
            body: body.as_bytes().to_vec(),
            framing: Framing::Close,
        })
    }
}

/// What has to land of the recorded answers.
fn truth() -> Truth {
    let hosts = [exchange!("host-active"), exchange!("host-active-page2")].iter().flat_map(records).collect();
    let records = Records {
        flow_alerts: records(&exchange!("flow-alert-list-sorted")),
        host_alerts: records(&exchange!("host-alert-list")),
        live: records(&exchange!("flow-alert-list")),
        hosts,
        active_flows: records(&exchange!("flow-active")),
        ..Records::default()
    };
    Truth::from_records(&[(0, records)], "2026-11-23")
}

fn set_up<'a>(run: Run<'a>, server: &Served, workspace: &Workspace) -> Run<'a> {
    let run =
        run.env("NTOPNG_URL", &server.url).env("NTOPNG_PASSWORD", "admin").env("NTOPNG_START", "2026-11-22T00:00:00Z");
    run.env("LAKE", workspace.path("lake"))
}

/// The recorded lists are the beginnings of longer ones, so their totals are not their rows: with a mere warning at that.
#[test]
fn a_real_answer_of_each_list_lands_whole() {
    let (server, workspace) = (Served::appliance(Recorded), Workspace::new());
    let shipped = std::fs::read_to_string(SHIPPED).unwrap();
    let lenient = shipped
        .replace("    paginate: {offset:", "    on_mismatch: warn\n    paginate: {offset:")
        .replace("  rate_limit: 10/s\n", "");
    workspace.write("pipeline.yaml", &lenient);
    let arguments = ["run", "pipeline.yaml", "--now", "2026-11-23T02:15:00Z", "--state", "state"];
    // The raw list wasn't recorded, and the recorded series is one of five minutes: see below.
    let jobs =
        ["hosts", "active_flows", "flow_alerts", "host_alerts", "flow_alerts_live"].map(|job| ["--job", job]).concat();
    let outcome = set_up(workspace.tidegate(&[&arguments[..], &jobs].concat()), &server, &workspace).run();
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    assert!(!outcome.stdout.contains("quarantine"), "{}", outcome.stdout);
    let truth = truth();
    assert!(
        [&truth.flow_alerts, &truth.host_alerts, &truth.live, &truth.active_flows].iter().all(|rows| rows.len() == 10)
    );
    truth.assert_is(&Truth::in_lake(&workspace.path("lake")));
}

/// The series was recorded over five minutes, of which ntopng makes points of six seconds: the shipped file, with that step.
#[test]
fn a_real_time_series_lands_point_by_point() {
    let (server, workspace) = (Served::appliance(Recorded), Workspace::new());
    let mut pipeline = std::fs::read_to_string(SHIPPED).unwrap();
    for (old, new) in [("  rate_limit: 10/s\n", ""), ("step: 1m, max_points: 1441", "step: 6s, max_points: 200")] {
        assert!(pipeline.contains(old), "{old}");
        pipeline = pipeline.replace(old, new);
    }
    let (before, timeseries) = pipeline.split_once("  timeseries:").unwrap();
    workspace
        .write("pipeline.yaml", &format!("{before}  timeseries:{}", timeseries.replace("every: 1d", "every: 10m")));
    let arguments =
        ["run", "pipeline.yaml", "--state", "state", "--job", "timeseries", "--now", "2026-11-22T03:05:00Z"];
    let run = set_up(workspace.tidegate(&arguments), &server, &workspace).env("NTOPNG_START", "2026-11-22T02:40:00Z");
    let outcome = run.run();
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    let answer: Value = serde_json::from_str(exchange!("ts-iface-traffic").body).unwrap();
    let rsp = &answer["rsp"];
    let begin = rsp["metadata"]["epoch_begin"].as_i64().unwrap();
    let points = rsp["series"][0]["data"].as_array().unwrap().iter().zip(0..).map(|(value, index)| {
        serde_json::json!({"schema": "iface:traffic", "series": "bytes", "tstamp": begin + 6 * index, "value": value})
    });
    let records = Records { points: points.collect(), ..Records::default() };
    let expected = Truth::from_records(&[(0, records)], "").points;
    assert_eq!(expected.len(), 51);
    let sql = format!(
        "SELECT * FROM read_parquet('{}/ntopng/timeseries/**/*.parquet', hive_partitioning = false)",
        workspace.path("lake").display()
    );
    assert_same("timeseries", &expected, &read(&sql));
}

#[test]
fn a_preview_shows_real_rows_of_each_job_of_the_shipped_file() {
    let (server, workspace) = (Served::appliance(Recorded), Workspace::new());
    for job in ["interfaces", "hosts", "active_flows", "flow_alerts", "host_alerts", "flow_alerts_live"] {
        let arguments = ["preview", SHIPPED, job, "--now", "2026-11-23T02:15:00Z", "--output", "json"];
        let outcome = set_up(workspace.tidegate(&arguments), &server, &workspace).run();
        assert_eq!(outcome.code, Some(0), "{job}: {outcome:#?}");
        let preview: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(preview["bad"], serde_json::json!([]), "{job}: {preview:#}");
    }
    assert!(!workspace.path("lake").exists(), "a preview writes nothing");
}
