//! What a run has done, also where it didn't come to its end.

use chrono::{DateTime, Utc};

use super::{Env, Options, RunError};
use crate::ledger::RunSummary;
use crate::model::{Asked, DeliveryReport, Exit, JobReport, Left, RunReport, Stop};
use crate::pipeline::spec::{Job, Pipeline};

/// A run that didn't come to its end.
#[derive(Debug)]
pub struct BrokenOff {
    /// Why.
    pub error: RunError,
    /// What it had done by then; none where it hadn't begun.
    pub report: Option<Box<RunReport>>,
}

impl<E: Into<RunError>> From<E> for BrokenOff {
    fn from(error: E) -> Self {
        Self { error: error.into(), report: None }
    }
}

/// What a run has done so far.
#[derive(Default)]
pub(super) struct Done {
    pub(super) recovered: Vec<String>,
    pub(super) jobs: Vec<JobReport>,
    pub(super) deliveries: Vec<DeliveryReport>,
}

impl Done {
    /// Of a run that was told to end before it had begun.
    pub(super) fn of_nothing(jobs: &[&Job], options: &Options) -> Self {
        let mut done = Self::default();
        done.leave(jobs, options);
        done
    }

    /// Adds the jobs that the run didn't come to.
    fn leave(&mut self, jobs: &[&Job], options: &Options) {
        for job in jobs.iter().filter(|job| options.asks_for(job)) {
            if self.jobs.iter().all(|report| report.job != job.name) {
                self.jobs.push(unplanned(job));
            }
        }
    }

    /// Reports it as the run `ended`. `started` is when the run began, `sent` how many requests the process had sent by then.
    pub(super) fn end(
        mut self,
        ended: Result<(), RunError>,
        jobs: &[&Job],
        pipeline: &Pipeline,
        options: &Options,
        env: &Env,
        before: (DateTime<Utc>, u64),
    ) -> Result<RunReport, BrokenOff> {
        let Err(error) = ended else { return Ok(self.report(pipeline, options, env, before)) };
        let has_begun = !(self.recovered.is_empty() && self.jobs.is_empty() && self.deliveries.is_empty());
        if !has_begun && !matches!(error, RunError::Interrupted) {
            return Err(error.into());
        }
        self.leave(jobs, options);
        Err(BrokenOff { error, report: Some(Box::new(self.report(pipeline, options, env, before))) })
    }

    /// Reports a run that came to its end.
    pub(super) fn report(
        self,
        pipeline: &Pipeline,
        options: &Options,
        env: &Env,
        (started, sent): (DateTime<Utc>, u64),
    ) -> RunReport {
        let Self { recovered, jobs, deliveries } = self;
        let stopped = if env.cancel.is_cancelled() { Some(Stop::Asked) } else { env.bounds.stop() };
        RunReport {
            pipeline: pipeline.name.clone(),
            run: options.run.clone(),
            scheduled_for: options.scheduled_for,
            shard: (!options.shard.is_whole()).then(|| options.shard.to_string()),
            now: options.now,
            started,
            ended: env.clock.now(),
            recovered,
            requests: env.bounds.sent() - sent,
            stopped: stopped.filter(|_| {
                jobs.iter().any(|job| job.left.is_some()) || deliveries.iter().any(DeliveryReport::is_interrupted)
            }),
            jobs,
            deliveries,
        }
    }
}

/// Reports a job that a run left before it had begun it.
pub(super) fn unplanned(job: &Job) -> JobReport {
    JobReport { left: Some(Left::Unplanned), ..JobReport::new(job.name.clone()) }
}

/// Sums up for the ledger what a run did.
pub(super) fn summary(asked: &Asked, options: &Options, env: &Env, done: &Result<RunReport, BrokenOff>) -> RunSummary {
    let (summary, exit) = match done {
        Ok(report) => (RunSummary::of(asked, report), Exit::of(report)),
        Err(BrokenOff { error, report }) => {
            let (exit, why) = (env.exit(error), (error.chain(), error.remedy()));
            (RunSummary::broken_off(asked, options.now, exit, (&why.0, why.1), report.as_deref()), exit)
        }
    };
    let run = Some(options.run.clone());
    RunSummary { run, scheduled_for: options.scheduled_for, exit_code: Some(exit.code()), ..summary }
}
