//! One scalar SQL expression over the rows of a batch: `window.time`, `incremental.cursor`, a sink's `where`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat, prep_null_mask_filter};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias};

use super::checked::checked;
use super::conform::conform;
use super::dedupe::DedupeError;
use super::engine::{self, MEMORY_LIMIT};
use super::error::TransformError;
use super::moment::Moment;
use super::plan::columns_named;
use crate::lang::sql::{WINDOW_NAMES, bind_window, parse_expr};
use crate::model::{ColumnType, RecordSchema};

/// The rows of a batch that an expression fails on, by their places in it, each with what the engine said.
pub type FailedRows = BTreeMap<usize, String>;

/// A scalar SQL expression, compiled for batches of one schema.
#[derive(Debug, Clone)]
pub struct RowExpr {
    sql: String,
    schema: SchemaRef,
    compiled: Arc<dyn PhysicalExpr>,
    data_type: DataType,
}

impl RowExpr {
    /// Compiles `sql` for batches of `schema`, with `now` as the instant that `now()` gives.
    pub fn new(sql: &str, schema: &SchemaRef, at: impl Into<Moment>) -> Result<Self, TransformError> {
        let at = at.into();
        let mut parsed = parse_expr(sql)?;
        if let Some(edges) = at.edges() {
            bind_window(&mut parsed, &edges, &columns_named(schema, WINDOW_NAMES));
        }
        let compile = || -> Result<_, DataFusionError> {
            let state = engine::session(at.now, MEMORY_LIMIT)?;
            let compiled = compile(&state, parsed, schema)?;
            let data_type = compiled.data_type(schema)?;
            Ok((compiled, data_type))
        };
        let (compiled, data_type) = compile().map_err(|error| TransformError::planning(&error, sql))?;
        Ok(Self { sql: sql.to_owned(), schema: Arc::clone(schema), compiled, data_type })
    }

    /// Returns the type of the values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Returns the column that the expression reads, where it reads one and no other.
    pub fn only_column(&self) -> Option<String> {
        let mut columns = collect_columns(&self.compiled).into_iter();
        columns.next().filter(|_| columns.next().is_none()).map(|column| column.name().to_owned())
    }

    /// Checks that the values have an order where they are those of a column, or of a field, of `records`: `json` is text to SQL, and
    /// its order that of letters.
    pub fn check_order(&self, records: &RecordSchema) -> Result<(), DedupeError> {
        let path = path(self.compiled.as_ref()).unwrap_or_default();
        match records.kind_at(path.iter().map(String::as_str)) {
            Some(ColumnType::Json) => Err(DedupeError::Json { column: path.join(".") }),
            _ => Ok(()),
        }
    }

    /// Works the expression out for every row of `batch`, whose schema is the compiled one or an earlier state of it.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, TransformError> {
        let batch = conform(batch, &self.schema)?;
        let values = self.compiled.evaluate(&batch).and_then(|values| values.into_array(batch.num_rows()));
        values.map_err(|error| TransformError::running(&error, MEMORY_LIMIT))
    }

    /// Works the expression out as a condition: true where the row is kept; null counts as false.
    pub fn filter_mask(&self, batch: &RecordBatch) -> Result<BooleanArray, TransformError> {
        let values = self.evaluate(batch)?;
        match values.data_type() {
            DataType::Boolean => {
                let mask = values.as_boolean();
                Ok(if mask.null_count() == 0 { mask.clone() } else { prep_null_mask_filter(mask) })
            }
            DataType::Null => Ok(BooleanArray::from(vec![false; values.len()])),
            found => Err(TransformError::NotACondition { sql: self.sql.clone(), found: found.to_string() }),
        }
    }

    /// Works the expression out as instants, in microseconds UTC. A timestamp with no zone, and a date, are UTC.
    pub fn timestamps_us(&self, batch: &RecordBatch) -> Result<TimestampMicrosecondArray, TransformError> {
        self.check_timestamp()?;
        // Not `safe`: an instant that microseconds can't hold is an error, and never silently null.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let values = cast_with_options(&self.evaluate(batch)?, &utc(), &options);
        let values = values.map_err(|error| TransformError::running(&error.into(), MEMORY_LIMIT))?;
        Ok(values.as_primitive::<TimestampMicrosecondType>().clone())
    }

    /// As [`RowExpr::evaluate`], with null for each row that the expression fails on, and those rows.
    pub fn evaluate_apart(&self, batch: &RecordBatch) -> Result<(ArrayRef, FailedRows), TransformError> {
        apart(batch, &self.data_type, &|batch| self.evaluate(batch))
    }

    /// As [`RowExpr::timestamps_us`], with null for each row that the expression fails on, and those rows.
    pub fn timestamps_apart(
        &self,
        batch: &RecordBatch,
    ) -> Result<(TimestampMicrosecondArray, FailedRows), TransformError> {
        let times = |batch: &RecordBatch| Ok(Arc::new(self.timestamps_us(batch)?) as ArrayRef);
        let (times, failed) = apart(batch, &utc(), &times)?;
        Ok((times.as_primitive::<TimestampMicrosecondType>().clone(), failed))
    }

    /// Checks that the expression gives timestamps, or dates, or nothing but nulls.
    pub fn check_timestamp(&self) -> Result<(), TransformError> {
        let sql = &self.sql;
        let proposal = match &self.data_type {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => return Ok(()),
            kind if kind.is_numeric() => {
                format!("write to_timestamp_seconds({sql}), or to_timestamp_millis({sql})")
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                format!("write to_timestamp({sql}), or parse_timestamp({sql}, '%Y-%m-%d %H:%M:%S', 'UTC')")
            }
            DataType::Struct(fields) => {
                let names: Vec<_> = fields.iter().map(|field| format!("{sql}.{}", field.name())).collect();
                format!("take one of its fields, {}, as in to_timestamp_seconds({sql}.value)", names.join(", "))
            }
            _ => format!("write an expression that gives one, such as to_timestamp_seconds({sql})"),
        };
        Err(TransformError::NotATimestamp { sql: sql.clone(), found: self.data_type.to_string(), proposal })
    }
}

/// Returns the type of instants.
fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Works out values of type `kind` for a batch, with null for each row that fails.
fn apart(
    batch: &RecordBatch,
    kind: &DataType,
    values: &impl Fn(&RecordBatch) -> Result<ArrayRef, TransformError>,
) -> Result<(ArrayRef, FailedRows), TransformError> {
    let rows = batch.num_rows();
    match values(batch) {
        Ok(values) => Ok((values, FailedRows::new())),
        Err(TransformError::Row { message }) if rows == 1 => {
            Ok((new_null_array(kind, 1), FailedRows::from([(0, message)])))
        }
        // The engine names no row: it is found by halves.
        Err(TransformError::Row { .. }) if rows > 1 => {
            let half = rows / 2;
            let (first, mut failed) = apart(&batch.slice(0, half), kind, values)?;
            let (second, later) = apart(&batch.slice(half, rows - half), kind, values)?;
            failed.extend(later.into_iter().map(|(at, why)| (half + at, why)));
            let both = concat(&[first.as_ref(), second.as_ref()]);
            Ok((both.map_err(|error| TransformError::running(&error.into(), MEMORY_LIMIT))?, failed))
        }
        Err(error) => Err(error),
    }
}

/// Returns the column that an expression is, and the fields within it on the way to its value; none where it makes something of one.
fn path(expr: &dyn PhysicalExpr) -> Option<Vec<String>> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return Some(vec![column.name().to_owned()]);
    }
    let (of, fields) =
        expr.downcast_ref::<ScalarFunctionExpr>().filter(|call| call.name() == "get_field")?.args().split_first()?;
    let field = |name: &Arc<dyn PhysicalExpr>| {
        let name = name.downcast_ref::<Literal>()?.value();
        name.try_as_str().flatten().map(str::to_owned)
    };
    let mut path = path(of.as_ref())?;
    path.extend(fields.iter().map(field).collect::<Option<Vec<_>>>()?);
    Some(path)
}

fn compile(
    state: &SessionState,
    parsed: SqlExpr,
    schema: &SchemaRef,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let columns = DFSchema::try_from(Arc::clone(schema))?;
    let expr = state.create_logical_expr_from_sql_expr(ExprWithAlias { expr: parsed, alias: None }, &columns)?;
    // Only the simplifier knows `now()`: the engine refuses to evaluate it.
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(columns.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = checked(simplifier.coerce(expr, &columns)?, &columns)?.data;
    let expr = simplifier.simplify(expr)?;
    state.create_physical_expr(expr, &columns)
}

#[cfg(test)]
#[path = "expr_tests.rs"]
mod tests;
