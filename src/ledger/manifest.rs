//! `_tidegate/files.json`, the list of a data set's files that stands beside it: of each slice, one generation.
//!
//! Several jobs, sinks and pipelines may share a root. Each pipeline answers for its own files, and the list carries for each
//! the sequence of the log that it was made from; a list made from an older sequence never replaces a newer one.

mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::FORMAT;
use super::state::LedgerState;
use super::store::{create_directory, new_file_in, remove_unfinished, sync_directory};
use crate::model::{JobName, PipelineName, SinkName, SliceId};
use crate::objects::StoreError;

pub use objects::{read_object, update_object};

const DIRECTORY: &str = "_tidegate";
const NAME: &str = "files.json";
const LOCK: &str = "files.lock";

/// The files of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format, [`FORMAT`].
    pub format: u32,
    /// For each pipeline with files here, the sequence of its log that they were taken from.
    pub pipelines: BTreeMap<PipelineName, u64>,
    /// For each of them, the [`LedgerState::id`](super::LedgerState::id) of that ledger.
    #[serde(default)]
    pub ledgers: BTreeMap<PipelineName, String>,
    /// The files, in the order of pipeline, job, slice and path.
    pub files: Vec<ManifestFile>,
}

/// One file of a data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ManifestFile {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The job.
    pub job: JobName,
    /// The slice whose rows it holds.
    pub slice: SliceId,
    /// The generation of the slice.
    pub generation: u32,
    /// The path below the root.
    pub path: String,
    /// The sink that wrote it.
    pub sink: SinkName,
    /// Rows in it.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// A slice's generation, as a list of files names it.
pub(super) type ListedSlice = (JobName, SliceId, u32);

/// What a pipeline's log says about one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestUpdate {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The sequence of its log.
    pub sequence: u64,
    /// What tells its ledger from any other.
    pub ledger: Option<String>,
    /// The generations that have landed there: of the pipeline's files that are listed, these stay.
    pub landed: BTreeSet<(JobName, SliceId, u32)>,
    /// The files of those that weren't listed yet.
    pub add: Vec<ManifestFile>,
}

/// Why a data set's list of files can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It isn't what it should be.
    #[error("{DIRECTORY}/{NAME} of {root} is corrupt: {why}; delete it, and the next run makes it anew")]
    Corrupt {
        /// The root of the data set.
        root: String,
        /// What is wrong.
        why: String,
    },
    /// A later version of the program wrote it.
    #[error("{DIRECTORY}/{NAME} of {root} has format {format}, this version knows up to {FORMAT}: use a later version")]
    Newer {
        /// The root of the data set.
        root: String,
        /// Its format.
        format: u32,
    },
    /// The disk failed.
    #[error("can't {action} {}", path.display())]
    Disk {
        /// `read`, `lock` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The object store failed.
    #[error("can't {action} {error}")]
    Store {
        /// `read` or `write`.
        action: &'static str,
        /// The list, and what the store said.
        error: StoreError,
    },
    /// Others wrote it whenever it was to be written.
    #[error("{DIRECTORY}/{NAME} of {root} was written by others {tries} times while it was to be: run again")]
    Busy {
        /// The root of the data set.
        root: String,
        /// How often.
        tries: u32,
    },
}

impl Manifest {
    /// Reads the stored text; without one, the list is empty.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Corrupt`], [`ManifestError::Newer`].
    pub fn read(root: &str, text: Option<&[u8]>) -> Result<Self, ManifestError> {
        let Some(text) = text else { return Ok(Self { format: FORMAT, ..Self::default() }) };
        let found: Self = serde_json::from_slice(text)
            .map_err(|error| ManifestError::Corrupt { root: root.to_owned(), why: error.to_string() })?;
        if found.format > FORMAT {
            return Err(ManifestError::Newer { root: root.to_owned(), format: found.format });
        }
        Ok(found)
    }

    /// Returns the slices of `pipeline` that are listed.
    #[must_use]
    pub fn listed(&self, pipeline: &PipelineName) -> BTreeSet<(JobName, SliceId, u32)> {
        self.files.iter().filter(|file| file.pipeline == *pipeline).map(ManifestFile::slice).collect()
    }

    /// Brings the list up to what `update` says; `None` where it is newer already, or the same.
    #[must_use]
    pub fn updated(&self, update: &ManifestUpdate) -> Option<Self> {
        if self.pipelines.get(&update.pipeline).is_some_and(|sequence| *sequence >= update.sequence) {
            return None;
        }
        let stays = |file: &&ManifestFile| file.pipeline != update.pipeline || update.landed.contains(&file.slice());
        let files: BTreeSet<&ManifestFile> = self.files.iter().filter(stays).chain(&update.add).collect();
        let files: Vec<ManifestFile> = files.into_iter().cloned().collect();
        if files == self.files {
            return None;
        }
        let mut pipelines = self.pipelines.clone();
        pipelines.insert(update.pipeline.clone(), update.sequence);
        let mut ledgers = self.ledgers.clone();
        ledgers.extend(update.ledger.clone().map(|ledger| (update.pipeline.clone(), ledger)));
        Some(Self { format: FORMAT, pipelines, ledgers, files })
    }

    /// Tells whether what the list has of `pipeline` comes from the ledger that `state` was read from, as it is now: not from
    /// another one, nor from later entries, which `state` would have lost.
    #[must_use]
    pub fn is_of(&self, pipeline: &PipelineName, state: &LedgerState) -> bool {
        let same = self.ledgers.get(pipeline).is_none_or(|ledger| state.id() == Some(ledger));
        let known = self.pipelines.get(pipeline).is_none_or(|sequence| *sequence <= state.sequence());
        same && known
    }

    /// Returns a file of `pipeline` that the ledger of `state` has landed; none where another ledger has.
    #[must_use]
    pub fn file_of(&self, pipeline: &PipelineName, state: &LedgerState) -> Option<&ManifestFile> {
        let known = state.id().filter(|id| self.ledgers.get(pipeline).is_some_and(|ledger| ledger == id));
        known.and_then(|_| self.files.iter().find(|file| file.pipeline == *pipeline))
    }

    /// Prints the list as it is stored.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Corrupt`] if it can't be printed as JSON.
    pub fn print(&self, root: &str) -> Result<Vec<u8>, ManifestError> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| ManifestError::Corrupt { root: root.to_owned(), why: error.to_string() })
    }
}

impl ManifestFile {
    fn slice(&self) -> ListedSlice {
        (self.job.clone(), self.slice.clone(), self.generation)
    }
}

/// Reads the list of the data set in the directory `root`; `None` where there is none.
///
/// # Errors
///
/// [`ManifestError::Disk`].
pub fn read_on_disk(root: &Path) -> Result<Option<Vec<u8>>, ManifestError> {
    let path = root.join(DIRECTORY).join(NAME);
    match std::fs::read(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ManifestError::Disk { action: "read", path, source }),
    }
}

/// Brings the list of the data set in the directory `root` up to what `update` says, atomically and under a lock. It blocks.
///
/// # Errors
///
/// As [`Manifest::read`], and [`ManifestError::Disk`].
pub fn update_on_disk(root: &Path, update: &ManifestUpdate) -> Result<(), ManifestError> {
    let directory = root.join(DIRECTORY);
    let _lock = lock(&directory)?;
    let swept = remove_unfinished(&directory);
    swept.map_err(|source| ManifestError::Disk { action: "sweep", path: directory.clone(), source })?;
    let name = root.display().to_string();
    let Some(updated) = Manifest::read(&name, read_on_disk(root)?.as_deref())?.updated(update) else { return Ok(()) };
    let text = updated.print(&name)?;
    let path = directory.join(NAME);
    replace(&directory, &path, &text).map_err(|source| ManifestError::Disk { action: "write", path, source })
}

fn lock(directory: &Path) -> Result<std::fs::File, ManifestError> {
    let path = directory.join(LOCK);
    let lock = || {
        create_directory(directory)?;
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|source| ManifestError::Disk { action: "lock", path: path.clone(), source })
}

fn replace(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = new_file_in(directory)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn file(pipeline: &str, slice: &str, generation: u32) -> ManifestFile {
        ManifestFile {
            pipeline: PipelineName::new(pipeline),
            job: JobName::new("j"),
            slice: SliceId::new(slice),
            generation,
            path: format!("{pipeline}-j-{slice}-g{generation}-0.csv"),
            sink: SinkName::new("lake"),
            rows: 1,
            bytes: 1,
            sha256: "00".to_owned(),
        }
    }

    pub(super) fn update(pipeline: &str, sequence: u64, landed: &[(&str, u32)], add: &[(&str, u32)]) -> ManifestUpdate {
        ManifestUpdate {
            pipeline: PipelineName::new(pipeline),
            sequence,
            ledger: Some(format!("ledger of {pipeline}")),
            landed: landed.iter().map(|(slice, generation)| file(pipeline, slice, *generation).slice()).collect(),
            add: add.iter().map(|(slice, generation)| file(pipeline, slice, *generation)).collect(),
        }
    }

    #[test]
    fn a_list_on_disk_is_replaced_slice_by_slice_and_never_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("lake");
        let files = || Manifest::read("lake", read_on_disk(&root).unwrap().as_deref()).unwrap().files;
        update_on_disk(&root, &update("p", 5, &[("a", 1), ("b", 1)], &[("a", 1), ("b", 1)])).unwrap();
        update_on_disk(&root, &update("other", 2, &[("a", 1)], &[("a", 1)])).unwrap();
        update_on_disk(&root, &update("p", 9, &[("a", 2), ("b", 1)], &[("a", 2)])).unwrap();
        let expected = [file("other", "a", 1), file("p", "a", 2), file("p", "b", 1)];
        assert_eq!(files(), expected);
        update_on_disk(&root, &update("p", 7, &[("a", 1)], &[("a", 1)])).unwrap();
        assert_eq!(files(), expected);
        update_on_disk(&root, &update("p", 10, &[("b", 1)], &[])).unwrap();
        assert_eq!(files(), [file("other", "a", 1), file("p", "b", 1)]);
    }

    #[test]
    fn a_list_of_a_later_format_is_left_alone() {
        let text = br#"{"format": 2, "pipelines": {}, "files": []}"#;
        assert!(matches!(Manifest::read("lake", Some(text)), Err(ManifestError::Newer { format: 2, .. })));
    }
}
