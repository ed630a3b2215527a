//! Paging from request to verdict, against servers in memory: pure functions from a request to an answer. What is read goes the way
//! that a run takes, but for the network: pages, decoding, keys, evidence, passes.
//!
//! The laws: reading ends; `complete` is said only of what is exact, where a server is honest; and never against what its answers
//! show.

mod honest;
mod lying;
mod moving;
mod server;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int64Type;
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;

use self::server::{Answer, Row, Total};
use super::RunError;
use super::collect::PassEnd;
use super::collect::SliceMemory;
use super::extract::or_stalled;
use super::intake::{Intake, Looked};
use super::job::reconcile;
use super::pages::Pages;
use crate::extract::auth::Redactor;
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Ceilings;
use crate::extract::request::RenderedRequest;
use crate::model::{EndReason, Slice, SliceKind, Verdict};
use crate::pipeline::check;
use crate::pipeline::file::OnMismatch;
use crate::pipeline::load::{Lookup, Source};
use crate::pipeline::spec::{Job, PaginateKind};

/// More requests than any of the servers has pages, passes included: reading that goes on for longer doesn't end.
const MOST_REQUESTS: usize = 1_500;

struct Nothing;

impl Lookup for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(path.to_owned())
    }
}

thread_local! {
    /// The jobs that were made, by their request and by how they page.
    static JOBS: RefCell<HashMap<String, Job>> = RefCell::default();
}

/// Makes a job of its request and of how it pages, as a pipeline file says it. `SIZE` stands for the size of a page.
fn job(request: &str, paginate: &str, of_size: usize) -> Arc<Job> {
    let made = JOBS.with_borrow_mut(|jobs| {
        jobs.entry(format!("{request} {paginate}"))
            .or_insert_with(|| loaded(request, &paginate.replace("SIZE", "1")))
            .clone()
    });
    let mut job = made;
    match &mut job.paginate.kind {
        PaginateKind::Offset { size, .. } | PaginateKind::Page { size, .. } | PaginateKind::Seek { size, .. } => {
            *size = of_size as u64;
        }
        PaginateKind::None | PaginateKind::Cursor(_) | PaginateKind::NextLink(_) => {}
    }
    Arc::new(job)
}

fn loaded(request: &str, paginate: &str) -> Job {
    let text = format!(
        "version: 1\nname: p\nsource: {{base_url: 'https://a.example/v1'}}\njobs:\n  rows:\n    {request}\n    records: '.items[]'\n    \
         key: id\n    snapshot: latest\n    paginate: {paginate}\n    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n"
    );
    let loaded = check::load(&Source { name: "p.yaml".to_owned(), text }, &Nothing);
    let mut pipeline = loaded.unwrap_or_else(|found| panic!("{found:?}")).pipeline;
    pipeline.jobs.remove(0)
}

/// Returns the job with `on_mismatch: refetch`.
fn refetching(job: &Arc<Job>) -> Arc<Job> {
    Arc::new(Job { on_mismatch: OnMismatch::Refetch, ..Job::clone(job) })
}

/// A slice that was read to its end.
#[derive(Debug)]
struct Outcome {
    /// The rows that would land, by id, sorted.
    rows: Vec<u64>,
    end: EndReason,
    verdict: Verdict,
    /// Whether the slice lands.
    green: bool,
    /// What the answers of the last pass showed.
    shown: Vec<Answer>,
}

/// Reads a slice as a run does.
fn read(job: &Arc<Job>, mut serve: impl FnMut(&RenderedRequest) -> Answer) -> Result<Outcome, RunError> {
    let slice = Slice::new(
        job.name.clone(),
        None,
        json!(null),
        SliceKind::Snapshot { at: DateTime::UNIX_EPOCH, label: "latest".to_owned() },
    );
    let tree = Arc::new(super::build::request(job)?);
    let fullest = Arc::default();
    let memory = SliceMemory { rows: 1 << 20, keys: 1 << 20 };
    let mut intake = Intake::new(job, &slice, DateTime::UNIX_EPOCH, None, &memory, false)?;
    let (mut requests, mut shown) = (0, Vec::new());
    let end = loop {
        shown.clear();
        let (redactor, most) = (Redactor::default(), Ceilings::default());
        let mut pages = Pages::new(job, &tree, &slice, "1970-01-01T00:00:00Z", &redactor, &fullest, most);
        let end = loop {
            requests += 1;
            assert!(requests < MOST_REQUESTS, "reading doesn't end");
            let asked = pages.ask()?;
            let answer = serve(&asked.request);
            let raw = raw(&answer);
            shown.push(answer);
            let page =
                intake.decode(&raw).1.map_err(|source| RunError::Decode { request: asked.line.clone(), source })?;
            let Looked { page, seen, .. } = intake.look(page, &asked, &raw, None)?;
            let page = intake.typed(page).map_err(|source| RunError::Decode { request: asked.line.clone(), source })?;
            let (seen, _, rows) = intake.take(page, seen, &BTreeSet::new(), &asked)?;
            intake.collector.keep(rows, &asked.line)?;
            if let Some(end) = pages.advance(&asked, raw.body.len() as u64, &seen).transpose() {
                break end;
            }
        };
        if job.on_mismatch != OnMismatch::Refetch {
            break end?;
        }
        let end = or_stalled(end)?;
        match intake.collector.end_pass(end.as_ref().ok().copied()) {
            PassEnd::Settled => break end?,
            PassEnd::Again => {}
            PassEnd::Unsettled { passes, story } => return Err(RunError::Unsettled { passes, story }),
        }
    };
    let schema = intake.decoder.schema().clone();
    let collected = intake.collector.finish(end)?;
    let mut rows = Vec::new();
    for batch in collected.batches(schema) {
        let batch = batch?;
        let ids = batch.column_by_name("id").unwrap().as_primitive_opt::<Int64Type>().unwrap();
        assert_eq!(ids.null_count(), 0);
        rows.extend(ids.values().iter().map(|id| u64::try_from(*id).unwrap()));
    }
    rows.sort_unstable();
    let (verdict, green) = (collected.reconciliation.verdict, reconcile(job, &collected.reconciliation).is_ok());
    Ok(Outcome { rows, end, verdict, green, shown })
}

fn raw(answer: &Answer) -> RawAnswer {
    RawAnswer {
        status: answer.status,
        headers: answer.headers.clone(),
        body: answer.body().to_string().into(),
        broken: None,
        attempts: 1,
        elapsed: Duration::ZERO,
        note: None,
        unsettled: false,
        unmarked: false,
    }
}

impl Outcome {
    /// The law of evidence, whatever the server is: what its answers showed doesn't speak against `complete`. `counted` is the size
    /// of a page where the place of the next one is counted by it; `overlaps` where pages share a row on purpose.
    fn check_evidence(&self, counted: Option<u64>, overlaps: bool) -> Result<(), TestCaseError> {
        // The page beyond a total that was reached shows nothing but the end.
        let beyond = usize::from(self.end == EndReason::PageAgain);
        let shown = &self.shown[..self.shown.len() - beyond];
        let ids: Vec<u64> = shown.iter().flat_map(|answer| &answer.rows).map(|row| row.id).collect();
        let distinct: BTreeSet<u64> = ids.iter().copied().collect();
        prop_assert_eq!(&self.rows, &distinct.iter().copied().collect::<Vec<_>>(), "each row that came lands once");
        if self.verdict != Verdict::Complete {
            return Ok(());
        }
        let totals: Vec<u64> = self.shown.iter().filter_map(|answer| answer.total.stated()).collect();
        for total in &totals {
            prop_assert_eq!(*total, distinct.len() as u64, "complete against a stated total: {:?}", self);
        }
        prop_assert!(overlaps || ids.len() == distinct.len(), "complete, though rows came twice: {self:?}");
        if let (Some(size), true) = (counted, totals.is_empty()) {
            let pages: Vec<u64> = self.shown.iter().map(|answer| answer.rows.len() as u64).collect();
            let last = pages.iter().rposition(|rows| *rows > 0).unwrap_or_default();
            prop_assert!(
                pages[..last].iter().all(|rows| *rows >= size),
                "complete, though a page in the middle was short: {self:?}"
            );
        }
        Ok(())
    }

    /// The law of honest servers: `complete` is exact.
    fn check_complete(&self, truth: &[Row]) -> Result<(), TestCaseError> {
        if self.verdict == Verdict::Complete {
            prop_assert_eq!(&self.rows, &ids(truth), "complete, and wrong: {:?}", self);
        }
        Ok(())
    }

    /// The law of servers whose every row can be reached: what is read is exact.
    fn check_exact(&self, truth: &[Row]) -> Result<(), TestCaseError> {
        prop_assert_eq!(&self.rows, &ids(truth), "not exact: {:?}", self);
        Ok(())
    }
}

fn ids(rows: &[Row]) -> Vec<u64> {
    let ids: BTreeSet<u64> = rows.iter().map(|row| row.id).collect();
    ids.into_iter().collect()
}

/// Totals of an honest server.
fn honest_totals() -> impl Strategy<Value = fn(u64) -> Total> {
    prop_oneof![
        Just((|_| Total::Absent) as fn(u64) -> Total),
        Just((|_| Total::Null) as fn(u64) -> Total),
        Just(Total::Number as fn(u64) -> Total),
        Just(Total::Digits as fn(u64) -> Total),
        Just(Total::Double as fn(u64) -> Total),
    ]
}
