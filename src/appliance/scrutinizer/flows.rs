//! The flows that were collected: who talked to whom, minute by minute.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::config::ScrutinizerConfig;
use crate::appliance::dice::{Dice, mix, pick};

/// Seconds of a bucket: the finest granularity of a report.
pub(super) const MINUTE: i64 = 60;

/// One flow in so many counts more bytes than a double can hold exactly.
const HUGE_EVERY: usize = 211;
/// One flow in so many counts more bytes than fit an `i64`; its conversation has no other such flow.
const MONSTROUS_EVERY: usize = 1999;
/// How late a flow arrives at most, in seconds: exporters send a flow when it ends or times out.
pub(super) const MAX_LATENESS: u32 = 180;

/// Ports and transports as the filters of the API write them (`in_53-17`), and their names.
pub(super) const PORTS: [(&str, &str); 7] = [
    ("443-6", "https (443 - TCP)"),
    ("53-17", "domain (53 - UDP)"),
    ("80-6", "http (80 - TCP)"),
    ("22-6", "ssh (22 - TCP)"),
    ("123-17", "ntp (123 - UDP)"),
    ("443-17", "quic (443 - UDP)"),
    ("0-1", "ICMP"),
];

/// Which way the traffic went through the exporter's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into it.
    Inbound,
    /// Out of it.
    Outbound,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Inbound, Self::Outbound];

    /// Returns its name in requests and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// A conversation's traffic in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// When it began, epoch seconds; its minute is the bucket that it counts for.
    pub(super) begin: i64,
    /// When the collector had it, epoch seconds.
    pub(super) arrived_at: i64,
    /// Which conversation it belongs to.
    pub(super) conversation: u32,
    pub(super) octets: u64,
    pub(super) packets: u64,
}

/// Makes the flows of a direction, in the order of their beginning: half of `number`, in the `hours` before `now`.
pub(super) fn history(config: &ScrutinizerConfig, direction: Direction, now: i64) -> Vec<Flow> {
    let mut dice = Dice::new(config.seed, mix(2, direction as u64));
    let number = match direction {
        Direction::Inbound => config.flows.div_ceil(2),
        Direction::Outbound => config.flows / 2,
    };
    let seconds = config.hours.max(1).saturating_mul(3600);
    let mut flows: Vec<Flow> = (0..number)
        .map(|index| {
            let begin = now - 1 - i64::from(dice.below(seconds));
            let arrived_at = begin + i64::from(dice.below(MAX_LATENESS));
            flow(&mut dice, index, config.conversations, begin, arrived_at)
        })
        .collect();
    flows.sort_by_key(|flow| flow.begin);
    flows
}

/// Makes one flow; the `index`-th of its direction.
pub(super) fn flow(dice: &mut Dice, index: usize, conversations: u32, begin: i64, arrived_at: i64) -> Flow {
    let packets = 1 + u64::from(dice.below(400));
    // The lower of two throws: the first conversations have most of the traffic.
    let conversation = dice.below(conversations).min(dice.below(conversations));
    let (conversation, octets) = match index {
        _ if index % MONSTROUS_EVERY == 7 => {
            let own = conversations + u32::try_from(index / MONSTROUS_EVERY).unwrap_or(0);
            (own, (1 << 63) + 1 + u64::from(dice.below(1000)))
        }
        _ if index % HUGE_EVERY == 5 => (conversation, (1 << 53) + 1 + 2 * u64::from(dice.below(1000))),
        // A lone packet of the most common size: many rows share its sum.
        _ if dice.chance(300) => (conversation, 1500),
        _ => (conversation, packets * (40 + u64::from(dice.below(1400)))),
    };
    let packets = if octets == 1500 { 1 } else { packets };
    Flow { begin, arrived_at, conversation, octets, packets }
}

/// Who talks in a conversation, and on which port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parties {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Port and name, of [`PORTS`].
    pub(super) port: (&'static str, &'static str),
}

/// The parties of a conversation: sources have several, destinations are its own.
pub(super) fn parties(seed: u64, direction: Direction, conversation: u32) -> Parties {
    let local: IpAddr = if conversation % 7 == 6 {
        Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, word16(conversation / 3)).into()
    } else {
        Ipv4Addr::from(0x0A01_0502_u32.wrapping_add(conversation / 3)).into()
    };
    let remote: IpAddr = if conversation % 5 == 4 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, word16(conversation >> 16), word16(conversation & 0xffff)).into()
    } else {
        Ipv4Addr::from(0xC612_0001_u32.wrapping_add(conversation & 0x0001_ffff)).into()
    };
    let port = *pick(&PORTS, mix(seed, conversation.into()));
    match direction {
        Direction::Inbound => Parties { source: remote, destination: local, port },
        Direction::Outbound => Parties { source: local, destination: remote, port },
    }
}

fn word16(number: u32) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}
