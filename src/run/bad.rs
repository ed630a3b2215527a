//! The bad rows of a slice, kept until its end: in memory first, then on disk, since a change of the API makes all of them bad.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::UInt64Type;
use sha2::{Digest as _, Sha256};

use super::RunError;
use super::quarantine::{self, BadRow};
use crate::extract::auth::Redactor;
use crate::transform::{Spool, Spooled};

/// How many bytes of bad rows a slice keeps in memory.
const IN_MEMORY: usize = 4 << 20;

/// How many bad rows a slice may have. What is known of each takes about 150 bytes of memory, and so many rows aren't bad by themselves.
const MOST: usize = 1_000_000;

/// How many rows, and bytes of them, are put into the spool at once.
const BATCH: (usize, usize) = (1024, 256 << 10);

/// Which row is bad.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// One that couldn't be decoded, by its number among those.
    Undecoded(usize),
    /// One that was decoded, by its ordinal.
    Decoded(u64),
}

/// What is known of a bad row without its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Which row it is.
    pub(super) which: Which,
    /// The pass that brought it.
    pub(super) pass: usize,
    /// Tells its text from any other.
    pub(super) digest: [u8; 16],
    ordinal: u64,
}

/// Bad rows that come in.
#[derive(Debug)]
pub(super) struct BadRows {
    spool: Spool,
    waiting: Vec<BadRow>,
    bytes: usize,
    marks: Vec<Mark>,
    pushed: u64,
    most: usize,
    /// The first of all, and why it is bad.
    first: String,
}

/// The bad rows of a slice that has ended.
#[derive(Debug)]
pub(super) struct Bad {
    rows: Spooled,
    count: u64,
    redactor: Option<Redactor>,
}

impl Default for BadRows {
    fn default() -> Self {
        Self {
            spool: Spool::new(IN_MEMORY),
            waiting: Vec::new(),
            bytes: 0,
            marks: Vec::new(),
            pushed: 0,
            most: MOST,
            first: String::new(),
        }
    }
}

impl BadRows {
    /// Takes a row.
    pub(super) fn push(&mut self, row: BadRow, which: Which, pass: usize) -> Result<(), RunError> {
        if self.first.is_empty() {
            self.first = row.excerpt();
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(row.row().as_bytes())[..16]);
        self.marks.push(Mark { which, pass, digest, ordinal: self.pushed });
        self.pushed += 1;
        self.bytes += row.row().len();
        self.waiting.push(row);
        if self.waiting.len() >= BATCH.0 || self.bytes >= BATCH.1 { self.flush() } else { Ok(()) }
    }

    /// Sees that there aren't too many to keep, of the rows `received` so far.
    pub(super) fn check(&self, received: u64) -> Result<(), RunError> {
        if self.marks.len() <= self.most {
            return Ok(());
        }
        let allowed = format!(
            "a slice keeps {} at most, whatever `max_bad_rows` allows: mend what makes them bad, or cut the data into smaller slices",
            self.most
        );
        Err(RunError::BadRows { bad: self.marks.len() as u64, received, allowed, first: self.first.clone() })
    }

    /// Returns the row that was taken last, and why it is bad; empty where it isn't in memory any more.
    pub(super) fn last(&self) -> String {
        self.waiting.last().map(BadRow::excerpt).unwrap_or_default()
    }

    /// Returns the rows that weren't left out, without their texts.
    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Leaves out the rows that `keep` doesn't name; returns how many.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Mark) -> bool) -> u64 {
        let before = self.marks.len();
        self.marks.retain(keep);
        (before - self.marks.len()) as u64
    }

    /// Ends the taking.
    pub(super) fn finish(mut self) -> Result<Bad, RunError> {
        self.flush()?;
        let mut kept = self.marks.iter().map(|mark| mark.ordinal).peekable();
        let left: Vec<u64> = (0..self.pushed).filter(|at| kept.next_if_eq(at).is_none()).collect();
        self.spool.filter_out(left);
        Ok(Bad { count: self.marks.len() as u64, rows: self.spool.finish()?, redactor: None })
    }

    fn flush(&mut self) -> Result<(), RunError> {
        if !self.waiting.is_empty() {
            self.spool.push(quarantine::batch(&self.waiting)?)?;
            self.waiting.clear();
            self.bytes = 0;
        }
        Ok(())
    }
}

impl Bad {
    /// Has secrets replaced that the server repeated in the rows, whenever they are read.
    pub(super) fn scrub(&mut self, redactor: &Redactor) {
        self.redactor = Some(redactor.clone());
    }

    /// Tells whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the first `count` of them.
    pub(super) fn first(&self, count: usize) -> Result<Vec<BadRow>, RunError> {
        let mut found = Vec::new();
        for rows in self.rows() {
            found.extend(rows?);
            if found.len() >= count {
                break;
            }
        }
        found.truncate(count);
        Ok(found)
    }

    /// Returns them as they land.
    pub(super) fn batches(&self) -> impl Iterator<Item = Result<RecordBatch, RunError>> + '_ {
        self.rows().map(|rows| quarantine::batch(&rows?))
    }

    fn rows(&self) -> impl Iterator<Item = Result<Vec<BadRow>, RunError>> + '_ {
        self.rows.batches().map(|batch| {
            let mut rows = read(&batch?);
            if let Some(redactor) = &self.redactor {
                for row in &mut rows {
                    row.scrub(redactor);
                }
            }
            Ok(rows)
        })
    }
}

/// Reads what [`quarantine::batch`] wrote.
fn read(batch: &RecordBatch) -> Vec<BadRow> {
    let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
    let page = |row: usize| batch.column(3).as_primitive::<UInt64Type>().value(row);
    (0..batch.num_rows())
        .map(|row| BadRow::kept(text(4, row), text(0, row), text(1, row), text(2, row), page(row)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, length: usize) -> BadRow {
        BadRow::kept("x".repeat(length), format!("reason {number}"), "c".to_owned(), "GET /".to_owned(), number)
    }

    #[test]
    fn rows_come_back_in_order_from_the_disk_too() {
        let mut rows = BadRows::default();
        for number in 0..3000 {
            rows.push(row(number, 4000), Which::Decoded(number), 1).unwrap();
        }
        assert!(rows.spool.spilled() && rows.waiting.len() < BATCH.0);
        assert_eq!(rows.retain(|mark| !matches!(mark.which, Which::Decoded(number) if number % 3 == 0)), 1000);
        let bad = rows.finish().unwrap();
        let expected: Vec<BadRow> =
            (0..3000).filter(|number| number % 3 != 0).map(|number| row(number, 4000)).collect();
        assert_eq!(bad.first(usize::MAX).unwrap(), expected);
        assert_eq!((bad.count, bad.first(1).unwrap()), (2000, vec![row(1, 4000)]));
        let landed: usize = bad.batches().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(landed, 2000);
    }

    #[test]
    fn more_than_can_be_kept_is_an_error() {
        let mut rows = BadRows { most: 2, ..BadRows::default() };
        for number in 0..2 {
            rows.push(row(number, 3), Which::Decoded(number), 1).unwrap();
            rows.check(number).unwrap();
        }
        rows.push(row(2, 3), Which::Decoded(2), 1).unwrap();
        let error = rows.check(7).unwrap_err().chain();
        assert!(
            error.starts_with("3 of 7 rows are bad, and a slice keeps 2 at most") && error.contains("reason 0"),
            "{error}"
        );
    }

    #[test]
    fn the_same_text_has_the_same_mark() {
        let mut rows = BadRows::default();
        for length in [3, 4, 3] {
            rows.push(row(0, length), Which::Undecoded(0), 1).unwrap();
        }
        let digests: Vec<_> = rows.marks().iter().map(|mark| mark.digest).collect();
        assert!(digests[0] == digests[2] && digests[0] != digests[1]);
    }
}
