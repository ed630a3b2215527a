//! OAuth 2.0 over real HTTP, with a token server of another origin.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, Ran};

const SECRET: &str = "client s3cret/value";

/// Tokens that the API takes.
type Valid = Arc<Mutex<Vec<String>>>;

/// Starts a token server: `answer` gets the form and how many tokens were given before.
fn identity(valid: &Valid, answer: impl Fn(&Request, usize) -> Result<Value, Answer> + Send + Sync + 'static) -> Api {
    let valid = Arc::clone(valid);
    Api::start(move |request| {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/oauth2/token"));
        assert!(!request.headers.contains_key("cookie"));
        let mut valid = valid.lock().unwrap();
        match answer(request, valid.len()) {
            Ok(mut given) => {
                let token = format!("token-{}", valid.len() + 1);
                given["access_token"] = json!(token);
                valid.push(token);
                Answer::json(&given)
            }
            Err(answer) => answer,
        }
    })
}

/// Starts an API whose windows have five rows, two on a page; `takes` says which token is good for a request, from 1.
fn api(valid: &Valid, takes: impl Fn(usize, &[String]) -> usize + Send + Sync + 'static) -> Api {
    let (valid, asked) = (Arc::clone(valid), Mutex::new(0));
    Api::start(move |request| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let good = takes(*asked, &valid.lock().unwrap());
        if request.headers.get("authorization") != Some(&format!("Bearer token-{good}")) {
            return Answer::json(&json!({"message": "The access token expired"}))
                .status(401)
                .after(Duration::from_millis(10));
        }
        let (from, offset) = (&request.query["from"], request.number("offset"));
        let rows: Vec<Value> = (0..5).map(|n| json!({"id": format!("{from}/{n}")})).collect();
        let some: Vec<&Value> = rows.iter().skip(offset).take(2).collect();
        Answer::json(&json!({"total": 5, "items": some})).after(Duration::from_millis(10))
    })
}

/// The form of a request, with what its Basic header says.
fn said(request: &Request) -> BTreeMap<String, String> {
    let mut form = request.form();
    if let Some(pair) = request.headers.get("authorization").and_then(|header| header.strip_prefix("Basic ")) {
        let pair = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, pair).unwrap();
        let pair = String::from_utf8(pair).unwrap();
        form.insert("basic".to_owned(), pair);
    }
    form
}

fn bench(api: Api, identity: &Api, keys: &str) -> Bench {
    let bench = Bench::new(api);
    bench.workspace.write("secret", SECRET);
    bench.workspace.write("refresh", "refresh-token-0");
    bench.file(&format!(
        "source:
  base_url: {}
  auth: {{oauth2: {{token_url: '{}/oauth2/token', client_id: tide gate, client_secret: '${{file:secret}}'{keys}}}}}
  error_message: .message
  retry: {{attempts: 3, max_delay: 1ms}}
jobs:
  rows:
    get: /rows
    records: '.items[]'
    query: {{offset: 0}}
    paginate: {{offset: {{into: query.offset, size: 2}}, total: .total}}
    window: {{every: 1d, start: 2025-12-24T00:00:00Z, as: '%Y-%m-%d', from: query.from, to: query.to}}
    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n",
        bench.api.url(),
        identity.url(),
    ));
    bench
}

fn assert_exact(bench: &Bench, ran: &Ran) {
    assert_eq!(ran.fine().lines().filter(|line| line.contains("landed: 5 of 5; complete")).count(), 10, "{ran:?}");
    let mut ids: Vec<String> = bench.lines().iter().map(|row| row["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn client_credentials_in_a_header_and_in_the_form() {
    let expected = [
        ("", "basic=tide+gate:client+s3cret%2Fvalue grant_type=client_credentials"),
        (
            ", client_auth: body, scope: read write",
            "client_id=tide gate client_secret=client s3cret/value grant_type=client_credentials scope=read write",
        ),
    ];
    for (keys, sent) in expected {
        let valid = Valid::default();
        let identity = identity(&valid, |_, _| Ok(json!({"token_type": "Bearer", "expires_in": 3600})));
        let bench = bench(api(&valid, |_, _| 1), &identity, keys);
        assert_exact(&bench, &bench.run());
        let asked: Vec<String> = identity
            .asked()
            .iter()
            .map(|request| {
                said(request).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(asked, [sent]);
        let leaked = bench.api.asked().iter().any(|request| format!("{request:?}").contains("s3cret"));
        assert!(!leaked, "the client's secret is for the token server only");
    }
}

#[test]
fn a_token_that_is_refused_in_mid_run_is_renewed_once() {
    let valid = Valid::default();
    let identity = identity(&valid, |_, _| Ok(json!({"token_type": "bearer"})));
    let bench = bench(api(&valid, |asked, valid| if asked <= 14 { 1 } else { valid.len().max(2) }), &identity, "");
    assert_exact(&bench, &bench.run());
    assert_eq!(identity.asked().len(), 2);
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    // Every token is good for a second, and the API is never shown one that has expired.
    let valid = Valid::default();
    let given = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&given);
    let identity = identity(&valid, move |_, _| {
        noted.lock().unwrap().push(std::time::Instant::now());
        Ok(json!({"token_type": "Bearer", "expires_in": 1}))
    });
    let refused = Arc::new(Mutex::new(0));
    let (late, times) = (Arc::clone(&refused), Arc::clone(&given));
    let api = Api::start(move |request| {
        let number: usize = request.headers["authorization"].strip_prefix("Bearer token-").unwrap().parse().unwrap();
        if times.lock().unwrap()[number - 1].elapsed() > Duration::from_secs(1) {
            *late.lock().unwrap() += 1;
            return Answer::bytes("").status(401);
        }
        let from = &request.query["from"];
        let rows: Vec<Value> = (0..5).map(|n| json!({"id": format!("{from}/{n}")})).collect();
        let some: Vec<&Value> = rows.iter().skip(request.number("offset")).take(2).collect();
        Answer::json(&json!({"total": 5, "items": some})).after(Duration::from_millis(200))
    });
    let bench = bench(api, &identity, "");
    assert_exact(&bench, &bench.run());
    assert!(identity.asked().len() >= 2, "{}", identity.asked().len());
    // A token may expire on its way where the machine is slow; one renewed too late would be refused each time.
    assert!(*refused.lock().unwrap() <= 1, "{refused:?}");
}

#[test]
fn a_refresh_token_is_followed_where_it_changes() {
    let valid = Valid::default();
    let identity = identity(&valid, |request, given| {
        let form = request.form();
        assert_eq!(form["grant_type"], "refresh_token");
        // Each refresh token is good for once.
        if form["refresh_token"] == format!("refresh-token-{given}") {
            Ok(json!({"token_type": "Bearer", "refresh_token": format!("refresh-token-{}", given + 1)}))
        } else {
            Err(Answer::json(&json!({"error": "invalid_grant"})).status(400))
        }
    });
    let bench = bench(
        api(&valid, |asked, valid| {
            if asked <= 8 {
                1
            } else if asked <= 24 {
                2
            } else {
                valid.len().max(3)
            }
        }),
        &identity,
        ", refresh_token: '${file:refresh}'",
    );
    assert_exact(&bench, &bench.run());
    assert_eq!(identity.asked().len(), 3);
    // The file has the first one, which is used up.
    bench.workspace.write("refresh", "refresh-token-0");
    let ran = bench.run_at("2026-01-04T12:00:00Z", &[]);
    assert_eq!(ran.errors().len(), 1, "{ran:?}");
    insta::assert_snapshot!(bench.workspace.redact(&ran.errors()[0]), @"20260103T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: the token request POST http://127.0.0.1:[PORT]/oauth2/token: status 400 after 1 try: the server answered 400 Bad Request: invalid_grant; the refresh token is used up, expired or revoked: get a new one");
    assert_eq!(identity.asked().len(), 4);
}

#[test]
fn a_client_that_is_refused_asks_once_and_all_stops() {
    let valid = Valid::default();
    let identity = identity(&valid, |request, _| {
        let description = format!("no client {:?}", said(request));
        Err(Answer::json(&json!({"error": "invalid_client", "error_description": description})).status(401))
    });
    let bench = bench(api(&valid, |_, _| 1), &identity, "");
    let ran = bench.run();
    assert_eq!((ran.code(), identity.asked().len(), bench.api.asked().len()), (1, 1, 0), "{ran:?}");
    let errors = ran.errors();
    assert_eq!(errors.len(), 10);
    insta::assert_snapshot!(bench.workspace.redact(&errors[9]), @r#"20260102T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: the token request POST http://127.0.0.1:[PORT]/oauth2/token: status 401 after 1 try: the server answered 401 Unauthorized: invalid_client: no client {"basic": "tide+gate:[redacted]", "grant_type": "client_credentials"}; check client_id and client_secret; some servers want `client_auth: body`"#);
}

#[test]
fn a_token_that_is_no_help_fails_its_slice() {
    let valid = Valid::default();
    let identity = identity(&valid, |_, _| Ok(json!({"token_type": "Bearer"})));
    let server = Api::start({
        let api = Arc::clone(&valid);
        move |request| {
            let known =
                api.lock().unwrap().iter().any(|token| request.headers["authorization"] == format!("Bearer {token}"));
            let lacks = request.query["from"] == "2025-12-27";
            if !known || lacks {
                return Answer::json(&json!({"message": "no right"})).status(401);
            }
            Answer::json(&json!({"total": 0, "items": []}))
        }
    });
    let bench = bench(server, &identity, "");
    let ran = bench.run();
    let errors = ran.errors();
    assert_eq!((errors.len(), identity.asked().len()), (1, 2), "{errors:?}");
    insta::assert_snapshot!(errors[0], @r#"20251227T000000Z: GET /rows?offset=0&from=2025-12-27&to=2025-12-28: status 401 after 1 try: right after a new token, the server refused the credential; it says: no right; body: {"message":"no right"}; the account may lack the right to what is asked for, or `auth_failed` takes another error for an expired session"#);
    assert_eq!(ran.rows().lines().filter(|line| line.contains("landed: 0 of 0")).count(), 9);
}

#[test]
fn a_token_server_that_is_away_is_asked_again() {
    let valid = Valid::default();
    let tries = Mutex::new(0);
    let identity = identity(&valid, move |_, _| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        if *tries < 3 { Err(Answer::bytes("").status(503)) } else { Ok(json!({"token_type": "Bearer"})) }
    });
    let bench = bench(api(&valid, |_, _| 1), &identity, "");
    assert_exact(&bench, &bench.run());
    assert_eq!(identity.asked().len(), 3);
    let stopped = Api::always(Answer::bytes(""));
    let url = stopped.url();
    drop(stopped);
    let text = std::fs::read_to_string(bench.workspace.path("pipeline.yaml")).unwrap();
    bench.workspace.write("pipeline.yaml", &text.replace(&identity.url(), &url));
    let ran = bench.run_at("2026-01-04T12:00:00Z", &[]);
    insta::assert_snapshot!(bench.workspace.redact(&ran.errors()[0]), @"20260103T000000Z: the token request POST http://127.0.0.1:[PORT]/oauth2/token: no connection after 3 tries to http://127.0.0.1:[PORT] (error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)); check base_url, the network, and tls");
}
