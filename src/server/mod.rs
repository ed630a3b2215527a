//! The status page of the daemon, its health and its metrics.
//!
//! Pages are made here, from what the daemon says of itself and what the ledgers say; they work without JavaScript, and a little of it
//! renews them every second. Looking changes nothing and holds up no run: a ledger is read every few seconds at most. What changes
//! something is a `POST` with a token, from a page of our own (`actions`); what a browser may be tricked into is refused by `guard`.

mod actions;
mod chart;
mod detail;
mod exposition;
mod guard;
mod health;
#[cfg(test)]
mod health_tests;
mod home;
mod known;
mod metrics;
#[cfg(test)]
mod metrics_tests;
mod pages;
mod pipeline;
mod routes;
mod runs;
#[cfg(test)]
mod seen_tests;
mod text;
mod troubles;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

pub use self::exposition::Exposition;
pub use self::known::Known;
pub use self::metrics::{Metrics, Stands};
pub use self::text::word as shell_word;
use crate::run::Env;
use crate::schedule::Handle;
use crate::secret::Secret;

/// The fewest characters of a token: what is shorter can be guessed.
pub const LEAST_TOKEN: usize = 16;

/// What the pages show, and who may do what.
#[derive(Clone)]
pub struct Site {
    /// The daemon.
    pub handle: Handle,
    /// The world that its runs live in.
    pub env: Env,
    /// Where the ledgers are kept.
    pub state: String,
    /// How long a lease lives without a sign of life, where no lock tells.
    pub lease_ttl: Duration,
    /// What has been counted.
    pub metrics: Metrics,
    /// What lets a person act; nobody may where there is none.
    pub token: Option<Secret>,
    /// Names under which the page may be asked for, in lower case, besides `localhost` and addresses.
    pub hosts: Vec<String>,
}

/// Serves until the process ends: while it drains, the page shows how far it is.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, site: Site) -> io::Result<()> {
    let app = routes::App::new(site).map_err(io::Error::other)?;
    axum::serve(listener, routes::router(Arc::new(app))).await
}
