//! The time that leases go by: monotonic, and counting suspension.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Tells how much time has passed since some fixed moment.
pub trait Uptime: Send + Sync + std::fmt::Debug {
    /// Returns the time since then; it never falls.
    fn now(&self) -> Duration;
}

/// The time since the machine was started, suspension included.
///
/// `Instant` stands still while a Linux machine sleeps, so a holder that slept would think its lease fresh. `/proc/uptime`
/// counts sleep; where there is none, `Instant` has to do.
#[derive(Debug)]
pub struct SystemUptime(Instant);

impl Default for SystemUptime {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Uptime for SystemUptime {
    fn now(&self) -> Duration {
        let text = std::fs::read_to_string("/proc/uptime").ok();
        let seconds = text.as_deref().and_then(|text| text.split(' ').next()).and_then(|text| text.parse().ok());
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_else(|| self.0.elapsed())
    }
}

/// An uptime that stands still until it is moved: for tests.
#[derive(Debug, Default)]
pub struct ManualUptime(Mutex<Duration>);

impl ManualUptime {
    /// Moves on by `delta`.
    pub fn advance(&self, delta: Duration) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += delta;
    }
}

impl Uptime for ManualUptime {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_uptime_does_not_fall() {
        let uptime = SystemUptime::default();
        let before = uptime.now();
        assert!(uptime.now() >= before);
    }
}
