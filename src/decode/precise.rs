//! Columns of decimals, instants and days: read from the raw text of a value, so that no digit is lost on the way.

use std::sync::Arc;

use arrow::array::{ArrayBuilder as _, ArrayRef, Date32Builder, Decimal128Builder, TimestampMicrosecondBuilder};
use arrow::error::ArrowError;
use chrono::{Datelike as _, NaiveDate};

use super::schema::data_type;
use crate::lang::wall_clock::WallClock;
use crate::model::{ColumnType, HandType, InstantReading};

/// Days from 0001-01-01 to 1970-01-01, from which Arrow counts.
const EPOCH_DAY: i32 = 719_163;

/// A column that is being filled.
pub(super) enum Precise {
    Decimal { values: Decimal128Builder, precision: u8, scale: u8 },
    Timestamp { values: TimestampMicrosecondBuilder, reading: Reading },
    Date { values: Date32Builder, format: String },
}

/// How an instant is read.
pub(super) enum Reading {
    /// A count of this many to the second, as a power of ten, since 1970-01-01T00:00Z.
    Epoch { decimals: u8 },
    /// Text. There is no clock where the format or the zone is none, and then nothing can be read.
    Text(Option<WallClock>),
}

impl Reading {
    fn of(reading: &InstantReading) -> Self {
        match reading {
            InstantReading::Seconds => Self::Epoch { decimals: 0 },
            InstantReading::Millis => Self::Epoch { decimals: 3 },
            InstantReading::Micros => Self::Epoch { decimals: 6 },
            InstantReading::Nanos => Self::Epoch { decimals: 9 },
            InstantReading::Text { format, zone } => Self::Text(WallClock::new(format, zone).ok()),
        }
    }

    /// Reads an instant to the microsecond; what is finer is cut.
    fn micros(&self, text: &str) -> Option<i64> {
        match self {
            Self::Text(clock) => clock.as_ref()?.read(text).map(|instant| instant.timestamp_micros()),
            Self::Epoch { decimals } => {
                let (digits, exponent) = parts(text)?;
                // Microseconds are a count of 10^-6 s.
                let micros = scaled(digits, exponent + 6 - i32::from(*decimals), Beyond::Cut)?;
                // What Arrow can hold, SQL and Parquet can't always print: years of five digits are a mistake of the unit.
                i64::try_from(micros).ok().filter(|micros| chrono::DateTime::from_timestamp_micros(*micros).is_some())
            }
        }
    }
}

impl Precise {
    /// Makes the builder of a column of such a type; `None` for another type. `hand` says how values are written, where that was
    /// typed by hand.
    pub(super) fn of(kind: &ColumnType, hand: Option<&HandType>) -> Option<Self> {
        Some(match kind {
            ColumnType::Decimal { precision, scale } => Self::Decimal {
                values: Decimal128Builder::new().with_data_type(data_type(kind)),
                precision: *precision,
                scale: *scale,
            },
            ColumnType::Timestamp => Self::Timestamp {
                values: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
                reading: match hand {
                    Some(HandType::Timestamp(reading)) => Reading::of(reading),
                    _ => Reading::of(&InstantReading::rfc3339()),
                },
            },
            ColumnType::Date => Self::Date {
                values: Date32Builder::new(),
                format: match hand {
                    Some(HandType::Date(format)) => format.clone(),
                    _ => "%Y-%m-%d".to_owned(),
                },
            },
            _ => return None,
        })
    }

    /// Appends a scalar by its text: a string's content, or a number's digits. False, and nothing appended, where it doesn't fit.
    pub(super) fn append(&mut self, text: &str) -> bool {
        match self {
            Self::Decimal { values, precision, scale } => {
                let value = parts(text).and_then(|(digits, exponent)| {
                    scaled(digits, exponent + i32::from(*scale), Beyond::Refuse)
                        .filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(*precision)))
                });
                value.map(|value| values.append_value(value)).is_some()
            }
            Self::Timestamp { values, reading } => {
                reading.micros(text).map(|value| values.append_value(value)).is_some()
            }
            Self::Date { values, format } => {
                let day = NaiveDate::parse_from_str(text, format);
                day.map(|day| values.append_value(day.num_days_from_ce() - EPOCH_DAY)).is_ok()
            }
        }
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Self::Decimal { values, .. } => values.append_null(),
            Self::Timestamp { values, .. } => values.append_null(),
            Self::Date { values, .. } => values.append_null(),
        }
    }

    /// Returns how many bytes the values take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Decimal { values, .. } => values.len() * 16,
            Self::Timestamp { values, .. } => values.len() * 8,
            Self::Date { values, .. } => values.len() * 4,
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Decimal { values, precision, scale } => {
                let array = values.finish();
                debug_assert_eq!(array.precision(), *precision);
                Arc::new(array.with_precision_and_scale(*precision, i8::try_from(*scale).unwrap_or_default())?)
            }
            Self::Timestamp { values, .. } => Arc::new(values.finish()),
            Self::Date { values, .. } => Arc::new(values.finish()),
        })
    }

    /// Names the type for a misfit, with what a person has to know to mend it.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Decimal { precision, scale, .. } => {
                ColumnType::Decimal { precision: *precision, scale: *scale }.to_string()
            }
            Self::Timestamp { reading: Reading::Epoch { decimals }, .. } => {
                format!("timestamp({})", ["s", "ms", "us", "ns"][usize::from(*decimals) / 3])
            }
            Self::Timestamp { reading: Reading::Text(Some(clock)), .. } if clock.format() == "%+" => {
                "timestamp, RFC 3339".to_owned()
            }
            Self::Timestamp { reading: Reading::Text(Some(clock)), .. } => {
                format!("timestamp written as '{}' in {}", clock.format(), clock.zone())
            }
            Self::Timestamp { reading: Reading::Text(None), .. } => "timestamp".to_owned(),
            Self::Date { format, .. } => format!("date written as '{format}'"),
        }
    }
}

/// What becomes of digits beyond the last that there is room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// Only zeros may be there.
    Refuse,
    /// They are cut off, towards the past.
    Cut,
}

/// Reads a decimal number: its digits as a whole number, and the power of ten that they count.
fn parts(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(whole, rest)| (whole, Some(rest)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !fraction.is_none_or(is_digits) {
        return None;
    }
    let fraction = fraction.unwrap_or_default().trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    Some((if mantissa.starts_with('-') { -digits } else { digits }, exponent))
}

/// Tells whether the shortest text of a double, the one that it is printed as, is the number that `text` is.
pub(super) fn keeps_digits(text: &str, double: f64) -> bool {
    // Any 15 digits come back from a double.
    const SAFE: usize = 15;
    if text.len() <= SAFE && !text.contains(['e', 'E']) {
        return true;
    }
    let number = |text: &str| {
        let (mut digits, mut exponent) = parts(text)?;
        while digits != 0 && digits % 10 == 0 {
            (digits, exponent) = (digits / 10, exponent + 1);
        }
        Some((digits, if digits == 0 { 0 } else { exponent }))
    };
    let mut shortest = ryu::Buffer::new();
    let shortest = shortest.format(double);
    // Most servers print the shortest text themselves.
    shortest == text || number(text).is_some_and(|came| number(shortest) == Some(came))
}

/// Reads a whole number, however it is written: `1e2` and `100.0` are 100, and `-0` is 0.
pub(super) fn whole(text: &str) -> Option<i128> {
    text.parse().ok().or_else(|| {
        let (digits, exponent) = parts(text)?;
        scaled(digits, exponent, Beyond::Refuse)
    })
}

/// Returns `digits` times ten to the power of `exponent`.
fn scaled(digits: i128, exponent: i32, beyond: Beyond) -> Option<i128> {
    if digits == 0 {
        return Some(0);
    }
    let power = 10_i128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return digits.checked_mul(power?);
    }
    match (power, beyond) {
        (Some(power), Beyond::Cut) => Some(digits.div_euclid(power)),
        (Some(power), Beyond::Refuse) => (digits % power == 0).then_some(digits / power),
        // There is nothing left of so few digits.
        (None, Beyond::Cut) => Some(if digits < 0 { -1 } else { 0 }),
        (None, Beyond::Refuse) => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::{DataType, Date32Type, Decimal128Type, TimestampMicrosecondType};
    use proptest::prelude::*;

    use super::*;

    fn read(kind: &str, text: &str) -> Option<String> {
        let hand = HandType::parse(kind).unwrap();
        let mut column = Precise::of(&hand.kind(), Some(&hand)).unwrap();
        if !column.append(text) {
            return None;
        }
        let array = column.finish().unwrap();
        assert_eq!(array.data_type(), &data_type(&hand.kind()));
        Some(match array.data_type() {
            DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(0),
            DataType::Date32 => array.as_primitive::<Date32Type>().value_as_date(0).unwrap().to_string(),
            _ => {
                let micros = array.as_primitive::<TimestampMicrosecondType>().value(0);
                chrono::DateTime::from_timestamp_micros(micros)
                    .unwrap()
                    .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
            }
        })
    }

    fn check(kind: &str, text: &str, expected: &str) {
        assert_eq!(read(kind, text).as_deref(), Some(expected), "{kind} {text}");
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        check("decimal(38, 0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
        check("decimal(6, 2)", "-12.3400", "-12.34");
        check("decimal(6, 2)", "1.5e3", "1500.00");
        check("decimal(6, 2)", "120e-3", "0.12");
        check("decimal(6, 2)", "0e999999", "0.00");
        for text in ["12.345", "10000", "1e4", "1e-9", "1e99999999999", "", "-", "1.", ".5", "+1", "n/a", "0x10"] {
            assert_eq!(read("decimal(6, 2)", text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_counts_or_texts() {
        check("timestamp(s)", "1767225600", "2026-01-01T00:00:00Z");
        check("timestamp(s)", "1767225600.123456789", "2026-01-01T00:00:00.123456Z");
        check("timestamp(ms)", "1767225600123", "2026-01-01T00:00:00.123Z");
        check("timestamp(us)", "1.7672256e15", "2026-01-01T00:00:00Z");
        check("timestamp(ns)", "1767225600123456789", "2026-01-01T00:00:00.123456Z");
        check("timestamp(ns)", "-1", "1969-12-31T23:59:59.999999Z");
        check("timestamp", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z");
        check(r#"timestamp("%Y-%m-%d %H:%M:%S", "Europe/Rome")"#, "2026-10-25 02:30:00", "2026-10-25T00:30:00Z");
        check(r#"timestamp("%d.%m.%Y")"#, "31.12.2026", "2026-12-31T00:00:00Z");
        assert_eq!(read("timestamp(s)", "1767225600123456"), None, "milliseconds taken for seconds");
        assert_eq!(read("timestamp", "yesterday"), None);
    }

    #[test]
    fn days_are_days() {
        check("date", "2026-02-28", "2026-02-28");
        check(r#"date("%d/%m/%Y")"#, "29/02/2024", "2024-02-29");
        assert_eq!(read("date", "2026-02-29"), None);
        assert_eq!(read("date", "2026-02-28T00:00:00Z"), None);
    }

    proptest! {
        #[test]
        fn a_decimal_that_fits_comes_back_digit_for_digit(value in -10_i128.pow(18)..10_i128.pow(18), scale in 0_usize..10) {
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if value < 0 { "-" } else { "" };
            let text = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            prop_assert_eq!(read(&format!("decimal(38, {scale})"), &text), Some(text.clone()));
        }
    }
}
