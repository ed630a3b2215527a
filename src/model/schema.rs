//! The schema of a job's records: what is inferred, pinned in the ledger and decoded against.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// UTF-8 text.
    String,
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

/// The columns of a job's records, sorted by name, so that the order of arrival decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordSchema {
    columns: Vec<Column>,
}

impl RecordSchema {
    /// Makes a schema of `columns`, which are sorted by name. A name that comes twice is kept once, the first.
    #[must_use]
    pub fn new(mut columns: Vec<Column>) -> Self {
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        columns.dedup_by(|later, first| later.name == first.name);
        Self { columns }
    }

    /// Returns the columns in the order of their names.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Tells whether there is no column at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.binary_search_by(|column| column.name.as_str().cmp(name)).ok().map(|at| &self.columns[at])
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
            Self::String => f.write_str("string"),
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
