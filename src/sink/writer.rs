//! The writer of one sink of one slice: normalise, split, encode, roll.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::SinkError;
use super::encode::{self, EncodeError, Encoder};
use super::gather::Gathered;
use super::layout::{MAX_FILES, file_name};
use super::normalize::{Normalizer, Shape};
use super::part_of;
use super::partition::Splitter;
use super::spec::{Format, Landing, PartitionField, SinkSpec};
use super::store::{Root, Stage, Staged, Staging};
use crate::model::FileReceipt;

/// Files open at once: a bound on memory and file descriptors. One more partition closes the file least recently written
/// to; rows that come for it later go to a new part. From then on rows are gathered, so that such a part is worth it.
const MAX_OPEN: usize = 64;

/// Rows encoded in one go: a file is checked against its limits this often.
const CHUNK_ROWS: usize = 8192;

/// Bytes that all open files together gather at most. Beyond it the one that holds most writes its row group.
pub(super) const MAX_BUFFERED: usize = 96 * 1024 * 1024;

/// Bytes of rows that are gathered before they are given to the files of their partitions: a part of [`MAX_BUFFERED`].
const MAX_GATHERED: usize = MAX_BUFFERED / 2;

/// Bytes that wait in all open files together until a part of an upload is full. Beyond it the file that holds most is closed.
const MAX_HELD: usize = 96 * 1024 * 1024;

/// Bytes that a file of the sink takes while it is encoded, at most, about: the step that is encoded in one go, what its row group has
/// come to, and a compressor and a dictionary for each column. Measured: 41 MiB for flow alerts.
const ONE_FILE: u64 = 40 * 1024 * 1024;

/// Bytes that a byte of rows comes to while it is gathered and encoded, at most.
const ENCODING: u64 = 2;

impl SinkSpec {
    /// Returns how many bytes of memory it takes at most, about, to write so many bytes of rows.
    #[must_use]
    pub fn memory(&self, rows: u64) -> u64 {
        let gathered = if self.partition_by.is_empty() { 0 } else { MAX_BUFFERED as u64 };
        rows.saturating_mul(ENCODING).min(gathered + ONE_FILE)
    }
}

/// Writes the files of one slice in one sink. Dropping it, at any moment before [`SinkWriter::finish`] returns, removes
/// what it staged.
pub struct SinkWriter {
    spec: SinkSpec,
    landing: Landing,
    root: Root,
    staging: Staging,
    normalizer: Normalizer,
    splitter: Splitter,
    /// Declared before `stage`: files are closed before their directory is removed.
    open: HashMap<String, OpenFile>,
    /// Made with the first file.
    stage: Option<Stage>,
    /// The files begun so far, which is the number of the next part.
    begun: u32,
    /// Counts the times that a file was written to.
    tick: u64,
    closed: Vec<(u32, FileReceipt, Staged)>,
    /// Rows that wait, once more partitions came than files may be open.
    gathered: Option<Gathered>,
    broken: bool,
}

struct OpenFile {
    encoder: Box<dyn Encoder>,
    path: String,
    part: u32,
    rows: u64,
    used: u64,
}

impl SinkWriter {
    /// Opens a writer for rows of `schema`. Nothing is created before the first row.
    pub fn open(spec: &SinkSpec, landing: &Landing, schema: &SchemaRef, staging: &Staging) -> Result<Self, SinkError> {
        spec.check()?;
        let root = Root::parse(&spec.url)?;
        let normalizer = normalizer(spec, schema)?;
        check_columns(spec, &normalizer)?;
        let splitter = Splitter::new(&spec.partition_by, landing.snapshot.as_deref(), normalizer.target())?;
        Ok(Self {
            spec: spec.clone(),
            landing: landing.clone(),
            root,
            staging: staging.clone(),
            normalizer,
            splitter,
            open: HashMap::new(),
            stage: None,
            begun: 0,
            tick: 0,
            closed: Vec::new(),
            gathered: None,
            broken: false,
        })
    }

    /// Returns the schema that the files have.
    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        self.normalizer.target()
    }

    /// Returns the columns, and with a dot before each the fields, that the files don't have, since no value of them has been seen.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        self.normalizer.left_out()
    }

    /// Appends the rows of `batch`. After an error the writer takes no more: some of the rows may be in a file.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        if self.broken {
            return Err(SinkError::Broken);
        }
        let written = self.write_all(batch);
        self.broken = written.is_err();
        written
    }

    /// Closes all files, and returns their receipts in the order of their parts. They lie staged, on stable storage.
    ///
    /// A slice with no rows has no files.
    pub fn finish(mut self) -> Result<Vec<FileReceipt>, SinkError> {
        if self.broken {
            return Err(SinkError::Broken);
        }
        self.disperse()?;
        let mut files: Vec<_> = self.open.drain().map(|(_, file)| file).collect();
        files.sort_by_key(|file| file.part);
        for file in files {
            self.close(file)?;
        }
        if let Some(stage) = self.stage.take() {
            stage.keep()?;
        }
        self.closed.sort_by_key(|(part, ..)| *part);
        let complete =
            |(_, receipt, staged): (u32, FileReceipt, Staged)| Ok(FileReceipt { staged: staged.staged()?, ..receipt });
        self.closed.into_iter().map(complete).collect()
    }

    /// Throws away all that was staged; dropping the writer does the same.
    pub fn abort(self) {
        drop(self);
    }

    /// Returns the bytes that wait in the open files and for them.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.gathered.as_ref().map_or(0, Gathered::bytes)
            + self.open.values().map(|file| file.encoder.buffered()).sum::<usize>()
    }

    fn write_all(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = CHUNK_ROWS.min(batch.num_rows() - from);
            let chunk = self.normalizer.apply(&part_of(batch, from, rows))?;
            self.distribute(&chunk)?;
            from += rows;
        }
        Ok(())
    }

    /// Gives rows to the files of their partitions, or keeps them where these are too many.
    fn distribute(&mut self, chunk: &RecordBatch) -> Result<(), SinkError> {
        let groups = self.splitter.groups(chunk)?;
        if self.gathered.is_none() {
            let more = groups.dirs.iter().filter(|dir| !self.open.contains_key(*dir)).count();
            self.gathered = (self.open.len() + more > MAX_OPEN).then(Gathered::default);
        }
        let Some(gathered) = &mut self.gathered else {
            for part in groups.split(chunk)? {
                self.append(&part.dir, &part.rows)?;
            }
            self.relieve(0)?;
            return self.advance();
        };
        gathered.push(chunk, groups).map_err(|source| SinkError::Split { source })?;
        match gathered.bytes() {
            bytes if bytes > MAX_GATHERED => self.disperse(),
            bytes => self.relieve(bytes),
        }
    }

    /// Gives the rows that were gathered to the files of their partitions.
    fn disperse(&mut self) -> Result<(), SinkError> {
        let Some(mut gathered) = self.gathered.take() else { return Ok(()) };
        for part in gathered.take_parts(|dir| self.open.contains_key(dir)) {
            for rows in gathered.rows(&part, CHUNK_ROWS) {
                self.append(&part.dir, &rows.map_err(|source| SinkError::Split { source })?)?;
                self.relieve(gathered.bytes())?;
            }
        }
        self.gathered = Some(Gathered::default());
        Ok(())
    }

    /// Encodes ahead where one file is open: the encoders of many take too much memory.
    fn advance(&mut self) -> Result<(), SinkError> {
        let (root, is_alone) = (&self.spec.url, self.open.len() == 1);
        match self.open.values_mut().next().filter(|_| is_alone) {
            Some(file) => file.encoder.advance().map_err(|source| encode_error(root, &file.path, source)),
            None => Ok(()),
        }
    }

    /// Appends rows to the file of their partition, and rolls it as often as its limits ask for.
    fn append(&mut self, dir: &str, rows: &RecordBatch) -> Result<(), SinkError> {
        let mut from = 0;
        while from < rows.num_rows() {
            let mut file = match self.open.remove(dir) {
                Some(file) => file,
                None => self.begin(dir)?,
            };
            let room = usize::try_from(self.spec.rows_per_file - file.rows).unwrap_or(usize::MAX);
            let count = room.min(rows.num_rows() - from);
            file.encoder.write(&part_of(rows, from, count)).map_err(|source| self.failed(&file.path, source))?;
            from += count;
            file.rows += count as u64;
            self.tick += 1;
            file.used = self.tick;
            if file.rows >= self.spec.rows_per_file || file.encoder.size() >= self.spec.bytes_per_file {
                self.close(file)?;
            } else {
                self.open.insert(dir.to_owned(), file);
            }
        }
        Ok(())
    }

    /// Begins the next part in `dir`. Parts are numbered as they begin, which the rows alone decide, so a store that needs
    /// the published name from the start has it.
    fn begin(&mut self, dir: &str) -> Result<OpenFile, SinkError> {
        if self.begun >= MAX_FILES {
            return Err(SinkError::TooManyFiles { limit: MAX_FILES });
        }
        if self.open.len() >= MAX_OPEN {
            self.close_least_recent()?;
        }
        let part = self.begun;
        self.begun += 1;
        let name = file_name(&self.landing, part, encode::extension(&self.spec.format));
        let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => self.root.stage(&self.landing, &self.spec.name, &self.staging)?,
        };
        let file = self.stage.insert(stage).create(&path)?;
        let encoder = encode::build(&self.spec, self.normalizer.target(), &self.landing, file);
        let encoder = encoder.map_err(|source| self.failed(&path, source))?;
        Ok(OpenFile { encoder, path, part, rows: 0, used: 0 })
    }

    fn close_least_recent(&mut self) -> Result<(), SinkError> {
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(dir, _)| dir.clone());
        match oldest.and_then(|dir| self.open.remove(&dir)) {
            Some(file) => self.close(file),
            None => Ok(()),
        }
    }

    fn close(&mut self, file: OpenFile) -> Result<(), SinkError> {
        let OpenFile { encoder, path, part, rows, .. } = file;
        let staged = encoder.finish().and_then(|file| Ok(file.finish()?));
        let staged = staged.map_err(|source| self.failed(&path, source))?;
        let receipt = FileReceipt {
            sink: self.spec.name.clone(),
            root: self.root.url()?,
            path,
            staged: String::new(),
            rows,
            bytes: staged.bytes,
            sha256: staged.sha256.clone(),
        };
        self.closed.push((part, receipt, staged));
        Ok(())
    }

    /// Writes row groups early while the open files, with the `gathered` bytes beside them, hold too much memory, and closes files where
    /// that isn't enough.
    fn relieve(&mut self, gathered: usize) -> Result<(), SinkError> {
        let mut held: Vec<_> = self.open.values_mut().map(|file| (file.encoder.buffered(), file)).collect();
        let mut total = gathered + held.iter().map(|(bytes, _)| bytes).sum::<usize>();
        // By size, then by part: the order of the hash table decides nothing.
        held.sort_by_key(|(bytes, file)| (*bytes, std::cmp::Reverse(file.part)));
        while total > MAX_BUFFERED {
            let Some((bytes, file)) = held.pop() else { break };
            let root = &self.spec.url;
            file.encoder.flush().map_err(|source| encode_error(root, &file.path, source))?;
            total -= bytes;
        }
        self.relieve_parts()
    }

    fn relieve_parts(&mut self) -> Result<(), SinkError> {
        while self.open.values().map(|file| file.encoder.held()).sum::<usize>() > MAX_HELD {
            let most = self.open.iter().max_by_key(|(_, file)| (file.encoder.held(), std::cmp::Reverse(file.part)));
            let Some(file) = most.map(|(dir, _)| dir.clone()).and_then(|dir| self.open.remove(&dir)) else { break };
            self.close(file)?;
        }
        Ok(())
    }

    fn failed(&self, path: &str, source: EncodeError) -> SinkError {
        encode_error(&self.spec.url, path, source)
    }
}

/// Makes what brings rows of `schema` to the shape of the sink's files.
pub(super) fn normalizer(spec: &SinkSpec, schema: &SchemaRef) -> Result<Normalizer, SinkError> {
    let named: Vec<&str> = spec.partition_by.iter().map(PartitionField::column).collect();
    let shape = match spec.format {
        Format::Parquet(_) => Shape::Typed(&named),
        Format::Csv(_) | Format::JsonLines { .. } => Shape::Text,
    };
    Normalizer::new(schema, shape)
}

/// Checks that the columns that options name are there and hold plain values.
fn check_columns(spec: &SinkSpec, normalizer: &Normalizer) -> Result<(), SinkError> {
    let schema = normalizer.target();
    let sorted = spec.sort_by.iter().map(|key| ("sort_by", key.column.as_str()));
    let blooms = match &spec.format {
        Format::Parquet(options) => options.bloom_filters.as_slice(),
        Format::Csv(_) | Format::JsonLines { .. } => &[],
    };
    for (option, column) in sorted.chain(blooms.iter().map(|column| ("bloom_filters", column.as_str()))) {
        if normalizer.left_out().iter().any(|name| name == column) {
            continue;
        }
        let field = schema.field_with_name(column).map_err(|_| SinkError::unknown_column(option, column, schema))?;
        if field.data_type().is_nested() {
            let hint = match option {
                "sort_by" => "only a plain value can be sorted by",
                _ => "only a plain value can be in a Bloom filter",
            };
            let (column, kind) = (column.to_owned(), field.data_type().to_string());
            return Err(SinkError::ColumnType { column, kind, hint });
        }
    }
    Ok(())
}

fn encode_error(root: &str, path: &str, source: EncodeError) -> SinkError {
    SinkError::Encode { root: root.to_owned(), path: path.to_owned(), source }
}
