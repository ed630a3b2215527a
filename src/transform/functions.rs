//! The scalar functions of our field that the SQL engine lacks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The longest stretch that a zone's clocks have skipped is a day (Samoa, 2011); this is looked back for the offset before it.
const LONGEST_SKIP_HOURS: i64 = 25;

/// Our functions, to be registered with a session.
pub(super) fn ours() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(ParseTimestamp::new()))]
}

/// `parse_timestamp(text, format, zone)`: reads a text as the wall clock of a zone showed it.
///
/// The format is strftime's, the zone an IANA name. A text with an offset or epoch seconds of its own says the instant by itself.
/// A time that the clocks showed twice is the first; one that they skipped is read with the offset from before the skip.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ParseTimestamp {
    signature: Signature,
}

impl ParseTimestamp {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8; 3], Volatility::Immutable) }
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl ScalarUDFImpl for ParseTimestamp {
    fn name(&self) -> &'static str {
        "parse_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(utc())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [texts, formats, zones] = arrays.as_slice() else {
            return Err(DataFusionError::Execution("parse_timestamp takes a text, a format and a zone".to_owned()));
        };
        let all_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let times = parse_all(texts, formats, zones)?;
        if all_scalars {
            let scalar = datafusion::scalar::ScalarValue::try_from_array(times.as_ref(), 0)?;
            return Ok(ColumnarValue::Scalar(scalar));
        }
        Ok(ColumnarValue::Array(times))
    }
}

fn parse_all(texts: &ArrayRef, formats: &ArrayRef, zones: &ArrayRef) -> Result<ArrayRef> {
    let (texts, formats, zones) = (texts.as_string::<i32>(), formats.as_string::<i32>(), zones.as_string::<i32>());
    let mut reader: Option<Reader> = None;
    let mut times = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) || formats.is_null(row) || zones.is_null(row) {
            times.push(None);
            continue;
        }
        let (format, zone) = (formats.value(row), zones.value(row));
        let fits = reader.take().filter(|reader| reader.format == format && reader.zone_name == zone);
        let current = fits.map_or_else(|| Reader::new(format, zone), Ok)?;
        times.push(Some(current.read(texts.value(row))?.timestamp_micros()));
        reader = Some(current);
    }
    Ok(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))
}

/// A format and a zone, compiled; they are nearly always the same for every row.
struct Reader {
    format: String,
    zone_name: String,
    items: Vec<Item<'static>>,
    zone: Tz,
}

impl Reader {
    fn new(format: &str, zone_name: &str) -> Result<Self> {
        let items = StrftimeItems::new(format).parse_to_owned().map_err(|_| {
            DataFusionError::Execution(format!("`{format}` isn't a strftime format, such as '%Y-%m-%d %H:%M:%S'"))
        })?;
        let zone = zone_name.parse().map_err(|_| {
            DataFusionError::Execution(format!("`{zone_name}` isn't an IANA time zone, such as 'UTC' or 'Europe/Rome'"))
        })?;
        Ok(Self { format: format.to_owned(), zone_name: zone_name.to_owned(), items, zone })
    }

    fn read(&self, text: &str) -> Result<DateTime<Utc>> {
        self.instant(text).ok_or_else(|| {
            let (format, zone) = (&self.format, &self.zone_name);
            DataFusionError::Execution(format!("can't read '{text}' as a time written as '{format}' in {zone}"))
        })
    }

    fn instant(&self, text: &str) -> Option<DateTime<Utc>> {
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

    fn read(text: &str, format: &str, zone: &str) -> Result<String> {
        Ok(Reader::new(format, zone)?.read(text)?.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
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
            assert_eq!(read(text, format, zone).expect(text), expect, "{text} {zone}");
        }
    }

    #[test]
    fn skipped_and_repeated_times_have_one_reading() {
        let format = "%Y-%m-%d %H:%M";
        assert_eq!(read("2026-10-25 02:30", format, "Europe/Rome").expect("twice"), "2026-10-25T00:30:00.000000Z");
        assert_eq!(read("2026-03-29 02:30", format, "Europe/Rome").expect("skipped"), "2026-03-29T01:30:00.000000Z");
        assert_eq!(read("2011-12-30 12:00", format, "Pacific/Apia").expect("a day"), "2011-12-30T22:00:00.000000Z");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = read("n/a", "%Y-%m-%d", "UTC").expect_err("no date").to_string();
        assert!(error.contains("can't read 'n/a' as a time written as '%Y-%m-%d' in UTC"), "{error}");
        assert!(
            read("2026-01-01", "%Y-%m-%d", "Rome").expect_err("no zone").to_string().contains("`Rome` isn't an IANA")
        );
        assert!(read("2026-01-01", "%Q", "UTC").expect_err("no format").to_string().contains("strftime"));
        assert!(read("2026-13-01", "%Y-%m-%d", "UTC").is_err());
    }
}
