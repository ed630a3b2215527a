//! The rows of parents: read whole, in every run, as raw JSON, before any schema or SQL.

use serde_json::Value;

use super::RunError;
use super::evidence::Evidence;
use super::extract::{Extraction, unproven};
use super::pages::{self, Asked, Facts};
use crate::extract::auth::excerpt;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Seen;
use crate::lang::jq::Jq;
use crate::lang::{PlainPath, Selector};
use crate::model::{JobName, Slice, SliceKind};

impl Extraction {
    /// Reads all rows of a parent.
    ///
    /// # Errors
    /// As for any slice; rows that aren't all there are an error, since a fan-out over some of them would end quietly.
    pub(super) async fn parent_rows(&self, now: chrono::DateTime<chrono::Utc>) -> Result<Vec<Value>, RunError> {
        let rows = self.read_parent(now).await;
        rows.map_err(|error| error.scrubbed(self.exchange.client.redactor()))
    }

    async fn read_parent(&self, now: chrono::DateTime<chrono::Utc>) -> Result<Vec<Value>, RunError> {
        let slice = whole(&self.job.name, now);
        let mut pages = self.pages(&slice, now);
        let mut rows = Vec::new();
        let mut evidence = Evidence::default();
        loop {
            let asked = pages.ask()?;
            let extra = pages::fan_out(&self.job, &slice);
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
        let rows = match &self.job.records {
            Selector::Program(program) => evaluate(program, answer, body, asked)?,
            Selector::Plain { paths } => listed(paths, body, asked)?,
        };
        let count = self.count(&rows, answer, body, asked)?;
        let (first, last) = (rows.first().cloned().unwrap_or_default(), rows.last().cloned().unwrap_or_default());
        let vars = pages::variables(&self.job, slice, answer, &Facts { rows: count, first, last });
        let shown = pages::Shown { envelope: body, rows: count, new_rows: count };
        let seen = pages::seen(&self.job, asked, &shown, &vars)?;
        Ok((rows, seen))
    }

    /// Returns how many rows the server put on a page.
    fn count(&self, rows: &[Value], answer: &RawAnswer, body: &Value, asked: &Asked) -> Result<u64, RunError> {
        let Some(program) = &self.job.rows else { return Ok(rows.len() as u64) };
        let failed = |source| RunError::Expression { request: asked.line.clone(), field: "rows", source };
        let count = program.one(body, &[answer.status.as_u16().into(), answer.headers.clone()]).map_err(failed)?;
        let problem = || format!("`rows` gives {count}; it must be a number of rows");
        count.as_u64().ok_or_else(|| RunError::Answer { request: asked.line.clone(), problem: problem() })
    }
}

/// Returns the slice that stands for a whole parent.
pub(super) fn whole(job: &JobName, now: chrono::DateTime<chrono::Utc>) -> Slice {
    Slice::new(job.clone(), None, Value::Null, SliceKind::Snapshot { at: now, label: "latest".to_owned() })
}

fn evaluate(program: &Jq, answer: &RawAnswer, body: &Value, asked: &Asked) -> Result<Vec<Value>, RunError> {
    let failed = |source| RunError::Expression { request: asked.line.clone(), field: "records", source };
    program.values(body, &[answer.status.as_u16().into(), answer.headers.clone()]).map_err(failed)
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
