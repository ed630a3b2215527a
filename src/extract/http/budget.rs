//! What the requests of one job may spend on tries in one run: pure, but for the lock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Further tries that a job may make in a run before any request has been answered: enough for some twenty requests that meet a
/// restart of the server.
pub(super) const ALLOWANCE: u64 = 100;

/// For so many requests that are answered there may be one further try. A server that fails more than every third request isn't
/// helped by more of them.
pub(super) const ANSWERED_PER_RETRY: u64 = 2;

/// A server is taken for dead once so many requests in a row have failed, with all of their tries.
pub(super) const DEAD_AFTER: u32 = 3;

/// ... and once that has gone on for so long: a restart of a server may take less.
pub(super) const DEAD_FOR: Duration = Duration::from_mins(2);

/// The account of a job in a run. Jobs have one each: the end points of a server fail apart.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    answered: u64,
    retries: u64,
    failed_in_a_row: u32,
    /// When the first of them failed.
    failing_since: Option<Instant>,
}

/// Why a request isn't sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dead {
    /// Requests that failed in a row.
    pub(super) failed: u32,
    /// Time since the first of them failed.
    pub(super) since: Duration,
}

impl RetryBudget {
    /// Takes one further try from the account; false where it is empty.
    pub(super) fn spend(&self) -> bool {
        let mut account = self.lock();
        let may = account.retries < ALLOWANCE + account.answered / ANSWERED_PER_RETRY;
        account.retries += u64::from(may);
        may
    }

    /// Takes a request that was answered, whatever the answer is worth.
    pub(super) fn answered(&self) {
        let mut account = self.lock();
        account.answered += 1;
        account.failed_in_a_row = 0;
        account.failing_since = None;
    }

    /// Takes a request that failed with all of its tries.
    pub(super) fn failed(&self, now: Instant) {
        let mut account = self.lock();
        account.failed_in_a_row = account.failed_in_a_row.saturating_add(1);
        account.failing_since.get_or_insert(now);
    }

    /// Tells whether the server is to be taken for dead, so that a request needn't be sent.
    pub(super) fn dead(&self, now: Instant) -> Option<Dead> {
        let account = self.lock();
        let since = now.saturating_duration_since(account.failing_since?);
        let failed = account.failed_in_a_row;
        (failed >= DEAD_AFTER && since >= DEAD_FOR).then_some(Dead { failed, since })
    }

    /// Says that the account is empty.
    pub(super) fn note(&self) -> String {
        let account = self.lock();
        format!(
            "not tried again: the job has used up its retries in this run ({} retries, {} requests answered), so the server fails \
             too often; look at the server's own log, lower concurrency or rate_limit, or run later",
            account.retries, account.answered
        )
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dead_server_gets_the_allowance_and_a_living_one_more() {
        let budget = RetryBudget::default();
        assert_eq!((0..500).filter(|_| budget.spend()).count() as u64, ALLOWANCE);
        assert!(budget.note().contains("(100 retries, 0 requests answered)"), "{}", budget.note());
        (0..20).for_each(|_| budget.answered());
        assert_eq!((0..500).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn a_server_is_dead_after_some_requests_and_some_time() {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        (0..50).for_each(|_| budget.failed(start));
        assert_eq!(budget.dead(later(119)), None, "it may be a restart");
        assert_eq!(budget.dead(later(120)), Some(Dead { failed: 50, since: DEAD_FOR }));
        budget.answered();
        assert_eq!(budget.dead(later(500)), None);
        budget.failed(later(500));
        budget.failed(later(600));
        assert_eq!(budget.dead(later(900)), None, "two aren't enough");
        budget.failed(later(900));
        assert_eq!(budget.dead(later(900)), Some(Dead { failed: 3, since: Duration::from_secs(400) }));
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_allowance_and_the_share(steps in prop::collection::vec(any::<bool>(), 0..2000)) {
            let (budget, mut answered, mut retries) = (RetryBudget::default(), 0_u64, 0_u64);
            for step in steps {
                if step { budget.answered(); answered += 1; } else { retries += u64::from(budget.spend()); }
                prop_assert!(retries <= ALLOWANCE + answered / ANSWERED_PER_RETRY);
            }
        }
    }
}
