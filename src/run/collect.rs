//! The pages of a slice, taken in: which rows are new, which lie outside of the slice, which are bad, and what that proves.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::RunError;
use super::cursor::{self, Cursor, CursorKind};
use super::evidence::Evidence;
use super::quarantine::BadRow;
use crate::decode::{DecodedPage, PageDecoder};
use crate::model::{CursorValue, EndReason, Reconciliation, RecordSchema, RowCounts, SliceKind, Window};
use crate::pipeline::file::SeekBound;
use crate::pipeline::spec::{Job, PaginateKind, Slicing};
use crate::transform::{KeyIndex, RowExpr, Spool, Spooled};

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

/// Takes the pages of one slice in. It computes: not for an async thread.
pub(super) struct Collector {
    now: DateTime<Utc>,
    keys: Option<KeyIndex>,
    time: Option<(Row, Window, Window)>,
    cursor: Option<Increment>,
    spool: Spool,
    schemas: Vec<RecordSchema>,
    counts: RowCounts,
    /// Rows for quarantine, each with its pass.
    bad: Vec<(usize, BadRow)>,
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

/// An SQL expression over rows whose schema may grow from page to page.
struct Row {
    sql: String,
    field: &'static str,
    compiled: Option<(SchemaRef, RowExpr)>,
}

/// The cursors of an incremental slice.
struct Increment {
    row: Row,
    start: CursorValue,
    last: Option<CursorValue>,
    rows_per_slice: u64,
    kind: Option<CursorKind>,
    seen: cursor::Seen,
    /// The cursor of the last good row.
    previous: Option<Cursor>,
    /// The cursors of the rows within the slice, by ordinal: those after the end are left to the next slice.
    ordinals: Vec<(Cursor, u64)>,
}

impl Collector {
    /// Starts with an empty slice. `asked` is the window with its padding.
    pub(super) fn new(job: &Job, kind: &SliceKind, asked: Option<Window>, now: DateTime<Utc>, spool: Spool) -> Self {
        let time = match (&job.slicing, kind) {
            (Slicing::Window(spec), SliceKind::Window(window)) => spec
                .time
                .as_ref()
                .map(|time| (Row::new(time.as_str(), "window.time"), *window, asked.unwrap_or(*window))),
            _ => None,
        };
        let cursor = match (&job.slicing, kind) {
            (Slicing::Incremental(spec), SliceKind::Incremental { start, end, .. }) => Some(Increment {
                row: Row::new(spec.cursor.as_str(), "incremental.cursor"),
                start: start.clone(),
                last: end.clone(),
                rows_per_slice: spec.rows_per_slice,
                kind: None,
                seen: cursor::Seen::default(),
                previous: None,
                ordinals: Vec::new(),
            }),
            _ => None,
        };
        Self {
            now,
            keys: (!job.key.is_empty()).then(|| KeyIndex::new(&job.key)),
            time,
            cursor,
            spool,
            schemas: Vec::new(),
            counts: RowCounts::default(),
            bad: Vec::new(),
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
        let pass = self.evidence.passes().number();
        self.bad.extend(page.rejected.into_iter().map(|row| (pass, BadRow::rejected(row, request, number))));
        let batch = page.batch;
        let new_good = self.observe(&batch, first, request, number)?;
        // Rows that a program made nothing of can't be told from others.
        let new_rows = if page.rows == 0 { page.server_rows } else { new_bad + new_good };
        self.cut_by_time(&batch, first, request, number)?;
        let full = self.cut_by_cursor(&batch, first, request, number)?;
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

    /// Tells whether `rows` more would fill an incremental slice: what follows it isn't its own then.
    pub(super) fn fills_with(&self, rows: u64) -> bool {
        let open = self.cursor.as_ref().filter(|increment| increment.last.is_none());
        open.is_some_and(|increment| increment.ordinals.len() as u64 + rows >= increment.rows_per_slice)
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
        let observed = keys.observe(batch, first)?;
        let mut new_rows =
            self.evidence.note_keyed(observed.new_rows, observed.superseded.iter().map(|(earlier, _)| *earlier));
        self.superseded.extend(observed.superseded);
        for row in observed.null_keys {
            self.reject(batch, first, row, "a column of `key` is null", request, page);
            new_rows += u64::from(self.bad.last().is_some_and(|(_, bad)| self.evidence.note_unkeyed(bad.row())));
        }
        Ok(new_rows)
    }

    fn cut_by_time(&mut self, batch: &RecordBatch, first: u64, request: &str, page: u64) -> Result<(), RunError> {
        let Some((row, window, asked)) = &mut self.time else { return Ok(()) };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (window, asked) = (*window, *asked);
        let field = row.field;
        let times = row.compiled(&batch.schema(), self.now)?.timestamps_us(batch);
        let times = times.map_err(|source| RunError::Transform { field, source })?;
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

    fn cut_by_cursor(&mut self, batch: &RecordBatch, first: u64, request: &str, page: u64) -> Result<bool, RunError> {
        let Some(mut increment) = self.cursor.take() else { return Ok(false) };
        let full = self.note_cursors(&mut increment, batch, first, request, page);
        self.cursor = Some(increment);
        full
    }

    fn note_cursors(
        &mut self,
        increment: &mut Increment,
        batch: &RecordBatch,
        first: u64,
        request: &str,
        page: u64,
    ) -> Result<bool, RunError> {
        if batch.num_rows() > 0 {
            let field = increment.row.field;
            let values = increment.row.compiled(&batch.schema(), self.now)?.evaluate(batch);
            let (kind, cursors) = cursor::cursors(&values.map_err(|source| RunError::Transform { field, source })?)?;
            increment.kind = Some(kind);
            let start = Increment::edge(kind, Some(&increment.start))?;
            let last = Increment::edge(kind, increment.last.as_ref())?;
            for (at, found) in cursors.into_iter().enumerate() {
                let ordinal = first + at as u64;
                if let (Some(previous), Some(found)) = (increment.previous, found)
                    && found < previous
                {
                    let (found, previous) = (kind.value(found).text(), kind.value(previous).text());
                    return Err(RunError::Unsorted { request: request.to_owned(), found, previous });
                }
                increment.previous = found.or(increment.previous);
                match found {
                    None => self.reject(batch, first, at, "`incremental.cursor` is null", request, page),
                    Some(found)
                        if start.is_some_and(|start| found <= start) || last.is_some_and(|last| found > last) =>
                    {
                        self.outside.insert(ordinal);
                    }
                    Some(found) => {
                        increment.seen.note(found);
                        increment.ordinals.push((found, ordinal));
                    }
                }
            }
        }
        let enough = increment.ordinals.len() as u64 >= increment.rows_per_slice;
        Ok(increment.last.is_none() && enough && increment.seen.can_end())
    }

    /// Moves a row of a batch to quarantine.
    fn reject(&mut self, batch: &RecordBatch, first: u64, row: usize, reason: &str, request: &str, page: u64) {
        if self.nulls.insert(first + row as u64) {
            let pass = self.evidence.passes().number();
            self.bad.push((pass, BadRow::of(batch, row, reason, request, page)));
        }
    }

    /// Checks the value that the next page, and one day the next slice, is asked for by: it must be the cursor of the last row.
    pub(super) fn check_seek(&self, value: &Value, request: &str) -> Result<(), RunError> {
        let Some((kind, cursor)) = self.cursor.as_ref().and_then(|increment| increment.kind.zip(increment.previous))
        else {
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
        self.outside.retain(|ordinal| !self.nulls.contains(ordinal));
        self.counts.outside_window = self.outside.len() as u64;
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
            bad: self.bad.into_iter().map(|(_, row)| row).collect(),
            first_nulled: self.first_nulled,
            reconciliation,
            cursor_end,
            vanished,
        })
    }

    /// Leaves out what passes brought before the one since which rows count; `first` is that one's first row. A bad row that
    /// several passes brought goes to quarantine once.
    fn leave_earlier_passes(&mut self, first: u64) {
        let all = self.bad.len();
        self.bad.retain(|(pass, _)| *pass >= self.since);
        let early = all - self.bad.len();
        let early_nulls = self.nulls.range(..first).count();
        // Those of them that were decoded are among the rows before the first.
        self.counts.read_again = first + (early - early_nulls) as u64;
        let mut last: HashMap<String, usize> = HashMap::new();
        for (pass, row) in &self.bad {
            last.insert(row.row().to_owned(), *pass);
        }
        let counted = self.bad.len();
        self.bad.retain(|(pass, row)| last.get(row.row()) == Some(pass));
        self.counts.quarantined = self.bad.len() as u64;
        self.counts.deduplicated = (counted - self.bad.len()) as u64;
        self.spool.filter_out(0..first);
        self.nulls = self.nulls.split_off(&first);
        self.outside = self.outside.split_off(&first);
        self.superseded.retain(|(earlier, _)| *earlier >= first);
    }

    /// Returns the rows that a later one of the same key replaces. One that doesn't land itself replaces none: else the key
    /// would be lost.
    fn superseded(&self) -> BTreeSet<u64> {
        let lands = |ordinal: &u64| !self.nulls.contains(ordinal) && !self.outside.contains(ordinal);
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
        let increment = self.cursor.as_ref()?;
        let end = increment.seen.end(cut_short)?;
        self.outside.extend(increment.ordinals.iter().filter(|(cursor, _)| *cursor > end).map(|(_, ordinal)| ordinal));
        increment.kind.map(|kind| kind.value(end))
    }
}

impl Increment {
    fn edge(kind: CursorKind, value: Option<&CursorValue>) -> Result<Option<Cursor>, RunError> {
        let Some(value) = value else { return Ok(None) };
        kind.read(value).map(Some).ok_or_else(|| RunError::CursorStart { start: value.text() })
    }
}

impl Row {
    fn new(sql: &str, field: &'static str) -> Self {
        Self { sql: sql.to_owned(), field, compiled: None }
    }

    /// Returns the expression for rows of `schema`.
    fn compiled(&mut self, schema: &SchemaRef, now: DateTime<Utc>) -> Result<&RowExpr, RunError> {
        let fits = self.compiled.as_ref().is_some_and(|(known, _)| known == schema);
        if !fits {
            let compiled = RowExpr::new(&self.sql, schema, now);
            let compiled = compiled.map_err(|source| RunError::Transform { field: self.field, source })?;
            self.compiled = Some((Arc::clone(schema), compiled));
        }
        match &self.compiled {
            Some((_, compiled)) => Ok(compiled),
            None => Err(RunError::Account { account: self.sql.clone() }),
        }
    }
}

/// Returns the rows of a batch that `mask` keeps.
pub(super) fn keep(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch, RunError> {
    arrow::compute::filter_record_batch(batch, mask).map_err(|error| RunError::Spool(error.into()))
}
