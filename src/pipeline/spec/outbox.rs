//! Rows that are sent to an HTTP end point.

use std::time::Duration;

use super::{Request, Source};
use crate::lang::jq::Jq;
use crate::model::SinkName;
use crate::pipeline::load::Sql;

/// A sink whose rows are sent, each once.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Its name.
    pub name: SinkName,
    /// Where and how requests are sent. Its `empty` takes an answer that says that the row is there already.
    pub source: Source,
    /// What is sent: the templates see `row` or `rows`, and `key`. It holds the header of the idempotency key.
    pub request: Request,
    /// Columns of the transform that identify a row.
    pub key: Vec<String>,
    /// The most rows of a request, where templates see `rows`; none where a request has one row, and they see `row`.
    pub batch: Option<u32>,
    /// The header by which the server knows a request that it has heard before, where it does.
    pub idempotency_header: Option<String>,
    /// What looks a row up before it is sent.
    pub find: Option<Find>,
    /// Whether an answer that is no success refuses the row for good.
    pub refused: Jq,
    /// The rows that it takes.
    pub filter: Option<Sql>,
}

impl Outbox {
    /// Tells whether a row is created once though nobody knows whether its request was heard.
    #[must_use]
    pub const fn knows_again(&self) -> bool {
        self.idempotency_header.is_some() || self.knows_rows()
    }

    /// Tells whether the server can say of a row that it is there, before it is sent or in answer to it.
    #[must_use]
    pub const fn knows_rows(&self) -> bool {
        self.find.is_some() || self.source.empty.is_some()
    }

    /// Returns how long to wait before a row that may have been created is looked for.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.find.as_ref().map_or(Duration::ZERO, |find| find.lag)
    }
}

/// What looks a row up.
#[derive(Debug, Clone)]
pub struct Find {
    /// What is sent.
    pub request: Request,
    /// Whether the answer shows that the row is there.
    pub found: Jq,
    /// Whether an answer says that it isn't, though its status is an error.
    pub absent: Option<Jq>,
    /// How long the server may take until it shows what was created.
    pub lag: Duration,
}
