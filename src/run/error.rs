//! What can fail in a run, with what to do about it.

use chrono::{DateTime, Utc};

use super::deliver::OutboxError;
use super::edit_error::EditError;
use super::job::EdgeError;
use super::loss_error::LossError;
use super::owner_error::OwnerError;
use super::parts::PartError;
use super::schema_error::SchemaError;
use crate::decode::DecodeError;
use crate::extract::http::{ExchangeError, HttpError, RulesError};
use crate::extract::paginate::{GuardError, PaginateError};
use crate::extract::request::RequestError;
use crate::lang::jq::JqRunError;
use crate::ledger::{DataError, LedgerError};
use crate::model::{JobName, SinkName, Window};
use crate::plan::FanOutError;
use crate::sink::{ParsePartitionError, SinkError};
use crate::transform::{DedupeError, SpoolError, TransformError};

/// Why a run, a job or a slice failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The request can't be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The client can't be made.
    #[error(transparent)]
    Client(#[from] HttpError),
    /// A rule about answers can't be compiled.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The request failed, or its answer is an error.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The server answered, and not with a page.
    #[error("{request}: {problem}")]
    Answer {
        /// The request, redacted.
        request: String,
        /// What the answer says.
        problem: String,
    },
    /// The page can't be read.
    #[error("{request}: the answer can't be read")]
    Decode {
        /// The request, redacted.
        request: String,
        /// Why.
        source: DecodeError,
    },
    /// A jq expression failed on an answer.
    #[error("{request}: the jq of `{field}` failed")]
    Expression {
        /// The request, redacted.
        request: String,
        /// The field of the pipeline file.
        field: &'static str,
        /// Why.
        source: JqRunError,
    },
    /// The child request of a row failed.
    #[error("`enrich.{column}` of row {row} of {page}")]
    Enrich {
        /// The column.
        column: String,
        /// Which row of the page, from 1.
        row: u64,
        /// The request of the page, redacted.
        page: String,
        /// Why.
        source: Box<RunError>,
    },
    /// The records have the column that a child request is to make.
    #[error("the record has a field `{column}` of its own; give the column of `enrich` another name")]
    EnrichTaken {
        /// The column.
        column: String,
    },
    /// A child request would be sent with another number than the record has.
    #[error("{problem}")]
    EnrichNumber {
        /// Which, and what to do.
        problem: String,
    },
    /// The schema that was pinned has no room for the column of a child request.
    #[error(
        "the column `{column}` of `enrich` isn't in the pinned schema, and the contract lets none join: pin its type under \
         `schema.columns`, such as `{column}: json`, or use `contract: evolve`"
    )]
    EnrichPinned {
        /// The column.
        column: String,
    },
    /// The paginator can't go on.
    #[error("{request}: paging can't go on")]
    Paginate {
        /// The request, redacted.
        request: String,
        /// Why.
        source: PaginateError,
    },
    /// The window can't be read in parts.
    #[error("{request}")]
    Part {
        /// The request, redacted.
        request: String,
        /// Why.
        source: PartError,
    },
    /// A guard stopped the paging.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The parent's rows can't be fanned out over.
    #[error(transparent)]
    FanOut(#[from] FanOutError),
    /// The job whose rows this one needs failed.
    #[error("the rows of `{parent}` couldn't be read, so it isn't known what to ask for")]
    NoParent {
        /// The parent.
        parent: JobName,
    },
    /// The cursor is of a type that has no order to rely on.
    #[error(
        "`incremental.cursor` is a {found}; it must be an integer or a timestamp: cast it, such as `CAST(id AS BIGINT)`, or \
         `to_timestamp(updated)` where it is a time"
    )]
    CursorType {
        /// The type.
        found: String,
    },
    /// The cursor where the slice begins can't be compared with those of rows.
    #[error(
        "the slice begins at the cursor {start}, which can't be compared with those of the rows; check `incremental.start`"
    )]
    CursorStart {
        /// The start, as text.
        start: String,
    },
    /// The newest id lies before the cursor that has landed.
    #[error(
        "the newest id is {newest}, and {landed} has landed: the source was reset, and its ids began again, so rows would be \
         missed; with `incremental.on_reset: restart` a new series begins, and nothing that has landed is replaced"
    )]
    Reset {
        /// The newest id, as text.
        newest: String,
        /// The cursor that has landed, as text.
        landed: String,
    },
    /// The rows don't come in the order of their cursors.
    #[error(
        "{request}: a row with the cursor {found} comes after one with {previous}: the server doesn't sort by what \
         `incremental.cursor` reads, so rows would be missed; ask it to sort by that, upwards, as a number where it is one, or, where it can't, write \
         `order: any`"
    )]
    Unsorted {
        /// The request, redacted.
        request: String,
        /// The later row's cursor.
        found: String,
        /// The earlier row's, which is greater.
        previous: String,
    },
    /// The slices begin at one value, and the pages at another.
    #[error(
        "{request}: the last row has the seek value {value} and the cursor {cursor}: the next slice begins at the cursor, so \
         rows would be missed; make `paginate.seek.value` and `incremental.cursor` the same"
    )]
    SeekNotCursor {
        /// The request, redacted.
        request: String,
        /// The seek value.
        value: String,
        /// The cursor.
        cursor: String,
    },
    /// Rows come before the cursor that was asked for.
    #[error(
        "{request}: {early} of {rows} rows come before {start}, the cursor that was asked for: the server ignored it; check the \
         place and the format of `incremental.into`"
    )]
    CursorIgnored {
        /// The request, redacted.
        request: String,
        /// Rows before it.
        early: u64,
        /// Rows of the page.
        rows: u64,
        /// The cursor, as text.
        start: String,
    },
    /// Rows lie outside of what was asked for.
    #[error(
        "{request}: by `window.time`, {outside} of {rows} rows lie outside of the time asked for ({} to {}), such as one of {time}: either \
         the server ignored the window (check the places of `window.from` and `window.to`, and the format of `window.as`), or `window.time` \
         misreads the rows, as one that takes seconds for milliseconds does", window.from, window.to
    )]
    WindowIgnored {
        /// The request, redacted.
        request: String,
        /// Rows outside.
        outside: u64,
        /// Rows of the page.
        rows: u64,
        /// The time of the first of them, UTC, as `window.time` reads it.
        time: DateTime<Utc>,
        /// What was asked for.
        window: Window,
    },
    /// The list moved in each pass over it.
    #[error(
        "the slice was read {passes} times (`on_mismatch: refetch`), and moved while it was: {story}; it doesn't land: sort by a column that doesn't change, make the slices smaller, or run when less changes"
    )]
    Unsettled {
        /// How often it was read.
        passes: usize,
        /// What each pass showed.
        story: String,
    },
    /// The rows received aren't those that the server said it has.
    #[error(
        "received {distinct} different rows, while the server said that there are {total}: {verdict}; the slice doesn't land \
         (`on_mismatch: warn` lands it all the same)"
    )]
    Mismatch {
        /// Different rows received.
        distinct: u64,
        /// The last total stated.
        total: u64,
        /// What that is called.
        verdict: String,
    },
    /// A row is missing where it belongs.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// What was read has lost something of what landed.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// What lies where the sinks land speaks against the run.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// No row of a slice fits.
    #[error(
        "none of the slice's rows fits ({bad} came), so nothing of it has landed; the first: {first}; check `records`, `key`, `window.time` \
         and `schema.columns` against it; if such slices are to land, with all their rows in quarantine, say `max_bad_rows: 100%` in `schema`"
    )]
    NoneFits {
        /// Bad rows.
        bad: u64,
        /// The first bad row, and why.
        first: String,
    },
    /// A reference table can't be read.
    #[error("the table `{table}` can't be read from {path} (a relative path counts from the pipeline file)")]
    Table {
        /// Its name.
        table: String,
        /// The file or folder.
        path: String,
        /// Why not.
        #[source]
        source: crate::transform::BoxError,
    },
    /// Something that is expected of the rows doesn't hold.
    #[error("expectation not met: {unmet}; nothing of the slice has landed: if its rows are right, change `expect`")]
    Unmet {
        /// What doesn't hold, as clauses.
        unmet: String,
    },
    /// More rows are bad than the job allows.
    #[error("{bad} of {received} rows are bad, and {allowed}; the first: {first}; nothing of the slice has landed")]
    BadRows {
        /// Bad rows.
        bad: u64,
        /// Rows received.
        received: u64,
        /// What the job allows, as a clause: `max_bad_rows allows 100`.
        allowed: String,
        /// The first bad row, and why.
        first: String,
    },
    /// The rows after a cursor are all bad.
    #[error(
        "all {bad} rows after the cursor {start} are bad, so there is nothing to go on from: they are read again, and go to \
         quarantine with the next good row; the first: {first}; check `incremental.cursor` and `schema.columns` against it"
    )]
    NoCursor {
        /// Bad rows.
        bad: u64,
        /// Where the slice begins.
        start: String,
        /// The first bad row, and why.
        first: String,
    },
    /// What has landed and the pipeline file don't go together.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A job that is read by no windows has no past to read.
    #[error(
        "the job `{job}` {what}, so it has no windows of the past that could be read: a backfill is for jobs with `window`"
    )]
    NoWindows {
        /// The job.
        job: JobName,
        /// How it is cut.
        what: &'static str,
    },
    /// More windows are due than can be planned at once.
    #[error(
        "more than {most} windows of the job `{job}` are due, too many to plan at once: let `window.every` be longer, or `window.start` later, \
         and read what was before by `tidegate backfill`, some at a time"
    )]
    TooManyWindows {
        /// The job.
        job: JobName,
        /// The most that one run takes.
        most: usize,
    },
    /// The time to plan with hasn't come yet.
    #[error("--now {now} is later than this machine's clock, {clock}: correct it, or say `--allow-future`")]
    Future {
        /// What was given, UTC.
        now: DateTime<Utc>,
        /// What the clock says, UTC.
        clock: DateTime<Utc>,
    },
    /// By the server's clock a window hasn't ended.
    #[error(
        "the window ends at {to}, but by the server's clock it is {server} (its `Date` header; this machine says {clock}): it would land \
         without the rows that are still to come; set the clock that is wrong, or say `--allow-future`"
    )]
    ServerBehind {
        /// The end of the window, UTC.
        to: DateTime<Utc>,
        /// The server's time, UTC.
        server: DateTime<Utc>,
        /// This machine's time, UTC.
        clock: DateTime<Utc>,
    },
    /// A sink can't take the rows.
    #[error("the sink `{sink}`")]
    InSink {
        /// The sink.
        sink: SinkName,
        /// Why.
        source: Box<RunError>,
    },
    /// Rows can't wait in an outbox, or be read from it.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The SQL failed.
    #[error("{field}")]
    Transform {
        /// The field of the pipeline file.
        field: &'static str,
        /// Why.
        source: TransformError,
    },
    /// The keys can't be compared.
    #[error("the rows' `key` can't be used")]
    Key(#[from] DedupeError),
    /// Rows can't be held.
    #[error("the rows of the slice can't be held until it has ended")]
    Spool(#[from] SpoolError),
    /// The files can't be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A partition of a sink can't be read.
    #[error(transparent)]
    Partition(#[from] ParsePartitionError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A data set failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What is pinned, locked or typed by hand stands in the way.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A file in quarantine can't be read.
    #[error("{path} in quarantine isn't what was written there: it was changed, or the disk lost a part of it")]
    Quarantine {
        /// The file.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// There is no job of that name.
    #[error("there is no job `{name}` in the pipeline; its jobs are {known}")]
    NoJob {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The job has nothing to preview or to land.
    #[error("nothing of the job `{job}` is due at {now}")]
    NothingDue {
        /// The job.
        job: JobName,
        /// The instant.
        now: DateTime<Utc>,
    },
    /// Numbers that must add up don't: a bug of ours, and nothing lands.
    #[error("the rows of the slice don't add up ({account}); this is a bug of Tidegate, and nothing was landed")]
    Account {
        /// The numbers.
        account: String,
    },
    /// An error that would have quoted a secret.
    #[error("{message}")]
    Redacted {
        /// The error and its causes, redacted.
        message: String,
        /// What helps.
        remedy: Option<crate::model::Remedy>,
    },
    /// A thread of ours ended early: a bug of ours.
    #[error("a part of the run ended early; this is a bug of Tidegate, and nothing was landed")]
    Lost(#[from] tokio::task::JoinError),
    /// What was written of a slice before its end isn't what lands: never seen outside.
    #[error("the slice is written again")]
    GivenUp,
    /// The run panicked: a bug of ours.
    #[error(
        "the run panicked: {said}; this is a bug of Tidegate; what had landed is safe, and the next run goes on from there"
    )]
    Panicked {
        /// What the panic said.
        said: String,
    },
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
}
