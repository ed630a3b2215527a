//! The report of a run, for people.

use std::fmt::Write as _;

use super::print;
use crate::model::{JobReport, Left, RunEnd, RunReport, SliceOutcome, SliceReport, Stop, Verdict};

/// The most failures of a job that are shown one by one.
const FAILURES_SHOWN: usize = 5;

/// The most notes of a job that are shown one by one.
const NOTES_SHOWN: usize = 5;

/// Writes the table of jobs and what a person should know.
pub(super) fn text(report: &RunReport) -> String {
    let mut out = String::new();
    for sentence in &report.recovered {
        let _ = writeln!(out, "settled: {sentence}");
    }
    let mut table = print::table(&["job", "#slices", "outcome", "#rows in", "#rows landed", "#files", "size", "proof"]);
    for job in &report.jobs {
        let (rows, sinks) = (job.rows(), job.sinks());
        table.add_row([
            job.job.to_string(),
            print::count(job.slices.len() as u64),
            outcome(job),
            print::count(rows.received),
            print::count(landed(job)),
            print::count(sinks.files),
            print::size(sinks.bytes),
            proof(job),
        ]);
    }
    if report.jobs.is_empty() {
        let _ = writeln!(out, "{}: no job lands data", report.pipeline);
    } else {
        let _ = writeln!(out, "{table}");
    }
    for job in &report.jobs {
        details(&mut out, report, job);
    }
    let _ = write!(out, "{}", closing(report));
    out
}

/// Counts the rows that landed, each once, however many sinks took it.
fn landed(job: &JobReport) -> u64 {
    let landed = job.slices.iter().filter(|slice| slice.outcome == SliceOutcome::Landed);
    landed.map(|slice| slice.rows.transformed).sum()
}

fn outcome(job: &JobReport) -> String {
    if job.error.is_some() {
        return "failed".to_owned();
    }
    let landed = job.count(|outcome| *outcome == SliceOutcome::Landed);
    let unchanged = job.count(|outcome| *outcome == SliceOutcome::Unchanged);
    let failed = job.count(|outcome| matches!(outcome, SliceOutcome::Failed { .. }));
    let parts = [(landed, "landed"), (unchanged, "unchanged"), (failed, "failed")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    if parts.is_empty() { "nothing due".to_owned() } else { parts.join(", ") }
}

/// Sums the verdicts up: the worst one is named.
fn proof(job: &JobReport) -> String {
    let verdicts = || job.slices.iter().filter_map(|slice| slice.reconciliation.as_ref().map(|proved| proved.verdict));
    let count = |wanted: Verdict| verdicts().filter(|verdict| *verdict == wanted).count();
    let named = [
        (Verdict::Short, "short"),
        (Verdict::Over, "over"),
        (Verdict::Moving, "moving"),
        (Verdict::Unknown, "not stated"),
    ];
    let parts: Vec<String> = named
        .iter()
        .map(|(verdict, name)| (count(*verdict), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    match (parts.is_empty(), verdicts().next()) {
        (true, None) => "–".to_owned(),
        (true, Some(_)) => "complete".to_owned(),
        (false, _) => parts.join(", "),
    }
}

fn details(out: &mut String, report: &RunReport, job: &JobReport) {
    if let Some(error) = &job.error {
        let _ = writeln!(out, "{}: {error}", job.job);
    }
    match job.left {
        Some(Left::Slices(slices)) => {
            let _ = writeln!(out, "{}: {} slices that are due haven't begun", job.job, print::count(slices));
        }
        Some(Left::Unplanned) => {
            let _ = writeln!(out, "{}: not begun, so it isn't known what is due", job.job);
        }
        None => {}
    }
    for warning in job.warnings.iter().take(NOTES_SHOWN) {
        let _ = writeln!(out, "{}: note: {warning}", job.job);
    }
    if job.warnings.len() > NOTES_SHOWN {
        let more = job.warnings.len() - NOTES_SHOWN;
        let _ = writeln!(out, "{}: and {more} more notes; `--output json` has them all", job.job);
    }
    let rows = job.rows();
    let quarantine = format!("in quarantine (in {}/quarantine below --state, each with its reason)", report.pipeline);
    let others = [
        (rows.quarantined, quarantine.as_str()),
        (rows.outside_window, "outside of their slice, dropped"),
        (rows.deduplicated, "replaced by a later row of the same key"),
        (rows.read_again, "of earlier readings of slices that were read again"),
    ];
    let values = [
        (rows.nulled_values, "values that didn't fit are null"),
        (rows.discarded_fields, "fields that the schema doesn't have were left out"),
    ];
    for (count, what) in values.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(out, "{}: {} {what}", job.job, print::count(*count));
    }
    for (count, what) in others.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(out, "{}: {} rows {what}", job.job, print::count(*count));
    }
    let failures: Vec<(&SliceReport, &String)> = job
        .slices
        .iter()
        .filter_map(|slice| match &slice.outcome {
            SliceOutcome::Failed { error } => Some((slice, error)),
            _ => None,
        })
        .collect();
    for (slice, error) in failures.iter().take(FAILURES_SHOWN) {
        let key = slice.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        let _ = writeln!(out, "{} {}{key}: {error}", job.job, slice.slice);
    }
    if failures.len() > FAILURES_SHOWN {
        let more = failures.len() - FAILURES_SHOWN;
        let _ = writeln!(out, "{}: and {more} more slices failed; `--output json` has them all", job.job);
    }
}

fn closing(report: &RunReport) -> String {
    let slices = report.count(|outcome| *outcome == SliceOutcome::Landed);
    let failed = report.count(|outcome| matches!(outcome, SliceOutcome::Failed { .. }));
    let broken = report.jobs.iter().filter(|job| job.error.is_some()).count();
    let rows: u64 = report.jobs.iter().map(landed).sum();
    let seconds = (report.ended - report.started).as_seconds_f64();
    let what = match (slices, failed + broken) {
        (0, 0) => "nothing new".to_owned(),
        (_, 0) => format!("{} rows of {slices} slices landed", print::count(rows)),
        (0, _) => format!("nothing landed; {} failed", failures(failed, broken)),
        _ => format!("{} rows of {slices} slices landed; {} failed", print::count(rows), failures(failed, broken)),
    };
    let left = match report.stopped {
        None => "",
        Some(Stop::Asked) => "; stopped early, since the process was told to end",
        Some(Stop::Duration) => "; stopped at --max-duration, run again for the rest",
        Some(Stop::Requests) => "; stopped at --max-requests, run again for the rest",
        Some(Stop::Slices) => "; stopped at --max-slices, run again for the rest",
    };
    format!("{}: {what}, in {seconds:.1} s{left}\n", report.pipeline)
}

/// Says in a line how a run ended, with the first thing that went wrong.
pub(super) fn in_short(report: &RunReport, end: &RunEnd) -> String {
    let error = end.first_error().map(|error| format!("; {error}")).unwrap_or_default();
    format!("{}{error}", closing(report).trim_end())
}

/// Names what failed: `3 slices`, `1 whole job`, `3 slices and 2 whole jobs`.
fn failures(slices: usize, jobs: usize) -> String {
    let named = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (slices, jobs) {
        (slices, 0) => named(slices, "slice"),
        (0, jobs) => named(jobs, "whole job"),
        (slices, jobs) => format!("{} and {}", named(slices, "slice"), named(jobs, "whole job")),
    }
}
