//! What can fail about pinned schemas, with what to do about it.

use crate::model::{JobName, LockError, PipelineName, UnionError};

/// Why a schema isn't taken, or a run not begun with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Two slices found different types for one column, or the file says another one than is pinned.
    #[error(transparent)]
    Union(#[from] UnionError),
    /// `schema.columns` was edited, and what is pinned wasn't.
    #[error(
        "the column `{column}` is pinned as {pinned}, and `schema.columns` says {by_hand}: take that in with \
         `tidegate schema accept`, which says what becomes of the files that have landed, or take the edit back"
    )]
    ByHand {
        /// The column, with the path into it.
        column: String,
        /// Its pinned type.
        pinned: String,
        /// Its type in the pipeline file.
        by_hand: String,
    },
    /// Nothing is pinned of a job.
    #[error("nothing is pinned of the job `{job}` yet: its first run that lands a row pins what it finds")]
    NotPinned {
        /// The job.
        job: JobName,
    },
    /// Nothing is pinned of a pipeline.
    #[error("nothing is pinned of the pipeline `{pipeline}` yet: run it first, with this `--state`")]
    NothingPinned {
        /// The pipeline.
        pipeline: PipelineName,
    },
    /// A job without sinks.
    #[error("the job `{job}` lands nothing, so it has no schema: it only feeds others")]
    LandsNothing {
        /// The job.
        job: JobName,
    },
    /// Changes that break what has landed.
    #[error(
        "these changes of the job `{job}` break the files that have landed, which keep their types: {changes}; with `--breaking` they \
         are taken in all the same, and readers of old and new files together must cast"
    )]
    Breaks {
        /// The job.
        job: JobName,
        /// The changes, in words.
        changes: String,
    },
    /// The lock file says otherwise.
    #[error(
        "{}the lock file is left: {why}; if that is meant, write it anew with `tidegate schema lock`, and have the change reviewed",
        job.as_ref().map(|job| format!("job `{job}`: ")).unwrap_or_default()
    )]
    Locked {
        /// The job; none where it is the pipeline.
        job: Option<JobName>,
        /// The difference.
        why: String,
    },
    /// The lock file can't be read.
    #[error("the lock file is no good")]
    Lock(#[from] LockError),
}
