//! The walk from the root of a body to its records, by a plain path, in one pass.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::beyond;
use super::builders::StructBuilder;
use super::cells;
use super::pieces::Pieces;
use super::reject::{Misfit, Nulls, Row};
use super::strict;
use super::table::Cell;
use super::visitor::RecordSeed;

/// What is done with each record.
pub(super) trait Rows<'de> {
    /// Takes the next record.
    fn row<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error>;
}

/// Collects the raw text of each record.
#[derive(Default)]
pub(super) struct RawRows<'de>(pub(super) Vec<&'de str>);

impl<'de> Rows<'de> for RawRows<'de> {
    fn row<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let raw: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
        self.0.push(raw.get());
        Ok(())
    }
}

/// Reads each record into the builders.
pub(super) struct TypedRows<'b> {
    pub(super) root: &'b mut StructBuilder,
    pub(super) row: Row,
    pub(super) rows: u64,
    pub(super) bad: Vec<(u64, Misfit)>,
    /// The values that don't fit, where they are null and their rows stay.
    pub(super) nulls: Option<Nulls>,
    /// The columns of the rows that `root` doesn't hold any more.
    pub(super) pieces: Pieces,
}

impl TypedRows<'_> {
    /// Takes the cells of a table's row.
    pub(super) fn cells(&mut self, names: &[Cow<'_, str>], cells: &[Cell<'_>]) {
        cells::fill(self.root, names, cells, &mut self.row);
        self.done();
    }

    /// Takes a row that is none.
    pub(super) fn reject(&mut self, expected: &str, got: String) {
        self.root.append_null();
        self.row.misfit(expected, got);
        self.done();
    }

    fn done(&mut self) {
        let values = std::mem::take(&mut self.row.values);
        if let Some(misfit) = self.row.misfit.take() {
            match &mut self.nulls {
                Some(nulls) if misfit.is_value => nulls.note(values, self.rows, misfit),
                _ => self.bad.push((self.rows, misfit)),
            }
        }
        self.rows += 1;
        self.pieces.row(self.rows, self.root);
    }
}

impl<'de> Rows<'de> for TypedRows<'_> {
    fn row<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        RecordSeed { root: self.root, row: &mut self.row }.deserialize(deserializer)?;
        self.done();
        Ok(())
    }
}

/// Leaves the records alone.
pub(super) struct NoRows;

impl<'de> Rows<'de> for NoRows {
    fn row<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| ())
    }
}

/// What lay at the end of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The array.
    Array,
    /// `[]` where an object was due on the way, after so many keys of the path: how Lua and PHP print an empty table.
    EmptyOnTheWay(usize),
    /// Null, after so many keys of the path.
    Null(usize),
    /// The key after so many keys of the path doesn't exist; these do.
    Missing(usize, Vec<String>),
    /// Something else, after so many keys of the path.
    Other(usize, &'static str),
    /// A key of the path, the one after so many, comes twice.
    Twice(usize),
}

/// Walks along `keys`.
pub(super) struct Walk<'w, R> {
    pub(super) keys: &'w [String],
    pub(super) depth: usize,
    pub(super) rows: &'w mut R,
    /// Keep what isn't records.
    pub(super) keep: bool,
    /// Where the walk ended.
    pub(super) end: &'w mut End,
}

impl<R> Walk<'_, R> {
    fn at_end(&self) -> bool {
        self.depth == self.keys.len()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the visitor's methods return it as it is")]
    fn other<E>(self, what: &'static str, value: Value) -> Result<Option<Value>, E> {
        *self.end = End::Other(self.depth, what);
        Ok(Some(value))
    }
}

impl<'de, R: Rows<'de>> DeserializeSeed<'de> for Walk<'_, R> {
    /// The envelope; `None` for the records themselves.
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Rows<'de>> Visitor<'de> for Walk<'_, R> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        let due = self.keys.get(self.depth);
        let mut envelope = serde_json::Map::new();
        let mut names = Vec::new();
        let (mut found, mut twice) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            if due == Some(&key) {
                if found {
                    twice = true;
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                found = true;
                let inner = Walk { depth: self.depth + 1, rows: &mut *self.rows, end: &mut *self.end, ..self };
                if let Some(value) = map.next_value_seed(inner)? {
                    envelope.insert(key, value);
                }
            } else if self.keep {
                let raw: &'de RawValue = map.next_value()?;
                if let Some(before) = envelope.insert(key.clone(), part(raw.get())?) {
                    drop(before);
                    return Err(strict::twice(&key));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
                names.push(key);
            }
        }
        if self.at_end() {
            *self.end = End::Other(self.depth, "an object");
        } else if twice {
            *self.end = End::Twice(self.depth);
        } else if !found {
            names.extend(envelope.keys().cloned());
            *self.end = End::Missing(self.depth, names);
        }
        Ok(Some(Value::Object(envelope)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Value>, A::Error> {
        if self.at_end() {
            while seq.next_element_seed(RowSeed(&mut *self.rows))?.is_some() {}
            *self.end = End::Array;
            return Ok(None);
        }
        let mut items: Vec<Value> = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        *self.end = if items.is_empty() { End::EmptyOnTheWay(self.depth) } else { End::Other(self.depth, "an array") };
        Ok(Some(Value::Array(items)))
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        *self.end = End::Null(self.depth);
        Ok(Some(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<Value>, E> {
        self.other("a boolean", value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<Value>, E> {
        self.other("a number", value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<Value>, E> {
        self.other("a number", value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<Value>, E> {
        self.other("a number", value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<Value>, E> {
        self.other("a string", value.into())
    }
}

/// Reads a value beside the records; an error gets its place from the document's own reader.
fn part<E: serde::de::Error>(text: &str) -> Result<Value, E> {
    beyond::part(text).map_err(|error| E::custom(strict::reason(&error)))
}

struct RowSeed<'r, R>(&'r mut R);

impl<'de, R: Rows<'de>> DeserializeSeed<'de> for RowSeed<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.row(deserializer)
    }
}

/// Walks the whole of `text`, and returns the envelope and where the walk ended.
pub(super) fn walk<'de, R: Rows<'de>>(
    text: &'de str,
    keys: &[String],
    rows: &mut R,
    keep: bool,
) -> Result<(Value, End), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut end = End::Array;
    let envelope = Walk { keys, depth: 0, rows, keep, end: &mut end }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((envelope.unwrap_or(Value::Null), end))
}
