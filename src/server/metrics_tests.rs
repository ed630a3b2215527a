//! What the metrics say of a run, and that they can be read.

use std::collections::HashMap;

use super::exposition::Exposition;
use super::health_tests::{Log, at};
use super::known::Known;
use super::metrics::{Metrics, Stands};
use crate::model::{Asked, Exit, JobName, PipelineName, RunEnd, RunId, RunReport};
use crate::schedule::View;

/// The end of a run in an hour, of the job `j`: with a report where it came to its end.
fn end(hour: i64, exit_code: Exit) -> RunEnd {
    let mut report = RunReport {
        pipeline: PipelineName::new("p"),
        run: RunId::new("r"),
        scheduled_for: None,
        shard: None,
        now: at(0),
        started: at(0),
        ended: at(hour),
        recovered: Vec::new(),
        requests: 0,
        stopped: None,
        jobs: vec![crate::model::JobReport::new(JobName::new("j"))],
        deliveries: Vec::new(),
    };
    if exit_code == Exit::Stopped {
        report.jobs[0].left = Some(crate::model::Left::Slices(1));
    }
    RunEnd {
        pipeline: PipelineName::new("p"),
        run: RunId::new("r"),
        asked: Asked { jobs: vec![JobName::new("j")], ..Asked::new("run") },
        scheduled_for: None,
        started: at(0),
        ended: at(hour),
        exit_code,
        error: None,
        remedy: None,
        report: [Exit::Done, Exit::Stopped].contains(&exit_code).then_some(report),
    }
}

/// What a ledger says in which one run ended in the second hour.
fn known(failed: u64) -> Known {
    let mut log = Log::default();
    log.run(&[("j", failed)]);
    log.known(None, &[])
}

fn text(end: &RunEnd, failed: u64, exposition: Exposition) -> String {
    let metrics = Metrics::default();
    metrics.ended(end);
    let stands = Stands { pipeline: &end.pipeline, spec: None, known: &known(failed), ends: vec![end] };
    metrics.render(&[stands], Some(&View::default()), exposition).unwrap()
}

fn value(text: &str, name: &str) -> String {
    let of = format!("tidegate_{name}{{pipeline=\"p\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&of)).unwrap_or("absent").to_owned()
}

#[test]
fn only_a_run_that_left_nothing_is_a_success() {
    for (exit, failed, success) in [
        (Exit::Done, "0", "18000.0"),
        (Exit::Stopped, "1", "7200.0"),
        (Exit::Interrupted, "1", "7200.0"),
        (Exit::Terminated, "1", "7200.0"),
        (Exit::SomeFailed, "1", "7200.0"),
        (Exit::Refused, "1", "7200.0"),
    ] {
        let text = text(&end(5, exit), 0, Exposition::Plain);
        let found = ["last_run_failed", "last_run_timestamp_seconds", "last_success_timestamp_seconds"];
        assert_eq!(found.map(|name| value(&text, name)), [failed, "18000.0", success], "{exit:?}");
    }
    let held = text(&end(5, Exit::Held), 1, Exposition::Plain);
    let found = ["last_run_failed", "last_run_timestamp_seconds", "last_success_timestamp_seconds"];
    assert_eq!(found.map(|name| value(&held, name)), ["1", "7200.0", "absent"], "another run does its work");
}

/// Reads a text as the node exporter's parser does: each sample belongs to a metric that was described just before it, once, with
/// a type that the format knows. Returns the types.
fn read_strictly(text: &str) -> HashMap<String, String> {
    let (mut types, mut helped) = (HashMap::new(), None);
    let mut current = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = Some(help.split_once(' ').unwrap().0.to_owned());
        } else if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind), "{line}");
            assert_eq!(helped.take().as_deref(), Some(name), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is described twice");
            current = (name.to_owned(), kind.to_owned());
        } else {
            assert!(!line.starts_with('#') && !line.is_empty(), "{line}");
            let name = line.split(['{', ' ']).next().unwrap();
            let parts: &[&str] = if current.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(parts.iter().any(|part| name == format!("{}{part}", current.0)), "{line} under {current:?}");
            assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
        }
    }
    types
}

#[test]
fn plain_text_is_what_the_textfile_collector_reads() {
    let text = text(&end(5, Exit::Done), 0, Exposition::Plain);
    assert!(text.ends_with('\n'));
    let types = read_strictly(&text);
    for (name, kind) in [
        ("build_info", "gauge"),
        ("runs_total", "counter"),
        ("skipped_runs_total", "counter"),
        ("run_duration_seconds", "histogram"),
        ("last_run_failed", "gauge"),
    ] {
        assert_eq!(types.get(&format!("tidegate_{name}")).map(String::as_str), Some(kind), "{name}");
    }
}
