//! Reads files with DuckDB, in another process: what we write is judged by a reader that we didn't write.

use serde_json::Value;

use super::python;

/// Returns the rows of a query, exactly (see `duck.py` for how each type is shown). Files are read by `read_parquet`, `read_csv` and
/// `read_json`, with globs where wanted.
pub(crate) fn rows(sql: &str) -> Vec<Value> {
    match python::run("duck.py", &["--rows"], sql)["rows"].take() {
        Value::Array(rows) => rows,
        other => panic!("no rows but {other}"),
    }
}

/// Returns the columns of a query, in order: names and DuckDB types.
pub(crate) fn columns(sql: &str) -> Vec<(String, String)> {
    serde_json::from_value(python::run("duck.py", &[], sql)["columns"].take()).unwrap()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_value_loses_a_digit() {
        let sql = "SELECT 9007199254740993 AS i, 18446744073709551615::UBIGINT AS u, 170141183460469231731687303715884105727::HUGEINT AS h,
                          1.10::DECIMAL(38, 2) AS d, 0.1::DOUBLE AS f, 'nan'::DOUBLE AS n, NULL AS z, '\\x00\\xFF'::BLOB AS b";
        let expected = json!({
            "i": 9_007_199_254_740_993_i64, "u": u64::MAX, "h": "170141183460469231731687303715884105727",
            "d": "1.10", "f": 0.1, "n": "nan", "z": null, "b": "00ff",
        });
        assert_eq!(rows(sql), [expected]);
    }

    #[test]
    fn times_are_shown_in_utc_whatever_the_zone() {
        let sql =
            "SELECT TIMESTAMPTZ '2026-03-29 02:30:00.000001+01' AS zoned, TIMESTAMP '2026-01-01 00:00:00' AS bare,
                          TIMESTAMP_NS '2026-01-01 00:00:00.123456789' AS nano, DATE '2026-01-01' AS day,
                          {'a': [TIMESTAMPTZ '2026-01-01 00:00:00Z']} AS nested";
        let expected = json!({
            "zoned": "2026-03-29T01:30:00.000001Z", "bare": "2026-01-01T00:00:00.000000", "nano": "2026-01-01 00:00:00.123456789",
            "day": "2026-01-01", "nested": {"a": ["2026-01-01T00:00:00.000000Z"]},
        });
        assert_eq!(rows(sql), [expected]);
    }

    #[test]
    fn columns_keep_their_order_and_types() {
        let found = columns("SELECT 1::BIGINT AS b, 'x' AS a, [1.5::DECIMAL(4, 1)] AS c");
        let expected = [("b", "BIGINT"), ("a", "VARCHAR"), ("c", "DECIMAL(4,1)[]")];
        assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    }
}
