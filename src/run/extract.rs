//! One slice, from its first request to its last row.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, Utc};

use super::ahead::{Ahead, Lanes};
use super::collect::{Collected, PassEnd};
use super::intake::{Intake, Read, finish, lock};
use super::pages::{self, Asked, Pages};
use super::{Env, Progress, RunError, build};
use crate::decode::DecodeError;
use crate::extract::auth::excerpt;
use crate::extract::http::{Exchange, Exchanged, RawAnswer, Room, Turn};
use crate::extract::paginate::{PaginateError, Seen};
use crate::extract::request::RequestTree;
use crate::model::{EndReason, RecordSchema, Slice};
use crate::pipeline::file::OnMismatch;
use crate::pipeline::spec::Job;
use crate::transform::spool;

/// The slices of a job together keep this part of the memory limit in memory as rows; what is more goes to a temporary file.
const SPOOLED: u64 = 8;

/// The least that a slice keeps, in bytes: below it a temporary file isn't worth it.
const LEAST_SPOOL: usize = 1 << 20;

/// How many bytes of memory the writing of a slice takes for each of its largest page: its rows, what SQL makes of them, and what the
/// file's format makes of that.
const LANDING: u64 = 3;

/// All that the requests of a job's slices share.
#[derive(Clone)]
pub(super) struct Extraction {
    pub(super) job: Arc<Job>,
    pub(super) exchange: Exchange,
    pub(super) tree: Arc<RequestTree>,
    pub(super) progress: Arc<dyn Progress>,
    /// Whether a page of the job has given something to move on by.
    pub(super) had_one: Arc<AtomicBool>,
    /// What the slices that are read at once share.
    pub(super) lanes: Lanes,
}

/// A slice that was read to its end.
pub(super) struct Extracted {
    /// Its rows, and what they prove.
    pub(super) collected: Collected,
    /// The schema of its rows: what was pinned when it was begun, and its own additions.
    pub(super) schema: RecordSchema,
    /// Pages read.
    pub(super) pages: u64,
    /// The size of the largest, in bytes.
    pub(super) largest: u64,
    /// Whether it ended because it had enough rows: there may be more.
    pub(super) full: bool,
    /// What a person should know of its schema.
    pub(super) notes: Vec<String>,
}

impl Extraction {
    /// Prepares the requests of a job.
    pub(super) fn new(job: &Job, env: &Env) -> Result<Self, RunError> {
        Ok(Self {
            exchange: env.sources.exchange(job)?,
            tree: Arc::new(build::request(job)?),
            job: Arc::new(job.clone()),
            progress: Arc::clone(&env.progress),
            had_one: Arc::default(),
            lanes: Lanes::new(job.source.concurrency as usize),
        })
    }

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
        let intake = Arc::new(Mutex::new(Intake::new(&self.job, slice, now, pinned, self.spool_limit())?));
        let mut ahead = Ahead::new(&self.exchange, pages::fan_out(&self.job, slice), &self.lanes);
        let again = self.job.on_mismatch == OnMismatch::Refetch && limit.is_none();
        let mut read = 0;
        let end = loop {
            let (end, pages) = self.pass(slice, now, &intake, &mut ahead, limit).await?;
            read += pages;
            if !again {
                break end;
            }
            let intake = Arc::clone(&intake);
            match tokio::task::spawn_blocking(move || lock(&intake).collector.end_pass(end)).await? {
                PassEnd::Settled => break end,
                PassEnd::Again => tracing::debug!(job = %self.job.name, slice = %slice.id, "the slice is read again"),
                PassEnd::Unsettled { passes, story } => return Err(RunError::Unsettled { passes, story }),
            }
        };
        let (redactor, largest) = (self.exchange.client.redactor().clone(), ahead.largest());
        tokio::task::spawn_blocking(move || finish(intake, end, (read, largest), &redactor)).await?
    }

    /// Reads a slice's pages, from the first one. Returns why there are no more, and how many there were.
    async fn pass(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        intake: &Arc<Mutex<Intake>>,
        ahead: &mut Ahead,
        limit: Option<u64>,
    ) -> Result<(EndReason, u64), RunError> {
        let mut pages = self.pages(slice, now);
        loop {
            let asked = pages.ask()?;
            let Read { seen, bytes, enough, misfit } = self.page(&asked, &pages, intake, ahead, limit).await?;
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
                return Ok((end, asked.page));
            }
        }
    }

    /// Fetches one page, and takes it in unless its part of the window has to be halved. Once it is known what follows, that is asked
    /// for, and comes while the page is taken in.
    async fn page(
        &self,
        asked: &Asked,
        pages: &Pages,
        intake: &Arc<Mutex<Intake>>,
        ahead: &mut Ahead,
        limit: Option<u64>,
    ) -> Result<Read, RunError> {
        let read = {
            let intake = Arc::clone(intake);
            move |answer: &RawAnswer| lock(&intake).decode(answer)
        };
        let dispatched = ahead.answer(&asked.request).await?;
        let Exchanged { answer, page, empty, room } = self.exchange.settle(&asked.request, dispatched, read).await?;
        let bytes = answer.body.len() as u64;
        ahead.note_size(bytes);
        let page = match page {
            Some(Ok(page)) if empty && page.rows > 0 => return Err(too_many_for_none(asked, page.rows)),
            Some(page) if !empty => page.map_err(|source| self.unreadable(&asked.line, &answer, source))?,
            _ => {
                lock(intake).collector.note_empty_page();
                let seen = Seen { page: asked.page, ..Seen::default() };
                return Ok(Read { seen, bytes, enough: false, misfit: None });
            }
        };
        let (tell, told) = tokio::sync::oneshot::channel();
        let (intake, line) = (Arc::clone(intake), asked.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut intake = lock(&intake);
            let looked = intake.look(&page, &line, &answer)?;
            if looked.misfit.is_none() && limit.is_none() && !intake.collector.fills_with(page.rows) {
                // Nobody hears it where the slice was given up.
                let _ = tell.send(looked.seen.clone());
            }
            let taken = intake.take(page, looked, &line, limit);
            drop((answer, room));
            taken
        });
        if let Ok(seen) = told.await {
            ahead.send(pages.foresee(asked, &seen, ahead.most()));
        }
        let taken = work.await??;
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

    /// Returns how many bytes of rows a slice keeps in memory until its last page is in.
    fn spool_limit(&self) -> usize {
        let share = self.exchange.client.memory().limit() / SPOOLED / u64::from(self.job.source.concurrency).max(1);
        usize::try_from(share).unwrap_or(usize::MAX).clamp(LEAST_SPOOL, spool::DEFAULT_MEMORY_LIMIT)
    }

    /// Waits for the memory that the writing of a slice takes, whose largest page is of `largest` bytes. Keep it until it is written.
    pub(super) async fn room_to_land(&self, largest: u64) -> Room {
        let mut room = self.exchange.client.memory().room(Turn::now(), 0);
        // Whose turn it is gets what it asks for.
        let _ = room.grow(largest.saturating_mul(LANDING)).await;
        room
    }

    /// Prepares the requests of a slice.
    pub(super) fn pages(&self, slice: &Slice, now: DateTime<Utc>) -> Pages {
        let now = now.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        Pages::new(&self.job, &self.tree, slice, &now, self.exchange.client.redactor(), &self.had_one)
    }
}

/// Refuses rows in an answer that `empty` takes for a page with none.
fn too_many_for_none(asked: &Asked, rows: u64) -> RunError {
    let problem = format!(
        "`empty` takes the answer for a page with no rows, but it has {rows}; `empty` sees the answer without its records, so what is \
         left of a full page may look like nothing: make it stricter, or let `records` end in `?`"
    );
    RunError::Answer { request: asked.line.clone(), problem }
}

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
