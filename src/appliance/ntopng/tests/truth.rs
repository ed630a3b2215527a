//! What the simulator says it holds is what it serves.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::{FLOW_LIST, FLOWS, HOST_LIST, HOSTS, NOW, Sim, rich};
use crate::appliance::faults::Faults;
use crate::appliance::ntopng::{Ntopng, NtopngConfig};
use crate::clock::ManualClock;

#[tokio::test]
async fn records_on_the_wire_are_the_rendered_rows() {
    let sim = Sim::start(rich()).await;
    let ntopng = &sim.ntopng;
    let rendered: Vec<Value> = ntopng.flow_alerts(0).iter().map(|row| ntopng.render_flow_alert(row)).collect();
    assert_eq!(sim.records(&format!("{FLOW_LIST}&status=any&format=json&sort=rowid&order=asc")).await, rendered);
    let rendered: Vec<Value> = ntopng.host_alerts(0).iter().map(|row| ntopng.render_host_alert(row)).collect();
    assert_eq!(sim.records(&format!("{HOST_LIST}&status=any&format=json&sort=rowid&order=asc")).await, rendered);
    let key = |row: &Value| row["key"].to_string();
    let mut rendered: Vec<Value> = ntopng.hosts(0).iter().map(|row| ntopng.render_host(row)).collect();
    let mut served = sim.data(&format!("{HOSTS}&currentPage=1&perPage=1000")).await;
    rendered.sort_by_key(key);
    served.sort_by_key(key);
    assert_eq!(served, rendered);
    let mut rendered: Vec<Value> = ntopng.flows(0).iter().map(|row| ntopng.render_flow(row)).collect();
    let mut served = sim.data(&format!("{FLOWS}&currentPage=1&perPage=1000")).await;
    rendered.sort_by_key(key);
    served.sort_by_key(key);
    assert_eq!(served, rendered);
}

#[test]
fn the_same_inputs_make_the_same_rows() {
    let make = |seed| {
        let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
        let ntopng = Ntopng::new(NtopngConfig { seed, ..rich() }, clock);
        ntopng.grow(10);
        (ntopng.flow_alerts(0), ntopng.host_alerts(0), ntopng.hosts(0), ntopng.flows(0), ntopng.flow_alerts(1))
    };
    assert_eq!(make(7), make(7));
    assert_ne!(make(7).0, make(8).0);
}

#[test]
fn row_ids_restart_after_a_wipe() {
    let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
    let ntopng = Ntopng::new(rich(), clock.clone());
    ntopng.wipe();
    assert!(ntopng.flow_alerts(0).is_empty() && ntopng.host_alerts(0).is_empty());
    ntopng.grow(4);
    assert_eq!(ntopng.flow_alerts(0).iter().map(|row| row.row_id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(ntopng.flow_alerts(1).iter().map(|row| row.row_id).collect::<Vec<_>>(), [1]);
    assert!(ntopng.flow_alerts(2).is_empty() && ntopng.flow_alerts(9).is_empty());
}

#[tokio::test]
async fn hostile_texts_reach_the_client_whole() {
    let sim = Sim::start(NtopngConfig { alerts: 4000, ..rich() }).await;
    let records = sim.records(&format!("{FLOW_LIST}&status=any&format=json")).await;
    let infos: Vec<_> = records.iter().map(|row| row["info"]["value"].as_str().unwrap()).collect();
    let names: Vec<_> = records.iter().filter_map(|row| row["cli_ip"]["name"].as_str()).collect();
    for text in super::super::names::HOSTILE {
        assert!(infos.iter().any(|info| info.ends_with(text)), "no info with {text:?}");
    }
    assert!(names.iter().any(|name| super::super::names::HOSTILE.contains(name)));
}

#[tokio::test]
async fn faults_strike_by_count() {
    let faults = Faults { every_nth_503: 2, retry_after: Some(1), cut_body_every_nth: 3, ..Faults::default() };
    let sim = Sim::start(NtopngConfig { faults, ..NtopngConfig::default() }).await;
    let target = format!("{FLOW_LIST}&length=5&format=json");
    assert!(serde_json::from_str::<Value>(&sim.get(&target).await.body).is_ok());
    let busy = sim.get(&target).await;
    assert_eq!((busy.status.as_str(), busy.header("Retry-After")), ("HTTP/1.1 503 Service Unavailable", "1"));
    let cut = sim.get(&target).await;
    assert_eq!(cut.status, "HTTP/1.1 200 OK");
    assert!(serde_json::from_str::<Value>(&cut.body).is_err(), "a cut body is broken JSON and nothing else");
    assert_eq!(
        (sim.ntopng.faults().requests(), sim.ntopng.faults().injected(), sim.ntopng.requests().len()),
        (3, 2, 2)
    );
    sim.ntopng.set_faults(Faults::default());
    assert_eq!(sim.get(&target).await.status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn big_appliances_answer_quickly() {
    let sim = Sim::start(NtopngConfig { alerts: 100_000, days: 60, ..NtopngConfig::default() }).await;
    let begin = Instant::now();
    let target =
        format!("{FLOW_LIST}&status=any&row_id=60000%3Bgt&sort=rowid&order=asc&start=0&length=1000&format=json");
    assert_eq!(sim.records(&target).await.len(), 1000);
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}
