//! What can go wrong in a transform, said so that the writer of the SQL can mend it.

use std::fmt::Write as _;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use indexmap::IndexSet;

use super::{ConformError, SpoolError};
use crate::lang::sql::{SqlSyntaxError, byte_offset, lowercase_first, split_place};

/// What the engine puts before its sentences, for its own developers.
const CATEGORIES: [&str; 8] = [
    "Error during planning: ",
    "Execution error: ",
    "Internal error: ",
    "Cast error: ",
    "Compute error: ",
    "Parser error: ",
    "Invalid argument error: ",
    "sql parser error: ",
];

/// An error of whoever feeds a transform or takes its rows, handed through as it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How many column names a message lists before it only counts the rest.
const LISTED_COLUMNS: usize = 24;

/// A transform, or an expression of one row, that can't be planned or that fails on its rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransformError {
    /// The text isn't SQL, or not SQL that is allowed here.
    #[error(transparent)]
    Syntax(#[from] SqlSyntaxError),
    /// A name that is no column of the records.
    #[error(
        "there is no column `{name}`{}; there are {}{}", hint(nearest.as_deref(), *double_quoted), list(columns),
        optional(name, nearest.is_some() || *double_quoted)
    )]
    UnknownColumn {
        /// The name as written.
        name: String,
        /// The column that is spelled nearly so.
        nearest: Option<String>,
        /// Every column that there is.
        columns: Vec<String>,
        /// Whether the name stands in double quotes, which in SQL make a name, not a text.
        double_quoted: bool,
        /// Where in the SQL, in bytes.
        offset: Option<usize>,
    },
    /// The SQL doesn't fit the columns and their types.
    #[error("{message}")]
    Plan {
        /// What the engine found.
        message: String,
        /// Where in the SQL, in bytes, when that is known.
        offset: Option<usize>,
    },
    /// Two columns of the result have one name.
    #[error("the result has two columns named `{name}`: give one of them another name with AS")]
    DuplicateColumn {
        /// The name.
        name: String,
    },
    /// A row made the SQL fail: a cast of a text that is no number, a division by zero.
    #[error("the SQL failed on a row: {message}")]
    Row {
        /// What the engine said, with the value.
        message: String,
    },
    /// The SQL wants more memory than a transform may have, and can't go on from disk.
    #[error("the SQL needs more than the {limit_bytes} bytes of memory a transform may use: {message}")]
    Memory {
        /// The limit in bytes.
        limit_bytes: usize,
        /// Which part of the query asked for it.
        message: String,
    },
    /// An expression that has to give a time gives something else.
    #[error("`{sql}` is {found}, not a timestamp: {proposal}")]
    NotATimestamp {
        /// The expression.
        sql: String,
        /// The type it has.
        found: String,
        /// An expression that would be a timestamp.
        proposal: String,
    },
    /// A condition that is neither true nor false.
    #[error("`{sql}` is {found}, not a condition: compare it with something")]
    NotACondition {
        /// The expression.
        sql: String,
        /// The type it has.
        found: String,
    },
    /// A batch doesn't fit the schema that the transform was planned for.
    #[error(transparent)]
    Conform(#[from] ConformError),
    /// Records that the SQL reads twice could not be kept meanwhile.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The transform's runtime could not start.
    #[error("can't start the SQL engine's runtime")]
    Runtime(#[source] std::io::Error),
    /// The records could not be read.
    #[error("can't read the records to transform")]
    Input(#[source] BoxError),
    /// The rows could not be handed on.
    #[error("can't hand on the transformed rows")]
    Output(#[source] BoxError),
}

impl TransformError {
    /// Returns where in the SQL the mistake is, in bytes from its start, when that is known.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Syntax(error) => Some(error.offset),
            Self::UnknownColumn { offset, .. } | Self::Plan { offset, .. } => *offset,
            _ => None,
        }
    }

    /// Translates an error met while `sql` was planned.
    pub(super) fn planning(error: &DataFusionError, sql: &str) -> Self {
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
        let mut offset = span.map(|span| byte_offset(sql, span.start.line, span.start.column));
        let root = error.find_root();
        if let DataFusionError::SchemaError(schema, _) = root
            && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
        {
            let columns: IndexSet<_> = valid_fields.iter().map(|column| column.name.clone()).collect();
            let columns = columns.into_iter().collect();
            return unknown_column(&field.flat_name(), columns, offset, sql);
        }
        let message = message_of(root);
        let message = absent_field(&message).unwrap_or(message);
        let (message, place) = split_place(&message);
        offset = offset.or_else(|| place.map(|(line, column)| byte_offset(sql, line, column)));
        offset = offset.or_else(|| place_of_name(message, sql));
        Self::Plan { message: lowercase_first(message), offset }
    }

    /// Translates an error met while the rows went through.
    pub(super) fn running(error: &DataFusionError, limit_bytes: usize) -> Self {
        let root = error.find_root();
        let message = lowercase_first(&message_of(root));
        match root {
            DataFusionError::ResourcesExhausted(_) => Self::Memory { limit_bytes, message },
            _ => Self::Row { message },
        }
    }
}

fn unknown_column(flat: &str, columns: Vec<String>, offset: Option<usize>, sql: &str) -> TransformError {
    let nearest = nearest(flat, &columns);
    let double_quoted = offset.is_some_and(|at| sql.as_bytes().get(at) == Some(&b'"'));
    TransformError::UnknownColumn { name: flat.to_owned(), nearest, columns, double_quoted, offset }
}

/// Says what to do about a field that an object has in none of the rows so far.
fn absent_field(message: &str) -> Option<String> {
    let name = message.split_once("ield ")?.1.strip_suffix(" not found in struct")?;
    Some(format!(
        "field {name} not found in struct: if only some rows have it, give its column a type with all the fields that are read, such as \
         `schema: {{columns: {{user: 'struct<{name}: string>'}}}}`"
    ))
}

/// Finds what a message without a place speaks of, when the SQL has it exactly once: `'name'`, or a field of a struct.
fn place_of_name(message: &str, sql: &str) -> Option<usize> {
    let quoted = || message.split('\'').nth(1);
    let field = || message.split_once("ield ")?.1.split_once(" not found in struct").map(|(name, _)| name);
    let name = field().or_else(quoted).filter(|name| !name.is_empty())?;
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let whole = |at: usize| {
        let (before, rest) = sql.split_at(at);
        !before.ends_with(is_word) && !rest.get(name.len()..).unwrap_or_default().starts_with(is_word)
    };
    let mut places = sql.match_indices(name).map(|(at, _)| at).filter(|at| whole(*at));
    let place = places.next()?;
    places.next().is_none().then_some(place)
}

/// Finds the column that `name` is a misspelling of: other case, a letter or two, or a path that begins wrongly.
pub(super) fn nearest(name: &str, columns: &[String]) -> Option<String> {
    let tries = [name, name.split('.').next().unwrap_or(name), name.rsplit('.').next().unwrap_or(name)];
    let distance = |column: &&String| {
        let column = column.to_lowercase();
        tries.iter().map(|name| strsim::damerau_levenshtein(&name.to_lowercase(), &column)).min().unwrap_or(usize::MAX)
    };
    let best = columns.iter().min_by_key(distance)?;
    (distance(&best) <= (name.chars().count() / 3).max(1)).then(|| best.clone())
}

pub(super) fn hint(nearest: Option<&str>, double_quoted: bool) -> String {
    let mut hint = String::new();
    if let Some(nearest) = nearest {
        // Writing to a String can't fail.
        let _ = write!(hint, " (did you mean `{nearest}`?)");
    }
    if double_quoted {
        hint.push_str(" (a text stands in single quotes)");
    }
    hint
}

/// Says what to do about a column that only some rows have, unless the name is more likely a mistake.
fn optional(name: &str, mistaken: bool) -> String {
    if mistaken {
        String::new()
    } else {
        format!("; if only some rows have it, give it a type: `schema: {{columns: {{{name}: string}}}}`")
    }
}

pub(super) fn list(columns: &[String]) -> String {
    if columns.is_empty() {
        return "none".to_owned();
    }
    let mut list = columns.iter().take(LISTED_COLUMNS).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if let Some(more) = columns.len().checked_sub(LISTED_COLUMNS).filter(|more| *more > 0) {
        let _ = write!(list, " and {more} more");
    }
    list
}

/// The engine's own words, without its backtrace, its categories and its advice to file a bug.
fn message_of(error: &DataFusionError) -> String {
    let full = match error {
        DataFusionError::ArrowError(arrow, _) => arrow.to_string(),
        other => other.message().into_owned(),
    };
    let text = full.split("\n\nbacktrace:").next().unwrap_or(&full);
    let text = text.split(".\nThis issue was likely caused by a bug").next().unwrap_or(text);
    let text = CATEGORIES.iter().fold(text.to_owned(), |text, category| text.replace(category, ""));
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
