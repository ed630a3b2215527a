//! A store in memory that fails as a test says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// What is to become of a put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Put {
    /// Whether it is made.
    pub(super) made: bool,
    /// Whether its result comes back; else an error does.
    pub(super) answered: bool,
}

/// Asks before each put what is to become of it, and before each get whether there is anybody to read.
pub(super) struct FaultyStore {
    inner: Arc<InMemory>,
    put: Box<dyn Fn() -> Put + Send + Sync>,
    reads: Box<dyn Fn() -> bool + Send + Sync>,
}

impl FaultyStore {
    pub(super) fn new(
        inner: Arc<InMemory>,
        put: impl Fn() -> Put + Send + Sync + 'static,
        reads: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { inner, put: Box::new(put), reads: Box::new(reads) }
    }
}

fn failed<T>() -> Result<T> {
    Err(object_store::Error::Generic { store: "faulty store", source: "the connection was reset".into() })
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty store")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let Put { made, answered } = (self.put)();
        let result = if made { self.inner.put_opts(at, payload, options).await } else { failed() };
        if answered { result } else { failed() }
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        if (self.reads)() { self.inner.get_opts(at, options).await } else { failed() }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
