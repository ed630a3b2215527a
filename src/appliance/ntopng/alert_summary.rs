//! `get/all/alert/list.lua`: one row a family, without details (vendors.md A6 and A10 "Alerts"; `all-alert-list-epoch.http`).

use super::alert_query::{Alert, AlertQuery, Oddities, Status};
use super::answer::{Body, NOT_GRANTED, OK, Outcome, with_commas};
use super::fields::severity_field;
use super::json::{Json, count, table};
use super::kinds::{OTHER, severity_of};
use super::rows::{FlowAlert, HostAlert};
use super::scripts::Call;

/// Without both epochs the script adds a missing number.
const NO_EPOCH: &str = "/usr/share/ntopng/scripts/lua/modules/alert_store/all_alert_store.lua:97: attempt to concatenate a nil \
                        value (field 'epoch_begin')";

/// The groups of a row: key, the severities in it as first, last and value of the link, its comparison and its colour.
const GROUPS: [(&str, u8, u8, &str, &str); 5] = [
    ("count_group_notice_or_lower", 0, 3, "3;lte", "#5cd65c"),
    ("count_group_warning", 4, 4, "4;eq", "#ffc007"),
    ("count_group_error", 5, 5, "5;gte", "#ff3231"),
    ("count_group_critical", 6, 7, "6;gte", "#fb6962"),
    ("count_group_emergency", 8, 8, "8;gte", "#fb6962"),
];

/// Answers `get/all/alert/list.lua`. Both totals are the size of the page.
pub(super) fn all_list(call: &Call<'_>) -> Outcome {
    if !call.user.alerts {
        return Outcome::failure(NOT_GRANTED);
    }
    let site = match call.site() {
        Ok(site) => site,
        Err(code) => return Outcome::failure(code),
    };
    let query = AlertQuery::read::<FlowAlert>(call.params);
    let Some(window) = query.epoch else { return Outcome::lua_error(NO_EPOCH) };
    let mut records = Vec::new();
    if let Some(site) = site.filter(|_| query.status != Status::Engaged) {
        let hosts = grades(call, site.host_alerts.visible(call.now()), |row: &HostAlert| (row.severity(), row.score));
        let flows = grades(call, site.flow_alerts.visible(call.now()), |row: &FlowAlert| (row.severity(), row.score));
        records
            .extend([("host", "Host", hosts), ("flow", "Flow", flows)].into_iter().filter(|(_, _, g)| !g.is_empty()));
    }
    let length = query.length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
    let records: Vec<_> =
        records.into_iter().take(length).map(|(page, name, grades)| row(page, name, &grades, window)).collect();
    let rows = records.len();
    let totals = vec![("recordsTotal", count(rows)), ("recordsFiltered", count(rows))];
    Outcome { body: Body::Json(OK, table([("records", Json::List(records))]), totals), rows }
}

/// Severity and score of each row under the filter.
fn grades<T: Alert>(call: &Call<'_>, rows: &[T], grade: fn(&T) -> (u8, u16)) -> Vec<(u8, u16)> {
    let mut query = AlertQuery::read::<T>(call.params);
    query.length = None;
    query.select(rows, Oddities { shuffle: None, cap: None }).rows.into_iter().map(grade).collect()
}

fn row(page: &str, name: &str, grades: &[(u8, u16)], (begin, end): (i64, i64)) -> Json {
    let worst = severity_of(grades.iter().map(|grade| grade.0).max().unwrap_or(0));
    let url = format!("/lua/alert_stats.lua?page={page}&epoch_begin={begin}&epoch_end={end}&status=historical");
    let score: usize = grades.iter().map(|grade| usize::from(grade.1)).sum();
    let stamp = table([("value", 0_i64.into()), ("highlight", worst.color.into()), ("label", "".into())]);
    let mut pairs = vec![
        ("entity", format!("<a href=\"{url}\">{name}</a>").into()),
        ("severity", severity_field(worst, true)),
        ("score", table([("value", count(score)), ("label", with_commas(score).into())])),
        ("count", count(grades.len())),
        ("duration", 0_i64.into()),
        ("tstamp", stamp),
        ("alert_id", table([("label", "Unknown".into())])),
        ("alert_category", table([("icon", OTHER.icon.into()), ("label", OTHER.label.into())])),
    ];
    pairs.extend(GROUPS.map(|(key, first, last, filter, color)| {
        let number = grades.iter().filter(|grade| (first..=last).contains(&grade.0)).count();
        let link = format!("{url}&severity={filter}");
        (key, table([("value", number.to_string().into()), ("color", color.into()), ("url", link.into())]))
    }));
    Json::Table(pairs)
}
