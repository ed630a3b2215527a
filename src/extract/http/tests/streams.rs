//! Streams of HTTP/2 that end, or don't. The server writes its frames by hand (RFC 9113, section 6).

use tokio_rustls::TlsAcceptor;

use super::tls::acceptor;
use super::*;

/// What a server does to a stream after the body.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Says that it ends.
    Stated,
    /// Says that it ends in trailers, behind the body.
    Trailers,
    /// Resets it, with a code.
    Reset(u8),
    /// Says that it ends, and resets it then, as servers do that don't want the rest of a request.
    StatedThenReset(u8),
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;

pub(super) const NONE: u8 = 0;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Writes an answer, with or without its length.
pub(super) fn answer(stream: u32, length: Option<&str>, body: &[u8], end: End) -> Vec<u8> {
    // `:status: 200` and `content-length` stand in the static table (RFC 7541, appendix A).
    let mut head = vec![0x88];
    if let Some(length) = length {
        head.extend([0x0f, 0x0d, u8::try_from(length.len()).unwrap()]);
        head.extend(length.as_bytes());
    }
    let reset = |code| frame(RESET, NONE, stream, &[0, 0, 0, code]);
    let flags = if matches!(end, End::Stated | End::StatedThenReset(_)) { END_STREAM } else { NONE };
    let after = match end {
        End::Stated => Vec::new(),
        // `x: y`
        End::Trailers => frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0, 1, b'x', 1, b'y']),
        End::Reset(code) | End::StatedThenReset(code) => reset(code),
    };
    [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, flags, stream, body), after].concat()
}

/// Reads one frame: its kind, its flags and its stream.
pub(super) async fn read_frame(socket: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<(u8, u8, u32)> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
    socket.read_exact(&mut payload).await.ok()?;
    Some((kind, flags, u32::from_be_bytes(stream)))
}

/// Answers each request with the next of some answers, and all further ones with the last.
async fn serve(answers: &'static [(Option<&str>, &str, End)]) -> String {
    let acceptor: TlsAcceptor = acceptor(&["h2"], "server", false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let turn = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, turn) = (acceptor.clone(), Arc::clone(&turn));
            tokio::spawn(async move {
                let mut socket = acceptor.accept(socket).await.ok()?;
                let mut preface = [0; 24];
                socket.read_exact(&mut preface).await.ok()?;
                socket.write_all(&frame(SETTINGS, NONE, 0, &[])).await.ok()?;
                loop {
                    let said = match read_frame(&mut socket).await? {
                        (SETTINGS, NONE, _) => frame(SETTINGS, ACK, 0, &[]),
                        (HEADERS, _, stream) => {
                            let turn = turn.fetch_add(1, Ordering::SeqCst) as usize;
                            let (length, body, end) = answers[turn.min(answers.len() - 1)];
                            answer(stream, length, body.as_bytes(), end)
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
    url
}

async fn ask(format: AnswerFormat, url: &str, attempts: u32) -> Result<RawAnswer, HttpError> {
    let options = HttpOptions { ca_file: Some(super::tls::fixture("ca.pem")), ..options(attempts) };
    fetch_as(format, &client(options), url).await
}

#[tokio::test]
async fn a_stream_that_is_reset_before_its_end_is_torn_whatever_the_code() {
    let lines = "{\"id\":1}\n";
    for (format, answers) in [
        (AnswerFormat::JsonLines, &[(None, "{\"id\":1}\n", End::Reset(0))]),
        (AnswerFormat::JsonLines, &[(Some("18"), "{\"id\":1}\n", End::Reset(0))]),
        (AnswerFormat::JsonLines, &[(None, "{\"id\":1}\n", End::Reset(2))]),
        (AnswerFormat::JsonLines, &[(None, "{\"id\":1}\n", End::Reset(8))]),
        (AnswerFormat::Json, &[(None, "[{\"id\":1}", End::Reset(0))]),
        (AnswerFormat::Json, &[(None, "[]", End::Reset(0))]),
    ] as [(_, &'static [_]); 6]
    {
        let error = ask(format, &serve(answers).await, 2).await.unwrap_err();
        assert_eq!(transport(error), (TransportKind::TornBody, 2), "{answers:?}");
    }
    let url = serve(&[(None, "{\"id\":1}\n", End::Reset(0)), (None, "{\"id\":1}\n{\"id\":2}\n", End::Stated)]).await;
    let whole = ask(AnswerFormat::JsonLines, &url, 2).await.unwrap();
    assert_eq!((&whole.body[..], whole.attempts), (format!("{lines}{{\"id\":2}}\n").as_bytes(), 2));
}

#[tokio::test]
async fn a_stream_that_comes_to_its_end_is_whole() {
    let csv = AnswerFormat::Csv(crate::model::CsvDialect::default());
    for answers in [
        &[(None, "a,b\n1,2", End::Stated)],
        &[(Some("7"), "a,b\n1,2", End::Stated)],
        &[(None, "a,b\n1,2", End::Trailers)],
        &[(None, "a,b\n1,2", End::StatedThenReset(0))],
        &[(Some("7"), "a,b\n1,2", End::StatedThenReset(0))],
    ] as [&'static [_]; 5]
    {
        let whole = ask(csv, &serve(answers).await, 1).await.unwrap_or_else(|error| panic!("{answers:?}: {error}"));
        assert_eq!((&whole.body[..], whole.attempts), (&b"a,b\n1,2"[..], 1), "{answers:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_was_said_to_be_is_torn() {
    let url = serve(&[(Some("8"), "a,b\n1,2", End::Stated)]).await;
    let error = ask(AnswerFormat::JsonLines, &url, 2).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::TornBody, 2));
}
