//! `page`: the position counts pages (`currentPage`/`perPage`).

use serde_json::Value;

use super::foresee::{counted, foresee};
use super::{Decision, Edit, EndRules, PaginateError, Paginator, Seen, Tally, size_edit};
use crate::lang::place::Place;
use crate::model::EndReason;

/// Moves by one page.
#[derive(Debug, Clone)]
pub struct PageNumber {
    into: Place,
    size_into: Option<Place>,
    size: u64,
    rules: EndRules,
    number: u64,
    tally: Tally,
}

impl PageNumber {
    /// Starts at page `first`. `size` is the rows of a full page; `size_into` is where that is said, unless the request has it
    /// already.
    #[must_use]
    pub fn new(into: Place, size_into: Option<Place>, size: u64, first: u64, rules: EndRules) -> Self {
        Self { into, size_into, size, rules, number: first, tally: Tally::default() }
    }

    fn edits(&self) -> Vec<Edit> {
        let number = Edit { place: self.into.clone(), value: Value::from(self.number) };
        [number].into_iter().chain(size_edit(self.size_into.as_ref(), self.size)).collect()
    }
}

impl Paginator for PageNumber {
    fn first(&self) -> Vec<Edit> {
        self.edits()
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        if let Some(end) = self.tally.take_fixed(seen, self.size, &self.rules, &self.into)? {
            return Ok(Decision::Done(end));
        }
        self.number += 1;
        self.rules.fetch(seen, self.edits())
    }

    fn past_end(&self) -> Option<EndReason> {
        self.tally.past_end()
    }

    fn foresee(&self, seen: &Seen, count: usize) -> Vec<Decision> {
        foresee(self, seen, count, |fork, seen| counted(seen, self.size, fork.tally.received))
    }
}
