//! The rows of parents: read whole, in every run, as raw JSON, before any schema or SQL.

use serde_json::Value;

use super::extract::{Extraction, unproven};
use super::pages::{self, Asked, Facts};
use super::{RunError, check_proof};
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Seen;
use crate::lang::jq::Jq;
use crate::lang::{PlainPath, Selector};
use crate::model::{JobName, Reconciliation, Slice, SliceKind};

impl Extraction {
    /// Reads all rows of a parent.
    ///
    /// # Errors
    /// As for any slice; rows that aren't all there are an error, since a fan-out over some of them would end quietly.
    pub(super) async fn parent_rows(&self, now: chrono::DateTime<chrono::Utc>) -> Result<Vec<Value>, RunError> {
        let slice = whole(&self.job.name, now);
        let mut pages = self.pages(&slice, now);
        let (mut rows, mut totals) = (Vec::new(), (None, None));
        loop {
            let asked = pages.ask()?;
            let extra = pages::fan_out(&self.job, &slice);
            let read = |answer: &RawAnswer| {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                (body.clone(), body)
            };
            let answered = self.exchange.send(&asked.request, extra, read).await?;
            let bytes = answered.answer.body.len() as u64;
            let (found, seen) = match answered.page.filter(|_| !answered.empty) {
                None => (Vec::new(), Seen { page: asked.page, ..Seen::default() }),
                Some(body) => {
                    let (extraction, slice, asked) = (self.clone(), slice.clone(), asked.clone());
                    let read = move || extraction.raw_rows(&asked, &answered.answer, &body, &slice);
                    tokio::task::spawn_blocking(read).await??
                }
            };
            self.progress.page(&self.job.name, seen.rows, bytes);
            rows.extend(found);
            totals = (totals.0.or(seen.total), seen.total.or(totals.1));
            if let Some(end) = pages.advance(&asked, bytes, &seen)? {
                if let Some(note) = unproven(end) {
                    tracing::warn!(job = %self.job.name, "{note}");
                }
                let received = rows.len() as u64;
                check_proof(&Reconciliation::of(received, received, totals, end), self.job.on_mismatch)?;
                return Ok(rows);
            }
        }
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
        let count = rows.len() as u64;
        let (first, last) = (rows.first().cloned().unwrap_or_default(), rows.last().cloned().unwrap_or_default());
        let vars = pages::variables(&self.job, slice, answer, &Facts { rows: count, first, last });
        let shown = pages::Shown { envelope: body, rows: count, new_rows: count };
        let seen = pages::seen(&self.job, asked, &shown, &vars)?;
        Ok((rows, seen))
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
