//! Compressed bodies, and bodies whose end only their format tells.

use std::io::Write as _;

use super::*;
use crate::model::CsvDialect;

/// What is sent: text of which no part repeats for long, so that each encoding has something to say.
fn text() -> String {
    let words: Vec<String> = (0_u64..200).map(|at| format!(r#"{{"id":{}}}"#, at * at * 7919 % 1_000_003)).collect();
    format!("[{}]", words.join(","))
}

/// Encodes a body in the ways that are known, by their names.
fn encoded(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(body).unwrap();
    let zstd = zstd::encode_all(body, 1).unwrap();
    vec![("gzip", gzip.finish().unwrap()), ("deflate", deflate.finish().unwrap()), ("br", brotli(body)), ("zstd", zstd)]
}

/// Writes brotli (RFC 7932) without compressing: the window's size and a meta-block that is stored, then an empty last one.
fn brotli(body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= 1 << 16);
    let (window, last, nibbles, stored) = (0_u32, 0_u32, 0_u32, 1_u32);
    let length = u32::try_from(body.len() - 1).unwrap();
    let head = window | last << 1 | nibbles << 2 | length << 4 | stored << 20;
    [&head.to_le_bytes()[..3], body, &[0b11]].concat()
}

fn answer(headers: &str, body: &[u8]) -> &'static [u8] {
    Box::leak([format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body].concat().into_boxed_slice())
}

#[tokio::test]
async fn each_encoding_is_undone() {
    for (name, body) in encoded(text().as_bytes()) {
        for length in [format!("content-length: {}\r\n", body.len()), String::new()] {
            let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n{length}"), &body)).await;
            let answer = fetch(&client(options(1)), &url).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(&answer.body[..], text().as_bytes(), "{name}");
        }
    }
    let url = serve_bytes(answer("content-encoding: Identity\r\n", b"[]")).await;
    assert_eq!(&fetch(&client(options(1)), &url).await.unwrap().body[..], b"[]");
}

#[tokio::test]
async fn deflate_may_come_bare() {
    for level in [flate2::Compression::none(), flate2::Compression::fast(), flate2::Compression::best()] {
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), level);
        bare.write_all(text().as_bytes()).unwrap();
        let mut body = bare.finish().unwrap();
        let url = serve_bytes(self::answer("content-encoding: deflate\r\n", &body)).await;
        assert_eq!(&fetch(&client(options(1)), &url).await.unwrap().body[..], text().as_bytes(), "{level:?}");
        body.pop();
        let url = serve_bytes(self::answer("content-encoding: deflate\r\n", &body)).await;
        assert_eq!(transport(fetch(&client(options(1)), &url).await.unwrap_err()), (TransportKind::TornBody, 1));
    }
}

#[tokio::test]
async fn encodings_have_no_case_and_gzip_has_two_names() {
    let all = encoded(text().as_bytes());
    let body = |name: &str| &all.iter().find(|(of, _)| *of == name).unwrap().1;
    for (name, of) in [
        ("GZIP", "gzip"),
        ("Gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("X-GZIP", "gzip"),
        ("Deflate", "deflate"),
        ("BR", "br"),
    ] {
        let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), body(of))).await;
        let answer = fetch(&client(options(1)), &url).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&answer.body[..], text().as_bytes(), "{name}");
    }
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_torn() {
    let head = "HTTP/1.1 206 Partial Content\r\ncontent-length: 12\r\ncontent-range: bytes 0-11/14\r\n\r\n";
    let url = serve_bytes(Box::leak(format!("{head}a,b\n1,2\n3,4\n").into_bytes().into_boxed_slice())).await;
    let csv = AnswerFormat::Csv(CsvDialect::default());
    let error = fetch_as(csv, &client(options(2)), &url).await.unwrap_err();
    assert!(error.to_string().contains("a part of the body, `bytes 0-11/14`, though no part was asked for"), "{error}");
    assert_eq!(transport(error), (TransportKind::TornBody, 2));
}

#[tokio::test]
async fn the_client_asks_for_what_it_can_undo() {
    let (url, _) = serve(Duration::ZERO, |_, headers| {
        assert_eq!(headers["accept-encoding"], "zstd,gzip,deflate,br");
        "[]".into_response()
    })
    .await;
    assert_eq!(&fetch(&client(options(1)), &url).await.unwrap().body[..], b"[]");
}

#[tokio::test]
async fn a_compressed_body_that_is_torn_is_tried_again_and_never_taken_for_whole() {
    for (name, body) in encoded(text().as_bytes()) {
        let cuts =
            [1, 2, 5, body.len() / 2, body.len() - 9, body.len() - 5, body.len() - 4, body.len() - 2, body.len() - 1];
        for cut in cuts {
            let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), &body[..cut])).await;
            let tried = fetch(&client(options(2)), &url).await;
            let error = tried.err().unwrap_or_else(|| panic!("{name} was taken for whole after {cut} bytes"));
            assert_eq!(transport(error), (TransportKind::TornBody, 2), "{name} after {cut} bytes");
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_is_noticed_where_there_is_a_checksum() {
    for (name, mut body) in
        encoded(text().as_bytes()).into_iter().filter(|(name, _)| ["gzip", "deflate"].contains(name))
    {
        let middle = body.len() / 2;
        body[middle] ^= 1;
        let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), &body)).await;
        assert_eq!(
            transport(fetch(&client(options(2)), &url).await.unwrap_err()),
            (TransportKind::TornBody, 2),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_encoding_of_nothing_is_nothing() {
    for name in ["gzip", "deflate", "br", "zstd"] {
        for status in ["200 OK", "204 No Content"] {
            let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: {name}\r\ncontent-length: 0\r\n\r\n");
            let url = serve_bytes(Box::leak(head.into_bytes().into_boxed_slice())).await;
            let answer =
                fetch(&client(options(1)), &url).await.unwrap_or_else(|error| panic!("{name} {status}: {error}"));
            assert_eq!(answer.body.len(), 0, "{name} {status}");
        }
    }
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit() {
    let mebibyte = vec![0; 1 << 20];
    let one = zstd::encode_all(&mebibyte[..], 19).unwrap();
    let four_gibibytes = one.repeat(4096);
    assert!(four_gibibytes.len() < 1 << 20, "{}", four_gibibytes.len());
    let mut bombs = vec![("zstd", four_gibibytes)];
    bombs.extend(encoded(&mebibyte[..1 << 16]));
    for (name, bomb) in bombs {
        let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), &bomb)).await;
        let client = client(HttpOptions { max_response: 10_000, ..options(5) });
        let error = fetch(&client, &url).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 10_000, .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_known_is_named() {
    for name in ["compress", "gzip, gzip", "br, gzip", "aes128gcm"] {
        let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), b"\x1f\x8b")).await;
        let error = fetch(&client(options(3)), &url).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "GET /list: the answer's body has the content-encoding `{name}`, which can't be undone; gzip, deflate, br and \
                 zstd can, one of them; ask the server, or a proxy between, for another: set the header accept-encoding, such as \
                 `identity`"
            )
        );
    }
    let url = serve_bytes(b"HTTP/1.1 404 Not Found\r\ncontent-encoding: compress\r\n\r\nx").await;
    assert_eq!(fetch(&client(options(1)), &url).await.unwrap().status, 404, "the status says more than the body");
}

#[tokio::test]
async fn lines_and_tables_that_end_with_the_connection_in_their_middle_are_torn() {
    let csv = AnswerFormat::Csv(CsvDialect::default());
    for (format, body) in [
        (AnswerFormat::JsonLines, "{\"a\":1}\n{\"a\":"),
        (csv, "a,b\n1,2\n3"),
        (csv, "a,b\n1,\"2\n3,4\n"),
        (csv, "a,b\n1,\u{e9}"),
    ] {
        let cut = if body.ends_with('\u{e9}') { body.len() - 1 } else { body.len() };
        let url = serve_bytes(answer("", &body.as_bytes()[..cut])).await;
        let error = fetch_as(format, &client(options(2)), &url).await.unwrap_err();
        assert!(error.to_string().contains(&format!("in the middle of the {}", format.name())), "{error}");
        assert_eq!(transport(error), (TransportKind::TornBody, 2));
    }
    let coded = serve_bytes(answer("transfer-encoding: identity\r\n", b"a,b\n1,2\n3")).await;
    let error = fetch_as(csv, &client(options(2)), &coded).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::TornBody, 2), "no chunks mark the end");
    for (format, body) in [(AnswerFormat::JsonLines, "{\"a\":1}\n{\"a\":2}"), (csv, "a,b\n1,2\n"), (csv, "")] {
        let url = serve_bytes(answer("", body.as_bytes())).await;
        assert!(fetch_as(format, &client(options(1)), &url).await.is_ok(), "{body}");
    }
    let marked = serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na,b\n1,2\n3").await;
    let answer = fetch_as(csv, &client(options(3)), &marked).await.unwrap();
    assert_eq!(answer.attempts, 1, "the server's own length says that this is all: the row is bad");
}

#[tokio::test]
async fn a_last_line_with_no_end_is_whole_once_it_comes_twice() {
    let csv = AnswerFormat::Csv(CsvDialect::default());
    for body in ["a,b\n1,2", "a,b\n1,", "a,b"] {
        let url = serve_bytes(answer("", body.as_bytes())).await;
        let twice = fetch_as(csv, &client(options(2)), &url).await.unwrap();
        assert_eq!((&twice.body[..], twice.attempts), (body.as_bytes(), 2), "{body}");
        let error = fetch_as(csv, &client(options(1)), &url).await.unwrap_err();
        assert!(error.to_string().contains("behind a last line with no line end"), "{error}");
        assert_eq!(transport(error), (TransportKind::OpenEnded, 1));
        let marked = serve_bytes(answer(&format!("content-length: {}\r\n", body.len()), body.as_bytes())).await;
        assert_eq!(fetch_as(csv, &client(options(2)), &marked).await.unwrap().attempts, 1, "{body}");
    }
    // What was cut comes whole the next time, or is cut elsewhere.
    let bodies = [answer("", b"a,b\n1,2\n3,4"), answer("", b"a,b\n1,2\n3"), answer("", b"a,b\n1,2\n3,456\n")];
    let url = serve_in_turn(&bodies).await;
    let whole = fetch_as(csv, &client(options(3)), &url).await.unwrap();
    assert_eq!((&whole.body[..], whole.attempts), (&b"a,b\n1,2\n3,456\n"[..], 3));
}

#[tokio::test]
async fn what_is_put_together_of_several_encoded_parts_is_whole() {
    let [first, second] = ["{\"id\":1}\n".repeat(6000), "{\"id\":2}\n".to_owned()];
    for (name, at) in [("gzip", 0), ("zstd", 3)] {
        let both = [&encoded(first.as_bytes())[at].1[..], &encoded(second.as_bytes())[at].1[..]].concat();
        let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), &both)).await;
        let whole = fetch(&client(options(1)), &url).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(whole.body == [&*first, &*second].concat(), "{name}: {} bytes", whole.body.len());
    }
}

#[tokio::test]
async fn zeros_behind_gzip_and_an_encoding_that_is_none_are_nothing() {
    let (part, text) = (encoded(b"[1,").remove(0).1, "[1,[2]]");
    let rest = encoded(b"[2]]").remove(0).1;
    for zeros in [1, 9, 4000] {
        let body = [&part[..], &vec![0; zeros], &rest, &vec![0; zeros]].concat();
        let url = serve_bytes(answer("content-encoding: identity, gzip\r\n", &body)).await;
        let whole = fetch(&client(options(1)), &url).await.unwrap_or_else(|error| panic!("{zeros}: {error}"));
        assert_eq!(&whole.body[..], text.as_bytes(), "{zeros}");
        let url = serve_bytes(answer("content-encoding: gzip, identity\r\n", &body[..body.len() - zeros - 1])).await;
        let error = fetch(&client(options(1)), &url).await.unwrap_err();
        assert_eq!(transport(error), (TransportKind::TornBody, 1), "{zeros}");
    }
}

#[tokio::test]
async fn headers_may_be_written_as_they_were_long_ago() {
    let url =
        serve_bytes(b"HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nX-Blank : yes\r\ncontent-length: 2\r\n\r\n[]").await;
    let answer = fetch(&client(options(1)), &url).await.unwrap();
    assert_eq!((&answer.body[..], &answer.headers["x-blank"]), (&b"[]"[..], &json!("yes")));
    let long = answer.headers["x-long"].as_str().unwrap();
    assert_eq!(long.split_whitespace().collect::<Vec<_>>(), ["one", "two"]);
}

#[tokio::test]
async fn what_follows_an_encoded_body_is_not_dropped() {
    for (name, mut body) in encoded(text().as_bytes()) {
        body.extend_from_slice(b"{\"id\":3}\n");
        let url = serve_bytes(answer(&format!("content-encoding: {name}\r\n"), &body)).await;
        let error = fetch(&client(options(1)), &url).await.unwrap_err();
        assert_eq!(transport(error), (TransportKind::TornBody, 1), "{name}");
    }
}
