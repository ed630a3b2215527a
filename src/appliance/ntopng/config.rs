//! How big and how odd the simulated ntopng is.

use std::time::Duration;

use chrono_tz::Tz;

use crate::appliance::faults::Faults;

/// An interface that ntopng watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number, the `ifid` of requests.
    pub ifid: i32,
    /// Its name.
    pub name: String,
    /// Its share of all rows, against the shares of the others; 0 leaves it empty.
    pub share: u32,
}

/// A user of the REST API.
#[derive(Debug, Clone)]
pub struct User {
    /// The name, for Basic.
    pub name: String,
    /// The password, for Basic. One with a colon never works, as in the real one.
    pub password: String,
    /// The token, for `Authorization: Token`.
    pub token: Option<String>,
    /// Whether the user may read alerts.
    pub alerts: bool,
}

/// What a simulated ntopng is made of. Counts are totals over all interfaces.
#[derive(Debug, Clone)]
pub struct NtopngConfig {
    /// Decides on every row.
    pub seed: u64,
    /// Historical flow alerts; the last few of them come late, after the construction.
    pub alerts: usize,
    /// Active hosts; a few more turn up in the hour after the construction.
    pub hosts: usize,
    /// Active flows; in the hour after the construction some end and some more turn up.
    pub flows: usize,
    /// Historical host alerts.
    pub host_alerts: usize,
    /// Host alerts in progress.
    pub engaged: usize,
    /// How many days the alerts reach back.
    pub days: u32,
    /// The interfaces, with numbers of their own.
    pub interfaces: Vec<Interface>,
    /// The users.
    pub users: Vec<User>,
    /// The least time that a request takes. The real one needs 80 to 130 ms.
    pub latency: Duration,
    /// Requests answered at once.
    pub workers: usize,
    /// The server's timezone: only `tstamp.label` is told in it.
    pub timezone: Tz,
    /// Rows without a requested order, and rows alike in the requested one, come in an order that differs between requests. `SQLite`
    /// keeps them by row id (false, the default), `ClickHouse` doesn't.
    pub arbitrary_order: bool,
    /// Alert lists are cut to this many rows without a word, as builds with `ClickHouse` do at 1,000.
    pub row_cap: Option<usize>,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Default for NtopngConfig {
    /// A small appliance: 2,000 flow alerts of a week, 300 hosts, three interfaces of which the last is empty, the users
    /// `admin`/`admin` and `viewer`/`viewer`, no latency, no faults.
    fn default() -> Self {
        let interface = |ifid, name: &str, share| Interface { ifid, name: name.to_owned(), share };
        let user = |name: &str, token: &str, alerts| User {
            name: name.to_owned(),
            password: name.to_owned(),
            token: Some(token.to_owned()),
            alerts,
        };
        Self {
            seed: 1,
            alerts: 2000,
            hosts: 300,
            flows: 500,
            host_alerts: 60,
            engaged: 3,
            days: 7,
            interfaces: vec![interface(0, "eno1", 3), interface(1, "eno2", 1), interface(2, "static.pcap", 0)],
            users: vec![
                user("admin", "3d1f60f0c8a24b1f8d0c7e4e5a9b7c21", true),
                user("viewer", "9b2c0e7a41d64e5f8a37c6d1f0e2b3a4", false),
            ],
            latency: Duration::ZERO,
            workers: 5,
            timezone: Tz::UTC,
            arbitrary_order: false,
            row_cap: None,
            faults: Faults::default(),
        }
    }
}

impl NtopngConfig {
    /// Splits `total` by the shares of the interfaces; what is left over goes to the first with a share.
    pub(super) fn split(&self, total: usize) -> Vec<usize> {
        let shares: Vec<usize> = self.interfaces.iter().map(|interface| interface.share as usize).collect();
        let all = shares.iter().sum::<usize>().max(1);
        let mut parts: Vec<usize> = shares.iter().map(|share| total * share / all).collect();
        let rest = total - parts.iter().sum::<usize>();
        if let Some(first) = shares.iter().position(|share| *share > 0).and_then(|first| parts.get_mut(first)) {
            *first += rest;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::NtopngConfig;

    #[test]
    fn rows_are_split_by_share() {
        assert_eq!(NtopngConfig::default().split(10), [8, 2, 0]);
        assert_eq!(NtopngConfig::default().split(0), [0, 0, 0]);
    }
}
