//! The scripts by path, what they share, and the small ones (vendors.md A3, A10).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::answer::{Body, Code, INVALID_INTERFACE, Outcome, Setting, offset_label, severity_list};
use super::config::{NtopngConfig, User};
use super::json::{Json, count, table};
use super::names;
use super::params::Params;
use super::site::Site;
use super::tables::Sorting;
use super::{alert_lists, alert_summary, tables, timeseries};
use crate::appliance::dice::{below, mix};

/// What the server remembers of a user's tables: each becomes the default of the next request.
#[derive(Debug)]
pub(super) struct Preferences {
    /// Rows of a page, of all tables together.
    pub(super) per_page: i64,
    /// Order by table.
    pub(super) sorts: HashMap<&'static str, Sorting>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { per_page: 10, sorts: HashMap::new() }
    }
}

/// One run of a script.
pub(super) struct Call<'a> {
    pub(super) config: &'a NtopngConfig,
    pub(super) sites: &'a [Site],
    pub(super) params: &'a Params,
    pub(super) user: &'a User,
    pub(super) preferences: &'a Mutex<Preferences>,
    pub(super) setting: Setting,
}

impl<'a> Call<'a> {
    /// The present, in epoch seconds.
    pub(super) const fn now(&self) -> i64 {
        self.setting.now.timestamp()
    }

    /// The interface asked for: `None` for -1, which is accepted and empty; a refusal for a missing, odd or unknown one.
    pub(super) fn site(&self) -> Result<Option<&'a Site>, Code> {
        let ifid = self.params.number("ifid");
        if ifid == Some(-1) {
            return Ok(None);
        }
        let site = self.sites.iter().find(|site| Some(i64::from(site.interface.ifid)) == ifid);
        site.map(Some).ok_or(INVALID_INTERFACE)
    }

    /// The user's preferences.
    pub(super) fn preferences(&self) -> MutexGuard<'a, Preferences> {
        self.preferences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A script.
pub(super) type Script = fn(&Call<'_>) -> Outcome;

/// Finds the script of a path.
pub(super) fn find(path: &str) -> Option<Script> {
    Some(match path.strip_prefix("/lua/rest/v2/")? {
        "connect/test.lua" => |_| Outcome { body: Body::TwoHeads, rows: 0 },
        "get/ntopng/interfaces.lua" => interfaces,
        "get/interface/data.lua" => interface_data,
        "get/host/active.lua" => tables::hosts,
        "get/flow/active.lua" => tables::flows,
        "get/flow/alert/list.lua" => alert_lists::flow_list,
        "get/host/alert/list.lua" => alert_lists::host_list,
        "get/all/alert/list.lua" => alert_summary::all_list,
        "get/alert/list/alerts.lua" => alert_lists::raw_list,
        "get/alert/severity/consts.lua" => |_| Outcome::success(severity_list(), super::kinds::SEVERITIES.len()),
        "get/timeseries/ts.lua" => timeseries::series,
        _ => return None,
    })
}

/// Answers `get/ntopng/interfaces.lua`: in any order.
fn interfaces(call: &Call<'_>) -> Outcome {
    let mut sites: Vec<_> = call.sites.iter().collect();
    sites.sort_by_key(|site| mix(call.setting.salt, u64::from(site.interface.ifid.unsigned_abs())));
    let entry = |site: &&Site| {
        let name = &site.interface.name;
        table([
            ("ifid", i64::from(site.interface.ifid).into()),
            ("ifname", name.clone().into()),
            ("name", name.clone().into()),
        ])
    };
    Outcome::success(Json::List(sites.iter().map(entry).collect()), sites.len())
}

/// Answers `get/interface/data.lua`, in part: the counters that the live tables bear out. Here `ifid` is text, and rates are bytes.
fn interface_data(call: &Call<'_>) -> Outcome {
    let site = match call.site() {
        Ok(Some(site)) => site,
        Ok(None) => return Outcome::success(Json::Table(Vec::new()), 0),
        Err(code) => return Outcome::failure(code),
    };
    let now = call.now();
    let hosts: Vec<_> = site.visible_hosts(now).collect();
    let local = hosts.iter().filter(|host| names::is_local(host.ip)).count();
    let (sent, rcvd) = hosts.iter().map(|host| host.bytes(now)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let flows = site.visible_flows(now).count();
    let rate = f64::from(below(mix(call.config.seed, now.unsigned_abs()), 400_000)) + 0.25;
    let both = |bps: f64| table([("bps", bps.into()), ("pps", (bps / 443.0).into())]);
    Outcome::success(
        table([
            ("ifid", site.interface.ifid.to_string().into()),
            ("ifname", site.interface.name.clone().into()),
            ("epoch", now.into()),
            (
                "localtime",
                format!("{} {}", super::answer::time_label(now, call.setting), offset_label(call.setting)).into(),
            ),
            ("is_view", false.into()),
            ("speed", 1000_i64.into()),
            ("num_hosts", count(hosts.len())),
            ("num_local_hosts", count(local)),
            ("num_flows", count(flows)),
            ("engaged_alerts", count(site.engaged.len())),
            ("bytes", (sent + rcvd).into()),
            ("bytes_upload", sent.into()),
            ("bytes_download", rcvd.into()),
            ("packets", ((sent + rcvd) / 430).into()),
            ("drops", 0_i64.into()),
            ("dropped_alerts", 0_i64.into()),
            ("throughput_bps", rate.into()),
            ("throughput_pps", (rate / 443.0).into()),
            ("throughput", table([("upload", both(rate / 4.0)), ("download", both(rate * 0.75))])),
        ]),
        1,
    )
}
