//! The pages of one slice, or of a parent: request after request, until the paginator or a guard ends it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{RunError, build, window};
use crate::extract::auth::Redactor;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::{Ceilings, Decision, Edit, Paginator, RequestGuard, Seen, parse_total};
use crate::extract::request::{RenderedRequest, RequestTree};
use crate::lang::jq::Jq;
use crate::model::{EndReason, Slice, SliceKind};
use crate::pipeline::spec::{Job, PaginateKind, Slicing};

/// Asks for one page after another.
pub(super) struct Pages {
    tree: Arc<RequestTree>,
    context: Value,
    fixed: Vec<Edit>,
    next: Vec<Edit>,
    paginator: Box<dyn Paginator>,
    guard: RequestGuard,
    number: u64,
}

/// A request that is about to be sent, and what names its page.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The request.
    pub(super) request: RenderedRequest,
    /// The request in one line, redacted, for messages.
    pub(super) line: String,
    /// Which page of the slice it asks for, from 1.
    pub(super) page: u64,
}

impl Pages {
    /// Prepares the requests of a slice. `now` is the run's instant.
    pub(super) fn new(job: &Job, tree: &Arc<RequestTree>, slice: &Slice, now: &str) -> Self {
        let paginator = build::paginator(job, &slice.kind);
        let fixed = match (&job.slicing, &slice.kind) {
            (Slicing::Window(spec), SliceKind::Window(cell)) => window::edits(spec, *cell),
            _ => Vec::new(),
        };
        Self {
            tree: Arc::clone(tree),
            context: context(job, slice, now),
            fixed,
            next: paginator.first(),
            paginator,
            guard: RequestGuard::new(Ceilings::default()),
            number: 0,
        }
    }

    /// Renders the request that comes next.
    pub(super) fn request(&self) -> Result<RenderedRequest, RunError> {
        let edits: Vec<Edit> = self.fixed.iter().chain(&self.next).cloned().collect();
        Ok(self.tree.render(&self.context, &edits)?)
    }

    /// Renders it to be sent, unless a guard forbids.
    pub(super) fn ask(&mut self, redactor: &Redactor) -> Result<Asked, RunError> {
        let request = self.request()?;
        self.guard.request(&request)?;
        self.number += 1;
        let line = redactor.scrub(&request.line());
        Ok(Asked { request, line, page: self.number })
    }

    /// Takes what the page showed, and returns why it was the last, if it was.
    pub(super) fn advance(&mut self, asked: &Asked, bytes: u64, seen: &Seen) -> Result<Option<EndReason>, RunError> {
        self.guard.page(&asked.request, seen.rows, bytes)?;
        let failed = |source| RunError::Paginate { request: asked.line.clone(), source };
        match self.paginator.next(seen).map_err(failed)? {
            Decision::Done(reason) => Ok(Some(reason)),
            Decision::Fetch(edits) => {
                self.next = edits;
                Ok(None)
            }
        }
    }
}

/// What templates see: `now`, `cursor`, the window's edges, and the fan-out's row under its name.
fn context(job: &Job, slice: &Slice, now: &str) -> Value {
    let mut names = Map::new();
    names.insert("now".to_owned(), now.into());
    names.insert("cursor".to_owned(), Value::Null);
    if let (Slicing::Window(spec), SliceKind::Window(cell)) = (&job.slicing, &slice.kind) {
        names.insert("window".to_owned(), window::variable(spec, *cell));
    }
    if let Some(for_each) = &job.for_each {
        names.insert(for_each.name.clone(), slice.parent.clone());
    }
    Value::Object(names)
}

/// What the expressions over a page see beside its envelope.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Rows that the server put on the page, `$rows`.
    pub(super) rows: u64,
    /// The first record, `$first`.
    pub(super) first: Value,
    /// The last record, `$last`.
    pub(super) last: Value,
}

/// Returns the values of the variables of expressions over a page, in the order in which the check compiles them.
pub(super) fn variables(job: &Job, slice: &Slice, answer: &RawAnswer, facts: &Facts) -> Vec<Value> {
    let mut values = vec![json!(answer.status.as_u16()), answer.headers.clone()];
    values.extend([json!(facts.rows), facts.first.clone(), facts.last.clone()]);
    values.extend(fan_out(job, slice));
    values
}

/// Returns the value of the fan-out's variable, where the job has one.
pub(super) fn fan_out(job: &Job, slice: &Slice) -> Vec<Value> {
    job.for_each.iter().map(|_| slice.parent.clone()).collect()
}

/// What a page holds: its body without the records, and how many rows the server put on it.
pub(super) struct Shown<'p> {
    /// The envelope.
    pub(super) envelope: &'p Value,
    /// Rows on the page.
    pub(super) rows: u64,
    /// Rows that no earlier page had.
    pub(super) new_rows: u64,
}

/// Evaluates what the job says of pages: the total, whether there are more, the value to seek by.
pub(super) fn seen(job: &Job, asked: &Asked, shown: &Shown<'_>, vars: &[Value]) -> Result<Seen, RunError> {
    let one = |field, program: &Jq| {
        let failed = |source| RunError::Expression { request: asked.line.clone(), field, source };
        program.one(shown.envelope, vars).map_err(failed)
    };
    let total = job.paginate.total.as_ref().map(|total| one("paginate.total", total)).transpose()?;
    let total = total.map(|total| parse_total(&total)).transpose();
    let more = job.paginate.more.as_ref().map(|more| one("paginate.more", more)).transpose()?;
    let last_value = match &job.paginate.kind {
        PaginateKind::Seek { value, .. } if shown.rows > 0 => Some(one("paginate.seek.value", value)?),
        _ => None,
    };
    Ok(Seen {
        rows: shown.rows,
        new_rows: shown.new_rows,
        total: total.map_err(|source| RunError::Paginate { request: asked.line.clone(), source })?.flatten(),
        more: more.map(|more| stated(asked, &more)).transpose()?.flatten(),
        last_value: last_value.filter(|value| !value.is_null()),
        page: asked.page,
    })
}

/// Reads what `more` gave: null states nothing.
fn stated(asked: &Asked, more: &Value) -> Result<Option<bool>, RunError> {
    match more {
        Value::Null => Ok(None),
        Value::Bool(more) => Ok(Some(*more)),
        other => {
            let problem = format!("`paginate.more` gives {other}; it must be true, false or null");
            Err(RunError::Answer { request: asked.line.clone(), problem })
        }
    }
}
