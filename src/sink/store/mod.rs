//! Where files are staged and published. Local disk today; another store is another variant of [`Root`], [`Stage`] and
//! [`Body`], and a file beside `disk.rs`.
//!
//! The functions take a receipt and nothing else, so that a later run can call them. All are idempotent.

mod disk;

use std::io::{self, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use url::Url;

use super::SinkError;
use super::layout::StagedSlice;
use super::spec::Landing;
use crate::model::{FileReceipt, PipelineName, SinkName};

/// Publishes a staged file: it appears at its path, whole, or not at all.
///
/// A file that is there with the size and the digest of the receipt is success, so a publish can be repeated. One with
/// other bytes is [`SinkError::Conflict`], and is left alone; one that is neither staged nor there is
/// [`SinkError::StagedGone`]. On return the file and its directories are on stable storage.
pub fn publish(receipt: &FileReceipt) -> Result<(), SinkError> {
    match Root::parse(&receipt.root)? {
        Root::Disk(root) => disk::publish(&root, receipt),
    }
}

/// Where the file of a receipt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Under its name, with the size and the digest of the receipt.
    Published,
    /// Staged, and not under its name.
    Staged,
    /// Not staged, and under its name lies something else.
    Foreign,
    /// Neither staged nor under its name.
    Missing,
}

/// Tells where the file of a receipt is. It reads a published file as a whole.
pub fn probe(receipt: &FileReceipt) -> Result<Presence, SinkError> {
    match Root::parse(&receipt.root)? {
        Root::Disk(root) => disk::probe(&root, receipt),
    }
}

/// Throws a staged file away. It never touches a published one.
pub fn discard(receipt: &FileReceipt) -> Result<(), SinkError> {
    match Root::parse(&receipt.root)? {
        Root::Disk(root) => disk::discard(&root, &receipt.staged),
    }
}

/// Deletes the published file at `path` below `root`, and the partition directories that this leaves empty.
pub fn delete(root: &str, path: &str) -> Result<(), SinkError> {
    match Root::parse(root)? {
        Root::Disk(root) => disk::delete(&root, path),
    }
}

/// Removes the staged files of `pipeline` below `root`, but for the slices of which `keep` says yes: those that a live run
/// writes, and those that are published and not yet committed. Returns how many slices' files were removed.
pub fn sweep_staged(
    root: &str,
    pipeline: &PipelineName,
    keep: impl Fn(&StagedSlice) -> bool,
) -> Result<usize, SinkError> {
    match Root::parse(root)? {
        Root::Disk(root) => disk::sweep(&root, pipeline, keep),
    }
}

/// The root of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// An absolute directory.
    Disk(PathBuf),
}

impl Root {
    /// Reads a sink's `url`: a path, made absolute by the working directory, or a `file://` URL.
    pub(super) fn parse(url: &str) -> Result<Self, SinkError> {
        let unsupported = || SinkError::UnsupportedUrl { url: url.to_owned() };
        if url.is_empty() {
            return Err(unsupported());
        }
        if url.contains("://") {
            let parsed = Url::parse(url).map_err(|_| unsupported())?;
            let path = if parsed.scheme() == "file" { parsed.to_file_path().ok() } else { None };
            return path.map(Self::Disk).ok_or_else(unsupported);
        }
        std::path::absolute(url).map(Self::Disk).map_err(|_| unsupported())
    }

    /// Returns it as receipts hold it: an absolute URL, so that a run from another working directory finds the files.
    pub(super) fn url(&self) -> Result<String, SinkError> {
        let Self::Disk(path) = self;
        let url = Url::from_directory_path(path);
        url.map(Into::into).map_err(|()| SinkError::UnsupportedUrl { url: path.display().to_string() })
    }

    /// Opens a staging place for one sink of one slice, shared with no other writer.
    pub(super) fn stage(&self, landing: &Landing, sink: &SinkName) -> Result<Stage, SinkError> {
        match self {
            Self::Disk(root) => disk::DiskStage::open(root, landing, sink).map(Stage::Disk),
        }
    }
}

/// The staging place of one writer. Dropping it removes what is staged there.
#[derive(Debug)]
pub(super) enum Stage {
    /// A hidden directory.
    Disk(disk::DiskStage),
}

impl Stage {
    /// Starts a file that is to be published under `name`, the last part of its path.
    pub(super) fn create(&self, name: &str) -> Result<StagedFile, SinkError> {
        match self {
            Self::Disk(stage) => {
                let (file, staged) = stage.create(name)?;
                Ok(StagedFile { body: Body::Disk(file), staged, sha256: Sha256::new(), bytes: 0 })
            }
        }
    }

    /// Keeps what is staged, beyond a crash.
    pub(super) fn keep(self) -> Result<(), SinkError> {
        match self {
            Self::Disk(stage) => stage.keep(),
        }
    }
}

/// A file being staged: counts and digests what is written to it.
pub(super) struct StagedFile {
    body: Body,
    staged: String,
    sha256: Sha256,
    bytes: u64,
}

enum Body {
    Disk(std::fs::File),
}

/// What is known of a file once all its bytes are staged.
pub(super) struct Staged {
    pub(super) staged: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl StagedFile {
    /// Returns the bytes written so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Brings the bytes to stable storage.
    pub(super) fn finish(self) -> io::Result<Staged> {
        match self.body {
            Body::Disk(file) => file.sync_all()?,
        }
        Ok(Staged { staged: self.staged, bytes: self.bytes, sha256: hex::encode(self.sha256.finalize()) })
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.body {
            Body::Disk(file) => file.write(bytes)?,
        };
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.body {
            Body::Disk(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_directories_or_file_urls() {
        assert_eq!(Root::parse("/lake/a").unwrap().url().unwrap(), "file:///lake/a/");
        assert_eq!(Root::parse("file:///lake/a%20b").unwrap(), Root::Disk("/lake/a b".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(Root::parse("./lake").unwrap(), Root::Disk(here.join("lake")));
        for url in ["", "s3://bucket/x", "file://host/x", "http://h/x"] {
            assert!(matches!(Root::parse(url), Err(SinkError::UnsupportedUrl { .. })), "{url}");
        }
        let root = Root::parse("./a b%/é").unwrap();
        assert_eq!(Root::parse(&root.url().unwrap()).unwrap(), Root::Disk(here.join("a b%/é")));
    }

    #[test]
    fn a_full_disk_is_an_error_of_the_write() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = StagedFile { body: Body::Disk(full), staged: String::new(), sha256: Sha256::new(), bytes: 0 };
        assert_eq!(file.write_all(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.bytes(), 0);
    }
}
