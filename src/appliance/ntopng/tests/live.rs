//! The live tables, the interface's counters and the time series.

use std::collections::HashSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{FLOWS, HOSTS, Sim, assert_same_shape, basic, recording, rich};
use crate::appliance::ntopng::NtopngConfig;

fn recorded(name: &str) -> Value {
    recording(name).1.json()["rsp"]["data"].clone()
}

#[tokio::test]
async fn hosts_and_flows_have_the_shape_of_real_ones() {
    let sim = Sim::start(rich()).await;
    let hosts = sim.data(&format!("{HOSTS}&currentPage=1&perPage=1000")).await;
    assert!(hosts.iter().any(|host| host.get("country").is_none()), "some hosts left memory");
    assert_same_shape(&Value::Array(hosts), &recorded("host-active"), &[]);
    let flows = sim.data(&format!("{FLOWS}&currentPage=1&perPage=1000")).await;
    let nulls = ["[].breakdown.cli2srv null", "[].breakdown.srv2cli null"];
    assert_same_shape(&Value::Array(flows), &recorded("flow-active"), &nulls);
    let verbose = sim.data(&format!("{FLOWS}&currentPage=1&perPage=1000&verbose=true")).await;
    assert_same_shape(&Value::Array(verbose), &recorded("flow-active-verbose"), &nulls);
}

#[tokio::test]
async fn totals_are_told_for_flows_only() {
    let sim = Sim::start(rich()).await;
    let hosts = sim.json(&format!("{HOSTS}&currentPage=1&perPage=5")).await;
    assert!(hosts["rsp"].get("totalRows").is_none());
    assert_eq!(hosts["rsp"]["sort"], json!([[]]));
    let flows = sim.json(&format!("{FLOWS}&currentPage=1&perPage=5&sortColumn=bytes&sortOrder=desc")).await;
    assert_eq!(flows["rsp"]["totalRows"], sim.ntopng.flows(0).len());
    assert_eq!(flows["rsp"]["sort"], json!([["column_bytes", "desc"]]));
    assert!(flows["rsp"]["data"][0]["key"].is_string() && flows["rsp"]["data"][0]["hash_id"].is_string());
}

/// Reads all pages of a table and returns the identities of its rows.
async fn walk(sim: &Sim, target: &str, identity: fn(&Value) -> String) -> Vec<String> {
    let mut seen = Vec::new();
    for page in 1..100 {
        let rows = sim.data(&format!("{target}&currentPage={page}")).await;
        if rows.is_empty() {
            return seen;
        }
        seen.extend(rows.iter().map(identity));
    }
    panic!("more than 99 pages");
}

#[tokio::test]
async fn steady_columns_page_completely_and_volatile_ones_do_not() {
    let sim = Sim::start(rich()).await;
    let host = |row: &Value| format!("{}@{}", row["ip"], row["vlan"]);
    let flow = |row: &Value| format!("{}/{}", row["key"], row["hash_id"]);
    let distinct = |seen: &[String]| seen.iter().collect::<HashSet<_>>().len();
    let (hosts, flows) = (sim.ntopng.hosts(0).len(), sim.ntopng.flows(0).len());
    for column in ["ip", "name", "country", "vlan"] {
        let seen = walk(&sim, &format!("{HOSTS}&perPage=50&sortColumn={column}&sortOrder=asc"), host).await;
        assert_eq!((seen.len(), distinct(&seen)), (hosts, hosts), "{column}");
    }
    let seen = walk(&sim, &format!("{HOSTS}&perPage=50&sortColumn=thpt&sortOrder=asc"), host).await;
    assert_eq!(seen.len(), hosts);
    assert!(distinct(&seen) < hosts, "rows got lost");
    let seen = walk(&sim, &format!("{FLOWS}&perPage=50&sortColumn=first_seen&sortOrder=desc"), flow).await;
    assert_eq!((seen.len(), distinct(&seen)), (flows, flows));
    let seen = walk(&sim, &format!("{FLOWS}&perPage=50&sortColumn=last_seen&sortOrder=desc"), flow).await;
    assert!(distinct(&seen) < flows, "rows got lost");
}

#[tokio::test]
async fn the_same_address_lives_in_several_vlans() {
    let sim = Sim::start(rich()).await;
    let rows = sim.data(&format!("{HOSTS}&currentPage=1&perPage=1000&sortColumn=ip&sortOrder=asc")).await;
    let addresses: HashSet<_> = rows.iter().map(|row| row["ip"].to_string()).collect();
    assert!(addresses.len() < rows.len());
    assert!(rows.iter().all(|row| !row["ip"].as_str().unwrap().contains('@')));
    assert!(rows.iter().any(|row| row["key"].as_str().unwrap().ends_with("@20")));
    assert!(rows.iter().any(|row| row["ip"].as_str().unwrap().contains(':')), "IPv6");
}

#[tokio::test]
async fn preferences_stick_to_the_user() {
    let sim = Sim::start(rich()).await;
    sim.json(&format!("{HOSTS}&currentPage=1&perPage=7&sortColumn=ip&sortOrder=desc")).await;
    let hosts = sim.json(HOSTS).await;
    assert_eq!((&hosts["rsp"]["perPage"], &hosts["rsp"]["sort"]), (&json!(7), &json!([["column_ip", "desc"]])));
    let flows = sim.json(FLOWS).await;
    assert_eq!((&flows["rsp"]["perPage"], &flows["rsp"]["sort"]), (&json!(7), &json!([["column_first_seen", "asc"]])));
    sim.records(&format!("{}&start=0&length=3", super::FLOW_LIST)).await;
    assert_eq!(sim.json(HOSTS).await["rsp"]["perPage"], 3, "the length of an alert list is the same preference");
    let viewer = sim.send(HOSTS, Some(&basic("viewer", "viewer"))).await.json();
    assert_eq!((&viewer["rsp"]["perPage"], &viewer["rsp"]["sort"]), (&json!(10), &json!([[]])));
}

#[tokio::test]
async fn odd_pages_are_answered_oddly() {
    let sim = Sim::start(rich()).await;
    for page in ["0", "-1"] {
        assert_eq!(sim.data(&format!("{FLOWS}&currentPage={page}&perPage=5")).await.len(), 0);
    }
    assert_eq!(sim.data(&format!("{FLOWS}&currentPage=1&perPage=0")).await.len(), 1);
    for size in ["0", "-1"] {
        assert_eq!(sim.data(&format!("{HOSTS}&currentPage=1&perPage={size}")).await.len(), 0);
    }
    let all = sim.json(&format!("{HOSTS}&currentPage=1&perPage=5&all=true")).await;
    assert_eq!(
        (&all["rsp"]["data"], &all["rsp"]["perPage"], &all["rsp"]["currentPage"]),
        (&json!([]), &json!(-1), &json!(0))
    );
    let big = sim.get(&format!("{FLOWS}&currentPage=1&perPage=32768")).await;
    assert_eq!(big.status, "HTTP/1.1 302 Found");
    assert!(big.header("Location").starts_with("/lua/http_status_code.lua?message=internal_error&"));
    assert!(big.body.ends_with("(field 'throughput_bps')\n\r"));
}

#[tokio::test]
async fn page_zero_of_the_host_list_kills_the_process() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let request = format!("GET {HOSTS}&currentPage=0 HTTP/1.1\r\nAuthorization: {}\r\n\r\n", basic("admin", "admin"));
    assert_eq!(sim.exchange(&request).await, b"", "closed without an answer");
    assert_eq!(sim.ntopng.crashed(), 1);
    assert_eq!(sim.ntopng.requests().last().unwrap().status, None);
    for _ in 0..100 {
        if TcpStream::connect(sim.address).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(TcpStream::connect(sim.address).await.is_err(), "nobody listens any more");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = tokio::spawn(sim.ntopng.clone().serve(listener, stop.clone()));
    assert!(TcpStream::connect(address).await.is_ok(), "it can be started again");
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn hosts_turn_up_and_flows_end_as_the_clock_moves() {
    let sim = Sim::start(rich()).await;
    let before = (sim.ntopng.hosts(0).len(), sim.ntopng.flows(0).len());
    sim.clock.advance(TimeDelta::hours(1));
    let after = (sim.ntopng.hosts(0).len(), sim.ntopng.flows(0).len());
    assert!(before.0 < after.0 && before.1 > after.1, "{before:?} {after:?}");
    assert_eq!(sim.data(&format!("{HOSTS}&currentPage=1&perPage=9999")).await.len(), after.0);
}

#[tokio::test]
async fn interface_counters_are_a_part_of_the_real_ones() {
    let sim = Sim::start(rich()).await;
    let (target, real) = recording("interface-data-if0");
    let ours = sim.json(&target).await;
    let (ours, real) = (super::shape(&ours["rsp"]), super::shape(&real.json()["rsp"]));
    assert!(ours.is_subset(&real), "{:#?}", ours.difference(&real));
}

#[tokio::test]
async fn time_series_have_points_without_times_and_gaps() {
    let sim = Sim::start(rich()).await;
    let path = "/lua/rest/v2/get/timeseries/ts.lua";
    let (target, real) = recording("ts-iface-traffic");
    let ours = sim.json(&target).await;
    assert_same_shape(&ours, &real.json(), &[]);
    let host = sim.ntopng.hosts(0).into_iter().find(|host| host.vlan == 0).unwrap();
    let query = format!("{path}?ts_schema=host:traffic&ts_query=ifid:0,host:{}", host.ip);
    let begin = host.first_seen - 3000;
    let answer = sim.json(&format!("{query}&epoch_begin={begin}&epoch_end={}", host.first_seen + 3000)).await;
    let data = answer["rsp"]["series"][0]["data"].as_array().unwrap();
    assert!(data[0].is_null(), "before the host turned up");
    for query in ["ifid:99", "ifid:2", "ifid:0;host:1.2.3.4"] {
        let nothing = sim.json(&format!("{path}?ts_schema=iface:traffic&ts_query={query}")).await;
        assert_eq!(nothing["rsp"], json!({"metadata": []}), "{query}");
    }
    let top = sim.get(&format!("{path}?ts_schema=top:local_hosts&ts_query=ifid:0")).await;
    assert_eq!(top.status, "HTTP/1.1 302 Found");
}
