//! The rows of parents: read whole, in every run, as raw JSON, before any schema or SQL.

use serde_json::Value;

use super::RunError;
use super::extract::Extraction;
use super::pages;
use super::source::Judged;
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
        let slice = whole(&self.job.name, now);
        let mut pages = self.pages(&slice, now);
        let mut rows = Vec::new();
        loop {
            let page = pages.fetch().await?;
            let bytes = page.answer.body.len() as u64;
            let (found, seen, page) = tokio::task::spawn_blocking({
                let extraction = self.clone();
                let slice = slice.clone();
                move || extraction.raw_rows(&page, &slice).map(|(rows, seen)| (rows, seen, page))
            })
            .await??;
            self.progress.page(&self.job.name, seen.rows, bytes);
            rows.extend(found);
            if pages.advance(&page, &seen)?.is_some() {
                return Ok(rows);
            }
        }
    }

    fn raw_rows(&self, page: &pages::RawPage, slice: &Slice) -> Result<(Vec<Value>, Seen), RunError> {
        let body = self.source.body(&page.answer);
        let vars = pages::variables(&self.job, slice, &page.answer, None);
        if matches!(self.source.judge(page, &body, &vars)?, Judged::Empty) {
            return Ok((Vec::new(), Seen { page: page.number, ..Seen::default() }));
        }
        let rows = match &self.job.records {
            Selector::Program(program) => evaluate(program, &body, &vars, page)?,
            Selector::Plain { paths } => listed(paths, &body, page)?,
        };
        let mut vars = vars;
        vars[0] = rows.len().into();
        vars[1] = rows.first().cloned().unwrap_or_default();
        vars[2] = rows.last().cloned().unwrap_or_default();
        let count = rows.len() as u64;
        let shown = pages::Shown { envelope: &body, rows: count, new_rows: count };
        let seen = pages::seen(&self.job, page, &shown, &vars)?;
        Ok((rows, seen))
    }
}

/// Returns the slice that stands for a whole parent.
pub(super) fn whole(job: &JobName, now: chrono::DateTime<chrono::Utc>) -> Slice {
    Slice::new(job.clone(), None, Value::Null, SliceKind::Snapshot { at: now, label: "latest".to_owned() })
}

fn evaluate(program: &Jq, body: &Value, vars: &[Value], page: &pages::RawPage) -> Result<Vec<Value>, RunError> {
    let failed = |source| RunError::Expression { request: page.request.clone(), field: "records", source };
    program.values(body, vars).map_err(failed)
}

/// Finds the list that the first of `paths` names whose last key exists.
fn listed(paths: &[PlainPath], body: &Value, page: &pages::RawPage) -> Result<Vec<Value>, RunError> {
    let found = paths.iter().find_map(|path| path.keys.iter().try_fold(body, |value, key| value.get(key)));
    let problem = |what: &str| RunError::Answer { request: page.request.clone(), problem: what.to_owned() };
    match found {
        Some(Value::Array(rows)) => Ok(rows.clone()),
        None if paths.last().is_some_and(|path| path.optional) => Ok(Vec::new()),
        Some(_) => Err(problem("`records` names something that isn't a list")),
        None => Err(problem("`records` names a list that isn't in the answer")),
    }
}
