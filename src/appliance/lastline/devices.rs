//! The appliances of a site: sensors, a manager, an engine.

use serde_json::{Map, Value, json};

use super::config::LastlineConfig;
use crate::appliance::dice::mix;

/// An appliance of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) number: u32,
    /// 32 hexadecimal digits.
    pub(super) uuid: String,
    pub(super) kind: &'static str,
}

/// Makes the appliances: the manager, the engine, then the sensors.
pub(super) fn devices(config: &LastlineConfig) -> Vec<Device> {
    let kind = |number| match number {
        0 => "MANAGER",
        1 => "ENGINE",
        _ => "SENSOR",
    };
    let device = |number| Device { number, uuid: id(config.seed, 7, number.into()), kind: kind(number) };
    (0..config.sensors + 2).map(device).collect()
}

/// An id of 32 hexadecimal digits; `purpose` keeps kinds of ids apart.
pub(super) fn id(seed: u64, purpose: u64, number: u64) -> String {
    let word = mix(mix(seed, purpose), number);
    format!("{word:016x}{:016x}", mix(word, purpose))
}

impl Device {
    /// What an answer of `get_metric` says of it. The licence's fields are there if there is one: null, or not at all, if not.
    pub(super) fn described(&self, seed: u64) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("appliance_type".to_owned(), self.kind.into());
        let own = [
            ("access_key", json!(format!("{:020X}", mix(seed, 30 + u64::from(self.number))))),
            ("subkey", Value::Null),
            ("subkey_name", json!(format!("Site {}", self.number))),
            ("access_key_id", json!(1000 + self.number)),
            ("subkey_id", json!(self.number)),
        ];
        for (name, value) in own {
            match self.number % 3 {
                0 => {}
                1 => drop(fields.insert(name.to_owned(), Value::Null)),
                _ => drop(fields.insert(name.to_owned(), value)),
            }
        }
        fields
    }
}
