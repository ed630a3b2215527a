//! What can be wrong with rows that are to be sent, before any request.

/// Why rows can't wait in an outbox, or be read from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Rows that are to be sent lack a column of their key.
    #[error("the rows don't have the column `{column}`, which `key` names; they have {known}")]
    NoColumn {
        /// The column.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// The sink is another one than what has landed was meant for, and that wasn't accepted.
    #[error(
        "what has landed is meant for {landed}, and {now} by now: nothing is sent until that edit of the job is taken back, or accepted by \
         a run"
    )]
    Edited {
        /// The sink under which data landed.
        landed: String,
        /// What the pipeline file says.
        now: String,
    },
    /// Rows that have landed lack a column that tells which of them were sent.
    #[error(
        "the rows were known by {before} when they were sent, and are by {now} now, but some of those that have landed have no column \
         `{column}`, so it isn't known which were sent: nothing is sent. Take the edit of `key` back; or give the sink another name, and run \
         once with `--accept future`: it is sent what lands from then on"
    )]
    Rekeyed {
        /// The column.
        column: String,
        /// The columns of the key that rows were sent by.
        before: String,
        /// Those of now.
        now: String,
    },
    /// Another shard lands while it must be known what has landed.
    #[error(
        "another shard landed slices anew while the rows that were sent were looked through by their new `key`; the next delivery goes on"
    )]
    Landing,
    /// A row that is to be sent has no key.
    #[error(
        "`{column}`, which `key` names, is null in a row, so it couldn't be known whether that row was sent; leave such rows out by \
         `where`, or give them one in the transform"
    )]
    Null {
        /// The column.
        column: String,
    },
    /// A number that is to be sent would lose digits.
    #[error(
        "`{column}` holds decimals deep within, which would lose digits in JSON; cast them to text in the transform"
    )]
    Decimal {
        /// The column.
        column: String,
    },
    /// A file of an outbox can't be read.
    #[error("the file {path} of an outbox can't be read")]
    File {
        /// Its path below the outbox.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}
