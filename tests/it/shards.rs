//! Shards: runs at once that divide a pipeline's slices, in one ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidegate::appliance::dice::Dice;
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::appliance::{Site, report};
use crate::support::files::assert_manifests;
use crate::support::lake::Truth;
use crate::support::s3::S3;
use crate::support::workspace::Running;

const SHARDS: usize = 5;

/// Two days of an appliance, in windows of an hour or more, that land in a bucket.
fn site(s3: &Arc<S3>, latency: u64) -> Site {
    let config = NtopngConfig {
        alerts: 160,
        hosts: 130,
        flows: 60,
        host_alerts: 30,
        days: 2,
        latency: Duration::from_millis(latency),
        ..NtopngConfig::default()
    };
    let site = Site::new(config, "2026-01-08T02:15:00Z", "-2d").hurried(&[("size: 500}", "size: 40}")]);
    site.in_bucket(Arc::clone(s3))
}

fn truth(site: &Site) -> Truth {
    let midnight = site.now().timestamp() - 8100;
    Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08")
}

/// A lease is short enough to wait for, and long enough for a busy machine to renew it in time.
fn start(site: &Site, shard: usize) -> Running {
    site.run(&["--shard", &format!("{shard}/{SHARDS}"), "--lease-ttl", "15s"]).spawn()
}

/// How often each slice has landed, by its job and its name.
fn landed(reports: &[Value]) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    let jobs = reports.iter().flat_map(|report| report[0]["jobs"].as_array().unwrap());
    for (job, slice) in jobs.flat_map(|job| job["slices"].as_array().unwrap().iter().map(move |slice| (job, slice))) {
        assert_eq!(slice["outcome"], "landed", "{slice:#}");
        *found.entry((job["job"].to_string(), slice["slice"].to_string())).or_default() += 1;
    }
    found
}

#[test]
fn five_shards_at_once_land_each_slice_once() {
    for s3 in [S3::start(), S3::moto()] {
        let s3 = Arc::new(s3);
        let alone = site(&s3, 0);
        let expected = landed(&[report(&alone.run(&[]).run(), 0)]);
        let site = alone.with_new_folder();
        let running: Vec<Running> = (0..SHARDS).map(|shard| start(&site, shard)).collect();
        let reports: Vec<Value> = running.into_iter().map(|running| report(&running.wait(), 0)).collect();
        assert_eq!(landed(&reports), expected);
        let busy = reports.iter().filter(|report| !landed(&[(*report).clone()]).is_empty()).count();
        assert!(busy > 1, "one shard has done everything");
        let lake = site.fetch_lake();
        truth(&site).assert_is(&Truth::in_lake(&lake));
        assert_manifests(&lake);
        assert_eq!(landed(&[report(&site.run(&[]).run(), 0)]), BTreeMap::new(), "a whole run finds nothing to do");
    }
}

#[test]
fn of_five_shards_two_are_killed_and_repeated() {
    let s3 = Arc::new(S3::start());
    let mut site = site(&s3, 5);
    let mut dice = Dice::new(20_260_110, 1);
    for round in 0..1 {
        site = site.with_new_folder();
        let mut running: Vec<Option<Running>> = (0..SHARDS).map(|shard| Some(start(&site, shard))).collect();
        let first = dice.below(5) as usize;
        let doomed = [first, (first + 1 + dice.below(4) as usize) % SHARDS];
        for shard in doomed {
            std::thread::sleep(Duration::from_millis(dice.below(700).into()));
            let outcome = running[shard].take().unwrap().kill();
            assert!(matches!(outcome.code, None | Some(0)), "{outcome:#?}");
        }
        let again: Vec<Running> = doomed.iter().map(|shard| start(&site, *shard)).collect();
        for running in running.into_iter().flatten().chain(again) {
            landed(&[report(&running.wait(), 0)]);
        }
        let lake = site.fetch_lake();
        truth(&site).assert_is(&Truth::in_lake(&lake));
        assert_manifests(&lake);
        assert_eq!(landed(&[report(&site.run(&[]).run(), 0)]), BTreeMap::new(), "round {round}: all has landed");
        assert_eq!(s3.parts(), Vec::<String>::new(), "round {round}");
    }
}

#[test]
fn a_shard_keeps_out_whoever_divides_otherwise() {
    let s3 = Arc::new(S3::start());
    // Slow enough for the others to begin while the first one is at work.
    let site = site(&s3, 250);
    let first = site.run(&["--shard", "0/2"]).spawn();
    site.wait_for_requests(0, 4);
    for how in [&["--no-wait"][..], &["--no-wait", "--shard", "0/2"], &["--no-wait", "--shard", "1/3"]] {
        let hasty = site.run(how).run();
        assert_eq!(hasty.code, Some(4), "{how:?}: {hasty:#?}");
        assert!(hasty.stderr.contains("lane 0-of-2 of the pipeline is held by process "), "{hasty:#?}");
    }
    let patient = site.run(&[]).spawn();
    landed(&[report(&first.wait(), 0)]);
    report(&patient.wait(), 0);
    truth(&site).assert_is(&Truth::in_lake(&site.fetch_lake()));
}

#[test]
fn an_indexed_job_says_which_shard_it_is() {
    let s3 = Arc::new(S3::start());
    let site = site(&s3, 0);
    let plan = |how: &[&str], index: &str| {
        let run = site.tidegate("plan", &[&["--now", "2026-01-08T02:15:00Z", "--output", "json"], how].concat());
        let outcome = if index.is_empty() { run.run() } else { run.env("JOB_COMPLETION_INDEX", index).run() };
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        outcome.stdout
    };
    assert_eq!(plan(&["--shards", "5"], "3"), plan(&["--shard", "3/5"], ""));
    assert_eq!(plan(&[], "3"), plan(&[], ""), "without --shards the index means nothing");
    for (how, index, why) in [
        (&["--shards", "5"][..], None, "--shards 5 needs JOB_COMPLETION_INDEX"),
        (&["--shards", "5"], Some("5"), "of --shards 5 the last is 4"),
        (&["--shard", "5/5"], None, "'5/5' is no shard: expected I/N"),
        (&["--shard", "0/5", "--accept", "future"], None, "cannot be used with"),
    ] {
        let run = site.tidegate("run", how);
        let outcome = if let Some(index) = index { run.env("JOB_COMPLETION_INDEX", index).run() } else { run.run() };
        assert_eq!(outcome.code, Some(2), "{outcome:#?}");
        assert!(outcome.stderr.contains(why), "{outcome:#?}");
    }
}
