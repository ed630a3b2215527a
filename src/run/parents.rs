//! The rows of parents: read whole, in every run, as JSON values, before any schema or SQL.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::RunError;
use super::ahead::Ahead;
use super::evidence::{Evidence, unproven};
use super::extract::{Extraction, is_no_such_page, or_stalled};
use super::intake::constants;
use super::pages::{self, Asked, Facts};
use super::sent::Sent;
use crate::decode::{DecodeError, PageVars, WholePage, read_whole};
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Seen;
use crate::lang::jq::JqInput;
use crate::model::{EndReason, JobName, Slice, SliceKind};
use crate::pipeline::file::{OnMismatch, SeekBound};
use crate::pipeline::spec::PaginateKind;
use crate::plan::Key;

impl Extraction {
    /// Reads all rows of a parent, in the order of its `keys` where it has a fan-out of its own. Each row then gets the columns of its
    /// key, as records do. `sent` is what is used of them.
    ///
    /// # Errors
    /// As for any slice; rows that aren't all there are an error, since a fan-out over some of them would end quietly.
    pub(super) async fn parent_rows(
        &self,
        keys: Option<&[Key]>,
        sent: Sent,
        now: DateTime<Utc>,
    ) -> Result<Vec<Value>, RunError> {
        let slices = whole(&self.job.name, keys, now);
        let reader = Self { sent: Arc::new(sent), ..self.clone() };
        let read = stream::iter(&slices).map(|slice| reader.read_parent(slice, now));
        let rows: Result<Vec<_>, RunError> = read.buffered(self.job.source.concurrency as usize).try_collect().await;
        let rows = rows.map_err(|error| error.scrubbed(self.exchange.client.redactor()))?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn read_parent(&self, slice: &Slice, now: DateTime<Utc>) -> Result<Vec<Value>, RunError> {
        let columns = constants(&self.job, slice)?;
        let rows = self.read_whole(slice, now).await?;
        Ok(rows.into_iter().map(|row| with_columns(row, &columns)).collect())
    }

    async fn read_whole(&self, slice: &Slice, now: DateTime<Utc>) -> Result<Vec<Value>, RunError> {
        let mut ahead = Ahead::new(&self.exchange, pages::fan_out(&self.job, slice), &self.lanes);
        let mut evidence = Evidence::of(&self.job);
        let (mut passes, mut ever_ended) = (Vec::new(), false);
        let overlap = matches!(self.job.paginate.kind, PaginateKind::Seek { bound: SeekBound::Inclusive, .. });
        loop {
            let mut rows = Vec::new();
            let read = self.parent_pass(slice, now, &mut evidence, &mut ahead, &mut rows).await;
            if self.job.on_mismatch != OnMismatch::Refetch {
                let end = read?;
                if let Some(note) = super::job::reconcile(&self.job, &evidence.weigh(end, true, overlap))? {
                    tracing::warn!(job = %self.job.name, "{note}");
                }
                if let Some(doubt) = evidence.doubt(end, true, overlap) {
                    tracing::warn!(job = %self.job.name, "{doubt}");
                }
                return Ok(rows);
            }
            let end = or_stalled(read)?;
            ever_ended |= end.is_ok();
            passes.push(rows);
            // Rows have no ordinals here: they are told apart by their text, or their key.
            if let Some(since) = evidence.end_pass(end.as_ref().ok().copied(), overlap, 0) {
                return Ok(self.last_of_each(passes.into_iter().skip(since).flatten()));
            }
            if evidence.passes().count() == passes.len() {
                let unsettled = RunError::Unsettled { passes: passes.len(), story: evidence.passes().story() };
                return Err(end.err().filter(|_| !ever_ended).unwrap_or(unsettled));
            }
        }
    }

    /// Reads all pages of a parent once, and adds their rows to `rows`.
    async fn parent_pass(
        &self,
        slice: &Slice,
        now: DateTime<Utc>,
        evidence: &mut Evidence,
        ahead: &mut Ahead,
        rows: &mut Vec<Value>,
    ) -> Result<EndReason, RunError> {
        let mut pages = self.pages(slice, now);
        let mut columns = Vec::new();
        loop {
            let asked = pages.ask()?;
            let read = self.parent_page(&asked, slice, ahead, &mut columns).await;
            if let (Some(end), true) = (pages.past_end(), read.as_ref().err().is_some_and(is_no_such_page)) {
                return Ok(end);
            }
            let (found, mut seen, bytes) = read?;
            ahead.send(pages.foresee(&asked, &seen, ahead.most())).await;
            self.progress.page(&self.job.name, seen.rows, bytes);
            evidence.note_total(seen.total);
            evidence.note_page(seen.rows, found.len() as u64);
            let new_rows = found.iter().filter(|row| evidence.note_unkeyed(&self.identity(row))).count() as u64;
            seen.new_rows = if found.is_empty() { seen.rows } else { new_rows };
            evidence.note_again(seen.rows, found.len() as u64, new_rows);
            rows.extend(found);
            if let Some(end) = pages.advance(&asked, bytes, &seen)? {
                if let Some(note) = unproven(end).filter(|_| !rows.is_empty()) {
                    tracing::warn!(job = %self.job.name, "{note}");
                }
                return Ok(end);
            }
        }
    }

    /// Fetches one page: its rows, what it shows, and the size of its body. `columns` are those of the first page that is a table.
    async fn parent_page(
        &self,
        asked: &Asked,
        slice: &Slice,
        ahead: &mut Ahead,
        columns: &mut Vec<String>,
    ) -> Result<(Vec<Value>, Seen, u64), RunError> {
        let read = {
            let (extraction, slice) = (self.clone(), slice.clone());
            move |answer: &RawAnswer| extraction.read_page(answer, &slice)
        };
        let dispatched = ahead.answer(&asked.request).await?.asked;
        let answered = self.exchange.settle(&asked.request, dispatched, read).await?;
        let bytes = answered.answer.body.len() as u64;
        ahead.note_size(bytes);
        let Some(page) = answered.page.filter(|_| !answered.empty) else {
            return Ok((Vec::new(), Seen { page: asked.page, ..Seen::default() }, bytes));
        };
        let page = page.and_then(|page| page.goes_on(columns, self.job.source.format).map(|()| page));
        let page = page.map_err(|source| self.unreadable(&asked.line, &answered.answer, source))?;
        if columns.is_empty() {
            columns.clone_from(&page.columns);
        }
        let (extraction, slice, asked) = (self.clone(), slice.clone(), asked.clone());
        let take = move || extraction.take_whole(&asked, &answered.answer, page, &slice);
        let (found, seen) = tokio::task::spawn_blocking(take).await??;
        Ok((found, seen, bytes))
    }

    /// Returns what tells a row from others of its slice: its key, without one its text.
    fn identity(&self, row: &Value) -> String {
        let of_slice =
            |column: &&String| self.job.for_each.as_ref().is_some_and(|for_each| for_each.key.contains(*column));
        let own = self.job.key.iter().filter(|column| !of_slice(column));
        let key: Option<Vec<&Value>> = own.map(|column| row.get(column)).collect();
        match key.filter(|key| !key.is_empty()) {
            Some(key) => json!(key).to_string(),
            None => row.to_string(),
        }
    }

    /// Leaves out what came again later.
    fn last_of_each(&self, rows: impl Iterator<Item = Value>) -> Vec<Value> {
        let rows: IndexMap<String, Value> = rows.map(|row| (self.identity(&row), row)).collect();
        rows.into_values().collect()
    }

    /// Reads a page; returns the envelope that the answer is judged by, and the page.
    fn read_page(&self, answer: &RawAnswer, slice: &Slice) -> (Value, Result<WholePage, DecodeError>) {
        let context = PageVars { status: answer.status.as_u16(), headers: answer.headers.clone() };
        let (job, vars) = (&self.job, pages::fan_out(&self.job, slice));
        let page = read_whole(&answer.body, job.source.format, &job.records, &context, job.rows.as_ref(), &vars);
        let envelope = match &page {
            Ok(page) => page.envelope.clone(),
            // Maybe it is an error of the server that has no records: the rules see what there is.
            Err(_) => serde_json::from_slice(&answer.body).unwrap_or_default(),
        };
        (envelope, page)
    }

    /// Takes a page whose answer is a success; returns its rows and what it showed.
    fn take_whole(
        &self,
        asked: &Asked,
        answer: &RawAnswer,
        page: WholePage,
        slice: &Slice,
    ) -> Result<(Vec<Value>, Seen), RunError> {
        let WholePage { rows, with_double, envelope, server_rows, .. } = page;
        if let Some(problem) = with_double.iter().find_map(|row| self.sent.problem(row)) {
            return Err(RunError::Answer { request: asked.line.clone(), problem });
        }
        let (first, last) = (rows.first().cloned().unwrap_or_default(), rows.last().cloned().unwrap_or_default());
        let vars = pages::variables(&self.job, slice, answer, &Facts { rows: server_rows, first, last });
        let (envelope, body) = (JqInput::new(&envelope), &answer.body);
        let shown = pages::Shown { envelope, body, rows: server_rows, new_rows: server_rows };
        let seen = pages::seen(&self.job, asked, &shown, &vars)?;
        Ok((rows, seen))
    }
}

/// Returns the slices that stand for a whole parent: one, or one for each of its keys.
pub(super) fn whole(job: &JobName, keys: Option<&[Key]>, now: DateTime<Utc>) -> Vec<Slice> {
    let kind = || SliceKind::Snapshot { at: now, label: "latest".to_owned() };
    match keys {
        None => vec![Slice::new(job.clone(), None, Value::Null, kind())],
        Some(keys) => {
            keys.iter().map(|key| Slice::new(job.clone(), Some(key.key.clone()), key.row.clone(), kind())).collect()
        }
    }
}

/// Adds columns to a row; what it has under their names itself is hidden.
fn with_columns(mut row: Value, columns: &[(String, Value)]) -> Value {
    if let Value::Object(fields) = &mut row {
        fields.extend(columns.iter().cloned());
    }
    row
}
