//! Which variables of a pipeline file are credentials, by where they stand: used or not, they are none to be kept.

use std::collections::BTreeSet;

use super::conceal::is_secret_header;
use super::tree::{Kind, Node};
use super::yaml;

/// Keys below which everything that comes from outside lets somebody in, or may.
const LET_IN: [&str; 5] = ["auth", "proxy", "on_failure", "on_success", "tls"];

/// Where a token is got is no secret.
const TOKEN_URL: &str = "token_url";

/// Returns the names of the variables `${NAME}` that stand below such a key, or one whose name tells of a secret; none of a text that can't
/// be parsed.
#[must_use]
pub fn secret_variables(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let (Some(root), _) = yaml::parse(text) {
        walk(text, &root, false, &mut names);
    }
    names
}

fn walk(text: &str, node: &Node, lets_in: bool, names: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let key = entry.key.text.as_str();
                let lets_in = lets_in || LET_IN.contains(&key) || is_secret_header(key);
                walk(text, &entry.value, lets_in && key != TOKEN_URL, names);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| walk(text, item, lets_in, names)),
        Kind::Scalar(_) if lets_in => names.extend(variables(node.span.slice(text)).map(str::to_owned)),
        Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => {}
    }
}

/// Returns the names of the variables in a scalar.
fn variables(scalar: &str) -> impl Iterator<Item = &str> {
    let parts = scalar.split("${").skip(1).filter_map(|part| part.split_once('}'));
    parts.map(|(inside, _)| inside.split_once(":-").map_or(inside, |(name, _)| name)).filter(|name| !name.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_one_though_no_job_uses_it() {
        let text = "
source: {base_url: '${URL}', auth: {basic: {username: '${U:-me}', password: '${P}'}}, headers: {DD-API-KEY: 'a ${K}', x-sort-key: '${S}'}}
on_failure: {post: '${HOOK}/${FOLDER}'}
jobs:
  a: {auth: none, get: '/${PATH_OF}', for_each: {values: ['${V}']}, sinks: {desk: {http: {base_url: '${DESK}', auth: {bearer: '${file:/t}'}}}}}
";
        assert_eq!(secret_variables(text).into_iter().collect::<Vec<_>>(), ["FOLDER", "HOOK", "K", "P", "U"]);
        assert_eq!(secret_variables("{"), BTreeSet::new());
    }
}
