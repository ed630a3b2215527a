//! Numbers of rows that go into requests. A template prints a double, which may not be what the server wrote: `1.1` for `1.10`, and another
//! id for one of 30 digits. A request with such a number is refused, since it would ask for something else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::{RunError, build};
use crate::extract::paginate::{Digits, rewritten};
use crate::extract::request::RequestTree;
use crate::lang::jq::root_paths;
use crate::lang::template::Template;
use crate::model::JobName;
use crate::pipeline::spec::{FanOut, FanOutFrom, Job, Pipeline};

/// The values of a row that are used, each by its keys; none stand for the whole row.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(BTreeSet<(Vec<String>, Uses)>);

/// What a value is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Uses {
    /// It goes into a request.
    Request,
    /// It becomes a column.
    Column,
}

impl Sent {
    /// Knows what the templates of a request send of the row that they call `root`.
    pub(super) fn of_request(tree: &RequestTree, root: &str) -> Self {
        let paths = tree.templates().into_iter().flat_map(|template| paths(template, root));
        Self(paths.map(|path| (path, Uses::Request)).collect())
    }

    /// Knows what the jobs that fan out over the rows of a parent use of them.
    pub(super) fn of_parent(pipeline: &Pipeline, parent: &JobName) -> Result<Self, RunError> {
        let mut sent = Self::default();
        for job in &pipeline.jobs {
            match &job.for_each {
                Some(fan_out) if matches!(&fan_out.from, FanOutFrom::Rows(rows_of) if rows_of == parent) => {
                    sent.add(job, fan_out)?
                }
                _ => {}
            }
        }
        Ok(sent)
    }

    fn add(&mut self, job: &Job, fan_out: &FanOut) -> Result<(), RunError> {
        self.0.extend(Self::of_request(&build::request(job)?, &fan_out.name).0);
        for enrich in &job.enrich {
            let tree = build::request_tree(&job.source, &enrich.request)?;
            self.0.extend(Self::of_request(&tree, &fan_out.name).0);
        }
        let columns = fan_out.columns.iter().flat_map(|(_, program)| root_paths(program.text()));
        let keys = fan_out.key.iter().map(|column| vec![column.clone()]);
        self.0.extend(keys.chain(columns).map(|path| (path, Uses::Column)));
        Ok(())
    }

    /// Says what is wrong with a row, a JSON text, if anything that is used of it would be another number.
    pub(super) fn problem(&self, row: &str) -> Option<String> {
        self.0.iter().find_map(|(path, uses)| {
            let (digits, would) = match uses {
                Uses::Request => (Digits::AsWritten, "be sent as"),
                Uses::Column => (Digits::ByValue, "become"),
            };
            let (number, sent) = rewritten(at(row, path)?, digits)?;
            let place = if path.is_empty() { "a value".to_owned() } else { format!("`{}`", path.join(".")) };
            Some(format!(
                "{place} is {number} in a row, and would {would} {sent}, which may be another one to the server; let `records` make a text \
                 of it, such as `.[] | .id |= tostring`, or ask the API for one"
            ))
        })
    }
}

/// Returns the paths below `root` that a template reads.
fn paths(template: &Template, root: &str) -> Vec<Vec<String>> {
    let below = |name: &String| {
        let mut steps = name.split('.');
        (steps.next() == Some(root)).then(|| steps.map(str::to_owned).collect::<Vec<_>>())
    };
    let mut found: Vec<Vec<String>> = template.names().iter().filter_map(below).collect();
    if found.iter().any(Vec::is_empty)
        && let Some(keys) = subscripts(template.as_str(), root)
    {
        found.retain(|path| !path.is_empty());
        found.extend(keys.into_iter().map(|key| vec![key]));
    }
    found
}

/// Returns the keys that a template names in brackets, `row["a b"]`; none where it uses `root` in another way as well.
fn subscripts(template: &str, root: &str) -> Option<Vec<String>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut keys = Vec::new();
    for (start, _) in template.match_indices(root) {
        let after = template[start + root.len()..].trim_start();
        let is_other = template[..start].ends_with(|c: char| is_name(c) || matches!(c, '.' | '"' | '\''))
            || template[start + root.len()..].starts_with(is_name);
        if is_other || after.starts_with('.') {
            continue;
        }
        let inside = after.strip_prefix('[')?.trim_start();
        let quote = inside.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (key, rest) = inside[1..].split_once(quote)?;
        (rest.trim_start().starts_with(']') && !key.contains('\\')).then_some(())?;
        keys.push(key.to_owned());
    }
    Some(keys)
}

/// Returns the text of what lies at a path within a JSON text; of a scalar, or of a list on the way, all of it.
fn at<'t>(text: &'t str, path: &[String]) -> Option<&'t str> {
    let Some((key, rest)) = path.split_first() else { return Some(text) };
    if !text.trim_ascii_start().starts_with('{') {
        return Some(text);
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    at(fields.get(key)?.get(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, row: &str) -> Option<String> {
        let template = Template::compile_path(template).unwrap();
        Sent(paths(&template, "row").into_iter().map(|path| (path, Uses::Request)).collect()).problem(row)
    }

    #[test]
    fn what_a_template_sends_must_be_sent_as_it_is_written() {
        for (template, row) in [
            ("/c/{{ row.pid }}", r#"{"pid": 1.10}"#),
            ("/c/{{ row.a.b }}", r#"{"a": {"b": 1e3}}"#),
            ("/c/{{ row.ids[0] }}", r#"{"ids": [123456789012345678901234567890]}"#),
            (r#"/c/{{ row["p id"] }}"#, r#"{"p id": 1.10}"#),
            ("/c/{{ row[name] }}", r#"{"pid": 1.10}"#),
            ("/c/{{ row }}", "1.10"),
            ("/c/{{ row.pid | default(7) }}", r#"{"pid": -0}"#),
        ] {
            let problem = check(template, row).unwrap_or_else(|| panic!("{template} {row}"));
            assert!(problem.contains("in a row, and would be sent as"), "{problem}");
        }
        let problem = check("/c/{{ row.pid }}", r#"{"pid": 1e3}"#).unwrap();
        assert!(problem.starts_with("`pid` is 1e3 in a row, and would be sent as 1000.0, which"), "{problem}");
    }

    #[test]
    fn what_is_not_sent_may_be_written_in_any_way() {
        for (template, row) in [
            ("/c/{{ row.pid }}", r#"{"pid": 7, "price": 1.10}"#),
            ("/c/{{ row.pid }}", r#"{"pid": "1.10"}"#),
            ("/c/{{ row.pid }}", r#"{"pid": 1.5}"#),
            (r#"/c/{{ row['p id'] }}/{{ row.pid }}/{{ narrow }}"#, r#"{"p id": 7, "pid": 1, "price": 1.10}"#),
            ("/c/{{ other.pid }}", r#"{"pid": 1.10}"#),
        ] {
            assert_eq!(check(template, row), None, "{template} {row}");
        }
        let column = |row: &str| Sent([(vec!["pid".to_owned()], Uses::Column)].into()).problem(row);
        assert_eq!(column(r#"{"pid": 1.10}"#), None);
        assert!(column(r#"{"pid": 1700000000.1234567890}"#).unwrap().contains("would become 1700000000.1234567"));
    }
}
