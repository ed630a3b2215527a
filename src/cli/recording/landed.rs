//! What a job would land, in a form that can be kept and compared.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::print;
use crate::run::Preview;

/// The most rows that are told of those that went, and of those that came.
const ROWS_TOLD: usize = 5;

/// The most other differences that are told.
const TOLD: usize = 20;

/// The most characters of a value that are told.
const LONGEST: usize = 120;

/// What a job would land.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Landed {
    /// All but the rows: where they went, what that proves, columns, files, requests.
    pub(super) about: Value,
    /// The rows that would land, each as a JSON object.
    pub(super) rows: Vec<String>,
}

impl Landed {
    /// Takes what a preview shows.
    pub(super) fn of(preview: &Preview) -> std::io::Result<Self> {
        let columns = preview.batches.first().map(RecordBatch::schema);
        let columns: Map<String, Value> = columns
            .iter()
            .flat_map(|schema| schema.fields())
            .map(|field| (field.name().clone(), json!(field.data_type().to_string())))
            .collect();
        let files = |files: &[crate::run::PreviewFile]| -> Map<String, Value> {
            files.iter().map(|file| (file.path.clone(), json!(file.rows))).collect()
        };
        let sinks: Map<String, Value> = preview
            .sinks
            .iter()
            .map(|sink| (sink.sink.to_string(), json!({"files": files(&sink.files), "filtered": sink.filtered})))
            .collect();
        let sends: Map<String, Value> = preview
            .deliveries
            .iter()
            .map(|sends| (sends.sink.to_string(), json!({"rows": sends.rows, "first": sends.request})))
            .collect();
        let mut counts = serde_json::to_value(preview.rows)?;
        if let Value::Object(counts) = &mut counts {
            counts.retain(|_, count| count != 0);
        }
        let about = json!({
            "slice": preview.slice, "first_request": preview.request, "counts": counts, "reconciliation": preview.reconciliation,
            "fails": preview.refused, "columns": columns, "quarantine": preview.bad, "sinks": sinks, "sends": sends,
        });
        Ok(Self { about, rows: lines(&preview.batches)? })
    }

    /// Says in a few words how much it is.
    pub(super) fn told(&self) -> String {
        let rows = print::counted(self.rows.len() as u64, "row");
        let bad = self.about["counts"]["quarantined"].as_u64().unwrap_or_default();
        let bad = if bad > 0 { format!(", {} in quarantine", print::count(bad)) } else { String::new() };
        let reconciliation = &self.about["reconciliation"];
        match (self.about["fails"].as_str(), reconciliation["verdict"].as_str()) {
            (Some(why), _) => format!("nothing: {why}"),
            (None, Some(verdict)) => format!("all, {rows}{bad}: {verdict}"),
            (None, None) => format!("the first {rows}{bad}"),
        }
    }

    /// Says how what is here now differs from it, a line each; nothing where it doesn't.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &self.about, &mut before);
        flatten("", &now.about, &mut after);
        let about = union(&before, &after).filter_map(|name| changed(name, before.get(name), after.get(name)));
        let mut about: Vec<String> = about.collect();
        let more = about.len().saturating_sub(TOLD);
        about.truncate(TOLD);
        about.extend((more > 0).then(|| format!("and {} like these", print::counted(more as u64, "more difference"))));
        about.into_iter().chain(rows_that_differ(&self.rows, &now.rows)).collect()
    }
}

fn lines(batches: &[RecordBatch]) -> std::io::Result<Vec<String>> {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    for batch in batches {
        writer.write(batch).map_err(std::io::Error::other)?;
    }
    writer.finish().map_err(std::io::Error::other)?;
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

/// Names each value of a tree by its place, such as `columns.id`.
fn flatten(place: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&below(name), value, into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(&below(&(at + 1).to_string()), item, into));
        }
        Value::Null => {}
        Value::String(text) => drop(into.insert(place.to_owned(), text.clone())),
        other => drop(into.insert(place.to_owned(), other.to_string())),
    }
}

fn changed(name: &str, was: Option<&String>, is: Option<&String>) -> Option<String> {
    match (was, is) {
        (Some(was), Some(is)) if was == is => None,
        (Some(was), Some(is)) => Some(format!("{name}: was {}, is {}", cut(was), cut(is))),
        (Some(was), None) => Some(format!("{name}: was {}, is gone", cut(was))),
        (None, Some(is)) => Some(format!("{name}: is new: {}", cut(is))),
        (None, None) => None,
    }
}

/// Returns the names that either has.
fn union<'n, T>(before: &'n BTreeMap<String, T>, after: &'n BTreeMap<String, T>) -> impl Iterator<Item = &'n String> {
    before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)))
}

/// Compares rows: as many that went as came are the same ones, changed.
fn rows_that_differ(before: &[String], after: &[String]) -> Vec<String> {
    let (gone, new) = (without(before, after), without(after, before));
    if gone.is_empty() && new.is_empty() {
        let moved = before != after;
        return moved.then(|| "the rows come in another order".to_owned()).into_iter().collect();
    }
    if gone.len() == new.len() {
        return columns_that_differ(&gone, &new);
    }
    let told = |rows: Vec<(usize, &String)>, what: &str| {
        let told = rows.iter().take(ROWS_TOLD).map(|(at, row)| format!("row {at} is {what}: {}", cut(row)));
        let more = rows.len().saturating_sub(ROWS_TOLD);
        let rest = (more > 0).then(|| format!("and {} that are {what}", print::counted(more as u64, "more row")));
        told.chain(rest).collect::<Vec<_>>()
    };
    [told(gone, "gone"), told(new, "new")].concat()
}

/// Returns the rows of one list that another doesn't have, with their numbers, from 1; of equal rows as many as it has more.
fn without<'r>(rows: &'r [String], other: &[String]) -> Vec<(usize, &'r String)> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for row in other {
        *left.entry(row).or_default() += 1;
    }
    let is_left = |row: &str| match left.get_mut(row) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let mut is_left = is_left;
    rows.iter().enumerate().filter(|(_, row)| is_left(row)).map(|(at, row)| (at + 1, row)).collect()
}

/// The cells of a row, each as it is written.
type Cells = BTreeMap<String, Box<RawValue>>;

/// Says of each column in how many rows it differs, and how in the first of them.
fn columns_that_differ(before: &[(usize, &String)], after: &[(usize, &String)]) -> Vec<String> {
    let cells = |line: &str| serde_json::from_str::<Cells>(line).unwrap_or_default();
    let text = |cells: &Cells, name: &String| cells.get(name).map(|cell| cell.get().to_owned());
    let mut columns: IndexMap<String, (u64, String)> = IndexMap::new();
    for ((_, was), (row, is)) in before.iter().zip(after) {
        let (was, is) = (cells(was), cells(is));
        for name in union(&was, &is) {
            if let Some(told) = changed(name, text(&was, name).as_ref(), text(&is, name).as_ref()) {
                let first = format!("row {row}: {told}");
                columns.entry(name.clone()).or_insert((0, first)).0 += 1;
            }
        }
    }
    let told = |(count, first): (u64, String)| match count {
        1 => first,
        count => format!("{first}, and it differs in {}", print::counted(count - 1, "more row")),
    };
    columns.into_values().map(told).collect()
}

fn cut(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(about: &Value, rows: &[&str]) -> Landed {
        Landed { about: about.clone(), rows: rows.iter().map(|row| (*row).to_owned()).collect() }
    }

    #[test]
    fn differences_are_told_by_their_place() {
        let before = landed(
            &json!({"counts": {"received": 2}, "columns": {"id": "Int64", "n": "Int64"}, "reconciliation": null}),
            &["{\"id\":1,\"n\":12345678901234567890}", "{\"id\":2,\"n\":7}"],
        );
        let after = landed(
            &json!({"counts": {"received": 2, "quarantined": 1}, "columns": {"id": "Int64", "n": "Utf8"}, "reconciliation": null}),
            &["{\"id\":1,\"n\":\"12345678901234567890\"}", "{\"id\":2,\"n\":7}"],
        );
        assert_eq!(
            before.differences(&after),
            [
                "columns.n: was Int64, is Utf8",
                "counts.quarantined: is new: 1",
                "row 1: n: was 12345678901234567890, is \"12345678901234567890\"",
            ]
        );
        assert_eq!(before.differences(&before), Vec::<String>::new());
    }

    #[test]
    fn rows_that_went_and_came_are_told_and_so_is_another_order() {
        let of = |rows: &[&str]| landed(&Value::Null, rows);
        assert_eq!(of(&["a", "b", "b"]).differences(&of(&["b", "a"])), ["row 3 is gone: b"]);
        assert_eq!(of(&["a"]).differences(&of(&["a", "c", "a"])), ["row 2 is new: c", "row 3 is new: a"]);
        assert_eq!(of(&["a", "b"]).differences(&of(&["b", "a"])), ["the rows come in another order"]);
        assert_eq!(
            of(&["{\"a\":1}", "{\"a\":2}"]).differences(&of(&["{\"a\":1.0}", "{\"a\":2.0}"])),
            ["row 1: a: was 1, is 1.0, and it differs in 1 more row"]
        );
        let many: Vec<String> = (0..30).map(|row| row.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of(&many).differences(&of(&[])).last().unwrap(), "and 25 more rows that are gone");
    }
}
