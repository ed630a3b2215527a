//! The HTTP client: retries, limits, and the judgement of answers.

mod again;
mod answer;
mod body;
mod budget;
mod client;
mod connect;
mod cores;
mod error;
mod exchange;
mod judge;
mod limit;
mod memory;
mod pace;
mod renew;
mod retry;
mod route;
mod send;
mod tape;
mod terms;
#[cfg(test)]
mod tests;
mod tls;
mod tried;
mod unpack;
mod wire;

pub use self::again::NOW;
pub use self::answer::{CutCheck, RawAnswer};
pub use self::budget::RetryBudget;
pub use self::client::{HttpClient, Jitter};
pub use self::connect::{DEFAULT_MAX_RESPONSE, HttpOptions, is_loopback};
pub use self::cores::compute;
pub use self::error::{AnswerError, ExchangeError, Fault, HttpError, TransportKind, tries};
pub use self::exchange::{Dispatched, Exchange, Exchanged};
pub use self::judge::{Judged, RuleTexts, Rules, RulesError};
pub use self::limit::{HostSlots, RateLimit};
pub use self::memory::{DEFAULT_MEMORY_LIMIT, Memory, Room, Turn};
pub use self::retry::{RetryPolicy, retry_after};
pub use self::route::{Proxy, proxy_credential};
pub use self::tape::{MOST_RECORDED, Player, Recorder, Take, Tape};
pub use self::terms::{EnvelopeReader, Patience, Purpose, Repeat};
