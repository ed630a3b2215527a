//! What a page gives to move on by, and the account of it that `cursor` and `next_link` share.

use serde_json::Value;

use super::{EndRules, MOST_EMPTY, PaginateError, Seen};
use crate::model::EndReason;

/// What a page gives to move on by: a cursor, or a link.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Given {
    /// Nothing is there: the key, or the header, is missing.
    #[default]
    Absent,
    /// It is there and says that there is no more: null, `""`, `[]`, `{}`.
    Empty,
    /// The way on.
    Next(Value),
}

impl Given {
    /// Sorts what an expression gave. `stated` tells whether a null was written by the server, or stands for a missing key.
    #[must_use]
    pub fn of(value: Value, stated: bool) -> Self {
        let empty = match &value {
            Value::Null if !stated => return Self::Absent,
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if empty { Self::Empty } else { Self::Next(value) }
    }

    /// Puts what several expressions gave together, by name: there is a way on while one of them has one.
    #[must_use]
    pub fn gather<'n>(parts: impl IntoIterator<Item = (&'n str, Self)>) -> Self {
        let (mut fields, mut next, mut empty) = (serde_json::Map::new(), false, false);
        for (name, part) in parts {
            let value = match part {
                Self::Next(value) => {
                    next = true;
                    value
                }
                Self::Empty => {
                    empty = true;
                    Value::Null
                }
                Self::Absent => Value::Null,
            };
            fields.insert(name.to_owned(), value);
        }
        match (next, empty) {
            (true, _) => Self::Next(Value::Object(fields)),
            (false, true) => Self::Empty,
            (false, false) => Self::Absent,
        }
    }
}

/// Which reasons there are to end, and what to call that which is missing where there must be more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// `cursor` or `link`.
    pub(super) what: &'static str,
    /// It was there, and empty.
    pub(super) empty: EndReason,
    /// It is missing, and an earlier page had one.
    pub(super) gone: EndReason,
    /// It is missing, and none had one.
    pub(super) none: EndReason,
}

/// The account of a slice.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    had_one: bool,
    stale_pages: u32,
    /// Pages without rows, one after the other.
    empty_pages: u64,
}

/// Where paging goes after a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// On, by this.
    On(Value),
    /// Nowhere.
    End(EndReason),
}

impl Trail {
    /// Takes a page. `place` names in errors what the server would have ignored.
    pub(super) fn take(
        &mut self,
        seen: &Seen,
        ends: Ends,
        place: &str,
        rules: &EndRules,
    ) -> Result<Way, PaginateError> {
        if seen.more == Some(false) {
            return Ok(Way::End(EndReason::MoreFalse));
        }
        let next = match &seen.given {
            Given::Next(value) => value.clone(),
            _ if seen.more == Some(true) => {
                return Err(PaginateError::MoreButNoWay { page: seen.page, what: ends.what });
            }
            Given::Empty => return Ok(Way::End(ends.empty)),
            Given::Absent if seen.rows == 0 => return Ok(Way::End(EndReason::EmptyPage)),
            Given::Absent if self.had_one => return Ok(Way::End(ends.gone)),
            Given::Absent => return Ok(Way::End(ends.none)),
        };
        self.had_one = true;
        // An empty page with a way on is common where the server filters; it is neither progress nor the lack of it.
        if seen.rows > 0 {
            self.stale_pages = if seen.new_rows == 0 { self.stale_pages + 1 } else { 0 };
        }
        self.empty_pages = if seen.rows == 0 { self.empty_pages + 1 } else { 0 };
        if self.empty_pages >= MOST_EMPTY && rules.max_pages.is_none() {
            return Err(PaginateError::OnlyEmptyPages { pages: self.empty_pages, what: ends.what });
        }
        if self.stale_pages > 1 {
            return Err(PaginateError::NoProgress { page: seen.page, place: place.to_owned() });
        }
        Ok(Way::On(next))
    }
}

/// Refuses another page beyond the ceiling.
pub(super) fn within(rules: &EndRules, seen: &Seen) -> Result<(), PaginateError> {
    rules.fetch(seen, Vec::new()).map(|_| ())
}
