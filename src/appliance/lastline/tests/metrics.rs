//! Metrics: their list, their series at every resolution, their sums.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{AGGREGATE, GET, LIST, Sim, instant, window};
use crate::appliance::lastline::{Excess, LastlineConfig, MetricPoint, Nothing, Phase, Spelling};

const CPU: (&str, &str) = ("metric", "gauge.cpu_load");
const MOST: (&str, &str) = ("max_data_points", "300");

fn shown(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn times(series: &Value) -> Vec<NaiveDateTime> {
    let time = |pair: &Value| NaiveDateTime::parse_from_str(pair[0].as_str().unwrap(), "%Y-%m-%d %H:%M:%S").unwrap();
    series.as_array().unwrap().iter().map(time).collect()
}

/// The smallest difference of neighbours, in minutes.
fn step(series: &Value) -> i64 {
    times(series).windows(2).map(|pair| (pair[1] - pair[0]).num_minutes()).min().unwrap()
}

/// The points of a whole answer, cut to a window.
fn points(data: &Value, (from, to): (&str, &str)) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (uuid, appliance) in data.as_object().into_iter().flatten() {
        for pair in appliance["time_series"].as_array().unwrap() {
            if (from..to).contains(&pair[0].as_str().unwrap()) {
                found.insert(format!(
                    "{uuid} {} {} {}",
                    appliance["appliance_type"],
                    pair[0],
                    pair[1].as_f64().map_or(Value::Null, Value::from)
                ));
            }
        }
    }
    found
}

fn expected(points: Vec<MetricPoint>, metric: &str) -> BTreeSet<String> {
    let own = points.into_iter().filter(|point| point.metric == metric);
    own.map(|point| {
        let (uuid, kind) = point.appliance.unwrap();
        format!("{uuid} {} {} {}", json!(kind), json!(shown(point.at)), point.value.map_or(Value::Null, Value::from))
    })
    .collect()
}

#[test]
fn days_of_native_resolution_are_the_truth() {
    for (phase, inclusive_end) in [(Phase::Grid, true), (Phase::Start, false)] {
        let sim = Sim::new(LastlineConfig { phase, inclusive_end, ..LastlineConfig::default() });
        let mut nulls = 0;
        for day in 1..7 {
            let from = instant("2026-01-01T00:00:00Z") + TimeDelta::days(day);
            let (start, end) = (shown(from), shown(from + TimeDelta::days(1)));
            for metric in super::super::metrics::METRICS.iter().map(|metric| metric.id) {
                let data = sim.data(GET, &window(&start, &end, &[("metric", metric), MOST]));
                let due = expected(sim.lastline.values(&(from..from + TimeDelta::days(1))), metric);
                nulls += due.iter().filter(|point| point.ends_with("null")).count();
                assert_eq!(points(&data, (&start, &end)), due, "{metric} {start}");
            }
        }
        assert!(nulls > 20, "{nulls}");
    }
}

#[test]
fn the_span_and_the_points_decide_the_step() {
    let sim = Sim::new(LastlineConfig::default());
    let step_of = |hours: i64, points: &str| {
        let start = shown(instant("2026-01-08T00:00:00Z") - TimeDelta::hours(hours));
        let more = [CPU, ("max_data_points", points)];
        let data = sim.data(GET, &window(&start, "2026-01-08 00:00:00", &more));
        data.as_object().unwrap().values().map(|one| step(&one["time_series"])).collect::<BTreeSet<_>>()
    };
    for (hours, points, minutes) in
        [(75, "", 30), (76, "", 60), (144, "300", 30), (150, "300", 30), (151, "300", 60), (24, "24", 60)]
    {
        assert_eq!(step_of(hours, points), [minutes].into(), "{hours} hours, {points:?}");
    }
    let lowered = Sim::new(LastlineConfig { max_points: 20, excess: Excess::Lowered, ..LastlineConfig::default() });
    let data = lowered.data(GET, &window("2026-01-06 00:00:00", "2026-01-07 00:00:00", &[CPU, MOST]));
    assert_eq!(step(&data.as_object().unwrap().values().next().unwrap()["time_series"]), 120);
}

#[test]
fn a_coarse_bucket_is_the_mean_of_its_values() {
    let sim = Sim::new(LastlineConfig { inclusive_end: false, ..LastlineConfig::default() });
    let (start, end) = ("2026-01-06 00:00:00", "2026-01-07 00:00:00");
    let of = |points| sim.data(GET, &window(start, end, &[CPU, ("max_data_points", points)]));
    let (fine, coarse) = (of("300"), of("12"));
    let mut compared = 0;
    for (uuid, appliance) in coarse.as_object().unwrap() {
        let fine = fine[uuid]["time_series"].as_array().unwrap();
        for (bucket, four) in appliance["time_series"].as_array().unwrap().iter().zip(fine.chunks(4)) {
            let values: Vec<f64> = four.iter().filter_map(|pair| pair[1].as_f64()).collect();
            let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap());
            assert!((bucket[1].as_f64().unwrap() - mean).abs() < 1e-9, "{bucket} {four:?}");
            compared += 1;
        }
    }
    assert!(compared >= 36);
}

#[test]
fn counters_are_rates_and_the_newest_bucket_is_not_done() {
    let sim = Sim::new(LastlineConfig::default());
    let flows = ("metric", "counter.flows_seen");
    let newest = |sim: &Sim| {
        let data = sim.data(GET, &window("2026-01-08 00:00:00", "2026-01-08 00:10:00", &[flows, MOST]));
        data.as_object().unwrap().values().map(|one| one["time_series"][0][1].clone()).collect::<Vec<_>>()
    };
    let rates = newest(&sim);
    let counts = rates.iter().filter_map(Value::as_f64).map(|rate| rate * 1800.0);
    assert!(counts.clone().all(|count| (count - count.round()).abs() < 1e-6) && counts.count() > 0, "{rates:?}");
    sim.clock.advance(TimeDelta::minutes(15));
    let later = newest(&sim);
    assert_ne!(rates, later, "it went on growing, also after its end");
    sim.clock.advance(TimeDelta::minutes(5));
    let done = newest(&sim);
    assert_ne!(later, done);
    sim.clock.advance(TimeDelta::hours(5));
    assert_eq!(newest(&sim), done, "it is done");
}

#[test]
fn the_list_knows_what_there_was() {
    let sim = Sim::new(LastlineConfig::default());
    let list = |start, end| sim.data(LIST, &window(start, end, &[]));
    assert!(
        list("2026-01-01 00:00:00", "2026-01-08 00:00:00")
            .as_array()
            .unwrap()
            .contains(&json!("counter.legacy_uploads"))
    );
    let later = list("2026-01-06 00:00:00", "2026-01-08 00:00:00");
    assert!(later.as_array().unwrap().contains(&json!("counter.flows_seen")) && !later.to_string().contains("legacy"));
    assert_eq!(list("2020-01-01 00:00:00", "2020-01-08 00:00:00"), json!([]));
}

#[test]
fn no_data_are_no_members_of_a_map_or_of_a_list() {
    for (nothing, expected) in [(Nothing::Map, json!({})), (Nothing::List, json!([]))] {
        let sim = Sim::new(LastlineConfig { nothing, ..LastlineConfig::default() });
        let ask = || {
            sim.data(GET, &window("2020-01-01 00:00:00", "2020-01-02 00:00:00", &[("metric", "gauge.queue_length")]))
        };
        let answers: Vec<Value> = (0..20).map(|_| ask()).collect();
        assert!(answers.contains(&expected), "{answers:?}");
        let empty =
            |data: &Value| data.as_object().is_some_and(|map| map.values().any(|one| one["time_series"] == json!([])));
        assert!(answers.iter().any(empty), "an appliance may be there with no points");
    }
}

#[test]
fn totals_are_sums_over_appliances() {
    for spelling in [Spelling::Plural, Spelling::Singular] {
        let sim = Sim::new(LastlineConfig { spelling, ..LastlineConfig::default() });
        let (start, end) = ("2026-01-06 00:00:00", "2026-01-07 00:00:00");
        let data = sim.data(AGGREGATE, &window(start, end, &[("metrics", "gauge.cpu_load,counter.flows_seen"), MOST]));
        let list = data[if spelling == Spelling::Plural { "metrics" } else { "metric" }].as_array().unwrap();
        assert_eq!(
            list.iter().map(|one| one["metric"].as_str().unwrap()).collect::<Vec<_>>(),
            ["gauge.cpu_load", "counter.flows_seen"]
        );
        for one in list {
            let due = sim.lastline.totals(&(instant("2026-01-06T00:00:00Z")..instant("2026-01-07T00:00:00Z")));
            let due: Vec<_> = due.into_iter().filter(|point| one["metric"] == point.metric).collect();
            let found: Vec<_> = one["time_series"].as_array().unwrap().iter().map(|pair| pair[1].as_f64()).collect();
            assert_eq!(found[..due.len()], due.iter().map(|point| point.value).collect::<Vec<_>>());
        }
    }
}

#[test]
fn times_are_in_the_zone_that_is_named_and_repeat_where_clocks_go_back() {
    let clock_goes_back = "2025-11-02T12:00:00Z";
    let mut sim = Sim::new(LastlineConfig::default());
    sim.lastline = super::Lastline::new(
        LastlineConfig::default(),
        std::sync::Arc::new(crate::clock::ManualClock::new(instant(clock_goes_back))),
    );
    sim.cookie = sim.send("POST", "/papi/login", &[], &super::credentials(sim.lastline.config())).cookie.unwrap();
    let ask = |zone: Option<&str>, start: &str, end: &str| {
        let mut query = vec![CPU, ("start_time", start), ("end_time", end), MOST];
        query.extend(zone.map(|zone| ("time_zone", zone)));
        let data = sim.data(GET, &query);
        let longest = data.as_object().unwrap().values().map(|one| times(&one["time_series"])).max_by_key(Vec::len);
        longest.unwrap().iter().map(|time| time.format("%H:%M").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        ask(Some("UTC"), "2025-11-02 07:30:00", "2025-11-02 10:00:00").join(" "),
        "07:30 08:00 08:30 09:00 09:30 10:00"
    );
    // The appliance's own zone, which nobody named: an hour of the night comes twice.
    assert_eq!(
        ask(None, "2025-11-02 00:30:00", "2025-11-02 02:00:00").join(" "),
        "00:30 01:00 01:30 01:00 01:30 02:00"
    );
}

#[test]
fn licence_fields_are_there_or_null_or_absent() {
    let sim = Sim::new(LastlineConfig::default());
    let data = sim.data(GET, &window("2026-01-01 00:00:00", "2026-01-08 00:00:00", &[CPU]));
    let fields: BTreeSet<String> = data
        .as_object()
        .unwrap()
        .values()
        .map(|one| {
            one.get("subkey_id")
                .map_or("absent".to_owned(), |id| if id.is_null() { "null" } else { "number" }.to_owned())
        })
        .collect();
    assert_eq!(fields, ["absent", "null", "number"].map(str::to_owned).into());
}
