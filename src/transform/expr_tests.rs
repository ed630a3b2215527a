use arrow::array::{Date32Array, Int64Array, StringArray, StructArray, TimestampSecondArray};
use arrow::datatypes::{Field, Int64Type, Schema};

use chrono::{DateTime, Utc};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

fn rows() -> RecordBatch {
    let value = Arc::new(Int64Array::from(vec![Some(1_767_225_600), None])) as ArrayRef;
    let tstamp = StructArray::from(vec![(Arc::new(Field::new("value", DataType::Int64, true)), value)]);
    RecordBatch::try_from_iter_with_nullable(vec![
        ("day", Arc::new(Date32Array::from(vec![0, 1])) as ArrayRef, true),
        ("naive", Arc::new(TimestampSecondArray::from(vec![-1, 1])), true),
        ("row_id", Arc::new(StringArray::from(vec!["7", "8"])), true),
        ("severity", Arc::new(StringArray::from(vec![Some("Critical"), None])), true),
        ("tstamp", Arc::new(tstamp), true),
        ("zoned", Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]).with_timezone("Europe/Rome")), true),
    ])
    .expect("rows")
}

fn compiled(sql: &str) -> RowExpr {
    RowExpr::new(sql, &rows().schema(), now()).expect(sql)
}

#[test]
fn cursors_are_evaluated() {
    let ids = compiled("CAST(row_id AS BIGINT)").evaluate(&rows()).expect("ids");
    assert_eq!(ids.as_primitive::<Int64Type>().values(), &[7, 8]);
    let ids = compiled("1 + 1").evaluate(&rows()).expect("a constant");
    assert_eq!(ids.len(), 2);
    let text = compiled("CAST(severity AS BIGINT)").evaluate(&rows()).expect_err("no number").to_string();
    assert!(text.contains("'Critical'"), "{text}");
}

#[test]
fn a_null_condition_is_false() {
    for (sql, mask) in [
        ("severity = 'Critical'", [true, false]),
        ("severity <> 'Critical'", [false, false]),
        ("NULL", [false, false]),
        ("now() > TIMESTAMP '2026-01-01T00:00:00Z'", [true, true]),
        ("UPPER(row_id) = '8'", [false, true]),
    ] {
        let got = compiled(sql).filter_mask(&rows()).expect(sql);
        assert_eq!(got, BooleanArray::from(mask.to_vec()), "{sql}");
    }
    let error = compiled("row_id").filter_mask(&rows()).expect_err("no condition").to_string();
    assert_eq!(error, "`row_id` is Utf8, not a condition: compare it with something");
}

#[test]
fn times_of_any_unit_are_microseconds_utc() {
    for (sql, expect) in [
        ("to_timestamp_seconds(tstamp.value)", [Some(1_767_225_600_000_000), None]),
        ("to_timestamp_seconds(tstamp['value'])", [Some(1_767_225_600_000_000), None]),
        ("naive", [Some(-1_000_000), Some(1_000_000)]),
        ("day", [Some(0), Some(86_400_000_000)]),
        ("parse_timestamp(row_id, '%s', 'UTC')", [Some(7_000_000), Some(8_000_000)]),
        ("NULL", [None, None]),
    ] {
        let times = compiled(sql).timestamps_us(&rows()).expect(sql);
        assert_eq!(times.iter().collect::<Vec<_>>(), expect, "{sql}");
        assert_eq!(times.timezone(), Some("UTC"));
    }
    assert!(compiled("zoned").timestamps_us(&rows()).is_err(), "an instant beyond microseconds is no null");
}

#[test]
fn what_is_no_time_gets_a_proposal() {
    for (sql, expect) in [
        ("tstamp.value", "write to_timestamp_seconds(tstamp.value)"),
        ("row_id", "parse_timestamp(row_id, '%Y-%m-%d %H:%M:%S', 'UTC')"),
        ("tstamp", "take one of its fields, tstamp.value, as in to_timestamp_seconds(tstamp.value)"),
    ] {
        let text = compiled(sql).check_timestamp().expect_err(sql).to_string();
        assert!(text.contains("not a timestamp") && text.contains(expect), "{text}");
    }
}

#[test]
fn unknown_columns_are_placed() {
    let error = RowExpr::new("1 = 1 AND sevrity = 'x'", &rows().schema(), now()).expect_err("misspelt");
    assert_eq!(error.offset(), Some(10), "{error}");
    assert!(error.to_string().contains("did you mean `severity`?"), "{error}");
    assert!(matches!(RowExpr::new("max(row_id)", &rows().schema(), now()), Err(TransformError::Syntax(_))));
}

#[test]
fn earlier_states_of_the_schema_are_filled_up() {
    let narrow = rows().project(&[2]).expect("one column");
    assert_eq!(compiled("severity = 'x'").filter_mask(&narrow).expect("nulls"), BooleanArray::from(vec![false, false]));
    let empty = Arc::new(Schema::empty());
    assert!(RowExpr::new("a", &empty, now()).expect_err("none").to_string().contains("there are none"));
}

#[test]
fn json_has_no_order() {
    use crate::model::Column;
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let tstamp = ColumnType::Struct(vec![column("value", ColumnType::Json)]);
    let records = RecordSchema::new(vec![
        column("row_id", ColumnType::Json),
        column("severity", ColumnType::String),
        column("tstamp", tstamp),
    ]);
    for (sql, column) in [
        ("row_id", "row_id"),
        ("(\"row_id\")", "row_id"),
        ("tstamp.value", "tstamp.value"),
        ("tstamp['value']", "tstamp.value"),
    ] {
        let error = compiled(sql).check_order(&records).expect_err(sql);
        assert!(matches!(&error, DedupeError::Json { column: found } if found == column), "{sql}: {error}");
    }
    for sql in ["severity", "TRY_CAST(row_id AS DOUBLE)", "concat(row_id, '')", "tstamp", "day"] {
        compiled(sql).check_order(&records).expect(sql);
    }
}

#[test]
fn the_column_that_is_read_is_named_where_there_is_one() {
    let column = |sql: &str| compiled(sql).only_column();
    assert_eq!(column("to_timestamp_seconds(tstamp.value)").as_deref(), Some("tstamp"));
    assert_eq!((column("coalesce(row_id, severity)"), column("1 + 1")), (None, None));
}
