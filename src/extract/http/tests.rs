//! The client against a real server on loopback.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::extract::auth::{Auth, CredentialGate, EachTry, Redactor, SecureWorkload};
use crate::extract::request::{RenderedRequest, RequestSpec, RequestTree};
use crate::model::AnswerFormat;
use crate::secret::Secret;

mod broken;
mod connections;
mod encodings;
mod network;
mod patience;
mod streams;
mod tls;

const PASSWORD: &str = "hunter2-and-more";

type Answerer = Arc<dyn Fn(u32, &HeaderMap) -> Response + Send + Sync>;

#[derive(Clone)]
struct Fake {
    answer: Answerer,
    requests: Arc<AtomicU32>,
    agents: Arc<Mutex<Vec<String>>>,
    delay: Duration,
}

/// Starts a server whose `n`-th request (from 1) gets `answer(n)`. Returns its URL and itself.
async fn serve(
    delay: Duration,
    answer: impl Fn(u32, &HeaderMap) -> Response + Send + Sync + 'static,
) -> (String, Fake) {
    let fake = Fake { answer: Arc::new(answer), requests: Arc::default(), agents: Arc::default(), delay };
    let app = Router::new().fallback(handle).with_state(fake.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, fake)
}

async fn handle(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    let number = fake.requests.fetch_add(1, Ordering::SeqCst) + 1;
    fake.agents.lock().unwrap().push(headers["user-agent"].to_str().unwrap().to_owned());
    tokio::time::sleep(fake.delay).await;
    (fake.answer)(number, &headers)
}

fn request(url: &str) -> RenderedRequest {
    let spec = RequestSpec { path: "/list".to_owned(), ..RequestSpec::default() };
    RequestTree::compile(url, spec).unwrap().render(&json!({}), &[]).unwrap()
}

fn options(attempts: u32) -> HttpOptions {
    let retry = RetryPolicy { attempts, max_delay: Duration::ZERO, base: Duration::ZERO };
    HttpOptions { retry, concurrency: 32, ..HttpOptions::default() }
}

fn client(options: HttpOptions) -> HttpClient {
    let redactor = Redactor::new([&Secret::new(PASSWORD)]);
    HttpClient::new(options, Arc::new(HostSlots::new()), redactor, Arc::new(SystemClock)).unwrap()
}

fn exchange(options: HttpOptions, rules: &RuleTexts) -> Exchange {
    Exchange {
        client: Arc::new(client(options)),
        gate: CredentialGate::new(),
        auth: Arc::new(Auth::Basic { username: "admin".to_owned(), password: Secret::new(PASSWORD) }),
        rules: Arc::new(Rules::compile(rules, &[]).unwrap()),
        cut: cut(AnswerFormat::Json),
        patience: Patience::default(),
        weight: 1,
    }
}

fn cut(format: AnswerFormat) -> CutCheck {
    CutCheck { format, is_cut: crate::decode::is_cut }
}

async fn fetch(client: &HttpClient, url: &str) -> Result<RawAnswer, HttpError> {
    fetch_as(AnswerFormat::Json, client, url).await
}

async fn fetch_as(format: AnswerFormat, client: &HttpClient, url: &str) -> Result<RawAnswer, HttpError> {
    let request = request(url);
    let pass = CredentialGate::new().enter(None).await.unwrap();
    client.fetch(&request, &request.line(), &pass, EachTry::Nothing, cut(format)).await
}

fn body(answer: &RawAnswer) -> (Value, ()) {
    (serde_json::from_slice(&answer.body).unwrap_or_default(), ())
}

fn transport(error: HttpError) -> (TransportKind, u32) {
    match error {
        HttpError::Transport { kind, attempts, .. } => (kind, attempts),
        other => panic!("{other}"),
    }
}

/// Answers every connection with the same bytes, then closes it.
async fn serve_bytes(bytes: &'static [u8]) -> String {
    serve_in_turn(&[bytes]).await
}

/// Answers each connection with the next of some bytes, and all further ones with the last, then closes it.
async fn serve_in_turn(answers: &[&'static [u8]]) -> String {
    let answers = answers.to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await;
            let _ = socket.write_all(answers[turn.min(answers.len() - 1)]).await;
            turn += 1;
            let _ = socket.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn too_many_requests_and_unavailable_are_tried_again() {
    let (url, fake) = serve(Duration::ZERO, |number, _| match number {
        1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        2 => StatusCode::from_u16(520).unwrap().into_response(),
        _ => ([("X-Page", "1")], r#"{"rc":0}"#).into_response(),
    })
    .await;
    let answer = fetch(&client(options(5)), &url).await.unwrap();
    assert_eq!((answer.status, answer.attempts), (StatusCode::OK, 3));
    assert_eq!(&answer.body[..], br#"{"rc":0}"#);
    assert_eq!(answer.headers["x-page"], "1");
    assert_eq!(answer.note, None);
    assert_eq!(fake.agents.lock().unwrap()[0], concat!("tidegate/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_request_with_no_body_says_that_it_has_none_where_one_is_due() {
    for (method, due) in
        [("POST", Some("0")), ("PUT", Some("0")), ("PATCH", Some("0")), ("GET", None), ("DELETE", None)]
    {
        let (url, _) = serve(Duration::ZERO, move |_, headers| {
            let length = headers.get("content-length").map(|length| length.to_str().unwrap());
            if length == due { StatusCode::OK } else { StatusCode::LENGTH_REQUIRED }.into_response()
        })
        .await;
        let request = RenderedRequest { method: method.parse().unwrap(), ..request(&url) };
        let pass = CredentialGate::new().enter(None).await.unwrap();
        let client = client(options(1));
        let answer = client.fetch(&request, "line", &pass, EachTry::Nothing, cut(AnswerFormat::Json)).await.unwrap();
        assert_eq!(answer.status, 200, "{method}");
    }
}

#[tokio::test]
async fn the_last_answer_is_judged_and_a_wish_to_wait_too_long_is_told() {
    let (url, fake) = serve(Duration::ZERO, |_, _| {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")], format!("slow down, {PASSWORD}\n")).into_response()
    })
    .await;
    let exchange = exchange(options(2), &RuleTexts::default());
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "GET /list: status 429 after 2 tries: the server answered 429 Too Many Requests; body: slow down, [redacted]\\n; the server \
         asked to wait 1h, longer than retry.max_delay allows (0s); raise it, or run later"
    );
    assert_eq!(fake.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn other_statuses_and_redirects_are_neither_retried_nor_followed() {
    for status in [302_u16, 400, 404, 501, 505] {
        let (url, fake) = serve(Duration::ZERO, move |_, _| {
            (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")]).into_response()
        })
        .await;
        let answer = fetch(&client(options(5)), &url).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts), (status, 1));
        assert_eq!(answer.headers["location"], "/elsewhere");
        assert_eq!(fake.requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn who_tries_again_holds_nothing_that_others_wait_for() {
    let (url, fake) = serve(Duration::ZERO, |number, _| {
        let status = if number == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (status, format!("[{}]", " ".repeat(10_000))).into_response()
    })
    .await;
    // Each goes beyond what there is, and there is one slot: the first leads, and tries again once the second has had it.
    let client = client(HttpOptions { concurrency: 1, ..options(2) }).within(Arc::new(Memory::new(1024)));
    let both = futures::future::join(fetch(&client, &url), fetch(&client, &url));
    let (one, other) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("they wait for each other");
    assert_eq!((one.unwrap().attempts, other.unwrap().attempts), (2, 1));
    assert_eq!((fake.requests.load(Ordering::SeqCst), client.memory().held()), (3, 0));
}

#[tokio::test]
async fn a_torn_body_is_tried_again_and_never_taken_for_whole() {
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"rc\":0}").await;
    let error = fetch(&client(options(3)), &url).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::TornBody, 3));
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    assert_eq!(transport(fetch(&client(options(1)), &url).await.unwrap_err()), (TransportKind::TornBody, 1));
    let url =
        serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00").await;
    assert_eq!(transport(fetch(&client(options(1)), &url).await.unwrap_err()), (TransportKind::TornBody, 1));
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole() {
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"rc\":0}").await;
    assert_eq!(&fetch(&client(options(1)), &url).await.unwrap().body[..], br#"{"rc":0}"#);
}

#[tokio::test]
async fn json_that_ends_with_the_connection_in_its_middle_is_torn() {
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\n\r\n{\"rc\":0,\"rsp\":[{}").await;
    assert_eq!(transport(fetch(&client(options(3)), &url).await.unwrap_err()), (TransportKind::TornBody, 3));
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\n\r\n<html>").await;
    assert_eq!(fetch(&client(options(3)), &url).await.unwrap().attempts, 1, "what is no JSON is for others to judge");
}

#[tokio::test]
async fn a_broken_or_refused_connection_and_a_timeout_are_named() {
    let url = serve_bytes(b"").await;
    assert_eq!(transport(fetch(&client(options(2)), &url).await.unwrap_err()), (TransportKind::Broken, 2));
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = fetch(&client(options(2)), &format!("http://{free}")).await.unwrap_err();
    assert!(error.to_string().starts_with("GET /list: no connection after 2 tries to http://127.0.0.1:"), "{error}");
    assert_eq!(transport(error), (TransportKind::Connect, 2));
    let (url, _) = serve(Duration::from_secs(30), |_, _| StatusCode::OK.into_response()).await;
    let options = HttpOptions { request_timeout: Duration::from_millis(50), ..options(2) };
    assert_eq!(transport(fetch(&client(options), &url).await.unwrap_err()), (TransportKind::Timeout, 2));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_named_and_not_asked_for_again() {
    let long = format!("HTTP/1.1 200 OK\r\nset-cookie: {}\r\n\r\n", "a".repeat(2_000_000)).into_bytes();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(500)).into_bytes();
    for head in [long, many] {
        let url = serve_bytes(head.leak()).await;
        let error = fetch(&client(options(3)), &url).await.unwrap_err();
        assert!(error.to_string().contains("the head of the answer is too large after 1 try"), "{error}");
        assert_eq!(transport(error), (TransportKind::Head, 1));
    }
}

#[tokio::test]
async fn a_port_that_speaks_no_http_is_named_and_https_is_thought_of() {
    // A fatal alert of TLS, and a connection that is closed without a word: what servers of TLS answer to plain HTTP.
    for (said, kind) in [(&b"\x15\x03\x01\x00\x02\x02\x46"[..], TransportKind::NoHttp), (b"", TransportKind::Broken)] {
        let error = fetch(&client(options(1)), &serve_bytes(said).await).await.unwrap_err();
        assert!(error.to_string().contains("https://"), "{error}");
        assert_eq!(transport(error), (kind, 1));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_an_error_with_and_without_a_length() {
    let small = || client(HttpOptions { max_response: 10, ..options(5) });
    let (url, fake) = serve(Duration::ZERO, |_, _| "eleven byte".into_response()).await;
    assert!(matches!(fetch(&small(), &url).await, Err(HttpError::TooLarge { limit: 10, .. })));
    assert_eq!(fake.requests.load(Ordering::SeqCst), 1, "another try would be as large");
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\n\r\neleven byte").await;
    assert!(matches!(fetch(&small(), &url).await, Err(HttpError::TooLarge { .. })));
    let (url, _) = serve(Duration::ZERO, |_, _| "ten bytes!".into_response()).await;
    assert!(fetch(&small(), &url).await.is_ok());
}

#[tokio::test]
async fn the_first_request_of_a_credential_goes_alone() {
    let (url, fake) = serve(Duration::from_millis(30), |_, headers| {
        assert!(headers.contains_key("authorization"));
        r#"{"rc":0}"#.into_response()
    })
    .await;
    let exchange = exchange(options(1), &RuleTexts::default());
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let (exchange, request) = (exchange.clone(), request(&url));
            tokio::spawn(async move { exchange.send(&request, Vec::new(), body).await.is_ok() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(15)).await;
    assert!(fake.requests.load(Ordering::SeqCst) <= 1, "the first request isn't alone");
    for send in sends {
        assert!(send.await.unwrap());
    }
    assert_eq!(fake.requests.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_refused_credential_is_sent_once() {
    let (url, fake) = serve(Duration::from_millis(10), |_, _| {
        (StatusCode::FOUND, [("location", "/lua/login.lua?referer=x")]).into_response()
    })
    .await;
    let rules = RuleTexts {
        auth_failed: Some(r#"$status == 302 and ($headers.location | contains("login.lua"))"#.to_owned()),
        ..RuleTexts::default()
    };
    let exchange = exchange(options(5), &rules);
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let (exchange, request) = (exchange.clone(), request(&url));
            tokio::spawn(async move { exchange.send(&request, Vec::new(), body).await.unwrap_err() })
        })
        .collect();
    for send in sends {
        let error = send.await.unwrap();
        assert!(matches!(error, ExchangeError::Refused(_)), "{error}");
        assert!(error.to_string().contains("GET /list: status 302 after 1 try"), "{error}");
    }
    assert_eq!(fake.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_inside_a_200_is_a_failure_and_not_retried() {
    let (url, fake) = serve(Duration::ZERO, |_, _| r#"{"rc":-6,"rc_str":"INTERNAL_ERROR"}"#.into_response()).await;
    let rules = RuleTexts {
        success: Some(".rc == 0".to_owned()),
        error_message: Some(".rc_str".to_owned()),
        ..RuleTexts::default()
    };
    let error = exchange(options(5), &rules).send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert!(
        error.starts_with("GET /list: status 200 after 1 try: 'success' is not true; it says: INTERNAL_ERROR;"),
        "{error}"
    );
    assert_eq!(fake.requests.load(Ordering::SeqCst), 1);
}

/// Each look at it is a second later.
#[derive(Debug, Default)]
struct Ticking(AtomicU32);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.fetch_add(1, Ordering::SeqCst).into())
    }
}

#[tokio::test]
async fn every_try_is_signed_anew() {
    let seen: Arc<Mutex<Vec<[String; 2]>>> = Arc::default();
    let (url, _) = serve(Duration::ZERO, {
        let seen = Arc::clone(&seen);
        move |number, headers| {
            let text = |name: &str| headers[name].to_str().unwrap().to_owned();
            seen.lock().unwrap().push([text("timestamp"), text("authorization")]);
            if number < 3 { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { "{}".into_response() }
        }
    })
    .await;
    let auth = Auth::SecureWorkload(SecureWorkload::new(Secret::new("key"), Secret::new(PASSWORD)));
    let redactor = Redactor::new(auth.secrets());
    let client = HttpClient::new(options(5), Arc::default(), redactor, Arc::new(Ticking::default())).unwrap();
    let exchange =
        Exchange { client: Arc::new(client), auth: Arc::new(auth), ..exchange(options(1), &RuleTexts::default()) };
    exchange.send(&request(&url), Vec::new(), body).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    let distinct = |at: usize| seen.iter().map(|headers| &headers[at]).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((distinct(0), distinct(1)), (3, 3), "{seen:?}");
}

#[tokio::test]
async fn no_more_requests_are_out_than_the_host_has_slots() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let app = Router::new().fallback({
        let (now, most) = (now.clone(), most.clone());
        move || async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Arc::new(client(HttpOptions { concurrency: 3, ..options(1) }));
    let fetches = (0..12).map(|_| fetch(&client, &url));
    assert!(futures::future::join_all(fetches).await.iter().all(Result::is_ok));
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[test]
fn a_file_of_certificates_that_is_none_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = HttpOptions { ca_file: Some(file.path().to_owned()), ..HttpOptions::default() };
    let error = HttpClient::new(options, Arc::default(), Redactor::default(), Arc::new(SystemClock)).unwrap_err();
    assert!(error.to_string().contains("tls.ca_file") && error.to_string().contains("no certificate"), "{error}");
}
