//! What goes wrong while a tree becomes a typed value, with the node where it does.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::diagnostic::Diagnostic;

/// Where a problem is, by the id of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// The value with this id.
    Value(u32),
    /// The key whose value has this id.
    Key(u32),
}

/// A problem, as structured as serde tells it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) what: What,
    /// The innermost node that was being read.
    pub(super) site: Option<Site>,
}

/// The kinds of problems.
#[derive(Debug)]
pub(super) enum What {
    UnknownField {
        name: String,
        known: &'static [&'static str],
    },
    UnknownVariant {
        name: String,
        known: &'static [&'static str],
    },
    Missing(&'static str),
    Type {
        found: String,
        expected: String,
    },
    Value {
        found: String,
        expected: String,
    },
    Length {
        found: usize,
        expected: String,
    },
    Custom(String),
    /// A diagnostic that is ready to be shown.
    Ready(Box<Diagnostic>),
    /// The effect of a problem that was reported before.
    Silent,
}

impl Problem {
    pub(super) fn new(what: What) -> Self {
        Self { what, site: None }
    }

    pub(super) fn ready(diagnostic: Diagnostic) -> Self {
        Self::new(What::Ready(Box::new(diagnostic)))
    }

    /// Says where it is, unless a node further inside has said so.
    pub(super) fn at(mut self, site: Site) -> Self {
        self.site.get_or_insert(site);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::UnknownField { name, .. } => write!(out, "unknown field `{name}`"),
            What::UnknownVariant { name, .. } => write!(out, "unknown variant `{name}`"),
            What::Missing(name) => write!(out, "missing field `{name}`"),
            What::Type { found, expected } | What::Value { found, expected } => {
                write!(out, "expected {expected}, found {found}")
            }
            What::Length { found, expected } => write!(out, "expected {expected}, found {found} items"),
            What::Custom(message) => out.write_str(message),
            What::Ready(diagnostic) => out.write_str(&diagnostic.message),
            What::Silent => out.write_str("refused before"),
        }
    }
}

impl std::error::Error for Problem {}

impl Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::Custom(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(What::Type { found: found_name(found), expected: expected_name(&expected.to_string()) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(What::Value { found: found_name(found), expected: expected_name(&expected.to_string()) })
    }

    fn invalid_length(found: usize, expected: &dyn Expected) -> Self {
        Self::new(What::Length { found, expected: expected_name(&expected.to_string()) })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownVariant { name: name.to_owned(), known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownField { name: name.to_owned(), known })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(What::Missing(name))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new(What::Custom(format!("the field `{name}` is given twice, by two of its names")))
    }
}

/// Names what was found, in the words of the file rather than of Rust.
fn found_name(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number `{value}`"),
        Unexpected::Signed(value) => format!("the number `{value}`"),
        Unexpected::Float(value) => format!("the number `{value}`"),
        Unexpected::Str(value) => format!("the text `{value}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

/// Names what was expected, in the words of the file rather than of Rust.
pub(super) fn expected_name(expected: &str) -> String {
    let named = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "a borrowed string" => "a text",
        "a sequence" => "a list",
        "unit" => "nothing",
        _ if expected.starts_with("a nonzero ") => "a whole number that isn't 0",
        _ if expected.starts_with("struct ") || expected.starts_with("unit struct ") => "a map of fields",
        _ if expected.starts_with("enum ") => "one of its names",
        _ => expected,
    };
    named.to_owned()
}
