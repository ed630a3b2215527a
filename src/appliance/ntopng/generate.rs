//! Makes the rows from seed, sizes and the instant of construction.

use super::config::NtopngConfig;
use super::kinds::{FLOW_KINDS, HOST_KINDS};
use super::names;
use super::rows::{Flow, FlowAlert, Host, HostAlert};
use crate::appliance::dice::{Dice, below, mix};

/// The longest that a row was seen to lag behind the newest time stamp, in seconds (vendors.md A10).
pub(super) const MAX_LATENESS: i64 = 91;
/// The most rows that were seen to share one second (vendors.md A10).
const MAX_BURST: u32 = 79;
/// From this many rows on the first of them make a burst of [`MAX_BURST`].
const SURE_BURST: usize = 200;
/// One alert in this many moved more than 2^53 bytes.
const HUGE_EVERY: u32 = 250;
/// A day, in seconds.
const DAY: i64 = 86_400;
/// Hosts and flows come and go within this many seconds after the construction.
const CHURN: u32 = 3600;

/// Seeds and numbers the rows of one interface.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    seed: u64,
    dice: Dice,
    /// How many clients and servers there are.
    population: u32,
    flow_alerts_made: u32,
}

impl Generator {
    /// Starts for the interface at `place` in the configuration, with `hosts` hosts.
    pub(super) fn new(config: &NtopngConfig, place: usize, hosts: usize) -> Self {
        let purpose = u64::try_from(place).unwrap_or(0);
        let population = u32::try_from(hosts).unwrap_or(u32::MAX).max(8);
        Self { seed: config.seed, dice: Dice::new(config.seed, purpose), population, flow_alerts_made: 0 }
    }

    /// Makes `number` flow alerts of the `days` before `now`, the last few of which are still to be inserted.
    pub(super) fn history(&mut self, number: usize, days: u32, now: i64) -> Vec<FlowAlert> {
        let instants = self.instants(number, now - i64::from(days.max(1)) * DAY, now);
        instants.into_iter().map(|(tstamp, inserted_at)| self.flow_alert(tstamp, inserted_at)).collect()
    }

    /// Makes `number` flow alerts that turn up at `now`, each of them late.
    pub(super) fn newcomers(&mut self, number: usize, now: i64) -> Vec<FlowAlert> {
        (0..number)
            .map(|_| {
                let tstamp = now - self.lateness();
                self.flow_alert(tstamp, now)
            })
            .collect()
    }

    /// Spreads `number` rows over the seconds from `begin` to `end`: (time stamp, insertion) of each. One row in fifty falls into the
    /// last [`MAX_LATENESS`] seconds, so that some are still to come; some share a second.
    fn instants(&mut self, number: usize, begin: i64, end: i64) -> Vec<(i64, i64)> {
        let total = i64::try_from(number).unwrap_or(i64::MAX);
        let recent = (total / 50).min(200);
        let mut instants = Vec::with_capacity(number);
        while instants.len() < number {
            let place = i64::try_from(instants.len()).unwrap_or(0);
            let tstamp = if place < total - recent {
                begin + (end - MAX_LATENESS - begin) * place / (total - recent)
            } else {
                end - i64::from(self.dice.below(u32::try_from(MAX_LATENESS).unwrap_or(0)))
            };
            for _ in 0..self.burst(place == 0 && number >= SURE_BURST).min(number - instants.len()) {
                instants.push((tstamp, tstamp + self.lateness()));
            }
        }
        instants
    }

    /// How many rows share the next second.
    fn burst(&mut self, sure: bool) -> usize {
        let size = match sure {
            true => MAX_BURST,
            false if self.dice.chance(20) => self.dice.between(2, MAX_BURST),
            false => 1,
        };
        size as usize
    }

    /// How late the next row is, in seconds: half of them under 20, one in ten over 57 (vendors.md A10).
    fn lateness(&mut self) -> i64 {
        let seconds = match self.dice.below(10) {
            0..5 => self.dice.below(20),
            5..9 => self.dice.between(20, 57),
            _ => self.dice.between(58, 91),
        };
        seconds.into()
    }

    fn flow_alert(&mut self, tstamp: i64, inserted_at: i64) -> FlowAlert {
        self.flow_alerts_made = self.flow_alerts_made.wrapping_add(1);
        let huge = self.flow_alerts_made % HUGE_EVERY == 7;
        let kind_index = self.dice.below(8);
        let kind = &FLOW_KINDS[kind_index as usize];
        let cli_ip = names::client(self.dice.below(self.population));
        let srv_ip = if kind.l7.1 == "DNS" { names::RESOLVER } else { names::server(self.dice.below(self.population)) };
        let packets = 1 + self.dice.below(60);
        let sent = i64::from(packets * (40 + self.dice.below(900)));
        let rcvd = i64::from(packets * self.dice.below(1400));
        FlowAlert {
            row_id: 0,
            tstamp,
            inserted_at,
            duration: u32::try_from((inserted_at - tstamp) / 2).unwrap_or(0),
            cli_ip,
            srv_ip,
            cli_port: word16(self.dice.between(1024, 65_535)),
            srv_port: kind.port.0,
            vlan: [0, 0, 0, 10, 20][self.dice.below(5) as usize],
            score: kind.score + word16(self.dice.below(4)) * 10,
            bytes_sent: if huge { (1 << 53) + 1 + sent } else { sent },
            bytes_rcvd: rcvd,
            packets,
            // ntopng ticks most flow alerts off by itself: 4,002 of 5,776 where the fixtures were taken.
            acknowledged: self.dice.chance(690),
            kind: u8::try_from(kind_index).unwrap_or(0),
            salt: self.dice.word(),
        }
    }

    /// Makes `number` host alerts of the `days` before `now`.
    pub(super) fn host_history(&mut self, number: usize, days: u32, now: i64) -> Vec<HostAlert> {
        let instants = self.instants(number, now - i64::from(days.max(1)) * DAY, now);
        instants.into_iter().map(|(tstamp, inserted_at)| self.host_alert(tstamp, inserted_at)).collect()
    }

    /// Makes `number` host alerts in progress, which began in the quarter of an hour before `now`, in order.
    pub(super) fn engaged(&mut self, number: usize, now: i64) -> Vec<HostAlert> {
        let mut begins: Vec<i64> = (0..number).map(|_| now - i64::from(self.dice.below(900))).collect();
        begins.sort_unstable();
        begins.into_iter().map(|tstamp| self.host_alert(tstamp, tstamp)).collect()
    }

    fn host_alert(&mut self, tstamp: i64, inserted_at: i64) -> HostAlert {
        let kind = self.dice.below(3);
        HostAlert {
            row_id: 0,
            tstamp,
            inserted_at,
            duration: 60 + self.dice.below(120),
            ip: names::client(self.dice.below(self.population)),
            as_client: self.dice.chance(600),
            score: HOST_KINDS[kind as usize].score,
            acknowledged: self.dice.chance(100),
            measured: 5001 + self.dice.below(20_000),
            kind: u8::try_from(kind).unwrap_or(0),
        }
    }

    /// Makes the hosts: `number` of them known before `now`, and one more for every thirty in the hour after.
    pub(super) fn hosts(&mut self, number: usize, now: i64) -> Vec<Host> {
        let total = u32::try_from(number + number / 30).unwrap_or(u32::MAX);
        (0..total)
            .map(|index| {
                let early = i64::from(self.dice.below(2 * 86_400));
                let late = 1 + i64::from(self.dice.below(CHURN));
                let known = (index as usize) < number;
                self.host(index, if known { now - early } else { now + late })
            })
            .collect()
    }

    /// The `index`-th host: one in eight each lives in VLAN 10 or 20 under the address of a neighbour in none.
    fn host(&mut self, index: u32, first_seen: i64) -> Host {
        let (base, vlan) = match index % 8 {
            6 => (index - 1, 10),
            7 => (index - 2, 20),
            _ => (index, 0),
        };
        let ip = if base % 3 == 2 { names::server(base) } else { names::client(base) };
        let name = names::host_name(self.seed, ip).unwrap_or_else(|| ip.to_string());
        Host { ip, vlan, first_seen, name, salt: self.dice.word() }
    }

    /// Makes the flows: `number` of them alive at `now`, of which one in ten ends in the hour after, and one more for every thirty
    /// that begins then.
    pub(super) fn flows(&mut self, number: usize, now: i64) -> Vec<Flow> {
        let total = number + number / 30;
        (0..total)
            .map(|index| {
                let begin = if index < number {
                    now - i64::from(self.dice.below(CHURN))
                } else {
                    now + 1 + i64::from(self.dice.below(CHURN))
                };
                let ends = self.dice.chance(100);
                let gone_at = if ends { begin.max(now) + 1 + i64::from(self.dice.below(CHURN)) } else { i64::MAX };
                self.flow(begin, gone_at)
            })
            .collect()
    }

    fn flow(&mut self, first_seen: i64, gone_at: i64) -> Flow {
        let salt = self.dice.word();
        let kind = self.dice.below(8);
        let cli_ip = names::client(self.dice.below(self.population));
        let srv_ip = names::server(self.dice.below(self.population));
        let vlan = [0, 0, 0, 0, 10][self.dice.below(5) as usize];
        let suffix = if vlan == 0 { "" } else { "@10" };
        let cli_name = names::host_name(self.seed, cli_ip).unwrap_or_else(|| names::hardware_address(cli_ip) + suffix);
        Flow {
            key: mix(salt, 1),
            hash_id: below(mix(salt, 2), 1_000_000),
            first_seen,
            gone_at,
            cli_ip,
            srv_ip,
            cli_port: word16(self.dice.between(1024, 65_535)),
            vlan,
            cli_name,
            srv_name: names::host_name(self.seed, srv_ip).unwrap_or_else(|| "02:11:22:33:44:55".to_owned()),
            kind: u8::try_from(kind).unwrap_or(0),
            salt,
        }
    }
}

fn word16(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Generator, MAX_LATENESS};
    use crate::appliance::ntopng::config::NtopngConfig;
    use std::collections::{HashMap, HashSet};

    const NOW: i64 = 1_795_315_800;

    fn generator() -> Generator {
        Generator::new(&NtopngConfig::default(), 0, 300)
    }

    #[test]
    fn history_has_bursts_and_late_rows() {
        let rows = generator().history(2000, 7, NOW);
        assert_eq!(rows.len(), 2000);
        assert!(
            rows.iter().all(|row| (0..=MAX_LATENESS).contains(&(row.inserted_at - row.tstamp)) && row.tstamp <= NOW)
        );
        assert!(rows.iter().any(|row| row.inserted_at > NOW), "some rows are still to come");
        assert!(rows.iter().any(|row| row.total_bytes() > 1 << 53));
        let mut per_second: HashMap<i64, usize> = HashMap::new();
        rows.iter().for_each(|row| *per_second.entry(row.tstamp).or_default() += 1);
        assert_eq!(per_second.values().copied().max(), Some(79));
        assert_eq!(rows, generator().history(2000, 7, NOW), "same seed, same rows");
    }

    #[test]
    fn hosts_are_distinct_by_address_and_vlan() {
        let hosts = generator().hosts(300, NOW);
        let identities: HashSet<_> = hosts.iter().map(|host| (host.ip, host.vlan)).collect();
        let addresses: HashSet<_> = hosts.iter().map(|host| host.ip).collect();
        assert_eq!((hosts.len(), identities.len()), (310, 310));
        assert!(addresses.len() < identities.len(), "some addresses live in several VLANs");
        assert_eq!(hosts.iter().filter(|host| host.first_seen <= NOW).count(), 300);
    }

    #[test]
    fn flows_are_distinct_and_come_and_go() {
        let flows = generator().flows(500, NOW);
        let alive = |at| flows.iter().filter(|flow| flow.first_seen <= at && at < flow.gone_at).count();
        assert_eq!(alive(NOW), 500);
        assert!(alive(NOW + 3600) < 500);
        assert_eq!(flows.iter().map(|flow| (flow.key, flow.hash_id)).collect::<HashSet<_>>().len(), flows.len());
        assert!(flows.iter().any(|flow| flow.bytes(NOW) == 0), "some flows have no bytes, so no breakdown");
    }
}
