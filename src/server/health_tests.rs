//! How a pipeline is, by its ledger and the runs of this process.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::health::Health;
use super::known::Known;
use crate::ledger::{
    Entry, FORMAT, HowItFailed, JobSummary, Lane, LeaseEvent, LedgerState, Record, RunOutcome, RunSummary,
};
use crate::model::{Asked, Exit, JobName, PipelineName, RunEnd, RunId};
use crate::pipeline::check;
use crate::pipeline::load::{Lookup, Source};
use crate::pipeline::spec::Pipeline;

pub(super) fn at(hour: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
}

/// A log of one lane: the n-th entry is of hour n.
#[derive(Default)]
pub(super) struct Log {
    pub(super) state: LedgerState,
    lease: u64,
}

impl Log {
    fn add(&mut self, record: Record) {
        let sequence = self.state.sequence() + 1;
        let at = at(i64::try_from(sequence).unwrap());
        let (nonce, lease) = (String::new(), self.lease);
        let entry = Entry { format: FORMAT, sequence, nonce, lane: Lane::WHOLE, lease, at, records: vec![record] };
        self.state.apply(&entry).unwrap();
    }

    /// A run begins, which was asked for some jobs; by an older version, where that isn't said.
    pub(super) fn begins(&mut self, asked: Option<&[&str]>) {
        self.lease += 1;
        let asked = asked.map(|jobs| Asked { jobs: names(jobs), ..Asked::new("run") });
        let holder = "process 1 on a host".to_owned();
        self.add(Record::Lease(LeaseEvent::Taken { holder, adopts: Vec::new(), ttl_ms: None, asked }));
    }

    /// It ends, with these jobs and how many slices failed of each.
    pub(super) fn ends(&mut self, jobs: &[(&str, u64)]) {
        let outcome =
            if jobs.iter().any(|(_, failed)| *failed > 0) { RunOutcome::SomeFailed } else { RunOutcome::Done };
        let jobs = jobs.iter().map(|(job, failed)| JobSummary {
            job: JobName::new(*job),
            landed: 1,
            unchanged: 0,
            failed: *failed,
            rows: 1,
            error: (*failed > 0).then(|| "s: status 500".to_owned()),
            remedy: None,
            lost: Vec::new(),
            left: false,
            unread: Vec::new(),
        });
        let bare = RunSummary::bare("run", at(0), outcome, None);
        self.add(Record::Ran(RunSummary { jobs: jobs.collect(), ..bare }));
        self.add(Record::Lease(LeaseEvent::Released));
    }

    pub(super) fn run(&mut self, jobs: &[(&str, u64)]) {
        let named: Vec<&str> = jobs.iter().map(|(job, _)| *job).collect();
        self.begins(Some(&named));
        self.ends(jobs);
    }

    pub(super) fn known(self, pipeline: Option<&Pipeline>, dead: &[Lane]) -> Known {
        Known::of(pipeline, self.state, dead.iter().copied().collect::<BTreeSet<_>>(), at(99))
    }
}

fn names(jobs: &[&str]) -> Vec<JobName> {
    jobs.iter().map(|job| JobName::new(*job)).collect()
}

/// An environment with nothing in it.
struct Nothing;

impl Lookup for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files".to_owned())
    }
}

/// A pipeline whose job `parent` feeds `child` and lands nothing itself; `other` is on its own.
fn pipeline() -> Pipeline {
    let text = "version: 1
name: p
source: {base_url: 'http://h'}
jobs:
  parent: {get: /p, paginate: none, records: '.[]'}
  child:
    for_each: {rows_of: parent, as: one, key: id}
    get: /c/{{ one.id }}
    paginate: none
    records: '.[]'
    snapshot: latest
    sinks: {lake: {jsonl: {url: ./lake/child}}}
  other: {get: /o, paginate: none, records: '.[]', snapshot: latest, sinks: {lake: {jsonl: {url: ./lake/other}}}}
";
    check::load(&Source { name: "p.yaml".to_owned(), text: text.to_owned() }, &Nothing).unwrap().pipeline
}

fn health(log: Log, dead: &[Lane], own: &[RunEnd]) -> Health {
    let pipeline = pipeline();
    Health::of(Some(&pipeline), &log.known(Some(&pipeline), dead), own)
}

/// What failed, as `jobs: how: error`.
fn failed(health: &Health) -> Vec<String> {
    let one = |one: &super::health::JobFailure| {
        let jobs: Vec<&str> = one.jobs.iter().map(JobName::as_str).collect();
        format!("{}: {:?}: {}", jobs.join(" "), one.failure.how, one.failure.error.as_deref().unwrap_or("-"))
    };
    health.failures.iter().map(one).collect()
}

#[test]
fn a_run_of_the_parent_alone_makes_nothing_good() {
    let mut log = Log::default();
    log.run(&[("parent", 1), ("child", 1), ("other", 0)]);
    log.run(&[]);
    let health = health(log, &[], &[]);
    assert_eq!(
        failed(&health),
        ["child: Failed: s: status 500"],
        "the parent lands nothing, so it isn't told by itself"
    );
    assert_eq!((health.success, health.last, health.has_failed()), (None, Some(at(5)), true));
    assert!(health.never.is_empty());
}

#[test]
fn a_run_whose_lane_is_free_has_died_and_so_has_one_after_which_another_began() {
    let begun = || {
        let mut log = Log::default();
        log.begins(Some(&["child", "other"]));
        log
    };
    let elsewhere = health(begun(), &[], &[]);
    assert!(elsewhere.failures.is_empty(), "it may still go on");
    let dead = health(begun(), &[Lane::WHOLE], &[]);
    assert_eq!(failed(&dead), ["child other: Died: -"], "it is one failure");
    assert_eq!((dead.failures[0].failure.of.run.as_str(), dead.last), ("1", None));
    let mut log = begun();
    log.ends(&[("child", 0), ("other", 0)]);
    log.begins(Some(&[]));
    let nothing = health(log, &[Lane::WHOLE], &[]);
    assert!(nothing.failures.is_empty(), "a run that was to land nothing is about no job");
    let mut log = begun();
    log.run(&[("child", 0)]);
    let after = health(log, &[], &[]);
    assert_eq!((failed(&after), after.success), (vec!["other: Died: -".to_owned()], None));
}

#[test]
fn all_is_well_since_the_job_that_did_well_first() {
    let mut log = Log::default();
    log.run(&[("child", 0), ("other", 0)]);
    log.run(&[("other", 0)]);
    let well = health(log, &[], &[]);
    assert_eq!((well.success, well.last, well.is_well()), (Some(at(2)), Some(at(5)), true));
    let mut log = Log::default();
    log.run(&[("child", 0)]);
    let part = health(log, &[], &[]);
    assert_eq!(
        (part.success, part.never, part.failures.len()),
        (None, names(&["other"]), 0),
        "a job that never ran isn't well"
    );
}

#[test]
fn what_an_older_version_wrote_is_taken_for_all_jobs() {
    for (failures, expected) in [(0, (0, Some(at(2)))), (1, (2, None))] {
        let mut log = Log::default();
        log.begins(None);
        log.ends(&[("gone", failures)]);
        let health = health(log, &[], &[]);
        let jobs: usize = health.failures.iter().map(|one| one.jobs.len()).sum();
        assert_eq!((jobs, health.success), expected);
    }
}

fn own(hour: i64, exit_code: Exit, jobs: &[&str]) -> RunEnd {
    RunEnd {
        pipeline: PipelineName::new("p"),
        run: RunId::new("own"),
        asked: Asked { jobs: names(jobs), ..Asked::new("run") },
        scheduled_for: None,
        started: at(hour),
        ended: at(hour),
        exit_code,
        error: Some("no ledger".to_owned()),
        remedy: None,
        report: None,
    }
}

#[test]
fn what_the_ledger_doesnt_tell_of_counts_until_it_tells_of_something_newer() {
    let log = || {
        let mut log = Log::default();
        log.run(&[("child", 0), ("other", 0)]);
        log
    };
    let newer = health(log(), &[], &[own(5, Exit::NothingLanded, &["child", "other"])]);
    assert_eq!(failed(&newer), ["child other: Failed: no ledger"]);
    assert_eq!((newer.success, newer.last), (Some(at(2)), Some(at(5))));
    let mut then = log();
    then.run(&[("other", 0)]);
    let after = health(then, &[], &[own(4, Exit::NothingLanded, &["child", "other"])]);
    assert_eq!(failed(&after), ["child: Failed: no ledger"]);
    let held = health(log(), &[], &[own(5, Exit::Held, &["child", "other"])]);
    assert_eq!((failed(&held), held.last), (Vec::new(), Some(at(2))), "another run does its work");
    let refused = health(log(), &[], &[own(5, Exit::Refused, &[])]);
    assert_eq!((failed(&refused), refused.success), (vec![": Failed: no ledger".to_owned()], Some(at(2))));
    assert_eq!(refused.failures[0].failure.how, HowItFailed::Failed);
}
