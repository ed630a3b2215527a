//! The pipeline file as it is typed. Every field's comment is its manual: `tidegate schema` prints the JSON Schema made of it.
//!
//! Nothing here is resolved or checked beyond its own shape; [`super::check`] turns it into what is meant.

mod auth;
mod hooks;
mod http_sink;
mod incremental;
mod job;
mod paging;
mod scalars;
mod sinks;
mod slicing;
mod source;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

pub use auth::{Auth, BasicAuth, ClientAuth, HmacAuth, HmacProfile, LoginAuth, NamedSecret, OAuth2Auth};
pub use hooks::{HookFile, RUN_FIELDS};
pub use http_sink::{BatchFile, FindFile, HttpSinkFile, IdempotencyFile, RowRequestFile};
pub use incremental::{CursorOrder, IncrementalFile, NewestFile, OnReset, SentFile};
pub use job::{
    BadRows, Contract, Enrich, EnrichError, Expectation, ForEach, JobFile, OnMismatch, SchemaFile, Severity, TableFile,
};
pub use paging::{
    Advance, CursorFile, NextLinkFile, OffsetFile, Order, PageFile, PaginateBy, PaginateFile, SeekBound, SeekFile,
    ShortPage,
};
pub use scalars::{ByteSize, Compression, Rate, Span as Duration};
pub use sinks::{CsvFile, JsonLinesFile, LineEnd, ParquetFile, SinkFile, Statistics};
pub use slicing::{Edge, EdgeBound, Pad, ResolutionFile, SnapshotMode, SplitFile, WindowFile};
pub use source::{CsvFormat, FormatFile, RetryFile, SourceFile, TimeoutFile, TlsFile};

use super::load::Spanned;

/// A pipeline: where an API is, how each job pages through it, how its rows are shaped, and where they land.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// The version of this format. It is `1`.
    pub version: Spanned<u32>,
    /// The pipeline's name, `[a-z0-9-]+`. It names the ledger, the files and the metrics: renaming it starts anew.
    #[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"))]
    pub name: Spanned<String>,
    /// What it is for, in a line.
    #[serde(default)]
    pub description: Option<String>,
    /// When `tidegate serve` runs it. `tidegate run` runs it at once.
    #[serde(default)]
    pub schedule: Option<ScheduleFile>,
    /// What all jobs share. Each key of it can be overridden in a job; `headers` and `query` are merged.
    #[serde(default)]
    pub source: SourceFile,
    /// The jobs, by name (`[a-z0-9_]+`).
    pub jobs: IndexMap<Spanned<String>, JobFile>,
    /// A request that is sent once after a run that failed: with exit code 1, 2, 3 or 70. A run that was interrupted, stopped at a
    /// limit, or left the work to another run is none.
    #[serde(default)]
    pub on_failure: Option<Spanned<HookFile>>,
    /// A request that is sent once after a run that succeeded: with exit code 0.
    #[serde(default)]
    pub on_success: Option<Spanned<HookFile>>,
}

/// When a pipeline runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFile {
    /// Five cron fields (minute, hour, day of month, month, day of week), six with seconds first, or `@daily` and the like.
    /// Day of month and day of week are joined by OR where both are given, as in Vixie cron; by AND where one of them begins with
    /// `*`, such as `*/2`. Daylight saving, as in Vixie cron too: what it skips comes right after the gap, once; what it repeats comes
    /// the first time only. Where the second, minute or hour begins with `*` the clock on the wall counts: what it doesn't show
    /// isn't run, what it shows twice is run twice. Put it in single quotes.
    pub cron: Spanned<String>,
    /// The IANA time zone of `cron`, and of the days of `snapshot: daily`. Default: `UTC`.
    #[serde(default)]
    pub timezone: Option<Spanned<String>>,
    /// What a firing does while the run before it still goes, or waits for its turn. Default: `skip`.
    #[serde(default)]
    pub overlap: Overlap,
    /// What happens on start-up when firings were missed. Default: `latest`. None is missed while the pipeline is paused.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// The longest delay before a firing, the same each time for one pipeline. Default: `0s`.
    #[serde(default)]
    pub jitter: Option<Duration>,
}

/// What a firing does while the run before it still goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing; the firing is counted as skipped.
    #[default]
    Skip,
    /// It runs right after. Of several that wait the last one runs: it finds the same due.
    Queue,
}

/// What happens on start-up when firings were missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The last one missed is made up for.
    #[default]
    Latest,
    /// Nothing: the next firing is the next.
    None,
}
