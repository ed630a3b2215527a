//! Parquet: rows are gathered until they are a row group, which is then encoded in one go.
//!
//! Gathered as they are, and not half encoded: the encoders of one row group, one a column, each with a compressor, take several
//! times the memory of the rows where many partitions are open at once. A file that is open alone is encoded as its rows come
//! ([`Encoder::advance`]); its bytes are the same.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::super::part_of;
use super::super::spec::{Landing, ParquetCompression, ParquetOptions, SinkSpec, Statistics};
use super::super::store::StagedFile;
use super::columns::Columns;
use super::weight::{compact, weight};
use super::{EncodeError, Encoder};

/// Who wrote the file. Without a version: a new release doesn't change files that hold the same rows.
const CREATED_BY: &str = "tidegate";

/// Bytes of gathered rows that end a row group.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of gathered rows from which on it is worth to encode them before their row group is full.
const STEP: usize = 8 * 1024 * 1024;

/// How many bytes of rows make one byte of a file, about: for the size of what isn't encoded yet.
const SHRINKS_BY: u64 = 4;

/// Writes a Parquet file.
pub(super) struct ParquetEncoder {
    writer: SerializedFileWriter<StagedFile>,
    columns: ArrowRowGroupWriterFactory,
    row_group_rows: usize,
    /// What is encoded of the row group to come.
    begun: Option<Columns>,
    /// Its rows that aren't encoded yet, and their bytes.
    rows: Vec<RecordBatch>,
    waiting: usize,
    /// All its rows, and their bytes.
    row_count: usize,
    bytes: usize,
}

impl ParquetEncoder {
    pub(super) fn new(
        options: &ParquetOptions,
        spec: &SinkSpec,
        schema: &SchemaRef,
        landing: &Landing,
        file: StagedFile,
    ) -> Result<Self, EncodeError> {
        let statistics = match options.statistics {
            Statistics::Page => EnabledStatistics::Page,
            Statistics::RowGroup => EnabledStatistics::Chunk,
            Statistics::None => EnabledStatistics::None,
        };
        let mut properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(compression(options.compression)?)
            .set_dictionary_enabled(options.dictionary)
            .set_statistics_enabled(statistics)
            .set_offset_index_disabled(options.statistics != Statistics::Page)
            .set_max_row_group_row_count(Some(options.row_group_rows))
            .set_sorting_columns(sorting_columns(spec, schema)?)
            .set_key_value_metadata(Some(metadata(landing)));
        for column in &options.bloom_filters {
            properties = properties.set_column_bloom_filter_enabled(ColumnPath::from(vec![column.clone()]), true);
        }
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties.build()))?;
        let (writer, columns) = writer.into_serialized_writer()?;
        Ok(Self {
            writer,
            columns,
            row_group_rows: options.row_group_rows,
            begun: None,
            rows: Vec::new(),
            waiting: 0,
            row_count: 0,
            bytes: 0,
        })
    }
}

impl ParquetEncoder {
    /// Returns the encoders of the row group; begins it where it hasn't.
    fn begun(&mut self, like: &RecordBatch) -> Result<Columns, ParquetError> {
        if let Some(begun) = self.begun.take() {
            return Ok(begun);
        }
        Columns::new(like, self.columns.create_column_writers(self.writer.flushed_row_groups().len())?)
    }

    /// Encodes what waits.
    fn encode(&mut self) -> Result<(), ParquetError> {
        let (rows, bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.waiting));
        if let Some(first) = rows.first() {
            let mut columns = self.begun(first)?;
            columns.write(&rows, bytes)?;
            self.begun = Some(columns);
        }
        Ok(())
    }

    /// Writes a row group.
    fn row_group(&mut self) -> Result<(), ParquetError> {
        let (rows, bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.waiting));
        let columns = match rows.first() {
            Some(first) => self.begun(first)?,
            None => match self.begun.take() {
                Some(begun) => begun,
                None => return Ok(()),
            },
        };
        let chunks = columns.finish(&rows, bytes)?;
        let mut group = self.writer.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
        group.close()?;
        Ok(())
    }
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        let mut from = 0;
        while from < batch.num_rows() {
            let count = (self.row_group_rows - self.row_count).min(batch.num_rows() - from);
            let rows = part_of(batch, from, count);
            let bytes = weight(&rows);
            (self.bytes, self.waiting) = (self.bytes + bytes, self.waiting + bytes);
            self.rows.push(compact(rows)?);
            self.row_count += count;
            from += count;
            if self.row_count >= self.row_group_rows || self.bytes >= ROW_GROUP_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.writer.bytes_written() as u64 + self.bytes as u64 / SHRINKS_BY
    }

    fn buffered(&self) -> usize {
        self.bytes
    }

    fn held(&self) -> usize {
        self.writer.inner().held()
    }

    fn flush(&mut self) -> Result<(), EncodeError> {
        (self.row_count, self.bytes) = (0, 0);
        self.row_group().map_err(plain_io)
    }

    fn advance(&mut self) -> Result<(), EncodeError> {
        if self.waiting < STEP { Ok(()) } else { self.encode().map_err(plain_io) }
    }

    fn finish(mut self: Box<Self>) -> Result<StagedFile, EncodeError> {
        self.flush()?;
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

/// Says by what the rows are sorted. Parquet counts the leaves of nested columns, so that a column's number isn't its place.
fn sorting_columns(spec: &SinkSpec, schema: &SchemaRef) -> Result<Option<Vec<SortingColumn>>, ParquetError> {
    if spec.sort_by.is_empty() {
        return Ok(None);
    }
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    let column = |key: &super::super::spec::SortKey| {
        let leaf = leaves.columns().iter().position(|leaf| leaf.path().parts() == [key.column.as_str()]);
        let index = leaf.and_then(|leaf| i32::try_from(leaf).ok());
        let unknown = || ParquetError::General(format!("the column `{}` has no values of its own", key.column));
        let column_idx = index.ok_or_else(unknown)?;
        Ok(SortingColumn { column_idx, descending: key.descending, nulls_first: false })
    };
    spec.sort_by.iter().map(column).collect::<Result<_, _>>().map(Some)
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
