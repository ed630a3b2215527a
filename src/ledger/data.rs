//! What the ledger needs of the places where data lies, to settle a run that died.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use super::manifest::{Manifest, ManifestUpdate};
use super::{LedgerError, ManifestError};
use crate::model::FileReceipt;

/// How many files are published at a time.
const AT_ONCE: usize = 8;

/// Where the files of data sets lie: staged first, then published under their names, at last deleted.
#[async_trait]
pub trait DataStore: Send + Sync {
    /// Tells where the file is. It may read a published file as a whole.
    async fn probe(&self, file: &FileReceipt) -> Result<Presence, DataError>;

    /// Makes a staged file appear under its name. One that has appeared already is fine; of one that is neither staged nor there the
    /// error says [`Fault::Gone`], of one whose name another file has, [`Fault::Taken`].
    async fn publish(&self, file: &FileReceipt) -> Result<(), DataError>;

    /// Throws a staged file away. One that isn't staged is fine.
    async fn discard(&self, file: &FileReceipt) -> Result<(), DataError>;

    /// Deletes the published file at `path` below `root`. One that isn't there is fine.
    async fn delete(&self, root: &str, path: &str) -> Result<(), DataError>;

    /// Returns one way of writing the place of a root: two roots with the same one are one data set.
    async fn place(&self, root: &str) -> String;

    /// Reads `_tidegate/files.json` of the data set at `root`; `None` where there is none.
    async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Brings `_tidegate/files.json` of the data set at `root` up to `update`, as [`Manifest::updated`] says: atomically, with
    /// nobody else writing it between reading and writing.
    async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError>;
}

/// Publishes files, a few at a time.
///
/// # Errors
///
/// That of one that can't be published, of one that never will be before others; then the others may have appeared. None is on its way
/// any more.
pub async fn publish_all(data: &dyn DataStore, files: &[FileReceipt]) -> Result<(), DataError> {
    let published = stream::iter(files).map(|file| data.publish(file)).buffer_unordered(AT_ONCE);
    let mut failed: Vec<DataError> = published.filter_map(async |done| done.err()).collect().await;
    let worst = failed.iter().position(|error| error.fault != Fault::Store).unwrap_or_default();
    if failed.is_empty() { Ok(()) } else { Err(failed.swap_remove(worst)) }
}

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Under its name, with the size and the digest of its receipt.
    Published,
    /// Staged, and not under its name. Parts of an upload may be lost all the same, which [`DataStore::publish`] finds out.
    Staged,
    /// Under its name lies something else, which isn't ours: it stays as it is. The file itself may be staged.
    Foreign,
    /// Neither staged nor under its name.
    Missing,
}

/// Why a data store failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {action} {path} of the data set {root}")]
pub struct DataError {
    /// `probe`, `publish`, `discard`, `delete`, `read` or `look for`.
    pub action: &'static str,
    /// The root of the data set.
    pub root: String,
    /// The path below it.
    pub path: String,
    /// What that means for the file.
    pub fault: Fault,
    /// What the store said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What became of a file that a data store couldn't do something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The file that was to appear is lost: neither staged nor under its name.
    Gone,
    /// Another file has its name, and keeps it.
    Taken,
    /// Nothing that is known: the store failed, and may not the next time.
    Store,
}

/// A data store in memory: for tests.
#[derive(Debug, Default)]
pub struct MemoryData(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    /// By root and staged path: the content's digest.
    staged: BTreeMap<(String, String), String>,
    /// By root and path: the content's digest.
    published: BTreeMap<(String, String), String>,
    manifests: BTreeMap<String, Vec<u8>>,
}

impl MemoryData {
    /// Stages a file, as a sink would; only its digest is kept.
    pub fn stage(&self, file: &FileReceipt) {
        self.lock().staged.insert((file.root.clone(), file.staged.clone()), file.sha256.clone());
    }

    /// Returns the published files below `root`, as paths and digests.
    pub fn published(&self, root: &str) -> BTreeMap<String, String> {
        let contents = self.lock();
        let below = contents.published.iter().filter(|((found, _), _)| found == root);
        below.map(|((_, path), digest)| (path.clone(), digest.clone())).collect()
    }

    /// Puts a file of somebody else under the name of `file`.
    pub fn put_foreign(&self, file: &FileReceipt) {
        self.lock().published.insert(published_at(file), "foreign".to_owned());
    }

    /// Returns how many files are staged.
    pub fn staged(&self) -> usize {
        self.lock().staged.len()
    }

    /// Reads the list of files of the data set at `root`.
    ///
    /// # Errors
    ///
    /// As [`Manifest::read`].
    pub fn manifest(&self, root: &str) -> Result<Manifest, ManifestError> {
        Manifest::read(root, self.lock().manifests.get(&plain(root)).map(Vec::as_slice))
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DataStore for MemoryData {
    async fn probe(&self, file: &FileReceipt) -> Result<Presence, DataError> {
        let contents = self.lock();
        let staged = contents.staged.contains_key(&staged_at(file));
        Ok(match contents.published.get(&published_at(file)) {
            Some(digest) if *digest == file.sha256 => Presence::Published,
            Some(_) => Presence::Foreign,
            None if staged => Presence::Staged,
            None => Presence::Missing,
        })
    }

    async fn publish(&self, file: &FileReceipt) -> Result<(), DataError> {
        let mut contents = self.lock();
        let (root, path) = published_at(file);
        let failed = |fault, why: &str| DataError { action: "publish", root, path, fault, source: why.into() };
        match contents.published.get(&published_at(file)) {
            Some(digest) if *digest == file.sha256 => {}
            Some(_) => return Err(failed(Fault::Taken, "another file has its name")),
            None if !contents.staged.contains_key(&staged_at(file)) => {
                return Err(failed(Fault::Gone, "it is neither staged nor published"));
            }
            None => {}
        }
        contents.staged.remove(&staged_at(file));
        contents.published.insert(published_at(file), file.sha256.clone());
        Ok(())
    }

    async fn discard(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.lock().staged.remove(&staged_at(file));
        Ok(())
    }

    async fn delete(&self, root: &str, path: &str) -> Result<(), DataError> {
        self.lock().published.remove(&(root.to_owned(), path.to_owned()));
        Ok(())
    }

    async fn place(&self, root: &str) -> String {
        plain(root)
    }

    async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.lock().manifests.get(&plain(root)).cloned())
    }

    async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError> {
        let mut contents = self.lock();
        let present = Manifest::read(root, contents.manifests.get(&plain(root)).map(Vec::as_slice))?;
        if let Some(updated) = present.updated(update) {
            contents.manifests.insert(plain(root), updated.print(root)?);
        }
        Ok(())
    }
}

/// Returns a root in the only other way of writing it that [`MemoryData`] knows: without `.`.
fn plain(root: &str) -> String {
    root.replace("/./", "/")
}

fn staged_at(file: &FileReceipt) -> (String, String) {
    (file.root.clone(), file.staged.clone())
}

fn published_at(file: &FileReceipt) -> (String, String) {
    (file.root.clone(), file.path.clone())
}
