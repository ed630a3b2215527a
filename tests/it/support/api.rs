//! An HTTP API with scripted answers, on a thread and a runtime of its own, and a log of what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET`, `POST` ...
    pub(crate) method: String,
    /// The path, without the query.
    pub(crate) path: String,
    /// The query parameters, decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// The headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: String,
}

impl Request {
    /// Returns a query parameter as a number; 0 where it isn't one.
    pub(crate) fn number(&self, name: &str) -> usize {
        self.query.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Returns the fields of a form.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    end: End,
    delay: Duration,
    gate: Option<Arc<AtomicBool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// The connection breaks after the body, which isn't all that was announced.
    Torn,
    /// No answer ever comes.
    Never,
}

impl Answer {
    /// Answers with JSON, status 200.
    pub(crate) fn json(body: &Value) -> Self {
        Self::bytes(body.to_string())
    }

    /// Answers with any body, as JSON, status 200.
    pub(crate) fn bytes(body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        Self { status: 200, headers, body: body.into(), end: End::Whole, delay: Duration::ZERO, gate: None }
    }

    /// Answers with a page of HTML, status 200.
    pub(crate) fn page(html: &str) -> Self {
        let headers = vec![("content-type".to_owned(), b"text/html; charset=utf-8".to_vec())];
        Self { headers, ..Self::bytes(html) }
    }

    /// Never answers.
    pub(crate) fn never() -> Self {
        Self { end: End::Never, ..Self::bytes("") }
    }

    /// Sets the status.
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Puts another body into it.
    pub(crate) fn with(self, body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..self }
    }

    /// Takes its time.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Comes once the gate is open.
    pub(crate) fn once(self, gate: Option<Arc<AtomicBool>>) -> Self {
        Self { gate, ..self }
    }

    /// Breaks the connection after the body. With a `content-length` it is too short, without one its last chunk is missing.
    pub(crate) fn torn(self) -> Self {
        Self { end: End::Torn, ..self }
    }

    async fn response(self) -> Response<Body> {
        if self.end == End::Never {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.delay).await;
        while self.gate.as_ref().is_some_and(|gate| !gate.load(Ordering::SeqCst)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut builder = Response::builder().status(self.status);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        let body = Bytes::from(self.body);
        if self.end == End::Whole {
            return builder.body(Body::from(body)).unwrap();
        }
        // Hyper sends what it has when the body makes it wait; else the connection would break before the head is sent.
        let broken = async {
            tokio::task::yield_now().await;
            Err(std::io::Error::other("the connection breaks"))
        };
        let torn = futures::stream::iter([Ok(body)]).chain(futures::stream::once(broken));
        builder.body(Body::from_stream(torn)).unwrap()
    }
}

/// A running server. It stops when dropped.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    at_once: Arc<AtOnce>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// Starts a server that answers by `script`.
    pub(crate) fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (started, start) = std::sync::mpsc::channel();
        let at_once = Arc::new(AtOnce::default());
        let (noted, counted) = (Arc::clone(&log), Arc::clone(&at_once));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                let served = axum::serve(listener, router(Arc::new(script), noted, counted));
                tokio::select! {
                    _ = served => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: start.recv().unwrap(), log, at_once, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts a server that gives one answer to everything.
    pub(crate) fn always(answer: Answer) -> Self {
        Self::start(move |_| answer.clone())
    }

    /// Returns its URL, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Returns the most requests that waited for their answers at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.at_once.most.load(Ordering::SeqCst)
    }

    /// Returns the values of one query parameter, request by request; `-` where it isn't there.
    pub(crate) fn asked_for(&self, parameter: &str) -> Vec<String> {
        let value = |request: &Request| request.query.get(parameter).cloned().unwrap_or_else(|| "-".to_owned());
        self.asked().iter().map(value).collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// Requests that wait for their answers.
#[derive(Debug, Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl AtOnce {
    fn enter(self: &Arc<Self>) -> Waiting {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Waiting(Arc::clone(self))
    }
}

/// One of them, also where the client goes away.
struct Waiting(Arc<AtOnce>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn router(script: Arc<Script>, log: Arc<Mutex<Vec<Request>>>, at_once: Arc<AtOnce>) -> Router {
    Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let (script, log, at_once) = (Arc::clone(&script), Arc::clone(&log), Arc::clone(&at_once));
        async move {
            let _waiting = at_once.enter();
            let request = {
                let mut log = log.lock().unwrap();
                let request = Request {
                    method: method.to_string(),
                    path: uri.path().to_owned(),
                    query: url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                        .into_owned()
                        .collect(),
                    headers: headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
                    body: text(&body),
                };
                log.push(request.clone());
                request
            };
            Ok::<_, Infallible>(script(&request).response().await)
        }
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
