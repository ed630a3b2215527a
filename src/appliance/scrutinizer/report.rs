//! A conversations report: what a range of time comes to, ordered, one page of it. Run anew for every request, as by the real one.

use std::collections::HashMap;
use std::net::IpAddr;

use super::flows::{Direction, Flow, MINUTE, parties};
use crate::appliance::dice::mix;

/// What a report is ordered by, the largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum OrderBy {
    #[default]
    Octets,
    Packets,
}

/// The range of a report, epoch seconds, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Seconds of a bucket. A bucket belongs to a report whole, where it begins in the range.
    pub(super) granularity: i64,
}

impl Range {
    /// The instants of the flows that count.
    fn instants(self) -> (i64, i64) {
        let up = |instant: i64| {
            instant.div_euclid(self.granularity) * self.granularity
                + if instant.rem_euclid(self.granularity) == 0 { 0 } else { self.granularity }
        };
        (up(self.start), up(self.end))
    }

    /// The seconds that rates are counted over.
    pub(super) fn seconds(self) -> i64 {
        (self.end - self.start).max(1)
    }
}

/// A conversation over the range of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Where it came from.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// Port and transport, such as `443-6`.
    pub port: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes; they may exceed an `i64`.
    pub octets: u64,
    /// Its share of all bytes of the report, in hundredths of a percent, rounded half up.
    pub percent_hundredths: u64,
    /// The bytes of its largest bucket; none where it has only one.
    pub peak: Option<u64>,
    /// When its first flow in the range began, epoch seconds.
    pub first_flow: i64,
    pub(super) number: u32,
}

/// What a conversation adds up to.
#[derive(Debug, Clone, Default)]
struct Sums {
    octets: u64,
    packets: u64,
    first: i64,
    /// Bytes by bucket. Flows come in order, so the last is the current one.
    buckets: Vec<(i64, u64)>,
}

/// Runs the report over what had arrived at `now`, in its order; `salt` decides between equals.
pub(super) fn run(
    flows: &[Flow],
    direction: Direction,
    seed: u64,
    range: Range,
    now: i64,
    (order, salt): (OrderBy, Option<u64>),
) -> Vec<Conversation> {
    let (from, to) = range.instants();
    let first = flows.partition_point(|flow| flow.begin < from);
    let last = flows.partition_point(|flow| flow.begin < to).max(first);
    let arrived = flows[first..last].iter().filter(|flow| flow.arrived_at <= now);
    let mut sums: HashMap<u32, Sums> = HashMap::new();
    for flow in arrived {
        let sum = sums.entry(flow.conversation).or_insert_with(|| Sums { first: flow.begin, ..Sums::default() });
        sum.add(flow, range.granularity);
    }
    let total = sums.values().map(|sum| u128::from(sum.octets)).sum::<u128>().max(1);
    let mut rows: Vec<Conversation> =
        sums.iter().map(|(number, sum)| sum.row(*number, direction, seed, total)).collect();
    rows.sort_by_key(|row| {
        let metric = match order {
            OrderBy::Octets => row.octets,
            OrderBy::Packets => row.packets,
        };
        let tie = salt.map_or(0, |salt| mix(salt, row.number.into()));
        (std::cmp::Reverse(metric), tie, row.number)
    });
    rows
}

impl Sums {
    fn add(&mut self, flow: &Flow, granularity: i64) {
        self.octets = self.octets.saturating_add(flow.octets);
        self.packets = self.packets.saturating_add(flow.packets);
        let bucket = flow.begin.div_euclid(granularity);
        match self.buckets.last_mut() {
            Some((last, octets)) if *last == bucket => *octets = octets.saturating_add(flow.octets),
            _ => self.buckets.push((bucket, flow.octets)),
        }
    }

    fn row(&self, number: u32, direction: Direction, seed: u64, total: u128) -> Conversation {
        let parties = parties(seed, direction, number);
        let share = (u128::from(self.octets) * 10_000 + total / 2) / total;
        let peak = self.buckets.iter().map(|(_, octets)| *octets).max();
        Conversation {
            source: parties.source,
            destination: parties.destination,
            port: parties.port.0,
            packets: self.packets,
            octets: self.octets,
            percent_hundredths: u64::try_from(share).unwrap_or(u64::MAX),
            peak: peak.filter(|_| self.buckets.len() > 1),
            first_flow: self.first,
            number,
        }
    }
}

/// Seconds of a bucket where the report is free to choose: coarser for longer ranges.
pub(super) const fn automatic(seconds: i64) -> i64 {
    match seconds {
        ..=3600 => MINUTE,
        3601..=21_600 => 5 * MINUTE,
        21_601..=172_800 => 30 * MINUTE,
        172_801..=691_200 => 120 * MINUTE,
        _ => 720 * MINUTE,
    }
}
