//! The last lines of a run that failed: what to type where running again alone doesn't help.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::print;
use crate::model::{JobName, JobReport, Remedy, RunEnd, SliceOutcome};

/// The most jobs that are named in a line.
const NAMED: usize = 5;

/// Says what to type against what failed of a run, by what helps; nothing where nothing failed, or the reasons say all there is to say.
pub(super) fn text(end: &RunEnd, file: &Path, state: &str) -> String {
    let mut by_remedy: BTreeMap<Remedy, Vec<JobName>> = BTreeMap::new();
    if let Some(remedy) = end.remedy {
        by_remedy.entry(remedy).or_default();
    }
    for job in end.report.iter().flat_map(|report| &report.jobs) {
        for remedy in of_job(job) {
            let jobs = by_remedy.entry(remedy).or_default();
            if !jobs.contains(&job.job) {
                jobs.push(job.job.clone());
            }
        }
    }
    let shard = end.report.as_ref().and_then(|report| report.shard.as_ref());
    let shard = shard.map(|shard| format!("--shard {shard}")).unwrap_or_default();
    let mut out = String::new();
    for (remedy, jobs) in by_remedy {
        if remedy.options().is_empty() && remedy != Remedy::AcceptSchema {
            continue;
        }
        let named: Vec<&str> = jobs.iter().take(NAMED).map(JobName::as_str).collect();
        let more = if jobs.len() > NAMED { format!(" and {} more", jobs.len() - NAMED) } else { String::new() };
        let who = if named.is_empty() { end.pipeline.to_string() } else { named.join(", ") + &more };
        // Where the rows of a job that lands nothing are what failed, it is those that need them that are to be run again.
        let jobs = if jobs.iter().all(|job| end.asked.jobs.contains(job)) { jobs } else { Vec::new() };
        let _ = writeln!(out, "{who}: {}", remedy.told());
        // An edit is accepted for all shards at once.
        let shard = if remedy == Remedy::Accept { "" } else { shard.as_str() };
        for line in end.asked.against(Some(remedy), &print::word(file), &jobs, shard, &print::word(Path::new(state))) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

/// Returns what helps against what failed of a job, each once.
fn of_job(job: &JobReport) -> Vec<Remedy> {
    let of_slice = |outcome: &SliceOutcome| match outcome {
        SliceOutcome::Failed { remedy, .. } => *remedy,
        _ => None,
    };
    let slices = job.slices.iter().filter_map(|slice| of_slice(&slice.outcome));
    let mut all: Vec<Remedy> = job.remedy.into_iter().chain(slices).collect();
    all.sort_unstable();
    all.dedup();
    all
}
