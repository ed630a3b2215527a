//! `get/flow/alert/list.lua` and `get/host/alert/list.lua` (vendors.md A6 and A10 "Alerts"), and the raw rows of
//! `get/alert/list/alerts.lua` (A7).

use super::alert_query::{Alert, AlertQuery, Oddities, Status};
use super::answer::{Body, INVALID_ARGUMENTS, NOT_GRANTED, OK, Outcome};
use super::fields::Style;
use super::json::{Json, count, table};
use super::rows::{FlowAlert, HostAlert};
use super::scripts::Call;
use super::{flow_alerts, host_alerts};
use crate::appliance::dice::mix;

/// Answers `get/flow/alert/list.lua`.
pub(super) fn flow_list(call: &Call<'_>) -> Outcome {
    if !call.user.alerts {
        return Outcome::failure(NOT_GRANTED);
    }
    let site = match call.site() {
        Ok(site) => site,
        Err(code) => return Outcome::failure(code),
    };
    let query = AlertQuery::read::<FlowAlert>(call.params);
    remember_length(call, &query);
    let rows = site.map_or(&[][..], |site| site.flow_alerts.visible(call.now()));
    match (query.status, call.params.get("format")) {
        // Flow alerts are raised when a flow ends: none is ever in progress.
        (Status::Engaged, _) => list(Json::Table(Vec::new()), Vec::new(), 0),
        (_, Some("txt")) => {
            let selected = query.select(rows, oddities(call)).rows;
            let mut text = flow_alerts::CSV_HEADER.to_owned();
            for row in &selected {
                flow_alerts::csv_row(row, &mut text);
            }
            Outcome { body: Body::Csv(text), rows: selected.len() }
        }
        _ => historical(call, &query, rows, flow_alerts::render),
    }
}

/// Answers `get/host/alert/list.lua`.
pub(super) fn host_list(call: &Call<'_>) -> Outcome {
    if !call.user.alerts {
        return Outcome::failure(NOT_GRANTED);
    }
    let site = match call.site() {
        Ok(site) => site,
        Err(code) => return Outcome::failure(code),
    };
    let query = AlertQuery::read::<HostAlert>(call.params);
    remember_length(call, &query);
    if query.status == Status::Engaged {
        let engaged = site.map_or(&[][..], |site| site.engaged.as_slice());
        return in_progress(call, query, engaged);
    }
    let rows = site.map_or(&[][..], |site| site.host_alerts.visible(call.now()));
    historical(call, &query, rows, host_alerts::render)
}

/// The length of a list becomes the user's page size everywhere.
fn remember_length(call: &Call<'_>, query: &AlertQuery) {
    if let Some(length) = query.length.filter(|length| *length > 0) {
        call.preferences().per_page = length;
    }
}

fn oddities(call: &Call<'_>) -> Oddities {
    let config = call.config;
    Oddities { shuffle: config.arbitrary_order.then_some(call.setting.salt), cap: config.row_cap }
}

fn style(call: &Call<'_>) -> Style {
    Style { setting: call.setting, seed: call.config.seed, html: call.params.get("format") != Some("json") }
}

fn historical<T: Alert>(call: &Call<'_>, query: &AlertQuery, rows: &[T], render: fn(&T, Style) -> Json) -> Outcome {
    let selection = query.select(rows, oddities(call));
    let records = selection.rows.into_iter().map(|row| render(row, style(call))).collect();
    list(query.stats::<T>(selection.total, call.setting.salt), records, selection.total)
}

/// Alerts in progress come from memory: no statistics, and of the epochs only the end counts.
fn in_progress(call: &Call<'_>, mut query: AlertQuery, engaged: &[HostAlert]) -> Outcome {
    let end = query.epoch.map_or(i64::MAX, |(_, end)| end).min(call.now());
    query.epoch = Some((i64::MIN, end));
    let selection = query.select(engaged, oddities(call));
    let records = selection.rows.into_iter().map(|row| host_alerts::render(row, style(call))).collect();
    list(Json::Table(Vec::new()), records, selection.total)
}

fn list(stats: Json, records: Vec<Json>, total: usize) -> Outcome {
    let rows = records.len();
    let rsp = table([("stats", stats), ("records", Json::List(records))]);
    let totals = vec![("recordsTotal", count(total)), ("recordsFiltered", count(total))];
    Outcome { body: Body::Json(OK, rsp, totals), rows }
}

/// The rows that the raw list gives without a `maxhits_clause`.
const RAW_DEFAULT: i64 = 10;

/// Answers `get/alert/list/alerts.lua`: rows as the table has them, all of them text, no order, no offset. An alert that ends after the
/// window is in no window at all.
pub(super) fn raw_list(call: &Call<'_>) -> Outcome {
    if !call.user.alerts {
        return Outcome::failure(NOT_GRANTED);
    }
    let site = match call.site() {
        Ok(site) => site,
        Err(code) => return Outcome::failure(code),
    };
    let window = call.params.number("epoch_begin").zip(call.params.number("epoch_end"));
    let (Some((begin, end)), Some(family @ ("flow" | "host"))) = (window, call.params.get("alert_family")) else {
        return Outcome::failure(INVALID_ARGUMENTS);
    };
    let limit = usize::try_from(call.params.number("maxhits_clause").unwrap_or(RAW_DEFAULT)).unwrap_or(0);
    let ends_within = |tstamp: i64, duration: u32| tstamp >= begin && tstamp + i64::from(duration) <= end;
    let rows: Vec<Json> = match (site, family) {
        // Its own SQL would go in here unchecked; the simulator has no SQL, and answers as to an error in it.
        _ if call.params.get("where_clause").is_some() || call.params.get("select_clause").is_some() => Vec::new(),
        (None, _) => Vec::new(),
        (Some(site), "flow") => {
            let rows = site.flow_alerts.visible(call.now()).iter();
            any_of(call, rows.filter(|row| ends_within(row.tstamp, row.duration)), limit).map(raw_flow).collect()
        }
        (Some(site), _) => {
            let rows = site.host_alerts.visible(call.now()).iter();
            any_of(call, rows.filter(|row| ends_within(row.tstamp, row.duration)), limit).map(raw_host).collect()
        }
    };
    let number = rows.len();
    Outcome::success(Json::List(rows), number)
}

/// Takes `limit` of some rows: those that the table has first, or any.
fn any_of<'a, T: Alert + 'a>(
    call: &Call<'_>,
    rows: impl Iterator<Item = &'a T>,
    limit: usize,
) -> impl Iterator<Item = &'a T> {
    let mut rows: Vec<&T> = rows.collect();
    if let Some(salt) = oddities(call).shuffle {
        rows.sort_by_cached_key(|row| mix(salt, row.row_id().unsigned_abs()));
    }
    rows.into_iter().take(limit)
}

pub(super) fn raw_flow(row: &FlowAlert) -> Json {
    table([
        ("rowid", row.row_id.to_string().into()),
        ("alert_id", row.alert_id().to_string().into()),
        ("alert_status", if row.acknowledged { "2".into() } else { "0".into() }),
        ("tstamp", row.tstamp.to_string().into()),
        ("tstamp_end", (row.tstamp + i64::from(row.duration)).to_string().into()),
        ("severity", row.severity().to_string().into()),
        ("score", row.score.to_string().into()),
        ("cli_ip", row.cli_ip.to_string().into()),
        ("srv_ip", row.srv_ip.to_string().into()),
        ("cli_port", row.cli_port.to_string().into()),
        ("srv_port", row.srv_port.to_string().into()),
        ("vlan_id", row.vlan.to_string().into()),
        ("cli2srv_bytes", row.bytes_sent.to_string().into()),
        ("srv2cli_bytes", row.bytes_rcvd.to_string().into()),
        ("info", row.info().into_owned().into()),
    ])
}

fn raw_host(row: &HostAlert) -> Json {
    table([
        ("rowid", row.row_id.to_string().into()),
        ("alert_id", row.alert_id().to_string().into()),
        ("alert_status", if row.acknowledged { "2".into() } else { "0".into() }),
        ("tstamp", row.tstamp.to_string().into()),
        ("tstamp_end", (row.tstamp + i64::from(row.duration)).to_string().into()),
        ("severity", row.severity().to_string().into()),
        ("score", row.score.to_string().into()),
        ("ip", row.ip.to_string().into()),
        ("vlan_id", "0".into()),
    ])
}
