//! Series as an answer shows them: at a resolution that the span and `max_data_points` decide (vendors.md D3).

use serde_json::{Map, Value, json};

use super::answer::ApiError;
use super::ask::{Parameters, Range, shown};
use super::config::{Excess, LastlineConfig, Nothing, Phase, Spelling};
use super::devices::Device;
use super::metrics::{METRICS, Metric, NATIVE, NATIVE_STEP, Point, Points, double, floor};

/// The steps that a series may have, in half hours: 0.5, 1, 2, 3, 4, 6, 8, 12 and 24 hours.
const LADDER: [i64; 9] = [1, 2, 4, 6, 8, 12, 16, 24, 48];
/// The most points where a request doesn't say.
const DEFAULT_POINTS: u32 = 150;

/// What a request for series asks for.
#[derive(Debug)]
struct Ask {
    range: Range,
    /// Seconds from one bucket to the next.
    step: i64,
}

impl Ask {
    fn read(config: &LastlineConfig, given: &Parameters) -> Result<Self, ApiError> {
        let range = given.range(config.zone)?;
        let points = match given.number("max_data_points")? {
            None => DEFAULT_POINTS.min(config.max_points),
            Some(0) => return Err(ApiError::invalid("max_data_points")),
            Some(points) if points > config.max_points && config.excess == Excess::Refused => {
                return Err(ApiError::invalid("max_data_points"));
            }
            Some(points) => points.min(config.max_points),
        };
        Ok(Self { range, step: step(range.end - range.start, points) })
    }

    /// The beginnings of the buckets that the answer has.
    fn buckets(&self, config: &LastlineConfig) -> impl Iterator<Item = i64> + use<> {
        let first = match config.phase {
            Phase::Grid => floor(self.range.start, self.step),
            Phase::Start => self.range.start,
        };
        let last = if config.inclusive_end { self.range.end } else { self.range.end - 1 };
        (first..=last).step_by(usize::try_from(self.step).unwrap_or(1))
    }

    /// The series of what `at` gives for the beginning of a bucket. A bucket without points isn't there.
    fn series(&self, config: &LastlineConfig, at: impl Fn(i64) -> Point) -> Vec<Value> {
        let pair = |start| {
            let value = at(start).value()?.0;
            Some(json!([shown(start, self.range.zone), value.map(number)]))
        };
        self.buckets(config).filter_map(pair).collect()
    }

    /// The mean of the points in a bucket.
    fn mean(&self, points: &Points<'_>, metric: &Metric, device: &Device, start: i64) -> Point {
        let halves = (floor(start + NATIVE - 1, NATIVE)..start + self.step).step_by(NATIVE_STEP);
        let (mut sum, mut count) = (Point::Absent, 0);
        for point in halves.map(|half| points.at(metric, device, half)) {
            sum = sum.plus(point);
            count += u64::from(matches!(point, Point::Value(_)));
        }
        match sum {
            Point::Value(sum) if count > 1 => Point::Value(sum / double(count)),
            point => point,
        }
    }
}

/// The smallest step of the ladder with which the span has no more than so many points.
fn step(span: i64, points: u32) -> i64 {
    let fits = |halves: &i64| span <= halves * NATIVE * i64::from(points);
    LADDER.into_iter().find(fits).unwrap_or(48) * NATIVE
}

/// A number as a dynamic language writes it: without a point where it is whole.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 {
        format!("{value:.0}").parse::<i64>().map_or(Value::Null, Value::from)
    } else {
        value.into()
    }
}

/// `list_metric`: the metrics that have points in the range.
pub(super) fn list(points: &Points<'_>, devices: &[Device], given: &Parameters) -> Result<Value, ApiError> {
    let range = given.range(points.config.zone)?;
    let has_points = |metric: &&Metric| points.any(metric, devices, (range.start, range.end));
    Ok(METRICS.iter().filter(has_points).map(|metric| metric.id).collect())
}

/// `get_metric`: a map from each appliance that has the metric to its series. `salt` turns the order about.
pub(super) fn get(points: &Points<'_>, devices: &[Device], given: &Parameters, salt: u64) -> Result<Value, ApiError> {
    let config = points.config;
    let metric = metric(given.required("metric")?)?;
    let ask = Ask::read(config, given)?;
    let wanted = wanted(devices, given)?;
    let mut data = Map::new();
    for device in turned(&wanted, salt) {
        let series = ask.series(config, |start| ask.mean(points, metric, device, start));
        // An appliance with nothing in the range is left out, or has no points.
        if !series.is_empty() || (salt ^ u64::from(device.number)).is_multiple_of(4) && has(points, metric, device) {
            let mut fields = device.described(config.seed);
            fields.insert("time_series".to_owned(), series.into());
            data.insert(device.uuid.clone(), Value::Object(fields));
        }
    }
    Ok(map(config.nothing, data))
}

/// `aggregate`: the sum over all appliances, for each metric that is named.
pub(super) fn aggregate(points: &Points<'_>, devices: &[Device], given: &Parameters) -> Result<Value, ApiError> {
    let config = points.config;
    let names = given.list("metrics").or_else(|| given.list("metric")).ok_or_else(|| ApiError::invalid("metrics"))?;
    let ask = Ask::read(config, given)?;
    let wanted = wanted(devices, given)?;
    let mut list = Vec::new();
    for name in names {
        let metric = metric(name)?;
        let sum = |start| {
            let all = wanted.iter().map(|device| ask.mean(points, metric, device, start));
            all.fold(Point::Absent, Point::plus)
        };
        list.push(json!({"metric": metric.id, "time_series": ask.series(config, sum)}));
    }
    let key = match config.spelling {
        Spelling::Plural => "metrics",
        Spelling::Singular => "metric",
    };
    Ok(json!({key: list}))
}

fn metric(id: &str) -> Result<&'static Metric, ApiError> {
    METRICS.iter().find(|metric| metric.id == id).ok_or_else(|| ApiError::missing("metric"))
}

fn has(points: &Points<'_>, metric: &Metric, device: &Device) -> bool {
    points.any(metric, std::slice::from_ref(device), (points.since, points.now))
}

/// The appliances that a request is about. One that isn't there fails the whole call.
pub(super) fn wanted<'d>(devices: &'d [Device], given: &Parameters) -> Result<Vec<&'d Device>, ApiError> {
    let kind = given.get("appliance_type");
    let fits = |device: &&Device| kind.is_none_or(|kind| kind == device.kind);
    let Some(uuids) = given.list("appliance_uuids") else { return Ok(devices.iter().filter(fits).collect()) };
    let find = |uuid: &str| devices.iter().find(|device| device.uuid == uuid).filter(fits);
    uuids.into_iter().map(|uuid| find(uuid).ok_or_else(ApiError::no_such_appliance)).collect()
}

/// The same list, begun elsewhere.
fn turned<'d>(devices: &[&'d Device], salt: u64) -> Vec<&'d Device> {
    let mut devices = devices.to_vec();
    let by = usize::try_from(salt % 1000).unwrap_or(0) % devices.len().max(1);
    devices.rotate_left(by);
    devices
}

/// A map; one without members as the appliance writes it.
pub(super) fn map(nothing: Nothing, map: Map<String, Value>) -> Value {
    if map.is_empty() && nothing == Nothing::List { json!([]) } else { Value::Object(map) }
}

#[cfg(test)]
mod tests {
    use super::{LADDER, NATIVE, step};

    fn hours(span: i64, points: u32) -> f64 {
        f64::from(i32::try_from(step(span * 3600, points)).unwrap()) / 3600.0
    }

    #[test]
    fn the_table_of_the_documents_holds() {
        let table =
            [(75, 0.5, 0.5), (150, 1.0, 0.5), (300, 2.0, 1.0), (450, 3.0, 2.0), (600, 4.0, 2.0), (3600, 24.0, 12.0)];
        for (span, by_default, at_most) in table {
            assert_eq!((hours(span, 150), hours(span, 300)), (by_default, at_most), "{span} hours");
        }
        assert_eq!((hours(76, 150), hours(151, 300)), (1.0, 1.0), "a little more is coarser");
    }

    #[test]
    fn no_step_is_smaller_than_needed() {
        for span in (1..4000).map(|hours| hours * 3600) {
            let found = step(span, 300);
            assert!(span <= found * 300);
            let finer = LADDER.iter().map(|halves| halves * NATIVE).rfind(|step| *step < found);
            assert!(finer.is_none_or(|finer| span > finer * 300), "{span}");
        }
    }
}
