//! A request as it goes out, and its stable textual form.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::utf8_percent_encode;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::RequestError;
use crate::lang::template::URL_ESCAPED;
use crate::lang::tree::Tree;

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    None,
    /// JSON; numbers keep their text.
    Json(Tree),
    /// Names and values, sent as `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
}

/// A request to send: every template rendered, every edit made. Authentication is still to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedRequest {
    /// The method.
    pub method: Method,
    /// The URL without its query.
    pub resource: Url,
    /// The query of a link that the server gave, as it wrote it; it stands before `query`.
    pub linked: Option<String>,
    /// Names and values of the query, in order.
    pub query: Vec<(String, String)>,
    /// Headers. Those that hold a credential are marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
}

/// The identity of a request: equal for two requests that ask the server the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl RenderedRequest {
    /// Returns the URL with its query.
    #[must_use]
    pub fn url(&self) -> Url {
        let mut url = self.resource.clone();
        let own = (!self.query.is_empty()).then(|| encode(&self.query));
        let parts: Vec<&str> = self.linked.as_deref().into_iter().chain(own.as_deref()).collect();
        if !parts.is_empty() {
            url.set_query(Some(&parts.join("&")));
        }
        url
    }

    /// Turns the request into one for `link`: path and query are the link's, all else stays. The link must be of the same origin
    /// (see [`crate::extract::paginate::resolve`]).
    pub fn follow(&mut self, link: &Url) {
        self.linked = link.query().filter(|query| !query.is_empty()).map(str::to_owned);
        self.query.clear();
        self.resource.set_path(link.path());
    }

    /// Sets a parameter of the query; what has its name, in a followed link too, goes.
    pub fn set_query(&mut self, name: &str, value: &str) {
        let other = |part: &&str| url::form_urlencoded::parse(part.as_bytes()).all(|(key, _)| key != name);
        let linked = self.linked.take().map(|query| query.split('&').filter(other).collect::<Vec<_>>().join("&"));
        self.linked = linked.filter(|query| !query.is_empty());
        self.query.retain(|pair| pair.0 != name);
        self.query.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the body's bytes and their content type.
    #[must_use]
    pub fn body(&self) -> Option<(&'static str, String)> {
        match &self.payload {
            Payload::None => None,
            Payload::Json(tree) => Some(("application/json", tree.to_json())),
            Payload::Form(fields) => Some(("application/x-www-form-urlencoded", encode(fields))),
        }
    }

    /// Returns the request in one line, such as `GET /api/list?ifid=0&start=0`; a body follows, cut after 200 characters.
    ///
    /// Call it before authentication is applied, and scrub what the pipeline file itself puts into a request.
    #[must_use]
    pub fn line(&self) -> String {
        self.line_with(200)
    }

    /// As [`Self::line`], with the first `most` characters of the body: windows and cursors may stand far behind.
    #[must_use]
    pub fn line_with(&self, most: usize) -> String {
        let url = self.url();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut line = format!("{} {}{query}", self.method, url.path());
        if let Some((_, body)) = self.body() {
            line.push(' ');
            line.extend(body.chars().take(most));
            if body.chars().nth(most).is_some() {
                line.push('…');
            }
        }
        line
    }

    /// Returns the request as a whole, for people: the line, the headers, the body. Take it before authentication is applied.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut out = format!("{} {}", self.method, self.url());
        for (name, value) in &self.headers {
            out.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        if let Some((_, body)) = self.body() {
            out.push_str(&format!("\n{body}"));
        }
        out
    }

    /// Returns the identity of the request: its method, URL, headers and body. Take it before authentication is applied, which
    /// may differ from try to try.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(bytes);
        };
        part(self.method.as_str().as_bytes());
        part(self.url().as_str().as_bytes());
        for (name, value) in &self.headers {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        part(self.body().map(|(_, body)| body).unwrap_or_default().as_bytes());
        Fingerprint(hash.finalize().into())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&hex::encode(&self.0[..8]))
    }
}

/// URL-encodes names and values. A blank is `%20`, which every server reads; `+` some don't.
fn encode(pairs: &[(String, String)]) -> String {
    let escape = |text: &str| utf8_percent_encode(text, URL_ESCAPED).to_string();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

/// What HTTP drops around the value of a header (RFC 9110, section 5.5).
const BLANKS: [char; 2] = [' ', '\t'];

/// Drops what HTTP drops of a header as it stands in the pipeline file, so that blanks around its value come from data.
pub(super) fn without_blanks(value: Tree) -> Tree {
    match value {
        Tree::Text(text) => Tree::Text(text.trim_matches(BLANKS).to_owned()),
        other => other,
    }
}

/// Makes headers of an object: null is left out; an object, a list, CR or LF, or a blank at either end, is an error.
pub(super) fn headers(tree: Tree) -> Result<HeaderMap, RequestError> {
    let entries = match tree {
        Tree::Null => return Ok(HeaderMap::new()),
        Tree::Map(entries) => entries,
        other => return Err(RequestError::NotAnObject { field: "headers", found: other.kind() }),
    };
    let mut headers = HeaderMap::with_capacity(entries.len());
    for (name, value) in entries {
        let refuse = |reason| RequestError::Header { name: name.clone(), reason };
        if matches!(value, Tree::List(_) | Tree::Map(_)) {
            return Err(refuse("is an object or a list; a header is a text"));
        }
        let Some(text) = value.wire_text() else { continue };
        let value = header_value(&text).ok_or_else(|| refuse("holds a line break or another control character"))?;
        if text.starts_with(BLANKS) || text.ends_with(BLANKS) {
            return Err(refuse(
                "begins or ends with a blank, which HTTP drops on the way; send it in the query or the body",
            ));
        }
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("isn't a name that HTTP allows"))?;
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Makes a header's value of UTF-8 text; `None` where it holds CR, LF or another control character.
pub(crate) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}
