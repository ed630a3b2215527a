//! What a request asks for: parameters of its query and of its form, and times in the zone that it names.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use super::answer::ApiError;
use super::session::CREDENTIALS;
use crate::appliance::server::Request;

/// How times are written, in both directions: with no zone.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

/// A range of time, in epoch seconds, and the zone that it was written in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) zone: Tz,
}

impl Parameters {
    /// Reads the query, and over it the form.
    pub(super) fn read(request: &Request) -> Self {
        let mut given: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.query().as_bytes()).into_owned().collect();
        given.extend(url::form_urlencoded::parse(&request.body).into_owned());
        Self(given)
    }

    /// Returns a parameter that isn't empty.
    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    /// Returns a parameter that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&String, ApiError> {
        self.get(name).ok_or_else(|| ApiError::invalid(name))
    }

    /// Returns a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        self.get(name).map(|text| text.parse().map_err(|_| ApiError::invalid(name))).transpose()
    }

    /// Returns the items of a list with commas; none where it isn't given.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.get(name).map(|text| text.split(',').map(str::trim).collect())
    }

    /// Returns the zone of times: of the request, else the appliance's own.
    pub(super) fn zone(&self, own: Tz) -> Result<Tz, ApiError> {
        let named = self.get("timezone").or_else(|| self.get("time_zone"));
        named.map_or(Ok(own), |name| name.parse().map_err(|_| ApiError::invalid("timezone")))
    }

    /// Returns the range that the request is about.
    pub(super) fn range(&self, own: Tz) -> Result<Range, ApiError> {
        let zone = self.zone(own)?;
        let edge = |name: &str| read(self.required(name)?, zone).ok_or_else(|| ApiError::invalid(name));
        let range = Range { start: edge("start_time")?, end: edge("end_time")?, zone };
        if range.end < range.start { Err(ApiError::invalid("end_time")) } else { Ok(range) }
    }

    /// Returns the parameters without credentials, for the log.
    pub(super) fn harmless(&self) -> BTreeMap<String, String> {
        let mut given = self.0.clone();
        given.retain(|name, _| !CREDENTIALS.iter().any(|(key, secret)| name == key || name == secret));
        given
    }
}

/// Reads a time of `zone`. Of an hour that comes twice the first is meant; one that is skipped is read as if the clocks hadn't moved.
fn read(text: &str, zone: Tz) -> Option<i64> {
    let naive = NaiveDateTime::parse_from_str(text, TIME).ok()?;
    let earliest = |naive: NaiveDateTime| zone.from_local_datetime(&naive).earliest();
    let skipped = || earliest(naive + TimeDelta::hours(1));
    earliest(naive).or_else(skipped).map(|time| time.timestamp())
}

/// Writes an instant in `zone`.
pub(super) fn shown(instant: i64, zone: Tz) -> String {
    let utc = DateTime::from_timestamp(instant, 0).unwrap_or_default();
    utc.with_timezone(&zone).format(TIME).to_string()
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Europe, Tz};

    use super::{read, shown};

    #[test]
    fn an_hour_that_comes_twice_can_be_shown_and_not_told() {
        let rome = Tz::Europe__Rome;
        let first = read("2026-10-25 02:30:00", rome).unwrap();
        assert_eq!(shown(first, rome), shown(first + 3600, rome));
        assert_eq!(shown(first, Tz::UTC), "2026-10-25 00:30:00");
    }

    #[test]
    fn an_hour_that_is_skipped_is_read_as_the_next() {
        let read = |text| shown(read(text, Europe::Rome).unwrap(), Europe::Rome);
        assert_eq!(read("2026-03-29 02:30:00"), "2026-03-29 03:30:00");
    }
}
