//! How errors of a run are told: in one line, without secrets, as an exit code.

use super::{RunError, SchemaError};
use crate::extract::auth::Redactor;
use crate::ledger::LedgerError;
use crate::model::Exit;
use crate::objects::Kind;
use crate::sink::SinkError;

impl RunError {
    /// Returns the exit code of a run that ends by this.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Ledger(LedgerError::Held { .. }) => Exit::Held,
            Self::Ledger(LedgerError::Environment(store)) | Self::Sink(SinkError::Store { error: store, .. })
                if matches!(store.kind(), Kind::Unfit) =>
            {
                Exit::Refused
            }
            Self::NoJob { .. }
            | Self::NoWindows { .. }
            | Self::Renamed { .. }
            | Self::NotAccepted { .. }
            | Self::Future { .. }
            | Self::Schema(SchemaError::LandsNothing { .. }) => Exit::Refused,
            Self::Interrupted => Exit::Interrupted,
            Self::Lost(_) | Self::Panicked { .. } | Self::Account { .. } => Exit::Bug,
            _ => Exit::NothingLanded,
        }
    }

    /// Returns the error without the secrets that it quotes: an answer that can't be read may echo what was sent.
    pub(super) fn scrubbed(self, redactor: &Redactor) -> Self {
        let message = redactor.scrub(&self.chain());
        if message == self.chain() { self } else { Self::Redacted { message } }
    }

    /// Returns the message and its causes in one line, the outermost first.
    #[must_use]
    pub fn chain(&self) -> String {
        crate::objects::chain(self)
    }
}
