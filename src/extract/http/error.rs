//! What can go wrong between a request and its answer. Every message names the request, the tries and what to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::extract::auth::{AuthError, Refused};
use crate::extract::request::RequestError;

/// How a request failed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// No connection: refused, no such host, TLS.
    Connect,
    /// A connect, read or request timeout.
    Timeout,
    /// The connection broke before the answer's headers.
    Broken,
    /// What came instead of an answer isn't HTTP.
    NoHttp,
    /// The head of the answer is larger than any is read.
    Head,
    /// The body ended before its announced end, or couldn't be decompressed.
    TornBody,
    /// The connection ended behind a line with no end, where nothing else marks the body's end: the line may be cut off.
    OpenEnded,
    /// TLS: the server's certificate isn't trusted, or ours isn't taken.
    Tls,
    /// The proxy refuses the credential that it was given, or wants one.
    ProxyAuth,
    /// The request itself can't be sent.
    Unsendable,
}

impl TransportKind {
    /// Tells whether another try may help.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        !matches!(self, Self::Tls | Self::ProxyAuth | Self::Unsendable | Self::Head)
    }

    /// Tells whether the server surely never saw the request.
    #[must_use]
    pub const fn is_unheard(self) -> bool {
        matches!(self, Self::Connect | Self::Tls | Self::ProxyAuth | Self::Unsendable)
    }

    /// Says what to do where a proxy stands between, if that is something else.
    pub(super) fn what_to_do_about_a_proxy(self) -> Option<String> {
        const CHECK: &str =
            "check that the proxy is there and lets the request through; then base_url, the network, and tls";
        matches!(self, Self::Connect | Self::Broken | Self::NoHttp).then(|| CHECK.to_owned())
    }

    /// Says what to do where the server's origin tells more.
    pub(super) fn what_to_do_at(self, origin: &str) -> Option<String> {
        const CHECK: &str = "the server or a proxy closed the connection: if the port speaks TLS, write https:// in base_url; if not, \
                             ask for smaller pages or lower concurrency";
        (self == Self::Broken && origin.starts_with("http://")).then(|| CHECK.to_owned())
    }

    const fn what_to_do(self) -> &'static str {
        match self {
            Self::Connect => "check base_url, the network, and tls",
            Self::Timeout => "raise timeout, or ask for smaller pages",
            Self::Broken => "the server or a proxy closed the connection; ask for smaller pages or lower concurrency",
            Self::NoHttp => {
                "check base_url: its port, and whether it must begin with https://; if it is right, look at the proxies between"
            }
            Self::Head => {
                "its headers are more than 100, or some 400 KiB; see which of them the server repeats or piles up, such as cookies"
            }
            Self::TornBody => {
                "the answer is cut off or garbled on its way; ask for smaller pages, and look at the proxies between"
            }
            Self::OpenEnded => {
                "ask the server's owner to state a content-length, or to end the last line; raise retry.attempts if it is 1"
            }
            Self::Tls => {
                "check tls: ca_file must hold the server's certificate or the one that signed it, and client_cert be known to the server"
            }
            Self::ProxyAuth => "check the user and the password of `proxy`, or of HTTPS_PROXY where the file has none",
            Self::Unsendable => "check the request in the pipeline file",
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Timeout => "timeout",
            Self::Broken => "the connection broke",
            Self::NoHttp => "no HTTP",
            Self::Head => "the head of the answer is too large",
            Self::TornBody => "the body is incomplete",
            Self::OpenEnded => "the body may be incomplete",
            Self::Tls => "no TLS connection",
            Self::ProxyAuth => "the proxy wants another credential",
            Self::Unsendable => "the request can't be sent",
        })
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client can't be made.
    #[error("the http client can't be made: {reason}")]
    Client {
        /// What is wrong and what to do.
        reason: String,
    },
    /// No try brought a whole answer.
    #[error("{request}: {kind} after {} to {origin} ({reason}); {}", tries(*attempts), note.as_deref().unwrap_or_else(|| kind.what_to_do()))]
    Transport {
        /// The request in one line, scrubbed.
        request: String,
        /// The server's origin.
        origin: String,
        /// How the last try failed.
        kind: TransportKind,
        /// Tries made.
        attempts: u32,
        /// What the network said, scrubbed.
        reason: String,
        /// What to do, where it isn't the kind that says so: why there were no more tries.
        note: Option<String>,
    },
    /// The server has answered nothing for some time, so this request wasn't sent.
    #[error(
        "{request}: not sent: the last {failed} requests of the job failed, each with all its tries, over {span}, so {origin} is \
         taken for dead in this run; the failures before this one say why; run again once it answers"
    )]
    Dead {
        /// The request in one line, scrubbed.
        request: String,
        /// The server's origin.
        origin: String,
        /// Requests that failed in a row.
        failed: u32,
        /// Time since the first of them failed.
        span: String,
    },
    /// The proxy refused the credential before this request was sent (again).
    #[error(
        "{request}: not sent: the proxy refused the credential, so no job sends it again in this run; the first refusal: {reason}"
    )]
    ProxyRefused {
        /// The request in one line, scrubbed.
        request: String,
        /// The first refusal.
        reason: Arc<str>,
    },
    /// A rule about retries can't be evaluated on an answer.
    #[error("{request}: {reason}; make the rule fit every answer, such as with `.busy? // false`")]
    Rule {
        /// The request in one line, scrubbed.
        request: String,
        /// Which rule, and why.
        reason: String,
    },
    /// The body is larger than allowed.
    #[error("{request}: the answer's body is larger than {limit} bytes, the limit; {remedy}")]
    TooLarge {
        /// The request in one line, scrubbed.
        request: String,
        /// The limit, in bytes after decompression.
        limit: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// The session ended while the request waited: it is sent with another one.
    #[error("{request}: not sent: its session has ended")]
    Stale {
        /// The request in one line, scrubbed.
        request: String,
    },
    /// There was no memory for the body of an answer whose turn it wasn't: it is asked for again in its turn.
    #[error("{request}: given up: there was no memory for an answer that was asked for early (see --memory-limit)")]
    NoRoom {
        /// The request in one line, scrubbed.
        request: String,
    },
    /// Answers come from a recording, which has none to this request.
    #[error("{request}: the recording has no answer to it{}; record again, or undo what changed the request", likest(nearest.as_deref()))]
    Unrecorded {
        /// The request in one line, scrubbed.
        request: String,
        /// What is said of the request of the recording that is most like it.
        nearest: Option<String>,
    },
    /// The body is encoded in a way that isn't known.
    #[error(
        "{request}: the answer's body has the content-encoding `{encoding}`, which can't be undone; gzip, deflate, br and zstd can, \
         one of them; ask the server, or a proxy between, for another: set the header accept-encoding, such as `identity`"
    )]
    Encoding {
        /// The request in one line, scrubbed.
        request: String,
        /// The content-encoding, scrubbed.
        encoding: String,
    },
    /// The credential was refused, by this server and in this run, before this request was sent (again).
    #[error("{request}: not sent: {refused}")]
    Refused {
        /// The request in one line, scrubbed.
        request: String,
        /// The first refusal.
        refused: Refused,
    },
}

/// Writes a number of tries: `1 try`, `5 tries`.
#[must_use]
pub fn tries(attempts: u32) -> String {
    if attempts == 1 { "1 try".to_owned() } else { format!("{attempts} tries") }
}

/// What is at fault where an answer isn't what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request, or what it asks for: the status or a rule says so.
    Request,
    /// The credential: it was refused, though the session is good for other requests.
    Credential,
    /// A rule of the pipeline file: it fails on the answer.
    Rule,
    /// What was sent: the server will never take it.
    Sent,
}

/// An answer that isn't a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerError {
    /// The request in one line, scrubbed.
    pub request: String,
    /// The status.
    pub status: u16,
    /// What is at fault.
    pub fault: Fault,
    /// Tries made.
    pub attempts: u32,
    /// Time from the first try to the end of the last.
    pub elapsed: Duration,
    /// What was judged wrong, the server's own words included; scrubbed.
    pub reason: String,
    /// The beginning of the body, scrubbed.
    pub excerpt: String,
    /// What to do.
    pub hint: String,
}

impl std::error::Error for AnswerError {}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: status {} after {}: {}", self.request, self.status, tries(self.attempts), self.reason)?;
        if self.excerpt.is_empty() {
            write!(f, "; the body is empty; {}", self.hint)
        } else {
            write!(f, "; body: {}; {}", self.excerpt, self.hint)
        }
    }
}

/// Why an exchange brought no page.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The credential can't be applied.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The server refused the credential, now or earlier in this run.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The session that the request needs couldn't be renewed by the request that was to do so.
    #[error("{request}: not sent: there is no session: {reason}")]
    NoSession {
        /// The request in one line, scrubbed.
        request: String,
        /// How the renewal failed, scrubbed.
        reason: Arc<str>,
    },
    /// The request that renews the session can't be made.
    #[error("auth.login: {0}")]
    Login(#[from] RequestError),
    /// The answer is an error.
    #[error(transparent)]
    Answer(Box<AnswerError>),
    /// The work on the body was stopped, or panicked.
    #[error("{request}: the work on the answer's body didn't end: {reason}")]
    Work {
        /// The request in one line, scrubbed.
        request: String,
        /// What the runtime said.
        reason: String,
    },
}

/// Says what a recording has that is most like a request that it hasn't.
fn likest(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; {nearest}")).unwrap_or_default()
}
