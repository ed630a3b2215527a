//! State and lake in a bucket, by the real binary.

mod vacuum;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate::appliance::dice::Dice;
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::api::{Answer, Api};
use crate::support::appliance::{Site, report};
use crate::support::files::{assert_manifests, data_files};
use crate::support::lake::Truth;
use crate::support::s3::S3;
use crate::support::workspace::{Outcome, Running, Workspace};

/// How many lakes are made by processes that are killed: `few`, and more at night.
fn rounds(few: u64) -> u64 {
    std::env::var("TIDEGATE_KILL_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

/// Two days of an appliance, landed in a bucket.
fn site(s3: &Arc<S3>, latency: u64) -> Site {
    let latency = Duration::from_millis(latency);
    let config = NtopngConfig {
        alerts: 160,
        hosts: 130,
        flows: 60,
        host_alerts: 30,
        days: 2,
        latency,
        ..NtopngConfig::default()
    };
    let site = Site::new(config, "2026-01-08T02:15:00Z", "-2d").hurried(&[("size: 500}", "size: 40}")]);
    site.in_bucket(Arc::clone(s3))
}

fn truth(site: &Site) -> Truth {
    let midnight = site.now().timestamp() - 8100;
    Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08")
}

fn landed(report: &serde_json::Value) -> usize {
    report.to_string().matches(r#""outcome":"landed""#).count()
}

#[test]
fn a_lake_in_a_bucket_is_the_one_on_a_disk() {
    for s3 in [S3::start(), S3::moto()] {
        let s3 = Arc::new(s3);
        let site = site(&s3, 0);
        assert!(landed(&report(&site.run(&[]).run(), 0)) > 5);
        let lake = site.fetch_lake();
        truth(&site).assert_is(&Truth::in_lake(&lake));
        assert_manifests(&lake);
        let objects = site.bucket_digests();
        assert_eq!(landed(&report(&site.run(&[]).run(), 0)), 0, "a second run lands nothing");
        let again: Vec<_> = site.bucket_digests().into_iter().filter(|(key, _)| key.contains("/data/")).collect();
        assert_eq!(again, objects.into_iter().filter(|(key, _)| key.contains("/data/")).collect::<Vec<_>>());
        let names: Vec<PathBuf> = std::fs::read_dir(site.workspace.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into())
            .collect();
        assert!(
            names.iter().all(|name| ["lake", "pipeline.yaml"].iter().any(|known| name.as_os_str() == *known)),
            "{names:?}"
        );
    }
}

#[test]
fn killed_at_any_moment_a_run_in_a_bucket_leaves_what_an_undisturbed_one_would() {
    kill_at_random(S3::start(), rounds(10));
}

#[test]
fn killed_at_any_moment_a_run_in_moto_leaves_what_an_undisturbed_one_would() {
    kill_at_random(S3::moto(), rounds(3));
}

fn kill_at_random(s3: S3, rounds: u64) {
    let s3 = Arc::new(s3);
    let mut site = site(&s3, 3);
    let began = Instant::now();
    report(&site.run(&[]).run(), 0);
    let mut whole = u32::try_from(began.elapsed().as_millis()).unwrap();
    let undisturbed = data_files(&site.fetch_lake());
    let mut dice = Dice::new(20_260_109, rounds);
    let mut killed = 0;
    for round in 0..rounds {
        site = site.with_new_folder();
        let mut moments = Vec::new();
        for _ in 0..dice.between(1, 3) {
            // The run after one that was killed waits for its lease first.
            let moment = dice.below(whole + 1200);
            moments.push(moment);
            let running = site.run(&["--lease-ttl", "1s"]).spawn();
            std::thread::sleep(Duration::from_millis(moment.into()));
            let outcome = running.kill();
            // On a machine that is busy enough it may not get to renew such a short lease.
            let is_late = outcome.stdout.contains("it wasn't renewed for");
            assert!(matches!(outcome.code, None | Some(0)) || is_late, "{outcome:#?}");
            if outcome.code.is_none() { killed += 1 } else { whole = whole.min(moment.max(50)) }
        }
        let outcome = site.run(&["--no-wait"]).run();
        let said = format!("round {round}, killed after {moments:?} ms of {whole}: {outcome:#?}");
        assert_eq!(outcome.code, Some(0), "{said}");
        let lake = site.fetch_lake();
        assert_eq!(data_files(&lake), undisturbed, "{said}");
        assert_manifests(&lake);
        truth(&site).assert_is(&Truth::in_lake(&lake));
        // One that was begun and not noted yet has no parts: it holds nothing.
        assert_eq!(s3.parts(), Vec::<String>::new(), "{said}");
    }
    assert!(killed > 0);
}

#[test]
fn of_two_runs_with_state_in_a_bucket_one_lands_and_the_other_waits_or_leaves() {
    let s3 = Arc::new(S3::start());
    // Slow enough for the other runs to begin while the first one is at work.
    let site = site(&s3, 250);
    let first = site.run(&["--lease-ttl", "3s"]).spawn();
    site.wait_for_requests(0, 4);
    let hasty = site.run(&["--no-wait", "--lease-ttl", "3s"]).run();
    assert_eq!(hasty.code, Some(4), "{hasty:#?}");
    assert!(hasty.stderr.starts_with("error: ntopng: another run of the pipeline is on (process "), "{hasty:#?}");
    let patient = site.run(&[]).spawn();
    let doomed = site.run(&[]).spawn();
    std::thread::sleep(Duration::from_millis(300));
    doomed.kill();
    assert!(landed(&report(&first.wait(), 0)) > 5);
    assert_eq!(landed(&report(&patient.wait(), 0)), 0);
    truth(&site).assert_is(&Truth::in_lake(&site.fetch_lake()));
}

#[test]
fn who_waits_for_a_run_that_is_killed_goes_on_from_there() {
    let s3 = Arc::new(S3::start());
    let site = site(&s3, 60);
    let first = site.run(&["--lease-ttl", "1s"]).spawn();
    site.wait_for_requests(0, 12);
    let patient = site.run(&[]).spawn();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(first.kill().code, None);
    assert!(landed(&report(&patient.wait(), 0)) > 0);
    let lake = site.fetch_lake();
    truth(&site).assert_is(&Truth::in_lake(&lake));
    assert_manifests(&lake);
}

/// A pipeline of one job with ten rows, two of them bad, and a folder to run it in.
struct Small {
    workspace: Workspace,
    _api: Api,
}

impl Small {
    fn new(lake: &str) -> Self {
        let rows: Vec<_> = (1..=10)
            .map(|id| if id % 5 == 0 { json!({"id": "x", "day": "a"}) } else { json!({"id": id, "day": "a/b"}) })
            .collect();
        let api = Api::always(Answer::json(&json!(rows)));
        let workspace = Workspace::new();
        workspace.write(
            "pipeline.yaml",
            &format!(
                "version: 1
name: small
source: {{base_url: {}, retry: {{attempts: 1}}}}
jobs:
  rows:
    get: /rows
    records: '.[]'
    paginate: none
    snapshot: daily
    schema: {{columns: {{id: int64}}}}
    sinks: {{lake: {{jsonl: {{url: {lake}, partition_by: [day]}}}}}}
",
                api.url()
            ),
        );
        Self { workspace, _api: api }
    }

    fn run(&self, s3: &S3, state: &str) -> Outcome {
        self.start(s3, state, "2026-01-03T12:00:00Z").wait()
    }

    fn start(&self, s3: &S3, state: &str, now: &str) -> Running {
        self.start_with(s3, state, now, &[])
    }

    /// Starts a run whose lease others need not wait for long: it is killed, or they are to see it renewed.
    fn start_doomed(&self, s3: &S3, state: &str, now: &str) -> Running {
        self.start_with(s3, state, now, &["--lease-ttl", "1s"])
    }

    fn start_with(&self, s3: &S3, state: &str, now: &str, more: &[&str]) -> Running {
        let arguments = ["run", "pipeline.yaml", "--state", state, "--output", "json", "--now", now];
        s3.env(self.workspace.tidegate(&[&arguments[..], more].concat())).spawn()
    }
}

#[test]
fn state_and_lake_may_lie_in_different_stores_and_bad_rows_lie_beside_the_state() {
    let s3 = S3::start();
    for (lake, state, in_bucket) in [
        ("s3://lake/a", "s3://lake/a-state", ["a/_tidegate/files.json", "a-state/small/quarantine/"]),
        (
            "s3://lake/b",
            "./state",
            ["b/_tidegate/files.json", "b/snapshot=2026-01-03/day=a%2Fb/small-rows-20260103-g1-00000.jsonl"],
        ),
        (
            "./lake",
            "s3://lake/c-state",
            ["c-state/small/log/", "c-state/small/quarantine/small-rows-20260103-g1-00000.jsonl"],
        ),
    ] {
        let small = Small::new(lake);
        let first = report(&small.run(&s3, state), 0);
        let rows = &first[0]["jobs"][0]["slices"][0]["rows"];
        assert_eq!((&rows["received"], &rows["quarantined"], &rows["transformed"]), (&json!(10), &json!(2), &json!(8)));
        assert_eq!(landed(&report(&small.run(&s3, state), 0)), 0);
        let keys: Vec<String> = s3.objects("").into_keys().collect();
        for part in in_bucket {
            assert!(keys.iter().any(|key| key.starts_with(part)), "{part}: {keys:#?}");
        }
        assert_eq!(s3.uploads(), Vec::<String>::new());
    }
}

#[test]
fn uploads_that_the_store_threw_away_after_publish_are_voided_and_read_again() {
    let s3 = Arc::new(S3::start());
    let small = Small::new("s3://lake/a");
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    // The store answers the second of two completions with errors until the run gives up.
    s3.hook(move |request| {
        let completes = request.method == "POST" && request.query.contains("uploadId=");
        let fails = completes && counted.fetch_add(1, Ordering::SeqCst) > 0;
        fails.then_some((403, "AccessDenied"))
    });
    let broken = small.run(&s3, "s3://lake/state");
    assert_eq!(broken.code, Some(1), "{broken:#?}");
    assert!(broken.stdout.contains("AccessDenied"), "{broken:#?}");
    s3.unhook();
    let appeared: Vec<String> =
        s3.objects("a").into_keys().chain(s3.objects("state/small/quarantine").into_keys()).collect();
    assert_eq!(appeared.iter().filter(|key| key.contains("-g1-")).count(), 1, "{appeared:?}");
    assert_eq!(s3.abort_uploads(), 1);
    let next = report(&small.run(&s3, "s3://lake/state"), 0);
    let recovered = next[0]["recovered"].to_string();
    assert!(recovered.contains("was published and not committed, and 1 file of generation 1 gone"), "{recovered}");
    let slice = &next[0]["jobs"][0]["slices"][0];
    assert_eq!((&slice["outcome"], &slice["generation"]), (&json!("landed"), &json!(2)));
    let keys: Vec<String> = s3.objects("").into_keys().filter(|key| key.ends_with(".jsonl")).collect();
    assert_eq!(
        keys,
        [
            "a/snapshot=2026-01-03/day=a%2Fb/small-rows-20260103-g2-00000.jsonl",
            "state/small/quarantine/small-rows-20260103-g2-00000.jsonl"
        ]
    );
}

/// Returns the exit code and what was said, of a run that can't do anything.
fn complaint(s3: &S3, lake: &str, state: &str, env: &[(&str, &str)]) -> String {
    let small = Small::new(lake);
    let arguments = ["run", "pipeline.yaml", "--state", state, "--now", "2026-01-03T12:00:00Z"];
    let run = env.iter().fold(s3.env(small.workspace.tidegate(&arguments)), |run, (name, value)| run.env(name, value));
    let outcome = run.run();
    assert!(!format!("{outcome:?}").contains("s3cr3t"), "{outcome:?}");
    small.workspace.redact(&format!("{}: {}{}", outcome.code.unwrap(), outcome.stdout, outcome.stderr))
}

#[test]
fn what_the_environment_lacks_is_said() {
    let s3 = S3::start();
    let state = "s3://lake/state";
    insta::assert_snapshot!(complaint(&s3, "./lake", state, &[("AWS_SECRET_ACCESS_KEY", "s3cr3t-and-wrong")]), @"1: error: small: can't list checkpoint of the ledger: s3://lake/state/small/checkpoint: SignatureDoesNotMatch; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN");
    insta::assert_snapshot!(complaint(&s3, "./lake", state, &[("AWS_ALLOW_HTTP", "false")]), @"2: error: small: can't keep state in s3://lake/state/small: AWS_ENDPOINT_URL has no TLS, so that anyone on the way could read the data: use https://, or set AWS_ALLOW_HTTP=true");
    insta::assert_snapshot!(complaint(&s3, "./lake", "s3://lake/../state", &[]), @"2: error: small: can't keep state in 's3://lake/../state': what follows the bucket must be plain parts with `/` between them: no `.`, no `..`, no `?`, no `#` and no control characters");
    insta::assert_snapshot!(complaint(&s3, "./lake", "ftp://lake/state", &[]), @"2: error: small: can't keep state in 'ftp://lake/state': `ftp://` is no kind of store: use s3://bucket/prefix, or a folder");
    insta::assert_snapshot!(complaint(&s3, "./lake", "s3://key:s3cr3t@lake/state", &[]), @"2: error: small: can't keep state in 'lake/state': a bucket's name has letters, digits, `-`, `_` and `.` only; credentials, ports and regions come from the environment");
    insta::assert_snapshot!(complaint(&s3, "./lake", "s3:/lake/state", &[]), @"2: error: small: can't keep state in 's3:/lake/state': `s3:` isn't followed by `//`: write s3://bucket/prefix; for a folder of that name write ./s3:");
    s3.hook(|request| (request.method == "PUT").then_some((501, "NotImplemented")));
    insta::assert_snapshot!(complaint(&s3, "./lake", state, &[]), @"2: error: small: can't keep state in s3://lake/state/small: the store has no conditional writes (it knows no If-None-Match), so that two runs could overwrite what the other has written: use a store that keeps to If-None-Match and If-Match, such as Amazon S3, or keep state and lake on a disk");
    let moto = S3::moto();
    insta::assert_snapshot!(complaint(&moto, "./lake", "s3://nowhere/state", &[]), @"2: error: small: can't list checkpoint of the ledger: s3://nowhere/state/small/checkpoint: NoSuchBucket (The specified bucket does not exist); make the bucket, or mend the url");
    insta::assert_snapshot!(complaint(&moto, "s3://nowhere/lake", "./state", &[]), @"2: error: small: can't read s3://nowhere/lake/_tidegate/files.json: NoSuchBucket (The specified bucket does not exist); make the bucket, or mend the url");
}
