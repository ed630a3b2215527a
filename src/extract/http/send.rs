//! One try's sending of a request, until the head of its answer is there.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::timeout_at;

use super::body::late;
use super::client::HttpClient;
use super::connect::{ended, wants_http_1};
use super::error::TransportKind;
use super::limit::Slot;
use super::terms::{Repeat, Terms};
use super::tried::TryError;
use super::wire::Held;
use crate::extract::request::RenderedRequest;

/// The head of an answer, and the body that is still to be read.
pub(super) struct Heard {
    pub(super) response: Response<Incoming>,
    pub(super) held: Held,
    /// When the try ends.
    pub(super) deadline: Instant,
}

impl HttpClient {
    /// Sends a request, and waits for the head of its answer.
    ///
    /// A server closes a connection that it has answered by whenever it likes, just when the next request is on its way as well. That is
    /// no failure (RFC 9112, section 9.3.1): a request that may be repeated is sent again at once, and at no cost. A connection that is
    /// new proves what the server does, so as many as may be kept are believed to have been closed.
    pub(super) async fn send(
        &self,
        request: &RenderedRequest,
        terms: &Terms<'_>,
        slot: &Slot,
    ) -> Result<Heard, TryError> {
        let mut kept = self.options.concurrency.max(1);
        loop {
            if let Some(rate) = self.options.rate_limit {
                slot.keep_to(rate).await;
            }
            if terms.session.is_some_and(|(session, grant)| !session.is_current(grant.generation())) {
                return Err(TryError::Stale);
            }
            terms.patience.sent.fetch_add(1, Ordering::Relaxed);
            // After the waits, so that the signature is fresh when it leaves.
            let prepared = terms.each_try.prepared(request, self.now());
            let request = prepared.as_ref().unwrap_or(request);
            let deadline = Instant::now() + self.options.request_timeout;
            let (headers, body) = parts(request);
            let (held, answer) = self.wire.send(request.method.clone(), &request.url(), headers, body)?;
            let may_be_kept = kept > 0;
            let again = may_be_kept && terms.patience.repeat == Repeat::Any;
            kept = kept.saturating_sub(1);
            match timeout_at(deadline.into(), answer).await {
                Err(_) => {
                    held.retire();
                    return Err(late());
                }
                // It may be what the server says of a connection that nobody used for a while (RFC 9110, section 15.5.9).
                Ok(Ok(response)) if response.status() == StatusCode::REQUEST_TIMEOUT && again && held.was_used() => {
                    held.retire();
                }
                Ok(Ok(response)) => {
                    held.note_use();
                    // Another connection may lead to a server that can answer (RFC 9110, section 15.5.20).
                    if matches!(response.status(), StatusCode::REQUEST_TIMEOUT | StatusCode::MISDIRECTED_REQUEST) {
                        held.retire();
                    }
                    terms.each_try.heard(request, response.headers(), self.now());
                    return Ok(Heard { response, held, deadline });
                }
                Ok(Err((TransportKind::Broken, reason))) if wants_http_1(&reason) && may_be_kept => {
                    self.wire.speak_http_1(&held);
                }
                Ok(Err((TransportKind::Broken, reason))) if ended(&reason) && again && held.was_used() => {
                    terms.patience.maybe_heard.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Err(error)) => return Err(error.into()),
            }
            tracing::debug!(request = %self.redactor().scrub(terms.line), "request is sent again, by another connection");
        }
    }
}

/// Returns the headers and the body of a request.
fn parts(request: &RenderedRequest) -> (HeaderMap, Bytes) {
    let (mut headers, mut body) = (HeaderMap::new(), Bytes::new());
    if let Some((kind, text)) = request.body() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        body = text.into();
    } else if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
        // Without it some servers answer 411 (RFC 9110, section 8.6).
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    // These replace what stands there, a content type of the pipeline file's own included.
    headers.extend(request.headers.clone());
    (headers, body)
}
