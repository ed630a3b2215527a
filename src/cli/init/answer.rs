//! What one answer shows: where its records are, what tells them apart, and what stands beside them.

use std::collections::HashSet;

use serde_json::Value;

/// How deep in an answer records, totals and cursors are looked for.
const DEPTH: usize = 4;

/// Names of columns that tell rows apart, by [`plain`], the likeliest first; after them what ends with an `id` of its own.
const KEYS: [&str; 6] = ["id", "uuid", "guid", "rowid", "key", "number"];

/// How many of them surely do: of the others another row may have the same.
const SURE: usize = 4;

/// Names of lists that hold the records of an answer.
const RECORDS: [&str; 14] = [
    "data",
    "items",
    "results",
    "records",
    "rows",
    "value",
    "values",
    "entries",
    "list",
    "hits",
    "content",
    "objects",
    "resources",
    "elements",
];

/// Names of lists that hold something beside the records.
const BESIDE: [&str; 10] =
    ["errors", "warnings", "links", "included", "facets", "aggregations", "buckets", "tags", "columns", "fields"];

/// An answer, and the request that it answers.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// The parameters of the request.
    pub(super) query: &'a [(String, String)],
    /// The headers of the answer, by names in lower case.
    pub(super) headers: &'a Value,
    /// The records, where there are any.
    pub(super) records: Records<'a>,
    /// How many there are.
    pub(super) rows: u64,
    /// What stands beside the records and is no list, each with the names that lead there.
    pub(super) scalars: Vec<(Vec<String>, &'a Value)>,
}

/// The records of an answer.
#[derive(Debug)]
pub(super) struct Records<'a> {
    /// Where they are, as `records` says it.
    pub(super) path: String,
    /// The records.
    pub(super) items: &'a [Value],
    /// Whether there is a list at all; otherwise the answer itself is the one record.
    pub(super) is_list: bool,
    /// Other lists of objects, which may be the records instead.
    pub(super) others: Vec<String>,
}

/// A column that tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    /// Whether its name says so; else it only differs on this page.
    pub(super) is_sure: bool,
}

impl<'a> Answer<'a> {
    pub(super) fn new(query: &'a [(String, String)], headers: &'a Value, body: &'a Value) -> Self {
        let records = records(body);
        let mut scalars = Vec::new();
        if records.is_list {
            walk(body, &mut Vec::new(), &mut scalars);
        }
        Self { query, headers, rows: records.items.len() as u64, records, scalars }
    }

    /// Returns a column whose values differ from record to record, and are short texts or whole numbers: by its name the likeliest.
    pub(super) fn key(&self) -> Option<Key<'a>> {
        let first = self.records.items.first()?.as_object()?;
        let ends = |name: &str| ["_id", "-id", "Id", "ID", "_uuid", "_guid"].iter().any(|end| name.ends_with(end));
        let rank = |name: &str| {
            let plain = plain(name);
            KEYS.iter().position(|key| *key == plain).or_else(|| ends(name).then_some(KEYS.len()))
        };
        let mut names: Vec<(usize, &str)> = first
            .keys()
            .filter(|name| is_literal(name))
            .filter_map(|name| Some((rank(name)?, name.as_str())))
            .collect();
        names.sort_by_key(|(rank, _)| *rank);
        let found = names.into_iter().find(|(_, name)| is_distinct(self.records.items, name));
        found.map(|(rank, name)| Key { name, is_sure: rank < SURE })
    }

    /// Returns the columns that hold instants of RFC 3339, those of changes before others.
    pub(super) fn times(&self) -> Vec<&'a str> {
        let Some(first) = self.records.items.first().and_then(Value::as_object) else { return Vec::new() };
        let is_time =
            |value: &Value| value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok());
        let mut times: Vec<&str> = first
            .iter()
            .filter(|(name, value)| is_literal(name) && is_time(value))
            .map(|(name, _)| name.as_str())
            .collect();
        let of_change = |name: &str| ["updat", "modif", "chang"].iter().any(|part| plain(name).contains(part));
        times.sort_by_key(|name| !of_change(name));
        times
    }

    /// Returns how many different fields the records have.
    pub(super) fn columns(&self) -> usize {
        let names = self.records.items.iter().filter_map(Value::as_object).flat_map(|record| record.keys());
        names.collect::<HashSet<_>>().len()
    }
}

fn is_distinct(items: &[Value], name: &str) -> bool {
    let mut seen = HashSet::new();
    items.iter().all(|record| match record.get(name) {
        Some(value @ (Value::String(_) | Value::Number(_))) if !value.is_f64() => seen.insert(value.to_string()),
        _ => false,
    })
}

/// Finds the records: a list of objects, rather one whose name says that it holds them, then the longest, then the highest. One whose name says that
/// it holds something else is none.
fn records(body: &Value) -> Records<'_> {
    let mut lists = Vec::new();
    lists_of(body, &mut Vec::new(), &mut lists);
    let is_named =
        |path: &[String], names: &[&str]| path.last().is_some_and(|name| names.contains(&plain(name).as_str()));
    let is_beside = |path: &[String]| is_named(path, &BESIDE) || path.iter().any(|name| plain(name) == "meta");
    let has_objects = |items: &[Value]| items.iter().any(Value::is_object);
    let full: Vec<_> = lists.iter().filter(|(path, items)| has_objects(items) && !is_beside(path)).collect();
    let best = full.iter().rev().max_by_key(|(path, items)| (is_named(path, &RECORDS), items.len()));
    let may_be = |(path, items): &&(Vec<String>, &[Value])| items.is_empty() && !is_beside(path);
    // An empty list beside rows that are no objects isn't where they are.
    let has_rows = lists.iter().any(|(path, items)| !items.is_empty() && is_named(path, &RECORDS));
    let empty = || lists.iter().filter(may_be).max_by_key(|(path, _)| is_named(path, &RECORDS)).filter(|_| !has_rows);
    let Some((path, items)) = best.copied().or_else(empty) else {
        return Records { path: ".".to_owned(), items: std::slice::from_ref(body), is_list: false, others: Vec::new() };
    };
    let others = lists.iter().filter(|(other, items)| other != path && has_objects(items));
    let others = others.map(|(path, _)| format!("{}[]", jq(path))).collect();
    Records { path: format!("{}[]", jq(path)), items, is_list: true, others }
}

/// Tells whether a name stands for itself in a pipeline file: a server isn't to choose what is looked up, or evaluated.
fn is_literal(name: &str) -> bool {
    !name.contains("${") && !name.contains("{{") && !name.contains("{%") && !name.contains("{#")
}

/// Collects the lists of a value, from the top down. Those within records aren't the records.
fn lists_of<'a>(value: &'a Value, path: &mut Vec<String>, lists: &mut Vec<(Vec<String>, &'a [Value])>) {
    match value {
        Value::Array(items) => lists.push((path.clone(), items)),
        Value::Object(fields) if path.len() < DEPTH => {
            for (name, value) in fields.iter().filter(|(name, _)| is_literal(name)) {
                path.push(name.clone());
                lists_of(value, path, lists);
                path.pop();
            }
        }
        _ => {}
    }
}

fn walk<'a>(value: &'a Value, path: &mut Vec<String>, scalars: &mut Vec<(Vec<String>, &'a Value)>) {
    match value {
        Value::Object(fields) if path.len() < DEPTH => {
            for (name, value) in fields.iter().filter(|(name, _)| is_literal(name)) {
                path.push(name.clone());
                walk(value, path, scalars);
                path.pop();
            }
        }
        Value::Object(_) | Value::Array(_) => {}
        value => scalars.push((path.clone(), value)),
    }
}

/// Writes the names that lead to a value as jq.
pub(super) fn jq(path: &[String]) -> String {
    let is_plain = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    let step = |(at, name): (usize, &String)| match (at, is_plain(name)) {
        (_, true) => format!(".{name}"),
        (0, false) => format!(".[{}]", Value::from(name.as_str())),
        (_, false) => format!("[{}]", Value::from(name.as_str())),
    };
    if path.is_empty() { ".".to_owned() } else { path.iter().enumerate().map(step).collect() }
}

/// Makes names comparable: lower case, letters and digits alone.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Writes a text as a YAML scalar that may stand in braces: plain where nothing can misread it.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '/' | '-' | '$');
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '.' | '/' | '$'));
    let odd = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if begins && text.chars().all(is_plain) && !odd.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
