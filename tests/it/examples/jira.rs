//! Jira Cloud: the enhanced search, with `nextPageToken` and `isLast`, and no total.
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/#api-rest-api-3-search-jql-post>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, has, minutes_after, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-03T02:30:00Z";

/// Issues that changed every ten minutes.
fn issues(count: i64) -> Vec<Value> {
    let printed = |at| minutes_after(START, at).format("%Y-%m-%dT%H:%M:%S.123+0000").to_string();
    let issue = |n: i64| {
        json!({"id": (10_000 + n).to_string(), "key": format!("OPS-{n}"), "expand": "renderedFields", "self": "https://x",
            "fields": {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": format!("Issue {n}"),
                "status": {"name": "To Do"}, "priority": {"name": "High"}, "labels": [],
                "assignee": if n % 2 == 0 { json!(null) } else { json!({"displayName": "Ann", "accountId": "5b"}) },
                "created": printed(n), "updated": printed(n * 10), "resolutiondate": null}})
    };
    (0..count).map(issue).collect()
}

/// The instants of the JQL, as Jira's own format prints them.
fn range(jql: &str) -> (String, String) {
    let instants: Vec<String> = jql.split('"').skip(1).step_by(2).map(|text| text.replace(' ', "T")).collect();
    assert_eq!(
        jql.split('"').step_by(2).collect::<Vec<_>>(),
        ["updated >= ", " AND updated < ", " ORDER BY created ASC"]
    );
    (instants[0].clone(), instants[1].clone())
}

fn search(request: &Request, issues: &[Value]) -> Answer {
    // `me@example.com:token-1`
    if !has(request, "authorization", "Basic bWVAZXhhbXBsZS5jb206dG9rZW4tMQ==") {
        return refuse(
            401,
            &json!({"errorMessages": ["Client must be authenticated to access this resource."], "errors": {}}),
        );
    }
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let jql = body["jql"].as_str().unwrap();
    let (from, to) = range(jql);
    // The first 16 characters are the minute.
    let inside = |issue: &&Value| {
        let minute = &issue["fields"]["updated"].as_str().unwrap()[..16];
        minute >= from.as_str() && minute < to.as_str()
    };
    let rows: Vec<&Value> = issues.iter().filter(inside).collect();
    // A token is bound to its query.
    let at = match &body["nextPageToken"] {
        Value::Null => 0,
        Value::String(token) => token.strip_prefix(&format!("{from}/")).unwrap().parse().unwrap(),
        other => panic!("{other}"),
    };
    // Jira gives fewer than asked for where the fields are many.
    let size = body["maxResults"].as_u64().unwrap().min(50);
    let next = (at + usize::try_from(size).unwrap()).min(rows.len());
    let mut answer = json!({"issues": rows[at..next], "isLast": next == rows.len()});
    if next < rows.len() {
        answer["nextPageToken"] = json!(format!("{from}/{next}"));
    }
    Answer::json(&answer)
}

fn example(issues: &Arc<Mutex<Vec<Value>>>) -> Example {
    let (issues, busy) = (Arc::clone(issues), Once::new());
    let api = Api::start(move |request| {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/rest/api/3/search/jql"));
        if busy.now(request.body.contains("nextPageToken")) {
            return refuse(429, &json!({"errorMessages": ["Rate limit exceeded."]})).header("retry-after", "1");
        }
        search(request, &issues.lock().unwrap())
    });
    let env = [("JIRA_USER", "me@example.com"), ("JIRA_TOKEN", "token-1"), ("JIRA_START", START)];
    Example::new("jira", "JIRA_URL", api, &env)
}

#[test]
fn changed_issues_of_each_day() {
    let all = Arc::new(Mutex::new(issues(290)));
    let example = example(&all);
    insta::assert_snapshot!(example.plan("2026-01-02T00:10:00Z"), @r#"
    issues: 1 slice due
      2026-01-01 00:00 to 2026-01-02 00:00
        POST /rest/api/3/search/jql {"jql":"updated >= \"2026-01-01 00:00\" AND updated < \"2026-01-02 00:00\" ORDER BY created ASC","maxResults":100,"fields":["project","issuetype","summary","status","priority","assignee","created","updated","resolutiondate","labels"]}
    "#);
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z landed: 144 of 144; complete
    20260102T000000Z landed: 144 of 144; complete
    ");
    let ids = |ids: std::ops::Range<i64>| -> Vec<Value> { ids.map(|n| json!(10_000 + n)).collect() };
    assert_eq!(example.column("jira/issues", "id"), ids(0..288), "the last two changed on the third day");
    let first = example.show("jira/issues", "SELECT * EXCLUDE updated_day FROM {set} WHERE id = 10001");
    insta::assert_snapshot!(first, @r#"{"id":10001,"issue":"OPS-1","project":"OPS","type":"Bug","summary":"Issue 1","status":"To Do","priority":"High","assignee":"Ann","labels":[],"created":"2026-01-01T00:01:00.123000Z","updated":"2026-01-01T00:10:00.123000Z","resolved":null}"#);

    // On the third day an issue of the first changes again, and there are no others but the two.
    let mut changed = issues(290);
    changed[7]["fields"]["updated"] = json!("2026-01-03T09:00:00.000+0000");
    changed[7]["fields"]["status"] = json!({"name": "Done"});
    *all.lock().unwrap() = changed;
    insta::assert_snapshot!(example.run("2026-01-04T02:30:00Z").fine(), @"20260103T000000Z landed: 3 of 3; complete");
    let present = "SELECT status, count(*) AS n FROM (SELECT * FROM {set} QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated DESC) = 1)
                   GROUP BY 1 ORDER BY 1";
    insta::assert_snapshot!(example.show("jira/issues", present), @r#"
    {"status":"Done","n":1}
    {"status":"To Do","n":289}
    "#);
    example.recorded(NOW);
}
