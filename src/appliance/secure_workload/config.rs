//! How big and how odd the simulated Secure Workload is.

use std::time::Duration;

use crate::appliance::faults::Faults;

/// How the two keys of an answer are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `results` and `offset`, as the vendor's documents say.
    Lower,
    /// `Results` and `Offset`, as a script that ran against a real appliance reads them.
    Capital,
}

/// What a simulated Secure Workload is made of.
#[derive(Debug, Clone)]
pub struct SecureWorkloadConfig {
    /// Decides on every flow, and on all that nobody has documented: the type of a cursor, how the last page says that it is the last.
    pub seed: u64,
    /// Flows until the clock's present.
    pub flows: usize,
    /// How many hours they reach back.
    pub hours: u32,
    /// Applications that can be analysed; all see the same flows.
    pub applications: Vec<String>,
    /// The API key's id.
    pub key: String,
    /// The API key's secret.
    pub secret: String,
    /// Whether the key may search flows; without it every request is answered 403.
    pub flow_search_capability: bool,
    /// How far the time of a signature may be from the clock's; none: any time will do. What the real one allows isn't known.
    pub skew: Option<Duration>,
    /// The most flows of a page, whatever `limit` says: the real one cuts without a word.
    pub max_limit: usize,
    /// How the keys of an answer are spelled.
    pub spelling: Spelling,
    /// Whether a flow at the very instant of `t1` is found. What the real one does isn't known.
    pub inclusive_end: bool,
    /// About one page in so many, at least two, comes without flows, but with a cursor; 0: none.
    pub empty_page_every: u32,
    /// The least time that a request takes.
    pub latency: Duration,
    /// Requests answered at once.
    pub workers: usize,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Default for SecureWorkloadConfig {
    /// A small appliance: 2,000 flows of a day, one application, pages of at most 100, now and then an empty one, no faults.
    fn default() -> Self {
        Self {
            seed: 1,
            flows: 2000,
            hours: 24,
            applications: vec!["5c93da83497d4f33d7145960".to_owned()],
            key: "00112233445566778899aabbccddeeff".to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned(),
            flow_search_capability: true,
            skew: None,
            max_limit: 100,
            spelling: Spelling::Capital,
            inclusive_end: true,
            empty_page_every: 7,
            latency: Duration::ZERO,
            workers: 4,
            faults: Faults::default(),
        }
    }
}
