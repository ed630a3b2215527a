//! Stripe: newest first, on after the id of the last row, `has_more`. <https://docs.stripe.com/api/pagination>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, has, refuse};
use crate::support::api::{Answer, Api, Request};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600;
const NOW: &str = "2026-01-04T02:20:00Z";

/// A charge every ten minutes, oldest first, two in each second.
fn charges(count: i64) -> Vec<Value> {
    let charge = |at: i64| {
        json!({
            "id": format!("ch_{:08x}", at * 7919), "object": "charge", "created": NEW_YEAR + at / 2 * 1200, "amount": 1000 + at,
            "amount_refunded": 0, "currency": "eur", "status": "succeeded", "paid": true, "refunded": false, "customer": null,
            "failure_code": null, "metadata": {format!("order_{at}"): "x"}, "livemode": false,
        })
    };
    (0..count).map(charge).collect()
}

fn list(request: &Request, charges: &[Value]) -> Answer {
    let error = |status, message: &str| {
        refuse(status, &json!({"error": {"type": "invalid_request_error", "message": message}}))
    };
    if !has(request, "authorization", "Bearer rk_test_1") {
        return error(401, "Invalid API Key provided: rk_test_*");
    }
    assert_eq!(request.headers["stripe-version"], "2025-07-30.basil");
    let limit = request.query.get("limit").map_or(10, |limit| limit.parse().unwrap());
    if !(1..=100).contains(&limit) {
        return error(400, "This value must be less than or equal to 100 (limit)");
    }
    let bound = |name: &str| request.query.get(name).map(|text| text.parse::<i64>().unwrap());
    let (from, to) = (bound("created[gte]").unwrap_or(0), bound("created[lt]").unwrap_or(i64::MAX));
    let in_range = charges.iter().rev().filter(|charge| (from..to).contains(&charge["created"].as_i64().unwrap()));
    let mut rows: Vec<&Value> = in_range.collect();
    if let Some(after) = request.query.get("starting_after") {
        let Some(at) = rows.iter().position(|charge| charge["id"] == after.as_str()) else {
            return error(400, &format!("No such charge: '{after}'"));
        };
        rows.drain(..=at);
    }
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    Answer::json(&json!({"object": "list", "url": "/v1/charges", "has_more": has_more, "data": rows}))
}

fn example(charges: &Arc<Mutex<Vec<Value>>>, key: &str) -> Example {
    let (charges, slow_down) = (Arc::clone(charges), Once::new());
    let api = Api::start(move |request| {
        if slow_down.now(request.query.contains_key("starting_after")) {
            return refuse(429, &json!({"error": {"code": "rate_limit", "message": "Request rate limit exceeded."}}));
        }
        list(request, &charges.lock().unwrap())
    });
    Example::new("stripe", "STRIPE_URL", api, &[("STRIPE_KEY", key), ("STRIPE_START", "2026-01-01T00:00:00Z")])
}

fn expected(charges: &[Value]) -> Vec<Value> {
    let text = |charge: &Value| charge["metadata"].to_string();
    charges
        .iter()
        .map(|charge| json!({"id": charge["id"], "r": charge["amount_refunded"], "m": text(charge)}))
        .collect()
}

fn landed(example: &Example) -> Vec<Value> {
    example.query(
        "stripe/charges",
        "SELECT id, amount_refunded AS r, metadata AS m FROM {set} ORDER BY created_at, amount",
    )
}

#[test]
fn charges_land_once_and_a_refund_changes_its_day() {
    let all = Arc::new(Mutex::new(charges(400)));
    let example = example(&all, "rk_test_1");
    insta::assert_snapshot!(example.plan("2026-01-02T00:05:00Z"), @"
    charges: 1 slice due
      2026-01-01 00:00 to 2026-01-02 00:00
        GET /v1/charges?limit=100&created%5Bgte%5D=1767225600&created%5Blt%5D=1767312000
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z landed: 144 of 144; complete
    20260102T000000Z landed: 144 of 144; complete
    20260103T000000Z landed: 112 of 112; complete
    ");
    assert_eq!(landed(&example), expected(&all.lock().unwrap()));

    // The next night: a charge of the first day was refunded, and there are new ones.
    let mut later = charges(500);
    later[3]["amount_refunded"] = json!(1003);
    all.lock().unwrap().clone_from(&later);
    insta::assert_snapshot!(example.run("2026-01-05T02:20:00Z").fine(), @"
    20260101T000000Z landed: 144 of 144; complete
    20260102T000000Z unchanged: 144 of 144; complete
    20260103T000000Z landed: 144 of 144; complete
    20260104T000000Z landed: 68 of 68; complete
    ");
    later.retain(|charge| charge["created"].as_i64().unwrap() < NEW_YEAR + 4 * 86_400);
    assert_eq!(landed(&example), expected(&later));
    example.recorded(NOW);
}

#[test]
fn a_wrong_key_is_told_in_stripes_words() {
    let example = example(&Arc::new(Mutex::new(charges(1))), "rk_test_2");
    insta::assert_snapshot!(example.failures(NOW), @r#"
    20260101T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: GET /v1/charges?limit=100&created%5Bgte%5D=1767225600&created%5Blt%5D=1767312000: status 401 after 1 try: the server refused the credential; it says: Invalid API Key provided: rk_test_*; body: {"error":{"type":"invalid_request_error","message":"Invalid API Key provided: rk_test_*"}}; check auth, and that the account isn't locked out
    20260102T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: GET /v1/charges?limit=100&created%5Bgte%5D=1767225600&created%5Blt%5D=1767312000: status 401 after 1 try: the server refused the credential; it says: Invalid API Key provided: rk_test_*; body: {"error":{"type":"invalid_request_error","message":"Invalid API Key provided: rk_test_*"}}; check auth, and that the account isn't locked out
    20260103T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: GET /v1/charges?limit=100&created%5Bgte%5D=1767225600&created%5Blt%5D=1767312000: status 401 after 1 try: the server refused the credential; it says: Invalid API Key provided: rk_test_*; body: {"error":{"type":"invalid_request_error","message":"Invalid API Key provided: rk_test_*"}}; check auth, and that the account isn't locked out
    "#);
    assert_eq!(example.api.asked().len(), 1, "a refused key isn't tried again");
}

#[test]
fn the_first_rows_can_be_seen_before_any_lands() {
    let example = example(&Arc::new(Mutex::new(charges(300))), "rk_test_1");
    let seen = example.tidegate(&["preview", "example.yaml", "charges", "--rows", "2", "--now", NOW]);
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{seen:?}");
    insta::assert_snapshot!(seen.stdout, @r#"
    slice: 20260103T000000Z
    request: GET /v1/charges?limit=100&created%5Bgte%5D=1767398400&created%5Blt%5D=1767484800

    the answer without its records:
    {"object":"list","url":"/v1/charges","has_more":false}
    next page by: none: `more` says that this is the last; more: false; total: not stated

    first record, as it came:
    {"id":"ch_00242125","object":"charge","created":1767404400,"amount":1299,"amount_refunded":0,"currency":"eur","status":"succeeded","paid":true,"refunded":false,"customer":null,"failure_code":null,"metadata":{"order_299":"x"},"livemode":false}

    records: 12 received
    ────────────────────────────────────────────────────
     column            type        first record         
    ════════════════════════════════════════════════════
     amount            int64       1299                 
     amount_refunded   int64       0                    
     created           timestamp   2026-01-03T01:40:00Z 
     currency          string      eur                  
     customer          string      null                 
     failure_code      string      null                 
     id                string      ch_00242125          
     livemode          bool        false                
     metadata          json        {"order_299":"x"}    
     object            string      charge               
     paid              bool        true                 
     refunded          bool        false                
     status            string      succeeded            
    ────────────────────────────────────────────────────

    rows that would land:
    row 1
      id: ch_00242125
      created_at: 2026-01-03T01:40:00Z
      amount: 1299
      amount_refunded: 0
      currency: eur
      status: succeeded
      paid: true
      refunded: false
      customer: null
      failure_code: null
      metadata: {"order_299":"x"}
    row 2
      id: ch_00240236
      created_at: 2026-01-03T01:40:00Z
      amount: 1298
      amount_refunded: 0
      currency: eur
      status: succeeded
      paid: true
      refunded: false
      customer: null
      failure_code: null
      metadata: {"order_298":"x"}

    sink lake: ./lake/stripe/charges
      created_at_day=2026-01-03/stripe-charges-20260103T000000Z-g1-00000.parquet (2 rows)
    "#);
    assert!(!example.workspace.path("lake").exists());
}
