//! One pipeline that replaces a slice and lands another, stopped before each of its writes to a bucket or a disk: killed there, or
//! frozen while another run takes over. And clocks that jump.

mod disk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::appliance::report;
use crate::support::files::data_files;
use crate::support::s3::{S3, Target};
use crate::support::workspace::{Outcome, Run, Running, Workspace};

/// For a run that is to be killed or frozen: the next one waits for so long. A busy machine may not get to renew it in time.
const DOOMED: &[&str] = &["--lease-ttl", "1s"];

const FIRST: &str = "2026-01-02T12:00:00Z";
const SECOND: &str = "2026-01-03T12:00:00Z";

/// An API whose rows of a day change with its edition, and a folder to export it in.
struct Shop {
    workspace: Workspace,
    api: Api,
    edition: Arc<AtomicUsize>,
    /// Whether nobody is answered.
    closed: Arc<AtomicBool>,
}

impl Shop {
    fn new() -> Self {
        let (edition, closed) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicBool::new(false)));
        let (told, shut) = (Arc::clone(&edition), Arc::clone(&closed));
        let api = Api::start(move |request| {
            let day = request.query["from"].get(..10).unwrap().to_owned();
            let edition = told.load(Ordering::SeqCst);
            let part = |id: usize| if id.is_multiple_of(2) { "x" } else { "y/z" };
            let row = |id: usize| json!({"id": id, "part": part(id), "day": day, "edition": edition});
            while shut.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let rows: Vec<Value> = (0..6).map(row).chain([json!({"id": "bad", "part": "x"})]).collect();
            Answer::json(&json!(rows))
        });
        Self { workspace: Workspace::new(), api, edition, closed }
    }

    /// Writes the pipeline file of a lake, and returns its name.
    fn pipeline(&self, lake: &str) -> String {
        let name = format!("{}.yaml", lake.rsplit('/').next().unwrap());
        if self.workspace.path(&name).exists() {
            return name;
        }
        self.workspace.write(
            &name,
            &format!(
                "version: 1
name: shop
source: {{base_url: '{}', retry: {{attempts: 1}}}}
jobs:
  rows:
    get: /rows
    query: {{from: '', to: ''}}
    records: '.[]'
    paginate: none
    window: {{every: 1d, start: 2026-01-01T00:00:00Z, lookback: 1d, as: rfc3339, from: query.from, to: query.to}}
    schema: {{columns: {{id: int64}}}}
    sinks:
      lake: {{jsonl: {{url: '{lake}/a', partition_by: [part]}}}}
      feed: {{csv: {{url: '{lake}/b'}}, where: id > 1}}
",
                self.api.url()
            ),
        );
        name
    }

    fn run(&self, lake: &str, now: &str, more: &[&str]) -> Run<'_> {
        let (pipeline, state) = (self.pipeline(lake), format!("{lake}/state"));
        let arguments = ["run", &pipeline, "--state", &state, "--now", now, "--output", "json"];
        self.workspace.tidegate(&[&arguments[..], more].concat())
    }

    fn start(&self, s3: Option<&S3>, lake: &str, now: &str, more: &[&str]) -> Running {
        let run = self.run(lake, now, more);
        match s3 {
            Some(s3) => s3.env(run).spawn(),
            None => run.spawn(),
        }
    }

    /// Lands the first day, has the API say otherwise, and returns what an undisturbed second run leaves, and its writes.
    fn undisturbed(&self, s3: &S3) -> (BTreeMap<String, Vec<u8>>, usize) {
        self.first(Some(s3), "s3://lake/undisturbed");
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&writes);
        s3.hook(move |request| {
            counted.fetch_add(usize::from(writes_to(&request.method)), Ordering::SeqCst);
            None
        });
        let second = report(&self.start(Some(s3), "s3://lake/undisturbed", SECOND, &[]).wait(), 0);
        s3.unhook();
        assert_eq!(ended(&second), ["landed", "landed"], "{second:#}");
        (objects(s3, "undisturbed"), writes.load(Ordering::SeqCst))
    }

    fn first(&self, s3: Option<&S3>, lake: &str) {
        self.edition.store(1, Ordering::SeqCst);
        report(&self.start(s3, lake, FIRST, &[]).wait(), 0);
        self.edition.store(2, Ordering::SeqCst);
    }

    /// Runs again, and sees that all is as if nothing had happened.
    fn assert_settles(&self, s3: &S3, name: &str, expected: &BTreeMap<String, Vec<u8>>, said: &str) {
        let again = self.start(Some(s3), &format!("s3://lake/{name}"), SECOND, &[]).wait();
        assert_eq!(again.code, Some(0), "{said}: {again:#?}");
        assert_adds_up(&report(&again, 0));
        assert_eq!(&objects(s3, name), expected, "{said}: {again:#?}");
        let list = |set: &str| s3.objects(&format!("{name}/{set}/_tidegate")).into_values().next().unwrap();
        assert_eq!(listed(list), expected.keys().cloned().collect::<Vec<_>>(), "{said}");
        assert_eq!(s3.parts(), Vec::<String>::new(), "{said}");
    }
}

fn writes_to(method: &str) -> bool {
    ["PUT", "POST", "DELETE"].contains(&method)
}

fn ended(report: &Value) -> Vec<&str> {
    let slices = report[0]["jobs"][0]["slices"].as_array().unwrap();
    slices.iter().map(|slice| slice["outcome"].as_str().unwrap()).collect()
}

/// Every row that was received is counted once, and each sink has what it was given.
fn assert_adds_up(report: &Value) {
    for slice in report[0]["jobs"][0]["slices"].as_array().unwrap() {
        let count = |name: &str| slice["rows"][name].as_u64().unwrap_or_default();
        let parts = ["decoded", "quarantined", "outside_window", "read_again"].map(count);
        assert_eq!((count("received"), parts.iter().sum::<u64>()), (7, 7), "{slice:#}");
        for (name, sink) in slice["sinks"].as_object().unwrap() {
            let count = |name: &str| sink[name].as_u64().unwrap_or_default();
            assert_eq!(count("landed") + count("filtered"), slice["rows"]["transformed"], "{name}: {slice:#}");
        }
    }
}

/// A name without its generation, of which a lake has one.
fn nameless(key: &str) -> String {
    let (before, after) = key.rsplit_once("-g").unwrap_or_else(|| panic!("{key} is no file of ours"));
    format!("{before}-g#-{}", after.split_once('-').unwrap().1)
}

/// Of the files of a lake, by their names below it, the data and the quarantine, by their names up to the generation.
fn data(found: impl IntoIterator<Item = (String, Vec<u8>)>) -> BTreeMap<String, Vec<u8>> {
    let mut data = BTreeMap::new();
    for (key, bytes) in found {
        if key.contains("_tidegate/") || (key.starts_with("state/") && !key.contains("/quarantine/")) {
            continue;
        }
        assert_eq!(data.insert(nameless(&key), bytes), None, "two generations of {key}");
    }
    data
}

fn objects(s3: &S3, lake: &str) -> BTreeMap<String, Vec<u8>> {
    let below = |key: &str| key.strip_prefix(lake).unwrap().trim_start_matches('/').to_owned();
    data(s3.objects(lake).into_iter().map(|(key, bytes)| (below(&key), bytes)))
}

/// What the lists of files name, each of which is read by the folder of its data set.
fn listed(read: impl Fn(&str) -> Vec<u8>) -> Vec<String> {
    let mut names = Vec::new();
    for set in ["a", "b", "state/shop/quarantine"] {
        let list: Value = serde_json::from_slice(&read(set)).unwrap();
        let files = list["files"].as_array().unwrap().iter();
        names.extend(files.map(|file| format!("{set}/{}", nameless(file["path"].as_str().unwrap()))));
    }
    names.sort();
    names
}

fn is_night() -> bool {
    std::env::var_os("TIDEGATE_KILL_ROUNDS").is_some()
}

/// Which of so many places are tried: about as many as `few`, and all of them at night.
fn some_of(places: usize, few: usize) -> impl Iterator<Item = usize> {
    (1..=places).step_by(if is_night() { 1 } else { places.div_ceil(few).max(1) })
}

/// Sends a process a signal before its `nth` write.
fn signal_before(s3: &S3, nth: usize, signal: &'static str) -> Target {
    let writes = AtomicUsize::new(0);
    s3.signal_at(signal, move |request| writes_to(&request.method) && writes.fetch_add(1, Ordering::SeqCst) + 1 == nth)
}

fn kill_before_writes(s3: &S3, few: usize) {
    let shop = Shop::new();
    let (expected, writes) = shop.undisturbed(s3);
    assert!(writes > 15, "{writes}");
    let mut killed = 0;
    for nth in some_of(writes, few) {
        let (name, said) = (format!("killed-{nth}"), format!("killed before write {nth} of {writes}"));
        shop.first(Some(s3), &format!("s3://lake/{name}"));
        let process = signal_before(s3, nth, "KILL");
        let running = shop.start(Some(s3), &format!("s3://lake/{name}"), SECOND, DOOMED);
        process.is(&running);
        let outcome = running.wait();
        s3.unhook();
        let is_late = outcome.stdout.contains("it wasn't renewed for");
        assert!(matches!(outcome.code, None | Some(0)) || is_late, "{said}: {outcome:#?}");
        killed += usize::from(outcome.code.is_none());
        shop.assert_settles(s3, &name, &expected, &said);
    }
    assert!(killed > 0);
}

/// The frozen run wakes up after another has ended its work, and makes the write that it was about to make.
fn freeze_before_writes(s3: &S3, few: usize) {
    let shop = Shop::new();
    let (expected, writes) = shop.undisturbed(s3);
    let (mut lost, mut tried) = (0, 0);
    for nth in some_of(writes, few) {
        tried += 1;
        let (name, said) = (format!("frozen-{nth}"), format!("frozen before write {nth} of {writes}"));
        let lake = format!("s3://lake/{name}");
        shop.first(Some(s3), &lake);
        let process = signal_before(s3, nth, "STOP");
        let frozen = shop.start(Some(s3), &lake, SECOND, DOOMED);
        process.is(&frozen);
        let other = shop.start(Some(s3), &lake, SECOND, &[]).wait();
        s3.unhook();
        // The other is counted as well, so that it may be the one that stands still: then it is the first that ends.
        assert_eq!(other.code, Some(0), "{said}: {other:#?}");
        frozen.signal("CONT");
        let woken: Outcome = frozen.wait();
        if woken.code != Some(0) {
            assert!(
                format!("{woken:?}").contains("is lost") || format!("{woken:?}").contains("no longer"),
                "{woken:#?}"
            );
            lost += 1;
        }
        shop.assert_settles(s3, &name, &expected, &said);
    }
    // Of a few places each may be one where there is no lease yet, or nothing left to write.
    assert!(lost > 0 || tried < 7, "none of {tried} lost its lease");
}

#[test]
fn killed_before_any_write_to_a_bucket_a_run_leaves_what_an_undisturbed_one_would() {
    kill_before_writes(&S3::start(), 8);
}

#[test]
fn killed_before_any_write_to_moto_a_run_leaves_what_an_undisturbed_one_would() {
    kill_before_writes(&S3::moto(), 4);
}

#[test]
fn a_run_that_was_frozen_for_longer_than_its_lease_changes_nothing() {
    freeze_before_writes(&S3::start(), 8);
}

#[test]
fn a_run_that_was_frozen_for_longer_than_its_lease_changes_nothing_in_moto() {
    freeze_before_writes(&S3::moto(), 3);
}

/// On a disk the lock lasts as long as the process, so that nobody takes over from one that only stands still.
#[test]
fn a_frozen_run_on_a_disk_keeps_its_lane() {
    let shop = Shop::new();
    report(&shop.start(None, "./calm", SECOND, &[]).wait(), 0);
    shop.closed.store(true, Ordering::SeqCst);
    let frozen = shop.start(None, "./lake", SECOND, &[]);
    let lock = shop.workspace.path("lake/state/shop/log/00000000000000000001.json");
    while !lock.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    frozen.signal("STOP");
    let other = shop.start(None, "./lake", SECOND, &["--no-wait"]).wait();
    shop.closed.store(false, Ordering::SeqCst);
    frozen.signal("CONT");
    let woken = frozen.wait();
    assert_eq!((other.code, woken.code), (Some(4), Some(0)), "{other:#?} {woken:#?}");
    for set in ["a", "b"] {
        assert_eq!(
            data_files(&shop.workspace.path("lake").join(set)),
            data_files(&shop.workspace.path("calm").join(set))
        );
    }
}

#[test]
fn a_clock_that_jumps_back_and_forth_loses_and_doubles_nothing() {
    let shop = Shop::new();
    let last = "2026-01-06T12:00:00Z";
    let calm = report(&shop.start(None, "./calm", last, &[]).wait(), 0);
    assert_eq!(ended(&calm), ["landed"; 5]);
    for (now, landed) in [
        (SECOND, 2),
        (FIRST, 0),
        ("2025-12-01T00:00:00Z", 0),
        ("2026-01-05T23:59:59Z", 2),
        (SECOND, 0),
        (last, 1),
        (FIRST, 0),
        (last, 0),
    ] {
        let jumped = report(&shop.start(None, "./lake", now, &[]).wait(), 0);
        assert_adds_up(&jumped);
        let ended = ended(&jumped);
        assert_eq!(ended.iter().filter(|outcome| **outcome == "landed").count(), landed, "{now}: {jumped:#}");
    }
    for set in ["a", "b", "state/shop/quarantine"] {
        let (lake, calm) = (shop.workspace.path("lake").join(set), shop.workspace.path("calm").join(set));
        assert_eq!(data_files(&lake), data_files(&calm), "{set}");
    }
}
