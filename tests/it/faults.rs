//! Every fault of a server, on every page, by every way to page: what passes lands every row once, and what stays fails with
//! its reason and lands nothing. One process, real sockets.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tidegate::clock::SystemClock;
use tidegate::extract::paginate::Ceilings;
use tidegate::model::{JobReport, SliceOutcome};
use tidegate::pipeline::check;
use tidegate::pipeline::load::{Lookup, Source};
use tidegate::run::{Bounds, Env, Options, Silent, Sources, new_id, run};

use crate::support::bench::{NOW, files};
use crate::support::faulty::{Cell, Fault, Faulty, Paging, ROWS, Wants};
use crate::support::workspace::Workspace;

/// Tries of each request: more than a passing fault needs.
const ATTEMPTS: u64 = 4;

/// The most that a slice may take: more than any list has, but for the faults of that kind.
const CEILINGS: Ceilings = Ceilings { pages: 20, rows: 100, bytes: 3000, time: Duration::from_hours(1) };

/// A row of the matrix.
struct Row {
    name: &'static str,
    fault: Fault,
    /// What the error says where the fault stays.
    says: &'static str,
    /// How often the fault comes where it passes; none where it never does.
    passes_after: Option<u64>,
    /// How often the page is asked for where the fault stays.
    tries: Tries,
    /// The timeouts of the source.
    timeout: &'static str,
    ceilings: Ceilings,
}

/// How often a page is asked for.
#[derive(Clone, Copy)]
enum Tries {
    Exactly(u64),
    /// Where a slow machine may add a try, or take one away.
    About,
    /// Twice where the list comes by it again, or its connection was kept.
    Circling,
}

const LASTING: Row = Row {
    name: "",
    fault: Fault::Html,
    says: "",
    passes_after: None,
    tries: Tries::Exactly(1),
    timeout: "{request: 30s}",
    ceilings: CEILINGS,
};

const PASSING: Row = Row { passes_after: Some(2), tries: Tries::Exactly(ATTEMPTS), ..LASTING };

/// Waits that end: a second is long on loopback, and two tries are left where the machine is slower still.
const TIMED: Row = Row { tries: Tries::About, timeout: "{request: 1s}", ..PASSING };

const fn passing(name: &'static str, fault: Fault, says: &'static str) -> Row {
    Row { name, fault, says, ..PASSING }
}

const fn lasting(name: &'static str, fault: Fault, says: &'static str) -> Row {
    Row { name, fault, says, ..LASTING }
}

const fn circling(name: &'static str, fault: Fault, says: &'static str) -> Row {
    Row { name, fault, says, tries: Tries::Circling, ..LASTING }
}

const ROWS_OF_MATRIX: [Row; 51] = [
    Row { name: "silence", fault: Fault::Silence, says: "timeout after 4 tries", ..TIMED },
    Row {
        name: "stall",
        fault: Fault::Stall,
        says: "no byte of the body came for 1s",
        timeout: "{request: 30s, read: 1s}",
        ..TIMED
    },
    Row { name: "drip", fault: Fault::Drip, says: "timeout after 4 tries", ..TIMED },
    Row {
        name: "slow",
        fault: Fault::Slow,
        says: "the slice has more than 1 seconds, the most that one may have",
        tries: Tries::About,
        ceilings: Ceilings { time: Duration::from_secs(1), ..CEILINGS },
        ..LASTING
    },
    passing("reset", Fault::Reset, "the connection broke after 4 tries"),
    passing("closed", Fault::Closed, "the connection broke after 4 tries"),
    Row { name: "stale", fault: Fault::Stale, passes_after: Some(1), tries: Tries::Circling, ..LASTING },
    passing("s500", Fault::Status(500, ""), "status 500 after 4 tries"),
    passing("s502", Fault::Status(502, ""), "status 502 after 4 tries"),
    passing("s503", Fault::Status(503, ""), "status 503 after 4 tries"),
    passing("s503-wish", Fault::Status(503, "retry-after: 0\r\n"), "status 503 after 4 tries"),
    passing(
        "s503-date",
        Fault::Status(503, "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n"),
        "status 503 after 4 tries",
    ),
    passing("s504", Fault::Status(504, ""), "status 504 after 4 tries"),
    passing("s429", Fault::Status(429, ""), "status 429 after 4 tries"),
    passing("s429-wish", Fault::Status(429, "retry-after: 0\r\n"), "status 429 after 4 tries"),
    passing("s429-long", Fault::Status(429, "retry-after: 3600\r\n"), "the server asked to wait 1h, longer than"),
    passing("busy", Fault::Busy, "'retry.when' still holds"),
    passing("torn-length", Fault::TornLength, "the body is incomplete after 4 tries"),
    passing("torn-chunks", Fault::TornChunks, "the body is incomplete after 4 tries"),
    passing("torn-end", Fault::TornEnd, "the body is incomplete after 4 tries"),
    passing("torn-gzip", Fault::TornGzip, "the body is incomplete after 4 tries"),
    Row {
        name: "expired",
        fault: Fault::Expired,
        says: "the server refused the credential",
        passes_after: Some(1),
        tries: Tries::Exactly(2),
        ..LASTING
    },
    lasting("refused", Fault::Refused, "the server refused the credential, so no job sends it again in this run"),
    lasting(
        "refused-torn",
        Fault::RefusedTorn,
        "the server refused the credential, so no job sends it again in this run",
    ),
    lasting("s302", Fault::Redirect, "redirects aren't followed"),
    lasting("s304", Fault::Status(304, ""), "it answers a request that asks whether something changed"),
    lasting("s400", Fault::Status(400, ""), "status 400 after 1 try"),
    lasting("s403", Fault::Status(403, ""), "status 403 after 1 try"),
    lasting("s404", Fault::Status(404, "retry-after: 0\r\n"), "status 404 after 1 try"),
    lasting("garbage", Fault::Garbage, "the body isn't json at byte"),
    lasting("html", Fault::Html, "the body is html or xml, not json"),
    lasting("latin1", Fault::Latin1, "the body isn't utf-8 at byte"),
    lasting("oversized", Fault::Oversized, "larger than 4096 bytes"),
    lasting("bomb", Fault::Bomb, "larger than 4096 bytes"),
    lasting("wrong-shape", Fault::WrongShape, "there is no `items` in the body, which has `result`"),
    lasting("wrong-type", Fault::WrongType, "`items` is an object"),
    lasting("empty-list", Fault::EmptyList, "the body is an empty list, and an object was due there"),
    // On the first page it is the column of `key` that doesn't exist, on the others the records that don't have it.
    lasting("message", Fault::Message, "`id`"),
    lasting("deep", Fault::Deep, "it is nested more than 128 deep"),
    lasting("twice", Fault::Twice, "the key `items` comes twice"),
    lasting("nan", Fault::Nan, "json has no such number"),
    lasting("rows", Fault::Flood, "the slice has more than 100 rows, the most that one may have"),
    lasting("bytes", Fault::Bulk, "the slice has more than 3000 bytes, the most that one may have"),
    lasting("pages", Fault::Endless, "page 20 is the last that max_pages allows"),
    lasting("stuck", Fault::Stuck, "brought rows, but none that an earlier page hadn't"),
    lasting("stamped", Fault::Stamped, "pages in a row had the same rows, but for `made`"),
    circling("repeats", Fault::Repeats, "the same request would be sent twice in one slice"),
    circling("circle", Fault::Circle, "the server pages in a circle"),
    lasting("foreign", Fault::Foreign, "credentials follow no link to another origin"),
    lasting("foreign-login", Fault::Foreign, "credentials follow no link to another origin"),
    lasting("s302-login", Fault::Redirect, "redirects aren't followed"),
];

impl Row {
    /// Whether its cells take a while, and do nothing.
    const fn waits(&self) -> bool {
        matches!(self.tries, Tries::About)
    }

    /// Returns what the error says by a way to page; or why there is no such cell.
    fn says(&self, paging: Paging) -> Result<&'static str, &'static str> {
        match (self.fault, paging) {
            (
                Fault::Endless | Fault::Stuck | Fault::Stamped | Fault::Repeats | Fault::Circle | Fault::Foreign,
                Paging::None,
            ) => Err("it asks for one page"),
            (Fault::Repeats, Paging::Offset | Paging::Page) => Err("its place grows with each page"),
            (Fault::Repeats, Paging::Seek) => Err("a value that doesn't move on is refused before: see `stuck`"),
            (Fault::Repeats, Paging::Cursor) => Err("a cursor that comes again is refused before: see `circle`"),
            (Fault::Circle, Paging::Offset | Paging::Page | Paging::Seek) => Err("it is given nothing to move on by"),
            (Fault::Foreign, Paging::Offset | Paging::Page | Paging::Cursor | Paging::Seek) => {
                Err("it follows no link")
            }
            (Fault::Endless | Fault::Stamped, Paging::Offset) => Ok("more than twice the 7 that the server states"),
            (Fault::Stuck | Fault::Stamped, Paging::Seek) => Ok("the server ignores 'query.after'"),
            _ => Ok(self.says),
        }
    }

    /// Returns what a list wants of its requests.
    fn wants(&self, job: &str) -> Wants {
        match self.fault {
            Fault::Expired => Wants::Session,
            _ if self.name.ends_with("-login") => Wants::Session,
            Fault::Refused | Fault::RefusedTorn | Fault::Foreign | Fault::Redirect => Wants::Token(token(job)),
            _ => Wants::Nothing,
        }
    }
}

/// A column of the matrix: a job, the page that fails, and how often.
struct Column {
    job: String,
    paging: Paging,
    page: u64,
    /// How often it fails; none where it does so always.
    times: Option<u64>,
}

fn columns(row: &Row, paging: Paging) -> Vec<Column> {
    let mut pages = vec![1, 2, paging.pages()];
    pages.retain(|page| *page <= paging.pages());
    pages.dedup();
    let column = |page, times: Option<u64>| {
        let job = format!("page_{page}_{}", if times.is_some() { "passes" } else { "stays" });
        Column { job, paging, page, times }
    };
    let passes = |page| row.passes_after.map(|times| column(page, Some(times)));
    // A new connection is always answered.
    let stays = |page| (row.fault != Fault::Stale).then(|| column(page, None));
    pages.into_iter().flat_map(|page| passes(page).into_iter().chain(stays(page))).collect()
}

/// What stands for a variable: each job has a credential of its own.
fn token(name: &str) -> String {
    format!("token-of-{name}")
}

struct Tokens;

impl Lookup for Tokens {
    fn var(&self, name: &str) -> Option<String> {
        Some(token(name))
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files".to_owned())
    }
}

fn pipeline(url: &str, name: &str, row: &Row, columns: &[Column], folder: &Path) -> check::Checked {
    let when = if row.fault == Fault::Busy { ", when: '.busy? // false'" } else { "" };
    let attempts = if row.fault == Fault::Stale { 1 } else { ATTEMPTS };
    let mut text = format!(
        "version: 1\nname: {name}\nsource:\n  base_url: {url}\n  timeout: {}\n  max_response: 4KiB\n  retry: {{attempts: {attempts}, max_delay: \
         1ms{when}}}\njobs:\n",
        row.timeout
    );
    for column in columns {
        let key = if row.fault == Fault::Message { "key: id, " } else { "" };
        let (job, paging, lake) = (&column.job, column.paging.yaml(), folder.join("lake").join(name));
        let auth = match row.wants(job) {
            Wants::Nothing => String::new(),
            Wants::Token(_) => format!("auth: {{bearer: '${{{job}}}'}}, "),
            Wants::Session => format!(
                "auth: {{login: {{post: /{name}/{job}/login, headers: {{x-password: '${{{job}}}'}}, token: '\"Bearer \" + .token', into: \
                 headers.authorization}}}}, "
            ),
        };
        let _ = writeln!(
            text,
            "  {job}: {{get: /{name}/{job}, {auth}{key}records: '.items[]', snapshot: latest, paginate: {paging}, sinks: {{lake: {{jsonl: {{url: '{}'}}}}}}}}",
            lake.join(job).display()
        );
    }
    check::load(&Source { name: name.to_owned(), text }, &Tokens).unwrap_or_else(|found| panic!("{found:?}"))
}

/// Cells of the matrix that are tried by one run, one after the other.
struct Part {
    /// The pipeline.
    name: String,
    row: &'static Row,
    columns: Vec<Column>,
}

/// Returns all parts: a fault by one way to page; each cell by itself, where it waits.
fn parts() -> impl Iterator<Item = Part> {
    rows_by_paging().filter(|(row, paging)| row.says(*paging).is_ok()).flat_map(|(row, paging)| {
        let (name, columns) = (format!("{}-{paging:?}", row.name).to_lowercase(), columns(row, paging));
        if row.waits() {
            let alone = |column: Column| Part {
                name: format!("{name}-{}", column.job.replace('_', "-")),
                row,
                columns: vec![column],
            };
            columns.into_iter().map(alone).collect::<Vec<_>>()
        } else {
            vec![Part { name, row, columns }]
        }
    })
}

/// Tries a part, and returns how many cells it has, and what is wrong with them.
async fn try_part(server: &Faulty, url: &str, part: &Part, folder: &Path) -> (usize, Vec<String>) {
    let Part { name, row, columns } = part;
    for column in columns {
        let times = column.times.unwrap_or(u64::MAX);
        let (paging, page, wants) = (column.paging, column.page, row.wants(&column.job));
        let cell = Cell { paging, fault: row.fault, page, times, wants, asked: HashMap::new(), logins: 0 };
        server.add(&format!("/{name}/{}", column.job), cell);
    }
    let checked = pipeline(url, name, row, columns, folder);
    let env = Env {
        clock: Arc::new(SystemClock),
        progress: Arc::new(Silent),
        sources: Arc::new(Sources::default()),
        stores: Arc::default(),
        cancel: tokio_util::sync::CancellationToken::new(),
        terminated: tidegate::run::Terminated::default(),
        bounds: Bounds { ceilings: row.ceilings, ..Bounds::default() },
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
        let lake = folder.join("lake").join(name).join(&column.job);
        let wrong = judge(row, column, job, (&path, &server.cell(&path)), &lake);
        wrong.map(|wrong| format!("{path}: {wrong}; {job:?}"))
    });
    (columns.len(), wrong.collect())
}

/// Says what is wrong with a cell of the matrix.
fn judge(row: &Row, column: &Column, job: &JobReport, (path, cell): (&str, &Cell), lake: &Path) -> Option<String> {
    let [slice] = job.slices.as_slice() else { return Some("not one slice".to_owned()) };
    if let Some(wrong) = judge_requests(row, column, cell) {
        return Some(wrong);
    }
    let (ids, stays) = (landed(lake), column.times.is_none());
    let said = row.says(column.paging).unwrap();
    match &slice.outcome {
        SliceOutcome::Landed if stays => Some("it landed".to_owned()),
        SliceOutcome::Landed => (ids != (1..=ROWS).collect::<Vec<_>>()).then(|| format!("it landed {ids:?}")),
        SliceOutcome::Failed { .. } if !stays => Some("it failed".to_owned()),
        SliceOutcome::Failed { error, .. } if !error.contains(said) => Some(format!("it doesn't say '{said}'")),
        // Of the first page it is the pipeline file that may be wrong: its line is named.
        SliceOutcome::Failed { error, .. }
            if !error.contains(&format!("GET {path}")) && !error.contains("isn't a column of records") =>
        {
            Some("it doesn't name the request".to_owned())
        }
        SliceOutcome::Failed { .. } => (!files(lake).is_empty()).then(|| format!("files are left: {:?}", files(lake))),
        SliceOutcome::Unchanged => Some("it ended unchanged".to_owned()),
    }
}

/// Says what is wrong with how often was asked.
fn judge_requests(row: &Row, column: &Column, cell: &Cell) -> Option<String> {
    let asked = cell.asked.get(&column.page).copied().unwrap_or_default();
    let due = match (row.tries, column.times) {
        (Tries::Exactly(_), Some(times)) => times + 1..=times + 1,
        (Tries::Exactly(tries), None) => tries..=tries,
        (Tries::About, _) => 0..=ATTEMPTS,
        (Tries::Circling, _) => 1..=2,
    };
    // A login for all requests, and one more where the session ended.
    let logins = u64::from(cell.wants == Wants::Session) + u64::from(row.fault == Fault::Expired);
    match () {
        () if !due.contains(&asked) => Some(format!("the page was asked for {asked} times, not {due:?}")),
        () if cell.logins != logins => Some(format!("there were {} logins, not {logins}", cell.logins)),
        () => None,
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

/// Returns all pairs of a fault and a way to page.
fn rows_by_paging() -> impl Iterator<Item = (&'static Row, Paging)> {
    ROWS_OF_MATRIX.iter().flat_map(|row| Paging::ALL.map(|paging| (row, paging)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_on_every_page_by_every_way_to_page() {
    let workspace = Workspace::new();
    let (server, url) = Faulty::start().await;
    let folder = workspace.path("");
    let (mut cells, mut wrong) = (0, Vec::new());
    // First those that wait, many at once: what keeps the machine busy would make them wait for something else.
    for (waits, at_once) in [(true, 32), (false, 12)] {
        let parts: Vec<Part> = parts().filter(|part| part.row.waits() == waits).collect();
        let tried = futures::stream::iter(&parts).map(|part| try_part(&server, &url, part, &folder));
        let mut tried = tried.buffer_unordered(at_once);
        while let Some((count, found)) = tried.next().await {
            cells += count;
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    // Three pages each, but for the one page of `none`; those of what may pass twice.
    assert_eq!(cells, 20 * 32 + 24 * 16 + 3 * 15 + 6 + 3 * 3);
    assert_eq!(server.strayed(), 0, "no credential went to another server, nor anything else");
}

/// Each cell that the matrix hasn't is one that can't be.
#[test]
fn what_the_matrix_leaves_out_cannot_come_to_pass() {
    let left_out = rows_by_paging().filter_map(|(row, paging)| {
        let why = row.says(paging).err()?;
        Some(format!("{} by {}: {why}", row.name, format!("{paging:?}").to_lowercase()))
    });
    insta::assert_snapshot!(left_out.collect::<Vec<_>>().join("\n"), @r"
    pages by none: it asks for one page
    stuck by none: it asks for one page
    stamped by none: it asks for one page
    repeats by none: it asks for one page
    repeats by offset: its place grows with each page
    repeats by page: its place grows with each page
    repeats by cursor: a cursor that comes again is refused before: see `circle`
    repeats by seek: a value that doesn't move on is refused before: see `stuck`
    circle by none: it asks for one page
    circle by offset: it is given nothing to move on by
    circle by page: it is given nothing to move on by
    circle by seek: it is given nothing to move on by
    foreign by none: it asks for one page
    foreign by offset: it follows no link
    foreign by page: it follows no link
    foreign by cursor: it follows no link
    foreign by seek: it follows no link
    foreign-login by none: it asks for one page
    foreign-login by offset: it follows no link
    foreign-login by page: it follows no link
    foreign-login by cursor: it follows no link
    foreign-login by seek: it follows no link
    ");
}
