//! Where the rows land.

use super::say_job;

fn sinks(lines: &str) -> String {
    say_job(&format!("    snapshot: daily\n    sinks:\n{lines}"))
}

#[test]
fn exactly_one_kind() {
    insta::assert_snapshot!(sinks("      a: {where: b}\n      c: {csv: {url: ./a}, jsonl: {url: ./b}}\n      d: {parqet: {url: ./c}}\n"), @r"
    error: the sink `c` writes several things
     --> p.yaml:9:7
      |
    9 |       c: {csv: {url: ./a}, jsonl: {url: ./b}}
      |       ^
      |
      = help: keep one of them here, and give each of the others a sink of its own

    error: unknown field `parqet`
      --> p.yaml:10:11
       |
    10 |       d: {parqet: {url: ./c}}
       |           ^^^^^^
       |
       = note: expected `parquet`, `csv`, `jsonl`, `http` or `where`
       = help: did you mean `parquet`?
    ");
}

#[test]
fn two_sinks_of_one_folder() {
    insta::assert_snapshot!(sinks("      a: {jsonl: {url: ./lake/x}}\n      b: {jsonl: {url: lake/x/}, where: c = 1}\n"), @r"
    error: the sinks `a` and `b` would write the same files
     --> p.yaml:9:7
      |
    8 |       a: {jsonl: {url: ./lake/x}}
      |       - the other one
    9 |       b: {jsonl: {url: lake/x/}, where: c = 1}
      |       ^
      |
      = help: give each its own `url`
    ");
    assert_eq!(sinks("      a: {jsonl: {url: ./lake/x}}\n      b: {parquet: {url: ./lake/x}}\n"), "");
}

#[test]
fn urls() {
    insta::assert_snapshot!(sinks(r"      a: {jsonl: {url: s3://bucket/a}}
      b: {jsonl: {url: ''}}
      c: {jsonl: {url: 'http://h/c'}}
"), @r"
    error: an empty text is not a place for files
     --> p.yaml:9:24
      |
    9 |       b: {jsonl: {url: ''}}
      |                        ^^
      |
      = help: write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`

    error: `http://` is not a place for files
      --> p.yaml:10:24
       |
    10 |       c: {jsonl: {url: 'http://h/c'}}
       |                        ^^^^^^^^^^^^
       |
       = help: write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`
    ");
}

#[test]
fn places_in_object_stores() {
    insta::assert_snapshot!(sinks(r"      a: {jsonl: {url: s3://}}
      b: {jsonl: {url: s3://key:secret@bucket/a}}
      c: {jsonl: {url: s3://bucket/../a}}
      d: {jsonl: {url: memory://lake}}
      e: {jsonl: {url: s3://bucket/x/y}}
      f: {jsonl: {url: s3://bucket/x//y/}}
"), @r"
    error: not a place in an object store: it names no bucket: write s3://bucket/prefix
     --> p.yaml:8:24
      |
    8 |       a: {jsonl: {url: s3://}}
      |                        ^^^^^
      |
      = help: write `s3://bucket/prefix`

    error: not a place in an object store: a bucket's name has letters, digits, `-`, `_` and `.` only; credentials, ports and regions come from the environment
     --> p.yaml:9:24
      |
    9 |       b: {jsonl: {url: ************************}}
      |                        ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `s3://bucket/prefix`

    error: not a place in an object store: what follows the bucket must be plain parts with `/` between them: no `.`, no `..`, no `?`, no `#` and no control characters
      --> p.yaml:10:24
       |
    10 |       c: {jsonl: {url: s3://bucket/../a}}
       |                        ^^^^^^^^^^^^^^^^
       |
       = help: write `s3://bucket/prefix`

    error: what lands in memory is gone when the process ends
      --> p.yaml:11:24
       |
    11 |       d: {jsonl: {url: memory://lake}}
       |                        ^^^^^^^^^^^^^
       |
       = help: write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`

    error: the sinks `e` and `f` would write the same files
      --> p.yaml:13:7
       |
    12 |       e: {jsonl: {url: s3://bucket/x/y}}
       |       - the other one
    13 |       f: {jsonl: {url: s3://bucket/x//y/}}
       |       ^
       |
       = help: give each its own `url`
    ");
}

#[test]
fn files() {
    insta::assert_snapshot!(sinks(r"      a: {jsonl: {url: ./a, compression: snappy, rows_per_file: 0}}
      b: {csv: {url: ./b, delimiter: '', partition_by: [week(ts), day(ts, a/b]}}
      c: {parquet: {url: ./c, partition_by: day(ts), compression: lz4, bytes_per_file: 1GB}}
"), @r#"
    error: snappy is a compression of Parquet only
     --> p.yaml:8:42
      |
    8 |       a: {jsonl: {url: ./a, compression: snappy, rows_per_file: 0}}
      |                                          ^^^^^^
      |
      = help: write `none`, `gzip` or `zstd`

    error: a file of no rows holds nothing
     --> p.yaml:8:65
      |
    8 |       a: {jsonl: {url: ./a, compression: snappy, rows_per_file: 0}}
      |                                                                 ^
      |
      = help: write the most rows of a file

    error: an empty text can't stand between two cells
     --> p.yaml:9:38
      |
    9 |       b: {csv: {url: ./b, delimiter: '', partition_by: [week(ts), day(ts, a/b]}}
      |                                      ^^
      |
      = help: write one ASCII character, such as ',' or '|' or a tab ("\t")

    error: `week(ts)` is not a partition
     --> p.yaml:9:57
      |
    9 |       b: {csv: {url: ./b, delimiter: '', partition_by: [week(ts), day(ts, a/b]}}
      |                                                         ^^^^^^^^
      |
      = help: write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one

    error: `day(ts` is not a partition
     --> p.yaml:9:67
      |
    9 |       b: {csv: {url: ./b, delimiter: '', partition_by: [week(ts), day(ts, a/b]}}
      |                                                                   ^^^^^^
      |
      = help: write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one

    error: `a/b` is not a partition
     --> p.yaml:9:75
      |
    9 |       b: {csv: {url: ./b, delimiter: '', partition_by: [week(ts), day(ts, a/b]}}
      |                                                                           ^^^
      |
      = help: write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one

    error: expected a list, found the text `day(ts)`
      --> p.yaml:10:45
       |
    10 |       c: {parquet: {url: ./c, partition_by: day(ts), compression: lz4, bytes_per_file: 1GB}}
       |                                             ^^^^^^^
       |
       = help: write `[day(ts)]`

    error: `lz4` is not a compression; write `none`, `snappy`, `gzip`, `zstd` or `zstd(level)` with a level from 1 to 22
      --> p.yaml:10:67
       |
    10 |       c: {parquet: {url: ./c, partition_by: day(ts), compression: lz4, bytes_per_file: 1GB}}
       |                                                                   ^^^

    error: `1GB` is not a size; write a whole number above 0 and a unit of B, KiB, MiB or GiB, such as `64MiB`
      --> p.yaml:10:88
       |
    10 |       c: {parquet: {url: ./c, partition_by: day(ts), compression: lz4, bytes_per_file: 1GB}}
       |                                                                                        ^^^
    "#);
}

#[test]
fn an_order_in_words_and_a_partition_twice() {
    insta::assert_snapshot!(sinks(r"      a: {parquet: {url: ./a, sort_by: [n DESC, 'a b asc'], partition_by: [n, day(ts), n]}}
"), @r"
    error: `n DESC` isn't how an order is written
     --> p.yaml:8:41
      |
    8 |       a: {parquet: {url: ./a, sort_by: [n DESC, 'a b asc'], partition_by: [n, day(ts), n]}}
      |                                         ^^^^^^
      |
      = help: write `desc` for descending, and nothing for ascending: a column whose name ends in it is `n DESC asc`

    error: `n` is there twice
     --> p.yaml:8:88
      |
    8 |       a: {parquet: {url: ./a, sort_by: [n DESC, 'a b asc'], partition_by: [n, day(ts), n]}}
      |                                                                                        ^
      |
      = help: leave one of them out: each is a level of folders
    ");
}

#[test]
fn orders_and_dialects() {
    insta::assert_snapshot!(sinks(r#"      a: {parquet: {url: ./a, sort_by: [ts, n desc, 'lower(n)', ' desc'], row_group_rows: 0}}
      b: {csv: {url: ./b, quote: '""', escape: ',', null_text: 'a,b', line_end: cr}}
      c: {csv: {url: ./c, quote: "'", escape: '\', null_text: '\N'}}
      d: {jsonl: {url: ./d, compression: zstd(23)}}
"#), @r#"
    error: `lower(n)` is nothing to sort by
     --> p.yaml:8:53
      |
    8 |       a: {parquet: {url: ./a, sort_by: [ts, n desc, 'lower(n)', ' desc'], row_group_rows: 0}}
      |                                                     ^^^^^^^^^^
      |
      = help: write a column of the transform, or `column desc`

    error: a row group of no rows holds nothing
     --> p.yaml:8:91
      |
    8 |       a: {parquet: {url: ./a, sort_by: [ts, n desc, 'lower(n)', ' desc'], row_group_rows: 0}}
      |                                                                                           ^
      |
      = help: write the most rows of a row group, such as 100000

    error: `""` can't be the quote of a cell
     --> p.yaml:9:34
      |
    9 |       b: {csv: {url: ./b, quote: '""', escape: ',', null_text: 'a,b', line_end: cr}}
      |                                  ^^^^
      |
      = help: write one ASCII character that is no letter, digit or delimiter, such as '"'

    error: `,` can't be the escape of a cell
     --> p.yaml:9:48
      |
    9 |       b: {csv: {url: ./b, quote: '""', escape: ',', null_text: 'a,b', line_end: cr}}
      |                                                ^^^
      |
      = help: write one ASCII character that is no letter, digit or delimiter, such as '"'

    error: `a,b` would need quotes, and null stands without
     --> p.yaml:9:64
      |
    9 |       b: {csv: {url: ./b, quote: '""', escape: ',', null_text: 'a,b', line_end: cr}}
      |                                                                ^^^^^
      |
      = help: write a text with no delimiter, quote, escape and line end in it, such as NULL

    error: unknown name `cr`
     --> p.yaml:9:81
      |
    9 |       b: {csv: {url: ./b, quote: '""', escape: ',', null_text: 'a,b', line_end: cr}}
      |                                                                                 ^^
      |
      = note: expected `lf` or `crlf`

    error: `\N` would need quotes, and null stands without
      --> p.yaml:10:63
       |
    10 |       c: {csv: {url: ./c, quote: "'", escape: '\', null_text: '\N'}}
       |                                                               ^^^^
       |
       = help: write a text with no delimiter, quote, escape and line end in it, such as NULL

    error: `zstd(23)` is not a compression; write `none`, `snappy`, `gzip`, `zstd` or `zstd(level)` with a level from 1 to 22
      --> p.yaml:11:42
       |
    11 |       d: {jsonl: {url: ./d, compression: zstd(23)}}
       |                                          ^^^^^^^^
    "#);
}

#[test]
fn columns_that_are_known_by_their_place_must_be_decided() {
    let say = |more: &str| {
        say_job(&format!("    snapshot: latest\n{more}    sinks: {{a: {{csv: {{url: ./a, header: false}}}}}}\n"))
    };
    insta::assert_snapshot!(say(""), @"
    error: without a header the columns of a CSV file are known by their place, and a new field of the records would shift them
     --> p.yaml:7:41
      |
    7 |     sinks: {a: {csv: {url: ./a, header: false}}}
      |                                         ^^^^^
      |
      = help: list the columns in a `transform`, such as `SELECT id, amount FROM records`; or pin them: `schema: {contract: discard}` leaves new fields out, and `freeze` refuses their rows
    ");
    for star in ["SELECT * FROM records", "SELECT r.* FROM records r"] {
        assert!(say(&format!("    transform: {star}\n")).contains("known by their place"), "{star}");
    }
    assert!(say("    schema: {columns: {a: int64}}\n").contains("known by their place"), "new ones join");
    for decided in ["transform: SELECT a, b FROM records", "schema: {contract: discard}", "schema: {contract: freeze}"]
    {
        assert_eq!(say(&format!("    {decided}\n")), "", "{decided}");
    }
}

#[test]
fn a_compression_in_capitals_is_told_its_name() {
    let say = |name: &str| {
        say_job(&format!("    snapshot: latest\n    sinks: {{a: {{jsonl: {{url: ./a, compression: {name}}}}}}}\n"))
    };
    assert!(say("ZSTD").contains("with a level from 1 to 22; did you mean `zstd`?"), "{}", say("ZSTD"));
    assert!(say("Zstd(3)").contains("; did you mean `zstd(3)`?"));
    assert!(!say("lz4").contains("did you mean"));
}
