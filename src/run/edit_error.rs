//! Edits of a pipeline file that would leave a lake whose files no longer mean what it says.

use crate::model::JobName;

/// Why a job isn't run that was edited after data landed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// An edit of the pipeline file changed what names the data.
    #[error(
        "the job `{job}` was changed after data landed: {what}; what is in the lake would no longer match: take the edit back; or run once \
         with `--accept future` (what has landed stays, the edit applies to what lands from now on) or `--accept reland` (what has landed is \
         read again and replaced); or give the job another name, and its sinks another `url`{lines}"
    )]
    Renamed {
        /// The job.
        job: JobName,
        /// What was changed, from what to what.
        what: String,
        /// The lines of SQL that differ, each after a line end; or nothing.
        lines: String,
    },
    /// A sink that sends is new to a job that has landed data.
    #[error(
        "the job `{job}` has a new sink that sends, {sinks}: run once with `--accept future` (it is sent what lands from now on){}{renamed}",
        if *past { "" } else { ", or with `--accept reland` (what has landed is read again, and all of it is sent)" }
    )]
    NewSender {
        /// The job.
        job: JobName,
        /// The new sinks.
        sinks: String,
        /// Whether lists of the past have landed, which can't be read again.
        past: bool,
        /// What to know where sinks that sent are gone; or nothing.
        renamed: String,
    },
    /// An edit can't be accepted in the way that was asked for.
    #[error("the edit of the job `{job}` can't be accepted so: {what}: {why}{lines}")]
    NotAccepted {
        /// The job.
        job: JobName,
        /// What was changed, from what to what.
        what: String,
        /// Why not, and what can be done.
        why: String,
        /// The lines of SQL that differ, each after a line end; or nothing.
        lines: String,
    },
}
