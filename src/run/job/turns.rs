//! Who may change the job's schema: slices that are read at once take turns, in the order of the plan, so that it isn't chance which of
//! them gives a type to a column that was only ever null.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// The places of the plan that haven't ended. A chain of slices has one place, and keeps it until its last slice has ended: what follows
/// a slice comes before all that was planned after it.
pub(super) struct Turns(watch::Sender<BTreeSet<usize>>);

impl Turns {
    /// Makes the turns of `count` places, from 0.
    pub(super) fn new(count: usize) -> Self {
        Self(watch::Sender::new((0..count).collect()))
    }

    /// Ends a place.
    pub(super) fn end(&self, place: usize) {
        self.0.send_modify(|open| {
            open.remove(&place);
        });
    }

    /// Waits until all places before this one have ended. They are always on their way: slices begin in the order of their places,
    /// those that won't begin any more have their places ended, and one that waits here holds nothing but its own turn to be read.
    pub(super) async fn wait(&self, place: usize) {
        let is_first = |open: &BTreeSet<usize>| open.first().is_none_or(|first| *first >= place);
        // It fails only once the sender is gone, and that is held here.
        let _ = self.0.subscribe().wait_for(is_first).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn turns_go_by_place_and_not_by_time() {
        let turns = Turns::new(3);
        let may = |place| turns.wait(place).now_or_never().is_some();
        assert_eq!([may(0), may(1), may(2)], [true, false, false]);
        turns.end(1);
        assert_eq!([may(0), may(1), may(2)], [true, false, false]);
        turns.end(0);
        assert!(may(2));
    }
}
