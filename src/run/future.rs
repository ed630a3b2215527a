//! Windows that haven't ended: what is read too early lands without the rows that are still to come, and isn't read again.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Options, RunError};
use crate::clock::Clock;
use crate::model::Window;

/// How far clocks may be apart: more than `Date` headers of caches and drifting clocks, less than most windows.
const APART: TimeDelta = TimeDelta::minutes(10);

/// Refuses to plan with a time that hasn't come.
pub(super) fn check_now(options: &Options, clock: &dyn Clock) -> Result<(), RunError> {
    let (now, clock) = (options.now, clock.now());
    if options.allow_future || now <= clock + APART { Ok(()) } else { Err(RunError::Future { now, clock }) }
}

/// Refuses an answer whose server says that `window` hasn't ended. `clock` is this machine's time.
pub(super) fn check_server(headers: &Value, window: Window, clock: DateTime<Utc>) -> Result<(), RunError> {
    match server_time(headers) {
        Some(server) if window.to > server + APART => Err(RunError::ServerBehind { to: window.to, server, clock }),
        _ => Ok(()),
    }
}

/// Returns the time at which the server answered; what a cache kept is as old as its `Age` says.
fn server_time(headers: &Value) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get("date")?.as_str()?).ok()?;
    let age = headers.get("age").and_then(Value::as_str).and_then(|age| age.parse().ok());
    date.to_utc().checked_add_signed(TimeDelta::try_seconds(age.unwrap_or_default())?)
}

/// Says that what has landed reaches beyond the present, so that nothing is due.
pub(super) fn beyond(last: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
    (last > now).then(|| {
        let show = |instant: DateTime<Utc>| instant.format("%Y-%m-%dT%H:%M:%SZ");
        format!(
            "what has landed reaches to {last}, but now it is {now}: the clock went back, or was ahead in an earlier run; windows after \
             {now} may have landed without their rows, once they have ended read them again: `tidegate backfill FILE --from {now} --to {last}`",
            last = show(last),
            now = show(now)
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_that_has_not_ended_for_the_server_is_refused() {
        let window = Window { from: instant("2026-01-01T00:00:00Z"), to: instant("2026-01-02T00:00:00Z") };
        let check = |headers: Value| check_server(&headers, window, instant("2026-01-02T06:00:00Z"));
        let error = check(json!({"date": "Thu, 01 Jan 2026 23:49:59 GMT"})).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "the window ends at 2026-01-02 00:00:00 UTC, but by the server's clock it is 2026-01-01 23:49:59 UTC"
            ),
            "{error}"
        );
        check(json!({"date": "Thu, 01 Jan 2026 23:50:00 GMT"})).unwrap();
        check(json!({"date": "Thu, 01 Jan 2026 20:00:00 GMT", "age": "14400"})).unwrap();
        check(json!({"date": "yesterday"})).unwrap();
        check(json!({})).unwrap();
    }
}
