//! `tidegate demo`: the four shipped pipelines against the four simulators. What ntopng's lands is in `ntopng.rs`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate::appliance::lastline::{Lastline, LastlineConfig};
use tidegate::appliance::scrutinizer::{Direction, Scrutinizer, ScrutinizerConfig};
use tidegate::appliance::secure_workload::{SecureWorkload, SecureWorkloadConfig};
use tidegate::clock::ManualClock;

use crate::support::duck;
use crate::support::files::data_files;
use crate::support::workspace::{Outcome, Workspace};

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The demo's instant.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(instant("2026-01-08T00:20:00Z")))
}

fn demo(workspace: &Workspace, out: &str, records: usize) -> Outcome {
    let records = records.to_string();
    workspace.tidegate(&["demo", "--out", out, "--records", &records, "--output", "json"]).run()
}

fn seconds(time: DateTime<Utc>) -> i64 {
    time.timestamp()
}

/// The rows of files in a lake; none where there is no such folder.
fn landed(lake: &Path, folder: &str, columns: &str) -> Vec<Value> {
    if !lake.join(folder).exists() {
        return Vec::new();
    }
    duck::rows(&format!("SELECT {columns} FROM read_parquet('{}/{folder}/**/*.parquet')", lake.display()))
}

fn assert_same(what: &str, due: Vec<Value>, landed: Vec<Value>) {
    let sorted = |rows: Vec<Value>| {
        let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        rows.sort();
        rows
    };
    let (due, landed) = (sorted(due), sorted(landed));
    assert_eq!(due.len(), landed.len(), "{what}");
    assert!(due == landed, "{what}: {:?}", due.iter().zip(&landed).find(|(due, landed)| due != landed));
}

fn assert_scrutinizer(lake: &Path, flows: usize) {
    let config = ScrutinizerConfig { flows, hours: 13, ..ScrutinizerConfig::default() };
    let appliance = Scrutinizer::new(config, clock());
    let hours = (0..12).map(|hour| instant("2026-01-07T12:00:00Z") + TimeDelta::hours(hour));
    let mut due = Vec::new();
    for (from, direction) in hours.flat_map(|from| Direction::ALL.map(|direction| (from, direction))) {
        let rows = appliance.conversations(direction, from, from + TimeDelta::hours(1));
        due.extend(rows.iter().map(|row| {
            json!({
                "direction": direction.name(), "source_ip": row.source, "destination_ip": row.destination, "port": row.port,
                "first_flow": row.first_flow, "bytes": row.octets,
            })
        }));
    }
    let columns = "direction, source_ip, destination_ip, port, epoch(first_flow)::BIGINT AS first_flow, bytes";
    assert_same("conversations", due, landed(lake, "scrutinizer/conversations", columns));
}

fn assert_secure_workload(lake: &Path, flows: usize) {
    let config = SecureWorkloadConfig { flows, hours: 7, max_limit: 500, ..SecureWorkloadConfig::default() };
    let appliance = SecureWorkload::new(config, clock());
    let window = instant("2026-01-07T18:00:00Z").timestamp_millis()..instant("2026-01-07T23:00:00Z").timestamp_millis();
    let flows = appliance.flows().iter().filter(|flow| window.contains(&flow.timestamp));
    let due = flows.map(|flow| {
        json!({"at": flow.timestamp, "src": flow.src_address, "src_port": flow.src_port, "dst": flow.dst_address, "bytes": flow.fwd_bytes})
    });
    let columns = "epoch_ms(ts) AS at, src_address AS src, src_port, dst_address AS dst, fwd_bytes AS bytes";
    assert_same("flows", due.collect(), landed(lake, "secure_workload/flows", columns));
}

fn assert_lastline(lake: &Path, records: usize) {
    let sensors = u32::try_from(records / 2500).unwrap().clamp(1, 40);
    let config = LastlineConfig { entries: records / 20, sensors, days: 5, ..LastlineConfig::default() };
    let appliance = Lastline::new(config, clock());
    let window: Range<DateTime<Utc>> = instant("2026-01-04T00:00:00Z")..instant("2026-01-07T00:00:00Z");
    let values = appliance.values(&window).into_iter().map(|point| {
        let appliance = point.appliance.map(|(uuid, _)| uuid);
        json!({"metric": point.metric, "appliance": appliance, "at": seconds(point.at), "value": point.value})
    });
    let columns = "metric, appliance_uuid AS appliance, epoch(ts)::BIGINT AS at, value";
    assert_same("values", values.collect(), landed(lake, "lastline/values", columns));
    let totals = appliance.totals(&window).into_iter();
    let totals = totals.map(|point| json!({"metric": point.metric, "at": seconds(point.at), "value": point.value}));
    assert_same("totals", totals.collect(), landed(lake, "lastline/totals", "metric, epoch(ts)::BIGINT AS at, value"));
    let entries = appliance.entries().into_iter().filter(|entry| window.contains(&entry.start));
    let entries = entries.map(|entry| {
        json!({"uuid": entry.uuid, "count": entry.count, "ended": seconds(entry.end), "gone": entry.details.is_none()})
    });
    let columns = "log_entry_uuid AS uuid, count, epoch(ended)::BIGINT AS ended, detail IS NULL AS gone";
    assert_same("logs", entries.collect(), landed(lake, "lastline/logs", columns));
}

#[test]
fn exactly_what_the_simulators_hold_lands_and_twice_the_same_files() {
    let workspace = Workspace::new();
    let outcome = demo(&workspace, "one", 1300);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let lake = workspace.path("one/lake");
    assert_scrutinizer(&lake, 1300);
    assert_secure_workload(&lake, 1300);
    assert_lastline(&lake, 1300);
    assert_eq!(demo(&workspace, "two", 1300).code, Some(0));
    let files = data_files(&lake);
    assert!(files.len() > 100);
    assert!(files == data_files(&workspace.path("two/lake")), "two demos, two lakes");
    assert_eq!(demo(&workspace, "one", 1300).code, Some(0));
    assert!(files == data_files(&lake), "a second demo changed the lake");
}

#[test]
fn few_records_land_too() {
    for records in [0, 37] {
        let workspace = Workspace::new();
        let outcome = demo(&workspace, "out", records);
        assert_eq!(outcome.code, Some(0), "{records}: {}", outcome.stderr);
        let lake = workspace.path("out/lake");
        assert_scrutinizer(&lake, records);
        assert_secure_workload(&lake, records);
        assert_lastline(&lake, records);
    }
}
