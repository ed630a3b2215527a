//! A server that fails on purpose: one page of a list, in one way, some times or always. It speaks plain sockets, so that it can
//! break an answer anywhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
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
            Self::Offset => "{offset: {into: query.offset, size: 3}, total: .total, max_pages: 20}",
            Self::Page => "{page: {into: query.page, size: 3}, max_pages: 20}",
            Self::Cursor => "{cursor: {into: query.cursor, value: .next}, max_pages: 20}",
            Self::NextLink => "{next_link: {url: .next}, max_pages: 20}",
            Self::Seek => {
                "{seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 3}, max_pages: 20}"
            }
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
}

/// What happens instead of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is reset before a byte is sent.
    Reset,
    /// The connection is closed before a byte is sent.
    Closed,
    /// A status, and a line of the headers.
    Status(u16, &'static str),
    /// A redirect to another server.
    Redirect,
    /// An answer with status 200 that says that the server is busy.
    Busy,
    /// Nothing is ever sent.
    Silence,
    /// The headers and half of the body, and then nothing, though the connection stands.
    Stall,
    /// The body comes a byte at a time, too slowly.
    Drip,
    /// The page comes after more time than a slice has.
    Slow,
    /// The body ends before its announced length.
    TornLength,
    /// The last chunks are missing.
    TornChunks,
    /// The connection ends in the middle of a body with neither a length nor chunks.
    TornEnd,
    /// A compressed body that is half of one, though its length is what was announced.
    TornGzip,
    /// The page, and something after it.
    Garbage,
    /// A page for people.
    Html,
    /// A text that isn't UTF-8.
    Latin1,
    /// More than `max_response`.
    Oversized,
    /// A thousand times more than `max_response`, compressed to less.
    Bomb,
    /// Another document than was due.
    WrongShape,
    /// A list where an object was due, and so on.
    WrongType,
    /// An empty list in place of the answer.
    EmptyList,
    /// A message in place of the rows.
    Message,
    /// The page, with a field that nests too deep.
    Deep,
    /// The page, with the list of its rows twice.
    Twice,
    /// A number that JSON hasn't.
    Nan,
    /// More rows than a slice may have.
    Flood,
    /// More bytes than a slice may have.
    Bulk,
    /// From here on each page is full, without end.
    Endless,
    /// From here on the page before comes for every other one.
    Stuck,
    /// As [`Fault::Stuck`], and its rows say which answer they came with.
    Stamped,
    /// The link to the next page leads to this one, written in another way.
    Repeats,
    /// What is given to move on by was given before.
    Circle,
    /// The link to the next page leads to another server.
    Foreign,
    /// The session has ended.
    Expired,
    /// The credential is refused.
    Refused,
    /// The connection was kept, and is closed as the request for the page comes by it: one that comes by a new one is answered.
    Stale,
    /// The credential is refused by an answer whose body is cut off.
    RefusedTorn,
}

/// What a list wants of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    /// A token that is known from the start.
    Token(String),
    /// The token of the last login.
    Session,
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
    pub(crate) wants: Wants,
    /// How often each page was asked for.
    pub(crate) asked: HashMap<u64, u64>,
    /// Logins so far.
    pub(crate) logins: u64,
}

impl Cell {
    /// Tells whether a request has what the list wants.
    fn lets_in(&self, given: Option<&str>) -> bool {
        match &self.wants {
            Wants::Nothing => true,
            Wants::Token(token) => given == Some(&format!("Bearer {token}")),
            Wants::Session => given == Some(&format!("Bearer s{}", self.logins)),
        }
    }

    /// Returns a page as its fault leaves it, where that is a page.
    fn body(&self, path: &str, page: u64, elsewhere: &str) -> Value {
        let at = page == self.page;
        let from_here = page >= self.page;
        let endless = from_here && self.fault == Fault::Endless;
        let stamped = from_here && self.fault == Fault::Stamped;
        let stuck = stamped || (from_here && self.fault == Fault::Stuck);
        let shown = if stuck { self.page.saturating_sub(1).max(1) } else { page };
        let most = if endless { u64::MAX } else { ROWS };
        let row = |id: u64| if stamped { json!({"id": id, "made": page}) } else { json!({"id": id}) };
        let rows = |from: u64, to: u64| (from..=to.min(most)).map(row).collect::<Vec<_>>();
        let items = match self.paging {
            _ if at && self.fault == Fault::Flood => rows(1, ROWS).into_iter().cycle().take(150).collect(),
            Paging::None => rows(1, ROWS),
            _ => rows((shown - 1) * SIZE + 1, shown * SIZE),
        };
        let mut body = json!({ "items": items });
        let next = match self.fault {
            Fault::Circle if at => Some(page.saturating_sub(1).max(1)),
            _ => (endless || stuck || page < self.paging.pages()).then_some(page + 1),
        };
        let link = |page: u64| match self.fault {
            Fault::Repeats if at && page == 2 => path.to_owned(),
            Fault::Repeats if at => format!("?p={}", self.page),
            Fault::Foreign if at => format!("{elsewhere}{path}?p={page}"),
            _ => format!("{path}?p={page}"),
        };
        match self.paging {
            Paging::Offset => body["total"] = ROWS.into(),
            Paging::Cursor => body["next"] = next.map(|page| format!("c{page}")).into(),
            // The last page leads on as well, where its link is what is wrong.
            Paging::NextLink if matches!(self.fault, Fault::Repeats | Fault::Foreign) && at => {
                body["next"] = link(page + 1).into();
            }
            Paging::NextLink => body["next"] = next.map(link).into(),
            _ => {}
        }
        match self.fault {
            Fault::Bulk if at => body["more"] = " ".repeat(3500).into(),
            Fault::Deep if at => body["deep"] = (0..200).fold(Value::Null, |inner, _| json!([inner])),
            _ => {}
        }
        body
    }
}

/// The server: lists by their paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faulty {
    cells: Arc<Mutex<HashMap<String, Cell>>>,
    /// Where another server is.
    elsewhere: String,
    /// How many connections that one has had.
    strayed: Arc<AtomicU64>,
}

impl Faulty {
    pub(crate) fn add(&self, path: &str, cell: Cell) {
        self.cells.lock().unwrap().insert(path.to_owned(), cell);
    }

    /// Returns what became of a list.
    pub(crate) fn cell(&self, path: &str) -> Cell {
        self.cells.lock().unwrap()[path].clone()
    }

    /// Returns how many connections went to another server.
    pub(crate) fn strayed(&self) -> u64 {
        self.strayed.load(Ordering::SeqCst)
    }

    /// Starts it, and the other server. Returns it and its URL. It stops with the runtime.
    pub(crate) async fn start() -> (Self, String) {
        let (listener, other) = (bound().await, bound().await);
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { elsewhere: format!("http://{}", other.local_addr().unwrap()), ..Self::default() };
        let strayed = Arc::clone(&server.strayed);
        tokio::spawn(async move {
            while other.accept().await.is_ok() {
                strayed.fetch_add(1, Ordering::SeqCst);
            }
        });
        let this = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = this.clone();
                // A client that goes away is none of the server's business.
                tokio::spawn(async move { server.answer(socket).await.ok() });
            }
        });
        (server, url)
    }

    /// Answers the requests of a connection, of which most have one.
    async fn answer(&self, mut socket: TcpStream) -> std::io::Result<()> {
        let mut is_kept = false;
        while self.answer_one(&mut socket, is_kept).await? {
            is_kept = true;
        }
        Ok(())
    }

    /// Answers a request, and tells whether the connection is kept.
    async fn answer_one(&self, socket: &mut TcpStream, is_kept: bool) -> std::io::Result<bool> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 1024];
            let length = socket.read(&mut bytes).await?;
            if length == 0 {
                return Ok(false);
            }
            head.extend_from_slice(&bytes[..length]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(list) = path.strip_suffix("/login") {
            let login = self.login(list);
            send(socket, 200, "", format!("{{\"token\":\"s{login}\"}}").as_bytes()).await?;
            return Ok(false);
        }
        let given = head.lines().find_map(|line| line.strip_prefix("authorization: "));
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let Some((body, fault)) = self.judge(path, &query, given) else {
            send(socket, 401, "", br#"{"error":"who are you?"}"#).await?;
            return Ok(false);
        };
        match fault {
            Some(Fault::Stale) if is_kept => return Ok(false),
            None | Some(Fault::Stale) if self.cell(path).fault == Fault::Stale => {
                let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
                return Ok(true);
            }
            None => send(socket, 200, "", body.as_bytes()).await?,
            Some(Fault::Redirect) => {
                send(socket, 302, &format!("location: {}{path}\r\n", self.elsewhere), b"").await?;
            }
            Some(fault) => fail(socket, fault, &body).await?,
        }
        Ok(false)
    }

    /// Begins a session, and ends the one before.
    fn login(&self, list: &str) -> u64 {
        let mut cells = self.cells.lock().unwrap();
        let cell = cells.get_mut(list).unwrap_or_else(|| panic!("no list at {list}"));
        cell.logins += 1;
        cell.logins
    }

    /// Returns the page that is asked for, and how it fails; none where the request isn't let in.
    fn judge(
        &self,
        path: &str,
        query: &HashMap<String, String>,
        given: Option<&str>,
    ) -> Option<(String, Option<Fault>)> {
        let mut cells = self.cells.lock().unwrap();
        let cell = cells.get_mut(path).unwrap_or_else(|| panic!("no list at {path}"));
        let page = cell.paging.asked(query);
        let asked = cell.asked.entry(page).or_default();
        *asked += 1;
        let fails = page == cell.page && *asked <= cell.times;
        let refused = fails && matches!(cell.fault, Fault::Expired | Fault::Refused);
        let body = cell.body(path, page, &self.elsewhere);
        (cell.lets_in(given) && !refused).then(|| (body.to_string(), fails.then_some(cell.fault)))
    }
}

async fn bound() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn send(socket: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    socket.shutdown().await
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

async fn fail(socket: &mut TcpStream, fault: Fault, body: &str) -> std::io::Result<()> {
    const LONG: Duration = Duration::from_secs(30);
    const GZIP: &str = "content-encoding: gzip\r\n";
    let half = &body.as_bytes()[..body.len() / 2];
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    match fault {
        Fault::Reset => return socket.set_zero_linger(),
        Fault::Closed => return Ok(()),
        Fault::Status(304, header) => return send(socket, 304, header, b"").await,
        Fault::Status(status, header) => {
            return send(socket, status, header, br#"{"error":"out of order"}"#).await;
        }
        Fault::Busy => return send(socket, 200, "", br#"{"busy":true}"#).await,
        Fault::Silence => tokio::time::sleep(LONG).await,
        Fault::Stall => {
            socket.write_all(&[announced.as_bytes(), half].concat()).await?;
            tokio::time::sleep(LONG).await;
        }
        Fault::Drip => {
            socket.write_all(announced.as_bytes()).await?;
            for byte in body.as_bytes() {
                socket.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Fault::Slow => {
            tokio::time::sleep(Duration::from_millis(1100)).await;
            return send(socket, 200, "", body.as_bytes()).await;
        }
        Fault::TornLength => socket.write_all(&[announced.as_bytes(), half].concat()).await?,
        Fault::TornChunks => {
            let mut text = String::from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let _ = write!(text, "{:x}\r\n{}\r\n", half.len(), String::from_utf8_lossy(half));
            socket.write_all(text.as_bytes()).await?;
        }
        Fault::RefusedTorn => {
            socket.write_all(b"HTTP/1.1 401 X\r\ncontent-length: 100\r\n\r\n{\"error\":\"who are you?\"}").await?;
        }
        Fault::TornEnd => socket.write_all(&[b"HTTP/1.1 200 OK\r\n\r\n", half].concat()).await?,
        Fault::TornGzip => {
            let whole = gzip(body.as_bytes());
            return send(socket, 200, GZIP, &whole[..whole.len() / 2]).await;
        }
        Fault::Bomb => return send(socket, 200, GZIP, &gzip(&vec![b' '; 1 << 21])).await,
        Fault::Garbage => return send(socket, 200, "", format!("{body}\n<!-- cached -->").as_bytes()).await,
        Fault::Html => return send(socket, 200, "", b"<!DOCTYPE html><title>Please log in</title>").await,
        Fault::Latin1 => return send(socket, 200, "", b"{\"items\":[{\"id\":1,\"name\":\"K\xf6ln\"}]}").await,
        Fault::Oversized => return send(socket, 200, "", " ".repeat(5000).as_bytes()).await,
        Fault::WrongShape => return send(socket, 200, "", br#"{"result":"ok"}"#).await,
        Fault::WrongType => return send(socket, 200, "", br#"{"items":{"id":1}}"#).await,
        Fault::EmptyList => return send(socket, 200, "", b"[]").await,
        Fault::Message => return send(socket, 200, "", br#"{"items":[{"error":"busy"}]}"#).await,
        Fault::Twice => {
            return send(socket, 200, "", body.replacen('{', r#"{"items":[],"#, 1).as_bytes()).await;
        }
        Fault::Nan => return send(socket, 200, "", br#"{"items":[{"id":NaN}]}"#).await,
        // What is wrong is in the page itself.
        Fault::Deep
        | Fault::Flood
        | Fault::Bulk
        | Fault::Endless
        | Fault::Stuck
        | Fault::Stamped
        | Fault::Repeats
        | Fault::Circle
        | Fault::Foreign => return send(socket, 200, "", body.as_bytes()).await,
        Fault::Redirect | Fault::Expired | Fault::Refused | Fault::Stale => unreachable!("it was answered"),
    }
    socket.shutdown().await
}
