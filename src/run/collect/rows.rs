//! The rows of a page that was taken in, on their way to be kept.

use arrow::array::RecordBatch;

use crate::decode::Piece;
use crate::model::RecordSchema;

/// The rows of a page that was taken in.
pub(in crate::run) struct Rows {
    pub(super) pieces: Vec<Piece>,
    pub(super) schema: RecordSchema,
}

impl Rows {
    /// Returns how many there are.
    pub(super) fn count(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.batch.num_rows() as u64).sum()
    }

    /// Returns them piece by piece, each with the number of rows before it.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &RecordBatch)> {
        let batches = self.pieces.iter().map(|piece| &piece.batch);
        batches.scan(0, |next, batch| Some((std::mem::replace(next, *next + batch.num_rows()), batch)))
    }

    /// Returns the pieces that have any.
    pub(super) fn batches(&self) -> Vec<&RecordBatch> {
        self.pieces.iter().map(|piece| &piece.batch).filter(|batch| batch.num_rows() > 0).collect()
    }

    /// Returns the last but one and the last, each with its place in a piece.
    pub(super) fn last_two(&self) -> [Option<(&RecordBatch, usize)>; 2] {
        let mut last =
            self.batches().into_iter().rev().flat_map(|batch| (0..batch.num_rows()).rev().map(move |at| (batch, at)));
        let (one, before) = (last.next(), last.next());
        [before, one]
    }

    /// Returns how many bytes of memory they take.
    pub(in crate::run) fn bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::bytes).sum()
    }
}
