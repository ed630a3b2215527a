//! What a sink is told: the format, the place, the partitions, and which slice it writes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::SinkError;
use super::store::MAX_OBJECT_BYTES;
use crate::model::{JobName, PipelineName, SinkName, SliceId};

/// A file format, with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet(ParquetOptions),
    /// Comma-separated values, RFC 4180 with LF as line end.
    Csv(CsvOptions),
    /// One JSON object a line.
    JsonLines {
        /// How the whole file is compressed.
        compression: TextCompression,
    },
}

/// The level of Zstandard in Parquet files unless told otherwise: higher ones cost more than they save.
pub const PARQUET_ZSTD: i32 = 1;

/// The level of Zstandard of text files unless told otherwise, which is its own default: people's tools read them, and small
/// ones matter more than the last CPU cycle.
pub const TEXT_ZSTD: i32 = 3;

/// Options of Parquet files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How pages are compressed.
    pub compression: ParquetCompression,
    /// Rows in a row group at most; they are held in memory until it is full.
    pub row_group_rows: usize,
    /// Whether values that repeat are written once, in a dictionary; a column whose values hardly do goes without.
    pub dictionary: bool,
    /// For what the least and the greatest values are kept.
    pub statistics: Statistics,
    /// The columns that get a Bloom filter.
    pub bloom_filters: Vec<String>,
}

/// For what a Parquet file keeps the least and the greatest values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Row groups and pages: a page index, but for columns of long values.
    Page,
    /// Row groups.
    RowGroup,
    /// Nothing.
    None,
}

/// Compression inside a Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Zstandard at a level from 1 to 22.
    Zstd {
        /// The level.
        level: i32,
    },
    /// Snappy, for readers that know nothing newer.
    Snappy,
    /// Gzip.
    Gzip,
    /// No compression.
    None,
}

/// Options of CSV files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// What stands between cells: one ASCII character.
    pub delimiter: u8,
    /// What stands around a cell that holds a special character: one ASCII character.
    pub quote: u8,
    /// What stands before a quote, or before itself, in a quoted cell: one ASCII character. The quote itself: it is doubled.
    pub escape: u8,
    /// How a line ends.
    pub line_end: LineEnd,
    /// Whether the first line holds the names of the columns.
    pub header: bool,
    /// What a null is written as. A text that equals it is quoted, so the two stay apart: by default a null is nothing at
    /// all, and an empty text is `""`.
    pub null_text: String,
    /// Whether the file begins with a byte order mark.
    pub byte_order_mark: bool,
    /// How the whole file is compressed.
    pub compression: TextCompression,
    /// Whether a text that a spreadsheet would run as a formula (it starts with `=`, `+`, `-`, `@`, a tab or a carriage
    /// return) gets a `'` before it. Numbers are left alone.
    pub protect_formulas: bool,
}

/// How a line of a CSV file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// LF.
    Lf,
    /// CR and LF.
    CrLf,
}

/// Compression of a whole text file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextCompression {
    /// No compression.
    #[default]
    None,
    /// Gzip, `.gz`.
    Gzip,
    /// Zstandard, `.zst`, at a level from 1 to 22.
    Zstd {
        /// The level.
        level: i32,
    },
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            compression: ParquetCompression::Zstd { level: PARQUET_ZSTD },
            row_group_rows: 100_000,
            dictionary: true,
            statistics: Statistics::Page,
            bloom_filters: Vec::new(),
        }
    }
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
            line_end: LineEnd::Lf,
            header: true,
            null_text: String::new(),
            byte_order_mark: false,
            compression: TextCompression::None,
            protect_formulas: true,
        }
    }
}

/// One sink of a job: everything that doesn't change from slice to slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// Its name within the job.
    pub name: SinkName,
    /// The format of its files.
    pub format: Format,
    /// The root of the data set: `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`.
    pub url: String,
    /// The Hive directories, from the root down.
    pub partition_by: Vec<PartitionField>,
    /// The order that the rows given to a writer have. It doesn't sort; a Parquet file says that its rows are sorted.
    pub sort_by: Vec<SortKey>,
    /// Rows in a file at most.
    pub rows_per_file: u64,
    /// A file is closed once its encoded size reaches this.
    pub bytes_per_file: u64,
}

impl SinkSpec {
    /// Returns the root of its data set, as receipts hold it: an absolute URL.
    ///
    /// # Errors
    /// A `url` that names no place.
    pub fn root(&self) -> Result<String, SinkError> {
        super::store::Root::parse(&self.url)?.url()
    }

    /// Checks all that can be known without the rows: the place and the options.
    pub fn check(&self) -> Result<(), SinkError> {
        if let super::store::Root::Objects(_) = super::store::Root::parse(&self.url)?
            && self.bytes_per_file != u64::MAX
            && self.bytes_per_file > MAX_OBJECT_BYTES
        {
            return Err(bad("bytes_per_file", self.bytes_per_file.to_string(), "at most 77 GiB in an object store"));
        }
        at_least_one("rows_per_file", self.rows_per_file)?;
        at_least_one("bytes_per_file", self.bytes_per_file)?;
        match &self.format {
            Format::Parquet(options) => options.check(),
            Format::Csv(options) => options.check(),
            Format::JsonLines { compression } => compression.check(),
        }
    }
}

impl ParquetOptions {
    fn check(&self) -> Result<(), SinkError> {
        at_least_one("row_group_rows", self.row_group_rows as u64)?;
        if let ParquetCompression::Zstd { level } = self.compression { zstd_level(level) } else { Ok(()) }
    }
}

impl TextCompression {
    fn check(self) -> Result<(), SinkError> {
        if let Self::Zstd { level } = self { zstd_level(level) } else { Ok(()) }
    }
}

fn zstd_level(level: i32) -> Result<(), SinkError> {
    if (1..=22).contains(&level) { Ok(()) } else { Err(bad("compression level", level.to_string(), "from 1 to 22")) }
}

impl CsvOptions {
    fn check(&self) -> Result<(), SinkError> {
        let shown = |byte: u8| char::from(byte).escape_default().to_string();
        let plain = |byte: u8| byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0);
        if !plain(self.delimiter) || [self.quote, self.escape].contains(&self.delimiter) {
            let expected = "one ASCII character that is no quote, no escape and no line end";
            return Err(bad("delimiter", shown(self.delimiter), expected));
        }
        for (option, byte) in [("quote", self.quote), ("escape", self.escape)] {
            if !plain(byte) {
                return Err(bad(option, shown(byte), "one ASCII character that is no line end"));
            }
        }
        if self.null_text.bytes().any(|byte| self.is_special(byte)) {
            let expected = "free of delimiters, quotes, escapes and line ends";
            return Err(bad("null_text", self.null_text.clone(), expected));
        }
        self.compression.check()
    }

    /// Tells whether a cell with this byte in it has to be quoted.
    pub(super) const fn is_special(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == self.quote || byte == self.escape || matches!(byte, b'\r' | b'\n')
    }
}

fn at_least_one(option: &'static str, value: u64) -> Result<(), SinkError> {
    if value == 0 { Err(bad(option, value.to_string(), "at least 1")) } else { Ok(()) }
}

const fn bad(option: &'static str, value: String, expected: &'static str) -> SinkError {
    SinkError::BadOption { option, value, expected }
}

/// Which slice a writer writes: what names its files, and what Parquet files say about themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The job.
    pub job: JobName,
    /// The slice.
    pub slice: SliceId,
    /// The slice's generation.
    pub generation: u32,
    /// The label of a snapshot: the value of the leading partition `snapshot=`.
    pub snapshot: Option<String>,
    /// The version of the pinned schema that the rows have.
    pub schema_version: u32,
}

/// A column that rows are sorted by. Nulls come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: String,
    /// Whether the greatest value comes first.
    pub descending: bool,
}

/// One level of partition directories: a column's value, or a part of its time (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PartitionField {
    /// The value itself: `col=value`.
    Column(String),
    /// `ts_year=2026`.
    Year(String),
    /// `ts_month=2026-01`.
    Month(String),
    /// `ts_day=2026-01-01`.
    Day(String),
    /// `ts_hour=2026-01-01-00`.
    Hour(String),
}

impl PartitionField {
    /// Returns the column it reads.
    #[must_use]
    pub fn column(&self) -> &str {
        match self {
            Self::Column(column)
            | Self::Year(column)
            | Self::Month(column)
            | Self::Day(column)
            | Self::Hour(column) => column,
        }
    }

    /// Returns the name of the Hive key, which is the one that Iceberg gives the partition field.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Column(column) => column.clone(),
            Self::Year(column) => format!("{column}_year"),
            Self::Month(column) => format!("{column}_month"),
            Self::Day(column) => format!("{column}_day"),
            Self::Hour(column) => format!("{column}_hour"),
        }
    }
}

/// A `partition_by` entry that is neither a column nor one of the known functions of one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` isn't a partition: write a column, or year(column), month(column), day(column) or hour(column)")]
pub struct ParsePartitionError {
    /// The entry.
    pub text: String,
}

impl FromStr for PartitionField {
    type Err = ParsePartitionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = || ParsePartitionError { text: text.to_owned() };
        let Some((function, rest)) = text.split_once('(') else {
            let closed = text.is_empty() || text.contains(')');
            return if closed { Err(wrong()) } else { Ok(Self::Column(text.to_owned())) };
        };
        let column = rest.strip_suffix(')').map(str::trim).filter(|column| !column.is_empty()).ok_or_else(wrong)?;
        match function.trim() {
            "year" => Ok(Self::Year(column.to_owned())),
            "month" => Ok(Self::Month(column.to_owned())),
            "day" => Ok(Self::Day(column.to_owned())),
            "hour" => Ok(Self::Hour(column.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for PartitionField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => f.write_str(column),
            Self::Year(column) => write!(f, "year({column})"),
            Self::Month(column) => write!(f, "month({column})"),
            Self::Day(column) => write!(f, "day({column})"),
            Self::Hour(column) => write!(f, "hour({column})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_and_printed_alike() {
        for text in ["severity", "year(ts)", "month(ts)", "day(ts)", "hour(ts)"] {
            assert_eq!(text.parse::<PartitionField>().unwrap().to_string(), text);
        }
        assert_eq!(" day( ts ) ".parse(), Ok(PartitionField::Day("ts".to_owned())));
        assert_eq!("hour(ts)".parse::<PartitionField>().unwrap().key(), "ts_hour");
        for text in ["", "week(ts)", "day()", "day(ts", "ts)", "(ts)"] {
            assert!(text.parse::<PartitionField>().is_err(), "{text}");
        }
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        let csv = |delimiter, null_text: &str| {
            CsvOptions { delimiter, null_text: null_text.to_owned(), ..CsvOptions::default() }.check()
        };
        assert!(csv(b';', r"\N").is_ok());
        assert!(csv(b'"', "").is_err());
        assert!(csv(b'\n', "").is_err());
        assert!(csv(0xe9, "").is_err());
        assert!(csv(b',', "a,b").is_err());
        let marks = |quote, escape| CsvOptions { quote, escape, ..CsvOptions::default() }.check();
        assert!(marks(b'\'', b'\\').is_ok());
        assert!(marks(b',', b'"').is_err());
        assert!(marks(b'"', b'\n').is_err());
        let level = |level| {
            let compression = ParquetCompression::Zstd { level };
            ParquetOptions { compression, ..ParquetOptions::default() }.check()
        };
        assert!(level(22).is_ok());
        assert!(level(0).is_err());
        assert!(ParquetOptions { row_group_rows: 0, ..ParquetOptions::default() }.check().is_err());
    }
}
