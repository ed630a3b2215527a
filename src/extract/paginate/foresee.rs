//! Which requests follow, before it is known that they do: a paginator is copied, and the copy is shown the pages to come.

use super::{Decision, Paginator, Seen};

/// Asks a copy of `paginator` what follows after `seen`. `coming` returns what the page that the copy asks for next is going to
/// show; none where that can't be told.
pub(super) fn foresee<P: Paginator + Clone>(
    paginator: &P,
    seen: &Seen,
    count: usize,
    coming: impl Fn(&P, &Seen) -> Option<Seen>,
) -> Vec<Decision> {
    let mut fork = paginator.clone();
    let mut page = Some(Seen { new_rows: seen.rows, ..seen.clone() });
    let mut found = Vec::new();
    while found.len() < count
        && let Some(seen) = page
    {
        match fork.next(&seen) {
            Ok(Decision::Done(_)) | Err(_) => break,
            Ok(decision) => found.push(decision),
        }
        page = coming(&fork, &seen);
    }
    found
}

/// Returns what the next page shows by the total that `seen` states, of which `received` rows have come: `size` rows, or those
/// that are left.
pub(super) fn counted(seen: &Seen, size: u64, received: u64) -> Option<Seen> {
    let left = seen.total?.checked_sub(received)?;
    let rows = left.min(size);
    Some(Seen { rows, new_rows: rows, more: seen.more.map(|_| rows < left), page: seen.page + 1, ..seen.clone() })
}

/// Where each page says itself what the next one is asked by.
pub(super) const fn unknown<P>(_paginator: &P, _seen: &Seen) -> Option<Seen> {
    None
}
