//! The simulator against what is known of the wire (vendors.md section D).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Lastline, LastlineConfig};
use crate::appliance::server::{Appliance as _, Reply, Request};
use crate::clock::ManualClock;

mod logs;
mod metrics;
mod wire;

const NOW: &str = "2026-01-08T00:20:00Z";
const LIST: &str = "/papi/monitoring/metric/list.json";
const GET: &str = "/papi/monitoring/metric/get.json";
const AGGREGATE: &str = "/papi/monitoring/metric/aggregate.json";
const LOG: &str = "/papi/monitoring/log/get.json";
const ENTRY: &str = "/papi/monitoring/log/get_entry.json";

/// A simulator, its clock, and a client that has logged in.
struct Sim {
    lastline: Arc<Lastline>,
    clock: Arc<ManualClock>,
    cookie: String,
}

/// An answer: its status, the cookie it sets, its body.
struct Answer {
    status: u16,
    cookie: Option<String>,
    body: Value,
}

impl Sim {
    fn new(config: LastlineConfig) -> Self {
        let clock = Arc::new(ManualClock::new(instant(NOW)));
        let mut sim = Self { lastline: Lastline::new(config, clock.clone()), clock, cookie: String::new() };
        let answer = sim.send("POST", "/papi/login.json", &[], &credentials(sim.lastline.config()));
        sim.cookie = answer.cookie.unwrap_or_default();
        sim
    }

    /// Sends a request with the session's cookie.
    fn send(&self, method: &str, path: &str, query: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        let encode = |pairs: &[(&str, &str)]| {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(pairs);
            text.finish()
        };
        let request = Request {
            method: method.to_owned(),
            target: if query.is_empty() { path.to_owned() } else { format!("{path}?{}", encode(query)) },
            headers: vec![("Cookie".to_owned(), format!("other=1; {}", self.cookie))],
            body: encode(form).into_bytes(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 443,
        };
        let Reply::Answer(response) = self.lastline.reply(&request) else { panic!("hung up") };
        let set = response.headers.iter().find(|(name, _)| *name == "Set-Cookie");
        let body = String::from_utf8(response.body).unwrap();
        Answer {
            status: response.status,
            cookie: set.map(|(_, line)| line.split(';').next().unwrap().to_owned()),
            body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        self.send("GET", path, query, &[]).body
    }

    /// The data of a call that succeeds.
    fn data(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut body = self.get(path, query);
        assert_eq!(body["success"], 1, "{body}");
        body["data"].take()
    }
}

fn credentials(config: &LastlineConfig) -> [(&'static str, &'static str); 2] {
    assert_eq!((config.username.as_str(), config.password.as_str()), ("tidegate", "lastline-password"));
    [("username", "tidegate"), ("password", "lastline-password")]
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Parameters of a window of UTC, and one more.
fn window<'a>(start: &'a str, end: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("start_time", start), ("end_time", end), ("timezone", "UTC")], more].concat()
}
