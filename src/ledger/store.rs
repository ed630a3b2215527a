//! The objects of one pipeline's state, over `object_store`.
//!
//! `LocalFileSystem` puts by hard link, which is atomic, but never syncs: after a power cut an entry may be there by name and
//! empty. So on disk the put is our own: write, sync the file, link it under its name unless that is taken, sync the
//! directory. All else goes through `object_store`.

use std::io::{self, Write as _};
use std::path::{Component, Path as DiskPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

use super::LedgerError;
use crate::objects::{Bucket, Location, StoreError};

/// What the name of a file begins with until it has its own.
const UNFINISHED: &str = ".new-";

/// How often an object is written anew whose unfinished file another process swept away.
const ATTEMPTS: u32 = 3;

/// How often an object is put before a store that answers with errors is given up.
const TRIES: u32 = 5;

/// Below `<state>/<pipeline>`; paths are relative to it.
#[derive(Debug, Clone)]
pub(super) struct Store {
    inner: Arc<dyn ObjectStore>,
    base: Path,
    at: Place,
    /// The first pause before an object is put again after an error; the n-th is n times as long.
    pause: Duration,
}

/// Where the objects lie.
#[derive(Debug, Clone)]
enum Place {
    Disk(PathBuf),
    Bucket(Location),
    /// A store of a test.
    #[cfg(test)]
    Somewhere,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its path below the base.
    pub(super) path: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// When it was written, UTC, by the store's clock.
    pub(super) written: DateTime<Utc>,
}

/// What became of a put-if-absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// The object is written.
    Written,
    /// The name is taken: nothing is written.
    Taken,
}

impl Store {
    /// Wraps any object store.
    #[cfg(test)]
    pub(super) fn new(inner: Arc<dyn ObjectStore>, base: Path) -> Self {
        Self { inner, base, at: Place::Somewhere, pause: Duration::ZERO }
    }

    /// Takes a place in a bucket.
    pub(super) fn in_bucket(bucket: &Bucket, at: Location) -> Self {
        // A place that was read is a key already.
        let base = Path::parse(at.prefix()).unwrap_or_default();
        Self { inner: Arc::clone(bucket.objects()), base, at: Place::Bucket(at), pause: Duration::ZERO }
    }

    /// Opens a directory, which comes into being with the first object.
    pub(super) fn on_disk(directory: &DiskPath) -> Result<Self, LedgerError> {
        let address = |why: String| LedgerError::Address { url: directory.display().to_string(), why };
        let directory = without_parents(directory).map_err(|error| address(error.to_string()))?;
        let base = Path::from_absolute_path(&directory).map_err(|error| address(error.to_string()))?;
        Ok(Self { inner: Arc::new(LocalFileSystem::new()), base, at: Place::Disk(directory), pause: Duration::ZERO })
    }

    /// Has it pause so long before it puts an object for a second time.
    pub(super) fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Returns the directory, where the state is on disk: there a lane has an OS lock as well.
    pub(super) fn disk(&self) -> Option<&DiskPath> {
        match &self.at {
            Place::Disk(directory) => Some(directory),
            Place::Bucket(_) => None,
            #[cfg(test)]
            Place::Somewhere => None,
        }
    }

    /// Returns the place, where the state is in a bucket.
    pub(super) const fn place(&self) -> Option<&Location> {
        match &self.at {
            Place::Bucket(at) => Some(at),
            Place::Disk(_) => None,
            #[cfg(test)]
            Place::Somewhere => None,
        }
    }

    /// Reads an object; `None` where there is none.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Bytes>, LedgerError> {
        let read = async { self.inner.get(&self.path(path)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path, &error)),
        }
    }

    /// Writes an object unless there is one of that name.
    ///
    /// An error of the store proves nothing: the object may have been written, may be on its way, or not. So it is put again, which
    /// `object_store` doesn't do for a conditional write. What is taken then may be our own, and after [`TRIES`] its fate is unknown.
    pub(super) async fn create(&self, path: &str, bytes: Bytes) -> Result<Put, LedgerError> {
        let mut tries = 1;
        loop {
            match self.create_once(path, bytes.clone()).await {
                Err(error) if tries < TRIES && error.may_pass() => {
                    let error = crate::objects::chain(&error);
                    tracing::warn!(object = %path, tries, error, "the ledger couldn't be written, trying again");
                    tokio::time::sleep(self.pause * tries).await;
                    tries += 1;
                }
                put => return put,
            }
        }
    }

    async fn create_once(&self, path: &str, bytes: Bytes) -> Result<Put, LedgerError> {
        if let Some(disk) = self.disk() {
            let target = disk.join(path);
            let target_again = target.clone();
            return tokio::task::spawn_blocking(move || create_on_disk(&target, &bytes))
                .await
                .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
                .map_err(|source| LedgerError::Disk { action: "write", path: target_again, source });
        }
        let options = PutOptions::from(PutMode::Create);
        match self.inner.put_opts(&self.path(path), PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(Put::Written),
            // S3 gives up one of two writes that meet, without having decided: then the name needn't be taken.
            Err(error @ object_store::Error::AlreadyExists { .. })
                if error.to_string().contains("ConditionalRequestConflict") =>
            {
                Err(self.failed("write", path, &error))
            }
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Taken),
            Err(error) => Err(self.failed("write", path, &error)),
        }
    }

    fn failed(&self, action: &'static str, path: &str, error: &object_store::Error) -> LedgerError {
        let url = match &self.at {
            // The message has the path.
            Place::Disk(_) => String::new(),
            Place::Bucket(at) => format!("{at}/{path}"),
            #[cfg(test)]
            Place::Somewhere => path.to_owned(),
        };
        LedgerError::Store { action, object: path.to_owned(), source: StoreError::of(url, error) }
    }

    /// Deletes an object. One that isn't there is fine.
    pub(super) async fn delete(&self, path: &str) -> Result<(), LedgerError> {
        match self.inner.delete(&self.path(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path, &error)),
        }
    }

    /// Returns the numbers above `after` of the objects `<directory>/<20-digit number>.json`, sorted.
    pub(super) async fn numbers(&self, directory: &str, after: Option<u64>) -> Result<Vec<u64>, LedgerError> {
        let prefix = self.path(directory);
        let objects = match after {
            Some(after) => self.inner.list_with_offset(Some(&prefix), &self.path(&numbered(directory, after))),
            None => self.inner.list(Some(&prefix)),
        };
        let objects: Vec<_> = objects.try_collect().await.map_err(|error| self.failed("list", directory, &error))?;
        let mut numbers: Vec<u64> = objects.iter().filter_map(|object| number(object.location.filename()?)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Tells whether there is no object at all.
    pub(super) async fn is_empty(&self) -> Result<bool, LedgerError> {
        let first = self.inner.list(Some(&self.base)).try_next().await;
        first.map(|first| first.is_none()).map_err(|error| self.failed("list", "", &error))
    }

    /// Returns the objects below a directory, with their paths below the base.
    pub(super) async fn objects(&self, directory: &str) -> Result<Vec<Listed>, LedgerError> {
        let objects: Vec<_> = self
            .inner
            .list(Some(&self.path(directory)))
            .try_collect()
            .await
            .map_err(|error| self.failed("list", directory, &error))?;
        let listed = objects.into_iter().filter_map(|object| {
            let parts: Vec<String> =
                object.location.prefix_match(&self.base)?.map(|part| part.as_ref().to_owned()).collect();
            // One that isn't finished is no object.
            let whole = parts.last().is_some_and(|name| !name.starts_with(UNFINISHED));
            whole.then(|| Listed { path: parts.join("/"), bytes: object.size, written: object.last_modified })
        });
        Ok(listed.collect())
    }

    /// Removes what dead writers left unfinished on disk: one that `held` the lease anywhere, another one in the log. Only for who
    /// keeps out all others.
    pub(super) async fn sweep(&self, held: bool) -> Result<(), LedgerError> {
        let Some(disk) = self.disk().map(DiskPath::to_owned) else { return Ok(()) };
        let (at, log) = (disk.clone(), disk.join("log"));
        let sweep = move || if held { remove_unfinished_below(&at) } else { remove_unfinished(&log) };
        let done = tokio::task::spawn_blocking(sweep).await;
        let failed = |source| LedgerError::Disk { action: "sweep", path: disk, source };
        done.unwrap_or_else(|panicked| Err(io::Error::other(panicked))).map_err(failed)
    }

    fn path(&self, path: &str) -> Path {
        path.split('/').fold(self.base.clone(), Path::join)
    }
}

/// Names the object with a number: `<directory>/<20 digits>.json`, so that names sort as numbers do.
pub(super) fn numbered(directory: &str, number: u64) -> String {
    format!("{directory}/{number:020}.json")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

/// Makes a path absolute and free of `..`, which object paths can't hold: as the system would follow it, symbolic links included.
fn without_parents(path: &DiskPath) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => {
                if let Ok(real) = resolved.canonicalize() {
                    resolved = real;
                }
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    Ok(resolved)
}

fn create_on_disk(target: &DiskPath, bytes: &[u8]) -> io::Result<Put> {
    let directory = target.parent().ok_or_else(|| io::Error::other("an object needs a directory"))?;
    create_directory(directory)?;
    let mut attempt = 1;
    loop {
        let mut file = new_file_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(target) {
            Ok(_) => return sync_directory(directory).map(|()| Put::Written),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(Put::Taken),
            // Whoever took the lane in this very moment swept it away.
            Err(error) if error.error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.error),
        }
    }
}

/// Makes a hidden file that anyone may read whom the umask lets: the default of temporary files is the owner alone.
pub(super) fn new_file_in(directory: &DiskPath) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

/// Removes the hidden files in a directory that a process left which was killed before it could give them their names. None of
/// a living process may be among them.
pub(super) fn remove_unfinished(directory: &DiskPath) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &DiskPath) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_unfinished_below(directory: &DiskPath) -> io::Result<()> {
    remove_unfinished(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_unfinished_below(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes a directory and those above it, each synced into its parent.
pub(super) fn create_directory(directory: &DiskPath) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    create_directory(parent)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent),
    }
}

/// Makes the names in a directory survive a power cut.
pub(super) fn sync_directory(directory: &DiskPath) -> io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn creates_once_and_lists_in_order(store: &Store) {
        assert!(store.numbers("log", None).await.unwrap().is_empty());
        for sequence in [10, 9, 11] {
            let put = store.create(&numbered("log", sequence), Bytes::from_static(b"{}")).await.unwrap();
            assert_eq!(put, Put::Written);
        }
        assert_eq!(store.create(&numbered("log", 9), Bytes::from_static(b"x")).await.unwrap(), Put::Taken);
        assert_eq!(store.get(&numbered("log", 9)).await.unwrap().unwrap(), "{}");
        assert_eq!(store.get(&numbered("log", 12)).await.unwrap(), None);
        assert_eq!(store.numbers("log", None).await.unwrap(), [9, 10, 11]);
        assert_eq!(store.numbers("log", Some(9)).await.unwrap(), [10, 11]);
    }

    #[test]
    fn a_state_may_lie_beside_the_working_directory() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("far/away")).unwrap();
        std::os::unix::fs::symlink(real.join("far/away"), real.join("link")).unwrap();
        assert_eq!(without_parents(&real.join("absent/../state")).unwrap(), real.join("state"));
        assert_eq!(without_parents(&real.join("link/../state")).unwrap(), real.join("far/state"));
        let store = Store::on_disk(&real.join("far/../state")).unwrap();
        assert_eq!(store.disk(), Some(real.join("state").as_path()));
    }

    #[tokio::test]
    async fn every_store_creates_once_and_lists_in_order() {
        creates_once_and_lists_in_order(&Store::new(Arc::new(InMemory::new()), Path::from("state/p"))).await;
        let directory = tempfile::tempdir().unwrap();
        let disk = Store::on_disk(&directory.path().join("deep er/p")).unwrap();
        creates_once_and_lists_in_order(&disk).await;
        let left = std::fs::read_dir(directory.path().join("deep er/p/log")).unwrap().count();
        assert_eq!(left, 3, "no temporary file remains");
    }

    #[tokio::test]
    async fn what_a_killed_writer_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::on_disk(&directory.path().join("p")).unwrap();
        store.create(&numbered("log", 1), Bytes::from_static(b"{}")).await.unwrap();
        let left = directory.path().join("p/log/.new-x1y2");
        std::fs::write(&left, "half").unwrap();
        let deeper = directory.path().join("p/files/.new-z3");
        std::fs::create_dir(directory.path().join("p/files")).unwrap();
        std::fs::write(&deeper, "").unwrap();
        store.sweep(false).await.unwrap();
        assert!(!left.exists() && deeper.exists());
        store.sweep(true).await.unwrap();
        assert!(!deeper.exists());
        assert_eq!(store.numbers("log", None).await.unwrap(), [1]);
    }
}
