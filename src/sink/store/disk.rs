//! The store on a local (or mounted) file system.
//!
//! A file is published by a hard link, which unlike a rename fails where the name is taken, however close the race; then
//! the staged name goes. Directories are synced from the file's own up to the root, before the staged name goes, so after a
//! power cut a file has at least one of its two names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::super::SinkError;
use super::super::layout::{
    STAGED_SUFFIX, StagedSlice, checked, staged_pipeline_dir, staged_sink_prefix, staged_slice_dir,
};
use super::super::spec::Landing;
use super::{Found, Presence};
use crate::model::{FileReceipt, PipelineName, SinkName};

/// How often a directory that another process prunes under our hands is made again.
const ATTEMPTS: u32 = 16;

/// A hidden directory of one writer's own, removed when dropped.
#[derive(Debug)]
pub(in crate::sink) struct DiskStage {
    root: PathBuf,
    dir: TempDir,
    /// Its path below the root.
    below: String,
}

impl DiskStage {
    pub(super) fn open(root: &Path, landing: &Landing, sink: &SinkName) -> Result<Self, SinkError> {
        let below = staged_slice_dir(landing);
        let parent = root.join(checked(&below)?);
        let prefix = staged_sink_prefix(sink);
        let dir = in_dir(&parent, root, || tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent))?
            .map_err(failed("make a staging directory in", &parent))?;
        let name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { root: root.to_owned(), dir, below: format!("{below}/{name}") })
    }

    /// Creates the file that is to be published as `name`; returns it and its path below the root.
    pub(super) fn create(&self, name: &str) -> Result<(File, String), SinkError> {
        let name = format!("{name}{STAGED_SUFFIX}");
        let path = self.dir.path().join(&name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed("create", &path))?;
        Ok((file, format!("{}/{name}", self.below)))
    }

    pub(super) fn keep(self) -> Result<(), SinkError> {
        sync_up(self.dir.path(), &self.root)?;
        let _kept = self.dir.keep();
        Ok(())
    }
}

pub(super) fn publish(root: &Path, receipt: &FileReceipt) -> Result<(), SinkError> {
    let staged = root.join(checked(&receipt.staged)?);
    let target = root.join(checked(&receipt.path)?);
    match fs::metadata(&staged) {
        Ok(found) if found.len() != receipt.bytes => {
            let (staged, expected) = (receipt.staged.clone(), receipt.bytes);
            return Err(SinkError::StagedDiffers { staged, expected, found: found.len() });
        }
        Ok(_) => appear(&staged, &target, root, receipt)?,
        Err(error) if error.kind() == ErrorKind::NotFound => already_there(&target, receipt)?,
        Err(error) => return Err(failed("read", &staged)(error)),
    }
    sync_up(target.parent().unwrap_or(root), root)?;
    remove_and_prune(&staged, root)
}

/// Gives the staged file its published name, unless that is taken.
fn appear(staged: &Path, target: &Path, root: &Path, receipt: &FileReceipt) -> Result<(), SinkError> {
    match in_dir(target.parent().unwrap_or(target), root, || fs::hard_link(staged, target))? {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => already_there(target, receipt),
        // Some mounts know no hard links. There only our own lease keeps two publishers apart.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            match fs::symlink_metadata(target) {
                Ok(_) => already_there(target, receipt),
                Err(_) => fs::rename(staged, target).map_err(failed("publish", target)),
            }
        }
        Err(error) => Err(failed("publish", target)(error)),
    }
}

/// Succeeds if the published file is the one of the receipt.
fn already_there(target: &Path, receipt: &FileReceipt) -> Result<(), SinkError> {
    let mut file = match File::open(target) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(SinkError::StagedGone { path: receipt.path.clone(), staged: receipt.staged.clone() });
        }
        Err(error) => return Err(failed("read", target)(error)),
    };
    let size = file.metadata().map_err(failed("read", target))?.len();
    if size == receipt.bytes && sha256(&mut file).map_err(failed("read", target))? == receipt.sha256 {
        Ok(())
    } else {
        Err(SinkError::Conflict { path: receipt.path.clone() })
    }
}

pub(super) fn read(root: &Path, path: &str) -> Result<Bytes, SinkError> {
    let path = root.join(checked(path)?);
    fs::read(&path).map(Bytes::from).map_err(failed("read", &path))
}

/// Tells where the file of a receipt is.
pub(super) fn probe(root: &Path, receipt: &FileReceipt) -> Result<Presence, SinkError> {
    let staged = root.join(checked(&receipt.staged)?);
    let is_staged = staged.try_exists().map_err(failed("look for", &staged))?;
    match already_there(&root.join(checked(&receipt.path)?), receipt) {
        Ok(()) => Ok(Presence::Published),
        Err(SinkError::StagedGone { .. }) if is_staged => Ok(Presence::Staged),
        Err(SinkError::StagedGone { .. }) => Ok(Presence::Missing),
        Err(SinkError::Conflict { .. }) => Ok(Presence::Foreign),
        Err(error) => Err(error),
    }
}

/// Returns the size of a published file; none where there is none.
pub(super) fn size(root: &Path, path: &str) -> Result<Option<u64>, SinkError> {
    let path = root.join(checked(path)?);
    match fs::metadata(&path) {
        Ok(found) => Ok(found.is_file().then_some(found.len())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed("look for", &path)(error)),
    }
}

fn sha256(file: &mut File) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(sha256.finalize())),
            read => sha256.update(&buffer[..read]),
        }
    }
}

pub(super) fn discard(root: &Path, staged: &str) -> Result<(), SinkError> {
    // A receipt whose `staged` isn't a staging place must not be the way to delete a published file.
    if !staged.ends_with(STAGED_SUFFIX) {
        return Err(SinkError::UnsafePath { path: staged.to_owned() });
    }
    remove_and_prune(&root.join(checked(staged)?), root)
}

pub(super) fn delete(root: &Path, path: &str) -> Result<(), SinkError> {
    remove_and_prune(&root.join(checked(path)?), root)
}

/// Removes a file, if it is there, and then every directory from its own up to the root, exclusive, that is empty.
fn remove_and_prune(file: &Path, root: &Path) -> Result<(), SinkError> {
    ignore_absent(fs::remove_file(file)).map_err(failed("delete", file))?;
    let mut dir = file.parent();
    while let Some(current) = dir.filter(|dir| *dir != root && dir.starts_with(root)) {
        match fs::remove_dir(current) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Not empty, or not ours to remove: the directory stays, and its entry for the file has to be gone for good.
            Err(_) => return sync(current),
        }
        dir = current.parent();
    }
    sync_root(root)
}

fn sync_root(root: &Path) -> Result<(), SinkError> {
    if root.exists() { sync(root) } else { Ok(()) }
}

fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        // A file may stand by now where a directory above it stood.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

pub(super) fn sweep(
    root: &Path,
    pipeline: &PipelineName,
    keep: impl Fn(&StagedSlice) -> bool,
) -> Result<usize, SinkError> {
    let staged = root.join(staged_pipeline_dir(pipeline));
    if !staged.is_dir() {
        return Ok(0);
    }
    let mut removed = 0;
    for job in names_in(&staged)? {
        let job_dir = staged.join(&job);
        for slice in names_in(&job_dir)? {
            let dir = job_dir.join(&slice);
            if !keep(&StagedSlice { job: job.clone(), slice }) {
                ignore_absent(fs::remove_dir_all(&dir)).map_err(failed("delete", &dir))?;
                removed += 1;
            }
        }
        // A directory that isn't empty stays.
        let _ = fs::remove_dir(&job_dir);
    }
    let _ = fs::remove_dir(&staged);
    if let Some(all) = staged.parent() {
        let _ = fs::remove_dir(all);
    }
    Ok(removed)
}

/// Lists all files below a root, with paths below it.
pub(super) fn list(root: &Path) -> Result<Vec<Found>, SinkError> {
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for name in names_in(&root.join(&folder))? {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let at = root.join(&path);
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) if meta.is_file() => found.push(Found { path, bytes: meta.len() }),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("look at", &at)(error)),
                // A link isn't ours, and what has gone meanwhile isn't there.
                _ => {}
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn names_in(dir: &Path) -> Result<Vec<String>, SinkError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", dir)(error)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(failed("list", dir))?;
    names.sort();
    Ok(names)
}

/// Does `action` in `dir`, which is made first, and again if another process prunes it in between. What is made below `root` isn't synced:
/// see [`sync_up`].
fn in_dir<T>(dir: &Path, root: &Path, action: impl Fn() -> io::Result<T>) -> Result<io::Result<T>, SinkError> {
    let mut attempt = 1;
    loop {
        match make_dirs(root).and_then(|()| fs::create_dir_all(dir)).and_then(|()| action()) {
            Err(error) if error.kind() == ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
            Err(error) if !dir.is_dir() => return Err(failed("make the directory", dir)(error)),
            done => return Ok(done),
        }
    }
}

/// Makes a directory and those above it, and syncs each one that got an entry.
fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let Some(parent) = dir.parent() else { return Ok(()) };
    make_dirs(parent)?;
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(parent),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Syncs the directories from `dir` up to `root`, with the entries of all that were made there.
fn sync_up(dir: &Path, root: &Path) -> Result<(), SinkError> {
    dir.ancestors().take_while(|dir| dir.starts_with(root)).try_for_each(sync)
}

fn sync(dir: &Path) -> Result<(), SinkError> {
    ignore_absent(sync_dir(dir)).map_err(failed("sync", dir))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some network mounts have nothing to sync for a directory, and say so.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    let path = path.to_owned();
    move |source| SinkError::Io { action, path, source }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
