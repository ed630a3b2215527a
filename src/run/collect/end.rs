//! The end of a slice, or of a pass over it: which of the rows land, which go to quarantine, and what is proved.

use std::collections::{BTreeSet, HashMap};

use arrow::array::RecordBatch;
use serde_json::Value;

use super::{Collector, Edges, SCHEMA_TAG};
use crate::decode::{DecodeOptions, Widener};
use crate::model::{CursorValue, EndReason, Reconciliation, RecordSchema, RowCounts, Strays, Verdict};
use crate::run::RunError;
use crate::run::bad::{Bad, Mark, Which};
use crate::run::early::{Written, widened};
use crate::run::increment::Increment;
use crate::run::quarantine::BadRow;
use crate::transform::{Ordinals, Spooled};

/// What is known of a slice once all its pages are in.
pub(in crate::run) struct Collected {
    /// The rows that go on to the transform: see [`Collected::batches`].
    pub(in crate::run) rows: Spooled,
    schemas: Vec<RecordSchema>,
    options: DecodeOptions,
    /// What was written of them already: all of them.
    pub(in crate::run) written: Option<Written>,
    /// Where the rows went; `transformed` is still 0.
    pub(in crate::run) counts: RowCounts,
    /// The rows that go to quarantine.
    pub(in crate::run) bad: Bad,
    /// The first row with a value that didn't fit and is null.
    pub(in crate::run) first_nulled: Option<BadRow>,
    /// The first record as it came, for those who look at a job; null where it wasn't wanted.
    pub(in crate::run) first: Value,
    /// What the reading proved.
    pub(in crate::run) reconciliation: Reconciliation,
    /// The last cursor of an incremental slice; none where it has no rows.
    pub(in crate::run) cursor_end: Option<CursorValue>,
    /// Rows with the very cursor that an incremental slice begins after.
    pub(in crate::run) at_start: u64,
    /// Different rows that were gone when the slice was read again.
    pub(in crate::run) vanished: u64,
    /// Why it isn't known to be whole, where something came twice.
    pub(in crate::run) doubt: Option<&'static str>,
    /// Rows from outside of what was asked for.
    pub(in crate::run) strays: Strays,
    /// What came at the edges of the window.
    pub(in crate::run) edges: Option<Edges>,
    /// The columns in which a row had a value.
    pub(in crate::run) valued: BTreeSet<String>,
}

impl Collected {
    /// Returns the batches, brought to the schema that the slice ended with.
    pub(in crate::run) fn batches(
        &self,
        to: RecordSchema,
    ) -> impl Iterator<Item = Result<RecordBatch, RunError>> + Send + 'static {
        let (schemas, widener) = (self.schemas.clone(), Widener::new(&self.options, to.clone()));
        self.rows.batches().map(move |batch| {
            let batch = batch?;
            let tag = batch.schema().metadata().get(SCHEMA_TAG).and_then(|tag| tag.parse().ok());
            let from = tag.and_then(|tag: usize| schemas.get(tag)).unwrap_or(&to);
            widened(&widener, &batch, from)
        })
    }
}

/// What follows after a pass over a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) enum PassEnd {
    /// The slice is known to be whole.
    Settled,
    /// Another pass.
    Again,
    /// Nothing: the list is still in motion.
    Unsettled {
        /// How often it was read.
        passes: usize,
        /// What each pass showed.
        story: String,
    },
}

impl Collector {
    /// Ends a pass over a slice that is read again until it is known to be whole. It has no `end` where page after page brought nothing
    /// new.
    pub(in crate::run) fn end_pass(&mut self, end: Option<EndReason>) -> PassEnd {
        let before = self.evidence.passes().count();
        if let Some(since) = self.evidence.end_pass(end, self.overlap, self.spool.rows()) {
            self.since = since;
            return PassEnd::Settled;
        }
        let passes = self.evidence.passes();
        if passes.count() == before {
            return PassEnd::Unsettled { passes: before, story: passes.story() };
        }
        // They count values of rows that land.
        self.counts.nulled_values = 0;
        self.counts.discarded_fields = 0;
        self.first_nulled = None;
        PassEnd::Again
    }

    /// Ends the slice.
    pub(in crate::run) fn finish(mut self, end: EndReason) -> Result<Collected, RunError> {
        let cursor_end = self.end_increment(end == EndReason::SliceFull);
        let increment = self.cursor.as_ref().map(|(_, increment)| increment);
        let (at_start, at_end) = (increment.map_or(0, Increment::at_start), increment.map(Increment::at_end));
        let passes = self.evidence.passes();
        let mut reconciliation = if passes.count() > 1 {
            self.evidence.weigh_settled(end, self.since)
        } else {
            self.evidence.weigh(end, self.keys.is_some(), self.overlap)
        };
        // Of one that was cut short the last group of equal cursors is left to the next slice.
        reconciliation.rows_at_end = at_end.filter(|_| cursor_end.is_some() && end != EndReason::SliceFull);
        let strays = self.time.as_ref().map(|time| time.strays).unwrap_or_default();
        if !strays.is_none() && reconciliation.verdict == Verdict::Complete {
            // All that the server means by the window came, but it means another one.
            reconciliation.verdict = Verdict::Unknown;
        }
        let doubt = self.evidence.doubt(end, self.keys.is_some(), self.overlap);
        let (first, vanished) =
            (passes.get(self.since).map_or(0, |pass| pass.first), passes.vanished_before(self.since));
        self.leave_earlier_passes(first);
        let elsewhere = self.bad_elsewhere(cursor_end.as_ref());
        self.counts.deduplicated = self.leave_bad_twins();
        self.counts.quarantined = self.bad.marks().len() as u64;
        self.counts.outside_window = self.outside.len() + elsewhere;
        let mut superseded = self.superseded(first)?;
        if end == EndReason::PageAgain && self.keys.is_none() {
            // Without a key nothing else tells that they had come before.
            let lands = |ordinal: &u64| !self.nulls.contains(*ordinal) && !self.outside.contains(*ordinal);
            superseded.extend((self.last_page..self.spool.rows()).filter(lands));
        }
        self.counts.deduplicated += superseded.len();
        self.spool.filter_out(self.nulls.iter().chain(self.outside.iter()).chain(superseded.iter()));
        let rows = self.spool.finish()?;
        self.counts.decoded = rows.rows();
        if !self.counts.adds_up() {
            return Err(RunError::Account { account: format!("{:?}", self.counts) });
        }
        let written = self.feeder.and_then(|feeder| feeder.end(rows.rows(), rows.left_out()));
        Ok(Collected {
            rows,
            written,
            schemas: self.schemas,
            options: self.options,
            counts: self.counts,
            bad: self.bad.finish()?,
            first_nulled: self.first_nulled,
            first: self.first,
            reconciliation,
            cursor_end,
            at_start,
            vanished,
            doubt,
            strays,
            edges: self.time.and_then(|time| time.edges),
            valued: self.valued,
        })
    }

    /// Leaves out what passes brought before the one since which rows count; `first` is that one's first row.
    fn leave_earlier_passes(&mut self, first: u64) {
        let early = |bad: &&Mark| bad.pass < self.since && matches!(bad.which, Which::Undecoded(_));
        // Those that could be decoded are among the rows before the first.
        self.counts.read_again = first + self.bad.marks().iter().filter(early).count() as u64;
        let since = self.since;
        self.bad.retain(|bad| bad.pass >= since);
        self.spool.filter_out(0..first);
        self.nulls.remove_before(first);
        self.outside.remove_before(first);
    }

    /// Leaves out bad rows that a later pass brought again: they go to quarantine once. Returns how many.
    fn leave_bad_twins(&mut self) -> u64 {
        if self.evidence.passes().count() == 1 {
            return 0;
        }
        let last: HashMap<[u8; 16], usize> = self.bad.marks().iter().map(|bad| (bad.digest, bad.pass)).collect();
        self.bad.retain(|bad| last.get(&bad.digest) == Some(&bad.pass))
    }

    /// Gives up the bad rows that belong to other slices, which have them in quarantine, or will. Returns how many of them
    /// couldn't be decoded: the others are among those outside.
    fn bad_elsewhere(&mut self, end: Option<&CursorValue>) -> u64 {
        let mut decoded = 0;
        let (outside, nulls, cursor) = (&self.outside, &mut self.nulls, &self.cursor);
        let elsewhere = self.bad.retain(|bad| match &bad.which {
            Which::Undecoded(bad) => !cursor.as_ref().is_some_and(|(_, increment)| increment.is_elsewhere(*bad, end)),
            Which::Decoded(ordinal) if outside.contains(*ordinal) => {
                decoded += 1;
                nulls.remove(*ordinal);
                false
            }
            Which::Decoded(_) => true,
        });
        elsewhere - decoded
    }

    /// Returns the rows, from `first` on, that a later, or the latest, one of the same key replaces. One that doesn't land itself
    /// replaces none: else the key would be lost.
    fn superseded(&mut self, first: u64) -> Result<Ordinals, RunError> {
        let lands = |ordinal: u64| !self.nulls.contains(ordinal) && !self.outside.contains(ordinal);
        if let Some(keys) = self.keys.take_if(|_| self.latest_by.is_some()) {
            return Ok(keys.outdated(lands)?);
        }
        // Rows of whose key a later one lands.
        let mut followed = Ordinals::default();
        self.replaced.backwards(|earlier, later| {
            if earlier >= first && (lands(later) || followed.contains(later)) {
                followed.insert(earlier);
            }
        })?;
        Ok(followed.iter().filter(|ordinal| lands(*ordinal)).collect())
    }

    /// Leaves the rows after the slice's end to the next slice, and those whose cursor can't be read to where they stand; returns the end.
    fn end_increment(&mut self, cut_short: bool) -> Option<CursorValue> {
        let (_, increment) = self.cursor.as_ref()?;
        let (end, after) = increment.end(cut_short).unzip();
        self.outside.extend(after.into_iter().flatten().flatten());
        self.outside.extend(increment.failed_elsewhere(end.as_ref()));
        end
    }
}
