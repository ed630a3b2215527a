//! `tidegate k8s`: what it prints is what Kubernetes takes, holds no secret, and doesn't lose a state with its pod.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::python;
use crate::support::workspace::{Outcome, Workspace};

/// What the shipped pipelines have no default for.
const VALUES: [&str; 6] = [
    "NTOPNG_URL=https://ntopng.test",
    "CSW_URL=https://csw.test",
    "CSW_APPLICATION=5c93da83497d4f33d7145960",
    "SCRUTINIZER_URL=https://scrutinizer.test",
    "LASTLINE_USER=tidegate",
    "LASTLINE_URL=https://lastline.test",
];

fn top(below: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below).to_string_lossy().into_owned()
}

fn k8s(file: &str, arguments: &[&str]) -> Outcome {
    let mut all = vec!["k8s", file];
    all.extend(arguments);
    Workspace::new().tidegate(&all).run()
}

fn printed(file: &str, arguments: &[&str]) -> String {
    let outcome = k8s(file, arguments);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{file} {arguments:?}");
    outcome.stdout
}

fn refused(file: &str, arguments: &[&str], why: &str) {
    let outcome = k8s(file, arguments);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{file} {arguments:?}");
    assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
}

fn shop(arguments: &[&str]) -> Vec<String> {
    let values = ["--set", "LAKE=s3://lake/shop"];
    ["--state", "s3://lake/_tidegate"].iter().chain(&values).chain(arguments).map(|&one| one.to_owned()).collect()
}

/// Returns what Kubernetes' schemas have against each text.
fn complaints(texts: &[String]) -> Vec<Vec<String>> {
    serde_json::from_value(python::run("kubernetes.py", &[], &json!(texts).to_string())).unwrap()
}

#[test]
fn kubernetes_takes_what_is_printed_for_the_shipped_pipelines() {
    let mut texts = Vec::new();
    for name in ["ntopng", "scrutinizer", "secure_workload", "lastline"] {
        let file = top(&format!("pipelines/{name}.yaml"));
        let mut arguments = vec!["--state", "s3://lake/_tidegate", "--set", "LAKE=s3://lake/data"];
        VALUES.iter().for_each(|value| arguments.extend(["--set", value]));
        texts.push(printed(&file, &arguments));
        let head = texts.last().and_then(|text| text.lines().next()).unwrap_or_default();
        assert!(head.starts_with("# `jitter` isn't kept"), "{name}: {head}");
        arguments.extend(["--namespace", "etl", "--from", "2026-01-01T00:00:00Z"]);
        texts.push(printed(&file, &arguments));
        arguments.extend(["--shards", "5"]);
        texts.push(printed(&file, &arguments));
    }
    let on_a_volume = ["--pvc", "lake", "--set", VALUES[0], "--set", "LAKE=/data/lake", "--service-account", "loader"];
    texts.push(printed(&top("pipelines/ntopng.yaml"), &on_a_volume));
    let found = complaints(&texts);
    assert!(found.iter().all(Vec::is_empty), "{found:#?}");

    // The judge isn't blind.
    let broken = texts.remove(0).replace("restartPolicy: Never", "restartPolice: Never");
    let found = complaints(&[broken]);
    assert!(found.iter().all(|found| found.iter().any(|one| one.contains("restartPolice"))), "{found:#?}");
}

#[test]
fn the_base_in_the_repository_is_what_is_printed() {
    let arguments = shop(&[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let printed = printed(&top("deploy/base/shop.yaml"), &arguments);
    let stored = fs::read_to_string(top("deploy/base/cronjob.yaml")).unwrap();
    let command = format!("cargo run -- k8s deploy/base/shop.yaml {} > deploy/base/cronjob.yaml", arguments.join(" "));
    assert!(printed == stored, "deploy/base/cronjob.yaml is stale: {command}");
}

#[test]
fn what_the_pods_are_told_to_do_is_understood() {
    let arguments = shop(&["--from", "2026-01-01T00:00:00Z", "--shards", "5"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for arguments in [&arguments[..4], &arguments[..6], &arguments] {
        let printed = printed(&top("deploy/base/shop.yaml"), arguments);
        let objects = python::run("yaml_objects.py", &[], &printed);
        let job = objects[1].pointer("/spec/jobTemplate/spec").unwrap_or(&objects[1]["spec"]);
        let told = job["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        let told: Vec<&str> = told.iter().map(|one| one.as_str().unwrap()).collect();
        let outcome = Workspace::new().tidegate(&told).run();
        // The arguments are right: only the file isn't there.
        assert!(outcome.stderr.contains("/etc/tidegate/shop.yaml can't be read"), "{told:?}: {outcome:?}");
    }
}

#[test]
fn a_backfill_by_five_pods_is_an_indexed_job_of_five_shards() {
    let job = |more: &[&str]| {
        let arguments = shop(&[&["--from", "2026-01-01T00:00:00Z"], more].concat());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        python::run("yaml_objects.py", &[], &printed(&top("deploy/base/shop.yaml"), &arguments))[1]["spec"].clone()
    };
    let told = |job: &Value| job["template"]["spec"]["containers"][0]["args"].to_string();
    let five = job(&["--shards", "5"]);
    let kind = ["completionMode", "completions", "parallelism", "backoffLimitPerIndex"].map(|key| five[key].clone());
    assert_eq!(kind, [json!("Indexed"), json!(5), json!(5), json!(3)]);
    // Kubernetes' own limit counts the failures of all pods, and ends the pods of the others with the first that goes beyond it.
    assert_eq!(five["backoffLimit"], Value::Null);
    assert!(told(&five).contains("\"--shards=5\""), "{five:#}");
    for alone in [job(&[]), job(&["--shards", "1"])] {
        assert_eq!((&alone["completionMode"], &alone["backoffLimit"]), (&Value::Null, &json!(3)));
        assert!(!told(&alone).contains("shard"), "{alone:#}");
    }
    refused(&top("deploy/base/shop.yaml"), &["--shards", "5"], "--from <TIME>");
}

#[test]
fn the_pipeline_file_comes_back_letter_for_letter() {
    let file = top("pipelines/lastline.yaml");
    let mut arguments = vec!["--state", "s3://lake/s", "--set", "LAKE=s3://lake/data"];
    VALUES.iter().for_each(|value| arguments.extend(["--set", value]));
    let objects: Value =
        serde_json::from_value(python::run("yaml_objects.py", &[], &printed(&file, &arguments))).unwrap();
    assert_eq!(objects[0]["data"]["lastline.yaml"], fs::read_to_string(file).unwrap());
}

#[test]
fn what_would_be_lost_with_its_pod_is_refused() {
    let file = top("pipelines/ntopng.yaml");
    refused(&file, &[], "a pod's own disk ends with it");
    refused(&file, &["--state", "./state"], "the state at ./state would end with its pod");
    refused(&file, &["--state", "memory://x"], "the state at memory://x would end with its pod");
    refused(&file, &["--state", "s3://b/s"], "jobs.hosts.sinks.lake writes to ./lake/ntopng/hosts");
    refused(&file, &["--state", "s3://b/s", "--set", "LAKE=/data/lake"], "or give a volume");
}

#[test]
fn secrets_are_named_and_never_printed() {
    let file = top("pipelines/ntopng.yaml");
    let arguments = ["--state", "s3://b/s", "--set", "LAKE=s3://b/l", "--set", "NTOPNG_PASSWORD=hunter2"];
    refused(&file, &arguments, "NTOPNG_PASSWORD is secret");
    let outcome =
        Workspace::new().tidegate(&[&["k8s", &file], &arguments[..4]].concat()).env("NTOPNG_PASSWORD", "hunter2").run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!outcome.stdout.contains("hunter2"));
    assert!(outcome.stdout.contains("{secretKeyRef: {name: tidegate-ntopng, key: NTOPNG_PASSWORD}}"), "{outcome:?}");
}

#[test]
fn the_url_of_a_hook_is_a_secret() {
    let workspace = Workspace::new();
    let text = "version: 1\nname: shop\nschedule: {cron: '@daily'}\nsource: {base_url: 'https://a.test'}\non_failure: {post: '${HOOK_URL}'}\n\
                on_success: {post: '${file:/run/secrets/hook}'}\njobs: {a: {get: /, paginate: none, records: '.[]', snapshot: daily, \
                sinks: {lake: {parquet: {url: 's3://lake/a'}}}}}\n";
    workspace.write("shop.yaml", text);
    let k8s =
        |more: &[&str]| workspace.tidegate(&[&["k8s", "shop.yaml", "--state", "s3://lake/s"], more].concat()).run();
    let outcome = k8s(&[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stdout.contains("{secretKeyRef: {name: tidegate-shop, key: HOOK_URL}}"), "{}", outcome.stdout);
    assert_eq!(complaints(&[outcome.stdout]), [Vec::<String>::new()]);
    let told = k8s(&["--set", "HOOK_URL=https://hooks.test/hunter2"]);
    assert!(told.code == Some(2) && told.stderr.contains("HOOK_URL is secret"), "{told:?}");
    assert!(!told.stdout.contains("hunter2"), "{told:?}");
}

#[test]
fn files_that_the_pipeline_file_names_are_mounted_where_it_looks() {
    let workspace = Workspace::new();
    let text = "version: 1\nname: shop\nschedule: {cron: '@daily'}\nsource: {base_url: 'https://a.test', auth: {bearer: '${file:/run/secrets/token}'}, \
                tls: {ca_file: certs/ca.pem}}\njobs: {a: {get: /, paginate: none, records: '.[]', snapshot: daily, \
                sinks: {lake: {parquet: {url: 's3://lake/a'}}}}}\n";
    workspace.write("shop.yaml", text);
    let outcome = workspace.tidegate(&["k8s", "shop.yaml", "--state", "s3://lake/s"]).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for mount in [
        "{name: files, mountPath: /etc/tidegate/certs/ca.pem, subPath: ca.pem, readOnly: true}",
        "{name: files, mountPath: /run/secrets/token, subPath: token, readOnly: true}",
    ] {
        assert!(outcome.stdout.contains(mount), "{mount}: {}", outcome.stdout);
    }
    assert_eq!(complaints(&[outcome.stdout]), [Vec::<String>::new()]);

    workspace.write("shop.yaml", &text.replace("/run/secrets/token", "../token"));
    let outcome = workspace.tidegate(&["k8s", "shop.yaml", "--state", "s3://lake/s"]).run();
    assert!(outcome.stderr.contains("../token lies outside"), "{outcome:?}");

    workspace.write("shop.yaml", &text.replace("schedule: {cron: '@daily'}\n", ""));
    let outcome = workspace.tidegate(&["k8s", "shop.yaml", "--state", "s3://lake/s"]).run();
    assert!(outcome.stderr.contains("has no schedule"), "{outcome:?}");
}

/// The codes of the rules of a manifest that have this action.
fn codes(job: &Value, action: &str) -> Vec<u64> {
    let rules = job["podFailurePolicy"]["rules"].as_array().unwrap().iter();
    let of = rules.filter(|rule| rule["action"] == action).filter_map(|rule| rule["onExitCodes"]["values"].as_array());
    of.flatten().map(|code| code.as_u64().unwrap()).collect()
}

#[test]
fn pods_fail_by_the_exit_codes_that_there_are() {
    use tidegate::model::Exit;
    let code = |exit: Exit| u64::from(exit.code());
    let all: Vec<u64> = Exit::ALL.map(code).to_vec();
    let arguments = shop(&["--from", "2026-01-01T00:00:00Z"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for arguments in [&arguments[..6], &arguments] {
        let objects = python::run("yaml_objects.py", &[], &printed(&top("deploy/base/shop.yaml"), arguments));
        let job = objects[1].pointer("/spec/jobTemplate/spec").unwrap_or(&objects[1]["spec"]);
        assert_eq!(codes(job, "FailJob"), [code(Exit::Refused)], "what no retry can help");
        let told = job["template"]["spec"]["containers"][0]["args"].to_string();
        // Pods aren't told what these ends come from.
        let without = [(Exit::Held, "--no-wait"), (Exit::Stopped, "--max-")].map(|(exit, from)| {
            assert!(!told.contains(from), "{told}");
            code(exit)
        });
        let counted: Vec<u64> =
            all.iter().copied().filter(|code| ![0, 2].contains(code) && !without.contains(code)).collect();
        assert_eq!(codes(job, "Count"), counted);
        let again = Exit::ALL.into_iter().filter(|exit| exit.is_failure() && *exit != Exit::Refused);
        assert!(again.map(code).all(|code| counted.contains(&code)));
    }
    let readme = fs::read_to_string(top("README.md")).unwrap();
    let table = readme.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let listed: Vec<u64> = cells.flat_map(|cell| cell.split(", ").filter_map(|code| code.parse().ok())).collect();
    assert_eq!(listed, all, "README's table");
}
