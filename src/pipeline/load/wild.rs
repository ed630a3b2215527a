//! Stands in for a field that is missing and was reported, so that a second missing field of the same map is found.

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess, VariantAccess, Visitor};

use super::fields;
use super::problem::{Problem, What};
use super::secrets;

/// Texts that are tried, one after the other, for a missing field whose type takes only some texts.
/// When none will do, the map is given up: nothing wrong is said, and at most a second missing field isn't.
pub(super) const GUESSES: [&str; 8] = ["x", "none", "1", "1d", "/x", "https://x", "1/s", "2026-01-01T00:00:00Z"];

/// Nested types are filled in to this depth; a type that contains itself has no bottom.
const MAX_DEPTH: usize = 16;

/// Gives each type some value of it.
#[derive(Clone, Copy)]
pub(super) struct WildDe {
    guess: usize,
    depth: usize,
}

impl WildDe {
    pub(super) fn new(guess: usize) -> Self {
        Self { guess, depth: 0 }
    }

    fn deeper(self) -> Result<Self, Problem> {
        if self.depth >= MAX_DEPTH {
            return Err(Problem::new(What::Silent));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn text(self) -> &'static str {
        GUESSES.get(self.guess).copied().unwrap_or_default()
    }
}

impl<'de> Deserializer<'de> for WildDe {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(self.text())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_bool(false)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(1)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(1)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(1)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(1)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f64(1.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        match name {
            secrets::SECRET | secrets::PREFIXED_SECRET => visitor.visit_str(self.text()),
            fields::ONE_OR_MANY => visitor.visit_seq(Nothing),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(Nothing)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(WildFields { names: &[], of: self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == fields::SPANNED {
            return visitor.visit_seq(fields::SpannedAccess::new(super::Span::default(), self));
        }
        if fields::language(name).is_some() {
            return visitor.visit_str(self.text());
        }
        visitor.visit_map(WildFields { names, of: self.deeper()? })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let variant = known.first().ok_or_else(|| Problem::new(What::Silent))?;
        visitor.visit_enum(WildVariant { variant, of: self.deeper()? })
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 char str string bytes byte_buf unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// An empty list.
struct Nothing;

impl<'de> serde::de::SeqAccess<'de> for Nothing {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<Option<T::Value>, Problem> {
        Ok(None)
    }
}

/// All fields of a struct, each with some value.
struct WildFields {
    names: &'static [&'static str],
    of: WildDe,
}

impl<'de> MapAccess<'de> for WildFields {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((name, rest)) = self.names.split_first() else { return Ok(None) };
        self.names = rest;
        let name: serde::de::value::StrDeserializer<'_, Problem> = (*name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        seed.deserialize(self.of)
    }
}

/// The first variant of an enum, with some content.
struct WildVariant {
    variant: &'static str,
    of: WildDe,
}

impl<'de> EnumAccess<'de> for WildVariant {
    type Error = Problem;
    type Variant = WildDe;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, WildDe), Problem> {
        let name: serde::de::value::StrDeserializer<'_, Problem> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self.of))
    }
}

impl<'de> VariantAccess<'de> for WildDe {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, _: V) -> Result<V::Value, Problem> {
        Err(Problem::invalid_length(len, &"a variant with one value"))
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(WildFields { names, of: self.deeper()? })
    }
}
