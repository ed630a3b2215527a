//! A pipeline as it is meant: defaults filled in, source and job merged, expressions compiled, parents before children.

mod enrich;
mod incremental;
mod outbox;
mod places;
mod slicing;
mod source;

use std::time::Duration;

use chrono_tz::Tz;
use indexmap::IndexMap;

pub use self::enrich::Enrich;
pub use self::incremental::{IncrementalSpec, NewestSpec, SentCursor};
pub use self::outbox::{Find, Outbox};
pub use self::places::Places;
pub use self::slicing::{InstantFormat, LEAST_STEPS, PartsSpec, Slicing, Start, WindowSpec, most_steps};
pub use self::source::{Proxy, SessionSpec, Source};
use super::file::{
    Advance, BadRows, CatchUp, Compression, Contract, LineEnd, OnMismatch, Order, Overlap, SeekBound, Severity,
    Statistics,
};
use super::load::{RequestValue, Sql, Tmpl};
use crate::lang::Selector;
use crate::lang::jq::Jq;
use crate::lang::place::Place;
use crate::model::{HandColumn, JobName, PipelineName, SinkName};

/// A checked pipeline. There is no way to make one but [`super::check`].
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: PipelineName,
    /// What it is for.
    pub description: Option<String>,
    /// The time zone of its days and its schedule.
    pub timezone: Tz,
    /// When `tidegate serve` runs it.
    pub schedule: Option<Schedule>,
    /// What is sent after a run that failed.
    pub on_failure: Option<Hook>,
    /// What is sent after a run that succeeded.
    pub on_success: Option<Hook>,
    /// Its jobs: each comes after the one whose rows it needs.
    pub jobs: Vec<Job>,
}

impl Pipeline {
    /// Returns the job called `name`.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == *name)
    }
}

/// When a pipeline runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The cron expression as it is written. It is known to come to pass.
    pub cron: String,
    /// What a firing does while the run before it still goes.
    pub overlap: Overlap,
    /// What happens on start-up when firings were missed.
    pub catch_up: CatchUp,
    /// The longest delay before a firing.
    pub jitter: Duration,
}

impl Schedule {
    /// Returns the cron expression, read as Vixie cron reads it; none where it isn't one, which the check rules out.
    #[must_use]
    pub fn read(&self) -> Option<croner::Cron> {
        super::cron::parse(&self.cron).ok()
    }
}

/// A request after a run, whose templates see it.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where it is posted to.
    pub url: url::Url,
    /// Its headers.
    pub headers: IndexMap<String, RequestValue>,
    /// Its JSON body; none for the run's own report.
    pub body: Option<RequestValue>,
}

/// A checked job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// Where and how requests are sent.
    pub source: Source,
    /// What is sent.
    pub request: Request,
    /// What it is repeated for.
    pub for_each: Option<FanOut>,
    /// How its data are cut into slices.
    pub slicing: Slicing,
    /// How it gets from page to page.
    pub paginate: Paginate,
    /// Where the records are.
    pub records: Selector,
    /// Which line of the file says so, from 1.
    pub records_line: usize,
    /// How many rows the server put on a page, where `records` is a program.
    pub rows: Option<Jq>,
    /// Columns that identify a row within a slice, those of the fan-out key included; empty where there is no `key`.
    pub key: Vec<String>,
    /// What happens when the records change.
    pub contract: Contract,
    /// Types by hand.
    pub columns: Vec<HandColumn>,
    /// What happens to a row that doesn't fit.
    pub bad_rows: BadRows,
    /// How many bad rows a slice may have.
    pub max_bad_rows: Option<MostBadRows>,
    /// SQL: of rows with one key the one with the greatest value stays.
    pub latest_by: Option<Sql>,
    /// Child requests, by the column that each makes.
    pub enrich: Vec<Enrich>,
    /// One SELECT over `records`.
    pub transform: Option<Sql>,
    /// The tables that it may join, by name.
    pub tables: Vec<(String, Table)>,
    /// What is expected of its rows.
    pub expect: Vec<Expect>,
    /// What happens when the rows received aren't those that the server said it has.
    pub on_mismatch: OnMismatch,
    /// Where the rows land as files.
    pub sinks: Vec<Sink>,
    /// Where they are sent.
    pub outboxes: Vec<Outbox>,
    /// Where the names of its columns stand in the file.
    pub places: Places,
}

impl Job {
    /// Tells whether the rows land anywhere: else the job only feeds others.
    #[must_use]
    pub const fn lands(&self) -> bool {
        !self.sinks.is_empty() || !self.outboxes.is_empty()
    }

    /// Tells whether no two rows of a slice have the same value of `seek`: it is their key, but for what the fan-out adds to all of them.
    #[must_use]
    pub fn seeks_by_key(&self) -> bool {
        let PaginateKind::Seek { column: Some(sought), .. } = &self.paginate.kind else { return false };
        self.is_key([sought])
    }

    /// Tells whether no two rows of a slice have the same values of all these columns: they have the key among them, but for what the
    /// fan-out adds to all rows.
    pub fn is_key<'c>(&self, columns: impl IntoIterator<Item = &'c String>) -> bool {
        let is_added = |column: &String| {
            self.for_each.as_ref().is_some_and(|for_each| {
                for_each.key.contains(column) || for_each.columns.iter().any(|(name, _)| name == column)
            })
        };
        let columns: Vec<&String> = columns.into_iter().collect();
        let mut own = self.key.iter().filter(|column| !is_added(column)).peekable();
        own.peek().is_some() && own.all(|column| columns.contains(&column))
    }
}

/// A reference table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The format of its files.
    pub format: TableFormat,
    /// A file, or a folder of them; or the URL of an object, or of a prefix, which ends in `/`.
    pub place: String,
}

/// The format of a reference table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// CSV with a header, all text.
    Csv,
    /// Parquet.
    Parquet,
    /// JSON Lines.
    JsonLines,
}

/// What is expected of a slice's rows.
#[derive(Debug, Clone)]
pub struct Expect {
    /// What must hold.
    pub what: Expected,
    /// What happens where it doesn't.
    pub severity: Severity,
}

/// What must hold of a slice's rows.
#[derive(Debug, Clone)]
pub enum Expected {
    /// SQL over all rows is true.
    Sql(Sql),
    /// These columns have no nulls.
    NotNull(Vec<String>),
    /// The values of these columns together come once.
    Unique(Vec<String>),
}

/// How many bad rows a slice may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MostBadRows {
    /// This many.
    Rows(u64),
    /// This many of a hundred that were received.
    Percent(f64),
}

/// The method of a request.
#[derive(Debug, Clone)]
pub enum Method {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    Fixed(&'static str),
    /// A template that gives one of these; not `GET`.
    Template(Tmpl),
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, a template, appended to that of `base_url`.
    pub path: Tmpl,
    /// Query parameters, those of the source included.
    pub query: IndexMap<String, RequestValue>,
    /// Headers, those of the source included.
    pub headers: IndexMap<String, RequestValue>,
    /// The JSON body.
    pub body: Option<RequestValue>,
    /// The form fields.
    pub form: Option<IndexMap<String, RequestValue>>,
}

/// What a job is repeated for.
#[derive(Debug, Clone)]
pub struct FanOut {
    /// Where the rows come from.
    pub from: FanOutFrom,
    /// The name under which templates and expressions see a row.
    pub name: String,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// Other columns of `records`: jq on the row.
    pub columns: Vec<(String, Jq)>,
    /// The most keys.
    pub max_keys: u64,
}

/// Where the rows of a fan-out come from.
#[derive(Debug, Clone)]
pub enum FanOutFrom {
    /// The rows of another job.
    Rows(JobName),
    /// Some values, as written.
    Values(Vec<serde_json::Value>),
}

/// How a job gets from page to page, and what the server says about the end.
#[derive(Debug, Clone)]
pub struct Paginate {
    /// The way of moving on.
    pub kind: PaginateKind,
    /// True where there must be another page, false where there is none.
    pub more: Option<Jq>,
    /// How many rows there are in all.
    pub total: Option<Jq>,
    /// Whether a page with fewer rows than asked for is the last one.
    pub short_page_ends: bool,
    /// The most pages of one slice.
    pub max_pages: u64,
}

impl Paginate {
    /// Tells whether nothing that an answer says of further pages, or of how many rows there are, is looked at.
    #[must_use]
    pub const fn reads_nothing_of_pages(&self) -> bool {
        matches!(self.kind, PaginateKind::None) && self.more.is_none() && self.total.is_none()
    }
}

/// The way from page to page.
#[derive(Debug, Clone)]
pub enum PaginateKind {
    /// One page only.
    None,
    /// By rows received.
    Offset {
        /// The place of the offset.
        into: Place,
        /// The place of the size.
        size_into: Option<Place>,
        /// Rows to ask for.
        size: u64,
        /// The first offset.
        first: u64,
        /// What the offset grows by.
        advance: Advance,
    },
    /// By number.
    Page {
        /// The place of the number.
        into: Place,
        /// The place of the size.
        size_into: Option<Place>,
        /// Rows to ask for.
        size: u64,
        /// The first number.
        first: u64,
    },
    /// By a value that the server gave.
    Cursor(CursorSpec),
    /// By a link that the server gave.
    NextLink(LinkFrom),
    /// By the value of the last row.
    Seek {
        /// The place of the value.
        into: Place,
        /// The value of the last row.
        value: Jq,
        /// The column of `records` that the value is of, where it is one as it stands.
        column: Option<String>,
        /// Whether values grow or shrink.
        order: Order,
        /// How the value is written.
        format: String,
        /// Whether the very value is included.
        bound: SeekBound,
        /// Whether the server finds rows that overlap the window.
        overlap: bool,
        /// The place of the size.
        size_into: Option<Place>,
        /// Rows to ask for.
        size: u64,
    },
}

/// Where a cursor is found, and where it goes.
#[derive(Debug, Clone)]
pub enum CursorSpec {
    /// One. Without a place, it goes into the request by a template.
    One(Option<Place>, GivenBy),
    /// Several.
    Several(Vec<(Place, GivenBy)>),
}

/// Where a link to the next page is found.
#[derive(Debug, Clone)]
pub enum LinkFrom {
    /// In the answer.
    Answer(GivenBy),
    /// In this header, with the relation `next`.
    Header(String),
}

/// An expression for what a page gives to move on by.
#[derive(Debug, Clone)]
pub struct GivenBy {
    /// The expression.
    pub value: Jq,
    /// The paths of the answer that it reads: a null there was written by the server, and isn't a missing key.
    pub paths: Vec<Vec<String>>,
    /// Whether it is taken from a record of the page (`$last`, `$first`): every page with rows has it, one without rows can't.
    pub of_row: bool,
    /// The column of `records` that it is of, of the page's last row, where it is one as it stands.
    pub column: Option<String>,
}

/// A sink.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name.
    pub name: SinkName,
    /// The format of its files.
    pub format: SinkFormat,
    /// The root of the data set.
    pub url: String,
    /// Hive partitions, each as written: `column` or `day(column)`.
    pub partition_by: Vec<String>,
    /// The order of the rows in each file.
    pub sort_by: Vec<SortKey>,
    /// The compression; none is the format's default.
    pub compression: Option<Compression>,
    /// The most rows of a file.
    pub rows_per_file: Option<u64>,
    /// About the most bytes of a file.
    pub bytes_per_file: u64,
    /// The rows that it takes.
    pub filter: Option<Sql>,
}

/// The format of a sink's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkFormat {
    /// Parquet.
    Parquet {
        /// The most rows of a row group; none is the default.
        row_group_rows: Option<usize>,
        /// Whether values that repeat are written once.
        dictionary: bool,
        /// For what statistics are kept.
        statistics: Statistics,
        /// Columns that get a Bloom filter.
        bloom_filters: Vec<String>,
    },
    /// JSON Lines.
    JsonLines,
    /// CSV.
    Csv {
        /// The character between two cells.
        delimiter: u8,
        /// The character around a cell that holds a special one.
        quote: u8,
        /// The character before a quote in a quoted cell.
        escape: u8,
        /// How a line ends.
        line_end: LineEnd,
        /// Whether the first line names the columns.
        header: bool,
        /// What stands for null.
        null_text: String,
        /// Whether a file begins with a byte order mark.
        byte_order_mark: bool,
        /// Whether formulas are disarmed.
        formula_protection: bool,
    },
}

/// A column that rows are sorted by. Nulls come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: String,
    /// Whether the greatest value comes first.
    pub descending: bool,
}
