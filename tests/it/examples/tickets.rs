//! Jira issues and `ServiceNow` incidents, made of the alerts of a Prometheus Alertmanager.
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, has, minutes_after, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";

/// Alerts that fire: every third one only informs.
fn alerts(count: i64) -> Vec<Value> {
    let alert = |n: i64| {
        let severity = ["critical", "warning", "info"][usize::try_from(n % 3).unwrap()];
        json!({"fingerprint": format!("fp{n:04}"), "startsAt": minutes_after(START, n).format("%Y-%m-%dT%H:%M:%S.123Z").to_string(),
            "endsAt": "2026-01-09T00:00:00Z", "updatedAt": "2026-01-02T00:00:00Z", "generatorURL": "http://prometheus/graph",
            "labels": {"alertname": "DiskFull", "severity": severity, "instance": format!("db-{n}"), "job": "node"},
            "annotations": {"summary": format!("Disk of db-{n} is \"full\"")}, "receivers": [{"name": "ops"}],
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []}})
    };
    (0..count).map(alert).collect()
}

/// A server that lists alerts, and takes tickets by `desk`.
fn start(
    listed: &Arc<Mutex<Vec<Value>>>,
    tickets: &Arc<Mutex<Vec<Value>>>,
    desk: fn(&Request, &mut Vec<Value>) -> Answer,
) -> Api {
    let (listed, tickets) = (Arc::clone(listed), Arc::clone(tickets));
    Api::start(move |request| {
        if request.path == "/api/v2/alerts" {
            return Answer::json(&json!(*listed.lock().unwrap()));
        }
        desk(request, &mut tickets.lock().unwrap())
    })
}

fn jira(request: &Request, issues: &mut Vec<Value>) -> Answer {
    // `me@example.com:token-1`
    if !has(request, "authorization", "Basic bWVAZXhhbXBsZS5jb206dG9rZW4tMQ==") {
        return refuse(401, &json!({"errorMessages": ["Client must be authenticated to access this resource."]}));
    }
    let body: Value = serde_json::from_str(&request.body).unwrap();
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/rest/api/3/search/jql") => {
            let label = body["jql"].as_str().unwrap().strip_prefix("labels = \"").unwrap().strip_suffix('"').unwrap();
            let has_it = |issue: &&Value| issue["fields"]["labels"].as_array().unwrap().contains(&json!(label));
            let found: Vec<&Value> = issues.iter().filter(has_it).collect();
            Answer::json(&json!({"issues": found, "isLast": true}))
        }
        ("POST", "/rest/api/3/issue") => {
            assert_eq!(body["fields"]["project"]["key"], "OPS");
            assert_eq!(body["fields"]["description"]["type"], "doc");
            issues.push(body);
            let made = Answer::json(&json!({"id": "10000", "key": format!("OPS-{}", issues.len())})).status(201);
            // One is created, and the gateway says that nothing came.
            if issues.len() == 3 { made.status(504) } else { made }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_issue_for_each_alert() {
    let (listed, issues) = (Arc::new(Mutex::new(alerts(30))), Arc::<Mutex<Vec<Value>>>::default());
    let api = start(&listed, &issues, jira);
    let url = api.url();
    let env = [
        ("ALERTMANAGER_URL", url.as_str()),
        ("JIRA_USER", "me@example.com"),
        ("JIRA_TOKEN", "token-1"),
        ("JIRA_PROJECT", "OPS"),
    ];
    let example = Example::new("jira_tickets", "JIRA_URL", api, &env);
    example.plan("2026-01-02T00:10:00Z");
    for (minute, count) in [(10, 20), (15, 20), (20, 22)] {
        if minute == 20 {
            *listed.lock().unwrap() = alerts(33);
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!(example.run(&format!("2026-01-02T00:{minute}:00Z")).errors().join("\n"), @"");
        }
        assert_eq!(issues.lock().unwrap().len(), count);
    }
    // Nothing fires any more, and then something does again.
    for (minute, firing, count) in [(25, 0, 22), (30, 0, 22), (35, 34, 23)] {
        *listed.lock().unwrap() = alerts(firing);
        assert_eq!(example.run(&format!("2026-01-02T00:{minute}:00Z")).code(), 0);
        assert_eq!(issues.lock().unwrap().len(), count);
    }
    let issues = issues.lock().unwrap();
    let of_db_1 = issues.iter().find(|issue| issue["fields"]["summary"].as_str().unwrap().ends_with("(db-1)"));
    insta::assert_snapshot!(of_db_1.unwrap(), @r#"{"fields":{"project":{"key":"OPS"},"issuetype":{"name":"Task"},"summary":"Disk of db-1 is \"full\" (db-1)","labels":["tidegate-1b391297a9629838052ad26458155438","severity-warning"],"description":{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"Disk of db-1 is \"full\" (since 2026-01-01T00:01:00.123Z)"}]}]}}}"#);
    example.recorded("2026-01-02T00:40:00Z");
}

fn servicenow(request: &Request, incidents: &mut Vec<Value>) -> Answer {
    // `tidegate:password-1`
    if !has(request, "authorization", "Basic dGlkZWdhdGU6cGFzc3dvcmQtMQ==") {
        return refuse(401, &json!({"error": {"message": "User Not Authenticated"}, "status": "failure"}));
    }
    assert_eq!(request.path, "/api/now/table/incident");
    if request.method == "GET" {
        let key = request.query["sysparm_query"].strip_prefix("correlation_id=").unwrap();
        let found: Vec<&Value> = incidents.iter().filter(|incident| incident["correlation_id"] == key).collect();
        return Answer::json(&json!({"result": found}));
    }
    let incident: Value = serde_json::from_str(&request.body).unwrap();
    incidents.push(incident.clone());
    let made = Answer::json(&json!({"result": incident})).status(201);
    if incidents.len() == 5 { made.torn() } else { made }
}

#[test]
fn an_incident_for_each_alert() {
    let (listed, incidents) = (Arc::new(Mutex::new(alerts(30))), Arc::default());
    let api = start(&listed, &incidents, servicenow);
    let url = api.url();
    let env =
        [("ALERTMANAGER_URL", url.as_str()), ("SERVICENOW_USER", "tidegate"), ("SERVICENOW_PASSWORD", "password-1")];
    let example = Example::new("servicenow_tickets", "SERVICENOW_URL", api, &env);
    example.plan("2026-01-02T00:10:00Z");
    for (minute, firing) in [(10, 30), (15, 30), (20, 0), (25, 30)] {
        *listed.lock().unwrap() = alerts(firing);
        let ran = example.run(&format!("2026-01-02T00:{minute}:00Z"));
        assert_eq!(ran.code(), 0, "{ran:?}");
    }
    let mut keys: Vec<String> =
        incidents.lock().unwrap().iter().map(|incident| incident["correlation_id"].to_string()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!((keys.len(), incidents.lock().unwrap().len()), (20, 20));
    assert_eq!(incidents.lock().unwrap().iter().filter(|incident| incident["urgency"] == 1).count(), 10);
    example.recorded("2026-01-02T00:40:00Z");
}
