//! Fields that hold a secret: the file may only say where the secret is.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, de};

use super::diagnostic::Diagnostic;
use super::explain::describe;
use super::node_de::NodeDe;
use super::problem::{Problem, What};
use super::tree::Kind;
use crate::secret::Secret;

pub(super) const SECRET: &str = "$tidegate::SecretText";
pub(super) const PREFIXED_SECRET: &str = "$tidegate::PrefixedSecret";

/// A secret, which can't be written in the file: only `${NAME}` or `${file:path}`, with no default.
#[derive(Debug, Clone, Default)]
pub struct SecretText(pub Secret);

/// A secret that may have text of the file before it, such as `Bearer ${TOKEN}`.
#[derive(Debug, Clone, Default)]
pub struct PrefixedSecret(pub Secret);

/// Implements the two secret types, which differ in the name that asks for them.
macro_rules! secret {
    ($type:ident, $field:expr, $pattern:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_newtype_struct($field, SecretVisitor).map(Self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

secret!(SecretText, SECRET, r"^(\$\{[^}]+\})+$");
secret!(PrefixedSecret, PREFIXED_SECRET, r"^[^$]*(\$\{[^}]+\})+$");

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a secret")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }
}

/// Returns the value of a secret, unless a part of it stands in the file.
pub(super) fn secret_text(de: NodeDe<'_>, prefix: bool) -> Result<&str, Problem> {
    let expected = if prefix { "a text that ends with `${NAME}` or `${file:path}`" } else { SECRET_FORMS };
    let fault = |message: &str, help: &str| {
        Err(Problem::ready(Diagnostic::error(de.node.span, message).expected(expected).help(help)))
    };
    let Kind::Scalar(scalar) = &de.node.kind else {
        let what = What::Type { found: describe(de.node), expected: expected.to_owned() };
        return Err(Problem::new(if de.node.is_hole() { What::Silent } else { what }));
    };
    let Some(filled) = &scalar.filled else { return Err(literal_secret(de, expected)) };
    if filled.has_default {
        return fault("a secret can't have a default in the file", "remove `:-` and what follows it");
    }
    if filled.literal_after || (filled.literal_before && !prefix) || filled.is_escape_only() {
        return Err(literal_secret(de, expected));
    }
    if filled.is_empty_value() {
        return fault("this secret is empty", "the variable or file is there, but has nothing in it");
    }
    filled.secret.set(true);
    Ok(&filled.text)
}

const SECRET_FORMS: &str = "`${NAME}` or `${file:path}`";

fn literal_secret(de: NodeDe<'_>, expected: &str) -> Problem {
    Problem::ready(
        Diagnostic::error(de.node.span, "a secret can't be written in the file")
            .expected(expected)
            .help("use ${NAME} or ${file:path}; if it was ever committed or shared, change it")
            .redacted(),
    )
}
