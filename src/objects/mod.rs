//! Object stores: opened by URL, with what the environment says of credentials and end points, once in a process.
//!
//! Two things are asked of a store beside the usual: **conditional writes** (put-if-absent and put-if-unchanged), without which
//! two runs could overwrite each other's entries, and **uploads in parts**, which stay invisible until they are completed.
//! [`Stores::prove`] looks whether a store keeps to the first before anything depends on it.

mod error;
mod folder;
mod location;
mod open;
mod prove;
#[cfg(test)]
pub(crate) mod testing;
mod uploads;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;

pub use error::{Kind, StoreError, chain};
pub use folder::{absolute, place};
pub use location::{Location, LocationError, Scheme, below};
use uploads::Listing;
pub use uploads::{OpenUpload, OpenUploads};

/// What a store is opened for: how long one may wait for it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Small objects that a lease depends on: an answer that takes long is as good as none.
    State,
    /// Files: a part of one may take minutes on a slow line.
    Data,
}

/// A bucket, opened.
#[derive(Clone)]
pub struct Bucket {
    objects: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
    listing: Listing,
}

impl Bucket {
    /// Makes one of a store that knows uploads in parts, none of which outlives the process.
    pub fn new<T: ObjectStore + MultipartStore>(store: Arc<T>) -> Self {
        Self::listed(store, Listing::Needless)
    }

    fn listed<T: ObjectStore + MultipartStore>(store: Arc<T>, listing: Listing) -> Self {
        Self { objects: Arc::<T>::clone(&store), uploads: store, listing }
    }

    /// Returns its objects.
    #[must_use]
    pub const fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Returns its uploads in parts.
    #[must_use]
    pub const fn uploads(&self) -> &Arc<dyn MultipartStore> {
        &self.uploads
    }

    /// Lists the uploads below a place of it that are neither completed nor aborted.
    ///
    /// # Errors
    ///
    /// The store can't be reached, or its answer can't be read.
    pub async fn open_uploads(&self, at: &Location) -> Result<OpenUploads, StoreError> {
        self.listing.below(at).await
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("objects", &self.objects).finish_non_exhaustive()
    }
}

/// The buckets that a process has opened.
#[derive(Debug, Default)]
pub struct Stores {
    open: Mutex<HashMap<(String, Purpose), Bucket>>,
    /// The buckets that were seen to keep to conditional writes.
    proven: Mutex<HashSet<String>>,
}

impl Stores {
    /// Uses `bucket` for a bucket such as `s3://lake`, instead of opening it: for tests.
    pub fn insert(&self, url: &str, bucket: &Bucket) {
        let mut open = lock(&self.open);
        for purpose in [Purpose::State, Purpose::Data] {
            open.insert((url.to_owned(), purpose), bucket.clone());
        }
    }

    /// Opens the bucket of a place. What the environment lacks may show with the first request only.
    ///
    /// # Errors
    ///
    /// The environment contradicts itself, or lacks what the scheme needs.
    pub fn open(&self, at: &Location, purpose: Purpose) -> Result<Bucket, StoreError> {
        let name = at.bucket_url();
        if let Some(bucket) = lock(&self.open).get(&(name.clone(), purpose)) {
            return Ok(bucket.clone());
        }
        if at.scheme() == Scheme::Memory {
            let bucket = Bucket::new(Arc::new(InMemory::new()));
            self.insert(&name, &bucket);
            return Ok(bucket);
        }
        let bucket = open::open(at, purpose)?;
        Ok(lock(&self.open).entry((name, purpose)).or_insert(bucket).clone())
    }

    /// Sees that the bucket of a place keeps to conditional writes, once in a process: by an object `_tidegate/probe` there, which
    /// stays.
    ///
    /// # Errors
    ///
    /// It doesn't, with the reason; or it can't be written to.
    pub async fn prove(&self, at: &Location, purpose: Purpose) -> Result<(), StoreError> {
        let name = at.bucket_url();
        if lock(&self.proven).contains(&name) {
            return Ok(());
        }
        prove::conditional_writes(self.open(at, purpose)?.objects().as_ref(), at).await?;
        lock(&self.proven).insert(name);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
