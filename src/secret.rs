//! Secrets are a type that can't print: no `Display`, and a `Debug` that shows `[redacted]`.

use secrecy::{ExposeSecret, SecretString};

/// Secrets shorter than this, in bytes, are hidden in messages only where they stand as a word of their own: cut out of the middle of a word
/// they would be what is missing in it.
pub const SHORTEST_WITHIN_WORDS: usize = 4;

/// A password, a token or a key. It is wiped from memory when dropped.
#[derive(Debug, Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text of a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Returns the text. Call it only where the secret leaves for the server that it belongs to.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
