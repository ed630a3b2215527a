//! Values to move on by, with the digits that the server wrote. Values keep a decimal as a double, so an expression whose result may
//! depend on more than that is evaluated again, on the answer as it is written.

use std::borrow::Cow;

use serde_json::Value;

use super::RunError;
use super::pages::{Asked, EDGES, FIRST_OF_FAN_OUT, Shown};
use crate::decode::{PageVars, has_double, written_edges, written_envelope};
use crate::extract::paginate::{Digits, PaginateError, as_sent};
use crate::lang::jq::{Jq, is_path};
use crate::pipeline::spec::Job;

/// Returns what a page gives to move on by with the digits of the answer; `value` is what `program` gives without them.
pub(super) fn cursor(
    field: &'static str,
    program: &Jq,
    value: Value,
    job: &Job,
    asked: &Asked,
    shown: &Shown<'_>,
    vars: &[Value],
) -> Result<Value, RunError> {
    let expression = Expression { field, program, digits: Digits::AsWritten };
    expression.exact(value, job, asked, shown, vars)?.map_err(|cursor| {
        let source = PaginateError::InexactCursor { page: asked.page, cursor };
        RunError::Paginate { request: asked.line.clone(), source }
    })
}

/// Returns the value to seek by with the digits of the answer; `value` is what `program` gives without them.
pub(super) fn sought(
    program: &Jq,
    value: Value,
    job: &Job,
    asked: &Asked,
    shown: &Shown<'_>,
    vars: &[Value],
) -> Result<Value, RunError> {
    let expression = Expression { field: "paginate.seek.value", program, digits: Digits::ByValue };
    expression.exact(value, job, asked, shown, vars)?.map_err(|value| {
        let source = PaginateError::InexactSeek { page: asked.page, value };
        RunError::Paginate { request: asked.line.clone(), source }
    })
}

/// An expression over a page.
struct Expression<'p> {
    /// Its field in the pipeline file.
    field: &'static str,
    program: &'p Jq,
    /// What has to come through.
    digits: Digits,
}

impl Expression<'_> {
    /// Returns what the expression gives, with the digits of the answer; `value` is what it gives without them. The inner error is a number
    /// that can't be sent as it is written.
    fn exact(
        &self,
        value: Value,
        job: &Job,
        asked: &Asked,
        shown: &Shown<'_>,
        vars: &[Value],
    ) -> Result<Result<Value, String>, RunError> {
        if !self.may_lose(&value, shown, vars) {
            return Ok(Ok(value));
        }
        let unreadable = |source| RunError::Decode { request: asked.line.clone(), source };
        let (format, records) = (job.source.format, &job.records);
        let envelope = written_envelope(shown.body, format, records).map_err(unreadable)?;
        let mut texts: Vec<Cow<'_, str>> = vars.iter().map(|value| value.to_string().into()).collect();
        if self.sees_edges() {
            let context = context(vars);
            let own = vars.get(FIRST_OF_FAN_OUT..).unwrap_or_default();
            let edges = written_edges(shown.body, format, records, &context, own).map_err(unreadable)?;
            for (at, text) in [EDGES.0, EDGES.1].into_iter().zip(edges) {
                if let Some(place) = texts.get_mut(at) {
                    *place = text.into();
                }
            }
        }
        let failed = |source| RunError::Expression { request: asked.line.clone(), field: self.field, source };
        let text = self.program.one_exact(&envelope, &texts).map_err(failed)?;
        Ok(as_sent(&text, shown.body, self.digits))
    }

    /// Tells whether the value may be another one with all digits: it has a double, or a text that may have been made of one.
    fn may_lose(&self, value: &Value, shown: &Shown<'_>, vars: &[Value]) -> bool {
        has_double(value)
            || (has_digit_in_text(value)
                && !is_path(self.program.text())
                && (has_double(shown.envelope.value())
                    || (self.sees_edges() && [EDGES.0, EDGES.1].iter().filter_map(|at| vars.get(*at)).any(has_double))))
    }

    fn sees_edges(&self) -> bool {
        self.program.names(&["first", "last"])
    }
}

/// Returns what programs over the records see beside the body.
fn context(vars: &[Value]) -> PageVars {
    let status = vars.first().and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    PageVars { status: status.unwrap_or_default(), headers: vars.get(1).cloned().unwrap_or_default() }
}

fn has_digit_in_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.bytes().any(|byte| byte.is_ascii_digit()),
        Value::Array(items) => items.iter().any(has_digit_in_text),
        Value::Object(fields) => fields.values().any(has_digit_in_text),
        _ => false,
    }
}
