//! Logins over real HTTP: one task logs in, a session that expires costs one more login, and a refused login is never sent again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, Ran};

const PASSWORD: &str = "hunter2 & {{more}}";

/// What the server knows of its sessions, in the manner of a Lastline: errors come with the status 200.
#[derive(Debug, Default)]
struct Sessions {
    /// The one that counts, from 1.
    valid: usize,
    /// Requests for rows that it had.
    used: usize,
    /// Logins so far, the refused ones too.
    logins: usize,
}

type Shared = Arc<Mutex<Sessions>>;

fn refused() -> Answer {
    Answer::json(&json!({"success": 0, "error_code": 3001, "error": "Permission denied"}))
}

/// Logs in with a cookie, among others.
fn log_in(request: &Request, sessions: &mut Sessions, password: &str) -> Answer {
    sessions.logins += 1;
    let form = request.form();
    if form["username"] != "admin" || form["password"] != password {
        return Answer::json(&json!({"success": 0, "error": "Invalid username or password"}));
    }
    sessions.valid = sessions.logins;
    sessions.used = 0;
    Answer::json(&json!({"success": 1, "data": "true"}))
        .header("set-cookie", "lang=en; Path=/")
        .header("set-cookie", format!("session={}-of-many; Path=/; HttpOnly", sessions.valid))
}

fn is_valid(request: &Request, sessions: &Sessions) -> bool {
    let cookie = format!("session={}-of-many", sessions.valid);
    request.headers.get("cookie").is_some_and(|cookies| cookies.split("; ").any(|one| one == cookie))
}

/// Answers with five rows for each window, two on a page, as long as the session is the valid one.
fn rows(request: &Request) -> Answer {
    let (from, offset) = (&request.query["from"], request.number("offset"));
    let rows: Vec<Value> = (0..5).map(|n| json!({"id": format!("{from}/{n}")})).collect();
    let some: Vec<&Value> = rows.iter().skip(offset).take(2).collect();
    Answer::json(&json!({"success": 1, "total": 5, "data": some})).after(Duration::from_millis(10))
}

/// Starts a server whose script gets its sessions too; `/login` is served.
fn server(script: impl Fn(&Request, &mut Sessions) -> Answer + Send + Sync + 'static) -> (Api, Shared) {
    let shared = Shared::default();
    let sessions = Arc::clone(&shared);
    let api = Api::start(move |request| {
        let mut sessions = sessions.lock().unwrap();
        if request.path == "/login" {
            return log_in(request, &mut sessions, PASSWORD);
        }
        sessions.used += 1;
        script(request, &mut sessions)
    });
    (api, shared)
}

fn logins(shared: &Shared) -> usize {
    shared.lock().unwrap().logins
}

/// What a source of such a server is like.
const SOURCE: &str =
    "auth: {login: {post: /login, form: {username: admin, password: '${file:password}'}, success: .success == 1}}
  auth_failed: .error_code == 3001
  success: .success == 1
  error_message: .error
  retry: {attempts: 3, max_delay: 1ms}
  concurrency: 4";

fn bench(api: Api, source: &str, jobs: &str) -> Bench {
    let bench = Bench::new(api);
    bench.workspace.write("password", PASSWORD);
    bench.file(&format!("source:\n  base_url: {}\n  {source}\njobs:\n{jobs}", bench.api.url()));
    bench
}

/// A job of ten windows and three pages each.
const WINDOWS: &str = "  rows:
    get: /rows
    records: '.data[]'
    query: {offset: 0}
    paginate: {offset: {into: query.offset, size: 2}, total: .total}
    window: {every: 1d, start: 2025-12-24T00:00:00Z, as: '%Y-%m-%d', from: query.from, to: query.to}
    sinks: {lake: {jsonl: {url: ./lake}}}
";

/// Asserts that every row of the ten windows landed once.
fn assert_exact(bench: &Bench, ran: &Ran) {
    assert_eq!(ran.fine().lines().filter(|line| line.contains("landed: 5 of 5; complete")).count(), 10, "{ran:?}");
    let mut ids: Vec<String> = bench.lines().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let days = (24..=31).map(|day| format!("2025-12-{day}")).chain((1..=2).map(|day| format!("2026-01-0{day}")));
    let expected: Vec<String> = days.flat_map(|day| (0..5).map(move |n| format!("{day}/{n}"))).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_session_that_expires_in_mid_run_is_renewed_once() {
    for lasts in [1, 8, 13] {
        let (api, shared) = server(move |request, sessions| {
            let expired = sessions.valid == 1 && sessions.used > lasts;
            if expired || !is_valid(request, sessions) {
                refused().after(Duration::from_millis(10))
            } else {
                rows(request)
            }
        });
        let bench = bench(api, SOURCE, WINDOWS);
        let ran = bench.run();
        assert_exact(&bench, &ran);
        assert_eq!(logins(&shared), 2, "after {lasts} requests");
        let asked = bench.api.asked();
        let stale = asked.iter().filter(|request| request.path == "/rows").count() - 3 * 10;
        assert!((1..=4).contains(&stale), "{stale} requests were sent again");
    }
}

#[test]
fn every_session_that_expires_is_renewed_and_nothing_is_lost_or_doubled() {
    let (api, shared) =
        server(
            |request, sessions| {
                if sessions.used > 7 || !is_valid(request, sessions) { refused() } else { rows(request) }
            },
        );
    let bench = bench(api, SOURCE, WINDOWS);
    let ran = bench.run();
    assert_exact(&bench, &ran);
    assert!((5..=9).contains(&logins(&shared)), "{}", logins(&shared));
}

#[test]
fn a_session_is_renewed_within_the_tries_of_a_request() {
    // Each window's second page: not now, not now, and then the session is gone.
    let (api, shared) = server(|request, sessions| {
        if !is_valid(request, sessions) {
            return refused();
        }
        match (request.number("offset"), sessions.used) {
            (0, 1) | (2, 2) => Answer::bytes("").status(503),
            (2, 3) if sessions.logins < 4 => {
                sessions.valid = 0;
                refused()
            }
            _ => rows(request),
        }
    });
    let bench = bench(api, &SOURCE.replace("concurrency: 4", "concurrency: 1"), WINDOWS);
    assert_exact(&bench, &bench.run());
    assert!(logins(&shared) >= 2, "{}", logins(&shared));
}

/// A job that is repeated for three keys.
fn keys(name: &str) -> String {
    format!(
        "  {name}:
    for_each: {{values: [a, b, c], as: key}}
    get: /{name}
    query: {{key: '{{{{ key }}}}'}}
    records: '.data[]'
    paginate: none
    snapshot: latest
    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n"
    )
}

#[test]
fn a_lack_of_rights_fails_its_slice_and_no_other() {
    for lacking in ["a", "b"] {
        let (api, shared) = server(move |request, sessions| {
            let allowed = request.query["key"] != lacking && is_valid(request, sessions);
            if allowed { Answer::json(&json!({"success": 1, "data": [{"id": 1}]})) } else { refused() }
        });
        let bench = bench(api, SOURCE, &keys("rows"));
        let ran = bench.run();
        assert_eq!(ran.code(), 3, "{ran:?}");
        assert_eq!(bench.lines().len(), 2, "{ran:?}");
        let errors = ran.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let expected = format!(
            "GET /rows?key={lacking}: status 200 after 1 try: right after a new login, the server refused the credential; \
             it says: Permission denied; body: {{\"success\":0,\"error_code\":3001,\"error\":\"Permission denied\"}}; the account \
             may lack the right to what is asked for, or `auth_failed` takes another error for an expired session"
        );
        assert_eq!(errors[0].split_once(": ").unwrap().1, expected);
        assert_eq!(logins(&shared), 2, "one login, and one more to see that it isn't the session");
    }
}

#[test]
fn a_wrong_password_is_sent_once_and_all_jobs_stop() {
    let (api, shared) = server(|request, _| rows(request));
    let bench = bench(api, SOURCE, &format!("{}{}{}", keys("one"), keys("two"), WINDOWS));
    bench.workspace.write("password", "wrong");
    let ran = bench.run();
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert_eq!(logins(&shared), 1);
    assert_eq!(bench.api.asked().len(), 1, "no request for data was sent");
    let errors = ran.errors();
    assert_eq!(errors.len(), 3 + 3 + 10, "{errors:?}");
    assert_eq!(bench.landed(), Vec::<String>::new());
    insta::assert_snapshot!(errors[0], @"latest-15abefcb685c2b5e: the server refused the credential, so no job sends it again in this run; the first refusal: the login POST /login: status 200 after 1 try: the login's `success` is not true; it says: error: Invalid username or password; check the login's credentials, and that the account isn't locked out");
}

#[test]
fn a_refusal_that_comes_as_a_success_does_not_lock_the_account_out() {
    // 200 and a cookie, whatever the password: only the requests for data tell.
    let logins = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&logins);
    let api = Api::start(move |request| match request.path.as_str() {
        "/login" => {
            *counted.lock().unwrap() += 1;
            Answer::bytes("<html>Wrong password</html>").header("set-cookie", "session=anonymous; Path=/")
        }
        _ => refused(),
    });
    let bench = bench(api, &SOURCE.replace(", success: .success == 1}", "}"), &format!("{}{WINDOWS}", keys("one")));
    let ran = bench.run();
    assert_eq!((*logins.lock().unwrap(), ran.errors().len()), (2, 3 + 10), "{ran:?}");
    insta::assert_snapshot!(ran.errors()[12], @r#"20260102T000000Z: the server refused the credential, so no job sends it again in this run; the first refusal: GET /one?key=a: status 200 after 1 try: the server refused the credential; it says: Permission denied; body: {"success":0,"error_code":3001,"error":"Permission denied"}; nothing shows that the login succeeded: check its credentials, and let `success` say what a login looks like that was refused"#);
}

#[test]
fn a_login_that_is_refused_later_stops_the_run_at_once() {
    let changed = Arc::new(Mutex::new(false));
    let shared = Shared::default();
    let (sessions, noted) = (Arc::clone(&shared), Arc::clone(&changed));
    let api = Api::start(move |request| {
        let (mut sessions, mut changed) = (sessions.lock().unwrap(), noted.lock().unwrap());
        if request.path == "/login" {
            return log_in(request, &mut sessions, if *changed { "another" } else { PASSWORD });
        }
        sessions.used += 1;
        *changed = sessions.used > 10;
        if *changed { refused() } else { rows(request) }
    });
    let bench = bench(api, SOURCE, WINDOWS);
    let ran = bench.run();
    assert_eq!(ran.code(), 3, "{ran:?}");
    assert_eq!(logins(&shared), 2, "the second is refused, and none follows");
    let landed = ran.rows().lines().filter(|line| line.contains("landed")).count();
    assert!((1..=3).contains(&landed), "{ran:?}");
    let errors = ran.errors();
    assert_eq!(errors.len(), 10 - landed);
    assert!(errors.iter().all(|error| error.contains("Invalid username or password")), "{errors:?}");
    let after = bench.api.asked().len();
    assert!(after <= 2 + 10 + 4, "{after} requests");
}

#[test]
fn a_login_that_fails_for_now_is_tried_again_and_closes_nothing() {
    let (api, shared) = server(|request, sessions| if is_valid(request, sessions) { rows(request) } else { refused() });
    drop(api);
    let sessions = Arc::clone(&shared);
    let api = Api::start(move |request| {
        let mut sessions = sessions.lock().unwrap();
        if request.path != "/login" {
            return if is_valid(request, &sessions) { rows(request) } else { refused() };
        }
        if sessions.logins < 4 {
            sessions.logins += 1;
            return match sessions.logins {
                1 => Answer::json(&json!({"success": 1})).header("set-cookie", "session=torn; Path=/").torn(),
                2 => Answer::bytes("").status(429),
                _ => Answer::bytes("").status(503),
            };
        }
        log_in(request, &mut sessions, PASSWORD)
    });
    let bench = bench(api, SOURCE, WINDOWS);
    let ran = bench.run();
    assert_eq!(logins(&shared), 5);
    let errors = ran.errors();
    assert_eq!(errors.len(), 1, "the first window, whose login failed three times: {errors:?}");
    assert_eq!(ran.rows().lines().filter(|line| line.contains("landed: 5 of 5")).count(), 9);
    insta::assert_snapshot!(bench.workspace.redact(&errors[0]), @"20251224T000000Z: the login POST /login: status 503 after 3 tries: the server answered 503 Service Unavailable; the body is empty; there is no session without it; look at the server's own log, or run later");
}

/// Finds the token in a request.
type Place = fn(&Request) -> Option<String>;

/// A server that gives a token, and wants it somewhere.
fn token_server(place: Place) -> Api {
    Api::start(move |request| {
        if request.path == "/api/v1/auth" {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(body["credentials"]["password"], PASSWORD, "{body}");
            assert_eq!(body["credentials"]["user"], "admin", "{body}");
            return Answer::json(&json!({"result": {"token": "token-0123456789"}}));
        }
        match place(request).as_deref() {
            Some("Token token-0123456789") => Answer::json(&json!({"data": [{"id": 1}]})),
            _ => Answer::bytes("").status(401),
        }
    })
}

#[test]
fn a_token_goes_where_the_file_says() {
    let cases: [(&str, &str, Place); 4] = [
        ("headers.X-Auth", "get: /rows", |request| request.headers.get("x-auth").cloned()),
        ("query.token", "get: /rows", |request| request.query.get("token").cloned()),
        ("form.token", "post: /rows\n    form: {a: b}", |request| request.form().get("token").cloned()),
        ("body.auth.token", "post: /rows\n    body: {n: 1.10, auth: {}}", |request| {
            assert!(request.body.starts_with(r#"{"n":1.10,"#), "{}", request.body);
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["auth"]["token"].as_str().map(str::to_owned)
        }),
    ];
    for (into, verb, place) in cases {
        let auth = format!(
            "auth: {{login: {{post: /v1/auth, body: {{credentials: {{user: admin, password: '${{file:password}}'}}}}, \
             token: '\"Token \" + .result.token', into: {into}}}}}"
        );
        let job = format!(
            "  rows:\n    {verb}\n    records: '.data[]'\n    paginate: none\n    snapshot: latest\n    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n"
        );
        let bench = bench(token_server(place), &auth, &job);
        let text = std::fs::read_to_string(bench.workspace.path("pipeline.yaml")).unwrap();
        let base = format!("base_url: {}", bench.api.url());
        bench.workspace.write("pipeline.yaml", &text.replace(&base, &format!("{base}/api")));
        assert_eq!(bench.run().fine(), "latest landed: 1 of 1; unknown", "{into}");
        assert_eq!(bench.api.asked().len(), 2, "{into}");
    }
}

#[test]
fn cookies_follow_what_the_server_says_of_them() {
    // Each answer replaces the session's cookie, and the second page's clears another.
    let api = Api::start(|request| {
        if request.path == "/login" {
            let ok = Answer::json(&json!({"success": 1}));
            return ok
                .header("set-cookie", "step=0; Path=/")
                .header("set-cookie", "once=yes; Path=/rows")
                .header("set-cookie", "else=no; Path=/else");
        }
        let page = request.number("offset") / 2;
        let expected = if page < 2 { format!("once=yes; step={page}") } else { format!("step={page}") };
        if request.headers["cookie"] != expected {
            return Answer::json(&json!({"success": 0, "error": request.headers["cookie"]}));
        }
        let answer = rows(request).header("set-cookie", format!("step={}; Path=/", page + 1));
        if page == 1 {
            answer.header("set-cookie", "once=; Path=/rows; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        } else {
            answer
        }
    });
    // Such a server bears no two requests at once.
    let one_window = WINDOWS.replace("2025-12-24", "2026-01-02").replace("    get:", "    concurrency: 1\n    get:");
    let bench = bench(api, SOURCE, &one_window);
    assert_eq!(bench.run().fine(), "20260102T000000Z landed: 5 of 5; complete");
}

#[test]
fn jobs_share_a_session_and_another_origin_has_its_own() {
    let (elsewhere, other) = server(|request, sessions| {
        if is_valid(request, sessions) { Answer::json(&json!({"success": 1, "data": [{"id": 2}]})) } else { refused() }
    });
    let (api, shared) = server(|request, sessions| {
        if is_valid(request, sessions) { Answer::json(&json!({"success": 1, "data": [{"id": 1}]})) } else { refused() }
    });
    let there = keys("there").replace("    get:", &format!("    base_url: {}\n    get:", elsewhere.url()));
    let open = keys("open")
        .replace(
            "    get:",
            "    auth: none\n    auth_failed: 'false'\n    success: 'true'\n    records: '.nothing[]?'\n    get:",
        )
        .replace("    records: '.data[]'\n", "");
    let bench = bench(api, SOURCE, &format!("{}{}{there}{open}", keys("one"), keys("two")));
    bench.run().fine();
    assert_eq!((logins(&shared), logins(&other)), (1, 1));
    assert_eq!(bench.lines().len(), 9);
    let open: Vec<Request> = bench.api.asked().into_iter().filter(|request| request.path == "/open").collect();
    assert!(open.len() == 3 && open.iter().all(|request| !request.headers.contains_key("cookie")), "{open:?}");
}

#[test]
fn looking_at_a_pipeline_logs_nobody_in() {
    let (api, shared) = server(|request, sessions| if is_valid(request, sessions) { rows(request) } else { refused() });
    let bench = bench(api, SOURCE, WINDOWS);
    for verb in [
        &["validate", "pipeline.yaml"][..],
        &["plan", "pipeline.yaml", "--state", "state"],
        &["status", "pipeline.yaml", "--state", "state"],
    ] {
        let outcome = bench.workspace.tidegate(verb).run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(!outcome.stdout.contains("hunter2"), "{outcome:?}");
    }
    assert_eq!(bench.api.asked().len(), 0);
    let preview =
        bench.workspace.tidegate(&["preview", "pipeline.yaml", "rows", "--now", "2026-01-03T12:00:00Z"]).run();
    assert_eq!((preview.code, logins(&shared)), (Some(0), 1), "{preview:?}");
}

/// As vCenter has it: HTTP Basic at the login alone, and its answer, a text, is the token.
#[test]
fn a_login_by_basic_gives_a_token() {
    let api = Api::start(|request: &Request| {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        match (request.path.as_str(), header("authorization"), header("vmware-api-session-id")) {
            ("/api/session", Some("Basic YWRtaW46aHVudGVyMjpodW50ZXIy"), None) => {
                Answer::json(&json!("t0ken-t0ken")).status(201)
            }
            ("/api/vcenter/vm", None, Some("t0ken-t0ken")) => Answer::json(&json!([{"vm": "vm-1"}, {"vm": "vm-2"}])),
            _ => Answer::json(&json!({"error_type": "UNAUTHENTICATED", "echo": header("authorization")})).status(401),
        }
    });
    let source = "auth: {login: {post: /api/session, basic: {username: admin, password: '${file:password}'}, token: ., \
                  into: headers.vmware-api-session-id}}";
    let job = "  vms: {get: /api/vcenter/vm, records: '.[]', key: vm, snapshot: latest, paginate: none, sinks: {lake: {jsonl: {url: ./lake}}}}\n";
    let bench = bench(api, source, job);
    bench.workspace.write("password", "hunter2:hunter2");
    let ran = bench.run();
    assert_eq!((ran.code(), bench.lines().len()), (0, 2), "{ran:?}");
    bench.workspace.write("password", "hunter3:hunter3");
    let refused = bench.run();
    assert_eq!(refused.code(), 1);
    assert!(
        !format!("{refused:?}").contains("aHVudGVyMzpodW50ZXIz") && !format!("{refused:?}").contains("hunter3"),
        "{refused:?}"
    );
}
