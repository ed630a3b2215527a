//! Loads a YAML file into a typed value, and reports all of its mistakes at once.
//!
//! The text becomes a tree ([`yaml`], [`tree`]), `${...}` is replaced in the tree ([`interpolate`]), and the tree becomes the
//! typed value ([`de`]). Each step marks what it refused as a hole and goes on, so that the next one can look at the
//! rest; a hole is never reported twice.

mod advice;
mod conceal;
pub mod de;
pub mod diagnostic;
mod environment;
mod explain;
pub mod fields;
pub mod interpolate;
mod node_de;
mod offsets;
mod problem;
mod references;
pub mod request;
mod secret_names;
pub mod secrets;
mod shown;
mod syntax;
mod traps;
pub mod tree;
mod variants;
mod wild;
pub mod yaml;

pub use conceal::{concealed, is_secret, is_secret_header, is_secret_parameter};
pub use diagnostic::{Diagnostic, Severity, Source, Span};
pub use environment::Environment;
pub use explain::nearest;
pub use fields::{Jq, OneOrMany, Spanned, Sql, Text, Tmpl};
pub use interpolate::{Lookup, Reference};
pub use references::{Referred, references};
pub use request::RequestValue;
pub use secret_names::secret_variables;
pub use secrets::{PrefixedSecret, SecretText};
pub use shown::shown;

use serde::de::DeserializeOwned;

/// Loads `source`, with `${...}` looked up in `lookup`.
///
/// # Errors
/// All mistakes of the file, in the order of the file: at least one, and at most [`de::MAX_DIAGNOSTICS`] of each step.
pub fn load<T: DeserializeOwned>(source: &Source, lookup: &dyn Lookup) -> Result<T, Vec<Diagnostic>> {
    match partly(source, lookup) {
        (Some(value), found) if found.is_empty() => Ok(value),
        (_, found) => Err(found),
    }
}

/// Loads `source` as far as it goes: its mistakes, in the order of the file, and what is left without them, where there is any.
/// A value that was refused is absent there, and one that is missing is made up, at the empty span.
pub fn partly<T: DeserializeOwned>(source: &Source, lookup: &dyn Lookup) -> (Option<T>, Vec<Diagnostic>) {
    let (root, mut found) = yaml::parse(&source.text);
    conceal::conceal(&source.text, &mut found);
    let mut value = None;
    if let Some(mut root) = root {
        found.extend(interpolate::interpolate(&mut root, &source.text, lookup));
        let (typed, mistakes) = de::from_node(&mut root, &source.text);
        found.extend(mistakes);
        value = typed;
    }
    diagnostic::sort(&mut found);
    (value, found)
}

#[cfg(test)]
mod tests;
