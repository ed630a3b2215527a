//! Child requests: one for each row of a page, whose answers become columns of it before it is typed, so that one mechanism types
//! everything.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value};

use super::enriched::{self, Prepared, Tally};
use super::extract::{Extraction, printed, unreadable};
use super::pages::{self, Asked};
use super::sent::Sent;
use super::{RunError, build, window};
use crate::decode::{SplitPage, check_json};
use crate::extract::http::{AnswerError, Exchange, ExchangeError, Fault, Patience, Purpose, RawAnswer};
use crate::extract::request::{Fingerprint, RenderedRequest, RequestTree};
use crate::lang::jq::Jq;
use crate::model::Slice;
use crate::pipeline::spec::{Job, Slicing};

/// How many bytes of values are kept for equal requests of later pages. Beyond it they are asked for again.
const MAX_KEPT: usize = 64 << 20;

/// Sends the child requests of one slice.
pub(super) struct Enricher {
    columns: Vec<Arc<Column>>,
    /// What templates see beside `row`.
    context: Arc<Map<String, Value>>,
    /// The value of the fan-out's variable.
    extra: Vec<Value>,
    exchange: Exchange,
    at_once: usize,
    kept: HashMap<(usize, Fingerprint), Answer>,
    kept_bytes: usize,
    tallies: Vec<Tally>,
}

/// A column that child requests make.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) tree: RequestTree,
    /// What the request has of a record.
    pub(super) sent: Sent,
    value: Jq,
    null_on_error: bool,
}

/// What a child request gave.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// A value, as JSON text.
    Value(Arc<str>),
    /// An answer that is an error, where that makes the value null.
    Failed(Arc<str>),
}

impl Extraction {
    /// Makes what sends the child requests of a slice; none for a job without any.
    pub(super) fn enricher(&self, slice: &Slice, now: DateTime<Utc>) -> Result<Option<Enricher>, RunError> {
        let job: &Job = &self.job;
        if job.enrich.is_empty() {
            return Ok(None);
        }
        let columns = job.enrich.iter().map(|enrich| {
            let tree = build::request_tree(&job.source, &enrich.request)?;
            Ok(Arc::new(Column {
                name: enrich.column.clone(),
                sent: Sent::of_request(&tree, "row"),
                tree,
                value: enrich.value.clone(),
                null_on_error: enrich.null_on_error,
            }))
        });
        let mut context = match pages::context(job, slice, &printed(now)) {
            Value::Object(names) => names,
            _ => Map::new(),
        };
        // The same for all parts of a cell, so that a request that comes again in another part is known.
        if let (Slicing::Window(spec), Some(cell)) = (&job.slicing, slice.window()) {
            context.insert("window".to_owned(), window::variable(spec, cell));
        }
        let rules = Arc::new(self.exchange.rules.without_empty());
        let patience = Patience { purpose: Purpose::Detail, ..self.exchange.patience.clone() };
        Ok(Some(Enricher {
            columns: columns.collect::<Result<_, RunError>>()?,
            context: Arc::new(context),
            extra: pages::fan_out(job, slice),
            exchange: Exchange { rules, patience, ..self.exchange.clone() },
            at_once: job.source.concurrency as usize,
            kept: HashMap::new(),
            kept_bytes: 0,
            tallies: job.enrich.iter().map(|enrich| Tally::new(&enrich.column)).collect(),
        }))
    }
}

impl Enricher {
    /// Adds the columns to the records of a page, but to those in `skipped`. Returns the bytes received.
    pub(super) async fn enrich(
        &mut self,
        page: &mut SplitPage,
        skipped: &BTreeSet<usize>,
        asked: &Asked,
    ) -> Result<u64, RunError> {
        let mut bytes = 0;
        if self.kept_bytes > MAX_KEPT {
            self.kept.clear();
            self.kept_bytes = 0;
        }
        for at in 0..self.columns.len() {
            let Some(column) = self.columns.get(at).map(Arc::clone) else { continue };
            let (records, context, skipped) =
                (std::mem::take(&mut page.records), Arc::clone(&self.context), skipped.clone());
            let (line, of) = (asked.line.clone(), Arc::clone(&column));
            let prepare = move || {
                let prepared = enriched::prepare(&of, &records, &skipped, &context);
                prepared.map(|prepared| (records, prepared)).map_err(|failed| failed.of(&of.name, &line))
            };
            let (records, prepared) = tokio::task::spawn_blocking(prepare).await??;
            bytes += self.ask_all(at, &column, &prepared, asked).await?;
            page.records = self.splice(at, column, records, prepared).await?;
        }
        Ok(bytes)
    }

    /// Sends the requests that haven't been sent in this slice, each once.
    async fn ask_all(
        &mut self,
        at: usize,
        column: &Arc<Column>,
        prepared: &[Option<Prepared>],
        asked: &Asked,
    ) -> Result<u64, RunError> {
        let mut wanted = BTreeSet::new();
        let new = prepared.iter().enumerate().filter_map(|(row, prepared)| Some((row, prepared.as_ref()?)));
        let new = new.filter(|(_, prepared)| {
            !self.kept.contains_key(&(at, prepared.fingerprint)) && wanted.insert(prepared.fingerprint)
        });
        let new: Vec<(usize, &Prepared)> = new.collect();
        let mut bytes = 0;
        let this = &*self;
        let answers = futures::stream::iter(new).map(|(row, prepared)| async move {
            let answer = this.ask(column, &prepared.request).await;
            let answer = answer.map_err(|source| enriched::Failed { row, source }.of(&column.name, &asked.line));
            answer.map(|(answer, bytes)| (prepared.fingerprint, answer, bytes))
        });
        // In the order of the rows, so that the first error is that of the first row.
        let answers: Vec<_> = answers.buffered(self.at_once).try_collect().await?;
        for (fingerprint, answer, received) in answers {
            bytes += received;
            self.kept_bytes += answer.len();
            self.kept.insert((at, fingerprint), answer);
        }
        Ok(bytes)
    }

    /// Puts the values into the records.
    async fn splice(
        &mut self,
        at: usize,
        column: Arc<Column>,
        records: Vec<String>,
        prepared: Vec<Option<Prepared>>,
    ) -> Result<Vec<String>, RunError> {
        let answer = |prepared: Option<Prepared>| self.kept.get(&(at, prepared?.fingerprint)).cloned();
        let answers: Vec<Option<Answer>> = prepared.into_iter().map(answer).collect();
        if let Some(tally) = self.tallies.get_mut(at) {
            answers.iter().flatten().for_each(|answer| tally.note(answer));
        }
        let splice = move || {
            let put = |(record, answer): (String, Option<Answer>)| enriched::put(record, &column.name, answer.as_ref());
            records.into_iter().zip(answers).map(put).collect()
        };
        Ok(tokio::task::spawn_blocking(splice).await?)
    }

    /// Sends one request; returns what it gave, and the bytes received.
    async fn ask(&self, column: &Arc<Column>, request: &RenderedRequest) -> Result<(Answer, u64), RunError> {
        let read = |answer: &RawAnswer| match check_json(&answer.body) {
            Ok(body) => (body, None),
            Err(broken) => (Value::Null, Some(broken)),
        };
        let redactor = self.exchange.client.redactor();
        let answered = match self.exchange.send(request, self.extra.clone(), read).await {
            Ok(answered) => answered,
            Err(ExchangeError::Answer(error)) if column.null_on_error && is_about_the_row(&error) => {
                return Ok((Answer::Failed(error.to_string().into()), 0));
            }
            Err(error) => return Err(error.into()),
        };
        let (answer, line) = (answered.answer, redactor.scrub(&request.line()));
        let bytes = answer.body.len() as u64;
        if let Some(Some(source)) = answered.page {
            let error = unreadable(redactor, &line, &answer, source);
            return if column.null_on_error { Ok((Answer::Failed(error.chain().into()), bytes)) } else { Err(error) };
        }
        let vars = [vec![answer.status.as_u16().into(), answer.headers], self.extra.clone()].concat();
        let of = Arc::clone(column);
        let outputs = tokio::task::spawn_blocking(move || of.value.run_on_bytes(&answer.body, &vars)).await?;
        let outputs =
            outputs.map_err(|source| RunError::Expression { request: line.clone(), field: "enrich.value", source })?;
        match &outputs[..] {
            [] => Ok((Answer::Value("null".into()), bytes)),
            [value] => Ok((Answer::Value(value.as_str().into()), bytes)),
            several => {
                let problem = format!(
                    "`enrich.{}.value` gives {} values, and a column has one in a row; put them into a list: `[...]`",
                    column.name,
                    several.len()
                );
                Err(RunError::Answer { request: line, problem })
            }
        }
    }

    /// Returns what a person should know of the requests.
    pub(super) fn notes(&self, slice: &Slice) -> impl Iterator<Item = String> {
        let notes = self.tallies.iter().filter_map(Tally::sentence);
        notes.map(move |note| format!("slice {}: {note}", slice.id))
    }
}

impl Answer {
    fn len(&self) -> usize {
        match self {
            Self::Value(text) | Self::Failed(text) => text.len(),
        }
    }
}

/// Tells whether an answer that is an error says something of the row that was asked for. One that can't be judged doesn't, nor
/// does one that refuses the credential, nor one that says that the server, or what stands before it, can't answer now.
fn is_about_the_row(error: &AnswerError) -> bool {
    error.fault == Fault::Request && !matches!(error.status, 429 | 502 | 503 | 504)
}
