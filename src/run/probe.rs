//! One answer of an API as it is, for who is about to write a pipeline file. Nothing is written.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::sample::{self, Sample};
use super::{Env, RunError};
use crate::decode::check_json;
use crate::extract::http::RawAnswer;
use crate::ledger::LedgerState;
use crate::model::JobName;
use crate::pipeline::spec::Pipeline;

/// An answer.
#[derive(Debug, Clone)]
pub struct Probed {
    /// The request, redacted.
    pub request: String,
    /// Its headers, by names in lower case.
    pub headers: Value,
    /// Its body, with what echoes the credential taken out.
    pub body: Value,
}

/// Sends the first request of a job, and returns the whole answer.
///
/// # Errors
/// Where there is no answer, where it is an error, or isn't JSON.
pub async fn probe(pipeline: &Pipeline, name: &JobName, now: DateTime<Utc>, env: &Env) -> Result<Probed, RunError> {
    let Sample { extraction, slice, .. } = sample::of(pipeline, name, &LedgerState::default(), now, env).await?;
    let redactor = extraction.exchange.client.redactor();
    let request = extraction.pages(&slice, now).request()?;
    let line = extraction.show(&slice, now)?;
    let read = |answer: &RawAnswer| {
        let body = check_json(&answer.body);
        (body.as_ref().map_or(Value::Null, Value::clone), body)
    };
    let sent = extraction.exchange.send(&request, Vec::new(), read).await;
    let answered = sent.map_err(|error| RunError::from(error).scrubbed(redactor))?;
    let body = match answered.page {
        Some(body) => body.map_err(|source| extraction.unreadable(&line, &answered.answer, source))?,
        None => Value::Null,
    };
    let body = serde_json::from_str(&redactor.scrub(&body.to_string())).unwrap_or_default();
    Ok(Probed { request: line, headers: answered.answer.headers, body })
}
