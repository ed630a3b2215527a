//! Lists and answers of servers in memory.

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::extract::request::RenderedRequest;

/// A row: its id, and the value that `seek` goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) value: u64,
}

/// What a page states as the total.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Total {
    Absent,
    Null,
    Number(u64),
    Digits(u64),
    Double(u64),
}

impl Total {
    /// Returns what it states.
    pub(super) const fn stated(self) -> Option<u64> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Number(total) | Self::Digits(total) | Self::Double(total) => Some(total),
        }
    }
}

/// An answer with a page.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Value,
    pub(super) rows: Vec<Row>,
    pub(super) total: Total,
    /// Whether it says that there is another page.
    pub(super) more: Option<bool>,
    /// What it gives to move on by, where it has the key.
    pub(super) next: Option<Value>,
}

impl Answer {
    pub(super) fn of(rows: &[Row]) -> Self {
        Self {
            status: StatusCode::OK,
            headers: json!({}),
            rows: rows.to_vec(),
            total: Total::Absent,
            more: None,
            next: None,
        }
    }

    pub(super) fn body(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| json!({"id": row.id, "v": row.value})).collect();
        let mut body = json!({"items": rows});
        match self.total {
            Total::Absent => {}
            Total::Null => body["total"] = Value::Null,
            Total::Number(total) => body["total"] = total.into(),
            Total::Digits(total) => body["total"] = total.to_string().into(),
            Total::Double(total) => body["total"] = f64::from(u32::try_from(total).unwrap()).into(),
        }
        if let Some(more) = self.more {
            body["more"] = more.into();
        }
        if let Some(next) = &self.next {
            body["next"] = next.clone();
        }
        body
    }
}

/// Returns a parameter of a request's query.
pub(super) fn param(request: &RenderedRequest, name: &str) -> Option<String> {
    request.url().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// As [`param`], as a number; `absent` where it isn't there.
pub(super) fn number(request: &RenderedRequest, name: &str, absent: usize) -> usize {
    param(request, name).map_or(absent, |text| text.parse().unwrap())
}

/// Returns some of the rows from a place on.
pub(super) fn part(rows: &[Row], from: usize, count: usize) -> &[Row] {
    let from = from.min(rows.len());
    &rows[from..(from + count).min(rows.len())]
}

/// A list of up to `most` rows, whose values are among `values` and grow.
pub(super) fn lists(most: usize, values: u64) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(0..values, 0..most).prop_map(|mut values| {
        values.sort_unstable();
        values.into_iter().zip(1..).map(|(value, id)| Row { id, value }).collect()
    })
}

/// Which rows an honest server puts on each of its pages at most: a ceiling of its own, and less on some.
#[derive(Debug, Clone)]
pub(super) struct Caps {
    pub(super) cap: usize,
    cuts: Vec<usize>,
}

impl Caps {
    /// Returns how many rows page `number` may have of `size`, at least one.
    pub(super) fn of(&self, number: usize, size: usize) -> usize {
        let cut = self.cuts.get(number % self.cuts.len().max(1)).copied().unwrap_or_default();
        size.min(self.cap).saturating_sub(cut).max(1)
    }
}

pub(super) fn caps() -> impl Strategy<Value = Caps> {
    (1_usize..12, prop::collection::vec(0_usize..4, 0..4)).prop_map(|(cap, cuts)| Caps { cap, cuts })
}
