//! What is sent after a run: `on_success` and `on_failure` of the pipeline file, and reports.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::{Env, build, hidden};
use crate::clock::Clock;
use crate::extract::auth::{CredentialGate, EachTry, Redactor};
use crate::extract::http::{
    CutCheck, HostSlots, HttpClient, HttpError, HttpOptions, RetryPolicy, TransportKind, is_loopback, tries,
};
use crate::extract::request::{Payload, RequestSpec, RequestTree};
use crate::lang::tree::Tree;
use crate::model::{AnswerFormat, Exit, RunEnd, SliceOutcome};
use crate::pipeline::spec::{Hook, Pipeline};

/// The longest that one try may take: the run has ended, and others may wait for the process.
const ONE_TRY: Duration = Duration::from_secs(10);

/// The longest that all tries may take.
const ALL_TRIES: Duration = Duration::from_secs(45);

/// How a request after a run is tried.
const RETRY: RetryPolicy =
    RetryPolicy { attempts: 4, max_delay: Duration::from_secs(10), base: Duration::from_millis(500) };

/// The header that names a hook of a run, the same in each try, so that its server can tell one that comes twice: one that didn't answer
/// may have heard. Source: the `IETF`'s draft `idempotency-key-header`.
const ONCE: &str = "idempotency-key";

/// Why a request after a run couldn't be sent. Of the URL it says the origin only: the rest may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {reason}")]
pub struct PostError {
    /// Where it was to go.
    origin: String,
    /// What went wrong.
    reason: String,
}

/// Returns the hook that the pipeline has for such an end, and its field.
#[must_use]
pub fn hook(pipeline: &Pipeline, exit: Exit) -> Option<(&'static str, &Hook)> {
    let (field, hook) = match exit {
        Exit::Done => ("on_success", &pipeline.on_success),
        exit if exit.is_failure() => ("on_failure", &pipeline.on_failure),
        _ => return None,
    };
    Some((field, hook.as_ref()?))
}

/// Sends the hook that the pipeline has for such an end; nothing where it has none. It is sent once, with a few tries. One that can't be
/// sent is told in the log, and changes nothing.
pub async fn notify(pipeline: &Pipeline, end: &RunEnd, env: &Env) {
    let Some((field, hook)) = hook(pipeline, end.exit_code) else { return };
    let (pipeline, run) = (&end.pipeline, &end.run);
    match send_to(field, hook, end, Arc::clone(&env.clock)).await {
        Ok(()) => tracing::info!(%pipeline, %run, hook = field, "hook sent"),
        Err(error) => {
            tracing::error!(%pipeline, %run, hook = field, %error, "a hook can't be sent; the run stays as it ended");
        }
    }
}

async fn send_to(field: &str, hook: &Hook, end: &RunEnd, clock: Arc<dyn Clock>) -> Result<(), PostError> {
    let headers = hook.headers.iter().map(|(name, value)| (name.clone(), build::tree(value)));
    let mut headers: IndexMap<String, Tree> = headers.collect();
    if !headers.keys().any(|name| name.eq_ignore_ascii_case(ONCE)) {
        headers.insert(ONCE.to_owned(), Tree::from(Value::from(format!("{}-{field}", end.run))));
    }
    let post = Post::new(&hook.url, format!("the `post` of {field}"), headers, hook.body.as_ref().map(build::tree))?;
    post.redactor.know(&hidden::of_hook(hook));
    let body = hook.body.is_none().then(|| document(end)).transpose().map_err(|error| post.error(error.to_string()))?;
    post.send(&json!({ "run": variable(end) }), body, clock).await
}

/// Posts a document as JSON, with a few tries. `named` says what to check where the URL leads nowhere, such as `--report`.
///
/// # Errors
/// The server can't be reached, or doesn't answer with 2xx.
pub async fn post<T: Serialize + Sync>(
    url: &Url,
    named: &str,
    value: &T,
    clock: Arc<dyn Clock>,
) -> Result<(), PostError> {
    let post = Post::new(url, named.to_owned(), IndexMap::new(), None)?;
    let body = document(value).map_err(|error| post.error(error.to_string()))?;
    post.send(&Value::Null, Some(body), clock).await
}

fn document<T: Serialize>(value: &T) -> Result<Tree, serde_json::Error> {
    Ok(Tree::from(serde_json::to_value(value)?))
}

/// A request that is about to be sent after a run.
struct Post<'u> {
    url: &'u Url,
    /// Where that stands, for a person.
    named: String,
    tree: RequestTree,
    redactor: Redactor,
}

impl<'u> Post<'u> {
    fn new(
        url: &'u Url,
        named: String,
        headers: IndexMap<String, Tree>,
        body: Option<Tree>,
    ) -> Result<Self, PostError> {
        let spec = RequestSpec { method: http::Method::POST.into(), headers, body, ..RequestSpec::default() };
        let origin = url.origin().ascii_serialization();
        match RequestTree::compile(&origin, spec) {
            Ok(tree) => Ok(Self { url, named, tree, redactor: Redactor::new(&hidden::of_url(url)) }),
            Err(error) => Err(PostError { origin, reason: error.to_string() }),
        }
    }

    fn error(&self, reason: impl Into<String>) -> PostError {
        PostError { origin: self.url.origin().ascii_serialization(), reason: reason.into() }
    }

    /// Says what to do about a request without an answer: it isn't a source's, so it has no `base_url`, no `timeout` and no pages.
    fn what_to_do(&self, kind: TransportKind) -> String {
        let named = &self.named;
        match kind {
            TransportKind::Timeout => {
                format!("its server must answer within {} s: check it, and {named}", ONE_TRY.as_secs())
            }
            TransportKind::Tls => format!("check the certificate of its server, and {named}"),
            TransportKind::ProxyAuth => "check the user and the password of HTTPS_PROXY".to_owned(),
            TransportKind::Connect => format!("check {named}, and the network"),
            _ => format!("check its server, what is between, and {named}"),
        }
    }

    /// Makes the error of a request without an answer.
    fn unsent(&self, mut error: HttpError) -> PostError {
        if let HttpError::Transport { kind, note: note @ None, .. } = &mut error {
            *note = Some(self.what_to_do(*kind));
        }
        self.error(crate::objects::chain(&error))
    }

    async fn send(&self, context: &Value, body: Option<Tree>, clock: Arc<dyn Clock>) -> Result<(), PostError> {
        let mut request = self.tree.render(context, &[]).map_err(|error| self.error(crate::objects::chain(&error)))?;
        request.follow(self.url);
        if let Some(body) = body {
            request.payload = Payload::Json(body);
        }
        let options = HttpOptions {
            request_timeout: ONE_TRY,
            environment_proxy: !is_loopback(self.url),
            retry: RETRY,
            ..HttpOptions::default()
        };
        let client = HttpClient::new(options, Arc::new(HostSlots::new()), self.redactor.clone(), clock)
            .map_err(|error| self.error(crate::objects::chain(&error)))?;
        let pass = CredentialGate::new().enter(None).await.map_err(|error| self.error(error.to_string()))?;
        let cut = CutCheck { format: AnswerFormat::Json, is_cut: |_, _| false };
        let fetch = client.fetch(&request, "the request", &pass, EachTry::Nothing, cut);
        let answer = match tokio::time::timeout(ALL_TRIES, fetch).await {
            Ok(answer) => answer.map_err(|error| self.unsent(error))?,
            Err(_) => return Err(self.error(format!("no answer within {} s", ALL_TRIES.as_secs()))),
        };
        if answer.status.is_success() {
            return Ok(());
        }
        let said = crate::extract::auth::excerpt(client.redactor(), &answer.body);
        Err(self.error(format!("status {} after {}: {said}", answer.status.as_u16(), tries(answer.attempts))))
    }
}

/// Makes the variable `run` of a hook's templates; [`crate::pipeline::file::HookFile`] lists what it has.
fn variable(end: &RunEnd) -> Value {
    let report = end.report.as_ref();
    let slices = |is: fn(&SliceOutcome) -> bool| report.map_or(0, |report| report.count(is));
    let sum = |of: fn(&crate::model::RowCounts) -> u64| -> u64 {
        report.iter().flat_map(|report| &report.jobs).map(|job| of(&job.rows())).sum()
    };
    let landed: u64 = report
        .iter()
        .flat_map(|report| &report.jobs)
        .flat_map(|job| &job.slices)
        .filter(|slice| slice.outcome == SliceOutcome::Landed)
        .map(|slice| slice.rows.transformed)
        .sum();
    json!({
        "pipeline": end.pipeline,
        "id": end.run,
        "scheduled_for": end.scheduled_for,
        "started": end.started,
        "ended": end.ended,
        "seconds": (end.ended - end.started).as_seconds_f64(),
        "exit_code": end.exit_code,
        "outcome": if end.exit_code.is_failure() { "failed" } else { "succeeded" },
        "error": end.first_error().unwrap_or_default(),
        "slices": {
            "landed": slices(|outcome| *outcome == SliceOutcome::Landed),
            "unchanged": slices(|outcome| *outcome == SliceOutcome::Unchanged),
            "failed": slices(|outcome| matches!(outcome, SliceOutcome::Failed { .. })),
        },
        "rows": {
            "received": sum(|rows| rows.received),
            "landed": landed,
            "quarantined": sum(|rows| rows.quarantined),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PipelineName, RunId};
    use crate::pipeline::file::RUN_FIELDS;

    #[test]
    fn a_url_that_leads_nowhere_is_named_as_it_was_given() {
        let url = Url::parse("http://127.0.0.1:9/secret").unwrap();
        let post = Post::new(&url, "--report".to_owned(), IndexMap::new(), None).unwrap();
        let error = HttpError::Transport {
            request: "the request".to_owned(),
            origin: "http://127.0.0.1:9".to_owned(),
            kind: TransportKind::Connect,
            attempts: 4,
            reason: "refused".to_owned(),
            note: None,
        };
        let said = post.unsent(error.clone()).to_string();
        assert!(said.ends_with("(refused); check --report, and the network"), "{said}");
        for (of, expected) in [
            (TransportKind::Timeout, "; its server must answer within 10 s: check it, and --report"),
            (TransportKind::TornBody, "; check its server, what is between, and --report"),
        ] {
            let mut error = error.clone();
            if let HttpError::Transport { kind, .. } = &mut error {
                *kind = of;
            }
            let said = post.unsent(error).to_string();
            assert!(said.ends_with(expected), "{said}");
        }
    }

    #[test]
    fn the_variable_has_the_fields_that_the_checker_knows() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let end = RunEnd {
            pipeline: PipelineName::new("p"),
            run: RunId::new("r"),
            asked: crate::model::Asked::new("run"),
            scheduled_for: None,
            started: at,
            ended: at,
            exit_code: Exit::Bug,
            error: Some("boom".to_owned()),
            remedy: None,
            report: None,
        };
        let value = variable(&end);
        let mut fields = Vec::new();
        for (name, value) in value.as_object().unwrap() {
            match value.as_object() {
                Some(inner) => fields.extend(inner.keys().map(|inner| format!("{name}.{inner}"))),
                None => fields.push(name.clone()),
            }
        }
        assert_eq!(fields, RUN_FIELDS);
        assert_eq!(
            (&value["error"], &value["outcome"], &value["exit_code"]),
            (&json!("boom"), &json!("failed"), &json!(70))
        );
    }
}
