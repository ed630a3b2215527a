//! How pages are decoded, and what programs see of an answer beside its body.

use serde_json::Value;

use super::pieces;
use crate::lang::Selector;
use crate::model::{AnswerFormat, HandColumn, RecordSchema};

/// The variables that a `records` or a `rows` program must be compiled with before its own: the page's status and headers.
pub const PAGE_VARIABLES: [&str; 2] = ["status", "headers"];

/// What becomes of fields and values that the pinned schema doesn't know. Until a schema is pinned, all evolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// New columns and fields join; a value that doesn't fit costs its row.
    Evolve,
    /// A new column or field costs the row as well.
    Freeze,
    /// New columns and fields are left out and counted.
    Discard,
}

/// How deep records may nest before the rest of them is kept as JSON text. Deeper than any API means to; the Parquet writer walks
/// types by recursion, and 48 levels exhaust a thread's stack, which would end the process.
const MAX_DEPTH: usize = 16;

/// How the pages of a slice are decoded.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// How pages are written.
    pub format: AnswerFormat,
    /// What picks the records out of a page.
    pub selector: Selector,
    /// The fan-out key: columns of every row. A record that has another value in one of them doesn't fit.
    pub constants: Vec<(String, Value)>,
    /// What becomes of what the pinned schema doesn't know.
    pub contract: Contract,
    /// Values that don't fit are null and counted, and their rows stay.
    pub nulls: bool,
    /// The schema that earlier slices have pinned.
    pub pinned: Option<RecordSchema>,
    /// Columns typed by hand: they exist even if never seen, and never change; objects may have more fields than were named.
    pub by_hand: Vec<HandColumn>,
    /// How deep lists and objects are typed; what lies deeper makes its column `json`.
    pub max_depth: usize,
    /// Leave the list that a program takes apart out of the envelope, which then needn't be read a second time: for where nobody
    /// looks at it there.
    pub lean_envelope: bool,
    /// Columns that the header of a table must name: without them nobody knows which row is which.
    pub due: Vec<String>,
    /// Fill [`super::DecodedPage::first`] and [`super::DecodedPage::last`], which takes another pass over the text.
    pub want_edges: bool,
    /// Bytes of columns, about, from which on the next rows of a page are another piece.
    pub piece: usize,
}

impl DecodeOptions {
    /// Returns how pages are decoded of which nothing is known, and nothing is asked but their records.
    #[must_use]
    pub const fn new(format: AnswerFormat, selector: Selector) -> Self {
        Self {
            format,
            selector,
            constants: Vec::new(),
            contract: Contract::Evolve,
            nulls: false,
            pinned: None,
            by_hand: Vec::new(),
            max_depth: MAX_DEPTH,
            lean_envelope: false,
            due: Vec::new(),
            want_edges: false,
            piece: pieces::FULL,
        }
    }
}

/// What a program sees of the response beside its body.
#[derive(Debug, Clone)]
pub struct PageVars {
    /// The HTTP status, `$status`.
    pub status: u16,
    /// The headers, names in lower case, `$headers`.
    pub headers: Value,
}

impl PageVars {
    /// Returns the values of the variables, before those of the programs' own.
    pub(super) fn with(&self, vars: &[Value]) -> Vec<Value> {
        [Value::from(self.status), self.headers.clone()].into_iter().chain(vars.iter().cloned()).collect()
    }
}
