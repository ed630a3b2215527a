//! The shipped ntopng pipeline, run by the real binary against the simulated appliance: what lies in the lake is what the appliance
//! has, every row once and every value, as a reader of other people's making sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::appliance::ntopng::{Ntopng, NtopngConfig};
use tidegate::clock::ManualClock;

use crate::support::appliance::{Site, report, slices};
use crate::support::files::{data_files, digests};
use crate::support::lake::{Span, Truth, assert_same, read};
use crate::support::{duck, workspace::Workspace};

/// The seconds from the first instant up to the last.
fn span(from: &str, to: &str) -> Span {
    let second = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp();
    second(from)..second(to)
}

/// The columns of a data set of Parquet files by their types, in order.
fn columns(site: &Site, set: &str) -> String {
    let glob = site.lake().join("ntopng").join(set).join("**/*.parquet");
    let sql = format!("SELECT * FROM read_parquet('{}', hive_partitioning = false)", glob.display());
    let mut by_type: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, kind) in duck::columns(&sql) {
        by_type.entry(kind).or_default().push(name);
    }
    by_type.into_iter().map(|(kind, names)| format!("{kind}: {}\n", names.join(", "))).collect()
}

/// Sums up one of the counts of all slices of a report.
fn sum(report: &Value, count: &str) -> u64 {
    let jobs = report[0]["jobs"].as_array().unwrap().iter();
    let slices = jobs.flat_map(|job| job["slices"].as_array().unwrap());
    slices.map(|slice| slice["rows"][count].as_u64().unwrap()).sum()
}

#[test]
fn the_shipped_file_lands_all_that_the_appliance_has() {
    let config =
        NtopngConfig { alerts: 300, hosts: 120, flows: 150, host_alerts: 40, days: 3, ..NtopngConfig::default() };
    let site = Site::new(config, "2026-01-08T02:15:00Z", "-3d");
    let first = report(&site.run(&[]).run(), 0);
    let truth = Truth::of(&site.ntopng, &span("2026-01-05T00:00:00Z", "2026-01-08T00:00:00Z"), "2026-01-08");
    assert_eq!(truth.points.len(), 2 * 2 * 3 * 1440, "two series of two interfaces, a point a minute");
    let gaps = truth.points.iter().filter(|point| point.contains(r#""value":null"#)).count();
    assert!((1..1000).contains(&gaps), "{gaps} points are missing");
    assert!(truth.flow_alerts.len() > 200 && truth.feed.len() > 20 && truth.host_alerts.len() > 20, "{truth:?}");
    truth.assert_is(&Truth::in_lake(&site.lake()));
    assert_eq!(sum(&first, "quarantined"), 0, "{first:#}");
    types_are_those_of_a_warehouse(&site);
    partitions_are_the_days_of_their_rows(&site);

    let before = (digests(&site.lake()), site.ntopng.requests().len());
    let second = report(&site.run(&[]).run(), 0);
    assert_eq!(digests(&site.lake()), before.0, "a second run changes no byte");
    for job in ["hosts", "active_flows", "flow_alerts_live", "timeseries"] {
        assert_eq!(slices(&second, job), Vec::<&Value>::new());
    }
    for job in ["flow_alerts", "host_alerts", "raw_flow_alerts"] {
        let outcomes: Vec<&Value> = slices(&second, job).into_iter().map(|slice| &slice["outcome"]).collect();
        assert_eq!(outcomes, ["unchanged"; 3], "the last day of each interface is read again: {second:#}");
    }
    assert!(site.ntopng.requests().len() - before.1 < 20, "what has landed isn't read again");
    assert_eq!(site.ntopng.crashed(), 0);
}

fn types_are_those_of_a_warehouse(site: &Site) {
    insta::assert_snapshot!(columns(site, "flow_alerts"), @"
    BIGINT: row_id, ifid, duration_seconds, severity_level, score, occurrences, vlan, bytes_sent, bytes_received, packets
    INTEGER: client_port, server_port
    TIMESTAMP WITH TIME ZONE: ts
    VARCHAR: alert_name, category, severity, client_ip, client_name, server_ip, server_name, l4_protocol, l7_protocol, info, description
    ");
    insta::assert_snapshot!(columns(site, "host_alerts"), @"
    BIGINT: row_id, ifid, duration_seconds, severity_level, score, occurrences
    TIMESTAMP WITH TIME ZONE: ts
    VARCHAR: alert_name, category, severity, ip, name, side, description
    ");
    insta::assert_snapshot!(columns(site, "raw_flow_alerts"), @"
    BIGINT: row_id, ifid, bytes_sent, bytes_received
    INTEGER: alert_id, status, severity_level, score, client_port, server_port, vlan
    TIMESTAMP WITH TIME ZONE: ts, ts_end
    VARCHAR: client_ip, server_ip, info
    ");
    insta::assert_snapshot!(columns(site, "timeseries"), @"
    BIGINT: ifid
    DOUBLE: value
    TIMESTAMP WITH TIME ZONE: ts
    VARCHAR: schema, series
    ");
    insta::assert_snapshot!(columns(site, "hosts"), @"
    BIGINT: ifid, vlan, bytes_sent, bytes_received, bytes_total, flows_as_client, flows_as_server, num_alerts, score
    BOOLEAN: is_localhost, is_multicast, is_blacklisted
    DOUBLE: bits_per_second, packets_per_second
    TIMESTAMP WITH TIME ZONE: first_seen, last_seen
    VARCHAR: ip, name, country
    ");
    insta::assert_snapshot!(columns(site, "active_flows"), @"
    BIGINT: ifid, vlan, client_port, server_port, duration_seconds, bytes, percent_from_client, percent_from_server
    DOUBLE: bits_per_second, packets_per_second
    TIMESTAMP WITH TIME ZONE: first_seen, last_seen
    UBIGINT: flow_key, hash_id
    VARCHAR: l4_protocol, l7_protocol, client_ip, client_name, server_ip, server_name
    ");
}

/// Reads each row's day from its own time, and the folder's from the path.
fn partitions_are_the_days_of_their_rows(site: &Site) {
    for set in ["flow_alerts", "host_alerts", "raw_flow_alerts", "timeseries"] {
        let glob = site.lake().join("ntopng").join(set).join("**/*.parquet");
        let sql = format!(
            "SELECT ts_day, strftime(ts, '%Y-%m-%d') AS day, count(*) AS rows,
                    bool_and(contains(filename, '/ts_day=' || day || '/') AND contains(filename, '-' || strftime(ts, '%Y%m%d') || 'T000000Z-')) AS named
             FROM read_parquet('{}', hive_partitioning = true, hive_types = {{'ts_day': VARCHAR}}, filename = true) GROUP BY ALL",
            glob.display()
        );
        let rows = duck::rows(&sql);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows.iter().all(|row| row["ts_day"] == row["day"] && row["named"] == json!(true)), "{rows:?}");
    }
}

/// Runs a copy of the shipped pipeline against a simulator, and compares the lake with the truth.
fn lands_all(config: NtopngConfig, edits: &[(&str, &str)]) -> Site {
    let days = config.days;
    let site = Site::new(config, "2026-03-01T00:20:00Z", &format!("-{days}d")).hurried(edits);
    report(&site.run(&[]).run(), 0);
    let today = span("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z").start;
    let truth = Truth::of(&site.ntopng, &(today - i64::from(days) * 86_400..today), "2026-03-01");
    truth.assert_is(&Truth::in_lake(&site.lake()));
    site
}

#[test]
fn pages_of_any_size_give_the_same_rows() {
    let config = NtopngConfig {
        seed: 7,
        alerts: 260,
        hosts: 100,
        flows: 90,
        host_alerts: 30,
        days: 2,
        ..NtopngConfig::default()
    };
    let small = lands_all(
        config.clone(),
        &[("size: 1000}", "size: 7}"), ("size: 100,", "size: 7,"), ("size: 500}", "size: 7}")],
    );
    assert!(small.ntopng.requests().iter().filter(|request| request.target.contains("length=7")).count() > 60);
    let large = lands_all(config, &[("size: 1000}", "size: 333}"), ("size: 500}", "size: 80}")]);
    assert_eq!(data_files(&small.lake()), data_files(&large.lake()), "the page size shows in no file");
}

#[test]
fn every_row_of_a_larger_appliance_is_exact() {
    let config = NtopngConfig {
        seed: 99,
        alerts: 3000,
        hosts: 250,
        flows: 1100,
        host_alerts: 500,
        days: 2,
        ..NtopngConfig::default()
    };
    let site = lands_all(config, &[]);
    let sql = format!(
        "SELECT count(*) FILTER (bytes_sent > 9007199254740992) AS beyond, count(*) FILTER (contains(info, '日本語')) AS japanese,
                count(*) FILTER (contains(info, chr(10))) AS lines, count(*) FILTER (contains(client_ip, ':')) AS ipv6,
                count(*) FILTER (info IS NULL) AS nulls
         FROM read_parquet('{}/ntopng/flow_alerts/**/*.parquet')",
        site.lake().display()
    );
    let [row] = &duck::rows(&sql)[..] else { panic!() };
    for kind in ["beyond", "japanese", "lines", "ipv6"] {
        assert!(row[kind].as_u64().unwrap() > 0, "the rows are as odd as they should be: {row}");
    }
    assert_eq!(row["nulls"], 0, "an empty text is no null");
}

#[test]
fn a_build_that_cuts_its_lists_loses_nothing() {
    let config = NtopngConfig {
        alerts: 300,
        host_alerts: 80,
        hosts: 30,
        flows: 20,
        days: 2,
        row_cap: Some(13),
        ..NtopngConfig::default()
    };
    lands_all(config, &[("size: 500}", "size: 13}")]);
}

/// The raw list knows no order: whichever rows of a full page come, they are read again in halves of its time.
#[test]
fn raw_alerts_are_halved_until_no_page_is_full() {
    let config = NtopngConfig {
        seed: 11,
        alerts: 1800,
        host_alerts: 10,
        hosts: 20,
        flows: 20,
        days: 2,
        arbitrary_order: true,
        ..NtopngConfig::default()
    };
    let edits = [
        ("maxhits_clause: 10000", "maxhits_clause: 130"),
        ("split: {size: 10000}", "split: {size: 130}"),
        ("pad: {after: 1h}", "pad: {after: 1m}"),
    ];
    let site = lands_all(config, &edits);
    let full = site
        .ntopng
        .requests()
        .iter()
        .filter(|request| request.target.contains("maxhits") && request.rows == 130)
        .count();
    assert!(full > 4, "{full} pages were full");
}

#[test]
fn a_server_that_keeps_no_order_is_exact_where_a_day_is_one_page() {
    let config = NtopngConfig { seed: 3, alerts: 300, days: 2, arbitrary_order: true, ..NtopngConfig::default() };
    lands_all(config, &[]);
}

/// Rows of one second that come in another order on each page: offsets lose and repeat some of them. That must be noticed.
#[test]
fn a_server_that_keeps_no_order_between_pages_is_never_landed_wrongly() {
    let config = NtopngConfig { seed: 3, alerts: 300, days: 2, arbitrary_order: true, ..NtopngConfig::default() };
    let site = Site::new(config, "2026-03-01T00:20:00Z", "-2d").hurried(&[("size: 1000}", "size: 7}")]);
    let report = report(&site.run(&["--job", "flow_alerts", "--job", "flow_alerts_live"]).run(), 3);
    let failed: Vec<&Value> =
        slices(&report, "flow_alerts").into_iter().filter(|slice| slice["outcome"] == "failed").collect();
    assert!(!failed.is_empty(), "{report:#}");
    assert!(failed.iter().all(|slice| slice["error"].as_str().unwrap().contains("rows are missing")), "{failed:#?}");
    let truth = Truth::of(&site.ntopng, &span("2026-02-27T00:00:00Z", "2026-03-01T00:00:00Z"), "");
    let is_missing = |row: &str| {
        let row: Value = serde_json::from_str(row).unwrap();
        let slice_begins = format!("{}T000000Z", row["ts"].as_str().unwrap()[..10].replace('-', ""));
        failed.iter().any(|slice| {
            slice["slice"].as_str().unwrap().starts_with(&slice_begins)
                && slice["key"] == format!("{{\"ifid\":{}}}", row["ifid"])
        })
    };
    let landed: Vec<String> = truth.flow_alerts.iter().filter(|row| !is_missing(row)).cloned().collect();
    let found = read(&format!(
        "SELECT * FROM read_parquet('{}/ntopng/flow_alerts/**/*.parquet', hive_partitioning = false)",
        site.lake().display()
    ));
    assert_same("what landed", &landed, &found);
    let ids = format!("SELECT ifid, row_id FROM read_json('{}/ntopng/flow_alerts_live/*.zst')", site.lake().display());
    assert_eq!(read(&ids).len(), truth.live.len(), "row ids have one order");
}

#[test]
fn the_demo_is_the_shipped_pipeline() {
    let workspace = Workspace::new();
    let demo = || workspace.tidegate(&["demo", "--out", "out", "--records", "500"]).run();
    let outcome = demo();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let config = NtopngConfig { alerts: 500, days: 3, ..NtopngConfig::default() };
    let ntopng = Ntopng::new(config, Arc::new(ManualClock::new("2026-01-08T00:20:00Z".parse().unwrap())));
    let truth = Truth::of(&ntopng, &span("2026-01-05T00:00:00Z", "2026-01-08T00:00:00Z"), "2026-01-08");
    let lake = workspace.path("out/lake");
    truth.assert_is(&Truth::in_lake(&lake));
    let landed = digests(&lake);
    assert_eq!(demo().code, Some(0));
    assert_eq!(digests(&lake), landed, "a second demo lands nothing");
}
