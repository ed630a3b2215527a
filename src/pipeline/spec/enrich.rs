//! Child requests.

use super::Request;
use crate::lang::jq::Jq;

/// A child request for each row.
#[derive(Debug, Clone)]
pub struct Enrich {
    /// The column of `records` that it makes.
    pub column: String,
    /// What is sent: the templates see `row`.
    pub request: Request,
    /// The column's value in the answer.
    pub value: Jq,
    /// Whether an answer that is an error makes the value null; else the slice fails.
    pub null_on_error: bool,
}
