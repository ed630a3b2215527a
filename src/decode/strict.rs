//! Documents in which no key comes twice: of two values one would be lost, and nobody knows which one was meant.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::{DecodeError, excerpt, json};
use super::infer::Name;

/// Reads a whole answer that is JSON: as it is, for what is judged by it.
///
/// # Errors
/// Where it isn't JSON, is nested more than 128 deep, or has a key twice in one object.
pub fn check_json(body: &[u8]) -> Result<Value, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let offset = error.valid_up_to();
        DecodeError::Utf8 { offset, excerpt: excerpt(body, offset) }
    })?;
    value(text).map_err(|error| json(text, &error))
}

/// Reads a JSON text, no deeper than 128 levels, in which no object has a key twice.
pub(super) fn value(text: &str) -> Result<Value, serde_json::Error> {
    check(text)?;
    serde_json::from_str(text)
}

/// As [`value`], where every number must keep its digits: a value has no room for integers beyond 64 bits.
pub(super) fn exact_value(text: &str) -> Result<Value, serde_json::Error> {
    walk(text, Unique { exact: true })?;
    serde_json::from_str(text)
}

/// Checks that a text is JSON, no deeper than 128 levels, and that no object in it has a key twice.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    walk(text, Unique { exact: false })
}

fn walk(text: &str, unique: Unique) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    unique.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Returns what a parser says, without the place.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let reason = told.split(" at line ").next().unwrap_or(&told);
    if reason == "recursion limit exceeded" {
        return TOO_DEEP.to_owned();
    }
    // A key keeps its letters.
    if is_twice(reason) { reason.to_owned() } else { reason.to_lowercase() }
}

/// What is said of a document that is nested too deep.
pub(super) const TOO_DEEP: &str = "it is nested more than 128 deep";

/// What is said of a number that a value has no room for.
pub(super) const LOSES_DIGITS: &str = "is beyond 64 bits and would lose digits";

/// Tells whether a reason is that a key comes twice.
pub(super) fn is_twice(reason: &str) -> bool {
    reason.starts_with(TWICE)
}

/// Says that a key comes twice.
pub(super) fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format!("{TWICE}{key}` comes twice"))
}

/// How the message about a key that comes twice begins.
const TWICE: &str = "the key `";

#[derive(Clone, Copy)]
struct Unique {
    /// Refuse numbers that may have been integers beyond 64 bits.
    exact: bool,
}

/// From here on 64 bits don't hold every integer: 2^63, the negative side being the shorter one.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            map.next_value_seed(self)?;
            if let Some(name) = names.replace(name) {
                return Err(twice::<A::Error>(&name));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if self.exact && value.abs() >= BEYOND {
            return Err(E::custom(format!("the number {value:e} {LOSES_DIGITS}")));
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
