use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Appliance, Framing, Reply, Request, Response, Service, serve};
use crate::appliance::faults::{FaultInjector, Faults};

/// Says back what it was asked.
struct Echo;

impl Appliance for Echo {
    fn reply(&self, request: &Request) -> Reply {
        if request.path() == "/die" {
            return Reply::HangUp;
        }
        let body = format!("{} {} {}", request.method, request.query(), String::from_utf8_lossy(&request.body));
        let headers = vec![("X-A", "1".to_owned()), ("X-A", "2".to_owned())];
        Reply::Answer(Response { status: 200, reason: "OK", headers, body: body.into_bytes(), framing: Framing::Close })
    }
}

async fn exchange(faults: Faults, requests: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let service = Service {
        workers: Arc::new(Semaphore::new(2)),
        latency: Duration::ZERO,
        faults: Arc::new(FaultInjector::new(faults)),
    };
    let server = tokio::spawn(serve(Arc::new(Echo), listener, service, stop.clone()));
    let mut answers = Vec::new();
    for request in requests {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answers.push(answer);
    }
    stop.cancel();
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "a stopped server refuses connections");
    answers
}

#[tokio::test]
async fn an_answer_ends_with_the_connection() {
    let answers = exchange(
        Faults::default(),
        &[
            "GET /x?a=1 HTTP/1.1\r\nhost: y\r\n\r\n",
            "POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcdef",
            "GET /die HTTP/1.1\r\n\r\n",
        ],
    )
    .await;
    assert_eq!(answers[0], "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\n\r\nGET a=1 ");
    assert!(answers[1].ends_with("\r\n\r\nPOST  abc"), "{}", answers[1]);
    assert_eq!(answers[2], "");
}

#[tokio::test]
async fn requests_have_limits() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(super::MAX_HEAD));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(super::MAX_HEADERS + 1));
    let answers = exchange(
        Faults::default(),
        &[
            &long,
            &many,
            "GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ],
    )
    .await;
    let statuses: Vec<_> = answers.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["431", "431", "413", "400", "411"]);
}

#[tokio::test]
async fn faults_reach_the_wire() {
    let request = "GET /x?abcdef HTTP/1.1\r\n\r\n";
    let faults = Faults {
        every_nth_503: 2,
        retry_after: Some(7),
        cut_body_every_nth: 3,
        hang_up_every_nth: 5,
        ..Faults::default()
    };
    let answers = exchange(faults, &[request; 5]).await;
    assert!(answers[0].ends_with("GET abcdef "));
    assert!(answers[1].starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\n"));
    assert!(answers[2].ends_with("\r\n\r\nGET a"), "half the body: {}", answers[2]);
    assert_eq!(answers[4], "");
}
