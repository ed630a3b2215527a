//! `tidegate record` and `tidegate test`: a file is tried against what an API once answered, with nothing sent and no secret.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::appliance::lastline::{Lastline, LastlineConfig};
use tidegate::appliance::ntopng::{Ntopng, NtopngConfig};
use tidegate::appliance::scrutinizer::{Scrutinizer, ScrutinizerConfig};
use tidegate::appliance::secure_workload::{SecureWorkload, SecureWorkloadConfig};
use tidegate::clock::ManualClock;

use crate::support::api::{Answer, Api, Request};
use crate::support::appliance::Served;
use crate::support::bench::{Bench, NOW};
use crate::support::recorded::{recorded, tried};
use crate::support::workspace::{Outcome, Workspace};

/// A list of 250 orders, a hundred a page, behind a login whose token goes into each URL; details; and a desk that takes tickets.
fn shop() -> Api {
    Api::start(|request: &Request| {
        let of_session = request.query.get("session").is_some_and(|token| token == "s3ssion-0123456789");
        match request.path.as_str() {
            "/login" => {
                assert!(request.body.contains("pass-w0rd-of-the-shop"), "{request:?}");
                Answer::json(&json!({"token": "s3ssion-0123456789", "for": "shop"}))
                    .header("set-cookie", "sid=c00kie-1")
            }
            _ if !of_session => Answer::json(&json!({"error": "who are you?"})).status(401),
            "/orders" => {
                let (from, size) = (request.number("offset"), request.number("limit"));
                let row = |id: usize| json!({"id": id, "amount": 10 * id, "note": "paid by s3ssion-0123456789"});
                let rows: Vec<Value> = (from..250.min(from + size)).map(row).collect();
                Answer::json(&json!({"items": rows, "total": 250}))
            }
            "/details" => Answer::json(&json!({"of": request.query["id"], "sum": 1.50})),
            path => panic!("{path}"),
        }
    })
}

const ORDERS: &str = "  orders:
    get: /orders
    records: .items[]
    key: id
    snapshot: latest
    paginate: {offset: {into: query.offset, size_into: query.limit, size: 100}, total: .total}
    transform: SELECT id, amount, note FROM records
    sinks: {lake: {jsonl: {url: '${LAKE}/orders'}}}
";

fn bench(jobs: &str) -> Bench {
    let bench = Bench::new(shop());
    write(&bench, jobs);
    bench
}

fn write(bench: &Bench, jobs: &str) {
    bench.file(&format!(
        "source:
  base_url: ${{SHOP}}
  retry: {{attempts: 2, max_delay: 1ms}}
  auth:
    login:
      post: /login
      body: {{user: u, password: '${{SHOP_PASSWORD}}'}}
      token: .token
      into: query.session
jobs:
{jobs}"
    ));
}

fn env(bench: &Bench) -> [(&'static str, String); 3] {
    [("SHOP", bench.api.url()), ("SHOP_PASSWORD", "pass-w0rd-of-the-shop".to_owned()), ("LAKE", "./lake".to_owned())]
}

fn record(bench: &Bench, arguments: &[&str]) -> Outcome {
    let run = bench.workspace.tidegate(&[&["record", "pipeline.yaml", "--now", NOW], arguments].concat());
    env(bench).iter().fold(run, |run, (name, value)| run.env(name, value)).run()
}

#[test]
fn a_file_is_tried_without_its_api_and_its_secrets() {
    let bench = bench(ORDERS);
    let outcome = record(&bench, &[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let size = outcome.stdout.split_once("written (").unwrap().1.split_once(')').unwrap().0;
    insta::assert_snapshot!(outcome.stdout.replace(size, "[SIZE]"), @"
    ───────────────────────────────────────
     job      answers   would land         
    ═══════════════════════════════════════
     orders         2   the first 100 rows 
    ───────────────────────────────────────

    pipeline.recording is written ([SIZE]). The answers are in it as the API gave them, but for credentials: look through it before you commit it. Then:

      tidegate test pipeline.yaml
    ");
    let asked = bench.api.asked().len();
    assert_eq!(asked, 2, "the login and the first page");
    assert_eq!(bench.landed(), Vec::<String>::new());
    let at = |name: &str| fs::read_to_string(bench.workspace.path("pipeline.recording").join(name)).unwrap();
    let requests: Value = serde_json::from_str(&at("orders/requests.json")).unwrap();
    let lines: Vec<String> = requests.as_array().unwrap().iter().map(|asked| asked["request"].to_string()).collect();
    insta::assert_snapshot!(bench.workspace.redact(&lines.join("\n")), @"
    \"POST http://127.0.0.1:[PORT]/login {\\\"user\\\":\\\"u\\\",\\\"password\\\":\\\"[redacted]\\\"}\"
    \"GET http://127.0.0.1:[PORT]/orders?offset=0&limit=100&session=[redacted]\"
    ");
    assert!(at("orders/002.json").contains("paid by [redacted]"), "{}", at("orders/002.json"));

    let same = tried(&bench.workspace, "pipeline.yaml", &[]);
    insta::assert_snapshot!(format!("{:?}\n{}{}", same.code, same.stdout, same.stderr), @"
    Some(0)
    ok       pipeline.yaml: orders: the first 100 rows
    ");
    write(&bench, &ORDERS.replace("SELECT id, amount,", "SELECT id, amount * 1.5 AS amount, 'EUR' AS unit,"));
    let other = tried(&bench.workspace, "pipeline.yaml", &[]);
    insta::assert_snapshot!(format!("{:?}\n{}{}", other.code, other.stdout, other.stderr), @"
    Some(1)
    DIFFERS  pipeline.yaml: orders: 4 differences
               columns.amount: was Int64, is Float64
               columns.unit: is new: Utf8
               row 1: amount: was 0, is 0.0, and it differs in 99 more rows
               row 1: unit: is new: \"EUR\", and it differs in 99 more rows
    If it is meant: tidegate test pipeline.yaml --update
    ");
    let json = tried(&bench.workspace, "pipeline.yaml", &["--output", "json"]);
    let told: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &told[0]["jobs"][0]["outcome"]), (Some(1), &json!("differs")), "{told}");
    let updated = tried(&bench.workspace, "pipeline.yaml", &["--update"]);
    insta::assert_snapshot!(format!("{:?}\n{}{}", updated.code, updated.stdout, updated.stderr), @"
    Some(0)
    updated  pipeline.yaml: orders: 4 differences
    ");
    assert_eq!(tried(&bench.workspace, "pipeline.yaml", &[]).code, Some(0));
    assert_eq!(bench.api.asked().len(), asked, "nothing is sent");
    // A server elsewhere, which a proxy of the environment would stand before.
    for name in ["recording.json", "orders/requests.json"] {
        let path = format!("pipeline.recording/{name}");
        bench.workspace.write(&path, &at(name).replace(&bench.api.url(), "https://api.test"));
    }
    let behind = bench.workspace.tidegate(&["test", "pipeline.yaml"]).env("HTTPS_PROXY", "ftp://no.proxy").run();
    assert_eq!(behind.code, Some(0), "no proxy is asked: {behind:?}");
}

#[test]
fn what_was_not_recorded_is_told() {
    let bench = bench(ORDERS);
    let nothing = tried(&bench.workspace, "pipeline.yaml", &[]);
    insta::assert_snapshot!(format!("{:?}\n{}{}", nothing.code, nothing.stdout, nothing.stderr), @"
    Some(2)
    error: there is no recording pipeline.recording: `tidegate record pipeline.yaml` makes one
    ");
    assert_eq!(record(&bench, &["--all"]).code, Some(0));
    assert_eq!(bench.api.asked().len(), 4);
    write(&bench, &ORDERS.replace("size: 100", "size: 50"));
    let asks_otherwise = tried(&bench.workspace, "pipeline.yaml", &[]);
    let told = format!("{:?}\n{}{}", asks_otherwise.code, asks_otherwise.stdout, asks_otherwise.stderr);
    insta::assert_snapshot!(bench.workspace.redact(&told), @"
    Some(1)
    FAILED   pipeline.yaml: orders: GET /orders?offset=0&limit=50: the recording has no answer to it; the most like it that it has is `GET http://127.0.0.1:[PORT]/orders?offset=0&limit=100&session=[redacted]`; record again, or undo what changed the request
    ");
    write(&bench, &format!("{}{}", ORDERS.replace("orders:", "sales:"), ORDERS.replace("'${LAKE}/orders'", "./l")));
    let one_more = tried(&bench.workspace, "pipeline.yaml", &[]);
    insta::assert_snapshot!(format!("{:?}\n{}{}", one_more.code, one_more.stdout, one_more.stderr), @"
    Some(0)
    ok       pipeline.yaml: orders: all, 250 rows: complete
    -        pipeline.yaml: sales: isn't in the recording: `tidegate record pipeline.yaml`
    ");
    write(&bench, &ORDERS.replace("orders:", "sales:"));
    let gone = tried(&bench.workspace, "pipeline.yaml", &[]);
    insta::assert_snapshot!(format!("{:?}\n{}{}", gone.code, gone.stdout, gone.stderr), @"
    Some(1)
    FAILED   pipeline.yaml: orders: the file has no such job any more: record again
    -        pipeline.yaml: sales: isn't in the recording: `tidegate record pipeline.yaml`
    ");
}

#[test]
fn a_recording_that_fails_leaves_the_one_before() {
    let bench = bench(ORDERS);
    assert_eq!(record(&bench, &[]).code, Some(0));
    write(&bench, &ORDERS.replace(".items[]", ".rows[]"));
    let failed = record(&bench, &[]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    write(&bench, ORDERS);
    assert_eq!(tried(&bench.workspace, "pipeline.yaml", &[]).code, Some(0));
    bench.workspace.write("thesis/chapter.tex", "x");
    let refused = record(&bench, &["--recording", "thesis"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(refused.stderr, "error: thesis is there, and is no recording: name another folder by --recording\n");
    assert_eq!(record(&bench, &["--recording", "another"]).code, Some(0));
    assert_eq!(tried(&bench.workspace, "pipeline.yaml", &["--recording", "another"]).code, Some(0));
    let damaged = bench.workspace.path("another/orders/002.json");
    fs::write(&damaged, "{\"items\": [").unwrap();
    let outcome = tried(&bench.workspace, "pipeline.yaml", &["--recording", "another"]);
    assert!(outcome.code == Some(1) && outcome.stdout.contains("FAILED"), "{outcome:?}");
}

/// Parents, details and tickets: all requests are recorded, and no row is sent.
#[test]
fn values_of_parents_and_details_are_recorded_and_no_ticket_is_sent() {
    let jobs = format!(
        "{ORDERS}  details:
    get: /details
    query: {{id: '{{{{ parent.id }}}}'}}
    for_each: {{rows_of: orders, as: parent, key: id}}
    records: .
    snapshot: latest
    paginate: none
    sinks: {{lake: {{jsonl: {{url: ./details}}}}}}
  tickets:
    get: /orders
    query: {{limit: '3'}}
    records: .items[]
    key: id
    snapshot: latest
    paginate: none
    enrich: {{detail: {{get: /details, query: {{id: '{{{{ row.id }}}}'}}, value: .sum}}}}
    sinks:
      desk:
        http: {{base_url: 'http://127.0.0.1:9/', post: /tickets, body: {{title: '{{{{ row.id }}}}'}}, key: id, idempotency_key: {{header: idempotency-key, value: '{{{{ key }}}}'}}}}
"
    );
    let bench = bench(&jobs);
    let env = env(&bench);
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let secrets = ["pass-w0rd", "s3ssion-0123", "c00kie"];
    recorded(&bench.workspace, "pipeline.yaml", NOW, &env, &secrets);
    assert!(bench.api.asked().iter().all(|asked| asked.path != "/tickets"));
}

/// The shipped files, each against its simulated appliance.
#[test]
fn the_shipped_files_are_tried_without_their_appliances() {
    let now = "2026-01-08T00:20:00Z";
    let clock = Arc::new(ManualClock::new(now.parse().unwrap()));
    let of = |name: &str, url: &str, served: &Served, env: &[(&str, &str)], secrets: &[&str]| {
        let workspace = Workspace::new();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(format!("{name}.yaml"));
        workspace.write("p.yaml", &fs::read_to_string(shipped).unwrap());
        recorded(&workspace, "p.yaml", now, &[env, &[(url, served.url.as_str())]].concat(), secrets);
    };
    let (config, at) = (NtopngConfig { alerts: 200, days: 3, ..NtopngConfig::default() }, Arc::clone(&clock));
    let served = Served::start(|listener, stop| Ntopng::new(config, at).serve(listener, stop));
    let env = [("NTOPNG_USER", "admin"), ("NTOPNG_PASSWORD", "admin"), ("NTOPNG_START", "-2d")];
    of("ntopng", "NTOPNG_URL", &served, &env, &[]);

    let (config, at) =
        (ScrutinizerConfig { flows: 200, hours: 13, ..ScrutinizerConfig::default() }, Arc::clone(&clock));
    let served = Served::start(|listener, stop| Scrutinizer::new(config, at).serve(listener, stop));
    let env = [("SCRUTINIZER_TOKEN", "scrutinizer-token"), ("SCRUTINIZER_START", "-3h")];
    of("scrutinizer", "SCRUTINIZER_URL", &served, &env, &["scrutinizer-token"]);

    let config = SecureWorkloadConfig { flows: 200, hours: 7, max_limit: 500, ..SecureWorkloadConfig::default() };
    let at = Arc::clone(&clock);
    let served = Served::start(|listener, stop| SecureWorkload::new(config, at).serve(listener, stop));
    let (key, secret) = ("00112233445566778899aabbccddeeff", "0123456789abcdef0123456789abcdef");
    let application = ("CSW_APPLICATION", "5c93da83497d4f33d7145960");
    let env = [("CSW_KEY", key), ("CSW_SECRET", secret), application, ("CSW_START", "-3h")];
    of("secure_workload", "CSW_URL", &served, &env, &[key, secret]);

    let config = LastlineConfig { entries: 100, sensors: 2, days: 5, ..LastlineConfig::default() };
    let served = Served::start(|listener, stop| Lastline::new(config, clock).serve(listener, stop));
    let password = "lastline-password";
    let env = [("LASTLINE_USER", "tidegate"), ("LASTLINE_PASSWORD", password), ("LASTLINE_START", "-2d")];
    of("lastline", "LASTLINE_URL", &served, &env, &[password]);
}

/// Credentials of other jobs, of sinks and hooks, of a login's answer, and of an `auth` that no job uses: an API that echoes them all.
#[test]
fn no_credential_is_kept_whoever_it_belongs_to() {
    let secrets = [
        ("UNUSED", "unused-t0ken-of-the-source"),
        ("ONE", "t0ken-of-the-first-job"),
        ("SHOP_PASSWORD", "pass-w0rd-of-the-shop"),
        ("DESK", "t0ken-of-the-desk"),
        ("HOOK", "h00k-of-the-chat"),
    ];
    let echoed: Vec<&str> = secrets.iter().map(|(_, value)| *value).chain(["r3fresh-t0ken-of-the-login"]).collect();
    let rows: Value = echoed.iter().enumerate().map(|(id, value)| json!({"id": id, "echo": value})).collect();
    let bench = Bench::new(Api::start(move |request: &Request| match request.path.as_str() {
        "/login" => {
            Answer::json(&json!({"token": "s3ssion-0123456789", "refresh_token": "r3fresh-t0ken-of-the-login"}))
        }
        "/sessions" => Answer::json(&json!([{"id": 1, "echo": "s3ssion-0123456789"}])),
        _ => Answer::json(&rows),
    }));
    let job = |name: &str, auth: &str, more: &str| {
        format!(
            "  {name}:\n    get: /{name}\n    auth: {auth}\n    records: '.[]'\n    key: id\n    snapshot: latest\n    paginate: none
    sinks: {{lake: {{jsonl: {{url: ./lake/{name}}}}}{more}}}\n"
        )
    };
    let desk = ", desk: {http: {base_url: 'http://127.0.0.1:9', auth: {bearer: '${DESK}'}, post: /t, body: {t: '{{ row.id }}'}, key: id,
      idempotency_key: {header: x-key, value: '{{ key }}'}}}";
    let login = "{login: {post: /login, body: {p: '${SHOP_PASSWORD}'}, token: .token, into: headers.x-session}}";
    bench.file(&format!(
        "on_failure: {{post: 'http://127.0.0.1:9/${{HOOK}}'}}
source: {{base_url: '{}', auth: {{bearer: '${{UNUSED}}'}}}}
jobs:\n{}{}{}",
        bench.api.url(),
        job("first", "{bearer: '${ONE}'}", desk),
        job("second", login, ""),
        job("sessions", login, ""),
    ));
    recorded(&bench.workspace, "pipeline.yaml", NOW, &secrets, &[&echoed[..], &["s3ssion-0123456789"]].concat());
    let logins = bench.api.asked().iter().filter(|asked| asked.path == "/login").count();
    assert_eq!(logins, 1, "jobs share a session, as in a run");
}

/// What a run would refuse, and what else changes what lands or is sent.
#[test]
fn edits_that_change_what_lands_are_told() {
    let rows: Value =
        (0..40).map(|id| json!({"id": id, "n": if id % 20 == 0 { json!("x") } else { json!(id) }})).collect();
    let bench = Bench::new(Api::start(move |_| Answer::json(&rows)));
    let job = "get: /rows\nquery: {a: b}\nrecords: '.[]'\nkey: id\nsnapshot: latest\npaginate: none\nschema: {columns: {n: int64}}
expect: [{sql: 'count(*) = 38'}]
transform: SELECT id, n FROM records
sinks:
  lake: {jsonl: {url: ./lake}}
  desk: {where: id < 3, http: {base_url: 'http://127.0.0.1:9', post: /t, body: {t: '{{ row.id }}'}, key: id,
      idempotency_key: {header: x-key, value: '{{ key }}'}}}";
    bench.job(job);
    let record = bench.workspace.tidegate(&["record", "pipeline.yaml", "--now", NOW, "--rows", "5"]).run();
    assert_eq!((record.code, record.stderr.as_str()), (Some(0), ""), "{record:?}");
    assert!(record.stdout.contains("all, 38 rows, 2 in quarantine: unknown"), "{record:?}");
    let edits = [
        ("count(*) = 38", "count(*) > 38"),
        ("{n: int64}}", "{n: int64}, max_bad_rows: 1}"),
        ("n FROM records", "CASE WHEN id > 35 THEN null ELSE n END AS n FROM records"),
        ("where: id < 3", "where: id < 2"),
        ("query: {a: b}", "headers: {x-tenant: acme}\nquery: {a: b}"),
    ];
    let told = edits.map(|(was, is)| {
        assert!(job.contains(was));
        bench.job(&job.replace(was, is));
        let outcome = tried(&bench.workspace, "pipeline.yaml", &[]);
        assert_eq!(outcome.code, Some(1), "{is}: {outcome:?}");
        bench.workspace.redact(&outcome.stdout)
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    DIFFERS  pipeline.yaml: rows: 1 difference
               fails: is new: expectation not met: `count(*) > 38` is false; nothing of the slice has landed: if its rows are right, change `expect`
    If it is meant: tidegate test pipeline.yaml --update

    DIFFERS  pipeline.yaml: rows: 1 difference
               fails: is new: 2 of 40 rows are bad, and `max_bad_rows` allows 1; the first: `n` expected int64, got string "x": {"id":0,"n":"x"}; noth…
    If it is meant: tidegate test pipeline.yaml --update

    DIFFERS  pipeline.yaml: rows: 1 difference
               row 35: n: was 36, is null, and it differs in 3 more rows
    If it is meant: tidegate test pipeline.yaml --update

    DIFFERS  pipeline.yaml: rows: 1 difference
               sends.desk.rows: was 2, is 1
    If it is meant: tidegate test pipeline.yaml --update

    FAILED   pipeline.yaml: rows: GET /rows?a=b: the recording has no answer to it; it has one of that line with other headers: `no headers`, while this one has `x-tenant: acme`; record again, or undo what changed the request
    "#);
    bench.job(job);
    assert_eq!(tried(&bench.workspace, "pipeline.yaml", &[]).code, Some(0));
}
