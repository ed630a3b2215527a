//! Where the rows of a job land.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Spanned, Sql};
use super::{ByteSize, HttpSinkFile};

/// A sink: exactly one of `parquet`, `csv`, `jsonl`, `http` and `stdout`, and which rows it takes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkFile {
    /// Parquet files.
    #[serde(default)]
    pub parquet: Option<FileOptions>,
    /// CSV files (RFC 4180).
    #[serde(default)]
    pub csv: Option<CsvFile>,
    /// JSON Lines files.
    #[serde(default)]
    pub jsonl: Option<FileOptions>,
    /// Requests to an HTTP end point, such as a ticket for each alert: from an outbox, each row once.
    #[serde(default)]
    pub http: Option<Spanned<HttpSinkFile>>,
    /// Standard output.
    #[serde(default)]
    pub stdout: Option<Spanned<StdoutFile>>,
    /// SQL on the transform's columns: the rows that this sink takes. Default: all.
    #[serde(default, rename = "where")]
    pub filter: Option<Sql>,
}

/// Where files go, and how large they get.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    /// The root of the data set: `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`. A relative one counts from
    /// the working directory. Credentials, region and end point of a bucket come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the machine's role;
    /// it must keep to conditional writes (`If-None-Match`, `If-Match`), as Amazon S3 does. `gs://` and `az://` are experimental.
    pub url: Spanned<String>,
    /// Hive partitions by each row's own value: `column`, `year(column)`, `month(column)`, `day(column)`, `hour(column)`.
    #[serde(default)]
    pub partition_by: Vec<Spanned<String>>,
    /// The compression. Default: `zstd` in Parquet, `none` elsewhere.
    #[serde(default)]
    pub compression: Option<Spanned<Compression>>,
    /// The most rows of a file. Default: no bound.
    #[serde(default)]
    pub rows_per_file: Option<Spanned<u64>>,
    /// About the most bytes of a file. Default: `512MiB`.
    #[serde(default)]
    pub bytes_per_file: Option<ByteSize>,
}

/// CSV files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFile {
    /// The root of the data set: `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`. A relative one counts from
    /// the working directory. Credentials, region and end point of a bucket come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the machine's role;
    /// it must keep to conditional writes (`If-None-Match`, `If-Match`), as Amazon S3 does. `gs://` and `az://` are experimental.
    pub url: Spanned<String>,
    /// Hive partitions by each row's own value: `column`, `year(column)`, `month(column)`, `day(column)`, `hour(column)`.
    #[serde(default)]
    pub partition_by: Vec<Spanned<String>>,
    /// The compression. Default: `none`.
    #[serde(default)]
    pub compression: Option<Spanned<Compression>>,
    /// The most rows of a file. Default: no bound.
    #[serde(default)]
    pub rows_per_file: Option<Spanned<u64>>,
    /// About the most bytes of a file. Default: `512MiB`.
    #[serde(default)]
    pub bytes_per_file: Option<ByteSize>,
    /// The character between two cells, ASCII. Default: `,`.
    #[serde(default)]
    pub delimiter: Option<Spanned<String>>,
    /// Whether the first line names the columns. Default: `true`.
    #[serde(default)]
    pub header: Option<bool>,
    /// What stands for null. Default: nothing at all; an empty text is `""`.
    #[serde(default)]
    pub null_text: Option<String>,
    /// Puts `'` before a text that a spreadsheet would run as a formula. Default: `true`.
    #[serde(default)]
    pub formula_protection: Option<bool>,
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy, in Parquet only.
    Snappy,
    /// gzip.
    Gzip,
    /// Zstandard, level 1.
    Zstd,
}

/// Rows on standard output, as JSON Lines.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutFile {}
