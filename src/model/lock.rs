//! The lock file: the pinned schemas of a pipeline's jobs, beside its file, for review in git.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Column, ColumnType, HandTypeError, JobName, PipelineName, RecordSchema};

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// What a lock file holds: JSON, with a line for each column, so that a review shows which of them changed. It names no version: those
/// of two states differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaLock {
    format: u32,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Its jobs that have landed a row.
    pub jobs: BTreeMap<JobName, LockedJob>,
}

/// The schema of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedJob {
    /// The columns of the records, and their types as `schema.columns` writes them.
    records: BTreeMap<String, String>,
    /// The columns that the transform gives, in their order, and their Arrow types.
    pub output: IndexMap<String, String>,
}

/// Why a text is no lock file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// It isn't JSON of the right shape.
    #[error("it can't be read; write it anew with `tidegate schema lock`")]
    Json(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error("it has format {0}, and this version reads format {FORMAT}: use the version that wrote it, or a later one")]
    Format(u32),
    /// A type can't be read.
    #[error("the type of `{column}` of job {job} can't be read: {source}")]
    Type {
        /// The job.
        job: JobName,
        /// The column.
        column: String,
        /// Why.
        source: HandTypeError,
    },
}

impl SchemaLock {
    /// Makes one.
    #[must_use]
    pub const fn new(pipeline: PipelineName, jobs: BTreeMap<JobName, LockedJob>) -> Self {
        Self { format: FORMAT, pipeline, jobs }
    }

    /// Reads one, and all of its types.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(text: &str) -> Result<Self, LockError> {
        let lock: Self = serde_json::from_str(text)?;
        if lock.format != FORMAT {
            return Err(LockError::Format(lock.format));
        }
        for (job, locked) in &lock.jobs {
            locked.records(job)?;
        }
        Ok(lock)
    }

    /// Writes it: the same schemas give the same text.
    ///
    /// # Errors
    /// None that is known: it holds texts only.
    pub fn written(&self) -> Result<String, LockError> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }
}

impl LockedJob {
    /// Makes one of a schema and of the transform's columns.
    #[must_use]
    pub fn new(records: &RecordSchema, output: impl IntoIterator<Item = (String, String)>) -> Self {
        let column = |column: &Column| (column.name.clone(), column.kind.written());
        Self { records: records.columns().iter().map(column).collect(), output: output.into_iter().collect() }
    }

    /// Returns the columns of the records. `job` is named in errors.
    ///
    /// # Errors
    /// A type that can't be read.
    pub fn records(&self, job: &JobName) -> Result<RecordSchema, LockError> {
        let column = |(name, text): (&String, &String)| match ColumnType::parse(text) {
            Ok(kind) => Ok(Column { name: name.clone(), kind }),
            Err(source) => Err(LockError::Type { job: job.clone(), column: name.clone(), source }),
        };
        Ok(RecordSchema::new(self.records.iter().map(column).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(kind: &str) -> SchemaLock {
        let records =
            RecordSchema::new(vec![Column { name: "a \"b\"".to_owned(), kind: ColumnType::parse(kind).unwrap() }]);
        let output = [("z", "Int64"), ("a", "Utf8")].map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        SchemaLock::new(PipelineName::new("p"), BTreeMap::from([(JobName::new("j"), LockedJob::new(&records, output))]))
    }

    #[test]
    fn a_lock_reads_back() {
        for kind in ["null", "struct<>", "decimal(38, 2)", "list<struct<\"x y\": null, z: timestamp>>"] {
            let (lock, kind) = (lock(kind), ColumnType::parse(kind).unwrap());
            let text = lock.written().unwrap();
            let read = SchemaLock::read(&text).unwrap();
            assert_eq!(read, lock, "{text}");
            let job = JobName::new("j");
            assert_eq!(read.jobs[&job].records(&job).unwrap().columns()[0].kind, kind);
        }
    }

    #[test]
    fn the_file_is_one_line_a_column() {
        insta::assert_snapshot!(lock("struct<b: int64>").written().unwrap(), @r#"
        {
          "format": 1,
          "pipeline": "p",
          "jobs": {
            "j": {
              "records": {
                "a \"b\"": "struct<b: int64>"
              },
              "output": {
                "z": "Int64",
                "a": "Utf8"
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let refused = |text: &str| SchemaLock::read(text).unwrap_err().to_string();
        assert!(refused("version: 1").contains("`tidegate schema lock`"));
        let text = lock("bool").written().unwrap();
        assert!(refused(&text.replace("\"format\": 1", "\"format\": 2")).starts_with("it has format 2"));
        let told = refused(&text.replace("bool", "boolean"));
        assert_eq!(told, "the type of `a \"b\"` of job j can't be read: there is no type `boolean`");
    }
}
