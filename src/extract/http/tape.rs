//! Answers that are taken down, and given again in place of the server's: what `tidegate record` and `tidegate test` go by.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::tried::Tried;
use crate::extract::auth::{REDACTED, Redactor};
use crate::extract::request::RenderedRequest;
use crate::secret::Secret;

/// A text of a login's answer from this length on may be a session, or another credential.
const LONGEST_WORD: usize = 16;

/// Headers of answers that hand out credentials.
const CREDENTIALS: [&str; 5] = ["authorization", "x-auth-token", "x-csrf-token", "x-api-key", "set-cookie2"];

/// Headers of a login's answer that are kept as they are.
const PLAIN: [&str; 4] = ["content-type", "date", "location", "set-cookie"];

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

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The request: its method, its URL, its body behind a blank, and on lines of their own its headers that hold no credential.
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

/// An answer as it came.
#[derive(Debug)]
struct Raw {
    take: Take,
    redactor: Redactor,
    /// Whether it gave a session.
    is_session: bool,
}

/// The bytes of bodies that a recording holds at most: they stay in memory until it is written.
pub const MOST_RECORDED: u64 = 128 << 20;

/// Takes answers down, in the order in which they came. They hold credentials until [`Recorder::takes`] takes these out.
#[derive(Debug)]
pub struct Recorder {
    raw: Mutex<Vec<Raw>>,
    /// How many bytes of bodies it still takes; none where one had no room.
    left: Mutex<Option<u64>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { raw: Mutex::default(), left: Mutex::new(Some(MOST_RECORDED)) }
    }
}

/// Gives answers that were taken down: to equal requests one after the other, and from then on the last one.
#[derive(Debug)]
pub struct Player {
    left: Mutex<HashMap<String, VecDeque<Take>>>,
    /// Takes out of requests what was taken out of those that were recorded.
    all: Redactor,
}

impl Tape {
    /// Takes down the answer that a request ends with. `is_session` says that it gives a session.
    pub(super) fn note(&self, request: &RenderedRequest, tried: &Tried, redactor: &Redactor, is_session: bool) {
        let Self::Recording(recorder) = self else { return };
        let take = Take {
            request: redactor.scrub(&spelled(request)),
            status: tried.status,
            headers: kept(&tried.headers),
            body: tried.body.clone(),
            unmarked: tried.unmarked,
        };
        if recorder.has_room(take.body.len() as u64) {
            recorder.raw().push(Raw { take, redactor: redactor.clone(), is_session });
        }
    }
}

impl Recorder {
    fn raw(&self) -> MutexGuard<'_, Vec<Raw>> {
        self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for a body. Once one had none, no other has.
    fn has_room(&self, bytes: u64) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.and_then(|left| left.checked_sub(bytes));
        left.is_some()
    }

    /// Tells whether all answers had room.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns how many answers it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.raw().len()
    }

    /// Returns the credentials that came up: those of the clients, and what answers of logins hold.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let raw = self.raw();
        let known = raw.iter().flat_map(|raw| raw.redactor.secrets());
        let sessions = raw.iter().filter(|raw| raw.is_session);
        known.chain(sessions.flat_map(|raw| of_session(&raw.take))).collect()
    }

    /// Returns what was taken down of the answers in `range`, and the sessions of before that they may rest upon. `all` takes out the
    /// credentials of all.
    ///
    /// # Errors
    /// The request whose answer holds a credential where it can't be taken out: in a body that is no text.
    pub fn takes(&self, range: Range<usize>, all: &Redactor) -> Result<Vec<Take>, String> {
        let raw = self.raw();
        let before = raw.iter().take(range.start).filter(|raw| raw.is_session);
        before.chain(&raw[range]).map(|raw| scrubbed(raw, all)).collect()
    }
}

impl Player {
    /// Takes what is to be given, in the order in which it came. `all` takes out of requests the secrets of all.
    #[must_use]
    pub fn new(takes: Vec<Take>, all: Redactor) -> Self {
        let mut left: HashMap<String, VecDeque<Take>> = HashMap::new();
        for take in takes {
            left.entry(take.request.clone()).or_default().push_back(take);
        }
        Self { left: Mutex::new(left), all }
    }

    /// Returns the answer to a request; or, where there is none, what is said of the request that is most like it.
    pub(super) fn answer(&self, request: &RenderedRequest, redactor: &Redactor) -> Result<Tried, Option<String>> {
        let asked = self.all.scrub(&redactor.scrub(&spelled(request)));
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(takes) = left.get_mut(&asked) else { return Err(nearest(&asked, left.keys())) };
        let take = if takes.len() > 1 { takes.pop_front() } else { takes.front().cloned() };
        let Take { status, headers, body, unmarked, .. } = take.ok_or(None)?;
        Ok(Tried { status, headers, body, broken: None, open_ended: false, unmarked })
    }
}

/// Writes a request with all that the pipeline file and the paging put into it, but for the headers that hold a credential.
fn spelled(request: &RenderedRequest) -> String {
    let mut text = format!("{} {}", request.method, request.url());
    if let Some((_, body)) = request.body() {
        text.push_str(&format!(" {body}"));
    }
    let mut headers: Vec<_> = request.headers.iter().filter(|(_, value)| !value.is_sensitive()).collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        text.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    text
}

/// Says which request is most like one, and how it differs where its line is the same.
fn nearest<'t>(asked: &str, known: impl Iterator<Item = &'t String>) -> Option<String> {
    let likeness = |text: &&String| strsim::normalized_levenshtein(asked, text);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)).then_with(|| b.cmp(a)))?;
    let parts = |text: &str| {
        let (line, headers) = text.split_once('\n').unwrap_or((text, "no headers"));
        (line.to_owned(), headers.replace('\n', ", "))
    };
    let ((line, here), (other, there)) = (parts(asked), parts(nearest));
    Some(if line == other {
        format!("it has one of that line with other headers: `{there}`, while this one has `{here}`")
    } else {
        format!("the most like it that it has is `{other}`")
    })
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

fn scrubbed(raw: &Raw, all: &Redactor) -> Result<Take, String> {
    let take = &raw.take;
    let request = all.scrub(&take.request);
    let clean = |name: &HeaderName, value: &HeaderValue| {
        let hides = CREDENTIALS.contains(&name.as_str()) || raw.is_session && !PLAIN.contains(&name.as_str());
        if hides { HeaderValue::from_static(REDACTED) } else { clean(name, value, all) }
    };
    let headers = take.headers.iter().map(|(name, value)| (name.clone(), clean(name, value))).collect();
    let body = match std::str::from_utf8(&take.body) {
        Ok(text) if raw.is_session => all.scrub(&without_session(text)).into(),
        Ok(text) => all.scrub(text).into(),
        Err(_) => {
            let text = String::from_utf8_lossy(&take.body);
            if all.scrub(&text) != text {
                return Err(request);
            }
            take.body.clone()
        }
    };
    Ok(Take { request, headers, body, ..take.clone() })
}

/// Takes out of the answer of a login what may be a credential, whether the pipeline uses it or not.
fn without_session(text: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    visit(&mut body, true, &mut |text| REDACTED.clone_into(text));
    body.to_string()
}

/// Returns what may be a credential in the answer of a login.
fn of_session(take: &Take) -> Vec<Secret> {
    let mut found = Vec::new();
    if let Ok(mut body) = serde_json::from_slice::<Value>(&take.body) {
        visit(&mut body, true, &mut |text| found.push(Secret::new(text.as_str())));
    }
    let headers = take.headers.iter().filter(|(name, _)| !PLAIN.contains(&name.as_str()));
    found.extend(headers.map(|(_, value)| Secret::new(String::from_utf8_lossy(value.as_bytes()))));
    found.retain(|secret| secret.expose().len() >= LONGEST_WORD);
    found
}

/// Visits the texts of a login's answer that may be a credential: long ones, and those whose names say so.
fn visit(value: &mut Value, telling: bool, act: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) if telling || text.len() >= LONGEST_WORD => act(text),
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, telling, act)),
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let is_kind = name.ends_with("type");
            let tells = |word: &str| name.contains(word);
            let telling =
                ["token", "secret", "session", "csrf", "key", "ticket", "jwt", "sid"].iter().any(|word| tells(word));
            visit(value, telling && !is_kind, act);
        }),
        _ => {}
    }
}

/// Takes credentials out of a header. A cookie is one, whoever set it.
fn clean(name: &HeaderName, value: &HeaderValue, all: &Redactor) -> HeaderValue {
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = match text.split_once('=') {
        Some((cookie, rest)) if name == SET_COOKIE => {
            let attributes = rest.split_once(';').map(|(_, attributes)| format!(";{attributes}")).unwrap_or_default();
            format!("{cookie}={REDACTED}{attributes}")
        }
        _ => text.into_owned(),
    };
    HeaderValue::try_from(all.scrub(&text)).unwrap_or_else(|_| HeaderValue::from_static(REDACTED))
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
        let (recorder, redactor) = (Arc::new(Recorder::default()), Redactor::new([&Secret::new("sh0rt")]));
        let tape = Tape::Recording(Arc::clone(&recorder));
        let query = [("token", "t0ken-of-a-session"), ("pin", "sh0rt")];
        tape.note(&request(&query), &tried(b"{\"echo\": \"t0ken-of-a-session\", \"n\": 1.50}"), &redactor, false);
        redactor.learn([&Secret::new("t0ken-of-a-session")]);
        let all = Redactor::for_good(recorder.secrets());
        let takes = recorder.takes(0..1, &all).unwrap();
        let [only] = takes.as_slice() else { panic!("{takes:?}") };
        assert_eq!(only.request, "GET https://api.test/list?token=[redacted]&pin=[redacted]");
        assert_eq!(only.body, "{\"echo\": \"[redacted]\", \"n\": 1.50}");
        assert_eq!(only.headers["set-cookie"], "sid=[redacted]; Path=/; HttpOnly");
        assert_eq!(only.headers["link"], "</list?token=[redacted]&page=2>; rel=next");
        assert!(!only.headers.contains_key("content-length"));
        tape.note(&request(&[]), &tried(b"\xff t0ken-of-a-session"), &redactor, false);
        assert_eq!(recorder.takes(1..2, &all), Err("GET https://api.test/list".to_owned()));
    }

    #[test]
    fn a_recording_that_is_too_large_knows_it() {
        let recorder = Arc::new(Recorder { left: Mutex::new(Some(5)), ..Recorder::default() });
        let tape = Tape::Recording(Arc::clone(&recorder));
        for (body, whole, count) in [("123", true, 1), ("456", false, 1), ("7", false, 1)] {
            tape.note(&request(&[]), &tried(body.as_bytes()), &Redactor::default(), false);
            assert_eq!((recorder.is_whole(), recorder.count()), (whole, count), "{body}");
        }
    }

    #[test]
    fn of_a_login_no_credential_is_kept_whether_it_is_used_or_not() {
        let recorder = Arc::new(Recorder::default());
        let tape = Tape::Recording(Arc::clone(&recorder));
        let login =
            b"{\"access_token\": \"a\", \"refresh_token\": \"r3fresh-of-the-session\", \"token_type\": \"bearer\",
                      \"expires_in\": 60, \"ok\": true, \"user\": {\"csrf\": [\"c\"], \"name\": \"ann\"}}";
        tape.note(&request(&[]), &tried(login), &Redactor::default(), true);
        tape.note(&request(&[]), &tried(b"[\"r3fresh-of-the-session\"]"), &Redactor::default(), false);
        let takes = recorder.takes(1..2, &Redactor::for_good(recorder.secrets())).unwrap();
        let bodies: Vec<_> = takes.iter().map(|take| String::from_utf8_lossy(&take.body).into_owned()).collect();
        assert_eq!(
            bodies,
            [
                "{\"access_token\":\"[redacted]\",\"refresh_token\":\"[redacted]\",\"token_type\":\"bearer\",\"expires_in\":60,\
                 \"ok\":true,\"user\":{\"csrf\":[\"[redacted]\"],\"name\":\"ann\"}}",
                "[\"[redacted]\"]",
            ],
            "what a login gave goes along, and what echoes it is found"
        );
        assert_eq!(takes[0].headers["link"], REDACTED);
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
        let takes = vec![take(list, "one"), take("GET https://api.test/other", "x"), take(list, "two")];
        let player = Player::new(takes, Redactor::default());
        let redactor = Redactor::new([&Secret::new("another-t0ken")]);
        let first = request(&[("page", "1"), ("token", "another-t0ken")]);
        for expect in ["one", "two", "two"] {
            let given = player.answer(&first, &redactor).ok().unwrap();
            assert_eq!((given.body, given.unmarked), (Bytes::from_static(expect.as_bytes()), true));
        }
        let unknown = player.answer(&request(&[("page", "2"), ("token", "another-t0ken")]), &redactor);
        assert_eq!(unknown.err().unwrap().unwrap(), format!("the most like it that it has is `{list}`"));
        let mut other = first;
        other.headers.insert("x-tenant", HeaderValue::from_static("acme"));
        let told = player.answer(&other, &redactor).err().unwrap().unwrap();
        assert_eq!(
            told,
            "it has one of that line with other headers: `no headers`, while this one has `x-tenant: acme`"
        );
        let mut secret = HeaderValue::from_static("Bearer x");
        secret.set_sensitive(true);
        other.headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, secret)]);
        assert!(player.answer(&other, &redactor).is_ok());
    }
}
