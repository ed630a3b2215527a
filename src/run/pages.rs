//! The pages of one slice, or of a parent: request after request, until the paginator or a guard ends it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Map, Value, json};
use url::Url;

use super::parts::{Misfit, Parts};
use super::{RunError, build, exact, increment, window};
use crate::decode::is_beyond_value;
use crate::extract::auth::Redactor;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::{
    Ceilings, Decision, Edit, Given, GuardError, PaginateError, Paginator, RequestGuard, Seen, as_it_came, from_header,
    is_part, names_next, parse_total, resolve,
};
use crate::extract::request::{RenderedRequest, RequestTree};
use crate::lang::jq::{Jq, JqInput};
use crate::model::{EndReason, Slice, SliceKind, Window};
use crate::pipeline::spec::{CursorSpec, GivenBy, Job, LinkFrom, PaginateKind, PartsSpec, Slicing, WindowSpec};

/// Asks for one page after another.
pub(super) struct Pages {
    tree: Arc<RequestTree>,
    context: Value,
    window: Option<Cell>,
    fixed: Vec<Edit>,
    next: Vec<Edit>,
    link: Option<Url>,
    paginator: Box<dyn Paginator>,
    guard: RequestGuard,
    started: Instant,
    number: u64,
    redactor: Redactor,
    /// The most rows on a page of the job, in this run, that gave something to move on by: the expression looks at the right place then, and
    /// a page with as many may have forgotten it. Of pages that are counted: those of a full one. 0 while there was none.
    fullest: Arc<AtomicU64>,
    /// The size of pages that are counted by it.
    counted: Option<u64>,
}

/// The cell that a slice is, and the parts of it that are still to be read.
struct Cell {
    spec: WindowSpec,
    parts: Parts,
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
    /// The part of the cell that it asks for, without padding; none where the slice isn't a window.
    pub(super) part: Option<Window>,
}

impl Pages {
    /// Prepares the requests of a slice. `now` is the run's instant; `fullest` is shared by the slices of the job; `most` is what the slice may take.
    pub(super) fn new(
        job: &Job,
        tree: &Arc<RequestTree>,
        slice: &Slice,
        now: &str,
        redactor: &Redactor,
        fullest: &Arc<AtomicU64>,
        most: Ceilings,
    ) -> Self {
        let paginator = build::paginator(job, &slice.kind);
        let fixed = match (&job.slicing, &slice.kind) {
            (Slicing::Incremental(spec), SliceKind::Incremental { start, .. }) => {
                increment::edit(spec, start).into_iter().collect()
            }
            _ => Vec::new(),
        };
        let window = match (&job.slicing, &slice.kind) {
            (Slicing::Window(spec), SliceKind::Window(cell)) => {
                Some(Cell { spec: (**spec).clone(), parts: Parts::of(spec, *cell) })
            }
            _ => None,
        };
        let mut pages = Self {
            tree: Arc::clone(tree),
            context: context(job, slice, now),
            window,
            fixed,
            next: paginator.first(),
            link: None,
            paginator,
            guard: RequestGuard::new(ceilings(job, most)),
            started: Instant::now(),
            number: 0,
            redactor: redactor.clone(),
            fullest: Arc::clone(fullest),
            counted: counted(job),
        };
        pages.enter();
        pages
    }

    /// Makes the requests ask for the part of the cell that comes next.
    fn enter(&mut self) {
        let Some(Cell { spec, parts }) = &self.window else { return };
        let Some(part) = parts.current() else { return };
        self.fixed = window::edits(spec, part);
        self.context["window"] = window::variable(spec, part);
    }

    /// Renders the request that comes next.
    pub(super) fn request(&self) -> Result<RenderedRequest, RunError> {
        self.render(&self.context, &self.next, self.link.as_ref())
    }

    fn render(&self, context: &Value, next: &[Edit], link: Option<&Url>) -> Result<RenderedRequest, RunError> {
        let edits: Vec<Edit> = self.fixed.iter().chain(next).cloned().collect();
        let mut request = self.tree.render(context, &edits)?;
        if let Some(link) = link {
            request.follow(link);
        }
        Ok(request)
    }

    /// Renders the requests that follow after the page `seen`, as far as they are known: at most `count`. What is wrong with one
    /// is for [`Pages::advance`] and [`Pages::ask`] to say.
    pub(super) fn foresee(&self, asked: &Asked, seen: &Seen, count: usize) -> Vec<RenderedRequest> {
        let mut context = Cow::Borrowed(&self.context);
        if let Given::Next(cursor) = &seen.given {
            context.to_mut()["cursor"] = cursor.clone();
        }
        let render = |decision| match decision {
            Decision::Done(_) => None,
            Decision::Fetch(edits) => self.render(&context, &edits, self.link.as_ref()).ok(),
            Decision::Follow(link) => {
                let link = resolve(&link, &asked.request.url(), asked.page).ok()?;
                self.render(&self.context, &self.next, Some(&link)).ok()
            }
        };
        let requests = self.paginator.foresee(seen, count).into_iter().map_while(render);
        requests.take_while(|request| !self.guard.has_seen(request)).collect()
    }

    /// Renders it to be sent, unless a guard forbids.
    pub(super) fn ask(&mut self) -> Result<Asked, RunError> {
        let request = self.request()?;
        self.guard.request(&request).map_err(|error| self.scrubbed(error))?;
        self.number += 1;
        let line = self.redactor.scrub(&request.line());
        let part = self.window.as_ref().and_then(|cell| cell.parts.current());
        Ok(Asked { request, line, page: self.number, part })
    }

    /// Takes an answer that isn't taken in: both halves of what it covers are asked for in its place.
    pub(super) fn halve(&mut self, asked: &Asked, bytes: u64, rows: u64, misfit: Misfit) -> Result<(), RunError> {
        self.guard.page(&asked.request, rows, bytes, self.started.elapsed()).map_err(|error| self.scrubbed(error))?;
        if let (Some(cell), Some(part)) = (&mut self.window, asked.part)
            && !cell.parts.halve()
        {
            return Err(RunError::Part { request: asked.line.clone(), source: misfit.error(part) });
        }
        self.enter();
        Ok(())
    }

    /// Takes what the page showed, and returns why it was the last, if it was.
    pub(super) fn advance(&mut self, asked: &Asked, bytes: u64, seen: &Seen) -> Result<Option<EndReason>, RunError> {
        let elapsed = self.started.elapsed();
        self.guard.page(&asked.request, seen.rows, bytes, elapsed).map_err(|error| self.scrubbed(error))?;
        let failed = |source| RunError::Paginate { request: asked.line.clone(), source };
        if self.counted.is_some_and(|size| seen.rows >= size) {
            self.fullest.fetch_max(seen.rows, Ordering::Relaxed);
        }
        match self.paginator.next(seen).map_err(failed)? {
            Decision::Done(reason) => return Ok(self.ended(reason, seen.rows)),
            Decision::Fetch(edits) => {
                self.next = edits;
                if let Given::Next(cursor) = &seen.given {
                    self.context["cursor"] = cursor.clone();
                }
            }
            Decision::Follow(link) => {
                self.link = Some(resolve(&link, &asked.request.url(), asked.page).map_err(failed)?);
            }
        }
        if let Given::Next(given) = &seen.given {
            self.fullest.fetch_max(seen.rows.max(1), Ordering::Relaxed);
            self.guard.cursor(&asked.request, given).map_err(|error| self.scrubbed(error))?;
        }
        Ok(None)
    }

    /// Goes on to the next part of the cell; without one, says why the slice has ended, with a page of so many rows.
    fn ended(&mut self, reason: EndReason, rows: u64) -> Option<EndReason> {
        if self.window.as_mut().is_some_and(|cell| cell.parts.advance()) {
            self.enter();
            return None;
        }
        let whole = self.window.as_ref().is_none_or(|cell| matches!(cell.spec.parts, PartsSpec::Whole));
        Some(if whole { reason.known(rows, self.fullest.load(Ordering::Relaxed)) } else { EndReason::PartsRead })
    }

    /// Says why there need be nothing where the request that is due asks; none where there must be.
    pub(super) fn past_end(&self) -> Option<EndReason> {
        self.paginator.past_end()
    }

    /// A server may repeat a credential in the cursors and links that it gives.
    fn scrubbed(&self, error: GuardError) -> GuardError {
        error.map_texts(|text| self.redactor.scrub(text))
    }
}

/// Returns how many rows a page is asked for, where the place of the next one is a number of them.
const fn counted(job: &Job) -> Option<u64> {
    match &job.paginate.kind {
        PaginateKind::Page { size, .. } | PaginateKind::Offset { size, .. } => Some(*size),
        _ => None,
    }
}

/// The most that a slice may take: what the pipeline file says of pages is for the paginator to keep, which knows how to say it.
fn ceilings(job: &Job, most: Ceilings) -> Ceilings {
    Ceilings { pages: most.pages.max(job.paginate.max_pages.saturating_add(1)), ..most }
}

/// What templates see beside the window's edges: `now`, `cursor`, and the fan-out's row under its name.
pub(super) fn context(job: &Job, slice: &Slice, now: &str) -> Value {
    let mut names = Map::new();
    names.insert("now".to_owned(), now.into());
    names.insert("cursor".to_owned(), Value::Null);
    if let Some(for_each) = &job.for_each {
        names.insert(for_each.name.clone(), slice.parent.clone());
    }
    if let (Slicing::Incremental(spec), SliceKind::Incremental { start, .. }) = (&job.slicing, &slice.kind) {
        names.insert("increment".to_owned(), increment::variable(spec, start));
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

/// Returns the programs that look at a page: what they name of its records must be there.
pub(super) fn programs(job: &Job) -> Vec<&Jq> {
    let mut programs: Vec<&Jq> = job.paginate.total.iter().chain(&job.paginate.more).collect();
    match &job.paginate.kind {
        PaginateKind::Seek { value, .. } => programs.push(value),
        PaginateKind::Cursor(CursorSpec::One(_, by)) | PaginateKind::NextLink(LinkFrom::Answer(by)) => {
            programs.push(&by.value);
        }
        PaginateKind::Cursor(CursorSpec::Several(all)) => programs.extend(all.iter().map(|(_, by)| &by.value)),
        PaginateKind::None
        | PaginateKind::Offset { .. }
        | PaginateKind::Page { .. }
        | PaginateKind::NextLink(LinkFrom::Header(_)) => {}
    }
    if let Slicing::Window(spec) = &job.slicing
        && let PartsSpec::Resolution { observed, .. } = &spec.parts
    {
        programs.push(observed);
    }
    programs
}

/// Where the headers stand among the variables.
const HEADERS: usize = 1;

/// Where the first record and the last one stand among them.
pub(super) const EDGES: (usize, usize) = (3, 4);

/// Where that of the fan-out stands, if there is one.
pub(super) const FIRST_OF_FAN_OUT: usize = 5;

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
    pub(super) envelope: JqInput<'p>,
    /// The body as it came, which has the numbers as they are written.
    pub(super) body: &'p [u8],
    /// Rows on the page.
    pub(super) rows: u64,
    /// Rows that no earlier page had.
    pub(super) new_rows: u64,
}

/// Evaluates what the job says of pages: the total, whether there are more, the value to seek by.
pub(super) fn seen(job: &Job, asked: &Asked, shown: &Shown<'_>, vars: &[Value]) -> Result<Seen, RunError> {
    let one = |field, program: &Jq| {
        let failed = |source| RunError::Expression { request: asked.line.clone(), field, source };
        let value = program.one_of(&shown.envelope, vars).map_err(failed)?;
        readable(field, asked, value)
    };
    let total = job.paginate.total.as_ref().map(|total| one("paginate.total", total)).transpose()?;
    let total = total.map(|total| parse_total(&total)).transpose();
    let more = job.paginate.more.as_ref().map(|more| one("paginate.more", more)).transpose()?;
    let more = more.map(|more| stated(asked, &more)).transpose()?.flatten();
    let value = match &job.paginate.kind {
        PaginateKind::Seek { value, .. } if shown.rows > 0 => Some(value),
        _ => None,
    };
    let last_value = value.map(|value| one("paginate.seek.value", value)).transpose()?;
    let last_value =
        value.zip(last_value).map(|(program, value)| exact::sought(program, value, job, asked, shown, vars));
    let last_value = last_value.transpose()?;
    // What says it of the last record says it of the first, where that is taken for the last.
    let first_value = value.and_then(|program| {
        let mut vars = vars.to_vec();
        vars.swap(EDGES.0, EDGES.1);
        program.one_of(&shown.envelope, &vars).ok()
    });
    // What it would be moved on by doesn't matter once the last page is known.
    let given = if more == Some(false) { Given::Absent } else { given(job, asked, shown, vars)? };
    let given = as_it_came(given, vars.get(HEADERS).unwrap_or(&Value::Null), asked.page);
    Ok(Seen {
        rows: shown.rows,
        unlike: 0,
        new_rows: shown.new_rows,
        total: total.map_err(|source| RunError::Paginate { request: asked.line.clone(), source })?.flatten(),
        more,
        first_value: first_value.filter(|value| !value.is_null()),
        last_value: last_value.filter(|value| !value.is_null()),
        given: given.map_err(|source| RunError::Paginate { request: asked.line.clone(), source })?,
        // It shows once the records are typed.
        tied: false,
        page: asked.page,
    })
}

/// Reads what the page gives to move on by.
fn given(job: &Job, asked: &Asked, shown: &Shown<'_>, vars: &[Value]) -> Result<Given, RunError> {
    let headers = vars.get(HEADERS).unwrap_or(&Value::Null);
    let header = |name: &str| {
        let given = from_header(headers, name, asked.page);
        given.map_err(|source| RunError::Paginate { request: asked.line.clone(), source })
    };
    match &job.paginate.kind {
        PaginateKind::Cursor(CursorSpec::One(_, value)) => {
            given_by(job, "paginate.cursor.value", value, asked, shown, vars)
        }
        // A place among the rows: where there are none, nothing comes after them, whatever else the page gives.
        PaginateKind::Cursor(CursorSpec::Several(values))
            if shown.rows == 0 && values.iter().any(|(_, value)| value.of_row) =>
        {
            Ok(Given::Absent)
        }
        PaginateKind::Cursor(CursorSpec::Several(values)) => {
            let one = |value| given_by(job, "paginate.cursor.values", value, asked, shown, vars);
            let parts = values.iter().map(|(place, value)| Ok((place.as_str(), one(value)?)));
            Ok(Given::gather(parts.collect::<Result<Vec<_>, RunError>>()?))
        }
        PaginateKind::NextLink(LinkFrom::Answer(url)) => {
            given_by(job, "paginate.next_link.url", url, asked, shown, vars)
        }
        PaginateKind::NextLink(LinkFrom::Header(name)) => header(name),
        PaginateKind::None if is_part(vars.first(), headers) => Ok(Given::Next(Value::Null)),
        // It is asked for evidence only: what names no relation `next`, however it is written, is none.
        PaginateKind::None if !names_next(headers) => Ok(Given::Absent),
        PaginateKind::None => header("link"),
        PaginateKind::Offset { .. } | PaginateKind::Page { .. } | PaginateKind::Seek { .. } => Ok(Given::Absent),
    }
}

/// Evaluates one expression for what the page gives.
fn given_by(
    job: &Job,
    field: &'static str,
    by: &GivenBy,
    asked: &Asked,
    shown: &Shown<'_>,
    vars: &[Value],
) -> Result<Given, RunError> {
    let value = match by.value.one_of(&shown.envelope, vars) {
        Ok(value) => value,
        // An answer with no rows may be of another shape.
        Err(_) if shown.rows == 0 => return Ok(Given::Absent),
        Err(source) => return Err(RunError::Expression { request: asked.line.clone(), field, source }),
    };
    let value = readable(field, asked, value)?;
    if by.of_row && value.is_null() && shown.rows > 0 {
        let expression = by.value.text().to_owned();
        let source = PaginateError::NoCursorInRow { page: asked.page, expression };
        return Err(RunError::Paginate { request: asked.line.clone(), source });
    }
    let value = exact::cursor(field, &by.value, value, job, asked, shown, vars)?;
    Ok(Given::of(value, by.paths.iter().any(|path| is_stated(shown.envelope.value(), path))))
}

/// Refuses to go by a value that an answer has and that can't be read: of the others on the page none is needed.
fn readable(field: &'static str, asked: &Asked, value: Value) -> Result<Value, RunError> {
    if !is_beyond_value(&value) {
        return Ok(value);
    }
    let problem = format!(
        "`{field}` gives a number beyond the range of a double, or a text with half of a pair of surrogates: it can't be gone by; choose \
         another value, or tell the server's owner"
    );
    Err(RunError::Answer { request: asked.line.clone(), problem })
}

/// Tells whether the key at `path` exists and is null.
fn is_stated(envelope: &Value, path: &[String]) -> bool {
    path.iter().try_fold(envelope, |value, key| value.get(key)).is_some_and(Value::is_null)
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
