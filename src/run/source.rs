//! The clients of a run: one for each origin and credential, shared by all jobs that use them.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use super::{RunError, auth, hidden};
use crate::clock::{Clock, SystemClock};
use crate::extract::auth::{Auth, CredentialGate, CredentialId, Redactor, Session};
use crate::extract::http::{
    CutCheck, DEFAULT_MEMORY_LIMIT, EnvelopeReader, Exchange, HostSlots, HttpClient, HttpOptions, Memory, Patience,
    Proxy, Purpose, RateLimit, Repeat, RetryPolicy, RuleTexts, Rules, Tape, is_loopback, proxy_credential,
};
use crate::lang::Selector;
use crate::lang::jq::Jq;
use crate::pipeline::spec::{self, Job, Outbox, Pipeline, Source};

/// The clients of a process. Keep one: its limits for a host and its memory of refused credentials count over all runs.
#[derive(Debug)]
pub struct Sources {
    clock: Arc<dyn Clock>,
    slots: Arc<HostSlots>,
    memory: Arc<Memory>,
    gate: CredentialGate,
    clients: Mutex<HashMap<ClientKey, Arc<HttpClient>>>,
    sessions: Mutex<HashMap<CredentialId, Arc<Session>>>,
    tape: Tape,
}

/// What tells clients apart: the origin with the options of the transport, the credential, and that of the proxy.
type ClientKey = (String, Option<CredentialId>, Option<CredentialId>);

impl Default for Sources {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY_LIMIT)
    }
}

impl Sources {
    /// Makes the clients of a process, whose answers in flight take about `memory_limit` bytes.
    #[must_use]
    pub fn new(memory_limit: u64) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            slots: Arc::new(HostSlots::new()),
            memory: Arc::new(Memory::new(memory_limit)),
            gate: CredentialGate::new(),
            clients: Mutex::default(),
            sessions: Mutex::default(),
            tape: Tape::Off,
        }
    }

    /// Has the answers to its clients taken down, or given in the servers' place.
    #[must_use]
    pub fn on(self, tape: Tape) -> Self {
        Self { tape, ..self }
    }

    /// Returns what sends the requests of a job. `sent` counts them.
    pub(super) fn exchange(&self, job: &Job, sent: &Arc<AtomicU64>) -> Result<Exchange, RunError> {
        let extra: Vec<&str> = job.for_each.iter().map(|for_each| for_each.name.as_str()).collect();
        let rules = Rules::compile(&texts(&job.source), &extra)?;
        let patience = Patience { envelope: Some(envelope(job)), sent: Arc::clone(sent), ..Patience::default() };
        let exchange = self.exchange_of(&job.source, rules, patience, weight(&job.records))?;
        exchange.client.redactor().know(&hidden::of_job(job));
        Ok(exchange)
    }

    /// Returns what sends the rows of an outbox, and what looks them up, where it does. One whose requests can't be known again sends
    /// each once more only where the server surely didn't hear it. `sent` counts the requests.
    pub(super) fn delivery(
        &self,
        outbox: &Outbox,
        sent: &Arc<AtomicU64>,
    ) -> Result<(Exchange, Option<Exchange>), RunError> {
        let refused = Some(outbox.refused.text().to_owned());
        let rules = Rules::compile(&RuleTexts { refused, ..texts(&outbox.source) }, &[])?;
        let repeat = if outbox.idempotency_header.is_some() { Repeat::Any } else { Repeat::Unheard };
        let patience =
            |repeat| Patience { repeat, sent: Arc::clone(sent), purpose: Purpose::Sink, ..Patience::default() };
        let sends = self.exchange_of(&outbox.source, rules, patience(repeat), WHOLE_TREE)?;
        sends.client.redactor().know(&hidden::of_outbox(outbox));
        let find = outbox.find.as_ref().map(|find| {
            let empty = find.absent.as_ref().map(|rule| rule.text().to_owned());
            let rules = Rules::compile(&RuleTexts { empty, ..texts(&outbox.source) }, &[])?;
            Ok::<_, RunError>(Exchange { rules: Arc::new(rules), patience: patience(Repeat::Any), ..sends.clone() })
        });
        Ok((sends, find.transpose()?))
    }

    fn exchange_of(
        &self,
        source: &Source,
        rules: Rules,
        patience: Patience,
        weight: u64,
    ) -> Result<Exchange, RunError> {
        let auth = Arc::new(self.shared(auth::auth(source)?));
        let client = self.client(source, &auth)?;
        let cut = CutCheck { format: source.format, is_cut: crate::decode::is_cut };
        Ok(Exchange { client, gate: self.gate.clone(), auth, rules: Arc::new(rules), cut, patience, weight })
    }

    /// Returns what takes all secrets of a pipeline out of a text.
    ///
    /// # Errors
    /// Where the clients can't be made, such as for a certificate that can't be read.
    pub fn secrets(&self, pipeline: &Pipeline) -> Result<Redactor, RunError> {
        let (all, sent) = (Redactor::default(), Arc::default());
        for job in &pipeline.jobs {
            let outboxes = job.outboxes.iter().map(|outbox| Ok(self.delivery(outbox, &sent)?.0));
            for exchange in outboxes.chain([self.exchange(job, &sent)]) {
                all.know(&exchange?.client.redactor().secrets());
            }
        }
        let hooks = [&pipeline.on_failure, &pipeline.on_success].into_iter().flatten();
        hooks.for_each(|hook| all.know(&hidden::of_hook(hook)));
        Ok(all)
    }

    /// Returns the gate of the process.
    pub(super) const fn gate(&self) -> &CredentialGate {
        &self.gate
    }

    /// Returns the credentials that a source's requests carry, its own and that of the proxy, each with the mark under which a refusal is
    /// remembered.
    pub(super) fn marks(source: &Source) -> impl Iterator<Item = (String, CredentialId)> + use<> {
        let origin = source.base_url.origin().ascii_serialization();
        let own = auth::auth(source).ok().and_then(|auth| Some((auth.mark(&origin)?, auth.credential()?)));
        own.into_iter().chain(proxy_credential(&options(source), &source.base_url))
    }

    /// Returns the session that other jobs use already, where the credential has one.
    fn shared(&self, auth: Auth) -> Auth {
        let Auth::Session(session) = auth else { return auth };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        Auth::Session(Arc::clone(sessions.entry(session.id().clone()).or_insert(session)))
    }

    fn client(&self, source: &Source, auth: &Auth) -> Result<Arc<HttpClient>, RunError> {
        let options = options(source);
        let origin = source.base_url.origin().ascii_serialization();
        let key = (format!("{origin} {options:?}"), auth.credential(), own_proxy(source));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(Arc::clone(client));
        }
        if source.insecure_skip_verify {
            tracing::warn!(
                url = %source.base_url,
                "tls.insecure_skip_verify: any certificate is trusted, so whoever stands between can read the credential"
            );
        }
        let redactor = auth.redactor();
        let client = HttpClient::new(options, Arc::clone(&self.slots), redactor, Arc::clone(&self.clock))?;
        let client = client.within(Arc::clone(&self.memory)).behind(self.gate.clone()).on(self.tape.clone());
        Ok(Arc::clone(clients.entry(key).or_insert(Arc::new(client))))
    }
}

/// How many bytes a tree of a body takes for each of the body.
const WHOLE_TREE: u64 = 8;

/// Returns how many bytes the work on a page takes for each of its body. Columns take about as much as the text that they come of;
/// a program builds a tree of the whole body first.
const fn weight(records: &Selector) -> u64 {
    match records {
        Selector::Plain { .. } => 1,
        Selector::Program(_) => WHOLE_TREE,
    }
}

fn options(source: &Source) -> HttpOptions {
    HttpOptions {
        connect_timeout: source.connect_timeout,
        request_timeout: source.request_timeout,
        read_timeout: source.read_timeout,
        ca_file: source.ca_file.clone(),
        client_cert: source.client_cert.clone(),
        client_key: source.client_key.clone(),
        proxy: source.proxy.as_ref().map(proxy),
        // A proxy of the environment stands elsewhere, and this machine's own servers aren't there.
        environment_proxy: !is_loopback(&source.base_url),
        insecure_skip_verify: source.insecure_skip_verify,
        rate_limit: source.rate_limit.map(|rate| RateLimit { requests: rate.count, per: rate.per }),
        concurrency: source.concurrency as usize,
        max_response: source.max_response,
        retry: RetryPolicy { attempts: source.attempts, max_delay: source.max_delay, ..RetryPolicy::default() },
        ..HttpOptions::default()
    }
}

fn proxy(proxy: &spec::Proxy) -> Proxy {
    Proxy { url: proxy.url.clone(), username: proxy.username.clone(), password: proxy.password.clone() }
}

/// Returns the identity of the credential that a proxy gets.
fn own_proxy(source: &Source) -> Option<CredentialId> {
    let proxy = source.proxy.as_ref()?;
    Auth::Basic { username: proxy.username.clone(), password: proxy.password.clone() }.credential()
}

/// Returns what the rules see of a body before it is decoded: as afterwards, the body without its records.
fn envelope(job: &Job) -> EnvelopeReader {
    let (format, selector) = (job.source.format, job.records.clone());
    Arc::new(move |body| crate::decode::envelope_of(body, format, &selector))
}

/// Returns the rules about answers, as they are written.
pub(super) fn texts(source: &Source) -> RuleTexts {
    let text = |program: &Option<Jq>| program.as_ref().map(|program| program.text().to_owned());
    RuleTexts {
        empty: text(&source.empty),
        auth_failed: text(&source.auth_failed),
        success: text(&source.success),
        error_message: text(&source.error_message),
        refused: None,
        retry_when: text(&source.retry_when),
        retry_after: text(&source.retry_after),
    }
}
