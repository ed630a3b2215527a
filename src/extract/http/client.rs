//! The client: one request, with its tries, to one answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use chrono::DateTime;
use http::StatusCode;
use http::header::RETRY_AFTER;
use hyper::body::Body as _;
use serde_json::Value;
use url::Url;

use super::again::Again;
use super::answer::{
    CutCheck, RawAnswer, ends_with_any_line, ends_with_connection, headers_to_json, is_open_ended, unasked_part,
    unknown_encoding,
};
use super::budget::Dead;
use super::connect::{HttpOptions, what_to_do_about_http_2};
use super::error::{HttpError, TransportKind};
use super::judge::Rules;
use super::limit::HostSlots;
use super::memory::{Memory, Room, Turn};
use super::retry::{RetryPolicy, retry_after};
use super::send::Heard;
use super::tape::{Player, Tape};
use super::terms::{Patience, Terms, Tries, Wish};
use super::tls;
use super::tried::{Tried, TryError, is_maybe_heard, may_follow};
use super::wire::Wire;
use crate::clock::Clock;
use crate::extract::auth::{CredentialGate, EachTry, Pass, Redactor, Refused};
use crate::extract::request::RenderedRequest;
use crate::lang::spell;

/// Gives a number in `[0, 1)` for the jitter of a wait.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The client of one source. Jobs share it; the slots of its host are shared by the process.
pub struct HttpClient {
    pub(super) wire: Wire,
    pub(super) options: HttpOptions,
    pub(super) slots: Arc<HostSlots>,
    memory: Arc<Memory>,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    jitter: Jitter,
    /// Before the credential of the proxy.
    gate: CredentialGate,
    tape: Tape,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("options", &self.options).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Makes the client of a source. `redactor` knows the secrets that must not show in an error. Fails where the file of
    /// certificates can't be used.
    pub fn new(
        options: HttpOptions,
        slots: Arc<HostSlots>,
        redactor: Redactor,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let wire = Wire::new(&options)?;
        redactor.know(wire.secrets());
        let (jitter, memory, gate): (Jitter, _, _) =
            (Arc::new(rand::random::<f64>), Arc::default(), CredentialGate::new());
        Ok(Self { wire, options, slots, memory, redactor, clock, jitter, gate, tape: Tape::Off })
    }

    /// Keeps answers in the memory that others share.
    #[must_use]
    pub fn within(self, memory: Arc<Memory>) -> Self {
        Self { memory, ..self }
    }

    /// Sends the credential of a proxy by the gate that others share.
    #[must_use]
    pub fn behind(self, gate: CredentialGate) -> Self {
        Self { gate, ..self }
    }

    /// Has its answers taken down, or given in the server's place.
    #[must_use]
    pub fn on(self, tape: Tape) -> Self {
        Self { tape, ..self }
    }

    /// Takes the jitter of waits from `jitter`.
    #[must_use]
    pub fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// Returns the present instant.
    pub(super) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    /// Returns the memory that its answers share with others.
    #[must_use]
    pub const fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Makes room for an answer of about `expected` bytes.
    pub(super) fn room(&self, turn: Turn, expected: u64) -> Room {
        self.memory.room(turn, expected)
    }

    /// Returns what scrubs secrets from texts about this source.
    #[must_use]
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Sends `request`, and again as the policy allows, until there is a whole answer with a status that isn't transient. After
    /// the last try a transient status is the answer. `line` names the request in errors; `pass` stops the tries once the
    /// credential is refused elsewhere; `each_try` is what is done at each; `cut` looks at bodies whose end nothing marks.
    pub async fn fetch(
        &self,
        request: &RenderedRequest,
        line: &str,
        pass: &Pass,
        each_try: EachTry<'_>,
        cut: CutCheck,
    ) -> Result<RawAnswer, HttpError> {
        let patience = Patience::default();
        let terms = Terms { line, pass, session: None, each_try, cut, patience: &patience, rules: None };
        self.fetch_by(request, &terms, &mut self.room(Turn::now(), 0)).await
    }

    /// As [`HttpClient::fetch`], by the rules and the budget of a job. `room` holds the body, and is to be kept as long.
    pub(super) async fn fetch_by(
        &self,
        request: &RenderedRequest,
        terms: &Terms<'_>,
        room: &mut Room,
    ) -> Result<RawAnswer, HttpError> {
        let (started, budget) = (Instant::now(), &terms.patience.budget);
        let origin = request.resource.origin().ascii_serialization();
        self.worth_sending(terms, &request.resource, started)?;
        let refused_by_proxy = |refused| self.not_sent_by_proxy(terms, refused);
        let by_proxy = self.wire.proxy_credential(&request.resource);
        let mut proxy = self.gate.enter(by_proxy.clone()).await.map_err(refused_by_proxy)?;
        let (mut attempt, mut note, mut last_open) = (0, None, None);
        loop {
            attempt += 1;
            let refuse = |refused| HttpError::Refused { request: self.redactor.scrub(terms.line), refused };
            let tried = tokio::select! {
                biased;
                refused = terms.pass.refused_elsewhere() => return Err(refuse(refused)),
                refused = proxy.refused_elsewhere() => return Err(refused_by_proxy(refused)),
                tried = self.attempt(request, terms, room) => tried,
            };
            let tried =
                self.by_its_status(tried.and_then(|tried| tried.unless_doubtful(&mut last_open)), terms).await?;
            if matches!(tried, Err(TryError::Stale)) {
                return Err(HttpError::Stale { request: self.redactor.scrub(terms.line) });
            }
            if is_refused_by_proxy(&tried) {
                let _ = proxy.refused(&self.refusal_of_proxy(terms, &request.resource));
                return self.outcome(tried, terms, &origin, Tries { attempt, started, note, unsettled: false });
            }
            if by_proxy.is_some() && tried.is_ok() {
                proxy.proved();
            }
            let wish = self.wish(&tried, terms).await?;
            if let Wish::Another { asked, broken } = &wish {
                let too_long = asked.filter(|asked| *asked > self.options.retry.max_delay);
                note = too_long.map(|asked| self.note(asked)).or_else(|| broken.clone()).or(note);
            }
            let asked = match wish {
                Wish::Settled => {
                    budget.answered();
                    self.note_answer(request, terms, &tried);
                    return self.outcome(tried, terms, &origin, Tries { attempt, started, note, unsettled: false });
                }
                Wish::Another { asked, .. } => asked,
            };
            let last = !self.options.retry.allows_another(attempt) || !may_follow(terms.patience.repeat, &tried);
            // A wait that the server asks for is its pace, not its failure: it costs nothing.
            if last || (asked.is_none() && !budget.spend()) {
                budget.failed(Instant::now());
                let note = if last { note } else { Some(budget.note()) };
                return self.outcome(tried, terms, &origin, Tries { attempt, started, note, unsettled: true });
            }
            terms.patience.maybe_heard.fetch_add(is_maybe_heard(&tried).into(), Ordering::Relaxed);
            // Who waits for a slot mustn't hold what those who have one wait for.
            drop(tried);
            room.fit_to_nothing();
            let delay = self.delay(attempt, asked);
            tracing::debug!(request = %self.redactor.scrub(terms.line), attempt, delay_ms = delay.as_millis(), "request is tried again");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                refused = terms.pass.refused_elsewhere() => return Err(refuse(refused)),
                refused = proxy.refused_elsewhere() => return Err(refused_by_proxy(refused)),
            }
        }
    }

    /// Refuses a request that can only fail: to a server that is taken for dead, or through a proxy that can't be used.
    fn worth_sending(&self, terms: &Terms<'_>, to: &Url, now: Instant) -> Result<(), HttpError> {
        let request = || self.redactor.scrub(terms.line);
        if let (Some(reason), false) = (self.wire.unusable_proxy(to), matches!(self.tape, Tape::Playing(_))) {
            return Err(HttpError::Client { reason });
        }
        if let Some(Dead { failed, since }) = terms.patience.budget.dead(now) {
            let span = spell(Duration::from_secs(since.as_secs()));
            let origin = to.origin().ascii_serialization();
            return Err(HttpError::Dead { request: request(), origin, failed, span });
        }
        Ok(())
    }

    /// Tells whether what a try brought is worth another one.
    async fn wish(&self, tried: &Result<Tried, TryError>, terms: &Terms<'_>) -> Result<Wish, HttpError> {
        const NOTHING_ASKED: Wish = Wish::Another { asked: None, broken: None };
        let tried = match tried {
            Ok(tried) => tried,
            // Whether that was a failure shows once the same comes again: it costs nothing, and needn't wait.
            Err(TryError::Transport(TransportKind::OpenEnded, _)) => {
                return Ok(Wish::Another { asked: Some(Duration::ZERO), broken: None });
            }
            Err(TryError::Transport(kind, _)) if kind.is_transient() => return Ok(NOTHING_ASKED),
            Err(_) => return Ok(Wish::Settled),
        };
        let in_header = self.asked(tried);
        let again = match &terms.rules {
            Some((rules, extra)) if rules.speak_of_retries(tried.status, in_header.is_some()) => {
                self.again(tried, Arc::clone(rules), extra.to_vec(), terms).await?
            }
            _ if RetryPolicy::is_transient(tried.status) => Again::Worth { after: None, broken: None },
            _ => Again::Settled,
        };
        match again {
            Again::Settled => Ok(Wish::Settled),
            Again::Worth { after, broken } => Ok(Wish::Another { asked: in_header.or(after), broken }),
            Again::Unknown(reason) => Err(HttpError::Rule { request: self.redactor.scrub(terms.line), reason }),
        }
    }

    /// Takes an answer whose body isn't whole by its status, unless the job's rules take that for a page with no rows: they may have looked
    /// at what is missing.
    async fn by_its_status(
        &self,
        tried: Result<Tried, TryError>,
        terms: &Terms<'_>,
    ) -> Result<Result<Tried, TryError>, HttpError> {
        let Ok(tried) = tried else { return Ok(tried) };
        let (Some(_), Some((rules, extra))) = (&tried.broken, &terms.rules) else { return Ok(Ok(tried)) };
        let (rules, extra) = (Arc::clone(rules), extra.to_vec());
        let (status, headers, body) = (tried.status, headers_to_json(&tried.headers), tried.body.clone());
        let work = tokio::task::spawn_blocking(move || {
            let envelope = serde_json::from_slice(&body).unwrap_or_default();
            rules.stand_without_the_body(status, &headers, &envelope, &extra)
        });
        let stands = work.await.map_err(|error| self.unworked(terms, &error))?;
        Ok(match tried.broken {
            Some(error) if !stands => Err(error),
            broken => Ok(Tried { broken, ..tried }),
        })
    }

    fn unworked(&self, terms: &Terms<'_>, error: &tokio::task::JoinError) -> HttpError {
        let reason = format!("the work on the answer didn't end: {error}");
        HttpError::Rule { request: self.redactor.scrub(terms.line), reason }
    }

    /// Asks the rules of the job, off the async threads.
    async fn again(
        &self,
        tried: &Tried,
        rules: Arc<Rules>,
        extra: Vec<Value>,
        terms: &Terms<'_>,
    ) -> Result<Again, HttpError> {
        let (status, headers, body) = (tried.status, headers_to_json(&tried.headers), tried.body.clone());
        let (reader, now) = (terms.patience.envelope.clone(), self.clock.now());
        let work = tokio::task::spawn_blocking(move || {
            let envelope = match reader.filter(|_| status.is_success()) {
                Some(reader) => reader(&body),
                None => serde_json::from_slice(&body).unwrap_or_default(),
            };
            rules.again(status, &headers, &envelope, &extra, (now - DateTime::UNIX_EPOCH).as_seconds_f64())
        });
        work.await.map_err(|error| self.unworked(terms, &error))
    }

    fn not_sent_by_proxy(&self, terms: &Terms<'_>, refused: Refused) -> HttpError {
        HttpError::ProxyRefused { request: self.redactor.scrub(terms.line), reason: refused.reason }
    }

    /// Says how the proxy refused its credential.
    fn refusal_of_proxy(&self, terms: &Terms<'_>, to: &Url) -> String {
        let proxy = self.wire.proxy_of(to).unwrap_or_else(|| "the proxy".to_owned());
        let line = self.redactor.scrub(terms.line);
        format!("{line}: {proxy} wants another credential; check its user and its password")
    }

    /// Makes one try, within the limits. The slot is given back before any wait.
    async fn attempt(&self, request: &RenderedRequest, terms: &Terms<'_>, room: &mut Room) -> Result<Tried, TryError> {
        room.restart();
        if let Tape::Playing(player) = &self.tape {
            return self.played(player, request, terms);
        }
        let cut = terms.cut;
        let slot = self.slots.enter(&request.resource, self.options.concurrency).await;
        // With a slot, so that nobody who waits for memory keeps the one that the others wait for from going on.
        room.begin().await?;
        let Heard { response, held, deadline } = self.send(request, terms, &slot).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        slot.answered(matches!(status.as_u16(), 429 | 503));
        if let Some(encoding) = unknown_encoding(&headers).filter(|_| status.is_success()) {
            return Err(TryError::Encoding(encoding));
        }
        if let Some(part) = unasked_part(&request.headers, status, &headers) {
            let reason = format!("the answer is a part of the body, `{part}`, though no part was asked for");
            return Err(TryError::Transport(TransportKind::TornBody, reason));
        }
        let unmarked = ends_with_connection(response.version(), &headers, response.body().size_hint().exact());
        let mut body = BytesMut::new();
        let read = self.read(response, deadline, room, &mut body).await;
        room.fit();
        // Over HTTP/2 the next request would go by the same connection.
        if matches!(read, Err(TryError::Transport(TransportKind::Timeout, _))) {
            held.retire();
        }
        let broken = match read {
            // What says no more than that it failed says so by its status.
            Err(error) if !status.is_success() && !matches!(error, TryError::NoRoom) => Some(error),
            read => read.map(|()| None)?,
        };
        let body = body.freeze();
        if unmarked && status.is_success() && cut.is_cut(body.clone()).await {
            let reason = format!("the connection ended in the middle of the {}", cut.format.name());
            return Err(TryError::Transport(TransportKind::TornBody, reason));
        }
        let open_ended = unmarked && status.is_success() && is_open_ended(cut.format, &body);
        let unmarked = unmarked && ends_with_any_line(cut.format);
        Ok(Tried { status, headers, body, broken, open_ended, unmarked })
    }

    /// Has the answer taken down that a request ends with. Only those that renew a session have no rules.
    fn note_answer(&self, request: &RenderedRequest, terms: &Terms<'_>, tried: &Result<Tried, TryError>) {
        if let Ok(tried) = tried {
            self.tape.note(request, tried, &self.redactor, terms.rules.is_none());
        }
    }

    /// Returns the wait before the next try.
    fn delay(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        match self.tape {
            Tape::Playing(_) => Duration::ZERO,
            _ => self.options.retry.delay(attempt, asked, (self.jitter)()),
        }
    }

    /// Answers a request in the server's place.
    fn played(&self, player: &Player, request: &RenderedRequest, terms: &Terms<'_>) -> Result<Tried, TryError> {
        terms.patience.sent.fetch_add(1, Ordering::Relaxed);
        let tried = player.answer(request, &self.redactor).map_err(TryError::Unrecorded)?;
        terms.each_try.heard(request, &tried.headers, self.now());
        Ok(tried)
    }

    fn asked(&self, tried: &Tried) -> Option<Duration> {
        let header = tried.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after(header, self.clock.now())
    }

    fn note(&self, asked: Duration) -> String {
        let allowed = spell(self.options.retry.max_delay);
        let asked = spell(asked);
        format!(
            "the server asked to wait {asked}, longer than retry.max_delay allows ({allowed}); raise it, or run later"
        )
    }

    /// Makes the end of the tries of what the last one brought.
    fn outcome(
        &self,
        tried: Result<Tried, TryError>,
        terms: &Terms<'_>,
        origin: &str,
        made: Tries,
    ) -> Result<RawAnswer, HttpError> {
        let (attempts, note) = (made.attempt, made.note);
        match tried {
            Ok(tried) => Ok(RawAnswer {
                status: tried.status,
                headers: headers_to_json(&tried.headers),
                body: tried.body,
                broken: tried.broken.map(|error| error.reason(self.options.max_response)),
                attempts,
                elapsed: made.started.elapsed(),
                note,
                unsettled: made.unsettled,
                unmarked: tried.unmarked,
            }),
            Err(TryError::TooLarge) => {
                let request = self.redactor.scrub(terms.line);
                let (limit, remedy) = (self.options.max_response, terms.patience.purpose.too_large());
                Err(HttpError::TooLarge { request, limit, remedy })
            }
            Err(TryError::NoRoom) => Err(HttpError::NoRoom { request: self.redactor.scrub(terms.line) }),
            Err(TryError::Stale) => Err(HttpError::Stale { request: self.redactor.scrub(terms.line) }),
            Err(TryError::Encoding(encoding)) => {
                let (request, encoding) = (self.redactor.scrub(terms.line), self.redactor.scrub(&encoding));
                Err(HttpError::Encoding { request, encoding })
            }
            Err(TryError::Unrecorded(nearest)) => {
                Err(HttpError::Unrecorded { request: self.redactor.scrub(terms.line), nearest })
            }
            Err(TryError::Transport(kind, reason)) => {
                let (request, mut reason) = (self.redactor.scrub(terms.line), self.redactor.scrub(&reason));
                let proxy = origin.parse().ok().and_then(|origin| self.wire.proxy_of(&origin));
                reason.extend(proxy.iter().map(|proxy| format!(", through {proxy}")));
                let note = note
                    .or_else(|| proxy.and_then(|_| kind.what_to_do_about_a_proxy()))
                    .or_else(|| terms.patience.purpose.what_to_do(kind))
                    .or_else(|| kind.what_to_do_at(origin))
                    .or_else(|| tls::what_to_do(&reason).filter(|_| kind == TransportKind::Tls))
                    .or_else(|| what_to_do_about_http_2(&reason).filter(|_| kind == TransportKind::Broken));
                Err(HttpError::Transport { request, origin: origin.to_owned(), kind, attempts, reason, note })
            }
        }
    }
}

/// Tells whether a try was answered by a proxy that wants another credential. Sent again, a wrong one would lock its account.
fn is_refused_by_proxy(tried: &Result<Tried, TryError>) -> bool {
    match tried {
        Ok(tried) => tried.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        Err(TryError::Transport(kind, _)) => *kind == TransportKind::ProxyAuth,
        Err(_) => false,
    }
}
