//! The rows of parents: read whole, in every run, as raw JSON, before any schema or SQL.

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::RunError;
use super::evidence::Evidence;
use super::extract::{Extraction, constants, unproven};
use super::pages::{self, Asked, Facts};
use crate::extract::auth::excerpt;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Seen;
use crate::lang::{PlainPath, Selector};
use crate::model::{JobName, Slice, SliceKind};
use crate::pipeline::spec::Job;
use crate::plan::Key;

impl Extraction {
    /// Reads all rows of a parent, in the order of its `keys` where it has a fan-out of its own. Each row then gets the columns of its
    /// key, as records do.
    ///
    /// # Errors
    /// As for any slice; rows that aren't all there are an error, since a fan-out over some of them would end quietly.
    pub(super) async fn parent_rows(&self, keys: Option<&[Key]>, now: DateTime<Utc>) -> Result<Vec<Value>, RunError> {
        let slices = whole(&self.job.name, keys, now);
        let read = stream::iter(&slices).map(|slice| self.read_parent(slice, now));
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
        let mut pages = self.pages(slice, now);
        let mut rows = Vec::new();
        let mut evidence = Evidence::default();
        loop {
            let asked = pages.ask()?;
            let extra = pages::fan_out(&self.job, slice);
            let read = |answer: &RawAnswer| {
                let body: Result<Value, _> = serde_json::from_slice(&answer.body);
                (body.as_ref().ok().cloned().unwrap_or_default(), body)
            };
            let answered = self.exchange.send(&asked.request, extra, read).await?;
            let bytes = answered.answer.body.len() as u64;
            let (found, mut seen) = match answered.page.filter(|_| !answered.empty) {
                None => (Vec::new(), Seen { page: asked.page, ..Seen::default() }),
                Some(body) => {
                    let body = body.map_err(|error| self.not_json(&asked, &answered.answer, &error))?;
                    let (extraction, slice, asked) = (self.clone(), slice.clone(), asked.clone());
                    let read = move || extraction.raw_rows(&asked, &answered.answer, &body, &slice);
                    tokio::task::spawn_blocking(read).await??
                }
            };
            self.progress.page(&self.job.name, seen.rows, bytes);
            evidence.note_total(seen.total);
            evidence.note_page(seen.rows, found.len() as u64);
            let new_rows = found.iter().filter(|row| evidence.note_unkeyed(&row.to_string())).count() as u64;
            seen.new_rows = if found.is_empty() { seen.rows } else { new_rows };
            rows.extend(found);
            if let Some(end) = pages.advance(&asked, bytes, &seen)? {
                if let Some(note) = unproven(end) {
                    tracing::warn!(job = %self.job.name, "{note}");
                }
                super::job::reconcile(&self.job, &evidence.weigh(rows.len() as u64, Some(0), end, true))?;
                return Ok(rows);
            }
        }
    }

    fn not_json(&self, asked: &Asked, answer: &RawAnswer, error: &serde_json::Error) -> RunError {
        let body = excerpt(self.exchange.client.redactor(), &answer.body);
        let problem = format!(
            "the answer isn't json ({error}): {body}; if it is the page of a login or a proxy, check auth and base_url"
        );
        RunError::Answer { request: asked.line.clone(), problem }
    }

    fn raw_rows(
        &self,
        asked: &Asked,
        answer: &RawAnswer,
        body: &Value,
        slice: &Slice,
    ) -> Result<(Vec<Value>, Seen), RunError> {
        let vars = answer_variables(&self.job, slice, answer);
        let rows = match &self.job.records {
            Selector::Program(program) => program.values(body, &vars).map_err(|source| RunError::Expression {
                request: asked.line.clone(),
                field: "records",
                source,
            })?,
            Selector::Plain { paths } => listed(paths, body, asked)?,
        };
        let count = self.count(&rows, &vars, body, asked)?;
        let (first, last) = (rows.first().cloned().unwrap_or_default(), rows.last().cloned().unwrap_or_default());
        let vars = pages::variables(&self.job, slice, answer, &Facts { rows: count, first, last });
        let shown = pages::Shown { envelope: body, rows: count, new_rows: count };
        let seen = pages::seen(&self.job, asked, &shown, &vars)?;
        Ok((rows, seen))
    }

    /// Returns how many rows the server put on a page.
    fn count(&self, rows: &[Value], vars: &[Value], body: &Value, asked: &Asked) -> Result<u64, RunError> {
        let Some(program) = &self.job.rows else { return Ok(rows.len() as u64) };
        let failed = |source| RunError::Expression { request: asked.line.clone(), field: "rows", source };
        let count = program.one(body, vars).map_err(failed)?;
        let problem = || format!("`rows` gives {count}; it must be a number of rows");
        count.as_u64().ok_or_else(|| RunError::Answer { request: asked.line.clone(), problem: problem() })
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

/// Returns the values of the variables that `records` and `rows` see.
fn answer_variables(job: &Job, slice: &Slice, answer: &RawAnswer) -> Vec<Value> {
    [answer.status.as_u16().into(), answer.headers.clone()].into_iter().chain(pages::fan_out(job, slice)).collect()
}

/// Finds the list that the first of `paths` names whose last key exists.
fn listed(paths: &[PlainPath], body: &Value, asked: &Asked) -> Result<Vec<Value>, RunError> {
    let found = paths.iter().find_map(|path| path.keys.iter().try_fold(body, |value, key| value.get(key)));
    let problem = |what: &str| RunError::Answer { request: asked.line.clone(), problem: what.to_owned() };
    match found {
        Some(Value::Array(rows)) => Ok(rows.clone()),
        None if paths.last().is_some_and(|path| path.optional) => Ok(Vec::new()),
        Some(_) => Err(problem("`records` names something that isn't a list")),
        None => Err(problem("`records` names a list that isn't in the answer")),
    }
}
