//! The bytes of one page, JSON or not, become an Arrow batch: records are picked out, typed, and those that don't fit are rejected one by one.
//!
//! A slice is decoded against a **working schema** that only grows (the table of types is in `lattice`). A page is read in one pass,
//! straight into column builders. Where a field is new, or a value doesn't fit a type that may still change, the types of that page's
//! records are inferred, the working schema grows, and the page is read again. Nothing is encoded before a slice has ended, so batches
//! of its earlier pages are brought to the final schema by a [`Widener`].
//!
//! What earlier slices have pinned never changes its type, so that all files of a job can be read as one table: under
//! [`Contract::Evolve`] new columns and new fields join, and what was only ever null takes a type; anything else is rejected. Number in
//! a string column, string in a number column, decimal in an integer column: all rejected, since no cast is guessed.

mod ahead;
mod beyond;
mod builders;
mod cells;
mod charset;
mod cut;
mod envelope;
mod error;
mod held;
mod infer;
mod lattice;
mod lines;
mod options;
mod origin;
mod page;
mod pieces;
mod precise;
mod reject;
mod schema;
mod split;
mod strict;
mod table;
mod text;
mod visitor;
mod whole;
mod written;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use serde_json::Value;

use crate::lang::jq::Jq;
use crate::model::RecordSchema;
use crate::pipeline::load::nearest;
pub use ahead::EarlyPage;
pub use beyond::is_beyond_value;
use builders::StructBuilder;
pub use cut::is_cut;
use envelope::{Rows as _, TypedRows};
pub use error::DecodeError;
pub use held::Widener;
use lattice::Node;
pub use options::{Contract, DecodeOptions, PAGE_VARIABLES, PageVars};
pub use origin::Origin;
use page::Page;
pub use page::{envelope_of, whole_of};
pub use pieces::Piece;
use pieces::{Columns, Pieces};
use reject::{Misfit, Nulls, Row};
pub use schema::arrow_schema;
pub use split::SplitPage;
pub use strict::check_json;
use table::Known;
pub use whole::{WholePage, read_whole};
pub use written::{has_double, written_edges, written_envelope};

/// A row that doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Which record of the page, from 0.
    pub ordinal: u64,
    /// The column, with a dot before each field and `[]` for the items of a list; empty where the record itself is at fault.
    pub column: String,
    /// What was due.
    pub expected: String,
    /// What came, in a few words.
    pub got: String,
    /// The record as it came.
    pub raw: Box<str>,
}

/// A decoded page.
#[derive(Debug, Clone)]
pub struct DecodedPage {
    /// The rows that fit, in the order of the page, under `schema`: one piece at least, and as many as keep each to
    /// [`DecodeOptions::piece`].
    pub pieces: Vec<Piece>,
    /// The working schema at this moment: what a [`Widener`] must be told of the batch.
    pub schema: RecordSchema,
    /// Records on the page, rejected ones included.
    pub rows: u64,
    /// The rows that don't fit, in the order of the page.
    pub rejected: Vec<RejectedRow>,
    /// The body without the records; for a program the whole body.
    pub envelope: Value,
    /// The first record as it came, rejected or not; null where there is none or it wasn't wanted.
    pub first: Value,
    /// The last record.
    pub last: Value,
    /// How many rows the server put on the page: what the `rows` program says, else `rows`.
    pub server_rows: u64,
    /// Fields left out under [`Contract::Discard`].
    pub discarded_fields: u64,
    /// Values of `pieces` that didn't fit and are null, under [`DecodeOptions::nulls`].
    pub nulled_values: u64,
    /// The first row with such a value, in full.
    pub first_nulled: Option<RejectedRow>,
    /// All records as they came.
    pub origin: Origin,
}

/// Decodes the pages of one slice.
pub struct PageDecoder {
    options: DecodeOptions,
    root: Node,
    builder: Option<StructBuilder>,
    schema: RecordSchema,
    /// The same for Arrow: batches of one schema share it, so that it is seen at a glance that it is one.
    arrow: SchemaRef,
    /// What is known of tables.
    known: Known,
    /// The columns typed by hand that some row had a value of.
    met: BTreeSet<String>,
    /// How often `root` has changed but for the facts of values that fit.
    version: u64,
}

impl std::fmt::Debug for PageDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageDecoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// What one pass over the records leaves.
struct Pass {
    pieces: Vec<Columns>,
    names: Arc<[Box<str>]>,
    rows: u64,
    bad: Vec<(u64, Misfit)>,
    nulls: Nulls,
    grows: bool,
    loses: bool,
    discarded: u64,
}

impl PageDecoder {
    /// Makes the decoder of a slice.
    #[must_use]
    pub fn new(options: DecodeOptions) -> Self {
        let mut root = Node::root();
        for column in options.pinned.iter().flat_map(RecordSchema::columns) {
            root.fields.insert(column.name.clone(), Node::pinned(&column.kind, false));
        }
        for column in &options.by_hand {
            let earlier = root.fields.remove(&column.name);
            root.fields.insert(column.name.clone(), Node::by_hand(&column.kind).keeping(earlier));
        }
        for (name, value) in &options.constants {
            if let Some(node) = root.field(name, true) {
                // The text of a value that exists can be read again.
                let _ = infer::observe(node, &value.to_string(), options.max_depth);
                // What records have under this name has to be the same, so it says nothing about the type.
                *node = Node::pinned(&node.kind(), true);
            }
        }
        let schema = RecordSchema::new(root.columns());
        let (arrow, known) =
            (arrow_schema(&schema), Known::of(options.pinned.as_ref(), &options.by_hand, &options.due));
        Self { options, root, builder: None, schema, arrow, known, met: BTreeSet::new(), version: 0 }
    }

    /// Decodes one page. `rows_program` says how many rows the server put on the page; `vars` are the values of the programs' variables
    /// after [`PAGE_VARIABLES`].
    ///
    /// # Errors
    /// Where the body isn't JSON, has no records at the path, or a program fails. The decoder can go on with another page.
    pub fn decode(
        &mut self,
        body: &Bytes,
        context: &PageVars,
        rows_program: Option<&Jq>,
        vars: &[Value],
    ) -> Result<DecodedPage, DecodeError> {
        let vars = context.with(vars);
        let selector = self.options.selector.clone();
        let known = self.known.clone();
        let page = Page::open(body, self.options.format, &selector, &known, &vars)?;
        let page = if self.options.lean_envelope { page.lean() } else { page };
        page.has_objects(&selector)?;
        let mut decoded = self.decode_open(&page)?;
        self.version += u64::from(self.known.learn(&page, decoded.rows > 0));
        decoded.server_rows = match rows_program {
            Some(program) => page.count(program, &vars)?,
            None => decoded.rows,
        };
        decoded.origin = Origin::of(page.into_records(), body, self.options.format);
        Ok(decoded)
    }

    /// Returns the working schema so far.
    #[must_use]
    pub const fn schema(&self) -> &RecordSchema {
        &self.schema
    }

    /// Says which columns are kept as JSON text because of what was seen in this slice, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        self.root.notes("", &mut notes);
        notes
    }

    /// Returns the columns that were typed by hand just now and have no value in any row, each with the column that is spelled nearly so:
    /// which is meant, perhaps.
    #[must_use]
    pub fn misspelt(&self) -> Vec<(&str, &str)> {
        let by_hand = |name: &str| self.options.by_hand.iter().any(|column| column.name == name);
        let others: Vec<&str> = self.root.fields.keys().map(String::as_str).filter(|name| !by_hand(name)).collect();
        let is_new = |name: &&str| self.options.pinned.as_ref().is_none_or(|pinned| pinned.column(name).is_none());
        let unmet =
            self.options.by_hand.iter().map(|column| column.name.as_str()).filter(|name| !self.met.contains(*name));
        unmet.filter(is_new).filter_map(|name| Some((name, nearest(name, &others)?))).collect()
    }

    /// Makes what brings the batches of the slice's pages to the schema that it ended with, `to`.
    #[must_use]
    pub fn widener(&self, to: RecordSchema) -> Widener {
        Widener::new(&self.options, to)
    }

    fn decode_open(&mut self, page: &Page<'_>) -> Result<DecodedPage, DecodeError> {
        let result = self.decode_page(page);
        if result.is_err() {
            // A pass that broke off leaves half a record behind.
            self.builder = None;
        }
        result
    }

    fn decode_page(&mut self, page: &Page<'_>) -> Result<DecodedPage, DecodeError> {
        let evolves = self.options.pinned.is_none() || self.options.contract == Contract::Evolve;
        let mut raw: Option<Vec<&str>> = None;
        // Of the records' own fields none is known: each of them would be a misfit.
        if self.root.fields.len() == self.options.constants.len() && evolves {
            let records = raw.insert(page.raw(false)?.0);
            self.grow(page, records)?;
        }
        let (mut pass, mut envelope) = self.pass(page)?;
        if pass.grows && evolves {
            let records = match raw.take() {
                Some(records) => records,
                None => page.raw(false)?.0,
            };
            if self.grow(page, &records)? {
                (pass, envelope) = self.pass(page)?;
            }
            raw = Some(records);
        }
        let loses = pass.loses && evolves;
        if (loses || !pass.bad.is_empty() || pass.nulls.values > 0 || self.options.want_edges) && raw.is_none() {
            raw = Some(page.raw(false)?.0);
        }
        let raw = raw.unwrap_or_default();
        let edge = |at: usize| match raw.get(at).filter(|_| self.options.want_edges) {
            Some(record) => page.value(at, record),
            None => Ok(Value::Null),
        };
        let (first, last) = (edge(0)?, edge(raw.len().saturating_sub(1))?);
        let rejected = pass.bad.iter().map(|(ordinal, misfit)| reject::report(*ordinal, misfit, &raw)).collect();
        let first_nulled = pass.nulls.first.as_ref().map(|(ordinal, misfit)| reject::report(*ordinal, misfit, &raw));
        let (rows, discarded_fields, nulled_values) = (pass.rows, pass.discarded, pass.nulls.values);
        let pieces = self.assemble(pass, loses.then_some(raw.as_slice()))?;
        self.meet(&pieces);
        let schema = self.schema.clone();
        Ok(DecodedPage {
            pieces,
            schema,
            rows,
            rejected,
            envelope,
            first,
            last,
            server_rows: rows,
            discarded_fields,
            nulled_values,
            first_nulled,
            origin: Origin::of_records(Vec::new()),
        })
    }

    /// Notes which columns typed by hand have values.
    fn meet(&mut self, pieces: &[Piece]) {
        let has = |values: &ArrayRef| values.null_count() < values.len();
        for column in &self.options.by_hand {
            let has_value = |piece: &Piece| piece.batch.column_by_name(&column.name).is_some_and(has);
            if !self.met.contains(&column.name) && pieces.iter().any(has_value) {
                self.met.insert(column.name.clone());
            }
        }
    }

    /// Adds what the records say to the working schema; tells whether that changed it.
    fn grow(&mut self, page: &Page<'_>, records: &[&str]) -> Result<bool, DecodeError> {
        let before = self.root.clone();
        page.observe(&mut self.root, records, self.options.max_depth)?;
        self.version += u64::from(self.root != before);
        Ok(self.renew())
    }

    /// Brings the schema up to date with the facts; tells whether it changed.
    fn renew(&mut self) -> bool {
        let schema = RecordSchema::new(self.root.columns());
        let changed = schema != self.schema;
        if changed {
            self.arrow = arrow_schema(&schema);
            self.schema = schema;
            self.builder = None;
        }
        changed
    }

    /// Reads the page once, into the builders.
    fn pass(&mut self, page: &Page<'_>) -> Result<(Pass, Value), DecodeError> {
        let made = || StructBuilder::of(&self.root, &self.options.constants);
        let root = self.builder.get_or_insert_with(made);
        let mut rows = Self::rows(&self.options, root);
        let envelope = match page.read(&mut rows) {
            Err(error) if beyond::is_beyond(&error) => {
                // The columns end in the middle of a record.
                *root = made();
                rows = Self::rows(&self.options, root);
                let (raw, envelope) = page.raw(true)?;
                beyond::read(&raw, &mut rows, &mut Self::rows(&self.options, &mut made()))?;
                envelope
            }
            read => read?,
        };
        let TypedRows { root, row, rows, bad, nulls, pieces } = rows;
        let nulls = nulls.unwrap_or_default();
        let names = root.names();
        let pieces = pieces.end(rows, root)?;
        root.harvest(&mut self.root);
        Ok((
            Pass { pieces, names, rows, bad, nulls, grows: row.grows, loses: row.loses, discarded: row.discarded },
            envelope,
        ))
    }

    /// Begins the rows of a page.
    fn rows<'b>(options: &DecodeOptions, root: &'b mut StructBuilder) -> TypedRows<'b> {
        let discard = options.contract == Contract::Discard && options.pinned.is_some();
        TypedRows {
            root,
            row: Row { discard, nulls: options.nulls, ..Row::default() },
            rows: 0,
            bad: Vec::new(),
            nulls: options.nulls.then(Nulls::default),
            pieces: Pieces::new(options.piece),
        }
    }

    /// Leaves the rejected rows out and adds the constants, and where `raw` has the texts of the page's records, those of the rows.
    fn assemble(&self, pass: Pass, raw: Option<&[&str]>) -> Result<Vec<Piece>, DecodeError> {
        let (names, mut bad) = (pass.names, pass.bad.as_slice());
        let piece = |(rows, columns): Columns| {
            let misfits;
            (misfits, bad) = bad.split_at(bad.partition_point(|(ordinal, _)| *ordinal < rows.end));
            let keep = (!misfits.is_empty()).then(|| {
                let mut misfits = misfits.iter().map(|(ordinal, _)| *ordinal).peekable();
                rows.clone().map(|row| Some(misfits.next_if_eq(&row).is_none())).collect::<BooleanArray>()
            });
            let texts = raw.map(|raw| held::texts(raw, rows.clone(), keep.as_ref()));
            Ok(Piece { batch: self.batch(&names, columns, rows, keep.as_ref())?, texts })
        };
        pass.pieces.into_iter().map(piece).collect()
    }

    /// Makes a batch of columns of so many rows, of those that `keep` says.
    fn batch(
        &self,
        names: &[Box<str>],
        columns: Vec<ArrayRef>,
        rows: Range<u64>,
        keep: Option<&BooleanArray>,
    ) -> Result<RecordBatch, DecodeError> {
        let rows = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
        let kept = keep.map_or(rows, BooleanArray::true_count);
        let mut columns: Vec<(&str, ArrayRef)> = names.iter().map(AsRef::as_ref).zip(columns).collect();
        if let Some(keep) = keep {
            for (_, column) in &mut columns {
                *column = arrow::compute::filter(column, keep)?;
            }
        }
        for (name, value) in &self.options.constants {
            columns.push((name, self.constant(name, value, kept)?));
        }
        columns.sort_by_key(|(name, _)| *name);
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        schema::batch_of(Arc::clone(&self.arrow), columns, kept)
    }

    /// Makes the column of a constant.
    fn constant(&self, name: &str, value: &Value, rows: usize) -> Result<ArrayRef, DecodeError> {
        let mut node = Node::root();
        if let Some(column) = self.root.fields.get(name) {
            // A key isn't coerced: `0` and `"0"` name different slices.
            node.fields.insert(name.to_owned(), Node { frozen: false, ..column.clone() });
        }
        let mut root = StructBuilder::of(&node, &[]);
        let pieces = Pieces::new(usize::MAX);
        let mut one = TypedRows { root: &mut root, row: Row::default(), rows: 0, bad: Vec::new(), nulls: None, pieces };
        let record = Value::Object([(name.to_owned(), value.clone())].into_iter().collect()).to_string();
        one.row(&mut serde_json::Deserializer::from_str(&record)).map_err(|error| error::json(&record, &error))?;
        if let Some((_, misfit)) = one.bad.pop() {
            let (column, expected, got) = (name.to_owned(), misfit.expected, misfit.got);
            return Err(DecodeError::Constant { column, expected, got });
        }
        let columns = root.finish_columns()?;
        let column = columns.first().map(Arc::clone).ok_or_else(|| DecodeError::Constant {
            column: name.to_owned(),
            expected: "missing".to_owned(),
            got: value.to_string(),
        })?;
        Ok(arrow::compute::take(&column, &UInt64Array::from(vec![0; rows]), None)?)
    }
}

#[cfg(test)]
mod tests;
