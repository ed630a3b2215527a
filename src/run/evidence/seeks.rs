//! What the pages of a `seek` leave open: whether rows that share the value of a page's last row all came.

use crate::model::EndReason;
use crate::pipeline::file::SeekBound;
use crate::pipeline::spec::{CursorSpec, GivenBy, Job, PaginateKind};
use crate::run::passes::Pass;

/// What a person should know where pages begin behind a value that several rows may share.
const BEHIND: &str = "each page is asked for behind the last row's value (`bound: exclusive`), and nothing says that no two rows share it: \
                      those that had no room on their page would be missing; if the value tells rows apart, make it their `key`, else \
                      write `bound: inclusive`";

/// What a person should know where pages are asked for by a cursor that several rows may share.
const BY_A_ROW: &str = "each page is asked for by a value of the last row (`$last`), and nothing says that no two rows share it: those that \
                        had no room on their page would be missing; if the value tells rows apart, make it their `key`, else let the \
                        server state their `total`, or sort by something more that tells them apart";

/// What a person should know where an increment is cut while its pages are counted.
const BY_POSITION: &str = "the slice ends by `incremental.rows_per_slice`, so that no `total` counts it, and its pages are asked for by how many rows \
                           lie before them: one that changed or went while it was read moved those behind it, and one of them may be \
                           missing; let `rows_per_slice` be more than there are, page by `seek`, or sort by what doesn't change and \
                           write `order: any`";

/// What a person should know where a page should have begun with rows of the one before, and didn't.
const NOT_AGAIN: &str = "a page was asked for from the last row's value on (`bound: inclusive`), and that row didn't come again: if the server \
                         leaves it out, others that share its value may be missing; write `bound: exclusive` if no two rows share it (and \
                         make it their `key`), else seek by a value just before it";

/// What is known of the values that a job seeks by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sought {
    /// The job doesn't go by values of rows, or no two rows have the same one.
    #[default]
    Apart,
    /// Rows may share one, and pages begin behind it.
    Exclusive,
    /// Rows may share one, and pages are asked for by it in whatever way (`cursor` of `$last`).
    Cursor,
    /// Rows may share one, and pages begin with the rows that have it.
    Inclusive,
    /// The job goes by how many rows lie before a page.
    Position,
}

impl Sought {
    /// Returns what the pipeline file says of a job's values.
    pub(super) fn of(job: &Job) -> Self {
        match &job.paginate.kind {
            PaginateKind::Seek { .. } if job.seeks_by_key() => Self::Apart,
            PaginateKind::Seek { bound: SeekBound::Exclusive, .. } => Self::Exclusive,
            // Of those that go on at the value any may have ended meanwhile.
            PaginateKind::Seek { overlap: false, .. } => Self::Inclusive,
            PaginateKind::Cursor(cursor) if is_shared(cursor, job) => Self::Cursor,
            PaginateKind::Offset { .. } | PaginateKind::Page { .. } => Self::Position,
            _ => Self::Apart,
        }
    }

    /// Says what is left open at the end of a pass, unless a total counts the rows that it should have brought.
    pub(super) fn doubt(self, pass: &Pass, end: EndReason) -> Option<&'static str> {
        if pass.totals.1.is_some() && end != EndReason::SliceFull {
            return None;
        }
        match self {
            Self::Exclusive if pass.pages > 1 => Some(BEHIND),
            Self::Cursor if pass.pages > 1 => Some(BY_A_ROW),
            Self::Position if pass.pages > 1 && end == EndReason::SliceFull => Some(BY_POSITION),
            Self::Inclusive if pass.not_again || (end == EndReason::EmptyPage && pass.pages > 1) => Some(NOT_AGAIN),
            _ => None,
        }
    }
}

/// Tells whether a cursor is taken from a row, and others may have the same one.
fn is_shared(cursor: &CursorSpec, job: &Job) -> bool {
    let given: Vec<&GivenBy> = match cursor {
        CursorSpec::One(_, given) => vec![given],
        CursorSpec::Several(all) => all.iter().map(|(_, given)| given).collect(),
    };
    let of_row = || given.iter().filter(|given| given.of_row);
    of_row().next().is_some() && !job.is_key(of_row().filter_map(|given| given.column.as_ref()))
}
