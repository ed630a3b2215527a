//! Zendesk: an export from a time on, with `after_url` and `end_of_stream`; lists by `links.next` and `meta.has_more`.
//! <https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, has, own_url, refuse};
use crate::support::api::{Answer, Api, Request};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600;
const NOW: &str = "2026-01-04T02:50:00Z";

fn ticket(id: i64, changed: i64, status: &str) -> Value {
    json!({"id": id, "generated_timestamp": changed, "status": status, "type": null, "priority": null, "subject": format!("No. {id}"),
        "requester_id": 7, "assignee_id": null, "organization_id": null, "tags": ["a"], "created_at": "2025-12-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "via": {"channel": "web"}, "custom_fields": [{"id": id, "value": null}],
        "fields": [], "satisfaction_rating": {"score": "unoffered"}})
}

/// One that changed each minute.
fn tickets(count: i64) -> Vec<Value> {
    (0..count).map(|n| ticket(n, NEW_YEAR + n * 60 + 60, "open")).collect()
}

fn export(request: &Request, tickets: &[Value]) -> Answer {
    let mut rows: Vec<&Value> = tickets.iter().collect();
    rows.sort_by_key(|row| row["generated_timestamp"].as_i64());
    let at = match (request.query.get("cursor"), request.query.get("start_time")) {
        (Some(cursor), None) => cursor.trim_start_matches("MTU3").parse().unwrap(),
        (None, Some(start)) => {
            let start: i64 = start.parse().unwrap();
            // At that time or after it.
            rows.iter().position(|row| row["generated_timestamp"].as_i64().unwrap() >= start).unwrap_or(rows.len())
        }
        other => panic!("{other:?}"),
    };
    // A page has at most so many, and fewer where they are large.
    let size = request.number("per_page").min(400);
    let page: Vec<&Value> = rows.iter().skip(at).take(size).copied().collect();
    let cursor = format!("MTU3{}", at + page.len());
    Answer::json(&json!({
        "after_cursor": cursor, "after_url": format!("{}?cursor={cursor}&per_page=1000", own_url(request)), "before_cursor": null,
        "before_url": null, "end_of_stream": at + page.len() == rows.len(), "tickets": page,
    }))
}

fn organizations(request: &Request) -> Answer {
    let at = request.number("page[after]");
    let size = request.number("page[size]").min(100);
    let row = |n| {
        json!({"id": n, "name": format!("Org {n}"), "external_id": null, "tags": [], "domain_names": [],
        "organization_fields": {format!("f{n}"): 1}, "created_at": "2025-12-01T00:00:00Z", "updated_at": "2025-12-01T00:00:00Z"})
    };
    let page: Vec<Value> = (0..250).map(row).skip(at).take(size).collect();
    let next = format!("{}?page%5Bafter%5D={}&page%5Bsize%5D={size}", own_url(request), at + page.len());
    // The link is there on the last page too; what counts is `has_more`.
    Answer::json(
        &json!({"organizations": page, "meta": {"has_more": at + page.len() < 250, "after_cursor": "x"}, "links": {"prev": null, "next": next}}),
    )
}

fn example(tickets: &Arc<Mutex<Vec<Value>>>) -> Example {
    let (tickets, busy, torn) = (Arc::clone(tickets), Once::new(), Once::new());
    let api = Api::start(move |request| {
        // `me@example.com/token:token-1`
        if !has(request, "authorization", "Basic bWVAZXhhbXBsZS5jb20vdG9rZW46dG9rZW4tMQ==") {
            return refuse(401, &json!({"error": "Couldn't authenticate you"}));
        }
        let is_next = request.query.contains_key("cursor");
        if busy.now(is_next) {
            let words = json!({"error": "APIRateLimitExceeded", "description": "Number of allowed incremental ticket export API requests per minute exceeded"});
            return refuse(429, &words).header("retry-after", "1");
        }
        let answer = match request.path.as_str() {
            "/api/v2/incremental/tickets/cursor" => export(request, &tickets.lock().unwrap()),
            "/api/v2/organizations" => organizations(request),
            other => panic!("{other}"),
        };
        if torn.now(is_next) { answer.torn() } else { answer }
    });
    Example::new("zendesk", "ZENDESK_URL", api, &[("ZENDESK_USER", "me@example.com"), ("ZENDESK_TOKEN", "token-1")])
}

#[test]
fn tickets_go_on_where_the_last_run_ended() {
    let all = Arc::new(Mutex::new(tickets(1000)));
    let example = example(&all);
    insta::assert_snapshot!(example.plan(NOW), @"
    tickets: 1 slice due
      after 2026-01-01T00:00:00Z
        GET /api/v2/incremental/tickets/cursor?per_page=1000&start_time=1767225600
    organizations: 1 slice due
      the whole list
        GET /api/v2/organizations?page%5Bsize%5D=100
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    s0-2026-01-01T00_3a00_3a00Z landed: 1000 of 1000; complete
    20260104 landed: 250 of 250; complete
    ");
    let ids = |count: i64| -> Vec<Value> { (0..count).map(|n| json!(n)).collect() };
    assert_eq!(example.column("zendesk/tickets", "id"), ids(1000));
    assert_eq!(example.column("zendesk/organizations", "id"), ids(250));
    assert_eq!(example.run(NOW).rows(), "", "nothing has changed");

    // The next night: two tickets were solved, and one is new.
    let mut later = tickets(1000);
    later[10] = ticket(10, NEW_YEAR + 70_000, "solved");
    later[11] = ticket(11, NEW_YEAR + 70_001, "solved");
    later.push(ticket(1000, NEW_YEAR + 70_002, "new"));
    *all.lock().unwrap() = later;
    insta::assert_snapshot!(example.run("2026-01-05T02:50:00Z").fine(), @"
    s0-2026-01-01T16_3a40_3a00Z landed: 3 of 4, 1 outside_window; complete
    20260105 landed: 250 of 250; complete
    ");
    let present = "SELECT status, count(*) AS n
                   FROM (SELECT * FROM {set} QUALIFY row_number() OVER (PARTITION BY id ORDER BY generated_timestamp DESC) = 1) GROUP BY 1 ORDER BY 1";
    insta::assert_snapshot!(example.show("zendesk/tickets", present), @r#"
    {"status":"new","n":1}
    {"status":"open","n":998}
    {"status":"solved","n":2}
    "#);
    example.recorded(NOW);
}
