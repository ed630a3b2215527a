use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, StructArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;

use chrono::{DateTime, Utc};

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("the server went away")]
struct Gone;

fn now() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// A struct column of `value` (a number) and `label`, as ntopng nests them.
fn nested(values: Vec<i64>, labels: Vec<&str>) -> ArrayRef {
    let field = |name: &str, kind| Arc::new(Field::new(name, kind, true));
    Arc::new(StructArray::from(vec![
        (field("label", arrow::datatypes::DataType::Utf8), Arc::new(StringArray::from(labels)) as ArrayRef),
        (field("value", arrow::datatypes::DataType::Int64), Arc::new(Int64Array::from(values))),
    ]))
}

fn alerts() -> RecordBatch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in [vec!["a", "b"], vec![], vec!["c"]] {
        tags.append_value(row.into_iter().map(Some));
    }
    let texts = |texts: [&str; 3]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let ips = StructArray::from(vec![(
        Arc::new(Field::new("value", arrow::datatypes::DataType::Utf8, true)),
        texts(["10.0.0.1", "10.0.0.2", "10.0.0.1"]),
    )]);
    RecordBatch::try_from_iter_with_nullable(vec![
        ("Name", texts(["Ada", "Bob", "Cyd"]), true),
        ("cli_ip", Arc::new(ips) as ArrayRef, true),
        ("ifid", Arc::new(Int64Array::from(vec![3, 3, 4])), true),
        ("row_id", texts(["7", "8", "9"]), true),
        ("score", nested(vec![50, 10, 100], vec!["50", "10", "100"]), true),
        ("severity", nested(vec![4, 3, 6], vec!["Error", "Warning", "Critical"]), true),
        ("tags", Arc::new(tags.finish()), true),
        ("tstamp", nested(vec![1_767_225_600, 1_767_225_601, 1_767_225_602], vec!["x", "y", "z"]), true),
    ])
    .expect("alerts")
}

fn run_over(sql: Option<&str>, batches: Vec<RecordBatch>) -> Result<(Vec<RecordBatch>, Counts), TransformError> {
    let plan = TransformPlan::new(sql, batches[0].schema(), now())?;
    let schema = plan.output_schema();
    let mut rows = Vec::new();
    let counts = plan.run(Box::new(batches.into_iter().map(Ok::<_, Gone>)), |batch| {
        rows.push(batch);
        Ok::<_, Gone>(())
    })?;
    assert!(rows.iter().all(|batch| batch.schema() == schema), "every batch has the output schema");
    assert_eq!(counts.rows_out, rows.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    Ok((rows, counts))
}

fn check(sql: &str, expect: &str) {
    let (rows, counts) = run_over(Some(sql), vec![alerts()]).expect(sql);
    let table = pretty_format_batches(&rows).expect("table").to_string();
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",");
    let lines: Vec<_> = table.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    assert_eq!(lines.join("\n"), expect, "{sql}");
    assert_eq!(counts.rows_in, 3, "{sql}");
}

fn error(sql: &str) -> TransformError {
    run_over(Some(sql), vec![alerts()]).map(|(rows, _)| rows).expect_err(sql)
}

#[test]
fn the_pipelines_select_runs_over_nested_records() {
    check(
        "SELECT CAST(row_id AS BIGINT) AS row_id, ifid, to_timestamp_seconds(tstamp.value) AS ts, cli_ip.value AS \
         client_ip, severity.label AS severity, score.value AS score FROM records",
        "row_id,ifid,ts,client_ip,severity,score\n\
         7,3,2026-01-01T00:00:00Z,10.0.0.1,Error,50\n\
         8,3,2026-01-01T00:00:01Z,10.0.0.2,Warning,10\n\
         9,4,2026-01-01T00:00:02Z,10.0.0.1,Critical,100",
    );
}

#[test]
fn names_are_case_sensitive_and_functions_are_not() {
    check("select UPPER(Name) AS Name, lower(\"Name\") AS low FROM records LIMIT 1", "Name,low\nADA,ada");
    check(
        "SELECT TO_TIMESTAMP_SECONDS(tstamp['value']) AS t, CURRENT_TIMESTAMP = now() AS same FROM records r WHERE r.ifid = 4",
        "t,same\n2026-01-01T00:00:02Z,true",
    );
}

#[test]
fn texts_become_instants_in_utc() {
    check(
        "SELECT to_timestamp('2026-01-01T0' || row_id || ':00:00+01:00') AS a, to_timestamp_millis('2026-01-0' || row_id) AS b,
                to_timestamp('0' || row_id || '/01/2026 10:00:00', '%d/%m/%Y %H:%M:%S') <= now() AS c FROM records LIMIT 1",
        "a,b,c\n2026-01-01T06:00:00Z,2026-01-07T00:00:00Z,false",
    );
}

#[test]
fn now_is_the_instant_of_the_run() {
    check(
        "SELECT DISTINCT CAST(now() AS TIMESTAMP(0)) AS n, current_date() AS d FROM records",
        "n,d\n2026-01-02T03:04:05,2026-01-02",
    );
}

#[test]
fn blocking_operators_work_within_a_slice() {
    check(
        "SELECT cli_ip.value AS ip, count(*) AS n, SUM(score.value) AS s FROM records GROUP BY 1",
        "ip,n,s\n10.0.0.1,2,150\n10.0.0.2,1,10",
    );
    check("SELECT Name FROM records ORDER BY score.value DESC", "Name\nCyd\nAda\nBob");
    check("SELECT Name, unnest(tags) AS tag FROM records", "Name,tag\nAda,a\nAda,b\nCyd,c");
    check(
        "SELECT Name, row_number() OVER (PARTITION BY ifid ORDER BY Name DESC) AS n FROM records ORDER BY Name",
        "Name,n\nAda,2\nBob,1\nCyd,1",
    );
    check(
        "SELECT Name, CASE WHEN score.value > 40 THEN 'high' ELSE 'low' END AS c FROM records WHERE regexp_like(Name, '^[AB]')",
        "Name,c\nAda,high\nBob,low",
    );
    check(
        "SELECT r.Name, v AS n FROM records r CROSS JOIN GENERATE_SERIES(1, 2) AS g(v) LIMIT 2",
        "Name,n\nAda,1\nAda,2",
    );
    check("SELECT parse_timestamp(Name, '%Y', 'UTC') AS t FROM records WHERE false", "");
}

#[test]
fn a_query_may_read_the_records_more_than_once() {
    check(
        "WITH top AS (SELECT ifid, max(score.value) AS best FROM records GROUP BY ifid)
         SELECT r.Name, t.best FROM records r JOIN top t ON r.ifid = t.ifid ORDER BY r.Name",
        "Name,best\nAda,50\nBob,50\nCyd,100",
    );
    check("SELECT Name FROM records WHERE score.value = (SELECT min(score.value) FROM records)", "Name\nBob");
    check(
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT n.i + 1 FROM n JOIN records ON ifid = 4 WHERE n.i < 3) SELECT * FROM n",
        "i\n1\n2\n3",
    );
}

#[test]
fn without_sql_rows_go_through_and_grown_schemas_are_filled() {
    let (rows, counts) = run_over(None, vec![alerts(), alerts()]).expect("identity");
    assert_eq!(rows, [alerts(), alerts()]);
    assert_eq!(counts, Counts { rows_in: 6, rows_out: 6 });
    let earlier = alerts().project(&[2, 3]).expect("fewer columns");
    let (rows, counts) = run_over(Some("SELECT row_id, Name FROM records"), vec![alerts(), earlier]).expect("grown");
    assert_eq!(counts.rows_out, 6);
    assert_eq!(rows.iter().map(|batch| batch.column(1).null_count()).sum::<usize>(), 3);
}

#[test]
fn a_streaming_query_pulls_one_batch_at_a_time() {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let input = (0..200).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Gone>(alerts())
    });
    let sql = "SELECT ifid, upper(Name) AS n FROM records";
    let plan = TransformPlan::new(Some(sql), alerts().schema(), now()).expect("plan");
    let mut given = 0;
    let counts = plan.run(Box::new(input), |batch| {
        given += batch.num_rows() / 3;
        assert!(pulled.load(Ordering::SeqCst) - given <= 1, "it runs ahead of its reader");
        Ok::<_, Gone>(())
    });
    assert_eq!(counts.expect("ran"), Counts { rows_in: 600, rows_out: 600 });
}

#[test]
fn sorting_more_than_the_memory_goes_on_from_disk_and_gives_the_same_rows() {
    let batch = |from: i64| {
        let ids: Int64Array = (from..from + 8192).map(|id| Some((id * 7_919) % 1_000_003)).collect();
        RecordBatch::try_from_iter_with_nullable(vec![("id", Arc::new(ids) as ArrayRef, true)]).expect("batch")
    };
    let sorted = |limit| {
        let sql = Some("SELECT id FROM records ORDER BY id");
        let plan = TransformPlan::with_memory_limit(sql, batch(0).schema(), now(), limit).expect("plan");
        let input = (0..100).map(move |at| Ok::<_, Gone>(batch(at * 8192)));
        let mut ids: Vec<i64> = Vec::new();
        plan.run(Box::new(input), |batch| {
            ids.extend(arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batch.column(0)).values());
            Ok::<_, Gone>(())
        })
        .map(|_| ids)
    };
    let all = sorted(MEMORY_LIMIT).expect("in memory");
    assert!(all.is_sorted() && all.len() == 819_200);
    assert!(sorted(14 << 20).expect("spilled") == all);
    assert!(matches!(sorted(1 << 10), Err(TransformError::Memory { limit_bytes: 1024, .. })));
}

#[test]
fn mistakes_are_placed_and_put_right() {
    let sql = "SELECT ifid,\n  Row_id FROM records";
    let unknown = error(sql);
    assert_eq!(unknown.offset(), Some(sql.find("Row_id").expect("there")));
    let text = unknown.to_string();
    assert!(
        text.starts_with("there is no column `Row_id` (did you mean `row_id`?); there are `Name`, `cli_ip`"),
        "{text}"
    );
    let text = error("SELECT ifid FROM records WHERE Name = \"Ada\"").to_string();
    assert!(text.contains("a text stands in single quotes"), "{text}");
    let text = error("SELECT tstmp.value FROM records").to_string();
    assert!(text.contains("did you mean `tstamp`?"), "{text}");
    let field = error("SELECT tstamp.valeu FROM records");
    let text = field.to_string();
    assert!(
        text.starts_with("field valeu not found in struct: if only some rows have it, give its column a type"),
        "{text}"
    );
    assert_eq!(field.offset(), Some(14));
    let function = error("SELECT uper(Name) FROM records");
    let text = "there is no function `uper`: did you mean `upper`?";
    assert_eq!((function.to_string().as_str(), function.offset()), (text, Some(7)));
    let literal = error("SELECT Name FROM records WHERE ifid = 'x'");
    assert_eq!(
        (literal.to_string().as_str(), literal.offset()),
        ("cannot cast string 'x' to value of Int64 type", Some(39))
    );
    let text = error("SELECT sum(Name) AS s FROM records").to_string();
    assert!(text.starts_with("function 'sum' failed to match any signature") && !text.contains("during"), "{text}");
    let text = error("SELECT ifid FROM records ORDER BY foo").to_string();
    assert_eq!(text.matches("`ifid`").count(), 1, "{text}");
    assert!(matches!(error("SELECT ifid FRM records"), TransformError::Syntax(_)));
    assert!(matches!(error("COPY records TO '/tmp/never'"), TransformError::Syntax(_)));
    assert!(matches!(error("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'"), TransformError::Syntax(_)));
    let twice = error("SELECT a.ifid, b.ifid FROM records a JOIN records b ON a.ifid = b.ifid");
    assert!(matches!(&twice, TransformError::DuplicateColumn { name } if name == "ifid"), "{twice}");
}

#[test]
fn a_row_that_fails_shows_its_value() {
    let text = error("SELECT CAST(Name AS BIGINT) AS n FROM records").to_string();
    assert!(text.starts_with("the SQL failed on a row") && text.contains("'Ada'"), "{text}");
    let text = error("SELECT parse_timestamp(Name, '%Y-%m-%d', 'UTC') AS t FROM records").to_string();
    assert!(text.contains("can't read 'Ada' as a time"), "{text}");
}

#[test]
fn errors_of_both_sides_come_through() {
    for sql in [None, Some("SELECT ifid FROM records"), Some("SELECT ifid FROM records LIMIT 1")] {
        let plan = TransformPlan::new(sql, alerts().schema(), now()).expect("plan");
        let input = Box::new([Ok(alerts()), Err(Gone)].into_iter());
        let error = plan.run(input, |_| Ok::<_, Gone>(())).expect_err("input");
        assert!(matches!(&error, TransformError::Input(source) if source.is::<Gone>()), "{error:?}");
        let plan = TransformPlan::new(sql, alerts().schema(), now()).expect("plan");
        let input = Box::new(std::iter::once(Ok::<_, Gone>(alerts())));
        let error = plan.run(input, |_| Err(Gone)).expect_err("output");
        assert!(matches!(&error, TransformError::Output(source) if source.is::<Gone>()), "{error:?}");
    }
}

#[test]
fn what_sorts_or_groups_or_reads_twice_does_not_stream() {
    let records =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("n", DataType::Int64, true)]));
    let streams =
        |sql: &str| TransformPlan::new(Some(sql), Arc::clone(&records), DateTime::UNIX_EPOCH).unwrap().streams();
    assert!(TransformPlan::new(None, Arc::clone(&records), DateTime::UNIX_EPOCH).unwrap().streams());
    for sql in
        ["SELECT * FROM records", "SELECT id + 1 AS id FROM records WHERE n > 3", "SELECT * FROM records LIMIT 5"]
    {
        assert!(streams(sql), "{sql}");
    }
    for sql in [
        "SELECT * FROM records ORDER BY n",
        "SELECT n, count(*) AS c FROM records GROUP BY n",
        "SELECT DISTINCT n FROM records",
        "SELECT id, sum(n) OVER (ORDER BY n) AS s FROM records",
        "SELECT * FROM records UNION ALL SELECT * FROM records",
        "SELECT a.id FROM records a JOIN records b ON a.id = b.n",
    ] {
        assert!(!streams(sql), "{sql}");
    }
}

#[test]
fn nothing_random_is_registered() {
    let state = engine::session(now(), MEMORY_LIMIT).expect("session");
    for name in ["random", "uuid", "version"] {
        assert!(!state.scalar_functions().contains_key(name), "{name}");
    }
    assert!(state.scalar_functions().contains_key("parse_timestamp"));
}

#[test]
fn the_deepest_expression_that_passes_the_check_can_be_planned() {
    let sum = vec!["ifid"; 60].join(" + ");
    check(&format!("SELECT {sum} AS s FROM records WHERE Name = 'Bob'"), "s\n180");
}

#[tokio::test]
async fn it_runs_on_a_blocking_thread_of_an_async_program() {
    let sql = "SELECT ifid, count(*) AS n FROM records GROUP BY ifid ORDER BY ifid";
    let (rows, _) = tokio::task::spawn_blocking(move || run_over(Some(sql), vec![alerts(), alerts()]))
        .await
        .expect("no panic")
        .expect(sql);
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

#[test]
fn an_empty_slice_has_the_schema_and_no_rows() {
    let sql = Some("SELECT ifid, upper(Name) AS n FROM records");
    let (rows, counts) = run_over(sql, vec![alerts().slice(0, 0)]).expect("empty");
    assert_eq!((rows.len(), counts), (0, Counts::default()));
}
