//! What a run tells while it goes on, for progress bars and metrics.

use crate::model::{JobName, SliceOutcome};

/// Hears of a run's progress. Calls come from many tasks and must be quick.
pub trait Progress: Send + Sync {
    /// The run waits for what is named, such as a run of the pipeline by another process; none where it goes on.
    fn waits(&self, what: Option<&str>);
    /// A job has been planned.
    fn planned(&self, job: &JobName, slices: u64);
    /// A page has been received.
    fn page(&self, job: &JobName, rows: u64, bytes: u64);
    /// A slice has ended.
    fn slice(&self, job: &JobName, outcome: &SliceOutcome);
    /// A job has ended.
    fn ended(&self, job: &JobName);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn waits(&self, _: Option<&str>) {}
    fn planned(&self, _: &JobName, _: u64) {}
    fn page(&self, _: &JobName, _: u64, _: u64) {}
    fn slice(&self, _: &JobName, _: &SliceOutcome) {}
    fn ended(&self, _: &JobName) {}
}
