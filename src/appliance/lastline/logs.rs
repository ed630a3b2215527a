//! `get_log` and `get_log_entry` (vendors.md D4): the newest first, a `limit`, and no way to go on but to ask for what is older.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::answer::ApiError;
use super::ask::{Parameters, shown};
use super::config::LastlineConfig;
use super::devices::Device;
use super::entries::{LogEntry, Seed};
use super::series::{map, wanted};
use crate::appliance::dice::mix;

/// The entries of an answer where a request doesn't say. That of the real one isn't known.
const DEFAULT_LIMIT: u32 = 100;

/// A site's log at an instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) config: &'a LastlineConfig,
    pub(super) devices: &'a [Device],
    pub(super) seeds: &'a [Seed],
    /// The clock's present, epoch seconds.
    pub(super) now: i64,
}

impl Log<'_> {
    /// Returns the entries as they are at the clock's present.
    pub(super) fn entries(&self) -> Vec<LogEntry> {
        self.seeds.iter().filter_map(|seed| self.entry(seed)).collect()
    }

    fn entry(&self, seed: &Seed) -> Option<LogEntry> {
        seed.at(self.config.seed, self.devices, self.now)
    }

    /// Answers `get_log`: the entries that were reported at least once in the range, the last of them first. `salt` decides between
    /// those that end in the same second, where their order isn't steady. Returns how many entries the answer has, too.
    pub(super) fn list(&self, given: &Parameters, salt: u64) -> Result<(Value, usize), ApiError> {
        let range = given.range(self.config.zone)?;
        let limit = given.number("limit")?.unwrap_or(DEFAULT_LIMIT) as usize;
        let filter = Filter::read(self, given)?;
        let mut found: Vec<(i64, u64, LogEntry)> = Vec::new();
        for seed in self.seeds.iter().filter(|seed| seed.start() <= range.end) {
            if let Some(end) = seed.end(self.now).filter(|end| *end >= range.start)
                && let Some(entry) = self.entry(seed).filter(|entry| filter.passes(entry))
            {
                let tie = if self.config.shuffled_ties { mix(salt, seed.rank) } else { seed.rank };
                found.push((end, tie, entry));
            }
        }
        found.sort_by_key(|(end, tie, _)| (Reverse(*end), *tie));
        found.truncate(self.config.limit_cap.map_or(limit, |cap| cap.min(limit)));
        let entries: Vec<LogEntry> = found.into_iter().map(|(.., entry)| entry).collect();
        let rows: Vec<Value> = entries.iter().map(|entry| fields(entry, range.zone).into()).collect();
        let (appliances, info) = tables(self.config, &entries);
        Ok((json!({"log_entries": rows, "appliances": appliances, "log_entry_info": info}), entries.len()))
    }

    /// Answers `get_log_entry`.
    pub(super) fn detail(&self, given: &Parameters) -> Result<Value, ApiError> {
        let uuid = given.required("log_entry_uuid")?;
        let zone = given.zone(self.config.zone)?;
        let entry = self.seeds.iter().filter(|seed| seed.is(uuid)).find_map(|seed| self.entry(seed));
        let entry = entry.filter(|entry| entry.details.is_some()).ok_or_else(|| ApiError::missing("log entry"))?;
        let mut all = fields(&entry, zone);
        all.insert("details".to_owned(), entry.details.clone().unwrap_or_default());
        Ok(json!({"log_entry": all}))
    }
}

/// Which entries are wanted, beside their time.
#[derive(Debug)]
struct Filter<'a> {
    appliances: Vec<&'a Device>,
    identifiers: Option<Vec<&'a str>>,
    components: Option<Vec<&'a str>>,
    min_impact: u32,
}

impl<'a> Filter<'a> {
    fn read(log: &Log<'a>, given: &'a Parameters) -> Result<Self, ApiError> {
        Ok(Self {
            appliances: wanted(log.devices, given)?,
            identifiers: given.list("identifiers"),
            components: given.list("components"),
            min_impact: given.number("min_impact")?.unwrap_or(0),
        })
    }

    fn passes(&self, entry: &LogEntry) -> bool {
        let component = |list: &Vec<&str>| entry.component.is_some_and(|own| list.contains(&own));
        self.appliances.iter().any(|device| device.uuid == entry.appliance_uuid)
            && self.identifiers.as_ref().is_none_or(|list| list.contains(&entry.identifier))
            && self.components.as_ref().is_none_or(component)
            && entry.impact >= self.min_impact
    }
}

fn fields(entry: &LogEntry, zone: chrono_tz::Tz) -> Map<String, Value> {
    let fields = [
        ("log_entry_uuid", json!(entry.uuid)),
        ("appliance_uuid", json!(entry.appliance_uuid)),
        ("start_time", shown(entry.start.timestamp(), zone).into()),
        ("end_time", shown(entry.end.timestamp(), zone).into()),
        ("message", entry.message.into()),
        ("impact", entry.impact.into()),
        ("count", entry.count.into()),
        ("log_identifier", entry.identifier.into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The two tables of an answer, about what its entries name: appliances, and what each of them reports. Both have holes.
fn tables(config: &LastlineConfig, entries: &[LogEntry]) -> (Value, Value) {
    let (mut appliances, mut info) = (Map::new(), Map::new());
    for entry in entries {
        if let Some(kind) = entry.appliance_type {
            appliances.insert(entry.appliance_uuid.clone(), json!({"appliance_type": kind}));
        }
        if let Some(component) = entry.component {
            let mut about = json!({"component": component});
            if let Some(name) = entry.displayname {
                about["displayname"] = name.into();
            }
            let of = info.entry(entry.appliance_uuid.clone()).or_insert_with(|| json!({}));
            of[entry.identifier] = about;
        }
    }
    (map(config.nothing, appliances), map(config.nothing, info))
}
