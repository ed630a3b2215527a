//! What the metrics say of a run, and that they can be read.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::exposition::Exposition;
use super::known::{Known, KnownEnd};
use super::metrics::{Metrics, Stands};
use crate::ledger::LedgerState;
use crate::model::{Exit, PipelineName, RunEnd, RunId};
use crate::schedule::View;

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
}

fn end(hour: i64, exit_code: Exit) -> RunEnd {
    RunEnd {
        pipeline: PipelineName::new("p"),
        run: RunId::new("r"),
        scheduled_for: None,
        started: at(0),
        ended: at(hour),
        exit_code,
        error: None,
        report: None,
    }
}

fn known(ends: &[(i64, bool)]) -> Known {
    let ends = ends.iter().map(|(hour, done)| KnownEnd { at: at(*hour), done: *done, run: None }).collect();
    Known { state: LedgerState::default(), chains: Vec::new(), ends, error: None }
}

fn text(end: &RunEnd, ends: &[(i64, bool)], exposition: Exposition) -> String {
    let metrics = Metrics::default();
    metrics.ended(end);
    let stands = Stands { pipeline: &end.pipeline, known: &known(ends), end: Some(end) };
    metrics.render(&[stands], Some(&View::default()), exposition).unwrap()
}

fn value(text: &str, name: &str) -> String {
    let of = format!("tidegate_{name}{{pipeline=\"p\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&of)).unwrap_or("absent").to_owned()
}

#[test]
fn only_a_run_that_left_nothing_is_a_success() {
    for (exit, failed, success) in [
        (Exit::Done, "0", "7200.0"),
        (Exit::Stopped, "1", "3600.0"),
        (Exit::Interrupted, "1", "3600.0"),
        (Exit::Terminated, "1", "3600.0"),
        (Exit::SomeFailed, "1", "3600.0"),
        (Exit::Refused, "1", "3600.0"),
    ] {
        let text = text(&end(2, exit), &[(1, true)], Exposition::Plain);
        let found = ["last_run_failed", "last_run_timestamp_seconds", "last_success_timestamp_seconds"];
        assert_eq!(found.map(|name| value(&text, name)), [failed, "7200.0", success], "{exit:?}");
    }
    let held = text(&end(2, Exit::Held), &[(1, false)], Exposition::Plain);
    let found = ["last_run_failed", "last_run_timestamp_seconds", "last_success_timestamp_seconds"];
    assert_eq!(found.map(|name| value(&held, name)), ["1", "3600.0", "absent"], "another run does its work");
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
    let text = text(&end(2, Exit::Done), &[(1, true)], Exposition::Plain);
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
