//! The transform of a slice: one SELECT, planned once against the slice's schema, that its records then stream through.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _, execute_stream};
use datafusion::sql::parser::Statement;
use futures::StreamExt as _;
use futures::executor::block_on;

use super::conform::conform;
use super::engine::{self, MEMORY_LIMIT};
use super::error::{BoxError, TransformError};
use super::feed::{Feed, Source};
use super::moment::Moment;
use crate::lang::sql::{RECORDS_TABLE, WINDOW_NAMES, bind_window, parse_select};

/// A slice's transform, ready for its records. Without SQL, rows go through as they are.
#[derive(Debug)]
pub struct TransformPlan {
    output: SchemaRef,
    query: Option<QueryPlan>,
}

#[derive(Debug)]
struct QueryPlan {
    state: SessionState,
    plan: Arc<dyn ExecutionPlan>,
    feed: Feed,
    memory_limit: usize,
}

/// A table that a transform may join, in memory.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// The schema of its batches.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

/// How many rows went in and came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of records, all of them, also those that a LIMIT left out.
    pub rows_in: u64,
    /// Rows of the result.
    pub rows_out: u64,
}

impl TransformPlan {
    /// Plans `sql` over a table `records` of the schema `records`, with `now` as the instant that `now()` gives.
    pub fn new(sql: Option<&str>, records: SchemaRef, now: impl Into<Moment>) -> Result<Self, TransformError> {
        Self::plan(sql, records, &[], now.into(), MEMORY_LIMIT)
    }

    /// As [`TransformPlan::new`], with `tables` to join, and held to `memory_limit` bytes as [`TransformPlan::with_memory_limit`] is.
    pub fn with_tables(
        sql: Option<&str>,
        records: SchemaRef,
        tables: &[Table],
        now: impl Into<Moment>,
        memory_limit: usize,
    ) -> Result<Self, TransformError> {
        Self::plan(sql, records, tables, now.into(), memory_limit)
    }

    /// As [`TransformPlan::new`], with sorting, grouping and joining held to `memory_limit` bytes before they use the disk.
    pub fn with_memory_limit(
        sql: Option<&str>,
        records: SchemaRef,
        now: impl Into<Moment>,
        memory_limit: usize,
    ) -> Result<Self, TransformError> {
        Self::plan(sql, records, &[], now.into(), memory_limit)
    }

    fn plan(
        sql: Option<&str>,
        records: SchemaRef,
        tables: &[Table],
        at: Moment,
        memory_limit: usize,
    ) -> Result<Self, TransformError> {
        let Some(sql) = sql else { return Ok(Self { output: records, query: None }) };
        let query = QueryPlan::new(sql, records, tables, at, memory_limit)?;
        let output = output_schema(&query.plan.schema())?;
        Ok(Self { output, query: Some(query) })
    }

    /// Tells whether rows go through one by one: nothing is sorted, grouped or read twice.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.query.as_ref().is_none_or(|query| is_incremental(&query.plan) && reads_once(query.plan.as_ref()))
    }

    /// Returns the schema that every batch of the result has.
    pub fn output_schema(&self) -> SchemaRef {
        Arc::clone(&self.output)
    }

    /// Sends `input` through the SQL and gives the rows of the result, in order, to `out`. Blocks: not for an async thread.
    ///
    /// Batches whose schema is an earlier state of the planned one are filled up with nulls. The input is always read to
    /// its end. An error of `input` or of `out` stops it and is the source of the error returned.
    pub fn run<E, E2>(
        self,
        input: Box<dyn Iterator<Item = Result<RecordBatch, E>> + Send>,
        mut out: impl FnMut(RecordBatch) -> Result<(), E2>,
    ) -> Result<Counts, TransformError>
    where
        E: Into<BoxError> + 'static,
        E2: Into<BoxError>,
    {
        let source: Source = Box::new(input.map(|batch| batch.map_err(Into::into)));
        let mut rows_out = 0;
        let mut give = |batch: RecordBatch| {
            rows_out += batch.num_rows() as u64;
            out(batch).map_err(|error| TransformError::Output(error.into()))
        };
        let rows_in = match self.query {
            Some(query) => query.run(source, &self.output, &mut give)?,
            None => pass_through(source, &self.output, &mut give)?,
        };
        Ok(Counts { rows_in, rows_out })
    }
}

type Give<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<(), TransformError>;

fn pass_through(source: Source, schema: &SchemaRef, give: Give<'_>) -> Result<u64, TransformError> {
    let mut rows = 0;
    for batch in source {
        let batch = conform(&batch.map_err(TransformError::Input)?, schema)?;
        rows += batch.num_rows() as u64;
        give_rows(batch, give)?;
    }
    Ok(rows)
}

fn give_rows(batch: RecordBatch, give: Give<'_>) -> Result<(), TransformError> {
    if batch.num_rows() == 0 { Ok(()) } else { give(batch) }
}

impl QueryPlan {
    fn new(
        sql: &str,
        records: SchemaRef,
        tables: &[Table],
        at: Moment,
        memory_limit: usize,
    ) -> Result<Self, TransformError> {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let mut select = parse_select(sql, &names)?;
        if let Some(edges) = at.edges() {
            bind_window(&mut select, &edges, &columns_named(&records, WINDOW_NAMES));
        }
        let statement = Statement::Statement(Box::new(select));
        let explain = |error: DataFusionError| TransformError::planning(&error, sql);
        let state = engine::session(at.now, memory_limit).map_err(explain)?;
        tables.iter().try_for_each(|table| register(&state, table)).map_err(explain)?;
        let feed = Feed::new(Arc::clone(&records));
        let plan = block_on(physical_plan(&state, statement, &feed, records)).map_err(explain)?;
        Ok(Self { state, plan, feed, memory_limit })
    }

    fn run(self, source: Source, output: &SchemaRef, give: Give<'_>) -> Result<u64, TransformError> {
        self.feed.fill(source, reads_once(self.plan.as_ref()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(TransformError::Runtime)?;
        let explain = |error: DataFusionError| {
            let failure = self.feed.take_failure();
            failure.unwrap_or_else(|| TransformError::running(&error, self.memory_limit))
        };
        runtime.block_on(async {
            let mut rows = execute_stream(Arc::clone(&self.plan), self.state.task_ctx()).map_err(explain)?;
            while let Some(batch) = rows.next().await {
                let batch = with_schema(&batch.map_err(explain)?, output).map_err(explain)?;
                give_rows(batch, give)?;
            }
            Ok::<(), TransformError>(())
        })?;
        self.feed.drain()?;
        Ok(self.feed.rows())
    }
}

/// Returns those of `names` that are columns: a record's own field hides what we would put there.
pub(super) fn columns_named<const N: usize>(schema: &Schema, names: [&'static str; N]) -> Vec<&'static str> {
    names.into_iter().filter(|name| schema.column_with_name(name).is_some()).collect()
}

fn register(state: &SessionState, table: &Table) -> Result<(), DataFusionError> {
    let rows = MemTable::try_new(Arc::clone(&table.schema), vec![table.batches.clone()])?;
    state.schema_for_ref(table.name.as_str())?.register_table(table.name.clone(), Arc::new(rows))?;
    Ok(())
}

async fn physical_plan(
    state: &SessionState,
    statement: Statement,
    feed: &Feed,
    records: SchemaRef,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let table = Arc::new(StreamingTable::try_new(records, vec![Arc::new(feed.clone())])?);
    state.schema_for_ref(RECORDS_TABLE)?.register_table(RECORDS_TABLE.to_owned(), table)?;
    let plan = state.statement_to_plan(statement).await?;
    // The syntax check has refused these; this is the engine's own lock on the same door.
    let only_queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_queries.verify_plan(&plan)?;
    state.create_physical_plan(&plan).await
}

/// Says whether each part of `plan` gives rows as it takes them.
fn is_incremental(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.pipeline_behavior() == EmissionType::Incremental && plan.children().into_iter().all(is_incremental)
}

/// Says whether `plan` takes the records at most once. A recursive CTE runs its scans again for every step.
fn reads_once(plan: &dyn ExecutionPlan) -> bool {
    fn scans(plan: &dyn ExecutionPlan) -> usize {
        let here = match plan.name() {
            "StreamingTableExec" => 1,
            "RecursiveQueryExec" => 2,
            _ => 0,
        };
        here + plan.children().into_iter().map(|child| scans(child.as_ref())).sum::<usize>()
    }
    scans(plan) <= 1
}

/// Makes the schema of the result: as the engine says, but every column may be null, since whether the engine can prove
/// that one isn't must not change the schema that is pinned.
fn output_schema(planned: &Schema) -> Result<SchemaRef, TransformError> {
    let mut names = HashSet::new();
    if let Some(twice) = planned.fields().iter().find(|field| !names.insert(field.name().as_str())) {
        return Err(TransformError::DuplicateColumn { name: twice.name().clone() });
    }
    let fields = planned.fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)?)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
