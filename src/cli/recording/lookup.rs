//! What `${...}` stands for: while answers are recorded, and when they are given again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::pipeline::load::{Environment, Lookup, is_secret};

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

    /// Tells what was looked up from what may be kept of it. `scrub` takes what is known for a secret out of a text.
    pub(super) fn variables(&self, scrub: impl Fn(&str) -> String) -> Variables {
        let mut kept = Variables::default();
        for (name, value) in &*self.found.borrow() {
            match value.as_deref().map(|value| (value, scrub(value))) {
                None => drop(kept.variables.insert(name.clone(), None)),
                // Of a URL with a secret in its path the host is kept.
                Some((value, clean)) if !is_secret(name) && (clean == value || clean.contains("://")) => {
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
        let has_no_default = || self.text.contains(&format!("${{{name}}}"));
        self.environment.var(name).or_else(|| has_no_default().then(|| stand_in(name)))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Ok(self.environment.file(path).unwrap_or_else(|_| stand_in(path)))
    }
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
        ];
        *noting.found.borrow_mut() =
            found.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).into_iter().collect();
        let kept = noting.variables(|text| text.replace("hook-4711", "[redacted]").replace("site-9000", "[redacted]"));
        let known = serde_json::json!({
            "variables": {"PAGE": null, "REGION": "eu", "URL": "https://api.test/[redacted]/x"},
            "secrets": ["API_TOKEN", "SITE"],
        });
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
