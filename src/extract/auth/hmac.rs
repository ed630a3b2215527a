//! `hmac`: a signature over each request. The one profile is that of Cisco Secure Workload (Tetration), as its own client, the
//! Python package `tetpyclient` 1.0.8, makes it.
//!
//! Signed are the method, the path with its query as sent, the SHA-256 of the body, the content type and the time, each with a line
//! feed after it. The body and the content type are those that go over the wire.

use base64::Engine as _;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use ring::hmac;
use sha2::{Digest as _, Sha256};

use crate::extract::request::RenderedRequest;
use crate::secret::Secret;

/// The header with the key's id.
pub(super) const ID: HeaderName = HeaderName::from_static("id");

/// The header with the time of the signature.
const TIMESTAMP: HeaderName = HeaderName::from_static("timestamp");

/// The header with the SHA-256 of the body, in hex.
const CHECKSUM: HeaderName = HeaderName::from_static("x-tetration-cksum");

/// The server wants a content type even where there is no content.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An API key of Secure Workload.
#[derive(Debug, Clone)]
pub struct SecureWorkload {
    key: Secret,
    secret: Secret,
}

impl SecureWorkload {
    /// Takes a key's id and its secret, which is used as text though it looks like hex.
    #[must_use]
    pub const fn new(key: Secret, secret: Secret) -> Self {
        Self { key, secret }
    }

    /// Returns the key's id.
    #[must_use]
    pub const fn key(&self) -> &Secret {
        &self.key
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Signs a try that is made at `now`; what an earlier try had signed is replaced.
    pub fn sign(&self, request: &mut RenderedRequest, now: DateTime<Utc>) {
        let body = request.body();
        let kind = body.as_ref().map_or(JSON, |(kind, _)| HeaderValue::from_static(kind));
        let kind = request.headers.entry(CONTENT_TYPE).or_insert(kind).clone();
        let time = now.format("%Y-%m-%dT%H:%M:%S+0000").to_string();
        let checksum = body
            .filter(|(_, body)| {
                !body.is_empty() && [Method::POST, Method::PUT, Method::DELETE].contains(&request.method)
            })
            .map(|(_, body)| hex::encode(Sha256::digest(body)));
        let url = request.url();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let text = to_sign(&[
            request.method.as_str().as_bytes(),
            format!("{}{query}", url.path()).as_bytes(),
            checksum.as_deref().unwrap_or_default().as_bytes(),
            kind.as_bytes(),
            time.as_bytes(),
        ]);
        let signature = base64::engine::general_purpose::STANDARD.encode(signature(self.secret.expose(), &text));
        request.headers.remove(CHECKSUM);
        let made = [(TIMESTAMP, Some(time)), (CHECKSUM, checksum), (AUTHORIZATION, Some(signature))];
        for (name, text) in made {
            // Digits, hex and base64 are always the value of a header.
            let Some(Ok(mut value)) = text.map(HeaderValue::try_from) else { continue };
            value.set_sensitive(name == AUTHORIZATION);
            request.headers.insert(name, value);
        }
    }
}

/// Joins the parts that are signed.
fn to_sign(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.iter().chain(b"\n")).copied().collect()
}

fn signature(secret: &str, text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use serde_json::json;

    use super::*;
    use crate::extract::auth::Auth;
    use crate::extract::request::{RequestSpec, RequestTree};
    use crate::lang::tree::Tree;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const BODY: &str = r#"{"t0":1466179200,"t1":1466208000,"filter":{},"limit":100,"offset":""}"#;

    fn signed(method: Method, path: &str, query: &[(&str, &str)], body: Option<&str>) -> RenderedRequest {
        let spec = RequestSpec {
            method: method.into(),
            path: path.to_owned(),
            query: query.iter().map(|(name, value)| ((*name).to_owned(), Tree::Text((*value).to_owned()))).collect(),
            body: body.map(|body| Tree::from(serde_json::from_str::<serde_json::Value>(body).unwrap())),
            ..RequestSpec::default()
        };
        let mut request =
            RequestTree::compile("https://csw/openapi/v1", spec).unwrap().render(&json!({}), &[]).unwrap();
        let key = SecureWorkload::new(Secret::new("00112233445566778899aabbccddeeff"), Secret::new(SECRET));
        let auth = Auth::SecureWorkload(key);
        auth.apply(&mut request).unwrap();
        let now = Utc.with_ymd_and_hms(2016, 6, 17, 16, 0, 0).unwrap();
        auth.signer().unwrap().sign(&mut request, now);
        request
    }

    fn header<'r>(request: &'r RenderedRequest, name: &str) -> Option<&'r str> {
        request.headers.get(name).map(|value| value.to_str().unwrap())
    }

    // The expected values were made by tetpyclient 1.0.8 itself.
    #[test]
    fn a_request_is_signed_as_the_vendor_s_client_signs_it() {
        let post = signed(Method::POST, "/live_analysis/5c93da83497d4f33d7145960", &[], Some(BODY));
        assert_eq!(post.body().unwrap().1, BODY);
        assert_eq!(header(&post, "id"), Some("00112233445566778899aabbccddeeff"));
        assert_eq!(header(&post, "timestamp"), Some("2016-06-17T16:00:00+0000"));
        assert_eq!(header(&post, "content-type"), Some("application/json"));
        let checksum = "aecb6d643473b7b2690eea5e20dafd61f460636bf793ebaf46bdad2a72579ee9";
        assert_eq!(header(&post, "x-tetration-cksum"), Some(checksum));
        assert_eq!(header(&post, "authorization"), Some("umqsGswniZy095SJ8o6e/fLJk6tuE6fa4Qcs916SJ9s="));
        assert!(post.headers["authorization"].is_sensitive() && post.headers["id"].is_sensitive());
        let get = signed(Method::GET, "/flowsearch/dimensions", &[("x", "1")], None);
        assert_eq!(header(&get, "authorization"), Some("INTZ8OuDE+mzsTDTuqNhU57dNwPsjew5fPfuFOPK4n8="));
        assert_eq!((header(&get, "x-tetration-cksum"), header(&get, "content-type")), (None, Some("application/json")));
    }

    #[test]
    fn another_try_replaces_the_signature_of_the_one_before() {
        let once = signed(Method::POST, "/x", &[], Some(BODY));
        let key = SecureWorkload::new(Secret::new("k"), Secret::new(SECRET));
        let mut again = once.clone();
        key.sign(&mut again, Utc.with_ymd_and_hms(2016, 6, 17, 16, 0, 1).unwrap());
        assert_eq!(again.headers.len(), once.headers.len());
        assert_ne!(header(&again, "authorization"), header(&once, "authorization"));
        assert_eq!(header(&again, "timestamp"), Some("2016-06-17T16:00:01+0000"));
        key.sign(&mut again, Utc.with_ymd_and_hms(2016, 6, 17, 16, 0, 0).unwrap());
        assert_eq!(again.headers, once.headers);
    }

    #[test]
    fn two_secrets_are_two_credentials_and_both_parts_are_scrubbed() {
        let auth =
            |secret: &str| Auth::SecureWorkload(SecureWorkload::new(Secret::new("the-key"), Secret::new(secret)));
        assert_ne!(auth("a").credential(), auth("b").credential());
        assert_eq!(auth("a").secrets().len(), 2);
        assert!(!format!("{:?}", auth("hunter2")).contains("hunter2"));
        assert!(Auth::None.signer().is_none());
    }
}
