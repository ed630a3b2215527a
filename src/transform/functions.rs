//! The scalar functions of our field that the SQL engine lacks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion_functions_json::udfs as json;

use super::addresses::{IpIn, IpVersion};
use super::html::HtmlText;
use crate::lang::wall_clock::{WallClock, WallClockError};

/// Our functions, to be registered with a session.
pub(super) fn ours() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::from(ParseTimestamp::new())),
        Arc::new(ScalarUDF::from(IpIn::new())),
        Arc::new(ScalarUDF::from(IpVersion::new())),
        Arc::new(ScalarUDF::from(HtmlText::new())),
    ]
}

/// The functions of `datafusion-functions-json` that have a type of their own. Those that give or take any type can't be columns of a
/// file. Its operators and rewrites stay out: one of them reads what is cast to a decimal through a double, which loses digits.
pub(super) fn of_json() -> Vec<Arc<ScalarUDF>> {
    vec![
        json::json_as_text_udf(),
        json::json_contains_udf(),
        json::json_get_array_udf(),
        json::json_get_bool_udf(),
        json::json_get_float_udf(),
        json::json_get_int_udf(),
        json::json_get_json_udf(),
        json::json_get_str_udf(),
        json::json_length_udf(),
        json::json_object_keys_udf(),
    ]
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
    // They are nearly always the same for every row.
    let mut clock: Option<WallClock> = None;
    let mut times = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) || formats.is_null(row) || zones.is_null(row) {
            times.push(None);
            continue;
        }
        let (format, zone) = (formats.value(row), zones.value(row));
        let fits = clock.take().filter(|clock| clock.format() == format && clock.zone() == zone);
        let failed = |error: WallClockError| DataFusionError::Execution(error.to_string());
        let current = fits.map_or_else(|| WallClock::new(format, zone), Ok).map_err(failed)?;
        let text = texts.value(row);
        let instant = current.read(text).ok_or_else(|| {
            DataFusionError::Execution(format!("can't read '{text}' as a time written as '{format}' in {zone}"))
        })?;
        times.push(Some(instant.timestamp_micros()));
        clock = Some(current);
    }
    Ok(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn parse(text: &str, format: &str, zone: &str) -> Result<ArrayRef> {
        let array = |text: &str| Arc::new(StringArray::from(vec![Some(text), None])) as ArrayRef;
        parse_all(&array(text), &array(format), &array(zone))
    }

    #[test]
    fn texts_become_instants_and_nulls_stay() {
        let times = parse("2026-07-01 12:00", "%Y-%m-%d %H:%M", "Europe/Rome").unwrap();
        let times = times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        assert_eq!(times.value(0), 1_782_900_000_000_000);
        assert!(times.is_null(1));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = parse("n/a", "%Y-%m-%d", "UTC").unwrap_err().to_string();
        assert!(error.contains("can't read 'n/a' as a time written as '%Y-%m-%d' in UTC"), "{error}");
        assert!(parse("2026-01-01", "%Y-%m-%d", "Rome").unwrap_err().to_string().contains("`Rome` isn't an IANA"));
    }
}
