//! The client: one request, with its tries, to one answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use governor::DefaultDirectRateLimiter;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

use super::answer::{CutCheck, RawAnswer, ends_with_connection, headers_to_json, unknown_encoding};
use super::error::{HttpError, TransportKind};
use super::limit::{HostSlots, RateLimit};
use super::retry::{RetryPolicy, retry_after};
use crate::clock::Clock;
use crate::extract::auth::{EachTry, Pass, Redactor};
use crate::extract::request::RenderedRequest;

/// The largest body that is read unless a source says otherwise: a page beyond it should be asked for in parts.
pub const DEFAULT_MAX_RESPONSE: u64 = 64 * 1024 * 1024;

/// Gives a number in `[0, 1)` for the jitter of a wait.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What a source says of its transport.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The longest time that a connection may take to be made.
    pub connect_timeout: Duration,
    /// The longest time that one try may take, body included.
    pub request_timeout: Duration,
    /// The longest silence while a body is read.
    pub read_timeout: Option<Duration>,
    /// A PEM file with certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate is taken.
    pub insecure_skip_verify: bool,
    /// Requests per span of time.
    pub rate_limit: Option<RateLimit>,
    /// Requests at once to the host.
    pub concurrency: usize,
    /// The largest body, in bytes after decompression.
    pub max_response: u64,
    /// Tries.
    pub retry: RetryPolicy,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            read_timeout: None,
            ca_file: None,
            insecure_skip_verify: false,
            rate_limit: None,
            concurrency: 4,
            max_response: DEFAULT_MAX_RESPONSE,
            retry: RetryPolicy::default(),
        }
    }
}

/// The client of one source. Jobs share it; the slots of its host are shared by the process.
pub struct HttpClient {
    client: reqwest::Client,
    options: HttpOptions,
    limiter: Option<DefaultDirectRateLimiter>,
    slots: Arc<HostSlots>,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    jitter: Jitter,
}

/// One try's outcome that isn't an answer.
enum TryError {
    Transport(TransportKind, String),
    TooLarge,
    /// The body is encoded in a way that isn't known.
    Encoding(String),
}

/// One try's answer.
struct Tried {
    status: http::StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
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
        let client = build(&options)?;
        let limiter = options.rate_limit.and_then(RateLimit::limiter);
        Ok(Self { client, options, limiter, slots, redactor, clock, jitter: Arc::new(rand::random::<f64>) })
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
        let started = Instant::now();
        let (mut attempt, mut note) = (0, None);
        loop {
            attempt += 1;
            let refuse = |refused| HttpError::Refused { request: self.redactor.scrub(line), refused };
            let tried = tokio::select! {
                biased;
                refused = pass.refused_elsewhere() => return Err(refuse(refused)),
                tried = self.attempt(request, each_try, cut) => tried,
            };
            let last = !self.options.retry.allows_another(attempt);
            let asked = match &tried {
                Ok(tried) if last || !RetryPolicy::is_transient(tried.status) => {
                    return Ok(self.answer(tried, attempt, started, note));
                }
                Ok(tried) => self.asked(tried),
                Err(TryError::Transport(kind, _)) if !last && kind.is_transient() => None,
                Err(error) => {
                    return Err(self.failure(error, line, &request.resource.origin().ascii_serialization(), attempt));
                }
            };
            note = asked.filter(|asked| *asked > self.options.retry.max_delay).map(|asked| self.note(asked)).or(note);
            let delay = self.options.retry.delay(attempt, asked, (self.jitter)());
            tracing::debug!(request = %self.redactor.scrub(line), attempt, delay_ms = delay.as_millis(), "request is tried again");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                refused = pass.refused_elsewhere() => return Err(refuse(refused)),
            }
        }
    }

    /// Makes one try, within the limits. The slot is given back before any wait.
    async fn attempt(
        &self,
        request: &RenderedRequest,
        each_try: EachTry<'_>,
        cut: CutCheck,
    ) -> Result<Tried, TryError> {
        let slots = self.slots.of(&request.resource, self.options.concurrency);
        // The semaphore is never closed; were it, going on without a slot would be right.
        let _slot = slots.acquire_owned().await.ok();
        if let Some(limiter) = &self.limiter {
            limiter.until_ready().await;
        }
        // After the waits, so that the signature is fresh when it leaves.
        let prepared = each_try.prepared(request, self.clock.now());
        let request = prepared.as_ref().unwrap_or(request);
        let mut builder = self.client.request(request.method.clone(), request.url());
        if let Some((kind, body)) = request.body() {
            builder = builder.header(CONTENT_TYPE, kind).body(body);
        }
        // These replace what the builder has, a content type of the pipeline file's own included.
        let response =
            builder.headers(request.headers.clone()).send().await.map_err(|error| transport(error, false))?;
        let (status, headers) = (response.status(), response.headers().clone());
        each_try.heard(request, &headers, self.clock.now());
        if let Some(encoding) = unknown_encoding(&headers).filter(|_| status.is_success()) {
            return Err(TryError::Encoding(encoding));
        }
        let unmarked = ends_with_connection(response.version(), &headers, response.content_length());
        let body = self.read(response).await?;
        if unmarked && status.is_success() && cut.is_cut(body.clone()).await {
            let reason = format!("the connection ended in the middle of the {}", cut.format.name());
            return Err(TryError::Transport(TransportKind::TornBody, reason));
        }
        Ok(Tried { status, headers, body })
    }

    async fn read(&self, response: reqwest::Response) -> Result<Bytes, TryError> {
        let limit = self.options.max_response;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(TryError::TooLarge);
        }
        let mut body = BytesMut::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| transport(error, true))?;
            if u64::try_from(body.len() + chunk.len()).unwrap_or(u64::MAX) > limit {
                return Err(TryError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn asked(&self, tried: &Tried) -> Option<Duration> {
        let header = tried.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after(header, self.clock.now())
    }

    fn note(&self, asked: Duration) -> String {
        let allowed = humantime::format_duration(self.options.retry.max_delay);
        let asked = humantime::format_duration(asked);
        format!(
            "the server asked to wait {asked}, longer than retry.max_delay allows ({allowed}); raise it, or run later"
        )
    }

    fn answer(&self, tried: &Tried, attempts: u32, started: Instant, note: Option<String>) -> RawAnswer {
        // The last answer's own wish counts too, where no try is left to follow it.
        let asked = self
            .asked(tried)
            .filter(|asked| RetryPolicy::is_transient(tried.status) && *asked > self.options.retry.max_delay);
        RawAnswer {
            status: tried.status,
            headers: headers_to_json(&tried.headers),
            body: tried.body.clone(),
            attempts,
            elapsed: started.elapsed(),
            note: asked.map(|asked| self.note(asked)).or(note),
        }
    }

    fn failure(&self, error: &TryError, line: &str, origin: &str, attempts: u32) -> HttpError {
        let request = self.redactor.scrub(line);
        match error {
            TryError::TooLarge => HttpError::TooLarge { request, limit: self.options.max_response },
            TryError::Encoding(encoding) => HttpError::Encoding { request, encoding: self.redactor.scrub(encoding) },
            TryError::Transport(kind, reason) => {
                let (kind, reason) = (*kind, self.redactor.scrub(reason));
                HttpError::Transport { request, origin: origin.to_owned(), kind, attempts, reason }
            }
        }
    }
}

fn build(options: &HttpOptions) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .gzip(true)
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .danger_accept_invalid_certs(options.insecure_skip_verify);
    if let Some(silence) = options.read_timeout {
        builder = builder.read_timeout(silence);
    }
    if let Some(path) = &options.ca_file {
        let refuse =
            |reason: String| HttpError::Client { reason: format!("tls.ca_file '{}' {reason}", path.display()) };
        let pem = std::fs::read(path).map_err(|error| refuse(format!("can't be read: {error}")))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| refuse(format!("isn't PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(refuse("holds no certificate; it must be PEM".to_owned()));
        }
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|error| HttpError::Client { reason: chain(&error) })
}

/// Sorts an error of the network. In a body, all but a timeout means that it is incomplete.
fn transport(error: reqwest::Error, in_body: bool) -> TryError {
    // The URL may hold a credential, and the request is named by its line anyway.
    let error = error.without_url();
    let kind = if error.is_timeout() {
        TransportKind::Timeout
    } else if in_body {
        TransportKind::TornBody
    } else if error.is_connect() {
        TransportKind::Connect
    } else if error.is_builder() {
        TransportKind::Unsendable
    } else {
        TransportKind::Broken
    };
    TryError::Transport(kind, chain(&error))
}

/// Writes an error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
