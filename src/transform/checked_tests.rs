use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use chrono::DateTime;

use crate::transform::{RowExpr, TransformError, TransformPlan};

fn rows() -> RecordBatch {
    let batch = RecordBatch::try_from_iter_with_nullable(vec![
        ("a", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None, Some(7)])) as ArrayRef, true),
        ("b", Arc::new(Int64Array::from(vec![1, 2, 3, 4])), true),
        ("g", Arc::new(Int64Array::from(vec![1, 1, 2, 2])), true),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 1, 2, 3])), true),
    ]);
    batch.unwrap()
}

fn run(sql: &str) -> Result<RecordBatch, TransformError> {
    let plan = TransformPlan::new(Some(sql), rows().schema(), DateTime::UNIX_EPOCH)?;
    let (schema, mut out) = (plan.output_schema(), Vec::new());
    plan.run(Box::new([Ok::<_, TransformError>(rows())].into_iter()), |batch| {
        out.push(batch);
        Ok::<_, TransformError>(())
    })?;
    Ok(arrow::compute::concat_batches(&schema, &out).unwrap())
}

#[test]
fn what_has_no_room_fails() {
    for sql in [
        "a + 1",
        "1 + a",
        "9223372036854775807 + b",
        "9223372036854775807 + 1",
        "a - b",
        "a * b",
        "a * a",
        "-a",
        "b + (a * 2)",
        "u + u",
        "abs(a)",
        "CASE WHEN b = 1 THEN a + b ELSE 0 END",
    ] {
        let error = run(&format!("SELECT {sql} AS x FROM records")).expect_err(sql).to_string();
        assert!(error.starts_with("the SQL failed on a row: "), "{sql}: {error}");
        let error = run(&format!("SELECT b FROM records WHERE ({sql}) <> 0")).expect_err(sql).to_string();
        assert!(error.starts_with("the SQL failed on a row: "), "{sql}: {error}");
        let expr = RowExpr::new(sql, &rows().schema(), DateTime::UNIX_EPOCH).unwrap();
        assert!(expr.evaluate(&rows()).is_err(), "{sql}");
    }
    let error = run("SELECT a + 1 AS x FROM records").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"the SQL failed on a row: arithmetic overflow: Overflow happened on: 9223372036854775807 + 1");
}

#[test]
fn sums_that_have_no_room_fail() {
    for sql in [
        "SELECT sum(a) AS x FROM records WHERE b <> 2",
        "SELECT g, sum(u) AS x FROM records GROUP BY g",
        "SELECT sum(DISTINCT u) AS x FROM records",
        "SELECT b, sum(a) OVER (ORDER BY b DESC) AS x FROM records WHERE b <> 2",
        "SELECT b, sum(u) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM records",
        "SELECT b FROM records GROUP BY b HAVING sum(u) + sum(u) > 3",
        "SELECT b FROM records WHERE b < (SELECT sum(u) FROM records)",
        "SELECT sum(CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0))) AS x FROM records",
        "SELECT g, sum(CAST('9999999999999999999999999999999999999.9' AS DECIMAL(38, 1))) AS x FROM records GROUP BY g",
        "SELECT sum(CAST('-99999999999999999999999999999999999999' AS DECIMAL(38, 0))) OVER () AS x FROM records",
        "SELECT b FROM records QUALIFY sum(u) OVER () > 3",
    ] {
        let error = run(sql).expect_err(sql).to_string();
        assert!(error.starts_with("the SQL failed on a row: "), "{sql}: {error}");
    }
    let error = run("SELECT sum(u) AS x FROM records").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"the SQL failed on a row: a sum has no room (from 0 to 2^64 - 1): write sum(CAST(... AS DECIMAL(38, 0)))");
}

#[test]
fn what_has_room_is_as_it_was() {
    let one = |sql: &str| {
        let batch = run(sql).expect(sql);
        let values = batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>();
        values.iter().collect::<Vec<_>>()
    };
    assert_eq!(one("SELECT a - 1 AS x FROM records WHERE b IN (1, 3)"), [Some(i64::MAX - 1), None]);
    assert_eq!(one("SELECT -b * 2 + g AS x FROM records"), [Some(-1), Some(-3), Some(-4), Some(-6)]);
    assert_eq!(one("SELECT sum(a) AS x FROM records"), [Some(6)], "it may run over meanwhile");
    assert_eq!(
        one("SELECT g, sum(a) FILTER (WHERE b > 1) AS x FROM records GROUP BY g ORDER BY g"),
        [Some(i64::MIN), Some(7)]
    );
    assert_eq!(
        one("SELECT b, sum(b + g) OVER (PARTITION BY g ORDER BY b) AS x FROM records ORDER BY b"),
        [2, 5, 5, 11].map(Some)
    );
    assert_eq!(
        one("SELECT sum(b) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM records"),
        [1, 3, 5, 7].map(Some)
    );
    assert_eq!(one("SELECT sum(DISTINCT g) AS x FROM records"), [Some(3)]);
    assert_eq!(one("SELECT sum(a) AS x FROM records WHERE b = 3"), [None]);
    assert_eq!(one("SELECT g + 1 AS k, count(*) AS x FROM records GROUP BY g + 1 ORDER BY g + 1"), [Some(2), Some(2)]);
    assert_eq!(
        one("WITH t AS (SELECT g, sum(b) AS s FROM records GROUP BY g) SELECT sum(s + g) AS x FROM t"),
        [Some(13)]
    );
    assert_eq!(
        one("SELECT r.b, (SELECT sum(b) FROM records WHERE g = r.g) + 1 AS x FROM records AS r ORDER BY b"),
        [4, 4, 8, 8].map(Some)
    );
}

#[test]
fn sums_of_decimals_are_decimals() {
    let sum = |sql: &str| {
        let batch = run(sql).expect(sql);
        let values = batch.column(0).as_primitive::<Decimal128Type>();
        (values.value(0), values.data_type().clone())
    };
    let kind = |scale| DataType::Decimal128(38, scale);
    assert_eq!(sum("SELECT sum(CAST(b AS DECIMAL(38, 2))) FROM records"), (1000, kind(2)));
    assert_eq!(sum("SELECT sum(DISTINCT CAST(g AS DECIMAL(30, 1))) FROM records"), (30, kind(1)));
    assert_eq!(sum("SELECT sum(CAST(b AS DECIMAL(10, 0))) FROM records"), (10, DataType::Decimal128(20, 0)));
}

#[test]
fn columns_keep_their_names_and_types() {
    let batch =
        run("SELECT b + 1, sum(b), sum(u - 1) AS s FROM records WHERE b > 1 GROUP BY b + 1 ORDER BY 1").unwrap();
    let columns: Vec<_> =
        batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    insta::assert_debug_snapshot!(columns, @r#"
    [
        "records.b + Int64(1) Int64",
        "sum(records.b) Int64",
        "s Decimal128(31, 0)",
    ]
    "#);
    assert_eq!(batch.num_rows(), 3);
    let expr = RowExpr::new("b + 1", &rows().schema(), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(expr.data_type(), &DataType::Int64);
}
