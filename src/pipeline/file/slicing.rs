//! Ways of cutting a job's data into slices: windows and snapshots.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Jq, Spanned, Sql};
use super::Duration;

/// Cells of a fixed UTC grid, each of them a slice.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowFile {
    /// The length of a cell, counted from 1970-01-01T00:00Z: `1d`, `1h`.
    pub every: Spanned<Duration>,
    /// The first instant to read: RFC 3339 with an offset, or `-30d`, counted from the first run and then kept.
    /// It is rounded down to a cell.
    pub start: Spanned<String>,
    /// How long after its end a cell is read. Default: `0s`.
    #[serde(default)]
    pub lag: Option<Duration>,
    /// Cells that intersect this much of the end of what has landed are read again, and replaced. Default: `0s`.
    #[serde(default)]
    pub lookback: Option<Duration>,
    /// How instants are written in requests: `epoch_s`, `epoch_ms`, `rfc3339`, or a strftime format such as `%Y-%m-%d`.
    #[serde(rename = "as")]
    pub format: Spanned<String>,
    /// The place of the window's first instant, such as `query.epoch_begin`. Without it, a template must use `window.from`.
    #[serde(default)]
    pub from: Option<Spanned<Edge>>,
    /// The place of the window's end. Without it, a template must use `window.to`.
    #[serde(default)]
    pub to: Option<Spanned<Edge>>,
    /// The place of the cell itself, instead of its two edges, where the API takes one value for it, such as a day: `query.date`. It is
    /// the cell's first instant, as `as` writes it. Or a template uses `window.at`.
    #[serde(default)]
    pub at: Option<Spanned<Jq>>,
    /// SQL: a row's own time, a timestamp. Rows outside `[from, to)` are dropped and counted, and a server that ignores the window is
    /// noticed; by as much as `as` can't show, such as the rest of the day that `to` names, rows may lie outside. One that sends rows from further outside of what was asked for than `as` can show reads the edges otherwise than they are
    /// meant, so that others may be missing: such slices are reported as `unknown`. Without it, the server's cut is trusted, and `tidegate validate` warns; write `none` where rows have no time, such as
    /// sums over the window.
    #[serde(default)]
    pub time: Option<Sql>,
    /// Widens what is asked for, never what lands.
    #[serde(default)]
    pub pad: Option<Spanned<Pad>>,
    /// Halves a window whose page came back full: for APIs with a limit and no offset. Each half is asked for in its place, down to
    /// one unit of `as`; a page that is full even then is an error. Needs `paginate: none` and both edges of the window. A page that
    /// isn't full shows no more than that the server kept to its limit: such slices are reported as `unknown`.
    #[serde(default)]
    pub split: Option<Spanned<SplitFile>>,
    /// Sizes windows so that the server doesn't coarsen a time series, and checks the step that came back: where it is coarser, both
    /// halves are asked for in its place, down to two steps; coarser even then, or finer, is an error. Needs `paginate: none` and both
    /// edges of the window. Such slices are reported as `unknown`.
    #[serde(default)]
    pub resolution: Option<Spanned<ResolutionFile>>,
}

impl WindowFile {
    /// Returns the SQL for a row's own time, where rows have one.
    pub fn own_time(&self) -> Option<&Sql> {
        self.time.as_ref().filter(|time| time.as_str().trim() != "none")
    }
}

/// The place of a window's edge, and how the server treats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The place in the request.
    pub into: Jq,
    /// How the server treats the edge. Default: `from` is inclusive, `to` is exclusive.
    pub bound: Option<EdgeBound>,
}

/// How the server treats a window's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeBound {
    /// A row at the very instant belongs to the answer.
    Inclusive,
    /// It doesn't.
    Exclusive,
}

/// How much more than the window is asked for.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Before its beginning. Default: `0s`.
    #[serde(default)]
    pub before: Option<Duration>,
    /// After its end. Default: `0s`.
    #[serde(default)]
    pub after: Option<Duration>,
}

/// When a window is halved.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitFile {
    /// Rows of a full page: the limit that the request asks for, or that the server has. At least 2. A server that sends fewer on its
    /// own account is not noticed: name the number that it really keeps to.
    pub size: Spanned<u64>,
}

/// How a time series keeps its native step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolutionFile {
    /// The native step. `every` is a multiple of it.
    pub step: Spanned<Duration>,
    /// The most points that one answer holds. Both edges of what is asked for may have a point, so that a window of it is one step
    /// shorter than that; what `pad` adds counts too.
    pub max_points: Spanned<u64>,
    /// The place that `max_points` is written to. Without it, the request names the number itself, or the server has one of its own.
    #[serde(default)]
    pub into: Option<Jq>,
    /// jq: the step that came back, in seconds, such as `.metadata.step` or the smallest difference of neighbours. Null is 'not
    /// shown', as by an answer with one point or none: it is taken, and if it had several rows, the report says so.
    pub observed: Jq,
}

/// The whole list, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMode {
    /// Once a day of `schedule.timezone`; a day that has landed isn't read again.
    Daily,
    /// In every run.
    EveryRun,
    /// In every run; the new one replaces the one before.
    Latest,
}

mod edge {
    use std::borrow::Cow;
    use std::fmt;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde::de::value::MapAccessDeserializer;
    use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

    use super::super::super::load::{Jq, Spanned, fields};
    use super::{Edge, EdgeBound};

    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct LongEdge {
        /// The place in the request.
        into: Jq,
        /// How the server treats the edge. Default: `inclusive` for `from`, `exclusive` for `to`.
        #[serde(default)]
        bound: Option<EdgeBound>,
    }

    impl<'de> Deserialize<'de> for Edge {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct EdgeVisitor;

            impl<'de> Visitor<'de> for EdgeVisitor {
                type Value = Edge;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a place such as `query.since`, or `{into: query.since, bound: inclusive}`")
                }

                fn visit_newtype_struct<D: Deserializer<'de>>(self, text: D) -> Result<Edge, D::Error> {
                    Ok(Edge { into: Jq::deserialize(text)?, bound: None })
                }

                fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Edge, A::Error> {
                    let long = LongEdge::deserialize(MapAccessDeserializer::new(map))?;
                    Ok(Edge { into: long.into, bound: long.bound })
                }
            }

            deserializer.deserialize_newtype_struct(fields::TEXT_OR_MAP, EdgeVisitor)
        }
    }

    impl JsonSchema for Edge {
        fn schema_name() -> Cow<'static, str> {
            "Edge".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let (short, long) = (generator.subschema_for::<Spanned<String>>(), generator.subschema_for::<LongEdge>());
            json_schema!({"anyOf": [short, long]})
        }
    }
}
