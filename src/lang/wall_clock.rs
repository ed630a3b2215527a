//! Times as the wall clock of a zone showed them: a strftime format and an IANA zone, read to instants.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use thiserror::Error;

/// The longest stretch that a zone's clocks have skipped is a day (Samoa, 2011); this is looked back for the offset before it.
const LONGEST_SKIP_HOURS: i64 = 25;

/// Why there is no such clock.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WallClockError {
    /// The format isn't strftime's.
    #[error("`{0}` isn't a strftime format, such as '%Y-%m-%d %H:%M:%S'")]
    Format(String),
    /// The zone has no such name.
    #[error("`{0}` isn't an IANA time zone, such as 'UTC' or 'Europe/Rome'")]
    Zone(String),
}

/// A format and a zone, compiled.
///
/// A text with an offset or epoch seconds of its own says the instant by itself, and a date alone is its midnight. A time that the
/// clocks showed twice is the first; one that they skipped is read with the offset from before the skip.
#[derive(Debug, Clone)]
pub struct WallClock {
    format: String,
    zone_name: String,
    items: Vec<Item<'static>>,
    zone: Tz,
}

impl WallClock {
    /// Compiles a strftime format and the name of a zone.
    pub fn new(format: &str, zone: &str) -> Result<Self, WallClockError> {
        let items = StrftimeItems::new(format).parse_to_owned();
        Ok(Self {
            items: items.map_err(|_| WallClockError::Format(format.to_owned()))?,
            zone: zone.parse().map_err(|_| WallClockError::Zone(zone.to_owned()))?,
            format: format.to_owned(),
            zone_name: zone.to_owned(),
        })
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Returns the zone's name.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// Reads a text; `None` where it isn't written in the format, or names no time that exists.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<DateTime<Utc>> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        if parsed.timestamp().is_some() {
            return parsed.to_naive_datetime_with_offset(0).ok().map(|utc| utc.and_utc());
        }
        if parsed.offset().is_some() {
            return parsed.to_datetime().ok().map(|time| time.to_utc());
        }
        let has_time = parsed.hour_mod_12().is_some() || parsed.minute().is_some();
        let time = if has_time { parsed.to_naive_time().ok()? } else { NaiveTime::MIN };
        instant_of(parsed.to_naive_date().ok()?.and_time(time), self.zone)
    }
}

fn instant_of(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.to_utc()),
        LocalResult::None => (1..=LONGEST_SKIP_HOURS).find_map(|hours| {
            let before = zone.offset_from_local_datetime(&(wall - Duration::hours(hours))).latest()?;
            Some((wall - before.fix()).and_utc())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: &str, zone: &str) -> Option<String> {
        let instant = WallClock::new(format, zone).unwrap().read(text)?;
        Some(instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    }

    #[test]
    fn wall_clocks_are_read_in_their_zone() {
        let format = "%Y-%m-%d %H:%M:%S";
        for (text, format, zone, expect) in [
            ("2026-01-01 00:00:00", format, "UTC", "2026-01-01T00:00:00.000000Z"),
            ("2026-07-01 12:00:00", format, "Europe/Rome", "2026-07-01T10:00:00.000000Z"),
            ("2026-01-01", "%Y-%m-%d", "Europe/Rome", "2025-12-31T23:00:00.000000Z"),
            ("01/02/2026 1:05 PM", "%d/%m/%Y %I:%M %p", "UTC", "2026-02-01T13:05:00.000000Z"),
            ("2026-01-01 00:00:00.123456", "%Y-%m-%d %H:%M:%S%.f", "UTC", "2026-01-01T00:00:00.123456Z"),
            ("2026-01-01T00:00:00+0200", "%Y-%m-%dT%H:%M:%S%z", "Europe/Rome", "2025-12-31T22:00:00.000000Z"),
            ("1767225600", "%s", "Europe/Rome", "2026-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(read(text, format, zone).as_deref(), Some(expect), "{text} {zone}");
        }
    }

    #[test]
    fn skipped_and_repeated_times_have_one_reading() {
        let format = "%Y-%m-%d %H:%M";
        let read = |text, zone| read(text, format, zone).unwrap();
        assert_eq!(read("2026-10-25 02:30", "Europe/Rome"), "2026-10-25T00:30:00.000000Z");
        assert_eq!(read("2026-03-29 02:30", "Europe/Rome"), "2026-03-29T01:30:00.000000Z");
        assert_eq!(read("2011-12-30 12:00", "Pacific/Apia"), "2011-12-30T22:00:00.000000Z");
    }

    #[test]
    fn what_cannot_be_read_is_nothing_and_what_is_no_clock_is_named() {
        assert_eq!(read("n/a", "%Y-%m-%d", "UTC"), None);
        assert_eq!(read("2026-13-01", "%Y-%m-%d", "UTC"), None);
        let refused = |format, zone| WallClock::new(format, zone).unwrap_err().to_string();
        assert!(refused("%Y-%m-%d", "Rome").starts_with("`Rome` isn't an IANA"));
        assert!(refused("%Q", "UTC").contains("strftime"));
    }
}
