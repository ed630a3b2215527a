//! Answers that are no success and whose bodies break off: their status says what they are.

use super::*;

const CUT: &[u8] = b"HTTP/1.1 401 X\r\ncontent-length: 100\r\n\r\n{\"error\":\"who?\"}";

async fn sent(bytes: &'static [u8], options: HttpOptions, rules: &RuleTexts) -> String {
    let url = serve_bytes(bytes).await;
    exchange(options, rules).send(&request(&url), Vec::new(), body).await.unwrap_err().to_string()
}

fn rule(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn a_refused_credential_is_one_however_its_body_breaks_off() {
    let small = HttpOptions { max_response: 10, ..options(4) };
    for (bytes, options, why) in [
        (CUT, options(4), "; its body isn't whole: "),
        (b"HTTP/1.1 401 X\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", options(4), "; its body isn't whole: "),
        (
            b"HTTP/1.1 401 X\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00",
            options(4),
            "; its body isn't whole: the gzip data is cut off",
        ),
        (CUT, small.clone(), "; its body isn't whole: it is larger than 10 bytes"),
        (b"HTTP/1.1 401 X\r\n\r\neleven byte", small, "; its body isn't whole: it is larger than 10 bytes"),
    ] {
        let error = sent(bytes, options, &RuleTexts::default()).await;
        assert!(error.starts_with("the server refused the credential, so no job sends it again"), "{error}");
        assert!(error.contains("GET /list: status 401 after 1 try") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_one_though_its_body_stalls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(CUT).await;
            open.push(socket);
        }
    });
    let exchange =
        exchange(HttpOptions { read_timeout: Duration::from_millis(100), ..options(4) }, &RuleTexts::default());
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Refused(_)), "{error}");
    assert!(error.to_string().contains("; its body isn't whole: no byte of the body came for 100ms"), "{error}");
    assert_eq!(exchange.patience.sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_rule_that_the_status_fulfils_refuses_the_credential_without_the_body() {
    for (status, rule_text) in [(403, "$status == 403"), (302, "$status == 302"), (503, "$status == 503")] {
        let bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\n{{}}").into_bytes().leak();
        let error = sent(bytes, options(4), &RuleTexts { auth_failed: rule(rule_text), ..RuleTexts::default() }).await;
        assert!(error.contains(&format!("GET /list: status {status} after 1 try")), "{error}");
    }
}

#[tokio::test]
async fn an_error_is_told_by_its_status_and_tried_again_where_that_is_transient() {
    for (status, tries) in [(400, "1 try"), (403, "1 try"), (503, "3 tries"), (429, "3 tries")] {
        let bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\n{{\"code\":7}}").into_bytes().leak();
        let error = sent(bytes, options(3), &RuleTexts::default()).await;
        assert!(
            error.starts_with(&format!("GET /list: status {status} after {tries}: the server answered")),
            "{error}"
        );
        assert!(error.contains("; its body isn't whole: ") && error.contains("{\"code\":7}"), "{error}");
    }
}

#[tokio::test]
async fn no_body_that_breaks_off_is_a_page_with_no_rows() {
    let empty = RuleTexts { empty: rule("$status == 404"), ..RuleTexts::default() };
    let torn = b"HTTP/1.1 404 X\r\ncontent-length: 100\r\n\r\n{}";
    let error = sent(torn, options(2), &empty).await;
    assert!(error.starts_with("GET /list: the body is incomplete after 2 tries"), "{error}");
    let other = sent(torn, options(2), &RuleTexts::default()).await;
    assert!(other.starts_with("GET /list: status 404 after 1 try"), "{other}");
}

#[tokio::test]
async fn what_part_an_answer_brings_is_told_without_a_secret_in_it() {
    let bytes = format!("HTTP/1.1 206 X\r\ncontent-range: bytes 0-1/{PASSWORD}-X\r\ncontent-length: 2\r\n\r\n[]");
    let url = serve_bytes(bytes.into_bytes().leak()).await;
    let redactor = Redactor::new([&Secret::new(format!("{PASSWORD}-X"))]);
    let client = HttpClient::new(options(1), Arc::default(), redactor, Arc::new(SystemClock)).unwrap();
    let error = fetch(&client, &url).await.unwrap_err().to_string();
    assert!(error.contains("`bytes 0-1/[redacted]`") && !error.contains("hunter2"), "{error}");
}
