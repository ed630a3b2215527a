//! What can go wrong between a batch and a published file.

use std::io;
use std::path::PathBuf;

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use thiserror::Error;

use super::encode::EncodeError;
use crate::objects::{LocationError, StoreError};
use crate::pipeline::load::nearest;

/// Why a sink couldn't write, publish or delete a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The `url` names a place that no store here can write to.
    #[error(
        "can't write to `{url}`: use a directory (./lake, /data/lake), a file:// url without a host, or s3://bucket/prefix"
    )]
    UnsupportedUrl {
        /// The sink's `url`.
        url: String,
    },
    /// The `url` is that of an object store, and wrong. It isn't quoted: it may hold a secret.
    #[error("the url of the sink can't be used: {why}")]
    BadUrl {
        /// What is wrong with it.
        why: LocationError,
    },
    /// The object store refused.
    #[error("can't {action} {error}")]
    Store {
        /// What was tried.
        action: &'static str,
        /// On what, and what the store said.
        error: StoreError,
    },
    /// A thread of ours ended early: a bug of ours.
    #[error("a part of the run ended early; this is a bug of Tidegate, and nothing was landed")]
    Lost(#[from] tokio::task::JoinError),
    /// An option has a value that can't work.
    #[error("{option} is `{value}`: it must be {expected}")]
    BadOption {
        /// The option, as the pipeline file names it.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An option names a column that the rows don't have.
    #[error("{option} names the column `{column}`, which the rows don't have{near}: they have {known}")]
    UnknownColumn {
        /// The option, such as `partition_by`.
        option: &'static str,
        /// The column.
        column: String,
        /// The column that is meant, perhaps, as a question in parentheses.
        near: String,
        /// The columns there are.
        known: String,
    },
    /// A column has a type that the files can't hold, or that can't do what is asked of it.
    #[error("column `{column}` is of type {kind}: {hint}")]
    ColumnType {
        /// The column, with `.` before a nested field.
        column: String,
        /// Its Arrow type.
        kind: String,
        /// What to do.
        hint: &'static str,
    },
    /// Two columns, or two partition directories, have one name.
    #[error("the name `{name}` comes twice among the {among}: give one of them another name")]
    DuplicateName {
        /// The name.
        name: String,
        /// What has the name twice.
        among: &'static str,
    },
    /// The rows have no columns.
    #[error("the rows have no columns, and a file needs at least one")]
    NoColumns,
    /// A batch doesn't have the schema that the writer was opened with.
    #[error("a batch has another schema than the slice: {found} where {expected} was due")]
    SchemaChanged {
        /// The fields of the slice.
        expected: String,
        /// The fields of the batch.
        found: String,
    },
    /// A value doesn't fit the type that files hold, such as a timestamp in seconds that overflows microseconds.
    #[error("a value of column `{column}` can't be written as {kind}")]
    Convert {
        /// The column.
        column: String,
        /// The type that files hold.
        kind: String,
        /// What Arrow said.
        #[source]
        source: ArrowError,
    },
    /// The rows of a partition couldn't be gathered.
    #[error("can't split a batch into partitions")]
    Split {
        /// What Arrow said.
        #[source]
        source: ArrowError,
    },
    /// A file couldn't be written.
    #[error("can't write the file `{path}` of the data set {root}")]
    Encode {
        /// The root of the data set.
        root: String,
        /// The file's path below it, once published.
        path: String,
        /// What failed.
        #[source]
        source: EncodeError,
    },
    /// The file system refused.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A slice has more files than its names can number.
    #[error("a slice has more than {limit} files: partition by something coarser, or raise rows_per_file")]
    TooManyFiles {
        /// The bound.
        limit: u32,
    },
    /// A write failed before: what the writer holds isn't the whole slice.
    #[error("a write to this sink failed before, so its files aren't the whole slice: write the slice again")]
    Broken,
    /// A path of a receipt isn't one that a sink made.
    #[error("`{path}` isn't a path below the root of a data set")]
    UnsafePath {
        /// The path.
        path: String,
    },
    /// A file to publish is neither staged nor there: its slice has to be read again, under the next generation.
    #[error("`{path}` is neither staged at `{staged}` nor published: read its slice again")]
    StagedGone {
        /// Where it was to appear.
        path: String,
        /// Where it was staged.
        staged: String,
    },
    /// A staged file isn't the one that was written.
    #[error("the staged file `{staged}` has {found} bytes where {expected} were written: read its slice again")]
    StagedDiffers {
        /// Where it is staged.
        staged: String,
        /// Its size by the receipt.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// The name is taken by a file with other bytes. It is left as it is.
    #[error(
        "a file of that name and with other content is there, and a published file is never overwritten: it was landed with another state, \
         or copied there. It stays as it is; the next run lands the slice beside it under another name, and who reads the folder finds the \
         rows of both, so move it away if it isn't wanted"
    )]
    Conflict {
        /// The path below the root of the data set.
        path: String,
    },
    /// A published file isn't the one that was written.
    #[error("`{path}` isn't the file that was landed: it was changed since")]
    Changed {
        /// The path below the root of the data set.
        path: String,
    },
}

impl SinkError {
    /// Says that an option names a column that isn't among those of `schema`.
    #[must_use]
    pub fn unknown_column(option: &'static str, column: &str, schema: &Schema) -> Self {
        let known: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let near = nearest(column, &known).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        Self::UnknownColumn { option, column: column.to_owned(), near, known: known.join(", ") }
    }
}
