//! What is asked, as the command line says it.

use std::net::IpAddr;

use url::Url;

use super::InitArguments;
use super::answer::{plain, scalar};
use super::draft::quoted;
use crate::pipeline::check::plain_name;
use crate::pipeline::load::is_secret_header;

/// What is asked, with what the file to be written says of it.
#[derive(Debug)]
pub(super) struct Target {
    /// The name of the pipeline.
    pub(super) name: String,
    /// The name of the job.
    pub(super) job: String,
    /// All of the URL up to the last part of its path.
    pub(super) base_url: String,
    /// That part.
    pub(super) path: String,
    /// The parameters.
    pub(super) query: Vec<(String, String)>,
    /// The credential, as YAML; none where there is none.
    pub(super) auth: Option<String>,
    /// The headers that hold no secret.
    pub(super) headers: Vec<(String, String)>,
    /// The certificates to trust.
    pub(super) ca_file: Option<String>,
}

impl Target {
    /// Takes the arguments apart. An error says what is wrong, and what to do.
    pub(super) fn new(url: &str, arguments: &InitArguments) -> Result<Self, String> {
        let shape = "write all of it, such as 'https://api.example.com/v1/orders?limit=100'";
        let parsed = Url::parse(url).map_err(|error| format!("`{url}` isn't a URL ({error}): {shape}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(format!("`{url}` doesn't begin with http:// or https://: {shape}"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("the URL holds a user or a password: give them by --basic 'USER:${PASSWORD}', where the shell leaves ${PASSWORD} as it is".to_owned());
        }
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        let parts = pairs.iter().flat_map(|(name, value)| [name.as_str(), value]).chain([url]);
        let is_evaluated = |part: &str| ["{{", "{%", "{#"].iter().any(|begins| part.contains(begins));
        let hides = !url.contains("${") && parts.clone().any(|part| part.contains("${"));
        if hides || parts.into_iter().any(is_evaluated) {
            return Err("the URL has {{, {%, {# or ${ in it, which pipeline files evaluate: leave it out, and write it into the file".to_owned());
        }
        let trimmed = parsed.path().strip_suffix('/').unwrap_or(parsed.path());
        let (folder, last) = trimmed.rsplit_once('/').unwrap_or(("", ""));
        let slash = if parsed.path().len() > trimmed.len() && !last.is_empty() { "/" } else { "" };
        let (secrets, query): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(_, value)| value.contains("${"));
        if let Some((name, _)) = query.iter().find(|(name, _)| may_be_secret(name)) {
            return Err(literal(name, &format!("{name}=${{NAME}} in the URL, in single quotes")));
        }
        let mut headers = Vec::new();
        let mut auth: Vec<String> = secrets.iter().map(|(name, value)| named("query", name, value)).collect();
        for header in &arguments.headers {
            let (name, value) = header
                .split_once(':')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| format!("the header `{header}` has no colon: write --header 'NAME: VALUE'"))?;
            match value.strip_prefix("Bearer ").filter(|_| name.eq_ignore_ascii_case("authorization")) {
                Some(token) if token.starts_with("${") => auth.push(format!("{{bearer: {}}}", quoted(token))),
                _ if value.contains("${") => auth.push(named("header", name, value)),
                _ if may_be_secret(name) => return Err(literal(name, &format!("--header '{name}: ${{NAME}}'"))),
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        }
        if let Some((user, password)) =
            arguments.basic.as_deref().map(|basic| basic.split_once(':').unwrap_or((basic, "")))
        {
            auth.push(format!("{{basic: {{username: {}, password: {}}}}}", quoted(user), quoted(password)));
        }
        if auth.len() > 1 {
            return Err("there are two credentials: give one of them, and write the other into the file".to_owned());
        }
        let path = if last.is_empty() { "/".to_owned() } else { format!("/{last}{slash}") };
        Ok(Self {
            name: arguments.name.clone().or_else(|| named_by_host(&parsed)).unwrap_or_else(|| "api".to_owned()),
            job: named_by_path(&parsed),
            base_url: format!("{}{folder}", parsed.origin().ascii_serialization()),
            path,
            query,
            auth: auth.pop(),
            headers,
            ca_file: arguments.ca_file.as_ref().map(|file| file.display().to_string()),
        })
    }
}

/// Tells whether the name of a header or a parameter is like one of a secret: more of them than a file that a person wrote is refused for. Tokens
/// of pages are none, nor are authors.
fn may_be_secret(name: &str) -> bool {
    const PARTS: [&str; 8] = ["token", "secret", "passw", "credential", "signature", "session", "cookie", "auth"];
    const WHOLE: [&str; 5] = ["sig", "sid", "pwd", "pass", "appid"];
    let plain = plain(name);
    if ["page", "next", "continuation", "cursor"].iter().any(|part| plain.contains(part)) {
        return false;
    }
    let is_author = plain.contains("author") && !plain.contains("authoriz");
    let is_like = PARTS.iter().any(|part| plain.contains(part)) && !is_author;
    is_like || is_secret_header(name) || WHOLE.contains(&plain.as_str())
}

fn literal(name: &str, how: &str) -> String {
    format!(
        "`{name}` looks like a secret, which isn't written into a file: put it into a variable of the environment, and write {how}"
    )
}

/// Writes a secret under a name.
fn named(kind: &str, name: &str, value: &str) -> String {
    format!("{{{kind}: {{name: {}, value: {}}}}}", scalar(name), quoted(value))
}

/// Names a pipeline after the longest part of its host, but for the last: `example` of `api.example.com`.
fn named_by_host(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| host.parse::<IpAddr>().is_err() && !host.starts_with('['))?;
    let labels: Vec<&str> = host.split('.').collect();
    let most = labels.len().saturating_sub(1).max(1);
    let longest = labels.iter().take(most).max_by_key(|label| label.len())?;
    plain_name(longest, '-')
}

/// Names a job after the last part of a path that is a word.
fn named_by_path(url: &Url) -> String {
    let words = url.path().rsplit('/').filter_map(|part| part.split('.').next());
    let mut names = words
        .filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()))
        .filter_map(|word| plain_name(word, '_'));
    names.next().unwrap_or_else(|| "rows".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "PRIVATE-TOKEN",
            "Cookie",
            "Ocp-Apim-Subscription-Key",
            "X-Auth",
            "X-Amz-Signature",
            "sig",
            "api_key",
            "Authorization",
            "sid",
        ] {
            assert!(may_be_secret(name), "{name}");
        }
        for name in ["author", "page_token", "nextToken", "Accept", "X-Api-Version", "limit", "$skip", "status", "code"]
        {
            assert!(!may_be_secret(name), "{name}");
        }
    }
}
