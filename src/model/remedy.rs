//! What helps against a failure, where running again alone doesn't.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a person must do before, or say when, the job is run again. The error's text has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Accept an edit of the pipeline file, in one of two ways, or take it back.
    Accept,
    /// Replace what landed by fewer rows, where that is right.
    AllowShrink,
    /// Send a refused credential again, where it is right by now.
    RetryRefused,
    /// Read windows that haven't ended, or correct a clock.
    AllowFuture,
    /// Take in a type that was changed by hand, or take it back.
    AcceptSchema,
    /// Change the pipeline file, or the source, as the error says.
    Change,
    /// Use the state that the files were landed with, or another place.
    ChooseState,
}

impl Remedy {
    /// Returns the options with one of which the job is run; none where no option helps.
    #[must_use]
    pub const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Accept => &["--accept future", "--accept reland"],
            Self::AllowShrink => &["--allow-shrink"],
            Self::RetryRefused => &["--retry-refused"],
            Self::AllowFuture => &["--allow-future"],
            Self::AcceptSchema | Self::Change | Self::ChooseState => &[],
        }
    }

    /// Says in a sentence what helps.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Accept => {
                "Each run ends like this until the edit is taken back, or accepted once: `future` leaves what has landed, `reland` reads \
                 it again."
            }
            Self::AllowShrink => {
                "Each run that reads this ends like this until the source has the rows again; where fewer rows are right, say so once."
            }
            Self::RetryRefused => {
                "A refused credential isn't sent again for five minutes: put it right, or unlock the account, and send it at once."
            }
            Self::AllowFuture => {
                "Each run ends like this until the clock that is wrong is set; or say that such windows are to be read."
            }
            Self::AcceptSchema => "Each run ends like this until the type is accepted, or taken back.",
            Self::Change => {
                "Each run may end like this until the pipeline file, or the source, is changed as the reason says; then:"
            }
            Self::ChooseState => "Each run ends like this until what the reason says is done: choose one.",
        }
    }
}
