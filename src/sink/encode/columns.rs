//! The columns of a row group, encoded by several threads. Which thread takes which column decides nothing: the bytes of a column
//! depend on its rows alone, in the batches in which they came, and columns are put into the file in their order.

use std::num::NonZero;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::FieldRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

/// Threads that encode one row group, at most. More wait for memory, and for each other's last column.
const MOST_THREADS: usize = 4;

/// Below so many bytes of rows a thread costs more than it saves.
const WORTH_A_THREAD: usize = 1024 * 1024;

/// What the process may use of the machine. Asking takes some reading of files, so it is done once.
static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));

/// The columns of a row group that has begun.
pub(super) struct Columns(Vec<Column>);

/// A column of the rows, and the writers of its leaves.
struct Column {
    at: usize,
    field: FieldRef,
    writers: Vec<ArrowColumnWriter>,
}

impl Columns {
    /// Gives each column of `like` the writers of its leaves.
    pub(super) fn new(like: &RecordBatch, writers: Vec<ArrowColumnWriter>) -> Result<Self, ParquetError> {
        let (schema, mut writers) = (like.schema(), writers.into_iter());
        let column = |(at, (field, array)): (usize, (&FieldRef, &ArrayRef))| {
            let leaves = compute_leaves(field, &array.slice(0, 0))?.len();
            Ok(Column { at, field: FieldRef::clone(field), writers: writers.by_ref().take(leaves).collect() })
        };
        let columns = schema.fields().iter().zip(like.columns()).enumerate().map(column);
        columns.collect::<Result<_, _>>().map(Self)
    }

    /// Encodes `rows`, of about `bytes` bytes.
    pub(super) fn write(&mut self, rows: &[RecordBatch], bytes: usize) -> Result<(), ParquetError> {
        let threads = threads(bytes, self.0.len());
        spread(self.0.iter_mut(), threads, |column| column.write(rows))?.into_iter().collect()
    }

    /// Encodes `rows`, the last ones of a row group of about `bytes` bytes, and returns the chunks in the order of the leaves.
    pub(super) fn finish(self, rows: &[RecordBatch], bytes: usize) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        let threads = threads(bytes, self.0.len());
        let finish = |mut column: Column| {
            let written = column.write(rows);
            (column.at, written.and_then(|()| column.writers.into_iter().map(ArrowColumnWriter::close).collect()))
        };
        let mut done: Vec<(usize, Result<Vec<_>, _>)> = spread(self.0.into_iter(), threads, finish)?;
        done.sort_by_key(|(at, _)| *at);
        let chunks = done.into_iter().map(|(_, chunks)| chunks).collect::<Result<Vec<_>, _>>()?;
        Ok(chunks.into_iter().flatten().collect())
    }
}

impl Column {
    fn write(&mut self, rows: &[RecordBatch]) -> Result<(), ParquetError> {
        for batch in rows {
            for (writer, leaf) in self.writers.iter_mut().zip(compute_leaves(&self.field, batch.column(self.at))?) {
                writer.write(&leaf)?;
            }
        }
        Ok(())
    }
}

/// Returns how many threads are worth it.
fn threads(bytes: usize, columns: usize) -> usize {
    CORES.min(MOST_THREADS).min(bytes / WORTH_A_THREAD).min(columns)
}

/// Does `work` on all items, by so many threads, in no order.
fn spread<T: Send, R: Send>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Result<Vec<R>, ParquetError> {
    let waiting = Mutex::new(items);
    let work = || -> Vec<R> {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::iter::from_fn(next).map(&work).collect()
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().map_err(|_| ParquetError::General("a thread that encodes died".to_owned()))?);
        }
        Ok(done)
    })
}
