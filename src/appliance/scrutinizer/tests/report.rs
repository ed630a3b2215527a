//! Reports: their sums, their order and their pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Form, NOW, Sim, cell, hour, instant, key, rank, rich, truth};
use crate::appliance::scrutinizer::{Conversation, Direction, Scrutinizer, ScrutinizerConfig};
use crate::clock::ManualClock;

fn make(config: ScrutinizerConfig) -> Arc<Scrutinizer> {
    Scrutinizer::new(config, Arc::new(ManualClock::new(instant(NOW))))
}

type Sums = BTreeMap<String, (u64, u64)>;

fn sums(rows: impl IntoIterator<Item = Conversation>) -> Sums {
    let mut sums = Sums::new();
    for row in rows {
        let sum = sums.entry(format!("{} {} {}", row.source, row.port, row.destination)).or_default();
        *sum = (sum.0.saturating_add(row.octets), sum.1 + row.packets);
    }
    sums
}

#[test]
fn the_same_inputs_make_the_same_rows_and_another_seed_others() {
    let (start, end) = hour();
    let rows = |seed| make(ScrutinizerConfig { seed, ..rich() }).conversations(Direction::Outbound, start, end);
    assert_eq!(rows(7), rows(7));
    assert_ne!(rows(7), rows(8));
}

#[test]
fn ranges_that_touch_share_no_flow() {
    let scrutinizer = make(rich());
    let (from, to) = (instant(NOW) - TimeDelta::hours(6), instant(NOW));
    let over = |direction, from, to| scrutinizer.conversations(direction, from, to);
    let mut packets = 0;
    for direction in Direction::ALL {
        let hours = (0..6).map(|hour| from + TimeDelta::hours(hour));
        let parts = sums(hours.flat_map(|start| over(direction, start, start + TimeDelta::hours(1))));
        let whole = sums(over(direction, from, to));
        assert_eq!(parts, whole);
        packets += whole.values().map(|sum| sum.1).sum::<u64>();
    }
    assert!(packets > 12_000, "every flow has a packet at least");
}

#[test]
fn no_two_rows_are_of_the_same_parties() {
    let scrutinizer = make(rich());
    for direction in Direction::ALL {
        let rows = scrutinizer.conversations(direction, instant(NOW) - TimeDelta::hours(6), instant(NOW));
        assert_eq!(sums(rows.clone()).len(), rows.len());
        assert!(rows.iter().any(|row| row.source.is_ipv6()) && rows.iter().any(|row| row.source.is_ipv4()));
    }
}

#[test]
fn flows_arrive_late_and_more_come() {
    let clock = Arc::new(ManualClock::new(instant(NOW)));
    let scrutinizer = Scrutinizer::new(rich(), clock.clone());
    let packets = || {
        let rows = scrutinizer.conversations(Direction::Inbound, instant(NOW) - TimeDelta::hours(1), instant(NOW));
        rows.iter().map(|row| row.packets).sum::<u64>()
    };
    let early = packets();
    clock.advance(TimeDelta::minutes(10));
    let settled = packets();
    assert!(settled > early);
    clock.advance(TimeDelta::minutes(-10));
    scrutinizer.grow(Direction::Inbound, 50);
    assert!(packets() > early);
}

#[tokio::test]
async fn pages_of_any_size_make_up_the_report() {
    let sim = Sim::start(rich()).await;
    let whole = sim.rows(&Form::page(0, 5000), "inbound").await;
    assert_eq!(whole.len(), truth(&sim).len());
    for size in [7, 100, 1000] {
        let mut pages: Vec<Value> = Vec::new();
        loop {
            let page = sim.rows(&Form::page(pages.len(), size), "inbound").await;
            if page.is_empty() {
                break;
            }
            pages.extend(page);
        }
        assert_eq!(pages, whole, "pages of {size}");
    }
    let ranks: Vec<_> = whole.iter().map(rank).collect();
    assert_eq!((ranks[0], ranks[9]), ("Rank: 1", "Rank: 10"));
    let octets = |row: &Value| cell(row, "sum_octetdeltacount")["title"].as_u64().unwrap();
    assert!(whole.windows(2).all(|pair| octets(&pair[0]) >= octets(&pair[1])));
    assert!(whole.windows(2).any(|pair| octets(&pair[0]) == octets(&pair[1])), "some rows are tied");
}

#[tokio::test]
async fn tied_rows_move_between_pages_where_they_may() {
    let sim = Sim::start(ScrutinizerConfig { shuffled_ties: true, ..rich() }).await;
    let (one, two) = (sim.rows(&Form::page(0, 5000), "inbound").await, sim.rows(&Form::page(0, 5000), "inbound").await);
    let keys = |rows: &[Value]| rows.iter().map(key).collect::<Vec<_>>();
    assert_ne!(keys(&one), keys(&two));
    assert_eq!(keys(&one).iter().collect::<BTreeSet<_>>(), keys(&two).iter().collect());
    let octets =
        |rows: &[Value]| rows.iter().map(|row| cell(row, "sum_octetdeltacount")["title"].clone()).collect::<Vec<_>>();
    assert_eq!(octets(&one), octets(&two));
}

#[tokio::test]
async fn a_cap_cuts_pages_and_a_total_may_be_stated() {
    let sim = Sim::start(ScrutinizerConfig { row_cap: Some(20), states_total: true, ..rich() }).await;
    let answer = sim.post(&Form::page(0, 1000)).await;
    let table = &answer["report"]["table"]["inbound"];
    assert_eq!(table["rows"].as_array().unwrap().len(), 20);
    assert_eq!(table["totalRowCount"], truth(&sim).len());
    let plain = Sim::start(rich()).await.post(&Form::page(0, 1000)).await;
    let known: Vec<_> = plain["report"]["table"]["inbound"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(known, ["columns", "footer", "rows"], "no total");
}

#[tokio::test]
async fn relative_ranges_slide_and_coarse_buckets_count_whole() {
    let sim = Sim::start(rich()).await;
    let sliding = || Form::page(0, 5000).with("times", json!({"dateRange": "LastTenMinutes"}));
    let first = sim.rows(&sliding(), "inbound").await;
    sim.clock.advance(TimeDelta::minutes(5));
    assert_ne!(first, sim.rows(&sliding(), "inbound").await);
    let coarse = |minutes: &str| {
        let (start, end) = (hour().0 + TimeDelta::minutes(1), hour().1);
        let times = json!({"dateRange": "Custom", "start": start.timestamp(), "end": end.timestamp()});
        Form::page(0, 5000).with("times", times).with("dataGranularity", json!({"selected": minutes}))
    };
    let packets = |rows: Vec<Value>| {
        rows.iter().map(|row| cell(row, "sum_packetdeltacount")["title"].as_u64().unwrap()).sum::<u64>()
    };
    let fine = packets(sim.rows(&coarse("1m"), "inbound").await);
    assert!(
        packets(sim.rows(&coarse("30"), "inbound").await) < fine,
        "the bucket that began before the range is left out"
    );
    assert_eq!(packets(sim.rows(&coarse("auto"), "inbound").await), fine, "auto is a minute for an hour");
}
