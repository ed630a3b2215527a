//! A server that fails on purpose: one page of a list, in one way, some times or always. It speaks plain sockets, so that it can
//! break an answer anywhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Rows of every list.
pub(crate) const ROWS: u64 = 7;

/// Rows of a page.
const SIZE: u64 = 3;

/// A way to page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Paging {
    None,
    Offset,
    Page,
    Cursor,
    NextLink,
    Seek,
}

impl Paging {
    pub(crate) const ALL: [Self; 6] = [Self::None, Self::Offset, Self::Page, Self::Cursor, Self::NextLink, Self::Seek];

    /// Returns how many pages a list has, an empty one at its end included.
    pub(crate) const fn pages(self) -> u64 {
        match self {
            Self::None => 1,
            Self::Offset | Self::Cursor | Self::NextLink => 3,
            Self::Page | Self::Seek => 4,
        }
    }

    /// Returns what a job says of it.
    pub(crate) const fn yaml(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Offset => "{offset: {into: query.offset, size: 3}, total: .total}",
            Self::Page => "{page: {into: query.page, size: 3}}",
            Self::Cursor => "{cursor: {into: query.cursor, value: .next}}",
            Self::NextLink => "{next_link: {url: .next}}",
            Self::Seek => "{seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 3}}",
        }
    }

    /// Reads which page a query asks for, from 1.
    fn asked(self, query: &HashMap<String, String>) -> u64 {
        let number = |name: &str, without: u64| query.get(name).map_or(without, |text| text.parse().unwrap());
        match self {
            Self::None => 1,
            Self::Offset => number("offset", 0).div_ceil(SIZE) + 1,
            Self::Page => number("page", 1),
            Self::Cursor => query.get("cursor").map_or(1, |text| text.trim_start_matches('c').parse().unwrap()),
            Self::NextLink => number("p", 1),
            Self::Seek => number("after", 0).div_ceil(SIZE) + 1,
        }
    }

    fn body(self, path: &str, page: u64) -> Value {
        let rows = |from: u64, to: u64| (from..=to.min(ROWS)).map(|id| json!({"id": id})).collect::<Vec<_>>();
        let items = if self == Self::None { rows(1, ROWS) } else { rows((page - 1) * SIZE + 1, page * SIZE) };
        let mut body = json!({ "items": items });
        let more = page < self.pages();
        match self {
            Self::Offset => body["total"] = ROWS.into(),
            Self::Cursor => body["next"] = if more { format!("c{}", page + 1).into() } else { Value::Null },
            Self::NextLink => body["next"] = if more { format!("{path}?p={}", page + 1).into() } else { Value::Null },
            _ => {}
        }
        body
    }
}

/// What happens instead of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The connection is reset before a byte is sent.
    Reset,
    /// The connection is closed before a byte is sent.
    Closed,
    /// A status, with or without `Retry-After: 0`.
    Status(u16, bool),
    /// Nothing is ever sent.
    Silence,
    /// The headers and half of the body, and then nothing, though the connection stands.
    Stall,
    /// The body comes a byte at a time, too slowly.
    Drip,
    /// The body ends before its announced length.
    TornLength,
    /// The last chunks are missing.
    TornChunks,
    /// The connection ends in the middle of a body with neither a length nor chunks.
    TornEnd,
    /// The page, and something after it.
    Garbage,
    /// A page for people.
    Html,
    /// A text that isn't UTF-8.
    Latin1,
    /// More than `max_response`.
    Oversized,
    /// Another document than was due.
    WrongShape,
    /// A list where an object was due, and so on.
    WrongType,
}

/// One list with its fault.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) paging: Paging,
    pub(crate) fault: Fault,
    /// The page that fails, from 1.
    pub(crate) page: u64,
    /// How often it fails.
    pub(crate) times: u64,
    /// How often each page was asked for.
    pub(crate) asked: HashMap<u64, u64>,
}

/// The server: lists by their paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faulty {
    cells: Arc<Mutex<HashMap<String, Cell>>>,
}

impl Faulty {
    pub(crate) fn add(&self, path: &str, cell: Cell) {
        self.cells.lock().unwrap().insert(path.to_owned(), cell);
    }

    /// Returns how often a page of a list was asked for.
    pub(crate) fn asked(&self, path: &str, page: u64) -> u64 {
        self.cells.lock().unwrap()[path].asked.get(&page).copied().unwrap_or_default()
    }

    /// Starts it, and returns its URL. It stops with the runtime.
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = server.clone();
                // A client that goes away is none of the server's business.
                tokio::spawn(async move { server.answer(socket).await.ok() });
            }
        });
        url
    }

    async fn answer(&self, mut socket: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 1024];
            let length = socket.read(&mut bytes).await?;
            if length == 0 {
                return Ok(());
            }
            head.extend_from_slice(&bytes[..length]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let (body, fault) = {
            let mut cells = self.cells.lock().unwrap();
            let cell = cells.get_mut(path).unwrap_or_else(|| panic!("no list at {path}"));
            let page = cell.paging.asked(&query);
            let asked = cell.asked.entry(page).or_default();
            *asked += 1;
            let fails = page == cell.page && *asked <= cell.times;
            (cell.paging.body(path, page).to_string(), fails.then_some(cell.fault))
        };
        match fault {
            None => send(&mut socket, 200, "", body.as_bytes()).await,
            Some(fault) => fail(socket, fault, &body).await,
        }
    }
}

async fn send(socket: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    socket.shutdown().await
}

async fn fail(mut socket: TcpStream, fault: Fault, body: &str) -> std::io::Result<()> {
    const LONG: Duration = Duration::from_secs(30);
    let half = &body.as_bytes()[..body.len() / 2];
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    match fault {
        Fault::Reset => return socket.set_zero_linger(),
        Fault::Closed => return Ok(()),
        Fault::Status(status, wish) => {
            let headers = if wish { "retry-after: 0\r\n" } else { "" };
            return send(&mut socket, status, headers, br#"{"error":"out of order"}"#).await;
        }
        Fault::Silence => tokio::time::sleep(LONG).await,
        Fault::Stall => {
            socket.write_all(&[announced.as_bytes(), half].concat()).await?;
            tokio::time::sleep(LONG).await;
        }
        Fault::Drip => {
            socket.write_all(announced.as_bytes()).await?;
            for byte in body.as_bytes() {
                socket.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Fault::TornLength => socket.write_all(&[announced.as_bytes(), half].concat()).await?,
        Fault::TornChunks => {
            let mut text = String::from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let _ = write!(text, "{:x}\r\n{}\r\n", half.len(), String::from_utf8_lossy(half));
            socket.write_all(text.as_bytes()).await?;
        }
        Fault::TornEnd => socket.write_all(&[b"HTTP/1.1 200 OK\r\n\r\n", half].concat()).await?,
        Fault::Garbage => return send(&mut socket, 200, "", format!("{body}\n<!-- cached -->").as_bytes()).await,
        Fault::Html => return send(&mut socket, 200, "", b"<!DOCTYPE html><title>Please log in</title>").await,
        Fault::Latin1 => return send(&mut socket, 200, "", b"{\"items\":[{\"id\":1,\"name\":\"K\xf6ln\"}]}").await,
        Fault::Oversized => return send(&mut socket, 200, "", " ".repeat(5000).as_bytes()).await,
        Fault::WrongShape => return send(&mut socket, 200, "", br#"{"result":"ok"}"#).await,
        Fault::WrongType => return send(&mut socket, 200, "", br#"{"items":{"id":1}}"#).await,
    }
    socket.shutdown().await
}
