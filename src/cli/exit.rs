//! The exit codes: one list, so that scripts and Kubernetes can rely on it.

use crate::model::{RunReport, SliceOutcome};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All that was due has landed; nothing due is this too.
    Done = 0,
    /// Slices were due, and none landed; or rows were to be sent, and none was.
    NothingLanded = 1,
    /// The pipeline file or the usage was refused.
    Refused = 2,
    /// Some slices landed, or some rows were sent, and some failed.
    SomeFailed = 3,
    /// Another run holds the lease.
    Held = 4,
    /// A bug of ours.
    Bug = 70,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// Returns the code of a run that came to its end.
    #[must_use]
    pub fn of(report: &RunReport) -> Self {
        let failed = report.count(|outcome| matches!(outcome, SliceOutcome::Failed { .. }))
            + report.jobs.iter().filter(|job| job.error.is_some()).count()
            + report.deliveries.iter().filter(|delivery| delivery.error.is_some()).count();
        let delivered = report.deliveries.iter().map(|delivery| &delivery.counts);
        let delivered = delivered.filter(|counts| counts.sent + counts.found + counts.refused > 0);
        let ended_well = report.count(|outcome| !matches!(outcome, SliceOutcome::Failed { .. })) + delivered.count();
        match (failed, ended_well) {
            (0, _) => Self::Done,
            (_, 0) => Self::NothingLanded,
            _ => Self::SomeFailed,
        }
    }

    /// Joins the ends of two runs: any failure beside any success is [`Exit::SomeFailed`].
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Done, Self::Done) => Self::Done,
            (Self::Done, Self::NothingLanded) | (Self::NothingLanded, Self::Done) => Self::SomeFailed,
            (one, two) => one.max(two),
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_fixed_for_ever() {
        use Exit::{Bug, Done, Held, Interrupted, NothingLanded, Refused, SomeFailed};
        let codes = [Done, NothingLanded, Refused, SomeFailed, Held, Bug, Interrupted].map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4, 70, 130]);
    }

    #[test]
    fn a_success_beside_a_failure_is_a_partial_one() {
        assert_eq!(Exit::Done.and(Exit::NothingLanded), Exit::SomeFailed);
        assert_eq!(Exit::NothingLanded.and(Exit::NothingLanded), Exit::NothingLanded);
        assert_eq!(Exit::Done.and(Exit::Held), Exit::Held);
    }
}
