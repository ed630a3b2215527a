//! Slices by a growing cursor.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Jq, RequestValue, Spanned, Sql};
use super::Duration;

/// Everything after the last landed cursor.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncrementalFile {
    /// SQL over `records`: the cursor of a row, an integer or a timestamp that grows. The server sorts by it, upwards, unless
    /// `into` says otherwise. A row in which it is null, or fails, goes to quarantine.
    pub cursor: Sql,
    /// Where the first slice begins (exclusive): a number, or an instant such as `'2026-01-01T00:00:00Z'`.
    pub start: Spanned<RequestValue>,
    /// About how many rows a slice holds. Default: `100000`.
    #[serde(default)]
    pub rows_per_slice: Option<Spanned<u64>>,
    /// Rows younger than this are left for the next slice, where the cursor is a time: choose it longer than a row takes to
    /// appear. A row that appears later than that, with the time of one that has landed or an earlier one, is never read.
    /// Rows of the future are always left. Default: `0s`.
    #[serde(default)]
    pub lag: Option<Spanned<Duration>>,
    /// The place of the cursor, where it isn't sent by `seek`: `query.since`, or
    /// `{into: query.since, as: epoch_s, order: any}`; within the latter, none where a template of the request has `{{ increment.from }}`. Whether the server's answer includes rows with the very value doesn't
    /// matter: such rows are dropped and counted, as those that have landed. One that came to be later with that value is never read.
    #[serde(default)]
    pub into: Option<Spanned<SentFile>>,
    /// Asks once a run for the newest id, to notice a source that was reset: its ids began again, below those that landed.
    #[serde(default)]
    pub newest: Option<Spanned<NewestFile>>,
    /// What happens when the source was reset. Default: `fail`.
    #[serde(default)]
    pub on_reset: Option<Spanned<OnReset>>,
}

/// The place of the cursor, and how it is written there.
#[derive(Debug, Clone)]
pub struct SentFile {
    /// The place in the request; none where a template has it.
    pub into: Option<Jq>,
    /// How a cursor that is a time is written.
    pub format: Option<Spanned<String>>,
    /// How the server sorts the rows.
    pub order: CursorOrder,
}

/// How the server sorts rows that come after a cursor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CursorOrder {
    /// By the cursor, upwards.
    #[default]
    Asc,
    /// In another way, or not at all: then a slice is read to its end, whatever the number of its rows.
    Any,
}

/// A request for the newest id.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewestFile {
    /// Query parameters that override those of the job, such as `{sort: id, order: desc, limit: 1}`.
    pub query: IndexMap<Spanned<String>, RequestValue>,
    /// jq: the newest id in the answer. Null says that the source has no rows, which proves nothing: it isn't a reset.
    pub value: Jq,
}

/// What happens when a source was reset and its ids began again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReset {
    /// The slice fails and says so.
    #[default]
    Fail,
    /// A new series begins at `start`. Nothing that landed is replaced, so that an id may be in the lake once in each
    /// series; the names of files tell them apart: `s0-...`, `s1-...`.
    Restart,
}

mod sent {
    use std::borrow::Cow;
    use std::fmt;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde::de::value::MapAccessDeserializer;
    use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

    use super::super::super::load::{Jq, Spanned, fields};
    use super::{CursorOrder, SentFile};

    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct LongSent {
        /// The place in the request. Without one, a template of the request has `{{ increment.from }}`.
        #[serde(default)]
        into: Option<Jq>,
        /// How a cursor that is a time is written: `epoch_s`, `epoch_ms`, `rfc3339`, or a strftime format. Default: `rfc3339`.
        #[serde(rename = "as", default)]
        format: Option<Spanned<String>>,
        /// How the server sorts the rows. Default: `asc`.
        #[serde(default)]
        order: CursorOrder,
    }

    impl<'de> Deserialize<'de> for SentFile {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct SentVisitor;

            impl<'de> Visitor<'de> for SentVisitor {
                type Value = SentFile;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a place such as `query.since`, or `{into: query.since, as: epoch_s, order: any}`")
                }

                fn visit_newtype_struct<D: Deserializer<'de>>(self, text: D) -> Result<SentFile, D::Error> {
                    Ok(SentFile { into: Some(Jq::deserialize(text)?), format: None, order: CursorOrder::Asc })
                }

                fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SentFile, A::Error> {
                    let long = LongSent::deserialize(MapAccessDeserializer::new(map))?;
                    Ok(SentFile { into: long.into, format: long.format, order: long.order })
                }
            }

            deserializer.deserialize_newtype_struct(fields::TEXT_OR_MAP, SentVisitor)
        }
    }

    impl JsonSchema for SentFile {
        fn schema_name() -> Cow<'static, str> {
            "SentCursor".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let (short, long) = (generator.subschema_for::<Spanned<String>>(), generator.subschema_for::<LongSent>());
            json_schema!({"anyOf": [short, long]})
        }
    }
}
