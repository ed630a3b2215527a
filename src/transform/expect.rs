//! What is expected of a slice's rows, checked over all of them before anything lands.

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::util::display::array_value_to_string;

use super::error::{BoxError, TransformError};
use super::moment::Moment;
use super::plan::TransformPlan;
use crate::model::counted;

/// Something that must hold of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// This condition is true: with aggregates once, of all rows, else of each row. With no rows one without aggregates holds.
    Sql(String),
    /// None of these columns has a null.
    NotNull(Vec<String>),
    /// The values of these columns together come once.
    Unique(Vec<String>),
}

/// Checks an expectation over rows of the schema `rows`; `batches` gives them from the start, each time it is asked. Returns what
/// is wrong, as a sentence, where it isn't met. Blocks and computes.
pub fn unmet<I, E>(
    expectation: &Expectation,
    rows: &SchemaRef,
    batches: impl Fn() -> I,
    at: impl Into<Moment>,
) -> Result<Option<String>, TransformError>
where
    I: Iterator<Item = Result<RecordBatch, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let at = at.into();
    let ask = |sql: &str| {
        let mut answer = Vec::new();
        let plan = TransformPlan::new(Some(sql), SchemaRef::clone(rows), at)?;
        plan.run(Box::new(batches()), |batch| {
            answer.push(batch);
            Ok::<_, BoxError>(())
        })?;
        Ok::<_, TransformError>(answer)
    };
    match expectation {
        Expectation::Sql(sql) => {
            let counts = count(sql, rows, Box::new(batches()), at)?;
            if counts.is_true == counts.asked {
                return Ok(None);
            }
            // One answer may be that of the slice's only row. With no rows an aggregate gives one too.
            let none = || Box::new(std::iter::empty::<Result<RecordBatch, BoxError>>());
            let is_one = counts.asked == 1 && count(sql, rows, none(), at)?.asked == 1;
            Ok(Some(if is_one { counts.describe_one(sql) } else { counts.describe(sql) }))
        }
        Expectation::NotNull(columns) => {
            let is_null: Vec<String> = columns.iter().map(|column| format!("{} IS NULL", quoted(column))).collect();
            let answer = ask(&format!("SELECT count(*) FROM records WHERE {}", is_null.join(" OR ")))?;
            let rows = answer.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));
            Ok((rows > 0).then(|| format!("{} is null in {}", named(columns), counted(rows.unsigned_abs(), "row"))))
        }
        Expectation::Unique(columns) => {
            let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let list = list.join(", ");
            let sql = format!(
                "SELECT count(*) OVER (), count(*), {list} FROM records GROUP BY {list} HAVING count(*) > 1 ORDER BY {list} LIMIT 1"
            );
            ask(&sql)?.first().map(|twice| describe_twice(twice, columns)).transpose()
        }
    }
}

/// How often a condition was asked, and what it gave.
#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    is_true: u64,
    is_null: u64,
}

impl Counts {
    fn describe_one(&self, sql: &str) -> String {
        format!("`{sql}` is {}", if self.is_null == 0 { "false" } else { "null" })
    }

    fn describe(&self, sql: &str) -> String {
        let Self { asked, is_true, is_null } = self;
        let null = if *is_null == 0 { String::new() } else { format!("; it is null in {is_null}") };
        format!("`{sql}` isn't true in {} of {}{null}", asked - is_true, counted(*asked, "row"))
    }
}

/// Asks a condition of all rows, or of each.
fn count<E: Into<BoxError> + 'static>(
    sql: &str,
    rows: &SchemaRef,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, E>> + Send>,
    at: Moment,
) -> Result<Counts, TransformError> {
    let plan = TransformPlan::new(Some(&format!("SELECT ({sql}) FROM records")), SchemaRef::clone(rows), at)?;
    match plan.output_schema().field(0).data_type() {
        DataType::Boolean | DataType::Null => {}
        kind => return Err(TransformError::NotACondition { sql: sql.to_owned(), found: kind.to_string() }),
    }
    let mut counts = Counts::default();
    plan.run(batches, |batch| {
        let found = batch.column(0);
        counts.asked += found.len() as u64;
        counts.is_true += found.as_boolean_opt().map_or(0, BooleanArray::true_count) as u64;
        counts.is_null += found.logical_null_count() as u64;
        Ok::<_, BoxError>(())
    })?;
    Ok(counts)
}

fn describe_twice(twice: &RecordBatch, columns: &[String]) -> Result<String, TransformError> {
    let count = |at: usize| twice.column(at).as_primitive::<Int64Type>().value(0);
    let value = |at: usize| match twice.column(at + 2) {
        values if values.is_null(0) || values.data_type() == &DataType::Null => Ok("null".to_owned()),
        values => array_value_to_string(values, 0),
    };
    let values = (0..columns.len())
        .map(value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TransformError::Output(error.into()))?;
    let (keys, rows, columns, values) = (count(0), count(1), named(columns), values.join(", "));
    let twice = if keys == 1 { "1 value comes".to_owned() } else { format!("{keys} values come") };
    Ok(format!("{columns} isn't unique: {twice} more than once; {values} comes in {rows} rows"))
}

fn named(columns: &[String]) -> String {
    columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
}

fn quoted(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use chrono::DateTime;

    use super::*;

    fn check(expectation: &Expectation) -> Result<Option<String>, TransformError> {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(2), None]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "b", "c"]));
        let batch = RecordBatch::try_from_iter([("id", ids), ("a \"name\"", names)]).unwrap();
        let halves = [batch.slice(0, 2), batch.slice(2, 2)];
        unmet(expectation, &batch.schema(), || halves.clone().into_iter().map(Ok::<_, BoxError>), DateTime::UNIX_EPOCH)
    }

    fn sql(text: &str) -> String {
        check(&Expectation::Sql(text.to_owned())).unwrap().unwrap_or_default()
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn sql_over_all_rows_must_be_true() {
        assert_eq!(sql("count(*) = 4 AND max(id) < 3"), "");
        assert_eq!(sql("count(*) > 4"), "`count(*) > 4` is false");
        assert_eq!(sql("sum(id) FILTER (WHERE id > 9) > 0"), "`sum(id) FILTER (WHERE id > 9) > 0` is null");
        let error = check(&Expectation::Sql("count(*)".to_owned())).unwrap_err();
        assert!(matches!(error, TransformError::NotACondition { .. }), "{error}");
    }

    #[test]
    fn sql_of_one_row_must_be_true_of_each() {
        assert_eq!(sql("\"a \"\"name\"\"\" < 'd'"), "");
        assert_eq!(sql("id < 2"), "`id < 2` isn't true in 3 of 4 rows; it is null in 1");
        assert_eq!(sql("id IS NOT NULL"), "`id IS NOT NULL` isn't true in 1 of 4 rows");
        assert_eq!(sql("NULL"), "`NULL` isn't true in 4 of 4 rows; it is null in 4");
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let one = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let check = |sql: &str, rows: usize| {
            let rows = one.slice(0, rows);
            let batches = || std::iter::once(Ok::<_, BoxError>(rows.clone()));
            unmet(&Expectation::Sql(sql.to_owned()), &one.schema(), batches, DateTime::UNIX_EPOCH).unwrap()
        };
        assert_eq!(check("id > 1", 1).as_deref(), Some("`id > 1` isn't true in 1 of 1 row"));
        assert_eq!(check("max(id) > 1", 1).as_deref(), Some("`max(id) > 1` is false"));
        assert_eq!(check("id > 1", 0), None, "there is no row of which it isn't true");
        assert_eq!(check("max(id) > 1", 0).as_deref(), Some("`max(id) > 1` is null"));
    }

    #[test]
    fn columns_without_nulls_and_columns_that_are_unique() {
        let not_null = |names: &[&str]| check(&Expectation::NotNull(columns(names))).unwrap();
        assert_eq!(not_null(&["a \"name\""]), None);
        assert_eq!(not_null(&["a \"name\"", "id"]).as_deref(), Some("`a \"name\"`, `id` is null in 1 row"));
        let unique = |names: &[&str]| check(&Expectation::Unique(columns(names))).unwrap();
        assert_eq!(
            unique(&["id", "a \"name\""]).as_deref(),
            Some("`id`, `a \"name\"` isn't unique: 1 value comes more than once; 2, b comes in 2 rows")
        );
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![None, None, Some(1)]));
        let nulls = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let batches = || std::iter::once(Ok::<_, BoxError>(nulls.clone()));
        let unique = Expectation::Unique(columns(&["id"]));
        assert_eq!(
            unmet(&unique, &nulls.schema(), batches, DateTime::UNIX_EPOCH).unwrap().as_deref(),
            Some("`id` isn't unique: 1 value comes more than once; null comes in 2 rows")
        );
    }
}
