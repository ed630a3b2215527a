//! The HTTP client: retries, limits, and the judgement of answers.

mod answer;
mod client;
mod error;
mod exchange;
mod judge;
mod limit;
mod renew;
mod retry;
#[cfg(test)]
mod tests;

pub use self::answer::{CutCheck, RawAnswer};
pub use self::client::{DEFAULT_MAX_RESPONSE, HttpClient, HttpOptions, Jitter};
pub use self::error::{AnswerError, ExchangeError, Fault, HttpError, TransportKind};
pub use self::exchange::{Exchange, Exchanged};
pub use self::judge::{Judged, RuleTexts, Rules, RulesError};
pub use self::limit::{HostSlots, RateLimit};
pub use self::retry::{RetryPolicy, retry_after};
