//! Elasticsearch: a point in time whose id may change from page to page, `search_after` with the last hit's sort values.
//! <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results>

use serde_json::{Value, json};

use super::{Example, Once, has, minutes_after, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-01T02:20:00Z";

/// Documents, a few in each second, in no order.
fn documents(count: i64) -> Vec<Value> {
    let document = |n: i64| {
        let at = minutes_after(START, 0) + chrono::TimeDelta::seconds(n * 7919 % count);
        json!({"_index": ".ds-logs-app-default-000001", "_id": format!("id{n}"), "_score": null,
            "_source": {"@timestamp": at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), "message": format!("line {n}")}})
    };
    (0..count).map(document).collect()
}

fn millis(instant: &Value) -> i64 {
    instant.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis()
}

fn search(body: &Value, documents: &[Value]) -> Answer {
    let pit = body["pit"]["id"].as_str().unwrap();
    let Some(turn) = pit.strip_prefix("pit-").and_then(|turn| turn.parse::<u64>().ok()) else {
        let root = json!([{"type": "illegal_argument_exception", "reason": "invalid id"}]);
        return refuse(400, &json!({"error": {"root_cause": root, "reason": "invalid id"}, "status": 400}));
    };
    let range = &body["query"]["range"]["@timestamp"];
    let span = millis(&range["gte"])..millis(&range["lt"]);
    // In a point in time there is a tiebreaker more than was asked for.
    let sort = |at: usize, hit: &Value| (millis(&hit["_source"]["@timestamp"]), at as i64);
    let mut hits: Vec<((i64, i64), &Value)> =
        documents.iter().enumerate().map(|(at, hit)| (sort(at, hit), hit)).collect();
    hits.retain(|((time, _), _)| span.contains(time));
    hits.sort_by_key(|(key, _)| *key);
    let total = hits.len();
    match &body["search_after"] {
        Value::Array(after) => {
            let after = (after[0].as_i64().unwrap(), after[1].as_i64().unwrap());
            hits.retain(|(key, _)| *key > after);
        }
        Value::Null if body.get("search_after").is_none() => {}
        other => {
            let reason = format!("Unknown key for a {other} in [search_after].");
            return refuse(400, &json!({"error": {"type": "parsing_exception", "reason": reason}, "status": 400}));
        }
    }
    hits.truncate(usize::try_from(body["size"].as_u64().unwrap()).unwrap());
    let hits = hits.into_iter().map(|((time, at), hit)| {
        let mut hit = hit.clone();
        hit["sort"] = json!([time, at]);
        hit
    });
    Answer::json(&json!({
        "pit_id": format!("pit-{}", turn + 1), "took": 3, "timed_out": false,
        "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": total, "relation": "eq"}, "max_score": null, "hits": hits.collect::<Vec<_>>()},
    }))
}

fn answer(request: &Request, documents: &[Value]) -> Answer {
    if !has(request, "authorization", "ApiKey key-1") {
        return refuse(
            401,
            &json!({"error": {"type": "security_exception", "reason": "unable to authenticate"}, "status": 401}),
        );
    }
    match request.path.as_str() {
        "/logs-app-default/_pit" => {
            assert_eq!(request.query["keep_alive"], "5m");
            Answer::json(&json!({"id": "pit-1", "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0}}))
        }
        "/_search" => search(&serde_json::from_str(&request.body).unwrap(), documents),
        other => panic!("{other}"),
    }
}

fn example(documents: Vec<Value>, break_one: impl Fn(&Value) -> Option<Answer> + Send + Sync + 'static) -> Example {
    let api = Api::start(move |request| {
        let body = serde_json::from_str(&request.body).unwrap_or_default();
        break_one(&body).unwrap_or_else(|| answer(request, &documents))
    });
    let env = [("ELASTICSEARCH_API_KEY", "key-1"), ("ELASTICSEARCH_START", START)];
    Example::new("elasticsearch", "ELASTICSEARCH_URL", api, &env)
}

#[test]
fn documents_of_each_hour() {
    let torn = Once::new();
    let too_many = refuse(
        429,
        &json!({"error": {"type": "es_rejected_execution_exception", "reason": "rejected"}, "status": 429}),
    );
    let example =
        example(documents(9000), move |body| torn.now(body.get("search_after").is_some()).then(|| too_many.clone()));
    insta::assert_snapshot!(example.plan(NOW), @"
    point_in_time: 1 slice due
      the whole list
        POST /logs-app-default/_pit?keep_alive=5m
    logs: slices not known yet
      it isn't known yet what to repeat it for: the first run asks `point_in_time`
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z-77d2f1d744b6bea7 landed: 3600 of 3600; complete
    20260101T010000Z-77d2f1d744b6bea7 landed: 3600 of 3600; complete
    ");
    let landed = example.query("elasticsearch/logs", "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {set}");
    assert_eq!(landed, [json!({"n": 7200, "ids": 7200})]);
    insta::assert_snapshot!(example.run("2026-01-01T03:20:00Z").fine(), @"
    20260101T000000Z-77d2f1d744b6bea7 unchanged: 3600 of 3600; complete
    20260101T010000Z-77d2f1d744b6bea7 unchanged: 3600 of 3600; complete
    20260101T020000Z-77d2f1d744b6bea7 landed: 1800 of 1800; complete
    ");
    let landed = example.query("elasticsearch/logs", "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {set}");
    assert_eq!(landed, [json!({"n": 9000, "ids": 9000})]);
    example.recorded(NOW);
}

#[test]
fn a_shard_that_fails_is_no_success() {
    let example = example(documents(10), |body| {
        body.get("pit")?;
        let hits = json!({"total": {"value": 0, "relation": "eq"}, "hits": []});
        let shards = json!({"total": 2, "successful": 1, "skipped": 0, "failed": 1});
        Some(Answer::json(&json!({"pit_id": "pit-2", "timed_out": false, "_shards": shards, "hits": hits})))
    });
    insta::assert_snapshot!(example.failures("2026-01-01T01:20:00Z"), @r#"20260101T000000Z-77d2f1d744b6bea7: POST /_search {"size":1000,"pit":{"id":"pit-1","keep_alive":"5m"},"query":{"range":{"@timestamp":{"gte":"2026-01-01T00:00:00Z","lt":"2026-01-01T01:00:00Z"}}},"sort":[{"@timestamp":"asc"}],"track_total_hits":true}: status 200 after 1 try: 'success' is not true; body: {"pit_id":"pit-2","timed_out":false,"_shards":{"total":2,"successful":1,"skipped":0,"failed":1},"hits":{"total":{"value":0,"relation":"eq"},"hits":[]}}; check the request, and the source's success and error_message"#);
}
