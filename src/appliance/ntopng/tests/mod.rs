//! The simulator against the recorded answers of a real ntopng.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Ntopng, NtopngConfig};
use crate::clock::ManualClock;

mod alerts;
mod live;
mod truth;
mod wire;

/// When the simulated appliance is made: a little after the recordings.
const NOW: &str = "2026-11-22T02:50:00Z";
const FLOW_LIST: &str = "/lua/rest/v2/get/flow/alert/list.lua?ifid=0";
const HOST_LIST: &str = "/lua/rest/v2/get/host/alert/list.lua?ifid=0";
const HOSTS: &str = "/lua/rest/v2/get/host/active.lua?ifid=0";
const FLOWS: &str = "/lua/rest/v2/get/flow/active.lua?ifid=0";

/// A simulator that is being served.
struct Sim {
    ntopng: Arc<Ntopng>,
    clock: Arc<ManualClock>,
    address: SocketAddr,
    stop: CancellationToken,
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sim {
    async fn start(config: NtopngConfig) -> Self {
        let clock = Arc::new(ManualClock::new(NOW.parse::<DateTime<Utc>>().unwrap()));
        let ntopng = Ntopng::new(config, clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(ntopng.clone().serve(listener, stop.clone()));
        Self { ntopng, clock, address, stop }
    }

    /// Sends a request with the `Authorization` given and reads until the connection closes.
    async fn send(&self, target: &str, authorization: Option<&str>) -> Answer {
        let authorization = authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n{authorization}\r\n");
        Answer::parse(&self.exchange(&request).await)
    }

    async fn exchange(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    /// Sends a request as admin.
    async fn get(&self, target: &str) -> Answer {
        self.send(target, Some(&basic("admin", "admin"))).await
    }

    /// Sends a request as admin that must succeed, and reads its JSON.
    async fn json(&self, target: &str) -> Value {
        let answer = self.get(target).await;
        assert_eq!(answer.status, "HTTP/1.1 200 OK", "{target}: {}", answer.body);
        answer.json()
    }

    /// The records of an alert list.
    async fn records(&self, target: &str) -> Vec<Value> {
        self.json(target).await["rsp"]["records"].as_array().unwrap().clone()
    }

    /// The rows of a live table.
    async fn data(&self, target: &str) -> Vec<Value> {
        self.json(target).await["rsp"]["data"].as_array().unwrap().clone()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().to_owned();
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        Self { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(key, _)| key == name).unwrap().1
    }
}

/// The text of a recording, and the target that it was recorded from.
fn recording(name: &str) -> (String, Answer) {
    let path = format!("{}/tests/fixtures/ntopng/{name}.http", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (command, answer) = text.split_once('\n').unwrap();
    let target = command.split("http://127.0.0.1:3000").nth(1).unwrap().trim_end_matches('\'');
    (target.to_owned(), Answer::parse(answer.as_bytes()))
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Where which types of values are: `.tstamp.value number` for one.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut shape = BTreeSet::new();
    add_shape(value, String::new(), &mut shape);
    shape
}

fn add_shape(value: &Value, path: String, shape: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if let Value::Array(values) = value {
        values.iter().for_each(|value| add_shape(value, format!("{path}[]"), shape));
    }
    if let Value::Object(members) = value {
        members.iter().for_each(|(key, value)| add_shape(value, format!("{path}.{key}"), shape));
    }
    shape.insert(format!("{path} {kind}"));
}

/// Checks that two answers have the same shape, but for what only ours has and `allowed` names.
fn assert_same_shape(ours: &Value, real: &Value, allowed: &[&str]) {
    let (ours, real) = (shape(ours), shape(real));
    let missing: Vec<_> = real.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&real).filter(|path| !allowed.contains(&path.as_str())).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}, extra {extra:#?}");
}

/// A configuration with every oddity in reach of one request.
fn rich() -> NtopngConfig {
    NtopngConfig { alerts: 1200, hosts: 400, flows: 400, host_alerts: 120, engaged: 40, ..NtopngConfig::default() }
}
