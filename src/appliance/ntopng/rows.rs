//! The rows behind the answers: compact, so that a million alerts fit into memory, and public, so that tests know the truth.

use std::borrow::Cow;
use std::net::IpAddr;

use super::kinds::{FLOW_KINDS, FlowKind, HOST_KINDS, HostKind, Info, severity_of, severity_value};
use super::names;
use crate::appliance::dice::{below, mix, pick};

/// A flow alert. Times are epoch seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowAlert {
    /// Its number on its interface, by order of insertion, from 1.
    pub row_id: i64,
    /// When the flow began.
    pub tstamp: i64,
    /// When the alert became readable: up to 91 s later.
    pub inserted_at: i64,
    /// How long the flow lasted, in seconds.
    pub duration: u32,
    /// The client.
    pub cli_ip: IpAddr,
    /// The server.
    pub srv_ip: IpAddr,
    /// The client's port.
    pub cli_port: u16,
    /// The server's port.
    pub srv_port: u16,
    /// The VLAN, 0 for none.
    pub vlan: u16,
    /// The score.
    pub score: u16,
    /// Bytes from the client.
    pub bytes_sent: i64,
    /// Bytes from the server.
    pub bytes_rcvd: i64,
    /// Packets both ways.
    pub packets: u32,
    /// Whether somebody, or ntopng itself, ticked it off: hidden unless asked for.
    pub acknowledged: bool,
    pub(super) kind: u8,
    /// Decides on the texts, which are made when they are read.
    pub(super) salt: u64,
}

impl FlowAlert {
    pub(super) fn kind(&self) -> &'static FlowKind {
        pick(&FLOW_KINDS, self.kind.into())
    }

    /// The number of the kind of alert.
    pub fn alert_id(&self) -> u16 {
        self.kind().id
    }

    /// The name of the kind of alert.
    pub fn alert_name(&self) -> &'static str {
        self.kind().name
    }

    /// The severity as a number, 0 to 8.
    pub fn severity(&self) -> u8 {
        severity_value(self.score)
    }

    /// The severity as `format=json` spells it, `Critical` for one.
    pub fn severity_label(&self) -> &'static str {
        severity_of(self.severity()).label
    }

    /// Bytes both ways; beyond 2^53 for some.
    pub fn total_bytes(&self) -> i64 {
        self.bytes_sent.saturating_add(self.bytes_rcvd)
    }

    /// The text of the field `info`, which an attacker may have chosen.
    pub fn info(&self) -> Cow<'static, str> {
        let salt = mix(self.salt, 1);
        match self.kind().info {
            Info::Empty => Cow::Borrowed(""),
            Info::Url => format!("{}/{}.exe", host_in_url(self.srv_ip), pick(&["a", "setup", "update"], salt)).into(),
            Info::Query => format!("{salt:016x}.{:013x}.t.exfil-example.com", self.salt >> 12).into(),
            Info::Hostile => {
                format!("srv{:03}.example.org/item.php?id={}", salt & 0xff, pick(&names::HOSTILE, salt >> 8)).into()
            }
        }
    }

    /// Whether the row lies in the seconds `begin..=end`.
    pub const fn is_within(&self, begin: i64, end: i64) -> bool {
        begin <= self.tstamp && self.tstamp <= end
    }
}

/// The address as it stands in a URL.
fn host_in_url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A host alert. Times are epoch seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAlert {
    /// Its number on its interface, by order of insertion, from 1; 0 while it is in progress.
    pub row_id: i64,
    /// When it began.
    pub tstamp: i64,
    /// When it became readable.
    pub inserted_at: i64,
    /// How long it lasted, in seconds.
    pub duration: u32,
    /// The host.
    pub ip: IpAddr,
    /// Whether the host was the client of its flows, else it was the server.
    pub as_client: bool,
    /// The score.
    pub score: u16,
    /// Whether it was ticked off: hidden unless asked for.
    pub acknowledged: bool,
    /// The measured value that went over its threshold.
    pub measured: u32,
    pub(super) kind: u8,
}

impl HostAlert {
    pub(super) fn kind(&self) -> &'static HostKind {
        pick(&HOST_KINDS, self.kind.into())
    }

    /// The number of the kind of alert.
    pub fn alert_id(&self) -> u16 {
        self.kind().id
    }

    /// The severity as a number, 0 to 8.
    pub fn severity(&self) -> u8 {
        severity_value(self.score)
    }

    /// The severity as `format=json` spells it.
    pub fn severity_label(&self) -> &'static str {
        severity_of(self.severity()).label
    }
}

/// A host in the live table. Its identity is (`ip`, `vlan`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The address.
    pub ip: IpAddr,
    /// The VLAN, 0 for none.
    pub vlan: u16,
    /// When it turned up, in epoch seconds.
    pub first_seen: i64,
    /// What ntopng calls it: its address where it knows no name.
    pub name: String,
    pub(super) salt: u64,
}

impl Host {
    /// Bytes sent and received at the instant `now` (epoch seconds): they grow.
    pub fn bytes(&self, now: i64) -> (i64, i64) {
        let age = (now - self.first_seen).max(0);
        let rate = i64::from(below(self.salt, 4000));
        (age * rate, age * i64::from(below(self.salt >> 16, 9000)) / 3)
    }
}

/// A flow in the live table. Its identity is (`key`, `hash_id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// A hash of the flow, on the wire a string: mostly beyond 2^53.
    pub key: u64,
    /// Its place in the table, on the wire a string.
    pub hash_id: u32,
    /// When it began, in epoch seconds.
    pub first_seen: i64,
    /// When it leaves the table, in epoch seconds.
    pub gone_at: i64,
    /// The client.
    pub cli_ip: IpAddr,
    /// The server.
    pub srv_ip: IpAddr,
    /// The client's port.
    pub cli_port: u16,
    /// The VLAN, 0 for none.
    pub vlan: u16,
    /// What ntopng calls the client: its MAC address where it knows no name.
    pub cli_name: String,
    /// What ntopng calls the server.
    pub srv_name: String,
    pub(super) kind: u8,
    pub(super) salt: u64,
}

impl Flow {
    pub(super) fn kind(&self) -> &'static FlowKind {
        pick(&FLOW_KINDS, self.kind.into())
    }

    /// Bytes at the instant `now` (epoch seconds): they grow, but for flows that never had any.
    pub fn bytes(&self, now: i64) -> i64 {
        let rate = if self.salt.is_multiple_of(50) { 0 } else { 1 + i64::from(below(self.salt, 5000)) };
        (self.last_seen(now) - self.first_seen + 1) * rate
    }

    /// When it was last seen, in epoch seconds: a little before `now`.
    pub fn last_seen(&self, now: i64) -> i64 {
        (now - i64::from(below(mix(self.salt, now.unsigned_abs()), 12))).max(self.first_seen)
    }
}
