//! Later runs of the shipped ntopng pipeline: what came late is landed again with its day, what is new by itself, and nothing twice.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::appliance::{Site, report, slices};
use crate::support::duck;
use crate::support::files::{assert_manifests, data_files, digests};
use crate::support::lake::{Truth, read};

const DAY: i64 = 86_400;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The row ids of the live files of one generation of a slice, by interface: `(ifid, row_id)`.
fn row_ids(site: &Site, file: &str) -> Vec<String> {
    read(&format!("SELECT ifid, row_id FROM read_json('{}/ntopng/flow_alerts_live/{file}')", site.lake().display()))
}

fn expected_ids(site: &Site, after: &[(i32, i64)]) -> Vec<String> {
    let ids = after.iter().flat_map(|(ifid, last)| {
        let rows = site.ntopng.flow_alerts(*ifid).into_iter().filter(move |row| row.row_id > *last);
        rows.map(move |row| json!({"ifid": ifid, "row_id": row.row_id}).to_string())
    });
    let mut ids: Vec<String> = ids.collect();
    ids.sort_unstable();
    ids
}

fn last_ids(site: &Site) -> Vec<(i32, i64)> {
    let last = |ifid| (ifid, site.ntopng.flow_alerts(ifid).last().map_or(0, |row| row.row_id));
    site.ntopng.config().interfaces.iter().map(|interface| last(interface.ifid)).collect()
}

/// The slices of a job that landed, with their generations: `20260107T000000Z ifid 0 g2`.
fn landed(report: &Value, job: &str) -> Vec<String> {
    let landed = slices(report, job).into_iter().filter(|slice| slice["outcome"] == "landed");
    let named = landed.map(|slice| {
        let (slice_begins, _) = slice["slice"].as_str().unwrap().rsplit_once('-').unwrap();
        format!("{slice_begins} {} g{}", slice["key"].as_str().unwrap(), slice["generation"])
    });
    named.collect()
}

/// The appliance's clock shows midnight while the exporter's is 20 minutes ahead: the day is landed as soon as it ended, and some of
/// its alerts aren't inserted yet.
#[test]
fn what_comes_late_is_landed_again_with_its_day() {
    let config = NtopngConfig {
        seed: 5,
        alerts: 240,
        hosts: 60,
        flows: 60,
        host_alerts: 20,
        days: 2,
        ..NtopngConfig::default()
    };
    let site = Site::new(config, "2026-01-08T00:00:00Z", "2026-01-06T00:00:00Z").hurried(&[]);
    let midnight = site.now().timestamp();
    report(&site.run_at(instant("2026-01-08T00:20:00Z"), &[]).run(), 0);
    let first = Truth::of(&site.ntopng, &(midnight - 2 * DAY..midnight), "2026-01-08");
    first.assert_is(&Truth::in_lake(&site.lake()));
    let (files, last) = (digests(&site.lake()), last_ids(&site));

    site.advance(60);
    site.ntopng.grow(200);
    let late = Truth::of(&site.ntopng, &(midnight - 2 * DAY..midnight), "2026-01-08");
    assert!(late.flow_alerts.len() > first.flow_alerts.len() + 10, "some of the new ones are yesterday's");
    let second = report(&site.run_at(instant("2026-01-08T01:00:00Z"), &[]).run(), 0);
    // The snapshot of the day has landed already.
    let expected = Truth { hosts: first.hosts.clone(), active_flows: first.active_flows.clone(), ..late };
    expected.assert_is(&Truth::in_lake(&site.lake()));
    assert_manifests(&site.lake());
    let again = [r#"20260107T000000Z {"ifid":0} g2"#, r#"20260107T000000Z {"ifid":1} g2"#];
    assert_eq!(landed(&second, "flow_alerts"), again);
    assert_eq!(row_ids(&site, &format!("*-s0-{}-*.jsonl.zst", last[0].1)), expected_ids(&site, &last[..1]));
    assert_eq!(row_ids(&site, &format!("*-s0-{}-*.jsonl.zst", last[1].1)), expected_ids(&site, &last[1..2]));
    only_yesterday_was_replaced(&files, &site);
    tomorrow(&site, &expected);
}

fn only_yesterday_was_replaced(before: &std::collections::BTreeMap<String, String>, site: &Site) {
    let now = digests(&site.lake());
    let data = |name: &&String| !name.contains("_tidegate/");
    let gone: Vec<&String> = before.keys().filter(data).filter(|name| !now.contains_key(*name)).collect();
    let new: Vec<&String> = now.keys().filter(data).filter(|name| !before.contains_key(*name)).collect();
    assert!(gone.iter().all(|name| name.contains("20260107T000000Z") && name.contains("-g1-")), "{gone:?}");
    assert!(gone.len() >= 4, "two interfaces, in the lake and in the feed: {gone:?}");
    let of_yesterday = |name: &&&String| name.contains("20260107T000000Z") && name.contains("-g2-");
    assert_eq!(new.iter().filter(of_yesterday).count(), gone.len(), "{gone:?} {new:?}");
    assert!(new.iter().all(|name| of_yesterday(&name) || name.contains("flow_alerts_live")), "{new:?}");
    assert!(
        before
            .iter()
            .filter(|(name, _)| data(name))
            .all(|(name, digest)| now.get(name).is_none_or(|now| now == digest))
    );
}

/// A day later: the day is landed, the one before it is read again and is as it was.
fn tomorrow(site: &Site, yesterday: &Truth) {
    let midnight = instant("2026-01-09T00:00:00Z").timestamp();
    site.advance(DAY / 2);
    site.ntopng.grow(30);
    site.advance(DAY / 2);
    site.ntopng.grow(50);
    let last = last_ids(site);
    let third = report(&site.run_at(instant("2026-01-09T00:20:00Z"), &[]).run(), 0);
    let truth = Truth::of(&site.ntopng, &(midnight - 3 * DAY..midnight), "2026-01-09");
    truth.with_snapshots_of(yesterday).assert_is(&Truth::in_lake(&site.lake()));
    assert_manifests(&site.lake());
    let new = [0, 1, 2].map(|ifid| format!(r#"20260108T000000Z {{"ifid":{ifid}}} g1"#));
    assert_eq!(landed(&third, "flow_alerts"), new);
    let unchanged = slices(&third, "flow_alerts").into_iter().filter(|slice| slice["outcome"] == "unchanged");
    assert!(unchanged.map(|slice| slice["slice"].as_str().unwrap()).all(|slice| slice.starts_with("20260107")));

    // Nothing has happened since: nothing lands, though the alerts of the last minutes are still to come.
    let (files, later) = (digests(&site.lake()), site.now() + TimeDelta::hours(2));
    let fourth = report(&site.run_at(later, &[]).run(), 0);
    assert_eq!(digests(&site.lake()), files);
    assert_eq!(landed(&fourth, "flow_alerts_live"), Vec::<String>::new());
    assert_eq!(last, last_ids(site));
}

/// ntopng forgets its oldest alerts: what has landed stays.
#[test]
fn a_history_that_was_purged_takes_nothing_out_of_the_lake() {
    let config =
        NtopngConfig { alerts: 120, hosts: 20, flows: 20, host_alerts: 20, days: 2, ..NtopngConfig::default() };
    let site = Site::new(config, "2026-01-08T00:20:00Z", "-2d").hurried(&[]);
    let jobs = ["--job", "flow_alerts", "--job", "host_alerts"];
    report(&site.run(&jobs).run(), 0);
    let files = digests(&site.lake());
    site.ntopng.wipe();
    let second = report(&site.run(&jobs).run(), 3);
    assert_eq!(digests(&site.lake()), files);
    let errors: Vec<&str> = slices(&second, "flow_alerts").iter().filter_map(|slice| slice["error"].as_str()).collect();
    assert!(!errors.is_empty() && errors.iter().all(|error| error.contains("--allow-shrink")), "{second:#}");
    report(&site.run(&[&jobs[..], &["--allow-shrink"]].concat()).run(), 0);
    let days = duck::rows(&format!(
        "SELECT DISTINCT ts_day FROM read_parquet('{}/ntopng/flow_alerts/**/*.parquet', hive_partitioning = true, hive_types = {{'ts_day': VARCHAR}})",
        site.lake().display()
    ));
    assert_eq!(days, [json!({"ts_day": "2026-01-06"})], "with the right to, the last day is emptied");
    assert_manifests_of_alerts(&site);
}

fn assert_manifests_of_alerts(site: &Site) {
    let listed = std::fs::read_to_string(site.lake().join("ntopng/flow_alerts/_tidegate/files.json")).unwrap();
    assert!(!listed.contains("20260107T000000Z"), "{listed}");
}

/// ntopng's data directory is wiped between two runs: row ids begin again at 1, and the alerts that follow land beside the old ones.
#[test]
fn a_wiped_appliance_begins_a_new_series_of_live_alerts() {
    let config = NtopngConfig { alerts: 160, hosts: 20, flows: 20, days: 2, ..NtopngConfig::default() };
    let site = Site::new(config, "2026-01-08T00:20:00Z", "-2d").hurried(&[("size: 500}", "size: 40}")]);
    let run = || report(&site.run(&["--job", "flow_alerts_live"]).run(), 0);
    run();
    let before = expected_ids(&site, &last_ids(&site).iter().map(|(ifid, _)| (*ifid, 0)).collect::<Vec<_>>());
    assert_eq!(row_ids(&site, "*.jsonl.zst"), before);
    let files = data_files(&site.lake());

    site.ntopng.wipe();
    let empty = run();
    assert_eq!(
        slices(&empty, "flow_alerts_live"),
        Vec::<&Value>::new(),
        "no alert at all is no proof of a reset: {empty:#}"
    );
    assert!(empty[0].to_string().find("was reset").is_none(), "{empty:#}");

    site.advance(60);
    site.ntopng.grow(25);
    let after = run();
    let warnings = after[0].to_string();
    assert!(warnings.contains(r#"the source of {\"ifid\":0} was reset: its newest id is "#), "{after:#}");
    let all: Vec<(i32, i64)> = last_ids(&site).iter().map(|(ifid, _)| (*ifid, 0)).collect();
    assert_eq!(row_ids(&site, "*-s1-0-*.jsonl.zst"), expected_ids(&site, &all));
    assert_eq!(row_ids(&site, "*-s0-0-*.jsonl.zst"), before, "nothing that landed is replaced");
    let now = data_files(&site.lake());
    assert!(files.iter().all(|(name, content)| now.get(name) == Some(content)), "{files:?}\n{now:?}");

    let again = run();
    assert_eq!(slices(&again, "flow_alerts_live"), Vec::<&Value>::new(), "the new series is remembered: {again:#}");
    let last = last_ids(&site);
    site.ntopng.grow(3);
    run();
    assert_eq!(row_ids(&site, &format!("*-s1-{}-*.jsonl.zst", last[0].1)), expected_ids(&site, &last[..1]));
}
