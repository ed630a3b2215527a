//! The records of a page as they came, for the few that nobody would have thought to ask for while the page was read.

use bytes::Bytes;

use super::envelope::{RawRows, walk};
use super::error::{DecodeError, json};
use super::page::Records;
use super::text::text_of;
use super::{lines, table};
use crate::model::{AnswerFormat, CsvDialect};

/// Where the records of a page are to be found as they came: in the body, mostly, which isn't copied.
#[derive(Debug, Clone)]
pub struct Origin(Place);

#[derive(Debug, Clone)]
enum Place {
    /// In the list at the end of these keys.
    Along(Bytes, Vec<String>),
    /// A line each.
    Lines(Bytes),
    /// The rows of a table, from this byte of its text on.
    Table(Bytes, CsvDialect, usize),
    /// Picked out by a program.
    Records(Vec<String>),
}

impl Origin {
    /// Notes records that were picked out.
    pub(super) const fn of_records(records: Vec<String>) -> Self {
        Self(Place::Records(records))
    }

    /// Notes the records of a body.
    pub(super) fn of(records: Records<'_>, body: &Bytes, format: AnswerFormat) -> Self {
        Self(match (records, format) {
            (Records::Emitted(records), _) => Place::Records(records),
            (Records::Along(path), _) => Place::Along(body.clone(), path.keys.clone()),
            (Records::Table(table), AnswerFormat::Csv(dialect)) => Place::Table(body.clone(), dialect, table.start()),
            (Records::Lines(_) | Records::Table(_), _) => Place::Lines(body.clone()),
        })
    }

    /// Returns all records of the page in their order, rejected ones among them, each a text as it came. It reads the page once more.
    ///
    /// # Errors
    /// None, for a page that was decoded.
    pub fn texts(&self) -> Result<Vec<&str>, DecodeError> {
        match &self.0 {
            Place::Records(records) => Ok(records.iter().map(String::as_str).collect()),
            Place::Along(body, keys) => {
                let (text, mut rows) = (text_of(body, AnswerFormat::Json)?, RawRows::default());
                walk(text, keys, &mut rows, false).map_err(|error| json(text, &error))?;
                Ok(rows.0)
            }
            Place::Lines(body) => lines::split(text_of(body, AnswerFormat::JsonLines)?),
            Place::Table(body, dialect, start) => {
                table::raw_rows(text_of(body, AnswerFormat::Csv(*dialect))?, dialect.delimiter, *start)
            }
        }
    }
}
