//! The report of a run, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::print;
use crate::model::{Fetched, JobReport, Left, RunEnd, RunReport, SinkName, SliceOutcome, SliceReport, Stop, Verdict};

/// The most failures of a job that are shown one by one.
const FAILURES_SHOWN: usize = 5;

/// The most notes of a job that are shown one by one.
const NOTES_SHOWN: usize = 5;

/// The most columns that are named in a line.
const COLUMNS_SHOWN: usize = 8;

/// Writes the table of jobs and what a person should know; `file` is the pipeline file and `state` the state, as they were typed.
pub(super) fn text(report: &RunReport, file: &Path, state: &str) -> String {
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
        details(&mut out, (file, state), job);
    }
    deliveries(&mut out, report, (file, state));
    let _ = write!(out, "{}", closing(report));
    out
}

/// Writes what a delivery alone did; `typed` are the pipeline file and the state.
pub(super) fn delivered(report: &RunReport, typed: (&Path, &str)) -> String {
    let mut out = String::new();
    for sentence in &report.recovered {
        let _ = writeln!(out, "settled: {sentence}");
    }
    deliveries(&mut out, report, typed);
    if report.deliveries.is_empty() {
        let _ = writeln!(out, "{}: no job has an `http` sink", report.pipeline);
    }
    out
}

/// Writes the table of sinks that send, and what a person should know.
fn deliveries(out: &mut String, report: &RunReport, typed: (&Path, &str)) {
    if report.deliveries.is_empty() {
        return;
    }
    let mut table =
        print::table(&["job", "sink", "delivery", "#sent", "#found", "#refused", "#left", "#maybe sent twice"]);
    for delivery in &report.deliveries {
        let counts = &delivery.counts;
        table.add_row([
            delivery.job.to_string(),
            delivery.sink.to_string(),
            match &delivery.error {
                Some(_) => "stopped",
                None if delivery.is_interrupted() => "interrupted",
                None => "done",
            }
            .to_owned(),
            print::count(counts.sent),
            print::count(counts.found),
            print::count(counts.refused),
            print::count(counts.left),
            print::count(counts.maybe_sent),
        ]);
    }
    let _ = writeln!(out, "{table}");
    said_of_deliveries(out, report, typed);
}

/// Says what became of rows that a person may have to look after.
fn said_of_deliveries(out: &mut String, report: &RunReport, typed: (&Path, &str)) {
    for delivery in &report.deliveries {
        let (at, counts) = (format!("{} {}", delivery.job, delivery.sink), &delivery.counts);
        if counts.refused > 0 {
            let _ = writeln!(
                out,
                "{at}: {} refused for good (in {}/quarantine below --state, each with the answer); `tidegate deliver {} --refused --state {}` \
                 sends what was refused again",
                print::counted(counts.refused, "row"),
                report.pipeline,
                print::word(typed.0),
                print::word(Path::new(typed.1))
            );
        }
        if delivery.gone > 0 {
            let _ = writeln!(
                out,
                "{at}: {} refused before and gone from the slices since, so not sent again: see the files in {}/quarantine below --state",
                print::counted(delivery.gone, "row"),
                report.pipeline
            );
        }
        if counts.maybe_sent > 0 {
            let _ = writeln!(
                out,
                "{at}: {} may have been sent twice: give the sink `find:`, `exists:`, or an `idempotency_key:` that the server honours",
                print::counted(counts.maybe_sent, "row")
            );
        }
        let interrupted = delivery.is_interrupted().then(|| "interrupted".to_owned());
        if let Some(error) = delivery.error.clone().or(interrupted) {
            let _ = writeln!(
                out,
                "{at}: {error}; what has landed stays landed, and {} left to send: the next run does, or `tidegate deliver`",
                print::counted(counts.left, "row")
            );
        }
    }
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
    let left = if let Some(Left::Slices(slices)) = job.left { slices } else { 0 };
    let parts = [(landed as u64, "landed"), (unchanged as u64, "unchanged"), (failed as u64, "failed"), (left, "left")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    match (parts.is_empty(), job.left) {
        (true, Some(_)) => "not begun".to_owned(),
        (true, None) => "nothing due".to_owned(),
        (false, _) => parts.join(", "),
    }
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

fn details(out: &mut String, (file, state): (&Path, &str), job: &JobReport) {
    if let Some(error) = &job.error {
        let _ = writeln!(out, "{}: {error}", job.job);
    }
    left(out, job);
    columns(out, job);
    for warning in job.warnings.iter().take(NOTES_SHOWN) {
        let _ = writeln!(out, "{}: note: {warning}", job.job);
    }
    if job.warnings.len() > NOTES_SHOWN {
        let more = print::counted((job.warnings.len() - NOTES_SHOWN) as u64, "more note");
        let _ = writeln!(out, "{}: and {more}; `--output json` has them all", job.job);
    }
    let rows = job.rows();
    let first = job.slices.iter().find_map(|slice| slice.misfit.as_deref());
    let first = first.map(|misfit| format!("; the first: {misfit}")).unwrap_or_default();
    let quarantine = format!(
        "in quarantine{first}; `tidegate quarantine show {} {} --state {}` has the reasons",
        print::word(file),
        job.job,
        print::word(Path::new(state))
    );
    let others = [
        (rows.quarantined, quarantine.as_str()),
        (rows.outside_window, "outside of their slice, dropped"),
        (rows.deduplicated, "replaced by a later row of the same key"),
        (rows.read_again, "of earlier readings of slices that were read again"),
        (rows.refused, "of slices that failed: not landed"),
    ];
    let values = [
        (rows.nulled_values, "value", "that didn't fit is null", "that didn't fit are null"),
        (
            rows.discarded_fields,
            "field",
            "that the schema doesn't have was left out",
            "that the schema doesn't have were left out",
        ),
    ];
    for (count, thing, one, many) in values.iter().filter(|(count, ..)| *count > 0) {
        let what = if *count == 1 { one } else { many };
        let _ = writeln!(out, "{}: {} {what}", job.job, print::counted(*count, thing));
    }
    for (count, what) in others.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(out, "{}: {} {what}", job.job, print::counted(*count, "row"));
    }
    left_out(out, job);
    why_failed(out, job);
}

/// Says why slices failed.
fn why_failed(out: &mut String, job: &JobReport) {
    let failures: Vec<(&SliceReport, &String)> = job
        .slices
        .iter()
        .filter_map(|slice| match &slice.outcome {
            SliceOutcome::Failed { error, .. } => Some((slice, error)),
            _ => None,
        })
        .collect();
    for (slice, error) in failures.iter().take(FAILURES_SHOWN) {
        let key = slice.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        let _ = writeln!(out, "{} {}{key}: {error}{}", job.job, slice.slice, so_far(&slice.fetched));
    }
    if failures.len() > FAILURES_SHOWN {
        let more = print::counted((failures.len() - FAILURES_SHOWN) as u64, "more slice");
        let _ = writeln!(out, "{}: and {more} failed; `--output json` has them all", job.job);
    }
}

/// Says how many rows the conditions of sinks left out: they count as landed, since others may have them.
fn left_out(out: &mut String, job: &JobReport) {
    let mut all: BTreeMap<&SinkName, u64> = BTreeMap::new();
    for (sink, counts) in job.slices.iter().flat_map(|slice| &slice.sinks) {
        *all.entry(sink).or_default() += counts.filtered;
    }
    for (sink, rows) in all.into_iter().filter(|(_, rows)| *rows > 0) {
        let _ = writeln!(out, "{}: {} left out by the `where` of sink `{sink}`", job.job, print::counted(rows, "row"));
    }
}

/// Says what is due and was left.
fn left(out: &mut String, job: &JobReport) {
    match job.left {
        Some(Left::Slices(slices)) => {
            let _ = writeln!(out, "{}: {} due, left for the next run", job.job, print::counted(slices, "slice"));
        }
        Some(Left::Unplanned) => {
            let _ = writeln!(out, "{}: not begun, so it isn't known what is due", job.job);
        }
        None => {}
    }
}

/// Writes which columns are new, and which had no value.
fn columns(out: &mut String, job: &JobReport) {
    let named = |columns: &[String]| match columns.len() {
        0..=COLUMNS_SHOWN => columns.join(", "),
        all => format!("{} and {} more", columns[..COLUMNS_SHOWN].join(", "), all - COLUMNS_SHOWN),
    };
    if let (Some(version), false) = (job.schema_version, job.new_columns.is_empty()) {
        let _ = writeln!(out, "{}: new columns: {}; schema version {version}", job.job, named(&job.new_columns));
    }
    if !job.unseen_columns.is_empty() {
        let _ = writeln!(out, "{}: no row had a value in: {}", job.job, named(&job.unseen_columns));
    }
}

/// Says how far a slice came that failed; nothing where nothing came.
fn so_far(fetched: &Fetched) -> String {
    let Fetched { pages, server_rows, bytes, retries } = *fetched;
    let retried = if retries > 0 { format!(", {}", counted_retries(retries)) } else { String::new() };
    match pages {
        0 if retries == 0 => String::new(),
        0 => format!(" (received: no page{retried})"),
        _ => format!(
            " (received: {}, {}, {}{retried})",
            print::counted(pages, "page"),
            print::counted(server_rows, "row"),
            print::size(bytes)
        ),
    }
}

fn counted_retries(retries: u64) -> String {
    if retries == 1 { "1 retry".to_owned() } else { format!("{} retries", print::count(retries)) }
}

fn closing(report: &RunReport) -> String {
    let slices = report.count(|outcome| *outcome == SliceOutcome::Landed);
    let failed = report.count(|outcome| matches!(outcome, SliceOutcome::Failed { .. }));
    let broken = report.jobs.iter().filter(|job| job.error.is_some()).count();
    let rows: u64 = report.jobs.iter().map(landed).sum();
    let seconds = (report.ended - report.started).as_seconds_f64();
    let what = match (slices, failed + broken) {
        (0, 0) if report.stopped.is_some() => "nothing landed".to_owned(),
        (0, 0) => "nothing new".to_owned(),
        (_, 0) => format!("{} of {} landed", print::counted(rows, "row"), print::counted(slices as u64, "slice")),
        (0, _) => format!("nothing landed; {} failed", failures(failed, broken)),
        _ => format!(
            "{} of {} landed; {} failed",
            print::counted(rows, "row"),
            print::counted(slices as u64, "slice"),
            failures(failed, broken)
        ),
    };
    let left = match report.stopped {
        None => "",
        Some(Stop::Asked) => "; stopped early, since the process was told to end",
        Some(Stop::Duration) => "; stopped at --max-duration, run again for the rest",
        Some(Stop::Requests) => "; stopped at --max-requests, run again for the rest",
        Some(Stop::Slices) => "; stopped at --max-slices, run again for the rest",
    };
    let bad: u64 = report.jobs.iter().map(|job| job.rows().quarantined).sum();
    let bad = if bad > 0 { format!(", {} in quarantine", print::counted(bad, "row")) } else { String::new() };
    let took = match seconds {
        // A clock that was set back tells nothing.
        seconds if seconds < 0.0 => "while the clock was set back".to_owned(),
        seconds => format!("in {seconds:.1} s"),
    };
    let shard = report.shard.as_ref().map(|shard| format!(", shard {shard}")).unwrap_or_default();
    format!("{}{shard}: {what}{bad}, {took}{left}\n", report.pipeline)
}

/// Says in a line how a run ended, with the first thing that went wrong.
pub(super) fn in_short(report: &RunReport, end: &RunEnd) -> String {
    let error = end.first_error().map(|error| format!("; {error}")).unwrap_or_default();
    format!("{}{error}", closing(report).trim_end())
}

/// Names what failed: `3 slices`, `1 whole job`, `3 slices and 2 whole jobs`.
fn failures(slices: usize, jobs: usize) -> String {
    let named = |count: usize, what: &str| print::counted(count as u64, what);
    match (slices, jobs) {
        (slices, 0) => named(slices, "slice"),
        (0, jobs) => named(jobs, "whole job"),
        (slices, jobs) => format!("{} and {}", named(slices, "slice"), named(jobs, "whole job")),
    }
}
