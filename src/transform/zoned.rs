//! The engine's `to_timestamp` functions, with the zone that they promise.
//!
//! Of a column of texts `DataFusion` 55 promises UTC and gives no zone, at which the query fails
//! (<https://github.com/apache/datafusion/issues/24632>). The instants are right: only the zone's name is put back.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

const FAMILY: [&str; 5] =
    ["to_timestamp", "to_timestamp_seconds", "to_timestamp_millis", "to_timestamp_micros", "to_timestamp_nanos"];

/// Returns `function`, mended where it is one of the family.
pub(super) fn mended(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if FAMILY.contains(&function.name()) { Arc::new(ScalarUDF::from(Zoned { inner: function })) } else { function }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Zoned {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Zoned {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.inner().return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arguments)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::from(Self { inner: Arc::new(inner) }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let promised = arguments.return_field.data_type().clone();
        // Past the wrapper of `inner`: its check of the type, in debug builds, is what fails.
        match (self.inner.inner().invoke_with_args(arguments)?, &promised) {
            (ColumnarValue::Array(times), DataType::Timestamp(unit, Some(_)))
                if times.data_type() == &DataType::Timestamp(*unit, None) =>
            {
                // The numbers are instants in UTC already, so that this names a zone and moves nothing.
                let data = times.to_data().into_builder().data_type(promised).build()?;
                Ok(ColumnarValue::Array(arrow::array::make_array(data)))
            }
            (value, _) => Ok(value),
        }
    }
}
