//! The shipped pipeline for Cisco Secure Workload, against the simulator, letter for letter but for its rate limit: exactly the flows of its windows land.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tidegate::appliance::faults::Faults;
use tidegate::appliance::secure_workload::{Flow, SecureWorkload, SecureWorkloadConfig, Spelling};
use tidegate::clock::ManualClock;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::duck;
use crate::support::workspace::{Outcome, Workspace};

const PIPELINE: &str = include_str!("../../pipelines/secure_workload.yaml");
const START: &str = "2026-01-07T18:00:00Z";
/// Half an hour, the job's lag, after the last window's end.
const NOW: &str = "2026-01-08T00:30:00Z";

/// A simulator that is being served. It stops when dropped.
struct Sim {
    appliance: Arc<SecureWorkload>,
    address: SocketAddr,
    _stop: DropGuard,
}

impl Sim {
    fn start(config: SecureWorkloadConfig) -> Self {
        let clock = Arc::new(ManualClock::new(instant(NOW)));
        let appliance = SecureWorkload::new(config, clock);
        let (stop, served) = (CancellationToken::new(), Arc::clone(&appliance));
        let (started, start) = std::sync::mpsc::channel();
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                served.serve(listener, stopped).await;
            });
        });
        Self { appliance, address: start.recv().unwrap(), _stop: stop.drop_guard() }
    }

    fn run(&self, workspace: &Workspace, secret: &str) -> (Outcome, Value) {
        let unhurried = "rate_limit: 5/s ";
        assert!(PIPELINE.contains(unhurried));
        // Faults that come by count may come to one request many times.
        let patient = PIPELINE.replace("attempts: 5, max_delay: 1m", "attempts: 20, max_delay: 50ms");
        workspace.write("secure_workload.yaml", &patient.replace(unhurried, "rate_limit: 1000/s "));
        let run = workspace.tidegate(&["run", "secure_workload.yaml", "--now", NOW, "--output", "json"]);
        let config = self.appliance.config();
        let outcome = run
            .env("CSW_URL", format!("http://{}", self.address))
            .env("CSW_KEY", &config.key)
            .env("CSW_SECRET", secret)
            .env("CSW_APPLICATION", &config.applications[0])
            .env("CSW_START", START)
            .run();
        let reports: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
        (outcome, reports[0].clone())
    }

    /// The flows that the pipeline's windows cover.
    fn due(&self) -> Vec<&Flow> {
        let window = instant(START).timestamp_millis()..instant("2026-01-08T00:00:00Z").timestamp_millis();
        self.appliance.flows().iter().filter(|flow| window.contains(&flow.timestamp)).collect()
    }
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn config(seed: u64) -> SecureWorkloadConfig {
    SecureWorkloadConfig { seed, hours: 8, ..SecureWorkloadConfig::default() }
}

/// A flow as the lake should have it.
fn expected(flow: &Flow) -> Value {
    let time = |at: i64| DateTime::from_timestamp_millis(at).unwrap().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let number = |number: u64| number.to_string();
    json!({
        "ts": time(flow.timestamp),
        "started": time(flow.start_timestamp),
        "src_address": flow.src_address,
        "src_port": flow.src_port,
        "dst_address": flow.dst_address,
        "dst_port": flow.dst_port,
        "protocol": flow.protocol_name(),
        "category": flow.category,
        "workload_type": flow.workload_type.flatten(),
        "scopes": match flow.src_scopes.as_slice() {
            [one] => json!(one),
            several => json!(several),
        }
        .to_string(),
        "fwd_bytes": number(flow.fwd_bytes),
        "rev_bytes": number(flow.rev_bytes),
        "fwd_pkts": number(flow.fwd_pkts),
        "rev_pkts": number(flow.rev_pkts),
    })
}

fn landed(workspace: &Workspace) -> Vec<Value> {
    let glob = workspace.path("lake/secure_workload/flows/**/*.parquet");
    duck::rows(&format!(
        "SELECT ts, started, src_address, src_port, dst_address, dst_port, protocol, category, workload_type,
                src_scopes AS scopes, fwd_bytes::VARCHAR AS fwd_bytes, rev_bytes::VARCHAR AS rev_bytes,
                fwd_pkts::VARCHAR AS fwd_pkts, rev_pkts::VARCHAR AS rev_pkts
         FROM read_parquet('{}')",
        glob.display()
    ))
}

fn sorted(rows: impl IntoIterator<Item = Value>) -> Vec<String> {
    // A map with sorted keys, so that two rows alike are one text.
    let text =
        |row: Value| format!("{:?}", row.as_object().unwrap().iter().collect::<std::collections::BTreeMap<_, _>>());
    let mut rows: Vec<String> = rows.into_iter().map(text).collect();
    rows.sort();
    rows
}

fn assert_exact(sim: &Sim, workspace: &Workspace) {
    let (due, landed) = (sorted(sim.due().into_iter().map(expected)), sorted(landed(workspace)));
    assert_eq!(due.len(), landed.len());
    for (due, landed) in due.iter().zip(&landed) {
        assert_eq!(due, landed);
    }
}

#[test]
fn exactly_the_flows_of_the_windows_land() {
    let base = SecureWorkloadConfig::default;
    for config in [
        config(1),
        SecureWorkloadConfig { max_limit: 37, spelling: Spelling::Lower, inclusive_end: false, ..config(2) },
        SecureWorkloadConfig { flows: 5000, max_limit: 10_000, empty_page_every: 2, ..config(3) },
        SecureWorkloadConfig { flows: 12, spelling: Spelling::Lower, ..config(4) },
        SecureWorkloadConfig { flows: 700, max_limit: 7, empty_page_every: 3, ..config(5) },
    ] {
        let seed = config.seed;
        let sim = Sim::start(config);
        let workspace = Workspace::new();
        let (outcome, report) = sim.run(&workspace, &base().secret);
        assert_eq!(outcome.code, Some(0), "seed {seed}: {outcome:?}");
        assert!(!sim.due().is_empty());
        assert_exact(&sim, &workspace);
        let slices = report["jobs"][0]["slices"].as_array().unwrap();
        assert_eq!(slices.len(), 6, "{report}");
        for slice in slices {
            assert_eq!(slice["rows"]["quarantined"], 0, "{slice}");
            let proved = &slice["reconciliation"];
            // An hour on one page that gives no cursor proves nothing, as long as no page has given one; nor does an hour whose last page
            // is as full as those that gave one.
            let unproven = proved["end"] == "no_cursor" && slice["pages"] == 1 || proved["end"] == "cursor_gone_full";
            assert!(proved["verdict"] == "complete" || unproven, "{slice}");
        }
        let escaped = sim.due().iter().filter(|flow| flow.category == "escaped").count();
        let feed = workspace.path("lake/feeds/secure_workload/**/*.csv");
        let count =
            duck::rows(&format!("SELECT count(*) AS n FROM read_csv('{}', all_varchar = true)", feed.display()));
        assert_eq!(count[0]["n"], json!(escaped), "seed {seed}");
    }
}

#[test]
fn an_appliance_without_flows_lands_nothing_and_is_complete() {
    let sim = Sim::start(SecureWorkloadConfig { flows: 0, ..config(1) });
    let workspace = Workspace::new();
    let (outcome, report) = sim.run(&workspace, &sim.appliance.config().secret);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let slices = report["jobs"][0]["slices"].as_array().unwrap();
    assert!(
        slices.len() == 6 && slices.iter().all(|slice| slice["reconciliation"]["verdict"] == "complete"),
        "{report}"
    );
}

#[test]
fn a_second_run_reads_the_last_hour_again_and_changes_nothing() {
    let sim = Sim::start(config(6));
    let workspace = Workspace::new();
    assert_eq!(sim.run(&workspace, &sim.appliance.config().secret).0.code, Some(0));
    let (outcome, report) = sim.run(&workspace, &sim.appliance.config().secret);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let slices = report["jobs"][0]["slices"].as_array().unwrap();
    assert!(slices.len() == 1 && slices[0]["outcome"] == "unchanged", "{report}");
    assert_exact(&sim, &workspace);
}

#[test]
fn a_wrong_secret_is_sent_once_and_shown_nowhere() {
    let sim = Sim::start(config(7));
    let workspace = Workspace::new();
    let (outcome, report) = sim.run(&workspace, "hunter2-hunter2-hunter2");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(sim.appliance.requests().len(), 1, "a refused credential is not tried again");
    assert!(report.to_string().contains("signature mismatch"), "{report}");
    assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains(&sim.appliance.config().key), "{outcome:?}");
}

#[test]
fn a_key_without_the_capability_is_told_so() {
    let sim = Sim::start(SecureWorkloadConfig { flow_search_capability: false, ..config(8) });
    let workspace = Workspace::new();
    let (outcome, report) = sim.run(&workspace, &sim.appliance.config().secret);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(report.to_string().contains("status 403"), "{report}");
}

#[test]
fn faults_lose_and_double_nothing() {
    for (seed, faults) in [
        (9, Faults { every_nth_503: 4, retry_after: Some(0), ..Faults::default() }),
        (10, Faults { cut_body_every_nth: 5, phase: 2, ..Faults::default() }),
        (11, Faults { hang_up_every_nth: 6, every_nth_503: 7, cut_body_every_nth: 11, ..Faults::default() }),
    ] {
        let sim = Sim::start(SecureWorkloadConfig { flows: 400, faults, ..config(seed) });
        let workspace = Workspace::new();
        let (outcome, _) = sim.run(&workspace, &sim.appliance.config().secret);
        assert_eq!(outcome.code, Some(0), "seed {seed}: {outcome:?}");
        assert!(sim.appliance.faults().injected() > 0);
        assert_exact(&sim, &workspace);
    }
}
