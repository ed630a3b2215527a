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

/// How long nothing was measured, in seconds, where it wasn't.
const DOWN_FOR: i64 = 577;
/// Of so many such times one is.
const DOWN_ONE_IN: u32 = 40;

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
    let all = schema.series.iter().zip(points(schema, &grid, salt, since));
    let series = all.map(|(id, points)| {
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
        return Some((of_interface(call.config.seed, site.interface.ifid), i64::MIN));
    }
    let (ip, vlan) = host?.split_once('@').unwrap_or((host?, "0"));
    let host =
        site.visible_hosts(call.now()).find(|known| known.ip.to_string() == ip && known.vlan.to_string() == vlan)?;
    // The first point needs two samples.
    Some((host.salt, host.first_seen + schema.step))
}

/// What decides on the values of an interface's series.
fn of_interface(seed: u64, ifid: i32) -> u64 {
    mix(seed, u64::from(ifid.unsigned_abs()))
}

/// The points of an interface that an answer up to `now` shows for a request: series, time in epoch seconds, value. Nothing for a
/// schema that isn't an interface's.
pub(super) fn of_request(
    (seed, ifid): (u64, i32),
    schema: &str,
    (begin, end, now): (i64, i64, i64),
    limit: i64,
) -> Vec<(&'static str, i64, serde_json::Value)> {
    let Some(schema) = SCHEMAS.iter().find(|known| known.name == schema && known.name.starts_with("iface:")) else {
        return Vec::new();
    };
    let grid = Grid::new(schema.step, begin, end.min(now), limit);
    let all = schema.series.iter().zip(points(schema, &grid, of_interface(seed, ifid), i64::MIN));
    all.flat_map(|(id, points)| grid.times().zip(points).map(|(at, value)| (*id, at, point(value).to_value())))
        .collect()
}

/// The points of each series of a schema. Where the step has grown, points are the means of those that were measured, of which the
/// missing ones count as 0 (vendors.md A8); where all are missing, so is the mean.
fn points(schema: &'static Schema, grid: &Grid, salt: u64, since: i64) -> impl Iterator<Item = Vec<Option<f64>>> {
    let (times, step) = (grid.times(), grid.step);
    (1_u64..).take(schema.series.len()).map(move |number| {
        let salt = mix(salt, number);
        let measured = |at: i64| (at >= since && !is_down(salt, at)).then(|| value(salt, at, schema.most));
        let merged = |from: i64| {
            let each = (0..step / schema.step).filter_map(|index| measured(from + index * schema.step));
            let (sum, count) = each.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
            (count > 0).then(|| sum / f64::from(u32::try_from(step / schema.step).unwrap_or(u32::MAX)))
        };
        times.clone().map(merged).collect()
    })
}

/// Tells whether nothing was measured at an instant: now and then it isn't for some minutes.
fn is_down(salt: u64, at: i64) -> bool {
    below(mix(salt, at.div_euclid(DOWN_FOR).unsigned_abs()), DOWN_ONE_IN) == 0
}

/// The points of an answer: the server moves the begin by a step that was measured, and picks the step by range and limit.
#[derive(Debug, Clone, Copy)]
struct Grid {
    begin: i64,
    end: i64,
    step: i64,
}

impl Grid {
    fn new(native: i64, begin: i64, end: i64, limit: i64) -> Self {
        let wanted = (end - begin) / limit + 1;
        let step = (wanted + native - 1) / native * native;
        Self { begin: (begin - 1) - (begin - 1).rem_euclid(native), end, step }
    }

    fn times(&self) -> impl Iterator<Item = i64> + Clone + use<> {
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
    use super::{Grid, of_request, tags_of};

    #[test]
    fn the_step_follows_the_range() {
        let grid = |native, begin, end, limit| {
            let grid = Grid::new(native, begin, end, limit);
            (grid.begin, grid.step, grid.times().count())
        };
        assert_eq!(grid(1, 1_795_315_421, 1_795_315_721, 60), (1_795_315_420, 6, 51), "ts-iface-traffic.http");
        let without = grid(1, 1_795_312_154, 1_795_315_754, 60);
        assert_eq!(without, (1_795_312_153, 61, 60), "ts-iface-traffic-no-epoch.http");
        assert_eq!(grid(300, 0, 3600, 60), (-300, 300, 14));
        assert_eq!(grid(60, 0, 86_400, 60).1, 1500, "a limit makes it coarse");
        assert_eq!(grid(1, 0, 86_400, 1441).1, 60);
    }

    #[test]
    fn points_are_merged_as_means_with_gaps() {
        let at = |limit| of_request((1, 0), "iface:traffic", (600, 87_000, i64::MAX), limit);
        let (fine, coarse) = (at(100_000), at(1441));
        let is_null =
            |points: &[(&str, i64, serde_json::Value)]| points.iter().filter(|point| point.2.is_null()).count();
        assert_eq!((fine.len(), coarse.len()), (86_402, 1441));
        assert!(
            is_null(&fine) > 60 * is_null(&coarse) && is_null(&coarse) > 0,
            "some are merged from what was measured in part"
        );
        for (index, (_, time, merged)) in coarse.iter().enumerate().take(1440) {
            let measured = &fine[60 * index..60 * (index + 1)];
            assert_eq!(measured[0].1, *time);
            let known: Vec<f64> = measured.iter().filter_map(|point| point.2.as_f64()).collect();
            let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / 60.0);
            let off = merged.as_f64().unwrap_or(-1.0) - mean.unwrap_or(-1.0);
            assert!(off.abs() < 1e-6, "{time}: {merged} is no mean");
        }
    }

    #[test]
    fn tags_split_at_commas_and_the_first_colon() {
        assert_eq!(tags_of("ifid:0,host:fe80::1@10"), [("ifid", "0"), ("host", "fe80::1@10")]);
        assert_eq!(tags_of("ifid:0;host:1.2.3.4"), [("ifid", "0;host:1.2.3.4")], "semicolons don't separate");
    }
}
