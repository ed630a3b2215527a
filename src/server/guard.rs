//! What keeps others out: strangers' pages that use a person's browser, and guessed tokens.
//!
//! - A name of someone else's that points at our address (DNS rebinding) isn't one of ours, so its requests are refused. An address, and
//!   `localhost`, can't be pointed anywhere else.
//! - A form on someone else's page says where it comes from (`Sec-Fetch-Site`, `Origin`). A client that isn't a browser says neither, and
//!   must show its token in a header, which no form can.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

use super::routes::App;
use crate::secret::Secret;

/// Nothing but our own style sheet, script and forms; nobody frames us. There is no inline style or script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Paths that say nothing of the data, and are asked for by whatever name a cluster has for us.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Refuses requests under a strange name, and adds the headers that every answer has.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = request.uri().host().unwrap_or(host);
    let mut response = if OPEN.contains(&request.uri().path()) || is_ours(host, &app.site.hosts) {
        next.run(request).await
    } else {
        let help =
            "this name isn't one of the page's: start `tidegate serve` with --allowed-host NAME, or use the address\n";
        (StatusCode::MISDIRECTED_REQUEST, help).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: a form would then say `Origin: null`.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Tells whether the host of a request, with or without a port, is one of ours: an address, `localhost`, or a name that was allowed.
fn is_ours(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.parse::<IpAddr>().is_ok() || allowed.contains(&name)
}

/// Who asks for something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A page of ours: the token is in the form.
    Page,
    /// A program: the token is in a header.
    Program,
    /// Someone else's page.
    Stranger,
}

/// Tells who sent a request, by its headers.
pub(super) fn asker(headers: &HeaderMap) -> Asker {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(&HOST).unwrap_or_default();
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    let origin = text(&ORIGIN);
    let own =
        |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    match (site, origin) {
        (None, None) if headers.contains_key(AUTHORIZATION) => Asker::Program,
        (Some("same-origin"), None) => Asker::Page,
        (Some("same-origin") | None, Some(origin)) if own(origin) => Asker::Page,
        _ => Asker::Stranger,
    }
}

/// Returns the token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares a token in a time that says nothing about it: by digests, so that its length doesn't show either.
pub(super) fn is_token(token: &Secret, given: &str) -> bool {
    Sha256::digest(token.expose()).ct_eq(&Sha256::digest(given)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn addresses_are_ours_and_names_only_if_allowed() {
        let allowed = ["tidegate.example.com".to_owned()];
        for host in ["127.0.0.1:8321", "localhost", "LOCALHOST:1", "[::1]:8321", "10.0.0.5", "Tidegate.example.com:443"]
        {
            assert!(is_ours(host, &allowed), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:8321",
            "localhost.evil.example",
            "[::1",
            "tidegate.example.com.evil",
        ] {
            assert!(!is_ours(host, &allowed), "{host}");
        }
    }

    #[test]
    fn only_a_page_of_ours_or_a_program_may_ask() {
        let host = ("host", "127.0.0.1:8321");
        let of = |lines: &[(&'static str, &'static str)]| asker(&headers(&[&[host], lines].concat()));
        assert_eq!(of(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8321")]), Asker::Page);
        assert_eq!(of(&[("origin", "http://127.0.0.1:8321")]), Asker::Page, "a browser that says no more, over http");
        assert_eq!(of(&[("authorization", "Bearer x")]), Asker::Program);
        for stranger in [
            vec![],
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8321")],
            vec![("sec-fetch-site", "none")],
            vec![("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:9")],
            vec![("origin", "null")],
            vec![("origin", "http://evil.example")],
            vec![("origin", "http://evil.example"), ("authorization", "Bearer x")],
        ] {
            assert_eq!(of(&stranger), Asker::Stranger, "{stranger:?}");
        }
    }

    #[test]
    fn a_token_is_compared_as_a_whole() {
        let token = Secret::new("correct horse battery");
        assert!(is_token(&token, "correct horse battery"));
        assert!(
            !is_token(&token, "correct horse") && !is_token(&token, "") && !is_token(&token, "correct horse batterY")
        );
        assert_eq!(bearer(&headers(&[("authorization", "bearer  abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
    }
}
