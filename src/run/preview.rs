//! A job's first rows, as they would land. Nothing is written, and no lease is taken.

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use super::extract::Extracted;
use super::land::Shaping;
use super::sample::{self, Sample};
use super::{Env, RunError, tables};
use crate::ledger::LedgerState;
use crate::model::{JobName, RecordSchema, RowCounts};
use crate::pipeline::spec::{Job, Pipeline};

/// What a job would land.
#[derive(Debug)]
pub struct Preview {
    /// The first request, redacted.
    pub request: String,
    /// The schema of the records that came.
    pub schema: RecordSchema,
    /// Where the rows went.
    pub rows: RowCounts,
    /// Rows in quarantine: the reason and the row.
    pub bad: Vec<String>,
    /// The rows that would land.
    pub batches: Vec<RecordBatch>,
}

/// Reads the first page of a job's first slice, or two of them, and transforms its rows. Parents are read whole.
///
/// # Errors
/// What would fail the slice.
pub async fn preview(
    pipeline: &Pipeline,
    name: &JobName,
    now: DateTime<Utc>,
    rows: usize,
    env: &Env,
) -> Result<Preview, RunError> {
    let Sample { job, extraction, slice } = sample::of(pipeline, name, &LedgerState::default(), now, env).await?;
    let request = extraction.show(&slice, now)?;
    let extracted = extraction.slice(&slice, now, None, Some(rows as u64)).await?;
    let job = Job::clone(job);
    let shape = move || {
        let (sql, tables, expect) = (job.transform.clone(), tables::load(&job)?, job.expect.as_slice().into());
        shown(request, extracted, &Shaping { sql, tables, expect, now }, rows)
    };
    tokio::task::spawn_blocking(shape).await?
}

fn shown(request: String, extracted: Extracted, shaping: &Shaping, limit: usize) -> Result<Preview, RunError> {
    let Extracted { collected, schema, .. } = extracted;
    let mut counts = collected.counts;
    let mut batches = Vec::new();
    if collected.rows.rows() > 0 {
        let failed = |source| RunError::Transform { field: "transform", source };
        let plan = shaping.plan(&schema)?;
        let rows = collected.batches(schema.clone());
        let mut left = limit;
        let done = plan.run(Box::new(rows), |batch| {
            let take = batch.num_rows().min(left);
            left -= take;
            if take > 0 {
                batches.push(batch.slice(0, take));
            }
            Ok::<(), RunError>(())
        });
        counts.transformed = done.map_err(failed)?.rows_out;
    }
    let bad = collected.bad.first(limit)?.iter().map(ToString::to_string).collect();
    Ok(Preview { request, schema, rows: counts, bad, batches })
}
