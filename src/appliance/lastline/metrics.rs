//! The points of the metrics, at the resolution in which they are kept: one for every half hour.

use chrono::{DateTime, Utc};

use super::config::LastlineConfig;
use super::devices::Device;
use crate::appliance::dice::{below, mix};

/// Seconds between two points that are kept.
pub(super) const NATIVE: i64 = 1800;
/// The same, to step by.
pub(super) const NATIVE_STEP: usize = 1800;

const DAY: i64 = 86_400;
/// How long after its half hour a point goes on growing, in seconds: the appliances report in batches.
pub(super) const SETTLES_AFTER: i64 = 600;

/// A metric: its id, the kinds of appliances that have it, how it behaves.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) id: &'static str,
    kinds: &'static [&'static str],
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Events in a half hour, at most; shown as a rate per second.
    Counter(u32),
    /// Hundredths, at most.
    Hundredths(u32),
    /// Whole numbers, at most, times a unit.
    Whole(u32, u32),
}

pub(super) const METRICS: [Metric; 7] = [
    Metric { id: "counter.files_analyzed", kinds: &["ENGINE", "MANAGER"], shape: Shape::Counter(5000) },
    Metric { id: "counter.flows_seen", kinds: &["SENSOR"], shape: Shape::Counter(4_000_000) },
    Metric { id: "counter.mails_submitted", kinds: &["SENSOR"], shape: Shape::Counter(3) },
    Metric { id: RETIRED, kinds: &["MANAGER"], shape: Shape::Counter(900) },
    Metric { id: "gauge.cpu_load", kinds: &["ENGINE", "MANAGER", "SENSOR"], shape: Shape::Hundredths(1600) },
    Metric { id: "gauge.disk_used_bytes", kinds: &["ENGINE", "MANAGER", "SENSOR"], shape: Shape::Whole(1 << 30, 2048) },
    Metric { id: "gauge.queue_length", kinds: &["ENGINE"], shape: Shape::Whole(40, 1) },
];

/// A metric that is reported in the first third of the history only.
const RETIRED: &str = "counter.legacy_uploads";

/// A point as it is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Point {
    /// There is none.
    Absent,
    /// There is one, with no value.
    Null,
    /// A rate per second, or a gauge's value.
    Value(f64),
}

impl Point {
    /// Returns the value of a point; none where there is no point.
    pub(super) const fn value(self) -> Option<PointValue> {
        match self {
            Self::Absent => None,
            Self::Null => Some(PointValue(None)),
            Self::Value(value) => Some(PointValue(Some(value))),
        }
    }

    /// Adds a point of another appliance: what isn't there adds nothing.
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => Self::Value(one + other),
            (Self::Value(value), _) | (_, Self::Value(value)) => Self::Value(value),
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            (Self::Absent, Self::Absent) => Self::Absent,
        }
    }
}

/// What a point that is there has for a value; none is null.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PointValue(pub(super) Option<f64>);

/// The points of a site, up to an instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Points<'a> {
    pub(super) config: &'a LastlineConfig,
    /// When the history begins, epoch seconds.
    pub(super) since: i64,
    /// When the history ended at construction, epoch seconds.
    pub(super) until: i64,
    /// The clock's present, epoch seconds.
    pub(super) now: i64,
}

impl Metric {
    fn number(&self) -> u64 {
        METRICS.iter().position(|metric| metric.id == self.id).unwrap_or(0) as u64
    }
}

impl Points<'_> {
    /// Returns the point of the half hour that begins at `start`, a multiple of [`NATIVE`].
    pub(super) fn at(&self, metric: &Metric, device: &Device, start: i64) -> Point {
        if !metric.kinds.contains(&device.kind) || start < self.since || start > self.now {
            return Point::Absent;
        }
        let retired = self.since + (self.until - self.since) / 3;
        if metric.id == RETIRED && start > retired {
            return Point::Absent;
        }
        let own = mix(mix(self.config.seed, 11 + u64::from(device.number)), metric.number());
        // Now and then an appliance is away for a day of UTC.
        if mix(own, 1_000_000 + start.div_euclid(DAY).unsigned_abs()).is_multiple_of(11) {
            return Point::Absent;
        }
        let word = mix(own, start.unsigned_abs());
        if below(word >> 20, 1000) < 40 {
            return Point::Null;
        }
        Point::Value(metric.shape.value(word, self.seconds_in(start)))
    }

    /// Returns the seconds of a half hour that have been reported.
    fn seconds_in(&self, start: i64) -> u32 {
        let share = (self.now - start).clamp(0, NATIVE + SETTLES_AFTER) * NATIVE / (NATIVE + SETTLES_AFTER);
        u32::try_from(share).unwrap_or(0)
    }

    /// Tells whether any appliance has a point of the metric in `[start, end]`.
    pub(super) fn any(&self, metric: &Metric, devices: &[Device], (start, end): (i64, i64)) -> bool {
        let end = end.min(self.now);
        let mut halves = (floor(start.max(self.since), NATIVE)..=end).step_by(NATIVE_STEP);
        halves.any(|half| devices.iter().any(|device| self.at(metric, device, half) != Point::Absent))
    }
}

impl Shape {
    /// The value for `word`, of a half hour of which so many seconds have been reported.
    fn value(self, word: u64, seconds: u32) -> f64 {
        let so_far = |whole: u64| whole * u64::from(seconds) / NATIVE.unsigned_abs();
        match self {
            Self::Counter(most) => double(so_far(below(word, most).into())) / double(NATIVE.unsigned_abs()),
            Self::Hundredths(most) => double(so_far(below(word, most).into())) / 100.0,
            Self::Whole(most, unit) => double(so_far(u64::from(below(word, most)) * u64::from(unit))),
        }
    }
}

/// The largest multiple of `step` that isn't above `instant`.
pub(super) const fn floor(instant: i64, step: i64) -> i64 {
    instant.div_euclid(step) * step
}

/// A number far below 2^53 as a double.
#[expect(clippy::cast_precision_loss, reason = "it is far below 2^53")]
pub(super) const fn double(number: u64) -> f64 {
    number as f64
}

/// A point that an export of native resolution ends up with.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// The metric's id.
    pub metric: &'static str,
    /// The appliance; none for the sum over all of them.
    pub appliance: Option<(String, &'static str)>,
    /// When its half hour begins.
    pub at: DateTime<Utc>,
    /// A rate per second for a counter, else a value.
    pub value: Option<f64>,
}
