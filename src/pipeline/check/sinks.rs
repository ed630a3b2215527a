//! Where the rows land.

use super::super::file::{ByteSize, Compression, Contract, CsvFile, JobFile, ParquetFile, SinkFile};
use super::super::load::{Diagnostic, Span, Spanned};
use super::super::spec::{Sink, SinkFormat, SortKey};
use super::Findings;
use crate::lang::sql;
use crate::model::SinkName;
use crate::objects::{Location, LocationError, Scheme, place};

/// The sink of bad rows, which every job has.
const QUARANTINE: &str = "quarantine";

/// Large enough for readers to like, small enough to keep.
const BYTES_PER_FILE: u64 = 512 << 20;

/// What every kind of file has.
struct Shared {
    url: Spanned<String>,
    partition_by: Vec<Spanned<String>>,
    sort_by: Vec<Spanned<String>>,
    compression: Option<Spanned<Compression>>,
    rows_per_file: Option<Spanned<u64>>,
    bytes_per_file: Option<ByteSize>,
}

macro_rules! shared {
    ($file:expr) => {
        Shared {
            url: $file.url.clone(),
            partition_by: $file.partition_by.clone(),
            sort_by: $file.sort_by.clone(),
            compression: $file.compression,
            rows_per_file: $file.rows_per_file,
            bytes_per_file: $file.bytes_per_file,
        }
    };
}

impl Findings<'_> {
    pub(super) fn sinks(&mut self, job: &JobFile) -> Vec<Sink> {
        let mut sinks: Vec<(Span, Sink)> = Vec::new();
        for (name, file) in &job.sinks {
            self.name(name, "a sink's name", '_');
            if name.value == QUARANTINE {
                self.error(name.span, "`quarantine` is where bad rows go", "give the sink another name");
            }
            let Some(sink) = self.sink(name, file) else { continue };
            let same = |other: &&(Span, Sink)| {
                place(&other.1.url) == place(&sink.url) && extension(&other.1) == extension(&sink)
            };
            if let Some((first, other)) = sinks.iter().find(same) {
                let message = format!("the sinks `{}` and `{}` would write the same files", other.name, sink.name);
                self.add(
                    Diagnostic::error(name.span, message)
                        .related(*first, "the other one")
                        .help("give each its own `url`"),
                );
            }
            sinks.push((name.span, sink));
        }
        sinks.into_iter().map(|(_, sink)| sink).collect()
    }

    /// Refuses CSV files without a header whose columns aren't decided: a new field of the records would shift them.
    pub(super) fn headless(&mut self, job: &JobFile, contract: Contract) {
        let lists = job.transform.as_ref().is_some_and(|transform| !sql::selects_all(transform.as_str()));
        if lists || contract != Contract::Evolve {
            return;
        }
        let headers = job.sinks.values().filter_map(|sink| sink.csv.as_ref()?.header.as_ref());
        for header in headers.filter(|header| !header.value) {
            self.error(
                header.span,
                "without a header the columns of a CSV file are known by their place, and a new field of the records would shift them",
                "list the columns in a `transform`, such as `SELECT id, amount FROM records`; or pin them: `schema: {contract: discard}` \
                 leaves new fields out, and `freeze` refuses their rows",
            );
        }
    }

    fn sink(&mut self, name: &Spanned<String>, file: &SinkFile) -> Option<Sink> {
        let kinds = [file.parquet.is_some(), file.csv.is_some(), file.jsonl.is_some(), file.http.is_some()];
        match kinds.into_iter().filter(|kind| *kind).count() {
            0 => {
                let message = format!("the sink `{}` doesn't say what it writes", name.value);
                self.missing(name.span, message, "add one of `parquet`, `csv`, `jsonl` and `http`");
                return None;
            }
            1 => {}
            _ => {
                let message = format!("the sink `{}` writes several things", name.value);
                self.error(name.span, message, "keep one of them here, and give each of the others a sink of its own");
                return None;
            }
        }
        if let Some(filter) = &file.filter {
            self.sql_expression(filter);
        }
        let (format, shared) = match (&file.parquet, &file.jsonl, &file.csv) {
            (Some(parquet), _, _) => (self.parquet(parquet), shared!(parquet)),
            (_, Some(jsonl), _) => (SinkFormat::JsonLines, shared!(jsonl)),
            (_, _, Some(csv)) => (self.csv(csv), shared!(csv)),
            _ => return None,
        };
        self.url(&shared.url);
        self.compression(&format, shared.compression);
        for (at, field) in shared.partition_by.iter().enumerate() {
            self.partition(field);
            if shared.partition_by[..at].iter().any(|earlier| earlier.value == field.value) {
                let message = format!("{} is there twice", shown(&field.value));
                self.error(field.span, message, "leave one of them out: each is a level of folders");
            }
        }
        self.at_least_one(shared.rows_per_file, "a file of no rows holds nothing", "write the most rows of a file");
        let sort_by = shared.sort_by.iter().filter_map(|key| self.sort_key(key)).collect();
        Some(Sink {
            name: SinkName::new(name.value.clone()),
            format,
            url: shared.url.value,
            partition_by: shared.partition_by.into_iter().map(|field| field.value).collect(),
            sort_by,
            compression: shared.compression.map(|compression| compression.value),
            rows_per_file: shared.rows_per_file.map(|rows| rows.value),
            bytes_per_file: shared.bytes_per_file.map_or(BYTES_PER_FILE, |ByteSize(bytes)| bytes),
            filter: file.filter.clone(),
        })
    }

    fn parquet(&mut self, parquet: &ParquetFile) -> SinkFormat {
        let help = "write the most rows of a row group, such as 100000";
        self.at_least_one(parquet.row_group_rows, "a row group of no rows holds nothing", help);
        SinkFormat::Parquet {
            row_group_rows: parquet.row_group_rows.map(|rows| usize::try_from(rows.value).unwrap_or(usize::MAX)),
            dictionary: parquet.dictionary.unwrap_or(true),
            statistics: parquet.statistics.unwrap_or_default(),
            bloom_filters: parquet.bloom_filters.iter().map(|column| column.value.clone()).collect(),
        }
    }

    fn csv(&mut self, csv: &CsvFile) -> SinkFormat {
        let delimiter = self.delimiter(csv.delimiter.as_ref());
        let quote = self.mark(csv.quote.as_ref(), "the quote", b'"', delimiter);
        let escape = self.mark(csv.escape.as_ref(), "the escape", quote, delimiter);
        let null_text = csv.null_text.as_ref().map(|text| text.value.clone()).unwrap_or_default();
        let special = |byte: u8| [delimiter, quote, escape, b'\r', b'\n'].contains(&byte);
        if let Some(text) = csv.null_text.as_ref().filter(|text| text.value.bytes().any(special)) {
            let message = format!("{} would need quotes, and null stands without", shown(&text.value));
            self.error(
                text.span,
                message,
                "write a text with no delimiter, quote, escape and line end in it, such as NULL",
            );
        }
        SinkFormat::Csv {
            delimiter,
            quote,
            escape,
            line_end: csv.line_end.unwrap_or_default(),
            header: csv.header.as_ref().is_none_or(|header| header.value),
            null_text,
            byte_order_mark: csv.byte_order_mark.unwrap_or(false),
            formula_protection: csv.formula_protection.unwrap_or(true),
        }
    }

    /// Reads a character that marks cells, which the one between cells can't be.
    fn mark(&mut self, text: Option<&Spanned<String>>, what: &str, default: u8, delimiter: u8) -> u8 {
        let Some(text) = text else { return default };
        match text.value.as_bytes() {
            [byte] if (b'!'..=b'~').contains(byte) && !byte.is_ascii_alphanumeric() && *byte != delimiter => *byte,
            _ => {
                let message = format!("{} can't be {what} of a cell", shown(&text.value));
                self.error(
                    text.span,
                    message,
                    "write one ASCII character that is no letter, digit or delimiter, such as '\"'",
                );
                default
            }
        }
    }

    fn at_least_one(&mut self, number: Option<Spanned<u64>>, message: &str, help: &str) {
        if let Some(number) = number.filter(|number| number.value == 0) {
            self.error(number.span, message, help);
        }
    }

    fn sort_key(&mut self, text: &Spanned<String>) -> Option<SortKey> {
        let (column, order) = sorted_by(&text.value);
        let last = column.rsplit_once(' ').map_or("", |(_, last)| last).to_ascii_lowercase();
        if ["asc", "desc", "ascending", "descending"].contains(&last.as_str()) {
            let help = format!(
                "write `desc` for descending, and nothing for ascending: a column whose name ends in it is `{column} asc`"
            );
            self.error(text.span, format!("{} isn't how an order is written", shown(&text.value)), &help);
            return None;
        }
        if column.is_empty() || column.contains(['(', ')', ',']) {
            let help = "write a column of the transform, or `column desc`";
            self.error(text.span, format!("{} is nothing to sort by", shown(&text.value)), help);
            return None;
        }
        Some(SortKey { column: column.to_owned(), descending: order == "desc" })
    }

    fn url(&mut self, url: &Spanned<String>) {
        match Location::parse(&url.value) {
            Ok(None) if !url.value.is_empty() => {}
            Ok(None) => self.error(
                url.span,
                "an empty text is not a place for files",
                "write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`",
            ),
            Ok(Some(at)) => match at.scheme() {
                Scheme::S3 => {}
                Scheme::Gs | Scheme::Az => {
                    let message = format!("sinks on {}:// are experimental", at.scheme().as_str());
                    self.warn(url.span, message, "they haven't been tried against the real service: try yours first");
                }
                Scheme::Memory => self.error(
                    url.span,
                    "what lands in memory is gone when the process ends",
                    "write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`",
                ),
            },
            Err(LocationError::Scheme(scheme)) => self.error(
                url.span,
                format!("`{scheme}://` is not a place for files"),
                "write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`",
            ),
            Err(error) => {
                let found = Diagnostic::error(url.span, format!("not a place in an object store: {error}"));
                let found = found.help("write `s3://bucket/prefix`");
                // What stands before an `@` may be a password.
                self.add(if url.value.contains('@') { found.redacted() } else { found });
            }
        }
    }

    fn compression(&mut self, format: &SinkFormat, compression: Option<Spanned<Compression>>) {
        if let (false, Some(Compression::Snappy)) =
            (matches!(format, SinkFormat::Parquet { .. }), compression.map(|it| it.value))
        {
            let span = compression.map(|it| it.span).unwrap_or_default();
            self.error(span, "snappy is a compression of Parquet only", "write `none`, `gzip` or `zstd`");
        }
    }

    fn partition(&mut self, field: &Spanned<String>) {
        let text = field.value.as_str();
        let column = partitioned_by(text);
        if column.is_empty() || column.contains(['(', ')', '/']) {
            let help = "write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one";
            self.error(field.span, format!("{} is not a partition", shown(text)), help);
        }
    }
}

/// Returns the column of a partition; nothing where it is none.
pub(super) fn partitioned_by(text: &str) -> &str {
    match text.split_once('(') {
        None => text,
        Some(("year" | "month" | "day" | "hour", rest)) => rest.strip_suffix(')').unwrap_or_default(),
        Some(_) => "",
    }
}

/// Returns the column and the order of a key to sort by.
pub(super) fn sorted_by(text: &str) -> (&str, &str) {
    match text.trim().rsplit_once(' ') {
        Some((column, order @ ("asc" | "desc"))) => (column.trim_end(), order),
        _ => (text.trim(), "asc"),
    }
}

pub(super) fn shown(text: &str) -> String {
    if text.is_empty() { "an empty text".to_owned() } else { format!("`{text}`") }
}

/// What the names of its files end with.
fn extension(sink: &Sink) -> (u8, u8) {
    let format = match sink.format {
        SinkFormat::Parquet { .. } => return (0, 0),
        SinkFormat::JsonLines => 1,
        SinkFormat::Csv { .. } => 2,
    };
    let compression = match sink.compression {
        Some(Compression::Gzip) => 1,
        Some(Compression::Zstd(_)) => 2,
        Some(Compression::None | Compression::Snappy) | None => 0,
    };
    (format, compression)
}
