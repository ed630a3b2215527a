//! The raw tree of a request: JSON with places, where numbers keep their text and texts may be templates.

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor};

use super::fields::{Spanned, Tmpl};
use super::node_de::NodeDe;
use super::problem::{Problem, What};
use super::traps;
use super::tree::{Kind, Resolved};

pub(super) const REQUEST_VALUE: &str = "$tidegate::RequestValue";

/// A value that goes into a request.
///
/// A plain `${...}` is a number or a boolean where its value reads like one; in quotes, it is a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename = "$tidegate::RequestValue")]
pub enum RequestValue {
    /// A plain `null`, `~` or nothing.
    Null,
    /// A plain `true` or `false`.
    Bool(bool),
    /// A number, as it was written: `1.10` stays `1.10`.
    Number(String),
    /// A text, which may be a template.
    String(Tmpl),
    /// A list.
    List(Vec<RequestValue>),
    /// A map, in the order of the file. Its keys may be templates.
    Map(IndexMap<Spanned<String>, RequestValue>),
}

impl JsonSchema for RequestValue {
    fn schema_name() -> Cow<'static, str> {
        "RequestValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "Any JSON value; texts and keys may hold templates."})
    }
}

/// Tells a [`RequestValue`] which of its variants a node is.
pub(super) struct Access<'a> {
    de: NodeDe<'a>,
    variant: &'static str,
}

impl<'a> Access<'a> {
    pub(super) fn new(de: NodeDe<'a>) -> Result<Self, Problem> {
        let variant = match &de.node.kind {
            Kind::Map(_) => "Map",
            Kind::Seq(_) => "List",
            Kind::Hole | Kind::Wild(_) => return Err(Problem::new(What::Silent)),
            Kind::Scalar(scalar) => match (traps::ambiguous(de, scalar), scalar.resolve()) {
                (Some(trap), _) => return Err(Problem::ready(trap)),
                (None, Resolved::Null) => "Null",
                (None, Resolved::Bool(_)) => "Bool",
                (None, Resolved::Number(_)) => "Number",
                (None, Resolved::Str(_)) => "String",
            },
        };
        Ok(Self { de, variant })
    }
}

impl<'de> EnumAccess<'de> for Access<'_> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let name: serde::de::value::StrDeserializer<'_, Problem> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Access<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        let (Kind::Scalar(scalar), "Number") = (&self.de.node.kind, self.variant) else {
            return seed.deserialize(self.de);
        };
        let number: serde::de::value::StrDeserializer<'_, Problem> = scalar.text().into_deserializer();
        seed.deserialize(number)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, _: V) -> Result<V::Value, Problem> {
        Err(Problem::invalid_length(len, &"one value"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Problem> {
        Err(Problem::custom("a request value has no fields"))
    }
}
