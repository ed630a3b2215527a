//! How big and how odd the simulated Scrutinizer is.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::appliance::faults::Faults;

/// What a simulated Scrutinizer is made of.
#[derive(Debug, Clone)]
pub struct ScrutinizerConfig {
    /// Decides on every flow.
    pub seed: u64,
    /// Flows collected, over both directions: a conversation's traffic in one minute.
    pub flows: usize,
    /// How many conversations there are in each direction; a few of them have most of the flows.
    pub conversations: u32,
    /// How many hours the flows reach back.
    pub hours: u32,
    /// The tokens that are accepted.
    pub tokens: Vec<String>,
    /// The device that exports the flows.
    pub exporter: Ipv4Addr,
    /// The least time that a request takes. The real one needs seconds to minutes, for every page anew.
    pub latency: Duration,
    /// Requests answered at once.
    pub workers: usize,
    /// Rows alike in the requested order come in an order that differs between requests. It is a top-N over a metric, so nothing
    /// else is promised.
    pub shuffled_ties: bool,
    /// The most rows of a page, whatever `max_num_rows` says. Whether the real one has such a cap isn't known.
    pub row_cap: Option<usize>,
    /// Adds `totalRowCount` to every table. No client and no document knows such a field, so a pipeline must do without.
    pub states_total: bool,
    /// Answers everything with a redirect to https, as the real one does on its plain port.
    pub https_only: bool,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Default for ScrutinizerConfig {
    /// A small appliance: 4,000 flows of a day, 150 conversations in each direction, the token `scrutinizer-token`, no latency, no
    /// faults, ties in a steady order.
    fn default() -> Self {
        Self {
            seed: 1,
            flows: 4000,
            conversations: 150,
            hours: 24,
            tokens: vec!["scrutinizer-token".to_owned()],
            exporter: Ipv4Addr::new(10, 1, 1, 251),
            latency: Duration::ZERO,
            workers: 4,
            shuffled_ties: false,
            row_cap: None,
            states_total: false,
            https_only: false,
            faults: Faults::default(),
        }
    }
}
