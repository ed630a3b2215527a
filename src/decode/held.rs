//! Pages that wait for the schema that their slice ends with.
//!
//! A column is widened from what it holds, mostly. It doesn't hold an empty list or object in a column of nothing else, nor `[]` where
//! an object is due, nor digits that a double doesn't keep: nulls and doubles stand for them, and once the column turns out to hold
//! lists, or all sorts of things, that would depend on where the pages broke. So the records of a page with such a value are kept as
//! they came, beside the columns, and are read again where the schema has grown since.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::page::Page;
use super::reject::Misfit;
use super::{Contract, DecodeError, DecodeOptions, DecodedPage, PageDecoder, schema};
use crate::model::RecordSchema;

/// The mark, in the metadata of a field, of the texts of records: any name may be that of a column.
const MARK: &str = "tidegate.texts";

impl DecodedPage {
    /// Returns what a [`Widener`] has to be given: the batch, with the records' texts as its last column where it has to have them.
    ///
    /// # Errors
    /// Where Arrow refuses the columns.
    pub fn held(&self) -> Result<RecordBatch, DecodeError> {
        let Some(texts) = &self.texts else { return Ok(self.batch.clone()) };
        let mark = HashMap::from([(MARK.to_owned(), String::new())]);
        let field = Field::new("", DataType::Utf8, false).with_metadata(mark);
        let fields: Fields = self.batch.schema_ref().fields().iter().cloned().chain([Arc::new(field)]).collect();
        let columns = self.batch.columns().iter().cloned().chain([Arc::new(texts.clone()) as ArrayRef]);
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())?)
    }
}

/// Takes the texts of the records that weren't rejected.
pub(super) fn texts(raw: &[&str], bad: &[(u64, Misfit)]) -> StringArray {
    let mut bad = bad.iter().map(|(ordinal, _)| *ordinal).peekable();
    let kept = (0..).zip(raw).filter(|(ordinal, _)| bad.next_if_eq(ordinal).is_none());
    StringArray::from_iter_values(kept.map(|(_, text)| text))
}

/// Brings batches that were decoded under older working schemas of a slice to the schema that it ended with.
#[derive(Debug, Clone)]
pub struct Widener {
    /// How the pages were decoded, with the final schema pinned.
    options: DecodeOptions,
    to: RecordSchema,
}

impl Widener {
    /// Makes the widener to the schema `to` for pages that were decoded by `options`.
    #[must_use]
    pub fn new(options: &DecodeOptions, to: RecordSchema) -> Self {
        let options = DecodeOptions {
            pinned: Some(to.clone()),
            // They were free to grow, or there would be no texts.
            contract: Contract::Evolve,
            want_edges: false,
            ..options.clone()
        };
        Self { options, to }
    }

    /// Makes rows, as [`DecodedPage::held`] gave them, under the working schema `from`, fit: new columns, fields and items are null,
    /// types are widened, and what has become `json` is printed as JSON. Rows may have been left out.
    ///
    /// # Errors
    /// Where the schema isn't one that `from` can grow into.
    pub fn widen(&self, held: &RecordBatch, from: &RecordSchema) -> Result<RecordBatch, DecodeError> {
        let is_text = |field: &Arc<Field>| field.metadata().contains_key(MARK);
        let Some(last) = held.num_columns().checked_sub(1).filter(|last| is_text(&held.schema_ref().fields()[*last]))
        else {
            return schema::conform(held, from, &self.to);
        };
        if *from != self.to {
            return self.read_again(held.column(last).as_string());
        }
        let columns = held.columns()[..last].to_vec();
        schema::batch_of(super::arrow_schema(&self.to), columns, held.num_rows())
    }

    fn read_again(&self, texts: &StringArray) -> Result<RecordBatch, DecodeError> {
        let records = texts.iter().flatten().map(str::to_owned).collect();
        let page = PageDecoder::new(self.options.clone()).decode_open(&Page::of_records(records))?;
        match page.rejected.first() {
            Some(row) => {
                Err(DecodeError::Widen { column: row.column.clone(), from: row.got.clone(), to: row.expected.clone() })
            }
            None => schema::conform(&page.batch, &page.schema, &self.to),
        }
    }
}
