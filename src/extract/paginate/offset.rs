//! `offset`: the position counts rows (`start`/`length`, `offset`/`max_num_rows`).

use serde_json::Value;

use super::foresee::{counted, foresee};
use super::{Decision, Edit, EndRules, PaginateError, Paginator, Seen, Tally, size_edit};
use crate::lang::place::Place;
use crate::model::EndReason;

/// What the offset grows by after a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Advance {
    /// The rows received: a page that the server cut short loses nothing.
    #[default]
    Received,
    /// The rows asked for: for servers that hide rows after counting them.
    Size,
}

/// Moves by rows.
#[derive(Debug, Clone)]
pub struct Offset {
    into: Place,
    size_into: Option<Place>,
    size: u64,
    advance: Advance,
    rules: EndRules,
    position: u64,
    tally: Tally,
}

impl Offset {
    /// Starts at `first`. `size` is the rows that a page is asked for; `size_into` is where that is said, unless the request
    /// has it already.
    #[must_use]
    pub fn new(
        into: Place,
        size_into: Option<Place>,
        size: u64,
        first: u64,
        advance: Advance,
        rules: EndRules,
    ) -> Self {
        Self { into, size_into, size, advance, rules, position: first, tally: Tally::default() }
    }

    fn edits(&self) -> Vec<Edit> {
        let position = Edit { place: self.into.clone(), value: Value::from(self.position) };
        [position].into_iter().chain(size_edit(self.size_into.as_ref(), self.size)).collect()
    }
}

impl Paginator for Offset {
    fn first(&self) -> Vec<Edit> {
        self.edits()
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        let end = match self.advance {
            Advance::Received if seen.rows > self.size && seen.unlike > 0 => {
                let Seen { page, rows, unlike, .. } = *seen;
                return Err(PaginateError::NoRowsCounted { page, rows, size: self.size, unlike });
            }
            Advance::Received => self.tally.take_received(seen, self.size, &self.rules, &self.into)?,
            Advance::Size if seen.rows > self.size => {
                return Err(PaginateError::MoreThanAsked { page: seen.page, rows: seen.rows, size: self.size });
            }
            Advance::Size => self.tally.take_fixed(seen, self.size, &self.rules, &self.into)?,
        };
        if let Some(end) = end {
            return Ok(Decision::Done(end));
        }
        self.position += match self.advance {
            // Behind an empty page it isn't known how far to go: as far as a page reaches.
            Advance::Received if self.tally.largest == 0 => self.size,
            Advance::Received if seen.rows == 0 => self.tally.largest,
            Advance::Received => seen.rows,
            Advance::Size => self.size,
        };
        self.rules.fetch(seen, self.edits())
    }

    fn past_end(&self) -> Option<EndReason> {
        self.tally.past_end()
    }

    fn foresee(&self, seen: &Seen, count: usize) -> Vec<Decision> {
        // Where a page came short, the offsets after the next page depend on whether that one does too.
        let by_size = self.advance == Advance::Size || seen.rows == self.size;
        foresee(self, seen, if by_size { count } else { count.min(1) }, |fork, seen| {
            let behind = match self.advance {
                Advance::Received => fork.tally.received,
                // Rows that the server hides are counted, and lie behind as well.
                Advance::Size => seen.page.saturating_mul(self.size),
            };
            counted(seen, self.size, behind)
        })
    }
}
