//! What helps against an error, where running again alone doesn't: told by its kind, so that nobody need read its text for it.

use super::{EditError, OutboxError, RunError, SchemaError};
use crate::extract::http::{ExchangeError, HttpError};
use crate::model::Remedy;

impl RunError {
    /// Returns what helps; none where running again may.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Redacted { remedy, .. } => *remedy,
            Self::InSink { source, .. } | Self::Enrich { source, .. } => source.remedy(),
            Self::Exchange(ExchangeError::Refused(_) | ExchangeError::Http(HttpError::Refused { .. }))
            | Self::Client(HttpError::Refused { .. }) => Some(Remedy::RetryRefused),
            Self::Loss(_) => Some(Remedy::AllowShrink),
            Self::Edit(EditError::Renamed { .. }) => Some(Remedy::Accept),
            Self::Owner(_) => Some(Remedy::ChooseState),
            Self::Future { .. } | Self::ServerBehind { .. } => Some(Remedy::AllowFuture),
            Self::Schema(SchemaError::ByHand { .. }) => Some(Remedy::AcceptSchema),
            Self::Outbox(OutboxError::File { .. }) => None,
            Self::Edit(_)
            | Self::Schema(_)
            | Self::Outbox(_)
            | Self::Request(_)
            | Self::Rules(_)
            | Self::Expression { .. }
            | Self::EnrichTaken { .. }
            | Self::EnrichPinned { .. }
            | Self::FanOut(_)
            | Self::CursorType { .. }
            | Self::CursorStart { .. }
            | Self::Reset { .. }
            | Self::Unsorted { .. }
            | Self::SeekNotCursor { .. }
            | Self::CursorIgnored { .. }
            | Self::WindowIgnored { .. }
            | Self::NoneFits { .. }
            | Self::Unmet { .. }
            | Self::BadRows { .. }
            | Self::NoCursor { .. }
            | Self::NoWindows { .. }
            | Self::TooManyWindows { .. }
            | Self::NoJob { .. }
            | Self::Partition(_)
            | Self::Key(_) => Some(Remedy::Change),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::LossError;

    #[test]
    fn what_helps_is_known_by_the_kind_of_the_error_however_it_is_wrapped() {
        let loss = || RunError::from(LossError::All { before: "2 rows landed before".to_owned() });
        assert_eq!(loss().remedy(), Some(Remedy::AllowShrink));
        let within = RunError::InSink { sink: crate::model::SinkName::new("lake"), source: Box::new(loss()) };
        assert_eq!(within.remedy(), Some(Remedy::AllowShrink));
        let redactor = crate::extract::auth::Redactor::new([&crate::secret::Secret::new("landed before")]);
        let scrubbed = loss().scrubbed(&redactor);
        assert!(matches!(scrubbed, RunError::Redacted { .. }), "{scrubbed:?}");
        assert_eq!(scrubbed.remedy(), Some(Remedy::AllowShrink), "the text is another one, and the remedy isn't");
        assert_eq!(RunError::Interrupted.remedy(), None);
    }
}
