//! How big and how odd the simulated Lastline is.

use std::time::Duration;

use chrono_tz::Tz;

use crate::appliance::faults::Faults;

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionLifetime {
    /// Until it is logged out.
    Forever,
    /// For so many requests after its login.
    Requests(u32),
    /// For so many seconds of the appliance's clock.
    Seconds(u32),
}

/// Which parts an error has. Either may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorShape {
    /// `error_code` and `error`.
    Whole,
    /// `error` alone.
    NoCode,
    /// `error_code` alone.
    NoText,
}

/// How an answer says that it succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// `1`, and `0` for an error.
    Number,
    /// `true` and `false`.
    Boolean,
}

/// What happens to a `max_data_points` above the most that is allowed. What the real one does isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It is an error.
    Refused,
    /// It is lowered without a word, so that the answer may be coarser.
    Lowered,
}

/// Where the buckets of a series begin. What the real one does isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// At multiples of the step since 1970; the first one may begin before what was asked for.
    Grid,
    /// At `start_time`.
    Start,
}

/// What a map is that has no members: some back ends know no empty map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// `{}`.
    Map,
    /// `[]`.
    List,
}

/// The key of the list in an answer of `aggregate`: the documents have both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `metrics`.
    Plural,
    /// `metric`.
    Singular,
}

/// What a simulated Lastline is made of.
#[derive(Debug, Clone)]
pub struct LastlineConfig {
    /// Decides on every point and every log entry, and on what nobody has documented.
    pub seed: u64,
    /// Log entries until the clock's present, the long-lived ones not counted.
    pub entries: usize,
    /// Days that entries and metrics reach back. A day beyond the present is seen when the clock gets there.
    pub days: u32,
    /// How many sensors there are, beside a manager and an engine.
    pub sensors: u32,
    /// Entries a day that go on for hours: they grow meanwhile, and overlap many windows.
    pub long_lived: u32,
    /// Entries that all end in one second, noon of the day before the clock's present at construction.
    pub burst: usize,
    /// Entries out of a thousand that have no detail any more, though the list still has them.
    pub vanished_per_mille: u32,
    /// The user of a login.
    pub username: String,
    /// The password of a login.
    pub password: String,
    /// The other kind of credential: the key's name.
    pub api_key: String,
    /// The other kind of credential: its secret.
    pub api_token: String,
    /// How long a session lasts.
    pub session: SessionLifetime,
    /// Functions that the account has no right to, such as `monitoring/log/get_entry`: refused with the code of an expired session.
    pub forbidden: Vec<String>,
    /// Which parts an error has.
    pub error_shape: ErrorShape,
    /// Whether errors have an HTTP status of 400 and above, beside their JSON.
    pub http_errors: bool,
    /// How an answer says that it succeeded.
    pub success: Success,
    /// The zone of times where a request names none.
    pub zone: Tz,
    /// The most points that `max_data_points` can ask for.
    pub max_points: u32,
    /// What happens to more than that.
    pub excess: Excess,
    /// Where buckets begin.
    pub phase: Phase,
    /// Whether a bucket that begins at the very `end_time` is in the answer.
    pub inclusive_end: bool,
    /// What an empty map is.
    pub nothing: Nothing,
    /// The key of the list in an answer of `aggregate`.
    pub spelling: Spelling,
    /// The most entries of an answer, whatever `limit` says. Whether the real one has such a cap isn't known.
    pub limit_cap: Option<usize>,
    /// Entries that end in the same second come in an order that differs between requests.
    pub shuffled_ties: bool,
    /// The least time that a request takes.
    pub latency: Duration,
    /// Requests answered at once.
    pub workers: usize,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Default for LastlineConfig {
    /// A small site: 400 log entries and the metrics of five appliances over a week, sessions that last, whole errors with the status
    /// 200, a zone that isn't UTC, no faults.
    fn default() -> Self {
        Self {
            seed: 1,
            entries: 400,
            days: 7,
            sensors: 3,
            long_lived: 8,
            burst: 0,
            vanished_per_mille: 30,
            username: "tidegate".to_owned(),
            password: "lastline-password".to_owned(),
            api_key: "ABCDEF0123456789ABCD".to_owned(),
            api_token: "lastline-token".to_owned(),
            session: SessionLifetime::Forever,
            forbidden: Vec::new(),
            error_shape: ErrorShape::Whole,
            http_errors: false,
            success: Success::Number,
            zone: Tz::America__Los_Angeles,
            max_points: 300,
            excess: Excess::Refused,
            phase: Phase::Grid,
            inclusive_end: true,
            nothing: Nothing::Map,
            spelling: Spelling::Plural,
            limit_cap: None,
            shuffled_ties: false,
            latency: Duration::ZERO,
            workers: 4,
            faults: Faults::default(),
        }
    }
}
