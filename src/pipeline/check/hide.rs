//! Keeps values of the environment out of messages: one may be a secret that was put into the wrong field.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::super::load::{Diagnostic, Lookup};

/// Looks values up, and remembers them.
pub(super) struct Seen<'l> {
    lookup: &'l dyn Lookup,
    /// What stands between `${` and `}` or `:-`, and the value.
    values: RefCell<BTreeSet<(String, String)>>,
}

impl<'l> Seen<'l> {
    pub(super) fn new(lookup: &'l dyn Lookup) -> Self {
        Self { lookup, values: RefCell::default() }
    }

    /// Puts `${...}` back into diagnostics that stand on a line with it.
    pub(super) fn hide(&self, text: &str, diagnostics: &mut [Diagnostic]) {
        let values = self.values.borrow();
        for found in diagnostics {
            let lines = lines_of(text, found);
            for (name, value) in values.iter().filter(|(name, _)| lines.contains(&format!("${{{name}"))) {
                let shown = format!("${{{name}}}");
                for words in [Some(&mut found.message), found.expected.as_mut(), found.help.as_mut()] {
                    if let Some(words) = words.filter(|words| words.contains(value.as_str())) {
                        *words = words.replace(value.as_str(), &shown);
                    }
                }
            }
        }
    }

    fn remember(&self, name: &str, value: &str) {
        if !value.is_empty() {
            self.values.borrow_mut().insert((name.to_owned(), value.to_owned()));
        }
    }
}

impl Lookup for Seen<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.lookup.var(name).inspect(|value| self.remember(name, value))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.lookup.file(path).inspect(|value| self.remember(&format!("file:{path}"), value.trim_end()))
    }
}

/// Returns the lines that a diagnostic stands on.
fn lines_of<'t>(text: &'t str, found: &Diagnostic) -> &'t str {
    let start = text.get(..found.span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let rest = text.get(found.span.end..).unwrap_or_default();
    let end = text.len() - rest.len() + rest.find('\n').unwrap_or(rest.len());
    text.get(start..end).unwrap_or_default()
}
