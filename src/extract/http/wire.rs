//! Connections to a source's server, and requests over them.
//!
//! This is what `reqwest` is made of, put together anew: its body doesn't say how an HTTP/2 stream ended, and a stream that the server
//! resets without an error, before its end, passes for a whole answer there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tower_service::Service;
use url::Url;

use super::connect::{HttpOptions, said};
use super::error::{HttpError, TransportKind};
use super::route::Route;
use super::tls;
use crate::lang::spell;
use crate::secret::Secret;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(90);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What sends the requests of a source.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: Client<Connector, Full<Bytes>>,
    route: Route,
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
        let connector = Connector { reach, tls: Arc::new(config), limit: options.connect_timeout };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { client, route })
    }

    /// Sends a request, and returns its answer once the head is there.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, (TransportKind, String)> {
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
        self.client.request(request).await.map_err(|error| said(&error, error.is_connect()))
    }

    /// Returns what must not show of the credentials of proxies.
    pub(super) fn secrets(&self) -> &[Secret] {
        self.route.secrets()
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
        let made = HttpsConnector::from((self.reach.clone(), Arc::clone(&self.tls))).call(to);
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
                return Ok(Line { io: MaybeHttpsStream::Http(tcp.call(to).await?), speaks_to_proxy: false });
            };
            if to.scheme() != Some(&Scheme::HTTPS) {
                return Ok(Line { io: to_proxy.call(via.proxy).await?, speaks_to_proxy: true });
            }
            let tunnel = Tunnel::new(via.proxy, to_proxy);
            let mut tunnel = via.credential.into_iter().fold(tunnel, Tunnel::with_auth);
            Ok(Line { io: tunnel.call(to).await?, speaks_to_proxy: false })
        })
    }
}

/// A connection to a server, or to a proxy, that speaks no TLS with the server yet.
struct Line {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether it is the proxy that reads the requests: they name their server then.
    speaks_to_proxy: bool,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.speaks_to_proxy)
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
