//! Shards: runs at once that divide a pipeline's slices, in one ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tidegate::appliance::dice::Dice;
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::api::{Answer, Api, Request};
use crate::support::appliance::{Site, report};
use crate::support::bench::{Bench, NOW, Ran};
use crate::support::desk::{Mishap, PLAIN, TicketBench, checked};
use crate::support::files::assert_manifests;
use crate::support::lake::Truth;
use crate::support::s3::S3;
use crate::support::workspace::Running;

const SHARDS: usize = 5;

/// How many times shards are killed.
fn rounds() -> u64 {
    std::env::var("TIDEGATE_KILL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

/// Some days of an appliance, in windows of an hour or more; yesterday is read again each time.
fn site(days: u32, latency: u64) -> Site {
    let config = NtopngConfig {
        alerts: 160,
        hosts: 130,
        flows: 60,
        host_alerts: 30,
        days,
        latency: Duration::from_millis(latency),
        ..NtopngConfig::default()
    };
    Site::new(config, "2026-01-08T02:15:00Z", "-2d").hurried(&[("size: 500}", "size: 40}")])
}

fn truth(site: &Site) -> Truth {
    let midnight = site.now().timestamp() - 8100;
    Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08")
}

fn shard(index: usize) -> String {
    format!("{index}/{SHARDS}")
}

fn start(site: &Site, index: usize, more: &[&str]) -> Running {
    site.run(&[&["--shard", shard(index).as_str()], more].concat()).spawn()
}

/// How often each slice was read and with which outcome, by its job and its name: none may have failed.
fn outcomes(reports: &[Value]) -> BTreeMap<(String, String), Vec<String>> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for job in reports.iter().flat_map(|report| report[0]["jobs"].as_array().unwrap()) {
        assert_eq!(job["error"], Value::Null, "{job:#}");
        for slice in job["slices"].as_array().unwrap() {
            let outcome = slice["outcome"].as_str().unwrap().to_owned();
            assert!(["landed", "unchanged"].contains(&outcome.as_str()), "{slice:#}");
            found.entry((job["job"].to_string(), slice["slice"].to_string())).or_default().push(outcome);
        }
    }
    found
}

/// How often each slice has landed.
fn landed(reports: &[Value]) -> BTreeMap<(String, String), usize> {
    let count = |outcomes: Vec<String>| outcomes.iter().filter(|outcome| *outcome == "landed").count();
    let all = outcomes(reports).into_iter().map(|(slice, outcomes)| (slice, count(outcomes)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// The rows that landed, by job; within a slice they must add up.
fn rows(reports: &[Value]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for job in reports.iter().flat_map(|report| report[0]["jobs"].as_array().unwrap()) {
        let landed = job["slices"].as_array().unwrap().iter().filter(|slice| slice["outcome"] == "landed");
        let sum: u64 = landed.map(|slice| slice["rows"]["transformed"].as_u64().unwrap()).sum();
        *rows.entry(job["job"].to_string()).or_default() += sum;
    }
    rows
}

#[test]
fn five_shards_at_once_land_each_slice_once() {
    let alone = site(2, 0).in_bucket(Arc::new(S3::start()));
    let whole = [report(&alone.run(&[]).run(), 0)];
    let site = alone.with_new_folder();
    let running: Vec<Running> = (0..SHARDS).map(|index| start(&site, index, &[])).collect();
    let reports: Vec<Value> = running.into_iter().map(|running| report(&running.wait(), 0)).collect();
    assert_eq!(landed(&reports), landed(&whole));
    assert_eq!(rows(&reports), rows(&whole));
    for (index, report) in reports.iter().enumerate() {
        assert_eq!(report[0]["shard"], shard(index));
    }
    let busy = reports.iter().filter(|report| !landed(&[(*report).clone()]).is_empty()).count();
    assert!(busy > 1, "one shard has done everything");
    let lake = site.fetch_lake();
    truth(&site).assert_is(&Truth::in_lake(&lake));
    assert_manifests(&lake);
    assert_eq!(landed(&[report(&site.run(&[]).run(), 0)]), BTreeMap::new(), "a whole run finds nothing new");
}

#[test]
fn of_five_shards_two_are_killed_and_repeated() {
    let s3 = Arc::new(S3::start());
    let mut site = site(2, 40).in_bucket(Arc::clone(&s3));
    let mut dice = Dice::new(20_260_110, rounds());
    for round in 0..rounds() {
        site = site.with_new_folder();
        let before = site.ntopng.faults().requests();
        let first = dice.below(5) as usize;
        let doomed = [first, (first + 1 + dice.below(4) as usize) % SHARDS];
        // Only the leases that are waited for are short: a busy machine may not renew one in time.
        let ttl = |index| if doomed.contains(&index) { &["--lease-ttl", "15s"][..] } else { &[] };
        let mut running: Vec<Option<Running>> =
            (0..SHARDS).map(|index| Some(start(&site, index, ttl(index)))).collect();
        for (index, requests) in doomed.into_iter().zip([0, 20]) {
            let until = before + u64::from(requests + dice.between(1, 20));
            let one = running[index].take().unwrap();
            wait_until(|| site.ntopng.faults().requests() >= until || one.has_ended());
            one.kill();
        }
        let again: Vec<Running> = doomed.iter().map(|index| start(&site, *index, &[])).collect();
        let all = running.into_iter().flatten().chain(again);
        let reports: Vec<Value> = all.map(|running| report(&running.wait(), 0)).collect();
        assert!(landed(&reports).values().all(|count| *count == 1), "round {round}: {reports:#?}");
        let lake = site.fetch_lake();
        truth(&site).assert_is(&Truth::in_lake(&lake));
        assert_manifests(&lake);
        assert_eq!(landed(&[report(&site.run(&[]).run(), 0)]), BTreeMap::new(), "round {round}: all has landed");
        assert_eq!(s3.parts(), Vec::<String>::new(), "round {round}");
    }
}

/// Whatever the others have landed by then, a shard reads of the lookback what it would have read before them.
#[test]
fn one_after_the_other_shards_read_again_what_a_whole_run_does() {
    let alone = site(4, 0);
    // The first night, two days ago, was that of a whole run.
    let first = alone.now() - TimeDelta::days(2);
    report(&alone.run_at(first, &[]).run(), 0);
    let whole = outcomes(&[report(&alone.run(&[]).run(), 0)]);
    assert!(whole.values().any(|outcomes| outcomes == &["unchanged"]), "nothing was read again: {whole:#?}");
    let site = alone.with_new_folder();
    report(&site.run_at(first, &[]).run(), 0);
    let run = |index| report(&site.run(&["--shard", &shard(index)]).run(), 0);
    let reports: Vec<Value> = (0..SHARDS).rev().map(run).collect();
    let read = outcomes(&reports);
    for (slice, outcomes) in &whole {
        assert_eq!(read.get(slice), Some(outcomes), "{slice:?}");
    }
    assert!(read.values().all(|outcomes| outcomes.len() == 1), "{read:#?}");
}

/// Waits for what must come, however slow the machine is.
fn wait_until(has_come: impl Fn() -> bool) {
    let moments = (0..60_000).find(|_| {
        std::thread::sleep(Duration::from_millis(2));
        has_come()
    });
    assert!(moments.is_some(), "it never comes");
}

/// A window of each day has one row.
const DAILY: &str = "records: '.[]'
paginate: none
key: id
window: {every: 1d, start: 2025-12-01T00:00:00Z, as: epoch_s, from: query.from, to: query.to, time: to_timestamp_seconds(id)}";

#[test]
fn a_shard_keeps_out_whoever_divides_otherwise() {
    let s3 = S3::start();
    let is_free = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_free);
    // The first shard is at work until the others have come.
    let row = |request: &Request| Answer::json(&json!([{"id": request.number("from")}]));
    let bench = Bench::new(Api::start(move |request| row(request).once(Some(Arc::clone(&gate)))));
    bench.job(DAILY);
    let run = |more: &[&str]| {
        let arguments = ["run", "pipeline.yaml", "--state", "s3://lake/state", "--output", "json", "--now", NOW];
        s3.env(bench.workspace.tidegate(&[&arguments, more].concat())).spawn()
    };
    let first = run(&["--shard", "0/2"]);
    wait_until(|| !bench.api.asked().is_empty());
    let others = [&["--no-wait"][..], &["--no-wait", "--shard", "0/2"], &["--no-wait", "--shard", "1/3"]];
    for (how, hasty) in others.map(|how| (how, run(how))) {
        let hasty = hasty.wait();
        assert_eq!(hasty.code, Some(4), "{how:?}: {hasty:#?}");
        assert!(hasty.stderr.contains("another run of the pipeline is on for shard 0-of-2 (process "), "{hasty:#?}");
    }
    let patient = run(&[]);
    is_free.store(true, SeqCst);
    let reports = [first, patient].map(|running| json!([Ran::of(running.wait()).report]));
    assert!(reports.iter().all(|report| !landed(std::slice::from_ref(report)).is_empty()), "{reports:#?}");
    let all = landed(&reports);
    assert_eq!((all.len(), all.values().max()), (33, Some(&1)), "{all:#?}");
    assert_eq!(bench.lines().len(), 33);
}

#[test]
fn a_backfill_is_divided_too() {
    let site = site(4, 0);
    report(&site.run(&[]).run(), 0);
    let asked = ["backfill", "--from", "2026-01-04T00:00:00Z", "--to", "2026-01-07T00:00:00Z"];
    let backfill = |more: &[&str]| {
        let now = ["--now", "2026-01-08T02:15:00Z", "--state", "state", "--output", "json"];
        report(&site.tidegate(asked[0], &[&asked[1..], &now, more].concat()).run(), 0)
    };
    let shards: Vec<Value> = (0..SHARDS).map(|index| backfill(&["--shard", &shard(index)])).collect();
    let read = outcomes(&shards);
    assert!(read.values().all(|outcomes| outcomes.len() == 1), "{read:#?}");
    let whole = outcomes(&[backfill(&[])]);
    assert_eq!(read.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    assert!(read.values().any(|outcomes| outcomes == &["landed"]), "{read:#?}");
}

/// A desk with six alerts of each of ten days, in windows of a day, all of which are read again each time.
fn daily_desk() -> TicketBench {
    let it = TicketBench::new(0, Duration::from_millis(2), PLAIN);
    set_alerts(&it, "disk");
    let daily = "key: id\n    window: {every: 1d, start: 2026-01-01T00:00:00Z, lookback: 30d, as: epoch_s, from: query.from, \
                 to: query.to}";
    let file = std::fs::read_to_string(it.bench.workspace.path("pipeline.yaml")).unwrap();
    it.bench.workspace.write("pipeline.yaml", &file.replace("snapshot: every_run", daily));
    it
}

fn set_alerts(it: &TicketBench, text: &str) {
    let noon = |day: usize| 1_767_268_800 + 86_400 * day;
    it.desk().alerts = (0..60).map(|id| json!({"id": id, "text": text, "t": noon(id % 10)})).collect();
}

fn start_at_desk(it: &TicketBench, shard: &str) -> Running {
    let now = ["--now", "2026-01-11T12:00:00Z", "--state", "state", "--output", "json"];
    let run = it.bench.workspace.tidegate(&[&["run", "pipeline.yaml", "--shard", shard], &now[..]].concat());
    run.env("TOKEN", "a-token-of-the-desk").spawn()
}

/// Runs both shards at once, which must end with these codes: of the one that sends, and of the other. Returns them in that order.
fn both_at_desk(it: &TicketBench, codes: [i32; 2]) -> [Ran; 2] {
    let [one, other] = ["0/2", "1/2"].map(|shard| start_at_desk(it, shard)).map(|running| Ran::of(running.wait()));
    let sends = |ran: &Ran| ran.report["deliveries"].is_array();
    assert_ne!(sends(&one), sends(&other), "one of them sends: {one:?} {other:?}");
    let both = if sends(&one) { [one, other] } else { [other, one] };
    assert_eq!([both[0].code(), both[1].code()], codes, "{both:?}");
    both
}

/// With neither `find` nor a key that the desk knows again, a row that both shards sent would be two tickets.
#[test]
fn two_shards_and_one_sink_that_sends_make_one_ticket_of_an_alert() {
    let it = daily_desk();
    let [sender, other] = both_at_desk(&it, [0, 0]);
    checked(&sender.report);
    let name = sender.report["shard"].as_str().unwrap();
    for (ran, who) in [(&other, format!("shard {name}")), (&sender, "this shard".to_owned())] {
        let told = ran.report["jobs"][0]["warnings"].to_string();
        assert!(told.contains(&format!("rows for sink `tickets` are sent by {who} alone")), "{told}");
    }
    let (code, last) = it.deliver(&[]);
    assert_eq!((code, &last["left"]), (0, &json!(0)), "{last}");
    it.assert_one_each();
}

#[test]
fn rows_of_a_slice_that_another_shard_replaces_while_they_wait_are_sent_by_the_next_delivery() {
    let it = daily_desk();
    it.fault(|_, _| Mishap::Instead(503, "down"));
    let [sender, other] = both_at_desk(&it, [3, 0]);
    it.mend();
    set_alerts(&it, "disk, again");
    let is_open = Arc::new(AtomicBool::new(false));
    it.desk().gate = Some(Arc::clone(&is_open));
    let sending = start_at_desk(&it, sender.report["shard"].as_str().unwrap());
    wait_until(|| !it.desk().tickets.is_empty());
    let replaced = Ran::of(start_at_desk(&it, other.report["shard"].as_str().unwrap()).wait());
    assert_eq!(replaced.code(), 0, "{replaced:?}");
    assert!(replaced.slices().iter().all(|slice| slice["generation"] == 2), "{replaced:?}");
    is_open.store(true, SeqCst);
    let sent = Ran::of(sending.wait());
    assert_eq!(sent.code(), 0, "{sent:?}");
    assert!(checked(&sent.report)["left"].as_u64().unwrap() > 0, "{sent:?}");
    let (code, last) = it.deliver(&[]);
    assert_eq!((code, &last["left"]), (0, &json!(0)), "{last}");
    it.assert_one_each();
}

/// Shards that were killed and aren't repeated are dead to a whole run, and to one that divides otherwise.
#[test]
fn what_killed_shards_have_left_is_settled_by_who_comes_next() {
    let mut site = site(2, 20);
    let mut dice = Dice::new(20_260_112, 2);
    for next in [&[][..], &["--shard", "0/2"]] {
        site = site.with_new_folder();
        let before = site.ntopng.faults().requests();
        let until = before + u64::from(dice.between(20, 40));
        let three = [0, 1, 2].map(|index| site.run(&["--shard", &format!("{index}/3")]).spawn());
        wait_until(|| site.ntopng.faults().requests() >= until || three.iter().all(Running::has_ended));
        for running in three {
            running.kill();
        }
        let mut reports = vec![report(&site.run(&[&["--no-wait"], next].concat()).run(), 0)];
        if !next.is_empty() {
            reports.push(report(&site.run(&["--no-wait", "--shard", "1/2"]).run(), 0));
        }
        assert!(landed(&reports).values().all(|count| *count == 1), "{reports:#?}");
        truth(&site).assert_is(&Truth::in_lake(&site.lake()));
        assert_manifests(&site.lake());
        assert_eq!(landed(&[report(&site.run(&["--no-wait"]).run(), 0)]), BTreeMap::new());
    }
}

#[test]
fn an_indexed_job_says_which_shard_it_is() {
    let site = site(2, 0);
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
