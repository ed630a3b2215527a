//! From a slice's rows to staged files: SQL, then every sink at once. It blocks and computes: not for an async thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::collect::{Collected, keep};
use super::deliver::OutboxRows;
use super::expect::Expectations;
use super::quarantine::BadRow;
use super::{RunError, names, quarantine};
use crate::decode::arrow_schema;
use crate::model::{FileReceipt, RecordSchema, SinkCounts, SinkName};
use crate::pipeline::load::Sql;
use crate::pipeline::spec::Expect;
use crate::sink::{Landing, SinkSpec, SinkWriter, Staging};
use crate::transform::{Moment, RowExpr, Sorter, Table, TransformError, TransformPlan};

/// A sink and the rows that it takes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Where the rows land.
    pub(super) spec: SinkSpec,
    /// The rows that it takes; all without one.
    pub(super) filter: Option<Sql>,
    /// The columns that identify a row, where the rows are to be sent from there.
    pub(super) sent_by: Option<Vec<String>>,
}

/// Where the rows of a slice go.
pub(super) struct Destination<'a> {
    /// The sinks of the job.
    pub(super) targets: &'a [Target],
    /// The sink of bad rows.
    pub(super) quarantine: &'a SinkSpec,
    /// The slice, which names the files.
    pub(super) landing: &'a Landing,
    /// Where they are staged.
    pub(super) staging: &'a Staging,
}

/// What a slice has staged.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The files, over all sinks and the quarantine.
    pub(super) files: Vec<FileReceipt>,
    /// What each sink did.
    pub(super) sinks: BTreeMap<SinkName, SinkCounts>,
    /// Rows that came out of the transform.
    pub(super) rows_out: u64,
    /// The columns that came out of the transform; none for a slice with no rows, which isn't planned.
    pub(super) output: Option<SchemaRef>,
    /// What was expected of the rows and doesn't hold, where that only warns.
    pub(super) notes: Vec<String>,
    /// What is wrong with the first row in quarantine.
    pub(super) misfit: Option<String>,
    /// The columns and fields that the files don't have yet.
    pub(super) left_out: BTreeSet<String>,
}

impl Staged {
    /// Says which columns the files don't have yet, if there are any.
    pub(super) fn left_out(&self) -> Option<String> {
        let names: Vec<String> = self.left_out.iter().map(|name| format!("`{name}`")).collect();
        let rest = match names.len() {
            0 => return None,
            1 => "holds nothing but nulls: it joins",
            _ => "hold nothing but nulls: each joins",
        };
        Some(format!(
            "{} {rest} the Parquet files with its first value, or its type in `schema.columns`",
            names.join(", ")
        ))
    }
}

/// What becomes of a slice's rows on their way to the sinks.
#[derive(Debug, Clone)]
pub(super) struct Shaping {
    /// One SELECT over `records`; without it, rows go through as they are.
    pub(super) sql: Option<Sql>,
    /// The tables that it joins.
    pub(super) tables: Arc<[Table]>,
    /// What is expected of its rows.
    pub(super) expect: Arc<[Expect]>,
    /// The instant of the run, and the window of the slice.
    pub(super) at: Moment,
    /// Bytes that sorting, grouping and joining in SQL, and then the sorting for a sink, may use before they go on from temporary files.
    pub(super) memory: usize,
}

impl Shaping {
    /// Plans the SQL for records of a schema.
    pub(super) fn plan(&self, records: &RecordSchema) -> Result<TransformPlan, RunError> {
        let sql = self.sql.as_ref().map(Sql::as_str);
        let plan = TransformPlan::with_tables(sql, arrow_schema(records), &self.tables, self.at, self.memory);
        plan.map_err(|source| RunError::Transform { field: "transform", source })
    }
}

struct Open {
    writer: SinkWriter,
    filter: Option<RowExpr>,
    /// Where rows wait that the sink wants sorted.
    sorter: Option<Sorter>,
    outbox: Option<OutboxRows>,
    name: SinkName,
    filtered: u64,
}

/// Writes the rows of a slice into staged files, and those for quarantine; the former unless they are `written` already.
pub(super) fn land(
    collected: &Collected,
    schema: &RecordSchema,
    shaping: &Shaping,
    to: &Destination<'_>,
    written: Option<Staged>,
) -> Result<Staged, RunError> {
    let mut staged = match written {
        Some(staged) => staged,
        None if collected.rows.rows() > 0 => write(collected.batches(schema.clone()), schema, shaping, to)?,
        None => Staged { notes: Expectations::without_rows(shaping, schema)?, ..Staged::default() },
    };
    if !collected.bad.is_empty() {
        staged.misfit = collected.bad.first(1)?.first().map(BadRow::misfit);
        let landing = Landing { snapshot: None, ..to.landing.clone() };
        let mut writer = SinkWriter::open(to.quarantine, &landing, &quarantine::schema(), to.staging)?;
        for rows in collected.bad.batches() {
            writer.write(&rows?)?;
        }
        staged.files.extend(writer.finish()?);
    }
    Ok(staged)
}

/// Writes rows, of which there is at least one, into staged files.
pub(super) fn write(
    rows: impl Iterator<Item = Result<RecordBatch, RunError>> + Send + 'static,
    schema: &RecordSchema,
    shaping: &Shaping,
    to: &Destination<'_>,
) -> Result<Staged, RunError> {
    let mut staged = Staged::default();
    let plan = shaping.plan(schema)?;
    let output = plan.output_schema();
    let open = to
        .targets
        .iter()
        .map(|target| Open::new(target, to, &output, shaping).map_err(|error| in_sink(&target.spec.name, error)));
    let mut open = open.collect::<Result<Vec<_>, _>>()?;
    let left_out = open.iter().flat_map(|sink| sink.writer.left_out().iter().cloned()).collect();
    let mut expectations = Expectations::new(shaping, &output);
    let counts = plan.run(Box::new(rows), |batch| {
        open.iter_mut().try_for_each(|sink| sink.write(&batch))?;
        expectations.keep(batch)
    });
    let counts = counts.map_err(|source| unwrap("transform", source))?;
    // Before the files are finished: of a slice that fails here, nothing is left.
    staged.notes = expectations.check()?;
    staged.notes.extend(if to.targets.is_empty() { None } else { names::alike(&output) });
    staged.left_out = left_out;
    staged.rows_out = counts.rows_out;
    staged.output = Some(output);
    for sink in open {
        let name = sink.name.clone();
        let (files, counts) = sink.finish().map_err(|error| in_sink(&name, error))?;
        if counts.landed + counts.filtered != staged.rows_out {
            return Err(RunError::Account { account: format!("{} rows of sink {name}: {counts:?}", staged.rows_out) });
        }
        staged.files.extend(files);
        staged.sinks.insert(name, counts);
    }
    Ok(staged)
}

fn in_sink(sink: &SinkName, error: RunError) -> RunError {
    RunError::InSink { sink: sink.clone(), source: Box::new(error) }
}

/// Takes an error of our own out of what SQL it broke off, that of `field`.
fn unwrap(field: &'static str, source: TransformError) -> RunError {
    let failed = |source| RunError::Transform { field, source };
    match source {
        TransformError::Input(error) => {
            error.downcast().map_or_else(|error| failed(TransformError::Input(error)), |error| *error)
        }
        TransformError::Output(error) => {
            error.downcast().map_or_else(|error| failed(TransformError::Output(error)), |error| *error)
        }
        other => failed(other),
    }
}

impl Open {
    fn new(target: &Target, to: &Destination<'_>, schema: &SchemaRef, shaping: &Shaping) -> Result<Self, RunError> {
        let filter = target.filter.as_ref().map(|filter| RowExpr::new(filter.as_str(), schema, shaping.at)).transpose();
        let outbox = target.sent_by.as_ref().map(|key| OutboxRows::new(schema, key)).transpose()?;
        let landing = outbox.as_ref().map_or(schema, OutboxRows::schema);
        let writer = SinkWriter::open(&target.spec, to.landing, landing, to.staging)?;
        let keys: Vec<_> = target.spec.sort_by.iter().map(|key| (key.column.as_str(), key.descending)).collect();
        let sorter = (!keys.is_empty()).then(|| Sorter::new(schema, &keys, shaping.memory)).transpose();
        Ok(Self {
            writer,
            filter: filter.map_err(|source| RunError::Transform { field: "where", source })?,
            sorter: sorter.map_err(|source| RunError::Transform { field: "sort_by", source })?,
            outbox,
            name: target.spec.name.clone(),
            filtered: 0,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        let written = self.filter_and_write(batch);
        written.map_err(|error| in_sink(&self.name, error))
    }

    fn filter_and_write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        let Some(filter) = &self.filter else { return self.take(batch) };
        let mask = filter.filter_mask(batch).map_err(|source| RunError::Transform { field: "where", source })?;
        let kept = keep(batch, &mask)?;
        self.filtered += (batch.num_rows() - kept.num_rows()) as u64;
        if kept.num_rows() > 0 { self.take(&kept) } else { Ok(()) }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        match (&mut self.sorter, &self.outbox) {
            (Some(sorter), _) => Ok(sorter.push(batch)?),
            (None, Some(outbox)) => Ok(self.writer.write(&outbox.apply(batch)?)?),
            (None, None) => Ok(self.writer.write(batch)?),
        }
    }

    fn finish(mut self) -> Result<(Vec<FileReceipt>, SinkCounts), RunError> {
        if let Some(sorter) = self.sorter.take() {
            let sorted = sorter.finish(|batch| self.writer.write(&batch).map_err(RunError::from));
            sorted.map_err(|source| unwrap("sort_by", source))?;
        }
        let files = self.writer.finish()?;
        let counts = SinkCounts {
            landed: files.iter().map(|file| file.rows).sum(),
            filtered: self.filtered,
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
        };
        Ok((files, counts))
    }
}
