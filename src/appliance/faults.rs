//! What goes wrong on purpose: knobs that every simulator shares, counted and not random, so that a test can foretell each fault.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::server::{Framing, Response};

/// Which requests fail, and how. Requests are counted from 1; a period of 0 switches its fault off.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Every n-th request is answered 503 without reaching the appliance.
    pub every_nth_503: u64,
    /// The `Retry-After` of those 503 answers, in seconds; the header is absent where this is `None`.
    pub retry_after: Option<u32>,
    /// The body of every n-th answer stops half-way and the connection closes.
    pub cut_body_every_nth: u64,
    /// The connection of every n-th request closes without an answer.
    pub hang_up_every_nth: u64,
    /// How long every request waits before its answer.
    pub delay: Duration,
    /// Added to the count of requests: moves the faults along, so that seeds differ.
    pub phase: u64,
}

/// What one request will suffer.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) delay: Duration,
    pub(super) refusal: Option<Response>,
    pub(super) cut_body: bool,
    pub(super) hang_up: bool,
}

/// Counts requests and hands out their faults.
#[derive(Debug, Default)]
pub struct FaultInjector {
    faults: Mutex<Faults>,
    requests: AtomicU64,
    injected: AtomicU64,
}

impl FaultInjector {
    /// Makes an injector of `faults`.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        Self { faults: Mutex::new(faults), ..Self::default() }
    }

    /// Replaces the faults; the count of requests goes on.
    pub fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = faults;
    }

    /// How many requests came in, failed ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many of them failed on purpose.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    /// Decides the fate of the next request.
    pub(super) fn next(&self) -> Fate {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let faults = self.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let fate = fate(&faults, count + faults.phase);
        if fate.refusal.is_some() || fate.cut_body || fate.hang_up {
            self.injected.fetch_add(1, Ordering::Relaxed);
        }
        fate
    }
}

fn fate(faults: &Faults, count: u64) -> Fate {
    let hits = |period: u64| period != 0 && count.is_multiple_of(period);
    Fate {
        delay: faults.delay,
        refusal: hits(faults.every_nth_503).then(|| unavailable(faults.retry_after)),
        cut_body: hits(faults.cut_body_every_nth),
        hang_up: hits(faults.hang_up_every_nth),
    }
}

fn unavailable(retry_after: Option<u32>) -> Response {
    let headers = retry_after.map(|seconds| ("Retry-After", seconds.to_string())).into_iter().collect();
    Response {
        status: 503,
        reason: "Service Unavailable",
        headers,
        body: b"busy\n".to_vec(),
        framing: Framing::ContentLength,
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultInjector, Faults};

    #[test]
    fn faults_come_by_count() {
        let injector = FaultInjector::new(Faults {
            every_nth_503: 3,
            retry_after: Some(2),
            cut_body_every_nth: 4,
            phase: 1,
            ..Faults::default()
        });
        let fates: Vec<_> = (0..4).map(|_| injector.next()).map(|f| (f.refusal.is_some(), f.cut_body)).collect();
        assert_eq!(fates, [(false, false), (true, false), (false, true), (false, false)]);
        assert_eq!((injector.requests(), injector.injected()), (4, 2));
        injector.set(Faults::default());
        assert!((0..20).all(|_| injector.next().refusal.is_none()));
    }
}
