//! What is expected of a slice's rows, checked over all of them before anything lands.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::util::display::array_value_to_string;

use super::error::{BoxError, TransformError};
use super::moment::Moment;
use super::plan::TransformPlan;

/// Something that must hold of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// This expression, with aggregates, is true.
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
            let answer = ask(&format!("SELECT ({sql}) FROM records"))?;
            let found = answer.first().map(|batch| batch.column(0));
            match found.map(|found| (found, found.data_type())) {
                Some((found, DataType::Boolean)) if found.is_valid(0) && found.as_boolean().value(0) => Ok(None),
                Some((found, DataType::Boolean | DataType::Null)) => {
                    let what = if found.is_null(0) { "null" } else { "false" };
                    Ok(Some(format!("`{sql}` is {what}")))
                }
                found => {
                    let found = found.map_or_else(String::new, |(_, kind)| kind.to_string());
                    Err(TransformError::NotACondition { sql: sql.clone(), found })
                }
            }
        }
        Expectation::NotNull(columns) => {
            let is_null: Vec<String> = columns.iter().map(|column| format!("{} IS NULL", quoted(column))).collect();
            let answer = ask(&format!("SELECT count(*) FROM records WHERE {}", is_null.join(" OR ")))?;
            let rows = answer.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));
            Ok((rows > 0).then(|| format!("{} is null in {}", named(columns), plural(rows, "row"))))
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

fn describe_twice(twice: &RecordBatch, columns: &[String]) -> Result<String, TransformError> {
    let count = |at: usize| twice.column(at).as_primitive::<Int64Type>().value(0);
    let value = |at: usize| array_value_to_string(twice.column(at + 2), 0);
    let values = (0..columns.len())
        .map(value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TransformError::Output(error.into()))?;
    let (keys, rows, columns, values) = (count(0), count(1), named(columns), values.join(", "));
    let twice = if keys == 1 { "1 value comes".to_owned() } else { format!("{keys} values come") };
    Ok(format!("{columns} isn't unique: {twice} more than once; {values} comes in {rows} rows"))
}

fn plural(count: i64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
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
    fn columns_without_nulls_and_columns_that_are_unique() {
        let not_null = |names: &[&str]| check(&Expectation::NotNull(columns(names))).unwrap();
        assert_eq!(not_null(&["a \"name\""]), None);
        assert_eq!(not_null(&["a \"name\"", "id"]).as_deref(), Some("`a \"name\"`, `id` is null in 1 row"));
        let unique = |names: &[&str]| check(&Expectation::Unique(columns(names))).unwrap();
        assert_eq!(
            unique(&["id", "a \"name\""]).as_deref(),
            Some("`id`, `a \"name\"` isn't unique: 1 value comes more than once; 2, b comes in 2 rows")
        );
    }
}
