//! The shipped pipeline for Scrutinizer, run by the binary against the simulated appliance; what landed is read back by DuckDB.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tidegate::appliance::faults::Faults;
use tidegate::appliance::scrutinizer::{Conversation, Direction, Scrutinizer, ScrutinizerConfig};
use tidegate::appliance::server::{Appliance, Framing, Reply, Request, Response};
use tidegate::clock::ManualClock;

use crate::support::appliance::Served;
use crate::support::duck;
use crate::support::workspace::{Outcome, Workspace};

const NOW: &str = "2026-01-08T00:20:00Z";
/// The first of the hours that are exported; the last one ends at midnight.
const START: &str = "2026-01-07T20:00:00Z";
const HOURS: i64 = 4;

/// A simulator that is being served, and a folder to export it into.
struct Test {
    scrutinizer: Arc<Scrutinizer>,
    served: Served,
    workspace: Workspace,
}

impl Test {
    fn new(config: ScrutinizerConfig) -> Self {
        let scrutinizer = Scrutinizer::new(config, Arc::new(ManualClock::new(instant(NOW))));
        let served = Served::start(|listener, stop| Arc::clone(&scrutinizer).serve(listener, stop));
        Self { scrutinizer, served, workspace: Workspace::new() }
    }

    /// Runs the shipped pipeline with pages of `size` rows.
    fn run(&self, size: usize) -> Outcome {
        self.run_with(size, "scrutinizer-token", "json")
    }

    fn run_with(&self, size: usize, token: &str, output: &str) -> Outcome {
        let shipped =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/scrutinizer.yaml")).unwrap();
        // A test has no minutes to wait, and faults that come by count may come to one request many times.
        let text = replaced(&shipped, "size: 10000", &format!("size: {size}"));
        let text = replaced(&text, "attempts: 5, max_delay: 1m", "attempts: 20, max_delay: 20ms");
        self.workspace.write("pipelines/scrutinizer.yaml", &text);
        let arguments = ["run", "pipelines/scrutinizer.yaml", "--now", NOW, "--output", output];
        let run = self.workspace.tidegate(&arguments).env("SCRUTINIZER_URL", &self.served.url);
        run.env("SCRUTINIZER_TOKEN", token).env("SCRUTINIZER_START", START).run()
    }

    /// The rows in the lake, sorted.
    fn landed(&self) -> Vec<Value> {
        let files = self.workspace.path("lake/scrutinizer/conversations/**/*.parquet");
        let sql = format!(
            "SELECT direction, source_ip, destination_ip, port, epoch(first_flow)::BIGINT AS first_flow, bytes, packets, peak_bytes,
                    percent_of_total
             FROM read_parquet('{}')",
            files.display()
        );
        sorted(duck::rows(&sql))
    }

    /// The rows that the lake ought to have, sorted.
    fn truth(&self) -> Vec<Value> {
        let hours = (0..HOURS).map(|hour| instant(START) + TimeDelta::hours(hour));
        let reports = hours.flat_map(|from| Direction::ALL.map(|direction| (direction, from)));
        let rows = reports.flat_map(|(direction, from)| {
            let rows = self.scrutinizer.conversations(direction, from, from + TimeDelta::hours(1));
            rows.into_iter().map(move |row| expected(direction, &row))
        });
        sorted(rows.collect())
    }
}

/// What a row of the report is in the lake.
fn expected(direction: Direction, row: &Conversation) -> Value {
    let percent = format!("{}.{:02}", row.percent_hundredths / 100, row.percent_hundredths % 100);
    json!({
        "direction": direction.name(), "source_ip": row.source, "destination_ip": row.destination, "port": row.port,
        "first_flow": row.first_flow, "bytes": row.octets, "packets": row.packets, "peak_bytes": row.peak,
        "percent_of_total": percent.parse::<f64>().unwrap(),
    })
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in the pipeline file");
    text.replace(from, to)
}

fn config(seed: u64) -> ScrutinizerConfig {
    ScrutinizerConfig { seed, flows: 1500, hours: 5, ..ScrutinizerConfig::default() }
}

/// The slices of the only job of the only pipeline.
fn slices(outcome: &Outcome) -> Vec<Value> {
    let reports: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    reports[0]["jobs"][0]["slices"].as_array().unwrap_or_else(|| panic!("{outcome:?}")).clone()
}

fn assert_landed(test: &Test, outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(test.landed(), test.truth());
}

#[test]
fn pages_of_any_size_land_the_whole_report() {
    for (seed, size) in [(1, 10_000), (2, 40), (3, 7)] {
        let test = Test::new(config(seed));
        let outcome = test.run(size);
        assert_landed(&test, &outcome);
        assert!(test.truth().len() > 400, "{} rows", test.truth().len());
        let verdicts: Vec<Value> =
            slices(&outcome).iter().map(|slice| slice["reconciliation"]["verdict"].clone()).collect();
        // Nothing tells a list that fits on one page from one of which the server shows no more.
        let verdict = if size == 10_000 { "unknown" } else { "complete" };
        assert_eq!(verdicts, vec![json!(verdict); 8], "seed {seed}, pages of {size}");
        let requests = test.scrutinizer.requests();
        assert!(
            requests.iter().all(|request| request.method == "POST" && !request.token_in_url && request.error.is_none())
        );
        let again = test.run(size);
        assert_landed(&test, &again);
        assert_eq!(test.scrutinizer.requests().len(), requests.len(), "what has landed isn't asked for again");
    }
}

#[test]
fn columns_have_the_types_of_what_they_hold() {
    let test = Test::new(config(1));
    assert_eq!(test.run(10_000).code, Some(0));
    let files = test.workspace.path("lake/scrutinizer/conversations/**/*.parquet");
    let columns = duck::columns(&format!("SELECT * FROM read_parquet('{}')", files.display()));
    let columns: Vec<_> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    assert_snapshot!(columns.join("\n"), @r"
    direction VARCHAR
    source_ip VARCHAR
    destination_ip VARCHAR
    port VARCHAR
    first_flow TIMESTAMP WITH TIME ZONE
    bytes UBIGINT
    packets UBIGINT
    peak_bytes UBIGINT
    percent_of_total DOUBLE
    first_flow_day DATE
    ");
}

#[test]
fn a_server_that_caps_its_pages_loses_nothing_and_hours_may_be_empty() {
    let test = Test::new(ScrutinizerConfig { row_cap: Some(30), hours: 2, ..config(4) });
    let outcome = test.run(10_000);
    assert_landed(&test, &outcome);
    let empty = slices(&outcome).iter().filter(|slice| slice["rows"]["received"] == 0).count();
    assert_eq!(empty, 4, "the first two hours had no traffic");
    let first: Vec<_> = test.scrutinizer.requests().iter().flat_map(|request| request.pages.clone()).collect();
    assert!(
        first.iter().all(|(_, offset, rows)| offset % 30 == 0 || *rows == 10_000)
            && first.iter().any(|page| page.1 == 30)
    );
}

#[test]
fn rows_that_move_among_equals_are_safe_in_one_page_and_told_in_several() {
    let test = Test::new(ScrutinizerConfig { shuffled_ties: true, ..config(5) });
    assert_landed(&test, &test.run(10_000));
    let test = Test::new(ScrutinizerConfig { shuffled_ties: true, ..config(5) });
    let outcome = test.run(10);
    let count = |name: &str| slices(&outcome).iter().map(|slice| slice["rows"][name].as_u64().unwrap()).sum::<u64>();
    let truth = test.truth();
    assert!(count("deduplicated") > 0, "{outcome:?}");
    assert_eq!(count("received"), truth.len() as u64, "as many rows as there are, but not the same ones");
    assert!(test.landed().iter().all(|row| truth.contains(row)));
}

#[test]
fn a_wrong_token_is_told_once_and_stays_secret() {
    let test = Test::new(config(6));
    let outcome = test.run_with(10_000, "not-the-token", "json");
    assert_eq!(outcome.code, Some(1));
    assert!(!format!("{outcome:?}").contains("not-the-token"));
    let errors: BTreeSet<String> = slices(&outcome).iter().map(|slice| slice["error"].to_string()).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_snapshot!(slices(&outcome)[0]["error"].as_str().unwrap(), @r#"the server refused the credential, so no job sends it again in this run; the first refusal: POST /fcgi/scrut_fcgi.fcgi rm=report_api&action=get&data_requested=%7B%22inbound%22%3A%7B%22table%22%3A%7B%22query_limit%22%3A%7B%22offset%22%3A0%2C%22max_num_rows%22%3A10000%7D%7D%7D%7D&rpt_json=%7B%22reportTypeLang%22%3A%22co…: status 200 after 1 try: the server refused the credential; it says: The authentication token is not valid; body: {"err":"The authentication token is not valid","details":"invalidToken"}; check auth, and that the account isn't locked out"#);
    assert_eq!(test.scrutinizer.requests().len(), 1, "a refused token is tried once, not by every slice");
}

#[test]
fn a_report_that_fails_costs_its_own_hour_until_it_is_repaired() {
    let test = Test::new(config(7));
    test.scrutinizer.fail_reports_over(Some(instant("2026-01-07T22:30:00Z")));
    let outcome = test.run(10_000);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let failed: Vec<Value> = slices(&outcome).into_iter().filter(|slice| slice["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 2, "{failed:#?}");
    assert_snapshot!(failed[0]["error"].as_str().unwrap(), @r#"POST /fcgi/scrut_fcgi.fcgi rm=report_api&action=get&data_requested=%7B%22inbound%22%3A%7B%22table%22%3A%7B%22query_limit%22%3A%7B%22offset%22%3A0%2C%22max_num_rows%22%3A10000%7D%7D%7D%7D&rpt_json=%7B%22reportTypeLang%22%3A%22co…: status 200 after 1 try: 'success' is not true; it says: The report could not be run; body: {"report":{"error":"The report could not be run"}}; check the request, and the source's success and error_message"#);
    assert!(test.landed().len() < test.truth().len());
    test.scrutinizer.fail_reports_over(None);
    assert_landed(&test, &test.run(10_000));
}

#[test]
fn faults_on_the_way_change_nothing() {
    for phase in [0, 3] {
        let faults =
            Faults { every_nth_503: 5, cut_body_every_nth: 7, hang_up_every_nth: 11, phase, ..Faults::default() };
        let test = Test::new(ScrutinizerConfig { faults, ..config(8) });
        assert_landed(&test, &test.run(25));
        assert!(test.scrutinizer.faults().injected() > 3);
    }
}

#[test]
fn the_plain_port_is_an_error_and_not_followed() {
    let test = Test::new(ScrutinizerConfig { https_only: true, ..config(9) });
    let outcome = test.run_with(10_000, "scrutinizer-token", "text");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("redirects aren't followed"), "{outcome:?}");
}

/// Gives the same answer to everything.
struct Parrot(&'static str);

impl Appliance for Parrot {
    fn reply(&self, _: &Request) -> Reply {
        let (headers, body) = (Vec::new(), self.0.into());
        Reply::Answer(Response { status: 200, reason: "OK", headers, body, framing: Framing::ContentLength })
    }
}

#[test]
fn an_answer_without_its_table_is_no_empty_report() {
    for answer in [
        "<!DOCTYPE html><html><body>fcgi crashed</body></html>",
        "{}",
        "[]",
        r#"{"report": {}}"#,
        r#"{"report": {"table": {}}}"#,
        r#"{"report": {"table": {"inbound": {}, "outbound": {"rows": null}}}}"#,
        r#"{"report": {"table": {"inbound": {"rows": {}}, "outbound": {"rows": 0}}}}"#,
    ] {
        let test = Test { served: Served::appliance(Parrot(answer)), ..Test::new(config(1)) };
        let outcome = test.run(10_000);
        assert_eq!(outcome.code, Some(1), "{answer}: {outcome:?}");
        assert!(slices(&outcome).iter().all(|slice| slice["outcome"] == "failed"), "{answer}: {outcome:?}");
    }
}
