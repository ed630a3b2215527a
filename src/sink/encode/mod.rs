//! Encoders: batches in, the bytes of one file out.

mod columns;
mod compress;
mod csv;
mod jsonl;
mod packed;
mod parquet;
mod printable;
mod sample;
mod waiting;
mod weight;

use std::io;

use ::parquet::errors::ParquetError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use thiserror::Error;

use super::spec::{Format, Landing, SinkSpec, TextCompression};
use super::store::StagedFile;

/// Why a file couldn't be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The store refused bytes: a full disk, a lost mount.
    #[error("writing its bytes failed")]
    Io(#[from] io::Error),
    /// The Parquet encoder failed.
    #[error("encoding Parquet failed")]
    Parquet(#[from] ParquetError),
    /// A conversion to text failed.
    #[error("encoding text failed")]
    Arrow(#[from] ArrowError),
    /// JSON has no such number, and a null in its place would be a lie.
    #[error("column `{column}` holds {value}, which JSON can't: turn it into null or text in the transform")]
    NotInJson {
        /// The column, with `.` before a nested field.
        column: String,
        /// The value.
        value: &'static str,
    },
    /// A date or timestamp lies beyond the calendar that text is printed by.
    #[error("column `{column}` holds a time further than 260,000 years from now, which can't be printed")]
    TimeTooFar {
        /// The column, with `.` before a nested field.
        column: String,
    },
    /// A null in a CSV file of one column would be an empty line, which readers skip.
    #[error("a null in the only column `{column}` would be an empty line, which readers of CSV skip: set null_text")]
    EmptyLine {
        /// The column.
        column: String,
    },
}

/// Encodes one file. A file that isn't finished is worth nothing.
pub(super) trait Encoder: Send {
    /// Appends rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError>;

    /// Returns the size of the file so far, counting what is encoded and not yet written.
    fn size(&self) -> u64;

    /// Returns the bytes of memory that [`Encoder::flush`] would give back.
    fn buffered(&self) -> usize;

    /// Returns the bytes that are written and wait in memory until a part of an upload is full.
    fn held(&self) -> usize;

    /// Writes what is buffered as far as the format permits.
    fn flush(&mut self) -> Result<(), EncodeError>;

    /// Encodes what is buffered as far as it can be without a difference to the bytes of the file: for a file that is open alone.
    fn advance(&mut self) -> Result<(), EncodeError> {
        Ok(())
    }

    /// Writes the end of the file, and returns it.
    fn finish(self: Box<Self>) -> Result<StagedFile, EncodeError>;
}

/// Makes the encoder of a sink for rows of `schema`.
pub(super) fn build(
    spec: &SinkSpec,
    schema: &SchemaRef,
    landing: &Landing,
    file: StagedFile,
) -> Result<Box<dyn Encoder>, EncodeError> {
    Ok(match &spec.format {
        Format::Parquet(options) => Box::new(parquet::ParquetEncoder::new(options, spec, schema, landing, file)?),
        Format::Csv(options) => Box::new(csv::CsvEncoder::new(options, schema, file)?),
        Format::JsonLines { compression } => Box::new(jsonl::JsonLinesEncoder::new(*compression, file)?),
    })
}

/// Returns what the names of files of `format` end with, without the leading dot.
pub(super) const fn extension(format: &Format) -> &'static str {
    match format {
        Format::Parquet(_) => "parquet",
        Format::Csv(options) => match options.compression {
            TextCompression::None => "csv",
            TextCompression::Gzip => "csv.gz",
            TextCompression::Zstd { .. } => "csv.zst",
        },
        Format::JsonLines { compression } => match compression {
            TextCompression::None => "jsonl",
            TextCompression::Gzip => "jsonl.gz",
            TextCompression::Zstd { .. } => "jsonl.zst",
        },
    }
}
