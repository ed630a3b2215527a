//! The reference tables of a job: read once a run, into memory. It blocks: not for an async thread.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::RunError;
use crate::decode::{Contract, DecodeOptions, PageDecoder, PageVars};
use crate::lang::Selector;
use crate::model::AnswerFormat;
use crate::pipeline::spec::{self, Job, TableFormat};
use crate::transform::{BoxError, Table};

/// The most memory that the tables of a job take together: 256 MiB, as much as a transform may use for itself.
const MAX_BYTES: usize = 256 << 20;

/// Reads the tables of a job.
pub(super) fn load(job: &Job) -> Result<Arc<[Table]>, RunError> {
    let mut room = MAX_BYTES;
    let tables = job.tables.iter().map(|(name, table)| {
        let failed =
            |path: &Path, source| RunError::Table { table: name.clone(), path: path.display().to_string(), source };
        let paths = files(table).map_err(|error| failed(&table.path, error))?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        for path in &paths {
            let read = match table.format {
                TableFormat::Csv => csv(path, &mut room),
                TableFormat::Parquet => parquet(path, &mut room),
                TableFormat::JsonLines => json_lines(path, &mut room),
            };
            batches.extend(read.map_err(|error| failed(path, error))?);
        }
        let schema = one_schema(&batches).map_err(|error| failed(&table.path, error))?;
        Ok(Table { name: name.clone(), schema, batches })
    });
    tables.collect()
}

/// Returns the table's file, or the files of its folder in the order of their names.
fn files(table: &spec::Table) -> Result<Vec<PathBuf>, BoxError> {
    if !fs::metadata(&table.path)?.is_dir() {
        return Ok(vec![table.path.clone()]);
    }
    let endings: &[&str] = match table.format {
        TableFormat::Csv => &["csv"],
        TableFormat::Parquet => &["parquet"],
        TableFormat::JsonLines => &["jsonl", "ndjson", "json"],
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(&table.path)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with(['.', '_']));
        if endings.contains(&ending) && !hidden {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("the folder has no file that ends in .{}", endings.join(", .")).into());
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

fn csv(path: &Path, room: &mut usize) -> Result<Vec<RecordBatch>, BoxError> {
    let format = arrow::csv::reader::Format::default().with_header(true);
    let (header, _) = format.infer_schema(File::open(path)?, Some(0))?;
    let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
    let schema = Arc::new(Schema::new(header.fields().iter().map(text).collect::<Vec<_>>()));
    let rows = arrow::csv::ReaderBuilder::new(schema).with_format(format).build(File::open(path)?)?;
    rows.map(|batch| within(room, batch?)).collect()
}

fn parquet(path: &Path, room: &mut usize) -> Result<Vec<RecordBatch>, BoxError> {
    let rows = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()?;
    rows.map(|batch| within(room, batch?)).collect()
}

fn json_lines(path: &Path, room: &mut usize) -> Result<Vec<RecordBatch>, BoxError> {
    if fs::metadata(path)?.len() > MAX_BYTES as u64 {
        return Err(format!("the file is larger than {} MiB", MAX_BYTES >> 20).into());
    }
    let mut decoder = PageDecoder::new(DecodeOptions {
        format: AnswerFormat::JsonLines,
        selector: Selector::parse(&[".[]?".to_owned()])?,
        constants: Vec::new(),
        contract: Contract::Evolve,
        nulls: false,
        pinned: None,
        by_hand: Vec::new(),
        max_depth: super::intake::MAX_DEPTH,
        want_edges: false,
    });
    let no_headers = PageVars { status: 200, headers: serde_json::Value::Null };
    let page = decoder.decode(&fs::read(path)?.into(), &no_headers, None, &[])?;
    if let Some(row) = page.rejected.first() {
        let (line, column) = (row.ordinal + 1, &row.column);
        return Err(format!("record {line} doesn't fit: `{column}` expected {}, got {}", row.expected, row.got).into());
    }
    Ok(vec![within(room, page.batch)?])
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
