//! The pages of a slice, taken in: which rows are new, which lie outside of the slice, which are bad, and what that proves.

mod came;
mod cuts;
mod edges;
mod end;
mod kin;
mod rows;
mod strays;
mod unlike;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use chrono::{DateTime, Utc};
use serde_json::Value;

use self::came::Came;
pub(super) use self::edges::Edges;
pub(super) use self::end::{Collected, PassEnd};
use self::kin::Kin;
pub(super) use self::rows::Rows;
use self::strays::OwnTime;
use self::unlike::Unlike;
use super::RunError;
use super::bad::{BadRows, Which};
use super::early::{Early, Feeder, Opening};
use super::evidence::Evidence;
use super::increment::Increment;
use super::quarantine::{BadRow, Fault};
use super::row::RowSql;
use crate::decode::{DecodeOptions, DecodedPage};
use crate::model::{RecordSchema, RowCounts, SliceKind, Window};
use crate::pipeline::file::SeekBound;
use crate::pipeline::spec::{Job, PaginateKind, Slicing};
use crate::transform::{KeyIndex, Ordinals, Replaced, Spool};

/// Under this name a batch carries the number of the working schema that it was decoded with: `string` and `json` are one
/// Arrow type.
const SCHEMA_TAG: &str = "tidegate.working_schema";

/// How many bytes of memory a slice may take until its last page is in; what is more lies in temporary files.
#[derive(Debug, Clone, Copy)]
pub(super) struct SliceMemory {
    /// For rows.
    pub(super) rows: usize,
    /// For the values of `key`.
    pub(super) keys: usize,
}

/// What a page brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Rows with a key that no earlier page had.
    pub(super) new_rows: u64,
    /// Records that have nothing of a row of the job.
    pub(super) unlike: u64,
    /// Whether an incremental slice has the rows that it was meant to have.
    pub(super) full: bool,
    /// Whether the last of the rows that could be decoded went to quarantine.
    pub(super) last_is_bad: bool,
    /// Whether the last two of them have the same value of `seek`.
    pub(super) tied: bool,
}

/// Takes the pages of one slice in. It computes: not for an async thread.
pub(super) struct Collector {
    now: DateTime<Utc>,
    keys: Option<KeyIndex>,
    latest_by: Option<RowSql>,
    time: Option<OwnTime>,
    cursor: Option<(RowSql, Increment)>,
    spool: Spool,
    schemas: Vec<RecordSchema>,
    /// How the pages are decoded.
    options: DecodeOptions,
    counts: RowCounts,
    /// Rows for quarantine.
    bad: BadRows,
    unlike: Unlike,
    /// What rows without a key are known by.
    kin: Option<Kin>,
    /// Whether a page may have nothing but records that are unlike rows: the job says how many may be bad.
    may_be_unlike: bool,
    undecoded: usize,
    first_nulled: Option<BadRow>,
    /// The first record as it came, where it was wanted.
    first: Value,
    /// Rows and the later ones of the same key.
    replaced: Replaced,
    outside: Ordinals,
    nulls: Ordinals,
    /// The first row of the last page.
    last_page: u64,
    evidence: Evidence,
    /// The columns in which a row had a value.
    valued: BTreeSet<String>,
    /// The pass since which rows count.
    since: usize,
    /// The column that `seek` goes by, where it is one as it stands.
    sought: Option<String>,
    /// Whether pages share rows on purpose: an inclusive `seek` asks for the last row again.
    overlap: bool,
    /// Gives the rows away to be written as they come.
    feeder: Option<Feeder>,
}

impl Collector {
    /// Starts with an empty slice. `asked` is the window with its padding, `memory` what the rows and their keys may take, `options` how
    /// the pages are decoded.
    pub(super) fn new(
        job: &Job,
        kind: &SliceKind,
        asked: Option<Window>,
        now: DateTime<Utc>,
        memory: &SliceMemory,
        options: DecodeOptions,
    ) -> Self {
        let time = match (&job.slicing, kind) {
            (Slicing::Window(spec), SliceKind::Window(window)) => {
                OwnTime::new(job, spec, *window, asked.unwrap_or(*window))
            }
            _ => None,
        };
        let cursor = match (&job.slicing, kind) {
            (Slicing::Incremental(spec), SliceKind::Incremental { start, end, .. }) => {
                let row = RowSql::new(spec.cursor.as_str(), "incremental.cursor");
                Some((row, Increment::new(spec, start, end.as_ref(), now)))
            }
            _ => None,
        };
        let unlike = Unlike::new(job, &options);
        Self {
            now,
            keys: (!job.key.is_empty()).then(|| KeyIndex::new(&job.key, memory.keys)),
            latest_by: job.latest_by.as_ref().map(|sql| RowSql::new(sql.as_str(), "latest_by")),
            time,
            cursor,
            spool: Spool::new(memory.rows),
            schemas: Vec::new(),
            counts: RowCounts::default(),
            bad: BadRows::default(),
            kin: unlike.knows_no_field().then(|| Kin::new(job, &options)),
            unlike,
            may_be_unlike: job.max_bad_rows.is_some(),
            undecoded: 0,
            options,
            first_nulled: None,
            first: Value::Null,
            replaced: Replaced::default(),
            outside: Ordinals::default(),
            nulls: Ordinals::default(),
            last_page: 0,
            evidence: Evidence::of(job),
            valued: BTreeSet::new(),
            since: 0,
            sought: match &job.paginate.kind {
                PaginateKind::Seek { column, .. } => column.clone(),
                _ => None,
            },
            overlap: matches!(job.paginate.kind, PaginateKind::Seek { bound: SeekBound::Inclusive, .. }),
            feeder: None,
        }
    }

    /// Returns how many bytes of memory it takes to tell which rows land, about, once all are there.
    pub(super) fn sorting(&self) -> u64 {
        self.keys.as_ref().map_or(0, KeyIndex::sorting)
    }

    /// Returns how many bytes of memory the rows and keys take that are there.
    pub(super) fn memory(&self) -> u64 {
        self.spool.memory_bytes() + self.keys.as_ref().map_or(0, KeyIndex::bytes)
    }

    /// Has the rows written as they come, but where only the slice's end tells which of them land.
    pub(super) fn write_early(&mut self, early: Early, opening: Opening) {
        if self.latest_by.is_none() && self.cursor.is_none() && !self.overlap {
            self.feeder = Some(Feeder::new(early, opening, self.options.clone()));
        }
    }

    /// Goes on to a part of the window: rows outside of it are those of another part. `asked` is the part with its padding.
    pub(super) const fn enter(&mut self, part: Window, asked: Window) {
        if let Some(time) = &mut self.time {
            time.window = part;
            time.asked = asked;
        }
    }

    /// Takes a page in, but for its rows, which it returns: they are to be kept next. `request` names it in errors and in quarantine.
    pub(super) fn take(&mut self, page: DecodedPage, request: &str, number: u64) -> Result<(Taken, Rows), RunError> {
        let first = self.spool.rows();
        self.last_page = first;
        self.counts.received += page.rows;
        self.counts.discarded_fields += page.discarded_fields;
        self.counts.nulled_values += page.nulled_values;
        if let (None, Some(row)) = (&self.first_nulled, page.first_nulled) {
            self.first_nulled = Some(BadRow::rejected(row, request, number));
        }
        if self.first.is_null() {
            self.first = page.first;
        }
        self.evidence.note_page(page.server_rows, page.rows);
        let new_bad = page.rejected.iter().filter(|row| self.evidence.note_unkeyed(&row.raw)).count() as u64;
        let stood =
            page.rejected.iter().enumerate().map(|(bad, row)| usize::try_from(row.ordinal).unwrap_or(usize::MAX) - bad);
        let came = Came::new(request, number, stood.collect(), &page.origin);
        let mut unlike = 0;
        for row in page.rejected {
            unlike += u64::from(self.unlike.is_rejected(&row));
            let which = Which::Undecoded(self.undecoded);
            let pass = self.evidence.passes().number();
            self.bad.push(BadRow::rejected(row, request, number), which, pass)?;
            self.undecoded += 1;
        }
        let rows = Rows { pieces: page.pieces, schema: page.schema };
        self.check_kinship(&rows, page.rows, &came)?;
        self.note_values(&rows);
        let tied = self.ends_tied(&rows);
        let new_good = self.observe(&rows, first, &came, &mut unlike)?;
        self.check_likeness(unlike, page.rows, request)?;
        // Rows that a program made nothing of can't be told from others.
        let new_rows = if page.rows == 0 { page.server_rows } else { new_bad + new_good };
        self.evidence.note_again(page.server_rows, page.rows, new_rows);
        self.cut_by_time(&rows, first, &came)?;
        let full = self.cut_by_cursor(&rows, first, &came)?;
        self.bad.check(self.counts.received)?;
        let last = (first + rows.count()).checked_sub(1);
        let last_is_bad = last.is_some_and(|last| self.nulls.contains(last));
        Ok((Taken { new_rows, unlike, full, last_is_bad, tied }, rows))
    }

    /// Tells whether the last two rows of a page have the same value of `seek`.
    fn ends_tied(&self, rows: &Rows) -> bool {
        let Some(name) = &self.sought else { return false };
        let value = |(batch, at): (&RecordBatch, usize)| Some(batch.column_by_name(name)?.slice(at, 1));
        let [Some(before), Some(last)] = rows.last_two().map(|row| row.and_then(value)) else { return false };
        before.is_valid(0) && before.as_ref() == last.as_ref()
    }

    /// Keeps the rows of the page that was taken in, and gives them away to be written: then it may wait for the thread that writes.
    pub(super) fn keep(&mut self, rows: Rows, request: &str) -> Result<(), RunError> {
        for piece in rows.pieces {
            let held = piece.held().map_err(|source| RunError::Decode { request: request.to_owned(), source })?;
            self.feed(&held, &rows.schema)?;
            let batch = self.tagged(held, &rows.schema)?;
            self.spool.push(batch)?;
        }
        Ok(())
    }

    /// Notes the columns that have a value in a page.
    fn note_values(&mut self, rows: &Rows) {
        for (_, batch) in rows.numbered() {
            // Columns only ever join: all of them are known to have one.
            if self.valued.len() == batch.num_columns() {
                continue;
            }
            for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                if column.null_count() < column.len() && !self.valued.contains(field.name()) {
                    self.valued.insert(field.name().clone());
                }
            }
        }
    }

    fn feed(&mut self, batch: &RecordBatch, schema: &RecordSchema) -> Result<(), RunError> {
        let Some(feeder) = &mut self.feeder else { return Ok(()) };
        if !self.replaced.is_empty() {
            feeder.give_up();
            return Ok(());
        }
        feeder.take(batch, schema, self.spool.rows(), [&self.outside, &self.nulls])
    }

    fn tagged(&mut self, batch: RecordBatch, schema: &RecordSchema) -> Result<RecordBatch, RunError> {
        if self.schemas.last() != Some(schema) {
            self.schemas.push(schema.clone());
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
        self.outside.contains(ordinal) || self.nulls.contains(ordinal)
    }

    /// Tells whether `rows` more could fill an incremental slice: what follows it isn't its own then.
    pub(super) fn fills_with(&self, rows: u64) -> bool {
        self.cursor.as_ref().is_some_and(|(_, increment)| increment.fills_with(rows))
    }

    /// Notes an answer that stands for a page with no rows.
    pub(super) fn note_empty_page(&mut self) {
        self.evidence.note_page(0, 0);
    }

    /// Notes that nothing tells whether an answer is whole.
    pub(super) fn note_unmarked(&mut self) {
        self.evidence.note_unmarked();
    }

    /// Notes the total that a page stated.
    pub(super) fn note_total(&mut self, total: Option<u64>) {
        self.evidence.note_total(total);
    }

    /// Returns how many rows of a page no earlier one had; adds those that are unlike rows to `unlike`.
    fn observe(&mut self, rows: &Rows, first: u64, came: &Came<'_>, unlike: &mut u64) -> Result<u64, RunError> {
        let count = rows.count();
        if count == 0 {
            return Ok(0);
        }
        if self.keys.is_none() {
            return Ok(if self.evidence.is_new(&rows.batches(), came.request)? { count } else { 0 });
        }
        let mut new_rows = 0;
        for (at, batch) in rows.numbered() {
            new_rows += self.observe_keys(batch, &rows.schema, (first, at), came, unlike)?;
        }
        Ok(new_rows)
    }

    /// As [`Collector::observe`], for the rows of a page from `at` on.
    fn observe_keys(
        &mut self,
        batch: &RecordBatch,
        schema: &RecordSchema,
        (first, at): (u64, usize),
        came: &Came<'_>,
        unlike: &mut u64,
    ) -> Result<u64, RunError> {
        let Some(keys) = &mut self.keys else { return Ok(0) };
        let (observed, failed) = match &mut self.latest_by {
            None => (keys.observe(batch, first + at as u64)?, BTreeMap::new()),
            Some(row) => {
                let compiled = row.compiled(&batch.schema(), self.now)?;
                compiled.check_order(schema)?;
                let values = compiled.evaluate_apart(batch);
                let (values, failed) = values.map_err(|source| row.failed(source))?;
                let observed = keys.observe_versions(batch, first + at as u64, &values, &failed)?;
                (observed, row.faults(failed))
            }
        };
        let of_key = |row: &usize| (*row, Fault::of_key(keys.null_column(batch, *row).unwrap_or_default()));
        // Of two faults of a row the one of its key counts.
        let faults: Vec<(usize, Fault)> = observed.null_keys.iter().map(of_key).chain(failed).collect();
        let earlier = observed.superseded.iter().map(|(earlier, _)| *earlier);
        let mut new_rows = self.evidence.note_keyed(observed.new_rows, earlier);
        for (earlier, later) in observed.superseded {
            self.replaced.push(earlier, later)?;
        }
        for (row, fault) in faults {
            if let Some(bad) = self.reject(first, at + row, &fault, came)? {
                new_rows += u64::from(self.evidence.note_unkeyed(&bad));
                *unlike += u64::from(self.unlike.is(&bad));
            }
        }
        Ok(new_rows)
    }

    /// Refuses a page whose records share nothing with the rows before, as [`Collector::check_likeness`] does with one whose records are
    /// no rows.
    fn check_kinship(&mut self, rows: &Rows, records: u64, came: &Came<'_>) -> Result<(), RunError> {
        let problem = self.kin.as_mut().map(|kin| kin.take(rows, records, came)).transpose()?.flatten();
        match problem {
            Some(problem) if !self.may_be_unlike => Err(RunError::Answer { request: came.request.to_owned(), problem }),
            problem => {
                self.evidence.note_strange(problem.is_some());
                Ok(())
            }
        }
    }

    /// Notes records that are unlike rows, and refuses a page that has no others: it would be counted, and moved on by, as if it
    /// were rows.
    fn check_likeness(&mut self, unlike: u64, rows: u64, request: &str) -> Result<(), RunError> {
        self.evidence.note_unlike(unlike);
        if unlike == 0 || unlike < rows || self.may_be_unlike {
            return Ok(());
        }
        let problem = self.unlike.problem(rows, &self.bad.last());
        Err(RunError::Answer { request: request.to_owned(), problem })
    }

    /// Moves a row that was decoded to quarantine, and returns its text; none where it is there already.
    fn reject(&mut self, first: u64, row: usize, fault: &Fault, came: &Came<'_>) -> Result<Option<String>, RunError> {
        if !self.nulls.insert(first + row as u64) {
            return Ok(None);
        }
        let which = Which::Decoded(first + row as u64);
        let bad = came.bad(row, fault)?;
        let text = bad.row().to_owned();
        self.bad.push(bad, which, self.evidence.passes().number())?;
        Ok(Some(text))
    }
}

/// Returns the rows of a batch that `mask` keeps.
pub(super) fn keep(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch, RunError> {
    arrow::compute::filter_record_batch(batch, mask).map_err(|error| RunError::Spool(error.into()))
}
