//! A simulated ntopng 6.2 community appliance: its REST API v2 with the oddities that a client can see (vendors.md section A; where A10
//! says something else, that).
//!
//! All data follow from the configuration and the clock's instant at construction: same inputs, same rows. The clock alone decides on
//! what has been inserted, who is locked out and how old a row is, so a test that moves its clock moves the appliance.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::answer::Setting;
use self::auth::Gate;
use self::params::Params;
use self::scripts::{Call, Preferences};
use self::site::Site;
use super::dice::mix;
use super::faults::{FaultInjector, Faults};
use super::server::{self, Appliance, Reply, Request, Response, Service};
use crate::clock::Clock;

mod alert_lists;
mod alert_query;
mod alert_summary;
mod answer;
mod auth;
mod config;
mod fields;
mod flow_alerts;
mod generate;
mod host_alerts;
mod journal;
mod json;
mod kinds;
mod live;
mod names;
mod params;
mod rows;
mod scripts;
mod site;
mod tables;
mod timeseries;
mod truth;

#[cfg(test)]
mod tests;

pub use config::{Interface, NtopngConfig, User};
pub use rows::{Flow, FlowAlert, Host, HostAlert};

/// The most requests that the log keeps; the oldest go first.
const MAX_LOG: usize = 100_000;

/// A request that reached the appliance, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLog {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// The user, `None` where the credentials were missing or wrong.
    pub user: Option<String>,
    /// The status of the answer, `None` where the process died instead.
    pub status: Option<u16>,
    /// Rows in the answer.
    pub rows: usize,
}

/// The simulated appliance.
#[derive(Debug)]
pub struct Ntopng {
    config: NtopngConfig,
    clock: Arc<dyn Clock>,
    sites: RwLock<Vec<Site>>,
    gate: Mutex<Gate>,
    /// By user, in the order of the configuration.
    preferences: Vec<Mutex<Preferences>>,
    log: Mutex<VecDeque<RequestLog>>,
    answers: AtomicU64,
    crashes: AtomicU64,
    /// Stops the server that runs at present.
    running: Mutex<CancellationToken>,
    faults: Arc<FaultInjector>,
}

impl Ntopng {
    /// Makes an appliance whose history ends at the clock's present.
    #[must_use]
    pub fn new(config: NtopngConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let now = clock.now().timestamp();
        Arc::new(Self {
            sites: RwLock::new(Site::all(&config, now)),
            preferences: config.users.iter().map(|_| Mutex::default()).collect(),
            faults: Arc::new(FaultInjector::new(config.faults.clone())),
            config,
            clock,
            gate: Mutex::default(),
            log: Mutex::default(),
            answers: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            running: Mutex::default(),
        })
    }

    /// Serves the API on `listener` until `shutdown`, or until a request kills the process (see [`Ntopng::crashed`]): then connections
    /// are refused until it is served again.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let stop = shutdown.child_token();
        *lock(&self.running) = stop.clone();
        let service = Service {
            workers: Arc::new(Semaphore::new(self.config.workers.max(1))),
            latency: self.config.latency,
            faults: self.faults.clone(),
        };
        server::serve(self, listener, service, stop).await;
    }

    /// How often a request killed the process: a host list's page below 1 does.
    pub fn crashed(&self) -> u64 {
        self.crashes.load(Ordering::Relaxed)
    }

    /// The requests that reached the appliance, the oldest first; those that a fault answered are not among them.
    pub fn requests(&self) -> Vec<RequestLog> {
        lock(&self.log).iter().cloned().collect()
    }

    /// What goes wrong on purpose: the counts, and [`FaultInjector::set`].
    pub fn faults(&self) -> &FaultInjector {
        &self.faults
    }

    /// Replaces what goes wrong on purpose.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    fn setting(&self, salt: u64) -> Setting {
        Setting { now: self.clock.now(), timezone: self.config.timezone, salt }
    }

    /// Answers a request: who asks, for which script, with which parameters; then runs it.
    fn answer(&self, request: &Request, setting: Setting) -> Ran {
        let ran = |user: Option<&User>, response: Response| Ran {
            user: user.map(|user| user.name.clone()),
            rows: 0,
            response: Some(response),
        };
        if matches!(request.path(), "/lua/login.lua" | "/lua/http_status_code.lua") {
            return ran(None, answer::page(request, setting));
        }
        let now = setting.now.timestamp();
        let given = request.header("authorization");
        let Some(user) = lock(&self.gate).admit(&self.config.users, given, request.peer, now) else {
            return ran(None, answer::login_redirect(request));
        };
        let Some(script) = scripts::find(request.path()) else {
            return ran(Some(user), answer::error_page("not_found", "", request));
        };
        let params = match Params::read(request.query(), &request.body) {
            Ok(params) => params,
            Err(unknown) => {
                return ran(Some(user), answer::error_page("internal_error", &unknown.to_string(), request));
            }
        };
        let place = self.config.users.iter().position(|known| known.name == user.name);
        let Some(preferences) = place.and_then(|place| self.preferences.get(place)) else {
            return ran(None, answer::login_redirect(request));
        };
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        let call = Call { config: &self.config, sites: &sites, params: &params, user, preferences, setting };
        let outcome = script(&call);
        let response = answer::respond(outcome.body, request, setting);
        Ran { user: Some(user.name.clone()), rows: outcome.rows, response }
    }

    fn remember(&self, request: &Request, ran: &Ran) {
        let mut log = lock(&self.log);
        if log.len() == MAX_LOG {
            log.pop_front();
        }
        log.push_back(RequestLog {
            method: request.method.clone(),
            target: request.target.clone(),
            user: ran.user.clone(),
            status: ran.response.as_ref().map(|response| response.status),
            rows: ran.rows,
        });
    }
}

/// What became of a request.
struct Ran {
    user: Option<String>,
    rows: usize,
    response: Option<Response>,
}

impl Appliance for Ntopng {
    fn reply(&self, request: &Request) -> Reply {
        let salt = mix(self.config.seed, self.answers.fetch_add(1, Ordering::Relaxed));
        let ran = self.answer(request, self.setting(salt));
        self.remember(request, &ran);
        let Some(response) = ran.response else {
            self.crashes.fetch_add(1, Ordering::Relaxed);
            lock(&self.running).cancel();
            return Reply::HangUp;
        };
        Reply::Answer(response)
    }
}

/// Locks, whatever befell the last holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
