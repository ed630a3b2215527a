//! The pages of a slice, taken in: which rows are new, which lie outside of the slice, which are bad, and what that proves.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::RunError;
use super::cursor;
use super::evidence::Evidence;
use super::increment::{Fate, Increment};
use super::quarantine::BadRow;
use super::row::RowSql;
use crate::decode::{DecodedPage, PageDecoder};
use crate::model::{CursorValue, EndReason, Reconciliation, RecordSchema, RowCounts, SliceKind, Window};
use crate::pipeline::file::SeekBound;
use crate::pipeline::spec::{Job, PaginateKind, Slicing};
use crate::transform::{KeyIndex, Spool, Spooled};

/// What is known of a slice once all its pages are in.
pub(super) struct Collected {
    /// The rows that go on to the transform: see [`Collected::batches`].
    pub(super) rows: Spooled,
    schemas: Vec<RecordSchema>,
    /// Where the rows went; `transformed` is still 0.
    pub(super) counts: RowCounts,
    /// The rows that go to quarantine.
    pub(super) bad: Vec<BadRow>,
    /// The first row with a value that didn't fit and is null.
    pub(super) first_nulled: Option<BadRow>,
    /// What the reading proved.
    pub(super) reconciliation: Reconciliation,
    /// The last cursor of an incremental slice; none where it has no rows.
    pub(super) cursor_end: Option<CursorValue>,
    /// Different rows that were gone when the slice was read again.
    pub(super) vanished: u64,
}

impl Collected {
    /// Returns the batches, brought to the schema that the slice ended with.
    pub(super) fn batches(
        &self,
        to: RecordSchema,
    ) -> impl Iterator<Item = Result<RecordBatch, RunError>> + Send + 'static {
        let schemas = self.schemas.clone();
        self.rows.batches().map(move |batch| {
            let batch = batch?;
            let tag = batch.schema().metadata().get(SCHEMA_TAG).and_then(|tag| tag.parse().ok());
            let from = tag.and_then(|tag: usize| schemas.get(tag)).unwrap_or(&to);
            PageDecoder::conform(&batch, from, &to)
                .map_err(|source| RunError::Decode { request: "the slice".to_owned(), source })
        })
    }
}

/// Under this name a batch carries the number of the working schema that it was decoded with: `string` and `json` are one
/// Arrow type.
const SCHEMA_TAG: &str = "tidegate.working_schema";

/// What a page brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Rows with a key that no earlier page had.
    pub(super) new_rows: u64,
    /// Whether an incremental slice has the rows that it was meant to have.
    pub(super) full: bool,
    /// Whether the last of the rows that could be decoded went to quarantine.
    pub(super) last_is_bad: bool,
}

/// What follows after a pass over a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PassEnd {
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

/// Which row is bad.
#[derive(Debug, Clone, Copy)]
enum Which {
    /// One that couldn't be decoded, by its number among those.
    Undecoded(usize),
    /// One that was decoded, by its ordinal.
    Decoded(u64),
}

/// Takes the pages of one slice in. It computes: not for an async thread.
pub(super) struct Collector {
    now: DateTime<Utc>,
    keys: Option<KeyIndex>,
    latest_by: Option<RowSql>,
    time: Option<(RowSql, Window, Window)>,
    cursor: Option<(RowSql, Increment)>,
    spool: Spool,
    schemas: Vec<RecordSchema>,
    counts: RowCounts,
    /// Rows for quarantine, each with its pass.
    bad: Vec<(BadRow, Which, usize)>,
    undecoded: usize,
    first_nulled: Option<BadRow>,
    /// Rows and the later ones of the same key.
    superseded: Vec<(u64, u64)>,
    outside: BTreeSet<u64>,
    nulls: BTreeSet<u64>,
    evidence: Evidence,
    /// The pass since which rows count.
    since: usize,
    /// Whether pages share rows on purpose: an inclusive `seek` asks for the last row again.
    overlap: bool,
}

impl Collector {
    /// Starts with an empty slice. `asked` is the window with its padding.
    pub(super) fn new(job: &Job, kind: &SliceKind, asked: Option<Window>, now: DateTime<Utc>, spool: Spool) -> Self {
        let time = match (&job.slicing, kind) {
            (Slicing::Window(spec), SliceKind::Window(window)) => spec
                .time
                .as_ref()
                .map(|time| (RowSql::new(time.as_str(), "window.time"), *window, asked.unwrap_or(*window))),
            _ => None,
        };
        let cursor = match (&job.slicing, kind) {
            (Slicing::Incremental(spec), SliceKind::Incremental { start, end, .. }) => {
                let row = RowSql::new(spec.cursor.as_str(), "incremental.cursor");
                Some((row, Increment::new(spec, start, end.as_ref(), now)))
            }
            _ => None,
        };
        Self {
            now,
            keys: (!job.key.is_empty()).then(|| KeyIndex::new(&job.key)),
            latest_by: job.latest_by.as_ref().map(|sql| RowSql::new(sql.as_str(), "latest_by")),
            time,
            cursor,
            spool,
            schemas: Vec::new(),
            counts: RowCounts::default(),
            bad: Vec::new(),
            undecoded: 0,
            first_nulled: None,
            superseded: Vec::new(),
            outside: BTreeSet::new(),
            nulls: BTreeSet::new(),
            evidence: Evidence::default(),
            since: 0,
            overlap: matches!(job.paginate.kind, PaginateKind::Seek { bound: SeekBound::Inclusive, .. }),
        }
    }

    /// Goes on to a part of the window: rows outside of it are those of another part. `asked` is the part with its padding.
    pub(super) const fn enter(&mut self, part: Window, asked: Window) {
        if let Some((_, window, padded)) = &mut self.time {
            *window = part;
            *padded = asked;
        }
    }

    /// Takes a page in. `request` names it in errors and in quarantine.
    pub(super) fn take(&mut self, page: DecodedPage, request: &str, number: u64) -> Result<Taken, RunError> {
        let first = self.spool.rows();
        self.counts.received += page.rows;
        self.counts.discarded_fields += page.discarded_fields;
        self.counts.nulled_values += page.nulled_values;
        if let (None, Some(row)) = (&self.first_nulled, page.first_nulled) {
            self.first_nulled = Some(BadRow::rejected(row, request, number));
        }
        self.evidence.note_page(page.server_rows, page.rows);
        let new_bad = page.rejected.iter().filter(|row| self.evidence.note_unkeyed(&row.raw)).count() as u64;
        // Before which of the rows that could be decoded each of the others stood.
        let stood =
            page.rejected.iter().enumerate().map(|(bad, row)| usize::try_from(row.ordinal).unwrap_or(usize::MAX) - bad);
        let stood: Vec<usize> = stood.collect();
        for row in page.rejected {
            let which = Which::Undecoded(self.undecoded);
            self.bad.push((BadRow::rejected(row, request, number), which, self.evidence.passes().number()));
            self.undecoded += 1;
        }
        let batch = page.batch;
        let new_good = self.observe(&batch, first, request, number)?;
        // Rows that a program made nothing of can't be told from others.
        let new_rows = if page.rows == 0 { page.server_rows } else { new_bad + new_good };
        self.cut_by_time(&batch, first, request, number)?;
        let full = self.cut_by_cursor(&batch, first, &stood, request, number)?;
        let batch = self.tagged(batch, page.schema)?;
        self.spool.push(batch)?;
        let last = self.spool.rows().checked_sub(1);
        Ok(Taken { new_rows, full, last_is_bad: last.is_some_and(|last| self.nulls.contains(&last)) })
    }

    fn tagged(&mut self, batch: RecordBatch, schema: RecordSchema) -> Result<RecordBatch, RunError> {
        if self.schemas.last() != Some(&schema) {
            self.schemas.push(schema);
        }
        let tag = (SCHEMA_TAG.to_owned(), (self.schemas.len() - 1).to_string());
        let schema = batch.schema().as_ref().clone().with_metadata([tag].into());
        batch.with_schema(Arc::new(schema)).map_err(|error| RunError::Spool(error.into()))
    }

    /// Returns how many rows the server has sent.
    pub(super) const fn received(&self) -> u64 {
        self.counts.received
    }

    /// Returns how many rows have been decoded, those that will be left out included: the ordinal of the next one.
    pub(super) fn rows(&self) -> u64 {
        self.spool.rows()
    }

    /// Tells whether it is known by now that a row doesn't land.
    pub(super) fn leaves_out(&self, ordinal: u64) -> bool {
        self.outside.contains(&ordinal) || self.nulls.contains(&ordinal)
    }

    /// Tells whether `rows` more could fill an incremental slice: what follows it isn't its own then.
    pub(super) fn fills_with(&self, rows: u64) -> bool {
        self.cursor.as_ref().is_some_and(|(_, increment)| increment.fills_with(rows))
    }

    /// Notes an answer that stands for a page with no rows.
    pub(super) fn note_empty_page(&mut self) {
        self.evidence.note_page(0, 0);
    }

    /// Notes the total that a page stated.
    pub(super) fn note_total(&mut self, total: Option<u64>) {
        self.evidence.note_total(total);
    }

    /// Returns how many rows of a batch no earlier page had.
    fn observe(&mut self, batch: &RecordBatch, first: u64, request: &str, page: u64) -> Result<u64, RunError> {
        let rows = batch.num_rows() as u64;
        if rows == 0 {
            return Ok(0);
        }
        let Some(keys) = &mut self.keys else {
            return Ok(if self.evidence.is_new(batch) { rows } else { 0 });
        };
        let observed = match &mut self.latest_by {
            None => keys.observe(batch, first)?,
            Some(row) => {
                let values = row.compiled(&batch.schema(), self.now)?.evaluate(batch);
                keys.observe_versions(batch, first, &values.map_err(|source| row.failed(source))?)?
            }
        };
        let earlier = observed.superseded.iter().map(|(earlier, _)| *earlier);
        let mut new_rows = self.evidence.note_keyed(observed.new_rows, earlier);
        self.superseded.extend(observed.superseded);
        for row in observed.null_keys {
            self.reject(batch, first, row, "a column of `key` is null", request, page);
            new_rows += u64::from(self.bad.last().is_some_and(|(bad, ..)| self.evidence.note_unkeyed(bad.row())));
        }
        Ok(new_rows)
    }

    fn cut_by_time(&mut self, batch: &RecordBatch, first: u64, request: &str, page: u64) -> Result<(), RunError> {
        let Some((row, window, asked)) = &mut self.time else { return Ok(()) };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (window, asked) = (*window, *asked);
        let times = row.compiled(&batch.schema(), self.now)?.timestamps_us(batch);
        let times = times.map_err(|source| row.failed(source))?;
        let mut ignored = 0;
        for at in 0..batch.num_rows() {
            if times.is_null(at) {
                self.reject(batch, first, at, "`window.time` is null", request, page);
                continue;
            }
            let time = DateTime::from_timestamp_micros(times.value(at)).unwrap_or_default();
            if !window.contains(time) {
                self.outside.insert(first + at as u64);
            }
            ignored += u64::from(time < asked.from || time > asked.to);
        }
        let rows = batch.num_rows() as u64;
        if ignored * 2 > rows {
            return Err(RunError::WindowIgnored { request: request.to_owned(), outside: ignored, rows, window: asked });
        }
        Ok(())
    }

    fn cut_by_cursor(
        &mut self,
        batch: &RecordBatch,
        first: u64,
        bad: &[usize],
        request: &str,
        page: u64,
    ) -> Result<bool, RunError> {
        let Some((row, increment)) = &mut self.cursor else { return Ok(false) };
        let mut fates = Vec::new();
        if batch.num_rows() > 0 {
            let values = row.compiled(&batch.schema(), self.now)?.evaluate(batch);
            let (kind, cursors) = cursor::cursors(&values.map_err(|source| row.failed(source))?)?;
            fates = increment.take(kind, &cursors, first, bad, request)?;
        } else {
            increment.take_bad(bad.len());
        }
        let full = increment.is_full();
        for (at, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Null => self.reject(batch, first, at, "`incremental.cursor` is null", request, page),
                Fate::Outside => {
                    self.outside.insert(first + at as u64);
                }
                Fate::Inside => {}
            }
        }
        Ok(full)
    }

    /// Moves a row of a batch to quarantine.
    fn reject(&mut self, batch: &RecordBatch, first: u64, row: usize, reason: &str, request: &str, page: u64) {
        if self.nulls.insert(first + row as u64) {
            let which = Which::Decoded(first + row as u64);
            let pass = self.evidence.passes().number();
            self.bad.push((BadRow::of(batch, row, reason, request, page), which, pass));
        }
    }

    /// Checks the value that the next page, and one day the next slice, is asked for by: it must be the cursor of the last row.
    pub(super) fn check_seek(&self, value: &Value, request: &str) -> Result<(), RunError> {
        let Some((kind, cursor)) = self.cursor.as_ref().and_then(|(_, increment)| increment.sought()) else {
            return Ok(());
        };
        let value = CursorValue(value.clone());
        match kind.read(&value) {
            Some(sought) if sought != cursor => {
                let (value, cursor) = (value.text(), kind.value(cursor).text());
                Err(RunError::SeekNotCursor { request: request.to_owned(), value, cursor })
            }
            // A time in the server's own format can't be compared.
            _ => Ok(()),
        }
    }

    /// Ends a pass over a slice that is read again until it is known to be whole.
    pub(super) fn end_pass(&mut self, end: EndReason) -> PassEnd {
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
    pub(super) fn finish(mut self, end: EndReason) -> Result<Collected, RunError> {
        let cursor_end = self.end_increment(end == EndReason::SliceFull);
        let passes = self.evidence.passes();
        let reconciliation = if passes.count() > 1 {
            self.evidence.weigh_settled(end, self.since, self.overlap)
        } else {
            self.evidence.weigh(end, self.keys.is_some(), self.overlap)
        };
        let (first, vanished) =
            (passes.get(self.since).map_or(0, |pass| pass.first), passes.vanished_before(self.since));
        self.leave_earlier_passes(first);
        let elsewhere = self.bad_elsewhere(cursor_end.as_ref());
        self.counts.deduplicated = self.leave_bad_twins();
        self.counts.quarantined = self.bad.len() as u64;
        self.counts.outside_window = self.outside.len() as u64 + elsewhere;
        let superseded = self.superseded();
        self.counts.deduplicated += superseded.len() as u64;
        self.spool.filter_out(self.nulls.iter().chain(&self.outside).copied());
        self.spool.filter_out(superseded.iter().copied());
        let rows = self.spool.finish()?;
        self.counts.decoded = rows.rows();
        if !self.counts.adds_up() {
            return Err(RunError::Account { account: format!("{:?}", self.counts) });
        }
        Ok(Collected {
            rows,
            schemas: self.schemas,
            counts: self.counts,
            bad: self.bad.into_iter().map(|(row, ..)| row).collect(),
            first_nulled: self.first_nulled,
            reconciliation,
            cursor_end,
            vanished,
        })
    }

    /// Leaves out what passes brought before the one since which rows count; `first` is that one's first row.
    fn leave_earlier_passes(&mut self, first: u64) {
        let early = |bad: &&(BadRow, Which, usize)| bad.2 < self.since && matches!(bad.1, Which::Undecoded(_));
        // Those that could be decoded are among the rows before the first.
        self.counts.read_again = first + self.bad.iter().filter(early).count() as u64;
        self.bad.retain(|(_, _, pass)| *pass >= self.since);
        self.spool.filter_out(0..first);
        self.nulls = self.nulls.split_off(&first);
        self.outside = self.outside.split_off(&first);
        self.superseded.retain(|(earlier, _)| *earlier >= first);
    }

    /// Leaves out bad rows that a later pass brought again: they go to quarantine once. Returns how many.
    fn leave_bad_twins(&mut self) -> u64 {
        let last: HashMap<String, usize> =
            self.bad.iter().map(|(row, _, pass)| (row.row().to_owned(), *pass)).collect();
        let before = self.bad.len();
        self.bad.retain(|(row, _, pass)| last.get(row.row()) == Some(pass));
        (before - self.bad.len()) as u64
    }

    /// Gives up the bad rows that belong to other slices, which have them in quarantine, or will. Returns how many of them
    /// couldn't be decoded: the others are among those outside.
    fn bad_elsewhere(&mut self, end: Option<&CursorValue>) -> u64 {
        let (before, mut decoded) = (self.bad.len() as u64, 0);
        let (outside, nulls, cursor) = (&self.outside, &mut self.nulls, &self.cursor);
        self.bad.retain(|(_, which, _)| match which {
            Which::Undecoded(bad) => !cursor.as_ref().is_some_and(|(_, increment)| increment.is_elsewhere(*bad, end)),
            Which::Decoded(ordinal) if outside.contains(ordinal) => {
                decoded += 1;
                nulls.remove(ordinal);
                false
            }
            Which::Decoded(_) => true,
        });
        before - self.bad.len() as u64 - decoded
    }

    /// Returns the rows that a later, or the latest, one of the same key replaces. One that doesn't land itself replaces none:
    /// else the key would be lost.
    fn superseded(&self) -> BTreeSet<u64> {
        let lands = |ordinal: &u64| !self.nulls.contains(ordinal) && !self.outside.contains(ordinal);
        if let (Some(keys), Some(_)) = (&self.keys, &self.latest_by) {
            return keys.outdated(|ordinal| lands(&ordinal));
        }
        let mut superseded = BTreeSet::new();
        for (earlier, later) in self.superseded.iter().rev() {
            if lands(later) || superseded.contains(later) {
                superseded.insert(*earlier);
            }
        }
        superseded.retain(lands);
        superseded
    }

    /// Leaves the rows after the slice's end to the next slice, and returns the end.
    fn end_increment(&mut self, cut_short: bool) -> Option<CursorValue> {
        let (_, increment) = self.cursor.as_ref()?;
        let (end, after) = increment.end(cut_short)?;
        self.outside.extend(after);
        Some(end)
    }
}

/// Returns the rows of a batch that `mask` keeps.
pub(super) fn keep(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch, RunError> {
    arrow::compute::filter_record_batch(batch, mask).map_err(|error| RunError::Spool(error.into()))
}
