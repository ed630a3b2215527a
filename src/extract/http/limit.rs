//! Limits: requests a second for a source, and requests at once for a host, shared by all jobs of the process.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;
use url::Url;

/// Requests per span of time, such as ten a second. They are spread evenly: no burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests.
    pub requests: NonZeroU32,
    /// The span.
    pub per: Duration,
}

impl RateLimit {
    /// Makes the limiter. A span too short to share out is no limit.
    pub(super) fn limiter(self) -> Option<DefaultDirectRateLimiter> {
        Quota::with_period(self.per / self.requests.get()).map(RateLimiter::direct)
    }
}

/// The requests that may be out to each host at once: one for the process. A host is an origin: scheme, name and port.
#[derive(Debug, Default)]
pub struct HostSlots {
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    slots: Arc<Semaphore>,
    size: usize,
}

impl HostSlots {
    /// Makes the slots of a process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the slots of the host of `url`. Where two sources of one host name different numbers, the smaller counts.
    #[must_use]
    pub fn of(&self, url: &Url, concurrency: usize) -> Arc<Semaphore> {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts
            .entry(url.origin().ascii_serialization())
            .or_insert_with(|| Host { slots: Arc::new(Semaphore::new(concurrency)), size: concurrency });
        if concurrency < host.size {
            // Only free slots can be taken away; those in use stay until the process has fewer to give.
            host.size -= host.slots.forget_permits(host.size - concurrency);
        }
        host.slots.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_host_share_its_slots_and_the_smaller_number_counts() {
        let slots = HostSlots::new();
        let url = |text| Url::parse(text).unwrap();
        let one = slots.of(&url("http://a/x"), 8);
        let two = slots.of(&url("http://a/y?z"), 3);
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(one.available_permits(), 3);
        assert_eq!(slots.of(&url("http://a/"), 5).available_permits(), 3);
        assert_eq!(slots.of(&url("http://a:81/"), 0).available_permits(), 1);
    }

    #[test]
    fn a_rate_is_spread_evenly() {
        let rate = RateLimit { requests: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let limiter = rate.limiter().unwrap();
        assert!(limiter.check().is_ok());
        assert!(limiter.check().is_err(), "no burst");
    }
}
