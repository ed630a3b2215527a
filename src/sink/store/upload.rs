//! Staging in a bucket: uploads in parts that aren't completed. No reader sees them, and they cost nothing to publish.
//!
//! The encoders run on a blocking thread and fill parts; a task sends them, a few at a time, and the thread waits where the store
//! is slower than it. An upload's id is noted before its first part, so that whoever comes after a crash can abort it: an object
//! store has no listing of uploads that all of them share. One that was begun and not noted yet has no parts; where the store lists
//! it, `vacuum` finds it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::executor::block_on;
use futures::stream::FuturesUnordered;
use object_store::path::Path;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::super::SinkError;
use super::Notes;
use super::objects::{ObjectRoot, StagedUpload};
use crate::model::{SinkName, StagedPlace};
use crate::objects::{Kind, StoreError};

/// Bytes of a part, but for a file's last. S3 takes no fewer than 5 MiB, and some stores want all parts to be equal.
const PART: usize = 8 * 1024 * 1024;

/// Parts of a file at most: S3's bound.
const PARTS: usize = 10_000;

/// Bytes of a file at most, with some room for what an encoder adds at its end.
pub(in crate::sink) const MAX_BYTES: u64 = (PART * PARTS) as u64 - (1 << 30);

/// Parts of one writer that are on their way at a time.
const IN_FLIGHT: usize = 4;

/// How long parts may be on their way once all uploads are to end.
const LAST_PARTS: Duration = Duration::from_secs(2);

/// Writers that send at a time, at most.
const WRITERS: u32 = 1 << 20;

/// Those who send, in all of a run.
#[derive(Debug)]
pub(super) struct Sending {
    stop: CancellationToken,
    /// Each task has a permit for as long as it lives.
    tasks: Arc<Semaphore>,
}

impl Default for Sending {
    fn default() -> Self {
        Self { stop: CancellationToken::new(), tasks: Arc::new(Semaphore::new(WRITERS as usize)) }
    }
}

impl Sending {
    /// Has all uploads that aren't whole yet aborted, and waits for that. Nothing is sent from then on.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        // It fails only where it was closed, which nobody does.
        let _all = self.tasks.acquire_many(WRITERS).await;
    }
}

/// The uploads of one writer.
pub(in crate::sink) struct ObjectStage {
    shared: Arc<Shared>,
    sink: SinkName,
    root_url: String,
    messages: mpsc::Sender<Message>,
    /// Whether all is in the store; the task drops its end where it isn't to be. It isn't sent with a message, as one that comes just when
    /// the queue is dropped stays in it, and nobody would ever reply.
    kept: oneshot::Receiver<()>,
}

struct Shared {
    root: ObjectRoot,
    notes: Arc<dyn Notes>,
    uploads: Mutex<Vec<Arc<Upload>>>,
    stop: CancellationToken,
    /// Why nothing is sent any more.
    failure: OnceLock<StoreError>,
}

/// The upload of one file.
struct Upload {
    key: Path,
    /// Where it is to be published; the upload's id is added once it has one.
    place: StagedPlace,
    id: OnceCell<String>,
    /// The store's ids of the parts that it has.
    parts: Mutex<BTreeMap<usize, String>>,
}

enum Message {
    Part {
        upload: Arc<Upload>,
        index: usize,
        bytes: Bytes,
    },
    /// All files are finished: what is sent is to stay.
    Keep,
}

/// The file that an upload is to become, while it is written.
pub(super) struct UploadBody {
    shared: Arc<Shared>,
    upload: Arc<Upload>,
    messages: mpsc::Sender<Message>,
    buffer: Vec<u8>,
    next: usize,
}

/// Where a file is staged.
pub(super) enum StagedAt {
    /// A path below the root.
    Path(String),
    /// An upload, whose parts may still be on their way.
    Upload(Uploaded),
}

/// An upload all of whose parts were handed over.
pub(super) struct Uploaded {
    upload: Arc<Upload>,
    parts: usize,
}

impl StagedAt {
    /// Prints it for the receipt.
    pub(super) fn text(&self) -> Result<String, SinkError> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Upload(Uploaded { upload, parts }) => {
                let sent: Vec<String> = lock(&upload.parts).values().cloned().collect();
                match upload.id.get() {
                    Some(id) if sent.len() == *parts => Ok(StagedUpload { upload: id.clone(), parts: sent }.text()),
                    _ => Err(SinkError::Broken),
                }
            }
        }
    }
}

impl ObjectStage {
    /// Starts the task that sends.
    pub(super) fn open(
        root: ObjectRoot,
        root_url: String,
        sink: &SinkName,
        (notes, sending): (&Arc<dyn Notes>, &Sending),
        runtime: &Handle,
    ) -> Result<Self, SinkError> {
        let (messages, queue) = mpsc::channel(1);
        let (reply, kept) = oneshot::channel();
        let shared = Arc::new(Shared {
            root,
            notes: Arc::clone(notes),
            uploads: Mutex::default(),
            stop: sending.stop.clone(),
            failure: OnceLock::new(),
        });
        let ended = |_| SinkError::Store { action: "upload to", error: shared.why() };
        let permit = Arc::clone(&sending.tasks).try_acquire_owned().map_err(ended)?;
        let task = Arc::clone(&shared).send_all(queue, reply);
        let task = async move {
            task.await;
            drop(permit);
        };
        runtime.spawn(task.in_current_span());
        Ok(Self { shared, sink: sink.clone(), root_url, messages, kept })
    }

    /// Starts the file that is to be published at `path`. Nothing is sent before a part is full.
    pub(super) fn create(&self, path: &str) -> Result<UploadBody, SinkError> {
        let place = StagedPlace {
            sink: self.sink.clone(),
            root: self.root_url.clone(),
            path: path.to_owned(),
            staged: String::new(),
        };
        let key = self.shared.root.key(path)?;
        let upload = Arc::new(Upload { key, place, id: OnceCell::new(), parts: Mutex::default() });
        lock(&self.shared.uploads).push(Arc::clone(&upload));
        let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
        Ok(UploadBody { shared, upload, messages, buffer: Vec::new(), next: 0 })
    }

    /// Waits until all parts are in the store.
    pub(super) fn keep(self) -> Result<(), SinkError> {
        // Where the task has ended it has said so.
        let _ = block_on(self.messages.send(Message::Keep));
        if block_on(self.kept).is_ok() {
            Ok(())
        } else {
            Err(SinkError::Store { action: "upload to", error: self.shared.why() })
        }
    }
}

impl fmt::Debug for ObjectStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStage").field("root", &self.root_url).field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl Shared {
    /// Sends parts until the stage is kept, or dropped, or one can't be sent, or all is to end. In all cases but the first its uploads are
    /// aborted.
    async fn send_all(self: Arc<Self>, mut queue: mpsc::Receiver<Message>, reply: oneshot::Sender<()>) {
        let mut sending = FuturesUnordered::new();
        let is_whole = loop {
            tokio::select! {
                () = self.stop.cancelled() => break false,
                Some(sent) = sending.next() => {
                    if let Err(error) = sent {
                        let _ = self.failure.set(error);
                        break false;
                    }
                }
                message = queue.recv(), if sending.len() < IN_FLIGHT => match message {
                    Some(Message::Part { upload, index, bytes }) => sending.push(self.send(upload, index, bytes)),
                    Some(Message::Keep) => break true,
                    None => break false,
                },
            }
        };
        drop(queue);
        // Also where it was for nothing: a part that arrives after its upload was aborted may stay.
        let rest = async {
            while let Some(sent) = sending.next().await {
                if let Err(error) = sent {
                    let _ = self.failure.set(error);
                }
            }
        };
        let all_sent = tokio::select! {
            () = rest => true,
            () = async { self.stop.cancelled().await; tokio::time::sleep(LAST_PARTS).await } => false,
        };
        let reply = (is_whole && all_sent && self.failure.get().is_none()).then_some(reply);
        if reply.is_none_or(|reply| reply.send(()).is_err()) {
            self.abort_all().await;
        }
    }

    async fn send(&self, upload: Arc<Upload>, index: usize, bytes: Bytes) -> Result<(), StoreError> {
        let failed = |error: &object_store::Error| StoreError::of(self.root.url(&upload.place.path), error);
        let id = upload.id.get_or_try_init(|| self.begin(&upload)).await?;
        let part = self.root.bucket.uploads().put_part(&upload.key, id, index, bytes.into()).await;
        lock(&upload.parts).insert(index, part.map_err(|error| failed(&error))?.content_id);
        Ok(())
    }

    /// Begins an upload and has it noted.
    async fn begin(&self, upload: &Upload) -> Result<String, StoreError> {
        let url = || self.root.url(&upload.place.path);
        let uploads = self.root.bucket.uploads();
        let id = uploads.create_multipart(&upload.key).await.map_err(|error| StoreError::of(url(), &error))?;
        let staged = StagedUpload { upload: id.clone(), parts: Vec::new() }.text();
        match self.notes.staged(StagedPlace { staged, ..upload.place.clone() }).await {
            Ok(()) => Ok(id),
            Err(error) => {
                self.abort(&upload.key, &id, &upload.place.path).await;
                Err(StoreError::because(url(), format!("its upload can't be noted in the ledger: {error}")))
            }
        }
    }

    async fn abort_all(&self) {
        let uploads = lock(&self.uploads).clone();
        for upload in uploads {
            if let Some(id) = upload.id.get() {
                self.abort(&upload.key, id, &upload.place.path).await;
            }
        }
    }

    async fn abort(&self, key: &Path, id: &String, path: &str) {
        if let Err(error) = self.root.bucket.uploads().abort_multipart(key, id).await {
            let error = StoreError::of(self.root.url(path), &error);
            if error.kind() != Kind::Missing {
                // It is noted, so the next run does it.
                tracing::debug!(error = %crate::objects::chain(&error), "an upload can't be aborted yet");
            }
        }
    }

    /// Says why the task ended.
    fn why(&self) -> StoreError {
        let ended = || StoreError::because(self.root.url(""), "the run is ending, so nothing is sent any more");
        self.failure.get().cloned().unwrap_or_else(ended)
    }
}

impl UploadBody {
    /// Returns the bytes that wait for a part to be full.
    pub(super) const fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes; waits while too many parts are on their way.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PART {
            self.hand_over()?;
        }
        Ok(taken)
    }

    /// Hands the last part over.
    pub(super) fn finish(mut self) -> io::Result<StagedAt> {
        if !self.buffer.is_empty() || self.next == 0 {
            self.hand_over()?;
        }
        Ok(StagedAt::Upload(Uploaded { upload: self.upload, parts: self.next }))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if self.next == PARTS {
            let why = format!("it has more than {PARTS} parts of {} MiB: lower bytes_per_file", PART >> 20);
            return Err(io::Error::other(StoreError::because(self.shared.root.url(&self.upload.place.path), why)));
        }
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let part = Message::Part { upload: Arc::clone(&self.upload), index: self.next, bytes };
        self.next += 1;
        // Not by the channel's own blocking call: the engine of the transform, which may call us, is a runtime as well.
        block_on(self.messages.send(part)).map_err(|_| io::Error::other(self.shared.why()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
