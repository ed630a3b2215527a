//! Sinks: the Arrow batches of one slice become staged files, and staged files become published ones.
//!
//! [`SinkWriter`] encodes where no reader looks and returns one [`FileReceipt`](crate::model::FileReceipt) per file; it
//! never publishes. [`DataSets`] acts on receipts, so a later run can settle what a dead one left. A writer is synchronous and
//! meant for a blocking thread.
//!
//! Below the root of a data set lie
//! - `[snapshot=<label>/][<name>=<value>/...]<pipeline>-<job>-<slice>-g<generation>-<part>.<ext>`, written once;
//! - `.tidegate-staged/<pipeline>/<job>/<slice>-g<generation>/<sink>-<random>/<file name>.staged`. The suffix is there
//!   because the globs of some readers (`**/*.parquet` in `DuckDB`) descend into hidden directories. In a bucket files are staged
//!   as uploads that aren't completed instead, which no reader sees at all.
//!
//! The same batches give the same files, byte for byte, up to the generation: nothing in a file or its name comes from a
//! clock, a random number or the order of a hash table.

mod encode;
mod error;
mod foresee;
mod gather;
mod layout;
mod normalize;
mod partition;
mod spec;
mod store;
mod writer;

use arrow::array::RecordBatch;

pub use encode::EncodeError;
pub use error::SinkError;
pub use foresee::foresee;
pub use layout::{NamedFile, StagedSlice, slice_name};
pub use spec::{
    CsvOptions, Format, Landing, LineEnd, PARQUET_ZSTD, ParquetCompression, ParquetOptions, ParsePartitionError,
    PartitionField, SinkSpec, SortKey, Statistics, TEXT_ZSTD, TextCompression,
};
pub use store::{DataSets, Found, Notes, Presence, Staging, upload_id};
pub use writer::SinkWriter;

/// Returns some rows of a batch, mostly all of them: to cut takes a while where there are many columns.
fn part_of(batch: &RecordBatch, from: usize, rows: usize) -> RecordBatch {
    if rows == batch.num_rows() { batch.clone() } else { batch.slice(from, rows) }
}

#[cfg(test)]
mod tests;
