//! Was the source of an incremental job reset? Its newest id says so: it lies before what has landed.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cursor::CursorKind;
use super::extract::{Extraction, printed};
use super::{RunError, build, pages};
use crate::decode::{PAGE_VARIABLES, PageVars, check_json, read_whole};
use crate::extract::http::RawAnswer;
use crate::lang::Selector;
use crate::lang::jq::Jq;
use crate::model::{AnswerFormat, CursorValue, Slice};
use crate::pipeline::spec::NewestSpec;

impl Extraction {
    /// Asks for the newest id, and returns it where it lies before `landed`: the ids began again.
    ///
    /// A source with no rows has no newest id. That proves nothing, since rows may have been purged while ids go on.
    pub(super) async fn is_reset(
        &self,
        spec: &NewestSpec,
        slice: &Slice,
        now: DateTime<Utc>,
        landed: &CursorValue,
    ) -> Result<Option<CursorValue>, RunError> {
        let found = self.newest(spec, slice, now, landed).await;
        found.map_err(|error| error.scrubbed(self.exchange.client.redactor()))
    }

    async fn newest(
        &self,
        spec: &NewestSpec,
        slice: &Slice,
        now: DateTime<Utc>,
        landed: &CursorValue,
    ) -> Result<Option<CursorValue>, RunError> {
        let tree = build::request_tree(&self.job.source, &spec.request)?;
        let request = tree.render(&pages::context(&self.job, slice, &printed(now)), &[])?;
        let line = self.exchange.client.redactor().scrub(&request.line());
        let extra = pages::fan_out(&self.job, slice);
        let (format, job) = (self.job.source.format, self.job.name.clone());
        let whole = Selector::Program(
            Jq::compile(".", &PAGE_VARIABLES)
                .map_err(|error| RunError::Account { account: format!("job {job}: {error}") })?,
        );
        let read = move |answer: &RawAnswer| {
            let context = PageVars { status: answer.status.as_u16(), headers: answer.headers.clone() };
            let body = match format {
                AnswerFormat::Json => check_json(&answer.body),
                _ => read_whole(&answer.body, format, &whole, &context, None, &[]).map(|page| page.envelope),
            };
            // Maybe it is an error of the server: the rules see what there is.
            let seen =
                body.as_ref().map_or_else(|_| serde_json::from_slice(&answer.body).unwrap_or_default(), Value::clone);
            (seen, body)
        };
        let answered = self.exchange.send(&request, extra.clone(), read).await?;
        let Some(body) = answered.page.filter(|_| !answered.empty) else { return Ok(None) };
        let body = body.map_err(|source| self.unreadable(&line, &answered.answer, source))?;
        let (value, status) = (spec.value.clone(), answered.answer.status.as_u16());
        let vars = [vec![status.into(), answered.answer.headers], extra].concat();
        let newest = tokio::task::spawn_blocking(move || value.one(&body, &vars)).await?;
        let field = "incremental.newest.value";
        let newest = newest.map_err(|source| RunError::Expression { request: line.clone(), field, source })?;
        before(newest, landed).map_err(|newest| {
            let problem = format!(
                "`{field}` gives {newest}, which can't be compared with {}, the cursor that has landed; make it the same kind of value",
                landed.text()
            );
            RunError::Answer { request: line, problem }
        })
    }
}

/// Returns the newest id where it lies before what has landed.
///
/// # Errors
/// The value, where the two can't be compared.
fn before(newest: Value, landed: &CursorValue) -> Result<Option<CursorValue>, Value> {
    if newest.is_null() {
        return Ok(None);
    }
    let newest = CursorValue(newest);
    let is_before = [CursorKind::Integer, CursorKind::Instant].into_iter().find_map(|kind| {
        let (newest, landed) = kind.read(&newest).zip(kind.read(landed))?;
        Some(newest < landed)
    });
    match is_before {
        Some(true) => Ok(Some(newest)),
        Some(false) => Ok(None),
        None => Err(newest.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(newest: Value, landed: Value, expected: Result<bool, ()>) {
        let found = before(newest.clone(), &CursorValue(landed.clone()));
        assert_eq!(found.map(|found| found.is_some()).map_err(|_| ()), expected, "{newest} {landed}");
    }

    #[test]
    fn a_newest_id_before_the_landed_one_is_a_reset() {
        check(json!(57), json!(918), Ok(true));
        check(json!("57"), json!(918), Ok(true));
        check(json!(918), json!(918), Ok(false));
        check(json!("1000"), json!(918), Ok(false));
        check(json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:00:00.5Z"), Ok(true));
        check(json!("2026-01-01T01:00:00+01:00"), json!("2026-01-01T00:00:00Z"), Ok(false));
    }

    #[test]
    fn no_id_proves_nothing_and_another_kind_of_value_is_an_error() {
        check(json!(null), json!(918), Ok(false));
        check(json!({"id": 1}), json!(918), Err(()));
        check(json!(9.5), json!(918), Err(()));
        check(json!("2026-01-01T00:00:00Z"), json!(918), Err(()));
    }
}
