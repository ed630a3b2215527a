//! What a client ought to find, and the means to change it. For tests and the demo.

use std::ops::Range;

use chrono::{DateTime, Utc};

use super::entries::LogEntry;
use super::metrics::{METRICS, Metric, MetricPoint, NATIVE, NATIVE_STEP, Point, floor};
use super::{Lastline, LastlineConfig};
use crate::appliance::faults::{FaultInjector, Faults};

impl Lastline {
    /// The configuration.
    pub const fn config(&self) -> &LastlineConfig {
        &self.config
    }

    /// The ids of the metrics that have points between two instants.
    pub fn metrics(&self, window: &Range<DateTime<Utc>>) -> Vec<&'static str> {
        let ends = (window.start.timestamp(), window.end.timestamp());
        let has_points = |metric: &&Metric| self.points().any(metric, &self.devices, ends);
        METRICS.iter().filter(has_points).map(|metric| metric.id).collect()
    }

    /// The points of every metric and appliance whose half hour begins in the window, at the clock's present.
    pub fn values(&self, window: &Range<DateTime<Utc>>) -> Vec<MetricPoint> {
        let (points, mut found) = (self.points(), Vec::new());
        for metric in &METRICS {
            for device in &self.devices {
                let appliance = Some((device.uuid.clone(), device.kind));
                let values = halves(window).map(|half| (half, points.at(metric, device, half)));
                found.extend(values.filter_map(|(half, value)| point(metric, appliance.clone(), half, value)));
            }
        }
        found
    }

    /// The sums over all appliances, in the order of these.
    pub fn totals(&self, window: &Range<DateTime<Utc>>) -> Vec<MetricPoint> {
        let (points, mut found) = (self.points(), Vec::new());
        for metric in &METRICS {
            for half in halves(window) {
                let all = self.devices.iter().map(|device| points.at(metric, device, half));
                found.extend(point(metric, None, half, all.fold(Point::Absent, Point::plus)));
            }
        }
        found
    }

    /// The log at the clock's present, in no order.
    pub fn entries(&self) -> Vec<LogEntry> {
        self.log_at(self.clock.now()).entries()
    }

    /// How many sessions have begun.
    pub fn logins(&self) -> u64 {
        self.sessions.begun()
    }

    /// Ends every session, as a restart of the appliance does.
    pub fn end_sessions(&self) {
        self.sessions.end_all();
    }

    /// What goes wrong on purpose: the counts, and [`FaultInjector::set`].
    pub fn faults(&self) -> &FaultInjector {
        &self.faults
    }

    /// Replaces what goes wrong on purpose.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }
}

/// The half hours that begin in the window.
fn halves(window: &Range<DateTime<Utc>>) -> impl Iterator<Item = i64> + use<> {
    let first = floor(window.start.timestamp() + NATIVE - 1, NATIVE);
    (first..window.end.timestamp()).step_by(NATIVE_STEP)
}

fn point(metric: &Metric, appliance: Option<(String, &'static str)>, half: i64, value: Point) -> Option<MetricPoint> {
    let at = DateTime::from_timestamp(half, 0).unwrap_or_default();
    value.value().map(|value| MetricPoint { metric: metric.id, appliance, at, value: value.0 })
}
