//! A tiny HTTP/1.1 server for simulators: one request a connection, and an answer that ends when the connection does.
//!
//! Ready-made servers won't do. Real appliances send answers without `Content-Length` and without chunks, the same header several
//! times in their own order and spelling, or nothing at all; here an [`Appliance`] says every byte of the head itself.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::faults::{Fate, FaultInjector};

/// The longest request head that is read, in bytes: curl and reqwest send less than 1 KiB.
const MAX_HEAD: usize = 16 * 1024;
/// The most header lines of a request.
const MAX_HEADERS: usize = 64;
/// The longest request body that is read, in bytes: queries in JSON, never uploads.
const MAX_BODY: usize = 1024 * 1024;
/// The most connections open at once; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to send its request: a forgotten connection must not hold a place for ever.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent (not decoded).
    pub target: String,
    /// Header lines in order; bytes that aren't UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body, empty where there was no `Content-Length`.
    pub body: Vec<u8>,
    /// The client's address.
    pub peer: IpAddr,
    /// The port it connected to.
    pub port: u16,
}

impl Request {
    /// The path, not decoded.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The query without its question mark, not decoded; empty where there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first header called `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// How the end of an answer's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It isn't: the body ends when the connection closes.
    Close,
    /// By a `Content-Length` line, which the server adds.
    ContentLength,
}

/// An answer. The head is sent exactly as it stands here.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The words after it.
    pub reason: &'static str,
    /// Header lines, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How its end is told.
    pub framing: Framing,
}

/// What an appliance does with a request.
#[derive(Debug)]
pub enum Reply {
    /// Sends an answer.
    Answer(Response),
    /// Closes the connection without a byte.
    HangUp,
}

/// A simulated appliance: turns a request into a reply.
pub trait Appliance: Send + Sync + 'static {
    /// Answers `request`. Runs on a blocking thread, so it may compute.
    fn reply(&self, request: &Request) -> Reply;
}

/// How an appliance is served.
#[derive(Debug, Clone)]
pub struct Service {
    /// Requests answered at once; more wait for their turn.
    pub workers: Arc<Semaphore>,
    /// The least time that a request takes.
    pub latency: Duration,
    /// What goes wrong on purpose.
    pub faults: Arc<FaultInjector>,
}

/// Serves `appliance` on `listener` until `shutdown`, then closes every connection, answered or not.
pub async fn serve<A: Appliance>(
    appliance: Arc<A>,
    listener: TcpListener,
    service: Service,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(appliance.clone(), stream, peer.ip(), service.clone()));
                }
                // Out of file handles, most likely: some connection has to end first.
                Err(error) => {
                    tracing::warn!(%error, "a simulator could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Reads one request and answers it. A client that leaves early is no error of a simulator.
async fn converse<A: Appliance>(appliance: Arc<A>, mut stream: TcpStream, peer: IpAddr, service: Service) {
    let port = stream.local_addr().map_or(0, |address| address.port());
    let (reply, cut_body) = match tokio::time::timeout(READ_TIMEOUT, read_request(&mut stream, peer, port)).await {
        Ok(Ok(request)) => {
            let fate = service.faults.next();
            let cut_body = fate.cut_body;
            (decide(appliance, request, &service, fate).await, cut_body)
        }
        Ok(Err(Unread::Refused(status, reason))) => (Reply::Answer(plain(status, reason)), false),
        Ok(Err(Unread::Gone)) | Err(_) => return,
    };
    if let Reply::Answer(response) = reply {
        let sent = write_response(&mut stream, &response, cut_body).await;
        tracing::trace!(?sent, status = response.status, "a simulator answered");
    }
}

async fn decide<A: Appliance>(appliance: Arc<A>, request: Request, service: &Service, fate: Fate) -> Reply {
    let Ok(_worker) = service.workers.acquire().await else { return Reply::HangUp };
    let wait = service.latency + fate.delay;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    match fate.refusal {
        _ if fate.hang_up => Reply::HangUp,
        Some(refusal) => Reply::Answer(refusal),
        None => tokio::task::spawn_blocking(move || appliance.reply(&request)).await.unwrap_or(Reply::HangUp),
    }
}

/// Why there is no request to answer.
#[derive(Debug)]
enum Unread {
    /// The client left, or the connection broke.
    Gone,
    /// The request is not to be had: the status and words that say so.
    Refused(u16, &'static str),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

async fn read_request(stream: &mut TcpStream, peer: IpAddr, port: u16) -> Result<Request, Unread> {
    let mut buffer = Vec::with_capacity(1024);
    let (mut request, head) = loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Unread::Gone);
        }
        match parse_head(&buffer, peer, port)? {
            Some(parsed) => break parsed,
            None if buffer.len() > MAX_HEAD => return Err(Unread::Refused(431, "Request Header Fields Too Large")),
            None => {}
        }
    };
    let length = body_length(&request)?;
    buffer.drain(..head);
    while buffer.len() < length {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Unread::Gone);
        }
    }
    buffer.truncate(length);
    request.body = buffer;
    Ok(request)
}

/// Parses the head; `None` while it is incomplete, else the request and the length of its head.
fn parse_head(buffer: &[u8], peer: IpAddr, port: u16) -> Result<Option<(Request, usize)>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Unread::Refused(431, "Request Header Fields Too Large")),
        Err(_) => return Err(Unread::Refused(400, "Bad Request")),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
        body: Vec::new(),
        peer,
        port,
    };
    Ok(Some((request, head)))
}

fn body_length(request: &Request) -> Result<usize, Unread> {
    if request.header("transfer-encoding").is_some() {
        return Err(Unread::Refused(411, "Length Required"));
    }
    match request.header("content-length").map(str::parse) {
        None => Ok(0),
        Some(Ok(length)) if length <= MAX_BODY => Ok(length),
        Some(Ok(_)) => Err(Unread::Refused(413, "Request Entity Too Large")),
        Some(Err(_)) => Err(Unread::Refused(400, "Bad Request")),
    }
}

fn plain(status: u16, reason: &'static str) -> Response {
    Response { status, reason, headers: Vec::new(), body: Vec::new(), framing: Framing::Close }
}

/// Writes the answer and closes; with `cut_body` only the first half of the body, whatever the head promised.
async fn write_response(stream: &mut TcpStream, response: &Response, cut_body: bool) -> io::Result<()> {
    stream.write_all(&head_of(response)).await?;
    let end = if cut_body { response.body.len() / 2 } else { response.body.len() };
    stream.write_all(response.body.get(..end).unwrap_or_default()).await?;
    stream.shutdown().await
}

/// The head as it goes over the wire.
pub(super) fn head_of(response: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, response.reason);
    for (name, value) in &response.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if response.framing == Framing::ContentLength {
        head.extend(["Content-Length: ", &response.body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
