//! What one try of a request brought.

use std::hash::{DefaultHasher, Hasher as _};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::error::TransportKind;
use super::memory::NoRoom;
use super::terms::Repeat;

/// One try's answer.
pub(super) struct Tried {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What came of the body.
    pub(super) body: Bytes,
    /// Why that isn't all of it, where the status, which is none of success, stands all the same.
    pub(super) broken: Option<TryError>,
    /// Whether nothing tells that the body's last line is whole.
    pub(super) open_ended: bool,
    /// Whether nothing tells the body from one that was cut off behind a line.
    pub(super) unmarked: bool,
}

/// One try's outcome that isn't an answer.
pub(super) enum TryError {
    Transport(TransportKind, String),
    TooLarge,
    NoRoom,
    /// Nothing was sent: the session has ended.
    Stale,
    /// The body is encoded in a way that isn't known.
    Encoding(String),
    /// No answer to it was taken down; what is said of the request that is most like it and has one.
    Unrecorded(Option<String>),
}

impl TryError {
    /// Says why a body isn't whole. `limit` is the largest that is read.
    pub(super) fn reason(&self, limit: u64) -> String {
        match self {
            Self::Transport(_, reason) => reason.clone(),
            Self::TooLarge => format!("it is larger than {limit} bytes, the limit"),
            Self::NoRoom | Self::Stale | Self::Unrecorded(_) => "it wasn't read".to_owned(),
            Self::Encoding(encoding) => format!("its content-encoding, {encoding}, can't be undone"),
        }
    }
}

/// What is known of a body: its length and its hash.
pub(super) type Mark = (usize, u64);

impl Tried {
    /// Takes the answer, unless it is open ended and the try before didn't bring the same body, of which `last` is known. A connection
    /// that breaks breaks elsewhere the next time.
    pub(super) fn unless_doubtful(self, last: &mut Option<Mark>) -> Result<Self, TryError> {
        if !self.open_ended {
            return Ok(self);
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.body);
        let mark = (self.body.len(), hasher.finish());
        if last.replace(mark) == Some(mark) {
            return Ok(self);
        }
        let reason = "the connection ended behind a last line with no line end, and the same body hasn't come twice";
        Err(TryError::Transport(TransportKind::OpenEnded, reason.to_owned()))
    }
}

/// Tells whether a try may be followed by another.
pub(super) fn may_follow(repeat: Repeat, tried: &Result<Tried, TryError>) -> bool {
    let unheard = match tried {
        // It was asked too often, by a connection that doesn't lead to it, or too early.
        Ok(tried) => matches!(tried.status.as_u16(), 421 | 425 | 429),
        Err(TryError::Transport(kind, _)) => kind.is_unheard(),
        Err(_) => false,
    };
    repeat == Repeat::Any || unheard
}

/// Tells whether the server may have acted upon a try. A status of 4xx says that it didn't (RFC 9110, section 15.5).
pub(super) fn is_maybe_heard(tried: &Result<Tried, TryError>) -> bool {
    match tried {
        Ok(tried) => !tried.status.is_client_error(),
        Err(TryError::Transport(kind, _)) => !kind.is_unheard(),
        Err(TryError::Stale | TryError::Unrecorded(_)) => false,
        Err(TryError::TooLarge | TryError::NoRoom | TryError::Encoding(_)) => true,
    }
}

impl From<NoRoom> for TryError {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

impl From<(TransportKind, String)> for TryError {
    fn from((kind, reason): (TransportKind, String)) -> Self {
        Self::Transport(kind, reason)
    }
}
