//! The visitor: one pass over a page's text, straight into the column builders.
//!
//! A value that doesn't fit is a soft error: the column gets a null, the row is marked, the pass goes on. Only the first misfit of a row
//! is kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::beyond;
use super::builders::{Builder, Slot, StructBuilder, Values};
use super::infer::Number;
use super::lattice::{EMPTY_LIST, EMPTY_OBJECT, is_exact, signed_facts, unsigned_facts};
use super::precise::{keeps_digits, whole};
use super::reject::{Row, describe, quote};

/// Reads one record into the root's builder.
pub(super) struct RecordSeed<'r> {
    pub(super) root: &'r mut StructBuilder,
    pub(super) row: &'r mut Row,
}

impl RecordSeed<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "the visitor's methods return it as it is")]
    fn no_object<E>(self, got: String) -> Result<(), E> {
        self.root.append_null();
        self.row.misfit("an object", got);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        fill(self.root, map, self.row).map(|_| ())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        skip_seq(seq)?;
        self.no_object("a list".to_owned())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.no_object("null".to_owned())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.no_object(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.no_object(format!("integer {value}"))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.no_object(format!("integer {value}"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.no_object(format!("number {value}"))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.no_object(quote(value))
    }
}

/// Reads an object's fields; false where a misfit's path is the caller's to complete.
fn fill<'de, A: MapAccess<'de>>(fields: &mut StructBuilder, mut map: A, row: &mut Row) -> Result<bool, A::Error> {
    let mut fits = true;
    let mut previous = fields.open();
    while let Some(key) = map.next_key_seed(KeySeed { fields: &mut *fields, previous })? {
        let at = match key {
            Key::Known(at) => at,
            Key::Constant(at) => {
                let text: &RawValue = map.next_value()?;
                fits &= constant(fields, at, text.get(), row);
                continue;
            }
            Key::Unknown(name) => {
                map.next_value::<IgnoredAny>()?;
                fits &= unknown(fields, &name, row);
                continue;
            }
        };
        previous = at;
        if !fields.mark(at) {
            map.next_value::<IgnoredAny>()?;
            fits &= twice(fields.name(at), row);
            continue;
        }
        if !map.next_value_seed(ValueSeed { column: &mut fields.fields[at], row: &mut *row })? {
            row.within(fields.name(at));
            fits = false;
        }
    }
    fields.close();
    Ok(fits)
}

#[cold]
pub(super) fn unknown(fields: &StructBuilder, name: &str, row: &mut Row) -> bool {
    if row.discard {
        row.discarded += 1;
        return true;
    }
    row.grows |= !fields.frozen;
    let kept = row.misfit("a known field", "an unknown one".to_owned());
    if !kept {
        row.within(name);
    }
    kept
}

/// Compares what a record has in a column that it doesn't decide, as JSON text.
pub(super) fn constant(fields: &StructBuilder, at: usize, text: &str, row: &mut Row) -> bool {
    let Some((name, own)) = fields.contradicts(at, text) else { return true };
    let expected = format!("{own}, which `for_each` puts there (give that column another name)");
    let kept = row.misfit(&expected, describe(text));
    if !kept {
        row.within(name);
    }
    kept
}

#[cold]
fn twice(name: &str, row: &mut Row) -> bool {
    let kept = row.misfit("each key once", "the key twice".to_owned());
    if !kept {
        row.within(name);
    }
    kept
}

enum Key {
    Known(usize),
    Constant(usize),
    Unknown(Box<str>),
}

struct KeySeed<'f> {
    fields: &'f mut StructBuilder,
    previous: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match self.fields.find(name, self.previous) {
            Slot::Known(at) => Key::Known(at),
            Slot::Constant(at) => Key::Constant(at),
            Slot::Unknown => Key::Unknown(name.into()),
        })
    }
}

/// Reads one value into a column; false where a misfit's path is the caller's to complete.
pub(super) struct ValueSeed<'c> {
    pub(super) column: &'c mut Builder,
    pub(super) row: &'c mut Row,
}

impl ValueSeed<'_> {
    fn expected(&self) -> Cow<'static, str> {
        let name = match &self.column.values {
            Values::Precise(values) => return values.expected().into(),
            Values::Null(_) => "null",
            Values::Bool(_) => "bool",
            Values::Int64(_) => "int64",
            Values::Uint64(_) => "uint64",
            Values::Float64(_) => "float64",
            Values::String(_) | Values::Text(_) => "string",
            Values::Json(_) => "json",
            Values::List(_) => "list",
            Values::Struct(_) => "struct",
        };
        name.into()
    }

    #[cold]
    pub(super) fn misfit(self, got: String) -> bool {
        let expected = self.expected();
        self.column.append_null();
        self.row.grows |= !self.column.fixed;
        self.row.value_misfit(&expected, got)
    }

    /// Appends what the raw text of a value says: the way for the types to which a number's digits matter.
    fn raw(self, text: &str) -> bool {
        if text == "null" {
            self.column.append_null();
            return true;
        }
        let fits = match &mut self.column.values {
            Values::Json(values) => {
                // Readers of the text would keep one of two values with one key, and many can't go deeper than this.
                let is_plain = !text.starts_with(['{', '[']) && !text.contains("\\u");
                if !is_plain && let Err(error) = beyond::check(text) {
                    return self.misfit(beyond::reason(&error));
                }
                values.append_value(text);
                true
            }
            Values::Text(values) => scalar(text).map(|text| values.append_value(text)).is_some(),
            Values::Precise(values) => {
                !matches!(text, "true" | "false") && scalar(text).is_some_and(|text| values.append(&text))
            }
            Values::Float64(values) => {
                let number = match scalar(text).filter(|_| text.starts_with('"') && self.column.by_hand) {
                    Some(text) => double(&text),
                    None => double(text),
                };
                self.row.loses |= number.is_some_and(|value| !self.column.fixed && !keeps_digits(text, value));
                number.map(|value| values.append_value(value)).is_some()
            }
            values => scalar(text).is_some_and(|text| by_text(values, &text)),
        };
        fits || self.misfit(describe(text))
    }
}

/// Appends a number or a boolean that came as text, to a column that is typed by hand; false where it isn't one.
pub(super) fn by_text(values: &mut Values, text: &str) -> bool {
    let fits = match values {
        Values::Int64(values) => {
            whole(text).and_then(|value| value.try_into().ok()).map(|value| values.append_value(value))
        }
        Values::Uint64(values) => {
            whole(text).and_then(|value| value.try_into().ok()).map(|value| values.append_value(value))
        }
        Values::Bool(values) => text.parse().ok().map(|value| values.append_value(value)),
        _ => None,
    };
    fits.is_some()
}

/// Reads a scalar other than null as text: a string without its quotes, a number with all its digits.
fn scalar(text: &str) -> Option<Cow<'_, str>> {
    match text.as_bytes().first() {
        Some(b'n' | b'{' | b'[') | None => None,
        Some(b'"') => serde_json::from_str(text).ok().map(|text: String| Cow::Owned(text)),
        Some(_) => Some(Cow::Borrowed(text)),
    }
}

/// Reads a number that a double holds: an integer only if it does so exactly.
pub(super) fn double(text: &str) -> Option<f64> {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "the guard has seen that nothing is lost")]
    match Number::parse(text) {
        Number::Signed(value) if is_exact(value.unsigned_abs()) => Some(value as f64),
        Number::Unsigned(value) if is_exact(value) => Some(value as f64),
        Number::Decimal(value) => Some(value),
        _ => None,
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let by_digits = match self.column.values {
            Values::Float64(_) | Values::Precise(_) | Values::Text(_) | Values::Json(_) => true,
            Values::Int64(_) | Values::Uint64(_) => self.column.by_hand,
            _ => false,
        };
        if by_digits {
            let text: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
            return Ok(self.raw(text.get()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        self.column.append_null();
        Ok(true)
    }

    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        if let Values::Bool(values) = &mut self.column.values {
            values.append_value(value);
            return Ok(true);
        }
        Ok(self.misfit(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<bool, E> {
        if let Values::Int64(values) = &mut self.column.values {
            values.append_value(value);
            self.column.facts |= signed_facts(value);
            return Ok(true);
        }
        Ok(self.misfit(format!("integer {value}")))
    }

    fn visit_u64<E>(self, value: u64) -> Result<bool, E> {
        match (&mut self.column.values, i64::try_from(value)) {
            (Values::Int64(values), Ok(signed)) => values.append_value(signed),
            (Values::Uint64(values), _) => values.append_value(value),
            _ => return Ok(self.misfit(format!("integer {value}"))),
        }
        self.column.facts |= unsigned_facts(value);
        Ok(true)
    }

    fn visit_f64<E>(self, value: f64) -> Result<bool, E> {
        Ok(self.misfit(format!("number {value}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<bool, E> {
        if let Values::String(values) = &mut self.column.values {
            values.append_value(value);
            return Ok(true);
        }
        let fits = self.column.by_hand && by_text(&mut self.column.values, value);
        Ok(fits || self.misfit(quote(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        if let Values::List(list) = &mut self.column.values {
            let mut fits = true;
            while let Some(fit) = seq.next_element_seed(ValueSeed { column: &mut list.item, row: &mut *self.row })? {
                list.items += 1;
                if !fit {
                    self.row.within("[]");
                    fits = false;
                }
            }
            list.close(true);
            return Ok(fits);
        }
        let empty = seq.next_element::<IgnoredAny>()?.is_none();
        if empty && matches!(self.column.values, Values::Struct(_) | Values::Null(_)) {
            self.row.loses |= !self.column.fixed;
            if matches!(self.column.values, Values::Null(_)) {
                self.column.facts |= EMPTY_LIST;
            }
            self.column.append_null();
            return Ok(true);
        }
        skip_seq(seq)?;
        Ok(self.misfit(if empty { "an empty list" } else { "a list" }.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        if let Values::Struct(fields) = &mut self.column.values {
            return fill(fields, map, self.row);
        }
        let mut empty = true;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            empty = false;
        }
        if empty && matches!(self.column.values, Values::Null(_)) {
            self.column.facts |= EMPTY_OBJECT;
            self.row.loses = true;
            self.column.append_null();
            return Ok(true);
        }
        Ok(self.misfit(if empty { "an empty object" } else { "an object" }.to_owned()))
    }
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}
