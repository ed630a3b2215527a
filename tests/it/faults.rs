//! Every fault of a server, on every page, by every way to page: what passes lands every row once, and what stays fails with
//! its reason and lands nothing. One process, real sockets.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use tidegate::clock::SystemClock;
use tidegate::model::{JobReport, SliceOutcome};
use tidegate::pipeline::check;
use tidegate::pipeline::load::{Lookup, Source};
use tidegate::run::{Bounds, Env, Options, Silent, Sources, new_id, run};

use crate::support::bench::{NOW, files};
use crate::support::faulty::{Cell, Fault, Faulty, Paging, ROWS};
use crate::support::workspace::Workspace;

/// Tries of each request: more than a passing fault needs.
const ATTEMPTS: u64 = 4;

/// How often a passing fault comes.
const PASSES_AFTER: u64 = 2;

/// A row of the matrix.
struct Row {
    name: &'static str,
    fault: Fault,
    /// What the error says where the fault stays.
    says: &'static str,
    /// Whether the request is tried again.
    retried: bool,
    /// The timeouts of the source.
    timeout: &'static str,
}

const PATIENT: &str = "{request: 30s}";

const fn passing(name: &'static str, fault: Fault, says: &'static str) -> Row {
    Row { name, fault, says, retried: true, timeout: PATIENT }
}

const fn lasting(name: &'static str, fault: Fault, says: &'static str) -> Row {
    Row { name, fault, says, retried: false, timeout: PATIENT }
}

const ROWS_OF_MATRIX: [Row; 23] = [
    passing("reset", Fault::Reset, "the connection broke after 4 tries"),
    passing("closed", Fault::Closed, "the connection broke after 4 tries"),
    passing("s500", Fault::Status(500, false), "status 500 after 4 tries"),
    passing("s502", Fault::Status(502, false), "status 502 after 4 tries"),
    passing("s503", Fault::Status(503, false), "status 503 after 4 tries"),
    passing("s503-wish", Fault::Status(503, true), "status 503 after 4 tries"),
    passing("s504", Fault::Status(504, false), "status 504 after 4 tries"),
    passing("s429", Fault::Status(429, false), "status 429 after 4 tries"),
    passing("s429-wish", Fault::Status(429, true), "status 429 after 4 tries"),
    passing("torn-length", Fault::TornLength, "the body is incomplete after 4 tries"),
    passing("torn-chunks", Fault::TornChunks, "the body is incomplete after 4 tries"),
    passing("torn-end", Fault::TornEnd, "the body is incomplete after 4 tries"),
    Row { timeout: "{request: 300ms}", ..passing("silence", Fault::Silence, "timeout after 4 tries") },
    Row {
        timeout: "{request: 30s, read: 200ms}",
        ..passing("stall", Fault::Stall, "no byte of the body came for 200ms")
    },
    Row { timeout: "{request: 300ms, read: 30s}", ..passing("drip", Fault::Drip, "timeout after 4 tries") },
    lasting("s403", Fault::Status(403, false), "status 403 after 1 try"),
    lasting("s404", Fault::Status(404, true), "status 404 after 1 try"),
    lasting("garbage", Fault::Garbage, "the body isn't json at byte"),
    lasting("html", Fault::Html, "the body is html or xml, not json"),
    lasting("latin1", Fault::Latin1, "the body isn't utf-8 at byte"),
    lasting("oversized", Fault::Oversized, "larger than 4096 bytes"),
    lasting("wrong-shape", Fault::WrongShape, "there is no `items` in the body, which has `result`"),
    lasting("wrong-type", Fault::WrongType, "`items` is an object"),
];

/// A column of the matrix: a job, the page that fails, and how often.
struct Column {
    job: String,
    paging: Paging,
    page: u64,
    stays: bool,
}

fn columns(paging: Paging, retried: bool) -> Vec<Column> {
    let mut pages = vec![1, 2, paging.pages()];
    pages.retain(|page| *page <= paging.pages());
    pages.dedup();
    let mut columns = Vec::new();
    for page in pages {
        for stays in if retried { &[false, true][..] } else { &[true] } {
            let job = format!("page_{page}_{}", if *stays { "stays" } else { "passes" });
            columns.push(Column { job, paging, page, stays: *stays });
        }
    }
    columns
}

struct NoVariables;

impl Lookup for NoVariables {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files".to_owned())
    }
}

fn pipeline(url: &str, name: &str, row: &Row, columns: &[Column], folder: &Path) -> check::Checked {
    let mut text = format!(
        "version: 1\nname: {name}\nsource:\n  base_url: {url}\n  timeout: {}\n  max_response: 4KiB\n  retry: {{attempts: {ATTEMPTS}, max_delay: \
         1ms}}\njobs:\n",
        row.timeout
    );
    for column in columns {
        let (job, paging, lake) = (&column.job, column.paging.yaml(), folder.join("lake").join(name));
        let _ = writeln!(
            text,
            "  {job}: {{get: /{name}/{job}, records: '.items[]', snapshot: latest, paginate: {paging}, sinks: {{lake: {{jsonl: {{url: '{}'}}}}}}}}",
            lake.join(job).display()
        );
    }
    check::load(&Source { name: name.to_owned(), text }, &NoVariables).unwrap_or_else(|found| panic!("{found:?}"))
}

/// Runs a fault by one way to page, and returns how many cells of the matrix that is, and what is wrong with them.
async fn try_cells(server: &Faulty, url: &str, row: &Row, paging: Paging, folder: &Path) -> (usize, Vec<String>) {
    let name = format!("{}-{paging:?}", row.name).to_lowercase();
    let columns = columns(paging, row.retried);
    for column in &columns {
        let times = if column.stays { u64::MAX } else { PASSES_AFTER };
        let cell = Cell { paging: column.paging, fault: row.fault, page: column.page, times, asked: HashMap::new() };
        server.add(&format!("/{name}/{}", column.job), cell);
    }
    let checked = pipeline(url, &name, row, &columns, folder);
    let env = Env {
        clock: Arc::new(SystemClock),
        progress: Arc::new(Silent),
        sources: Arc::new(Sources::default()),
        stores: Arc::default(),
        cancel: tokio_util::sync::CancellationToken::new(),
        terminated: tidegate::run::Terminated::default(),
        bounds: Bounds::default(),
    };
    let options = Options {
        shard: tidegate::plan::Shard::WHOLE,
        run: new_id(chrono::DateTime::UNIX_EPOCH),
        scheduled_for: None,
        state: folder.join("state").display().to_string(),
        now: NOW.parse().unwrap(),
        jobs: Vec::new(),
        wait: false,
        lease_ttl: tidegate::ledger::Timing::default().ttl,
        allow_shrink: false,
        retry_refused: false,
        accept: None,
        allow_future: true,
        lock: None,
        reads: tidegate::run::Reads::Due,
    };
    let report = run(&checked.pipeline, &options, &env).await.unwrap();
    let wrong = columns.iter().filter_map(|column| {
        let job = report.jobs.iter().find(|job| job.job.as_str() == column.job).unwrap();
        let path = format!("/{name}/{}", column.job);
        let lake = folder.join("lake").join(&name).join(&column.job);
        let wrong = judge(row, column, job, (&path, server.asked(&path, column.page)), &lake);
        wrong.map(|wrong| format!("{path}: {wrong}; {job:?}"))
    });
    (columns.len(), wrong.collect())
}

/// Says what is wrong with a cell of the matrix.
fn judge(row: &Row, column: &Column, job: &JobReport, (path, asked): (&str, u64), lake: &Path) -> Option<String> {
    let ids = landed(lake);
    let [slice] = job.slices.as_slice() else { return Some("not one slice".to_owned()) };
    let tries = match (row.retried, column.stays) {
        (false, _) => 1,
        (true, true) => ATTEMPTS,
        (true, false) => PASSES_AFTER + 1,
    };
    if asked != tries {
        return Some(format!("the page was asked for {asked} times, not {tries}"));
    }
    match &slice.outcome {
        SliceOutcome::Landed if column.stays => Some("it landed".to_owned()),
        SliceOutcome::Landed => (ids != (1..=ROWS).collect::<Vec<_>>()).then(|| format!("it landed {ids:?}")),
        SliceOutcome::Failed { .. } if !column.stays => Some("it failed".to_owned()),
        SliceOutcome::Failed { error } if !error.contains(row.says) => Some(format!("it doesn't say '{}'", row.says)),
        SliceOutcome::Failed { error } if !error.contains(&format!("GET {path}")) => {
            Some("it doesn't name the request".to_owned())
        }
        SliceOutcome::Failed { .. } => (!files(lake).is_empty()).then(|| format!("files are left: {:?}", files(lake))),
        SliceOutcome::Unchanged => Some("it ended unchanged".to_owned()),
    }
}

/// Returns the ids that landed, sorted.
fn landed(lake: &Path) -> Vec<u64> {
    let texts = files(lake).into_iter().filter(|path| path.ends_with(".jsonl"));
    let texts: Vec<String> = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap();
    let mut ids: Vec<u64> = texts.iter().flat_map(|text| text.lines()).map(id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_on_every_page_by_every_way_to_page() {
    let (workspace, server) = (Workspace::new(), Faulty::default());
    let url = server.start().await;
    let folder = workspace.path("");
    let parts = ROWS_OF_MATRIX.iter().flat_map(|row| Paging::ALL.map(|paging| (row, paging)));
    let tried = futures::stream::iter(parts).map(|(row, paging)| try_cells(&server, &url, row, paging, &folder));
    let (mut cells, mut wrong) = (0, Vec::new());
    let mut tried = tried.buffer_unordered(12);
    while let Some((count, found)) = tried.next().await {
        cells += count;
        wrong.extend(found);
    }
    assert_eq!(cells, 15 * 32 + 8 * 16);
    assert!(wrong.is_empty(), "{} of {cells} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
