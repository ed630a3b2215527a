//! A server that sends interim answers (1xx) without end, and so never answers: it is given up as one that is silent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::workspace::Workspace;

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";

/// Starts a server that floods whoever connects; returns its address, and how many have. Its threads end with their connections.
fn flooding(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let connected = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            connected.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || flood(stream.unwrap(), &answer.repeat(1000)));
        }
    });
    (format!("http://{address}"), count)
}

fn flood(mut stream: TcpStream, answers: &str) {
    let _ = stream.read(&mut [0; 1024]);
    while stream.write_all(answers.as_bytes()).is_ok() {}
}

fn pipeline(url: &str, timeout: &str) -> Workspace {
    let workspace = Workspace::new();
    let text = format!(
        "version: 1\nname: flood\nsource: {{base_url: '{url}', timeout: {{request: {timeout}}}, retry: {{attempts: 2, max_delay: 1ms}}}}\njobs:\n  \
         rows: {{get: /rows, records: '.[]', snapshot: latest, paginate: none, sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}}}\n"
    );
    workspace.write("pipeline.yaml", &text);
    workspace
}

#[test]
fn a_flood_of_interim_answers_is_no_answer() {
    for answer in [CONTINUE, HINTS] {
        let (url, connected) = flooding(answer);
        let workspace = pipeline(&url, "500ms");
        let outcome = workspace.tidegate(&["run", "pipeline.yaml", "--state", "state"]).run();
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains("GET /rows: timeout after 2 tries"), "{outcome:?}");
        assert_eq!(connected.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn a_run_under_a_flood_of_interim_answers_ends_when_told() {
    let (url, connected) = flooding(CONTINUE);
    let workspace = pipeline(&url, "1h");
    let running = workspace.tidegate(&["run", "pipeline.yaml", "--state", "state"]).spawn();
    while connected.load(Ordering::SeqCst) == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    running.signal("TERM");
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(143), "{outcome:?}");
}
