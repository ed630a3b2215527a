//! Arithmetic of whole numbers that fails where a result has no room, as in `PostgreSQL`: the engine's own wraps around, so that 2^63 - 1 and
//! one more would land as -2^63. No option of `DataFusion` 55 sets that: its `BinaryExpr::with_fail_on_overflow` is for those who build
//! physical expressions themselves.

use std::sync::Arc;

use arrow::compute::kernels::numeric;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;
use datafusion::scalar::ScalarValue;

use super::sums;

/// Replaces the arithmetic of whole numbers in a query, once its types are known.
#[derive(Debug)]
pub(super) struct CheckArithmetic;

impl AnalyzerRule for CheckArithmetic {
    fn name(&self) -> &'static str {
        "check_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let (columns, names) = (merge_schema(&plan.inputs()), NamePreserver::new(&plan));
            let plan = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(checked(expr, &columns)?.update_data(|expr| name.restore(expr)))
            })?;
            plan.map_data(LogicalPlan::recompute_schema)?.transform_data(sums::checked)
        })
        .map(|plan| plan.data)
    }
}

/// Replaces the arithmetic of whole numbers in an expression over `columns`, whose types have been made to fit.
pub(super) fn checked(expr: Expr, columns: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let is_whole = |expr: &Expr| expr.get_type(columns).is_ok_and(|kind| kind.is_integer());
        let (step, args) = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_whole(&left) && is_whole(&right) => {
                let step = match op {
                    Operator::Plus => Step::Add,
                    Operator::Minus => Step::Subtract,
                    Operator::Multiply => Step::Multiply,
                    _ => return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
                };
                (step, vec![*left, *right])
            }
            Expr::Negative(of) if of.get_type(columns).is_ok_and(|kind| kind.is_signed_integer()) => {
                (Step::Negate, vec![*of])
            }
            other => return Ok(Transformed::no(other)),
        };
        let function =
            Arc::new(ScalarUDF::from(Checked { step, signature: Signature::any(args.len(), Volatility::Immutable) }));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Add,
    Subtract,
    Multiply,
    Negate,
}

/// One step of arithmetic: its arguments have the type of its result.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    step: Step,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.step {
            Step::Add => "checked_add",
            Step::Subtract => "checked_subtract",
            Step::Multiply => "checked_multiply",
            Step::Negate => "checked_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.step, arguments.args.as_slice()) {
            (Step::Add, [left, right]) => apply(left, right, numeric::add),
            (Step::Subtract, [left, right]) => apply(left, right, numeric::sub),
            (Step::Multiply, [left, right]) => apply(left, right, numeric::mul),
            (Step::Negate, [ColumnarValue::Array(values)]) => Ok(ColumnarValue::Array(numeric::neg(values)?)),
            (Step::Negate, [ColumnarValue::Scalar(value)]) => {
                let value = ScalarValue::try_from_array(&numeric::neg(&value.to_array()?)?, 0)?;
                Ok(ColumnarValue::Scalar(value))
            }
            (_, values) => internal_err!("{} takes no {} values", self.name(), values.len()),
        }
    }
}

#[cfg(test)]
#[path = "checked_tests.rs"]
mod tests;
