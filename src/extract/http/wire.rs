//! Connections to a source's server, and requests over them.
//!
//! This is what `reqwest` is made of, put together anew: its body doesn't say how an HTTP/2 stream ended, and a stream that the server
//! resets without an error, before its end, passes for a whole answer there.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection, HttpConnector, capture_connection,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tower_service::Service;
use url::Url;

use super::connect::{HttpOptions, said};
use super::error::{HttpError, TransportKind};
use super::route::Route;
use super::tls;
use crate::extract::auth::CredentialId;
use crate::lang::spell;
use crate::secret::Secret;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(90);

/// Bytes of an answer's head over HTTP/2, the same as hyper has them for HTTP/1.
const HEAD: u32 = 8192 + 4096 * 100;

/// Why there is no answer.
type Failure = (TransportKind, String);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What sends the requests of a source.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: Client<Connector, Full<Bytes>>,
    route: Route,
    only_http_1: OnlyHttp1,
}

/// The hosts that want to be asked over HTTP/1.1, with their ports.
type OnlyHttp1 = Arc<Mutex<HashSet<Authority>>>;

/// The connection that a request goes by, once it has one.
#[derive(Debug)]
pub(super) struct Held {
    connection: CaptureConnection,
    to: Option<Authority>,
}

/// Whether an answer has come by a connection.
#[derive(Debug, Clone, Default)]
struct Used(Arc<AtomicBool>);

impl Held {
    /// Tells whether an answer has come by it.
    pub(super) fn was_used(&self) -> bool {
        self.used().is_some_and(|used| used.0.load(Ordering::Relaxed))
    }

    /// Notes that an answer has come by it.
    pub(super) fn note_use(&self) {
        if let Some(used) = self.used() {
            used.0.store(true, Ordering::Relaxed);
        }
    }

    /// No further request goes by it.
    pub(super) fn retire(&self) {
        self.connection.connection_metadata().iter().for_each(Connected::poison);
    }

    fn used(&self) -> Option<Used> {
        let mut extras = Extensions::new();
        self.connection.connection_metadata().as_ref()?.get_extras(&mut extras);
        extras.remove()
    }
}

impl Wire {
    /// Fails where a file of `tls` can't be used.
    pub(super) fn new(options: &HttpOptions) -> Result<Self, HttpError> {
        let config = tls::config(options)?;
        let mut with_proxy = config.clone();
        // What is said to a proxy is said in HTTP/1.1.
        with_proxy.alpn_protocols.clear();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let route = Route::of(options);
        let reach = Reach { route: route.clone(), to_proxy: HttpsConnector::from((tcp.clone(), with_proxy)), tcp };
        let mut http_1 = config.clone();
        http_1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (only_http_1, limit) = (OnlyHttp1::default(), options.connect_timeout);
        let [tls, http_1] = [config, http_1].map(Arc::new);
        let connector = Connector { reach, tls, http_1, only_http_1: Arc::clone(&only_http_1), limit };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            // Old servers write so, and what it means is clear.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http2_keep_alive_interval(options.ping)
            .http2_keep_alive_timeout(options.ping)
            .http2_max_header_list_size(HEAD)
            .build(connector);
        Ok(Self { client, route, only_http_1 })
    }

    /// Returns what sends a request, and comes to its answer once the head is there; and the connection that it goes by.
    #[expect(clippy::type_complexity, reason = "it is a pair, and each of its halves is used at once")]
    pub(super) fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(Held, impl Future<Output = Result<Response<Incoming>, Failure>> + use<>), Failure> {
        let unsendable = |error: http::Error| (TransportKind::Unsendable, error.to_string());
        let to: Uri = url.as_str().parse().map_err(|error: http::uri::InvalidUri| unsendable(error.into()))?;
        let mut request = Request::builder().method(method).uri(to).body(Full::new(body)).map_err(unsendable)?;
        let via = self.route.via(request.uri()).filter(|_| request.uri().scheme() == Some(&Scheme::HTTP));
        *request.headers_mut() = headers;
        let defaults = [
            (USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION"))),
            (ACCEPT, "*/*"),
            // These are undone by `unpack`.
            (ACCEPT_ENCODING, "zstd,gzip,deflate,br"),
        ];
        for (name, value) in defaults {
            request.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        // A tunnel's proxy got it when the tunnel was made.
        if let Some(credential) = via.and_then(|via| via.credential) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credential);
        }
        let held = Held { connection: capture_connection(&mut request), to: request.uri().authority().cloned() };
        let answer = self.client.request(request);
        Ok((held, async { answer.await.map_err(|error| said(&error, error.is_connect())) }))
    }

    /// Asks the server at the end of a connection over HTTP/1.1 from now on.
    pub(super) fn speak_http_1(&self, held: &Held) {
        self.only_http_1.lock().unwrap_or_else(PoisonError::into_inner).extend(held.to.clone());
        held.retire();
    }

    /// Returns what must not show of the credentials of proxies.
    pub(super) fn secrets(&self) -> &[Secret] {
        self.route.secrets()
    }

    /// Returns the credential that the proxy for `url` is given.
    pub(super) fn proxy_credential(&self, url: &Url) -> Option<CredentialId> {
        self.route.credential_for(url).map(|(_, id)| id)
    }

    /// Says why `url` can't be asked by the proxy that the environment names.
    pub(super) fn unusable_proxy(&self, url: &Url) -> Option<String> {
        self.route.unusable(url)
    }

    /// Says by which proxy `url` is asked; none where it is asked directly.
    pub(super) fn proxy_of(&self, url: &Url) -> Option<String> {
        self.route.shown(url)
    }
}

/// Makes connections, each within the time that it may take.
#[derive(Debug, Clone)]
struct Connector {
    reach: Reach,
    tls: Arc<ClientConfig>,
    /// The same, but that HTTP/2 isn't offered.
    http_1: Arc<ClientConfig>,
    only_http_1: OnlyHttp1,
    limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Line>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let only_http_1 = self.only_http_1.lock().unwrap_or_else(PoisonError::into_inner);
        let is_one = to.authority().is_some_and(|to| only_http_1.contains(to));
        drop(only_http_1);
        let tls = if is_one { &self.http_1 } else { &self.tls };
        let made = HttpsConnector::from((self.reach.clone(), Arc::clone(tls))).call(to);
        let limit = self.limit;
        Box::pin(async move {
            let late = |_| format!("it wasn't made within {}", spell(limit));
            tokio::time::timeout(limit, made).await.map_err(late)?
        })
    }
}

/// Reaches a server, or the proxy before it.
#[derive(Debug, Clone)]
struct Reach {
    route: Route,
    tcp: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
}

impl Service<Uri> for Reach {
    type Response = Line;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Line, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Self { route, mut tcp, mut to_proxy } = self.clone();
        Box::pin(async move {
            let Some(via) = route.via(&to) else {
                return Ok(Line::new(MaybeHttpsStream::Http(tcp.call(to).await?), false));
            };
            if to.scheme() != Some(&Scheme::HTTPS) {
                return Ok(Line::new(to_proxy.call(via.proxy).await?, true));
            }
            let tunnel = Tunnel::new(via.proxy, to_proxy);
            let mut tunnel = via.credential.into_iter().fold(tunnel, Tunnel::with_auth);
            Ok(Line::new(tunnel.call(to).await?, false))
        })
    }
}

/// A connection to a server, or to a proxy, that speaks no TLS with the server yet.
struct Line {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether it is the proxy that reads the requests: they name their server then.
    speaks_to_proxy: bool,
    used: Used,
}

impl Line {
    fn new(io: MaybeHttpsStream<TokioIo<TcpStream>>, speaks_to_proxy: bool) -> Self {
        Self { io, speaks_to_proxy, used: Used::default() }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.speaks_to_proxy).extra(self.used.clone())
    }
}

impl Read for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl Write for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, std::io::Error>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize, std::io::Error>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }
}
