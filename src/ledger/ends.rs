//! How jobs ended: when each last did well, and what failed of it and hasn't been made good.
//!
//! A run tells of the jobs, the shard and the time that it was asked for, and of nothing else. So what failed stays until the same has
//! ended well: by a run of that job and that shard, of all shards, or of a whole pipeline; by a backfill that covers the windows, or as
//! soon as each of them was read; by a delivery of that sink. No run makes up for a backfill, so one that nobody wants any more is dismissed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::lane::Lane;
use super::summary::{DeliverySummary, JobSummary, RunOutcome, RunSummary, moves_data};
use super::unread::{Lost, Unread, shortened, without};
use crate::model::{Asked, FanoutKey, JobName, Remedy, SinkName, Window};

/// How many failures of a job are kept one by one: beyond that the oldest backfills that failed become one.
const KEPT: usize = 30;

/// How the jobs of a pipeline ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ends(BTreeMap<JobName, JobEnds>);

/// How the runs ended that a job took part in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnds {
    /// The instant that the last run planned with, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// The last run that ended well, by lane.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    well: BTreeMap<Lane, Well>,
    /// When a delivery last ended well, by sink.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sent: BTreeMap<SinkName, DateTime<Utc>>,
    /// Rows that the server of a sink has refused for good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    refused: BTreeMap<SinkName, u64>,
    /// What failed, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Failure>,
}

/// A run that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Well {
    /// The entry that says so.
    entry: u64,
    /// When it ended, UTC.
    at: DateTime<Utc>,
}

/// What failed of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The run, and what it was asked for.
    #[serde(flatten)]
    pub of: Ended,
    /// How.
    pub how: HowItFailed,
    /// Slices that failed; 0 where the job failed as a whole.
    #[serde(default, skip_serializing_if = "super::summary::is_zero")]
    pub slices: u64,
    /// The first reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What helps against it, where running again alone doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// The sink that couldn't send, and how many rows it left; none where it isn't that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<(SinkName, u64)>,
    /// The first of its slices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// The windows of a backfill that are still to be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Unread>,
}

/// A run that has ended: which, when, and what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The number of the entry that says so; of a run that died, of the one that took its lease.
    pub entry: u64,
    /// The run's name, or its number where it has none.
    pub run: String,
    /// When it ended, UTC; of a run that died, when it began.
    pub at: DateTime<Utc>,
    /// The lane.
    pub lane: Lane,
    /// What it was asked for.
    pub asked: Asked,
}

/// How a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HowItFailed {
    /// Something failed.
    Failed,
    /// The run was stopped before it had begun all.
    Stopped,
    /// The run was interrupted.
    Interrupted,
    /// The run never said how it ended.
    Died,
}

impl HowItFailed {
    /// Tells whether something went wrong: not where the run was told to end.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Died)
    }
}

impl Ends {
    /// Returns what is known of a job; none where no run has ended that it took part in.
    #[must_use]
    pub fn job(&self, job: &JobName) -> Option<&JobEnds> {
        self.0.get(job)
    }

    /// Returns the jobs of which something is known.
    pub fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.0.keys()
    }

    /// Tells whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes how a run ended.
    pub fn ended(&mut self, of: &Ended, summary: &RunSummary) {
        if of.asked.verb == Asked::DISMISS && summary.outcome == RunOutcome::Done {
            self.dismiss(&of.asked);
        }
        if !moves_data(&of.asked.verb) {
            return;
        }
        let mut jobs: BTreeMap<&JobName, Vec<&JobSummary>> = BTreeMap::new();
        for job in &summary.jobs {
            jobs.entry(&job.job).or_default().push(job);
        }
        let broke_off = matches!(summary.outcome, RunOutcome::Failed | RunOutcome::Interrupted);
        if jobs.is_empty() && summary.deliveries.is_empty() && broke_off {
            let how = match summary.outcome {
                RunOutcome::Interrupted => HowItFailed::Interrupted,
                _ => HowItFailed::Failed,
            };
            self.broke_off(of, how, summary.error.as_deref(), summary.remedy);
            return;
        }
        for (job, parts) in jobs {
            let ends = self.0.entry(job.clone()).or_default();
            if of.asked.verb == "run" {
                ends.due = Some(summary.now);
            }
            ends.note(of, failure(of, summary.outcome, &parts));
        }
        for delivery in &summary.deliveries {
            self.0.entry(delivery.job.clone()).or_default().delivered(of, delivery);
        }
    }

    /// Notes that a run died.
    pub fn died(&mut self, of: &Ended) {
        if moves_data(&of.asked.verb) {
            self.broke_off(of, HowItFailed::Died, None, None);
        }
    }

    /// Notes a run of which it isn't known what became of each job: all that it was asked for have failed.
    fn broke_off(&mut self, of: &Ended, how: HowItFailed, error: Option<&str>, remedy: Option<Remedy>) {
        for job in &of.asked.jobs {
            let error = error.map(str::to_owned);
            let windows = of.asked.window.map(|window| Unread { key: None, window }).into_iter().collect();
            let failure =
                Failure { of: of.clone(), how, slices: 0, error, remedy, sink: None, lost: Vec::new(), windows };
            self.0.entry(job.clone()).or_default().note(of, Some(failure));
        }
    }

    /// Takes the end of an older version's run, which didn't say which jobs it was about, for that of a job of which nothing is noted.
    pub fn assume(
        &mut self,
        job: &JobName,
        of: &Ended,
        summary: &RunSummary,
        sinks: impl IntoIterator<Item = SinkName>,
    ) {
        if self.0.contains_key(job) {
            return;
        }
        let mut ends = JobEnds { due: Some(summary.now), ..JobEnds::default() };
        let how = match summary.ended() {
            RunOutcome::Done => None,
            RunOutcome::Stopped => Some(HowItFailed::Stopped),
            RunOutcome::Interrupted => Some(HowItFailed::Interrupted),
            RunOutcome::SomeFailed | RunOutcome::Failed => Some(HowItFailed::Failed),
        };
        let (of, error) = (of.clone(), summary.error.clone());
        if let Some(how) = how {
            ends.failures.push(Failure {
                of,
                how,
                slices: 0,
                error,
                remedy: None,
                sink: None,
                lost: Vec::new(),
                windows: Vec::new(),
            });
        } else {
            ends.sent = sinks.into_iter().map(|sink| (sink, of.at)).collect();
            ends.ended_well(&of);
        }
        self.0.insert(job.clone(), ends);
    }

    /// Returns the failed backfills, the oldest first of each job, that a dismissal asks to be forgotten.
    pub fn dismissed_by<'e>(&'e self, asked: &'e Asked) -> impl Iterator<Item = (&'e JobName, &'e Failure)> {
        let jobs = self.0.iter().filter(move |(job, _)| asked.is_about(job));
        let failures = jobs.flat_map(|(job, ends)| ends.failures.iter().map(move |failure| (job, failure)));
        failures.filter(move |(_, failure)| asked.dismisses(&failure.of.asked))
    }

    fn dismiss(&mut self, asked: &Asked) {
        for (_, ends) in self.0.iter_mut().filter(|(job, _)| asked.is_about(job)) {
            ends.failures.retain(|failure| !asked.dismisses(&failure.of.asked));
        }
    }

    /// Notes that a window was read: it landed, or is as it was.
    pub(super) fn was_read(&mut self, job: &JobName, key: Option<&FanoutKey>, window: Window) {
        let Some(ends) = self.0.get_mut(job) else { return };
        ends.failures.retain_mut(|failure| {
            let had = !failure.windows.is_empty();
            failure.windows = without(std::mem::take(&mut failure.windows), key, window);
            !(had && failure.windows.is_empty())
        });
    }
}

impl JobEnds {
    /// Returns what failed and hasn't been made good, the oldest first.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Returns how many rows the server of a sink has refused for good, and nobody has sent again since.
    #[must_use]
    pub fn refused(&self, sink: &SinkName) -> u64 {
        self.refused.get(sink).copied().unwrap_or_default()
    }

    /// Returns when all of the job last ended well, UTC, and all was sent by `sinks`; none where it never did.
    pub fn well<'s>(&self, sinks: impl IntoIterator<Item = &'s SinkName>) -> Option<DateTime<Utc>> {
        let shards = |of: u32| (0..of).map(move |index| Lane::shard(index, of)).collect::<Option<Vec<Lane>>>();
        let divisions: BTreeSet<u32> = self.well.keys().map(|lane| lane.of()).collect();
        let complete = divisions.into_iter().filter_map(|of| {
            let ends =
                shards(of)?.iter().map(|lane| self.well.get(lane).map(|well| well.at)).collect::<Option<Vec<_>>>()?;
            ends.into_iter().min()
        });
        let landed = complete.max()?;
        let sent = sinks.into_iter().map(|sink| self.sent.get(sink).copied()).collect::<Option<Vec<_>>>()?;
        Some(sent.into_iter().fold(landed, DateTime::min))
    }

    /// Notes how a run that it took part in ended: well, where nothing failed.
    fn note(&mut self, of: &Ended, failed: Option<Failure>) {
        self.failures.retain(|before| !is_same(of, before));
        match failed {
            Some(failure) => self.failures.push(failure),
            None if of.asked.verb == "run" => self.ended_well(of),
            None => {}
        }
        let mut backfills = self.failures.iter().enumerate().filter(|(_, failure)| failure.of.asked.window.is_some());
        if let (true, Some((first, _)), Some((next, _))) =
            (self.failures.len() > KEPT, backfills.next(), backfills.next())
        {
            let oldest = self.failures[first].clone();
            self.failures[next].take_in(oldest);
            self.failures.remove(first);
        }
    }

    fn ended_well(&mut self, of: &Ended) {
        self.well.insert(of.lane, Well { entry: of.entry, at: of.at });
        let (well, lanes) = (&self.well, of.lane.of());
        // What all shards have done is done, whichever way the slices were divided before.
        let since = |entry: u64| {
            (0..lanes).all(|index| {
                Lane::shard(index, lanes).and_then(|lane| well.get(&lane)).is_some_and(|well| well.entry > entry)
            })
        };
        self.failures.retain(|before| !(is_of_runs(before) && since(before.of.entry)));
        let other: Vec<Lane> =
            well.iter().filter(|(lane, at)| lane.of() != lanes && since(at.entry)).map(|(lane, _)| *lane).collect();
        for lane in other {
            self.well.remove(&lane);
        }
    }

    fn delivered(&mut self, of: &Ended, delivery: &DeliverySummary) {
        let is_it = |before: &Failure| {
            let sink = before.sink.as_ref().map(|(sink, _)| sink);
            // One that broke off had all of them to send.
            sink == Some(&delivery.sink)
                || (sink.is_none() && before.of.asked.verb == "deliver" && of.lane == Lane::WHOLE)
        };
        self.failures.retain(|before| !is_it(before));
        match delivery.refused {
            None => {}
            Some(0) => drop(self.refused.remove(&delivery.sink)),
            Some(rows) => drop(self.refused.insert(delivery.sink.clone(), rows)),
        }
        let (how, error) = match (&delivery.error, delivery.left) {
            (Some(error), _) => (HowItFailed::Failed, Some(error.clone())),
            (None, 0) => {
                self.sent.insert(delivery.sink.clone(), of.at);
                return;
            }
            (None, _) => (HowItFailed::Interrupted, Some("it was interrupted before all was sent".to_owned())),
        };
        self.failures.push(Failure {
            of: of.clone(),
            how,
            slices: 0,
            error,
            remedy: delivery.remedy,
            sink: Some((delivery.sink.clone(), delivery.left)),
            lost: Vec::new(),
            windows: Vec::new(),
        });
    }
}

impl Failure {
    /// Returns what to type, one line a way: the same of `jobs` again, all where there is none, with what helps; and, of a backfill, what
    /// forgets it. `file` and `state` are words of a shell.
    #[must_use]
    pub fn against(&self, file: &str, jobs: &[JobName], state: &str) -> Vec<String> {
        let Self { of, remedy, sink, .. } = self;
        let deliver = Asked::new("deliver");
        let asked = if sink.is_some() { &deliver } else { &of.asked };
        let shard = match &of.asked.window {
            Some(_) if of.lane != Lane::WHOLE => format!("--shard {}", of.lane.shard_argument()),
            _ => String::new(),
        };
        let mut lines = asked.against(*remedy, file, jobs, &shard, state);
        lines.extend(asked.dismissal().map(|dismissal| dismissal.command(file, jobs, "", state)));
        lines
    }

    /// Becomes one with an older one.
    fn take_in(&mut self, older: Self) {
        self.slices += older.slices;
        self.windows = shortened(self.windows.drain(..).chain(older.windows).collect());
        if let (Some(own), Some(other)) = (&mut self.of.asked.window, older.of.asked.window) {
            *own = Window { from: own.from.min(other.from), to: own.to.max(other.to) };
        }
    }
}

/// Tells whether it failed in a run of what was due.
fn is_of_runs(failure: &Failure) -> bool {
    failure.of.asked.verb == "run" && failure.sink.is_none()
}

/// Tells whether a run was asked for what failed before, or more: how that went now is what it did.
fn is_same(now: &Ended, before: &Failure) -> bool {
    let (asked, other) = (&now.asked, &before.of.asked);
    let covers = match (asked.window, other.window) {
        (Some(now), Some(before)) => {
            now.from <= before.from && before.to <= now.to && (!asked.missing || other.missing)
        }
        (None, None) => true,
        _ => false,
    };
    let lane = now.lane == Lane::WHOLE || now.lane == before.of.lane;
    asked.verb == other.verb && covers && lane && before.sink.is_none()
}

/// Sums up what failed of one job.
fn failure(of: &Ended, outcome: RunOutcome, parts: &[&JobSummary]) -> Option<Failure> {
    let slices = parts.iter().map(|job| job.failed).sum();
    let error = parts.iter().find_map(|job| job.error.as_ref().map(|error| (error.clone(), job.remedy)));
    let how = match (&error, slices, parts.iter().any(|job| job.left)) {
        (None, 0, false) => return None,
        (None, 0, true) if outcome == RunOutcome::Interrupted => HowItFailed::Interrupted,
        (None, 0, true) => HowItFailed::Stopped,
        _ => HowItFailed::Failed,
    };
    let (error, remedy) = error.unzip();
    let windows = parts.iter().flat_map(|job| job.unread.iter().cloned()).collect();
    let lost = parts.iter().flat_map(|job| job.lost.iter().cloned()).collect();
    Some(Failure { of: of.clone(), how, slices, error, remedy: remedy.flatten(), sink: None, lost, windows })
}
