//! The manners of the HTTP client, through the binary: what is sent again, what isn't sent, and by which way.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, Ran, files};

const ONE_PAGE: &str = "records: '.items[]'\nsnapshot: latest\npaginate: none";

fn items() -> Answer {
    Answer::json(&json!({"items": [{"id": 1}, {"id": 2}]}))
}

/// An API that knows one password, and counts as an appliance does.
fn guarded() -> Bench {
    let bench = Bench::new(Api::start(|request| {
        // printf %s 'admin:right-password' | base64
        if request.headers.get("authorization").is_some_and(|given| given == "Basic YWRtaW46cmlnaHQtcGFzc3dvcmQ=") {
            items()
        } else {
            Answer::json(&json!({"error": "bad credentials"})).status(401)
        }
    }));
    bench.file(&format!(
        "source: {{base_url: '{}', auth: {{basic: {{username: admin, password: '${{PASSWORD}}'}}}}}}\njobs:\n  \
         one: {{get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake/one}}}}}}}}\n  \
         two: {{get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake/two}}}}}}}}\n",
        bench.api.url()
    ));
    bench
}

fn run_with(bench: &Bench, password: &str, arguments: &[&str]) -> Ran {
    let arguments =
        [&["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", NOW], arguments].concat();
    let outcome = bench.workspace.tidegate(&arguments).env("PASSWORD", password).run();
    let reports: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    Ran { report: reports[0].clone(), outcome }
}

#[test]
fn a_refused_credential_is_remembered_by_later_runs() {
    let bench = guarded();
    let first = run_with(&bench, "wrong-password", &[]).errors();
    assert_eq!((first.len(), bench.api.asked().len()), (2, 1), "one request, and both jobs stop: {first:?}");

    let second = run_with(&bench, "wrong-password", &[]);
    assert_eq!((second.code(), bench.api.asked().len()), (1, 1), "nothing is sent: {second:?}");
    for error in second.errors() {
        assert!(error.contains("the server refused the credential, so no job sends it again in this run"), "{error}");
        assert!(error.contains("the first refusal: GET /rows: status 401 after 1 try"), "{error}");
        assert!(error.contains(" ago, in an earlier run, and it isn't sent again for another "), "{error}");
        assert!(
            error.ends_with("and so is this one with `--retry-refused`, for an account that was unlocked"),
            "{error}"
        );
    }

    let asked = |password, arguments: &[&str]| {
        let before = bench.api.asked().len();
        (run_with(&bench, password, arguments).code(), bench.api.asked().len() - before)
    };
    assert_eq!(asked("wrong-password", &["--retry-refused"]), (1, 1), "it is sent once more, and refused");
    assert_eq!(asked("wrong-password", &[]), (1, 0), "and remembered again");
    assert_eq!(asked("right-password", &[]), (0, 2), "a changed credential isn't held up");
    assert_eq!(asked("wrong-password", &[]), (1, 0), "by the right one the wrong one isn't forgotten");
}

#[test]
fn a_credential_is_refused_by_an_answer_that_breaks_off_as_well() {
    let torn = Answer::json(&json!({"error": "bad credentials"})).status(401).torn();
    let bench = Bench::new(Api::always(torn));
    let jobs = (0..6).map(|job| {
        format!("  job_{job}: {{get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n")
    });
    let jobs: String = jobs.collect();
    for auth in [
        "{bearer: '${PASSWORD}'}",
        "{login: {post: /login, form: {password: '${PASSWORD}'}, token: .token, into: headers.authorization}}",
    ] {
        let before = bench.api.asked().len();
        bench.file(&format!("source: {{base_url: '{}', auth: {auth}}}\njobs:\n{jobs}", bench.api.url()));
        let first = run_with(&bench, "wrong-password", &[]);
        assert_eq!((first.errors().len(), bench.api.asked().len() - before), (6, 1), "{auth}: {first:?}");
        assert!(first.errors()[0].contains("status 401 after 1 try"), "{first:?}");
        let second = run_with(&bench, "wrong-password", &[]);
        assert_eq!((second.code(), bench.api.asked().len() - before), (1, 1), "{auth}: {second:?}");
    }
}

#[test]
fn a_credential_that_a_proxy_refused_is_remembered_by_later_runs() {
    // printf %s 'robot:right-password' | base64
    let bench =
        Bench::new(Api::start(|request| match request.headers.get("proxy-authorization").map(String::as_str) {
            Some("Basic cm9ib3Q6cmlnaHQtcGFzc3dvcmQ=") => items(),
            _ => Answer::json(&json!({"error": "no"})).status(407),
        }));
    let jobs = (0..4).map(|job| {
        format!("  job_{job}: {{get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: './lake/{job}'}}}}}}}}\n")
    });
    let jobs: String = jobs.collect();
    let host = bench.api.url().trim_start_matches("http://").to_owned();
    let of_file = format!(", proxy: 'http://robot:${{PASSWORD}}@{host}'");
    for proxy in [of_file.as_str(), ""] {
        bench.file(&format!("source: {{base_url: 'http://export.invalid'{proxy}}}\njobs:\n{jobs}"));
        let run = |password: &str, arguments: &[&str]| {
            let before = bench.api.asked().len();
            let named = format!("http://robot:{password}@{host}");
            let ran = bench.run_with(NOW, arguments, &[("PASSWORD", password), ("HTTP_PROXY", &named)]);
            (ran.code(), bench.api.asked().len() - before, ran)
        };
        let (code, asked, first) = run("wrong-password", &[]);
        assert_eq!((code, asked, first.errors().len()), (1, 1, 4), "one request, and all jobs stop: {first:?}");
        let (code, asked, second) = run("wrong-password", &[]);
        assert_eq!((code, asked), (1, 0), "{second:?}");
        for error in second.errors() {
            assert!(error.contains("not sent: the proxy refused the credential, so no job sends it again"), "{error}");
            assert!(error.contains(" ago, in an earlier run, and it isn't sent again for another "), "{error}");
        }
        assert_eq!(run("wrong-password", &["--retry-refused"]).1, 1, "it is sent once more");
        let (code, asked, third) = run("right-password", &[]);
        assert_eq!((code, asked), (0, 4), "a changed one isn't held up: {third:?}");
        std::fs::remove_dir_all(bench.workspace.path("state")).unwrap();
        std::fs::remove_dir_all(bench.workspace.path("lake")).unwrap();
    }
}

#[test]
fn a_preview_and_a_look_at_the_schema_keep_to_what_was_refused_and_note_it() {
    let asked = |bench: &Bench, verb: &[&str]| {
        let before = bench.api.asked().len();
        let arguments = [verb, &["--state", "state"]].concat();
        let ran = bench.workspace.tidegate(&arguments).env("PASSWORD", "wrong-password").run();
        (ran.code.unwrap(), bench.api.asked().len() - before, ran.stderr)
    };
    let run = ["run", "pipeline.yaml", "--now", NOW];
    let preview = ["preview", "pipeline.yaml", "one", "--now", NOW];
    let diff = ["schema", "diff", "pipeline.yaml", "one", "--now", NOW];
    let after_a_run = guarded();
    assert_eq!(asked(&after_a_run, &run).1, 1);
    for verb in [&preview[..], &diff] {
        let (code, sent, said) = asked(&after_a_run, verb);
        assert_eq!((code, sent), (1, 0), "{said}");
        assert!(said.contains(" ago, in an earlier run, and it isn't sent again for another "), "{said}");
    }
    assert_eq!(asked(&after_a_run, &[&preview[..], &["--retry-refused"]].concat()).1, 1);
    for first in [&preview[..], &diff] {
        let bench = guarded();
        assert_eq!(asked(&bench, first).1, 1, "{first:?}");
        assert_eq!(asked(&bench, &run).1, 0, "{first:?}");
    }
}

#[test]
fn what_is_remembered_of_a_credential_tells_nobody_what_it_is() {
    let bench = guarded();
    run_with(&bench, "wrong-password", &[]);
    let folder = bench.workspace.path("state/test/refused");
    let found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let name = found[0].file_name().unwrap().to_str().unwrap();
    assert_eq!(name.len(), "0123456789abcdef-00.json".len(), "{name}");
    let known: Value = serde_json::from_slice(&std::fs::read(&found[0]).unwrap()).unwrap();
    assert_eq!(known.as_object().unwrap().keys().collect::<Vec<_>>(), ["format", "at", "reason"], "{known}");
    for file in files(&bench.workspace.path("")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("wrong-password"), "{file}");
    }
}

#[test]
fn a_refusal_is_forgotten_after_five_minutes() {
    let bench = guarded();
    run_with(&bench, "wrong-password", &[]);
    let folder = bench.workspace.path("state/test/refused");
    let path = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut known: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    known["at"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&path, known.to_string()).unwrap();
    run_with(&bench, "wrong-password", &[]);
    assert_eq!(bench.api.asked().len(), 2, "it was sent again");
    let known: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_ne!(known["at"], "2020-01-01T00:00:00Z", "and its refusal is noted anew");
}

#[test]
fn a_busy_answer_is_tried_again_by_the_jobs_own_rules() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let bench = Bench::new(Api::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Answer::json(&json!({"status": "busy", "wait": 0, "items": []})),
        1 => Answer::json(&json!({"status": "limited"})).status(403),
        _ => items(),
    }));
    bench.job(&format!(
        "{ONE_PAGE}\nretry: {{attempts: 3, max_delay: 10ms, when: '.status == \"busy\" or $status == 403', after: '.wait // 0.001'}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 2 of 2; unknown");
    assert_eq!(bench.api.asked().len(), 3);
}

#[test]
fn an_answer_that_stays_busy_lands_nothing() {
    let bench = Bench::new(Api::always(Answer::json(&json!({"status": "busy", "items": []}))));
    bench.job(&format!("{ONE_PAGE}\nretry: {{attempts: 2, max_delay: 1ms, when: '.status == \"busy\"'}}"));
    let error = bench.failure();
    assert_eq!(
        error,
        "1: latest: GET /rows: status 200 after 2 tries: 'retry.when' still holds; body: {\"status\":\"busy\",\"items\":[]}; raise \
         retry.attempts or retry.max_delay, or run later"
    );
}

#[test]
fn the_proxy_of_the_file_is_asked_and_that_of_the_environment_not_for_this_machine() {
    let bench = Bench::new(Api::start(|_| items()));
    bench.file(&format!(
        "source: {{base_url: 'http://appliance.example:8080/api', proxy: 'http://robot:${{PASSWORD}}@{}'}}\njobs:\n  \
         rows: {{get: /rows, records: '.items[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n",
        bench.api.url().trim_start_matches("http://")
    ));
    let ran = run_with(&bench, "p@ss%2Fword".replace('@', "%40").as_str(), &[]);
    assert_eq!(ran.fine(), "latest landed: 2 of 2; unknown");
    let asked = &bench.api.asked()[0];
    assert_eq!((asked.path.as_str(), asked.headers["host"].as_str()), ("/api/rows", "appliance.example:8080"));
    // printf %s 'robot:p@ss/word' | base64
    assert_eq!(asked.headers["proxy-authorization"], "Basic cm9ib3Q6cEBzcy93b3Jk");

    let direct = Bench::new(Api::start(|_| items()));
    direct.job(ONE_PAGE);
    let run = direct.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--now", NOW]);
    let run = run.env("http_proxy", bench.api.url()).env("ALL_PROXY", bench.api.url()).run();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!((bench.api.asked().len(), direct.api.asked().len()), (1, 1));
}

#[test]
fn certificates_are_looked_for_beside_the_pipeline_file() {
    let bench = Bench::new(Api::always(items()));
    bench.workspace.write("deep/certs/a.pem", "nothing");
    for (tls, why) in [
        ("ca_file: certs/none.pem", "tls.ca_file 'deep/certs/none.pem' can't be read"),
        ("ca_file: certs/a.pem", "tls.ca_file 'deep/certs/a.pem' holds no certificate"),
        ("client_cert: certs/a.pem", "tls.client_cert 'deep/certs/a.pem' holds no certificate"),
        (
            "client_cert: certs/a.pem, client_key: certs/k.pem",
            "tls.client_cert 'deep/certs/a.pem' holds no certificate",
        ),
    ] {
        bench.workspace.write(
            "deep/pipeline.yaml",
            &format!(
                "version: 1\nname: test\nsource: {{base_url: 'https://127.0.0.1:1', tls: {{{tls}}}}}\njobs:\n  rows: {{get: /rows, records: \
                 '.items[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n"
            ),
        );
        let run = bench.workspace.tidegate(&["run", "deep/pipeline.yaml", "--state", "state"]).run();
        assert!(run.stdout.contains(why) || run.stderr.contains(why), "{run:?}");
        assert_eq!(run.code, Some(2), "{run:?}");
    }
}

#[test]
fn who_trusts_any_certificate_hears_of_it_each_time() {
    let bench = Bench::new(Api::always(items()));
    let trusting = "tls: {insecure_skip_verify: true}";
    bench.job(&format!("{ONE_PAGE}\n{trusting}"));
    let ran = bench.run_at(NOW, &["--log", "error"]);
    let warnings = ran.report["jobs"][0]["warnings"].to_string();
    let told = "tls.insecure_skip_verify: any certificate is trusted for http://127.0.0.1:";
    assert!(ran.code() == 0 && warnings.contains(told), "{ran:?}");
    let printed = bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--log", "error"]).run();
    assert!(format!("{}{}", printed.stdout, printed.stderr).contains(told), "{printed:?}");
    let validated = bench.workspace.tidegate(&["validate", "pipeline.yaml"]).run();
    assert_eq!(validated.code, Some(0));
    assert!(validated.stderr.contains("any certificate is trusted, so whoever stands between"), "{validated:?}");
    bench.job(&format!("{ONE_PAGE}\n{}", trusting.replace("true", "false")));
    let validated = bench.workspace.tidegate(&["validate", "pipeline.yaml"]).run();
    assert!(!validated.stderr.contains("certificate"), "{validated:?}");
}

#[test]
fn a_file_for_tls_that_cannot_be_used_is_no_matter_of_trying_again() {
    let bench = Bench::new(Api::always(items()));
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    for (tls, why) in [
        ("ca_file: ./nowhere.pem".to_owned(), "nowhere.pem' can't be read"),
        (
            format!("client_cert: {fixtures}/client.pem, client_key: {fixtures}/server.key"),
            "the key doesn't belong to the certificate",
        ),
    ] {
        bench.job(&format!("{ONE_PAGE}\ntls: {{{tls}}}"));
        let ran = bench.run();
        assert_eq!(ran.code(), 2, "{ran:?}");
        assert!(ran.errors()[0].contains(why), "{ran:?}");
    }
    assert_eq!(bench.api.asked().len(), 0);
}

#[test]
fn a_403_that_asks_to_wait_is_a_limit_and_no_lack_of_rights() {
    let forbidden = |more: &'static str, value: &'static str| {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let bench = Bench::new(Api::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::json(&json!({"message": "API rate limit exceeded"})).status(403).header(more, value),
            _ => Answer::json(&json!([{"id": 1}])),
        }));
        bench.job("records: '.[]'\nsnapshot: latest\npaginate: none");
        let ran = bench.run();
        (ran.code(), bench.api.asked().len(), ran.errors().pop().unwrap_or_default())
    };
    assert_eq!(forbidden("retry-after", "0"), (0, 2, String::new()));
    let (code, asked, error) = forbidden("x-ratelimit-remaining", "0");
    assert_eq!((code, asked), (1, 1), "until when it doesn't say in the way of HTTP");
    assert!(error.contains("the server's rate limit is used up for now: lower rate_limit, "), "{error}");
    let (code, asked, error) = forbidden("x-other", "0");
    assert_eq!((code, asked), (1, 1));
    assert!(error.contains("check what the credential's account may read"), "{error}");
}
