//! Alert lists.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{FLOW_LIST, HOST_LIST, Sim, assert_same_shape, recording, rich};
use crate::appliance::ntopng::NtopngConfig;

/// Wraps records as one value, to compare their shapes.
fn all(records: Vec<Value>) -> Value {
    Value::Array(records)
}

fn recorded(name: &str) -> Value {
    recording(name).1.json()["rsp"]["records"].clone()
}

#[tokio::test]
async fn flow_alerts_have_the_shape_of_real_ones() {
    let sim = Sim::start(rich()).await;
    let plain = all(sim.records(&format!("{FLOW_LIST}&format=json&status=any")).await);
    // the ten recorded ones are all of two kinds
    assert_same_shape(&plain, &recorded("flow-alert-list-sorted"), &[]);
    let gui = all(sim.records(&format!("{FLOW_LIST}&status=any")).await);
    // no recorded client of the GUI list had a name
    let allowed = ["[].cli_ip.name string", "[].flow.cli_ip.name string"];
    assert_same_shape(&gui, &recorded("flow-alert-list"), &allowed);
}

#[tokio::test]
async fn host_alerts_have_the_shape_of_real_ones() {
    let sim = Sim::start(rich()).await;
    let gui = all(sim.records(&format!("{HOST_LIST}&status=any")).await);
    assert_same_shape(&gui, &recorded("host-alert-list"), &[]);
    let engaged = all(sim.records(&format!("{HOST_LIST}&status=engaged&length=100")).await);
    assert_same_shape(&engaged, &recorded("host-alert-list-engaged"), &[]);
}

#[tokio::test]
async fn html_goes_with_format_json_but_not_everywhere() {
    let sim = Sim::start(rich()).await;
    let flows = sim.records(&format!("{FLOW_LIST}&status=any&format=json")).await;
    assert!(flows.iter().all(|row| !row["severity"]["label"].as_str().unwrap().contains('<')));
    assert!(flows.iter().all(|row| row["cli_ip"]["reference"] == "" && row.get("description").is_none()));
    let gui = sim.records(&format!("{FLOW_LIST}&length=1")).await;
    assert!(gui[0]["severity"]["label"].as_str().unwrap().starts_with("<i class='fas fa-"));
    let hosts = sim.records(&format!("{HOST_LIST}&status=any&format=json")).await;
    assert!(hosts.iter().any(|row| row["description"].as_str().unwrap().contains("<a href")));
    assert!(hosts.iter().all(|row| row["msg"]["configset_ref"].as_str().unwrap().contains("<a href")));
    assert!(hosts.iter().all(|row| row["ip"]["reference"].as_str().unwrap().contains("<a href")));
    assert!(hosts.iter().all(|row| row["is_client"] == "true" || row["is_client"] == "false"));
}

#[tokio::test]
async fn types_are_as_mixed_as_in_the_real_one() {
    let sim = Sim::start(rich()).await;
    let flow = &sim.records(&format!("{FLOW_LIST}&length=1&format=json")).await[0];
    assert!(
        flow["row_id"].is_string() && flow["alert_id"]["value"].is_string() && flow["cli_port"]["value"].is_string()
    );
    assert!(
        flow["severity"]["value"].is_i64() && flow["tstamp"]["value"].is_i64() && flow["vlan_id"]["value"].is_i64()
    );
    let host = &sim.records(&format!("{HOST_LIST}&length=1&format=json")).await[0];
    assert_eq!((host["alert_id"]["value"].is_string(), &host["vlan_id"]), (true, &json!("")));
    let engaged = &sim.records(&format!("{HOST_LIST}&status=engaged&length=1")).await[0];
    assert!(engaged["alert_id"]["value"].is_i64() && engaged.get("row_id").is_none());
}

#[tokio::test]
async fn numbers_beyond_doubles_stay_exact() {
    let sim = Sim::start(rich()).await;
    let records = sim.records(&format!("{FLOW_LIST}&status=any&format=json")).await;
    let biggest = records.iter().filter_map(|row| row["total_bytes"]["total_bytes"].as_i64()).max().unwrap();
    assert!(biggest > 1 << 53);
    let truth = sim.ntopng.flow_alerts(0);
    assert!(truth.iter().any(|row| row.total_bytes() == biggest));
}

#[tokio::test]
async fn totals_count_the_filter_and_not_the_page() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let hidden = sim.ntopng.flow_alerts(0).iter().filter(|row| !row.acknowledged).count();
    let answer = sim.json(&format!("{FLOW_LIST}&start=0&length=10")).await;
    assert_eq!((&answer["recordsTotal"], &answer["recordsFiltered"]), (&hidden.into(), &hidden.into()));
    let stats = &answer["rsp"]["stats"];
    let number = super::super::answer::with_commas(hidden);
    assert!(stats["num_records_processed"].as_str().unwrap().starts_with(&format!("Processed {number} records [")));
    let engaged = sim.json(&format!("{HOST_LIST}&status=engaged&start=0&length=1")).await;
    assert_eq!((&engaged["recordsTotal"], &engaged["rsp"]["stats"]), (&sim.ntopng.engaged(0).len().into(), &json!([])));
}

#[tokio::test]
async fn labels_are_local_time() {
    let config = NtopngConfig { timezone: chrono_tz::Asia::Tokyo, ..NtopngConfig::default() };
    let sim = Sim::start(config).await;
    let record = &sim.records(&format!("{FLOW_LIST}&length=1&format=json&sort=tstamp&order=desc")).await[0];
    let time = chrono::DateTime::from_timestamp(record["tstamp"]["value"].as_i64().unwrap(), 0).unwrap();
    let local = time.with_timezone(&chrono_tz::Asia::Tokyo).format("%H:%M:%S").to_string();
    assert_eq!(record["tstamp"]["label"], local);
}

#[tokio::test]
async fn text_lists_have_rows_shorter_than_their_header() {
    let sim = Sim::start(rich()).await;
    let (target, real) = recording("flow-alert-list-txt");
    let ours = sim.get(&target).await;
    assert_eq!((ours.header("Content-Type"), ours.body.lines().next()), ("text/csv", real.body.lines().next()));
    let fields = |body: &str| {
        let row = body.lines().nth(1).unwrap();
        // no quoted field holds a separator in these rows
        row.split('|').count()
    };
    assert_eq!(fields(&ours.body), fields(&real.body));
}

#[tokio::test]
async fn the_cursor_sees_every_late_row_once() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let mut seen = Vec::new();
    for step in 0..30 {
        if step % 3 == 2 {
            sim.clock.advance(TimeDelta::seconds(20));
            sim.ntopng.grow(40);
        }
        let after = seen.last().copied().unwrap_or(0);
        let target =
            format!("{FLOW_LIST}&row_id={after}%3Bgt&status=any&sort=rowid&order=asc&start=0&length=200&format=json");
        let ids =
            sim.records(&target).await.into_iter().map(|row| row["row_id"].as_str().unwrap().parse::<i64>().unwrap());
        seen.extend(ids);
    }
    let truth: Vec<_> = sim.ntopng.flow_alerts(0).iter().map(|row| row.row_id).collect();
    assert_eq!(seen, truth);
}

#[tokio::test]
async fn a_window_read_at_once_misses_late_rows() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let end = 1_795_315_800;
    let target = format!("{FLOW_LIST}&status=any&epoch_begin={}&epoch_end={end}&length=1000", end - 3600);
    let early = sim.records(&target).await.len();
    sim.clock.advance(TimeDelta::seconds(91));
    let late = sim.records(&target).await.len();
    assert!(early < late, "{early} and {late}");
}

#[tokio::test]
async fn raw_rows_are_all_text_and_miss_what_straddles_the_end() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let path = "/lua/rest/v2/get/alert/list/alerts.lua?ifid=0";
    let refused = sim.get(&format!("{path}&alert_family=flow")).await;
    assert_eq!((refused.status.as_str(), &refused.json()["rc"]), ("HTTP/1.1 400 Bad Request", &json!(-5)));
    let window = "alert_family=flow&epoch_begin=0&epoch_end=9999999999";
    assert_eq!(sim.json(&format!("{path}&{window}")).await["rsp"].as_array().unwrap().len(), 10, "the default");
    let rows = sim.json(&format!("{path}&{window}&maxhits_clause=100000")).await["rsp"].as_array().unwrap().clone();
    assert_eq!(rows.len(), sim.ntopng.flow_alerts(0).len());
    assert!(rows.iter().all(|row| row.as_object().unwrap().values().all(Value::is_string)));
    let long = sim.ntopng.flow_alerts(0).into_iter().find(|row| row.duration > 0).unwrap();
    let tight = format!("{path}&alert_family=flow&epoch_begin={0}&epoch_end={0}&maxhits_clause=1000", long.tstamp);
    let ids: Vec<_> =
        sim.json(&tight).await["rsp"].as_array().unwrap().iter().map(|row| row["rowid"].clone()).collect();
    assert!(!ids.contains(&json!(long.row_id.to_string())));
}

#[tokio::test]
async fn the_list_of_all_families_is_a_summary_of_a_window() {
    let sim = Sim::start(rich()).await;
    let (_, real) = recording("all-alert-list-epoch");
    let path = "/lua/rest/v2/get/all/alert/list.lua?ifid=0&start=0&length=10";
    let ours = sim.json(&format!("{path}&epoch_begin=1794000000&epoch_end=1795315800")).await;
    assert_same_shape(&ours, &real.json(), &[]);
    let hidden = sim.ntopng.flow_alerts(0).iter().filter(|row| !row.acknowledged).count();
    assert_eq!((&ours["recordsTotal"], &ours["rsp"]["records"][1]["count"]), (&json!(2), &json!(hidden)));
    assert_eq!(sim.get(path).await.status, "HTTP/1.1 302 Found", "no window, no list");
}

#[tokio::test]
async fn knobs_make_it_behave_like_clickhouse() {
    let config = NtopngConfig { row_cap: Some(50), arbitrary_order: true, ..NtopngConfig::default() };
    let sim = Sim::start(config).await;
    let target = format!("{FLOW_LIST}&status=any&start=0&length=100&format=json");
    let (first, second) = (sim.records(&target).await, sim.records(&target).await);
    assert_eq!((first.len(), second.len()), (50, 50), "cut without a word");
    let ids = |records: &[Value]| records.iter().map(|row| row["row_id"].clone()).collect::<Vec<_>>();
    assert_ne!(ids(&first), ids(&second), "without an order every request has its own");
}
