//! A pipeline file as it may be shown to others: with `${...}` as it was typed, and without what may be a secret.
//!
//! Fields that hold a secret refuse a literal one, so what is hidden here is what looks like one all the same: in a header, in a URL, in
//! a comment.

use super::conceal::{is_secret, is_secret_parameter};
use super::diagnostic::Span;
use super::tree::{Kind, Node};
use super::yaml;

/// What stands where something is hidden.
const HIDDEN: &str = "***";

/// Returns the text with what may be a secret hidden. None where it can't be parsed: then nothing says what stands where.
#[must_use]
pub fn shown(text: &str) -> Option<String> {
    let (mut out, mut at) = (String::new(), 0);
    for span in secrets(text)? {
        if span.start >= at {
            out.push_str(text.get(at..span.start)?);
            out.push_str(HIDDEN);
            at = span.end;
        }
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

/// Returns where a text has what may be a secret, in order. None where it can't be parsed.
pub(super) fn secrets(text: &str) -> Option<Vec<Span>> {
    let (root, found) = yaml::parse(text);
    let root = root.filter(|_| found.is_empty())?;
    let mut spans = Vec::new();
    walk(text, &root, None, &mut spans);
    spans.extend(comments(text, &root));
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    spans.retain(|span| span.start < span.end);
    Some(spans)
}

/// Collects what is to be hidden below a node; `key` is what it stands under.
fn walk(text: &str, node: &Node, key: Option<&str>, spans: &mut Vec<Span>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                // A telling key tells of all below it, but for `auth`, whose fields say what they hold.
                let telling = key.filter(|key| *key != "auth" && is_secret(key));
                walk(text, &entry.value, telling.or(Some(&entry.key.text)), spans);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| walk(text, item, key, spans)),
        Kind::Scalar(_) => scalar(text, node.span, key.unwrap_or_default(), spans),
        Kind::Hole | Kind::Wild(_) => {}
    }
}

fn scalar(text: &str, span: Span, key: &str, spans: &mut Vec<Span>) {
    let value = span.slice(text);
    // The place of a token in an answer, or of a key in a request, is no secret.
    let is_place = value.trim_start_matches(['\'', '"']).starts_with(['.', '$'].as_slice()) && !value.contains("${");
    if is_secret(key) && !is_place {
        spans.extend(literals(value).map(|(start, end)| Span::new(span.start + start, span.start + end)));
    } else {
        spans.extend(of_url(value).map(|(start, end)| Span::new(span.start + start, span.start + end)));
    }
}

/// Returns the parts of a secret value that stand in the file: all but `${...}`, quotes, and the scheme before a token. A default
/// within `${...}` is one of them.
fn literals(value: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = value.get(at..).and_then(|rest| rest.find("${")).map(|open| at + open) {
        parts.push((at, open));
        let end = value.get(open..).and_then(|rest| rest.find('}')).map_or(value.len(), |end| open + end);
        if let Some(default) = value.get(open..end).and_then(|inside| inside.find(":-")) {
            parts.push((open + default + 2, end));
        }
        at = (end + 1).min(value.len());
    }
    parts.push((at, value.len()));
    parts.into_iter().filter_map(|(start, end)| bare(value, start, end))
}

/// Takes off what tells nothing: quotes, space, and the name of a scheme.
fn bare(value: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let part = value.get(start..end)?;
    let plain = |c: char| c.is_whitespace() || c == '\'' || c == '"';
    let mut inner = part.trim_matches(plain);
    for scheme in ["Bearer", "Basic", "Token", "ApiKey"] {
        if inner.len() >= scheme.len()
            && inner.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme))
        {
            inner = inner.get(scheme.len()..)?.trim_start();
        }
    }
    if inner.is_empty() || matches!(inner, "true" | "false" | "null" | "{" | "|" | ">") {
        return None;
    }
    let first = start + part.find(inner)?;
    Some((first, first + inner.len()))
}

/// Returns the parts of a URL that may be a secret: a password, values of telling parameters, and of a hook the path, which is all that
/// keeps others from calling it.
fn of_url(value: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut parts = Vec::new();
    if let Some(start) = value.find("://").map(|at| at + 3) {
        let rest = value.get(start..).unwrap_or_default();
        let authority = rest.find(['/', '?', '#', '\'', '"', ' ']).unwrap_or(rest.len());
        if let Some(at) = rest.get(..authority).and_then(|authority| authority.rfind('@')) {
            parts.push((start, start + at));
        }
        let path = rest.get(authority..).unwrap_or_default();
        if let Some(hook) = path.find("/services/").or_else(|| path.find("/hooks/")).or_else(|| path.find("/webhook")) {
            let end = path.find(['\'', '"', ' ']).unwrap_or(path.len());
            parts.push((start + authority + hook, start + authority + end));
        }
    }
    for (at, _) in value.match_indices('=') {
        let before = value.get(..at).unwrap_or_default();
        let name = before.rsplit(['?', '&', ' ', ';']).next().unwrap_or_default();
        let is_parameter = before.strip_suffix(name).is_some_and(|before| before.ends_with(['?', '&']));
        let tells = if is_parameter { is_secret_parameter(name) } else { is_secret(name) };
        let end = value
            .get(at..)
            .and_then(|rest| rest.find(['&', '\'', '"', ' ', ';', '#']))
            .map_or(value.len(), |end| at + end);
        let literal = value
            .get(at + 1..end)
            .is_some_and(|text| !text.starts_with("${") && !text.starts_with("{{") && !text.is_empty());
        if literal && tells && !name.contains(['{', '(', '\n']) {
            parts.push((at + 1, end));
        }
    }
    parts.into_iter()
}

/// Returns what comments say after a telling name.
fn comments(text: &str, root: &Node) -> Vec<Span> {
    let mut scalars = Vec::new();
    places(root, &mut scalars);
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let inside = |at: usize| scalars.iter().any(|span| span.start <= at && at < span.end);
        let begins = |at: &usize| {
            let before = line.get(..*at).and_then(|before| before.chars().next_back());
            before.is_none_or(char::is_whitespace) && !inside(start + at)
        };
        if let Some(at) = line.match_indices('#').map(|(at, _)| at).find(begins) {
            let comment = line.get(at..).unwrap_or_default().trim_end();
            for (colon, _) in comment.match_indices([':', '=']) {
                let name =
                    comment.get(..colon).unwrap_or_default().rsplit(['#', ' ', ',', '{']).next().unwrap_or_default();
                if is_secret(name) {
                    let (from, to) = (start + at + colon + 1, start + at + comment.len());
                    found.extend(
                        literals(text.get(from..to).unwrap_or_default()).map(|(a, b)| Span::new(from + a, from + b)),
                    );
                    break;
                }
            }
        }
        start += line.len();
    }
    found
}

fn places(node: &Node, spans: &mut Vec<Span>) {
    match &node.kind {
        Kind::Map(entries) => entries.iter().for_each(|entry| places(&entry.value, spans)),
        Kind::Seq(items) => items.iter().for_each(|item| places(item, spans)),
        Kind::Scalar(_) => spans.push(node.span),
        Kind::Hole | Kind::Wild(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(shown(text).as_deref(), Some(expect), "{text}");
    }

    #[test]
    fn what_names_a_secret_stays_as_it_was_typed() {
        for text in [
            "auth: {bearer: '${SHOP_TOKEN}'}\n",
            "headers: {authorization: 'Bearer ${TOKEN}'}\n",
            "auth: {basic: {username: '${USER}', password: '${file:/run/secrets/p}'}}\n",
            "base_url: https://api.example.com/v1 # the API\nkey: [id]\nquery: {page: '1', q: 'a=b&c=d'}\n",
            "auth: {login: {post: /login, form: {user: bob, password: '${P}'}, token: .access_token, into: headers.x}}\n",
            "transform: SELECT token_count FROM records WHERE a = 'b'\n",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn literals_of_telling_keys_are_hidden() {
        check("headers: {authorization: 'Bearer hunter2'}\n", "headers: {authorization: 'Bearer ***'}\n");
        check(
            "headers: {x-secret-key: '${K:-hunter2}', x-key: v}\n",
            "headers: {x-secret-key: '${K:-***}', x-key: v}\n",
        );
        check("headers:\n  X-Api-Key: hunter2 # old\n", "headers:\n  X-Api-Key: *** # old\n");
        check("body: {routing_key: R012, event: a}\n", "body: {routing_key: ***, event: a}\n");
        check("body: {integration_key: R012, serviceKey: s}\n", "body: {integration_key: ***, serviceKey: ***}\n");
        check("headers: {cookie: \"session=hunter2; a=b\"}\n", "headers: {cookie: \"***\"}\n");
        check("password: '${P:-hunter2}'\n", "password: '${P:-***}'\n");
        check("client_secret: pre${P}post\n", "client_secret: ***${P}***\n");
        check("token: [one, two]\n", "token: [***, ***]\n");
        check("secret:\n  nested: {deeper: [hunter2], b: c}\n", "secret:\n  nested: {deeper: [***], b: ***}\n");
    }

    #[test]
    fn urls_and_comments_say_no_secret() {
        check("base_url: https://bob:hunter2@example.com/v1\n", "base_url: https://***@example.com/v1\n");
        check("get: /x?api_key=hunter2&page=1\n", "get: /x?api_key=***&page=1\n");
        check("get: /x?token=${T}\n", "get: /x?token=${T}\n");
        check("post: https://h/send?key=hunter2&a=b\n", "post: https://h/send?key=***&a=b\n");
        check("transform: SELECT * FROM records WHERE key='b'\n", "transform: SELECT * FROM records WHERE key='b'\n");
        check("post: https://hooks.slack.com/services/T0/B0/hunter2\n", "post: https://hooks.slack.com***\n");
        check("a: 1 # password: hunter2\n", "a: 1 # password: ***\n");
        check("# SHOP_TOKEN=hunter2\na: '# not a comment'\n", "# SHOP_TOKEN=***\na: '# not a comment'\n");
    }

    #[test]
    fn what_cannot_be_parsed_is_not_shown() {
        assert_eq!(shown("a: [1\npassword: hunter2\n"), None);
    }
}
