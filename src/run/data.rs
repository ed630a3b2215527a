//! The data sets, on disks and in object stores, as the ledger sees them, and the ledger as a sink sees it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use url::Url;

use crate::ledger::{
    DataError, DataStore, Fault, LedgerError, ManifestError, ManifestUpdate, Presence, SliceRef, Writer, read_object,
    read_on_disk, update_object, update_on_disk,
};
use crate::model::{FileReceipt, StagedPlace};
use crate::objects::{Bucket, Location, Purpose, StoreError, Stores, place};
use crate::pipeline::spec::Job;
use crate::sink::{self, DataSets, Notes, SinkError};

/// How many files are looked for at a time.
const AT_ONCE: usize = 16;

/// Data sets, wherever they lie.
#[derive(Debug, Clone)]
pub struct Data {
    stores: Arc<Stores>,
    sets: DataSets,
}

impl Data {
    /// Takes the buckets from `stores`.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Self {
        Self { sets: DataSets::new(Arc::clone(&stores)), stores }
    }

    /// Returns the data sets as sinks see them.
    pub(super) const fn sets(&self) -> &DataSets {
        &self.sets
    }

    /// Sees that the stores of these jobs' sinks keep to conditional writes.
    pub(super) async fn prove(&self, jobs: &[&Job]) -> Result<(), SinkError> {
        for root in jobs.iter().flat_map(|job| &job.sinks).map(|sink| &sink.url).collect::<BTreeSet<_>>() {
            if let Some(at) = location(root) {
                let proven = self.stores.prove(&at, Purpose::Data).await;
                proven.map_err(|error| SinkError::Store { action: "land in", error })?;
            }
        }
        Ok(())
    }

    /// Reads a published file.
    pub(super) async fn read(&self, file: &FileReceipt) -> Result<Vec<u8>, DataError> {
        let lost = |source: Box<dyn std::error::Error + Send + Sync>| DataError {
            action: "read",
            root: file.root.clone(),
            path: file.path.clone(),
            fault: Fault::Store,
            source,
        };
        let Some(at) = location(&file.root) else {
            let path = folder(&file.root).join(&file.path);
            return tokio::fs::read(path).await.map_err(|error| lost(error.into()));
        };
        let key = at.key(&file.path).ok_or_else(|| lost("it can't be a key".into()))?;
        let bucket = self.bucket(&at).map_err(|error| lost(error.into()))?;
        let object = bucket.objects().get(&key).await.map_err(|error| lost(error.into()))?;
        Ok(object.bytes().await.map_err(|error| lost(error.into()))?.to_vec())
    }

    /// Returns those of `files` that aren't there under their names, in their sizes. None is read.
    pub(super) async fn missing(&self, files: &[FileReceipt]) -> Result<Vec<FileReceipt>, DataError> {
        let look = stream::iter(files).map(async |file| {
            let there = self.sets.is_there(file).await.map_err(|error| of_file("look for", file, error))?;
            Ok((!there).then(|| file.clone()))
        });
        let missing: Vec<Option<FileReceipt>> = look.buffered(AT_ONCE).try_collect().await?;
        Ok(missing.into_iter().flatten().collect())
    }

    fn bucket(&self, at: &Location) -> Result<Bucket, ManifestError> {
        let failed = |error: StoreError| ManifestError::Store { action: "read", error };
        self.stores.open(at, Purpose::Data).map_err(failed)
    }
}

#[async_trait]
impl DataStore for Data {
    async fn probe(&self, file: &FileReceipt) -> Result<Presence, DataError> {
        Ok(match self.sets.probe(file).await.map_err(|error| of_file("probe", file, error))? {
            sink::Presence::Published => Presence::Published,
            sink::Presence::Staged => Presence::Staged,
            sink::Presence::Foreign => Presence::Foreign,
            sink::Presence::Missing => Presence::Missing,
        })
    }

    async fn publish(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.sets.publish(file).await.map_err(|error| of_file("publish", file, error))
    }

    async fn discard(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.sets.discard(file).await.map_err(|error| of_file("discard", file, error))
    }

    async fn delete(&self, root: &str, path: &str) -> Result<(), DataError> {
        self.sets.delete(root, path).await.map_err(|error| failed("delete", root, path, error))
    }

    async fn place(&self, root: &str) -> String {
        let written = root.to_owned();
        tokio::task::spawn_blocking(move || place(&written)).await.unwrap_or_else(|_| root.to_owned())
    }

    async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        if let Some(at) = location(root) {
            return Ok(read_object(self.bucket(&at)?.objects().as_ref(), &at).await?);
        }
        let folder = folder(root);
        let read = move || if folder.is_dir() { read_on_disk(&folder) } else { Ok(None) };
        let read = tokio::task::spawn_blocking(read).await;
        Ok(read.map_err(|lost| unlisted("read", root, lost))??)
    }

    async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError> {
        if let Some(at) = location(root) {
            return Ok(update_object(self.bucket(&at)?.objects().as_ref(), &at, update).await?);
        }
        let (folder, update) = (folder(root), update.clone());
        // Where the folder is gone, or moved, there is nothing for a list to stand beside: it isn't made again for that.
        let updated = move || if folder.is_dir() { update_on_disk(&folder, &update) } else { Ok(()) };
        let updated = tokio::task::spawn_blocking(updated).await;
        Ok(updated.map_err(|lost| unlisted("update", root, lost))??)
    }
}

/// Notes in the ledger what a slice stages.
pub(super) struct NotesInLedger {
    pub(super) writer: Writer,
    pub(super) at: SliceRef,
}

#[async_trait]
impl Notes for NotesInLedger {
    async fn staged(&self, place: StagedPlace) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.writer.stage(self.at.clone(), vec![place]).await?)
    }
}

fn of_file(action: &'static str, file: &FileReceipt, error: SinkError) -> DataError {
    failed(action, &file.root, &file.path, error)
}

fn failed(action: &'static str, root: &str, path: &str, error: SinkError) -> DataError {
    let fault = match error {
        SinkError::StagedGone { .. } => Fault::Gone,
        SinkError::Conflict { .. } => Fault::Taken,
        _ => Fault::Store,
    };
    DataError { action, root: root.to_owned(), path: path.to_owned(), fault, source: Box::new(error) }
}

fn unlisted(action: &'static str, root: &str, lost: tokio::task::JoinError) -> DataError {
    failed(action, root, "_tidegate/files.json", lost.into())
}

/// Returns the place of a root in an object store. One that can't be read was refused when the sink was checked.
fn location(root: &str) -> Option<Location> {
    Location::parse(root).ok().flatten()
}

/// Returns the folder that a receipt's root names: sinks write `file://` URLs there.
fn folder(root: &str) -> PathBuf {
    Url::parse(root).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| Path::new(root).to_owned())
}
