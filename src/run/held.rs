//! What is in quarantine, for people. Only the ledger and its files are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::quarantine::SINK;
use super::{Data, Env, Options, RunError, chosen, deliver, job, quarantine};
use crate::ledger::{Ledger, SliceRef};
use crate::model::{FileReceipt, JobName, SinkName, counted};
use crate::pipeline::spec::Pipeline;

/// A slice with rows in quarantine.
#[derive(Debug)]
pub struct HeldSlice {
    /// The slice.
    pub at: SliceRef,
    /// Its generation.
    pub generation: u32,
    /// Its rows in quarantine, in the order of the pages.
    pub rows: Vec<HeldRow>,
    /// Files of it that aren't as they landed: a sentence each. Their rows aren't among `rows`.
    pub damage: Vec<String>,
    /// Why it can't be replayed; none where it can.
    pub stays: Option<&'static str>,
}

/// A row in quarantine, as its file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldRow {
    /// Why it doesn't fit.
    pub reason: String,
    /// The column, with the path into it; empty where it is the row as a whole.
    pub column: String,
    /// The request that brought it, redacted.
    pub request: String,
    /// The page of the slice, from 1.
    pub page: u64,
    /// The row as it came, the text of its JSON.
    pub row: String,
}

impl HeldRow {
    /// Returns why it is bad, without the value: rows with one fault have one of these.
    #[must_use]
    pub fn fault(&self) -> &str {
        self.reason.split_once(", got ").map_or(self.reason.as_str(), |(expected, _)| expected)
    }

    /// Returns the row as JSON, digit for digit; as a string where it is none.
    #[must_use]
    pub fn json(&self) -> Box<RawValue> {
        RawValue::from_string(self.row.clone())
            .or_else(|_| serde_json::value::to_raw_value(&self.row))
            .unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

impl HeldSlice {
    /// Counts the rows by column and fault.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<(&str, &str), u64> {
        let mut faults = BTreeMap::new();
        for row in &self.rows {
            *faults.entry((row.column.as_str(), row.fault())).or_default() += 1;
        }
        faults
    }
}

/// Returns the slices with rows in quarantine, of the jobs in `options`, or of all.
///
/// # Errors
/// A ledger or a file that can't be read, an unknown job.
pub async fn quarantined(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<Vec<HeldSlice>, RunError> {
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let (state, data) = (ledger.read_state().await?, Data::new(Arc::clone(&env.stores)));
    // To refuse unknown names.
    chosen(pipeline, &options.jobs)?;
    let mut found = Vec::new();
    for at in job::held(&state, &pipeline.name) {
        let Some(landed) = state.landed(&at).filter(|_| options.jobs.is_empty() || options.jobs.contains(&at.job))
        else {
            continue;
        };
        let files = match &landed.list {
            Some(list) => ledger.files(list).await?,
            None => Vec::new(),
        };
        let (mut rows, mut damage) = (Vec::new(), Vec::new());
        for file in files.iter().filter(|file| file.sink.as_str() == SINK) {
            match rows_of(file, &data, usize::MAX).await {
                Ok(read) if read.len() as u64 == file.rows => rows.extend(read),
                Ok(read) => damage.push(format!(
                    "{}{} has {} of the {} that went to quarantine",
                    file.root,
                    file.path,
                    read.len(),
                    counted(file.rows, "row")
                )),
                Err(error) => damage.push(format!("{}{}: {}", file.root, file.path, error.chain())),
            }
        }
        let stays = match pipeline.job(&at.job) {
            Some(job) => job::stays(pipeline, job, &landed.kind, options.now),
            None => Some("the pipeline file has no such job any more"),
        };
        found.push(HeldSlice { generation: landed.generation, rows, damage, stays, at });
    }
    Ok(found)
}

/// Rows that the server of a sink refused for good.
#[derive(Debug, Serialize)]
pub struct RefusedRows {
    /// The job.
    pub job: JobName,
    /// The sink.
    pub sink: SinkName,
    /// How many: those that were sent since, and taken, don't count.
    pub rows: u64,
    /// The files that they lie in, each with the answer: a folder and a pattern of names.
    pub files: String,
}

/// Returns the sinks that send and have had rows refused, of the jobs in `options`, or of all.
///
/// # Errors
/// A ledger that can't be read, an unknown job.
pub async fn refused_rows(pipeline: &Pipeline, options: &Options, env: &Env) -> Result<Vec<RefusedRows>, RunError> {
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let folder = quarantine::sink(&options.state, &pipeline.name).url;
    let mut found = Vec::new();
    for job in chosen(pipeline, &options.jobs)? {
        for outbox in &job.outboxes {
            let rows = ledger.delivery(&job.name, &outbox.name).await?.refused();
            let files = format!("{folder}/{}-delivery-*.jsonl", deliver::file_stem(pipeline, job, outbox));
            found.push(RefusedRows { job: job.name.clone(), sink: outbox.name.clone(), rows, files });
        }
    }
    found.retain(|refused| refused.rows > 0);
    Ok(found)
}

/// Some of the rows that a slice has in quarantine.
#[derive(Debug)]
pub struct HeldSample {
    /// How many it has.
    pub total: u64,
    /// The first of them; none where they lie in a file that is too large to be looked into.
    pub rows: Vec<HeldRow>,
}

/// Returns the first `most` rows that a slice has in quarantine, as it has landed. Files of more than `most_bytes` aren't read.
///
/// # Errors
/// A file that can't be read.
pub async fn quarantine_sample(
    ledger: &Ledger,
    data: &Data,
    list: &str,
    (most, most_bytes): (usize, u64),
) -> Result<HeldSample, RunError> {
    let files = ledger.files(list).await?;
    let mut sample = HeldSample { total: 0, rows: Vec::new() };
    for file in files.iter().filter(|file| file.sink.as_str() == SINK) {
        sample.total += file.rows;
        let room = most.saturating_sub(sample.rows.len());
        if room > 0 && file.bytes <= most_bytes {
            sample.rows.extend(rows_of(file, data, room).await?);
        }
    }
    Ok(sample)
}

/// Reads the first `most` rows of a file of quarantine.
async fn rows_of(file: &FileReceipt, data: &Data, most: usize) -> Result<Vec<HeldRow>, RunError> {
    let text = data.read(file).await?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(most);
    let rows: Result<Vec<HeldRow>, _> = lines.map(serde_json::from_slice).collect();
    rows.map_err(|source| RunError::Quarantine { path: file.path.clone(), source })
}
