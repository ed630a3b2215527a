//! What a source says of its transport, and what the network says of it.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::error::TransportKind;
use super::limit::RateLimit;
use super::retry::RetryPolicy;
use super::route::Proxy;
use crate::objects::chain;

/// The largest body that is read unless a source says otherwise: a page beyond it should be asked for in parts.
pub const DEFAULT_MAX_RESPONSE: u64 = 64 * 1024 * 1024;

/// What a source says of its transport.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The longest time that a connection may take to be made.
    pub connect_timeout: Duration,
    /// The longest time that one try may take, body included.
    pub request_timeout: Duration,
    /// The longest silence while a body is read.
    pub read_timeout: Duration,
    /// A PEM file with certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate, and maybe its key.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with the key, where it is in another file.
    pub client_key: Option<PathBuf>,
    /// Whether any certificate is taken.
    pub insecure_skip_verify: bool,
    /// The proxy; none leaves it to the environment, if that may say.
    pub proxy: Option<Proxy>,
    /// Whether the environment may name a proxy.
    pub environment_proxy: bool,
    /// How long an HTTP/2 connection that requests are out on may be silent before it is asked whether it is still there, and how long it
    /// has to say so.
    pub ping: Duration,
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
            read_timeout: Duration::from_secs(60),
            ca_file: None,
            client_cert: None,
            client_key: None,
            insecure_skip_verify: false,
            proxy: None,
            environment_proxy: true,
            ping: Duration::from_secs(30),
            rate_limit: None,
            concurrency: 4,
            max_response: DEFAULT_MAX_RESPONSE,
            retry: RetryPolicy::default(),
        }
    }
}

/// Tells whether `url` is on this very machine, by its name or its number.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Sorts an error of the network before the head of an answer is there. `connecting` says that there was no connection yet.
pub(super) fn said(error: &(dyn Error + 'static), connecting: bool) -> (TransportKind, String) {
    let text = format!("error sending request: {}", chain(error));
    let kind = if text.contains("proxy authorization required") {
        TransportKind::ProxyAuth
    } else if is_tls(&text) {
        TransportKind::Tls
    } else if connecting {
        TransportKind::Connect
    } else if of_http(error, hyper::Error::is_parse_too_large) || is_head_of_http_2(&text) {
        TransportKind::Head
    } else if of_http(error, hyper::Error::is_parse) {
        TransportKind::NoHttp
    } else {
        TransportKind::Broken
    };
    (kind, text)
}

/// Tells by what the network says of a request without an answer whether that was the end of its connection, and not of its stream alone.
pub(super) fn ended(reason: &str) -> bool {
    !reason.contains("stream error")
}

/// Tells by the same whether the server wants to be asked over HTTP/1.1 (RFC 9113, section 7): it does so before it looks at a request.
pub(super) fn wants_http_1(reason: &str) -> bool {
    reason.contains("endpoint requires HTTP/1.1")
}

/// Says what to do where HTTP/2 found fault with the head of an answer, of which it doesn't say what it is.
pub(super) fn what_to_do_about_http_2(reason: &str) -> Option<String> {
    const CHECK: &str = "the head of the answer breaks the rules of HTTP/2, or is larger than some 400 KiB: see whether the server piles \
                         headers up, such as cookies, and look at the proxies between";
    reason.contains("stream error detected: unspecific protocol error").then(|| CHECK.to_owned())
}

/// Sorts an error of the network in a body: it is incomplete.
pub(super) fn torn(error: &hyper::Error) -> (TransportKind, String) {
    let text = chain(error);
    (if is_tls(&text) { TransportKind::Tls } else { TransportKind::TornBody }, text)
}

/// Tells whether HTTP/2 gave a connection up for a head that is larger than what is read by far.
fn is_head_of_http_2(text: &str) -> bool {
    text.contains("header_list_way_too_large") || text.contains("too_many_continuations")
}

fn is_tls(text: &str) -> bool {
    text.contains("invalid peer certificate") || text.contains("fatal alert")
}

/// Tells of the error of HTTP itself among the causes of an error whether it is of a kind.
fn of_http(error: &(dyn Error + 'static), is: fn(&hyper::Error) -> bool) -> bool {
    error.downcast_ref().is_some_and(is) || error.source().is_some_and(|cause| of_http(cause, is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_name_and_number() {
        for url in ["http://localhost:1/", "http://a.localhost/", "https://127.9.9.9/", "http://[::1]:3000/"] {
            assert!(is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "http://[fe80::1]/", "http://localhost.example.com/"] {
            assert!(!is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
