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

/// Reads it; what is wrong with it is shown.
pub(super) fn read(file: &Path) -> Option<SchemaLock> {
    let path = path(file);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            print::problem(&format!(
                "{} can't be read: {error}; `tidegate schema lock {}` writes it",
                path.display(),
                file.display()
            ));
            return None;
        }
    };
    match SchemaLock::read(&text) {
        Ok(lock) => Some(lock),
        Err(error) => {
            print::problem(&format!("{}: {}", path.display(), print::chain(&error)));
            None
        }
    }
}
