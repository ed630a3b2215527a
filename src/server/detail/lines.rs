//! The slices of a run, a line each: from its report, or from what the ledger kept.

use serde::Serialize;

use super::super::runs::Badge;
use super::super::text;
use super::Stages;
use crate::ledger::{Close, Closed, Landing, SliceRef};
use crate::model::{EndReason, Fetched, JobReport, Reconciliation, SinkCounts, SliceOutcome, SliceReport, Verdict};

/// How many characters of an error are shown in the list of slices; the rest is unfolded.
const BRIEF: usize = 140;

/// A slice of a run.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) job: String,
    pub(super) slice: String,
    pub(super) key: Option<String>,
    pub(super) badge: Badge,
    pub(super) generation: Option<u32>,
    pub(super) fetched: Option<Fetched>,
    pub(super) took: Option<Stages>,
    pub(super) received: Option<u64>,
    pub(super) landed: u64,
    pub(super) quarantined: Option<u64>,
    pub(super) bytes: u64,
    pub(super) proof: Option<String>,
    pub(super) doubt: bool,
    pub(super) error: Option<String>,
    /// The reason without the request, cut: of a long error.
    pub(super) brief: Option<String>,
    /// Where it stands in the list.
    pub(super) place: usize,
    /// Whether it ended well, with nothing to say beside.
    pub(super) is_quiet: bool,
}

pub(super) fn line(job: &JobReport, slice: &SliceReport) -> Line {
    let (badge, error) = match &slice.outcome {
        SliceOutcome::Landed => (Badge::good("landed"), None),
        SliceOutcome::Unchanged => (Badge::idle("unchanged"), None),
        SliceOutcome::Failed { error, .. } => (Badge::bad("failed"), Some(error.clone())),
    };
    let mut sinks = SinkCounts::default();
    slice.sinks.values().for_each(|counts| sinks += *counts);
    let found = slice.reconciliation.as_ref();
    Line {
        job: job.job.to_string(),
        slice: slice.slice.to_string(),
        key: slice.key.as_ref().map(ToString::to_string),
        badge,
        generation: slice.generation,
        fetched: Some(slice.fetched),
        took: Some(Stages::of(slice.took)),
        received: Some(slice.rows.received),
        landed: sinks.landed,
        quarantined: Some(slice.rows.quarantined),
        bytes: sinks.bytes,
        proof: found.map(proof),
        doubt: found.is_some_and(is_doubtful),
        brief: error.as_deref().and_then(brief),
        error,
        place: 0,
        is_quiet: false,
    }
}

fn of_ref(at: &SliceRef, badge: Badge) -> Line {
    Line {
        job: at.job.to_string(),
        slice: at.slice.to_string(),
        key: at.key.as_ref().map(ToString::to_string),
        badge,
        generation: None,
        fetched: None,
        took: None,
        received: None,
        landed: 0,
        quarantined: None,
        bytes: 0,
        proof: None,
        doubt: false,
        brief: None,
        error: None,
        place: 0,
        is_quiet: false,
    }
}

pub(super) fn landed(landing: &Landing) -> Line {
    Line {
        generation: Some(landing.generation),
        received: Some(landing.reconciliation.received),
        landed: landing.rows,
        bytes: landing.totals.bytes,
        proof: Some(proof(&landing.reconciliation)),
        doubt: is_doubtful(&landing.reconciliation),
        ..of_ref(&landing.at, Badge::good("landed"))
    }
}

pub(super) fn closed(close: &Close) -> Option<Line> {
    match &close.why {
        Closed::Unchanged => Some(of_ref(&close.at, Badge::idle("unchanged"))),
        Closed::Failed { error } => {
            Some(Line { brief: brief(error), error: Some(error.clone()), ..of_ref(&close.at, Badge::bad("failed")) })
        }
        Closed::Empty | Closed::Dropped => None,
    }
}

fn is_doubtful(found: &Reconciliation) -> bool {
    matches!(found.verdict, Verdict::Short | Verdict::Over | Verdict::Moving)
}

/// Says what the reading of a slice proved, and by what.
fn proof(found: &Reconciliation) -> String {
    let word = match found.verdict {
        Verdict::Complete => "complete",
        Verdict::Unknown => "not proven",
        Verdict::Moving => "moving",
        Verdict::Short => "short",
        Verdict::Over => "over",
    };
    let total =
        found.total_last.map(|total| format!("{} of {} stated", text::count(found.distinct), text::count(total)));
    let passes = if found.passes > 1 { format!(", read {} times", found.passes) } else { String::new() };
    format!("{word}: {}{passes}", total.unwrap_or_else(|| reason(found.end).to_owned()))
}

/// Cuts a long error to its reason: the request before it is much the same in all slices. None of a short one.
fn brief(error: &str) -> Option<String> {
    let reason =
        error.split_once(": ").filter(|(request, _)| request.contains(" /")).map_or(error, |(_, reason)| reason);
    (error.chars().count() > BRIEF).then(|| format!("{}…", reason.chars().take(BRIEF).collect::<String>()))
}

const fn reason(end: EndReason) -> &'static str {
    match end {
        EndReason::OnePage => "one page",
        EndReason::PartsRead => "all parts were read",
        EndReason::EmptyPage => "an empty page came",
        EndReason::EmptyAfterShort => "an empty page came, but pages in the middle were short",
        EndReason::NeverFull => "an empty page came, but no page was full",
        EndReason::MoreFalse => "the server said that there is no more",
        EndReason::MoreFalseAfterShort => "the server said that there is no more, but pages in the middle were short",
        EndReason::PageAgain => "the stated total was reached, and the last page came again",
        EndReason::TotalReached => "the stated total was reached",
        EndReason::ShortPage => "a short page came",
        EndReason::NothingNew => "a page brought nothing new",
        EndReason::CursorEmpty => "the cursor was empty",
        EndReason::CursorGone => "a page gave no cursor",
        EndReason::CursorGoneFull => "a full page gave no cursor",
        EndReason::NoCursor => "no page gave a cursor",
        EndReason::LinkEmpty => "the link was empty",
        EndReason::LinkGone => "a page gave no link",
        EndReason::LinkGoneFull => "a full page gave no link",
        EndReason::NoLink => "no page gave a link",
        EndReason::SliceFull => "the slice has the rows that it was meant to have",
    }
}
