//! A simulated Lastline: its monitoring API, `/papi/monitoring/` (vendors.md section D).
//!
//! There, an error has the status 200 and may lack its code or its text, a session that is over looks like a right that is missing,
//! metrics get coarser the longer the span is, log entries grow, and lists have a limit and no offset. What nobody has documented is
//! said so where it is chosen, and has a knob where a client might lean on it.
//!
//! All data follow from the configuration and the clock's instants: same inputs, same rows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::answer::ApiError;
use self::ask::Parameters;
use self::devices::Device;
use self::entries::Seed;
use self::logs::Log;
use self::metrics::{NATIVE, Points, floor};
use self::session::Sessions;
use super::dice::mix;
use super::faults::FaultInjector;
use super::server::{self, Appliance, Reply, Request, Response, Service};
use crate::clock::Clock;

mod answer;
mod ask;
mod config;
mod devices;
mod entries;
mod logs;
mod metrics;
mod series;
mod session;
mod truth;

#[cfg(test)]
mod tests;

pub use config::{ErrorShape, Excess, LastlineConfig, Nothing, Phase, SessionLifetime, Spelling, Success};
pub use entries::LogEntry;
pub use metrics::MetricPoint;

/// The most requests that the log keeps; the oldest go first.
const MAX_LOG: usize = 100_000;

/// A request that reached the appliance, and what became of it. It holds no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLog {
    /// What is called, such as `monitoring/metric/get`; the path, where that is no function.
    pub function: String,
    /// The parameters, credentials left out.
    pub parameters: BTreeMap<String, String>,
    /// Whether a credential was in the URL, where logs and proxies see it.
    pub credential_in_url: bool,
    /// The number of the session, from 1; none where nobody was let in.
    pub session: Option<u64>,
    /// Code and text of the error that was answered, before the configuration takes parts of it away.
    pub error: Option<String>,
    /// Log entries in the answer.
    pub entries: usize,
}

/// The simulated appliance.
#[derive(Debug)]
pub struct Lastline {
    config: LastlineConfig,
    clock: Arc<dyn Clock>,
    /// The clock's present at construction.
    made_at: DateTime<Utc>,
    devices: Vec<Device>,
    seeds: Vec<Seed>,
    sessions: Sessions,
    log: Mutex<VecDeque<RequestLog>>,
    answers: AtomicU64,
    faults: Arc<FaultInjector>,
}

impl Lastline {
    /// Makes an appliance whose history ends at the clock's present; a day of log entries, and metrics, beyond it are seen when the
    /// clock gets there.
    #[must_use]
    pub fn new(config: LastlineConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let made_at = clock.now();
        let devices = devices::devices(&config);
        Arc::new(Self {
            seeds: entries::generate(&config, config.sensors + 2, made_at.timestamp()),
            devices,
            made_at,
            clock,
            faults: Arc::new(FaultInjector::new(config.faults.clone())),
            config,
            sessions: Sessions::default(),
            log: Mutex::default(),
            answers: AtomicU64::new(0),
        })
    }

    /// Serves the API on `listener` until `shutdown`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let service = Service {
            workers: Arc::new(Semaphore::new(self.config.workers.max(1))),
            latency: self.config.latency,
            faults: Arc::clone(&self.faults),
        };
        server::serve(self, listener, service, shutdown).await;
    }

    /// The requests that reached the appliance, the oldest first; those that a fault answered are not among them.
    pub fn requests(&self) -> Vec<RequestLog> {
        lock(&self.log).iter().cloned().collect()
    }

    fn points(&self) -> Points<'_> {
        let until = self.made_at.timestamp();
        let since = floor(until - i64::from(self.config.days.max(1)) * 86_400, NATIVE);
        Points { config: &self.config, since, until, now: self.clock.now().timestamp() }
    }

    fn log_at(&self, now: DateTime<Utc>) -> Log<'_> {
        Log { config: &self.config, devices: &self.devices, seeds: &self.seeds, now: now.timestamp() }
    }

    /// Answers a call: who asks first, then whether they may, then what is wanted.
    fn call(&self, function: &str, request: &Request, entry: &mut RequestLog) -> Response {
        let given = Parameters::read(request);
        entry.parameters = given.harmless();
        let now = self.clock.now();
        let mut cookie = None;
        let outcome = match function {
            "login" if request.method != "POST" => Err(ApiError::invalid("method")),
            "login" => self.sessions.log_in(&self.config, &given, now.timestamp()).map(|admitted| {
                entry.session = Some(admitted.session);
                cookie = admitted.cookie;
                // What the data of a login are differs between the documents and the client's tests.
                if mix(self.config.seed, admitted.session).is_multiple_of(2) { json!("true") } else { json!([]) }
            }),
            "logout" => {
                self.sessions.log_out(request);
                Ok(json!("true"))
            }
            _ => self.sessions.admit(&self.config, request, &given, now.timestamp()).and_then(|admitted| {
                entry.session = Some(admitted.session);
                cookie = admitted.cookie;
                self.data(function, &given, now, &mut entry.entries)
            }),
        };
        entry.error = outcome.as_ref().err().map(ApiError::shown);
        answer::envelope(&self.config, &outcome, cookie)
    }

    fn data(
        &self,
        function: &str,
        given: &Parameters,
        now: DateTime<Utc>,
        sent: &mut usize,
    ) -> Result<Value, ApiError> {
        if self.config.forbidden.iter().any(|forbidden| forbidden == function) {
            return Err(ApiError::permission_denied());
        }
        let salt = mix(self.config.seed, self.answers.fetch_add(1, Ordering::Relaxed));
        match function {
            "monitoring/metric/list" => series::list(&self.points(), &self.devices, given),
            "monitoring/metric/get" => series::get(&self.points(), &self.devices, given, salt),
            "monitoring/metric/aggregate" => series::aggregate(&self.points(), &self.devices, given),
            "monitoring/log/get" => {
                let (list, entries) = self.log_at(now).list(given, salt)?;
                *sent = entries;
                Ok(list)
            }
            _ => self.log_at(now).detail(given),
        }
    }

    fn remember(&self, entry: RequestLog) {
        let mut log = lock(&self.log);
        if log.len() == MAX_LOG {
            log.pop_front();
        }
        log.push_back(entry);
    }
}

/// What can be called.
const FUNCTIONS: [&str; 7] = [
    "login",
    "logout",
    "monitoring/metric/list",
    "monitoring/metric/get",
    "monitoring/metric/aggregate",
    "monitoring/log/get",
    "monitoring/log/get_entry",
];

impl Appliance for Lastline {
    fn reply(&self, request: &Request) -> Reply {
        let path = request.path();
        // The API speaks XML as well (`.xml`), in a form that isn't known; without an ending, it is JSON.
        let function = path.strip_prefix("/papi/").map(|path| path.strip_suffix(".json").unwrap_or(path));
        let function = function.filter(|function| FUNCTIONS.contains(function));
        let query = url::form_urlencoded::parse(request.query().as_bytes());
        let mut entry = RequestLog {
            function: function.unwrap_or(path).to_owned(),
            parameters: BTreeMap::new(),
            credential_in_url: query
                .into_owned()
                .any(|(name, _)| session::CREDENTIALS.iter().any(|(_, secret)| name == *secret)),
            session: None,
            error: None,
            entries: 0,
        };
        let response = match function {
            Some(function) => self.call(function, request, &mut entry),
            None => answer::not_found(),
        };
        self.remember(entry);
        Reply::Answer(response)
    }
}

/// Locks, whatever befell the last holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
