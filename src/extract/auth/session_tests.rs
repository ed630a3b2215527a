//! Sessions without a network: what is sent, what is taken from an answer, and what is said of one that holds nothing.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::extract::http::RawAnswer;
use crate::extract::request::{RequestSpec, RequestTree};
use crate::lang::jq::Jq;

const PASSWORD: &str = "pa{{ss}}word-2";
const TOKEN: &str = "eyJhbGciOi.JIUzI1NiJ9.sig-na_ture";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 3, 12, 0, 0).unwrap()
}

fn answer(status: u16, body: &str) -> RawAnswer {
    RawAnswer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: json!({"location": "/login?next=%2F"}),
        body: Bytes::from(body.to_owned()),
        broken: None,
        attempts: 1,
        elapsed: Duration::ZERO,
        note: None,
        unsettled: false,
        unmarked: false,
    }
}

fn login(success: Option<&str>, token: Option<(&str, &str)>) -> Session {
    saying(success, token, None)
}

fn saying(success: Option<&str>, token: Option<(&str, &str)>, error_message: Option<Jq>) -> Session {
    let text = |text: &str| Tree::Text(text.to_owned());
    let form = [("username", text("admin")), ("password", text("{{ credentials[0] }}")), ("at", text("{{ now }}"))];
    let spec = RequestSpec {
        method: http::Method::POST.into(),
        path: "/in".to_owned(),
        form: Some(form.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ..RequestSpec::default()
    };
    let jq = |text: &str| Jq::compile(text, &["status", "headers"]).unwrap();
    Session::of_login(Login {
        tree: RequestTree::compile("https://h/api", spec).unwrap(),
        values: vec![Secret::new(PASSWORD)],
        secrets: vec![Secret::new(PASSWORD)],
        success: success.map(jq),
        error_message,
        token: token.map(|(token, place)| (jq(token), Place::compile(place, &[]).unwrap())),
    })
}

fn read(session: &Session, answer: &RawAnswer, cookies: &[&str]) -> Result<Arc<Grant>, Denied> {
    let (request, jar) = session.request(now()).unwrap();
    let mut headers = http::HeaderMap::new();
    for line in cookies {
        headers.append(http::header::SET_COOKIE, line.parse().unwrap());
    }
    session.each_try(&jar).heard(&request, &headers, now());
    session.read(answer, jar, now())
}

fn denied(session: &Session, answer: &RawAnswer, cookies: &[&str]) -> String {
    let Denied { reason, hint } = read(session, answer, cookies).unwrap_err();
    assert!(!reason.contains("eyJ") && !reason.contains(PASSWORD), "{reason}");
    format!("{reason}; {hint}")
}

fn any_request(payload: Payload) -> RenderedRequest {
    let spec = RequestSpec { path: "/rows".to_owned(), ..RequestSpec::default() };
    RenderedRequest { payload, ..RequestTree::compile("https://h/api", spec).unwrap().render(&json!({}), &[]).unwrap() }
}

#[test]
fn a_refused_login_says_what_the_server_says() {
    let refusal =
        r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "Login name or password is incorrect."}}"#;
    let said = denied(&login(Some(".result != null"), None), &answer(200, refusal), &[]);
    assert!(said.contains("is not true; it says: message: Login name or password is incorrect.; check"), "{said}");
    let by_rule = |rule: &str, body: &str| {
        let rule = Jq::compile(rule, &["status", "headers"]).unwrap();
        denied(&saying(Some(".ok"), None, Some(rule)), &answer(200, body), &[])
    };
    assert!(by_rule(".why.text", r#"{"ok": false, "why": {"text": "locked"}}"#).contains("it says: locked;"));
    let other = by_rule(".why.text", r#"{"ok": false, "msg": "wrong", "why": [7]}"#);
    assert!(other.contains("it says: msg: wrong;"), "where the rule fails, what is usual is looked at: {other}");
}

#[test]
fn a_login_sends_its_secrets_as_they_are() {
    let session = login(None, None);
    let (request, _) = session.request(now()).unwrap();
    let body = request.body().unwrap().1;
    assert_eq!(body, "username=admin&password=pa%7B%7Bss%7D%7Dword-2&at=2026-01-03T12%3A00%3A00Z");
    assert_eq!(session.redactor().scrub(&body), "username=admin&password=[redacted]&at=2026-01-03T12%3A00%3A00Z");
    assert!(!format!("{session:?}").contains("ss}}"), "{session:?}");
}

#[test]
fn a_token_goes_to_its_place_and_is_a_secret() {
    let body = json!({"data": {"token": TOKEN}}).to_string();
    let carried = |into: &str, payload| {
        let session = login(None, Some(("\"Bearer \" + .data.token", into)));
        let grant = read(&session, &answer(200, &body), &["s=0123456789; Path=/"]).unwrap();
        let mut request = any_request(payload);
        grant.apply(&mut request).unwrap();
        let request = Auth::Session(Arc::new(session)).each_try(Some(&grant)).prepared(&request, now()).unwrap();
        assert_eq!(request.headers["cookie"], "s=0123456789");
        request
    };
    let bearer = format!("Bearer {TOKEN}");
    let header = &carried("headers.Authorization", Payload::None).headers["authorization"];
    assert!(header == &bearer && header.is_sensitive());
    assert_eq!(carried("query.token", Payload::None).query, [("token".to_owned(), bearer.clone())]);
    let form = Payload::Form(vec![("token".to_owned(), "old".to_owned())]);
    assert_eq!(carried("form.token", form).payload, Payload::Form(vec![("token".to_owned(), bearer.clone())]));
    let tree = Tree::from(json!({"a": 1, "auth": {}}));
    let body = carried("body.auth.token", Payload::Json(tree)).body().unwrap().1;
    assert_eq!(body, format!(r#"{{"a":1,"auth":{{"token":"{bearer}"}}}}"#));
    let session = login(None, Some((".t", "headers.x")));
    read(&session, &answer(200, &json!({"t": TOKEN}).to_string()), &[]).unwrap();
    assert_eq!(session.redactor().scrub(&format!("got {TOKEN}")), "got [redacted]");
}

#[test]
fn what_is_no_login_says_so_and_quotes_no_session() {
    let leaky = |fields: Value| {
        let mut body = json!({"session": TOKEN, "nested": {"a": TOKEN}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        answer(200, &body.to_string())
    };
    let said = [
        denied(&login(None, None), &answer(401, r#"{"error": "no such user"}"#), &["s=0123456789"]),
        denied(&login(None, None), &answer(404, ""), &[]),
        denied(&login(None, None), &answer(302, ""), &["s=0123456789"]),
        denied(
            &login(Some(".success == 1"), None),
            &leaky(json!({"success": 0, "error": "wrong", "error_code": 7})),
            &["s=1"],
        ),
        denied(&login(Some(".success == 1"), None), &leaky(json!({"success": 0})), &["s=1"]),
        denied(&login(Some(".session.ok"), None), &leaky(json!({})), &["s=1"]),
        denied(&login(None, Some((".token", "headers.x"))), &leaky(json!({})), &[]),
        denied(&login(None, Some((".session.token", "headers.x"))), &leaky(json!({})), &[]),
        denied(&login(None, Some((".session + \"\n\"", "headers.x"))), &leaky(json!({})), &[]),
        denied(&login(None, None), &answer(200, "<html>"), &[]),
        denied(&login(None, None), &answer(200, "{}"), &["s=; Max-Age=0"]),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    the server answered 401 Unauthorized; body: {"error": "no such user"}; check the login's credentials, and that the account isn't locked out
    the server answered 404 Not Found; check the login's path, and base_url
    the server redirects to /login?next=%2F; redirects aren't followed: check base_url, or say with `success` which redirect means that it succeeded
    the login's `success` is not true; it says: error: wrong, error_code: 7; check the login's credentials, and that the account isn't locked out
    the login's `success` is not true; the answer has the fields session, nested, success; check the login's credentials, and that the account isn't locked out
    the login's `success` can't be evaluated on the answer; the answer has the fields session, nested; check `success` against the answer's fields
    there is no token: the login's `token` gives null; the answer has the fields session, nested; check `token` against the answer's fields; if they tell of a failure, check the credentials
    there is no token: the login's `token` can't be evaluated on the answer; the answer has the fields session, nested; check `token` against the answer's fields; if they tell of a failure, check the credentials
    the login's `token` holds a line break or another control character; check `token` against the answer, or send it somewhere else than in a header
    the answer to the login sets no cookie; the answer isn't JSON; check the credentials, and the login's path; if it answers with a token, name it with `token` and `into`
    the answer to the login sets no cookie; the answer is an object with no fields; check the credentials, and the login's path; if it answers with a token, name it with `token` and `into`
    "#);
}

#[test]
fn a_redirect_is_a_login_where_success_says_so() {
    let success = r#"$status == 302 and ($headers.location | startswith("/home"))"#;
    let session = login(Some(success), None);
    assert!(denied(&session, &answer(302, ""), &["s=0123456789"]).contains("`success` is not true"));
    let home = RawAnswer { headers: json!({"location": "/home"}), ..answer(302, "") };
    assert!(read(&session, &home, &["s=0123456789"]).is_ok());
}

fn client(refresh_token: Option<&str>, client_auth: ClientAuth) -> Session {
    Session::of_oauth2(OAuth2 {
        token_url: "https://idp:9/token?tenant=x".parse().unwrap(),
        client_id: "the client".to_owned(),
        client_secret: Secret::new("s3cr%t/+value"),
        scope: Some("read write".to_owned()),
        refresh_token: refresh_token.map(Secret::new),
        client_auth,
    })
}

#[test]
fn a_client_says_who_it_is_in_a_header_or_in_the_form() {
    let session = client(None, ClientAuth::Header);
    let (request, _) = session.request(now()).unwrap();
    assert_eq!(request.url().as_str(), "https://idp:9/token?tenant=x");
    assert_eq!(request.body().unwrap().1, "grant_type=client_credentials&scope=read%20write");
    // `the+client:s3cr%25t%2F%2Bvalue`, as RFC 6749, section 2.3.1, has it.
    let header = &request.headers["authorization"];
    assert_eq!(header, "Basic dGhlK2NsaWVudDpzM2NyJTI1dCUyRiUyQnZhbHVl");
    assert!(header.is_sensitive());
    let clean = session.redactor().scrub(header.to_str().unwrap());
    assert!(clean.contains(REDACTED) && !clean.contains("cyJTI1dCUyRi"), "{clean}");
    let (request, _) = client(Some("refresh-1"), ClientAuth::Body).request(now()).unwrap();
    let sent = "grant_type=refresh_token&refresh_token=refresh-1&scope=read%20write&client_id=the%20client&client_secret=s3cr%25t%2F%2Bvalue";
    assert_eq!(request.body().unwrap().1, sent);
    assert!(!request.headers.contains_key("authorization"));
}

#[test]
fn a_token_ends_before_it_expires() {
    let lives = |expires: Value| {
        let session = client(None, ClientAuth::Header);
        let body = json!({"access_token": TOKEN, "token_type": "bearer", "expires_in": expires}).to_string();
        read(&session, &answer(200, &body), &[]).unwrap();
        let alive = |seconds: &i64| session.current(now() + TimeDelta::seconds(*seconds)).is_some();
        [0, 8, 9, 3539, 3540, 1_000_000].into_iter().filter(alive).max()
    };
    assert_eq!(lives(json!(10)), Some(8));
    assert_eq!(lives(json!("3600")), Some(3539));
    assert_eq!(lives(json!(3600.5)), Some(3539));
    assert_eq!(lives(json!(0)), None);
    for none in [json!(null), json!("soon"), json!(-1), json!(1e300)] {
        assert_eq!(lives(none), Some(1_000_000));
    }
}

#[test]
fn a_rotated_refresh_token_is_the_next_one_and_a_secret() {
    let session = client(Some("refresh-1"), ClientAuth::Header);
    let sent = || session.request(now()).unwrap().0.body().unwrap().1;
    let token = |refresh: Option<&str>| {
        let body = json!({"access_token": TOKEN, "refresh_token": refresh}).to_string();
        read(&session, &answer(200, &body), &[]).unwrap();
    };
    assert!(sent().contains("refresh_token=refresh-1&"));
    token(Some("refresh-2"));
    assert!(sent().contains("refresh_token=refresh-2&"));
    token(None);
    assert!(sent().contains("refresh_token=refresh-2&"), "one that isn't replaced stays");
    assert_eq!(session.redactor().scrub("refresh-2 eyJ"), "[redacted] eyJ");
    let other = client(None, ClientAuth::Header);
    read(&other, &answer(200, &json!({"access_token": TOKEN, "refresh_token": "r"}).to_string()), &[]).unwrap();
    assert!(other.request(now()).unwrap().0.body().unwrap().1.contains("client_credentials"));
}

#[test]
fn what_is_no_token_says_so() {
    let refused =
        |status, body: Value| denied(&client(None, ClientAuth::Header), &answer(status, &body.to_string()), &[]);
    let said = [
        refused(401, json!({"error": "invalid_client", "error_description": "no\nsuch s3cr%t/+value"})),
        refused(400, json!({"error": "invalid_scope"})),
        refused(400, json!({"error": "unauthorized_client"})),
        denied(
            &client(Some("refresh-1"), ClientAuth::Body),
            &answer(400, r#"{"error": "invalid_grant", "error_description": "refresh-1 was used"}"#),
            &[],
        ),
        denied(&client(None, ClientAuth::Header), &answer(404, "<h1>Not Found</h1>"), &[]),
        denied(&client(None, ClientAuth::Header), &answer(302, ""), &[]),
        denied(&client(None, ClientAuth::Header), &answer(200, "<html>"), &[]),
        refused(200, json!({"token": TOKEN})),
        refused(200, json!({"access_token": TOKEN, "token_type": "mac"})),
        refused(200, json!({"access_token": format!("{TOKEN}\n")})),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    the server answered 401 Unauthorized: invalid_client: no\nsuch [redacted]; check client_id and client_secret; some servers want `client_auth: body`
    the server answered 400 Bad Request: invalid_scope; check scope
    the server answered 400 Bad Request: unauthorized_client; the client may not use client credentials: ask the server's admin, or use a refresh_token
    the server answered 400 Bad Request: invalid_grant: [redacted] was used; the refresh token is used up, expired or revoked: get a new one
    the server answered 404 Not Found; body: <h1>Not Found</h1>; check token_url, client_id, client_secret and scope
    the server redirects to /login?next=%2F; check token_url, client_id, client_secret and scope
    the answer isn't a JSON object, so there is no access_token in it; check token_url: it must be the token end point itself
    the answer has no access_token; check token_url: it must be the token end point itself
    the token isn't of the type Bearer, the only one that is known here; ask the server's admin
    the access_token holds a control character, and can't go into a header; ask the server's admin
    "#);
}

#[test]
fn generations_tell_an_old_session_from_the_current_one() {
    let session = login(None, None);
    let renew = || read(&session, &answer(200, "{}"), &["s=0123456789"]).unwrap().generation();
    assert!(session.current(now()).is_none());
    assert_eq!(renew(), 1);
    session.expire(2);
    assert!(session.is_current(1));
    session.expire(1);
    assert!(session.current(now()).is_none() && !session.is_current(1));
    assert_eq!(renew(), 2);
    session.expire(1);
    assert!(session.is_current(2), "an old refusal doesn't end a new session");
    assert_eq!(session.failed_since(0), None);
    session.failed("no route");
    assert_eq!(session.failed_since(0).as_deref(), Some("no route"));
    assert_eq!(session.failed_since(session.failures()), None);
}

#[test]
fn sessions_are_told_apart_by_what_is_sent() {
    assert_eq!(login(None, None).id(), login(None, None).id());
    assert_ne!(login(None, None).id(), login(None, Some((".t", "headers.x"))).id());
    assert_eq!(client(None, ClientAuth::Body).id(), client(None, ClientAuth::Body).id());
    assert_ne!(client(None, ClientAuth::Body).id(), client(Some("r"), ClientAuth::Body).id());
    assert_ne!(client(None, ClientAuth::Body).id(), client(None, ClientAuth::Header).id());
}

#[test]
fn a_short_secret_may_stand_in_data_by_chance() {
    let redactor = Redactor::new([&Secret::new("admin"), &Secret::new("admin-token-1")]);
    assert_eq!(redactor.scrub("admin admin-token-1"), "[redacted] [redacted]");
    assert_eq!(redactor.scrub_data("admin admin-token-1"), "admin [redacted]");
}

#[test]
fn the_oldest_learned_secrets_are_forgotten_and_the_given_never() {
    let redactor = Redactor::new([&Secret::new("given-secret")]);
    let shared = redactor.clone();
    for number in 0..100 {
        redactor.learn([&Secret::new(format!("learned-{number:03}"))]);
    }
    assert_eq!(shared.scrub("learned-099 learned-036"), "[redacted] [redacted]");
    assert_eq!(shared.scrub("learned-035 given-secret"), "learned-035 [redacted]");
}
