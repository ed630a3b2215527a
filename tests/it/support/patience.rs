//! Waiting for what other processes do.

use std::time::{Duration, Instant};

/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until something holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} hasn't come to pass within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
