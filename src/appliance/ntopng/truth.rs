//! What a client ought to find: the rows themselves, and the means to add and to lose some. For tests and the demo.

use std::sync::PoisonError;

use super::fields::Style;
use super::rows::{Flow, FlowAlert, Host, HostAlert};
use super::site::Site;
use super::{Ntopng, alert_lists, flow_alerts, host_alerts, live, timeseries};

impl Ntopng {
    /// The configuration.
    pub fn config(&self) -> &super::NtopngConfig {
        &self.config
    }

    /// The flow alerts of an interface that are readable at the clock's present, acknowledged ones included, by row id. Empty for an
    /// unknown interface, as are the lists below.
    pub fn flow_alerts(&self, ifid: i32) -> Vec<FlowAlert> {
        self.look(ifid, |site, now| site.flow_alerts.visible(now).to_vec())
    }

    /// The historical host alerts of an interface that are readable at the clock's present, by row id.
    pub fn host_alerts(&self, ifid: i32) -> Vec<HostAlert> {
        self.look(ifid, |site, now| site.host_alerts.visible(now).to_vec())
    }

    /// The host alerts in progress.
    pub fn engaged(&self, ifid: i32) -> Vec<HostAlert> {
        self.look(ifid, |site, _| site.engaged.clone())
    }

    /// The hosts in the live table at the clock's present.
    pub fn hosts(&self, ifid: i32) -> Vec<Host> {
        self.look(ifid, |site, now| site.visible_hosts(now).cloned().collect())
    }

    /// The flows in the live table at the clock's present.
    pub fn flows(&self, ifid: i32) -> Vec<Flow> {
        self.look(ifid, |site, now| site.visible_flows(now).cloned().collect())
    }

    fn look<T>(&self, ifid: i32, rows: impl Fn(&Site, i64) -> Vec<T>) -> Vec<T> {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        let site = sites.iter().find(|site| site.interface.ifid == ifid);
        site.map_or_else(Vec::new, |site| rows(site, self.clock.now().timestamp()))
    }

    /// The record that `format=json` gives for a flow alert at the clock's present.
    pub fn render_flow_alert(&self, row: &FlowAlert) -> serde_json::Value {
        flow_alerts::render(row, self.style()).to_value()
    }

    /// The record that `format=json` gives for a host alert at the clock's present.
    pub fn render_host_alert(&self, row: &HostAlert) -> serde_json::Value {
        host_alerts::render(row, self.style()).to_value()
    }

    /// The row of the table of flow alerts, as `alert/list/alerts.lua` gives it.
    pub fn render_raw_flow_alert(&self, row: &FlowAlert) -> serde_json::Value {
        alert_lists::raw_flow(row).to_value()
    }

    /// The points that `timeseries/ts.lua` shows of an interface's `schema` for a request from `begin` to `end`, epoch seconds, for at
    /// most `limit` points: the series, the time and the value. Empty where there is none.
    pub fn points(
        &self,
        ifid: i32,
        schema: &str,
        begin: i64,
        end: i64,
        limit: i64,
    ) -> Vec<(&'static str, i64, serde_json::Value)> {
        let is_fed = |known: &super::Interface| known.ifid == ifid && known.share > 0;
        if !self.config.interfaces.iter().any(is_fed) {
            return Vec::new();
        }
        timeseries::of_request((self.config.seed, ifid), schema, (begin, end, self.clock.now().timestamp()), limit)
    }

    /// The row of the live table for a host at the clock's present.
    pub fn render_host(&self, row: &Host) -> serde_json::Value {
        live::render_host(row, self.clock.now().timestamp()).to_value()
    }

    /// The row of the live table for a flow at the clock's present, without `verbose`.
    pub fn render_flow(&self, row: &Flow) -> serde_json::Value {
        live::render_flow(row, self.clock.now().timestamp(), false).to_value()
    }

    fn style(&self) -> Style {
        Style { setting: self.setting(0), seed: self.config.seed, html: false }
    }

    /// Inserts `number` flow alerts at the clock's present, spread over the interfaces by share. Each is up to 91 s late: its time stamp
    /// may be older than that of rows before it.
    pub fn grow(&self, number: usize) {
        let now = self.clock.now().timestamp();
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        for (site, part) in sites.iter_mut().zip(self.config.split(number)) {
            site.grow(part, now);
        }
    }

    /// Wipes the data directory: all alerts until the clock's present are gone, and row ids start at 1 again.
    pub fn wipe(&self) {
        let now = self.clock.now().timestamp();
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        sites.iter_mut().for_each(|site| site.wipe(now));
    }
}
