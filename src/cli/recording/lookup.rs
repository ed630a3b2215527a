//! What `${...}` stands for: while answers are recorded, and when they are given again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use url::Url;

use super::super::load::has_no_default;
use crate::extract::auth::Redactor;
use crate::pipeline::load::{Environment, Lookup, is_secret, secret_variables};
use crate::secret::Secret;

/// Values that are shorter than this may stand in any request by chance.
const SHORTEST: usize = 6;

/// The variables that a pipeline file looked up while it was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variables {
    /// Those that may be kept; none where one wasn't set, so that its default in the file stood.
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Option<String>>,
    /// The names of the others.
    #[serde(default)]
    pub(super) secrets: BTreeSet<String>,
}

/// Looks up in the environment, and notes what was found.
pub(super) struct Noting {
    environment: Environment,
    found: RefCell<BTreeMap<String, Option<String>>>,
}

impl Noting {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment, found: RefCell::default() }
    }

    /// Returns the values that may let somebody in: of the variables that stand where credentials do in `text`, used or not; and what
    /// looks like a token in the path of a URL.
    pub(super) fn secrets(&self, text: &str) -> Vec<Secret> {
        let (names, found) = (secret_variables(text), self.found.borrow());
        let values = found.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let of = |(name, value): (&String, &str)| match Url::parse(value) {
            Ok(url) if value.contains("://") => of_url(&url),
            _ if names.contains(name) || is_secret(name) => vec![Secret::new(value)],
            _ => Vec::new(),
        };
        values.flat_map(of).filter(|secret| !secret.expose().is_empty()).collect()
    }

    /// Tells what was looked up from what may be kept of it. `known` are credentials that requests carry; `all` takes them, and what
    /// [`Noting::secrets`] gives, out of a text.
    pub(super) fn variables(&self, text: &str, known: &[Secret], all: &Redactor) -> Variables {
        let (mut kept, names) = (Variables::default(), secret_variables(text));
        let is_known = |value: &str| known.iter().any(|secret| secret.expose() == value);
        // A short one that isn't known, such as a user's name, may stand anywhere in requests by chance.
        let is_hidden = |name: &str, value: &str| {
            is_secret(name) || is_known(value) || (names.contains(name) && value.len() >= SHORTEST)
        };
        for (name, value) in &*self.found.borrow() {
            match value.as_deref().map(|value| (value, all.scrub(value))) {
                None => drop(kept.variables.insert(name.clone(), None)),
                // Of a URL with a secret in its path the host is kept.
                Some((value, clean)) if clean.contains("://") || (clean == value && !is_hidden(name, value)) => {
                    kept.variables.insert(name.clone(), Some(clean));
                }
                Some(_) => drop(kept.secrets.insert(name.clone())),
            }
        }
        kept
    }
}

impl Lookup for Noting {
    fn var(&self, name: &str) -> Option<String> {
        let value = self.environment.var(name);
        self.found.borrow_mut().insert(name.to_owned(), value.clone());
        value
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.environment.file(path)
    }
}

impl Variables {
    /// Returns what stands in the place of the secrets.
    pub(super) fn stand_ins(&self) -> impl Iterator<Item = Secret> {
        self.secrets.iter().map(|name| Secret::new(stand_in(name)))
    }
}

/// Looks up as it was while answers were recorded. Secrets needn't be there, since nothing is sent: something stands in their place.
pub(super) struct Recorded<'v> {
    pub(super) known: &'v Variables,
    pub(super) environment: Environment,
    /// The pipeline file, which tells what has a default.
    pub(super) text: &'v str,
}

impl Lookup for Recorded<'_> {
    fn var(&self, name: &str) -> Option<String> {
        if self.known.secrets.contains(name) {
            return Some(stand_in(name));
        }
        if let Some(value) = self.known.variables.get(name) {
            return value.clone();
        }
        self.environment.var(name).or_else(|| has_no_default(self.text, name).then(|| stand_in(name)))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Ok(self.environment.file(path).unwrap_or_else(|_| stand_in(path)))
    }
}

/// Returns what looks like a credential in a URL.
fn of_url(url: &Url) -> Vec<Secret> {
    let segments = url.path_segments().into_iter().flatten().filter(|segment| is_token(segment));
    let values = url.query_pairs().map(|(_, value)| Secret::new(value));
    segments.chain(url.password()).map(Secret::new).chain(values).collect()
}

/// Tells whether a segment of a path looks like a token: `T00000000` of a hook, `bot123:abc` of a bot.
fn is_token(segment: &str) -> bool {
    let has = |of: fn(&char) -> bool| segment.chars().any(|c| of(&c));
    segment.len() >= 8 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}

fn stand_in(name: &str) -> String {
    format!("recorded-without-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_what_is_no_secret() {
        let noting = Noting::new(Environment::new(""));
        let found = [
            ("URL", Some("https://api.test/hook-4711/x")),
            ("REGION", Some("eu")),
            ("PAGE", None),
            ("API_TOKEN", Some("innocent")),
            ("SITE", Some("site-9000")),
            ("USER_OF_SHOP", Some("ann-of-the-shop")),
            ("SHORT", Some("ann")),
        ];
        let text = "source: {auth: {basic: {username: '${USER_OF_SHOP}${SHORT}'}}}";
        *noting.found.borrow_mut() =
            found.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).into_iter().collect();
        let kept = noting.variables(text, &[], &Redactor::for_good(["hook-4711", "site-9000"].map(Secret::new).into()));
        let known = serde_json::json!({
            "variables": {"PAGE": null, "REGION": "eu", "SHORT": "ann", "URL": "https://api.test/[redacted]/x"},
            "secrets": ["API_TOKEN", "SITE", "USER_OF_SHOP"],
        });
        let secrets = noting.secrets(text);
        assert_eq!(
            secrets.iter().map(Secret::expose).collect::<Vec<_>>(),
            ["innocent", "ann", "hook-4711", "ann-of-the-shop"]
        );
        assert_eq!(serde_json::to_value(&kept).unwrap(), known);
        let again = Recorded { known: &kept, environment: Environment::new(""), text: "${NEW} ${NEWER:-5}" };
        let values = ["URL", "PAGE", "SITE", "NEW", "NEWER"].map(|name| again.var(name));
        let stand_in = |name: &str| Some(format!("recorded-without-{name}"));
        assert_eq!(
            values,
            [Some("https://api.test/[redacted]/x".to_owned()), None, stand_in("SITE"), stand_in("NEW"), None]
        );
    }
}
