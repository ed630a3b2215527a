//! Connections that are kept, and are gone or no good when the next request goes by them.

use super::streams::{
    ACK, END_HEADERS, END_STREAM, End, HEADERS, NONE, RESET, SETTINGS, answer as answer_2, frame, read_frame,
};
use super::tls::acceptor;
use super::*;

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";

/// Answers the first request of each connection; at the second it says `last`, and closes it. Returns its URL, and counts connections.
async fn serve_once(last: &'static [u8]) -> (String, Arc<AtomicU32>) {
    let (listener, connections) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicU32::new(0)));
    let (url, count) = (format!("http://{}", listener.local_addr().unwrap()), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 4096];
                for said in [WHOLE, last] {
                    if !socket.read(&mut head).await.is_ok_and(|length| length > 0) {
                        return;
                    }
                    let _ = socket.write_all(said).await;
                }
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn a_kept_connection_that_is_gone_costs_no_try() {
    const IDLE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for last in [b"", IDLE] {
        let (url, connections) = serve_once(last).await;
        let exchange = exchange(options(1), &RuleTexts::default());
        for _ in 0..20 {
            let answer = exchange.send(&request(&url), Vec::new(), body).await.unwrap().answer;
            assert_eq!((answer.status, answer.attempts), (StatusCode::OK, 1));
        }
        assert!(connections.load(Ordering::SeqCst) >= 20);
        assert!(exchange.patience.sent.load(Ordering::SeqCst) > 20, "no connection was kept, so nothing is shown");
    }
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not_though_its_connection_is_gone() {
    let (url, _) = serve_once(b"").await;
    let patience = Patience { repeat: Repeat::Unheard, ..Patience::default() };
    let exchange = Exchange { patience, ..exchange(options(3), &RuleTexts::default()) };
    let mut failed = 0;
    for _ in 0..6 {
        if let Err(error) = exchange.send(&request(&url), Vec::new(), body).await {
            assert!(error.to_string().contains("the connection broke after 1 try"), "{error}");
            failed += 1;
        }
    }
    assert!(failed > 0 && exchange.patience.sent.load(Ordering::SeqCst) == 6, "{failed}");
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_a_failure() {
    let url = serve_bytes(b"").await;
    let exchange = exchange(options(2), &RuleTexts::default());
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err();
    assert!(error.to_string().contains("the connection broke after 2 tries"), "{error}");
    assert_eq!(exchange.patience.sent.load(Ordering::SeqCst), 2);
}

/// What a server says over HTTP/2 to a request of a connection, both counted from 1, in a stream; none for nothing, from then on.
type Says = fn(connection: u32, request: u32, stream: u32) -> Option<Vec<u8>>;

/// Starts a server. One that offers HTTP/1.1 as well answers each request by that.
async fn serve_2(protocols: &[&str], says: Says) -> (String, Arc<AtomicU32>) {
    let (acceptor, connections) = (acceptor(protocols, "server", false), Arc::new(AtomicU32::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, connection) = (acceptor.clone(), count.fetch_add(1, Ordering::SeqCst) + 1);
            tokio::spawn(async move {
                let mut socket = acceptor.accept(socket).await.ok()?;
                if socket.get_ref().1.alpn_protocol() != Some(b"h2") {
                    let mut head = [0; 4096];
                    while socket.read(&mut head).await.ok()? > 0 {
                        socket.write_all(WHOLE).await.ok()?;
                        socket.flush().await.ok()?;
                    }
                    return None;
                }
                socket.read_exact(&mut [0; 24]).await.ok()?;
                socket.write_all(&frame(SETTINGS, NONE, 0, &[])).await.ok()?;
                let mut request = 0;
                loop {
                    let said = match read_frame(&mut socket).await? {
                        (SETTINGS, NONE, _) => frame(SETTINGS, ACK, 0, &[]),
                        (HEADERS, _, stream) => {
                            request += 1;
                            match says(connection, request, stream) {
                                Some(said) => said,
                                // As where a router between has forgotten it: it stays open.
                                None => std::future::pending().await,
                            }
                        }
                        _ => continue,
                    };
                    socket.write_all(&said).await.ok()?;
                    socket.flush().await.ok()?;
                }
                #[expect(unreachable_code, reason = "it says what the block returns where the client is gone")]
                Some(())
            });
        }
    });
    (url, connections)
}

fn trusting(attempts: u32) -> HttpOptions {
    HttpOptions { ca_file: Some(super::tls::fixture("ca.pem")), ..options(attempts) }
}

/// The first connection answers once.
fn dies(connection: u32, request: u32, stream: u32) -> Option<Vec<u8>> {
    (connection > 1 || request == 1).then(|| answer_2(stream, None, b"[]", End::Stated))
}

#[tokio::test]
async fn a_timeout_over_http_2_is_followed_by_another_connection() {
    let (url, connections) = serve_2(&["h2"], dies).await;
    let client = client(HttpOptions { request_timeout: Duration::from_secs(1), ..trusting(5) });
    assert_eq!(fetch(&client, &url).await.unwrap().status, 200);
    let answer = fetch(&client, &url).await.unwrap();
    assert!(answer.attempts > 1 && connections.load(Ordering::SeqCst) > 1, "{answer:?}");
}

#[tokio::test]
async fn a_body_that_stalls_over_http_2_is_followed_by_another_connection() {
    fn stalls(connection: u32, _: u32, stream: u32) -> Option<Vec<u8>> {
        let whole = answer_2(stream, Some("2"), b"[]", End::Stated);
        Some(if connection > 1 { whole } else { whole[..whole.len() - 11].to_vec() })
    }
    let (url, connections) = serve_2(&["h2"], stalls).await;
    let client = client(HttpOptions { read_timeout: Duration::from_secs(1), ..trusting(5) });
    let answer = fetch(&client, &url).await.unwrap();
    assert!(answer.attempts > 1 && connections.load(Ordering::SeqCst) > 1, "{answer:?}");
}

#[tokio::test]
async fn a_dead_connection_is_found_out_by_a_ping_and_costs_no_try() {
    let (url, connections) = serve_2(&["h2"], dies).await;
    let client = client(HttpOptions { ping: Duration::from_secs(3), ..trusting(1) });
    for _ in 0..2 {
        let answer = fetch(&client, &url).await.unwrap();
        assert_eq!((answer.status, answer.attempts), (StatusCode::OK, 1));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn who_wants_http_1_is_asked_so_from_then_on() {
    const HTTP_1_1_REQUIRED: u8 = 13;
    let reset: Says = |_, _, stream| Some(frame(RESET, NONE, stream, &[0, 0, 0, HTTP_1_1_REQUIRED]));
    let (url, connections) = serve_2(&["h2", "http/1.1"], reset).await;
    let client = client(trusting(1));
    for _ in 0..3 {
        let answer = fetch(&client, &url).await.unwrap();
        assert_eq!((&answer.body[..], answer.attempts), (&b"[]"[..], 1));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2, "one of each, and both are kept");
    let (url, _) = serve_2(&["h2"], reset).await;
    let error = fetch(&super::client(trusting(1)), &url).await.unwrap_err();
    assert!(matches!(transport(error), (TransportKind::Broken | TransportKind::Connect | TransportKind::Tls, 1)));
}

#[tokio::test]
async fn a_misdirected_request_goes_by_another_connection() {
    fn misdirects(connection: u32, _: u32, stream: u32) -> Option<Vec<u8>> {
        let head = if connection > 1 { vec![0x88] } else { [&[0x08, 3][..], b"421"].concat() };
        Some(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head))
    }
    let (url, connections) = serve_2(&["h2"], misdirects).await;
    let answer = fetch(&client(trusting(2)), &url).await.unwrap();
    assert_eq!((answer.status, answer.attempts, connections.load(Ordering::SeqCst)), (StatusCode::OK, 2, 2));
}

#[tokio::test]
async fn a_refused_credential_is_one_though_its_stream_is_reset() {
    let reset: Says = |_, _, stream| {
        let head = [&[0x08, 3][..], b"401"].concat();
        Some([frame(HEADERS, END_HEADERS, stream, &head), frame(RESET, NONE, stream, &[0; 4])].concat())
    };
    let (url, _) = serve_2(&["h2"], reset).await;
    let exchange = exchange(trusting(4), &RuleTexts::default());
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Refused(_)), "{error}");
    assert!(error.to_string().contains("GET /list: status 401 after 1 try"), "{error}");
    assert_eq!(exchange.patience.sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_head_may_be_as_large_over_http_2_as_over_http_1() {
    fn heads(headers: usize) -> Says {
        match headers {
            5 => |_, _, stream| Some(head(stream, 5)),
            _ => |_, _, stream| Some(head(stream, 200)),
        }
    }
    fn head(stream: u32, headers: usize) -> Vec<u8> {
        const CONTINUATION: u8 = 9;
        // `:status: 200`, and literals of 4,000 bytes each (RFC 7541, sections 5.1 and 6.2.2): 4000 is 127 + 33 + 30 * 128.
        let one = [&[0, 1, b'x', 127, 0xa1, 30][..], &vec![b'a'; 4000]].concat();
        let block = [&[0x88][..], &one.repeat(headers)].concat();
        let mut pieces: Vec<Vec<u8>> = block.chunks(16_000).map(<[u8]>::to_vec).collect();
        let last = pieces.len() - 1;
        let frames = pieces.drain(..).enumerate().map(|(at, piece)| {
            let (kind, ends) =
                (if at == 0 { HEADERS } else { CONTINUATION }, if at == last { END_HEADERS } else { NONE });
            frame(kind, ends | if at == 0 { END_STREAM } else { NONE }, stream, &piece)
        });
        frames.collect::<Vec<_>>().concat()
    }
    let (url, _) = serve_2(&["h2"], heads(5)).await;
    let answer = fetch(&client(trusting(1)), &url).await.unwrap();
    assert_eq!((answer.status, answer.headers["x"].as_str().unwrap().len()), (StatusCode::OK, 5 * 4000 + 4 * 2));
    let (url, _) = serve_2(&["h2"], heads(200)).await;
    let error = fetch(&client(trusting(1)), &url).await.unwrap_err();
    assert!(error.to_string().contains("400 KiB"), "{error}");
}
