//! `ServiceNow`: `sysparm_offset` and `sysparm_limit`, the total in a header, all values as texts.
//! <https://www.servicenow.com/docs/bundle/zurich-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html>

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::{Example, Once, has, minutes_after, own_url, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-03T03:10:00Z";

/// Incidents that changed once a minute.
fn incidents(count: i64) -> Vec<Value> {
    let printed = |at| minutes_after(START, at).format("%Y-%m-%d %H:%M:%S").to_string();
    let incident = |n: i64| {
        json!({"sys_id": format!("{:032x}", n * 104_729), "number": format!("INC{n:07}"), "short_description": format!("No. {n}"),
            "state": (n % 3 + 1).to_string(), "priority": "3", "assigned_to": if n % 2 == 0 { "" } else { "5137153cc611227c000bbd1bd8cd2007" },
            "sys_created_on": printed(n - 600), "sys_updated_on": printed(n), "closed_at": "", "active": "true", "sys_mod_count": "4"})
    };
    (0..count).map(incident).collect()
}

fn table(request: &Request, incidents: &[Value]) -> Answer {
    // `tidegate:secret-1`
    if !has(request, "authorization", "Basic dGlkZWdhdGU6c2VjcmV0LTE=") {
        let words = "Required to provide Auth information";
        return refuse(
            401,
            &json!({"error": {"message": "User Not Authenticated", "detail": words}, "status": "failure"}),
        );
    }
    let query: Vec<&str> = request.query["sysparm_query"].split('^').collect();
    let [from, to, "ORDERBYsys_id"] = query.as_slice() else { panic!("{query:?}") };
    let (from, to) = (from.strip_prefix("sys_updated_on>=").unwrap(), to.strip_prefix("sys_updated_on<").unwrap());
    let updated = |row: &&Value| row["sys_updated_on"].as_str().unwrap().to_owned();
    let mut rows: Vec<&Value> =
        incidents.iter().filter(|row| (from.to_owned()..to.to_owned()).contains(&updated(row))).collect();
    rows.sort_by_key(|row| row["sys_id"].as_str().unwrap().to_owned());
    let (offset, limit) = (request.number("sysparm_offset"), request.number("sysparm_limit"));
    let fields: Vec<&str> = request.query["sysparm_fields"].split(',').collect();
    let shown = |row: &&Value| -> Map<String, Value> {
        fields.iter().map(|field| ((*field).to_owned(), row[*field].clone())).collect()
    };
    let page: Vec<_> = rows.iter().skip(offset).take(limit).map(shown).collect();
    let links: Vec<String> = [("first", 0), ("next", offset + limit), ("last", rows.len() / limit * limit)]
        .iter()
        .filter(|(rel, at)| *rel != "next" || *at < rows.len())
        .map(|(rel, at)| format!("<{}?sysparm_limit={limit}&sysparm_offset={at}>;rel=\"{rel}\"", own_url(request)))
        .collect();
    let answer = Answer::json(&json!({"result": page})).header("x-total-count", rows.len().to_string());
    answer.header("link", links.join(","))
}

fn example(incidents: &Arc<Mutex<Vec<Value>>>) -> Example {
    let (incidents, torn) = (Arc::clone(incidents), Once::new());
    let api = Api::start(move |request| {
        assert_eq!(request.path, "/api/now/table/incident");
        let answer = table(request, &incidents.lock().unwrap());
        if torn.now(request.number("sysparm_offset") == 1000) { answer.torn() } else { answer }
    });
    let env = [("SERVICENOW_USER", "tidegate"), ("SERVICENOW_PASSWORD", "secret-1"), ("SERVICENOW_START", START)];
    Example::new("servicenow", "SERVICENOW_URL", api, &env)
}

#[test]
fn changed_incidents_of_each_day_checked_against_the_total() {
    let all = Arc::new(Mutex::new(incidents(3000)));
    let example = example(&all);
    insta::assert_snapshot!(example.plan("2026-01-02T00:10:00Z"), @"
    incidents: 1 slice due
      2026-01-01 00:00 to 2026-01-02 00:00
        GET /api/now/table/incident?sysparm_query=sys_updated_on%3E%3D2026-01-01%2000%3A00%3A00%5Esys_updated_on%3C2026-01-02%2000%3A00%3A00%5EORDERBYsys_id&sysparm_fields=sys_id%2Cnumber%2Cshort_description%2Cstate%2Cpriority%2Cassigned_to%2Csys_created_on%2Csys_updated_on%2Cclosed_at&sysparm_display_value=false&sysparm_exclude_reference_link=true&sysparm_offset=0&sysparm_limit=1000
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z landed: 1440 of 1440; complete
    20260102T000000Z landed: 1440 of 1440; complete
    ");
    let numbers = |count: i64| -> Vec<Value> { (0..count).map(|n| json!(format!("INC{n:07}"))).collect() };
    assert_eq!(example.column("servicenow/incidents", "number"), numbers(2 * 1440));
    let row =
        example.show("servicenow/incidents", "SELECT * EXCLUDE updated_day FROM {set} WHERE number = 'INC0000002'");
    insta::assert_snapshot!(row, @r#"{"sys_id":"00000000000000000000000000033232","number":"INC0000002","short_description":"No. 2","state":3,"priority":3,"assigned_to":null,"created":"2025-12-31T14:02:00.000000Z","updated":"2026-01-01T00:02:00.000000Z","closed":null}"#);
    assert_eq!(example.run(NOW).rows(), "", "all that was due has landed");
    insta::assert_snapshot!(example.run("2026-01-04T03:10:00Z").fine(), @"20260103T000000Z landed: 120 of 120; complete");
    assert_eq!(example.column("servicenow/incidents", "number"), numbers(3000));
    example.recorded(NOW);
}

#[test]
fn rows_that_an_acl_hides_are_missed() {
    let hidden = Api::start(|request| {
        let rows = incidents(20);
        let answer = table(request, &rows);
        let visible: Vec<_> = rows.iter().skip(request.number("sysparm_offset")).take(15).collect();
        if request.number("sysparm_offset") == 0 {
            answer.with(&json!({"result": visible}))
        } else {
            answer.with(&json!({"result": []}))
        }
    });
    let env = [("SERVICENOW_USER", "tidegate"), ("SERVICENOW_PASSWORD", "secret-1"), ("SERVICENOW_START", START)];
    let example = Example::new("servicenow", "SERVICENOW_URL", hidden, &env);
    insta::assert_snapshot!(example.failures("2026-01-02T03:10:00Z"), @"20260101T000000Z: received 15 different rows, while the server said that there are 20: a page came with no rows before all had; the server may hide rows after it has counted them (`advance: size` in `paginate.offset`), or the list moved while it was read: sort by a column that doesn't change; the slice doesn't land (`on_mismatch: warn` lands it all the same)");
}
