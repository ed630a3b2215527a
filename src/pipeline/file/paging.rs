//! How a job gets from one page to the next.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::super::load::{Jq, Spanned};

/// `none`, or exactly one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none`, and what the server says about the end.
#[derive(Debug, Clone)]
pub enum PaginateFile {
    /// One page only, of which the server states nothing.
    None,
    /// A way of moving on.
    By(Box<PaginateBy>),
}

/// A way of moving on, and what the server says about the end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaginateBy {
    /// Moves by the number of rows received (start/length, offset/limit).
    #[serde(default)]
    pub offset: Option<OffsetFile>,
    /// Moves by one page.
    #[serde(default)]
    pub page: Option<PageFile>,
    /// Sends back a value that the server gave.
    #[serde(default)]
    pub cursor: Option<Spanned<CursorFile>>,
    /// Follows a link that the server gave.
    #[serde(default)]
    pub next_link: Option<Spanned<NextLinkFile>>,
    /// Asks for what comes after the last row's value.
    #[serde(default)]
    pub seek: Option<SeekFile>,
    /// `none: true`: one page only, as `paginate: none`, and `total` or `more` beside it. One that says that there are further rows is an
    /// error. `more: 'false'` states that the API has no pages: then the one answer is the whole list, also where it has no rows.
    #[serde(default)]
    pub none: Option<Spanned<bool>>,
    /// jq: true where there must be another page, false where there is none.
    #[serde(default)]
    pub more: Option<Jq>,
    /// jq: how many rows there are in all. Null is 'not stated'; digits in a string are fine. Once so many have come by `offset` or `page`,
    /// an answer that there is no further page (400, 404, 410, 416, 422), or the last page again, is the end.
    #[serde(default)]
    pub total: Option<Jq>,
    /// What a page with fewer rows than asked for means. Default: nothing by itself.
    #[serde(default)]
    pub short_page: Option<ShortPage>,
    /// The most pages of one slice; one more is an error. Default: `100000`.
    #[serde(default)]
    pub max_pages: Option<Spanned<u64>>,
}

/// What a page with fewer rows than asked for means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShortPage {
    /// It is the last one. Say so only of a server that never caps or filters its pages.
    End,
}

/// Start/length paging. Where the server states neither `total` nor `more`, it ends with two pages in a row that aren't full, the last of
/// them empty: an empty page after a full one may lie in the middle, and an empty first one before rows, so one more is asked for. A list of no
/// rows takes two requests then, or one where `short_page: end` says that the server hides none; an answer that there is no second page (400, 404,
/// 410, 416, 422) is fine too. A list none of whose pages was full lands as `unknown`: rows that the server hides after it has counted them show in
/// nothing else. An empty page where `more` is true is passed over, by `advance: received` it is an error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OffsetFile {
    /// The place of the offset, such as `query.start`.
    pub into: Jq,
    /// The place of the page size, such as `query.length`.
    #[serde(default)]
    pub size_into: Option<Jq>,
    /// Rows to ask for.
    pub size: Spanned<u64>,
    /// The offset of the first row. Default: `0`.
    #[serde(default)]
    pub first: u64,
    /// What the offset grows by. Default: `received`.
    #[serde(default)]
    pub advance: Advance,
}

/// What an offset grows by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Advance {
    /// The rows that came, so that a server that caps its pages skips nothing.
    #[default]
    Received,
    /// The rows asked for: for servers that hide rows after counting them.
    Size,
}

/// Paging by number. It ends as `offset` does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageFile {
    /// The place of the page's number, such as `query.page`.
    pub into: Jq,
    /// The place of the page size, such as `query.per_page`.
    #[serde(default)]
    pub size_into: Option<Jq>,
    /// Rows to ask for.
    pub size: Spanned<u64>,
    /// The number of the first page. Default: `1`.
    #[serde(default = "first_page")]
    pub first: u64,
}

const fn first_page() -> u64 {
    1
}

/// Values that the server gave, sent back as they are: `{into: place, value: jq}`, or a map of each place to its jq. It ends with a page
/// whose cursors are null, `""`, `[]`, `{}` or missing. One that is missing proves the end only where an earlier page of the run had
/// one: else the slice lands as `unknown`, with a warning.
#[derive(Debug, Clone)]
pub enum CursorFile {
    /// One cursor.
    One {
        /// The place of the cursor. Without it, the request says where by `{{ cursor }}`, which is null on the first page.
        into: Option<Jq>,
        /// jq: the cursor in an answer, of any JSON type.
        value: Jq,
    },
    /// Several, place by place. There is another page while one of them is left.
    Many(IndexMap<Spanned<String>, Jq>),
}

/// A link that the server gave; its path and query replace those of the request. It must lead to the same origin, since the credential
/// goes along. It ends with a page that gives no link.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextLinkFile {
    /// jq: the link in an answer; one that is relative is resolved against the request.
    #[serde(default)]
    pub url: Option<Jq>,
    /// The header that has it, with `rel="next"` (RFC 8288): `link`. One that can't be read is an error.
    #[serde(default)]
    pub header: Option<String>,
}

/// Paging by the value of the last row. In a window it may move the window's own edge: upwards the place of `from`, downwards that of
/// `to`; it never leaves the window, and the value must be written as `window.as` says.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeekFile {
    /// The place of the value. Downwards in a window it must be the place of `window.to`.
    pub into: Jq,
    /// jq: the value of the last row, such as `$last.id`.
    pub value: Jq,
    /// Whether values grow or shrink from row to row: `desc` is for APIs that list the newest first.
    pub order: Spanned<Order>,
    /// How the value is written: `{}` stands for it, as in `{};gt`. Default: `{}`.
    #[serde(default)]
    pub format: Option<Spanned<String>>,
    /// Whether the server's answer includes rows with the very value. Default: `inclusive`.
    #[serde(default)]
    pub bound: SeekBound,
    /// Whether the server finds the rows that overlap the window, each with a beginning and an end of its own, instead of those
    /// with a time in it. What goes on at the value then comes again on top of every page, and `size` must leave room for it. Default: `false`.
    #[serde(default)]
    pub overlap: Option<Spanned<bool>>,
    /// The place of the page size.
    #[serde(default)]
    pub size_into: Option<Jq>,
    /// Rows to ask for.
    pub size: Spanned<u64>,
}

/// Whether values grow or shrink from row to row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// They grow.
    Asc,
    /// They shrink.
    Desc,
}

/// Whether an answer includes rows with the very value that was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeekBound {
    /// It does: rows already seen are dropped by `key`. Where none comes again, the slice doesn't count as complete.
    #[default]
    Inclusive,
    /// It doesn't. Rows that share the value of a page's last row, and had no room on that page, would be missing. That there are none is
    /// known where the value is the job's `key`, or where a `total` is right; else the slice doesn't count as complete. A full page whose
    /// last rows share one fails.
    Exclusive,
}

impl<'de> Deserialize<'de> for PaginateFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PaginateVisitor;

        impl<'de> Visitor<'de> for PaginateVisitor {
            type Value = PaginateFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "`none`, or a map with one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none: true`",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PaginateFile, E> {
                match text {
                    "none" => Ok(PaginateFile::None),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PaginateFile, A::Error> {
                PaginateBy::deserialize(MapAccessDeserializer::new(map)).map(|by| PaginateFile::By(Box::new(by)))
            }
        }

        deserializer.deserialize_any(PaginateVisitor)
    }
}

impl<'de> Deserialize<'de> for CursorFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CursorVisitor;

        impl<'de> Visitor<'de> for CursorVisitor {
            type Value = CursorFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with `into` and `value`, or of places such as `body.offset` to jq")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CursorFile, A::Error> {
                let mut places: IndexMap<Spanned<String>, Jq> = IndexMap::new();
                while let Some((place, value)) = map.next_entry()? {
                    places.insert(place, value);
                }
                // No place is called like that: places begin with a part of the request.
                let (into, value) = (places.shift_remove("into"), places.shift_remove("value"));
                match (into, value, places.is_empty()) {
                    (into, Some(value), true) => Ok(CursorFile::One { into, value }),
                    (None, None, false) => Ok(CursorFile::Many(places)),
                    (Some(_), None, true) => Err(de::Error::missing_field("value")),
                    _ => Err(de::Error::custom(
                        "`cursor` takes `into: place` and `value: jq`, or places, each with its jq: `body.offset: .next`",
                    )),
                }
            }
        }

        deserializer.deserialize_map(CursorVisitor)
    }
}

mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{CursorFile, PaginateBy, PaginateFile};

    const INTO: &str = "The place of the cursor. Without it, the request says where by `{{ cursor }}`, which is null on the first page.";
    const MANY: &str =
        "Several cursors: each place, and jq for its value. There is another page while one of them is left.";

    impl JsonSchema for CursorFile {
        fn schema_name() -> Cow<'static, str> {
            "Cursor".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            let one = json_schema!({
                "type": "object",
                "properties": {
                    "into": {"type": "string", "description": INTO},
                    "value": {"type": "string", "description": "jq: the cursor in an answer, of any JSON type."},
                },
                "required": ["value"],
                "additionalProperties": false,
            });
            let many = json_schema!({
                "type": "object",
                "description": MANY,
                "patternProperties": {"^(path|query|headers|body|form)": {"type": "string"}},
                "additionalProperties": false,
                "minProperties": 1,
            });
            json_schema!({"anyOf": [one, many]})
        }
    }

    impl JsonSchema for PaginateFile {
        fn schema_name() -> Cow<'static, str> {
            "Paginate".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            json_schema!({"anyOf": [{"const": "none"}, generator.subschema_for::<PaginateBy>()]})
        }
    }
}
