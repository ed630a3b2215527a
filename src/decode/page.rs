//! One page as it came, whichever way its records are picked out.

use serde_json::Value;

use super::envelope::{End, NoRows, RawRows, Rows, TypedRows, walk};
use super::error::{DecodeError, excerpt, json};
use crate::lang::jq::Jq;
use crate::lang::{PlainPath, Selector};

/// A page that is UTF-8 and looks like JSON.
pub(super) struct Page<'b> {
    text: &'b str,
    records: Records<'b>,
}

enum Records<'b> {
    /// Along a path, in the text itself.
    Along(&'b PlainPath),
    /// What a program emitted, each a JSON text.
    Emitted(Vec<String>),
}

impl<'b> Page<'b> {
    /// Looks at the body and chooses the path, or runs the program.
    pub(super) fn open(body: &'b [u8], selector: &'b Selector, vars: &[Value]) -> Result<Self, DecodeError> {
        let text = text_of(body)?;
        let records = match selector {
            Selector::Program(program) => {
                // The program's own reader takes more than JSON does, and its mistakes know no offset.
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| json(text, &error))?;
                Records::Emitted(program.run_on_bytes(text.as_bytes(), vars).map_err(DecodeError::Records)?)
            }
            Selector::Plain { paths } => Records::Along(choose(text, paths)?),
        };
        Ok(Self { text, records })
    }

    /// Reads every record into the builders, and returns the envelope.
    pub(super) fn read(&self, rows: &mut TypedRows<'_>) -> Result<Value, DecodeError> {
        match &self.records {
            Records::Along(path) => self.along(path, rows, true),
            Records::Emitted(records) => {
                for record in records {
                    rows.row(&mut serde_json::Deserializer::from_str(record)).map_err(|error| json(record, &error))?;
                }
                serde_json::from_str(self.text).map_err(|error| json(self.text, &error))
            }
        }
    }

    /// Returns the text of every record.
    pub(super) fn raw_records(&self) -> Result<Vec<&str>, DecodeError> {
        match &self.records {
            Records::Along(path) => {
                let mut rows = RawRows::default();
                self.along(path, &mut rows, false)?;
                Ok(rows.0)
            }
            Records::Emitted(records) => Ok(records.iter().map(String::as_str).collect()),
        }
    }

    /// Asks `program` how many rows the server put on the page.
    pub(super) fn count(&self, program: &Jq, vars: &[Value]) -> Result<u64, DecodeError> {
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
        let (envelope, end) = walk(self.text, &path.keys, rows, keep).map_err(|error| json(self.text, &error))?;
        match judge(path, &end) {
            None => Ok(envelope),
            Some(found) => Err(DecodeError::NoRecords { path: path.to_string(), found }),
        }
    }
}

/// Returns what rules see of a body, whatever it is: the body without the records where they lie along a path, else the whole body;
/// null where it isn't JSON. Nothing is learnt from it.
pub fn envelope_of(body: &[u8], selector: &Selector) -> Value {
    let along = |text: &str| match selector {
        Selector::Plain { paths } => {
            let path = choose(text, paths).ok()?;
            walk(text, &path.keys, &mut NoRows, true).ok().map(|(envelope, _)| envelope)
        }
        Selector::Program(_) => serde_json::from_str(text).ok(),
    };
    text_of(body).ok().and_then(along).unwrap_or_default()
}

/// Returns the body as text, or says what it is instead of JSON. A byte order mark is dropped.
fn text_of(body: &[u8]) -> Result<&str, DecodeError> {
    if i32::try_from(body.len()).is_err() {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return Err(DecodeError::Empty);
    }
    if start.starts_with(b"<") {
        return Err(DecodeError::Html { excerpt: excerpt(start, 0) });
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let offset = error.valid_up_to();
        DecodeError::Utf8 { offset, excerpt: excerpt(body, offset) }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Returns the first path whose last key exists, even where it is null; where there is none, the last path, whose end decides.
fn choose<'p>(text: &str, paths: &'p [PlainPath]) -> Result<&'p PlainPath, DecodeError> {
    let none = || DecodeError::NoRecords { path: String::new(), found: "there is no path".to_owned() };
    let (last, others) = paths.split_last().ok_or_else(none)?;
    for path in others {
        let (_, end) = walk(text, &path.keys, &mut NoRows, false).map_err(|error| json(text, &error))?;
        let exists = match end {
            End::Array | End::Twice(_) => true,
            End::Null(depth) | End::Other(depth, _) => depth == path.keys.len(),
            End::EmptyOnTheWay | End::Missing(..) => false,
        };
        if exists {
            return Ok(path);
        }
    }
    Ok(last)
}

/// Says what is wrong with where the path ended, if anything is.
fn judge(path: &PlainPath, end: &End) -> Option<String> {
    let at = |depth: usize| match depth {
        0 => "the body".to_owned(),
        depth => format!("`{}`", path.keys[..depth.min(path.keys.len())].join(".")),
    };
    match end {
        End::Array | End::EmptyOnTheWay => None,
        End::Null(_) | End::Missing(..) if path.optional => None,
        End::Null(depth) => Some(format!("{} is null", at(*depth))),
        End::Other(depth, what) => Some(format!("{} is {what}", at(*depth))),
        End::Twice(depth) => Some(format!("the key `{}` comes twice", path.keys[*depth])),
        End::Missing(depth, names) => {
            let shown: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
            let there = if shown.is_empty() { "no key at all".to_owned() } else { shown.join(", ") };
            Some(format!("there is no `{}` in {}, which has {there}", path.keys[*depth], at(*depth)))
        }
    }
}
