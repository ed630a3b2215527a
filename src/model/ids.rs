//! Names and identities, each a type of its own.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $type(String);

        impl $type {
            /// Takes the text as it is: the pipeline file's loader has checked it.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// A pipeline's name, `[a-z0-9-]+`: it names the ledger, the files and the metrics.
    PipelineName
}
name! {
    /// A job's name within its pipeline, `[a-z0-9_]+`.
    JobName
}
name! {
    /// A run of a pipeline, in logs, reports and histories: when it began, to the second, and eight random digits,
    /// `20260101T020000Z-3fa92b1c`. Nothing that lands bears it.
    RunId
}
name! {
    /// A sink's name within its job, `[a-z0-9_]+`.
    SinkName
}
name! {
    /// The identity of a slice within its job, safe in a file name: `20260101T000000Z`, `s0-41`, `20260101` or `latest`, and for a
    /// job that fans out `-` and [`FanoutKey::digest`]. It never changes once data has landed under it.
    SliceId
}

/// The identity of one fan-out value: canonical JSON (keys sorted, no white space) of the columns that `for_each.key` names.
///
/// Only these columns are part of a slice's identity, so other fields of the parent row may change between runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct FanoutKey(String);

impl FanoutKey {
    /// Makes the key of `columns`, pairs of a column's name and its JSON value.
    #[must_use]
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, serde_json::Value)>) -> Self {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by(|a, b| a.0.cmp(b.0));
        let object = columns.into_iter().map(|(name, value)| (name.to_owned(), canonical(value))).collect();
        Self(serde_json::Value::Object(object).to_string())
    }

    /// Returns the canonical JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the columns in the order of their names.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, serde_json::Value)> {
        match serde_json::from_str(&self.0) {
            Ok(serde_json::Value::Object(map)) => map.into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the names of the columns, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.columns().into_iter().map(|(name, _)| name).collect()
    }

    /// Returns the first 16 hexadecimal digits of the SHA-256 of the canonical JSON, as file names carry them.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = hex::encode(Sha256::digest(self.0.as_bytes()));
        digest.truncate(16);
        digest
    }
}

impl fmt::Display for FanoutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn canonical(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(name, value)| (name, canonical(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            serde_json::Value::Object(entries.into_iter().collect())
        }
        serde_json::Value::Array(items) => serde_json::Value::Array(items.into_iter().map(canonical).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fanout_key_does_not_depend_on_the_order_of_columns_or_keys() {
        let one = FanoutKey::new([("b", json!({"y": 1, "x": 2})), ("a", json!("t"))]);
        let two = FanoutKey::new([("a", json!("t")), ("b", json!({"x": 2, "y": 1}))]);
        assert_eq!(one, two);
        assert_eq!(one.as_str(), r#"{"a":"t","b":{"x":2,"y":1}}"#);
        assert_eq!(one.digest().len(), 16);
        assert_eq!(one.columns()[0], ("a".to_owned(), json!("t")));
    }

    #[test]
    fn the_digest_of_a_fanout_key_is_fixed_for_ever() {
        assert_eq!(FanoutKey::new([("ifid", json!(0))]).digest(), "8010e1e6fb705832");
    }
}
