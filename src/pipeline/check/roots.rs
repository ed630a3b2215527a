//! Sinks that would mix their rows: each data set has a folder of its own.

use super::super::file::{PipelineFile, SinkFile};
use super::super::load::{Diagnostic, Spanned};
use super::Findings;
use super::sinks::root;
use crate::objects::{Location, Scheme};

/// The folder of a sink.
struct Root<'f> {
    job: &'f str,
    sink: &'f str,
    url: &'f Spanned<String>,
    path: String,
    format: &'static str,
}

impl Findings<'_> {
    /// Refuses two sinks of which one writes below the other, or another format where the other does: who reads the folder would find
    /// the files of both. That two jobs land in one data set is only told: it may be meant. Those of one job in one folder are looked
    /// at where the job is.
    pub(super) fn roots(&mut self, file: &PipelineFile) {
        let roots = file.jobs.iter().flat_map(|(job, keys)| {
            keys.sinks.iter().filter_map(|(sink, file)| {
                let (format, url) = place(file).filter(|(_, url)| is_folder(&url.value))?;
                Some(Root { job: &job.value, sink: &sink.value, url, path: root(&url.value), format })
            })
        });
        let roots: Vec<Root<'_>> = roots.collect();
        for (at, later) in roots.iter().enumerate() {
            let clash = roots.iter().take(at).find_map(|earlier| Some((earlier, clash(earlier, later)?)));
            if let Some((earlier, (message, help))) = clash {
                let diagnostic =
                    Diagnostic::error(later.url.span, message).related(earlier.url.span, "the other one").help(help);
                self.add(diagnostic);
            } else if let Some(earlier) =
                roots.iter().take(at).find(|earlier| earlier.path == later.path && earlier.job != later.job)
            {
                let message = format!("the jobs `{}` and `{}` land in one data set", earlier.job, later.job);
                let help = "a reader finds the rows of both, twice where both read the same: give each its own `url` unless that is meant";
                self.advise(later.url.span, &message, help);
            }
        }
    }
}

/// Says how two sinks would mix their rows, and what to do; none where they don't.
fn clash(one: &Root<'_>, other: &Root<'_>) -> Option<(String, &'static str)> {
    if one.path == other.path {
        let message = format!("the jobs `{}` and `{}` would land in one folder in two formats", one.job, other.job);
        let help = "give each its own `url`: a reader of the folder would find files that it can't read";
        return (one.job != other.job && one.format != other.format).then_some((message, help));
    }
    // Within a job readers tell files by their format, as in one folder.
    if one.job == other.job && one.format != other.format {
        return None;
    }
    let (outer, inner) = if one.path.len() < other.path.len() { (one, other) } else { (other, one) };
    let name = |root: &Root<'_>| format!("`jobs.{}.sinks.{}`", root.job, root.sink);
    lies_within(&outer.path, &inner.path).then(|| {
        let message = format!("the data set of {} would lie within that of {}", name(inner), name(outer));
        (message, "give each a folder beside the other: who reads the outer one would find the rows of both")
    })
}

/// Tells whether rows can land there; what else is written has been refused.
fn is_folder(url: &str) -> bool {
    match Location::parse(url) {
        Ok(None) => !url.is_empty(),
        Ok(Some(at)) => at.scheme() != Scheme::Memory,
        Err(_) => false,
    }
}

fn lies_within(outer: &str, inner: &str) -> bool {
    match outer.trim_end_matches('/') {
        // The working directory, of which an absolute path or a store is no part; or the root of the disk.
        "" => outer.starts_with('/') == inner.starts_with('/') && !inner.contains("://"),
        outer => inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')),
    }
}

/// Returns the format of a sink's files, and their place; none where it has no files.
fn place(sink: &SinkFile) -> Option<(&'static str, &Spanned<String>)> {
    let parquet = sink.parquet.as_ref().map(|file| ("parquet", &file.url));
    let csv = || sink.csv.as_ref().map(|file| ("csv", &file.url));
    let jsonl = || sink.jsonl.as_ref().map(|file| ("jsonl", &file.url));
    parquet.or_else(csv).or_else(jsonl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lies_within_another_by_whole_names() {
        for (outer, inner) in
            [("lake", "lake/a"), ("/lake", "/lake/a/b"), ("s3://b", "s3://b/a"), ("", "lake"), ("/", "/a")]
        {
            assert!(lies_within(outer, inner), "{outer} {inner}");
        }
        for (outer, inner) in
            [("lake", "lakes"), ("lake", "/lake/a"), ("", "/lake"), ("", "s3://b/a"), ("s3://b/a", "s3://b/ab")]
        {
            assert!(!lies_within(outer, inner), "{outer} {inner}");
        }
    }
}
