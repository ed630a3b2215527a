//! How jobs ended: each end settles what it was about, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::ends::{Ended, Ends, HowItFailed};
use super::lane::Lane;
use super::lease::Watch;
use super::summary::{DeliverySummary, JobSummary, RunOutcome, RunSummary};
use super::unread::{Unread, shortened, without};
use super::{Ledger, Stores};
use crate::model::{Asked, FanoutKey, JobName, PipelineName, Remedy, SinkName, Window};

fn at(hour: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour.into())
}

fn hours(from: u32, to: u32) -> Window {
    Window { from: at(from), to: at(to) }
}

fn job(name: &str, failed: u64) -> JobSummary {
    JobSummary {
        job: JobName::new(name),
        landed: 1,
        unchanged: 0,
        failed,
        rows: 1,
        error: (failed > 0).then(|| "status 500".to_owned()),
        remedy: None,
        lost: Vec::new(),
        left: false,
        unread: Vec::new(),
    }
}

/// Notes runs one after the other: the n-th ends in hour n.
#[derive(Default)]
struct Told {
    ends: Ends,
    runs: u32,
}

impl Told {
    fn of(&mut self, asked: Asked, lane: Lane) -> Ended {
        self.runs += 1;
        Ended { entry: self.runs.into(), run: format!("r{}", self.runs), at: at(self.runs), lane, asked }
    }

    fn shard(&mut self, lane: Lane, jobs: &[(&str, u64)]) {
        let of = self.of(Asked::new("run"), lane);
        let jobs = jobs.iter().map(|(name, failed)| job(name, *failed)).collect();
        self.ends.ended(&of, &RunSummary { jobs, ..RunSummary::bare("run", at(self.runs), RunOutcome::Done, None) });
    }

    fn run(&mut self, jobs: &[(&str, u64)]) {
        self.shard(Lane::WHOLE, jobs);
    }

    fn backfill(&mut self, window: Window, missing: bool, job: JobSummary) {
        let of = self.of(Asked { window: Some(window), missing, ..Asked::new("backfill") }, Lane::WHOLE);
        let jobs = vec![job];
        self.ends
            .ended(&of, &RunSummary { jobs, ..RunSummary::bare("backfill", at(self.runs), RunOutcome::Done, None) });
    }

    fn broke_off(&mut self, jobs: &[&str], outcome: RunOutcome) {
        let asked = Asked { jobs: jobs.iter().map(|job| JobName::new(*job)).collect(), ..Asked::new("run") };
        let of = self.of(asked, Lane::WHOLE);
        self.ends.ended(&of, &RunSummary::bare("run", at(self.runs), outcome, Some("no lease")));
    }

    /// The runs whose failures of a job haven't been made good.
    fn failed(&self, job: &str) -> Vec<String> {
        let ends = self.ends.job(&JobName::new(job));
        ends.map(|ends| ends.failures().iter().map(|failure| failure.of.run.clone()).collect()).unwrap_or_default()
    }

    fn well(&self, job: &str) -> Option<DateTime<Utc>> {
        self.ends.job(&JobName::new(job))?.well([])
    }
}

#[test]
fn an_interrupted_run_did_well_what_it_came_to_the_end_of() {
    let mut told = Told::default();
    let of = told.of(Asked::new("run"), Lane::WHOLE);
    let left = JobSummary { left: true, ..job("b", 0) };
    let jobs = vec![job("a", 0), left.clone(), JobSummary { left: true, ..job("c", 1) }];
    let sink = |name: &str, left| DeliverySummary {
        job: JobName::new("a"),
        sink: SinkName::new(name),
        left,
        refused: None,
        error: None,
        remedy: None,
    };
    let deliveries = vec![sink("first", 0), sink("second", 2)];
    let bare = RunSummary::bare("run", at(1), RunOutcome::Interrupted, None);
    told.ends.ended(&of, &RunSummary { jobs, deliveries, ..bare });
    let failures = |told: &Told, job: &str| {
        let failures = told.ends.job(&JobName::new(job)).unwrap().failures().iter();
        failures.map(|failure| (failure.how, failure.sink.clone())).collect::<Vec<_>>()
    };
    assert_eq!(failures(&told, "a"), [(HowItFailed::Interrupted, Some((SinkName::new("second"), 2)))]);
    assert_eq!(failures(&told, "b"), [(HowItFailed::Interrupted, None)]);
    assert_eq!(failures(&told, "c"), [(HowItFailed::Failed, None)], "what failed before the interruption did");
    let well = |sink: &str| told.ends.job(&JobName::new("a")).unwrap().well([&SinkName::new(sink)]);
    assert_eq!((well("first"), well("second"), told.well("b")), (Some(at(1)), None, None));
}

#[test]
fn a_run_of_one_job_says_nothing_of_another() {
    let mut told = Told::default();
    told.run(&[("a", 2), ("b", 1)]);
    told.run(&[("a", 0)]);
    assert_eq!((told.failed("a"), told.failed("b")), (vec![], vec!["r1".to_owned()]));
    assert_eq!((told.well("a"), told.well("b")), (Some(at(2)), None));
    told.run(&[("a", 0), ("b", 0)]);
    assert_eq!((told.failed("b"), told.well("b")), (vec![], Some(at(3))));
    assert_eq!(told.ends.job(&JobName::new("c")), None, "nothing is known of a job that never ran");
}

#[test]
fn a_shard_settles_its_own_failure_and_all_shards_together_settle_any() {
    let shard = |index, of| Lane::shard(index, of).unwrap();
    let mut told = Told::default();
    told.shard(shard(0, 2), &[("a", 1)]);
    told.shard(shard(1, 2), &[("a", 0)]);
    assert_eq!((told.failed("a"), told.well("a")), (vec!["r1".to_owned()], None));
    told.shard(shard(0, 2), &[("a", 0)]);
    assert_eq!((told.failed("a"), told.well("a")), (vec![], Some(at(2))), "the shard that ended well first counts");
    told.run(&[("a", 1)]);
    for index in 0..3 {
        assert_eq!(told.failed("a"), ["r4"]);
        told.shard(shard(index, 3), &[("a", 0)]);
    }
    assert_eq!((told.failed("a"), told.well("a")), (vec![], Some(at(5))));
    told.shard(shard(1, 3), &[("a", 1)]);
    assert_eq!(told.failed("a"), ["r8"]);
    told.run(&[("a", 0)]);
    assert_eq!((told.failed("a"), told.well("a")), (vec![], Some(at(9))));
}

#[test]
fn a_run_that_broke_off_or_died_is_a_failure_of_each_job_that_it_was_asked_for() {
    let mut told = Told::default();
    told.run(&[("a", 0), ("b", 0)]);
    told.broke_off(&["b", "c"], RunOutcome::Failed);
    let died = told.of(Asked { jobs: vec![JobName::new("a")], ..Asked::new("run") }, Lane::WHOLE);
    told.ends.died(&died);
    let how = |told: &Told, job: &str| told.ends.job(&JobName::new(job)).unwrap().failures()[0].how;
    assert_eq!(how(&told, "a"), HowItFailed::Died);
    assert_eq!((told.failed("b"), told.failed("c")), (vec!["r2".to_owned()], vec!["r2".to_owned()]));
    assert_eq!(told.well("b"), Some(at(1)), "when it last did well stays known");
    told.run(&[("b", 0)]);
    assert_eq!((told.failed("a").len(), told.failed("b").len(), told.failed("c").len()), (1, 0, 1));
    told.broke_off(&["a"], RunOutcome::Interrupted);
    assert_eq!((told.failed("a"), how(&told, "a")), (vec!["r5".to_owned()], HowItFailed::Interrupted));
    let vacuum = told.of(Asked::new("vacuum"), Lane::WHOLE);
    told.ends.died(&vacuum);
    assert_eq!((told.failed("a"), told.failed("b")), (vec!["r5".to_owned()], vec![]), "a vacuum is about no job");
}

#[test]
fn what_was_left_is_neither_well_nor_a_failure() {
    let mut told = Told::default();
    let of = told.of(Asked::new("run"), Lane::WHOLE);
    let jobs = vec![JobSummary { left: true, ..job("a", 0) }];
    told.ends.ended(&of, &RunSummary { jobs, ..RunSummary::bare("run", at(1), RunOutcome::Stopped, None) });
    let ends = told.ends.job(&JobName::new("a")).unwrap();
    assert_eq!(
        (ends.failures()[0].how, ends.failures()[0].how.is_failure(), ends.well([])),
        (HowItFailed::Stopped, false, None)
    );
}

#[test]
fn a_backfill_that_failed_stays_until_its_windows_were_read_or_a_later_one_covers_them() {
    let unread = |from, to| vec![Unread { key: None, window: hours(from, to) }];
    let failed = || JobSummary { unread: unread(2, 5), ..job("a", 3) };
    let a = JobName::new("a");
    let mut told = Told::default();
    told.backfill(hours(0, 5), true, failed());
    told.run(&[("a", 0)]);
    assert_eq!(told.failed("a"), ["r1"], "a run of what is due doesn't read them");
    told.backfill(hours(1, 5), true, job("a", 0));
    assert_eq!(told.failed("a"), ["r1"], "the first hour wasn't covered");
    for hour in [4, 2] {
        told.ends.was_read(&a, None, hours(hour, hour + 1));
        assert_eq!(told.failed("a"), ["r1"]);
    }
    assert_eq!(told.ends.job(&a).unwrap().failures()[0].windows, unread(3, 4));
    told.ends.was_read(&a, None, hours(3, 4));
    assert!(told.failed("a").is_empty(), "all of them were read");

    told.backfill(hours(0, 5), false, failed());
    told.backfill(hours(0, 9), true, job("a", 0));
    assert_eq!(told.failed("a"), ["r4"], "what had landed before was to be read again");
    told.backfill(hours(0, 9), false, job("a", 0));
    assert!(told.failed("a").is_empty());

    told.backfill(hours(0, 5), true, failed());
    told.run(&[("a", 1)]);
    told.run(&[("a", 0)]);
    assert_eq!(told.failed("a"), ["r7"], "only the failure of the run is made good");
}

#[test]
fn a_delivery_settles_its_own_sink() {
    let mut told = Told::default();
    let sink = |name: &str, error: Option<&str>| DeliverySummary {
        job: JobName::new("a"),
        sink: SinkName::new(name),
        left: if error.is_some() { 3 } else { 0 },
        refused: error.map(|_| 2),
        error: error.map(str::to_owned),
        remedy: None,
    };
    let deliver = |told: &mut Told, verb: &str, jobs: Vec<JobSummary>, deliveries| {
        let of = told.of(Asked::new(verb), Lane::WHOLE);
        told.ends.ended(&of, &RunSummary { jobs, deliveries, ..RunSummary::bare(verb, at(9), RunOutcome::Done, None) });
    };
    deliver(&mut told, "run", vec![job("a", 0)], vec![sink("x", Some("status 500")), sink("y", None)]);
    let ends = |told: &Told| told.ends.job(&JobName::new("a")).unwrap().clone();
    assert_eq!(ends(&told).failures()[0].sink, Some((SinkName::new("x"), 3)));
    assert_eq!(ends(&told).well(&[SinkName::new("y")]), Some(at(1)));
    assert_eq!(ends(&told).well(&[SinkName::new("x")]), None, "it has landed, and wasn't sent");
    told.run(&[("a", 0)]);
    assert_eq!(told.failed("a"), ["r1"]);
    deliver(&mut told, "deliver", Vec::new(), vec![sink("x", None)]);
    assert!(told.failed("a").is_empty());
    assert_eq!(ends(&told).well(&[SinkName::new("x"), SinkName::new("y")]), Some(at(1)));
}

#[test]
fn what_is_kept_of_a_job_stays_small_and_nothing_is_forgotten() {
    let mut told = Told::default();
    for hour in 0..100 {
        let unread = vec![Unread { key: None, window: hours(hour * 2, hour * 2 + 1) }];
        told.backfill(
            hours(hour * 2, hour * 2 + 1),
            true,
            JobSummary { unread, remedy: Some(Remedy::Change), ..job("a", 1) },
        );
    }
    let ends = told.ends.job(&JobName::new("a")).unwrap();
    assert_eq!(ends.failures().len(), 30);
    let oldest = &ends.failures()[0];
    assert_eq!((oldest.of.asked.window, oldest.slices), (Some(hours(0, 141)), 71));
    let text = serde_json::to_string(&told.ends).unwrap();
    assert_eq!(serde_json::from_str::<Ends>(&text).unwrap(), told.ends);
    told.backfill(hours(0, 300), true, job("a", 0));
    assert!(told.failed("a").is_empty());
}

proptest! {
    /// What is read is gone, and nothing else: hour by hour, for two fan-out values.
    #[test]
    fn windows_are_cut_and_merged_like_sets(all in prop::collection::vec((0_u32..2, 0_u32..40, 1_u32..9), 0..12), read in (0_u32..2, 0_u32..40, 1_u32..9)) {
        let key = |of: u32| FanoutKey::new([("host", of.into())]);
        let set = |some: &[Unread]| -> BTreeSet<(FanoutKey, u32)> {
            let within = |one: &Unread, hour| one.window.contains(at(hour)).then(|| (one.key.clone().unwrap(), hour));
            some.iter().flat_map(|one| (0..60).filter_map(move |hour| within(one, hour))).collect()
        };
        let all: Vec<Unread> = all.into_iter().map(|(of, from, long)| Unread { key: Some(key(of)), window: hours(from, from + long) }).collect();
        let merged = shortened(all.clone());
        prop_assert_eq!(set(&merged), set(&all));
        let (of, from, long) = read;
        let left = without(merged, Some(&key(of)), hours(from, from + long));
        let expected = set(&all).into_iter().filter(|(other, hour)| *other != key(of) || !(from..from + long).contains(hour)).collect();
        prop_assert_eq!(set(&left), expected);
    }
}

#[tokio::test]
async fn in_a_bucket_a_holder_is_dead_once_it_gave_no_sign_of_life_for_as_long_as_its_lease_lives() {
    let world = super::tests::World::new(Arc::new(object_store::memory::InMemory::new()));
    let asked = Asked { jobs: vec![JobName::new("a")], ..Asked::new("run") };
    let writer = world.ledger().asking(asked.clone()).acquire(Lane::WHOLE, false).await.unwrap();
    let (ledger, mut watch) = (world.ledger(), Watch::default());
    let state = ledger.read_state().await.unwrap();
    let none = BTreeSet::new();
    assert_eq!(ledger.dead(&state, &mut watch).unwrap(), none);
    world.uptime.advance(Duration::from_secs(59));
    assert_eq!(ledger.dead(&state, &mut watch).unwrap(), none);
    world.uptime.advance(Duration::from_secs(1));
    assert_eq!(ledger.dead(&state, &mut watch).unwrap(), BTreeSet::from([Lane::WHOLE]));
    assert_eq!(ledger.dead(&state, &mut Watch::default()).unwrap(), none, "who has just come to look doesn't know");
    assert_eq!(state.runs().next().unwrap().0.asked, Some(asked));
    drop(writer);
}

#[tokio::test]
async fn on_disk_a_free_lock_tells_that_a_holder_is_dead_and_looking_keeps_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let clock = Arc::new(crate::clock::ManualClock::new(DateTime::UNIX_EPOCH));
        let state = directory.path().to_str().unwrap();
        Ledger::open(state, PipelineName::new("p"), clock, &Stores::default()).unwrap()
    };
    let held = open().acquire(Lane::WHOLE, false).await.unwrap();
    let (ledger, mut watch) = (open(), Watch::default());
    let state = ledger.read_state().await.unwrap();
    assert!(ledger.dead(&state, &mut watch).unwrap().is_empty(), "its lock is held");
    // It vanishes: its lock goes, its lease doesn't.
    drop(held);
    while ledger.dead(&state, &mut watch).unwrap() != BTreeSet::from([Lane::WHOLE]) {
        tokio::task::yield_now().await;
    }
    open().acquire(Lane::WHOLE, false).await.unwrap().release().await.unwrap();
    let after = ledger.read_state().await.unwrap();
    assert!(ledger.dead(&after, &mut watch).unwrap().is_empty(), "nobody holds it any more");
}

#[test]
fn a_backfill_that_nobody_wants_any_more_is_dismissed_and_nothing_else_is() {
    let unread = |window| JobSummary { unread: vec![Unread { key: None, window }], ..job("a", 1) };
    let mut told = Told::default();
    told.run(&[("a", 1), ("b", 1)]);
    told.backfill(hours(0, 4), false, unread(hours(2, 3)));
    told.backfill(hours(6, 9), true, unread(hours(7, 8)));
    told.backfill(hours(6, 9), false, JobSummary { job: JobName::new("b"), ..unread(hours(6, 9)) });
    let dismissed = |told: &mut Told, job: Option<&str>, window, outcome| {
        let jobs = job.into_iter().map(JobName::new).collect();
        let of = told.of(Asked { jobs, window, ..Asked::new(Asked::DISMISS) }, Lane::WHOLE);
        let found: Vec<String> = told.ends.dismissed_by(&of.asked).map(|(_, failure)| failure.of.run.clone()).collect();
        told.ends.ended(&of, &RunSummary::bare(Asked::DISMISS, of.at, outcome, None));
        found
    };
    // A part of what was asked for isn't it, one of another job neither.
    assert_eq!(dismissed(&mut told, Some("a"), Some(hours(2, 3)), RunOutcome::Done), Vec::<String>::new());
    assert_eq!(dismissed(&mut told, Some("c"), None, RunOutcome::Done), Vec::<String>::new());
    assert_eq!(dismissed(&mut told, Some("a"), None, RunOutcome::Failed), ["r2", "r3"]);
    let died = told.of(Asked::new(Asked::DISMISS), Lane::WHOLE);
    told.ends.died(&died);
    assert_eq!((told.failed("a"), told.failed("b").len()), (["r1", "r2", "r3"].map(str::to_owned).to_vec(), 2));
    assert_eq!(dismissed(&mut told, Some("a"), Some(hours(6, 9)), RunOutcome::Done), ["r3"]);
    assert_eq!((told.failed("a"), told.failed("b").len()), (["r1", "r2"].map(str::to_owned).to_vec(), 2));
    assert_eq!(dismissed(&mut told, None, None, RunOutcome::Done), ["r2", "r4"]);
    assert_eq!((told.failed("a"), told.failed("b")), (vec!["r1".to_owned()], vec!["r1".to_owned()]));
    assert_eq!(told.well("a"), None, "nothing has done well by that");
}
