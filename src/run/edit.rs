//! How a job differs from the one that data have landed under, and how that is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::lang::{spell, sql};
use crate::objects::place;
use crate::pipeline::file::SnapshotMode;
use crate::pipeline::spec::{Job, Slicing};

/// The parts that say how a job is cut into slices; it has one of them.
const SLICING: [&str; 3] = ["window.every", "incremental.cursor", "snapshot"];

/// The parts that are SQL, with those of sinks that end so.
const SQL: [&str; 4] = ["latest_by", "transform", "window.time", "incremental.cursor"];

/// The longest SQL that is shown within a sentence, in characters; of a longer one, the lines that differ are shown below it.
const SHORT_SQL: usize = 60;

/// The most characters of a value that a difference shows.
const SHOWN: usize = 200;

/// Characters that are shown before and after a difference within a long text.
const CONTEXT: usize = 60;

/// The most lines of SQL that a difference shows.
const LINES_SHOWN: usize = 40;

/// A part of the fingerprint that isn't as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The field of the pipeline file.
    part: String,
    /// Whether the job has no such part any more.
    gone: bool,
    /// What it was and is, in words.
    text: String,
    /// The lines that differ, where it is SQL that is too long for a sentence.
    lines: Option<String>,
}

/// How a job differs from the one that data have landed under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Parts that aren't as they were.
    pub(super) changes: Vec<Change>,
    /// Sinks that data haven't landed in.
    pub(super) added: Vec<String>,
    /// Sinks that are gone.
    pub(super) removed: Vec<String>,
    /// Of the new ones, those that send.
    pub(super) new_senders: Vec<String>,
    /// Of those that are gone, those that sent.
    pub(super) gone_senders: Vec<String>,
}

impl Edit {
    /// Compares two fingerprints.
    pub(super) fn of(landed: &Value, now: &Value) -> Self {
        let (Some(landed), Some(now)) = (landed.as_object(), now.as_object()) else { return Self::default() };
        // Compared is what it means, and shown is what was written.
        let (old, new) = (meaning(landed), meaning(now));
        let (before, after) = (sinks(&old), sinks(&new));
        let missing = |all: &Sinks, known: &Sinks| {
            // One that has another name and is the same otherwise is the same sink; but what was sent is known by the sink's name.
            let there = |(name, parts): &(&String, &Map<String, Value>)| {
                !known.contains_key(*name)
                    && (sends(parts) || !known.iter().any(|(other, like)| !all.contains_key(other) && like == *parts))
            };
            all.iter().filter(there).map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let names: BTreeSet<&String> = landed.keys().chain(now.keys()).collect();
        let change = |name: &String| {
            let is_new_or_gone =
                sink_of(name).is_some_and(|(sink, _)| before.contains_key(sink) != after.contains_key(sink));
            let (was, is) = (landed.get(name), now.get(name));
            let written = |parts: &Map<String, Value>| parts.get(name).filter(|value| !value.is_null()).cloned();
            if is_new_or_gone || written(&old) == written(&new) || was.is_none() {
                // An earlier version that knew nothing of a part may have noted the fingerprint.
                return None;
            }
            Some(Change::of(name, was, is))
        };
        let changes = names.into_iter().filter_map(change).collect();
        let (added, removed) = (missing(&after, &before), missing(&before, &after));
        let senders = |names: &[String], all: &Sinks| {
            names.iter().filter(|name| all.get(*name).is_some_and(sends)).cloned().collect::<Vec<_>>()
        };
        let (new_senders, gone_senders) = (senders(&added, &after), senders(&removed, &before));
        Self { changes, added, removed, new_senders, gone_senders }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }

    pub(super) fn changes(&self, part: &str) -> bool {
        self.changes.iter().any(|change| change.part == part)
    }

    /// Tells whether the job is cut into slices in another way: by cursors instead of windows, say.
    pub(super) fn cuts_otherwise(&self) -> bool {
        let slicing = |change: &Change| SLICING.contains(&change.part.as_str()) && change.gone;
        self.changes.iter().any(slicing) || self.changes("incremental.cursor")
    }

    /// Tells whether what has landed can't be read again slice by slice, since the slices would be others.
    pub(super) fn renames_slices(&self) -> bool {
        self.cuts_otherwise() || self.changes("window.every") || self.changes("for_each.key")
    }

    /// Tells whether the next run replaces all that has landed in any case: the job lands the list as it is, in the same places.
    pub(super) fn is_replaced_anyway(&self, job: &Job) -> bool {
        let stays = |change: &Change| {
            let part = change.part.as_str();
            ["key", "records", "latest_by", "transform"].contains(&part)
                || sink_of(part).is_some_and(|(_, part)| part == "where")
        };
        matches!(job.slicing, Slicing::Snapshot(SnapshotMode::Latest)) && self.changes.iter().all(stays)
    }

    pub(super) fn text(&self) -> String {
        self.changes.iter().map(|change| change.text.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Returns the lines of SQL that differ, each on a line of its own; nothing where the text shows all.
    pub(super) fn lines(&self) -> String {
        self.changes.iter().filter_map(|change| change.lines.as_deref()).collect()
    }
}

impl Change {
    fn of(part: &str, was: Option<&Value>, is: Option<&Value>) -> Self {
        let gone = is.is_none();
        if let (true, Some(Value::String(before)), Some(Value::String(after))) = (is_sql(part), was, is)
            && [before, after].iter().any(|text| text.contains('\n') || text.chars().count() > SHORT_SQL)
        {
            let lines = Some(format!("\n`{part}`, the lines that differ:{}", lines(before, after)));
            return Self { part: part.to_owned(), gone, text: format!("`{part}` is another"), lines };
        }
        let (was, is) = clipped(&show(part, was), &show(part, is));
        Self { part: part.to_owned(), gone, text: format!("`{part}` was {was} and is {is}"), lines: None }
    }
}

/// The parts of each sink, by its name.
type Sinks = BTreeMap<String, Map<String, Value>>;

fn sinks(fingerprint: &Map<String, Value>) -> Sinks {
    let mut sinks = Sinks::new();
    for (name, value) in fingerprint {
        if let Some((sink, part)) = sink_of(name) {
            sinks.entry(sink.to_owned()).or_default().insert(part.to_owned(), value.clone());
        }
    }
    sinks
}

/// Tells whether a sink sends: it has a key, and no folder.
fn sends(parts: &Map<String, Value>) -> bool {
    parts.contains_key("key") && !parts.contains_key("url")
}

/// Splits the name of a sink's part into the sink and the part.
fn sink_of(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("sinks.").and_then(|rest| rest.split_once('.'))
}

/// Writes a value of a part as the pipeline file has it.
fn show(part: &str, value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(value) if part == "window.every" => {
            let every = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            every.map_or_else(|| value.to_string(), spell)
        }
        Some(value) => value.to_string(),
    }
}

/// Takes the folders of sinks that are where data have landed as they were written then: so a link that made them the same can be missed
/// once it is gone.
pub(super) fn keep_places(now: &mut Value, landed: Option<&Value>) {
    for (part, value) in now.as_object_mut().into_iter().flatten().filter(|(part, _)| is_place(part)) {
        if let (Some(Value::String(before)), Value::String(after)) =
            (landed.and_then(|landed| landed.get(part)), &*value)
            && place(before) == place(after)
        {
            *value = json!(before);
        }
    }
}

/// Returns a fingerprint with the normal form of its SQL, and of its places: comments and blanks are no edit, nor is `./lake/` for `./lake`.
fn meaning(fingerprint: &Map<String, Value>) -> Map<String, Value> {
    let meant = |(part, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) if is_sql(part) => json!(sql::normal_form(text)),
            Value::String(url) if is_place(part) => json!(place(url)),
            other => other.clone(),
        };
        (part.clone(), value)
    };
    fingerprint.iter().map(meant).collect()
}

fn is_sql(part: &str) -> bool {
    SQL.contains(&part) || sink_of(part).is_some_and(|(_, part)| part == "where")
}

fn is_place(part: &str) -> bool {
    sink_of(part).is_some_and(|(_, part)| part == "url")
}

/// Cuts two texts that differ to where they do, if either is long.
fn clipped(was: &str, is: &str) -> (String, String) {
    let (before, after): (Vec<char>, Vec<char>) = (was.chars().collect(), is.chars().collect());
    if before.len().max(after.len()) <= SHOWN {
        return (was.to_owned(), is.to_owned());
    }
    let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let rest = before.len().min(after.len()) - same;
    let same_end =
        before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(CONTEXT);
    let cut = |text: &[char]| {
        let to = (text.len() - same_end + CONTEXT).min(from + SHOWN).min(text.len());
        let (open, close) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
        format!("{open}{}{close}", text[from..to].iter().collect::<String>())
    };
    (cut(&before), cut(&after))
}

/// A line of SQL. Two are equal where they differ in comments and blanks only.
struct Line<'t> {
    meaning: String,
    text: &'t str,
}

impl<'t> Line<'t> {
    /// Returns the lines of a text that say something.
    fn all(text: &'t str) -> Vec<Self> {
        let nothing = sql::normal_form("");
        let lines = text.lines().map(|line| Self { meaning: sql::normal_form(line), text: line.trim_end() });
        lines.filter(|line| line.meaning != nothing).collect()
    }
}

impl PartialEq for Line<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

/// Shows the lines of two texts that differ, each on a line of its own: those of before with `-`, those of now with `+`.
fn lines(before: &str, after: &str) -> String {
    let mut changed = changed_lines(&Line::all(before), &Line::all(after));
    if let [('-', was), ('+', is)] = changed.as_mut_slice() {
        (*was, *is) = clipped(was, is);
    }
    let shown = changed.iter().take(LINES_SHOWN).map(|(sign, line)| format!("\n  {sign} {line}"));
    let more = changed.len().saturating_sub(LINES_SHOWN);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    shown.chain([more]).collect()
}

/// Returns the lines that aren't in the longest common subsequence of two texts, with their signs.
fn changed_lines(before: &[Line<'_>], after: &[Line<'_>]) -> Vec<(char, String)> {
    // What is the same at both ends is most of it, and costs nothing.
    let start = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    let rest = before.len().min(after.len()) - start;
    let end = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let (before, after) = (&before[start..before.len() - end], &after[start..after.len() - end]);
    let width = after.len() + 1;
    // How many lines are in common from there on.
    let mut common = vec![0_u32; (before.len() + 1) * width];
    for row in (0..before.len()).rev() {
        for column in (0..after.len()).rev() {
            let at = row * width + column;
            common[at] = if before[row] == after[column] {
                common[at + width + 1] + 1
            } else {
                common[at + 1].max(common[at + width])
            };
        }
    }
    let (mut row, mut column, mut changed) = (0, 0, Vec::new());
    while row < before.len() || column < after.len() {
        let at = row * width + column;
        if row < before.len() && column < after.len() && before[row] == after[column] {
            (row, column) = (row + 1, column + 1);
        } else if column == after.len() || (row < before.len() && common[at + width] >= common[at + 1]) {
            changed.push(('-', before[row].text.to_owned()));
            row += 1;
        } else {
            changed.push(('+', after[column].text.to_owned()));
            column += 1;
        }
    }
    changed
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
