//! Types by hand, and how many rows may be bad.

use super::{say_job, say_landing};

#[test]
fn types_by_hand() {
    insta::assert_snapshot!(say_landing(r#"    snapshot: daily
    records: '.a[]'
    paginate: none
    schema:
      columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18, 2)'}
"#), @r#"
    error: `list<integer>` can't be read as a type: there is no type `integer`
      --> p.yaml:10:20
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                    ^^^^^^^^^^^^^^^
       |
       = help: the types are bool, int64, uint64, float64, decimal, string, timestamp, date, json, list, struct

    error: `timestamp("%Y", "Rome")` can't be read as a type: `Rome` isn't an IANA time zone, such as 'UTC' or 'Europe/Rome'
      --> p.yaml:10:40
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                        ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write a strftime format and the name of a zone, each in double quotes

    error: `decimal` can't be read as a type: `(` is expected here, at its end
      --> p.yaml:10:70
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                                                      ^^^^^^^
       |
       = help: such as `int64`, `decimal(18, 2)`, `timestamp(s)`, 'timestamp("%d/%m/%Y %H:%M", "Europe/Rome")', `list<string>` or `struct<id: int64>`

    error: `struct<x int64>` can't be read as a type: `:` is expected here, at `int64>`
      --> p.yaml:10:82
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                                                                  ^^^^^^^^^^^^^^^^^
       |
       = help: such as `int64`, `decimal(18, 2)`, `timestamp(s)`, 'timestamp("%d/%m/%Y %H:%M", "Europe/Rome")', `list<string>` or `struct<id: int64>`

    error: `date("%Q")` can't be read as a type: `%Q` isn't a strftime format, such as '%Y-%m-%d %H:%M:%S'
      --> p.yaml:10:104
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                                                                                        ^^^^^^^^^^^^
       |
       = help: write a strftime format and the name of a zone, each in double quotes
    "#);
}

#[test]
fn bad_rows() {
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    schema: {bad_rows: fail, max_bad_rows: 1%}\n"), @"
    error: `bad_rows: fail` and `max_bad_rows` contradict each other
     --> p.yaml:9:24
      |
    9 |     schema: {bad_rows: fail, max_bad_rows: 1%}
      |                        ^^^^
      |
      = help: remove one of them: `fail` allows no bad row at all
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    schema: {max_bad_rows: some}\n"), @"
    error: `some` is not a number of bad rows
     --> p.yaml:9:28
      |
    9 |     schema: {max_bad_rows: some}
      |                            ^^^^
      |
      = help: write a number of rows, such as `100`, or a share of those received, such as `1%`
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    schema: {max_bad_rows: 101%}\n"), @"
    error: `101%` is not a number of bad rows
     --> p.yaml:9:28
      |
    9 |     schema: {max_bad_rows: 101%}
      |                            ^^^^
      |
      = help: write a number of rows, such as `100`, or a share of those received, such as `1%`
    ");
}

#[test]
fn expectations_and_tables() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    records: '.a[]'
    paginate: none
    transform: SELECT r.id, n.name FROM records r JOIN nmes n ON n.id = r.id
    tables: {names: {csv: ./names.csv}, records: {json: ./x.json}, far: {parquet: 's3://b/x.parquet'}}
    expect: [{sql: 'count(*) >'}, {sql: 'sum(id) OVER () > 1'}, {not_null: id, unique: id}, {unique: []}, {sql: '(SELECT 1) > 0'}]
"), @"
    error: SQL: there is no table `nmes`: this SQL can read `records`, `names`, `records`, `far` (names are case-sensitive)
     --> p.yaml:9:56
      |
    9 |     transform: SELECT r.id, n.name FROM records r JOIN nmes n ON n.id = r.id
      |                                                        ^^^^

    error: `records` is the table of the slice's records
      --> p.yaml:10:41
       |
    10 |     tables: {names: {csv: ./names.csv}, records: {json: ./x.json}, far: {parquet: 's3://b/x.parquet'}}
       |                                         ^^^^^^^
       |
       = help: call this table something else

    error: an expectation is one of `sql`, `not_null` and `unique`
      --> p.yaml:11:13
       |
    11 |     expect: [{sql: 'count(*) >'}, {sql: 'sum(id) OVER () > 1'}, {not_null: id, unique: id}, {unique: []}, {sql: '(SELECT 1) > 0'}]
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write `{sql: count(*) > 0}`, `{not_null: [id]}` or `{unique: [id]}`

    error: SQL: expected an expression, found the end of the text
      --> p.yaml:11:31
       |
    11 |     expect: [{sql: 'count(*) >'}, {sql: 'sum(id) OVER () > 1'}, {not_null: id, unique: id}, {unique: []}, {sql: '(SELECT 1) > 0'}]
       |                               ^

    error: SQL: sum() OVER is a window function: this is worked out once, over all rows
      --> p.yaml:11:42
       |
    11 |     expect: [{sql: 'count(*) >'}, {sql: 'sum(id) OVER () > 1'}, {not_null: id, unique: id}, {unique: []}, {sql: '(SELECT 1) > 0'}]
       |                                          ^^^

    error: SQL: a subquery isn't allowed here: only an expression over all rows
      --> p.yaml:11:115
       |
    11 |     expect: [{sql: 'count(*) >'}, {sql: 'sum(id) OVER () > 1'}, {not_null: id, unique: id}, {unique: []}, {sql: '(SELECT 1) > 0'}]
       |                                                                                                                   ^^^^^^
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    tables: {n: {csv: n.csv}}\n"), @"
    error: `tables` are only read by a `transform`
     --> p.yaml:9:13
      |
    9 |     tables: {n: {csv: n.csv}}
      |             ^^^^^^^^^^^^^^^^^
      |
      = help: add `transform:`, a SELECT that joins them, or remove them
    ");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    records: '.a[]'
    paginate: none
    expect: [{not_nul: id}]
"), @"
    error: unknown field `not_nul`
     --> p.yaml:9:15
      |
    9 |     expect: [{not_nul: id}]
      |               ^^^^^^^
      |
      = note: expected `sql`, `not_null`, `unique` or `severity`
      = help: did you mean `not_null`?
    ");
}

#[test]
fn nothing_is_not_a_word() {
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    schema: {bad_rows: null}\n"), @"
    error: YAML reads `null` as nothing
     --> p.yaml:7:24
      |
    7 |     schema: {bad_rows: null}
      |                        ^^^^
      |
      = help: remove the key; if you mean the text, put it in single quotes: `'null'`
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    schema: {contract: ~, max_bad_rows:}\n"), @"
    error: expected `evolve`, `freeze` or `discard`, found nothing
     --> p.yaml:7:24
      |
    7 |     schema: {contract: ~, max_bad_rows:}
      |                        ^

    error: nothing stands after this key
     --> p.yaml:7:39
      |
    7 |     schema: {contract: ~, max_bad_rows:}
      |                                       ^
      |
      = help: write its value, or remove the key
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    auth: null\n    rate_limit:\n"), @"
    error: YAML reads `null` as nothing
     --> p.yaml:7:11
      |
    7 |     auth: null
      |           ^^^^
      |
      = help: remove the key; if you mean the text, put it in single quotes: `'null'`

    error: nothing stands after this key
     --> p.yaml:8:15
      |
    8 |     rate_limit:
      |               ^
      |
      = help: write its value, or remove the key
    ");
    assert_eq!(say_landing("    snapshot: daily\n    schema: {bad_rows: 'null'}\n"), "");
}

#[test]
fn yes_and_no_are_no_booleans() {
    insta::assert_snapshot!(say_job("    snapshot: daily\n    sinks: {lake: {csv: {url: ./lake, header: off}}}\n"), @"
    error: expected `true` or `false`, found the text `off`
     --> p.yaml:7:47
      |
    7 |     sinks: {lake: {csv: {url: ./lake, header: off}}}
      |                                               ^^^
      |
      = help: write `false`
    ");
    insta::assert_snapshot!(say_job("    snapshot: daily\n    sinks: {lake: {parquet: {url: ./lake, statistics: no, dictionary: yes}}}\n"), @"
    error: unknown name `no`
     --> p.yaml:7:55
      |
    7 |     sinks: {lake: {parquet: {url: ./lake, statistics: no, dictionary: yes}}}
      |                                                       ^^
      |
      = note: expected `page`, `row_group` or `none`

    error: expected `true` or `false`, found the text `yes`
     --> p.yaml:7:71
      |
    7 |     sinks: {lake: {parquet: {url: ./lake, statistics: no, dictionary: yes}}}
      |                                                                       ^^^
      |
      = help: write `true`
    ");
}
