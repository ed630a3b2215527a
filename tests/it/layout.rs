//! Where files lie and what they are: partitions, sorted rows, options of formats, as readers that we didn't write find them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, files};
use crate::support::s3::S3;
use crate::support::{duck, python};

/// Values that would leave their folder, or be taken for others, if they weren't escaped.
fn awkward() -> Vec<Value> {
    let mut values: Vec<Value> = [
        "../up",
        "../../etc/passwd",
        "a/b",
        "/",
        "a=b",
        "100%",
        "%2F",
        "nul\0nul",
        "",
        "dot.",
        "space ",
        " space",
        ".",
        "..",
        "Twin",
        "twin",
        "TWIN",
        "日本語",
        "é",
        "a\\b",
        "a\nb",
        "~",
        "*",
        "?",
        "#",
        "'",
        "\"",
        "null",
        "NULL",
        "__HIVE_DEFAULT_PARTITION__",
        "1",
        "01",
        "CON",
        "C:",
    ]
    .map(Value::from)
    .to_vec();
    values.push(json!("x".repeat(300)));
    values.push(json!(format!("{}y", "x".repeat(299))));
    values.push(json!("日".repeat(100)));
    values.push(Value::Null);
    values
}

/// A job whose rows have each awkward value once, partitioned by it.
fn by_awkward(lake: &str) -> Bench {
    let rows: Vec<_> = awkward().iter().enumerate().map(|(n, value)| json!({"n": n, "part": value})).collect();
    let bench = Bench::new(Api::always(Answer::json(&json!(rows))));
    bench.job(&format!(
        "records: '.[]'\nsnapshot: latest\npaginate: none\nsinks: {{lake: {{parquet: {{url: {lake}, partition_by: [part]}}}}}}"
    ));
    bench
}

/// Fails unless DuckDB finds each value in a folder of its own: whole in the file, and from the name of the folder unless it was cut.
fn assert_awkward(folder: &str) {
    let files = format!("read_parquet('{folder}/**/*.parquet', hive_partitioning = false, filename = true)");
    let found = duck::rows(&format!("SELECT part, filename FROM {files} ORDER BY n"));
    assert_eq!(found.iter().map(|row| row["part"].clone()).collect::<Vec<_>>(), awkward());
    let folders: BTreeSet<&str> =
        found.iter().map(|row| row["filename"].as_str().unwrap().rsplit_once('/').unwrap().0).collect();
    assert_eq!(folders.len(), awkward().len(), "{folders:?}");
    assert!(folders.iter().all(|path| path.strip_prefix(folder).unwrap().matches('/').count() == 2), "{folders:?}");
    // On a disk that is blind to case twins share a folder, and no file takes the place of another.
    let blind: BTreeSet<String> = found.iter().map(|row| row["filename"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!(blind.len(), found.len(), "{blind:#?}");
    // Without the column in the file, the name of the folder is all that a reader has.
    let hive =
        format!("read_parquet('{folder}/**/*.parquet', hive_partitioning = true, hive_types = {{'part': VARCHAR}})");
    let values = duck::rows(&format!("SELECT part FROM {hive} ORDER BY n"));
    for (value, row) in awkward().iter().zip(values) {
        match value.as_str() {
            Some(text) if row["part"].as_str().is_some_and(|found| found.contains('~')) && text != "~" => {
                assert!(text.len() > 128, "{text} was cut to {row}");
            }
            _ => assert_eq!(row["part"], *value),
        }
    }
}

#[test]
fn no_value_leaves_its_folder_and_readers_find_each_again() {
    let bench = by_awkward("./lake");
    let rows = awkward().len();
    assert_eq!(bench.run().fine(), format!("latest landed: {rows} of {rows}; unknown"));
    assert_awkward(bench.workspace.path("lake").to_str().unwrap());
    let strays = files(&bench.workspace.path("")).into_iter().filter(|path| path.ends_with(".parquet"));
    assert_eq!(strays.count(), rows);
}

#[test]
fn nor_does_it_in_a_bucket() {
    // moto: s3s-fs makes a file name of a whole key, and such names end at 255 bytes.
    let s3 = S3::moto();
    let bench = by_awkward("s3://lake/a/data");
    let arguments = ["run", "pipeline.yaml", "--state", "s3://lake/state", "--output", "json", "--now", NOW];
    let outcome = s3.env(bench.workspace.tidegate(&arguments)).run();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let keys: Vec<String> = s3.objects("").into_keys().filter(|key| key.ends_with(".parquet")).collect();
    assert_eq!(keys.len(), awkward().len());
    assert!(keys.iter().all(|key| key.starts_with("a/data/snapshot=latest/part=")), "{keys:#?}");
    s3.download("a/data", &bench.workspace.path("copy"));
    assert_awkward(bench.workspace.path("copy").to_str().unwrap());
}

/// 2,000 rows, in no order, a list with holes.
fn shuffled() -> Api {
    let row = |n: u64| {
        let score = (!n.is_multiple_of(7)).then_some(n * 7919 % 101);
        json!({"n": n, "score": score, "host": format!("host-{}", n % 40), "at": 1_767_225_600 + n, "part": n % 3,
               "amount": format!("{n}.25"), "tags": {"a": n, "b": "x"}})
    };
    Api::always(Answer::json(&Value::Array((0..2000).map(row).collect())))
}

const OF_ALL_TYPES: &str = "records: '.[]'
snapshot: latest
paginate: none
schema: {columns: {at: 'timestamp(s)', amount: 'decimal(18, 2)', host: string, score: int64, n: int64}}
transform: SELECT tags, n, score, host, at, amount, n % 2 = 0 AS even, CAST(n AS DOUBLE) / 3 AS third, CAST(at AS DATE) AS day, part
  FROM records
sinks:";

#[test]
fn parquet_files_are_what_their_options_say_to_pyarrow_and_duckdb() {
    let bench = Bench::new(shuffled());
    bench.job(&format!(
        "{OF_ALL_TYPES}
  lake: {{parquet: {{url: ./lake, sort_by: [score desc, host], row_group_rows: 600}}}}
  plain: {{parquet: {{url: ./plain, compression: snappy, dictionary: false, statistics: none}}}}
  small: {{parquet: {{url: ./small, compression: zstd(9), statistics: row_group, rows_per_file: 700}}}}
  old: {{parquet: {{url: ./old, compression: gzip}}, where: part = 1}}
  none: {{parquet: {{url: ./none, compression: none}}}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 2000 of 2000; unknown");
    let described = |set: &str| {
        let paths: Vec<_> =
            files(&bench.workspace.path(set)).into_iter().filter(|path| path.ends_with(".parquet")).collect();
        match python::run("parquet.py", &[], &paths.join("\n")) {
            Value::Array(found) => found,
            other => panic!("{other}"),
        }
    };
    let lake = &described("lake")[0];
    let types = json!({
        "tags": "struct<a: int64, b: string>", "n": "int64", "score": "int64", "host": "string", "at": "timestamp[us, tz=UTC]",
        "amount": "decimal128(18, 2)", "even": "bool", "third": "double", "day": "date32[day]", "part": "int64",
    });
    assert_eq!(lake["types"], types);
    assert_eq!(lake["row_groups"], json!([600, 600, 600, 200]));
    let sorting = json!([{"column": "score", "descending": true, "nulls_first": false},
                         {"column": "host", "descending": false, "nulls_first": false}]);
    assert_eq!(lake["sorting"], sorting);
    let pairs = json!({"tidegate.pipeline": "test", "tidegate.job": "rows", "tidegate.slice": "latest", "tidegate.schema_version": "1"});
    assert_eq!(lake["metadata"], pairs);
    let host = &lake["columns"]["host"];
    assert_eq!(host["compression"], "ZSTD");
    for fact in ["dictionary", "statistics", "column_index", "offset_index"] {
        assert_eq!(host[fact], true, "{fact}");
    }
    for (set, compression, dictionary, statistics, index) in [
        ("plain", "SNAPPY", false, false, false),
        ("small", "ZSTD", true, true, false),
        ("old", "GZIP", true, true, true),
        ("none", "UNCOMPRESSED", true, true, true),
    ] {
        let host = &described(set)[0]["columns"]["host"];
        let facts =
            ["compression", "dictionary", "statistics", "column_index", "offset_index"].map(|fact| host[fact].clone());
        assert_eq!(json!(facts), json!([compression, dictionary, statistics, index, index]), "{set}");
    }
    let small: Vec<Value> = described("small").iter().map(|file| file["rows"].clone()).collect();
    assert_eq!(small, [700, 700, 600]);
    // Sorted as DuckDB sorts, rows with equal values as they came.
    let set = |name: &str| {
        format!(
            "read_parquet('{}/**/*.parquet', hive_partitioning = false, file_row_number = true)",
            bench.workspace.path(name).display()
        )
    };
    let sorted = duck::rows(&format!("SELECT n FROM {} ORDER BY file_row_number", set("lake")));
    let expected = duck::rows(&format!("SELECT n FROM {} ORDER BY score DESC NULLS LAST, host, n", set("plain")));
    assert_eq!(sorted, expected);
    let types = duck::columns(&format!("SELECT \"at\", amount, day, tags FROM {}", set("lake")));
    let types: Vec<&str> = types.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(types, ["TIMESTAMP WITH TIME ZONE", "DECIMAL(18,2)", "DATE", "STRUCT(a BIGINT, b VARCHAR)"]);
}

#[test]
fn polars_reads_the_types_the_values_and_the_partitions() {
    let bench = Bench::new(shuffled());
    bench.job(&format!(
        "{OF_ALL_TYPES}
  lake: {{parquet: {{url: ./lake, sort_by: [score desc, host], row_group_rows: 600}}}}
  parts: {{parquet: {{url: ./parts, partition_by: [part], compression: snappy}}}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 2000 of 2000; unknown");
    let polars = |set: &str, condition: &str| {
        let glob = bench.workspace.path(&format!("{set}/**/*.parquet"));
        python::run("read_polars.py", &[], &json!({"files": glob, "where": condition}).to_string())
    };
    let duck = |set: &str, condition: &str| {
        let files = format!("read_parquet('{}/**/*.parquet')", bench.workspace.path(set).display());
        let order = "tags, n, score, host, \"at\", amount, even, third, day, part";
        duck::rows(&format!("SELECT {order}, snapshot FROM {files} WHERE {condition} ORDER BY n"))
    };
    let types = json!({
        "tags": "Struct({'a': Int64, 'b': String})", "n": "Int64", "score": "Int64", "host": "String",
        "at": "Datetime(time_unit='us', time_zone='UTC')", "amount": "Decimal(precision=18, scale=2)", "even": "Boolean",
        "third": "Float64", "day": "Date", "part": "Int64", "snapshot": "String",
    });
    // By statistics whole row groups are skipped; by the names of folders whole files.
    for (set, condition, rows) in
        [("lake", "true", 2000), ("lake", "score > 98", 34), ("lake", "score IS NULL", 286), ("parts", "part = 2", 666)]
    {
        let found = polars(set, condition);
        assert_eq!(found["types"], types, "{set}");
        let expected = duck(set, condition);
        assert_eq!(expected.len(), rows, "{set} where {condition}");
        assert_eq!(found["rows"], Value::Array(expected), "{set} where {condition}");
    }
}

#[test]
fn bloom_filters_exclude_what_is_not_there() {
    let bench = Bench::new(shuffled());
    // Without the struct: DuckDB's function looks for the filter of another column where one stands before.
    bench.job(
        "records: '.[]'\nsnapshot: latest\npaginate: none\ntransform: SELECT n, host FROM records
sinks: {lake: {parquet: {url: ./lake, row_group_rows: 600, bloom_filters: [host]}}}",
    );
    assert_eq!(bench.run().fine(), "latest landed: 2000 of 2000; unknown");
    let path = files(&bench.workspace.path("lake")).into_iter().find(|path| path.ends_with(".parquet")).unwrap();
    let excluded = |host: &str| {
        let groups = duck::rows(&format!("SELECT * FROM parquet_bloom_probe('{path}', 'host', '{host}')"));
        assert_eq!(groups.len(), 4);
        groups.iter().filter(|group| group["bloom_filter_excludes"] == true).count()
    };
    assert_eq!((0..40).step_by(9).map(|n| excluded(&format!("host-{n}"))).sum::<usize>(), 0);
    // The filter errs for one value in twenty.
    assert!((0..6).filter(|n| excluded(&format!("nowhere-{n}")) == 4).count() >= 3);
}

#[test]
fn sinks_take_their_rows_and_land_together_or_not_at_all() {
    let bench = Bench::new(shuffled());
    let job = |third: &str| {
        format!(
            "{OF_ALL_TYPES}
  lake: {{parquet: {{url: ./lake/a, partition_by: [part]}}, where: part < 2}}
  feed: {{csv: {{url: ./lake/b}}, where: part = 2}}
  lines: {{jsonl: {{url: ./lake/c, {third}}}}}"
        )
    };
    // The last of three can't: what the others have staged goes.
    bench.job(&job("sort_by: [tags]"));
    let failure = bench.failure();
    assert_eq!(
        failure,
        "1: latest: the sink `lines`: column `tags` is of type Struct(\"a\": Int64, \"b\": Utf8): only a plain value can be sorted by"
    );
    bench.job(&job("sort_by: [nope]"));
    let refused = bench.run().outcome;
    assert!(
        refused.code == Some(2) && refused.stderr.contains("the transform gives no column `nope`"),
        "the SELECT tells before anything is asked: {refused:?}"
    );
    bench.job(&job("sort_by: [n desc]"));
    let ran = bench.run();
    assert_eq!(ran.fine(), "latest landed: 2000 of 2000; unknown");
    let sinks = &ran.report["jobs"][0]["slices"][0]["sinks"];
    let counts = ["lake", "feed", "lines"].map(|sink| (sinks[sink]["landed"].clone(), sinks[sink]["filtered"].clone()));
    assert_eq!(counts, [(json!(1334), json!(666)), (json!(666), json!(1334)), (json!(2000), json!(0))]);
    let parts = bench.query(
        "SELECT part, count(*) AS rows FROM read_parquet('{dir}/lake/a/**/*.parquet') GROUP BY part ORDER BY part",
    );
    assert_eq!(parts, [json!({"part": 0, "rows": 667}), json!({"part": 1, "rows": 667})]);
    assert_eq!(
        bench.json_lines("lake/c").iter().map(|row| row["n"].as_i64().unwrap()).collect::<Vec<_>>(),
        (0..2000).rev().collect::<Vec<_>>()
    );
}

/// Reads the files of a CSV sink with these options, and what DuckDB has to be told to find the same in them.
fn dialect(options: &str, duck: &str) -> (String, Vec<Value>) {
    let rows = json!([
        {"n": 1, "t": "plain", "u": "=1+1"}, {"n": 2, "t": null, "u": "-5"}, {"n": 3, "t": "", "u": "a;b,c|d"},
        {"n": 4, "t": "it's \"so\"", "u": "back\\slash"}, {"n": 5, "t": "two\r\nlines", "u": "é"}, {"n": 6, "t": "NULL", "u": "@x"}
    ]);
    let bench = Bench::new(Api::always(Answer::json(&rows)));
    bench.job(&format!(
        "records: '.[]'\nsnapshot: latest\npaginate: none\ntransform: SELECT n, t, u FROM records\nsinks: {{lake: {{csv: {{url: ./lake, {options}}}}}}}"
    ));
    assert_eq!(bench.run().fine(), "latest landed: 6 of 6; unknown");
    let path = files(&bench.workspace.path("lake")).into_iter().find(|path| path.contains(".csv")).unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let columns = "auto_detect = false, columns = {'n': VARCHAR, 't': VARCHAR, 'u': VARCHAR}, allow_quoted_nulls = false, hive_partitioning = false";
    (text, bench.query(&format!("SELECT * FROM read_csv('{{dir}}/lake/**/*.csv*', {columns}, {duck})")))
}

/// The rows of [`dialect`], with this before what a spreadsheet would run.
fn expected(mark: &str) -> Vec<Value> {
    vec![
        json!({"n": "1", "t": "plain", "u": format!("{mark}=1+1")}),
        json!({"n": "2", "t": null, "u": format!("{mark}-5")}),
        json!({"n": "3", "t": "", "u": "a;b,c|d"}),
        json!({"n": "4", "t": "it's \"so\"", "u": "back\\slash"}),
        json!({"n": "5", "t": "two\r\nlines", "u": "é"}),
        json!({"n": "6", "t": "NULL", "u": format!("{mark}@x")}),
    ]
}

#[test]
fn csv_dialects_read_back_as_what_was_written() {
    let (text, rows) =
        dialect("null_text: ''", "header = true, delim = ',', quote = '\"', escape = '\"', nullstr = ''");
    assert_eq!(rows, expected("'"));
    assert!(
        text.starts_with("n,t,u\n1,plain,'=1+1\n2,,'-5\n3,\"\",\"a;b,c|d\"\n4,\"it's \"\"so\"\"\",back\\slash\n"),
        "{text}"
    );
    let options = "delimiter: ';', quote: \"'\", escape: '\\', line_end: crlf, null_text: 'NULL', byte_order_mark: true, formula_protection: false, sort_by: [n desc]";
    let (text, mut rows) = dialect(
        options,
        "header = true, delim = ';', quote = '''', escape = '\\', nullstr = 'NULL', new_line = '\\r\\n'",
    );
    rows.reverse();
    assert_eq!(rows, expected(""));
    assert!(text.trim_start_matches('\u{feff}').starts_with("n;t;u\r\n6;'NULL';@x\r\n"), "{text}");
    assert!(text.contains("'it\\'s \"so\"';'back\\\\slash'\r\n"), "{text}");
    for compression in ["gzip", "zstd", "zstd(19)"] {
        let kind = compression.split('(').next().unwrap();
        let options = format!("header: false, delimiter: \"\\t\", compression: {compression}");
        let told = "header = false, delim = '\\t', quote = '\"', escape = '\"', nullstr = ''";
        assert_eq!(dialect(&options, &format!("{told}, compression = '{kind}'")).1, expected("'"), "{compression}");
    }
}

#[test]
fn json_lines_are_sorted_and_compressed() {
    for (compression, extension) in [("gzip", "gz"), ("zstd(12)", "zst")] {
        let bench = Bench::new(shuffled());
        bench.job(&format!(
            "{OF_ALL_TYPES} {{lake: {{jsonl: {{url: ./lake, compression: {compression}, sort_by: [at desc]}}}}}}"
        ));
        assert_eq!(bench.run().fine(), "latest landed: 2000 of 2000; unknown");
        let path = files(&bench.workspace.path("lake"))
            .into_iter()
            .find(|path| path.ends_with(&format!(".jsonl.{extension}")))
            .unwrap();
        let bytes = std::fs::read(path).unwrap();
        let text = if extension == "gz" {
            std::io::read_to_string(flate2::read::GzDecoder::new(bytes.as_slice())).unwrap()
        } else {
            String::from_utf8(zstd::decode_all(bytes.as_slice()).unwrap()).unwrap()
        };
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            rows.iter().map(|row| row["n"].as_u64().unwrap()).collect::<Vec<_>>(),
            (0..2000).rev().collect::<Vec<_>>()
        );
    }
}
