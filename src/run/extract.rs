//! One slice, from its first request to its last row.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::collect::{Collected, Collector};
use super::pages::{self, Asked, Facts, Pages};
use super::parts::{self, Misfit};
use super::{Progress, RunError, window};
use crate::decode::{DecodeError, DecodeOptions, DecodedPage, PageDecoder, PageVars};
use crate::extract::auth::{Redactor, excerpt};
use crate::extract::http::{Exchange, RawAnswer};
use crate::extract::paginate::{PaginateError, Seen};
use crate::extract::request::RequestTree;
use crate::model::{EndReason, FanoutKey, RecordSchema, Slice};
use crate::pipeline::file;
use crate::pipeline::spec::{Job, LinkFrom, PaginateKind, PartsSpec, Slicing};

/// How deep records may nest before the rest of them is kept as JSON text. Deeper than any API means to; the Parquet writer walks
/// types by recursion, and 48 levels exhaust a thread's stack, which would end the process.
pub(super) const MAX_DEPTH: usize = 16;

/// All that the requests of a job's slices share.
#[derive(Clone)]
pub(super) struct Extraction {
    pub(super) job: Arc<Job>,
    pub(super) exchange: Exchange,
    pub(super) tree: Arc<RequestTree>,
    pub(super) progress: Arc<dyn Progress>,
    /// Whether a page of the job has given something to move on by.
    pub(super) had_one: Arc<AtomicBool>,
}

/// A slice that was read to its end.
pub(super) struct Extracted {
    /// Its rows, and what they prove.
    pub(super) collected: Collected,
    /// The schema of its rows: what was pinned when it was begun, and its own additions.
    pub(super) schema: RecordSchema,
    /// Pages read.
    pub(super) pages: u64,
    /// Whether it ended because it had enough rows: there may be more.
    pub(super) full: bool,
    /// What a person should know of its schema.
    pub(super) notes: Vec<String>,
}

/// A page that was fetched.
struct Read {
    /// What it showed.
    seen: Seen,
    /// The size of its body.
    bytes: u64,
    /// Whether the slice has enough rows.
    enough: bool,
    /// Why it wasn't taken in.
    misfit: Option<Misfit>,
}

/// The part that computes: it is locked on blocking threads only, by one of them at a time.
struct Intake {
    job: Arc<Job>,
    slice: Slice,
    decoder: PageDecoder,
    collector: Collector,
    /// Whether an answer with several points didn't show their step.
    step_is_unproven: bool,
}

impl Extraction {
    /// Reads a slice. `now` is its run's instant, `pinned` the schema that it was begun with; with a `limit` it ends once it has
    /// that many rows.
    pub(super) async fn slice(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        pinned: Option<RecordSchema>,
        limit: Option<u64>,
    ) -> Result<Extracted, RunError> {
        let read = self.read(slice, now, pinned, limit).await;
        read.map_err(|error| error.scrubbed(self.exchange.client.redactor()))
    }

    async fn read(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        pinned: Option<RecordSchema>,
        limit: Option<u64>,
    ) -> Result<Extracted, RunError> {
        let mut pages = self.pages(slice, now);
        let intake = Arc::new(Mutex::new(Intake::new(&self.job, slice, now, pinned)?));
        loop {
            let asked = pages.ask()?;
            let Read { seen, bytes, enough, misfit } = self.page(&asked, &intake, limit).await?;
            if let Some(misfit) = misfit {
                self.progress.page(&self.job.name, 0, bytes);
                pages.halve(&asked, bytes, seen.rows, misfit)?;
                continue;
            }
            self.progress.page(&self.job.name, seen.rows, bytes);
            // Asked also of a slice that has enough: the page may show that rows before it can't be reached.
            let end = match pages.advance(&asked, bytes, &seen) {
                Ok(None) if enough => Some(EndReason::SliceFull),
                Err(RunError::Paginate { source: PaginateError::MaxPages { .. }, .. }) if enough => {
                    Some(EndReason::SliceFull)
                }
                decided => decided?,
            };
            if let Some(end) = end {
                let redactor = self.exchange.client.redactor().clone();
                return tokio::task::spawn_blocking(move || finish(intake, end, asked.page, &redactor)).await?;
            }
        }
    }

    /// Fetches one page, and takes it in unless its part of the window has to be halved.
    async fn page(&self, asked: &Asked, intake: &Arc<Mutex<Intake>>, limit: Option<u64>) -> Result<Read, RunError> {
        let read = {
            let intake = Arc::clone(intake);
            move |answer: &RawAnswer| lock(&intake).decode(answer)
        };
        let extra = pages::fan_out(&self.job, &lock(intake).slice);
        let answered = self.exchange.send(&asked.request, extra, read).await?;
        let bytes = answered.answer.body.len() as u64;
        if answered.empty
            && let Some(Ok(page)) = &answered.page
            && page.rows > 0
        {
            let problem = format!(
                "`empty` takes the answer for a page with no rows, but it has {}; `empty` sees the answer without its records, so \
                 what is left of a full page may look like nothing: make it stricter, or let `records` end in `?`",
                page.rows
            );
            return Err(RunError::Answer { request: asked.line.clone(), problem });
        }
        let page = match answered.page.filter(|_| !answered.empty) {
            None => {
                let seen = Seen { page: asked.page, ..Seen::default() };
                return Ok(Read { seen, bytes, enough: false, misfit: None });
            }
            Some(page) => page.map_err(|source| self.unreadable(&asked.line, &answered.answer, source))?,
        };
        let (intake, asked) = (Arc::clone(intake), asked.clone());
        let taken =
            tokio::task::spawn_blocking(move || lock(&intake).take(page, &asked, &answered.answer, limit)).await??;
        Ok(Read { bytes, ..taken })
    }

    /// Says why a page can't be read. The decoder quotes the place; a quotation could begin within a secret, where it isn't known
    /// as one, so that of an answer that echoes a secret the scrubbed beginning is quoted instead.
    pub(super) fn unreadable(&self, line: &str, answer: &RawAnswer, source: DecodeError) -> RunError {
        let (redactor, body) = (self.exchange.client.redactor(), String::from_utf8_lossy(&answer.body));
        if redactor.scrub(&body) == body {
            return RunError::Decode { request: line.to_owned(), source };
        }
        let problem = format!(
            "the answer can't be read, and echoes the credential; it begins: {}",
            excerpt(redactor, &answer.body)
        );
        RunError::Answer { request: line.to_owned(), problem }
    }

    /// Returns the first request of a slice in one line, redacted.
    pub(super) fn show(&self, slice: &Slice, now: DateTime<Utc>) -> Result<String, RunError> {
        Ok(self.exchange.client.redactor().scrub(&self.pages(slice, now).request()?.line()))
    }

    /// Prepares the requests of a slice.
    pub(super) fn pages(&self, slice: &Slice, now: DateTime<Utc>) -> Pages {
        let now = now.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        Pages::new(&self.job, &self.tree, slice, &now, self.exchange.client.redactor(), &self.had_one)
    }
}

fn lock(intake: &Mutex<Intake>) -> std::sync::MutexGuard<'_, Intake> {
    intake.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finish(intake: Arc<Mutex<Intake>>, end: EndReason, pages: u64, redactor: &Redactor) -> Result<Extracted, RunError> {
    let lost = || RunError::Account { account: "the pages of the slice are still in use".to_owned() };
    let intake = Arc::into_inner(intake).ok_or_else(lost)?.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (schema, mut notes) = (intake.decoder.schema().clone(), intake.decoder.notes());
    notes.extend(unproven(end));
    notes.extend(intake.step_is_unproven.then(|| STEP_IS_UNPROVEN.to_owned()));
    let mut collected = intake.collector.finish(end)?;
    collected.bad.iter_mut().chain(&mut collected.first_nulled).for_each(|row| row.scrub(redactor));
    notes.extend(collected.first_nulled.as_ref().map(|row| format!("{}: such values are null", row.misfit())));
    Ok(Extracted { collected, schema, pages, full: end == EndReason::SliceFull, notes })
}

/// What a person should look at where points came and didn't show their step.
const STEP_IS_UNPROVEN: &str = "`window.resolution.observed` gave null for answers with several rows, so it isn't proven that their \
                                points have the native step; if it does so for all of them, check it with `tidegate preview`";

/// Says what a person should look at where nothing was found to move on by.
pub(super) fn unproven(end: EndReason) -> Option<String> {
    let (what, field) = match end {
        EndReason::NoCursor => ("cursor", "paginate.cursor"),
        EndReason::NoLink => ("link", "paginate.next_link"),
        _ => return None,
    };
    Some(format!(
        "no page gave a {what} to move on by: either all rows fit on one page, or '{field}' looks at the wrong place; see an answer \
         with `tidegate preview`"
    ))
}

impl Intake {
    fn new(job: &Arc<Job>, slice: &Slice, now: DateTime<Utc>, pinned: Option<RecordSchema>) -> Result<Self, RunError> {
        let asked = match (&job.slicing, slice.window()) {
            (Slicing::Window(spec), Some(cell)) => Some(window::padded(spec, cell)),
            _ => None,
        };
        let contract = match job.contract {
            file::Contract::Evolve => crate::decode::Contract::Evolve,
            file::Contract::Freeze => crate::decode::Contract::Freeze,
            file::Contract::Discard => crate::decode::Contract::Discard,
        };
        let seeks = matches!(job.paginate.kind, PaginateKind::Seek { .. });
        let decoder = PageDecoder::new(DecodeOptions {
            format: job.source.format,
            selector: job.records.clone(),
            constants: constants(job, slice)?,
            contract,
            nulls: job.bad_rows == file::BadRows::Null,
            pinned,
            by_hand: job.columns.clone(),
            max_depth: MAX_DEPTH,
            want_edges: seeks
                || gives(&job.paginate.kind)
                || job.paginate.more.is_some()
                || job.paginate.total.is_some()
                || matches!(&job.slicing, Slicing::Window(spec) if matches!(spec.parts, PartsSpec::Resolution { .. })),
        });
        let collector = Collector::new(job, &slice.kind, asked, now);
        Ok(Self { job: Arc::clone(job), slice: slice.clone(), decoder, collector, step_is_unproven: false })
    }

    /// Decodes a page; returns the envelope that the answer is judged by, and the page.
    fn decode(&mut self, answer: &RawAnswer) -> (Value, Result<DecodedPage, DecodeError>) {
        let context = PageVars { status: answer.status.as_u16(), headers: answer.headers.clone() };
        let vars = pages::fan_out(&self.job, &self.slice);
        let page = self.decoder.decode(&answer.body, &context, self.job.rows.as_ref(), &vars);
        let envelope = match &page {
            Ok(page) => page.envelope.clone(),
            // Maybe it is an error of the server that has no records: the rules see what there is.
            Err(_) => serde_json::from_slice(&answer.body).unwrap_or_default(),
        };
        (envelope, page)
    }

    /// Takes a page in whose answer is a success, unless its part of the window has to be halved. With a `limit` rows are enough
    /// once there are that many.
    fn take(
        &mut self,
        page: DecodedPage,
        asked: &Asked,
        answer: &RawAnswer,
        limit: Option<u64>,
    ) -> Result<Read, RunError> {
        let facts = Facts { rows: page.server_rows, first: page.first.clone(), last: page.last.clone() };
        let vars = pages::variables(&self.job, &self.slice, answer, &facts);
        let shown = pages::Shown { envelope: &page.envelope, rows: page.server_rows, new_rows: 0 };
        let mut seen = pages::seen(&self.job, asked, &shown, &vars)?;
        let enough = |rows: u64| limit.is_some_and(|limit| rows >= limit);
        if let Some(misfit) = self.misfit(&page, asked, &vars)?
            && !enough(self.collector.received() + page.rows)
        {
            return Ok(Read { seen, bytes: 0, enough: false, misfit: Some(misfit) });
        }
        if let (Slicing::Window(spec), Some(part)) = (&self.job.slicing, asked.part) {
            self.collector.enter(part, window::padded(spec, part));
        }
        self.collector.note_total(seen.total);
        let last_is_bad = page.rejected.last().is_some_and(|row| row.ordinal + 1 == page.rows);
        let taken = self.collector.take(page, &asked.line, asked.page)?;
        if let Some(value) = seen.last_value.as_ref().filter(|_| !last_is_bad && !taken.last_is_bad) {
            self.collector.check_seek(value, &asked.line)?;
        }
        seen.new_rows = taken.new_rows;
        Ok(Read { seen, bytes: 0, enough: taken.full || enough(self.collector.received()), misfit: None })
    }

    /// Judges whether a page holds all that its part of the window has.
    fn misfit(&mut self, page: &DecodedPage, asked: &Asked, vars: &[Value]) -> Result<Option<Misfit>, RunError> {
        let Slicing::Window(spec) = &self.job.slicing else { return Ok(None) };
        let observed = match &spec.parts {
            PartsSpec::Resolution { observed, .. } => {
                let field = "window.resolution.observed";
                let failed = |source| RunError::Expression { request: asked.line.clone(), field, source };
                observed.one(&page.envelope, vars).map_err(failed)?
            }
            PartsSpec::Whole | PartsSpec::Split { .. } => Value::Null,
        };
        let sized = matches!(spec.parts, PartsSpec::Resolution { .. });
        self.step_is_unproven |= sized && observed.is_null() && page.rows > 1;
        let judged = parts::judge(&spec.parts, page.server_rows, &observed);
        judged.map_err(|source| RunError::Part { request: asked.line.clone(), source })
    }
}

/// Tells whether an expression over the page says how to move on.
fn gives(kind: &PaginateKind) -> bool {
    matches!(kind, PaginateKind::Cursor(_) | PaginateKind::NextLink(LinkFrom::Answer(_)))
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
