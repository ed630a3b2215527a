//! Pinned schemas: each version of a job's schema is an object that the first writer makes and nobody changes.

use serde::{Deserialize, Serialize};

use super::entry::{FORMAT, Record};
use super::store::{Put, Store};
use super::writer::Writer;
use super::{Ledger, LedgerError, log};
use crate::model::{JobName, RecordSchema};

/// What is pinned under one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedSchema {
    /// The columns of the records.
    pub records: RecordSchema,
    /// The columns that the transform gives, in its order.
    #[serde(default)]
    pub output: Vec<OutputColumn>,
}

/// A column of the transform's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type, as Arrow prints it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

/// The stored object.
#[derive(Debug, Serialize, Deserialize)]
struct SchemaObject {
    format: u32,
    job: JobName,
    version: u32,
    #[serde(flatten)]
    schema: PinnedSchema,
}

impl Ledger {
    /// Reads a version of a job's schema.
    ///
    /// # Errors
    ///
    /// As [`Ledger::read_state`]; a missing one is [`LedgerError::Corrupt`].
    pub async fn schema(&self, job: &JobName, version: u32) -> Result<PinnedSchema, LedgerError> {
        read(&self.store, job, version).await
    }
}

impl Writer {
    /// Pins `schema` as `version` of the job's schema, and returns what is pinned: another writer that came first, or an
    /// earlier run that died here, has decided.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`], and those of reading and writing the object.
    pub async fn pin_schema(
        &self,
        job: &JobName,
        version: u32,
        schema: PinnedSchema,
    ) -> Result<PinnedSchema, LedgerError> {
        let store = &self.held.ledger.store;
        let path = path(job, version);
        let object = SchemaObject { format: FORMAT, job: job.clone(), version, schema };
        // After an error of the store the object may be there all the same; then it is read as if it were another's.
        let pinned = match store.create(&path, log::encode(&path, &object)?).await {
            Ok(Put::Written) => object.schema,
            Ok(Put::Taken) => read(store, job, version).await?,
            Err(error) => read(store, job, version).await.map_err(|_| error)?,
        };
        if self.state(|state| state.schema_version(job)) < Some(version) {
            self.append(vec![Record::PinSchema { job: job.clone(), version }]).await?;
        }
        Ok(pinned)
    }

    /// Reads a version of a job's schema.
    ///
    /// # Errors
    ///
    /// As [`Ledger::schema`].
    pub async fn schema(&self, job: &JobName, version: u32) -> Result<PinnedSchema, LedgerError> {
        read(&self.held.ledger.store, job, version).await
    }
}

async fn read(store: &Store, job: &JobName, version: u32) -> Result<PinnedSchema, LedgerError> {
    let path = path(job, version);
    let missing = || LedgerError::Corrupt { object: path.clone(), why: "the pinned schema is missing".to_owned() };
    let bytes = store.get(&path).await?.ok_or_else(missing)?;
    Ok(log::decode::<SchemaObject>(&path, &bytes)?.schema)
}

fn path(job: &JobName, version: u32) -> String {
    format!("schema/{job}/v{version}.json")
}
