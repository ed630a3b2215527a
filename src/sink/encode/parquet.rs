//! Parquet: dictionaries, statistics and page indexes on, row groups bounded in rows and bytes.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::super::spec::{Landing, ParquetCompression, ParquetOptions};
use super::super::store::StagedFile;
use super::{EncodeError, Encoder};

/// Who wrote the file. Without a version: a new release doesn't change files that hold the same rows.
const CREATED_BY: &str = "tidegate";

/// Writes a Parquet file.
pub(super) struct ParquetEncoder {
    writer: ArrowWriter<StagedFile>,
    row_group_bytes: usize,
}

impl ParquetEncoder {
    pub(super) fn new(
        options: &ParquetOptions,
        schema: &SchemaRef,
        landing: &Landing,
        file: StagedFile,
    ) -> Result<Self, EncodeError> {
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(compression(options.compression)?)
            .set_dictionary_enabled(true)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(options.row_group_rows))
            .set_key_value_metadata(Some(metadata(landing)))
            .build();
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties))?;
        Ok(Self { writer, row_group_bytes: options.row_group_bytes })
    }
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        self.writer.write(batch).map_err(plain_io)?;
        if self.writer.in_progress_size() >= self.row_group_bytes {
            self.flush()?;
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    fn buffered(&self) -> usize {
        self.writer.memory_size()
    }

    fn held(&self) -> usize {
        self.writer.inner().held()
    }

    fn flush(&mut self) -> Result<(), EncodeError> {
        self.writer.flush().map_err(plain_io)
    }

    fn finish(self: Box<Self>) -> Result<StagedFile, EncodeError> {
        self.writer.into_inner().map_err(plain_io)
    }
}

/// Takes an I/O error out of its Parquet wrapping, so that a full disk is the same error in every format.
fn plain_io(error: ParquetError) -> EncodeError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => EncodeError::Io(*io),
            Err(other) => EncodeError::Parquet(ParquetError::External(other)),
        },
        other => EncodeError::Parquet(other),
    }
}

fn compression(wanted: ParquetCompression) -> Result<Compression, ParquetError> {
    Ok(match wanted {
        ParquetCompression::Zstd { level } => Compression::ZSTD(ZstdLevel::try_new(level)?),
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCompression::None => Compression::UNCOMPRESSED,
    })
}

/// What the file says of its origin. Not its generation: a slice that is read again with the same rows gives the same bytes.
fn metadata(landing: &Landing) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(format!("tidegate.{key}"), value);
    vec![
        entry("pipeline", landing.pipeline.to_string()),
        entry("job", landing.job.to_string()),
        entry("slice", landing.slice.to_string()),
        entry("schema_version", landing.schema_version.to_string()),
    ]
}
