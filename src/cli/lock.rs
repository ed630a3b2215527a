//! The lock file of a pipeline file: `FILE.lock`, beside it.

use std::path::{Path, PathBuf};

use super::print;
use crate::model::SchemaLock;

/// Returns the path of the lock file.
pub(super) fn path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Reads it, or says what is wrong with it.
pub(super) fn read(file: &Path) -> Result<SchemaLock, String> {
    let path = path(file);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("{} can't be read: {error}; `tidegate schema lock {}` writes it", path.display(), file.display())
    })?;
    SchemaLock::read(&text).map_err(|error| format!("{}: {}", path.display(), print::chain(&error)))
}
