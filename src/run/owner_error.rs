//! Why a run doesn't land where its sinks say: what lies there, or doesn't, speaks against it.

use crate::model::{JobName, PipelineName};

/// What is wrong with the place of a data set. Nothing has been written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// The lake has files that another ledger landed.
    #[error(
        "{root} has files of this pipeline that the ledger in `{state}` knows nothing of: they were landed with another \
         `--state`, or it is an old copy, and rows would be doubled; use the state that they were landed with, or give the \
         pipeline another name and its sinks another `url`, or move the folder away to begin anew"
    )]
    OtherLedger {
        /// The sink's folder.
        root: String,
        /// The state of this run.
        state: String,
    },
    /// A data set isn't where the ledger has landed it.
    #[error(
        "what lies in {to} was landed in {from}: it was moved, or copied, and the ledger knows its files in the old place only. Move it \
         back{link}; or name an empty folder as `url` and run once with `--accept reland`, which reads again what the source still has"
    )]
    Moved {
        /// The sink's folder.
        to: String,
        /// Where it was.
        from: String,
        /// How the old place can lead to the new one; nothing in a bucket.
        link: String,
    },
    /// Nothing of what has landed is there.
    #[error(
        "nothing is left in {root} of what has landed there, not even its list of files; {file} is one that is missing: a disk that isn't \
         mounted, or a folder that was moved or deleted. Mount it, or move it back; if it is gone for good, say so once by `--accept future`: new rows \
         land, and `tidegate backfill` reads windows again"
    )]
    Gone {
        /// The sink's folder.
        root: String,
        /// A file that has landed.
        file: String,
    },
    /// A sink and the state lie in one another.
    #[error(
        "the sink at {root} and the state in {state} lie in one another, so that readers of the lake would find files of the ledger among those \
         that landed; put the state elsewhere, or below a folder whose name begins with `_` or `.`, such as `--state {root}/_tidegate-state`"
    )]
    StateWithin {
        /// The sink's folder.
        root: String,
        /// The pipeline's folder in the state.
        state: String,
    },
    /// A job that never landed has a data set of one that isn't in the file any more.
    #[error(
        "the job `{job}` has landed nothing yet, and its `url` {root} has the rows of `{gone}`, which isn't in the pipeline file any more: if it \
         was renamed, rows that have landed would land once more under the new name. Give it back its name, or another `url`; if \
         both are to lie there, say `--accept future`"
    )]
    RenamedJob {
        /// The job.
        job: JobName,
        /// The sink's folder.
        root: String,
        /// The job that landed there.
        gone: JobName,
    },
    /// A pipeline that never landed has a data set of another one whose job reads the same.
    #[error(
        "the pipeline has landed nothing of `{job}` yet, and the `url` of its sink, {root}, has the rows of the pipeline `{gone}`, whose job of that name reads \
         the same: if the pipeline was renamed, rows that have landed would land once more under the new name. Give it back its name, or its sinks \
         another `url`; if both are to lie there, say `--accept future`"
    )]
    RenamedPipeline {
        /// The job.
        job: JobName,
        /// The sink's folder.
        root: String,
        /// The pipeline that landed there.
        gone: PipelineName,
    },
}
