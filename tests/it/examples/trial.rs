//! Two APIs that have no example, each with a pipeline as a newcomer would write it: does the language carry?

use serde_json::{Value, json};

use super::{Once, has, minutes_after};
use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-02T01:00:00Z";

/// Recent changes of a `MediaWiki`, three a minute. It goes on by an object of several parameters, whose names depend on what was asked
/// for, and says every error with the status 200. <https://www.mediawiki.org/wiki/API:Continue>
fn changes(request: &Request) -> Answer {
    let query = |name: &str| request.query.get(name).map(String::as_str);
    if query("format") != Some("json") || query("formatversion") != Some("2") {
        return Answer::bytes("<!DOCTYPE html><html>MediaWiki API result</html>");
    }
    let rows = (0..4000).map(|n| {
        let at = minutes_after(START, n / 3).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({"type": "edit", "ns": 0, "title": format!("Page {}", n % 7), "rcid": n, "timestamp": at, "user": "Ann", "oldlen": 1, "newlen": 2})
    });
    let (start, end) = (query("rcstart").unwrap(), query("rcend").unwrap());
    let rows: Vec<Value> = rows.filter(|row| (start..=end).contains(&row["timestamp"].as_str().unwrap())).collect();
    let limit: usize = query("rclimit").map_or(10, |limit| limit.parse().unwrap()).min(500);
    let at = match (query("rccontinue"), query("continue")) {
        (None, None) => 0,
        (Some(at), Some("-||")) => at.split('|').next_back().unwrap().parse().unwrap(),
        other => {
            let info = format!(
                "Invalid continue param {other:?}. You should pass the original value returned by the previous query."
            );
            return Answer::json(&json!({"error": {"code": "badcontinue", "info": info}, "servedby": "mw1"}));
        }
    };
    let page: Vec<&Value> = rows.iter().skip(at).take(limit).collect();
    let mut answer = json!({"batchcomplete": true, "query": {"recentchanges": page}});
    if at + limit < rows.len() {
        answer["continue"] = json!({"rccontinue": format!("20260101|{}", at + limit), "continue": "-||"});
    }
    Answer::json(&answer)
}

const MEDIAWIKI: &str = "
  changes:
    get: /w/api.php
    query: {action: query, list: recentchanges, rcdir: newer, rclimit: 500, format: json, formatversion: 2}
    window: {every: 4h, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.rcstart, to: {into: query.rcend, bound: inclusive}, time: timestamp}
    success: .error == null
    error_message: .error.info
    paginate: {cursor: {query.rccontinue: .continue.rccontinue, query.continue: .continue.continue}}
    records: .query.recentchanges[]
    key: rcid
    schema: {columns: {timestamp: timestamp}}
    sinks: {lake: {jsonl: {url: ./lake}}}
";

#[test]
fn several_continuation_parameters() {
    let torn = Once::new();
    let bench = Bench::new(Api::start(move |request| {
        let answer = changes(request);
        if torn.now(request.query.contains_key("rccontinue")) { answer.torn() } else { answer }
    }));
    bench.jobs(&MEDIAWIKI.replace("rclimit: 500", "rclimit: 60"));
    let report = bench.run_at(NOW, &[]);
    let rows = report.fine();
    // What is expected from outside of a window is asked for: nothing else comes.
    assert!(report.slices().iter().all(|slice| slice.get("strays").is_none()), "{report:?}");
    assert_eq!(rows.matches("; complete").count(), 6, "{rows}");
    let mut ids: Vec<i64> = bench.lines().iter().map(|row| row["rcid"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..4000).collect::<Vec<_>>());
}

/// Messages of Slack channels, newest first. Each error has the status 200 and `ok: false`; the cursor of the last page is an empty
/// text; times are texts of seconds with six digits, and name a message. <https://docs.slack.dev/apis/web-api/pagination>
fn slack(request: &Request) -> Answer {
    let error = |error: &str| Answer::json(&json!({"ok": false, "error": error}));
    if !has(request, "authorization", "Bearer xoxb-1-secret") {
        return error("invalid_auth");
    }
    let cursor = request.query.get("cursor").map(String::as_str).unwrap_or_default();
    let page = |key: &str, rows: Vec<Value>, size: usize| {
        let at: usize = if cursor.is_empty() { 0 } else { cursor.trim_end_matches('=').parse().unwrap() };
        let next = if at + size < rows.len() { format!("{}=", at + size) } else { String::new() };
        let page: Vec<Value> = rows.iter().skip(at).take(size).cloned().collect();
        Answer::json(
            &json!({"ok": true, key: page, "has_more": !next.is_empty(), "response_metadata": {"next_cursor": next}}),
        )
    };
    match request.path.as_str() {
        "/api/conversations.list" => {
            let channels =
                (0..5).map(|n| json!({"id": format!("C{n}"), "name": format!("room-{n}"), "num_members": n}));
            page("channels", channels.collect(), 2)
        }
        "/api/conversations.history" => {
            let Some(channel) =
                request.query.get("channel").and_then(|id| id.strip_prefix('C')).and_then(|n| n.parse::<i64>().ok())
            else {
                return error("channel_not_found");
            };
            let micros = |name: &str| request.query[name].replace('.', "").parse::<i64>().unwrap() * 1_000_000;
            let (oldest, latest) = (micros("oldest"), micros("latest"));
            let rows = (0..300 * channel).rev().map(|n| minutes_after(START, n * 5).timestamp_micros() + channel);
            // Both ends are left out.
            let rows = rows.filter(|at| oldest < *at && *at < latest).map(|at| {
                json!({"type": "message", "user": "U1", "text": "hi", "ts": format!("{}.{:06}", at / 1_000_000, at % 1_000_000)})
            });
            page("messages", rows.collect(), request.number("limit").min(100))
        }
        _ => error("unknown_method"),
    }
}

const SLACK: &str = "
  channels:
    get: /api/conversations.list
    query: {limit: 200, exclude_archived: true}
    paginate: {cursor: {into: query.cursor, value: .response_metadata.next_cursor}}
    records: .channels[]
  messages:
    for_each: {rows_of: channels, as: channel, key: id, columns: {channel_name: .name}}
    get: /api/conversations.history
    query: {channel: '{{ channel.id }}', limit: 200}
    window:
      every: 1d
      start: 2026-01-01T00:00:00Z
      as: epoch_s
      from: {into: query.oldest, bound: exclusive}
      to: query.latest
      time: to_timestamp_micros(CAST(replace(ts, '.', '') AS BIGINT))
    paginate: {cursor: {into: query.cursor, value: .response_metadata.next_cursor}}
    records: .messages[]
    key: ts
    sinks: {lake: {jsonl: {url: ./lake}}}
";

fn slack_bench(token: &str) -> Bench {
    let busy = Once::new();
    let bench = Bench::new(Api::start(move |request| {
        if busy.now(request.query.get("cursor").is_some_and(|cursor| cursor == "100=")) {
            return Answer::json(&json!({"ok": false, "error": "ratelimited"})).status(429).header("retry-after", "1");
        }
        slack(request)
    }));
    let rules = "success: .ok, error_message: .error, auth_failed: '.error == \"invalid_auth\"'";
    bench.file(&format!(
        "source: {{base_url: {}, auth: {{header: {{name: Authorization, value: 'Bearer ${{file:token}}'}}}}, {rules}}}\njobs:{SLACK}",
        bench.api.url()
    ));
    bench.workspace.write("token", token);
    bench
}

#[test]
fn a_cursor_that_is_an_empty_text_at_the_end() {
    let bench = slack_bench("xoxb-1-secret");
    let rows = bench.run_at("2026-01-02T01:00:00Z", &[]).fine();
    assert_eq!(rows.matches("; complete").count(), 5, "{rows}");
    let found = bench.query("SELECT channel_name, count(*) AS n, count(DISTINCT ts) AS d FROM read_json('{dir}/lake/**/*.jsonl') GROUP BY 1 ORDER BY 1");
    let expected =
        |n: i64| json!({"channel_name": format!("room-{n}"), "n": (300 * n).min(288), "d": (300 * n).min(288)});
    assert_eq!(found, (1..5).map(expected).collect::<Vec<_>>());
    let asked = bench.api.asked();
    assert!(asked.iter().all(|asked| asked.query.get("cursor").is_none_or(|cursor| !cursor.is_empty())), "{asked:?}");
}

#[test]
fn an_error_with_the_status_200() {
    let bench = slack_bench("xoxb-2-secret");
    insta::assert_snapshot!(bench.run().errors().join("\n"), @r#"
    the server refused the credential, so no job sends it again in this run; the first refusal: GET /api/conversations.list?limit=200&exclude_archived=true: status 200 after 1 try: the server refused the credential; it says: invalid_auth; body: {"ok":false,"error":"invalid_auth"}; check auth, and that the account isn't locked out
    the rows of `channels` couldn't be read, so it isn't known what to ask for
    "#);
}
