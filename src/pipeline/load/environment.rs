//! The real values behind `${...}`: the environment of the process and the files beside the pipeline file.

use std::io::Read as _;
use std::path::PathBuf;

use super::interpolate::Lookup;

/// The most bytes that `${file:...}` reads: certificates and keys are far smaller, and a device file has no end.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Looks values up in the environment of the process and in files.
#[derive(Debug, Clone)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Makes a lookup whose relative paths count from `folder`, the folder of the pipeline file.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

impl Lookup for Environment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let file = std::fs::File::open(self.folder.join(path)).map_err(|error| error.to_string())?;
        let mut text = String::new();
        let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if read as u64 > MAX_FILE_BYTES {
            return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "k\n").unwrap();
        let environment = Environment::new(folder.path());
        assert_eq!(environment.file("key"), Ok("k\n".to_owned()));
        assert!(environment.file("gone").unwrap_err().contains("No such file"));
        assert!(environment.file("../..").is_err());
    }
}
