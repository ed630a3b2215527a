//! Logins, sessions, errors.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{AGGREGATE, ENTRY, GET, LIST, Sim, window};
use crate::appliance::lastline::{ErrorShape, LastlineConfig, SessionLifetime, Success};

const DAY: (&str, &str) = ("2026-01-06 00:00:00", "2026-01-07 00:00:00");

fn list(sim: &Sim) -> Value {
    sim.get(LIST, &window(DAY.0, DAY.1, &[]))
}

fn denied() -> Value {
    json!({"success": 0, "error_code": 3001, "error": "Permission denied"})
}

#[test]
fn a_login_gives_a_cookie_whichever_credential_it_has() {
    let sim = Sim::new(LastlineConfig::default());
    let key = ("api_key", "ABCDEF0123456789ABCD");
    let logins = [
        ("/papi/login", [("username", "tidegate"), ("password", "lastline-password")]),
        ("/papi/login.json", [key, ("api_token", "lastline-token")]),
        ("/papi/login.json", [("key", key.1), ("api_token", "lastline-token")]),
    ];
    for (path, form) in logins {
        let answer = sim.send("POST", path, &[], &form);
        assert_eq!((answer.status, &answer.body["success"]), (200, &json!(1)));
        assert!(answer.body["data"] == "true" || answer.body["data"] == json!([]), "{}", answer.body);
        let sim = Sim { cookie: answer.cookie.unwrap(), lastline: sim.lastline.clone(), clock: sim.clock.clone() };
        assert_eq!(list(&sim)["success"], 1);
    }
    let wrong = sim.send("POST", "/papi/login", &[], &[("username", "tidegate"), ("password", "lastline-token")]);
    assert_eq!(wrong.body, json!({"success": 0, "error_code": 3004, "error": "Authentication error"}));
    assert!(wrong.status == 200 && wrong.cookie.is_none());
    assert_eq!(sim.lastline.logins(), 4);
}

#[test]
fn credentials_may_come_along_with_any_call_and_are_in_no_log() {
    let sim = Sim { cookie: String::new(), ..Sim::new(LastlineConfig::default()) };
    assert_eq!(list(&sim), denied());
    let query = window(DAY.0, DAY.1, &[("username", "tidegate"), ("password", "lastline-password")]);
    let answer = sim.send("GET", LIST, &query, &[]);
    assert_eq!(answer.body["success"], 1);
    assert!(answer.cookie.is_some(), "a session begins");
    let log = sim.lastline.requests();
    let seen: Vec<_> =
        log.iter().map(|entry| (entry.credential_in_url, entry.session, entry.error.is_some())).collect();
    assert_eq!(seen, [(false, Some(1), false), (false, None, true), (true, Some(2), false)]);
    assert!(!format!("{log:?}").contains("lastline-password"));
}

#[test]
fn a_session_ends_by_its_requests_by_the_clock_and_by_logout() {
    let sim = Sim::new(LastlineConfig { session: SessionLifetime::Requests(2), ..LastlineConfig::default() });
    let answers: Vec<Value> = (0..4).map(|_| list(&sim)["success"].clone()).collect();
    assert_eq!(answers, [1, 1, 0, 0]);
    let sim = Sim::new(LastlineConfig { session: SessionLifetime::Seconds(60), ..LastlineConfig::default() });
    sim.clock.advance(TimeDelta::seconds(59));
    assert_eq!(list(&sim)["success"], 1);
    sim.clock.advance(TimeDelta::seconds(1));
    assert_eq!(list(&sim), denied());
    let sim = Sim::new(LastlineConfig::default());
    assert_eq!(sim.send("POST", "/papi/logout.json", &[], &[]).body["success"], 1);
    assert_eq!(list(&sim), denied());
}

#[test]
fn a_missing_right_looks_like_a_session_that_is_over() {
    let sim =
        Sim::new(LastlineConfig { forbidden: vec!["monitoring/metric/list".to_owned()], ..LastlineConfig::default() });
    assert_eq!(list(&sim), denied());
    assert_eq!(sim.get(AGGREGATE, &window(DAY.0, DAY.1, &[("metrics", "gauge.cpu_load")]))["success"], 1);
}

#[test]
fn errors_may_lack_their_code_or_their_text_and_have_a_status() {
    let wrong = |config: LastlineConfig| {
        let sim = Sim { cookie: String::new(), ..Sim::new(config) };
        let answer = sim.send("GET", LIST, &[], &[]);
        (answer.status, answer.body)
    };
    let base = LastlineConfig::default;
    assert_eq!(wrong(base()), (200, denied()));
    let no_code = LastlineConfig { error_shape: ErrorShape::NoCode, http_errors: true, ..base() };
    assert_eq!(wrong(no_code), (403, json!({"success": 0, "error": "Permission denied"})));
    let no_text = LastlineConfig { error_shape: ErrorShape::NoText, success: Success::Boolean, ..base() };
    assert_eq!(wrong(no_text), (200, json!({"success": false, "error_code": 3001})));
    let sim = Sim::new(LastlineConfig { success: Success::Boolean, ..base() });
    assert_eq!(list(&sim)["success"], true);
}

#[test]
fn one_unknown_appliance_fails_the_whole_call() {
    let sim = Sim::new(LastlineConfig::default());
    let known = sim.lastline.devices[2].uuid.clone();
    let ask = |uuids: &str, kind: &str| {
        let more = [("metric", "gauge.cpu_load"), ("appliance_uuids", uuids), ("appliance_type", kind)];
        sim.get(GET, &window(DAY.0, DAY.1, &more))
    };
    assert_eq!(ask(&known, "SENSOR")["data"].as_object().map_or(0, serde_json::Map::len), 1);
    let error = json!({"success": 0, "error_code": 9003, "error": "No such appliance"});
    assert_eq!(ask(&format!("{known},00112233445566778899aabbccddeeff"), ""), error);
    assert_eq!(ask(&known, "MANAGER"), error);
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let sim = Sim::new(LastlineConfig::default());
    let metric = ("metric", "gauge.cpu_load");
    for query in [
        vec![metric],
        window(DAY.1, DAY.0, &[metric]),
        window("2026-01-06T00:00:00Z", DAY.1, &[metric]),
        window(DAY.0, DAY.1, &[]),
        window(DAY.0, DAY.1, &[("metric", "gauge.none")]),
        window(DAY.0, DAY.1, &[metric, ("max_data_points", "301")]),
        window(DAY.0, DAY.1, &[metric, ("max_data_points", "many")]),
        vec![metric, ("start_time", DAY.0), ("end_time", DAY.1), ("timezone", "Mars/Olympus")],
    ] {
        let body = sim.get(GET, &query);
        assert_eq!((&body["success"], &body["error_code"]), (&json!(0), &json!(4711)), "{query:?}: {body}");
    }
    assert_eq!(sim.get(ENTRY, &[("log_entry_uuid", "none")])["error"], "No such log entry");
    for path in ["/", "/papi/monitoring/metric/get.xml", "/papi/monitoring/metric/delete.json"] {
        let answer = sim.send("GET", path, &[], &[]);
        assert!(answer.status == 404 && answer.body.is_string());
    }
}
