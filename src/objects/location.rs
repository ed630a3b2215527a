//! Places in object stores, as URLs. Pure.

use std::fmt;

use object_store::path::Path;
use thiserror::Error;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Amazon S3, and whatever speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// The memory of this process.
    Memory,
}

impl Scheme {
    const ALL: [(Self, &'static str); 4] =
        [(Self::S3, "s3"), (Self::Gs, "gs"), (Self::Az, "az"), (Self::Memory, "memory")];

    /// Returns it as a URL has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(scheme, _)| *scheme == self).map_or("", |(_, name)| name)
    }
}

/// A place in an object store: `s3://bucket/prefix`. What follows the bucket is the key's beginning, letter for letter: nothing in
/// it is percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    scheme: Scheme,
    bucket: String,
    /// Parts that aren't empty, with `/` between them.
    prefix: String,
}

/// Why a URL names no place in an object store. The URL isn't quoted: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocationError {
    /// No store has the scheme.
    #[error("`{0}://` is no kind of store: use s3://bucket/prefix, or a folder")]
    Scheme(String),
    /// What follows a scheme isn't `://`. As a folder of that name it would be lost with the machine.
    #[error("`{0}:` isn't followed by `//`: write {0}://bucket/prefix; for a folder of that name write ./{0}:")]
    Slashes(&'static str),
    /// There is no bucket.
    #[error("it names no bucket: write {0}://bucket/prefix")]
    NoBucket(&'static str),
    /// The bucket can't be one.
    #[error(
        "a bucket's name has letters, digits, `-`, `_` and `.` only; credentials, ports and regions come from the environment"
    )]
    Bucket,
    /// The prefix can't begin a key.
    #[error(
        "what follows the bucket must be plain parts with `/` between them: no `.`, no `..`, no `?`, no `#` and no control characters"
    )]
    Prefix,
}

/// Returns the place `path` below a folder or a place in a store, as it would be written.
#[must_use]
pub fn below(root: &str, path: &str) -> String {
    match root.trim_end_matches('/') {
        // `memory://` has no bucket, and `file:///` is the root folder.
        scheme if scheme.ends_with(':') && root[scheme.len()..].starts_with("//") => format!("{scheme}///{path}"),
        root => format!("{root}/{path}"),
    }
}

impl Location {
    /// Reads a URL; `None` where it names a folder: a path, or `file://`.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn parse(url: &str) -> Result<Option<Self>, LocationError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            let begins = |(_, name): &&(Scheme, &str)| url.split_once(':').is_some_and(|(before, _)| before == *name);
            return Scheme::ALL.iter().find(begins).map_or(Ok(None), |(_, name)| Err(LocationError::Slashes(name)));
        };
        if scheme == "file" {
            return Ok(None);
        }
        let known = Scheme::ALL.iter().find(|(_, name)| *name == scheme);
        let Some((scheme, name)) = known.copied() else { return Err(LocationError::Scheme(scheme.to_owned())) };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() && scheme != Scheme::Memory {
            return Err(LocationError::NoBucket(name));
        }
        if !bucket.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return Err(LocationError::Bucket);
        }
        let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        let prefix = parts.join("/");
        if prefix.contains(['?', '#']) || Path::parse(&prefix).is_err() {
            return Err(LocationError::Prefix);
        }
        Ok(Some(Self { scheme, bucket: bucket.to_owned(), prefix }))
    }

    /// Returns the kind of store.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the bucket as a URL, without a `/` at its end.
    #[must_use]
    pub fn bucket_url(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.bucket)
    }

    /// Returns the place below it, or `None` where `below` isn't plain parts.
    #[must_use]
    pub fn join(&self, below: &str) -> Option<Self> {
        let key = self.key(below)?;
        Some(Self { prefix: key.as_ref().to_owned(), ..self.clone() })
    }

    /// Returns the key of an object below it, letter for letter: `object_store` encodes a key only where it is given in parts. `None`
    /// where `below` isn't plain parts.
    #[must_use]
    pub fn key(&self, below: &str) -> Option<Path> {
        let all = if self.prefix.is_empty() { below.to_owned() } else { format!("{}/{below}", self.prefix) };
        let plain = !below.is_empty() && !below.starts_with('/') && !below.ends_with('/');
        Path::parse(&all).ok().filter(|path| plain && path.as_ref() == all)
    }

    /// Returns the key that all objects below it begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme.as_str(), self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Location {
        Location::parse(url).unwrap().unwrap()
    }

    #[test]
    fn a_place_below_another_is_one() {
        for (root, at) in [
            ("memory://", "memory:///p/x"),
            ("memory://state/", "memory://state/p/x"),
            ("s3://lake/a", "s3://lake/a/p/x"),
            ("file:///", "file:///p/x"),
            ("/", "/p/x"),
            ("./a:/", "./a:/p/x"),
        ] {
            assert_eq!(below(root, "p/x"), at);
            assert!(Location::parse(at).is_ok());
        }
    }

    #[test]
    fn urls_are_read_and_printed() {
        for (url, printed) in [
            ("s3://lake", "s3://lake/"),
            ("s3://lake/a/b/", "s3://lake/a/b"),
            ("s3://lake//a//b", "s3://lake/a/b"),
            ("gs://lake.x/a b%2F", "gs://lake.x/a b%2F"),
            ("memory:///x", "memory:///x"),
        ] {
            assert_eq!(read(url).to_string(), printed);
            assert_eq!(read(&read(url).to_string()), read(url));
        }
        for folder in ["./lake", "/lake", "", "file:///lake", "./s3:/lake", "s3", "a:b"] {
            assert_eq!(Location::parse(folder), Ok(None));
        }
        for wrong in [
            "s3://",
            "s3:///x",
            "s3://key:secret@lake/x",
            "s3://lake:9000/x",
            "s3://lake/../x",
            "ftp://x",
            "s3://lake/x?y=1",
            "s3:/lake/x",
            "s3:lake",
        ] {
            let error = Location::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn keys_are_what_they_are_given_as() {
        let at = read("s3://lake/data sets");
        let below = "c=..%2F..%2Fetc/p-j-20260101T000000Z-g1-00000.parquet";
        assert_eq!(at.key(below).unwrap().as_ref(), format!("data sets/{below}"));
        assert_eq!(read("s3://lake").key("a/b").unwrap().as_ref(), "a/b");
        for wrong in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\n"] {
            assert_eq!(at.key(wrong), None, "{wrong:?}");
        }
        assert_eq!(at.join("p/quarantine").unwrap().to_string(), "s3://lake/data sets/p/quarantine");
    }
}
