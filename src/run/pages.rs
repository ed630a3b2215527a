//! The pages of one slice, or of a parent: request after request, until the paginator or a guard ends it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::source::SourceClient;
use super::{RunError, build, window};
use crate::decode::DecodedPage;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::{Ceilings, Decision, Edit, Paginator, RequestGuard, Seen, parse_total};
use crate::extract::request::{RenderedRequest, RequestTree};
use crate::lang::jq::Jq;
use crate::model::{EndReason, Slice, SliceKind};
use crate::pipeline::spec::{Job, PaginateKind, Slicing};

/// Asks for one page after another.
pub(super) struct Pages {
    source: Arc<SourceClient>,
    tree: Arc<RequestTree>,
    context: Value,
    fixed: Vec<Edit>,
    next: Vec<Edit>,
    paginator: Box<dyn Paginator>,
    guard: RequestGuard,
    number: u64,
}

/// A page as it came.
pub(super) struct RawPage {
    /// The request, redacted, for messages.
    pub(super) request: String,
    /// Which page it is, from 1.
    pub(super) number: u64,
    /// The answer.
    pub(super) answer: RawAnswer,
    rendered: RenderedRequest,
}

impl Pages {
    /// Prepares the requests of a slice. `now` is the run's instant.
    pub(super) fn new(job: &Job, tree: &Arc<RequestTree>, source: &Arc<SourceClient>, slice: &Slice, now: &str) -> Self {
        let paginator = build::paginator(job, &slice.kind);
        let fixed = match (&job.slicing, &slice.kind) {
            (Slicing::Window(spec), SliceKind::Window(cell)) => window::edits(spec, *cell),
            _ => Vec::new(),
        };
        Self {
            source: Arc::clone(source),
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

    /// Sends it, and waits for the answer.
    pub(super) async fn fetch(&mut self) -> Result<RawPage, RunError> {
        let rendered = self.request()?;
        let request = self.source.show(&rendered);
        self.guard.request(&rendered)?;
        self.number += 1;
        let answer = self.source.fetch(&rendered).await?;
        Ok(RawPage { request, number: self.number, answer, rendered })
    }

    /// Takes what the page showed, and returns why it was the last, if it was.
    pub(super) fn advance(&mut self, page: &RawPage, seen: &Seen) -> Result<Option<EndReason>, RunError> {
        self.guard.page(&page.rendered, seen.rows, page.answer.body.len() as u64)?;
        let failed = |source| RunError::Paginate { request: page.request.clone(), source };
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

/// Returns the values of the variables that expressions over an answer see, in the order in which they were compiled.
pub(super) fn variables(job: &Job, slice: &Slice, answer: &RawAnswer, page: Option<&DecodedPage>) -> Vec<Value> {
    let null = Value::Null;
    let (first, last) = page.map_or((&null, &null), |page| (&page.first, &page.last));
    let rows = page.map_or(Value::Null, |page| json!(page.server_rows));
    let mut values = vec![rows, first.clone(), last.clone(), json!(answer.status), answer.headers.clone()];
    if job.for_each.is_some() {
        values.push(slice.parent.clone());
    }
    values
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
pub(super) fn seen(job: &Job, raw: &RawPage, shown: &Shown<'_>, vars: &[Value]) -> Result<Seen, RunError> {
    let one = |field, program: &Jq| {
        let failed = |source| RunError::Expression { request: raw.request.clone(), field, source };
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
        total: total.map_err(|source| RunError::Paginate { request: raw.request.clone(), source })?.flatten(),
        more: more.map(|more| stated(raw, &more)).transpose()?.flatten(),
        last_value: last_value.filter(|value| !value.is_null()),
        page: raw.number,
    })
}

/// Reads what `more` gave: null states nothing.
fn stated(raw: &RawPage, more: &Value) -> Result<Option<bool>, RunError> {
    match more {
        Value::Null => Ok(None),
        Value::Bool(more) => Ok(Some(*more)),
        other => {
            let problem = format!("`paginate.more` gives {other}; it must be true, false or null");
            Err(RunError::Answer { request: raw.request.clone(), problem })
        }
    }
}
