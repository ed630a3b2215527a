//! A simulated Cisco Secure Workload (Tetration): flow search by live analysis, `POST /openapi/v1/live_analysis/<application>`.
//!
//! What is modelled, and on what evidence: the signature is that of the vendor's own client (`tetpyclient`); keys in two spellings,
//! `{}` and `[]` for no flows, and an opaque cursor are what public scripts met; how the cursor looks inside is ours. What nobody has
//! documented varies by seed or by configuration, so that a client can't lean on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::faults::{FaultInjector, Faults};
use super::server::{self, Appliance, Reply, Request, Response, Service};
use crate::clock::Clock;

mod answer;
mod auth;
mod config;
mod cursor;
mod filter;
mod flows;
mod search;

#[cfg(test)]
mod tests;

pub use config::{SecureWorkloadConfig, Spelling};
pub use flows::Flow;

/// The most requests that the log keeps; the oldest go first.
const MAX_LOG: usize = 100_000;

/// Where the API begins.
const API: &str = "/openapi/v1";

/// A request that reached the appliance, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLog {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// The body, as sent.
    pub body: String,
    /// The time in the signature, as sent.
    pub timestamp: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// Rows in the answer.
    pub rows: usize,
}

/// What a request gives.
struct Outcome {
    response: Response,
    rows: usize,
}

/// The simulated appliance.
#[derive(Debug)]
pub struct SecureWorkload {
    config: SecureWorkloadConfig,
    clock: Arc<dyn Clock>,
    /// By time.
    flows: Vec<Flow>,
    log: Mutex<VecDeque<RequestLog>>,
    faults: Arc<FaultInjector>,
}

impl SecureWorkload {
    /// Makes an appliance whose history ends at the clock's present; an hour of flows beyond it is seen when the clock gets there.
    #[must_use]
    pub fn new(config: SecureWorkloadConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            flows: flows::generate(&config, clock.now().timestamp_millis()),
            faults: Arc::new(FaultInjector::new(config.faults.clone())),
            config,
            clock,
            log: Mutex::default(),
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

    /// The configuration.
    pub const fn config(&self) -> &SecureWorkloadConfig {
        &self.config
    }

    /// The flows that are readable at the clock's present, by time.
    pub fn flows(&self) -> &[Flow] {
        let now = self.clock.now().timestamp_millis();
        &self.flows[..self.flows.partition_point(|flow| flow.timestamp <= now)]
    }

    /// The record that an answer has for a flow, where all dimensions and metrics are asked for.
    pub fn render(&self, flow: &Flow) -> serde_json::Value {
        flow.render(&self.config)
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

    /// Answers a request: the signature first, then what it may do, then what it asks for.
    fn answer(&self, request: &Request) -> Outcome {
        let only = |response| Outcome { response, rows: 0 };
        let Some(path) = request.path().strip_prefix(API) else { return only(answer::page(404, "Not Found")) };
        if let Err(why) = auth::verify(&self.config, request, self.clock.now()) {
            return only(answer::error(401, why));
        }
        if !self.config.flow_search_capability {
            // Scripts that ran against real appliances fall back to the text of this answer: it isn't JSON.
            return only(answer::page(403, "Forbidden"));
        }
        let Some(rest) = path.strip_prefix("/live_analysis/") else { return only(answer::error(404, "not found")) };
        match (request.method.as_str(), rest) {
            ("GET", "dimensions") => only(answer::json(&flows::DIMENSIONS.into())),
            ("GET", "metrics") => only(answer::json(&flows::METRICS.into())),
            ("POST", application) if self.config.applications.iter().any(|known| known == application) => {
                match search::run(&self.config, self.flows(), application, &request.body) {
                    Ok(found) => Outcome { response: answer::json(&found.body), rows: found.rows },
                    Err(why) => only(answer::error(400, &why)),
                }
            }
            ("POST", _) => only(answer::error(404, "application not found")),
            _ => only(answer::error(405, "method not allowed")),
        }
    }

    fn remember(&self, request: &Request, outcome: &Outcome) {
        let mut log = lock(&self.log);
        if log.len() == MAX_LOG {
            log.pop_front();
        }
        log.push_back(RequestLog {
            method: request.method.clone(),
            target: request.target.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            timestamp: request.header("timestamp").map(str::to_owned),
            status: outcome.response.status,
            rows: outcome.rows,
        });
    }
}

impl Appliance for SecureWorkload {
    fn reply(&self, request: &Request) -> Reply {
        let outcome = self.answer(request);
        self.remember(request, &outcome);
        Reply::Answer(outcome.response)
    }
}

/// Locks, whatever befell the last holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
