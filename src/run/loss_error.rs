//! Why what was read may not replace what landed.

use crate::model::counted;

/// What was read has lost something of what landed, which so stays. `--allow-shrink` is how a person says that it is meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// A slice read again, or what was read anew, has fewer rows than what landed.
    #[error(
        "{what} has {} now, and {before}, so what landed stays: the source may have purged its history, rows that changed may lie \
         in another slice now, or the job was edited (`records`, `query`) and leaves rows out; where fewer are right, `--allow-shrink` \
         replaces what landed, and an edit that is for later slices only is taken in by `--accept future`",
        counted(*now, "row")
    )]
    Rows {
        /// Which part of the data.
        what: String,
        /// Rows now.
        now: u64,
        /// How many there were, as a clause: `2 rows landed before`.
        before: String,
    },
    /// A list that had several pages ends sooner, and nothing shows that it ends there.
    #[error(
        "the list has {} now, and {before}; the last page is as full as the fullest then ({}) and gives no \
         way to another, so what landed stays: run again, or look at an answer by `tidegate preview`; if the list really ends there, \
         `--allow-shrink` replaces what landed",
        counted(*now, "row"), counted(*page, "row")
    )]
    Cut {
        /// Rows now.
        now: u64,
        /// How many there were, as a clause: `2 rows landed before`.
        before: String,
        /// Rows of the largest page then.
        page: u64,
    },
    /// A slice read again came back with nothing, and nothing shows that there is nothing.
    #[error(
        "the slice has no rows now, and {before}; nothing shows that there are none any more, so what landed stays: let the server \
         state it (`paginate.total`, `paginate.more`; `paginate: {{none: true, more: 'false'}}` of an API that answers with all there is); \
         `--allow-shrink` replaces what landed this once"
    )]
    All {
        /// How many there were, as a clause: `2 rows landed before`.
        before: String,
    },
    /// Rows that have landed don't fit any more.
    #[error(
        "rows of the slice that have landed would go to quarantine: {now} fit now, and {before} did, so {rows} at least; what landed \
         stays; the first: {first}; see `tidegate schema diff`, and let `schema.columns` hold both; if the source has changed for good, \
         `--allow-shrink` replaces what landed"
    )]
    Fit {
        /// How many, at least.
        rows: u64,
        /// Rows that fit now.
        now: u64,
        /// Rows that fitted when the slice landed.
        before: u64,
        /// The first bad row, and why.
        first: String,
    },
}
