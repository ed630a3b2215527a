//! When a run begins no further slices, though more is due: for careful nights, and for a process that is about to end. And how much
//! one slice may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::place::Place;
use crate::extract::paginate::Ceilings;
use crate::model::Stop;

/// What a run may still do. What it has begun it finishes; once it has stopped, it stays so.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Ends the run gracefully, once it is cancelled.
    pub wind_down: CancellationToken,
    /// From when on no slice begins.
    pub until: Option<Instant>,
    /// After how many requests no slice begins. A slice that has begun counts for one at least.
    pub most_requests: Option<u64>,
    /// How many slices begin.
    pub most_slices: Option<u64>,
    /// The most that one slice may take. Of its pages, `paginate.max_pages` may say more.
    pub ceilings: Ceilings,
    /// Its place among the runs that may go on at once.
    pub place: Place,
    /// Counts the requests that were sent.
    pub requests: Arc<AtomicU64>,
    /// Counts the slices that began.
    pub slices: Arc<AtomicU64>,
}

impl Bounds {
    /// Returns why no further slice may begin; none where one may.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        let (sent, begun) = (self.sent(), self.slices.load(Ordering::Relaxed));
        let reached = |count: u64, most: Option<u64>| most.is_some_and(|most| count >= most);
        if self.wind_down.is_cancelled() {
            Some(Stop::Asked)
        } else if self.until.is_some_and(|until| Instant::now() >= until) {
            Some(Stop::Duration)
        } else if reached(sent.max(begun), self.most_requests) {
            Some(Stop::Requests)
        } else if reached(begun, self.most_slices) {
            Some(Stop::Slices)
        } else {
            None
        }
    }

    /// Counts a slice that begins.
    pub(super) fn begun(&self) {
        self.slices.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many requests were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stops_at_the_first_bound_that_it_meets() {
        assert_eq!(Bounds::default().stop(), None);
        let slices = Bounds { most_slices: Some(2), ..Bounds::default() };
        slices.begun();
        assert_eq!(slices.stop(), None);
        slices.begun();
        assert_eq!(slices.stop(), Some(Stop::Slices));
        let requests = Bounds { most_requests: Some(3), ..slices };
        requests.requests.fetch_add(3, Ordering::Relaxed);
        assert_eq!((requests.stop(), requests.sent()), (Some(Stop::Requests), 3));
        let late = Bounds { until: Some(Instant::now()), ..requests };
        assert_eq!(late.stop(), Some(Stop::Duration));
        late.wind_down.cancel();
        assert_eq!(late.stop(), Some(Stop::Asked));
    }
}
