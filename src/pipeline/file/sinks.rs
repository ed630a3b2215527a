//! Where the rows of a job land.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Spanned, Sql};
use super::{ByteSize, Compression, HttpSinkFile};

/// A sink: exactly one of `parquet`, `csv`, `jsonl` and `http`, and which rows it takes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkFile {
    /// Parquet files.
    #[serde(default)]
    pub parquet: Option<ParquetFile>,
    /// CSV files (RFC 4180).
    #[serde(default)]
    pub csv: Option<CsvFile>,
    /// JSON Lines files.
    #[serde(default)]
    pub jsonl: Option<JsonLinesFile>,
    /// Requests to an HTTP end point, such as a ticket for each alert: from an outbox, each row once.
    #[serde(default)]
    pub http: Option<Spanned<HttpSinkFile>>,
    /// SQL on the transform's columns: the rows that this sink takes. Default: all.
    #[serde(default, rename = "where")]
    pub filter: Option<Sql>,
}

/// Parquet files. They say of themselves, as key-value metadata, which pipeline, job, slice and schema version they hold;
/// timestamps are microseconds in UTC.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetFile {
    /// The root of the data set: `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`. A relative one counts from
    /// the working directory. Credentials, region and end point of a bucket come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the machine's role;
    /// it must keep to conditional writes (`If-None-Match`, `If-Match`), as Amazon S3 does. `gs://` and `az://` are experimental.
    pub url: Spanned<String>,
    /// Hive partitions by each row's own value: `column`, `year(column)`, `month(column)`, `day(column)`, `hour(column)`, in UTC. A
    /// value is percent-encoded; one of more than 128 bytes is cut, and marked by `~` and a part of its SHA-256: the column itself
    /// stays in the file, whole. A slice has 64 files open at a time: rows that come for more partitions than that are gathered, and
    /// each partition gets a file for every 48 MiB of them. Default: none.
    #[serde(default)]
    pub partition_by: Vec<Spanned<String>>,
    /// The order of the rows in each file: `column`, or `column desc`; nulls come last, and rows with equal values stay in the
    /// order in which they came. What doesn't fit in memory is sorted on disk. Default: as received, or as the transform says.
    #[serde(default)]
    pub sort_by: Vec<Spanned<String>>,
    /// The compression of pages: `zstd`, `zstd(level)` with a level from 1 to 22, `snappy`, `gzip` or `none`. Default: `zstd(1)`.
    #[serde(default)]
    pub compression: Option<Spanned<Compression>>,
    /// The most rows of a file. Default: no bound.
    #[serde(default)]
    pub rows_per_file: Option<Spanned<u64>>,
    /// About the most bytes of a file: one ends after the batch of rows that reaches them, so a small bound is exceeded by up to a batch,
    /// and what a compressor still holds. Default: `512MiB`.
    #[serde(default)]
    pub bytes_per_file: Option<ByteSize>,
    /// The most rows of a row group, which is what a reader skips or reads as a whole. One is also ended at 64 MiB of rows before
    /// encoding, and earlier where many partitions share the memory of a slice. Default: 100000.
    #[serde(default)]
    pub row_group_rows: Option<Spanned<u64>>,
    /// Whether values that repeat are written once, in a dictionary of the column; columns whose values hardly do, by a sample of each
    /// row group's first rows, go without. Default: `true`.
    #[serde(default)]
    pub dictionary: Option<bool>,
    /// For what the least and the greatest values are kept, by which readers skip. Default: `page`.
    #[serde(default)]
    pub statistics: Option<Statistics>,
    /// Columns that get a Bloom filter, by which readers skip row groups that don't hold a value: for texts and numbers that are
    /// looked up one by one, such as addresses. Default: none.
    #[serde(default)]
    pub bloom_filters: Vec<Spanned<String>>,
}

/// For what a Parquet file keeps statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// Row groups, and pages by a page index: not those of columns whose values take 16 KiB and more.
    #[default]
    Page,
    /// Row groups. There is no page index.
    RowGroup,
    /// Nothing.
    None,
}

/// JSON Lines files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonLinesFile {
    /// The root of the data set: `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`. A relative one counts from
    /// the working directory. Credentials, region and end point of a bucket come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the machine's role;
    /// it must keep to conditional writes (`If-None-Match`, `If-Match`), as Amazon S3 does. `gs://` and `az://` are experimental.
    pub url: Spanned<String>,
    /// Hive partitions by each row's own value: `column`, `year(column)`, `month(column)`, `day(column)`, `hour(column)`, in UTC. A
    /// value is percent-encoded; one of more than 128 bytes is cut, and marked by `~` and a part of its SHA-256: the column itself
    /// stays in the file, whole. A slice has 64 files open at a time: rows that come for more partitions than that are gathered, and
    /// each partition gets a file for every 48 MiB of them. Default: none.
    #[serde(default)]
    pub partition_by: Vec<Spanned<String>>,
    /// The order of the rows in each file: `column`, or `column desc`; nulls come last, and rows with equal values stay in the
    /// order in which they came. What doesn't fit in memory is sorted on disk. Default: as received, or as the transform says.
    #[serde(default)]
    pub sort_by: Vec<Spanned<String>>,
    /// The compression of files: `none`, `gzip`, `zstd` or `zstd(level)` with a level from 1 to 22. Default: `none`.
    #[serde(default)]
    pub compression: Option<Spanned<Compression>>,
    /// The most rows of a file. Default: no bound.
    #[serde(default)]
    pub rows_per_file: Option<Spanned<u64>>,
    /// About the most bytes of a file: one ends after the batch of rows that reaches them, so a small bound is exceeded by up to a batch,
    /// and what a compressor still holds. Default: `512MiB`.
    #[serde(default)]
    pub bytes_per_file: Option<ByteSize>,
}

/// CSV files, in UTF-8.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFile {
    /// The root of the data set: `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`. A relative one counts from
    /// the working directory. Credentials, region and end point of a bucket come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the machine's role;
    /// it must keep to conditional writes (`If-None-Match`, `If-Match`), as Amazon S3 does. `gs://` and `az://` are experimental.
    pub url: Spanned<String>,
    /// Hive partitions by each row's own value: `column`, `year(column)`, `month(column)`, `day(column)`, `hour(column)`, in UTC. A
    /// value is percent-encoded; one of more than 128 bytes is cut, and marked by `~` and a part of its SHA-256: the column itself
    /// stays in the file, whole. A slice has 64 files open at a time: rows that come for more partitions than that are gathered, and
    /// each partition gets a file for every 48 MiB of them. Default: none.
    #[serde(default)]
    pub partition_by: Vec<Spanned<String>>,
    /// The order of the rows in each file: `column`, or `column desc`; nulls come last, and rows with equal values stay in the
    /// order in which they came. What doesn't fit in memory is sorted on disk. Default: as received, or as the transform says.
    #[serde(default)]
    pub sort_by: Vec<Spanned<String>>,
    /// The compression of files: `none`, `gzip`, `zstd` or `zstd(level)` with a level from 1 to 22. Default: `none`.
    #[serde(default)]
    pub compression: Option<Spanned<Compression>>,
    /// The most rows of a file. Default: no bound.
    #[serde(default)]
    pub rows_per_file: Option<Spanned<u64>>,
    /// About the most bytes of a file: one ends after the batch of rows that reaches them, so a small bound is exceeded by up to a batch,
    /// and what a compressor still holds. Default: `512MiB`.
    #[serde(default)]
    pub bytes_per_file: Option<ByteSize>,
    /// The character between two cells, ASCII. Default: `,`.
    #[serde(default)]
    pub delimiter: Option<Spanned<String>>,
    /// The character around a cell that holds a special one, ASCII. Default: `"`.
    #[serde(default)]
    pub quote: Option<Spanned<String>>,
    /// The character before a quote, or before itself, in a quoted cell, ASCII. Default: the quote, so that it is doubled.
    #[serde(default)]
    pub escape: Option<Spanned<String>>,
    /// How a line ends. Default: `lf`.
    #[serde(default)]
    pub line_end: Option<LineEnd>,
    /// Whether the first line names the columns. Default: `true`. Without it columns are known by their place alone, so what they are must be
    /// decided: by a `transform` that lists them, or by `contract: freeze` or `discard`.
    #[serde(default)]
    pub header: Option<Spanned<bool>>,
    /// What stands for null, outside of quotes. Default: nothing at all; an empty text is `""`.
    #[serde(default)]
    pub null_text: Option<Spanned<String>>,
    /// Whether a file begins with a byte order mark, by which Excel knows that it is UTF-8. Default: `false`.
    #[serde(default)]
    pub byte_order_mark: Option<bool>,
    /// Puts `'` before a text that a spreadsheet would run as a formula. Default: `true`.
    #[serde(default)]
    pub formula_protection: Option<bool>,
}

/// How a line of a CSV file ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineEnd {
    /// A line feed.
    #[default]
    Lf,
    /// A carriage return and a line feed, as RFC 4180 has it.
    Crlf,
}
