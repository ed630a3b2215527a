//! What a record's text says about the types of its columns.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lattice::{
    BOOL, DECIMAL, EMPTY_LIST, EMPTY_OBJECT, HUGE, LIST, Node, OBJECT, Pin, STRING, WIDE, signed_facts, unsigned_facts,
};

/// A number as JSON prints it. What has neither a point nor an exponent is an integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Within 64 bits, signed.
    Signed(i64),
    /// Beyond 2^63, within 64 bits.
    Unsigned(u64),
    /// With a point or an exponent, and `-0`.
    Decimal(f64),
    /// An integer beyond 64 bits, or beyond the range of a double.
    Huge,
}

impl Number {
    /// Reads a number's text.
    pub(super) fn parse(text: &str) -> Self {
        let is_whole = text != "-0" && !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        if is_whole {
            let signed = text.parse().map(Self::Signed);
            return signed.or_else(|_| text.parse().map(Self::Unsigned)).unwrap_or(Self::Huge);
        }
        text.parse().ok().filter(|value: &f64| value.is_finite()).map_or(Self::Huge, Self::Decimal)
    }
}

/// Adds what `text`, one JSON value, says to `node`. `room` is how many levels of nesting may still be typed.
pub(super) fn observe(node: &mut Node, text: &str, room: usize) -> Result<(), serde_json::Error> {
    observe_at(node, text, room, false)
}

/// Adds what `text`, a record, says to the root. `depth` is how many levels are typed.
pub(super) fn observe_record(root: &mut Node, text: &str, depth: usize) -> Result<(), serde_json::Error> {
    observe_at(root, text, depth, true)
}

fn observe_at(node: &mut Node, text: &str, room: usize, is_root: bool) -> Result<(), serde_json::Error> {
    if matches!(node.pin, Pin::Type(_)) {
        return Ok(());
    }
    match text.as_bytes().first() {
        Some(b't' | b'f') => node.facts |= BOOL,
        Some(b'"') => node.facts |= STRING,
        Some(b'-' | b'0'..=b'9') => {
            node.facts |= match Number::parse(text) {
                Number::Signed(value) => signed_facts(value),
                Number::Unsigned(value) => unsigned_facts(value),
                Number::Decimal(_) => DECIMAL,
                Number::Huge => HUGE,
            }
        }
        Some(b'{' | b'[') if room == 0 && node.pin == Pin::Free => node.facts |= WIDE,
        Some(b'{') if node.pin != Pin::List => {
            serde_json::Deserializer::from_str(text).deserialize_map(Fields { node, room, is_root })?;
        }
        Some(b'[') if node.pin != Pin::Struct => {
            serde_json::Deserializer::from_str(text).deserialize_seq(Items { node, room })?;
        }
        _ => {}
    }
    Ok(())
}

struct Items<'n> {
    node: &'n mut Node,
    room: usize,
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut fact = EMPTY_LIST;
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            fact = LIST;
            observe(self.node.item(), item.get(), self.room.saturating_sub(1)).map_err(serde::de::Error::custom)?;
        }
        self.node.facts |= fact;
        Ok(())
    }
}

struct Fields<'n> {
    node: &'n mut Node,
    room: usize,
    is_root: bool,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut fact = EMPTY_OBJECT;
        while let Some(Name(name)) = fields.next_key()? {
            fact = OBJECT;
            let value: &'de RawValue = fields.next_value()?;
            if let Some(field) = self.node.field(&name, self.is_root) {
                observe(field, value.get(), self.room.saturating_sub(1)).map_err(serde::de::Error::custom)?;
            }
        }
        self.node.facts |= fact;
        Ok(())
    }
}

/// A key, borrowed from the text where it holds no escape.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Tells whether no object in `text`, down to `room` levels, has a key twice.
pub(super) fn is_unique(text: &str, room: usize) -> Result<bool, serde_json::Error> {
    Unique(room).deserialize(&mut serde_json::Deserializer::from_str(text))
}

#[derive(Clone, Copy)]
struct Unique(usize);

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let raw: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
        let mut inner = serde_json::Deserializer::from_str(raw.get());
        let unique = match raw.get().as_bytes().first() {
            Some(b'{') if self.0 > 0 => inner.deserialize_map(Self(self.0 - 1)),
            Some(b'[') if self.0 > 0 => inner.deserialize_seq(Self(self.0 - 1)),
            _ => Ok(true),
        };
        unique.map_err(serde::de::Error::custom)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let mut unique = true;
        while let Some(item) = items.next_element_seed(self)? {
            unique &= item;
        }
        Ok(unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let mut unique = true;
        let mut names = HashSet::new();
        while let Some(Name(name)) = fields.next_key()? {
            unique &= names.insert(name) & fields.next_value_seed(self)?;
        }
        Ok(unique)
    }
}
