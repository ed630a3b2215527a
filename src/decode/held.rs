//! Pages that wait for the schema that their slice ends with.
//!
//! A column is widened from what it holds, mostly. It doesn't hold an empty list or object in a column of nothing else, nor `[]` where
//! an object is due, nor digits that a double doesn't keep: nulls and doubles stand for them, and once the column turns out to hold
//! lists, or all sorts of things, that would depend on where the pages broke. So the records of a page with such a value are kept as
//! they came, beside the columns, and are read again where the schema has grown since.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::page::Page;
use super::{Contract, DecodeError, DecodeOptions, PageDecoder, Piece, schema};
use crate::model::RecordSchema;

/// The mark, in the metadata of a field, of the texts of records: any name may be that of a column.
const MARK: &str = "tidegate.texts";

impl Piece {
    /// Returns how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let texts = self.texts.as_ref().map_or(0, Array::get_array_memory_size);
        (self.batch.get_array_memory_size() + texts) as u64
    }

    /// Returns what a [`Widener`] has to be given: the batch, with the records' texts as its last column where it has to have them.
    ///
    /// # Errors
    /// Where Arrow refuses the columns.
    pub fn held(self) -> Result<RecordBatch, DecodeError> {
        let Self { batch, texts: Some(texts) } = self else { return Ok(self.batch) };
        let mark = HashMap::from([(MARK.to_owned(), String::new())]);
        let field = Field::new("", DataType::Utf8, false).with_metadata(mark);
        let fields: Fields = batch.schema_ref().fields().iter().cloned().chain([Arc::new(field)]).collect();
        let columns = batch.columns().iter().cloned().chain([Arc::new(texts) as ArrayRef]);
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())?)
    }
}

/// Takes the texts of some of a page's records, of those that `keep` says.
pub(super) fn texts(raw: &[&str], rows: Range<u64>, keep: Option<&BooleanArray>) -> StringArray {
    let place = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
    let raw = raw.get(place(rows.start)..place(rows.end)).unwrap_or_default();
    let is_kept = |at: usize| keep.is_none_or(|keep| keep.value(at));
    StringArray::from_iter_values(raw.iter().enumerate().filter(|(at, _)| is_kept(*at)).map(|(_, text)| text))
}

/// Brings batches that were decoded under older working schemas of a slice to the schema that it ended with.
#[derive(Debug, Clone)]
pub struct Widener {
    /// How the pages were decoded, with the final schema pinned.
    options: DecodeOptions,
    to: RecordSchema,
    arrow: SchemaRef,
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
        let arrow = super::arrow_schema(&to);
        Self { options, to, arrow }
    }

    /// Makes rows, as [`Piece::held`] gave them, under the working schema `from`, fit: new columns, fields and items are null,
    /// types are widened, and what has become `json` is printed as JSON. Rows may have been left out.
    ///
    /// # Errors
    /// Where the schema isn't one that `from` can grow into.
    pub fn widen(&self, held: &RecordBatch, from: &RecordSchema) -> Result<RecordBatch, DecodeError> {
        let is_text = |field: &Arc<Field>| field.metadata().contains_key(MARK);
        let texts = held.num_columns().checked_sub(1).filter(|last| is_text(&held.schema_ref().fields()[*last]));
        if *from == self.to {
            let columns = held.columns()[..texts.unwrap_or(held.num_columns())].to_vec();
            return schema::batch_of(Arc::clone(&self.arrow), columns, held.num_rows());
        }
        match texts {
            Some(texts) => self.read_again(held.column(texts).as_string()),
            None => schema::conform(held, from, &self.to),
        }
    }

    fn read_again(&self, texts: &StringArray) -> Result<RecordBatch, DecodeError> {
        let records = texts.iter().flatten().map(str::to_owned).collect();
        let page = PageDecoder::new(self.options.clone()).decode_open(&Page::of_records(records))?;
        if let Some(row) = page.rejected.first() {
            let (column, from, to) = (row.column.clone(), row.got.clone(), row.expected.clone());
            return Err(DecodeError::Widen { column, from, to });
        }
        let pieces = page.pieces.iter().map(|piece| &piece.batch);
        schema::conform(&concat_batches(&super::arrow_schema(&page.schema), pieces)?, &page.schema, &self.to)
    }
}
