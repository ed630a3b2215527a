//! A job's first rows, as they would land. Nothing is written but that a credential was refused, and no lease is taken.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::answered::Answered;
use super::collect::{Collected, keep};
use super::expect::Expectations;
use super::extract::{Extracted, Wanted};
use super::job::judge::{few_enough_are_bad, reconcile, some_fit};
use super::land::Shaping;
use super::meter::Meter;
use super::sample::{self, Sample};
use super::{Env, RunError, build, deliver, refused, tables};
use crate::ledger::{Ledger, LedgerState};
use crate::model::{JobName, Reconciliation, RecordSchema, RowCounts, SinkName, SliceId, SliceKind};
use crate::pipeline::spec::{Job, Pipeline, Sink};
use crate::sink::{Landing, foresee};
use crate::transform::{Moment, RowExpr, engine};

/// What a job would land, stage by stage.
#[derive(Debug)]
pub struct Preview {
    /// The slice that was looked at.
    pub slice: SliceId,
    /// The first request, redacted.
    pub request: String,
    /// The first answer beside its records, redacted; none where it was judged before its records were looked at.
    pub answered: Option<Answered>,
    /// The first record as it came, redacted; null where there was none.
    pub raw: Value,
    /// The first record that is typed and wasn't left out.
    pub typed: Option<RecordBatch>,
    /// The schema of the records that came.
    pub schema: RecordSchema,
    /// Where the rows went.
    pub rows: RowCounts,
    /// What was counted, and what that proves, where the slice was read to its end.
    pub reconciliation: Option<Reconciliation>,
    /// Rows in quarantine: the reason and the row.
    pub bad: Vec<String>,
    /// The rows that would land.
    pub batches: Vec<RecordBatch>,
    /// Where they would land, by sink.
    pub sinks: Vec<PreviewSink>,
    /// Of a slice that was read to its end, why it wouldn't land.
    pub refused: Option<String>,
    /// The sinks that send.
    pub deliveries: Vec<PreviewDelivery>,
}

/// What a sink would send of the rows of a preview.
#[derive(Debug, Serialize)]
pub struct PreviewDelivery {
    /// The sink.
    pub sink: SinkName,
    /// How many of the rows shown it would send.
    pub rows: u64,
    /// The request of the first one, redacted; none where there is none.
    pub request: Option<String>,
}

/// Where a sink would put the rows of a preview.
#[derive(Debug, Serialize)]
pub struct PreviewSink {
    /// The sink.
    pub sink: SinkName,
    /// The root of the data set.
    pub url: String,
    /// The rows that its `where` leaves out.
    pub filtered: u64,
    /// The files: paths below the root, and how many of the rows shown each would have.
    pub files: Vec<PreviewFile>,
}

/// A file that would land.
#[derive(Debug, Serialize)]
pub struct PreviewFile {
    /// Its path below the root of the data set.
    pub path: String,
    /// How many of the rows shown it would have.
    pub rows: u64,
}

/// How to look at a job.
#[derive(Debug, Clone)]
pub struct PreviewOptions {
    /// The instant to plan with.
    pub now: DateTime<Utc>,
    /// How many rows are enough; `usize::MAX` reads the slice to its end.
    pub rows: usize,
    /// Whether all rows of the pages that were read are shown, not just so many.
    pub whole_pages: bool,
    /// Where the ledger is, which knows of credentials that were refused lately; nothing else is asked of it.
    pub state: String,
    /// Sends a credential though it was refused in the last five minutes.
    pub retry_refused: bool,
}

/// Reads the first page of a job's first slice, or two of them, and transforms its rows. Parents are read whole.
///
/// # Errors
/// What would fail the slice.
pub async fn preview(
    pipeline: &Pipeline,
    name: &JobName,
    options: &PreviewOptions,
    env: &Env,
) -> Result<Preview, RunError> {
    let PreviewOptions { now, rows, whole_pages, ref state, retry_refused } = *options;
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let read = Box::pin(async {
        let Sample { job, extraction, slice } = sample::of(pipeline, name, &LedgerState::default(), now, env).await?;
        let request = extraction.show(&slice, now)?;
        let wanted = Wanted { limit: Some(rows as u64), ..Wanted::default() };
        let extracted = extraction.slice(&slice, now, wanted, &Meter::default()).await?;
        Ok((job, extraction, slice, request, extracted))
    });
    let jobs = super::chosen(pipeline, std::slice::from_ref(name))?;
    let (job, extraction, slice, request, extracted) =
        refused::guarded(&jobs, retry_refused, env, &ledger, read).await?;
    let at = Moment { now, window: slice.window() };
    let landing = Landing {
        pipeline: pipeline.name.clone(),
        job: job.name.clone(),
        slice: slice.id.clone(),
        generation: 1,
        snapshot: match &slice.kind {
            SliceKind::Snapshot { label, .. } => Some(label.clone()),
            _ => None,
        },
        schema_version: 1,
    };
    let redactor = extraction.exchange.client.redactor().clone();
    let tables = tables::load(job, &env.stores).await?;
    let (job, env) = (Job::clone(job), env.clone());
    let shape = move || {
        let (sql, expect) = (job.transform.clone(), job.expect.as_slice().into());
        let stages = Stages {
            job: &job,
            shaping: &Shaping { sql, tables, expect, at, memory: engine::MEMORY_LIMIT },
            landing: &landing,
            limit: if whole_pages { usize::MAX } else { rows },
        };
        let preview = stages.show(request, extracted)?;
        // What echoes a credential is no JSON any more where it stood outside of a text: then it is shown as a text.
        let raw = redactor.scrub(&preview.raw.to_string());
        let raw = serde_json::from_str(&raw).unwrap_or(Value::String(raw));
        let answered = preview.answered.map(|answered| answered.scrubbed(&redactor));
        Ok(Preview { raw, answered, deliveries: deliver::shown(&job, &preview.batches, now, &env)?, ..preview })
    };
    tokio::task::spawn_blocking(shape).await?
}

/// Says why a slice that was read to its end wouldn't land, whatever becomes of its rows.
fn refused(job: &Job, collected: &Collected) -> Option<String> {
    let judged = reconcile(job, &collected.reconciliation).map(drop);
    let judged = judged.and_then(|()| few_enough_are_bad(job, collected)).and_then(|()| some_fit(job, collected));
    judged.err().map(|error| error.chain())
}

/// What shapes the rows of a preview.
struct Stages<'a> {
    job: &'a Job,
    shaping: &'a Shaping,
    landing: &'a Landing,
    limit: usize,
}

impl Stages<'_> {
    fn show(&self, request: String, extracted: Extracted) -> Result<Preview, RunError> {
        let Extracted { collected, schema, answered, full, .. } = extracted;
        let mut shown = Preview {
            slice: self.landing.slice.clone(),
            request,
            answered,
            raw: collected.first.clone(),
            typed: None,
            rows: collected.counts,
            reconciliation: (!full).then(|| collected.reconciliation.clone()),
            refused: if full { None } else { refused(self.job, &collected) },
            bad: collected.bad.first(self.limit)?.iter().map(ToString::to_string).collect(),
            batches: Vec::new(),
            sinks: Vec::new(),
            deliveries: Vec::new(),
            schema,
        };
        if collected.rows.rows() == 0 {
            let expected = Expectations::without_rows(self.shaping, &shown.schema);
            shown.refused = shown.refused.or_else(|| expected.err().filter(|_| !full).map(|error| error.chain()));
            return Ok(shown);
        }
        let has_rows =
            |batch: &Result<RecordBatch, RunError>| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0);
        shown.typed =
            collected.batches(shown.schema.clone()).find(has_rows).transpose()?.map(|batch| batch.slice(0, 1));
        let plan = self.shaping.plan(&shown.schema)?;
        let output = plan.output_schema();
        let mut left = self.limit;
        let mut expectations = Expectations::new(self.shaping, &output);
        let done = plan.run(Box::new(collected.batches(shown.schema.clone())), |batch| {
            let take = batch.num_rows().min(left);
            left -= take;
            if take > 0 {
                shown.batches.push(batch.slice(0, take));
            }
            if full { Ok(()) } else { expectations.keep(batch) }
        });
        shown.rows.transformed = done.map_err(|source| RunError::Transform { field: "transform", source })?.rows_out;
        if !full {
            shown.refused = shown.refused.or_else(|| expectations.check().err().map(|error| error.chain()));
        }
        shown.sinks =
            self.job.sinks.iter().map(|sink| self.sink(sink, &output, &shown.batches)).collect::<Result<_, _>>()?;
        Ok(shown)
    }

    fn sink(&self, sink: &Sink, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<PreviewSink, RunError> {
        let failed = |source: RunError| RunError::InSink { sink: sink.name.clone(), source: Box::new(source) };
        let (mut taken, mut filtered) = (Vec::new(), 0);
        let filter =
            sink.filter.as_ref().map(|filter| RowExpr::new(filter.as_str(), schema, self.shaping.at)).transpose();
        let broken = |source| failed(RunError::Transform { field: "where", source });
        let filter = filter.map_err(broken)?;
        for batch in batches {
            let kept = match &filter {
                Some(filter) => keep(batch, &filter.filter_mask(batch).map_err(broken)?)?,
                None => batch.clone(),
            };
            filtered += (batch.num_rows() - kept.num_rows()) as u64;
            taken.push(kept);
        }
        let files = foresee(&build::sink(sink)?, self.landing, schema, &taken).map_err(|error| failed(error.into()))?;
        let files = files.into_iter().map(|(path, rows)| PreviewFile { path, rows }).collect();
        Ok(PreviewSink { sink: sink.name.clone(), url: sink.url.clone(), filtered, files })
    }
}
