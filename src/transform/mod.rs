//! Rows between decoding and the sinks: one SELECT over the slice's records, expressions of one row, the last of equal keys,
//! and a place to keep a slice until its schema is final.
//!
//! All of it computes: it belongs on blocking threads, and holds a bounded amount of memory.

mod addresses;
mod checked;
pub mod conform;
pub mod dedupe;
pub mod engine;
mod error;
pub mod expect;
pub mod expr;
mod feed;
mod functions;
mod html;
mod keys;
mod moment;
mod ordinals;
pub mod plan;
mod replaced;
pub mod sort;
pub mod spool;
mod sums;
mod versions;
mod zoned;

pub use conform::{ConformError, conform};
pub use dedupe::{DedupeError, KeyIndex, Observed};
pub use error::{BoxError, TransformError};
pub use expect::{Expectation, unmet};
pub use expr::{FailedRows, RowExpr};
pub use moment::Moment;
pub use ordinals::Ordinals;
pub use plan::{Counts, Table, TransformPlan};
pub use replaced::Replaced;
pub use sort::{SORTING, Sorter};
pub use spool::{Batches, Spool, SpoolError, Spooled};
