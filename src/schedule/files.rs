//! The folder of pipeline files, by content: a `ConfigMap` swaps a link and keeps times and names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::looks::PROMPT;
use crate::pipeline::spec::Pipeline;

/// Reads a pipeline file and checks it.
pub type Loader = Arc<dyn Fn(&Path) -> Result<Pipeline, Refusal> + Send + Sync>;

/// Why a pipeline file can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// All that is wrong with it, as a person reads it.
    pub why: String,
    /// The files beside it that were read, or looked for: what is wrong may lie in them.
    pub files: Vec<PathBuf>,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { why, files: Vec::new() }
    }
}

/// The digest of a file; none where it can't be read.
pub(super) type FileDigest = Option<[u8; 32]>;

/// What the folder holds.
pub(super) struct Found {
    /// All pipeline files right in it.
    pub(super) files: BTreeSet<PathBuf>,
    /// What was read of them.
    pub(super) read: Vec<(PathBuf, Read)>,
    /// Those whose reading goes on.
    pub(super) slow: Vec<Slow>,
}

/// A file whose reading goes on.
pub(super) struct Slow {
    pub(super) file: PathBuf,
    pub(super) since: Instant,
    pub(super) sight: Sight,
    reading: JoinHandle<Read>,
}

impl Slow {
    /// Waits until it has been read.
    pub(super) async fn read(self) -> Read {
        self.reading.await.unwrap_or_else(|error| lost(&error))
    }
}

/// How a file looked when its reading began, none where it wasn't there; nothing as long as that isn't known.
pub(super) type Sight = Arc<OnceLock<Option<Stamp>>>;

/// What was read of a file.
#[expect(clippy::large_enum_variant, reason = "there are as many as files, and each is taken apart at once")]
pub(super) enum Read {
    /// It is as it was.
    Same,
    /// It is new, or another one.
    New {
        /// Its digest.
        digest: FileDigest,
        /// What came of it.
        loaded: Result<Pipeline, Refusal>,
        /// Where it is refused: how all looked that it depends on.
        stamps: Stamps,
    },
}

/// What was known of a file before.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) digest: FileDigest,
    /// Whether it was refused.
    pub(super) refused: bool,
    /// Where it was: how all looked that it depends on.
    pub(super) stamps: Stamps,
}

/// How files looked from outside; none where that tells nothing: then they are read again.
pub(super) type Stamps = Option<Vec<(PathBuf, Option<Stamp>)>>;

/// How a file looks from outside: another content has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    written: Option<SystemTime>,
    /// Device, inode, and when the inode was changed, where there are such.
    inode: [i64; 4],
}

/// A file that was written so shortly before may be written again without looking another one: file systems count time in steps.
const STEP: Duration = Duration::from_secs(2);

/// How long each of the others may take once a file was slow.
const BRIEF: Duration = Duration::from_millis(50);

/// Looks at the folder, and reads what is new, or has changed: one file after the other. One that is slow holds up the others only for a
/// moment. `busy` files are being read already, and again only where they look another one by now.
///
/// # Errors
/// The folder can't be read.
pub(super) async fn look(
    folder: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    busy: BTreeMap<PathBuf, Sight>,
    loader: Loader,
    now: SystemTime,
) -> Result<Found, String> {
    let listed = tokio::task::spawn_blocking(move || list(&folder)).await.map_err(|error| error.to_string())?;
    let files = listed.map_err(|error| error.to_string())?;
    let mut found = Found { files, read: Vec::new(), slow: Vec::new() };
    let mut patience = PROMPT;
    for file in &found.files {
        let busy = busy.get(file).cloned();
        if busy.as_ref().is_some_and(|sight| sight.get().is_none()) {
            continue;
        }
        let (since, sight) = (Instant::now(), Sight::default());
        let one = One { path: file.clone(), known: known.get(file).cloned(), busy, now };
        let (loader, seen) = (Arc::clone(&loader), Arc::clone(&sight));
        let mut reading = tokio::task::spawn_blocking(move || one.read(&loader, &seen));
        if let Ok(read) = tokio::time::timeout(patience, &mut reading).await {
            found.read.push((file.clone(), read.unwrap_or_else(|error| lost(&error))));
        } else {
            patience = BRIEF;
            found.slow.push(Slow { file: file.clone(), since, sight, reading });
        }
    }
    Ok(found)
}

fn lost(error: &JoinError) -> Read {
    Read::New { digest: None, loaded: Err(unchecked(error)), stamps: None }
}

fn unchecked(error: &JoinError) -> Refusal {
    format!("the file can't be checked: {error}; this is a bug of Tidegate").into()
}

/// Lists the pipeline files right in `folder`.
fn list(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // Where a link leads isn't looked at here: that may take long.
        if yaml && !hidden && !entry.file_type()?.is_dir() {
            found.insert(path);
        }
    }
    Ok(found)
}

/// A file that is to be looked at.
struct One {
    path: PathBuf,
    known: Option<Known>,
    /// How it looked when it was begun to be read, where that goes on.
    busy: Option<Sight>,
    now: SystemTime,
}

impl One {
    /// Reads it, unless it is as it was before. One that is refused isn't even read as long as nothing it depends on looks another one.
    fn read(&self, loader: &Loader, sight: &Sight) -> Read {
        let (path, before) = (self.path.as_path(), stamp(&self.path));
        // It is set here only.
        let _ = sight.set(before.clone());
        let known = self.known.as_ref();
        let is_busy = self.busy.as_ref().and_then(|sight| sight.get()) == Some(&before);
        if is_busy || known.is_some_and(|known| known.refused && are_same(&known.stamps)) {
            return Read::Same;
        }
        let irregular = std::fs::metadata(path).ok().and_then(|found| irregular(path, found.file_type()));
        if let Some(refusal) = irregular {
            let stamps = stamps(path, &refusal, self.now);
            return Read::New { digest: None, loaded: Err(refusal), stamps };
        }
        let digest = std::fs::read(path).ok().map(|bytes| Sha256::digest(&bytes).into());
        if known.is_some_and(|known| !known.refused && known.digest == digest) {
            return Read::Same;
        }
        let checked = loader(path);
        let stamps = checked.as_ref().err().and_then(|refusal| stamps(path, refusal, self.now));
        // It may have been written meanwhile.
        Read::New { digest, loaded: checked, stamps: stamps.filter(|_| stamp(path) == before) }
    }
}

/// Says what a file is that has no end of its own, or hangs whoever reads it.
fn irregular(path: &Path, kind: FileType) -> Option<Refusal> {
    if kind.is_file() || kind.is_dir() {
        return None;
    }
    let what = what(kind);
    let path = path.display();
    let help = "put a regular file there, or a link to one, or remove it";
    Some(format!("error: {path} isn't a regular file, but {what}, so it isn't read\n  = help: {help}").into())
}

#[cfg(unix)]
fn what(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn what(_: FileType) -> &'static str {
    "something else"
}

fn are_same(stamps: &Stamps) -> bool {
    stamps.as_ref().is_some_and(|stamps| stamps.iter().all(|(path, before)| stamp(path) == *before))
}

fn stamps(path: &Path, refusal: &Refusal, now: SystemTime) -> Stamps {
    let all = std::iter::once(path).chain(refusal.files.iter().map(PathBuf::as_path));
    let all = all.map(|path| (path.to_owned(), stamp(path))).collect::<Vec<_>>();
    let is_old = |stamp: &Stamp| stamp.written.is_some_and(|written| written + STEP < now);
    all.iter().all(|(_, stamp)| stamp.as_ref().is_none_or(is_old)).then_some(all)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some(Stamp { bytes: found.len(), written: found.modified().ok(), inode: inode(&found) })
}

#[cfg(unix)]
fn inode(found: &Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    [found.dev().cast_signed(), found.ino().cast_signed(), found.ctime(), found.ctime_nsec()]
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> [i64; 4] {
    [0; 4]
}

/// Reads a file off the async threads.
pub(super) async fn load(loader: Loader, file: PathBuf, sight: Sight) -> Result<Pipeline, Refusal> {
    let read = tokio::task::spawn_blocking(move || {
        // It is set here only.
        let _ = sight.set(stamp(&file));
        loader(&file)
    });
    let read = read.await;
    read.unwrap_or_else(|error| Err(unchecked(&error)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::tests::of_name;
    use super::*;

    fn read(path: &Path, known: Option<&Known>, loader: &Loader, now: SystemTime) -> Read {
        let one = One { path: path.to_owned(), known: known.cloned(), busy: None, now };
        one.read(loader, &Sight::default())
    }

    fn digests(folder: &Path) -> Vec<(PathBuf, FileDigest)> {
        let loader: Loader = Arc::new(|path: &Path| Ok(of_name(path)));
        let digest = |path: &Path| match read(path, None, &loader, SystemTime::UNIX_EPOCH) {
            Read::New { digest, .. } => digest,
            Read::Same => panic!("nothing was known of it"),
        };
        list(folder).unwrap().into_iter().map(|path| (path.clone(), digest(&path))).collect()
    }

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
        let before = digests(folder.path());
        assert_eq!(before.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&at("a.yaml")]);
        assert_eq!(digests(folder.path()), before);
        std::fs::remove_file(at("..data")).unwrap();
        assert_eq!(digests(folder.path()), [(at("a.yaml"), None)], "in the middle of the swap");
        std::os::unix::fs::symlink("..v2", at("..data")).unwrap();
        let after = digests(folder.path());
        assert!(after != before && after.iter().all(|(_, digest)| digest.is_some()));
    }

    #[test]
    fn a_refused_file_is_read_again_only_once_something_it_depends_on_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.yaml"), "broken").unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let (counted, key) = (Arc::clone(&count), at("key"));
        let loader: Loader = Arc::new(move |_: &Path| {
            counted.fetch_add(1, Ordering::SeqCst);
            Err(Refusal { why: "no".to_owned(), files: vec![key.clone()] })
        });
        let mut known = None;
        let mut looks = |now: SystemTime| {
            if let Read::New { digest, stamps, .. } = read(&at("a.yaml"), known.as_ref(), &loader, now) {
                known = Some(Known { digest, refused: true, stamps });
            }
            count.load(Ordering::SeqCst)
        };
        let now = std::fs::metadata(at("a.yaml")).unwrap().modified().unwrap();
        let later = now + Duration::from_secs(3600);
        assert_eq!([looks(now), looks(now)], [1, 2], "it was written a moment ago");
        assert_eq!([looks(later), looks(later), looks(later)], [3, 3, 3]);
        std::fs::write(at("key"), "k").unwrap();
        assert_eq!([looks(later), looks(later)], [4, 4], "what it names is there now");
        std::fs::write(at("new"), "broken").unwrap();
        std::fs::rename(at("new"), at("a.yaml")).unwrap();
        assert_eq!([looks(later), looks(later)], [5, 5], "another file with the same text");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_hangs_is_read_again_only_once_it_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.yaml", "b.yaml"] {
            std::fs::write(at(name), "").unwrap();
        }
        let (opens, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let loader: Loader = Arc::new(move |path: &Path| {
            if std::fs::read(path).unwrap().is_empty() && path.ends_with("a.yaml") {
                let _ = gate.lock().unwrap().recv();
            }
            Ok(of_name(path))
        });
        let looks = async |busy: &BTreeMap<PathBuf, Sight>| {
            let (folder, now) = (folder.path().to_owned(), SystemTime::UNIX_EPOCH);
            look(folder, BTreeMap::new(), busy.clone(), Arc::clone(&loader), now).await.unwrap()
        };
        let is_new = |found: &Found| {
            let new = found.read.iter().filter(|(_, read)| matches!(read, Read::New { .. }));
            new.map(|(file, _)| file.clone()).collect::<Vec<_>>()
        };
        let found = looks(&BTreeMap::new()).await;
        assert_eq!((is_new(&found), found.slow.len()), (vec![at("b.yaml")], 1), "the other one is read");
        let busy = BTreeMap::from([(at("a.yaml"), Arc::clone(&found.slow[0].sight))]);
        let again = looks(&busy).await;
        assert_eq!((is_new(&again), again.slow.len()), (vec![at("b.yaml")], 0), "no second thread hangs");
        std::fs::write(at("a.yaml"), "mended").unwrap();
        let mended = looks(&busy).await;
        assert_eq!((is_new(&mended), mended.slow.len()), (vec![at("a.yaml"), at("b.yaml")], 0));
        drop(opens);
    }

    #[test]
    fn what_has_no_end_is_refused_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.yaml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
        let loader: Loader = Arc::new(|path: &Path| panic!("{} is read", path.display()));
        for (path, what) in list(folder.path()).unwrap().iter().zip(["a named pipe", "a device"]) {
            let Read::New { loaded: Err(refusal), .. } = read(path, None, &loader, SystemTime::UNIX_EPOCH) else {
                panic!("{} isn't refused", path.display())
            };
            assert!(refusal.why.contains(&format!("isn't a regular file, but {what}")), "{}", refusal.why);
        }
    }
}
