//! The table `records`: batches pulled from an iterator one by one, as the query asks for them.
//!
//! Nothing runs ahead of the query, so a streaming query holds one batch at a time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

use super::conform::conform;
use super::error::{BoxError, TransformError};
use super::spool::{Spool, Spooled};

/// Batches of records, from whoever has them.
pub(super) type Source = Box<dyn Iterator<Item = Result<RecordBatch, BoxError>> + Send>;

/// How much of the records is kept in memory when a query reads them more than once; the rest goes to a temporary file.
const KEPT_IN_MEMORY: usize = 32 * 1024 * 1024;

/// The one partition of `records`, filled when the plan is run.
#[derive(Clone)]
pub(super) struct Feed {
    schema: SchemaRef,
    supply: Arc<Mutex<Supply>>,
}

#[derive(Default)]
struct Supply {
    /// The records that no scan has taken yet.
    source: Option<Source>,
    /// All records, for a query that reads them more than once.
    kept: Option<Spooled>,
    /// Whether a scan has begun to take from `source`.
    taken: bool,
    /// Why the records ended early; the engine's own error only says that they did.
    failure: Option<TransformError>,
    /// How many rows came out of the source.
    rows: u64,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Feed {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, supply: Arc::default() }
    }

    /// Gives the feed its records. When they are read more than once, they are all taken and kept first.
    pub(super) fn fill(&self, source: Source, read_once: bool) -> Result<(), TransformError> {
        self.lock().source = Some(source);
        if read_once {
            return Ok(());
        }
        let mut spool = Spool::new(KEPT_IN_MEMORY);
        while let Some(batch) = self.pull() {
            spool.push(batch?)?;
        }
        self.lock().kept = Some(spool.finish()?);
        Ok(())
    }

    /// Takes the records that the query had no need for, so that they are counted, and their errors seen.
    pub(super) fn drain(&self) -> Result<(), TransformError> {
        while let Some(batch) = self.pull() {
            batch?;
        }
        Ok(())
    }

    /// Returns the number of rows that came out of the source.
    pub(super) fn rows(&self) -> u64 {
        self.lock().rows
    }

    /// Takes the reason why the records ended early, if they did.
    pub(super) fn take_failure(&self) -> Option<TransformError> {
        self.lock().failure.take()
    }

    fn lock(&self) -> MutexGuard<'_, Supply> {
        // What a panic leaves behind is whole: every change below is one assignment.
        self.supply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one batch off the source, in the schema of the plan.
    fn pull(&self) -> Option<Result<RecordBatch, TransformError>> {
        let mut supply = self.lock();
        let next = supply.source.as_mut()?.next();
        let Some(next) = next else {
            supply.source = None;
            return None;
        };
        let batch = next.map_err(TransformError::Input).and_then(|batch| Ok(conform(&batch, &self.schema)?));
        match &batch {
            Ok(batch) => supply.rows += batch.num_rows() as u64,
            Err(_) => supply.source = None,
        }
        Some(batch)
    }

    fn pull_for_engine(&self) -> Option<Result<RecordBatch, DataFusionError>> {
        let batch = self.pull()?;
        Some(batch.map_err(|error| self.fail(error)))
    }

    fn fail(&self, error: TransformError) -> DataFusionError {
        let text = DataFusionError::Execution(error.to_string());
        self.lock().failure = Some(error);
        text
    }

    /// Begins one scan: over what is kept, or over the source, which only one scan can take.
    fn scan(&self) -> Box<dyn Iterator<Item = Result<RecordBatch, DataFusionError>> + Send> {
        let feed = self.clone();
        let mut supply = self.lock();
        if let Some(kept) = &supply.kept {
            let batches = kept.batches();
            return Box::new(batches.map(move |batch| batch.map_err(|error| feed.fail(error.into()))));
        }
        if std::mem::replace(&mut supply.taken, true) {
            let message = "the query reads `records` a second time, which its plan did not say".to_owned();
            return Box::new(std::iter::once(Err(DataFusionError::Internal(message))));
        }
        Box::new(std::iter::from_fn(move || feed.pull_for_engine()))
    }
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(self.scan())))
    }
}
