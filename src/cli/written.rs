//! Files that are written where a person says: whole where that is a file, also behind a link; in place where it is something else.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The most links that are followed, one to the next: as Linux does.
const LINKS: usize = 40;

/// Writes a file so that nobody reads half of it. What isn't a file, such as a pipe, a terminal or `/dev/null`, stays what it is, and is
/// written to; so is a file that can't be replaced.
pub(super) async fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(place) = in_place::Place::of(path)? {
        return place.write(path, text, in_place::PATIENCE).await;
    }
    let path = behind_links(path)?;
    match whole(&path, text) {
        Err(error) if is_fixed(&error) && path.is_file() => over(&path, text),
        written => written,
    }
}

/// Tells whether a file can't be replaced that may still be written: one that a container has from outside is a mount of its own, and
/// the folder around it may be read-only.
fn is_fixed(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), ResourceBusy | PermissionDenied | ReadOnlyFilesystem)
}

/// Writes over a file.
fn over(path: &Path, text: &[u8]) -> io::Result<()> {
    File::options().write(true).truncate(true).open(path)?.write_all(text)
}

/// Writes a file beside its place, and moves it there.
fn whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tidegate-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Returns where the links lead, also where nothing is there yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..LINKS {
        // What can't be read as a link is none.
        let Ok(to) = fs::read_link(&at) else { return Ok(at) };
        at = at.parent().unwrap_or(Path::new("")).join(to);
    }
    Err(io::Error::other(format!("more than {LINKS} links lead from one to the next")))
}

#[cfg(unix)]
mod in_place {
    use std::io::{stderr, stdout};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::unix::pipe;

    use super::{File, Path, fs, io};

    /// How long something that isn't a file may take what is written.
    pub(super) const PATIENCE: Duration = Duration::from_secs(10);

    /// The number of the error that says that nobody has opened a pipe to read it: `ENXIO`.
    const NO_READER: i32 = 6;

    /// What isn't replaced.
    #[derive(Debug)]
    pub(super) enum Place {
        /// Our own output: it goes on from where that is.
        Own(File),
        /// A pipe with a name.
        Pipe,
        /// Anything else.
        Other,
    }

    impl Place {
        /// Tells what is there; none where it is a file, or nothing.
        pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
            let found = match fs::metadata(path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            for own in [own(&stdout()), own(&stderr())].into_iter().flatten() {
                if own.metadata().is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino())) {
                    return Ok(Some(Self::Own(own)));
                }
            }
            let kind = found.file_type();
            Ok(if kind.is_file() {
                None
            } else if kind.is_fifo() {
                Some(Self::Pipe)
            } else {
                Some(Self::Other)
            })
        }

        pub(super) async fn write(self, path: &Path, text: &[u8], patience: Duration) -> io::Result<()> {
            let (path, bytes) = (path.to_owned(), text.to_vec());
            let writing = async {
                match self {
                    // It may be read as slowly as what is printed.
                    Self::Own(mut own) => io::Write::write_all(&mut own, &bytes),
                    Self::Pipe => {
                        // Opening it otherwise waits for somebody to read it, for ever.
                        let mut pipe = pipe::OpenOptions::new().open_sender(&path).map_err(told)?;
                        pipe.write_all(&bytes).await
                    }
                    Self::Other => {
                        let write = move || io::Write::write_all(&mut File::options().write(true).open(path)?, &bytes);
                        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
                    }
                }
            };
            let late = || format!("what is there hasn't taken all of it within {} s", patience.as_secs());
            let written = tokio::time::timeout(patience, writing).await;
            written.unwrap_or_else(|_elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, late())))
        }
    }

    fn own(stream: &(impl AsFd + io::IsTerminal)) -> Option<File> {
        Some(File::from(stream.as_fd().try_clone_to_owned().ok()?))
    }

    fn told(error: io::Error) -> io::Error {
        if error.raw_os_error() == Some(NO_READER) {
            io::Error::new(error.kind(), "it is a pipe that nobody reads")
        } else {
            error
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    use std::time::Duration;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn pipe(folder: &Path) -> PathBuf {
        let path = folder.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[tokio::test]
    async fn a_link_stays_and_what_it_leads_to_is_written() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("there")).unwrap();
        fs::write(at("there/old"), "old").unwrap();
        symlink("there/old", at("first")).unwrap();
        symlink(at("first"), at("second")).unwrap();
        symlink("there/new", at("dangling")).unwrap();
        for (link, file) in [("second", "there/old"), ("dangling", "there/new")] {
            write(&at(link), b"new").await.unwrap();
            assert!(at(link).is_symlink(), "{link}");
            assert_eq!(fs::read(at(file)).unwrap(), b"new", "{link}");
        }
        symlink("loop", at("loop")).unwrap();
        assert!(write(&at("loop"), b"new").await.is_err());
        assert!(write(folder.path(), b"new").await.is_err(), "a folder");
    }

    #[tokio::test]
    async fn a_file_in_a_folder_that_is_read_only_is_written_where_it_is() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = folder();
        let path = folder.path().join("report");
        fs::write(&path, "an old one, and longer").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let written = write(&path, b"new").await;
        let other = folder.path().join("other");
        // Who may write everywhere, such as root, replaces it.
        let is_free = File::create(&other).is_ok();
        let refused = write(&other, b"new").await;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        written.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(refused.is_ok(), is_free);
        over(&path, b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[tokio::test]
    async fn a_device_stays_a_device_and_says_what_it_says() {
        let folder = folder();
        // Behind links, so that this machine keeps its devices whatever becomes of the test.
        for (device, kind) in [("/dev/full", Some(io::ErrorKind::StorageFull)), ("/dev/null", None)] {
            let link = folder.path().join(device.rsplit_once('/').unwrap().1);
            symlink(device, &link).unwrap();
            assert_eq!(write(&link, b"new").await.err().map(|error| error.kind()), kind, "{device}");
            assert!(link.is_symlink() && fs::metadata(&link).unwrap().file_type().is_char_device(), "{device}");
        }
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_is_an_error_and_one_that_is_read_gets_all() {
        let folder = folder();
        let path = pipe(folder.path());
        let error = write(&path, b"new").await.unwrap_err();
        assert_eq!(error.to_string(), "it is a pipe that nobody reads");
        // More than a pipe holds.
        let text = vec![b'x'; 1 << 20];
        let reader = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&path).unwrap();
        let place = in_place::Place::of(&path).unwrap().unwrap();
        let error = place.write(&path, &text, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "nobody takes it");
        drop(reader);
        let read = path.clone();
        let reading = tokio::task::spawn_blocking(move || fs::read(read).unwrap());
        // Until the reader has opened it, there is none.
        while let Err(error) = write(&path, &text).await {
            assert_eq!(error.to_string(), "it is a pipe that nobody reads");
            tokio::task::yield_now().await;
        }
        assert_eq!(reading.await.unwrap().len(), text.len());
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    }
}
