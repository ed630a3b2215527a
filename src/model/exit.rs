//! The exit codes: one list, so that scripts and Kubernetes can rely on it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{RunReport, SliceOutcome};

/// How a run, or the process, ends; and what whoever started it does about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All that was due has landed; nothing due is this too. Nothing to do.
    Done = 0,
    /// Slices were due, and none landed; or rows were to be sent, and none was. Running again may help, after a while: what is due stays due.
    NothingLanded = 1,
    /// The pipeline file, an edit of it that wasn't accepted, a store that can't be used, or the usage was refused. Running again can't help: a person must change something.
    Refused = 2,
    /// Some slices landed, or some rows were sent, and some failed. As for [`Exit::NothingLanded`]: only what failed is tried again.
    SomeFailed = 3,
    /// Another run holds the lease. Nothing to do: that run does the work.
    Held = 4,
    /// The run stopped at a limit that it was given (`--max-duration`, `--max-requests`, `--max-slices`), and what had begun has
    /// landed. Run again for the rest, whenever that suits.
    Stopped = 5,
    /// A bug of ours. Running again is safe, and may help; report it.
    Bug = 70,
    /// Interrupted (SIGINT). What wasn't published is thrown away; running again goes on from there.
    Interrupted = 130,
    /// Told to end (SIGTERM; SIGHUP, but of `serve`). As for [`Exit::Interrupted`].
    Terminated = 143,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::NothingLanded,
        Self::Refused,
        Self::SomeFailed,
        Self::Held,
        Self::Stopped,
        Self::Bug,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the code of a run that came to its end.
    #[must_use]
    pub fn of(report: &RunReport) -> Self {
        let failed = report.count(|outcome| matches!(outcome, SliceOutcome::Failed { .. }))
            + report.jobs.iter().filter(|job| job.error.is_some()).count()
            + report.deliveries.iter().filter(|delivery| delivery.error.is_some()).count();
        let refused = report.jobs.iter().filter(|job| job.refused).count();
        let delivered = report.deliveries.iter().map(|delivery| &delivery.counts);
        let delivered = delivered.filter(|counts| counts.sent + counts.found + counts.refused > 0);
        let ended_well = report.count(|outcome| !matches!(outcome, SliceOutcome::Failed { .. })) + delivered.count();
        match (failed, ended_well) {
            (0, _) if report.stopped.is_some() => Self::Stopped,
            (0, _) => Self::Done,
            (failed, 0) if failed == refused => Self::Refused,
            (_, 0) => Self::NothingLanded,
            _ => Self::SomeFailed,
        }
    }

    /// Joins the ends of two runs: any failure beside any success is [`Exit::SomeFailed`].
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.min(other), self.max(other)) {
            (Self::Done, Self::NothingLanded)
            | (Self::NothingLanded | Self::Refused | Self::SomeFailed, Self::Stopped) => Self::SomeFailed,
            // Running again may help one of the two.
            (Self::NothingLanded, Self::Refused) => Self::NothingLanded,
            (_, greater) => greater,
        }
    }

    /// Tells whether this is a failure, of which somebody must hear: neither a success, nor an end that was asked for, nor a run
    /// that left the work to another one.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::NothingLanded | Self::Refused | Self::SomeFailed | Self::Bug)
    }

    /// Tells whether a signal ended it before its time.
    #[must_use]
    pub const fn is_interruption(self) -> bool {
        matches!(self, Self::Interrupted | Self::Terminated)
    }

    /// Returns the code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl JsonSchema for Exit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Exit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes = Self::ALL.map(Self::code).to_vec();
        json_schema!({"type": "integer", "enum": codes})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_fixed_for_ever() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 70, 130, 143]);
    }

    #[test]
    fn a_success_beside_a_failure_is_a_partial_one() {
        assert_eq!(Exit::Done.and(Exit::NothingLanded), Exit::SomeFailed);
        assert_eq!(Exit::NothingLanded.and(Exit::NothingLanded), Exit::NothingLanded);
        assert_eq!(Exit::Done.and(Exit::Held), Exit::Held);
    }

    #[test]
    fn a_limit_hides_no_failure() {
        assert_eq!(Exit::Done.and(Exit::Stopped), Exit::Stopped);
        assert_eq!(Exit::Stopped.and(Exit::NothingLanded), Exit::SomeFailed);
        assert_eq!(Exit::SomeFailed.and(Exit::Stopped), Exit::SomeFailed);
        assert_eq!(Exit::Stopped.and(Exit::Refused), Exit::SomeFailed);
        assert_eq!(Exit::Refused.and(Exit::NothingLanded), Exit::NothingLanded);
        assert_eq!(Exit::Stopped.and(Exit::Bug), Exit::Bug);
    }
}
