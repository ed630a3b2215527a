//! Power cuts, interruptions and runs that meet: a process is killed at random moments of its life, and the run after it leaves what
//! an undisturbed one would have, file by file and byte by byte.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::Value;
use tidegate::appliance::dice::Dice;
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::appliance::{Site, report};
use crate::support::files::{assert_manifests, data_files, digests};
use crate::support::lake::Truth;

/// How many lakes are made by processes that are killed.
fn rounds() -> u64 {
    std::env::var("TIDEGATE_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

/// An appliance that takes its time to answer, and two days of it.
fn site(latency: u64) -> Site {
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
    Site::new(config, "2026-01-08T02:15:00Z", "-2d").hurried(&[("size: 500}", "size: 40}")])
}

fn truth(site: &Site) -> Truth {
    let midnight = site.now().timestamp() - 8100;
    Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08")
}

/// Fails if the run left anything behind where no reader looks.
fn assert_no_leftovers(site: &Site) {
    let staged: Vec<String> =
        digests(&site.lake()).into_keys().filter(|name| name.contains(".tidegate-staged")).collect();
    assert_eq!(staged, Vec::<String>::new(), "staged files");
    let odd: Vec<String> =
        digests(&site.workspace.path("state")).into_keys().filter(|name| !name.ends_with(".json")).collect();
    assert_eq!(odd, Vec::<String>::new(), "files of the state");
    assert_eq!(fs::read_dir(site.workspace.path("temporary")).unwrap().count(), 0, "temporary files");
}

fn temporary(site: &Site) -> impl AsRef<Path> + use<> {
    let path = site.workspace.path("temporary");
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn killed_at_any_moment_a_run_leaves_what_an_undisturbed_one_would() {
    let mut site = site(3);
    let began = Instant::now();
    report(&site.run(&[]).run(), 0);
    let mut whole = u32::try_from(began.elapsed().as_millis()).unwrap();
    truth(&site).assert_is(&Truth::in_lake(&site.lake()));
    let undisturbed = data_files(&site.lake());
    let mut dice = Dice::new(20_260_108, rounds());
    let (mut killed, mut ended) = (0, 0);
    for round in 0..rounds() {
        site = site.with_new_folder();
        let mut moments = Vec::new();
        for _ in 0..dice.between(1, 4) {
            let moment = dice.below(whole + whole / 8);
            moments.push(moment);
            let running = site.run(&[]).env("TMPDIR", temporary(&site)).spawn();
            std::thread::sleep(Duration::from_millis(moment.into()));
            let outcome = running.kill();
            assert!(matches!(outcome.code, None | Some(0)), "{outcome:#?}");
            if outcome.code.is_none() {
                killed += 1;
            } else {
                // The machine is less busy than it was when the whole run was measured: aim earlier.
                ended += 1;
                whole = whole.min(moment.max(50));
            }
        }
        // A process that is gone holds nothing: there is no need to wait for it.
        let outcome = site.run(&["--no-wait"]).env("TMPDIR", temporary(&site)).run();
        assert_eq!(outcome.code, Some(0), "round {round}, killed after {moments:?} ms of {whole}: {outcome:#?}");
        assert_eq!(
            data_files(&site.lake()),
            undisturbed,
            "round {round}, killed after {moments:?} ms of {whole}: {outcome:#?}"
        );
        assert_manifests(&site.lake());
        assert_no_leftovers(&site);
    }
    truth(&site).assert_is(&Truth::in_lake(&site.lake()));
    assert!(killed > 0, "{killed} killed, {ended} had ended before");
}

/// Yesterday is landed again and again, since some of it came late, by processes that are killed: the lists of files are true at any
/// moment, and once a run has ended the lake is too.
#[test]
fn wherever_a_run_is_killed_the_lists_of_files_are_true() {
    let config =
        NtopngConfig { alerts: 160, hosts: 30, flows: 30, host_alerts: 30, days: 2, ..NtopngConfig::default() };
    let site = Site::new(config, "2026-01-08T00:00:00Z", "2026-01-06T00:00:00Z").hurried(&[]);
    let midnight = site.now().timestamp();
    // The exporter's clock is ahead: the day is landed before its last alerts are inserted.
    let now = site.now() + TimeDelta::minutes(20);
    report(&site.run_at(now, &[]).run(), 0);
    let snapshots = Truth::of(&site.ntopng, &(0..0), "2026-01-08");
    let mut dice = Dice::new(7, rounds());
    for _ in 0..rounds() {
        site.advance(9);
        site.ntopng.grow(60);
        let running = site.run_at(now, &[]).spawn();
        std::thread::sleep(Duration::from_millis(dice.between(150, 1000).into()));
        running.kill();
        assert_listed_files_are_there(&site);
    }
    let last = report(&site.run_at(now, &["--no-wait"]).run(), 0);
    let truth = Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08");
    let truth = Truth { hosts: snapshots.hosts, active_flows: snapshots.active_flows, ..truth };
    truth.assert_is(&Truth::in_lake(&site.lake()));
    assert_manifests(&site.lake());
    let generations =
        digests(&site.lake()).into_keys().filter(|name| name.contains("20260107T000000Z") && !name.contains("-g1-"));
    assert!(generations.count() >= 2, "{last:#}");
}

fn assert_listed_files_are_there(site: &Site) {
    let on_disk = digests(&site.lake());
    let lists: Vec<&String> = on_disk.keys().filter(|name| name.ends_with("_tidegate/files.json")).collect();
    assert_eq!(lists.len(), 8, "{on_disk:?}");
    for list in lists {
        let manifest: Value = serde_json::from_slice(&fs::read(site.lake().join(list)).unwrap()).unwrap();
        let set = list.strip_suffix("_tidegate/files.json").unwrap();
        let mut slices = Vec::new();
        for file in manifest["files"].as_array().unwrap() {
            let name = format!("{set}{}", file["path"].as_str().unwrap());
            assert_eq!(on_disk.get(&name).map(String::as_str), file["sha256"].as_str(), "{name}");
            slices.push(file["slice"].as_str().unwrap().to_owned());
        }
        let listed = slices.len();
        slices.sort_unstable();
        slices.dedup();
        assert_eq!(slices.len(), listed, "{set}: a list has one generation of a slice, here in one file: {manifest:#}");
    }
}

#[test]
fn interrupted_a_run_says_so_and_the_next_one_goes_on() {
    let mut site = site(10);
    report(&site.run(&[]).run(), 0);
    let undisturbed = data_files(&site.lake());
    for requests in [2, 12] {
        site = site.with_new_folder();
        let before = site.ntopng.faults().requests();
        let running = site.run(&[]).env("TMPDIR", temporary(&site)).spawn();
        site.wait_for_requests(before, requests);
        running.signal("INT");
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(130), "{outcome:#?}");
        let said = outcome.stderr.strip_prefix("error: ntopng: interrupted; ").unwrap();
        let slices = said.strip_suffix(" landed, and what landed stays: run again for the rest\n").unwrap();
        assert!(slices.ends_with(" slices") || slices == "1 slice", "{said}");
        report(&site.run(&["--no-wait"]).env("TMPDIR", temporary(&site)).run(), 0);
        assert_eq!(data_files(&site.lake()), undisturbed);
        assert_no_leftovers(&site);
    }
}

#[test]
fn of_two_runs_one_lands_and_the_other_waits_or_leaves() {
    let site = site(25);
    let first = site.run(&[]).spawn();
    site.wait_for_requests(0, 4);
    let hasty = site.run(&["--no-wait"]).run();
    assert_eq!(hasty.code, Some(4), "{hasty:#?}");
    let (said, what_to_do) = hasty.stderr.rsplit_once(": ").unwrap();
    assert!(said.starts_with("error: ntopng: another run of the pipeline is on (process "), "{said}");
    assert_eq!(what_to_do, "wait for it to end\n");
    let patient = site.run(&[]).spawn();
    let first = report(&first.wait(), 0);
    assert!(first.to_string().contains(r#""outcome":"landed""#), "{first:#}");
    let files = digests(&site.lake());
    let patient = report(&patient.wait(), 0);
    assert!(!patient.to_string().contains(r#""outcome":"landed""#), "{patient:#}");
    assert_eq!(digests(&site.lake()), files);
    truth(&site).assert_is(&Truth::in_lake(&site.lake()));
}
