//! What travels between the stages: slices, windows, schemas, receipts and the run report. Plain data, no I/O.

mod asked;
mod change;
mod delivery;
mod exit;
mod format;
mod hand_type;
mod ids;
mod lock;
mod remedy;
mod report;
mod schema;
mod slice;
mod strays;
mod verdict;
mod words;

pub use asked::Asked;
pub use change::{Change, Drift, Effect};
pub use delivery::{DeliveryCounts, DeliveryReport, DeliveryStatus};
pub use exit::Exit;
pub use format::{AnswerFormat, CsvDialect};
pub use hand_type::{HandColumn, HandType, HandTypeError, InstantReading, TYPE_NAMES};
pub use ids::{FanoutKey, JobName, PipelineName, RunId, SinkName, SliceId};
pub use lock::{LockError, LockedJob, SchemaLock};
pub use remedy::Remedy;
pub use report::{
    Fetched, JobReport, Left, Report, RowCounts, RunEnd, RunReport, SinkCounts, SliceOutcome, SliceReport, Stop, Took,
};
pub use schema::{Column, ColumnType, RecordSchema, UnionError};
pub use slice::{CursorValue, FileReceipt, Slice, SliceKind, StagedPlace, Window};
pub use strays::{Stray, Strays};
pub use verdict::{EndReason, Reconciliation, Verdict};
pub use words::counted;
