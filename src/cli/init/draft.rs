//! The pipeline file that is written.

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

use super::answer::{Answer, Key, Records, scalar};
use super::paging::{self, Paging};
use super::target::Target;

/// The file of one who gives no URL.
pub(super) const STARTER: &str = include_str!("starter.yaml");

/// The widest that a comment gets.
const WIDTH: usize = 140;

/// What is known of an answer, and written.
#[derive(Debug)]
pub(super) struct Draft {
    /// The text of the file.
    pub(super) text: String,
    /// Where the records are.
    pub(super) records: String,
    /// How many records of how many fields there are.
    pub(super) rows: u64,
    pub(super) columns: usize,
    /// What tells them apart.
    pub(super) key: Option<String>,
    /// How the list is paged through.
    pub(super) paging: Paging,
    /// What of it is left to check.
    pub(super) checks: Vec<String>,
}

/// Writes a file that asks once, as `target` says, and takes any answer.
pub(super) fn to_ask(target: &Target) -> Result<String, minijinja::Error> {
    render(target, &target.query, context! { paginate => "none", records => ".", key => "id" })
}

/// Writes the file for what `answer` is the first page of. `request` is what was asked, redacted.
pub(super) fn of(target: &Target, answer: &Answer<'_>, request: &str) -> Result<Draft, minijinja::Error> {
    let key = answer.key();
    let paging = paging::of(answer, key);
    let query: Vec<_> = target.query.iter().filter(|(name, _)| !paging.sends.contains(name)).cloned().collect();
    let of_records = of_records(answer);
    let of_key = match key {
        _ if !answer.records.is_list => None,
        Some(key) if key.is_sure => None,
        Some(Key { name, .. }) => {
            Some(format!("that `{name}` tells rows apart: it differs in each on this page, and rows that share it land once"))
        }
        None => Some(
            "`key: [column, ...]`, what tells rows apart: without it, rows that come twice because the list moved land twice"
                .to_owned(),
        ),
    };
    let comment = |checks: &[String]| -> Vec<String> {
        checks.iter().flat_map(|check| wrapped(&format!("CHECK {check}."))).collect()
    };
    let because = wrapped(&format!("{}.", upper(&paging.because)));
    let times: Vec<String> = answer.times().iter().map(|time| one_line(&format!("`{time}`"))).collect();
    let text = render(
        target,
        &query,
        context! {
            request => one_line(request), paginate => paging.yaml.as_str(), paging => [because, comment(&paging.checks)].concat(),
            records => plain_in_block(&answer.records.path), of_records => comment(&of_records),
            key => key.map(|key| scalar(key.name)), of_key => comment(of_key.as_slice()), times => times.join(", "),
        },
    )?;
    let checks = [of_records, paging.checks.clone(), of_key.into_iter().collect()].concat();
    let (records, columns) = (answer.records.path.clone(), answer.columns());
    Ok(Draft { text, records, rows: answer.rows, columns, key: key.map(|key| key.name.to_owned()), paging, checks })
}

/// Says what of the records is a guess.
fn of_records(answer: &Answer<'_>) -> Vec<String> {
    let Records { path, is_list, others, .. } = &answer.records;
    let mut checks = Vec::new();
    if !is_list {
        let one =
            "the answer has no list of objects, so that it is one record: write jq that gives a record for each row";
        checks.push(one.to_owned());
    } else if answer.rows == 0 {
        checks.push("the list has no rows now: ask where there are some, and more can be told".to_owned());
    }
    if !others.is_empty() {
        checks.push(format!("that the records are {path}: the answer has other lists, {}", others.join(", ")));
    }
    checks
}

fn render(
    target: &Target,
    query: &[(String, String)],
    of_answer: minijinja::Value,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    let values = context! {
        name => target.name.as_str(), base_url => plain_in_block(&target.base_url), auth => target.auth.as_deref(), headers => map(&target.headers),
        ca_file => target.ca_file.as_deref().map(scalar), job => target.job.as_str(), path => scalar(&target.path), query => map(query),
        url => quoted(&format!("${{LAKE:-./lake}}/{}/{}", target.name, target.job)), ..of_answer
    };
    environment.render_named_str("draft", include_str!("draft.yaml.j2"), values).map(|text| text + "\n")
}

/// Writes names and values as a map; what comes several times is a list.
fn map(pairs: &[(String, String)]) -> String {
    let mut values: IndexMap<&str, Vec<String>> = IndexMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(quoted(value));
    }
    let entry = |(name, values): (&str, Vec<String>)| match values.as_slice() {
        [value] => format!("{}: {value}", scalar(name)),
        several => format!("{}: [{}]", scalar(name), several.join(", ")),
    };
    let entries: Vec<String> = values.into_iter().map(entry).collect();
    if entries.is_empty() { String::new() } else { format!("{{{}}}", entries.join(", ")) }
}

/// Writes a value that is sent as a text, whatever it looks like.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().any(char::is_control) {
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Writes a path to records or a URL, whose brackets and colons need no quotes outside of braces.
fn plain_in_block(text: &str) -> String {
    let without = text.trim_end_matches("[]").replace(':', "");
    if scalar(&without) == without { text.to_owned() } else { scalar(text) }
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Makes a text fit for a comment: names in an answer may hold anything.
fn one_line(text: &str) -> String {
    let breaks = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}');
    text.replace(breaks, " ")
}

/// Writes a text as the lines of a comment.
fn wrapped(text: &str) -> Vec<String> {
    let text = one_line(text);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
