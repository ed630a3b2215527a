//! A serde deserializer over the tree.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::explain::describe;
use super::problem::{Problem, Site, What, expected_name};
use super::tree::{Entry, Kind, Node, Resolved, Scalar, is_json_number};
use super::variants::{Bare, Variant};
use super::wild::WildDe;
use super::{fields, request, secrets, traps};

/// More fields than that are no help in a message.
const MOST_NAMED: usize = 10;

/// Reads a node of the tree; `text` is the whole file.
#[derive(Clone, Copy)]
pub(super) struct NodeDe<'a> {
    pub(super) node: &'a Node,
    pub(super) text: &'a str,
}

impl<'a> NodeDe<'a> {
    fn mismatch<'de, V: Visitor<'de>>(self, visitor: &V) -> Problem {
        if self.node.is_hole() {
            return Problem::new(What::Silent);
        }
        let expected: &dyn serde::de::Expected = visitor;
        Problem::new(What::Type { found: describe(self.node), expected: expected_name(&expected.to_string()) })
    }

    /// Returns the text of a scalar whose field is a text.
    pub(super) fn as_text(self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Scalar(scalar) if scalar.filled.is_some() => Some(scalar.text()),
            Kind::Scalar(scalar) => match scalar.resolve() {
                Resolved::Str(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn as_bool(self) -> Option<bool> {
        let Kind::Scalar(scalar) = &self.node.kind else { return None };
        match scalar.resolve() {
            Resolved::Bool(value) => Some(value),
            _ if scalar.filled.is_some() => scalar.text().parse().ok(),
            _ => None,
        }
    }

    fn as_number(self) -> Option<&'a str> {
        let Kind::Scalar(scalar) = &self.node.kind else { return None };
        match scalar.resolve() {
            Resolved::Number(number) => Some(number),
            _ => Some(scalar.text()).filter(|text| scalar.filled.is_some() && is_json_number(text)),
        }
    }

    pub(super) fn is_null(self) -> bool {
        matches!(&self.node.kind, Kind::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// Refuses a value where a map with the fields `known` is due.
    fn not_a_map(self, known: &[&str]) -> Problem {
        let found = describe(self.node);
        let expected = format!("a map with {}", super::explain::names(known).replace(" or ", " and "));
        let lone = match &self.node.kind {
            Kind::Scalar(scalar) if scalar.filled.is_none() => super::advice::of_lone(&scalar.raw, known),
            _ => None,
        };
        let Some(advice) = lone else { return Problem::new(What::Type { found, expected }) };
        let message = format!("expected {expected}, found {found}");
        Problem::ready(super::diagnostic::Diagnostic::error(self.node.span, message).help(advice))
    }

    /// Refuses a map where one with a single key, which says of what kind it is, is due.
    fn not_one(self, entries: &[super::tree::Entry], known: &[&str]) -> Problem {
        let found = format!("a map of {} keys", entries.len());
        let expected = format!("exactly one of {}", super::explain::names(known));
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.text.as_str()).collect();
        let Some(advice) = super::advice::of_kind(&keys, known) else {
            return Problem::new(What::Type { found, expected });
        };
        let message = format!("expected {expected}, found {found}");
        Problem::ready(super::diagnostic::Diagnostic::error(self.node.span, message).help(advice))
    }

    fn visit_integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Some(number) = self.as_number() else { return Err(self.mismatch(&visitor)) };
        match (number.parse(), number.parse()) {
            (Ok(number), _) => visitor.visit_u64(number),
            (_, Ok(number)) => visitor.visit_i64(number),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn visit_scalar<'de, V: Visitor<'de>>(self, scalar: &Scalar, visitor: V) -> Result<V::Value, Problem> {
        match scalar.resolve() {
            Resolved::Null => visitor.visit_unit(),
            Resolved::Bool(value) => visitor.visit_bool(value),
            Resolved::Str(text) => visitor.visit_str(text),
            Resolved::Number(text) => match (text.parse(), text.parse(), text.parse()) {
                (Ok(number), _, _) => visitor.visit_u64(number),
                (_, Ok(number), _) => visitor.visit_i64(number),
                (_, _, Ok(number)) => visitor.visit_f64(number),
                _ => Err(self.mismatch(&visitor)),
            },
        }
    }
}

/// Integers of all widths are read alike; the visitor checks the range.
macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            self.visit_integer(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for NodeDe<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.kind {
            Kind::Scalar(scalar) => self.visit_scalar(scalar, visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
            Kind::Seq(_) => self.deserialize_seq(visitor),
            Kind::Hole | Kind::Wild(_) => Err(Problem::new(What::Silent)),
        }
    }

    integers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);
    integers!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.as_number().and_then(|number| number.parse::<f64>().ok()).filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.as_bool() {
            Some(value) => visitor.visit_bool(value),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.as_text() {
            Some(text) => visitor.visit_str(text),
            None => Err(self.mismatch(&visitor)),
        }
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        // Absent and nothing aren't the same: `bad_rows: null` would be the default, and not what it says.
        if self.is_null() { Err(traps::nothing(self)) } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.is_null() { visitor.visit_unit() } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        match name {
            secrets::SECRET => visitor.visit_str(secrets::secret_text(self, false)?),
            secrets::PREFIXED_SECRET => visitor.visit_str(secrets::secret_text(self, true)?),
            fields::ONE_OR_MANY if !matches!(self.node.kind, Kind::Seq(_)) => {
                visitor.visit_seq(Items { items: std::slice::from_ref(self.node).iter(), text: self.text })
            }
            fields::ONE_OR_MANY => self.deserialize_seq(visitor),
            fields::TEXT_OR_MAP if matches!(self.node.kind, Kind::Map(_)) => self.deserialize_map(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Kind::Seq(items) = &self.node.kind else { return Err(self.mismatch(&visitor)) };
        let mut access = Items { items: items.iter(), text: self.text };
        let value = visitor.visit_seq(&mut access)?;
        if access.items.any(|item| !item.is_hole()) {
            return Err(Problem::invalid_length(items.len(), &"fewer items"));
        }
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Kind::Map(entries) = &self.node.kind else { return Err(self.mismatch(&visitor)) };
        visitor.visit_map(Fields { entries: entries.iter(), value: None, text: self.text })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == fields::SPANNED {
            return visitor.visit_seq(fields::SpannedAccess::new(self.node.span, self));
        }
        let alone = matches!(self.node.kind, Kind::Scalar(_) | Kind::Seq(_));
        if alone && (1..=MOST_NAMED).contains(&known.len()) && fields::language(name).is_none() {
            return Err(self.not_a_map(known));
        }
        match fields::language(name) {
            Some(language) => visitor.visit_seq(fields::text_access(self, language)?),
            None => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == request::REQUEST_VALUE {
            return visitor.visit_enum(request::Access::new(self)?);
        }
        if let Some(variant) = self.as_text() {
            return visitor.visit_enum(Bare { variant, node: self.node });
        }
        let Kind::Map(entries) = &self.node.kind else {
            let found = describe(self.node);
            let what = What::Type { found, expected: super::explain::names(known) };
            return Err(Problem::new(if self.node.is_hole() { What::Silent } else { what }));
        };
        match entries.as_slice() {
            [entry] => visitor.visit_enum(Variant { entry, text: self.text }),
            _ if entries.iter().any(|entry| entry.value.is_hole()) => Err(Problem::new(What::Silent)),
            _ => Err(self.not_one(entries, known)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }
}

/// The items of a list, without the holes.
struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    text: &'a str,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(node) = self.items.find(|item| !item.is_hole()) else { return Ok(None) };
        let read = seed.deserialize(NodeDe { node, text: self.text });
        read.map(Some).map_err(|problem| problem.at(Site::Value(node.id)))
    }
}

/// The entries of a map, without the holes.
struct Fields<'a> {
    entries: std::slice::Iter<'a, Entry>,
    value: Option<&'a Node>,
    text: &'a str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some(entry) = self.entries.find(|entry| !entry.value.is_hole()) else { return Ok(None) };
        self.value = Some(&entry.value);
        let read = seed.deserialize(KeyDe { entry });
        read.map(Some).map_err(|problem| problem.at(Site::Key(entry.value.id)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let node = self.value.take().ok_or_else(|| Problem::custom("a value was asked for before its key"))?;
        let read = match node.kind {
            Kind::Wild(guess) => seed.deserialize(WildDe::new(guess)),
            _ => seed.deserialize(NodeDe { node, text: self.text }),
        };
        read.map_err(|problem| problem.at(Site::Value(node.id)))
    }
}

/// A key of a map, which is always a text.
pub(super) struct KeyDe<'a> {
    pub(super) entry: &'a Entry,
}

impl<'de> Deserializer<'de> for KeyDe<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(&self.entry.key.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == fields::SPANNED {
            return visitor.visit_seq(fields::SpannedAccess::new(self.entry.key.span, self));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_enum(self.entry.key.text.as_str().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}
