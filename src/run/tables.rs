//! The reference tables of a job: read once a run, into memory.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::RunError;
use crate::decode::{DecodeOptions, PageDecoder, PageVars};
use crate::lang::Selector;
use crate::model::AnswerFormat;
use crate::objects::{Location, Purpose, StoreError, Stores};
use crate::pipeline::spec::{self, Job, TableFormat};
use crate::transform::{BoxError, Table};

/// The most memory that the tables of a job take together: 256 MiB, as much as a transform may use for itself.
const MAX_BYTES: usize = 256 << 20;

/// A file of a table: where it is, and what it holds.
type Read = (String, Bytes);

/// Reads the tables of a job.
pub(super) async fn load(job: &Job, stores: &Stores) -> Result<Arc<[Table]>, RunError> {
    let mut tables = Vec::new();
    let mut room = MAX_BYTES;
    for (name, table) in &job.tables {
        let failed = |(place, source)| RunError::Table { table: name.clone(), path: place, source };
        let here = |source: BoxError| failed((table.place.clone(), source));
        let at = Location::parse(&table.place).map_err(|error| here(error.into()))?;
        let files = if let Some(at) = at {
            in_store(table, &at, stores).await.map_err(here)?
        } else {
            let table = table.clone();
            tokio::task::spawn_blocking(move || on_disk(&table)).await?.map_err(failed)?
        };
        let (format, left) = (table.format, room);
        let typed = tokio::task::spawn_blocking(move || typed(format, &files, left)).await?;
        let (batches, left) = typed.map_err(failed)?;
        room = left;
        let schema = one_schema(&batches).map_err(here)?;
        tables.push(Table { name: name.clone(), schema, batches });
    }
    Ok(tables.into())
}

/// Types what was read; returns how much room is left as well.
fn typed(
    format: TableFormat,
    files: &[Read],
    mut room: usize,
) -> Result<(Vec<RecordBatch>, usize), (String, BoxError)> {
    let mut batches = Vec::new();
    for (place, bytes) in files {
        let read = match format {
            TableFormat::Csv => csv(bytes, &mut room),
            TableFormat::Parquet => parquet(bytes, &mut room),
            TableFormat::JsonLines => json_lines(bytes, &mut room),
        };
        batches.extend(read.map_err(|error| (place.clone(), error))?);
    }
    Ok((batches, room))
}

/// The endings of a format's files.
const fn endings(format: TableFormat) -> &'static [&'static str] {
    match format {
        TableFormat::Csv => &["csv"],
        TableFormat::Parquet => &["parquet"],
        TableFormat::JsonLines => &["jsonl", "ndjson", "json"],
    }
}

/// Tells whether a file in a folder is one of the table's: hidden ones aren't.
fn is_of(format: TableFormat, name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    endings(format).contains(&ending) && !name.starts_with(['.', '_'])
}

fn none_of(format: TableFormat, what: &str) -> BoxError {
    format!("the {what} has no file that ends in .{}", endings(format).join(", .")).into()
}

/// Takes away from the room that the bytes of a table's files have.
fn fits(left: &mut u64, bytes: u64) -> Result<(), BoxError> {
    let too_large =
        || format!("its files are larger than {} MiB; join larger ones where the lake is read", MAX_BYTES >> 20);
    *left = left.checked_sub(bytes).ok_or_else(too_large)?;
    Ok(())
}

/// Reads a table's file, or the files of its folder in the order of their names.
fn on_disk(table: &spec::Table) -> Result<Vec<Read>, (String, BoxError)> {
    let here = |error: BoxError| (table.place.clone(), error);
    let paths = paths(table).map_err(here)?;
    let mut left = MAX_BYTES as u64;
    let read = |path: PathBuf| {
        let place = path.display().to_string();
        let mut read = || -> Result<Bytes, BoxError> {
            fits(&mut left, fs::metadata(&path)?.len())?;
            Ok(fs::read(&path)?.into())
        };
        read().map(|bytes| (place.clone(), bytes)).map_err(|error| (place, error))
    };
    paths.into_iter().map(read).collect()
}

fn paths(table: &spec::Table) -> Result<Vec<PathBuf>, BoxError> {
    let place = Path::new(table.place.strip_prefix("file://").unwrap_or(&table.place));
    if !fs::metadata(place)?.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| is_of(table.format, &name.to_string_lossy())) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(none_of(table.format, "folder")) } else { Ok(files) }
}

/// Reads a table's object, or those right below its prefix in the order of their names.
async fn in_store(table: &spec::Table, at: &Location, stores: &Stores) -> Result<Vec<Read>, BoxError> {
    let (format, is_prefix) = (table.format, table.place.ends_with('/'));
    let bucket = stores.open(at, Purpose::Data)?;
    let store: &dyn ObjectStore = bucket.objects().as_ref();
    let failed = |error: object_store::Error| StoreError::of(at, &error);
    let path = object_store::path::Path::parse(at.prefix())?;
    let metas: Vec<ObjectMeta> = if is_prefix {
        let mut below: Vec<ObjectMeta> = store.list(Some(&path)).try_collect().await.map_err(failed)?;
        below.retain(|meta| {
            let mut parts = meta.location.prefix_match(&path).into_iter().flatten();
            let name = parts.next();
            parts.next().is_none() && name.is_some_and(|name| is_of(format, name.as_ref()))
        });
        below.sort_by(|a, b| a.location.cmp(&b.location));
        if below.is_empty() {
            return Err(none_of(format, "prefix"));
        }
        below
    } else {
        match store.head(&path).await {
            Ok(meta) => vec![meta],
            Err(object_store::Error::NotFound { .. }) => {
                return Err("there is no such object (a prefix ends in `/`)".into());
            }
            Err(error) => return Err(failed(error).into()),
        }
    };
    let (mut left, mut files) = (MAX_BYTES as u64, Vec::new());
    for meta in metas {
        fits(&mut left, meta.size)?;
        let bytes = store.get(&meta.location).await.map_err(failed)?.bytes().await.map_err(failed)?;
        files.push((format!("{}/{}", at.bucket_url(), meta.location), bytes));
    }
    Ok(files)
}

/// Takes a batch in, as long as there is room.
fn within(room: &mut usize, batch: RecordBatch) -> Result<RecordBatch, BoxError> {
    *room = room.checked_sub(batch.get_array_memory_size()).ok_or_else(|| {
        format!(
            "the tables of a job take at most {} MiB of memory together; join larger ones where the lake is read",
            MAX_BYTES >> 20
        )
    })?;
    Ok(batch)
}

fn csv(bytes: &Bytes, room: &mut usize) -> Result<Vec<RecordBatch>, BoxError> {
    let format = arrow::csv::reader::Format::default().with_header(true);
    let (header, _) = format.infer_schema(Cursor::new(bytes), Some(0))?;
    let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
    let schema = Arc::new(Schema::new(header.fields().iter().map(text).collect::<Vec<_>>()));
    let rows = arrow::csv::ReaderBuilder::new(schema).with_format(format).build(Cursor::new(bytes))?;
    rows.map(|batch| within(room, batch?)).collect()
}

fn parquet(bytes: &Bytes, room: &mut usize) -> Result<Vec<RecordBatch>, BoxError> {
    let rows = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?.build()?;
    rows.map(|batch| within(room, batch?)).collect()
}

fn json_lines(bytes: &Bytes, room: &mut usize) -> Result<Vec<RecordBatch>, BoxError> {
    let mut decoder =
        PageDecoder::new(DecodeOptions::new(AnswerFormat::JsonLines, Selector::parse(&[".[]?".to_owned()])?));
    let no_headers = PageVars { status: 200, headers: serde_json::Value::Null };
    let page = decoder.decode(bytes, &no_headers, None, &[])?;
    if let Some(row) = page.rejected.first() {
        let (line, column) = (row.ordinal + 1, &row.column);
        return Err(format!("record {line} doesn't fit: `{column}` expected {}, got {}", row.expected, row.got).into());
    }
    page.pieces.into_iter().map(|piece| within(room, piece.batch)).collect()
}

/// Returns the schema that all batches have.
fn one_schema(batches: &[RecordBatch]) -> Result<SchemaRef, BoxError> {
    let Some(first) = batches.first().map(RecordBatch::schema) else { return Ok(Arc::new(Schema::empty())) };
    match batches.iter().find(|batch| batch.schema().fields() != first.fields()) {
        None => Ok(first),
        Some(other) => {
            let names = |schema: &Schema| {
                let field = |field: &Arc<Field>| format!("{} {}", field.name(), field.data_type());
                schema.fields().iter().map(field).collect::<Vec<_>>().join(", ")
            };
            Err(format!("the files have different columns: {}, and {}", names(&first), names(&other.schema())).into())
        }
    }
}
