//! What a client ought to find, and the means to change it. For tests and the demo.

use std::sync::PoisonError;

use chrono::{DateTime, Utc};

use super::flows::{Direction, MAX_LATENESS, MINUTE, flow};
use super::report::{self, Conversation, OrderBy, Range};
use super::{Scrutinizer, lock};
use crate::appliance::dice::Dice;
use crate::appliance::faults::{FaultInjector, Faults};

impl Scrutinizer {
    /// The configuration.
    pub fn config(&self) -> &super::ScrutinizerConfig {
        &self.config
    }

    /// The rows of a report over `[from, to)` at the clock's present, with a granularity of one minute, the most bytes first.
    pub fn conversations(&self, direction: Direction, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Conversation> {
        let range = Range { start: from.timestamp(), end: to.timestamp(), granularity: MINUTE };
        let flows = self.flows.read().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().timestamp();
        report::run(&flows[direction as usize], direction, self.config.seed, range, now, (OrderBy::Octets, None))
    }

    /// Collects `number` more flows of a direction at the clock's present. Each began up to three minutes ago.
    pub fn grow(&self, direction: Direction, number: usize) {
        let now = self.clock.now().timestamp();
        let mut flows = self.flows.write().unwrap_or_else(PoisonError::into_inner);
        let known = &mut flows[direction as usize];
        let mut dice = Dice::new(self.config.seed, now.unsigned_abs());
        // The first numbers after the history's: no flow of an exceptional size.
        known.extend((0..number).map(|_| {
            let begin = now - i64::from(dice.below(MAX_LATENESS));
            flow(&mut dice, 0, self.config.conversations, begin, now)
        }));
        known.sort_by_key(|flow| flow.begin);
    }

    /// Makes every report fail whose range holds `instant`, with the error that a report has; `None` repairs it.
    pub fn fail_reports_over(&self, instant: Option<DateTime<Utc>>) {
        *lock(&self.fails_over) = instant.map(|instant| instant.timestamp());
    }

    /// What goes wrong on purpose: the counts, and [`FaultInjector::set`].
    pub fn faults(&self) -> &FaultInjector {
        &self.faults
    }

    /// Replaces what goes wrong on purpose.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }
}
