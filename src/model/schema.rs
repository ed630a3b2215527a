//! The schema of a job's records: what is inferred, pinned in the ledger and decoded against.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a column of records, as the pipeline file and the ledger name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Only nulls have been seen: the column is kept, as nulls, and takes the first type that comes.
    Null,
    /// `true` or `false`.
    Bool,
    /// A 64-bit signed integer.
    Int64,
    /// A 64-bit unsigned integer: for counters beyond 2^63.
    Uint64,
    /// A double. Integers that a double can't hold exactly don't fit.
    Float64,
    /// A decimal number with all its digits: at most `precision` of them, `scale` after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// UTF-8 text.
    String,
    /// An instant, in microseconds, UTC.
    Timestamp,
    /// A day.
    Date,
    /// The JSON text of whatever came: for fields that are a scalar here and an object there, or that have very many keys.
    Json,
    /// Items of one type.
    List(Box<ColumnType>),
    /// Named fields, in the order of their names.
    Struct(Vec<Column>),
}

/// A column: its name, exactly as in the records, and its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name, case-sensitive, any Unicode.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
}

/// The columns of a job's records, sorted by name, so that the order of arrival decides nothing. Copies share them: each page has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordSchema {
    columns: Arc<Vec<Column>>,
}

impl Serialize for RecordSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.columns.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|columns| Self { columns: Arc::new(columns) })
    }
}

impl RecordSchema {
    /// Makes a schema of `columns`, which are sorted by name. A name that comes twice is kept once, the first.
    #[must_use]
    pub fn new(mut columns: Vec<Column>) -> Self {
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        columns.dedup_by(|later, first| later.name == first.name);
        Self { columns: Arc::new(columns) }
    }

    /// Returns the columns in the order of their names.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Tells whether there is no column at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.binary_search_by(|column| column.name.as_str().cmp(name)).ok().map(|at| &self.columns[at])
    }

    /// Returns the type of a column, or of a field within it: each part of `path` but the first is a field of the one before.
    #[must_use]
    pub fn kind_at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<&ColumnType> {
        let mut path = path.into_iter();
        let kind = &self.column(path.next()?)?.kind;
        path.try_fold(kind, |kind, name| match kind {
            ColumnType::Struct(fields) => fields.iter().find(|field| field.name == name).map(|field| &field.kind),
            _ => None,
        })
    }
}

/// Two schemas give one column two types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the column `{column}` is pinned as {one}, and is {other} now; run again, and rows that don't fit go to quarantine"
)]
pub struct UnionError {
    /// The column, with the path into it.
    pub column: String,
    /// Its type in one schema.
    pub one: ColumnType,
    /// Its type in the other.
    pub other: ColumnType,
}

impl RecordSchema {
    /// Returns the columns of both schemas. A column of nulls takes the type that the other has.
    ///
    /// # Errors
    /// A column that has different types.
    pub fn union(&self, other: &Self) -> Result<Self, UnionError> {
        union_columns(&self.columns, &other.columns, "").map(Self::new)
    }
}

fn union_columns(one: &[Column], other: &[Column], path: &str) -> Result<Vec<Column>, UnionError> {
    let mut columns = one.to_vec();
    for column in other {
        let name = if path.is_empty() { column.name.clone() } else { format!("{path}.{}", column.name) };
        match columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) => known.kind = union_types(&known.kind, &column.kind, &name)?,
            None => columns.push(column.clone()),
        }
    }
    Ok(columns)
}

fn union_types(one: &ColumnType, other: &ColumnType, path: &str) -> Result<ColumnType, UnionError> {
    match (one, other) {
        (one, other) if one == other => Ok(one.clone()),
        (ColumnType::Null, kind) | (kind, ColumnType::Null) => Ok(kind.clone()),
        (ColumnType::List(one), ColumnType::List(other)) => {
            Ok(ColumnType::List(Box::new(union_types(one, other, &format!("{path}[]"))?)))
        }
        (ColumnType::Struct(one), ColumnType::Struct(other)) => {
            let mut fields = union_columns(one, other, path)?;
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(ColumnType::Struct(fields))
        }
        _ => Err(UnionError { column: path.to_owned(), one: one.clone(), other: other.clone() }),
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int64 => f.write_str("int64"),
            Self::Uint64 => f.write_str("uint64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Self::String => f.write_str("string"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Json => f.write_str("json"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (at, field) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", field.name, field.kind)?;
                }
                f.write_str(">")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnType) -> Column {
        Column { name: name.to_owned(), kind }
    }

    #[test]
    fn a_union_has_the_columns_of_both() {
        let nested = |field: &str| ColumnType::Struct(vec![column(field, ColumnType::Int64)]);
        let one = RecordSchema::new(vec![column("s", nested("b")), column("n", ColumnType::Null)]);
        let other = RecordSchema::new(vec![column("s", nested("a")), column("n", ColumnType::String)]);
        let both = one.union(&other).unwrap();
        assert_eq!(both, other.union(&one).unwrap());
        assert_eq!(both.column("n").unwrap().kind, ColumnType::String);
        assert_eq!(both.column("s").unwrap().kind.to_string(), "struct<a: int64, b: int64>");
        assert_eq!(both.kind_at(["s", "b"]), Some(&ColumnType::Int64));
        assert_eq!((both.kind_at(["s", "c"]), both.kind_at(["n", "b"]), both.kind_at([])), (None, None, None));
    }

    #[test]
    fn two_types_have_no_union() {
        let one = RecordSchema::new(vec![column("c", ColumnType::Int64)]);
        let other = RecordSchema::new(vec![column("c", ColumnType::String)]);
        assert_eq!(one.union(&other).unwrap_err().column, "c");
    }
}
