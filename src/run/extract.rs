//! One slice, from its first request to its last row.

mod due;
mod fetch;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::Instrument as _;

use super::ahead::{Ahead, Lanes};
use super::answered::Answered;
use super::collect::{Collected, PassEnd};
use super::early::{Early, Opening};
use super::enrich::Enricher;
use super::intake::{Intake, PageRead};
use super::meter::Meter;
use super::pages::{self, Asked, Pages};
use super::parts::Misfit;
use super::peek::Peek;
use super::sent::Sent;
use super::{Env, Progress, RunError, build, evidence, future, hidden};
use crate::clock::Clock;
use crate::decode::DecodeError;
use crate::extract::auth::{Redactor, excerpt};
use crate::extract::http::{Exchange, ExchangeError, Exchanged, Fault, RawAnswer, Room, Turn};
use crate::extract::paginate::{Ceilings, PaginateError, Seen};
use crate::extract::request::RequestTree;
use crate::model::{EndReason, Fetched, RecordSchema, Slice};
use crate::pipeline::file::OnMismatch;
use crate::pipeline::spec::Job;
use due::{Due, Step, Taken};

/// All that the requests of a job's slices share.
#[derive(Clone)]
pub(super) struct Extraction {
    pub(super) job: Arc<Job>,
    pub(super) exchange: Exchange,
    pub(super) tree: Arc<RequestTree>,
    pub(super) progress: Arc<dyn Progress>,
    /// Whether a page of the job has given something to move on by.
    pub(super) fullest: Arc<AtomicU64>,
    /// The most that a slice may take.
    pub(super) most: Ceilings,
    /// What the slices that are read at once share.
    pub(super) lanes: Lanes,
    /// What is used of the rows, where other jobs fan out over them.
    pub(super) sent: Arc<Sent>,
    /// This machine's clock, where windows that haven't ended for the server are refused.
    pub(super) clock: Option<Arc<dyn Clock>>,
}

/// What is wanted of a slice.
#[derive(Default)]
pub(super) struct Wanted {
    /// The schema that it was begun with.
    pub(super) pinned: Option<RecordSchema>,
    /// How many rows are enough, for somebody who looks at it.
    pub(super) limit: Option<u64>,
    /// How to write its rows as they come.
    pub(super) early: Option<(Early, Opening)>,
}

/// A slice that was read to its end.
pub(super) struct Extracted {
    /// Its rows, and what they prove.
    pub(super) collected: Collected,
    /// The schema of its rows: what was pinned when it was begun, and its own additions.
    pub(super) schema: RecordSchema,
    /// The memory that its rows take.
    pub(super) kept: Room,
    /// Whether it ended because it had enough rows: there may be more.
    pub(super) full: bool,
    /// What a person should know of its schema.
    pub(super) notes: Vec<String>,
    /// What a person should look at because its end proves nothing, unless an earlier slice shows that it is fine.
    pub(super) unproven: Option<String>,
    /// What the first answer said beside its records, for a preview.
    pub(super) answered: Option<Answered>,
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

/// The most characters of a body that are shown of a request to come.
const MOST_SHOWN: usize = 4000;

/// A slice that is being read.
struct Reading<'s> {
    slice: &'s Slice,
    now: DateTime<Utc>,
    limit: Option<u64>,
    intake: Arc<Mutex<Intake>>,
    ahead: Ahead,
    peek: Option<Peek>,
    enricher: Option<Enricher>,
    meter: &'s Meter,
    /// The memory that the rows and keys of the pages so far take.
    kept: Room,
}

impl Extraction {
    /// Prepares the requests of a job.
    pub(super) fn new(job: &Job, env: &Env) -> Result<Self, RunError> {
        Ok(Self {
            exchange: env.sources.exchange(job, &env.bounds.requests)?,
            tree: Arc::new(build::request(job)?),
            job: Arc::new(job.clone()),
            progress: Arc::clone(&env.progress),
            fullest: Arc::default(),
            most: env.bounds.ceilings,
            lanes: Lanes::new(job.source.concurrency as usize),
            sent: Arc::default(),
            clock: None,
        })
    }

    /// Reads a slice. `now` is its run's instant. `meter` counts what comes.
    pub(super) async fn slice(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        wanted: Wanted,
        meter: &Meter,
    ) -> Result<Extracted, RunError> {
        let read = self.read(slice, now, wanted, meter).await;
        read.map_err(|error| error.scrubbed(self.exchange.client.redactor()))
    }

    async fn read(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        Wanted { pinned, limit, early }: Wanted,
        meter: &Meter,
    ) -> Result<Extracted, RunError> {
        let again = self.job.on_mismatch == OnMismatch::Refetch && limit.is_none();
        // Of a slice that is read again only the last passes land.
        let early = early.filter(|_| !again);
        let intake = self.intake(slice, now, Wanted { pinned, limit, early })?;
        let readers = lock(&intake).readers();
        let mut reading = Reading {
            slice,
            now,
            limit,
            intake: Arc::clone(&intake),
            ahead: Ahead::new(&self.exchange, pages::fan_out(&self.job, slice), &self.lanes).read_by(readers),
            peek: Peek::new(&self.job, slice),
            enricher: self.enricher(slice, now)?,
            meter,
            kept: self.exchange.client.memory().room(Turn::beside(), 0),
        };
        let end = self.passes(&mut reading, again).await;
        meter.received(lock(&intake).collector.received());
        let end = end?;
        let redactor = self.exchange.client.redactor().clone();
        let (enricher, kept) = (reading.enricher.take(), reading.kept.take());
        drop(reading);
        let sorting = lock(&intake).collector.sorting();
        let room = self.room(sorting).await;
        let mut extracted = tokio::task::spawn_blocking(move || finish(intake, end, kept, &redactor)).await??;
        drop(room);
        extracted.kept.hold(extracted.collected.rows.memory_bytes());
        extracted.notes.extend(enricher.iter().flat_map(|enricher| enricher.notes(slice)));
        Ok(extracted)
    }

    /// Reads a slice's pages, `again` and again until it is known to be whole where that is wanted. Returns why there are no more.
    async fn passes(&self, reading: &mut Reading<'_>, again: bool) -> Result<EndReason, RunError> {
        let mut ever_ended = false;
        loop {
            let read = self.pass(reading).await;
            if !again {
                return read;
            }
            let end = or_stalled(read)?;
            ever_ended |= end.is_ok();
            let reason = end.as_ref().ok().copied();
            let (intake, slice) = (Arc::clone(&reading.intake), &reading.slice.id);
            match tokio::task::spawn_blocking(move || lock(&intake).collector.end_pass(reason)).await? {
                PassEnd::Settled => return end,
                PassEnd::Again => tracing::debug!(job = %self.job.name, %slice, "the slice is read again"),
                PassEnd::Unsettled { passes, story } => {
                    return Err(end.err().filter(|_| !ever_ended).unwrap_or(RunError::Unsettled { passes, story }));
                }
            }
        }
    }

    /// Makes ready to take a slice's pages in. It is large: not a part of the future that reads them.
    fn intake(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        Wanted { pinned, limit, early }: Wanted,
    ) -> Result<Arc<Mutex<Intake>>, RunError> {
        let mut intake = Intake::new(&self.job, slice, now, pinned, &self.slice_memory(), limit.is_some())?;
        if let Some((early, opening)) = early {
            intake.collector.write_early(early, opening);
        }
        Ok(Arc::new(Mutex::new(intake)))
    }

    /// Reads a slice's pages, from the first one. Returns why there are no more.
    async fn pass(&self, reading: &mut Reading<'_>) -> Result<EndReason, RunError> {
        let mut pages = self.pages(reading.slice, reading.now);
        loop {
            let asked = pages.ask()?;
            let span = tracing::error_span!("page", page = asked.page);
            let read = self.page(&asked, &pages, reading).instrument(span.clone()).await;
            if let (Some(end), true) = (pages.past_end(), read.as_ref().err().is_some_and(is_no_such_page)) {
                return Ok(end);
            }
            let Read { seen, bytes, enough, misfit } = read?;
            span.in_scope(|| tracing::debug!(rows = seen.rows, bytes, "page received"));
            reading.meter.add(Fetched { server_rows: seen.rows, ..Fetched::default() });
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
                return Ok(end);
            }
        }
    }

    /// Fetches one page, and takes it in unless its part of the window has to be halved. Once it is known what follows, that is
    /// asked for, and comes while the page is taken in.
    async fn page(&self, asked: &Asked, pages: &Pages, reading: &mut Reading<'_>) -> Result<Read, RunError> {
        let intake = Arc::clone(&reading.intake);
        let fetched = self.fetch(asked, pages, reading).await;
        let Exchanged { answer, page, empty, mut room } = reading.meter.note(fetched)?;
        if let (Some(clock), Some(window)) = (&self.clock, reading.slice.window()) {
            future::check_server(&answer.headers, window, clock.now())?;
        }
        let bytes = answer.body.len() as u64;
        reading.ahead.note_size(bytes);
        let page = match page {
            Some(Ok(page)) if empty && page.rows() > 0 => return Err(too_many_for_none(asked, page.rows())),
            Some(page) if !empty => page.map_err(|source| self.unreadable(&asked.line, &answer, source))?,
            _ => {
                lock(&intake).collector.note_empty_page();
                // What the job takes for an answer with no rows says of the first page that the list has none.
                let more = (asked.page == 1).then_some(false);
                let seen = Seen { page: asked.page, more, ..Seen::default() };
                return Ok(Read { seen, bytes, enough: false, misfit: None });
            }
        };
        room.hold(bytes + page.bytes());
        let due = Due { extraction: self.clone(), intake, asked: asked.clone(), answer, room, limit: reading.limit };
        let read = self.take_in(due, page, asked, pages, reading).await?;
        Ok(Read { bytes: bytes + read.bytes, ..read })
    }

    /// Takes a page in that was judged, and asks for what follows. Returns it with the bytes received beside the page itself.
    async fn take_in(
        &self,
        due: Due,
        page: PageRead,
        asked: &Asked,
        pages: &Pages,
        reading: &mut Reading<'_>,
    ) -> Result<Read, RunError> {
        // While all that may be out is out, what follows can be asked for afterwards.
        let follows = !self.job.paginate.reads_nothing_of_pages() && !reading.ahead.is_full();
        let between = reading.enricher.is_some() || follows;
        let (Taken { seen, enough, kept }, bytes) = match tokio::task::spawn_blocking(move || due.step(page, between))
            .await??
        {
            Step::Left { seen, misfit } => return Ok(Read { seen, bytes: 0, enough: false, misfit: Some(misfit) }),
            Step::Taken { taken, leads_on } => {
                if leads_on && !taken.enough {
                    reading.ahead.send(pages.foresee(asked, &taken.seen, reading.ahead.most())).await;
                }
                (taken, 0)
            }
            Step::Looked { mut due, page, seen, leads_on } => {
                if leads_on {
                    reading.ahead.send(pages.foresee(asked, &seen, reading.ahead.most())).await;
                }
                if reading.enricher.is_some() {
                    due.room.let_lead();
                }
                let enriched = self.enriched(page, asked, &reading.intake, reading.enricher.as_mut(), reading.limit);
                let (page, skipped, bytes) = enriched.await?;
                reading.meter.add(Fetched { bytes, ..Fetched::default() });
                (tokio::task::spawn_blocking(move || due.take(page, seen, &skipped)).await??, bytes)
            }
        };
        reading.kept.hold(kept);
        Ok(Read { seen, bytes, enough, misfit: None })
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
        unreadable(self.exchange.client.redactor(), line, answer, source.at_line(self.job.records_line))
    }

    /// Returns the first request of a slice in one line, redacted, for who looks at it alone.
    pub(super) fn show(&self, slice: &Slice, now: DateTime<Utc>) -> Result<String, RunError> {
        let line = self.pages(slice, now).request()?.line_with(MOST_SHOWN);
        Ok(self.exchange.client.redactor().scrub(&hidden::line(&line, &self.job.request)))
    }

    /// Prepares the requests of a slice.
    pub(super) fn pages(&self, slice: &Slice, now: DateTime<Utc>) -> Pages {
        let redactor = self.exchange.client.redactor();
        Pages::new(&self.job, &self.tree, slice, &printed(now), redactor, &self.fullest, self.most)
    }
}

/// Takes page after page with nothing new for the end of a pass, though not of the slice: a list that moves shows rows again, and the next
/// pass tells. That error comes back within; it stands where no pass fares better. Any other one stands at once.
pub(super) fn or_stalled(read: Result<EndReason, RunError>) -> Result<Result<EndReason, RunError>, RunError> {
    match read {
        Err(error @ RunError::Paginate { source: PaginateError::NoProgress { .. }, .. }) => Ok(Err(error)),
        read => read.map(Ok),
    }
}

/// Tells whether the server says that there is nothing where a page was asked for.
pub(super) fn is_no_such_page(error: &RunError) -> bool {
    matches!(error, RunError::Exchange(ExchangeError::Answer(answer))
        if answer.fault == Fault::Request && matches!(answer.status, 400 | 404 | 410 | 416 | 422))
}

/// Refuses rows in an answer that `empty` takes for a page with none.
fn too_many_for_none(asked: &Asked, rows: u64) -> RunError {
    let problem = format!(
        "`empty` takes the answer for a page with no rows, but it has {rows}; `empty` sees the answer without its records, so what is \
         left of a full page may look like nothing: make it stricter, or let `records` end in `?`"
    );
    RunError::Answer { request: asked.line.clone(), problem }
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

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finish(intake: Arc<Mutex<Intake>>, end: EndReason, kept: Room, redactor: &Redactor) -> Result<Extracted, RunError> {
    let lost = || RunError::Account { account: "the pages of the slice are still in use".to_owned() };
    let intake = Arc::into_inner(intake).ok_or_else(lost)?.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (schema, mut notes, wants_total) =
        (intake.decoder.schema().clone(), intake.notes(), intake.job.paginate.total.is_some());
    let mut collected = intake.collector.finish(end)?;
    // Where nothing came there is nothing to go on from, as on each quiet day of an `incremental`.
    let is_open = collected.counts.received > 0 && collected.reconciliation.total_last.is_none();
    let unproven = evidence::unproven(end).filter(|_| is_open);
    notes.extend((is_open && wants_total).then(|| evidence::NO_TOTAL.to_owned()));
    collected.bad.scrub(redactor);
    collected.first_nulled.iter_mut().for_each(|row| row.scrub(redactor));
    notes.extend(collected.first_nulled.as_ref().map(|row| format!("{}: such values are null", row.misfit())));
    notes.extend(collected.doubt.map(str::to_owned));
    let (passes, vanished) = (collected.reconciliation.passes, collected.vanished);
    notes.extend((vanished > 0).then(|| {
        format!("while a slice was read {passes} times, {vanished} of its rows went: they don't land (`on_mismatch: refetch`)")
    }));
    Ok(Extracted {
        collected,
        schema,
        kept,
        full: end == EndReason::SliceFull,
        notes,
        unproven,
        answered: intake.answered,
    })
}
