//! What a file wants to have looked up.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::diagnostic::{Diagnostic, Source};
use super::interpolate::{self, Lookup, Reference};
use super::tree::{Kind, Node};
use super::{conceal, de, yaml};

/// Something that a file wants to have looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referred {
    /// What.
    pub reference: Reference,
    /// Whether a field that holds a secret takes it, in one place at least, or a key with a telling name; or nothing but the URL of a
    /// hook, which is a secret in itself for some.
    pub secret: bool,
}

/// Lists all `${...}` of a file that is read as a `T`, each once, in the order of their names: variables, then files.
///
/// # Errors
/// The mistakes of the file's syntax, and of its `${...}`. Others are for [`super::load`] to find.
pub fn references<T: DeserializeOwned>(source: &Source) -> Result<Vec<Referred>, Vec<Diagnostic>> {
    let (root, mut found) = yaml::parse(&source.text);
    let Some(mut root) = root else { return Err(found) };
    found.extend(interpolate::interpolate(&mut root, &source.text, &Anything { text: &source.text }));
    if !found.is_empty() {
        return Err(found);
    }
    let mut all = BTreeMap::new();
    // A value that was made up may not fit its field, which then goes.
    collect(&root, Place::Plain, "", &mut all);
    let _: (Option<T>, _) = de::from_node(&mut root, &source.text);
    collect(&root, Place::Plain, "", &mut all);
    Ok(all
        .into_iter()
        .map(|(reference, place)| Referred { reference, secret: matches!(place, Place::HookUrl | Place::Secret) })
        .collect())
}

/// All that has no default is there.
struct Anything<'a> {
    text: &'a str,
}

impl Lookup for Anything<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.text.contains(&format!("${{{name}}}")).then(|| "unset".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("unset".to_owned())
    }
}

/// Where something stands; of several places the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The URL of a hook.
    HookUrl,
    /// A hook, but not its URL.
    Hook,
    /// Anywhere else.
    Plain,
    /// Below a key that tells by its name that a secret stands there, or in a field that holds one.
    Secret,
}

/// `place` is what the keys above say: parameters and headers are no fields. `within` is the last of them.
fn collect(node: &Node, place: Place, within: &str, all: &mut BTreeMap<Reference, Place>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let below = match (place, entry.key.text.as_str()) {
                    (_, key) if conceal::is_telling(key) => Place::Secret,
                    (_, name) if within == "headers" && conceal::is_secret_header(name) => Place::Secret,
                    (_, name) if within == "query" && conceal::is_secret_parameter(name) => Place::Secret,
                    (_, "on_success" | "on_failure") => Place::Hook,
                    (Place::Hook, "post") => Place::HookUrl,
                    (Place::Hook, _) => Place::Plain,
                    _ => place,
                };
                collect(&entry.value, below, &entry.key.text, all);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| collect(item, place, within, all)),
        Kind::Scalar(scalar) => {
            let Some(filled) = &scalar.filled else { return };
            for reference in &filled.references {
                let place = if filled.secret.get() { Place::Secret } else { place };
                let known = all.entry(reference.clone()).or_insert(place);
                *known = place.max(*known);
            }
        }
        Kind::Hole | Kind::Wild(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::file::PipelineFile;

    #[test]
    fn what_fills_a_secret_is_told_from_what_does_not() {
        let text = "version: 1\nname: x\nsource:\n  base_url: ${URL:-https://a.test}\n  auth: {basic: {username: '${USER}', password: '${file:/run/pw}'}}\n  headers: {Authorization: 'Bearer ${TOKEN}', X-App: '${USER}', DD-APPLICATION-KEY: '${APP}', Idempotency-Key: '${N}'}\n  query: {key: '${K}', page: '${N}'}\n  concurrency: ${N}\non_success: {post: '${URL:-https://a.test}/${HOOK}'}\non_failure: {post: '${HOOK}', body: {channel: '${N}'}}\njobs: {a: {get: '/${USER}', paginate: none, records: '.[]'}}\n";
        let source = Source { name: "x.yaml".to_owned(), text: text.to_owned() };
        let found = references::<PipelineFile>(&source).unwrap();
        let shown: Vec<_> = found.iter().map(|one| format!("{:?} {}", one.reference, one.secret)).collect();
        assert_eq!(
            shown,
            [
                "Var { name: \"APP\", default: None } true",
                "Var { name: \"HOOK\", default: None } true",
                "Var { name: \"K\", default: None } true",
                "Var { name: \"N\", default: None } false",
                "Var { name: \"TOKEN\", default: None } true",
                "Var { name: \"URL\", default: Some(\"https://a.test\") } false",
                "Var { name: \"USER\", default: None } false",
                "File { path: \"/run/pw\" } true",
            ]
        );
    }
}
