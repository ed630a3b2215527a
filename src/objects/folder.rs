//! One place, however it is written: `./lake`, `lake/../lake//`, a link to it, its `file://` URL.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use url::Url;

use super::Location;

/// Makes a path absolute by the working directory, without `.`, `..` and doubled slashes.
///
/// A link is followed where a `..` comes after it, as the system does. Others stay as they are written: so what is noted of a path still
/// holds where a link is set to another disk.
///
/// # Errors
///
/// The path is empty, or the working directory isn't known.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        if part == Component::ParentDir {
            plain = followed(&plain);
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    Ok(plain)
}

/// Returns the URL of a sink's `url`, or of a receipt's root, that ends with a slash and is the same for all ways of writing the place. To
/// compare by, not to be kept: a link may lead elsewhere tomorrow. What names no place stays as it is.
#[must_use]
pub fn place(root: &str) -> String {
    match Location::parse(root) {
        Ok(Some(at)) => format!("{}/", at.to_string().trim_end_matches('/')),
        Ok(None) => folder(root).unwrap_or_else(|| root.to_owned()),
        Err(_) => root.to_owned(),
    }
}

fn folder(root: &str) -> Option<String> {
    let path = if root.contains("://") { Url::parse(root).ok()?.to_file_path().ok()? } else { PathBuf::from(root) };
    let real = followed(&absolute(&path).ok()?);
    Url::from_directory_path(real).ok().map(Into::into)
}

/// Follows the links of an absolute path, as far as it exists.
fn followed(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some(fs::canonicalize(above).ok()?.join(rest))
    });
    // A `join` of nothing would end with a slash.
    real.map_or_else(|| path.to_owned(), |real| real.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |below: &str| format!("{}/{below}", folder.path().canonicalize().unwrap().display());
        fs::create_dir_all(at("lake/a")).unwrap();
        std::os::unix::fs::symlink(at("lake/a"), at("link")).unwrap();
        let lake = format!("file://{}/", at("lake"));
        for spelt in ["lake", "lake/", "./lake", "lake//.", "lake/../lake", "gone/../lake", "link/.."] {
            assert_eq!(place(&at(spelt)), lake, "{spelt}");
        }
        assert_eq!(place(&lake), lake);
        assert_eq!(place(&format!("file://{}", at("gone/../lake"))), lake);
        for spelt in ["link/new", "lake/a/new", "lake/x/../a/new"] {
            assert_eq!(place(&at(spelt)), format!("{lake}a/new/"), "{spelt}");
        }
        assert_eq!(place("s3://b/x//y"), "s3://b/x/y/");
        assert_eq!(place("http://h/x"), "http://h/x");
        // What is kept of a path isn't where its links lead today.
        assert_eq!(absolute(Path::new(&at("./link/../x"))).unwrap(), Path::new(&at("lake/x")));
        assert_eq!(absolute(Path::new(&at("link//x/."))).unwrap(), Path::new(&at("link/x")));
        assert_eq!(place("/"), "file:///");
    }
}
