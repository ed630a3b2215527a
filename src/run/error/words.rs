//! An error in words.

use super::RunError;
use crate::extract::auth::Redactor;

impl RunError {
    /// Returns the error without the secrets that it quotes: an answer that can't be read may echo what was sent.
    pub(in crate::run) fn scrubbed(self, redactor: &Redactor) -> Self {
        let message = redactor.scrub(&self.chain());
        if message == self.chain() { self } else { Self::Redacted { message } }
    }

    /// Returns the message and its causes in one line, the outermost first.
    #[must_use]
    pub fn chain(&self) -> String {
        crate::objects::chain(self)
    }
}
