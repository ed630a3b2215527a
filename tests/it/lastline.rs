//! The shipped pipeline for Lastline, run by the binary against the simulated appliance; what landed is read back by DuckDB.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate::appliance::faults::Faults;
use tidegate::appliance::lastline::{
    ErrorShape, Excess, Lastline, LastlineConfig, LogEntry, MetricPoint, Nothing, Phase, RequestLog, SessionLifetime,
    Spelling, Success,
};
use tidegate::clock::{Clock as _, ManualClock};

use crate::support::appliance::{Served, report, slices};
use crate::support::duck;
use crate::support::workspace::{Outcome, Workspace};

/// An hour and more, the jobs' lag, after the last day's end.
const NOW: &str = "2026-01-08T01:20:00Z";
/// The first of the days that are exported.
const START: &str = "2026-01-04T00:00:00Z";
const PASSWORD: &str = "lastline-password";

/// A simulator that is being served, and a folder to export it into.
struct Test {
    lastline: Arc<Lastline>,
    clock: Arc<ManualClock>,
    served: Served,
    workspace: Workspace,
    start: &'static str,
    /// The hours of a window.
    every: i64,
}

impl Test {
    fn new(config: LastlineConfig) -> Self {
        let clock = Arc::new(ManualClock::new(instant(NOW)));
        let lastline = Lastline::new(config, clock.clone());
        let served = Served::start(|listener, stop| Arc::clone(&lastline).serve(listener, stop));
        Self { lastline, clock, served, workspace: Workspace::new(), start: START, every: 24 }
    }

    /// Runs the shipped pipeline with these edits: what is replaced, wherever it stands, and by what.
    fn run(&self, edits: &[(&str, &str)]) -> Outcome {
        self.run_as(PASSWORD, &[], edits)
    }

    fn run_as(&self, password: &str, arguments: &[&str], edits: &[(&str, &str)]) -> Outcome {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/lastline.yaml");
        let mut text = fs::read_to_string(shipped).unwrap();
        // A test has no minutes to wait.
        let hurried = [("rate_limit: 50/s", "rate_limit: 5000/s"), ("max_delay: 1m", "max_delay: 20ms")];
        let every = format!("every: {}h", self.every);
        for (old, new) in [&[("every: 1d", every.as_str())], hurried.as_slice(), edits].concat() {
            assert!(text.contains(old), "the pipeline has no {old:?}");
            text = text.replace(old, new);
        }
        self.workspace.write("lastline.yaml", &text);
        let now = self.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let run = ["run", "lastline.yaml", "--now", &now, "--output", "json"];
        let run = self.workspace.tidegate(&[&run, arguments].concat()).env("LASTLINE_URL", &self.served.url);
        run.env("LASTLINE_USER", "tidegate").env("LASTLINE_PASSWORD", password).env("LASTLINE_START", self.start).run()
    }

    fn landed(&self, job: &str, columns: &str) -> Vec<Value> {
        let files = self.workspace.path(&format!("lake/lastline/{job}/**/*.parquet"));
        duck::rows(&format!("SELECT {columns} FROM read_parquet('{}')", files.display()))
    }

    /// What is due of the windows that have ended.
    fn window(&self) -> std::ops::Range<DateTime<Utc>> {
        let floor = |time: DateTime<Utc>| {
            let every = self.every * 3600;
            DateTime::from_timestamp(time.timestamp().div_euclid(every) * every, 0).unwrap()
        };
        floor(instant(self.start))..floor(self.clock.now() - TimeDelta::hours(1))
    }

    fn assert_exact(&self) {
        let window = self.window();
        let columns = "metric, appliance_uuid, appliance_type, ts, value, unit, amount";
        assert_same("values", self.lastline.values(&window).iter().map(value), self.landed("values", columns));
        let totals = self.landed("totals", "metric, ts, value, unit");
        assert_same("totals", self.lastline.totals(&window).iter().map(total), totals);
        self.assert_exact_logs();
    }

    fn assert_exact_logs(&self) {
        let window = self.window();
        let entries = self.lastline.entries().into_iter().filter(|entry| window.contains(&entry.start));
        let due: Vec<Value> = entries.map(|entry| logged(&entry)).collect();
        if due.is_empty() {
            return assert!(!self.workspace.path("lake/lastline/logs").exists());
        }
        let columns = "log_entry_uuid, appliance_uuid, appliance_type, log_identifier, component, displayname, message,
                       impact, count, started, ended, detail::VARCHAR AS detail";
        let mut landed = self.landed("logs", columns);
        for row in &mut landed {
            // Of a detail, what isn't in the list.
            let detail = row["detail"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap());
            if let Some(detail) = &detail {
                assert_eq!((&detail["log_entry_uuid"], &detail["count"]), (&row["log_entry_uuid"], &row["count"]));
            }
            row["detail"] = detail.map_or(Value::Null, |mut detail| detail["details"].take().to_string().into());
        }
        assert_same("logs", due.into_iter(), landed);
    }

    fn requests(&self, function: &str) -> Vec<RequestLog> {
        self.lastline.requests().into_iter().filter(|request| request.function.ends_with(function)).collect()
    }
}

fn assert_same(what: &str, due: impl Iterator<Item = Value>, landed: Vec<Value>) {
    let sorted = |mut rows: Vec<Value>| {
        rows.sort_by_cached_key(Value::to_string);
        rows
    };
    let (due, landed) = (sorted(due.collect()), sorted(landed));
    let differ = due.iter().zip(&landed).find(|(due, landed)| due != landed);
    assert!(differ.is_none(), "{what}: {differ:#?}");
    assert_eq!(due.len(), landed.len(), "{what}");
}

/// A point as the lake should have it.
fn value(point: &MetricPoint) -> Value {
    let (uuid, kind) = point.appliance.clone().unwrap();
    let counter = point.metric.starts_with("counter.");
    json!({
        "metric": point.metric, "appliance_uuid": uuid, "appliance_type": kind, "ts": micros(point.at), "value": point.value,
        "unit": if counter { "per second" } else { "value" }, "amount": point.value.filter(|_| counter).map(|rate| rate * 1800.0),
    })
}

fn total(point: &MetricPoint) -> Value {
    let unit = if point.metric.starts_with("counter.") { "per second" } else { "value" };
    json!({"metric": point.metric, "ts": micros(point.at), "value": point.value, "unit": unit})
}

/// A log entry as the lake should have it; of its detail, what isn't in the list.
fn logged(entry: &LogEntry) -> Value {
    json!({
        "log_entry_uuid": entry.uuid, "appliance_uuid": entry.appliance_uuid, "appliance_type": entry.appliance_type,
        "log_identifier": entry.identifier, "component": entry.component, "displayname": entry.displayname,
        "message": entry.message, "impact": entry.impact, "count": entry.count, "started": micros(entry.start),
        "ended": micros(entry.end), "detail": entry.details.as_ref().map(ToString::to_string),
    })
}

fn micros(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn config(seed: u64) -> LastlineConfig {
    LastlineConfig { seed, entries: 200, ..LastlineConfig::default() }
}

fn outcomes(report: &Value, job: &str) -> Vec<String> {
    slices(report, job).iter().map(|slice| slice["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn whatever_its_habits_exactly_its_rows_land() {
    let odd = LastlineConfig {
        nothing: Nothing::List,
        spelling: Spelling::Singular,
        phase: Phase::Start,
        inclusive_end: false,
        shuffled_ties: true,
        ..config(2)
    };
    let busy = LastlineConfig { entries: 1200, sensors: 8, success: Success::Boolean, http_errors: true, ..config(3) };
    assert_all_lands(config(1), 500, 24);
    assert_all_lands(odd, 40, 24);
    assert_all_lands(busy, 97, 24);
}

#[test]
fn whatever_its_size_exactly_its_rows_land() {
    assert_all_lands(LastlineConfig { entries: 600, limit_cap: Some(60), ..config(4) }, 500, 96);
    assert_all_lands(LastlineConfig { sensors: 1, entries: 300, ..config(5) }, 30, 6);
    assert_all_lands(LastlineConfig { entries: 0, long_lived: 0, sensors: 0, ..config(6) }, 500, 24);
    // Hardly an entry a day, and most of what a day's answer has began before it.
    assert_all_lands(LastlineConfig { entries: 5, long_lived: 3, ..config(7) }, 500, 24);
}

/// Exports with pages of `size` entries and windows of so many hours; nothing else than what is there lands, in one session.
fn assert_all_lands(config: LastlineConfig, size: u32, every: i64) {
    let seed = config.seed;
    let test = Test { every, ..Test::new(config) };
    let report = report(&test.run(&[("size: 500", &format!("size: {size}"))]), 0);
    test.assert_exact();
    for job in ["values", "totals", "logs"] {
        for slice in slices(&report, job) {
            assert_eq!(slice["rows"]["quarantined"], 0, "seed {seed}: {slice}");
            assert!(slice["outcome"] == "landed", "seed {seed}: {slice}");
        }
    }
    assert!(test.lastline.requests().iter().all(|request| !request.credential_in_url));
    assert_eq!(test.lastline.logins(), 1, "seed {seed}");
}

#[test]
fn a_second_run_reads_the_last_days_again_and_changes_nothing() {
    let test = Test::new(config(11));
    report(&test.run(&[]), 0);
    let report = report(&test.run(&[]), 0);
    for (job, slices_due) in [("values", 7), ("totals", 7), ("logs", 2)] {
        let outcomes = outcomes(&report, job);
        assert!(
            outcomes.iter().all(|outcome| outcome == "unchanged") && outcomes.len() == slices_due,
            "{job}: {outcomes:?}"
        );
    }
    test.assert_exact();
}

#[test]
fn entries_that_grew_are_replaced_the_next_night() {
    let test = Test::new(LastlineConfig { long_lived: 30, ..config(12) });
    report(&test.run(&[]), 0);
    let before = test.landed("logs", "log_entry_uuid, count");
    for _ in 0..2 {
        test.clock.advance(TimeDelta::days(1));
        report(&test.run(&[]), 0);
        test.assert_exact();
    }
    let after = test.landed("logs", "log_entry_uuid, count");
    let grown = before.iter().filter(|old| {
        let new = after.iter().find(|new| new["log_entry_uuid"] == old["log_entry_uuid"]);
        new.unwrap()["count"].as_u64() > old["count"].as_u64()
    });
    assert!(grown.count() > 3, "some went on after the first night");
}

#[test]
fn a_session_that_ends_in_mid_run_is_renewed() {
    for (seed, session, error_shape) in [
        (21, SessionLifetime::Requests(40), ErrorShape::Whole),
        (22, SessionLifetime::Requests(50), ErrorShape::NoCode),
        (23, SessionLifetime::Requests(60), ErrorShape::NoText),
    ] {
        let test = Test::new(LastlineConfig { session, error_shape, http_errors: seed == 22, ..config(seed) });
        report(&test.run(&[]), 0);
        test.assert_exact();
        assert!(test.lastline.logins() > 2, "{}", test.lastline.logins());
        let requests = test.lastline.requests();
        let refused = requests.iter().filter(|request| request.error.as_deref() == Some("3001 Permission denied"));
        assert!(refused.count() >= 2, "sessions ended unforeseen");
    }
}

#[test]
fn a_wrong_password_is_sent_once_and_shown_nowhere() {
    for error_shape in [ErrorShape::Whole, ErrorShape::NoCode, ErrorShape::NoText] {
        let test = Test::new(LastlineConfig { error_shape, ..config(31) });
        let outcome = test.run_as("hunter2-hunter2", &[], &[]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
        assert_eq!(test.lastline.requests().len(), 1, "{:#?}", test.lastline.requests());
    }
}

#[test]
fn a_right_that_is_missing_costs_its_own_job() {
    let test = Test::new(LastlineConfig { forbidden: vec!["monitoring/metric/aggregate".to_owned()], ..config(32) });
    let report = report(&test.run(&[]), 3);
    assert!(outcomes(&report, "totals").iter().all(|outcome| outcome == "failed"), "{report:#}");
    for job in ["values", "logs"] {
        assert!(outcomes(&report, job).iter().all(|outcome| outcome == "landed"), "{report:#}");
    }
    test.assert_exact_logs();
    let error = slices(&report, "totals")[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("Permission denied"), "{error}");
    assert!(test.lastline.logins() < 100, "it doesn't log in for ever: {}", test.lastline.logins());
}

/// The steps that were asked for: hours of the window, and how many points.
fn asked(test: &Test) -> Vec<(i64, String)> {
    let time = |request: &RequestLog, name: &str| {
        chrono::NaiveDateTime::parse_from_str(&request.parameters[name], "%Y-%m-%d %H:%M:%S").unwrap()
    };
    let hours = |request: &RequestLog| (time(request, "end_time") - time(request, "start_time")).num_hours();
    test.requests("metric/get").iter().map(|one| (hours(one), one.parameters["max_data_points"].clone())).collect()
}

#[test]
fn an_answer_that_got_coarser_is_caught_and_asked_for_in_parts() {
    // A server that lowers the number of points without a word: a day of half hours doesn't fit.
    let test = Test::new(LastlineConfig { max_points: 40, excess: Excess::Lowered, ..config(41) });
    report(&test.run(&[]), 0);
    test.assert_exact();
    let asked = asked(&test);
    assert!(asked.iter().any(|(hours, _)| *hours == 24) && asked.iter().any(|(hours, _)| *hours == 12), "{asked:?}");
}

#[test]
fn a_window_longer_than_its_points_is_asked_for_in_parts() {
    let start = "2025-12-24T00:00:00Z";
    let test = Test { start, every: 240, ..Test::new(LastlineConfig { days: 20, entries: 100, ..config(42) }) };
    report(&test.run(&[]), 0);
    test.assert_exact();
    let asked = asked(&test);
    assert!(asked.iter().all(|(hours, points)| *hours <= 150 && points == "300"), "{asked:?}");
}

#[test]
fn a_series_that_can_not_be_had_fine_is_an_error() {
    let test = Test::new(LastlineConfig { max_points: 1, excess: Excess::Lowered, ..config(43) });
    let report = report(&test.run(&[]), 3);
    for job in ["values", "totals"] {
        let (failed, landed): (Vec<_>, Vec<_>) =
            slices(&report, job).into_iter().partition(|slice| slice["outcome"] == "failed");
        assert!(failed.len() > 10 && landed.iter().all(|slice| slice["rows"]["received"] == 0), "{landed:#?}");
        let error = failed[0]["error"].as_str().unwrap();
        assert!(error.contains("are 2h apart, and not 30m (`window.resolution.step`)"), "{error}");
    }
    test.assert_exact_logs();
}

#[test]
fn a_second_with_more_entries_than_a_page_is_said_so() {
    let test = Test::new(LastlineConfig { burst: 70, ..config(51) });
    let run = report(&test.run(&[("size: 500", "size: 60")]), 3);
    let failed: Vec<Value> =
        slices(&run, "logs").into_iter().filter(|slice| slice["outcome"] == "failed").cloned().collect();
    assert_eq!(failed.len(), 1, "{run:#}");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(
        error.contains("more rows share the seek value \"2026-01-07 12:00:00\" than a page of 60 holds"),
        "{error}"
    );
    report(&test.run(&[("size: 500", "size: 200")]), 0);
    test.assert_exact();
}

#[test]
fn an_entry_whose_detail_is_gone_keeps_its_row() {
    let test = Test::new(LastlineConfig { vanished_per_mille: 500, ..config(61) });
    report(&test.run(&[]), 0);
    test.assert_exact();
    let rows = test.landed("logs", "count(*) FILTER (detail IS NULL) AS gone, count(detail) AS there");
    assert!(rows[0]["gone"].as_u64() > Some(30) && rows[0]["there"].as_u64() > Some(30), "{rows:?}");
}

#[test]
fn faults_on_the_way_change_nothing() {
    // Seldom enough that no request fails five times, and sessions long enough that one outlives a retry.
    for (seed, faults) in [
        (71, Faults { every_nth_503: 11, retry_after: Some(0), ..Faults::default() }),
        (72, Faults { cut_body_every_nth: 17, hang_up_every_nth: 23, phase: 3, ..Faults::default() }),
    ] {
        let test = Test::new(LastlineConfig { faults, session: SessionLifetime::Requests(120), ..config(seed) });
        report(&test.run(&[]), 0);
        test.assert_exact();
        assert!(test.lastline.faults().injected() > 3);
    }
}
