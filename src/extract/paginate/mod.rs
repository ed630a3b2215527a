//! Paginators: pure, one file each. `first` gives the edits of the first request, `next` what to do after a page.
//!
//! There is no default paginator, and paging never ends without a stated reason: a short page proves nothing by itself.

mod cursor;
mod error;
mod foresee;
#[cfg(test)]
mod foresee_tests;
mod given;
mod guard;
mod next_link;
mod none;
mod offset;
mod order;
#[cfg(test)]
mod overlap_tests;
mod page;
mod seek;
mod tally;
#[cfg(test)]
mod tests;
mod verbatim;

use serde_json::Value;

pub use self::cursor::Cursor;
pub use self::error::PaginateError;
pub use self::given::Given;
pub use self::guard::{Ceilings, GuardError, RequestGuard};
pub use self::next_link::{NextLink, from_header, resolve};
pub use self::none::{OnePage, is_part, names_next};
pub use self::offset::{Advance, Offset};
pub use self::order::{compare, further};
pub use self::page::PageNumber;
pub use self::seek::{Bound, Order, Seek, SeekSpec};
use self::tally::Tally;
pub use self::verbatim::{Digits, as_it_came, as_sent, rewritten};
use crate::lang::place::Place;
use crate::model::EndReason;

/// A value to put into the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Where to.
    pub place: Place,
    /// What.
    pub value: Value,
}

/// What is known of a page once it was received.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Rows that the server put on the page.
    pub rows: u64,
    /// Records of the page that have nothing of a row, such as a message of the server: see `quarantine`.
    pub unlike: u64,
    /// Rows whose key no earlier page of the slice had; equals `rows` for a job with no `key`.
    pub new_rows: u64,
    /// What the page states as the total, in rows.
    pub total: Option<u64>,
    /// What the page states on another page: true, there must be one; false, this is the last.
    pub more: Option<bool>,
    /// The value that `seek` goes by, of the page's first row.
    pub first_value: Option<Value>,
    /// The same of its last row.
    pub last_value: Option<Value>,
    /// Whether its last two rows share that value.
    pub tied: bool,
    /// What the page gives to move on by: the cursor, or the link.
    pub given: Given,
    /// Which page of the slice it is, from 1.
    pub page: u64,
}

/// How many pages without rows may follow each other where the server says that there are more, unless `max_pages` says how many pages
/// there may be at all.
const MOST_EMPTY: u64 = 1_000;

/// How many where only a total says that there are more.
const MOST_HIDDEN: u64 = 100;

/// What to do after a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Ask again, with these edits made to the request as it was at first.
    Fetch(Vec<Edit>),
    /// Follow this link of the server's: see [`resolve`].
    Follow(String),
    /// The slice has been read, for this reason.
    Done(EndReason),
}

/// Decides on pages; does no I/O.
pub trait Paginator: Send {
    /// Returns the edits of the first request.
    fn first(&self) -> Vec<Edit>;

    /// Takes what the last page showed, and returns the edits of the next request or why there is none.
    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError>;

    /// Says why there need be nothing where the request that is due asks: all that the server states as the total has come, or the list
    /// is empty so far. An answer that there is no such page is the end then, for this reason.
    fn past_end(&self) -> Option<EndReason> {
        None
    }

    /// Returns what [`Paginator::next`] is going to decide after the page `seen`, and after those that follow it as far as they
    /// can be told: at most `count` requests, in order. All rows are taken for new, and where a total is stated, pages for full.
    ///
    /// It changes nothing and promises nothing. A request that was foreseen may be sent early; only `next` says whether its
    /// answer is a page of the slice.
    fn foresee(&self, seen: &Seen, count: usize) -> Vec<Decision>;
}

/// What every paginator can be told of ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndRules {
    /// Whether a page shorter than `size` is the last (`short_page: end`).
    pub short_page_ends: bool,
    /// The most pages that a slice may have.
    pub max_pages: Option<u64>,
    /// Whether rows are taken however many more come than `total` states: the job lands what doesn't match (`on_mismatch: warn`), and
    /// knows by a key that they are new.
    pub total_may_be_less: bool,
}

impl EndRules {
    /// Answers with the next request, unless the ceiling of pages is reached.
    fn fetch(&self, seen: &Seen, edits: Vec<Edit>) -> Result<Decision, PaginateError> {
        match self.max_pages {
            Some(pages) if seen.page >= pages => Err(PaginateError::MaxPages { pages }),
            _ => Ok(Decision::Fetch(edits)),
        }
    }
}

/// Reads what `total` gave: a whole number, or its digits in a string; null is 'not stated'.
pub fn parse_total(value: &Value) -> Result<Option<u64>, PaginateError> {
    let total = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => Some(text.trim())
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok()),
        _ => None,
    };
    total.map(Some).ok_or_else(|| PaginateError::Total { found: value.to_string() })
}

/// Reads `1432.0` as 1432, for servers whose numbers are all doubles.
fn whole(double: f64) -> Option<u64> {
    if double.fract() == 0.0 && double >= 0.0 { format!("{double:.0}").parse().ok() } else { None }
}

/// Makes the edit that asks for `size` rows.
fn size_edit(place: Option<&Place>, size: u64) -> Option<Edit> {
    place.map(|place| Edit { place: place.clone(), value: Value::from(size) })
}
