//! The flows: generated from a seed, and as an answer shows them.

use serde_json::{Map, Value, json};

use super::SecureWorkloadConfig;
use crate::appliance::dice::{Dice, mix, pick};

/// What identifies and describes a flow.
pub(super) const DIMENSIONS: [&str; 12] = [
    "timestamp",
    "start_timestamp",
    "src_address",
    "dst_address",
    "src_port",
    "dst_port",
    "proto",
    "category",
    "vrf_name",
    "src_hostname",
    "src_scope_name",
    WORKLOAD,
];

/// What is counted.
pub(super) const METRICS: [&str; 4] = ["fwd_bytes", "rev_bytes", "fwd_pkts", "rev_pkts"];

/// A dimension of users' own labels: its name has a blank.
const WORKLOAD: &str = "user_orchestrator_Workload Type";

const HOUR_MS: i64 = 3_600_000;

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Which flow it is; the same seed gives the same number the same content.
    pub number: u64,
    /// Its time, in milliseconds since 1970.
    pub timestamp: i64,
    /// When it began, in milliseconds since 1970.
    pub start_timestamp: i64,
    /// The client's address, IPv4 or IPv6.
    pub src_address: String,
    /// The server's address.
    pub dst_address: String,
    /// The client's port; 0 for ICMP.
    pub src_port: u16,
    /// The server's port; 0 for ICMP.
    pub dst_port: u16,
    /// The IP protocol: 1, 6 or 17.
    pub protocol: u8,
    /// `permitted`, `escaped`, `misdropped` or `rejected`.
    pub category: &'static str,
    /// Bytes from the client.
    pub fwd_bytes: u64,
    /// Bytes from the server.
    pub rev_bytes: u64,
    /// Packets from the client.
    pub fwd_pkts: u64,
    /// Packets from the server.
    pub rev_pkts: u64,
    /// The client's scopes: one is shown as a string, several as a list.
    pub src_scopes: Vec<&'static str>,
    /// A label of the user's; the outer `None` leaves the key out, the inner one is null.
    pub workload_type: Option<Option<&'static str>>,
}

impl Flow {
    /// The protocol's name.
    #[must_use]
    pub const fn protocol_name(&self) -> &'static str {
        match self.protocol {
            1 => "ICMP",
            6 => "TCP",
            _ => "UDP",
        }
    }

    /// The record of an answer.
    pub(super) fn render(&self, config: &SecureWorkloadConfig) -> Value {
        let mut dice = Dice::new(mix(config.seed, 2), self.number);
        // Times as text or as a number, protocols by name or by number: no release is known to mix them, but two differ.
        let time = |at: i64, numeric: bool| if numeric { at.into() } else { iso(at) };
        let numeric = mix(config.seed, 3).is_multiple_of(2);
        let mut record = Map::new();
        record.insert("timestamp".to_owned(), time(self.timestamp, numeric));
        record.insert("start_timestamp".to_owned(), time(self.start_timestamp, numeric));
        record.insert("src_address".to_owned(), json!(self.src_address));
        record.insert("dst_address".to_owned(), json!(self.dst_address));
        record.insert("src_port".to_owned(), json!(self.src_port));
        record.insert("dst_port".to_owned(), json!(self.dst_port));
        let by_number = dice.chance(300);
        record.insert("proto".to_owned(), if by_number { json!(self.protocol) } else { json!(self.protocol_name()) });
        record.insert("category".to_owned(), json!(self.category));
        record.insert("vrf_name".to_owned(), if dice.chance(200) { Value::Null } else { json!("Default") });
        record.insert("src_hostname".to_owned(), Value::Null);
        record.insert(
            "src_scope_name".to_owned(),
            match self.src_scopes.as_slice() {
                [one] => json!(one),
                several => json!(several),
            },
        );
        if let Some(workload) = self.workload_type {
            record.insert(WORKLOAD.to_owned(), json!(workload));
        }
        for (name, count) in METRICS.into_iter().zip([self.fwd_bytes, self.rev_bytes, self.fwd_pkts, self.rev_pkts]) {
            record.insert(name.to_owned(), json!(count));
        }
        Value::Object(record)
    }
}

fn iso(at: i64) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into()
}

/// Makes the flows of `config.hours` hours before `now`, in milliseconds, and at the same density those of the hour after it.
pub(super) fn generate(config: &SecureWorkloadConfig, now: i64) -> Vec<Flow> {
    let span = i64::from(config.hours.max(1)) * HOUR_MS;
    let later = config.flows / config.hours.max(1) as usize;
    let mut flows: Vec<Flow> = (0..config.flows + later)
        .map(|number| {
            let mut dice = Dice::new(config.seed, number as u64);
            let within = |dice: &mut Dice, span: i64| i64::try_from(dice.word() >> 1).unwrap_or(0) % span;
            let timestamp = if number < config.flows {
                now - within(&mut dice, span)
            } else {
                now + 1 + within(&mut dice, HOUR_MS)
            };
            flow(number as u64, on_the_hour(&mut dice, timestamp, now, number < config.flows), &mut dice)
        })
        .collect();
    flows.sort_by_key(|flow| (flow.timestamp, flow.number));
    flows
}

/// Moves one flow in twenty to the edge of an hour, where windows meet.
fn on_the_hour(dice: &mut Dice, timestamp: i64, now: i64, past: bool) -> i64 {
    let edge = timestamp - timestamp.rem_euclid(HOUR_MS);
    if dice.chance(50) && (edge <= now) == past { edge } else { timestamp }
}

/// What policies said of flows, as often as here.
const CATEGORIES: [&str; 6] = ["permitted", "permitted", "permitted", "escaped", "misdropped", "rejected"];

fn flow(number: u64, timestamp: i64, dice: &mut Dice) -> Flow {
    let protocol = *pick(&[6, 6, 6, 17, 17, 1], dice.word());
    let port = |dice: &mut Dice, low, high| {
        if protocol == 1 { 0 } else { u16::try_from(dice.between(low, high)).unwrap_or(0) }
    };
    let address = |dice: &mut Dice| match dice.below(5) {
        0 => format!("2001:db8::{:x}", dice.between(1, 4000)),
        _ => format!("172.29.{}.{}", dice.below(8), dice.between(1, 254)),
    };
    // Counters of long flows go beyond what a double can tell apart, and beyond what is signed.
    let bytes = |dice: &mut Dice| match dice.below(20) {
        0 => 9_007_199_254_740_993 + u64::from(dice.below(1000)) * 2,
        1 => u64::MAX - u64::from(dice.below(1000)),
        2 => 0,
        _ => u64::from(dice.below(10_000_000)),
    };
    let category = |dice: &mut Dice| *pick(&CATEGORIES, dice.word());
    let scopes: [&[&'static str]; 3] = [&["Default"], &["Default:Prod"], &["Default:Prod", "Default:Prod:Web"]];
    let scopes = *pick(&scopes, dice.word());
    Flow {
        number,
        timestamp,
        start_timestamp: timestamp - i64::from(dice.below(600_000)),
        src_address: address(dice),
        dst_address: address(dice),
        src_port: port(dice, 1024, 65_535),
        dst_port: *pick(&[0, port(dice, 1, 1023)], u64::from(protocol != 1)),
        protocol,
        category: category(dice),
        fwd_bytes: bytes(dice),
        rev_bytes: bytes(dice),
        fwd_pkts: u64::from(dice.below(10_000)),
        rev_pkts: u64::from(dice.below(10_000)),
        src_scopes: scopes.to_vec(),
        workload_type: *pick(&[None, Some(None), Some(Some("vm")), Some(Some("bare metal"))], dice.word()),
    }
}
