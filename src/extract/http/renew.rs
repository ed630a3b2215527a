//! The session of a request: used while it lasts, renewed by one task for all, and never in a loop.

use std::sync::Arc;

use super::answer::CutCheck;
use super::error::{ExchangeError, tries};
use super::exchange::Exchange;
use super::judge::status_text;
use super::memory::Turn;
use super::terms::Terms;
use crate::extract::auth::{Grant, Pass, Session};
use crate::extract::request::RenderedRequest;
use crate::model::AnswerFormat;

/// The most refusals that one request puts up with, where others renew the session each time before it is its turn.
const MOST_REFUSALS: u32 = 5;

/// What to do where a new session is refused as well.
pub(super) const NO_RIGHT: &str =
    "the account may lack the right to what is asked for, or `auth_failed` takes another error for an expired session";

/// What to do where it isn't known whether the login before it succeeded: to log in for each slice could lock the account out.
pub(super) const NO_EVIDENCE: &str = "nothing shows that the login succeeded: check its credentials, and let `success` say what a \
                                      login looks like that was refused";

/// Why there is no session.
pub(super) enum NoGrant {
    /// The credential was refused, and must not be sent again: what was said, scrubbed.
    Denied(String),
    /// Something else failed.
    Failed(ExchangeError),
}

impl<E: Into<ExchangeError>> From<E> for NoGrant {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// How often one request was refused for its session.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    refusals: u32,
    /// Whether it was the cause of a renewal.
    caused_one: bool,
}

impl Renewals {
    /// Tells, after `grant` was refused, whether the request is worth sending again: with the session that another task got
    /// meanwhile, or with the one that is got now because this one ends. A request is the cause of one renewal at most.
    pub(super) fn help(&mut self, session: &Session, grant: &Grant) -> bool {
        self.refusals += 1;
        if self.refusals >= MOST_REFUSALS {
            return false;
        }
        if session.is_current(grant.generation()) {
            // It was made after the first refusal, and nobody has replaced it: it refuses this request, unless others used it up.
            let in_vain = self.refusals > 1 && !session.was_accepted(grant.generation());
            if self.caused_one || in_vain {
                return false;
            }
            self.caused_one = true;
            session.expire(grant.generation());
        }
        true
    }

    /// Says that a renewed session was refused too.
    pub(super) fn in_vain(session: &Session, reason: &str) -> String {
        let renewed = if session.kind() == "login" { "a new login" } else { "a new token" };
        format!("right after {renewed}, {reason}")
    }
}

impl Exchange {
    /// Returns the session that the request `line` is to carry, renewed where there is none.
    pub(super) async fn grant(
        &self,
        session: &Arc<Session>,
        line: &str,
        pass: &mut Pass,
    ) -> Result<Arc<Grant>, NoGrant> {
        let failures = session.failures();
        if let Some(grant) = session.current(self.client.now()) {
            return Ok(grant);
        }
        let _alone = session.alone().await;
        // Whoever was alone before may have had its credential refused, or the session renewed.
        pass.check().map_err(ExchangeError::from)?;
        if let Some(grant) = session.current(self.client.now()) {
            return Ok(grant);
        }
        if let Some(reason) = session.failed_since(failures) {
            return Err(ExchangeError::NoSession { request: self.client.redactor().scrub(line), reason }.into());
        }
        match self.renewed(session, pass).await {
            Ok(grant) => {
                pass.proved();
                Ok(grant)
            }
            Err(NoGrant::Failed(error)) => {
                session.failed(&error.to_string());
                Err(NoGrant::Failed(error))
            }
            Err(NoGrant::Denied(reason)) => Err(NoGrant::Denied(reason)),
        }
    }

    /// Sends the request that renews, and takes the session from its answer.
    async fn renewed(&self, session: &Arc<Session>, pass: &Pass) -> Result<Arc<Grant>, NoGrant> {
        let (request, cookies) = session.request(self.client.now())?;
        let line = self.client.redactor().scrub(&line_of(session, &request));
        let cut = CutCheck { format: AnswerFormat::Json, ..self.cut };
        let (each_try, patience) = (session.each_try(&cookies), &self.patience);
        let terms = Terms { line: &line, pass, session: None, each_try, cut, patience, rules: None };
        let mut room = self.client.room(Turn::beside(), 0);
        let answer = self.client.fetch_by(&request, &terms, &mut room).await?;
        if answer.status.is_server_error() || answer.status.as_u16() == 429 {
            let reason = status_text(answer.status, &answer.headers);
            let hint = "there is no session without it; look at the server's own log, or run later";
            return Err(ExchangeError::Answer(Box::new(self.error(&line, &answer, &reason, hint))).into());
        }
        let (now, reader) = (self.client.now(), Arc::clone(session));
        let (status, attempts) = (answer.status.as_u16(), answer.attempts);
        let work = tokio::task::spawn_blocking(move || reader.read(&answer, cookies, now)).await;
        let read = work.map_err(|error| ExchangeError::Work { request: line.clone(), reason: error.to_string() })?;
        match read {
            Ok(grant) => {
                tracing::info!(request = %line, generation = grant.generation(), "there is a new session");
                Ok(grant)
            }
            Err(denied) => {
                let (tries, reason) = (tries(attempts), self.client.redactor().scrub(&denied.reason));
                Err(NoGrant::Denied(format!("{line}: status {status} after {tries}: {reason}; {}", denied.hint)))
            }
        }
    }
}

/// Names a request that renews, without what it carries.
fn line_of(session: &Session, request: &RenderedRequest) -> String {
    let (method, url) = (&request.method, &request.resource);
    match session.kind() {
        "login" => format!("the login {method} {}", url.path()),
        _ => format!("the token request {method} {}{}", url.origin().ascii_serialization(), url.path()),
    }
}
