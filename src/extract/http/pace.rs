//! How many requests may be out to a host at once: pure. Half as many where the server says that it is too much, one more after
//! each full round of answers that say nothing of the kind.

/// The pace of one host: additive increase, multiplicative decrease, as TCP does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    /// What the pipeline files allow.
    most: usize,
    /// What the host bears at present, from 1 to `most`.
    now: usize,
    /// Answers without complaint since the number last changed.
    fine: usize,
    /// Requests sent so far.
    sent: u64,
    /// Requests sent when the number was last halved: those before it were sent at the old pace, and prove nothing of the new one.
    halved_at: u64,
}

/// The number of a request to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Pace {
    /// Begins with all that is allowed, at least one.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, fine: 0, sent: 0, halved_at: 0 }
    }

    /// Returns how many requests may be out at once.
    pub(super) const fn at_once(&self) -> usize {
        self.now
    }

    /// Allows no more than `most`: of several sources of one host the most careful counts.
    pub(super) fn allow(&mut self, most: usize) {
        self.most = self.most.min(most.max(1));
        self.now = self.now.min(self.most);
    }

    /// Numbers a request that is about to be sent.
    pub(super) const fn send(&mut self) -> Ticket {
        let ticket = Ticket(self.sent);
        self.sent += 1;
        ticket
    }

    /// Takes an answer without complaint.
    pub(super) const fn fine(&mut self, ticket: Ticket) {
        if ticket.0 < self.halved_at {
            return;
        }
        self.fine += 1;
        if self.fine >= self.now {
            self.fine = 0;
            if self.now < self.most {
                self.now += 1;
            }
        }
    }

    /// Takes an answer that says "too much", 429 or 503. Tells whether that halves the number: of requests that were out
    /// together, only the first does.
    pub(super) const fn busy(&mut self, ticket: Ticket) -> bool {
        if ticket.0 < self.halved_at {
            return false;
        }
        self.fine = 0;
        self.halved_at = self.sent;
        let before = self.now;
        self.now = if before > 1 { before / 2 } else { 1 };
        self.now < before
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_requests_that_were_out_together_one_halves() {
        let mut pace = Pace::new(8);
        let out: Vec<_> = (0..8).map(|_| pace.send()).collect();
        assert_eq!(out.iter().filter(|ticket| pace.busy(**ticket)).count(), 1);
        assert_eq!(pace.at_once(), 4);
        let next = pace.send();
        assert!(pace.busy(next));
        assert_eq!(pace.at_once(), 2);
        let next = pace.send();
        assert!(pace.busy(next));
        let next = pace.send();
        assert!(!pace.busy(next), "one is the least");
        assert_eq!(pace.at_once(), 1);
    }

    #[test]
    fn each_full_round_without_complaint_adds_one() {
        let mut pace = Pace::new(4);
        let old = pace.send();
        let busy = pace.send();
        pace.busy(busy);
        assert_eq!(pace.at_once(), 2);
        for _ in 0..9 {
            pace.fine(old);
        }
        assert_eq!(pace.at_once(), 2, "answers to what was sent at the old pace prove nothing");
        let mut grown = Vec::new();
        for _ in 0..9 {
            let ticket = pace.send();
            pace.fine(ticket);
            grown.push(pace.at_once());
        }
        assert_eq!(grown, [2, 3, 3, 3, 4, 4, 4, 4, 4]);
    }

    #[test]
    fn of_several_sources_the_most_careful_counts() {
        let mut pace = Pace::new(8);
        pace.allow(3);
        assert_eq!(pace.at_once(), 3);
        pace.allow(5);
        assert_eq!(pace.at_once(), 3);
        pace.allow(0);
        assert_eq!(pace.at_once(), 1);
    }

    proptest! {
        /// Whatever the answers, and in whatever order they come: the number stays within its bounds, falls by no more than a half
        /// and grows by no more than one at a time, and comes back to all that is allowed once the complaints end.
        #[test]
        fn the_pace_keeps_its_bounds_and_recovers(most in 1_usize..64, answers in prop::collection::vec((any::<bool>(), any::<u8>()), 0..400)) {
            let mut pace = Pace::new(most);
            let mut out = VecDeque::new();
            for (is_busy, pick) in answers {
                while out.len() < pace.at_once() {
                    out.push_back(pace.send());
                }
                let ticket = out.remove(usize::from(pick) % out.len()).unwrap();
                let before = pace.at_once();
                if is_busy { pace.busy(ticket); } else { pace.fine(ticket); }
                let after = pace.at_once();
                prop_assert!((1..=most).contains(&after));
                prop_assert!(after <= before + 1 && after >= (before / 2).max(1), "{before} to {after}");
            }
            for _ in 0..most * (most + 1) {
                let ticket = pace.send();
                pace.fine(ticket);
            }
            prop_assert_eq!(pace.at_once(), most);
        }

        /// However many of the requests that are out together are told off, the number is halved once.
        #[test]
        fn one_round_halves_once(most in 1_usize..64, told_off in 1_usize..64) {
            let mut pace = Pace::new(most);
            let round: Vec<_> = (0..most).map(|_| pace.send()).collect();
            for ticket in round.iter().take(told_off) {
                pace.busy(*ticket);
            }
            prop_assert_eq!(pace.at_once(), (most / 2).max(1));
        }
    }
}
