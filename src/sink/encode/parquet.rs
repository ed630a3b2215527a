//! Parquet: rows are gathered until they are a row group, which is then encoded in one go.
//!
//! Gathered as they are, and not half encoded: the encoders of one row group, one a column, each with a compressor, take several
//! times the memory of the rows where many partitions are open at once. A file that is open alone is encoded as its rows come
//! ([`Encoder::advance`]); its bytes are the same.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
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
use super::packed::PackedPages;
use super::sample::{Sample, samples};
use super::waiting::Waiting;
use super::{EncodeError, Encoder};

/// Who wrote the file. Without a version: a new release doesn't change files that hold the same rows.
const CREATED_BY: &str = "tidegate";

/// Bytes of gathered rows that end a row group.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of gathered rows from which on it is worth to encode them before their row group is full.
const STEP: usize = 2 * 1024 * 1024;

/// As many for each leaf, where there are many: a few values at a time would find nothing of their column's dictionary in the
/// processor's caches.
const STEP_OF_LEAF: usize = 16 * 1024;

/// The largest page of a column without a dictionary, in bytes before compression: the default of the `parquet` crate.
const LARGEST_PAGE: usize = 1024 * 1024;

/// The smallest that pages are made where there are many such columns. Each page begins with an empty window of zstd, which smaller ones
/// would pay for; and what is no longer than this it compresses with other parameters, more slowly. A page ends once it is longer.
const SMALLEST_PAGE: usize = 256 * 1024;

/// What the unfinished pages of a row group's columns without a dictionary may take together, in bytes: about what a processor core has of
/// caches, where zstd finds a page that was just put together.
const UNFINISHED_PAGES: usize = 4 * 1024 * 1024;

/// Bytes of a value from which on a column has the least and the greatest of a row group alone, and not those of each page: few values make
/// a page then, and to cut two of them to the 64 bytes that are kept the `parquet` crate reads all of both.
const LONG: usize = 16 * 1024;

/// How many bytes of rows make one byte of a file, about: for the size of what isn't encoded yet.
const SHRINKS_BY: u64 = 4;

/// Writes a Parquet file.
pub(super) struct ParquetEncoder {
    writer: SerializedFileWriter<StagedFile>,
    schema: SchemaRef,
    row_group_rows: usize,
    /// Whether columns whose values repeat have dictionaries.
    dictionary: bool,
    /// What is encoded of the row group to come.
    begun: Option<Columns>,
    /// Its rows that aren't encoded yet.
    waiting: Waiting,
    /// Bytes of those from which on they are encoded ahead.
    step: usize,
    /// All its rows, and the bytes of those that are encoded.
    row_count: usize,
    encoded: usize,
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
        let (writer, _) = writer.into_serialized_writer()?;
        let leaves = writer.schema_descr().num_columns();
        Ok(Self {
            writer,
            schema: SchemaRef::clone(schema),
            row_group_rows: options.row_group_rows,
            dictionary: options.dictionary,
            begun: None,
            waiting: Waiting::new(leaves),
            step: STEP.max(STEP_OF_LEAF * leaves),
            row_count: 0,
            encoded: 0,
        })
    }
}

impl ParquetEncoder {
    /// Returns the encoders of the row group; begins it where it hasn't, which takes its first `rows`, at least a step of them.
    fn begun(&mut self, rows: &[RecordBatch]) -> Result<Option<Columns>, ParquetError> {
        match (self.begun.take(), rows.first()) {
            (None, Some(like)) => Columns::new(like, self.column_writers(rows)?).map(Some),
            (begun, _) => Ok(begun),
        }
    }

    /// Makes the writers of the leaves of a row group that begins with `rows`.
    fn column_writers(&self, rows: &[RecordBatch]) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        let (schema, group) = (SchemaRef::clone(&self.schema), self.writer.flushed_row_groups().len());
        // Properties are those of a file: here of one that is written nowhere.
        let (root, properties) = (self.writer.schema_descr().root_schema_ptr(), self.properties(rows)?);
        let file = SerializedFileWriter::new(std::io::sink(), root, Arc::new(properties))?;
        packing(ArrowRowGroupWriterFactory::new(&file, schema)).create_column_writers(group)
    }

    /// Returns the properties of the file as they are best for a row group that begins with `rows`.
    fn properties(&self, rows: &[RecordBatch]) -> Result<WriterProperties, ParquetError> {
        let properties = self.writer.properties();
        let limit = properties.dictionary_page_size_limit();
        let samples = samples(rows, self.step, limit);
        let samples = samples.map_err(|error| ParquetError::External(Box::new(error)))?;
        let leaves: Vec<_> = self.writer.schema_descr().columns().iter().map(|leaf| leaf.path()).zip(samples).collect();
        let is_plain = |leaf: &Sample| !self.dictionary || leaf.exceeds(limit);
        let plain = leaves.iter().filter(|(_, leaf)| is_plain(leaf)).count();
        let page = (UNFINISHED_PAGES / plain.max(1)).clamp(SMALLEST_PAGE, LARGEST_PAGE);
        let mut builder = WriterProperties::clone(properties).into_builder();
        for (path, leaf) in leaves {
            if is_plain(&leaf) {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_data_page_size_limit(path.clone(), page);
            }
            if leaf.bytes_each() >= LONG && properties.statistics_enabled(path) == EnabledStatistics::Page {
                builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk);
            }
        }
        Ok(builder.build())
    }

    /// Encodes what waits, as far as it makes no difference to do so now.
    fn encode(&mut self) -> Result<(), ParquetError> {
        let (rows, bytes) = self.waiting.take();
        self.encoded += bytes;
        self.begun = self.begun(&rows)?;
        self.begun.as_mut().map_or(Ok(()), |columns| columns.write(&rows, bytes))
    }

    /// Writes a row group.
    fn row_group(&mut self) -> Result<(), ParquetError> {
        // To end the last pages of a large row group takes threads too, however few rows it still waits for.
        let bytes = self.buffered();
        let (rows, _) = self.waiting.take_all()?;
        (self.row_count, self.encoded) = (0, 0);
        let Some(columns) = self.begun(&rows)? else { return Ok(()) };
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
            self.waiting.push(part_of(batch, from, count))?;
            self.row_count += count;
            from += count;
            if self.row_count >= self.row_group_rows || self.buffered() >= ROW_GROUP_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.writer.bytes_written() as u64 + self.buffered() as u64 / SHRINKS_BY
    }

    fn buffered(&self) -> usize {
        self.encoded + self.waiting.bytes()
    }

    fn held(&self) -> usize {
        self.writer.inner().held()
    }

    fn flush(&mut self) -> Result<(), EncodeError> {
        self.row_group().map_err(plain_io)
    }

    fn advance(&mut self) -> Result<(), EncodeError> {
        if self.waiting.ready() < self.step { Ok(()) } else { self.encode().map_err(plain_io) }
    }

    fn finish(mut self: Box<Self>) -> Result<StagedFile, EncodeError> {
        self.flush()?;
        self.writer.into_inner().map_err(plain_io)
    }
}

fn packing(columns: ArrowRowGroupWriterFactory) -> ArrowRowGroupWriterFactory {
    columns.with_page_store_factory(Arc::new(PackedPages))
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
