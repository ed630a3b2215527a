//! How a pipeline is: what failed of its jobs and hasn't been made good, and since when all of it is well. The page and the metrics say the
//! same.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::known::Known;
use crate::ledger::{Ended, Ends, Failure, HowItFailed, Lane, RunOutcome, RunSummary, moves_data};
use crate::model::{Exit, JobName, RunEnd, SinkName};
use crate::pipeline::spec::{FanOutFrom, Job, Pipeline, Slicing};

/// How a pipeline is.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// What failed, the newest first; of jobs that land data only.
    pub(super) failures: Vec<JobFailure>,
    /// Jobs that land data, and that no run has ever taken part in though others ran.
    pub(super) never: Vec<JobName>,
    /// Rows that the server of a sink has refused for good, by job and sink.
    pub(super) refused: Vec<(JobName, SinkName, u64)>,
    /// When the last run ended, UTC.
    pub(super) last: Option<DateTime<Utc>>,
    /// When the last of its jobs to do so ended well, UTC; none where one of them never has.
    pub(super) success: Option<DateTime<Utc>>,
}

/// What failed, and of which jobs.
#[derive(Debug, Clone)]
pub(super) struct JobFailure {
    /// The jobs, more than one where they failed together; none where it isn't known.
    pub(super) jobs: Vec<JobName>,
    /// What failed.
    pub(super) failure: Failure,
}

impl Health {
    /// Says how a pipeline is by what its ledger says and how runs of this process ended, the newest first: one that ended before it had the
    /// lease isn't in the ledger, and one that ended a moment ago isn't in what was read of it. Without `pipeline`, of a file that can't be
    /// used, its jobs are those that the ledger knows.
    pub(super) fn of<'e>(
        pipeline: Option<&Pipeline>,
        known: &Known,
        own: impl IntoIterator<Item = &'e RunEnd>,
    ) -> Self {
        let in_ledger: BTreeSet<&str> =
            known.runs().filter_map(|(run, _)| Some(run.end.as_ref()?.summary.run.as_ref()?.as_str())).collect();
        let ended = known.runs().filter_map(|(run, _)| run.end.as_ref()).filter(|end| moves_data(&end.summary.verb));
        let (mut last, mut done) = (None, None);
        for end in ended {
            last = last.max(Some(end.at));
            done = done.max((end.summary.ended() == RunOutcome::Done).then_some(end.at));
        }
        let own: Vec<&RunEnd> = own.into_iter().filter(|end| end.exit_code != Exit::Held).collect();
        let mut ends = known.ends.clone();
        let mut whole = None;
        for end in own.iter().rev() {
            last = last.max(Some(end.ended));
            if !in_ledger.contains(end.run.as_str()) {
                done = done.max((end.exit_code == Exit::Done).then_some(end.ended));
                whole = take(&mut ends, known, end);
            }
        }
        let jobs = jobs(pipeline, &ends);
        let success = jobs.iter().map(|(job, sinks)| ends.job(job)?.well(sinks)).collect::<Option<Vec<_>>>();
        let success = if jobs.is_empty() { done } else { success.and_then(|all| all.into_iter().min()) };
        let never = jobs.iter().map(|(job, _)| job).filter(|job| ends.job(job).is_none());
        let never = if known.error.is_some() || ends.is_empty() { Vec::new() } else { never.cloned().collect() };
        let mut failures: Vec<JobFailure> =
            whole.map(|failure| JobFailure { jobs: Vec::new(), failure }).into_iter().collect();
        for (job, _) in &jobs {
            let spec = pipeline.and_then(|pipeline| pipeline.job(job));
            for failure in ends.job(job).map(crate::ledger::JobEnds::failures).unwrap_or_default() {
                if spec.is_none_or(|spec| is_still_meant(spec, failure, known)) {
                    add(&mut failures, job, with_parents(failure.clone(), spec, &ends));
                }
            }
        }
        failures.sort_by_key(|one| std::cmp::Reverse(one.failure.of.entry));
        let sinks = jobs.iter().flat_map(|(job, sinks)| sinks.iter().map(move |sink| (job, sink)));
        let refused = sinks.map(|(job, sink)| (job, sink, ends.job(job).map_or(0, |ends| ends.refused(sink))));
        let refused = refused.filter(|(.., rows)| *rows > 0);
        let refused = refused.map(|(job, sink, rows)| (job.clone(), sink.clone(), rows)).collect();
        Self { failures, never, refused, last, success }
    }
}

impl Health {
    /// Tells whether something went wrong that hasn't been made good.
    pub(super) fn has_failed(&self) -> bool {
        self.failures.iter().any(|one| one.failure.how.is_failure())
    }

    /// Tells whether all jobs ended well when they last ran.
    pub(super) fn is_well(&self) -> bool {
        self.failures.is_empty() && self.success.is_some()
    }
}

/// Returns the jobs that land data, with the sinks of each that send.
fn jobs(pipeline: Option<&Pipeline>, ends: &Ends) -> Vec<(JobName, Vec<SinkName>)> {
    let Some(pipeline) = pipeline else { return ends.jobs().map(|job| (job.clone(), Vec::new())).collect() };
    let sinks = |job: &Job| job.outboxes.iter().map(|outbox| outbox.name.clone()).collect();
    pipeline.jobs.iter().filter(|job| job.lands()).map(|job| (job.name.clone(), sinks(job))).collect()
}

/// Takes the end of a run that the ledger doesn't tell of. Returns what failed where it isn't known of which jobs.
fn take(ends: &mut Ends, known: &Known, end: &RunEnd) -> Option<Failure> {
    let mut of = Ended {
        entry: known.state.sequence() + 1,
        run: end.run.to_string(),
        at: end.ended,
        lane: Lane::WHOLE,
        asked: end.asked.clone(),
    };
    let summary = RunSummary::of_end(end, end.started);
    if end.report.is_none() {
        if of.asked.jobs.is_empty() {
            let how = if end.exit_code.is_failure() { HowItFailed::Failed } else { HowItFailed::Interrupted };
            let (error, remedy) = (end.error.clone(), end.remedy);
            return Some(Failure {
                of,
                how,
                slices: 0,
                error,
                remedy,
                sink: None,
                lost: Vec::new(),
                windows: Vec::new(),
            });
        }
        // It broke off before it had the lease: what other processes have done since is newer.
        of.asked
            .jobs
            .retain(|job| known.ends.job(job).and_then(|known| known.well([])).is_none_or(|at| at < end.ended));
        if of.asked.jobs.is_empty() {
            return None;
        }
    }
    ends.ended(&of, &summary);
    None
}

/// Tells whether the job, as its file has it now, still has what failed; of a replay, rows that it could bring back.
fn is_still_meant(job: &Job, failure: &Failure, known: &Known) -> bool {
    let has_quarantine =
        || known.chains.iter().any(|chain| chain.standing.job == job.name && chain.standing.quarantined > 0);
    if failure.of.asked.verb == "replay" && !has_quarantine() {
        return false;
    }

    let sends = |sink: &SinkName| job.outboxes.iter().any(|outbox| outbox.name == *sink);
    let has_windows = matches!(job.slicing, Slicing::Window(_));
    failure.sink.as_ref().is_none_or(|(sink, _)| sends(sink)) && (failure.of.asked.window.is_none() || has_windows)
}

/// Says also why the job's parent failed in the same run, which is why its own rows weren't asked for.
fn with_parents(mut failure: Failure, job: Option<&Job>, ends: &Ends) -> Failure {
    let parent = job.and_then(|job| match &job.for_each.as_ref()?.from {
        FanOutFrom::Rows(parent) => Some(parent),
        FanOutFrom::Values(_) => None,
    });
    let failed = parent.and_then(|parent| {
        let failures = ends.job(parent)?.failures();
        failures.iter().find(|other| other.of.run == failure.of.run && other.sink.is_none()).zip(Some(parent))
    });
    if let (Some((other, parent)), Some(error)) = (failed, &failure.error)
        && let Some(why) = other.error.as_ref().filter(|why| *why != error)
    {
        failure.error = Some(format!("{error}; {parent}: {why}"));
        failure.remedy = failure.remedy.or(other.remedy);
    }
    failure
}

/// Adds what failed of a job, to what failed together with it where the run as a whole did.
fn add(all: &mut Vec<JobFailure>, job: &JobName, failure: Failure) {
    let together = |other: &&mut JobFailure| {
        let other = &other.failure;
        let as_one = other.slices == 0 && other.sink.is_none() && failure.slices == 0 && failure.sink.is_none();
        as_one && other.of.run == failure.of.run && other.how == failure.how && other.error == failure.error
    };
    match all.iter_mut().find(together) {
        Some(other) => other.jobs.push(job.clone()),
        None => all.push(JobFailure { jobs: vec![job.clone()], failure }),
    }
}
