//! Pages as JSON values, for those whose rows never become columns.

use serde_json::Value;

use super::error::excerpt;
use super::page::Page;
use super::table::{self, Known};
use super::{DecodeError, PageVars};
use crate::lang::Selector;
use crate::lang::jq::Jq;
use crate::model::{AnswerFormat, CsvDialect};

/// A page that was read whole.
#[derive(Debug, Clone, PartialEq)]
pub struct WholePage {
    /// The records.
    pub rows: Vec<Value>,
    /// The JSON texts of those that have a double: see [`super::has_double`].
    pub with_double: Vec<String>,
    /// The body without the records; for a program the whole body.
    pub envelope: Value,
    /// How many rows the server put on the page: what the `rows` program says, else how many records there are.
    pub server_rows: u64,
    /// The columns of a table, in its order; none where the page isn't one.
    pub columns: Vec<String>,
}

impl WholePage {
    /// Refuses a table that lacks one of `columns`, which the slice's first page has; where a page may leave some out, one that lacks all.
    ///
    /// # Errors
    /// Where it does.
    pub fn goes_on(&self, columns: &[String], format: AnswerFormat) -> Result<(), DecodeError> {
        let sparse = matches!(format, AnswerFormat::Csv(CsvDialect { sparse: true, .. }));
        if sparse && columns.iter().any(|column| self.columns.contains(column)) {
            return Ok(());
        }
        match columns.iter().find(|column| !self.columns.is_empty() && !self.columns.contains(column)) {
            None => Ok(()),
            Some(column) => {
                let header = self.columns.join(", ");
                let excerpt = excerpt(header.as_bytes(), 0);
                Err(DecodeError::Csv { line: 1, reason: table::other_header(column), excerpt })
            }
        }
    }
}

/// Reads one page. The programs see [`super::PAGE_VARIABLES`] from `context`, and after them `vars`.
///
/// # Errors
/// As for [`super::PageDecoder::decode`], and where a record can't be a value: a row of a table has too many cells or too few, a key
/// comes twice, or a number is beyond 64 bits.
pub fn read_whole(
    body: &[u8],
    format: AnswerFormat,
    selector: &Selector,
    context: &PageVars,
    rows_program: Option<&Jq>,
    vars: &[Value],
) -> Result<WholePage, DecodeError> {
    let vars = context.with(vars);
    let page = Page::open(body, format, selector, &Known::default(), &vars)?;
    let (rows, with_double, envelope) = page.values()?;
    let server_rows = match rows_program {
        Some(program) => page.count(program, &vars)?,
        None => rows.len() as u64,
    };
    Ok(WholePage { rows, with_double, envelope, server_rows, columns: page.columns().to_vec() })
}
