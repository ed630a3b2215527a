//! What one interface holds.

use super::config::{Interface, NtopngConfig};
use super::generate::Generator;
use super::journal::Journal;
use super::rows::{Flow, FlowAlert, Host, HostAlert};

/// One interface and its rows, those of the future included.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) interface: Interface,
    pub(super) flow_alerts: Journal<FlowAlert>,
    pub(super) host_alerts: Journal<HostAlert>,
    /// Host alerts in progress.
    pub(super) engaged: Vec<HostAlert>,
    hosts: Vec<Host>,
    flows: Vec<Flow>,
    generator: Generator,
}

impl Site {
    /// Makes all interfaces of `config` as of `now`, epoch seconds.
    pub(super) fn all(config: &NtopngConfig, now: i64) -> Vec<Self> {
        let parts = [config.alerts, config.hosts, config.flows, config.host_alerts, config.engaged];
        let shares = parts.map(|total| config.split(total));
        let share = |part: usize, place: usize| shares[part].get(place).copied().unwrap_or(0);
        let site = |(place, interface): (usize, &Interface)| {
            let mut generator = Generator::new(config, place, share(1, place));
            Self {
                interface: interface.clone(),
                flow_alerts: Journal::new(generator.history(share(0, place), config.days, now)),
                host_alerts: Journal::new(generator.host_history(share(3, place), config.days, now)),
                engaged: generator.engaged(share(4, place), now),
                hosts: generator.hosts(share(1, place), now),
                flows: generator.flows(share(2, place), now),
                generator,
            }
        };
        config.interfaces.iter().enumerate().map(site).collect()
    }

    /// The hosts in the live table at `now`, epoch seconds.
    pub(super) fn visible_hosts(&self, now: i64) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.first_seen <= now)
    }

    /// The flows in the live table at `now`, epoch seconds.
    pub(super) fn visible_flows(&self, now: i64) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(move |flow| flow.first_seen <= now && now < flow.gone_at)
    }

    /// Inserts `number` flow alerts at `now`, each of them late.
    pub(super) fn grow(&mut self, number: usize, now: i64) {
        let rows = self.generator.newcomers(number, now);
        self.flow_alerts.insert(rows, now);
    }

    /// Forgets all alerts inserted until `now`.
    pub(super) fn wipe(&mut self, now: i64) {
        self.flow_alerts.wipe(now);
        self.host_alerts.wipe(now);
        self.engaged.clear();
    }
}
