//! GitHub: a `Link` header with links to another path, pull requests among the issues, 403 and 429 for its rate limits.
//! <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, has, in_seconds, minutes_after, refuse};
use crate::support::api::{Answer, Api, Request};

const NOW: &str = "2026-01-04T02:40:00Z";

fn issue(repository: i64, number: i64) -> Value {
    let at = minutes_after("2026-01-01T00:00:00Z", number).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut issue = json!({
        "id": repository * 1_000_000 + number, "number": number, "title": format!("Issue {number}"), "state": "open",
        "user": {"login": "octocat", "id": 1}, "body": if number % 2 == 0 { json!(null) } else { json!("It's broken: \u{1f419}") },
        "labels": [{"name": "bug"}], "assignees": [], "milestone": null, "created_at": at, "updated_at": at, "closed_at": null,
    });
    if number % 5 == 0 {
        issue["pull_request"] = json!({"url": "https://api.github.com/repos/x/y/pulls/1", "merged_at": null});
    }
    issue
}

/// Answers as GitHub does: the first request names the repository, the links its number.
fn answer(request: &Request, issues: &[(&str, i64, Vec<Value>)]) -> Answer {
    if !has(request, "authorization", "Bearer github_pat_1") {
        return refuse(
            401,
            &json!({"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}),
        );
    }
    assert_eq!(request.headers["accept"], "application/vnd.github+json");
    assert!(request.headers.contains_key("user-agent"), "GitHub refuses a client without a name");
    let by = |(name, number, _): &&(&str, i64, Vec<Value>)| {
        request.path == format!("/repos/{name}/issues") || request.path == format!("/repositories/{number}/issues")
    };
    let Some((_, number, all)) = issues.iter().find(by) else {
        return refuse(404, &json!({"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}));
    };
    let size = request.query.get("per_page").map_or(30, |size| size.parse().unwrap()).min(100);
    let page = request.number("page").max(1);
    let pages = all.len().div_ceil(size);
    let rows: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let link = |page: usize, rel: &str| {
        let host = &request.headers["host"];
        format!(
            "<http://{host}/repositories/{number}/issues?state=all&sort=created&direction=asc&per_page={size}&page={page}>; rel=\"{rel}\""
        )
    };
    let mut links = Vec::new();
    if page > 1 {
        links.extend([link(page - 1, "prev"), link(1, "first")]);
    }
    if page < pages {
        links.extend([link(page + 1, "next"), link(pages, "last")]);
    }
    let answer = Answer::json(&json!(rows));
    if links.is_empty() { answer } else { answer.header("link", links.join(", ")) }
}

type Repositories = Arc<Mutex<Vec<(&'static str, i64, Vec<Value>)>>>;

fn repositories(spoon: i64, hello: i64) -> Vec<(&'static str, i64, Vec<Value>)> {
    let all = |repository, count| (1..=count).map(|number| issue(repository, number)).collect();
    vec![("octocat/Spoon-Knife", 1_300_192, all(1, spoon)), ("octocat/Hello-World", 1_296_269, all(2, hello))]
}

/// Comments that changed every minute, at the URL of the first repository.
fn comments(request: &Request, count: i64) -> Answer {
    let since = request.query.get("since").cloned().unwrap_or_default();
    let comment = |n: i64| {
        let at = minutes_after("2026-01-01T00:00:00Z", n + 1).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({"id": n, "issue_url": "https://api.github.com/repos/octocat/Spoon-Knife/issues/1", "user": null, "body": format!("No. {n}"),
            "created_at": at, "updated_at": at, "reactions": {"+1": n}})
    };
    let all: Vec<Value> =
        (0..count).map(comment).filter(|row| row["updated_at"].as_str().unwrap() >= since.as_str()).collect();
    let page = request.number("page").max(1);
    let rows: Vec<&Value> = all.iter().skip((page - 1) * 100).take(100).collect();
    let answer = Answer::json(&json!(rows));
    if page * 100 >= all.len() {
        return answer;
    }
    let (host, next) = (&request.headers["host"], page + 1);
    let query = format!("since={since}&sort=created&direction=asc&per_page=100&page={next}");
    answer.header("link", format!("<http://{host}/repositories/1300192/issues/comments?{query}>; rel=\"next\""))
}

fn example(issues: &Repositories) -> Example {
    let (issues, secondary, hourly, torn) = (Arc::clone(issues), Once::new(), Once::new(), Once::new());
    let api = Api::start(move |request| {
        if request.path.ends_with("/issues/comments") {
            // As many as the first repository has issues.
            return comments(request, issues.lock().unwrap()[0].2.len().try_into().unwrap());
        }
        let words = |what: &str| json!({"message": format!("You have exceeded a {what}. Please wait a few minutes.")});
        if secondary.now(request.number("page") == 2) {
            return refuse(403, &words("secondary rate limit"))
                .header("retry-after", "1")
                .header("x-ratelimit-remaining", "4000");
        }
        if hourly.now(request.number("page") == 2) {
            let ends = in_seconds(2);
            return refuse(403, &words("rate limit"))
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", &ends);
        }
        let answer = answer(request, &issues.lock().unwrap());
        if torn.now(request.number("page") == 3) { answer.torn() } else { answer }
    });
    Example::new("github", "GITHUB_URL", api, &[("GITHUB_TOKEN", "github_pat_1")])
}

#[test]
fn all_issues_of_both_repositories_every_night() {
    let all: Repositories = Arc::new(Mutex::new(repositories(250, 7)));
    let example = example(&all);
    insta::assert_snapshot!(example.plan(NOW), @r#"
    issues: 2 slices due
      the whole list  {"name":"Hello-World","owner":"octocat"}
        GET /repos/octocat/Hello-World/issues?state=all&sort=created&direction=asc&per_page=100
      the whole list  {"name":"Spoon-Knife","owner":"octocat"}
        GET /repos/octocat/Spoon-Knife/issues?state=all&sort=created&direction=asc&per_page=100
    comments: 1 slice due
      after 2026-01-01T00:00:00Z  {"name":"Spoon-Knife","owner":"octocat"}
        GET /repos/octocat/Spoon-Knife/issues/comments?sort=created&direction=asc&per_page=100&since=2026-01-01T00%3A00%3A00Z
    "#);
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    latest-3616071124e4c1d7 landed: 7 of 7; unknown
    latest-d4244043a4628191 landed: 250 of 250; complete
    s0-2026-01-01T00_3a00_3a00Z-d4244043a4628191 landed: 250 of 250; complete
    ");
    let counts = "SELECT repository, count(*) AS n, count(DISTINCT id) AS ids, count_if(is_pull_request) AS pulls, count(body) AS bodies
                  FROM {set} GROUP BY 1 ORDER BY 1";
    insta::assert_snapshot!(example.show("github/issues", counts), @r#"
    {"repository":"Hello-World","n":7,"ids":7,"pulls":1,"bodies":4}
    {"repository":"Spoon-Knife","n":250,"ids":250,"pulls":50,"bodies":125}
    "#);

    // The next night: one was closed, and some were opened.
    let mut later = repositories(260, 7);
    later[0].2[4]["state"] = json!("closed");
    later[0].2[4]["closed_at"] = json!("2026-01-04T12:00:00Z");
    *all.lock().unwrap() = later;
    insta::assert_snapshot!(example.run("2026-01-05T02:40:00Z").fine(), @"
    latest-3616071124e4c1d7 unchanged: 7 of 7; unknown
    latest-d4244043a4628191 landed: 260 of 260; complete
    s0-2026-01-01T04_3a10_3a00Z-d4244043a4628191 landed: 10 of 11, 1 outside_window; unknown
    ");
    insta::assert_snapshot!(example.show("github/issues", counts), @r#"
    {"repository":"Hello-World","n":7,"ids":7,"pulls":1,"bodies":4}
    {"repository":"Spoon-Knife","n":260,"ids":260,"pulls":52,"bodies":130}
    "#);
    let landed = "SELECT count(*) AS n, count(DISTINCT id) AS ids, max(updated_at) AS last FROM {set}";
    insta::assert_snapshot!(example.show("github/comments", landed), @r#"{"n":260,"ids":260,"last":"2026-01-01T04:20:00.000000Z"}"#);
    let since: Vec<String> = example.api.asked_for("since").into_iter().filter(|since| since != "-").collect();
    assert_eq!(
        (since.first().unwrap().as_str(), since.last().unwrap().as_str()),
        ("2026-01-01T00:00:00Z", "2026-01-01T04:10:00Z")
    );
    let closed = example.query("github/issues", "SELECT number, closed_at FROM {set} WHERE state = 'closed'");
    assert_eq!(closed, [json!({"number": 5, "closed_at": "2026-01-04T12:00:00.000000Z"})]);
    example.recorded(NOW);
}

#[test]
fn a_token_that_may_not_is_no_rate_limit() {
    let api = Api::start(|_| {
        let words = json!({"message": "Resource not accessible by personal access token"});
        refuse(403, &words).header("x-ratelimit-remaining", "4999").header("x-ratelimit-reset", "1767226000")
    });
    let example = Example::new("github", "GITHUB_URL", api, &[("GITHUB_TOKEN", "github_pat_1")]);
    let failures = example.failures(NOW);
    assert!(failures.contains("Resource not accessible by personal access token"), "{failures}");
    assert_eq!(example.api.asked().len(), 3, "each slice asks once");
}
