//! The retry policy: pure. What is tried again, and after how long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;

/// How often, and how far apart, a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; at least one is made.
    pub attempts: u32,
    /// The longest wait between two tries, also where the server asks for a longer one.
    pub max_delay: Duration,
    /// The longest wait after the first try; it doubles with every further one.
    pub base: Duration,
}

impl Default for RetryPolicy {
    /// Five tries, a wait of at most half a second after the first, of at most a minute after any.
    fn default() -> Self {
        Self { attempts: 5, max_delay: Duration::from_secs(60), base: Duration::from_millis(500) }
    }
}

impl RetryPolicy {
    /// Tells whether try `attempt` (from 1) may be followed by another.
    #[must_use]
    pub const fn allows_another(&self, attempt: u32) -> bool {
        attempt < self.attempts
    }

    /// Tells whether an answer with `status` is worth another try: it says so itself, as 408, 421, 425 and 429 do (RFC 9110, section
    /// 15.5; RFC 8470, section 5.2; RFC 6585, section 4), or it is a fault of the server that may pass, which all may but those that say
    /// that it can't do what is asked (RFC 9110, section 15.6).
    #[must_use]
    pub fn is_transient(status: StatusCode) -> bool {
        matches!(status.as_u16(), 408 | 421 | 425 | 429)
            || status.is_server_error() && !matches!(status.as_u16(), 501 | 505)
    }

    /// Tells whether an answer to the request of a job is worth another try: as [`Self::is_transient`], and 403 that `asks_to_wait` by
    /// `Retry-After`, which is a limit and no lack of rights
    /// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
    #[must_use]
    pub fn may_pass(status: StatusCode, asks_to_wait: bool) -> bool {
        Self::is_transient(status) || status == StatusCode::FORBIDDEN && asks_to_wait
    }

    /// Returns the wait after try `attempt` (from 1): exponential with full jitter, `random` in `[0, 1)` taking its part. Where
    /// the server asked for a wait, that is what it gets, up to `max_delay`.
    #[must_use]
    pub fn delay(&self, attempt: u32, asked: Option<Duration>, random: f64) -> Duration {
        if let Some(asked) = asked {
            return asked.min(self.max_delay);
        }
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(factor).min(self.max_delay);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// Reads `Retry-After`: seconds, or a date in one of the three ways that HTTP has had (RFC 9110, section 5.6.7), from which `now` is
/// taken. Seconds may have a fraction, as Shopify sends them (`2.0`). What is neither is as if it weren't there.
#[must_use]
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(header.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    if let Some((whole, fraction)) = header.split_once('.') {
        let is_decimal = [whole, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let seconds = header.parse().ok().filter(|_| is_decimal)?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let until = match httpdate::parse_http_date(header) {
        Ok(until) => until.into(),
        Err(_) => DateTime::parse_from_rfc2822(header).ok()?.to_utc(),
    };
    Some((until - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_ceiling() {
        let policy = RetryPolicy { attempts: 9, max_delay: Duration::from_secs(10), base: Duration::from_secs(1) };
        let waits: Vec<_> = (1..=6).map(|attempt| policy.delay(attempt, None, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(policy.delay(3, None, 0.5), Duration::from_secs(2));
        assert_eq!(policy.delay(200, None, 0.0), Duration::ZERO);
        assert!(policy.allows_another(8) && !policy.allows_another(9));
    }

    #[test]
    fn a_fault_of_the_server_may_pass_unless_it_can_not_do_what_is_asked() {
        let transient: Vec<u16> =
            (100..600).filter(|status| RetryPolicy::is_transient(StatusCode::from_u16(*status).unwrap())).collect();
        let wanted: Vec<u16> =
            [408, 421, 425, 429].into_iter().chain((500..600).filter(|status| ![501, 505].contains(status))).collect();
        assert_eq!(transient, wanted);
    }

    #[test]
    fn the_server_gets_the_wait_that_it_asks_for_up_to_the_ceiling() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, Some(Duration::from_secs(7)), 0.1), Duration::from_secs(7));
        assert_eq!(policy.delay(1, Some(Duration::from_secs(3600)), 0.1), policy.max_delay);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Utc.with_ymd_and_hms(2015, 10, 21, 7, 27, 30).unwrap();
        let after = |header| retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after(" 0 "), Some(0));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(30));
        assert_eq!(after("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(after("Wednesday, 21-Oct-15 07:28:00 GMT"), Some(30));
        assert_eq!(after("Wed Oct 21 07:28:00 2015"), Some(30));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 +0000"), Some(30));
        assert_eq!(after("99999999999999999999"), Some(u64::MAX));
        assert_eq!(retry_after("2.5", now), Some(Duration::from_millis(2500)));
        assert_eq!(after("2.0"), Some(2));
        assert_eq!(after("999999999999999999999999999999.0"), Some(u64::MAX));
        assert_eq!(["-2.0", "2.0e3", "2.0.1", ".", "1.5 s"].map(after), [None; 5]);
        assert_eq!(after(""), None);
        assert_eq!(after("1e3"), None);
        assert_eq!(after("soon"), None);
        assert_eq!(after("-5"), None);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_ceiling(
            attempt in 1_u32..1000, asked in prop::option::of(0_u64..1_000_000), random in 0.0..1.0, max in 0_u64..1000
        ) {
            let policy = RetryPolicy { attempts: 5, max_delay: Duration::from_secs(max), base: Duration::from_millis(500) };
            prop_assert!(policy.delay(attempt, asked.map(Duration::from_secs), random) <= policy.max_delay);
        }
    }
}
