//! The simulator against what is known of the wire (vendors.md section C).

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Direction, Scrutinizer, ScrutinizerConfig};
use crate::clock::ManualClock;

mod report;
mod wire;

const NOW: &str = "2026-01-08T00:20:00Z";
const TOKEN: &str = "scrutinizer-token";

/// A simulator that is being served.
struct Sim {
    scrutinizer: Arc<Scrutinizer>,
    clock: Arc<ManualClock>,
    address: SocketAddr,
    stop: CancellationToken,
}

/// The fields of a request that tests change.
struct Form {
    token: Option<&'static str>,
    report: Value,
    requested: Value,
}

impl Sim {
    async fn start(config: ScrutinizerConfig) -> Self {
        let clock = Arc::new(ManualClock::new(instant(NOW)));
        let scrutinizer = Scrutinizer::new(config, clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(scrutinizer.clone().serve(listener, stop.clone()));
        Self { scrutinizer, clock, address, stop }
    }

    /// Sends a request and returns its status line, its headers and its body.
    async fn exchange(&self, request: &str) -> (String, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        (status.to_owned(), headers.to_owned(), body.to_owned())
    }

    /// Posts a form; the status must be 200, whatever the answer says.
    async fn post(&self, form: &Form) -> Value {
        let body = form.encode();
        let head =
            format!("POST /fcgi/scrut_fcgi.fcgi HTTP/1.1\r\nHost: scrutinizer\r\nContent-Length: {}\r\n", body.len());
        let (status, _, body) = self.exchange(&format!("{head}\r\n{body}")).await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        serde_json::from_str(&body).unwrap()
    }

    /// The rows of a direction's table.
    async fn rows(&self, form: &Form, direction: &str) -> Vec<Value> {
        let answer = self.post(form).await;
        answer["report"]["table"][direction]["rows"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Form {
    /// A report over the last whole hour: `rows` inbound rows from `offset` on.
    fn page(offset: usize, rows: usize) -> Self {
        let (start, end) = hour();
        let report = json!({
            "reportTypeLang": "conversations",
            "reportDirections": {"selected": "inbound"},
            "times": {"dateRange": "Custom", "start": start.timestamp().to_string(), "end": end.timestamp().to_string()},
            "filters": {"sdfDips_0": "in_GROUP_ALL"},
            "dataGranularity": {"selected": "1"},
            "rateTotal": {"selected": "total"},
            "dataFormat": {"selected": "raw"},
            "orderBy": "sum_octetdeltacount",
        });
        let limit = json!({"table": {"query_limit": {"offset": offset, "max_num_rows": rows}}});
        Self { token: Some(TOKEN), report, requested: json!({"inbound": limit}) }
    }

    /// Changes a part of `rpt_json`.
    fn with(mut self, part: &str, value: Value) -> Self {
        self.report[part] = value;
        self
    }

    fn encode(&self) -> String {
        let mut fields = url::form_urlencoded::Serializer::new(String::new());
        fields.append_pair("rm", "report_api").append_pair("action", "get");
        fields.append_pair("rpt_json", &self.report.to_string());
        fields.append_pair("data_requested", &self.requested.to_string());
        if let Some(token) = self.token {
            fields.append_pair("authToken", token);
        }
        fields.finish()
    }
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The last whole hour.
fn hour() -> (DateTime<Utc>, DateTime<Utc>) {
    let end = instant("2026-01-08T00:00:00Z");
    (end - TimeDelta::hours(1), end)
}

/// The text of a row's rank cell.
fn rank(row: &Value) -> &str {
    row[0]["title"].as_str().unwrap()
}

/// The cell of a column.
fn cell<'r>(row: &'r Value, column: &str) -> &'r Value {
    let wanted = json!({"column": column}).to_string();
    row.as_array().unwrap().iter().find(|cell| cell["dataJson"] == *wanted).unwrap()
}

/// What identifies a row.
fn key(row: &Value) -> [String; 3] {
    ["sourceipaddress", "commonport", "destinationipaddress"].map(|name| cell(row, name)["rawValue"].to_string())
}

/// Many flows in few conversations and few hours: long reports, all oddities.
fn rich() -> ScrutinizerConfig {
    ScrutinizerConfig { flows: 12_000, conversations: 400, hours: 6, ..ScrutinizerConfig::default() }
}

fn truth(sim: &Sim) -> Vec<super::Conversation> {
    let (start, end) = hour();
    sim.scrutinizer.conversations(Direction::Inbound, start, end)
}
