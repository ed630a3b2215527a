//! What computes while a slice is read: pages are decoded, looked at and taken in, off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::collect::Collector;
use super::extract::{Extracted, unproven};
use super::pages::{self, Asked, Facts};
use super::parts::{self, Misfit};
use super::{RunError, window};
use crate::decode::{DecodeError, DecodeOptions, DecodedPage, PageDecoder, PageVars};
use crate::extract::auth::Redactor;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Seen;
use crate::model::{EndReason, FanoutKey, RecordSchema, Slice};
use crate::pipeline::file;
use crate::pipeline::spec::{Job, LinkFrom, PaginateKind, PartsSpec, Slicing};
use crate::transform::Spool;

/// How deep records may nest before the rest of them is kept as JSON text. Deeper than any API means to; the Parquet writer walks
/// types by recursion, and 48 levels exhaust a thread's stack, which would end the process.
pub(super) const MAX_DEPTH: usize = 16;

/// A page that was fetched.
pub(super) struct Read {
    /// What it showed.
    pub(super) seen: Seen,
    /// The size of its body.
    pub(super) bytes: u64,
    /// Whether the slice has enough rows.
    pub(super) enough: bool,
    /// Why it wasn't taken in.
    pub(super) misfit: Option<Misfit>,
}

/// A page that was looked at.
pub(super) struct Looked {
    /// What it shows; which of its rows are new isn't known yet.
    pub(super) seen: Seen,
    /// Why its part of the window has to be halved.
    pub(super) misfit: Option<Misfit>,
}

/// The part that computes: one thread at a time has it.
pub(super) struct Intake {
    job: Arc<Job>,
    slice: Slice,
    decoder: PageDecoder,
    pub(super) collector: Collector,
    /// Whether an answer with several points didn't show their step.
    step_is_unproven: bool,
}

pub(super) fn lock(intake: &Mutex<Intake>) -> std::sync::MutexGuard<'_, Intake> {
    intake.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a slice: after how many pages, and of what size the largest was.
pub(super) fn finish(
    intake: Arc<Mutex<Intake>>,
    end: EndReason,
    (pages, largest): (u64, u64),
    redactor: &Redactor,
) -> Result<Extracted, RunError> {
    let lost = || RunError::Account { account: "the pages of the slice are still in use".to_owned() };
    let intake = Arc::into_inner(intake).ok_or_else(lost)?.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (schema, mut notes) = (intake.decoder.schema().clone(), intake.decoder.notes());
    notes.extend(unproven(end));
    notes.extend(intake.step_is_unproven.then(|| STEP_IS_UNPROVEN.to_owned()));
    let mut collected = intake.collector.finish(end)?;
    collected.bad.iter_mut().chain(&mut collected.first_nulled).for_each(|row| row.scrub(redactor));
    notes.extend(collected.first_nulled.as_ref().map(|row| format!("{}: such values are null", row.misfit())));
    let (passes, vanished) = (collected.reconciliation.passes, collected.vanished);
    notes.extend((vanished > 0).then(|| {
        format!("while a slice was read {passes} times, {vanished} of its rows went: they don't land (`on_mismatch: refetch`)")
    }));
    Ok(Extracted { collected, schema, pages, largest, full: end == EndReason::SliceFull, notes })
}

/// What a person should look at where points came and didn't show their step.
const STEP_IS_UNPROVEN: &str = "`window.resolution.observed` gave null for answers with several rows, so it isn't proven that their \
                                points have the native step; if it does so for all of them, check it with `tidegate preview`";

impl Intake {
    /// Begins a slice. `now` is its run's instant, `pinned` the schema that it was begun with; beyond `spool_limit` bytes its rows go
    /// to a temporary file.
    pub(super) fn new(
        job: &Arc<Job>,
        slice: &Slice,
        now: DateTime<Utc>,
        pinned: Option<RecordSchema>,
        spool_limit: usize,
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
        let collector = Collector::new(job, &slice.kind, asked, now, Spool::new(spool_limit));
        Ok(Self { job: Arc::clone(job), slice: slice.clone(), decoder, collector, step_is_unproven: false })
    }

    /// Decodes a page; returns the envelope that the answer is judged by, and the page.
    pub(super) fn decode(&mut self, answer: &RawAnswer) -> (Value, Result<DecodedPage, DecodeError>) {
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

    /// Looks at a page whose answer is a success.
    pub(super) fn look(&mut self, page: &DecodedPage, asked: &Asked, answer: &RawAnswer) -> Result<Looked, RunError> {
        let facts = Facts { rows: page.server_rows, first: page.first.clone(), last: page.last.clone() };
        let vars = pages::variables(&self.job, &self.slice, answer, &facts);
        let shown = pages::Shown { envelope: &page.envelope, rows: page.server_rows, new_rows: 0 };
        let seen = pages::seen(&self.job, asked, &shown, &vars)?;
        let misfit = self.misfit(page, asked, &vars)?;
        Ok(Looked { seen, misfit })
    }

    /// Takes a page in, unless its part of the window has to be halved. With a `limit` rows are enough once there are that many.
    pub(super) fn take(
        &mut self,
        page: DecodedPage,
        looked: Looked,
        asked: &Asked,
        limit: Option<u64>,
    ) -> Result<Read, RunError> {
        let mut seen = looked.seen;
        let enough = |rows: u64| limit.is_some_and(|limit| rows >= limit);
        if let Some(misfit) = looked.misfit
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
fn constants(job: &Job, slice: &Slice) -> Result<Vec<(String, serde_json::Value)>, RunError> {
    let mut columns = slice.key.as_ref().map(FanoutKey::columns).unwrap_or_default();
    for (name, program) in job.for_each.iter().flat_map(|for_each| &for_each.columns) {
        let failed =
            |source| RunError::Expression { request: "the parent's row".to_owned(), field: "for_each.columns", source };
        columns.push((name.clone(), program.one(&slice.parent, std::slice::from_ref(&slice.parent)).map_err(failed)?));
    }
    Ok(columns)
}
