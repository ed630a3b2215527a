use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::extract::request::{RequestSpec, RequestTree};
use crate::lang::tree::Tree;

fn request(payload: Option<serde_json::Value>) -> RenderedRequest {
    let form = payload.map(|_| indexmap::IndexMap::from([("rm".to_owned(), Tree::Text("x".to_owned()))]));
    let spec = RequestSpec { path: "/list".to_owned(), form, ..RequestSpec::default() };
    RequestTree::compile("http://a", spec).unwrap().render(&json!({}), &[]).unwrap()
}

fn applied(auth: &Auth, form: bool) -> RenderedRequest {
    let mut request = request(form.then(|| json!({})));
    auth.apply(&mut request).unwrap();
    request
}

fn named(name: &str, value: &str) -> (String, Secret) {
    (name.to_owned(), Secret::new(value))
}

#[test]
fn each_kind_goes_where_it_belongs() {
    let basic = Auth::Basic { username: "admin".to_owned(), password: Secret::new("p:ä") };
    let header = &applied(&basic, false).headers["authorization"];
    assert_eq!(header, "Basic YWRtaW46cDrDpA==");
    assert!(header.is_sensitive() && !format!("{header:?}").contains("YWRt"));
    assert_eq!(applied(&Auth::Bearer(Secret::new("t")), false).headers["authorization"], "Bearer t");
    let token = Auth::Headers(vec![named("X-Token", "Token t")]);
    assert_eq!(applied(&token, false).headers["x-token"], "Token t");
    let both = applied(&Auth::Headers(vec![named("X-Key", "k"), named("X-App", "a")]), false).headers;
    assert_eq!((&both["x-key"], &both["x-app"]), (&"k".parse().unwrap(), &"a".parse().unwrap()));
    assert!(both.values().all(http::HeaderValue::is_sensitive));
    let (name, value) = named("key", "a b");
    assert_eq!(applied(&Auth::Query { name, value }, false).url().as_str(), "http://a/list?key=a%20b");
    let (name, value) = named("authToken", "t&u");
    assert_eq!(applied(&Auth::Form { name, value }, true).body().unwrap().1, "rm=x&authToken=t%26u");
}

#[test]
fn what_cannot_be_sent_is_refused_without_showing_it() {
    let refuse = |auth: Auth| auth.apply(&mut request(None)).unwrap_err().to_string();
    let error = refuse(Auth::Bearer(Secret::new("hunter2\nx")));
    assert!(error.contains("line break") && !error.contains("hunter2"), "{error}");
    assert!(refuse(Auth::Basic { username: "a:b".to_owned(), password: Secret::default() }).contains("colon"));
    assert!(refuse(Auth::Headers(vec![named("a b", "v")])).contains("'a b'"));
}

#[test]
fn a_credential_is_its_kind_and_its_secret() {
    let bearer = |text: &str| Auth::Bearer(Secret::new(text)).credential();
    assert_eq!(bearer("a"), bearer("a"));
    assert_ne!(bearer("a"), bearer("b"));
    assert_ne!(bearer("a"), Auth::Headers(vec![named("", "a")]).credential());
    assert_eq!(Auth::None.credential(), None);
    let headers = |pairs: [(&str, &str); 2]| Auth::Headers(pairs.map(|(name, value)| named(name, value)).to_vec());
    assert_eq!(headers([("a", "1"), ("b", "2")]).credential(), headers([("b", "2"), ("a", "1")]).credential());
    assert_ne!(headers([("a", "1"), ("b", "2")]).credential(), headers([("a", "2"), ("b", "1")]).credential());
    assert_eq!(headers([("a", "1"), ("b", "2")]).secrets().len(), 2);
    assert_eq!(format!("{:?}", bearer("a")), "Some(CredentialId)");
}

#[test]
fn secrets_are_scrubbed_in_every_form() {
    let secret = Secret::new("s3cr/t \"quoted\"+ä");
    let redactor = Redactor::new([&secret]);
    for text in [
        secret.expose().to_owned(),
        json!({"k": secret.expose()}).to_string(),
        applied(&Auth::Query { name: "k".to_owned(), value: secret.clone() }, false).url().to_string(),
        url::form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect(),
    ] {
        let clean = redactor.scrub(&text);
        assert!(clean.contains(REDACTED) && !clean.contains("cr/t") && !clean.contains("cr%2"), "{text} -> {clean}");
    }
    assert_eq!(redactor.scrub("nothing here"), "nothing here");
    assert_eq!(Redactor::new([&Secret::new("Token abcdef")]).scrub("got abcdef"), "got [redacted]");
    assert_eq!(Redactor::new([&Secret::default()]).scrub("a"), "a");
}

proptest! {
    #[test]
    fn a_password_is_scrubbed_from_basic_whatever_the_user_name(user in "[a-z]{0,8}", password in "[!-~]{8,20}") {
        let auth = Auth::Basic { username: user, password: Secret::new(password) };
        let request = applied(&auth, false);
        let header = request.headers["authorization"].to_str().unwrap();
        let clean = Redactor::new(auth.secrets()).scrub(header);
        prop_assert!(clean.contains(REDACTED), "{} -> {}", header, clean);
        // The digits at the edges hold a few bits of the secret at most.
        prop_assert!(clean.len() <= "Basic ".len() + REDACTED.len() + 12 + 6, "{} -> {}", header, clean);
    }
}

#[test]
fn a_short_secret_is_hidden_where_it_is_a_word() {
    let redactor = Redactor::new([&Secret::new("no")]);
    let clean = redactor.scrub("nothing is known: {\"pw\": \"no\"} no? a=no&b=now, no_one, N no");
    assert_eq!(
        clean,
        "nothing is known: {\"pw\": \"[redacted]\"} [redacted]? a=[redacted]&b=now, no_one, N [redacted]"
    );
    let basic = Redactor::new([&Secret::new("abc")]);
    assert_eq!(basic.scrub("abcd xabc abc"), "abcd xabc [redacted]");
    assert_eq!(
        Redactor::new([&Secret::new("abcd")]).scrub("xabcde"),
        "x[redacted]e",
        "a longer one is hidden wherever it is"
    );
    assert_eq!(Redactor::new([&Secret::new("é")]).scrub("café é"), "café [redacted]");
}

#[test]
fn an_excerpt_is_short_clean_and_on_one_line() {
    let redactor = Redactor::new([&Secret::new("topsecret")]);
    assert_eq!(excerpt(&redactor, b"a\r\n\x1b[31m topsecret"), "a\\r\\n\\u{1b}[31m [redacted]");
    let long = format!("{}topsecret", "x".repeat(195));
    let shown = excerpt(&redactor, long.as_bytes());
    assert!(!shown.contains("tops") && shown.ends_with('…'), "{shown}");
    assert!(!excerpt(&redactor, &[0xff, b'a']).is_empty());
}

fn id(text: &str) -> Option<CredentialId> {
    Auth::Bearer(Secret::new(text)).credential()
}

async fn waits<T>(future: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(20), future).await.is_err()
}

#[tokio::test]
async fn the_first_request_goes_alone_and_the_others_follow() {
    let gate = CredentialGate::new();
    let first = gate.enter(id("a")).await.unwrap();
    assert!(waits(gate.enter(id("a"))).await);
    assert!(!waits(gate.enter(id("b"))).await, "another credential doesn't wait");
    assert!(!waits(gate.enter(None)).await, "no credential, no gate");
    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { gate.enter(id("a")).await.is_ok() }
    });
    first.accepted();
    assert!(waiting.await.unwrap());
    let (one, two) = (gate.enter(id("a")).await, gate.enter(id("a")).await);
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test]
async fn a_request_that_proved_nothing_leaves_the_next_alone() {
    let gate = CredentialGate::new();
    drop(gate.enter(id("a")).await.unwrap());
    let _second = gate.enter(id("a")).await.unwrap();
    assert!(waits(gate.enter(id("a"))).await);
}

#[tokio::test]
async fn a_refusal_stops_those_who_wait_and_those_who_are_out() {
    let gate = CredentialGate::new();
    gate.enter(id("a")).await.unwrap().accepted();
    let (one, two) = (gate.enter(id("a")).await.unwrap(), gate.enter(id("a")).await.unwrap());
    assert!(waits(two.refused_elsewhere()).await);
    let refused = one.refused("GET /x: 401");
    assert_eq!(&*two.refused_elsewhere().await.reason, "GET /x: 401");
    assert_eq!(two.check(), Err(refused.clone()));
    assert_eq!(gate.enter(id("a")).await.unwrap_err(), refused);
    assert_eq!(&*two.refused("another").reason, "GET /x: 401", "the first refusal is the one that is shown");
}
