//! Okta: `Link` headers in several lines, a bounded query of the system log, `SSWS` tokens.
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, has, in_seconds, minutes_after, own_url, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-01T03:10:00Z";

/// An event every ten seconds, in milliseconds, oldest first.
fn events(count: i64) -> Vec<Value> {
    let event = |at: i64| {
        let published = minutes_after(START, 0) + chrono::TimeDelta::milliseconds(at * 10_000 + at % 1000);
        json!({
            "uuid": format!("{at:08}-0000"), "published": published.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "eventType": "user.session.start", "severity": "INFO", "displayMessage": "User login to Okta",
            "actor": {"id": "00u1", "type": "User", "alternateId": "ann@example.com", "displayName": "Ann"},
            "client": {"ipAddress": "192.0.2.7", "userAgent": null}, "outcome": {"result": "SUCCESS", "reason": null},
            "target": if at % 3 == 0 { json!(null) } else { json!([{"id": "0oa1", "type": "AppInstance"}]) },
            "debugContext": {"debugData": {format!("key{at}"): "value"}},
        })
    };
    (0..count).map(event).collect()
}

/// Returns one page of rows, and the `Link` header as Okta writes it: a line for each relation.
fn linked(request: &Request, rows: &[Value], size: usize, ends: bool) -> Answer {
    let from = request.query.get("after").map_or(0, |after| after.parse().unwrap());
    let page: Vec<Value> = rows.iter().skip(from).take(size).cloned().collect();
    let link = |changes: &[(&str, String)]| {
        let kept = request.query.iter().filter(|(name, _)| changes.iter().all(|(other, _)| name != other));
        let pairs = kept.map(|(name, value)| (name.as_str(), value.clone())).chain(changes.iter().cloned());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        format!("{}?{}", own_url(request), query.finish())
    };
    let next = (from + size).min(rows.len());
    let answer = Answer::json(&json!(page)).header("link", format!("<{}>; rel=\"self\"", link(&[])));
    if next < rows.len() || !ends {
        return answer.header("link", format!("<{}>; rel=\"next\"", link(&[("after", next.to_string())])));
    }
    answer
}

fn api(events: &Arc<Mutex<Vec<Value>>>) -> Api {
    let (events, busy, torn) = (Arc::clone(events), Once::new(), Once::new());
    Api::start(move |request| {
        if !has(request, "authorization", "SSWS 00secret") {
            return refuse(401, &json!({"errorCode": "E0000011", "errorSummary": "Invalid token provided"}));
        }
        if request.path == "/api/v1/users" {
            let user = |n| {
                json!({"id": format!("00u{n:04}"), "status": "ACTIVE", "created": START, "lastLogin": null,
                "lastUpdated": START, "profile": {"login": format!("user{n}@example.com"), format!("x{n}"): n}})
            };
            let users: Vec<Value> = (0..450).map(user).collect();
            return linked(request, &users, request.number("limit").min(200), true);
        }
        if busy.now(request.query.contains_key("after")) {
            let answer = refuse(429, &json!({"errorCode": "E0000047", "errorSummary": "API call exceeded rate limit"}));
            let ends = in_seconds(2);
            return answer.header("x-rate-limit-remaining", "0").header("x-rate-limit-reset", &ends);
        }
        let (since, until) = (&request.query["since"], request.query.get("until"));
        let inside = |event: &&Value| {
            let published = event["published"].as_str().unwrap();
            published >= since.trim_end_matches('Z')
                && until.is_none_or(|until| published < until.trim_end_matches('Z'))
        };
        let rows: Vec<Value> = events.lock().unwrap().iter().filter(inside).cloned().collect();
        // The log gives fewer than asked for where it likes, and nothing at all on the way.
        let answer = linked(request, &rows, request.number("limit").min(100), until.is_some());
        if torn.now(request.query.get("after").is_some_and(|after| after == "200")) { answer.torn() } else { answer }
    })
}

fn example(events: &Arc<Mutex<Vec<Value>>>) -> Example {
    Example::new("okta", "OKTA_URL", api(events), &[("OKTA_TOKEN", "00secret"), ("OKTA_START", START)])
}

#[test]
fn events_of_each_hour_and_all_users() {
    let all = Arc::new(Mutex::new(events(1000)));
    let example = example(&all);
    insta::assert_snapshot!(example.plan("2026-01-01T01:30:00Z"), @"
    system_log: 1 slice due
      2026-01-01 00:00 to 2026-01-01 01:00
        GET /api/v1/logs?limit=1000&sortOrder=ASCENDING&since=2026-01-01T00%3A00%3A00Z&until=2026-01-01T01%3A00%3A00Z
    users: 1 slice due
      the whole list
        GET /api/v1/users?limit=200
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z landed: 360 of 360; complete
    20260101T010000Z landed: 360 of 360; complete
    20260101T020000Z landed: 280 of 280; complete
    20260101 landed: 450 of 450; complete
    ");
    let uuids = |count: i64| -> Vec<Value> { (0..count).map(|at| json!(format!("{at:08}-0000"))).collect() };
    assert_eq!(example.column("okta/system_log", "uuid"), uuids(1000));
    assert_eq!(example.column("okta/users", "id").len(), 450);
    let debug = example.column("okta/system_log", "debug_context");
    assert_eq!(debug[0], json!(r#"{"debugData":{"key0":"value"}}"#));

    // An hour later: an event of it is late, and the day's users have landed.
    let mut later = events(1400);
    let late = later.remove(1100);
    all.lock().unwrap().clone_from(&later);
    assert_eq!(example.run("2026-01-01T04:10:00Z").fine().lines().count(), 3, "the new hour, and two again");
    all.lock().unwrap().insert(1100, late);
    insta::assert_snapshot!(example.run("2026-01-01T04:20:00Z").rows(), @"
    20260101T020000Z unchanged: 360 of 360; complete
    20260101T030000Z landed: 320 of 320; complete
    ");
    assert_eq!(example.column("okta/users", "id").len(), 450);
    example.recorded(NOW);
}
