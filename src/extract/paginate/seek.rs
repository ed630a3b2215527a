//! `seek`: the position is a value of the last row.

use std::cmp::Ordering;

use serde_json::Value;

use super::foresee::{foresee, unknown};
use super::order::is_number_or_time;
use super::{Decision, Edit, EndRules, PaginateError, Paginator, Seen, compare, further, size_edit};
use crate::lang::place::Place;
use crate::model::EndReason;

/// The order in which the server sorts by the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    #[default]
    Asc,
    /// Largest first.
    Desc,
}

/// Whether rows that have exactly the value asked from come again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bound {
    /// They do; rows already seen are dropped by their key.
    #[default]
    Inclusive,
    /// They don't.
    Exclusive,
}

/// What a job says of `seek`.
#[derive(Debug, Clone)]
pub struct SeekSpec {
    /// Where the value is written to.
    pub into: Place,
    /// Where the size is written to, unless the request has it already.
    pub size_into: Option<Place>,
    /// Rows that a page is asked for.
    pub size: u64,
    /// The server's order.
    pub order: Order,
    /// The server's treatment of the value itself.
    pub bound: Bound,
    /// Whether no two rows have the same value.
    pub unique: bool,
    /// Whether rows come again that the value was moved past: the server finds rows that go on at it.
    pub overlap: bool,
    /// The value's text, with `{}` where it stands: `{};gt`. Exactly `{}` keeps its JSON type.
    pub format: String,
    /// Ends.
    pub rules: EndRules,
    /// Where the first page begins: the slice's cursor, or the edge of the window that the place is of. Absent, the request is
    /// sent as it is.
    pub start: Option<Value>,
    /// The far edge of the window, which no value may pass and beyond which nothing is asked for.
    pub limit: Option<Value>,
}

/// Moves by the last row's value.
#[derive(Debug, Clone)]
pub struct Seek {
    spec: SeekSpec,
    /// The value that the request now out asks from.
    position: Option<Value>,
    /// Rows of the largest page.
    largest: u64,
    /// Where the request now out is the one a unit further on: from where it asks, and the rows of the page that it was sent for.
    probing: Option<(Value, u64)>,
    /// Where the page before ended with rows that share a value, and the request now out asks for those behind it.
    equals: Option<Equals>,
}

/// Rows that share a value at the end of a page.
#[derive(Debug, Clone)]
struct Equals {
    page: u64,
    value: Value,
    /// Whether the page had all the rows that it could have.
    is_full: bool,
}

impl Order {
    /// Returns the name in a pipeline file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }

    /// Tells how `value` lies to `from` in this order: `Greater` is forward.
    fn direction(self, value: &Value, from: &Value) -> Ordering {
        match self {
            Self::Asc => compare(value, from),
            Self::Desc => compare(from, value),
        }
    }
}

impl Seek {
    /// Begins at `spec.start`.
    #[must_use]
    pub fn new(spec: SeekSpec) -> Self {
        Self { position: spec.start.clone(), spec, largest: 0, probing: None, equals: None }
    }

    fn edits(&self, position: Option<&Value>) -> Vec<Edit> {
        let position = position.map(|value| Edit { place: self.spec.into.clone(), value: self.format(value) });
        position.into_iter().chain(size_edit(self.spec.size_into.as_ref(), self.spec.size)).collect()
    }

    fn format(&self, value: &Value) -> Value {
        if self.spec.format == "{}" {
            return value.clone();
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Value::String(self.spec.format.replace("{}", &text))
    }

    /// Reads the last row's value, and refuses one that lies before the position, or out of the window.
    fn checked_value(&self, seen: &Seen) -> Result<Value, PaginateError> {
        let page = seen.page;
        let value =
            seen.last_value.clone().filter(|value| !value.is_null()).ok_or(PaginateError::NoSeekValue { page })?;
        if !(value.is_number() || value.is_string()) {
            return Err(PaginateError::SeekValue { page, value: value.to_string() });
        }
        if let Some(from) = &self.position {
            let direction = self.spec.order.direction(&value, from);
            let forward =
                direction == Ordering::Greater || (self.spec.bound == Bound::Inclusive && direction == Ordering::Equal);
            match forward {
                true => {}
                // The whole page goes on at the position: there is no moving past it.
                false if self.spec.overlap => return Ok(from.clone()),
                false => return Err(self.backwards(page, &value, from)),
            }
        }
        match &self.spec.limit {
            Some(limit) if self.spec.order.direction(&value, limit) == Ordering::Greater => {
                Err(PaginateError::SeekOutOfWindow { page, value: value.to_string(), limit: limit.to_string() })
            }
            _ => Ok(value),
        }
    }

    /// Refuses a page whose first row shows that the server sorts otherwise, or treats the value asked from otherwise, than was said.
    fn check_first(&self, seen: &Seen, last: &Value) -> Result<(), PaginateError> {
        let Some(first) = &seen.first_value else { return Ok(()) };
        let page = seen.page;
        let comparable = is_number_or_time(first) && is_number_or_time(last);
        if comparable && self.spec.order.direction(last, first) == Ordering::Less {
            let (first, last, order) = (first.to_string(), last.to_string(), self.spec.order.as_str());
            return Err(PaginateError::SeekUnsorted { page, first, last, order });
        }
        let again = self.position.as_ref().is_some_and(|from| compare(first, from) == Ordering::Equal);
        // Where a key tells that it came again it does no harm. A first page is asked for from where the slice before ended.
        if again && page > 1 && self.spec.bound == Bound::Exclusive && seen.new_rows == seen.rows {
            return Err(PaginateError::SeekNotExclusive { page, value: first.to_string() });
        }
        Ok(())
    }

    /// Refuses to go on behind a value that several rows share, where a page ended with them because it was full: it shows by those that
    /// come after it. A slice that is full at that page leaves them to the next one, and isn't asked further.
    fn check_equals(&mut self, seen: &Seen) -> Result<(), PaginateError> {
        match self.equals.take() {
            Some(Equals { page, value, is_full }) if is_full || seen.rows > 0 => {
                Err(PaginateError::SeekCutsEquals { page, value: value.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn backwards(&self, page: u64, value: &Value, from: &Value) -> PaginateError {
        PaginateError::SeekBackwards {
            page,
            value: value.to_string(),
            from: from.to_string(),
            wanted: match (self.spec.order, self.spec.bound) {
                (Order::Asc, Bound::Exclusive) => "after",
                (Order::Asc, Bound::Inclusive) => "at or after",
                (Order::Desc, Bound::Exclusive) => "before",
                (Order::Desc, Bound::Inclusive) => "at or before",
            },
            place: self.spec.into.as_str().to_owned(),
            order: self.spec.order.as_str(),
        }
    }

    /// Asks a unit further on: rows there mean that others, between the two, can't be reached; no rows there is the end. Beyond
    /// the window there are none.
    fn probe(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        let position = self.position.clone().unwrap_or_default();
        if self.spec.limit.as_ref().is_some_and(|limit| self.spec.order.direction(&position, limit) != Ordering::Less) {
            return self.nothing_beyond(seen.rows);
        }
        let Some(beyond) = further(&position, self.spec.order) else {
            // A text has no next one to ask from: a page with fewer rows than were asked for may have all of them.
            return if seen.rows < self.spec.size {
                Ok(Decision::Done(EndReason::NothingNew))
            } else {
                Err(self.shared(&position))
            };
        };
        let edits = self.edits(Some(&beyond));
        self.probing = Some((beyond, seen.rows));
        self.spec.rules.fetch(seen, edits)
    }

    /// Takes rows that came though a unit further on was asked for. With `overlap`, rows that go on there are no surprise, as long
    /// as neither they nor those that go on at the value itself, `before`, are a whole page: behind a whole one there may be others,
    /// and those that begin and end at the value don't go on further on.
    fn probed(&self, seen: &Seen, before: u64) -> Result<Decision, PaginateError> {
        match (self.spec.overlap, seen.new_rows) {
            (true, 0) => self.nothing_beyond(seen.rows.max(before)),
            (true, _) => Err(self.shared(&self.position.clone().unwrap_or_default())),
            (false, _) => Err(self.rows_beyond(seen)),
        }
    }

    /// Ends after a page of `rows` rows that moved nothing, with none beyond it. That doesn't prove that the value's own rows all
    /// fitted on the page: not `EmptyPage`, which would. A page with all the rows that were asked for may have left some out.
    fn nothing_beyond(&self, rows: u64) -> Result<Decision, PaginateError> {
        if rows < self.spec.size {
            return Ok(Decision::Done(EndReason::NothingNew));
        }
        Err(self.full(rows))
    }

    fn full(&self, rows: u64) -> PaginateError {
        let value = self.position.clone().unwrap_or_default().to_string();
        if self.spec.overlap {
            PaginateError::MoreOverlapThanAPage { value, rows }
        } else {
            PaginateError::FullOfOneValue { value, rows }
        }
    }

    /// Says what rows mean that came though a unit further on was asked for.
    fn rows_beyond(&self, seen: &Seen) -> PaginateError {
        match (&self.probing, &seen.last_value) {
            // The same rows again: the server doesn't look at what is asked for.
            (Some((from, _)), Some(value)) if self.spec.order.direction(value, from) == Ordering::Less => {
                self.backwards(seen.page, value, from)
            }
            _ => self.shared(&self.position.clone().unwrap_or_default()),
        }
    }

    fn shared(&self, position: &Value) -> PaginateError {
        PaginateError::SharedByMoreThanAPage { value: position.to_string(), rows: self.largest }
    }
}

impl Paginator for Seek {
    fn first(&self) -> Vec<Edit> {
        self.edits(self.position.as_ref())
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        self.check_equals(seen)?;
        match (seen.rows, seen.more, &self.probing) {
            (0, Some(true), _) => return Err(PaginateError::EmptyButMore { page: seen.page, or: "" }),
            (0, _, Some((_, before))) => return self.nothing_beyond(*before),
            // Said of the first page it is said of the list.
            (0, Some(false), None) if seen.page == 1 => return Ok(Decision::Done(EndReason::MoreFalse)),
            (0, _, None) => return Ok(Decision::Done(EndReason::EmptyPage)),
            (_, _, Some((_, before))) => return self.probed(seen, *before),
            (_, Some(false), None) => return Ok(Decision::Done(EndReason::MoreFalse)),
            _ => {}
        }
        if self.spec.rules.short_page_ends && seen.rows < self.spec.size && seen.more.is_none() {
            return Ok(Decision::Done(EndReason::ShortPage));
        }
        let value = self.checked_value(seen)?;
        self.check_first(seen, &value)?;
        let largest_before = self.largest;
        self.largest = largest_before.max(seen.rows);
        let stands_still = self.position.as_ref().is_some_and(|from| compare(&value, from) == Ordering::Equal);
        // A total will tell whether they all came.
        if self.spec.bound == Bound::Exclusive && !self.spec.unique && seen.tied && seen.total.is_none() {
            let is_full = seen.rows >= self.spec.size || (largest_before > 0 && seen.rows >= largest_before);
            self.equals = Some(Equals { page: seen.page, value: value.clone(), is_full });
        }
        self.position = Some(value);
        if self.spec.bound == Bound::Inclusive && (seen.new_rows == 0 || stands_still) {
            if seen.new_rows == 0 && seen.rows < largest_before && seen.more.is_none() {
                return Ok(Decision::Done(EndReason::NothingNew));
            }
            return self.probe(seen);
        }
        let edits = self.edits(self.position.as_ref());
        self.spec.rules.fetch(seen, edits)
    }

    fn foresee(&self, seen: &Seen, count: usize) -> Vec<Decision> {
        let value = seen.last_value.as_ref().zip(self.position.as_ref());
        if value.is_some_and(|(value, from)| compare(value, from) == Ordering::Equal) {
            // Whether any of the rows is new decides between the end and one request more.
            return Vec::new();
        }
        foresee(self, seen, count, unknown)
    }
}
