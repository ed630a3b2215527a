//! Source and job merged: where and how requests are sent.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::super::file::{Auth, JobFile, SourceFile};
use super::super::load::{Jq as JqText, Span, Spanned, Tmpl};
use super::super::spec::Source;
use super::Findings;
use super::request::Vars;
use crate::lang::jq::{self, Jq};
use crate::secret::Secret;

/// What `retry.after` sees beside the variables of the other rules.
const NOW: &str = "now";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// A server that thinks does so before its headers; in the middle of an answer, a minute without a byte is a dead connection.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 5;
const MAX_DELAY: Duration = Duration::from_secs(60);
const CONCURRENCY: u32 = 4;
/// Large enough for any page that people ask for, small enough for the smallest pod.
const MAX_RESPONSE: u64 = 64 << 20;

/// Returns what came from outside of the file into the path of a `base_url`: a host is no secret.
fn hidden(base_url: &Tmpl) -> impl Iterator<Item = Secret> {
    let text = base_url.as_str();
    let host = text.find("://").map_or(0, |at| at + 3);
    let path = text.get(host..).and_then(|rest| rest.find('/')).map_or(text.len(), |at| host + at);
    base_url.looked_up().filter(move |(at, _)| *at > path).map(|(_, value)| Secret::new(value))
}

impl Findings<'_> {
    /// Merges the keys of `source` and of the job: the job's win.
    pub(super) fn source(
        &mut self,
        at: &Spanned<String>,
        job: &JobFile,
        source: &SourceFile,
        vars: &Vars,
    ) -> Option<Source> {
        let text = job.base_url.as_ref().or(source.base_url.as_ref());
        let base_url = self.base_url(at.span, text);
        let auth = job.auth.as_ref().or(source.auth.as_ref());
        self.credential_fits(auth, job);
        let session = auth.and_then(|auth| self.session(auth, at, job));
        let mut expression = |own: &Option<JqText>, shared: &Option<JqText>| {
            self.envelope_jq(own.as_ref().or(shared.as_ref()), &vars.answer(), vars)
        };
        let auth_failed = expression(&job.auth_failed, &source.auth_failed);
        let success = expression(&job.success, &source.success);
        self.success_fits(job.success.as_ref().or(source.success.as_ref()), success.as_ref(), vars);
        let mut expression = |own: &Option<JqText>, shared: &Option<JqText>| {
            self.envelope_jq(own.as_ref().or(shared.as_ref()), &vars.answer(), vars)
        };
        let error_message = expression(&job.error_message, &source.error_message);
        let empty = expression(&job.empty, &source.empty);
        let retry = job.retry.as_ref().or(source.retry.as_ref());
        let when = retry.and_then(|retry| retry.when.as_ref());
        let retry_when = self.envelope_jq(when, &vars.answer(), vars);
        let after = retry.and_then(|retry| retry.after.as_ref());
        let with_now: Vec<&str> = vars.answer().into_iter().chain([NOW]).collect();
        let retry_after = self.envelope_jq(after, &with_now, vars);
        let timeout = |pick: fn(&super::super::file::TimeoutFile) -> Option<super::super::file::Duration>| {
            job.timeout.as_ref().and_then(pick).or_else(|| source.timeout.as_ref().and_then(pick))
        };
        let tls = job.tls.as_ref().or(source.tls.as_ref());
        let attempts = retry.and_then(|retry| retry.attempts);
        let concurrency = job.concurrency.or(source.concurrency);
        let proxy = job.proxy.as_ref().or(source.proxy.as_ref()).and_then(|proxy| self.proxy(proxy));
        if let (Some(tls), Some(base_url)) = (tls, &base_url) {
            self.tls(tls, base_url);
        }
        let path = |file: &Option<Spanned<String>>| file.as_ref().map(|file| PathBuf::from(&file.value));
        Some(Source {
            auth: auth.map_or(Auth::None, |auth| auth.value.clone()),
            session,
            auth_failed,
            success,
            error_message,
            empty,
            connect_timeout: timeout(|timeout| timeout.connect).map_or(CONNECT_TIMEOUT, |timeout| timeout.0),
            request_timeout: timeout(|timeout| timeout.request).map_or(REQUEST_TIMEOUT, |timeout| timeout.0),
            read_timeout: timeout(|timeout| timeout.read).map_or(READ_TIMEOUT, |timeout| timeout.0),
            retry_when,
            retry_after,
            attempts: self.within(attempts, 1..=100, "attempts", ATTEMPTS),
            max_delay: retry.and_then(|retry| retry.max_delay).map_or(MAX_DELAY, |delay| delay.0),
            rate_limit: job.rate_limit.or(source.rate_limit),
            concurrency: self.within(concurrency, 1..=256, "concurrency", CONCURRENCY),
            ca_file: tls.and_then(|tls| path(&tls.ca_file)),
            client_cert: tls.and_then(|tls| path(&tls.client_cert)),
            client_key: tls.and_then(|tls| path(&tls.client_key)),
            proxy,
            insecure_skip_verify: tls.and_then(|tls| tls.insecure_skip_verify.as_ref()).is_some_and(|skip| skip.value),
            format: vars.format,
            max_response: job.max_response.or(source.max_response).map_or(MAX_RESPONSE, |size| size.0),
            base_url: base_url?,
            hidden: text.into_iter().flat_map(hidden).collect(),
        })
    }

    fn base_url(&mut self, at: Span, text: Option<&Tmpl>) -> Option<Url> {
        let Some(text) = text else {
            self.missing(at, "the job has no `base_url`", "set it here or under `source:`, such as `https://host/api`");
            return None;
        };
        let shape = "write the scheme, the host and maybe a port and a path, such as `https://host:3000/api`";
        let mut refuse = |why: &str, help: &str| {
            self.error(text.span(), format!("`base_url` {why}"), help);
            None
        };
        if text.as_str().contains("{{") {
            return refuse("can't hold a template", "write it out, or use ${NAME}: the origin must not come from data");
        }
        match Url::parse(text.as_str()) {
            Err(url::ParseError::RelativeUrlWithoutBase) if text.as_str().starts_with('$') => {
                refuse("must begin with `http://` or `https://`", "a variable of the environment is written `${NAME}`")
            }
            Err(url::ParseError::RelativeUrlWithoutBase) => refuse("must begin with `http://` or `https://`", shape),
            Err(error) => refuse(&format!("is not a URL: {error}"), shape),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                refuse("must begin with `http://` or `https://`", shape)
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                refuse("can't hold a user or a password", "remove them, and use `auth: {basic: ...}`")
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                refuse("can't hold a query or a fragment", "write parameters under `query:`")
            }
            Ok(url) => Some(url),
        }
    }

    fn within(
        &mut self,
        number: Option<Spanned<u32>>,
        range: std::ops::RangeInclusive<u32>,
        name: &str,
        otherwise: u32,
    ) -> u32 {
        let Some(number) = number else { return otherwise };
        if !range.contains(&number.value) {
            let message = format!("`{name}` can't be {}", number.value);
            self.error(number.span, message, format!("write a number from {} to {}", range.start(), range.end()));
        }
        number.value
    }

    fn sees_no_body(&mut self, text: &JqText, path: &[String]) {
        let shown = format!(".{}", path.join("."));
        let at = text.as_str().find(&shown).filter(|_| text.span() != Span::default());
        let span = at.map_or(text.span(), |at| text.file_span(at, at + shown.len()));
        let message = format!("there is no `{shown}`: a page that is nothing but records has nothing beside them");
        let help = "use `$rows` (how many), `$first` or `$last` (one record) or `$headers`, or make `records` a jq program: then \
                    the whole list is seen";
        self.error(span, message, help);
    }

    /// Refuses an expression that gives the same for every page: it asks for none of what there is beside the records.
    fn sees_nothing(&mut self, text: &JqText) {
        let message = format!("`{}` sees nothing of a page that is nothing but records", text.as_str());
        let help = "use `$rows` (how many), `$first` or `$last` (one record) or `$headers`, or make `records` a jq program: then \
                    the whole list is seen";
        self.error(text.span(), message, help);
    }

    /// Compiles an expression over an answer, and refuses one that reaches into the records.
    pub(super) fn envelope_jq(&mut self, text: Option<&JqText>, names: &[&str], vars: &Vars) -> Option<Jq> {
        let text = text?;
        let program = self.jq(text, names)?;
        let paths = jq::root_paths(text.as_str());
        // What asks for nothing, such as `false`, is meant so.
        let asks = !paths.is_empty();
        let constant = asks && paths.iter().all(Vec::is_empty) && jq::variables(text.as_str()).is_empty();
        if constant && vars.only_records() && names.contains(&"rows") {
            self.sees_nothing(text);
        }
        for path in paths {
            if vars.only_records() && names.contains(&"rows") && !path.is_empty() {
                self.sees_no_body(text, &path);
                continue;
            }
            if vars.reaches_into_records(&path) {
                let shown = format!(".{}", path.join("."));
                let at = text.as_str().find(&shown).filter(|_| text.span() != Span::default());
                let span = at.map_or(text.span(), |at| text.file_span(at, at + shown.len()));
                let message = format!("this expression reaches into the records (`{shown}`), which it doesn't see");
                let help = if names.contains(&"rows") {
                    "use `$rows` (how many), `$first` or `$last` (one record), or make `records` a jq program"
                } else {
                    "leave them out, or make `records` a jq program: then it sees the whole body"
                };
                self.error(span, message, help);
            }
        }
        Some(program)
    }
}
