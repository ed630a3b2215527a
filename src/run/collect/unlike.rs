//! Records that aren't rows by any sign: a message of the server, most likely, where rows were due.

use std::collections::BTreeMap;

use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::decode::{DecodeOptions, RejectedRow};
use crate::lang::Selector;
use crate::model::AnswerFormat;
use crate::pipeline::spec::Job;

/// Tells records that are like the job's rows from those that aren't.
///
/// A record is unlike where it has none of the columns of `key`, or isn't an object at all; a line of a table where it doesn't have the
/// header's cells. A row with null in its key is a row.
pub(super) struct Unlike {
    /// The columns of `key` that records have of their own.
    own: Vec<String>,
    is_table: bool,
    /// A program writes null for what a record doesn't have.
    null_is_none: bool,
}

impl Unlike {
    /// Knows the rows of a job, which are decoded by `options`.
    pub(super) fn new(job: &Job, options: &DecodeOptions) -> Self {
        let is_added = |column: &String| {
            options.constants.iter().any(|(name, _)| name == column)
                || job.enrich.iter().any(|enrich| enrich.column == *column)
        };
        Self {
            own: job.key.iter().filter(|column| !is_added(column)).cloned().collect(),
            is_table: matches!(options.format, AnswerFormat::Csv(_))
                && matches!(options.selector, Selector::Plain { .. }),
            null_is_none: matches!(options.selector, Selector::Program(_)),
        }
    }

    /// Judges a record that couldn't be decoded.
    pub(super) fn is_rejected(&self, row: &RejectedRow) -> bool {
        if self.is_table { row.column.is_empty() } else { self.is(&row.raw) }
    }

    /// Judges a record, a JSON text, or the line of a table whose cells were those of the header.
    pub(super) fn is(&self, record: &str) -> bool {
        if self.is_table {
            return false;
        }
        match fields(record) {
            Ok(fields) => {
                let has = |column: &String| {
                    fields.get(column).is_some_and(|value| !self.null_is_none || value.get() != "null")
                };
                !self.own.is_empty() && !self.own.iter().any(has)
            }
            // What can't be read may have it.
            Err(error) => error.classify() == Category::Data,
        }
    }

    /// Tells whether it knows rows by nothing but that they are objects: then [`Kin`](super::kin::Kin) looks at their fields. The header
    /// of a table is compared as it is read.
    pub(super) fn knows_no_field(&self) -> bool {
        self.own.is_empty() && !self.is_table
    }

    /// Says what is wrong with a page of `rows` records, none of which is like a row.
    pub(super) fn problem(&self, rows: u64, example: &str) -> String {
        let lacks = match (self.is_table, self.own.as_slice()) {
            (true, _) => "none of them has the cells that the header names".to_owned(),
            (false, []) => "none of them is an object".to_owned(),
            (false, own) => format!("none of them has `{}`, by which rows are told apart (`key`)", own.join("` or `")),
        };
        let page = if rows == 1 { "the page has 1 record".to_owned() } else { format!("the page has {rows} records") };
        let example = if example.is_empty() { String::new() } else { format!(" ({example})") };
        format!(
            "{page}, and {lacks}: a message of the server where rows were due{example}? If it is one, say in `success` what an answer \
             with rows has; if rows are like that, correct `records` and `key`, or say `max_bad_rows: 100%` in `schema`"
        )
    }
}

/// Reads the fields of a record, a JSON text. Where it is no object, the error is one of data.
pub(super) fn fields(record: &str) -> serde_json::Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(own: &[&str], null_is_none: bool, record: &str) -> bool {
        let own = own.iter().map(|column| (*column).to_owned()).collect();
        Unlike { own, is_table: false, null_is_none }.is(record)
    }

    #[test]
    fn a_record_is_unlike_rows_where_it_has_nothing_of_the_key() {
        for unlike in [r#"{"error":"busy"}"#, "{}", "null", "[1]", "\"busy\"", "7"] {
            assert!(judge(&["id", "at"], false, unlike), "{unlike}");
        }
        for row in [r#"{"id":null}"#, r#"{"at":1,"x":{}}"#, r#"{"id":1,"id":2}"#, r#"{"id": 1e999}"#] {
            assert!(!judge(&["id", "at"], false, row), "{row}");
        }
        assert!(judge(&["id"], true, r#"{"id":null}"#), "a program writes null for what isn't there");
        assert!(
            !judge(&[], false, r#"{"error":"busy"}"#) && judge(&[], false, "null"),
            "without a key any object may be one"
        );
        let deep = format!(r#"{{"id": 1, "x": {}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert!(!judge(&["id"], false, &deep) && !judge(&["id"], false, "{oops"));
    }
}
