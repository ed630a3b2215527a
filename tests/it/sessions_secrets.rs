//! No secret of a login, and none that its answer brings, stands in anything that is shown, logged or kept.

use std::fs;

use serde_json::json;

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{Bench, files};

const SECRETS: [&str; 5] = [
    "pass-PaSsWoRd/word+4711",
    "eyJ0b2tlbiI6.dG9rZW4tdG9rZW4.t0ken-T0ken",
    "c00kie-C00kie-c00kie-C00kie",
    "r0lling-R0lling-r0lling-R0lling",
    "refresh-ReFrEsH-refresh-ReFrEsH",
];

/// Echoes all that it is sent, in what it says and in the rows.
fn echo(request: &Request) -> String {
    let mut sent = request.headers.clone();
    sent.extend(request.query.clone());
    sent.extend(request.form());
    format!("{} {}", json!(sent), request.body)
}

fn served(request: &Request, how: &str) -> Answer {
    let [_, token, cookie, rolling, refresh] = SECRETS;
    match (request.path.as_str(), how) {
        ("/login", "login refused") => Answer::json(&json!({"success": false, "token": token, "error": echo(request)})),
        ("/login", "login without a token") => {
            Answer::json(&json!({"success": true, "elsewhere": token})).header("set-cookie", format!("s={cookie}"))
        }
        ("/login" | "/token", "login 403") => Answer::bytes(echo(request)).status(403),
        ("/login", "login 503") => Answer::bytes(echo(request)).status(503).header("set-cookie", format!("s={cookie}")),
        ("/login", _) => {
            Answer::json(&json!({"success": true, "token": token})).header("set-cookie", format!("s={cookie}; Path=/"))
        }
        ("/token", "login refused") => {
            Answer::json(&json!({"error": "invalid_client", "error_description": echo(request)})).status(401)
        }
        ("/token", "login 503") => Answer::bytes(echo(request)).status(503),
        ("/token", "login without a token") => Answer::json(&json!({"token": token})),
        ("/token", _) => {
            Answer::json(&json!({"access_token": token, "token_type": "Bearer", "refresh_token": refresh}))
        }
        (_, "refused") => Answer::bytes(echo(request)).status(401).header("set-cookie", format!("s={rolling}; Path=/")),
        (_, "torn") => Answer::bytes(echo(request)).header("set-cookie", format!("s={rolling}; Path=/")).torn(),
        (_, "error") => Answer::json(&json!({"message": echo(request)}))
            .status(500)
            .header("set-cookie", format!("s={rolling}; Path=/")),
        _ => Answer::bytes(echo(request)).header("set-cookie", format!("s={rolling}; Path=/")),
    }
}

fn auths(url: &str) -> [String; 5] {
    let login = "post: /login, form: {username: me, password: '${SECRET}'}, success: .success";
    [
        format!("login: {{{login}}}"),
        format!("login: {{{login}, token: .token, into: headers.authorization}}"),
        "login: {post: /login, body: {auth: [{pw: '${SECRET}'}]}, token: '\"Token \" + .token', into: query.t}"
            .to_owned(),
        format!("oauth2: {{token_url: '{url}/token', client_id: me, client_secret: '${{SECRET}}'}}"),
        format!(
            "oauth2: {{token_url: '{url}/token', client_id: me, client_secret: '${{SECRET}}', refresh_token: '${{REFRESH}}', client_auth: body}}"
        ),
    ]
}

#[test]
fn no_secret_of_a_session_is_ever_shown_or_kept() {
    for how in ["fine", "refused", "torn", "error", "login refused", "login without a token", "login 403", "login 503"]
    {
        for number in 0..5 {
            let bench = Bench::new(Api::start(move |request| served(request, how)));
            let auth = &auths(&bench.api.url())[number];
            let landing = |name: &str| format!("snapshot: latest, sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}}}");
            let (rows, child) = (landing("rows"), landing("child"));
            bench.file(&format!(
                "source: {{base_url: '{}', auth: {{{auth}}}, error_message: .message, retry: {{attempts: 2, max_delay: 1ms}}}}\njobs:
  rows: {{get: /rows, records: '.items[]', paginate: none, {rows}}}
  parent: {{get: /rows, records: '.items[]', paginate: none}}
  child: {{get: /rows, for_each: {{rows_of: parent, as: p, key: id}}, query: {{p: '{{{{ p.id }}}}'}}, records: '.items[]', paginate: none, {child}}}\n",
                bench.api.url()
            ));
            let mut said = Vec::new();
            for verb in [
                &["run", "pipeline.yaml", "--state", "state"][..],
                &["preview", "pipeline.yaml", "child"],
                &["plan", "pipeline.yaml", "--state", "state"],
            ] {
                if verb[0] == "plan" && how != "fine" {
                    continue;
                }
                let run = bench.workspace.tidegate(verb).env("SECRET", SECRETS[0]).env("REFRESH", SECRETS[4]);
                let ran = run.env("TIDEGATE_LOG", "trace").run();
                assert_eq!(ran.code, Some(i32::from(verb[0] != "plan")), "{auth}: {ran:?}");
                said.extend([ran.stdout, ran.stderr]);
            }
            let kept = files(&bench.workspace.path("state"));
            assert!(!kept.is_empty());
            said.extend(kept.into_iter().filter_map(|path| fs::read_to_string(path).ok()));
            assert!(bench.api.asked().len() >= 2, "{auth}: {:?}", bench.api.asked());
            for secret in SECRETS {
                let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("me:{secret}"));
                let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
                for form in [secret, &base64[4..], &encoded] {
                    for at in (0..form.len() - 11).step_by(5) {
                        let part = &form[at..at + 11];
                        let found = said.iter().find(|text| text.contains(part));
                        assert!(found.is_none(), "{how}, {auth}: {part} in {}", found.unwrap());
                    }
                }
            }
        }
    }
}

#[test]
fn rows_in_quarantine_are_told_of_without_the_session() {
    let [_, token, cookie, ..] = SECRETS;
    let api = Api::start(move |request| match request.path.as_str() {
        "/login" => Answer::json(&json!({"token": token})).header("set-cookie", format!("s={cookie}; Path=/")),
        _ => Answer::json(&json!({"items": [{"id": 1}, format!("cut: {token} {cookie}")]})),
    });
    let bench = Bench::new(api);
    bench.file(&format!(
        "source: {{base_url: '{}', auth: {{login: {{post: /login, form: {{password: '${{file:password}}'}}, token: .token, into: query.t}}}}}}
jobs: {{rows: {{get: /rows, records: '.items[]', paginate: none, snapshot: latest, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}}}\n",
        bench.api.url()
    ));
    bench.workspace.write("password", SECRETS[0]);
    assert_eq!(bench.run().rows(), "latest landed: 1 of 2, 1 quarantined; unknown");
    let kept = files(&bench.workspace.path("state")).into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let kept: Vec<String> = kept.filter(|text| text.contains(&token[..12]) || text.contains(&cookie[..12])).collect();
    assert!(kept.is_empty(), "{kept:?}");
}
