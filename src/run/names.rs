//! Names of columns that the records don't have: where they stand in the pipeline file, and which of them a lock file tells already.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};

use super::deliver::OutboxError;
use super::land::Shaping;
use super::{RunError, build};
use crate::decode::{PageDecoder, arrow_schema};
use crate::model::{RecordSchema, SchemaLock, SinkName, Window};
use crate::pipeline::file::Contract;
use crate::pipeline::load::{Diagnostic, Span, Sql};
use crate::pipeline::spec::{Expected, Job, Pipeline, Slicing};
use crate::sink::SinkError;
use crate::transform::{DedupeError, Moment, RowExpr, TransformError, engine};

impl RunError {
    /// Returns the error and its causes, after the place in the pipeline file of what is wrong there, as far as that is known.
    pub fn told_of(&self, job: &Job) -> String {
        let place = self.span(job).and_then(|span| job.places.line(span));
        place.map_or_else(|| self.chain(), |place| format!("{place}: {}", self.chain()))
    }

    /// Returns where in the pipeline file a name, or SQL, stands that doesn't fit the columns of the job's rows.
    fn span(&self, job: &Job) -> Option<Span> {
        match self {
            Self::Key(DedupeError::MissingColumn { column, .. }) => job.places.of("key", column),
            Self::Transform { field, source } => {
                let named = match source {
                    TransformError::UnknownColumn { name, .. } => job.places.of(field, name),
                    _ => None,
                };
                named.or_else(|| within(&fields(job, field), source))
            }
            Self::InSink { sink, source } => in_sink(source, sink, job),
            _ => None,
        }
    }
}

fn in_sink(error: &RunError, sink: &SinkName, job: &Job) -> Option<Span> {
    match error {
        RunError::Sink(SinkError::UnknownColumn { option, column, .. }) => {
            job.places.of(&format!("sinks.{sink}.{option}"), column)
        }
        RunError::Outbox(OutboxError::NoColumn { column, .. }) => job.places.of(&format!("sinks.{sink}.key"), column),
        RunError::Transform { field: "where", source } => {
            let files = job.sinks.iter().map(|one| (&one.name, one.filter.as_ref()));
            let all = files.chain(job.outboxes.iter().map(|one| (&one.name, one.filter.as_ref())));
            let filters: Vec<&Sql> = all.filter(|(name, _)| *name == sink).filter_map(|(_, filter)| filter).collect();
            within(&filters, source)
        }
        _ => None,
    }
}

/// Returns the SQL of a field that an error names.
fn fields<'j>(job: &'j Job, field: &str) -> Vec<&'j Sql> {
    match (field, &job.slicing) {
        ("transform", _) => job.transform.iter().collect(),
        ("latest_by", _) => job.latest_by.iter().collect(),
        ("window.time", Slicing::Window(spec)) => spec.time.iter().collect(),
        ("incremental.cursor", Slicing::Incremental(spec)) => vec![&spec.cursor],
        ("expect", _) => {
            let sql = job.expect.iter().filter_map(|expect| match &expect.what {
                Expected::Sql(sql) => Some(sql),
                Expected::NotNull(_) | Expected::Unique(_) => None,
            });
            sql.collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the place of an error in the SQL that it is about: the only one, or the one that has the unknown name there.
fn within(texts: &[&Sql], error: &TransformError) -> Option<Span> {
    let offset = error.offset();
    let place = |sql: &Sql| match error {
        TransformError::UnknownColumn { name, .. } => {
            let (last, text) = (name.rsplit('.').next().unwrap_or(name), sql.as_str());
            let told = offset.filter(|offset| text.get(*offset..).is_some_and(|rest| rest.contains(last)));
            // What is asked of an expectation is more than its text.
            told.or_else(|| word(text, last))
        }
        _ => offset.filter(|_| texts.len() == 1),
    };
    let (sql, offset) = texts.iter().find_map(|sql| Some((sql, place(sql)?)))?;
    Some(sql.file_span(offset, offset + 1)).filter(|_| sql.span() != Span::default())
}

/// Returns where a word stands in a text.
fn word(text: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone =
        |(at, _): &(usize, &str)| !text[..*at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part);
    text.match_indices(word).find(stands_alone).map(|(at, _)| at)
}

/// Says which names of a pipeline file the locked columns don't have: nothing but the two is read. Where columns may still join that is
/// a warning.
#[must_use]
pub fn unknown_names(pipeline: &Pipeline, lock: &SchemaLock) -> Vec<Diagnostic> {
    // Which instant it is makes no difference to the names.
    let (now, mut found) = (DateTime::UNIX_EPOCH, Vec::new());
    for job in &pipeline.jobs {
        let Some(Ok(records)) = lock.jobs.get(&job.name).map(|locked| locked.records(&job.name)) else { continue };
        for error in unknown(job, &records, now) {
            let (span, message) = (error.span(job).unwrap_or_default(), error.chain());
            let one = match job.contract {
                Contract::Evolve => Diagnostic::warning(span, message),
                Contract::Freeze | Contract::Discard => Diagnostic::error(span, message),
            };
            found.push(one.help("no record had such a column when the lock file was written"));
        }
    }
    found
}

/// Compiles what a job says of its records, and of what its transform makes of them.
fn unknown(job: &Job, records: &RecordSchema, now: DateTime<Utc>) -> Vec<RunError> {
    let (schema, mut errors) = (arrow_schema(records), Vec::new());
    let present = || records.columns().iter().map(|column| column.name.clone()).collect();
    for column in job.key.iter().filter(|column| records.column(column).is_none()) {
        errors.push(RunError::Key(DedupeError::MissingColumn { column: column.clone(), present: present() }));
    }
    for field in ["window.time", "incremental.cursor", "latest_by"] {
        for sql in fields(job, field) {
            let compiled = RowExpr::new(sql.as_str(), &schema, now);
            errors.extend(compiled.err().map(|source| RunError::Transform { field, source }));
        }
    }
    if !job.tables.is_empty() {
        // They would have to be read.
        return errors;
    }
    let window = matches!(job.slicing, Slicing::Window(_)).then_some(Window { from: now, to: now });
    let shaping = Shaping {
        sql: job.transform.clone(),
        tables: Arc::default(),
        expect: Arc::default(),
        at: Moment { now, window },
        memory: engine::MEMORY_LIMIT,
    };
    match shaping.plan(records) {
        Ok(plan) => errors.extend(unknown_to_sinks(job, &plan.output_schema(), shaping.at)),
        Err(error) => errors.push(error),
    }
    errors
}

fn unknown_to_sinks(job: &Job, output: &SchemaRef, at: Moment) -> Vec<RunError> {
    let mut errors = Vec::new();
    for sink in &job.sinks {
        let mut add = |source| errors.push(RunError::InSink { sink: sink.name.clone(), source: Box::new(source) });
        if let Some(Err(source)) = sink.filter.as_ref().map(|filter| RowExpr::new(filter.as_str(), output, at)) {
            add(RunError::Transform { field: "where", source });
        }
        let Ok(spec) = build::sink(sink) else { continue };
        let partitions = spec.partition_by.iter().map(|field| ("partition_by", field.column()));
        let order = spec.sort_by.iter().map(|key| ("sort_by", key.column.as_str()));
        for (option, column) in partitions.chain(order).filter(|(_, column)| !has(output, column)) {
            add(RunError::Sink(SinkError::unknown_column(option, column, output)));
        }
    }
    errors
}

fn has(schema: &Schema, column: &str) -> bool {
    schema.column_with_name(column).is_some()
}

/// Says which types by hand are of columns that no row had, and that another column is spelled nearly so.
pub(super) fn misspelt(decoder: &PageDecoder, job: &Job) -> Vec<String> {
    let told = |(column, near): (&str, &str)| {
        let place = job.places.of("schema.columns", column).and_then(|span| job.places.line(span));
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}`schema.columns` types `{column}`, which no row has; did you mean `{near}`?")
    };
    decoder.misspelt().into_iter().map(told).collect()
}

/// Says which columns of files differ in case alone.
pub(super) fn alike(files: &Schema) -> Option<String> {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for field in files.fields() {
        names.entry(field.name().to_lowercase()).or_default().push(field.name());
    }
    let alike: Vec<String> =
        names.into_values().filter(|names| names.len() > 1).map(|names| format!("`{}`", names.join("`, `"))).collect();
    let why = "DuckDB, Spark and Hive take them for one column, and mix, rename or refuse them; give one another name in `transform`, by AS";
    (!alike.is_empty()).then(|| format!("columns whose names differ in case alone: {}: {why}", alike.join("; ")))
}
