//! What becomes of a page once it is there: its records typed, its rows taken in.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::answered::{Answered, one_of_several, unread_more};
use super::collect::{Collector, Rows, SliceMemory};
use super::pages::{self, Asked, Facts};
use super::parts::{self, Misfit};
use super::readers::Readers;
use super::row::RowSql;
use super::{RunError, names, source, window};
use crate::decode::{
    DecodeError, DecodeOptions, DecodedPage, EarlyPage, PageDecoder, PageVars, Piece, SplitPage, whole_of,
};
use crate::extract::http::{RawAnswer, RuleTexts};
use crate::extract::paginate::Seen;
use crate::lang::Selector;
use crate::lang::jq::JqInput;
use crate::model::{FanoutKey, RecordSchema, Slice, Window};
use crate::pipeline::file;
use crate::pipeline::spec::{Job, PartsSpec, Slicing};

/// What a person should look at where points came and didn't show their step.
const STEP_IS_UNPROVEN: &str = "`window.resolution.observed` gave null for answers with several rows, so it isn't proven that their \
                                points have the native step; if it does so for all of them, check it with `tidegate preview`";

/// The part that computes: what takes time is done on blocking threads, one of which has it locked at a time.
pub(super) struct Intake {
    pub(super) job: Arc<Job>,
    pub(super) slice: Slice,
    pub(super) decoder: PageDecoder,
    foresight: Option<Foresight>,
    pub(super) collector: Collector,
    /// What decodes pages before their turn.
    readers: Arc<Readers>,
    /// Whether an answer with several points didn't show their step.
    pub(super) step_is_unproven: bool,
    /// What the first answer said beside its records, for a preview.
    pub(super) answered: Option<Answered>,
    /// What an answer says of further pages, where the job reads one.
    pub(super) unread: Option<String>,
    /// The body of the page before, hashed, where none of its rows became a record; and whether this page has the same.
    barren: (Option<u64>, bool),
    shown: bool,
}

/// A page that was read, as far as that goes before child requests.
#[expect(clippy::large_enum_variant, reason = "a slice has one at a time")]
pub(super) enum PageRead {
    /// Its records are typed: the job has no child requests.
    Typed(DecodedPage),
    /// Its records are picked out.
    Split(SplitPage),
}

/// A page that was looked at.
pub(super) struct Looked {
    pub(super) page: PageRead,
    /// What it shows; which of its rows are new isn't known yet.
    pub(super) seen: Seen,
    /// Why its part of the window has to be halved.
    pub(super) misfit: Option<Misfit>,
    /// Whether the slice surely goes on, if there are more pages.
    pub(super) leads_on: bool,
}

/// Tells which rows lie outside of the window before they are typed for good, so that nothing more is asked about them.
struct Foresight {
    decoder: PageDecoder,
    time: RowSql,
    window: Window,
    now: DateTime<Utc>,
}

impl PageRead {
    /// Returns the number of records.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Self::Typed(page) => page.rows,
            Self::Split(page) => page.records.len() as u64,
        }
    }

    /// Returns how many bytes of memory the records take.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Typed(page) => page.pieces.iter().map(Piece::bytes).sum(),
            Self::Split(page) => page.records.iter().map(|record| record.len() as u64).sum(),
        }
    }

    /// Returns how many rows the server put on the page.
    pub(super) fn server_rows(&self) -> u64 {
        match self {
            Self::Typed(page) => page.server_rows,
            Self::Split(page) => page.server_rows,
        }
    }

    /// Returns the body without the records; for a program the whole body.
    fn envelope(&self) -> &Value {
        match self {
            Self::Typed(page) => &page.envelope,
            Self::Split(page) => &page.envelope,
        }
    }

    fn facts(&self) -> Facts {
        let (first, last) = match self {
            Self::Typed(page) => (&page.first, &page.last),
            Self::Split(page) => (&page.first, &page.last),
        };
        Facts { rows: self.server_rows(), first: first.clone(), last: last.clone() }
    }
}

impl Foresight {
    /// Returns the records of a page that lie outside. None do where the time is read from what child requests add.
    fn outside(&mut self, page: &SplitPage, part: Option<Window>) -> Result<BTreeSet<usize>, DecodeError> {
        let page = self.decoder.decode_records(page.clone())?;
        let mut times = Vec::new();
        for piece in &page.pieces {
            let time = self.time.compiled(&piece.batch.schema(), self.now);
            let Some(column) = time.ok().and_then(|time| time.timestamps_us(&piece.batch).ok()) else {
                return Ok(BTreeSet::new());
            };
            times.extend(&column);
        }
        let (bad, window) = (rejected(&page), part.unwrap_or(self.window));
        let good = (0..).filter(|ordinal| !bad.contains(ordinal));
        let is_outside = |time: i64| !window.contains(DateTime::from_timestamp_micros(time).unwrap_or_default());
        Ok(times.into_iter().zip(good).filter(|(time, _)| time.is_some_and(is_outside)).map(|(_, row)| row).collect())
    }
}

impl Intake {
    /// Says what a person should look at, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.decoder.notes();
        notes.extend(names::misspelt(&self.decoder, &self.job));
        notes.extend(self.unread.as_deref().map(one_of_several));
        notes.extend(self.step_is_unproven.then(|| STEP_IS_UNPROVEN.to_owned()));
        notes
    }

    /// Begins a slice, for a preview where `shown`. Beyond `memory` its rows and keys go to temporary files.
    pub(super) fn new(
        job: &Arc<Job>,
        slice: &Slice,
        now: DateTime<Utc>,
        pinned: Option<RecordSchema>,
        memory: &SliceMemory,
        shown: bool,
    ) -> Result<Self, RunError> {
        let asked = match (&job.slicing, slice.window()) {
            (Slicing::Window(spec), Some(cell)) => Some(window::padded(spec, cell)),
            _ => None,
        };
        let contract = match job.contract {
            file::Contract::Evolve => crate::decode::Contract::Evolve,
            file::Contract::Freeze => crate::decode::Contract::Freeze,
            file::Contract::Discard => crate::decode::Contract::Discard,
        };
        if let (Some(pinned), false) = (&pinned, contract == crate::decode::Contract::Evolve) {
            has_room(job, pinned)?;
        }
        let options = DecodeOptions {
            constants: constants(job, slice)?,
            contract,
            nulls: job.bad_rows == file::BadRows::Null,
            pinned,
            by_hand: job.columns.clone(),
            lean_envelope: nobody_sees_items(job),
            due: due(job, slice)?,
            // They take another pass over the page.
            want_edges: shown || pages::programs(job).iter().any(|program| program.names(&["first", "last"])),
            ..DecodeOptions::new(job.source.format, job.records.clone())
        };
        let foresight = match (&job.slicing, slice.window()) {
            (Slicing::Window(spec), Some(window)) if !job.enrich.is_empty() => {
                spec.time.as_ref().map(|time| Foresight {
                    decoder: PageDecoder::new(options.clone()),
                    time: RowSql::new(time.as_str(), "window.time"),
                    window,
                    now,
                })
            }
            _ => None,
        };
        let collector = Collector::new(job, &slice.kind, asked, now, memory, options.clone());
        let decoder = PageDecoder::new(options);
        let (job, readers, slice) = (Arc::clone(job), Arc::new(Readers::new(job, slice)), slice.clone());
        Ok(Self {
            job,
            slice,
            decoder,
            foresight,
            collector,
            readers,
            step_is_unproven: false,
            answered: None,
            unread: None,
            barren: (None, false),
            shown,
        })
    }

    /// Returns what decodes pages before their turn.
    pub(super) fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    /// Takes a page over that was decoded before its turn, if that stands.
    pub(super) fn adopt(&mut self, early: EarlyPage) -> Option<PageRead> {
        self.decoder.adopt(early).map(PageRead::Typed)
    }

    /// Decodes a page; returns the envelope that the answer is judged by, and the page.
    pub(super) fn decode(&mut self, answer: &RawAnswer) -> (Value, Result<PageRead, DecodeError>) {
        let version = self.decoder.version();
        let decoded = self.decode_now(answer);
        self.readers.learn(&self.decoder, version);
        decoded
    }

    fn decode_now(&mut self, answer: &RawAnswer) -> (Value, Result<PageRead, DecodeError>) {
        let context = PageVars { status: answer.status.as_u16(), headers: answer.headers.clone() };
        let vars = pages::fan_out(&self.job, &self.slice);
        let rows = self.job.rows.as_ref();
        let page = if self.job.enrich.is_empty() {
            self.decoder.decode(&answer.body, &context, rows, &vars).map(PageRead::Typed)
        } else {
            self.decoder.split(&answer.body, &context, rows, &vars).map(PageRead::Split)
        };
        let envelope = match &page {
            Ok(page) => page.envelope().clone(),
            // Maybe it is an error of the server that has no records: the rules see what there is.
            Err(_) => whole_of(&answer.body),
        };
        (envelope, page)
    }

    /// Looks at a page whose answer is a success, before anything is asked for its rows.
    pub(super) fn look(
        &mut self,
        page: PageRead,
        asked: &Asked,
        answer: &RawAnswer,
        limit: Option<u64>,
    ) -> Result<Looked, RunError> {
        if let Some(misfit) = self.misfit(&page, asked, answer, limit)? {
            let seen = Seen { rows: page.server_rows(), page: asked.page, ..Seen::default() };
            return Ok(Looked { page, seen, misfit: Some(misfit), leads_on: false });
        }
        if answer.unmarked {
            self.collector.note_unmarked();
        }
        let vars = pages::variables(&self.job, &self.slice, answer, &page.facts());
        let (envelope, rows) = (JqInput::new(page.envelope()), page.server_rows());
        let shown = pages::Shown { envelope, body: &answer.body, rows, new_rows: 0 };
        let seen = pages::seen(&self.job, asked, &shown, &vars)?;
        let (paginate, envelope) = (&self.job.paginate, page.envelope());
        if self.shown && self.answered.is_none() {
            self.answered = Some(Answered::of(paginate, &seen, envelope));
        }
        if paginate.reads_nothing_of_pages() && self.unread.is_none() {
            self.unread = unread_more(envelope);
        }
        let barren = (page.rows() == 0 && rows > 0).then(|| digest(&answer.body));
        self.barren = (barren, barren.is_some() && barren == self.barren.0);
        let leads_on = limit.is_none() && !self.collector.fills_with(page.rows());
        Ok(Looked { page, seen, misfit: None, leads_on })
    }

    /// Judges whether a page holds all that its part of the window has. With a `limit` it does once there are that many rows.
    fn misfit(
        &mut self,
        page: &PageRead,
        asked: &Asked,
        answer: &RawAnswer,
        limit: Option<u64>,
    ) -> Result<Option<Misfit>, RunError> {
        let Slicing::Window(spec) = &self.job.slicing else { return Ok(None) };
        let observed = match &spec.parts {
            PartsSpec::Resolution { observed, .. } => {
                let field = "window.resolution.observed";
                let failed = |source| RunError::Expression { request: asked.line.clone(), field, source };
                let vars = pages::variables(&self.job, &self.slice, answer, &page.facts());
                observed.one(page.envelope(), &vars).map_err(failed)?
            }
            PartsSpec::Whole | PartsSpec::Split { .. } => Value::Null,
        };
        let sized = matches!(spec.parts, PartsSpec::Resolution { .. });
        self.step_is_unproven |= sized && observed.is_null() && page.rows() > 1;
        let judged = parts::judge(&spec.parts, page.server_rows(), &observed);
        let judged = judged.map_err(|source| RunError::Part { request: asked.line.clone(), source })?;
        let enough = limit.is_some_and(|limit| self.collector.received() + page.rows() >= limit);
        Ok(judged.filter(|_| !enough))
    }

    /// Makes a page ready for child requests: cuts it where the slice needs fewer rows, and says which records have none.
    pub(super) fn prepare(
        &mut self,
        page: &mut SplitPage,
        limit: Option<u64>,
        asked: &Asked,
    ) -> Result<BTreeSet<usize>, RunError> {
        if let Some(limit) = limit {
            let wanted = limit.saturating_sub(self.collector.received());
            page.records.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
        let failed = |source| RunError::Decode { request: asked.line.clone(), source };
        self.foresight
            .as_mut()
            .map_or_else(|| Ok(BTreeSet::new()), |foresight| foresight.outside(page, asked.part).map_err(failed))
    }

    /// Types the records of a page.
    pub(super) fn typed(&mut self, page: PageRead) -> Result<DecodedPage, DecodeError> {
        match page {
            PageRead::Typed(page) => Ok(page),
            PageRead::Split(page) => self.decoder.decode_records(page),
        }
    }

    /// Takes a page in that was looked at and showed `seen`; returns that with what is new, whether the slice has enough, and the rows,
    /// which [`Collector::keep`] takes next. No child request was sent for the records in `skipped`.
    pub(super) fn take(
        &mut self,
        page: DecodedPage,
        mut seen: Seen,
        skipped: &BTreeSet<usize>,
        asked: &Asked,
    ) -> Result<(Seen, bool, Rows), RunError> {
        if let (Slicing::Window(spec), Some(part)) = (&self.job.slicing, asked.part) {
            self.collector.enter(part, window::padded(spec, part));
        }
        self.collector.note_total(seen.total);
        let last_is_bad = page.rejected.last().is_some_and(|row| row.ordinal + 1 == page.rows);
        let (first, bad) = (self.collector.rows(), rejected(&page));
        let (taken, rows) = self.collector.take(page, &asked.line, asked.page)?;
        let row = |ordinal: &usize| first + (ordinal - bad.range(..ordinal).count()) as u64;
        if let Some(lost) = skipped.iter().find(|at| !bad.contains(at) && !self.collector.leaves_out(row(at))) {
            let account = format!("row {} of {} lands without its child requests", lost + 1, asked.line);
            return Err(RunError::Account { account });
        }
        if let Some(value) = seen.last_value.as_ref().filter(|_| !last_is_bad && !taken.last_is_bad) {
            self.collector.check_seek(value, &asked.line)?;
        }
        // Rows that a program made nothing of can only be told from others by the whole answer.
        seen.new_rows = if self.barren.1 && seen.total.is_none() { 0 } else { taken.new_rows };
        seen.unlike = taken.unlike;
        seen.tied = taken.tied && !last_is_bad;
        Ok((seen, taken.full, rows))
    }
}

fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

/// Returns the columns that the fan-out adds to every row.
pub(super) fn constants(job: &Job, slice: &Slice) -> Result<Vec<(String, serde_json::Value)>, RunError> {
    let mut columns = slice.key.as_ref().map(FanoutKey::columns).unwrap_or_default();
    for (name, program) in job.for_each.iter().flat_map(|for_each| &for_each.columns) {
        let failed =
            |source| RunError::Expression { request: "the parent's row".to_owned(), field: "for_each.columns", source };
        columns.push((name.clone(), program.one(&slice.parent, std::slice::from_ref(&slice.parent)).map_err(failed)?));
    }
    Ok(columns)
}

/// Returns the columns that each record has of its own and that tell it from others, where records are taken as they come.
fn due(job: &Job, slice: &Slice) -> Result<Vec<String>, RunError> {
    let Selector::Plain { .. } = &job.records else { return Ok(Vec::new()) };
    let added = constants(job, slice)?;
    let is_added = |column: &String| {
        added.iter().any(|(name, _)| name == column) || job.enrich.iter().any(|enrich| enrich.column == *column)
    };
    Ok(job.key.iter().filter(|column| !is_added(column)).cloned().collect())
}

/// Tells whether none of the programs that look at a page look at the list whose items `records` takes one by one.
fn nobody_sees_items(job: &Job) -> bool {
    let Selector::Program(records) = &job.records else { return false };
    let RuleTexts { empty, auth_failed, success, error_message, refused, retry_when, retry_after } =
        source::texts(&job.source);
    let rules = [empty, auth_failed, success, error_message, refused, retry_when, retry_after];
    rules.iter().flatten().all(|rule| records.hides_items_from(rule))
        && pages::programs(job).iter().all(|program| records.hides_items_from(program.text()))
}

/// Returns the records of a page that don't fit.
fn rejected(page: &DecodedPage) -> BTreeSet<usize> {
    page.rejected.iter().filter_map(|row| usize::try_from(row.ordinal).ok()).collect()
}

/// Checks that a schema which lets no column join has those of child requests.
fn has_room(job: &Job, pinned: &RecordSchema) -> Result<(), RunError> {
    let known = |name: &str| {
        job.columns.iter().any(|column| column.name == name)
            || pinned.columns().iter().any(|column| column.name == name)
    };
    match job.enrich.iter().find(|enrich| !known(&enrich.column)) {
        Some(enrich) => Err(RunError::EnrichPinned { column: enrich.column.clone() }),
        None => Ok(()),
    }
}
