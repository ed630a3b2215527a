//! What came into requests from outside of the file: it may be a secret, wherever it stands, and is hidden from all that is said and kept.

use std::borrow::Cow;

use indexmap::IndexMap;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::extract::auth::REDACTED;
use crate::pipeline::file::Auth;
use crate::pipeline::load::{self, RequestValue, Tmpl};
use crate::pipeline::spec::{Hook, Job, Outbox, Request, Source};
use crate::secret::Secret;

/// Values shorter than this may stand in any message by chance.
const SHORTEST_SECRET: usize = 6;

/// Returns what a job's requests hold that may be a secret, child requests included.
pub(super) fn of_job(job: &Job) -> Vec<Secret> {
    let children = job.enrich.iter().flat_map(|enrich| of_request(&enrich.request));
    let requests = std::iter::once(&job.request).chain(job.enrich.iter().map(|enrich| &enrich.request));
    let values = of_source(&job.source).chain(of_request(&job.request)).chain(children).map(Secret::new);
    values.chain(requests.flat_map(pairs)).collect()
}

/// Returns what the requests of an outbox hold that may be a secret.
pub(super) fn of_outbox(outbox: &Outbox) -> Vec<Secret> {
    let find = outbox.find.iter().flat_map(|find| of_request(&find.request));
    let requests = std::iter::once(&outbox.request).chain(outbox.find.iter().map(|find| &find.request));
    let values = of_source(&outbox.source).chain(of_request(&outbox.request)).chain(find).map(Secret::new);
    values.chain(requests.flat_map(pairs)).collect()
}

/// Returns what a hook holds that may be a secret: what was looked up, headers that let in, and its URL, as a whole and in parts.
pub(super) fn of_hook(hook: &Hook) -> Vec<Secret> {
    let mut texts = Vec::new();
    hook.headers.values().chain(&hook.body).for_each(|value| collect(value, &mut texts));
    let values = texts.into_iter().flat_map(Tmpl::looked_up).map(|(_, value)| value).chain(of_headers(&hook.headers));
    values.filter(|value| value.len() >= SHORTEST_SECRET).map(Secret::new).chain(of_url(&hook.url)).collect()
}

/// Returns the path and the query of a URL that may be a secret, as a whole and in parts.
pub(super) fn of_url(url: &Url) -> Vec<Secret> {
    let wholes = [url.path().trim_start_matches('/'), url.query().unwrap_or_default()].map(str::to_owned);
    let segments =
        url.path_segments().into_iter().flatten().map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned());
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let parts = segments.chain(values).filter(|part| part.len() >= SHORTEST_SECRET);
    wholes.into_iter().chain(parts).map(Secret::new).collect()
}

fn of_source(source: &Source) -> impl Iterator<Item = &str> {
    let login = match &source.auth {
        Auth::Login(login) => Some(&login.post),
        _ => None,
    };
    let login = login.into_iter().flat_map(Tmpl::looked_up).map(|(_, value)| value);
    source.hidden.iter().map(Secret::expose).chain(login).filter(|value| value.len() >= SHORTEST_SECRET)
}

fn of_request(request: &Request) -> impl Iterator<Item = &str> {
    let fields = request.query.values().chain(request.headers.values()).chain(&request.body);
    let fields = fields.chain(request.form.iter().flat_map(IndexMap::values));
    let mut texts = vec![&request.path];
    fields.for_each(|value| collect(value, &mut texts));
    let values = texts.into_iter().flat_map(Tmpl::looked_up).map(|(_, value)| value);
    let literals = literals(request).into_iter().map(|(_, value)| value);
    values.chain(of_headers(&request.headers)).chain(literals).filter(|value| value.len() >= SHORTEST_SECRET)
}

/// Returns the parameters of a request whose names tell of a secret, with their values, where these stand in the file.
fn literals(request: &Request) -> Vec<(&str, &str)> {
    let stands = |value: &&str| !value.is_empty() && !value.contains("{{");
    let query =
        request.query.iter().filter(|(name, _)| load::is_secret(name)).filter_map(|(name, value)| match value {
            RequestValue::String(text) => Some((name.as_str(), text.as_str())),
            RequestValue::Number(number) => Some((name.as_str(), number.as_str())),
            _ => None,
        });
    let path = request.path.as_str().split_once('?').map_or("", |(_, query)| query);
    let path =
        path.split('&').filter_map(|part| part.split_once('=')).filter(|(name, _)| load::is_secret_parameter(name));
    query.chain(path).filter(|(_, value)| stands(value)).collect()
}

/// Returns such parameters whose values are short, as they stand in the line of a request: there they are no chance.
fn pairs(request: &Request) -> Vec<Secret> {
    let short = literals(request).into_iter().filter(|(_, value)| value.len() < SHORTEST_SECRET);
    let encoded = |(name, value)| form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    short.flat_map(|pair| [encoded(pair), format!("{}={}", pair.0, pair.1)]).map(Secret::new).collect()
}

/// Hides in the line of a request the values of such parameters, however short: elsewhere a short one may stand by chance.
pub(super) fn line(line: &str, request: &Request) -> String {
    let names: Vec<&str> = literals(request).into_iter().map(|(name, _)| name).collect();
    let Some((path, rest)) = line.split_once('?').filter(|_| !names.is_empty()) else { return line.to_owned() };
    let (query, body) = rest.split_once(' ').map_or((rest, None), |(query, body)| (query, Some(body)));
    let is_one = |part: &str| form_urlencoded::parse(part.as_bytes()).any(|(name, _)| names.contains(&name.as_ref()));
    let hide = |part: &str| match part.split_once('=') {
        Some((name, _)) if is_one(part) => format!("{name}={REDACTED}"),
        _ => part.to_owned(),
    };
    let query = query.split('&').map(hide).collect::<Vec<_>>().join("&");
    let body = body.map(|body| format!(" {body}")).unwrap_or_default();
    format!("{path}?{query}{body}")
}

fn collect<'v>(value: &'v RequestValue, texts: &mut Vec<&'v Tmpl>) {
    match value {
        RequestValue::String(text) => texts.push(text),
        RequestValue::List(items) => items.iter().for_each(|item| collect(item, texts)),
        RequestValue::Map(map) => map.values().for_each(|value| collect(value, texts)),
        RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_) => {}
    }
}

/// Returns what lets in by its header, though it stands in the file: a cookie, with its parts, and whatever is named as a key.
fn of_headers(headers: &IndexMap<String, RequestValue>) -> impl Iterator<Item = &str> {
    let telling = headers.iter().filter(|(name, _)| load::is_secret_header(name));
    let texts = telling.filter_map(|(_, value)| match value {
        RequestValue::String(text) if !text.as_str().contains("{{") => Some(text.as_str()),
        _ => None,
    });
    texts.flat_map(|text| {
        let values = text.split(';').filter_map(|part| Some(part.split_once('=')?.1.trim()));
        std::iter::once(text).chain(values)
    })
}

/// Returns a path as it may be kept: what may be a secret in it as one byte of its hash, so that a change shows, and nobody can tell by
/// trying what it was.
pub(super) fn marked<'t>(text: &'t str, secrets: impl IntoIterator<Item = &'t str>) -> Cow<'t, str> {
    let secrets = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET);
    secrets.fold(Cow::Borrowed(text), |text, secret| {
        let mark = format!("[{:02x}]", Sha256::digest(secret)[0]);
        Cow::Owned(text.replace(secret, &mark))
    })
}

/// As [`marked`], for a URL without its scheme: what came into its path stands there as URLs have it.
pub(super) fn marked_url(text: &str, source: &Source) -> String {
    let as_path = |secret: &Secret| {
        let mut url = source.base_url.clone();
        url.set_path(secret.expose());
        url.path().trim_start_matches('/').to_owned()
    };
    let secrets: Vec<String> = source.hidden.iter().map(as_path).collect();
    marked(text, secrets.iter().map(String::as_str)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::auth::Redactor;
    use crate::pipeline::spec::Method;

    #[test]
    fn literal_parameters_that_are_named_as_secrets_are_hidden() {
        let text = |value: &str| RequestValue::String(Tmpl::new(value));
        let query = [("page", "1"), ("sig", "lit"), ("x-token", "{{ parent.t }}"), ("access_token", "hunter2")];
        let request = Request {
            method: Method::Fixed("GET"),
            path: Tmpl::new("/x?key=abc&size=9"),
            query: query.map(|(name, value)| (name.to_owned(), text(value))).into(),
            headers: IndexMap::new(),
            body: None,
            form: None,
        };
        let sent = "GET /x?key=abc&size=9&page=1&sig=lit&x-token=t&access_token=hunter2 {\"sig\": \"?sig=lit\"}";
        let shown = "GET /x?key=[redacted]&size=9&page=1&sig=[redacted]&x-token=t&access_token=[redacted] {\"sig\": \"?sig=lit\"}";
        assert_eq!(line(sent, &request), shown);
        assert_eq!(
            of_request(&request).collect::<Vec<_>>(),
            ["hunter2"],
            "a short one stands in other texts by chance"
        );
        assert_eq!(line("GET /x", &request), "GET /x");
        let redactor = Redactor::new(&pairs(&request));
        let failed = "GET /x?key=abc&size=9&page=1&sig=lit&x-token=t: status 500: a lit sign";
        assert_eq!(
            redactor.scrub(failed),
            "GET /x?[redacted]&size=9&page=1&[redacted]&x-token=t: status 500: a lit sign"
        );
    }

    #[test]
    fn what_is_kept_of_a_path_tells_one_secret_from_another_and_no_more() {
        let kept = |secret: &'static str| marked("/bot-one-1234/and/two-5678", [secret]).into_owned();
        assert_eq!(kept("one"), "/bot-one-1234/and/two-5678", "too short to be one");
        assert_ne!(kept("one-1234"), kept("two-5678"));
        assert!(kept("one-1234").starts_with("/bot-[") && kept("one-1234").ends_with("]/and/two-5678"));
    }
}
