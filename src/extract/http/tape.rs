//! Answers that are taken down, and given again in place of the server's: what `tidegate record` and `tidegate test` go by.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::tried::Tried;
use crate::extract::auth::{REDACTED, Redactor};
use crate::extract::request::RenderedRequest;

/// What stands between a client and its server.
#[derive(Debug, Clone, Default)]
pub enum Tape {
    /// Nothing.
    #[default]
    Off,
    /// Who takes answers down.
    Recording(Arc<Recorder>),
    /// Who answers in the server's place: nothing is sent.
    Playing(Arc<Player>),
}

/// A request and its answer. Credentials are taken out of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The request: its method, its URL, and its body behind a blank.
    pub request: String,
    /// The status.
    pub status: StatusCode,
    /// The headers, without those that tell how the body came.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// Whether nothing marked the body's end.
    pub unmarked: bool,
}

/// Takes answers down, in the order in which they came.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<(Take, Redactor)>>);

/// Gives answers that were taken down: to equal requests one after the other, and from then on the last one.
#[derive(Debug)]
pub struct Player {
    left: Mutex<HashMap<String, VecDeque<Take>>>,
}

impl Tape {
    /// Takes down the answer that a request ends with.
    pub(super) fn note(&self, request: &RenderedRequest, tried: &Tried, redactor: &Redactor) {
        let Self::Recording(recorder) = self else { return };
        let take = Take {
            request: spelled(request),
            status: tried.status,
            headers: kept(&tried.headers),
            body: tried.body.clone(),
            unmarked: tried.unmarked,
        };
        recorder.0.lock().unwrap_or_else(PoisonError::into_inner).push((take, redactor.clone()));
    }
}

impl Recorder {
    /// Returns what was taken down. Credentials are taken out now that all are known, those that answers gave among them.
    ///
    /// # Errors
    /// The request whose answer holds a credential where it can't be taken out: in a body that is no text.
    pub fn takes(&self) -> Result<Vec<Take>, String> {
        let takes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        takes.iter().map(|(take, redactor)| scrubbed(take, redactor)).collect()
    }
}

impl Player {
    /// Takes what is to be given, in the order in which it came.
    #[must_use]
    pub fn new(takes: Vec<Take>) -> Self {
        let mut left: HashMap<String, VecDeque<Take>> = HashMap::new();
        for take in takes {
            left.entry(take.request.clone()).or_default().push_back(take);
        }
        Self { left: Mutex::new(left) }
    }

    /// Returns the answer to a request; or, where there is none, the request that is most like it.
    pub(super) fn answer(&self, request: &RenderedRequest, redactor: &Redactor) -> Result<Tried, Option<String>> {
        let asked = redactor.scrub(&spelled(request));
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(takes) = left.get_mut(&asked) else { return Err(nearest(&asked, left.keys())) };
        let take = if takes.len() > 1 { takes.pop_front() } else { takes.front().cloned() };
        let Take { status, headers, body, unmarked, .. } = take.ok_or(None)?;
        Ok(Tried { status, headers, body, broken: None, open_ended: false, unmarked })
    }
}

/// Writes a request with all that the pipeline file and the paging put into it; headers aside, in which credentials travel.
fn spelled(request: &RenderedRequest) -> String {
    let line = format!("{} {}", request.method, request.url());
    match request.body() {
        Some((_, body)) => format!("{line} {body}"),
        None => line,
    }
}

fn nearest<'t>(asked: &str, known: impl Iterator<Item = &'t String>) -> Option<String> {
    let likeness = |text: &&String| strsim::normalized_levenshtein(asked, text);
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)).then_with(|| b.cmp(a))).cloned()
}

/// Leaves out what tells how the body came, which isn't how it is given.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, CONNECTION, HeaderName::from_static("keep-alive")]
    {
        kept.remove(name);
    }
    kept
}

fn scrubbed(take: &Take, redactor: &Redactor) -> Result<Take, String> {
    let request = redactor.scrub(&take.request);
    let headers = take.headers.iter().map(|(name, value)| (name.clone(), clean(name, value, redactor))).collect();
    let body = match std::str::from_utf8(&take.body) {
        Ok(text) => redactor.scrub(text).into(),
        Err(_) => {
            let text = String::from_utf8_lossy(&take.body);
            if redactor.scrub(&text) != text {
                return Err(request);
            }
            take.body.clone()
        }
    };
    Ok(Take { request, headers, body, ..take.clone() })
}

/// Takes credentials out of a header. A cookie is one, whoever set it.
fn clean(name: &HeaderName, value: &HeaderValue, redactor: &Redactor) -> HeaderValue {
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = match text.split_once('=') {
        Some((cookie, rest)) if name == SET_COOKIE => {
            let attributes = rest.split_once(';').map(|(_, attributes)| format!(";{attributes}")).unwrap_or_default();
            format!("{cookie}={REDACTED}{attributes}")
        }
        _ => text.into_owned(),
    };
    HeaderValue::try_from(redactor.scrub(&text)).unwrap_or_else(|_| HeaderValue::from_static(REDACTED))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::extract::request::Payload;
    use crate::secret::Secret;

    fn request(query: &[(&str, &str)]) -> RenderedRequest {
        RenderedRequest {
            method: Method::GET,
            resource: "https://api.test/list".parse().unwrap(),
            linked: None,
            query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            headers: HeaderMap::new(),
            payload: Payload::None,
        }
    }

    fn tried(body: &[u8]) -> Tried {
        let headers = [
            ("set-cookie", "sid=5f1c; Path=/; HttpOnly"),
            ("link", "</list?token=t0ken-of-a-session&page=2>; rel=next"),
            ("content-length", "2"),
        ];
        Tried {
            status: StatusCode::OK,
            headers: headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            body: Bytes::copy_from_slice(body),
            broken: None,
            open_ended: false,
            unmarked: false,
        }
    }

    #[test]
    fn what_is_taken_down_has_no_credential_also_where_that_is_known_later() {
        let (recorder, redactor) = (Arc::new(Recorder::default()), Redactor::default());
        let tape = Tape::Recording(Arc::clone(&recorder));
        tape.note(
            &request(&[("token", "t0ken-of-a-session")]),
            &tried(b"{\"token\": \"t0ken-of-a-session\"}"),
            &redactor,
        );
        redactor.learn([&Secret::new("t0ken-of-a-session")]);
        let takes = recorder.takes().unwrap();
        let [take] = takes.as_slice() else { panic!("{takes:?}") };
        assert_eq!(take.request, "GET https://api.test/list?token=[redacted]");
        assert_eq!(take.body, "{\"token\": \"[redacted]\"}");
        assert_eq!(take.headers["set-cookie"], "sid=[redacted]; Path=/; HttpOnly");
        assert_eq!(take.headers["link"], "</list?token=[redacted]&page=2>; rel=next");
        assert!(!take.headers.contains_key("content-length"));
        tape.note(&request(&[]), &tried(b"\xff t0ken-of-a-session"), &redactor);
        assert_eq!(recorder.takes(), Err("GET https://api.test/list".to_owned()));
    }

    #[test]
    fn equal_requests_are_answered_in_turn_and_then_with_the_last_answer() {
        let take = |request: &str, body: &'static str| Take {
            request: request.to_owned(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            unmarked: true,
        };
        let list = "GET https://api.test/list?page=1&token=[redacted]";
        let player = Player::new(vec![take(list, "one"), take("GET https://api.test/other", "x"), take(list, "two")]);
        let redactor = Redactor::new([&Secret::new("another-t0ken")]);
        let first = request(&[("page", "1"), ("token", "another-t0ken")]);
        for expect in ["one", "two", "two"] {
            let given = player.answer(&first, &redactor).ok().unwrap();
            assert_eq!((given.body, given.unmarked), (Bytes::from_static(expect.as_bytes()), true));
        }
        let unknown = player.answer(&request(&[("page", "2"), ("token", "another-t0ken")]), &redactor);
        assert_eq!(unknown.err().unwrap().as_deref(), Some(list));
    }
}
