//! From what a pipeline means to the parts that do it: requests, paginators, sinks.

use indexmap::IndexMap;

use super::{RunError, window};
use crate::extract::paginate::{
    Advance, Bound, Cursor, EndRules, NextLink, Offset, OnePage, Order, PageNumber, Paginator, Seek, SeekSpec,
};
use crate::extract::request::{RequestSpec, RequestTree, VerbSpec};
use crate::lang::place::Place;
use crate::lang::tree::Tree;
use crate::model::SliceKind;
use crate::pipeline::file::{self, Compression};
use crate::pipeline::load::RequestValue;
use crate::pipeline::spec::{self, CursorSpec, Job, Method, PaginateKind, Request, Sink, SinkFormat, Slicing, Source};
use crate::sink::{
    CsvOptions, Format, LineEnd, PARQUET_ZSTD, ParquetCompression, ParquetOptions, PartitionField, SinkSpec, SortKey,
    Statistics, TEXT_ZSTD, TextCompression,
};

/// Builds the request of a job.
pub(super) fn request(job: &Job) -> Result<RequestTree, RunError> {
    request_tree(&job.source, &job.request)
}

/// Builds a request to a source.
pub(super) fn request_tree(source: &Source, request: &Request) -> Result<RequestTree, RunError> {
    let spec = RequestSpec {
        method: match &request.method {
            Method::Fixed(method) => VerbSpec::Fixed(method.parse().unwrap_or_default()),
            Method::Template(text) => VerbSpec::Template(text.as_str().to_owned()),
        },
        path: request.path.as_str().to_owned(),
        query: trees(&request.query),
        headers: trees(&request.headers),
        body: request.body.as_ref().map(tree),
        form: request.form.as_ref().map(trees),
    };
    Ok(RequestTree::compile(source.base_url.as_str(), spec)?)
}

fn trees(values: &IndexMap<String, RequestValue>) -> IndexMap<String, Tree> {
    values.iter().map(|(name, value)| (name.clone(), tree(value))).collect()
}

pub(super) fn tree(value: &RequestValue) -> Tree {
    match value {
        RequestValue::Null => Tree::Null,
        RequestValue::Bool(value) => Tree::Bool(*value),
        RequestValue::Number(text) => Tree::Number(text.clone()),
        RequestValue::String(text) => Tree::Text(text.as_str().to_owned()),
        RequestValue::List(items) => Tree::List(items.iter().map(tree).collect()),
        RequestValue::Map(map) => {
            Tree::Map(map.iter().map(|(name, value)| (name.value.clone(), tree(value))).collect())
        }
    }
}

/// Builds the paginator of one slice: a `seek` begins at the slice's cursor, unless that has a place of its own, or at the edge of
/// the window that it moves.
pub(super) fn paginator(job: &Job, slice: &SliceKind) -> Box<dyn Paginator> {
    let paginate = &job.paginate;
    let reach = |into: &Place| match (&job.slicing, slice) {
        (Slicing::Incremental(spec), SliceKind::Incremental { start, .. }) if spec.sent.is_none() => {
            (Some(start.0.clone()), None)
        }
        (Slicing::Window(spec), SliceKind::Window(cell)) => window::reach(spec, *cell, into).unzip(),
        _ => (None, None),
    };
    let lands_anyhow = job.on_mismatch == file::OnMismatch::Warn;
    let rules = EndRules {
        short_page_ends: paginate.short_page_ends,
        max_pages: Some(paginate.max_pages),
        total_may_be_less: lands_anyhow && !job.key.is_empty(),
    };
    match paginate.kind.clone() {
        PaginateKind::None => Box::new(OnePage { total_may_be_more: lands_anyhow }),
        PaginateKind::Offset { into, size_into, size, first, advance } => {
            let advance = match advance {
                file::Advance::Received => Advance::Received,
                file::Advance::Size => Advance::Size,
            };
            Box::new(Offset::new(into, size_into, size, first, advance, rules))
        }
        PaginateKind::Page { into, size_into, size, first } => {
            Box::new(PageNumber::new(into, size_into, size, first, rules))
        }
        PaginateKind::Cursor(CursorSpec::One(into, _)) => Box::new(Cursor::new(into, rules)),
        PaginateKind::Cursor(CursorSpec::Several(places)) => {
            Box::new(Cursor::several(places.into_iter().map(|(place, _)| place).collect(), rules))
        }
        PaginateKind::NextLink(_) => Box::new(NextLink::new(rules)),
        PaginateKind::Seek { into, order, format, bound, overlap, size_into, size, .. } => {
            let (start, limit) = reach(&into);
            Box::new(Seek::new(SeekSpec {
                into,
                size_into,
                size,
                order: match order {
                    file::Order::Asc => Order::Asc,
                    file::Order::Desc => Order::Desc,
                },
                bound: match bound {
                    file::SeekBound::Inclusive => Bound::Inclusive,
                    file::SeekBound::Exclusive => Bound::Exclusive,
                },
                unique: job.seeks_by_key(),
                overlap,
                format,
                rules,
                start,
                limit,
            }))
        }
    }
}

/// Builds a sink.
pub(super) fn sink(sink: &Sink) -> Result<SinkSpec, RunError> {
    let partition_by: Result<Vec<PartitionField>, _> = sink.partition_by.iter().map(|text| text.parse()).collect();
    Ok(SinkSpec {
        name: sink.name.clone(),
        format: format(sink),
        url: sink.url.clone(),
        partition_by: partition_by?,
        sort_by: sink.sort_by.iter().map(sort_key).collect(),
        rows_per_file: sink.rows_per_file.unwrap_or(u64::MAX),
        bytes_per_file: sink.bytes_per_file,
    })
}

fn sort_key(key: &spec::SortKey) -> SortKey {
    SortKey { column: key.column.clone(), descending: key.descending }
}

fn format(sink: &Sink) -> Format {
    let compression = match sink.compression {
        Some(Compression::Gzip) => TextCompression::Gzip,
        Some(Compression::Zstd(level)) => TextCompression::Zstd { level: level.map_or(TEXT_ZSTD, i32::from) },
        Some(Compression::None | Compression::Snappy) | None => TextCompression::None,
    };
    match &sink.format {
        SinkFormat::Parquet { row_group_rows, dictionary, statistics, bloom_filters } => {
            let defaults = ParquetOptions::default();
            Format::Parquet(ParquetOptions {
                compression: sink.compression.map_or(defaults.compression, parquet_compression),
                row_group_rows: row_group_rows.unwrap_or(defaults.row_group_rows),
                dictionary: *dictionary,
                statistics: match statistics {
                    file::Statistics::Page => Statistics::Page,
                    file::Statistics::RowGroup => Statistics::RowGroup,
                    file::Statistics::None => Statistics::None,
                },
                bloom_filters: bloom_filters.clone(),
            })
        }
        SinkFormat::JsonLines => Format::JsonLines { compression },
        SinkFormat::Csv {
            delimiter,
            quote,
            escape,
            line_end,
            header,
            null_text,
            byte_order_mark,
            formula_protection,
        } => Format::Csv(CsvOptions {
            delimiter: *delimiter,
            quote: *quote,
            escape: *escape,
            line_end: match line_end {
                file::LineEnd::Lf => LineEnd::Lf,
                file::LineEnd::Crlf => LineEnd::CrLf,
            },
            header: *header,
            null_text: null_text.clone(),
            byte_order_mark: *byte_order_mark,
            compression,
            protect_formulas: *formula_protection,
        }),
    }
}

fn parquet_compression(compression: Compression) -> ParquetCompression {
    match compression {
        Compression::None => ParquetCompression::None,
        Compression::Snappy => ParquetCompression::Snappy,
        Compression::Gzip => ParquetCompression::Gzip,
        Compression::Zstd(level) => ParquetCompression::Zstd { level: level.map_or(PARQUET_ZSTD, i32::from) },
    }
}
