//! A slice's batches, kept in order until its schema and its superseded rows are known: in memory first, then on disk.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::ordinals::Ordinals;

/// How much a spool holds in memory unless told otherwise: 32 MiB, about 50,000 records of half a kilobyte.
pub const DEFAULT_MEMORY_LIMIT: usize = 32 * 1024 * 1024;

/// Bytes that are written to the file at once. A column of a page is some kilobytes.
const BUFFER: usize = 256 * 1024;

/// Batches that could not be kept, or not be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The temporary file fails: a full disk, most often.
    #[error("can't keep records in a temporary file in {directory}")]
    File {
        /// Where the file is.
        directory: String,
        /// Why it fails.
        #[source]
        source: io::Error,
    },
    /// A batch can't be written or read back.
    #[error("can't write or read back a batch of records")]
    Batch(#[source] ArrowError),
}

impl From<ArrowError> for SpoolError {
    /// Takes the error of a file out of Arrow's wrapping, so that a full disk says where it is.
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, source) => file_error(source),
            other => Self::Batch(other),
        }
    }
}

/// Batches in the order in which they came. Rows are numbered from 0 over all of them: their ordinals.
#[derive(Debug)]
pub struct Spool {
    memory_limit: usize,
    memory_bytes: usize,
    memory: Vec<RecordBatch>,
    disk: Option<Disk>,
    rows: u64,
    /// The size of the largest batch, in bytes.
    largest: usize,
    removed: Ordinals,
}

impl Spool {
    /// Makes an empty spool that holds about `memory_limit` bytes in memory; what comes after goes to a temporary file.
    #[must_use]
    pub fn new(memory_limit: usize) -> Self {
        let (memory, removed) = (Vec::new(), Ordinals::default());
        Self { memory_limit, memory_bytes: 0, memory, disk: None, rows: 0, largest: 0, removed }
    }

    /// Adds a batch, of any schema.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), SpoolError> {
        self.rows += batch.num_rows() as u64;
        let bytes = batch.get_array_memory_size();
        self.largest = self.largest.max(bytes);
        if self.disk.is_none() && self.memory_bytes + bytes <= self.memory_limit {
            self.memory_bytes += bytes;
            self.memory.push(batch);
            return Ok(());
        }
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => Disk::open()?,
        };
        self.disk.insert(disk).append(&batch)
    }

    /// Returns how many rows were pushed, the removed ones among them.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns how many bytes of memory the batches take that are there.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes as u64
    }

    /// Says whether any of it is on disk.
    pub fn spilled(&self) -> bool {
        self.disk.is_some()
    }

    /// Leaves out the rows with these ordinals when the batches are read. May be called again, with more.
    pub fn filter_out(&mut self, ordinals: impl IntoIterator<Item = u64>) {
        self.removed.extend(ordinals);
    }

    /// Ends the writing and makes the batches readable, as often as one likes.
    pub fn finish(self) -> Result<Spooled, SpoolError> {
        let (file, segments) = match self.disk {
            Some(disk) => disk.finish()?,
            None => (None, Vec::new()),
        };
        Ok(Spooled(Arc::new(Contents {
            memory: self.memory,
            memory_bytes: self.memory_bytes,
            file,
            segments,
            rows: self.rows,
            largest: self.largest as u64,
            removed: self.removed,
        })))
    }

    /// Ends the writing and reads the batches once.
    pub fn into_batches(self) -> Result<Batches, SpoolError> {
        Ok(self.finish()?.batches())
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY_LIMIT)
    }
}

/// A temporary file that has no name any more: it goes with its last user, also when the process is killed.
#[derive(Debug)]
struct Disk {
    writer: Writer,
    segments: Vec<Segment>,
}

/// A stretch of the file that is one Arrow IPC stream, with one schema.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: u64,
    end: u64,
}

enum Writer {
    Idle(BufWriter<File>),
    Open {
        schema: SchemaRef,
        start: u64,
        stream: Box<StreamWriter<BufWriter<File>>>,
    },
    /// Only while it changes from one to the other, or after that failed.
    Gone,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle(_) => "Idle",
            Self::Open { .. } => "Open",
            Self::Gone => "Gone",
        })
    }
}

impl Disk {
    fn open() -> Result<Self, SpoolError> {
        let file = tempfile::tempfile().map_err(file_error)?;
        Ok(Self { writer: Writer::Idle(BufWriter::with_capacity(BUFFER, file)), segments: Vec::new() })
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<(), SpoolError> {
        if !matches!(&self.writer, Writer::Open { schema, .. } if schema == batch.schema_ref()) {
            self.end_segment()?;
            self.begin_segment(batch.schema())?;
        }
        match &mut self.writer {
            Writer::Open { stream, .. } => Ok(stream.write(batch)?),
            Writer::Idle(_) | Writer::Gone => Err(gone()),
        }
    }

    fn begin_segment(&mut self, schema: SchemaRef) -> Result<(), SpoolError> {
        let Writer::Idle(mut file) = std::mem::replace(&mut self.writer, Writer::Gone) else { return Err(gone()) };
        let start = file.stream_position().map_err(file_error)?;
        let stream = Box::new(StreamWriter::try_new(file, &schema)?);
        self.writer = Writer::Open { schema, start, stream };
        Ok(())
    }

    fn end_segment(&mut self) -> Result<(), SpoolError> {
        match std::mem::replace(&mut self.writer, Writer::Gone) {
            Writer::Open { start, mut stream, .. } => {
                stream.finish()?;
                let mut file = stream.into_inner()?;
                let end = file.seek(SeekFrom::End(0)).map_err(file_error)?;
                self.segments.push(Segment { start, end });
                self.writer = Writer::Idle(file);
            }
            other => self.writer = other,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Option<File>, Vec<Segment>), SpoolError> {
        self.end_segment()?;
        match self.writer {
            Writer::Idle(file) => {
                let file = file.into_inner().map_err(|error| file_error(error.into_error()))?;
                Ok((Some(file), self.segments))
            }
            Writer::Open { .. } | Writer::Gone => Err(gone()),
        }
    }
}

pub(super) fn file_error(source: io::Error) -> SpoolError {
    let directory = std::env::temp_dir().display().to_string();
    SpoolError::File { directory, source }
}

fn gone() -> SpoolError {
    file_error(io::Error::other("an earlier write to it failed"))
}

/// A finished spool. Copies share what it holds.
#[derive(Debug, Clone, Default)]
pub struct Spooled(Arc<Contents>);

#[derive(Debug, Default)]
struct Contents {
    memory: Vec<RecordBatch>,
    memory_bytes: usize,
    file: Option<File>,
    segments: Vec<Segment>,
    rows: u64,
    largest: u64,
    removed: Ordinals,
}

impl Spooled {
    /// Returns how many rows will be read: those pushed, less those removed.
    pub fn rows(&self) -> u64 {
        self.0.rows - self.0.removed.count_before(self.0.rows)
    }

    /// Returns how many bytes they take, in memory and on disk together, the removed rows among them.
    pub fn bytes(&self) -> u64 {
        let on_disk: u64 = self.0.segments.iter().map(|segment| segment.end - segment.start).sum();
        self.0.memory_bytes as u64 + on_disk
    }

    /// Returns how many bytes of memory the batches take that aren't on disk.
    pub fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes as u64
    }

    /// Returns how many bytes of memory the largest batch takes.
    pub fn largest(&self) -> u64 {
        self.0.largest
    }

    /// Returns the rows that won't be read.
    pub fn left_out(&self) -> &Ordinals {
        &self.0.removed
    }

    /// Reads the batches from the start, in order, without the removed rows and without batches that are left empty.
    pub fn batches(&self) -> Batches {
        Batches { contents: Arc::clone(&self.0), in_memory: 0, segment: 0, reader: None, ordinal: 0 }
    }
}

/// The batches of a spool, read one by one: one batch is in memory at a time, besides those that were never on disk.
#[derive(Debug)]
pub struct Batches {
    contents: Arc<Contents>,
    in_memory: usize,
    segment: usize,
    reader: Option<Box<StreamReader<BufReader<SegmentReader>>>>,
    /// The ordinal of the next row.
    ordinal: u64,
}

impl Batches {
    fn next_stored(&mut self) -> Option<Result<RecordBatch, SpoolError>> {
        if let Some(batch) = self.contents.memory.get(self.in_memory) {
            self.in_memory += 1;
            return Some(Ok(batch.clone()));
        }
        loop {
            if let Some(batch) = self.reader.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(SpoolError::from));
            }
            let segment = *self.contents.segments.get(self.segment)?;
            self.segment += 1;
            let reader = SegmentReader { contents: Arc::clone(&self.contents), at: segment.start, end: segment.end };
            match StreamReader::try_new(BufReader::new(reader), None) {
                Ok(reader) => self.reader = Some(Box::new(reader)),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    /// Leaves the removed rows out of `batch`.
    fn keep(&mut self, batch: RecordBatch) -> Result<RecordBatch, SpoolError> {
        let first = self.ordinal;
        self.ordinal += batch.num_rows() as u64;
        let removed = &self.contents.removed;
        if !removed.any_in(first, self.ordinal) {
            return Ok(batch);
        }
        let mask: BooleanArray = (first..self.ordinal).map(|ordinal| Some(!removed.contains(ordinal))).collect();
        Ok(filter_record_batch(&batch, &mask)?)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = self.next_stored()?.and_then(|batch| self.keep(batch));
            if !matches!(&batch, Ok(batch) if batch.num_rows() == 0) {
                return Some(batch);
            }
        }
    }
}

/// Reads a stretch of the file by its own position, so that several readers don't disturb each other.
#[derive(Debug)]
struct SegmentReader {
    contents: Arc<Contents>,
    at: u64,
    end: u64,
}

impl Read for SegmentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.contents.file else { return Ok(0) };
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
