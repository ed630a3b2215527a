//! Limits: requests a second, and requests at once, to a host, shared by all runs of the process.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::pace::{Pace, Ticket};

/// Requests per span of time, such as ten a second. They are spread evenly: no burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// The requests that may be out to each host at once: one for the process. A host is an origin: scheme, name and port. A host that
/// says that it is too much gets half as many, and one more after each full round of answers that don't.
#[derive(Debug, Default)]
pub struct HostSlots {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    origin: String,
    /// Who waits comes in turn.
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    /// The limiter of each rate that a source names: all sources with the rate share it, whatever their credential. Another rate has
    /// one of its own, so that a rate that is raised in a file counts at once.
    limiters: Mutex<HashMap<RateLimit, Option<Arc<DefaultDirectRateLimiter>>>>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    /// Slots that must go once they are given back: they were in use when the pace fell.
    owed: usize,
}

/// The leave to have one request out to a host. It is given back when dropped.
#[derive(Debug)]
#[must_use = "the slot is given back when it is dropped"]
pub(super) struct Slot {
    host: Arc<Host>,
    permit: Option<OwnedSemaphorePermit>,
    ticket: Ticket,
}

impl HostSlots {
    /// Makes the slots of a process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a slot of the host of `url`. Where two sources of one host name different numbers, the smaller counts.
    pub(super) async fn enter(&self, url: &Url, concurrency: usize) -> Slot {
        let host = self.host(url, concurrency);
        // The semaphore is never closed; were it, going on without a permit would be right.
        let permit = Arc::clone(&host.slots).acquire_owned().await.ok();
        let ticket = host.lock().pace.send();
        Slot { host, permit, ticket }
    }

    /// Returns how many requests may be out to the host of `url` at present; none where there has been no request.
    #[must_use]
    pub fn at_once(&self, url: &Url) -> Option<usize> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(&url.origin().ascii_serialization()).map(|host| host.lock().pace.at_once())
    }

    fn host(&self, url: &Url, concurrency: usize) -> Arc<Host> {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let origin = url.origin().ascii_serialization();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(origin.clone()).or_insert_with(|| Arc::new(Host::new(origin, concurrency)));
        host.change(|pace| pace.allow(concurrency));
        Arc::clone(host)
    }
}

impl Host {
    fn new(origin: String, most: usize) -> Self {
        let state = Mutex::new(State { pace: Pace::new(most), owed: 0 });
        Self { origin, slots: Arc::new(Semaphore::new(most)), state, limiters: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the pace, and gives or takes slots to match. Returns what `change` does.
    fn change<T>(&self, change: impl FnOnce(&mut Pace) -> T) -> T {
        let mut state = self.lock();
        let before = state.pace.at_once();
        let done = change(&mut state.pace);
        let after = state.pace.at_once();
        if after < before {
            // Only free slots can be taken away; those in use go when they are given back.
            let cut = before - after;
            state.owed += cut - self.slots.forget_permits(cut);
        } else {
            let kept = state.owed.min(after - before);
            state.owed -= kept;
            self.slots.add_permits(after - before - kept);
        }
        done
    }
}

impl Slot {
    /// Waits until the host may be sent another request by this rate.
    pub(super) async fn keep_to(&self, rate: RateLimit) {
        let limiter = {
            let mut limiters = self.host.limiters.lock().unwrap_or_else(PoisonError::into_inner);
            limiters.entry(rate).or_insert_with(|| rate.limiter().map(Arc::new)).clone()
        };
        if let Some(limiter) = limiter {
            limiter.until_ready().await;
        }
    }

    /// Tells what the answer said of the pace: whether the server was `busy`, which is what 429 and 503 say.
    pub(super) fn answered(&self, busy: bool) {
        let ticket = self.ticket;
        let halved = self.host.change(|pace| {
            if busy {
                pace.busy(ticket)
            } else {
                pace.fine(ticket);
                false
            }
        });
        if halved {
            let at_once = self.host.lock().pace.at_once();
            tracing::info!(host = %self.host.origin, at_once, "the server says that it is too busy: it gets half as many requests at once");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn sources_of_one_host_share_its_slots_and_the_smaller_number_counts() {
        let slots = HostSlots::new();
        let one = slots.enter(&url("http://a/x"), 8).await;
        let two = slots.enter(&url("http://a/y?z"), 3).await;
        assert!(Arc::ptr_eq(&one.host, &two.host));
        assert_eq!(one.host.slots.available_permits(), 1);
        let three = slots.enter(&url("http://a/"), 5).await;
        assert_eq!((three.host.slots.available_permits(), slots.at_once(&url("http://a/"))), (0, Some(3)));
        let other = slots.enter(&url("http://a:81/"), 0).await;
        assert_eq!((other.host.slots.available_permits(), slots.at_once(&url("http://a:81/"))), (0, Some(1)));
        assert_eq!(slots.at_once(&url("http://b/")), None);
    }

    #[tokio::test]
    async fn slots_in_use_go_when_they_are_given_back() {
        let (slots, at) = (HostSlots::new(), url("http://a/"));
        let mut out = Vec::new();
        for _ in 0..4 {
            out.push(slots.enter(&at, 4).await);
        }
        let host = Arc::clone(&out[0].host);
        out[0].answered(true);
        assert_eq!((slots.at_once(&at), host.lock().owed, host.slots.available_permits()), (Some(2), 2, 0));
        out.truncate(2);
        assert_eq!((host.lock().owed, host.slots.available_permits()), (0, 0), "both that were owed are gone");
        out.clear();
        assert_eq!(host.slots.available_permits(), 2);
        for _ in 0..2 + 3 {
            slots.enter(&at, 4).await.answered(false);
        }
        assert_eq!((slots.at_once(&at), host.slots.available_permits()), (Some(4), 4));
    }

    #[tokio::test]
    async fn what_is_owed_is_set_off_against_growth() {
        let (slots, at) = (HostSlots::new(), url("http://a/"));
        let mut out = Vec::new();
        for _ in 0..4 {
            out.push(slots.enter(&at, 4).await);
        }
        out[3].answered(true);
        let host = Arc::clone(&out[0].host);
        out.truncate(1);
        let next = slots.enter(&at, 4).await;
        next.answered(false);
        next.answered(false);
        assert_eq!(slots.at_once(&at), Some(3));
        drop((next, out));
        assert_eq!((host.lock().owed, host.slots.available_permits()), (0, 3));
    }

    #[tokio::test]
    async fn sources_of_one_host_and_rate_share_it() {
        let (slots, rate) = (HostSlots::new(), RateLimit { requests: NonZeroU32::MIN, per: Duration::from_hours(1) });
        let one = slots.enter(&url("http://a/x"), 8).await;
        one.keep_to(rate).await;
        let two = slots.enter(&url("http://a/y"), 8).await;
        let other = slots.enter(&url("http://b/"), 8).await;
        let mut waits = std::pin::pin!(two.keep_to(rate));
        assert!(futures::poll!(waits.as_mut()).is_pending(), "the hour isn't over");
        assert!(futures::poll!(std::pin::pin!(other.keep_to(rate))).is_ready());
        let raised = RateLimit { per: Duration::from_secs(1), ..rate };
        assert!(futures::poll!(std::pin::pin!(two.keep_to(raised))).is_ready());
    }

    #[test]
    fn a_rate_is_spread_evenly() {
        let rate = RateLimit { requests: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let limiter = rate.limiter().unwrap();
        assert!(limiter.check().is_ok());
        assert!(limiter.check().is_err(), "no burst");
    }
}
