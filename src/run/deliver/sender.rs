//! One request with rows in it: rendered, maybe looked up, sent, and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::backlog::Row;
use crate::decode::check_json;
use crate::extract::auth::{Redactor, excerpt};
use crate::extract::http::{Exchange, ExchangeError, Fault, HttpError, RawAnswer};
use crate::extract::request::{RenderedRequest, RequestError, RequestTree};
use crate::lang::jq::{Jq, root_paths};
use crate::ledger::RowKey;
use crate::pipeline::spec::Outbox;
use crate::run::extract::unreadable;
use crate::run::{Env, RunError, build};

/// Sends the rows of an outbox.
#[derive(Debug)]
pub(super) struct Sender {
    tree: RequestTree,
    send: Exchange,
    find: Option<Lookup>,
    batched: bool,
    idempotency_header: Option<String>,
    /// Whether the file says what a success looks like.
    has_success: bool,
}

/// A request that is made of rows.
#[derive(Debug, Clone)]
pub(super) struct Made {
    request: RenderedRequest,
    /// A digest of the rows and of what the server knows the request by; none where it doesn't know it again.
    pub(super) mark: Option<String>,
    /// About how many bytes the rows have, as JSON.
    pub(super) bytes: usize,
}

/// Looks a row up.
#[derive(Debug)]
struct Lookup {
    tree: RequestTree,
    exchange: Exchange,
    found: Arc<Jq>,
    /// Whether `found` looks at the body.
    reads_body: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server took it.
    Sent,
    /// The rows were there.
    Found,
    /// The server will never take it.
    Refused {
        /// Why.
        reason: String,
        /// Whether it may have acted upon an earlier try.
        maybe_heard: bool,
    },
    /// It may have been heard, or not; why. Another try may help.
    Unclear(String),
    /// Nothing more is to be sent.
    Stopped {
        /// Why.
        error: String,
        /// Whether it surely wasn't acted upon.
        unheard: bool,
    },
}

impl Sender {
    /// Prepares the requests of an outbox.
    pub(super) fn new(outbox: &Outbox, env: &Env) -> Result<Self, RunError> {
        let (send, find) = env.sources.delivery(outbox, &env.bounds.requests)?;
        let find = match (&outbox.find, find) {
            (Some(find), Some(exchange)) => Some(Lookup {
                tree: build::request_tree(&outbox.source, &find.request)?,
                exchange,
                found: Arc::new(find.found.clone()),
                reads_body: !root_paths(find.found.text()).is_empty(),
            }),
            _ => None,
        };
        let tree = build::request_tree(&outbox.source, &outbox.request)?;
        let idempotency_header = outbox.idempotency_header.clone();
        let (batched, has_success) = (outbox.batch.is_some(), outbox.source.success.is_some());
        Ok(Self { tree, send, find, batched, idempotency_header, has_success })
    }

    /// Returns what knows the secrets of the sink.
    pub(super) fn redactor(&self) -> &Redactor {
        self.send.client.redactor()
    }

    /// Renders the request for some rows.
    pub(super) fn render(&self, rows: &[Row]) -> Result<RenderedRequest, RequestError> {
        self.tree.render(&context(rows, self.batched), &[])
    }

    /// Makes the request for some rows, or says why there is none.
    pub(super) fn make(&self, rows: &[Row]) -> Result<Made, String> {
        let request = self.render(rows).map_err(|error| self.redactor().scrub(&error.to_string()))?;
        let texts: Vec<String> = rows.iter().map(|row| row.value.to_string()).collect();
        let known_by = self.idempotency_header.as_ref().and_then(|name| request.headers.get(name));
        let mark = known_by.map(|value| {
            let (value, shape) = (String::from_utf8_lossy(value.as_bytes()), if self.batched { "rows" } else { "row" });
            RowKey::of([shape, &*value].into_iter().chain(texts.iter().map(String::as_str))).to_string()
        });
        Ok(Made { request, mark, bytes: texts.iter().map(String::len).sum() })
    }

    /// Sends some rows: once, unless the server surely didn't hear it, or knows it again. It was tried `tries` times before.
    pub(super) async fn send(&self, rows: &[Row], made: &Made, tries: u32) -> Ended {
        match self.find(rows).await {
            Ok(false) => {}
            Ok(true) => return Ended::Found,
            Err(error) => {
                let error = format!("`find`: {}", error.scrubbed(self.redactor()).chain());
                return Ended::Stopped { error, unheard: false };
            }
        }
        let read = |answer: &RawAnswer| (serde_json::from_slice(&answer.body).unwrap_or_default(), ());
        let (mut send, maybe_heard) = (self.send.clone(), Arc::new(AtomicU64::new(0)));
        send.patience.maybe_heard = Arc::clone(&maybe_heard);
        match send.send(&made.request, Vec::new(), read).await {
            Ok(answered) if answered.empty => Ended::Found,
            Ok(answered) if !self.has_success && is_page(&answered.answer) => {
                Ended::Stopped { error: self.no_word(&made.request, &answered.answer), unheard: false }
            }
            Ok(_) => Ended::Sent,
            Err(error) => {
                let maybe_heard = maybe_heard.load(Ordering::Relaxed) > 0;
                ended(error, &Before { finds: self.find.is_some(), tries, maybe_heard })
            }
        }
    }

    /// Says of an answer that it says nothing of the rows.
    fn no_word(&self, request: &RenderedRequest, answer: &RawAnswer) -> String {
        format!(
            "{}: status {}: the answer is a page of HTML, as proxies and logins give, so it isn't known whether the row was taken: check \
             base_url and auth; if the server answers so, let `success` say when it took it, such as `$status == 200`; body: {}",
            self.redactor().scrub(&request.line()),
            answer.status.as_u16(),
            excerpt(self.redactor(), &answer.body)
        )
    }

    /// Tells whether the rows are there.
    async fn find(&self, rows: &[Row]) -> Result<bool, RunError> {
        let Some(lookup) = &self.find else { return Ok(false) };
        let request = lookup.tree.render(&context(rows, self.batched), &[])?;
        let read = |answer: &RawAnswer| {
            let body = check_json(&answer.body);
            (body.as_ref().map_or(Value::Null, Value::clone), body)
        };
        let answered = lookup.exchange.send(&request, Vec::new(), read).await?;
        let Some(body) = answered.page.filter(|_| !answered.empty) else { return Ok(false) };
        let line = self.redactor().scrub(&request.line());
        let body = match body {
            Ok(Value::Null) if lookup.reads_body => {
                let problem = "it is null, which says nothing of the row".to_owned();
                return Err(RunError::Answer { request: line, problem });
            }
            Ok(body) => body,
            // A page of a proxy says nothing of the row.
            Err(source) if lookup.reads_body => {
                return Err(unreadable(self.redactor(), &line, &answered.answer, source));
            }
            Err(_) => Value::Null,
        };
        let vars = [answered.answer.status.as_u16().into(), answered.answer.headers];
        let found = Arc::clone(&lookup.found);
        let value = tokio::task::spawn_blocking(move || found.one(&body, &vars)).await?;
        match value.map_err(|source| RunError::Expression { request: line.clone(), field: "find.found", source })? {
            Value::Bool(found) => Ok(found),
            other => {
                let shown: String = other.to_string().chars().take(40).collect();
                let problem =
                    format!("`find.found` gives {shown}; it must give true or false, such as by `.total > 0`");
                Err(RunError::Answer { request: line, problem })
            }
        }
    }
}

/// Tells whether an answer is a page for people.
fn is_page(answer: &RawAnswer) -> bool {
    let kind = answer.headers.get("content-type").and_then(Value::as_str).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Returns what templates see.
fn context(rows: &[Row], batched: bool) -> Value {
    match rows {
        [row] if !batched => json!({"row": row.value, "key": row.key.to_string()}),
        rows => {
            let keys: Vec<RowKey> = rows.iter().map(|row| row.key).collect();
            let values: Vec<&Value> = rows.iter().map(|row| &row.value).collect();
            json!({"rows": values, "key": RowKey::of_rows(&keys).to_string()})
        }
    }
}

/// What went before the last try of a request.
#[derive(Debug, Default)]
struct Before {
    /// Whether its row is looked up before it is sent again.
    finds: bool,
    /// How often it was sent before, each time with tries of its own.
    tries: u32,
    /// Whether the server may have acted upon an earlier try of this time.
    maybe_heard: bool,
}

/// Says of an error whether the request may have been acted upon, and whether to go on.
fn ended(mut error: ExchangeError, before: &Before) -> Ended {
    match &mut error {
        ExchangeError::Answer(answer) => answer.attempts += before.tries,
        ExchangeError::Http(HttpError::Transport { attempts, .. }) => *attempts += before.tries,
        _ => {}
    }
    let text = error.to_string();
    let stopped = |unheard: bool| Ended::Stopped { error: text.clone(), unheard: unheard && !before.maybe_heard };
    match &error {
        ExchangeError::Answer(answer) => match (answer.fault, answer.status) {
            (Fault::Sent, _) => Ended::Refused { reason: text, maybe_heard: before.maybe_heard },
            // What it means nobody can say: it would be sent again and again.
            (Fault::Request | Fault::Rule, 200..300) if !before.finds => stopped(false),
            (Fault::Request | Fault::Rule, 200..300 | 500..) => Ended::Unclear(text),
            // It was acted upon as like as not, and the browser that the answer is meant for is led on (RFC 9110, section 15.4).
            (Fault::Request | Fault::Rule, 300..=303) => stopped(false),
            _ => stopped(true),
        },
        ExchangeError::Http(HttpError::Transport { kind, .. }) if !kind.is_unheard() => Ended::Unclear(text),
        ExchangeError::Http(
            HttpError::TooLarge { .. } | HttpError::Encoding { .. } | HttpError::Rule { .. } | HttpError::NoRoom { .. },
        )
        | ExchangeError::Work { .. } => stopped(false),
        _ => stopped(true),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::extract::http::{AnswerError, TransportKind};

    fn answered(status: u16, fault: Fault, before: &Before) -> Ended {
        let error = AnswerError {
            request: "POST /t".to_owned(),
            status,
            fault,
            attempts: 1,
            elapsed: Duration::ZERO,
            reason: "no".to_owned(),
            excerpt: String::new(),
            hint: "look".to_owned(),
        };
        ended(ExchangeError::Answer(Box::new(error)), before)
    }

    fn answer(status: u16, fault: Fault, finds: bool) -> Ended {
        answered(status, fault, &Before { finds, ..Before::default() })
    }

    fn network(kind: TransportKind, maybe_heard: bool) -> Ended {
        let (request, origin) = ("POST /t".to_owned(), "http://h".to_owned());
        let error = HttpError::Transport { request, origin, kind, attempts: 1, reason: String::new(), note: None };
        ended(error.into(), &Before { tries: 2, maybe_heard, ..Before::default() })
    }

    #[test]
    fn only_what_may_have_been_heard_is_unclear() {
        let unheard = |ended| matches!(ended, Ended::Stopped { unheard: true, .. });
        for status in [307, 308, 400, 403, 404, 409, 429] {
            assert!(unheard(answer(status, Fault::Request, false)), "{status}");
        }
        // What was created may be shown elsewhere.
        for status in 300..=303 {
            let ended = answer(status, Fault::Request, false);
            assert!(matches!(ended, Ended::Stopped { unheard: false, .. }), "{status}: {ended:?}");
        }
        for status in [500, 502, 503, 504, 599] {
            assert!(matches!(answer(status, Fault::Request, false), Ended::Unclear(_)), "{status}");
        }
        assert!(matches!(answer(400, Fault::Sent, false), Ended::Refused { maybe_heard: false, .. }));
        assert!(unheard(answer(403, Fault::Credential, false)));
        assert!(matches!(answer(200, Fault::Rule, false), Ended::Stopped { unheard: false, .. }));
        assert!(matches!(answer(200, Fault::Request, true), Ended::Unclear(_)));
        for kind in [TransportKind::Timeout, TransportKind::Broken, TransportKind::TornBody] {
            assert!(matches!(network(kind, false), Ended::Unclear(_)), "{kind}");
        }
        for kind in [TransportKind::Connect, TransportKind::Tls, TransportKind::ProxyAuth, TransportKind::Unsendable] {
            assert!(unheard(network(kind, false)), "{kind}");
        }
    }

    #[test]
    fn what_an_earlier_try_may_have_done_is_in_doubt_whatever_the_last_one_says() {
        let before = Before { maybe_heard: true, ..Before::default() };
        for ended in [network(TransportKind::Connect, true), answered(403, Fault::Credential, &before)] {
            assert!(matches!(ended, Ended::Stopped { unheard: false, .. }), "{ended:?}");
        }
        assert!(matches!(answered(400, Fault::Sent, &before), Ended::Refused { maybe_heard: true, .. }));
    }

    #[test]
    fn tries_of_before_count() {
        let Ended::Unclear(text) = network(TransportKind::Timeout, false) else { panic!("unclear") };
        assert!(text.contains("after 3 tries"), "{text}");
    }

    #[test]
    fn templates_see_a_row_or_rows() {
        let row = |n: u64| Row { key: RowKey::of([n.to_string().as_str()]), value: json!({"id": n}) };
        let one = context(&[row(1)], false);
        assert_eq!((&one["row"]["id"], one["key"].as_str().unwrap().len()), (&json!(1), 32));
        let (batch, turned) = (context(&[row(1), row(2)], true), context(&[row(2), row(1)], true));
        assert_eq!(batch["rows"], json!([{"id": 1}, {"id": 2}]));
        assert_ne!(batch["key"], turned["key"]);
        assert_eq!(context(&[row(1)], true)["rows"], json!([{"id": 1}]));
    }
}
