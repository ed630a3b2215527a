//! The live tables `get/host/active.lua` and `get/flow/active.lua` (vendors.md A4, A5 and A10): pages from 1, sticky preferences, and
//! sort columns that move under the reader.

use super::answer::Outcome;
use super::json::{Json, count};
use super::live::{render_flow, render_host};
use super::rows::{Flow, Host};
use super::scripts::Call;
use crate::appliance::dice::{below, mix};

/// From this page size on the flow table's script fails.
const MAX_FLOW_PAGE: i64 = 32_768;
/// What the interpreter says then.
const FLOW_PAGE_ERROR: &str = "/usr/share/ntopng/scripts/lua/rest/v2/get/flow/active.lua:162: attempt to perform \
                               arithmetic on a nil value (field 'throughput_bps')";

/// Column and direction (`asc` or `desc`), as asked for.
pub(super) type Sorting = (String, String);

/// A page request, with what the user asked for the last time where it says nothing.
struct Paging {
    page: i64,
    per_page: i64,
    sort: Option<Sorting>,
}

/// Reads the page and saves it as the user's preference; `default` is the order of a user who never asked for one.
fn paging(call: &Call<'_>, table: &'static str, default: Option<Sorting>) -> Paging {
    let mut preferences = call.preferences();
    if let Some(per_page) = call.params.number("perPage") {
        preferences.per_page = per_page;
    }
    let saved = preferences.sorts.get(table).cloned().or(default);
    let asked = |name: &str| call.params.get(name).map(str::to_owned);
    let sort = match (asked("sortColumn"), saved, asked("sortOrder")) {
        (Some(column), saved, order) => {
            Some((column, order.or_else(|| saved.map(|(_, order)| order)).unwrap_or_else(|| "asc".to_owned())))
        }
        (None, Some((column, saved)), order) => Some((column, order.unwrap_or(saved))),
        (None, None, _) => None,
    };
    if let (true, Some(sort)) = (call.params.get("sortColumn").is_some(), &sort) {
        preferences.sorts.insert(table, sort.clone());
    }
    Paging { page: call.params.number("currentPage").unwrap_or(1), per_page: preferences.per_page, sort }
}

impl Paging {
    fn cut<T>(&self, rows: Vec<T>) -> Vec<T> {
        let (Ok(page), Ok(size)) = (usize::try_from(self.page - 1), usize::try_from(self.per_page)) else {
            return Vec::new();
        };
        rows.into_iter().skip(page.saturating_mul(size)).take(size).collect()
    }

    fn descending(&self) -> bool {
        self.sort.as_ref().is_some_and(|(_, order)| order == "desc")
    }

    fn column(&self) -> &str {
        self.sort.as_ref().map_or("", |(column, _)| column)
    }

    fn answer(&self, total: Option<usize>, data: Vec<Json>) -> Outcome {
        let rows = data.len();
        let entry = |(column, order): &Sorting| vec![format!("column_{column}").into(), order.clone().into()];
        let sort = Json::List(vec![Json::List(self.sort.as_ref().map_or_else(Vec::new, entry))]);
        let mut pairs = vec![
            ("currentPage", self.page.into()),
            ("perPage", self.per_page.into()),
            ("sort", sort),
            ("data", Json::List(data)),
        ];
        pairs.extend(total.map(|total| ("totalRows", count(total))));
        Outcome::success(Json::Table(pairs), rows)
    }
}

/// Answers `get/host/active.lua`. A page below 1 kills the process, as it does the real one.
pub(super) fn hosts(call: &Call<'_>) -> Outcome {
    let site = match call.site() {
        Ok(site) => site,
        Err(code) => return Outcome::failure(code),
    };
    let mut paging = paging(call, "hosts", None);
    if paging.page < 1 {
        return Outcome { body: super::answer::Body::Crash, rows: 0 };
    }
    if call.params.flag("all") {
        (paging.page, paging.per_page) = (0, -1);
    }
    let now = call.now();
    let mut hosts: Vec<&Host> = site.map_or_else(Vec::new, |site| site.visible_hosts(now).collect());
    sort_hosts(&mut hosts, &paging, call);
    let data = paging.cut(hosts).into_iter().map(|host| render_host(host, now)).collect();
    // The real script prints the total from a variable that it never sets.
    paging.answer(None, data)
}

/// Sorts by the column asked for. Steady columns keep ties in the table's order; for the others a reader of several pages sees the table
/// change between them.
fn sort_hosts(hosts: &mut [&Host], paging: &Paging, call: &Call<'_>) {
    match paging.column() {
        "" => hosts.sort_by_key(|host| mix(host.salt, 3)),
        "ip" => hosts.sort_by_key(|host| host.ip),
        "name" => hosts.sort_by(|a, b| a.name.cmp(&b.name)),
        "vlan" => hosts.sort_by_key(|host| host.vlan),
        "country" => hosts.sort_by_key(|host| super::fields::country(host.ip)),
        _ => hosts.sort_by_cached_key(|host| drifting(host.salt, call.setting.salt)),
    }
    if paging.descending() {
        hosts.reverse();
    }
}

/// A rank that is roughly a row's own and shifts by up to a tenth from request to request.
fn drifting(row: u64, request: u64) -> u64 {
    u64::from(below(mix(row, 4), 1000) + below(mix(row, request), 100))
}

/// Answers `get/flow/active.lua`.
pub(super) fn flows(call: &Call<'_>) -> Outcome {
    let site = match call.site() {
        Ok(site) => site,
        Err(code) => return Outcome::failure(code),
    };
    let mut paging = paging(call, "flows", Some(("first_seen".to_owned(), "asc".to_owned())));
    if paging.per_page >= MAX_FLOW_PAGE {
        return Outcome::lua_error(FLOW_PAGE_ERROR);
    }
    let now = call.now();
    let mut flows: Vec<&Flow> = site.map_or_else(Vec::new, |site| site.visible_flows(now).collect());
    let total = flows.len();
    if paging.column() == "first_seen" {
        flows.sort_by_key(|flow| (flow.first_seen, flow.hash_id));
    } else {
        flows.sort_by_cached_key(|flow| drifting(flow.salt, call.setting.salt));
    }
    if paging.descending() {
        flows.reverse();
    }
    let asked = paging.per_page;
    // A page of no rows has one.
    paging.per_page = if asked == 0 { 1 } else { asked };
    let verbose = call.params.flag("verbose");
    let data = paging.cut(flows).into_iter().map(|flow| render_flow(flow, now, verbose)).collect();
    paging.per_page = asked;
    paging.answer(Some(total), data)
}
