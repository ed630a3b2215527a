//! Authentication: how a credential goes into a request, who may use it, and how it stays out of every text.
//!
//! A kind is a variant of [`Auth`] and, where it does more than put a text somewhere, a file of its own.

mod cookies;
mod escapes;
mod gate;
mod hmac;
mod login;
mod mark;
mod oauth2;
mod redact;
mod session;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine as _;
use http::HeaderName;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

pub use self::cookies::Cookies;
pub use self::gate::{CredentialGate, Pass, Refused};
pub use self::hmac::SecureWorkload;
pub use self::login::{CREDENTIALS, Login};
pub use self::oauth2::{ClientAuth, OAuth2};
pub use self::redact::{REDACTED, Redactor, excerpt};
pub use self::session::{Denied, EachTry, Grant, Session};
use super::request::{Payload, RenderedRequest, header_value};
use crate::lang::place::{Place, SetError};
use crate::lang::tree::Tree;
use crate::secret::Secret;

/// Why a credential can't be applied. No message holds any part of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The credential can't stand in a header.
    #[error(
        "auth.{kind}: the credential holds a line break or another control character and can't go into a header; if it comes from \
         a file, write the file with no more than one line break at its end"
    )]
    ControlCharacter {
        /// The kind of authentication.
        kind: &'static str,
    },
    /// The user name of `basic` holds a colon.
    #[error("auth.basic: the user name holds a colon, where HTTP Basic cuts it off")]
    ColonInUsername,
    /// The header's name isn't one.
    #[error("auth.header: '{name}' isn't a name that HTTP allows")]
    HeaderName {
        /// The name.
        name: String,
    },
    /// `form` with a request that has a JSON body.
    #[error("auth.form puts '{name}' into a form, but the request has a JSON body; use a header, or send a form")]
    FormWithBody {
        /// The field.
        name: String,
    },
    /// A token for the JSON body of a request that has a form.
    #[error("the token goes into '{place}', but the request has a form; name a place in `form`, or a header")]
    BodyWithForm {
        /// The place.
        place: String,
    },
    /// The place of a token isn't in the body.
    #[error(transparent)]
    Place(#[from] SetError),
}

/// A credential and where it goes.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// No authentication.
    #[default]
    None,
    /// HTTP Basic.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// Headers: their names, and their whole values, prefixes included.
    Headers(Vec<(String, Secret)>),
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// A field of the form.
    Form {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// A value in the JSON body.
    Body {
        /// Its place.
        place: Place,
        /// Its value.
        value: Secret,
    },
    /// A signature over each request, in the manner of Cisco Secure Workload. Every try is signed anew: see [`Auth::each_try`].
    SecureWorkload(SecureWorkload),
    /// A session, which a login or a token end point gives. What requests carry is in its [`Grant`].
    Session(Arc<Session>),
}

/// The identity of a credential, equal for jobs that share one. It can't be printed: it is a hash of the secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CredentialId([u8; 32]);

impl std::fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialId")
    }
}

impl CredentialId {
    /// Makes the identity of a credential of a kind, which is its parts.
    fn of<'a>(kind: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in [kind].into_iter().chain(parts) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl Auth {
    /// Names the kind as a pipeline file does.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer(_) => "bearer",
            Self::Headers(headers) if headers.len() == 1 => "header",
            Self::Headers(_) => "headers",
            Self::Query { .. } => "query",
            Self::Form { .. } => "form",
            Self::Body { .. } => "body",
            Self::SecureWorkload(_) => "hmac",
            Self::Session(session) => session.kind(),
        }
    }

    /// Puts the credential into `request`. What the request already has under that name is replaced. A session has nothing to put
    /// there: see [`Grant::apply`].
    pub fn apply(&self, request: &mut RenderedRequest) -> Result<(), AuthError> {
        match self {
            Self::None | Self::Session(_) => Ok(()),
            Self::Basic { username, .. } if username.contains(':') => Err(AuthError::ColonInUsername),
            Self::Basic { username, password } => {
                self.set_header(request, &http::header::AUTHORIZATION, basic(username, password).expose())
            }
            Self::Bearer(token) => {
                self.set_header(request, &http::header::AUTHORIZATION, &format!("Bearer {}", token.expose()))
            }
            Self::Headers(headers) => headers.iter().try_for_each(|(name, value)| {
                let key = HeaderName::from_bytes(name.as_bytes());
                let key = key.map_err(|_| AuthError::HeaderName { name: name.clone() })?;
                self.set_header(request, &key, value.expose())
            }),
            Self::Query { name, value } => {
                request.set_query(name, value.expose());
                Ok(())
            }
            Self::Form { name, value } => set_field(request, name, value.expose()),
            Self::Body { place, value } => set_in_body(request, place, value.expose()),
            Self::SecureWorkload(signer) => self.set_header(request, &hmac::ID, signer.key().expose()),
        }
    }

    /// Returns what signs each try; none for a credential that goes as it is.
    #[must_use]
    pub const fn signer(&self) -> Option<&SecureWorkload> {
        match self {
            Self::SecureWorkload(signer) => Some(signer),
            _ => None,
        }
    }

    /// Returns what is done at each try, after the credential or its session was applied.
    #[must_use]
    pub fn each_try<'a>(&'a self, grant: Option<&'a Grant>) -> EachTry<'a> {
        match (self, grant) {
            (Self::SecureWorkload(signer), _) => EachTry::Sign(signer),
            (Self::Session(session), Some(grant)) => session.each_try(grant.cookies()),
            _ => EachTry::Nothing,
        }
    }

    /// Returns the session, where the credential needs one.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Returns the identity of the credential; none for [`Auth::None`].
    #[must_use]
    pub fn credential(&self) -> Option<CredentialId> {
        let parts = match self {
            Self::None => return None,
            Self::Session(session) => return Some(session.id().clone()),
            Self::Basic { username, password } => [username.as_str(), password.expose()],
            Self::Bearer(token) => ["", token.expose()],
            Self::Query { name, value } | Self::Form { name, value } => [name.as_str(), value.expose()],
            Self::Body { place, value } => [place.as_str(), value.expose()],
            Self::SecureWorkload(signer) => [signer.key().expose(), signer.secret().expose()],
            Self::Headers(headers) => {
                let mut headers: Vec<_> = headers.iter().collect();
                headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
                let parts = headers.into_iter().flat_map(|(name, value)| [name.as_str(), value.expose()]);
                return Some(CredentialId::of(self.kind(), parts));
            }
        };
        Some(CredentialId::of(self.kind(), parts))
    }

    /// Returns what scrubs its secrets from texts.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.session().map_or_else(|| Redactor::new(self.secrets()), |session| session.redactor().clone())
    }

    /// Returns the secrets that must not show in any text; those of a session only its redactor knows.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::None | Self::Session(_) => Vec::new(),
            Self::Basic { password: secret, .. }
            | Self::Bearer(secret)
            | Self::Query { value: secret, .. }
            | Self::Form { value: secret, .. }
            | Self::Body { value: secret, .. } => vec![secret],
            Self::SecureWorkload(signer) => vec![signer.key(), signer.secret()],
            Self::Headers(headers) => headers.iter().map(|(_, value)| value).collect(),
        }
    }

    fn set_header(&self, request: &mut RenderedRequest, name: &HeaderName, text: &str) -> Result<(), AuthError> {
        let mut value = header_value(text).ok_or(AuthError::ControlCharacter { kind: self.kind() })?;
        value.set_sensitive(true);
        request.headers.insert(name, value);
        Ok(())
    }
}

/// Writes a user and a password as HTTP Basic has them (RFC 7617): all of the header's value.
#[must_use]
pub fn basic(username: &str, password: &Secret) -> Secret {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{}", password.expose()));
    Secret::new(format!("Basic {pair}"))
}

fn set_pair(pairs: &mut Vec<(String, String)>, name: &str, value: &str) {
    pairs.retain(|pair| pair.0 != name);
    pairs.push((name.to_owned(), value.to_owned()));
}

fn set_in_body(request: &mut RenderedRequest, place: &Place, value: &str) -> Result<(), AuthError> {
    let body = match &mut request.payload {
        Payload::None => Tree::Null,
        Payload::Json(body) => std::mem::take(body),
        Payload::Form(_) => return Err(AuthError::BodyWithForm { place: place.to_string() }),
    };
    let mut parts = Tree::Map(indexmap::IndexMap::from([("body".to_owned(), body)]));
    place.set(&mut parts, &serde_json::Value::Null, value.into())?;
    if let Tree::Map(mut parts) = parts {
        request.payload = Payload::Json(parts.swap_remove("body").unwrap_or_default());
    }
    Ok(())
}

fn set_field(request: &mut RenderedRequest, name: &str, value: &str) -> Result<(), AuthError> {
    if request.payload == Payload::None {
        request.payload = Payload::Form(Vec::new());
    }
    match &mut request.payload {
        Payload::Form(fields) => {
            set_pair(fields, name, value);
            Ok(())
        }
        _ => Err(AuthError::FormWithBody { name: name.to_owned() }),
    }
}
