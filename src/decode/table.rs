//! Tables of comma-separated values (RFC 4180): a page's text, cell by cell.
//!
//! The reader is our own, since those of the `csv` crates take a quote that is never closed and text after a closing one for good cells,
//! and don't tell an empty cell from `""`. Here the first is the mark of a page that was cut off, the second of a row that can't be
//! trusted, and the third is null beside an empty text.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::envelope::TypedRows;
use super::error::{DecodeError, excerpt};
use super::lattice::{Node, STRING};
use super::page::Page;
use crate::model::{CsvDialect, HandColumn, RecordSchema};

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell<'b> {
    /// Its text, without the quotes.
    pub(super) text: Cow<'b, str>,
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
}

impl Cell<'_> {
    /// Tells whether the cell holds nothing at all: null.
    pub(super) fn is_null(&self) -> bool {
        self.text.is_empty() && !self.quoted
    }
}

/// A row as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RawRow<'b> {
    /// Its text, without the line end.
    raw: &'b str,
    /// Where it begins.
    offset: usize,
    /// Text follows a closing quote, so that nobody knows what was meant.
    broken: bool,
    /// A line end follows.
    ended: bool,
}

/// Reads the rows of a text, one after the other. Blank lines are no rows.
struct Reader<'b> {
    text: &'b str,
    delimiter: u8,
    position: usize,
}

/// A quote that is never closed: where it stands.
#[derive(Debug, PartialEq, Eq)]
struct Unclosed(usize);

impl<'b> Reader<'b> {
    const fn new(text: &'b str, delimiter: u8) -> Self {
        Self { text, delimiter, position: 0 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Returns how long the line end at `at` is; 0 where there is none.
    fn line_end(&self, at: usize) -> usize {
        match (self.byte(at), self.byte(at + 1)) {
            (Some(b'\n'), _) | (Some(b'\r'), None) => 1,
            (Some(b'\r'), Some(b'\n')) => 2,
            _ => 0,
        }
    }

    /// Reads the next row into `cells`.
    fn next(&mut self, cells: &mut Vec<Cell<'b>>) -> Result<Option<RawRow<'b>>, Unclosed> {
        cells.clear();
        while self.line_end(self.position) > 0 {
            self.position += self.line_end(self.position);
        }
        let offset = self.position;
        if offset >= self.text.len() {
            return Ok(None);
        }
        let mut broken = false;
        loop {
            cells.push(self.cell(&mut broken)?);
            if self.byte(self.position) != Some(self.delimiter) {
                break;
            }
            self.position += 1;
        }
        let raw = &self.text[offset..self.position];
        let end = self.line_end(self.position);
        self.position += end;
        Ok(Some(RawRow { raw, offset, broken, ended: end > 0 }))
    }

    fn cell(&mut self, broken: &mut bool) -> Result<Cell<'b>, Unclosed> {
        let start = self.position;
        if self.byte(start) != Some(b'"') {
            self.position = self.end_of_cell(start);
            return Ok(Cell { text: Cow::Borrowed(&self.text[start..self.position]), quoted: false });
        }
        let (mut at, mut doubled) = (start + 1, false);
        let close = loop {
            let quote = at + self.text[at..].find('"').ok_or(Unclosed(start))?;
            if self.byte(quote + 1) != Some(b'"') {
                break quote;
            }
            (at, doubled) = (quote + 2, true);
        };
        let inside = &self.text[start + 1..close];
        self.position = self.end_of_cell(close + 1);
        *broken |= self.position > close + 1;
        let text = if doubled { Cow::Owned(inside.replace("\"\"", "\"")) } else { Cow::Borrowed(inside) };
        Ok(Cell { text, quoted: true })
    }

    /// Returns where the cell ends that has no quotes from `from` on. A carriage return alone is part of it.
    fn end_of_cell(&self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let end = bytes[from..].iter().position(|&byte| byte == self.delimiter || byte == b'\n');
        let end = end.map_or(bytes.len(), |end| from + end);
        let at_line_end = end > from && bytes[end - 1] == b'\r' && bytes.get(end) != Some(&self.delimiter);
        if at_line_end { end - 1 } else { end }
    }
}

/// What a decoder knows of the tables before it looks at one.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The columns that earlier slices have pinned, and those typed by hand.
    pub(super) names: Vec<String>,
    /// How many columns tables without a header have.
    width: Option<usize>,
    /// The columns of the slice's first table; empty where there was none.
    columns: Vec<String>,
    /// The columns that a header must name.
    due: Vec<String>,
}

impl Known {
    /// Gathers what is known before the first page of a slice.
    pub(super) fn of(pinned: Option<&RecordSchema>, by_hand: &[HandColumn], due: &[String]) -> Self {
        let pinned = || pinned.into_iter().flat_map(RecordSchema::columns).map(|column| &column.name);
        let number = |name: &String| name.strip_prefix('c').and_then(|digits| digits.parse::<usize>().ok());
        let names = pinned().chain(by_hand.iter().map(|column| &column.name)).cloned().collect();
        Self { names, width: pinned().filter_map(number).max(), columns: Vec::new(), due: due.to_vec() }
    }

    /// Takes what a page shows, which has rows or not; tells whether that was news.
    pub(super) fn learn(&mut self, page: &Page<'_>, has_rows: bool) -> bool {
        let (before, columns) = ((self.width, self.columns.len()), page.columns());
        self.width = self.width.or(Some(columns.len()).filter(|width| has_rows && *width > 0));
        if self.columns.is_empty() {
            self.columns = columns.to_vec();
        }
        before != (self.width, self.columns.len())
    }
}

/// A page that is a table.
pub(super) struct Table<'b> {
    text: &'b str,
    delimiter: u8,
    /// The columns, each name once.
    names: Vec<Cow<'b, str>>,
    /// Where the first row begins.
    start: usize,
    /// Whether it holds characters that no text has, so that its rows are looked through for them.
    is_odd: bool,
}

/// The escape sequences of iso-2022, for characters of several bytes, begin so; those that colour texts don't.
const ESCAPE: &str = "\u{1b}$";

impl<'b> Table<'b> {
    /// Reads the header, or the number of columns of a table without one.
    ///
    /// # Errors
    /// Where the header names a column twice, or this can't be the table that is known.
    pub(super) fn open(text: &'b str, dialect: CsvDialect, known: &Known) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(text, dialect.delimiter);
        let mut cells = Vec::new();
        let first = reader.next(&mut cells).map_err(|unclosed| unclosed.error(text))?;
        let is_odd = text.contains('\0') || text.contains(ESCAPE);
        let table = |names, start| Self { text, delimiter: dialect.delimiter, names, start, is_odd };
        let Some(first) = first else { return Ok(table(vec![], 0)) };
        let broken = |reason| Err(csv_error(text, first.offset, reason));
        if !dialect.header {
            if cells.iter().any(|cell| !cell.quoted && cell.text.contains('\r')) {
                return broken(
                    "a carriage return stands in the first row: do lines end with nothing else? They end with `\\n`"
                        .to_owned(),
                );
            }
            let width = known.width.unwrap_or(cells.len());
            return Ok(table((1..=width).map(|at| Cow::Owned(format!("c{at}"))).collect(), 0));
        }
        if first.broken {
            return broken("a column's name goes on after its closing quote".to_owned());
        }
        let name = |(at, cell): (usize, Cell<'b>)| match &*cell.text {
            "" => Cow::Owned(format!("c{}", at + 1)),
            _ => cell.text,
        };
        let names: Vec<Cow<'b, str>> = cells.drain(..).enumerate().map(name).collect();
        if let Some(name) = twice(&names) {
            return broken(format!("the header names the column `{name}` twice"));
        }
        if let Some(name) = names.iter().find(|name| name.contains(char::is_control)) {
            return broken(format!("the header names a column {name:?}, which holds a control character"));
        }
        let table = table(names, reader.position);
        table.is_known(
            known,
            dialect.sparse,
            reader.next(&mut cells).map_err(|unclosed| unclosed.error(text))?.is_some(),
        )?;
        Ok(table)
    }

    /// An error message in one line looks like a header, and one in several like a table of one column or more.
    fn is_known(&self, known: &Known, sparse: bool, has_rows: bool) -> Result<(), DecodeError> {
        let has = |column: &str| self.names.iter().any(|name| *name == column);
        let lacks = |columns: &[String]| columns.iter().find(|column| !has(column)).cloned();
        let goes_on =
            |columns: &[String]| if sparse && columns.iter().any(|column| has(column)) { None } else { lacks(columns) };
        let reason = if let Some(column) = lacks(&known.due) {
            format!(
                "the header doesn't name the column `{column}`, which `key` has: is it a message, or another spelling?"
            )
        } else if let Some(column) = goes_on(&known.columns) {
            other_header(&column)
        } else if !known.columns.is_empty() || known.names.iter().any(|name| has(name)) {
            return Ok(());
        } else if !known.names.is_empty() {
            let some: Vec<String> = known.names.iter().take(8).map(|name| format!("`{name}`")).collect();
            format!("the header names none of the columns that are known ({})", some.join(", "))
        } else if self.names.len() == 1 && !has_rows {
            let delimiter = char::from(self.delimiter).escape_debug();
            format!(
                "there is one line, and no '{delimiter}' in it: a message, or a table with another `delimiter`? If it is the \
                 header of a table with one column, name that in `schema.columns`"
            )
        } else if !has_rows && self.names.iter().any(|name| name.starts_with(' ') || name.ends_with(['.', '!', '?'])) {
            "there is one line, and it reads like a message: if it is the header of a table with no rows, name its columns in \
             `schema.columns`"
                .to_owned()
        } else {
            return Ok(());
        };
        Err(csv_error(self.text, 0, reason))
    }

    /// Returns the columns, in their order; none where there is no row.
    pub(super) fn columns(&self) -> Vec<String> {
        self.names.iter().map(|name| name.clone().into_owned()).collect()
    }

    /// Calls `visit` with each row: its text, where it begins, and its cells, or why they aren't those of a row.
    fn each(
        &self,
        mut visit: impl FnMut(&'b str, usize, Result<&[Cell<'b>], Flaw>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader { position: self.start, ..Reader::new(self.text, self.delimiter) };
        let mut cells = Vec::new();
        while let Some(row) = reader.next(&mut cells).map_err(|unclosed| unclosed.error(self.text))? {
            visit(row.raw, row.offset, self.judge(row, &cells).map(|()| cells.as_slice()))?;
        }
        Ok(())
    }

    fn judge(&self, row: RawRow<'_>, cells: &[Cell<'_>]) -> Result<(), Flaw> {
        let flaw = |expected: String, got: String| Err(Flaw { expected, got });
        if self.is_odd && row.raw.contains('\0') {
            return flaw("text in utf-8".to_owned(), "a byte of zero, as utf-16 has".to_owned());
        }
        if self.is_odd && row.raw.contains(ESCAPE) {
            return flaw("text in utf-8".to_owned(), "an escape sequence of iso-2022".to_owned());
        }
        if row.broken {
            return flaw("nothing after a closing quote".to_owned(), "text there".to_owned());
        }
        if cells.len() != self.names.len() {
            let cells_of = |count: usize| if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
            return flaw(cells_of(self.names.len()), cells_of(cells.len()));
        }
        Ok(())
    }

    /// Reads every row into the builders.
    pub(super) fn read(&self, rows: &mut TypedRows<'_>) -> Result<(), DecodeError> {
        self.each(|_, _, cells| {
            match cells {
                Ok(cells) => rows.cells(&self.names, cells),
                Err(flaw) => rows.reject(&flaw.expected, flaw.got),
            }
            Ok(())
        })
    }

    /// Returns the text of every row, without line ends.
    pub(super) fn raw_rows(&self) -> Result<Vec<&'b str>, DecodeError> {
        raw_rows(self.text, self.delimiter, self.start)
    }

    /// Returns where the first row begins.
    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// Adds what the rows say to the working schema: all that they hold is text.
    pub(super) fn observe(&self, root: &mut Node) -> Result<(), DecodeError> {
        self.each(|_, _, cells| {
            for (name, cell) in self.names.iter().zip(cells.unwrap_or_default()) {
                if let Some(node) = root.field(name, true) {
                    node.facts |= if cell.is_null() { 0 } else { STRING };
                }
            }
            Ok(())
        })
    }

    /// Calls `visit` with each row as a JSON object.
    ///
    /// # Errors
    /// At the first row that isn't one.
    fn each_object(&self, mut visit: impl FnMut(Value) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        self.each(|_, offset, cells| {
            let flaw =
                |flaw: Flaw| csv_error(self.text, offset, format!("expected {}, got {}", flaw.expected, flaw.got));
            visit(self.object(cells.map_err(flaw)?))
        })
    }

    /// Returns each row as a JSON object.
    ///
    /// # Errors
    /// At the first row that isn't one.
    pub(super) fn objects(&self) -> Result<Vec<Value>, DecodeError> {
        let mut objects = Vec::new();
        self.each_object(|object| {
            objects.push(object);
            Ok(())
        })?;
        Ok(objects)
    }

    /// Returns the rows as the text of a JSON list.
    ///
    /// # Errors
    /// At the first row that isn't one, and where the names, which every row repeats, make the list too long.
    pub(super) fn list(&self) -> Result<String, DecodeError> {
        let mut list = String::from("[");
        self.each_object(|object| {
            if list.len() > 1 {
                list.push(',');
            }
            list.push_str(&object.to_string());
            i32::try_from(list.len()).map(|_| ()).map_err(|_| DecodeError::TooLarge { bytes: list.len() })
        })?;
        list.push(']');
        Ok(list)
    }

    /// Returns one row, given by its text, as a JSON object; null where it isn't one.
    pub(super) fn object_of(&self, raw: &str) -> Value {
        let mut cells = Vec::new();
        match Reader::new(raw, self.delimiter).next(&mut cells) {
            Ok(Some(row)) if self.judge(row, &cells).is_ok() => self.object(&cells),
            _ => Value::Null,
        }
    }

    fn object(&self, cells: &[Cell<'_>]) -> Value {
        let value = |cell: &Cell<'_>| if cell.is_null() { Value::Null } else { Value::from(cell.text.as_ref()) };
        let fields = self.names.iter().zip(cells).map(|(name, cell)| (name.as_ref().to_owned(), value(cell)));
        Value::Object(fields.collect())
    }
}

/// Returns the text of every row of a table, without line ends; the first begins at `start`.
pub(super) fn raw_rows(text: &str, delimiter: u8, start: usize) -> Result<Vec<&str>, DecodeError> {
    let mut reader = Reader { position: start, ..Reader::new(text, delimiter) };
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    while let Some(row) = reader.next(&mut cells).map_err(|unclosed| unclosed.error(text))? {
        rows.push(row.raw);
    }
    Ok(rows)
}

/// Says what is wrong with a header that lacks a column of the slice's first page.
pub(super) fn other_header(column: &str) -> String {
    format!(
        "the header doesn't name the column `{column}`, which the slice's first page has: is it a message, a table of another kind, or a \
         page that goes on without a header? Each page of a slice needs one, with the same columns; where the server leaves out those that have \
         no value on a page, write `format: {{csv: {{sparse: true}}}}`"
    )
}

/// Returns the first name that was there before.
fn twice<'n>(names: &'n [Cow<'_, str>]) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.iter().map(AsRef::as_ref).find(|name: &&'n str| !seen.insert(*name))
}

/// Why the cells of a row aren't those of a row.
#[derive(Debug)]
struct Flaw {
    expected: String,
    got: String,
}

impl Unclosed {
    fn error(&self, text: &str) -> DecodeError {
        let reason = "a quote is opened and never closed: the body may be cut off".to_owned();
        csv_error(text, self.0, reason)
    }
}

fn csv_error(text: &str, offset: usize, reason: String) -> DecodeError {
    let line = text[..offset].matches('\n').count() + 1;
    DecodeError::Csv { line, reason, excerpt: excerpt(text.as_bytes(), offset) }
}

/// Tells whether a text is only the beginning of a table: it ends in a quoted cell, or in a row with too few cells and no line end.
pub(super) fn is_cut(text: &str, delimiter: u8) -> bool {
    let mut reader = Reader::new(text, delimiter);
    let (mut cells, mut width) = (Vec::new(), None);
    loop {
        match reader.next(&mut cells) {
            Err(Unclosed(_)) => return true,
            Ok(None) => return false,
            Ok(Some(row)) => {
                let width = *width.get_or_insert(cells.len());
                if !row.ended && cells.len() < width {
                    return true;
                }
            }
        }
    }
}
