//! Microsoft Graph: the whole URL of the next page, empty pages on the way, client credentials, 429 with `Retry-After`.
//! <https://learn.microsoft.com/graph/paging>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, minutes_after, own_url, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-01T03:30:00Z";

fn sign_ins(count: i64) -> Vec<Value> {
    let sign_in = |n: i64| {
        json!({"id": format!("{n:08}"), "createdDateTime": minutes_after(START, n).format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "userPrincipalName": "ann@example.com", "appDisplayName": "Portal", "ipAddress": "192.0.2.7", "deviceDetail": {"os": n},
            "status": {"errorCode": if n % 10 == 0 { 50126 } else { 0 }, "failureReason": "Other.", "additionalDetails": null},
            "location": if n % 2 == 0 { json!(null) } else { json!({"city": "Oslo", "countryOrRegion": "NO", "geoCoordinates": {}}) },
            "appliedConditionalAccessPolicies": []})
    };
    (0..count).map(sign_in).collect()
}

/// A page of at most `size` rows; the link has the whole query and a token.
fn page(request: &Request, rows: &[Value], size: usize) -> Answer {
    let at: usize = request.query.get("$skiptoken").map_or(0, |token| token.trim_start_matches('t').parse().unwrap());
    let mut body = json!({"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x"});
    // The second page is an empty one.
    let taken = if at == size { 0 } else { size };
    let rows_after = if at > size { at - 1 } else { at.min(size) };
    body["value"] = rows.iter().skip(rows_after).take(taken).cloned().collect();
    let next = if at == size { size + 1 } else { at + taken };
    if rows_after + taken < rows.len() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(request.query.iter().filter(|(name, _)| *name != "$skiptoken"));
        query.append_pair("$skiptoken", &format!("t{next}"));
        body["@odata.nextLink"] = json!(format!("{}?{}", own_url(request), query.finish()));
    }
    Answer::json(&body)
}

fn token(request: &Request) -> Answer {
    let form = request.form();
    let right = form["grant_type"] == "client_credentials"
        && form["client_id"] == "app-1"
        && form["client_secret"] == "app-secret-1"
        && form["scope"] == "https://graph.microsoft.com/.default";
    if !right {
        let error =
            json!({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."});
        return refuse(401, &error);
    }
    Answer::json(
        &json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "graph-token-1"}),
    )
}

fn api(sign_ins: &Arc<Mutex<Vec<Value>>>) -> Api {
    let (sign_ins, busy, torn) = (Arc::clone(sign_ins), Once::new(), Once::new());
    Api::start(move |request| {
        if request.path == "/tenant-1/oauth2/v2.0/token" {
            return token(request);
        }
        let refused =
            |status, code: &str, message: &str| refuse(status, &json!({"error": {"code": code, "message": message}}));
        if request.headers.get("authorization").is_none_or(|token| token != "Bearer graph-token-1") {
            return refused(401, "InvalidAuthenticationToken", "Access token is empty.");
        }
        if busy.now(request.query.contains_key("$skiptoken")) {
            return refused(429, "TooManyRequests", "Too many requests").header("retry-after", "1");
        }
        match request.path.as_str() {
            "/v1.0/users" => {
                assert!(request.query["$select"].starts_with("id,displayName,"));
                let user = |n| {
                    json!({"id": format!("u{n:04}"), "displayName": "Ann", "userPrincipalName": format!("u{n}@example.com"),
                    "mail": null, "accountEnabled": true, "createdDateTime": START, "department": null})
                };
                let users: Vec<Value> = (0..2100).map(user).collect();
                page(request, &users, request.number("$top").min(999))
            }
            "/v1.0/auditLogs/signIns" => {
                let filter = &request.query["$filter"];
                let words: Vec<&str> = filter.split(' ').collect();
                let ["createdDateTime", "ge", from, "and", "createdDateTime", "lt", to] = words.as_slice() else {
                    panic!("{filter}")
                };
                let inside = |row: &&Value| (*from..*to).contains(&row["createdDateTime"].as_str().unwrap());
                let mut rows: Vec<Value> = sign_ins.lock().unwrap().iter().filter(inside).cloned().collect();
                rows.reverse();
                let answer = page(request, &rows, request.number("$top").min(25));
                if torn.now(request.query.contains_key("$skiptoken")) { answer.torn() } else { answer }
            }
            other => refused(400, "BadRequest", &format!("Resource not found for the segment '{other}'.")),
        }
    })
}

fn example(sign_ins: &Arc<Mutex<Vec<Value>>>, secret: &str) -> Example {
    let api = api(sign_ins);
    let login = api.url();
    let env = [
        ("GRAPH_LOGIN_URL", login.as_str()),
        ("GRAPH_TENANT", "tenant-1"),
        ("GRAPH_CLIENT_ID", "app-1"),
        ("GRAPH_CLIENT_SECRET", secret),
        ("GRAPH_START", START),
    ];
    Example::new("microsoft_graph", "GRAPH_URL", api, &env)
}

#[test]
fn users_and_sign_ins() {
    let all = Arc::new(Mutex::new(sign_ins(200)));
    let example = example(&all, "app-secret-1");
    insta::assert_snapshot!(example.plan("2026-01-01T01:30:00Z"), @"
    users: 1 slice due
      the whole list
        GET /v1.0/users?%24select=id%2CdisplayName%2CuserPrincipalName%2Cmail%2CaccountEnabled%2CcreatedDateTime%2Cdepartment&%24top=999
    sign_ins: 1 slice due
      2026-01-01 00:00 to 2026-01-01 01:00
        GET /v1.0/auditLogs/signIns?%24filter=createdDateTime%20ge%202026-01-01T00%3A00%3A00Z%20and%20createdDateTime%20lt%202026-01-01T01%3A00%3A00Z&%24top=1000
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101 landed: 2100 of 2100; complete
    20260101T000000Z landed: 60 of 60; complete
    20260101T010000Z landed: 60 of 60; complete
    20260101T020000Z landed: 60 of 60; complete
    ");
    assert_eq!(example.column("microsoft_graph/users", "id").len(), 2100);
    let ids = |count: i64| -> Vec<Value> { (0..count).map(|n| json!(format!("{n:08}"))).collect() };
    assert_eq!(example.column("microsoft_graph/sign_ins", "id"), ids(180));
    let row = example.show(
        "microsoft_graph/sign_ins",
        "SELECT * EXCLUDE ts_day FROM {set} WHERE id IN ('00000010', '00000011') ORDER BY id",
    );
    insta::assert_snapshot!(row, @r#"
    {"id":"00000010","ts":"2026-01-01T00:10:00.000000Z","principal":"ann@example.com","app":"Portal","ip":"192.0.2.7","error_code":50126,"failure":"Other.","city":null,"country":null}
    {"id":"00000011","ts":"2026-01-01T00:11:00.000000Z","principal":"ann@example.com","app":"Portal","ip":"192.0.2.7","error_code":0,"failure":"Other.","city":"Oslo","country":"NO"}
    "#);

    // An hour later: a sign-in of the first hour shows up, and there is a new hour.
    let mut later = sign_ins(260);
    let mut late = later[5].clone();
    late["id"] = json!("late");
    later.push(late);
    *all.lock().unwrap() = later;
    insta::assert_snapshot!(example.run("2026-01-01T04:30:00Z").fine(), @"
    20260101T000000Z landed: 61 of 61; complete
    20260101T010000Z unchanged: 60 of 60; complete
    20260101T020000Z unchanged: 60 of 60; complete
    20260101T030000Z landed: 60 of 60; complete
    ");
    assert_eq!(example.column("microsoft_graph/sign_ins", "id").len(), 241);
    let tokens = example.api.asked().iter().filter(|asked| asked.path.ends_with("/token")).count();
    assert_eq!(tokens, 2, "one for each run");
    example.recorded(NOW);
}

#[test]
fn a_wrong_client_secret_is_told_and_shown_nowhere() {
    let example = example(&Arc::new(Mutex::new(sign_ins(1))), "app-secret-2");
    insta::assert_snapshot!(example.failures(NOW), @"
    20260101: the server refused the credential, so no job sends it again in this run; the first refusal: the token request POST http://127.0.0.1:[PORT]/tenant-1/oauth2/v2.0/token: status 401 after 1 try: the server answered 401 Unauthorized: invalid_client: AADSTS7000215: Invalid client secret provided.; check client_id and client_secret; some servers want `client_auth: body`
    20260101T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: the token request POST http://127.0.0.1:[PORT]/tenant-1/oauth2/v2.0/token: status 401 after 1 try: the server answered 401 Unauthorized: invalid_client: AADSTS7000215: Invalid client secret provided.; check client_id and client_secret; some servers want `client_auth: body`
    20260101T010000Z: the server refused the credential, so no job sends it again in this run; the first refusal: the token request POST http://127.0.0.1:[PORT]/tenant-1/oauth2/v2.0/token: status 401 after 1 try: the server answered 401 Unauthorized: invalid_client: AADSTS7000215: Invalid client secret provided.; check client_id and client_secret; some servers want `client_auth: body`
    20260101T020000Z: the server refused the credential, so no job sends it again in this run; the first refusal: the token request POST http://127.0.0.1:[PORT]/tenant-1/oauth2/v2.0/token: status 401 after 1 try: the server answered 401 Unauthorized: invalid_client: AADSTS7000215: Invalid client secret provided.; check client_id and client_secret; some servers want `client_auth: body`
    ");
    assert!(!format!("{:?}", example.run(NOW)).contains("app-secret-2"));
}
