//! Durations as a pipeline file writes them.

use std::time::Duration;

/// Writes a duration as a pipeline file would: `1d`, `1h 30m`, `250ms`. What is less than a millisecond is left out.
#[must_use]
pub fn spell(duration: Duration) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let (mut left, mut parts) = (duration.as_millis(), Vec::new());
    for (unit, name) in units {
        if left >= unit {
            parts.push(format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_a_file() {
        let of = |millis: u64| spell(Duration::from_millis(millis));
        assert_eq!(
            [of(0), of(250), of(86_400_000), of(5_400_000), of(604_800_000), of(90_061_001)],
            ["0s", "250ms", "1d", "1h 30m", "7d", "1d 1h 1m 1s 1ms"]
        );
    }
}
