//! The log: entries that sum up what was reported again and again, so that the younger of them go on growing.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::config::LastlineConfig;
use super::devices::{Device, id};
use crate::appliance::dice::{Dice, mix, pick};

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;
/// How late an entry is in the log, in seconds.
const MAX_LATENESS: u32 = 900;
/// How long an entry goes on at most, in seconds.
const MAX_LIFE: u32 = 20 * 3600;

/// What is reported: identifier, component, displayed name. Identifiers have dots.
const KINDS: [(&str, &str, &str); 6] = [
    ("db.replication", "Manager", "Database replication"),
    ("llmail.analysis.submission", "Mail", "Submission of Artifacts"),
    ("disk.usage.high", "System", "Disk usage"),
    ("sensor.link.down", "Sensor", "Monitored link"),
    ("update.signatures.fetch", "Update", "Signatures, fetched"),
    ("analysis.engine.busy", "Engine", "Analysis backlog"),
];

/// Texts that a careless reader breaks on.
const MESSAGES: [&str; 7] =
    ["OK", "", "Replication lags; see \"lag_seconds\"", "a,b|c;d", "line one\nline two", "Überlauf – 日本", "null"];

/// What an entry is made of; how far it has come depends on the clock.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    uuid: String,
    device: u32,
    kind: usize,
    start: i64,
    /// Seconds from one report to the next.
    interval: i64,
    /// Reports in the end.
    reports: i64,
    arrives_at: i64,
    per_report: u64,
    impact: u32,
    message: &'static str,
    vanished: bool,
    /// Decides between entries that end in the same second.
    pub(super) rank: u64,
}

/// A log entry at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// 32 hexadecimal digits.
    pub uuid: String,
    /// The appliance that reported it.
    pub appliance_uuid: String,
    /// Its type, as far as an answer's table of appliances knows it.
    pub appliance_type: Option<&'static str>,
    /// Its first report, a whole second.
    pub start: DateTime<Utc>,
    /// Its last report so far.
    pub end: DateTime<Utc>,
    /// The text.
    pub message: &'static str,
    /// From 0 to 100.
    pub impact: u32,
    /// How often it happened so far.
    pub count: u64,
    /// What is reported.
    pub identifier: &'static str,
    /// The component, as far as the answer's second table knows it.
    pub component: Option<&'static str>,
    /// The displayed name, as far as that table knows it.
    pub displayname: Option<&'static str>,
    /// What `get_log_entry` tells beside all this; none where the entry is gone from there.
    pub details: Option<Value>,
}

/// Makes the entries of the `config.days` days before `now`, epoch seconds, and at the same density those of the day after it.
pub(super) fn generate(config: &LastlineConfig, devices: u32, now: i64) -> Vec<Seed> {
    let days = config.days.max(1);
    let span = DAY * i64::from(days);
    let mut seeds = Vec::new();
    let mut add = |count: usize, from: i64, span: i64, long: bool| {
        for _ in 0..count {
            let number = seeds.len() as u64;
            let mut dice = Dice::new(mix(config.seed, 5), number);
            let start = from + i64::try_from(dice.word() >> 1).unwrap_or(0) % span.max(1);
            seeds.push(seed(config, devices, number, start, long, &mut dice));
        }
    };
    let long = config.long_lived as usize;
    add(config.entries, now - span, span, false);
    add(long * days as usize, now - span, span, true);
    add(config.entries / days as usize, now, DAY, false);
    add(long, now, DAY, true);
    let noon = now.div_euclid(DAY) * DAY - DAY / 2;
    for _ in 0..config.burst {
        let number = seeds.len() as u64;
        let entry = seed(config, devices, number, noon, false, &mut Dice::new(mix(config.seed, 5), number));
        seeds.push(Seed { start: noon, reports: 1, arrives_at: noon, ..entry });
    }
    seeds
}

fn seed(config: &LastlineConfig, devices: u32, number: u64, start: i64, long: bool, dice: &mut Dice) -> Seed {
    // One in twenty begins where windows meet.
    let start = if dice.chance(50) && !long { start.div_euclid(HOUR) * HOUR } else { start };
    let (interval, reports) = match long {
        true => {
            let interval = i64::from(dice.between(300, 1800));
            (interval, (i64::from(dice.below(MAX_LIFE)) / interval).max(2))
        }
        false if dice.chance(400) => (i64::from(dice.between(1, 90)), i64::from(dice.between(2, 20))),
        false => (1, 1),
    };
    Seed {
        uuid: id(config.seed, 9, number),
        device: dice.below(devices),
        kind: usize::try_from(dice.below(6)).unwrap_or(0),
        start,
        interval,
        reports,
        arrives_at: start + i64::from(dice.below(MAX_LATENESS)),
        per_report: 1 + u64::from(dice.below(300)),
        impact: dice.below(101),
        message: pick::<7, &'static str>(&MESSAGES, dice.word()),
        vanished: dice.chance(config.vanished_per_mille),
        rank: dice.word(),
    }
}

impl Seed {
    /// Whether it has this id.
    pub(super) fn is(&self, uuid: &str) -> bool {
        self.uuid == uuid
    }

    /// When it was first reported, epoch seconds.
    pub(super) const fn start(&self) -> i64 {
        self.start
    }

    /// When it was last reported until `now`, epoch seconds; none while it isn't in the log yet.
    pub(super) fn end(&self, now: i64) -> Option<i64> {
        (now >= self.arrives_at.max(self.start)).then(|| self.start + (self.so_far(now) - 1) * self.interval)
    }

    fn so_far(&self, now: i64) -> i64 {
        (1 + (now - self.start) / self.interval.max(1)).clamp(1, self.reports)
    }

    /// The entry as it is at `now`; none while it isn't in the log yet.
    pub(super) fn at(&self, seed: u64, devices: &[Device], now: i64) -> Option<LogEntry> {
        let end = self.end(now)?;
        let device = devices.get(self.device as usize)?;
        let (identifier, component, displayname) = *KINDS.get(self.kind)?;
        let time = |instant| DateTime::from_timestamp(instant, 0).unwrap_or_default();
        let known = knows(seed, device, self.kind);
        Some(LogEntry {
            uuid: self.uuid.clone(),
            appliance_uuid: device.uuid.clone(),
            appliance_type: knows_device(seed, device).then_some(device.kind),
            start: time(self.start),
            end: time(end),
            message: self.message,
            impact: self.impact,
            count: self.so_far(now).unsigned_abs() * self.per_report,
            identifier,
            component: known.then_some(component),
            displayname: (known && self.kind != 3).then_some(displayname),
            details: (!self.vanished).then(|| self.details()),
        })
    }

    /// Fields that only `get_log_entry` has. They differ from kind to kind.
    fn details(&self) -> Value {
        match self.kind {
            0 => json!({"lag_seconds": self.impact * 7, "peers": ["db-1", "db-2"]}),
            1 => json!({"artifact": {"size": self.per_report * 1_000_003, "name": "inv\"oice.pdf"}}),
            2 => json!({"volume": "/data", "used_percent": f64::from(self.impact) / 8.0}),
            3 => json!({"interface": null}),
            _ => json!([]),
        }
    }
}

/// Whether the table of appliances has this one.
fn knows_device(seed: u64, device: &Device) -> bool {
    !mix(mix(seed, 41), device.number.into()).is_multiple_of(4)
}

/// Whether the table of what is reported has this appliance, and in it this kind.
fn knows(seed: u64, device: &Device, kind: usize) -> bool {
    let own = mix(mix(seed, 43), device.number.into());
    !own.is_multiple_of(5) && !mix(own, kind as u64).is_multiple_of(5)
}
