//! The folder of pipeline files, by content: a `ConfigMap` swaps a link and keeps times and names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::pipeline::spec::Pipeline;

/// Reads a pipeline file and checks it; the error is all that is wrong with it, as a person reads it.
pub type Loader = Arc<dyn Fn(&Path) -> Result<Pipeline, String> + Send + Sync>;

/// The digest of a file; none where it can't be read.
pub(super) type FileDigest = Option<[u8; 32]>;

/// Reads the digests of all pipeline files right in `folder`.
///
/// # Errors
/// The folder can't be read.
pub(super) fn scan(folder: &Path) -> io::Result<BTreeMap<PathBuf, FileDigest>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden && !path.is_dir() {
            let digest = std::fs::read(&path).ok().map(|bytes| Sha256::digest(&bytes).into());
            found.insert(path, digest);
        }
    }
    Ok(found)
}

/// Reads a file off the async threads.
pub(super) async fn load(loader: &Loader, file: &Path) -> Result<Pipeline, String> {
    let (loader, file) = (Arc::clone(loader), file.to_owned());
    let read = tokio::task::spawn_blocking(move || loader(&file)).await;
    read.unwrap_or_else(|error| Err(format!("the file can't be checked: {error}; this is a bug of Tidegate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_content_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..v1", "..v2"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("a.yaml"), version).unwrap();
        }
        std::fs::write(at(".hidden.yaml"), "").unwrap();
        std::fs::write(at("notes.txt"), "").unwrap();
        std::os::unix::fs::symlink("..v1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let before = scan(folder.path()).unwrap();
        assert_eq!(before.keys().collect::<Vec<_>>(), [&at("a.yaml")]);
        assert_eq!(scan(folder.path()).unwrap(), before);
        std::fs::remove_file(at("..data")).unwrap();
        assert_eq!(scan(folder.path()).unwrap().values().collect::<Vec<_>>(), [&None], "in the middle of the swap");
        std::os::unix::fs::symlink("..v2", at("..data")).unwrap();
        let after = scan(folder.path()).unwrap();
        assert!(after != before && after.values().all(Option::is_some));
    }
}
