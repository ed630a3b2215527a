//! What keeps a slice from landing though it was read to its end: what the reading proved, and rows that don't fit.

use crate::model::{EndReason, Reconciliation, Verdict};
use crate::pipeline::file::{BadRows, OnMismatch};
use crate::pipeline::spec::{Job, MostBadRows, PaginateKind, Slicing};
use crate::run::RunError;
use crate::run::collect::Collected;
use crate::run::quarantine::BadRow;

/// Refuses a reading that isn't as the server states it, unless the job says otherwise: then returns what a person should know.
pub(in crate::run) fn reconcile(job: &Job, proved: &Reconciliation) -> Result<Option<String>, RunError> {
    let verdict = match proved.verdict {
        Verdict::Complete | Verdict::Unknown => None,
        Verdict::Moving => Some(moving(job, proved)),
        Verdict::Short if proved.end == EndReason::EmptyPage => Some(
            "a page came with no rows before all had; the server may hide rows after it has counted them (`advance: size` in \
             `paginate.offset`), or the list moved while it was read: sort by a column that doesn't change"
                .to_owned(),
        ),
        Verdict::Short => Some(
            "rows are missing; the list may have moved while it was read: sort by a column that doesn't change".to_owned(),
        ),
        Verdict::Over => Some("there are more than stated; check `paginate.total`".to_owned()),
    };
    let Some(verdict) = verdict else { return Ok(None) };
    let (distinct, total) = (proved.distinct, proved.total_last.unwrap_or_default());
    match job.on_mismatch {
        OnMismatch::Fail | OnMismatch::Refetch => Err(RunError::Mismatch { distinct, total, verdict }),
        OnMismatch::Warn => Ok(Some(format!(
            "received {distinct} different rows, while the server said that there are {total}: {verdict}; they land all the same, as \
             `on_mismatch: warn` says"
        ))),
    }
}

/// Says how the total of a list changed while it was read, and what to do.
fn moving(job: &Job, proved: &Reconciliation) -> String {
    let (first, last) = (proved.total_first.unwrap_or_default(), proved.total_last.unwrap_or_default());
    if matches!(job.paginate.kind, PaginateKind::Seek { .. }) && last < first {
        return format!(
            "the total fell from {first} to {last} from page to page, as one does that counts what is left behind a page: leave `total` out, \
             and name `more` instead"
        );
    }
    let how = if first == last { String::new() } else { format!(" from {first} to {last}") };
    let until = match &job.slicing {
        Slicing::Incremental(_) => "",
        _ => ", or read it until it is known to be whole (`on_mismatch: refetch`)",
    };
    format!(
        "the total changed{how} while the list was read, so rows may be missing; sort by a column that doesn't change{until}"
    )
}

/// Refuses a reading with more bad rows than the job allows.
pub(in crate::run) fn few_enough_are_bad(job: &Job, collected: &Collected) -> Result<(), RunError> {
    let (bad, received) = (collected.counts.quarantined, collected.counts.received - collected.counts.read_again);
    let allowed = match (job.bad_rows, job.max_bad_rows) {
        (BadRows::Fail, _) if bad > 0 => "`bad_rows: fail` allows none".to_owned(),
        (_, Some(MostBadRows::Rows(most))) if bad > most => format!("`max_bad_rows` allows {most}"),
        #[expect(clippy::cast_precision_loss, reason = "no slice has 2^53 rows")]
        (_, Some(MostBadRows::Percent(most))) if bad as f64 * 100.0 > most * received as f64 => {
            format!("`max_bad_rows` allows {most}%")
        }
        _ => return Ok(()),
    };
    Err(RunError::BadRows { bad, received, allowed, first: first_bad(collected) })
}

/// Refuses a reading in which no row fits: then it isn't rows that are bad, but what the pipeline file says of all of them. A job
/// that names how many may be bad has said what it wants.
pub(in crate::run) fn some_fit(job: &Job, collected: &Collected) -> Result<(), RunError> {
    let bad = collected.counts.quarantined;
    if bad == 0 || collected.counts.decoded > 0 || job.max_bad_rows.is_some() {
        return Ok(());
    }
    Err(RunError::NoneFits { bad, first: first_bad(collected) })
}

/// Quotes the first bad row of a slice, and says why it is bad.
pub(super) fn first_bad(collected: &Collected) -> String {
    match collected.bad.first(1) {
        Ok(rows) => rows.first().map(BadRow::excerpt).unwrap_or_default(),
        Err(error) => error.chain(),
    }
}
