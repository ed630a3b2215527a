//! Paging by what the server gives, a cursor or a link, over HTTP: which rows land, how a slice ends, and what is refused.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::duck;
use crate::support::workspace::{Outcome, Workspace};

/// A request as it came: method, path with query, body.
#[derive(Debug, Clone)]
struct Asked {
    target: String,
    body: Value,
    authorized: bool,
}

impl Asked {
    fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// An answer: headers and body.
type Answered = (Vec<(&'static str, String)>, Value);

/// A server with scripted answers. It stops when dropped.
struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
    _stop: DropGuard,
}

impl Server {
    fn start(script: impl Fn(&Asked) -> Answered + Clone + Send + Sync + 'static) -> Self {
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (stop, noted) = (CancellationToken::new(), Arc::clone(&log));
        let (started, start) = std::sync::mpsc::channel();
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let answer = move |_: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
                    let asked = Asked {
                        target: uri.to_string(),
                        body: serde_json::from_slice(&body).unwrap_or_default(),
                        authorized: headers.contains_key("authorization"),
                    };
                    let (headers, body) = script(&asked);
                    noted.lock().unwrap().push(asked);
                    let mut response = Response::builder();
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    response.body(Body::from(body.to_string())).unwrap()
                };
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                let served = axum::serve(listener, Router::new().fallback(answer));
                tokio::select! {
                    _ = served => {}
                    () = stopped.cancelled() => {}
                }
            });
        });
        Self { address: start.recv().unwrap(), log, _stop: stop.drop_guard() }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

/// Runs a snapshot job with these keys in an otherwise plain pipeline.
fn run(workspace: &Workspace, server: &Server, job: &str) -> (Outcome, Value) {
    let pipeline = format!(
        "version: 1\nname: paged\nsource:\n  base_url: {}\n  auth: {{bearer: '${{TOKEN}}'}}\n  retry: {{attempts: 1}}\njobs:\n  rows:\n    \
         snapshot: daily\n    records: '.items[]'\n{job}    sinks: {{lake: {{parquet: {{url: ./lake/rows}}}}}}\n",
        server.url()
    );
    workspace.write("paged.yaml", &pipeline);
    let run = workspace.tidegate(&["run", "paged.yaml", "--now", "2026-01-02T00:00:00Z", "--output", "json"]);
    let outcome = run.env("TOKEN", "hunter2-and-more").run();
    let reports: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    (outcome, reports[0].clone())
}

fn slice(report: &Value) -> &Value {
    &report["jobs"][0]["slices"][0]
}

/// The ids that landed, in order.
fn landed(workspace: &Workspace) -> Vec<u64> {
    let glob = workspace.path("lake/rows/**/*.parquet");
    let rows = duck::rows(&format!("SELECT id FROM read_parquet('{}') ORDER BY id", glob.display()));
    rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

fn items(ids: std::ops::Range<u64>) -> Value {
    ids.map(|id| json!({"id": id})).collect()
}

const CURSOR: &str = "    post: /list\n    body: {size: 3}\n    paginate: {cursor: {into: body.after, value: .next}}\n";

/// Pages of three ids; page n gives the cursor `cursors[n]`, and the last gives `end`.
fn by_cursor(cursors: Vec<Value>, end: Option<Value>) -> Server {
    Server::start(move |asked| {
        let after = asked.body.get("after");
        let page = after.map_or(0, |after| 1 + cursors.iter().position(|cursor| cursor == after).unwrap_or(99));
        let first = page as u64 * 3;
        let count = if page < cursors.len() { 3 } else { 2 };
        let mut body = json!({"items": items(first..first + count)});
        if let Some(next) = cursors.get(page).or(end.as_ref()) {
            body["next"] = next.clone();
        }
        (Vec::new(), body)
    })
}

#[test]
fn a_cursor_of_any_type_goes_back_as_it_came() {
    let cursors = vec![
        json!("a/b+c=="),
        json!({"z": [1, null], "a": {"k": ""}}),
        json!(9_007_199_254_740_993_u64),
        json!(u64::MAX),
        json!([["x"], 0.5]),
        json!([false]),
        json!(0),
    ];
    let server = by_cursor(cursors.clone(), Some(json!("")));
    let workspace = Workspace::new();
    let (outcome, report) = run(&workspace, &server, CURSOR);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(landed(&workspace), (0..23).collect::<Vec<_>>());
    let sent: Vec<String> = server.log().iter().skip(1).map(|asked| asked.body["after"].to_string()).collect();
    assert_eq!(sent, cursors.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(server.log()[0].body, json!({"size": 3}), "the first page is asked for without a cursor");
    let proved = &slice(&report)["reconciliation"];
    assert_eq!((&proved["end"], &proved["verdict"]), (&json!("cursor_empty"), &json!("complete")), "{report}");
}

#[test]
fn how_a_cursor_ends_is_what_it_proves() {
    let long = || vec![json!("a")];
    for (cursors, end, reason, verdict) in [
        (long(), Some(json!(null)), "cursor_empty", "complete"),
        (long(), Some(json!({})), "cursor_empty", "complete"),
        (long(), Some(json!([])), "cursor_empty", "complete"),
        (long(), None, "cursor_gone", "complete"),
        (vec![], Some(json!(null)), "cursor_empty", "complete"),
        (vec![], None, "no_cursor", "unknown"),
    ] {
        let server = by_cursor(cursors, end.clone());
        let workspace = Workspace::new();
        let (outcome, report) = run(&workspace, &server, CURSOR);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let proved = &slice(&report)["reconciliation"];
        assert_eq!((&proved["end"], &proved["verdict"]), (&json!(reason), &json!(verdict)), "{end:?}: {report}");
        let warned = report["jobs"][0]["warnings"].to_string().contains("no page gave a cursor");
        assert_eq!(warned, reason == "no_cursor", "{report}");
    }
}

#[test]
fn a_cursor_that_comes_back_is_an_error_and_nothing_lands() {
    let server = Server::start(|asked| {
        let next = match asked.body["after"].as_u64().unwrap_or_default() {
            4 => 2,
            after => after + 1,
        };
        (Vec::new(), json!({"items": items(next * 10..next * 10 + 2), "next": next}))
    });
    let workspace = Workspace::new();
    let (outcome, report) = run(&workspace, &server, CURSOR);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(slice(&report)["error"].to_string().contains("pages in a circle"), "{report}");
    assert!(!workspace.path("lake/rows").exists() || landed(&workspace).is_empty());
}

#[test]
fn a_cursor_can_go_into_a_template_and_several_into_their_places() {
    let server = Server::start(|asked| {
        let page: u64 = asked.parameter("after").map_or(0, |after| after.trim_start_matches("p-").parse().unwrap());
        let next = if page < 2 { json!(format!("{}", page + 1)) } else { json!(null) };
        (Vec::new(), json!({"items": items(page * 2..page * 2 + 2), "next": next}))
    });
    let workspace = Workspace::new();
    let job = "    get: /list\n    query: {after: 'p-{{ cursor or 0 }}'}\n    paginate: {cursor: {value: .next}}\n";
    let (outcome, _) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(landed(&workspace), (0..6).collect::<Vec<_>>());

    // The markers of S3's list of versions: the second may be missing while the first is there.
    let server = Server::start(|asked| {
        let page: u64 = asked.parameter("key").map_or(0, |key| key.parse().unwrap());
        let mut body = json!({"items": items(page * 2..page * 2 + 2)});
        if page < 3 {
            body["next"] = json!((page + 1).to_string());
        }
        if page == 0 {
            body["version"] = json!("v1");
        }
        (Vec::new(), body)
    });
    let workspace = Workspace::new();
    let job = "    get: /list\n    paginate: {cursor: {query.key: .next, query.version: .version}}\n";
    let (outcome, report) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(landed(&workspace), (0..8).collect::<Vec<_>>());
    let targets: Vec<_> = server.log().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets, ["/list", "/list?key=1&version=v1", "/list?key=2", "/list?key=3"]);
    assert_eq!(slice(&report)["reconciliation"]["end"], "cursor_gone_full");
    assert!(report["jobs"][0]["warnings"].to_string().contains("the server forgot the cursor"), "{report}");
}

#[test]
fn links_of_a_header_are_followed_at_the_same_origin() {
    let server = Server::start(|asked| {
        let page: u64 = asked.parameter("page").map_or(1, |page| page.parse().unwrap());
        let mut links = vec![format!("</v2/list?page={page}>; title=\"a, b; rel=next\"; rel=\"self\"")];
        if page < 4 {
            links.push(format!("<?page={}&token=%2F+x>; rel=\"last next\"", page + 1));
        }
        (vec![("link", links.join(", "))], json!({"items": items(page * 2..page * 2 + 2)}))
    });
    let workspace = Workspace::new();
    let job = "    get: /v2/list\n    query: {since: 2026}\n    paginate: {next_link: {header: Link}}\n";
    let (outcome, report) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(landed(&workspace), (2..10).collect::<Vec<_>>());
    let targets: Vec<_> = server.log().into_iter().map(|asked| asked.target).collect();
    let page = |page: u64| format!("/v2/list?page={page}&token=%2F+x");
    assert_eq!(
        targets,
        ["/v2/list?since=2026".to_owned(), page(2), page(3), page(4)],
        "the link's query is all there is"
    );
    assert!(server.log().iter().all(|asked| asked.authorized));
    assert_eq!(slice(&report)["reconciliation"]["end"], "link_gone_full");
}

#[test]
fn a_link_in_the_answer_may_be_absolute_or_null() {
    let server = Server::start(|asked| {
        let (page, host) = (asked.parameter("p").map_or(0, |page| page.parse::<u64>().unwrap()), &asked.body);
        assert_eq!(host["keep"], 1, "method and body stay");
        let next = if page < 2 { json!(format!("/other?p={}", page + 1)) } else { json!(null) };
        (Vec::new(), json!({"items": items(page..page + 1), "links": {"next": next}}))
    });
    let workspace = Workspace::new();
    let job = "    post: /list\n    body: {keep: 1}\n    paginate: {next_link: {url: .links.next}}\n";
    let (outcome, report) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(landed(&workspace), [0, 1, 2]);
    assert_eq!(slice(&report)["reconciliation"]["end"], "link_empty");
}

#[test]
fn a_link_to_another_origin_is_an_error_and_the_credential_stays() {
    let thief = Server::start(|_| (Vec::new(), json!({"items": []})));
    let to = format!("{}/list?page=2", thief.url());
    let server = Server::start(move |_| (Vec::new(), json!({"items": items(0..2), "next": to})));
    let workspace = Workspace::new();
    let job = "    get: /list\n    paginate: {next_link: {url: .next}}\n";
    let (outcome, report) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let error = slice(&report)["error"].to_string();
    assert!(error.contains(&format!("leads to {}", thief.url())) && error.contains(&server.url()), "{error}");
    assert!(thief.log().is_empty(), "{:?}", thief.log());
}

#[test]
fn links_in_a_circle_are_an_error() {
    let server = Server::start(|asked| {
        let page = asked.parameter("p").map_or(0, |page| page.parse::<u64>().unwrap());
        (Vec::new(), json!({"items": items(page * 2..page * 2 + 2), "next": format!("?p={}", (page + 1) % 3)}))
    });
    let workspace = Workspace::new();
    let (outcome, report) = run(&workspace, &server, "    get: /list\n    paginate: {next_link: {url: .next}}\n");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let error = slice(&report)["error"].to_string();
    assert!(error.contains("circle") || error.contains("sent twice"), "{error}");
}

#[test]
fn an_answer_that_empty_takes_for_nothing_may_hold_no_rows() {
    let server = Server::start(|_| (Vec::new(), json!({"items": items(0..2)})));
    let workspace = Workspace::new();
    let job = "    get: /list\n    empty: '. == {}'\n    paginate: {cursor: {into: query.after, value: .next}}\n";
    let (outcome, report) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(slice(&report)["error"].to_string().contains("`empty` takes the answer"), "{report}");
}

#[test]
fn a_header_with_a_next_link_is_evidence_against_paginate_none() {
    let link = || vec![("link", "</list?page=2>; rel=next".to_owned())];
    let server = Server::start(move |_| (link(), json!({"items": items(0..2)})));
    let (outcome, report) = run(&Workspace::new(), &server, "    get: /list\n    paginate: none\n");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(slice(&report)["error"].to_string().contains("names a next page"), "{report}");
}

#[test]
fn a_cursor_that_is_never_sent_and_half_a_paginator_are_refused() {
    let server = Server::start(|_| (Vec::new(), json!({"items": []})));
    for (paginate, message) in [
        ("{cursor: {value: .next}}", "the cursor is never sent"),
        ("{cursor: {into: query.after}}", "missing field `value`"),
        ("{cursor: {into: query.after, value: .next, query.a: .b}}", "`cursor` takes `into: place` and"),
        ("{cursor: {after: .next}}", "this isn't a place in the request"),
        ("{cursor: {into: query.after, value: '.items[-1].id'}}", "reaches into the records"),
        ("{next_link: {}}", "`next_link` needs `url` or `header`"),
        ("{next_link: {url: .next, header: link}}", "`next_link` needs `url` or `header`"),
    ] {
        let job = format!("    get: /list\n    paginate: {paginate}\n");
        let (outcome, _) = run(&Workspace::new(), &server, &job);
        assert_eq!(outcome.code, Some(2), "{paginate}: {outcome:?}");
        assert!(outcome.stderr.contains(message), "{paginate}: {}", outcome.stderr);
    }
    assert!(server.log().is_empty());
}

#[test]
fn a_cursor_of_the_last_row_ends_with_a_page_of_no_rows_whatever_else_the_page_gives() {
    let server = Server::start(|request| {
        let after = request.body["after"].as_u64().unwrap_or_default();
        (Vec::new(), json!({"items": items(after..(after + 2).min(5)), "session": format!("s{after}")}))
    });
    let workspace = Workspace::new();
    let job =
        "    post: /list\n    body: {}\n    paginate: {cursor: {body.after: $last.id + 1, body.session: .session}}\n";
    let (outcome, report) = run(&workspace, &server, job);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(landed(&workspace), (0..5).collect::<Vec<_>>());
    let proved = &slice(&report)["reconciliation"];
    assert_eq!(
        (proved["end"].as_str(), proved["verdict"].as_str()),
        // A sum says nothing of what tells rows apart.
        (Some("empty_page"), Some("unknown")),
        "{report}"
    );
}

#[test]
fn a_cursor_that_the_last_row_does_not_have_is_an_error_and_no_end() {
    let server = Server::start(|_| (Vec::new(), json!({"items": items(0..2)})));
    for paginate in ["{cursor: {into: query.after, value: $last.ID}}", "{cursor: {query.after: $last.ID, query.b: .b}}"]
    {
        let workspace = Workspace::new();
        let (outcome, report) = run(&workspace, &server, &format!("    get: /list\n    paginate: {paginate}\n"));
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let error = slice(&report)["error"].to_string();
        assert!(
            error.contains("the last row of page 1 has nothing to move on by: '$last.ID' is null there"),
            "{error}"
        );
        assert!(slice(&report)["sinks"].as_object().is_some_and(serde_json::Map::is_empty), "{report}");
    }
    let server = Server::start(|_| (Vec::new(), json!({"items": items(0..2), "more": false})));
    let job = "    get: /list\n    paginate: {cursor: {into: query.after, value: $last.ID}, more: .more}\n";
    assert_eq!(run(&Workspace::new(), &server, job).0.code, Some(0), "on the last page nobody needs it");
}
