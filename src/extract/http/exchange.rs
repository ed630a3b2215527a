//! One exchange: gate, credential, tries, judgement. What the page stream calls for every page.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::answer::{CutCheck, RawAnswer};
use super::client::HttpClient;
use super::cores::compute;
use super::error::{AnswerError, ExchangeError, Fault, HttpError};
use super::judge::{Judged, Rules};
use super::memory::{Room, Turn};
use super::renew::{NO_EVIDENCE, NO_RIGHT, NoGrant, Renewals};
use super::terms::{Patience, Purpose, Terms};
use crate::extract::auth::{Auth, CredentialGate, Grant, Pass, excerpt};
use crate::extract::request::RenderedRequest;

const CHECK: &str = "check auth, and that the account isn't locked out";

/// Sends the requests of one job.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The source's client.
    pub client: Arc<HttpClient>,
    /// The process's gate.
    pub gate: CredentialGate,
    /// The source's credential.
    pub auth: Arc<Auth>,
    /// The job's rules.
    pub rules: Arc<Rules>,
    /// What tells a body that was cut off.
    pub cut: CutCheck,
    /// What the job's tries go by.
    pub patience: Patience,
    /// How many bytes of memory the work on an answer takes for each of its body, beside the body itself.
    pub weight: u64,
}

/// An answer that isn't judged yet, and what it was asked with.
#[derive(Debug)]
pub struct Dispatched {
    line: String,
    extra: Arc<[Value]>,
    pass: Pass,
    grant: Option<Arc<Grant>>,
    answer: RawAnswer,
    room: Room,
    /// Whether the work on it has its room.
    has_room: bool,
}

impl Dispatched {
    /// Returns the answer.
    #[must_use]
    pub const fn answer(&self) -> &RawAnswer {
        &self.answer
    }

    /// Tells whether `rules` take the answer, of which they see `envelope`, for a page. It computes.
    #[must_use]
    pub fn is_page(&self, rules: &Rules, envelope: &Value) -> bool {
        judge(rules, &self.answer, envelope, &self.extra) == Judged::Page
    }
}

/// A page, or a page with no rows.
#[derive(Debug)]
pub struct Exchanged<T> {
    /// The answer.
    pub answer: RawAnswer,
    /// What `read` made of the body; none for an answer whose status isn't 2xx but that `empty` takes for a page with no rows.
    pub page: Option<T>,
    /// Whether `empty` took the answer for a page with no rows.
    pub empty: bool,
    /// What the answer takes of the memory: drop it with what `read` made.
    pub room: Room,
}

impl Exchange {
    /// Sends `request` and judges the answer: [`Exchange::ask`] and [`Exchange::settle`] in one, for a request that another answer
    /// waits for, so that this one doesn't wait for memory.
    pub async fn send<T, F>(
        &self,
        request: &RenderedRequest,
        extra: Vec<Value>,
        read: F,
    ) -> Result<Exchanged<T>, ExchangeError>
    where
        T: Send + 'static,
        F: Fn(&RawAnswer) -> (Value, T) + Send + Sync + 'static,
    {
        let pass = self.gate.enter(self.auth.credential()).await?;
        let asked = self.dispatch(request, extra.into(), pass, self.client.room(Turn::beside(), 0)).await?;
        self.settle(request, asked, read).await
    }

    /// Sends `request`, whose answer is due. `extra` are the values of the rules' further variables, `expected` is about how large
    /// the body is.
    pub async fn ask(
        &self,
        request: &RenderedRequest,
        extra: Arc<[Value]>,
        expected: u64,
    ) -> Result<Dispatched, ExchangeError> {
        let pass = self.gate.enter(self.auth.credential()).await?;
        let room = self.client.room(Turn::now(), expected).with_work(self.weight);
        self.dispatch(request, extra, pass, room).await
    }

    /// As [`Exchange::ask`], for a request whose answer isn't due yet; `turn` says when it is. Nothing is sent where the credential
    /// isn't proven, or where such an answer, and the work on another one, have no room.
    pub fn ask_early(
        &self,
        request: RenderedRequest,
        extra: Arc<[Value]>,
        expected: u64,
        turn: Turn,
    ) -> Option<impl Future<Output = Result<Dispatched, ExchangeError>> + Send + use<>> {
        let mut room = self.client.room(turn, expected).with_work(self.weight);
        if !room.reserve_expected(expected.saturating_mul(self.weight)) {
            return None;
        }
        let pass = self.gate.enter_if_accepted(self.auth.credential())?;
        let exchange = self.clone();
        Some(async move { exchange.dispatch(&request, extra, pass, room).await })
    }

    /// Makes room for the work on an answer before its turn. Tells whether that was free.
    pub fn make_room(&self, asked: &mut Dispatched) -> bool {
        asked.has_room = asked.has_room || asked.room.try_grow(self.work(&asked.answer));
        asked.has_room
    }

    /// Returns how many bytes the work on an answer takes.
    fn work(&self, answer: &RawAnswer) -> u64 {
        (answer.body.len() as u64).saturating_mul(self.weight)
    }

    async fn dispatch(
        &self,
        request: &RenderedRequest,
        extra: Arc<[Value]>,
        mut pass: Pass,
        mut room: Room,
    ) -> Result<Dispatched, ExchangeError> {
        let line = request.line();
        loop {
            let grant = match self.auth.session() {
                Some(session) => match self.grant(session, &line, &mut pass).await {
                    Ok(grant) => Some(grant),
                    Err(NoGrant::Denied(reason)) => return Err(pass.refused(&reason).into()),
                    Err(NoGrant::Failed(error)) => return Err(error),
                },
                None => None,
            };
            let mut signed = request.clone();
            self.auth.apply(&mut signed)?;
            grant.iter().try_for_each(|grant| grant.apply(&mut signed))?;
            let session = self.auth.session().zip(grant.as_deref());
            let (each_try, rules) = (self.auth.each_try(grant.as_deref()), Some((&self.rules, &*extra)));
            let (cut, patience) = (self.cut, &self.patience);
            let terms = Terms { line: &line, pass: &pass, session, each_try, cut, patience, rules };
            match self.client.fetch_by(&signed, &terms, &mut room).await {
                Ok(answer) => return Ok(Dispatched { line, extra, pass, grant, answer, room, has_room: false }),
                // It waited, and the session was replaced or ended meanwhile. Who waits for the session mustn't hold what those wait for
                // whose slots the login needs.
                Err(HttpError::Stale { .. }) => room.fit_to_nothing(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes an answer that was judged to be a page before its turn, which it is now; returns it, and what it takes of the memory.
    pub fn accept(&self, asked: Dispatched) -> (RawAnswer, Room) {
        self.accepted(asked.pass, asked.grant.as_deref());
        (asked.answer, asked.room)
    }

    fn accepted(&self, pass: Pass, grant: Option<&Grant>) {
        if let (Some(session), Some(grant)) = (self.auth.session(), grant) {
            session.accepted(grant.generation());
        }
        pass.accepted();
    }

    /// Judges the answer to `request`. `read` gets an answer with a 2xx status, off the async threads, and returns the envelope
    /// that the rules see (null where the body isn't JSON) and whatever it made of the body; other bodies are read as JSON here.
    ///
    /// Where the answer says that the session has expired, the session is renewed, by one task for all, and the request is sent
    /// again; what `read` made of the refused answer is dropped.
    pub async fn settle<T, F>(
        &self,
        request: &RenderedRequest,
        mut asked: Dispatched,
        read: F,
    ) -> Result<Exchanged<T>, ExchangeError>
    where
        T: Send + 'static,
        F: Fn(&RawAnswer) -> (Value, T) + Send + Sync + 'static,
    {
        let read = Arc::new(read);
        let mut renewals = Renewals::default();
        loop {
            let Dispatched { line, extra, pass, grant, answer, mut room, has_room } = asked;
            let work = if has_room { 0 } else { self.work(&answer) };
            room.grow(work).await.map_err(|_| HttpError::NoRoom { request: self.client.redactor().scrub(&line) })?;
            let (answer, page, judged) = self.judge(&line, answer, Arc::clone(&extra), Arc::clone(&read)).await?;
            let (reason, hint, fault) = match judged {
                Judged::Page | Judged::Empty => {
                    self.accepted(pass, grant.as_deref());
                    return Ok(Exchanged { answer, page, empty: judged == Judged::Empty, room });
                }
                Judged::Failed { reason } if answer.unsettled && answer.status.is_success() => {
                    (reason, STAYS, Fault::Request)
                }
                Judged::Failed { reason } => (reason, self.what_to_do(&answer), Fault::Request),
                Judged::Unwanted { reason } => (reason, UNWANTED, Fault::Sent),
                Judged::Broken { reason } => (reason, self.what_to_do(&answer), Fault::Rule),
                Judged::Refused { reason } => match (self.auth.session(), &grant) {
                    (Some(session), Some(grant)) if renewals.help(session, grant) => {
                        drop((answer, page));
                        room.fit_to_nothing();
                        asked = self.dispatch(request, extra, pass, room).await?;
                        continue;
                    }
                    (Some(session), _) if session.is_proven() => {
                        (Renewals::in_vain(session, &reason), NO_RIGHT, Fault::Credential)
                    }
                    (session, _) => {
                        let hint = if session.is_some() { NO_EVIDENCE } else { CHECK };
                        let error = self.error(&line, &answer, &reason, hint);
                        return Err(pass.refused(&error.to_string()).into());
                    }
                },
            };
            let error = AnswerError { fault, ..self.error(&line, &answer, &reason, hint) };
            return Err(ExchangeError::Answer(Box::new(error)));
        }
    }

    async fn judge<T, F>(
        &self,
        line: &str,
        answer: RawAnswer,
        extra: Arc<[Value]>,
        read: Arc<F>,
    ) -> Result<(RawAnswer, Option<T>, Judged), ExchangeError>
    where
        T: Send + 'static,
        F: Fn(&RawAnswer) -> (Value, T) + Send + Sync + 'static,
    {
        let rules = self.rules.clone();
        let work = compute(move || {
            let (envelope, page) = if answer.status.is_success() {
                let (envelope, page) = read(&answer);
                (envelope, Some(page))
            } else {
                (serde_json::from_slice(&answer.body).unwrap_or_default(), None)
            };
            let judged = judge(&rules, &answer, &envelope, &extra);
            (answer, page, judged)
        });
        work.await.map_err(|error| ExchangeError::Work {
            request: self.client.redactor().scrub(line),
            reason: error.to_string(),
        })
    }

    /// Says what to do about an answer that was judged an error.
    fn what_to_do(&self, answer: &RawAnswer) -> &'static str {
        match (self.patience.purpose, answer.status.as_u16()) {
            (_, 403 | 429) if answer.headers.get("x-ratelimit-remaining") == Some(&Value::from("0")) => USED_UP,
            (Purpose::Detail, 404) => {
                "check the path of the child request; if the row has no such detail, let `on_error: 'null'` say so"
            }
            (Purpose::Sink, 403) => "check what the credential's account may write",
            (Purpose::Sink, 404) => "check the path and base_url; if it is about this row alone, say so with `refused`",
            (Purpose::Sink, 409) => {
                "check the request; if it means that the row is there already, say so with `exists`"
            }
            _ => what_to_do(answer.status),
        }
    }

    pub(super) fn error(&self, line: &str, answer: &RawAnswer, reason: &str, hint: &str) -> AnswerError {
        let redactor = self.client.redactor();
        let broken = answer.broken.iter().map(|broken| format!("; its body isn't whole: {broken}")).collect::<String>();
        AnswerError {
            request: redactor.scrub(line),
            status: answer.status.as_u16(),
            fault: Fault::Request,
            attempts: answer.attempts,
            elapsed: answer.elapsed,
            reason: excerpt(redactor, reason.as_bytes()) + &redactor.scrub(&broken),
            excerpt: excerpt(redactor, &answer.body),
            hint: answer.note.clone().unwrap_or_else(|| hint.to_owned()),
        }
    }
}

fn judge(rules: &Rules, answer: &RawAnswer, envelope: &Value, extra: &[Value]) -> Judged {
    match rules.judge(answer.status, &answer.headers, envelope, extra) {
        // Whatever is missing from it would be missed quietly.
        Judged::Page if answer.unsettled => Judged::Failed { reason: "'retry.when' still holds".to_owned() },
        judged => judged,
    }
}

/// What to do about an answer for which `retry.when` still holds.
const STAYS: &str = "raise retry.attempts or retry.max_delay, or run later";

/// What to do about a row that a server will never take.
const UNWANTED: &str = "correct the row in the transform, or what the sink makes of it";

/// What to do about a limit that is used up until a time that only the answer says.
const USED_UP: &str = "the server's rate limit is used up for now: lower rate_limit, have `retry.when` and `retry.after` wait as long as the answer \
                       says (`x-ratelimit-reset`, as examples/github.yaml does), or run later";

/// Says what to do about an answer to the request of a job.
fn what_to_do(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "check the request, and the source's success and error_message",
        304 => {
            "it answers a request that asks whether something changed, and none such was sent: a cache on the way answers in the \
             server's place, so look at the proxies between, or send the header `cache-control: no-cache`; if the file's own `headers` \
             have `if-none-match` or `if-modified-since`, remove them"
        }
        300..400 => "check base_url; where it leads to a login page, check auth, and say so with auth_failed",
        403 => "check what the credential's account may read",
        404 => "check the path and base_url; if it means that there are no rows, say so with empty",
        407 => "check the user and the password of `proxy`, or of HTTP_PROXY where the file has none",
        429 => "lower rate_limit and concurrency, or run later",
        500..600 => "look at the server's own log, or run later",
        _ => "check the request",
    }
}
