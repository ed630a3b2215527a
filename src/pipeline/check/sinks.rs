//! Where the rows land.

use super::super::file::{ByteSize, Compression, CsvFile, FileOptions, JobFile, SinkFile};
use super::super::load::{Diagnostic, Span, Spanned};
use super::super::spec::{Sink, SinkFormat};
use super::Findings;
use crate::model::SinkName;
use crate::objects::{Location, LocationError, Scheme};

/// The sink of bad rows, which every job has.
const QUARANTINE: &str = "quarantine";

/// Large enough for readers to like, small enough to keep.
const BYTES_PER_FILE: u64 = 512 << 20;

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
                root(&other.1.url) == root(&sink.url) && extension(&other.1) == extension(&sink)
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

    fn sink(&mut self, name: &Spanned<String>, file: &SinkFile) -> Option<Sink> {
        let kinds = [
            file.parquet.is_some(),
            file.csv.is_some(),
            file.jsonl.is_some(),
            file.http.is_some(),
            file.stdout.is_some(),
        ];
        match kinds.into_iter().filter(|kind| *kind).count() {
            0 => {
                let message = format!("the sink `{}` doesn't say what it writes", name.value);
                self.missing(name.span, message, "add one of `parquet`, `csv`, `jsonl`, `http` and `stdout`");
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
        let (format, options) = match (&file.parquet, &file.jsonl, &file.csv) {
            (Some(options), _, _) => (SinkFormat::Parquet, options.clone()),
            (_, Some(options), _) => (SinkFormat::JsonLines, options.clone()),
            (_, _, Some(csv)) => (self.csv(csv), shared(csv)),
            _ => return None,
        };
        self.url(&options.url);
        self.compression(&format, options.compression);
        for field in &options.partition_by {
            self.partition(field);
        }
        if let Some(rows) = options.rows_per_file
            && rows.value == 0
        {
            self.error(rows.span, "a file of no rows holds nothing", "write the most rows of a file");
        }
        Some(Sink {
            name: SinkName::new(name.value.clone()),
            format,
            url: options.url.value,
            partition_by: options.partition_by.into_iter().map(|field| field.value).collect(),
            compression: options.compression.map(|compression| compression.value),
            rows_per_file: options.rows_per_file.map(|rows| rows.value),
            bytes_per_file: options.bytes_per_file.map_or(BYTES_PER_FILE, |ByteSize(bytes)| bytes),
            filter: file.filter.clone(),
        })
    }

    fn csv(&mut self, csv: &CsvFile) -> SinkFormat {
        SinkFormat::Csv {
            delimiter: self.delimiter(csv.delimiter.as_ref()),
            header: csv.header.unwrap_or(true),
            null_text: csv.null_text.clone().unwrap_or_default(),
            formula_protection: csv.formula_protection.unwrap_or(true),
        }
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
        if let (false, Some(Compression::Snappy)) = (*format == SinkFormat::Parquet, compression.map(|it| it.value)) {
            let span = compression.map(|it| it.span).unwrap_or_default();
            self.error(span, "snappy is a compression of Parquet only", "write `none`, `gzip` or `zstd`");
        }
    }

    fn partition(&mut self, field: &Spanned<String>) {
        let text = field.value.as_str();
        let column = match text.split_once('(') {
            None => text,
            Some(("year" | "month" | "day" | "hour", rest)) => rest.strip_suffix(')').unwrap_or_default(),
            Some(_) => "",
        };
        if column.is_empty() || column.contains(['(', ')', '/']) {
            let help = "write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one";
            self.error(field.span, format!("{} is not a partition", shown(text)), help);
        }
    }
}

fn shared(csv: &CsvFile) -> FileOptions {
    FileOptions {
        url: csv.url.clone(),
        partition_by: csv.partition_by.clone(),
        compression: csv.compression,
        rows_per_file: csv.rows_per_file,
        bytes_per_file: csv.bytes_per_file,
    }
}

pub(super) fn shown(text: &str) -> String {
    if text.is_empty() { "an empty text".to_owned() } else { format!("`{text}`") }
}

/// Returns the folder of a URL in one way of writing it.
fn root(url: &str) -> String {
    if let Ok(Some(at)) = Location::parse(url) {
        return at.to_string();
    }
    let path = url.strip_prefix("file://").unwrap_or(url);
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

fn extension(sink: &Sink) -> (u8, Option<Compression>) {
    let format = match sink.format {
        SinkFormat::Parquet => return (0, None),
        SinkFormat::JsonLines => 1,
        SinkFormat::Csv { .. } => 2,
    };
    (format, sink.compression.filter(|compression| *compression != Compression::None))
}
