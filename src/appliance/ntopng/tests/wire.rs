//! Heads, redirects and log-ins.

use chrono::TimeDelta;

use super::{Answer, FLOW_LIST, HOSTS, Sim, basic, recording, shape};
use crate::appliance::ntopng::NtopngConfig;

/// Checks status, header names and values but for what depends on time and port.
fn assert_same_head(ours: &Answer, real: &Answer, port: u16) {
    let steady = |answer: &Answer| {
        let headers = answer.headers.iter().filter(|(name, _)| name != "Last-Modified");
        headers
            .map(|(name, value)| (name.clone(), value.replace("session_3000_", &format!("session_{port}_"))))
            .collect::<Vec<_>>()
    };
    assert_eq!((&ours.status, steady(ours)), (&real.status, steady(real)));
    let names = |answer: &Answer| answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(ours), names(real));
}

#[tokio::test]
async fn answers_have_the_heads_and_shapes_of_the_real_ones() {
    let sim = Sim::start(NtopngConfig::default()).await;
    for name in [
        "ntopng-interfaces",
        "alert-severity-consts",
        "flow-alert-list-wrong-ifid",
        "flow-alert-list-beyond-end",
        "flow-alert-list-bad-sort",
        "flow-alert-list-engaged",
        "flow-active-beyond-end",
        "host-active-beyond-end",
        "host-active-wrong-ifid",
        "ts-wrong-schema",
        "ts-iface-traffic-no-epoch",
    ] {
        let (target, real) = recording(name);
        let ours = sim.get(&target).await;
        assert_same_head(&ours, &real, sim.address.port());
        let (ours, mut real) = (shape(&ours.json()), shape(&real.json()));
        // ours has a longer history than the hour that is asked for here
        if name == "ts-iface-traffic-no-epoch" {
            real.remove(".rsp.series[].data[] null");
        }
        assert_eq!(ours, real, "{name}");
    }
}

#[tokio::test]
async fn redirects_are_the_real_ones_to_the_letter() {
    let sim = Sim::start(NtopngConfig::default()).await;
    for name in ["not-found-script", "ts-no-query-lua-error"] {
        let (target, real) = recording(name);
        let ours = sim.get(&target).await;
        assert_eq!(
            (&ours.status, &ours.headers, ours.body.trim_end()),
            (&real.status, &real.headers, real.body.trim_end())
        );
    }
    let (target, real) = recording("unauthenticated");
    let token = "Token 00000000000000000000000000000000".to_owned();
    let wrong =
        [None, Some(basic("admin", "wrong")), Some(token), Some(basic("admin", "admin").replace("Basic", "basic"))];
    for authorization in wrong {
        let ours = sim.send(&target, authorization.as_deref()).await;
        assert_eq!((&ours.status, &ours.headers, ours.body.as_str()), (&real.status, &real.headers, ""));
    }
    let login = sim.send(real.header("Location"), None).await;
    assert_eq!((login.status.as_str(), login.header("Content-Type")), ("HTTP/1.1 200 OK", "text/html"));
}

#[tokio::test]
async fn unknown_parameters_are_errors_and_odd_values_are_not() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let (_, real) = recording("unknown-parameter-lint-error");
    let ours = sim.get("/lua/rest/v2/get/alert/severity/consts.lua?alert_entity=4").await;
    assert_eq!((&ours.status, &ours.body), (&real.status, &real.body));
    let location = real.header("Location").replace("alert%2Ftype%2Fconsts", "alert%2Fseverity%2Fconsts");
    assert_eq!(ours.header("Location"), location);
    let odd = sim.json(&format!("{HOSTS}&currentPage=1&perPage=abc")).await;
    assert_eq!(odd["rsp"]["perPage"], 10, "dropped without a word");
}

#[tokio::test]
async fn interfaces_are_checked_first_and_minus_one_is_empty() {
    let sim = Sim::start(NtopngConfig::default()).await;
    for path in ["get/host/active.lua", "get/flow/active.lua", "get/flow/alert/list.lua", "get/interface/data.lua"] {
        for query in ["", "?ifid=", "?ifid=eno1", "?ifid=77"] {
            let answer = sim.get(&format!("/lua/rest/v2/{path}{query}")).await;
            assert_eq!((answer.status.as_str(), &answer.json()["rc"]), ("HTTP/1.1 400 Bad Request", &(-2).into()));
            assert_eq!(answer.json()["rsp"], serde_json::json!([]), "an empty table is a list");
        }
    }
    let empty = sim.json("/lua/rest/v2/get/flow/alert/list.lua?ifid=-1&start=0&length=10").await;
    assert_eq!((&empty["recordsTotal"], &empty["rsp"]["records"]), (&0.into(), &serde_json::json!([])));
    assert_eq!(sim.data("/lua/rest/v2/get/host/active.lua?ifid=-1&currentPage=1").await.len(), 0);
}

#[tokio::test]
async fn the_probe_script_sends_two_heads() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let (target, real) = recording("connect-test");
    let ours = sim.get(&target).await;
    assert_same_head(&ours, &real, sim.address.port());
    assert!(serde_json::from_str::<serde_json::Value>(&ours.body).is_err());
    assert_same_head(&Answer::parse(ours.body.as_bytes()), &Answer::parse(real.body.as_bytes()), sim.address.port());
}

#[tokio::test]
async fn a_viewer_may_not_read_alerts() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let (target, real) = recording("viewer-flow-alert-list-no-capability");
    let ours = sim.send(&target, Some(&basic("viewer", "viewer"))).await;
    assert_same_head(&ours, &real, sim.address.port());
    assert_eq!(ours.json(), real.json());
    let hosts = sim.send(&format!("{HOSTS}&currentPage=1"), Some(&basic("viewer", "viewer"))).await;
    assert_eq!(hosts.status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_locked_out_address_may_still_use_its_token() {
    let sim = Sim::start(NtopngConfig::default()).await;
    for _ in 0..5 {
        assert_eq!(sim.send(FLOW_LIST, Some(&basic("admin", "wrong"))).await.status, "HTTP/1.1 302 Found");
    }
    assert_eq!(sim.get(FLOW_LIST).await.status, "HTTP/1.1 302 Found", "the right password is locked out too");
    let token = format!("Token {}", NtopngConfig::default().users[0].token.clone().unwrap());
    assert_eq!(sim.send(FLOW_LIST, Some(&token)).await.status, "HTTP/1.1 200 OK");
    sim.clock.advance(TimeDelta::seconds(300));
    assert_eq!(sim.get(FLOW_LIST).await.status, "HTTP/1.1 200 OK");
    let log = sim.ntopng.requests();
    assert_eq!(log.iter().filter(|entry| entry.user.is_none() && entry.status == Some(302)).count(), 6);
    assert_eq!(log.last().unwrap().user.as_deref(), Some("admin"));
}

#[tokio::test]
async fn heads_have_no_length_and_a_malformed_date() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let answer = sim.get(HOSTS).await;
    let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert!(!names.contains(&"content-length".to_owned()) && !names.contains(&"transfer-encoding".to_owned()));
    assert_eq!(answer.header("Last-Modified"), "Sun, 11 November 2026 02:50:00 GMT");
}

#[tokio::test]
async fn an_ordinary_client_reads_to_the_close() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("http://{}{FLOW_LIST}&start=0&length=1000&status=any&format=json", sim.address);
    let answer = client.get(url).basic_auth("admin", Some("admin")).send().await.unwrap();
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["rsp"]["records"].as_array().unwrap().len(), 1000);
    assert_eq!(sim.ntopng.requests()[0].rows, 1000);
}

#[tokio::test]
async fn keys_come_in_another_order_in_each_answer() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let mut bodies = std::collections::HashSet::new();
    for _ in 0..10 {
        bodies.insert(
            sim.get("/lua/rest/v2/get/flow/alert/list.lua?ifid=-1").await.body.chars().take(12).collect::<String>(),
        );
    }
    assert!(bodies.len() > 2, "{bodies:?}");
}

#[tokio::test]
async fn a_json_body_is_read_like_a_query() {
    let sim = Sim::start(NtopngConfig::default()).await;
    let body = r#"{"ifid": 0, "start": 0, "length": 3}"#;
    let request = format!(
        "POST /lua/rest/v2/get/flow/alert/list.lua HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n{body}",
        basic("admin", "admin"),
        body.len()
    );
    let answer = Answer::parse(&sim.exchange(&request).await);
    assert_eq!(answer.json()["rsp"]["records"].as_array().unwrap().len(), 3);
}
