//! The variants of an enum: a name alone, or a map of the name to its content.

use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, Unexpected, VariantAccess, Visitor};

use super::diagnostic::Diagnostic;
use super::node_de::{KeyDe, NodeDe};
use super::problem::{Problem, Site, What};
use super::tree::{Entry, Node};

/// A variant written as its name alone.
pub(super) struct Bare<'a> {
    pub(super) variant: &'a str,
    pub(super) node: &'a Node,
}

impl<'de> EnumAccess<'de> for Bare<'_> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let name: StrDeserializer<'_, Problem> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl Bare<'_> {
    fn needs_value(&self) -> Problem {
        let name = self.variant;
        Problem::ready(
            Diagnostic::error(self.node.span, format!("`{name}` needs a value"))
                .expected(format!("a map with the one key `{name}`"))
                .help(format!("write `{{{name}: ...}}`")),
        )
    }
}

impl<'de> VariantAccess<'de> for Bare<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Problem> {
        Err(self.needs_value())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Problem> {
        Err(self.needs_value())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Problem> {
        Err(self.needs_value())
    }
}

/// A variant written as a map of its name to its content.
pub(super) struct Variant<'a> {
    pub(super) entry: &'a Entry,
    pub(super) text: &'a str,
}

impl<'a> Variant<'a> {
    fn content(&self) -> NodeDe<'a> {
        NodeDe { node: &self.entry.value, text: self.text }
    }

    fn site(&self) -> Site {
        Site::Value(self.entry.value.id)
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let read = seed.deserialize(KeyDe { entry: self.entry });
        Ok((read.map_err(|problem| problem.at(Site::Key(self.entry.value.id)))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        let name = &self.entry.key.text;
        if self.content().is_null() {
            return Ok(());
        }
        if self.entry.value.is_hole() {
            return Err(Problem::new(What::Silent));
        }
        let expected = format!("`{name}` alone");
        Err(Problem::invalid_type(Unexpected::Other("a value"), &expected.as_str()).at(self.site()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self.content()).map_err(|problem| problem.at(self.site()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.content().deserialize_seq(visitor).map_err(|problem| problem.at(self.site()))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        self.content().deserialize_map(visitor).map_err(|problem| problem.at(self.site()))
    }
}
