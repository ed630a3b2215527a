//! The columns of a row group, encoded by several threads. Which thread takes which column decides nothing: the bytes of a column
//! depend on its rows alone, and columns are put into the file in their order.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

/// Threads that encode one row group, at most. More wait for memory, and for each other's last column.
const MOST_THREADS: usize = 4;

/// Below so many bytes of rows a thread costs more than it saves.
const WORTH_A_THREAD: usize = 1024 * 1024;

/// A column of the rows, and the writers of its leaves.
struct Column {
    at: usize,
    field: FieldRef,
    writers: Vec<ArrowColumnWriter>,
}

type Done = (usize, Result<Vec<ArrowColumnChunk>, ParquetError>);

/// Encodes `rows`, of about `bytes` bytes, with the `writers` of their leaves; returns the chunks in the order of the leaves.
pub(super) fn encode(
    rows: &[RecordBatch],
    bytes: usize,
    writers: Vec<ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let columns = columns(rows, writers)?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(MOST_THREADS).min(bytes / WORTH_A_THREAD).min(columns.len());
    let waiting = Mutex::new(columns.into_iter());
    let work = || -> Vec<Done> {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::iter::from_fn(next).map(|column| (column.at, column.encode(rows))).collect()
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().map_err(|_| ParquetError::General("a thread that encodes died".to_owned()))?);
        }
        Ok::<_, ParquetError>(done)
    })?;
    done.sort_by_key(|(at, _)| *at);
    let chunks = done.into_iter().map(|(_, chunks)| chunks).collect::<Result<Vec<_>, _>>()?;
    Ok(chunks.into_iter().flatten().collect())
}

/// Gives each column the writers of its leaves.
fn columns(rows: &[RecordBatch], writers: Vec<ArrowColumnWriter>) -> Result<Vec<Column>, ParquetError> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let schema = first.schema();
    let mut writers = writers.into_iter();
    let column = |(at, (field, array)): (usize, (&FieldRef, &arrow::array::ArrayRef))| {
        let leaves = compute_leaves(field, &array.slice(0, 0))?.len();
        Ok(Column { at, field: FieldRef::clone(field), writers: writers.by_ref().take(leaves).collect() })
    };
    schema.fields().iter().zip(first.columns()).enumerate().map(column).collect()
}

impl Column {
    fn encode(mut self, rows: &[RecordBatch]) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        for batch in rows {
            for (writer, leaf) in self.writers.iter_mut().zip(compute_leaves(&self.field, batch.column(self.at))?) {
                writer.write(&leaf)?;
            }
        }
        self.writers.into_iter().map(ArrowColumnWriter::close).collect()
    }
}
