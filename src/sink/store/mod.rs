//! Where files are staged and published: a directory, or a prefix in a bucket.
//!
//! [`DataSets`] acts on receipts and nothing else, so that a later run can settle what a dead one left. All of it is
//! idempotent. A writer stages through [`Root::stage`]: it runs on a blocking thread.

mod disk;
mod objects;
mod upload;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use url::Url;

use super::SinkError;
use super::layout::{StagedSlice, checked};
use super::spec::Landing;
use crate::model::{FileReceipt, PipelineName, SinkName, StagedPlace};
use crate::objects::{Location, OpenUpload, OpenUploads, Purpose, StoreError, Stores, absolute};

use self::objects::{ObjectRoot, StagedUpload};
pub(super) use self::upload::MAX_BYTES as MAX_OBJECT_BYTES;
use self::upload::{ObjectStage, Sending, StagedAt, UploadBody};

/// The data sets of sinks, wherever they lie.
#[derive(Debug, Clone, Default)]
pub struct DataSets {
    stores: Arc<Stores>,
    sending: Arc<Sending>,
}

/// A published file, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path below the root.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Where the file of a receipt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Under its name, with the size and the digest of the receipt.
    Published,
    /// Staged, and not under its name.
    Staged,
    /// Under its name lies something else, whether it is staged or not.
    Foreign,
    /// Neither staged nor under its name.
    Missing,
}

impl DataSets {
    /// Takes the buckets from `stores`.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Self {
        Self { stores, sending: Arc::default() }
    }

    /// Ends the writing to buckets, for good: uploads that aren't whole are aborted, and waited for. Those that are whole stay, and so does
    /// what is staged on a disk.
    pub async fn end_uploads(&self) {
        self.sending.end().await;
    }

    /// Publishes a staged file: it appears at its path, whole, or not at all.
    ///
    /// A file that is there with the size and the digest of the receipt is success, so a publish can be repeated. One with
    /// other bytes is [`SinkError::Conflict`], and is left alone; one that is neither staged nor there is
    /// [`SinkError::StagedGone`]. On return the file and its directories are on stable storage.
    pub async fn publish(&self, receipt: &FileReceipt) -> Result<(), SinkError> {
        match Root::parse(&receipt.root)? {
            Root::Disk(root) => {
                let receipt = receipt.clone();
                blocking(move || disk::publish(&root, &receipt)).await
            }
            Root::Objects(at) => self.objects(at)?.publish(receipt).await,
        }
    }

    /// Tells where the file of a receipt is. It reads a published file as a whole.
    pub async fn probe(&self, receipt: &FileReceipt) -> Result<Presence, SinkError> {
        match Root::parse(&receipt.root)? {
            Root::Disk(root) => {
                let receipt = receipt.clone();
                blocking(move || disk::probe(&root, &receipt)).await
            }
            Root::Objects(at) => self.objects(at)?.probe(receipt).await,
        }
    }

    /// Tells whether the file of a receipt is there under its name, in its size. It isn't read.
    pub async fn is_there(&self, receipt: &FileReceipt) -> Result<bool, SinkError> {
        let size = match Root::parse(&receipt.root)? {
            Root::Disk(root) => {
                let path = receipt.path.clone();
                blocking(move || disk::size(&root, &path)).await?
            }
            Root::Objects(at) => self.objects(at)?.size(&receipt.path).await?,
        };
        Ok(size == Some(receipt.bytes))
    }

    /// Throws a staged file away. It never touches a published one.
    pub async fn discard(&self, receipt: &FileReceipt) -> Result<(), SinkError> {
        match Root::parse(&receipt.root)? {
            Root::Disk(root) => {
                let staged = receipt.staged.clone();
                blocking(move || disk::discard(&root, &staged)).await
            }
            Root::Objects(at) => self.objects(at)?.discard(receipt).await,
        }
    }

    /// Deletes the published file at `path` below `root`, and the partition directories that this leaves empty.
    pub async fn delete(&self, root: &str, path: &str) -> Result<(), SinkError> {
        match Root::parse(root)? {
            Root::Disk(root) => {
                let path = path.to_owned();
                blocking(move || disk::delete(&root, &path)).await
            }
            Root::Objects(at) => self.objects(at)?.delete(path).await,
        }
    }

    /// Reads a published file as a whole.
    ///
    /// # Errors
    ///
    /// It can't be read, or isn't the one of the receipt: [`SinkError::Changed`].
    pub async fn read(&self, receipt: &FileReceipt) -> Result<Bytes, SinkError> {
        let bytes = match Root::parse(&receipt.root)? {
            Root::Disk(root) => {
                let path = receipt.path.clone();
                blocking(move || disk::read(&root, &path)).await?
            }
            Root::Objects(at) => self.objects(at)?.read(&receipt.path).await?,
        };
        let changed = || SinkError::Changed { path: receipt.path.clone() };
        if hex::encode(Sha256::digest(&bytes)) == receipt.sha256 { Ok(bytes) } else { Err(changed()) }
    }

    /// Removes the staged files of `pipeline` below `root`, but for the slices of which `keep` says yes: those that a live run
    /// writes, and those that are published and not yet committed. Returns how many slices' files were removed.
    ///
    /// In a bucket there is nothing to find: who staged has had it noted by [`Notes`].
    pub async fn sweep_staged(
        &self,
        root: &str,
        pipeline: &PipelineName,
        keep: impl Fn(&StagedSlice) -> bool + Send + 'static,
    ) -> Result<usize, SinkError> {
        match Root::parse(root)? {
            Root::Disk(root) => {
                let pipeline = pipeline.clone();
                blocking(move || disk::sweep(&root, &pipeline, keep)).await
            }
            Root::Objects(_) => Ok(0),
        }
    }

    /// Lists the published files below `root`: what is staged, hidden or beside the data isn't among them.
    pub async fn list(&self, root: &str) -> Result<Vec<Found>, SinkError> {
        let mut found = match Root::parse(root)? {
            Root::Disk(root) => blocking(move || disk::list(&root)).await?,
            Root::Objects(at) => self.objects(at)?.list().await?,
        };
        found.retain(|file| !file.path.split('/').any(|part| part.starts_with('.') || part == "_tidegate"));
        Ok(found)
    }

    /// Lists the uploads below `root` that are neither completed nor aborted: those of others too. On a disk there are none.
    pub async fn open_uploads(&self, root: &str) -> Result<OpenUploads, SinkError> {
        match Root::parse(root)? {
            Root::Disk(_) => Ok(OpenUploads::Listed(Vec::new())),
            Root::Objects(at) => self.objects(at)?.open_uploads().await,
        }
    }

    /// Throws an upload of [`Self::open_uploads`] away, with its parts. One that is gone by now is success.
    pub async fn abort(&self, root: &str, upload: &OpenUpload) -> Result<(), SinkError> {
        match Root::parse(root)? {
            Root::Disk(_) => Ok(()),
            Root::Objects(at) => self.objects(at)?.abort(&upload.path, &upload.id).await,
        }
    }

    fn objects(&self, at: Location) -> Result<ObjectRoot, SinkError> {
        let bucket = self.stores.open(&at, Purpose::Data);
        Ok(ObjectRoot::new(bucket.map_err(|error| SinkError::Store { action: "use", error })?, at))
    }
}

/// Returns the store's id of an upload of what [`FileReceipt::staged`] holds; none where that is a file on a disk.
#[must_use]
pub fn upload_id(staged: &str) -> Option<String> {
    StagedUpload::id_of(staged)
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    tokio::task::spawn_blocking(act).await?
}

/// Is told where a file is staged before its first byte goes there, where no listing would find it: an upload to a bucket.
#[async_trait]
pub trait Notes: Send + Sync {
    /// Notes it for good: so that a later run can throw it away.
    ///
    /// # Errors
    ///
    /// It can't be noted. Then nothing may be staged.
    async fn staged(&self, place: StagedPlace) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// What a writer needs of its surroundings.
#[derive(Clone)]
pub struct Staging {
    data: DataSets,
    notes: Arc<dyn Notes>,
    runtime: Option<Handle>,
}

impl Staging {
    /// Stages in `data`, and has it noted by `notes`. What is sent to a bucket is sent by the runtime that this is called in.
    #[must_use]
    pub fn new(data: DataSets, notes: Arc<dyn Notes>) -> Self {
        Self { data, notes, runtime: Handle::try_current().ok() }
    }
}

/// The root of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// An absolute directory.
    Disk(PathBuf),
    /// A prefix in a bucket.
    Objects(Location),
}

impl Root {
    /// Reads a sink's `url`: a path, made absolute by the working directory, a `file://` URL, or a place in an object store.
    pub(super) fn parse(url: &str) -> Result<Self, SinkError> {
        let unsupported = || SinkError::UnsupportedUrl { url: url.to_owned() };
        if url.is_empty() {
            return Err(unsupported());
        }
        if let Some(at) = Location::parse(url).map_err(|why| SinkError::BadUrl { why })? {
            return Ok(Self::Objects(at));
        }
        if url.contains("://") {
            let path = Url::parse(url).ok().and_then(|parsed| parsed.to_file_path().ok());
            return path.map(Self::Disk).ok_or_else(unsupported);
        }
        absolute(Path::new(url)).map(Self::Disk).map_err(|_| unsupported())
    }

    /// Returns it as receipts hold it: an absolute URL, so that a run from another working directory finds the files.
    pub(super) fn url(&self) -> Result<String, SinkError> {
        match self {
            Self::Disk(path) => {
                let url = Url::from_directory_path(path);
                url.map(Into::into).map_err(|()| SinkError::UnsupportedUrl { url: path.display().to_string() })
            }
            Self::Objects(at) => Ok(format!("{}/", at.to_string().trim_end_matches('/'))),
        }
    }

    /// Opens a staging place for one sink of one slice, shared with no other writer.
    pub(super) fn stage(&self, landing: &Landing, sink: &SinkName, staging: &Staging) -> Result<Stage, SinkError> {
        match self {
            Self::Disk(root) => disk::DiskStage::open(root, landing, sink).map(Stage::Disk),
            Self::Objects(at) => {
                let root = staging.data.objects(at.clone())?;
                let lost = || StoreError::because(at, "there is no runtime to send by");
                let runtime = staging.runtime.as_ref();
                let runtime = runtime.ok_or_else(|| SinkError::Store { action: "write to", error: lost() })?;
                let with = (&staging.notes, &*staging.data.sending);
                Ok(Stage::Objects(ObjectStage::open(root, self.url()?, sink, with, runtime)?))
            }
        }
    }
}

/// The staging place of one writer. Dropping it removes what is staged there.
#[derive(Debug)]
pub(super) enum Stage {
    /// A hidden directory.
    Disk(disk::DiskStage),
    /// Uploads that aren't completed.
    Objects(ObjectStage),
}

impl Stage {
    /// Starts a file that is to be published at `path`.
    pub(super) fn create(&self, path: &str) -> Result<StagedFile, SinkError> {
        match self {
            Self::Disk(stage) => {
                let (file, staged) = stage.create(checked(path)?.rsplit('/').next().unwrap_or(path))?;
                Ok(StagedFile { body: Body::Disk(file, staged), sha256: Sha256::new(), bytes: 0 })
            }
            Self::Objects(stage) => {
                Ok(StagedFile { body: Body::Upload(stage.create(path)?), sha256: Sha256::new(), bytes: 0 })
            }
        }
    }

    /// Keeps what is staged, beyond a crash. All files must be finished; only then [`Staged::staged`] is known.
    pub(super) fn keep(self) -> Result<(), SinkError> {
        match self {
            Self::Disk(stage) => stage.keep(),
            Self::Objects(stage) => stage.keep(),
        }
    }
}

/// A file being staged: counts and digests what is written to it.
pub(super) struct StagedFile {
    body: Body,
    sha256: Sha256,
    bytes: u64,
}

enum Body {
    Disk(std::fs::File, String),
    Upload(UploadBody),
}

/// What is known of a file once all its bytes are staged.
pub(super) struct Staged {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    at: StagedAt,
}

impl Staged {
    /// Returns [`FileReceipt::staged`]. In a bucket it is known once the stage is kept.
    pub(super) fn staged(&self) -> Result<String, SinkError> {
        self.at.text()
    }
}

impl StagedFile {
    /// Returns the bytes written so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes that wait in memory until a part is full.
    pub(super) const fn held(&self) -> usize {
        match &self.body {
            Body::Disk(..) => 0,
            Body::Upload(upload) => upload.held(),
        }
    }

    /// Brings the bytes to stable storage, or on their way there.
    pub(super) fn finish(self) -> io::Result<Staged> {
        let at = match self.body {
            Body::Disk(file, staged) => {
                file.sync_all()?;
                StagedAt::Path(staged)
            }
            Body::Upload(upload) => upload.finish()?,
        };
        Ok(Staged { at, bytes: self.bytes, sha256: hex::encode(self.sha256.finalize()) })
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.body {
            Body::Disk(file, _) => file.write(bytes)?,
            Body::Upload(upload) => upload.write(bytes)?,
        };
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.body {
            Body::Disk(file, _) => file.flush(),
            // A part goes when it is full: parts of other sizes aren't taken by every store.
            Body::Upload(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_directories_urls_or_prefixes() {
        assert_eq!(Root::parse("/lake/a").unwrap().url().unwrap(), "file:///lake/a/");
        assert_eq!(Root::parse("file:///lake/a%20b").unwrap(), Root::Disk("/lake/a b".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(Root::parse("./lake").unwrap(), Root::Disk(here.join("lake")));
        for url in ["", "file://host/x"] {
            assert!(matches!(Root::parse(url), Err(SinkError::UnsupportedUrl { .. })), "{url}");
        }
        for url in ["s3://", "http://h/x"] {
            assert!(matches!(Root::parse(url), Err(SinkError::BadUrl { .. })), "{url}");
        }
        for (url, printed) in [("s3://b", "s3://b/"), ("s3://b/x//y", "s3://b/x/y/"), ("gs://b/x/", "gs://b/x/")] {
            assert_eq!(Root::parse(url).unwrap().url().unwrap(), printed);
        }
        let root = Root::parse("./a b%/é").unwrap();
        assert_eq!(Root::parse(&root.url().unwrap()).unwrap(), Root::Disk(here.join("a b%/é")));
    }

    #[test]
    fn a_full_disk_is_an_error_of_the_write() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = StagedFile { body: Body::Disk(full, String::new()), sha256: Sha256::new(), bytes: 0 };
        assert_eq!(file.write_all(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.bytes(), 0);
    }
}
