//! A page in two steps: its records are picked out first, and typed once something was added to them.

use bytes::Bytes;
use serde_json::Value;

use super::beyond;
use super::error::json;
use super::page::Page;
use super::{DecodeError, DecodedPage, Origin, PageDecoder, PageVars};
use crate::lang::jq::Jq;

/// A page whose records are picked out, and still text.
#[derive(Debug, Clone)]
pub struct SplitPage {
    /// The records, each a JSON text. What is put in their place is what is typed.
    pub records: Vec<String>,
    /// The body without the records; for a program the whole body.
    pub envelope: Value,
    /// The first record as it came; null where there is none or it wasn't wanted.
    pub first: Value,
    /// The last record.
    pub last: Value,
    /// How many rows the server put on the page.
    pub server_rows: u64,
}

impl PageDecoder {
    /// Picks the records out of a page: the first half of [`PageDecoder::decode`], which says what the arguments are.
    ///
    /// # Errors
    /// As [`PageDecoder::decode`].
    pub fn split(
        &mut self,
        body: &Bytes,
        context: &PageVars,
        rows_program: Option<&Jq>,
        vars: &[Value],
    ) -> Result<SplitPage, DecodeError> {
        let vars = context.with(vars);
        let (selector, known) = (self.options.selector.clone(), self.known.clone());
        let page = Page::open(body, self.options.format, &selector, &known, &vars)?;
        let page = if self.options.lean_envelope { page.lean() } else { page };
        page.has_objects(&selector)?;
        let (records, envelope) = page.texts()?;
        self.version += u64::from(self.known.learn(&page, !records.is_empty()));
        let edge = |record: Option<&String>| match record {
            Some(text) if self.options.want_edges => beyond::part(text).map_err(|error| json(text, &error)),
            _ => Ok(Value::Null),
        };
        let (first, last) = (edge(records.first())?, edge(records.last())?);
        let server_rows = match rows_program {
            Some(program) => page.count(program, &vars)?,
            None => records.len() as u64,
        };
        Ok(SplitPage { records, envelope, first, last, server_rows })
    }

    /// Types the records of a page: the second half of [`PageDecoder::decode`].
    ///
    /// # Errors
    /// Where a record isn't JSON, or there are more bytes than Arrow's offsets reach.
    pub fn decode_records(&mut self, page: SplitPage) -> Result<DecodedPage, DecodeError> {
        let SplitPage { records, envelope, first, last, server_rows } = page;
        let bytes = records.iter().map(String::len).sum();
        if i32::try_from(bytes).is_err() {
            return Err(DecodeError::TooLarge { bytes });
        }
        let page = Page::of_records(records);
        let decoded = self.decode_open(&page)?;
        let origin = Origin::of(page.into_records(), &Bytes::new(), self.options.format);
        Ok(DecodedPage { envelope, first, last, server_rows, origin, ..decoded })
    }
}
