//! Who asks: a login that gives a cookie, or credentials as parameters of any call.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::answer::ApiError;
use super::ask::Parameters;
use super::config::{LastlineConfig, SessionLifetime};
use super::lock;
use crate::appliance::dice::mix;
use crate::appliance::server::Request;

/// The name of the session's cookie. That of the real one isn't known.
const COOKIE: &str = "papi_session";

/// The parameters that are credentials, in pairs of name and secret: a login of a user, the client's of 2014 and that of 2019.
pub(super) const CREDENTIALS: [(&str, &str); 3] =
    [("username", "password"), ("api_key", "api_token"), ("key", "api_token")];

/// A session that isn't over.
#[derive(Debug, Clone, Copy)]
struct Session {
    number: u64,
    requests_left: Option<u32>,
    ends_at: Option<i64>,
}

/// The sessions of an appliance.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Mutex<HashMap<String, Session>>,
    begun: AtomicU64,
}

/// Who was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The number of the session, from 1.
    pub(super) session: u64,
    /// The cookie to set, for a new session.
    pub(super) cookie: Option<String>,
}

impl Sessions {
    /// How many sessions have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Ends every session.
    pub(super) fn end_all(&self) {
        lock(&self.open).clear();
    }

    /// Begins a session for the credentials among the parameters. `now` is in epoch seconds.
    pub(super) fn log_in(&self, config: &LastlineConfig, given: &Parameters, now: i64) -> Result<Admitted, ApiError> {
        if !knows(config, given) {
            return Err(ApiError::authentication());
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let token = format!("{:016x}{:016x}", mix(config.seed, number), mix(number, config.seed));
        let (requests_left, ends_at) = match config.session {
            SessionLifetime::Forever => (None, None),
            SessionLifetime::Requests(requests) => (Some(requests), None),
            SessionLifetime::Seconds(seconds) => (None, Some(now + i64::from(seconds))),
        };
        let cookie = format!("{COOKIE}={token}; Path=/papi; HttpOnly");
        lock(&self.open).insert(token, Session { number, requests_left, ends_at });
        Ok(Admitted { session: number, cookie: Some(cookie) })
    }

    /// Admits a call: by its session, or by the credentials that it brings along, for which a session begins.
    pub(super) fn admit(
        &self,
        config: &LastlineConfig,
        request: &Request,
        given: &Parameters,
        now: i64,
    ) -> Result<Admitted, ApiError> {
        if let Some(session) = cookie(request).and_then(|token| self.spend(token, now)) {
            return Ok(Admitted { session, cookie: None });
        }
        let brought = CREDENTIALS.iter().any(|(name, _)| given.get(name).is_some());
        if brought { self.log_in(config, given, now) } else { Err(ApiError::permission_denied()) }
    }

    /// Ends the session of a request.
    pub(super) fn log_out(&self, request: &Request) {
        if let Some(token) = cookie(request) {
            lock(&self.open).remove(token);
        }
    }

    /// Counts a request of a session; none if it is over.
    fn spend(&self, token: &str, now: i64) -> Option<u64> {
        let mut open = lock(&self.open);
        let session = open.get_mut(token)?;
        if session.requests_left == Some(0) || session.ends_at.is_some_and(|end| now >= end) {
            open.remove(token);
            return None;
        }
        session.requests_left = session.requests_left.map(|left| left - 1);
        Some(session.number)
    }
}

fn knows(config: &LastlineConfig, given: &Parameters) -> bool {
    CREDENTIALS.iter().any(|(name, secret)| {
        let known = if *name == "username" {
            (&config.username, &config.password)
        } else {
            (&config.api_key, &config.api_token)
        };
        given.get(name) == Some(known.0) && given.get(secret) == Some(known.1)
    })
}

/// The session's token, of whichever cookie line has it.
fn cookie(request: &Request) -> Option<&str> {
    let lines = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let mut pairs = lines.flat_map(|(_, line)| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
}
