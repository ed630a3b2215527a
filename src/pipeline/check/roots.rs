//! Sinks that would mix their rows: each data set has a folder of its own.

use super::super::file::{PipelineFile, SinkFile};
use super::super::load::{Diagnostic, Spanned};
use super::Findings;
use crate::objects::{self, Location, Scheme};

/// The folder of a sink.
struct Root<'f> {
    job: &'f str,
    sink: &'f str,
    url: &'f Spanned<String>,
    /// One way of writing the folder; it ends with a slash.
    place: String,
    format: &'static str,
}

impl Findings<'_> {
    /// Refuses two sinks of which one writes below the other, or another format where the other does: who reads the folder would find
    /// the files of both. That two jobs land in one data set is only told: it may be meant. Those of one job in one folder are looked
    /// at where the job is.
    pub(super) fn roots(&mut self, file: &PipelineFile) {
        let roots = file.jobs.iter().flat_map(|(job, keys)| {
            keys.sinks.iter().filter_map(|(sink, file)| {
                let (format, url) = written(file).filter(|(_, url)| is_folder(&url.value))?;
                let place = objects::place(&url.value);
                Some(Root { job: &job.value, sink: &sink.value, url, place, format })
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
                roots.iter().take(at).find(|earlier| earlier.place == later.place && earlier.job != later.job)
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
    if one.place == other.place {
        let message = format!("the jobs `{}` and `{}` would land in one folder in two formats", one.job, other.job);
        let help = "give each its own `url`: a reader of the folder would find files that it can't read";
        return (one.job != other.job && one.format != other.format).then_some((message, help));
    }
    // Within a job readers tell files by their format, as in one folder.
    if one.job == other.job && one.format != other.format {
        return None;
    }
    let (outer, inner) = if one.place.len() < other.place.len() { (one, other) } else { (other, one) };
    let name = |root: &Root<'_>| format!("`jobs.{}.sinks.{}`", root.job, root.sink);
    inner.place.starts_with(&outer.place).then(|| {
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

/// Returns the format of a sink's files, and their place; none where it has no files.
fn written(sink: &SinkFile) -> Option<(&'static str, &Spanned<String>)> {
    let parquet = sink.parquet.as_ref().map(|file| ("parquet", &file.url));
    let csv = || sink.csv.as_ref().map(|file| ("csv", &file.url));
    let jsonl = || sink.jsonl.as_ref().map(|file| ("jsonl", &file.url));
    parquet.or_else(csv).or_else(jsonl)
}
