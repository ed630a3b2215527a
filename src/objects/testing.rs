//! A store that fails as a test says.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Put,
    Get,
    List,
    Delete,
    CreateUpload,
    Part,
    Complete,
    Abort,
}

/// What is to become of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    /// Whether it is made.
    pub(crate) made: bool,
    /// Whether its result comes back; else an error does.
    pub(crate) answered: bool,
}

impl Fate {
    /// As a store does.
    pub(crate) const FINE: Self = Self { made: true, answered: true };
    /// The request doesn't arrive.
    pub(crate) const LOST: Self = Self { made: false, answered: false };
    /// The answer doesn't.
    pub(crate) const UNANSWERED: Self = Self { made: true, answered: false };
}

/// Which condition of a put the store ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    IgnoresCreate,
    IgnoresUpdate,
}

/// Asks before each call what is to become of it.
pub(crate) struct Flawed<T> {
    inner: Arc<T>,
    fate: Box<dyn Fn(Call) -> Fate + Send + Sync>,
    flaw: Flaw,
    /// The ids of the open uploads that hold parts.
    parts: Arc<Mutex<BTreeSet<String>>>,
}

impl<T> Flawed<T> {
    pub(crate) fn new(inner: T, flaw: Flaw) -> Self {
        Self { inner: Arc::new(inner), fate: Box::new(|_| Fate::FINE), flaw, parts: Arc::default() }
    }

    pub(crate) fn over(inner: Arc<T>, fate: impl Fn(Call) -> Fate + Send + Sync + 'static) -> Self {
        Self { inner, fate: Box::new(fate), flaw: Flaw::None, parts: Arc::default() }
    }

    /// The same store, without failures.
    pub(crate) fn healed(&self) -> Self {
        let (inner, parts) = (Arc::clone(&self.inner), Arc::clone(&self.parts));
        Self { inner, fate: Box::new(|_| Fate::FINE), flaw: Flaw::None, parts }
    }

    /// The store behind it.
    pub(crate) fn inner(&self) -> Arc<T> {
        Arc::clone(&self.inner)
    }

    /// The ids of uploads that hold parts, and are neither completed nor aborted.
    pub(crate) fn uploads_with_parts(&self) -> Vec<String> {
        self.parts.lock().unwrap().iter().cloned().collect()
    }

    async fn call<R>(&self, call: Call, make: impl Future<Output = Result<R>> + Send) -> Result<R> {
        let Fate { made, answered } = (self.fate)(call);
        let result = if made { make.await } else { failed() };
        if answered { result } else { failed() }
    }
}

fn failed<T>() -> Result<T> {
    Err(object_store::Error::Generic { store: "flawed store", source: "the connection was reset".into() })
}

impl<T: fmt::Debug> fmt::Debug for Flawed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flawed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Flawed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flawed store")
    }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for Flawed<T> {
    async fn put_opts(&self, at: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        match (&options.mode, self.flaw) {
            (PutMode::Create, Flaw::IgnoresCreate) | (PutMode::Update(_), Flaw::IgnoresUpdate) => {
                options.mode = PutMode::Overwrite;
            }
            _ => {}
        }
        self.call(Call::Put, self.inner.put_opts(at, payload, options)).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.call(Call::Get, self.inner.get_opts(at, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let Fate { made, answered } = (self.fate)(Call::Delete);
        let done =
            if made { self.inner.delete_stream(locations) } else { futures::stream::once(async { failed() }).boxed() };
        if answered { done } else { done.map(|_| failed()).boxed() }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if (self.fate)(Call::List).answered {
            self.inner.list(prefix)
        } else {
            futures::stream::once(async { failed() }).boxed()
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(Call::List, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl<T: MultipartStore> MultipartStore for Flawed<T> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.call(Call::CreateUpload, self.inner.create_multipart(path)).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part_idx: usize, data: PutPayload) -> Result<PartId> {
        let put = async {
            let put = self.inner.put_part(path, id, part_idx, data).await?;
            self.parts.lock().unwrap().insert(id.clone());
            Ok(put)
        };
        self.call(Call::Part, put).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let complete = async {
            let completed = self.inner.complete_multipart(path, id, parts).await?;
            self.parts.lock().unwrap().remove(id);
            Ok(completed)
        };
        self.call(Call::Complete, complete).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let abort = async {
            self.inner.abort_multipart(path, id).await?;
            self.parts.lock().unwrap().remove(id);
            Ok(())
        };
        self.call(Call::Abort, abort).await
    }
}
