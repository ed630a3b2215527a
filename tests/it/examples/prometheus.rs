//! Prometheus: no pages, at most 11,000 points for a series, values as texts.
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>

use serde_json::{Value, json};

use super::{Example, Once, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-03T00:15:00Z";
/// As the server has it: `exceeded maximum resolution of 11,000 points per timeseries`.
const MOST_POINTS: i64 = 11_000;

fn series(metric: &Value, times: impl Iterator<Item = i64>, value: impl Fn(i64) -> String) -> Value {
    json!({"metric": metric, "values": times.map(|at| json!([at, value(at)])).collect::<Vec<_>>()})
}

fn query_range(request: &Request) -> Answer {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/query_range"));
    let form = request.form();
    let number = |name: &str| form[name].parse::<i64>().unwrap();
    let (start, end, step) =
        (number("start"), number("end"), form["step"].trim_end_matches('s').parse::<i64>().unwrap());
    if (end - start) / step > MOST_POINTS {
        let error = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return refuse(400, &json!({"status": "error", "errorType": "bad_data", "error": error}));
    }
    let times = || (start..=end).step_by(usize::try_from(step).unwrap());
    let result = if form["query"] == "up" {
        // The second target has been up since noon of the first day only.
        let late = times().filter(|at| *at >= 1_767_225_600 + 43_200);
        json!([
            series(&json!({"__name__": "up", "instance": "a:9100", "job": "node"}), times(), |_| "1".to_owned()),
            series(&json!({"__name__": "up", "instance": "b:9100"}), late, |at| (at % 2).to_string()),
        ])
    } else {
        assert!(form["query"].starts_with("sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))"));
        let odd = |at: i64| match at % 60 {
            0 => "NaN".to_owned(),
            15 => "+Inf".to_owned(),
            30 => "-Inf".to_owned(),
            _ => "0.30000000000000004".to_owned(),
        };
        json!([series(&json!({"instance": "a:9100"}), times(), odd)])
    };
    Answer::json(&json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
}

fn example() -> Example {
    let (busy, torn) = (Once::new(), Once::new());
    let api = Api::start(move |request| {
        if busy.now(request.body.contains("cpu")) {
            return refuse(503, &json!({"status": "error", "errorType": "timeout", "error": "query timed out"}));
        }
        let answer = query_range(request);
        if torn.now(request.body.contains("query=up")) { answer.torn() } else { answer }
    });
    Example::new("prometheus", "PROMETHEUS_URL", api, &[("PROMETHEUS_START", START)])
}

#[test]
fn points_of_each_day_once() {
    let example = example();
    insta::assert_snapshot!(example.plan("2026-01-02T00:15:00Z"), @r#"
    points: 2 slices due
      2026-01-01 00:00 to 2026-01-02 00:00  {"series":"cpu_seconds"}
        POST /api/v1/query_range query=sum%20by%20%28instance%29%20%28rate%28node_cpu_seconds_total%7Bmode%21%3D%22idle%22%7D%5B5m%5D%29%29&step=15s&start=1767225600&end=1767312000
      2026-01-01 00:00 to 2026-01-02 00:00  {"series":"up"}
        POST /api/v1/query_range query=up&step=15s&start=1767225600&end=1767312000
    "#);
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z-41302eacd9d17398 landed: 5760 of 5761, 1 outside_window; unknown
    20260102T000000Z-41302eacd9d17398 landed: 5760 of 5761, 1 outside_window; unknown
    20260101T000000Z-13b09ba03749b0ff landed: 8640 of 8642, 2 outside_window; unknown
    20260102T000000Z-13b09ba03749b0ff landed: 11520 of 11522, 2 outside_window; unknown
    ");
    let per_day = "SELECT series, ts_day, count(*) AS n, count(DISTINCT (labels, ts)) AS points FROM {set} GROUP BY ALL ORDER BY ALL";
    insta::assert_snapshot!(example.show("prometheus/points", per_day), @r#"
    {"series":"cpu_seconds","ts_day":"2026-01-01","n":5760,"points":5760}
    {"series":"cpu_seconds","ts_day":"2026-01-02","n":5760,"points":5760}
    {"series":"up","ts_day":"2026-01-01","n":8640,"points":8640}
    {"series":"up","ts_day":"2026-01-02","n":11520,"points":11520}
    "#);
    let values = "SELECT value::VARCHAR AS value, count(*) AS n FROM {set} WHERE series = 'cpu_seconds' GROUP BY ALL ORDER BY ALL";
    insta::assert_snapshot!(example.show("prometheus/points", values), @r#"
    {"value":"-inf","n":2880}
    {"value":"0.30000000000000004","n":2880}
    {"value":"inf","n":2880}
    {"value":"nan","n":2880}
    "#);
    insta::assert_snapshot!(example.run("2026-01-04T00:15:00Z").fine(), @"
    20260103T000000Z-41302eacd9d17398 landed: 5760 of 5761, 1 outside_window; unknown
    20260103T000000Z-13b09ba03749b0ff landed: 11520 of 11522, 2 outside_window; unknown
    ");
    example.recorded(NOW);
}

#[test]
fn too_long_a_window_is_refused_in_prometheus_words() {
    let example = example();
    let text = std::fs::read_to_string(example.workspace.path("example.yaml")).unwrap();
    example
        .workspace
        .write("example.yaml", &text.replace("every: 1d ", "every: 7d ").replace("every: 1d\n", "every: 7d\n"));
    insta::assert_snapshot!(example.failures("2026-01-09T00:15:00Z"), @r#"
    20260101T000000Z-41302eacd9d17398: POST /api/v1/query_range query=sum%20by%20%28instance%29%20%28rate%28node_cpu_seconds_total%7Bmode%21%3D%22idle%22%7D%5B5m%5D%29%29&step=[TIME]&start=1767225600&end=1767830400: status 400 after 2 tries: the server answered 400 Bad Request; it says: exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX); body: {"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"}; check the request
    20260101T000000Z-13b09ba03749b0ff: POST /api/v1/query_range query=up&step=[TIME]&start=1767225600&end=1767830400: status 400 after 1 try: the server answered 400 Bad Request; it says: exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX); its body isn't whole: error reading a body from connection: unexpected EOF during chunk size line; body: {"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"}; check the request
    "#);
}
