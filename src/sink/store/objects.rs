//! Published objects, and what becomes of uploads.
//!
//! A file is an upload in parts until [`ObjectRoot::publish`] completes it: it then appears whole, and no copy is made. S3 has
//! no conditional completion in the interface that is used here, so what keeps a name from being overwritten is that it is
//! looked for first, and that one lease at a time publishes a slice's generation.
//!
//! Whether an object is the one of a receipt is told by its size and its SHA-256, which means to read it: the digest isn't known
//! when an upload begins, so it can't stand beside the object. It is read only where a run died, or an answer was lost.

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::SinkError;
use super::super::layout::checked;
use super::Presence;
use crate::model::FileReceipt;
use crate::objects::{Bucket, Kind, Location, OpenUploads, StoreError};

/// Bytes digested in one go.
const CHUNK: usize = 4 * 1024 * 1024;

/// The prefix of a data set in a bucket.
#[derive(Debug, Clone)]
pub(super) struct ObjectRoot {
    pub(super) bucket: Bucket,
    at: Location,
}

/// What [`FileReceipt::staged`] holds of an upload, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StagedUpload {
    /// The store's id of the upload.
    pub(super) upload: String,
    /// The store's ids of its parts, in their order; none while it isn't whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<String>,
}

impl StagedUpload {
    fn parse(receipt: &FileReceipt) -> Result<Self, SinkError> {
        serde_json::from_str(&receipt.staged).map_err(|_| SinkError::UnsafePath { path: receipt.staged.clone() })
    }

    /// Returns the id in what was staged; none where that is a file on a disk.
    pub(super) fn id_of(staged: &str) -> Option<String> {
        serde_json::from_str::<Self>(staged).ok().map(|staged| staged.upload)
    }

    /// Prints it.
    pub(super) fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What lies under a name.
enum Found {
    Nothing,
    /// The file of the receipt.
    Same,
    Other,
}

impl ObjectRoot {
    pub(super) const fn new(bucket: Bucket, at: Location) -> Self {
        Self { bucket, at }
    }

    /// Returns the key of a path below the root, letter for letter: what is escaped in it stays escaped once.
    pub(super) fn key(&self, path: &str) -> Result<Path, SinkError> {
        let unsafe_path = || SinkError::UnsafePath { path: path.to_owned() };
        self.at.key(checked(path)?).ok_or_else(unsafe_path)
    }

    pub(super) async fn publish(&self, receipt: &FileReceipt) -> Result<(), SinkError> {
        let key = self.key(&receipt.path)?;
        let StagedUpload { upload, parts } = StagedUpload::parse(receipt)?;
        let gone = || SinkError::StagedGone { path: receipt.path.clone(), staged: format!("the upload {upload}") };
        let conflict = || SinkError::Conflict { path: receipt.path.clone() };
        match self.find(&key, receipt).await? {
            Found::Same => return Ok(()),
            Found::Other => return Err(conflict()),
            Found::Nothing if parts.is_empty() => return Err(gone()),
            Found::Nothing => {}
        }
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        let Err(error) = self.bucket.uploads().complete_multipart(&key, &upload, parts).await else { return Ok(()) };
        let error = StoreError::of(self.url(&receipt.path), &error);
        // The answer may be that of a second try, or may have been lost: the object itself decides.
        match self.find(&key, receipt).await? {
            Found::Same => Ok(()),
            Found::Other => Err(conflict()),
            Found::Nothing if error.kind() == Kind::Missing || !self.is_open(&key, receipt).await? => Err(gone()),
            Found::Nothing => Err(SinkError::Store { action: "complete the upload of", error }),
        }
    }

    pub(super) async fn probe(&self, receipt: &FileReceipt) -> Result<Presence, SinkError> {
        let staged = StagedUpload::parse(receipt)?;
        let key = self.key(&receipt.path)?;
        Ok(match self.find(&key, receipt).await? {
            Found::Same => Presence::Published,
            Found::Other => Presence::Foreign,
            Found::Nothing if staged.parts.is_empty() || !self.is_open(&key, receipt).await? => Presence::Missing,
            Found::Nothing => Presence::Staged,
        })
    }

    pub(super) async fn read(&self, path: &str) -> Result<Bytes, SinkError> {
        let key = self.key(path)?;
        let read = async { self.bucket.objects().get(&key).await?.bytes().await };
        let failed = |error| SinkError::Store { action: "read", error: StoreError::of(self.url(path), &error) };
        read.await.map_err(failed)
    }

    /// Tells whether the upload is still there, by one more part with nothing in it: it isn't among those that the upload is
    /// completed with.
    async fn is_open(&self, key: &Path, receipt: &FileReceipt) -> Result<bool, SinkError> {
        let StagedUpload { upload, parts } = StagedUpload::parse(receipt)?;
        match self.bucket.uploads().put_part(key, &upload, parts.len(), PutPayload::new()).await {
            Ok(_) => Ok(true),
            Err(error) => match StoreError::of(self.url(&receipt.path), &error) {
                gone if gone.kind() == Kind::Missing => Ok(false),
                error => Err(SinkError::Store { action: "look for the upload of", error }),
            },
        }
    }

    pub(super) async fn discard(&self, receipt: &FileReceipt) -> Result<(), SinkError> {
        let StagedUpload { upload, .. } = StagedUpload::parse(receipt)?;
        self.abort(&receipt.path, &upload).await
    }

    /// Lists the uploads below the root that are neither completed nor aborted.
    pub(super) async fn open_uploads(&self) -> Result<OpenUploads, SinkError> {
        let listed = self.bucket.open_uploads(&self.at).await;
        listed.map_err(|error| SinkError::Store { action: "list the uploads in", error })
    }

    /// Throws the upload away that was to become the file at `path`. One that is gone is success.
    pub(super) async fn abort(&self, path: &str, id: &str) -> Result<(), SinkError> {
        match self.bucket.uploads().abort_multipart(&self.key(path)?, &id.to_owned()).await {
            Ok(()) => Ok(()),
            Err(error) => match StoreError::of(self.url(path), &error) {
                gone if gone.kind() == Kind::Missing => Ok(()),
                error => Err(SinkError::Store { action: "abort the upload of", error }),
            },
        }
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), SinkError> {
        match self.bucket.objects().delete(&self.key(path)?).await {
            Ok(()) => Ok(()),
            Err(error) => match StoreError::of(self.url(path), &error) {
                gone if gone.kind() == Kind::Missing => Ok(()),
                error => Err(SinkError::Store { action: "delete", error }),
            },
        }
    }

    /// Lists all objects below the root.
    pub(super) async fn list(&self) -> Result<Vec<super::Found>, SinkError> {
        let prefix = Path::parse(self.at.prefix()).unwrap_or_default();
        let mut objects = self.bucket.objects().list(Some(&prefix));
        let mut found = Vec::new();
        while let Some(object) = objects.next().await {
            let object = object
                .map_err(|error| SinkError::Store { action: "list", error: StoreError::of(self.url(""), &error) })?;
            let path = object.location.as_ref().strip_prefix(prefix.as_ref());
            let path = path.map(|path| path.trim_start_matches('/').to_owned());
            found.extend(path.map(|path| super::Found { path, bytes: object.size }));
        }
        Ok(found)
    }

    /// Returns the URL of an object, for people.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.at.to_string().trim_end_matches('/'))
    }

    /// Returns the size of the object at `path`; none where there is none.
    pub(super) async fn size(&self, path: &str) -> Result<Option<u64>, SinkError> {
        match self.bucket.objects().head(&self.key(path)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) => match StoreError::of(self.url(path), &error) {
                missing if missing.kind() == Kind::Missing => Ok(None),
                error => Err(SinkError::Store { action: "look for", error }),
            },
        }
    }

    async fn find(&self, key: &Path, receipt: &FileReceipt) -> Result<Found, SinkError> {
        match self.size(&receipt.path).await? {
            None => return Ok(Found::Nothing),
            Some(size) if size != receipt.bytes => return Ok(Found::Other),
            Some(_) => {}
        }
        let failed =
            |error| SinkError::Store { action: "read", error: StoreError::of(self.url(&receipt.path), &error) };
        match self.digest(key).await?.map_err(failed)? {
            digest if digest == receipt.sha256 => Ok(Found::Same),
            _ => Ok(Found::Other),
        }
    }

    /// Digests an object as it streams in, on blocking threads.
    async fn digest(&self, key: &Path) -> Result<Result<String, object_store::Error>, SinkError> {
        let mut stream = match self.bucket.objects().get(key).await {
            Ok(found) => found.into_stream(),
            Err(error) => return Ok(Err(error)),
        };
        let (mut sha256, mut chunk) = (Sha256::new(), Vec::new());
        loop {
            let next = match stream.next().await.transpose() {
                Ok(next) => next,
                Err(error) => return Ok(Err(error)),
            };
            let end = next.is_none();
            chunk.extend_from_slice(&next.unwrap_or_default());
            if end || chunk.len() >= CHUNK {
                (sha256, chunk) = tokio::task::spawn_blocking(move || {
                    sha256.update(&chunk);
                    chunk.clear();
                    (sha256, chunk)
                })
                .await?;
            }
            if end {
                return Ok(Ok(hex::encode(sha256.finalize())));
            }
        }
    }
}
