//! The simulator by itself: what a client that follows the rules finds, and what others are told.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use chrono::{TimeDelta, TimeZone as _, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::extract::auth::Auth;
use crate::extract::auth::SecureWorkload as Signer;
use crate::extract::request::{RequestSpec, RequestTree};
use crate::lang::tree::Tree;
use crate::secret::Secret;

const PATH: &str = "/openapi/v1/live_analysis/5c93da83497d4f33d7145960";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 8, 0, 30, 0).unwrap()))
}

/// Makes a request that is signed with the configuration's key, or with another secret.
fn request(config: &SecureWorkloadConfig, path: &str, body: Option<&Value>, secret: Option<&str>) -> Request {
    let method = if body.is_some() { http::Method::POST } else { http::Method::GET };
    let spec = RequestSpec {
        method: method.into(),
        path: path.to_owned(),
        body: body.cloned().map(Tree::from),
        ..RequestSpec::default()
    };
    let mut request = RequestTree::compile("http://csw", spec).unwrap().render(&json!({}), &[]).unwrap();
    let secret = Secret::new(secret.unwrap_or(&config.secret));
    let auth = Auth::SecureWorkload(Signer::new(Secret::new(config.key.clone()), secret));
    auth.apply(&mut request).unwrap();
    auth.signer().unwrap().sign(&mut request, clock().now());
    Request {
        method: request.method.to_string(),
        target: request.url().path().to_owned(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: request.body().map(|(_, body)| body.into_bytes()).unwrap_or_default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 443,
    }
}

fn send(sim: &SecureWorkload, request: &Request) -> (u16, Value) {
    let Reply::Answer(response) = sim.reply(request) else { panic!("hung up") };
    let text = String::from_utf8(response.body).unwrap();
    (response.status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn ask(sim: &SecureWorkload, body: &Value) -> (u16, Value) {
    send(sim, &request(sim.config(), PATH, Some(body), None))
}

/// Reads a search to its end; returns its rows and how the last page said so.
fn read(sim: &SecureWorkload, mut body: Value) -> (Vec<Value>, String) {
    let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
    loop {
        let (status, page) = ask(sim, &body);
        assert_eq!(status, 200, "{page}");
        let key = |names: [&str; 2]| names.into_iter().find_map(|name| page.get(name)).cloned();
        rows.extend(key(["results", "Results"]).and_then(|rows| rows.as_array().cloned()).unwrap_or_default());
        match key(["offset", "Offset"]) {
            Some(next) if !next.is_null() && next != json!("") => {
                assert!(seen.insert(next.to_string()), "a cursor came twice: {next}");
                body["offset"] = next;
            }
            end => return (rows, end.map_or("absent".to_owned(), |end| end.to_string())),
        }
    }
}

fn window(sim: &SecureWorkload, hours: i64) -> Value {
    let now = sim.clock.now();
    json!({"t0": (now - TimeDelta::hours(hours)).timestamp(), "t1": now.timestamp(), "filter": {}, "limit": 50})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_flow_is_found_once(seed in any::<u64>(), flows in 0_usize..700, cap in 20_usize..200, every in 0_u32..5) {
        let config = SecureWorkloadConfig { seed, flows, max_limit: cap, empty_page_every: every, ..Default::default() };
        let sim = SecureWorkload::new(config, clock());
        let (rows, _) = read(&sim, window(&sim, 30));
        let expected: Vec<Value> = sim.flows().iter().map(|flow| sim.render(flow)).collect();
        prop_assert_eq!(expected.len(), flows);
        prop_assert_eq!(rows, expected);
    }
}

#[test]
fn the_odd_things_come_up() {
    let (mut ends, mut nothings, mut numeric) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..40 {
        let config = SecureWorkloadConfig { seed, flows: 200, ..Default::default() };
        let sim = SecureWorkload::new(config, clock());
        let (rows, end) = read(&sim, window(&sim, 30));
        ends.insert(end);
        numeric.insert(rows[0]["timestamp"].is_number());
        assert!(rows.iter().any(|row| row["proto"].is_number()) && rows.iter().any(|row| row["proto"].is_string()));
        assert!(rows.iter().any(|row| row["fwd_bytes"].as_u64() > Some(i64::MAX as u64)), "seed {seed}");
        assert!(rows.iter().any(|row| row.get("user_orchestrator_Workload Type").is_some_and(Value::is_null)));
        assert!(rows.iter().any(|row| row["src_scope_name"].is_array()));
        let before = json!({"t0": 0, "t1": "1970-01-02T00:00:00-0700", "filter": {}});
        nothings.insert(ask(&sim, &before).1.to_string());
    }
    assert_eq!(ends, ["absent", "null", "\"\""].map(str::to_owned).into());
    assert!(nothings.len() == 4 && nothings.contains("{}") && nothings.contains("[]"), "{nothings:?}");
    assert_eq!(numeric.len(), 2);
}

#[test]
fn edges_filters_and_fields_are_heeded() {
    let sim = SecureWorkload::new(SecureWorkloadConfig { hours: 4, ..Default::default() }, clock());
    let edge = Utc.with_ymd_and_hms(2026, 1, 7, 23, 0, 0).unwrap().timestamp();
    let at_edge = |t0: i64, t1: i64| {
        let (rows, _) = read(&sim, json!({"t0": t0, "t1": t1, "filter": {}, "limit": 100}));
        let times: Vec<i64> = sim.flows().iter().map(|flow| flow.timestamp).collect();
        let due = times.iter().filter(|time| (t0 * 1000..=t1 * 1000).contains(time)).count();
        assert_eq!(rows.len(), due);
        times.iter().filter(|time| **time == edge * 1000).count()
    };
    assert!(at_edge(edge - 3600, edge) > 0, "no flow lies where two windows meet");
    let filter = json!({"type": "eq", "field": "category", "value": "escaped"});
    let mut body = window(&sim, 4);
    body["filter"] = filter;
    body["dimensions"] = json!(["category"]);
    body["metrics"] = json!(["fwd_bytes"]);
    let (rows, _) = read(&sim, body.clone());
    assert_eq!(rows.len(), sim.flows().iter().filter(|flow| flow.category == "escaped").count());
    assert_eq!(rows[0].as_object().unwrap().len(), 3, "{}", rows[0]);
    body["dimensions"] = json!(["no_such"]);
    assert_eq!(ask(&sim, &body).0, 400);
}

#[test]
fn the_hour_to_come_is_seen_when_it_has_come() {
    let clock = clock();
    let sim = SecureWorkload::new(SecureWorkloadConfig::default(), clock.clone());
    assert_eq!(sim.flows().len(), 2000);
    clock.advance(TimeDelta::hours(1));
    assert_eq!(sim.flows().len(), 2083);
}

#[test]
fn who_signs_wrongly_is_refused() {
    let config = SecureWorkloadConfig { skew: Some(std::time::Duration::from_mins(5)), ..Default::default() };
    let clock = clock();
    let sim = SecureWorkload::new(config.clone(), clock.clone());
    let body = window(&sim, 1);
    let good = request(&config, PATH, Some(&body), None);
    assert_eq!(send(&sim, &good).0, 200);
    assert_eq!(
        send(&sim, &request(&config, PATH, Some(&body), Some("wrong"))),
        (401, json!({"error": "signature mismatch"}))
    );
    let changed = |change: &dyn Fn(&mut Request)| {
        let mut request = good.clone();
        change(&mut request);
        send(&sim, &request).0
    };
    assert_eq!(changed(&|request| request.body.push(b' ')), 401);
    assert_eq!(changed(&|request| request.target.push_str("?x=1")), 401);
    assert_eq!(changed(&|request| request.headers.clear()), 401);
    clock.advance(TimeDelta::minutes(6));
    assert_eq!(send(&sim, &good), (401, json!({"error": "timestamp is too old"})));
    let config = SecureWorkloadConfig { flow_search_capability: false, ..config };
    let (status, text) = send(&SecureWorkload::new(config, super::tests::clock()), &good);
    assert!(status == 403 && text.as_str().unwrap().contains("<html>"));
    let log = sim.requests();
    assert_eq!(log.iter().map(|entry| entry.status).collect::<Vec<_>>(), [200, 401, 401, 401, 401, 401]);
}

#[test]
fn a_cursor_of_another_search_is_refused() {
    let sim = SecureWorkload::new(SecureWorkloadConfig::default(), clock());
    let mut body = window(&sim, 24);
    let (_, page) = ask(&sim, &body);
    body["offset"] = page["Offset"].clone();
    assert_eq!(ask(&sim, &body).0, 200);
    body["limit"] = json!(51);
    assert_eq!(ask(&sim, &body), (400, json!({"error": "invalid offset"})));
    let unknown = request(sim.config(), "/openapi/v1/live_analysis/nobody", Some(&body), None);
    assert_eq!(send(&sim, &unknown).0, 404);
    let metrics = request(sim.config(), "/openapi/v1/live_analysis/metrics", None, None);
    assert_eq!(send(&sim, &metrics), (200, json!(["fwd_bytes", "rev_bytes", "fwd_pkts", "rev_pkts"])));
}
