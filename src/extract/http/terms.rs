//! What the tries of a request go by.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::answer::CutCheck;
use super::budget::RetryBudget;
use super::error::TransportKind;
use super::judge::Rules;
use crate::extract::auth::{EachTry, Grant, Pass, Session};

/// What the tries of a job go by, beside the policy of its source.
#[derive(Clone, Default)]
pub struct Patience {
    /// What the job may spend on tries in this run.
    pub budget: Arc<RetryBudget>,
    /// Makes of the body of a 2xx answer what the rules see of it; none for the whole body, null where it isn't JSON.
    pub envelope: Option<EnvelopeReader>,
    /// Counts the requests that are sent, each try for itself.
    pub sent: Arc<AtomicU64>,
    /// Counts the tries that were followed by another though the server may have acted upon them.
    pub maybe_heard: Arc<AtomicU64>,
    /// Which tries may be followed by another.
    pub repeat: Repeat,
    /// What the requests are for.
    pub purpose: Purpose,
}

/// What requests are for, as far as it tells what to do where one fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// The rows of a job.
    #[default]
    Job,
    /// A detail of a row of a job (`enrich`).
    Detail,
    /// An `http` sink, which has a source of its own.
    Sink,
}

impl Purpose {
    /// Says what to do about a request that failed without an answer, where that isn't what a job would do: there are no pages.
    pub(super) fn what_to_do(self, kind: TransportKind) -> Option<String> {
        let what = match (self, kind) {
            (Self::Sink, TransportKind::Timeout) => {
                "raise `timeout` of the sink's `http`, or see what keeps the server"
            }
            (Self::Sink, TransportKind::Broken) => {
                "the server or a proxy closed the connection: see its log, or lower concurrency"
            }
            (Self::Sink, TransportKind::TornBody) => {
                "the answer is cut off or garbled on its way; look at the proxies between"
            }
            _ => return None,
        };
        Some(what.to_owned())
    }

    /// Says what to do about an answer that is larger than allowed.
    pub(super) const fn too_large(self) -> &'static str {
        match self {
            Self::Job | Self::Detail => "ask for smaller pages, or raise `max_response` (of the job, or of `source`)",
            Self::Sink => "raise `max_response` of the sink's `http`",
        }
    }
}

/// Which tries of a request may be followed by another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repeat {
    /// All that may help: the request asks for something, or the server knows it again.
    #[default]
    Any,
    /// Those that the server surely didn't act upon: it was never reached, or said that it won't yet.
    Unheard,
}

/// Makes of a body what the rules see of it.
pub type EnvelopeReader = Arc<dyn Fn(&Bytes) -> Value + Send + Sync>;

impl std::fmt::Debug for Patience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// What the tries of one request go by.
pub(super) struct Terms<'t> {
    /// Names the request in errors.
    pub(super) line: &'t str,
    /// Stops the tries once the credential is refused elsewhere.
    pub(super) pass: &'t Pass,
    /// The session that the request carries: it isn't sent with one that has ended.
    pub(super) session: Option<(&'t Arc<Session>, &'t Grant)>,
    /// What the credential does at each try.
    pub(super) each_try: EachTry<'t>,
    /// What tells a body that was cut off.
    pub(super) cut: CutCheck,
    pub(super) patience: &'t Patience,
    /// The rules, and the values of their further variables.
    pub(super) rules: Option<(&'t Arc<Rules>, &'t [Value])>,
}

/// The tries that were made.
pub(super) struct Tries {
    pub(super) attempt: u32,
    pub(super) started: Instant,
    pub(super) note: Option<String>,
    /// Whether another would have been worth making.
    pub(super) unsettled: bool,
}

/// What is to be done after a try.
pub(super) enum Wish {
    Settled,
    Another {
        /// The wait that the server asked for.
        asked: Option<Duration>,
        /// Why `retry.after` says nothing, though it should.
        broken: Option<String>,
    },
}
