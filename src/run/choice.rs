//! Which jobs a run is about.

use std::collections::BTreeSet;

use super::RunError;
use crate::model::JobName;
use crate::pipeline::spec::{FanOutFrom, Job, Pipeline};

/// Returns the jobs to run, parents first: those that were named and the parents they need, or all.
pub(crate) fn chosen<'p>(pipeline: &'p Pipeline, names: &[JobName]) -> Result<Vec<&'p Job>, RunError> {
    let mut wanted = BTreeSet::new();
    for name in names {
        let mut next = Some(name.clone());
        while let Some(name) = next {
            let job = pipeline.job(&name).ok_or_else(|| no_job(pipeline, &name))?;
            wanted.insert(name);
            next = parent(job).cloned();
        }
    }
    let all = names.is_empty();
    Ok(pipeline.jobs.iter().filter(|job| all || wanted.contains(&job.name)).collect())
}

/// Returns the jobs that were named, without the parents that they need, or all.
pub(super) fn named<'p>(pipeline: &'p Pipeline, names: &[JobName]) -> Result<Vec<&'p Job>, RunError> {
    let chosen = chosen(pipeline, names)?;
    Ok(chosen.into_iter().filter(|job| names.is_empty() || names.contains(&job.name)).collect())
}

/// Says that a pipeline has no job of this name.
pub(super) fn no_job(pipeline: &Pipeline, name: &JobName) -> RunError {
    let known: Vec<String> = pipeline.jobs.iter().map(|job| format!("`{}`", job.name)).collect();
    RunError::NoJob { name: name.to_string(), known: known.join(", ") }
}

/// Returns the job whose rows a job fans out over.
fn parent(job: &Job) -> Option<&JobName> {
    match job.for_each.as_ref().map(|for_each| &for_each.from) {
        Some(FanOutFrom::Rows(parent)) => Some(parent),
        _ => None,
    }
}

/// Tells whether a job of these fans out over the rows of `job`.
pub(super) fn needed(job: &Job, jobs: &[&Job]) -> bool {
    jobs.iter().any(|other| parent(other) == Some(&job.name))
}
