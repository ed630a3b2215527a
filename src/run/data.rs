//! The data sets on disk, as the ledger sees them. All of it blocks, so it runs on blocking threads.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use url::Url;

use crate::ledger::{DataError, DataStore, LedgerError, ManifestUpdate, Presence, read_on_disk, update_on_disk};
use crate::model::FileReceipt;
use crate::sink::{self, SinkError};

/// Data sets on local disks.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskData;

#[async_trait]
impl DataStore for DiskData {
    async fn probe(&self, file: &FileReceipt) -> Result<Presence, DataError> {
        let receipt = file.clone();
        blocking("probe", file, move || {
            Ok(match sink::probe(&receipt)? {
                sink::Presence::Published => Presence::Published,
                sink::Presence::Staged => Presence::Staged,
                sink::Presence::Foreign => Presence::Foreign,
                sink::Presence::Missing => Presence::Missing,
            })
        })
        .await
    }

    async fn publish(&self, file: &FileReceipt) -> Result<(), DataError> {
        let receipt = file.clone();
        blocking("publish", file, move || sink::publish(&receipt)).await
    }

    async fn discard(&self, file: &FileReceipt) -> Result<(), DataError> {
        let receipt = file.clone();
        blocking("discard", file, move || sink::discard(&receipt)).await
    }

    async fn delete(&self, root: &str, path: &str) -> Result<(), DataError> {
        let (at_root, at_path) = (root.to_owned(), path.to_owned());
        let deleted = tokio::task::spawn_blocking(move || sink::delete(&at_root, &at_path)).await;
        let failed = |source| DataError { action: "delete", root: root.to_owned(), path: path.to_owned(), source };
        match deleted {
            Ok(deleted) => deleted.map_err(|error| failed(Box::new(error))),
            Err(lost) => Err(failed(Box::new(lost))),
        }
    }

    async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let folder = folder(root);
        let read = move || if folder.is_dir() { read_on_disk(&folder) } else { Ok(None) };
        let read = tokio::task::spawn_blocking(read).await;
        Ok(read.map_err(|lost| unlisted("read", root, lost))??)
    }

    async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError> {
        let (folder, update) = (folder(root), update.clone());
        // Where the folder is gone, or moved, there is nothing for a list to stand beside: it isn't made again for that.
        let updated = move || if folder.is_dir() { update_on_disk(&folder, &update) } else { Ok(()) };
        let updated = tokio::task::spawn_blocking(updated).await;
        Ok(updated.map_err(|lost| unlisted("update", root, lost))??)
    }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    file: &FileReceipt,
    act: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, DataError> {
    let failed = |source| DataError { action, root: file.root.clone(), path: file.path.clone(), source };
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => done.map_err(|error| failed(Box::new(error))),
        Err(lost) => Err(failed(Box::new(lost))),
    }
}

fn unlisted(action: &'static str, root: &str, lost: tokio::task::JoinError) -> DataError {
    DataError { action, root: root.to_owned(), path: "_tidegate/files.json".to_owned(), source: Box::new(lost) }
}

/// Returns the folder that a receipt's root names: sinks write `file://` URLs there.
fn folder(root: &str) -> PathBuf {
    Url::parse(root).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| Path::new(root).to_owned())
}
