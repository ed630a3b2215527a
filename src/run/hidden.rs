//! What came into requests from outside of the file: it may be a secret, wherever it stands, and is hidden from all that is said and kept.

use std::borrow::Cow;

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use crate::pipeline::file::Auth;
use crate::pipeline::load::{self, RequestValue, Tmpl};
use crate::pipeline::spec::{Job, Outbox, Request, Source};
use crate::secret::Secret;

/// Values shorter than this may stand in any message by chance.
const SHORTEST_SECRET: usize = 6;

/// Returns what a job's requests hold that may be a secret, child requests included.
pub(super) fn of_job(job: &Job) -> Vec<Secret> {
    let children = job.enrich.iter().flat_map(|enrich| of_request(&enrich.request));
    of_source(&job.source).chain(of_request(&job.request)).chain(children).map(Secret::new).collect()
}

/// Returns what the requests of an outbox hold that may be a secret.
pub(super) fn of_outbox(outbox: &Outbox) -> Vec<Secret> {
    let find = outbox.find.iter().flat_map(|find| of_request(&find.request));
    of_source(&outbox.source).chain(of_request(&outbox.request)).chain(find).map(Secret::new).collect()
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
    values.chain(of_headers(&request.headers)).filter(|value| value.len() >= SHORTEST_SECRET)
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

    #[test]
    fn what_is_kept_of_a_path_tells_one_secret_from_another_and_no_more() {
        let kept = |secret: &'static str| marked("/bot-one-1234/and/two-5678", [secret]).into_owned();
        assert_eq!(kept("one"), "/bot-one-1234/and/two-5678", "too short to be one");
        assert_ne!(kept("one-1234"), kept("two-5678"));
        assert!(kept("one-1234").starts_with("/bot-[") && kept("one-1234").ends_with("]/and/two-5678"));
    }
}
