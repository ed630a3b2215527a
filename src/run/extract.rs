//! One slice, from its first request to its last row.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::collect::{Collected, Collector};
use super::pages::{self, Pages, RawPage};
use super::source::{Judged, SourceClient};
use super::{Progress, RunError, window};
use crate::decode::{DecodeOptions, DecodedPage, PageDecoder, PageVars};
use crate::extract::paginate::Seen;
use crate::extract::request::RequestTree;
use crate::model::{EndReason, RecordSchema, Slice};
use crate::pipeline::file;
use crate::pipeline::spec::{Job, PaginateKind, Slicing};

/// All that the requests of a job's slices share.
#[derive(Clone)]
pub(super) struct Extraction {
    pub(super) job: Arc<Job>,
    pub(super) source: Arc<SourceClient>,
    pub(super) tree: Arc<RequestTree>,
    pub(super) progress: Arc<dyn Progress>,
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

/// The part that computes, handed to a blocking thread for each page.
struct Intake {
    job: Arc<Job>,
    slice: Slice,
    decoder: PageDecoder,
    collector: Collector,
}

impl Extraction {
    /// Reads a slice. `now` is its run's instant, `pinned` the schema that it was begun with.
    pub(super) async fn slice(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        pinned: Option<RecordSchema>,
        limit: Option<u64>,
    ) -> Result<Extracted, RunError> {
        let mut pages = self.pages(slice, now);
        let mut intake = Box::new(Intake::new(&self.job, slice, now, pinned)?);
        loop {
            let page = pages.fetch().await?;
            let bytes = page.answer.body.len() as u64;
            let (back, page, seen, full) = tokio::task::spawn_blocking({
                let source = Arc::clone(&self.source);
                move || {
                    let taken = intake.take(&page, &source);
                    taken.map(|(seen, full)| (intake, page, seen, full))
                }
            })
            .await??;
            intake = back;
            self.progress.page(&self.job.name, seen.rows, bytes);
            let enough = limit.is_some_and(|limit| intake.collector.received() >= limit);
            let end = if full || enough { Some(EndReason::SliceFull) } else { pages.advance(&page, &seen)? };
            if let Some(end) = end {
                let pages = page.number;
                return tokio::task::spawn_blocking(move || intake.finish(end, pages)).await?;
            }
        }
    }

    /// Prepares the requests of a slice.
    pub(super) fn pages(&self, slice: &Slice, now: DateTime<Utc>) -> Pages {
        let now = now.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        Pages::new(&self.job, &self.tree, &self.source, slice, &now)
    }
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
        let decoder = PageDecoder::new(DecodeOptions {
            selector: job.records.clone(),
            constants: constants(job, slice)?,
            contract,
            pinned,
            by_hand: job.columns.clone(),
            want_edges: matches!(job.paginate.kind, PaginateKind::Seek { .. }) || job.paginate.more.is_some() || job.paginate.total.is_some(),
            ..DecodeOptions::default()
        });
        let collector = Collector::new(job, &slice.kind, asked, now);
        Ok(Self { job: Arc::clone(job), slice: slice.clone(), decoder, collector })
    }

    /// Takes a page in, and returns what it showed and whether the slice has enough.
    fn take(&mut self, raw: &RawPage, source: &SourceClient) -> Result<(Seen, bool), RunError> {
        let Some(page) = self.decode(raw, source)? else {
            return Ok((Seen { page: raw.number, ..Seen::default() }, false));
        };
        let vars = pages::variables(&self.job, &self.slice, &raw.answer, Some(&page));
        let shown = pages::Shown { envelope: &page.envelope, rows: page.server_rows, new_rows: 0 };
        let mut seen = pages::seen(&self.job, raw, &shown, &vars)?;
        self.collector.note_total(seen.total);
        let taken = self.collector.take(page, &raw.request, raw.number)?;
        seen.new_rows = taken.new_rows;
        Ok((seen, taken.full))
    }

    /// Decodes a page and judges its answer; none is a page with no rows.
    fn decode(&mut self, raw: &RawPage, source: &SourceClient) -> Result<Option<DecodedPage>, RunError> {
        let answer = &raw.answer;
        let vars = PageVars { status: answer.status, headers: answer.headers.clone() };
        let rows = self.job.rows.as_ref();
        let before = pages::variables(&self.job, &self.slice, answer, None);
        if !(200..300).contains(&answer.status) {
            return source.judge(raw, &source.body(answer), &before).map(|_| None);
        }
        match self.decoder.decode(&answer.body, &vars, rows, &before) {
            Ok(page) => {
                let after = pages::variables(&self.job, &self.slice, answer, Some(&page));
                Ok(match source.judge(raw, &page.envelope, &after)? {
                    Judged::Empty => None,
                    Judged::Page => Some(page),
                })
            }
            Err(error) => match source.judge(raw, &source.body(answer), &before)? {
                Judged::Empty => Ok(None),
                Judged::Page => Err(RunError::Decode { request: raw.request.clone(), source: error }),
            },
        }
    }

    fn finish(self, end: EndReason, pages: u64) -> Result<Extracted, RunError> {
        let schema = self.decoder.schema().clone();
        let notes = self.decoder.notes().to_vec();
        let collected = self.collector.finish(end)?;
        Ok(Extracted { collected, schema, pages, full: end == EndReason::SliceFull, notes })
    }
}

/// Returns the columns that the fan-out adds to every row.
fn constants(job: &Job, slice: &Slice) -> Result<Vec<(String, serde_json::Value)>, RunError> {
    let mut columns = slice.key.as_ref().map(crate::model::FanoutKey::columns).unwrap_or_default();
    for (name, program) in job.for_each.iter().flat_map(|for_each| &for_each.columns) {
        let failed = |source| RunError::Expression { request: "the parent's row".to_owned(), field: "for_each.columns", source };
        columns.push((name.clone(), program.one(&slice.parent, &[slice.parent.clone()]).map_err(failed)?));
    }
    Ok(columns)
}
