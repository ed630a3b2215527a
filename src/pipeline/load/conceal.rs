//! Keeps a secret that was written in the file out of what is said about broken syntax.
//!
//! A field that holds a secret refuses a literal one, and hides it. Where the syntax is broken there are no fields yet,
//! only names; so values of keys with telling names are hidden on the lines that are shown.

use super::diagnostic::{Diagnostic, Span};

/// Keys that hold a secret by their name, in lower case.
const TELLING: [&str; 7] = ["password", "passwd", "secret", "token", "bearer", "authorization", "api_key"];

/// Ends of names that hold a secret wherever they stand, without signs.
const ENDS: [&str; 4] = ["cookie", "credential", "passphrase", "sessionid"];

/// What a key is of that is a secret: `x-api-key`, `routing_key`. Others name a column.
const KEYS: [&str; 10] =
    ["access", "account", "api", "auth", "function", "integration", "private", "routing", "service", "subscription"];

/// Tells whether a key holds a secret by its name: a field's, a header's, a parameter's.
pub(super) fn is_telling(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
    let is_key = plain.strip_suffix("key").is_some_and(|rest| KEYS.iter().any(|word| rest.contains(word)));
    is_key
        || TELLING.iter().any(|name| key.ends_with(name))
        || plain.contains("secret")
        || ENDS.iter().any(|end| plain.ends_with(end))
        || matches!(plain.as_str(), "signature" | "sig" | "session" | "pwd")
}

/// Tells whether what stands under a key may not be shown: the key tells of a secret, or nearly does, or is `auth`, which as a field has
/// others in it that say what they hold.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    is_telling(key) || looks_telling(key) || key.eq_ignore_ascii_case("auth")
}

/// What a key is of that orders, finds or names rows, and lets nobody in: `x-sort-key`.
const OF_DATA: [&str; 10] =
    ["sort", "order", "group", "partition", "primary", "foreign", "row", "shard", "cache", "idempotency"];

/// Tells whether the value of a request's header may not be shown: there a name that ends with `key` is one that lets in, unless it says
/// that it is one of data.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let is_key = plain.strip_suffix("key").is_some_and(|of| !OF_DATA.iter().any(|word| of.ends_with(word)));
    is_secret(name) || is_key
}

/// Tells whether the value of a URL's parameter may not be shown. There a plain `key` is one that lets in.
#[must_use]
pub fn is_secret_parameter(name: &str) -> bool {
    is_secret(name) || name.eq_ignore_ascii_case("key")
}

/// Tells whether a key may be a telling one that was misspelt: its last word is a letter or two away from one.
fn looks_telling(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let last = key.rsplit(['_', '-']).next().unwrap_or_default();
    let alike = |name: &str| {
        let most = if name.len() < 8 { 1 } else { 2 };
        [key.as_str(), last].iter().any(|word| strsim::damerau_levenshtein(word, name) <= most)
    };
    TELLING.iter().any(|name| alike(name))
}

/// Returns where a text that can't be parsed has literal values of telling keys.
pub(super) fn literal_secrets(text: &str) -> Vec<Span> {
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    starts.filter_map(|at| literal_secret(text, at)).collect()
}

/// Hides literal values of keys with telling names on the first lines of diagnostics, and in their texts.
pub(super) fn conceal(text: &str, diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        let Some(secret) = literal_secret(text, diagnostic.span.start) else { continue };
        diagnostic.redact = Some(secret);
        let value = secret.slice(text);
        let word = value.split([',', '}', ']', ' ']).next().unwrap_or_default();
        let word = word.trim_matches(|char: char| !char.is_alphanumeric());
        for shown in [Some(&mut diagnostic.message), diagnostic.help.as_mut()].into_iter().flatten() {
            for hidden in [value, &value.replace('\'', "''"), word].into_iter().filter(|hidden| !hidden.is_empty()) {
                *shown = shown.replace(hidden, "***");
            }
        }
    }
}

/// Returns a text that quotes lines of a file, with the literal values of keys with telling names hidden.
#[must_use]
pub fn concealed(text: &str) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for line in text.split_inclusive('\n') {
        match literal_secret(text, at) {
            Some(secret) => {
                out.push_str(text.get(at..secret.start).unwrap_or_default());
                out.push_str("***");
                out.push_str(text.get(secret.end..at + line.len()).unwrap_or_default());
            }
            None => out.push_str(line),
        }
        at += line.len();
    }
    out
}

/// Finds the first literal value of a telling key or parameter on the line of a byte, up to the end of the line.
fn literal_secret(text: &str, at: usize) -> Option<Span> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?;
    for (sign, which) in line.match_indices([':', '=']) {
        let before = line.get(..sign)?.trim_end_matches(['\'', '"', ' ']);
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')).next()?;
        let value = line.get(sign + 1..)?;
        let blank = value.len() - value.trim_start().len();
        let value = value.trim();
        let tells = if which == "=" {
            before.strip_suffix(name)?.ends_with(['?', '&']) && is_secret_parameter(name)
        } else {
            is_secret(name) && !(name == "auth" && value.starts_with('{'))
        };
        if tells && !value.is_empty() && !value.trim_start_matches(['\'', '"']).starts_with("${") {
            let first = start + sign + 1 + blank;
            return Some(Span::new(first, first + value.len()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<&str>) {
        let text = format!("a: 1\n{line}\nb: 2");
        assert_eq!(literal_secret(&text, 6).map(|span| span.slice(&text)), expect, "{line}");
    }

    #[test]
    fn quoted_lines_are_concealed() {
        let text = "error: no such field\n 4 | password: hunter2\n   | ^^^^^^^^\n 5 | key: id";
        assert_eq!(concealed(text), "error: no such field\n 4 | password: ***\n   | ^^^^^^^^\n 5 | key: id");
    }

    #[test]
    fn a_telling_key_may_be_misspelt() {
        for key in ["passwrod", "pasword", "Passwort", "tokne", "secrt", "api-key", "client_secert", "auhtorization"] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["header", "headers", "key", "username", "paths", "into", "select", "token_url", "transform"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn a_header_that_ends_with_key_lets_in_unless_it_is_one_of_data() {
        for name in ["X-Key", "key", "X-Api-Key", "Access-Key", "apikey", "X-Sort-Api-Key", "Ocp-Apim-Subscription-Key"]
        {
            assert!(is_secret_header(name), "{name}");
        }
        for name in ["X-Sort-Key", "sortkey", "Partition-Key", "x-primary-key", "Idempotency-Key", "X-Keyword"] {
            assert!(!is_secret_header(name), "{name}");
        }
    }

    #[test]
    fn literal_values_of_telling_keys_are_found() {
        check("  passwrod: hunter2", Some("hunter2"));
        check("  password: @hunter2", Some("@hunter2"));
        check("auth: {client_secret : 'x}, y: 1", Some("'x}, y: 1"));
        check("on_failure: {post: 'https://h/v2', body: {routing_key: R012}}", Some("R012}}"));
        check("session: hunter2", Some("hunter2"));
        check("post: https://h/send?key=hunter2&a=b", Some("hunter2&a=b"));
        check("get: /x?page=1&api_key=${K}", None);
        check("auth: {bearer: '${T}'}", None);
        check("where: key = 'b'", None);
        check("password: '${P}'", None);
        check("password:", None);
        check("key: [a, b]", None);
    }
}
