//! The records of a page and what child requests add to them: pure, and it computes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::RunError;
use super::enrich::{Answer, Column};
use crate::decode::has_double;
use crate::extract::request::{Fingerprint, RenderedRequest};

/// The child request of a record.
pub(super) struct Prepared {
    pub(super) request: RenderedRequest,
    pub(super) fingerprint: Fingerprint,
}

/// Why a record has no value.
pub(super) struct Failed {
    /// Which record of the page, from 0.
    pub(super) row: usize,
    pub(super) source: RunError,
}

impl Failed {
    /// Names the column, and the request of the page.
    pub(super) fn of(self, column: &str, page: &str) -> RunError {
        RunError::Enrich {
            column: column.to_owned(),
            row: self.row as u64 + 1,
            page: page.to_owned(),
            source: Box::new(self.source),
        }
    }
}

/// Renders the request of each record, but of those in `skipped` and of what isn't an object: that goes to quarantine.
pub(super) fn prepare(
    column: &Column,
    records: &[String],
    skipped: &BTreeSet<usize>,
    context: &Map<String, Value>,
) -> Result<Vec<Option<Prepared>>, Failed> {
    let mut names = Value::Object(context.clone());
    let prepare = |(row, record): (usize, &String)| {
        if skipped.contains(&row) {
            return Ok(None);
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(record) else { return Ok(None) };
        if fields.contains_key(&column.name) {
            return Err(Failed { row, source: RunError::EnrichTaken { column: column.name.clone() } });
        }
        names["row"] = Value::Object(fields);
        if has_double(&names["row"])
            && let Some(problem) = column.sent.problem(record)
        {
            return Err(Failed { row, source: RunError::EnrichNumber { problem } });
        }
        let request = column.tree.render(&names, &[]).map_err(|source| Failed { row, source: source.into() })?;
        Ok(Some(Prepared { fingerprint: request.fingerprint(), request }))
    };
    records.iter().enumerate().map(prepare).collect()
}

/// Adds a field to a record, a JSON text. One that has no answer stays as it is.
pub(super) fn put(record: String, name: &str, answer: Option<&Answer>) -> String {
    let value = match answer {
        None => return record,
        Some(Answer::Value(text)) => text,
        Some(Answer::Failed(_)) => "null",
    };
    let Some(fields) = record.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return record };
    let comma = if fields.trim().is_empty() { "" } else { "," };
    format!("{{{fields}{comma}{}:{value}}}", Value::from(name))
}

/// What became of a column's requests in a slice, row by row.
#[derive(Debug, Default)]
pub(super) struct Tally {
    column: String,
    rows: u64,
    nulls: u64,
    failed: u64,
    first: Option<String>,
}

impl Tally {
    /// Begins a slice.
    pub(super) fn new(column: &str) -> Self {
        Self { column: column.to_owned(), ..Self::default() }
    }

    /// Notes what a row got.
    pub(super) fn note(&mut self, answer: &Answer) {
        self.rows += 1;
        match answer {
            Answer::Value(text) => self.nulls += u64::from(&**text == "null"),
            Answer::Failed(error) => {
                self.failed += 1;
                self.first.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Says what a person should look at, if there is anything.
    pub(super) fn sentence(&self) -> Option<String> {
        let Self { column, rows, nulls, failed, first } = self;
        match first {
            Some(first) => Some(format!(
                "`{column}` is null in {failed} of {rows} rows, whose child requests were answered by an error; the first: {first}"
            )),
            None if *rows > 1 && nulls == rows => Some(format!(
                "`{column}` is null in all {rows} rows, though their child requests succeeded; check `enrich.{column}.value`"
            )),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_the_last_field_and_no_digit_changes() {
        let value = Answer::Value("{\"n\":9007199254740993.10}".into());
        let check = |record: &str, expected: &str| assert_eq!(put(record.to_owned(), "a\"b", Some(&value)), expected);
        check(r#"{"id": 1.50}"#, r#"{"id": 1.50,"a\"b":{"n":9007199254740993.10}}"#);
        check("{ }", r#"{ "a\"b":{"n":9007199254740993.10}}"#);
        check("[1]", "[1]");
        assert_eq!(put("{\"id\":1}".to_owned(), "d", None), r#"{"id":1}"#);
        assert_eq!(put("{\"id\":1}".to_owned(), "d", Some(&Answer::Failed("e".into()))), r#"{"id":1,"d":null}"#);
    }

    #[test]
    fn a_tally_tells_of_errors_and_of_nothing_but_nulls() {
        let said = |answers: &[&str]| {
            let mut tally = Tally::new("d");
            for answer in answers {
                tally.note(&match answer.strip_prefix("error ") {
                    Some(error) => Answer::Failed(error.into()),
                    None => Answer::Value((*answer).into()),
                });
            }
            tally.sentence().unwrap_or_default()
        };
        assert_eq!(said(&["1", "null"]), "");
        assert_eq!(said(&["null"]), "", "one row proves nothing");
        assert!(said(&["null", "null"]).starts_with("`d` is null in all 2 rows"));
        let mixed = said(&["1", "error first", "error second"]);
        assert!(mixed.starts_with("`d` is null in 2 of 3 rows") && mixed.ends_with("the first: first"), "{mixed}");
    }
}
