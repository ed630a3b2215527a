//! `sum` of whole numbers and decimals that fails where it has no room, as in `PostgreSQL`: the engine's own wraps around, so that a sum
//! could be small, or negative, and nobody knew. It is summed in decimals that 10^19 rows can't fill, and made what it was again.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, ScalarValue, TableReference, exec_err, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::unalias;
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Expr, LogicalPlan, Projection, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, Window, WindowFunctionDefinition, cast,
};

/// Returns what sums of a type are made in; none where they are what the engine makes of them.
const fn wide(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Int64 | DataType::UInt64 => Some(DataType::Decimal128(38, 0)),
        // The engine gives ten digits more than the values have, which 10^10 rows fill, as long as there is room for them.
        DataType::Decimal128(38, scale) => Some(DataType::Decimal256(76, *scale)),
        _ => None,
    }
}

type Named<'s> = (Option<&'s TableReference>, &'s FieldRef);

/// Replaces the sums that a step of a query makes, whose types are known. Its columns keep their names and types.
pub(super) fn checked(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let made = match &plan {
        LogicalPlan::Aggregate(step) => &step.aggr_expr,
        LogicalPlan::Window(step) => &step.window_expr,
        _ => return Ok(Transformed::no(plan)),
    };
    let schema = Arc::clone(plan.schema());
    let columns: Vec<Named<'_>> = schema.iter().collect();
    let (_, of_made) = columns.split_at(columns.len() - made.len());
    let wide: Vec<Option<Expr>> = made.iter().zip(of_made).map(|(expr, column)| widened(expr, *column)).collect();
    if wide.iter().all(Option::is_none) {
        return Ok(Transformed::no(plan));
    }
    let is_wide = std::iter::repeat_n(false, columns.len() - made.len()).chain(wide.iter().map(Option::is_some));
    let shown =
        columns.iter().zip(is_wide).map(|(column, is_wide)| if is_wide { narrowed(*column) } else { plain(*column) });
    let shown = shown.collect();
    let made = made.iter().zip(wide).map(|(expr, wide)| wide.unwrap_or_else(|| expr.clone())).collect();
    let step = match plan {
        LogicalPlan::Aggregate(step) => LogicalPlan::Aggregate(Aggregate::try_new(step.input, step.group_expr, made)?),
        LogicalPlan::Window(step) => LogicalPlan::Window(Window::try_new(made, step.input)?),
        other => other,
    };
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(step))?)))
}

fn plain((qualifier, field): Named<'_>) -> Expr {
    Expr::Column(Column::new(qualifier.cloned(), field.name()))
}

/// Returns the sum that `expr` is as one that has room; none where it is something else.
fn widened(expr: &Expr, (qualifier, field): Named<'_>) -> Option<Expr> {
    let wide = wide(field.data_type())?;
    let mut sum = unalias(expr.clone());
    let args = match &mut sum {
        Expr::AggregateFunction(call) if call.func.name() == "sum" => &mut call.params.args,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) if function.name() == "sum" => &mut call.params.args,
            _ => return None,
        },
        _ => return None,
    };
    for arg in args {
        *arg = cast(std::mem::take(arg), wide.clone());
    }
    Some(sum.alias_qualified(qualifier.cloned(), field.name()))
}

/// Makes a column of sums what the engine would have made it.
fn narrowed(column: Named<'_>) -> Expr {
    let (qualifier, field) = column;
    let signature = Signature::any(1, Volatility::Immutable);
    let narrow = Arc::new(ScalarUDF::from(Narrow { kind: field.data_type().clone(), signature }));
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(narrow, vec![plain(column)]));
    call.alias_qualified(qualifier.cloned(), field.name())
}

/// Makes values of a type of decimals, or fails.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrow {
    kind: DataType,
    signature: Signature,
}

impl Narrow {
    fn narrow(&self, sums: &ArrayRef) -> Result<ArrayRef> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(sums, &self.kind, &strict).or_else(|_| {
            const WRITE: &str = ": write sum(CAST(... AS DECIMAL(38, 0)))";
            let (room, write) = match self.kind {
                DataType::Int64 => ("from -2^63 to 2^63 - 1", WRITE),
                DataType::UInt64 => ("from 0 to 2^64 - 1", WRITE),
                _ => ("38 digits", ""),
            };
            exec_err!("a sum has no room ({room}){write}")
        })
    }
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &'static str {
        "checked_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Array(sums)] => Ok(ColumnarValue::Array(self.narrow(sums)?)),
            [ColumnarValue::Scalar(sum)] => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&self.narrow(&sum.to_array()?)?, 0)?))
            }
            values => internal_err!("{} takes no {} values", self.name(), values.len()),
        }
    }
}
