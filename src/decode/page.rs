//! One page as it came, whatever its format and whichever way its records are picked out.

use std::borrow::Cow;

use serde_json::Value;

use super::beyond;
use super::charset;
use super::envelope::{End, NoRows, RawRows, Rows, TypedRows, walk};
use super::error::{DecodeError, excerpt, json};
use super::infer;
use super::lattice::Node;
use super::lines;
use super::strict;
use super::table::{Known, Table};
use super::text::{empty, text_of};
use super::written::has_double;
use crate::lang::jq::{Jq, JqRunError};
use crate::lang::{PlainPath, Selector};
use crate::model::AnswerFormat;

/// A page that is UTF-8 and looks like its format.
pub(super) struct Page<'b> {
    /// The body; for a program the JSON that it sees of it.
    text: Cow<'b, str>,
    records: Records<'b>,
    /// The list that a program takes apart.
    list: Option<List>,
    /// Whether the envelope goes without that list.
    is_lean: bool,
    /// The columns of a table, in its order; none where it isn't one.
    columns: Vec<String>,
}

/// A list in a document.
struct List {
    /// The way to it.
    keys: Vec<String>,
    /// How many items it has.
    length: u64,
    /// The document without it.
    envelope: Value,
}

/// Where the records of a page lie.
pub(super) enum Records<'b> {
    /// Along a path, in the text itself.
    Along(&'b PlainPath),
    /// Each line a JSON document.
    Lines(Vec<&'b str>),
    /// The rows of a table.
    Table(Table<'b>),
    /// What a program emitted, each a JSON text.
    Emitted(Vec<String>),
}

impl<'b> Page<'b> {
    /// Looks at the body and chooses the path, or runs the program.
    pub(super) fn open(
        body: &'b [u8],
        format: AnswerFormat,
        selector: &'b Selector,
        known: &Known,
        vars: &[Value],
    ) -> Result<Self, DecodeError> {
        let text = text_of(body, format);
        if let Ok(_) | Err(DecodeError::Utf8 { .. }) = &text {
            charset::check(vars, body, format)?;
        }
        let text = text?;
        match selector {
            Selector::Plain { paths } => Self::plain(text, format, paths, known),
            Selector::Program(program) => {
                let (document, columns) = document(text, format, known)?;
                // The program's own reader takes more than JSON does, and its mistakes know no offset.
                beyond::check(&document).map_err(|error| json(&document, &error))?;
                let (emitted, list) = emitted(program, &document, vars).map_err(|source| match text.trim_ascii() {
                    "" => empty(format),
                    _ => DecodeError::Records(source),
                })?;
                Ok(Self { text: document, records: Records::Emitted(emitted), list, is_lean: false, columns })
            }
        }
    }

    fn plain(text: &'b str, format: AnswerFormat, paths: &'b [PlainPath], known: &Known) -> Result<Self, DecodeError> {
        let page =
            |records| Ok(Self { text: Cow::Borrowed(text), records, list: None, is_lean: false, columns: Vec::new() });
        if format == AnswerFormat::Json {
            return page(Records::Along(choose(text, paths)?));
        }
        let (last, others) = paths.split_last().ok_or_else(no_path)?;
        if let Some(path) = others.iter().chain([last]).find(|path| !path.keys.is_empty()) {
            let found = format!("a page of {} is a list, whose items `.[]` names", format.name());
            let remedy = "write `records: '.[]'`".to_owned();
            return Err(DecodeError::NoRecords { path: path.to_string(), found, remedy, line: None });
        }
        if text.trim_ascii().is_empty() && !last.optional {
            return Err(empty(format));
        }
        match format {
            AnswerFormat::Csv(dialect) => {
                let table = Table::open(text, dialect, known)?;
                let columns = table.columns();
                Ok(Self { columns, ..page(Records::Table(table))? })
            }
            AnswerFormat::Json | AnswerFormat::JsonLines => page(Records::Lines(lines::split(text)?)),
        }
    }

    /// Gives the records away.
    pub(super) fn into_records(self) -> Records<'b> {
        self.records
    }

    /// Makes a page of nothing but records, each a JSON text.
    pub(super) const fn of_records(records: Vec<String>) -> Page<'static> {
        let records = Records::Emitted(records);
        Page { text: Cow::Borrowed("null"), records, list: None, is_lean: false, columns: Vec::new() }
    }

    /// Leaves the list that a program takes apart out of the envelope.
    pub(super) fn lean(self) -> Self {
        Self { is_lean: true, ..self }
    }

    /// Reads what rules see of a page whose records a program has emitted.
    fn whole(&self) -> Result<Value, DecodeError> {
        match &self.list {
            Some(list) if self.is_lean => Ok(list.envelope.clone()),
            _ => beyond::value(&self.text).map_err(|error| json(&self.text, &error)),
        }
    }

    /// Returns every record as a JSON text, and the envelope.
    pub(super) fn texts(&self) -> Result<(Vec<String>, Value), DecodeError> {
        let (raw, envelope) = self.raw(true)?;
        Ok((raw.into_iter().map(|raw| self.text(raw)).collect(), envelope))
    }

    /// Returns a record, given by its text, as a JSON text. A row of a table that isn't one is a string: its text.
    pub(super) fn text(&self, raw: &str) -> String {
        match &self.records {
            Records::Table(table) => match table.object_of(raw) {
                Value::Null => Value::from(raw).to_string(),
                object => object.to_string(),
            },
            _ => raw.to_owned(),
        }
    }

    /// Reads every record into the builders, and returns the envelope.
    pub(super) fn read(&self, rows: &mut TypedRows<'_>) -> Result<Value, DecodeError> {
        match &self.records {
            Records::Along(path) => self.along(path, rows, true),
            Records::Lines(records) => {
                for (ordinal, record) in records.iter().enumerate() {
                    let mut line = serde_json::Deserializer::from_str(record);
                    let read = rows.row(&mut line).and_then(|()| line.end());
                    read.map_err(|error| lines::error(&self.text, ordinal, record, &error))?;
                }
                Ok(Value::Null)
            }
            Records::Table(table) => table.read(rows).map(|()| Value::Null),
            Records::Emitted(records) => {
                for record in records {
                    rows.row(&mut serde_json::Deserializer::from_str(record)).map_err(|error| json(record, &error))?;
                }
                self.whole()
            }
        }
    }

    /// Returns the text of every record, and the envelope with it where `keep` says so.
    pub(super) fn raw(&self, keep: bool) -> Result<(Vec<&str>, Value), DecodeError> {
        match &self.records {
            Records::Along(path) => {
                let mut rows = RawRows::default();
                let envelope = self.along(path, &mut rows, keep)?;
                Ok((rows.0, envelope))
            }
            Records::Lines(records) => Ok((records.clone(), Value::Null)),
            Records::Table(table) => Ok((table.raw_rows()?, Value::Null)),
            Records::Emitted(records) => {
                let envelope = keep.then(|| self.whole()).transpose()?.unwrap_or_default();
                Ok((records.iter().map(String::as_str).collect(), envelope))
            }
        }
    }

    /// Adds what the records, of which `raw` are the texts, say to the working schema. A record with a key that comes twice says
    /// nothing, since it will be rejected. `depth` is how many levels are typed.
    pub(super) fn observe(&self, root: &mut Node, raw: &[&str], depth: usize) -> Result<(), DecodeError> {
        if let Records::Table(table) = &self.records {
            return table.observe(root);
        }
        for (ordinal, record) in raw.iter().enumerate() {
            let broken = |error| self.broken(ordinal, record, &error);
            if record.starts_with('{') && infer::is_unique(record, depth).map_err(broken)? {
                infer::observe_record(root, record, depth).map_err(broken)?;
            }
        }
        Ok(())
    }

    /// Returns a record, given by its text, as a JSON value.
    pub(super) fn value(&self, ordinal: usize, raw: &str) -> Result<Value, DecodeError> {
        match &self.records {
            Records::Table(table) => Ok(table.object_of(raw)),
            _ => beyond::part(raw).map_err(|error| self.broken(ordinal, raw, &error)),
        }
    }

    /// Returns all records as JSON values, the texts of those that have a double, and the envelope.
    ///
    /// # Errors
    /// Where a row of a table has too many cells or too few, a key comes twice, or a number would lose digits.
    pub(super) fn values(&self) -> Result<(Vec<Value>, Vec<String>, Value), DecodeError> {
        if let Records::Table(table) = &self.records {
            return Ok((table.objects()?, Vec::new(), Value::Null));
        }
        let (raw, envelope) = self.raw(true)?;
        let value = |(ordinal, record): (usize, &&str)| {
            strict::exact_value(record).map_err(|error| self.broken(ordinal, record, &error))
        };
        let values: Vec<Value> = raw.iter().enumerate().map(value).collect::<Result<_, _>>()?;
        let with_double = values.iter().zip(&raw).filter(|(value, _)| has_double(value));
        let with_double = with_double.map(|(_, record)| (*record).to_owned()).collect();
        Ok((values, with_double, envelope))
    }

    fn broken(&self, ordinal: usize, record: &str, error: &serde_json::Error) -> DecodeError {
        match &self.records {
            Records::Lines(_) => lines::error(&self.text, ordinal, record, error),
            _ => json(record, error),
        }
    }

    /// Returns the columns of a table, in its order; none where the page isn't one.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Refuses a page whose records are lists, all of them: then it isn't the records that are bad.
    pub(super) fn has_objects(&self, selector: &Selector) -> Result<(), DecodeError> {
        match (selector, &self.records) {
            (Selector::Program(program), Records::Emitted(emitted))
                if !emitted.is_empty() && emitted.iter().all(|record| record.starts_with('[')) =>
            {
                Err(DecodeError::Lists { program: program.text().to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Asks `program` how many rows the server put on the page.
    pub(super) fn count(&self, program: &Jq, vars: &[Value]) -> Result<u64, DecodeError> {
        if let Some(keys) = program.counted(vars) {
            let known = self.list.as_ref().filter(|list| list.keys == keys).map(|list| list.length);
            if let Some(length) = known.or_else(|| Some(list_at(&self.text, keys)?.1.length)) {
                return Ok(length);
            }
        }
        let outputs = program.run_on_bytes(self.text.as_bytes(), vars).map_err(DecodeError::Rows)?;
        let got = outputs.first().map_or("nothing", String::as_str);
        match (got, outputs.len()) {
            // The length of what isn't there: no rows.
            ("null", 1) => Ok(0),
            (count, 1) => count.parse().map_err(|_| DecodeError::Count { got: got.chars().take(40).collect() }),
            (_, 0) => Err(DecodeError::Count { got: got.to_owned() }),
            (_, several) => Err(DecodeError::Count { got: format!("{several} values") }),
        }
    }

    fn along<'s, R: Rows<'s>>(&'s self, path: &PlainPath, rows: &mut R, keep: bool) -> Result<Value, DecodeError> {
        let (envelope, end) = walk(&self.text, &path.keys, rows, keep).map_err(|error| json(&self.text, &error))?;
        match judge(path, &end) {
            None => Ok(envelope),
            Some((mut found, remedy)) => {
                // All of it may be the server's word on why there is no list.
                if matches!(end, End::Other(0, _)) {
                    found = format!("{found}, {}", excerpt(self.text.as_bytes(), 0));
                }
                Err(DecodeError::NoRecords { path: path.to_string(), found, remedy, line: None })
            }
        }
    }
}

/// Runs a program on a document that was checked: on the items of its list one by one, where it has one, which is returned as well.
fn emitted(program: &Jq, document: &str, vars: &[Value]) -> Result<(Vec<String>, Option<List>), JqRunError> {
    match program.items(vars).and_then(|keys| list_at(document, keys)) {
        Some((items, list)) => Ok((program.run_on_items(&items, vars)?, Some(list))),
        // What isn't a list, or isn't there: the program itself says what it makes of it.
        None => Ok((program.run_on_bytes(document.as_bytes(), vars)?, None)),
    }
}

/// Returns the items of the list at the end of a path, if there is one.
fn list_at(text: &str, keys: Vec<String>) -> Option<(Vec<&str>, List)> {
    let mut items = RawRows::default();
    let (envelope, end) = walk(text, &keys, &mut items, true).ok()?;
    let length = items.0.len() as u64;
    (end == End::Array).then_some((items.0, List { keys, length, envelope }))
}

/// Returns what rules see of a page before it is decoded, which is what they see of it afterwards: the body without the records where
/// they lie along a path, else the whole body; null where it isn't JSON. Nothing is learnt from it.
#[must_use]
pub fn envelope_of(body: &[u8], format: AnswerFormat, selector: &Selector) -> Value {
    let whole = || whole_of(body);
    let Ok(text) = text_of(body, format) else { return whole() };
    let known = Known::default();
    let seen = match selector {
        Selector::Plain { paths } if format == AnswerFormat::Json => {
            let path = choose(text, paths).ok();
            path.and_then(|path| walk(text, &path.keys, &mut NoRows, true).ok()).map(|(envelope, _)| envelope)
        }
        Selector::Plain { paths } => Page::plain(text, format, paths, &known).ok().map(|_| Value::Null),
        Selector::Program(_) => {
            document(text, format, &known).ok().and_then(|(document, _)| beyond::value(&document).ok())
        }
    };
    seen.unwrap_or_else(whole)
}

/// Returns what rules see of a body of which nothing is known; null where it isn't JSON.
#[must_use]
pub fn whole_of(body: &[u8]) -> Value {
    std::str::from_utf8(body).ok().and_then(|text| beyond::part(text).ok()).unwrap_or_default()
}

/// Returns the JSON that a program sees: of lines and tables a list of their documents and rows, of an empty body null. Of a table the
/// columns come with it.
pub(super) fn document<'b>(
    text: &'b str,
    format: AnswerFormat,
    known: &Known,
) -> Result<(Cow<'b, str>, Vec<String>), DecodeError> {
    if format != AnswerFormat::Json && text.trim_ascii().is_empty() {
        return Ok((Cow::Borrowed("null"), Vec::new()));
    }
    match format {
        AnswerFormat::Json => Ok((Cow::Borrowed(text), Vec::new())),
        AnswerFormat::JsonLines => Ok((Cow::Owned(lines::list(text)?), Vec::new())),
        AnswerFormat::Csv(dialect) => {
            let table = Table::open(text, dialect, known)?;
            Ok((Cow::Owned(table.list()?), table.columns()))
        }
    }
}

fn no_path() -> DecodeError {
    let (found, remedy) = ("there is no path".to_owned(), "write one, such as `records: '.data[]'`".to_owned());
    DecodeError::NoRecords { path: String::new(), found, remedy, line: None }
}

/// Returns the first path whose last key exists, even where it is null; where there is none, the last path, whose end decides.
pub(super) fn choose<'p>(text: &str, paths: &'p [PlainPath]) -> Result<&'p PlainPath, DecodeError> {
    let (last, others) = paths.split_last().ok_or_else(no_path)?;
    for path in others {
        let (_, end) = walk(text, &path.keys, &mut NoRows, false).map_err(|error| json(text, &error))?;
        let exists = match end {
            End::Array | End::Twice(_) => true,
            End::Null(depth) | End::Other(depth, _) => depth == path.keys.len(),
            End::EmptyOnTheWay(_) | End::Missing(..) => false,
        };
        if exists {
            return Ok(path);
        }
    }
    Ok(last)
}

/// Says what is wrong with where the path ended, and what to do about it, if anything is.
fn judge(path: &PlainPath, end: &End) -> Option<(String, String)> {
    let at = |depth: usize| match depth {
        0 => "the body".to_owned(),
        depth => format!("`{}`", path.keys[..depth.min(path.keys.len())].join(".")),
    };
    let found = match end {
        End::Array => return None,
        End::Null(_) | End::Missing(..) | End::EmptyOnTheWay(_) if path.optional => return None,
        End::EmptyOnTheWay(depth) => format!("{} is an empty list, and an object was due there", at(*depth)),
        End::Null(depth) => format!("{} is null", at(*depth)),
        End::Other(depth, what) => format!("{} is {what}", at(*depth)),
        End::Twice(depth) => format!("the key `{}` comes twice", path.keys[*depth]),
        End::Missing(depth, names) => {
            let shown: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
            let there = if shown.is_empty() { "no key at all".to_owned() } else { shown.join(", ") };
            format!("there is no `{}` in {}, which has {there}", path.keys[*depth], at(*depth))
        }
    };
    Some((found, remedy(path, end)))
}

/// Says what to do where a path ended elsewhere than at a list.
fn remedy(path: &PlainPath, end: &End) -> String {
    let list = PlainPath { optional: true, ..path.clone() };
    let whole = path.keys.len();
    let object = |depth: usize| PlainPath { keys: path.keys[..depth].to_vec(), optional: false }.to_string();
    match end {
        End::Other(depth, "an object") if *depth == whole => {
            let here = object(*depth);
            let here = here.strip_suffix("[]").filter(|here| *here != ".").unwrap_or(".");
            let each = if here == "." { "to_entries[]".to_owned() } else { format!("{here} | to_entries[]") };
            format!(
                "if it is one record, write `records: '{here}'`; if it has a record under each key, `records: '{each} | .value + {{key}}'`"
            )
        }
        End::Other(depth, "an array") => {
            format!("if that is the list, write `records: '{}'`", object(*depth))
        }
        End::Twice(_) => "one of its two values would be lost: tell the server's owner".to_owned(),
        End::Null(_) | End::Missing(..) | End::EmptyOnTheWay(_) => {
            format!("where that means no rows, write `records: '{list}'`; otherwise correct the path")
        }
        _ => "correct the path: it must lead to a list".to_owned(),
    }
}
