//! Pages of a job whose records no `key` tells from others: one whose records share no field with those before it is no page of that
//! list, but a message of the server, most likely.

use std::collections::BTreeSet;

use arrow::array::Array as _;
use serde_json::error::Category;

use super::came::Came;
use super::rows::Rows;
use super::unlike::fields;
use crate::decode::DecodeOptions;
use crate::lang::Selector;
use crate::pipeline::spec::Job;
use crate::run::RunError;

/// How long a record may be that is quoted, in bytes. It is quoted as a whole: a part of it might end within a secret, where that isn't
/// known as one.
const MOST_QUOTED: usize = 200;

/// How many fields are named.
const MOST_NAMED: usize = 5;

/// The fields of the rows so far.
#[derive(Debug, Default)]
pub(super) struct Kin {
    /// The columns that aren't of the records.
    added: BTreeSet<String>,
    /// A program writes null for what a record doesn't have, and may make a record of each field.
    by_program: bool,
    /// The columns in which a row had a value.
    known: BTreeSet<String>,
    /// The columns in which every row had one; none before the first row.
    common: Option<BTreeSet<String>>,
    rows: u64,
}

impl Kin {
    /// Begins a slice of a job, which is decoded by `options`.
    pub(super) fn new(job: &Job, options: &DecodeOptions) -> Self {
        let constants = options.constants.iter().map(|(name, _)| name);
        Self {
            added: constants.chain(job.enrich.iter().map(|enrich| &enrich.column)).cloned().collect(),
            by_program: matches!(options.selector, Selector::Program(_)),
            ..Self::default()
        }
    }

    /// Takes the rows of a page of `records` records. Says what is wrong with it where none of the records has a field of the rows
    /// before, though these have some in common.
    pub(super) fn take(&mut self, rows: &Rows, records: u64, came: &Came<'_>) -> Result<Option<String>, RunError> {
        let (mut some, mut partly) = (BTreeSet::new(), BTreeSet::new());
        for batch in rows.batches() {
            for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                let (name, nulls) = (field.name().as_str(), column.logical_null_count());
                if nulls < column.len() && !self.added.contains(name) {
                    some.insert(name);
                }
                if nulls > 0 {
                    partly.insert(name);
                }
            }
        }
        if records > 0 && self.tells() && !some.iter().any(|name| self.known.contains(*name)) {
            let problem = self.problem(came.texts()?);
            if problem.is_some() {
                return Ok(problem);
            }
        }
        if rows.count() == 0 {
            return Ok(None);
        }
        self.rows += rows.count();
        match &mut self.common {
            Some(common) => common.retain(|name| !partly.contains(name.as_str())),
            None => self.common = Some(some.difference(&partly).map(|name| (*name).to_owned()).collect()),
        }
        for name in some {
            if !self.known.contains(name) {
                self.known.insert(name.to_owned());
            }
        }
        Ok(None)
    }

    /// Tells whether the rows so far have something in common: of what a program makes, one record doesn't show that.
    fn tells(&self) -> bool {
        self.common.as_ref().is_some_and(|common| !common.is_empty()) && (self.rows > 1 || !self.by_program)
    }

    /// Says what is wrong with records, JSON texts, unless one of them has a field of the rows before. What is no object is told of
    /// elsewhere.
    fn problem(&self, records: &[&str]) -> Option<String> {
        let mut example = None;
        for record in records {
            let fields = match fields(record) {
                Ok(fields) => fields,
                Err(error) if error.classify() == Category::Data => continue,
                // What can't be read may have one.
                Err(_) => return None,
            };
            let is_there = |value: &str| !self.by_program || value != "null";
            if fields.iter().any(|(name, value)| self.known.contains(name) && is_there(value.get())) {
                return None;
            }
            example = example.or_else(|| Some(quoted(record, fields.keys())));
        }
        let example = example?;
        let page = if records.len() == 1 { "1 record".to_owned() } else { format!("{} records", records.len()) };
        let common = named(self.common.iter().flatten());
        Some(format!(
            "the page has {page}, with none of the fields of the rows before (all of which have {common}): {example}; a message of the server \
             where rows were due, here or before? If so, say in `success` what an answer with rows has beside them, or let `records` be a \
             program that calls `error` for it; if the list has such rows too, say `max_bad_rows: 100%` in `schema`"
        ))
    }
}

/// Writes a record, or what it has where it is long.
fn quoted<'f>(record: &str, fields: impl Iterator<Item = &'f String>) -> String {
    if record.len() <= MOST_QUOTED { record.to_owned() } else { format!("it has {}", named(fields)) }
}

fn named<'f>(fields: impl Iterator<Item = &'f String>) -> String {
    let names: Vec<String> = fields.take(MOST_NAMED + 1).map(|name| format!("`{name}`")).collect();
    match names.get(..MOST_NAMED) {
        Some(first) if names.len() > MOST_NAMED => format!("{} and others", first.join(", ")),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin(known: &[&str], by_program: bool) -> Kin {
        let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
        Kin { common: Some(known.clone()), known, by_program, rows: 2, ..Kin::default() }
    }

    #[test]
    fn a_page_is_of_the_list_where_one_of_its_records_has_a_field_of_it() {
        let is_strange = |records: &[&str]| kin(&["id", "at"], false).problem(records).is_some();
        assert!(is_strange(&[r#"{"error":"busy"}"#]) && is_strange(&["{}", "null"]));
        for page in [
            &[r#"{"error":"busy"}"#, r#"{"at":1}"#][..],
            &[r#"{"id":null,"x":1}"#],
            &["null", "[1]"],
            &["{oops"],
            &[r#"{"x":1}"#, "{oops"],
        ] {
            assert!(!is_strange(page), "{page:?}");
        }
        assert!(
            kin(&["id"], true).problem(&[r#"{"id":null}"#]).is_some(),
            "a program writes null for what isn't there"
        );
    }

    #[test]
    fn one_record_of_a_program_does_not_show_what_all_have() {
        assert!(kin(&["id"], true).tells() && !kin(&[], false).tells() && !Kin::default().tells());
        assert!(!Kin { rows: 1, ..kin(&["id"], true) }.tells() && Kin { rows: 1, ..kin(&["id"], false) }.tells());
    }

    #[test]
    fn a_long_record_is_told_by_its_fields() {
        let long = format!(r#"{{"a":"{}","b":1,"c":1,"d":1,"e":1,"f":1}}"#, "x".repeat(200));
        let problem = kin(&["id"], false).problem(&[&long]).unwrap();
        assert!(
            problem.contains("(all of which have `id`): it has `a`, `b`, `c`, `d`, `e` and others; a message"),
            "{problem}"
        );
    }
}
