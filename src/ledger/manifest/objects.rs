//! The list of a data set in an object store: read with its tag, written if it still has that tag, read again if not.

use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion};

use super::{DIRECTORY, Manifest, ManifestError, ManifestUpdate, NAME};
use crate::objects::{Kind, Location, StoreError};

/// How often a list is read anew that others write at the same time.
const TRIES: u32 = 20;

/// The first pause before it is read anew; the n-th is n times as long.
const PAUSE: Duration = Duration::from_millis(50);

/// A list as it was read.
struct Read {
    text: Option<Vec<u8>>,
    /// How to write it if nobody else has: over this version, or where there is none.
    mode: PutMode,
}

/// Reads the list of the data set at `root`; `None` where there is none.
///
/// # Errors
///
/// [`ManifestError::Store`].
pub async fn read_object(store: &dyn ObjectStore, root: &Location) -> Result<Option<Vec<u8>>, ManifestError> {
    Ok(read(store, root, &key(root)?).await?.text)
}

/// Brings the list of the data set at `root` up to what `update` says, by conditional writes.
///
/// # Errors
///
/// As [`Manifest::read`], [`ManifestError::Store`], and [`ManifestError::Busy`] where others write it again and again.
pub async fn update_object(
    store: &dyn ObjectStore,
    root: &Location,
    update: &ManifestUpdate,
) -> Result<(), ManifestError> {
    let (key, name) = (key(root)?, root.to_string());
    for attempt in 1..=TRIES {
        let Read { text, mode } = read(store, root, &key).await?;
        let Some(updated) = Manifest::read(&name, text.as_deref())?.updated(update) else { return Ok(()) };
        let text = PutPayload::from(updated.print(&name)?);
        match store.put_opts(&key, text, PutOptions::from(mode)).await {
            Ok(_) => return Ok(()),
            // Also after an answer that was lost: what was written is read, and found to be up to date.
            Err(error) => match failed("write", root, &error) {
                ManifestError::Store { error, .. } if matches!(error.kind(), Kind::Taken | Kind::Changed) => {}
                ManifestError::Store { error, .. } if error.kind() == Kind::Other && attempt < 3 => {
                    tracing::warn!(root = %name, error = %crate::objects::chain(&error), "a data set's list of files couldn't be written, trying again");
                }
                failed => return Err(failed),
            },
        }
        tokio::time::sleep(PAUSE * attempt).await;
    }
    Err(ManifestError::Busy { root: name, tries: TRIES })
}

async fn read(store: &dyn ObjectStore, root: &Location, key: &Path) -> Result<Read, ManifestError> {
    let found = match store.get(key).await {
        Ok(found) => found,
        Err(error) => {
            return match StoreError::of(shown(root), &error) {
                missing if missing.kind() == Kind::Missing => Ok(Read { text: None, mode: PutMode::Create }),
                error => Err(ManifestError::Store { action: "read", error }),
            };
        }
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let text = found.bytes().await.map_err(|error| failed("read", root, &error))?;
    Ok(Read { text: Some(text.to_vec()), mode: PutMode::Update(version) })
}

fn key(root: &Location) -> Result<Path, ManifestError> {
    let none = || StoreError::because(root, "it can't be the beginning of a key");
    root.key(&format!("{DIRECTORY}/{NAME}")).ok_or_else(|| ManifestError::Store { action: "read", error: none() })
}

fn shown(root: &Location) -> String {
    format!("{}/{DIRECTORY}/{NAME}", root.to_string().trim_end_matches('/'))
}

fn failed(action: &'static str, root: &Location, error: &object_store::Error) -> ManifestError {
    ManifestError::Store { action, error: StoreError::of(shown(root), error) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use object_store::memory::InMemory;

    use super::super::tests::{file, update};
    use super::*;
    use crate::objects::testing::{Call, Fate, Flawed};

    fn root() -> Location {
        Location::parse("memory://lake/a").unwrap().unwrap()
    }

    async fn listed(store: &dyn ObjectStore) -> Vec<super::super::ManifestFile> {
        let text = read_object(store, &root()).await.unwrap();
        Manifest::read("lake", text.as_deref()).unwrap().files
    }

    #[tokio::test]
    async fn a_list_never_goes_back_and_keeps_what_is_of_others() {
        let store = InMemory::new();
        update_object(&store, &root(), &update("p", 5, &[("a", 1)], &[("a", 1)])).await.unwrap();
        update_object(&store, &root(), &update("other", 2, &[("a", 1)], &[("a", 1)])).await.unwrap();
        update_object(&store, &root(), &update("p", 9, &[("a", 2)], &[("a", 2)])).await.unwrap();
        update_object(&store, &root(), &update("p", 7, &[("a", 1)], &[("a", 1)])).await.unwrap();
        assert_eq!(listed(&store).await, [file("other", "a", 1), file("p", "a", 2)]);
    }

    #[tokio::test]
    async fn of_many_at_once_none_is_lost() {
        let store = Arc::new(InMemory::new());
        let names: Vec<String> = (0..16).map(|number| format!("p{number:02}")).collect();
        let updates = names.iter().map(|name| {
            let store = Arc::clone(&store);
            let update = update(name, 1, &[("a", 1)], &[("a", 1)]);
            async move { update_object(store.as_ref(), &root(), &update).await.unwrap() }
        });
        futures::future::join_all(updates).await;
        assert_eq!(listed(store.as_ref()).await.len(), 16);
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_is_no_failure() {
        for fate in [Fate::LOST, Fate::UNANSWERED] {
            let puts = AtomicUsize::new(0);
            let first = move |call| {
                let first = call == Call::Put && puts.fetch_add(1, Ordering::Relaxed) == 0;
                if first { fate } else { Fate::FINE }
            };
            let store = Flawed::over(Arc::new(InMemory::new()), first);
            update_object(&store, &root(), &update("p", 5, &[("a", 1)], &[("a", 1)])).await.unwrap();
            assert_eq!(listed(&store).await, [file("p", "a", 1)]);
        }
    }
}
