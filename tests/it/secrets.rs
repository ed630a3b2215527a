//! Secrets of every kind, planted wherever a pipeline file takes one, before a server that echoes all that it is sent: none of them
//! shows in anything that is said or kept, in any form.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, files};

/// Characters that each encoding changes in its own way.
const SECRET: &str = "pl4nted/Secret+of\\\"all\"=kinds&4711?";

/// The user of the proxy and what belongs to the bucket.
const OTHERS: [&str; 2] = ["pr0xy-Passw0rd/8+9=1234", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"];

/// Where a pipeline file takes a secret, and how the job then asks.
const PLACES: [(&str, &str); 9] = [
    ("bearer: '${PLANTED}'", "get: /rows"),
    ("basic: {username: me, password: '${PLANTED}'}", "get: /rows"),
    ("header: {name: x-key, value: 'Token ${PLANTED}'}", "get: /rows"),
    ("header: {name: cookie, value: 'session=${PLANTED}'}", "get: /rows"),
    ("query: {name: key, value: '${PLANTED}'}", "get: /rows"),
    ("form: {name: key, value: '${PLANTED}'}", "post: /rows, form: {a: b}"),
    ("login: {post: /login, body: {deep: [{pw: '${PLANTED}'}]}, token: .token, into: query.t}", "get: /rows"),
    ("login: {post: /login, form: {pw: '${PLANTED}'}}", "get: /rows"),
    ("oauth2: {token_url: '{url}/token', client_id: me, client_secret: '${PLANTED}', client_auth: body}", "get: /rows"),
];

/// What the server does with a request that isn't a login.
const WAYS: [&str; 6] = ["fine", "page two fails", "refused", "garbage", "no json", "bad rows"];

/// Echoes all that a request brought.
fn echo(request: &Request) -> Value {
    json!({"headers": request.headers, "query": request.query, "body": request.body, "form": request.form()})
}

fn served(request: &Request, way: &str) -> Answer {
    let page = |items: Value| Answer::json(&json!({"items": items, "total": 2, "echo": echo(request)}));
    match (request.path.as_str(), way) {
        ("/login", _) => {
            Answer::json(&json!({"token": SECRET})).header("set-cookie", "s=c00kie-of-the-login-4711; Path=/")
        }
        ("/token", _) => Answer::json(&json!({"access_token": "t0ken-of-0auth2-4711", "token_type": "Bearer"})),
        (_, "refused") => Answer::json(&echo(request)).status(401),
        (_, "garbage") => Answer::bytes(format!("{}{}", echo(request), "}")),
        (_, "no json") => Answer::bytes(format!("<html>{}</html>", echo(request))),
        (_, "page two fails") if request.number("o") > 0 => Answer::json(&echo(request)).status(500),
        (_, "bad rows") if request.number("o") == 0 => page(json!([format!("echo: {}", echo(request)), {"id": 1}])),
        _ if request.number("o") > 1 => page(json!([])),
        _ => page(json!([{"id": request.number("o")}])),
    }
}

/// Returns the forms in which a secret might show.
fn forms(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let ascii: String =
        secret.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) }).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let all: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut forms = vec![secret.to_owned(), json[1..json.len() - 1].to_owned(), ascii, all.clone(), all.to_lowercase()];
    forms.extend([encoded.clone(), encoded.replace('+', "%20")]);
    forms.push(lower(&encoded));
    for before in 0..3 {
        for engine in [&STANDARD, &URL_SAFE] {
            let text = engine.encode([&b"xyz"[..before], secret.as_bytes(), b"xx"].concat());
            // What depends on neighbours is left out at both ends.
            forms.push(text[4..text.len() - 8].to_owned());
        }
    }
    forms
}

/// Writes the digits of `%2F` in lower case.
fn lower(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "%" + &part[..2].to_ascii_lowercase() + &part[2..])
}

fn check(said: &[(String, String)], secrets: &[&str], of: &str) {
    for secret in secrets {
        for form in forms(secret) {
            // Half of a secret is one too.
            let half = form.chars().count() / 2;
            let [head, tail]: [String; 2] =
                [form.chars().take(half).collect(), form.chars().skip(form.chars().count() - half).collect()];
            for part in [head, tail] {
                let found = said.iter().find(|(_, text)| text.contains(&part));
                assert!(found.is_none(), "{of}: {part} in {}:\n{}", found.unwrap().0, found.unwrap().1);
            }
        }
    }
}

/// Runs every verb, in all ways to speak, and returns what was said and what was kept, with where.
fn listen(bench: &Bench, vars: &[(&str, &str)]) -> Vec<(String, String)> {
    let state = ["--state", "state"];
    let verbs: [(&str, &[&str]); 8] = [
        ("validate", &[]),
        ("plan", &state),
        ("plan", &["--state", "state", "--output", "json"]),
        ("preview", &["rows", "--retry-refused"]),
        ("preview", &["rows", "--retry-refused", "--output", "json"]),
        ("run", &["--state", "state", "--retry-refused", "--log-format", "json"]),
        ("run", &["--state", "state", "--retry-refused", "--output", "json"]),
        ("status", &state),
    ];
    let mut said = Vec::new();
    for (verb, arguments) in verbs {
        let mut run =
            bench.workspace.tidegate(&[&[verb, "pipeline.yaml"], arguments].concat()).env("TIDEGATE_LOG", "trace");
        for (name, value) in vars {
            run = run.env(name, value);
        }
        let ran = run.run();
        assert!(ran.code.is_some_and(|code| code != 70 && code != 2), "{verb}: {ran:?}");
        said.push((format!("{verb} {arguments:?}, standard output"), ran.stdout));
        said.push((format!("{verb} {arguments:?}, standard error"), ran.stderr));
    }
    for path in ["state", "lake"].iter().flat_map(|below| files(&bench.workspace.path(below))) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        said.push((path, text));
    }
    said
}

#[test]
fn a_secret_shows_nowhere_in_no_form_whatever_happens() {
    for (at, (auth, request)) in PLACES.iter().enumerate() {
        for way in [WAYS[at % 2 * 5], WAYS[1 + at % 5]] {
            let bench = Bench::new(Api::start(move |request| served(request, way)));
            let (url, auth) = (bench.api.url(), auth.replace("{url}", &bench.api.url()));
            bench.file(&format!(
                "source: {{base_url: '{url}', auth: {{{auth}}}, error_message: '.body // .headers', retry: {{attempts: 2, max_delay: 1ms}}}}
jobs:
  rows: {{{request}, query: {{o: 0}}, records: '.items[]', snapshot: latest, paginate: {{offset: {{into: query.o, size: 1}}, total: .total}}, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n"
            ));
            let said = listen(&bench, &[("PLANTED", SECRET)]);
            assert!(bench.api.asked().len() > 2, "{auth}, {way}");
            check(&said, &[SECRET, "c00kie-of-the-login-4711", "t0ken-of-0auth2-4711"], &format!("{auth}, {way}"));
        }
    }
}

/// Where a request takes a value from outside of the file that nothing names as a secret; `{url}` is the server's.
const UNNAMED: [(&str, &str); 5] = [
    ("base_url: '{url}'", "get: '/rows/${UNNAMED}'"),
    ("base_url: '{url}/bot${UNNAMED}/v1'", "get: /rows"),
    ("base_url: '{url}', query: {site: '${UNNAMED}'}", "get: /rows"),
    ("base_url: '{url}', headers: {x-site: 'a ${UNNAMED}'}", "get: /rows"),
    ("base_url: '{url}'", "post: /rows, body: {deep: [{site: '${UNNAMED}'}]}"),
];

#[test]
fn what_comes_from_outside_shows_nowhere_wherever_a_request_has_it() {
    const VALUE: &str = "unn4med:Value \"of=the{path}~4711é";
    for (at, (source, request)) in UNNAMED.iter().enumerate() {
        for way in [WAYS[at % 2 * 5], WAYS[1 + at % 5]] {
            let bench = Bench::new(Api::start(move |request| {
                let mut request = request.clone();
                request.headers.insert("path".to_owned(), request.path.clone());
                served(&request, way)
            }));
            bench.file(&format!(
                "source: {{{}, error_message: '.body // .headers', retry: {{attempts: 2, max_delay: 1ms}}}}
jobs:
  rows: {{{request}, query: {{o: 0}}, records: '.items[]', snapshot: latest, paginate: {{offset: {{into: query.o, size: 1}}, total: .total}}, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n",
                source.replace("{url}", &bench.api.url())
            ));
            let said = listen(&bench, &[("UNNAMED", VALUE)]);
            assert!(bench.api.asked().len() > 2, "{source}, {way}");
            check(&said, &[VALUE], &format!("{source}, {request}, {way}"));
        }
    }
}

#[test]
fn what_a_proxy_and_a_bucket_want_shows_nowhere() {
    let [password, key] = OTHERS;
    let bench = Bench::new(Api::start(|request| Answer::json(&echo(request)).status(407)));
    bench.file(
        "source: {base_url: 'http://export.invalid', retry: {attempts: 2, max_delay: 1ms}, proxy: '${PROXY}'}
jobs:
  rows: {get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {lake: {jsonl: {url: 's3://bucket/lake'}}}}\n",
    );
    let url = bench.api.url();
    let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
    let proxy = url.replace("http://", &format!("http://me:{encoded}@"));
    let vars = [
        ("PROXY", proxy.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", key),
        ("AWS_SESSION_TOKEN", key),
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let said = listen(&bench, &vars);
    assert!(bench.api.asked().iter().any(|request| request.headers.contains_key("proxy-authorization")));
    check(&said, &OTHERS, "the proxy and the bucket");
}

#[test]
fn what_a_proxy_of_the_environment_wants_shows_nowhere() {
    let [password, _] = OTHERS;
    let bench = Bench::new(Api::start(|request| Answer::json(&echo(request)).status(407)));
    bench.file(
        "source: {base_url: 'http://export.invalid', retry: {attempts: 2, max_delay: 1ms}}
jobs:
  rows: {get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {lake: {jsonl: {url: ./lake}}}}\n",
    );
    let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
    for (name, proxy) in [
        ("HTTP_PROXY", bench.api.url().replace("http://", &format!("http://me:{encoded}@"))),
        ("all_proxy", bench.api.url().replace("http://", &format!("{encoded}@"))),
    ] {
        let before = bench.api.asked().len();
        let said = listen(&bench, &[(name, proxy.as_str())]);
        let asked = &bench.api.asked()[before..];
        assert!(asked.iter().any(|request| request.headers.contains_key("proxy-authorization")), "{said:?}");
        check(&said, &[password], name);
    }
}

#[test]
fn a_cookie_and_a_key_in_a_header_show_nowhere_when_the_server_echoes_them() {
    const COOKIE: &str = "f0/a+b==-cookie";
    const KEY: &str = "k3y<of>the/header";
    let bench = Bench::new(Api::start(|request: &Request| {
        let escaped = format!("{COOKIE} {KEY}").replace('/', "\\/").replace('<', "\\u003C");
        let echoed = format!("{{\"error\": \"{escaped}\", \"cookie\": {}}}", json!(request.headers.get("cookie")));
        Answer::bytes(echoed).status(500)
    }));
    bench.job(
        "records: '.[]'
headers: {Cookie: 'lang=it; sid=${SID}', X-Key: '${XKEY}'}
snapshot: latest
paginate: none",
    );
    let ran = bench.run_with("2026-01-03T12:00:00Z", &["--log", "debug"], &[("SID", COOKIE), ("XKEY", KEY)]);
    assert_eq!(ran.code(), 1, "{ran:?}");
    let said = format!("{}{}", ran.outcome.stdout, ran.outcome.stderr);
    assert!(said.contains("[redacted]"), "{said}");
    for secret in [COOKIE, KEY, "a+b==-cookie", "of>the"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[test]
fn what_a_store_echoes_is_not_in_the_log_of_tries() {
    let empty =
        "<ListBucketResult><Name>lake</Name><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>";
    let api = Api::start(move |request: &Request| {
        if request.method == "GET" {
            return Answer::bytes(empty);
        }
        let token = request.headers.get("x-amz-security-token").cloned().unwrap_or_default();
        Answer::bytes(format!("<Error><Code>SignatureDoesNotMatch</Code><Message>{token}</Message></Error>"))
            .status(400)
    });
    let bench = Bench::new(Api::always(Answer::json(&json!([]))));
    bench.job("records: '.[]'\nsnapshot: latest\npaginate: none");
    let url = api.url();
    let environment = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "x"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_SESSION_TOKEN", "a-token-of-a-session"),
    ];
    let run = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "s3://lake/state"]);
    let ended = environment.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("the store couldn't be written, trying again"), "{ended:?}");
    assert!(ended.stderr.contains("[AWS_SESSION_TOKEN]"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("a-token-of-a-session"), "{ended:?}");
}
