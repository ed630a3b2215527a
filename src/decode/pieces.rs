//! The rows of a page in pieces: a page may have 50 MB and more, and what works on rows takes memory by how many of them it gets at
//! once. Nor are columns of many megabytes given back to the system where they are dropped: an allocator keeps them.
//!
//! Where a piece ends depends on the rows alone, so that the same page always falls into the same ones.

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::error::ArrowError;

use super::builders::StructBuilder;

/// Bytes of columns from which on a piece is full, unless told otherwise: pages of most APIs are one piece.
pub(super) const FULL: usize = 2 << 20;

/// Rows of a page that follow each other, at least one unless the page has none.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The rows that fit.
    pub batch: RecordBatch,
    /// As they came, where the batch doesn't tell all that counts should the schema grow: see [`Piece::held`].
    pub(super) texts: Option<StringArray>,
}

/// The columns of a piece, and which records of the page, from 0, they are made of.
pub(super) type Columns = (Range<u64>, Vec<ArrayRef>);

/// Cuts the rows of a page while they are read.
pub(super) struct Pieces {
    /// How many bytes make one full.
    full: usize,
    /// Those that are.
    cut: Vec<Columns>,
    /// The first row of the one that is being filled.
    from: u64,
    /// How many rows there are when it is weighed next: that takes a look at each column.
    look_at: u64,
    /// Why one couldn't be cut.
    failed: Option<ArrowError>,
}

impl Pieces {
    /// Begins a page whose pieces are full at about so many bytes of columns.
    pub(super) const fn new(full: usize) -> Self {
        Self { full, cut: Vec::new(), from: 0, look_at: 1, failed: None }
    }

    /// Cuts, if the piece is full by now: there are `rows` rows of the page, the last ones of them in `root`.
    pub(super) fn row(&mut self, rows: u64, root: &mut StructBuilder) {
        if rows < self.look_at {
            return;
        }
        let (held, bytes) = (rows - self.from, root.bytes());
        if bytes >= self.full {
            self.cut(rows, root);
            self.look_at = rows + 1;
        } else {
            let due = held.saturating_mul(self.full as u64) / (bytes as u64).max(1);
            self.look_at = self.from + due.clamp(held + held / 8 + 1, 2 * held);
        }
    }

    fn cut(&mut self, rows: u64, root: &mut StructBuilder) {
        match root.finish_columns() {
            Ok(columns) => self.cut.push((self.from..rows, columns)),
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
        self.from = rows;
    }

    /// Ends a page of so many rows. Returns its pieces, of which there is one at least.
    pub(super) fn end(mut self, rows: u64, root: &mut StructBuilder) -> Result<Vec<Columns>, ArrowError> {
        if self.from < rows || self.cut.is_empty() {
            self.cut(rows, root);
        }
        self.failed.map_or(Ok(self.cut), Err)
    }
}
