//! How errors of a run are told: in one line, without secrets, as an exit code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Env, OwnerError, RunError, SchemaError};
use crate::extract::auth::Redactor;
use crate::extract::http::HttpError;
use crate::ledger::{LedgerError, ManifestError};
use crate::model::Exit;
use crate::objects::Kind;
use crate::sink::SinkError;

/// Whether it was SIGTERM, or SIGHUP, that told the process to end. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Terminated(Arc<AtomicBool>);

impl Terminated {
    /// Notes that it was. Comes before what ends the runs, so that they say so.
    pub fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Env {
    /// Returns the exit code of a run that ends by `error`. An interruption is named by its signal here and nowhere else: the process,
    /// the report, the ledger and the metrics say the same.
    #[must_use]
    pub fn exit(&self, error: &RunError) -> Exit {
        match error.exit() {
            Exit::Interrupted if self.terminated.is_noted() => Exit::Terminated,
            exit => exit,
        }
    }
}

impl RunError {
    /// Returns the exit code of a run that ends by this, by whichever signal.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Ledger(LedgerError::Held { .. }) => Exit::Held,
            Self::Ledger(
                LedgerError::Environment(store)
                | LedgerError::Store { source: store, .. }
                | LedgerError::Manifest(ManifestError::Store { error: store, .. }),
            )
            | Self::Sink(SinkError::Store { error: store, .. })
                if matches!(store.kind(), Kind::Unfit) =>
            {
                Exit::Refused
            }
            Self::Ledger(LedgerError::Address { .. })
            | Self::Sink(SinkError::UnsupportedUrl { .. } | SinkError::BadUrl { .. })
            | Self::NoJob { .. }
            | Self::NoWindows { .. }
            | Self::Edit(_)
            | Self::Owner(
                OwnerError::OtherLedger { .. }
                | OwnerError::Moved { .. }
                | OwnerError::StateWithin { .. }
                | OwnerError::RenamedJob { .. }
                | OwnerError::RenamedPipeline { .. },
            )
            | Self::Future { .. }
            | Self::Client(HttpError::Client { .. })
            | Self::Schema(SchemaError::LandsNothing { .. }) => Exit::Refused,
            Self::Interrupted => Exit::Interrupted,
            Self::Lost(_) | Self::Panicked { .. } | Self::Account { .. } => Exit::Bug,
            _ => Exit::NothingLanded,
        }
    }

    /// Returns the error without the secrets that it quotes: an answer that can't be read may echo what was sent.
    pub(super) fn scrubbed(self, redactor: &Redactor) -> Self {
        let message = redactor.scrub(&self.chain());
        if message == self.chain() { self } else { Self::Redacted { remedy: self.remedy(), message } }
    }

    /// Returns the message and its causes in one line, the outermost first.
    #[must_use]
    pub fn chain(&self) -> String {
        crate::objects::chain(self)
    }
}
