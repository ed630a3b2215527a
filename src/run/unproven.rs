//! What is told a person of an end that proves nothing.

use crate::model::EndReason;

/// What a person should look at where points came and didn't show their step.
pub(super) const STEP_IS_UNPROVEN: &str = "`window.resolution.observed` gave null for answers with several rows, so it isn't proven that their \
                                points have the native step; if it does so for all of them, check it with `tidegate preview`";

/// What a person should look at where pages in the middle of a list by pages were short.
const MIDDLE_IS_SHORT: &str = "pages in the middle were shorter than asked for, and pages are counted by the size asked for: if the server gives \
                               fewer rows at a time than `size`, the rest of each page is missing; ask for a smaller `size`, or name \
                               its `total`";

/// What a person should look at where the only page of a list by pages was short.
const NEVER_FULL: &str = "the only page with rows was shorter than asked for, and pages are counted by the size asked for: if the server gives \
                          fewer rows at a time than `size`, the rest is missing; ask for a smaller `size`, or name its `total`";

/// Says what a person should look at where the end proves nothing.
pub(super) fn unproven(end: EndReason) -> Option<String> {
    let (what, field) = match end {
        EndReason::EmptyAfterShort | EndReason::MoreFalseAfterShort => return Some(MIDDLE_IS_SHORT.to_owned()),
        EndReason::NeverFull => return Some(NEVER_FULL.to_owned()),
        EndReason::NoCursor => ("cursor", "paginate.cursor"),
        EndReason::NoLink => ("link", "paginate.next_link"),
        _ => return None,
    };
    Some(format!(
        "no page gave a {what} to move on by: either all rows fit on one page, or '{field}' looks at the wrong place: \
         `tidegate preview` shows an answer without its records"
    ))
}
