//! The log: its order, its limit, its growth, its holes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ENTRY, LOG, Sim, window};
use crate::appliance::lastline::{LastlineConfig, LogEntry, Nothing};

const WEEK: (&str, &str) = ("2026-01-01 00:00:00", "2026-01-08 00:20:00");

fn shown(entry: &LogEntry) -> (String, String) {
    let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
    (time(entry.start), time(entry.end))
}

fn page(sim: &Sim, start: &str, end: &str, limit: usize) -> Vec<Value> {
    let data = sim.data(LOG, &window(start, end, &[("limit", &limit.to_string())]));
    data["log_entries"].as_array().unwrap().clone()
}

/// Walks down as a careful client does: from the last end of a page, dropping what it knows. None where it is stuck.
fn walk(sim: &Sim, limit: usize) -> Option<BTreeSet<String>> {
    let (mut seen, mut end) = (BTreeSet::new(), WEEK.1.to_owned());
    loop {
        let rows = page(sim, WEEK.0, &end, limit);
        let known = seen.len();
        seen.extend(rows.iter().map(|row| row["log_entry_uuid"].as_str().unwrap().to_owned()));
        if rows.len() < limit {
            return Some(seen);
        }
        let last = rows.last().unwrap()["end_time"].as_str().unwrap().to_owned();
        if seen.len() == known || last >= end {
            return None;
        }
        end = last;
    }
}

fn uuids(entries: &[LogEntry]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry.uuid.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_careful_client_finds_every_entry(seed in any::<u64>(), entries in 0_usize..500, limit in 60_usize..200, shuffled_ties: bool) {
        let sim = Sim::new(LastlineConfig { seed, entries, shuffled_ties, ..LastlineConfig::default() });
        prop_assert_eq!(walk(&sim, limit), Some(uuids(&sim.lastline.entries())));
    }
}

#[test]
fn a_second_with_more_entries_than_a_page_is_where_one_is_stuck() {
    let sim = Sim::new(LastlineConfig { burst: 120, ..LastlineConfig::default() });
    assert_eq!(walk(&sim, 90), None);
    assert_eq!(walk(&sim, 250), Some(uuids(&sim.lastline.entries())));
}

#[test]
fn the_newest_come_first_and_are_found_by_overlap() {
    let sim = Sim::new(LastlineConfig { shuffled_ties: true, ..LastlineConfig::default() });
    let (start, end) = ("2026-01-05 00:00:00", "2026-01-06 00:00:00");
    let rows = page(&sim, start, end, 1000);
    let ends: Vec<&str> = rows.iter().map(|row| row["end_time"].as_str().unwrap()).collect();
    assert!(ends.is_sorted_by(|one, two| one >= two));
    let overlaps = |entry: &LogEntry| shown(entry).0.as_str() <= end && shown(entry).1.as_str() >= start;
    let due: Vec<LogEntry> = sim.lastline.entries().into_iter().filter(overlaps).collect();
    assert_eq!(rows.len(), due.len());
    assert!(due.iter().any(|entry| shown(entry).0.as_str() < start), "one began before");
    assert!(due.iter().any(|entry| shown(entry).1.as_str() > end), "one ended after");
    assert_eq!(page(&sim, start, end, 7), rows[..7].to_vec().clone(), "unless ends are equal, which these aren't");
    let capped = Sim::new(LastlineConfig { limit_cap: Some(5), ..LastlineConfig::default() });
    assert_eq!(page(&capped, start, end, 1000).len(), 5);
}

#[test]
fn entries_arrive_late_and_grow() {
    let sim = Sim::new(LastlineConfig { entries: 10_000, ..LastlineConfig::default() });
    let before: BTreeMap<String, LogEntry> =
        sim.lastline.entries().into_iter().map(|one| (one.uuid.clone(), one)).collect();
    sim.clock.advance(TimeDelta::minutes(30));
    let after = sim.lastline.entries();
    let cut = super::instant(super::NOW);
    assert!(after.iter().any(|one| one.start < cut && !before.contains_key(&one.uuid)), "one came late");
    let grown = after.iter().filter_map(|one| Some((before.get(&one.uuid)?, one))).filter(|(old, new)| old != new);
    let mut count = 0;
    for (old, new) in grown {
        assert!(new.count > old.count && new.end > old.end && new.start == old.start && new.details == old.details);
        count += 1;
    }
    assert!(count > 1);
    sim.clock.advance(TimeDelta::days(2));
    let done = sim.lastline.entries();
    assert!(done.len() > 11_000, "the next day's came: {}", done.len());
    sim.clock.advance(TimeDelta::days(2));
    assert_eq!(sim.lastline.entries(), done, "all are done");
}

#[test]
fn the_tables_have_holes() {
    let (mut kinds, mut components, mut names) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 1..6 {
        let sim = Sim::new(LastlineConfig { seed, ..LastlineConfig::default() });
        let data = sim.data(LOG, &window(WEEK.0, WEEK.1, &[("limit", "10000")]));
        let truth: BTreeMap<String, LogEntry> =
            sim.lastline.entries().into_iter().map(|one| (one.uuid.clone(), one)).collect();
        for row in data["log_entries"].as_array().unwrap() {
            let known = &truth[row["log_entry_uuid"].as_str().unwrap()];
            let appliance = row["appliance_uuid"].as_str().unwrap();
            let about = &data["log_entry_info"][appliance][row["log_identifier"].as_str().unwrap()];
            assert_eq!(data["appliances"][appliance]["appliance_type"].as_str(), known.appliance_type);
            assert_eq!(
                (about["component"].as_str(), about["displayname"].as_str()),
                (known.component, known.displayname)
            );
            assert_eq!((&row["count"], &row["message"]), (&json!(known.count), &json!(known.message)));
            kinds.insert(known.appliance_type.is_some());
            components.insert(known.component.is_some());
            names.insert(known.displayname.is_some());
        }
    }
    assert_eq!((kinds.len(), components.len(), names.len()), (2, 2, 2));
    let sim = Sim::new(LastlineConfig { nothing: Nothing::List, ..LastlineConfig::default() });
    let none = sim.data(LOG, &window("2020-01-01 00:00:00", "2020-01-02 00:00:00", &[]));
    assert_eq!(none, json!({"log_entries": [], "appliances": [], "log_entry_info": []}));
}

#[test]
fn a_detail_has_more_unless_it_is_gone() {
    let sim = Sim::new(LastlineConfig::default());
    let (mut gone, mut found) = (0, 0);
    for entry in sim.lastline.entries() {
        let body = sim.get(ENTRY, &[("log_entry_uuid", &entry.uuid), ("timezone", "UTC")]);
        if let Some(details) = &entry.details {
            let detail = &body["data"]["log_entry"];
            assert_eq!((&detail["details"], &detail["count"]), (details, &json!(entry.count)), "{body}");
            assert_eq!(detail["end_time"], shown(&entry).1);
            found += 1;
        } else {
            assert_eq!(body, json!({"success": 0, "error_code": 4711, "error": "No such log entry"}));
            gone += 1;
        }
    }
    assert!(gone > 3 && found > 300, "{gone} {found}");
}

#[test]
fn filters_are_heeded() {
    let sim = Sim::new(LastlineConfig { limit_cap: None, ..LastlineConfig::default() });
    let count = |more: &[(&str, &str)]| {
        let query = [window(WEEK.0, WEEK.1, &[("limit", "10000")]), more.to_vec()].concat();
        sim.data(LOG, &query)["log_entries"].as_array().unwrap().len()
    };
    let all = sim.lastline.entries();
    let due = |passes: &dyn Fn(&LogEntry) -> bool| all.iter().filter(|entry| passes(entry)).count();
    assert_eq!(count(&[("min_impact", "60")]), due(&|one| one.impact >= 60));
    assert_eq!(
        count(&[("identifiers", "db.replication,disk.usage.high")]),
        due(&|one| ["db.replication", "disk.usage.high"].contains(&one.identifier))
    );
    assert_eq!(count(&[("components", "Mail")]), due(&|one| one.component == Some("Mail")));
    let uuid = all[0].appliance_uuid.clone();
    assert_eq!(count(&[("appliance_uuids", &uuid)]), due(&|one| one.appliance_uuid == uuid));
}
