use super::*;

fn select_error(text: &str) -> SqlSyntaxError {
    check_select(text, &[]).expect_err(text)
}

#[test]
fn selects_over_records_pass() {
    for text in [
        "SELECT CAST(row_id AS BIGINT) AS row_id, tstamp.value FROM records",
        "select a['b'] from records where c = 'x' order by d limit 3;",
        "WITH t AS (SELECT a FROM records), u AS (SELECT * FROM t) SELECT * FROM u JOIN t USING (a)",
        "SELECT a, now() FROM records UNION ALL SELECT 1, CURRENT_TIMESTAMP FROM records",
        "SELECT unnest(tags) FROM records",
        "SELECT x FROM records, UNNEST(records.tags) AS t(x)",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT *, row_number() OVER (PARTITION BY a ORDER BY b) FROM (SELECT * FROM records)",
        "(SELECT 1 AS one FROM records)",
        "-- a comment first\nSELECT a FROM records",
    ] {
        assert_eq!(check_select(text, &[]), Ok(()), "{text}");
    }
    assert_eq!(check_select("SELECT * FROM records JOIN sites USING (id)", &["sites"]), Ok(()));
}

#[test]
fn anything_but_one_select_is_refused() {
    for (text, place) in [
        ("COPY records TO '/tmp/x'", "COPY"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE"),
        ("  DROP TABLE records", "DROP"),
        ("INSERT INTO records VALUES (1)", "INSERT"),
        ("EXPLAIN SELECT * FROM records", "EXPLAIN"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("SHOW TABLES", "SHOW"),
        ("VALUES (1)", "VALUES"),
        ("TABLE records", "TABLE"),
        ("SELECT 1 FROM records; DROP TABLE records", "DROP"),
        ("SELECT 1 FROM records;\nSELECT 2 FROM records", "SELECT 2"),
        ("SELECT a INTO b FROM records", "b FROM"),
    ] {
        let error = select_error(text);
        assert!(error.message.starts_with("only one SELECT is allowed here"), "{text}: {error}");
        assert!(text[error.offset..].starts_with(place), "{text}: {error} at {}", error.offset);
    }
    assert!(select_error("").message.ends_with("begins with the end of the text"));
    let hidden = select_error("WITH t AS (DELETE FROM records) SELECT * FROM t");
    assert!(hidden.message.contains("only one SELECT") || hidden.message.contains("expected"), "{hidden}");
}

#[test]
fn unknown_tables_and_table_functions_are_refused_where_they_stand() {
    for (text, place) in [
        ("SELECT *\nFROM record", "record"),
        ("SELECT * FROM Records", "Records"),
        ("SELECT * FROM public.records", "public.records"),
        ("SELECT * FROM 'file.csv'", "'file.csv'"),
        ("SELECT * FROM information_schema.tables", "information_schema"),
        ("SELECT 'è', a FROM records WHERE a IN (SELECT b FROM others)", "others"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
    ] {
        let error = select_error(text);
        assert!(error.message.starts_with("there is no table"), "{text}: {error}");
        assert!(text[error.offset..].starts_with(place), "{text}: {error} at {}", error.offset);
    }
    let error = check_select("WITH t AS (SELECT * FROM records) SELECT * FROM x", &["sites"]).expect_err("no table x");
    assert_eq!(
        error.message,
        "there is no table `x`: this SQL can read `records`, `sites`, `t` (names are case-sensitive)"
    );
}

#[test]
fn functions_that_never_repeat_are_refused_anywhere() {
    let text = "SELECT a FROM records WHERE b > (SELECT max(Random()) FROM records)";
    let error = select_error(text);
    assert_eq!(error.message, "random() is refused: a slice that is read again has to give the same rows");
    assert!(text[error.offset..].starts_with("Random()"));
    assert!(check_expr("coalesce(a, uuid())").is_err());
}

#[test]
fn mistakes_of_syntax_carry_their_place() {
    for (text, place) in [
        ("SELECT a,\n  b c d\nFROM records", "d\n"),
        ("SELECT a FROM records WHERE", ""),
        ("SELECT 'é' FROM records ORDER a", "ORDER a"),
        ("SELECT ('é' FROM records", "FROM"),
        ("SELECT 'é', 'open FROM records", "'open"),
    ] {
        let error = select_error(text);
        assert!(text[error.offset.min(text.len())..].starts_with(place), "{text}: {error} at {}", error.offset);
        assert!(!error.message.contains("Line:"), "{error}");
    }
}

#[test]
fn expressions_are_of_one_row() {
    for text in [
        "CAST(row_id AS BIGINT)",
        "severity = 'Critical'",
        "to_timestamp_seconds(tstamp.value)",
        "parse_timestamp(ts, '%Y-%m-%d %H:%M:%S', 'UTC')",
        "CASE WHEN a > 1 THEN now() END",
    ] {
        assert_eq!(check_expr(text), Ok(()), "{text}");
    }
    for (text, place, why) in [
        ("a IN (SELECT b FROM records)", "SELECT", "subquery"),
        ("EXISTS (SELECT 1 FROM records)", "SELECT", "subquery"),
        ("1 + MAX(a)", "MAX", "max() is an aggregate"),
        ("row_number() OVER (ORDER BY a)", "row_number", "window"),
        ("a, b", ", b", "only one expression"),
        ("a; DROP TABLE b", "; DROP", "only one expression"),
        ("a AS b", "AS b", "only one expression"),
        ("", "", "expected"),
    ] {
        let error = check_expr(text).expect_err(text);
        assert!(error.message.contains(why), "{text}: {error}");
        assert!(text[error.offset..].starts_with(place), "{text}: {error} at {}", error.offset);
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let sum = vec!["a"; 1900].join(" + ");
    assert!(check_expr(&sum).expect_err("deep").message.contains("nested"));
    let sum = vec!["a"; 100_000].join(" + ");
    assert!(check_expr(&sum).expect_err("long").message.contains("tokens"));
    let parens = format!("{}a{}", "(".repeat(3000), ")".repeat(3000));
    assert!(check_expr(&parens).expect_err("deep").message.contains("nested"));
    assert_eq!(check_expr(&vec!["a = 1"; 60].join(" OR ")), Ok(()));
}

#[test]
fn unknown_functions_are_placed() {
    let error = check_select("SELECT id, uper(name) FROM records", &[]).expect_err("misspelt");
    assert_eq!((error.offset, error.message.as_str()), (11, "there is no function `uper`: did you mean `upper`?"));
    let error = check_expr("from_unixtime_of_mysql(t)").expect_err("unknown");
    insta::assert_snapshot!(error, @"there is no function `from_unixtime_of_mysql`: the SQL is that of Apache DataFusion, whose documentation lists its functions");
    let error = check_aggregate("cuont(*) > 0").expect_err("misspelt");
    assert_eq!(error.message, "there is no function `cuont`: did you mean `count`?");
    for sql in [
        "SELECT COUNT(*), nvl(a, b), unnest(c), row_number() OVER (), parse_timestamp(d, '%s', 'UTC') FROM records",
        "SELECT substring(a FROM 1 FOR 2), extract(year FROM b), position('x' IN a), trim(a), ceil(c), CAST(a AS int) FROM records",
        "SELECT current_date, now(), current_timestamp, struct(a), first_value(a) FROM records",
        "SELECT \"upper\"(a) FROM records",
    ] {
        check_select(sql, &[]).expect(sql);
    }
}
