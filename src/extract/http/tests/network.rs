//! Proxies and addresses. TLS is in `tls.rs`.

use super::*;

/// A proxy for plain HTTP that answers by itself, and notes the first line and the credential of each request.
async fn proxy(takes: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = socket.read(&mut head).await.unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let given = head.lines().find_map(|line| line.strip_prefix("proxy-authorization: "));
            let fits = takes.is_none_or(|takes| given == Some(takes));
            noted.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
            let answer: &[u8] = if fits {
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
            } else {
                b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            };
            let _ = socket.write_all(answer).await;
        }
    });
    (port, seen)
}

fn through(port: u16, username: &str, attempts: u32) -> HttpClient {
    let proxy = Proxy {
        url: format!("http://127.0.0.1:{port}").parse().unwrap(),
        username: username.to_owned(),
        password: Secret::new(PASSWORD),
    };
    client(HttpOptions { proxy: Some(proxy), ..options(attempts) })
}

#[tokio::test]
async fn a_proxy_of_the_file_gets_all_requests_and_its_credential() {
    // printf %s 'robot:hunter2-and-more' | base64
    let (port, seen) = proxy(Some("Basic cm9ib3Q6aHVudGVyMi1hbmQtbW9yZQ==")).await;
    let answer = fetch(&through(port, "robot", 1), "http://appliance.example:8080").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(*seen.lock().unwrap(), ["GET http://appliance.example:8080/list HTTP/1.1"]);
}

#[tokio::test]
async fn a_proxy_that_refuses_the_credential_is_not_asked_again() {
    for url in ["http://appliance.example", "https://appliance.example"] {
        let (port, seen) = proxy(Some("Basic other")).await;
        let client = through(port, "robot", 5);
        match fetch(&client, url).await {
            Ok(answer) => assert_eq!(answer.status, 407, "{url}"),
            Err(error) => {
                assert!(error.to_string().contains("the proxy wants another credential after 1 try"), "{error}");
                assert!(
                    error.to_string().contains(&format!("through the proxy http://127.0.0.1:{port}/ (of `proxy`)")),
                    "{error}"
                );
                assert_eq!(transport(error), (TransportKind::ProxyAuth, 1));
            }
        }
        let error = fetch(&client, url).await.unwrap_err();
        assert!(matches!(error, HttpError::ProxyRefused { .. }), "{error}");
        assert_eq!(seen.lock().unwrap().len(), 1, "{url}");
    }
}

#[tokio::test]
async fn no_part_of_a_proxys_password_shows() {
    let client = through(1, "robot", 1);
    let error = fetch(&client, "http://appliance.example").await.unwrap_err();
    let shown = format!("{error} {error:?} {client:?}");
    assert!(shown.contains("through the proxy http://127.0.0.1:1/"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("cm9ib3Q6"), "{shown}");
}

#[tokio::test]
async fn an_address_may_be_of_version_6() {
    // Some machines have none.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let url = format!("http://{}", listener.local_addr().unwrap());
    assert!(url.starts_with("http://[::1]:"), "{url}");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(|| async { "{}" })).await });
    let client = client(options(1));
    assert_eq!(fetch(&client, &url).await.unwrap().status, 200);
    assert_eq!(client.slots.at_once(&url.parse().unwrap()), Some(32));
}
