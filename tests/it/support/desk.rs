//! A desk for tickets, beside the alerts that they are made of: it knows the truth of what was created.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Answer, Api, Request};
use super::bench::{Bench, Ran};

/// What the desk does with a request for an alert's ticket, before it does what it usually does.
pub(crate) type Fault = Box<dyn Fn(&str, usize) -> Mishap + Send + Sync>;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Nothing.
    None,
    /// It is answered so, and nothing is created.
    Instead(u16, &'static str),
    /// Something on the way answers with a page for people, and nothing is created.
    Page,
    /// The ticket is created, and the connection breaks before the answer has ended.
    BrokenAfter,
    /// The ticket is created, and no answer comes.
    SilentAfter,
    /// The ticket is created, and the answer says otherwise.
    CreatedBut(u16),
}

/// What the desk has.
#[derive(Default)]
pub(crate) struct Desk {
    /// The alerts that are listed.
    pub(crate) alerts: Vec<Value>,
    /// The tickets: the alert that each is of.
    pub(crate) tickets: Vec<String>,
    /// Tickets by idempotency key, where the desk honours it.
    keys: BTreeMap<String, Value>,
    /// Requests for tickets, by alert.
    asked: BTreeMap<String, usize>,
    fault: Option<Fault>,
    /// What is answered instead of what a search finds.
    pub(crate) search: Option<&'static str>,
    /// How long a search doesn't show a ticket that was created.
    pub(crate) lag: Duration,
    /// When each ticket was created.
    created: Vec<Instant>,
    /// Where there is one, tickets are answered once it is open.
    pub(crate) gate: Option<Arc<AtomicBool>>,
}

/// A desk that serves, and a pipeline that feeds it.
pub(crate) struct TicketBench {
    pub(crate) bench: Bench,
    pub(crate) desk: Arc<Mutex<Desk>>,
}

/// How the sink keeps from doubling.
pub(crate) const PLAIN: &str = "";
/// It looks a ticket up first.
pub(crate) const FIND: &str = "find: {get: /search, query: {alert: '{{ row.id }}'}, found: '.total > 0'}";
/// The desk knows a request again.
pub(crate) const KEYED: &str = "idempotency_key: {header: Idempotency-Key}";

impl TicketBench {
    /// Starts a desk with so many alerts, which takes `pace` for each ticket; the sink has these keys besides.
    pub(crate) fn new(alerts: usize, pace: Duration, keys: &str) -> Self {
        let desk = Arc::new(Mutex::new(Desk { alerts: (0..alerts).map(alert).collect(), ..Desk::default() }));
        let served = Arc::clone(&desk);
        let bench = Bench::new(Api::start(move |request| answer(&mut served.lock().unwrap(), request, pace)));
        let it = Self { bench, desk };
        it.sink(keys);
        it
    }

    /// Writes the pipeline, with these keys in its sink.
    pub(crate) fn sink(&self, keys: &str) {
        let body = if keys.contains("batch:") {
            "{alerts: '{{ rows }}'}"
        } else {
            "{alert: '{{ row.id }}', text: 'Alert: {{ row.text }}'}"
        };
        let body = if keys.contains("body:") { String::new() } else { format!("body: {body}") };
        let keys: String = keys.lines().map(|line| format!("\n            {}", line.trim())).collect();
        self.bench.jobs(&format!(
            "  alerts:
    get: /alerts
    records: '.[]'
    paginate: none
    snapshot: every_run
    sinks:
      tickets:
        http:
            base_url: {}/desk
            auth: {{bearer: '${{TOKEN}}'}}
            post: /tickets
            key: [id]
            retry: {{attempts: 3, max_delay: 5ms}}
            {body}{keys}
",
            self.bench.api.url()
        ));
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// Lets things go wrong: what happens depends on the alert, and on how often its ticket was asked for before.
    pub(crate) fn fault(&self, fault: impl Fn(&str, usize) -> Mishap + Send + Sync + 'static) {
        self.desk().fault = Some(Box::new(fault));
    }

    /// Lets all go well again.
    pub(crate) fn mend(&self) {
        self.desk().fault = None;
    }

    /// Runs the pipeline, some minutes after the usual instant.
    pub(crate) fn run(&self, minutes: u32) -> Ran {
        self.run_with(minutes, &[])
    }

    pub(crate) fn run_with(&self, minutes: u32, arguments: &[&str]) -> Ran {
        self.bench.run_with(&at(minutes), arguments, &[("TOKEN", "a-token-of-the-desk")])
    }

    /// Delivers alone; returns the exit code and the report of the sink.
    pub(crate) fn deliver(&self, arguments: &[&str]) -> (i32, Value) {
        let arguments = [&["deliver", "pipeline.yaml", "--state", "state", "--output", "json"], arguments].concat();
        let outcome = self.bench.workspace.tidegate(&arguments).env("TOKEN", "a-token-of-the-desk").run();
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
        (outcome.code.unwrap(), checked(&report[0]))
    }

    /// Returns how far the sink has come.
    pub(crate) fn status(&self) -> Value {
        let arguments = ["status", "pipeline.yaml", "--state", "state", "--output", "json"];
        let outcome = self.bench.workspace.tidegate(&arguments).run();
        let status: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
        status[0]["deliveries"][0].clone()
    }

    /// Asserts that each alert, and nothing else, has one ticket.
    pub(crate) fn assert_one_each(&self) {
        let desk = self.desk();
        let alerts: BTreeMap<String, usize> = desk.alerts.iter().map(|alert| (alert["id"].to_string(), 1)).collect();
        assert_eq!(count(&desk.tickets), alerts);
    }

    /// Returns how many tickets there are beyond one for each alert that has any.
    pub(crate) fn doubles(&self) -> u64 {
        count(&self.desk().tickets).values().map(|tickets| *tickets as u64 - 1).sum()
    }
}

/// Returns the instant of a run.
pub(crate) fn at(minutes: u32) -> String {
    format!("2026-01-03T12:{minutes:02}:00Z")
}

/// Returns an alert.
pub(crate) fn alert(number: usize) -> Value {
    json!({"id": number, "text": format!("disk {number} \"full\"")})
}

/// Returns the report of the only sink that sends, whose numbers must add up.
pub(crate) fn checked(report: &Value) -> Value {
    let delivery = report["deliveries"][0].clone();
    let number = |name: &str| delivery[name].as_u64().unwrap_or_else(|| panic!("{report}"));
    let ends = ["sent", "found", "refused", "known", "left"].map(number);
    assert_eq!(number("rows"), ends.iter().sum::<u64>(), "{delivery}");
    delivery
}

fn count(tickets: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for ticket in tickets {
        *counts.entry(ticket.clone()).or_default() += 1;
    }
    counts
}

fn answer(desk: &mut Desk, request: &Request, pace: Duration) -> Answer {
    if request.path == "/alerts" {
        // Where it is asked for a time, the alerts have one.
        let within = |alert: &&Value| {
            let time = |place: &str| request.query.get(place).map(|text| text.parse::<i64>().unwrap());
            let (at, from, to) = (alert["t"].as_i64(), time("from"), time("to"));
            from.is_none_or(|from| at >= Some(from)) && to.is_none_or(|to| at < Some(to))
        };
        return Answer::json(&json!(desk.alerts.iter().filter(within).collect::<Vec<_>>()));
    }
    if request.headers.get("authorization").map(String::as_str) != Some("Bearer a-token-of-the-desk") {
        return Answer::json(&json!({"error": "who are you?"})).status(401);
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/desk/search") => {
            if let Some(body) = desk.search {
                return Answer::bytes(body);
            }
            // One that a test has put there has no instant.
            let is_shown = |at: usize| desk.created.get(at).is_none_or(|created| created.elapsed() >= desk.lag);
            let tickets = desk.tickets.iter().enumerate();
            let total = tickets.filter(|(at, ticket)| **ticket == request.query["alert"] && is_shown(*at)).count();
            Answer::json(&json!({"total": total}))
        }
        ("POST", "/desk/tickets") => create(desk, request).after(pace).once(desk.gate.clone()),
        _ => Answer::json(&json!({"error": "no such page"})).status(404),
    }
}

/// Creates a ticket, or one for each alert of a batch: all of them or none.
fn create(desk: &mut Desk, request: &Request) -> Answer {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let alerts: Vec<String> = match &body["alerts"] {
        Value::Array(rows) => rows.iter().map(|row| row["id"].to_string()).collect(),
        _ => vec![body["alert"].to_string()],
    };
    let mut mishap = Mishap::None;
    for alert in &alerts {
        let asked = desk.asked.entry(alert.clone()).or_default();
        let next = desk.fault.as_ref().map_or(Mishap::None, |fault| fault(alert, *asked));
        *asked += 1;
        mishap = if mishap == Mishap::None { next } else { mishap };
    }
    if let Mishap::Instead(status, error) = mishap {
        return Answer::json(&json!({"error": error})).status(status);
    }
    if mishap == Mishap::Page {
        return Answer::page("<html>Scheduled maintenance</html>");
    }
    let key = request.headers.get("idempotency-key").cloned();
    let known = key.as_ref().and_then(|key| desk.keys.get(key));
    if let Some(first) = known {
        assert_eq!(*first, body, "one key for two requests");
    } else {
        desk.created.resize(desk.tickets.len() + alerts.len(), Instant::now());
        desk.tickets.extend(alerts);
    }
    desk.keys.extend(key.map(|key| (key, body)));
    let made = Answer::json(&json!({"id": desk.tickets.len()})).status(201);
    match mishap {
        Mishap::BrokenAfter => made.torn(),
        Mishap::SilentAfter => Answer::never(),
        Mishap::CreatedBut(status) => made.status(status),
        Mishap::None | Mishap::Instead(..) | Mishap::Page => made,
    }
}
