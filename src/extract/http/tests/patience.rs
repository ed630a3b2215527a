//! When a request is sent again, and when it isn't sent at all.

use super::*;
use crate::extract::http::budget::{ALLOWANCE, DEAD_AFTER, DEAD_FOR};

fn again(when: Option<&str>, after: Option<&str>) -> RuleTexts {
    let text = |text: Option<&str>| text.map(str::to_owned);
    RuleTexts { retry_when: text(when), retry_after: text(after), ..RuleTexts::default() }
}

fn asked(fake: &Fake) -> u32 {
    fake.requests.load(Ordering::SeqCst)
}

#[tokio::test]
async fn an_answer_that_says_busy_is_tried_again_and_never_taken_for_a_page() {
    let (url, fake) = serve(Duration::ZERO, |number, _| {
        if number < 3 { r#"{"err":"busy"}"# } else { r#"{"rows":[]}"# }.into_response()
    })
    .await;
    let exchange = exchange(options(5), &again(Some(".err == \"busy\""), None));
    let answer = exchange.send(&request(&url), Vec::new(), body).await.unwrap().answer;
    assert_eq!((answer.attempts, answer.unsettled), (3, false));
    let (url, fake_2) = serve(Duration::ZERO, |_, _| r#"{"err":"busy"}"#.into_response()).await;
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert!(error.starts_with("GET /list: status 200 after 5 tries: 'retry.when' still holds; body:"), "{error}");
    assert_eq!((asked(&fake), asked(&fake_2)), (3, 5));
}

#[tokio::test]
async fn a_status_that_is_not_transient_is_tried_again_where_the_rule_says_so() {
    let (url, fake) = serve(Duration::ZERO, |number, _| match number {
        1 => (StatusCode::FORBIDDEN, [("retry-after", "0")], "secondary rate limit").into_response(),
        _ => "{}".into_response(),
    })
    .await;
    let rules = again(Some(r#"$status == 403 and $headers["retry-after"] != null"#), None);
    let sent = exchange(options(5), &rules).send(&request(&url), Vec::new(), body).await.unwrap();
    assert_eq!((sent.answer.attempts, asked(&fake)), (2, 2));
}

#[tokio::test]
async fn a_rule_that_does_not_fit_the_answer_is_an_error() {
    let (url, fake) = serve(Duration::ZERO, |_, _| "[1]".into_response()).await;
    let exchange = exchange(options(5), &again(Some(".busy"), None));
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert!(error.starts_with("GET /list: 'retry.when' can't be evaluated on the answer:"), "{error}");
    assert_eq!(asked(&fake), 1);
}

#[tokio::test]
async fn the_wait_is_what_the_rule_says_and_no_longer_than_allowed() {
    let (url, _) = serve(Duration::ZERO, |number, _| match number {
        1 => (StatusCode::TOO_MANY_REQUESTS, [("x-reset", "0.2")]).into_response(),
        2 => (StatusCode::TOO_MANY_REQUESTS, [("x-reset", "3600"), ("retry-after", "0")]).into_response(),
        _ => (StatusCode::TOO_MANY_REQUESTS, [("x-reset", "7200")]).into_response(),
    })
    .await;
    let retry = RetryPolicy { attempts: 3, max_delay: Duration::from_millis(250), base: Duration::ZERO };
    let exchange = exchange(HttpOptions { retry, ..options(1) }, &again(None, Some(r#"$headers["x-reset"]"#)));
    let started = std::time::Instant::now();
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert!(started.elapsed() >= Duration::from_millis(200), "it didn't wait");
    assert!(started.elapsed() < Duration::from_secs(5), "Retry-After comes first");
    assert!(
        error.ends_with("asked to wait 2h, longer than retry.max_delay allows (250ms); raise it, or run later"),
        "{error}"
    );
}

#[tokio::test]
async fn the_instant_that_the_rule_sees_is_the_clocks() {
    let (url, _) = serve(Duration::ZERO, |_, _| (StatusCode::BAD_GATEWAY, [("x-reset", "1005")]).into_response()).await;
    let clock = crate::clock::ManualClock::new(DateTime::from_timestamp(1000, 0).unwrap());
    let client = HttpClient::new(options(1), Arc::default(), Redactor::default(), Arc::new(clock)).unwrap();
    let rules = again(None, Some(r#"($headers["x-reset"] | tonumber) - $now"#));
    let exchange = Exchange { client: Arc::new(client), ..exchange(options(1), &rules) };
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert!(error.contains("the server asked to wait 5s,"), "{error}");
}

#[tokio::test]
async fn a_refused_credential_is_not_tried_again_whatever_the_status() {
    let (url, fake) = serve(Duration::ZERO, |_, _| {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"wrong password"}"#).into_response()
    })
    .await;
    let rules = RuleTexts { auth_failed: Some(".error == \"wrong password\"".to_owned()), ..RuleTexts::default() };
    let error = exchange(options(5), &rules).send(&request(&url), Vec::new(), body).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Refused(_)), "{error}");
    assert_eq!(asked(&fake), 1);
}

#[tokio::test]
async fn a_failing_server_uses_the_budget_up_and_then_gets_one_try_each() {
    let (url, fake) = serve(Duration::ZERO, |_, _| StatusCode::BAD_GATEWAY.into_response()).await;
    let exchange = exchange(options(5), &RuleTexts::default());
    let mut errors = Vec::new();
    for _ in 0..40 {
        errors.push(exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string());
    }
    assert_eq!(u64::from(asked(&fake)), 40 + ALLOWANCE);
    assert!(errors[0].contains("after 5 tries") && errors[0].ends_with("or run later"), "{}", errors[0]);
    assert!(
        errors[39].contains(
            "after 1 try: the server answered 502 Bad Gateway; the body is empty; not tried again: the job has used"
        ) && errors[39].contains("(100 retries, 0 requests answered)"),
        "{}",
        errors[39]
    );
}

#[tokio::test]
async fn a_wait_that_the_server_asks_for_costs_nothing() {
    let (url, fake) =
        serve(Duration::ZERO, |_, _| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response()).await;
    let exchange = exchange(options(5), &RuleTexts::default());
    for _ in 0..30 {
        exchange.send(&request(&url), Vec::new(), body).await.unwrap_err();
    }
    assert_eq!(asked(&fake), 150);
}

#[tokio::test]
async fn a_dead_server_is_not_asked_any_more() {
    let (url, fake) = serve(Duration::ZERO, |_, _| "{}".into_response()).await;
    let exchange = exchange(options(5), &RuleTexts::default());
    let long_ago = std::time::Instant::now().checked_sub(DEAD_FOR + Duration::from_secs(5)).unwrap();
    (0..DEAD_AFTER).for_each(|_| exchange.patience.budget.failed(long_ago));
    let error = exchange.send(&request(&url), Vec::new(), body).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "GET /list: not sent: the last 3 requests of the job failed, each with all its tries, over 2m 5s, so {url} is taken for \
             dead in this run; the failures before this one say why; run again once it answers"
        )
    );
    assert_eq!(asked(&fake), 0);
}

#[tokio::test]
async fn a_host_that_is_too_busy_gets_fewer_requests_at_once_from_all_its_sources() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let app = Router::new().fallback({
        let (now, most) = (now.clone(), most.clone());
        move || async move {
            let out = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(out, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            if out > 3 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK }
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let slots = Arc::new(HostSlots::new());
    let client = |concurrency| {
        let options = HttpOptions { concurrency, ..options(40) };
        HttpClient::new(options, Arc::clone(&slots), Redactor::default(), Arc::new(SystemClock)).unwrap()
    };
    let (one, two) = (client(16), client(16));
    let answers = futures::future::join_all((0..64).map(|n| fetch(if n % 2 == 0 { &one } else { &two }, &url))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status == 200));
    let retries: u32 = answers.iter().map(|answer| answer.as_ref().unwrap().attempts - 1).sum();
    assert_eq!(most.load(Ordering::SeqCst), 16);
    // It grows back while the last few are out, which are too few to be refused.
    assert!((1..8).contains(&slots.at_once(&request(&url).resource).unwrap()), "{slots:?}");
    assert!(retries < 100, "{retries} retries: the pace wasn't kept");
}

/// Answers with headers and the beginning of a body, and then one byte after each `pause`.
async fn drip(pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = socket.read(&mut head).await;
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{").await;
                loop {
                    tokio::time::sleep(pause).await;
                    if socket.write_all(b" ").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_body_that_stops_or_drips_is_a_timeout() {
    let (short, long) = (Duration::from_millis(80), Duration::from_secs(60));
    let silent = HttpOptions { read_timeout: short, request_timeout: long, ..options(2) };
    let error = fetch(&client(silent), &drip(long).await).await.unwrap_err();
    assert!(error.to_string().contains("timeout after 2 tries"), "{error}");
    assert!(error.to_string().contains("(no byte of the body came for 80ms); raise timeout"), "{error}");
    let dripping = HttpOptions { read_timeout: short, request_timeout: Duration::from_millis(300), ..options(2) };
    let error = fetch(&client(dripping), &drip(Duration::from_millis(10)).await).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::Timeout, 2));
}

#[tokio::test]
async fn a_server_may_think_before_it_answers() {
    let (url, _) = serve(Duration::from_millis(150), |_, _| "{}".into_response()).await;
    let options = HttpOptions { read_timeout: Duration::from_millis(50), ..options(1) };
    assert_eq!(fetch(&client(options), &url).await.unwrap().status, 200);
}
