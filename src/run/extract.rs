//! One slice, from its first request to its last row.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};

use super::collect::Collected;
use super::enrich::Enricher;
use super::intake::{Intake, PageRead};
use super::pages::{self, Asked, Pages};
use super::parts::Misfit;
use super::{Progress, RunError};
use crate::decode::DecodeError;
use crate::extract::auth::{Redactor, excerpt};
use crate::extract::http::{Exchange, RawAnswer};
use crate::extract::paginate::{PaginateError, Seen};
use crate::extract::request::RequestTree;
use crate::model::{EndReason, RecordSchema, Slice};
use crate::pipeline::spec::{Job, PartsSpec, Slicing, WindowSpec};

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
    /// The bytes received for it.
    bytes: u64,
    /// Whether the slice has enough rows.
    enough: bool,
    /// Why it wasn't taken in.
    misfit: Option<Misfit>,
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
        let mut enricher = self.enricher(slice, now)?;
        let intake = Arc::new(Mutex::new(Intake::new(&self.job, slice, now, pinned)?));
        loop {
            let asked = pages.ask()?;
            let Read { seen, bytes, enough, misfit } = self.page(&asked, &intake, enricher.as_mut(), limit).await?;
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
                let finished = tokio::task::spawn_blocking(move || finish(intake, end, asked.page, &redactor));
                let mut extracted = finished.await??;
                extracted.notes.extend(enricher.iter().flat_map(|enricher| enricher.notes(slice)));
                return Ok(extracted);
            }
        }
    }

    /// Fetches one page, and takes it in unless its part of the window has to be halved.
    async fn page(
        &self,
        asked: &Asked,
        intake: &Arc<Mutex<Intake>>,
        enricher: Option<&mut Enricher>,
        limit: Option<u64>,
    ) -> Result<Read, RunError> {
        let read = {
            let intake = Arc::clone(intake);
            move |answer: &RawAnswer| lock(&intake).decode(answer)
        };
        let extra = pages::fan_out(&self.job, &lock(intake).slice);
        let answered = self.exchange.send(&asked.request, extra, read).await?;
        let bytes = answered.answer.body.len() as u64;
        if answered.empty
            && let Some(Ok(page)) = &answered.page
            && page.rows() > 0
        {
            let problem = format!(
                "`empty` takes the answer for a page with no rows, but it has {}; `empty` sees the answer without its records, so \
                 what is left of a full page may look like nothing: make it stricter, or let `records` end in `?`",
                page.rows()
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
        let (misfit, page) = self.fitting(page, asked, &answered.answer, intake, limit).await?;
        if let Some(misfit) = misfit {
            let seen = Seen { rows: page.server_rows(), page: asked.page, ..Seen::default() };
            return Ok(Read { seen, bytes, enough: false, misfit: Some(misfit) });
        }
        let (page, skipped, more) = self.enriched(page, asked, intake, enricher, limit).await?;
        let (extraction, intake, asked) = (self.clone(), Arc::clone(intake), asked.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let mut intake = lock(&intake);
            let page = intake.typed(page);
            let page = page.map_err(|source| extraction.unreadable(&asked.line, &answered.answer, source))?;
            let (seen, full) = intake.take(page, &skipped, &asked, &answered.answer)?;
            let enough = full || limit.is_some_and(|limit| intake.collector.received() >= limit);
            Ok::<_, RunError>((seen, enough))
        });
        let (seen, enough) = taken.await??;
        Ok(Read { seen, bytes: bytes + more, enough, misfit: None })
    }

    /// Judges whether a page holds all that its part of the window has, before anything is asked for its rows.
    async fn fitting(
        &self,
        page: PageRead,
        asked: &Asked,
        answer: &RawAnswer,
        intake: &Arc<Mutex<Intake>>,
        limit: Option<u64>,
    ) -> Result<(Option<Misfit>, PageRead), RunError> {
        let whole = |spec: &WindowSpec| matches!(spec.parts, PartsSpec::Whole);
        if !matches!(&self.job.slicing, Slicing::Window(spec) if !whole(spec)) {
            return Ok((None, page));
        }
        let (intake, asked, answer) = (Arc::clone(intake), asked.clone(), answer.clone());
        let judge = move || Ok((lock(&intake).misfit(&page, &asked, &answer, limit)?, page));
        tokio::task::spawn_blocking(judge).await?
    }

    /// Sends the child requests of a page; returns it with their columns, the records that have none, and the bytes received.
    async fn enriched(
        &self,
        page: PageRead,
        asked: &Asked,
        intake: &Arc<Mutex<Intake>>,
        enricher: Option<&mut Enricher>,
        limit: Option<u64>,
    ) -> Result<(PageRead, BTreeSet<usize>, u64), RunError> {
        let (mut page, enricher) = match (page, enricher) {
            (PageRead::Split(page), Some(enricher)) => (page, enricher),
            (page, _) => return Ok((page, BTreeSet::new(), 0)),
        };
        let (intake, of) = (Arc::clone(intake), asked.clone());
        let prepare = move || {
            let skipped = lock(&intake).prepare(&mut page, limit, &of)?;
            Ok::<_, RunError>((page, skipped))
        };
        let (mut page, skipped) = tokio::task::spawn_blocking(prepare).await??;
        let bytes = enricher.enrich(&mut page, &skipped, asked).await?;
        Ok((PageRead::Split(page), skipped, bytes))
    }

    /// Says why a page can't be read.
    pub(super) fn unreadable(&self, line: &str, answer: &RawAnswer, source: DecodeError) -> RunError {
        unreadable(self.exchange.client.redactor(), line, answer, source)
    }

    /// Returns the first request of a slice in one line, redacted.
    pub(super) fn show(&self, slice: &Slice, now: DateTime<Utc>) -> Result<String, RunError> {
        Ok(self.exchange.client.redactor().scrub(&self.pages(slice, now).request()?.line()))
    }

    /// Prepares the requests of a slice.
    pub(super) fn pages(&self, slice: &Slice, now: DateTime<Utc>) -> Pages {
        Pages::new(&self.job, &self.tree, slice, &printed(now), self.exchange.client.redactor(), &self.had_one)
    }
}

/// Says why an answer can't be read. The decoder quotes the place; a quotation could begin within a secret, where it isn't known
/// as one, so that of an answer that echoes a secret the scrubbed beginning is quoted instead.
pub(super) fn unreadable(redactor: &Redactor, line: &str, answer: &RawAnswer, source: DecodeError) -> RunError {
    let body = String::from_utf8_lossy(&answer.body);
    if redactor.scrub(&body) == body {
        return RunError::Decode { request: line.to_owned(), source };
    }
    let problem =
        format!("the answer can't be read, and echoes the credential; it begins: {}", excerpt(redactor, &answer.body));
    RunError::Answer { request: line.to_owned(), problem }
}

/// Prints the run's instant as templates see it.
pub(super) fn printed(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::AutoSi, true)
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
