//! `get/timeseries/ts.lua` (vendors.md A8 and A10 "Time series"; `ts-*.http`).

use super::answer::Outcome;
use super::json::{Json, count, table};
use super::scripts::Call;
use super::site::Site;
use crate::appliance::dice::{below, mix};

/// The most points of a series that nobody set a limit for.
const DEFAULT_LIMIT: i64 = 60;
/// A query without an interface is an error of the interpreter.
const NO_QUERY: &str = "...-build/ntopng/scripts/lua/modules/timeseries/ts_data.lua:136: attempt to concatenate a nil value \
                        (field 'ifid')";
/// So is a schema of a list of the busiest.
const NO_TOP: &str = "...-build/ntopng/scripts/lua/modules/timeseries/ts_data.lua:158: attempt to index a nil value (local \
                      'top_items')";

/// A schema: its name, its native step in seconds, its series and the most that one of their points shows.
struct Schema {
    name: &'static str,
    step: i64,
    series: &'static [&'static str],
    most: u32,
}

const SCHEMAS: [Schema; 3] = [
    Schema { name: "iface:traffic", step: 1, series: &["bytes"], most: 240_000 },
    Schema { name: "iface:flows", step: 60, series: &["num_flows"], most: 3000 },
    Schema { name: "host:traffic", step: 300, series: &["bytes_sent", "bytes_rcvd"], most: 20_000 },
];

/// The tags that a query may hold.
const TAGS: [&str; 3] = ["ifid", "host", "protocol"];

/// Answers `get/timeseries/ts.lua`. Whatever can't be found is a success without series.
pub(super) fn series(call: &Call<'_>) -> Outcome {
    let tags = tags_of(call.params.get("ts_query").unwrap_or_default());
    let tag = |name: &str| tags.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let Some(ifid) = tag("ifid") else { return Outcome::lua_error(NO_QUERY) };
    let name = call.params.get("ts_schema").unwrap_or_default();
    if name.starts_with("top:") {
        return Outcome::lua_error(NO_TOP);
    }
    let now = call.now();
    let end = call.params.number("epoch_end").unwrap_or(now).min(now);
    let begin = call.params.number("epoch_begin").unwrap_or(end - 3600);
    let site = call.sites.iter().find(|site| site.interface.ifid.to_string() == ifid && site.interface.share > 0);
    let schema = SCHEMAS.iter().find(|schema| schema.name == name);
    let (Some(site), Some(schema), true) = (site, schema, begin <= end) else { return nothing() };
    let Some((salt, since)) = subject(call, site, schema, tag("host")) else { return nothing() };
    let limit = call.params.number("limit").filter(|limit| *limit > 0).unwrap_or(DEFAULT_LIMIT);
    let grid = Grid::new(schema.step, begin, end, limit);
    let series = (1_u64..).zip(schema.series).map(|(number, id)| {
        let points: Vec<Option<f64>> =
            grid.times().map(|time| (time >= since).then(|| value(mix(salt, number), time, schema.most))).collect();
        table([
            ("id", (*id).into()),
            ("statistics", statistics(&points, grid.step)),
            ("data", Json::List(points.into_iter().map(point).collect())),
        ])
    });
    let query = tags.iter().map(|(key, value)| (*key, (*value).to_owned().into())).collect();
    let metadata = table([
        ("schema", schema.name.into()),
        ("query", Json::Table(query)),
        ("epoch_begin", grid.begin.into()),
        ("epoch_end", grid.end.into()),
        ("epoch_step", grid.step.into()),
        ("num_point", count(grid.times().count())),
    ]);
    Outcome::success(table([("metadata", metadata), ("series", Json::List(series.collect()))]), schema.series.len())
}

fn nothing() -> Outcome {
    Outcome::success(table([("metadata", Json::Table(Vec::new()))]), 0)
}

/// Reads `ifid:0,host:fe80::1`: tags by comma, the value behind the first colon. Unknown tags are left out.
fn tags_of(query: &str) -> Vec<(&'static str, &str)> {
    let tag = |part: &'static str, text| (part, text);
    query
        .split(',')
        .filter_map(|part| part.split_once(':'))
        .filter_map(|(key, value)| TAGS.iter().find(|known| **known == key).map(|known| tag(known, value)))
        .collect()
}

/// What decides on the values of the series, and since when there are any; `None` where the host is unknown.
fn subject(call: &Call<'_>, site: &Site, schema: &Schema, host: Option<&str>) -> Option<(u64, i64)> {
    if schema.name != "host:traffic" {
        return Some((mix(call.config.seed, u64::from(site.interface.ifid.unsigned_abs())), i64::MIN));
    }
    let (ip, vlan) = host?.split_once('@').unwrap_or((host?, "0"));
    let host =
        site.visible_hosts(call.now()).find(|known| known.ip.to_string() == ip && known.vlan.to_string() == vlan)?;
    // The first point needs two samples.
    Some((host.salt, host.first_seen + schema.step))
}

/// The points of an answer: the server moves the begin and picks the step.
struct Grid {
    begin: i64,
    end: i64,
    step: i64,
}

impl Grid {
    fn new(native: i64, begin: i64, end: i64, limit: i64) -> Self {
        let wanted = (end - begin) / limit + 1;
        let step = (wanted + native - 1) / native * native;
        Self { begin: begin - begin.rem_euclid(step), end, step }
    }

    fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let (begin, step) = (self.begin, self.step);
        (0..=(self.end - begin) / step).map(move |index| begin + index * step)
    }
}

fn value(salt: u64, time: i64, most: u32) -> f64 {
    f64::from(most / 2 + below(mix(salt, time.unsigned_abs()), most / 2)) + 0.5
}

fn point(value: Option<f64>) -> Json {
    value.map_or(Json::Null, Json::Float)
}

/// The statistics over the points that are there.
fn statistics(points: &[Option<f64>], step: i64) -> Json {
    let mut known: Vec<(f64, usize)> =
        points.iter().enumerate().filter_map(|(index, value)| Some(((*value)?, index))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sum: f64 = known.iter().map(|(value, _)| value).sum();
    let number = f64::from(u32::try_from(known.len()).unwrap_or(u32::MAX));
    let seconds = f64::from(u32::try_from(step).unwrap_or(u32::MAX));
    let extreme = |entry: Option<&(f64, usize)>| (point(entry.map(|e| e.0)), entry.map_or(Json::Null, |e| count(e.1)));
    let (min, min_index) = extreme(known.first());
    let (max, max_index) = extreme(known.last());
    let percentile = known.get((known.len() * 95 / 100).min(known.len().saturating_sub(1)));
    table([
        ("total", (sum * seconds).into()),
        ("average", (sum / number).into()),
        ("95th_percentile", point(percentile.map(|e| e.0))),
        ("min_val", min),
        ("max_val", max),
        ("min_val_idx", min_index),
        ("max_val_idx", max_index),
    ])
}

#[cfg(test)]
mod tests {
    use super::{Grid, tags_of};

    #[test]
    fn the_step_follows_the_range() {
        let grid = |native, begin, end, limit| {
            let grid = Grid::new(native, begin, end, limit);
            (grid.step, grid.times().count())
        };
        assert_eq!(grid(1, 1_795_315_421, 1_795_315_721, 60), (6, 51), "ts-iface-traffic.http");
        assert_eq!(grid(1, 1_795_312_154, 1_795_315_754, 60).0, 61, "ts-iface-traffic-no-epoch.http");
        assert_eq!(grid(300, 0, 3600, 60), (300, 13));
        assert_eq!(grid(60, 0, 86_400, 60).0, 1500, "a limit makes it coarse");
    }

    #[test]
    fn tags_split_at_commas_and_the_first_colon() {
        assert_eq!(tags_of("ifid:0,host:fe80::1@10"), [("ifid", "0"), ("host", "fe80::1@10")]);
        assert_eq!(tags_of("ifid:0;host:1.2.3.4"), [("ifid", "0;host:1.2.3.4")], "semicolons don't separate");
    }
}
