//! A simulated Plixer Scrutinizer: the reporting API of its fcgi endpoint, as far as a conversations report goes (vendors.md section C).
//!
//! There, errors have the status 200, a page is a JSON value inside a form field, every cell names its column in JSON inside a text, and
//! every page runs the whole report anew. What a client can't know of the real one is said so where it is chosen.
//!
//! All data follow from the configuration and the clock's instant at construction: same inputs, same rows.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::ask::{Ask, Page};
use self::flows::Flow;
use super::dice::mix;
use super::faults::FaultInjector;
use super::server::{self, Appliance, Framing, Reply, Request, Response, Service};
use crate::clock::Clock;

mod ask;
mod cells;
mod config;
mod flows;
mod report;
mod truth;

#[cfg(test)]
mod tests;

pub use config::ScrutinizerConfig;
pub use flows::Direction;
pub use report::Conversation;

/// Where the API is.
const ENDPOINT: &str = "/fcgi/scrut_fcgi.fcgi";
/// The most requests that the log keeps; the oldest go first.
const MAX_LOG: usize = 100_000;

/// A request that reached the appliance, and what became of it. It holds no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLog {
    /// The method.
    pub method: String,
    /// Whether the token was in the URL, where logs and proxies see it.
    pub token_in_url: bool,
    /// The range of the report; none where no report was run.
    pub range: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Direction, offset and rows asked for of each table.
    pub pages: Vec<(Direction, usize, usize)>,
    /// Rows in the answer.
    pub rows: usize,
    /// What the answer complains of.
    pub error: Option<String>,
}

/// The simulated appliance.
#[derive(Debug)]
pub struct Scrutinizer {
    config: ScrutinizerConfig,
    clock: Arc<dyn Clock>,
    /// By direction, in the order of their beginning.
    flows: RwLock<[Vec<Flow>; 2]>,
    /// The instant, in epoch seconds, over which no report succeeds.
    fails_over: Mutex<Option<i64>>,
    log: Mutex<VecDeque<RequestLog>>,
    answers: AtomicU64,
    faults: Arc<FaultInjector>,
}

impl Scrutinizer {
    /// Makes an appliance whose history ends at the clock's present.
    #[must_use]
    pub fn new(config: ScrutinizerConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let now = clock.now().timestamp();
        Arc::new(Self {
            flows: RwLock::new(Direction::ALL.map(|direction| flows::history(&config, direction, now))),
            faults: Arc::new(FaultInjector::new(config.faults.clone())),
            config,
            clock,
            fails_over: Mutex::default(),
            log: Mutex::default(),
            answers: AtomicU64::new(0),
        })
    }

    /// Serves the API on `listener` until `shutdown`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let service = Service {
            workers: Arc::new(Semaphore::new(self.config.workers.max(1))),
            latency: self.config.latency,
            faults: self.faults.clone(),
        };
        server::serve(self, listener, service, shutdown).await;
    }

    /// The requests that reached the appliance, the oldest first; those that a fault answered are not among them.
    pub fn requests(&self) -> Vec<RequestLog> {
        lock(&self.log).iter().cloned().collect()
    }

    /// Answers a call: the token first, then what is wanted.
    fn call(&self, request: &Request, salt: u64, log: &mut RequestLog) -> Value {
        let parameters = ask::parameters(request);
        let given = |name: &str| parameters.get(name).map(String::as_str);
        match given("authToken") {
            // A missing token has no `details`, a wrong one has.
            None | Some("") => return json!({"err": "No authentication token was sent"}),
            Some(token) if !self.config.tokens.iter().any(|known| known == token) => {
                return json!({"err": "The authentication token is not valid", "details": "invalidToken"});
            }
            Some(_) => {}
        }
        match (given("rm"), given("action").or_else(|| given("type"))) {
            (Some("report_api"), Some("get")) => match Ask::read(&parameters, self.clock.now().timestamp()) {
                Ok(ask) => self.report(&ask, salt, log),
                Err(error) => json!({"report": {"error": error.to_string()}}),
            },
            (Some("get_known_objects"), Some("devices")) => {
                json!([{"name": "core-router.lan", "ip": self.config.exporter.to_string()}])
            }
            _ => json!({"err": "This run mode is not known"}),
        }
    }

    fn report(&self, ask: &Ask, salt: u64, log: &mut RequestLog) -> Value {
        let (start, end) = (ask.range.start, ask.range.end);
        log.range = DateTime::from_timestamp(start, 0).zip(DateTime::from_timestamp(end, 0));
        log.pages = ask.tables.iter().map(|page| (page.direction, page.offset, page.rows)).collect();
        if lock(&self.fails_over).is_some_and(|instant| (start..end).contains(&instant)) {
            return json!({"report": {"error": "The report could not be run"}});
        }
        let flows = self.flows.read().unwrap_or_else(PoisonError::into_inner);
        let mut tables = Map::new();
        for page in &ask.tables {
            let table = self.table(&flows[page.direction as usize], *page, ask, salt, &mut log.rows);
            tables.insert(page.direction.name().to_owned(), table);
        }
        let exporter = self.config.exporter;
        let collected: usize = flows.iter().map(Vec::len).sum();
        json!({"report": {
            "exporter_details": {exporter.to_string(): {"exporter_hex": hex(exporter), "flow_count": collected}},
            "request_id": format!("{salt:#018x}"),
            "table": tables,
        }})
    }

    /// Runs the report for one direction and cuts the page out.
    fn table(&self, flows: &[Flow], page: Page, ask: &Ask, salt: u64, sent: &mut usize) -> Value {
        let now = self.clock.now().timestamp();
        let ties = self.config.shuffled_ties.then_some(salt);
        let rows = report::run(flows, page.direction, self.config.seed, ask.range, now, (ask.order, ties));
        let most = self.config.row_cap.map_or(page.rows, |cap| cap.min(page.rows));
        let shown = rows.iter().enumerate().skip(page.offset).take(most);
        let shown: Vec<Value> = shown.map(|(index, row)| cells::row(row, index + 1, ask, self.config.seed)).collect();
        *sent += shown.len();
        // The shapes of `columns` and `footer` aren't known; clients don't look at them.
        let mut table = json!({"columns": cells::COLUMNS, "footer": [], "rows": shown});
        if self.config.states_total {
            table["totalRowCount"] = rows.len().into();
        }
        table
    }

    fn remember(&self, entry: RequestLog) {
        let mut log = lock(&self.log);
        if log.len() == MAX_LOG {
            log.pop_front();
        }
        log.push_back(entry);
    }
}

impl Appliance for Scrutinizer {
    fn reply(&self, request: &Request) -> Reply {
        let salt = mix(self.config.seed, self.answers.fetch_add(1, Ordering::Relaxed));
        let mut log = RequestLog {
            method: request.method.clone(),
            token_in_url: request.query().contains("authToken="),
            range: None,
            pages: Vec::new(),
            rows: 0,
            error: None,
        };
        let response = if self.config.https_only {
            let host = request.header("host").unwrap_or_default();
            let location = vec![("Location", format!("https://{host}{}", request.target))];
            Response {
                status: 302,
                reason: "Found",
                headers: location,
                body: Vec::new(),
                framing: Framing::ContentLength,
            }
        } else if request.path() == ENDPOINT {
            let answer = self.call(request, salt, &mut log);
            let error = answer.get("err").or_else(|| answer.get("report")?.get("error"));
            log.error = error.and_then(Value::as_str).map(str::to_owned);
            page(200, "OK", "application/json", answer.to_string())
        } else {
            page(404, "Not Found", "text/html", "<!DOCTYPE html>\n<html><body>Not Found</body></html>\n".to_owned())
        };
        self.remember(log);
        Reply::Answer(response)
    }
}

fn page(status: u16, reason: &'static str, content: &str, body: String) -> Response {
    let headers = vec![("Content-Type", content.to_owned())];
    Response { status, reason, headers, body: body.into_bytes(), framing: Framing::ContentLength }
}

/// An address as the API's filters spell it: `0A0101FB`.
fn hex(address: Ipv4Addr) -> String {
    address.octets().map(|octet| format!("{octet:02X}")).concat()
}

/// Locks, whatever befell the last holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
